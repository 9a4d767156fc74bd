--
-- Alerts: rules over scores and customers, and how they are handed out
--
SET client_min_messages = warning;
CREATE ROLE regress_churn_sales;
GRANT EXECUTE ON FUNCTION churn_take_alerts TO regress_churn_sales;
-- the score is the logistic function of x
\set artifact '{"churn": {"format": 1, "features": [{"name": "x", "kind": "number"}], "threshold": 0.5}, "components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind": "linear", "slope": 1, "low": -10, "high": 10, "missing": 0, "mean": 0}]}]}'
CREATE TABLE alert_customers (id int PRIMARY KEY, x real, plan text, score text, parts text[]);
INSERT INTO alert_customers VALUES (1, -2, 'basic', 'mine'), (2, -2, 'pro', 'mine'), (3, 3, 'pro', 'mine');
SELECT promoted FROM churn_import('alert', convert_to(:'artifact', 'UTF8'), source => 'alert_customers', key => 'id');
CREATE VIEW alert_rows AS
	SELECT rule, customer_key AS customer, version, round(score::numeric, 4) AS score,
		round(previous_score::numeric, 4) AS previous, band, lsn IS NOT NULL AS lsn, taken_by
	FROM churn.alerts ORDER BY alert_id;

-- conditions that are refused
CREATE FUNCTION alert_function(text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true';
SELECT churn_add_alert_rule(NULL, 'true');
SELECT churn_add_alert_rule('alert', NULL);
SELECT churn_add_alert_rule('nobody', 'true');
SELECT churn_add_alert_rule('alert', '');
SELECT churn_add_alert_rule('alert', 'score >');
SELECT churn_add_alert_rule('alert', 'score + 1');
SELECT churn_add_alert_rule('alert', 'plan');
SELECT churn_add_alert_rule('alert', 'skore > 0.5');
SELECT churn_add_alert_rule('alert', 'score > random()');
SELECT churn_add_alert_rule('alert', 'now() > ''2020-01-01''');
SELECT churn_add_alert_rule('alert', 'alert_function(plan)');
SELECT churn_add_alert_rule('alert', 'public.alert_function(plan)');
SELECT churn_add_alert_rule('alert', 'score > (SELECT 0.5)');
SELECT churn_add_alert_rule('alert', 'count(*) > 1');
SELECT churn_add_alert_rule('alert', 'true; DROP TABLE alert_customers');
SELECT churn_add_alert_rule('alert', 'score = ''mine''');
SELECT churn_add_alert_rule('alert', 'true', '-1 s');
SELECT churn_add_alert_rule('alert', 'true', '1000 years');
SELECT churn_add_alert_rule('alert', 'true', '900000000 months -2147483648 days');

-- rules
SELECT churn_add_alert_rule('alert', 'score >= 0.8 AND previous_score < 0.8', '1 hour', 'rises') IS NOT NULL AS added;
SELECT churn_add_alert_rule('alert', 'band = ''high'' AND plan = ''pro''', name => 'pro') IS NOT NULL AS added;
SELECT churn_add_alert_rule('alert', 'previous_score IS NULL AND version = 1 AND score > 0.9') IS NOT NULL AS added;
SELECT churn_add_alert_rule('alert', 'true', name => 'pro');
SELECT name, model, condition, cooldown, created_by = current_user AS mine FROM churn.alert_rules ORDER BY rule_id;

SELECT churn_watch('alert');
SELECT churn_wait('60s');
SELECT * FROM alert_rows;

-- rises, once an hour
UPDATE alert_customers SET x = 2 WHERE id = 1;
SELECT churn_wait('60s');
UPDATE alert_customers SET x = -2 WHERE id = 1;
SELECT churn_wait('60s');
UPDATE alert_customers SET x = 2 WHERE id = 1;
SELECT churn_wait('60s');
-- no new score, no alert
UPDATE alert_customers SET plan = 'pro' WHERE id = 1;
SELECT churn_wait('60s');
-- without a cool-down each time
UPDATE alert_customers SET x = 1 WHERE id = 2;
SELECT churn_wait('60s');
UPDATE alert_customers SET x = 1.5 WHERE id = 2;
SELECT churn_wait('60s');
-- several in one transaction, of which the last counts
BEGIN;
UPDATE alert_customers SET x = 4 WHERE id = 3;
UPDATE alert_customers SET x = 5 WHERE id = 3;
COMMIT;
SELECT churn_wait('60s');
SELECT * FROM alert_rows;

-- a rule is added and dropped while the worker runs
SELECT churn_drop_alert_rule('alert', 'pro');
SELECT churn_add_alert_rule('alert', 'x < 0 AND parts IS NULL', name => 'customer') IS NOT NULL AS added;
UPDATE alert_customers SET x = -1 WHERE id = 2;
SELECT churn_wait('60s');
SELECT * FROM alert_rows WHERE rule = 'customer';
SELECT churn_drop_alert_rule('alert', 'pro');
SELECT churn_drop_alert_rule('nobody', 'pro');
SELECT churn_drop_alert_rule('alert', NULL);

-- one that fails goes to churn.errors, once, and the score is written all the same
SELECT churn_add_alert_rule('alert', 'parts[1]::int / (x - 7)::int > 0', name => 'fails') IS NOT NULL AS added;
UPDATE alert_customers SET x = 7, parts = '{1}' WHERE id = 2;
SELECT churn_wait('60s');
UPDATE alert_customers SET x = 7.5 WHERE id = 2;
SELECT churn_wait('60s');
SELECT kind, model, relation, customer_key, lsn IS NOT NULL AS lsn, sqlstate, message, detail, hint FROM churn.errors ORDER BY error_id;
SELECT round(p.score::numeric, 4) AS score, p.score = churn_score(c, 'alert') AS current
	FROM churn.predictions p JOIN alert_customers c ON c.id::text = p.customer_key WHERE customer_key = '2';
-- so does one whose column is gone
SELECT churn_drop_alert_rule('alert', 'fails');
SELECT churn_add_alert_rule('alert', 'plan = ''pro'' AND score < 0.3', name => 'plan') IS NOT NULL AS added;
ALTER TABLE alert_customers RENAME plan TO tariff;
UPDATE alert_customers SET x = -3 WHERE id = 2;
SELECT churn_wait('60s');
SELECT kind, model, customer_key, sqlstate, message, hint FROM churn.errors ORDER BY error_id OFFSET 1;

-- handing out: each once, the oldest first, those of a model
SET ROLE regress_churn_sales;
SELECT count(*) FROM churn.alerts;
SELECT rule, customer_key FROM churn_take_alerts(2);
SELECT rule, customer_key, taken_by = session_user AS mine, taken_at IS NOT NULL AS taken FROM churn_take_alerts(1, 'alert');
SELECT rule, customer_key FROM churn_take_alerts(model => 'nobody');
SELECT rule, customer_key FROM churn_take_alerts(0);
SELECT rule, customer_key FROM churn_take_alerts(-1);
-- rolled back, they come again
BEGIN;
SELECT rule, customer_key FROM churn_take_alerts(1);
ROLLBACK;
SELECT rule, customer_key FROM churn_take_alerts(1);
SELECT count(*) FROM churn_take_alerts();
SELECT count(*) FROM churn_take_alerts();
RESET ROLE;
SELECT count(*), count(taken_at) AS taken, count(DISTINCT taken_by) AS takers FROM churn.alerts;

-- the model goes with its rules; alerts are history
SELECT churn_drop_model('alert');
SELECT count(*) AS rules FROM churn.alert_rules;
SELECT count(*) > 0 AS alerts FROM churn.alerts;
TRUNCATE churn.alerts;
DROP VIEW alert_rows;
DROP FUNCTION alert_function;
DROP TABLE alert_customers;
REVOKE ALL ON FUNCTION churn_take_alerts FROM regress_churn_sales;
DROP ROLE regress_churn_sales;
-- worker and slot go with the last watch
DO $$ BEGIN
	WHILE EXISTS (SELECT FROM churn.stream_status) LOOP
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END $$;
TRUNCATE churn.errors;
