#!/usr/bin/python3
"""churn_compare() against a paired bootstrap in NumPy over scikit-learn's
metrics, on the test rows as the split's description has them.  Prints TAP."""
import numpy as np
from sklearn.metrics import (average_precision_score, brier_score_loss,
                             log_loss, roc_auc_score)

from _common import done, ok, psql, query, split

METRICS = {"pr_auc": (average_precision_score, 1), "roc_auc": (roc_auc_score, 1),
           "log_loss": (log_loss, -1), "brier": (brier_score_loss, -1)}
RESAMPLES = 2000

psql("""
    CREATE TABLE customers AS SELECT * FROM churn_sample_customers(6000, 5);
    ALTER TABLE customers ADD PRIMARY KEY (customer_id)""")


def train(params, fraction):
    """Trains a version of the model m."""
    psql(f"""
        SELECT churn_train('customers', 'churn', model => 'm',
            algorithm => 'xgboost', params => '{params}',
            options => '{{"folds": 0, "promote": "never",
                          "test_fraction": {fraction}}}')""")


train('{"rounds": 40, "max_depth": 2}', 0.25)
train('{"rounds": 60, "max_depth": 3, "learning_rate": 0.07}', 0.4)
train('{"rounds": 4, "max_depth": 1}', 0.25)
SEED = int(psql("SELECT split_seed FROM churn.models"))
ROWS = query("""
    SELECT customer_id, churn = 'Yes' AS churned,
        churn_score(c, 'm', 1) AS score1, churn_score(c, 'm', 2) AS score2,
        churn_score(c, 'm', 3) AS score3
    FROM customers c""")
PARTS = split([row["customer_id"].encode() for row in ROWS], SEED)
TEST = [row for row, part in zip(ROWS, PARTS) if part == "test"]
CHURNED = np.array([row["churned"] == "t" for row in TEST])
SCORES = {version: np.array([float(row[f"score{version}"]) for row in TEST])
          for version in (1, 2, 3)}


def differences(metric, challenger, champion, draws):
    """The metric's differences on resamples."""
    return np.array([metric(CHURNED[draw], SCORES[challenger][draw])
                     - metric(CHURNED[draw], SCORES[champion][draw])
                     for draw in draws])


def check(challenger, champion):
    """Compares what is said of two versions."""
    found = {row["metric"]: {name: float(value) for name, value in row.items()
                             if name != "metric"}
             for row in query(f"""
                SELECT * FROM churn_compare('m', {challenger}, {champion},
                    resamples => {RESAMPLES})""")}
    ok(list(found) == list(METRICS), f"{challenger} against {champion}")
    ok(all(row["n"] == len(TEST) for row in found.values()),
       f"{len(TEST)} rows, which are in the test parts of both")
    random = np.random.RandomState(7)
    draws = random.randint(0, len(TEST), (RESAMPLES, len(TEST)))
    for name, (metric, sign) in METRICS.items():
        ours = found[name]
        theirs = {"champion": metric(CHURNED, SCORES[champion]),
                  "challenger": metric(CHURNED, SCORES[challenger])}
        theirs["difference"] = theirs["challenger"] - theirs["champion"]
        off = max(abs(ours[key] - value) for key, value in theirs.items())
        ok(off < 1e-12, f"{name}: values and difference within {off:.1g}")
        sample = differences(metric, challenger, champion, draws)
        low, high = np.percentile(sample, (2.5, 97.5))
        # ends of two bootstraps differ by a few hundredths of the width
        off = max(abs(ours["ci_low"] - low), abs(ours["ci_high"] - high))
        ok(off < 0.08 * (high - low) and low < high,
           f"{name}: interval off by {off / (high - low):.3f} of its width")
        p = (1 + (sign * sample <= 0).sum()) / (1 + RESAMPLES)
        # five standard errors of the difference of two shares
        room = 5 * np.sqrt(2 * max(p * (1 - p), 1 / RESAMPLES) / RESAMPLES)
        ok(abs(ours["p_value"] - p) <= room,
           f"{name}: p = {ours['p_value']:.4f} against {p:.4f}")


check(2, 1)
check(1, 2)
check(1, 3)
psql("SELECT churn_drop_model('m'); DROP TABLE customers")
done()
