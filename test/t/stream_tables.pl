# What is watched beside a plain table: partitions, children, views over several
# tables; and rows that do not tell all, or cannot be scored.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = stream_node('stream_tables');

# Runs SQL, waits, and looks at the predictions.
sub rescored
{
	my ($name, $sql, %options) = @_;

	$node->safe_psql('postgres', $sql);
	caught_up($node, "$name: the stream goes on");
	check_predictions($node, "$name: predictions", %options);
}

#
# Partitions
#
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE plain AS SELECT *, 0 AS region FROM churn_sample_customers(600, 1);
UPDATE plain SET region = abs(hashtext(customer_id)) % 3;
CREATE TABLE parted (LIKE plain) PARTITION BY LIST (region);
CREATE TABLE parted0 PARTITION OF parted FOR VALUES IN (0);
CREATE TABLE parted1 (churn text, region int, filler int, customer_id text);
ALTER TABLE parted1 DROP COLUMN filler;
SQL
# another order of columns, with a dropped one among them
$node->safe_psql('postgres', q{DO $$ DECLARE c record; BEGIN
	FOR c IN SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute WHERE attrelid = 'plain'::regclass AND attnum > 0
		AND attname NOT IN ('churn', 'region', 'customer_id')
	LOOP EXECUTE format('ALTER TABLE parted1 ADD COLUMN %I %s', c.attname, c.type); END LOOP; END $$;
	ALTER TABLE parted ATTACH PARTITION parted1 FOR VALUES IN (1);
	CREATE TABLE parted2 PARTITION OF parted FOR VALUES IN (2) PARTITION BY HASH (customer_id);
	CREATE TABLE parted20 PARTITION OF parted2 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
	CREATE TABLE parted21 PARTITION OF parted2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
	ALTER TABLE parted ADD PRIMARY KEY (customer_id, region);
	INSERT INTO parted SELECT * FROM plain});
train($node, table => 'parted', key => 'customer_id');
my %parted = (table => 'parted');
$node->safe_psql('postgres', q{SELECT churn_watch('m')});
rescored('partitions', 'SELECT 1', %parted);
rescored('updates in each', 'UPDATE parted SET tenure = tenure + 1, monthly_charges = 20', %parted);
rescored('rows that move', 'UPDATE parted SET region = (region + 1) % 3, tenure = 3 WHERE hashtext(customer_id) % 4 = 0', %parted);
rescored('deletes', 'DELETE FROM parted WHERE hashtext(customer_id) % 9 = 0', %parted);
rescored('a row is inserted by its partition', q{INSERT INTO parted20 SELECT * FROM plain WHERE region = 2
	AND satisfies_hash_partition('parted2'::regclass, 2, 0, customer_id) AND customer_id NOT IN (SELECT customer_id FROM parted) LIMIT 5}, %parted);
rescored('a partition is truncated', 'TRUNCATE parted0', %parted);
rescored('a partition is detached', 'ALTER TABLE parted DETACH PARTITION parted1', %parted);
rescored('and changed, which is nothing to us', 'UPDATE parted1 SET tenure = 70', %parted);
rescored('and attached', 'ALTER TABLE parted ATTACH PARTITION parted1 FOR VALUES IN (1)', %parted);
rescored('and changed', 'UPDATE parted1 SET tenure = 1', %parted);
rescored('a partition below is detached', 'ALTER TABLE parted2 DETACH PARTITION parted20 CONCURRENTLY', %parted);
rescored('and dropped', 'DROP TABLE parted20', %parted);
rescored('a new partition', q{CREATE TABLE parted3 PARTITION OF parted FOR VALUES IN (3);
	INSERT INTO parted SELECT p.* FROM (SELECT * FROM plain) p WHERE false; UPDATE parted SET region = 3 WHERE hashtext(customer_id) % 7 = 1}, %parted);
rescored('and attached with rows', q{CREATE TABLE parted4 (LIKE parted INCLUDING ALL);
	INSERT INTO parted4 SELECT * FROM parted WHERE region = 3; UPDATE parted4 SET region = 4, customer_id = customer_id || '-4';
	ALTER TABLE parted ATTACH PARTITION parted4 FOR VALUES IN (4)}, %parted);
my $pid = worker_pid($node);
stop_at($node, 'upsert', sub { $node->safe_psql('postgres', 'UPDATE parted SET tenure = 9') });
$node->safe_psql('postgres', 'ALTER TABLE parted DETACH PARTITION parted4');
kill 'KILL', $pid;
$node->poll_query_until('postgres', 'SELECT true');
let_go($node);
rescored('a partition is detached while the worker is down', 'SELECT 1', %parted);
is($node->safe_psql('postgres', 'SELECT count(*) FROM churn.errors'), 0, 'none of it is an error');
$node->safe_psql('postgres', q{SELECT churn_drop_model('m'); DROP TABLE parted});

#
# Children, one of them of two parents
#
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE parent AS SELECT * FROM churn_sample_customers(300, 1);
ALTER TABLE parent ADD PRIMARY KEY (customer_id);
CREATE TABLE other (more int);
CREATE TABLE child (PRIMARY KEY (customer_id)) INHERITS (other, parent);
INSERT INTO child SELECT 1, * FROM churn_sample_customers(200, 2);
SQL
my %parent = (table => 'parent');
train($node, table => 'parent');
$node->safe_psql('postgres', q{SELECT churn_watch('m')});
rescored('children', 'SELECT 1', %parent);
rescored('updates of parent and child', 'UPDATE parent SET tenure = tenure + 3, monthly_charges = 20', %parent);
rescored('deletes of the child', 'DELETE FROM child WHERE hashtext(customer_id) % 5 = 0', %parent);
rescored('a child leaves', 'ALTER TABLE child NO INHERIT parent', %parent);
rescored('and comes again', 'ALTER TABLE child INHERIT parent', %parent);
rescored('and is changed', 'UPDATE child SET tenure = 50', %parent);
is($node->safe_psql('postgres', 'SELECT count(*) FROM churn.errors'), 0, 'none of it is an error');
$node->safe_psql('postgres', q{SELECT churn_drop_model('m'); DROP TABLE parent, other, child CASCADE});

#
# A view over two tables
#
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE base AS SELECT * FROM churn_sample_customers(500, 1);
ALTER TABLE base ADD PRIMARY KEY (customer_id);
CREATE TABLE payments (payment_id serial, customer_id text, amount float8, PRIMARY KEY (payment_id, customer_id));
INSERT INTO payments (customer_id, amount) SELECT customer_id, total_charges / 3 FROM base, generate_series(1, 3);
CREATE VIEW customers AS SELECT b.*, p.paid, p.n FROM base b
	LEFT JOIN (SELECT customer_id, sum(amount) AS paid, count(*)::int AS n FROM payments GROUP BY 1) p USING (customer_id);
SQL
train($node, key => 'customer_id');
like(error_of($node, q{SELECT churn_watch('m')}), qr/^42809: "customers" is a view, which has no changes of its own/, 'a view is not watched');
$node->safe_psql('postgres', q{SELECT churn_watch('m', 'base', key => 'customer_id'); SELECT churn_watch('m', 'payments', key => 'customer_id')});
rescored('a view', 'SELECT 1');
rescored('its first table', 'UPDATE base SET tenure = 72 - tenure WHERE hashtext(customer_id) % 3 = 0');
rescored('its second', q{INSERT INTO payments (customer_id, amount) SELECT customer_id, 1000 FROM base WHERE hashtext(customer_id) % 3 = 1});
rescored('updates there', 'UPDATE payments SET amount = amount * 2 WHERE payment_id % 5 = 0');
rescored('deletes there', 'DELETE FROM payments WHERE payment_id % 4 = 0');
rescored('payments that go to others', 'UPDATE payments SET customer_id = (SELECT max(customer_id) FROM base) WHERE payment_id % 50 = 1');
rescored('without a customer', q{INSERT INTO payments (customer_id, amount) VALUES ('nobody', 1)});
rescored('customers that go', 'DELETE FROM base WHERE hashtext(customer_id) % 10 = 0');
rescored('and others with their payments', q{BEGIN; INSERT INTO base SELECT * FROM churn_sample_customers(20, 77);
	INSERT INTO payments (customer_id, amount) SELECT customer_id, 7 FROM churn_sample_customers(20, 77); COMMIT});
rescored('truncated payments', 'TRUNCATE payments');
is($node->safe_psql('postgres', 'SELECT count(*) FROM churn.errors'), 0, 'none of it is an error');
$node->safe_psql('postgres', 'ALTER TABLE payments RENAME TO receipts; INSERT INTO receipts (customer_id, amount) SELECT customer_id, 1 FROM base');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM churn.errors WHERE kind = 'watch'
	AND message = 'watched table public.payments does not exist'}), 'a table that is renamed is reported');
rescored('and watched when it is named as before', 'ALTER TABLE receipts RENAME TO payments');
$node->safe_psql('postgres', q{SELECT churn_drop_model('m'); DROP VIEW customers; DROP TABLE base, payments; DELETE FROM churn.errors});

#
# Values that a change does not bring, keys that it does not tell
#
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE customers AS SELECT *, repeat(md5(customer_id), 200) || hashtext(customer_id) % 3 AS letter FROM churn_sample_customers(400, 1);
ALTER TABLE customers ADD PRIMARY KEY (customer_id);
ALTER TABLE customers ALTER COLUMN letter SET STORAGE EXTERNAL, ALTER COLUMN contract SET STORAGE EXTERNAL;
UPDATE customers SET letter = letter || ' ', contract = repeat(contract, 300);
SQL
train($node, transform => '{"ending": "right(letter, 2)"}');
$node->safe_psql('postgres', q{SELECT churn_watch('m')});
rescored('long values', 'SELECT 1');
cmp_ok($node->safe_psql('postgres', q{SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE oid = 'customers'::regclass}), '>', 100000,
	'which are out of line');
rescored('left alone by an update', 'UPDATE customers SET tenure = 72 - tenure');
rescored('and changed', q{UPDATE customers SET contract = replace(contract, 'Month-to-month', 'One year') WHERE tenure > 10});
rescored('both in one transaction', q{BEGIN; UPDATE customers SET tenure = tenure + 1; UPDATE customers SET letter = letter || '1';
	UPDATE customers SET monthly_charges = 1 WHERE hashtext(customer_id) % 2 = 0; COMMIT});
is($node->safe_psql('postgres', 'SELECT count(*) FROM churn.errors'), 0, 'none of it is an error');
$node->safe_psql('postgres', q{SELECT churn_drop_model('m'); DROP TABLE customers});

$node->safe_psql('postgres', 'CREATE TABLE customers AS SELECT * FROM churn_sample_customers(400, 1)');
train($node, key => 'customer_id', transform => '{"x": "monthly_charges / (tenure - 1000.0)"}');
like(error_of($node, q{SELECT churn_watch('m')}), qr/^55000: deletes from "customers" would not tell the key "customer_id"/,
	'without a replica identity a table is not watched');
$node->safe_psql('postgres', q{SELECT churn_watch('m', allow_deletes => false)});
rescored('without deletes', 'SELECT 1');
rescored('updates', 'UPDATE customers SET tenure = 72 - tenure');
$node->safe_psql('postgres', 'DELETE FROM customers WHERE hashtext(customer_id) % 3 = 0; UPDATE customers SET customer_id = customer_id || 1
	WHERE hashtext(customer_id) % 4 = 0');
caught_up($node, 'deletes and changes of the key');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM churn.predictions WHERE customer_key NOT IN (SELECT customer_id FROM customers)'),
	'>', 50, 'leave predictions behind');
rescored('until a rescan', q{SELECT churn_rescore('m')});
$node->safe_psql('postgres', 'DELETE FROM customers WHERE hashtext(customer_id) % 3 = 1');
caught_up($node, 'more of them');
$node->safe_psql('postgres', 'UPDATE churn.rescans SET day = day - 1');
my $old_pid = worker_pid($node);
$node->safe_psql('postgres', "SELECT pg_terminate_backend($old_pid)");
another_worker($node, $old_pid);
rescored('which there is each day', 'SELECT 1');
$node->safe_psql('postgres', q{ALTER TABLE customers REPLICA IDENTITY FULL; SELECT churn_watch('m')});
rescored('all columns tell the key, too', 'DELETE FROM customers WHERE hashtext(customer_id) % 5 = 0');
is($node->safe_psql('postgres', 'SELECT count(*) FROM churn.errors'), 0, 'none of it is an error');

#
# Rows that cannot be scored
#
$node->safe_psql('postgres', q{INSERT INTO customers (customer_id, tenure) VALUES (NULL, 7)});
caught_up($node, 'a row without a key');
is($node->safe_psql('postgres', 'SELECT kind, model, relation, customer_key, sqlstate FROM churn.errors'), 'row|m|public.customers||22004', 'is reported');
$node->safe_psql('postgres', 'DELETE FROM churn.errors; DELETE FROM customers WHERE customer_id IS NULL');
$node->safe_psql('postgres', 'UPDATE customers SET tenure = CASE WHEN customer_id = (SELECT max(customer_id) FROM customers) THEN 1000 ELSE 5 END');
caught_up($node, 'a division by zero');
is($node->safe_psql('postgres', 'SELECT kind, model, relation, customer_key = (SELECT max(customer_id) FROM customers), sqlstate, lsn IS NOT NULL
	FROM churn.errors'), 'row|m|public.customers|t|22012|t', 'is reported with the customer');
check_predictions($node, 'all others are scored', rows =>
	q{SELECT customer_id AS key, churn_score(c, 'm') AS score FROM customers c WHERE tenure < 1000
	UNION ALL SELECT customer_key, score FROM churn.predictions WHERE customer_key = (SELECT max(customer_id) FROM customers)});
rescored('and that one as soon as it can be', 'UPDATE customers SET tenure = 6 WHERE tenure = 1000');

$node->stop;
no_signs_of_crash($node);
done_testing();
