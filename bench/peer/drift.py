"""The peer of churn_drift(): a script as a data scientist would write it, who
knows pandas, xgboost and SciPy well.

    drift.py MODEL

Connects by PGHOST and the like.  Each line of input is a job, answered by a
line:

    baseline    reads the rows of training, table customers, which stay in
                memory with their scores; answers how many there are
    check       reads table today, scores it, and compares each feature and the
                score; answers the seconds that took
    figures     what the last check found of categories, as
                FEATURE/STATISTIC=VALUE, separated by tabs
"""
import io
import json
import sys
import time

import numpy as np
import pandas as pd
import psycopg2
import xgboost as xgb
from scipy import stats
from scipy.spatial import distance


class Script:
    def __init__(self, model):
        self.booster = xgb.Booster(model_file=model)
        self.booster.set_param({"nthread": 1})
        self.features = json.loads(self.booster.attr("churn"))["features"]
        self.types = {
            feature["name"]: pd.CategoricalDtype(feature["categories"])
            if feature["kind"] == "category" else np.float32
            for feature in self.features}
        self.connection = psycopg2.connect("")
        self.found = {}

    def read(self, table):
        """A table as a data frame, and its scores."""
        columns = ", ".join(f'"{name}"' for name in self.types)
        text = io.BytesIO()
        with self.connection, self.connection.cursor() as cursor:
            cursor.copy_expert(f"COPY (SELECT {columns} FROM {table})"
                               " TO STDOUT (FORMAT csv, HEADER)", text)
        text.seek(0)
        frame = pd.read_csv(text, dtype=self.types)
        matrix = xgb.DMatrix(frame, enable_categorical=True, nthread=1)
        return frame, self.booster.predict(matrix)

    def baseline(self):
        self.frame, self.scores = self.read("customers")
        return len(self.frame)

    def compare_category(self, name, before, after):
        p = before.value_counts(sort=False).to_numpy()
        q = after.value_counts(sort=False).to_numpy()
        chi = stats.chi2_contingency([p, q], correction=False)
        shares = p / p.sum(), q / q.sum()
        self.found[name, "chi_square"] = chi[0]
        self.found[name, "jensen_shannon"] = distance.jensenshannon(
            *shares, base=2)
        self.found[name, "psi"] = np.sum(
            (shares[1] - shares[0]) * np.log(shares[1] / shares[0]))

    @staticmethod
    def compare_number(before, after):
        before = before[~np.isnan(before)]
        after = after[~np.isnan(after)]
        edges = np.quantile(before, np.arange(1, 10) / 10)
        p, q = (np.bincount(np.searchsorted(edges, values), minlength=10)
                / len(values) for values in (before, after))
        with np.errstate(divide="ignore", invalid="ignore"):
            return (stats.ks_2samp(before, after, mode="asymp"),
                    stats.wasserstein_distance(before, after) / before.std(),
                    distance.jensenshannon(p, q, base=2),
                    np.sum((q - p) * np.log(q / p)))

    def check(self):
        start = time.perf_counter()
        frame, scores = self.read("today")
        self.found = {}
        for feature in self.features:
            name = feature["name"]
            if feature["kind"] == "category":
                self.compare_category(name, self.frame[name], frame[name])
            else:
                self.compare_number(self.frame[name].to_numpy(),
                                    frame[name].to_numpy())
        self.compare_number(self.scores, scores)
        return time.perf_counter() - start

    def figures(self):
        return "\t".join(f"{feature}/{statistic}={float(value)!r}" for
                         (feature, statistic), value in self.found.items())


if __name__ == "__main__":
    script = Script(sys.argv[1])
    for line in sys.stdin:
        print(getattr(script, line.strip())(), flush=True)
