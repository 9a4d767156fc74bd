"""Measures of one customer at a time."""
import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time

from harness import (Session, alone, alternate, connect, more, share_at_least,
                     show_bytes, show_rate, show_time)

COLUMNS = "customer_id, contract, total_charges"
WITHOUT = f"SELECT {COLUMNS} FROM customers c WHERE number = {{}}"
WITH = f"SELECT {COLUMNS}, churn_score(c.*) FROM customers c" \
    " WHERE number = {}"

CLIENTS = (1, 2, 20, 100)


class Pgbench:
    """Runs a statement for random customers as fast as it goes."""

    def __init__(self, bench, name, statement):
        self.bench = bench
        self.file = bench.path(name + ".sql")
        self.warm_up, self.seconds = (1, 2) if bench.quick else (2, 5)
        with open(self.file, "w", encoding="utf-8") as file:
            file.write("\\set number random(1, :rows)\n"
                       + statement.format(":number") + ";\n")

    def rate(self, clients):
        """Transactions a second.  The first seconds do not count: in them
        each new connection fills its caches and loads the model."""
        result = subprocess.run(
            ["pgbench", "-n", "-M", "prepared", "-f", self.file,
             "-D", f"rows={self.bench.rows}", "-c", str(clients),
             "-j", str(min(clients, os.cpu_count())), "-P", "1",
             "-T", str(self.warm_up + self.seconds)],
            capture_output=True, text=True, check=True)
        seconds = re.findall(r"^progress: ([0-9.]+) s, ([0-9.]+) tps",
                             result.stderr, re.MULTILINE)
        rates = [float(rate) for when, rate in seconds
                 if float(when) > self.warm_up + 0.5]
        return statistics.mean(rates)


def measure_lookup(bench):
    """Look-up by key with the score, against the same look-up without."""
    with_score = Pgbench(bench, "with", WITH)
    without = Pgbench(bench, "without", WITHOUT)
    for clients in (1, 2) if bench.quick else CLIENTS:
        rates = alternate(bench.runs, lambda: with_score.rate(clients),
                          lambda: without.rate(clients))
        share_at_least(bench, f"look-up with score : without, {clients}"
                       f" client{'s' if clients > 1 else ''}", rates, 0.75)


class Service:
    """uvicorn with the service, and wrk to ask it."""

    def __init__(self, bench, workers):
        self.bench = bench
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [sys.executable, "-B", "-m", "uvicorn", "service:app",
             "--app-dir", os.path.dirname(bench.peer("service.py")),
             "--host", "127.0.0.1", "--port", str(self.port),
             "--workers", str(workers), "--loop", "uvloop",
             "--http", "httptools", "--no-access-log",
             "--log-level", "warning"],
            env=os.environ | {"CHURN_BENCH_MODEL": bench.data.model_path})
        self.bodies = bench.path("bodies")
        for _ in range(300):
            try:
                self.score({})
                return
            except OSError:
                time.sleep(0.1)
        self.process.terminate()
        raise RuntimeError("uvicorn did not start")

    def score(self, customer):
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("POST", "/score", json.dumps(customer),
                           {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer["score"]

    def rate(self, seconds):
        """Requests a second over 8 connections that stay open."""
        result = subprocess.run(
            ["wrk", "-t", "1", "-c", "8", "-d", f"{seconds}s",
             "-s", self.bench.peer("service.lua"),
             f"http://127.0.0.1:{self.port}", "--", self.bodies],
            capture_output=True, text=True, check=True)
        rate, errors = result.stdout.strip().splitlines()[-1].split()
        if int(errors) > 0:
            raise RuntimeError(f"the service failed {errors} times")
        return float(rate)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def write_bodies(bench, service):
    """The requests, and whether the service's scores are ours."""
    session = Session()
    columns = ", ".join(f'"{name}"' for name in bench.data.names())
    session.run(f"""
        SELECT (SELECT to_json(f) FROM (SELECT {columns}) AS f),
               churn_score(c.*)
        FROM customers c WHERE number <= 1000 ORDER BY number""")
    rows = session.cursor.fetchall()
    session.close()
    with open(service.bodies, "w", encoding="utf-8") as file:
        for customer, _ in rows:
            file.write(json.dumps(customer) + "\n")
    gap = max(abs(service.score(customer) - score)
              for customer, score in rows[:200])
    bench.check(gap < 1e-7, "scores of the service agree, the largest"
                f" difference is {gap:.1e}")


def measure_service(bench):
    """8 connections that look up a customer and the score, against 8 that
    post a customer to the service."""
    seconds = 2 if bench.quick else 5
    rates = {}
    for workers in (1, os.cpu_count()):
        with Service(bench, workers) as service:
            write_bodies(bench, service)
            service.rate(seconds)
            rates[workers] = service.rate(seconds)
    workers = max(rates, key=rates.get)
    bench.note("the service's rate with " + " and ".join(
        f"{n} process{'es' if n > 1 else ''}: {show_rate(rate)}"
        for n, rate in rates.items()) + f"; measured with {workers}")
    ours = Pgbench(bench, "with", WITH)
    with Service(bench, workers) as service:
        more(bench, "look-up with score : FastAPI + uvicorn + xgboost",
             alternate(bench.runs, lambda: ours.rate(8),
                       lambda: service.rate(seconds)), 12)


def resident(pid):
    """Bytes of memory that are the process's own."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        for line in file:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    raise RuntimeError("/proc has no RssAnon")


def attached(pid):
    """Bytes of dynamic shared memory that the process has mapped."""
    total = 0
    with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
        for line in file:
            if "/dev/shm/PostgreSQL." in line:
                start, end = line.split()[0].split("-")
                total += int(end, 16) - int(start, 16)
    return total


def model_memory(statement):
    """What a new backend holds after a score beyond what it held after the
    same look-up without: contexts of the model and its shared tables, all
    contexts, and resident memory of its own."""
    session = Session()
    contexts = ("SELECT coalesce(sum(total_bytes) FILTER"
                " (WHERE name = 'churn model'), 0), sum(total_bytes)"
                " FROM pg_backend_memory_contexts")
    session.row(WITHOUT.format(1))
    session.row(contexts)
    _, before = session.row(contexts)
    resident_before = resident(session.pid())
    attached_before = attached(session.pid())
    session.row(statement)
    resident_after = resident(session.pid())
    tables = attached(session.pid()) - attached_before
    model, after = session.row(contexts)
    session.close()
    return (int(model) + tables, int(after - before),
            resident_after - resident_before, tables)


def first_query(statement):
    """Seconds that the first query of a new connection takes."""
    connection = connect()
    cursor = connection.cursor()
    start = time.perf_counter()
    cursor.execute(statement)
    cursor.fetchone()
    seconds = time.perf_counter() - start
    connection.close()
    return seconds


def measure_connect(bench):
    """The first score of a new connection, and the model's memory."""
    times = alternate(max(bench.runs, 5) * 4,
                      lambda: first_query(WITH.format(7)),
                      lambda: first_query(WITHOUT.format(7)))
    alone(bench, "first query with score of a connection : without", times[0],
          0.010, show_time, times[1])
    model, contexts, process, tables = zip(*(model_memory(WITH.format(1))
                                     for _ in range(bench.runs)))
    alone(bench, "memory that the model takes in a backend", list(model),
          2.5 * 1048576, show_bytes)
    bench.check(min(model) > min(tables),
                "the memory context \"churn model\" is there")
    bench.note(f"{show_bytes(statistics.median(tables))} of them are tables"
               " that all backends share")
    bench.note("a backend's memory contexts grow by"
               f" {show_bytes(statistics.median(contexts))} with the first"
               " score, its resident memory by"
               f" {show_bytes(statistics.median(process))}")
