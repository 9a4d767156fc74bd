"""The peer of scoring into tables: a Python client as a data scientist would
write it, who knows pandas, xgboost and COPY well.

    client.py MODEL THREADS

Connects by PGHOST and the like.  Each line of input is a job, answered by a
line with the seconds it took:

    table NAME      makes NAME (customer_id, score) with the score of each
                    customer
    upsert NAME     brings NAME, a table like churn.predictions, up to date

Libraries are imported, the model is loaded and the connection open before the
first job.
"""
import io
import json
import sys
import time

import numpy as np
import pandas as pd
import psycopg2
import xgboost as xgb


class Client:
    def __init__(self, model, threads):
        self.booster = xgb.Booster(model_file=model)
        self.booster.set_param({"nthread": threads})
        about = json.loads(self.booster.attr("churn"))
        self.threads = threads
        self.threshold = about["threshold"]
        self.features = [feature["name"] for feature in about["features"]]
        # only what is needed is read, categories straight to their codes
        self.types = {"customer_id": str}
        for feature in about["features"]:
            self.types[feature["name"]] = (
                pd.CategoricalDtype(feature["categories"])
                if feature["kind"] == "category" else np.float32)
        self.connection = psycopg2.connect("")

    def read(self, cursor):
        """The customers as a data frame."""
        columns = ", ".join(f'"{name}"' for name in self.types)
        text = io.BytesIO()
        cursor.copy_expert(
            f"COPY (SELECT {columns} FROM customers) TO STDOUT"
            " (FORMAT csv, HEADER)", text)
        text.seek(0)
        return pd.read_csv(text, dtype=self.types)

    def score(self, frame):
        """The scores of all rows."""
        matrix = xgb.DMatrix(frame[self.features], enable_categorical=True,
                             nthread=self.threads)
        return self.booster.predict(matrix)

    def copy_in(self, cursor, table, keys, scores):
        text = io.BytesIO()
        pd.DataFrame({"key": keys, "score": scores}).to_csv(
            text, header=False, index=False)
        text.seek(0)
        cursor.copy_expert(f"COPY {table} FROM STDIN (FORMAT csv)", text)

    def make_table(self, cursor, table):
        frame = self.read(cursor)
        scores = self.score(frame)
        cursor.execute(f"CREATE TABLE {table} (customer_id text,"
                       " score double precision)")
        self.copy_in(cursor, table, frame["customer_id"], scores)

    def upsert(self, cursor, table):
        frame = self.read(cursor)
        scores = self.score(frame)
        cursor.execute("CREATE TEMPORARY TABLE fresh (customer_key text,"
                       " score double precision) ON COMMIT DROP")
        self.copy_in(cursor, "fresh", frame["customer_id"], scores)
        cursor.execute("ANALYZE fresh")
        cursor.execute(f"""
            MERGE INTO {table} AS p
            USING (SELECT *, CASE WHEN score >= %(threshold)s THEN 'high'
                                  WHEN score >= %(threshold)s / 2 THEN 'medium'
                                  ELSE 'low' END AS band
                   FROM fresh) AS f
            ON p.customer_key = f.customer_key AND p.model = 'customers'
            WHEN MATCHED AND (p.score <> f.score OR p.version <> 1) THEN
                UPDATE SET version = 1, previous_score = p.score,
                    score = f.score, band = f.band, scored_at = now(),
                    origin = 'batch'
            WHEN NOT MATCHED THEN
                INSERT (customer_key, model, version, score, band, scored_at,
                        origin)
                VALUES (f.customer_key, 'customers', 1, f.score, f.band,
                        now(), 'batch')""", {"threshold": self.threshold})

    def run(self, job, table):
        """Does a job in a transaction of its own."""
        start = time.perf_counter()
        with self.connection, self.connection.cursor() as cursor:
            {"table": self.make_table, "upsert": self.upsert}[job](
                cursor, table)
        return time.perf_counter() - start


if __name__ == "__main__":
    client = Client(sys.argv[1], int(sys.argv[2]))
    for line in sys.stdin:
        print(client.run(*line.split()), flush=True)
