--
-- Transforms by every way into scoring: each gives what a model gives that was
-- trained on a view with the same columns computed.
--
-- Runs in one transaction, in a database that has churn and pgtap.
--
\set ON_ERROR_STOP on
SET client_min_messages = warning;
BEGIN;
SELECT * FROM no_plan();

-- a partitioned table, one of whose partitions has its columns elsewhere
CREATE TABLE sample AS SELECT * FROM churn_sample_customers(20000, 1);
CREATE TABLE customers (LIKE sample) PARTITION BY LIST (contract);
CREATE TABLE customers_monthly PARTITION OF customers FOR VALUES IN ('Month-to-month');
CREATE TABLE customers_yearly (dropped int, LIKE sample);
ALTER TABLE customers_yearly DROP COLUMN dropped;
ALTER TABLE customers ATTACH PARTITION customers_yearly FOR VALUES IN ('One year', 'Two year');
INSERT INTO customers SELECT * FROM sample;
ANALYZE customers;

CREATE VIEW computed AS SELECT *, monthly_charges > 70 AND tenure < 12 AS dear,
	total_charges / nullif(tenure, 0) AS mean, contract || '/' || payment_method AS terms FROM customers;
SELECT is(version, 1, 'a model of the view') FROM churn_train('computed', 'churn', key => 'customer_id', model => 'm',
	params => '{"rounds": 30}', options => '{"folds": 0, "promote": "never"}', algorithm => 'xgboost');
SELECT is(version, 2, 'a model with transforms') FROM churn_train('customers', 'churn', key => 'customer_id', model => 'm',
	params => '{"rounds": 30}', transform => '{"mean": "total_charges / nullif(tenure, 0)",
		"terms": "contract || ''/'' || payment_method", "dear": "monthly_charges > 70 AND tenure < 12"}', algorithm => 'xgboost', options => '{"folds": 0}');
CREATE TABLE expected AS SELECT customer_id, churn_margin(c, 'm', 1) AS margin FROM computed c;
SELECT cmp_ok(count(DISTINCT margin), '>', 1000::bigint, 'margins differ by customer') FROM expected;

-- how many rows of a query of (customer_id, margin) are not as expected
CREATE FUNCTION differ(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	EXECUTE format('SELECT 20000 - count(*) FROM (%s) q JOIN expected e USING (customer_id) WHERE q.margin = e.margin', query) INTO n;
	RETURN n;
END $$;
SELECT is(differ('SELECT customer_id, churn_margin(c.*) AS margin FROM customers c'), 0::bigint, 'partitioned table');
SELECT is(differ('SELECT customer_id, churn_margin(c) AS margin FROM customers_monthly c
	UNION ALL SELECT customer_id, churn_margin(c) FROM customers_yearly c'), 0::bigint, 'partitions by themselves');
SELECT is(differ('SELECT customer_id, churn_margin(c, ''m'') AS margin FROM (SELECT * FROM customers OFFSET 0) c'),
	0::bigint, 'anonymous record');
SELECT is(differ('SELECT s.customer_id, churn_margin(c, ''m'') AS margin FROM sample s JOIN sample c USING (customer_id)'), 0::bigint, 'a join');
SELECT is(differ('SELECT customer_id, churn_margin(c, ''m'') AS margin FROM computed c'), 0::bigint, 'a view that has them as columns');
SELECT is(differ('SELECT e.customer_id, churn_margin(c, ''m'') AS margin FROM expected e LEFT JOIN sample c USING (customer_id)'),
	0::bigint, 'the nullable side of an outer join');
SELECT is(churn_margin(NULL::customers), NULL, 'no row, no margin');
SELECT isnt(churn_margin(c, 'm'), NULL, 'a row of NULLs has one') FROM (SELECT (NULL::customers).*) c;
SELECT is((SELECT array_agg(churn_margin(c, 'm', v) ORDER BY v) FROM generate_series(1, 2) v), (SELECT array_agg(m) FROM
	(SELECT churn_margin(c, 'm', 1) m FROM generate_series(1, 2)) s), 'versions by turns')
	FROM computed c WHERE customer_id = (SELECT min(customer_id) FROM computed);

-- parallel workers
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL max_parallel_workers_per_gather = 2;
CREATE FUNCTION uses_gather(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
		IF line ~ 'Gather' THEN
			RETURN true;
		END IF;
	END LOOP;
	RETURN false;
END $$;
SELECT ok(uses_gather('SELECT customer_id, churn_margin(c) AS margin FROM customers c'), 'a parallel plan');
SELECT is(differ('SELECT customer_id, churn_margin(c) AS margin FROM customers c'), 0::bigint, 'parallel workers');
RESET parallel_setup_cost;
RESET parallel_tuple_cost;

-- a generic plan, over changes of the table
PREPARE generic (text) AS SELECT churn_margin(c) FROM customers c WHERE customer_id = $1;
SET LOCAL plan_cache_mode = force_generic_plan;
CREATE FUNCTION prepared() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	id text := (SELECT min(customer_id) FROM expected);
	found real;
BEGIN
	EXECUTE format('EXECUTE generic (%L)', id) INTO found;
	RETURN found = (SELECT margin FROM expected WHERE customer_id = id);
END $$;
CREATE FUNCTION static() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	c customers;
	same boolean := true;
BEGIN
	FOR c IN SELECT * FROM customers ORDER BY customer_id LIMIT 50 LOOP
		same := same AND churn_margin(c) = (SELECT margin FROM expected e WHERE e.customer_id = c.customer_id);
	END LOOP;
	RETURN same;
END $$;
SELECT ok(prepared() AND static(), 'prepared, and in PL/pgSQL');
DROP VIEW computed;
ALTER TABLE customers ADD COLUMN mean text DEFAULT 'a column of that name';
ALTER TABLE customers DROP COLUMN gender;
ALTER TABLE customers ADD COLUMN gender text;
UPDATE customers c SET gender = s.gender FROM sample s WHERE s.customer_id = c.customer_id;
SELECT ok(prepared() AND static(), 'the same after columns came and went');
SELECT is(differ('SELECT customer_id, churn_margin(c) AS margin FROM customers c'), 0::bigint, 'and all rows');
ALTER TABLE customers RENAME COLUMN tenure TO months;
SELECT throws_like('SELECT churn_margin(c) FROM customers c', 'row has no column "tenure"%', 'a column is gone');
ALTER TABLE customers RENAME COLUMN months TO tenure;
SELECT is(differ('SELECT customer_id, churn_margin(c) AS margin FROM customers c'), 0::bigint, 'and back');

-- an error in one row leaves the next call as it should be
CREATE FUNCTION after_error() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	c sample;
	found text := '';
BEGIN
	FOR i IN 1 .. 4 LOOP
		SELECT * INTO c FROM sample ORDER BY customer_id LIMIT 1;
		c.tenure := CASE WHEN i % 2 = 0 THEN 0 ELSE 10 END;
		BEGIN
			found := found || (churn_margin(c, 'fails') IS NOT NULL) || ' ';
		EXCEPTION WHEN division_by_zero THEN
			found := found || 'error ';
		END;
	END LOOP;
	RETURN found;
END $$;
SELECT is(version, 1, 'a model that fails for new customers') FROM churn_train('SELECT * FROM sample WHERE tenure > 0', 'churn',
	key => 'customer_id', model => 'fails', params => '{"rounds": 5}', transform => '{"mean": "total_charges / tenure"}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT is(after_error(), 'true error true error ', 'errors come and go by row');

-- more expressions than are kept parsed
SELECT is((SELECT count(*) FROM generate_series(1, 3) AS n, LATERAL churn_train('SELECT tenure, contract, churn FROM sample', 'churn',
	algorithm => 'xgboost', options => '{"folds": 0}', model => 'many', params => '{"rounds": 2}', transform => (SELECT jsonb_object_agg('t' || i, format('tenure %% %s', i + n))
		FROM generate_series(2, 61) AS i))), 3::bigint, 'many transforms');
SELECT isnt(churn_margin(s, 'many', 1), NULL, 'the first are parsed again') FROM sample s LIMIT 1;

SELECT * FROM finish();
ROLLBACK;
