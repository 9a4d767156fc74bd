#!/usr/bin/python3
"""churn_sample_customers() against the real file: the share of every value,
quartiles, churn rates, and how well a model can tell who leaves.  Prints TAP.

Needs telco.csv in CHURN_TEST_DATA and a database with the extension (PGHOST,
PGDATABASE); skips, loudly, without the file.
"""
import io
import os
import subprocess
import sys

import pandas as pd
import xgboost
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold

path = os.path.join(os.environ.get("CHURN_TEST_DATA", ""), "telco.csv")
NUMBERS = ["tenure", "monthly_charges", "total_charges"]
BANDS = [-1, 6, 12, 24, 36, 48, 60, 72]
tests = 0


def ok(passed, what):
    global tests
    tests += 1
    print(f"{'ok' if passed else 'not ok'} {tests} - {what}", flush=True)


def generated(n, seed):
    out = subprocess.run(
        ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c",
         f"COPY (SELECT * FROM churn_sample_customers({n}, {seed}))"
         " TO STDOUT (FORMAT csv, HEADER)"],
        check=True, stdout=subprocess.PIPE, text=True).stdout
    return prepared(pd.read_csv(io.StringIO(out), keep_default_na=False))


def prepared(table):
    table["total_charges"] = pd.to_numeric(table.total_charges,
                                           errors="coerce")
    table["churned"] = (table.churn == "Yes") * 1
    table["tenure band"] = pd.cut(table.tenure, BANDS).astype(str)
    return table


def quality(table):
    """PR-AUC and ROC-AUC of XGBoost, mean of five stratified folds."""
    x = table.drop(columns=["customer_id", "churn", "churned", "tenure band"])
    for name in x.columns:
        if name not in NUMBERS:
            x[name] = x[name].astype("category")
    pr = roc = 0.0
    folds = StratifiedKFold(5, shuffle=True, random_state=1)
    for train, test in folds.split(x, table.churned):
        data = xgboost.DMatrix(x.iloc[train], table.churned.iloc[train],
                               enable_categorical=True)
        booster = xgboost.train(
            {"objective": "binary:logistic", "eta": .05, "max_depth": 3,
             "tree_method": "hist", "nthread": 1}, data, 200)
        score = booster.predict(
            xgboost.DMatrix(x.iloc[test], enable_categorical=True))
        pr += average_precision_score(table.churned.iloc[test], score) / 5
        roc += roc_auc_score(table.churned.iloc[test], score) / 5
    return pr, roc


if not os.path.exists(path):
    print("1..0 # SKIP no telco.csv; set CHURN_TEST_DATA")
    sys.exit(0)

sample = generated(100000, 11)
real = pd.read_csv(path, keep_default_na=False)
real.columns = list(sample.columns[:21])
real = prepared(real)

for name in real.columns[1:21]:
    if name in NUMBERS:
        ours, theirs = (t[name].quantile([.1, .25, .5, .75, .9])
                        for t in (sample, real))
        gap = ((ours - theirs).abs() / theirs.clip(lower=20)).max()
        ok(gap < .1, f"quantiles of {name} (largest gap {gap:.3f})")
    else:
        gap = (sample[name].value_counts(normalize=True)
               .sub(real[name].value_counts(normalize=True), fill_value=0)
               .abs().max())
        ok(gap < .02, f"shares of {name} (largest gap {gap:.4f})")

for name in ["contract", "internet_service", "tenure band", "payment_method",
             "senior_citizen", "tech_support", "paperless_billing"]:
    gap = (sample.groupby(name).churned.mean()
           - real.groupby(name).churned.mean()).abs().max()
    ok(gap < .02, f"churn rate by {name} (largest gap {gap:.4f})")

for seed in (1, 2):
    pr, roc = quality(generated(len(real), seed))
    ok(.62 < pr < .70 and .83 < roc < .865,
       f"XGBoost on generated customers, seed {seed}: "
       f"PR-AUC {pr:.3f}, ROC-AUC {roc:.3f}")

print(f"1..{tests}")
