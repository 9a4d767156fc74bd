--
-- churn_validate(): a source against what a version was trained on
--
SET client_min_messages = warning;
\set VERBOSITY default
CREATE FUNCTION today() RETURNS date STABLE LANGUAGE sql AS $$ SELECT (now() AT TIME ZONE 'UTC')::date $$;
CREATE TABLE validate_customers AS
	SELECT customer_id, contract, payment_method, tenure, monthly_charges,
		CASE WHEN tenure = 1 THEN ' ' ELSE total_charges::text END AS total_charges,
		CASE WHEN substr(customer_id, 4, 1) < '2' THEN NULL ELSE senior_citizen = 1 END AS senior,
		today() - tenure * 30 AS joined, '{}'::text[] AS tags, 'x'::text AS constant, churn
	FROM churn_sample_customers(2000, 11);
ALTER TABLE validate_customers ADD PRIMARY KEY (customer_id);
CREATE FUNCTION train_validated(model text, source text, options jsonb DEFAULT '{}', key text DEFAULT 'customer_id',
								positive text DEFAULT NULL, transform jsonb DEFAULT NULL, exclude text[] DEFAULT NULL)
RETURNS TABLE (version int, promoted boolean) LANGUAGE sql AS $$
	SELECT version, promoted FROM churn_train(source, 'churn', key => key, model => model, algorithm => 'xgboost',
		positive => positive, transform => transform, exclude => exclude, params => '{"rounds": 3}',
		options => options || '{"folds": 0}') $$;
SELECT * FROM train_validated('validated', 'validate_customers');
SELECT jsonb_pretty(expectations) FROM churn.model_versions WHERE model = 'validated';

-- what is as it was: nothing to say, whether it is the table, a query or a part of it
SELECT count(*) FROM churn_validate('validated');
SELECT count(*) FROM churn_validate('validated', 'validate_customers', 1);
SELECT count(*) FROM churn_validate('validated', 'SELECT * FROM validate_customers');
SELECT count(*) FROM churn_validate('validated', 'SELECT * FROM validate_customers ORDER BY md5(customer_id) LIMIT 700');
SELECT count(*) FROM churn.data_issues WHERE source = 'validate' AND model = 'validated';

-- one helper for the rest: findings as text, of the columns with some of them replaced
CREATE FUNCTION findings(source text, model text DEFAULT 'validated') RETURNS TABLE (finding text, measured text) LANGUAGE sql AS $$
	SELECT severity || ' ' || kind || coalesce(' of ' || feature, '') || ': ' || message || coalesce(E'\n' || detail, ''),
		concat_ws(' ', statistic, round(value::numeric, 4), rows || ' rows', examples)
	FROM churn_validate(model, source) WITH ORDINALITY ORDER BY ordinality $$;
CREATE FUNCTION changed(VARIADIC changes text[]) RETURNS text LANGUAGE sql AS $$
	SELECT format('SELECT %s FROM validate_customers', string_agg(CASE WHEN c.change IS NULL THEN quote_ident(a.attname)
			ELSE c.change || ' AS ' || quote_ident(a.attname) END, ', ' ORDER BY a.attnum))
	FROM pg_attribute a LEFT JOIN (SELECT split_part(x, ' = ', 1) AS name, substr(x, strpos(x, ' = ') + 3) AS change
		FROM unnest(changes) AS x) AS c ON c.name = a.attname
	WHERE a.attrelid = 'validate_customers'::regclass AND a.attnum > 0 AND NOT a.attisdropped
		AND c.change IS DISTINCT FROM 'gone' $$;
SELECT changed('tenure = gone', 'contract = upper(contract)');

-- columns
SELECT * FROM findings(changed('tenure = gone', 'joined = gone', 'customer_id = gone', 'churn = gone'));
SELECT * FROM findings(changed('tenure = tenure::text', 'contract = tenure', 'senior = (senior)::int', 'joined = joined::text', 'total_charges = true'));
SELECT * FROM findings(changed('tenure = tenure::bigint', 'contract = contract::varchar', 'joined = joined::timestamp', 'total_charges = nullif(total_charges, '' '')::float8'));
SELECT * FROM findings('SELECT *, 1 AS extra, NULL::json AS "Extra 2" FROM validate_customers');
SELECT * FROM findings(changed('churn = joined'));

-- keys
SELECT * FROM findings('SELECT * FROM validate_customers UNION ALL (SELECT * FROM validate_customers ORDER BY customer_id LIMIT 7) UNION ALL (SELECT * FROM validate_customers ORDER BY customer_id LIMIT 1)');
SELECT * FROM findings(changed('customer_id = nullif(customer_id, (SELECT min(customer_id) FROM validate_customers))'));
SELECT * FROM findings(changed('customer_id = repeat(''é'', 40)'));
-- a unique index is believed, but not that of a table from which others inherit
CREATE TABLE validate_child (LIKE validate_customers) INHERITS (validate_customers);
SELECT count(*) FROM findings('validate_customers');
INSERT INTO validate_child SELECT * FROM validate_customers ORDER BY customer_id LIMIT 2;
SELECT * FROM findings('validate_customers');
DROP TABLE validate_child;

-- no rows
SELECT * FROM findings('SELECT * FROM validate_customers WHERE false');
SELECT * FROM findings('SELECT churn FROM validate_customers WHERE false');

-- values
SELECT * FROM findings(changed('contract = CASE WHEN tenure = 5 THEN ''Weekly'' WHEN tenure = 6 THEN ''Daily'' ELSE contract END'));
SELECT * FROM findings(changed('contract = lower(contract)', 'payment_method = repeat(payment_method, 100)'));
SELECT * FROM findings(changed('payment_method = CASE WHEN tenure % 3 < 2 THEN payment_method || tenure || customer_id ELSE payment_method END'));
SELECT * FROM findings(changed('total_charges = CASE WHEN tenure = 5 THEN ''n/a'' ELSE total_charges END'));
SELECT * FROM findings(changed('total_charges = replace(total_charges, ''.'', '','')'));
SELECT * FROM findings(changed('monthly_charges = CASE WHEN tenure = 5 THEN NULL ELSE monthly_charges END'));
SELECT * FROM findings(changed('monthly_charges = CASE WHEN tenure % 2 = 0 THEN monthly_charges END', 'senior = NULL::boolean', 'contract = NULL::text'));
-- as many are missing as at training, or fewer
SELECT * FROM findings(changed('senior = coalesce(senior, false)'));
-- sentinels, units, and what is a matter of chance
SELECT * FROM findings(changed('monthly_charges = CASE WHEN tenure = 5 THEN -1 ELSE monthly_charges END'));
SELECT * FROM findings(changed('monthly_charges = 100 * monthly_charges', 'tenure = tenure - 100'));
SELECT * FROM findings(changed('monthly_charges = CASE WHEN customer_id = (SELECT min(customer_id) FROM validate_customers) THEN 1e30 ELSE monthly_charges END'));
SELECT * FROM findings(changed('monthly_charges = CASE WHEN customer_id = (SELECT min(customer_id) FROM validate_customers) THEN 130 ELSE monthly_charges END'));
SELECT * FROM findings(changed('monthly_charges = ''NaN''::float8'));

-- dates: older or later than ever, and none that is new
SELECT * FROM findings(changed('joined = joined + 60'));
SELECT * FROM findings(changed('joined = CASE WHEN tenure = 5 THEN today() - 46350 ELSE joined END'));
SELECT * FROM findings(changed('joined = joined - 45'));
SELECT * FROM findings(changed('joined = joined - 45') || ' ORDER BY customer_id LIMIT 15');
SELECT * FROM findings(changed('joined = CASE WHEN tenure > 50 THEN date ''-infinity'' ELSE joined END'));

-- labels
SELECT * FROM findings(changed('churn = CASE WHEN tenure = 5 THEN ''perhaps'' ELSE churn END'));
SELECT * FROM findings(changed('churn = CASE WHEN tenure < 10 THEN NULL WHEN tenure < 20 THEN ''  '' ELSE churn END'));
SELECT * FROM findings(changed('churn = NULL::text'));
-- they count for more in the model's own source
BEGIN;
UPDATE validate_customers SET churn = NULL WHERE tenure < 5;
SELECT * FROM findings(NULL);
SELECT * FROM findings('validate_customers');
UPDATE validate_customers SET churn = NULL;
SELECT * FROM findings(NULL);
ALTER TABLE validate_customers DROP COLUMN churn;
SELECT * FROM findings(NULL);
ROLLBACK;
-- with a positive value that was named
SELECT * FROM train_validated('validated_positive', $$SELECT customer_id, contract, tenure,
	CASE WHEN churn = 'Yes' THEN 'left' WHEN tenure % 2 = 0 THEN 'here' ELSE 'back' END AS churn FROM validate_customers$$, positive => 'left');
SELECT * FROM train_validated('validated_number', $$SELECT customer_id, contract, tenure,
	CASE WHEN churn = 'Yes' THEN 9 ELSE tenure % 2 END AS churn FROM validate_customers$$, positive => '9');
SELECT * FROM train_validated('validated_values', $$SELECT customer_id, contract, tenure,
	CASE WHEN churn = 'Yes' THEN 99 ELSE tenure % 20 END AS churn FROM validate_customers$$, positive => '99');
SELECT model, expectations -> 'label_values' AS label_values FROM churn.model_versions WHERE model LIKE 'validated_%' ORDER BY 1;
SELECT * FROM findings('SELECT customer_id, contract, tenure, CASE WHEN tenure = 5 THEN ''paused'' WHEN churn = ''Yes'' THEN ''left'' ELSE ''here'' END AS churn FROM validate_customers', 'validated_positive');
SELECT * FROM findings('SELECT customer_id, contract, tenure, CASE WHEN churn = ''Yes'' THEN ''gone'' ELSE ''here'' END AS churn FROM validate_customers', 'validated_positive');
SELECT * FROM findings('SELECT customer_id, contract, tenure, CASE WHEN churn = ''Yes'' THEN 9 ELSE tenure % 4 END AS churn FROM validate_customers', 'validated_number');
SELECT * FROM findings('SELECT customer_id, contract, tenure, CASE WHEN churn = ''Yes'' THEN 99 ELSE tenure END AS churn FROM validate_customers', 'validated_values');
SELECT * FROM findings('SELECT customer_id, contract, tenure, churn = ''Yes'' AS churn FROM validate_customers', 'validated_positive');

-- transforms: that cannot be made, that fail on some rows, and their values
SELECT * FROM train_validated('validated_transform', 'validate_customers', exclude => '{total_charges,joined}',
	transform => '{"rate": "monthly_charges / (tenure - 100)", "kind": "left(contract, 1)", "total": "nullif(trim(total_charges), '''')::numeric"}');
SELECT count(*) FROM findings('validate_customers', 'validated_transform');
SELECT * FROM findings(changed('tenure = gone'), 'validated_transform');
SELECT * FROM findings(changed('contract = CASE tenure WHEN 5 THEN NULL WHEN 6 THEN ''Zero'' ELSE contract END'), 'validated_transform');
SELECT * FROM findings(changed('tenure = CASE WHEN tenure = 5 THEN 100 ELSE tenure END'), 'validated_transform');
SELECT * FROM findings(changed('total_charges = CASE WHEN tenure = 5 THEN ''n/a'' ELSE total_charges END', 'tenure = 100'), 'validated_transform');
SELECT * FROM findings('SELECT contract, payment_method, 100 AS tenure, monthly_charges, total_charges, senior, tags, constant, joined FROM validate_customers', 'validated_transform');
SELECT * FROM findings(changed('total_charges = ARRAY[total_charges]'), 'validated_transform');

-- a panel: rows are unique by key and day, and ages count from the day
CREATE VIEW validate_panel AS SELECT customer_id, contract, tenure, joined, churn, today() - month * 30 - 10 AS as_of
	FROM validate_customers, generate_series(0, 2) AS month;
SELECT * FROM train_validated('validated_panel', 'validate_panel', '{"as_of": "as_of"}');
SELECT (expectations ->> 'newest_as_of')::date - today() AS newest, expectations -> 'duplicate_keys' AS duplicate_keys
	FROM churn.model_versions WHERE model = 'validated_panel';
SELECT count(*) FROM churn_validate('validated_panel');
SELECT finding FROM findings('TABLE validate_panel UNION ALL (SELECT * FROM validate_panel ORDER BY customer_id, as_of LIMIT 0)', 'validated_panel');
SELECT regexp_replace(finding, '\d{4}-\d\d-\d\d', 'day', 'g') AS finding, regexp_replace(measured, '\d{4}-\d\d-\d\d', 'day', 'g') AS measured
	FROM findings('TABLE validate_panel UNION ALL (SELECT * FROM validate_panel ORDER BY customer_id, as_of LIMIT 1)', 'validated_panel');
SELECT regexp_replace(finding, '\d{4}-\d\d-\d\d', 'day', 'g') AS finding, measured
	FROM findings('SELECT customer_id, contract, tenure, joined, churn, as_of - 40 AS as_of FROM validate_panel', 'validated_panel');
SELECT count(*) FROM findings('SELECT customer_id, contract, tenure, joined, churn, as_of - 30 AS as_of FROM validate_panel', 'validated_panel');
SELECT regexp_replace(finding, '\d{4}-\d\d-\d\d', 'day', 'g') AS finding, measured
	FROM findings('SELECT customer_id, contract, tenure, joined, churn, today() - 50 AS as_of FROM validate_customers', 'validated_panel');
SELECT * FROM findings('SELECT customer_id, contract, tenure, joined, churn FROM validate_customers', 'validated_panel');
SELECT * FROM findings('SELECT customer_id, contract, tenure, joined, churn, 1 AS as_of FROM validate_customers', 'validated_panel');
SELECT * FROM findings('SELECT customer_id, contract, tenure, joined, churn, NULL::date AS as_of FROM validate_customers', 'validated_panel');

-- without a baseline, as an imported model has none, what needs it is left out
SELECT version FROM churn_import('validated_import', churn_export('validated'), source => 'validate_customers', key => 'customer_id', label => 'churn');
SELECT count(*) FROM churn_validate('validated_import');
UPDATE churn.features SET baseline = NULL WHERE model = 'validated_import';
SELECT * FROM findings('SELECT *, 1 AS extra FROM (' || changed('contract = NULL::text', 'payment_method = ''Cheque''::text', 'monthly_charges = 1e9::float8', 'joined = date ''1900-01-01''') || ') AS s', 'validated_import');

-- all is kept, with the time of the call
SELECT count(DISTINCT found_at) > 1 AS times, bool_and(source = 'validate') AS validate, bool_and(version = 1) AS version,
	count(*) FILTER (WHERE relation IS NULL) AS without_relation FROM churn.data_issues WHERE model = 'validated' AND source = 'validate';
SELECT model, version, relation, severity, kind FROM churn_validate('validated', 'SELECT customer_id, contract, tenure, joined, monthly_charges, total_charges, senior FROM validate_customers', 1);

-- errors
SELECT * FROM churn_validate(NULL);
SELECT * FROM churn_validate('validated', version => 0);
SELECT * FROM churn_validate('validated', version => 99);
SELECT * FROM churn_validate('no such model');
SELECT * FROM churn_validate('validated', 'no_such_table');
SELECT * FROM churn_validate('validated', 'DELETE FROM validate_customers');
SELECT * FROM churn_validate('validated', 'SELECT 1 / (tenure - tenure) AS x, * FROM validate_customers');
SELECT version FROM churn_import('validated_orphan', churn_export('validated'), options => '{"promote": "never"}');
SELECT * FROM churn_validate('validated_orphan');
SELECT * FROM churn_validate('validated_orphan', version => 1);
BEGIN READ ONLY;
SELECT * FROM churn_validate('validated');
ROLLBACK;

-- rights: the own source is read as the model's owner, for members of that role;
-- another as the caller
CREATE ROLE regress_churn_owner;
CREATE ROLE regress_churn_clerk;
GRANT EXECUTE ON FUNCTION churn_train, churn_validate TO regress_churn_owner, regress_churn_clerk;
GRANT SELECT ON validate_customers TO regress_churn_owner;
SET ROLE regress_churn_owner;
SELECT * FROM train_validated('validated_owned', 'validate_customers');
SELECT count(*) FROM churn_validate('validated_owned');
RESET ROLE;
SET ROLE regress_churn_clerk;
SELECT * FROM churn_validate('validated_owned');
SELECT * FROM churn_validate('validated_owned', 'validate_customers');
SELECT kind, feature FROM churn_validate('validated_owned', 'SELECT 1 AS tenure') ORDER BY 1, 2;
RESET ROLE;
GRANT regress_churn_owner TO regress_churn_clerk;
SET ROLE regress_churn_clerk;
SELECT count(*) FROM churn_validate('validated_owned');
RESET ROLE;
REVOKE regress_churn_owner FROM regress_churn_clerk;
-- a superuser does not lend its eyes to the owner, nor its session
REVOKE SELECT ON validate_customers FROM regress_churn_owner;
SELECT count(*) FROM churn_validate('validated_owned');
CREATE FUNCTION validate_trap() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN true; END $$;
CREATE VIEW validate_trapped AS SELECT * FROM validate_customers WHERE validate_trap();
GRANT SELECT ON validate_customers TO regress_churn_owner;
ALTER VIEW validate_trapped OWNER TO regress_churn_owner;
SET ROLE regress_churn_owner;
SELECT * FROM train_validated('validated_owned', 'validate_trapped', '{"promote": "always"}');
RESET ROLE;
CREATE OR REPLACE FUNCTION validate_trap() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN CREATE TEMP TABLE trap (); RETURN true; END $$;
SELECT count(*) FROM churn_validate('validated_owned');

--
-- Training refuses what does not suit the champion
--
SELECT * FROM train_validated('validated', changed('tenure = gone', 'contract = tenure'));
SELECT * FROM train_validated('validated', changed('tenure = gone', 'contract = tenure'), '{"validate": "error"}');
SELECT * FROM train_validated('validated', changed('tenure = tenure::bigint', 'contract = upper(contract)'), '{"promote": "never"}');
SELECT * FROM train_validated('validated', 'validate_customers', '{"promote": "never"}', exclude => '{contract}');
SELECT * FROM train_validated('validated', changed('tenure = gone', 'contract = tenure'), '{"validate": "warn", "promote": "never"}');
SELECT version, source, severity, kind, feature, message, detail FROM churn.data_issues
	WHERE model = 'validated' AND source = 'train' AND kind LIKE '%column' ORDER BY issue_id;
SELECT * FROM train_validated('validated', changed('tenure = gone', 'contract = tenure'), '{"validate": "off", "promote": "never"}');
SELECT count(*) FROM churn.data_issues WHERE model = 'validated' AND source = 'train' AND kind LIKE '%column';
SELECT * FROM train_validated('validated', 'validate_customers', '{"validate": "perhaps"}');
SELECT * FROM train_validated('validated', 'validate_customers', '{"validate": true}');
-- keys that were unique
SELECT * FROM train_validated('validated', 'SELECT * FROM validate_customers UNION ALL SELECT * FROM validate_customers');
SELECT * FROM train_validated('validated', 'SELECT * FROM validate_customers UNION ALL (SELECT * FROM validate_customers ORDER BY customer_id LIMIT 5)', '{"validate": "warn", "promote": "never"}');
SELECT * FROM train_validated('validated', 'SELECT * FROM validate_customers UNION ALL (SELECT * FROM validate_customers ORDER BY customer_id LIMIT 5)', '{"validate": "off", "promote": "never"}');
SELECT severity, kind, rows, message FROM churn.data_issues WHERE model = 'validated' AND source = 'train' AND kind = 'duplicate_keys' ORDER BY issue_id;
-- another key is another matter, and so are those that never were unique, and the days of a panel
SELECT * FROM train_validated('validated', changed('constant = left(customer_id, 4)'), '{"promote": "never"}', key => 'constant');
SELECT * FROM train_validated('validated_twice', 'SELECT * FROM validate_customers UNION ALL SELECT * FROM validate_customers');
SELECT expectations -> 'duplicate_keys' AS duplicate_keys FROM churn.model_versions WHERE model = 'validated_twice';
SELECT * FROM train_validated('validated_twice', 'SELECT * FROM validate_customers UNION ALL SELECT * FROM validate_customers', '{"promote": "never"}');
SELECT * FROM findings('SELECT * FROM validate_customers UNION ALL (SELECT * FROM validate_customers ORDER BY customer_id LIMIT 5)', 'validated_twice');
SELECT * FROM train_validated('validated_panel', 'validate_panel', '{"as_of": "as_of", "promote": "never"}');
-- rules name the columns that they need
SELECT version FROM churn_train('SELECT customer_id, tenure, churn FROM validate_customers', 'churn', key => 'customer_id', model => 'validated',
	algorithm => 'rules', params => '{"rules": [{"when": "tenure < 10", "score": 0.5}]}', options => '{"promote": "never"}');

-- what belongs to a model goes with it
SELECT count(churn_drop_model(name)) FROM churn.models WHERE name LIKE 'validated%';
SELECT count(*) FROM churn.data_issues WHERE model LIKE 'validated%';
DROP VIEW validate_trapped, validate_panel;
DROP FUNCTION validate_trap, findings, changed, train_validated;
REVOKE SELECT ON validate_customers FROM regress_churn_owner;
REVOKE EXECUTE ON FUNCTION churn_train, churn_validate FROM regress_churn_owner, regress_churn_clerk;
DROP ROLE regress_churn_owner, regress_churn_clerk;
DROP TABLE validate_customers;
DROP FUNCTION today;
