--
-- churn_compare(): two versions on the rows that neither has seen
--
SET client_min_messages = warning;
CREATE TABLE compare_customers AS SELECT * FROM churn_sample_customers(3000, 21);
ALTER TABLE compare_customers ADD PRIMARY KEY (customer_id);
CREATE FUNCTION compare_train(model text, rounds int, more text DEFAULT '{}', source text DEFAULT 'compare_customers', key text DEFAULT 'customer_id')
RETURNS int LANGUAGE sql AS $$
	SELECT version FROM churn_train(source, 'churn', key => key, model => model, algorithm => 'xgboost',
		params => jsonb_build_object('rounds', rounds, 'max_depth', 2), options => '{"folds": 0, "promote": "never"}'::jsonb || more::jsonb)
$$;
SELECT compare_train('compare', 4, '{"promote": "always"}');
SELECT compare_train('compare', 100);
SET client_min_messages = notice;

-- the champion by default; what is on each side is what churn_evaluate() says of the test rows
CREATE TABLE compare_found AS SELECT * FROM churn_compare('compare', 2);
SELECT metric, n = v.test_rows AS test_rows, challenger - champion = difference AS difference,
	ci_low < difference AND difference < ci_high AS inside, p_value < 0.05 AS better
	FROM compare_found, churn.model_versions v WHERE v.model = 'compare' AND v.version = 2;
SET client_min_messages = warning;
SELECT f.metric, abs(f.champion - a.value) < 1e-12 AS champion, abs(f.challenger - b.value) < 1e-12 AS challenger
	FROM compare_found f
	JOIN churn_evaluate('compare', version => 1, resamples => 0) a USING (metric)
	JOIN churn_evaluate('compare', version => 2, resamples => 0) b USING (metric) ORDER BY f.metric;
-- the same again, to the last bit, whatever the order of the rows
SELECT count(*) AS differ FROM (SELECT * FROM churn_compare('compare', 2) EXCEPT SELECT * FROM compare_found) AS d;
SELECT count(*) AS differ FROM (SELECT * FROM churn_compare('compare', 2, source => 'SELECT * FROM compare_customers ORDER BY random()')
	EXCEPT SELECT * FROM compare_found) AS d;
-- the other way round: the worse one is not better
SELECT f.metric, f.difference = -b.difference AS turned, b.p_value > 0.95 AS worse
	FROM compare_found f JOIN churn_compare('compare', 1, 2) b USING (metric) ORDER BY f.metric;
-- more or fewer resamples; as many as the rows call for
SELECT count(*) FILTER (WHERE p_value < 0.05) AS better, count(*) FILTER (WHERE ci_low < ci_high) AS wide FROM churn_compare('compare', 2, resamples => 100);
SELECT count(*) AS differ FROM (SELECT * FROM churn_compare('compare', 2, resamples => NULL) EXCEPT SELECT * FROM compare_found) AS d;

-- equal versions do not differ
SELECT compare_train('compare', 100);
SELECT metric, difference, ci_low, ci_high, p_value FROM churn_compare('compare', 3, 2);

-- the smaller of two test parts
SELECT compare_train('compare', 50, '{"test_fraction": 0.1}');
SELECT count(*) FILTER (WHERE n = v.test_rows) AS test_rows FROM churn_compare('compare', 4), churn.model_versions v
	WHERE v.model = 'compare' AND v.version = 4;
SELECT count(*) FILTER (WHERE n = v.test_rows) AS test_rows FROM churn_compare('compare', 2, 4), churn.model_versions v
	WHERE v.model = 'compare' AND v.version = 4;

-- other rows: those in the test part, or all
SET client_min_messages = notice;
SELECT count(*) FROM churn_compare('compare', 2, source => 'SELECT * FROM churn_sample_customers(1000, 22)');
SELECT count(*) FROM churn_compare('compare', 2, source => 'SELECT * FROM churn_sample_customers(1000, 22)', part => 'all');
SELECT count(*) FROM churn_compare('compare', 2, part => 'test', source => 'SELECT (jsonb_populate_record(c, CASE WHEN tenure < 30 THEN ''{"churn": null}'' ELSE ''{}'' END::jsonb)).* FROM compare_customers c');
-- one class only: nothing can be said of the ranking
SELECT metric, champion IS NULL AS undefined, p_value IS NULL AS no_p FROM churn_compare('compare', 2, source => 'SELECT * FROM compare_customers WHERE churn = ''No''');

-- versions that were imported, or trained without a key, with another, or without a test part
SET client_min_messages = warning;
SELECT version FROM churn_import('compare', churn_export('compare', 2));
SELECT version FROM churn_import('compare_imported', churn_export('compare', 2), source => 'compare_customers', key => 'customer_id', label => 'churn');
SELECT version FROM churn_import('compare_imported', churn_export('compare', 1));
CREATE TABLE compare_keys AS SELECT row_number() OVER (ORDER BY customer_id) AS number, c.* FROM compare_customers c;
SELECT compare_train('compare_keys', 2, '{"promote": "always"}', 'SELECT * FROM compare_keys', 'customer_id');
SELECT compare_train('compare_keys', 3, '{}', 'SELECT * FROM compare_keys', 'number');
SELECT compare_train('compare_keys', 3, '{}', 'SELECT * FROM compare_keys', NULL);
SELECT compare_train('compare_keys', 3, '{"test_fraction": 0}', 'SELECT * FROM compare_keys', 'customer_id');
SET client_min_messages = notice;
SELECT count(*) FROM churn_compare('compare', 2, 5);
SELECT count(*) FROM churn_compare('compare', 5, 2);
SELECT count(*) FROM churn_compare('compare_imported', 2, source => 'SELECT * FROM churn_sample_customers(500, 23)');
SELECT churn_compare('compare_imported', 2);
SELECT churn_compare('compare_keys', 2);
SELECT churn_compare('compare_keys', 3);
SELECT churn_compare('compare_keys', 4);
SELECT churn_compare('compare_keys', 4, part => 'test', source => 'compare_keys');

-- rights: those of churn_evaluate()
CREATE ROLE regress_churn_owner;
CREATE ROLE regress_churn_other;
GRANT EXECUTE ON FUNCTION churn_train, churn_compare TO regress_churn_owner, regress_churn_other;
CREATE TABLE compare_owned AS SELECT * FROM compare_customers;
ALTER TABLE compare_owned OWNER TO regress_churn_owner;
SET client_min_messages = warning;
SET ROLE regress_churn_owner;
SELECT compare_train('compare_owned', 2, '{"promote": "always"}', 'compare_owned');
SELECT compare_train('compare_owned', 3, '{}', 'compare_owned');
SELECT count(*) FROM churn_compare('compare_owned', 2);
SET ROLE regress_churn_other;
SELECT count(*) FROM churn_compare('compare_owned', 2);
SELECT count(*) FROM churn_compare('compare_owned', 2, source => 'compare_owned');
SELECT count(*) FROM churn_compare('compare_owned', 2, source => 'SELECT * FROM churn_sample_customers(1000)');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION churn_train, churn_compare FROM regress_churn_owner, regress_churn_other;
SET ROLE regress_churn_other;
SELECT churn_compare('compare_owned', 2);
RESET ROLE;

-- errors
SELECT churn_compare(NULL, 2);
SELECT churn_compare('compare', NULL);
SELECT churn_compare('nobody', 2);
SELECT churn_compare('compare', 0);
SELECT churn_compare('compare', 2, -1);
SELECT churn_compare('compare', 9);
SELECT churn_compare('compare', 1);
SELECT churn_compare('compare', 2, 2);
SELECT churn_compare('compare', 2, resamples => 0);
SELECT churn_compare('compare', 2, resamples => 100001);
SELECT churn_compare('compare', 2, part => 'Test');
SELECT churn_compare('compare', 2, source => 'nowhere');
SELECT churn_compare('compare', 2, source => 'SELECT * FROM compare_customers LIMIT 0');
SELECT churn_compare('compare', 2, source => 'SELECT customer_id AS id, c.* FROM compare_customers c LIMIT 0', part => 'all');
ALTER TABLE compare_customers RENAME customer_id TO id;
SELECT churn_compare('compare', 2);
SELECT compare_train('compare_alone', 2, '{}', 'compare_keys', 'number');
SELECT churn_compare('compare_alone', 1);

SELECT churn_drop_model(name) FROM churn.models ORDER BY name;
DROP TABLE compare_customers, compare_found, compare_keys, compare_owned;
DROP FUNCTION compare_train;
DROP ROLE regress_churn_owner, regress_churn_other;
