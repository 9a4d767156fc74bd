#!/usr/bin/python3
"""Logistic regression trained on all rows of a table with numbers, missing
values and categories, against scikit-learn's on the same inputs.  Prints
TAP."""
import json

import numpy as np
from sklearn.linear_model import LogisticRegression

from _common import copy_in, done, ok, psql, query

ROWS = 3000
PLANS = ["basic", "family", "gold", None]

random = np.random.RandomState(3)
MONTHS = random.randint(0, 73, ROWS)
FEE = np.where(random.uniform(size=ROWS) < .1, np.nan,
               np.round(random.gamma(4, 20, ROWS), 2))
PLAN = random.randint(0, 4, ROWS)
PAPERLESS = random.randint(0, 2, ROWS)
CHURNED = random.uniform(size=ROWS) < 1 / (1 + np.exp(
    MONTHS / 30 - np.nan_to_num(FEE) / 80 + (PLAN == 1) - PAPERLESS))

psql("""
    CREATE TABLE customers (id int PRIMARY KEY, months int, fee numeric,
        plan text, paperless boolean, churned boolean)""")
copy_in("customers", [
    [str(i), str(MONTHS[i]), None if np.isnan(FEE[i]) else repr(float(FEE[i])),
     PLANS[PLAN[i]], str(PAPERLESS[i]), str(int(CHURNED[i]))]
    for i in range(ROWS)])


def standardised(values):
    """Numbers less their mean, by their deviation; missing ones are 0."""
    there = values[~np.isnan(values)]
    return np.nan_to_num((values - there.mean()) / there.std())


INPUTS = np.column_stack(
    [standardised(MONTHS.astype(float)), standardised(FEE), np.isnan(FEE),
     standardised(PAPERLESS.astype(float))]
    + [PLAN == i for i in range(4)]).astype(float)


def check(cost, sampling, weights):
    """Compares the margins of all rows."""
    psql(f"""
        SELECT churn_train('customers', 'churned', model => 'agreement',
            algorithm => 'logistic',
            params => '{json.dumps({"cost": cost})}',
            options => '{json.dumps({"test_fraction": 0,
                                     "sampling": sampling})}')""")
    ours = np.array([float(row["margin"]) for row in query("""
        SELECT churn_margin(c, 'agreement') AS margin FROM customers c
        ORDER BY id""")])
    psql("SELECT churn_drop_model('agreement')")
    theirs = LogisticRegression(C=cost, tol=1e-10, solver="newton-cholesky",
                                class_weight=weights).fit(
        INPUTS, CHURNED).decision_function(INPUTS)
    off = np.abs(ours - theirs).max()
    ok(off < 2e-4 and np.abs(theirs).max() > 1,
       f"cost {cost}, {sampling}: margins within {off:.1g}")
    return ours


check(1, "none", None)
check(0.01, "none", None)
check(1, "class_weight", "balanced")
psql("DROP TABLE customers")
done()
