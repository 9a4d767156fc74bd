--
-- churn.prediction_log: every score, with what it was made of
--
SET client_min_messages = warning;
-- the score is the logistic function of x
\set artifact '{"churn": {"format": 1, "features": [{"name": "x", "kind": "number"}], "threshold": 0.5}, "components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind": "linear", "slope": 1, "low": -10, "high": 10, "missing": 0, "mean": 0}]}]}'
CREATE TABLE log_customers (id int PRIMARY KEY, x real);
INSERT INTO log_customers VALUES (1, 1), (2, NULL);
SELECT promoted FROM churn_import('log', convert_to(:'artifact', 'UTF8'), source => 'log_customers', key => 'id');
SELECT churn_watch('log');
SELECT churn_wait('60s');
UPDATE log_customers SET x = 2 WHERE id = 1;
SELECT churn_wait('60s');
UPDATE log_customers SET x = 2 WHERE id = 1;
SELECT churn_wait('60s');
UPDATE log_customers SET x = 3 WHERE id = 1;
UPDATE log_customers SET x = -1 WHERE id = 2;
DELETE FROM log_customers WHERE id = 2;
INSERT INTO log_customers VALUES (3, 3);
SELECT churn_wait('60s');
UPDATE log_customers SET x = -3 WHERE id = 1;
SELECT churn_wait('60s');
SELECT version FROM churn_import('log', convert_to(replace(:'artifact', '"slope": 1', '"slope": 2'), 'UTF8'), options => '{"promote": "always"}');
SELECT churn_wait('60s');

-- each row's previous score is the score of the row before
SELECT customer_key AS customer, version, round(score::numeric, 4) AS score, band, features, origin, lsn IS NOT NULL AS lsn,
	previous_score IS NOT DISTINCT FROM lag(score) OVER w AS chained, scored_at > coalesce(lag(scored_at) OVER w, '-infinity') AS later
	FROM churn.prediction_log WHERE model = 'log' AND customer_key <> '2'
	WINDOW w AS (PARTITION BY customer_key ORDER BY scored_at) ORDER BY customer_key, scored_at;
-- the last one is the prediction
SELECT count(*) AS differ FROM churn.predictions p WHERE model = 'log' AND NOT EXISTS
	(SELECT FROM churn.prediction_log l WHERE l.model = 'log' AND l.customer_key = p.customer_key AND l.score = p.score
		AND l.version = p.version AND l.scored_at = p.scored_at);
-- NULL is NaN
SELECT customer_key, features FROM churn.prediction_log WHERE model = 'log' AND customer_key = '2' ORDER BY scored_at LIMIT 1;

-- features are the row as the model sees it: a trained model with categories, ages and a transform
CREATE TABLE log_trained AS SELECT *, date '2020-01-01' + tenure AS since FROM churn_sample_customers(500, 3);
ALTER TABLE log_trained ADD PRIMARY KEY (customer_id);
SELECT version FROM churn_train('log_trained', 'churn', params => '{"rounds": 5}', transform => '{"rate": "monthly_charges / nullif(tenure, 0)"}',
	algorithm => 'xgboost', options => '{"folds": 0, "as_of": "2024-01-01"}');
SELECT churn_watch('log_trained');
SELECT churn_wait('60s');
SELECT count(*) AS rows, count(*) FILTER (WHERE array_length(l.features, 1) = f.n) AS complete,
	count(*) FILTER (WHERE l.score = churn_score(c, 'log_trained')) AS scored
	FROM churn.prediction_log l JOIN log_trained c ON c.customer_id = l.customer_key,
		(SELECT count(*) AS n FROM churn.features WHERE model = 'log_trained') f
	WHERE l.model = 'log_trained';
-- feature by feature
SELECT f.name, f.kind, count(*) FILTER (WHERE CASE f.kind
		WHEN 'category' THEN (array_position(f.categories, to_jsonb(c) ->> f.name) - 1)::real
		WHEN 'age' THEN ((l.scored_at AT TIME ZONE 'UTC')::date - c.since)::real
		ELSE CASE f.name WHEN 'rate' THEN (c.monthly_charges / nullif(c.tenure, 0))::real
			ELSE (to_jsonb(c) ->> f.name)::real END END
		IS DISTINCT FROM nullif(l.features[f.position], 'NaN')) AS differ
	FROM churn.features f, churn.prediction_log l JOIN log_trained c ON c.customer_id = l.customer_key
	WHERE f.model = 'log_trained' AND l.model = 'log_trained'
	GROUP BY f.position, f.name, f.kind ORDER BY f.position;

-- partitions of a UTC day each: of today and the next two
SELECT count(*) >= 3 AS made FROM pg_inherits WHERE inhparent = 'churn.prediction_log'::regclass;
SELECT DISTINCT pg_get_expr(c.relpartbound, c.oid) = format('FOR VALUES FROM (%L) TO (%L)', day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC') AS bounded
	FROM pg_class c, to_date(right(c.relname, 8), 'YYYYMMDD') AS day
	WHERE c.relnamespace = 'churn'::regnamespace AND c.relname ~ '^prediction_log_[0-9]{8}$';
-- made once, and those that are old dropped; other partitions are the administrator's
CREATE TABLE churn.prediction_log_20240101 PARTITION OF churn.prediction_log FOR VALUES FROM ('2024-01-01 00:00+00') TO ('2024-01-02 00:00+00');
CREATE TABLE churn.prediction_log_2023 PARTITION OF churn.prediction_log FOR VALUES FROM ('2023-01-01 00:00+00') TO ('2024-01-01 00:00+00');
SELECT churn.maintain_log('1000 years');
SELECT churn.maintain_log('1 day');
SELECT to_regclass('churn.prediction_log_20240101') IS NULL AS dropped, to_regclass('churn.prediction_log_2023') IS NULL AS dropped_too;
SELECT count(*) >= 4 AS kept FROM pg_inherits WHERE inhparent = 'churn.prediction_log'::regclass;
SELECT churn.maintain_log('0');
SELECT count(*) > 0 AS kept FROM churn.prediction_log WHERE model = 'log_trained';

DROP TABLE churn.prediction_log_2023;
SELECT churn_drop_model('log');
SELECT churn_drop_model('log_trained');
TRUNCATE churn.prediction_log;
DROP TABLE log_customers, log_trained;
-- worker and slot go with the last watch
DO $$ BEGIN
	WHILE EXISTS (SELECT FROM churn.stream_status) LOOP
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END $$;
TRUNCATE churn.errors;
