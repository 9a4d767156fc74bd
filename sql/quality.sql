--
-- churn_measure(): quality of scores day by day, without outcomes and with them
--
SET client_min_messages = warning;
SET timezone = 'Asia/Tokyo';
\set artifact '{"churn": {"format": 1, "features": [{"name": "x", "kind": "number"}], "threshold": 0.4}, "components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind": "linear", "slope": 1, "low": -10, "high": 10, "missing": 0, "mean": 0}]}]}'
CREATE FUNCTION quality_unit(i int, seed text) RETURNS float8 LANGUAGE sql IMMUTABLE AS
	$$ SELECT ('x' || substr(md5(i || seed), 1, 8))::bit(32)::bigint / 4294967296.0 $$;
SELECT version FROM churn_import('quality', convert_to(:'artifact', 'UTF8'));
SELECT version FROM churn_import('quality', convert_to(:'artifact', 'UTF8'), options => '{"promote": "never"}');
-- customers of five days whose scores are calibrated; on the fourth churn half of the others instead
CREATE TABLE quality_customers AS
	SELECT i AS customer, date '2024-03-01' + CASE WHEN i <= 600 THEN 0 WHEN i <= 900 THEN 1 WHEN i <= 1200 THEN 2 WHEN i <= 1900 THEN 3 ELSE 4 END AS day,
		p, round((p + quality_unit(i, 'noise')) ^ 2 / 4 * 64) / 64 AS worse,
		CASE WHEN i BETWEEN 1201 AND 1900 AND i % 2 = 0 THEN quality_unit(i, 'outcome') >= p ELSE quality_unit(i, 'outcome') < p END AS churned
	FROM generate_series(1, 1950) i, LATERAL (SELECT round(quality_unit(i, 'score') ^ 2 * 256) / 256 AS p OFFSET 0) s;
SELECT churn.maintain_log('1000 years');
DO $$ BEGIN
	FOR d IN 1..5 LOOP
		EXECUTE format('CREATE TABLE churn.prediction_log_2024030%s PARTITION OF churn.prediction_log FOR VALUES FROM (%L) TO (%L)',
			d, format('2024-03-0%s 00:00+00', d), format('2024-03-0%s 00:00+00', d + 1));
	END LOOP;
END $$;
-- the last score of the day counts: others come before it
INSERT INTO churn.prediction_log (customer_key, model, version, score, band, scored_at, origin)
	SELECT customer, 'quality', 1, p, 'low', (day + interval '20 hours') AT TIME ZONE 'UTC', 'stream' FROM quality_customers WHERE day < '2024-03-05'
	UNION ALL SELECT customer, 'quality', 1, 0.99, 'high', (day + interval '1 hour') AT TIME ZONE 'UTC', 'stream' FROM quality_customers WHERE customer % 3 = 0 AND day < '2024-03-05'
	UNION ALL SELECT customer, 'quality', 2, worse, 'low', (day + interval '20 hours') AT TIME ZONE 'UTC', 'shadow' FROM quality_customers WHERE day = '2024-03-01'
	UNION ALL SELECT customer, 'another', 1, 0.5, 'low', (day + interval '20 hours') AT TIME ZONE 'UTC', 'stream' FROM quality_customers WHERE customer < 10;
-- a model without a stream has predictions alone
INSERT INTO churn.predictions (customer_key, model, version, score, band, scored_at, origin)
	SELECT customer, 'quality', 1, p, 'low', (day + interval '20 hours') AT TIME ZONE 'UTC', 'batch' FROM quality_customers;
SET client_min_messages = notice;

-- without outcomes: as the aggregates say
CREATE TABLE quality_first AS SELECT * FROM churn_measure('quality', '2024-03-01');
SELECT version, role, basis, count(*) AS metrics, min(n) AS least, max(n) AS most, bool_and(value BETWEEN ci_low AND ci_high) AS inside
	FROM quality_first GROUP BY version, role, basis ORDER BY version;
WITH a AS (
	SELECT churn_estimated_pr_auc(p) AS pr_auc, churn_estimated_roc_auc(p) AS roc_auc, churn_estimated_log_loss(p) AS log_loss,
		churn_estimated_brier(p) AS brier, churn_estimated_f1(p, 0.4) AS f1, churn_estimated_precision(p, 0.4) AS precision,
		churn_estimated_recall(p, 0.4) AS recall, avg(p) AS base_rate, sum(p) FILTER (WHERE p >= 0.4) AS true_positives,
		sum(1 - p) FILTER (WHERE p >= 0.4) AS false_positives, sum(p) FILTER (WHERE p < 0.4) AS false_negatives,
		sum(1 - p) FILTER (WHERE p < 0.4) AS true_negatives,
		avg(CASE WHEN p >= 0.4 THEN p ELSE 1 - p END) AS accuracy
	FROM quality_customers WHERE day = '2024-03-01')
SELECT q.metric, round(q.value::numeric, 6) AS value, abs(q.value - (to_jsonb(a) ->> q.metric)::float8) < 1e-12 AS same
	FROM quality_first q, a WHERE q.version = 1 ORDER BY q.metric;
-- again, to the last bit
SELECT count(*) AS differ FROM (SELECT * FROM churn_measure('quality', '2024-03-01') EXCEPT SELECT * FROM quality_first) d;
-- the other days that were not looked at; none is twice
SELECT day, version, max(n) AS n, count(*) AS metrics FROM churn_measure('quality') GROUP BY day, version ORDER BY day;
SELECT count(*) AS again FROM churn_measure('quality');
-- predictions of a day get fewer when customers are scored again: what was measured stays, until there are more
UPDATE churn.predictions SET scored_at = '2024-03-05 00:00+00' WHERE customer_key::int BETWEEN 1 AND 10;
UPDATE churn.predictions SET scored_at = '2024-03-06 00:00+00' WHERE customer_key::int > 1920;
SELECT DISTINCT day, n FROM churn_measure('quality', '2024-03-05');
UPDATE churn.predictions SET scored_at = '2024-03-05 00:00+00' WHERE customer_key::int <= 100;
SELECT DISTINCT day, n FROM churn_measure('quality', '2024-03-05');
SELECT DISTINCT day, n FROM churn_measure('quality', '2024-03-06');
-- nothing that day
SELECT count(*) FROM churn_measure('quality', '2024-04-01');

-- outcomes of the first days: measured by the scores of before
SELECT churn_record_outcomes('quality', 'SELECT customer, churned, (day + interval ''21 hours'') AT TIME ZONE ''UTC'' AS at FROM quality_customers WHERE day < ''2024-03-03''',
	'churned', 'customer', 'at');
CREATE TABLE quality_realised AS SELECT * FROM churn_measure('quality') WHERE basis = 'realised';
SELECT day, role, version, count(*) AS metrics, min(n) = max(n) AS alike, max(n) AS n,
	bool_and(value BETWEEN ci_low AND ci_high OR metric = 'ece') AS inside FROM quality_realised GROUP BY day, role, version ORDER BY day, role;
WITH s AS (SELECT p AS score, churned FROM quality_customers WHERE day = '2024-03-01'),
	a AS (SELECT churn_pr_auc(score, churned) AS pr_auc, churn_roc_auc(score, churned) AS roc_auc, churn_log_loss(score, churned) AS log_loss,
		churn_brier(score, churned) AS brier, churn_ece(score, churned) AS ece, churn_f1(score, churned, 0.4) AS f1, churn_precision(score, churned, 0.4) AS precision,
		churn_recall(score, churned, 0.4) AS recall, avg(((score >= 0.4) = churned)::int) AS accuracy, churn_lift(score, churned, 0.1) AS lift_10,
		avg(churned::int) AS base_rate, count(*) FILTER (WHERE score >= 0.4 AND churned) AS true_positives, count(*) FILTER (WHERE score >= 0.4 AND NOT churned) AS false_positives,
		count(*) FILTER (WHERE score < 0.4 AND churned) AS false_negatives, count(*) FILTER (WHERE score < 0.4 AND NOT churned) AS true_negatives FROM s)
SELECT r.metric, round(r.value::numeric, 6) AS value, abs(r.value - (to_jsonb(a) ->> r.metric)::float8) < 1e-12 AS same
	FROM quality_realised r, a WHERE r.day = '2024-03-01' AND r.role = 'champion' ORDER BY r.metric;
-- what was promised held
SELECT e.metric FROM churn.quality e JOIN churn.quality r USING (model, version, day, role, metric)
	WHERE e.basis = 'estimated' AND r.basis = 'realised' AND version = 1 AND NOT r.value BETWEEN e.ci_low AND e.ci_high;

-- concept drift: a verdict for the first day; the second has too few, and waits for the third
CREATE VIEW quality_tests AS SELECT version, lower(checked_window) AT TIME ZONE 'UTC' AS since, upper(checked_window) AT TIME ZONE 'UTC' AS until, rows, statistic,
	round(value::numeric, 4) AS value, round(threshold::numeric, 4) AS threshold, round(p_value::numeric, 4) AS p_value, drifted
	FROM churn.drift WHERE model = 'quality' ORDER BY checked_window, statistic;
SELECT * FROM quality_tests;
SELECT churn_record_outcomes('quality', 'SELECT customer, churned, (day + interval ''21 hours'') AT TIME ZONE ''UTC'' AS at FROM quality_customers WHERE day = ''2024-03-03''',
	'churned', 'customer', 'at');
SELECT DISTINCT day, basis, n FROM churn_measure('quality') ORDER BY day, basis;
SELECT * FROM quality_tests;
SELECT count(*) AS again FROM churn_measure('quality');
-- with a test part there is a baseline as well; customers who behave otherwise are noticed
UPDATE churn.model_versions SET test_rows = 1000, test_positives = 330 WHERE model = 'quality' AND version = 1;
INSERT INTO churn.metrics (model, version, dataset, metric, value, n) VALUES ('quality', 1, 'test', 'pr_auc', 0.71, 1000), ('quality', 1, 'test', 'roc_auc', 0.83, 1000);
SELECT churn_record_outcomes('quality', 'SELECT customer, churned, (day + interval ''21 hours'') AT TIME ZONE ''UTC'' AS at FROM quality_customers WHERE day = ''2024-03-04''',
	'churned', 'customer', 'at');
SELECT count(*) > 0 AS measured FROM churn_measure('quality');
SELECT * FROM quality_tests WHERE since >= '2024-03-04';
-- a day of a window is tested with all of it, which has more outcomes now
SELECT churn_record_outcomes('quality', 'SELECT customer, churned, timestamptz ''2024-03-02 05:00+00'' AS at FROM quality_customers WHERE customer <= 20', 'churned', 'customer', 'at');
SELECT count(*) > 0 AS measured FROM churn_measure('quality');
SELECT since, until, max(rows) AS rows, count(*) AS tests FROM quality_tests GROUP BY since, until ORDER BY since;

-- a policy: its level, its metric, what it puts up with, how many outcomes it wants
INSERT INTO churn.policies (model, action, schedule, drift_alpha, drift_psi, quality_metric, quality_drop, min_rows, algorithm, retention, enabled, set_by)
	VALUES ('quality', 'alert', '1 day', 0.05, 0.01, 'roc_auc', 0.6, 650, 'same', '1 year', true, 'x');
SELECT count(*) > 0 AS measured FROM churn_measure('quality', '2024-03-04');
SELECT * FROM quality_tests WHERE since >= '2024-03-04';
UPDATE churn.policies SET quality_drop = 0.1;
SELECT count(*) > 0 AS measured FROM churn_measure('quality', '2024-03-04');
SELECT statistic, threshold, drifted FROM quality_tests WHERE since >= '2024-03-04';
SELECT count(*) > 0 AS measured FROM churn_measure('quality', '2024-03-01');
DELETE FROM churn.policies;

-- no verdict on one class, nor while many outcomes are pending
SELECT churn_record_outcomes('quality', 'SELECT customer, false AS churned FROM quality_customers WHERE day = ''2024-03-04''', 'churned', 'customer', '2024-03-10');
SELECT metric, value IS NULL AS undefined, n FROM churn_measure('quality') WHERE basis = 'realised' AND metric IN ('pr_auc', 'brier') ORDER BY metric;
SELECT churn_record_outcomes('quality', 'SELECT customer, CASE WHEN customer % 10 > 0 THEN churned END AS churned FROM quality_customers WHERE day = ''2024-03-04''', 'churned', 'customer', '2024-03-11');
SELECT count(*) > 0 AS measured FROM churn_measure('quality');
SELECT churn_record_outcomes('quality', 'SELECT customer, churned FROM quality_customers WHERE day = ''2024-03-04''', 'churned', 'customer', '2024-03-11');
SELECT count(*) > 0 AS measured FROM churn_measure('quality');
-- each customer once in a window, the last time
SELECT since, until, max(rows) AS rows FROM quality_tests WHERE since >= '2024-03-10' GROUP BY since, until;

-- the health of the model
INSERT INTO churn.drift (model, version, checked_at, checked_window, source, rows, feature, statistic, value, drifted) VALUES
	('quality', 1, '2024-03-04 12:00+00', '(,)', 'x', 100, '(model)', 'drifted_features', 0, false),
	('quality', 1, '2024-03-04 15:00+00', '(,)', 'x', 100, '(model)', 'drifted_features', 2, true),
	('quality', 1, '2024-03-07 23:00+00', '(,)', 'x', 100, '(model)', 'drifted_features', 0, false);
INSERT INTO churn.drift (model, version, checked_at, checked_window, source, segment, segment_value, rows, feature, statistic, value, drifted) VALUES
	('quality', 1, '2024-03-04 16:00+00', '(,)', 'x', 'contract', 'One year', 100, '(model)', 'drifted_features', 1, true);
UPDATE churn.deployments SET during = tstzrange('2024-03-03 12:00+00', NULL) WHERE model = 'quality';
SELECT day, version, predictions AS scored, round(mean_score::numeric, 3) AS mean, round(estimated_pr_auc::numeric, 3) AS estimated, outcomes, outcomes_version AS by,
	round(churn_rate::numeric, 3) AS churned, round(pr_auc::numeric, 3) AS pr_auc, pr_auc BETWEEN pr_auc_low AND pr_auc_high AS ci, round(roc_auc::numeric, 3) AS roc_auc,
	roc_auc BETWEEN roc_auc_low AND roc_auc_high AS ci, test_pr_auc AS test, data_drift AS data, drifted_features AS features, concept_drift AS concept,
	challenger, challenger_outcomes AS its, round(challenger_pr_auc::numeric, 3) AS pr_auc
	FROM churn.model_health WHERE model = 'quality' ORDER BY day;
SELECT round((estimated_roc_auc + estimated_f1 + estimated_brier + estimated_log_loss)::numeric, 4) AS estimated, round((f1 + brier + log_loss + ece)::numeric, 4) AS realised,
	test_roc_auc, test_f1, test_brier, round((challenger_roc_auc + challenger_f1 + challenger_brier)::numeric, 4) AS challenger
	FROM churn.model_health WHERE model = 'quality' AND day = '2024-03-01';
-- every figure is of the same day, version and role in churn.quality
SELECT count(*) AS differ FROM churn.model_health h JOIN churn.quality q USING (model, day)
	WHERE q.value IS DISTINCT FROM CASE concat_ws(' ', q.role, q.basis, q.metric)
		WHEN 'champion estimated pr_auc' THEN estimated_pr_auc WHEN 'champion estimated roc_auc' THEN estimated_roc_auc WHEN 'champion estimated f1' THEN estimated_f1
		WHEN 'champion estimated brier' THEN estimated_brier WHEN 'champion estimated log_loss' THEN estimated_log_loss WHEN 'champion estimated base_rate' THEN mean_score
		WHEN 'champion realised pr_auc' THEN pr_auc WHEN 'champion realised roc_auc' THEN roc_auc WHEN 'champion realised f1' THEN f1 WHEN 'champion realised brier' THEN brier
		WHEN 'champion realised log_loss' THEN log_loss WHEN 'champion realised ece' THEN ece WHEN 'champion realised base_rate' THEN churn_rate
		WHEN 'challenger realised pr_auc' THEN challenger_pr_auc WHEN 'challenger realised roc_auc' THEN challenger_roc_auc
		WHEN 'challenger realised f1' THEN challenger_f1 WHEN 'challenger realised brier' THEN challenger_brier ELSE q.value END;

-- whoever may execute it needs no right on the tables
CREATE ROLE regress_churn_operator;
SET ROLE regress_churn_operator;
SELECT churn_measure('quality');
RESET ROLE;
GRANT EXECUTE ON FUNCTION churn_measure TO regress_churn_operator;
SET ROLE regress_churn_operator;
SELECT count(*) > 0 AS measured FROM churn_measure('quality', '2024-03-01');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION churn_measure FROM regress_churn_operator;
DROP ROLE regress_churn_operator;

-- a log whose partitions are not ours; days that are not over
SET client_min_messages = warning;
CREATE TABLE churn.prediction_log_2023 PARTITION OF churn.prediction_log FOR VALUES FROM ('2023-01-01 00:00+00') TO ('2024-01-01 00:00+00');
INSERT INTO churn.prediction_log (customer_key, model, version, score, band, scored_at, origin)
	SELECT i, 'quality', 1, i / 101.0, 'low', '2023-07-01 12:00+00'::timestamptz + i % 2 * interval '1 day', 'stream' FROM generate_series(1, 100) i;
INSERT INTO churn.predictions (customer_key, model, version, score, band, scored_at, origin) SELECT 'now', 'quality', 1, 0.5, 'low', now(), 'api';
SET client_min_messages = notice;
SELECT DISTINCT CASE WHEN day < '2024-01-01' THEN day END AS day, n FROM churn_measure('quality') ORDER BY day;
SELECT DISTINCT CASE WHEN day < '2024-01-01' THEN day END AS day, n FROM churn_measure('quality') ORDER BY day;

-- metrics at the edges
SELECT metric, round(value::numeric, 6) AS value, round(ci_low::numeric, 6) AS ci_low, round(ci_high::numeric, 6) AS ci_high FROM churn.estimated_quality('{0.5}', 0.5);
SELECT metric, value FROM churn.estimated_quality('{0, 1}', 0.5) WHERE metric IN ('pr_auc', 'roc_auc', 'brier', 'f1', 'accuracy');
SELECT count(*) FROM churn.estimated_quality('{}', 0.5);
SELECT metric, value FROM churn.realised_quality('{0.5}', '{t}', 0.5) WHERE metric IN ('pr_auc', 'brier', 'f1');
SELECT count(*) FROM churn.realised_quality('{}', '{}', 0.5);
SELECT count(*) FROM churn.concept_drift('{0.5}', '{t}', 0.01, 0.5, 0.5, 10, 5);
SELECT count(*) FROM churn.concept_drift('{}', '{}', 0.01, NULL, NULL, NULL, NULL);
SELECT count(*) FROM churn.concept_drift(NULL, NULL, 0.01, NULL, NULL, NULL, NULL);
SELECT statistic, drifted FROM churn.concept_drift('{0.2, 0.3}', '{t, f}', 0.01, 0.5, 0.5, 10, 5);
SELECT churn_estimated_pr_auc(x), churn_estimated_roc_auc(x), churn_estimated_log_loss(x), churn_estimated_brier(x), churn_estimated_f1(x, 0.5),
	churn_estimated_precision(x, 0.5), churn_estimated_recall(x, 0.5) FROM (VALUES (NULL::float8)) v (x);
SELECT churn_estimated_pr_auc(x), churn_estimated_roc_auc(x), churn_estimated_log_loss(x) < 1e-15 AS log_loss, churn_estimated_brier(x), churn_estimated_f1(x, 0.5) FROM (VALUES (1.0), (1)) v (x);

-- errors
\set SHOW_CONTEXT never
SELECT churn_measure('nobody');
SELECT churn_measure(NULL);
SELECT churn.estimated_quality('{1.5}', 0.5);
SELECT churn.estimated_quality('{NaN}', 0.5);
SELECT churn.estimated_quality('{{0.1}, {0.2}}', 0.5);
SELECT churn.estimated_quality('{0.1, NULL}', 0.5);
SELECT churn.estimated_quality('{0.1}', 'NaN');
SELECT churn.realised_quality('{0.1}', '{t, f}', 0.5);
SELECT churn.realised_quality('{0.1}', '{NULL}', 0.5);
SELECT churn.concept_drift('{0.1}', '{t}', 1, NULL, NULL, NULL, NULL);
SELECT churn.concept_drift('{0.1}', '{t}', 0.01, 0.5, 0.5, 5, 10);
SELECT churn_estimated_pr_auc(1.5);
SELECT churn_estimated_brier(-0.1);
SELECT churn_estimated_log_loss('NaN');
SELECT churn_estimated_f1(0.5, 'NaN');
SELECT churn.estimated_brier_add('', 0.5);
BEGIN READ ONLY;
SELECT churn_measure('quality');
ROLLBACK;
CREATE FUNCTION quality_drop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM churn.models WHERE name = ''quality''; RETURN NULL; END';
CREATE TRIGGER quality_drop AFTER INSERT ON churn.quality FOR EACH STATEMENT EXECUTE FUNCTION quality_drop();
SELECT churn_measure('quality', '2024-03-01');
DROP TRIGGER quality_drop ON churn.quality;
DROP FUNCTION quality_drop;

-- a version that is dropped takes its figures along, a model all
SELECT churn_drop_model('quality', 2);
SELECT DISTINCT version FROM churn.quality;
SELECT churn_drop_model('quality');
SELECT (SELECT count(*) FROM churn.quality) AS quality, (SELECT count(*) FROM churn.drift) AS drift, (SELECT count(*) FROM churn.measured_days) AS days,
	(SELECT count(*) FROM churn.outcomes) AS outcomes;
DROP VIEW quality_tests;
DROP TABLE quality_customers, quality_first, quality_realised, churn.prediction_log_2023;
DROP TABLE churn.prediction_log_20240301, churn.prediction_log_20240302, churn.prediction_log_20240303, churn.prediction_log_20240304, churn.prediction_log_20240305;
DROP FUNCTION quality_unit;
TRUNCATE churn.prediction_log;
