--
-- churn_import() and churn_export(): model files of XGBoost
--
SET client_min_messages = warning;

-- a model by hand: customers who pay 10 or more and those on plan "pro" leave
CREATE FUNCTION import_model(path text[] DEFAULT NULL, value jsonb DEFAULT NULL) RETURNS bytea LANGUAGE sql AS $$
	SELECT convert_to((CASE WHEN path IS NULL THEN m WHEN value IS NULL THEN m #- path
					   ELSE jsonb_set(m, path, value) END)::text, 'UTF8')
	FROM (VALUES ('{
	"version": [1, 7, 4],
	"learner": {
		"attributes": {},
		"feature_names": ["paid", "plan"],
		"feature_types": ["float", "c"],
		"gradient_booster": {"name": "gbtree", "model": {
			"gbtree_model_param": {"num_parallel_tree": "1", "num_trees": "2"},
			"tree_info": [0, 0],
			"trees": [
				{"id": 0, "tree_param": {"num_deleted": "0", "num_feature": "2", "num_nodes": "3", "size_leaf_vector": "0"},
				 "left_children": [1, -1, -1], "right_children": [2, -1, -1], "parents": [2147483647, 0, 0],
				 "split_indices": [0, 0, 0], "split_conditions": [10, -0.5, 0.25], "split_type": [0, 0, 0],
				 "default_left": [1, 0, 0], "base_weights": [0, -0.5, 0.25], "loss_changes": [1, 0, 0], "sum_hessian": [4, 2, 2],
				 "categories": [], "categories_nodes": [], "categories_segments": [], "categories_sizes": []},
				{"id": 1, "tree_param": {"num_deleted": "0", "num_feature": "2", "num_nodes": "3", "size_leaf_vector": "0"},
				 "left_children": [1, -1, -1], "right_children": [2, -1, -1], "parents": [2147483647, 0, 0],
				 "split_indices": [1, 0, 0], "split_conditions": [0, -0.125, 0.75], "split_type": [1, 0, 0],
				 "default_left": [0, 0, 0], "base_weights": [0, -0.125, 0.75], "loss_changes": [1, 0, 0], "sum_hessian": [4, 2, 2],
				 "categories": [1], "categories_nodes": [0], "categories_segments": [0], "categories_sizes": [1]}]}},
		"learner_model_param": {"base_score": "5E-1", "num_class": "0", "num_feature": "2", "num_target": "1"},
		"objective": {"name": "binary:logistic", "reg_loss_param": {"scale_pos_weight": "1"}}}}'::jsonb)) AS b (m)
$$;
CREATE FUNCTION import_features() RETURNS jsonb LANGUAGE sql AS
	$$ SELECT '["paid", {"name": "plan", "categories": ["basic", "pro"]}]'::jsonb $$;
CREATE TABLE import_customers (id int PRIMARY KEY, paid numeric, plan text, left_us boolean);
INSERT INTO import_customers VALUES (1, 9.99, 'basic'), (2, 10, 'basic'), (3, 9.99, 'pro'), (4, 10, 'pro'),
	(5, NULL, 'basic'), (6, 10, NULL), (7, NULL, NULL), (8, 10, 'gold');

SELECT * FROM churn_import('hand', import_model(), import_features(), source => 'import_customers', label => 'left_us');
SELECT id, paid, plan, churn_margin(c), round(churn_score(c)::numeric, 6) AS score, (churn_predict(c)).churn
	FROM import_customers c ORDER BY id;
SELECT name, source, source_relation, key, label, owner = current_user AS mine, champion, last_version
	FROM churn.models WHERE name = 'hand';
SELECT algorithm, origin, threshold, source_relation, key, rounds, rows, seed, library_versions ->> 'xgboost' AS xgboost,
	length(sha256), finished_at >= started_at AS timed FROM churn.model_versions WHERE model = 'hand';
SELECT position, name, kind, type, categories, importance FROM churn.features WHERE model = 'hand' ORDER BY position;
SELECT count(*) AS metrics FROM churn.metrics WHERE model = 'hand';
SELECT version, why, upper_inf(during) AS in_force FROM churn.deployments WHERE model = 'hand';
SELECT churn_rescore('hand');

-- what is exported can be imported again, and is the same
SELECT * FROM churn_import('ubj', churn_export('hand'));
SELECT * FROM churn_import('json', churn_export('hand', format => 'json'));
SELECT name, churn_export(name) = churn_export('hand') AS same_ubj,
	churn_export(name, 1, 'JSON') = churn_export('hand', 1, 'json') AS same_json,
	v.sha256 = h.sha256 AS same_version
	FROM churn.models m JOIN churn.model_versions v ON v.model = m.name,
		churn.model_versions h WHERE h.model = 'hand' ORDER BY name;
SELECT count(*) AS differ FROM import_customers c
	WHERE churn_margin(c, 'hand') <> churn_margin(c, 'ubj') OR churn_margin(c, 'hand') <> churn_margin(c, 'json');
SELECT j #>> '{learner,objective,name}' AS objective, j #>> '{learner,gradient_booster,model,gbtree_model_param,num_trees}' AS trees,
	(j #>> '{learner,attributes,churn}')::jsonb AS churn
	FROM CAST(convert_from(churn_export('hand', format => 'json'), 'UTF8') AS jsonb) j;

-- so is a trained one
CREATE TABLE import_trained AS SELECT * FROM churn_sample_customers(600, 4);
SELECT version FROM churn_train('import_trained', 'churn', key => 'customer_id', model => 'trained', params => '{"rounds": 5}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT features, trees FROM churn_import('again', churn_export('trained'));
SELECT features, trees FROM churn_import('again', churn_export('trained', format => 'json'), options => '{"promote": "always"}');
SELECT b.version, a.compiled = b.compiled AS compiled, a.threshold = b.threshold AS threshold, b.version = 2 OR a.artifact = b.artifact AS artifact
	FROM churn.model_versions a, churn.model_versions b WHERE a.model = 'trained' AND b.model = 'again' ORDER BY version;
SELECT count(*) AS differ FROM import_trained c WHERE churn_margin(c, 'trained') <> churn_margin(c, 'again');
SELECT churn_drop_model('trained'), churn_drop_model('again');
DROP TABLE import_trained;

-- ways to say what the booster's columns are
CREATE FUNCTION import_as(features jsonb, model bytea DEFAULT NULL) RETURNS TABLE (version int, features int)
LANGUAGE sql AS $$
	SELECT i.version, i.features FROM churn_import('hand', coalesce(model, import_model()), features, options => '{"promote": "never"}') i
$$;
SELECT * FROM import_as('[{"name": "paid", "kind": "number", "type": "numeric"},
	{"name": "plan", "kind": "category", "type": "text", "categories": ["basic", "pro"]}]');
-- the file knows its own numbers, but not what its categories are
SELECT * FROM import_as(NULL);
SELECT * FROM import_as(NULL, import_model('{learner,feature_types}', '["float", "float"]'));
SELECT * FROM import_as(NULL, import_model('{learner,feature_names}'));
-- text that holds numbers, booleans, ages
CREATE TABLE import_kinds (paid text, plan text, active boolean, since date);
INSERT INTO import_kinds VALUES (' 10.5 ', 'pro', true, '2024-05-01'), ('', 'pro', false, '2024-05-20'), ('many', NULL, NULL, NULL);
SELECT * FROM import_as('[{"name": "paid", "text_number": true}, {"name": "plan", "categories": ["basic", "pro"]}]');
SELECT paid, churn_margin(k, 'hand', 4) FROM import_kinds k;
SELECT * FROM import_as('[{"name": "active", "kind": "boolean"}, {"name": "plan", "categories": ["basic", "pro"]}]',
	import_model('{learner,gradient_booster,model,trees,0,split_conditions}', '[1, -0.5, 0.25]'));
SELECT active, churn_margin(k, 'hand', 5) FROM import_kinds k;
SELECT * FROM import_as(NULL, import_model('{learner,attributes}', jsonb_build_object('churn', jsonb_build_object(
	'format', 1, 'as_of', '{"column": "today"}'::jsonb, 'features', '[{"name": "since", "kind": "age"},
	{"name": "plan", "kind": "category", "categories": ["basic", "pro"]}]'::jsonb)::text)));
SELECT since, churn_margin(k, 'hand', 6) FROM (SELECT *, date '2024-05-25' AS today FROM import_kinds) k;
SELECT churn_margin(k, 'hand', 6) FROM import_kinds k;
SELECT churn_margin(c, 'hand', 3) FROM (SELECT 'x'::bytea AS paid, 'pro' AS plan) c;
-- ways that are none
SELECT * FROM import_as('{"paid": "number"}');
SELECT * FROM import_as('"paid"');
SELECT * FROM import_as('[]');
SELECT * FROM import_as('["paid"]');
SELECT * FROM import_as('["paid", "plan", "more"]');
SELECT * FROM import_as('["paid", 7]');
SELECT * FROM import_as('["paid", null]');
SELECT * FROM import_as('["paid", {"kind": "number"}]');
SELECT * FROM import_as('["paid", ""]');
SELECT * FROM import_as('["paid", {"name": "plan", "kind": "colour"}]');
SELECT * FROM import_as('["paid", {"name": "plan", "kind": "category"}]');
SELECT * FROM import_as('["paid", {"name": "plan", "categories": "basic"}]');
SELECT * FROM import_as('["paid", {"name": "plan", "categories": ["basic", 2]}]');
SELECT * FROM import_as('["paid", {"name": "plan", "categories": ["basic", "basic"]}]');
SELECT * FROM import_as('["paid", "paid"]');
-- the booster says that plan is a category
SELECT * FROM import_as('["paid", "plan"]');

-- threshold: the argument, else the file's, else a half
SELECT version FROM churn_import('hand', import_model(), import_features(), threshold => 0.4, options => '{"promote": "always"}');
SELECT id, churn, band FROM import_customers c, churn_predict(c) ORDER BY id;
SELECT threshold FROM churn.model_versions WHERE model = 'hand' ORDER BY version DESC LIMIT 1;
SELECT version FROM churn_import('hand', churn_export('hand'), options => '{"promote": "never"}');
SELECT threshold FROM churn.model_versions WHERE model = 'hand' ORDER BY version DESC LIMIT 1;
SELECT version FROM churn_import('hand', churn_export('hand'), threshold => 1, options => '{"promote": "never"}');
SELECT threshold FROM churn.model_versions WHERE model = 'hand' ORDER BY version DESC LIMIT 1;
SELECT churn_import('hand', import_model(), import_features(), threshold => 1.1);
SELECT churn_import('hand', import_model(), import_features(), threshold => -0.1);
SELECT churn_import('hand', import_model(), import_features(), threshold => 'NaN');

-- promotion: without test rows there is nothing to compare
SELECT champion FROM churn.models WHERE name = 'hand';
SELECT promoted FROM churn_import('hand', import_model(), import_features());
SELECT promoted FROM churn_import('hand', import_model(), import_features(), options => '{"promote": "auto"}');
SELECT promoted FROM churn_import('hand', import_model(), import_features(), options => '{"promote": "always"}');
SELECT promoted FROM churn_import('new', import_model(), import_features(), options => '{"promote": "never"}');
SELECT champion FROM churn.models WHERE name = 'new';
SELECT churn_score(c, 'new') FROM import_customers c;
SELECT churn_export('new');
SELECT promoted FROM churn_import('new', import_model(), import_features());
SELECT churn_import('hand', import_model(), import_features(), options => '{"promote": true}');
SELECT churn_import('hand', import_model(), import_features(), options => '{"promote": "perhaps"}');
SELECT churn_import('hand', import_model(), import_features(), options => '"always"');
SELECT name, champion, last_version FROM churn.models WHERE name IN ('hand', 'new') ORDER BY name;

-- names, source, key, label
SELECT churn_import('', import_model(), import_features());
SELECT churn_import(repeat('x', 64), import_model(), import_features());
SELECT model FROM churn_import(repeat('x', 63), import_model(), import_features());
SELECT churn_drop_model(repeat('x', 63));
SELECT churn_import(NULL, import_model(), import_features());
SELECT churn_import('hand', NULL);
SELECT churn_import('hand', import_model(), import_features(), source => 'nowhere');
SELECT churn_import('hand', import_model(), import_features(), source => 'import_customers', key => 'no_key');
SELECT churn_import('hand', import_model(), import_features(), source => 'import_customers', label => 'no_label');
SELECT churn_import('hand', import_model(), import_features(), source => 'DELETE FROM import_customers');
SELECT promoted FROM churn_import('query', import_model(), import_features(),
	source => 'SELECT id, paid, plan FROM import_customers WHERE id < 4', key => 'id');
SELECT churn_rescore('query');
SELECT churn_rescore('new');
-- a version without source leaves the model's
SELECT promoted FROM churn_import('query', import_model(), import_features(), options => '{"promote": "always"}');
SELECT source, key FROM churn.models WHERE name = 'query';

-- export
SELECT churn_export('hand', format => 'xml');
SELECT churn_export('nobody');
SELECT churn_export('hand', 99);
SELECT churn_export(NULL) IS NULL AND churn_export('hand', format => NULL) IS NULL AS nulls;

-- boosters that score otherwise than by trees for one logistic output
CREATE FUNCTION import_refused(model bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text;
	message text;
BEGIN
	PERFORM churn_import('refused', model, import_features());
	RETURN 'imported';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
	RETURN state || ' ' || message;
END $$;
SELECT import_refused(import_model('{learner,gradient_booster,name}', '"gblinear"'));
SELECT import_refused(import_model('{learner,objective,name}', to_jsonb(o))) FROM
	unnest('{count:poisson,rank:pairwise,reg:squarederror,survival:cox,binary:hinge,multi:softprob}'::text[]) o;
SELECT import_refused(import_model('{learner,learner_model_param,num_class}', '"3"'));
SELECT import_refused(import_model('{learner,learner_model_param,num_target}', '"2"'));
SELECT import_refused(import_model('{learner,learner_model_param,base_score}', '"[5E-1,5E-1]"'));
SELECT import_refused(import_model('{version}', v::jsonb)) FROM unnest('{"[1, 5, 2]", "[4, 0, 0]", "[0, 0, 0]"}'::text[]) v;
SELECT import_refused(import_model('{learner,attributes}', jsonb_build_object('churn', '{"format": 2, "features": []}')));
-- of later versions: base score in brackets, margins as objective
SELECT import_refused(import_model('{learner,learner_model_param,base_score}', '"[5E-1]"'));
SELECT import_refused(import_model('{learner,objective,name}', '"binary:logitraw"'));

-- bytes that are no model, or a damaged one
SELECT import_refused(b) FROM unnest(ARRAY['', '{', '{}', '[]', 'null', 'binf', '{"a": 1}', '{"learner": {}}', 'hello',
	'\x7b4c', '\x00', '\xff7b22', '\x7b69ff'::bytea]) b;
SELECT DISTINCT import_refused(substr(import_model(), 1, n)) LIKE 'XX001 %' AS damaged
	FROM generate_series(0, length(import_model()) - 1, 13) n;
SELECT DISTINCT import_refused(substr(churn_export('hand', 1), 1, n)) LIKE 'XX001 %' AS damaged
	FROM generate_series(0, length(churn_export('hand', 1)) - 1, 7) n;
CREATE TABLE import_paths (path text, value jsonb);
INSERT INTO import_paths VALUES
	('{version}', NULL), ('{version}', '"1.7.4"'), ('{version}', '[1, 7]'), ('{version}', '[1, "7", 4]'),
	('{learner}', NULL), ('{learner,gradient_booster}', '[]'),
	('{learner,learner_model_param,base_score}', NULL), ('{learner,learner_model_param,base_score}', '"x"'),
	('{learner,learner_model_param,base_score}', '"0"'), ('{learner,learner_model_param,base_score}', '"1.5"'),
	('{learner,learner_model_param,num_feature}', '"1"'), ('{learner,learner_model_param,num_feature}', '"-1"'),
	('{learner,learner_model_param,num_feature}', '"99999"'), ('{learner,learner_model_param,num_feature}', '"many"'),
	('{learner,feature_names}', '["paid"]'), ('{learner,feature_types}', '[1, 2]'),
	('{learner,gradient_booster,model}', NULL), ('{learner,gradient_booster,model,trees}', '{}'),
	('{learner,gradient_booster,model,gbtree_model_param,num_trees}', '"3"'),
	('{learner,gradient_booster,model,tree_info}', '[0]'), ('{learner,gradient_booster,model,tree_info}', '[0, 1]'),
	('{learner,gradient_booster,model,trees,0,id}', '1'), ('{learner,gradient_booster,model,trees,1,id}', '7'),
	('{learner,gradient_booster,model,trees,0,left_children}', NULL),
	('{learner,gradient_booster,model,trees,0,left_children}', '[1, -1]'),
	('{learner,gradient_booster,model,trees,0,left_children}', '[0, -1, -1]'),
	('{learner,gradient_booster,model,trees,0,left_children}', '[3, -1, -1]'),
	('{learner,gradient_booster,model,trees,0,left_children}', '[-2, -1, -1]'),
	('{learner,gradient_booster,model,trees,0,left_children}', '[99999999999, -1, -1]'),
	('{learner,gradient_booster,model,trees,0,left_children}', '["1", -1, -1]'),
	('{learner,gradient_booster,model,trees,0,right_children}', '[1, -1, -1]'),
	('{learner,gradient_booster,model,trees,0,right_children}', '[-1, -1, -1]'),
	('{learner,gradient_booster,model,trees,0,split_indices}', '[2, 0, 0]'),
	('{learner,gradient_booster,model,trees,0,split_indices}', '[-1, 0, 0]'),
	('{learner,gradient_booster,model,trees,0,split_conditions}', '[10, 1e39, 0.25]'),
	('{learner,gradient_booster,model,trees,0,split_type}', '[1, 0, 0]'),
	('{learner,gradient_booster,model,trees,0,default_left}', '[256, 0, 0]'),
	('{learner,gradient_booster,model,trees,1,categories}', '[-1]'),
	('{learner,gradient_booster,model,trees,1,categories}', '[70000]'),
	('{learner,gradient_booster,model,trees,1,categories}', '[]'),
	('{learner,gradient_booster,model,trees,1,categories_sizes}', '[2]'),
	('{learner,gradient_booster,model,trees,1,categories_sizes}', '[-1]'),
	('{learner,gradient_booster,model,trees,1,categories_segments}', '[9223372036854775807]'),
	('{learner,gradient_booster,model,trees,1,categories_nodes}', '[1]'),
	('{learner,attributes}', '{"churn": "{"}'), ('{learner,attributes}', '{"churn": "[]"}'),
	('{learner,gradient_booster,name}', '"dart"');
SELECT path, value, import_refused(import_model(path::text[], value)) FROM import_paths ORDER BY ctid;
SELECT import_refused(convert_to(repeat('[', 100000), 'UTF8'));
-- a name that is no text in this database
SELECT churn_import('refused', replace(import_model('{learner,feature_types}', '["float", "float"]')::text, encode('paid', 'hex'), 'ff616964')::bytea);
-- one byte changed, anywhere: refused, or a model that scores
CREATE TABLE import_changed AS SELECT import_refused(set_byte(b, i, (get_byte(b, i) + 1 + i % 2 * 127) % 256)) AS result
	FROM churn_export('hand', 1) b, generate_series(0, length(b) - 1) i;
SELECT DISTINCT split_part(result, ' ', 1) NOT IN ('imported', 'XX001', '0A000', '54000', '22023', '22021') AS surprise FROM import_changed;
SELECT count(*) > 100 AS many_refused FROM import_changed WHERE result <> 'imported';
CREATE FUNCTION import_scored(number int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM churn_margin(c, 'refused', number) FROM import_customers c;
	RETURN 'scored';
EXCEPTION WHEN undefined_column OR datatype_mismatch THEN
	RETURN 'names changed';
END $$;
SELECT count(*) > 100 AS many_scored FROM churn.model_versions WHERE model = 'refused' AND import_scored(version) = 'scored';

-- a model belongs to the role that registered it first
CREATE ROLE regress_churn_import;
SELECT churn_import('hand', import_model(), import_features()) IS NOT NULL AS superuser;
GRANT EXECUTE ON FUNCTION churn_import, churn_export TO regress_churn_import;
SET ROLE regress_churn_import;
SELECT churn_import('hand', import_model(), import_features());
SELECT version, promoted FROM churn_import('mine', import_model(), import_features());
SELECT version, promoted FROM churn_import('mine', churn_export('mine'), options => '{"promote": "always"}');
SELECT churn_import('mine', import_model(), import_features(), source => 'SELECT * FROM import_customers');
SELECT churn_promote('mine', 1);
RESET ROLE;
SELECT version, trained_by FROM churn.model_versions WHERE model = 'mine' ORDER BY version;
REVOKE EXECUTE ON FUNCTION churn_import, churn_export FROM regress_churn_import;
SET ROLE regress_churn_import;
SELECT churn_import('mine', import_model(), import_features());
SELECT churn_export('mine');
RESET ROLE;
BEGIN READ ONLY;
SELECT churn_import('hand', import_model(), import_features());
ROLLBACK;

SELECT churn_drop_model(name) FROM churn.models ORDER BY name;
DROP ROLE regress_churn_import;
DROP FUNCTION import_refused, import_scored, import_as, import_model, import_features;
DROP TABLE import_customers, import_kinds, import_paths, import_changed;
