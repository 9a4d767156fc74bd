#!/usr/bin/python3
"""The mlc_churn file, raw and without a key: trained with defaults, compared
with Python's xgboost and scikit-learn on all rows.  Prints TAP."""
import csv

from _common import data_file, done, equal, ok
from _dataset import check_dataset

PATH = data_file("mlc_churn.csv")
TEXTS = {"state", "area_code", "international_plan", "voice_mail_plan",
         "churn"}
with open(PATH, newline="", encoding="utf-8") as file:
    NAMES = next(csv.reader(file))
COLUMNS = {name: "text" if name in TEXTS else "numeric" for name in NAMES}

features = check_dataset(
    PATH, "mlc_churn", COLUMNS, "churn", "yes", None,
    {"pr_auc": (.80, .95), "roc_auc": (.88, .97), "f1": (.74, .95)})

equal(len(features), len(NAMES) - 1, "all columns but the label are features")
ok(len(features["state"]["categories"]) == 51, "states of the union")
done()
