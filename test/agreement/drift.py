#!/usr/bin/python3
"""churn_drift() against SciPy and NumPy, which measure the raw columns: the
Telco file, a shifted half of it, and edge cases.  Figures of columns of at most
257 different values, of categories and of missing values are the same within
1e-9; those of other columns within the error that profile.h states.  Prints
TAP."""
import csv
import json

import numpy as np
from scipy import optimize, special, stats
from scipy.spatial import distance

from _common import (copy_in, data_file, done, equal, literal, ok, psql, query,
                     quote, split)

NEAR = 1e-9
GROUPS, LEAST, DISTINCT, CONFIDENCE = 10, 5, 257, .95
ALPHA, PSI = .05, .01


# What is documented, in NumPy

def psi(p, q):
    """Population stability index of two counts; 0 counts as one half."""
    p, q = np.where(p, p, .5), np.where(q, q, .5)
    p, q = p / p.sum(), q / q.sum()
    return np.sum((q - p) * np.log(q / p))


def psi_low(p, q):
    """Its lower confidence bound by the noncentral chi-square distribution."""
    n = p.sum() * q.sum() / (p.sum() + q.sum())
    x, df = n * psi(p, q), np.sum((p > 0) | (q > 0)) - 1
    if df < 1 or stats.chi2.cdf(x, df) <= CONFIDENCE:
        return 0.
    return optimize.brentq(
        lambda nc: stats.ncx2.cdf(x, df, nc) - CONFIDENCE, 1e-9, x * 2 + 100,
        xtol=1e-10, rtol=1e-12) / n


def chi_square(p, q):
    """Statistic and p-value of the table of two counts."""
    if len(p) < 2 or not p.any() or not q.any():
        return np.nan, np.nan
    return stats.chi2_contingency([p, q], correction=False)[:2]


def not_empty(*cells):
    """Counts of cells that are not empty on both sides."""
    p, q = np.array(cells, dtype=np.int64).T
    return p[(p > 0) | (q > 0)], q[(p > 0) | (q > 0)]


def share_test(before, after, n, m):
    """The p-value of how many rows are missing, or unseen."""
    return chi_square(*not_empty((before, after), (n - before, m - after)))[1]


def groups_of(values, reference):
    """The group of each value: that of the tenth of the reference in which
    the middle of its rank lies."""
    reference = np.sort(reference)
    below = np.searchsorted(reference, values, side="left")
    upto = np.searchsorted(reference, values, side="right")
    return np.minimum(GROUPS * (below + upto) // (2 * len(reference)),
                      GROUPS - 1)


def adjust(p_values):
    """Benjamini and Hochberg's adjusted p-values; NaN does not count."""
    p_values = np.asarray(p_values, dtype=float)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known])[::-1]]
    ranked = p_values[order] * len(order) / np.arange(len(order), 0, -1)
    result = p_values.copy()
    result[order] = np.minimum(np.minimum.accumulate(ranked), 1)
    return result


class Expected:
    """The figures of a feature, from its values before and after."""

    def __init__(self, before, after, categories=None, cells=None):
        self.figures, self.bounds, self.binned = {}, {}, None
        if categories is None:
            missing = np.isnan(before).sum(), np.isnan(after).sum()
            rare = 0, 0
            table = self.number(before[~np.isnan(before)],
                                after[~np.isnan(after)], cells)
        else:
            missing = before.count(None), after.count(None)
            unseen = [sum(value not in categories and value is not None
                          for value in values) for values in (before, after)]
            table = [(before.count(c), after.count(c)) for c in categories]
            least = LEAST * len(before) / min(len(before), len(after))
            rare = np.sum([cell for cell in table if cell[0] < least]
                          + [unseen], axis=0)
            table = [cell for cell in table if cell[0] >= least] + [rare]
        n, m = len(before), len(after)
        self.null_p = share_test(*missing, n, m)
        self.rare_p = share_test(*rare, n, m)
        p, q = not_empty(*table, missing)
        self.figures |= {
            "psi": psi(p, q), "psi_low": psi_low(p, q),
            "jensen_shannon": distance.jensenshannon(p, q, base=2),
            "null_share": missing[1] / m - missing[0] / n}
        if categories is None:
            known = [p for p in (self.distance_p, self.null_p)
                     if not np.isnan(p)]
            self.p = min([1, *(len(known) * p for p in known)]) \
                if known else np.nan
        else:
            self.figures["unseen_share"] = unseen[1] / m
            self.figures["chi_square"], self.distance_p = chi_square(p, q)
            self.p = self.distance_p
        self.low = self.figures["psi_low"]

    def number(self, before, after, cells):
        """The figures of numbers; returns the groups' counts."""
        self.figures["kolmogorov_smirnov"] = np.nan
        self.figures["wasserstein"] = np.nan
        self.distance_p = np.nan
        n, m = len(before), len(after)
        spread = before.std(ddof=1) if n > 1 else 0
        if n > 0 and m > 0:
            ks = stats.ks_2samp(before, after, mode="asymp")[0]
            self.figures["kolmogorov_smirnov"] = ks
            self.distance_p = special.kolmogorov(np.sqrt(n * m / (n + m)) * ks)
            if spread > 0:
                self.figures["wasserstein"] = stats.wasserstein_distance(
                    before, after) / spread
        known = np.unique(before)
        if len(known) <= DISTINCT:
            self.bounds = {"wasserstein": self.between(before, after)
                           / max(spread, 1e-300)} if n > 0 and m > 0 else {}
            groups = [groups_of(values, before) if n > 0
                      else np.zeros(len(values), dtype=int)
                      for values in (before, after)]
            return [((groups[0] == g).sum(), (groups[1] == g).sum())
                    for g in range(GROUPS)]
        return self.sketched(before, after, np.float32(cells["edges"])
                             .astype(float))

    @staticmethod
    def between(before, after):
        """How far off the Wasserstein distance may be because values lie
        between two that training knew, which are a cell, if the distribution
        functions may cross there."""
        known = np.unique(before)
        gap = np.searchsorted(known, after, side="left")
        gap = gap[(gap > 0) & (gap < len(known)) & ~np.isin(after, known)]
        room = 0
        for i in np.unique(gap):
            share = np.sum(gap == i) / len(after)
            step = np.mean(before < known[i]) - np.mean(after <= known[i - 1])
            if step - share < 0 < step:
                room += share * (known[i] - known[i - 1])
        return room

    def sketched(self, before, after, edges):
        """The same of a column of many values, whose cells are known; sets
        the error that is allowed, and what follows from what was found."""
        p, q = (np.bincount(np.searchsorted(edges, values, side="left")
                            + (values >= edges[0]), minlength=len(edges) + 2)
                for values in (before, after))
        ranks = np.concatenate([[0], np.cumsum(p)])
        groups = np.minimum(GROUPS * (ranks[:-1] + ranks[1:])
                            // (2 * len(before)), GROUPS - 1)
        wide = np.zeros(len(p), dtype=bool)
        wide[2:-1] = np.diff(edges) > 0
        wide &= [len(np.unique(np.concatenate(
            [values[np.searchsorted(edges, values, side="left")
                    + (values >= edges[0]) == cell]
             for values in (before, after)]))) > 1 for cell in range(len(p))]
        if len(after) == 0:
            return [(p[groups == g].sum(), 0) for g in range(GROUPS)]
        shares = p / p.sum(), q / q.sum()
        width = np.zeros(len(p))
        width[2:-1] = np.diff(edges)
        steps = np.cumsum(shares[0]) - np.cumsum(shares[1])
        start = steps - shares[0] + shares[1]
        cross = wide & (start - shares[1] < 0) & (start + shares[0] > 0)
        # means at training are rounded to float32
        rounding = 1e-7 * np.abs(before).max()
        self.bounds = {
            "kolmogorov_smirnov": np.max(np.minimum(*shares) * wide,
                                         initial=0),
            "wasserstein": (np.sum(np.maximum(*shares) * width * cross)
                            + rounding) / before.std(ddof=1)}
        self.binned = np.abs(steps).max()
        self.distance_p = special.kolmogorov(
            np.sqrt(len(before) * len(after) / (len(before) + len(after)))
            * self.binned)
        return [(p[groups == g].sum(), q[groups == g].sum())
                for g in range(GROUPS)]


# Comparing

def close(ours, theirs, near=NEAR):
    if ours is None or np.isnan(theirs):
        return ours is None and np.isnan(theirs)
    return abs(float(ours) - theirs) <= near * max(1, abs(theirs))


def check(what, got, features):
    """Compares the rows of a check with what is expected of each feature."""
    rows = {(row["feature"], row["statistic"]): row for row in got}
    wrong, compared = [], 0
    tests = {name: adjust([getattr(f, name) for f in features.values()])
             for name in ("p", "null_p", "rare_p")}
    drifted = []
    for i, (name, feature) in enumerate(features.items()):
        for statistic, theirs in feature.figures.items():
            ours = rows.pop((name, statistic))
            value = ours["value"]
            compared += 1
            if statistic in feature.bounds:
                gap = float(value) - theirs
                near = NEAR * max(1, abs(theirs))
                room = feature.bounds[statistic] + near
                good = -room <= gap <= (near if statistic != "wasserstein"
                                        else room)
                if statistic == "kolmogorov_smirnov" \
                        and feature.binned is not None:
                    good &= close(value, feature.binned)
            else:
                good = close(value, theirs,
                             1e-6 if statistic == "psi_low" else NEAR)
            expected = {"psi": tests["p"][i], "null_share": tests["null_p"][i],
                        "unseen_share": tests["rare_p"][i],
                        "chi_square": feature.distance_p,
                        "kolmogorov_smirnov": feature.distance_p
                        }.get(statistic, np.nan)
            if not good or not close(ours["p_value"], expected):
                wrong.append(f"{name} {statistic}: {value} against {theirs},"
                             f" p {ours['p_value']} against {expected}")
            if statistic == "psi":
                verdict = tests["p"][i] <= ALPHA and feature.low >= PSI
                drifted.append(verdict)
                if (ours["drifted"] == "t") != verdict:
                    wrong.append(f"{name}: verdict {ours['drifted']}")
    model = rows.pop(("(model)", "drifted_features"))
    if float(model["value"]) != sum(drifted) \
            or (model["drifted"] == "t") != any(drifted):
        wrong.append(f"model: {model}, but {sum(drifted)} drifted")
    wrong += [f"{feature} {statistic} is one too many"
              for feature, statistic in rows]
    ok(compared > 0 and not wrong,
       f"{what}: {compared} figures of {len(features)} features agree,"
       f" {sum(drifted)} drifted")
    for line in wrong[:20]:
        print(f"# {line}")
    return drifted


def number(value):
    """A text as the model reads it; what is no number is missing."""
    try:
        return np.nan if value is None else np.clip(
            np.float32(value), *np.float32([-3.4028235e38, 3.4028235e38]))
    except ValueError:
        return np.nan


def values_of(kind, rows, name):
    """A column as the model sees it."""
    texts = [row[name] for row in rows]
    if kind == "category":
        return texts
    if kind == "boolean":
        return np.array([np.nan if text is None else float(text == "t")
                         for text in texts])
    return np.array([number(text) for text in texts]).astype(float)


def compare(what, model, source, before, after, scores, version=1):
    """Compares one check; before and after are rows of text, scores those of
    the baseline."""
    features = query(f"""SELECT name, kind, array_to_json(categories) AS
        categories, baseline FROM churn.features WHERE model = {literal(model)}
        AND version = {version} ORDER BY position""")
    expected = {}
    for feature in features:
        name, kind = feature["name"], feature["kind"]
        expected[name] = Expected(
            values_of(kind, before, name), values_of(kind, after, name),
            json.loads(feature["categories"]) if kind == "category" else None,
            json.loads(feature["baseline"]))
    cells = json.loads(psql(f"""SELECT score_baseline FROM churn.model_versions
        WHERE model = {literal(model)} AND version = {version}"""))
    today = query(f"SELECT churn_score(q, {literal(model)}, {version}) AS s"
                  f" FROM ({source}) q")
    expected["(score)"] = Expected(
        np.float32(scores).astype(float),
        np.float32([row["s"] for row in today]).astype(float), None, cells)
    got = query(f"SELECT * FROM churn_drift({literal(model)},"
                f" {literal(source)}, {version})")
    equal({row["rows"] for row in got}, {str(len(after))},
          f"{what}: all rows are counted")
    return check(what, got, expected)


# Data

def make_table(name, types, rows):
    """A table of rows of text."""
    columns = ", ".join(f"{quote(column)} {kind}"
                        for column, kind in types.items())
    psql(f"DROP TABLE IF EXISTS {quote(name)};"
         f" CREATE TABLE {quote(name)} ({columns})")
    copy_in(name, [[row[column] for column in types] for row in rows])


def train(model, table, key, label, **more):
    """Trains a version; returns the scores of its test rows, in which its
    baseline of scores is."""
    arguments = "".join(f", {name} => {literal(value)}"
                        for name, value in more.items())
    version = int(psql(f"""SELECT version FROM churn_train({literal(table)},
        {literal(label)}, {literal(key)}, {literal(model)}{arguments})"""))
    seed = int(psql("SELECT split_seed FROM churn.models"
                    f" WHERE name = {literal(model)}"))
    rows = query(f"SELECT {quote(key)}::text AS key, churn_score(t,"
                 f" {literal(model)}, {version}) AS score FROM {quote(table)} t")
    part = split([row["key"].encode() for row in rows], seed)
    return [row["score"] for row, where in zip(rows, part) if where == "test"]


def without(rows, **changes):
    """Copies of rows, changed by functions of the row and a random number."""
    random = np.random.default_rng(3)
    copies = []
    for row in rows:
        row = dict(row)
        for name, change in changes.items():
            row[name] = change(row, random.random())
        copies.append(row)
    return copies


def check_telco():
    """Halves of the real customers, as they are and changed."""
    with open(data_file("telco.csv"), encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    numbers = {"SeniorCitizen": "int", "tenure": "int",
               "MonthlyCharges": "float8"}
    types = {name: numbers.get(name, "text") for name in rows[0]}
    order = np.random.default_rng(1).permutation(len(rows))
    before = [rows[i] for i in order[::2]]
    after = [rows[i] for i in order[1::2]]
    moved = without(
        after,
        Contract=lambda row, u: "Month-to-month" if u < .1
        else "Weekly" if u > .97 else row["Contract"],
        MonthlyCharges=lambda row, u: repr(
            round(float(row["MonthlyCharges"]) * 1.05, 2)),
        tenure=lambda row, u: None if u < .05 else row["tenure"],
        PaymentMethod=lambda row, u: None)
    make_table("before", types, before)
    make_table("after", types, after)
    make_table("moved", types, moved)
    for model, arguments in (
            ("boosted", {"algorithm": "xgboost", "options": '{"folds": 0}',
                         "params": '{"rounds": 40}'}),
            ("scorecard", {"algorithm": "rules",
                           "options": '{"folds": 0}'})):
        scores = train(model, "before", "customerID", "Churn", **arguments)
        drifted = compare(f"telco, {model}, another half", model,
                          'SELECT * FROM "after"', before, after, scores)
        ok(not any(drifted), f"telco, {model}: no drift")
        drifted = compare(f"telco, {model}, changed", model,
                          'SELECT * FROM moved', before, moved, scores)
        ok(sum(drifted) >= 4, f"telco, {model}: drift")
        compare(f"telco, {model}, itself", model, 'SELECT * FROM "before"',
                before, before, scores)


AS_OF = np.datetime64("2024-07-01")
EDGES = {"id": "int", "churn": "boolean", "flag": "boolean", "code": "smallint",
         "few": "float8", "many": "float8", "heavy": "real", "amount": "numeric",
         "written": "text", "since": "date", "day": "date", "plan": "text", "note": "text",
         "rare": "text"}


def edge_rows(n, seed, first):
    """Rows with a column of each kind."""
    random = np.random.default_rng(seed)

    def sometimes(share, value):
        return None if random.random() < share else value

    for i in range(n):
        u = random.random(12)
        yield {
            "id": str(first + i), "churn": "ft"[int(u[0] < .1 + .5 * u[5])],
            "flag": sometimes(.1, "ft"[int(u[1] < .3)]),
            "code": str(int(u[2] * 5) ** 2), "few": repr(int(u[3] * 257) / 8),
            "many": repr(float(u[4] ** 3 * 1000 - 100)),
            "heavy": "0" if u[5] < .6 else repr(float(np.float32(u[5]))),
            "amount": f"{u[6] * 100:.2f}",
            "written": sometimes(.05, " " if u[7] < .05 else str(int(u[7] * 9))),
            "since": str(AS_OF - int(u[8] * 900)), "day": str(AS_OF),
            "plan": "ABC"[int(3 * u[9] ** 2)], "note": sometimes(
                .4, ("first", "second")[int(u[10] < .5)]),
            "rare": f"r{int(60 * u[11] ** 4)}"}


def days(rows):
    """Dates as the ages that the model sees."""
    return [row | {"since": None if row["since"] is None else str(
        (AS_OF - np.datetime64(row["since"])).astype(int))} for row in rows]


def check_edges():
    """Columns of each kind, and what may become of them."""
    before = list(edge_rows(4000, 1, 0))
    make_table("edges", EDGES, before)
    scores = train("edges", "edges", "id", "churn", algorithm="xgboost",
                   params='{"rounds": 20}',
                   options='{"folds": 0, "as_of": "day"}')
    same = list(edge_rows(3000, 2, 10000))
    variants = {
        "as it was": same,
        "beyond and between": without(
            same, code=lambda row, u: str(int(u * 40) - 5),
            few=lambda row, u: repr(u * 50 - 5),
            many=lambda row, u: repr(u * 3000 - 1000),
            heavy=lambda row, u: repr(u - .5), flag=lambda row, u: "t",
            since=lambda row, u: str(AS_OF + 300 - int(u * 1500))),
        "nothing known": without(
            same, **{name: lambda row, u: None for name in EDGES
                     if name not in ("id", "churn", "day")}),
        "constant": without(
            same, code=lambda row, u: "4", few=lambda row, u: "8",
            many=lambda row, u: "0.25", heavy=lambda row, u: "0",
            plan=lambda row, u: "A", note=lambda row, u: "third",
            rare=lambda row, u: "r0", written=lambda row, u: "x"),
        "new categories": without(
            same, plan=lambda row, u: "D" if u < .2 else row["plan"],
            rare=lambda row, u: f"s{int(u * 100)}" if u < .3 else row["rare"]),
        "infinite": without(
            same, many=lambda row, u: "Infinity" if u < .01 else row["many"],
            heavy=lambda row, u: "-Infinity" if u < .01 else row["heavy"]),
        "100 rows": same[:100], "12 rows": same[:12], "one row": same[:1]}
    for what, rows in variants.items():
        make_table("today", EDGES, rows)
        compare(what, "edges", "SELECT * FROM today", days(before), days(rows),
                scores)


check_edges()
check_telco()
done()
