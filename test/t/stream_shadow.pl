# A challenger scores every change once in the shadow of the champion, whatever
# ends the worker, and never disturbs it.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = stream_node('stream_shadow');
make_customers($node, 500);
train($node);
train($node, promote => 'never', params => '{"rounds": 5, "learning_rate": 0.7}');
$node->safe_psql('postgres', q{SELECT churn_set_challenger('m', 2)});
watch($node);
caught_up($node, 'the first rescan');
is($node->safe_psql('postgres', q{SELECT DISTINCT version, origin FROM churn.prediction_log}), '1|batch',
	'which the challenger has no part in');

my $round = 0;
my $challenger = 2;

# All must be as if nothing had happened.
sub check
{
	my ($name) = @_;

	caught_up($node, "$name: the stream goes on");
	check_predictions($node, "$name: predictions");
	check_history($node, "$name: log and alerts");
	check_shadow($node, "$name: shadow", version => $challenger);
}

change_customers($node, ++$round);
check('changes');

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
}
is($node->safe_psql('postgres', q{SELECT count(*) FROM churn.errors}), 0, 'none of it is an error');

# promoted while the worker is at changes of before; then it is the other's turn,
# for what comes later
$round++;
$node->safe_psql('postgres', 'TRUNCATE churn.prediction_log, churn.alerts');
stop_at($node, 'commit', sub { change_customers($node, $round) });
$node->safe_psql('postgres', q{BEGIN; SELECT churn_promote('m', 2); SELECT churn_set_challenger('m', 1); COMMIT});
$node->safe_psql('postgres', q{UPDATE customers SET tenure = tenure + 1 WHERE hashtext(customer_id) % 5 = 1});
kill_process($node, worker_pid($node));
let_go($node);
caught_up($node, 'kill -9 while the challenger is promoted: the stream goes on');
check_predictions($node, 'predictions are those of the new champion');
is($node->safe_psql('postgres', <<'SQL'), '0|0|0|t', 'each score has the other version beside it');
SELECT count(*) FILTER (WHERE s.customer_key IS NULL), count(*) FILTER (WHERE s.n > 1),
	count(*) FILTER (WHERE s.version = l.version), count(*) > 0
FROM churn.prediction_log l LEFT JOIN
	(SELECT *, count(*) OVER (PARTITION BY customer_key, lsn, version) AS n FROM churn.prediction_log WHERE origin = 'shadow') s
	USING (customer_key, scored_at, lsn)
WHERE l.origin = 'stream';
SQL
is($node->safe_psql('postgres', <<'SQL'), 't|0', 'and the changes after it are scored by both');
SELECT count(*) FILTER (WHERE s.score = churn_score(c, 'm', 1)) > 0, count(*) FILTER (WHERE s.score <> churn_score(c, 'm', 1))
FROM customers c JOIN (SELECT DISTINCT ON (customer_key) * FROM churn.prediction_log
	WHERE origin = 'shadow' AND version = 1 ORDER BY customer_key, scored_at DESC) s ON s.customer_key = c.customer_id
WHERE hashtext(c.customer_id) % 5 = 1;
SQL

# what goes wrong with the challenger goes wrong with it alone, also while the
# worker is killed
train($node, promote => 'never', transform => '{"bad": "1.0 / (1000 - tenure)"}');
$node->safe_psql('postgres', q{SELECT churn_set_challenger('m', 3)});
caught_up($node, 'another challenger');
$node->safe_psql('postgres', 'TRUNCATE churn.prediction_log, churn.alerts, churn.errors');
$round++;
stop_at($node, 'upsert', sub { $node->safe_psql('postgres', 'UPDATE customers SET tenure = CASE hashtext(customer_id) % 2 WHEN 0 THEN 1000 ELSE tenure + 1 END') });
kill_process($node, worker_pid($node));
let_go($node);
caught_up($node, 'one that fails for every other row, and kill -9: the stream goes on');
check_predictions($node, 'predictions');
is($node->safe_psql('postgres', <<'SQL'), 't|t|t', 'each row has a score of the challenger or an error');
SELECT count(*) FILTER (WHERE tenure = 1000) = (SELECT count(*) FROM churn.errors WHERE kind = 'row' AND message = 'challenger, version 3: division by zero'),
	count(*) FILTER (WHERE tenure <> 1000) = (SELECT count(*) FROM churn.prediction_log WHERE origin = 'shadow'),
	count(*) > 100
FROM customers;
SQL

# dropped while the worker is at it
$round++;
$node->safe_psql('postgres', 'TRUNCATE churn.errors');
stop_at($node, 'commit', sub { change_customers($node, $round) });
$node->safe_psql('postgres', q{SELECT churn_drop_model('m', 3)});
kill_process($node, worker_pid($node));
let_go($node);
caught_up($node, 'kill -9 while the challenger is dropped: the stream goes on');
check_predictions($node, 'predictions');
is($node->safe_psql('postgres', q{SELECT count(*) FROM churn.errors WHERE kind <> 'row'}), 0, 'the others go on without it');

# without a log there is nothing to write
$node->safe_psql('postgres', q{SELECT churn_set_challenger('m', 1)});
$node->append_conf('postgresql.conf', q{churn.log_retention = 0});
$node->reload;
$node->poll_query_until('postgres', q{SELECT current_setting('churn.log_retention') = '0'});
$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . worker_pid($node) . ')');
$node->safe_psql('postgres', q{TRUNCATE churn.prediction_log, churn.alerts});
change_customers($node, ++$round);
caught_up($node, 'churn.log_retention = 0: the stream goes on');
check_predictions($node, 'predictions');
is($node->safe_psql('postgres', q{SELECT count(*) FROM churn.prediction_log}), 0, 'there is no log');

$node->stop;
no_signs_of_crash($node);
done_testing();
