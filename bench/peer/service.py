"""The peer of look-ups: a scoring service with FastAPI, as one would write it
for speed.  uvicorn runs it; CHURN_BENCH_MODEL names the model's file.

    POST /score with the features of one customer as JSON answers {"score": …}
"""
import json
import os

import numpy as np
import xgboost as xgb
from fastapi import FastAPI
from pydantic import create_model

booster = xgb.Booster(model_file=os.environ["CHURN_BENCH_MODEL"])
booster.set_param({"nthread": 1})
features = json.loads(booster.attr("churn"))["features"]
codes = [{text: code for code, text in enumerate(feature["categories"])}
         if feature["kind"] == "category" else None for feature in features]
names = [feature["name"] for feature in features]
Customer = create_model("Customer", **{
    feature["name"]: (str | None if feature["kind"] == "category"
                      else float | None, None) for feature in features})
app = FastAPI()


# A coroutine: a plain function would be handed to a pool of threads, at twice
# the cost of the prediction.
@app.post("/score")
async def score(customer: Customer):
    row = np.array([[np.nan if value is None
                     else value if code is None
                     else code.get(value, np.nan)
                     for value, code in zip(
                         (getattr(customer, name) for name in names), codes)]],
                   dtype=np.float32)
    return {"score": float(booster.inplace_predict(row)[0])}
