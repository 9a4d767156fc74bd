--
-- churn_explain() and churn_reasons(): why a row has its score
--
SET client_min_messages = warning;

-- a model by hand: one tree of two leaves a feature, -1 and 1 times its weight,
-- half of the cover on each side, so that a feature contributes its leaf
CREATE FUNCTION explain_tree(feature int, threshold float8, weight float8, category boolean, missing_left boolean) RETURNS jsonb
LANGUAGE sql AS $$
	SELECT jsonb_build_object('id', feature,
		'tree_param', '{"num_deleted": "0", "num_feature": "6", "num_nodes": "3", "size_leaf_vector": "0"}'::jsonb,
		'left_children', '[1, -1, -1]'::jsonb, 'right_children', '[2, -1, -1]'::jsonb, 'parents', '[2147483647, 0, 0]'::jsonb,
		'split_indices', jsonb_build_array(feature, 0, 0),
		'split_conditions', jsonb_build_array(threshold, -weight, weight),
		'split_type', jsonb_build_array(category::int, 0, 0), 'default_left', jsonb_build_array(missing_left::int, 0, 0),
		'base_weights', '[0, 0, 0]'::jsonb, 'loss_changes', '[1, 0, 0]'::jsonb, 'sum_hessian', '[8, 4, 4]'::jsonb,
		'categories', CASE WHEN category THEN '[1]' ELSE '[]' END::jsonb,
		'categories_nodes', CASE WHEN category THEN '[0]' ELSE '[]' END::jsonb,
		'categories_segments', CASE WHEN category THEN '[0]' ELSE '[]' END::jsonb,
		'categories_sizes', CASE WHEN category THEN '[1]' ELSE '[]' END::jsonb)
$$;
CREATE FUNCTION explain_model() RETURNS bytea LANGUAGE sql AS $$
	SELECT convert_to(jsonb_build_object('version', '[1, 7, 4]'::jsonb, 'learner', jsonb_build_object(
		'attributes', '{}'::jsonb, 'feature_names', '[]'::jsonb, 'feature_types', '[]'::jsonb,
		'gradient_booster', jsonb_build_object('name', 'gbtree', 'model', jsonb_build_object(
			'gbtree_model_param', '{"num_parallel_tree": "1", "num_trees": "6"}'::jsonb, 'tree_info', '[0, 0, 0, 0, 0, 0]'::jsonb,
			'trees', jsonb_build_array(
				explain_tree(0, 10, 0.5, false, true), explain_tree(1, 0, -0.25, true, true),
				explain_tree(2, 0.5, 0.125, false, false), explain_tree(3, 30, 0.0625, false, true),
				explain_tree(4, 100, 0.03125, false, true), explain_tree(5, 0, 0, false, true)))),
		'learner_model_param', '{"base_score": "5E-1", "num_class": "0", "num_feature": "6", "num_target": "1"}'::jsonb,
		'objective', '{"name": "binary:logistic", "reg_loss_param": {"scale_pos_weight": "1"}}'::jsonb))::text, 'UTF8')
$$;
SELECT version, features, trees FROM churn_import('hand', explain_model(), '["paid",
	{"name": "plan", "categories": ["basic", "it''s pro"]}, {"name": "active", "kind": "boolean"}, {"name": "seen", "kind": "age"},
	"say \"visits\"", "ignored"]');
CREATE TABLE explain_customers (id int PRIMARY KEY, paid numeric, plan text, active boolean, seen date,
	"say ""visits""" bigint, ignored float8);
-- ages count from the UTC date
CREATE FUNCTION explain_day() RETURNS date LANGUAGE sql STABLE AS $$ SELECT (now() AT TIME ZONE 'UTC')::date $$;
INSERT INTO explain_customers VALUES
	(1, 29.850, 'it''s pro', true, explain_day() - 45, 12345678901, 0),
	(2, 9.999999, 'basic', false, explain_day() - 1, 99, 1),
	(3, NULL, NULL, NULL, NULL, NULL, NULL),
	(4, 1234567.891, 'gold ' || repeat('x', 100), false, explain_day() + 1, -0, 'NaN'),
	(5, 0.00001234, E'it''s\nnew', true, explain_day(), 7, '-Infinity');
SELECT id, e.* FROM explain_customers c, churn_explain(c, 'hand') e WHERE id IN (1, 3) AND feature <> 'seen' ORDER BY id, abs(contribution) DESC, feature;
SELECT id, e.feature, left(e.value, 12) AS value, e.contribution FROM explain_customers c, churn_explain(c.*, model => 'hand', version => 1)
	WITH ORDINALITY AS e WHERE id IN (2, 4) AND feature <> 'seen' ORDER BY id, e.ordinality;
SELECT id, value::date - explain_day() AS days, contribution FROM explain_customers c, churn_explain(c, 'hand') WHERE feature = 'seen' ORDER BY id;
SELECT id, reason FROM explain_customers c, unnest(churn_reasons(c, 'hand', top => NULL)) WITH ORDINALITY AS r (reason, n) ORDER BY id, n;
SELECT id, churn_reasons(c, 'hand') FROM explain_customers c ORDER BY id;
SELECT id, churn_reasons(c, 'hand', 1, 1) FROM explain_customers c ORDER BY id;

-- other types than in the table
SELECT churn_reasons(c, 'hand', top => 6) FROM (SELECT true AS paid, 'basic'::char(10) AS plan, NULL::boolean AS active,
	explain_day() + 2 AS seen, 101::real AS "say ""visits""", 3.5::float8 AS ignored) AS c;
SELECT e.* FROM (SELECT true AS paid, 'basic'::char(10) AS plan, NULL::boolean AS active,
	NULL::date AS seen, 101::real AS "say ""visits""", 3.5::float8 AS ignored) AS c, churn_explain(c, 'hand') AS e;

-- a trained model: contributions sum to the margin, largest first, in every way to pass a row
CREATE TABLE explain_sample AS SELECT * FROM churn_sample_customers(1000, 7);
ALTER TABLE explain_sample ADD PRIMARY KEY (customer_id);
SELECT model, version FROM churn_train('explain_sample', 'churn', params => '{"rounds": 20, "max_depth": 7}', algorithm => 'xgboost', options => '{"folds": 0}');
CREATE TABLE explain_expected AS
	SELECT customer_id, e.* FROM explain_sample c, churn_explain(c) WITH ORDINALITY AS e (feature, value, contribution, n);
SELECT count(*) AS rows, count(DISTINCT feature) AS features,
	count(DISTINCT contribution) FILTER (WHERE feature = '(bias)') AS biases,
	count(*) FILTER (WHERE feature = '(bias)' AND (n <> 20 OR value IS NOT NULL)) AS bad_biases,
	min(contribution) < -0.5 AND max(contribution) > 0.3 AS large FROM explain_expected;
SELECT count(*) AS differ FROM explain_sample c JOIN
	(SELECT customer_id, sum(contribution) FROM explain_expected GROUP BY 1) AS e USING (customer_id)
	WHERE abs(e.sum - churn_margin(c)) > 1e-4;
SELECT count(*) AS out_of_order FROM
	(SELECT feature, abs(contribution) > lag(abs(contribution)) OVER (PARTITION BY customer_id ORDER BY n) AS larger
	 FROM explain_expected) AS o WHERE larger AND feature <> '(bias)';
SELECT count(*) AS differ FROM explain_expected e JOIN explain_sample c USING (customer_id)
	WHERE e.value IS DISTINCT FROM to_jsonb(c) ->> e.feature;
CREATE VIEW explain_view AS SELECT *, 1 AS more FROM explain_sample WHERE tenure > 10;
SELECT count(*) AS differ FROM
	(SELECT customer_id, e.* FROM explain_view v, churn_explain(v, 'explain_sample') AS e
	 EXCEPT SELECT customer_id, feature, value, contribution FROM explain_expected) AS x;
SELECT count(*) AS differ FROM
	(SELECT customer_id, (churn_explain(s, 'explain_sample', 1)).* FROM (SELECT * FROM explain_sample OFFSET 0) AS s
	 EXCEPT SELECT customer_id, feature, value, contribution FROM explain_expected) AS x;
SELECT count(*) AS differ FROM explain_sample c, LATERAL
	(SELECT array_agg(feature ORDER BY n) AS features FROM explain_expected e
	 WHERE e.customer_id = c.customer_id AND n <= 2) AS e
	WHERE ARRAY(SELECT split_part(r, ' ', 1) FROM unnest(churn_reasons(c, top => 2)) AS r) <> e.features;
SELECT count(*) AS reasons, count(*) FILTER (WHERE r ~ '^\w+ (= [^ ].*|is missing) (raises|lowers) the risk$') AS phrases
	FROM explain_sample c, unnest(churn_reasons(c)) AS r;

-- NULL rows have neither
SELECT count(*) FROM churn_explain(NULL::explain_sample);
SELECT churn_reasons(NULL::explain_sample) IS NULL AS no_reasons;
SELECT count(*) AS rows, count(e.feature) AS explained FROM explain_customers o
	LEFT JOIN explain_sample c ON c.tenure = -o.id LEFT JOIN LATERAL churn_explain(c) AS e ON true;

-- another version is another explanation, also within a transaction
SELECT version FROM churn_train('explain_sample', 'churn', params => '{"rounds": 3, "max_depth": 2}', options => '{"folds": 0, "promote": "never"}', algorithm => 'xgboost');
CREATE FUNCTION explain_loop() RETURNS TABLE (champion int, same bigint) LANGUAGE plpgsql AS $$
BEGIN
	FOR champion IN SELECT v FROM unnest(ARRAY[1, 2, 1]) AS v LOOP
		PERFORM churn_promote('explain_sample', champion);
		SELECT count(*) INTO same FROM explain_sample c, churn_explain(c) AS x JOIN explain_expected e USING (feature)
			WHERE e.customer_id = c.customer_id AND x.contribution = e.contribution;
		RETURN NEXT;
	END LOOP;
END $$;
SELECT champion, same = 20000 AS same FROM explain_loop();
SELECT count(*) AS differ FROM explain_sample c, LATERAL (SELECT sum(contribution) FROM churn_explain(c, version => 2)) AS e
	WHERE abs(sum - churn_margin(c, version => 2)) > 1e-4;

-- parallel workers explain the same
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SET parallel_leader_participation = off;
SELECT count(*) AS differ FROM
	(SELECT customer_id, churn_reasons(c) AS reasons FROM explain_sample c) AS p
	JOIN (SELECT customer_id, churn_reasons(s, 'explain_sample') AS reasons FROM (SELECT * FROM explain_sample OFFSET 0) AS s) AS q USING (customer_id)
	WHERE p.reasons IS DISTINCT FROM q.reasons;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;
RESET parallel_leader_participation;

-- reasons of predictions
SELECT churn_rescore('explain_sample');
SELECT count(*) AS rows, count(reasons) AS reasons FROM churn.predictions WHERE model = 'explain_sample';
SELECT churn_rescore('explain_sample', 2);
SELECT churn_rescore('explain_sample', reasons => 2);
SELECT count(*) AS differ FROM churn.predictions p JOIN explain_sample c ON c.customer_id = p.customer_key
	WHERE p.model = 'explain_sample' AND p.reasons IS DISTINCT FROM churn_reasons(c, top => 2);
SELECT churn_rescore('explain_sample');
SELECT churn_rescore('explain_sample', -1);

-- errors
SELECT count(*) FROM explain_customers c, churn_explain(c, 'none');
SELECT churn_reasons(c, 'hand', 9) FROM explain_customers c;
SELECT churn_reasons(c, 'hand', 0) FROM explain_customers c;
SELECT churn_reasons(c, 'hand', top => 0) FROM explain_customers c;
SELECT count(*) FROM explain_customers c, churn_explain(c, 'explain_sample');
SELECT churn_reasons(ROW(1, 2), 'hand');
SELECT churn_reasons(c, 'hand') FROM (SELECT paid, plan, active, 'x' AS seen, id AS "say ""visits""", ignored FROM explain_customers) AS c;

SELECT churn_drop_model('hand'), churn_drop_model('explain_sample');
DROP FUNCTION explain_tree, explain_model, explain_loop, explain_day;
DROP TABLE explain_customers, explain_sample, explain_expected CASCADE;
