--
-- What scoring remembers from statement to statement never shows: each
-- statement scores as if it were the first
--
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE SCHEMA remember_schema;
CREATE TABLE remember_a AS SELECT * FROM churn_sample_customers(400, 5);
CREATE TABLE remember_b AS SELECT * FROM churn_sample_customers(400, 6);
ALTER TABLE remember_a ADD PRIMARY KEY (customer_id);
ALTER TABLE remember_b ADD PRIMARY KEY (customer_id);
CREATE FUNCTION remember_train(source text, model text, depth int)
RETURNS int LANGUAGE sql AS $$
	SELECT version FROM churn_train(source, 'churn', model => model, algorithm => 'xgboost',
		params => jsonb_build_object('rounds', 3, 'max_depth', depth, 'learning_rate', 0.1 * depth), options => '{"promote": "never", "folds": 0}')
$$;
SELECT remember_train('remember_a', 'one', 1), remember_train('remember_a', 'one', 2);
SELECT remember_train('remember_b', 'two', 3);
SELECT churn_promote('one', 1), churn_promote('two', 1);

-- which model and version a margin is of
CREATE TABLE remember_margins AS
	SELECT customer_id, v.model || ' ' || v.version AS what, churn_margin(c, v.model, v.version) AS margin
	FROM remember_a c CROSS JOIN (VALUES ('one', 1), ('one', 2), ('two', 1)) AS v (model, version);
CREATE FUNCTION remember_what(id text, margin real) RETURNS text STABLE LANGUAGE sql AS
	'SELECT m.what FROM remember_margins m WHERE m.customer_id = $1 AND m.margin = $2';
SELECT customer_id AS id FROM remember_margins GROUP BY 1 HAVING count(DISTINCT margin) = 3 ORDER BY 1 LIMIT 1 \gset
SET plan_cache_mode = force_generic_plan;
PREPARE by_columns AS SELECT remember_what(customer_id, churn_margin(c)) FROM remember_a c WHERE customer_id = :'id';
CREATE FUNCTION remember_row(id text) RETURNS text STABLE LANGUAGE plpgsql AS $$
DECLARE
	r public.remember_a;
BEGIN
	SELECT * INTO r FROM remember_a WHERE customer_id = id;
	RETURN remember_what(id, churn_margin(r));
END $$;
PREPARE by_row AS SELECT remember_row(:'id');
PREPARE by_name AS SELECT remember_what(customer_id, churn_margin(c, 'two')),
	remember_what(customer_id, churn_margin(c, 'one')), remember_what(customer_id, churn_margin(c, 'one', 2))
	FROM remember_a c WHERE customer_id = :'id';
EXECUTE by_columns;
EXECUTE by_row;
EXECUTE by_name;
EXECUTE by_columns;

-- promotion, within its transaction, rolled back, and committed
BEGIN;
SELECT churn_promote('one', 2);
EXECUTE by_columns;
EXECUTE by_row;
ROLLBACK;
EXECUTE by_columns;
EXECUTE by_row;
SELECT churn_promote('one', 2);
EXECUTE by_columns;
EXECUTE by_row;
EXECUTE by_name;
CREATE PROCEDURE remember_transactions() LANGUAGE plpgsql AS $$
DECLARE
	r remember_a;
	found text := '';
	version int;
BEGIN
	SELECT * INTO r FROM remember_a ORDER BY customer_id LIMIT 1;
	FOREACH version IN ARRAY '{1,2,1}'::int[] LOOP
		PERFORM churn_promote('one', version);
		found := found || (churn_predict(r)).version;
		COMMIT;
		found := found || (churn_predict(r)).version;
		PERFORM churn_promote('one', 3 - version);
		ROLLBACK;
		found := found || (churn_predict(r)).version || ' ';
	END LOOP;
	RAISE WARNING '%', found;
END $$;
CALL remember_transactions();

-- another model of the same table makes the choice ambiguous
SELECT remember_train('remember_a', 'three', 2), churn_promote('three', 1);
EXECUTE by_columns;
EXECUTE by_row;
EXECUTE by_name;
SET churn.default_model = 'two';
EXECUTE by_columns;
EXECUTE by_row;
RESET churn.default_model;
EXECUTE by_columns;
SELECT churn_drop_model('three');
EXECUTE by_columns;
EXECUTE by_row;

-- a model goes with the name of its table
ALTER TABLE remember_a RENAME TO remember_c;
EXECUTE by_columns;
ALTER TABLE remember_b RENAME TO remember_a;
ALTER TABLE remember_c RENAME TO remember_b;
EXECUTE by_name;
SELECT remember_what(customer_id, churn_margin(c)) FROM remember_b c WHERE customer_id = :'id';
ALTER TABLE remember_b RENAME TO remember_c;
ALTER TABLE remember_a RENAME TO remember_b;
ALTER TABLE remember_c RENAME TO remember_a;
EXECUTE by_columns;
EXECUTE by_row;
BEGIN;
ALTER TABLE remember_a SET SCHEMA remember_schema;
SELECT remember_what(customer_id, churn_margin(c)) FROM remember_schema.remember_a c WHERE customer_id = :'id';
ROLLBACK;
EXECUTE by_columns;
ALTER SCHEMA public RENAME TO remember_public;
ALTER SCHEMA remember_schema RENAME TO public;
SELECT remember_public.churn_margin(c) IS NOT NULL AS scored
	FROM remember_public.remember_a c WHERE customer_id = :'id';
ALTER SCHEMA public RENAME TO remember_schema;
ALTER SCHEMA remember_public RENAME TO public;
EXECUTE by_columns;
EXECUTE by_row;

-- and with its children
CREATE TABLE remember_child (LIKE remember_a);
INSERT INTO remember_child SELECT * FROM remember_a WHERE customer_id = :'id';
PREPARE by_child AS SELECT remember_what(customer_id, churn_margin(c)) FROM remember_child c;
EXECUTE by_child;
ALTER TABLE remember_child INHERIT remember_a;
EXECUTE by_child;
ALTER TABLE remember_child NO INHERIT remember_a;
EXECUTE by_child;
DROP TABLE remember_child;

-- columns that come, go, and change their type
CREATE FUNCTION remember_first() RETURNS real LANGUAGE plpgsql AS $$
DECLARE
	r remember_b;
BEGIN
	SELECT * INTO r FROM remember_b ORDER BY customer_id LIMIT 1;
	RETURN churn_margin(r);
END $$;
CREATE TABLE remember_before AS SELECT churn_margin(b) AS margin FROM remember_b b ORDER BY customer_id LIMIT 1;
PREPARE changing AS SELECT churn_margin(b) = margin AS by_columns, remember_first() = margin AS by_row
	FROM remember_b b, remember_before WHERE customer_id = (SELECT min(customer_id) FROM remember_b);
EXECUTE changing;
ALTER TABLE remember_b ADD COLUMN note text DEFAULT 'x';
ALTER TABLE remember_b ALTER COLUMN tenure TYPE numeric;
EXECUTE changing;
BEGIN;
ALTER TABLE remember_b ALTER COLUMN tenure TYPE text;
SELECT churn_margin(b) FROM remember_b b ORDER BY customer_id LIMIT 1;
ROLLBACK;
EXECUTE changing;
BEGIN;
ALTER TABLE remember_b RENAME COLUMN contract TO agreement;
SELECT remember_first();
ROLLBACK;
EXECUTE changing;
ALTER TABLE remember_b ADD COLUMN old_gender text;
UPDATE remember_b SET old_gender = gender;
ALTER TABLE remember_b DROP COLUMN gender;
ALTER TABLE remember_b RENAME COLUMN old_gender TO gender;
EXECUTE changing;

-- what is passed by hand is checked each time
SELECT churn.margin_columns('remember_margins'::regclass, 'two', NULL, 'x'::text, 'y'::text, 1::real);
SELECT churn.margin_columns('remember_a'::regclass, 'one', NULL, 'x'::text);
SELECT churn.margin_columns('remember_a_pkey'::regclass, 'one', NULL, 'x'::text);
SELECT churn.margin_columns(0, 'one', NULL, 'x'::text);
SELECT churn.margin_columns(NULL, 'one', NULL, 'x'::text);

-- a model that is dropped, and another of its name
SELECT churn_drop_model('one');
EXECUTE by_name;
SELECT remember_train('remember_a', 'one', 6), churn_promote('one', 1);
EXECUTE by_columns;
SELECT churn_margin(c) = churn_margin(c, 'one', 1) AS the_new_one FROM remember_a c WHERE customer_id = :'id';

DEALLOCATE ALL;
RESET plan_cache_mode;
SELECT churn_drop_model('one');
SELECT churn_drop_model('two');
DROP PROCEDURE remember_transactions;
DROP FUNCTION remember_first, remember_row, remember_what, remember_train;
DROP TABLE remember_a, remember_b, remember_margins, remember_before;
DROP SCHEMA remember_schema;
