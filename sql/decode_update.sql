--
-- Updated rows are scored
--
-- The output plugin, used by hand, prints what each change means for a model.
--
SET client_min_messages = warning;
-- the score is the logistic function of x
\set artifact '{"churn": {"format": 1, "features": [{"name": "x", "kind": "number"}], "threshold": 0.5}, "components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind": "linear", "slope": 1, "low": -10, "high": 10, "missing": 0, "mean": 0}]}]}'
CREATE TABLE decode_customers (id int PRIMARY KEY, x real, note text);
INSERT INTO decode_customers SELECT i, i, 'note' FROM generate_series(1, 3) i;
SELECT promoted FROM churn_import('decode', convert_to(:'artifact', 'UTF8'), source => 'decode_customers', key => 'id');
SELECT churn_watch('decode');
SELECT 'made' FROM pg_create_logical_replication_slot('regress_churn_update', 'churn');

UPDATE decode_customers SET x = 0 WHERE id = 1;
UPDATE decode_customers SET note = 'the model does not see this' WHERE id = 2;
UPDATE decode_customers SET x = x;
UPDATE decode_customers SET x = 1 WHERE id = 9;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_update', NULL, NULL);

-- many updates of a row are as many changes; it is the worker who takes the last
BEGIN;
UPDATE decode_customers SET x = 1 WHERE id = 1;
UPDATE decode_customers SET x = 2 WHERE id = 1;
UPDATE decode_customers SET x = NULL WHERE id = 1;
COMMIT;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_update', NULL, NULL);

-- inserted, updated and deleted in one transaction
BEGIN;
INSERT INTO decode_customers VALUES (4, 4);
UPDATE decode_customers SET x = 5 WHERE id = 4;
DELETE FROM decode_customers WHERE id = 4;
COMMIT;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_update', NULL, NULL);

-- a locked row is no changed row
SELECT id FROM decode_customers WHERE id = 1 FOR UPDATE;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_update', NULL, NULL);

-- MERGE
MERGE INTO decode_customers c USING (VALUES (1, 7), (5, 8)) AS v (id, x) ON c.id = v.id
	WHEN MATCHED THEN UPDATE SET x = v.x
	WHEN NOT MATCHED THEN INSERT (id, x) VALUES (v.id, v.x);
SELECT data FROM pg_logical_slot_get_changes('regress_churn_update', NULL, NULL);

SELECT pg_drop_replication_slot('regress_churn_update');
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
