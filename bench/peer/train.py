"""The peer of training: COPY, pandas and xgboost.train.

    train.py PARAMS ROUNDS THREADS VALIDATION_FRACTION TEST_FRACTION MODEL

PARAMS is a JSON object of XGBoost's own parameters; the model is saved as
MODEL.  Prints a JSON object: the seconds from the COPY to the saved model
(libraries are imported and the connection is open before), the peak memory of
the process in bytes, and the last validation log loss.
"""
import json
import sys
import tempfile
import time

import numpy as np
import pandas as pd
import psycopg2
import xgboost as xgb

LEFT_OUT = ("number", "customer_id")
LABEL = "churn"


def read(cursor):
    """The customers as a data frame, texts as categories.  The rows pass
    through a file, not through memory."""
    cursor.execute("SELECT * FROM customers LIMIT 0")
    types = {column.name: "category" if column.type_code == 25 else np.float32
             for column in cursor.description if column.name not in LEFT_OUT}
    columns = ", ".join(f'"{name}"' for name in types)
    with tempfile.TemporaryFile() as text:
        cursor.copy_expert(f"COPY (SELECT {columns} FROM customers) TO STDOUT"
                           " (FORMAT csv, HEADER)", text)
        text.seek(0)
        return pd.read_csv(text, dtype=types)


def train(connection, params, rounds, threads, fractions, path):
    with connection, connection.cursor() as cursor:
        frame = read(cursor)
    label = (frame.pop(LABEL) == "Yes").to_numpy(np.float32)
    place = np.random.default_rng(42).random(len(frame))
    test = place < fractions[1]
    validation = (place >= fractions[1]) & (place < sum(fractions))
    parts = [xgb.DMatrix(frame[part], label[part], enable_categorical=True,
                         nthread=threads)
             for part in (~test & ~validation, validation)]
    del frame
    history = {}
    booster = xgb.train(params | {"nthread": threads}, parts[0], rounds,
                        evals=[(parts[1], "validation")],
                        evals_result=history, verbose_eval=False)
    booster.save_model(path)
    return history["validation"]["logloss"][-1]


def peak_memory():
    """Bytes; getrusage() would count the parent's before exec() as well."""
    with open("/proc/self/status", encoding="utf-8") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise RuntimeError("/proc has no VmHWM")


if __name__ == "__main__":
    database = psycopg2.connect("")
    start = time.perf_counter()
    loss = train(database, json.loads(sys.argv[1]), int(sys.argv[2]),
                 int(sys.argv[3]), (float(sys.argv[4]), float(sys.argv[5])),
                 sys.argv[6])
    print(json.dumps({"seconds": time.perf_counter() - start,
                      "peak": peak_memory(), "log_loss": loss}))
