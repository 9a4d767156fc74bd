--
-- Registry: versions, promotion, rollback, what scoring sees of them
--
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE TABLE registry_customers AS SELECT * FROM churn_sample_customers(1500, 3);
ALTER TABLE registry_customers ADD PRIMARY KEY (customer_id);

SELECT churn_score(c) FROM registry_customers c;
CREATE FUNCTION registry_train(depth int, options jsonb DEFAULT NULL)
RETURNS TABLE (version int, promoted boolean) LANGUAGE sql AS $$
	SELECT t.version, t.promoted FROM churn_train('registry_customers', 'churn', model => 'reg',
		params => jsonb_build_object('rounds', 5 * depth, 'max_depth', depth), options => coalesce(options, '{}') || '{"folds": 0}', algorithm => 'xgboost') AS t
$$;
SELECT * FROM registry_train(1);
SELECT * FROM registry_train(3, '{"promote": "never"}');
SELECT * FROM registry_train(2, '{"promote": "always"}');
-- the same data and seed again: no better than itself
SELECT * FROM registry_train(2);
SELECT a.artifact = b.artifact AS same_artifact, a.sha256 = b.sha256 AS same_sha256,
	a.data_fingerprint = b.data_fingerprint AS same_data, b.champion_pr_auc = x.value AS champion_measured
	FROM churn.model_versions a, churn.model_versions b, churn.metrics x
	WHERE a.model = 'reg' AND a.version = 3 AND b.model = 'reg' AND b.version = 4
		AND x.model = 'reg' AND x.version = 3 AND x.dataset = 'test' AND x.metric = 'pr_auc';
SELECT * FROM registry_train(1, '{"promote": "sometimes"}');
SELECT * FROM registry_train(1, '["promote"]');

-- what was in force when
SELECT version, why, upper_inf(during) AS in_force, restores IS NOT NULL AS rollback
	FROM churn.deployments WHERE model = 'reg' ORDER BY during;
SELECT count(*) AS gaps FROM (SELECT upper(during) <> lead(lower(during)) OVER (ORDER BY during) AS gap
	FROM churn.deployments WHERE model = 'reg') AS d WHERE gap;

-- promotion is an ordinary transaction
CREATE FUNCTION registry_version() RETURNS int LANGUAGE sql VOLATILE AS
	'SELECT (churn_predict(c)).version FROM registry_customers c ORDER BY customer_id LIMIT 1';
SELECT registry_version();
BEGIN;
SELECT churn_promote('reg', 1);
SELECT registry_version();
SELECT churn_promote('reg', 2);
SELECT registry_version();
ROLLBACK;
SELECT registry_version();
BEGIN;
SAVEPOINT s;
SELECT churn_promote('reg', 1);
ROLLBACK TO s;
SELECT registry_version();
COMMIT;
-- within one function, each statement sees what is in force then
DO $$
DECLARE
	r registry_customers;
	a float8;
	b float8;
BEGIN
	SELECT * INTO r FROM registry_customers ORDER BY customer_id LIMIT 1;
	a := churn_score(r);
	PERFORM churn_promote('reg', 1);
	b := churn_score(r);
	RAISE WARNING 'changed: %, by version: %', a <> b, b = churn_score(r, 'reg', 1);
	PERFORM churn_promote('reg', 3);
END $$;
-- a prepared statement follows, even to other features
PREPARE p AS SELECT (churn_predict(c)).version, churn_score(c) = churn_score(c, version => (churn_predict(c)).version) AS same
	FROM registry_customers c ORDER BY customer_id LIMIT 1;
EXECUTE p;
SELECT version, promoted FROM churn_train('registry_customers', 'churn', model => 'reg', exclude => '{contract,tenure}',
	params => '{"rounds": 5}', options => '{"folds": 0, "promote": "always"}', algorithm => 'xgboost');
EXECUTE p;
DEALLOCATE p;

-- a number that a rolled back training had is given again, to another version
BEGIN;
SELECT version FROM registry_train(4, '{"promote": "always"}');
SELECT registry_version();
ROLLBACK;
SELECT version FROM registry_train(1, '{"promote": "always"}');
SELECT registry_version(), bool_and(churn_score(c) = churn_score(c, version => 6)) AS same FROM registry_customers c;
SELECT churn_promote('reg', 5);
SELECT churn_drop_model('reg', 6);
DELETE FROM churn.deployments WHERE model = 'reg' AND version = 6;
DELETE FROM churn.deployments WHERE model = 'reg' AND upper_inf(during);
UPDATE churn.deployments SET during = tstzrange(lower(during), NULL) WHERE model = 'reg' AND version = 5;

-- rollback, further and further
SELECT churn_rollback('reg'), registry_version();
SELECT registry_version();
SELECT churn_rollback('reg');
SELECT churn_rollback('reg');
SELECT churn_rollback('reg');
SELECT churn_rollback('reg');
SELECT version, why FROM churn.deployments WHERE model = 'reg' ORDER BY during OFFSET 2;
SELECT champion FROM churn.models WHERE name = 'reg';
SELECT churn_promote('reg', 3);
SET client_min_messages = notice;
SELECT churn_promote('reg', 3);
SET client_min_messages = warning;
\set SHOW_CONTEXT never

-- errors
SELECT churn_promote('reg', 77);
SELECT churn_promote('nobody', 1);
SELECT churn_rollback('nobody');
SELECT churn_drop_model('nobody');
SELECT churn_drop_model('reg', 3);
SELECT churn_drop_model('reg', 77);
SELECT churn_drop_model('reg', 2);
SELECT count(*) FILTER (WHERE version = 2) AS gone, count(*) > 0 AS others FROM churn.features WHERE model = 'reg';

-- lineage
SELECT v.source, v.source_relation, v.key, v.label, v.origin, v.algorithm, v.rows,
	v.train_rows + v.validation_rows + v.test_rows + v.duplicates_dropped = v.rows AS parts_add_up,
	v.snapshot_lsn IS NOT NULL AS lsn, v.snapshot IS NOT NULL AS snapshot,
	v.library_versions ? 'xgboost' AND v.library_versions ? 'churn' AND v.library_versions ? 'postgresql' AS versions,
	v.finished_at > v.started_at AS timed, length(v.data_fingerprint), v.trained_by = current_user AS me
	FROM churn.model_versions v WHERE model = 'reg' AND version = 1;
SELECT dataset, metric, n FROM churn.metrics WHERE model = 'reg' AND version = 1 AND dataset = 'test' ORDER BY metric;
SELECT position, name, kind, type, categories FROM churn.features
	WHERE model = 'reg' AND version = 1 ORDER BY position;

-- a damaged version never scores
BEGIN;
UPDATE churn.model_versions SET artifact = set_byte(artifact, 100, (get_byte(artifact, 100) + 1) % 256)
	WHERE model = 'reg' AND version = 3;
SELECT length(churn_export('reg', 3));
ROLLBACK;
\c -
SET client_min_messages = warning;
\set SHOW_CONTEXT never
BEGIN;
UPDATE churn.model_versions SET artifact = set_byte(artifact, 100, (get_byte(artifact, 100) + 1) % 256)
	WHERE model = 'reg' AND version = 3;
SELECT churn_score(c) FROM registry_customers c LIMIT 1;
ROLLBACK;
BEGIN;
UPDATE churn.model_versions SET compiled = set_byte(compiled, 200, (get_byte(compiled, 200) + 1) % 256)
	WHERE model = 'reg' AND version = 3;
SELECT churn_score(c) FROM registry_customers c LIMIT 1;
ROLLBACK;
BEGIN;
UPDATE churn.model_versions SET sha256 = '\x00' WHERE model = 'reg' AND version = 3;
SELECT churn_score(c) FROM registry_customers c LIMIT 1;
ROLLBACK;
-- nor do bytes whose digest is right but which are no model
BEGIN;
UPDATE churn.model_versions SET compiled = substr(compiled, 1, 300), sha256 = sha256(substr(compiled, 1, 300) || artifact)
	WHERE model = 'reg' AND version = 3;
SELECT churn_score(c) FROM registry_customers c LIMIT 1;
ROLLBACK;
SELECT churn_score(c) IS NOT NULL AS fine FROM registry_customers c LIMIT 1;

-- which model, when none is named
CREATE TABLE registry_others AS SELECT * FROM registry_customers;
SELECT churn_score(c) IS NOT NULL AS the_only_one FROM registry_others c LIMIT 1;
SELECT model FROM churn_train('registry_others', 'churn', params => '{"rounds": 3}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT (churn_predict(c)).model FROM registry_others c LIMIT 1;
SELECT (churn_predict(c)).model FROM registry_customers c LIMIT 1;
SELECT (churn_predict(c)).model FROM (SELECT * FROM registry_customers) AS c LIMIT 1;
SELECT model FROM churn_train('registry_others', 'churn', model => 'again', params => '{"rounds": 3}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT (churn_predict(c)).model FROM registry_others c LIMIT 1;
UPDATE churn.models SET champion = NULL WHERE name = 'again';
SELECT churn_score(c, 'again') FROM registry_others c LIMIT 1;
SELECT churn_rescore('again');

-- DROP EXTENSION and CREATE EXTENSION in one session
DROP EXTENSION churn CASCADE;
CREATE EXTENSION churn;
SELECT churn_score(c) FROM registry_customers c LIMIT 1;
SELECT version FROM registry_train(1);
SELECT churn_score(c) IS NOT NULL AS fine FROM registry_customers c LIMIT 1;

-- privileges: nothing but scoring is for everyone
CREATE ROLE regress_churn_nobody;
CREATE ROLE regress_churn_analyst;
SET ROLE regress_churn_nobody;
SELECT * FROM churn.models;
SELECT churn_score(c) FROM registry_customers c;
SELECT churn_train('registry_customers', 'churn', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT churn_promote('reg', 1);
SELECT churn_export('reg');
RESET ROLE;
GRANT EXECUTE ON FUNCTION churn_train, churn_rescore TO regress_churn_analyst;
SET ROLE regress_churn_analyst;
SELECT version FROM churn_train('registry_customers', 'churn', algorithm => 'xgboost', options => '{"folds": 0}');
RESET ROLE;
GRANT SELECT ON registry_customers TO regress_churn_analyst;
SET ROLE regress_churn_analyst;
SELECT version FROM churn_train('registry_customers', 'churn', model => 'reg', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT version FROM churn_train('registry_customers', 'churn', model => 'mine', params => '{"rounds": 3}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT churn_score(c, 'mine') IS NOT NULL AS fine FROM registry_customers c LIMIT 1;
SELECT churn_rescore('mine');
RESET ROLE;
REVOKE SELECT ON registry_customers FROM regress_churn_analyst;
SELECT churn_rescore('mine');
SELECT owner FROM churn.models ORDER BY name;

DROP FUNCTION registry_train, registry_version;
DROP TABLE registry_customers, registry_others;
SELECT churn_drop_model(name) FROM churn.models;
SELECT count(*) FROM churn.deployments;
SELECT count(*) FROM churn.predictions;
DROP OWNED BY regress_churn_analyst;
DROP ROLE regress_churn_nobody, regress_churn_analyst;
