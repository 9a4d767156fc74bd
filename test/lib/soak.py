"""The load of test/soak: clients that change customers and record what they
changed, a killer, and what both came to.  The verdict is soak_check.py's.

Every change is recorded in the table audit by its own statement, so that both
are committed or neither is; and since the number of the record is drawn once
the customer's row is locked, the numbers of a customer's records are in the
order in which the changes were committed.
"""
import argparse
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time

import psycopg2

import soak_check

CUSTOMERS = 3000
KEYS = 3600             # customers that could be: some do not exist
RATE = 40               # transactions a second and client, at most
MODEL = "customers"

RECORD = "INSERT INTO audit (tx, key, row) SELECT %(tx)s, "
AFTER = RECORD + "customer_id, to_jsonb(ch) - 'note' FROM ch"
CHANGES = {
    "update": "WITH ch AS (UPDATE customers c SET {set} FROM pool p"
              " WHERE c.customer_id = %(key)s AND p.n = %(n)s RETURNING c.*) "
              + AFTER,
    "touch": "WITH ch AS (UPDATE customers c SET paperless_billing ="
             " c.paperless_billing WHERE c.customer_id = %(key)s"
             " RETURNING c.*) " + AFTER,
    "note": "WITH ch AS (UPDATE customers c SET note = repeat(%(letter)s, 3000)"
            " WHERE c.customer_id = %(key)s RETURNING c.*) " + AFTER,
    "insert": "WITH ch AS (INSERT INTO customers (customer_id, note, {names})"
              " SELECT %(key)s, %(note)s, {names} FROM pool p"
              " WHERE p.n = %(n)s ON CONFLICT DO NOTHING RETURNING *) "
              + AFTER,
    "delete": "WITH ch AS (DELETE FROM customers c"
              " WHERE c.customer_id = %(key)s RETURNING c.*) "
              + RECORD + "customer_id, NULL FROM ch",
    "rename": "WITH ch AS (UPDATE customers c SET customer_id = %(new)s"
              " WHERE c.customer_id = %(key)s AND NOT EXISTS (SELECT FROM"
              " customers o WHERE o.customer_id = %(new)s) RETURNING c.*) "
              + RECORD + "v.k, v.r FROM ch CROSS JOIN LATERAL (VALUES"
              " (%(key)s, NULL::jsonb),"
              " (ch.customer_id, to_jsonb(ch) - 'note')) AS v (k, r)",
    "many": "WITH ch AS (UPDATE customers c SET {set} FROM pool p"
            " WHERE c.customer_id BETWEEN %(key)s AND %(last)s"
            " AND p.n = %(n)s RETURNING c.*) " + AFTER,
}
CHOICES = ["update"] * 54 + ["touch"] * 4 + ["note"] * 6 + ["insert"] * 18 + \
    ["delete"] * 10 + ["rename"] * 6 + ["many"] * 2
ALTERS = [
    "ALTER COLUMN tenure TYPE bigint", "ALTER COLUMN tenure TYPE integer",
    "ALTER COLUMN tenure TYPE numeric", "ALTER COLUMN tenure TYPE smallint",
    "ALTER COLUMN monthly_charges TYPE numeric",
    "ALTER COLUMN monthly_charges TYPE double precision",
    "ADD COLUMN IF NOT EXISTS extra text DEFAULT 'something'",
    "ADD COLUMN IF NOT EXISTS other integer", "DROP COLUMN IF EXISTS extra",
    "DROP COLUMN IF EXISTS other", "ALTER COLUMN contract TYPE varchar(40)",
    "ALTER COLUMN contract TYPE text",
]


def connect():
    return psycopg2.connect("", connect_timeout=5)


def key_of(number):
    return f"C{number:05d}"


class Client:
    """Changes customers until told to stop."""

    def __init__(self, number, options, columns, stop, results):
        self.number = number
        self.random = random.Random(options.seed * 1000 + number)
        self.columns = columns
        self.stop = stop
        self.results = results
        self.count = {"committed": 0, "rolled back": 0, "in savepoints": 0,
                      "failed": 0, "lost connections": 0, "altered": 0}
        self.unknown = []       # transactions whose COMMIT got no answer
        self.connection = None
        self.tx = ""
        self.alter_at = time.monotonic() + 3 + 2 * number

    def one_change(self, cursor):
        kind = self.random.choice(CHOICES)
        number = self.random.randrange(KEYS)
        some = self.random.sample(self.columns, 4)
        statement = CHANGES[kind].format(
            set=", ".join(f'"{name}" = p."{name}"' for name in some),
            names=", ".join(f'"{name}"' for name in self.columns))
        cursor.execute(statement, {
            "tx": self.tx, "key": key_of(number),
            "new": key_of(self.random.randrange(KEYS)),
            "last": key_of(number + self.random.randrange(20, 200)),
            "n": self.random.randint(1, CUSTOMERS),
            "letter": self.random.choice("abcdefgh"),
            "note": "n" * 3000 if self.random.random() < 0.3 else None})

    def some_changes(self, cursor):
        for _ in range(self.random.choice((1, 1, 1, 2, 3, 5))):
            self.one_change(cursor)

    def in_savepoints(self, cursor):
        """Changes of which a part is rolled back."""
        for depth in range(self.random.randint(1, 3)):
            cursor.execute(f"SAVEPOINT s{depth}")
            self.some_changes(cursor)
        if self.random.random() < 0.7:
            cursor.execute(
                f"ROLLBACK TO SAVEPOINT s{self.random.randint(0, depth)}")
            self.some_changes(cursor)
        else:
            cursor.execute("RELEASE SAVEPOINT s0")

    def alter(self, cursor):
        cursor.execute("SET LOCAL lock_timeout = '2s'")
        before = self.random.random() < 0.5
        if before:
            self.some_changes(cursor)
        cursor.execute("ALTER TABLE customers "
                       + self.random.choice(ALTERS))
        if not before or self.random.random() < 0.5:
            self.some_changes(cursor)

    def transaction(self):
        """One transaction; False if the connection is lost."""
        self.tx = f"{self.number}-{sum(self.count.values())}-{time.time():.6f}"
        fate = self.random.random()
        what = "committed"
        committing = False
        try:
            if self.connection is None:
                self.connection = connect()
            with self.connection.cursor() as cursor:
                if time.monotonic() > self.alter_at:
                    self.alter_at = time.monotonic() + \
                        self.random.uniform(5, 15)
                    self.alter(cursor)
                    what = "altered"
                else:
                    self.some_changes(cursor)
                if 0.15 <= fate < 0.30:
                    self.in_savepoints(cursor)
                    what = "in savepoints"
            if fate < 0.15:
                self.connection.rollback()
                what = "rolled back"
            else:
                committing = True
                self.connection.commit()
            self.count[what] += 1
            return True
        except psycopg2.Error as error:
            # what a statement failed for has a code, a dead server has not
            if self.connection is not None and not self.connection.closed \
                    and error.pgcode and not error.pgcode.startswith("57P"):
                self.connection.rollback()
                self.count["failed"] += 1
                return True
            if committing:
                self.unknown.append(self.tx)
            self.count["lost connections"] += self.connection is not None
            if self.connection is not None:
                self.connection.close()
            self.connection = None
            return False

    def run(self):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while not self.stop.is_set():
            start = time.monotonic()
            if self.transaction():
                time.sleep(max(0, start + 1 / RATE - time.monotonic()))
            else:
                time.sleep(0.1)
        if self.connection is not None:
            self.connection.close()
        self.results.put((self.count, self.unknown))


def run_client(*arguments):
    Client(*arguments).run()


class Server:
    """The private server: what is known of its processes, how it starts."""

    def __init__(self, options):
        self.options = options

    def control(self, *arguments):
        return subprocess.run(
            [os.path.join(self.options.bin, "pg_ctl"), "-D",
             self.options.data, "-w", "-t", "60", *arguments],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            check=False).returncode == 0

    def start(self):
        """Starts it; what is left of a killed one may need a moment."""
        for _ in range(60):
            if self.control("-l", self.options.log, "start"):
                return
            time.sleep(0.5)
        raise RuntimeError("the server does not start")

    def postmaster(self):
        with open(os.path.join(self.options.data, "postmaster.pid"),
                  encoding="ascii") as file:
            return int(file.readline())

    def value(self, statement, *arguments):
        """A value, or None while there is no server."""
        try:
            connection = connect()
            try:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute(statement, arguments or None)
                    row = cursor.fetchone() if cursor.description else None
                    return row[0] if row else None
            finally:
                connection.close()
        except psycopg2.Error:
            return None

    def worker(self):
        return self.value("SELECT pid FROM churn.stream_status")

    def launcher(self):
        return self.value("SELECT pid FROM pg_stat_activity"
                          " WHERE backend_type = 'churn launcher'")


def kill(pid, number):
    if pid is None:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


class Killer(threading.Thread):
    """Kills something every few seconds, and now and then promotes the other
    version of the model, which leaves it to this one to be the challenger."""

    def __init__(self, server, options, until):
        super().__init__()
        self.server = server
        self.random = random.Random(options.seed)
        self.until = until
        self.count = {}
        self.error = None

    def at_point(self):
        """Kills the worker once it stands at a debug point."""
        point = self.random.choice(("decode", "upsert", "commit", "confirm"))
        set_point = "ALTER SYSTEM SET churn.debug_point = '%s'"
        self.server.value(set_point % point)
        self.server.value("SELECT pg_reload_conf()")
        time.sleep(self.random.uniform(0.2, 0.8))
        done = kill(self.server.worker(), signal.SIGKILL)
        for _ in range(100):
            time.sleep(0.2)
            self.server.value("ALTER SYSTEM RESET churn.debug_point")
            if self.server.value("SELECT pg_reload_conf()"):
                break
        return done

    def immediate(self):
        done = self.server.control("-m", "immediate", "stop")
        self.server.start()
        return done

    def postmaster(self):
        done = kill(self.server.postmaster(), signal.SIGKILL)
        self.server.start()
        return done

    def promote(self):
        version = self.server.value(
            "SELECT 3 - champion FROM churn.models WHERE name = %s", MODEL)
        return version is not None and self.server.value(
            "SELECT churn_promote(%s, %s) IS NOT NULL,"
            " churn_set_challenger(%s, %s)", MODEL, version, MODEL,
            3 - version) is not None

    def run(self):
        ways = [
            ("worker killed", 5, lambda: kill(self.server.worker(),
                                              signal.SIGKILL)),
            ("worker terminated", 2, lambda: kill(self.server.worker(),
                                                  signal.SIGTERM)),
            ("worker killed at a debug point", 5, self.at_point),
            ("launcher killed", 1, lambda: kill(self.server.launcher(),
                                                signal.SIGKILL)),
            ("immediate shutdown", 2, self.immediate),
            ("postmaster killed", 1, self.postmaster),
            ("version promoted", 6, self.promote),
        ]
        deck = []
        try:
            while True:
                wait = self.random.uniform(1.5, 5)
                if time.monotonic() + wait > self.until:
                    break
                time.sleep(wait)
                if not deck:        # each as often as it is to be
                    deck = [(name, act) for name, weight, act in ways
                            for _ in range(weight)]
                    self.random.shuffle(deck)
                name, act = deck.pop()
                if act():
                    self.count[name] = self.count.get(name, 0) + 1
        except Exception as error:      # shown, and fails the run
            self.error = error


class Growth(threading.Thread):
    """Samples memory and descriptors of the worker."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server = server
        self.samples = []       # pid, bytes, descriptors
        self.done = threading.Event()

    def run(self):
        pid = None
        while not self.done.wait(0.5):
            try:
                if pid is None:
                    pid = self.server.worker()
                if pid is not None:
                    self.samples.append((pid, *soak_check.usage_of(pid)))
            except OSError:
                pid = None


def set_up():
    connection = connect()
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION churn")
        cursor.execute(f"""CREATE TABLE pool AS
            SELECT row_number() OVER () AS n, s.*
            FROM churn_sample_customers({CUSTOMERS}, 1) AS s""")
        cursor.execute("ALTER TABLE pool ADD PRIMARY KEY (n)")
        cursor.execute("ALTER TABLE pool DROP COLUMN customer_id")
        cursor.execute("SELECT string_agg(quote_ident(attname), ', ' ORDER BY"
                       " attnum), array_agg(attname::text ORDER BY attnum)"
                       " FROM pg_attribute WHERE attrelid = 'pool'::regclass"
                       " AND attnum > 0 AND NOT attisdropped"
                       " AND attname <> 'n'")
        names, columns = cursor.fetchone()
        cursor.execute(f"""CREATE TABLE customers AS
            SELECT 'C' || lpad(n::text, 5, '0') AS customer_id, {names},
                   CASE WHEN n %% 4 = 0 THEN repeat('n', 3000) END AS note
            FROM pool""".replace("%%", "%"))
        cursor.execute("ALTER TABLE customers ADD PRIMARY KEY (customer_id),"
                       " ALTER COLUMN note SET STORAGE EXTERNAL")
        cursor.execute("""CREATE TABLE audit (
            number bigserial PRIMARY KEY, tx text NOT NULL, key text NOT NULL,
            row jsonb)""")
        cursor.execute("INSERT INTO audit (tx, key, row) SELECT 'first',"
                       " customer_id, to_jsonb(c) - 'note' FROM customers c")
        for rounds, depth in ((40, 4), (25, 3)):
            cursor.execute(
                "SELECT FROM churn_train('customers', 'churn',"
                " exclude => '{note}', algorithm => 'xgboost', params =>"
                f" '{{\"rounds\": {rounds}, \"max_depth\": {depth}}}',"
                " options => '{\"folds\": 0, \"promote\": \"always\"}')")
        cursor.execute("SELECT percentile_cont(0.6) WITHIN GROUP"
                       " (ORDER BY churn_score(c.*)) FROM customers c")
        limit = cursor.fetchone()[0]
        condition = f"score >= {limit!r} AND previous_score < {limit!r}"
        cursor.execute("SELECT churn_add_alert_rule(%s, %s)",
                       (MODEL, condition))
        cursor.execute("SELECT churn_set_challenger(%s, 3 - champion)"
                       " FROM churn.models WHERE name = %s", (MODEL, MODEL))
        cursor.execute("SELECT churn_watch(%s)", (MODEL,))
    connection.close()
    return [name for name in columns], limit


def read_options():
    parser = argparse.ArgumentParser(prog="test/soak")
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--log", required=True)
    return parser.parse_args()


def main():
    options = read_options()
    server = Server(options)
    columns, limit = set_up()
    print(f"# {options.minutes:g} minutes, {options.clients} clients,"
          f" {CUSTOMERS} customers, alerts from {limit:.4f}", flush=True)
    start = time.monotonic()
    end = start + 60 * options.minutes
    calm = end - min(20 * options.minutes, 600)
    stop = multiprocessing.Event()
    results = multiprocessing.Queue()
    clients = [multiprocessing.Process(
        target=run_client, args=(i, options, columns, stop, results))
        for i in range(options.clients)]
    for client in clients:
        client.start()
    killer = Killer(server, options, calm)
    killer.start()
    killer.join()
    for _ in range(60):         # back at work before memory is looked at
        if server.worker() is not None:
            break
        time.sleep(0.5)
    growth = Growth(server)
    growth.start()
    time.sleep(max(0, end - time.monotonic()))
    growth.done.set()
    growth.join()
    stop.set()
    counts, unknown = {}, []
    for _ in clients:
        count, one_unknown = results.get(timeout=60)
        unknown += one_unknown
        for name, value in count.items():
            counts[name] = counts.get(name, 0) + value
    for client in clients:
        client.join()
    for title, figures in (("transactions", counts), ("kills", killer.count)):
        print(f"# {title}: " + ", ".join(
            f"{value} {name}" for name, value in figures.items()))
    sys.stdout.flush()
    verdict = soak_check.Verdict()
    verdict.check(killer.error is None, "the killer did its work",
                  [str(killer.error)])
    verdict.check(counts["committed"] > 0 and killer.count,
                  "there was load, and there were kills")
    soak_check.check_all(verdict, limit, unknown)
    soak_check.check_growth(verdict, growth.samples)
    return verdict.finish()


if __name__ == "__main__":
    sys.exit(main())
