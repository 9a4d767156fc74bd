--
-- Artifacts of our own: additive models, networks, trees, blends, calibration
--
SET client_min_messages = warning;

CREATE TABLE components_rows (id int PRIMARY KEY, tenure numeric, plan text, active boolean);
INSERT INTO components_rows VALUES (1, 0, 'basic', true), (2, 12, 'pro', false), (3, 100, 'basic', NULL),
	(4, NULL, 'pro', true), (5, 5.5, NULL, false), (6, 24, 'gold', true), (7, -3, 'basic', false), (8, NULL, NULL, NULL);

-- a document around components
CREATE FUNCTION components_document(VARIADIC components jsonb[]) RETURNS bytea LANGUAGE sql AS $$
	SELECT convert_to(jsonb_build_object('churn', '{"format": 1, "threshold": 0.4, "features": [
		{"name": "tenure", "kind": "number", "type": "numeric"},
		{"name": "plan", "kind": "category", "type": "text", "categories": ["basic", "pro"]},
		{"name": "active", "kind": "boolean", "type": "boolean"}]}'::jsonb, 'components', components)::text, 'UTF8')
$$;
CREATE FUNCTION components_calibrated(artifact bytea, calibration jsonb) RETURNS bytea LANGUAGE sql AS $$
	SELECT convert_to(jsonb_set(convert_from(artifact, 'UTF8')::jsonb, '{churn,calibration}', calibration)::text, 'UTF8')
$$;
CREATE FUNCTION components_additive() RETURNS jsonb LANGUAGE sql AS $$ SELECT '{"algorithm": "logistic", "weight": 1, "offset": 0,
	"kind": "additive", "intercept": -0.75, "effects": [
	{"kind": "linear", "slope": -0.04, "low": 0, "high": 72, "missing": 0.3, "mean": -1.2},
	{"kind": "categories", "points": [0.5, -0.25], "missing": 0.125},
	{"kind": "steps", "cuts": [0.5], "points": [0.9, -0.1], "missing": 0}]}'::jsonb $$;
CREATE FUNCTION components_network() RETURNS jsonb LANGUAGE sql AS $$ SELECT '{"algorithm": "neural_network", "weight": 1, "offset": 0,
	"kind": "network", "inputs": {"low": [0, 0, 0], "high": [72, 0, 1], "mean": [32, 0, 0.5], "scale": [0.03125, 0, 2]},
	"baseline": [0, 0, 0.5, 0.4, 0.1, 0, 0],
	"layers": [{"weights": [1, -1, 0.5, 0.25, 0.75, -0.5, -1, 2, 0.25, 0.5, 1.5, -0.75, 0.125, 1], "biases": [0.5, -0.25]},
			   {"weights": [-1.5, 2], "biases": [0.375]}]}'::jsonb $$;
CREATE FUNCTION components_tree() RETURNS jsonb LANGUAGE sql AS $$ SELECT '{"algorithm": "rules", "weight": 1, "offset": 0,
	"kind": "tree", "nodes": [{"left": 1, "right": 2, "feature": 0, "value": 6, "default_left": true},
	{"value": 1.5}, {"left": 3, "right": 4, "feature": 1, "categories": [1]}, {"value": -0.5}, {"value": -2}]}'::jsonb $$;

SELECT * FROM churn_import('additive', components_document(components_additive()));
SELECT * FROM churn_import('network', components_document(components_network()));
SELECT * FROM churn_import('tree', components_document(components_tree()));
SELECT * FROM churn_import('blend', components_calibrated(components_document(
	components_additive() || '{"weight": 0.5, "offset": 0.25}', components_network() || '{"weight": 0.25}',
	components_tree() || '{"weight": 2, "offset": -1}'), '{"method": "platt", "a": 0.8, "b": -0.2}'));

-- the same in SQL
CREATE VIEW components_expected AS
SELECT r.*, additive, network, tree, 0.5 * additive + 0.25 + 0.25 * network + 2 * tree - 1 AS blend
FROM components_rows r,
	LATERAL (SELECT -0.75 + CASE WHEN tenure IS NULL THEN 0.3 ELSE -0.04 * least(greatest(tenure, 0), 72) END
		+ CASE plan WHEN 'basic' THEN 0.5 WHEN 'pro' THEN -0.25 ELSE 0.125 END
		+ CASE active WHEN true THEN -0.1 WHEN false THEN 0.9 ELSE 0 END AS additive) a,
	LATERAL (SELECT CASE WHEN tenure IS NULL THEN 0 ELSE (least(greatest(tenure, 0), 72) - 32) * 0.03125 END AS x0, (tenure IS NULL)::int AS x1,
		(plan IS NOT DISTINCT FROM 'basic')::int AS x2, (plan IS NOT DISTINCT FROM 'pro')::int AS x3,
		(plan IS NULL OR plan NOT IN ('basic', 'pro'))::int AS x4,
		coalesce((active::int - 0.5) * 2, 0) AS x5, (active IS NULL)::int AS x6) x,
	LATERAL (SELECT greatest(0.5 + x0 + 0.5 * x1 + 0.75 * x2 - x3 + 0.25 * x4 + 1.5 * x5 + 0.125 * x6, 0) AS h0,
		greatest(-0.25 - x0 + 0.25 * x1 - 0.5 * x2 + 2 * x3 + 0.5 * x4 - 0.75 * x5 + x6, 0) AS h1) h,
	LATERAL (SELECT 0.375 - 1.5 * h0 + 2 * h1 AS network) n,
	LATERAL (SELECT CASE WHEN tenure IS NULL OR tenure < 6 THEN 1.5 WHEN plan = 'basic' THEN -0.5 ELSE -2 END AS tree) t;
SELECT id, additive, network, tree, round(blend, 6) AS blend,
	abs(churn_margin(r, 'additive') - additive) < 1e-6 AS additive, abs(churn_margin(r, 'network') - network) < 1e-6 AS network,
	churn_margin(r, 'tree') = tree AS tree, abs(churn_margin(r, 'blend') - blend) < 1e-6 AS blend
	FROM components_rows r JOIN components_expected e USING (id) ORDER BY id;
-- a score is the calibrated margin, and what a row means follows from it
SELECT id, round(churn_score(r, 'blend')::numeric, 6) AS score,
	abs(churn_score(r, 'blend') - 1 / (1 + exp(-(0.8 * churn_margin(r, 'blend')::float8 - 0.2)))) < 1e-12 AS calibrated,
	abs(churn_score(r, 'additive') - 1 / (1 + exp(-additive::float8))) < 1e-6 AS uncalibrated, p.churn, p.band
	FROM components_rows r JOIN components_expected e USING (id), churn_predict(r, 'blend') p ORDER BY id;
SELECT count(*) AS differ FROM components_rows r WHERE churn_score(r.*, 'blend') IS DISTINCT FROM churn_score(ROW(r.*)::components_rows, 'blend');

-- each calibration, up to where exp() ends
CREATE FUNCTION components_line(calibration jsonb) RETURNS int LANGUAGE sql AS $$
	SELECT version FROM churn_import('line', components_calibrated(convert_to(
		'{"churn": {"format": 1, "features": [{"name": "x", "kind": "number"}]},
		  "components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0,
		  "effects": [{"kind": "linear", "slope": 1, "low": -1e30, "high": 1e30, "missing": 0.5}]}]}', 'UTF8'), calibration))
$$;
SELECT components_line(c) FROM unnest('{"{\"method\": \"none\"}", "{\"method\": \"platt\", \"a\": 2, \"b\": 0.5}",
	"{\"method\": \"beta\", \"a\": 0.5, \"b\": 1.5, \"c\": -0.25}",
	"{\"method\": \"isotonic\", \"margins\": [-1, 0.5, 2], \"logits\": [-3, 0, 0.25]}"}'::jsonb[]) c;
CREATE TABLE components_margins AS SELECT x FROM unnest('{-1e30, -800, -3, -1, -0.25, 0, 0.5, 1, 3, 30, 800, 1e30}'::float8[]) x;
SELECT x, churn_margin(m, 'line', 1) = x::real AS margin, round(churn_score(m, 'line', 1)::numeric, 8) AS "none",
	round(churn_score(m, 'line', 2)::numeric, 8) AS platt, round(churn_score(m, 'line', 3)::numeric, 8) AS beta,
	round(churn_score(m, 'line', 4)::numeric, 8) AS isotonic FROM components_margins m ORDER BY x;
SELECT bool_and(abs(churn_score(m, 'line', 2) - 1 / (1 + exp(-(2 * x + 0.5)))) < 1e-12) AS platt,
	bool_and(abs(churn_score(m, 'line', 3) - 1 / (1 + exp(-(-0.5 * ln(1 + exp(-x)) + 1.5 * ln(1 + exp(x)) - 0.25)))) < 1e-12) AS beta,
	bool_and(abs(churn_score(m, 'line', 4) - 1 / (1 + exp(-CASE WHEN x <= -1 THEN -3 + x + 1 WHEN x <= 0.5 THEN -3 + (x + 1) * 2
		WHEN x <= 2 THEN (x - 0.5) / 6 ELSE 0.25 + x - 2 END))) < 1e-12) AS isotonic
	FROM components_margins m WHERE abs(x) < 100;
-- strictly rising
SELECT v, bool_and(s > before) AS rises FROM (SELECT v, x, churn_score(m, 'line', v) AS s,
	lag(churn_score(m, 'line', v)) OVER (PARTITION BY v ORDER BY x) AS before
	FROM (SELECT g / 100.0 AS x FROM generate_series(-500, 500) g) m, generate_series(1, 4) v) s GROUP BY v ORDER BY v;
SELECT churn_score(m, 'line', 2) = 1 / (1 + exp(-1.5)) AS missing FROM (SELECT NULL::float8 AS x) m;

-- what the registry knows
SELECT model, version, algorithm, origin, threshold, rounds, library_versions ? 'xgboost' AS xgboost
	FROM churn.model_versions WHERE model IN ('additive', 'network', 'tree', 'blend') ORDER BY model;
SELECT position, name, kind, type, categories FROM churn.features WHERE model = 'blend' ORDER BY position;

-- contributions sum to the margin, and a blend's are its components', weighted
SELECT m AS model, count(*) AS rows, count(*) FILTER (WHERE abs(e.sum - churn_margin(r, m)) > 1e-5) AS gaps,
	max(features) AS features, max(e.largest) > 0.01 AS some
	FROM unnest('{additive,network,tree,blend}'::text[]) WITH ORDINALITY AS u (m, n), components_rows r,
	LATERAL (SELECT sum(contribution), count(*) AS features, max(abs(contribution)) FILTER (WHERE feature <> '(bias)') AS largest
			 FROM churn_explain(r, m)) AS e GROUP BY n, m ORDER BY n;
SELECT feature, value, round(contribution::numeric, 6) AS contribution FROM components_rows r, churn_explain(r, 'additive') WHERE id = 1;
SELECT feature, value, round(contribution::numeric, 6) AS contribution FROM components_rows r, churn_explain(r, 'network') WHERE id = 1;
SELECT id, churn_reasons(r, 'blend', top => 2) FROM components_rows r ORDER BY id;

-- out and in again, in both formats
SELECT version FROM unnest('{additive,network,tree,blend}'::text[]) m, churn_import('again', churn_export(m)) ORDER BY version;
SELECT version FROM unnest('{additive,network,tree,blend}'::text[]) m, churn_import('again', churn_export(m, format => 'json')) ORDER BY version;
SELECT a.model, count(*) AS versions, count(DISTINCT (b.artifact, b.compiled)) AS different
	FROM churn.model_versions a JOIN churn.model_versions b USING (sha256)
	WHERE a.model IN ('additive', 'network', 'tree', 'blend') GROUP BY a.model ORDER BY a.model;
SELECT jsonb_pretty(j -> 'churn' -> 'calibration') AS calibration, c ->> 'algorithm' AS algorithm, c ->> 'kind' AS kind, c -> 'weight' AS weight
	FROM CAST(convert_from(churn_export('blend', format => 'json'), 'UTF8') AS jsonb) j, jsonb_array_elements(j -> 'components') c;

-- XGBoost's own file is calibrated as well, and may name another learner; as a component it may be weighted
CREATE FUNCTION components_booster(attributes jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_set('{"version": [1, 7, 4], "learner": {"gradient_booster": {"name": "gbtree", "model": {
		"gbtree_model_param": {"num_trees": "1"}, "tree_info": [0], "trees": [{"id": 0,
		"left_children": [1, -1, -1], "right_children": [2, -1, -1], "split_indices": [0, 0, 0], "sum_hessian": [4, 2, 2],
		"split_conditions": [1, -0.5, 0.25], "default_left": [1, 0, 0]}]}},
		"learner_model_param": {"base_score": "5E-1", "num_feature": "1"}, "objective": {"name": "binary:logistic"}}}',
		'{learner,attributes}', attributes)
$$;
CREATE FUNCTION components_described(component jsonb) RETURNS bytea LANGUAGE sql AS $$
	SELECT convert_to(CASE WHEN component IS NULL
		THEN components_booster(jsonb_build_object('churn', (described || '{"algorithm": "random_forest"}')::text))
		ELSE jsonb_build_object('churn', described, 'components', jsonb_build_array(component)) END::text, 'UTF8')
	FROM CAST('{"format": 1, "features": [{"name": "x", "kind": "number"}],
		"calibration": {"method": "beta", "a": 1, "b": 2, "c": 0.5}}' AS jsonb) described
$$;
SELECT version, algorithm, trees FROM churn_import('booster', components_described(NULL));
SELECT version, algorithm, trees FROM churn_import('booster', components_described(
	'{"algorithm": "xgboost", "weight": 2, "offset": -0.125, "kind": "forest"}'::jsonb || jsonb_build_object('xgboost', components_booster('{}'))));
SELECT v, x, churn_margin(b, 'booster', v) AS margin, abs(churn_score(b, 'booster', v) - 1 / (1 + exp(-(0.5 - ln(1 + exp(-m)) + 2 * ln(1 + exp(m)))))) < 1e-12 AS score
	FROM (VALUES (0.5::float8), (1), (NULL)) b (x), generate_series(1, 2) v, LATERAL (SELECT churn_margin(b, 'booster', v)::float8 AS m) m ORDER BY v, x;
SELECT v, j ? 'learner' AS booster, j ? 'components' AS components FROM generate_series(1, 2) v,
	CAST(convert_from(churn_export('booster', v, 'json'), 'UTF8') AS jsonb) j;

-- features and threshold as the caller says
SELECT version FROM churn_import('again', components_document(components_tree()), threshold => 0.25, options => '{"promote": "always"}',
	features => '["months", {"name": "plan", "categories": ["basic", "pro"]}, {"name": "active", "kind": "boolean"}]');
SELECT id, churn_margin(r, 'again') = tree AS same FROM (SELECT id, tenure AS months, plan, active FROM components_rows) r
	JOIN components_expected USING (id) ORDER BY id;
SELECT threshold FROM churn.model_versions WHERE model = 'again' AND version = 9;
SELECT churn_import('again', components_document(components_additive()), '["one", "two"]');

-- rescoring goes by calibrated scores
SELECT churn_import('blend', churn_export('blend'), source => 'components_rows');
SELECT churn_rescore('blend');
SELECT count(*) AS differ FROM churn.predictions p JOIN components_rows r ON r.id::text = p.customer_key
	WHERE p.model = 'blend' AND p.score <> churn_score(r, 'blend');

-- refused; each check has its unit test
CREATE FUNCTION components_refused(component jsonb, calibration jsonb DEFAULT '{"method": "none"}') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM churn_import('refused', components_calibrated(components_document(component), calibration));
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
SELECT components_refused(components_additive() - 'intercept');
SELECT components_refused(components_additive() || '{"kind": "spline"}');
SELECT components_refused(components_additive() || '{"weight": 0}');
SELECT components_refused(components_additive() || '{"algorithm": ""}');
SELECT components_refused(components_additive() || '{"effects": []}');
SELECT components_refused(jsonb_set(components_additive(), '{effects,0,slope}', '1e300'));
SELECT components_refused(jsonb_set(components_additive(), '{effects,1,points}', '[1]'));
SELECT components_refused(jsonb_set(components_additive(), '{effects,2,cuts}', '[0.5, 0.5]'));
SELECT components_refused(jsonb_set(components_additive(), '{effects,2}', '{"kind": "steps", "cuts": [1, 0], "points": [1, 2, 3], "missing": 0}'));
SELECT components_refused(jsonb_set(components_network(), '{layers,1,weights}', '[1]'));
SELECT components_refused(jsonb_set(components_network(), '{layers,0,biases}', '[1e38, 1e38]'));
SELECT components_refused(jsonb_set(components_network(), '{inputs,low}', '[80, 0, 0]'));
SELECT components_refused(jsonb_set(components_tree(), '{nodes,0,left}', '0'));
SELECT components_refused(jsonb_set(components_tree(), '{nodes,0,feature}', '3'));
SELECT components_refused(components_tree() || '{"kind": "forest", "xgboost": {}}');
SELECT components_refused(components_tree(), '{"method": "platt", "a": 0, "b": 1}');
SELECT components_refused(components_tree(), '{"method": "beta", "a": 0, "b": 0, "c": 1}');
SELECT components_refused(components_tree(), '{"method": "isotonic", "margins": [0, 1], "logits": [1, 1]}');
SELECT components_refused(components_tree(), '{"method": "venn-abers"}');
SELECT churn_import('refused', '{"components": []}');
SELECT churn_import('refused', '{"components": [{}]}');
SELECT count(*) AS models FROM churn.models WHERE name = 'refused';

SELECT churn_drop_model(name) FROM churn.models WHERE name IN ('additive', 'network', 'tree', 'blend', 'line', 'again', 'booster');
DROP FUNCTION components_described, components_booster, components_refused, components_line, components_tree, components_network, components_additive,
	components_calibrated, components_document;
DROP VIEW components_expected;
DROP TABLE components_rows, components_margins;
