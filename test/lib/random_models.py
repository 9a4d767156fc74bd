#!/usr/bin/python3
"""Trains random models with Python's xgboost, for tests of agreement.

For each model it saves the model file (JSON or UBJSON), rows to predict
(float32, row by row, NaN for missing, categories as codes) and XGBoost's own
margins of them (float32).  The file "manifest" has one line a model: model
file, data file, margin file, number of rows, number of features.

Training rows are few, so that fifty models and 10,000 rows each take about a
minute.  The same seed gives the same models.
"""
import argparse
import os

import numpy as np
import pandas as pd
# threads that spin while they wait are slow on a busy machine
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import xgboost  # noqa: E402

VERSION = tuple(int(part) for part in xgboost.__version__.split(".")[:2])


def make_columns(rng, features):
    """Draws what the columns are: numbers of some shape, or categories."""
    columns = []
    for i in range(features):
        kind = rng.choice(["normal", "integer", "tiny", "huge", "boolean",
                           "category", "category"])
        columns.append({
            "name": rng.choice(["f%d", "Monthly Charges %d", "größe_%d",
                                'say "%d"', "back\\slash %d", "back\\up %d"])
            % i,
            "kind": kind,
            "cardinality": int(rng.choice([2, 3, 5, 12, 40, 300])),
            "missing": float(rng.choice([0, 0, 0.05, 0.5])),
        })
    return columns


def draw(rng, columns, rows, unseen, codes=False):
    """Draws rows as floats; with unseen, also values training never had, and
    with codes among them codes that are none."""
    data = np.empty((rows, len(columns)), dtype=np.float32)
    for i, column in enumerate(columns):
        kind = column["kind"]
        if kind == "normal":
            values = rng.normal(size=rows)
        elif kind == "integer":
            values = rng.integers(-20, 100, rows)
        elif kind == "tiny":
            values = rng.normal(size=rows) * 1e-38
        elif kind == "huge":
            values = np.exp(rng.normal(size=rows) * 10)
        elif kind == "boolean":
            values = rng.integers(0, 2, rows)
        else:
            values = rng.integers(0, column["cardinality"], rows)
        values = values.astype(np.float32)
        if unseen and kind != "category":
            wild = rng.random(rows) < 0.02
            values[wild] = rng.choice(
                np.array([0, -0.0, 1e38, -1e38, 1e-45], dtype=np.float32),
                wild.sum())
        if codes and kind == "category":
            wild = rng.random(rows) < 0.02
            values[wild] = rng.choice(
                np.array([column["cardinality"], 31.9, 1e6, 16777216, 1e30,
                          -1, -0.5], dtype=np.float32), wild.sum())
        missing = column["missing"]
        if unseen:
            missing = max(missing, 0.02)
        values[rng.random(rows) < missing] = np.nan
        data[:, i] = values
    return data


def label_of(rng, columns, data):
    """Makes labels that depend on the columns, with noise."""
    signal = rng.normal(size=len(data))
    for i, column in enumerate(columns):
        values = data[:, i].astype(np.float64)
        if column["kind"] == "category":
            effect = rng.normal(size=column["cardinality"])
            values = effect[np.nan_to_num(values).astype(int)]
        else:
            values = np.nan_to_num(values)
            spread = values.std()
            values = (values - values.mean()) / (spread if spread else 1)
        signal += rng.normal() * np.tanh(values)
    return (signal > np.quantile(signal, rng.choice([0.5, 0.7, 0.9])))


def to_matrix(columns, data, label, frame):
    """Makes a DMatrix of a pandas frame or of the bare floats."""
    if frame:
        table = pd.DataFrame(index=range(len(data)))
        # 3.1 and later recode texts, wrongly if they are not ASCII
        suffix = "" if VERSION >= (3, 1) else " é"
        for i, column in enumerate(columns):
            if column["kind"] == "category":
                codes = np.nan_to_num(data[:, i], nan=-1).astype(int)
                texts = ["c%d%s" % (c, suffix)
                         for c in range(column["cardinality"])]
                table[column["name"]] = pd.Categorical.from_codes(codes, texts)
            else:
                table[column["name"]] = data[:, i]
        return xgboost.DMatrix(table, label=label, enable_categorical=True)
    types = ["c" if column["kind"] == "category" else
             "i" if column["kind"] == "boolean" else "float"
             for column in columns]
    return xgboost.DMatrix(data, label=label, missing=np.nan,
                           feature_names=[c["name"] for c in columns],
                           feature_types=types, enable_categorical=True)


def train(rng, number, rows):
    """Trains one model and returns it with rows and their margins."""
    columns = make_columns(rng, int(rng.integers(1, 25)))
    depth = int(number % 12 + 1)
    rounds = int(rng.choice([1, 2, 10, 30, 60, 100]))
    if number % 10 == 5:
        depth, rounds = min(depth, 4), 500
    params = {
        "objective": ["binary:logistic", "binary:logitraw"][number % 3 == 1],
        "tree_method": ["hist", "hist", "approx"][int(rng.integers(3))],
        "max_depth": depth,
        "eta": float(rng.choice([0.05, 0.3, 1.0])),
        "min_child_weight": float(rng.choice([0, 0.1, 1])),
        "max_cat_to_onehot": int(rng.choice([1, 4, 1000])),
        "gamma": float(rng.choice([0, 0, 0.2])),
        "max_bin": int(rng.choice([16, 256])),
        "nthread": 2,
        "seed": number,
        "base_score": float(rng.choice([0.5, 0.26578, 0.1, 0.973])),
    }
    if VERSION >= (2, 0) and number % 4 == 0:
        del params["base_score"]  # estimated from the data
    if number % 5 == 3:
        params.update(num_parallel_tree=3, subsample=0.7,
                      colsample_bynode=0.7)
        rounds = min(rounds, 30)
    if number % 5 == 2:
        params.update(booster="dart", rate_drop=0.2, skip_drop=0.3,
                      normalize_type=str(rng.choice(["tree", "forest"])))
        rounds = min(rounds, 60)
    data = draw(rng, columns, 600, False)
    label = label_of(rng, columns, data)
    frame = bool(rng.integers(2))
    booster = xgboost.train(params, to_matrix(columns, data, label, frame),
                            rounds)
    if number % 7 == 6:
        booster.set_attr(best_iteration="0", note='a "note"\n\tand \\users')
    data = draw(rng, columns, rows, True, not frame)
    margin = booster.predict(to_matrix(columns, data, None, frame),
                             output_margin=True)
    return booster, data, margin


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--rows", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=20240607)
    arguments = parser.parse_args()
    xgboost.set_config(verbosity=0)
    os.makedirs(arguments.directory, exist_ok=True)
    lines = []
    for number in range(arguments.models):
        rng = np.random.default_rng([arguments.seed, number])
        booster, data, margin = train(rng, number, arguments.rows)
        names = ["%03d.%s" % (number, end) for end in
                 (["json", "ubj"][number % 2], "data", "margin")]
        paths = [os.path.join(arguments.directory, name) for name in names]
        booster.save_model(paths[0])
        data.astype("<f4").tofile(paths[1])
        margin.astype("<f4").tofile(paths[2])
        lines.append("%s %d %d\n" % (" ".join(names), *data.shape))
    with open(os.path.join(arguments.directory, "manifest"), "w") as file:
        file.writelines(lines)


if __name__ == "__main__":
    main()
