# Live rescoring while a watched table is altered and clients change it.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = stream_node('stream_ddl', conf => 'log_statement = none');
make_customers($node, 500);
train($node, transform => '{"per_month": "total_charges / nullif(tenure, 0)"}');
watch($node);
caught_up($node, 'the first rescan');
my $clients = start_clients($node);

# All is as it should be while clients are at it.
sub check
{
	my ($name) = @_;

	# what they changed up to here; then, a moment in which nobody changes
	caught_up($node, "$name: the stream goes on");
	stop_clients($node, $clients);
	caught_up($node, "$name: to the end");
	check_predictions($node, "$name: predictions");
	$clients = start_clients($node);
}

# The errors of a kind since the last call.
sub errors
{
	my ($kind) = @_;
	return $node->safe_psql('postgres', qq{WITH gone AS (DELETE FROM churn.errors WHERE kind = '$kind' RETURNING message)
		SELECT DISTINCT message FROM gone ORDER BY 1});
}

# Waits until the model is reported as unfit to be scored.
sub model_fails
{
	my ($name, $message) = @_;

	ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM churn.errors WHERE kind = 'model'}), "$name: an error");
	like(errors('model'), $message, "$name: it tells why");
	is($node->safe_psql('postgres', q{SELECT state FROM churn.stream_status WHERE pid IS NOT NULL}), 'streaming',
		"$name: the stream goes on");
}

#
# Columns
#
my $worker = worker_pid($node);
$node->safe_psql('postgres', 'ALTER TABLE customers ADD COLUMN note text DEFAULT repeat(\'x\', 20)');
check('a column is added');
$node->safe_psql('postgres', 'ALTER TABLE customers DROP COLUMN note');
$node->safe_psql('postgres', 'ALTER TABLE customers ADD COLUMN other int DEFAULT 7');
check('and dropped');
$node->safe_psql('postgres', 'ALTER TABLE customers ALTER COLUMN tenure TYPE bigint');
check('a column gets a wider type');
$node->safe_psql('postgres', 'ALTER TABLE customers ALTER COLUMN tenure TYPE numeric(10, 2)');
check('and another one');
$node->safe_psql('postgres', 'ALTER TABLE customers ALTER COLUMN monthly_charges TYPE real');
check('and a narrower one');
$node->safe_psql('postgres', 'ALTER TABLE customers ALTER COLUMN customer_id TYPE varchar(80)');
check('the key gets another type');
is(errors('model'), '', 'all that is no error');

$node->safe_psql('postgres', 'ALTER TABLE customers RENAME COLUMN tenure TO months');
model_fails('a column is renamed', qr/tenure/);
$node->safe_psql('postgres', 'ALTER TABLE customers RENAME COLUMN months TO tenure');
check('and named as before');
$node->safe_psql('postgres', 'ALTER TABLE customers DROP COLUMN contract');
model_fails('a column that is needed is dropped', qr/contract/);
$node->safe_psql('postgres', q{ALTER TABLE customers ADD COLUMN contract text DEFAULT 'Two year'});
check('and added');
$node->safe_psql('postgres', 'ALTER TABLE customers RENAME COLUMN customer_id TO id');
$node->safe_psql('postgres', 'UPDATE customers SET paperless_billing = paperless_billing');
model_fails('the key is renamed', qr/customer_id/);
$node->safe_psql('postgres', 'ALTER TABLE customers RENAME COLUMN id TO customer_id');
check('and named as before');
is($node->safe_psql('postgres', q{SELECT count(*) FROM churn.errors WHERE kind NOT IN ('model', 'row', 'watch')}), 0,
	'there are no other errors');
$node->safe_psql('postgres', q{DELETE FROM churn.errors});

#
# Tables
#
$node->safe_psql('postgres', 'ALTER TABLE customers RENAME TO clients');
model_fails('the table is renamed', qr/relation "public.customers" does not exist/);
is($node->safe_psql('postgres', q{SELECT DISTINCT message FROM churn.errors WHERE kind = 'watch'}),
	'watched table public.customers does not exist', 'the watch is reported');
$node->safe_psql('postgres', 'ALTER TABLE clients RENAME TO customers');
check('and named as before');
$node->safe_psql('postgres', 'CREATE TABLE replacement (LIKE customers INCLUDING ALL);
	INSERT INTO replacement SELECT * FROM customers LIMIT 100; UPDATE replacement SET tenure = tenure + 1');
$node->safe_psql('postgres', 'BEGIN; ALTER TABLE customers RENAME TO former; ALTER TABLE replacement RENAME TO customers; COMMIT');
check('another table takes its place');
is($node->safe_psql('postgres', 'SELECT reason FROM churn.rescans'), 'a table was attached, detached, replaced or renamed',
	'all of it is scanned');
$node->safe_psql('postgres', 'DROP TABLE customers');
model_fails('the table is dropped', qr/relation "public.customers" does not exist/);
is($node->safe_psql('postgres', q{SELECT DISTINCT message FROM churn.errors WHERE kind = 'watch'}),
	'watched table public.customers does not exist', 'the watch is reported');
# with its key at once: until then deletes would not tell whom
$node->safe_psql('postgres', 'BEGIN; CREATE TABLE customers AS SELECT * FROM churn_sample_customers(200, 3);
	ALTER TABLE customers ADD PRIMARY KEY (customer_id); COMMIT');
check('and made again');
$node->safe_psql('postgres', 'VACUUM FULL customers');
$node->safe_psql('postgres', 'CREATE INDEX by_tenure ON customers (tenure); CLUSTER customers USING by_tenure');
$node->safe_psql('postgres', 'BEGIN; LOCK TABLE customers; REINDEX TABLE customers; COMMIT');
check('it is rewritten');
$node->safe_psql('postgres', 'BEGIN; TRUNCATE customers; INSERT INTO customers SELECT * FROM churn_sample_customers(400, 9); COMMIT');
check('it is truncated and filled');
is(worker_pid($node), $worker, 'one worker did all that');
is($node->safe_psql('postgres', q{SELECT DISTINCT kind, message FROM churn.errors}),
	'watch|watched table public.customers does not exist', 'without another error');

#
# The extension
#
for my $attempt (1 .. 3)
{
	$node->safe_psql('postgres', 'DROP EXTENSION churn CASCADE');
	ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_replication_slots'), 'after DROP EXTENSION there is no slot')
	  if $attempt > 1;
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'churn worker'}),
		'nor a worker') if $attempt > 1;
	$node->safe_psql('postgres', 'CREATE EXTENSION churn');
	train($node);
	watch($node);
	check('after CREATE EXTENSION');
	check_history($node, 'and log and alerts')
}

#
# Models
#
# one that is dropped while the worker writes what the drop deletes
my $dropper = $node->background_psql('postgres');
$dropper->query_safe(q{BEGIN; SELECT churn_drop_model('m')});
$worker = worker_pid($node);
ok($node->poll_query_until('postgres', "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $worker"),
	'the worker waits while a model is dropped');
$dropper->query_safe('COMMIT');
$dropper->quit;
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_replication_slots'), 'without a model there is no slot');
is($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM churn.predictions), (SELECT count(*) FROM churn.rescans)'), '0|0',
	'and nothing of it is left');
train($node, promote => 'never');
$node->safe_psql('postgres', q{SELECT churn_watch('m')});
caught_up($node, 'a model without a version in force is watched');
is($node->safe_psql('postgres', 'SELECT count(*) FROM churn.predictions'), 0, 'and scores nothing');
is($node->safe_psql('postgres', 'SELECT kind, message FROM churn.errors'), '', 'which is no error');
$node->safe_psql('postgres', q{SELECT churn_promote('m', 1)});
check('until one is promoted');
train($node, params => '{"rounds": 10}');
check('another version');
$node->safe_psql('postgres', q{BEGIN; SELECT churn_rollback('m'); SELECT churn_promote('m', 2); ROLLBACK; SELECT churn_rollback('m')});
check('and back');
stop_clients($node, $clients);
is($node->safe_psql('postgres', q{SELECT churn_unwatch('m')}), 1, 'the last watch ends');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_replication_slots'), 'then there is no slot');
is($node->safe_psql('postgres', 'SELECT count(*) FROM churn.stream_position'), 0, 'no position');
is($node->safe_psql('postgres', 'SELECT count(*) FROM churn.stream_status'), 0, 'and no status');

$node->stop;
no_signs_of_crash($node);
done_testing();
