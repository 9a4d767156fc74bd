# Copies of a database that is watched: by dump, in the same server or another
# one, they raise no alerts until they are told to.  And a server whose files
# were restored without the write-ahead log that its slot needs.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = stream_node('stream_copy');
make_customers($node, 500);
train($node);
watch($node);
caught_up($node, 'the first rescan');
change_customers($node, 1);
caught_up($node, 'some changes');
check_history($node, 'log and alerts of the original');
my $slot = $node->safe_psql('postgres', 'SELECT slot FROM churn.stream_status');
my $dump = $node->basedir . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('postgres') ], 'pg_dump');

my $other = PostgreSQL::Test::Cluster->new('stream_copy_other');
$other->init(allows_streaming => 1);
$other->append_conf('postgresql.conf', "shared_preload_libraries = 'churn'\nwal_level = logical\ntimezone = 'UTC'");
$other->start;

for my $server ($node, $other)
{
	my $where = $server == $node ? 'in the same server' : 'in another server';

	$server->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE template0');
	$server->command_ok([ 'pg_restore', '--exit-on-error', '-d', $server->connstr('copy'), $dump ], "pg_restore $where");
	$server->command_ok([ 'pg_restore', '--exit-on-error', '--clean', '--if-exists', '-d', $server->connstr('copy'), $dump ],
		"pg_restore --clean $where");
	is($server->safe_psql('copy', 'SELECT count(*) FROM churn.stream_position'), 0, 'carries no position');
	check_history($server, 'but the log and the alerts', database => 'copy');

	# Nobody asks for a worker there, but every server looks into each database
	# when it starts.
	$server->restart;
	ok($server->poll_query_until('copy', q{SELECT state = 'paused' FROM churn.stream_status}), 'the watches are paused');
	is($server->safe_psql('copy', 'SELECT watches, paused, slot FROM churn.stream_status'), '0|1|', 'all of them');
	my $alerts = $server->safe_psql('copy', 'SELECT count(*) FROM churn.alerts');
	cmp_ok($alerts, '>', 0, 'there are the alerts of the original');
	change_customers($server, 2, database => 'copy');
	like(error_of($server, q{SELECT churn_wait('10 s')}, 'copy'), qr/^55000: the watches of this database are paused/,
		'nobody waits');
	is($server->safe_psql('copy', 'SELECT count(*) FROM churn.alerts'), $alerts, 'changes raise none');
	is($server->safe_psql('copy', 'SELECT count(*) FROM churn.errors'), 0, 'that is no error');
	is($server->safe_psql('postgres', q{SELECT count(*) FROM pg_replication_slots WHERE database = 'copy'}), 0,
		'there is no slot');

	$server->safe_psql('copy', q{SELECT churn_watch('m')});
	ok($server->poll_query_until('copy', q{SELECT state = 'streaming' FROM churn.stream_status}), 'until it is watched there');
	caught_up($server, 'then changes are rescored', 'copy');
	check_predictions($server, 'predictions of the copy', database => 'copy');
	check_history($server, 'log and alerts of the copy', database => 'copy');
	change_customers($server, 3, database => 'copy');
	caught_up($server, 'and those that come', 'copy');
	check_predictions($server, 'are right', database => 'copy');
}
$other->stop;

caught_up($node, 'the original goes on');
check_predictions($node, 'with its own predictions');
is($node->safe_psql('postgres', 'SELECT count(*) FROM churn.errors'), 0, 'and no error');

# Unwatched while it is paused, a copy is none of anybody's business.
$node->safe_psql('postgres', 'CREATE DATABASE quiet TEMPLATE template0');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('quiet'), $dump ], 'another copy');
$node->psql('quiet', q{SELECT churn_wait('5 s')});
ok($node->poll_query_until('quiet', q{SELECT state = 'paused' FROM churn.stream_status}), 'is paused');
is($node->safe_psql('quiet', q{SELECT churn_unwatch('m')}), 1, 'and unwatched');
ok($node->poll_query_until('quiet', q{SELECT count(*) = 0 FROM churn.stream_status}), 'then it has no worker');
$node->safe_psql('postgres', 'DROP DATABASE quiet');

#
# The slot is there, but not all of the log that it holds: so it is after files
# were restored along with an archive of the log.
#
$node->safe_psql('copy', q{SELECT churn_unwatch('m')});
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM pg_replication_slots'), 'one slot is left');
stop_at($node, 'decode', sub { change_customers($node, 2) });
my $segment = $node->safe_psql('postgres', 'SELECT pg_walfile_name(restart_lsn) FROM pg_replication_slots');
$node->safe_psql('postgres', "CREATE TABLE filler$_ (); SELECT pg_switch_wal()") for 1 .. 3;
$node->safe_psql('postgres', 'CHECKPOINT');
let_go($node, reload => 0);
$node->stop;
unlink $node->data_dir . "/pg_wal/$segment" or die $!;
$node->start;
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM churn.errors WHERE kind = 'slot'}), 'the slot is made anew');
like($node->safe_psql('postgres', q{SELECT message FROM churn.errors WHERE kind = 'batch'}),
	qr/WAL segment .*$segment has already been removed/, 'since it misses a segment');
caught_up($node, 'the stream goes on');
check_predictions($node, 'all is rescored');
check_history($node, 'log and alerts');
$node->stop;

no_signs_of_crash($_) for ($node, $other);
done_testing();
