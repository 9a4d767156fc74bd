"""Runs the measures and prints the table.  bench/run calls this."""
import argparse
import os
import platform
import sys
import time

from harness import (Bench, Session, print_lines, print_report, say,
                     write_json)

# Name, module and function, what it is, and in which order.
MEASURES = [
    ("predict", "scoring", "measure_predict",
     "scoring a table, beside XGBoost's batch prediction in memory"),
    ("scan", "scoring", "measure_scan",
     "scoring a table, beside a plain scan"),
    ("ways", "scoring", "measure_ways",
     "scoring through views, partitions, prepared statements, PL/pgSQL"),
    ("explain", "explaining", "measure_explain",
     "explaining 100,000 scores, beside XGBoost's pred_contribs in memory"),
    ("drift", "drift", "measure_drift",
     "churn_drift(), beside plain aggregates of the same columns"),
    ("table", "tables", "measure_table",
     "CREATE TABLE AS with scores, beside a round trip through Python"),
    ("rescore", "tables", "measure_rescore",
     "churn_rescore(), beside Python doing the same upsert"),
    ("lookup", "serving", "measure_lookup",
     "look-up by key with and without score, pgbench"),
    ("service", "serving", "measure_service",
     "look-up by key with score, beside FastAPI + uvicorn + xgboost"),
    ("connect", "serving", "measure_connect",
     "first score of a new connection, memory of the model"),
    ("train", "training", "measure_train",
     "churn_train(), beside COPY + pandas + xgboost.train"),
]


def read_options():
    parser = argparse.ArgumentParser(prog="bench/run")
    parser.add_argument("--rows", type=int, default=1000000)
    parser.add_argument("--runs", type=int)
    parser.add_argument("--only", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--work", default=".")
    parser.add_argument("--load", type=float, default=0)
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.runs is None:
        options.runs = 3 if options.quick else 5
    wanted = [name for name in options.only.split(",") if name]
    known = [name for name, *_ in MEASURES]
    for name in wanted:
        if name not in known:
            parser.error(f"no measure \"{name}\"; there are: "
                         + ", ".join(known))
    options.wanted = wanted or known
    return options


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def describe(bench, load):
    """The machine and the versions, for the record."""
    import pandas
    import xgboost
    session = Session()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    header = {
        "processor": processor(), "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30), "load": load,
        "postgresql": session.value("SHOW server_version"),
        "shared_buffers": session.value("SHOW shared_buffers"),
        "xgboost": xgboost.__version__, "pandas": pandas.__version__,
        "python": platform.python_version(),
        "rows": bench.rows, "runs": bench.runs}
    session.close()
    say(f"{header['processor']}, {header['cores']} cores,"
        f" {header['memory_gib']} GiB; PostgreSQL {header['postgresql']}"
        f" (shared_buffers {header['shared_buffers']}); XGBoost"
        f" {header['xgboost']}, pandas {header['pandas']}, Python"
        f" {header['python']}")
    if load > 0.5:
        say(f"warning: the machine was busy before (load {load:.1f});"
            " the figures may be noisy")
    return header


def main():
    options = read_options()
    if options.list:
        for name, _, _, what in MEASURES:
            say(f"{name:10} {what}")
        return 0
    import dataset
    bench = Bench(options.rows, options.runs, options.quick, options.work)
    start = time.monotonic()
    judge = not options.quick
    say("\n== Customers and model")
    header = describe(bench, options.load)
    dataset.set_up(bench)
    for name, module, function, what in MEASURES:
        if name in options.wanted:
            say(f"\n== {name}: {what}")
            began = time.monotonic()
            before = len(bench.lines)
            getattr(__import__(module), function)(bench)
            say(f"   {time.monotonic() - began:.0f} s")
            print_lines(bench.lines[before:], judge)

    say(f"\n== {bench.rows} customers, {dataset.ROUNDS} trees of depth 6,"
        f" medians of {bench.runs} alternating runs,"
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
