--
-- What one call of churn_score() in a text keeps from row to row must never
-- show: the same call with another row, model, version or setting gives what a
-- fresh call gives.  PL/pgSQL keeps its expressions for a whole transaction.
--
-- Runs in one transaction, in a database that has churn and pgtap.
--
\set ON_ERROR_STOP on
SET client_min_messages = warning;
BEGIN;
SELECT * FROM no_plan();

CREATE TABLE customers AS SELECT * FROM churn_sample_customers(600, 1);
CREATE TABLE others AS SELECT * FROM churn_sample_customers(600, 2);
ALTER TABLE customers ADD PRIMARY KEY (customer_id);
ALTER TABLE others ADD PRIMARY KEY (customer_id);
SELECT is(version, 1, 'first model') FROM churn_train('customers', 'churn', params => '{"rounds": 5}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT is(version, 1, 'second model') FROM churn_train('others', 'churn', params => '{"rounds": 9, "max_depth": 2}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT is(version, 2, 'a second version of the first') FROM churn_train('customers', 'churn',
	params => '{"rounds": 3, "max_depth": 1}', options => '{"folds": 0, "promote": "never"}', algorithm => 'xgboost');

-- what fresh calls say; prediction is a row (score, churn, band, model, version)
CREATE TEMP TABLE fresh AS SELECT customer_id,
	churn_margin(c, 'customers', 1) AS c1, churn_margin(c, 'customers', 2) AS c2, churn_margin(c, 'others') AS o1
	FROM customers c;
SELECT is(count(*), 600::bigint, 'all rows have margins') FROM fresh WHERE c1 IS NOT NULL AND c2 IS NOT NULL AND o1 IS NOT NULL;
SELECT cmp_ok(count(*), '>', 100::bigint, 'which differ') FROM fresh WHERE c1 <> c2 AND c1 <> o1 AND c2 <> o1;

-- model and version from a column, row by row
SELECT is(count(*), 0::bigint, 'another model for each row') FROM customers c JOIN fresh f USING (customer_id)
	WHERE churn_margin(c, CASE WHEN tenure % 2 = 0 THEN 'customers' ELSE 'others' END)
		IS DISTINCT FROM CASE WHEN tenure % 2 = 0 THEN c1 ELSE o1 END;
SELECT is(count(*), 0::bigint, 'another version for each row') FROM customers c JOIN fresh f USING (customer_id)
	WHERE churn_margin(c, 'customers', 1 + tenure % 2) IS DISTINCT FROM CASE WHEN tenure % 2 = 0 THEN c1 ELSE c2 END;
SELECT is(count(*), 0::bigint, 'another version for each row passed whole')
	FROM (SELECT * FROM customers OFFSET 0) c JOIN fresh f USING (customer_id)
	WHERE churn_margin(c, 'customers', 1 + tenure % 2) IS DISTINCT FROM CASE WHEN tenure % 2 = 0 THEN c1 ELSE c2 END;
SELECT is(count(*), 0::bigint, 'a version or none, row by row') FROM customers c JOIN fresh f USING (customer_id)
	WHERE churn_margin(c, 'customers', CASE WHEN tenure % 2 = 1 THEN 2 END) IS DISTINCT FROM CASE WHEN tenure % 2 = 0 THEN c1 ELSE c2 END;

-- the setting, between two calls of one expression
CREATE FUNCTION by_setting(models text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r others;
	m text;
	found text := '';
BEGIN
	SELECT * INTO r FROM others ORDER BY customer_id LIMIT 1;
	FOREACH m IN ARRAY models LOOP
		PERFORM set_config('churn.default_model', m, true);
		found := found || (churn_predict(r)).model || ' ';
	END LOOP;
	RETURN found;
END $$;
SELECT is(by_setting('{customers,others,customers}'), 'customers others customers ', 'the default model is looked at each time');
SELECT is(by_setting('{"",customers,""}'), 'others customers others ', 'none is the row''s own');
RESET churn.default_model;

-- rows of other types in one expression
CREATE FUNCTION by_record() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	found text := '';
BEGIN
	FOR i IN 1 .. 4 LOOP
		IF i % 2 = 1 THEN
			SELECT * INTO r FROM customers ORDER BY customer_id LIMIT 1;
		ELSE
			SELECT contract, * INTO r FROM (SELECT 1 AS extra, o.* FROM others o ORDER BY customer_id LIMIT 1) x;
		END IF;
		found := found || (churn_margin(r, 'others') = (SELECT churn_margin(c, 'others') FROM
			(SELECT * FROM customers UNION ALL SELECT * FROM others) c WHERE c.customer_id = r.customer_id LIMIT 1)) || ' ';
	END LOOP;
	RETURN found;
END $$;
SELECT is(by_record(), 'true true true true ', 'rows of several types');

-- a table that changes in the transaction
CREATE FUNCTION of_first() RETURNS real LANGUAGE plpgsql AS $$
DECLARE
	r customers;
BEGIN
	SELECT * INTO r FROM customers ORDER BY customer_id LIMIT 1;
	RETURN churn_margin(r, 'customers');
END $$;
SELECT is(of_first(), (SELECT c1 FROM fresh ORDER BY customer_id LIMIT 1), 'the first customer');
ALTER TABLE customers ADD COLUMN note text;
ALTER TABLE customers DROP COLUMN gender;
ALTER TABLE customers ADD COLUMN gender text;
SELECT lives_ok('SELECT of_first()', 'after columns came and went');
SELECT is(count(*), 0::bigint, 'other columns do not count') FROM customers c JOIN fresh f USING (customer_id)
	WHERE churn_margin(c, 'customers') IS DISTINCT FROM
		churn_margin(jsonb_populate_record(NULL::others, to_jsonb(c)), 'customers');

-- promotion and its rollback between two calls of one expression
CREATE FUNCTION version_now() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	r others;
BEGIN
	SELECT * INTO r FROM others ORDER BY customer_id LIMIT 1;
	RETURN (churn_predict(r, 'customers')).version;
END $$;
SELECT is(version_now(), 1, 'version 1');
SAVEPOINT s;
SELECT lives_ok($$ SELECT churn_promote('customers', 2) $$, 'promoted');
SELECT is(version_now(), 2, 'version 2');
ROLLBACK TO s;
SELECT is(version_now(), 1, 'version 1 again');
CREATE FUNCTION in_block() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text := version_now();
BEGIN
	BEGIN
		PERFORM churn_promote('customers', 2);
		found := found || version_now();
		RAISE EXCEPTION USING ERRCODE = 'ZZZZZ';
	EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN
		NULL;
	END;
	RETURN found || version_now();
END $$;
SELECT is(in_block(), '121', 'an exception block takes its promotion back');

SELECT * FROM finish();
ROLLBACK;
