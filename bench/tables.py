"""Measures of scoring all customers into a table."""
import sys

from harness import Helper, Session, alternate, faster

TABLE = "CREATE TABLE {} AS SELECT customer_id, churn_score(c.*) AS score" \
    " FROM customers c"


def start_client(bench):
    return Helper([sys.executable, "-B", bench.peer("client.py"),
                   bench.data.model_path, "1"])


def compare(bench, session, ours, peer, key):
    """Checks that both tables hold the same customers and scores; the
    client's went through the decimals that pandas writes."""
    rows, gap = session.row(f"""
        SELECT count(*), max(abs(a.score - b.score))
        FROM {ours} a JOIN {peer} b USING ({key})""")
    bench.check(rows == bench.rows and gap < 1e-7,
                f"{rows} of {bench.rows} scores agree with Python's, the"
                f" largest difference is {gap:.1e}")


def measure_table(bench):
    """CREATE TABLE AS against a round trip through Python."""
    session = Session()

    def ours():
        session.run("DROP TABLE IF EXISTS scores_ours")
        session.run("CHECKPOINT")
        return session.timed(TABLE.format("scores_ours"))[0]

    def peer():
        session.run("DROP TABLE IF EXISTS scores_peer")
        session.run("CHECKPOINT")
        return float(client.ask("table scores_peer"))

    with start_client(bench) as client:
        times = alternate(bench.runs, ours, peer)
    faster(bench, "CREATE TABLE AS key, score : Python round trip", times, 8)
    session.run("ANALYZE scores_ours, scores_peer")
    compare(bench, session, "scores_ours", "scores_peer", "customer_id")
    session.run("DROP TABLE scores_ours, scores_peer")
    session.close()


def measure_rescore(bench):
    """churn_rescore() against Python doing the same upsert: into an empty
    table, and when nothing has changed."""
    session = Session()
    session.run("CREATE TABLE predictions_peer"
                " (LIKE churn.predictions INCLUDING ALL)"
                " WITH (fillfactor = 85)")
    written = []

    def ours():
        session.run("CHECKPOINT")
        seconds, rows = session.timed("SELECT churn_rescore('customers')")
        written.append(rows)
        return seconds

    def first_ours():
        session.run("TRUNCATE churn.predictions")
        return ours()

    def peer():
        session.run("CHECKPOINT")
        return float(client.ask("upsert predictions_peer"))

    def first_peer():
        session.run("TRUNCATE predictions_peer")
        return peer()

    with start_client(bench) as client:
        times = alternate(bench.runs, first_ours, first_peer)
        faster(bench, "churn_rescore(), first fill : Python's upsert", times,
               2)
        bench.check(all(rows == bench.rows for rows in written),
                    f"the first fill writes {written[0]} rows")
        compare(bench, session, "churn.predictions", "predictions_peer",
                "customer_key")
        session.run("VACUUM ANALYZE churn.predictions, predictions_peer")
        written.clear()
        times = alternate(bench.runs, ours, peer)
        faster(bench, "churn_rescore(), nothing changed : Python's upsert",
               times, 5)
        bench.check(all(rows == 0 for rows in written),
                    f"the rerun writes {written[0]} rows")
    session.run("DROP TABLE predictions_peer")
    session.run("TRUNCATE churn.predictions")
    session.close()
