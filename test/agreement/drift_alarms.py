#!/usr/bin/python3
"""How often churn_drift() raises an alarm where there is none, and misses one
where there is: random halves of the Telco customers against each other, and
5,000 customers of whom a tenth have moved to another contract.  Prints TAP.

CHURN_DRIFT_TRIES says how many tries there are of each, 100 by default."""
import os

from _common import data_file, done, ok, psql

TRIES = int(os.environ.get("CHURN_DRIFT_TRIES", "100"))
ROWS, MOVED = 5000, .1
NUMBERS = {"SeniorCitizen": "int", "tenure": "int", "MonthlyCharges": "float8"}


def load(path):
    """The customers, numbered."""
    with open(path, encoding="utf-8") as file:
        names = file.readline().rstrip("\n").split(",")
    columns = ", ".join(f'"{name}" {NUMBERS.get(name, "text")}'
                        for name in names)
    psql(f"CREATE TABLE telco ({columns});\n"
         f"\\copy telco FROM '{path}' WITH (FORMAT csv, HEADER true)\n"
         "ALTER TABLE telco ADD number int GENERATED ALWAYS AS IDENTITY;\n"
         "ANALYZE telco")


def false_alarms(algorithm, params, tries):
    """The share of the tries in which one half has drifted from the other,
    which it was trained on, and how many features did in all."""
    psql(f"""CREATE TABLE alarms_{algorithm} AS
        SELECT 0 AS try, ''::text AS feature, false AS drifted LIMIT 0;
    DO $$
    DECLARE
        half text := 'SELECT * FROM (SELECT *, ntile(2) OVER (ORDER BY
            hashint4extended(number, %s)) AS half FROM telco) AS t
            WHERE half = %s';
        trained int;
    BEGIN
        FOR seed IN 1..{tries} LOOP
            trained := version FROM churn_train(format(half, seed, 1), 'Churn',
                'customerID', '{algorithm}', '{algorithm}', params => '{params}',
                exclude => '{{half,number}}', options => '{{"folds": 0}}');
            INSERT INTO alarms_{algorithm} SELECT seed, feature, drifted
                FROM churn_drift('{algorithm}', format(half, seed, 2), trained)
                WHERE statistic IN ('psi', 'drifted_features');
            PERFORM churn_drop_model('{algorithm}');
        END LOOP;
    END $$""")
    alarms, features = psql(f"""SELECT
        count(*) FILTER (WHERE feature = '(model)' AND drifted),
        count(*) FILTER (WHERE feature <> '(model)' AND drifted)
        FROM alarms_{algorithm}""").split("|")
    return int(alarms) / tries, int(features)


def found_shifts(tries):
    """The share of the tries in which the customers who moved to a contract
    that binds them not are noticed, by the model and by that feature alone."""
    psql(f"""SELECT version FROM churn_train('telco', 'Churn', 'customerID',
        exclude => '{{number}}', algorithm => 'rules',
        options => '{{"folds": 0}}');
    CREATE TABLE shifts AS
        SELECT 0 AS try, ''::text AS feature, false AS drifted LIMIT 0;
    DO $$
    DECLARE
        today text := 'SELECT (jsonb_populate_record(t, CASE WHEN row_number()
            OVER (PARTITION BY t."Contract" = ''Month-to-month'' ORDER BY n)
            <= {int(ROWS * MOVED)} AND t."Contract" <> ''Month-to-month''
            THEN ''{{"Contract": "Month-to-month"}}'' ELSE ''{{}}'' END::jsonb)).*
            FROM generate_series(1, {ROWS}) AS n JOIN telco t ON t.number
            = 1 + abs(hashint4extended(n, %s)) %% (SELECT count(*) FROM telco)';
    BEGIN
        FOR seed IN 1..{tries} LOOP
            INSERT INTO shifts SELECT seed, feature, drifted
                FROM churn_drift('telco', format(today, seed))
                WHERE statistic IN ('psi', 'drifted_features');
        END LOOP;
    END $$""")
    model, contract, others = psql("""SELECT
        count(*) FILTER (WHERE feature = '(model)' AND drifted),
        count(*) FILTER (WHERE feature = 'Contract' AND drifted),
        count(*) FILTER (WHERE feature NOT IN ('(model)', '(score)', 'Contract')
            AND drifted) FROM shifts""").split("|")
    return int(model) / tries, int(contract) / tries, int(others)


load(data_file("telco.csv"))
for algorithm, params, tries in (
        ("rules", "{}", TRIES),
        ("xgboost", '{"rounds": 10, "max_depth": 3}', (TRIES + 3) // 4)):
    alarms, features = false_alarms(algorithm, params, tries)
    ok(alarms <= .05, f"{tries} halves, {algorithm}: {alarms:.1%} false alarms,"
       f" {features} features in all")
model, contract, others = found_shifts(TRIES)
ok(model >= .95, f"{TRIES} shifts of a tenth in contracts: {model:.1%} found")
ok(contract >= .95, f"the contracts themselves have drifted in {contract:.1%}")
ok(others <= .05 * TRIES, f"{others} other features have drifted in all")
done()
