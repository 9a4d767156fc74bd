--
-- Metrics as aggregates
--
SET client_min_messages = warning;

-- known values, by hand: two of four churned, all scores differ
CREATE TABLE metrics_four (score float8, churned boolean);
INSERT INTO metrics_four VALUES (0.9, true), (0.7, false), (0.6, true), (0.2, false);
SELECT churn_pr_auc(score, churned) AS pr_auc, (1 + 2.0 / 3) / 2 AS pr_auc_by_hand,
	churn_roc_auc(score, churned) AS roc_auc, churn_lift(score, churned, 0.25) AS lift_25,
	churn_lift(score, churned, 0.5) AS lift_50, churn_lift(score, churned, 1) AS lift_all
	FROM metrics_four;
SELECT round(churn_log_loss(score, churned)::numeric, 12) AS log_loss,
	round((-(ln(0.9) + ln(0.3) + ln(0.6) + ln(0.8)) / 4)::numeric, 12) AS by_hand,
	round(churn_brier(score, churned)::numeric, 12) AS brier,
	round(churn_ece(score, churned)::numeric, 12) AS ece,
	churn_f1(score, churned, 0.6) AS f1, churn_precision(score, churned, 0.6) AS precision,
	churn_recall(score, churned, 0.6) AS recall
	FROM metrics_four;

-- ties: order means nothing, and the cut of a lift goes through them
SELECT churn_pr_auc(0.5, i <= 3) AS pr_auc, churn_roc_auc(0.5, i <= 3) AS roc_auc, churn_lift(0.5, i <= 3, 0.1) AS lift
	FROM generate_series(1, 10) AS i;
SELECT churn_lift(score, churned, 0.5) AS lift
	FROM (VALUES (0.9, true), (0.5, true), (0.5, false), (0.1, false)) AS v (score, churned);

-- numbers of any size rank; a float4, an integer or a numeric is one
SELECT churn_roc_auc(score, churned) FROM (VALUES ('infinity'::float8, true), (1e300, true), (-3, false), ('-infinity', false)) AS v (score, churned);
SELECT churn_roc_auc(i, i > 2), churn_pr_auc(i::numeric, i > 2), churn_brier((i / 4.0)::real, i > 2) FROM generate_series(1, 4) AS i;
SELECT churn_roc_auc(score, churned) FROM (VALUES (0::float8, true), ('-0', false)) AS v (score, churned);

-- bins of ECE are closed on the right
SELECT churn_ece(0.1, true) AS first_bin, churn_ece(score, churned) AS one_bin
	FROM (VALUES (0.3, true), (0.25, false)) AS v (score, churned);

-- scores of 0 and 1
SELECT round(churn_log_loss(score, churned)::numeric, 6) AS certain_and_wrong, churn_brier(score, churned) AS brier,
	churn_ece(score, churned) AS ece FROM (VALUES (0, true), (1, false)) AS v (score, churned);

-- nulls are ignored, also of thresholds and fractions
SELECT churn_pr_auc(score, churned), churn_roc_auc(score, churned), churn_lift(score, churned, 0.5), churn_brier(score, churned),
	churn_f1(score, churned, 0.5)
	FROM (SELECT * FROM metrics_four UNION ALL VALUES (NULL, true), (0.5, NULL), (NULL, NULL)) AS v;
SELECT churn_f1(score, churned, NULL) AS f1, churn_lift(score, churned, NULL) AS lift FROM metrics_four;

-- nothing to measure
SELECT churn_pr_auc(score, churned) AS pr, churn_roc_auc(score, churned) AS roc, churn_lift(score, churned, 0.1) AS lift,
	churn_log_loss(score, churned) AS loss, churn_brier(score, churned) AS brier, churn_ece(score, churned) AS ece,
	churn_f1(score, churned, 0.5) AS f1, churn_precision(score, churned, 0.5) AS precision, churn_recall(score, churned, 0.5) AS recall
	FROM metrics_four WHERE false;
SELECT churned, churn_pr_auc(score, churned) AS pr, churn_roc_auc(score, churned) AS roc, churn_lift(score, churned, 0.5) AS lift,
	churn_brier(score, churned) IS NOT NULL AS brier, churn_f1(score, churned, 0.95) AS f1,
	churn_precision(score, churned, 0.95) AS precision, churn_recall(score, churned, 0.95) AS recall
	FROM metrics_four GROUP BY churned ORDER BY churned;

-- GROUP BY, FILTER, DISTINCT, ORDER BY, HAVING, one argument list for all
CREATE TABLE metrics_many AS
	SELECT i, i % 7 AS part, (i * 7919 % 1009) / 1009.0::float8 AS score, i * 104729 % 1013 < i * 7919 % 1009 AS churned
	FROM generate_series(1, 20000) AS i;
ANALYZE metrics_many;
CREATE VIEW metrics_all AS
	SELECT part, churn_pr_auc(score, churned) AS pr_auc, churn_roc_auc(score, churned) AS roc_auc,
		churn_lift(score, churned, 0.1) AS lift, churn_log_loss(score, churned) AS log_loss,
		churn_brier(score, churned) AS brier, churn_ece(score, churned) AS ece, churn_f1(score, churned, 0.5) AS f1,
		churn_precision(score, churned, 0.5) AS precision, churn_recall(score, churned, 0.5) AS recall
	FROM metrics_many GROUP BY GROUPING SETS ((part), ());
CREATE TABLE metrics_expected AS SELECT * FROM metrics_all;
SELECT part, round(pr_auc::numeric, 6) AS pr_auc, round(roc_auc::numeric, 6) AS roc_auc, round(lift::numeric, 6) AS lift,
	round(log_loss::numeric, 6) AS log_loss, round(ece::numeric, 6) AS ece, round(f1::numeric, 6) AS f1
	FROM metrics_expected ORDER BY part;
SELECT count(*) AS groups, bool_and(churn_pr_auc = e.pr_auc AND churn_brier = e.brier) AS same FROM
	(SELECT p.part, churn_pr_auc(score, churned) FILTER (WHERE m.part = p.part), churn_brier(score, churned) FILTER (WHERE m.part = p.part)
	 FROM metrics_many m, generate_series(0, 6) AS p (part) GROUP BY p.part) AS f JOIN metrics_expected e USING (part);
SELECT churn_pr_auc(score, churned ORDER BY score) = churn_pr_auc(score, churned ORDER BY i DESC) AS any_order,
	churn_log_loss(score, churned ORDER BY score) = churn_log_loss(score, churned ORDER BY i DESC) AS sums_too,
	churn_roc_auc(DISTINCT score, churned) = (SELECT churn_roc_auc(score, churned) FROM (SELECT DISTINCT score, churned FROM metrics_many) AS d) AS distinct
	FROM metrics_many;

-- window frames: the state goes on after a final function has seen it
CREATE TABLE metrics_window AS SELECT * FROM metrics_many WHERE i <= 300;
SELECT count(*) AS rows, count(*) FILTER (WHERE w.running IS DISTINCT FROM x.running OR w.sliding IS DISTINCT FROM x.sliding
		OR w.brier IS DISTINCT FROM x.brier OR w.ece IS DISTINCT FROM x.ece OR w.f1 IS DISTINCT FROM x.f1 OR w.lift IS DISTINCT FROM x.lift) AS differ
	FROM (SELECT i, churn_pr_auc(score, churned) OVER (ORDER BY i) AS running,
			churn_roc_auc(score, churned) OVER (ORDER BY i ROWS BETWEEN 20 PRECEDING AND 3 FOLLOWING) AS sliding,
			churn_brier(score, churned) OVER (ORDER BY i) AS brier, churn_ece(score, churned) OVER (ORDER BY i) AS ece,
			churn_f1(score, churned, 0.4) OVER (ORDER BY i) AS f1, churn_lift(score, churned, 0.2) OVER (ORDER BY i) AS lift
		FROM metrics_window) AS w,
	LATERAL (SELECT churn_pr_auc(score, churned) FILTER (WHERE m.i <= w.i) AS running,
			churn_roc_auc(score, churned) FILTER (WHERE m.i BETWEEN w.i - 20 AND w.i + 3) AS sliding,
			churn_brier(score, churned) FILTER (WHERE m.i <= w.i) AS brier, churn_ece(score, churned) FILTER (WHERE m.i <= w.i) AS ece,
			churn_f1(score, churned, 0.4) FILTER (WHERE m.i <= w.i) AS f1, churn_lift(score, churned, 0.2) FILTER (WHERE m.i <= w.i) AS lift
		FROM metrics_window m) AS x;

-- parallel plans are made, and give the same to the last bit
CREATE FUNCTION metrics_plan(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	plan text := '';
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		plan := plan || line;
	END LOOP;
	RETURN substring(plan FROM 'Finalize') || ' ' || substring(plan FROM 'Workers Planned') || ' ' || substring(plan FROM 'Partial');
END $$;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 3;
SELECT metrics_plan('SELECT churn_pr_auc(score, churned), churn_roc_auc(score, churned), churn_lift(score, churned, 0.1),
	churn_log_loss(score, churned), churn_brier(score, churned), churn_ece(score, churned), churn_f1(score, churned, 0.5),
	churn_precision(score, churned, 0.5), churn_recall(score, churned, 0.5) FROM metrics_many');
SELECT metrics_plan('SELECT part, churn_pr_auc(score, churned), churn_ece(score, churned) FROM metrics_many GROUP BY part');
SELECT count(*) AS groups, count(*) FILTER (WHERE a IS DISTINCT FROM e) AS differ
	FROM (SELECT churn_pr_auc(score, churned) AS pr_auc, churn_roc_auc(score, churned) AS roc_auc,
			churn_lift(score, churned, 0.1) AS lift, churn_log_loss(score, churned) AS log_loss,
			churn_brier(score, churned) AS brier, churn_ece(score, churned) AS ece, churn_f1(score, churned, 0.5) AS f1,
			churn_precision(score, churned, 0.5) AS precision, churn_recall(score, churned, 0.5) AS recall
		FROM metrics_many) AS a,
		(SELECT pr_auc, roc_auc, lift, log_loss, brier, ece, f1, precision, recall FROM metrics_expected WHERE part IS NULL) AS e;
SELECT count(*) AS groups, count(*) FILTER (WHERE a IS DISTINCT FROM e) AS differ
	FROM (SELECT part, churn_pr_auc(score, churned) AS pr_auc, churn_roc_auc(score, churned) AS roc_auc,
			churn_lift(score, churned, 0.1) AS lift, churn_log_loss(score, churned) AS log_loss,
			churn_brier(score, churned) AS brier, churn_ece(score, churned) AS ece, churn_f1(score, churned, 0.5) AS f1,
			churn_precision(score, churned, 0.5) AS precision, churn_recall(score, churned, 0.5) AS recall
		FROM metrics_many GROUP BY part) AS a JOIN metrics_expected e USING (part);
-- workers that see no row, or a null only
SELECT churn_pr_auc(score, churned), churn_brier(score, churned) FROM metrics_many WHERE i IN (3, 4);
SELECT churn_pr_auc(score, churned), churn_ece(score, churned), churn_f1(score, churned, 0.5) FROM metrics_many WHERE i < 0;
SELECT churn_lift(score, churned, CASE WHEN i % 2 = 0 THEN 0.1 ELSE 0.2 END) FROM metrics_many;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;

-- anyone may call them
CREATE ROLE regress_churn_metrics;
SET ROLE regress_churn_metrics;
SELECT churn_pr_auc(i, i > 1), churn_ece(i / 4.0, i > 1), churn_f1(i, i > 1, 2) FROM generate_series(1, 3) AS i;
RESET ROLE;
DROP ROLE regress_churn_metrics;

-- errors
SELECT churn_pr_auc('nan', true);
SELECT churn_brier(1.5, true);
SELECT churn_log_loss(-0.001, true);
SELECT churn_ece('nan', true);
SELECT churn_log_loss('infinity', true);
SELECT churn_f1('nan', true, 0.5);
SELECT churn_recall(0.5, true, 'nan');
SELECT churn_lift(0.5, true, 0);
SELECT churn_lift(0.5, true, 1.01);
SELECT churn_lift(0.5, true, 'nan');
SELECT churn_lift(score, churned, score) FROM metrics_four;
SELECT churn.rank_add('', 0.5, true);
SELECT churn.mean_final('');
CREATE AGGREGATE metrics_bad_ranking(float8, boolean) (SFUNC = churn.rank_add, STYPE = bytea, INITCOND = '\x01', FINALFUNC = churn.pr_auc_final);
SELECT metrics_bad_ranking(0.5, true);
-- the right kind, in the machine's order of bytes, but more entries than there are
DO $$
BEGIN
	EXECUTE format('CREATE AGGREGATE metrics_bad_count(float8, boolean) (SFUNC = churn.rank_add, STYPE = bytea, INITCOND = %L, FINALFUNC = churn.pr_auc_final)',
		'\x01526863' || repeat('ff', 16));
END $$;
SELECT metrics_bad_count(0.5, true);
CREATE AGGREGATE metrics_mixed(float8, boolean) (SFUNC = churn.rank_add, STYPE = bytea, INITCOND = '', FINALFUNC = churn.mean_final);
SELECT metrics_mixed(0.5, true);

DROP AGGREGATE metrics_bad_ranking(float8, boolean);
DROP AGGREGATE metrics_bad_count(float8, boolean);
DROP AGGREGATE metrics_mixed(float8, boolean);
DROP FUNCTION metrics_plan;
DROP VIEW metrics_all;
DROP TABLE metrics_four, metrics_many, metrics_expected, metrics_window;
