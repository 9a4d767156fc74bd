#!/usr/bin/python3
"""Quality without outcomes and with them: estimates against the formulas of
confidence-based performance estimation in NumPy, tests of concept drift against
SciPy; how often intervals hold and alarms are false, on simulated scores; and
what a model of one half of the Telco customers promises for the other half.
Prints TAP."""
import os

import numpy as np
from scipy import stats

from _common import copy_in, done, equal, literal, ok, psql, query

NEAR = 1e-9
THRESHOLD = .4
TELCO = os.path.join(os.environ.get("CHURN_TEST_DATA", ""), "telco.csv")
AGGREGATES = {
    "pr_auc": "churn_estimated_pr_auc(score)",
    "roc_auc": "churn_estimated_roc_auc(score)",
    "log_loss": "churn_estimated_log_loss(score)",
    "brier": "churn_estimated_brier(score)",
    "f1": f"churn_estimated_f1(score, {THRESHOLD})",
    "precision": f"churn_estimated_precision(score, {THRESHOLD})",
    "recall": f"churn_estimated_recall(score, {THRESHOLD})"}


def ratio(dividend, divisor):
    """A ratio, 0 where there is nothing to divide by."""
    return dividend / divisor if divisor > 0 else 0.


def expected_counts(scores, threshold):
    """The confusion matrix as NannyML estimates it, row by row."""
    called = scores >= threshold
    wrong = np.abs(called - scores)
    right = 1 - wrong
    return (right[called].sum(), wrong[called].sum(),
            wrong[~called].sum(), right[~called].sum())


def estimated(scores, threshold=THRESHOLD):
    """The estimates that the formulas give."""
    counts = np.array([expected_counts(scores, level)
                       for level in np.unique(scores)[::-1]])
    tp, fp, fn, tn = counts.T
    both = scores.sum() > 0 and (1 - scores).sum() > 0
    recall = tp / (tp + fn) if both else None
    result = {"pr_auc": None, "roc_auc": None}
    if both:
        steps = np.diff(np.append(0, recall))
        result["pr_auc"] = (steps * (tp / (tp + fp))).sum()
        heights = np.append(0, recall)
        widths = np.diff(np.append(0, fp / (fp + tn)))
        result["roc_auc"] = (widths * (heights[1:] + heights[:-1]) / 2).sum()
    tp, fp, fn, tn = expected_counts(scores, threshold)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = np.nan_to_num(-scores * np.log(scores)) \
            + np.nan_to_num(-(1 - scores) * np.log1p(-scores))
    result.update({
        "log_loss": entropy.mean(), "brier": (scores * (1 - scores)).mean(),
        "f1": ratio(2 * tp, 2 * tp + fp + fn), "precision": ratio(tp, tp + fp),
        "recall": ratio(tp, tp + fn), "accuracy": (tp + tn) / len(scores),
        "base_rate": scores.mean(), "true_positives": tp,
        "false_positives": fp, "false_negatives": fn, "true_negatives": tn})
    return result


def gap_of(got, wanted):
    """The largest difference between two sets of values."""
    gap = 0
    for name, value in got.items():
        if (value is None) != (wanted[name] is None):
            print(f"# {name}: {value} against {wanted[name]}")
            return np.inf
        if value is not None:
            gap = max(gap, abs(float(value) - wanted[name])
                      / max(1, abs(wanted[name])))
    return gap


def estimated_sets():
    """Scores with more or fewer ties, and at the edges."""
    random = np.random.default_rng(1)
    for n in (2, 10, 500, 3000):
        for levels in (3, 20, None):
            scores = random.beta(.6, 1.5, n)
            if levels:
                scores = np.floor(scores * levels) / levels
            yield f"{n} rows, {levels or 'all'} scores", scores
    yield "one row", np.array([.3])
    yield "scores of 0 and 1", np.array([0., 1., 1., 0., 0.])
    yield "all 1", np.ones(4)
    yield "all 0", np.zeros(4)
    yield "all tied", np.full(1000, .25)
    yield "tiny scores", np.array([1e-300, 1e-20, 1e-17, 0., .5])
    yield "at the threshold", np.array([THRESHOLD, np.nextafter(THRESHOLD, 0)])


def check_estimates():
    """Aggregates and churn.estimated_quality() against the formulas."""
    sets = dict(estimated_sets())
    psql("CREATE TABLE sets (name text, score float8)")
    copy_in("sets", [(name, repr(float(score)))
                     for name, scores in sets.items() for score in scores])
    calls = ", ".join(f"{call} AS {name}" for name, call in AGGREGATES.items())
    got = {row.pop("name"): row for row in query(
        f"SELECT name, {calls} FROM sets GROUP BY name")}
    functions = {name: {} for name in sets}
    for row in query("SELECT name, e.* FROM (SELECT name, array_agg(score)"
                     " AS scores FROM sets GROUP BY name) s,"
                     f" churn.estimated_quality(scores, {THRESHOLD}) e"):
        functions[row["name"]][row["metric"]] = row["value"]
    for name, scores in sets.items():
        wanted = estimated(scores)
        equal(set(functions[name]), set(wanted), f"{name}: all is estimated")
        gap = max(gap_of(got[name], wanted), gap_of(functions[name], wanted))
        ok(gap < NEAR, f"{name}: equal within {NEAR} ({gap:.1e})")


def check_parallel():
    """Parallel plans give the same as serial ones, to the last bit."""
    psql("CREATE TABLE many AS SELECT (hashint4(i) / 4294967296.0 + 0.5) ^ 2"
         " AS score FROM generate_series(1, 300000) AS i; ANALYZE many")
    forced = ("SET max_parallel_workers_per_gather = {};"
              "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;"
              "SET min_parallel_table_scan_size = 0;")
    sql = f"SELECT {', '.join(AGGREGATES.values())} FROM many"
    plan = psql(forced.format(3) + "EXPLAIN (ANALYZE, COSTS OFF) " + sql)
    ok("Finalize" in plan and "Workers Launched: 0" not in plan
       and "Workers Launched" in plan, "workers take part")
    equal({psql(forced.format(workers) + sql) for workers in (1, 3)},
          {psql(forced.format(0) + sql)}, "parallel equals serial")


def array(values):
    """An array of SQL."""
    return "'{" + ",".join(
        ("t" if value else "f") if isinstance(value, (bool, np.bool_))
        else repr(float(value)) for value in values) + "}'"


def tests_of(scores, churned, alpha, reference=None):
    """What churn.concept_drift() says, by statistic."""
    known = "NULL, NULL, NULL, NULL" if reference is None else ", ".join(
        map(str, reference))
    return {row["statistic"]: row for row in query(
        f"SELECT * FROM churn.concept_drift({array(scores)},"
        f" {array(churned)}, {alpha}, {known})")}


def delong(scores, churned):
    """ROC-AUC, its variance by class, from ranks."""
    positives, negatives = scores[churned], scores[~churned]
    ranks = stats.rankdata(scores)
    above = (ranks[churned] - stats.rankdata(positives)) / len(negatives)
    below = 1 - (ranks[~churned] - stats.rankdata(negatives)) / len(positives)
    return above.mean(), above.var(ddof=1), below.var(ddof=1)


def average_precision(churned):
    """Of outcomes by falling score without ties; the last axis is of rows."""
    hits = np.cumsum(churned, axis=-1)
    return ((churned * hits / np.arange(1, churned.shape[-1] + 1)).sum(-1)
            / hits[..., -1])


def simulate(random, n, shape):
    """Calibrated scores, and what happened."""
    scores = random.beta(*shape, n)
    return scores, random.random(n) < scores


def logit(share):
    """Log-odds."""
    return np.log(share / (1 - share))


def check_tests():
    """Statistics, p-values and thresholds of the tests."""
    random = np.random.default_rng(2)
    for n, shape in ((500, (.7, 1.9)), (2000, (.4, 4)), (900, (.2, .5))):
        scores, churned = simulate(random, n, shape)
        churned ^= random.random(n) < .1
        z = ((churned - scores) * (1 - 2 * scores)).sum() / np.sqrt(
            (scores * (1 - scores) * (1 - 2 * scores) ** 2).sum())
        got = tests_of(scores, churned, .01)
        equal(list(got), ["calibration_z"], "without a baseline, calibration")
        row = got["calibration_z"]
        gap = max(abs(float(row["value"]) - z),
                  abs(float(row["p_value"]) - 2 * stats.norm.sf(abs(z))),
                  abs(float(row["threshold"]) - stats.norm.isf(.005)))
        ok(gap < NEAR, f"{n} rows: Spiegelhalter's z {z:.3f} ({gap:.1e})")

        rows, positives, pr_auc, roc_auc = 1500, 400, .8, .9
        got = tests_of(scores, churned, .03, (pr_auc, roc_auc, rows, positives))
        level = .01
        scale = np.sqrt(1 + n / rows)
        row = got["calibration_z"]
        gap = max(abs(float(row["value"]) - z),
                  abs(float(row["p_value"])
                      - 2 * stats.norm.sf(abs(z) / scale)),
                  abs(float(row["threshold"])
                      - stats.norm.isf(level / 2) * scale))
        ok(gap < NEAR, f"the same beside {rows} test rows ({gap:.1e})")

        auc, above, below = delong(scores, churned)
        error = np.sqrt(above * (1 / churned.sum() + 1 / positives)
                        + below * (1 / (~churned).sum()
                                   + 1 / (rows - positives)))
        row = got["roc_auc_drop"]
        gap = max(abs(float(row["value"]) - (roc_auc - auc)),
                  abs(float(row["p_value"])
                      - stats.norm.sf((roc_auc - auc) / error)),
                  abs(float(row["threshold"])
                      - stats.norm.isf(level) * error))
        ok(gap < NEAR, f"drop of ROC-AUC by DeLong ({gap:.1e})")

        order = np.argsort(-scores)
        value = average_precision(churned[order].astype(float))
        drawn = np.sort(random.integers(0, n, (2000, n)), axis=1)
        spread = logit(average_precision(
            churned[order][drawn].astype(float))).std(ddof=1)
        pooled = (value * churned.sum() + pr_auc * positives) / (
            churned.sum() + positives)
        error = max(spread * np.sqrt(1 + churned.sum() / positives),
                    np.sqrt((1 / churned.sum() + 1 / positives)
                            / (pooled * (1 - pooled))))
        row = got["pr_auc_drop"]
        ours = (logit(pr_auc) - logit(value)) / stats.norm.isf(
            float(row["p_value"]))
        least = logit(pr_auc) - stats.norm.isf(level) * ours
        ok(abs(float(row["value"]) - (pr_auc - value)) < NEAR
           and abs(ours / error - 1) < .08
           and abs(float(row["threshold"]) - pr_auc
                   + 1 / (1 + np.exp(-least))) < 1e-6,
           f"drop of PR-AUC: standard error {ours:.4f} of its logit, by NumPy"
           f" {error:.4f}")
        equal([r["drifted"] == "t" for r in got.values()],
              [float(r["p_value"]) <= level for r in got.values()],
              "verdicts follow from the p-values")


def check_coverage():
    """What happens lies in the intervals of what was promised."""
    random = np.random.default_rng(3)
    windows = 200
    for shape in ((.7, 1.9), (.4, 4)):
        inside = {}
        psql("DROP TABLE IF EXISTS windows;"
             "CREATE TABLE windows (w int, score float8, churned boolean)")
        rows = []
        for window in range(windows):
            scores, churned = simulate(random, 400, shape)
            rows += [(str(window), repr(float(score)), "t" if out else "f")
                     for score, out in zip(scores, churned)]
        copy_in("windows", rows)
        for row in query(
                "SELECT e.metric, count(*) FILTER (WHERE r.value BETWEEN"
                " e.ci_low AND e.ci_high) AS inside FROM (SELECT array_agg("
                "score) AS scores, array_agg(churned) AS churned FROM windows"
                f" GROUP BY w) s, churn.estimated_quality(scores, {THRESHOLD})"
                f" e, churn.realised_quality(scores, churned, {THRESHOLD}) r"
                " WHERE r.metric = e.metric GROUP BY e.metric"):
            inside[row["metric"]] = int(row["inside"])
        for metric, count in sorted(inside.items()):
            # 95 % of 200 are 190; fewer than 178 have a probability of 0.0002
            ok(178 <= count, f"{metric}: {count} of {windows} values are in"
               " the intervals of their estimates")


def check_false_alarms():
    """Nothing has changed: alarms are as rare as alpha says."""
    random = np.random.default_rng(4)
    for shape, n, tested, windows in (((.7, 1.9), 500, 1500, 1000),
                                      ((.4, 4), 800, 800, 500)):
        psql("DROP TABLE IF EXISTS windows;"
             "CREATE TABLE windows (w int, scores float8[], churned bool[],"
             " pr_auc float8, roc_auc float8, rows bigint, positives bigint)")
        rows = []
        for window in range(windows):
            scores, churned = simulate(random, tested, shape)
            pr_auc = average_precision(
                churned[np.argsort(-scores)].astype(float))
            reference = [str(window), None, None, repr(float(pr_auc)),
                         repr(float(delong(scores, churned)[0])), str(tested),
                         str(churned.sum())]
            scores, churned = simulate(random, n, shape)
            reference[1:3] = array(scores)[1:-1], array(churned)[1:-1]
            rows.append(reference)
        copy_in("windows", rows)
        alarms = {row["statistic"]: int(row["alarms"]) for row in query(
            "WITH tests AS (SELECT w.w, t.* FROM windows w,"
            " churn.concept_drift(scores, churned, 0.01, pr_auc, roc_auc,"
            " rows, positives) t)"
            " SELECT statistic, count(*) FILTER (WHERE drifted) AS alarms"
            " FROM tests GROUP BY statistic"
            " UNION ALL SELECT 'any', count(DISTINCT w) FILTER (WHERE drifted)"
            " FROM tests")}
        # of 1 %, more has a probability of 0.002
        most = stats.binom.isf(.002, windows, .01)
        ok(alarms["any"] <= most and len(alarms) == 4,
           f"{n} outcomes of {shape}: {alarms['any']} of {windows} windows"
           f" raise an alarm ({alarms})")


LEAF = """{"churn": {"format": 1, "features": [{"name": "x", "kind": "number"}],
 "threshold": 0.4}, "components": [{"algorithm": "logistic", "weight": 1,
 "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind":
 "linear", "slope": 1, "low": -10, "high": 10, "missing": 0, "mean": 0}]}]}"""


def check_days():
    """Ninety days that are alike, and ten on which a segment behaves otherwise,
    through the functions that a user calls."""
    random = np.random.default_rng(5)
    days, changed, n = 90, 10, 500
    psql(f"SELECT churn_import('days', convert_to({literal(LEAF)}, 'UTF8'))")
    psql("CREATE TABLE days (customer text, score float8, churned boolean,"
         " day date)")
    rows = []
    for day in range(days + changed):
        scores, churned = simulate(random, n, (.7, 1.9))
        if day >= days:
            churned ^= random.random(n) < .15
        rows += [(f"{day}-{i}", repr(float(scores[i])),
                  "t" if churned[i] else "f", str(
                      np.datetime64("2024-01-01") + day)) for i in range(n)]
    copy_in("days", rows)
    psql("INSERT INTO churn.predictions (customer_key, model, version, score,"
         " band, scored_at, origin) SELECT customer, 'days', 1, score, 'low',"
         " '2023-12-31', 'batch' FROM days")
    equal(psql("SELECT churn_record_outcomes('days', 'days', 'churned',"
               " 'customer', 'day')"), str(len(rows)), "outcomes are recorded")
    psql("SELECT count(*) FROM churn_measure('days')")
    verdicts = query("SELECT day, concept_drift, outcomes FROM"
                     " churn.model_health WHERE outcomes > 0 ORDER BY day")
    equal(len(verdicts), days + changed, "each day has a verdict")
    false = sum(row["concept_drift"] == "t" for row in verdicts[:days])
    # 1 % of 90 is 0.9; more than 4 have a probability of 0.002
    ok(false <= 4, f"{false} of {days} days raise a false alarm")
    found = sum(row["concept_drift"] == "t" for row in verdicts[days:])
    equal(found, changed, "all days are found on which 15 % of the customers"
          " do the opposite")


def check_telco():
    """Train on a half, and see whether its promises hold for the other."""
    psql("CREATE TABLE telco (\"customerID\" text PRIMARY KEY, gender text,"
         " \"SeniorCitizen\" numeric, \"Partner\" text, \"Dependents\" text,"
         " tenure numeric, \"PhoneService\" text, \"MultipleLines\" text,"
         " \"InternetService\" text, \"OnlineSecurity\" text,"
         " \"OnlineBackup\" text, \"DeviceProtection\" text,"
         " \"TechSupport\" text, \"StreamingTV\" text,"
         " \"StreamingMovies\" text, \"Contract\" text,"
         " \"PaperlessBilling\" text, \"PaymentMethod\" text,"
         " \"MonthlyCharges\" numeric, \"TotalCharges\" text, \"Churn\" text);"
         f"\n\\copy telco FROM {literal(TELCO)} WITH (FORMAT csv, HEADER true)")
    for half in (0, 1):
        psql(f"SELECT churn_train('SELECT * FROM telco WHERE hashtext("
             f"\"customerID\") & 1 = {half}', 'Churn', key => 'customerID',"
             f" model => 'half_{half}', algorithm => 'xgboost')")
        rows = query(
            "WITH s AS (SELECT array_agg(churn_score(t, 'half_%d')) AS scores,"
            " array_agg(\"Churn\" = 'Yes') AS churned FROM telco t WHERE"
            " hashtext(\"customerID\") & 1 = %d) SELECT e.metric, e.value AS"
            " estimated, e.ci_low, e.ci_high, r.value AS realised,"
            " r.ci_low AS low, r.ci_high AS high,"
            " array_length(scores, 1) AS n FROM s, churn.model_versions v,"
            " churn.estimated_quality(scores, threshold) e,"
            " churn.realised_quality(scores, churned, threshold) r"
            " WHERE v.model = 'half_%d' AND r.metric = e.metric"
            % (half, 1 - half, half))
        inside = apart = 0
        for row in rows:
            value = float(row["realised"])
            print("# half %d, %s: estimated %.4f (%.4f to %.4f), realised %.4f"
                  % (1 - half, row["metric"], float(row["estimated"]),
                     float(row["ci_low"]), float(row["ci_high"]), value))
            inside += float(row["ci_low"]) <= value <= float(row["ci_high"])
            apart += float(row["ci_low"]) > float(row["high"]) \
                or float(row["low"]) > float(row["ci_high"])
        # the intervals know nothing of errors of calibration
        ok(inside >= .75 * len(rows) and apart == 0,
           f"half {1 - half} of Telco, {rows[0]['n']} rows: {inside} of"
           f" {len(rows)} values in the intervals of their estimates, and no"
           " two intervals apart")


check_estimates()
check_parallel()
check_tests()
check_coverage()
check_false_alarms()
check_days()
if os.path.exists(TELCO):
    check_telco()
else:
    print("# no telco.csv; set CHURN_TEST_DATA")
done()
