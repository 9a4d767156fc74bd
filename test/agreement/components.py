#!/usr/bin/python3
"""Artifacts of our own against numpy: random additive models, networks, trees
and blends with every calibration, and blends with real boosters in them.
Prints TAP.

The documents are those of test/lib/random_components.py; each goes from JSON
through churn_import() to churn_margin() and churn_score() of rows in a table,
out again in both formats, and in once more.
"""
import json
import os
import sys

import numpy as np

from _common import (copy_in, done, equal, exported, import_model,
                     load_booster, ok, psql, query, quote, xgboost)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                os.pardir, "lib"))
import random_components as components  # noqa: E402

SEED = 20240608
ROWS = 1000
MODELS = 24


def make_table(table, features, data, rng):
    """Makes a table of rows, some of whose missing categories are unseen."""
    types = {"number": "real", "boolean": "boolean", "category": "text"}
    psql(f"CREATE TABLE {quote(table)} (row_ int PRIMARY KEY, " + ", ".join(
        f"{quote(feature['name'])} "
        + ("text" if feature.get("text_number") else types[feature["kind"]])
        for feature in features) + ")")
    columns = [[str(i) for i in range(len(data))]]
    for feature, values in zip(features, data.T):
        if feature["kind"] == "category":
            columns.append([
                ("never seen" if rng.random() < .5 else None)
                if np.isnan(value) else feature["categories"][int(value)]
                for value in values])
        elif feature["kind"] == "boolean":
            columns.append([None if np.isnan(value) else
                            "ft"[int(value)] for value in values])
        else:
            columns.append([None if np.isnan(value) else str(value)
                            for value in values])
    copy_in(table, list(zip(*columns)))


def predictions(table, model):
    """Our margins and scores, in the rows' order."""
    rows = query(f"SELECT churn_margin(c, '{model}') AS m,"
                 f" churn_score(c, '{model}') AS s FROM {quote(table)} c"
                 " ORDER BY row_")
    return (np.array([row["m"] for row in rows], dtype=np.float32),
            np.array([row["s"] for row in rows], dtype=np.float64))


def compare(what, table, model, document, theirs):
    """Tests margins against theirs, and scores against the calibration of our
    margins."""
    margins, scores = predictions(table, model)
    gap = np.abs(margins.astype(np.float64) - theirs)
    # relative to what is summed up, not to what is left when it cancels
    worst = (gap / np.maximum(np.abs(theirs), 1)).max()
    equal_bits = (margins == theirs).sum()
    ok(worst <= 1e-6, f"{what}: {len(margins)} margins within 1e-6"
       f" ({worst:.1e}, {equal_bits} equal)")
    calibration = document["churn"]["calibration"]
    gap = np.abs(scores - components.score(calibration, margins)).max()
    # without calibration scores are XGBoost's, in float32
    limit = 1e-7 if calibration["method"] == "none" else 1e-12
    ok(gap <= limit, f"{what}: {calibration['method']}, scores within"
       f" {limit:.0e} ({gap:.1e})")
    return margins


for number in range(MODELS):
    rng = np.random.default_rng([SEED, number])
    document = components.make_document(rng, number)
    features = document["churn"]["features"]
    kinds = [component["kind"] for component in document["components"]]
    what = f"{number}: {' + '.join(kinds)}"
    data = components.draw(rng, features, ROWS)
    make_table(f"rows {number}", features, data, rng)
    row = import_model("components", json.dumps(document).encode())
    equal(row[2], document["components"][0]["algorithm"]
          if len(kinds) == 1 else "blend", f"{what}: algorithm")
    margins = compare(what, f"rows {number}", "components", document,
                      components.margin(document, data))
    back = json.loads(exported("components", 1, "json"))
    equal(components.margin(back, data).tobytes(),
          components.margin(document, data).tobytes(),
          f"{what}: exported as JSON")
    import_model("again", exported("components", 1, "ubj"))
    import_model("again", exported("components", 1, "json"))
    equal(query("SELECT count(DISTINCT sha256) AS n FROM churn.model_versions"
                " WHERE model IN ('components', 'again')")[0]["n"], "1",
          f"{what}: exported and imported, the same bytes")
    psql("SELECT churn_drop_model('components'), churn_drop_model('again')")

# real boosters in a blend
rng = np.random.default_rng([SEED, MODELS])
document = components.make_document(rng, 4)
features = document["churn"]["features"]
data = components.draw(rng, features, ROWS)
matrix = xgboost.DMatrix(
    data, rng.random(ROWS) < .3, enable_categorical=True,
    feature_names=[f"f{i}" for i in range(len(features))],
    feature_types=["c" if feature["kind"] == "category" else "q"
                   for feature in features])
boosters = {}
for params in ({"max_depth": 3}, {"booster": "dart", "rate_drop": .3},
               {"num_parallel_tree": 5, "subsample": .6}):
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1,
                             "tree_method": "hist", "seed": 3, **params},
                            matrix, 4)
    boosters[len(document["components"])] = booster.predict(
        matrix, output_margin=True)
    document["components"].append({
        "algorithm": "xgboost", "weight": .5, "offset": .125,
        "kind": "forest", "xgboost": json.loads(booster.save_raw("json"))})
make_table("rows", features, data, rng)
import_model("blend", json.dumps(document).encode())
compare("boosters in a blend", "rows", "blend", document,
        components.margin(document, data, boosters))
back = json.loads(exported("blend", 1, "json"))
for number, theirs in boosters.items():
    booster = load_booster(json.dumps(
        back["components"][number]["xgboost"]).encode(), "json")
    equal(booster.predict(matrix, output_margin=True).tobytes(),
          theirs.tobytes(), f"component {number} is a booster for Python")
psql("SELECT churn_drop_model('blend')")
done()
