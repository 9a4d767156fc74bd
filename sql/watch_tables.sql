--
-- Watched tables that are altered, replaced and dropped: what cannot be
-- followed is said in churn.errors, and made good when it can
--
SET client_min_messages = warning;
-- the score is the logistic function of x
\set artifact '{"churn": {"format": 1, "features": [{"name": "x", "kind": "number"}], "threshold": 0.5}, "components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind": "linear", "slope": 1, "low": -10, "high": 10, "missing": 0, "mean": 0}]}]}'
CREATE TABLE table_customers (id int PRIMARY KEY, x real);
INSERT INTO table_customers VALUES (1, 1), (2, 2);
SELECT promoted FROM churn_import('table', convert_to(:'artifact', 'UTF8'), source => 'table_customers', key => 'id');
CREATE VIEW table_predictions AS
	SELECT customer_key AS customer, round(score::numeric, 4) AS score FROM churn.predictions WHERE model = 'table' ORDER BY customer_key;
CREATE VIEW table_errors AS
	SELECT kind, model, relation, customer_key, sqlstate, message, detail, hint FROM churn.errors ORDER BY error_id;
SELECT churn_watch('table');
SELECT churn_wait('60s');

-- another name: what the table goes through meanwhile is made good
ALTER TABLE table_customers RENAME TO table_clients;
INSERT INTO table_clients VALUES (3, 3);
DELETE FROM table_clients WHERE id = 1;
DO $$ BEGIN
	WHILE NOT EXISTS (SELECT FROM churn.errors WHERE kind = 'watch') LOOP
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END $$;
SELECT kind, relation, sqlstate, message, hint FROM table_errors WHERE kind = 'watch';
ALTER TABLE table_clients RENAME TO table_customers;
SELECT churn_wait('60s');
SELECT * FROM table_predictions;

-- another table of the name
BEGIN;
DROP TABLE table_customers;
CREATE TABLE table_customers (x real, id bigint PRIMARY KEY);
INSERT INTO table_customers VALUES (-1, 4), (-2, 5);
COMMIT;
INSERT INTO table_customers VALUES (0, 6);
SELECT churn_wait('60s');
SELECT * FROM table_predictions;

-- a column that the model needs is gone: no customer can be scored until it is back
TRUNCATE churn.errors;
ALTER TABLE table_customers RENAME x TO y;
UPDATE table_customers SET y = 2 WHERE id = 4;
DO $$ BEGIN
	WHILE (SELECT error IS NULL FROM churn.rescans) LOOP
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END $$;
SELECT * FROM table_errors;
SELECT pending, error FROM churn.rescans;
SELECT churn_wait('0');
ALTER TABLE table_customers RENAME y TO x;
SELECT churn_wait('60s');
SELECT * FROM table_predictions;
SELECT pending, error FROM churn.rescans;

-- another type
ALTER TABLE table_customers ALTER x TYPE text;
UPDATE table_customers SET x = '3' WHERE id = 5;
DO $$ BEGIN
	WHILE (SELECT error IS NULL FROM churn.rescans) LOOP
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END $$;
SELECT error FROM churn.rescans;
ALTER TABLE table_customers ALTER x TYPE numeric USING x::numeric;
SELECT churn_wait('60s');
SELECT * FROM table_predictions;

-- deletes that do not tell the key any more have all customers looked at
TRUNCATE churn.errors;
ALTER TABLE table_customers REPLICA IDENTITY NOTHING;
UPDATE table_customers SET x = 0.5 WHERE id = 6;
DELETE FROM table_customers WHERE id = 5;
SELECT churn_wait('60s');
DO $$ BEGIN
	WHILE NOT EXISTS (SELECT FROM churn.errors WHERE kind = 'watch') LOOP
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END $$;
SELECT * FROM table_errors;
SELECT * FROM table_predictions;
ALTER TABLE table_customers REPLICA IDENTITY DEFAULT;
SELECT churn_rescore('table');
SELECT * FROM table_predictions;

-- a row without a key
TRUNCATE churn.errors;
ALTER TABLE table_customers DROP CONSTRAINT table_customers_pkey;
ALTER TABLE table_customers ALTER id DROP NOT NULL;
INSERT INTO table_customers VALUES (1, NULL), (1, 7);
SELECT churn_wait('60s');
SELECT kind, sqlstate, message, hint FROM table_errors WHERE kind = 'row';
SELECT * FROM table_predictions;

-- dropped for good; the watch goes by hand, or with the model
DROP TABLE table_customers;
DO $$ BEGIN
	WHILE NOT EXISTS (SELECT FROM churn.errors WHERE message ~ 'does not exist') LOOP
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END $$;
SELECT churn_drop_model('table');
DROP VIEW table_predictions, table_errors;
-- worker and slot go with the last watch
DO $$ BEGIN
	WHILE EXISTS (SELECT FROM churn.stream_status) LOOP
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END $$;
TRUNCATE churn.errors;
SELECT count(*) FROM churn.predictions;
