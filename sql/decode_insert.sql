--
-- Inserted rows are scored
--
-- The output plugin, used by hand, prints what each change means for a model.
--
SET client_min_messages = warning;
-- the score is the logistic function of x
\set artifact '{"churn": {"format": 1, "features": [{"name": "x", "kind": "number"}], "threshold": 0.5}, "components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind": "linear", "slope": 1, "low": -10, "high": 10, "missing": 0, "mean": 0}]}]}'
CREATE TABLE decode_customers (id int PRIMARY KEY, x real, note text);
SELECT promoted FROM churn_import('decode', convert_to(:'artifact', 'UTF8'), source => 'decode_customers', key => 'id');
SELECT churn_watch('decode');
SELECT 'made' FROM pg_create_logical_replication_slot('regress_churn_insert', 'churn');

-- one row, several, none
INSERT INTO decode_customers VALUES (1, 0.5, 'one');
INSERT INTO decode_customers SELECT i, i, NULL FROM generate_series(2, 4) i;
INSERT INTO decode_customers SELECT 5, 0, '' WHERE false;
COPY decode_customers FROM stdin;
6	6	copied
7	\N	\N
\.
SELECT data FROM pg_logical_slot_get_changes('regress_churn_insert', NULL, NULL);

-- a table that nobody watches, and one of ours
CREATE TABLE decode_others (id int PRIMARY KEY, x real);
INSERT INTO decode_others VALUES (1, 1);
INSERT INTO churn.predictions (customer_key, model, version, score, band, scored_at, origin)
	VALUES ('1', 'nobody', 1, 0.5, 'low', now(), 'api');
DELETE FROM churn.predictions WHERE model = 'nobody';
SELECT data FROM pg_logical_slot_get_changes('regress_churn_insert', NULL, NULL);

-- both kinds in one transaction
BEGIN;
INSERT INTO decode_others VALUES (2, 2);
INSERT INTO decode_customers VALUES (8, 8, 'eight');
INSERT INTO decode_others VALUES (3, 3);
COMMIT;
-- and an INSERT that becomes an UPDATE
INSERT INTO decode_customers VALUES (8, 8, 'again'), (9, 9, 'nine')
	ON CONFLICT (id) DO UPDATE SET note = excluded.note;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_insert', NULL, NULL);

-- two models of one table
SELECT promoted FROM churn_import('decode_too', convert_to(:'artifact', 'UTF8'), source => 'decode_customers', key => 'id');
SELECT churn_watch('decode_too');
INSERT INTO decode_customers VALUES (10, 1);
SELECT data FROM pg_logical_slot_get_changes('regress_churn_insert', NULL, NULL);

-- nothing is printed twice
SELECT data FROM pg_logical_slot_get_changes('regress_churn_insert', NULL, NULL);

SELECT pg_drop_replication_slot('regress_churn_insert');
SELECT churn_drop_model('decode');
SELECT churn_drop_model('decode_too');
DROP TABLE decode_customers, decode_others;
-- worker and slot go with the last watch
DO $$ BEGIN
	WHILE EXISTS (SELECT FROM churn.stream_status) LOOP
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END $$;
TRUNCATE churn.errors;
