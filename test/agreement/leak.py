#!/usr/bin/python3
"""Warnings of leaks: the Interconnect files, whose contracts' begin dates tell
together with Telco's tenure who left, draw one; honest data draw none.  Prints
TAP."""
import csv
import os
import subprocess

from _common import data_file, done, equal, literal, ok, psql, query
from _dataset import load

CONTRACT = data_file("interconnect_contract.csv")
TELCO = data_file("telco.csv")
MLC = data_file("mlc_churn.csv")


def train(table, **more):
    """Trains on a table; the warnings that psql showed."""
    arguments = "".join(f", {name} => {literal(value)}"
                        for name, value in more.items())
    result = subprocess.run(
        ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c",
         f"SELECT count(*) FROM churn_train({literal(table)}, 'churn',"
         f" key => 'id'{arguments},"
         " options => '{\"folds\": 0, \"as_of\": \"2020-03-01\"}', algorithm => 'xgboost')"],
        check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=dict(os.environ, PGCLIENTENCODING="UTF8",
                            PGOPTIONS="-c client_min_messages=warning"))
    return [line.partition("WARNING:  ")[2]
            for line in result.stderr.splitlines() if "WARNING:" in line]


def issues(model):
    """The warnings in churn.data_issues, newest version only."""
    return query(
        "SELECT * FROM churn.data_issues i WHERE severity = 'warning'"
        f" AND model = {literal(model)} AND version = (SELECT max(version)"
        " FROM churn.model_versions v WHERE v.model = i.model)"
        " ORDER BY issue_id")


def columns_of(path, numbers):
    """All columns of a file, text but for some."""
    with open(path, newline="", encoding="utf-8") as file:
        names = next(csv.reader(file))
    return {name: "numeric" if name in numbers else "text" for name in names}


load(CONTRACT, "contract", columns_of(CONTRACT, ["MonthlyCharges"]))
load(TELCO, "telco", columns_of(TELCO, ["SeniorCitizen", "tenure",
                                        "MonthlyCharges"]))
load(MLC, "mlc", columns_of(MLC, [
    name for name in columns_of(MLC, []) if name.startswith(
        ("account_length", "number_", "total_"))]))

BASE = """CREATE VIEW {name} AS SELECT c."customerID" AS id,
    c."Type" AS type, c."PaperlessBilling" AS paperless,
    c."MonthlyCharges" AS monthly, c."TotalCharges" AS total{columns},
    c."EndDate" <> 'No' AS churn
    FROM contract c JOIN telco t USING ("customerID")"""

# the trap: neither column says much, both together everything
psql(BASE.format(name="trap", columns=', c."BeginDate"::date AS begun,'
                 ' t.tenure'))
warnings = train("trap")
equal(warnings, ['columns "begun" and "tenure" together tell who churned'],
      "begin date and tenure draw a warning")
found = issues("trap")
equal([(row["kind"], row["feature"], row["other_feature"], row["statistic"],
        row["source"], row["relation"], row["message"]) for row in found],
      [("pair_separates", "begun", "tenure", "auc", "train", "trap",
        warnings[0] if warnings else None)],
      "which is kept in churn.data_issues")
ok(found and float(found[0]["value"]) > .99, "with an AUC above .99")
ok(found and f"AUC of {float(found[0]['value']):.4f}" in found[0]["detail"],
   "which the detail tells")

# one of the two is no leak
for name, columns in (("begun", ', c."BeginDate"::date AS begun'),
                      ("tenure", ", t.tenure")):
    psql(BASE.format(name=name + "_alone", columns=columns))
    equal(train(name + "_alone"), [], f"{name} alone draws none")
    equal(issues(name + "_alone"), [], "nor an issue")

# ends of contracts: a date for those who left, a text that says so
psql(BASE.format(name="ends", columns=""", nullif(c."EndDate", 'No')::timestamp
    AS ended, c."EndDate" AS status"""))
equal(train("ends"),
      ['column "ended" is filled only for customers who churned',
       'column "status" alone tells almost perfectly who churned'],
      "end dates draw warnings of their own")
equal([(row["kind"], row["feature"]) for row in issues("ends")],
      [("filled_for_one_class", "ended"), ("separates", "status")],
      "which are kept")

# honest data
psql("""CREATE VIEW telco_view AS SELECT "customerID" AS id, t.*,
    "Churn" = 'Yes' AS churn FROM telco t""")
equal(train("telco_view", exclude="{customerID,Churn}"), [],
      "Telco draws no warning")
psql("""CREATE TABLE mlc_table AS SELECT row_number() OVER () AS id,
    m.* FROM mlc m""")
equal(train("mlc_table"), [], "nor does the MLC file, whose charges are a"
      " rate times minutes")
psql("""CREATE TABLE made AS SELECT customer_id AS id, c.*
    FROM churn_sample_customers(20000, 5) c;
    ALTER TABLE made DROP customer_id""")
equal(train("made"), [], "nor do generated customers")
equal(int(psql("SELECT count(*) FROM churn.data_issues"
               " WHERE severity = 'warning'")), 3, "and nothing is kept")
done()
