"""Measures of explaining scores."""
import sys

from harness import Helper, Session, faster
from dataset import NUMBER

# the peer takes minutes for them
ROWS = 100000
RUNS = 3
WARM = 1000

EXPLAIN = "SELECT sum(e.contribution) FROM customers c," \
    " churn_explain(c.*) AS e WHERE c.{} <= {}"
CHECK = """SELECT max(abs(e.sum - churn_margin(c.*))) FROM customers c,
    LATERAL (SELECT sum(contribution) FROM churn_explain(c)) AS e
    WHERE c.{} <= {}"""


def measure_explain(bench):
    """All contributions to all scores, against XGBoost's pred_contribs of
    the same rows in memory."""
    data = bench.data
    session = Session()
    rows = min(bench.rows, 5000 if bench.quick else ROWS)
    sums = ([], [])

    with Helper([sys.executable, "-B", bench.peer("explain.py"),
                 data.model_path, data.matrix_path, str(rows),
                 str(data.columns)]) as peer:
        def ours(count=rows):
            seconds, total = session.timed(EXPLAIN.format(NUMBER, count))
            sums[0].append(total)
            return seconds

        def theirs(count=rows):
            seconds, total = peer.ask(str(count)).split()
            sums[1].append(float(total))
            return float(seconds)

        ours(WARM)
        theirs(WARM)
        sums[0].clear()
        sums[1].clear()
        times = ([], [])
        for i in range(min(bench.runs, RUNS)):
            for side in ((0, 1), (1, 0))[i % 2]:
                times[side].append((ours, theirs)[side]())
    faster(bench, f"churn_explain(c.*) of {rows} rows : XGBoost's"
           " pred_contribs in memory", times, 2)
    bench.check(all(abs(a - b) <= 1e-6 * rows
                    for a in sums[0] for b in sums[1]),
                f"sum of contributions {sums[0][0]:.4f}, XGBoost's"
                f" {sums[1][0]:.4f}")
    gap = session.value(CHECK.format(NUMBER, min(rows, 20000)))
    bench.check(gap <= 1e-4, "contributions and bias sum to the margin, the"
                f" largest gap is {gap:.1e}")
    session.close()
