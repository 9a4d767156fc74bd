"""Measures of scoring a whole table in one query."""
from harness import (Helper, Session, alternate, faster, say, share_at_most)

PLAIN = "SELECT sum(churn_score(c.*)) FROM customers c"


def close(a, b):
    return abs(a - b) <= 1e-9 * abs(b)


def timer(session, command, sums):
    """A function that runs the command, keeps its result and returns its
    time."""
    def run():
        seconds, result = session.timed(command)
        sums.append(result)
        return seconds
    return run


def measure_predict(bench):
    """Against XGBoost's batch prediction of the same rows in memory."""
    data = bench.data
    session = Session()
    ours_sums, peer_sums = [], []

    with Helper([bench.path("predict"), data.model_path, data.matrix_path,
                 str(bench.rows), str(data.columns), "1"]) as peer:
        def predict():
            seconds, total = peer.ask("predict").split()
            peer_sums.append(float(total))
            return float(seconds)

        times = alternate(bench.runs, timer(session, PLAIN, ours_sums),
                          predict)
    faster(bench, "sum(churn_score(c.*)) : XGBoost's batch predict in memory",
           times, 4)
    bench.check(all(close(ours, theirs)
                    for ours in ours_sums for theirs in peer_sums),
                f"sum of scores {ours_sums[0]:.6f}, XGBoost's"
                f" {peer_sums[0]:.6f}")
    session.close()


def measure_scan(bench):
    """Against a scan that adds up one of the last columns."""
    session = Session()
    scan = "SELECT sum(total_charges) FROM customers"
    times = alternate(bench.runs, timer(session, PLAIN, []),
                      timer(session, scan, []))
    share_at_most(bench, "sum(churn_score(c.*)) : sum(total_charges)", times,
                  4.5)
    session.close()


def make_ways(session):
    """The ways to the same rows, as (name, command, whether it is judged)."""
    session.run("CREATE VIEW customers_view AS SELECT * FROM customers")
    session.run("""CREATE TABLE customers_parts (LIKE customers)
                   PARTITION BY HASH (customer_id)""")
    for i in range(4):
        session.run(f"""CREATE TABLE customers_part_{i} PARTITION OF
            customers_parts FOR VALUES WITH (MODULUS 4, REMAINDER {i})""")
    session.run("INSERT INTO customers_parts SELECT * FROM customers")
    session.run("VACUUM (FREEZE, ANALYZE) customers_parts")
    for i in range(4):
        session.run(f"SELECT pg_prewarm('customers_part_{i}')")
    session.run("CHECKPOINT")
    session.run(f"""CREATE FUNCTION score_by_query() RETURNS double precision
        LANGUAGE plpgsql STABLE AS $$
        DECLARE s double precision;
        BEGIN
            {PLAIN.replace(" FROM", " INTO s FROM")};
            RETURN s;
        END $$""")
    session.run("""CREATE FUNCTION score_by_loop() RETURNS double precision
        LANGUAGE plpgsql STABLE AS $$
        DECLARE s double precision := 0; c customers;
        BEGIN
            FOR c IN SELECT * FROM customers LOOP
                s := s + churn_score(c);
            END LOOP;
            RETURN s;
        END $$""")
    session.run("PREPARE scoring AS " + PLAIN)
    return [
        ("a view",
         "SELECT sum(churn_score(c.*)) FROM customers_view c", True),
        ("a partitioned table",
         "SELECT sum(churn_score(c.*)) FROM customers_parts c", True),
        ("a prepared statement", "EXECUTE scoring", True),
        ("a query in PL/pgSQL", "SELECT score_by_query()", True),
        ("a sub-select",
         "SELECT sum(churn_score(c.*)) FROM (SELECT * FROM customers) c",
         False),
        ("a record in a PL/pgSQL loop", "SELECT score_by_loop()", False),
    ]


def measure_ways(bench):
    """The other ways to write it, against the plain query."""
    session = Session()
    ways = make_ways(session)
    expected = session.value(PLAIN)
    for name, command, judged in ways:
        say(f"   {name}")
        sums = []
        times = alternate(bench.runs, timer(session, command, sums),
                          timer(session, PLAIN, []))
        share_at_most(bench, f"scoring through {name} : plain query", times,
                      1.3 if judged else None)
        bench.check(all(close(result, expected) for result in sums),
                    f"{name} gives the same sum")
    session.run("DROP TABLE customers_parts")
    session.close()
