--
-- Live rescoring: churn.predictions follow the customers
--
SET client_min_messages = warning;
-- the score is the logistic function of x
\set artifact '{"churn": {"format": 1, "features": [{"name": "x", "kind": "number"}], "threshold": 0.5}, "components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind": "linear", "slope": 1, "low": -10, "high": 10, "missing": 0, "mean": 0}]}]}'
CREATE TABLE stream_customers (id int PRIMARY KEY, x real, note text);
INSERT INTO stream_customers SELECT i, i - 3, 'note' FROM generate_series(1, 5) i;
SELECT promoted FROM churn_import('stream', convert_to(:'artifact', 'UTF8'), source => 'stream_customers', key => 'id');
CREATE VIEW stream_predictions AS
	SELECT customer_key AS customer, version, round(score::numeric, 4) AS score, round(previous_score::numeric, 4) AS previous,
		band, reasons, origin, lsn IS NOT NULL AS lsn
	FROM churn.predictions WHERE model = 'stream' ORDER BY customer_key;

-- the first watch scores all customers
SELECT churn_watch('stream');
SELECT churn_wait('60s');
SELECT * FROM stream_predictions;
SELECT pending, version, rows, written, error FROM churn.rescans;
SELECT watches, paused, rescans_pending, slot_status,
	slot = 'churn_' || (SELECT oid FROM pg_database WHERE datname = current_database()) AS named
	FROM churn.stream_status;

-- inserted, updated, deleted
INSERT INTO stream_customers VALUES (6, 6, 'new');
UPDATE stream_customers SET x = 1 WHERE id = 3;
DELETE FROM stream_customers WHERE id = 1;
UPDATE stream_customers SET id = 20 WHERE id = 2;
SELECT churn_wait('60s');
SELECT * FROM stream_predictions;

-- the last of many changes counts, and what was rolled back does not
BEGIN;
UPDATE stream_customers SET x = 2 WHERE id = 3;
SAVEPOINT a;
UPDATE stream_customers SET x = 9;
ROLLBACK TO a;
UPDATE stream_customers SET x = -1 WHERE id = 3;
DELETE FROM stream_customers WHERE id = 6;
INSERT INTO stream_customers VALUES (6, 0, 'again');
COMMIT;
SELECT churn_wait('60s');
SELECT * FROM stream_predictions;

-- what changes no score writes nothing
CREATE TEMP TABLE stream_before AS SELECT ctid AS place, xmin AS writer, * FROM churn.predictions;
UPDATE stream_customers SET note = 'other', x = x;
SELECT churn_wait('60s');
SELECT count(*) AS touched FROM churn.predictions p JOIN stream_before b USING (customer_key, model)
	WHERE p.ctid <> b.place OR p.xmin <> b.writer OR p.xmax <> '0';
-- unless it is to
ALTER SYSTEM SET churn.write_unchanged = on;
SELECT pg_reload_conf();
UPDATE stream_customers SET note = 'third' WHERE id = 3;
SELECT churn_wait('60s');
-- the worker may have taken the change before the setting
DO $$ BEGIN
	WHILE NOT EXISTS (SELECT FROM churn.predictions p JOIN stream_before b USING (customer_key, model)
			WHERE p.customer_key = '3' AND p.lsn > b.lsn) LOOP
		UPDATE stream_customers SET note = note || '!' WHERE id = 3;
		COMMIT;
		PERFORM churn_wait('60s');
		COMMIT;
	END LOOP;
END $$;
SELECT * FROM stream_predictions WHERE customer = '3';
ALTER SYSTEM RESET churn.write_unchanged;
SELECT pg_reload_conf();

-- TRUNCATE, and COPY
TRUNCATE stream_customers;
SELECT churn_wait('60s');
SELECT count(*) FROM stream_predictions;
COPY stream_customers FROM stdin;
1	-1	a
2	1	b
3	3	c
\.
SELECT churn_wait('60s');
SELECT * FROM stream_predictions;

-- another version: all customers are scored anew
SELECT version, promoted FROM churn_import('stream', convert_to(replace(:'artifact', '"slope": 1', '"slope": -1'), 'UTF8'), options => '{"promote": "always"}');
UPDATE stream_customers SET x = 2 WHERE id = 2;
SELECT churn_wait('60s');
SELECT customer, version, score, band FROM stream_predictions;
SELECT pending, version, rows, error FROM churn.rescans;
SELECT churn_rollback('stream');
SELECT churn_wait('60s');
SELECT customer, version, score, previous FROM stream_predictions;

-- reasons with each score
SELECT churn_watch('stream', reasons => 2);
SELECT churn_wait('60s');
SELECT customer, score, previous, reasons, origin FROM stream_predictions;
UPDATE stream_customers SET x = 11 WHERE id = 3;
SELECT churn_wait('60s');
-- the score is the same, but not the reason
UPDATE stream_customers SET x = 12 WHERE id = 3;
SELECT churn_wait('60s');
SELECT customer, score, previous, reasons, origin FROM stream_predictions;

-- churn_rescore() has the worker do it
DELETE FROM churn.predictions WHERE model = 'stream' AND customer_key = '2';
SELECT churn_rescore('stream');
SELECT churn_rescore('stream');
SELECT churn_rescore('stream', 1);
SELECT pending, rows, written, reason FROM churn.rescans;
BEGIN;
UPDATE stream_customers SET x = 0;
SELECT churn_rescore('stream');
ROLLBACK;

-- customers that cannot be scored do not stop the others
SELECT churn_unwatch('stream');
SELECT version, promoted FROM churn_import('stream', convert_to(:'artifact', 'UTF8'), '[{"name": "x", "kind": "number", "transform": "1 / nullif(x, 1)::int"}]', options => '{"promote": "always"}');
UPDATE stream_customers SET x = 0 WHERE id = 1;
SELECT churn_watch('stream');
SELECT churn_wait('60s');
SELECT customer, version, score, previous, origin FROM stream_predictions;
UPDATE stream_customers SET x = CASE id WHEN 2 THEN 0 ELSE -1 END;
SELECT churn_wait('60s');
SELECT customer, version, score, previous, origin FROM stream_predictions;
SELECT DISTINCT kind, model, relation, customer_key, sqlstate, message, detail, hint
	FROM churn.errors ORDER BY customer_key;

-- a transaction that takes back what it did, in more than one chunk
BEGIN;
INSERT INTO stream_customers SELECT i, 1 FROM generate_series(1000, 121000) i;
DELETE FROM stream_customers WHERE id BETWEEN 1000 AND 120000;
UPDATE stream_customers SET x = 2 WHERE id > 120000;
COMMIT;
SELECT churn_wait('120s');
SELECT count(*), min(c.id), max(c.id), count(*) FILTER (WHERE p.score <> churn_score(c, 'stream')) AS wrong
	FROM stream_customers c JOIN churn.predictions p ON p.customer_key = c.id::text AND p.model = 'stream'
	WHERE c.id >= 1000;
SELECT count(*) FROM churn.predictions WHERE model = 'stream' AND customer_key::int >= 1000;
SELECT count(*) AS errors FROM churn.errors WHERE kind = 'batch';
DELETE FROM stream_customers WHERE id >= 1000;

-- nothing is watched any more: no worker, no slot, no position
SELECT churn_unwatch('stream');
DO $$ BEGIN
	WHILE EXISTS (SELECT FROM churn.stream_status) OR EXISTS (SELECT FROM pg_replication_slots WHERE database = current_database()) LOOP
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END $$;
SELECT count(*) AS positions FROM churn.stream_position;
SELECT churn_wait('60s');
SELECT count(*) FROM stream_predictions;

TRUNCATE churn.errors;
DROP VIEW stream_predictions;
DROP TABLE stream_customers, stream_before;
SELECT churn_drop_model('stream');
SELECT count(*) FROM churn.predictions;
