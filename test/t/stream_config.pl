# Live rescoring where the server is not set up for it, or in an unusual way.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = churn_node('stream_config', conf => <<'EOC');
wal_level = replica
max_replication_slots = 1
max_prepared_transactions = 10
EOC
make_customers($node, 500);
train($node);

# Sets the server up in another way.
sub configure
{
	my (@lines) = @_;
	$node->append_conf('postgresql.conf', join("\n", @lines));
	$node->restart;
}

# That churn_watch() is refused, and leaves nothing behind.
sub refused
{
	my ($name, $error) = @_;

	like(error_of($node, q{SELECT churn_watch('m')}), $error, $name);
	is($node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM churn.watches), (SELECT count(*) FROM churn.rescans),
		(SELECT count(*) FROM churn.stream_status), (SELECT count(*) FROM pg_replication_slots),
		(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'churn worker')}), '0|0|0|0|0', "$name: nothing is half done");
}

#
# What it needs
#
refused('not preloaded', qr/^55000: churn is not in shared_preload_libraries/);
configure(q{shared_preload_libraries = 'churn'});
refused('wal_level', qr/^55000: live rescoring needs wal_level = logical/);
configure('wal_level = logical', 'max_replication_slots = 0');
refused('no slots', qr/^55000: live rescoring needs a replication slot, but max_replication_slots is 0/);
configure('max_replication_slots = 1');

# rolled back it never happened
$node->safe_psql('postgres', q{BEGIN; SELECT churn_watch('m'); ROLLBACK});
$node->safe_psql('postgres', q{BEGIN; SAVEPOINT a; SELECT churn_watch('m'); ROLLBACK TO a; COMMIT});
is($node->safe_psql('postgres', 'SELECT count(*) FROM churn.watches'), 0, 'a watch is rolled back');
like(error_of($node, 'SELECT churn_wait()'), qr/^55000: nothing is watched/, 'then nothing is watched');
like(error_of($node, q{BEGIN; SELECT churn_watch('m'); PREPARE TRANSACTION 'p'}), qr/^0A000: cannot PREPARE/, 'nor prepared');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_replication_slots'), 0, 'and there is no slot');

# only who owns the table, and the model
$node->safe_psql('postgres', q{CREATE ROLE regress_churn_other; GRANT ALL ON customers TO regress_churn_other;
	GRANT USAGE ON SCHEMA churn TO regress_churn_other;
	GRANT EXECUTE ON FUNCTION churn_train, churn_watch TO regress_churn_other;
	CREATE ROLE regress_churn_nobody;
	SET ROLE regress_churn_other; SET client_min_messages = warning;
	SELECT churn_train('customers', 'churn', model => 'other', algorithm => 'xgboost', params => '{"rounds": 5}', options => '{"folds": 0}')});
like(error_of($node, q{SET ROLE regress_churn_other; SELECT churn_watch('other')}), qr/^42501: must be owner of table customers/,
	'a table of somebody else');
like(error_of($node, q{SET ROLE regress_churn_other; SELECT churn_watch('m')}), qr/^42501: must be owner of model "m"/,
	'a model of somebody else');
like(error_of($node, q{SET ROLE regress_churn_nobody; SELECT churn_watch('m')}), qr/^42501: permission denied for function churn_watch/,
	'a role that was not granted it');
$node->safe_psql('postgres', q{SELECT churn_drop_model('other')});

#
# No slot is free, no place for a worker
#
$node->safe_psql('postgres', q{SELECT pg_create_physical_replication_slot('taken')});
my $offset = -s $node->logfile;
watch($node);
$node->wait_for_log(qr/all replication slots are in use/, $offset);
ok($node->poll_query_until('postgres', q{SELECT last_error = 'all replication slots are in use' FROM churn.stream_status}),
	'the status tells that no slot is free');
$node->wait_for_log(qr/(all replication slots are in use.*){3}/s, $offset);
is($node->safe_psql('postgres', q{SELECT kind, sqlstate FROM churn.errors}), 'batch|53400', 'so does the table of errors, once');
like($node->safe_psql('postgres', 'SELECT hint FROM churn.errors LIMIT 1'), qr/max_replication_slots/, 'with a hint');
$node->safe_psql('postgres', q{SELECT pg_drop_replication_slot('taken')});
caught_up($node, 'when one is free the stream begins');
check_predictions($node, 'and scores all');
$node->safe_psql('postgres', 'DELETE FROM churn.errors');

configure('max_worker_processes = 1', 'max_parallel_workers = 0', 'max_logical_replication_workers = 0');
$node->wait_for_log(qr/no place for a churn worker/, $offset);
change_customers($node, 1);
is($node->safe_psql('postgres', q{SELECT churn_wait('0.2 s')}), 'f', 'without a place for the worker changes wait');
configure('max_worker_processes = 8');
caught_up($node, 'with one they are rescored');
check_predictions($node, 'rightly');

#
# What a database may set
#
$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA bad;
CREATE FUNCTION bad.less(text, text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''called''; END';
CREATE FUNCTION bad.less(float8, float8) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''called''; END';
CREATE OPERATOR bad.= (LEFTARG = text, RIGHTARG = text, FUNCTION = bad.less);
CREATE OPERATOR bad.<> (LEFTARG = float8, RIGHTARG = float8, FUNCTION = bad.less);
CREATE FUNCTION bad.unnest(text[]) RETURNS SETOF text LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''called''; END';
CREATE TABLE bad.predictions ();
ALTER DATABASE postgres SET statement_timeout = '1ms';
ALTER DATABASE postgres SET lock_timeout = '1ms';
ALTER DATABASE postgres SET idle_in_transaction_session_timeout = '1ms';
ALTER DATABASE postgres SET default_transaction_read_only = on;
ALTER DATABASE postgres SET default_transaction_isolation = serializable;
ALTER DATABASE postgres SET default_transaction_deferrable = on;
ALTER DATABASE postgres SET search_path = bad, pg_catalog, public;
ALTER DATABASE postgres SET "DateStyle" = 'German, DMY';
ALTER DATABASE postgres SET extra_float_digits = -15;
ALTER DATABASE postgres SET bytea_output = escape;
ALTER DATABASE postgres SET role = regress_churn_nobody;
ALTER DATABASE postgres SET row_security = off;
ALTER DATABASE postgres SET session_replication_role = replica;
ALTER DATABASE postgres SET quote_all_identifiers = on;
ALTER DATABASE postgres SET work_mem = '64kB';
ALTER DATABASE postgres SET transform_null_equals = on;
ALTER DATABASE postgres SET jit_above_cost = 0;
SQL
my $sane = '-c role=none -c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0
	-c default_transaction_read_only=off -c default_transaction_isolation=read\\ committed -c search_path=public
	-c session_replication_role=origin -c row_security=on -c extra_float_digits=1 -c transform_null_equals=off';
if ($node->pg_version >= 17)
{
	$node->safe_psql('template1', q{ALTER DATABASE postgres SET transaction_timeout = '1ms'});
	$sane .= ' -c transaction_timeout=0';
}
{
	local $ENV{PGOPTIONS} = $sane =~ s/\s+/ /gr;
	my $pid = worker_pid($node);
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	another_worker($node, $pid);
	change_customers($node, 2);
	caught_up($node, 'settings of the database are not in the way');
	check_predictions($node, 'of right scores');
	check_history($node, 'nor of the log');
	is($node->safe_psql('postgres', q{SELECT churn_rescore('m')}), 0, 'a rescan finds nothing to do');
	$node->safe_psql('postgres', q{SELECT churn_unwatch('m')});
	ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_replication_slots'), 'the slot goes');
	$node->safe_psql('postgres', q{SELECT churn_watch('m')});
	is($node->safe_psql('postgres', q{SELECT relation, related FROM churn.watches}), 'public.customers|f', 'and a new watch');
	change_customers($node, 3);
	caught_up($node, 'works');
	check_predictions($node, 'as well');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM churn.errors'), 0, 'without an error');
	$node->safe_psql('template1', 'ALTER DATABASE postgres RESET ALL');
}

#
# What it needs, taken away
#
my $name = $node->safe_psql('postgres', 'SELECT slot FROM churn.stream_status');
configure(q{shared_preload_libraries = ''});
$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('$name')");
change_customers($node, 4);
$offset = -s $node->logfile;
configure(q{shared_preload_libraries = 'churn'}, 'wal_level = replica');
ok($node->poll_query_until('postgres', q{SELECT last_error ~ 'wal_level' FROM churn.stream_status}), 'the status tells of wal_level');
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM churn.errors WHERE message ~ 'wal_level'}), 'so do the errors');
configure('wal_level = logical');
caught_up($node, 'with wal_level as before');
check_predictions($node, 'nothing is missing');

#
# Another encoding, in a key and in what is shown of an error
#
$node->safe_psql('postgres', q{SELECT churn_unwatch('m')});
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_replication_slots'), 'the slot is free');
$node->safe_psql('postgres', q{CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0});
$node->safe_psql('latin', 'CREATE EXTENSION churn');
make_customers($node, 500, database => 'latin');
$node->safe_psql('latin', q{UPDATE customers SET customer_id = customer_id || U&'\00e9\00df', contract = replace(contract, 'y', U&'\00fc')});
train($node, database => 'latin', transform => '{"x": "1.0 / (tenure - 1000)"}');
watch($node, database => 'latin');
caught_up($node, 'a database in LATIN1', 'latin');
change_customers($node, 1, database => 'latin');
caught_up($node, 'is rescored', 'latin');
check_predictions($node, 'rightly', database => 'latin');
check_history($node, 'and logged', database => 'latin');
$node->safe_psql('latin', q{UPDATE customers SET tenure = 1000 WHERE customer_id = (SELECT max(customer_id) FROM customers)});
caught_up($node, 'an error is no end', 'latin');
is($node->safe_psql('latin', q{SELECT kind, sqlstate, customer_key = (SELECT max(customer_id) FROM customers) FROM churn.errors}),
	'row|22012|t', 'and names the customer');
$node->safe_psql('postgres', 'DROP DATABASE latin');

$node->stop;
no_signs_of_crash($node);
done_testing();
