#!/usr/bin/python3
"""The shortest test of the whole: train on generated customers, score them,
and compare with Python's xgboost on the exported model.  Prints TAP.

Runs in the current database (PGHOST, PGDATABASE), which has the extension.
"""
import csv
import io
import json
import subprocess
import sys
import tempfile

import numpy as np
import xgboost

tests = 0


def ok(passed, what):
    global tests
    tests += 1
    print(f"{'ok' if passed else 'not ok'} {tests} - {what}", flush=True)


def psql(command):
    return subprocess.run(
        ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", command], check=True,
        stdout=subprocess.PIPE, text=True).stdout.strip()


def read_rows():
    """The customers as text (None for NULL), with margin and score."""
    text = psql("""COPY (SELECT c.*, churn_margin(c.*) AS margin_,
                                churn_score(c.*) AS score_
                         FROM customers c ORDER BY customer_id)
                   TO STDOUT (FORMAT csv, HEADER, NULL '\\N')""")
    return [{name: None if value == "\\N" else value
             for name, value in row.items()}
            for row in csv.DictReader(io.StringIO(text))]


def encode(feature, value):
    if value is None:
        return np.nan
    if feature["kind"] == "category":
        codes = feature["categories"]
        return codes.index(value) if value in codes else np.nan
    if feature["kind"] == "boolean":
        return float(value == "t")
    return float(value) if value.strip() else np.nan


psql("""CREATE TABLE customers AS SELECT * FROM churn_sample_customers(4000);
        ALTER TABLE customers ADD PRIMARY KEY (customer_id)""")
trained = psql("""SELECT promoted, pr_auc > 0.5, roc_auc > 0.75, rows
                  FROM churn_train('customers', 'churn', algorithm => 'xgboost', options => '{"folds": 0}')""")
ok(trained == "t|t|t|4000", f"churn_train: {trained}")

artifact = bytearray.fromhex(
    psql("SELECT encode(churn_export('customers', 1), 'hex')"))
with tempfile.NamedTemporaryFile(
        suffix=".json" if artifact[1:2] in b'"\n ' else ".ubj") as file:
    file.write(artifact)
    file.flush()
    booster = xgboost.Booster()
    booster.load_model(file.name)
ok(True, f"XGBoost {xgboost.__version__} loads the exported model")

rows = read_rows()
features = json.loads(booster.attr("churn"))["features"]
matrix = xgboost.DMatrix(
    np.array([[encode(f, row[f["name"]]) for f in features] for row in rows],
             dtype=np.float32),
    feature_names=booster.feature_names, feature_types=booster.feature_types,
    enable_categorical=True)
margins = booster.predict(matrix, output_margin=True)
ours = np.array([row["margin_"] for row in rows], dtype=np.float32)
ok(np.array_equal(margins, ours),
   f"{len(rows)} margins are equal bit for bit"
   f" ({int((margins != ours).sum())} differ)")
scores = booster.predict(matrix)
gap = np.abs(scores - np.array([float(row["score_"]) for row in rows])).max()
ok(gap < 1e-7, f"scores are equal within 1e-7 (largest gap {gap:.1e})")

written = psql("SELECT churn_rescore('customers')")
ok(written == "4000", f"churn_rescore writes {written} predictions")
same = psql("""SELECT count(*) FROM churn.predictions p
               JOIN customers c ON c.customer_id = p.customer_key
               WHERE p.score = churn_score(c.*)""")
ok(same == "4000", "predictions are what churn_score says")
psql("SELECT churn_watch('customers')")
psql("SELECT churn_wait('60s')")     # the first rescan is over
psql("""UPDATE customers SET contract = 'Two year', tenure = 70
        WHERE customer_id < (SELECT customer_id FROM customers
                             ORDER BY customer_id OFFSET 1000 LIMIT 1)""")
psql("DELETE FROM customers WHERE gender = 'Male' AND tenure = 70")
waited = psql("SELECT churn_wait('60s')")
live = psql("""SELECT count(*) FILTER (WHERE p.score IS DISTINCT FROM churn_score(c, 'customers'))
                   + count(*) FILTER (WHERE c.customer_id IS NULL),
                      bool_or(p.origin = 'stream')
               FROM customers c FULL JOIN churn.predictions p
               ON p.customer_key = c.customer_id""")
ok(waited == "t" and live == "0|t", f"changes are rescored live: {waited}, {live}")
psql("SELECT churn_unwatch('customers')")
psql("DROP EXTENSION churn")
ok(True, "DROP EXTENSION")
print(f"1..{tests}")
sys.exit(0)
