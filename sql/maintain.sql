--
-- churn_maintain(): what is due, step by step
--
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE TABLE maintain_customers AS SELECT * FROM churn_sample_customers(2000, 31);
ALTER TABLE maintain_customers ADD PRIMARY KEY (customer_id);
CREATE TABLE maintain_original AS TABLE maintain_customers;
CREATE FUNCTION maintain_train(model text, source text DEFAULT 'maintain_customers', rounds int DEFAULT 40) RETURNS int LANGUAGE sql AS $$
	SELECT version FROM churn_train(source, 'churn', key => 'customer_id', model => model, algorithm => 'xgboost',
		params => jsonb_build_object('rounds', rounds, 'max_depth', 2), options => '{"folds": 0}')
$$;
-- leaves nothing of who churned and who did not but their number
CREATE FUNCTION maintain_shuffle() RETURNS void LANGUAGE sql AS $$
	UPDATE maintain_customers c SET churn = s.churn FROM
		(SELECT a.customer_id, b.churn
		 FROM (SELECT customer_id, row_number() OVER (ORDER BY customer_id) AS n FROM maintain_customers) a
		 JOIN (SELECT churn, row_number() OVER (ORDER BY md5(customer_id)) AS n FROM maintain_customers) b USING (n)) s
		WHERE s.customer_id = c.customer_id
$$;
-- the steps of the last run
CREATE VIEW maintain_last AS
	SELECT model, step, state, version, message FROM churn.maintenance_log
	WHERE run_id = (SELECT max(run_id) FROM churn.maintenance_log) ORDER BY step_id;
CREATE VIEW maintain_steps AS SELECT model, step, state, version FROM maintain_last;
SET client_min_messages = notice;

-- without a policy: only what concerns no model, and once
CALL churn_maintain();
SELECT * FROM maintain_last;
CALL churn_maintain();
SELECT count(*) FROM churn.maintenance_log;
CALL churn_maintain(force => true);
SELECT count(*), count(DISTINCT run_id) AS runs FROM churn.maintenance_log;

-- where it cannot be called
SET client_min_messages = warning;
SELECT maintain_train('maintain');
SET client_min_messages = notice;
CALL churn_maintain('nobody');
CALL churn_maintain('maintain');
BEGIN;
CALL churn_maintain();
ROLLBACK;
CREATE FUNCTION maintain_function() RETURNS void LANGUAGE plpgsql AS 'BEGIN CALL churn_maintain(); END';
SELECT maintain_function();
SET default_transaction_read_only = on;
CALL churn_maintain();
RESET default_transaction_read_only;
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory';

-- nothing to tell
SELECT churn_set_policy('maintain');
CALL churn_maintain();
SELECT * FROM maintain_last;
-- not due; a policy that is not enabled; no version in force
CALL churn_maintain('maintain');
CALL churn_maintain();
SELECT count(DISTINCT run_id) AS runs FROM churn.maintenance_log WHERE model IS NOT NULL;
SELECT churn_set_policy('maintain', enabled => false);
CALL churn_maintain('maintain', force => true);
SELECT churn_set_policy('maintain');
UPDATE churn.models SET champion = NULL;
CALL churn_maintain();
UPDATE churn.models SET champion = 1;
SELECT count(*) FROM churn.alerts;

-- drift: prices rise.  An alert is all that the policy calls for
SET client_min_messages = warning;
UPDATE maintain_customers SET monthly_charges = monthly_charges * 1.4;
CALL churn_maintain('maintain', true);
SELECT model, step, state, version, regexp_replace(message, '\d+\.\d+', 'x.xxx', 'g') AS message FROM maintain_last;
SELECT kind, model, version, regexp_replace(message, '\d+\.\d+', 'x.xxx', 'g') AS message FROM churn_take_alerts(kind => NULL);
-- too few rows to tell
SELECT churn_set_policy('maintain', min_rows => 10000);
CALL churn_maintain('maintain', true);
SELECT step, state, message FROM maintain_last WHERE step IN ('drift', 'alert');

-- customers behave in another way: the challenger is better, but not to be promoted
UPDATE maintain_customers SET churn = CASE WHEN (monthly_charges > 100) = (churn = 'No') THEN 'Yes' ELSE 'No' END;
SELECT churn_set_policy('maintain', 'retrain', drift_segment => 'contract');
CALL churn_maintain('maintain', true);
SELECT * FROM maintain_steps;
SELECT champion, last_version FROM churn.models;
SELECT l.detail -> 'better' AS better, l.detail -> 'champion_version' AS champion, (l.detail #>> '{pr_auc,difference}')::float8 > 0.1 AS much,
	(l.detail #>> '{pr_auc,n}')::bigint = v.test_rows AS test_rows
	FROM churn.maintenance_log l JOIN churn.model_versions v ON v.model = l.model AND v.version = 2 WHERE l.step = 'compare';
SELECT jsonb_array_length(detail -> 'checks') AS checks, detail -> 'features' ? 'monthly_charges' AS monthly_charges
	FROM churn.maintenance_log WHERE step = 'drift' AND state = 'done' ORDER BY step_id DESC LIMIT 1;
SELECT kind, version, regexp_replace(message, '[-0-9.]+\d', '#', 'g') AS message FROM churn_take_alerts(kind => NULL);
-- it was trained as the champion was, on the same source
SELECT count(*) AS arguments FROM (SELECT source_relation, key, label, positive, exclude, transform, algorithm, params FROM churn.model_versions) AS v GROUP BY v;

-- promoted: past the gate
SELECT churn_set_policy('maintain', 'retrain_and_promote');
CALL churn_maintain('maintain', true);
SELECT * FROM maintain_steps;
SELECT champion FROM churn.models;
SELECT version, regexp_replace(why, '[-0-9.]+\d', '#', 'g') AS why FROM churn.deployments ORDER BY deployment_id;
SELECT kind, version, regexp_replace(message, '[-0-9.]+\d', '#', 'g') AS message FROM churn_take_alerts(kind => 'maintenance');
-- what made the new version is no drift to it
CALL churn_maintain('maintain', true);
SELECT * FROM maintain_last;

-- a bad challenger, of labels that were shuffled, is not promoted
UPDATE maintain_customers SET tenure = tenure / 2;
SELECT maintain_shuffle();
CALL churn_maintain('maintain', true);
SELECT * FROM maintain_steps;
SELECT champion, last_version FROM churn.models;
SELECT detail -> 'better' AS better FROM churn.maintenance_log WHERE step = 'compare' ORDER BY step_id DESC LIMIT 1;
SELECT kind, version, regexp_replace(message, '[-0-9.]+\d', '#', 'g') AS message FROM churn_take_alerts(kind => 'maintenance');
-- nor against true labels
UPDATE maintain_customers c SET churn = o.churn FROM maintain_original o WHERE o.customer_id = c.customer_id;
SELECT maintain_train('shuffled', 'maintain_customers');
SELECT maintain_shuffle();
SELECT version FROM churn_train('maintain_customers', 'churn', model => 'shuffled', algorithm => 'xgboost', params => '{"rounds": 40, "max_depth": 2}',
	options => '{"folds": 0, "promote": "never"}');
UPDATE maintain_customers c SET churn = o.churn FROM maintain_original o WHERE o.customer_id = c.customer_id;
SELECT metric, p_value > 0.99 AS worse FROM churn_compare('shuffled', 2) WHERE metric = 'pr_auc';
SELECT churn_drop_model('shuffled');

TRUNCATE churn.alerts;

-- age: the model is trained again whatever else; all learners are compared
SELECT churn_drop_model('maintain');
SELECT maintain_train('maintain', 'maintain_customers', 1);
SELECT churn_set_policy('maintain', 'retrain', max_age => '1 day');
CALL churn_maintain('maintain', true);
SELECT step, state, message FROM maintain_last WHERE step = 'retrain';
UPDATE churn.model_versions SET finished_at = finished_at - interval '25 hours';
SELECT churn_set_policy('maintain', 'retrain', max_age => '1 day', algorithm => 'auto');
UPDATE churn.model_versions SET options = '{"folds": 2, "time_budget": 1, "promote": "always", "calibration": "none"}';
CALL churn_maintain('maintain', true);
SELECT * FROM maintain_steps;
SELECT step, message FROM maintain_last WHERE step = 'retrain';
SELECT options, params IS NULL AS none FROM churn.model_versions WHERE version = 2;
SELECT count(*) > 3 AS candidates FROM churn.candidates WHERE version = 2;
-- young again
CALL churn_maintain('maintain', true);
SELECT step, state, message FROM maintain_last WHERE step = 'retrain';
-- a verdict on the concept counts whoever found it, once; segments that are too many end nothing
SELECT churn_set_policy('maintain', 'alert', drift_segment => 'customer_id');
INSERT INTO churn.drift (model, version, checked_at, checked_window, source, rows, feature, statistic, value, drifted)
	SELECT name, champion, clock_timestamp(), '(,)', 'churn.outcomes', 1000, '(concept)', 'calibration_z', 5, true FROM churn.models WHERE name = 'maintain';
CALL churn_maintain('maintain', true);
SELECT step, state, regexp_replace(message, '^.*; ', '') AS message FROM maintain_last WHERE step IN ('drift', 'measure', 'retrain');
SELECT kind FROM churn_take_alerts(kind => 'quality');
CALL churn_maintain('maintain', true);
SELECT step, state, message FROM maintain_last WHERE step = 'measure';

SELECT churn_drop_model('maintain');

-- a query as source means the same under any search_path
CREATE SCHEMA maintain_schema;
CREATE TABLE maintain_schema.scattered AS TABLE maintain_customers;
SET search_path = maintain_schema, public;
SELECT version FROM churn_train('SELECT * FROM scattered', 'churn', key => 'customer_id', model => 'query', algorithm => 'logistic',
	exclude => '{gender}', transform => '{"per_month": "total_charges / nullif(tenure, 0)"}', options => '{"folds": 2}');
RESET search_path;
SELECT churn_set_policy('query', 'retrain', max_age => '1 microsecond');
CALL churn_maintain('query');
SELECT step, state, version FROM maintain_steps WHERE step IN ('retrain', 'compare');
SELECT version, algorithm, regexp_replace(source, '^.* FROM ', '', 's') AS source, key, exclude, transform FROM churn.model_versions WHERE model = 'query' ORDER BY version;
-- another query than the model's own
SELECT version FROM churn_train('SELECT * FROM maintain_customers', 'churn', key => 'customer_id', model => 'query', algorithm => 'logistic',
	options => '{"folds": 2, "promote": "never"}');
CALL churn_maintain('query', true);
SELECT step, state, message, detail FROM churn.maintenance_log WHERE model = 'query' AND state = 'failed';
SELECT churn_drop_model('query');
TRUNCATE churn.alerts;
DROP SCHEMA maintain_schema CASCADE;

-- one model fails, the others are looked after; the alert comes once
CREATE VIEW maintain_gone AS TABLE maintain_customers;
SELECT maintain_train('a_gone', 'maintain_gone'), maintain_train('b_fine');
SELECT churn_set_policy(name) FROM churn.models ORDER BY name;
DROP VIEW maintain_gone;
CALL churn_maintain();
SELECT * FROM maintain_steps;
SELECT model, step, message, detail FROM churn.maintenance_log WHERE model = 'a_gone' AND state = 'failed';
SELECT kind, model, message FROM churn_take_alerts(kind => NULL);
CALL churn_maintain(force => true);
SELECT model, step, state FROM maintain_steps WHERE model = 'a_gone';
SELECT count(*) FROM churn.alerts WHERE taken_at IS NULL;
-- it is tried again before the other one is due
UPDATE churn.maintenance_log SET started_at = started_at - interval '2 hours';
CALL churn_maintain();
SELECT DISTINCT model FROM maintain_steps ORDER BY model;
-- an alert that cannot be written; a table that cannot be purged
CREATE VIEW maintain_gone AS TABLE maintain_customers;
ALTER TABLE churn.alerts ADD CONSTRAINT maintain_no_alert CHECK (kind <> 'drift') NOT VALID;
UPDATE maintain_customers SET monthly_charges = monthly_charges / 2;
CALL churn_maintain('a_gone', true);
SELECT step, state, message FROM maintain_last WHERE step = 'alert';
SELECT kind, model, message FROM churn_take_alerts(kind => NULL);
ALTER TABLE churn.alerts DROP CONSTRAINT maintain_no_alert;
ALTER TABLE churn.errors RENAME TO other_errors;
CALL churn_maintain('a_gone', true);
SELECT step, state, message FROM maintain_last WHERE model IS NULL;
SELECT kind, model, message FROM churn_take_alerts(kind => 'maintenance');
ALTER TABLE churn.other_errors RENAME TO errors;
SELECT churn_drop_model(name) FROM churn.models;
DROP VIEW maintain_gone;

-- interrupted calls: what was running has failed, and is done by the next call
UPDATE maintain_customers SET monthly_charges = monthly_charges * 2;
SELECT maintain_train('first'), maintain_train('second');
SELECT maintain_train('first');
UPDATE churn.models SET champion = 1;
SELECT churn_set_policy(name, 'retrain') FROM churn.models;
TRUNCATE churn.maintenance_log, churn.drift, churn.alerts;
INSERT INTO churn.maintenance_log (run_id, model, step, state, version) VALUES
	(1, 'first', 'validate', 'done', 1), (1, 'first', 'drift', 'done', 1), (1, 'first', 'measure', 'done', 1),
	(1, 'first', 'retrain', 'done', 2), (1, 'first', 'compare', 'running', NULL);
CALL churn_maintain(force => true);
SELECT run_id = 1 AS same_run, model, step, state, version, CASE WHEN state = 'failed' THEN message END AS message FROM churn.maintenance_log ORDER BY step_id;
SELECT name, last_version FROM churn.models ORDER BY name;
-- in a run that was interrupted no model is looked after twice, be it forced
DELETE FROM churn.maintenance_log WHERE step = 'partitions';
UPDATE churn.maintenance_log SET state = 'running' WHERE step = 'purge';
CALL churn_maintain(force => true);
SELECT count(*) AS steps, count(DISTINCT run_id) AS runs, count(*) FILTER (WHERE message = 'interrupted') AS interrupted FROM churn.maintenance_log;
CALL churn_maintain(force => true);
SELECT count(DISTINCT run_id) AS runs FROM churn.maintenance_log;
-- the third interruption is a failure
TRUNCATE churn.maintenance_log;
INSERT INTO churn.maintenance_log (run_id, model, step, state, message, detail) VALUES
	(1, 'first', 'validate', 'failed', 'interrupted', '{"interrupted": true}'),
	(1, 'first', 'validate', 'failed', 'interrupted', '{"interrupted": true}'), (1, 'first', 'validate', 'running', NULL, NULL);
CALL churn_maintain('first');
SELECT step, state, message FROM churn.maintenance_log WHERE model = 'first' ORDER BY step_id;
SELECT kind, message FROM churn_take_alerts(kind => 'maintenance') WHERE message ~ '^step';

-- a timeout: nothing is locked, and the next call goes on
CREATE VIEW maintain_slow AS SELECT * FROM maintain_customers WHERE (SELECT pg_sleep(0.01) IS NOT NULL);
SELECT maintain_train('slow', 'maintain_slow');
SELECT churn_set_policy('slow');
CREATE OR REPLACE VIEW maintain_slow AS SELECT * FROM maintain_customers WHERE (SELECT pg_sleep(100) IS NOT NULL);
SET statement_timeout = '200ms';
CALL churn_maintain('slow');
RESET statement_timeout;
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory';
SELECT step, state FROM churn.maintenance_log WHERE model = 'slow';
CREATE OR REPLACE VIEW maintain_slow AS SELECT * FROM maintain_customers WHERE (SELECT pg_sleep(0.01) IS NOT NULL);
CALL churn_maintain('slow');
SELECT step, state, message FROM churn.maintenance_log WHERE model = 'slow' ORDER BY step_id;
SELECT churn_drop_model(name) FROM churn.models;
DROP VIEW maintain_slow;

-- retention
TRUNCATE churn.maintenance_log, churn.drift, churn.alerts, churn.data_issues, churn.errors, churn.profiles, churn.quality, churn.outcomes;
SELECT maintain_train('kept');
SELECT churn_set_policy('kept', retention => '10 days');
INSERT INTO churn.drift (model, version, checked_at, checked_window, source, rows, feature, statistic, drifted)
	SELECT m, 1, now() - d * interval '1 day', 'empty', 'x', 1, 'f', 'psi', false FROM unnest('{kept,other}'::text[]) m, unnest('{9,11,399,401}'::int[]) d;
INSERT INTO churn.profiles (model, version, window_start, window_end, rows, updated_at, profile)
	SELECT m, 1, now() - d * interval '1 day', now() - d * interval '1 day', 1, now(), '' FROM unnest('{kept,other}'::text[]) m, unnest('{9,11,399,401}'::int[]) d;
INSERT INTO churn.quality (model, version, day, role, basis, metric, n)
	SELECT m, 1, current_date - d, 'champion', 'realised', 'pr_auc', 1 FROM unnest('{kept,other}'::text[]) m, unnest('{8,12,398,402}'::int[]) d;
INSERT INTO churn.outcomes (model, customer_key, observed_at, churned, status, recorded_at)
	SELECT m, 'x', now() - d * interval '1 day', true, 'confirmed', now() - d * interval '1 day' FROM unnest('{kept,other}'::text[]) m, unnest('{9,11,399,401}'::int[]) d;
INSERT INTO churn.data_issues (model, found_at, source, severity, kind, message)
	SELECT m, now() - d * interval '1 day', s, 'notice', 'x', 'x' FROM unnest('{kept,other}'::text[]) m, unnest('{9,11,399,401}'::int[]) d, unnest('{train,validate}'::text[]) s;
INSERT INTO churn.errors (occurred_at, kind, model, message)
	SELECT now() - d * interval '1 day', 'row', m, 'x' FROM unnest('{kept,other,NULL}'::text[]) m, unnest('{9,11,399,401}'::int[]) d;
INSERT INTO churn.alerts (kind, model, message, raised_at, taken_at)
	SELECT 'data', m, 'x', now() - interval '1000 days', t FROM unnest('{kept,other,NULL}'::text[]) m,
		unnest(ARRAY[now() - interval '9 days', now() - interval '11 days', now() - interval '399 days', now() - interval '401 days', NULL]) t;
INSERT INTO churn.maintenance_log (run_id, model, step, state, started_at)
	SELECT 0, m, 'drift', 'done', now() - d * interval '1 day' FROM unnest('{kept,other,NULL}'::text[]) m, unnest('{9,11,399,401}'::int[]) d;
INSERT INTO churn.maintenance_log (run_id, step, state) VALUES (0, 'partitions', 'done');
SELECT count(*) AS training_issues FROM churn.data_issues WHERE source = 'train';
CALL churn_maintain('kept', true);
SELECT message, detail FROM churn.maintenance_log WHERE step = 'purge';
SELECT count(*) AS training_issues FROM churn.data_issues WHERE source = 'train';
SELECT coalesce(model, '(none)') AS model, count(*), count(taken_at) AS taken FROM churn.alerts WHERE kind = 'data' GROUP BY model ORDER BY 1;
SELECT churn_drop_model('kept');

-- whose rights: members of the owner have its models looked after, as the owner
CREATE ROLE regress_churn_owner;
CREATE ROLE regress_churn_member IN ROLE regress_churn_owner;
CREATE ROLE regress_churn_other;
GRANT EXECUTE ON FUNCTION churn_train, churn_set_policy TO regress_churn_owner;
GRANT EXECUTE ON PROCEDURE churn_maintain TO regress_churn_owner, regress_churn_other;
GRANT SELECT ON maintain_customers TO regress_churn_owner;
CREATE FUNCTION maintain_whoami() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	IF current_user <> 'regress_churn_owner' THEN
		RAISE WARNING 'read as %', current_user;
	END IF;
	RETURN true;
END
$$;
CREATE VIEW maintain_trap AS SELECT * FROM maintain_customers WHERE (SELECT maintain_whoami());
ALTER VIEW maintain_trap OWNER TO regress_churn_owner;
CREATE SCHEMA maintain_trap;
CREATE FUNCTION maintain_trap.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE FUNCTION maintain_trap.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE FUNCTION maintain_trap.churn_drift(text) RETURNS SETOF churn.drift LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE FUNCTION maintain_trap.equal(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE OPERATOR maintain_trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = maintain_trap.equal);
GRANT USAGE ON SCHEMA maintain_trap TO PUBLIC;
SELECT maintain_train('superusers');
SELECT churn_set_policy('superusers');
SET ROLE regress_churn_owner;
SELECT maintain_train('owned', 'maintain_trap');
SELECT churn_set_policy('owned', 'retrain', max_age => '1 microsecond');
SET ROLE regress_churn_member;
SET search_path = maintain_trap, pg_catalog, public;
SET client_min_messages = notice;
CALL churn_maintain('superusers');
SET client_min_messages = warning;
CALL churn_maintain();
RESET search_path;
SET ROLE regress_churn_other;
CALL churn_maintain('owned');
RESET ROLE;
SELECT * FROM maintain_steps;
SELECT version, trained_by FROM churn.model_versions WHERE model = 'owned' ORDER BY version;
-- a superuser lends nobody its rights
CALL churn_maintain('owned', true);
SELECT step, state FROM maintain_steps WHERE state = 'failed';
REVOKE EXECUTE ON FUNCTION churn_train FROM regress_churn_owner;
CALL churn_maintain('owned', true);
SELECT step, state, message FROM maintain_last WHERE state = 'failed';
REVOKE EXECUTE ON PROCEDURE churn_maintain FROM regress_churn_owner, regress_churn_other;
SET ROLE regress_churn_member;
CALL churn_maintain();
RESET ROLE;
REVOKE EXECUTE ON FUNCTION churn_set_policy FROM regress_churn_owner;
REVOKE SELECT ON maintain_customers FROM regress_churn_owner;

-- an owner that is gone
UPDATE churn.models SET owner = 'regress_churn_gone' WHERE name = 'owned';
SET client_min_messages = notice;
CALL churn_maintain('owned', true);
SET client_min_messages = warning;

-- partitions of days that are over get an index to look customers up, once
SELECT 'prediction_log_' || to_char(now() AT TIME ZONE 'UTC' - interval '1 day', 'YYYYMMDD') AS yesterday,
	(now() AT TIME ZONE 'UTC')::date - 1 || ' 00:00+00' AS since, (now() AT TIME ZONE 'UTC')::date || ' 00:00+00' AS until \gset
CREATE TABLE churn.:yesterday PARTITION OF churn.prediction_log FOR VALUES FROM (:'since') TO (:'until');
CREATE VIEW maintain_indexes AS
	SELECT t.relname = :'yesterday' AS yesterday, count(x.indexrelid) AS indexes
	FROM pg_inherits i JOIN pg_class t ON t.oid = i.inhrelid LEFT JOIN pg_index x ON x.indrelid = t.oid AND NOT x.indisprimary
	WHERE i.inhparent = 'churn.prediction_log'::regclass GROUP BY t.relname;
CALL churn_maintain();
CALL churn_maintain();
SELECT DISTINCT * FROM maintain_indexes ORDER BY yesterday;
DROP VIEW maintain_indexes;
DROP TABLE churn.:yesterday;

SELECT churn_drop_model(name) FROM churn.models;
SELECT DISTINCT model FROM churn.maintenance_log WHERE model IS NOT NULL ORDER BY 1;
TRUNCATE churn.maintenance_log, churn.drift, churn.alerts, churn.data_issues, churn.errors, churn.profiles, churn.quality, churn.outcomes;
DROP VIEW maintain_last, maintain_trap CASCADE;
DROP SCHEMA maintain_trap CASCADE;
DROP FUNCTION maintain_function, maintain_train, maintain_shuffle, maintain_whoami;
DROP TABLE maintain_customers, maintain_original;
DROP ROLE regress_churn_member;
DROP ROLE regress_churn_owner, regress_churn_other;
