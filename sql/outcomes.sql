--
-- churn_record_outcomes(): labels that come later, and the score of before
--
SET client_min_messages = warning;
SET timezone = 'Asia/Tokyo';
-- the score is the logistic function of x
\set artifact '{"churn": {"format": 1, "features": [{"name": "x", "kind": "number"}], "threshold": 0.5}, "components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind": "linear", "slope": 1, "low": -10, "high": 10, "missing": 0, "mean": 0}]}]}'
CREATE TABLE outcome_customers (id int PRIMARY KEY, x real, churned text);
INSERT INTO outcome_customers VALUES (1, 1, 'Yes'), (2, -1, 'No'), (3, 0, NULL), (4, 2, ' '), (5, 3, 'no');
SELECT version FROM churn_import('outcome', convert_to(:'artifact', 'UTF8'), source => 'outcome_customers', key => 'id', label => 'churned');
SELECT churn_rescore('outcome');
INSERT INTO outcome_customers VALUES (6, 1, 'Yes');
CREATE VIEW outcome_rows AS
	SELECT customer_key AS customer, churned, status, round(score::numeric, 3) AS score, version, observed_at = recorded_at AS now,
		scored_at <= observed_at AS before, challenger_score AS challenger, challenger_version AS its_version
	FROM churn.outcomes WHERE model = 'outcome';
SET client_min_messages = notice;

-- the model's own source and label, observed now
SELECT churn_record_outcomes('outcome');
SELECT * FROM outcome_rows ORDER BY customer;
-- again: nothing is new
CREATE TABLE outcome_before AS SELECT * FROM churn.outcomes;
SELECT churn_record_outcomes('outcome');
SELECT count(*) AS differ FROM (SELECT * FROM churn.outcomes EXCEPT SELECT * FROM outcome_before) d;
-- what was pending is confirmed, as the observation that it was
UPDATE outcome_customers SET churned = 'yes', x = 5 WHERE id = 3;
SELECT churn_rescore('outcome');
SELECT churn_record_outcomes('outcome');
SELECT o.customer_key, o.churned, o.observed_at = b.observed_at AS same_time, o.score = b.score AS same_score, o.recorded_at > b.recorded_at AS later
	FROM churn.outcomes o JOIN outcome_before b USING (model, customer_key) WHERE o.status <> b.status;
-- a confirmed outcome is not undone by a pending one; a customer returns
UPDATE outcome_customers SET churned = NULL WHERE id = 2;
UPDATE outcome_customers SET churned = 'No' WHERE id = 1;
SELECT churn_record_outcomes('outcome');
SELECT customer, churned, status, score, version, now FROM outcome_rows WHERE customer IN ('1', '2') ORDER BY customer, churned;
SELECT churn_record_outcomes('outcome');

-- other sources: tables, views and queries, other labels and keys
CREATE TABLE outcome_left (customer bigint, state text, seen timestamptz);
INSERT INTO outcome_left VALUES (2, 'gone', '2024-03-01 00:00+00'), (4, 'here', '2024-03-02 00:00+00'), (77, 'here', NULL);
SELECT churn_record_outcomes('outcome', 'outcome_left', 'state', 'customer', 'seen', 'gone');
SELECT customer_key, CASE WHEN observed_at < '2025-01-01' THEN observed_at AT TIME ZONE 'UTC' END AS observed, churned, score IS NULL AS unscored FROM churn.outcomes
	WHERE customer_key IN ('2', '4', '77') AND (observed_at < '2025-01-01' OR customer_key = '77') ORDER BY 1, 2;
SELECT churn_record_outcomes('outcome', 'outcome_left', 'state', 'customer', 'seen', 'gone');
-- corrected
UPDATE outcome_left SET state = 'here' WHERE customer = 2;
UPDATE outcome_left SET state = NULL WHERE customer = 4;
SELECT churn_record_outcomes('outcome', 'outcome_left', 'state', 'customer', 'seen', 'gone');
SELECT customer_key, churned FROM churn.outcomes WHERE observed_at < '2025-01-01' ORDER BY customer_key;
-- booleans and numbers; days are those of UTC
SELECT churn_record_outcomes('outcome', 'SELECT 100 AS id, true AS churned, date ''2024-05-05'' AS day', at => 'day');
SELECT churn_record_outcomes('outcome', 'SELECT 101 AS id, 0 AS churned, timestamp ''2024-05-05 12:00'' AS at', at => 'at');
SELECT churn_record_outcomes('outcome', 'VALUES (102, 1), (103, NULL)', 'column2', 'column1', '2024-05-06');
SELECT customer_key, observed_at AT TIME ZONE 'UTC' AS observed, churned, status FROM churn.outcomes WHERE length(customer_key) = 3 ORDER BY 1;
-- the same row twice, and pending beside confirmed
SELECT churn_record_outcomes('outcome', 'VALUES (104, true), (104, true), (105, NULL), (105, false)', 'column2', 'column1', '2024-05-06');
SELECT customer_key, churned FROM churn.outcomes WHERE customer_key IN ('104', '105') ORDER BY 1;
-- an outcome that is still to come is pending until then
SELECT churn_record_outcomes('outcome', 'VALUES (1, NULL::boolean)', 'column2', 'column1', '2999-01-01');
SELECT churn_record_outcomes('outcome', 'VALUES (1, true)', 'column2', 'column1', '2999-01-01');
SELECT customer_key, churned, status, round(score::numeric, 3) AS score, scored_at < recorded_at AS before FROM churn.outcomes WHERE observed_at > '2900-01-01';
-- days with new outcomes are marked; pending ones do not count
SELECT day, pending FROM churn.measured_days WHERE day < '2025-01-01' ORDER BY day;

-- scores: the last one before, of the log or of the predictions, and the challenger's
SET client_min_messages = warning;
SELECT version FROM churn_import('outcome', convert_to(:'artifact', 'UTF8'), options => '{"promote": "never"}');
SELECT churn_set_challenger('outcome', 2);
CREATE TABLE churn.prediction_log_20240401 PARTITION OF churn.prediction_log FOR VALUES FROM ('2024-04-01 00:00+00') TO ('2024-04-02 00:00+00');
CREATE TABLE churn.prediction_log_20240402 PARTITION OF churn.prediction_log FOR VALUES FROM ('2024-04-02 00:00+00') TO ('2024-04-03 00:00+00');
INSERT INTO churn.prediction_log (customer_key, model, version, score, band, scored_at, origin) VALUES
	('200', 'outcome', 1, 0.1, 'low', '2024-04-01 01:00+00', 'stream'), ('200', 'outcome', 2, 0.15, 'low', '2024-04-01 01:00+00', 'shadow'),
	('200', 'outcome', 1, 0.2, 'low', '2024-04-01 02:00+00', 'batch'), ('200', 'outcome', 2, 0.25, 'low', '2024-04-02 02:00+00', 'shadow'),
	('200', 'outcome', 1, 0.3, 'low', '2024-04-02 03:00+00', 'stream'), ('201', 'outcome', 2, 0.4, 'low', '2024-04-02 03:00+00', 'shadow'),
	('200', 'another', 1, 0.9, 'high', '2024-04-01 02:30+00', 'stream'), ('202', 'outcome', 1, 0.5, 'high', '2024-04-01 05:00+00', 'stream');
INSERT INTO churn.predictions (customer_key, model, version, score, band, scored_at, origin) VALUES
	('200', 'outcome', 1, 0.35, 'low', '2024-04-02 04:00+00', 'stream'), ('202', 'outcome', 1, 0.6, 'high', '2024-04-01 06:00+00', 'batch'),
	('203', 'outcome', 1, 0.7, 'high', '2024-04-01 04:00+00', 'batch');
CREATE TABLE outcome_times AS SELECT key::text, at::timestamptz, false AS churned FROM (VALUES
	('200', '2024-04-01 00:59+00'), ('200', '2024-04-01 01:00+00'), ('200', '2024-04-01 02:45+00'), ('200', '2024-04-02 00:00+00'), ('200', '2024-04-02 03:30+00'),
	('200', '2024-04-02 05:00+00'), ('201', '2024-04-02 05:00+00'), ('202', '2024-04-01 05:30+00'), ('202', '2024-04-01 06:30+00'), ('203', '2024-04-01 03:30+00'),
	('203', '2024-04-01 04:30+00')) AS t (key, at);
SET client_min_messages = notice;
SELECT churn_record_outcomes('outcome', 'outcome_times', 'churned', 'key', 'at');
SELECT customer_key, observed_at AT TIME ZONE 'UTC' AS observed, score, version, scored_at AT TIME ZONE 'UTC' AS scored, challenger_score, challenger_version
	FROM churn.outcomes WHERE customer_key LIKE '20_' ORDER BY 1, 2;
-- without a challenger, past or present, its scores are not looked for
SELECT churn_set_challenger('outcome', NULL);
SELECT churn_record_outcomes('outcome', 'SELECT key, at + interval ''1 s'' AS at, true AS churned FROM outcome_times WHERE key = ''200''', 'churned', 'key', 'at');
SELECT count(*), count(challenger_score) FROM churn.outcomes WHERE customer_key = '200' AND churned;

-- nobody churned: true perhaps, and told
SELECT churn_record_outcomes('outcome', 'VALUES (300, ''Left us'')', 'column2', 'column1', '2024-06-01', 'left us');
SELECT churn_record_outcomes('outcome', 'SELECT * FROM outcome_customers WHERE false');

-- labels that the model has learned from say nothing of its scores: those of the test part, and what changes later, do
SET client_min_messages = warning;
CREATE TABLE outcome_trained AS SELECT * FROM churn_sample_customers(400, 5);
ALTER TABLE outcome_trained ADD PRIMARY KEY (customer_id);
UPDATE outcome_trained SET churn = NULL WHERE tenure = 12;
SELECT version FROM churn_train('outcome_trained', 'churn', params => '{"rounds": 5}', algorithm => 'xgboost', options => '{"folds": 0, "test_fraction": 0.4}');
SELECT churn_rescore('outcome_trained');
SET client_min_messages = notice;
SELECT churn_record_outcomes('outcome_trained');
SELECT count(score) FILTER (WHERE status = 'confirmed') = v.test_rows AS the_test_rows, count(*) FILTER (WHERE status = 'pending') = count(score) FILTER (WHERE status = 'pending') AS and_pending
	FROM churn.outcomes o, churn.model_versions v WHERE o.model = 'outcome_trained' AND v.model = o.model GROUP BY v.test_rows;
UPDATE outcome_trained SET churn = CASE churn WHEN 'Yes' THEN 'No' ELSE 'Yes' END WHERE tenure BETWEEN 12 AND 14;
SELECT churn_record_outcomes('outcome_trained', 'outcome_trained');
SELECT count(*) = (SELECT count(*) FROM outcome_trained WHERE tenure BETWEEN 12 AND 14) AS all_scored FROM churn.outcomes
	WHERE model = 'outcome_trained' AND score IS NOT NULL AND recorded_at = (SELECT max(recorded_at) FROM churn.outcomes);
-- a copy of the table is another source, and a time tells that a label is younger
DELETE FROM churn.outcomes WHERE model = 'outcome_trained';
SELECT churn_record_outcomes('outcome_trained', 'SELECT * FROM outcome_trained');
DELETE FROM churn.outcomes WHERE model = 'outcome_trained';
SELECT churn_record_outcomes('outcome_trained', 'outcome_trained', at => '2999-01-01');

-- rights: the caller reads what it names, the model's source its owner
CREATE ROLE regress_churn_owner;
CREATE ROLE regress_churn_member IN ROLE regress_churn_owner;
CREATE ROLE regress_churn_other;
CREATE TABLE outcome_owned (id int PRIMARY KEY, x real, churned boolean);
INSERT INTO outcome_owned VALUES (1, 1, true), (2, 2, false);
ALTER TABLE outcome_owned OWNER TO regress_churn_owner;
GRANT EXECUTE ON FUNCTION churn_import, churn_record_outcomes TO regress_churn_owner, regress_churn_other;
SET ROLE regress_churn_owner;
SELECT promoted FROM churn_import('outcome_owned', convert_to(:'artifact', 'UTF8'), source => 'outcome_owned', key => 'id', label => 'churned');
SET ROLE regress_churn_member;
SELECT churn_record_outcomes('outcome_owned');
SET ROLE regress_churn_other;
SELECT churn_record_outcomes('outcome_owned');
SELECT churn_record_outcomes('outcome_owned', 'outcome_owned');
SELECT churn_record_outcomes('outcome_owned', 'SELECT 3 AS id, true AS churned');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION churn_import, churn_record_outcomes FROM regress_churn_owner, regress_churn_other;
SET ROLE regress_churn_other;
SELECT churn_record_outcomes('outcome_owned', 'SELECT 3 AS id, true AS churned');
RESET ROLE;

-- errors
SELECT churn_record_outcomes(NULL);
SELECT churn_record_outcomes('nobody');
SELECT churn_record_outcomes('outcome', 'nowhere');
SELECT churn_record_outcomes('outcome', 'DELETE FROM outcome_customers');
SELECT churn_record_outcomes('outcome', label => 'churn');
SELECT churn_record_outcomes('outcome', key => 'customer');
SELECT churn_record_outcomes('outcome', at => 'moment');
SELECT churn_record_outcomes('outcome', at => '2024-13-01');
SELECT churn_record_outcomes('outcome', at => 'x');
SELECT churn_record_outcomes('outcome', 'VALUES (1, ''maybe'')', 'column2', 'column1');
SELECT churn_record_outcomes('outcome', 'VALUES (1, now())', 'column2', 'column1');
SELECT churn_record_outcomes('outcome', 'VALUES (1, 5)', 'column2', 'column1', positive => 'five');
SELECT churn_record_outcomes('outcome', 'VALUES (NULL::int, true)', 'column2', 'column1');
SELECT churn_record_outcomes('outcome', 'VALUES (repeat(''x'', 1025), true)', 'column2', 'column1');
SELECT churn_record_outcomes('outcome', 'VALUES (1, true), (2, true), (1, false)', 'column2', 'column1', '2024-07-01');
SELECT churn_record_outcomes('outcome', 'VALUES (1, true, timestamptz ''infinity'')', 'column2', 'column1', 'column3');
SELECT churn_record_outcomes('outcome', 'VALUES (1, true, date ''-infinity'')', 'column2', 'column1', 'column3');
SELECT churn_record_outcomes('outcome', 'VALUES (1, true, date ''5000000-01-01'')', 'column2', 'column1', 'column3');
SELECT version FROM churn_import('outcome_bare', convert_to(:'artifact', 'UTF8'));
SELECT churn_record_outcomes('outcome_bare');
SELECT churn_record_outcomes('outcome_bare', label => 'churned');
SELECT churn_record_outcomes('outcome_bare', label => 'churned', key => 'id');
CREATE FUNCTION outcome_drop() RETURNS int LANGUAGE plpgsql AS 'BEGIN PERFORM churn_drop_model(''outcome_bare''); RETURN 1; END';
SELECT churn_record_outcomes('outcome_bare', 'SELECT outcome_drop() AS id, true AS churned', 'churned', 'id');
BEGIN READ ONLY;
SELECT churn_record_outcomes('outcome');
ROLLBACK;

-- all goes with the model
SELECT churn_drop_model(name) FROM churn.models ORDER BY name;
SELECT count(*) AS outcomes, (SELECT count(*) FROM churn.measured_days) AS days FROM churn.outcomes;
DROP VIEW outcome_rows;
DROP TABLE outcome_customers, outcome_before, outcome_trained, outcome_left, outcome_times, outcome_owned, churn.prediction_log_20240401, churn.prediction_log_20240402;
DROP FUNCTION outcome_drop;
DROP ROLE regress_churn_member;
DROP ROLE regress_churn_other, regress_churn_owner;
