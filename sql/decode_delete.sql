--
-- Customers who are deleted lose their prediction
--
-- The output plugin, used by hand, prints what each change means for a model.
--
SET client_min_messages = warning;
-- the score is the logistic function of x
\set artifact '{"churn": {"format": 1, "features": [{"name": "x", "kind": "number"}], "threshold": 0.5}, "components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind": "linear", "slope": 1, "low": -10, "high": 10, "missing": 0, "mean": 0}]}]}'
CREATE TABLE decode_customers (id int PRIMARY KEY, x real, note text);
INSERT INTO decode_customers SELECT i, i, 'note' FROM generate_series(1, 6) i;
SELECT promoted FROM churn_import('decode', convert_to(:'artifact', 'UTF8'), source => 'decode_customers', key => 'id');
SELECT churn_watch('decode');
SELECT 'made' FROM pg_create_logical_replication_slot('regress_churn_delete', 'churn');

DELETE FROM decode_customers WHERE id = 1;
DELETE FROM decode_customers WHERE id IN (2, 3);
DELETE FROM decode_customers WHERE id = 9;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_delete', NULL, NULL);

-- deleted and inserted again
BEGIN;
DELETE FROM decode_customers WHERE id = 4;
INSERT INTO decode_customers VALUES (4, 1);
COMMIT;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_delete', NULL, NULL);

-- by a foreign key's cascade
CREATE TABLE decode_accounts (id int PRIMARY KEY);
INSERT INTO decode_accounts VALUES (5), (6);
DELETE FROM decode_customers WHERE id = 4;
ALTER TABLE decode_customers ADD FOREIGN KEY (id) REFERENCES decode_accounts ON DELETE CASCADE;
DELETE FROM decode_accounts WHERE id = 5;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_delete', NULL, NULL);

-- where the replica identity does not hold the key, all customers are looked at
ALTER TABLE decode_customers REPLICA IDENTITY NOTHING;
DELETE FROM decode_customers WHERE id = 6;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_delete', NULL, NULL);

SELECT pg_drop_replication_slot('regress_churn_delete');
SELECT churn_drop_model('decode');
DROP TABLE decode_customers, decode_accounts;
-- worker and slot go with the last watch
DO $$ BEGIN
	WHILE EXISTS (SELECT FROM churn.stream_status) LOOP
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END $$;
TRUNCATE churn.errors;
