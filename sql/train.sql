--
-- churn_train(): sources, keys, labels, dates, champions, rights
--
SET client_min_messages = warning;
CREATE TYPE train_answer AS ENUM ('stays', 'leaves');
CREATE TABLE train_customers AS
	SELECT c.*,
		c.churn = 'Yes' AS churn_boolean,
		(c.churn = 'Yes')::int AS churn_integer,
		(c.churn = 'Yes')::int::numeric(3, 1) AS churn_numeric,
		(CASE WHEN c.churn = 'Yes' THEN 'leaves' ELSE 'stays' END)::train_answer AS churn_enum,
		CASE WHEN c.churn = 'Yes' THEN ' CHURNED ' ELSE 'Stayed' END AS churn_words,
		CASE WHEN c.churn = 'Yes' THEN 7.5 ELSE n % 3 END::float8 AS churn_float
	FROM (SELECT row_number() OVER () AS n, * FROM churn_sample_customers(1500, 3)) AS c;
ALTER TABLE train_customers DROP COLUMN n;
ALTER TABLE train_customers ADD PRIMARY KEY (customer_id);

-- one row, and what the registry keeps
SELECT model, version, algorithm, promoted, pr_auc BETWEEN 0.4 AND 0.9 AS pr_auc,
	roc_auc BETWEEN 0.7 AND 0.95 AS roc_auc, f1 BETWEEN 0.4 AND 0.8 AS f1,
	"precision" BETWEEN 0.3 AND 0.9 AS precision, recall BETWEEN 0.4 AND 1 AS recall,
	threshold BETWEEN 0.05 AND 0.8 AS threshold, rows, seconds > 0 AS seconds
	FROM churn_train('train_customers', 'churn', model => 'train',
					 exclude => '{churn_boolean,churn_integer,churn_numeric,churn_enum,churn_words,churn_float}',
					 params => '{"rounds": 10}', options => '{"folds": 0, "seed": 1}', algorithm => 'xgboost');
SELECT name, source, source_relation, key, label, positive, owner = current_user AS owner,
	champion, last_version, split_seed FROM churn.models WHERE name = 'train';
SELECT version, algorithm, origin, source, source_relation, key, label, exclude,
	as_of, params ->> 'rounds' AS rounds_wanted, options, rows,
	train_rows + validation_rows + test_rows + duplicates_dropped = rows AS split,
	rows_without_label, rounds BETWEEN 1 AND 10 AS rounds, seed,
	data_fingerprint ~ '^[0-9a-f]{32}$' AS fingerprint, snapshot_lsn > '0/0' AS lsn,
	snapshot IS NOT NULL AS snapshot, library_versions ?& '{postgresql,churn,xgboost}' AS libraries,
	trained_by = current_user AS trained_by, trainer_peak_memory > 1e6 AS memory,
	finished_at >= started_at AS times, seconds > 0 AS seconds
	FROM churn.model_versions WHERE model = 'train' \gx
SELECT string_agg(name || ' ' || kind, ', ' ORDER BY position)
	FROM churn.features WHERE model = 'train';
SELECT dataset, metric, n > 0 AS n FROM churn.metrics WHERE model = 'train' ORDER BY 1, 2;
SELECT model, version, why FROM churn.deployments WHERE model = 'train';
SELECT count(*) AS scored, count(*) FILTER (WHERE churn_score(c) IS NULL) AS not_scored
	FROM train_customers c;
SELECT count(*) AS still_running FROM churn.training_progress;

-- one helper for the rest: the same small training, by source and label
CREATE FUNCTION train(source text, label text, key text DEFAULT NULL,
					  positive text DEFAULT NULL, exclude text[] DEFAULT NULL,
					  options jsonb DEFAULT '{"promote": "never"}',
					  model text DEFAULT 'train_same')
RETURNS int LANGUAGE sql AS $$
	SELECT version FROM churn_train(source, label, key => key, model => model,
		positive => positive, exclude => exclude, params => '{"rounds": 5}',
		options => options || '{"folds": 0}', algorithm => 'xgboost') $$;
CREATE VIEW train_same AS
	SELECT version, source, data_fingerprint = first_value(data_fingerprint) OVER w AS data,
		sha256 = first_value(sha256) OVER w AS model
	FROM churn.model_versions WHERE model = 'train_same' WINDOW w AS (ORDER BY version);

-- every kind of label says the same
CREATE VIEW train_features AS SELECT customer_id, gender, tenure, contract, internet_service,
	payment_method, monthly_charges, total_charges, churn, churn_boolean, churn_integer,
	churn_numeric, churn_enum, churn_words, churn_float FROM train_customers;
DO $$
DECLARE
	labels text[] := '{churn,churn_boolean,churn_integer,churn_numeric,churn_words}';
	label text;
BEGIN
	FOREACH label IN ARRAY labels LOOP
		PERFORM train('train_features', label, key => 'customer_id',
			exclude => array_remove(labels || '{churn_enum,churn_float}', label));
	END LOOP;
	-- the value that means churned, by name
	PERFORM train('train_features', 'churn_enum', key => 'customer_id', positive => 'leaves',
		exclude => labels || '{churn_float}');
	PERFORM train('train_features', 'churn_float', key => 'customer_id', positive => ' 7.50 ',
		exclude => labels || '{churn_enum}');
	PERFORM train('train_features', 'churn_boolean', key => 'customer_id', positive => 'yes',
		exclude => array_remove(labels, 'churn_boolean') || '{churn_enum,churn_float}');
	PERFORM train('train_features', 'churn_words', key => 'customer_id', positive => 'CHURNED',
		exclude => array_remove(labels, 'churn_words') || '{churn_enum,churn_float}');
END $$;
SELECT * FROM train_same;
DO $$ BEGIN PERFORM churn_drop_model('train_same'); END $$;

-- every kind of source gives the same, whatever the order of the rows
CREATE TABLE train_slim AS SELECT customer_id, gender, tenure, contract, monthly_charges, churn
	FROM train_customers ORDER BY customer_id;
ALTER TABLE train_slim ADD PRIMARY KEY (customer_id);
CREATE TABLE "Train Shuffled" (dropped int, churn text, monthly_charges float8, gender text,
	tenure int, contract text, customer_id text PRIMARY KEY);
INSERT INTO "Train Shuffled" SELECT 1, churn, monthly_charges, gender, tenure, contract,
	customer_id FROM train_slim ORDER BY md5(customer_id);
ALTER TABLE "Train Shuffled" DROP COLUMN dropped;
CREATE VIEW train_view AS SELECT * FROM train_slim ORDER BY monthly_charges;
CREATE MATERIALIZED VIEW train_matview AS SELECT * FROM train_slim ORDER BY tenure;
CREATE TABLE train_partitioned (LIKE train_slim) PARTITION BY LIST (gender);
CREATE TABLE train_female PARTITION OF train_partitioned FOR VALUES IN ('Female');
CREATE TABLE train_male PARTITION OF train_partitioned FOR VALUES IN ('Male');
INSERT INTO train_partitioned SELECT * FROM train_slim;
SELECT train('train_slim', 'churn');
SELECT train('public.train_slim', 'churn');
SELECT train(' "public" . TRAIN_SLIM ', 'churn');
SELECT train('train_view', 'churn', key => 'customer_id');
SELECT train('train_matview', 'churn', key => 'customer_id');
SELECT train('train_partitioned', 'churn', key => 'customer_id');
SELECT train('SELECT * FROM train_slim', 'churn', key => 'customer_id');
SELECT train(E'-- a comment\n/* and one */ with c as (select * from train_slim) select * from c;', 'churn', key => 'customer_id');
SELECT train('(TABLE train_slim)', 'churn', key => 'customer_id');
SELECT train('TABLE train_slim', 'churn', key => 'customer_id');
SELECT train('"Train Shuffled"', 'churn', exclude => '{}');
SELECT version, source, data, model FROM train_same WHERE source NOT LIKE '"Train%';
-- other columns first: other trees, but the same split
SELECT count(DISTINCT (test_rows, test_positives)) FROM churn.model_versions
	WHERE model = 'train_same';
DO $$ BEGIN PERFORM churn_drop_model('train_same'); END $$;

-- keys of other types; the split does not hang on the session's settings
CREATE TABLE train_keys AS SELECT n::int AS int4_key, n::smallint AS int2_key, n AS int8_key,
	n::numeric AS numeric_key, n::varchar AS varchar_key, n::text::name AS name_key,
	date '2020-01-01' + n::int AS date_key,
	timestamptz '2020-01-01 00:00+00' + n * interval '1 day' AS timestamptz_key,
	contract, monthly_charges, churn
	FROM (SELECT row_number() OVER (ORDER BY customer_id) AS n, * FROM train_slim) AS s;
SELECT train(format('SELECT %I, contract, monthly_charges, churn FROM train_keys', k), 'churn', key => k)
	FROM unnest('{int4_key,int2_key,int8_key,numeric_key,varchar_key,name_key}'::text[]) AS k;
SELECT bool_and(data) AS same_data, bool_and(model) AS same_model FROM train_same;
DO $$ BEGIN PERFORM churn_drop_model('train_same'); END $$;
SET DateStyle = 'German, DMY';
SET TimeZone = 'Asia/Tokyo';
SELECT train('SELECT date_key, contract, monthly_charges, churn FROM train_keys', 'churn', key => 'date_key');
SELECT train('SELECT timestamptz_key, contract, monthly_charges, churn FROM train_keys', 'churn', key => 'timestamptz_key');
RESET DateStyle;
RESET TimeZone;
SELECT train('SELECT date_key, contract, monthly_charges, churn FROM train_keys', 'churn', key => 'date_key');
SELECT train('SELECT timestamptz_key, contract, monthly_charges, churn FROM train_keys', 'churn', key => 'timestamptz_key');
SELECT count(DISTINCT data_fingerprint) AS data, count(DISTINCT sha256) AS models
	FROM churn.model_versions WHERE model = 'train_same';
DO $$ BEGIN PERFORM churn_drop_model('train_same'); END $$;

-- rows without a label are left out and counted
SELECT train('SELECT customer_id, contract, monthly_charges, CASE WHEN tenure % 5 = 0 THEN NULL WHEN tenure % 5 = 1 THEN ''  '' ELSE churn END AS churn FROM train_customers', 'churn', key => 'customer_id');
SELECT rows = (SELECT count(*) FROM train_customers WHERE tenure % 5 > 1) AS rows,
	rows_without_label = (SELECT count(*) FROM train_customers WHERE tenure % 5 <= 1) AS without
	FROM churn.model_versions WHERE model = 'train_same';
DO $$ BEGIN PERFORM churn_drop_model('train_same'); END $$;

-- ages count from the statement's date, a date, or a column
CREATE TABLE train_dates AS SELECT customer_id, contract, monthly_charges, churn,
	date '2024-07-01' - tenure * 30 AS joined, timestamptz '2024-07-01 12:00+00' AS seen,
	timestamp '2024-07-01 23:59' - tenure * interval '30 days' AS joined_at
	FROM train_customers;
SELECT train('train_dates', 'churn', key => 'customer_id', exclude => '{joined_at}', options => '{"as_of": "seen", "promote": "never"}');
SELECT train('train_dates', 'churn', key => 'customer_id', exclude => '{joined_at,seen}', options => '{"as_of": "2024-07-01", "promote": "never"}');
SELECT train('train_dates', 'churn', key => 'customer_id', exclude => '{joined_at,seen}', options => '{"as_of": null, "promote": "never"}');
SELECT train('train_dates', 'churn', key => 'customer_id', exclude => '{joined,joined_at,seen}');
SELECT version, CASE WHEN as_of = to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD') THEN 'today' ELSE as_of END AS as_of,
	(SELECT string_agg(name, ', ' ORDER BY position) FROM churn.features f
	 WHERE f.model = v.model AND f.version = v.version AND kind = 'age') AS ages,
	data_fingerprint = first_value(data_fingerprint) OVER (ORDER BY version) AS data
	FROM churn.model_versions v WHERE model = 'train_same' ORDER BY version;
-- the same ages, whether the date is the row's or given
SELECT count(*) FILTER (WHERE churn_score(d, 'train_same', 1) IS NULL) AS null_scores FROM train_dates d;
DO $$ BEGIN PERFORM churn_drop_model('train_same'); END $$;

-- promotion: only a better version, unless told otherwise
CREATE FUNCTION train_result(source text, options jsonb DEFAULT NULL, rounds int DEFAULT 5)
RETURNS TABLE (version int, promoted boolean) LANGUAGE sql AS $$
	SELECT version, promoted FROM churn_train(source, 'churn', key => 'customer_id',
		model => 'train_same', options => coalesce(options, '{}') || '{"folds": 0}',
		params => jsonb_build_object('rounds', rounds), algorithm => 'xgboost') $$;
SELECT * FROM train_result('train_slim', rounds => 1);
SELECT * FROM train_result('train_slim', rounds => 1);
SELECT * FROM train_result('train_slim', '{"promote": "always"}', 1);
SELECT * FROM train_result('train_slim', '{"promote": "never"}', 50);
SELECT * FROM train_result('train_slim', '{"promote": "auto"}', 50);
SELECT version, champion_pr_auc = (SELECT value FROM churn.metrics m
	WHERE m.model = v.model AND m.version = v.version - CASE v.version WHEN 5 THEN 2 ELSE 1 END
		AND dataset = 'test' AND metric = 'pr_auc') AS champion_measured_alike
	FROM churn.model_versions v WHERE model = 'train_same' ORDER BY 1;
-- a source that the champion cannot score; and then no comparison is possible
SET client_min_messages = notice;
SET churn.trainer = '/nonexistent/churn-trainer';
SELECT * FROM train_result('SELECT customer_id, tenure, churn FROM train_slim', '{"validate": "off"}');
SELECT * FROM train_result('SELECT customer_id, gender, tenure::text, contract, monthly_charges, churn FROM train_slim', '{"validate": "off"}');
SET client_min_messages = warning;
RESET churn.trainer;
SELECT * FROM train_result('SELECT customer_id, tenure, monthly_charges, churn FROM train_slim', '{"validate": "off"}');
-- columns that only the champion needs are read all the same
SELECT version, promoted FROM churn_train('train_slim', 'churn', model => 'train_same',
	exclude => '{contract}', params => '{"rounds": 1}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT champion_pr_auc IS NOT NULL AS compared FROM churn.model_versions
	WHERE model = 'train_same' ORDER BY version DESC LIMIT 1;

-- a damaged champion does not keep its model from being trained anew
UPDATE churn.model_versions v SET compiled = '\x00' FROM churn.models m
	WHERE m.name = 'train_same' AND v.model = m.name AND v.version = m.champion;
SELECT version, promoted FROM train_result('train_slim', '{"promote": "always"}');
SELECT count(churn_score(s, 'train_same')) FROM train_slim s;

-- a transaction that is rolled back leaves nothing
BEGIN;
SELECT train('train_slim', 'churn', model => 'train_gone');
SELECT count(*) FROM churn.models WHERE name = 'train_gone';
ROLLBACK;
SELECT count(*) FROM churn.models WHERE name = 'train_gone';
-- nor does a block that catches the error, and the next training works
DO $$
BEGIN
	PERFORM churn_train('train_slim', 'churn', params => '{"rounds": -1}', algorithm => 'xgboost', options => '{"folds": 0}');
EXCEPTION WHEN invalid_parameter_value THEN
	PERFORM train('train_slim', 'churn');
END $$;

-- rights: the source is read as the caller, row security included
CREATE ROLE regress_churn_analyst;
CREATE ROLE regress_churn_other;
GRANT EXECUTE ON FUNCTION churn_train TO regress_churn_analyst, regress_churn_other;
GRANT USAGE ON SCHEMA churn TO regress_churn_analyst, regress_churn_other;
GRANT SELECT (customer_id, tenure, monthly_charges, churn) ON train_slim TO regress_churn_analyst;
GRANT SELECT ON train_slim TO regress_churn_other;
SET ROLE regress_churn_analyst;
SELECT version FROM churn_train('train_slim', 'churn', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT version FROM churn_train('train_slim', 'churn', exclude => '{gender,contract}', params => '{"rounds": 5}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT version FROM churn_train('train_slim', 'churn', model => 'train_same', algorithm => 'xgboost', options => '{"folds": 0}');
RESET ROLE;
SELECT name, owner, trained_by FROM churn.models JOIN churn.model_versions ON model = name WHERE name = 'train_slim';
ALTER TABLE train_slim ENABLE ROW LEVEL SECURITY;
CREATE POLICY train_policy ON train_slim USING (gender = 'Male');
SET ROLE regress_churn_other;
SELECT version FROM churn_train('train_slim', 'churn', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT version, rows BETWEEN 600 AND 900 AS half
	FROM churn_train('train_slim', 'churn', model => 'train_other', params => '{"rounds": 5}', algorithm => 'xgboost', options => '{"folds": 0}');
RESET ROLE;
-- a member of the owner's role may go on with its model
GRANT regress_churn_analyst TO regress_churn_other;
SET ROLE regress_churn_other;
SELECT version FROM churn_train('train_slim', 'churn', params => '{"rounds": 5}', algorithm => 'xgboost', options => '{"folds": 0}');
RESET ROLE;
SELECT owner, trained_by FROM churn.models JOIN churn.model_versions ON model = name
	WHERE name = 'train_slim' ORDER BY version;

SELECT count(churn_drop_model(name)) FROM churn.models WHERE name LIKE 'train%';
DROP FUNCTION train_result;
DROP FUNCTION train;
DROP VIEW train_same, train_features, train_view;
DROP MATERIALIZED VIEW train_matview;
DROP TABLE train_customers, train_slim, "Train Shuffled", train_partitioned, train_keys, train_dates;
DROP TYPE train_answer;
REVOKE EXECUTE ON FUNCTION churn_train FROM regress_churn_analyst, regress_churn_other;
REVOKE USAGE ON SCHEMA churn FROM regress_churn_analyst, regress_churn_other;
DROP ROLE regress_churn_analyst, regress_churn_other;
