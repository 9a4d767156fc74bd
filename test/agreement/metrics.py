#!/usr/bin/python3
"""The metric aggregates and churn_evaluate() against scikit-learn and NumPy:
random scores with many ties, edge cases, parallel plans, the Telco file, and
bootstrap intervals.  Prints TAP."""
import csv
import os

import numpy as np
from sklearn import metrics

from _common import done, equal, literal, ok, psql, query, quote, split

NEAR = 1e-12
THRESHOLD, FRACTION = .5, .1
TELCO = os.path.join(os.environ.get("CHURN_TEST_DATA", ""), "telco.csv")
AGGREGATES = {
    "pr_auc": "churn_pr_auc(score, churned)",
    "roc_auc": "churn_roc_auc(score, churned)",
    "log_loss": "churn_log_loss(score, churned)",
    "brier": "churn_brier(score, churned)",
    "ece": "churn_ece(score, churned)",
    "f1": f"churn_f1(score, churned, {THRESHOLD})",
    "precision": f"churn_precision(score, churned, {THRESHOLD})",
    "recall": f"churn_recall(score, churned, {THRESHOLD})",
    "lift": f"churn_lift(score, churned, {FRACTION})",
    "lift_37": "churn_lift(score, churned, 0.37)"}
SELECTED = ", ".join(f"{call} AS {name}" for name, call in AGGREGATES.items())


def ece(scores, churned, bins=10):
    """Expected calibration error over bins closed on the right."""
    places = np.searchsorted(np.arange(1, bins) / bins, scores, side="left")
    return sum((places == place).mean()
               * abs(scores[places == place].mean()
                     - churned[places == place].mean())
               for place in np.unique(places))


def lift(scores, churned, fraction):
    """Lift of the top fraction, tied rows taken by the mean of their group."""
    values, group = np.unique(-scores, return_inverse=True)
    share = np.bincount(group, churned) / np.bincount(group)
    order = np.sort(group)
    top = fraction * len(scores)
    weights = np.clip(top - np.arange(len(scores)), 0, 1)
    return (weights * share[order]).sum() / top / churned.mean()


def expected(scores, churned, threshold=THRESHOLD):
    """What scikit-learn and NumPy measure; None for what is not defined."""
    churned = np.asarray(churned, dtype=bool)
    called = scores >= threshold
    both = 0 < churned.sum() < len(churned)
    return {
        "pr_auc": metrics.average_precision_score(churned, scores)
        if both else None,
        "roc_auc": metrics.roc_auc_score(churned, scores) if both else None,
        "log_loss": metrics.log_loss(churned, scores, labels=[False, True]),
        "brier": metrics.brier_score_loss(churned, scores, pos_label=True),
        "ece": ece(scores, churned),
        "f1": metrics.f1_score(churned, called, zero_division=0),
        "precision": metrics.precision_score(churned, called,
                                             zero_division=0),
        "recall": metrics.recall_score(churned, called, zero_division=0),
        "lift": lift(scores, churned, FRACTION) if churned.any() else None,
        "lift_37": lift(scores, churned, .37) if churned.any() else None}


def agree(got, wanted):
    """The largest difference between two sets of metrics."""
    gap = 0
    for name, value in wanted.items():
        ours = got[name]
        if (ours is None) != (value is None):
            print(f"# {name}: {ours} against {value}")
            return np.inf
        if value is not None:
            gap = max(gap, abs(float(ours) - value) / max(1, abs(value)))
    return gap


def check_sets(sets):
    """The aggregates of each set of rows, by GROUP BY."""
    psql("CREATE TABLE sets (name text, score float8, churned boolean)")
    psql("COPY sets FROM STDIN", stdin="".join(
        f"{name}\t{float(score)!r}\t{'t' if outcome else 'f'}\n"
        for name, (scores, churned) in sets.items()
        for score, outcome in zip(scores, churned)))
    got = {row["name"]: row for row in query(
        f"SELECT name, {SELECTED} FROM sets GROUP BY name")}
    equal(set(got), set(sets), "all sets are measured")
    for name, (scores, churned) in sets.items():
        gap = agree(got[name], expected(scores, churned))
        ok(gap < NEAR, f"{name}: equal within {NEAR} ({gap:.1e})")


def random_sets():
    """Sets of rows whose scores have more or fewer ties."""
    random = np.random.default_rng(1)
    for n in (2, 3, 10, 100, 1000, 20000, 60000):
        for levels in (2, 7, 100, None):
            raw = random.random(n)
            scores = raw if levels is None else np.floor(raw * levels) / levels
            churned = random.random(n) < .1 + .6 * raw
            churned[0], churned[1] = True, False
            yield f"{n} rows, {levels or 'all'} scores", (scores, churned)
    scores = random.integers(0, 11, 5000) / 10
    yield "on the edges of bins", (scores, random.random(5000) < scores)
    scores = (random.random(30000, dtype=np.float32) ** 8).astype(float)
    yield "rare churn", (scores, random.random(30000) < scores / 4)
    scores = np.round(random.random(4000))
    yield "scores of 0 and 1", (scores, random.random(4000) < .3)
    yield "inverse", (np.linspace(0, 1, 999), np.arange(999) < 400)


def edge_sets():
    """Little or nothing to measure."""
    yield "one row that churned", (np.array([.3]), [True])
    yield "one row that stayed", (np.array([.3]), [False])
    yield "all churned", (np.array([.1, .5, .5, .9]), [True] * 4)
    yield "none churned", (np.array([.1, .5, .5, .9]), [False] * 4)
    yield "all tied", (np.full(1000, .25), np.arange(1000) % 4 == 0)
    yield "two tied", (np.array([.5, .5]), [True, False])
    yield "a score of 1 that stayed", (np.array([1., 0.]), [False, True])
    yield "tiny scores", (np.array([1e-300, 1e-20, 1e-17, 0.]),
                          [False, True, False, True])


def check_parallel():
    """Parallel plans give the same as serial ones, to the last bit."""
    psql("CREATE TABLE many AS SELECT i % 5 AS part,"
         " hashint4(i) / 4294967296.0 + 0.5 AS score,"
         " hashint4(-i) > hashint4(i) AS churned"
         " FROM generate_series(1, 400000) AS i; ANALYZE many")
    forced = ("SET max_parallel_workers_per_gather = {};"
              "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;"
              "SET min_parallel_table_scan_size = 0;")
    for what, sql in (("all rows", f"SELECT {SELECTED} FROM many"),
                      ("groups", f"SELECT part, {SELECTED} FROM many"
                                 " GROUP BY part ORDER BY part")):
        plan = psql(forced.format(3) + "EXPLAIN (ANALYZE, COSTS OFF) " + sql)
        ok("Partial" in plan and "Finalize" in plan
           and "Workers Launched: 0" not in plan
           and "Workers Launched" in plan, f"{what}: workers take part")
        serial = psql(forced.format(0) + sql)
        equal({psql(forced.format(workers) + sql) for workers in (1, 2, 3)},
              {serial}, f"{what}: parallel equals serial")


def load_telco():
    """The Telco file with a trained model."""
    with open(TELCO, newline="", encoding="utf-8") as file:
        names = next(csv.reader(file))
    columns = ", ".join(
        quote(name) + (" numeric" if name in ("SeniorCitizen", "tenure",
                                              "MonthlyCharges") else " text")
        for name in names)
    psql(f"CREATE TABLE telco ({columns}, PRIMARY KEY (\"customerID\"));\n"
         f"\\copy telco FROM {literal(TELCO)} WITH (FORMAT csv, HEADER true)")
    psql("SELECT churn_train('telco', 'Churn', algorithm => 'xgboost', options => '{\"folds\": 0}')")


def telco_test_rows():
    """Scores and outcomes of the test part, split as the trainer describes."""
    seed = int(psql("SELECT split_seed FROM churn.models"
                    " WHERE name = 'telco'")) % (1 << 64)
    rows = query("SELECT c.\"customerID\" AS key, churn_score(c) AS score,"
                 " \"Churn\" = 'Yes' AS churned FROM telco c")
    parts = split([row["key"].encode() for row in rows], seed)
    test = [row for row, part in zip(rows, parts) if part == "test"]
    return (np.array([float(row["score"]) for row in test]),
            np.array([row["churned"] == "t" for row in test]))


def check_telco():
    """churn_evaluate() on the test part of the Telco file."""
    scores, churned = telco_test_rows()
    threshold = float(psql("SELECT threshold FROM churn.model_versions"
                           " WHERE model = 'telco'"))
    got = {row["metric"]: row for row in query(
        "SELECT * FROM churn_evaluate('telco')")}
    wanted = expected(scores, churned, threshold)
    wanted["lift_10"] = wanted.pop("lift")
    del wanted["lift_37"]
    wanted["base_rate"] = churned.mean()
    wanted["accuracy"] = ((scores >= threshold) == churned).mean()
    gap = agree({name: row["value"] for name, row in got.items()}, wanted)
    ok(gap < NEAR, f"Telco's test rows: equal within {NEAR} ({gap:.1e})")
    equal({row["n"] for row in got.values()}, {str(len(scores))},
          "the test rows are the trainer's")

    random = np.random.default_rng(5)
    resampled = []
    for _ in range(1000):
        rows = random.integers(0, len(scores), len(scores))
        values = expected(scores[rows], churned[rows], threshold)
        values["lift_10"] = values["lift"]
        values["base_rate"] = churned[rows].mean()
        values["accuracy"] = ((scores[rows] >= threshold)
                              == churned[rows]).mean()
        resampled.append([values[name] for name in got])
    lows, highs = np.percentile(np.array(resampled), (2.5, 97.5), axis=0)
    for name, low, high in zip(got, lows, highs):
        ours = float(got[name]["ci_low"]), float(got[name]["ci_high"])
        gap = max(abs(ours[0] - low), abs(ours[1] - high)) / (high - low)
        ok(gap < .15, f"{name}: interval {ours[0]:.4f} to {ours[1]:.4f}, by"
           f" NumPy {low:.4f} to {high:.4f}")


def check_coverage():
    """Intervals from small samples hold the value of the whole population."""
    psql("CREATE TABLE population AS"
         " SELECT * FROM churn_sample_customers(60000, 99)")
    psql("SELECT churn_train('population', 'churn', model => 'sampled',"
         " key => 'customer_id', params => '{\"rounds\": 20}', algorithm => 'xgboost', options => '{\"folds\": 0}')")
    true = {row["metric"]: float(row["value"]) for row in query(
        "SELECT * FROM churn_evaluate('sampled', 'SELECT * FROM"
        " churn_sample_customers(200000, 1000)', resamples => 0)")}
    samples = 80
    rows = query(
        "SELECT e.* FROM generate_series(1, %d) AS seed, churn_evaluate("
        "'sampled', format('SELECT * FROM churn_sample_customers(300, %%s)',"
        " seed), resamples => 400) AS e" % samples)
    for name in ("roc_auc", "pr_auc", "brier", "log_loss", "recall",
                 "accuracy", "base_rate"):
        held = sum(float(row["ci_low"]) <= true[name] <= float(row["ci_high"])
                   for row in rows if row["metric"] == name)
        # 95 % of 80 is 76; fewer than 68 has a probability of 0.0002
        ok(68 <= held, f"{name}: {held} of {samples} intervals hold the truth")


check_sets(dict(random_sets()))
psql("DROP TABLE sets")
check_sets(dict(edge_sets()))
check_parallel()
check_coverage()
if os.path.exists(TELCO):
    load_telco()
    check_telco()
else:
    print("# no telco.csv; set CHURN_TEST_DATA")
done()
