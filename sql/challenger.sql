--
-- A challenger scores in the shadow of the champion
--
SET client_min_messages = notice;
-- the score is the logistic function of x; that of the others of 2 x, and of x less y
\set artifact '{"churn": {"format": 1, "features": [{"name": "x", "kind": "number"}], "threshold": 0.5}, "components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind": "linear", "slope": 1, "low": -10, "high": 10, "missing": 0, "mean": 0}]}]}'
\set other '{"churn": {"format": 1, "features": [{"name": "x", "kind": "number"}, {"name": "y", "kind": "number"}], "threshold": 0.5}, "components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind": "linear", "slope": 1, "low": -10, "high": 10, "missing": 0, "mean": 0}, {"kind": "linear", "slope": -1, "low": -10, "high": 10, "missing": 0, "mean": 0}]}]}'
CREATE TABLE shadow_customers (id int PRIMARY KEY, x real, y real, note text);
INSERT INTO shadow_customers SELECT i, i - 3, 1 FROM generate_series(1, 4) i;
SELECT promoted FROM churn_import('shadow', convert_to(:'artifact', 'UTF8'), source => 'shadow_customers', key => 'id');
SELECT version FROM churn_import('shadow', convert_to(replace(:'artifact', '"slope": 1', '"slope": 2'), 'UTF8'), options => '{"promote": "never"}');
SELECT version FROM churn_import('shadow', convert_to(:'other', 'UTF8'), options => '{"promote": "never"}');
CREATE VIEW shadow_log AS
	SELECT customer_key AS customer, version, round(score::numeric, 4) AS score, round(previous_score::numeric, 4) AS previous,
		band, features, origin, lsn IS NOT NULL AS lsn
	FROM churn.prediction_log WHERE model = 'shadow' ORDER BY scored_at, customer_key, version;

-- what can be a challenger
SELECT churn_set_challenger('shadow', NULL);
SELECT churn_set_challenger('shadow', 1);
SELECT churn_set_challenger('shadow', 9);
SELECT churn_set_challenger('nobody', 2);
SELECT churn_set_challenger(NULL, 2);
SELECT churn_set_challenger('shadow', 2);
SELECT churn_set_challenger('shadow', 2);
SELECT champion, challenger FROM churn.models WHERE name = 'shadow';
-- it must fit the source
ALTER TABLE shadow_customers RENAME y TO z;
SELECT churn_set_challenger('shadow', 3);
ALTER TABLE shadow_customers RENAME z TO y;
ALTER TABLE shadow_customers ALTER y TYPE text;
SELECT churn_set_challenger('shadow', 3);
ALTER TABLE shadow_customers ALTER y TYPE real USING y::real;
-- of a model that has a source, and a version in force
SELECT promoted FROM churn_import('unsourced', convert_to(:'artifact', 'UTF8'));
SELECT promoted FROM churn_import('unsourced', convert_to(:'artifact', 'UTF8'), options => '{"promote": "never"}');
SELECT churn_set_challenger('unsourced', 2);
SELECT promoted FROM churn_import('unforced', convert_to(:'artifact', 'UTF8'), options => '{"promote": "never"}');
SELECT churn_set_challenger('unforced', 1);
-- whoever may execute the function may do so
CREATE ROLE regress_churn_owner;
GRANT EXECUTE ON FUNCTION churn_import TO regress_churn_owner;
GRANT SELECT ON shadow_customers TO regress_churn_owner;
SET ROLE regress_churn_owner;
SELECT promoted FROM churn_import('owned', convert_to(:'artifact', 'UTF8'), source => 'shadow_customers', key => 'id');
SELECT promoted FROM churn_import('owned', convert_to(:'artifact', 'UTF8'), options => '{"promote": "never"}');
SELECT churn_set_challenger('owned', 2);
RESET ROLE;
SELECT churn_set_challenger('owned', 2);
SELECT churn_drop_model(name) FROM unnest('{owned,unforced,unsourced}'::text[]) AS name;
REVOKE EXECUTE ON FUNCTION churn_import FROM regress_churn_owner;
REVOKE SELECT ON shadow_customers FROM regress_churn_owner;
DROP ROLE regress_churn_owner;

SET client_min_messages = warning;
-- the rescan is none of its business, what is changed is
SELECT churn_add_alert_rule('shadow', 'score > 0.99', name => 'high') > 0 AS added;
SELECT churn_watch('shadow');
SELECT churn_wait('60s');
SELECT * FROM shadow_log;
TRUNCATE churn.prediction_log;
UPDATE shadow_customers SET x = 3 WHERE id = 1;
SELECT churn_wait('60s');
INSERT INTO shadow_customers VALUES (5, NULL, 1), (6, 2, 1);
SELECT churn_wait('60s');
-- also where the champion's score stays
UPDATE shadow_customers SET note = 'other' WHERE id = 6;
SELECT churn_wait('60s');
DELETE FROM shadow_customers WHERE id = 6;
SELECT churn_wait('60s');
SELECT * FROM shadow_log;
-- at the very same time
SELECT count(*) FROM churn.prediction_log a JOIN churn.prediction_log b USING (model, customer_key, scored_at, lsn)
	WHERE model = 'shadow' AND a.origin = 'stream' AND b.origin = 'shadow';
-- nothing else comes of it
SELECT customer_key, version, round(score::numeric, 4) AS score, origin FROM churn.predictions WHERE model = 'shadow' ORDER BY customer_key;
SELECT customer_key, version, round(score::numeric, 4) AS score FROM churn.alerts WHERE model = 'shadow';
-- one change of many counts, and what was rolled back does not
TRUNCATE churn.prediction_log;
BEGIN;
UPDATE shadow_customers SET x = 9 WHERE id = 1;
SAVEPOINT a;
UPDATE shadow_customers SET x = 8;
ROLLBACK TO a;
UPDATE shadow_customers SET x = 1 WHERE id = 1;
COMMIT;
SELECT churn_wait('60s');
SELECT * FROM shadow_log;

-- another challenger, with more columns; that and its end hold for what is committed later
TRUNCATE churn.prediction_log;
BEGIN;
UPDATE shadow_customers SET x = 4 WHERE id = 1;
SELECT churn_set_challenger('shadow', 3);
COMMIT;
UPDATE shadow_customers SET y = 2 WHERE id = 1;
SELECT churn_wait('60s');
BEGIN;
UPDATE shadow_customers SET y = 3 WHERE id = 1;
SELECT churn_set_challenger('shadow', NULL);
COMMIT;
UPDATE shadow_customers SET x = -1 WHERE id = 1;
SELECT churn_wait('60s');
SELECT * FROM shadow_log;

-- a large value that a change leaves alone is read again if the challenger alone needs it
ALTER TABLE shadow_customers ALTER note SET STORAGE EXTERNAL;
UPDATE shadow_customers SET note = repeat('1', 3000) WHERE id = 1;
SELECT version FROM churn_import('shadow', convert_to(replace(:'artifact', '"x"', '"note length"'), 'UTF8'), '[{"name": "note length", "kind": "number", "transform": "length(note) / 1000"}]', options => '{"promote": "never"}');
SELECT churn_set_challenger('shadow', 4);
SELECT churn_wait('60s');
TRUNCATE churn.prediction_log;
UPDATE shadow_customers SET x = 0 WHERE id = 1;
SELECT churn_wait('60s');
SELECT * FROM shadow_log;

-- promoted, it is no challenger any more; another one goes on
SELECT churn_promote('shadow', 4);
SELECT champion, challenger FROM churn.models WHERE name = 'shadow';
SELECT churn_set_challenger('shadow', 1);
SELECT churn_promote('shadow', 2);
SELECT champion, challenger FROM churn.models WHERE name = 'shadow';
SELECT churn_wait('60s');
TRUNCATE churn.prediction_log;
UPDATE shadow_customers SET x = 0.5 WHERE id = 1;
SELECT churn_wait('60s');
SELECT * FROM shadow_log;
-- so it is by a rollback
SELECT churn_set_challenger('shadow', 4);
SELECT churn_rollback('shadow');
SELECT champion, challenger FROM churn.models WHERE name = 'shadow';
SELECT churn_rollback('shadow');
SELECT champion, challenger FROM churn.models WHERE name = 'shadow';
-- or dropped
SELECT churn_set_challenger('shadow', 2);
SELECT churn_drop_model('shadow', 3);
SELECT champion, challenger FROM churn.models WHERE name = 'shadow';
SELECT churn_drop_model('shadow', 2);
SELECT champion, challenger FROM churn.models WHERE name = 'shadow';
SELECT count(*) AS errors FROM churn.errors;

-- a challenger that fails for some rows, or for all, does not disturb the champion
SELECT version FROM churn_import('shadow', convert_to(:'artifact', 'UTF8'), '[{"name": "x", "kind": "number", "transform": "1 / (x::int - 1)"}]', options => '{"promote": "never"}');
SELECT churn_set_challenger('shadow', 5);
SELECT churn_wait('60s');
TRUNCATE churn.prediction_log;
UPDATE shadow_customers SET x = id - 1 WHERE id < 4;
SELECT churn_wait('60s');
SELECT * FROM shadow_log;
SELECT kind, model, relation, customer_key, lsn IS NOT NULL AS lsn, sqlstate, message, detail, hint FROM churn.errors ORDER BY error_id;
TRUNCATE churn.errors, churn.prediction_log;
SELECT version FROM churn_import('shadow', convert_to(:'other', 'UTF8'), options => '{"promote": "never"}');
SELECT churn_set_challenger('shadow', 6);
ALTER TABLE shadow_customers RENAME y TO z;
UPDATE shadow_customers SET x = 1 WHERE id = 2;
UPDATE shadow_customers SET x = 2 WHERE id = 2;
SELECT churn_wait('60s');
ALTER TABLE shadow_customers ADD u int;
UPDATE shadow_customers SET x = 1 WHERE id = 2;
SELECT churn_wait('60s');
SELECT DISTINCT version, origin FROM shadow_log;
SELECT kind, model, relation, customer_key, lsn, sqlstate, message, detail, hint FROM churn.errors ORDER BY error_id;
-- it goes on when its column is back
ALTER TABLE shadow_customers RENAME z TO y;
UPDATE shadow_customers SET x = 3 WHERE id = 2;
SELECT churn_wait('60s');
SELECT * FROM shadow_log WHERE origin = 'shadow';
-- one that is damaged
UPDATE churn.model_versions SET sha256 = '\x00' WHERE model = 'shadow' AND version = 5;
SELECT churn_set_challenger('shadow', 5);
UPDATE churn.models SET challenger = 5 WHERE name = 'shadow';
TRUNCATE churn.errors, churn.prediction_log;
UPDATE shadow_customers SET x = 1 WHERE id = 2;
SELECT churn_wait('60s');
UPDATE churn.models SET created_at = created_at WHERE name = 'shadow';
UPDATE shadow_customers SET x = 2 WHERE id = 2;
SELECT churn_wait('60s');
SELECT * FROM shadow_log;
SELECT kind, model, relation, customer_key, lsn, sqlstate, message, detail, hint FROM churn.errors ORDER BY error_id;

TRUNCATE churn.errors, churn.alerts, churn.prediction_log;
DROP VIEW shadow_log;
DROP TABLE shadow_customers;
SELECT churn_drop_model('shadow');
-- worker and slot go with the last watch
DO $$ BEGIN
	WHILE EXISTS (SELECT FROM churn.stream_status) LOOP
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END $$;
TRUNCATE churn.errors;
