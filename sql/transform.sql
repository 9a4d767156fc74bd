--
-- Transforms: SQL expressions stored with a model, and rules made of them
--
SET client_min_messages = warning;
CREATE TYPE transform_mood AS ENUM ('good', 'bad');
CREATE DOMAIN transform_months AS int CHECK (VALUE >= 0);
CREATE TABLE transform_customers AS
	SELECT c.*, (tenure + 1)::transform_months AS months,
		date '2024-06-01' - tenure * 30 AS joined,
		(CASE WHEN contract = 'Two year' THEN 'good' ELSE 'bad' END)::transform_mood AS mood,
		ARRAY[contract, payment_method] AS tags,
		jsonb_build_object('charges', monthly_charges, 'plan', internet_service) AS info
	FROM churn_sample_customers(1500, 7) AS c;
ALTER TABLE transform_customers ADD PRIMARY KEY (customer_id);
UPDATE transform_customers SET total_charges = NULL WHERE tenure % 17 = 3;

-- version 1 is of a view that computes the columns, version 2 computes them
CREATE VIEW transform_view AS SELECT customer_id, gender, tenure, contract, internet_service,
	total_charges, monthly_charges, joined, churn,
	total_charges / nullif(tenure, 0) AS t1,
	tenure < 6 AND contract = 'Month-to-month' AS t2,
	upper(contract) || coalesce(' ' || internet_service, '') AS t3,
	joined + 15 AS t4, months / 12 AS t5,
	(info ->> 'charges')::numeric - tenure AS t6,
	CASE mood WHEN 'good' THEN 1 ELSE cardinality(tags) END AS t7,
	greatest(tenure, 3, months) BETWEEN 5 AND 20 AS t8,
	joined >= '2022-01-01' AS t9
	FROM transform_customers;
CREATE VIEW transform_plain AS SELECT customer_id, gender, tenure, contract, internet_service,
	total_charges, monthly_charges, joined, churn, months, info, mood, tags FROM transform_customers;
SELECT rows FROM churn_train('transform_view', 'churn', key => 'customer_id', model => 'same',
	params => '{"rounds": 40}', options => '{"folds": 0, "as_of": "2024-07-01", "promote": "never"}', algorithm => 'xgboost');
SELECT rows FROM churn_train('transform_plain', 'churn', key => 'customer_id', model => 'same',
	exclude => '{months,mood}', params => '{"rounds": 40}', options => '{"folds": 0, "as_of": "2024-07-01"}',
	transform => $$ {"t1": "total_charges / nullif(tenure, 0)",
		"t2": "tenure < 6 AND contract = 'Month-to-month'",
		"t3": "upper(contract) || coalesce(' ' || internet_service, '')",
		"t4": "joined + 15", "t5": "months / 12",
		"t6": "(info ->> 'charges')::numeric - tenure",
		"t7": "CASE mood WHEN 'good' THEN 1 ELSE cardinality(tags) END",
		"t8": "greatest(tenure, 3, months) BETWEEN 5 AND 20",
		"t9": "joined >= '2022-01-01'"} $$, algorithm => 'xgboost');
SELECT position, t.name, t.kind, t.type, t.transform, (v.name, v.kind, v.type, v.importance, v.categories)
		IS NOT DISTINCT FROM (t.name, t.kind, t.type, t.importance, t.categories) AS same
	FROM churn.features t JOIN churn.features v USING (model, position)
	WHERE model = 'same' AND v.version = 1 AND t.version = 2 ORDER BY position;
SELECT count(DISTINCT data_fingerprint) AS fingerprints, count(transform) AS with_transforms,
	max(transform ->> 't5') AS t5 FROM churn.model_versions WHERE model = 'same';
CREATE TABLE transform_expected AS SELECT customer_id, churn_margin(v, 'same', 1) AS margin,
	churn_score(v, 'same', 1) AS score FROM transform_view v;
SELECT count(*), count(DISTINCT margin) > 100 AS many FROM transform_expected;
-- columns as arguments, a row passed whole, a view, the nullable side of a join
SELECT count(*) AS columns_differ FROM transform_customers c JOIN transform_expected e USING (customer_id)
	WHERE churn_margin(c.*, 'same') IS DISTINCT FROM margin OR churn_score(c, 'same') IS DISTINCT FROM score;
SELECT count(*) AS row_differs FROM (SELECT * FROM transform_customers OFFSET 0) c JOIN transform_expected e USING (customer_id)
	WHERE churn_margin(c, 'same') IS DISTINCT FROM margin;
SELECT count(*) AS view_differs FROM transform_plain c JOIN transform_expected e USING (customer_id)
	WHERE churn_margin(c, 'same') IS DISTINCT FROM margin OR (churn_predict(c, 'same')).score <> e.score;
SELECT count(*) AS join_differs, count(margin) FROM transform_expected e
	LEFT JOIN transform_customers c ON c.customer_id = e.customer_id AND c.tenure % 2 = 0
	WHERE churn_margin(c, 'same') IS DISTINCT FROM CASE WHEN c.tenure % 2 = 0 THEN margin END;
SELECT churn_rescore('same');
SELECT count(*) AS rescore_differs FROM churn.predictions p JOIN transform_expected e ON customer_key = customer_id
	WHERE p.model = 'same' AND p.score <> e.score;
SELECT churn_rescore('same');

-- a row may have a column of a transform's name: it does not count
SELECT count(*) AS differ FROM (SELECT c.*, 'x' AS t1, 0 AS t2 FROM transform_customers c) c
	JOIN transform_expected e USING (customer_id) WHERE churn_margin(c, 'same') IS DISTINCT FROM margin;

-- the model file carries them
SELECT features FROM churn_import('by_file', churn_export('same'));
SELECT count(*) AS file_differs FROM transform_customers c JOIN transform_expected e USING (customer_id)
	WHERE churn_margin(c, 'by_file') IS DISTINCT FROM margin;
SELECT (SELECT transform FROM churn.model_versions WHERE model = 'by_file') =
	(SELECT transform FROM churn.model_versions WHERE model = 'same' AND version = 2) AS same_transforms,
	(SELECT count(*) FROM churn.features WHERE model = 'by_file' AND transform IS NOT NULL) AS transforms;
SELECT churn_export('by_file') = churn_export('same') AS same_file;

-- neither settings nor what else is called the same matter
CREATE FUNCTION public.upper(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'shadow' $$;
CREATE FUNCTION transform_plus(date, int) RETURNS date LANGUAGE sql IMMUTABLE AS $$ SELECT date '1999-01-01' $$;
CREATE OPERATOR public.+ (LEFTARG = date, RIGHTARG = int, FUNCTION = transform_plus);
CREATE FUNCTION transform_less(int, int) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT false $$;
CREATE OPERATOR public.< (LEFTARG = int, RIGHTARG = int, FUNCTION = transform_less);
SET search_path = public, pg_catalog;
SET DateStyle = 'German, DMY';
SET TimeZone = 'Asia/Tokyo';
SET IntervalStyle = 'sql_standard';
SET standard_conforming_strings = off;
SELECT upper(contract), joined + 15, tenure < 6 FROM transform_customers LIMIT 1;
SELECT count(*) AS shadows_differ FROM transform_customers c JOIN transform_expected e USING (customer_id)
	WHERE churn_margin(c, 'same') IS DISTINCT FROM margin;
SELECT version FROM churn_train('transform_plain', 'churn', key => 'customer_id', model => 'same',
	params => '{"rounds": 40}', options => '{"folds": 0, "as_of": "2024-07-01", "promote": "never"}', exclude => '{months,mood}',
	transform => (SELECT transform FROM churn.model_versions WHERE model = 'same' AND version = 2), algorithm => 'xgboost');
SELECT count(DISTINCT sha256) AS artifacts FROM churn.model_versions WHERE model = 'same' AND version > 1;
RESET search_path;
RESET DateStyle;
RESET TimeZone;
RESET IntervalStyle;
RESET standard_conforming_strings;
DROP OPERATOR public.+ (date, int);
DROP OPERATOR public.< (int, int);
DROP FUNCTION public.upper(text), transform_plus, transform_less(int, int);

-- what an expression must not be; each with its code and hint
CREATE FUNCTION transform_try(expression text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	m text; d text; h text;
BEGIN
	PERFORM churn_train('transform_customers', 'churn', transform => jsonb_build_object('x', expression),
						params => '{"rounds": 1}', model => 'tried', algorithm => 'xgboost', options => '{"folds": 0}');
	PERFORM churn_drop_model('tried');
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
	RETURN SQLSTATE || ' ' || m || coalesce(E'\n  ' || nullif(d, ''), '') || coalesce(E'\n  ' || nullif(h, ''), '');
END $$;
CREATE FUNCTION myfn(int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT $1 + 1 $$;
CREATE OPERATOR public.<+> (LEFTARG = int, RIGHTARG = int, FUNCTION = pg_catalog.int4pl);
CREATE COLLATION public.transform_collation FROM "C";
CREATE CAST (int AS date) WITHOUT FUNCTION;
CREATE CAST (float8 AS date) WITH INOUT;
CREATE FUNCTION myfn_time(int) RETURNS time LANGUAGE sql IMMUTABLE AS $$ SELECT time '00:00' $$;
CREATE CAST (int AS time) WITH FUNCTION myfn_time(int);
\pset format unaligned
\pset tuples_only
SELECT format(E'-- %s\n%s', e, transform_try(e)) FROM unnest(ARRAY[
	-- not one expression
	'', 'tenure, months', 'tenure AS x', 'tenure x', 'tenure FROM transform_customers', 'tenure WHERE true',
	'DISTINCT tenure', 'tenure LIMIT 1', 'tenure; DROP TABLE transform_customers', 'tenure +', '*',
	'transform_customers.tenure', 'transform_customers', 'transform_customers.*', 'ctid', 'tenur', 'TENURE', '"TENURE"',
	-- more than the row
	'(SELECT 1)', 'tenure IN (SELECT 1)', 'EXISTS (SELECT)', 'ARRAY(SELECT 1)', '$1', 'sum(tenure)', 'count(*)',
	'row_number() OVER ()', 'rank() OVER (ORDER BY tenure)', 'unnest(tags)', 'generate_series(1, tenure)',
	-- not the same at another time
	'now()', 'current_date - joined', 'CURRENT_USER', 'random()', 'to_char(now(), ''YYYY'')', 'joined::timestamptz',
	'joined::text', 'tenure || contract', 'age(joined)', 'joined > ''today''', 'joined > date ''Tomorrow''',
	'joined = ANY (''{2024-01-01,now}'')', 'joined > ''infinity''', 'tenure::text::regclass::text', 'contract = ''x''::regclass::text',
	'''1 day''::interval * tenure > ''1 month''', '''12,50''::money > ''1''',
	-- what users make
	'myfn(tenure)', 'public.myfn(tenure)', 'tenure OPERATOR(public.<+>) 1', 'contract COLLATE public.transform_collation < ''b''',
	'tenure::date', 'monthly_charges::date', 'tenure::time', 'contract::public.transform_mood', 'mood::text',
	'tenure::public.transform_months', 'contract::public.transform_customers', 'mood = ''bad''', 'mood IN (''good'', ''bad'')',
	'mood = ''worse''', 'information_schema._pg_truetypid(NULL, NULL)', 'tenure::information_schema.cardinal_number',
	-- other nodes
	'(tenure, months) < (3, 4)', 'ROW(tenure, months) IS NULL', 'xmlelement(name a)',
	'least(info, info)', 'least(tags, tags) = tags', 'tags[1]', 'info[''plan''] = ''"DSL"''',
	'tenure IS DISTINCT FROM 3', '(tenure > 3) IS TRUE', 'tags && ARRAY[contract]', 'tenure::float4', 'num_nulls(tenure, contract)',
	'make_interval(days => tenure) > ''1 month''', 'contract COLLATE "C" < ''b''',
	-- types
	'tags', 'info', 'make_interval(0)', 'NULL', '''a''', '1', 'tenure / 0', '1 / 0', 'total_charges / tenure',
	'contract::int', 'tenure * 2000000000',
	-- label and key
	'churn = ''Yes''', 'length(customer_id)', 'customer_id || churn']) AS e;
\pset tuples_only
\pset format aligned
DROP CAST (int AS date);
DROP CAST (float8 AS date);
DROP CAST (int AS time);
DROP OPERATOR public.<+> (int, int);
DROP COLLATION public.transform_collation;
DROP FUNCTION myfn, myfn_time;

SHOW search_path;
SHOW DateStyle;

-- errors as they are shown
SELECT churn_train('transform_customers', 'churn', transform => '{"t": "tenure + nonsense"}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT churn_train('transform_customers', 'churn', transform => '{"t": "tenure + contract"}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT churn_train('transform_customers', 'churn', transform => '{"t": "monthly_charges / tenure"}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT churn_train('transform_customers', 'churn', transform => '{"t": 1}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT churn_train('transform_customers', 'churn', transform => '{"tenure": "tenure"}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT churn_train('transform_customers', 'churn', transform => '{"": "tenure"}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT churn_train('transform_customers', 'churn', transform => jsonb_build_object(repeat('x', 64), 'tenure'), algorithm => 'xgboost', options => '{"folds": 0}');
SELECT churn_train('transform_customers', 'churn', transform => '{"t": "tenure", "u": "t + 1"}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT churn_train('SELECT customer_id, churn, tags FROM transform_customers', 'churn', key => 'customer_id', model => 'm', algorithm => 'xgboost', options => '{"folds": 0}');

-- transforms alone are enough
SELECT rows FROM churn_train('SELECT customer_id, churn, tags FROM transform_customers', 'churn', key => 'customer_id',
	model => 'alone', transform => '{"contract": "tags[1]"}', params => '{"rounds": 3}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT name, kind, transform FROM churn.features WHERE model = 'alone';

-- at scoring
SELECT rows FROM churn_train('transform_customers', 'churn', model => 'ratio',
	exclude => '{tags,info,mood,months,joined}', params => '{"rounds": 3}',
	transform => '{"ratio": "total_charges / nullif(tenure, 0)", "years": "tenure / 12", "risk": "50 / (monthly_charges - 1)"}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT churn_score(c, 'ratio') IS NOT NULL FROM (SELECT * FROM transform_customers LIMIT 1) c;
-- a row for which it fails
SELECT churn_score(c, 'ratio') FROM (SELECT (jsonb_populate_record(c, '{"monthly_charges": 1}')).* FROM transform_customers c LIMIT 1) c;
-- no such column any more, or of another type
ALTER TABLE transform_customers RENAME COLUMN total_charges TO charges;
SELECT churn_score(c, 'ratio') FROM transform_customers c LIMIT 1;
ALTER TABLE transform_customers RENAME COLUMN charges TO total_charges;
SELECT churn_score(c, 'same') FROM (SELECT t.*, 1 AS x FROM (SELECT customer_id, gender, tenure, contract,
	internet_service, total_charges, monthly_charges, joined, info, tags, mood FROM transform_customers) t LIMIT 1) c;
SELECT churn_score(c, 'same') FROM (SELECT customer_id, gender, tenure, contract, internet_service, months,
	total_charges, monthly_charges, joined, to_jsonb(tags) AS tags, info, mood FROM transform_customers LIMIT 1) c;
SELECT churn_score(c, 'same') FROM (SELECT customer_id, gender, tenure, contract, internet_service, months::float8,
	total_charges, monthly_charges, joined, tags, info, mood FROM transform_customers LIMIT 1) c;
SELECT churn_score(c, 'same') FROM (SELECT customer_id, gender, tenure, contract, internet_service, months::text,
	total_charges, monthly_charges, joined, tags, info, mood FROM transform_customers LIMIT 1) c;
SELECT churn_score(c, 'same') FROM (SELECT customer_id, gender, tenure, contract, internet_service, months,
	total_charges, monthly_charges, joined::timestamp AS joined, tags, info, mood FROM transform_customers LIMIT 1) c;
-- an enum whose label is another now
ALTER TYPE transform_mood RENAME VALUE 'good' TO 'fine';
SELECT churn_score(c, 'same') FROM transform_customers c LIMIT 1;
ALTER TYPE transform_mood RENAME VALUE 'fine' TO 'good';
SELECT count(churn_score(c, 'same')) FROM transform_customers c;

-- imported ones are checked too: syntax at once, the rest when they are used
SELECT churn_import('bad', churn_export('alone'), features => '[{"name": "contract", "kind": "category", "categories": [], "transform": 1}]');
SELECT churn_import('bad', churn_export('alone'), features => '[{"name": "contract", "kind": "category", "categories": ["x"], "transform": "tags["}]');
SELECT churn_import('bad', churn_export('alone'), features => '[{"name": "contract", "kind": "category", "categories": ["x"], "transform": "(SELECT 1)"}]');
SELECT version FROM churn_import('bad', churn_export('alone'), features => '[{"name": "contract", "kind": "category", "categories": ["x"], "transform": "random()::text"}]');
SELECT churn_score(c, 'bad') FROM transform_customers c LIMIT 1;

-- a champion with transforms: compared where it can be
SELECT version FROM churn_train('transform_customers', 'churn', model => 'ratio', params => '{"rounds": 3}',
	exclude => '{tags,info,mood,months,joined}', algorithm => 'xgboost', options => '{"folds": 0, "promote": "never"}');
SELECT champion_pr_auc = (SELECT value FROM churn.metrics WHERE model = 'ratio' AND version = 1 AND dataset = 'test' AND metric = 'pr_auc') AS compared
	FROM churn.model_versions WHERE model = 'ratio' AND version = 2;
SET client_min_messages = notice;
SET churn.trainer = '/nonexistent/churn-trainer';
SELECT churn_train('SELECT customer_id, tenure::text, total_charges, monthly_charges, gender, contract, internet_service, churn FROM transform_customers', 'churn', model => 'ratio', key => 'customer_id', algorithm => 'xgboost', options => '{"folds": 0, "validate": "off"}');
SELECT churn_train('SELECT customer_id, tenure, churn FROM transform_customers', 'churn', model => 'ratio', key => 'customer_id', algorithm => 'xgboost', options => '{"folds": 0, "validate": "off"}');
RESET churn.trainer;
SET client_min_messages = warning;
-- one that fails on the new rows says whose transform it is
SELECT churn_train('SELECT customer_id, gender, senior_citizen, partner, dependents, tenure, phone_service, multiple_lines, internet_service,
	online_security, online_backup, device_protection, tech_support, streaming_tv, streaming_movies, contract, paperless_billing, payment_method,
	1::float8 AS monthly_charges, total_charges, churn FROM transform_customers', 'churn', model => 'ratio', key => 'customer_id', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT version, promoted FROM churn_train('SELECT customer_id, tenure, 1::float8 AS monthly_charges, total_charges, churn FROM transform_customers',
	'churn', model => 'ratio', key => 'customer_id', params => '{"rounds": 3}', options => '{"folds": 0, "promote": "always", "validate": "off"}', algorithm => 'xgboost');

-- rules: what they must look like
CREATE FUNCTION rules_try(rules text, algorithm text DEFAULT 'rules', transform jsonb DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM churn_train('transform_customers', 'churn', algorithm => algorithm, transform => transform,
		params => jsonb_build_object('rules', rules::jsonb), model => 'tried', options => '{"folds": 0}');
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT rules_try(r) FROM (VALUES ('{}'), ('[]'), ('"x"'), ('[1]'), ('[{}]'), ('[[]]'), ('[{"when": "tenure < 6"}]'), ('[{"score": 0.5}]'),
	('[{"when": 1, "score": 0.5}]'), ('[{"when": "tenure < 6", "score": "0.5"}]'), ('[{"when": "tenure < 6", "score": 0}]'),
	('[{"when": "tenure < 6", "score": 1.0}]'), ('[{"when": "tenure < 6", "score": 0.5}, {"when": "tenure < 9", "score": 1e400}]'),
	('[{"when": "tenure < 6", "score": 0.5, "then": 1}]'), ('[{"when": "tenure", "score": 0.5}]'),
	('[{"when": "now() > joined", "score": 0.5}]'), ('[{"when": "churn = ''Yes''", "score": 0.5}]'), ('[{"when": "nonsense", "score": 0.5}]')) AS v (r);
SELECT rules_try(jsonb_agg('{"when": "tenure < 6", "score": 0.5}'::jsonb)::text) FROM generate_series(1, 65);
SELECT rules_try('[{"when": "tenure < 6", "score": 0.5}]', a) FROM unnest('{auto,xgboost,NULL}'::text[]) AS a;
SELECT rules_try('[{"when": "tenure < 6", "score": 0.5}]', transform => '{"x": "1"}');
SELECT churn_train('transform_customers', 'churn', algorithm => 'rules', params => '{"rules": [{"when": "tenure << 6", "score": 0.5}, {"when": "tenure = contract", "score": 0.5}]}', options => '{"folds": 0}');

SELECT count(churn_drop_model(name)) FROM churn.models;
DROP FUNCTION transform_try, rules_try;
DROP VIEW transform_view, transform_plain;
DROP TABLE transform_customers, transform_expected;
DROP TYPE transform_mood;
DROP DOMAIN transform_months;
