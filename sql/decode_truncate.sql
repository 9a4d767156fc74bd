--
-- TRUNCATE has all customers of the model looked at
--
-- The output plugin, used by hand, prints what each change means for a model.
--
SET client_min_messages = warning;
-- the score is the logistic function of x
\set artifact '{"churn": {"format": 1, "features": [{"name": "x", "kind": "number"}], "threshold": 0.5}, "components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind": "linear", "slope": 1, "low": -10, "high": 10, "missing": 0, "mean": 0}]}]}'
CREATE TABLE decode_customers (id int PRIMARY KEY, x real);
CREATE TABLE decode_visits (id int REFERENCES decode_customers, pages int);
INSERT INTO decode_customers VALUES (1, 1), (2, 2);
SELECT promoted FROM churn_import('decode', convert_to(:'artifact', 'UTF8'), source => 'decode_customers', key => 'id');
SELECT churn_watch('decode');
SELECT 'made' FROM pg_create_logical_replication_slot('regress_churn_truncate', 'churn');

TRUNCATE decode_customers CASCADE;
TRUNCATE decode_visits;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_truncate', NULL, NULL);

-- rows before and after
BEGIN;
INSERT INTO decode_customers VALUES (3, 3);
TRUNCATE decode_customers, decode_visits;
INSERT INTO decode_customers VALUES (4, 4);
COMMIT;
BEGIN;
TRUNCATE decode_customers, decode_visits;
ROLLBACK;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_truncate', NULL, NULL);

-- a related table
CREATE TABLE decode_payments (id int, payment int, x real, PRIMARY KEY (payment, id));
SELECT churn_watch('decode', 'decode_payments', 'id');
TRUNCATE decode_payments;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_truncate', NULL, NULL);

-- a partition
CREATE TABLE decode_parts (id int PRIMARY KEY, x real) PARTITION BY RANGE (id);
CREATE TABLE decode_part PARTITION OF decode_parts FOR VALUES FROM (1) TO (100);
SELECT promoted FROM churn_import('decode_parts', convert_to(:'artifact', 'UTF8'), source => 'decode_parts', key => 'id');
SELECT churn_watch('decode_parts');
TRUNCATE decode_part;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_truncate', NULL, NULL);
TRUNCATE decode_parts;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_truncate', NULL, NULL);

SELECT pg_drop_replication_slot('regress_churn_truncate');
SELECT churn_drop_model('decode');
SELECT churn_drop_model('decode_parts');
DROP TABLE decode_visits, decode_customers, decode_payments, decode_parts;
-- worker and slot go with the last watch
DO $$ BEGIN
	WHILE EXISTS (SELECT FROM churn.stream_status) LOOP
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END $$;
TRUNCATE churn.errors;
