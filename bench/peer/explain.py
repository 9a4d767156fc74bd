"""The peer of explaining: XGBoost's own pred_contribs on one thread.

    explain.py MODEL MATRIX ROWS COLUMNS

MODEL is a file as Booster.save_model() writes it, MATRIX holds floats, row by
row, of which the first ROWS are made a DMatrix.  Then each line of input, a
number of rows, explains so many, and is answered by a line of output: the
seconds of the call alone, and the sum of the contributions.
"""
import sys
import time

import numpy as np
import xgboost


def main():
    model, path, rows, columns = sys.argv[1:]
    columns = int(columns)
    matrix = np.fromfile(path, dtype=np.float32, count=int(rows) * columns)
    matrix = matrix.reshape(-1, columns)
    booster = xgboost.Booster({"nthread": 1}, model_file=model)
    made = {}
    for line in sys.stdin:
        count = int(line)
        if count not in made:
            made[count] = xgboost.DMatrix(
                matrix[:count], feature_names=booster.feature_names,
                feature_types=booster.feature_types, nthread=1,
                enable_categorical=True)
        start = time.perf_counter()
        result = booster.predict(made[count], pred_contribs=True)
        seconds = time.perf_counter() - start
        print(f"{seconds:.9f} {result.sum(dtype=np.float64)!r}", flush=True)


main()
