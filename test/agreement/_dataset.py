"""What telco.py and mlc.py do: the raw file into a table, churn_train() with
defaults, and everything that it says against Python on the same rows."""
import json

import numpy as np
from sklearn import metrics

from _common import (equal, exported, import_model, literal, load_booster,
                     matrix_of, ok, psql, query, quote, same_bits, split,
                     values_of_row)


def load(path, table, columns, key=None):
    """Makes a table of a raw CSV file; columns maps names to types."""
    definitions = ", ".join(
        f"{quote(name)} {kind}{' PRIMARY KEY' if name == key else ''}"
        for name, kind in columns.items())
    psql(f"CREATE TABLE {quote(table)} ({definitions});\n"
         f"\\copy {quote(table)} FROM {literal(path)}"
         " WITH (FORMAT csv, HEADER true)")


def check_quality(trained, bounds):
    """The metrics that churn_train() returned lie within bounds."""
    for name, (low, high) in bounds.items():
        value = float(trained[name])
        ok(low <= value <= high,
           f"test {name} {value:.4f} is from {low} to {high}")


def check_scores(table, rows, booster, features, form):
    """Margins and scores of all rows against a booster's."""
    matrix = matrix_of(booster, features, rows)
    same_bits([row["margin_"] for row in rows],
              booster.predict(matrix, output_margin=True),
              f"{table}, {form}")
    scores = booster.predict(matrix)
    gap = np.abs(scores.astype(np.float64)
                 - np.array([float(row["score_"]) for row in rows])).max()
    ok(gap < 1e-7, f"{table}, {form}: scores equal within 1e-7 ({gap:.1e})")
    return scores


def ranking_metrics(churned, scores):
    """What scikit-learn says of scores."""
    return {"pr_auc": metrics.average_precision_score(churned, scores),
            "roc_auc": metrics.roc_auc_score(churned, scores),
            "log_loss": metrics.log_loss(churned, scores.astype(np.float64)),
            "brier": metrics.brier_score_loss(churned, scores)}


def decision_metrics(churned, scores, threshold):
    """What scikit-learn says of decisions."""
    called = scores.astype(np.float64) >= threshold
    return {"f1": metrics.f1_score(churned, called),
            "precision": metrics.precision_score(churned, called),
            "recall": metrics.recall_score(churned, called),
            "accuracy": metrics.accuracy_score(churned, called)}


def check_metrics(model, dataset, churned, scores, threshold):
    """churn.metrics of a part of the rows against scikit-learn's."""
    expected = {**ranking_metrics(churned, scores),
                **decision_metrics(churned, scores, threshold)}
    stored = {row["metric"]: row for row in query(
        f"SELECT metric, value, n FROM churn.metrics WHERE model ="
        f" {literal(model)} AND version = 1 AND dataset = {literal(dataset)}"
        " AND candidate = '' AND metric <> 'ece'")}
    equal(sorted(stored), sorted(expected), f"metrics of the {dataset} part")
    for name, value in expected.items():
        got = float(stored[name]["value"])
        ok(abs(got - value) < 1e-6 and int(stored[name]["n"]) == len(churned),
           f"{dataset} {name} {got:.6f} is scikit-learn's {value:.6f},"
           f" of {len(churned)} rows")


def check_threshold(churned, scores, threshold):
    """The threshold is the one of best F1 on the validation part."""
    best = max(metrics.f1_score(churned, scores >= t)
               for t in np.unique(scores))
    chosen = metrics.f1_score(churned, scores.astype(np.float64) >= threshold)
    ok(abs(chosen - best) < 1e-9,
       f"the threshold {threshold:.4f} has the best F1 on validation,"
       f" {best:.4f}")
    ok(np.float32(threshold) in scores, "and is one of the scores there")


def check_rounds(booster, features, rows, churned, info):
    """Early stopping kept the rounds of lowest validation log loss."""
    matrix = matrix_of(booster, features, rows)
    rounds = booster.num_boosted_rounds()
    equal(rounds, int(info["rounds"]), "rounds are those of the model")
    params = json.loads(info["params"])
    ok(1 < rounds < params["rounds"], f"training stopped early, at {rounds}")
    losses = [metrics.log_loss(churned, booster.predict(
        matrix, iteration_range=(0, n)).astype(np.float64))
        for n in range(1, rounds + 1)]
    ok(losses[-1] - min(losses) < 1e-5,
       f"where validation log loss is lowest: {losses[-1]:.5f},"
       f" {min(losses):.5f} after {int(np.argmin(losses)) + 1}")


def check_dataset(path, table, columns, label, positive, key, bounds):
    """All of it; returns the booster's features by name."""
    load(path, table, columns, key)
    count = int(psql(f"SELECT count(*) FROM {quote(table)}"))
    trained = query(f"SELECT * FROM churn_train({literal(quote(table))},"
                    f" {literal(label)}, model => {literal(table)}, algorithm => 'xgboost',"
                    ' options => \'{"folds": 0, "calibration": "none"}\')')[0]
    equal((trained["model"], trained["version"], trained["promoted"],
           trained["rows"]), (table, "1", "t", str(count)),
          f"trained on {count} rows with defaults")
    check_quality(trained, bounds)

    rows = query(f"SELECT c.*, churn_margin(c) AS margin_,"
                 f" churn_score(c) AS score_ FROM {quote(table)} c")
    equal(len(rows), count, "all rows are scored")
    equal(psql(f"SELECT count(*) FROM {quote(table)} c, LATERAL (SELECT"
               f" to_jsonb(c) AS j OFFSET 0) x WHERE churn_margin(c)"
               f" IS DISTINCT FROM churn_margin("
               f"jsonb_populate_record(NULL::{quote(table)}, j))"), "0",
          "a row passed whole scores the same as its columns")

    boosters = {form: load_booster(exported(table, 1, form), form)
                for form in ("ubj", "json")}
    attribute = json.loads(boosters["ubj"].attr("churn"))
    features = attribute["features"]
    threshold = float(trained["threshold"])
    equal(attribute["threshold"], threshold, "the threshold travels along")
    for form, booster in boosters.items():
        scores = check_scores(table, rows, booster, features, form)

    info = query("SELECT m.split_seed, v.* FROM churn.model_versions v"
                 " JOIN churn.models m ON m.name = v.model WHERE"
                 f" v.model = {literal(table)} AND version = 1")[0]
    if key is None:
        kinds = {name: "text" if kind == "text" else "number"
                 for name, kind in columns.items() if name != label}
        contents = [values_of_row(row, kinds) for row in rows]
    else:
        contents = [row[key].encode() for row in rows]
    parts = split(contents, int(info["split_seed"]))
    churned = np.array([row[label] == positive for row in rows])
    # rows that equal a test row in all features are not learned from
    used = [feature["name"] for feature in features]
    tested = {tuple(row[name] for name in used)
              for row, part in zip(rows, parts) if part == "test"}
    equal_rows = np.array([tuple(row[name] for name in used) in tested
                           for row in rows]) & (parts != "test")
    equal(int(info["duplicates_dropped"]), int(equal_rows.sum()),
          "rows that equal a test row")
    parts[equal_rows] = "dropped"
    for name in ("test", "validation", "train"):
        equal(int(info[name + "_rows"]), int((parts == name).sum()),
              f"rows of the {name} part")
        equal(int(info[name + "_positives"]),
              int(churned[parts == name].sum()), "churned among them")
    for name in ("test", "validation"):
        check_metrics(table, name, churned[parts == name],
                      scores[parts == name], threshold)
    validation = [row for row, part in zip(rows, parts)
                  if part == "validation"]
    check_threshold(churned[parts == "validation"],
                    scores[parts == "validation"], threshold)
    check_rounds(boosters["ubj"], features, validation,
                 churned[parts == "validation"], info)

    # predictions and decisions are made of the same scores
    equal(int(psql(f"SELECT count(*) FROM {quote(table)} c,"
                   " LATERAL churn_predict(c) p WHERE p.churn")),
          int((scores.astype(np.float64) >= threshold).sum()),
          "churn_predict() calls those at or above the threshold")

    # what is exported comes back the same; UBJSON to the last byte
    for version, form in ((1, "ubj"), (2, "json")):
        imported = import_model("back", exported(table, 1, form))
        equal(imported[4:], [str(len(features)), info["rounds"]],
              f"the export is imported, as {form}")
        same = "a.compiled = b.compiled" + (
            " AND a.artifact = b.artifact" if form == "ubj" else "")
        equal(psql(f"SELECT {same} FROM churn.model_versions a,"
                   " churn.model_versions b WHERE"
                   f" a.model = {literal(table)} AND b.model = 'back'"
                   f" AND b.version = {version}"), "t", "and is the same")

    # importances are shares of XGBoost's total gain
    gain = boosters["ubj"].get_score(importance_type="total_gain")
    total = sum(gain.values())
    stored = {row["name"]: float(row["importance"]) for row in query(
        "SELECT name, importance FROM churn.features WHERE model ="
        f" {literal(table)} AND version = 1")}
    equal(sorted(stored), sorted(f["name"] for f in features),
          "churn.features lists the booster's columns")
    ok(abs(sum(stored.values()) - 1) < 1e-6 and all(
        abs(stored[f["name"]] - gain.get(name, 0) / total) < 1e-5
        for f, name in zip(features, boosters["ubj"].feature_names)),
       "importances are shares of the total gain")
    return {feature["name"]: feature for feature in features}
