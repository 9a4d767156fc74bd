# Live rescoring without its replication slot: however that was lost, the worker
# makes another one, scores all customers again and says so.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = stream_node('stream_slot', conf => <<'EOC');
max_wal_size = 64MB
checkpoint_timeout = 1h
EOC
make_customers($node, 500);
train($node);
watch($node);
caught_up($node, 'the first rescan');

my $round = 0;
my $errors = 0;
my $slot = $node->safe_psql('postgres', 'SELECT slot FROM churn.stream_status');
is($node->safe_psql('postgres', q{SELECT count(*) FROM churn.errors}), 0, 'a first slot is no error');

# When a slot began.
sub slot_began
{
	my ($server) = @_;
	return $server->safe_psql('postgres', 'SELECT created_lsn FROM churn.stream_position');
}

# A slot was made anew, all is rescored, and the table of errors says why.
sub check
{
	my ($server, $name, $reason) = @_;

	caught_up($server, "$name: the stream goes on");
	check_predictions($server, "$name: predictions");
	check_history($server, "$name: log and alerts");
	is($server->safe_psql('postgres', 'SELECT message FROM churn.errors ORDER BY error_id DESC LIMIT 1'),
		"the slot was made anew: $reason", "$name: the error");
	is($server->safe_psql('postgres', 'SELECT sqlstate, kind FROM churn.errors ORDER BY error_id DESC LIMIT 1'),
		'55000|slot', "$name: its kind");
	is($server->safe_psql('postgres', 'SELECT reason FROM churn.rescans'), $reason, "$name: the rescan");
	is($server->safe_psql('postgres', q{SELECT count(*) FROM churn.errors WHERE kind = 'slot'}), ++$errors,
		"$name: there is one error");
	is($server->safe_psql('postgres', 'SELECT state, slot_status, lag_bytes >= 0 FROM churn.stream_status'),
		'streaming|reserved|t', "$name: the status");
}

# Writes a segment of WAL, each time.
sub write_segments
{
	my ($server, $count) = @_;
	$server->safe_psql('postgres', 'CREATE TABLE IF NOT EXISTS filler (a int)');
	$server->safe_psql('postgres', "INSERT INTO filler VALUES ($_); SELECT pg_switch_wal()") for 1 .. $count;
}

#
# By hand: the worker holds it but for moments, so this takes some attempts.
#
my $dropped = 0;
for (1 .. 100)
{
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'churn worker'");
	last if $dropped = $node->psql('postgres', "SELECT pg_drop_replication_slot('$slot')") == 0;
}
ok($dropped, 'a slot is dropped by hand');
change_customers($node, ++$round);
check($node, 'dropped by hand', 'the replication slot is gone');
change_customers($node, ++$round);
caught_up($node, 'it streams again');
check_predictions($node, 'predictions follow changes again');

# Another one of that name is none of ours, and stays.
$node->append_conf('postgresql.conf', q{shared_preload_libraries = ''});
$node->restart;
$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('$slot');
	SELECT pg_create_logical_replication_slot('$slot', 'test_decoding')");
change_customers($node, ++$round);
$node->append_conf('postgresql.conf', q{shared_preload_libraries = 'churn'});
$node->restart;
ok($node->poll_query_until('postgres', q{SELECT last_error ~ 'is somebody else''s' FROM churn.stream_status}),
	'the status tells of a slot that somebody else made');
is($node->safe_psql('postgres', "SELECT plugin FROM pg_replication_slots WHERE slot_name = '$slot'"), 'test_decoding',
	'which is left alone');
$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('$slot')");
check($node, 'made by somebody else', 'the replication slot is gone');

#
# Invalidated by the server, which ends the worker for it.
#
$node->append_conf('postgresql.conf', "max_slot_wal_keep_size = 16MB");
$node->reload;
stop_at($node, 'decode', sub { change_customers($node, ++$round) });
my $offset = -s $node->logfile;
write_segments($node, 4);
let_go($node, reload => 0);
$node->safe_psql('postgres', 'CHECKPOINT');
like(slurp_file($node->logfile, $offset), qr/invalidating (obsolete replication )?slot "$slot"/, 'the server invalidates the slot');
$node->reload;
check($node, 'invalidated', 'the server invalidated the replication slot');
$node->append_conf('postgresql.conf', "max_slot_wal_keep_size = -1");

#
# Dropped for the WAL that it holds, while an old transaction is open: a new
# one waits for its end.
#
$node->append_conf('postgresql.conf', "churn.max_wal_lag = 32MB");
$node->reload;
my $old = $node->background_psql('postgres');
$old->query_safe('BEGIN; CREATE TABLE old (); SELECT pg_backend_pid()');
my $old_pid = $old->query_safe('SELECT pg_backend_pid()');
stop_at($node, 'decode', sub { change_customers($node, ++$round) });
my $pid = worker_pid($node);
$offset = -s $node->logfile;
write_segments($node, 4);
ok($node->wait_for_log(qr/dropped replication slot "$slot", which held too much WAL/, $offset), 'the launcher drops the slot');
let_go($node);
isnt(another_worker($node, $pid), $pid, 'and ends the worker, after which another one comes');
$node->poll_query_until('postgres', q{SELECT state = 'creating slot' FROM churn.stream_status});
is($node->safe_psql('postgres', 'SELECT waits_for FROM churn.stream_status'), "{$old_pid}", 'it waits for the old transaction');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_replication_slots'), 0, 'without a slot');
is($node->safe_psql('postgres', q{SELECT churn_wait('0.3 s')}), 'f', 'for as long as that takes');
change_customers($node, ++$round);
write_segments($node, 4);
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_replication_slots'), 0, 'and holds no WAL meanwhile');
$old->query_safe('COMMIT');
$old->quit;
check($node, 'dropped for its WAL', 'the replication slot is gone');
$node->append_conf('postgresql.conf', "churn.max_wal_lag = 4GB");
$node->reload;

#
# A base backup has the position but no slot; a standby, no slot either.
#
my $identifier = $node->safe_psql('postgres', 'SELECT system_identifier FROM pg_control_system()');
$node->backup('base');
my $restored = PostgreSQL::Test::Cluster->new('stream_slot_restored');
$restored->init_from_backup($node, 'base');
my $standby = PostgreSQL::Test::Cluster->new('stream_slot_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
change_customers($node, ++$round);
caught_up($node, 'the primary does not mind backups');
$node->wait_for_catchup($standby, 'replay');
check_predictions($standby, 'a standby has the predictions of its primary');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM churn.stream_status'), 0, 'but no stream');
my $errors_before = $errors;

$restored->start;
is($restored->safe_psql('postgres', 'SELECT system_identifier FROM pg_control_system()'), $identifier,
	'a restored backup is the same system');
change_customers($restored, ++$round);
check($restored, 'restored', 'the replication slot is gone');
$restored->stop;

$errors = $errors_before;
stop_at($node, 'upsert', sub { change_customers($node, ++$round) });
$node->wait_for_catchup($standby, 'replay');
$node->stop('immediate');
let_go($standby, reload => 0);
$standby->promote;
change_customers($standby, ++$round);
check($standby, 'promoted', 'the replication slot is gone');
change_customers($standby, ++$round);
caught_up($standby, 'it streams on');
check_predictions($standby, 'and rescores what changes');
$standby->stop;

no_signs_of_crash($_) for ($node, $restored, $standby);
done_testing();
