"""What the agreement tests share: TAP, SQL by psql, XGBoost's boosters, and
the trainer's split of rows, written anew from its description.

Runs in the current database (PGHOST, PGDATABASE and so on), which has the
extension.
"""
import csv
import io
import json
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np

# threads that wait must not spin, or two are slower than one on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
import xgboost  # noqa: E402

VERSION = tuple(int(part) for part in xgboost.__version__.split(".")[:2])
TESTS = {"run": 0, "failed": 0}


# TAP

def ok(passed, what):
    """Prints the result of a test."""
    TESTS["run"] += 1
    TESTS["failed"] += not passed
    print(f"{'ok' if passed else 'not ok'} {TESTS['run']} - {what}",
          flush=True)
    return passed


def equal(got, expected, what):
    """A test that two values are equal, which it shows if they are not."""
    if not ok(got == expected, what):
        print(f"#      got: {got}\n# expected: {expected}", flush=True)


def same_bits(ours, theirs, what):
    """A test that two arrays of float32 are the same bit for bit."""
    ours = np.asarray(ours, dtype=np.float32)
    theirs = np.asarray(theirs, dtype=np.float32)
    if ours.shape != theirs.shape:
        ok(False, f"{what}: {ours.shape} against {theirs.shape} values")
        return
    differ = np.flatnonzero(ours.view(np.uint32) != theirs.view(np.uint32))
    ok(len(ours) > 0 and len(differ) == 0,
       f"{what}: {len(ours)} margins equal bit for bit"
       + (f" ({len(differ)} differ, row {differ[0]}: {ours[differ[0]]!r}"
          f" against {theirs[differ[0]]!r})" if len(differ) else ""))


def skip_all(why):
    """Ends a test that cannot run here."""
    print(f"1..0 # SKIP {why}")
    sys.exit(0)


def done():
    """Prints the plan and ends."""
    print(f"1..{TESTS['run']}")
    sys.exit(TESTS["failed"] > 0)


def data_file(name):
    """The path of a real data set, or the end of the test."""
    path = os.path.join(os.environ.get("CHURN_TEST_DATA", ""), name)
    if not os.path.exists(path):
        skip_all(f"no {name}; set CHURN_TEST_DATA")
    return path


# SQL

class SqlError(Exception):
    """An error that psql reported; its text begins with the SQLSTATE."""


def psql(sql, stdin=None):
    """Runs SQL, stops at the first error, and returns what psql prints."""
    result = subprocess.run(
        ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose",
         "--pset=pager=off"] + (["-c", sql] if stdin is not None
                                else ["-f", "-"]),
        input=stdin if stdin is not None else sql, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, encoding="utf-8",
        env=dict(os.environ, PGCLIENTENCODING="UTF8",
                 PGOPTIONS="-c client_min_messages=warning"))
    if result.returncode != 0:
        raise SqlError(result.stderr.partition("ERROR:  ")[2]
                       or result.stderr)
    return result.stdout.rstrip("\n")


def quote(name):
    """An identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def literal(text):
    """A text in single quotes."""
    return "'" + text.replace("'", "''") + "'"


def query(sql):
    """The rows of a query as dictionaries of text, None for NULL."""
    text = psql(f"COPY ({sql}) TO STDOUT (FORMAT csv, HEADER, NULL '\\N')")
    csv.field_size_limit(1 << 30)
    return [{name: None if value == "\\N" else value
             for name, value in row.items()}
            for row in csv.DictReader(io.StringIO(text))]


def copy_in(table, rows):
    """Fills a table with rows of text, None for NULL."""
    special = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n",
                             "\r": "\\r"})
    psql(f"COPY {quote(table)} FROM STDIN", stdin="".join(
        "\t".join("\\N" if value is None else value.translate(special)
                  for value in row) + "\n" for row in rows))


# XGBoost

def exported(model, version="NULL", form="ubj"):
    """The bytes of churn_export()."""
    return bytes.fromhex(psql(
        f"SELECT encode(churn_export({literal(model)}, {version},"
        f" {literal(form)}), 'hex')"))


def load_booster(content, form):
    """A booster of the bytes of a model file."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "model." + form)
        with open(path, "wb") as file:
            file.write(content)
        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(path)
    return booster


def saved(booster, form):
    """The bytes that a booster saves."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "model." + form)
        booster.save_model(path)
        with open(path, "rb") as file:
            return file.read()


def import_model(model, content, features=None, **more):
    """Calls churn_import() and returns its row."""
    arguments = [literal(model), f"'\\x{content.hex()}'::bytea"]
    if features is not None:
        arguments.append(f"features => {literal(json.dumps(features))}")
    for name, value in more.items():
        arguments.append(f"{name} => {literal(value)}")
    row = psql(f"SELECT * FROM churn_import({', '.join(arguments)})")
    return row.split("|")


def encode(feature, value):
    """A column's text as the booster's number; NaN for missing."""
    if value is None:
        return np.nan
    if feature["kind"] == "category":
        codes = feature["categories"]
        return codes.index(value) if value in codes else np.nan
    if feature["kind"] == "boolean":
        return float(value in ("t", "true"))
    return float(value) if value.strip() else np.nan


def matrix_of(booster, features, rows):
    """A DMatrix of rows of text."""
    data = np.array([[encode(feature, row[feature["name"]])
                      for feature in features] for row in rows],
                    dtype=np.float32)
    return xgboost.DMatrix(data, feature_names=booster.feature_names,
                           feature_types=booster.feature_types,
                           enable_categorical=True)


# The split

PRIMES = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9,
          0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
MASK = (1 << 64) - 1


def _rotate(x, bits):
    return ((x << bits) | (x >> (64 - bits))) & MASK


def _mix(accumulator, lane):
    return (_rotate((accumulator + lane * PRIMES[1]) & MASK, 31)
            * PRIMES[0]) & MASK


def hash64(content, seed):
    """XXH64 of bytes, by its specification."""
    at = 0
    if len(content) >= 32:
        lanes = [(seed + PRIMES[0] + PRIMES[1]) & MASK,
                 (seed + PRIMES[1]) & MASK, seed, (seed - PRIMES[0]) & MASK]
        while len(content) - at >= 32:
            for i in range(4):
                lane = struct.unpack_from("<Q", content, at + 8 * i)[0]
                lanes[i] = _mix(lanes[i], lane)
            at += 32
        result = sum(_rotate(lane, bits)
                     for lane, bits in zip(lanes, (1, 7, 12, 18))) & MASK
        for lane in lanes:
            result = ((result ^ _mix(0, lane)) * PRIMES[0] + PRIMES[3]) & MASK
    else:
        result = (seed + PRIMES[4]) & MASK
    result = (result + len(content)) & MASK
    while len(content) - at >= 8:
        lane = struct.unpack_from("<Q", content, at)[0]
        result = (_rotate(result ^ _mix(0, lane), 27) * PRIMES[0]
                  + PRIMES[3]) & MASK
        at += 8
    if len(content) - at >= 4:
        lane = struct.unpack_from("<I", content, at)[0]
        result = (_rotate(result ^ (lane * PRIMES[0] & MASK), 23) * PRIMES[1]
                  + PRIMES[2]) & MASK
        at += 4
    for byte in content[at:]:
        result = (_rotate(result ^ (byte * PRIMES[4] & MASK), 11)
                  * PRIMES[0]) & MASK
    result = ((result ^ (result >> 33)) * PRIMES[1]) & MASK
    result = ((result ^ (result >> 29)) * PRIMES[2]) & MASK
    return result ^ (result >> 32)


def values_of_row(row, types):
    """The bytes by which a row without a key is known: its columns in order,
    types mapping those that are sent to "number" or "text"."""
    parts = []
    for name, kind in types.items():
        value = row[name]
        if kind == "number":
            number = np.float32(np.nan if value is None else value)
            if np.isnan(number):
                parts.append(b"\x00\x00\xc0\x7f")
            else:
                parts.append(struct.pack("<f", number + np.float32(0)))
        elif value is None:
            parts.append(struct.pack("<H", 0xFFFF))
        else:
            text = value.encode()
            parts.append(struct.pack("<H", len(text)) + text)
    return b"".join(parts)


def split(contents, seed, test=.25, validation=.2):
    """For each row's bytes the part it belongs to."""
    parts = []
    for content in contents:
        unit = (hash64(content, seed) >> 11) / (1 << 53)
        parts.append("test" if unit < test else
                     "validation" if unit < test + validation else "train")
    return np.array(parts)
