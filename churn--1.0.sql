/* churn--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION churn" to load this file. \quit

CREATE SCHEMA churn;
COMMENT ON SCHEMA churn IS
'models, predictions and statistics of the churn extension';

--
-- 1. Tables
--
-- They have no foreign keys among them: pg_restore with several jobs loads the
-- tables of an extension in any order.  The functions below keep them whole.

CREATE TABLE churn.models (
	model_id int GENERATED ALWAYS AS IDENTITY,
	name text NOT NULL,
	source text,
	source_relation text,
	source_query text,
	key text,
	label text,
	positive text,
	owner name NOT NULL,
	champion int,
	last_version int NOT NULL DEFAULT 0,
	split_seed bigint NOT NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	CONSTRAINT models_pkey PRIMARY KEY (model_id),
	CONSTRAINT models_name_key UNIQUE (name),
	CONSTRAINT models_name_check CHECK (name <> '')
);
COMMENT ON TABLE churn.models IS 'one row a model';
COMMENT ON COLUMN churn.models.model_id IS 'number of the model in this database';
COMMENT ON COLUMN churn.models.name IS 'name by which functions call the model';
COMMENT ON COLUMN churn.models.source IS 'table, view or query it was last trained on, as given';
COMMENT ON COLUMN churn.models.source_relation IS 'schema-qualified name of the source, if that is a table or view; rows of it are scored by this model by default';
COMMENT ON COLUMN churn.models.source_query IS 'statement that reads the source, with all names qualified';
COMMENT ON COLUMN churn.models.key IS 'column that identifies a customer, or null';
COMMENT ON COLUMN churn.models.label IS 'column that says who churned';
COMMENT ON COLUMN churn.models.positive IS 'value of the label that means churned, or null where it was recognised';
COMMENT ON COLUMN churn.models.owner IS 'role as which stored SQL of the model runs';
COMMENT ON COLUMN churn.models.champion IS 'version in force, or null';
COMMENT ON COLUMN churn.models.last_version IS 'highest version number ever given; numbers are not used twice';
COMMENT ON COLUMN churn.models.split_seed IS 'seed of the hash that puts a customer into training, validation or test';
COMMENT ON COLUMN churn.models.created_at IS 'when the first version was registered';

CREATE TABLE churn.model_versions (
	model text NOT NULL,
	version int NOT NULL,
	algorithm text NOT NULL,
	origin text NOT NULL,
	sha256 bytea NOT NULL,
	threshold double precision NOT NULL,
	source text,
	source_relation text,
	key text,
	label text,
	positive text,
	exclude text[],
	transform jsonb,
	as_of text,
	params jsonb,
	options jsonb,
	rows bigint,
	positives bigint,
	train_rows bigint,
	train_positives bigint,
	validation_rows bigint,
	validation_positives bigint,
	test_rows bigint,
	test_positives bigint,
	duplicates_dropped bigint,
	rows_without_label bigint,
	rounds int,
	seed bigint,
	data_fingerprint text,
	snapshot_lsn pg_lsn,
	snapshot pg_snapshot,
	library_versions jsonb,
	champion_pr_auc double precision,
	trainer_peak_memory bigint,
	trained_by name NOT NULL,
	started_at timestamptz NOT NULL,
	finished_at timestamptz NOT NULL,
	seconds double precision NOT NULL,
	artifact bytea NOT NULL,
	compiled bytea NOT NULL,
	CONSTRAINT model_versions_pkey PRIMARY KEY (model, version),
	CONSTRAINT model_versions_origin_check CHECK (origin IN ('train', 'import')),
	CONSTRAINT model_versions_size_check CHECK
		(octet_length(artifact)::bigint + octet_length(compiled) <= 268435456)
);
-- nothing to gain from compressing floats, and detoasting is faster without
ALTER TABLE churn.model_versions
	ALTER COLUMN artifact SET STORAGE EXTERNAL,
	ALTER COLUMN compiled SET STORAGE EXTERNAL;
COMMENT ON TABLE churn.model_versions IS 'one immutable row a trained or imported version';
COMMENT ON COLUMN churn.model_versions.model IS 'name of the model';
COMMENT ON COLUMN churn.model_versions.version IS 'number of the version, from 1';
COMMENT ON COLUMN churn.model_versions.algorithm IS 'learner that made it';
COMMENT ON COLUMN churn.model_versions.origin IS 'train or import';
COMMENT ON COLUMN churn.model_versions.sha256 IS 'SHA-256 of compiled followed by artifact; checked whenever the version is loaded';
COMMENT ON COLUMN churn.model_versions.threshold IS 'score at and above which churn_predict() says churn';
COMMENT ON COLUMN churn.model_versions.source IS 'table, view or query it was trained on, as given';
COMMENT ON COLUMN churn.model_versions.source_relation IS 'schema-qualified name of the source, if a table or view';
COMMENT ON COLUMN churn.model_versions.key IS 'column that identified a customer, or null';
COMMENT ON COLUMN churn.model_versions.label IS 'column that said who churned';
COMMENT ON COLUMN churn.model_versions.positive IS 'value of the label that meant churned, or null where it was recognised';
COMMENT ON COLUMN churn.model_versions.exclude IS 'columns the caller left out';
COMMENT ON COLUMN churn.model_versions.transform IS 'derived features, name to SQL expression';
COMMENT ON COLUMN churn.model_versions.as_of IS 'date or column from which ages of dates were counted';
COMMENT ON COLUMN churn.model_versions.params IS 'parameters of the learner in effect';
COMMENT ON COLUMN churn.model_versions.options IS 'options as given';
COMMENT ON COLUMN churn.model_versions.rows IS 'labelled rows read';
COMMENT ON COLUMN churn.model_versions.positives IS 'of these, churned';
COMMENT ON COLUMN churn.model_versions.train_rows IS 'rows in the training part, after duplicates were dropped';
COMMENT ON COLUMN churn.model_versions.train_positives IS 'of these, churned';
COMMENT ON COLUMN churn.model_versions.validation_rows IS 'rows in the validation part';
COMMENT ON COLUMN churn.model_versions.validation_positives IS 'of these, churned';
COMMENT ON COLUMN churn.model_versions.test_rows IS 'rows in the test part';
COMMENT ON COLUMN churn.model_versions.test_positives IS 'of these, churned';
COMMENT ON COLUMN churn.model_versions.duplicates_dropped IS 'training rows left out because a test row has the same features';
COMMENT ON COLUMN churn.model_versions.rows_without_label IS 'rows left out because their label was null or blank';
COMMENT ON COLUMN churn.model_versions.rounds IS 'boosting rounds (trees) kept';
COMMENT ON COLUMN churn.model_versions.seed IS 'seed of the learner';
COMMENT ON COLUMN churn.model_versions.data_fingerprint IS 'hash of the rows it was trained on, whatever their order';
COMMENT ON COLUMN churn.model_versions.snapshot_lsn IS 'write-ahead log position when the rows were read';
COMMENT ON COLUMN churn.model_versions.snapshot IS 'snapshot under which the rows were read';
COMMENT ON COLUMN churn.model_versions.library_versions IS 'versions of the server, the extension and the learner''s library';
COMMENT ON COLUMN churn.model_versions.champion_pr_auc IS 'PR-AUC of the champion of that time on the same test rows';
COMMENT ON COLUMN churn.model_versions.trainer_peak_memory IS 'peak memory of the trainer, bytes';
COMMENT ON COLUMN churn.model_versions.trained_by IS 'role that trained or imported it';
COMMENT ON COLUMN churn.model_versions.started_at IS 'when training began';
COMMENT ON COLUMN churn.model_versions.finished_at IS 'when training ended';
COMMENT ON COLUMN churn.model_versions.seconds IS 'wall-clock seconds it took';
COMMENT ON COLUMN churn.model_versions.artifact IS 'model file of the learner''s own library';
COMMENT ON COLUMN churn.model_versions.compiled IS 'the form that churn_score() evaluates';

CREATE TABLE churn.features (
	model text NOT NULL,
	version int NOT NULL,
	position int NOT NULL,
	name text NOT NULL,
	kind text NOT NULL,
	type text,
	categories text[],
	transform text,
	baseline jsonb,
	importance double precision,
	CONSTRAINT features_pkey PRIMARY KEY (model, version, position),
	CONSTRAINT features_kind_check CHECK
		(kind IN ('number', 'boolean', 'category', 'age'))
);
COMMENT ON TABLE churn.features IS 'one row a feature of a model version';
COMMENT ON COLUMN churn.features.model IS 'name of the model';
COMMENT ON COLUMN churn.features.version IS 'version of the model';
COMMENT ON COLUMN churn.features.position IS 'place of the feature in the vector, from 1';
COMMENT ON COLUMN churn.features.name IS 'column that holds it';
COMMENT ON COLUMN churn.features.kind IS 'number, boolean, category or age (whole days before as_of)';
COMMENT ON COLUMN churn.features.type IS 'type of the column at training';
COMMENT ON COLUMN churn.features.categories IS 'texts of the categories, by code from 0';
COMMENT ON COLUMN churn.features.transform IS 'SQL expression that computes it, or null for a plain column';
COMMENT ON COLUMN churn.features.baseline IS 'distribution at training, for drift';
COMMENT ON COLUMN churn.features.importance IS 'share of the model''s total gain, 0 to 1';

CREATE TABLE churn.metrics (
	model text NOT NULL,
	version int NOT NULL,
	dataset text NOT NULL,
	metric text NOT NULL,
	value double precision,
	spread double precision,
	n bigint,
	CONSTRAINT metrics_pkey PRIMARY KEY (model, version, dataset, metric)
);
COMMENT ON TABLE churn.metrics IS 'quality of model versions';
COMMENT ON COLUMN churn.metrics.model IS 'name of the model';
COMMENT ON COLUMN churn.metrics.version IS 'version of the model';
COMMENT ON COLUMN churn.metrics.dataset IS 'rows it was measured on: validation or test';
COMMENT ON COLUMN churn.metrics.metric IS 'pr_auc, roc_auc, log_loss, brier, f1, precision or recall';
COMMENT ON COLUMN churn.metrics.value IS 'value of the metric';
COMMENT ON COLUMN churn.metrics.spread IS 'standard deviation over folds, where there are folds';
COMMENT ON COLUMN churn.metrics.n IS 'number of rows measured';

CREATE TABLE churn.deployments (
	deployment_id bigint GENERATED ALWAYS AS IDENTITY,
	model_id int NOT NULL,
	model text NOT NULL,
	version int NOT NULL,
	during tstzrange NOT NULL,
	deployed_by name NOT NULL,
	why text NOT NULL,
	restores bigint,
	CONSTRAINT deployments_pkey PRIMARY KEY (deployment_id),
	CONSTRAINT deployments_one_at_a_time EXCLUDE USING gist
		(int4range(model_id, model_id, '[]') WITH &&, during WITH &&)
);
COMMENT ON TABLE churn.deployments IS 'which version of a model was in force when';
COMMENT ON COLUMN churn.deployments.deployment_id IS 'number of the deployment';
COMMENT ON COLUMN churn.deployments.model_id IS 'number of the model';
COMMENT ON COLUMN churn.deployments.model IS 'name of the model';
COMMENT ON COLUMN churn.deployments.version IS 'version in force';
COMMENT ON COLUMN churn.deployments.during IS 'from when until when; without an end for the champion';
COMMENT ON COLUMN churn.deployments.deployed_by IS 'session role that put it in force';
COMMENT ON COLUMN churn.deployments.why IS 'reason, in words';
COMMENT ON COLUMN churn.deployments.restores IS 'for a rollback, the deployment it went back to';

CREATE TABLE churn.predictions (
	customer_key text NOT NULL,
	model text NOT NULL,
	version int NOT NULL,
	score double precision NOT NULL,
	previous_score double precision,
	band text NOT NULL,
	reasons text[],
	scored_at timestamptz NOT NULL,
	lsn pg_lsn,
	origin text NOT NULL,
	CONSTRAINT predictions_pkey PRIMARY KEY (customer_key, model),
	CONSTRAINT predictions_origin_check CHECK
		(origin IN ('stream', 'batch', 'api'))
) WITH (fillfactor = 85);
COMMENT ON TABLE churn.predictions IS 'the current score of each customer, by model';
COMMENT ON COLUMN churn.predictions.customer_key IS 'key of the customer, as text';
COMMENT ON COLUMN churn.predictions.model IS 'name of the model';
COMMENT ON COLUMN churn.predictions.version IS 'version that gave the score';
COMMENT ON COLUMN churn.predictions.score IS 'probability of churn, 0 to 1';
COMMENT ON COLUMN churn.predictions.previous_score IS 'the score before, or null';
COMMENT ON COLUMN churn.predictions.band IS 'high (at or above the threshold), medium (at or above half of it) or low';
COMMENT ON COLUMN churn.predictions.reasons IS 'what moved the score most, as phrases; null unless asked for';
COMMENT ON COLUMN churn.predictions.scored_at IS 'when this score was first found';
COMMENT ON COLUMN churn.predictions.lsn IS 'write-ahead log position of the change it follows';
COMMENT ON COLUMN churn.predictions.origin IS 'stream, batch or api';

SELECT pg_catalog.pg_extension_config_dump('churn.models', '');
SELECT pg_catalog.pg_extension_config_dump('churn.models_model_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('churn.model_versions', '');
SELECT pg_catalog.pg_extension_config_dump('churn.features', '');
SELECT pg_catalog.pg_extension_config_dump('churn.metrics', '');
SELECT pg_catalog.pg_extension_config_dump('churn.deployments', '');
SELECT pg_catalog.pg_extension_config_dump('churn.deployments_deployment_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('churn.predictions', '');

--
-- 2. Scoring
--

CREATE FUNCTION churn.score_support(internal)
RETURNS internal
AS 'MODULE_PATHNAME', 'churn_score_support'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION churn.score_support(internal) IS
'planner support: passes the columns of a plain table one by one';

CREATE FUNCTION churn.score_columns(relation oid, model text, version int,
									VARIADIC columns "any")
RETURNS double precision
AS 'MODULE_PATHNAME', 'churn_score_columns'
LANGUAGE C STABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION churn.score_columns(oid, text, int, "any") IS
'what the planner makes of churn_score(t.*); not to be called by hand';

CREATE FUNCTION churn.margin_columns(relation oid, model text, version int,
									 VARIADIC columns "any")
RETURNS real
AS 'MODULE_PATHNAME', 'churn_margin_columns'
LANGUAGE C STABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION churn.margin_columns(oid, text, int, "any") IS
'what the planner makes of churn_margin(t.*); not to be called by hand';

CREATE FUNCTION churn_score(customer record, model text DEFAULT NULL,
							version int DEFAULT NULL)
RETURNS double precision
AS 'MODULE_PATHNAME', 'churn_score'
LANGUAGE C STABLE PARALLEL SAFE COST 100
SUPPORT churn.score_support;
COMMENT ON FUNCTION churn_score(record, text, int) IS
'probability of churn of a customer''s row, 0 to 1';

CREATE FUNCTION churn_margin(customer record, model text DEFAULT NULL,
							 version int DEFAULT NULL)
RETURNS real
AS 'MODULE_PATHNAME', 'churn_margin'
LANGUAGE C STABLE PARALLEL SAFE COST 100
SUPPORT churn.score_support;
COMMENT ON FUNCTION churn_margin(record, text, int) IS
'raw margin of a customer''s row, in log-odds';

CREATE FUNCTION churn_predict(customer record, model text DEFAULT NULL,
							  OUT score double precision, OUT churn boolean,
							  OUT band text, OUT model text, OUT version int)
AS 'MODULE_PATHNAME', 'churn_predict'
LANGUAGE C STABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION churn_predict(record, text) IS
'score of a customer''s row with the decision at the model''s threshold, the risk band, and the version that gave it';

CREATE FUNCTION churn_explain(customer record, model text DEFAULT NULL,
							  version int DEFAULT NULL)
RETURNS TABLE (feature text, value text, contribution double precision)
AS 'MODULE_PATHNAME', 'churn_explain'
LANGUAGE C STABLE PARALLEL SAFE COST 10000 ROWS 20;
COMMENT ON FUNCTION churn_explain(record, text, int) IS
'what each feature of a customer''s row contributes to the margin, in log-odds, largest first, and the bias; they sum to the margin';

CREATE FUNCTION churn_reasons(customer record, model text DEFAULT NULL,
							  version int DEFAULT NULL, top int DEFAULT 3)
RETURNS text[]
AS 'MODULE_PATHNAME', 'churn_reasons'
LANGUAGE C STABLE PARALLEL SAFE COST 10000;
COMMENT ON FUNCTION churn_reasons(record, text, int, int) IS
'what moves the score of a customer''s row most, as phrases; all of it if top is null';

CREATE FUNCTION churn_rescore(model text, reasons int DEFAULT 0)
RETURNS bigint
AS 'MODULE_PATHNAME', 'churn_rescore'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION churn_rescore(text, int) IS
'scores every row of the model''s source into churn.predictions, with so many reasons a score; returns the rows written';

--
-- 3. Training
--

CREATE FUNCTION churn_train(source text, label text, key text DEFAULT NULL,
							model text DEFAULT NULL,
							algorithm text DEFAULT 'auto',
							positive text DEFAULT NULL,
							exclude text[] DEFAULT NULL,
							transform jsonb DEFAULT NULL,
							params jsonb DEFAULT NULL,
							options jsonb DEFAULT NULL,
							OUT model text, OUT version int,
							OUT algorithm text, OUT promoted boolean,
							OUT pr_auc double precision,
							OUT roc_auc double precision,
							OUT f1 double precision,
							OUT "precision" double precision,
							OUT recall double precision,
							OUT threshold double precision,
							OUT rows bigint, OUT seconds double precision)
AS 'MODULE_PATHNAME', 'churn_train'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000000;
COMMENT ON FUNCTION churn_train(text, text, text, text, text, text, text[], jsonb, jsonb, jsonb) IS
'trains a new version of a model on a table, view or query; the metrics are those of the test part';

CREATE FUNCTION churn.progress(OUT pid int, OUT datid oid, OUT datname name,
							   OUT relid oid, OUT phase text,
							   OUT rows_read bigint, OUT rows_total bigint,
							   OUT round int, OUT rounds_total int,
							   OUT metric double precision,
							   OUT started_at timestamptz,
							   OUT elapsed interval, OUT estimated interval)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'churn_progress'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION churn.progress() IS 'what churn.training_progress shows';

CREATE VIEW churn.training_progress AS
	SELECT * FROM churn.progress();
COMMENT ON VIEW churn.training_progress IS 'one row a running churn_train() of this server';
COMMENT ON COLUMN churn.training_progress.pid IS 'process that runs churn_train()';
COMMENT ON COLUMN churn.training_progress.datid IS 'database it is connected to';
COMMENT ON COLUMN churn.training_progress.datname IS 'name of that database';
COMMENT ON COLUMN churn.training_progress.relid IS 'table or view it trains on; 0 for a query';
COMMENT ON COLUMN churn.training_progress.phase IS 'starting, reading, preparing, training, evaluating or saving';
COMMENT ON COLUMN churn.training_progress.rows_read IS 'rows read from the source';
COMMENT ON COLUMN churn.training_progress.rows_total IS 'rows expected, by the planner''s estimate';
COMMENT ON COLUMN churn.training_progress.round IS 'boosting rounds finished';
COMMENT ON COLUMN churn.training_progress.rounds_total IS 'boosting rounds at most';
COMMENT ON COLUMN churn.training_progress.metric IS 'log loss of the validation part after that round';
COMMENT ON COLUMN churn.training_progress.started_at IS 'when churn_train() began';
COMMENT ON COLUMN churn.training_progress.elapsed IS 'time since then';
COMMENT ON COLUMN churn.training_progress.estimated IS 'time still to go if the pace of the phase lasts and no early stop comes; null where unknown';

--
-- 4. Registry
--

-- Puts a version in force.  Runs as the extension's owner.
CREATE FUNCTION churn.deploy(model_name text, new_version int, reason text,
							 restored bigint DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	m churn.models;
	previous churn.deployments;
	since timestamptz := clock_timestamp();
BEGIN
	SELECT * INTO m FROM churn.models WHERE name = model_name FOR UPDATE;
	SELECT * INTO previous FROM churn.deployments d
		WHERE d.model_id = m.model_id AND upper_inf(d.during);
	IF FOUND THEN
		since := greatest(since, lower(previous.during) + interval '1 microsecond');
		UPDATE churn.deployments d SET during = tstzrange(lower(d.during), since)
			WHERE d.deployment_id = previous.deployment_id;
	END IF;
	INSERT INTO churn.deployments
		(model_id, model, version, during, deployed_by, why, restores)
		VALUES (m.model_id, m.name, new_version, tstzrange(since, NULL),
				session_user, reason, restored);
	UPDATE churn.models SET champion = new_version WHERE model_id = m.model_id;
END
$$;
COMMENT ON FUNCTION churn.deploy(text, int, text, bigint) IS
'internal: makes a version the champion and closes the deployment before';

-- Locks a model's row and returns it, or complains.
CREATE FUNCTION churn.lock_model(model_name text)
RETURNS churn.models
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	m churn.models;
BEGIN
	SELECT * INTO m FROM churn.models WHERE name = model_name FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING
			ERRCODE = 'undefined_object',
			MESSAGE = format('model "%s" does not exist', model_name),
			HINT = 'The table churn.models lists the models.';
	END IF;
	RETURN m;
END
$$;
COMMENT ON FUNCTION churn.lock_model(text) IS
'internal: locks the row of a model until the transaction ends';

CREATE FUNCTION churn.require_version(model_name text, wanted int)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	known text;
BEGIN
	IF NOT EXISTS (SELECT FROM churn.model_versions v
				   WHERE v.model = model_name AND v.version = wanted) THEN
		SELECT string_agg(v.version::text, ', ' ORDER BY v.version) INTO known
			FROM churn.model_versions v WHERE v.model = model_name;
		RAISE EXCEPTION USING
			ERRCODE = 'undefined_object',
			MESSAGE = format('model "%s" has no version %s', model_name, wanted),
			DETAIL = CASE WHEN known IS NULL THEN 'It has no version at all.'
				ELSE format('It has: %s.', known) END;
	END IF;
END
$$;
COMMENT ON FUNCTION churn.require_version(text, int) IS
'internal: complains unless the model has the version';

CREATE FUNCTION churn_promote(model text, version int)
RETURNS void
LANGUAGE plpgsql STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	m churn.models := churn.lock_model(churn_promote.model);
BEGIN
	PERFORM churn.require_version(m.name, churn_promote.version);
	IF m.champion = churn_promote.version THEN
		RAISE NOTICE 'version % of model "%" is the champion already',
			m.champion, m.name;
	ELSE
		PERFORM churn.deploy(m.name, churn_promote.version, 'churn_promote()');
	END IF;
END
$$;
COMMENT ON FUNCTION churn_promote(text, int) IS
'makes a version the champion of its model, from the next statement after commit on';

CREATE FUNCTION churn_rollback(model text)
RETURNS int
LANGUAGE plpgsql STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	m churn.models := churn.lock_model(churn_rollback.model);
	target churn.deployments;
	place bigint;
BEGIN
	-- a deployment that is a rollback stands for the one it restored, so each
	-- step back starts from there
	SELECT coalesce(d.restores, d.deployment_id) INTO place
		FROM churn.deployments d
		WHERE d.model_id = m.model_id AND upper_inf(d.during);
	LOOP
		SELECT * INTO target FROM churn.deployments d
			WHERE d.model_id = m.model_id AND d.deployment_id < place
			ORDER BY d.deployment_id DESC LIMIT 1;
		EXIT WHEN NOT FOUND;
		place := coalesce(target.restores, target.deployment_id);
		EXIT WHEN target.version <> m.champion
			AND EXISTS (SELECT FROM churn.model_versions v
						WHERE v.model = m.name AND v.version = target.version);
	END LOOP;
	IF target.deployment_id IS NULL THEN
		RAISE EXCEPTION USING
			ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('model "%s" has no earlier champion to go back to', m.name),
			HINT = 'The table churn.deployments lists what was in force; churn_promote() puts any version in force.';
	END IF;
	PERFORM churn.deploy(m.name, target.version,
		format('churn_rollback() from version %s', m.champion), place);
	RETURN target.version;
END
$$;
COMMENT ON FUNCTION churn_rollback(text) IS
'puts the champion before the present one back in force and returns its version; called again, it goes one further back';

CREATE FUNCTION churn_drop_model(model text, version int DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	m churn.models := churn.lock_model(churn_drop_model.model);
BEGIN
	IF churn_drop_model.version IS NULL THEN
		DELETE FROM churn.models x WHERE x.model_id = m.model_id;
		DELETE FROM churn.model_versions v WHERE v.model = m.name;
		DELETE FROM churn.features f WHERE f.model = m.name;
		DELETE FROM churn.metrics x WHERE x.model = m.name;
		DELETE FROM churn.deployments d WHERE d.model_id = m.model_id;
		DELETE FROM churn.predictions p WHERE p.model = m.name;
		RETURN;
	END IF;
	PERFORM churn.require_version(m.name, churn_drop_model.version);
	IF m.champion = churn_drop_model.version THEN
		RAISE EXCEPTION USING
			ERRCODE = 'object_in_use',
			MESSAGE = format('version %s of model "%s" is in force', m.champion, m.name),
			HINT = 'Promote another version first, or drop the whole model.';
	END IF;
	DELETE FROM churn.model_versions v
		WHERE v.model = m.name AND v.version = churn_drop_model.version;
	DELETE FROM churn.features f
		WHERE f.model = m.name AND f.version = churn_drop_model.version;
	DELETE FROM churn.metrics x
		WHERE x.model = m.name AND x.version = churn_drop_model.version;
END
$$;
COMMENT ON FUNCTION churn_drop_model(text, int) IS
'drops a version that is not in force, or the model with all its versions and predictions';

-- Writes a version with all that belongs to it, and decides on promotion.
-- Called by churn_train() and churn_import() as the extension's owner; info
-- is made by train.c and import.c.
CREATE FUNCTION churn.register_version(info jsonb, artifact bytea,
									   compiled bytea, sha256 bytea,
									   OUT version int, OUT promoted boolean,
									   OUT reason text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	m churn.models;
	result jsonb := info -> 'result';
	new_pr_auc double precision;
	old_pr_auc double precision := (result ->> 'champion_pr_auc')::double precision;
BEGIN
	INSERT INTO churn.models (name, owner, split_seed)
		VALUES (info ->> 'model', (info ->> 'owner')::name,
				(info ->> 'split_seed')::bigint)
		ON CONFLICT (name) DO NOTHING;
	m := churn.lock_model(info ->> 'model');
	-- somebody else may have made a model of that name meanwhile
	IF NOT pg_has_role((info ->> 'trained_by')::name, m.owner, 'USAGE') THEN
		RAISE EXCEPTION USING
			ERRCODE = 'insufficient_privilege',
			MESSAGE = format('must be owner of model "%s"', m.name),
			DETAIL = format('It belongs to role "%s".', m.owner);
	END IF;
	UPDATE churn.models SET
		last_version = last_version + 1,
		source = coalesce(info ->> 'source', source),
		source_relation = CASE WHEN info ->> 'source' IS NULL
			THEN source_relation ELSE info ->> 'source_relation' END,
		source_query = coalesce(info ->> 'source_query', source_query),
		key = CASE WHEN info ->> 'source' IS NULL
			THEN key ELSE info ->> 'key' END,
		label = coalesce(info ->> 'label', label),
		positive = CASE WHEN info ->> 'source' IS NULL
			THEN positive ELSE info ->> 'positive' END
		WHERE model_id = m.model_id
		RETURNING last_version INTO register_version.version;

	INSERT INTO churn.model_versions
		SELECT r.*, register_version.artifact, register_version.compiled
		FROM (SELECT m.name, register_version.version, v.algorithm, v.origin,
				register_version.sha256, v.threshold, v.source,
				v.source_relation, v.key, v.label, v.positive, v.exclude,
				v.transform, v.as_of, v.params, v.options, v.rows, v.positives,
				v.train_rows, v.train_positives, v.validation_rows,
				v.validation_positives, v.test_rows, v.test_positives,
				v.duplicates_dropped, v.rows_without_label, v.rounds, v.seed,
				v.data_fingerprint, v.snapshot_lsn, v.snapshot,
				coalesce(v.library_versions, '{}') || jsonb_build_object(
					'churn', v.extension_version,
					'postgresql', current_setting('server_version')),
				v.champion_pr_auc, v.peak_memory_bytes,
				v.trained_by, v.started_at, clock_timestamp(),
				extract(epoch FROM clock_timestamp() - v.started_at)
			FROM jsonb_to_record(result || (info - 'result')) AS v (
				algorithm text, origin text, threshold double precision,
				source text, source_relation text, key text, label text,
				positive text, exclude text[], transform jsonb, as_of text,
				params jsonb, options jsonb, rows bigint, positives bigint,
				train_rows bigint, train_positives bigint,
				validation_rows bigint, validation_positives bigint,
				test_rows bigint, test_positives bigint,
				duplicates_dropped bigint, rows_without_label bigint,
				rounds int, seed bigint, data_fingerprint text,
				snapshot_lsn pg_lsn, snapshot pg_snapshot,
				library_versions jsonb, champion_pr_auc double precision,
				peak_memory_bytes bigint, trained_by name,
				extension_version text,
				started_at timestamptz)) AS r;

	INSERT INTO churn.features
		(model, version, position, name, kind, type, categories, importance)
		SELECT m.name, register_version.version, f.position, f.item ->> 'name',
			f.item ->> 'kind', f.item ->> 'type',
			CASE WHEN f.item ->> 'kind' = 'category' THEN
				ARRAY(SELECT c.text FROM jsonb_array_elements_text(f.item -> 'categories')
					  WITH ORDINALITY AS c (text, code) ORDER BY c.code) END,
			(f.item ->> 'importance')::double precision
		FROM jsonb_array_elements(result -> 'features')
			WITH ORDINALITY AS f (item, position);

	INSERT INTO churn.metrics (model, version, dataset, metric, value, spread, n)
		SELECT m.name, register_version.version, x.dataset, x.metric, x.value,
			x.spread, x.n
		FROM jsonb_to_recordset(result -> 'metrics') AS x
			(dataset text, metric text, value double precision,
			 spread double precision, n bigint);

	SELECT value INTO new_pr_auc FROM churn.metrics x
		WHERE x.model = m.name AND x.version = register_version.version
			AND x.dataset = 'test' AND x.metric = 'pr_auc';
	promoted := true;
	IF info ->> 'promote' = 'always' THEN
		reason := 'options ask for it always';
	ELSIF info ->> 'promote' = 'never' THEN
		promoted := false;
		reason := 'options say never';
	ELSIF m.champion IS NULL THEN
		reason := 'the model had no champion';
	ELSIF old_pr_auc IS NULL OR new_pr_auc IS NULL THEN
		promoted := false;
		reason := format('it cannot be compared with champion version %s', m.champion);
	ELSIF (result ->> 'champion_version')::int IS DISTINCT FROM m.champion THEN
		promoted := false;
		reason := format('version %s became champion meanwhile', m.champion);
	ELSE
		promoted := new_pr_auc > old_pr_auc;
		reason := format('PR-AUC %s against %s of champion version %s on the same test rows',
			round(new_pr_auc::numeric, 4), round(old_pr_auc::numeric, 4), m.champion);
	END IF;
	IF promoted THEN
		PERFORM churn.deploy(m.name, register_version.version,
							 (info ->> 'origin') || ': ' || reason);
	END IF;
END
$$;
COMMENT ON FUNCTION churn.register_version(jsonb, bytea, bytea, bytea) IS
'internal: writes a model version and promotes it where that is due';

CREATE FUNCTION churn_export(model text, version int DEFAULT NULL,
							 format text DEFAULT 'ubj')
RETURNS bytea
AS 'MODULE_PATHNAME', 'churn_export'
LANGUAGE C STABLE PARALLEL SAFE COST 10000;
COMMENT ON FUNCTION churn_export(text, int, text) IS
'model file: XGBoost''s own, as Booster.load_model() reads it, for versions of one XGBoost ensemble, else a document of churn''s own; format is ubj or json, version the champion by default';

CREATE FUNCTION churn_import(model text, artifact bytea,
							 features jsonb DEFAULT NULL,
							 source text DEFAULT NULL, key text DEFAULT NULL,
							 label text DEFAULT NULL,
							 positive text DEFAULT NULL,
							 threshold double precision DEFAULT NULL,
							 options jsonb DEFAULT NULL,
							 OUT model text, OUT version int,
							 OUT algorithm text, OUT promoted boolean,
							 OUT features int, OUT trees int)
AS 'MODULE_PATHNAME', 'churn_import'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION churn_import(text, bytea, jsonb, text, text, text, text, double precision, jsonb) IS
'registers a model file of XGBoost, or what churn_export() wrote (JSON or UBJ), as a new version';

--
-- 5. Sample data
--

CREATE FUNCTION churn_sample_customers(
	n bigint DEFAULT 10000,
	seed bigint DEFAULT 42)
RETURNS TABLE (
	customer_id text,
	gender text,
	senior_citizen integer,
	partner text,
	dependents text,
	tenure integer,
	phone_service text,
	multiple_lines text,
	internet_service text,
	online_security text,
	online_backup text,
	device_protection text,
	tech_support text,
	streaming_tv text,
	streaming_movies text,
	contract text,
	paperless_billing text,
	payment_method text,
	monthly_charges double precision,
	total_charges double precision,
	churn text)
AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 3 ROWS 10000;

COMMENT ON FUNCTION churn_sample_customers(bigint, bigint) IS
'Returns n generated telecom customers whose columns, and who of them churns, are distributed like real ones; the same n and seed give the same rows';

--
-- 6. Privileges
--
-- Scoring is open to all, since it tells nothing of rows that the caller
-- does not hold; all that trains, alters or shows models is not.

REVOKE ALL ON FUNCTION churn_rescore(text, int) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_train(text, text, text, text, text, text, text[], jsonb, jsonb, jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_promote(text, int) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_rollback(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_drop_model(text, int) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_export(text, int, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_import(text, bytea, jsonb, text, text, text, text, double precision, jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.deploy(text, int, text, bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.lock_model(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.require_version(text, int) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.register_version(jsonb, bytea, bytea, bytea) FROM PUBLIC;
