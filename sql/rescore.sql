--
-- churn_rescore(): batch scoring into churn.predictions
--
SET client_min_messages = warning;
CREATE TABLE rescore_customers AS SELECT * FROM churn_sample_customers(1500, 5);
ALTER TABLE rescore_customers ADD PRIMARY KEY (customer_id);
SELECT version FROM churn_train('rescore_customers', 'churn', params => '{"rounds": 10}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT churn_rescore('rescore_customers');
SELECT count(*), count(*) FILTER (WHERE p.score IS DISTINCT FROM churn_score(c)) AS differ,
	count(*) FILTER (WHERE p.band IS DISTINCT FROM (churn_predict(c)).band) AS bands_differ,
	count(p.previous_score) AS previous, min(p.origin) AS origin, max(p.version) AS version
	FROM rescore_customers c LEFT JOIN churn.predictions p
		ON p.customer_key = c.customer_id AND p.model = 'rescore_customers';

-- again: nothing to write
CREATE TABLE rescore_before AS SELECT ctid AS place, xmin AS writer, * FROM churn.predictions;
SELECT churn_rescore('rescore_customers');
SELECT count(*) AS touched FROM churn.predictions p JOIN rescore_before b USING (customer_key, model)
	WHERE p.ctid <> b.place OR p.xmin <> b.writer OR p.xmax <> '0';

-- one changed, one gone, one new
UPDATE rescore_customers SET contract = 'Two year', tenure = 72, internet_service = 'No' WHERE customer_id =
	(SELECT customer_key FROM churn.predictions ORDER BY score DESC, customer_key LIMIT 1);
DELETE FROM rescore_customers WHERE customer_id = (SELECT max(customer_id) FROM rescore_customers);
INSERT INTO rescore_customers SELECT (jsonb_populate_record(c, '{"customer_id": "new"}')).* FROM rescore_customers c LIMIT 1;
SELECT churn_rescore('rescore_customers');
SELECT count(*) FILTER (WHERE p.score IS DISTINCT FROM churn_score(c)) AS differ,
	count(*) FILTER (WHERE p.previous_score > p.score) AS fell
	FROM rescore_customers c FULL JOIN churn.predictions p ON p.customer_key = c.customer_id;

-- another version: its number is written even where the score is the same
SELECT version, promoted FROM churn_train('rescore_customers', 'churn', params => '{"rounds": 10}', options => '{"folds": 0, "promote": "always"}', algorithm => 'xgboost');
SELECT churn_rescore('rescore_customers') = count(*) AS all_written FROM rescore_customers;
SELECT DISTINCT version FROM churn.predictions;
BEGIN;
SELECT churn_rollback('rescore_customers');
SELECT churn_rescore('rescore_customers') = count(*) AS all_written FROM rescore_customers;
ROLLBACK;
SELECT DISTINCT version FROM churn.predictions;

-- a query as source, integer keys, an empty source
SELECT version FROM churn_train('SELECT tenure::bigint * 1000000 + row_number() OVER (ORDER BY customer_id) AS id, contract, tenure, monthly_charges, churn FROM rescore_customers',
	'churn', key => 'id', model => 'query', params => '{"rounds": 5}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT churn_rescore('query');
SELECT count(*), bool_and(customer_key::bigint > 0) AS integers FROM churn.predictions WHERE model = 'query';
CREATE VIEW rescore_view AS SELECT * FROM rescore_customers;
SELECT version FROM churn_train('rescore_view', 'churn', key => 'customer_id', model => 'view', params => '{"rounds": 5}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT churn_rescore('view');
CREATE TABLE rescore_saved AS SELECT * FROM rescore_customers;
DELETE FROM rescore_customers;
SELECT churn_rescore('view');
SELECT model, count(*) FROM churn.predictions GROUP BY model ORDER BY model;

-- errors
ALTER TABLE rescore_customers DROP CONSTRAINT rescore_customers_pkey;
INSERT INTO rescore_customers SELECT * FROM rescore_saved;
INSERT INTO rescore_customers SELECT * FROM rescore_saved LIMIT 1;
SELECT churn_rescore('view');
ALTER TABLE rescore_customers ALTER customer_id DROP NOT NULL;
UPDATE rescore_customers SET customer_id = NULL;
SELECT churn_rescore('view');
SELECT churn_rescore('nobody');
SELECT version FROM churn_train('rescore_saved', 'churn', model => 'keyless', params => '{"rounds": 5}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT churn_rescore('keyless');
DROP VIEW rescore_view;
SELECT churn_rescore('view');
ALTER TABLE rescore_saved RENAME contract TO contrat;
SELECT churn_score(c, 'keyless') FROM rescore_saved c;

DROP TABLE rescore_customers, rescore_saved, rescore_before;
SELECT churn_drop_model(name) FROM churn.models ORDER BY name;
SELECT count(*) FROM churn.predictions;
