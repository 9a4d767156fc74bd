# Live rescoring survives the end of any of its processes at any place: nothing
# is lost, nothing is done twice.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = stream_node('stream_crash');
make_customers($node, 500);
train($node);
watch($node);
caught_up($node, 'the first rescan');
check_predictions($node, 'all customers are scored');
check_history($node, 'and logged');
my $rescans = $node->safe_psql('postgres', 'TABLE churn.rescans');

my $round = 0;

# All must be as if nothing had happened.
sub check
{
	my ($name) = @_;

	caught_up($node, "$name: the stream goes on");
	check_predictions($node, "$name: predictions");
	check_history($node, "$name: log and alerts");
}

for my $point (qw(decode upsert commit confirm))
{
	$round++;
	kill_worker_at($node, $point, sub { change_customers($node, $round) });
	check("kill -9 of the worker at $point");

	# the server, by force
	$round++;
	stop_at($node, $point, sub { change_customers($node, $round) });
	let_go($node, reload => 0);
	kill_postmaster($node);
	$node->start;
	check("kill -9 of the postmaster at $point");

	# the server, in a hurry
	$round++;
	stop_at($node, $point, sub { change_customers($node, $round) });
	let_go($node, reload => 0);
	$node->stop('immediate');
	$node->start;
	check("immediate stop at $point");

	# the worker, in order
	$round++;
	stop_at($node, $point, sub { change_customers($node, $round) });
	my $pid = worker_pid($node);
	let_go($node);
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	check("pg_terminate_backend() of the worker at $point");
}

# the launcher, while the worker is at it
$round++;
stop_at($node, 'commit', sub { change_customers($node, $round) });
kill_process($node, launcher_pid($node));
let_go($node);
check('kill -9 of the launcher');

# a stop that waits for the worker
$round++;
stop_at($node, 'upsert', sub { change_customers($node, $round) });
let_go($node, reload => 0);
$node->restart;
check('restart');

is($node->safe_psql('postgres', 'TABLE churn.rescans'), $rescans, 'there was no other rescan');

# in the midst of the rescan after a promotion
train($node, promote => 'never', params => '{"rounds": 5}');
my $holder = $node->background_psql('postgres', on_error_stop => 0);
$holder->query_safe('BEGIN; LOCK TABLE customers');
$node->safe_psql('postgres', q{SELECT churn_promote('m', 2)});
my $worker = worker_pid($node);
$node->poll_query_until('postgres', "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $worker");
kill_process($node, $worker);
eval { $holder->quit };
check('kill -9 of the worker in a rescan');

is($node->safe_psql('postgres', q{SELECT count(*) FROM churn.errors}), 0, 'none of it is an error');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_replication_slots}), 1, 'there is one slot');
$node->stop;
no_signs_of_crash($node);
done_testing();
