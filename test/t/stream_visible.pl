# Live rescoring and what is visible when: transactions that are committed in the
# log but not yet for others, prepared ones, and VACUUM beside the worker.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = stream_node('stream_visible', conf => 'autovacuum = off');
make_customers($node, 500);
$node->safe_psql('postgres', q{ALTER TABLE customers ADD COLUMN letter text;
	ALTER TABLE customers ALTER COLUMN letter SET STORAGE EXTERNAL;
	UPDATE customers SET letter = repeat(md5(customer_id), 200) || hashtext(customer_id) % 3});
train($node, transform => '{"ending": "right(letter, 1)"}');
watch($node);
caught_up($node, 'the first rescan');
check_predictions($node, 'all customers are scored');

# A session that waits in COMMIT, for a standby that there is not.
sub commit_that_hangs
{
	my ($sql) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	$session->query_until(qr/started/, "\\echo started\nBEGIN;\n$sql;\nCOMMIT;\n");
	$node->poll_query_until('postgres', "SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = $pid");
	return ($session, $pid);
}

# Has it go on.
sub cancel
{
	my ($session, $pid) = @_;

	$node->safe_psql('postgres', "SET synchronous_commit = local; SELECT pg_cancel_backend($pid)");
	$session->query_until(qr/goes on/, "\\echo goes on\n");
	$session->{stderr} = '';
	$session->quit;
}

sub synchronous
{
	my ($names) = @_;
	$node->append_conf('postgresql.conf', "synchronous_standby_names = '$names'");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('synchronous_standby_names') = '$names'");
}

# What each session of ours does, it does not wait for.
$ENV{PGOPTIONS} = '-c synchronous_commit=local';

#
# The change tells all that is needed, or it does not and the customer is read
#
for my $case ([ q{tenure = 72 - tenure, letter = letter || ''}, 't', 'scored from the change' ],
	[ 'monthly_charges = 100 - monthly_charges', 'f', 'to be read' ])
{
	my ($change, $expected, $what) = @$case;
	my $name = "a commit that hangs, $what";
	my $customers = 'customer_id IN (SELECT customer_id FROM customers ORDER BY 1 LIMIT 50)';

	synchronous('nobody');
	my ($session, $pid) = commit_that_hangs("SET LOCAL synchronous_commit = on; UPDATE customers SET $change WHERE $customers");
	my $before = $node->safe_psql('postgres', "SELECT md5(string_agg(c::text, '' ORDER BY customer_id)) FROM customers c");
	my $applied = $node->safe_psql('postgres', q{SELECT churn_wait('0.5 s')});
	is($node->safe_psql('postgres', "SELECT md5(string_agg(c::text, '' ORDER BY customer_id)) FROM customers c"), $before,
		"$name: nobody sees the change");
	is($applied, $expected, "$name: the worker waits where it has to read");
	$node->safe_psql('postgres', "UPDATE customers SET tenure = 1 WHERE NOT $customers");
	cancel($session, $pid);
	synchronous('');
	caught_up($node, "$name: then it goes on");
	check_predictions($node, "$name: predictions");
	check_history($node, "$name: log and alerts");
}

# A rescan meanwhile must not read what was before
synchronous('nobody');
my ($session, $pid) = commit_that_hangs('SET LOCAL synchronous_commit = on;
	UPDATE customers SET monthly_charges = monthly_charges + 50');
my $rescan = $node->background_psql('postgres', on_error_stop => 0);
$rescan->query_until(qr/started/, "\\echo started\nSELECT churn_rescore('m');\n");
is($node->safe_psql('postgres', q{SELECT churn_wait('0.5 s')}), 'f', 'a rescan waits for what was decoded');
cancel($session, $pid);
synchronous('');
$rescan->query_until(qr/done/, "\\echo done\n");
$rescan->quit;
caught_up($node, 'then all is rescored');
check_predictions($node, 'rightly');

# Killed while it waits, the worker loses nothing
synchronous('nobody');
($session, $pid) = commit_that_hangs('SET LOCAL synchronous_commit = on;
	UPDATE customers SET tenure = 71 - tenure, monthly_charges = 7');
my $worker = worker_pid($node);
$node->safe_psql('postgres', "SELECT pg_terminate_backend($worker)");
another_worker($node, $worker);
cancel($session, $pid);
synchronous('');
caught_up($node, 'a worker that was ended while it waited');
check_predictions($node, 'has lost nothing');
check_history($node, 'nor doubled it');

#
# Prepared transactions
#
$node->safe_psql('postgres', q{BEGIN; UPDATE customers SET tenure = 33 WHERE hashtext(customer_id) % 3 = 0; PREPARE TRANSACTION 'one'});
$node->safe_psql('postgres', q{BEGIN; SAVEPOINT a; DELETE FROM customers WHERE hashtext(customer_id) % 3 = 1; RELEASE a; PREPARE TRANSACTION 'two'});
$node->safe_psql('postgres', q{BEGIN; UPDATE customers SET tenure = 44 WHERE hashtext(customer_id) % 3 = 2; PREPARE TRANSACTION 'three'});
caught_up($node, 'prepared transactions');
check_predictions($node, 'are not rescored');
$node->safe_psql('postgres', q{COMMIT PREPARED 'one'; ROLLBACK PREPARED 'three'});
caught_up($node, 'until they are committed');
check_predictions($node, 'then they are');
$node->restart;
caught_up($node, 'and after a restart');
$node->safe_psql('postgres', q{COMMIT PREPARED 'two'});
caught_up($node, 'another one');
check_predictions($node, 'is, too');
check_history($node, 'all once');

#
# VACUUM does not take away what the worker's snapshots see
#
$node->safe_psql('postgres', 'CREATE TABLE litter AS SELECT generate_series(1, 100) AS a');
stop_at($node, 'upsert', sub { $node->safe_psql('postgres', 'UPDATE customers SET tenure = 10, monthly_charges = 10') });
$worker = worker_pid($node);
is($node->safe_psql('postgres', "SELECT backend_xmin IS NOT NULL FROM pg_stat_activity WHERE pid = $worker"), 't',
	'the worker has a snapshot');
$node->safe_psql('postgres', 'DELETE FROM litter');
my ($status, $out, $err) = $node->psql('postgres', 'VACUUM (VERBOSE) litter');
like($err, qr/tuples: 0 removed, 100 remain, 100 are dead but not yet removable/, 'VACUUM respects it');
let_go($node);
caught_up($node, 'it is through');
$node->safe_psql('postgres', 'CREATE TABLE more AS SELECT 1');
($status, $out, $err) = $node->psql('postgres', 'VACUUM (VERBOSE) litter');
like($err, qr/tuples: 100 removed, 0 remain/, 'then it holds nothing back');
$node->safe_psql('postgres', 'VACUUM FULL churn.predictions; VACUUM churn.predictions; VACUUM FULL customers');
change_customers($node, 1);
caught_up($node, 'VACUUM of the predictions');
check_predictions($node, 'does not matter');

is($node->safe_psql('postgres', 'SELECT kind, message FROM churn.errors'), '', 'none of it is an error');
$node->stop;
no_signs_of_crash($node);
done_testing();
