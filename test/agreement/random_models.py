#!/usr/bin/python3
"""Random models of Python's xgboost through SQL, on 10,000 rows each: numbers
of all sizes, categories, missing and unseen values.  Prints TAP.

The models are those of test/lib/random_models.py, fifty of which are compared
in C by test/unit/test_agreement.c; here a few go all the way from a file to
churn_margin() of rows in a table.
"""
import os
import sys

import numpy as np

from _common import (copy_in, done, equal, exported, import_model, literal,
                     load_booster, psql, query, quote, same_bits, saved,
                     xgboost)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                os.pardir, "lib"))
import random_models  # noqa: E402

SEED = 20240607
ROWS = 10000
# depths 1, 3, 6, 8, 9, 12, 500 trees, dart, forests, both objectives
NUMBERS = [0, 2, 5, 7, 8, 11, 13, 24]


def texts_of(columns, data, rng):
    """The rows as text, some of whose categories training never saw."""
    result = []
    for i, column in enumerate(columns):
        values = data[:, i]
        if column["kind"] == "category":
            unseen = rng.random(len(values)) < .5
            result.append([("never seen" if other else None)
                           if np.isnan(value) else f"c{int(value)} é"
                           for value, other in zip(values, unseen)])
        else:
            result.append([None if np.isnan(value) else str(value)
                           for value in values])
    return zip(*result)


def main():
    """Trains, imports and compares the models."""
    xgboost.set_config(verbosity=0)
    for number in NUMBERS:
        model = f"model {number}"
        # the first thing that train() draws of its generator
        rng = np.random.default_rng([SEED, number])
        columns = random_models.make_columns(rng, int(rng.integers(1, 25)))
        booster = random_models.train(
            np.random.default_rng([SEED, number]), number, 10)[0]
        rng = np.random.default_rng([SEED, number, 1])
        data = random_models.draw(rng, columns, ROWS, True)

        psql(f"CREATE TABLE {quote(model)} (" + ", ".join(
            f"{quote(c['name'])}"
            f" {'text' if c['kind'] == 'category' else 'real'}"
            for c in columns) + ", row_ int)")
        copy_in(model, (row + (str(i),) for i, row in
                        enumerate(texts_of(columns, data, rng))))
        form = ["json", "ubj"][number % 2]
        imported = import_model(model, saved(booster, form), [
            {"name": c["name"], "categories":
             [f"c{code} é" for code in range(c["cardinality"])]}
            if c["kind"] == "category" else c["name"] for c in columns],
            source=quote(model))
        equal(imported[4], str(len(columns)), f"{model}: imported")

        matrix = xgboost.DMatrix(
            data, missing=np.nan, feature_names=booster.feature_names,
            feature_types=booster.feature_types, enable_categorical=True,
            nthread=1)
        theirs = booster.predict(matrix, output_margin=True)
        what = (f"{model} ({imported[5]} trees, {len(columns)} columns)")
        for path, source in (
                ("", quote(model)),
                (", rows passed whole",
                 f"(SELECT * FROM {quote(model)} OFFSET 0)")):
            same_bits([row["m"] for row in query(
                f"SELECT churn_margin(c, {literal(model)}) AS m"
                f" FROM {source} c ORDER BY row_")], theirs, what + path)
        back = load_booster(exported(model, 1, form), form)
        same_bits(back.predict(matrix, output_margin=True), theirs,
                  f"{what}, exported and loaded by Python")
    done()


main()
