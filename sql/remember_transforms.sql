--
-- Models with transforms, statement after statement: what is remembered, and
-- what each call has to itself, never shows
--
SET client_min_messages = warning;
\set SHOW_CONTEXT never
CREATE TABLE derived_a AS SELECT customer_id, tenure + 1 AS tenure, contract, monthly_charges, churn FROM churn_sample_customers(600, 5);
ALTER TABLE derived_a ADD PRIMARY KEY (customer_id);
-- the same rows in columns of another order
CREATE TABLE derived_b AS SELECT churn, monthly_charges, contract, 1 AS more, tenure, customer_id FROM derived_a;
CREATE FUNCTION derived_train(transform jsonb) RETURNS int LANGUAGE sql AS $$
	SELECT version FROM churn_train('derived_a', 'churn', model => 'derived', algorithm => 'xgboost', transform => transform,
		params => '{"rounds": 5, "max_depth": 3}', options => '{"promote": "never", "folds": 0}')
$$;
SELECT derived_train('{"mean": "monthly_charges / tenure", "half": "tenure / 2"}'),
	derived_train('{"terms": "contract || (tenure % 2)::text", "rest": "monthly_charges::numeric % 10"}'), derived_train(NULL);
UPDATE derived_b SET tenure = 0 WHERE customer_id = (SELECT max(customer_id) FROM derived_b);
SELECT churn_promote('derived', 1);

-- what each version says of each row, as one statement says it
CREATE TABLE derived_margins AS
	SELECT customer_id AS id, version, churn_margin(a, 'derived', version) AS margin
	FROM derived_a a, generate_series(1, 3) AS version;
SELECT count(*) AS rows, count(DISTINCT margin) > 100 AS differ FROM derived_margins;
CREATE FUNCTION derived_which(customer text, margin real) RETURNS int[] STABLE LANGUAGE sql AS
	'SELECT array_agg(m.version ORDER BY version) FROM derived_margins m WHERE m.id = $1 AND m.margin = $2';
SELECT id FROM derived_margins WHERE id <> (SELECT max(id) FROM derived_margins)
	GROUP BY 1 HAVING count(DISTINCT margin) = 3 ORDER BY 1 LIMIT 1 \gset
CREATE FUNCTION derived_row(customer text) RETURNS int[] STABLE LANGUAGE plpgsql AS $$
DECLARE
	r derived_a;
BEGIN
	SELECT * INTO r FROM derived_a WHERE customer_id = customer;
	RETURN derived_which(r.customer_id, churn_margin(r));
END $$;
SET plan_cache_mode = force_generic_plan;
PREPARE by_columns AS SELECT derived_which(customer_id, churn_margin(a)) FROM derived_a a WHERE customer_id = :'id';
PREPARE by_row AS SELECT derived_row(:'id');
PREPARE by_record AS SELECT derived_which(customer_id, churn_margin(s, 'derived'))
	FROM (SELECT * FROM derived_a WHERE customer_id = :'id' OFFSET 0) s;
PREPARE explained AS SELECT m.version, string_agg(e.feature, ' ' ORDER BY feature COLLATE "C") AS features
	FROM derived_a a CROSS JOIN LATERAL churn_explain(a) AS e JOIN derived_margins m ON m.id = customer_id
	WHERE customer_id = :'id' GROUP BY m.version, m.margin HAVING abs(sum(e.contribution) - m.margin) < 1e-5;
PREPARE reasons AS SELECT churn_reasons(a) = churn_reasons(b, 'derived') AS same
	FROM derived_a a JOIN derived_b b USING (customer_id) WHERE customer_id = :'id';
EXECUTE by_columns;
EXECUTE by_columns;
EXECUTE by_row;
EXECUTE by_row;
EXECUTE by_record;
EXECUTE explained;
EXECUTE reasons;

-- another version, rolled back and committed
BEGIN;
SELECT churn_promote('derived', 2);
EXECUTE by_columns;
EXECUTE by_row;
EXECUTE by_record;
EXECUTE explained;
SAVEPOINT s;
SELECT churn_promote('derived', 3);
EXECUTE by_row;
EXECUTE explained;
ROLLBACK TO s;
EXECUTE by_columns;
EXECUTE by_row;
EXECUTE reasons;
ROLLBACK;
EXECUTE by_columns;
EXECUTE by_row;
EXECUTE by_record;
EXECUTE explained;
SELECT churn_promote('derived', 3);
EXECUTE by_columns;
EXECUTE by_row;
SELECT churn_promote('derived', 1);
EXECUTE by_columns;
EXECUTE by_row;
EXECUTE explained;

-- calls with one version in one statement: side by side, one in another's row
SELECT count(*) AS differ FROM derived_a a JOIN derived_b b USING (customer_id) JOIN derived_margins m ON m.id = customer_id
	WHERE version = 1 AND b.tenure <> 0 AND (churn_margin(a) <> margin OR churn_margin(b, 'derived') <> margin
		OR (churn_predict(a)).score <> churn_score(b, 'derived') OR churn_reasons(a) <> churn_reasons(b, 'derived'));
SELECT count(*) AS differ FROM
	(SELECT customer_id, contract, monthly_charges, tenure + (0 * churn_margin(a))::int AS tenure FROM derived_a a OFFSET 0) s
	JOIN derived_margins m ON m.id = customer_id WHERE version = 1 AND churn_margin(s, 'derived') <> margin;
SELECT count(*) AS differ FROM derived_a a JOIN derived_margins m ON m.id = customer_id
	WHERE churn_margin(jsonb_populate_record(a, jsonb_build_object('tenure',
		tenure + (0 * churn_margin(a, 'derived', version))::int)), 'derived', version) <> margin;

-- rows of one type and the other by turns, versions too
CREATE FUNCTION derived_turns(customer text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	found text := '';
BEGIN
	FOR i IN 0 .. 5 LOOP
		IF i % 2 = 0 THEN
			SELECT * INTO r FROM derived_a WHERE customer_id = customer;
		ELSE
			SELECT * INTO r FROM derived_b WHERE customer_id = customer;
		END IF;
		found := found || derived_which(customer, churn_margin(r, 'derived', 1 + i % 3))::text;
		BEGIN
			r.tenure := 0;
			PERFORM churn_margin(r, 'derived', 1);
		EXCEPTION WHEN division_by_zero THEN
			found := found || '!';
		END;
	END LOOP;
	RETURN found;
END $$;
SELECT derived_turns(:'id');
SELECT derived_turns(:'id');

-- an error in the middle of a scan, and the same statement after it
PREPARE scan (int) AS SELECT count(churn_margin(b, 'derived')), count(churn_reasons(b, 'derived')) FROM derived_b b WHERE tenure >= $1;
EXECUTE scan (0);
EXECUTE scan (1);
EXECUTE scan (0);
EXECUTE scan (1);

-- the table changes
ALTER TABLE derived_a ADD COLUMN mean text DEFAULT 'a column of that name';
EXECUTE by_columns;
EXECUTE by_row;
EXECUTE explained;
ALTER TABLE derived_a ADD COLUMN old_tenure int;
UPDATE derived_a SET old_tenure = tenure;
ALTER TABLE derived_a DROP COLUMN tenure;
EXECUTE by_columns;
EXECUTE by_row;
ALTER TABLE derived_a RENAME COLUMN old_tenure TO tenure;
EXECUTE by_columns;
EXECUTE by_row;
EXECUTE by_record;
EXECUTE explained;
EXECUTE reasons;
ALTER TABLE derived_a ALTER COLUMN tenure TYPE numeric;
EXECUTE by_columns;
EXECUTE by_row;
EXECUTE explained;
ALTER TABLE derived_a ALTER COLUMN tenure TYPE int;
EXECUTE by_columns;
EXECUTE by_row;
EXECUTE explained;

-- nothing piles up
CREATE FUNCTION derived_shapes() RETURNS bigint LANGUAGE sql AS
	$$ SELECT count(*) FROM pg_backend_memory_contexts WHERE name IN ('churn row shape', 'churn explain') $$;
SELECT derived_shapes() AS before \gset
DO $$
BEGIN
	FOR i IN 1 .. 100 LOOP
		EXECUTE 'SELECT sum(churn_margin(a)), count(churn_reasons(a)) FROM (SELECT * FROM derived_a LIMIT 3) a';
		BEGIN
			PERFORM churn_margin(b, 'derived') FROM derived_b b;
		EXCEPTION WHEN division_by_zero THEN
			NULL;
		END;
	END LOOP;
END $$;
SELECT derived_shapes() <= :before AS let_go;

-- a model that is dropped, and another of its name
SELECT churn_drop_model('derived');
EXECUTE by_columns;
SELECT derived_train('{"half": "tenure / 2", "average": "monthly_charges / nullif(tenure, 0)"}'), churn_promote('derived', 1);
EXECUTE by_columns;
EXECUTE by_row;
EXECUTE scan (0);

DEALLOCATE ALL;
RESET plan_cache_mode;
SELECT churn_drop_model('derived');
DROP FUNCTION derived_train, derived_which, derived_row, derived_turns, derived_shapes;
DROP TABLE derived_a, derived_b, derived_margins;
