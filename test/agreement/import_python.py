#!/usr/bin/python3
"""Models of Python's xgboost in the database: those that can be scored score
the same, those that cannot are refused in plain words.  Prints TAP."""
import pickle

import numpy as np
import pandas as pd

from _common import (VERSION, SqlError, copy_in, done, equal, exported,
                     import_model, literal, load_booster, ok, psql, query,
                     quote, same_bits, saved, xgboost)

ROWS = 3000
PLANS = ["Basic", "Pro", "Größe XL", 'the "best"', "it's", "", "a,b"]
CITIES = ["city %02d" % i for i in range(40)]
xgboost.set_config(verbosity=0)


def customers(rng, rows):
    """Customers with every kind of column, and who of them left."""
    frame = pd.DataFrame({
        "tenure": rng.integers(0, 72, rows).astype(np.int32),
        "Monthly Charges": rng.normal(65, 30, rows).round(2),
        "support_calls": np.where(rng.random(rows) < .1, np.nan,
                                  rng.poisson(2, rows)),
        "plan": pd.Categorical(rng.choice(PLANS, rows), PLANS),
        "city": pd.Categorical(rng.choice(CITIES, rows), CITIES),
        "paperless": rng.random(rows) < .5,
    })
    frame.loc[rng.random(rows) < .05, "plan"] = np.nan
    signal = (frame["support_calls"].fillna(5) - frame["tenure"] / 20
              + frame["plan"].cat.codes / 3
              + frame["city"].cat.codes % 7 / 3 + rng.normal(0, 1, rows))
    return frame, (signal > signal.quantile(.7)).astype(int)


def features_of(frame):
    """The argument "features" for a frame's columns."""
    result = []
    for name in frame.columns:
        kind = str(frame[name].dtype)
        if kind == "category":
            result.append({"name": name,
                           "categories": list(frame[name].cat.categories)})
        elif kind == "bool":
            result.append({"name": name, "kind": "boolean"})
        else:
            result.append(name)
    return result


def table_of(table, frame):
    """Makes a table of a frame, in its order."""
    types = {"category": "text", "bool": "boolean", "int32": "integer"}
    psql(f"CREATE TABLE {quote(table)} (row_ int PRIMARY KEY, "
         + ", ".join(f"{quote(name)}"
                     f" {types.get(str(frame[name].dtype), 'float8')}"
                     for name in frame.columns) + ")")
    columns = [[None if pd.isna(value) else
                str(value).lower() if isinstance(value, (bool, np.bool_)) else
                str(value) if isinstance(value, (str, int, np.integer)) else
                repr(float(value)) for value in frame[name]]
               for name in frame.columns]
    copy_in(table, ((str(i),) + row for i, row in enumerate(zip(*columns))))


def margins(table, model):
    """Our margins, in the frame's order."""
    return [row["m"] for row in query(
        f"SELECT churn_margin(c, {literal(model)}) AS m FROM {quote(table)} c"
        " ORDER BY row_")]


def refused(what, content, *words, features=None):
    """A test that a file is refused, with words that say why."""
    try:
        import_model("refused", content, features)
        ok(False, f"{what}: refused")
    except SqlError as error:
        text = str(error)
        ok(text[:5] in ("0A000", "XX001", "54000", "22023")
           and all(word in text for word in words),
           f"{what}: {text.splitlines()[0]}")


random = np.random.default_rng(20240607)
frame, left = customers(random, ROWS)
table_of("customers", frame)
data = xgboost.DMatrix(frame, left, enable_categorical=True, nthread=1)
features = features_of(frame)
base = {"objective": "binary:logistic", "tree_method": "hist", "eta": .3,
        "nthread": 1, "seed": 7}
models = {
    "plain": ({}, 30),
    "deep": ({"max_depth": 12, "min_child_weight": 0}, 40),
    "stumps": ({"max_depth": 1}, 300),
    "margins": ({"objective": "binary:logitraw", "base_score": -.5}, 20),
    "odd base": ({"base_score": .2717}, 10),
    "one tree": ({"max_depth": 3}, 1),
    "dart": ({"booster": "dart", "rate_drop": .2, "skip_drop": .3}, 40),
    "dart, forest": ({"booster": "dart", "rate_drop": .5,
                      "normalize_type": "forest", "one_drop": 1}, 25),
    "boosted forest": ({"num_parallel_tree": 4, "subsample": .7}, 10),
    "one-hot": ({"max_cat_to_onehot": 100}, 20),
    "partitions": ({"max_cat_to_onehot": 1}, 20),
    "losses": ({"grow_policy": "lossguide", "max_leaves": 20,
                "max_depth": 0}, 20),
}

boosters = {}
for number, (name, (params, rounds)) in enumerate(models.items()):
    booster = xgboost.train({**base, **params}, data, rounds)
    boosters[name] = booster
    form = ["json", "ubj"][number % 2]
    row = import_model(name, saved(booster, form), features)
    equal(row[1:4] + row[4:5], ["1", "xgboost", "t", "6"],
          f"{name}: imported from {form}")
    theirs = booster.predict(data, output_margin=True)
    same_bits(margins("customers", name), theirs, name)
    scores = np.array([float(row["s"]) for row in query(
        f"SELECT churn_score(c, {literal(name)}) AS s FROM customers c"
        " ORDER BY row_")])
    # logitraw has margins where the others have probabilities
    expected = booster.predict(data).astype(np.float64) \
        if params.get("objective") is None \
        else 1 / (1 + np.exp(-theirs.astype(np.float64)))
    gap = np.abs(scores - expected).max()
    ok(gap < 1e-7, f"{name}: scores equal within 1e-7 ({gap:.1e})")
    for form in ("ubj", "json"):
        back = load_booster(exported(name, 1, form), form)
        same_bits(back.predict(data, output_margin=True), theirs,
                  f"{name}: exported as {form}, loaded by Python")

# the order of columns in the table does not matter, nor do others
psql("CREATE VIEW turned AS SELECT city, 1 AS other, plan, paperless,"
     ' support_calls, "Monthly Charges", tenure, row_ FROM customers')
same_bits(margins("turned", "plain"),
          boosters["plain"].predict(data, output_margin=True),
          "columns in another order")

# what training never saw is missing
psql("CREATE VIEW unseen AS SELECT row_, tenure, \"Monthly Charges\","
     " support_calls, 'Ultra'::text AS plan, city, paperless FROM customers")
other = frame.assign(plan=pd.Categorical([None] * ROWS, PLANS))
same_bits(margins("unseen", "partitions"), boosters["partitions"].predict(
    xgboost.DMatrix(other, enable_categorical=True), output_margin=True),
    "an unseen category")

# types other than those of the frame hold the same numbers
psql("CREATE TABLE typed AS SELECT row_, tenure::bigint,"
     ' "Monthly Charges"::numeric, support_calls::smallint, plan::varchar,'
     " city::char(20), paperless FROM customers")
same_bits(margins("typed", "deep"),
          boosters["deep"].predict(data, output_margin=True),
          "bigint, numeric, smallint, varchar, char(n)")

# names and types as the file has them, when no category is to be explained
numbers = frame[["tenure", "Monthly Charges", "support_calls", "paperless"]]
matrix = xgboost.DMatrix(numbers, left, nthread=1)
booster = xgboost.train(base, matrix, 25)
import_model("numbers", saved(booster, "ubj"))
same_bits(margins("customers", "numbers"),
          booster.predict(matrix, output_margin=True),
          "numbers and booleans, described by the file alone")
refused("categories that the file does not name, or not in ASCII",
        saved(boosters["plain"], "ubj"), "plan")
if VERSION >= (3, 1):
    cities = frame[["tenure", "city"]]
    matrix = xgboost.DMatrix(cities, left, enable_categorical=True)
    booster = xgboost.train(base, matrix, 25)
    for form in ("ubj", "json"):
        import_model(f"cities, {form}", saved(booster, form))
        same_bits(margins("customers", f"cities, {form}"),
                  booster.predict(matrix, output_margin=True),
                  f"categories, described by the file alone, {form}")

# a model without names: f0, f1, ...
booster = xgboost.train(base, xgboost.DMatrix(
    numbers[["tenure"]].to_numpy(), left, nthread=1), 5)
import_model("nameless", saved(booster, "json"))
psql("CREATE VIEW nameless AS SELECT row_, tenure AS f0 FROM customers")
same_bits(margins("nameless", "nameless"), booster.predict(xgboost.DMatrix(
    numbers[["tenure"]].to_numpy()), output_margin=True), "no names")

# the wrapper for scikit-learn, which stops early: all trees count, as for
# Booster.predict(); a part of them is what slicing says
classifier = xgboost.XGBClassifier(
    n_estimators=200, learning_rate=.5, early_stopping_rounds=5, n_jobs=1,
    tree_method="hist", eval_metric="logloss")
classifier.fit(numbers[:2000], left[:2000],
               eval_set=[(numbers[2000:], left[2000:])], verbose=False)
booster = classifier.get_booster()
best = booster.best_iteration + 1
ok(best < booster.num_boosted_rounds(), f"a model that stopped at {best}"
   f" of {booster.num_boosted_rounds()} rounds")
import_model("stopped", saved(booster, "json"))
matrix = xgboost.DMatrix(numbers, nthread=1)
same_bits(margins("customers", "stopped"),
          booster.predict(matrix, output_margin=True), "with all of them")
sliced = booster[:best]
import_model("sliced", saved(sliced, "json"))
same_bits(margins("customers", "sliced"),
          booster.predict(matrix, output_margin=True,
                          iteration_range=(0, best)), "with the best of them")

# attributes of others travel along
booster.set_attr(note='a "note" — of mine\n', owner="me")
import_model("noted", saved(booster, "json"))
for form in ("ubj", "json"):
    back = load_booster(exported("noted", 1, form), form)
    equal((back.attr("note"), back.attr("owner")),
          ('a "note" — of mine\n', "me"), f"attributes, as {form}")

# the JSON of one version of XGBoost is laid out as it likes
text = saved(boosters["dart"], "json")
spaced = b"{\n" + text.replace(b",", b" ,\n\t").replace(b":{", b": {")[1:]
import_model("spaced", spaced, features)
same_bits(margins("customers", "spaced"),
          boosters["dart"].predict(data, output_margin=True),
          "JSON with white space")

# refused: what is not one logistic output of trees
plain = numbers.fillna(0).astype(np.float32)
for what, params, label, *words in (
        ("gblinear", {"booster": "gblinear", "tree_method": "auto"}, left,
         "gblinear"),
        ("multi:softprob", {"objective": "multi:softprob", "num_class": 3},
         left + (plain["tenure"] > 50), "3 classes"),
        ("multi:softmax", {"objective": "multi:softmax", "num_class": 4},
         left, "4 classes"),
        ("count:poisson", {"objective": "count:poisson"}, left,
         "count:poisson"),
        ("reg:squarederror", {"objective": "reg:squarederror"}, left,
         "reg:squarederror"),
        ("reg:logistic", {"objective": "reg:logistic"}, left,
         "reg:logistic"),
        ("binary:hinge", {"objective": "binary:hinge"}, left,
         "binary:hinge"),
        ("survival:cox", {"objective": "survival:cox"}, left + 1,
         "survival:cox"),
        ("rank:pairwise", {"objective": "rank:pairwise"}, left,
         "rank:pairwise")):
    matrix = xgboost.DMatrix(plain, label, nthread=1)
    if what.startswith("rank"):
        matrix.set_group([100] * (ROWS // 100))
    booster = xgboost.train({**base, **params}, matrix, 3)
    for form in ("json", "ubj"):
        refused(f"{what} as {form}", saved(booster, form), *words)
if VERSION >= (1, 7):
    booster = xgboost.train(
        {**base, "objective": "reg:squarederror"},
        xgboost.DMatrix(plain, np.column_stack([left, 1 - left])), 2)
    refused("two targets", saved(booster, "json"), "2 targets")

# refused: what is no model file
content = saved(boosters["dart"], "ubj")
if VERSION < (2, 1):
    refused("the old binary format",
            bytes(sliced.save_raw(raw_format="deprecated")), "binary format")
refused("a pickle", pickle.dumps(boosters["one tree"]))
refused("nothing", b"")
refused("noise", random.bytes(5000))
refused("zeros", bytes(5000))
refused("something behind the end", content + b"more", features=features)
for form in ("json", "ubj"):
    content = saved(boosters["dart"], form)
    cuts = [len(content) * i // 20 for i in range(20)]
    states = set()
    for cut in cuts:
        try:
            import_model("refused", content[:cut], features)
            states.add("imported")
        except SqlError as error:
            states.add(str(error)[:5])
    equal(states, {"XX001"}, f"truncated {form}, at {len(cuts)} places")

# noise in a file: refused or scored, by one server process that lives
content = exported("one tree")
script = ["\\set ON_ERROR_STOP off", "SELECT pg_backend_pid();"]
for _ in range(200):
    noisy = bytearray(content)
    for at in random.integers(0, len(content), 1):
        noisy[at] = random.integers(256)
    script.append(f"SELECT FROM churn_import('noisy', '\\x{noisy.hex()}',"
                  " options => '{\"promote\": \"always\"}');")
    script.append("SELECT count(churn_margin(c, 'noisy')) FROM customers c;")
script.append("SELECT pg_backend_pid();")
out = psql("\n".join(script)).split("\n")
equal(out[0], out[-1], "the server process lives on")
versions = int(psql("SELECT count(*) FROM churn.model_versions WHERE model ="
                    " 'noisy'"))
ok(0 < versions < 200, f"of 200 noisy files {versions} were models")

equal(psql("SELECT count(*) FROM churn.models WHERE name = 'refused'"), "0",
      "nothing refused is registered")
done()
