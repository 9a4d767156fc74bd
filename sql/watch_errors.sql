--
-- What churn_watch() and what belongs to it refuse
--
SET client_min_messages = warning;
CREATE ROLE regress_churn_owner;
CREATE ROLE regress_churn_other;
GRANT EXECUTE ON FUNCTION churn_watch, churn_unwatch, churn_add_alert_rule, churn_drop_alert_rule
	TO regress_churn_owner, regress_churn_other;
-- the score is the logistic function of x
\set artifact '{"churn": {"format": 1, "features": [{"name": "x", "kind": "number"}], "threshold": 0.5}, "components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind": "linear", "slope": 1, "low": -10, "high": 10, "missing": 0, "mean": 0}]}]}'
CREATE TABLE watch_customers (id int PRIMARY KEY, email text, x real);
SELECT promoted FROM churn_import('watch', convert_to(:'artifact', 'UTF8'), source => 'watch_customers', key => 'id');

-- arguments
SELECT churn_watch(NULL);
SELECT churn_watch('nobody');
SELECT churn_watch('watch', reasons => -1);
SELECT churn_watch('watch', key => 'email');
SELECT churn_watch('watch', 'watch_nothing');
SELECT churn_watch('watch', 'no..name');
SELECT churn_watch('watch', 'other_database.public.watch_customers');

-- tables that cannot be watched, and where the key is missing
CREATE VIEW watch_view AS SELECT * FROM watch_customers;
CREATE MATERIALIZED VIEW watch_matview AS SELECT * FROM watch_customers;
CREATE TEMP TABLE watch_temporary (id int PRIMARY KEY, x real);
CREATE UNLOGGED TABLE watch_unlogged (id int PRIMARY KEY, x real);
CREATE SEQUENCE watch_sequence;
CREATE TABLE watch_usage (customer int, minutes int);
SELECT churn_watch('watch', 'watch_view');
SELECT churn_watch('watch', 'watch_matview');
SELECT churn_watch('watch', 'watch_temporary');
SELECT churn_watch('watch', 'watch_unlogged');
SELECT churn_watch('watch', 'watch_sequence');
SELECT churn_watch('watch', 'pg_catalog.pg_class', 'oid');
SELECT churn_watch('watch', 'watch_usage');
SELECT churn_watch('watch', 'watch_usage', 'custom');

CREATE TABLE watch_typed (customer numeric PRIMARY KEY);
SELECT churn_watch('watch', 'watch_typed', 'customer');
CREATE FOREIGN DATA WRAPPER regress_churn_wrapper;
CREATE SERVER regress_churn_server FOREIGN DATA WRAPPER regress_churn_wrapper;
CREATE FOREIGN TABLE watch_foreign (id int NOT NULL, x real) SERVER regress_churn_server;
SELECT churn_watch('watch', 'watch_foreign');
CREATE TABLE watch_mixed (id int, x real) PARTITION BY RANGE (id);
CREATE FOREIGN TABLE watch_mixed_1 PARTITION OF watch_mixed FOR VALUES FROM (1) TO (9) SERVER regress_churn_server;
SELECT churn_watch('watch', 'watch_mixed');
DROP TABLE watch_mixed, watch_typed;
DROP FOREIGN TABLE watch_foreign;
DROP FOREIGN DATA WRAPPER regress_churn_wrapper CASCADE;

-- deletes that would not tell the key, and what the hint says
SELECT churn_watch('watch', 'watch_usage', 'customer');
ALTER TABLE watch_usage ADD usage_id int PRIMARY KEY;
SELECT churn_watch('watch', 'watch_usage', 'customer');
ALTER TABLE public.watch_usage ALTER COLUMN customer SET NOT NULL; CREATE UNIQUE INDEX watch_usage_churn_key ON public.watch_usage (customer, usage_id); ALTER TABLE public.watch_usage REPLICA IDENTITY USING INDEX watch_usage_churn_key;
SELECT churn_watch('watch', 'watch_usage', 'customer');
ALTER TABLE watch_customers REPLICA IDENTITY NOTHING;
SELECT churn_watch('watch');
ALTER TABLE public.watch_customers REPLICA IDENTITY DEFAULT;
SELECT churn_watch('watch');
CREATE TABLE watch_parts (id int, x real) PARTITION BY RANGE (id);
CREATE TABLE watch_part PARTITION OF watch_parts FOR VALUES FROM (1) TO (9);
SELECT churn_watch('watch', 'watch_parts');
SELECT churn_watch('watch', 'watch_parts', allow_deletes => false);
SELECT relation, key, related, deletes, reasons FROM churn.watches ORDER BY relation;

-- what is watched again is watched as was said last
SELECT churn_watch('watch', reasons => 3);
SELECT relation, key, related, deletes, reasons FROM churn.watches WHERE relation = 'public.watch_customers';

-- names with capital letters and other oddities
CREATE TABLE "Watch ""odd"".table" ("Customer Id" int PRIMARY KEY, x real);
SELECT churn_watch('watch', '"Watch ""odd"".table"', 'Customer Id');
SELECT relation, key FROM churn.watches WHERE related AND relation ~ 'odd';
SELECT churn_unwatch('watch', '"Watch ""odd"".table"');

-- models that cannot be watched
SELECT promoted FROM churn_import('watch_nothing', convert_to(:'artifact', 'UTF8'));
SELECT churn_watch('watch_nothing');
SELECT churn_add_alert_rule('watch_nothing', 'true');
CREATE TABLE watch_keyless (x real);
SELECT promoted FROM churn_import('watch_keyless', convert_to(:'artifact', 'UTF8'), source => 'watch_keyless');
SELECT churn_watch('watch_keyless');
SELECT promoted FROM churn_import('watch_query', convert_to(:'artifact', 'UTF8'), source => 'SELECT id, x FROM watch_customers', key => 'id');
SELECT churn_watch('watch_query');
SELECT churn_watch('watch_query', 'watch_customers');

-- without a version in force it is only watched
SELECT promoted FROM churn_import('watch_later', convert_to(:'artifact', 'UTF8'), source => 'watch_customers', key => 'id', options => '{"promote": "never"}');
SELECT churn_watch('watch_later');
SELECT churn_wait('60s');
SELECT churn_rescore('watch_later');

-- whose: of the model, and of the table
SET ROLE regress_churn_other;
SELECT churn_watch('watch');
SELECT churn_unwatch('watch');
SELECT churn_add_alert_rule('watch', 'score > 0.5');
SELECT churn_drop_alert_rule('watch', 'rule');
RESET ROLE;
CREATE TABLE watch_owned (id int PRIMARY KEY, x real);
GRANT SELECT ON watch_customers, watch_owned TO regress_churn_owner;
ALTER TABLE watch_owned OWNER TO regress_churn_owner;
GRANT EXECUTE ON FUNCTION churn_import TO regress_churn_owner;
SET ROLE regress_churn_owner;
SELECT promoted FROM churn_import('watch_owned', convert_to(:'artifact', 'UTF8'), source => 'watch_owned', key => 'id');
SELECT churn_watch('watch_owned');
SELECT churn_watch('watch_owned', 'watch_customers');
RESET ROLE;
SELECT model, relation, watched_by FROM churn.watches WHERE model = 'watch_owned';

-- the plugin by hand has no options
SELECT 'made' FROM pg_create_logical_replication_slot('regress_churn_errors', 'churn');
SELECT data FROM pg_logical_slot_get_changes('regress_churn_errors', NULL, NULL, 'include-xids', '0');
SELECT pg_drop_replication_slot('regress_churn_errors');

-- a transaction that is rolled back has watched nothing, nor unwatched
BEGIN;
SELECT churn_unwatch('watch_owned');
SAVEPOINT a;
SELECT churn_watch('watch_query', 'watch_customers', 'id');
ROLLBACK;
SELECT model FROM churn.watches WHERE model IN ('watch_owned', 'watch_query') ORDER BY 1;
BEGIN;
SELECT churn_watch('watch_later', reasons => 1);
PREPARE TRANSACTION 'regress_churn_watch';

-- churn_unwatch()
SELECT churn_unwatch(NULL);
SELECT churn_unwatch('nobody');
SET client_min_messages = notice;
SELECT churn_unwatch('watch_keyless');
SELECT churn_unwatch('watch', 'watch_matview');
SET client_min_messages = warning;
SELECT churn_unwatch('watch', 'public.watch_usage');
-- a table that is gone
DROP TABLE watch_parts;
SELECT churn_unwatch('watch', 'public.watch_parts');
SELECT churn_unwatch('watch');
SELECT model, relation FROM churn.watches ORDER BY model, relation;
-- the worker may have been about to write what is forgotten
SELECT churn_wait('20s') AS waited \gset
SELECT model FROM churn.rescans ORDER BY model;

SELECT churn_drop_model(name) FROM churn.models ORDER BY name;
SELECT count(*) AS watches FROM churn.watches;
DROP VIEW watch_view;
DROP MATERIALIZED VIEW watch_matview;
DROP SEQUENCE watch_sequence;
DROP TABLE watch_customers, watch_temporary, watch_unlogged, watch_usage, watch_keyless, watch_owned, "Watch ""odd"".table";
REVOKE ALL ON FUNCTION churn_watch, churn_unwatch, churn_add_alert_rule, churn_drop_alert_rule, churn_import
	FROM regress_churn_owner, regress_churn_other;
DROP ROLE regress_churn_owner, regress_churn_other;
-- worker and slot go with the last watch
DO $$ BEGIN
	WHILE EXISTS (SELECT FROM churn.stream_status) LOOP
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END $$;
TRUNCATE churn.errors;
