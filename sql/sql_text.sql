--
-- churn_sql(): models as SQL
--
SET client_min_messages = warning;

CREATE TYPE sql_text_plan AS ENUM ('basic', 'it''s "gold"', 'back\slash');
CREATE TABLE sql_text_rows (id int PRIMARY KEY, tenure int, "Fee" numeric, rate real, usage double precision, total text, plan text,
	tariff sql_text_plan, active boolean, since date, seen timestamptz, period timestamp);
INSERT INTO sql_text_rows
SELECT i, CASE WHEN i % 7 > 0 THEN i % 80 END, CASE WHEN i % 11 > 0 THEN (i % 1300) / 10.0 END,
	CASE WHEN i % 5 > 0 THEN i % 13 / 10.0 END, CASE WHEN i % 3 > 0 THEN sin(i) * 1e6 END,
	CASE i % 4 WHEN 0 THEN ' ' WHEN 1 THEN ' 30.05 ' WHEN 2 THEN i::text END,
	(ARRAY['basic', 'it''s "gold"', 'back\slash', 'new', NULL])[i % 5 + 1],
	(ARRAY['basic', 'it''s "gold"', 'back\slash', NULL]::sql_text_plan[])[i % 4 + 1],
	CASE i % 3 WHEN 0 THEN true WHEN 1 THEN false END, date '2020-01-01' + CASE WHEN i % 6 > 0 THEN i END,
	timestamptz '1969-12-01 23:30:00+00' + i * interval '1001 minutes', timestamp '2021-01-01 12:00' + i * interval '1 hour'
	FROM generate_series(1, 2000) i;

CREATE FUNCTION sql_text_document(calibration jsonb, VARIADIC components jsonb[]) RETURNS bytea LANGUAGE sql AS $$
	SELECT convert_to(jsonb_build_object('churn', jsonb_build_object('calibration', calibration) || '{"format": 1, "threshold": 0.4,
		"as_of": {"column": "period"}, "features": [
		{"name": "tenure", "kind": "number", "type": "integer"}, {"name": "Fee", "kind": "number", "type": "numeric"},
		{"name": "rate", "kind": "number", "type": "real"}, {"name": "usage", "kind": "number", "type": "double precision"},
		{"name": "total", "kind": "number", "type": "text", "text_number": true},
		{"name": "plan", "kind": "category", "type": "text", "categories": ["back\\slash", "basic", "it''s \"gold\""]},
		{"name": "tariff", "kind": "category", "type": "sql_text_plan", "categories": ["back\\slash", "basic", "it''s \"gold\""]},
		{"name": "active", "kind": "boolean", "type": "boolean"}, {"name": "since", "kind": "age", "type": "date"},
		{"name": "seen", "kind": "age", "type": "timestamp with time zone"},
		{"name": "per month", "kind": "number", "type": "numeric", "transform": "\"Fee\" / nullif(tenure, 0)"}]}'::jsonb,
		'components', components)::text, 'UTF8')
$$;
CREATE FUNCTION sql_text_linear() RETURNS jsonb LANGUAGE sql AS $$ SELECT '{"algorithm": "logistic", "weight": 1, "offset": 0,
	"kind": "additive", "intercept": -0.75, "effects": [
	{"kind": "linear", "slope": -0.0417, "low": 3, "high": 72, "missing": 0.3}, {"kind": "linear", "slope": 0.0123, "low": 18.2, "high": 118.7, "missing": 0.2},
	{"kind": "linear", "slope": 0.7, "low": 0.1, "high": 1.1, "missing": 0}, {"kind": "linear", "slope": 1e-6, "low": -900000, "high": 900000, "missing": -0.1},
	{"kind": "linear", "slope": 1e-4, "low": 20, "high": 1800.7, "missing": 0.4}, {"kind": "categories", "points": [0.5, -0.25, 0.5], "missing": 0.125},
	{"kind": "categories", "points": [0.25, 0.25, 0.25], "missing": 0.25}, {"kind": "linear", "slope": 0.3, "low": 0, "high": 1, "missing": -0.3},
	{"kind": "linear", "slope": 0.001, "low": -500, "high": 400, "missing": 0.05}, {"kind": "linear", "slope": -0.00001, "low": 18000, "high": 18500, "missing": 0},
	{"kind": "linear", "slope": -0.01, "low": -2, "high": 15.3, "missing": 0.1}]}'::jsonb $$;
CREATE FUNCTION sql_text_steps() RETURNS jsonb LANGUAGE sql AS $$ SELECT '{"algorithm": "rules", "weight": 1, "offset": 0,
	"kind": "additive", "intercept": -0.5, "effects": [
	{"kind": "steps", "cuts": [6, 24], "points": [1.1, 0.2, -0.9], "missing": 0.3}, {"kind": "steps", "cuts": [30.1, 99.9], "points": [-0.7, 0.1, 0.65], "missing": 0},
	{"kind": "steps", "cuts": [0.3, 0.7], "points": [0.1, 0.2, -0.3], "missing": 0}, {"kind": "steps", "cuts": [-250000], "points": [0.12, -0.34], "missing": 0.05},
	{"kind": "steps", "cuts": [30.05], "points": [0.4, -0.6], "missing": 0.2}, {"kind": "none"}, {"kind": "categories", "points": [0, 0.5, 0], "missing": 0},
	{"kind": "steps", "cuts": [1], "points": [-0.2, 0.4], "missing": 0.1}, {"kind": "steps", "cuts": [-10, 300], "points": [0, 0.15, 0.3], "missing": -1},
	{"kind": "none"}, {"kind": "steps", "cuts": [], "points": [0.01], "missing": -0.01}]}'::jsonb $$;
CREATE FUNCTION sql_text_tree() RETURNS jsonb LANGUAGE sql AS $$ SELECT '{"algorithm": "rules", "weight": 1, "offset": 0,
	"kind": "tree", "nodes": [{"left": 1, "right": 2, "feature": 7, "value": 0.5, "default_left": true},
	{"left": 3, "right": 4, "feature": 0, "value": 6}, {"left": 5, "right": 6, "feature": 5, "categories": [0, 2]},
	{"left": 7, "right": 8, "feature": 6, "categories": [1], "default_left": true}, {"value": 1.25}, {"value": -0.1},
	{"left": 9, "right": 10, "feature": 2, "value": 0.7, "default_left": true}, {"value": 0.8472978}, {"value": -2}, {"value": 0.1}, {"value": 0.2}]}'::jsonb $$;

CREATE TABLE sql_text_models (model text PRIMARY KEY, artifact bytea);
INSERT INTO sql_text_models VALUES
	('linear', sql_text_document('{"method": "platt", "a": 0.8, "b": -0.2}', sql_text_linear())),
	('steps', sql_text_document('{"method": "beta", "a": 1.1, "b": 0.8, "c": 0.2}', sql_text_steps())),
	('tree', sql_text_document('{"method": "isotonic", "margins": [-2, -0.1, 1.25], "logits": [-2.5, 0, 2]}', sql_text_tree())),
	('blend', sql_text_document('{"method": "beta", "a": 0, "b": 1, "c": 0}', sql_text_linear() || '{"weight": 0.4, "offset": 0.1}', sql_text_tree() || '{"weight": 0.6}')),
	('plain', sql_text_document('{"method": "none"}', sql_text_tree()));
SELECT i.model, version FROM sql_text_models m, churn_import(m.model, artifact) i ORDER BY i.model;

\pset format unaligned
SELECT churn_sql('linear');
SELECT churn_sql('steps', 1);
SELECT churn_sql('tree');
SELECT churn_sql('blend');
SELECT churn_sql('plain');
\pset format aligned

-- the expressions give the scores
CREATE FUNCTION sql_text_off(model text) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
	off double precision;
BEGIN
	EXECUTE format('SELECT max(abs(churn_score(r, %L) - %s)) FROM sql_text_rows r', model, churn_sql(model)) INTO off;
	RETURN off;
END $$;
SET timezone = 'Asia/Tokyo';
SELECT model, sql_text_off(model) < CASE model WHEN 'plain' THEN 1e-7 ELSE 1e-9 END AS same FROM sql_text_models ORDER BY model;
RESET timezone;

-- and so do those of models that were trained
CREATE TABLE sql_text_trained AS SELECT r.*, (tenure < 20 OR plan = 'basic') AND i % 10 < 7 OR i % 10 = 9 AS churned
	FROM sql_text_rows r, LATERAL (SELECT abs(hashint4(id) % 1000) AS i) i;
ALTER TABLE sql_text_trained ADD PRIMARY KEY (id);
SELECT model, sql_text_off(model) < 1e-7 AS same FROM (VALUES ('rules', NULL), ('logistic', NULL),
	('rules', '{"rules": [{"when": "tenure < 20", "score": 0.7}, {"when": "plan = ''it''''s \"gold\"''", "score": 0.2}]}'::jsonb)) v(algorithm, params),
	churn_train('sql_text_trained', 'churned', model => 'trained ' || algorithm || CASE WHEN params IS NULL THEN '' ELSE ' given' END, algorithm => algorithm, exclude => '{id}',
		params => params, options => '{"promote": "always"}') t;

-- what cannot be written
SELECT churn_import('network', convert_to('{"churn": {"format": 1, "features": [{"name": "tenure", "kind": "number"}]}, "components": [{"algorithm":
	"neural_network", "weight": 1, "offset": 0, "kind": "network", "inputs": {"low": [0], "high": [72], "mean": [30], "scale": [0.1]},
	"baseline": [0, 0], "layers": [{"weights": [1, 2], "biases": [0]}]}]}', 'UTF8')) IS NOT NULL AS imported;
SELECT churn_sql('network');
SELECT churn_sql('nothing');
SELECT churn_sql('tree', 7);
SELECT churn_sql(NULL), churn_sql('tree', NULL) = churn_sql('tree', 1) AS champion;

SELECT churn_drop_model(name) FROM churn.models WHERE name IN ('linear', 'steps', 'tree', 'blend', 'plain', 'network') OR name LIKE 'trained %';
DROP FUNCTION sql_text_off, sql_text_document, sql_text_linear, sql_text_steps, sql_text_tree;
DROP TABLE sql_text_rows, sql_text_trained, sql_text_models;
DROP TYPE sql_text_plan;
