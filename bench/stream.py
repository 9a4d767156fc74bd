"""Measures of live rescoring.  bench/stream calls this."""
import argparse
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import threading
import time

import psycopg2

from harness import (Bench, Helper, Session, alone, alternate, more,
                     print_lines, print_report, say, share_at_least,
                     share_at_most, show_bytes, show_rate, show_time,
                     write_json, Line)

TICKS = os.sysconf("SC_CLK_TCK")
PROBES = 1000           # customers that pgbench leaves to the probe

# Two mostly wait until their commits are flushed; eight keep both processors
# busy.
WRITERS = (2, 8)

PAUSE = 0.02            # seconds between switches, where a week has a minute

# Nearly always another score.
UPDATE = """\\set number random(%d, :rows)
\\set tenure random(0, 72)
\\set cents random(1800, 12000)
UPDATE {} SET tenure = :tenure, monthly_charges = :cents / 100.0
    WHERE number = :number;
""" % (PROBES + 1)

# What the trigger needs, statement by statement.
TRIGGER = """
CREATE TABLE customers_trigger (LIKE customers INCLUDING ALL);

INSERT INTO customers_trigger SELECT * FROM customers;

CREATE TABLE predictions_trigger (LIKE churn.predictions INCLUDING ALL)
    WITH (fillfactor = 85);

INSERT INTO predictions_trigger SELECT * FROM churn.predictions;

CREATE FUNCTION score_customer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO predictions_trigger AS p (customer_key, model, version, score,
        band, scored_at, origin)
    SELECT NEW.customer_id, 'customers', 1, s.score,
        CASE WHEN s.score >= 0.5 THEN 'high' WHEN s.score >= 0.25 THEN 'medium'
             ELSE 'low' END, now(), 'stream'
    FROM (SELECT churn_score(NEW, 'customers') AS score) AS s
    ON CONFLICT (customer_key, model) DO UPDATE SET previous_score = p.score,
        score = excluded.score, band = excluded.band,
        scored_at = excluded.scored_at;
    RETURN NULL;
END $$;

CREATE TRIGGER score AFTER INSERT OR UPDATE ON customers_trigger
    FOR EACH ROW EXECUTE FUNCTION score_customer();

VACUUM ANALYZE customers_trigger, predictions_trigger
"""


def cpu_of(pid):
    """Seconds of processor time that a process has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def parent_of(pid):
    """The process that started a process."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return int(file.read().rsplit(")", 1)[1].split()[1])


def status_of(pid, name):
    """A figure of /proc/PID/status, in bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc has no {name}")


class Peak(threading.Thread):
    """The most memory of its own that a process has meanwhile."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid = pid
        self.most = 0
        self.done = threading.Event()

    def run(self):
        while not self.done.wait(0.01):
            self.most = max(self.most, status_of(self.pid, "RssAnon"))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()


class Stream:
    """The worker as seen from outside."""

    def __init__(self, bench):
        self.bench = bench
        self.session = Session()
        self.watched = False

    def watch(self):
        """Watches the customers, and waits until all have a score."""
        if self.watched:
            return
        start = time.perf_counter()
        self.session.run("SELECT churn_watch('customers')")
        self.wait()
        self.watched = True
        say(f"   watched; all customers scored in"
            f" {time.perf_counter() - start:.1f} s")
        self.session.run("VACUUM ANALYZE churn.predictions")
        self.session.run("CHECKPOINT")

    def wait(self):
        if not self.session.value("SELECT churn_wait('1h')"):
            raise RuntimeError("the worker does not catch up")

    def pid(self):
        return self.session.value("SELECT pid FROM churn.stream_status")

    def figures(self):
        names = ("changes", "written", "write_seconds")
        return dict(zip(names, self.session.row(
            f"SELECT {', '.join(names)} FROM churn.stream_status")))

    def setting(self, name, value=None):
        self.session.run(f"ALTER SYSTEM RESET {name}" if value is None
                         else f"ALTER SYSTEM SET {name} = '{value}'")
        self.session.run("SELECT pg_reload_conf()")
        time.sleep(0.3)

    def hold(self):
        """Stops the worker; until go(), changes pile up."""
        self.wait()
        self.pid_held = self.pid()
        os.kill(self.pid_held, signal.SIGSTOP)

    def go(self):
        """Has the worker go on; returns the seconds of the clock and of the
        processor until nothing is left."""
        before = cpu_of(self.pid_held)
        start = time.perf_counter()
        os.kill(self.pid_held, signal.SIGCONT)
        self.wait()
        return time.perf_counter() - start, cpu_of(self.pid_held) - before


def pgbench(bench, table, host=None, database=None, clients=2, seconds=None,
            number=None, rate=None):
    """Single-row updates; returns transactions a second."""
    path = bench.path(table + ".sql")
    if not os.path.exists(path):
        with open(path, "w", encoding="utf-8") as file:
            file.write(UPDATE.format(table))
    command = ["pgbench", "-n", "-M", "prepared", "-f", path,
               "-D", f"rows={bench.rows}", "-c", str(clients),
               "-j", str(min(clients, os.cpu_count()))]
    command += ["-T", str(seconds)] if number is None else \
        ["-t", str(number // clients)]
    if rate is not None:
        command += [f"--rate={rate}"]
    if host is not None:
        command += ["-h", host]
    if database is not None:
        command.append(database)
    result = subprocess.run(command, capture_output=True, text=True,
                            check=True)
    return float(re.search(r"^tps = ([0-9.]+)", result.stdout,
                           re.MULTILINE)[1])


def percentile(values, share):
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


class Probe:
    """Changes a customer and looks for the new score, again and again."""

    def __init__(self, bench, seconds):
        self.seconds = seconds
        self.session = Session()
        self.session.run("PREPARE look (text) AS SELECT scored_at FROM"
                         " churn.predictions WHERE customer_key = $1"
                         " AND model = 'customers'")
        self.session.run("PREPARE change (int, int, float8) AS"
                         " UPDATE customers SET tenure = $2,"
                         " monthly_charges = $3 WHERE number = $1"
                         " RETURNING customer_id")
        self.random = random.Random()

    def once(self):
        """Milliseconds from commit to visible; None if the score is the
        same, so that nothing is written."""
        number = self.random.randint(1, PROBES)
        key = self.session.value("SELECT customer_id FROM customers"
                                 f" WHERE number = {number}")
        look = f"EXECUTE look ('{key}')"
        before = self.session.value(look)
        self.session.run(
            f"EXECUTE change ({number}, {self.random.randint(0, 72)},"
            f" {self.random.randint(1800, 12000) / 100})")
        start = time.perf_counter()
        while self.session.value(look) == before:
            if time.perf_counter() > start + 1:
                return None
            time.sleep(0.0002)
        return (time.perf_counter() - start) * 1000

    def run(self):
        end = time.monotonic() + self.seconds
        times, same = [], 0
        while time.monotonic() < end:
            value = self.once()
            if value is None:
                same += 1
            else:
                times.append(value)
            time.sleep(0.01)
        self.session.close()
        return times, same


def measure_latency(bench, stream):
    """From commit to visible at 1,000 updates a second."""
    stream.watch()
    seconds = 5 if bench.quick else 30
    halves, shares = [], []
    for _ in range(bench.runs):
        load = threading.Thread(target=pgbench, args=(bench, "customers"),
                                kwargs={"seconds": seconds + 2, "clients": 4,
                                        "rate": 1000})
        load.start()
        time.sleep(1)
        times, same = Probe(bench, seconds).run()
        load.join()
        halves.append(percentile(times, 0.5) / 1000)
        shares.append(percentile(times, 0.99) / 1000)
        say(f"   {len(times)} probes ({same} whose score stayed): p50"
            f" {show_time(halves[-1])}, p95"
            f" {show_time(percentile(times, 0.95) / 1000)}, p99"
            f" {show_time(shares[-1])}")
    alone(bench, "commit to visible at 1,000 updates/s, p50", halves, 0.005,
          show_time)
    alone(bench, "commit to visible at 1,000 updates/s, p99", shares, 0.025,
          show_time)
    stream.wait()
    bench.note("churn.stream_status, commit to commit of the score, p50, p95,"
               " p99 in ms: " + ", ".join(f"{value:.1f}" for value in
                                          stream.session.row(
        "SELECT latency_p50_ms, latency_p95_ms, latency_p99_ms"
        " FROM churn.stream_status")))


def pile_up(bench, stream, number=100000):
    """Stops the worker and makes single-row transactions."""
    if bench.quick:
        number = 4000
    stream.hold()
    pgbench(bench, "customers", number=number)
    return number


def at_least(bench, what, figures, target, show):
    bench.lines.append(Line(what, "alone", figures, [], target, True, show))


def measure_rate(bench, stream):
    """Changes a CPU second of the worker, single-row transactions."""
    stream.watch()
    for log, retention in (("on", None), ("off", "0")):
        stream.setting("churn.log_retention", retention)
        drained, written, live = [], [], []
        pile_up(bench, stream)
        stream.go()
        for _ in range(bench.runs):
            stream.session.run("CHECKPOINT")
            pile_up(bench, stream)
            before = stream.figures()
            _, cpu = stream.go()
            after = stream.figures()
            drained.append((after["changes"] - before["changes"]) / cpu)
            written.append((after["written"] - before["written"]) /
                           (after["changes"] - before["changes"]))
            before, cpu = stream.figures(), cpu_of(stream.pid())
            pgbench(bench, "customers", seconds=2 if bench.quick else 10)
            stream.wait()
            live.append((stream.figures()["changes"] - before["changes"]) /
                        (cpu_of(stream.pid()) - cpu))
        at_least(bench, f"changes a CPU second of the worker, log {log}",
                 drained, 40000, show_rate)
        at_least(bench, f"the same while 2 clients write, log {log}", live,
                 None, show_rate)
        bench.note(f"log {log}: {statistics.median(written):.1%} of the changes"
                   " wrote a prediction, the others met a later one of the"
                   " customer in their batch or left the score")
    stream.setting("churn.log_retention")


def null_loop(end):
    """Seconds of decoding all changes up to a position with nothing watched,
    in one process, and how many lines that printed.  The transaction in
    which nothing is watched is rolled back."""
    connection = psycopg2.connect("")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM churn.watches")
        start = time.perf_counter()
        cursor.execute("SELECT count(*) FROM pg_logical_slot_peek_changes("
                       "'null_loop', %s, NULL)", (end,))
        seconds = time.perf_counter() - start
        lines = cursor.fetchone()[0]
    connection.rollback()
    connection.close()
    return seconds, lines


def rescore_all(bench, stream, change):
    """Has all customers changed while the worker stands still; returns the
    seconds that it takes to rescore them, and its peak memory."""
    stream.session.run("CHECKPOINT")
    stream.hold()
    before = stream.figures()
    stream.session.run("UPDATE customers SET " + change)
    with Peak(stream.pid_held) as peak:
        seconds, _ = stream.go()
    after = stream.figures()
    changes = after["changes"] - before["changes"]
    bench.check(changes == bench.rows,
                f"bulk: {changes} of {bench.rows} changes are rescored")
    writing = after["write_seconds"] - before["write_seconds"]
    return seconds, peak.most, writing


def measure_bulk(bench, stream):
    """An UPDATE of all rows: decoding and scoring beside a null loop."""
    stream.watch()
    session = stream.session
    ours, nulls, totals, peaks = [], [], [], []
    for run in range(bench.runs):
        # no score changes; predictions are looked up all the same, which the
        # worker counts as writing
        session.run("SELECT pg_create_logical_replication_slot('null_loop',"
                    " 'churn')")
        seconds, _, writing = rescore_all(bench, stream, "tenure = tenure")
        ours.append(seconds - writing)
        end = session.value("SELECT pg_current_wal_flush_lsn()")
        seconds, lines = null_loop(end)
        nulls.append(seconds)
        bench.check(lines == 0, "bulk: the null loop prints nothing")
        session.run("SELECT pg_drop_replication_slot('null_loop')")
        session.run("VACUUM customers")
        seconds, most, _ = rescore_all(
            bench, stream, "tenure = (tenure + 7) % 73, monthly_charges ="
            f" monthly_charges + 1 - 2 * {run % 2}")
        totals.append(seconds)
        peaks.append(most)
        say(f"   {ours[-1]:.2f} s without writing, null loop"
            f" {nulls[-1]:.2f} s; {totals[-1]:.2f} s with all to write, peak"
            f" {show_bytes(peaks[-1])}")
        bench.check(Probe(bench, 1).run()[0],
                    "bulk: other changes are rescored afterwards")
        session.run("VACUUM customers, churn.predictions")
    wrong = session.value("""SELECT count(*) FROM customers c
        LEFT JOIN churn.predictions p ON p.customer_key = c.customer_id
        WHERE p.score IS DISTINCT FROM churn_score(c)""")
    bench.check(wrong == 0, f"bulk: {wrong} predictions are wrong")
    share_at_most(bench, "bulk update: decode + score : null loop",
                  (ours, nulls), 1.7)
    alone(bench, "bulk update: all of it, written", totals, None, show_time)
    alone(bench, "bulk update: peak memory of the worker", peaks,
          200 * 1048576, show_bytes)


def touch(session, *tables):
    """Has each page of the tables written since the last checkpoint, so that
    none is logged as a whole any more: all but the first seconds between two
    checkpoints are like that."""
    for table in tables:
        session.run(f"SELECT count(*) FROM (SELECT FROM {table} FOR UPDATE) t")


class Apart:
    """Meanwhile the worker has a processor of its own, and both servers and
    their clients share the others."""

    def __init__(self, stream, plain):
        self.all = os.sched_getaffinity(0)
        self.worker = stream.pid()
        self.others = [0]       # which is ourselves, and what we start
        for session in (stream.session, plain):
            self.others.append(parent_of(session.pid()))
            session.run("SELECT pid FROM pg_stat_activity")
            self.others += [pid for pid, in session.cursor
                            if pid != self.worker]

    def place(self, worker, others):
        for pid in self.others:
            os.sched_setaffinity(pid, others)
        os.sched_setaffinity(self.worker, worker)

    def __enter__(self):
        last = max(self.all)
        self.place({last}, self.all - {last})

    def __exit__(self, *_):
        self.place(self.all, self.all)


class Writers:
    """Clients that update, here and on the server without the extension."""

    def __init__(self, bench, stream, clients):
        self.bench = bench
        self.stream = stream
        self.clients = clients
        self.seconds = 3 if bench.quick else 10
        self.shares = []        # of a core, that the worker took

    def write(self, table="customers", **options):
        return pgbench(self.bench, table, clients=self.clients,
                       seconds=self.seconds, **options)

    def watched(self):
        pid = self.stream.pid()
        before = cpu_of(pid)
        rate = self.write()
        self.shares.append((cpu_of(pid) - before) / self.seconds)
        self.stream.wait()
        return rate

    def plain(self):
        return self.write(host=self.bench.plain, database="postgres")

    def trigger(self):
        self.stream.hold()      # what the worker would take is the peer's
        rate = self.write("customers_trigger")
        self.stream.go()
        return rate

    def compare(self, plain_session):
        bench, name = self.bench, f"{self.clients} writers"
        if len(os.sched_getaffinity(0)) > 1:
            with Apart(self.stream, plain_session):
                rates = alternate(bench.runs, self.watched, self.plain)
            share_at_least(
                bench, f"{name} : no extension, worker on a core apart",
                rates, 0.97)
        else:
            bench.note("there is no core that the worker could have apart")
        self.shares.clear()
        watched, plain, trigger = alternate(
            bench.runs, self.watched, self.plain, self.trigger)
        cores = os.cpu_count()
        share_at_least(bench, f"{name} : no extension, times cores without it",
                       ([rate * cores / (cores - share) for rate, share
                         in zip(watched, self.shares[1:])], plain), None)
        share_at_least(bench, f"{name} : no extension, as it is",
                       (watched, plain), None)
        # the disk sets the pace of a few: even without us it would not be 1.3
        more(bench, f"{name} : trigger that scores and upserts",
             (watched, trigger), 1.3 if self.clients == max(WRITERS) else None)
        more(bench, f"{name} : the same, without the extension",
             (plain, trigger), None)
        bench.note(f"beside {name} the worker took"
                   f" {statistics.median(self.shares[1:]):.0%} of a core")


def measure_writers(bench, stream):
    """Writers' throughput, beside no extension and beside a trigger."""
    stream.watch()
    copy = subprocess.run(
        f"pg_dump --no-owner -t customers bench | psql -qX -h '{bench.plain}'"
        " -d postgres", shell=True, capture_output=True, text=True,
        check=False)
    if copy.returncode != 0:
        raise RuntimeError(copy.stderr)
    with_plain = Session(host=bench.plain, dbname="postgres")
    with_plain.run("VACUUM (FREEZE, ANALYZE) customers")
    for statement in TRIGGER.split("\n\n"):
        stream.session.run(statement)
    with_plain.run("CHECKPOINT")
    stream.session.run("CHECKPOINT")
    touch(with_plain, "customers")
    touch(stream.session, "customers", "churn.predictions",
          "customers_trigger", "predictions_trigger")
    for clients in WRITERS:
        Writers(bench, stream, clients).compare(with_plain)
    with_plain.close()
    stream.session.run("DROP TABLE customers_trigger, predictions_trigger")


def measure_consumer(bench, stream):
    """The rate beside a consumer of wal2json in Python."""
    stream.watch()
    session = stream.session
    session.run("SELECT pg_create_logical_replication_slot('consumer',"
                " 'wal2json')")
    session.run("CREATE TABLE predictions_peer"
                " (LIKE churn.predictions INCLUDING ALL)"
                " WITH (fillfactor = 85)")
    session.run("INSERT INTO predictions_peer SELECT * FROM churn.predictions")
    session.run("VACUUM ANALYZE predictions_peer")
    rates = {"0": ([], []), None: ([], [])}
    command = [sys.executable, "-B", bench.peer("wal2json.py"),
               bench.data.model_path, "1", "consumer", "predictions_peer",
               "5000"]
    # the first touch of a page after a checkpoint logs the page: so many
    # changes that this is as rare as it is at such a rate
    session.run("CHECKPOINT")
    with Helper(command) as consumer:
        consumer.ask("go")
        for run in range(bench.runs + 1):
            for retention, (ours, peer) in rates.items():
                stream.setting("churn.log_retention", retention)
                number = pile_up(bench, stream, 200000)
                seconds, _ = stream.go()
                changes, peer_seconds = consumer.ask("go").split()
                bench.check(int(changes) == number,
                            f"the consumer gets {changes} of {number} changes")
                if run > 0:
                    ours.append(number / seconds)
                    peer.append(number / float(peer_seconds))
    gap = session.value("SELECT max(abs(a.score - b.score)) FROM"
                        " churn.predictions a JOIN predictions_peer b"
                        " USING (customer_key)")
    bench.check(gap < 1e-6, "scores of the consumer agree, the largest"
                f" difference is {gap:.1e}")
    session.run("SELECT pg_drop_replication_slot('consumer')")
    session.run("DROP TABLE predictions_peer")
    more(bench, "changes a second : wal2json + Python", rates["0"], 10)
    more(bench, "the same with churn.prediction_log, which the peer has not",
         rates[None], None)
    bench.note("the worker keeps no log in the former, like the peer")


def measure_idle(bench, stream):
    """The processor time of a worker that has nothing to do."""
    stream.watch()
    stream.wait()
    seconds = 3 if bench.quick else 20
    shares = []
    time.sleep(1)
    for _ in range(bench.runs):
        before = cpu_of(stream.pid())
        time.sleep(seconds)
        shares.append((cpu_of(stream.pid()) - before) / seconds)
    alone(bench, "idle CPU of the worker, of a core", shares, 0.02,
          lambda share: f"{share:.2%}")


def measure_week(bench, stream):
    """Log that the slot holds while unrelated traffic switches segments."""
    stream.watch()
    number = 200 if bench.quick else 10000
    stream.setting("max_wal_size", "1GB")
    other = Session(dbname="postgres")
    here = Session()
    for session in (other, here):
        session.run("CREATE TABLE IF NOT EXISTS heartbeat (at timestamptz)")
    most, start = 0, time.monotonic()
    for i in range(number):
        session = (other, here)[i % 2]
        session.run("INSERT INTO heartbeat VALUES (now())")
        session.run("SELECT pg_switch_wal()")
        most = max(most, stream.session.value(
            "SELECT pg_current_wal_lsn() - restart_lsn"
            " FROM pg_replication_slots WHERE plugin = 'churn'"))
        time.sleep(PAUSE)
    say(f"   {number} switches in {time.monotonic() - start:.0f} s")
    for session in (other, here):
        session.run("DROP TABLE heartbeat")
        session.close()
    stream.setting("max_wal_size")
    alone(bench, f"log held during {number} WAL switches", [int(most)],
          64 * 1048576, show_bytes)


MEASURES = [
    ("latency", measure_latency), ("rate", measure_rate),
    ("bulk", measure_bulk), ("writers", measure_writers),
    ("consumer", measure_consumer), ("idle", measure_idle),
    ("week", measure_week),
]


def read_options():
    parser = argparse.ArgumentParser(prog="bench/stream")
    parser.add_argument("--rows", type=int, default=1000000)
    parser.add_argument("--runs", type=int)
    parser.add_argument("--only", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--work", default=".")
    parser.add_argument("--plain", default="")
    parser.add_argument("--load", type=float, default=0)
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.runs is None:
        options.runs = 2 if options.quick else 3
    wanted = [name for name in options.only.split(",") if name]
    known = [name for name, _ in MEASURES]
    for name in wanted:
        if name not in known:
            parser.error(f"no measure \"{name}\"; there are: "
                         + ", ".join(known))
    options.wanted = wanted or known
    return options


def main():
    options = read_options()
    if options.list:
        for name, function in MEASURES:
            say(f"{name:10} {function.__doc__.splitlines()[0]}")
        return 0
    import dataset
    from measure import describe
    bench = Bench(options.rows, options.runs, options.quick, options.work)
    bench.plain = options.plain
    judge = not options.quick
    start = time.monotonic()
    say("\n== Customers and model")
    header = describe(bench, options.load)
    dataset.set_up(bench)
    stream = Stream(bench)
    for name, function in MEASURES:
        if name not in options.wanted:
            continue
        say(f"\n== {name}: {function.__doc__.splitlines()[0]}")
        began = time.monotonic()
        before = len(bench.lines)
        function(bench, stream)
        say(f"   {time.monotonic() - began:.0f} s")
        print_lines(bench.lines[before:], judge)
    errors = stream.session.value("SELECT json_agg(e) FROM churn.errors e")
    bench.check(errors is None, f"churn.errors is empty: {json.dumps(errors)}")
    say(f"\n== {bench.rows} customers, {dataset.ROUNDS} trees of depth 6,"
        f" medians of {bench.runs} runs,"
        f" {(time.monotonic() - start) / 60:.0f} minutes\n")
    print_report(bench, judge)
    if options.json:
        write_json(bench, options.json, header)
    if not all(passed for passed, _ in bench.checks):
        return 1
    if options.strict and judge and any(line.passed() is False
                                        for line in bench.lines):
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
