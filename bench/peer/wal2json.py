"""The peer of live rescoring: a consumer of wal2json as one would write it who
knows pandas, xgboost and psycopg2 well.

    wal2json.py MODEL THREADS SLOT TABLE BATCH

Connects by PGHOST and the like.  Each line of input has it read all that the
slot has, by pg_logical_slot_get_changes(), in batches, score each customer
that changed and upsert the scores into TABLE, which is like
churn.predictions.  Answers with the changes and the seconds that it took.

Libraries are imported, the model is loaded and the connection open before.
"""
import json
import sys
import time

import numpy as np
import pandas as pd
import psycopg2
import xgboost as xgb
from psycopg2.extras import execute_values


class Consumer:
    def __init__(self, model, threads, slot, table, batch):
        self.booster = xgb.Booster(model_file=model)
        self.booster.set_param({"nthread": threads})
        about = json.loads(self.booster.attr("churn"))
        self.threshold = about["threshold"]
        self.features = about["features"]
        self.codes = [{value: code for code, value
                       in enumerate(feature["categories"])}
                      if feature["kind"] == "category" else None
                      for feature in self.features]
        self.slot = slot
        self.batch = batch
        self.upsert = f"""
            INSERT INTO {table} AS p (customer_key, model, version, score,
                band, scored_at, origin)
            VALUES %s ON CONFLICT (customer_key, model) DO UPDATE SET
                previous_score = p.score, score = excluded.score,
                band = excluded.band, scored_at = excluded.scored_at"""
        self.connection = psycopg2.connect("")

    def encode(self, rows):
        """The matrix of floats that the model wants."""
        matrix = np.empty((len(rows), len(self.features)), np.float32)
        for i, (feature, codes) in enumerate(zip(self.features, self.codes)):
            values = [row.get(feature["name"]) for row in rows]
            if codes is None:
                matrix[:, i] = pd.to_numeric(pd.Series(values, dtype=object))
            else:
                matrix[:, i] = [codes.get(value, np.nan) for value in values]
        return matrix

    def band(self, score):
        return "high" if score >= self.threshold else \
            "medium" if score >= self.threshold / 2 else "low"

    def read(self, cursor):
        """The last row of each customer that changed, and how many changes
        there were."""
        cursor.execute(
            "SELECT data FROM pg_logical_slot_get_changes(%s, NULL, %s,"
            " 'format-version', '2', 'include-transaction', 'false',"
            " 'include-types', 'false', 'add-tables', 'public.customers')",
            (self.slot, self.batch))
        rows, changes = {}, 0
        for (data,) in cursor:
            change = json.loads(data)
            changes += 1
            if change["action"] in "IU":
                row = {column["name"]: column["value"]
                       for column in change["columns"]}
                rows[row["customer_id"]] = row
        return rows, changes

    def run(self):
        total, start = 0, time.perf_counter()
        while True:
            with self.connection, self.connection.cursor() as cursor:
                rows, changes = self.read(cursor)
                if not changes:
                    break
                scores = self.booster.inplace_predict(
                    self.encode(list(rows.values())))
                execute_values(cursor, self.upsert, [
                    (key, "customers", 1, float(score), self.band(score),
                     "now", "stream") for key, score in zip(rows, scores)],
                    page_size=1000)
            total += changes
        return total, time.perf_counter() - start


if __name__ == "__main__":
    consumer = Consumer(sys.argv[1], int(sys.argv[2]), sys.argv[3],
                        sys.argv[4], int(sys.argv[5]))
    for _ in sys.stdin:
        print(*consumer.run(), flush=True)
