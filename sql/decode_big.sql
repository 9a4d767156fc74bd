--
-- A transaction of 20,000 changes, which does not fit into memory
--
-- The output plugin, used by hand, prints what each change means for a model.
--
SET client_min_messages = warning;
-- the score is the logistic function of x
\set artifact '{"churn": {"format": 1, "features": [{"name": "x", "kind": "number"}], "threshold": 0.5}, "components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind": "linear", "slope": 1, "low": -10, "high": 10, "missing": 0, "mean": 0}]}]}'
CREATE TABLE decode_customers (id int PRIMARY KEY, x real, note text);
SELECT promoted FROM churn_import('decode', convert_to(:'artifact', 'UTF8'), source => 'decode_customers', key => 'id');
SELECT churn_watch('decode');
SELECT 'made' FROM pg_create_logical_replication_slot('regress_churn_big', 'churn');

SET logical_decoding_work_mem = '64kB';
BEGIN;
INSERT INTO decode_customers SELECT i, i % 7, repeat('n', 50) FROM generate_series(1, 10000) i;
SAVEPOINT a;
UPDATE decode_customers SET x = 0;
ROLLBACK TO a;
UPDATE decode_customers SET x = x + 1 WHERE id <= 8000;
DELETE FROM decode_customers WHERE id > 8000;
COMMIT;
CREATE TEMP TABLE lines AS SELECT data, ordinality AS line
	FROM pg_logical_slot_get_changes('regress_churn_big', NULL, NULL) WITH ORDINALITY;
SELECT regexp_replace(data, '[0-9]+', 'N') AS kind, count(*), count(DISTINCT data) AS customers
	FROM lines GROUP BY 1 ORDER BY 1;
SELECT data FROM lines WHERE line IN (1, 2, 10001, 10002, 18001, 18002, 20001, 20002) ORDER BY line;

-- the worker has it, too: all of it, and each customer once
SELECT churn_wait('60s');
SELECT count(*), count(DISTINCT customer_key) AS customers FROM churn.predictions WHERE model = 'decode';
SELECT count(*) AS differ FROM decode_customers c
	FULL JOIN (SELECT * FROM churn.predictions WHERE model = 'decode') p ON p.customer_key = c.id::text
	WHERE p.score IS DISTINCT FROM churn_score(c, 'decode');
DROP TABLE lines;
RESET logical_decoding_work_mem;

SELECT pg_drop_replication_slot('regress_churn_big');
SELECT churn_drop_model('decode');
DROP TABLE decode_customers;
-- worker and slot go with the last watch
DO $$ BEGIN
	WHILE EXISTS (SELECT FROM churn.stream_status) LOOP
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END $$;
TRUNCATE churn.errors;
