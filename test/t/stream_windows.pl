# Hourly windows count the champion's scores of changes: each once, however the
# worker ends, and all of them unless it crashes.  As many as the challenger
# has logged, which scores the same.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = stream_node('stream_windows');
make_customers($node, 500);
train($node);
train($node, promote => 'never', params => '{"rounds": 5, "learning_rate": 0.7}');
$node->safe_psql('postgres', q{SELECT churn_set_challenger('m', 2)});
watch($node);
caught_up($node, 'the first rescan');

my $round = 0;
my $lost = 0;

# Ends the worker in order, so that it writes what it has counted, and has the
# next one start at once.
sub end_worker
{
	return $node->restart;
}

# How many scores are counted, less those logged by the challenger, of which
# some are not any more.
sub difference
{
	return $node->safe_psql('postgres', <<"SQL");
SELECT coalesce((SELECT sum(rows) FROM churn.profiles WHERE model = 'm'), 0) - count(*) + $lost
FROM churn.prediction_log WHERE model = 'm' AND origin = 'shadow';
SQL
}

# All are counted.
sub check
{
	my ($name) = @_;

	caught_up($node, "$name: the stream goes on");
	end_worker();
	is(difference(), 0, "$name: each score is counted once");
}

end_worker();
is($node->safe_psql('postgres', 'SELECT count(*) FROM churn.profiles'), 0, 'it does not count');

change_customers($node, ++$round);
check('changes');
is($node->safe_psql('postgres', <<'SQL'), 't|t|t|t', 'windows are hours');
SELECT bool_and(window_start = date_trunc('hour', window_start, 'UTC')), bool_and(window_end = window_start + '1 hour'),
	bool_and(updated_at BETWEEN window_start AND window_end + '2 minutes'), bool_and(version = 1)
FROM churn.profiles;
SQL

# without anybody's doing they are written soon
my $before = $node->safe_psql('postgres', 'SELECT sum(rows) FROM churn.profiles');
change_customers($node, ++$round);
caught_up($node, 'more changes');
ok($node->poll_query_until('postgres', "SELECT sum(rows) > $before FROM churn.profiles"), 'they are written while the worker rests');
check('more changes');

for my $point (qw(decode upsert commit confirm))
{
	$round++;
	stop_at($node, $point, sub { change_customers($node, $round) });
	my $pid = worker_pid($node);
	let_go($node);
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	another_worker($node, $pid);
	check("pg_terminate_backend() at $point");

	$round++;
	stop_at($node, $point, sub { change_customers($node, $round) });
	$pid = worker_pid($node);
	let_go($node);
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
	another_worker($node, $pid);
	check("an error at $point");

	$round++;
	stop_at($node, $point, sub { change_customers($node, $round) });
	let_go($node, reload => 0);
	$node->restart;
	check("a restart of the server at $point");
}

# a crash loses what was counted and not written, and nothing else
for my $point (qw(upsert confirm))
{
	$round++;
	stop_at($node, $point, sub { change_customers($node, $round) });
	my $pid = worker_pid($node);
	let_go($node);
	kill_process($node, $pid);
	caught_up($node, "kill -9 at $point: the stream goes on");
	end_worker();
	cmp_ok(difference(), '<=', 0, "kill -9 at $point: nothing is counted twice");
	$lost -= difference();
	change_customers($node, ++$round);
	check("kill -9 at $point, and then");
}

# who holds the table does not hold up the end of the worker
change_customers($node, ++$round);
caught_up($node, 'changes before a lock');
my $holder = $node->background_psql('postgres', on_error_stop => 0);
$holder->query_safe('BEGIN; LOCK TABLE churn.profiles IN ROW EXCLUSIVE MODE');
my $pid = worker_pid($node);
is($node->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 60000)"), 't', 'the worker ends while the table is in use');
$holder->query_safe('ROLLBACK');
$holder->quit;
caught_up($node, 'and goes on');
end_worker();
cmp_ok(difference(), '<=', 0, 'nothing is counted twice');
$lost -= difference();

# a large transaction, which is counted before it commits, and taken back
$node->safe_psql('postgres', <<'SQL');
CREATE TEMP TABLE many AS SELECT c.* FROM (TABLE customers ORDER BY customer_id LIMIT 100) c, generate_series(1, 600);
UPDATE many SET customer_id = 'big ' || ctid::text;
INSERT INTO customers TABLE many;
SQL
check('a large transaction');
stop_at($node, 'commit', sub { $node->safe_psql('postgres', 'UPDATE customers SET tenure = (tenure + 1) % 73') });
$pid = worker_pid($node);
let_go($node);
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
another_worker($node, $pid);
check('a large transaction that is done again');
$node->safe_psql('postgres', q{DELETE FROM customers WHERE customer_id LIKE 'big %'});
caught_up($node, 'deletes');
end_worker();
is(difference(), 0, 'do not count');

# another version has windows of its own, from its promotion on; the one before
# is dropped by somebody who takes time
stop_at($node, 'decode', sub { change_customers($node, ++$round) });
$node->safe_psql('postgres', q{SELECT churn_promote('m', 2)});
$holder = $node->background_psql('postgres', on_error_stop => 0);
$holder->query_safe(q{BEGIN; SELECT churn_drop_model('m', 1)});
let_go($node);
caught_up($node, 'the version before is being dropped: the stream goes on');
check_predictions($node, 'with the new one');
$holder->query_safe('COMMIT');
$holder->quit;
$node->safe_psql('postgres', 'UPDATE customers SET tenure = (tenure + 5) % 73');
caught_up($node, 'changes after the promotion');
end_worker();
is($node->safe_psql('postgres', q{SELECT version, sum(rows) = (SELECT count(*) FROM customers) FROM churn.profiles GROUP BY version}),
	'2|t', 'windows of the version before are gone, and the changes since count for the new one');

# the end of the last watch writes what there is; the end of the model forgets it
$node->safe_psql('postgres', 'UPDATE customers SET tenure = (tenure + 5) % 73');
caught_up($node, 'changes before the end of the watch');
$node->safe_psql('postgres', q{SELECT churn_unwatch('m')});
$node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM churn.stream_status');
is($node->safe_psql('postgres', 'SELECT sum(rows) = 2 * (SELECT count(*) FROM customers) FROM churn.profiles'), 't', 'churn_unwatch() loses no count');
$node->safe_psql('postgres', q{SELECT churn_watch('m')});
caught_up($node, 'watched again');
$node->safe_psql('postgres', 'UPDATE customers SET tenure = (tenure + 5) % 73');
caught_up($node, 'changes before the model is dropped');
$node->safe_psql('postgres', q{SELECT churn_drop_model('m')});
$node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM churn.stream_status');
is($node->safe_psql('postgres', 'SELECT count(*) FROM churn.profiles'), 0, 'churn_drop_model() leaves none');

is($node->safe_psql('postgres', q{SELECT count(*) FROM churn.errors WHERE message <> 'canceling statement due to user request'}), 0, 'there are no other errors');
$node->stop;
no_signs_of_crash($node);
done_testing();
