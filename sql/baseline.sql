--
-- Distributions at training: churn.features.baseline, score_baseline
--
SET client_min_messages = warning;

-- fees have many values, one of them frequent; texts, some of them numbers, dates, and NULLs everywhere
CREATE TABLE baseline_rows AS
SELECT g AS id, g % 24 AS months,
	CASE WHEN g % 10 = 0 THEN NULL WHEN g % 7 = 0 THEN 20 ELSE (g * 7919 % 3001)::float8 / 8 END AS fee,
	CASE WHEN g % 9 = 0 THEN NULL ELSE (ARRAY['pro', 'basic', 'team'])[1 + g * 13 % 17 % 3] END AS plan,
	CASE WHEN g % 11 = 0 THEN ' ' WHEN g % 13 = 0 THEN NULL ELSE (g % 5)::text || '.50' END AS bill,
	CASE WHEN g % 6 = 0 THEN NULL ELSE g % 4 = 0 END AS active,
	CASE WHEN g % 8 = 0 THEN NULL ELSE DATE '2024-01-01' - g % 500 END AS since,
	(g * 31 % 100) < 8 + 2 * (24 - g % 24) AS gone
FROM generate_series(1, 3000) g;
SELECT version, rows FROM churn_train('baseline_rows', 'gone', key => 'id', algorithm => 'logistic',
	transform => '{"per_month": "fee / nullif(months, 0)"}', options => '{"as_of": "2024-06-01", "folds": 2}');
CREATE VIEW baseline_features AS SELECT f.*, ARRAY(SELECT e::float4 FROM jsonb_array_elements_text(f.baseline -> 'edges')
		WITH ORDINALITY e (e, n) ORDER BY n) AS edges,
	ARRAY(SELECT c::bigint FROM jsonb_array_elements_text(f.baseline -> 'counts') WITH ORDINALITY c (c, n) ORDER BY n) AS counts,
	ARRAY(SELECT c::float4 FROM jsonb_array_elements_text(f.baseline -> 'centres') WITH ORDINALITY c (c, n) ORDER BY n) AS centres
	FROM churn.features f;
-- the values as a model sees them
CREATE VIEW baseline_values AS SELECT r.id, v.* FROM baseline_rows r, LATERAL (VALUES ('months', months::float4),
	('fee', fee::float4), ('bill', nullif(bill, ' ')::float4), ('active', active::int::float4),
	('since', (DATE '2024-06-01' - since)::float4), ('per_month', (fee / nullif(months, 0))::float4)) AS v (name, value);

SELECT position, name, kind, baseline - '{edges,counts,centres,mean,sd}'::text[] AS rows, cardinality(edges) AS edges,
	cardinality(counts) AS counts, cardinality(centres) AS centres, (SELECT sum(c) FROM unnest(counts) c) AS counted
	FROM baseline_features WHERE model = 'baseline_rows' ORDER BY position;
-- equal what SQL finds
SELECT name, (baseline ->> 'missing')::int = v.missing AS missing, abs((baseline ->> 'mean')::float8 - v.mean) < 1e-9 AS mean,
	abs((baseline ->> 'sd')::float8 - v.sd) < 1e-9 AS sd, edges[1] = v.low AS low, edges[cardinality(edges)] = v.high AS high
	FROM baseline_features JOIN (SELECT name, count(*) - count(value) AS missing, avg(value::float8) AS mean, stddev(value::float8) AS sd,
		min(value) AS low, max(value) AS high FROM baseline_values GROUP BY name) v USING (name)
	WHERE model = 'baseline_rows' ORDER BY position;
SELECT name, count(*) AS cells, count(*) FILTER (WHERE n IS DISTINCT FROM counts[i]) AS other_counts,
	count(*) FILTER (WHERE abs(mean - centres[i]) > 1e-6 * greatest(abs(mean), 1)) AS other_centres
	FROM baseline_features f, generate_subscripts(counts, 1) i,
	LATERAL (SELECT count(*) AS n, avg(value::float8) AS mean FROM baseline_values v WHERE v.name = f.name
			 AND (i = 1 OR i = 2 OR value > edges[i - 2]) AND (i < 3 OR i = cardinality(counts) OR value <= edges[i - 1])
			 AND (i <> 1 OR value < edges[1]) AND (i <> 2 OR value = edges[1])
			 AND (i < cardinality(counts) OR value > edges[cardinality(edges)])) v
	WHERE model = 'baseline_rows' AND kind <> 'category' GROUP BY name, position ORDER BY position;
SELECT categories[i] AS plan, counts[i] AS counted, (SELECT count(*) FROM baseline_rows WHERE plan = categories[i]) AS rows
	FROM baseline_features, generate_subscripts(counts, 1) i WHERE model = 'baseline_rows' AND name = 'plan' ORDER BY i;
-- a frequent value has a cell of its own: the float before it is an edge as well
SELECT edges[i - 1] < 20 AND edges[i - 1] > 19.99999 AS before, counts[i + 1] AS counted,
	(SELECT count(*) FROM baseline_rows WHERE fee = 20) AS rows
	FROM baseline_features, generate_subscripts(edges, 1) i WHERE model = 'baseline_rows' AND name = 'fee' AND edges[i] = 20;
-- no other cell holds more than one in 256 of the rows
SELECT max(counts[i]) * 256 <= max(count) AS few FROM baseline_features, (SELECT count(fee) FROM baseline_rows) n, generate_subscripts(counts, 1) i
	WHERE model = 'baseline_rows' AND name = 'fee' AND (i < 3 OR edges[i - 1] <> 20);

-- the score's is that of the test part
SELECT s -> 'rows' = to_jsonb(test_rows) AS rows, (SELECT sum(c::int) FROM jsonb_array_elements_text(s -> 'counts') c) = test_rows AS counted,
	(s ->> 'mean')::float8 BETWEEN 0.1 AND 0.9 AS mean, s ? 'sd' AS sd, s ? 'unseen' AS unseen
	FROM churn.model_versions v, LATERAL (SELECT v.score_baseline AS s) s WHERE model = 'baseline_rows';

-- whatever the order of the rows
CREATE TABLE baseline_shuffled AS SELECT * FROM baseline_rows ORDER BY md5(id::text);
SELECT version FROM churn_train('baseline_shuffled', 'gone', key => 'id', model => 'baseline_rows', algorithm => 'logistic',
	transform => '{"per_month": "fee / nullif(months, 0)"}', options => '{"as_of": "2024-06-01", "folds": 2, "promote": "never"}');
SELECT churn.baseline('baseline_rows', 1) = churn.baseline('baseline_rows', 2) AS same, churn.baseline('baseline_rows', 1) IS NOT NULL AS there;

-- for C: the champion's, with names and kinds
SELECT f ->> 'name' AS name, f ->> 'kind' AS kind, f -> 'baseline' = x.baseline AS same
	FROM jsonb_array_elements(churn.baseline('baseline_rows') -> 'features') WITH ORDINALITY f (f, n)
	JOIN churn.features x ON x.model = 'baseline_rows' AND x.version = 1 AND x.position = n ORDER BY n;
SELECT churn.baseline('baseline_rows') -> 'score' = score_baseline AS same FROM churn.model_versions WHERE model = 'baseline_rows' AND version = 1;
SELECT churn.baseline('baseline_rows', 3) IS NULL AS no_version, churn.baseline('nobody') IS NULL AS no_model, churn.baseline(NULL) IS NULL AS none;

-- a category that only test rows have: training does not know it
CREATE TABLE baseline_rare AS SELECT id, months, CASE WHEN id = 2999 THEN 'rare' ELSE coalesce(plan, 'none') END AS plan, gone FROM baseline_rows;
CREATE FUNCTION baseline_of_rare(test float8, validation float8) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	v int;
BEGIN
	v := (SELECT version FROM churn_train('baseline_rare', 'gone', key => 'id', algorithm => 'logistic',
		options => jsonb_build_object('folds', 2, 'test_fraction', test, 'validation_fraction', validation)));
	RETURN (SELECT format('%s of %s unseen, %s categories', baseline -> 'unseen', baseline -> 'rows', cardinality(categories))
		FROM churn.features WHERE model = 'baseline_rare' AND version = v AND name = 'plan');
END
$$;
SELECT baseline_of_rare(0.1, 0.1) AS seen, baseline_of_rare(0.5, 0.3) AS held_out;

-- without a test part: the scores that rows got while they were held out
SELECT version FROM churn_train('baseline_rows', 'gone', key => 'id', model => 'baseline_all', algorithm => 'logistic', options => '{"folds": 2, "test_fraction": 0}');
SELECT test_rows, score_baseline -> 'rows' AS held_out, (score_baseline ->> 'mean')::float8 BETWEEN 0.1 AND 0.9 AS mean FROM churn.model_versions WHERE model = 'baseline_all';
-- duplicates that are dropped count: they are customers like any other
CREATE TABLE baseline_twins AS SELECT id, months, plan, fee, gone FROM baseline_rows WHERE fee <> 20;
INSERT INTO baseline_twins SELECT id + 10000, months, plan, fee, gone FROM baseline_twins WHERE id <= 200;
SELECT version FROM churn_train('baseline_twins', 'gone', key => 'id', algorithm => 'logistic', options => '{"folds": 2}');
SELECT rows, duplicates_dropped > 0 AS dropped, (SELECT array_agg(DISTINCT f.baseline -> 'rows') FROM churn.features f WHERE f.model = v.model) AS measured
	FROM churn.model_versions v WHERE model = 'baseline_twins';

-- out and in again, with a document of our own and with XGBoost's
SELECT version FROM churn_train('baseline_rows', 'gone', key => 'id', model => 'baseline_booster', algorithm => 'xgboost', options => '{"folds": 2}', params => '{"rounds": 5}');
SELECT churn_import('baseline_again', churn_export('baseline_rows', 1)), churn_import('baseline_again', churn_export('baseline_rows', 1, 'json')),
	churn_import('baseline_again', churn_export('baseline_booster')), churn_import('baseline_again', churn_export('baseline_booster', format => 'json'));
SELECT a.version, b.model, churn.baseline(a.model, a.version) = churn.baseline(b.model, 1) AS same,
	a.artifact = b.artifact OR a.version = 4 AS same_artifact -- XGBoost 3.3 writes JSON a bit differently
	FROM churn.model_versions a JOIN churn.model_versions b ON b.model = CASE WHEN a.version <= 2 THEN 'baseline_rows' ELSE 'baseline_booster' END AND b.version = 1
	WHERE a.model = 'baseline_again' ORDER BY a.version;
-- a model of somebody else's has none, but may be given some
CREATE FUNCTION baseline_line(baseline jsonb DEFAULT NULL, score jsonb DEFAULT NULL, kind text DEFAULT 'number') RETURNS bytea LANGUAGE sql AS $$
	SELECT convert_to(jsonb_build_object('churn', jsonb_strip_nulls(jsonb_build_object('format', 1, 'score_baseline', score, 'features',
		jsonb_build_array(jsonb_build_object('name', 'x', 'kind', kind, 'baseline', baseline, 'categories', '["a", "b"]'::jsonb)))),
		'components', '[{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind": "none"}]}]'::jsonb)::text, 'UTF8')
$$;
SELECT version FROM churn_import('baseline_line', baseline_line());
SELECT churn.baseline('baseline_line', 1) IS NULL AS none, baseline, score_baseline FROM churn.features JOIN churn.model_versions USING (model, version) WHERE model = 'baseline_line';
SELECT version FROM churn_import('baseline_line', baseline_line(score => '{"rows": 2, "missing": 0, "edges": [0.25, 0.5], "counts": [0, 1, 1, 0], "centres": [0.25, 0.25, 0.5, 0.5]}'),
	'[{"name": "x", "baseline": {"rows": 4, "missing": 1, "mean": 2, "sd": 1, "edges": [1, 3], "counts": [0, 1, 2, 0], "centres": [1, 1, 2.5, 3]}}]');
SELECT jsonb_pretty(churn.baseline('baseline_line', 2)) AS baseline;
SELECT version, jsonb_pretty(convert_from(churn_export('baseline_line', 2, 'json'), 'UTF8')::jsonb -> 'churn') AS churn
	FROM churn_import('baseline_line', churn_export('baseline_line', 2, 'json'));

-- refused; each check has its unit test
CREATE FUNCTION baseline_refused(baseline jsonb, kind text DEFAULT 'number', score boolean DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM churn_import('refused', CASE WHEN score THEN baseline_line(score => baseline) ELSE baseline_line(baseline, kind => kind) END);
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
SELECT baseline_refused(b) FROM unnest('{"1", "{}", "{\"rows\": 1, \"missing\": 0}", "{\"rows\": 1, \"missing\": 0, \"counts\": [1]}",
	"{\"rows\": 1, \"missing\": 0, \"counts\": {\"a\": 1}}", "{\"rows\": 2, \"missing\": 0, \"counts\": [0, 1, 0], \"edges\": [1], \"centres\": [1, 1, 1]}",
	"{\"rows\": 1, \"missing\": 0, \"counts\": [0, 1, 0], \"edges\": [1], \"centres\": [1, 1]}",
	"{\"rows\": 1, \"missing\": 0, \"counts\": [0, 1, 0, 0], \"edges\": [2, 1], \"centres\": [1, 1, 1, 1]}",
	"{\"rows\": 1, \"missing\": 0, \"counts\": [0, 1, 0], \"edges\": [1], \"centres\": [1, 1, 1], \"sd\": -1}"}'::jsonb[]) b;
SELECT baseline_refused('{"rows": 3, "missing": 1, "counts": [1, 1]}', 'category'), baseline_refused('{"rows": 3, "missing": 1, "counts": [2]}', 'category'),
	baseline_refused('{"rows": 3, "missing": 1, "unseen": 1.5, "counts": [1, 1]}', 'category');
SELECT baseline_refused('[]', score => true), baseline_refused('{"rows": 1, "missing": 1, "counts": [0], "edges": [], "centres": [0]}', score => true);
SELECT churn_import('refused', convert_to(replace(convert_from(churn_export('baseline_booster', format => 'json'), 'UTF8'),
	'\"rows\":3000', '\"rows\":2999'), 'UTF8'));
SELECT churn_import('refused', baseline_line(), '[{"name": "x", "baseline": 7}]');

SELECT churn_drop_model(name) FROM churn.models WHERE name LIKE 'baseline%' OR name = 'refused';
SELECT count(*) AS left_over FROM churn.features WHERE model LIKE 'baseline%';
DROP VIEW baseline_features, baseline_values;
DROP TABLE baseline_rows, baseline_shuffled, baseline_rare, baseline_twins;
DROP FUNCTION baseline_of_rare, baseline_line, baseline_refused;
