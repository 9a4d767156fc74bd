--
-- An unchanged TOASTed column that the model needs has the row read again
--
-- The output plugin, used by hand, prints what each change means for a model.
--
SET client_min_messages = warning;
CREATE TABLE decode_customers (id int PRIMARY KEY, x text, note text);
ALTER TABLE decode_customers ALTER x SET STORAGE EXTERNAL, ALTER note SET STORAGE EXTERNAL;
INSERT INTO decode_customers VALUES (1, repeat('x', 10000), repeat('n', 10000)), (2, 'short', repeat('n', 10000));
-- the model needs x
\set artifact '{"churn": {"format": 1, "features": [{"name": "x", "kind": "category", "categories": ["short"]}], "threshold": 0.5}, "components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind": "categories", "points": [1], "missing": 0, "mean": 0}]}]}'
SELECT promoted FROM churn_import('decode', convert_to(:'artifact', 'UTF8'), source => 'decode_customers', key => 'id');
SELECT churn_watch('decode');
SELECT 'made' FROM pg_create_logical_replication_slot('regress_churn_toast', 'churn');

-- it comes along: when inserted, and when changed
INSERT INTO decode_customers VALUES (3, repeat('y', 10000), '');
UPDATE decode_customers SET x = repeat('z', 10000) WHERE id = 1;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_toast', NULL, NULL);

-- it does not: the model needs it
UPDATE decode_customers SET note = 'short' WHERE id = 1;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_toast', NULL, NULL);

-- it does not, and the model does not need it
UPDATE decode_customers SET x = 'shorter' WHERE id = 2;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_toast', NULL, NULL);

-- all columns may be needed where there are alert rules
SELECT churn_add_alert_rule('decode', 'length(note) > 5 AND score > 2') IS NOT NULL AS added;
UPDATE decode_customers SET x = 'short' WHERE id = 2;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_toast', NULL, NULL);

-- deletes and changes of the key
UPDATE decode_customers SET id = 4 WHERE id = 3;
DELETE FROM decode_customers WHERE id = 4;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_toast', NULL, NULL);

-- compressed in place, which is all there
ALTER TABLE decode_customers ALTER x SET STORAGE MAIN;
UPDATE decode_customers SET x = repeat('c', 5000), note = '' WHERE id = 2;
UPDATE decode_customers SET note = 'other' WHERE id = 2;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_toast', NULL, NULL);

-- a key that is TOASTed and unchanged: nobody knows whose row it was
CREATE TABLE decode_long (id text, x text, note text);
ALTER TABLE decode_long ALTER id SET STORAGE EXTERNAL;
SELECT promoted FROM churn_import('decode_long', convert_to(:'artifact', 'UTF8'), source => 'decode_long', key => 'id');
SELECT churn_watch('decode_long', allow_deletes => false);
INSERT INTO decode_long VALUES (repeat('k', 3000), 'short');
SELECT left(data, 30) AS data, length(data) FROM pg_logical_slot_get_changes('regress_churn_toast', NULL, NULL);
UPDATE decode_long SET note = 'other';
SELECT data FROM pg_logical_slot_get_changes('regress_churn_toast', NULL, NULL);

SELECT pg_drop_replication_slot('regress_churn_toast');
SELECT churn_drop_model('decode');
SELECT churn_drop_model('decode_long');
DROP TABLE decode_customers, decode_long;
-- worker and slot go with the last watch
DO $$ BEGIN
	WHILE EXISTS (SELECT FROM churn.stream_status) LOOP
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END $$;
TRUNCATE churn.errors;
