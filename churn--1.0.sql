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
	challenger int,
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
COMMENT ON COLUMN churn.models.challenger IS 'version that scores in the shadow of the champion, or null';
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
	calibration text,
	truncated boolean,
	expectations jsonb,
	trainer_peak_memory bigint,
	trained_by name NOT NULL,
	started_at timestamptz NOT NULL,
	finished_at timestamptz NOT NULL,
	seconds double precision NOT NULL,
	score_baseline jsonb,
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
COMMENT ON COLUMN churn.model_versions.calibration IS 'how margins become probabilities, and why so';
COMMENT ON COLUMN churn.model_versions.truncated IS 'whether time_budget cut the search short, so that another run may differ';
COMMENT ON COLUMN churn.model_versions.expectations IS 'what the source was like beside its features, for churn_validate(): columns with their types, values of a label whose positive value was named, newest_as_of, and duplicate_keys, rows that repeated a key; null for an imported version';
COMMENT ON COLUMN churn.model_versions.trainer_peak_memory IS 'peak memory of the trainer, bytes';
COMMENT ON COLUMN churn.model_versions.trained_by IS 'role that trained or imported it';
COMMENT ON COLUMN churn.model_versions.started_at IS 'when training began';
COMMENT ON COLUMN churn.model_versions.finished_at IS 'when training ended';
COMMENT ON COLUMN churn.model_versions.seconds IS 'wall-clock seconds it took';
COMMENT ON COLUMN churn.model_versions.score_baseline IS 'distribution of the scores of rows it was not trained on, for drift, or null';
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
	mean_abs_shap double precision,
	CONSTRAINT features_pkey PRIMARY KEY (model, version, position),
	CONSTRAINT features_kind_check CHECK
		(kind IN ('number', 'boolean', 'category', 'age'))
);
COMMENT ON TABLE churn.features IS 'one row a feature of a model version';
COMMENT ON COLUMN churn.features.model IS 'name of the model';
COMMENT ON COLUMN churn.features.version IS 'version of the model';
COMMENT ON COLUMN churn.features.position IS 'place of the feature in the vector, from 1';
COMMENT ON COLUMN churn.features.name IS 'column that holds it, or name of the transform that computes it';
COMMENT ON COLUMN churn.features.kind IS 'number, boolean, category or age (whole days before as_of)';
COMMENT ON COLUMN churn.features.type IS 'type of the column or expression at training';
COMMENT ON COLUMN churn.features.categories IS 'texts of the categories, by code from 0';
COMMENT ON COLUMN churn.features.transform IS 'SQL expression that computes it, or null for a plain column';
COMMENT ON COLUMN churn.features.baseline IS 'distribution over all labelled rows at training, for drift, or null';
COMMENT ON COLUMN churn.features.importance IS 'share of what the learner gained by it, 0 to 1: gain of splits, or size of coefficients';
COMMENT ON COLUMN churn.features.mean_abs_shap IS 'mean absolute contribution to the margin, in log-odds';

CREATE TABLE churn.metrics (
	model text NOT NULL,
	version int NOT NULL,
	dataset text NOT NULL,
	metric text NOT NULL,
	candidate text NOT NULL DEFAULT '',
	value double precision,
	spread double precision,
	n bigint,
	folds double precision[],
	CONSTRAINT metrics_pkey PRIMARY KEY
		(model, version, dataset, metric, candidate)
);
COMMENT ON TABLE churn.metrics IS 'quality of model versions';
COMMENT ON COLUMN churn.metrics.model IS 'name of the model';
COMMENT ON COLUMN churn.metrics.version IS 'version of the model';
COMMENT ON COLUMN churn.metrics.dataset IS 'rows it was measured on: cv (held out in cross-validation), validation or test';
COMMENT ON COLUMN churn.metrics.metric IS 'pr_auc, roc_auc, log_loss, brier, ece, f1, precision, recall or accuracy; log_loss of cv is before calibration';
COMMENT ON COLUMN churn.metrics.candidate IS 'candidate it is of, as in churn.candidates; empty for the version itself';
COMMENT ON COLUMN churn.metrics.value IS 'value of the metric';
COMMENT ON COLUMN churn.metrics.spread IS 'standard deviation over folds, where there are folds';
COMMENT ON COLUMN churn.metrics.n IS 'number of rows measured';
COMMENT ON COLUMN churn.metrics.folds IS 'values by fold, the folds of each repetition in turn';

CREATE TABLE churn.candidates (
	model text NOT NULL,
	version int NOT NULL,
	candidate text NOT NULL,
	rank int NOT NULL,
	algorithm text NOT NULL,
	chosen boolean NOT NULL,
	reason text NOT NULL,
	params jsonb,
	members text[],
	rounds int,
	seconds double precision,
	CONSTRAINT candidates_pkey PRIMARY KEY (model, version, candidate)
);
COMMENT ON TABLE churn.candidates IS 'what a version was chosen from';
COMMENT ON COLUMN churn.candidates.model IS 'name of the model';
COMMENT ON COLUMN churn.candidates.version IS 'version of the model';
COMMENT ON COLUMN churn.candidates.candidate IS 'name of the candidate, unique in the version';
COMMENT ON COLUMN churn.candidates.rank IS 'place by mean PR-AUC, from 1; those dropped early come last';
COMMENT ON COLUMN churn.candidates.algorithm IS 'its learner, or blend';
COMMENT ON COLUMN churn.candidates.chosen IS 'whether the version was made of it';
COMMENT ON COLUMN churn.candidates.reason IS 'why it won or lost, in words';
COMMENT ON COLUMN churn.candidates.params IS 'parameters of the learner; null for a blend';
COMMENT ON COLUMN churn.candidates.members IS 'candidates that a blend is made of';
COMMENT ON COLUMN churn.candidates.rounds IS 'rounds that its folds called for, where the learner has rounds';
COMMENT ON COLUMN churn.candidates.seconds IS 'time spent on it';

CREATE VIEW churn.leaderboard AS
	SELECT c.model, c.version, c.rank, c.candidate, c.algorithm,
		p.value AS pr_auc, p.spread AS pr_auc_spread,
		w.value - p.value AS pr_auc_behind,
		r.value AS roc_auc, l.value AS log_loss,
		coalesce(array_length(p.folds, 1), 0) AS folds,
		t.value AS test_pr_auc, c.chosen, c.reason, c.params, c.members,
		c.rounds, c.seconds
	FROM churn.candidates c
	LEFT JOIN churn.metrics p ON p.model = c.model AND p.version = c.version
		AND p.candidate = c.candidate AND p.dataset <> 'test' AND p.metric = 'pr_auc'
	LEFT JOIN churn.metrics r ON r.model = c.model AND r.version = c.version
		AND r.candidate = c.candidate AND r.dataset <> 'test' AND r.metric = 'roc_auc'
	LEFT JOIN churn.metrics l ON l.model = c.model AND l.version = c.version
		AND l.candidate = c.candidate AND l.dataset <> 'test' AND l.metric = 'log_loss'
	LEFT JOIN churn.candidates b ON b.model = c.model AND b.version = c.version
		AND b.chosen
	LEFT JOIN churn.metrics w ON w.model = c.model AND w.version = c.version
		AND w.candidate = b.candidate AND w.dataset <> 'test' AND w.metric = 'pr_auc'
	LEFT JOIN churn.metrics t ON t.model = c.model AND t.version = c.version
		AND t.candidate = CASE WHEN c.chosen THEN '' ELSE c.candidate END
		AND t.dataset = 'test' AND t.metric = 'pr_auc'
	ORDER BY c.model, c.version, c.rank;
COMMENT ON VIEW churn.leaderboard IS 'the candidates of each version, the best first, and why they won or lost';
COMMENT ON COLUMN churn.leaderboard.model IS 'name of the model';
COMMENT ON COLUMN churn.leaderboard.version IS 'version of the model';
COMMENT ON COLUMN churn.leaderboard.rank IS 'place by mean PR-AUC, from 1; those dropped early come last';
COMMENT ON COLUMN churn.leaderboard.candidate IS 'name of the candidate';
COMMENT ON COLUMN churn.leaderboard.algorithm IS 'its learner, or blend';
COMMENT ON COLUMN churn.leaderboard.pr_auc IS 'mean PR-AUC over the folds';
COMMENT ON COLUMN churn.leaderboard.pr_auc_spread IS 'standard deviation of PR-AUC over the folds';
COMMENT ON COLUMN churn.leaderboard.pr_auc_behind IS 'mean PR-AUC of the chosen one less that of this one';
COMMENT ON COLUMN churn.leaderboard.roc_auc IS 'mean ROC-AUC over the folds';
COMMENT ON COLUMN churn.leaderboard.log_loss IS 'mean log loss over the folds, before calibration';
COMMENT ON COLUMN churn.leaderboard.folds IS 'number of folds it was measured on';
COMMENT ON COLUMN churn.leaderboard.test_pr_auc IS 'PR-AUC on the test part, of the chosen one and the baseline alone';
COMMENT ON COLUMN churn.leaderboard.chosen IS 'whether the version was made of it';
COMMENT ON COLUMN churn.leaderboard.reason IS 'why it won or lost, in words';
COMMENT ON COLUMN churn.leaderboard.params IS 'parameters of the learner; null for a blend';
COMMENT ON COLUMN churn.leaderboard.members IS 'candidates that a blend is made of';
COMMENT ON COLUMN churn.leaderboard.rounds IS 'rounds that its folds called for, where the learner has rounds';
COMMENT ON COLUMN churn.leaderboard.seconds IS 'time spent on it';

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

-- What became of customers, and how good the scores were.

CREATE TABLE churn.outcomes (
	model text NOT NULL,
	customer_key text NOT NULL,
	observed_at timestamptz NOT NULL,
	churned boolean,
	status text NOT NULL,
	score double precision,
	version int,
	scored_at timestamptz,
	challenger_score double precision,
	challenger_version int,
	recorded_at timestamptz NOT NULL,
	CONSTRAINT outcomes_pkey PRIMARY KEY (model, customer_key, observed_at),
	CONSTRAINT outcomes_status_check CHECK
		(status = CASE WHEN churned IS NULL THEN 'pending' ELSE 'confirmed' END)
);
CREATE INDEX outcomes_observed_idx ON churn.outcomes (model, observed_at);
COMMENT ON TABLE churn.outcomes IS 'what became of customers: one row an observation, with the score that was in force before it';
COMMENT ON COLUMN churn.outcomes.model IS 'name of the model';
COMMENT ON COLUMN churn.outcomes.customer_key IS 'key of the customer, as text';
COMMENT ON COLUMN churn.outcomes.observed_at IS 'when it was seen, or will be, that the customer has churned or stayed';
COMMENT ON COLUMN churn.outcomes.churned IS 'whether the customer churned; null while that is pending';
COMMENT ON COLUMN churn.outcomes.status IS 'confirmed or pending';
COMMENT ON COLUMN churn.outcomes.score IS 'score in force before observed_at, when the row was first recorded; null if there was none';
COMMENT ON COLUMN churn.outcomes.version IS 'version that gave the score';
COMMENT ON COLUMN churn.outcomes.scored_at IS 'when it gave it';
COMMENT ON COLUMN churn.outcomes.challenger_score IS 'the same of the challenger; null if there was none';
COMMENT ON COLUMN churn.outcomes.challenger_version IS 'version that was the challenger';
COMMENT ON COLUMN churn.outcomes.recorded_at IS 'when the row was written last';

CREATE TABLE churn.quality (
	model text NOT NULL,
	version int NOT NULL,
	day date NOT NULL,
	role text NOT NULL,
	basis text NOT NULL,
	metric text NOT NULL,
	value double precision,
	ci_low double precision,
	ci_high double precision,
	n bigint NOT NULL,
	CONSTRAINT quality_pkey PRIMARY KEY (model, version, day, role, basis, metric),
	CONSTRAINT quality_role_check CHECK (role IN ('champion', 'challenger')),
	CONSTRAINT quality_basis_check CHECK (basis IN ('estimated', 'realised'))
);
CREATE INDEX quality_day_idx ON churn.quality (model, day);
COMMENT ON TABLE churn.quality IS 'how good the scores of each day are: estimated from themselves, and measured by outcomes';
COMMENT ON COLUMN churn.quality.model IS 'name of the model';
COMMENT ON COLUMN churn.quality.version IS 'version that gave the scores';
COMMENT ON COLUMN churn.quality.day IS 'UTC day on which customers were scored (estimated) or outcomes observed (realised)';
COMMENT ON COLUMN churn.quality.role IS 'champion for scores that were in force, challenger for those in their shadow';
COMMENT ON COLUMN churn.quality.basis IS 'estimated (from the scores, as if they were calibrated) or realised (from outcomes)';
COMMENT ON COLUMN churn.quality.metric IS 'pr_auc, roc_auc, log_loss, brier, ece, f1, precision, recall, accuracy, lift_10, base_rate, true_positives, false_positives, false_negatives or true_negatives';
COMMENT ON COLUMN churn.quality.value IS 'value of the metric; null where it is not defined';
COMMENT ON COLUMN churn.quality.ci_low IS 'lower end of its 95 % interval';
COMMENT ON COLUMN churn.quality.ci_high IS 'upper end of its 95 % interval';
COMMENT ON COLUMN churn.quality.n IS 'customers that it was measured on';

CREATE TABLE churn.measured_days (
	model text NOT NULL,
	day date NOT NULL,
	pending boolean NOT NULL,
	estimated_at timestamptz,
	CONSTRAINT measured_days_pkey PRIMARY KEY (model, day)
);
COMMENT ON TABLE churn.measured_days IS 'which days churn_measure() has looked at, and which have new outcomes';
COMMENT ON COLUMN churn.measured_days.model IS 'name of the model';
COMMENT ON COLUMN churn.measured_days.day IS 'UTC day';
COMMENT ON COLUMN churn.measured_days.pending IS 'whether outcomes of the day were recorded since it was measured';
COMMENT ON COLUMN churn.measured_days.estimated_at IS 'when the scores of the day were looked at last; null if never';

CREATE TABLE churn.data_issues (
	issue_id bigint GENERATED ALWAYS AS IDENTITY,
	model text NOT NULL,
	version int,
	found_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	source text NOT NULL,
	relation text,
	severity text NOT NULL,
	kind text NOT NULL,
	feature text,
	other_feature text,
	statistic text,
	value double precision,
	rows bigint,
	examples text[],
	message text NOT NULL,
	detail text,
	CONSTRAINT data_issues_pkey PRIMARY KEY (issue_id),
	CONSTRAINT data_issues_source_check CHECK
		(source IN ('train', 'validate')),
	CONSTRAINT data_issues_severity_check CHECK
		(severity IN ('notice', 'warning', 'error'))
);
CREATE INDEX data_issues_model_idx ON churn.data_issues (model, version);
COMMENT ON TABLE churn.data_issues IS 'what was found wrong or suspicious in the rows of a source';
COMMENT ON COLUMN churn.data_issues.issue_id IS 'number of the issue';
COMMENT ON COLUMN churn.data_issues.model IS 'name of the model';
COMMENT ON COLUMN churn.data_issues.version IS 'version that was trained on the rows, or for which they were checked';
COMMENT ON COLUMN churn.data_issues.found_at IS 'when it was found';
COMMENT ON COLUMN churn.data_issues.source IS 'what found it: train, the checks before training, or validate';
COMMENT ON COLUMN churn.data_issues.relation IS 'table, view or query that held the rows, as given';
COMMENT ON COLUMN churn.data_issues.severity IS 'notice, warning or error';
COMMENT ON COLUMN churn.data_issues.kind IS 'what it is. Of training: separates, filled_for_one_class, missing_for_one_class, pair_separates, rare_class, duplicates, conflicting_labels or duplicate_keys. Of validation: missing_column, retyped_column, new_column, broken_transform, missing_label, empty_source, null_keys, duplicate_keys, unseen_category, not_a_number, missing_values, out_of_range, failing_transform, stale_data, unseen_label or late_label';
COMMENT ON COLUMN churn.data_issues.feature IS 'column that it concerns, or null';
COMMENT ON COLUMN churn.data_issues.other_feature IS 'the other column of a pair, or null';
COMMENT ON COLUMN churn.data_issues.statistic IS 'what value is: auc, share (of the rows), groups, keys or days';
COMMENT ON COLUMN churn.data_issues.value IS 'how strong it is';
COMMENT ON COLUMN churn.data_issues.rows IS 'number of rows that it concerns or was measured on';
COMMENT ON COLUMN churn.data_issues.examples IS 'some of the values or keys that it concerns, or null';
COMMENT ON COLUMN churn.data_issues.message IS 'what is wrong, in words';
COMMENT ON COLUMN churn.data_issues.detail IS 'figures, and what can be done, or null';

-- One row a figure of a check.  Concept drift comes from churn_measure().
CREATE SEQUENCE churn.drift_check_id_seq;
COMMENT ON SEQUENCE churn.drift_check_id_seq IS 'numbers of checks in churn.drift';

CREATE TABLE churn.drift (
	check_id bigint NOT NULL DEFAULT nextval('churn.drift_check_id_seq'),
	model text NOT NULL,
	version int NOT NULL,
	checked_at timestamptz NOT NULL,
	checked_window tstzrange NOT NULL,
	source text NOT NULL,
	segment text,
	segment_value text,
	rows bigint NOT NULL,
	feature text NOT NULL,
	statistic text NOT NULL,
	value double precision,
	threshold double precision,
	p_value double precision,
	drifted boolean,
	CONSTRAINT drift_pkey PRIMARY KEY (check_id, feature, statistic)
);
CREATE INDEX drift_model_idx ON churn.drift (model, checked_at);
CREATE INDEX drift_verdict_idx ON churn.drift (model, feature, checked_at)
	WHERE feature IN ('(model)', '(concept)');
COMMENT ON TABLE churn.drift IS 'how far rows were from those that a version was trained on: one row a check, feature and statistic';
COMMENT ON COLUMN churn.drift.check_id IS 'number of the check; one call of churn_drift() makes one, or one a segment';
COMMENT ON COLUMN churn.drift.model IS 'name of the model';
COMMENT ON COLUMN churn.drift.version IS 'version whose training rows they were compared with';
COMMENT ON COLUMN churn.drift.checked_at IS 'when the check began';
COMMENT ON COLUMN churn.drift.checked_window IS 'time that the rows are of: that of the check, or the windows of the stream';
COMMENT ON COLUMN churn.drift.source IS 'table, view or query that was read, or (stream)';
COMMENT ON COLUMN churn.drift.segment IS 'column whose values were checked apart, or null';
COMMENT ON COLUMN churn.drift.segment_value IS 'value of that column, as text';
COMMENT ON COLUMN churn.drift.rows IS 'rows that were checked';
COMMENT ON COLUMN churn.drift.feature IS 'name of the feature, (score), (model) or (concept)';
COMMENT ON COLUMN churn.drift.statistic IS 'what value is; reference.md has the formulas';
COMMENT ON COLUMN churn.drift.value IS 'value of the statistic; null where it is not defined';
COMMENT ON COLUMN churn.drift.threshold IS 'limit of the policy that counts for it, or null';
COMMENT ON COLUMN churn.drift.p_value IS 'probability of so much by chance; adjusted for the number of features where a verdict stands beside it';
COMMENT ON COLUMN churn.drift.drifted IS 'the verdict; null where the statistic has none of its own';

-- Live rescoring.  What says which server watches stays behind when the rows
-- go to another one by dump or copy: there the watches are paused.

CREATE TABLE churn.watches (
	model text NOT NULL,
	relation text NOT NULL,
	key text NOT NULL,
	related boolean NOT NULL,
	deletes boolean NOT NULL,
	reasons int NOT NULL,
	watched_by name NOT NULL,
	home text NOT NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	CONSTRAINT watches_pkey PRIMARY KEY (model, relation)
);
COMMENT ON TABLE churn.watches IS 'tables whose changes are rescored live';
COMMENT ON COLUMN churn.watches.model IS 'name of the model';
COMMENT ON COLUMN churn.watches.relation IS 'schema-qualified name of the table';
COMMENT ON COLUMN churn.watches.key IS 'column of the table that identifies the customer';
COMMENT ON COLUMN churn.watches.related IS 'false for the model''s own source, whose rows are scored as they come; true for a table whose changes have the customer read again';
COMMENT ON COLUMN churn.watches.deletes IS 'whether deletes and changes of the key tell the old key; if not, only a rescan notices them';
COMMENT ON COLUMN churn.watches.reasons IS 'reasons that are written with each score';
COMMENT ON COLUMN churn.watches.watched_by IS 'role that called churn_watch()';
COMMENT ON COLUMN churn.watches.home IS 'system identifier and database where it was called; elsewhere the watch is paused';
COMMENT ON COLUMN churn.watches.created_at IS 'when it was called';

CREATE TABLE churn.rescans (
	model text NOT NULL,
	pending text,
	requests bigint NOT NULL DEFAULT 1,
	version int,
	day date,
	tables oid[],
	error text,
	started_at timestamptz,
	finished_at timestamptz,
	reason text,
	rows bigint,
	written bigint,
	CONSTRAINT rescans_pkey PRIMARY KEY (model)
);
COMMENT ON TABLE churn.rescans IS 'one row a watched model: the last time that all its customers were scored, and why that is due again';
COMMENT ON COLUMN churn.rescans.model IS 'name of the model';
COMMENT ON COLUMN churn.rescans.pending IS 'why a rescan is due, or null';
COMMENT ON COLUMN churn.rescans.requests IS 'how many times one was asked for';
COMMENT ON COLUMN churn.rescans.version IS 'version by which all customers were scored last';
COMMENT ON COLUMN churn.rescans.day IS 'UTC day from which ages of dates were counted then';
COMMENT ON COLUMN churn.rescans.tables IS 'watched tables, partitions and children at that time';
COMMENT ON COLUMN churn.rescans.error IS 'why the model can not be scored at present, or null';
COMMENT ON COLUMN churn.rescans.started_at IS 'when the last finished rescan began';
COMMENT ON COLUMN churn.rescans.finished_at IS 'when it ended';
COMMENT ON COLUMN churn.rescans.reason IS 'why it was made';
COMMENT ON COLUMN churn.rescans.rows IS 'customers it scored';
COMMENT ON COLUMN churn.rescans.written IS 'predictions it wrote or deleted';

CREATE TABLE churn.stream_position (
	slot name NOT NULL,
	home text NOT NULL,
	created_lsn pg_lsn NOT NULL,
	lsn pg_lsn NOT NULL,
	read_lsn pg_lsn NOT NULL DEFAULT '0/0',
	CONSTRAINT stream_position_pkey PRIMARY KEY (slot)
) WITH (fillfactor = 20);
COMMENT ON TABLE churn.stream_position IS 'how far changes are rescored, written along with the predictions';
COMMENT ON COLUMN churn.stream_position.slot IS 'name of the replication slot';
COMMENT ON COLUMN churn.stream_position.home IS 'system identifier and database for which the position holds';
COMMENT ON COLUMN churn.stream_position.created_lsn IS 'where the slot began';
COMMENT ON COLUMN churn.stream_position.lsn IS 'all transactions that committed before are rescored';
COMMENT ON COLUMN churn.stream_position.read_lsn IS 'how far the log went when customers were read last, by a rescan or by key';

-- The key is that of each partition: where the table had it, too, a dump of the
-- partitions, which are not the extension's, could not be restored.
CREATE TABLE churn.prediction_log (
	customer_key text NOT NULL,
	model text NOT NULL,
	version int NOT NULL,
	score double precision NOT NULL,
	previous_score double precision,
	band text NOT NULL,
	features real[],
	scored_at timestamptz NOT NULL,
	lsn pg_lsn,
	origin text NOT NULL
) PARTITION BY RANGE (scored_at);
COMMENT ON TABLE churn.prediction_log IS 'every score that live rescoring wrote, and those of challengers, with what they were made of; partitioned by day';
COMMENT ON COLUMN churn.prediction_log.customer_key IS 'key of the customer, as text';
COMMENT ON COLUMN churn.prediction_log.model IS 'name of the model';
COMMENT ON COLUMN churn.prediction_log.version IS 'version that gave the score';
COMMENT ON COLUMN churn.prediction_log.score IS 'probability of churn, 0 to 1';
COMMENT ON COLUMN churn.prediction_log.previous_score IS 'the score before, or null; null for the challenger';
COMMENT ON COLUMN churn.prediction_log.band IS 'high, medium or low';
COMMENT ON COLUMN churn.prediction_log.features IS 'the row as the model sees it: by position in churn.features; NaN is missing';
COMMENT ON COLUMN churn.prediction_log.scored_at IS 'when the score was found';
COMMENT ON COLUMN churn.prediction_log.lsn IS 'write-ahead log position of the change it follows; null for a rescan';
COMMENT ON COLUMN churn.prediction_log.origin IS 'stream for a change, batch for a rescan, shadow for a score by the challenger';

CREATE TABLE churn.profiles (
	model text NOT NULL,
	version int NOT NULL,
	window_start timestamptz NOT NULL,
	window_end timestamptz NOT NULL,
	rows bigint NOT NULL,
	updated_at timestamptz NOT NULL,
	profile bytea NOT NULL,
	CONSTRAINT profiles_pkey PRIMARY KEY (model, version, window_start)
);
COMMENT ON TABLE churn.profiles IS 'how the features and scores of changed customers were distributed, by hour: what churn_drift() compares with the baseline of training';
COMMENT ON COLUMN churn.profiles.model IS 'name of the model';
COMMENT ON COLUMN churn.profiles.version IS 'version that gave the scores';
COMMENT ON COLUMN churn.profiles.window_start IS 'beginning of the hour in which the changes were scored';
COMMENT ON COLUMN churn.profiles.window_end IS 'end of that hour';
COMMENT ON COLUMN churn.profiles.rows IS 'scores that are counted';
COMMENT ON COLUMN churn.profiles.updated_at IS 'when counts were written last: up to a minute after they were made';
COMMENT ON COLUMN churn.profiles.profile IS 'counts by the cells of the version''s baseline';

CREATE TABLE churn.errors (
	error_id bigint GENERATED ALWAYS AS IDENTITY,
	occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	kind text NOT NULL,
	model text,
	relation text,
	customer_key text,
	lsn pg_lsn,
	sqlstate text,
	message text NOT NULL,
	detail text,
	hint text,
	CONSTRAINT errors_pkey PRIMARY KEY (error_id),
	CONSTRAINT errors_kind_check CHECK
		(kind IN ('row', 'model', 'batch', 'slot', 'watch', 'alert'))
);
COMMENT ON TABLE churn.errors IS 'what went wrong in live rescoring; operations.md says what to do about each kind';
COMMENT ON COLUMN churn.errors.error_id IS 'number of the error';
COMMENT ON COLUMN churn.errors.occurred_at IS 'when it happened';
COMMENT ON COLUMN churn.errors.kind IS 'row (a customer could not be scored), model (no customer can), batch (tried again), slot (made anew), watch (its table is gone or changed) or alert (a rule failed)';
COMMENT ON COLUMN churn.errors.model IS 'name of the model, or null';
COMMENT ON COLUMN churn.errors.relation IS 'table, or null';
COMMENT ON COLUMN churn.errors.customer_key IS 'key of the customer, or null';
COMMENT ON COLUMN churn.errors.lsn IS 'write-ahead log position of the change, or null';
COMMENT ON COLUMN churn.errors.sqlstate IS 'error code';
COMMENT ON COLUMN churn.errors.message IS 'the error''s message';
COMMENT ON COLUMN churn.errors.detail IS 'its detail, or null';
COMMENT ON COLUMN churn.errors.hint IS 'its hint, or null';

CREATE TABLE churn.alert_rules (
	rule_id int GENERATED ALWAYS AS IDENTITY,
	name text NOT NULL,
	model text NOT NULL,
	condition text NOT NULL,
	cooldown interval NOT NULL,
	created_by name NOT NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	CONSTRAINT alert_rules_pkey PRIMARY KEY (rule_id),
	CONSTRAINT alert_rules_name_key UNIQUE (model, name)
);
COMMENT ON TABLE churn.alert_rules IS 'when live rescoring raises an alert';
COMMENT ON COLUMN churn.alert_rules.rule_id IS 'number of the rule';
COMMENT ON COLUMN churn.alert_rules.name IS 'name of the rule, unique in the model';
COMMENT ON COLUMN churn.alert_rules.model IS 'name of the model';
COMMENT ON COLUMN churn.alert_rules.condition IS 'SQL condition over score, previous_score, band, version and the customer''s columns';
COMMENT ON COLUMN churn.alert_rules.cooldown IS 'time in which a customer raises the alert once at most';
COMMENT ON COLUMN churn.alert_rules.created_by IS 'role that added it';
COMMENT ON COLUMN churn.alert_rules.created_at IS 'when it was added';

CREATE TABLE churn.alerts (
	alert_id bigint GENERATED ALWAYS AS IDENTITY,
	kind text NOT NULL DEFAULT 'customer',
	rule_id int,
	rule text,
	model text,
	customer_key text,
	version int,
	score double precision,
	previous_score double precision,
	band text,
	message text,
	raised_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	lsn pg_lsn,
	taken_at timestamptz,
	taken_by name,
	CONSTRAINT alerts_pkey PRIMARY KEY (alert_id),
	CONSTRAINT alerts_kind_check CHECK
		(kind IN ('customer', 'drift', 'quality', 'data', 'maintenance')),
	CONSTRAINT alerts_customer_check CHECK
		(kind <> 'customer' OR (rule_id IS NOT NULL AND rule IS NOT NULL
			AND model IS NOT NULL AND customer_key IS NOT NULL
			AND version IS NOT NULL AND score IS NOT NULL AND band IS NOT NULL)),
	CONSTRAINT alerts_message_check CHECK
		(kind = 'customer' OR message IS NOT NULL)
);
CREATE INDEX alerts_customer_idx ON churn.alerts (customer_key, rule_id, raised_at);
CREATE INDEX alerts_open_idx ON churn.alerts (alert_id) WHERE taken_at IS NULL;
COMMENT ON TABLE churn.alerts IS 'what somebody should look at: customers for whom a rule''s condition came true, and models that churn_maintain() found wanting';
COMMENT ON COLUMN churn.alerts.alert_id IS 'number of the alert';
COMMENT ON COLUMN churn.alerts.kind IS 'customer (a rule''s condition came true), drift (the data are not those of training), quality (the scores fit the outcomes less than they did), data (the source has errors) or maintenance (a version was trained, or something failed)';
COMMENT ON COLUMN churn.alerts.rule_id IS 'number of the rule; null but for customers, as is each column of a customer';
COMMENT ON COLUMN churn.alerts.rule IS 'its name';
COMMENT ON COLUMN churn.alerts.model IS 'name of the model; null if it concerns none';
COMMENT ON COLUMN churn.alerts.customer_key IS 'key of the customer, as text';
COMMENT ON COLUMN churn.alerts.version IS 'version that gave the score, or that the alert is about';
COMMENT ON COLUMN churn.alerts.score IS 'probability of churn, 0 to 1';
COMMENT ON COLUMN churn.alerts.previous_score IS 'the score before, or null';
COMMENT ON COLUMN churn.alerts.band IS 'high, medium or low';
COMMENT ON COLUMN churn.alerts.message IS 'what happened, in words; null for customers';
COMMENT ON COLUMN churn.alerts.raised_at IS 'when it was raised';
COMMENT ON COLUMN churn.alerts.lsn IS 'write-ahead log position of the change; null for a rescan';
COMMENT ON COLUMN churn.alerts.taken_at IS 'when churn_take_alerts() handed it out, or null';
COMMENT ON COLUMN churn.alerts.taken_by IS 'session role that took it';

-- Looking after models.

CREATE TABLE churn.policies (
	model text NOT NULL,
	action text NOT NULL,
	schedule interval NOT NULL,
	drift_alpha double precision NOT NULL,
	drift_psi double precision NOT NULL,
	drift_segment text,
	quality_metric text NOT NULL,
	quality_drop double precision NOT NULL,
	max_age interval,
	min_rows bigint NOT NULL,
	algorithm text NOT NULL,
	retention interval NOT NULL,
	enabled boolean NOT NULL,
	set_by name NOT NULL,
	set_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	CONSTRAINT policies_pkey PRIMARY KEY (model),
	CONSTRAINT policies_action_check CHECK
		(action IN ('alert', 'retrain', 'retrain_and_promote')),
	CONSTRAINT policies_algorithm_check CHECK
		(algorithm IN ('same', 'auto'))
);
COMMENT ON TABLE churn.policies IS 'when churn_maintain() looks after a model, and what it does; one row a model';
COMMENT ON COLUMN churn.policies.model IS 'name of the model';
COMMENT ON COLUMN churn.policies.action IS 'what follows drift, lost quality or age: alert, retrain (a challenger is trained and compared) or retrain_and_promote (and takes over if it is better)';
COMMENT ON COLUMN churn.policies.schedule IS 'time from one look at the model to the next';
COMMENT ON COLUMN churn.policies.drift_alpha IS 'share of false alarms among the features said to drift that is put up with, and level of the tests of quality';
COMMENT ON COLUMN churn.policies.drift_psi IS 'population stability index that a feature''s must exceed, with confidence, to be said to drift';
COMMENT ON COLUMN churn.policies.drift_segment IS 'column each of whose values is checked for drift as well, or null';
COMMENT ON COLUMN churn.policies.quality_metric IS 'metric whose loss is an alarm';
COMMENT ON COLUMN churn.policies.quality_drop IS 'loss of it that is put up with';
COMMENT ON COLUMN churn.policies.max_age IS 'time since the last training after which to train again, or null';
COMMENT ON COLUMN churn.policies.min_rows IS 'rows below which nothing is said to drift or to have lost quality';
COMMENT ON COLUMN churn.policies.algorithm IS 'what a challenger is trained by: same (learner and parameters of the champion) or auto';
COMMENT ON COLUMN churn.policies.retention IS 'time for which checks, quality, issues and history are kept';
COMMENT ON COLUMN churn.policies.enabled IS 'whether churn_maintain() looks at it';
COMMENT ON COLUMN churn.policies.set_by IS 'role that called churn_set_policy()';
COMMENT ON COLUMN churn.policies.set_at IS 'when it was called last';

CREATE TABLE churn.maintenance_log (
	run_id bigint NOT NULL,
	step_id bigint GENERATED ALWAYS AS IDENTITY,
	model text,
	step text NOT NULL,
	state text NOT NULL,
	started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	finished_at timestamptz,
	version int,
	message text,
	detail jsonb,
	CONSTRAINT maintenance_log_pkey PRIMARY KEY (step_id),
	CONSTRAINT maintenance_log_step_check CHECK
		(step IN ('validate', 'drift', 'measure', 'retrain', 'compare',
			'promote', 'alert', 'purge', 'partitions')),
	CONSTRAINT maintenance_log_state_check CHECK
		(state IN ('running', 'done', 'failed', 'skipped'))
);
CREATE INDEX maintenance_log_model_idx ON churn.maintenance_log (model, run_id);
COMMENT ON TABLE churn.maintenance_log IS 'what churn_maintain() did, a row a step; written before the step begins, so that one that was interrupted is seen';
COMMENT ON COLUMN churn.maintenance_log.run_id IS 'number of the run: a model''s steps, from validate to alert, have one number, also where a later call ended them';
COMMENT ON COLUMN churn.maintenance_log.step_id IS 'number of the step';
COMMENT ON COLUMN churn.maintenance_log.model IS 'name of the model; null for purge and partitions';
COMMENT ON COLUMN churn.maintenance_log.step IS 'validate, drift, measure, retrain, compare, promote, alert, purge or partitions';
COMMENT ON COLUMN churn.maintenance_log.state IS 'running, done, skipped or failed; running as well, until the next call, where the process ended before the step did';
COMMENT ON COLUMN churn.maintenance_log.started_at IS 'when it began';
COMMENT ON COLUMN churn.maintenance_log.finished_at IS 'when it ended, or was seen not to have; null while it runs';
COMMENT ON COLUMN churn.maintenance_log.version IS 'version that it looked at, trained or put in force';
COMMENT ON COLUMN churn.maintenance_log.message IS 'what came of it, in words; why it was skipped; the error';
COMMENT ON COLUMN churn.maintenance_log.detail IS 'the same in figures';

SELECT pg_catalog.pg_extension_config_dump('churn.models', '');
SELECT pg_catalog.pg_extension_config_dump('churn.models_model_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('churn.model_versions', '');
SELECT pg_catalog.pg_extension_config_dump('churn.features', '');
SELECT pg_catalog.pg_extension_config_dump('churn.metrics', '');
SELECT pg_catalog.pg_extension_config_dump('churn.candidates', '');
SELECT pg_catalog.pg_extension_config_dump('churn.deployments', '');
SELECT pg_catalog.pg_extension_config_dump('churn.deployments_deployment_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('churn.predictions', '');
SELECT pg_catalog.pg_extension_config_dump('churn.outcomes', '');
SELECT pg_catalog.pg_extension_config_dump('churn.quality', '');
SELECT pg_catalog.pg_extension_config_dump('churn.measured_days', '');
SELECT pg_catalog.pg_extension_config_dump('churn.data_issues', '');
SELECT pg_catalog.pg_extension_config_dump('churn.data_issues_issue_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('churn.drift', '');
SELECT pg_catalog.pg_extension_config_dump('churn.drift_check_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('churn.watches', '');
SELECT pg_catalog.pg_extension_config_dump('churn.profiles', '');
SELECT pg_catalog.pg_extension_config_dump('churn.errors', '');
SELECT pg_catalog.pg_extension_config_dump('churn.errors_error_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('churn.alert_rules', '');
SELECT pg_catalog.pg_extension_config_dump('churn.alert_rules_rule_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('churn.alerts', '');
SELECT pg_catalog.pg_extension_config_dump('churn.alerts_alert_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('churn.policies', '');
SELECT pg_catalog.pg_extension_config_dump('churn.maintenance_log', '');
SELECT pg_catalog.pg_extension_config_dump('churn.maintenance_log_step_id_seq', '');

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
COMMENT ON COLUMN churn.training_progress.phase IS 'starting, reading, preparing, comparing (candidates), training, evaluating or saving';
COMMENT ON COLUMN churn.training_progress.rows_read IS 'rows read from the source';
COMMENT ON COLUMN churn.training_progress.rows_total IS 'rows expected, by the planner''s estimate';
COMMENT ON COLUMN churn.training_progress.round IS 'rounds of training finished; while comparing, fits';
COMMENT ON COLUMN churn.training_progress.rounds_total IS 'rounds at most; while comparing, fits planned';
COMMENT ON COLUMN churn.training_progress.metric IS 'log loss of the validation part after that round; null with early_stopping_rounds 0, where it is predicted at the end only';
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
	UPDATE churn.models SET champion = new_version,
		challenger = nullif(challenger, new_version)
		WHERE model_id = m.model_id;
END
$$;
COMMENT ON FUNCTION churn.deploy(text, int, text, bigint) IS
'internal: makes a version the champion, no longer the challenger, and closes the deployment before';

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

-- Complains unless rows of the model's source can be scored by the version.
CREATE FUNCTION churn.require_fit(model_name text, wanted int)
RETURNS void
AS 'MODULE_PATHNAME', 'churn_require_fit'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION churn.require_fit(text, int) IS
'internal: complains unless the version can score rows of the model''s source';

CREATE FUNCTION churn_set_challenger(model text, version int)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	m churn.models := churn.lock_model(churn_set_challenger.model);
	wanted int := churn_set_challenger.version;
BEGIN
	IF m.challenger IS NOT DISTINCT FROM wanted THEN
		IF wanted IS NULL THEN
			RAISE NOTICE 'model "%" has no challenger', m.name;
		ELSE
			RAISE NOTICE 'version % of model "%" is the challenger already',
				wanted, m.name;
		END IF;
		RETURN;
	END IF;
	IF wanted IS NOT NULL THEN
		PERFORM churn.require_version(m.name, wanted);
		IF m.champion IS NULL THEN
			RAISE EXCEPTION USING
				ERRCODE = 'object_not_in_prerequisite_state',
				MESSAGE = format('model "%s" has no version in force', m.name),
				HINT = 'Put one in force with churn_promote().';
		ELSIF m.champion = wanted THEN
			RAISE EXCEPTION USING
				ERRCODE = 'invalid_parameter_value',
				MESSAGE = format('version %s of model "%s" is in force', wanted, m.name),
				HINT = 'A challenger is another version than the champion.';
		END IF;
		PERFORM churn.require_fit(m.name, wanted);
	END IF;
	UPDATE churn.models x SET challenger = wanted WHERE x.model_id = m.model_id;
END
$$;
COMMENT ON FUNCTION churn_set_challenger(text, int) IS
'has live rescoring score every change by another version, too, into churn.prediction_log alone; null ends that';

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
		-- not in the middle of a batch of the stream worker, or of a rescoring
		LOCK TABLE churn.predictions IN SHARE ROW EXCLUSIVE MODE;
		DELETE FROM churn.models x WHERE x.model_id = m.model_id;
		DELETE FROM churn.model_versions v WHERE v.model = m.name;
		DELETE FROM churn.features f WHERE f.model = m.name;
		DELETE FROM churn.metrics x WHERE x.model = m.name;
		DELETE FROM churn.candidates c WHERE c.model = m.name;
		DELETE FROM churn.deployments d WHERE d.model_id = m.model_id;
		DELETE FROM churn.predictions p WHERE p.model = m.name;
		DELETE FROM churn.outcomes o WHERE o.model = m.name;
		DELETE FROM churn.quality q WHERE q.model = m.name;
		DELETE FROM churn.measured_days d WHERE d.model = m.name;
		DELETE FROM churn.data_issues i WHERE i.model = m.name;
		DELETE FROM churn.drift d WHERE d.model = m.name;
		DELETE FROM churn.watches w WHERE w.model = m.name;
		DELETE FROM churn.rescans r WHERE r.model = m.name;
		DELETE FROM churn.profiles p WHERE p.model = m.name;
		DELETE FROM churn.alert_rules r WHERE r.model = m.name;
		DELETE FROM churn.policies p WHERE p.model = m.name;
		DELETE FROM churn.maintenance_log l WHERE l.model = m.name;
		RETURN;
	END IF;
	PERFORM churn.require_version(m.name, churn_drop_model.version);
	IF m.champion = churn_drop_model.version THEN
		RAISE EXCEPTION USING
			ERRCODE = 'object_in_use',
			MESSAGE = format('version %s of model "%s" is in force', m.champion, m.name),
			HINT = 'Promote another version first, or drop the whole model.';
	END IF;
	UPDATE churn.models x SET challenger = NULL
		WHERE x.model_id = m.model_id AND x.challenger = churn_drop_model.version;
	DELETE FROM churn.model_versions v
		WHERE v.model = m.name AND v.version = churn_drop_model.version;
	DELETE FROM churn.features f
		WHERE f.model = m.name AND f.version = churn_drop_model.version;
	DELETE FROM churn.metrics x
		WHERE x.model = m.name AND x.version = churn_drop_model.version;
	DELETE FROM churn.candidates c
		WHERE c.model = m.name AND c.version = churn_drop_model.version;
	DELETE FROM churn.quality q
		WHERE q.model = m.name AND q.version = churn_drop_model.version;
	DELETE FROM churn.data_issues i
		WHERE i.model = m.name AND i.version = churn_drop_model.version;
	DELETE FROM churn.drift d
		WHERE d.model = m.name AND d.version = churn_drop_model.version;
	DELETE FROM churn.profiles p
		WHERE p.model = m.name AND p.version = churn_drop_model.version;
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
				coalesce(v.transform, imported.transform), v.as_of, v.params, v.options, v.rows, v.positives,
				v.train_rows, v.train_positives, v.validation_rows,
				v.validation_positives, v.test_rows, v.test_positives,
				v.duplicates_dropped, v.rows_without_label, v.rounds, v.seed,
				v.data_fingerprint, v.snapshot_lsn, v.snapshot,
				coalesce(v.library_versions, '{}') || jsonb_build_object(
					'churn', v.extension_version,
					'postgresql', current_setting('server_version')),
				v.champion_pr_auc, v.calibration, v.truncated,
				nullif(v.expectations, 'null') || repeated.keys,
				v.peak_memory_bytes,
				v.trained_by, v.started_at, clock_timestamp(),
				extract(epoch FROM clock_timestamp() - v.started_at),
				nullif(v.baselines -> 'score', 'null')
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
				calibration text, truncated boolean, expectations jsonb,
				peak_memory_bytes bigint, trained_by name,
				extension_version text, baselines jsonb,
				started_at timestamptz)
			LEFT JOIN (SELECT jsonb_object_agg(f.item ->> 'name', f.item -> 'transform') AS transform
				FROM jsonb_array_elements(result -> 'features') AS f (item)
				WHERE f.item ? 'transform') AS imported
				ON v.origin = 'import'
			CROSS JOIN (SELECT coalesce(jsonb_object_agg('duplicate_keys', i.item -> 'rows'), '{}') AS keys
				FROM jsonb_array_elements(coalesce(result -> 'issues', '[]')) AS i (item)
				WHERE i.item ->> 'kind' = 'duplicate_keys') AS repeated) AS r;

	INSERT INTO churn.features
		(model, version, position, name, kind, type, categories, transform,
		 baseline, importance, mean_abs_shap)
		SELECT m.name, register_version.version, f.position, f.item ->> 'name',
			f.item ->> 'kind', f.item ->> 'type',
			CASE WHEN f.item ->> 'kind' = 'category' THEN
				ARRAY(SELECT c.text FROM jsonb_array_elements_text(f.item -> 'categories')
					  WITH ORDINALITY AS c (text, code) ORDER BY c.code) END,
			f.item ->> 'transform', nullif(b.item, 'null'),
			(f.item ->> 'importance')::double precision,
			(f.item ->> 'mean_abs_shap')::double precision
		FROM jsonb_array_elements(result -> 'features')
			WITH ORDINALITY AS f (item, position)
		LEFT JOIN jsonb_array_elements(info -> 'baselines' -> 'features')
			WITH ORDINALITY AS b (item, position) ON b.position = f.position;

	INSERT INTO churn.metrics
		(model, version, dataset, metric, candidate, value, spread, n, folds)
		SELECT m.name, register_version.version, x.dataset, x.metric,
			coalesce(x.candidate, ''), x.value, x.spread, x.n, x.folds
		FROM jsonb_to_recordset(result -> 'metrics') AS x
			(dataset text, metric text, candidate text, value double precision,
			 spread double precision, n bigint, folds double precision[]);

	INSERT INTO churn.candidates
		(model, version, candidate, rank, algorithm, chosen, reason, params,
		 members, rounds, seconds)
		SELECT m.name, register_version.version, x.candidate, x.rank,
			x.algorithm, x.chosen, x.reason, x.params, x.members, x.rounds,
			x.seconds
		FROM jsonb_to_recordset(result -> 'candidates') AS x
			(candidate text, rank int, algorithm text, chosen boolean,
			 reason text, params jsonb, members text[], rounds int,
			 seconds double precision);

	-- an imported version has none, and no older trainer sends any
	INSERT INTO churn.data_issues (model, version, source, relation, severity,
			kind, feature, other_feature, statistic, value, rows, message, detail)
		SELECT m.name, register_version.version, 'train', info ->> 'source',
			i.item ->> 'severity', i.item ->> 'kind', i.item ->> 'feature',
			i.item ->> 'other_feature', i.item ->> 'statistic',
			(i.item ->> 'value')::double precision,
			(i.item ->> 'rows')::bigint, i.item ->> 'message',
			i.item ->> 'detail'
		FROM jsonb_array_elements(coalesce(nullif(info -> 'issues', 'null'), '[]') ||
				coalesce(result -> 'issues', '[]'))
			WITH ORDINALITY AS i (item, position)
		ORDER BY i.position;

	SELECT value INTO new_pr_auc FROM churn.metrics x
		WHERE x.model = m.name AND x.version = register_version.version
			AND x.dataset = 'test' AND x.metric = 'pr_auc'
			AND x.candidate = '';
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

-- For churn_baseline_read() in C.
CREATE FUNCTION churn.baseline(model text, version int DEFAULT NULL)
RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE COST 1000
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_build_object(
			'features', jsonb_agg(jsonb_build_object('name', f.name,
				'kind', f.kind, 'baseline', f.baseline) ORDER BY f.position),
			'score', v.score_baseline)
		FROM churn.model_versions v
		JOIN churn.features f ON f.model = v.model AND f.version = v.version
		WHERE v.model = baseline.model AND v.version = coalesce(baseline.version,
			(SELECT m.champion FROM churn.models m WHERE m.name = baseline.model))
		GROUP BY v.model, v.version
		HAVING v.score_baseline IS NOT NULL
			AND count(f.baseline) = count(*)
$$;
COMMENT ON FUNCTION churn.baseline(text, int) IS
'distributions of a version''s features and scores at training, or null if it has none; version is the champion by default';

CREATE FUNCTION churn_export(model text, version int DEFAULT NULL,
							 format text DEFAULT 'ubj')
RETURNS bytea
AS 'MODULE_PATHNAME', 'churn_export'
LANGUAGE C STABLE PARALLEL SAFE COST 10000;
COMMENT ON FUNCTION churn_export(text, int, text) IS
'model file: XGBoost''s own, as Booster.load_model() reads it, for versions of one XGBoost ensemble, else a document of churn''s own; format is ubj or json, version the champion by default';

CREATE FUNCTION churn_sql(model text, version int DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'churn_sql'
LANGUAGE C STABLE PARALLEL SAFE COST 10000;
COMMENT ON FUNCTION churn_sql(text, int) IS
'the score of a version of rules or logistic regression as an SQL expression over the columns of its source, for people to read; version is the champion by default';

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
-- 6. Metrics
--
-- The states are bytea, not internal, and can be combined: aggregates run in
-- parallel and can be pushed down to other nodes.

CREATE FUNCTION churn.rank_add(state bytea, score double precision, churned boolean)
RETURNS bytea
AS 'MODULE_PATHNAME', 'churn_rank_add'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION churn.rank_add(bytea, double precision, boolean) IS
'internal: adds a row to a ranking';

CREATE FUNCTION churn.lift_add(state bytea, score double precision, churned boolean,
						   fraction double precision)
RETURNS bytea
AS 'MODULE_PATHNAME', 'churn_lift_add'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION churn.lift_add(bytea, double precision, boolean, double precision) IS
'internal: adds a row to a ranking of which the top fraction is looked at';

CREATE FUNCTION churn.rank_combine(state bytea, other bytea)
RETURNS bytea
AS 'MODULE_PATHNAME', 'churn_rank_combine'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION churn.rank_combine(bytea, bytea) IS
'internal: puts two rankings together';

CREATE FUNCTION churn.pr_auc_final(state bytea)
RETURNS double precision
AS 'MODULE_PATHNAME', 'churn_pr_auc_final'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION churn.pr_auc_final(bytea) IS
'internal: average precision of a ranking';

CREATE FUNCTION churn.roc_auc_final(state bytea)
RETURNS double precision
AS 'MODULE_PATHNAME', 'churn_roc_auc_final'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION churn.roc_auc_final(bytea) IS
'internal: area under the ROC curve of a ranking';

CREATE FUNCTION churn.lift_final(state bytea)
RETURNS double precision
AS 'MODULE_PATHNAME', 'churn_lift_final'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION churn.lift_final(bytea) IS
'internal: lift of a ranking';

CREATE FUNCTION churn.log_loss_add(state bytea, score double precision, churned boolean)
RETURNS bytea
AS 'MODULE_PATHNAME', 'churn_log_loss_add'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION churn.log_loss_add(bytea, double precision, boolean) IS
'internal: adds a row''s log loss';

CREATE FUNCTION churn.brier_add(state bytea, score double precision, churned boolean)
RETURNS bytea
AS 'MODULE_PATHNAME', 'churn_brier_add'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION churn.brier_add(bytea, double precision, boolean) IS
'internal: adds a row''s squared error';

CREATE FUNCTION churn.mean_combine(state bytea, other bytea)
RETURNS bytea
AS 'MODULE_PATHNAME', 'churn_mean_combine'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION churn.mean_combine(bytea, bytea) IS
'internal: puts two sums together';

CREATE FUNCTION churn.mean_final(state bytea)
RETURNS double precision
AS 'MODULE_PATHNAME', 'churn_mean_final'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION churn.mean_final(bytea) IS
'internal: mean over the rows';

CREATE FUNCTION churn.ece_add(state bytea, score double precision, churned boolean)
RETURNS bytea
AS 'MODULE_PATHNAME', 'churn_ece_add'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION churn.ece_add(bytea, double precision, boolean) IS
'internal: adds a row to its bin';

CREATE FUNCTION churn.ece_combine(state bytea, other bytea)
RETURNS bytea
AS 'MODULE_PATHNAME', 'churn_ece_combine'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION churn.ece_combine(bytea, bytea) IS
'internal: puts the bins of two states together';

CREATE FUNCTION churn.ece_final(state bytea)
RETURNS double precision
AS 'MODULE_PATHNAME', 'churn_ece_final'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION churn.ece_final(bytea) IS
'internal: expected calibration error of the bins';

CREATE FUNCTION churn.confusion_add(state bytea, score double precision, churned boolean,
								threshold double precision)
RETURNS bytea
AS 'MODULE_PATHNAME', 'churn_confusion_add'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION churn.confusion_add(bytea, double precision, boolean, double precision) IS
'internal: counts a row''s decision';

CREATE FUNCTION churn.confusion_combine(state bytea, other bytea)
RETURNS bytea
AS 'MODULE_PATHNAME', 'churn_confusion_combine'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION churn.confusion_combine(bytea, bytea) IS
'internal: puts two counts of decisions together';

CREATE FUNCTION churn.f1_final(state bytea)
RETURNS double precision
AS 'MODULE_PATHNAME', 'churn_f1_final'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION churn.f1_final(bytea) IS
'internal: F1 of counted decisions';

CREATE FUNCTION churn.precision_final(state bytea)
RETURNS double precision
AS 'MODULE_PATHNAME', 'churn_precision_final'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION churn.precision_final(bytea) IS
'internal: precision of counted decisions';

CREATE FUNCTION churn.recall_final(state bytea)
RETURNS double precision
AS 'MODULE_PATHNAME', 'churn_recall_final'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION churn.recall_final(bytea) IS
'internal: recall of counted decisions';

CREATE AGGREGATE churn_pr_auc(score double precision, churned boolean) (
	SFUNC = churn.rank_add, STYPE = bytea, SSPACE = 1024, INITCOND = '',
	COMBINEFUNC = churn.rank_combine, FINALFUNC = churn.pr_auc_final,
	FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE
);
COMMENT ON AGGREGATE churn_pr_auc(double precision, boolean) IS
'area under the precision-recall curve (average precision); null unless some rows churned and some did not';

CREATE AGGREGATE churn_roc_auc(score double precision, churned boolean) (
	SFUNC = churn.rank_add, STYPE = bytea, SSPACE = 1024, INITCOND = '',
	COMBINEFUNC = churn.rank_combine, FINALFUNC = churn.roc_auc_final,
	FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE
);
COMMENT ON AGGREGATE churn_roc_auc(double precision, boolean) IS
'area under the ROC curve; null unless some rows churned and some did not';

CREATE AGGREGATE churn_lift(score double precision, churned boolean, fraction double precision) (
	SFUNC = churn.lift_add, STYPE = bytea, SSPACE = 1024, INITCOND = '',
	COMBINEFUNC = churn.rank_combine, FINALFUNC = churn.lift_final,
	FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE
);
COMMENT ON AGGREGATE churn_lift(double precision, boolean, double precision) IS
'how many times as often the top fraction by score churns as all; null if no row churned';

CREATE AGGREGATE churn_log_loss(score double precision, churned boolean) (
	SFUNC = churn.log_loss_add, STYPE = bytea, SSPACE = 64, INITCOND = '',
	COMBINEFUNC = churn.mean_combine, FINALFUNC = churn.mean_final,
	FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE
);
COMMENT ON AGGREGATE churn_log_loss(double precision, boolean) IS
'mean negative log-likelihood of scores between 0 and 1';

CREATE AGGREGATE churn_brier(score double precision, churned boolean) (
	SFUNC = churn.brier_add, STYPE = bytea, SSPACE = 64, INITCOND = '',
	COMBINEFUNC = churn.mean_combine, FINALFUNC = churn.mean_final,
	FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE
);
COMMENT ON AGGREGATE churn_brier(double precision, boolean) IS
'mean squared error of scores between 0 and 1';

CREATE AGGREGATE churn_ece(score double precision, churned boolean) (
	SFUNC = churn.ece_add, STYPE = bytea, SSPACE = 448, INITCOND = '',
	COMBINEFUNC = churn.ece_combine, FINALFUNC = churn.ece_final,
	FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE
);
COMMENT ON AGGREGATE churn_ece(double precision, boolean) IS
'expected calibration error of scores between 0 and 1, over 10 bins of equal width';

CREATE AGGREGATE churn_f1(score double precision, churned boolean, threshold double precision) (
	SFUNC = churn.confusion_add, STYPE = bytea, SSPACE = 64, INITCOND = '',
	COMBINEFUNC = churn.confusion_combine, FINALFUNC = churn.f1_final,
	FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE
);
COMMENT ON AGGREGATE churn_f1(double precision, boolean, double precision) IS
'F1 of saying churn where score >= threshold';

CREATE AGGREGATE churn_precision(score double precision, churned boolean, threshold double precision) (
	SFUNC = churn.confusion_add, STYPE = bytea, SSPACE = 64, INITCOND = '',
	COMBINEFUNC = churn.confusion_combine, FINALFUNC = churn.precision_final,
	FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE
);
COMMENT ON AGGREGATE churn_precision(double precision, boolean, double precision) IS
'share that churned of the rows with score >= threshold; 0 if there are none';

CREATE AGGREGATE churn_recall(score double precision, churned boolean, threshold double precision) (
	SFUNC = churn.confusion_add, STYPE = bytea, SSPACE = 64, INITCOND = '',
	COMBINEFUNC = churn.confusion_combine, FINALFUNC = churn.recall_final,
	FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE
);
COMMENT ON AGGREGATE churn_recall(double precision, boolean, double precision) IS
'share with score >= threshold of the rows that churned; 0 if there are none';

CREATE FUNCTION churn_evaluate(model text, source text DEFAULT NULL,
							   version int DEFAULT NULL,
							   label text DEFAULT NULL,
							   positive text DEFAULT NULL,
							   part text DEFAULT NULL,
							   resamples int DEFAULT NULL)
RETURNS TABLE (metric text, value double precision,
			   ci_low double precision, ci_high double precision, n bigint)
AS 'MODULE_PATHNAME', 'churn_evaluate'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 11;
COMMENT ON FUNCTION churn_evaluate(text, text, int, text, text, text, int) IS
'scores the labelled rows of a source, the model''s own test rows by default, and measures the scores, with 95 % bootstrap intervals';

CREATE FUNCTION churn_compare(model text, challenger int,
							  champion int DEFAULT NULL,
							  source text DEFAULT NULL,
							  resamples int DEFAULT 1000,
							  part text DEFAULT NULL)
RETURNS TABLE (metric text, champion double precision,
			   challenger double precision, difference double precision,
			   ci_low double precision, ci_high double precision,
			   p_value double precision, n bigint)
AS 'MODULE_PATHNAME', 'churn_compare'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 4;
COMMENT ON FUNCTION churn_compare(text, int, int, text, int, text) IS
'compares a version with the champion, or with another, on labelled rows that neither was trained on, by a paired bootstrap; difference is the challenger''s metric less the champion''s';

--
-- 7. Live rescoring
--

CREATE FUNCTION churn_watch(model text, relation text DEFAULT NULL,
							key text DEFAULT NULL,
							allow_deletes boolean DEFAULT true,
							reasons int DEFAULT 0)
RETURNS void
AS 'MODULE_PATHNAME', 'churn_watch'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION churn_watch(text, text, text, boolean, int) IS
'from the commit on, changes of a table (the model''s source by default) are rescored live; key is the column that identifies the customer';

CREATE FUNCTION churn_unwatch(model text, relation text DEFAULT NULL)
RETURNS int
AS 'MODULE_PATHNAME', 'churn_unwatch'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION churn_unwatch(text, text) IS
'ends live rescoring of a table or, without one, of all the model''s tables; returns how many';

-- Makes the log's partitions of today and the next two days and drops those
-- that are older than the retention.  Called by the worker and churn_maintain(),
-- as the owner.
CREATE FUNCTION churn.maintain_log(retention interval)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
	day date;
	partition text;
	patience text := current_setting('lock_timeout');
BEGIN
	FOR day IN SELECT today + i FROM generate_series(0, 2) AS i LOOP
		partition := 'prediction_log_' || to_char(day, 'YYYYMMDD');
		CONTINUE WHEN to_regclass('churn.' || partition) IS NOT NULL;
		-- somebody else may be about to make it
		LOCK TABLE churn.prediction_log IN SHARE UPDATE EXCLUSIVE MODE;
		CONTINUE WHEN to_regclass('churn.' || partition) IS NOT NULL;
		EXECUTE format('CREATE TABLE churn.%I (LIKE churn.prediction_log INCLUDING DEFAULTS,
			PRIMARY KEY (scored_at, customer_key, model, version))', partition);
		EXECUTE format('ALTER TABLE churn.prediction_log ATTACH PARTITION churn.%I FOR VALUES FROM (%L) TO (%L)',
			partition, day || ' 00:00:00+00', (day + 1) || ' 00:00:00+00');
	END LOOP;
	FOR partition IN
		SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = 'churn.prediction_log'::regclass
			AND c.relname ~ '^prediction_log_[0-9]{8}$'
			AND to_date(right(c.relname, 8), 'YYYYMMDD') < (clock_timestamp() - retention) AT TIME ZONE 'UTC' - interval '1 day'
	LOOP
		-- whoever reads it must not hold up the stream; tomorrow is another day
		BEGIN
			SET LOCAL lock_timeout = '1s';
			EXECUTE format('DROP TABLE IF EXISTS churn.%I', partition);
		EXCEPTION WHEN lock_not_available THEN
			NULL;
		END;
	END LOOP;
	PERFORM set_config('lock_timeout', patience, true);
END
$$;
COMMENT ON FUNCTION churn.maintain_log(interval) IS
'internal: makes partitions of churn.prediction_log ahead and drops old ones';

CREATE FUNCTION churn_add_alert_rule(model text, condition text,
									 cooldown interval DEFAULT '0',
									 name text DEFAULT NULL)
RETURNS int
AS 'MODULE_PATHNAME', 'churn_add_alert_rule'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION churn_add_alert_rule(text, text, interval, text) IS
'raises an alert when live rescoring writes a score for which the condition holds; the condition sees score, previous_score, band, version and the customer''s columns';

CREATE FUNCTION churn_drop_alert_rule(model text, name text)
RETURNS void
LANGUAGE plpgsql STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	m churn.models := churn.lock_model(churn_drop_alert_rule.model);
BEGIN
	DELETE FROM churn.alert_rules r
		WHERE r.model = m.name AND r.name = churn_drop_alert_rule.name;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING
			ERRCODE = 'undefined_object',
			MESSAGE = format('model "%s" has no alert rule "%s"', m.name, churn_drop_alert_rule.name),
			HINT = 'The table churn.alert_rules lists the rules.';
	END IF;
END
$$;
COMMENT ON FUNCTION churn_drop_alert_rule(text, text) IS
'drops an alert rule; its alerts stay';

CREATE FUNCTION churn_take_alerts(n int DEFAULT 100, model text DEFAULT NULL,
								  kind text DEFAULT 'customer')
RETURNS SETOF churn.alerts
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	WITH open AS (
		SELECT o.alert_id FROM churn.alerts o
		WHERE o.taken_at IS NULL
			AND (churn_take_alerts.model IS NULL OR o.model = churn_take_alerts.model)
			AND (churn_take_alerts.kind IS NULL OR o.kind = churn_take_alerts.kind)
		ORDER BY o.alert_id LIMIT greatest(churn_take_alerts.n, 0)
		FOR UPDATE SKIP LOCKED),
	taken AS (
		UPDATE churn.alerts a
		SET taken_at = clock_timestamp(), taken_by = session_user
		FROM open o WHERE a.alert_id = o.alert_id
		RETURNING a.*)
	SELECT * FROM taken ORDER BY alert_id;
$$;
COMMENT ON FUNCTION churn_take_alerts(int, text, text) IS
'hands out up to n alerts that nobody took yet, of a kind (null: of all kinds), the oldest first; rolled back, they are handed out again';

-- The worker writes alerts of customers by itself: see stream_alerts.c.
CREATE FUNCTION churn.raise_alert(model text, kind text, message text,
								  version int DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	alert bigint;
BEGIN
	INSERT INTO churn.alerts (model, kind, message, version)
		VALUES (raise_alert.model, raise_alert.kind, raise_alert.message, raise_alert.version)
		RETURNING alert_id INTO alert;
	-- any role may listen, so it tells nothing of models
	PERFORM pg_notify('churn_alerts',
		format('{"kind": "%s", "count": 1}', raise_alert.kind));
	RETURN alert;
END
$$;
COMMENT ON FUNCTION churn.raise_alert(text, text, text, int) IS
'internal: writes an alert about a model, or about none, and notifies of it; returns its number';

--
-- 8. Streaming: status
--

CREATE FUNCTION churn.stream(OUT pid int, OUT state text, OUT slot name,
							 OUT watches int, OUT paused int,
							 OUT applied_lsn pg_lsn,
							 OUT applied_at timestamptz,
							 OUT caught_up_at timestamptz,
							 OUT changes bigint, OUT scored bigint,
							 OUT written bigint, OUT batches bigint,
							 OUT last_batch int,
							 OUT changes_per_second double precision,
							 OUT scores_per_second double precision,
							 OUT latency_p50_ms double precision,
							 OUT latency_p95_ms double precision,
							 OUT latency_p99_ms double precision,
							 OUT rescans_pending int, OUT last_error text,
							 OUT last_error_at timestamptz,
							 OUT started_at timestamptz,
							 OUT write_seconds double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'churn_stream'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1;
COMMENT ON FUNCTION churn.stream() IS 'what churn.stream_status shows, as the worker of this database reports it';

CREATE VIEW churn.stream_status AS
	SELECT w.pid, w.state, w.slot, w.watches, w.paused, w.applied_lsn,
		(greatest(e.lsn, w.applied_lsn) - w.applied_lsn)::bigint AS lag_bytes,
		CASE WHEN w.applied_lsn >= e.lsn THEN 0
			ELSE extract(epoch FROM greatest(pg_catalog.clock_timestamp(),
				w.caught_up_at) - w.caught_up_at)
		END::double precision AS lag_seconds,
		w.changes, w.scored, w.written, w.write_seconds, w.batches, w.last_batch,
		w.changes_per_second, w.scores_per_second,
		w.latency_p50_ms, w.latency_p95_ms, w.latency_p99_ms,
		(greatest(e.lsn, r.restart_lsn) - r.restart_lsn)::bigint AS retained_wal,
		r.wal_status AS slot_status, w.rescans_pending,
		CASE WHEN w.state = 'creating slot' THEN pg_catalog.pg_blocking_pids(w.pid)
		END AS waits_for,
		w.last_error, w.last_error_at, w.started_at
	FROM churn.stream() w
	CROSS JOIN LATERAL (SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery()
		THEN pg_catalog.pg_current_wal_lsn() END AS lsn OFFSET 0) e
	LEFT JOIN pg_catalog.pg_replication_slots r ON r.slot_name = w.slot;
COMMENT ON VIEW churn.stream_status IS 'the stream worker of this database; no row if nothing is watched, on a standby, or if the library is not preloaded';
COMMENT ON COLUMN churn.stream_status.pid IS 'process of the worker; null while none runs';
COMMENT ON COLUMN churn.stream_status.state IS 'what it does: stopped, starting, creating slot, catching up, streaming, rescanning or paused';
COMMENT ON COLUMN churn.stream_status.slot IS 'its replication slot; null while there is none';
COMMENT ON COLUMN churn.stream_status.watches IS 'watches in force';
COMMENT ON COLUMN churn.stream_status.paused IS 'watches that wait for churn_watch() to be called again, since this server is a copy of the one they were made in';
COMMENT ON COLUMN churn.stream_status.applied_lsn IS 'all changes before this position are rescored and committed';
COMMENT ON COLUMN churn.stream_status.lag_bytes IS 'write-ahead log written since then';
COMMENT ON COLUMN churn.stream_status.lag_seconds IS 'time since nothing was left to rescore; 0 while nothing is';
COMMENT ON COLUMN churn.stream_status.changes IS 'changes of watched tables that were decoded';
COMMENT ON COLUMN churn.stream_status.scored IS 'scores that were found';
COMMENT ON COLUMN churn.stream_status.written IS 'predictions that were written or deleted';
COMMENT ON COLUMN churn.stream_status.write_seconds IS 'seconds spent on writing predictions and their log';
COMMENT ON COLUMN churn.stream_status.batches IS 'batches that were committed';
COMMENT ON COLUMN churn.stream_status.last_batch IS 'changes in the last batch';
COMMENT ON COLUMN churn.stream_status.changes_per_second IS 'changes a second, of late';
COMMENT ON COLUMN churn.stream_status.scores_per_second IS 'scores a second, of late';
COMMENT ON COLUMN churn.stream_status.latency_p50_ms IS 'median time from the commit of a change to that of its score, in milliseconds; null before the first';
COMMENT ON COLUMN churn.stream_status.latency_p95_ms IS 'the same of the 95th percentile';
COMMENT ON COLUMN churn.stream_status.latency_p99_ms IS 'the same of the 99th percentile';
COMMENT ON COLUMN churn.stream_status.retained_wal IS 'write-ahead log that the slot holds, in bytes';
COMMENT ON COLUMN churn.stream_status.slot_status IS 'the slot''s wal_status in pg_replication_slots; lost if it holds nothing any more';
COMMENT ON COLUMN churn.stream_status.rescans_pending IS 'models of which all customers are still to be rescored';
COMMENT ON COLUMN churn.stream_status.waits_for IS 'processes for whose transactions the creation of the slot waits; null at other times';
COMMENT ON COLUMN churn.stream_status.last_error IS 'message of the last error, shortened; null if there was none';
COMMENT ON COLUMN churn.stream_status.last_error_at IS 'when that was';
COMMENT ON COLUMN churn.stream_status.started_at IS 'when the worker started, or the last one did';

CREATE FUNCTION churn_wait(timeout interval DEFAULT '10s')
RETURNS boolean
AS 'MODULE_PATHNAME', 'churn_wait'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION churn_wait(interval) IS
'waits until all that was committed so far is rescored and no rescan is pending; false if that takes longer than timeout';
REVOKE ALL ON FUNCTION churn_wait(interval) FROM PUBLIC;

--
-- 9. Drift
--
-- The aggregate is called as whoever reads the rows, so it is open to all, as
-- scoring is.

CREATE FUNCTION churn.drift_add(state bytea, baseline text, described text[],
								model text, version int,
								VARIADIC columns "any")
RETURNS bytea
AS 'MODULE_PATHNAME', 'churn_drift_add'
LANGUAGE C STABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION churn.drift_add(bytea, text, text[], text, int, "any") IS
'internal: counts a row in the cells of a baseline';

CREATE FUNCTION churn.drift_combine(state bytea, other bytea)
RETURNS bytea
AS 'MODULE_PATHNAME', 'churn_drift_combine'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION churn.drift_combine(bytea, bytea) IS
'internal: puts two profiles together';

CREATE FUNCTION churn.drift_final(state bytea)
RETURNS bytea
AS 'MODULE_PATHNAME', 'churn_drift_final'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION churn.drift_final(bytea) IS
'internal: the profile of a state';

CREATE AGGREGATE churn_profile(baseline text, described text[], model text,
							   version int, VARIADIC columns "any") (
	SFUNC = churn.drift_add, STYPE = bytea, SSPACE = 16384, INITCOND = '',
	COMBINEFUNC = churn.drift_combine, FINALFUNC = churn.drift_final,
	FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE
);
COMMENT ON AGGREGATE churn_profile(text, text[], text, int, VARIADIC "any") IS
'how many rows are in each cell of a version''s baseline; churn_drift() calls it';

CREATE FUNCTION churn_drift(model text, source text DEFAULT NULL,
							version int DEFAULT NULL,
							segment text DEFAULT NULL,
							stream interval DEFAULT NULL)
RETURNS SETOF churn.drift
AS 'MODULE_PATHNAME', 'churn_drift'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 150;
COMMENT ON FUNCTION churn_drift(text, text, int, text, interval) IS
'compares the rows of a source, the model''s own by default, or those that the stream worker counted of late, with those that a version was trained on; the figures also become rows of churn.drift';

--
-- 10. Validation
--

CREATE FUNCTION churn_validate(model text, source text DEFAULT NULL,
							   version int DEFAULT NULL)
RETURNS SETOF churn.data_issues
AS 'MODULE_PATHNAME', 'churn_validate'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 10;
COMMENT ON FUNCTION churn_validate(text, text, int) IS
'compares a source, the model''s own by default, with what a version (the champion) was trained on: columns, keys, values, dates and labels; what is wrong is stored in churn.data_issues, too';
REVOKE ALL ON FUNCTION churn_validate(text, text, int) FROM PUBLIC;

--
-- 11. Dashboards
--

CREATE VIEW churn.at_risk AS
	SELECT p.model, p.customer_key, p.score, p.band, p.reasons,
		p.score - p.previous_score AS change, v.threshold, p.version,
		p.scored_at, p.origin
	FROM churn.predictions p
	LEFT JOIN churn.model_versions v ON v.model = p.model AND v.version = p.version
	WHERE p.band <> 'low'
	ORDER BY p.model, p.score DESC, p.customer_key;
COMMENT ON VIEW churn.at_risk IS 'the current predictions of bands high and medium, by model, the highest scores first';
COMMENT ON COLUMN churn.at_risk.model IS 'name of the model';
COMMENT ON COLUMN churn.at_risk.customer_key IS 'key of the customer, as text';
COMMENT ON COLUMN churn.at_risk.score IS 'probability of churn, 0 to 1';
COMMENT ON COLUMN churn.at_risk.band IS 'high (at or above the threshold) or medium (at or above half of it)';
COMMENT ON COLUMN churn.at_risk.reasons IS 'what moved the score most, as phrases; null unless asked for';
COMMENT ON COLUMN churn.at_risk.change IS 'score less the one before; null if there was none';
COMMENT ON COLUMN churn.at_risk.threshold IS 'score from which on the version says churn';
COMMENT ON COLUMN churn.at_risk.version IS 'version that gave the score';
COMMENT ON COLUMN churn.at_risk.scored_at IS 'when this score was first found';
COMMENT ON COLUMN churn.at_risk.origin IS 'stream, batch or api';

--
-- 12. Policies
--

CREATE FUNCTION churn_set_policy(model text, action text DEFAULT 'alert',
								 schedule interval DEFAULT '1 day',
								 drift_alpha double precision DEFAULT 0.05,
								 drift_psi double precision DEFAULT 0.01,
								 drift_segment text DEFAULT NULL,
								 quality_metric text DEFAULT 'pr_auc',
								 quality_drop double precision DEFAULT 0.05,
								 max_age interval DEFAULT NULL,
								 min_rows bigint DEFAULT 500,
								 algorithm text DEFAULT 'same',
								 retention interval DEFAULT '400 days',
								 enabled boolean DEFAULT true)
RETURNS void
AS 'MODULE_PATHNAME', 'churn_set_policy'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION churn_set_policy(text, text, interval, double precision, double precision, text, text, double precision, interval, bigint, text, interval, boolean) IS
'says when churn_maintain() looks after a model, what calls for an alert, and whether it trains and promotes; replaces what was said before';

CREATE FUNCTION churn_drop_policy(model text)
RETURNS void
AS 'MODULE_PATHNAME', 'churn_drop_policy'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION churn_drop_policy(text) IS
'has churn_maintain() look after a model no more; what it wrote stays';

-- Writes a policy, or complains of the first value that cannot be.
CREATE FUNCTION churn.write_policy(policy churn.policies)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	complaint text;
	advice text;
BEGIN
	SELECT c.complaint, c.advice INTO complaint, advice
		FROM (VALUES
			(1, policy.action IN ('alert', 'retrain', 'retrain_and_promote'),
				format('unknown action "%s"', policy.action),
				'Actions are alert, retrain and retrain_and_promote.'),
			(2, policy.schedule > '0' AND policy.schedule <= '100 years',
				'schedule must be above 0 and at most 100 years',
				'It is the time from one look at the model to the next.'),
			(3, policy.drift_alpha > 0 AND policy.drift_alpha < 1,
				'drift_alpha must be between 0 and 1',
				'It is the share of false alarms that is put up with.'),
			(4, policy.drift_psi >= 0 AND policy.drift_psi < 'Infinity',
				'drift_psi must be a number of at least 0',
				'It is the population stability index from which a change matters.'),
			(5, policy.quality_metric IN ('pr_auc', 'roc_auc'),
				format('unknown quality_metric "%s"', policy.quality_metric),
				'Metrics are pr_auc and roc_auc.'),
			(6, policy.quality_drop >= 0 AND policy.quality_drop <= 1,
				'quality_drop must be between 0 and 1',
				'It is the loss of quality_metric that is put up with.'),
			(7, policy.max_age IS NULL OR (policy.max_age > '0' AND policy.max_age <= '100 years'),
				'max_age must be above 0 and at most 100 years',
				'Without max_age a model is not trained again for its age alone.'),
			(8, policy.min_rows >= 0, 'min_rows must be at least 0',
				'With fewer rows nothing is said to drift.'),
			(9, policy.algorithm IN ('same', 'auto'),
				format('unknown algorithm "%s"', policy.algorithm),
				'It is same, as the champion''s, or auto.'),
			(10, policy.retention >= policy.schedule AND policy.retention <= '100 years',
				'retention must be at least the schedule and at most 100 years',
				'It is the time for which checks and history are kept.'),
			(11, policy.enabled IS NOT NULL, 'enabled must be true or false',
				'churn_drop_policy() does away with a policy.'))
			AS c (place, fine, complaint, advice)
		WHERE c.fine IS NOT TRUE ORDER BY c.place LIMIT 1;
	IF complaint IS NOT NULL THEN
		RAISE EXCEPTION USING
			ERRCODE = 'invalid_parameter_value',
			MESSAGE = complaint,
			HINT = advice;
	END IF;
	INSERT INTO churn.policies AS p SELECT policy.*
		ON CONFLICT ON CONSTRAINT policies_pkey DO UPDATE SET
			action = excluded.action,
			schedule = excluded.schedule,
			drift_alpha = excluded.drift_alpha,
			drift_psi = excluded.drift_psi,
			drift_segment = excluded.drift_segment,
			quality_metric = excluded.quality_metric,
			quality_drop = excluded.quality_drop,
			max_age = excluded.max_age,
			min_rows = excluded.min_rows,
			algorithm = excluded.algorithm,
			retention = excluded.retention,
			enabled = excluded.enabled,
			set_by = excluded.set_by,
			set_at = excluded.set_at;
END
$$;
COMMENT ON FUNCTION churn.write_policy(churn.policies) IS
'internal: checks a policy and writes it';

--
-- 13. Maintenance
--
-- maintain.c calls maintain_begin(), then for each chain of steps maintain_next()
-- and maintain_step() or maintain_failed(), as the extension's owner, each in a
-- transaction of its own.

CREATE PROCEDURE churn_maintain(model text DEFAULT NULL,
								force boolean DEFAULT false)
AS 'MODULE_PATHNAME', 'churn_maintain'
LANGUAGE C;
COMMENT ON PROCEDURE churn_maintain(text, boolean) IS
'looks after the models that have a policy, or after one: checks, measures, trains, compares, promotes, alerts; then purges and makes partitions; what is not due is left out unless forced';

CREATE FUNCTION churn.train_as(role name, trainer regprocedure, source text,
							   label text, key text, model text,
							   algorithm text, positive text, exclude text[],
							   transform jsonb, params jsonb, options jsonb)
RETURNS int
AS 'MODULE_PATHNAME', 'churn_train_as'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000000;
COMMENT ON FUNCTION churn.train_as(name, regprocedure, text, text, text, text, text, text, text[], jsonb, jsonb, jsonb) IS
'internal: calls churn_train() as a role and returns the version';

-- A step that was interrupted is tried again, three times in all.
CREATE FUNCTION churn.maintenance_steps(run bigint, about text)
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(jsonb_object_agg(s.step, to_jsonb(s)), '{}')
	FROM (SELECT DISTINCT ON (l.step) l.*,
			coalesce(l.detail ? 'interrupted', false) AS interrupted,
			count(*) FILTER (WHERE l.detail ? 'interrupted')
				OVER (PARTITION BY l.step) AS interruptions
		FROM churn.maintenance_log l
		WHERE l.run_id = run AND l.model IS NOT DISTINCT FROM about
		ORDER BY l.step, l.step_id DESC) s
	WHERE NOT (s.state = 'failed' AND s.interrupted AND s.interruptions < 3);
$$;
COMMENT ON FUNCTION churn.maintenance_steps(bigint, text) IS
'internal: rows of a model''s steps in a run, by name, less those that are to be tried again';

-- After a failure an hour is enough.  A tenth, an hour at most, is forgiven, so
-- that a job of the same period does not come a second too early each time.
CREATE FUNCTION churn.maintenance_due(steps jsonb, schedule interval)
RETURNS boolean
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(clock_timestamp() >= d.started_at + d.wait - least(d.wait / 10, '1 hour'), true)
	FROM (SELECT min((s.step ->> 'started_at')::timestamptz) AS started_at,
			CASE WHEN bool_or(s.step ->> 'state' = 'failed') THEN least(schedule, '1 hour')
				ELSE schedule END AS wait
		FROM jsonb_each(steps) AS s (name, step)) d;
$$;
COMMENT ON FUNCTION churn.maintenance_due(jsonb, interval) IS
'internal: whether the steps, if there are any, were taken long enough ago';

CREATE FUNCTION churn.maintain_begin(wanted text, forced boolean, caller name)
RETURNS TABLE (model text, run_id bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	p record;
	unfinished bigint;
	fresh bigint;
	last bigint;
	steps jsonb;
	known boolean := false;
	busy boolean := false;
BEGIN
	-- nobody else is at it: the caller holds the lock
	UPDATE churn.maintenance_log l
		SET state = 'failed', finished_at = clock_timestamp(),
			message = 'interrupted',
			detail = coalesce(l.detail, '{}') || '{"interrupted": true}'
		WHERE l.state = 'running';
	SELECT max(l.run_id) INTO unfinished FROM churn.maintenance_log l;
	IF churn.maintenance_steps(unfinished, NULL) ? 'partitions' THEN
		unfinished := NULL;
	END IF;
	fresh := unfinished;
	FOR p IN
		SELECT m.name, m.owner, m.champion, o.schedule, o.enabled
		FROM churn.policies o JOIN churn.models m ON m.name = o.model
		WHERE wanted IS NULL OR m.name = wanted
		ORDER BY m.name COLLATE "C"
	LOOP
		known := true;
		IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = p.owner
					   AND pg_has_role(caller, r.oid, 'USAGE')) THEN
			IF wanted IS NOT NULL THEN
				RAISE EXCEPTION USING
					ERRCODE = 'insufficient_privilege',
					MESSAGE = format('must be owner of model "%s"', p.name),
					DETAIL = format('It belongs to role "%s".', p.owner);
			END IF;
			RAISE NOTICE 'model "%" is left out: it belongs to role "%"', p.name, p.owner;
			CONTINUE;
		END IF;
		IF NOT p.enabled OR p.champion IS NULL THEN
			IF wanted IS NOT NULL OR p.enabled THEN
				RAISE NOTICE 'model "%" is left out: %', p.name,
					CASE WHEN p.enabled THEN 'no version is in force'
						ELSE 'its policy is not enabled' END;
			END IF;
			CONTINUE;
		END IF;
		SELECT max(l.run_id) INTO last
			FROM churn.maintenance_log l WHERE l.model = p.name;
		steps := churn.maintenance_steps(last, p.name);
		model := p.name;
		IF last IS NOT NULL AND NOT steps ? 'alert' THEN
			run_id := last;
		ELSIF last = unfinished THEN
			-- the call that was interrupted had done with it
			CONTINUE;
		ELSIF forced OR churn.maintenance_due(steps, p.schedule) THEN
			fresh := coalesce(fresh, nextval('churn.maintenance_log_step_id_seq'));
			run_id := fresh;
		ELSE
			IF wanted IS NOT NULL THEN
				RAISE NOTICE 'model "%" is not due yet', p.name
					USING HINT = 'CALL churn_maintain(model, force => true) does not wait.';
			END IF;
			CONTINUE;
		END IF;
		busy := true;
		RETURN NEXT;
	END LOOP;
	IF NOT known AND wanted IS NOT NULL THEN
		PERFORM FROM churn.models m WHERE m.name = wanted;
		RAISE EXCEPTION USING
			ERRCODE = 'undefined_object',
			MESSAGE = CASE WHEN FOUND THEN format('model "%s" has no policy', wanted)
				ELSE format('model "%s" does not exist', wanted) END,
			HINT = CASE WHEN FOUND THEN 'churn_set_policy() gives it one.'
				ELSE 'The table churn.models lists the models.' END;
	ELSIF NOT known THEN
		RAISE NOTICE 'there are no policies'
			USING HINT = 'churn_set_policy() has a model looked after.';
	END IF;
	SELECT max(l.run_id) INTO last
		FROM churn.maintenance_log l WHERE l.model IS NULL;
	IF busy OR unfinished IS NOT NULL OR forced
		OR churn.maintenance_due(churn.maintenance_steps(last, NULL), '1 day') THEN
		model := NULL;
		run_id := coalesce(fresh, nextval('churn.maintenance_log_step_id_seq'));
		RETURN NEXT;
	END IF;
END
$$;
COMMENT ON FUNCTION churn.maintain_begin(text, boolean, name) IS
'internal: marks what was interrupted, and returns whose steps are to be taken in which run';

CREATE FUNCTION churn.maintain_next(run bigint, about text,
									OUT step_id bigint, OUT step text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	steps jsonb := churn.maintenance_steps(run, about);
BEGIN
	IF about IS NULL THEN
		step := CASE WHEN NOT steps ? 'purge' THEN 'purge'
			WHEN NOT steps ? 'partitions' THEN 'partitions' END;
	ELSE
		step := CASE
			WHEN steps ? 'alert' THEN NULL
			WHEN steps @? '$.*.state ? (@ == "failed")' THEN 'alert'
			WHEN NOT steps ? 'validate' THEN 'validate'
			WHEN NOT steps ? 'drift' THEN 'drift'
			WHEN NOT steps ? 'measure' THEN 'measure'
			WHEN NOT steps ? 'retrain' THEN 'retrain'
			WHEN steps #>> '{retrain,state}' = 'skipped' THEN 'alert'
			WHEN NOT steps ? 'compare' THEN 'compare'
			WHEN NOT steps ? 'promote' THEN 'promote'
			ELSE 'alert'
		END;
	END IF;
	IF step IS NOT NULL THEN
		INSERT INTO churn.maintenance_log AS l (run_id, model, step, state)
			VALUES (run, about, maintain_next.step, 'running')
			RETURNING l.step_id INTO maintain_next.step_id;
	END IF;
END
$$;
COMMENT ON FUNCTION churn.maintain_next(bigint, text) IS
'internal: writes down which step comes next, and returns it';

CREATE FUNCTION churn.maintain_validate(s churn.maintenance_log)
RETURNS churn.maintenance_log
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	SELECT m.champion INTO s.version FROM churn.models m WHERE m.name = s.model;
	SELECT jsonb_build_object('errors', count(*) FILTER (WHERE i.severity = 'error'),
			'warnings', count(*) FILTER (WHERE i.severity = 'warning'),
			'notices', count(*) FILTER (WHERE i.severity = 'notice'),
			'first_error', (array_agg(i.message) FILTER (WHERE i.severity = 'error'))[1])
		INTO s.detail
		FROM @extschema@.churn_validate(s.model, NULL::text, NULL::int) i;
	s.message := format('errors: %s, warnings: %s, notices: %s', s.detail ->> 'errors',
		s.detail ->> 'warnings', s.detail ->> 'notices');
	RETURN s;
END
$$;
COMMENT ON FUNCTION churn.maintain_validate(churn.maintenance_log) IS
'internal: checks the source of a model';

CREATE FUNCTION churn.maintain_drift(s churn.maintenance_log)
RETURNS churn.maintenance_log
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	p churn.policies;
BEGIN
	SELECT * INTO p FROM churn.policies o WHERE o.model = s.model;
	SELECT m.champion INTO s.version FROM churn.models m WHERE m.name = s.model;
	IF NOT EXISTS (SELECT FROM churn.features f WHERE f.model = s.model
				   AND f.version = s.version AND f.baseline IS NOT NULL) THEN
		s.state := 'skipped';
		s.message := format('version %s has no baseline', s.version);
		RETURN s;
	END IF;
	WITH drift AS (SELECT * FROM @extschema@.churn_drift(s.model, NULL::text, NULL::int, NULL::text, NULL::interval)),
	found AS (
		SELECT d.feature, d.value, d.feature || format(' (PSI %s)', round(d.value::numeric, 3)) AS name
		FROM drift d
		WHERE d.drifted AND d.statistic = 'psi')
	SELECT jsonb_build_object('checks', jsonb_agg(DISTINCT d.check_id), 'rows', max(d.rows),
			'drifted', bool_or(d.drifted AND d.rows >= p.min_rows),
			'features', (SELECT jsonb_object_agg(f.feature, f.value) FROM found f),
			'largest', (SELECT string_agg(f.name, ', ' ORDER BY f.value DESC)
				FROM (SELECT * FROM found ORDER BY value DESC LIMIT 5) f))
		INTO s.detail
		FROM drift d WHERE d.feature = '(model)';
	-- what sets a segment apart from all customers is no alarm
	IF p.drift_segment IS NOT NULL THEN
		BEGIN
			SELECT s.detail || jsonb_build_object('checks', (s.detail -> 'checks') || jsonb_agg(DISTINCT d.check_id))
				INTO s.detail
				FROM @extschema@.churn_drift(s.model, NULL::text, NULL::int, p.drift_segment, NULL::interval) d;
		EXCEPTION WHEN OTHERS THEN
			-- too many of them, say: the model is looked after all the same
			s.detail := s.detail || jsonb_build_object('segment_error', SQLERRM);
		END;
	END IF;
	s.message := CASE WHEN (s.detail ->> 'drifted')::boolean
			THEN 'drift of ' || (s.detail ->> 'largest')
		WHEN (s.detail ->> 'rows')::bigint < p.min_rows
			THEN format('%s rows are too few to tell', s.detail ->> 'rows')
		ELSE 'no drift' END || coalesce('; segments: ' || (s.detail ->> 'segment_error'), '');
	RETURN s;
END
$$;
COMMENT ON FUNCTION churn.maintain_drift(churn.maintenance_log) IS
'internal: checks the source of a model for drift';

CREATE FUNCTION churn.maintain_measure(s churn.maintenance_log)
RETURNS churn.maintenance_log
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	p churn.policies;
	since timestamptz;
BEGIN
	SELECT * INTO p FROM churn.policies o WHERE o.model = s.model;
	SELECT m.champion INTO s.version FROM churn.models m WHERE m.name = s.model;
	-- verdicts that no run has acted upon, whoever measured
	SELECT greatest(max(l.finished_at), (SELECT max(v.finished_at) FROM churn.model_versions v
			WHERE v.model = s.model AND v.version >= s.version))
		INTO since
		FROM churn.maintenance_log l
		JOIN churn.maintenance_log r ON r.run_id = l.run_id AND r.model = l.model
			AND r.step = 'retrain' AND (r.state = 'done'
				OR r.state = 'skipped' AND r.message = 'the policy''s action is alert')
		WHERE l.model = s.model AND l.step = 'measure' AND l.run_id <> s.run_id;
	WITH measured AS (SELECT q.* FROM @extschema@.churn_measure(s.model, NULL::date) q)
	SELECT jsonb_build_object('days', count(DISTINCT q.day), 'values', count(*))
		INTO s.detail FROM measured q;
	SELECT s.detail || jsonb_build_object('drifted', count(*) > 0,
			'statistics', coalesce(jsonb_object_agg(d.statistic, d.value), '{}'))
		INTO s.detail
		FROM churn.drift d
		WHERE d.model = s.model AND d.version = s.version AND d.feature = '(concept)'
			AND d.checked_at > since AND d.drifted AND d.rows >= p.min_rows;
	s.message := CASE WHEN (s.detail ->> 'drifted')::boolean
		THEN 'concept drift: ' || (SELECT string_agg(format('%s %s', x.key, round(x.value::numeric, 3)), ', ')
			FROM jsonb_each_text(s.detail -> 'statistics') x)
		ELSE format('days: %s', s.detail ->> 'days') END;
	RETURN s;
END
$$;
COMMENT ON FUNCTION churn.maintain_measure(churn.maintenance_log) IS
'internal: measures the quality of a model''s scores';

-- What calls for training, in words; without a reason nothing does.
CREATE FUNCTION churn.maintenance_reasons(s churn.maintenance_log)
RETURNS text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT array_remove(ARRAY[
		CASE WHEN (x.steps #>> '{drift,detail,drifted}')::boolean THEN 'data drift' END,
		CASE WHEN (x.steps #>> '{measure,detail,drifted}')::boolean THEN 'concept drift' END,
		CASE WHEN v.trained < clock_timestamp() - p.max_age THEN 'age' END], NULL)
	FROM churn.policies p
	JOIN churn.models m ON m.name = p.model
	CROSS JOIN churn.maintenance_steps(s.run_id, s.model) AS x (steps)
	CROSS JOIN LATERAL (SELECT max(v.finished_at) AS trained FROM churn.model_versions v
		WHERE v.model = m.name AND v.version >= m.champion) v
	WHERE p.model = s.model;
$$;
COMMENT ON FUNCTION churn.maintenance_reasons(churn.maintenance_log) IS
'internal: why a model is to be trained again';

CREATE FUNCTION churn.maintain_retrain(s churn.maintenance_log)
RETURNS churn.maintenance_log
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	p churn.policies;
	m churn.models;
	v record;
	steps jsonb := churn.maintenance_steps(s.run_id, s.model);
	reasons text[] := churn.maintenance_reasons(s);
	source text;
BEGIN
	SELECT * INTO p FROM churn.policies o WHERE o.model = s.model;
	SELECT * INTO m FROM churn.models x WHERE x.name = s.model;
	s.detail := jsonb_build_object('reasons', reasons);
	s.message := CASE WHEN cardinality(reasons) = 0 THEN 'nothing calls for it'
		WHEN p.action = 'alert' THEN 'the policy''s action is alert'
		WHEN (steps #>> '{validate,detail,errors}')::int > 0 THEN 'the source has errors' END;
	IF s.message IS NOT NULL THEN
		s.state := 'skipped';
		RETURN s;
	END IF;
	SELECT x.algorithm, x.origin, x.source, x.source_relation, x.key, x.label,
			x.positive, x.exclude, x.transform, x.params, x.options
		INTO v
		FROM churn.model_versions x
		WHERE x.model = s.model AND x.version = m.champion;
	-- names in a query mean what they meant when the model was made
	source := coalesce(v.source_relation,
		CASE WHEN v.source = m.source OR v.source = m.source_query THEN m.source_query END);
	IF source IS NULL OR v.label IS NULL THEN
		RAISE EXCEPTION USING
			ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = format('how version %s of model "%s" was trained cannot be repeated', m.champion, s.model),
			DETAIL = CASE WHEN v.label IS NULL THEN 'It has no label.'
				WHEN v.source IS NULL THEN 'It has no source.'
				ELSE 'Its source was another query than the model''s is now.' END,
			HINT = 'Train a version on the source that is to be used, and promote it.';
	END IF;
	s.version := churn.train_as(m.owner,
		'@extschema@.churn_train(text, text, text, text, text, text, text[], jsonb, jsonb, jsonb)'::regprocedure,
		source, v.label, v.key, m.name,
		CASE p.algorithm WHEN 'same' THEN v.algorithm ELSE 'auto' END,
		v.positive, v.exclude, v.transform,
		CASE p.algorithm WHEN 'same' THEN v.params END,
		coalesce(v.options, '{}') || '{"promote": "never"}');
	s.message := format('version %s was trained: %s', s.version, array_to_string(reasons, ', '));
	RETURN s;
END
$$;
COMMENT ON FUNCTION churn.maintain_retrain(churn.maintenance_log) IS
'internal: trains a challenger, if something calls for it, as the champion was trained';

CREATE FUNCTION churn.maintain_compare(s churn.maintenance_log)
RETURNS churn.maintenance_log
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	champion int;
	gate record;
BEGIN
	s.version := churn.maintenance_steps(s.run_id, s.model) #>> '{retrain,version}';
	SELECT m.champion INTO champion FROM churn.models m WHERE m.name = s.model;
	IF champion = s.version THEN
		s.state := 'skipped';
		s.message := format('version %s is in force already', s.version);
		RETURN s;
	END IF;
	SELECT jsonb_object_agg(c.metric, to_jsonb(c) - 'metric') INTO s.detail
		FROM @extschema@.churn_compare(s.model, s.version, champion, NULL::text, 1000, NULL::text) c;
	SELECT * INTO gate FROM jsonb_to_record(s.detail -> 'pr_auc') AS g
		(champion double precision, challenger double precision,
		 difference double precision, ci_low double precision,
		 ci_high double precision, p_value double precision, n bigint);
	s.detail := s.detail || jsonb_build_object('champion_version', champion,
		'better', coalesce(gate.difference > 0 AND (gate.ci_low > 0 OR gate.p_value <= 0.05), false));
	s.message := format('PR-AUC %s against %s of version %s on the same %s unseen rows (difference %s to %s, p = %s)',
		round(gate.challenger::numeric, 4), round(gate.champion::numeric, 4),
		champion, gate.n, round(gate.ci_low::numeric, 4),
		round(gate.ci_high::numeric, 4), round(gate.p_value::numeric, 4));
	RETURN s;
END
$$;
COMMENT ON FUNCTION churn.maintain_compare(churn.maintenance_log) IS
'internal: compares the challenger with the champion';

CREATE FUNCTION churn.maintain_promote(s churn.maintenance_log)
RETURNS churn.maintenance_log
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	m churn.models := churn.lock_model(s.model);
	steps jsonb := churn.maintenance_steps(s.run_id, s.model);
	action text;
BEGIN
	SELECT p.action INTO action FROM churn.policies p WHERE p.model = s.model;
	s.version := steps #>> '{retrain,version}';
	s.message := CASE
		WHEN m.champion = s.version THEN format('version %s is in force already', s.version)
		WHEN (steps #>> '{compare,detail,better}')::boolean IS NOT TRUE
			THEN format('version %s is not clearly better', s.version)
		WHEN action IS DISTINCT FROM 'retrain_and_promote'
			THEN format('version %s is better, but the policy does not say to promote', s.version)
		WHEN m.champion IS DISTINCT FROM (steps #>> '{compare,detail,champion_version}')::int
			THEN format('version %s became champion meanwhile', m.champion) END;
	IF s.message IS NOT NULL THEN
		s.state := 'skipped';
		RETURN s;
	END IF;
	PERFORM churn.deploy(m.name, s.version, 'churn_maintain(): ' || (steps #>> '{compare,message}'));
	s.message := format('version %s took the place of version %s', s.version, m.champion);
	RETURN s;
END
$$;
COMMENT ON FUNCTION churn.maintain_promote(churn.maintenance_log) IS
'internal: puts the challenger in force if the policy says so and it is better';

-- A failure that came before in the same words is not told again.
CREATE FUNCTION churn.maintenance_failure(run bigint, about text)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH failed AS (
		SELECT l.run_id, s.value ->> 'step' AS step, s.value ->> 'message' AS message
		FROM (SELECT DISTINCT l.run_id FROM churn.maintenance_log l
			WHERE l.model IS NOT DISTINCT FROM about AND l.run_id <= run
			ORDER BY l.run_id DESC LIMIT 2) l,
			jsonb_each(churn.maintenance_steps(l.run_id, about)) s
		WHERE s.value ->> 'state' = 'failed')
	SELECT format('step %s failed: %s', f.step, f.message) FROM failed f
	WHERE f.run_id = run AND NOT EXISTS (SELECT FROM failed b
		WHERE b.run_id < run AND b.step = f.step AND b.message = f.message)
	LIMIT 1;
$$;
COMMENT ON FUNCTION churn.maintenance_failure(bigint, text) IS
'internal: what failed in a run and had not failed so in the one before, or null';

CREATE FUNCTION churn.maintain_alert(s churn.maintenance_log)
RETURNS churn.maintenance_log
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	steps jsonb := churn.maintenance_steps(s.run_id, s.model);
	alert record;
	alerts bigint[] := '{}';
BEGIN
	FOR alert IN
		SELECT a.kind, a.message, a.version
		FROM (VALUES
			(1, 'data', CASE WHEN (steps #>> '{validate,detail,errors}')::int > 0
				THEN format('the source has errors: %s', steps #>> '{validate,detail,first_error}') END,
				steps #>> '{validate,version}'),
			(2, 'drift', CASE WHEN (steps #>> '{drift,detail,drifted}')::boolean
				THEN steps #>> '{drift,message}' END, steps #>> '{drift,version}'),
			(3, 'quality', CASE WHEN (steps #>> '{measure,detail,drifted}')::boolean
				THEN steps #>> '{measure,message}' END, steps #>> '{measure,version}'),
			(4, 'maintenance', CASE WHEN steps #>> '{promote,state}' IN ('done', 'skipped')
				THEN concat_ws(': ', steps #>> '{promote,message}', steps #>> '{compare,message}') END,
				steps #>> '{promote,version}'),
			(5, 'maintenance', churn.maintenance_failure(s.run_id, s.model), NULL))
			AS a (place, kind, message, version)
		WHERE a.message IS NOT NULL ORDER BY a.place
	LOOP
		alerts := alerts || churn.raise_alert(s.model, alert.kind, alert.message, alert.version::int);
	END LOOP;
	s.detail := jsonb_build_object('alerts', alerts);
	s.message := format('alerts: %s', cardinality(alerts));
	IF cardinality(alerts) = 0 THEN
		s.state := 'skipped';
		s.message := 'there is nothing to tell';
	END IF;
	RETURN s;
END
$$;
COMMENT ON FUNCTION churn.maintain_alert(churn.maintenance_log) IS
'internal: raises alerts of what the steps before found';

CREATE FUNCTION churn.maintain_purge(s churn.maintenance_log)
RETURNS churn.maintenance_log
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	old record;
	deleted bigint;
BEGIN
	s.detail := '{}';
	FOR old IN
		SELECT * FROM (VALUES
			('drift', 'checked_at', 'true'),
			('profiles', 'window_end', 'true'),
			('quality', 'day', 'true'),
			('outcomes', 'recorded_at', 'true'),
			('data_issues', 'found_at', 'source = ''validate'''),
			('maintenance_log', 'started_at', 'state <> ''running'''),
			('errors', 'occurred_at', 'true'),
			('alerts', 'taken_at', 'true')) AS o (relation, time, condition)
	LOOP
		EXECUTE format('DELETE FROM churn.%I t WHERE t.%I < $1 - coalesce((SELECT p.retention
				FROM churn.policies p WHERE p.model = t.model), interval ''400 days'') AND %s',
			old.relation, old.time, old.condition) USING clock_timestamp();
		GET DIAGNOSTICS deleted = ROW_COUNT;
		s.detail := s.detail || jsonb_build_object(old.relation, deleted);
	END LOOP;
	s.message := format('rows deleted: %s', (SELECT sum(x.value::bigint) FROM jsonb_each_text(s.detail) x));
	RETURN s;
END
$$;
COMMENT ON FUNCTION churn.maintain_purge(churn.maintenance_log) IS
'internal: deletes what is older than the policies keep it, 400 days without one';

CREATE FUNCTION churn.maintain_partitions(s churn.maintenance_log)
RETURNS churn.maintenance_log
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	retention interval := current_setting('churn.log_retention');
	partition text;
BEGIN
	IF retention <= '0' THEN
		s.state := 'skipped';
		s.message := 'churn.log_retention is 0';
	ELSE
		-- of days that are over, to look customers up; while a partition is
		-- written, such an index would cost more than all else
		FOR partition IN
			SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
			WHERE i.inhparent = 'churn.prediction_log'::regclass
				AND c.relname ~ '^prediction_log_[0-9]{8}$'
				AND to_date(right(c.relname, 8), 'YYYYMMDD') < (clock_timestamp() AT TIME ZONE 'UTC')::date
				AND NOT EXISTS (SELECT FROM pg_index x JOIN pg_attribute a
					ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0]
					WHERE x.indrelid = c.oid AND a.attname = 'customer_key')
		LOOP
			EXECUTE format('CREATE INDEX ON churn.%I (customer_key, model, scored_at)', partition);
		END LOOP;
		-- last, since dropping locks the whole log
		PERFORM churn.maintain_log(retention);
		SELECT format('partitions: %s', count(*)) INTO s.message
			FROM pg_inherits i WHERE i.inhparent = 'churn.prediction_log'::regclass;
	END IF;
	RETURN s;
END
$$;
COMMENT ON FUNCTION churn.maintain_partitions(churn.maintenance_log) IS
'internal: makes partitions of churn.prediction_log ahead, indexes by customer those of days that are over, and drops old ones';

CREATE FUNCTION churn.maintain_step(number bigint)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s churn.maintenance_log;
BEGIN
	SELECT * INTO s FROM churn.maintenance_log l WHERE l.step_id = number;
	IF NOT FOUND THEN
		RETURN;					-- the model was dropped meanwhile
	END IF;
	s.state := 'done';
	s := CASE s.step
		WHEN 'validate' THEN churn.maintain_validate(s)
		WHEN 'drift' THEN churn.maintain_drift(s)
		WHEN 'measure' THEN churn.maintain_measure(s)
		WHEN 'retrain' THEN churn.maintain_retrain(s)
		WHEN 'compare' THEN churn.maintain_compare(s)
		WHEN 'promote' THEN churn.maintain_promote(s)
		WHEN 'alert' THEN churn.maintain_alert(s)
		WHEN 'purge' THEN churn.maintain_purge(s)
		WHEN 'partitions' THEN churn.maintain_partitions(s)
	END;
	UPDATE churn.maintenance_log l
		SET state = s.state, finished_at = clock_timestamp(),
			version = s.version, message = s.message, detail = s.detail
		WHERE l.step_id = number;
END
$$;
COMMENT ON FUNCTION churn.maintain_step(bigint) IS
'internal: takes a step and writes down what became of it';

CREATE FUNCTION churn.maintain_failed(number bigint, code text, error text,
									  error_detail text, error_hint text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s churn.maintenance_log;
	failure text;
BEGIN
	UPDATE churn.maintenance_log l
		SET state = 'failed', finished_at = clock_timestamp(), message = error,
			detail = jsonb_strip_nulls(jsonb_build_object('sqlstate', code,
				'detail', error_detail, 'hint', error_hint))
		WHERE l.step_id = number
		RETURNING l.* INTO s;
	-- for a model the step alert tells it, unless that is what failed
	IF FOUND AND (s.model IS NULL OR s.step = 'alert') THEN
		failure := churn.maintenance_failure(s.run_id, s.model);
		IF failure IS NOT NULL THEN
			PERFORM churn.raise_alert(s.model, 'maintenance', failure);
		END IF;
	END IF;
END
$$;
COMMENT ON FUNCTION churn.maintain_failed(bigint, text, text, text, text) IS
'internal: writes down that a step failed, and why';

--
-- 14. Quality
--
-- Estimates, from scores alone: the states are as those of section 6.

CREATE FUNCTION churn.estimated_rank_add(state bytea, score double precision)
RETURNS bytea
AS 'MODULE_PATHNAME', 'churn_estimated_rank_add'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION churn.estimated_rank_add(bytea, double precision) IS
'internal: adds a score to a ranking';

CREATE FUNCTION churn.estimated_pr_auc_final(state bytea)
RETURNS double precision
AS 'MODULE_PATHNAME', 'churn_estimated_pr_auc_final'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION churn.estimated_pr_auc_final(bytea) IS
'internal: estimated average precision of a ranking';

CREATE FUNCTION churn.estimated_roc_auc_final(state bytea)
RETURNS double precision
AS 'MODULE_PATHNAME', 'churn_estimated_roc_auc_final'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION churn.estimated_roc_auc_final(bytea) IS
'internal: estimated area under the ROC curve of a ranking';

CREATE FUNCTION churn.estimated_log_loss_add(state bytea, score double precision)
RETURNS bytea
AS 'MODULE_PATHNAME', 'churn_estimated_log_loss_add'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION churn.estimated_log_loss_add(bytea, double precision) IS
'internal: adds a score''s expected log loss';

CREATE FUNCTION churn.estimated_brier_add(state bytea, score double precision)
RETURNS bytea
AS 'MODULE_PATHNAME', 'churn_estimated_brier_add'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION churn.estimated_brier_add(bytea, double precision) IS
'internal: adds a score''s expected squared error';

CREATE FUNCTION churn.estimated_confusion_add(state bytea, score double precision,
											  threshold double precision)
RETURNS bytea
AS 'MODULE_PATHNAME', 'churn_estimated_confusion_add'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION churn.estimated_confusion_add(bytea, double precision, double precision) IS
'internal: counts a decision by what is expected of it';

CREATE FUNCTION churn.estimated_confusion_combine(state bytea, other bytea)
RETURNS bytea
AS 'MODULE_PATHNAME', 'churn_estimated_confusion_combine'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION churn.estimated_confusion_combine(bytea, bytea) IS
'internal: puts two expected counts of decisions together';

CREATE FUNCTION churn.estimated_f1_final(state bytea)
RETURNS double precision
AS 'MODULE_PATHNAME', 'churn_estimated_f1_final'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION churn.estimated_f1_final(bytea) IS
'internal: F1 of expected counts';

CREATE FUNCTION churn.estimated_precision_final(state bytea)
RETURNS double precision
AS 'MODULE_PATHNAME', 'churn_estimated_precision_final'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION churn.estimated_precision_final(bytea) IS
'internal: precision of expected counts';

CREATE FUNCTION churn.estimated_recall_final(state bytea)
RETURNS double precision
AS 'MODULE_PATHNAME', 'churn_estimated_recall_final'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION churn.estimated_recall_final(bytea) IS
'internal: recall of expected counts';

CREATE AGGREGATE churn_estimated_pr_auc(score double precision) (
	SFUNC = churn.estimated_rank_add, STYPE = bytea, SSPACE = 1024, INITCOND = '',
	COMBINEFUNC = churn.rank_combine, FINALFUNC = churn.estimated_pr_auc_final,
	FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE
);
COMMENT ON AGGREGATE churn_estimated_pr_auc(double precision) IS
'area under the precision-recall curve that calibrated scores between 0 and 1 promise';

CREATE AGGREGATE churn_estimated_roc_auc(score double precision) (
	SFUNC = churn.estimated_rank_add, STYPE = bytea, SSPACE = 1024, INITCOND = '',
	COMBINEFUNC = churn.rank_combine, FINALFUNC = churn.estimated_roc_auc_final,
	FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE
);
COMMENT ON AGGREGATE churn_estimated_roc_auc(double precision) IS
'area under the ROC curve that calibrated scores between 0 and 1 promise';

CREATE AGGREGATE churn_estimated_log_loss(score double precision) (
	SFUNC = churn.estimated_log_loss_add, STYPE = bytea, SSPACE = 64, INITCOND = '',
	COMBINEFUNC = churn.mean_combine, FINALFUNC = churn.mean_final,
	FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE
);
COMMENT ON AGGREGATE churn_estimated_log_loss(double precision) IS
'log loss that calibrated scores between 0 and 1 promise';

CREATE AGGREGATE churn_estimated_brier(score double precision) (
	SFUNC = churn.estimated_brier_add, STYPE = bytea, SSPACE = 64, INITCOND = '',
	COMBINEFUNC = churn.mean_combine, FINALFUNC = churn.mean_final,
	FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE
);
COMMENT ON AGGREGATE churn_estimated_brier(double precision) IS
'mean squared error that calibrated scores between 0 and 1 promise';

CREATE AGGREGATE churn_estimated_f1(score double precision, threshold double precision) (
	SFUNC = churn.estimated_confusion_add, STYPE = bytea, SSPACE = 96, INITCOND = '',
	COMBINEFUNC = churn.estimated_confusion_combine, FINALFUNC = churn.estimated_f1_final,
	FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE
);
COMMENT ON AGGREGATE churn_estimated_f1(double precision, double precision) IS
'F1 of saying churn where score >= threshold that calibrated scores promise';

CREATE AGGREGATE churn_estimated_precision(score double precision, threshold double precision) (
	SFUNC = churn.estimated_confusion_add, STYPE = bytea, SSPACE = 96, INITCOND = '',
	COMBINEFUNC = churn.estimated_confusion_combine, FINALFUNC = churn.estimated_precision_final,
	FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE
);
COMMENT ON AGGREGATE churn_estimated_precision(double precision, double precision) IS
'precision of saying churn where score >= threshold that calibrated scores promise';

CREATE AGGREGATE churn_estimated_recall(score double precision, threshold double precision) (
	SFUNC = churn.estimated_confusion_add, STYPE = bytea, SSPACE = 96, INITCOND = '',
	COMBINEFUNC = churn.estimated_confusion_combine, FINALFUNC = churn.estimated_recall_final,
	FINALFUNC_MODIFY = READ_ONLY, PARALLEL = SAFE
);
COMMENT ON AGGREGATE churn_estimated_recall(double precision, double precision) IS
'recall of saying churn where score >= threshold that calibrated scores promise';

-- What became of customers, and how good their scores were.

CREATE FUNCTION churn_record_outcomes(model text, source text DEFAULT NULL,
									  label text DEFAULT NULL,
									  key text DEFAULT NULL,
									  at text DEFAULT NULL,
									  positive text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'churn_record_outcomes'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000000;
COMMENT ON FUNCTION churn_record_outcomes(text, text, text, text, text, text) IS
'records who churned and who stayed, by the label of a source, with the score that each had before; at is the column, or the date, of the observation; returns how many outcomes are new';

-- The log is ordered by time, so it is read once for all customers, rather than
-- searched for each.
CREATE FUNCTION churn.scores_at(model_name text, keys text[], times timestamptz[],
								challenger boolean)
RETURNS TABLE (key text, at timestamptz, shadow boolean,
			   score double precision, version int, scored_at timestamptz)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
AS $$
	SELECT DISTINCT ON (n.key, n.at, l.origin = 'shadow') n.key, n.at,
		l.origin = 'shadow', l.score, l.version, l.scored_at
	FROM unnest(scores_at.keys, scores_at.times) AS n (key, at)
	JOIN churn.prediction_log l
		ON l.customer_key = n.key AND l.scored_at <= n.at
	WHERE l.model = scores_at.model_name
		AND l.scored_at <= (SELECT max(t) FROM unnest(scores_at.times) AS t)
		AND (scores_at.challenger OR l.origin <> 'shadow')
	ORDER BY n.key, n.at, l.origin = 'shadow', l.scored_at DESC;
$$;
COMMENT ON FUNCTION churn.scores_at(text, text[], timestamptz[], boolean) IS
'internal: the last score of the log by each customer''s time, and the challenger''s';

CREATE FUNCTION churn.estimated_quality(scores double precision[],
										threshold double precision)
RETURNS TABLE (metric text, value double precision,
			   ci_low double precision, ci_high double precision)
AS 'MODULE_PATHNAME', 'churn_estimated_quality'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000000 ROWS 13;
COMMENT ON FUNCTION churn.estimated_quality(double precision[], double precision) IS
'internal: the quality that calibrated scores promise';

CREATE FUNCTION churn.realised_quality(scores double precision[],
									   churned boolean[],
									   threshold double precision)
RETURNS TABLE (metric text, value double precision,
			   ci_low double precision, ci_high double precision)
AS 'MODULE_PATHNAME', 'churn_realised_quality'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000000 ROWS 15;
COMMENT ON FUNCTION churn.realised_quality(double precision[], boolean[], double precision) IS
'internal: the quality of scores, by what became of the customers';

CREATE FUNCTION churn.concept_drift(scores double precision[],
									churned boolean[],
									alpha double precision,
									pr_auc double precision,
									roc_auc double precision,
									test_rows bigint, test_positives bigint)
RETURNS TABLE (statistic text, value double precision,
			   threshold double precision, p_value double precision,
			   drifted boolean)
AS 'MODULE_PATHNAME', 'churn_concept_drift'
LANGUAGE C IMMUTABLE PARALLEL SAFE COST 1000000 ROWS 3;
COMMENT ON FUNCTION churn.concept_drift(double precision[], boolean[], double precision, double precision, double precision, bigint, bigint) IS
'internal: tests of scores against what became of the customers, and against the quality on test rows';

-- Estimates the quality of the scores of a day: of those of the log, the last
-- one of a customer and version, or, where the log has none, of the predictions
-- that are of that day.  These get fewer as customers are scored again: what was
-- measured on more of them stays.
CREATE FUNCTION churn.measure_estimated(model_name text, window_day date)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	day_start timestamptz := window_day::timestamp AT TIME ZONE 'UTC';
	day_end timestamptz := (window_day + 1)::timestamp AT TIME ZONE 'UTC';
	g record;
BEGIN
	FOR g IN
		WITH logged AS MATERIALIZED (
			SELECT DISTINCT ON (l.origin = 'shadow', l.version, l.customer_key)
				CASE WHEN l.origin = 'shadow' THEN 'challenger' ELSE 'champion' END AS role,
				l.version, l.score
			FROM churn.prediction_log l
			WHERE l.model = model_name
				AND l.scored_at >= day_start AND l.scored_at < day_end
			ORDER BY l.origin = 'shadow', l.version, l.customer_key, l.scored_at DESC),
		scored AS (
			SELECT l.role, l.version, l.score FROM logged l
			UNION ALL
			SELECT 'champion', p.version, p.score FROM churn.predictions p
			WHERE p.model = model_name
				AND p.scored_at >= day_start AND p.scored_at < day_end
				AND NOT EXISTS (SELECT FROM logged l WHERE l.role = 'champion'))
		SELECT s.role, s.version, v.threshold, count(*) AS n,
			array_agg(s.score) AS scores
		FROM scored s JOIN churn.model_versions v
			ON v.model = model_name AND v.version = s.version
		GROUP BY s.role, s.version, v.threshold
	LOOP
		CONTINUE WHEN EXISTS (SELECT FROM churn.quality q
			WHERE q.model = model_name AND q.version = g.version
				AND q.day = window_day AND q.role = g.role
				AND q.basis = 'estimated' AND q.n > g.n);
		INSERT INTO churn.quality AS q (model, version, day, role, basis, metric,
				value, ci_low, ci_high, n)
			SELECT model_name, g.version, window_day, g.role, 'estimated',
				e.metric, e.value, e.ci_low, e.ci_high, g.n
			FROM churn.estimated_quality(g.scores, g.threshold) e
			ON CONFLICT (model, version, day, role, basis, metric) DO UPDATE SET
				value = excluded.value, ci_low = excluded.ci_low,
				ci_high = excluded.ci_high, n = excluded.n;
	END LOOP;
END
$$;
COMMENT ON FUNCTION churn.measure_estimated(text, date) IS
'internal: estimates the quality of the scores of a day';

-- Measures the scores that customers had whose outcomes were observed on a day.
CREATE FUNCTION churn.measure_realised(model_name text, window_day date)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	day_start timestamptz := window_day::timestamp AT TIME ZONE 'UTC';
	day_end timestamptz := (window_day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
	DELETE FROM churn.quality q WHERE q.model = model_name
		AND q.day = window_day AND q.basis = 'realised';
	INSERT INTO churn.quality (model, version, day, role, basis, metric, value,
			ci_low, ci_high, n)
		WITH observed AS MATERIALIZED (
			SELECT DISTINCT ON (o.customer_key) o.churned, o.score, o.version,
				o.challenger_score, o.challenger_version
			FROM churn.outcomes o
			WHERE o.model = model_name AND o.status = 'confirmed'
				AND o.observed_at >= day_start AND o.observed_at < day_end
			ORDER BY o.customer_key, o.observed_at DESC),
		scored AS (
			SELECT 'champion' AS role, o.version, o.score, o.churned
			FROM observed o WHERE o.score IS NOT NULL
			UNION ALL
			SELECT 'challenger', o.challenger_version, o.challenger_score, o.churned
			FROM observed o WHERE o.challenger_score IS NOT NULL),
		grouped AS (
			SELECT s.role, s.version, v.threshold, count(*) AS n,
				array_agg(s.score) AS scores, array_agg(s.churned) AS churned
			FROM scored s JOIN churn.model_versions v
				ON v.model = model_name AND v.version = s.version
			GROUP BY s.role, s.version, v.threshold)
		SELECT model_name, g.version, window_day, g.role, 'realised', r.metric,
			r.value, r.ci_low, r.ci_high, g.n
		FROM grouped g,
			churn.realised_quality(g.scores, g.churned, g.threshold) r;
END
$$;
COMMENT ON FUNCTION churn.measure_realised(text, date) IS
'internal: measures the quality of scores by the outcomes of a day';

-- Tests the outcomes of a window for concept drift, each customer's last one,
-- and writes the verdict, unless there is none: then it returns why.
CREATE FUNCTION churn.test_concept(model_name text, tested int, checked tstzrange)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	policy churn.policies;
	v record;
	g record;
	fewest bigint;
	pending bigint;
	number bigint;
BEGIN
	SELECT * INTO policy FROM churn.policies p WHERE p.model = model_name;
	fewest := coalesce(policy.min_rows, 500);
	SELECT count(*) AS n, count(*) FILTER (WHERE o.churned) AS churned,
			array_agg(o.score) AS scores, array_agg(o.churned) AS outcomes
		INTO g
		FROM (SELECT DISTINCT ON (o.customer_key) o.score, o.churned
			FROM churn.outcomes o
			WHERE o.model = model_name AND o.status = 'confirmed'
				AND o.version = tested AND o.observed_at < upper(checked)
				AND o.observed_at >= coalesce(lower(checked), '-infinity')
			ORDER BY o.customer_key, o.observed_at DESC) o;
	SELECT count(*) INTO pending FROM churn.outcomes o
		WHERE o.model = model_name AND o.status = 'pending'
			AND o.version = tested AND o.observed_at < upper(checked)
			AND o.observed_at >= coalesce(lower(checked), '-infinity');
	DELETE FROM churn.drift d WHERE d.model = model_name AND d.version = tested
		AND d.feature = '(concept)' AND d.checked_window = checked;
	IF g.n < fewest THEN
		RETURN format('%s outcomes are too few, at least %s are wanted', g.n, fewest);
	ELSIF g.churned = 0 OR g.churned = g.n THEN
		RETURN format('all %s customers %s', g.n,
			CASE WHEN g.churned = 0 THEN 'stayed' ELSE 'churned' END);
	ELSIF pending > 0.05 * (g.n + pending) THEN
		-- churners tend to be known first
		RETURN format('%s of %s outcomes are pending', pending, g.n + pending);
	END IF;

	SELECT x.test_rows, x.test_positives INTO v FROM churn.model_versions x
		WHERE x.model = model_name AND x.version = tested;
	number := nextval('churn.drift_check_id_seq');
	INSERT INTO churn.drift (check_id, model, version, checked_at, checked_window,
			source, rows, feature, statistic, value, threshold, p_value, drifted)
		SELECT number, model_name, tested, clock_timestamp(), checked,
			'churn.outcomes', g.n, '(concept)', t.statistic, t.value,
			greatest(t.threshold, x.allowed), t.p_value,
			t.drifted AND t.value >= coalesce(x.allowed, t.value)
		FROM churn.concept_drift(g.scores, g.outcomes,
			coalesce(policy.drift_alpha, 0.01),
			(SELECT m.value FROM churn.metrics m WHERE m.model = model_name
				AND m.version = tested AND m.dataset = 'test'
				AND m.metric = 'pr_auc' AND m.candidate = ''
				AND coalesce(policy.quality_metric, 'pr_auc') = 'pr_auc'),
			(SELECT m.value FROM churn.metrics m WHERE m.model = model_name
				AND m.version = tested AND m.dataset = 'test'
				AND m.metric = 'roc_auc' AND m.candidate = ''
				AND coalesce(policy.quality_metric, 'roc_auc') = 'roc_auc'),
			v.test_rows, v.test_positives) t
		CROSS JOIN LATERAL (SELECT CASE
			WHEN t.statistic = policy.quality_metric || '_drop'
			THEN policy.quality_drop END AS allowed) x;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION churn.test_concept(text, int, tstzrange) IS
'internal: tests the outcomes of a version in a window for concept drift; says why if there is no verdict';

-- Tests each version whose outcomes a day has.  A day without enough of them
-- is tested together with days before that were not either, so that every
-- outcome is in one window; a day that has been tested, in its window again.
CREATE FUNCTION churn.measure_concept(model_name text, window_day date)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	day_start timestamptz := window_day::timestamp AT TIME ZONE 'UTC';
	day_end timestamptz := (window_day + 1)::timestamp AT TIME ZONE 'UTC';
	tested int;
	checked tstzrange;
	reason text;
	reasons text;
BEGIN
	FOR tested IN
		SELECT DISTINCT o.version FROM churn.outcomes o
		JOIN churn.model_versions v ON v.model = model_name AND v.version = o.version
		WHERE o.model = model_name AND o.status = 'confirmed'
			AND o.observed_at >= day_start AND o.observed_at < day_end
		ORDER BY o.version
	LOOP
		SELECT d.checked_window INTO checked FROM churn.drift d
			WHERE d.model = model_name AND d.version = tested
				AND d.feature = '(concept)' AND d.checked_window @> day_start
			LIMIT 1;
		IF NOT FOUND THEN
			SELECT tstzrange(date_trunc('day', min(o.observed_at), 'UTC'), day_end)
				INTO checked
				FROM churn.outcomes o
				WHERE o.model = model_name AND o.status = 'confirmed'
					AND o.version = tested AND o.observed_at < day_end
					AND o.observed_at >= (
						SELECT coalesce(max(upper(d.checked_window)), '-infinity')
						FROM churn.drift d
						WHERE d.model = model_name AND d.version = tested
							AND d.feature = '(concept)'
							AND upper(d.checked_window) <= day_start);
		END IF;
		reason := churn.test_concept(model_name, tested, checked);
		reasons := concat_ws('; ', reasons, format('version %s: ', tested) || reason);
	END LOOP;
	RETURN nullif(reasons, '');
END
$$;
COMMENT ON FUNCTION churn.measure_concept(text, date) IS
'internal: tests the outcomes of a day for concept drift; says why where there is no verdict';

-- The days that have changed: whose scores were not looked at since they were
-- over, or that have new outcomes.
CREATE FUNCTION churn.changed_days(model_name text)
RETURNS TABLE (day date, estimated boolean, realised boolean)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
	days date[];
	more date[];
	part record;
BEGIN
	SELECT array_agg(DISTINCT (p.scored_at AT TIME ZONE 'UTC')::date) INTO days
		FROM churn.predictions p WHERE p.model = model_name;
	FOR part IN SELECT c.oid::regclass AS name, c.relname
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = 'churn.prediction_log'::regclass
	LOOP
		IF part.relname ~ '^prediction_log_[0-9]{8}$' THEN
			more := ARRAY[to_date(right(part.relname, 8), 'YYYYMMDD')];
		ELSE
			EXECUTE format('SELECT array_agg(DISTINCT (l.scored_at AT TIME ZONE ''UTC'')::date) FROM %s l WHERE l.model = $1', part.name)
				INTO more USING model_name;
		END IF;
		days := days || more;
	END LOOP;
	RETURN QUERY
		SELECT x.day, bool_or(x.estimated), bool_or(x.realised)
		FROM (SELECT d.day, false AS estimated, true AS realised
			FROM churn.measured_days d WHERE d.model = model_name AND d.pending
			UNION ALL
			SELECT s.day, true, false FROM unnest(days) AS s (day)
			WHERE s.day <= today AND NOT EXISTS (SELECT FROM churn.measured_days d
				WHERE d.model = model_name AND d.day = s.day
					-- a score may be written a little after it was found
					AND d.estimated_at > ((s.day + 1)::timestamp + interval '1 hour')
						AT TIME ZONE 'UTC')) AS x
		GROUP BY x.day ORDER BY x.day;
END
$$;
COMMENT ON FUNCTION churn.changed_days(text) IS
'internal: the days of a model that churn_measure() has to look at';

CREATE FUNCTION churn_measure(model text, day date DEFAULT NULL)
RETURNS SETOF churn.quality
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	m churn.models;
	c record;
	reasons text;
BEGIN
	IF churn_measure.model IS NULL THEN
		RAISE EXCEPTION USING
			ERRCODE = 'null_value_not_allowed',
			MESSAGE = 'model must not be null';
	END IF;
	SELECT * INTO m FROM churn.models x WHERE x.name = churn_measure.model;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING
			ERRCODE = 'undefined_object',
			MESSAGE = format('model "%s" does not exist', churn_measure.model),
			HINT = 'The table churn.models lists the models.';
	END IF;
	-- one at a time; "chrq"
	PERFORM pg_advisory_xact_lock(1667789425, m.model_id);
	FOR c IN
		SELECT d.day, d.estimated, d.realised FROM churn.changed_days(m.name) d
		WHERE churn_measure.day IS NULL
		UNION ALL
		SELECT churn_measure.day, true, true WHERE churn_measure.day IS NOT NULL
		ORDER BY 1
	LOOP
		-- before the outcomes are read, lest some come unnoticed in between
		INSERT INTO churn.measured_days AS d (model, day, pending, estimated_at)
			VALUES (m.name, c.day, false, CASE WHEN c.estimated THEN clock_timestamp() END)
			ON CONFLICT ON CONSTRAINT measured_days_pkey DO UPDATE SET pending = false,
				estimated_at = coalesce(excluded.estimated_at, d.estimated_at);
		IF c.estimated THEN
			PERFORM churn.measure_estimated(m.name, c.day);
		END IF;
		IF c.realised THEN
			PERFORM churn.measure_realised(m.name, c.day);
			reasons := churn.measure_concept(m.name, c.day);
		END IF;
		RETURN QUERY SELECT q.* FROM churn.quality q
			WHERE q.model = m.name AND q.day = c.day
			ORDER BY q.version, q.role, q.basis, q.metric;
	END LOOP;
	IF reasons IS NOT NULL THEN
		RAISE NOTICE USING
			MESSAGE = format('there is no verdict yet on concept drift of model "%s"', m.name),
			DETAIL = reasons || '.';
	END IF;
	-- against being dropped meanwhile
	PERFORM FROM churn.models x WHERE x.model_id = m.model_id FOR KEY SHARE;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING
			ERRCODE = 'undefined_object',
			MESSAGE = format('model "%s" has been dropped meanwhile', m.name);
	END IF;
END
$$;
COMMENT ON FUNCTION churn_measure(text, date) IS
'measures the quality of the scores of a UTC day, or of all days that have changed, into churn.quality, and tests for concept drift';

CREATE VIEW churn.model_health AS
	SELECT d.model, d.day,
		coalesce(p.version, e.version, r.version) AS version,
		e.n AS predictions, e.base_rate AS mean_score,
		e.pr_auc AS estimated_pr_auc, e.roc_auc AS estimated_roc_auc,
		e.f1 AS estimated_f1, e.brier AS estimated_brier,
		e.log_loss AS estimated_log_loss,
		r.n AS outcomes, r.version AS outcomes_version,
		r.base_rate AS churn_rate,
		r.pr_auc, r.pr_auc_low, r.pr_auc_high,
		r.roc_auc, r.roc_auc_low, r.roc_auc_high,
		r.f1, r.brier, r.log_loss, r.ece,
		t.pr_auc AS test_pr_auc, t.roc_auc AS test_roc_auc,
		t.f1 AS test_f1, t.brier AS test_brier,
		f.drifted AS data_drift, f.value::int AS drifted_features,
		c.drifted AS concept_drift,
		s.version AS challenger, s.n AS challenger_outcomes,
		s.pr_auc AS challenger_pr_auc, s.roc_auc AS challenger_roc_auc,
		s.f1 AS challenger_f1, s.brier AS challenger_brier
	FROM (SELECT q.model, q.day FROM churn.quality q GROUP BY q.model, q.day
		UNION SELECT x.model, (x.checked_at AT TIME ZONE 'UTC')::date
		FROM churn.drift x WHERE x.feature = '(model)') d
	-- in force when the day ended
	LEFT JOIN LATERAL (SELECT x.version FROM churn.deployments x
		WHERE x.model = d.model
			AND lower(x.during) < (d.day + 1)::timestamp AT TIME ZONE 'UTC'
		ORDER BY lower(x.during) DESC LIMIT 1) p ON true
	LEFT JOIN LATERAL (SELECT q.version, max(q.n) AS n,
			max(q.value) FILTER (WHERE q.metric = 'base_rate') AS base_rate,
			max(q.value) FILTER (WHERE q.metric = 'pr_auc') AS pr_auc,
			max(q.value) FILTER (WHERE q.metric = 'roc_auc') AS roc_auc,
			max(q.value) FILTER (WHERE q.metric = 'f1') AS f1,
			max(q.value) FILTER (WHERE q.metric = 'brier') AS brier,
			max(q.value) FILTER (WHERE q.metric = 'log_loss') AS log_loss
		FROM churn.quality q WHERE q.model = d.model AND q.day = d.day
			AND q.role = 'champion' AND q.basis = 'estimated'
		GROUP BY q.version ORDER BY max(q.n) DESC, q.version DESC LIMIT 1) e ON true
	LEFT JOIN LATERAL (SELECT q.version, max(q.n) AS n,
			max(q.value) FILTER (WHERE q.metric = 'base_rate') AS base_rate,
			max(q.value) FILTER (WHERE q.metric = 'pr_auc') AS pr_auc,
			max(q.ci_low) FILTER (WHERE q.metric = 'pr_auc') AS pr_auc_low,
			max(q.ci_high) FILTER (WHERE q.metric = 'pr_auc') AS pr_auc_high,
			max(q.value) FILTER (WHERE q.metric = 'roc_auc') AS roc_auc,
			max(q.ci_low) FILTER (WHERE q.metric = 'roc_auc') AS roc_auc_low,
			max(q.ci_high) FILTER (WHERE q.metric = 'roc_auc') AS roc_auc_high,
			max(q.value) FILTER (WHERE q.metric = 'f1') AS f1,
			max(q.value) FILTER (WHERE q.metric = 'brier') AS brier,
			max(q.value) FILTER (WHERE q.metric = 'log_loss') AS log_loss,
			max(q.value) FILTER (WHERE q.metric = 'ece') AS ece
		FROM churn.quality q WHERE q.model = d.model AND q.day = d.day
			AND q.role = 'champion' AND q.basis = 'realised'
		GROUP BY q.version ORDER BY max(q.n) DESC, q.version DESC LIMIT 1) r ON true
	LEFT JOIN LATERAL (SELECT q.version, max(q.n) AS n,
			max(q.value) FILTER (WHERE q.metric = 'pr_auc') AS pr_auc,
			max(q.value) FILTER (WHERE q.metric = 'roc_auc') AS roc_auc,
			max(q.value) FILTER (WHERE q.metric = 'f1') AS f1,
			max(q.value) FILTER (WHERE q.metric = 'brier') AS brier
		FROM churn.quality q WHERE q.model = d.model AND q.day = d.day
			AND q.role = 'challenger' AND q.basis = 'realised'
		GROUP BY q.version ORDER BY max(q.n) DESC, q.version DESC LIMIT 1) s ON true
	LEFT JOIN LATERAL (SELECT
			max(m.value) FILTER (WHERE m.metric = 'pr_auc') AS pr_auc,
			max(m.value) FILTER (WHERE m.metric = 'roc_auc') AS roc_auc,
			max(m.value) FILTER (WHERE m.metric = 'f1') AS f1,
			max(m.value) FILTER (WHERE m.metric = 'brier') AS brier
		FROM churn.metrics m WHERE m.model = d.model
			AND m.version = coalesce(r.version, p.version, e.version)
			AND m.dataset = 'test' AND m.candidate = '') t ON true
	LEFT JOIN LATERAL (SELECT x.drifted, x.value FROM churn.drift x
		WHERE x.model = d.model AND x.feature = '(model)'
			AND x.statistic = 'drifted_features' AND x.segment IS NULL
			AND x.checked_at >= d.day::timestamp AT TIME ZONE 'UTC'
			AND x.checked_at < (d.day + 1)::timestamp AT TIME ZONE 'UTC'
		ORDER BY x.checked_at DESC LIMIT 1) f ON true
	LEFT JOIN LATERAL (SELECT bool_or(x.drifted) AS drifted FROM churn.drift x
		WHERE x.model = d.model AND x.feature = '(concept)'
			AND x.version = r.version
			AND x.checked_window @> d.day::timestamp AT TIME ZONE 'UTC') c ON true;
COMMENT ON VIEW churn.model_health IS 'how well each model does, by UTC day: what its scores promise, what became of it, and whether data or customers have changed';
COMMENT ON COLUMN churn.model_health.model IS 'name of the model';
COMMENT ON COLUMN churn.model_health.day IS 'UTC day';
COMMENT ON COLUMN churn.model_health.version IS 'version in force when the day ended';
COMMENT ON COLUMN churn.model_health.predictions IS 'customers that were scored that day; null if none was';
COMMENT ON COLUMN churn.model_health.mean_score IS 'mean of their scores: the share of them that is expected to churn';
COMMENT ON COLUMN churn.model_health.estimated_pr_auc IS 'PR-AUC that their scores promise';
COMMENT ON COLUMN churn.model_health.estimated_roc_auc IS 'ROC-AUC that their scores promise';
COMMENT ON COLUMN churn.model_health.estimated_f1 IS 'F1 at the version''s threshold that their scores promise';
COMMENT ON COLUMN churn.model_health.estimated_brier IS 'Brier score that their scores promise';
COMMENT ON COLUMN churn.model_health.estimated_log_loss IS 'log loss that their scores promise';
COMMENT ON COLUMN churn.model_health.outcomes IS 'customers with a score whose outcome was observed that day; null if there was none';
COMMENT ON COLUMN churn.model_health.outcomes_version IS 'version that had given most of them their score';
COMMENT ON COLUMN churn.model_health.churn_rate IS 'share of them that churned';
COMMENT ON COLUMN churn.model_health.pr_auc IS 'PR-AUC of the scores that they had before';
COMMENT ON COLUMN churn.model_health.pr_auc_low IS 'lower end of its 95 % interval';
COMMENT ON COLUMN churn.model_health.pr_auc_high IS 'upper end of its 95 % interval';
COMMENT ON COLUMN churn.model_health.roc_auc IS 'ROC-AUC of the scores that they had before';
COMMENT ON COLUMN churn.model_health.roc_auc_low IS 'lower end of its 95 % interval';
COMMENT ON COLUMN churn.model_health.roc_auc_high IS 'upper end of its 95 % interval';
COMMENT ON COLUMN churn.model_health.f1 IS 'F1 of these scores at the version''s threshold';
COMMENT ON COLUMN churn.model_health.brier IS 'Brier score of these scores';
COMMENT ON COLUMN churn.model_health.log_loss IS 'log loss of these scores';
COMMENT ON COLUMN churn.model_health.ece IS 'expected calibration error of these scores';
COMMENT ON COLUMN churn.model_health.test_pr_auc IS 'PR-AUC on the test rows of the version that gave them, else of the version in force: the baseline';
COMMENT ON COLUMN churn.model_health.test_roc_auc IS 'ROC-AUC on these test rows';
COMMENT ON COLUMN churn.model_health.test_f1 IS 'F1 on these test rows';
COMMENT ON COLUMN churn.model_health.test_brier IS 'Brier score on these test rows';
COMMENT ON COLUMN churn.model_health.data_drift IS 'verdict of the day''s last churn_drift() of the model as a whole; null if there was none';
COMMENT ON COLUMN churn.model_health.drifted_features IS 'features that had drifted by that';
COMMENT ON COLUMN churn.model_health.concept_drift IS 'verdict of the tests of the outcomes of the window that the day is in; null if there is none';
COMMENT ON COLUMN churn.model_health.challenger IS 'version that scored in the shadow of the champion before these outcomes; null if none did';
COMMENT ON COLUMN churn.model_health.challenger_outcomes IS 'customers with an outcome that it had scored';
COMMENT ON COLUMN churn.model_health.challenger_pr_auc IS 'PR-AUC of its scores';
COMMENT ON COLUMN churn.model_health.challenger_roc_auc IS 'ROC-AUC of its scores';
COMMENT ON COLUMN churn.model_health.challenger_f1 IS 'F1 of its scores at its threshold';
COMMENT ON COLUMN churn.model_health.challenger_brier IS 'Brier score of its scores';

REVOKE ALL ON FUNCTION churn_record_outcomes(text, text, text, text, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_measure(text, date) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.scores_at(text, text[], timestamptz[], boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.estimated_quality(double precision[], double precision) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.realised_quality(double precision[], boolean[], double precision) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.concept_drift(double precision[], boolean[], double precision, double precision, double precision, bigint, bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.measure_estimated(text, date) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.measure_realised(text, date) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.test_concept(text, int, tstzrange) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.measure_concept(text, date) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.changed_days(text) FROM PUBLIC;

--
-- 15. Privileges
--
-- Scoring is open to all, since it tells nothing of rows that the caller
-- does not hold; all that trains, alters or shows models is not.

REVOKE ALL ON FUNCTION churn_rescore(text, int) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_train(text, text, text, text, text, text, text[], jsonb, jsonb, jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_evaluate(text, text, int, text, text, text, int) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_drift(text, text, int, text, interval) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_compare(text, int, int, text, int, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_promote(text, int) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_set_challenger(text, int) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_rollback(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_drop_model(text, int) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_export(text, int, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_sql(text, int) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_import(text, bytea, jsonb, text, text, text, text, double precision, jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_watch(text, text, text, boolean, int) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_unwatch(text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_add_alert_rule(text, text, interval, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_drop_alert_rule(text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_take_alerts(int, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.raise_alert(text, text, text, int) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.maintain_log(interval) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.deploy(text, int, text, bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.lock_model(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.require_version(text, int) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.require_fit(text, int) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.register_version(jsonb, bytea, bytea, bytea) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_set_policy(text, text, interval, double precision, double precision, text, text, double precision, interval, bigint, text, interval, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn_drop_policy(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.write_policy(churn.policies) FROM PUBLIC;
REVOKE ALL ON PROCEDURE churn_maintain(text, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.train_as(name, regprocedure, text, text, text, text, text, text, text[], jsonb, jsonb, jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.maintenance_steps(bigint, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.maintenance_due(jsonb, interval) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.maintain_begin(text, boolean, name) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.maintain_next(bigint, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.maintain_validate(churn.maintenance_log) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.maintain_drift(churn.maintenance_log) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.maintain_measure(churn.maintenance_log) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.maintenance_reasons(churn.maintenance_log) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.maintain_retrain(churn.maintenance_log) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.maintain_compare(churn.maintenance_log) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.maintain_promote(churn.maintenance_log) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.maintenance_failure(bigint, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.maintain_alert(churn.maintenance_log) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.maintain_purge(churn.maintenance_log) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.maintain_partitions(churn.maintenance_log) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.maintain_step(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.maintain_failed(bigint, text, text, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION churn.baseline(text, int) FROM PUBLIC;
