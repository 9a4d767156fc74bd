--
-- Who may do what: scoring is for all, everything else for nobody but the
-- owner, until it is granted.
--
-- Runs in one transaction, in a database that has churn and pgtap.
--
\set ON_ERROR_STOP on
SET client_min_messages = warning;
BEGIN;
SELECT * FROM no_plan();

CREATE ROLE regress_churn_nobody;
CREATE ROLE regress_churn_viewer;
CREATE ROLE regress_churn_operator;
-- so that any role may call pgTAP, whose own tables are temporary
GRANT ALL ON ALL TABLES IN SCHEMA pg_temp TO PUBLIC;
GRANT ALL ON ALL SEQUENCES IN SCHEMA pg_temp TO PUBLIC;

--
-- The catalogs
--
CREATE TEMP VIEW churn_functions AS
	SELECT p.oid, p.oid::regprocedure AS function, n.nspname AS schema, p.proname AS name, p.proacl
	FROM pg_depend d
	JOIN pg_extension x ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = x.oid
	JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
	JOIN pg_namespace n ON n.oid = p.pronamespace
	WHERE x.extname = 'churn' AND d.deptype = 'e';

-- score_columns() and margin_columns() are what the planner makes of a score;
-- progress() serves a view that shows a role its own trainings only, once the
-- view is granted; stream() one that counts; churn_profile() is called as whoever reads the rows for churn_drift(); score_support() cannot be called from SQL; nor can what the
-- aggregates are made of, be it granted
SELECT set_eq($$ SELECT schema, name FROM churn_functions f
	WHERE has_function_privilege('regress_churn_nobody', oid, 'EXECUTE')
		AND NOT EXISTS (SELECT FROM pg_aggregate a
			WHERE f.oid IN (a.aggtransfn, a.aggcombinefn, a.aggfinalfn) AND f.schema = 'churn') $$,
	$$ VALUES ('public', 'churn_score'), ('public', 'churn_margin'), ('public', 'churn_predict'),
		('public', 'churn_explain'), ('public', 'churn_reasons'),
	('public', 'churn_sample_customers'), ('churn', 'score_columns'), ('churn', 'margin_columns'),
	('public', 'churn_pr_auc'), ('public', 'churn_roc_auc'), ('public', 'churn_lift'),
	('public', 'churn_log_loss'), ('public', 'churn_brier'), ('public', 'churn_ece'),
	('public', 'churn_f1'), ('public', 'churn_precision'), ('public', 'churn_recall'),
	('public', 'churn_profile'),
	('public', 'churn_estimated_pr_auc'), ('public', 'churn_estimated_roc_auc'),
	('public', 'churn_estimated_log_loss'), ('public', 'churn_estimated_brier'), ('public', 'churn_estimated_f1'),
	('public', 'churn_estimated_precision'), ('public', 'churn_estimated_recall'),
	('churn', 'score_support'), ('churn', 'progress'), ('churn', 'stream') $$,
	'what PUBLIC may execute');
SELECT is_empty($$ SELECT c.oid::regclass, p FROM pg_class c,
	unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) p
	WHERE c.relnamespace = 'churn'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
		AND has_table_privilege('regress_churn_nobody', c.oid, p) $$,
	'PUBLIC has no privilege on any table or view');
SELECT is_empty($$ SELECT c.oid::regclass, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
	WHERE c.relnamespace = 'churn'::regnamespace AND a.attacl IS NOT NULL $$,
	'nor on any column');
SELECT is_empty($$ SELECT c.oid::regclass, p FROM pg_class c, unnest('{USAGE,SELECT,UPDATE}'::text[]) p
	WHERE c.relnamespace = 'churn'::regnamespace AND c.relkind = 'S'
		AND has_sequence_privilege('regress_churn_nobody', c.oid, p) $$,
	'nor on any sequence');
SELECT ok(NOT has_schema_privilege('regress_churn_nobody', 'churn', 'USAGE')
	AND NOT has_schema_privilege('regress_churn_nobody', 'churn', 'CREATE'),
	'PUBLIC has no privilege on schema churn');
SELECT is_empty($$ SELECT rolname FROM pg_roles WHERE rolname LIKE 'churn%' $$,
	'the extension makes no roles');

--
-- A model to try on: one leaf of value 0, so every score is its base score
--
CREATE TABLE customers (id int PRIMARY KEY, x real);
INSERT INTO customers SELECT i, i FROM generate_series(1, 3) i;
CREATE FUNCTION leaf() RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
	SELECT convert_to('{"learner": {"attributes": {}, "feature_names": ["x"], "feature_types": ["float"],
	"gradient_booster": {"name": "gbtree", "model": {"gbtree_model_param": {"num_parallel_tree": "1", "num_trees": "1"},
	"tree_info": [0], "trees": [{"base_weights": [0.5], "categories": [], "categories_nodes": [], "categories_segments": [],
	"categories_sizes": [], "default_left": [0], "id": 0, "left_children": [-1], "loss_changes": [0], "parents": [2147483647],
	"right_children": [-1], "split_conditions": [0.5], "split_indices": [0], "split_type": [0], "sum_hessian": [1],
	"tree_param": {"num_deleted": "0", "num_feature": "1", "num_nodes": "1", "size_leaf_vector": "0"}}]}},
	"learner_model_param": {"base_score": "5E-1", "num_class": "0", "num_feature": "1", "num_target": "1"},
	"objective": {"name": "binary:logistic", "reg_loss_param": {"scale_pos_weight": "1"}}}, "version": [1, 7, 4]}', 'UTF8')
$$;
SELECT is(promoted, true, 'a model is imported') FROM churn_import('m', leaf(), source => 'customers', key => 'id');
GRANT SELECT ON customers TO PUBLIC;
GRANT EXECUTE ON FUNCTION leaf TO PUBLIC;

--
-- Nobody: may score, and nothing else
--
SET LOCAL ROLE regress_churn_nobody;
SELECT is(round(churn_score(c)::numeric, 3), 0.622, 'anyone may score') FROM customers c WHERE id = 1;
SELECT is(churn_margin(c), 0.5::real, 'anyone may see a margin') FROM customers c WHERE id = 1;
SELECT is((churn_predict(c)).band, 'high', 'anyone may ask for a decision') FROM customers c WHERE id = 1;
SELECT ok(count(*) > 1 AND abs(sum(contribution) - max(churn_margin(c))) < 1e-4, 'anyone may ask why')
	FROM customers c, churn_explain(c) WHERE id = 1;
SELECT is(round(churn_score(c, 'm')::numeric, 3), 0.622, 'also of a row that the planner does not rewrite')
	FROM (SELECT * FROM customers WHERE id = 1 OFFSET 0) c;
SELECT is(count(*), 3::bigint, 'anyone may generate customers') FROM churn_sample_customers(3);
SELECT throws_ok('SELECT * FROM churn.' || t, '42501', NULL, 'may not read churn.' || t)
	FROM unnest('{models,model_versions,features,metrics,deployments,predictions,data_issues,drift,watches,rescans,stream_position,prediction_log,profiles,errors,alert_rules,alerts,policies,maintenance_log,training_progress,stream_status,at_risk,outcomes,quality,measured_days,model_health}'::text[]) t;
SELECT throws_ok(command, '42501', NULL, 'may not: ' || command) FROM unnest(ARRAY[
	$$SELECT churn_train('customers', 'x', algorithm => 'xgboost', options => '{"folds": 0}')$$,
	$$SELECT churn_rescore('m')$$,
	$$SELECT churn_wait('0')$$,
	$$SELECT churn_validate('m')$$,
	$$SELECT churn_watch('m')$$,
	$$SELECT churn_unwatch('m')$$,
	$$SELECT churn_add_alert_rule('m', 'true')$$,
	$$SELECT churn_drop_alert_rule('m', 'r')$$,
	$$SELECT * FROM churn_take_alerts()$$,
	$$SELECT churn.maintain_log('1 day')$$,
	$$SELECT churn_record_outcomes('m', 'VALUES (1, true)', 'column2', 'column1')$$,
	$$SELECT * FROM churn_measure('m')$$,
	$$SELECT churn.scores_at('m', '{}', '{}', false)$$,
	$$SELECT churn.estimated_quality('{0.5}', 0.5)$$,
	$$SELECT churn.realised_quality('{0.5}', '{t}', 0.5)$$,
	$$SELECT churn.concept_drift('{0.5}', '{t}', 0.01, NULL, NULL, NULL, NULL)$$,
	$$SELECT churn.measure_estimated('m', '2024-01-01')$$,
	$$SELECT churn.measure_realised('m', '2024-01-01')$$,
	$$SELECT churn.test_concept('m', 1, '(,)')$$,
	$$SELECT churn.measure_concept('m', '2024-01-01')$$,
	$$SELECT churn.changed_days('m')$$,
	$$SELECT churn_drift('m')$$,
	$$SELECT churn.raise_alert('m', 'drift', 'x')$$,
	$$SELECT churn_compare('m', 1)$$,
	$$SELECT churn_set_policy('m')$$,
	$$SELECT churn_drop_policy('m')$$,
	$$CALL churn_maintain()$$,
	$$SELECT churn.train_as('postgres', 'now()'::regprocedure, 's', 'l', 'k', 'm', 'a', 'p', '{}', '{}', '{}', '{}')$$,
	$$SELECT churn.maintain_step(1)$$,
	$$SELECT churn_promote('m', 1)$$,
	$$SELECT churn_rollback('m')$$,
	$$SELECT churn_set_challenger('m', 1)$$,
	$$SELECT churn_drop_model('m')$$,
	$$SELECT churn_export('m')$$,
	$$SELECT churn_sql('m')$$,
	$$SELECT churn_import('n', leaf())$$,
	$$SELECT churn.deploy('m', 1, 'x')$$,
	$$SELECT churn.lock_model('m')$$,
	$$SELECT churn.require_version('m', 1)$$,
	$$SELECT churn.require_fit('m', 1)$$,
	$$SELECT churn.register_version('{}', '', '', '')$$,
	$$SELECT churn.baseline('m')$$,
	$$SET churn.trainer = '/bin/true'$$,
	$$SET churn.training_memory = 0$$]) AS command;
SELECT lives_ok($$ SET LOCAL churn.default_model = 'm' $$, 'may choose a default model');
RESET ROLE;
RESET churn.default_model;

--
-- A viewer: the tables can be granted, and the view shows nothing of others
--
GRANT USAGE ON SCHEMA churn TO regress_churn_viewer;
GRANT SELECT ON ALL TABLES IN SCHEMA churn TO regress_churn_viewer;
SET LOCAL ROLE regress_churn_viewer;
SELECT is(champion, 1, 'a viewer reads the registry') FROM churn.models WHERE name = 'm';
SELECT is_empty('SELECT * FROM churn.training_progress', 'and sees the progress of trainings');
SELECT throws_ok($$ UPDATE churn.models SET champion = NULL $$, '42501', NULL, 'but changes nothing');
SELECT throws_ok($$ DELETE FROM churn.predictions $$, '42501', NULL, 'nor deletes');
RESET ROLE;

--
-- An operator: functions can be granted without any right on the tables
--
GRANT EXECUTE ON FUNCTION churn_promote, churn_rollback, churn_drop_model, churn_import, churn_export,
	churn_rescore, churn_record_outcomes, churn_measure TO regress_churn_operator;
SET LOCAL ROLE regress_churn_operator;
SELECT is(version, 1, 'an operator imports a model of its own') FROM churn_import('mine', leaf(), source => 'customers', key => 'id');
SELECT throws_ok($$ SELECT churn_import('m', leaf()) $$, '42501', 'must be owner of model "m"',
	'but adds no version to the model of another');
SELECT is(version, 2, 'it adds one to its own') FROM churn_import('mine', leaf(), options => '{"promote": "never"}');
SELECT lives_ok($$ SELECT churn_promote('mine', 2) $$, 'promotes');
SELECT is(churn_rollback('mine'), 1, 'rolls back');
SELECT cmp_ok(length(churn_export('mine')), '>', 100, 'exports');
SELECT is(churn_rescore('mine'), 3::bigint, 'rescores');
SELECT is(churn_record_outcomes('mine', 'SELECT id, id > 1 AS churned FROM customers', 'churned'), 3::bigint, 'records outcomes');
SELECT is(count(*), 28::bigint, 'measures the scores') FROM churn_measure('mine');
SELECT throws_ok($$ SELECT * FROM churn.predictions $$, '42501', NULL, 'without reading the tables');
SELECT lives_ok($$ SELECT churn_drop_model('mine', 2) $$, 'drops a version');
SELECT throws_ok($$ SELECT churn.deploy('mine', 1, 'x') $$, '42501', NULL, 'the parts inside stay closed');
RESET ROLE;
SELECT is(owner, 'regress_churn_operator', 'a model belongs to the role that registered it')
	FROM churn.models WHERE name = 'mine';
SELECT is(trained_by, 'regress_churn_operator', 'so says the version')
	FROM churn.model_versions WHERE model = 'mine' AND version = 1;
SELECT is(deployed_by, session_user, 'a deployment names the session''s role, whoever it acts as')
	FROM churn.deployments WHERE model = 'mine' ORDER BY deployment_id LIMIT 1;

-- churn_rescore() reads as the model's owner, whoever calls it
REVOKE SELECT ON customers FROM PUBLIC;
SELECT throws_ok($$ SELECT churn_rescore('mine') $$, '42501', NULL,
	'a superuser does not lend its eyes to the owner of a model');

-- names in a session's own schemas do not divert what runs with more rights
CREATE SCHEMA trap;
CREATE FUNCTION trap.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS
	$$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE FUNCTION trap.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS
	$$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
SET LOCAL search_path = trap, pg_catalog, public;
SELECT public.lives_ok($$ SELECT churn_promote('m', 1) FROM churn_import('m', public.leaf(), options => '{"promote": "always"}') $$,
	'search_path does not divert the registry');
RESET search_path;

SELECT * FROM finish();
ROLLBACK;
