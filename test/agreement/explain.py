#!/usr/bin/python3
"""Contributions of random models of Python's xgboost against XGBoost's own
pred_contribs, through SQL; and of the Telco model, if the file is there.
Prints TAP.

XGBoost computes them in float32 by an algorithm that subtracts, so its own
errors grow with the size of the contributions: the tolerance is 1e-5 of the
row's largest one, or 1e-5 if that is below 1.
"""
import json
import os
import sys

import numpy as np

from _common import (copy_in, done, equal, exported, import_model, literal,
                     load_booster, matrix_of, ok, psql, query, quote, saved,
                     xgboost)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                os.pardir, "lib"))
import random_models  # noqa: E402

SEED = 20240607
ROWS = 200
# depths 1 to 12, 500 trees, dart, forests of several trees a round
NUMBERS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 17, 22, 25]
TOLERANCE = 1e-5


def check_contributions(source, model, names, order, booster, matrix, what):
    """Compares churn_explain() of all rows with pred_contribs."""
    place = {name: i for i, name in enumerate(names + ["(bias)"])}
    rows = query(f"SELECT {order} AS key, e.feature, e.contribution"
                 f" FROM {source} c, churn_explain(c, {literal(model)}) AS e"
                 f" ORDER BY 1")
    theirs = booster.predict(matrix, pred_contribs=True).astype(np.float64)
    margins = booster.predict(matrix, output_margin=True).astype(np.float64)
    equal(len(rows), theirs.size, f"{what}: rows of contributions")
    ours = np.full(theirs.shape, np.nan)
    for number, row in enumerate(rows):
        ours[number // theirs.shape[1], place[row["feature"]]] = \
            float(row["contribution"])
    scale = np.maximum(np.abs(theirs).max(axis=1, keepdims=True), 1)
    error = (np.abs(ours - theirs) / scale).max()
    ok(error <= TOLERANCE, f"{what}: contributions equal XGBoost's"
       f" ({error:.1e})")
    gap = np.abs(ours.sum(axis=1) - margins).max()
    ok(gap <= 1e-4, f"{what}: they sum to the margin ({gap:.1e})")


def texts_of(columns, data):
    """The rows as text."""
    return zip(*([None if np.isnan(value) else
                  f"c{int(value)}" if column["kind"] == "category"
                  else str(value) for value in data[:, i]]
                 for i, column in enumerate(columns)))


def check_random(number):
    """Trains, imports and compares a model."""
    model = f"explained {number}"
    # the first thing that train() draws of its generator
    rng = np.random.default_rng([SEED, number])
    columns = random_models.make_columns(rng, int(rng.integers(1, 25)))
    booster = random_models.train(
        np.random.default_rng([SEED, number]), number, 10)[0]
    data = random_models.draw(np.random.default_rng([SEED, number, 2]),
                              columns, ROWS, True)
    psql(f"CREATE TABLE {quote(model)} (" + ", ".join(
        f"{quote(c['name'])}"
        f" {'text' if c['kind'] == 'category' else 'real'}"
        for c in columns) + ", row_ int)")
    copy_in(model, (row + (str(i),) for i, row in
                    enumerate(texts_of(columns, data))))
    imported = import_model(model, saved(booster, "json"), [
        {"name": c["name"], "categories":
         [f"c{code}" for code in range(c["cardinality"])]}
        if c["kind"] == "category" else c["name"] for c in columns],
        source=quote(model))
    matrix = xgboost.DMatrix(
        data, missing=np.nan, feature_names=booster.feature_names,
        feature_types=booster.feature_types, enable_categorical=True,
        nthread=1)
    check_contributions(quote(model), model, [c["name"] for c in columns],
                        "row_", booster, matrix,
                        f"{model} ({imported[5]} trees, {len(columns)}"
                        " columns)")


def check_telco(path):
    """Trains on the raw file, and compares 500 rows."""
    with open(path, encoding="utf-8") as file:
        names = file.readline().strip().split(",")
    numbers = {"SeniorCitizen": "int", "tenure": "int",
               "MonthlyCharges": "float8"}
    psql("CREATE TABLE explained_telco (" + ", ".join(
        f"{quote(name)} {numbers.get(name, 'text')}" for name in names) + ")")
    with open(path, encoding="utf-8") as file:
        psql("COPY explained_telco FROM STDIN (FORMAT csv, HEADER)",
             stdin=file.read())
    psql("SELECT churn_train('explained_telco', 'Churn',"
         " key => 'customerID', algorithm => 'xgboost')")
    booster = load_booster(exported("explained_telco"), "ubj")
    features = json.loads(booster.attr("churn"))["features"]
    source = ("(SELECT * FROM explained_telco ORDER BY \"customerID\""
              " LIMIT 500)")
    rows = query(f"SELECT * FROM {source} c ORDER BY \"customerID\"")
    check_contributions(source, "explained_telco",
                        [feature["name"] for feature in features],
                        '"customerID"', booster,
                        matrix_of(booster, features, rows), "telco")


def main():
    """All of it."""
    xgboost.set_config(verbosity=0)
    for number in NUMBERS:
        check_random(number)
    path = os.path.join(os.environ.get("CHURN_TEST_DATA", ""), "telco.csv")
    if os.path.exists(path):
        check_telco(path)
    done()


main()
