--
-- churn_drift(): today's rows against those of training
--
SET client_min_messages = warning;
CREATE TABLE drift_customers AS SELECT * FROM churn_sample_customers(3000, 21);
ALTER TABLE drift_customers ADD PRIMARY KEY (customer_id);
SELECT model, version FROM churn_train('drift_customers', 'churn', params => '{"rounds": 10}', algorithm => 'xgboost', options => '{"folds": 0}');
CREATE TABLE drift_today AS SELECT * FROM churn_sample_customers(2000, 22);
ANALYZE drift_customers, drift_today;
SET client_min_messages = notice;

-- other customers of the same kind: no drift; what a check consists of
CREATE TABLE drift_same AS SELECT * FROM churn_drift('drift_customers', 'drift_today');
SELECT feature, count(*) AS figures, count(value) AS known, bool_or(drifted) AS drifted FROM drift_same GROUP BY feature ORDER BY feature;
SELECT statistic, count(*) AS rows, count(threshold) AS thresholds, count(p_value) AS p_values, count(drifted) AS verdicts
	FROM drift_same GROUP BY statistic ORDER BY statistic;
SELECT model, version, source, segment, segment_value, rows, count(DISTINCT check_id) AS checks,
	bool_and(checked_window = tstzrange(checked_at, checked_at, '[]')) AS now FROM drift_same GROUP BY 1, 2, 3, 4, 5, 6;
SELECT statistic, round(value::numeric, 6) AS value, threshold, round(p_value::numeric, 6) AS p_value, drifted
	FROM drift_same WHERE feature IN ('contract', '(model)') ORDER BY feature, statistic;
-- they are what is stored
SELECT count(*) AS differ FROM (SELECT * FROM drift_same EXCEPT SELECT * FROM churn.drift) AS d;
SELECT count(*) = (SELECT count(*) FROM drift_same) AS stored FROM churn.drift WHERE model = 'drift_customers';

-- the model's own source, by name, as a query: exactly the same distribution
SELECT statistic, round(max(value)::numeric, 6) AS greatest, min(p_value) AS least, bool_or(drifted) AS drifted FROM churn_drift('drift_customers')
	WHERE feature <> '(score)' GROUP BY statistic ORDER BY statistic;
SELECT DISTINCT source, rows FROM churn_drift('drift_customers');
SELECT DISTINCT source, rows FROM churn_drift('drift_customers', 'public.drift_customers');
SELECT DISTINCT source, rows FROM churn_drift('drift_customers', $$WITH c AS (SELECT * FROM drift_customers WHERE gender = 'Male') SELECT * FROM c -- all of them$$);
SELECT DISTINCT rows FROM churn_drift('drift_customers', 'SELECT *, 1 AS q FROM drift_customers AS q');

-- a contract for others, missing values, a new category, values beyond those of training
CREATE TABLE drift_shifted AS SELECT (jsonb_populate_record(c, CASE number % 10
	WHEN 0 THEN '{"contract": "Month-to-month"}' WHEN 1 THEN '{"tech_support": null}' WHEN 2 THEN '{"payment_method": "Coins"}'
	WHEN 3 THEN '{"tenure": 100}' WHEN 4 THEN '{"monthly_charges": -5}' ELSE '{}' END::jsonb)).*
	FROM (SELECT c, row_number() OVER (ORDER BY customer_id) AS number FROM drift_today c) AS c;
SELECT feature, statistic, round(value::numeric, 4) AS value, drifted FROM churn_drift('drift_customers', 'drift_shifted')
	WHERE feature IN ('(model)', 'contract', 'tech_support', 'payment_method', 'tenure', 'monthly_charges') AND statistic <> 'chi_square' ORDER BY feature, statistic;
-- the thresholds of a policy
SELECT churn_set_policy('drift_customers', drift_psi => 0.0625, drift_alpha => 0.01);
SELECT feature, statistic, round(value::numeric, 4) AS value, threshold, drifted FROM churn_drift('drift_customers', 'drift_shifted')
	WHERE feature IN ('(model)', 'payment_method', 'tenure', 'monthly_charges') AND drifted IS NOT NULL ORDER BY feature, statistic;
SELECT churn_set_policy('drift_customers', drift_psi => 0, drift_alpha => 1e-300);
SELECT value, drifted FROM churn_drift('drift_customers', 'drift_shifted') WHERE statistic = 'drifted_features';
SELECT churn_drop_policy('drift_customers');

-- in a hundred rows only what training never had proves anything
SELECT feature, round(value::numeric, 4) AS psi, drifted FROM churn_drift('drift_customers', 'SELECT * FROM drift_shifted ORDER BY md5(customer_id) LIMIT 100')
	WHERE statistic = 'psi' AND feature IN ('contract', 'tech_support', 'payment_method', 'tenure', 'monthly_charges') ORDER BY feature;

-- all null, constant, one row
SELECT feature, statistic, round(value::numeric, 4) AS value, p_value < 0.001 AS sure, drifted
	FROM churn_drift('drift_customers', $$SELECT (jsonb_populate_record(c, '{"tenure": null, "contract": null, "total_charges": 7, "partner": "Yes"}')).* FROM drift_today c$$)
	WHERE feature IN ('tenure', 'contract', 'total_charges', 'partner') AND statistic NOT IN ('psi', 'chi_square') ORDER BY feature, statistic;
SELECT statistic, count(*) AS rows, count(value) AS known, bool_or(drifted) AS drifted
	FROM churn_drift('drift_customers', 'SELECT * FROM drift_today LIMIT 1') GROUP BY statistic ORDER BY statistic;

-- a version that is not in force
SET client_min_messages = warning;
SELECT version FROM churn_train('drift_customers', 'churn', algorithm => 'rules', options => '{"folds": 0, "promote": "never"}');
SET client_min_messages = notice;
SELECT DISTINCT version, rows FROM churn_drift('drift_customers', 'drift_today', version => 2);

-- views, partitions, children, whatever order the columns have
CREATE VIEW drift_view AS SELECT total_charges AS first, c.* FROM drift_today c WHERE tenure < 1000;
CREATE TABLE drift_parts (LIKE drift_today) PARTITION BY LIST (contract);
CREATE TABLE drift_part_1 PARTITION OF drift_parts FOR VALUES IN ('Month-to-month');
CREATE TABLE drift_part_2 (extra text, LIKE drift_today);
ALTER TABLE drift_part_2 DROP COLUMN extra;
ALTER TABLE drift_parts ATTACH PARTITION drift_part_2 DEFAULT;
INSERT INTO drift_parts SELECT * FROM drift_today;
CREATE TABLE drift_parent (LIKE drift_today);
CREATE TABLE drift_child (more text) INHERITS (drift_parent);
INSERT INTO drift_child SELECT *, 'x' FROM drift_today;
CREATE MATERIALIZED VIEW drift_matview AS SELECT * FROM drift_today;
ALTER TABLE drift_parent ADD COLUMN late int;
ALTER TABLE drift_parent DROP COLUMN late;
CREATE FUNCTION drift_differ(source text) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM (
		(SELECT feature, statistic, value, threshold, p_value, drifted, rows FROM churn_drift('drift_customers', $1)
		EXCEPT SELECT feature, statistic, value, threshold, p_value, drifted, rows FROM drift_same)
		UNION ALL
		(SELECT feature, statistic, value, threshold, p_value, drifted, rows FROM drift_same
		EXCEPT SELECT feature, statistic, value, threshold, p_value, drifted, rows FROM churn_drift('drift_customers', $1))) AS d $$;
SELECT source, drift_differ(source) FROM unnest('{drift_view,drift_parts,drift_parent,drift_matview,SELECT * FROM drift_today ORDER BY tenure}'::text[]) AS source;

-- more columns than a function has arguments: rows are passed whole
CREATE FUNCTION drift_wide(name text, n int, seed int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TABLE %I AS SELECT i AS id, hashint4extended(i, %s) %% 3 = 0 AS churn, %s FROM generate_series(1, %s) i', name, seed,
		(SELECT string_agg(format('hashint4extended(i, %s) %% 11 / 4.0 AS c%s', seed + c, c), ', ') FROM generate_series(1, 95) c), n);
END $$;
SELECT drift_wide('drift_wide', 500, 1), drift_wide('drift_other', 500, 2000);
SET client_min_messages = warning;
SELECT version FROM churn_train('drift_wide', 'churn', 'id', params => '{"rounds": 2}', algorithm => 'xgboost', options => '{"folds": 0}');
SET client_min_messages = notice;
SELECT count(*) AS rows, max(value) FILTER (WHERE statistic = 'psi') AS greatest, bool_or(drifted) AS drifted FROM churn_drift('drift_wide') WHERE feature <> '(score)';
SELECT max(value) FILTER (WHERE statistic = 'psi') > 0 AS some, bool_or(drifted) AS drifted, max(rows) AS rows FROM churn_drift('drift_wide', 'drift_other');
SELECT count(DISTINCT check_id) AS checks, sum(rows) FILTER (WHERE statistic = 'drifted_features') AS rows FROM churn_drift('drift_wide', 'SELECT * FROM drift_other', segment => 'churn');
SELECT segment_value, rows FROM churn_drift('drift_wide', 'drift_other', segment => 'churn') WHERE feature = '(model)';

-- transforms, ages, and what an expression reads of a column's type
CREATE TABLE drift_typed AS SELECT i AS id, i % 7 < 2 AS churn, (i % 5)::numeric(6, 2) AS price, date '2024-01-01' - i % 400 AS since, date '2024-01-01' AS day,
	((ARRAY['a', 'B', 'c'])[1 + i % 3])::char(4) COLLATE "C" AS code, nullif(i % 4, 3) AS grade FROM generate_series(1, 800) i;
SET client_min_messages = warning;
SELECT version FROM churn_train('drift_typed', 'churn', 'id', params => '{"rounds": 2}', algorithm => 'xgboost', options => '{"folds": 0, "as_of": "day"}',
	transform => '{"below": "code < ''b''", "double": "price * 2", "shown": "code || price::text"}');
SET client_min_messages = notice;
SELECT feature, max(value) FILTER (WHERE statistic IN ('kolmogorov_smirnov', 'chi_square')) AS distance, max(value) FILTER (WHERE statistic = 'unseen_share') AS unseen
	FROM churn_drift('drift_typed') WHERE feature NOT IN ('(score)', '(model)') GROUP BY feature ORDER BY feature;

-- segments: one check a value, NULL is one
SELECT segment, segment_value, rows, count(*) > 100 AS figures, count(DISTINCT check_id) AS checks, max(drifted::int) FILTER (WHERE feature = 'gender') AS gender
	FROM churn_drift('drift_customers', $$SELECT c.*, CASE WHEN tenure > 60 THEN NULL ELSE tenure > 12 END AS loyal FROM drift_today c$$, segment => 'loyal')
	GROUP BY segment, segment_value, rows ORDER BY segment_value;
SELECT segment_value, rows, value AS drifted_features FROM churn_drift('drift_customers', segment => 'gender') WHERE feature = '(model)';
SELECT count(DISTINCT segment_value) = count(DISTINCT tenure) AS all_values, count(DISTINCT check_id) = count(DISTINCT tenure) AS checks
	FROM churn_drift('drift_customers', 'drift_today', segment => 'tenure') AS d FULL JOIN drift_today t ON t.tenure::text = d.segment_value AND d.feature = '(model)';

-- a parallel plan gives the same to the last bit
CREATE FUNCTION drift_plan(source text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('EXPLAIN (COSTS OFF) SELECT churn_profile(%L, NULL, ''drift_customers'', 1, c) FROM %s AS c', 'x', source);
END $$;
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT drift_plan('drift_today');
CREATE FUNCTION drift_sets() RETURNS boolean LANGUAGE plpgsql PARALLEL SAFE AS $$ BEGIN RETURN set_config('drift.seen', 'x', true) = 'x'; END $$;
\set VERBOSITY sqlstate
SELECT churn_drift('drift_customers', 'SELECT * FROM drift_today WHERE drift_sets()');
\set VERBOSITY default
SELECT source, drift_differ(source) FROM unnest('{drift_today,drift_parts,drift_view}'::text[]) AS source;
CREATE TABLE drift_parallel AS SELECT * FROM churn_drift('drift_customers', 'drift_shifted', segment => 'contract');
SET max_parallel_workers_per_gather = 0;
SELECT count(*) AS differ FROM (SELECT segment_value, rows, feature, statistic, value, threshold, p_value, drifted FROM drift_parallel
	EXCEPT SELECT segment_value, rows, feature, statistic, value, threshold, p_value, drifted
	FROM churn_drift('drift_customers', 'drift_shifted', segment => 'contract')) AS d;
RESET max_parallel_workers_per_gather;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- in a function and twice in a transaction; rolled back, it never was
BEGIN;
SELECT count(*) > 0 AS rows FROM churn_drift('drift_customers', 'drift_today');
SELECT count(DISTINCT check_id) AS more FROM churn.drift WHERE model = 'drift_customers' AND checked_at >= now();
ROLLBACK;
BEGIN READ ONLY;
SELECT churn_drift('drift_customers', 'drift_today');
ROLLBACK;

-- rights: the caller reads what it names, the model's source its owner
CREATE ROLE regress_churn_owner;
CREATE ROLE regress_churn_member IN ROLE regress_churn_owner;
CREATE ROLE regress_churn_other;
GRANT EXECUTE ON FUNCTION churn_train, churn_drift TO regress_churn_owner, regress_churn_other;
CREATE TABLE drift_owned AS SELECT * FROM drift_customers;
ALTER TABLE drift_owned ADD PRIMARY KEY (customer_id);
ALTER TABLE drift_owned OWNER TO regress_churn_owner;
SET client_min_messages = warning;
SET ROLE regress_churn_owner;
SELECT version FROM churn_train('drift_owned', 'churn', params => '{"rounds": 2}', algorithm => 'xgboost', options => '{"folds": 0}');
SET ROLE regress_churn_member;
SELECT DISTINCT rows FROM churn_drift('drift_owned');
SET ROLE regress_churn_other;
\set SHOW_CONTEXT never
SELECT count(*) FROM churn_drift('drift_owned');
SELECT count(*) FROM churn_drift('drift_owned', 'drift_owned');
SELECT count(*) FROM churn_drift('drift_owned', stream => '1 day');
SELECT DISTINCT rows FROM churn_drift('drift_owned', 'SELECT * FROM churn_sample_customers(200)');
SELECT count(*) FROM churn.drift;
RESET ROLE;
CREATE FUNCTION drift_whoami() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE WARNING ''read as %'', current_user; RETURN true; END';
CREATE VIEW drift_trap AS SELECT * FROM drift_owned WHERE (SELECT drift_whoami());
ALTER VIEW drift_trap OWNER TO regress_churn_owner;
SET ROLE regress_churn_owner;
SELECT version FROM churn_train('drift_trap', 'churn', key => 'customer_id', params => '{"rounds": 2}', algorithm => 'xgboost', options => '{"folds": 0}');
RESET ROLE;
SELECT DISTINCT rows FROM churn_drift('drift_trap');
REVOKE EXECUTE ON FUNCTION churn_train, churn_drift FROM regress_churn_owner, regress_churn_other;
SET ROLE regress_churn_other;
SELECT count(*) FROM churn_drift('drift_owned');
RESET ROLE;
SET client_min_messages = notice;

-- errors
\set SHOW_CONTEXT never
SELECT churn_drift(NULL);
SELECT churn_drift('nobody');
SELECT churn_drift('drift_customers', version => 9);
SELECT churn_drift('drift_customers', version => 0);
SELECT churn_drift('drift_customers', 'nowhere');
SELECT churn_drift('drift_customers', 'DELETE FROM drift_today');
SELECT churn_drift('drift_customers', 'SELECT * FROM drift_today FOR UPDATE');
SELECT churn_drift('drift_customers', 'SELECT * FROM drift_today; SELECT 1');
SELECT churn_drift('drift_customers', 'SELECT customer_id, gender FROM drift_today');
SELECT churn_drift('drift_customers', 'SELECT (c).* FROM (SELECT jsonb_populate_record(NULL::drift_today, ''{}'') AS c) AS x WHERE false');
SELECT churn_drift('drift_customers', 'SELECT * FROM drift_today LIMIT 0', segment => 'gender');
SELECT churn_drift('drift_customers', 'drift_today', segment => 'contrakt');
SELECT churn_drift('drift_customers', segment => 'customer_id');
\set VERBOSITY terse
SELECT churn_drift('drift_customers', 'SELECT c.*, point(1, 2) AS place FROM drift_today c', segment => 'place');
\set VERBOSITY default
SELECT churn_drift('drift_customers', stream => '0');
SELECT churn_drift('drift_customers', stream => '-1 day');
SELECT churn_drift('drift_customers', 'drift_today', stream => '1 day');
SELECT churn_drift('drift_customers', segment => 'contract', stream => '1 day');
ALTER TABLE drift_wide ALTER c1 TYPE text;
SELECT churn_drift('drift_wide');
SELECT version FROM churn_import('drift_imported', churn_export('drift_customers', 1), source => 'drift_today');
SELECT bool_or(drifted) AS drifted FROM churn_drift('drift_imported');
UPDATE churn.features SET baseline = jsonb_set(baseline, '{counts}', baseline -> 'counts' || '[0]') WHERE model = 'drift_imported' AND name = 'contract';
SELECT churn_drift('drift_imported');
UPDATE churn.features SET baseline = jsonb_set(baseline, '{rows}', '7') WHERE model = 'drift_imported' AND name = 'contract';
SELECT churn_drift('drift_imported');
UPDATE churn.features SET baseline = NULL WHERE model = 'drift_imported' AND name = 'contract';
SELECT churn_drift('drift_imported');

-- the aggregate is not for hands
SELECT churn_profile(NULL, NULL, 'drift_customers', 1, c) FROM drift_today c;
SELECT churn_profile('{}', NULL, 'drift_customers', 1, c) FROM drift_today c;
SELECT churn_profile(churn.baseline('drift_wide', 1)::text, NULL, 'drift_customers', 1, c) FROM drift_today c;
SELECT churn_profile(churn.baseline('drift_customers', 1)::text, NULL, 'drift_customers', 1, c.tenure) FROM drift_today c;
SELECT churn_profile(churn.baseline('drift_customers', 1)::text, '{tenure,-1}', 'drift_customers', 1, c.tenure) FROM drift_today c;
SELECT churn_profile(churn.baseline('drift_customers', 1)::text, '{tenure,-1,NULL}', 'drift_customers', 1, c.tenure) FROM drift_today c;
SELECT churn_profile(churn.baseline('drift_customers', 1)::text, '{tenure,-1,0}', 'drift_customers', 1, c.tenure) FROM drift_today c;
SELECT churn_profile(churn.baseline('drift_customers', 1)::text, '{tenure,-1,0}', 'drift_customers', 1, VARIADIC ARRAY[c.tenure]) FROM drift_today c;
SELECT churn_profile(NULL, NULL, 'drift_customers', 1, c) IS NULL AS no_rows FROM drift_today c WHERE false;
SELECT churn.drift_add('', '{}', NULL, 'drift_customers', 1, 1);
SELECT churn.drift_combine('', '');
SELECT churn.drift_final('');
CREATE AGGREGATE drift_bad (text, text[], text, int, VARIADIC "any") (SFUNC = churn.drift_add, STYPE = bytea, INITCOND = '\x0123456789');
SELECT drift_bad(churn.baseline('drift_customers', 1)::text, NULL, 'drift_customers', 1, c) FROM drift_today c;
DROP AGGREGATE drift_bad (text, text[], text, int, VARIADIC "any");
CREATE AGGREGATE drift_bad (bytea) (SFUNC = churn.drift_combine, STYPE = bytea, INITCOND = '', FINALFUNC = churn.drift_final);
SELECT drift_bad(b) FROM unnest(ARRAY['', '\x0123456789', '']::bytea[]) AS b;
SELECT drift_bad(b) IS NULL AS nothing FROM unnest(ARRAY['', '']::bytea[]) AS b;
CREATE AGGREGATE drift_state (text, text[], text, int, VARIADIC "any") (SFUNC = churn.drift_add, STYPE = bytea, INITCOND = '');
CREATE TABLE drift_states AS SELECT model, state FROM
	(SELECT 'drift_customers', drift_state(churn.baseline('drift_customers', 1)::text, NULL, 'drift_customers', 1, c) FROM drift_today c
	UNION ALL SELECT 'drift_customers', drift_state(churn.baseline('drift_customers', 1)::text, NULL, 'drift_customers', 1, c) FROM drift_shifted c
	UNION ALL SELECT 'drift_typed', drift_state(churn.baseline('drift_typed', 1)::text, NULL, 'drift_typed', 1, c) FROM drift_typed c) AS s (model, state);
SELECT drift_bad(state) = (SELECT churn_profile(churn.baseline('drift_customers', 1)::text, NULL, 'drift_customers', 1, c)
	FROM (SELECT * FROM drift_today UNION ALL SELECT * FROM drift_shifted) AS c) AS same FROM drift_states WHERE model = 'drift_customers';
SELECT drift_bad(state) FROM drift_states;
DROP TABLE drift_states;
DROP AGGREGATE drift_state (text, text[], text, int, VARIADIC "any");
DROP AGGREGATE drift_bad (bytea);

-- a function that somebody made for just these columns goes before the aggregate, but is not called
DO $$BEGIN
	EXECUTE format('CREATE FUNCTION churn_profile(text, text[], text, int, %s) RETURNS bytea LANGUAGE sql AS %L',
		(SELECT string_agg(format_type(atttypid, NULL), ', ' ORDER BY attnum) FROM pg_attribute
		WHERE attrelid = 'drift_today'::regclass AND attname IN (SELECT name FROM churn.features WHERE model = 'drift_customers' AND version = 1)),
		'SELECT NULL::bytea');
END$$;
SELECT count(*) FROM churn_drift('drift_customers', 'drift_today', 1);
DO $$BEGIN
	EXECUTE (SELECT 'DROP FUNCTION ' || oid::regprocedure FROM pg_proc WHERE proname = 'churn_profile' AND prokind = 'f');
END$$;

-- away with the model go its checks
SELECT count(*) > 0 AS some FROM churn.drift WHERE model = 'drift_customers' AND version = 2;
SELECT churn_drop_model('drift_customers', 2);
SELECT version, count(*) > 0 AS some FROM churn.drift WHERE model = 'drift_customers' GROUP BY version;
SELECT churn_drop_model(name) FROM churn.models ORDER BY name;
SELECT count(*) FROM churn.drift;
DROP VIEW drift_trap, drift_view;
DROP MATERIALIZED VIEW drift_matview;
DROP FUNCTION drift_whoami, drift_differ, drift_wide, drift_plan, drift_sets;
DROP TABLE drift_customers, drift_today, drift_same, drift_shifted, drift_parts, drift_parent, drift_child, drift_wide, drift_other, drift_typed, drift_parallel, drift_owned;
DROP ROLE regress_churn_member;
DROP ROLE regress_churn_other, regress_churn_owner;
