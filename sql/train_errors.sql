--
-- churn_train(): what it refuses, and what it says
--
CREATE TABLE trouble AS
	SELECT n AS id, n % 40 AS months, (ARRAY['a', 'b', 'c'])[1 + n % 3] AS plan,
		CASE WHEN n % 7 < 2 THEN 'Yes' ELSE 'No' END AS "Churned"
	FROM generate_series(1, 200) AS n;
ALTER TABLE trouble ADD PRIMARY KEY (id);

-- arguments
SELECT churn_train(NULL, 'Churned');
SELECT churn_train('trouble', NULL);
SELECT churn_train('trouble', 'Churned', transform => '{"x": 12}');
SELECT churn_train('trouble', 'Churned', transform => '[]');
SELECT churn_train('trouble', 'Churned', params => '[1]');
SELECT churn_train('trouble', 'Churned', options => '"never"');
SELECT churn_train('trouble', 'Churned', options => '{"promote": "perhaps"}');
SELECT churn_train('trouble', 'Churned', options => '{"promote": 1}');
SELECT churn_train('trouble', 'Churned', options => '{"as_of": 2024}');
SELECT churn_train('trouble', 'Churned', options => '{"as_of": "yesterday"}');
SELECT churn_train('trouble', 'Churned', options => '{"as_of": "2024-02-30"}');
SELECT churn_train('trouble', 'Churned', options => '{"as_of": "plan"}');
SELECT churn_train('trouble', 'Churned', exclude => '{plan,NULL}');
SELECT churn_train('trouble', 'Churned', model => '');
SELECT churn_train('trouble', 'Churned', model => repeat('m', 64));
SELECT churn_train('SELECT * FROM trouble', 'Churned');
SELECT churn_train('trouble', 'Churned', params => jsonb_build_object('x', repeat('x', 1100000)));

-- sources
SELECT churn_train('', 'Churned');
SELECT churn_train('no_such_table', 'Churned');
SELECT churn_train('no_such_schema.trouble', 'Churned');
SELECT churn_train('otherdb.public.trouble', 'Churned');
SELECT churn_train('Trouble', 'Churned', key => 'x');
SELECT churn_train('"Trouble"', 'Churned');
SELECT churn_train('trouble_pkey', 'Churned');
SELECT churn_train('trouble; DROP TABLE trouble', 'Churned');
SELECT churn_train('DELETE FROM trouble', 'Churned');
SELECT churn_train('SELECT * FROM trouble; DELETE FROM trouble', 'Churned');
SELECT churn_train('SELECT * INTO other FROM trouble', 'Churned');
SELECT churn_train('WITH d AS (DELETE FROM trouble RETURNING *) SELECT * FROM d', 'Churned');
SELECT churn_train('WITH d AS (SELECT 1) DELETE FROM trouble', 'Churned');
SELECT churn_train('SELECT * FROM trouble FOR UPDATE', 'Churned');
SELECT churn_train('SELECT * FROM (SELECT * FROM trouble FOR UPDATE) AS s', 'Churned', model => 'trouble');
SELECT churn_train('SELECT id, plan, plan FROM trouble', 'plan');
SELECT churn_train('SELECT FROM trouble', 'plan', model => 'trouble');
SELECT churn_train('SELECT * FROM no_such_table', 'Churned');
SELECT churn_train('SELECT nonsense', 'Churned');
SELECT churn_train('SELECT 1 / (id - 100) AS x, * FROM trouble', 'Churned', key => 'id', model => 'trouble');
SELECT count(*) FROM trouble;

-- columns
SELECT churn_train('trouble', 'churned');
SELECT churn_train('trouble', 'whatever');
SELECT churn_train('trouble', 'Churned', key => 'idd');
SELECT churn_train('trouble', 'Churned', key => 'Churned');
SELECT churn_train('trouble', 'Churned', exclude => '{plan,month}');
SELECT churn_train('SELECT "Churned" FROM trouble', 'customer', model => 'trouble');
SELECT churn_train('trouble', 'Churned', exclude => '{plan,months}');
SELECT churn_train(format('SELECT 1 AS label, %s', string_agg(format('%s AS c%s', n, n), ', ')), 'label', model => 'trouble')
	FROM generate_series(1, 1601) AS n;
\set SHOW_CONTEXT never
SELECT churn_train(format('SELECT 1 AS label, %s', string_agg(format('repeat(''x'', 1000) AS c%s', n), ', ')), 'label', model => 'trouble')
	FROM generate_series(1, 1100) AS n;
\set SHOW_CONTEXT errors

-- columns that are left out by themselves, as notices before the error
SET churn.trainer = '/nonexistent/churn-trainer';
ALTER TABLE trouble ADD COLUMN tags text[], ADD COLUMN notes jsonb,
	ADD COLUMN email text DEFAULT gen_random_uuid() UNIQUE,
	ADD COLUMN code int UNIQUE, ADD COLUMN half int, ADD COLUMN joined date DEFAULT '2020-01-01';
CREATE UNIQUE INDEX ON trouble (half) WHERE half > 0;
CREATE UNIQUE INDEX ON trouble (lower(plan), id);
SELECT churn_train('trouble', 'Churned');
SELECT churn_train('trouble', 'Churned', key => 'email', exclude => '{notes,code}');
ALTER TABLE trouble DROP CONSTRAINT trouble_pkey, ADD PRIMARY KEY (id, plan);
SELECT churn_train('trouble', 'Churned', exclude => '{notes,tags,email,code}');
SELECT churn_train('trouble', 'Churned', key => 'id', exclude => '{notes,tags,email,code}');
ALTER TABLE trouble DROP CONSTRAINT trouble_pkey, ADD PRIMARY KEY (id),
	DROP COLUMN tags, DROP COLUMN notes, DROP COLUMN email, DROP COLUMN code,
	DROP COLUMN half, DROP COLUMN joined;
SET churn.trainer = 'churn-trainer';
SELECT churn_train('trouble', 'Churned');
RESET churn.trainer;

-- labels
SELECT churn_train('SELECT *, date ''2024-01-01'' AS left_on FROM trouble', 'left_on', model => 'trouble');
SELECT churn_train('trouble', 'Churned', positive => '  ');
SELECT churn_train('SELECT *, "Churned" = ''Yes'' AS gone FROM trouble', 'gone', positive => 'gone', model => 'trouble');
SELECT churn_train('SELECT *, 1 AS gone FROM trouble', 'gone', positive => 'one', model => 'trouble');
SELECT churn_train('trouble', 'plan');
SELECT churn_train('trouble', 'months', exclude => '{Churned}');
SELECT churn_train('SELECT *, ''NaN''::float8 AS gone FROM trouble', 'gone', model => 'trouble');
SELECT churn_train('SELECT id, months, repeat(''é'', 100) || n AS gone FROM trouble, generate_series(1, 2) AS n', 'gone', model => 'trouble');
SELECT churn_train('trouble', 'plan', positive => 'd');
SELECT churn_train('trouble', 'months', positive => '99');
SELECT churn_train('trouble', 'Churned', positive => 'yes');

-- keys
SELECT churn_train('SELECT nullif(id % 50, 0) AS k, * FROM trouble', 'Churned', key => 'k', model => 'trouble');
SELECT churn_train('SELECT repeat(''k'', 1025) AS k, * FROM trouble', 'Churned', key => 'k', model => 'trouble');
SELECT churn_train('SELECT array_fill(id, ARRAY[600]) AS k, months, "Churned" FROM trouble', 'Churned', key => 'k', model => 'trouble');

-- what the trainer finds, after the rows are read
SELECT churn_train('trouble', 'Churned', params => '{"no_such_learner": {}}');
SELECT churn_train('trouble', 'Churned', params => '{"xgboost": {"no_such_param": 1}}');
SELECT churn_train('trouble', 'Churned', algorithm => 'xgboost', params => '{"no_such_param": 1}');
SELECT churn_train('trouble', 'Churned', algorithm => 'xgboost', params => '{"max_depth": 1.5}');
SELECT churn_train('trouble', 'Churned', options => '{"no_such_option": 1}');
SELECT churn_train('trouble', 'Churned', algorithm => 'oracle');
SELECT churn_train('SELECT id, months, CASE id % 3 WHEN 0 THEN NULL WHEN 1 THEN '' '' ELSE ''No'' END AS gone FROM trouble', 'gone', key => 'id', model => 'trouble');

-- where nothing can be written
BEGIN READ ONLY;
SELECT churn_train('trouble', 'Churned');
ROLLBACK;

-- of all this nothing is left
SELECT count(*) FROM churn.models WHERE name = 'trouble';
DROP TABLE trouble;
