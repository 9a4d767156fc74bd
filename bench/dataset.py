"""The customers, the model, and what the peers need of them."""
import io
import json
import time

import numpy as np
import pandas
import xgboost

from harness import Session, say

ROUNDS = 200
PARAMS = {"rounds": ROUNDS, "early_stopping_rounds": 0, "max_depth": 6}
LABEL = "churn"
KEY = "customer_id"
NUMBER = "number"


class Data:
    """What set_up() made."""

    def __init__(self, bench):
        self.model_path = bench.path("model.ubj")
        self.matrix_path = bench.path("matrix.bin")
        self.features = []      # as the model's own attribute lists them
        self.params = {}        # in effect, as the registry has them
        self.columns = 0

    def names(self):
        return [feature["name"] for feature in self.features]


def read_types(features):
    """The columns' types as pandas' read_csv wants them."""
    types = {}
    for feature in features:
        if feature["kind"] == "category":
            types[feature["name"]] = pandas.CategoricalDtype(
                feature["categories"])
        else:
            types[feature["name"]] = np.float64
    return types


def encode(frame, features):
    """The matrix of floats that the model wants, NaN for missing."""
    matrix = np.empty((len(frame), len(features)), dtype=np.float32)
    for i, feature in enumerate(features):
        column = frame[feature["name"]]
        if feature["kind"] == "category":
            codes = column.cat.codes.to_numpy()
            matrix[:, i] = codes
            matrix[codes < 0, i] = np.nan
        else:
            matrix[:, i] = column.to_numpy()
    return matrix


def make_customers(bench, session):
    """The table.  The number is there for pgbench, which cannot make up keys
    that are text; it is not a feature."""
    session.run("CREATE EXTENSION churn")
    session.run("CREATE EXTENSION pg_prewarm")
    session.run(f"""CREATE TABLE customers AS
        SELECT row_number() OVER ()::integer AS {NUMBER}, s.*
        FROM churn_sample_customers({bench.rows}, 1) AS s""")
    session.run(f"""ALTER TABLE customers ADD PRIMARY KEY ({KEY}),
                    ADD UNIQUE ({NUMBER})""")
    session.run("VACUUM (FREEZE, ANALYZE) customers")
    for relation in ("customers", "customers_pkey", f"customers_{NUMBER}_key"):
        session.run(f"SELECT pg_prewarm('{relation}')")
    session.run("CHECKPOINT")


def is_cached(session, relation="customers"):
    """Whether a scan of the table reads nothing but shared buffers."""
    session.cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "
                           f"SELECT count(*) FROM {relation}")
    plan = session.cursor.fetchone()[0][0]["Plan"]
    return plan["Shared Read Blocks"] == 0


def write_matrix(bench, session):
    """Encodes all rows for XGBoost, in the order in which a scan gives them,
    and compares its margins with ours."""
    data = bench.data
    columns = ", ".join(f'"{name}"' for name in data.names())
    text = io.BytesIO()
    session.cursor.copy_expert(
        f"COPY (SELECT {columns}, churn_margin(c.*) AS margin_"
        " FROM customers c) TO STDOUT (FORMAT csv, HEADER)", text)
    text.seek(0)
    types = read_types(data.features) | {"margin_": np.float32}
    frame = pandas.read_csv(text, dtype=types, float_precision="round_trip")
    matrix = encode(frame, data.features)
    matrix.tofile(data.matrix_path)
    booster = xgboost.Booster(model_file=data.model_path)
    margins = booster.inplace_predict(matrix, predict_type="margin")
    same = int(np.sum(margins == frame["margin_"].to_numpy()))
    bench.check(same == bench.rows,
                f"{same} of {bench.rows} margins equal XGBoost's bit for bit")


def set_up(bench):
    """Makes all that every measure needs."""
    session = Session()
    data = bench.data = Data(bench)
    start = time.monotonic()
    make_customers(bench, session)
    size = session.value("SELECT pg_table_size('customers') / 1048576")
    say(f"   {bench.rows} customers, {size} MB, in"
        f" {time.monotonic() - start:.1f} s")
    bench.check(is_cached(session), "the whole table is in shared buffers")

    start = time.monotonic()
    session.run("SET churn.training_threads = 0")
    session.cursor.execute(
        "SELECT version, pr_auc, roc_auc FROM churn_train('customers', %s,"
        f" exclude => '{{{NUMBER}}}', algorithm => 'xgboost', params => %s,"
        """ options => '{"folds": 0, "calibration": "none"}')""",
        (LABEL, json.dumps(PARAMS)))
    version, pr_auc, roc_auc = session.cursor.fetchone()
    say(f"   model of {ROUNDS} trees of depth 6 trained in"
        f" {time.monotonic() - start:.1f} s: PR-AUC {pr_auc:.3f},"
        f" ROC-AUC {roc_auc:.3f}")
    data.params = session.value(
        f"SELECT params FROM churn.model_versions WHERE version = {version}")
    with open(data.model_path, "wb") as file:
        file.write(session.value("SELECT churn_export('customers')"))
    booster = xgboost.Booster(model_file=data.model_path)
    data.features = json.loads(booster.attr("churn"))["features"]
    data.columns = len(data.features)
    bench.check(len(booster.get_dump()) == ROUNDS,
                f"the exported model has {ROUNDS} trees")
    write_matrix(bench, session)
    session.run("VACUUM ANALYZE")
    session.run("CHECKPOINT")
    session.close()
