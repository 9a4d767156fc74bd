--
-- churn_score(), churn_margin(), churn_predict(): every way to pass a row
--
SET client_min_messages = warning;
CREATE TABLE score_customers AS SELECT * FROM churn_sample_customers(2000, 7);
ALTER TABLE score_customers ADD PRIMARY KEY (customer_id);
SELECT model, version, promoted, rows
	FROM churn_train('score_customers', 'churn',
					 params => '{"rounds": 20, "max_depth": 4}', algorithm => 'xgboost', options => '{"folds": 0, "calibration": "none"}');

-- what all other ways are held against
CREATE TABLE score_expected AS
	SELECT customer_id, churn_score(c) AS score, churn_margin(c) AS margin
	FROM (SELECT * FROM score_customers OFFSET 0) AS c;
SELECT count(*), count(DISTINCT score) > 50 AS many_scores,
	min(score) > 0 AND max(score) < 1 AS probabilities
	FROM score_expected;
SELECT count(*) AS sigmoid_differs FROM score_expected
	WHERE abs(score - 1 / (1 + exp(-margin::float8))) > 1e-6;

-- whether the planner passes columns
CREATE FUNCTION score_passes_columns(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
		IF line LIKE '%churn.score_columns(%' THEN
			RETURN true;
		END IF;
	END LOOP;
	RETURN false;
END $$;
SELECT score_passes_columns(q), q FROM (VALUES
	('SELECT churn_score(c.*) FROM score_customers c'),
	('SELECT churn_score(c) FROM score_customers c JOIN score_expected e USING (customer_id)'),
	('SELECT churn_score(c) FROM score_customers c LEFT JOIN score_expected e USING (customer_id)'),
	('SELECT churn_score(c) FROM score_expected e LEFT JOIN score_customers c USING (customer_id)'),
	('SELECT churn_score(c) FROM score_expected e FULL JOIN score_customers c USING (customer_id)'),
	('SELECT churn_score(c) FROM (SELECT * FROM score_customers OFFSET 0) AS c'),
	('SELECT (SELECT churn_score(c)) FROM score_customers c'),
	('SELECT churn_score(NULL::score_customers)'),
	('SELECT 1 FROM score_customers c ORDER BY churn_score(c)')) AS v (q);
SELECT count(*) AS differ FROM score_customers c JOIN score_expected e USING (customer_id)
	WHERE churn_score(c.*) IS DISTINCT FROM e.score OR churn_margin(c) IS DISTINCT FROM e.margin;
SELECT count(*) AS differ FROM score_customers c JOIN score_expected e USING (customer_id)
	WHERE churn_score(c, 'score_customers') IS DISTINCT FROM e.score
		OR churn_score(c, version => 1) IS DISTINCT FROM e.score
		OR churn_score(c.*, model => 'score_customers', version => 1) IS DISTINCT FROM e.score;

-- views, sub-selects, CTEs
CREATE VIEW score_view AS SELECT * FROM score_customers WHERE tenure > 10;
CREATE VIEW score_scored AS SELECT customer_id, churn_score(c) AS score FROM score_customers c;
SELECT score_passes_columns('SELECT count(*) FROM score_view v WHERE churn_score(v) > 0.5');
SELECT count(*) > 0 AS some, count(*) FILTER (WHERE churn_score(v) IS DISTINCT FROM e.score) AS differ
	FROM score_view v JOIN score_expected e USING (customer_id);
SELECT count(*) AS differ FROM score_scored s JOIN score_expected e USING (customer_id)
	WHERE s.score IS DISTINCT FROM e.score;
SELECT count(*) AS differ
	FROM (SELECT churn AS label, * FROM score_customers ORDER BY tenure LIMIT 100) AS s
	JOIN score_expected e USING (customer_id) WHERE churn_score(s) IS DISTINCT FROM e.score;
WITH s AS MATERIALIZED (SELECT * FROM score_customers)
SELECT count(*) AS differ FROM s JOIN score_expected e USING (customer_id)
	WHERE churn_score(s) IS DISTINCT FROM e.score;

-- ORDER BY, aggregates, prepared statements, functions
SELECT count(*) AS differ FROM
	(SELECT row_number() OVER (ORDER BY churn_score(c) DESC, customer_id) AS a,
		row_number() OVER (ORDER BY e.score DESC, customer_id) AS b
	 FROM score_customers c JOIN score_expected e USING (customer_id)) AS x WHERE a <> b;
PREPARE one (text) AS SELECT churn_score(c) = (SELECT score FROM score_expected e WHERE e.customer_id = $1) AS same
	FROM score_customers c WHERE customer_id = $1;
CREATE FUNCTION score_loop() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	r score_customers;
	x record;
	differ bigint := 0;
BEGIN
	FOR r IN SELECT * FROM score_customers ORDER BY customer_id LIMIT 200 LOOP
		IF churn_score(r) IS DISTINCT FROM
			(SELECT score FROM score_expected WHERE customer_id = r.customer_id) THEN
			differ := differ + 1;
		END IF;
	END LOOP;
	FOR x IN SELECT * FROM score_customers ORDER BY customer_id LIMIT 200 LOOP
		IF churn_score(x, 'score_customers') IS DISTINCT FROM
			(SELECT score FROM score_expected WHERE customer_id = x.customer_id) THEN
			differ := differ + 1;
		END IF;
	END LOOP;
	RETURN differ;
END $$;
SELECT score_loop();
CREATE FUNCTION score_sql(score_customers) RETURNS float8 LANGUAGE sql STABLE
	AS 'SELECT churn_score($1)';
SELECT count(*) AS differ FROM score_customers c JOIN score_expected e USING (customer_id)
	WHERE score_sql(c) IS DISTINCT FROM e.score;
DO $$
DECLARE id text;
BEGIN
	SELECT min(customer_id) INTO id FROM score_customers;
	EXECUTE format('CREATE TABLE score_one AS EXECUTE one(%L)', id);
END $$;
SELECT * FROM score_one;

-- outer joins: a row that is not there has no score
SELECT count(*) AS all_rows, count(churn_score(c)) AS scored, count(churn_score(c.*, model => 'score_customers')) AS scored2
	FROM generate_series(1, 3) AS g LEFT JOIN
		(SELECT * FROM score_customers ORDER BY customer_id LIMIT 2) AS c ON g = 1;
SELECT count(*) AS all_rows, count(churn_score(c)) AS scored
	FROM (VALUES ('no one'), ((SELECT min(customer_id) FROM score_customers))) AS v (id)
	LEFT JOIN score_customers c ON c.customer_id = v.id;
SELECT count(*) AS all_rows, count(churn_score(c)) AS scored
	FROM score_customers c RIGHT JOIN (VALUES ('no one')) AS v (id) ON c.customer_id = v.id;
SELECT count(churn_score(c)) > 0 AS preserved_side
	FROM score_customers c LEFT JOIN (VALUES ('no one')) AS v (id) ON c.customer_id = v.id;
SELECT churn_score(NULL::score_customers) IS NULL AS null_row;
SELECT churn_score(c) IS NOT NULL AS row_of_nulls FROM (SELECT (ROW(NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL)::score_customers).*) AS c;

-- rows by hand: a named type knows its columns
SELECT churn_score(jsonb_populate_record(NULL::score_customers, to_jsonb(c))) = e.score AS same
	FROM score_customers c JOIN score_expected e USING (customer_id)
	ORDER BY customer_id LIMIT 1;

-- correlated and semi-joined rows
SELECT count(*) AS differ FROM score_customers c
	WHERE (SELECT churn_score(c)) IS DISTINCT FROM (SELECT score FROM score_expected e WHERE e.customer_id = c.customer_id);
SELECT count(*) AS found FROM score_expected e
	WHERE EXISTS (SELECT FROM score_customers c WHERE c.customer_id = e.customer_id AND churn_score(c) = e.score);

-- writing statements
CREATE TABLE score_written (LIKE score_customers);
WITH w AS (INSERT INTO score_written SELECT * FROM score_customers
		   RETURNING customer_id, churn_score(score_written, 'score_customers') AS score)
SELECT count(*) AS differ FROM w JOIN score_expected e USING (customer_id)
	WHERE w.score IS DISTINCT FROM e.score;
UPDATE score_written w SET contract = 'Two year' WHERE churn_score(w, 'score_customers') > 0.9
	AND false RETURNING churn_score(w, 'score_customers');

-- dropped, added, renamed, reordered columns
ALTER TABLE score_written DROP COLUMN churn;
ALTER TABLE score_written ADD COLUMN remark text DEFAULT 'x';
ALTER TABLE score_written DROP COLUMN gender;
ALTER TABLE score_written ADD COLUMN gender text;
UPDATE score_written w SET gender = c.gender FROM score_customers c WHERE c.customer_id = w.customer_id;
SELECT count(*) AS differ FROM score_written w JOIN score_expected e USING (customer_id)
	WHERE churn_score(w, 'score_customers') IS DISTINCT FROM e.score;
SELECT count(*) AS differ FROM (SELECT * FROM score_written OFFSET 0) AS w JOIN score_expected e USING (customer_id)
	WHERE churn_score(w, 'score_customers') IS DISTINCT FROM e.score;

-- partitions and inheritance use the model of the table above them
CREATE TABLE score_parts (LIKE score_customers) PARTITION BY LIST (contract);
CREATE TABLE score_part_1 PARTITION OF score_parts FOR VALUES IN ('Month-to-month');
CREATE TABLE score_part_2 (extra int, LIKE score_customers);
ALTER TABLE score_part_2 DROP COLUMN extra;
ALTER TABLE score_parts ATTACH PARTITION score_part_2 DEFAULT;
INSERT INTO score_parts SELECT * FROM score_customers;
SELECT count(*) AS differ FROM score_parts p JOIN score_expected e USING (customer_id)
	WHERE churn_score(p, 'score_customers') IS DISTINCT FROM e.score;
CREATE TABLE score_child () INHERITS (score_customers);
INSERT INTO score_child SELECT * FROM churn_sample_customers(10, 8);
SELECT count(*) FILTER (WHERE churn_score(c) IS NULL) AS unscored, count(*) FROM score_customers c;
SELECT count(churn_score(c)) FROM score_child c;
DROP TABLE score_child;

-- more columns than a function takes arguments: not rewritten, same result
DO $$
BEGIN
	EXECUTE 'CREATE TABLE score_wide AS SELECT c.*, ' ||
		(SELECT string_agg(format('%s AS extra_%s', i, i), ', ') FROM generate_series(1, 90) i) ||
		' FROM score_customers c';
END $$;
SELECT count(*) AS differ FROM score_wide w JOIN score_expected e USING (customer_id)
	WHERE churn_score(w, 'score_customers') IS DISTINCT FROM e.score;

-- parallel workers see the same champion
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
CREATE FUNCTION score_is_parallel(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		IF line LIKE '%Workers Planned%' THEN
			RETURN true;
		END IF;
	END LOOP;
	RETURN false;
END $$;
SELECT score_is_parallel('SELECT count(*) FROM score_customers c WHERE churn_score(c) > 0.5');
SELECT (SELECT count(*) FROM score_customers c WHERE churn_score(c) > 0.5) =
	(SELECT count(*) FROM score_expected WHERE score > 0.5) AS same;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;

-- a category that training never saw scores as missing does
SELECT churn_score(a) = churn_score(b) AS unseen_is_missing, churn_score(a) <> churn_score(c) AS and_matters
	FROM score_customers c,
		jsonb_populate_record(c, '{"contract": "Ten years"}') AS a,
		jsonb_populate_record(c, '{"contract": null}') AS b
	WHERE c.customer_id = (SELECT min(customer_id) FROM score_customers);

-- churn_predict()
SELECT count(*) FILTER (WHERE (p).score IS DISTINCT FROM e.score) AS differ,
	count(*) FILTER (WHERE (p).churn <> ((p).score >= v.threshold)) AS wrong_decisions,
	count(*) FILTER (WHERE (p).band <> CASE WHEN (p).churn THEN 'high'
		WHEN (p).score >= v.threshold / 2 THEN 'medium' ELSE 'low' END) AS wrong_bands,
	min((p).model) AS model, max((p).version) AS version
	FROM (SELECT customer_id, churn_predict(c) AS p FROM score_customers c) AS c
	JOIN score_expected e USING (customer_id), churn.model_versions v
	WHERE v.model = 'score_customers' AND v.version = 1;

-- errors
SELECT churn_score(ROW(1, 2));
SELECT churn_score(c) FROM (SELECT customer_id, gender FROM score_customers) AS c;
SELECT churn_score(c) FROM (SELECT *, 1 AS x FROM (SELECT customer_id FROM score_customers) AS s) AS c LIMIT 1;
SELECT churn_score(c) FROM (SELECT s.*, 'x' AS y FROM score_wide s) AS c, (SELECT 1) AS d WHERE false;
CREATE TABLE score_mistyped AS SELECT * FROM score_customers LIMIT 1;
ALTER TABLE score_mistyped ALTER tenure TYPE text;
SELECT churn_score(c) FROM score_mistyped c;
ALTER TABLE score_mistyped ALTER tenure TYPE int USING tenure::int, ALTER contract TYPE int USING 1;
SELECT churn_score(c) FROM score_mistyped c;
SELECT churn_score(c, 'nobody') FROM score_customers c;
SELECT churn_score(c, version => 9) FROM score_customers c;
SELECT churn_score(c, version => 0) FROM score_customers c;
SELECT churn.score_columns(0, NULL, NULL, 1, 2);
SELECT churn.score_columns('score_customers'::regclass, NULL, NULL, 1, 2);
SELECT churn.score_columns(NULL, NULL, NULL, 1, 2);
SELECT churn_score(1);

-- the library's own setting
SET churn.default_model = 'nobody';
SELECT churn_score(c) FROM score_customers c;
SET churn.default_model = 'score_customers';
SELECT count(*) AS differ FROM score_wide c JOIN score_expected e USING (customer_id) WHERE churn_score(c) IS DISTINCT FROM e.score;
RESET churn.default_model;

DROP FUNCTION score_loop, score_sql, score_passes_columns, score_is_parallel;
DROP VIEW score_view, score_scored;
DROP TABLE score_customers, score_expected, score_one, score_written, score_parts, score_wide, score_mistyped;
DEALLOCATE one;
SELECT churn_drop_model('score_customers');
