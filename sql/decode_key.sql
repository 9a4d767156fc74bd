--
-- Changes of the key, under each replica identity
--
-- The output plugin, used by hand, prints what each change means for a model.
--
SET client_min_messages = warning;
-- the score is the logistic function of x
\set artifact '{"churn": {"format": 1, "features": [{"name": "x", "kind": "number"}], "threshold": 0.5}, "components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind": "linear", "slope": 1, "low": -10, "high": 10, "missing": 0, "mean": 0}]}]}'
CREATE TABLE decode_customers (id int PRIMARY KEY, email text NOT NULL UNIQUE, x real);
INSERT INTO decode_customers SELECT i, i || '@example.com', i FROM generate_series(1, 5) i;
SELECT promoted FROM churn_import('decode', convert_to(:'artifact', 'UTF8'), source => 'decode_customers', key => 'id');
SELECT churn_watch('decode');
SELECT 'made' FROM pg_create_logical_replication_slot('regress_churn_key', 'churn');

-- the primary key is the identity: the customer of the old key is gone
UPDATE decode_customers SET id = 10 WHERE id = 1;
UPDATE decode_customers SET id = id WHERE id = 2;
UPDATE decode_customers SET id = -id WHERE id IN (3, 4);
SELECT data FROM pg_logical_slot_get_changes('regress_churn_key', NULL, NULL);

-- two customers swap their keys
BEGIN;
UPDATE decode_customers SET id = 0 WHERE id = 10;
UPDATE decode_customers SET id = 10 WHERE id = 2;
UPDATE decode_customers SET id = 2 WHERE id = 0;
COMMIT;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_key', NULL, NULL);

-- the whole row is the identity
ALTER TABLE decode_customers REPLICA IDENTITY FULL;
UPDATE decode_customers SET id = 11 WHERE id = 10;
UPDATE decode_customers SET x = 0 WHERE id = 11;
DELETE FROM decode_customers WHERE id = 11;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_key', NULL, NULL);

-- another index is: the primary key does not tell any more, so all are looked at
ALTER TABLE decode_customers REPLICA IDENTITY USING INDEX decode_customers_email_key;
UPDATE decode_customers SET id = 12 WHERE id = 2;
DELETE FROM decode_customers WHERE id = 12;
SELECT churn_watch('decode');
SELECT data FROM pg_logical_slot_get_changes('regress_churn_key', NULL, NULL);

-- it does for a model whose key that is
SELECT promoted FROM churn_import('decode_email', convert_to(:'artifact', 'UTF8'), source => 'decode_customers', key => 'email');
SELECT churn_watch('decode_email');
UPDATE decode_customers SET email = 'new@example.com' WHERE id = -3;
DELETE FROM decode_customers WHERE id = -3;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_key', NULL, NULL);

-- nothing is: a change of the key looks like any other, a delete has all looked at
ALTER TABLE decode_customers REPLICA IDENTITY NOTHING;
UPDATE decode_customers SET id = 13 WHERE id = -4;
DELETE FROM decode_customers WHERE id = 13;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_key', NULL, NULL);

-- a key of several columns
CREATE TABLE decode_pairs (country text, id int, x real, PRIMARY KEY (country, id));
SELECT promoted FROM churn_import('decode_pairs', convert_to(:'artifact', 'UTF8'), source => 'decode_pairs', key => 'id');
SELECT churn_watch('decode_pairs');
INSERT INTO decode_pairs VALUES ('de', 1, 1);
UPDATE decode_pairs SET country = 'at';
UPDATE decode_pairs SET id = 2;
DELETE FROM decode_pairs;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_key', NULL, NULL);

-- a NULL key, which is nobody's
CREATE TABLE decode_nulls (id int, x real);
ALTER TABLE decode_nulls REPLICA IDENTITY FULL;
SELECT promoted FROM churn_import('decode_nulls', convert_to(:'artifact', 'UTF8'), source => 'decode_nulls', key => 'id');
SELECT churn_watch('decode_nulls');
INSERT INTO decode_nulls VALUES (NULL, 1);
UPDATE decode_nulls SET id = 1;
UPDATE decode_nulls SET id = NULL;
DELETE FROM decode_nulls;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_key', NULL, NULL);

SELECT pg_drop_replication_slot('regress_churn_key');
SELECT churn_drop_model('decode');
SELECT churn_drop_model('decode_email');
SELECT churn_drop_model('decode_pairs');
SELECT churn_drop_model('decode_nulls');
DROP TABLE decode_customers, decode_pairs, decode_nulls;
-- worker and slot go with the last watch
DO $$ BEGIN
	WHILE EXISTS (SELECT FROM churn.stream_status) LOOP
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END $$;
TRUNCATE churn.errors;
