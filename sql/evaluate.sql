--
-- churn_evaluate(): labelled rows, scored and measured
--
SET client_min_messages = warning;
CREATE TABLE evaluate_customers AS SELECT * FROM churn_sample_customers(2000, 11);
ALTER TABLE evaluate_customers ADD PRIMARY KEY (customer_id);
SELECT model, version FROM churn_train('evaluate_customers', 'churn', params => '{"rounds": 20}', algorithm => 'xgboost', options => '{"folds": 0}');
SET client_min_messages = notice;

-- by default the test rows, and just what the trainer measured on them
CREATE TABLE evaluate_default AS SELECT * FROM churn_evaluate('evaluate_customers');
SELECT count(*) AS metrics, min(n) = v.test_rows AND max(n) = v.test_rows AS test_rows
	FROM evaluate_default, churn.model_versions v WHERE v.model = 'evaluate_customers' GROUP BY v.test_rows;
SELECT m.metric, abs(e.value - m.value) < 1e-12 AS same FROM churn.metrics m LEFT JOIN evaluate_default e USING (metric)
	WHERE m.model = 'evaluate_customers' AND m.dataset = 'test' AND m.metric <> 'ece' ORDER BY m.metric;
SELECT metric, ci_low < ci_high AS wide, ci_low >= 0 AND (ci_high <= 1 OR metric IN ('log_loss', 'lift_10')) AS possible,
	value BETWEEN ci_low AND ci_high OR metric = 'ece' AS inside
	FROM evaluate_default ORDER BY metric;
-- the same again, to the last bit; the source by its name; another number of resamples
SELECT count(*) AS differ FROM (SELECT * FROM churn_evaluate('evaluate_customers') EXCEPT SELECT * FROM evaluate_default) AS d;
SELECT count(*) AS differ FROM (SELECT * FROM churn_evaluate('evaluate_customers', 'evaluate_customers') EXCEPT SELECT * FROM evaluate_default) AS d;
SELECT count(*) AS differ FROM (SELECT metric, value, n FROM churn_evaluate('evaluate_customers', resamples => 100) EXCEPT SELECT metric, value, n FROM evaluate_default) AS d;
SELECT count(*) AS metrics, count(ci_low) AS lows, count(ci_high) AS highs FROM churn_evaluate('evaluate_customers', resamples => 0);

-- all rows: equal to the aggregates
CREATE TABLE evaluate_all AS SELECT * FROM churn_evaluate('evaluate_customers', part => 'all', resamples => 0);
WITH s AS (SELECT churn_score(c) AS score, c.churn = 'Yes' AS churned, v.threshold FROM evaluate_customers c, churn.model_versions v
		WHERE v.model = 'evaluate_customers'),
	a AS (SELECT churn_pr_auc(score, churned) AS pr_auc, churn_roc_auc(score, churned) AS roc_auc, churn_log_loss(score, churned) AS log_loss,
		churn_brier(score, churned) AS brier, churn_ece(score, churned) AS ece, churn_f1(score, churned, threshold) AS f1,
		churn_precision(score, churned, threshold) AS precision, churn_recall(score, churned, threshold) AS recall,
		avg(((score >= threshold) = churned)::int) AS accuracy, churn_lift(score, churned, 0.1) AS lift_10,
		avg(churned::int) AS base_rate FROM s)
SELECT e.metric, abs(e.value - (to_jsonb(a) ->> e.metric)::float8) < 1e-12 AS same, e.n FROM a, evaluate_all e ORDER BY e.metric;

-- other rows: a view, a query; rows without a label do not count
CREATE VIEW evaluate_view AS SELECT * FROM churn_sample_customers(500, 12);
SELECT metric, n FROM churn_evaluate('evaluate_customers', 'evaluate_view', resamples => 0) ORDER BY metric LIMIT 2;
SELECT metric, value > 0.5 AS some, n FROM churn_evaluate('evaluate_customers',
	'SELECT (jsonb_populate_record(v, CASE WHEN tenure < 3 THEN ''{"churn": null}'' WHEN tenure = 3 THEN ''{"churn": " "}'' ELSE ''{}'' END::jsonb)).* FROM evaluate_view v',
	resamples => 0) LIMIT 1;
SELECT metric, value > 0.5 AS some, n > 0 AS rows FROM churn_evaluate('evaluate_customers',
	'SELECT (to_jsonb(v) - ''churn'')::text AS all_else, (jsonb_populate_record(v, ''{"churn": null}'')).*, churn AS truth FROM evaluate_view v WHERE tenure > 2',
	label => 'truth', resamples => 0) LIMIT 1;
SELECT metric, n FROM churn_evaluate('evaluate_customers', 'SELECT v.*, churn = ''Yes'' AS gone FROM evaluate_view v',
	label => 'gone', resamples => 0) LIMIT 1;
SELECT metric, round(value::numeric, 6) AS value FROM churn_evaluate('evaluate_customers',
	'SELECT v.*, CASE churn WHEN ''Yes'' THEN ''left us'' ELSE ''here'' END AS state FROM evaluate_view v',
	label => 'state', positive => 'left us', resamples => 0) WHERE metric = 'base_rate';

-- one class only: what is not defined is null
SELECT metric, value IS NULL AS undefined, ci_low IS NULL AS no_interval FROM churn_evaluate('evaluate_customers',
	'SELECT * FROM evaluate_view WHERE churn = ''No''') ORDER BY metric;

-- a version that is not in force, and the test part of another source
SET client_min_messages = warning;
SELECT version FROM churn_train('evaluate_customers', 'churn', params => '{"rounds": 2}', options => '{"folds": 0, "promote": "never", "test_fraction": 0.4}', algorithm => 'xgboost');
SET client_min_messages = notice;
SELECT bool_and(n = test_rows) AS its_own_test_rows, max(n) FILTER (WHERE metric = 'ece') > 700 AS more
	FROM churn_evaluate('evaluate_customers', version => 2, resamples => 0), churn.model_versions v
	WHERE v.model = 'evaluate_customers' AND v.version = 2;
SELECT DISTINCT n FROM churn_evaluate('evaluate_customers', 'SELECT * FROM evaluate_customers ORDER BY random()', part => 'test', resamples => 0);

-- keys of all kinds fall into the part that the trainer put them in
SET client_min_messages = warning;
SET timezone = 'Asia/Tokyo';
SET datestyle = 'German';
CREATE TABLE evaluate_keys AS
	SELECT i::int2 AS small, i AS integer, i::bigint * 1000000007 AS big, date '2020-01-01' + i AS day, timestamptz '2020-01-01 UTC' + i * interval '1 hour' AS time,
		md5(i::text)::uuid AS uuid, i / 8.0 AS numeric, 'Kündin ' || i AS name, churn, tenure, contract, monthly_charges
	FROM (SELECT row_number() OVER (ORDER BY customer_id)::int AS i, * FROM evaluate_customers) AS c;
SELECT key, (churn_train('evaluate_keys', 'churn', key => key, model => 'key_' || key, params => '{"rounds": 2}', algorithm => 'xgboost', options => '{"folds": 0}')).version
	FROM unnest('{small,integer,big,day,time,uuid,numeric,name}'::text[]) AS key;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT k.key, e.n = test_rows AS test_rows, abs(e.value - m.value) < 1e-12 AS same
	FROM unnest('{small,integer,big,day,time,uuid,numeric,name}'::text[]) AS k (key),
		LATERAL churn_evaluate('key_' || k.key, resamples => 0) AS e, churn.model_versions v, churn.metrics m
	WHERE v.model = 'key_' || k.key AND m.model = v.model AND m.dataset = 'test' AND m.metric = 'pr_auc' AND e.metric = 'pr_auc'
	ORDER BY k.key;
RESET timezone;
RESET datestyle;

-- a model without a key, a query as source, an imported model
SELECT version FROM churn_train('SELECT * FROM evaluate_customers', 'churn', model => 'evaluate_keyless', exclude => '{customer_id}', params => '{"rounds": 2}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT version FROM churn_train('SELECT * FROM evaluate_customers', 'churn', key => 'customer_id', model => 'evaluate_query', params => '{"rounds": 2}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT version FROM churn_import('evaluate_imported', churn_export('evaluate_customers', 1));
SET client_min_messages = notice;
SELECT DISTINCT n FROM churn_evaluate('evaluate_keyless', resamples => 0);
SELECT DISTINCT n = test_rows AS test_rows FROM churn_evaluate('evaluate_query', resamples => 0), churn.model_versions v WHERE v.model = 'evaluate_query';
SELECT DISTINCT n = test_rows AS test_rows FROM churn_evaluate('evaluate_query', 'select *  from evaluate_customers', resamples => 0), churn.model_versions v WHERE v.model = 'evaluate_query';
SELECT DISTINCT n FROM churn_evaluate('evaluate_imported', 'evaluate_customers', label => 'churn', resamples => 0);

-- rights: the caller reads what it names, the model's source its owner
CREATE ROLE regress_churn_owner;
CREATE ROLE regress_churn_member IN ROLE regress_churn_owner;
CREATE ROLE regress_churn_other;
GRANT EXECUTE ON FUNCTION churn_train, churn_evaluate TO regress_churn_owner, regress_churn_other;
CREATE TABLE evaluate_owned AS SELECT * FROM evaluate_customers;
ALTER TABLE evaluate_owned ADD PRIMARY KEY (customer_id);
ALTER TABLE evaluate_owned OWNER TO regress_churn_owner;
SET client_min_messages = warning;
SET ROLE regress_churn_owner;
SELECT version FROM churn_train('evaluate_owned', 'churn', params => '{"rounds": 2}', algorithm => 'xgboost', options => '{"folds": 0}');
SET ROLE regress_churn_member;
SELECT count(*) FROM churn_evaluate('evaluate_owned', resamples => 0);
SET ROLE regress_churn_other;
SELECT count(*) FROM churn_evaluate('evaluate_owned', resamples => 0);
SELECT count(*) FROM churn_evaluate('evaluate_owned', 'evaluate_owned', resamples => 0);
SELECT count(*) FROM churn_evaluate('evaluate_owned', 'SELECT * FROM churn_sample_customers(200)', resamples => 0);
RESET ROLE;
CREATE FUNCTION evaluate_whoami() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE WARNING ''read as %'', current_user; RETURN true; END';
CREATE VIEW evaluate_trap AS SELECT * FROM evaluate_owned WHERE (SELECT evaluate_whoami());
ALTER VIEW evaluate_trap OWNER TO regress_churn_owner;
SET ROLE regress_churn_owner;
SELECT version FROM churn_train('evaluate_trap', 'churn', key => 'customer_id', params => '{"rounds": 2}', algorithm => 'xgboost', options => '{"folds": 0}');
RESET ROLE;
SELECT count(*) FROM churn_evaluate('evaluate_trap', resamples => 0);
REVOKE EXECUTE ON FUNCTION churn_train, churn_evaluate FROM regress_churn_owner, regress_churn_other;
SET ROLE regress_churn_other;
SELECT count(*) FROM churn_evaluate('evaluate_owned');
RESET ROLE;

-- errors
SELECT churn_evaluate(NULL);
SELECT churn_evaluate('nobody');
SELECT churn_evaluate('evaluate_customers', version => 9);
SELECT churn_evaluate('evaluate_customers', version => 0);
SELECT churn_evaluate('evaluate_customers', part => 'Test');
SELECT churn_evaluate('evaluate_customers', resamples => 10);
SELECT churn_evaluate('evaluate_customers', resamples => 100001);
SELECT churn_evaluate('evaluate_customers', 'nowhere');
SELECT churn_evaluate('evaluate_customers', 'DELETE FROM evaluate_customers');
SELECT churn_evaluate('evaluate_customers', label => 'churned');
SELECT churn_evaluate('evaluate_customers', 'SELECT customer_id, churn FROM evaluate_customers');
SELECT churn_evaluate('evaluate_customers', label => 'contract');
SELECT churn_evaluate('evaluate_customers', positive => 'gone');
SELECT churn_evaluate('evaluate_customers', 'SELECT v.*, now() AS moment FROM evaluate_view v', label => 'moment');
SELECT churn_evaluate('evaluate_customers', 'SELECT * FROM evaluate_view WHERE false');
SELECT churn_evaluate('evaluate_customers', 'SELECT * FROM evaluate_customers LIMIT 0', part => 'test');
SELECT churn_evaluate('evaluate_customers', 'SELECT (jsonb_populate_record(c, ''{"customer_id": null}'')).* FROM evaluate_customers c', part => 'test');
ALTER TABLE evaluate_keys RENAME name TO names;
SELECT churn_evaluate('key_name');
SELECT churn_evaluate('evaluate_keyless', part => 'test');
SELECT churn_evaluate('evaluate_imported');
SELECT churn_evaluate('evaluate_imported', 'evaluate_customers');
SELECT churn_evaluate('evaluate_imported', 'evaluate_customers', label => 'churn', part => 'test');
SELECT churn_evaluate('evaluate_customers', 'SELECT * FROM evaluate_customers; SELECT 1');
SELECT churn_evaluate('evaluate_customers', $$SELECT (jsonb_populate_record(c, jsonb_build_object('customer_id', repeat('x', 1025)))).* FROM evaluate_customers c LIMIT 1$$, part => 'test');

SELECT churn_drop_model(name) FROM churn.models ORDER BY name;
DROP VIEW evaluate_trap, evaluate_view;
DROP FUNCTION evaluate_whoami;
DROP TABLE evaluate_customers, evaluate_default, evaluate_all, evaluate_keys, evaluate_owned;
DROP ROLE regress_churn_member;
DROP ROLE regress_churn_other, regress_churn_owner;
