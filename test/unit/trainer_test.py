#!/usr/bin/python3
"""Tests the program churn-trainer through its protocol; prints TAP.

    trainer_test.py PATH/churn-trainer

CHURN_TEST_DATA names a directory with telco.csv and mlc_churn.csv; without it
the tests on real data are skipped.
"""

import json
import math
import os
import random
import resource
import signal
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
from trainer_client import (Data, Trainer, encode_row, frame,  # noqa: E402
                            pack_rows, train)

PROGRAM = os.path.abspath(sys.argv[1] if len(sys.argv) > 1
                          else "churn-trainer")
DATA = os.environ.get("CHURN_TEST_DATA")
TESTS = {"count": 0, "failed": 0}


def ok(condition, name):
    """Reports one test."""
    TESTS["count"] += 1
    if not condition:
        TESTS["failed"] += 1
    print("%sok %d - %s" % ("" if condition else "not ", TESTS["count"], name),
          flush=True)
    return condition


def skip(name, why):
    """Reports a test that cannot be run here."""
    TESTS["count"] += 1
    print("ok %d # SKIP %s: %s" % (TESTS["count"], name, why), flush=True)
    print("# SKIPPED: %s: %s" % (name, why), file=sys.stderr)


class Made:
    """Rows with all kinds of columns, made up."""

    columns = [{"name": "months", "kind": "number", "type": "integer"},
               {"name": "fee", "kind": "number", "type": "numeric"},
               {"name": "paperless", "kind": "boolean", "type": "boolean"},
               {"name": "since", "kind": "age", "type": "date"},
               {"name": "contract", "kind": "text", "type": "text"},
               {"name": "total", "kind": "text", "type": "text"},
               {"name": "id", "kind": "text", "type": "text"},
               {"name": "country", "kind": "text", "type": "text"},
               {"name": "note", "kind": "text", "type": "text"}]

    def __init__(self, n, seed=1):
        source = random.Random(seed)
        self.rows = []
        for i in range(n):
            months = float(source.randint(0, 72))
            fee = None if source.random() < 0.1 else source.uniform(20, 120)
            contract = source.choice(["monthly", "yearly", "two years", None])
            total = " " if source.random() < 0.05 else \
                "%.2f" % (months * (fee or 50))
            logit = 1 - months / 20 + (contract == "monthly")
            label = int(source.random() < 1 / (1 + math.exp(-logit)))
            self.rows.append((label, "k%d" % i, [
                months, fee, source.choice([0.0, 1.0, None]), months * 30 + 3,
                contract, total, "c-%d" % i, "NL",
                "x" * (2000 if i == 5 else 3)]))

    def config(self, **more):
        """CONFIG for these rows."""
        config = {"protocol": 1, "algorithm": "xgboost",
                  "columns": self.columns,
                  "params": {"rounds": 60}, "split_seed": "1",
                  "has_key": True, "has_champion": False, "threads": 1,
                  "estimated_rows": len(self.rows)}
        config.update(more)
        config["options"] = {"folds": 0, **more.get("options", {})}
        return config

    def encode(self, key=True, order=None, scores=None):
        """The rows as bytes."""
        rows = self.rows if order is None else [self.rows[i] for i in order]
        return [encode_row(self.columns, values, label, name if key else None,
                           scores(name) if scores else None)
                for label, name, values in rows]


def metric(result, dataset, name):
    """A metric of a RESULT."""
    for entry in result["metrics"]:
        if (entry["dataset"], entry["candidate"], entry["metric"]) == (
                dataset, "", name):
            return entry["value"]
    return None


def without_peak(result):
    """A RESULT less what may differ between two runs."""
    for candidate in result["candidates"]:
        candidate.pop("seconds", None)
    return {k: v for k, v in result.items() if k != "peak_memory_bytes"}


def test_result():
    """What a training on made-up rows answers."""
    made = Made(2000)
    answer = train(PROGRAM, made.config(), made.encode())
    result = answer.result
    if not ok(answer.status == 0 and result is not None,
              "training on made-up rows succeeds"):
        print("#", answer.failure)
        return
    kinds = {f["name"]: f for f in result["features"]}
    ok(sorted(kinds) == ["contract", "fee", "months", "paperless", "since",
                         "total"], "useless columns are left out")
    ok([kinds[n]["kind"] for n in ("months", "paperless", "since",
                                   "contract", "total")] ==
       ["number", "boolean", "age", "category", "number"],
       "features are of the right kinds")
    ok(kinds["total"].get("text_number") is True and
       "text_number" not in kinds["fee"], "numbers in texts are marked")
    ok(kinds["contract"]["categories"] == ["monthly", "two years", "yearly"],
       "categories are in bytewise order")
    text = answer.notice_text()
    ok(all(name in text for name in ('"id"', '"country"', '"note"',
                                     '"total"')),
       "notices name the columns that are left out or parsed")
    ok(abs(sum(f["importance"] for f in result["features"]) - 1) < 1e-5,
       "importances add up to 1")
    ok(result["rows"] == 2000 == result["train_rows"] +
       result["validation_rows"] + result["test_rows"] +
       result["duplicates_dropped"], "parts add up to all rows")
    ok(all(abs(result[p + "_rows"] / 2000 - share) < 0.03
           for p, share in (("test", 0.25), ("validation", 0.2))),
       "parts have their shares")
    ok(result["params"]["rounds"] == 60 and result["seed"] == "42",
       "the result tells parameters and seed")
    ok(result["champion_pr_auc"] is None, "no champion, no comparison")
    phases = [p[0] for p in answer.progress]
    ok(phases == sorted(phases) and set(phases) == {1, 2, 4, 5, 6},
       "progress passes through all phases")
    ok(len(answer.progress) < 10 + 6 * answer.seconds,
       "progress is told a few times a second")


def test_determinism():
    """The order of rows and the number of threads do not matter."""
    made = Made(3000)
    order = list(range(3000))
    random.Random(9).shuffle(order)
    first = train(PROGRAM, made.config(), made.encode())
    again = train(PROGRAM, made.config(), made.encode())
    shuffled = train(PROGRAM, made.config(), made.encode(order=order))
    ok(first.artifact and first.artifact == again.artifact,
       "the same rows give the same artifact")
    ok(first.artifact == shuffled.artifact,
       "shuffled rows give the same artifact")
    ok(without_peak(first.result) == without_peak(shuffled.result),
       "shuffled rows give the same result")
    threads = train(PROGRAM, made.config(threads=2), made.encode())
    ok(first.artifact == threads.artifact,
       "two threads give the same artifact")
    other = train(PROGRAM, made.config(options={"seed": 43}), made.encode())
    ok(other.artifact != first.artifact and
       other.result["fingerprint"] == first.result["fingerprint"] and
       other.result["test_rows"] == first.result["test_rows"],
       "another seed gives another model on the same split")
    label, name, values = made.rows[17]
    made.rows[17] = (1 - label, name, values)
    changed = train(PROGRAM, made.config(), made.encode())
    ok(changed.result["fingerprint"] != first.result["fingerprint"],
       "another label gives another fingerprint")
    keyless = [train(PROGRAM, made.config(has_key=False),
                     made.encode(key=False, order=o)) for o in (None, order)]
    ok(keyless[0].artifact and keyless[0].artifact == keyless[1].artifact,
       "the same holds without a key")


def test_champion():
    """A champion is compared on the test rows, if it scored all of them."""
    made = Made(1000)
    config = made.config(has_champion=True)
    labels = {name: label for label, name, _ in made.rows}
    answer = train(PROGRAM, config,
                   made.encode(scores=lambda name: 0.9 * labels[name]))
    ok(answer.result and answer.result["champion_pr_auc"] == 1,
       "a perfect champion has a PR-AUC of 1")
    answer = train(PROGRAM, config,
                   made.encode(scores=lambda name: math.nan))
    ok(answer.result and answer.result["champion_pr_auc"] is None,
       "a champion without scores is not compared")


def test_duplicates():
    """Training rows that equal a test row are dropped, unless most do."""
    made = Made(1000)
    made.rows += [(label, "copy" + name, values)
                  for label, name, values in made.rows[:100]]
    made.columns = made.columns[:6]
    answer = train(PROGRAM, made.config(), made.encode())
    ok(answer.result and 5 < answer.result["duplicates_dropped"] < 50 and
       "are dropped" in answer.notice_text(), "copies are dropped")
    coarse = Made(1000)
    coarse.columns = [coarse.columns[0], coarse.columns[4]]
    coarse.rows = [(label, name, [values[0], values[4]])
                   for label, name, values in coarse.rows]
    answer = train(PROGRAM, coarse.config(), coarse.encode())
    ok(answer.result and answer.result["duplicates_dropped"] == 0 and
       "are kept" in answer.notice_text(), "rows that few columns tell "
       "apart are kept")


def fails(name, sqlstate, words, config=None, rows=None):
    """Expects a FAILURE whose text holds all words."""
    made = Made(300)
    answer = train(PROGRAM, config or made.config(),
                   made.encode() if rows is None else rows)
    failure = answer.failure or {}
    text = json.dumps(failure)
    if not ok(failure.get("sqlstate") == sqlstate and
              all(word in text for word in words) and answer.status != 0,
              name):
        print("#", answer.failure, answer.status)


def test_failures():
    """Mistakes are told, with what would be right."""
    made = Made(300)
    for params, words in (
            ({"max_dept": 3}, ["unrecognized parameter", "max_depth"]),
            ({"max_depth": 0}, ["max_depth", "between 1 and 16"]),
            ({"max_depth": 3.5}, ["max_depth", "whole numbers"]),
            ({"max_depth": "3"}, ["max_depth", "invalid value"]),
            ({"max_depth": True}, ["max_depth", "true"]),
            ({"grow_policy": "up"}, ["depthwise", "lossguide"]),
            ({"eta": 0.1, "learning_rate": 0.1}, ["more than once"]),
            ({"objective": "reg:linear"}, ["unrecognized parameter"]),
            ([1], ["JSON object"])):
        fails("parameters %s" % json.dumps(params).replace("#", ""), "22023",
              words, made.config(params=params))
    for options, words in (
            ({"sead": 3}, ["unrecognized option", "seed"]),
            ({"seed": -1}, ["seed", "between 0"]),
            ({"test_fraction": 0.5, "validation_fraction": 0.5}, ["0.8"])):
        fails("options %s" % json.dumps(options), "22023", words,
              made.config(options=options))
    fails("algorithm", "22023", ["unrecognized algorithm", "magic"],
          made.config(algorithm="magic"))
    fails("protocol version", "08P01", ["versions"],
          made.config(protocol=99))
    fails("too few rows", "22023", ["39 rows", "at least 40"],
          rows=made.encode(order=range(39)))
    fails("no rows", "22023", ["0 rows"], rows=[])
    stayed = [i for i in range(300) if made.rows[i][0] == 0]
    churned = [i for i in range(300) if made.rows[i][0] == 1]
    fails("nobody churned", "22023", ["one class", "None of"],
          rows=made.encode(order=stayed))
    fails("all churned", "22023", ["one class", "All of"],
          rows=made.encode(order=churned))
    fails("one churned", "22023", ["too few rows of one class", "1 of"],
          rows=made.encode(order=stayed + churned[:1]))
    fails("malformed rows", "08P01", ["malformed"],
          rows=[b"\x00\x05\x00ab"])
    constant = [{"name": "a", "kind": "number", "type": "integer"}]
    fails("constant columns only", "22023", ["no column"],
          made.config(columns=constant),
          [encode_row(constant, [1.0], label, name)
           for label, name, _ in made.rows])
    fails("no columns", "22023", ["no column"], made.config(columns=[]),
          [encode_row([], [], label, name) for label, name, _ in made.rows])


def test_end_of_input():
    """The trainer does not outlive its caller."""
    made = Made(300)
    rows = b"".join(pack_rows(made.encode()))
    config = frame("C", json.dumps(made.config()).encode())
    for name, data in (("at once", b""), ("in CONFIG", config[:30]),
                       ("before rows", config), ("in rows",
                                                 config + rows[:-7])):
        trainer = Trainer(PROGRAM)
        trainer.send(data)
        trainer.socket.close()
        ok(trainer.process.wait(10) != 0, "input that ends %s ends it" % name)
    made = Made(20000)
    trainer = Trainer(PROGRAM)
    trainer.send(frame("C", json.dumps(made.config(
        params={"rounds": 10000, "max_depth": 16,
                "early_stopping_rounds": 0})).encode()))
    for piece in pack_rows(made.encode()):
        trainer.send(piece)
    trainer.send(frame("E"))
    while not any(p[0] == 4 for p in trainer.answer.progress):
        trainer._read()
    closed = time.monotonic()
    trainer.socket.close()
    ok(trainer.process.wait(10) != 0 and time.monotonic() - closed < 1,
       "input that ends while training ends it within a second")


def test_memory():
    """A limit on memory ends in an error or in death, soon."""
    made = Made(20000)
    wide = [{"name": "n%d" % i, "kind": "number", "type": "float8"}
            for i in range(200)]
    source = random.Random(4)
    rows = [encode_row(wide, [source.random() for _ in wide], label, name)
            for label, name, _ in made.rows]
    outcomes = []
    for limit in (4, 8, 16, 24, 32, 48, 64):
        def cap(limit=limit):
            resource.setrlimit(resource.RLIMIT_DATA, (limit << 20,) * 2)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            answer = train(PROGRAM, made.config(
                columns=wide, threads=2, params={"rounds": 20}), rows,
                before_exec=cap)
        except OSError as error:
            outcomes.append("%d: %s" % (limit, error))
            continue
        outcomes.append("%d: %s" % (
            limit, answer.failure["sqlstate"] if answer.failure
            else "done" if answer.result else "status %s" % answer.status))
        ok(answer.seconds < 60 and (answer.status == 0) ==
           (answer.result is not None),
           "with %d MiB it says that they are too few, or dies, or trains"
           % limit)
    print("# " + ", ".join(outcomes))
    ok(any("53200" in outcome for outcome in outcomes),
       "running out of memory is told")


def test_by_hand():
    """Started by hand it says what it is."""
    import subprocess
    run = subprocess.run([PROGRAM, "--version"], capture_output=True,
                         env={}, check=False)
    ok(run.returncode == 0 and b"XGBoost" in run.stdout, "--version")
    run = subprocess.run([PROGRAM], stdin=subprocess.DEVNULL,
                         capture_output=True, check=False)
    ok(run.returncode == 1 and b"churn_train()" in run.stderr,
       "without a socket it says what it is for")


def score_with_python(answer, data, keep):
    """Scores of the rows in keep by Python's xgboost, and their labels."""
    import numpy
    import xgboost
    booster = xgboost.Booster()
    booster.load_model(bytearray(answer.artifact))
    attribute = json.loads(booster.attr("churn"))
    names = [column["name"] for column in data.columns]
    matrix = numpy.full((len(keep), len(attribute["features"])), numpy.nan,
                        "f4")
    for j, feature in enumerate(attribute["features"]):
        at = names.index(feature["name"])
        codes = {c: i for i, c in enumerate(feature.get("categories", []))}
        for i, row in enumerate(keep):
            value = data.values[row][at]
            if feature["kind"] == "category":
                value = codes.get(value, numpy.nan)
            elif isinstance(value, str):
                value = float(value) if value.strip() else numpy.nan
            matrix[i, j] = value
    scores = booster.predict(xgboost.DMatrix(
        matrix, feature_names=booster.feature_names,
        feature_types=booster.feature_types))
    return scores, numpy.array([data.labels[i] for i in keep]), attribute


def split_hash(key, seed):
    """XXH64 of a key of less than 32 bytes, as a number in [0, 1)."""
    mask = (1 << 64) - 1
    prime = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9,
             0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)

    def rotate(x, bits):
        return ((x << bits) | (x >> (64 - bits))) & mask

    value = (seed + prime[4] + len(key)) & mask
    while len(key) >= 8:
        lane = struct.unpack("<Q", key[:8])[0]
        value ^= rotate(lane * prime[1] & mask, 31) * prime[0] & mask
        value = (rotate(value, 27) * prime[0] + prime[3]) & mask
        key = key[8:]
    if len(key) >= 4:
        value ^= struct.unpack("<I", key[:4])[0] * prime[0] & mask
        value = (rotate(value, 23) * prime[1] + prime[2]) & mask
        key = key[4:]
    for byte in key:
        value = rotate(value ^ (byte * prime[4] & mask), 11) * prime[0] & mask
    value = (value ^ (value >> 33)) * prime[1] & mask
    value = (value ^ (value >> 29)) * prime[2] & mask
    return ((value ^ (value >> 32)) >> 11) * 2.0 ** -53


def test_real(name, label, positive, key, numbers, least):
    """Trains on a real data set; measures it anew with scikit-learn."""
    path = os.path.join(DATA or "", name)
    if not DATA or not os.path.exists(path):
        skip(name, "set CHURN_TEST_DATA to a directory that has it")
        return
    data = Data(path, label, positive, key, numbers)
    if key is None:
        data.keys = ["row %d" % i for i in range(len(data.labels))]
    answer = train(PROGRAM, data.config(), data.rows())
    result = answer.result
    if not ok(result is not None, "%s trains" % name):
        print("#", answer.failure)
        return
    print("# %s: %s" % (name, ", ".join(
        "%s %.4f" % (m["metric"], m["value"]) for m in result["metrics"]
        if m["dataset"] == "test" and m["candidate"] == "")))
    for measure, value in least.items():
        ok(metric(result, "test", measure) >= value,
           "%s: test %s is at least %s" % (name, measure, value))
    try:
        import sklearn.metrics as sk
        import xgboost  # noqa: F401
    except ImportError:
        skip("%s against scikit-learn" % name, "python3-sklearn or "
             "python3-xgboost is missing")
        return
    test = [i for i, k in enumerate(data.keys)
            if split_hash(k.encode(), 7) < 0.25]
    ok(len(test) == result["test_rows"], "%s: the test part is the rows "
       "whose key's hash is lowest" % name)
    scores, labels, attribute = score_with_python(answer, data, test)
    wide = scores.astype("f8")
    called = wide >= attribute["threshold"]
    ok(attribute["threshold"] == result["threshold"],
       "%s: threshold in artifact and result" % name)
    for measure, value in (
            ("pr_auc", sk.average_precision_score(labels, scores)),
            ("roc_auc", sk.roc_auc_score(labels, scores)),
            ("log_loss", sk.log_loss(labels, wide)),
            ("brier", sk.brier_score_loss(labels, wide)),
            ("f1", sk.f1_score(labels, called)),
            ("precision", sk.precision_score(labels, called)),
            ("recall", sk.recall_score(labels, called)),
            ("accuracy", sk.accuracy_score(labels, called))):
        ok(abs(metric(result, "test", measure) - value) < 1e-9,
           "%s: %s is scikit-learn's" % (name, measure))


def main():
    """Runs all tests."""
    signal.alarm(540)
    test_by_hand()
    test_result()
    test_determinism()
    test_champion()
    test_duplicates()
    test_failures()
    test_end_of_input()
    test_memory()
    test_real("telco.csv", "Churn", "Yes", "customerID",
              ("SeniorCitizen", "tenure", "MonthlyCharges"),
              {"pr_auc": 0.62, "roc_auc": 0.83})
    test_real("mlc_churn.csv", "churn", "yes", None, (),
              {"pr_auc": 0.75, "roc_auc": 0.85})
    print("1..%d" % TESTS["count"])
    sys.exit(1 if TESTS["failed"] else 0)


if __name__ == "__main__":
    main()
