# The launcher and what surrounds stream workers: they start where something is
# watched and nowhere else, come back after every kind of end, and are in
# nobody's way: DROP DATABASE and the like work as if they were not there.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = churn_node('launcher', conf => <<'EOC');
shared_preload_libraries = 'churn'
wal_level = logical
autovacuum = off
EOC

# Makes a database in which something is watched.
sub watched_database
{
	my ($database) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0");
	watch_something($database);
}

# Creates the extension and watches a table.
sub watch_something
{
	my ($database) = @_;

	$node->safe_psql($database, <<'SQL');
CREATE EXTENSION churn;
CREATE TABLE IF NOT EXISTS customers (id int PRIMARY KEY, x real);
SELECT churn_import('m', convert_to('{"churn": {"format": 1, "features": [{"name": "x", "kind": "number"}]},
	"components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0,
	"effects": [{"kind": "linear", "slope": 1, "low": -10, "high": 10, "missing": 0, "mean": 0}]}]}', 'UTF8'),
	source => 'customers', key => 'id');
SELECT churn_watch('m');
SQL
}

# Has the launcher look at a database.
sub look_at
{
	my ($database) = @_;
	$node->psql($database, q{SELECT churn_wait('0')});
}

my $workers = q{SELECT d.datname FROM pg_stat_activity a JOIN pg_database d ON d.oid = a.datid
	WHERE a.backend_type = 'churn worker' ORDER BY 1};

# Waits until workers run in just these databases.
sub workers_run_in
{
	my ($name, @databases) = @_;
	my $in = join "\n", sort @databases;

	ok($node->poll_query_until('postgres', $workers, $in), $name)
	  or diag("workers run in: " . $node->safe_psql('postgres', $workers));
}

# Whether another worker than that process runs in a database by and by.
sub is_another
{
	my ($name, $database, $pid) = @_;
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity
		WHERE backend_type = 'churn worker' AND datname = '$database' AND pid <> $pid"), $name);
}

my $launcher = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'churn launcher'};

#
# Where workers run
#
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM ($launcher) l"), 'the launcher runs');
workers_run_in('no worker where nothing is watched');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM churn.stream_status'), 'nor a status');
like(error_of($node, 'SELECT churn_wait()'), qr/^55000: nothing is watched in this database/,
	'and nothing to wait for');
like(error_of($node, q{SELECT churn_wait('-1 s')}), qr/^22023: timeout must not be negative/, 'a negative wait');
is($node->safe_psql('postgres', 'SELECT churn_wait(NULL) IS NULL'), 't', 'a wait of unknown length');

watched_database($_) for qw(one two);
look_at($_) for qw(one two);
workers_run_in('workers start where something is watched', 'one', 'two');
is($node->safe_psql('one', q{SELECT churn_wait('1 min')}), 't', 'they catch up');
ok($node->poll_query_until('one', q{SELECT state = 'streaming' AND pid IS NOT NULL AND last_error IS NULL
	AND latency_p50_ms IS NULL FROM churn.stream_status}), 'the status tells of them');
my $blocker = $node->background_psql('one');
$blocker->query_safe('BEGIN; LOCK churn.predictions');
$node->safe_psql('one', 'INSERT INTO customers VALUES (1, 1)');
is($node->safe_psql('one', q{SELECT churn_wait('0.1 s')}), 'f', 'a wait is over in time');
my $waiter = $node->background_psql('one', on_error_stop => 0);
my $waiter_pid = $waiter->query_safe('SELECT pg_backend_pid()');
$waiter->query_until(qr/started/, "\\echo started\nSELECT churn_wait('1 hour');\n");
$node->poll_query_until('postgres', "SELECT wait_event_type = 'IPC' OR wait_event_type = 'Extension'
	FROM pg_stat_activity WHERE pid = $waiter_pid");
is($node->safe_psql('postgres', "SELECT pg_cancel_backend($waiter_pid)"), 't', 'a wait is cancelled');
$waiter->query_until(qr/goes on/, "\\echo goes on\n");
like($waiter->{stderr}, qr/canceling statement due to user request/, 'at once');
$waiter->{stderr} = '';
$waiter->quit;
$blocker->query_safe('COMMIT');
$blocker->quit;
is($node->safe_psql('one', q{SELECT churn_wait('1 min')}), 't', 'another ends as the worker goes on');

$node->restart;
workers_run_in('after a restart they are back', 'one', 'two');

#
# Ends of all kinds
#
my $pid = worker_pid($node, 'one');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
is_another('a worker that is told to end is started again', 'one', $pid);
my $old = $node->safe_psql('postgres', $launcher);
$node->safe_psql('postgres', "SELECT pg_terminate_backend($old)");
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM ($launcher) l WHERE pid <> $old");
$pid = worker_pid($node, 'two');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
is_another('so is one that another launcher had started', 'two', $pid);

for my $process ('worker', 'launcher')
{
	# the server ends all processes and starts anew
	my $victim = $process eq 'worker' ? worker_pid($node, 'one') : $node->safe_psql('postgres', $launcher);
	my $postmaster = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/ ? $1 : die;
	kill_process($node, $victim);
	workers_run_in("workers are back after kill -9 of a $process", 'one', 'two');
	is(slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/ ? $1 : '', $postmaster, 'of the same server');
}

#
# Commands that need the database for themselves
#
sub runs
{
	my ($sql, $name) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $sql);
	is($err, '', $name);
}
runs('CREATE DATABASE copy TEMPLATE one', 'CREATE DATABASE copies a database with a worker');
look_at('copy');
workers_run_in('which is back, and the copy has one, too', 'one', 'two', 'copy');
runs('CREATE DATABASE copy_by_file TEMPLATE one STRATEGY file_copy', 'by file_copy, too');
look_at('copy_by_file');
workers_run_in('all have workers', 'one', 'two', 'copy', 'copy_by_file');
runs('DROP DATABASE copy_by_file', 'DROP DATABASE');
runs('ALTER DATABASE copy RENAME TO renamed', 'ALTER DATABASE RENAME');
workers_run_in('the worker is back', 'one', 'two', 'renamed');
mkdir $node->basedir . '/tablespace' or die;
$node->safe_psql('postgres', "CREATE TABLESPACE elsewhere LOCATION '@{[ $node->basedir ]}/tablespace'");
runs('ALTER DATABASE renamed SET TABLESPACE elsewhere', 'ALTER DATABASE SET TABLESPACE');
workers_run_in('the worker is back', 'one', 'two', 'renamed');
runs('DROP DATABASE renamed', 'DROP DATABASE');
workers_run_in('no worker is left there', 'one', 'two');
watched_database('forced');
look_at('forced');
workers_run_in('one more', 'one', 'two', 'forced');
my $guest = $node->background_psql('forced', on_error_stop => 0);
my $pid_before = worker_pid($node, 'forced');
like(error_of($node, 'DROP DATABASE forced'), qr/^55006: database "forced" is being accessed/,
	'DROP DATABASE fails for other sessions');
is_another('then the worker is back', 'forced', $pid_before);
my $dropper = $node->background_psql('postgres', on_error_stop => 0);
my $dropper_pid = $dropper->query_safe('SELECT pg_backend_pid()');
$dropper->query_until(qr/started/, "\\echo started\nDROP DATABASE forced;\n");
ok($node->poll_query_until('postgres', $workers, "one\ntwo"), 'while DROP DATABASE waits for others no worker runs');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($dropper_pid)");
workers_run_in('it is back also if the waiting session dies', 'one', 'two', 'forced');
eval { $dropper->quit };
runs('DROP DATABASE forced WITH (FORCE)', 'DROP DATABASE WITH (FORCE)');
eval { $guest->quit };
workers_run_in('no worker is left there', 'one', 'two');

# A slot that a worker holds would be in the way longest, but only the owner
# may have it ended.
$node->safe_psql('postgres', 'CREATE ROLE regress_churn_guest LOGIN');
$pid = worker_pid($node, 'one');
$node->psql('postgres', $_, extra_params => [ '-U', 'regress_churn_guest' ])
  for 'DROP DATABASE one', 'ALTER DATABASE one RENAME TO mine', 'CREATE DATABASE mine TEMPLATE one',
  'ALTER DATABASE one SET TABLESPACE elsewhere';
like(error_of($node, 'BEGIN; DROP DATABASE one'), qr/^25001: DROP DATABASE cannot run inside/, 'in a transaction block');
$node->psql('one', $_) for 'DROP DATABASE one', 'ALTER DATABASE one RENAME TO mine';
is(worker_pid($node, 'one'), $pid, 'commands that cannot work end no worker');

#
# Nothing to watch any more
#
$node->safe_psql('postgres', 'DROP TABLESPACE elsewhere');
$node->safe_psql('two', 'DROP EXTENSION churn CASCADE');
workers_run_in('after DROP EXTENSION the worker ends', 'one');
watch_something('two');
look_at('two');
workers_run_in('CREATE EXTENSION and a watch', 'one', 'two');
$node->safe_psql('two', q{SELECT churn_unwatch('m')});
workers_run_in('without watches it ends', 'one');
ok($node->poll_query_until('two', 'SELECT count(*) = 0 FROM churn.stream_status'), 'and leaves no entry');
$node->safe_psql('two', q{SELECT churn_watch('m')});
workers_run_in('and comes again', 'one', 'two');

#
# No place for a worker
#
$node->append_conf('postgresql.conf', "max_worker_processes = 3\nmax_parallel_workers = 0");
my $offset = -s $node->logfile;
$node->restart;
$node->wait_for_log(qr/no place for a churn worker/, $offset);
is(scalar(split /\n/, $node->safe_psql('postgres', $workers)), 1, 'one worker finds a place beside the two launchers');
my ($busy) = split /\n/, $node->safe_psql('postgres', $workers);
my ($other) = grep { $_ ne $busy } qw(one two);
$node->safe_psql($busy, q{SELECT churn_unwatch('m')});
workers_run_in('when it ends the other one starts', $other);
my @warnings = slurp_file($node->logfile, $offset) =~ /no place for a churn worker/g;
is(@warnings, 1, 'there was one warning');
$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
$node->restart;
$node->safe_psql($busy, q{SELECT churn_watch('m')});
workers_run_in('with room for both', 'one', 'two');

#
# A standby is idle until it is promoted
#
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('launcher_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby, 'replay');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^churn'}), 0,
	'nothing runs on a standby');
is($standby->safe_psql('one', 'SELECT count(*) FROM churn.stream_status'), 0, 'it has no status');
like(error_of($standby, 'SELECT churn_wait()', 'one'), qr/^55000: cannot wait for the stream worker during recovery/,
	'nobody waits there');
$node->stop;
$standby->promote;
ok($standby->poll_query_until('postgres', $workers, "one\ntwo"), 'after its promotion workers start');
$standby->stop;
no_panic($standby);
unlike(slurp_file($node->logfile), qr/PANIC|TRAP:|signal 11|signal 6/, 'no crash but those we caused');
done_testing();
