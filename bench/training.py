"""The measure of training."""
import json
import os
import statistics
import subprocess
import sys
import threading

from dataset import PARAMS
from harness import (Session, alternate, share_at_most, show_bytes,
                     show_time)

# What of our parameters is not XGBoost's own.
OURS_ALONE = ("rounds", "early_stopping_rounds")


def status(pid, field):
    """A figure of /proc/PID/status in bytes; 0 when the process is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            for line in file:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children",
                  encoding="utf-8") as file:
            return [int(child) for child in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


class Watch:
    """Looks at a backend's own memory, and at its trainer's, while it
    works."""

    def __init__(self, pid):
        self.pid = pid
        self.before = status(pid, "RssAnon")
        self.growth = 0
        self.trainer = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def look(self):
        while not self.over.wait(0.02):
            self.growth = max(self.growth,
                              status(self.pid, "RssAnon") - self.before)
            for child in children(self.pid):
                self.trainer = max(self.trainer, status(child, "VmHWM"))

    def end(self):
        self.over.set()
        self.thread.join()


def measure_train(bench):
    """churn_train() against COPY, pandas and xgboost.train: the same rows,
    parameters, rounds and threads; time and peak memory."""
    threads = os.cpu_count()
    peaks = ([], [])
    losses = ([], [])
    growths = []
    params = {name: value for name, value in bench.data.params.items()
              if name not in OURS_ALONE}
    params |= {"objective": "binary:logistic", "tree_method": "hist",
               "eval_metric": "logloss"}

    def ours():
        session = Session()
        session.run(f"SET churn.training_threads = {threads}")
        watch = Watch(session.pid())
        session.cursor.execute(
            "SELECT version, seconds FROM churn_train('customers', 'churn',"
            " exclude => '{number}', algorithm => 'xgboost', params => %s,"
            """ options => '{"folds": 0, "calibration": "none","""
            """ "promote": "never"}')""", (json.dumps(PARAMS),))
        version, seconds = session.cursor.fetchone()
        watch.end()
        reported = session.value(
            "SELECT trainer_peak_memory FROM churn.model_versions"
            f" WHERE version = {version}")
        losses[0].append(session.value(
            "SELECT value FROM churn.metrics WHERE dataset = 'validation'"
            f" AND metric = 'log_loss' AND candidate = ''"
            f" AND version = {version}"))
        session.run(f"SELECT churn_drop_model('customers', {version})")
        session.close()
        growths.append(watch.growth)
        peaks[0].append(max(reported, watch.trainer) + watch.growth)
        return seconds

    def peer():
        result = json.loads(subprocess.run(
            [sys.executable, "-B", bench.peer("train.py"), json.dumps(params),
             str(PARAMS["rounds"]), str(threads), "0.2", "0.25",
             bench.path("peer.ubj")],
            check=True, capture_output=True, text=True).stdout)
        peaks[1].append(result["peak"])
        losses[1].append(result["log_loss"])
        return result["seconds"]

    times = alternate(bench.runs, ours, peer)
    share_at_most(bench, "churn_train() : COPY + pandas + xgboost.train, time",
                  times, 0.9, show_time)
    share_at_most(bench, "the same, peak memory", peaks, 0.5, show_bytes)
    bench.note(f"training with {threads} threads; the backend itself grows by"
               f" {show_bytes(max(growths))}")
    ours_loss, peer_loss = map(statistics.median, losses)
    bench.check(abs(ours_loss - peer_loss) < 0.02,
                f"validation log loss {ours_loss:.4f}, Python's"
                f" {peer_loss:.4f}")
