#!/usr/bin/python3
"""Random artifacts of our own: additive models, networks, plain trees and
blends of them, with every calibration; and what they predict, by numpy.

The format is described in src/include/churn/xgboost.h.  As a program it
writes documents in JSON to a directory, for fuzzing to begin with.
"""
import argparse
import json
import os

import numpy as np

KINDS = ["additive", "network", "tree"]
METHODS = ["none", "platt", "beta", "isotonic"]


def single(values):
    """Floats that float32 holds."""
    return np.asarray(values, dtype=np.float32).astype(np.float64).tolist()


# Documents

def make_features(rng):
    """What columns there are."""
    features = []
    for i in range(int(rng.integers(1, 9))):
        kind = rng.choice(["number", "number", "boolean", "category",
                           "category"])
        feature = {"name": f"{kind} {i}", "kind": str(kind)}
        if kind == "category":
            feature["categories"] = [
                f"c{code} é" for code in range(int(rng.integers(1, 12)))]
        elif kind == "number" and rng.random() < .2:
            feature["text_number"] = True
        features.append(feature)
    return features


def make_effect(rng, feature):
    """What a feature adds to an additive model."""
    if rng.random() < .1:
        return {"kind": "none"}
    effect = {"missing": rng.normal(), "mean": rng.normal()}
    if feature["kind"] == "category":
        return {"kind": "categories", **effect,
                "points": rng.normal(size=len(feature["categories"])).tolist()}
    if rng.random() < .5:
        low, high = np.sort(rng.normal(size=2) * 3)
        return {"kind": "linear", **effect, "slope": rng.normal(),
                "low": single(low), "high": single(high)}
    cuts = np.unique(single(rng.normal(size=rng.integers(0, 9)) * 3))
    return {"kind": "steps", **effect, "cuts": cuts.tolist(),
            "points": rng.normal(size=len(cuts) + 1).tolist()}


def make_additive(rng, features):
    return {"kind": "additive", "intercept": rng.normal(),
            "effects": [make_effect(rng, feature) for feature in features]}


def width(feature):
    """Inputs of a network that a feature makes."""
    return len(feature["categories"]) + 1 \
        if feature["kind"] == "category" else 2


def make_network(rng, features):
    ninputs = sum(width(feature) for feature in features)
    n = len(features)
    low = rng.normal(size=n) * 2
    hidden = [int(rng.choice([1, 3, 8, 16, 33, 64]))
              for _ in range(rng.integers(0, 3))]
    layers = []
    shape = [ninputs, *hidden, 1]
    for before, after in zip(shape, shape[1:]):
        layers.append({
            "weights": single(rng.normal(size=before * after)
                              / np.sqrt(before)),
            "biases": single(rng.normal(size=after))})
    return {"kind": "network",
            "inputs": {"low": single(low),
                       "high": single(low + rng.random(n) * 4),
                       "mean": single(low + rng.normal(size=n)),
                       "scale": single(rng.random(n) * 2)},
            "baseline": single(rng.random(ninputs)), "layers": layers}


def make_tree(rng, features):
    nodes = [{}]
    leaves = [0]
    for _ in range(rng.integers(0, 12)):
        at = leaves.pop(int(rng.integers(0, len(leaves))))
        number = int(rng.integers(0, len(features)))
        node = {"left": len(nodes), "right": len(nodes) + 1,
                "feature": number, "cover": single(rng.random() * 100)}
        if rng.random() < .5:
            node["default_left"] = bool(rng.random() < .5)
        if features[number]["kind"] == "category":
            n = len(features[number]["categories"])
            node["categories"] = sorted(set(
                rng.integers(0, n, rng.integers(0, 4)).tolist()))
        else:
            node["value"] = single(rng.normal())
        nodes[at] = node
        leaves += [len(nodes), len(nodes) + 1]
        nodes += [{}, {}]
    for at in leaves:
        nodes[at] = {"value": single(rng.normal()),
                     "cover": single(rng.random() * 100)}
    return {"kind": "tree", "nodes": nodes}


def make_calibration(rng, method):
    if method == "none":
        return {"method": "none"}
    if method == "platt":
        return {"method": "platt", "a": rng.random() * 2 + .01,
                "b": rng.normal()}
    if method == "beta":
        return {"method": "beta", "a": rng.random() * 2,
                "b": rng.random() * 2 + .01, "c": rng.normal()}
    n = int(rng.integers(1, 12))
    return {"method": "isotonic",
            "margins": np.cumsum(rng.random(n) + .01).tolist(),
            "logits": np.cumsum(rng.random(n) + .01).tolist()}


def make_document(rng, number):
    """A document whose kinds of components and calibration go round with the
    number."""
    features = make_features(rng)
    makers = {"additive": make_additive, "network": make_network,
              "tree": make_tree}
    kinds = [KINDS[number % len(KINDS)]] if number % 4 else \
        rng.choice(KINDS, rng.integers(2, 6)).tolist()
    components = []
    for kind in kinds:
        alone = len(kinds) == 1 and rng.random() < .7
        components.append({
            "algorithm": {"additive": "logistic", "network": "neural_network",
                          "tree": "rules"}[kind],
            "weight": 1 if alone else rng.random() + .1,
            "offset": 0 if alone else rng.normal(),
            **makers[kind](rng, features)})
    method = METHODS[number // 2 % len(METHODS)]
    return {"churn": {"format": 1, "threshold": .4, "features": features,
                      "calibration": make_calibration(rng, method)},
            "components": components}


# Rows and predictions; a matrix has a column a feature, float32

def draw(rng, features, rows):
    """Rows with missing values and, as such, unseen categories."""
    data = np.empty((rows, len(features)), dtype=np.float32)
    for i, feature in enumerate(features):
        if feature["kind"] == "category":
            values = rng.integers(0, len(feature["categories"]), rows)
        elif feature["kind"] == "boolean":
            values = rng.integers(0, 2, rows)
        else:
            values = rng.normal(size=rows) * 3
            wild = rng.random(rows) < .02
            values[wild] = rng.choice([0, 1e30, -1e30, 1e-40], wild.sum())
        values = values.astype(np.float32)
        values[rng.random(rows) < .1] = np.nan
        data[:, i] = values
    return data


def additive_margin(component, data):
    margin = np.full(len(data), component["intercept"], dtype=np.float64)
    for i, effect in enumerate(component["effects"]):
        if effect["kind"] == "none":
            continue
        value = data[:, i]
        missing = np.isnan(value)
        present = np.where(missing, np.float32(0), value)
        if effect["kind"] == "linear":
            part = effect["slope"] * np.clip(
                present, np.float32(effect["low"]),
                np.float32(effect["high"])).astype(np.float64)
        elif effect["kind"] == "steps":
            part = np.array(effect["points"])[np.searchsorted(
                np.array(effect["cuts"], dtype=np.float32), present,
                side="right")]
        else:
            part = np.array(effect["points"])[present.astype(int)]
        margin += np.where(missing, effect["missing"], part)
    return margin.astype(np.float32)


def network_inputs(component, features, data):
    """All inputs, zeros as well."""
    columns = []
    inputs = {name: np.array(values, dtype=np.float32)
              for name, values in component["inputs"].items()}
    for i, feature in enumerate(features):
        value = data[:, i]
        missing = np.isnan(value)
        if feature["kind"] == "category":
            n = len(feature["categories"])
            codes = np.where(missing, n, np.where(missing, 0, value))
            columns += [(codes == code).astype(np.float32)
                        for code in range(n + 1)]
            continue
        scaled = (np.clip(value, inputs["low"][i], inputs["high"][i])
                  - inputs["mean"][i]) * inputs["scale"][i]
        columns += [np.where(missing, np.float32(0), scaled),
                    missing.astype(np.float32)]
    return np.stack(columns, axis=1)


def network_margin(component, features, data):
    """In float32, each sum in the order of the inputs."""
    values = network_inputs(component, features, data)
    last = len(component["layers"]) - 1
    for number, layer in enumerate(component["layers"]):
        biases = np.array(layer["biases"], dtype=np.float32)
        weights = np.array(layer["weights"], dtype=np.float32).reshape(
            values.shape[1], len(biases))
        sums = np.tile(biases, (len(values), 1))
        for i in range(values.shape[1]):
            sums += values[:, i:i + 1] * weights[i]
        values = sums if number == last else np.maximum(sums, np.float32(0))
    return values[:, 0]


def tree_margin(component, data):
    margin = np.empty(len(data), dtype=np.float32)
    for number, row in enumerate(data):
        node = component["nodes"][0]
        while "left" in node:
            value = row[node["feature"]]
            if np.isnan(value):
                left = node.get("default_left", False)
            elif "categories" in node:
                left = int(value) not in node["categories"]
            else:
                left = value < np.float32(node["value"])
            node = component["nodes"][node["left" if left else "right"]]
        margin[number] = node["value"]
    return margin


def component_margin(component, features, data):
    if component["kind"] == "additive":
        return additive_margin(component, data)
    if component["kind"] == "network":
        return network_margin(component, features, data)
    return tree_margin(component, data)


def margin(document, data, boosters=None):
    """The margins of rows; boosters maps the numbers of components that are
    forests to XGBoost's own margins."""
    features = document["churn"]["features"]
    components = document["components"]
    parts = [boosters[number] if component["kind"] == "forest" else
             component_margin(component, features, data)
             for number, component in enumerate(components)]
    if len(components) == 1 and components[0]["weight"] == 1 \
            and components[0]["offset"] == 0:
        return parts[0]
    return sum(component["weight"] * part.astype(np.float64)
               + component["offset"]
               for component, part in zip(components, parts)
               ).astype(np.float32)


def score(calibration, margins):
    """The probabilities that margins stand for."""
    margins = np.asarray(margins, dtype=np.float64)
    method = calibration["method"]
    if method == "platt":
        logits = calibration["a"] * margins + calibration["b"]
    elif method == "beta":
        logits = (-calibration["a"] * np.logaddexp(0, -margins)
                  + calibration["b"] * np.logaddexp(0, margins)
                  + calibration["c"])
    elif method == "isotonic":
        knots = np.array(calibration["margins"])
        values = np.array(calibration["logits"])
        logits = np.interp(margins, knots, values)
        logits += np.minimum(margins - knots[0], 0)
        logits += np.maximum(margins - knots[-1], 0)
    else:
        logits = margins
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-logits))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory")
    parser.add_argument("--models", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    os.makedirs(arguments.directory, exist_ok=True)
    for number in range(arguments.models):
        rng = np.random.default_rng([arguments.seed, number])
        path = os.path.join(arguments.directory, f"components{number}.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(make_document(rng, number), file)


if __name__ == "__main__":
    main()
