--
-- Columns that come, go and change
--
-- The output plugin, used by hand, prints what each change means for a model.
--
SET client_min_messages = warning;
-- the score is the logistic function of x
\set artifact '{"churn": {"format": 1, "features": [{"name": "x", "kind": "number"}], "threshold": 0.5}, "components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind": "linear", "slope": 1, "low": -10, "high": 10, "missing": 0, "mean": 0}]}]}'
CREATE TABLE decode_customers (gone text, id int PRIMARY KEY, x real);
ALTER TABLE decode_customers DROP gone;
INSERT INTO decode_customers VALUES (1, 1);
SELECT promoted FROM churn_import('decode', convert_to(:'artifact', 'UTF8'), source => 'decode_customers', key => 'id');
SELECT churn_watch('decode');
SELECT 'made' FROM pg_create_logical_replication_slot('regress_churn_columns', 'churn');

UPDATE decode_customers SET x = 0;
ALTER TABLE decode_customers ADD note text;
UPDATE decode_customers SET note = 'new';
ALTER TABLE decode_customers ADD rank int DEFAULT 7 NOT NULL;
UPDATE decode_customers SET x = 2;
ALTER TABLE decode_customers DROP note;
INSERT INTO decode_customers VALUES (2, 2, 2);
SELECT data FROM pg_logical_slot_get_changes('regress_churn_columns', NULL, NULL);

-- types: the table is rewritten, and all customers are looked at
ALTER TABLE decode_customers ALTER x TYPE numeric;
UPDATE decode_customers SET x = 3 WHERE id = 1;
ALTER TABLE decode_customers ALTER id TYPE bigint;
UPDATE decode_customers SET id = 3000000000 WHERE id = 1;
ALTER TABLE decode_customers ALTER id TYPE text USING 'k' || id;
DELETE FROM decode_customers WHERE id = 'k2';
SELECT data FROM pg_logical_slot_get_changes('regress_churn_columns', NULL, NULL);

-- all in one transaction, before and after the change
BEGIN;
INSERT INTO decode_customers VALUES ('k4', 4, 4);
ALTER TABLE decode_customers DROP rank, ADD plan text;
INSERT INTO decode_customers VALUES ('k5', 5, 'basic');
ALTER TABLE decode_customers ALTER x TYPE int;
UPDATE decode_customers SET x = 6;
COMMIT;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_columns', NULL, NULL);

-- generated columns
ALTER TABLE decode_customers ADD twice int GENERATED ALWAYS AS (x * 2) STORED;
UPDATE decode_customers SET x = 7 WHERE id = 'k4';
SELECT data FROM pg_logical_slot_get_changes('regress_churn_columns', NULL, NULL);

-- a column that the model needs is renamed, and back; the key, too
ALTER TABLE decode_customers RENAME x TO y;
UPDATE decode_customers SET y = 8 WHERE id = 'k4';
ALTER TABLE decode_customers RENAME y TO x;
UPDATE decode_customers SET x = 9 WHERE id = 'k4';
SELECT data FROM pg_logical_slot_get_changes('regress_churn_columns', NULL, NULL);
ALTER TABLE decode_customers RENAME id TO customer;
UPDATE decode_customers SET x = 10 WHERE customer = 'k4';
SELECT data FROM pg_logical_slot_get_changes('regress_churn_columns', NULL, NULL);
ALTER TABLE decode_customers RENAME customer TO id;
UPDATE decode_customers SET x = 11 WHERE id = 'k4';
SELECT data FROM pg_logical_slot_get_changes('regress_churn_columns', NULL, NULL);

-- so is the table: its watch has lost it until it has its name again
ALTER TABLE decode_customers RENAME TO decode_clients;
UPDATE decode_clients SET x = 12 WHERE id = 'k4';
SELECT data FROM pg_logical_slot_get_changes('regress_churn_columns', NULL, NULL);
ALTER TABLE decode_clients RENAME TO decode_customers;
UPDATE decode_customers SET x = 13 WHERE id = 'k4';
SELECT data FROM pg_logical_slot_get_changes('regress_churn_columns', NULL, NULL);

-- rewritten by VACUUM and CLUSTER, which change nothing
VACUUM FULL decode_customers;
CLUSTER decode_customers USING decode_customers_pkey;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_columns', NULL, NULL);

SELECT pg_drop_replication_slot('regress_churn_columns');
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
