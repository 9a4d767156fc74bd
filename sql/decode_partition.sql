--
-- Partitions and tables that inherit
--
-- The output plugin, used by hand, prints what each change means for a model.
--
SET client_min_messages = warning;
-- the score is the logistic function of x
\set artifact '{"churn": {"format": 1, "features": [{"name": "x", "kind": "number"}], "threshold": 0.5}, "components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind": "linear", "slope": 1, "low": -10, "high": 10, "missing": 0, "mean": 0}]}]}'
CREATE TABLE decode_customers (id int, region text, x real, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE decode_north PARTITION OF decode_customers FOR VALUES IN ('north');
-- columns in another order, and one that was dropped
CREATE TABLE decode_south (gone int, x real, region text NOT NULL, id int NOT NULL);
ALTER TABLE decode_south DROP gone;
ALTER TABLE decode_customers ATTACH PARTITION decode_south FOR VALUES IN ('south');
CREATE TABLE decode_rest PARTITION OF decode_customers DEFAULT PARTITION BY LIST (region);
CREATE TABLE decode_east PARTITION OF decode_rest FOR VALUES IN ('east');
SELECT promoted FROM churn_import('decode', convert_to(:'artifact', 'UTF8'), source => 'decode_customers', key => 'id');
SELECT churn_watch('decode');
SELECT 'made' FROM pg_create_logical_replication_slot('regress_churn_partition', 'churn');

INSERT INTO decode_customers VALUES (1, 'north', 1), (2, 'south', 2), (3, 'east', 3);
INSERT INTO decode_south (id, region, x) VALUES (4, 'south', 4);
UPDATE decode_customers SET x = 0;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_partition', NULL, NULL);

-- a row that moves between partitions is deleted and inserted
UPDATE decode_customers SET region = 'south' WHERE id = 1;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_partition', NULL, NULL);

DELETE FROM decode_customers WHERE id <= 2;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_partition', NULL, NULL);

-- a new partition, a detached one, an attached one
CREATE TABLE decode_west PARTITION OF decode_rest FOR VALUES IN ('west');
INSERT INTO decode_customers VALUES (5, 'west', 5);
ALTER TABLE decode_customers DETACH PARTITION decode_north;
INSERT INTO decode_north VALUES (6, 'north', 6);
SELECT data FROM pg_logical_slot_get_changes('regress_churn_partition', NULL, NULL);
ALTER TABLE decode_customers ATTACH PARTITION decode_north FOR VALUES IN ('north');
UPDATE decode_customers SET x = 1 WHERE id = 6;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_partition', NULL, NULL);

-- one partition alone can be a model's source
SELECT promoted FROM churn_import('decode_south', convert_to(:'artifact', 'UTF8'), source => 'decode_south', key => 'id');
SELECT churn_watch('decode_south');
UPDATE decode_customers SET x = 2 WHERE id IN (3, 4);
SELECT data FROM pg_logical_slot_get_changes('regress_churn_partition', NULL, NULL);

-- inheritance: rows of a child are customers, too
CREATE TABLE decode_parent (id int PRIMARY KEY, x real);
CREATE TABLE decode_child (extra text, PRIMARY KEY (id)) INHERITS (decode_parent);
SELECT promoted FROM churn_import('decode_parent', convert_to(:'artifact', 'UTF8'), source => 'decode_parent', key => 'id');
SELECT churn_watch('decode_parent');
INSERT INTO decode_parent VALUES (1, 1);
INSERT INTO decode_child VALUES (2, 2, 'child');
UPDATE decode_parent SET x = 3;
DELETE FROM decode_parent;
SELECT data FROM pg_logical_slot_get_changes('regress_churn_partition', NULL, NULL);

SELECT pg_drop_replication_slot('regress_churn_partition');
SELECT churn_drop_model('decode');
SELECT churn_drop_model('decode_south');
SELECT churn_drop_model('decode_parent');
DROP TABLE decode_customers, decode_parent, decode_child;
-- worker and slot go with the last watch
DO $$ BEGIN
	WHILE EXISTS (SELECT FROM churn.stream_status) LOOP
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END $$;
TRUNCATE churn.errors;
