--
-- A change in a related table has the customer read again
--
-- The output plugin, used by hand, prints what each change means for a model.
--
SET client_min_messages = warning;
-- the score is the logistic function of x
\set artifact '{"churn": {"format": 1, "features": [{"name": "x", "kind": "number"}], "threshold": 0.5}, "components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind": "linear", "slope": 1, "low": -10, "high": 10, "missing": 0, "mean": 0}]}]}'
CREATE TABLE decode_customers (id int PRIMARY KEY, name text);
CREATE TABLE decode_payments (payment int PRIMARY KEY, customer int, amount real);
CREATE VIEW decode_view AS
	SELECT c.id, coalesce(sum(p.amount), 0)::real AS x FROM decode_customers c LEFT JOIN decode_payments p ON p.customer = c.id
	GROUP BY c.id;
INSERT INTO decode_customers SELECT i, i FROM generate_series(1, 3) i;
INSERT INTO decode_payments VALUES (1, 1, 1), (2, 1, 0.5), (3, 2, -1);
SELECT promoted FROM churn_import('decode', convert_to(:'artifact', 'UTF8'), source => 'decode_view', key => 'id');

-- the view has no changes; deletes of payments do not tell the customer, unless ...
SELECT churn_watch('decode');
SELECT churn_watch('decode', 'decode_payments', 'customer');
ALTER TABLE decode_payments REPLICA IDENTITY FULL;
SELECT churn_watch('decode', 'decode_payments', 'customer');
SELECT churn_watch('decode', 'decode_customers');
SELECT model, relation, key, related, deletes FROM churn.watches ORDER BY relation;
SELECT churn_wait('60s');
SELECT customer_key, round(score::numeric, 4) AS score, origin FROM churn.predictions WHERE model = 'decode' ORDER BY customer_key;
SELECT 'made' FROM pg_create_logical_replication_slot('regress_churn_related', 'churn');

INSERT INTO decode_payments VALUES (4, 3, 2), (5, NULL, 2);
UPDATE decode_payments SET amount = 3 WHERE payment = 3;
UPDATE decode_payments SET customer = 3 WHERE payment = 2;
DELETE FROM decode_payments WHERE payment = 1;
INSERT INTO decode_customers VALUES (4, 'new');
DELETE FROM decode_customers WHERE id = 2;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_related', NULL, NULL);

-- and so are the scores
SELECT churn_wait('60s');
SELECT customer_key, round(score::numeric, 4) AS score, origin
	FROM churn.predictions WHERE model = 'decode' ORDER BY customer_key;
SELECT count(*) AS differ FROM decode_view v
	FULL JOIN (SELECT * FROM churn.predictions WHERE model = 'decode') p ON p.customer_key = v.id::text
	WHERE p.score IS DISTINCT FROM churn_score(v, 'decode');

-- one watch of two ends
SELECT churn_unwatch('decode', 'decode_payments');
UPDATE decode_payments SET amount = 0;
UPDATE decode_customers SET name = 'other' WHERE id = 3;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_related', NULL, NULL);

SELECT pg_drop_replication_slot('regress_churn_related');
SELECT churn_drop_model('decode');
DROP VIEW decode_view;
DROP TABLE decode_customers, decode_payments;
-- worker and slot go with the last watch
DO $$ BEGIN
	WHILE EXISTS (SELECT FROM churn.stream_status) LOOP
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END $$;
TRUNCATE churn.errors;
