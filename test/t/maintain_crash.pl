# Whatever ends a call of churn_maintain() at any step, another call brings about
# what one call would have.
use strict;
use warnings;

use ChurnTest;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = churn_node('maintain_crash', conf => <<'EOC');
shared_preload_libraries = 'churn'
max_prepared_transactions = 0
EOC
my $debugged = 0;

# Two models in a database that is copied for each test.  Of one the data have
# changed so much that a challenger takes over, the other one has lost its source.
$node->safe_psql('postgres', 'CREATE DATABASE base');
$node->safe_psql('base', 'CREATE EXTENSION churn');
make_customers($node, 1500, database => 'base');
train($node, database => 'base');
$node->safe_psql('base', <<'SQL');
SET client_min_messages = warning;
CREATE TABLE lost AS TABLE customers;
SELECT version FROM churn_train('lost', 'churn', key => 'customer_id', model => 'a_lost', params => '{"rounds": 5}',
	algorithm => 'xgboost', options => '{"folds": 0}');
DROP TABLE lost;
UPDATE customers SET monthly_charges = monthly_charges * 1.5;
UPDATE customers SET churn = CASE WHEN (monthly_charges > 90) = (churn = 'No') THEN 'Yes' ELSE 'No' END;
SELECT churn_set_policy('m', 'retrain_and_promote'), churn_set_policy('a_lost');
SQL

# Makes a copy of the database.
sub fresh
{
	my ($name) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE base");
	return $name;
}

# What has become of the models: versions, deployments, checks, alerts, and what
# each step came to, less the attempts that were interrupted.
sub state_of
{
	my ($database) = @_;

	return $node->safe_psql($database, <<'SQL');
SELECT name, champion, last_version FROM churn.models ORDER BY name;
SELECT model, version, encode(sha256, 'hex') FROM churn.model_versions ORDER BY model, version;
SELECT model, version, why FROM churn.deployments ORDER BY deployment_id;
SELECT model, version, feature, statistic, value, p_value, drifted, count(*) FROM churn.drift
	GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4;
SELECT model, source, kind, feature, count(*) FROM churn.data_issues GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;
SELECT kind, model, version, message FROM churn.alerts ORDER BY alert_id;
SELECT model, step, state, version, message FROM churn.maintenance_log WHERE NOT coalesce(detail ? 'interrupted', false) ORDER BY step_id;
SELECT count(DISTINCT run_id) FROM churn.maintenance_log;
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory';
SELECT relname FROM pg_class WHERE relname ~ '^prediction_log_' ORDER BY 1;
SQL
}

# Calls churn_maintain() in the background until it stops at a point; returns
# the client and the process that serves it.
sub stopped_call
{
	my ($database, $point) = @_;
	my $offset = -s $node->logfile;
	my $client;

	$node->append_conf('postgresql.conf', "churn.debug_point = '$point'");
	$node->reload;
	{
		local %ENV = $node->_get_env();
		my ($out, $err);
		$client = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr($database), '-c', 'CALL churn_maintain(force => true)' ],
			'<', \undef, '>', \$out, '2>', \$err);
	}
	$node->wait_for_log(qr/session stops at debug point "$point"/, $offset);
	return ($client, $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE datname = '$database' AND query ~ '^CALL'"));
}

# Ends the process by a signal as from outside, which restarts the server, or by
# a function of the server's; then no call stops any more.
sub end_call
{
	my ($how, $client, $pid) = @_;
	my $offset = -s $node->logfile;

	if ($how eq 'kill')
	{
		kill 'KILL', $pid;
		$node->wait_for_log(qr/all server processes terminated; reinitializing/, $offset);
		$node->poll_query_until('postgres', 'SELECT true');
	}
	else
	{
		$node->safe_psql('postgres', "SELECT pg_${how}_backend($pid)");
	}
	$client->finish;
	$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE query ~ '^CALL'});
	let_go($node);
}

# Has a call ended at a point, and another one end the work.
sub disturbed
{
	my ($expected, $how, $point) = @_;
	my $database = fresh('d' . ++$debugged);

	end_call($how, stopped_call($database, $point));
	is($node->safe_psql($database, q{SELECT count(*) FROM churn.maintenance_log WHERE state = 'running'}), 1,
		"$how at $point: a step has not ended");
	is($node->safe_psql($database, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}), 0, 'the lock is free');
	$node->safe_psql($database, 'CALL churn_maintain(force => true)');
	is($node->safe_psql($database, q{SELECT count(*) FROM churn.maintenance_log WHERE message = 'interrupted'}), 1,
		'the next call says so');
	is(state_of($database), $expected, 'and all is as if nothing had happened');
	$node->safe_psql('postgres', "DROP DATABASE $database");
}

my $undisturbed = fresh('undisturbed');
my $told = $node->safe_psql($undisturbed, "LISTEN churn_alerts;\nCALL churn_maintain(force => true);");
my $expected = state_of($undisturbed);
like($told, qr/Asynchronous notification "churn_alerts" with payload "\{"kind": "$_", "count": 1\}"/, "a notification of kind $_")
  for qw(drift maintenance);
like($expected, qr/^m\|promote\|done\|2\|/m, 'undisturbed, a challenger takes over');
like($expected, qr/^a_lost\|validate\|failed\|/m, 'and a model fails');

for my $step (qw(validate drift measure retrain compare promote alert purge partitions))
{
	# before the step, and when all is done but the commit
	disturbed($expected, 'kill', "maintain $step");
	disturbed($expected, 'kill', "maintain $step end");
	disturbed($expected, 'terminate', "maintain $step end");
}
disturbed($expected, 'cancel', 'maintain validate');
disturbed($expected, 'cancel', 'maintain retrain end');

{
	my $database = fresh('stopped');
	my ($client) = stopped_call($database, 'maintain compare');

	let_go($node, reload => 0);
	$node->stop('immediate');
	$client->finish;
	$node->start;
	$node->safe_psql($database, 'CALL churn_maintain(force => true)');
	is(state_of($database), $expected, 'immediate stop of the server');
}

# what ends the server each time is left alone after three times
{
	my $database = fresh('thrice');

	end_call('kill', stopped_call($database, 'maintain retrain')) for 1 .. 3;
	$node->safe_psql($database, 'CALL churn_maintain(force => true)');
	is($node->safe_psql($database, q{SELECT step, state, message FROM churn.maintenance_log WHERE model = 'm' AND step IN ('retrain', 'compare')}),
		join("\n", ('retrain|failed|interrupted') x 3), 'a step that was interrupted three times has failed');
	is($node->safe_psql($database, q{SELECT message FROM churn.alerts WHERE model = 'm' AND kind = 'maintenance'}),
		'step retrain failed: interrupted', 'an alert tells it');
	is($node->safe_psql($database, q{SELECT count(*) FROM churn.model_versions WHERE model = 'm'}), 1, 'nothing was trained');
}

# one call at a time in a database; in another one there may be another
{
	my $database = fresh('first');
	my $other = fresh('second');
	my ($client, $pid) = stopped_call($database, 'maintain drift');
	my ($status, $out, $err) = $node->psql($database, 'CALL churn_maintain(force => true)');

	is($status, 0, 'another call returns');
	like($err, qr/NOTICE:  churn_maintain\(\) is running in this database already/, 'with a notice');
	is($node->safe_psql($database, q{SELECT count(*) FROM churn.maintenance_log WHERE state = 'running'}), 1, 'the first one goes on');
	is($node->safe_psql($database, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 99 AND objid = 1752527470
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())}), 1, 'it holds the lock');
	let_go($node);
	$client->finish;
	is(state_of($database), $expected, 'to its end');
	$node->safe_psql($other, 'CALL churn_maintain(force => true)');
	is(state_of($other), $expected, 'another database has its own');
}

# a session that was cancelled has no lock, and can call again
{
	my $database = fresh('same_session');
	my $session = $node->background_psql($database, on_error_stop => 0);
	my $pid = $session->query('SELECT pg_backend_pid()');

	$node->append_conf('postgresql.conf', q{churn.debug_point = 'maintain compare end'});
	$node->reload;
	my $offset = -s $node->logfile;
	$session->query_until(qr/started/, "\\echo started\nCALL churn_maintain(force => true);\n");
	$node->wait_for_log(qr/session stops at debug point "maintain compare end"/, $offset);
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
	$node->poll_query_until('postgres', "SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $pid");
	is($node->safe_psql($database, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}), 0, 'a cancelled session has no lock');
	let_go($node);
	$session->query('CALL churn_maintain(force => true)');
	$session->quit;
	is(state_of($database), $expected, 'and can call again');
}

no_signs_of_crash($node);
$node->stop;
done_testing();
