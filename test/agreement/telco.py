#!/usr/bin/python3
"""The Telco Customer Churn file, raw: trained with defaults, compared with
Python's xgboost and scikit-learn on all rows.  Prints TAP."""
from _common import data_file, done, equal, ok, psql
from _dataset import check_dataset

PATH = data_file("telco.csv")
COLUMNS = dict.fromkeys(
    ["customerID", "gender", "SeniorCitizen", "Partner", "Dependents",
     "tenure", "PhoneService", "MultipleLines", "InternetService",
     "OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport",
     "StreamingTV", "StreamingMovies", "Contract", "PaperlessBilling",
     "PaymentMethod", "MonthlyCharges", "TotalCharges", "Churn"], "text")
COLUMNS.update(SeniorCitizen="numeric", tenure="numeric",
               MonthlyCharges="numeric")

# more than .87 would mean that the test rows were seen in training
features = check_dataset(
    PATH, "telco", COLUMNS, "Churn", "Yes", "customerID",
    {"pr_auc": (.62, .74), "roc_auc": (.83, .87), "f1": (.55, .75)})

equal(len(features), 19, "all columns but key and label are features")
ok(features["TotalCharges"]["kind"] == "number"
   and features["TotalCharges"]["text_number"] is True,
   "TotalCharges, text with blanks in it, is a number")
equal(features["Contract"]["categories"],
      ["Month-to-month", "One year", "Two year"], "categories of Contract")
equal(psql("SELECT count(*) FROM telco c WHERE btrim(\"TotalCharges\") = ''"
           " AND churn_score(c) IS NOT NULL"), "11",
      "customers with blank charges have a score")
done()
