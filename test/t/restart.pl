# What is committed scores the same after a crash, what is not is gone.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = churn_node('restart');
make_customers($node, 3000);
is(train($node), 1, 'first version');
is(train($node, params => '{"rounds": 40, "max_depth": 6}', promote => 'never'), 2, 'second version');
$node->safe_psql('postgres', q{SELECT churn_rescore('m')});

my $first = fingerprint($node);

# Kills the backend of a session and waits until the server is up again.
sub kill_backend
{
	my ($session) = @_;
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	my $offset = -s $node->logfile;

	is(kill('KILL', $pid), 1, "kill -9 of backend $pid");
	$session->{run}->finish;
	$node->wait_for_log(qr/all server processes terminated; reinitializing/, $offset);
	ok($node->poll_query_until('postgres', 'SELECT true'), 'the server is up again');
}

# A clean restart.
$node->restart;
is(fingerprint($node), $first, 'same scores after a restart');

# A backend that has scored, with a cursor half read.
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe('BEGIN');
$session->query_safe('DECLARE c CURSOR FOR SELECT churn_score(c) FROM customers c');
isnt($session->query_safe('FETCH 10 FROM c'), '', 'a cursor scores');
kill_backend($session);
is(fingerprint($node), $first, 'same scores after kill -9 of a scoring backend');

# A backend that has promoted and rescored, but not committed.
$session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe('BEGIN');
$session->query_safe(q{SELECT churn_promote('m', 2)});
cmp_ok($session->query_safe(q{SELECT churn_rescore('m')}), '>', 0, 'rescored in the transaction');
isnt($session->query_safe(q{SELECT md5(string_agg(churn_score(c)::text, ',' ORDER BY customer_id)) FROM customers c}),
	$node->safe_psql('postgres', q{SELECT md5(string_agg(churn_score(c)::text, ',' ORDER BY customer_id)) FROM customers c}),
	'the transaction sees its own champion');
kill_backend($session);
is(fingerprint($node), $first, 'an uncommitted promotion is gone');
is($node->safe_psql('postgres', q{SELECT count(*) FROM churn.predictions p JOIN customers c ON p.customer_key = c.customer_id
	WHERE p.version = 1 AND p.score = churn_score(c)}), 3000, 'so are its predictions');

# A backend that has promoted and committed: kept without any checkpoint.
$node->safe_psql('postgres', q{SELECT churn_promote('m', 2)});
my $second = fingerprint($node);
isnt($second, $first, 'the second version scores differently');
$session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe(q{SELECT churn_score(c) FROM customers c LIMIT 1});
kill_backend($session);
is(fingerprint($node), $second, 'a committed promotion is kept');

# An immediate stop with a promotion and a new version under way.
$session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe('BEGIN');
$session->query_safe(q{SELECT churn_promote('m', 1)});
my $trainer = $node->background_psql('postgres', on_error_stop => 0);
$trainer->query_safe('BEGIN');
is($trainer->query_safe(q{SET client_min_messages = warning;
	SELECT version FROM churn_train('customers', 'churn', model => 'other', params => '{"rounds": 5}', algorithm => 'xgboost', options => '{"folds": 0}')}),
	1, 'a model is trained in a transaction');
is(train($node, model => 'kept'), 1, 'another is committed');
my $kept = fingerprint($node, model => 'kept');
$node->stop('immediate');
$_->{run}->finish for ($session, $trainer);
$node->start;
is(fingerprint($node), $second, 'an immediate stop changes no score');
is(fingerprint($node, model => 'kept'), $kept, 'a version committed just before it is there');
is($node->safe_psql('postgres', 'SELECT string_agg(name, \',\' ORDER BY name) FROM churn.models'), 'kept,m',
	'a model that was not committed is not');
is($node->safe_psql('postgres', q{SELECT count(*) FROM churn.deployments d WHERE d.model = 'm' AND upper_inf(d.during)
	AND d.version = (SELECT champion FROM churn.models WHERE name = 'm')}), 1, 'the registry agrees with itself');
is(train($node), 3, 'numbers go on');

$node->stop;
done_testing();
