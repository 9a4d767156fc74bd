#!/usr/bin/python3
"""churn_validate() on real data: silent about what has not changed and about
random halves, and exact about what was broken, by pandas.  Prints TAP."""
import json

import numpy as np
import pandas

from _common import data_file, done, equal, ok, psql, query, quote
from _dataset import load

TELCO = ["customerID", "gender", "SeniorCitizen", "Partner", "Dependents",
         "tenure", "PhoneService", "MultipleLines", "InternetService",
         "OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport",
         "StreamingTV", "StreamingMovies", "Contract", "PaperlessBilling",
         "PaymentMethod", "MonthlyCharges", "TotalCharges", "Churn"]
NUMBERS = ["SeniorCitizen", "tenure", "MonthlyCharges"]
HALVES = 40


def train(source, model, key="NULL"):
    """Trains the quickest model there is."""
    psql(f"SELECT churn_train('{source}', 'Churn', model => '{model}',"
         f" key => {key}, algorithm => 'rules',"
         " options => '{\"folds\": 0, \"promote\": \"always\"}')")


def findings(model, source="NULL"):
    """What churn_validate() finds, by kind and feature."""
    rows = query("SELECT severity, kind, feature, value, rows,"
                 " to_json(examples) AS examples, message"
                 f" FROM churn_validate('{model}', {source})")
    return {(row["kind"], row["feature"]): row for row in rows}


def check_halves():
    """Models of one half say nothing of importance of the other half."""
    notices = 0
    loud = []
    for i in range(HALVES):
        for half, sign in ("a", "="), ("b", "<>"):
            psql(f"CREATE OR REPLACE VIEW half_{half} AS SELECT * FROM telco"
                 f" WHERE hashtext(\"customerID\" || '{i}') & 1 {sign} 0")
        train("half_a", "half", "'customerID'")
        for finding in findings("half", "'half_b'").values():
            if finding["severity"] == "notice":
                notices += 1
            else:
                loud.append(finding["message"])
    equal(loud, [], f"{HALVES} random halves: no warning and no error")
    ok(notices <= 2, f"and {notices} notices, at most 2")


def broken():
    """The Telco rows with faults of all kinds."""
    data = pandas.read_csv(data_file("telco.csv"), dtype=str)
    random = np.random.default_rng(7)

    def some(share):
        return random.random(len(data)) < share
    data.loc[some(.03), "Contract"] = "Weekly"
    data.loc[some(.001), "Contract"] = "Quarterly, in advance"
    data.loc[some(.002), "PaymentMethod"] = "Bitcoin"
    data.loc[some(.1), "StreamingTV"] = None
    data.loc[some(.02), "tenure"] = None
    data["gender"] = None
    data.loc[some(.05), "TotalCharges"] = "12,50"
    data.loc[some(.04), "MonthlyCharges"] = "-1"
    data.loc[some(.02), "MonthlyCharges"] = "9999.5"
    data.loc[some(.3), "Churn"] = None
    twins = data[some(.01)]
    return pandas.concat([data, twins, twins.head(3)], ignore_index=True)


def check_broken(data):
    """Counts, shares and examples are those of pandas."""
    path = "broken.csv"
    data.to_csv(path, index=False)
    columns = ", ".join(f"{quote(name)} "
                        f"{'numeric' if name in NUMBERS else 'text'}"
                        for name in TELCO)
    psql(f"CREATE TABLE broken ({columns});\n"
         f"\\copy broken FROM '{path}' WITH (FORMAT csv, HEADER true)")
    found = findings("telco", "'broken'")
    original = pandas.read_csv(data_file("telco.csv"), dtype=str)
    expected = {}
    for name in TELCO[1:-1]:
        values, before = data[name], original[name]
        if name in NUMBERS:
            numbers = values.astype(float)
            known = before.astype(float)
            out = (numbers < known.min()) | (numbers > known.max())
            if out.any():
                expected["out_of_range", name] = out.sum(), values[out]
        elif name == "TotalCharges":
            bad = pandas.to_numeric(values, "coerce").isna() & \
                (values.fillna("").str.strip() != "")
            expected["not_a_number", name] = bad.sum(), values[bad]
        else:
            unseen = values.notna() & ~values.isin(before.unique())
            if unseen.any():
                expected["unseen_category", name] = \
                    unseen.sum(), values[unseen]
        if values.isna().mean() > .005:
            expected["missing_values", name] = values.isna().sum(), None
    repeated = data["customerID"].duplicated()
    expected["duplicate_keys", "customerID"] = repeated.sum(), None
    expected["late_label", "Churn"] = data["Churn"].isna().sum(), None
    equal(sorted(found), sorted(expected), "all that was broken is found")
    for (kind, name), (rows, values) in sorted(expected.items()):
        finding = found.get((kind, name))
        if finding is None:
            continue
        equal(int(finding["rows"]), int(rows), f"rows of {kind} of {name}")
        # texts that are no numbers leave fewer to be in range, or missing
        if kind in ("unseen_category", "not_a_number", "missing_values",
                    "late_label"):
            ok(abs(float(finding["value"]) - rows / len(data)) < 1e-12,
               f"share of {kind} of {name}")
        if values is not None:
            common = values.value_counts().index[:5].tolist()
            if name in NUMBERS:
                common = [np.format_float_positional(
                    np.float32(value), trim="-") for value in common]
            equal(json.loads(finding["examples"]), common,
                  f"examples of {kind} of {name}")
    equal(float(found["duplicate_keys", "customerID"]["value"]),
          float(data["customerID"][repeated].nunique()), "keys that repeat")


load(data_file("telco.csv"), "telco",
     {name: "numeric" if name in NUMBERS else "text" for name in TELCO},
     "customerID")
train("telco", "telco")
equal(findings("telco"), {}, "nothing is wrong with Telco as it is")
equal(findings("telco", "'SELECT * FROM telco ORDER BY tenure DESC'"), {},
      "nor with a query over it")
check_halves()
check_broken(broken())
done()
