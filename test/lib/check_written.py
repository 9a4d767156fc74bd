#!/usr/bin/python3
"""Loads in Python what our writers made of random models.

Takes a directory that random_models.py and then test_agreement filled, and
compares the margins of NNN.written.json and NNN.written.ubj, bit for bit, with
those of the model they were written from.  Prints TAP.
"""
import os
import sys

import numpy as np
# threads that spin while they wait are slow on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import xgboost  # noqa: E402

NASTY_TEXT = 'quote " back\\slash \\u00e9 line\nand\ttab é'


def check(directory, line, ending):
    """Says what is wrong with a written file; None if nothing is."""
    model, data, margin, rows, features = line.split()
    path = os.path.join(directory, "%s.written.%s" % (model[:3], ending))
    values = np.fromfile(os.path.join(directory, data), dtype="<f4")
    values = values.reshape(int(rows), int(features))
    expected = np.fromfile(os.path.join(directory, margin), dtype="<f4")
    booster = xgboost.Booster(model_file=path)
    matrix = xgboost.DMatrix(values, missing=np.nan, enable_categorical=True,
                             feature_names=booster.feature_names,
                             feature_types=booster.feature_types)
    got = booster.predict(matrix, output_margin=True)
    if not np.array_equal(got.view(np.uint32), expected.view(np.uint32)):
        return "margins differ in %d rows" % (got != expected).sum()
    if booster.attr("nasty") != NASTY_TEXT:
        return "attribute became %r" % booster.attr("nasty")
    return None


def main():
    xgboost.set_config(verbosity=0)
    directory = sys.argv[1]
    tests = failures = 0
    with open(os.path.join(directory, "manifest")) as manifest:
        for line in manifest:
            for ending in ["json", "ubj"]:
                tests += 1
                try:
                    problem = check(directory, line, ending)
                except xgboost.core.XGBoostError as error:
                    problem = str(error).splitlines()[0]
                failures += problem is not None
                print("%sok %d - %s written as %s%s" % (
                    "not " if problem else "", tests, line.split()[0], ending,
                    " (%s)" % problem if problem else ""))
    print("1..%d" % tests)
    sys.exit(failures != 0)


if __name__ == "__main__":
    main()
