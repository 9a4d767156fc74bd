"""Measures of watching for drift."""
import statistics
import sys

from harness import Helper, Session, alternate, say, share_at_most

DRIFT = """SELECT count(*) FILTER (WHERE statistic = 'psi')
    FROM churn_drift('customers', 'today')"""


def make_today(bench, session):
    """Other customers, of whom the tenth without a contract that binds them
    has moved to one of a year."""
    session.run(f"""CREATE TABLE today AS
        SELECT s.*, row_number() OVER () % 10 = 0
            AND contract = 'Month-to-month' AS moved
        FROM churn_sample_customers({bench.rows}, 2) AS s""")
    session.run("UPDATE today SET contract = 'One year' WHERE moved")
    session.run("ALTER TABLE today DROP COLUMN moved")
    session.run("VACUUM (FULL, FREEZE, ANALYZE) today")
    session.run("SELECT pg_prewarm('today')")
    session.run("CHECKPOINT")


def plain_query(features):
    """What one asks of a table to know its columns: how many values there
    are, and of numbers their mean, least and greatest."""
    parts = []
    for feature in features:
        name = '"' + feature["name"] + '"'
        parts.append(f"count({name})")
        if feature["kind"] != "category":
            parts += [f"avg({name})", f"min({name})", f"max({name})"]
    return f"SELECT {', '.join(parts)} FROM today"


def measure_drift(bench):
    """churn_drift() against plain aggregates of the same columns, with a
    script of SciPy and pandas beside it."""
    data = bench.data
    session = Session()
    found = []
    make_today(bench, session)

    def ours():
        seconds, features = session.timed(DRIFT)
        found.append(features)
        return seconds

    def plain():
        return session.timed(plain_query(data.features))[0]

    times = alternate(bench.runs, ours, plain)
    share_at_most(bench, "churn_drift() : count, avg, min, max of the columns",
                  times, 3)
    bench.check(all(features == data.columns + 1 for features in found),
                f"{data.columns} features and the score are measured")
    compare(bench, session, statistics.median(times[0]))
    session.run("DROP TABLE today")
    session.run("TRUNCATE churn.drift")
    session.close()


def compare(bench, session, seconds):
    """Runs the script, after one run that does not count, and compares its
    figures of categories with ours."""
    with Helper([sys.executable, "-B", bench.peer("drift.py"),
                 bench.data.model_path]) as peer:
        say(f"   the script keeps {peer.ask('baseline')} rows of training")
        peer.ask("check")
        took = float(peer.ask("check"))
        theirs = {tuple(name.split("/")): float(value) for name, value in
                  (item.split("=") for item in peer.ask("figures").split("\t"))}
    bench.note(f"churn_drift(): a script of pandas and SciPy takes {took:.1f} s"
               f" for the same rows, {took / seconds:.1f} times as long; the"
               " rows of training are in its memory")
    session.cursor.execute("""SELECT feature, statistic, value
        FROM churn_drift('customers', 'today')""")
    ours = {(feature, statistic): value
            for feature, statistic, value in session.cursor.fetchall()}
    gap = max(abs(ours[name] - value) / max(1, value)
              for name, value in theirs.items())
    bench.check(len(theirs) > 0 and gap < 1e-9,
                f"{len(theirs)} figures of categories are SciPy's, the largest"
                f" difference is {gap:.1e}")
    bench.check(session.value("""SELECT bool_or(drifted)
        FROM churn.drift WHERE feature = 'contract'"""),
                "the contracts have drifted")
