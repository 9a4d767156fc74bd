--
-- Hourly windows: how what live rescoring scores is distributed
--
SET client_min_messages = warning;
CREATE TABLE window_customers AS SELECT * FROM churn_sample_customers(600, 5);
ALTER TABLE window_customers ADD PRIMARY KEY (customer_id);
SELECT version FROM churn_train('window_customers', 'churn', params => '{"rounds": 5}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT version FROM churn_train('window_customers', 'churn', params => '{"rounds": 3}', algorithm => 'xgboost', options => '{"folds": 0, "promote": "never"}');
-- waits until so many scores of a version are counted; a minute at most
CREATE PROCEDURE await_windows(v int, wanted bigint) LANGUAGE plpgsql AS $$
DECLARE
	counted bigint;
BEGIN
	FOR i IN 1 .. 6000 LOOP
		SELECT sum(rows) INTO counted FROM churn.profiles WHERE model = 'window_customers' AND version = v;
		COMMIT;
		EXIT WHEN counted >= wanted;
		PERFORM pg_sleep(0.01);
	END LOOP;
	RAISE INFO '% scores of version % are counted', counted, v;
END
$$;
-- what a window and a check of the same rows say of a statistic
CREATE VIEW window_differences AS
	SELECT a.feature, a.statistic, a.value AS stream, b.value AS rows
	FROM churn.drift a JOIN churn.drift b ON a.model = b.model AND a.feature = b.feature AND a.statistic = b.statistic
	WHERE a.model = 'window_customers' AND a.source = '(stream)' AND b.source <> '(stream)'
		AND a.check_id = (SELECT max(check_id) FROM churn.drift WHERE source = '(stream)')
		AND b.check_id = (SELECT max(check_id) FROM churn.drift WHERE source <> '(stream)');

-- a rescan is not counted
SELECT churn_watch('window_customers');
SELECT churn_wait('60s');
SELECT churn_rescore('window_customers');
SELECT count(*) FROM churn.profiles;
-- changes are, one a customer and transaction, and deletes are not
BEGIN;
UPDATE window_customers SET monthly_charges = monthly_charges * 1.2 WHERE contract = 'Month-to-month';
UPDATE window_customers SET tenure = tenure + 1 WHERE contract = 'Month-to-month';
SAVEPOINT a;
UPDATE window_customers SET tenure = tenure + 1;
ROLLBACK TO a;
COMMIT;
SELECT churn_wait('60s');
SELECT count(*) AS changed FROM window_customers WHERE contract = 'Month-to-month' \gset
CALL await_windows(1, :changed);
SELECT sum(rows) = :changed AS counted, bool_and(window_end = window_start + '1 hour') AS hours,
	bool_and(window_start = date_trunc('hour', window_start, 'UTC')) AS whole, min(version) AS version
	FROM churn.profiles WHERE model = 'window_customers';
-- churn_drift() says the same of the window and of the rows
SELECT count(*) > 100 AS some FROM churn_drift('window_customers', stream => '2 hours');
SELECT count(*) > 100 AS some FROM churn_drift('window_customers', $$SELECT * FROM window_customers WHERE contract = 'Month-to-month'$$);
SELECT count(*) > 100 AS compared, count(*) FILTER (WHERE abs(stream - rows) > 1e-12 OR (stream IS NULL) <> (rows IS NULL)) AS differ
	FROM window_differences;

-- also of values that are missing or that training never saw
DELETE FROM window_customers WHERE contract <> 'Month-to-month';
UPDATE window_customers SET payment_method = CASE WHEN tenure % 3 = 0 THEN 'Barter' END, internet_service = NULL, tenure = NULLIF(tenure, 2),
	monthly_charges = monthly_charges * 3;
SELECT churn_wait('60s');
SELECT churn_unwatch('window_customers');
CALL await_windows(1, 2 * :changed);
SELECT count(*) > 100 AS some FROM churn_drift('window_customers', stream => '2 hours');
SELECT statistic, feature, round(value::numeric, 4) AS value, rows FROM churn.drift
	WHERE source = '(stream)' AND check_id = (SELECT max(check_id) FROM churn.drift) AND feature IN ('payment_method', 'internet_service')
		AND statistic IN ('null_share', 'unseen_share') ORDER BY 2, 1;

-- another version has its own windows
SELECT churn_promote('window_customers', 2);
SELECT churn_watch('window_customers');
SELECT churn_wait('60s');
UPDATE window_customers SET tenure = 1;
SELECT churn_wait('60s');
SELECT churn_unwatch('window_customers');
CALL await_windows(2, :changed);
SELECT version, sum(rows)::int / :changed AS times FROM churn.profiles GROUP BY version ORDER BY version;
SELECT count(*) > 100 AS some FROM churn_drift('window_customers', stream => '2 hours');
SELECT count(*) > 100 AS some FROM churn_drift('window_customers', 'window_customers');
SELECT count(*) > 100 AS compared, count(*) FILTER (WHERE abs(stream - rows) > 1e-12 OR (stream IS NULL) <> (rows IS NULL)) AS differ
	FROM window_differences;
-- they go with it
SELECT churn_drop_model('window_customers', 1);
SELECT version, sum(rows)::int / :changed AS times FROM churn.profiles GROUP BY version ORDER BY version;

-- one that knows no baseline has none
SELECT version FROM churn_import('window_foreign', convert_to('{"churn": {"format": 1, "features": [{"name": "tenure", "kind": "number"}], "threshold": 0.5}, "components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind": "linear", "slope": 1, "low": -10, "high": 10, "missing": 0, "mean": 0}]}]}', 'UTF8'),
	source => 'window_customers', key => 'customer_id');
SELECT churn_watch('window_foreign');
SELECT churn_wait('60s');
UPDATE window_customers SET tenure = 2;
SELECT churn_wait('60s');
SELECT churn_unwatch('window_foreign');
DO $$ BEGIN
	WHILE EXISTS (SELECT FROM churn.stream_status) LOOP
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END $$;
SELECT count(*) FROM churn.profiles WHERE model = 'window_foreign';

SELECT churn_drop_model('window_foreign');
SELECT churn_drop_model('window_customers');
SELECT count(*) FROM churn.profiles;
SELECT count(*) FROM churn.errors;
TRUNCATE churn.prediction_log;
DROP VIEW window_differences;
DROP PROCEDURE await_windows;
DROP TABLE window_customers;
