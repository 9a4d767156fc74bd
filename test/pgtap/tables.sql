--
-- The contract of the tables: columns, types, keys, constraints, comments, and
-- what pg_dump carries.  Then what the constraints do.
--
-- Runs in one transaction, in a database that has churn and pgtap.
--
\set ON_ERROR_STOP on
SET client_min_messages = warning;
BEGIN;
SELECT * FROM no_plan();

CREATE TEMP VIEW churn_relations AS
	SELECT c.*
	FROM pg_depend d
	JOIN pg_extension x ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = x.oid
	JOIN pg_class c ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
	WHERE x.extname = 'churn' AND d.deptype = 'e';

--
-- Which relations there are
--
SELECT tables_are('churn', ARRAY['models', 'model_versions', 'features', 'metrics', 'candidates',
	'deployments', 'predictions', 'outcomes', 'quality', 'measured_days', 'data_issues', 'drift', 'watches', 'rescans', 'stream_position', 'prediction_log',
	'profiles', 'errors', 'alert_rules', 'alerts', 'policies', 'maintenance_log'], 'the tables of schema churn');
SELECT views_are('churn', ARRAY['training_progress', 'leaderboard', 'stream_status', 'at_risk', 'model_health'], 'the views of schema churn');
SELECT sequences_are('churn', ARRAY['models_model_id_seq', 'deployments_deployment_id_seq',
	'data_issues_issue_id_seq', 'drift_check_id_seq', 'errors_error_id_seq', 'alert_rules_rule_id_seq', 'alerts_alert_id_seq', 'maintenance_log_step_id_seq'],
	'the sequences of schema churn');
SELECT set_eq($$ SELECT relname FROM churn_relations WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') $$,
	$$ SELECT relname FROM pg_class WHERE relnamespace = 'churn'::regnamespace
		AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f') $$,
	'all of them belong to the extension, and it has no others');

--
-- Columns: names in order, types, and what must not be null
--
CREATE TEMP TABLE expected_columns (tab name, columns text);
INSERT INTO expected_columns VALUES
	('models', 'model_id integer!, name text!, source text, source_relation text, source_query text, key text, label text, '
	 'positive text, owner name!, champion integer, challenger integer, last_version integer!, split_seed bigint!, '
	 'created_at timestamp with time zone!'),
	('model_versions', 'model text!, version integer!, algorithm text!, origin text!, sha256 bytea!, '
	 'threshold double precision!, source text, source_relation text, key text, label text, positive text, '
	 'exclude text[], transform jsonb, as_of text, params jsonb, options jsonb, rows bigint, positives bigint, '
	 'train_rows bigint, train_positives bigint, validation_rows bigint, validation_positives bigint, '
	 'test_rows bigint, test_positives bigint, duplicates_dropped bigint, rows_without_label bigint, '
	 'rounds integer, seed bigint, data_fingerprint text, snapshot_lsn pg_lsn, snapshot pg_snapshot, '
	 'library_versions jsonb, champion_pr_auc double precision, calibration text, truncated boolean, expectations jsonb, trainer_peak_memory bigint, trained_by name!, '
	 'started_at timestamp with time zone!, finished_at timestamp with time zone!, seconds double precision!, '
	 'score_baseline jsonb, artifact bytea!, compiled bytea!'),
	('features', 'model text!, version integer!, position integer!, name text!, kind text!, type text, '
	 'categories text[], transform text, baseline jsonb, importance double precision, mean_abs_shap double precision'),
	('metrics', 'model text!, version integer!, dataset text!, metric text!, candidate text!, value double precision, '
	 'spread double precision, n bigint, folds double precision[]'),
	('candidates', 'model text!, version integer!, candidate text!, rank integer!, algorithm text!, chosen boolean!, '
	 'reason text!, params jsonb, members text[], rounds integer, seconds double precision'),
	('deployments', 'deployment_id bigint!, model_id integer!, model text!, version integer!, '
	 'during tstzrange!, deployed_by name!, why text!, restores bigint'),
	('predictions', 'customer_key text!, model text!, version integer!, score double precision!, '
	 'previous_score double precision, band text!, reasons text[], scored_at timestamp with time zone!, '
	 'lsn pg_lsn, origin text!'),
	('data_issues', 'issue_id bigint!, model text!, version integer, found_at timestamp with time zone!, '
	 'source text!, relation text, severity text!, kind text!, feature text, other_feature text, statistic text, '
	 'value double precision, rows bigint, examples text[], message text!, detail text'),
	('drift', 'check_id bigint!, model text!, version integer!, checked_at timestamp with time zone!, checked_window tstzrange!, '
	 'source text!, segment text, segment_value text, rows bigint!, feature text!, statistic text!, value double precision, '
	 'threshold double precision, p_value double precision, drifted boolean'),
	('watches', 'model text!, relation text!, key text!, related boolean!, deletes boolean!, reasons integer!, '
	 'watched_by name!, home text!, created_at timestamp with time zone!'),
	('rescans', 'model text!, pending text, requests bigint!, version integer, day date, tables oid[], error text, '
	 'started_at timestamp with time zone, finished_at timestamp with time zone, reason text, rows bigint, written bigint'),
	('stream_position', 'slot name!, home text!, created_lsn pg_lsn!, lsn pg_lsn!, read_lsn pg_lsn!'),
	('prediction_log', 'customer_key text!, model text!, version integer!, score double precision!, '
	 'previous_score double precision, band text!, features real[], scored_at timestamp with time zone!, '
	 'lsn pg_lsn, origin text!'),
	('profiles', 'model text!, version integer!, window_start timestamp with time zone!, '
	 'window_end timestamp with time zone!, rows bigint!, updated_at timestamp with time zone!, profile bytea!'),
	('outcomes', 'model text!, customer_key text!, observed_at timestamp with time zone!, churned boolean, status text!, '
	 'score double precision, version integer, scored_at timestamp with time zone, challenger_score double precision, '
	 'challenger_version integer, recorded_at timestamp with time zone!'),
	('quality', 'model text!, version integer!, day date!, role text!, basis text!, metric text!, value double precision, '
	 'ci_low double precision, ci_high double precision, n bigint!'),
	('measured_days', 'model text!, day date!, pending boolean!, estimated_at timestamp with time zone'),
	('model_health', 'model text, day date, version integer, predictions bigint, mean_score double precision, '
	 'estimated_pr_auc double precision, estimated_roc_auc double precision, estimated_f1 double precision, '
	 'estimated_brier double precision, estimated_log_loss double precision, outcomes bigint, outcomes_version integer, '
	 'churn_rate double precision, pr_auc double precision, pr_auc_low double precision, pr_auc_high double precision, '
	 'roc_auc double precision, roc_auc_low double precision, roc_auc_high double precision, f1 double precision, '
	 'brier double precision, log_loss double precision, ece double precision, test_pr_auc double precision, '
	 'test_roc_auc double precision, test_f1 double precision, test_brier double precision, data_drift boolean, '
	 'drifted_features integer, concept_drift boolean, challenger integer, challenger_outcomes bigint, '
	 'challenger_pr_auc double precision, challenger_roc_auc double precision, challenger_f1 double precision, '
	 'challenger_brier double precision'),
	('errors', 'error_id bigint!, occurred_at timestamp with time zone!, kind text!, model text, relation text, '
	 'customer_key text, lsn pg_lsn, sqlstate text, message text!, detail text, hint text'),
	('alert_rules', 'rule_id integer!, name text!, model text!, condition text!, cooldown interval!, '
	 'created_by name!, created_at timestamp with time zone!'),
	('alerts', 'alert_id bigint!, kind text!, rule_id integer, rule text, model text, customer_key text, version integer, '
	 'score double precision, previous_score double precision, band text, message text, raised_at timestamp with time zone!, '
	 'lsn pg_lsn, taken_at timestamp with time zone, taken_by name'),
	('policies', 'model text!, action text!, schedule interval!, drift_alpha double precision!, drift_psi double precision!, '
	 'drift_segment text, quality_metric text!, quality_drop double precision!, max_age interval, min_rows bigint!, '
	 'algorithm text!, retention interval!, enabled boolean!, set_by name!, set_at timestamp with time zone!'),
	('maintenance_log', 'run_id bigint!, step_id bigint!, model text, step text!, state text!, '
	 'started_at timestamp with time zone!, finished_at timestamp with time zone, version integer, message text, detail jsonb');
SELECT is(
	(SELECT string_agg(format('%s %s%s', attname, format_type(atttypid, atttypmod),
							  CASE WHEN attnotnull THEN '!' END), ', ' ORDER BY attnum)
	 FROM pg_attribute WHERE attrelid = ('churn.' || tab)::regclass AND attnum > 0 AND NOT attisdropped),
	columns, format('columns of churn.%I', tab))
	FROM expected_columns ORDER BY tab;

--
-- Comments: on every relation, and on every column of it
--
SELECT is_empty($$ SELECT relname FROM churn_relations
	WHERE relkind IN ('r', 'p', 'v', 'm') AND obj_description(oid, 'pg_class') IS NULL $$,
	'every table and view has a comment');
SELECT is_empty($$ SELECT c.relname, a.attname FROM churn_relations c JOIN pg_attribute a ON a.attrelid = c.oid
	WHERE c.relkind IN ('r', 'p', 'v', 'm') AND a.attnum > 0 AND NOT a.attisdropped
		AND coalesce(col_description(c.oid, a.attnum), '') = '' $$,
	'every column has a comment');

--
-- Keys
--
SELECT col_is_pk('churn', 'models', 'model_id', 'key of models');
SELECT col_is_unique('churn', 'models', 'name', 'names of models are unique');
SELECT col_is_pk('churn', 'model_versions', ARRAY['model', 'version'], 'key of model_versions');
SELECT col_is_pk('churn', 'features', ARRAY['model', 'version', 'position'], 'key of features');
SELECT col_is_pk('churn', 'candidates', ARRAY['model', 'version', 'candidate'], 'key of candidates');
SELECT col_is_pk('churn', 'metrics', ARRAY['model', 'version', 'dataset', 'metric', 'candidate'], 'key of metrics');
SELECT col_is_pk('churn', 'deployments', 'deployment_id', 'key of deployments');
SELECT col_is_pk('churn', 'predictions', ARRAY['customer_key', 'model'],
	'key of predictions begins with the customer''s');
SELECT col_is_pk('churn', 'data_issues', 'issue_id', 'key of data_issues');
SELECT col_is_pk('churn', 'drift', ARRAY['check_id', 'feature', 'statistic'], 'key of drift');
SELECT col_is_pk('churn', 'outcomes', ARRAY['model', 'customer_key', 'observed_at'], 'key of outcomes');
SELECT col_is_pk('churn', 'quality', ARRAY['model', 'version', 'day', 'role', 'basis', 'metric'], 'key of quality');
SELECT col_is_pk('churn', 'measured_days', ARRAY['model', 'day'], 'key of measured_days');
SELECT col_is_pk('churn', 'watches', ARRAY['model', 'relation'], 'key of watches');
SELECT col_is_pk('churn', 'rescans', 'model', 'key of rescans');
SELECT col_is_pk('churn', 'stream_position', 'slot', 'key of stream_position');
SELECT col_is_pk('churn', 'profiles', ARRAY['model', 'version', 'window_start'], 'key of profiles');
SELECT col_is_pk('churn', 'errors', 'error_id', 'key of errors');
SELECT col_is_pk('churn', 'alert_rules', 'rule_id', 'key of alert_rules');
SELECT col_is_unique('churn', 'alert_rules', ARRAY['model', 'name'], 'names of alert rules are unique in a model');
SELECT col_is_pk('churn', 'alerts', 'alert_id', 'key of alerts');
SELECT col_is_pk('churn', 'policies', 'model', 'key of policies');
SELECT col_is_pk('churn', 'maintenance_log', 'step_id', 'key of maintenance_log');
SELECT is((SELECT pg_get_partkeydef(oid) FROM pg_class WHERE oid = 'churn.prediction_log'::regclass),
	'RANGE (scored_at)', 'the log is partitioned by time');
SELECT is_empty($$ SELECT conname FROM pg_constraint
	WHERE connamespace = 'churn'::regnamespace AND contype = 'f' $$,
	'no foreign keys: pg_restore by several jobs loads tables in any order');
SELECT is_empty($$ SELECT conname FROM pg_constraint
	WHERE connamespace = 'churn'::regnamespace AND NOT convalidated $$,
	'all constraints are valid');
SELECT is((SELECT pg_get_constraintdef(oid) FROM pg_constraint
		   WHERE conrelid = 'churn.deployments'::regclass AND contype = 'x'),
	'EXCLUDE USING gist (int4range(model_id, model_id, ''[]''::text) WITH &&, during WITH &&)',
	'one version of a model is in force at a time');
SELECT is((SELECT array_agg(attname ORDER BY attname) FROM pg_attribute
		   WHERE attrelid = 'churn.model_versions'::regclass AND attstorage = 'e' AND attnum > 0),
	'{artifact,compiled}'::name[], 'the bytes of models are not compressed');
SELECT is((SELECT count(*) FROM pg_attribute
		   WHERE (attrelid, attname) IN (('churn.models'::regclass, 'model_id'),
										 ('churn.deployments'::regclass, 'deployment_id'),
										 ('churn.data_issues'::regclass, 'issue_id'),
										 ('churn.errors'::regclass, 'error_id'),
										 ('churn.alert_rules'::regclass, 'rule_id'),
										 ('churn.alerts'::regclass, 'alert_id'),
										 ('churn.maintenance_log'::regclass, 'step_id'))
			   AND attidentity = 'a'), 7::bigint, 'numbers are given by the server alone');

--
-- pg_dump carries all state: the rows of each table and the position of each
-- sequence, whole; but not how far this very server has come.  Partitions of
-- the log are not the extension's, and are dumped like any table.
--
SELECT set_eq(
	$$ SELECT r.oid::regclass::text, c.condition
	   FROM pg_extension x, unnest(x.extconfig, x.extcondition) AS c (oid, condition)
	   JOIN pg_class r ON r.oid = c.oid WHERE x.extname = 'churn' $$,
	$$ SELECT oid::regclass::text, '' FROM churn_relations WHERE relkind IN ('r', 'S')
		AND relname NOT IN ('rescans', 'stream_position') $$,
	'every table and sequence is dumped as configuration, without a filter');

--
-- What the constraints do
--
INSERT INTO churn.models (name, owner, split_seed) VALUES ('a', current_user, 1), ('b', current_user, 2);
SELECT throws_ok($$ INSERT INTO churn.models (name, owner, split_seed) VALUES ('a', 'x', 1) $$,
	'23505', NULL, 'a name is used once');
SELECT throws_ok($$ INSERT INTO churn.models (name, owner, split_seed) VALUES ('', 'x', 1) $$,
	'23514', NULL, 'a name is not empty');
SELECT throws_ok($$ INSERT INTO churn.models (model_id, name, owner, split_seed) VALUES (77, 'c', 'x', 1) $$,
	'428C9', NULL, 'nobody chooses the number of a model');

PREPARE add_version (text, int, text, bigint) AS
	INSERT INTO churn.model_versions (model, version, algorithm, origin, sha256, threshold, trained_by,
		started_at, finished_at, seconds, artifact, compiled)
	VALUES ($1, $2, 'xgboost', $3, '', 0.5, current_user, now(), now(), 0,
		convert_to(repeat('x', $4::int / 2), 'UTF8'), convert_to(repeat('y', ($4 - $4 / 2)::int), 'UTF8'));
SELECT lives_ok($$ EXECUTE add_version('a', 1, 'train', 10) $$, 'a version');
SELECT throws_ok($$ EXECUTE add_version('a', 1, 'train', 10) $$, '23505', NULL, 'a version number is used once');
SELECT throws_ok($$ EXECUTE add_version('a', 2, 'magic', 10) $$, '23514', NULL, 'a version is trained or imported');
SELECT throws_ok($$ EXECUTE add_version('a', 2, 'train', 256 * 1024 * 1024 + 1) $$, '23514', NULL,
	'artifact and compiled form end at 256 MiB');

SELECT lives_ok($$ INSERT INTO churn.features (model, version, position, name, kind)
	SELECT 'a', 1, row_number() OVER (), k, k FROM unnest('{number,boolean,category,age}'::text[]) k $$,
	'the kinds of features');
SELECT throws_ok($$ INSERT INTO churn.features (model, version, position, name, kind)
	VALUES ('a', 1, 9, 'x', 'text') $$, '23514', NULL, 'no other kind');
INSERT INTO churn.metrics (model, version, dataset, metric, value) VALUES ('a', 1, 'test', 'pr_auc', 0.5);

PREPARE deploy (text, text) AS
	INSERT INTO churn.deployments (model_id, model, version, during, deployed_by, why)
	SELECT model_id, name, 1, $2::tstzrange, current_user, 'test' FROM churn.models WHERE name = $1;
SELECT lives_ok($$ EXECUTE deploy('a', '[2024-01-01, 2024-02-01)') $$, 'a deployment');
SELECT lives_ok($$ EXECUTE deploy('a', '[2024-02-01,)') $$, 'the next begins where it ends');
SELECT lives_ok($$ EXECUTE deploy('b', '[2024-01-15,)') $$, 'another model has its own');
SELECT throws_ok($$ EXECUTE deploy('a', '[2024-01-31, 2024-02-01)') $$, '23P01', NULL, 'no overlap in the past');
SELECT throws_ok($$ EXECUTE deploy('a', '[2030-01-01,)') $$, '23P01', NULL, 'no second one in force');

PREPARE predict (text, text) AS
	INSERT INTO churn.predictions (customer_key, model, version, score, band, scored_at, origin)
	VALUES ($1, 'a', 1, 0.5, 'low', now(), $2);
SELECT lives_ok($$ EXECUTE predict('1', 'stream') $$, 'a prediction from the stream');
SELECT lives_ok($$ EXECUTE predict('2', 'batch') $$, 'from a batch');
SELECT lives_ok($$ EXECUTE predict('3', 'api') $$, 'from the API');
SELECT throws_ok($$ EXECUTE predict('4', 'guess') $$, '23514', NULL, 'from nowhere else');
SELECT throws_ok($$ EXECUTE predict('1', 'batch') $$, '23505', NULL, 'a customer has one score by model');

PREPARE add_issue (int, text, text) AS
	INSERT INTO churn.data_issues (model, version, source, severity, kind, message)
	VALUES ('a', $1, $2, $3, 'separates', 'test');
SELECT lives_ok($$ EXECUTE add_issue(1, 'train', 'warning') $$, 'an issue of training');
SELECT lives_ok($$ EXECUTE add_issue(1, 'validate', 'error') $$, 'one of validation');
SELECT lives_ok($$ EXECUTE add_issue(2, 'train', 'notice') $$, 'a harmless one');
SELECT throws_ok($$ EXECUTE add_issue(1, 'guess', 'notice') $$, '23514', NULL, 'from nowhere else');
SELECT throws_ok($$ EXECUTE add_issue(1, 'train', 'fatal') $$, '23514', NULL, 'and of no other severity');

PREPARE add_error (text) AS INSERT INTO churn.errors (kind, message) VALUES ($1, 'test');
SELECT lives_ok(format('EXECUTE add_error(%L)', kind), format('an error of kind %s', kind))
	FROM unnest('{row,model,batch,slot,watch,alert}'::text[]) AS kind;
SELECT throws_ok($$ EXECUTE add_error('other') $$, '23514', NULL, 'no other kind');
SELECT lives_ok($$ INSERT INTO churn.alert_rules (name, model, condition, cooldown, created_by)
	VALUES ('r', 'a', 'true', '0', 'x'), ('r', 'b', 'true', '0', 'x') $$, 'alert rules');
SELECT throws_ok($$ INSERT INTO churn.alert_rules (name, model, condition, cooldown, created_by)
	VALUES ('r', 'a', 'true', '0', 'x') $$, '23505', NULL, 'a name is used once in a model');
INSERT INTO churn.drift (model, version, checked_at, checked_window, source, rows, feature, statistic)
	SELECT 'a', n, now(), 'empty', 's', 1, '(concept)', 'calibration_z' FROM generate_series(1, 2) AS n;
SELECT is(count(DISTINCT check_id), 2::bigint, 'checks are numbered') FROM churn.drift WHERE model = 'a';
INSERT INTO churn.watches (model, relation, key, related, deletes, reasons, watched_by, home)
	VALUES ('a', 't', 'k', false, true, 0, 'x', 'elsewhere'), ('b', 't', 'k', false, true, 0, 'x', 'elsewhere');
INSERT INTO churn.rescans (model) VALUES ('a'), ('b');
SELECT lives_ok($$ INSERT INTO churn.alerts (rule_id, rule, model, customer_key, version, score, band, raised_at)
	VALUES (1, 'r', 'a', '1', 1, 0.5, 'low', now()) $$, 'an alert about a customer');
SELECT throws_ok(format('INSERT INTO churn.alerts (rule_id, rule, model, customer_key, version, score, band)
	SELECT %s FROM (SELECT 1 AS rule_id, ''r'' AS rule, ''a'' AS model, ''1'' AS customer_key, 1 AS version, 0.5 AS score, ''low'' AS band) x',
	(SELECT string_agg(CASE WHEN c = missing THEN 'NULL' ELSE c END, ', ' ORDER BY n)
		FROM unnest('{rule_id,rule,model,customer_key,version,score,band}'::text[]) WITH ORDINALITY AS u (c, n))),
	'23514', NULL, format('which has a %s', missing))
	FROM unnest('{rule_id,rule,model,customer_key,version,score,band}'::text[]) AS missing;
SELECT lives_ok($$ INSERT INTO churn.alerts (kind, model, message) SELECT k, 'a', 'm'
	FROM unnest('{drift,quality,data,maintenance}'::text[]) k $$, 'alerts about a model');
SELECT lives_ok($$ INSERT INTO churn.alerts (kind, message) VALUES ('maintenance', 'm') $$, 'or about none');
SELECT throws_ok($$ INSERT INTO churn.alerts (kind, model) VALUES ('drift', 'a') $$, '23514', NULL, 'which have a message');
SELECT throws_ok($$ INSERT INTO churn.alerts (kind, model, message) VALUES ('other', 'a', 'm') $$, '23514', NULL, 'and no other kind');
SELECT isnt(churn.raise_alert('a', 'drift', 'm', 1), NULL, 'an alert is raised');
SELECT set_eq($$ SELECT kind, model, version, message FROM churn_take_alerts(kind => 'drift') $$,
	$$ VALUES ('drift', 'a', NULL::int, 'm'), ('drift', 'a', 1, 'm') $$, 'and taken by its kind');
SELECT set_eq($$ SELECT kind FROM churn_take_alerts(kind => NULL) $$,
	ARRAY['customer', 'quality', 'data', 'maintenance'], 'or whatever its kind');

PREPARE add_policy (text, text, text) AS
	INSERT INTO churn.policies (model, action, schedule, drift_alpha, drift_psi, quality_metric, quality_drop, min_rows,
		algorithm, retention, enabled, set_by)
	VALUES ($1, $2, '1 day', 0.05, 0.01, 'pr_auc', 0.05, 500, $3, '1 year', true, current_user);
SELECT lives_ok($$ EXECUTE add_policy('a', 'alert', 'same') $$, 'a policy');
SELECT lives_ok($$ EXECUTE add_policy('b', 'retrain_and_promote', 'auto') $$, 'another');
SELECT throws_ok($$ EXECUTE add_policy('a', 'alert', 'same') $$, '23505', NULL, 'a model has one');
SELECT throws_ok($$ EXECUTE add_policy('c', 'promote', 'same') $$, '23514', NULL, 'with one of three actions');
SELECT throws_ok($$ EXECUTE add_policy('c', 'alert', 'xgboost') $$, '23514', NULL, 'and one of two algorithms');
PREPARE add_step (text, text, text) AS INSERT INTO churn.maintenance_log (run_id, model, step, state) VALUES (1, $1, $2, $3);
SELECT lives_ok(format('EXECUTE add_step(''a'', %L, ''done'')', step), format('step %s', step))
	FROM unnest('{validate,drift,measure,retrain,compare,promote,alert,purge,partitions}'::text[]) AS step;
SELECT lives_ok(format('EXECUTE add_step(''b'', ''drift'', %L)', state), format('state %s', state))
	FROM unnest('{running,done,failed,skipped}'::text[]) AS state;
SELECT throws_ok($$ EXECUTE add_step('a', 'rest', 'done') $$, '23514', NULL, 'no other step');
SELECT throws_ok($$ EXECUTE add_step('a', 'drift', 'open') $$, '23514', NULL, 'no other state');

PREPARE add_outcome (boolean, text, text) AS INSERT INTO churn.outcomes (model, customer_key, observed_at, churned, status, recorded_at)
	VALUES ('a', $3, '2024-01-01', $1, $2, now());
SELECT lives_ok($$ EXECUTE add_outcome(true, 'confirmed', '1') $$, 'an outcome');
SELECT lives_ok($$ EXECUTE add_outcome(NULL, 'pending', '2') $$, 'one that is not known yet');
SELECT throws_ok($$ EXECUTE add_outcome(true, 'pending', '3') $$, '23514', NULL, 'what is pending is not known');
SELECT throws_ok($$ EXECUTE add_outcome(NULL, 'confirmed', '3') $$, '23514', NULL, 'what is confirmed is');
SELECT throws_ok($$ EXECUTE add_outcome(true, 'guessed', '3') $$, '23514', NULL, 'and there is nothing else');
SELECT throws_ok($$ EXECUTE add_outcome(false, 'confirmed', '1') $$, '23505', NULL, 'a customer has one outcome at a time');
PREPARE add_quality (int, text, text) AS INSERT INTO churn.quality (model, version, day, role, basis, metric, value, n)
	VALUES ('a', $1, '2024-01-01', $2, $3, 'pr_auc', 0.5, 1);
SELECT lives_ok(format('EXECUTE add_quality(%s, %L, %L)', v, r, b), format('quality of version %s, %s, %s', v, r, b))
	FROM generate_series(1, 2) v, unnest('{champion,challenger}'::text[]) r, unnest('{estimated,realised}'::text[]) b;
SELECT throws_ok($$ EXECUTE add_quality(1, 'guest', 'realised') $$, '23514', NULL, 'of nobody else');
SELECT throws_ok($$ EXECUTE add_quality(1, 'champion', 'guessed') $$, '23514', NULL, 'and not from nothing');
INSERT INTO churn.measured_days (model, day, pending) VALUES ('a', '2024-01-01', true), ('b', '2024-01-01', true);

-- all that belongs to a version or a model goes with it, and nothing else
SELECT lives_ok($$ EXECUTE add_version('a', 2, 'import', 10) $$, 'another version');
INSERT INTO churn.features (model, version, position, name, kind) VALUES ('a', 2, 1, 'x', 'number');
INSERT INTO churn.metrics (model, version, dataset, metric) VALUES ('a', 2, 'test', 'pr_auc');
INSERT INTO churn.candidates (model, version, candidate, rank, algorithm, chosen, reason)
	SELECT 'a', n, 'xgboost', 1, 'xgboost', true, 'only' FROM generate_series(1, 2) AS n;
INSERT INTO churn.profiles (model, version, window_start, window_end, rows, updated_at, profile)
	SELECT 'a', n, now(), now(), 0, now(), '' FROM generate_series(1, 2) AS n;
UPDATE churn.models SET challenger = 2 WHERE name = 'a';
PREPARE rows_of (text) AS
	SELECT 'versions', version FROM churn.model_versions WHERE model = $1
	UNION ALL SELECT 'features', version FROM churn.features WHERE model = $1
	UNION ALL SELECT 'metrics', version FROM churn.metrics WHERE model = $1
	UNION ALL SELECT 'candidates', version FROM churn.candidates WHERE model = $1
	UNION ALL SELECT 'deployments', version FROM churn.deployments WHERE model = $1
	UNION ALL SELECT 'predictions', version FROM churn.predictions WHERE model = $1
	UNION ALL SELECT 'data_issues', version FROM churn.data_issues WHERE model = $1
	UNION ALL SELECT 'drift', version FROM churn.drift WHERE model = $1
	UNION ALL SELECT 'quality', version FROM churn.quality WHERE model = $1
	UNION ALL SELECT 'outcomes', NULL FROM churn.outcomes WHERE model = $1
	UNION ALL SELECT 'measured_days', NULL FROM churn.measured_days WHERE model = $1
	UNION ALL SELECT 'profiles', version FROM churn.profiles WHERE model = $1;
SELECT lives_ok($$ SELECT churn_drop_model('a', 2) $$, 'a version is dropped');
SELECT set_eq($$ EXECUTE rows_of('a') $$, $$ VALUES ('versions', 1), ('features', 1), ('metrics', 1),
	('candidates', 1), ('deployments', 1), ('predictions', 1), ('data_issues', 1), ('drift', 1), ('profiles', 1),
	('quality', 1), ('outcomes', NULL), ('measured_days', NULL) $$, 'its rows are gone, those of the other version stay');
SELECT is(challenger, NULL, 'it is no challenger any more') FROM churn.models WHERE name = 'a';
SELECT lives_ok($$ SELECT churn_drop_model('a') $$, 'the model is dropped');
SELECT is_empty($$ EXECUTE rows_of('a') $$, 'and all of its rows are gone');
SELECT set_eq('SELECT name FROM churn.models', ARRAY['b'], 'so is the model itself; another stays');
SELECT isnt_empty($$ SELECT FROM churn.deployments WHERE model = 'b' $$, 'the other''s deployments stay');
SELECT set_eq($$ SELECT model FROM churn.watches UNION ALL SELECT model FROM churn.rescans
	UNION ALL SELECT model FROM churn.measured_days
	UNION ALL SELECT model FROM churn.alert_rules UNION ALL SELECT model FROM churn.policies
	UNION ALL SELECT model FROM churn.maintenance_log $$, ARRAY['b'],
	'watches, alert rules, policy and history of maintenance go, too, of that model');
SELECT isnt_empty($$ SELECT FROM churn.alerts WHERE model = 'a' $$, 'alerts are history');


--
-- What training reports of the rows is kept with the version
--
PREPARE register (text, jsonb) AS
	SELECT version FROM churn.register_version(jsonb_build_object('model', $1, 'owner', current_user,
		'trained_by', current_user, 'split_seed', 1, 'origin', 'train', 'source', 'customers',
		'started_at', now(), 'promote', 'auto', 'result', jsonb_build_object('algorithm', 'xgboost',
		'threshold', 0.5, 'features', '[]'::jsonb, 'metrics', '[]'::jsonb) || $2), '', '', '');
SELECT lives_ok($$ EXECUTE register('issues', '{"issues": [
	{"severity": "warning", "kind": "pair_separates", "feature": "begin", "other_feature": "tenure",
	 "statistic": "auc", "value": 0.99, "rows": 4218, "message": "a pair", "detail": "more"},
	{"severity": "notice", "kind": "duplicates", "rows": 3, "message": "twins"}]}') $$, 'a version with issues');
SELECT results_eq($$ SELECT model, version, source, relation, severity, kind, feature, other_feature, statistic, value,
	rows, message, detail FROM churn.data_issues WHERE model = 'issues' ORDER BY issue_id $$,
	$$ VALUES ('issues', 1, 'train', 'customers', 'warning', 'pair_separates', 'begin', 'tenure', 'auc',
		0.99::double precision, 4218::bigint, 'a pair', 'more'),
	('issues', 1, 'train', 'customers', 'notice', 'duplicates', NULL, NULL, NULL, NULL, 3, 'twins', NULL) $$,
	'they are stored in order');
SELECT lives_ok($$ EXECUTE register('issues', '{}') $$, 'a version of which nothing is said');
SELECT is(count(*), 2::bigint, 'has none') FROM churn.data_issues WHERE model = 'issues';
SELECT is(array_agg(expectations ORDER BY version), '{NULL,NULL}', 'nor what to expect of a source')
	FROM churn.model_versions WHERE model = 'issues';

--
-- Who is at risk
--
INSERT INTO churn.predictions (customer_key, model, version, score, previous_score, band, reasons, scored_at, origin) VALUES
	('c1', 'issues', 1, 0.3, 0.25, 'medium', NULL, now(), 'batch'), ('c2', 'issues', 2, 0.9, NULL, 'high', '{because}', now(), 'stream'),
	('c3', 'issues', 99, 0.6, 0.6, 'high', NULL, now(), 'stream'), ('c4', 'issues', 1, 0.1, 0.9, 'low', NULL, now(), 'stream'),
	('c5', 'another', 1, 0.7, NULL, 'high', NULL, now(), 'stream');
SELECT results_eq($$ SELECT customer_key, score, band, reasons, round(change::numeric, 6), threshold, version FROM churn.at_risk WHERE model = 'issues' $$,
	$$ VALUES ('c2', 0.9::double precision, 'high', '{because}'::text[], NULL::numeric, 0.5::double precision, 2),
		('c3', 0.6, 'high', NULL, 0, NULL, 99), ('c1', 0.3, 'medium', NULL, 0.05, 0.5, 1) $$,
	'customers at risk, the highest scores first, also of a version that is gone');

SELECT * FROM finish();
ROLLBACK;
