--
-- The contract of the functions, the view and the settings: what a user may
-- rely on from release to release.  A change here is a change of the interface.
--
-- Runs in one transaction, in a database that has churn and pgtap.
--
\set ON_ERROR_STOP on
SET client_min_messages = warning;
BEGIN;
SELECT * FROM no_plan();

--
-- The extension
--
SELECT has_extension('churn');
SELECT is(extversion, (SELECT default_version FROM pg_available_extensions WHERE name = 'churn'),
	'the default version is the one installed')
	FROM pg_extension WHERE extname = 'churn';
SELECT ok(NOT extrelocatable, 'it stays in the schema it was created in')
	FROM pg_extension WHERE extname = 'churn';
SELECT ok(superuser AND NOT trusted, 'only a superuser creates it')
	FROM pg_available_extension_versions
	WHERE name = 'churn' AND version = (SELECT extversion FROM pg_extension WHERE extname = 'churn');
SELECT has_schema('churn');
SELECT is(obj_description('churn'::regnamespace, 'pg_namespace') IS NOT NULL, true,
	'schema churn has a comment');

--
-- Functions.  volatility: i, s, v; parallel: s(afe), r(estricted), u(nsafe)
--
CREATE TEMP TABLE expected_functions (
	schema name, name name, arguments text, result text, language name,
	volatile "char", strict boolean, parallel "char", definer boolean,
	returns_set boolean, config text[]);
INSERT INTO expected_functions VALUES
	('public', 'churn_score',
	 'customer record, model text DEFAULT NULL::text, version integer DEFAULT NULL::integer',
	 'double precision', 'c', 's', false, 's', false, false, NULL),
	('public', 'churn_margin',
	 'customer record, model text DEFAULT NULL::text, version integer DEFAULT NULL::integer',
	 'real', 'c', 's', false, 's', false, false, NULL),
	('public', 'churn_predict',
	 'customer record, model text DEFAULT NULL::text, OUT score double precision, OUT churn boolean, OUT band text, OUT model text, OUT version integer',
	 'record', 'c', 's', false, 's', false, false, NULL),
	('public', 'churn_explain',
	 'customer record, model text DEFAULT NULL::text, version integer DEFAULT NULL::integer',
	 'TABLE(feature text, value text, contribution double precision)',
	 'c', 's', false, 's', false, true, NULL),
	('public', 'churn_reasons',
	 'customer record, model text DEFAULT NULL::text, version integer DEFAULT NULL::integer, '
	 'top integer DEFAULT 3',
	 'text[]', 'c', 's', false, 's', false, false, NULL),
	('public', 'churn_rescore', 'model text, reasons integer DEFAULT 0',
	 'bigint', 'c', 'v', true, 'u', false, false, NULL),
	('public', 'churn_train',
	 'source text, label text, key text DEFAULT NULL::text, model text DEFAULT NULL::text, '
	 'algorithm text DEFAULT ''auto''::text, positive text DEFAULT NULL::text, '
	 'exclude text[] DEFAULT NULL::text[], transform jsonb DEFAULT NULL::jsonb, '
	 'params jsonb DEFAULT NULL::jsonb, options jsonb DEFAULT NULL::jsonb, '
	 'OUT model text, OUT version integer, OUT algorithm text, OUT promoted boolean, '
	 'OUT pr_auc double precision, OUT roc_auc double precision, OUT f1 double precision, '
	 'OUT "precision" double precision, OUT recall double precision, '
	 'OUT threshold double precision, OUT rows bigint, OUT seconds double precision',
	 'record', 'c', 'v', false, 'u', false, false, NULL),
	('public', 'churn_drift',
	 'model text, source text DEFAULT NULL::text, version integer DEFAULT NULL::integer, '
	 'segment text DEFAULT NULL::text, stream interval DEFAULT NULL::interval',
	 'SETOF churn.drift', 'c', 'v', false, 'u', false, true, NULL),
	('churn', 'drift_add', 'state bytea, baseline text, described text[], model text, version integer, VARIADIC columns "any"',
	 'bytea', 'c', 's', false, 's', false, false, NULL),
	('public', 'churn_profile', 'baseline text, described text[], model text, version integer, VARIADIC columns "any"',
	 'bytea', 'internal', 'i', false, 's', false, false, NULL),
	('churn', 'drift_combine', 'state bytea, other bytea', 'bytea', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'drift_final', 'state bytea', 'bytea', 'c', 'i', true, 's', false, false, NULL),
	('public', 'churn_promote', 'model text, version integer',
	 'void', 'plpgsql', 'v', true, 'u', true, false, '{"search_path=pg_catalog, pg_temp"}'),
	('public', 'churn_rollback', 'model text',
	 'integer', 'plpgsql', 'v', true, 'u', true, false, '{"search_path=pg_catalog, pg_temp"}'),
	('public', 'churn_set_challenger', 'model text, version integer',
	 'void', 'plpgsql', 'v', false, 'u', true, false, '{"search_path=pg_catalog, pg_temp"}'),
	('public', 'churn_drop_model', 'model text, version integer DEFAULT NULL::integer',
	 'void', 'plpgsql', 'v', false, 'u', true, false, '{"search_path=pg_catalog, pg_temp"}'),
	('public', 'churn_export',
	 'model text, version integer DEFAULT NULL::integer, format text DEFAULT ''ubj''::text',
	 'bytea', 'c', 's', false, 's', false, false, NULL),
	('public', 'churn_sql', 'model text, version integer DEFAULT NULL::integer',
	 'text', 'c', 's', false, 's', false, false, NULL),
	('public', 'churn_import',
	 'model text, artifact bytea, features jsonb DEFAULT NULL::jsonb, source text DEFAULT NULL::text, '
	 'key text DEFAULT NULL::text, label text DEFAULT NULL::text, positive text DEFAULT NULL::text, '
	 'threshold double precision DEFAULT NULL::double precision, options jsonb DEFAULT NULL::jsonb, '
	 'OUT model text, OUT version integer, OUT algorithm text, OUT promoted boolean, '
	 'OUT features integer, OUT trees integer',
	 'record', 'c', 'v', false, 'u', false, false, NULL),
	('public', 'churn_sample_customers',
	 'n bigint DEFAULT 10000, seed bigint DEFAULT 42',
	 'TABLE(customer_id text, gender text, senior_citizen integer, partner text, dependents text, '
	 'tenure integer, phone_service text, multiple_lines text, internet_service text, '
	 'online_security text, online_backup text, device_protection text, tech_support text, '
	 'streaming_tv text, streaming_movies text, contract text, paperless_billing text, '
	 'payment_method text, monthly_charges double precision, total_charges double precision, '
	 'churn text)',
	 'c', 'i', true, 's', false, true, NULL),
	('churn', 'score_columns',
	 'relation oid, model text, version integer, VARIADIC columns "any"',
	 'double precision', 'c', 's', false, 's', false, false, NULL),
	('churn', 'margin_columns',
	 'relation oid, model text, version integer, VARIADIC columns "any"',
	 'real', 'c', 's', false, 's', false, false, NULL),
	('churn', 'score_support', 'internal',
	 'internal', 'c', 's', true, 's', false, false, NULL),
	('churn', 'progress',
	 'OUT pid integer, OUT datid oid, OUT datname name, OUT relid oid, OUT phase text, '
	 'OUT rows_read bigint, OUT rows_total bigint, OUT round integer, OUT rounds_total integer, '
	 'OUT metric double precision, OUT started_at timestamp with time zone, '
	 'OUT elapsed interval, OUT estimated interval',
	 'SETOF record', 'c', 'v', false, 'r', false, true, NULL),
	('churn', 'stream',
	 'OUT pid integer, OUT state text, OUT slot name, OUT watches integer, OUT paused integer, '
	 'OUT applied_lsn pg_lsn, OUT applied_at timestamp with time zone, '
	 'OUT caught_up_at timestamp with time zone, OUT changes bigint, OUT scored bigint, '
	 'OUT written bigint, OUT batches bigint, OUT last_batch integer, '
	 'OUT changes_per_second double precision, OUT scores_per_second double precision, '
	 'OUT latency_p50_ms double precision, OUT latency_p95_ms double precision, '
	 'OUT latency_p99_ms double precision, OUT rescans_pending integer, OUT last_error text, '
	 'OUT last_error_at timestamp with time zone, OUT started_at timestamp with time zone, '
	 'OUT write_seconds double precision',
	 'SETOF record', 'c', 'v', false, 'r', false, true, NULL),
	('public', 'churn_watch',
	 'model text, relation text DEFAULT NULL::text, key text DEFAULT NULL::text, '
	 'allow_deletes boolean DEFAULT true, reasons integer DEFAULT 0',
	 'void', 'c', 'v', false, 'u', false, false, NULL),
	('public', 'churn_unwatch', 'model text, relation text DEFAULT NULL::text',
	 'integer', 'c', 'v', false, 'u', false, false, NULL),
	('public', 'churn_add_alert_rule',
	 'model text, condition text, cooldown interval DEFAULT ''00:00:00''::interval, '
	 'name text DEFAULT NULL::text',
	 'integer', 'c', 'v', false, 'u', false, false, NULL),
	('public', 'churn_drop_alert_rule', 'model text, name text',
	 'void', 'plpgsql', 'v', true, 'u', true, false, '{"search_path=pg_catalog, pg_temp"}'),
	('public', 'churn_take_alerts',
	 'n integer DEFAULT 100, model text DEFAULT NULL::text, kind text DEFAULT ''customer''::text',
	 'SETOF churn.alerts', 'sql', 'v', false, 'u', true, true, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'maintain_log', 'retention interval',
	 'void', 'plpgsql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('public', 'churn_validate',
	 'model text, source text DEFAULT NULL::text, version integer DEFAULT NULL::integer',
	 'SETOF churn.data_issues', 'c', 'v', false, 'u', false, true, NULL),
	('public', 'churn_wait', 'timeout interval DEFAULT ''00:00:10''::interval',
	 'boolean', 'c', 'v', true, 'u', false, false, NULL),
	('churn', 'deploy',
	 'model_name text, new_version integer, reason text, restored bigint DEFAULT NULL::bigint',
	 'void', 'plpgsql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'lock_model', 'model_name text',
	 'churn.models', 'plpgsql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'require_fit', 'model_name text, wanted integer',
	 'void', 'c', 'v', true, 'u', false, false, NULL),
	('churn', 'require_version', 'model_name text, wanted integer',
	 'void', 'plpgsql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'register_version',
	 'info jsonb, artifact bytea, compiled bytea, sha256 bytea, '
	 'OUT version integer, OUT promoted boolean, OUT reason text',
	 'record', 'plpgsql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'baseline', 'model text, version integer DEFAULT NULL::integer',
	 'jsonb', 'sql', 's', false, 's', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('public', 'churn_evaluate',
	 'model text, source text DEFAULT NULL::text, version integer DEFAULT NULL::integer, '
	 'label text DEFAULT NULL::text, positive text DEFAULT NULL::text, '
	 'part text DEFAULT NULL::text, resamples integer DEFAULT NULL::integer',
	 'TABLE(metric text, value double precision, ci_low double precision, ci_high double precision, n bigint)',
	 'c', 'v', false, 'u', false, true, NULL),
	('churn', 'raise_alert', 'model text, kind text, message text, version integer DEFAULT NULL::integer',
	 'bigint', 'plpgsql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('public', 'churn_set_policy',
	 'model text, action text DEFAULT ''alert''::text, schedule interval DEFAULT ''1 day''::interval, '
	 'drift_alpha double precision DEFAULT 0.05, drift_psi double precision DEFAULT 0.01, '
	 'drift_segment text DEFAULT NULL::text, quality_metric text DEFAULT ''pr_auc''::text, '
	 'quality_drop double precision DEFAULT 0.05, max_age interval DEFAULT NULL::interval, '
	 'min_rows bigint DEFAULT 500, algorithm text DEFAULT ''same''::text, '
	 'retention interval DEFAULT ''400 days''::interval, enabled boolean DEFAULT true',
	 'void', 'c', 'v', false, 'u', false, false, NULL),
	('public', 'churn_drop_policy', 'model text',
	 'void', 'c', 'v', false, 'u', false, false, NULL),
	('churn', 'write_policy', 'policy churn.policies',
	 'void', 'plpgsql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('public', 'churn_maintain', 'IN model text DEFAULT NULL::text, IN force boolean DEFAULT false',
	 NULL, 'c', 'v', false, 'u', false, false, NULL),
	('churn', 'train_as',
	 'role name, trainer regprocedure, source text, label text, key text, model text, algorithm text, '
	 'positive text, exclude text[], transform jsonb, params jsonb, options jsonb',
	 'integer', 'c', 'v', false, 'u', false, false, NULL),
	('churn', 'maintenance_steps', 'run bigint, about text',
	 'jsonb', 'sql', 's', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'maintenance_due', 'steps jsonb, schedule interval',
	 'boolean', 'sql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'maintain_begin', 'wanted text, forced boolean, caller name',
	 'TABLE(model text, run_id bigint)', 'plpgsql', 'v', false, 'u', false, true, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'maintain_next', 'run bigint, about text, OUT step_id bigint, OUT step text',
	 'record', 'plpgsql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'maintain_validate', 's churn.maintenance_log',
	 'churn.maintenance_log', 'plpgsql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'maintain_drift', 's churn.maintenance_log',
	 'churn.maintenance_log', 'plpgsql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'maintain_measure', 's churn.maintenance_log',
	 'churn.maintenance_log', 'plpgsql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'maintain_retrain', 's churn.maintenance_log',
	 'churn.maintenance_log', 'plpgsql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'maintain_compare', 's churn.maintenance_log',
	 'churn.maintenance_log', 'plpgsql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'maintain_promote', 's churn.maintenance_log',
	 'churn.maintenance_log', 'plpgsql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'maintain_alert', 's churn.maintenance_log',
	 'churn.maintenance_log', 'plpgsql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'maintain_purge', 's churn.maintenance_log',
	 'churn.maintenance_log', 'plpgsql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'maintain_partitions', 's churn.maintenance_log',
	 'churn.maintenance_log', 'plpgsql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'maintenance_reasons', 's churn.maintenance_log',
	 'text[]', 'sql', 's', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'maintenance_failure', 'run bigint, about text',
	 'text', 'sql', 's', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'maintain_step', 'number bigint',
	 'void', 'plpgsql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'maintain_failed', 'number bigint, code text, error text, error_detail text, error_hint text',
	 'void', 'plpgsql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('public', 'churn_compare',
	 'model text, challenger integer, champion integer DEFAULT NULL::integer, '
	 'source text DEFAULT NULL::text, resamples integer DEFAULT 1000, part text DEFAULT NULL::text',
	 'TABLE(metric text, champion double precision, challenger double precision, difference double precision, '
	 'ci_low double precision, ci_high double precision, p_value double precision, n bigint)',
	 'c', 'v', false, 'u', false, true, NULL),
	('churn', 'rank_add', 'state bytea, score double precision, churned boolean',
	 'bytea', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'log_loss_add', 'state bytea, score double precision, churned boolean',
	 'bytea', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'brier_add', 'state bytea, score double precision, churned boolean',
	 'bytea', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'ece_add', 'state bytea, score double precision, churned boolean',
	 'bytea', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'lift_add', 'state bytea, score double precision, churned boolean, fraction double precision',
	 'bytea', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'confusion_add', 'state bytea, score double precision, churned boolean, threshold double precision',
	 'bytea', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'rank_combine', 'state bytea, other bytea',
	 'bytea', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'mean_combine', 'state bytea, other bytea',
	 'bytea', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'ece_combine', 'state bytea, other bytea',
	 'bytea', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'confusion_combine', 'state bytea, other bytea',
	 'bytea', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'pr_auc_final', 'state bytea',
	 'double precision', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'roc_auc_final', 'state bytea',
	 'double precision', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'lift_final', 'state bytea',
	 'double precision', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'mean_final', 'state bytea',
	 'double precision', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'ece_final', 'state bytea',
	 'double precision', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'f1_final', 'state bytea',
	 'double precision', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'precision_final', 'state bytea',
	 'double precision', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'recall_final', 'state bytea',
	 'double precision', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'estimated_rank_add', 'state bytea, score double precision',
	 'bytea', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'estimated_log_loss_add', 'state bytea, score double precision',
	 'bytea', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'estimated_brier_add', 'state bytea, score double precision',
	 'bytea', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'estimated_confusion_add', 'state bytea, score double precision, threshold double precision',
	 'bytea', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'estimated_confusion_combine', 'state bytea, other bytea',
	 'bytea', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'estimated_pr_auc_final', 'state bytea',
	 'double precision', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'estimated_roc_auc_final', 'state bytea',
	 'double precision', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'estimated_f1_final', 'state bytea',
	 'double precision', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'estimated_precision_final', 'state bytea',
	 'double precision', 'c', 'i', true, 's', false, false, NULL),
	('churn', 'estimated_recall_final', 'state bytea',
	 'double precision', 'c', 'i', true, 's', false, false, NULL),
	('public', 'churn_estimated_pr_auc', 'score double precision',
	 'double precision', 'internal', 'i', false, 's', false, false, NULL),
	('public', 'churn_estimated_roc_auc', 'score double precision',
	 'double precision', 'internal', 'i', false, 's', false, false, NULL),
	('public', 'churn_estimated_log_loss', 'score double precision',
	 'double precision', 'internal', 'i', false, 's', false, false, NULL),
	('public', 'churn_estimated_brier', 'score double precision',
	 'double precision', 'internal', 'i', false, 's', false, false, NULL),
	('public', 'churn_estimated_f1', 'score double precision, threshold double precision',
	 'double precision', 'internal', 'i', false, 's', false, false, NULL),
	('public', 'churn_estimated_precision', 'score double precision, threshold double precision',
	 'double precision', 'internal', 'i', false, 's', false, false, NULL),
	('public', 'churn_estimated_recall', 'score double precision, threshold double precision',
	 'double precision', 'internal', 'i', false, 's', false, false, NULL),
	('public', 'churn_record_outcomes',
	 'model text, source text DEFAULT NULL::text, label text DEFAULT NULL::text, key text DEFAULT NULL::text, '
	 'at text DEFAULT NULL::text, positive text DEFAULT NULL::text',
	 'bigint', 'c', 'v', false, 'u', false, false, NULL),
	('public', 'churn_measure', 'model text, day date DEFAULT NULL::date',
	 'SETOF churn.quality', 'plpgsql', 'v', false, 'u', true, true, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'scores_at', 'model_name text, keys text[], times timestamp with time zone[], challenger boolean',
	 'TABLE(key text, at timestamp with time zone, shadow boolean, score double precision, version integer, scored_at timestamp with time zone)',
	 'sql', 's', false, 'u', false, true, '{"search_path=pg_catalog, pg_temp",enable_nestloop=off}'),
	('churn', 'estimated_quality', 'scores double precision[], threshold double precision',
	 'TABLE(metric text, value double precision, ci_low double precision, ci_high double precision)',
	 'c', 'i', true, 's', false, true, NULL),
	('churn', 'realised_quality', 'scores double precision[], churned boolean[], threshold double precision',
	 'TABLE(metric text, value double precision, ci_low double precision, ci_high double precision)',
	 'c', 'i', true, 's', false, true, NULL),
	('churn', 'concept_drift',
	 'scores double precision[], churned boolean[], alpha double precision, pr_auc double precision, '
	 'roc_auc double precision, test_rows bigint, test_positives bigint',
	 'TABLE(statistic text, value double precision, threshold double precision, p_value double precision, drifted boolean)',
	 'c', 'i', false, 's', false, true, NULL),
	('churn', 'measure_estimated', 'model_name text, window_day date',
	 'void', 'plpgsql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'measure_realised', 'model_name text, window_day date',
	 'void', 'plpgsql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'test_concept', 'model_name text, tested integer, checked tstzrange',
	 'text', 'plpgsql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'measure_concept', 'model_name text, window_day date',
	 'text', 'plpgsql', 'v', false, 'u', false, false, '{"search_path=pg_catalog, pg_temp"}'),
	('churn', 'changed_days', 'model_name text',
	 'TABLE(day date, estimated boolean, realised boolean)', 'plpgsql', 'v', false, 'u', false, true, '{"search_path=pg_catalog, pg_temp"}'),
	('public', 'churn_pr_auc', 'score double precision, churned boolean',
	 'double precision', 'internal', 'i', false, 's', false, false, NULL),
	('public', 'churn_roc_auc', 'score double precision, churned boolean',
	 'double precision', 'internal', 'i', false, 's', false, false, NULL),
	('public', 'churn_log_loss', 'score double precision, churned boolean',
	 'double precision', 'internal', 'i', false, 's', false, false, NULL),
	('public', 'churn_brier', 'score double precision, churned boolean',
	 'double precision', 'internal', 'i', false, 's', false, false, NULL),
	('public', 'churn_ece', 'score double precision, churned boolean',
	 'double precision', 'internal', 'i', false, 's', false, false, NULL),
	('public', 'churn_f1', 'score double precision, churned boolean, threshold double precision',
	 'double precision', 'internal', 'i', false, 's', false, false, NULL),
	('public', 'churn_precision', 'score double precision, churned boolean, threshold double precision',
	 'double precision', 'internal', 'i', false, 's', false, false, NULL),
	('public', 'churn_recall', 'score double precision, churned boolean, threshold double precision',
	 'double precision', 'internal', 'i', false, 's', false, false, NULL),
	('public', 'churn_lift', 'score double precision, churned boolean, fraction double precision',
	 'double precision', 'internal', 'i', false, 's', false, false, NULL);

-- what the extension really has
CREATE TEMP VIEW churn_functions AS
	SELECT p.*, n.nspname AS schema, p.proname AS name, l.lanname
	FROM pg_depend d
	JOIN pg_extension x ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = x.oid
	JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
	JOIN pg_namespace n ON n.oid = p.pronamespace
	JOIN pg_language l ON l.oid = p.prolang
	WHERE x.extname = 'churn' AND d.deptype = 'e';

SELECT set_eq('SELECT schema, name FROM churn_functions',
	'SELECT schema, name FROM expected_functions',
	'these are all functions of the extension');
SELECT is(pg_get_function_arguments(f.oid), e.arguments, format('%I.%I: arguments', e.schema, e.name))
	FROM expected_functions e LEFT JOIN churn_functions f USING (schema, name) ORDER BY 1;
SELECT is(pg_get_function_result(f.oid), e.result, format('%I.%I: result', e.schema, e.name))
	FROM expected_functions e LEFT JOIN churn_functions f USING (schema, name) ORDER BY 1;
SELECT is((f.lanname, f.provolatile, f.proisstrict, f.proparallel, f.prosecdef, f.proretset)::text,
	(e.language, e.volatile, e.strict, e.parallel, e.definer, e.returns_set)::text,
	format('%I.%I: language, volatility, strictness, parallel safety, definer, set', e.schema, e.name))
	FROM expected_functions e LEFT JOIN churn_functions f USING (schema, name) ORDER BY 1;
SELECT is(f.proconfig, e.config, format('%I.%I: settings', e.schema, e.name))
	FROM expected_functions e LEFT JOIN churn_functions f USING (schema, name) ORDER BY 1;

-- aggregates that a cluster can push down, and windows can use
SELECT is_empty('SELECT f.oid::regprocedure FROM churn_functions f JOIN pg_aggregate a ON a.aggfnoid = f.oid
	WHERE a.aggtranstype = ''internal''::regtype OR a.aggcombinefn = 0 OR a.aggfinalmodify <> ''r''
		OR f.proparallel <> ''s''',
	'every aggregate has a real state type, a combine function and a final function that only reads');

-- rules that hold for every function, also for those still to come
SELECT is_empty('SELECT oid::regprocedure FROM churn_functions
	WHERE obj_description(oid, ''pg_proc'') IS NULL',
	'every function has a comment');
SELECT is_empty('SELECT oid::regprocedure FROM churn_functions
	WHERE prosecdef AND NOT (''search_path=pg_catalog, pg_temp'' = ANY (proconfig)) IS TRUE',
	'every SECURITY DEFINER function has a safe search_path');
SELECT is_empty('SELECT oid::regprocedure FROM churn_functions
	WHERE lanname IN (''sql'', ''plpgsql'')
		AND NOT (''search_path=pg_catalog, pg_temp'' = ANY (coalesce(proconfig, ''{}'')))',
	'every function in SQL or PL/pgSQL has a safe search_path');
SELECT is_empty('SELECT oid::regprocedure FROM churn_functions
	WHERE provolatile = ''v'' AND proparallel = ''s''',
	'nothing that writes is parallel safe');
SELECT is_empty('SELECT oid::regprocedure FROM churn_functions WHERE proleakproof',
	'nothing claims to be leakproof');
SELECT is_empty('SELECT oid::regprocedure FROM churn_functions
	WHERE schema = ''public'' AND name !~ ''^churn_''',
	'functions outside schema churn begin with churn_');
SELECT is((SELECT array_agg(name ORDER BY name) FROM churn_functions
		   WHERE prosupport = 'churn.score_support(internal)'::regprocedure),
	'{churn_margin,churn_score}'::name[], 'the planner support function serves score and margin');
SELECT cmp_ok(procost, '>', 1::real, format('%I costs more than an operator', name))
	FROM churn_functions WHERE name IN ('churn_score', 'churn_margin', 'churn_predict', 'score_columns', 'margin_columns')
	ORDER BY name;

-- named arguments are part of the contract: each call parses
SELECT lives_ok($$ PREPARE a AS SELECT churn_score(c, model => 'm', version => 1),
	churn_score(c.*, version => 1), churn_margin(c, model => 'm'), (churn_predict(c, model => 'm')).*
	FROM churn_sample_customers(n => 1, seed => 2) c $$, 'scoring by named arguments');
SELECT lives_ok($$ PREPARE b AS SELECT t.model, t.version, t.algorithm, t.promoted, t.pr_auc, t.roc_auc,
	t.f1, t.precision, t.recall, t.threshold, t.rows, t.seconds
	FROM churn_train(source => 's', label => 'l', key => 'k', model => 'm', algorithm => 'auto',
		positive => 'p', exclude => '{}', transform => '{}', params => '{}', options => '{"folds": 0}') t $$,
	'training by named arguments, and its columns');
SELECT lives_ok($$ PREPARE c AS SELECT t.model, t.version, t.algorithm, t.promoted, t.features, t.trees
	FROM churn_import(model => 'm', artifact => '', features => '[]', source => 's', key => 'k', label => 'l',
		positive => 'p', threshold => 0.5, options => '{}') t $$,
	'importing by named arguments, and its columns');
SELECT lives_ok($$ PREPARE d AS SELECT churn_promote(model => 'm', version => 1), churn_rollback(model => 'm'),
	churn_drop_model(model => 'm', version => 1), churn_rescore(model => 'm'),
	churn_export(model => 'm', version => 1, format => 'json'),
	churn_sql(model => 'm', version => 1) $$, 'the registry by named arguments');

--
-- The view of running trainings
--
SELECT has_view('churn', 'training_progress', 'churn.training_progress is a view');
SELECT columns_are('churn', 'training_progress', ARRAY['pid', 'datid', 'datname', 'relid', 'phase',
	'rows_read', 'rows_total', 'round', 'rounds_total', 'metric', 'started_at', 'elapsed', 'estimated']);
SELECT is_empty('SELECT * FROM churn.training_progress', 'nobody trains here');

--
-- The view of the stream worker
--
SELECT has_view('churn', 'stream_status', 'churn.stream_status is a view');
SELECT columns_are('churn', 'stream_status', ARRAY['pid', 'state', 'slot', 'watches', 'paused', 'applied_lsn',
	'lag_bytes', 'lag_seconds', 'changes', 'scored', 'written', 'write_seconds', 'batches', 'last_batch', 'changes_per_second',
	'scores_per_second', 'latency_p50_ms', 'latency_p95_ms', 'latency_p99_ms', 'retained_wal', 'slot_status',
	'rescans_pending', 'waits_for', 'last_error', 'last_error_at', 'started_at']);
SELECT is_empty('SELECT * FROM churn.stream_status', 'nothing is watched here');
SELECT lives_ok($$ PREPARE e AS SELECT churn_wait(timeout => '1 s') $$, 'waiting by a named argument');
SELECT lives_ok($$ PREPARE f AS SELECT churn_watch(model => 'm', relation => 'r', key => 'k', allow_deletes => true, reasons => 1),
	churn_unwatch(model => 'm', relation => 'r') $$, 'watching by named arguments');
SELECT lives_ok($$ PREPARE g AS SELECT churn_add_alert_rule(model => 'm', condition => 'c', cooldown => '1 h', name => 'n'),
	churn_drop_alert_rule(model => 'm', name => 'n'), t.alert_id, t.rule_id, t.rule, t.model, t.customer_key, t.version,
	t.score, t.previous_score, t.band, t.raised_at, t.lsn, t.taken_at, t.taken_by, t.kind, t.message
	FROM churn_take_alerts(n => 1, model => 'm', kind => 'customer') t $$, 'alerts by named arguments, and their columns');
SELECT lives_ok($$ PREPARE h AS SELECT churn_set_policy(model => 'm', action => 'alert', schedule => '1 day', drift_alpha => 0.05,
	drift_psi => 0.01, drift_segment => 's', quality_metric => 'pr_auc', quality_drop => 0.05, max_age => '1 year', min_rows => 500,
	algorithm => 'same', retention => '400 days', enabled => true), churn_drop_policy(model => 'm') $$, 'policies by named arguments');
SELECT lives_ok($$ PREPARE i AS SELECT t.metric, t.champion, t.challenger, t.difference, t.ci_low, t.ci_high, t.p_value, t.n
	FROM churn_compare(model => 'm', challenger => 2, champion => 1, source => 's', resamples => 1000, part => 'test') t $$,
	'comparing by named arguments, and its columns');
SELECT throws_ok($$ CALL churn_maintain(model => 'm', force => true) $$, '2D000', NULL, 'maintenance by named arguments, in no transaction block');

--
-- Settings: defaults, units, contexts.  They exist once the library is loaded.
--
SELECT is(count(*), 1::bigint, 'the library loads') FROM churn_sample_customers(1);
SELECT set_eq(
	$$ SELECT name, setting, unit, context, vartype, min_val, max_val
	   FROM pg_settings WHERE name LIKE 'churn.%' $$,
	$$ VALUES
	('churn.batch_delay', '30', 'ms', 'sighup', 'integer', '0', '1000'),
	('churn.batch_memory', '32768', 'kB', 'sighup', 'integer', '1024', '1073741823'),
	('churn.batch_size', '2000', NULL, 'sighup', 'integer', '1', '1000000'),
	('churn.log_retention', '129600', 'min', 'sighup', 'integer', '0', '2147483647'),
	('churn.write_unchanged', 'off', NULL, 'sighup', 'bool', NULL, NULL),
	('churn.max_wal_lag', '4096', 'MB', 'sighup', 'integer', '-1', '2147483647'),
	('churn.naptime', '5', 'ms', 'sighup', 'integer', '1', '10000'),
	('churn.default_model', '', NULL, 'user', 'string', NULL, NULL),
	('churn.trainer', '', NULL, 'superuser', 'string', NULL, NULL),
	('churn.training_memory', '4194304', 'kB', 'superuser', 'integer', '0', '2147483647'),
	('churn.training_nice', '5', NULL, 'user', 'integer', '0', '19'),
	('churn.training_threads', '1', NULL, 'user', 'integer', '0', '256') $$,
	'settings with their defaults, units and contexts');
SELECT is_empty($$ SELECT name FROM pg_settings
	WHERE name LIKE 'churn.%' AND (short_desc IS NULL OR short_desc !~ '\.$') $$,
	'each is described by a sentence');
SELECT lives_ok($$ SET LOCAL churn.training_memory = '2GB' $$, 'memory takes a unit');
SELECT is(current_setting('churn.training_memory'), '2GB', 'memory shows its unit');
SELECT throws_ok($$ SET churn.no_such_setting = 1 $$, '42602', NULL, 'the prefix churn is reserved');
SELECT throws_ok($$ SET churn.training_nice = -1 $$, '22023', NULL, 'niceness cannot be negative');
SELECT throws_ok($$ SET churn.training_threads = 257 $$, '22023', NULL, 'threads have a limit');
SELECT throws_ok($$ SET churn.training_memory = -1 $$, '22023', NULL, 'memory cannot be negative');

SELECT * FROM finish();
ROLLBACK;
