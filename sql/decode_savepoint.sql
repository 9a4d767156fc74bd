--
-- What is rolled back is no change
--
-- The output plugin, used by hand, prints what each change means for a model.
--
SET client_min_messages = warning;
-- the score is the logistic function of x
\set artifact '{"churn": {"format": 1, "features": [{"name": "x", "kind": "number"}], "threshold": 0.5}, "components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind": "linear", "slope": 1, "low": -10, "high": 10, "missing": 0, "mean": 0}]}]}'
CREATE TABLE decode_customers (id int PRIMARY KEY, x real);
SELECT promoted FROM churn_import('decode', convert_to(:'artifact', 'UTF8'), source => 'decode_customers', key => 'id');
SELECT churn_watch('decode');
SELECT 'made' FROM pg_create_logical_replication_slot('regress_churn_savepoint', 'churn');

BEGIN;
INSERT INTO decode_customers VALUES (1, 1);
ROLLBACK;
INSERT INTO decode_customers VALUES (2, 2), (2, 2);
SELECT data FROM pg_logical_slot_get_changes('regress_churn_savepoint', NULL, NULL);

BEGIN;
INSERT INTO decode_customers VALUES (3, 3);
SAVEPOINT a;
INSERT INTO decode_customers VALUES (4, 4);
SAVEPOINT b;
INSERT INTO decode_customers VALUES (5, 5);
ROLLBACK TO b;
INSERT INTO decode_customers VALUES (6, 6);
RELEASE a;
UPDATE decode_customers SET x = 0 WHERE id = 3;
COMMIT;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_savepoint', NULL, NULL);

-- all of it in subtransactions, and nothing but
BEGIN;
SAVEPOINT a;
INSERT INTO decode_customers VALUES (7, 7);
RELEASE a;
SAVEPOINT a;
INSERT INTO decode_customers VALUES (8, 8);
ROLLBACK TO a;
COMMIT;
DO $$ BEGIN
	FOR i IN 9..12 LOOP
		BEGIN
			INSERT INTO decode_customers VALUES (i, i);
			IF i % 2 = 0 THEN RAISE division_by_zero; END IF;
		EXCEPTION WHEN division_by_zero THEN
		END;
	END LOOP;
END $$;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_savepoint', NULL, NULL);

-- more subtransactions than are kept in memory
DO $$ BEGIN
	FOR i IN 101..200 LOOP
		BEGIN
			INSERT INTO decode_customers VALUES (i, i);
			IF i % 10 <> 0 THEN RAISE division_by_zero; END IF;
		EXCEPTION WHEN division_by_zero THEN
		END;
	END LOOP;
END $$;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_savepoint', NULL, NULL);

-- two-phase commit
BEGIN;
INSERT INTO decode_customers VALUES (13, 13);
PREPARE TRANSACTION 'regress_churn_13';
SELECT data FROM pg_logical_slot_get_changes('regress_churn_savepoint', NULL, NULL);
COMMIT PREPARED 'regress_churn_13';
BEGIN;
INSERT INTO decode_customers VALUES (14, 14);
PREPARE TRANSACTION 'regress_churn_14';
ROLLBACK PREPARED 'regress_churn_14';
SELECT data FROM pg_logical_slot_get_changes('regress_churn_savepoint', NULL, NULL);

SELECT pg_drop_replication_slot('regress_churn_savepoint');
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
