# What the TAP tests of churn share.
package ChurnTest;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
  churn_node
  make_customers
  train
  fingerprint
  error_of
  no_panic
  stream_node
  kill_postmaster
  kill_process
  kill_worker_at
  watch
  caught_up
  change_customers
  stop_at
  let_go
  worker_pid
  launcher_pid
  another_worker
  check_predictions
  check_history
  check_shadow
  no_signs_of_crash
  start_clients
  stop_clients
);

# Makes a server, starts it unless told not to, and creates the extension in
# the database postgres.  More settings may be given as lines.
sub churn_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(allows_streaming => 1);
	$node->append_conf('postgresql.conf', <<"EOC");
max_prepared_transactions = 10
restart_after_crash = on
timezone = 'UTC'
@{[ $options{conf} // '' ]}
EOC
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION churn');
	return $node;
}

# Makes a table of generated customers with a primary key.
sub make_customers
{
	my ($node, $rows, %options) = @_;
	my $table = $options{table} // 'customers';
	my $seed = $options{seed} // 1;

	$node->safe_psql($options{database} // 'postgres', <<"SQL");
CREATE TABLE $table AS SELECT * FROM churn_sample_customers($rows, $seed);
ALTER TABLE $table ADD PRIMARY KEY (customer_id);
ANALYZE $table;
SQL
}

# Trains a version, quickly; returns its number.
sub train
{
	my ($node, %options) = @_;
	my $table = $options{table} // 'customers';
	my $model = $options{model} // 'm';
	my $params = $options{params} // '{"rounds": 20}';
	my $promote = $options{promote} // 'always';
	my $transform = $options{transform} // '{}';
	my $key = $options{key} ? "'$options{key}'" : 'NULL';

	return $node->safe_psql($options{database} // 'postgres', <<"SQL");
SET client_min_messages = warning;
SELECT version FROM churn_train('$table', 'churn', model => '$model',
	key => $key, params => '$params', transform => '$transform', algorithm => 'xgboost',
	options => '{"folds": 0, "promote": "$promote"}');
SQL
}

# One digest of the scores, margins and decisions of all customers, exact to
# the last bit, by the model's champion.
sub fingerprint
{
	my ($node, %options) = @_;
	my $table = $options{table} // 'customers';
	my $model = $options{model} // 'm';
	my $digest = $node->safe_psql($options{database} // 'postgres', <<"SQL");
SELECT md5(string_agg(concat_ws(' ', customer_id, churn_margin(c, '$model'),
	churn_score(c, '$model'), churn_predict(c, '$model')), ',' ORDER BY customer_id))
FROM $table c;
SQL
	die 'no customer to score' if $digest eq '';
	return $digest;
}

# The SQLSTATE and message of a statement's error; '' if there is none.
sub error_of
{
	my ($node, $sql, $database) = @_;
	my ($status, $out, $err) = $node->psql($database // 'postgres', $sql,
		extra_params => [ '-v', 'VERBOSITY=verbose' ]);

	return '' if $status == 0;
	return $err =~ /ERROR:  (.*)/ ? $1 : "no error, but: $err";
}

# A test that the server's log tells of no crash.
sub no_panic
{
	my ($node) = @_;
	my $log = slurp_file($node->logfile);

	unlike($log, qr/PANIC|TRAP:|was terminated by signal|stack smashing|AddressSanitizer/,
		'log of ' . $node->name . ' tells of no crash');
}

#
# Live rescoring
#

# Makes a server that streams.
sub stream_node
{
	my ($name, %options) = @_;

	return churn_node($name, conf => <<"EOC");
shared_preload_libraries = 'churn'
wal_level = logical
max_replication_slots = 4
@{[ $options{conf} // '' ]}
EOC
}

# Kills the postmaster, and waits until it and its children are gone.
sub kill_postmaster
{
	my ($node) = @_;
	my $pid = $node->{_pid};
	my @children = split /\n/, $node->safe_psql('postgres', 'SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()');

	$node->kill9;
	for my $process ($pid, @children)
	{
		my $tries = 10 * $PostgreSQL::Test::Utils::timeout_default;

		# none of them is a child of ours, that could be waited for otherwise
		select undef, undef, undef, 0.1 while kill(0, $process) && --$tries;
		die "process $process does not end" if !$tries;
	}
}

# Watches the table customers by a model trained on it, with a rule that raises
# an alert for each score that is new.
sub watch
{
	my ($node, %options) = @_;
	my $model = $options{model} // 'm';

	$node->safe_psql($options{database} // 'postgres', <<"SQL");
SELECT churn_add_alert_rule('$model', 'previous_score IS NULL OR score <> previous_score', name => 'each');
SELECT churn_watch('$model');
SQL
}

# Whether all that was committed is rescored in time.
sub caught_up
{
	my ($node, $name, $database) = @_;
	my $timeout = $PostgreSQL::Test::Utils::timeout_default;
	my ($status, $out, $err) = $node->psql($database // 'postgres', "SELECT churn_wait('$timeout s')");
	my $done = $status == 0 && $out eq 't';

	ok($done, $name);
	diag($err, $node->safe_psql($database // 'postgres', 'TABLE churn.stream_status; TABLE churn.errors'))
	  if !$done;
	return $done;
}

# Changes customers in all the ways there are; the number tells one round from
# another.  No key that was deleted comes again.
sub change_customers
{
	my ($node, $round, %options) = @_;
	my $table = $options{table} // 'customers';

	$node->safe_psql($options{database} // 'postgres', <<"SQL");
SET client_min_messages = warning;
UPDATE $table SET tenure = (tenure + 7 * $round) % 73, monthly_charges = monthly_charges + 1
	WHERE hashtext(customer_id) % 5 = 0;
BEGIN;
UPDATE $table SET contract = CASE contract WHEN 'Month-to-month' THEN 'Two year' ELSE 'Month-to-month' END
	WHERE hashtext(customer_id) % 7 = 0;
SAVEPOINT a;
UPDATE $table SET tenure = 0;
DELETE FROM $table WHERE hashtext(customer_id) % 3 = 0;
ROLLBACK TO a;
SAVEPOINT b;
UPDATE $table SET total_charges = tenure * monthly_charges WHERE hashtext(customer_id) % 11 = 0;
COMMIT;
DELETE FROM $table WHERE hashtext(customer_id || 'd$round') % 50 = 0;
CREATE TEMP TABLE fresh AS TABLE $table LIMIT 20;
UPDATE fresh SET customer_id = customer_id || ' $round', tenure = $round;
INSERT INTO $table SELECT * FROM fresh;
UPDATE $table SET customer_id = customer_id || ' moved $round'
	WHERE hashtext(customer_id || 'm$round') % 50 = 0;
SQL
}

# Has the worker stop at a debug point when it is given something to do.
sub stop_at
{
	my ($node, $point, $action) = @_;
	my $offset = -s $node->logfile;

	$node->append_conf('postgresql.conf', "churn.debug_point = '$point'");
	$node->reload;
	$action->();
	return $node->wait_for_log(qr/churn worker stops at debug point "$point"/, $offset);
}

# Has the worker stop nowhere; without reload when the server starts next.
sub let_go
{
	my ($node, %options) = @_;

	$node->append_conf('postgresql.conf', q{churn.debug_point = ''});
	$node->reload if $options{reload} // 1;
}

# Kills a process; the server starts all others again.  A debug point, which
# the postmaster knows of, holds the next worker, too, if it gets there.
# Returns where the server's log ended before.
sub kill_process
{
	my ($node, $pid) = @_;
	my $offset = -s $node->logfile;

	kill 'KILL', $pid;
	$node->wait_for_log(qr/all server processes terminated; reinitializing/, $offset);
	$node->poll_query_until('postgres', 'SELECT true');
	return $offset;
}

# Kills the worker at a debug point that the action brings it to, twice where
# the same work is before it again.
sub kill_worker_at
{
	my ($node, $point, $action) = @_;

	stop_at($node, $point, $action);
	my $offset = kill_process($node, worker_pid($node));
	if ($point ne 'confirm')
	{
		$node->wait_for_log(qr/churn worker stops at debug point "$point"/, $offset);
		kill_process($node, worker_pid($node));
	}
	let_go($node);
	return;
}

# The process of the worker of a database.
sub worker_pid
{
	my ($node, $database) = @_;
	my $name = $database // 'postgres';
	my $workers = "FROM pg_stat_activity WHERE backend_type = 'churn worker' AND datname = '$name'";

	$node->poll_query_until('postgres', "SELECT count(*) = 1 $workers");
	return $node->safe_psql('postgres', "SELECT pid $workers");
}

# The process of the launcher.
sub launcher_pid
{
	my ($node) = @_;
	my $launchers = q{FROM pg_stat_activity WHERE backend_type = 'churn launcher'};

	$node->poll_query_until('postgres', "SELECT count(*) = 1 $launchers");
	return $node->safe_psql('postgres', "SELECT pid $launchers");
}

# Waits until another worker than that process runs; returns its process.
sub another_worker
{
	my ($node, $pid, $database) = @_;
	my $name = $database // 'postgres';

	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity
		WHERE backend_type = 'churn worker' AND datname = '$name' AND pid <> $pid");
	return worker_pid($node, $database);
}

# A test that each customer has one prediction, which is the score of the row
# by the version in force, and that nobody else has one.
sub check_predictions
{
	my ($node, $name, %options) = @_;
	my $table = $options{table} // 'customers';
	my $model = $options{model} // 'm';
	my $key = $options{key} // 'customer_id';
	my $rows = $options{rows} // "SELECT $key\::text AS key, churn_score(c, '$model') AS score FROM $table c";

	my $found = $node->safe_psql($options{database} // 'postgres', <<"SQL");
SELECT count(*) FILTER (WHERE p.customer_key IS NULL) AS missing,
	count(*) FILTER (WHERE c.key IS NULL) AS left_over,
	count(*) FILTER (WHERE c.score <> p.score) AS wrong,
	count(*) FILTER (WHERE p.version <> (SELECT champion FROM churn.models WHERE name = '$model')) AS old,
	count(*) > 0 AS some
FROM ($rows) c
FULL JOIN (SELECT * FROM churn.predictions WHERE model = '$model') p ON p.customer_key = c.key;
SQL
	return is($found, '0|0|0|0|t', $name)
	  || diag("missing | left over | wrong | of an old version | some\n",
		$node->safe_psql($options{database} // 'postgres', <<"SQL"));
SELECT * FROM ($rows) c FULL JOIN (SELECT * FROM churn.predictions WHERE model = '$model') p ON p.customer_key = c.key
WHERE c.score IS DISTINCT FROM p.score LIMIT 5;
SELECT pg_current_wal_lsn();
TABLE churn.rescans;
TABLE churn.errors;
SQL
}

# A test that the log tells every score once, each following the one before,
# and that alerts tell the same.  It holds where no key that was deleted has
# come again.
sub check_history
{
	my ($node, $name, %options) = @_;
	my $model = $options{model} // 'm';

	my $found = $node->safe_psql($options{database} // 'postgres', <<"SQL");
WITH log AS (
	SELECT *, lag(score) OVER w AS before, lag(version) OVER w AS version_before, lead(score) OVER w IS NULL AS last
	FROM churn.prediction_log WHERE model = '$model' AND origin <> 'shadow'
	WINDOW w AS (PARTITION BY customer_key ORDER BY scored_at)),
raised AS (
	SELECT customer_key, scored_at, score, previous_score FROM log WHERE score IS DISTINCT FROM previous_score),
alerts AS (
	SELECT customer_key, raised_at, score, previous_score FROM churn.alerts WHERE model = '$model' AND rule = 'each')
SELECT count(*) FILTER (WHERE before IS DISTINCT FROM log.previous_score) AS broken,
	count(*) FILTER (WHERE log.score = before AND log.version = version_before) AS doubled,
	count(*) FILTER (WHERE last AND log.score <> p.score) AS not_last,
	(SELECT count(*) FROM churn.predictions p
		WHERE model = '$model' AND NOT EXISTS (SELECT FROM log WHERE log.customer_key = p.customer_key)) AS unlogged,
	(SELECT count(*) FROM (TABLE raised EXCEPT ALL TABLE alerts) x) AS unraised,
	(SELECT count(*) FROM (TABLE alerts EXCEPT ALL TABLE raised) x) AS doubly_raised
FROM log LEFT JOIN churn.predictions p ON p.model = '$model' AND p.customer_key = log.customer_key;
SQL
	return is($found, '0|0|0|0|0|0', $name)
	  || diag('chain broken | doubled | not the last | not logged | no alert | alert doubled');
}

# A test that the challenger, which there has been since before the first change,
# has scored each change once, at the time of the champion, and the last one of
# each customer as the customer's row is now; and that nothing else comes of it.
# It holds where the source's rows bring all that the model needs.
sub check_shadow
{
	my ($node, $name, %options) = @_;
	my $table = $options{table} // 'customers';
	my $model = $options{model} // 'm';
	my $version = $options{version};

	my $found = $node->safe_psql($options{database} // 'postgres', <<"SQL");
WITH log AS (
	SELECT * FROM churn.prediction_log WHERE model = '$model'),
shadow AS (
	SELECT *, lead(scored_at) OVER w IS NULL AS last
	FROM log WHERE origin = 'shadow' WINDOW w AS (PARTITION BY customer_key ORDER BY scored_at)),
champion AS (
	SELECT * FROM log WHERE origin = 'stream')
SELECT (SELECT count(*) FROM champion l WHERE NOT EXISTS (SELECT FROM shadow s
		WHERE s.customer_key = l.customer_key AND s.scored_at = l.scored_at AND s.lsn = l.lsn)) AS missing,
	(SELECT count(*) FROM (SELECT FROM shadow GROUP BY customer_key, lsn HAVING count(*) > 1) d) AS doubled,
	(SELECT count(*) FROM shadow WHERE version <> $version OR previous_score IS NOT NULL) AS strange,
	(SELECT count(*) FROM shadow s JOIN $table c ON c.customer_id = s.customer_key
		WHERE s.last AND s.score <> churn_score(c, '$model', $version)) AS wrong,
	(SELECT count(*) FROM churn.predictions WHERE model = '$model' AND version = $version) AS predicted,
	(SELECT count(*) FROM churn.alerts WHERE model = '$model' AND version = $version) AS raised,
	(SELECT count(*) > 0 FROM shadow) AS some;
SQL
	return is($found, '0|0|0|0|0|0|t', $name)
	  || diag('not scored | doubled | strange | wrong | predicted | alert | some');
}

# Starts clients that change customers, one at a time, whatever becomes of the
# table meanwhile.
sub start_clients
{
	my ($node, %options) = @_;
	my $table = $options{table} // 'customers';
	my $script = $node->basedir . '/client.sql';

	unlink $script;
	append_to_file($script, <<"EOC");
DO \$\$
DECLARE
	key text;
BEGIN
	SELECT customer_id INTO key FROM $table OFFSET floor(random() * 300) LIMIT 1;
	IF random() < 0.1 AND (SELECT count(*) > 30 FROM $table) THEN
		DELETE FROM $table WHERE customer_id = key;
	ELSIF random() < 0.2 THEN
		UPDATE $table SET customer_id = 'n' || clock_timestamp() WHERE customer_id = key;
	ELSE
		UPDATE $table SET monthly_charges = random() * 100, tenure = (random() * 72)::int WHERE customer_id = key;
	END IF;
EXCEPTION WHEN OTHERS THEN
	NULL;
END
\$\$;
EOC
	my @command = ('pgbench', '-n', '-c', '2', '-R', '300', '-T', '600', '-f', $script, $node->connstr($options{database} // 'postgres'));
	local %ENV = $node->_get_env();
	my $clients = IPC::Run::start(\@command, \undef, '>', \my $out, '2>', \my $err);
	$node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pg_stat_activity
		WHERE pid <> pg_backend_pid() AND query ~ '^DO'});
	return $clients;
}

# Ends them, and waits until the last transaction of theirs has ended.
sub stop_clients
{
	my ($node, $clients) = @_;

	$clients->kill_kill;
	$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity
		WHERE pid <> pg_backend_pid() AND query ~ '^DO'});
}

# A test that the server's log tells of no crash but those by kill -9.
sub no_signs_of_crash
{
	my ($node) = @_;

	unlike(slurp_file($node->logfile), qr/PANIC|TRAP:|terminated by signal (?!9\b)\d+|AddressSanitizer/,
		'log of ' . $node->name . ' tells of no crash but those that were caused');
}

1;
