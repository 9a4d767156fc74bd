# The process churn-trainer: that it dies with its command, whatever ends
# that, that its own death is an ordinary error, and that the backend is none
# the worse for either.
use strict;
use warnings;

use Config;
use IO::Handle;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'needs /proc' unless -r "/proc/$$/stat";

# Seconds in which a cancel must have taken effect; the issue says one, and a
# loaded machine gets some grace.
my $at_once = 2;

my $node = PostgreSQL::Test::Cluster->new('trainer');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', <<'CONF');
client_connection_check_interval = '50ms'
restart_after_crash = on
CONF
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION churn;
CREATE ROLE regress_churn_nosy;
GRANT USAGE ON SCHEMA churn TO regress_churn_nosy;
GRANT SELECT ON churn.training_progress TO regress_churn_nosy;
GRANT EXECUTE ON FUNCTION churn.progress() TO regress_churn_nosy;
CREATE TABLE customers AS SELECT * FROM churn_sample_customers(5000, 1);
ALTER TABLE customers ADD PRIMARY KEY (customer_id);
CREATE FUNCTION slow(int) RETURNS int VOLATILE LANGUAGE plpgsql
	AS $$ BEGIN PERFORM pg_sleep(0.001); RETURN $1; END $$;
SQL

# Trains for minutes; reads for minutes; is quick.
my $long = q{SELECT churn_train('customers', 'churn', model => 'm', params => '{"rounds": 10000, "early_stopping_rounds": 10000, "max_depth": 14, "learning_rate": 0.001}', algorithm => 'xgboost', options => '{"folds": 0}')};
my $slow = q{SELECT churn_train('SELECT *, slow(1) AS slow FROM customers, generate_series(1, 100)', 'churn', model => 'm', algorithm => 'xgboost', options => '{"folds": 0}')};
my $quick = q{SELECT version > 0 FROM churn_train('customers', 'churn', model => 'm', params => '{"rounds": 3}', algorithm => 'xgboost', options => '{"folds": 0}')};

# The line of /proc/PID/stat as (command, state, parent); () if it is gone.
sub process
{
	my ($pid) = @_;
	open(my $file, '<', "/proc/$pid/stat") or return ();
	my $line = <$file> // return ();
	return $line =~ /^\d+ \((.*)\) (\S) (\d+) /;
}

# The children of a process, zombies included.
sub children
{
	my ($parent) = @_;
	my @children;
	opendir(my $dir, '/proc') or die;
	for my $pid (grep { /^\d+$/ } readdir $dir)
	{
		my @process = process($pid);
		push @children, $pid if @process && $process[2] == $parent;
	}
	return @children;
}

# The descriptors of a backend but for the relation files it keeps open.
sub descriptors
{
	my ($pid) = @_;
	my $data = $node->data_dir;
	opendir(my $dir, "/proc/$pid/fd") or die "no /proc/$pid/fd: $!";
	my @open = grep { /^\d+$/ } readdir $dir;
	return join ' ', sort map { s/\d+//gr }
	  grep { !/^\Q$data\E/ } map { readlink("/proc/$pid/fd/$_") // '' } @open;
}

# Waits until a condition holds; false after a while.
sub wait_until
{
	my ($condition, $seconds) = @_;
	my $end = time + ($seconds // $PostgreSQL::Test::Utils::timeout_default);
	while (time < $end)
	{
		return 1 if $condition->();
		sleep 0.01;
	}
	return 0;
}

sub gone
{
	my ($pid) = @_;
	return wait_until(sub { !process($pid) }, 10);
}

# A psql to type into, its backend's number, and what it said.
sub session
{
	my %session = (in => '', out => '', err => '',
		timer => IPC::Run::timer($PostgreSQL::Test::Utils::timeout_default, exception => 'psql takes too long'));
	$session{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres') ],
		'<', \$session{in}, '>', \$session{out}, '2>', \$session{err},
		$session{timer});
	$session{pid} = ask(\%session, 'SELECT pg_backend_pid();');
	return \%session;
}

# Begins a statement without waiting for it.
sub start_statement
{
	my ($session, $sql) = @_;
	$session->{out} = $session->{err} = '';
	$session->{timer}->start;
	$session->{in} .= "$sql\n\\echo --done--\n";
	$session->{run}->pump_nb;
}

# Waits for what was begun; returns its output.
sub answer
{
	my ($session) = @_;
	$session->{run}->pump until $session->{out} =~ /--done--\n/;
	# errors come by another pipe
	$session->{run}->pump_nb;
	my $out = $session->{out};
	$out =~ s/--done--\n//;
	chomp $out;
	return $out;
}

sub ask
{
	my ($session, $sql) = @_;
	start_statement($session, $sql);
	return answer($session);
}

# The error of the last statement, which its pipe may bring late.
sub complaint
{
	my ($session) = @_;
	wait_until(sub { $session->{run}->pump_nb; $session->{err} =~ /ERROR|FATAL/ }, 5);
	return $session->{err};
}

# Begins a training, waits until it has come to a phase, returns the
# trainer's process number.
sub train_until
{
	my ($session, $sql, $phase) = @_;
	start_statement($session, "$sql;");
	$node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM churn.training_progress WHERE phase = '$phase' AND pid = $session->{pid}"
		  . ($phase eq 'training' ? ' AND round > 0' : ' AND rows_read > 0'))
	  or die "no training in phase $phase";
	my @children = children($session->{pid});
	is(scalar @children, 1, "one child in phase $phase");
	return $children[0];
}

# Whether the session and its backend are as before.
sub check_session
{
	my ($session, $descriptors, $what) = @_;
	is(ask($session, 'ROLLBACK; RESET ALL; SET client_min_messages = warning;'), '', "$what: session lives on");
	is(ask($session, "$quick;"), 't', "$what: the next training works");
	is_deeply([ children($session->{pid}) ], [], "$what: no child is left");
	is(descriptors($session->{pid}), $descriptors, "$what: no descriptor is left");
	is(ask($session, 'SELECT count(*) FROM churn.training_progress;'), '0', "$what: no progress is left");
}

my $session = session();
is(ask($session, "SET client_min_messages = warning; $quick;"), 't', 'a training works');
ask($session, "$quick;") for (1 .. 2);
my $fds = descriptors($session->{pid});

# While it runs: what the process is, and what others see of it
{
	my $pid = train_until($session, $long, 'training');
	is((process($pid))[0], 'churn-trainer', 'name of the process');
	is(slurp_file("/proc/$pid/oom_score_adj"), "1000\n", 'oom_score_adj');
	my %environment = map { split /=/, $_, 2 } split /\0/, slurp_file("/proc/$pid/environ");
	is_deeply([ sort keys %environment ],
		[qw(GOMP_SPINCOUNT LC_ALL OMP_NUM_THREADS OMP_WAIT_POLICY)], 'environment');
	my $limits = slurp_file("/proc/$pid/limits");
	like($limits, qr/^Max data size\s+4294967296\s+4294967296/m, 'limit of data is churn.training_memory');
	like($limits, qr/^Max core file size\s+0\s+0/m, 'no core files');
	my $status = slurp_file("/proc/$pid/status");
	like($status, qr/^SigBlk:\s+0+$/m, 'no signal is blocked');
	like($status, qr/^SigIgn:\s+0+$/m, 'no signal is ignored');
	my ($own) = slurp_file("/proc/$pid/stat") =~ /^\d+ \(.*\) (.*)/;
	my ($theirs) = slurp_file("/proc/$session->{pid}/stat") =~ /^\d+ \(.*\) (.*)/;
	is((split / /, $own)[16] - (split / /, $theirs)[16], 5, 'niceness is churn.training_nice more');
	isnt((split / /, $own)[2], (split / /, $theirs)[2], 'process group of its own');
	my %open = map { $_ => readlink("/proc/$pid/fd/$_") // '' } (0 .. 2);
	like($open{0}, qr/^socket:/, 'descriptor 0 is the socket');
	is($open{$_}, '/dev/null', "descriptor $_ is /dev/null") for (1, 2);
	my $data = $node->data_dir;
	opendir(my $dir, "/proc/$pid/fd") or die;
	my @files = grep { (readlink("/proc/$pid/fd/$_") // '') =~ /^\Q$data\E/ } readdir $dir;
	is_deeply(\@files, [], 'no file of the server is open');

	is($node->safe_psql('postgres',
			"SELECT datname, relid::regclass, phase, rows_read, rows_total > 0, round > 0, rounds_total,"
			  . " metric > 0, elapsed > '0', estimated > '0' FROM churn.training_progress"),
		'postgres|customers|training|5000|t|t|10000|t|t|t', 'progress');
	is($node->safe_psql('postgres',
			"SET ROLE regress_churn_nosy; SELECT datname, phase, rows_read, started_at FROM churn.training_progress"),
		'postgres|||', 'progress is hidden from other roles');
	is($node->safe_psql('postgres',
			"GRANT pg_read_all_stats TO regress_churn_nosy; SET ROLE regress_churn_nosy; SELECT phase FROM churn.training_progress"),
		'training', 'pg_read_all_stats shows it');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_stat_progress_vacuum'), '0',
		'progress is not mistaken for another command\'s');

	# the kernel's way to end it
	kill 'KILL', $pid;
	answer($session);
	like(complaint($session), qr/ERROR:  38000: churn-trainer was terminated by signal 9: Killed\nHINT:  When the machine runs out of memory/,
		'kill -9 is an error');
	check_session($session, $fds, 'kill -9');
}

# Cancel, at five moments
for my $moment ([ $slow, 'reading', 0 ], [ $slow, 'reading', rand(0.5) ],
	[ $long, 'training', 0 ], [ $long, 'training', rand(0.5) ])
{
	my ($sql, $phase, $delay) = @$moment;
	my $pid = train_until($session, $sql, $phase);
	sleep $delay;
	my $start = time;
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($session->{pid})");
	answer($session);
	my $took = time - $start;
	ok($took < $at_once, "cancel while $phase is answered at once (" . sprintf('%.2f', $took) . ' s)');
	like(complaint($session), qr/ERROR:  57014: canceling statement due to user request/, 'cancel is the error');
	ok(!process($pid), 'the trainer is gone by then');
	check_session($session, $fds, "cancel while $phase");
}
for my $timeout (1, 20, 60, 150, 400, 1500)
{
	ask($session, "SET statement_timeout = $timeout; $long;");
	like(complaint($session), qr/ERROR:  57014: canceling statement due to statement timeout/,
		"statement_timeout of $timeout ms");
	check_session($session, $fds, "statement_timeout of $timeout ms");
}

# An error ends the trainer at once, not when the transaction ends
for my $statement ($long, "DO \$do\$ BEGIN PERFORM x FROM ($long) AS x; END \$do\$")
{
	ask($session, 'BEGIN;');
	my $pid = train_until($session, $statement, 'training');
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($session->{pid})");
	answer($session);
	ok(!process($pid), 'gone while the failed transaction is still open');
	like(complaint($session), qr/57014/, 'canceled');
	check_session($session, $fds, 'explicit transaction');
}
{
	my $caught = "DO \$do\$ BEGIN PERFORM x FROM ($long) AS x; EXCEPTION WHEN query_canceled THEN PERFORM set_config('my.caught', 'yes', false); END \$do\$";
	ask($session, 'BEGIN;');
	my $pid = train_until($session, $caught, 'training');
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($session->{pid})");
	answer($session);
	is(ask($session, q{SELECT current_setting('my.caught', true);}), 'yes', 'a block caught the cancel');
	ok(!process($pid), 'gone while the transaction goes on');
	is(ask($session, "$quick; COMMIT;"), 't', 'which can train');
	check_session($session, $fds, 'subtransaction');
}
{
	my $pid = train_until($session, "DO \$do\$ BEGIN PERFORM x FROM ($long) AS x; EXCEPTION WHEN external_routine_exception THEN END \$do\$", 'training');
	kill 'SEGV', $pid;
	is(answer($session), '', 'a block caught the crash');
	check_session($session, $fds, 'crash');
}

# A notice of progress for those who wait
{
	$session->{err} = '';
	start_statement($session, "SET client_min_messages = notice; $long;");
	ok(wait_until(sub { $session->{run}->pump_nb; $session->{err} =~ /NOTICE:  00000: round \d+ of at most 10000, validation log loss 0\.\d+/ }, 60),
		'notice of progress');
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($session->{pid})");
	answer($session);
	check_session($session, $fds, 'notice');
}

# Memory
{
	ask($session, "SET churn.training_memory = '64MB'; "
		  . "SELECT churn_train('SELECT *, random() AS r, random() AS s FROM customers, generate_series(1, 200) AS n', 'churn', model => 'm', algorithm => 'xgboost', options => '{\"folds\": 0}');");
	like(complaint($session), qr/ERROR:  (53200|38000): .*churn\.training_memory/s, 'memory limit is an error that names the setting');
	check_session($session, $fds, 'memory');
}

# Programs that are not there, or are not churn-trainer
my $directory = PostgreSQL::Test::Utils::tempdir();
chmod 0755, $directory;
sub fake
{
	my ($name, $body) = @_;
	my $path = "$directory/$name";
	open(my $file, '>', $path) or die;
	print $file <<"PERL";
#!$^X
use strict;
open(my \$s, '+<&=', 0) or die;
sub get { my (\$n) = \@_; my \$b = ''; while (length(\$b) < \$n) { sysread(\$s, \$b, \$n - length(\$b), length(\$b)) or exit 3; } return \$b; }
sub frame { my (undef, \$n) = unpack('aL', get(5)); return get(\$n); }
sub put { my (\$t, \$p) = \@_; my \$f = pack('aL', \$t, length(\$p)) . \$p; while (length(\$f)) { my \$n = syswrite(\$s, \$f) or exit 4; substr(\$f, 0, \$n) = ''; } }
sub rows { put('K', ''); while (1) { my (\$t, \$n) = unpack('aL', get(5)); get(\$n); last if \$t eq 'E'; } }
frame();
$body
PERL
	close($file);
	chmod 0755, $path;
	return $path;
}
my $wait = 'sleep 1000;';
for my $case (
	[ '/nonexistent/churn-trainer', qr/58P01: could not execute churn-trainer program "\/nonexistent\/churn-trainer": No such file or directory\nHINT:  The setting churn.trainer/ ],
	[ '/etc/passwd', qr/42501: could not execute churn-trainer program "\/etc\/passwd": Permission denied/ ],
	[ fake('exit', 'exit 7;'), qr/38000: churn-trainer exited with code 7 and without a result/ ],
	[ fake('loader', 'exit 127;'), qr/38000: churn-trainer exited with code 127 .*\nHINT:  A shared library/ ],
	[ fake('abort', 'kill "ABRT", $$;'), qr/38000: churn-trainer was terminated by signal 6: .*\nHINT:  Its memory is limited to 4096 MB/ ],
	[ fake('hangup', "close \$s; POSIX::close(0) if eval 'use POSIX; 1'; $wait"), qr/38000: churn-trainer hung up without a result/ ],
	[ fake('long', "syswrite(\$s, 'K' . ('\xff' x 100)); $wait"), qr/38000: churn-trainer broke the protocol: a frame is too long/ ],
	[ fake('type', "put('?', 'what'); $wait"), qr/38000: .*: a frame of unknown type/ ],
	[ fake('exec', "put('K', ''); put('X', 'four'); $wait"), qr/38000: .*: a frame of unknown type/ ],
	[ fake('ready', "put('K', ''); put('K', ''); $wait"), qr/38000: .*: it is ready twice/ ],
	[ fake('progress', "put('P', 'x'); $wait"), qr/38000: .*: a progress frame has the wrong length/ ],
	[ fake('json', "put('F', '{\"message\": '); $wait"), qr/38000: .*: invalid JSON/ ],
	[ fake('array', "put('N', '[]'); $wait"), qr/38000: .*: an object is expected/ ],
	[ fake('zero', "put('N', \"{}\\0\"); $wait"), qr/38000: .*: text is not UTF-8/ ],
	[ fake('encoding', "put('N', qq({\"message\": \"\\xff\"})); $wait"), qr/38000: .*: text is not UTF-8/ ],
	[ fake('early', "put('M', '{}'); $wait"), qr/38000: .*: a result precedes the model/ ],
	[ fake('artifact', "syswrite(\$s, pack('aL', 'K', 0) . pack('aL', 'A', 1) . 'x'); $wait"), qr/38000: .*: a model precedes the end of the rows/ ],
	[ fake('nomodel', "rows(); put('M', '{}'); $wait"), qr/38000: .*: a result precedes the model/ ],
	[ fake('after', "rows(); put('A', 'x'); syswrite(\$s, pack('aL', 'M', 2) . '{}' . pack('aL', 'K', 0)); $wait"), qr/38000: .*: a frame follows the result/ ],
	[ fake('model', "rows(); put('A', 'nonsense'); put('M', '{}'); $wait"), qr/XX001: model of churn-trainer: / ],
	[ fake('large', "rows(); my \$m = 'x' x 1048576; put('A', \$m) for (1 .. 257); $wait"), qr/54000: model of at least 269484032 bytes exceeds the limit of 268435456 bytes/ ],
	[ fake('midway', 'put("K", ""); get(100000); exit 9;'), qr/38000: churn-trainer exited with code 9/ ],
	[ fake('failure', q{put('F', '{"sqlstate": "22023", "message": "m", "detail": "D.", "hint": "H."}'); sleep 1000;}), qr/ERROR:  22023: m\nDETAIL:  D\.\nHINT:  H\./ ],
	[ fake('lastwords', q{put('K', ''); get(100000); put('F', '{"sqlstate": "53200", "message": "last words"}'); exit 1;}), qr/ERROR:  53200: last words/ ],
	[ fake('success', q{put('F', '{"sqlstate": "00000", "message": "odd"}'); sleep 1000;}), qr/ERROR:  38000: odd/ ],
	[ fake('shouting', q{put('N', '{"level": "warning", "message": "loud"}'); exit 7;}), qr/WARNING:  01000: loud\n.*38000: churn-trainer exited with code 7/s ])
{
	my ($path, $expected) = @$case;
	ask($session, "SET churn.trainer = '$path'; SELECT churn_train('customers', 'churn', model => 'm', algorithm => 'xgboost', options => '{\"folds\": 0}');");
	like(complaint($session), $expected, "trainer $path");
	is_deeply([ children($session->{pid}) ], [], 'no child is left');
}
check_session($session, $fds, 'other programs');

# One that neither reads nor ends, or talks without end, can be cancelled
for my $case ([ 'silent', $wait ], [ 'deaf', "put('K', ''); $wait" ],
	[ 'talker', "put('N', '{\"message\": \"and another thing\"}') while (1);" ])
{
	my $path = fake(@$case);
	my $start = time;
	ask($session, "SET churn.trainer = '$path'; SET statement_timeout = '500ms'; SELECT churn_train('customers', 'churn', model => 'm', algorithm => 'xgboost', options => '{\"folds\": 0}');");
	ok(time - $start < 0.5 + $at_once, "$case->[0] trainer is stopped");
	like(complaint($session), qr/57014: canceling statement due to statement timeout/, 'by the timeout');
	check_session($session, $fds, "$case->[0] trainer");
}

# A hundred failures leave nothing behind
{
	ask($session, join("\n", map { 'SET statement_timeout = ' . (1 + $_) . "; $long; RESET statement_timeout;" } (1 .. 50)));
	ask($session, join("\n", map { "SELECT churn_train('customers', 'churn', params => '{\"nonsense\": $_}', algorithm => 'xgboost', options => '{\"folds\": 0}');" } (1 .. 50)));
	my @errors = $session->{err} =~ /ERROR:  22023/g;
	is(scalar @errors, 50, 'fifty trainings failed');
	check_session($session, $fds, 'a hundred failures');
}

# The backend goes: by command, or as its client does
{
	my $other = session();
	my $pid = train_until($other, $long, 'training');
	my $start = time;
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($other->{pid})");
	ok(gone($pid), 'pg_terminate_backend ends the trainer');
	ok(gone($other->{pid}), 'and the backend');
	ok(time - $start < $at_once, 'at once');
	eval { $other->{run}->finish };

	$other = session();
	$pid = train_until($other, $long, 'training');
	$other->{run}->signal('KILL');
	ok(gone($pid), 'a lost client ends the trainer');
	eval { $other->{run}->finish };
}

# A standby refuses before it starts anything
{
	$node->backup('backup');
	my $standby = PostgreSQL::Test::Cluster->new('trainer_standby');
	$standby->init_from_backup($node, 'backup', has_streaming => 1);
	$standby->start;
	$node->wait_for_catchup($standby);
	my ($status, $out, $err) = $standby->psql('postgres', $quick);
	like($err, qr/cannot execute churn_train\(\) during recovery/, 'standby');
	$standby->stop;
}

# The log so far is without worse; then the server goes, gently and not
{
	my $log = slurp_file($node->logfile);
	$log =~ s/FATAL:  terminating connection due to administrator command//g;
	$log =~ s/FATAL:  connection to client lost//g;
	unlike($log, qr/PANIC|FATAL|TRAP|terminated by signal \d+: .*\n.*server process/, 'nothing worse in the log');
	unlike($log, qr/server process .* was terminated/, 'no backend crashed');

	my $pid = train_until($session, $long, 'training');
	$node->stop('fast');
	ok(gone($pid), 'a fast stop leaves no trainer');
	eval { $session->{run}->finish };

	$node->start;
	$session = session();
	$pid = train_until($session, $long, 'training');
	$node->stop('immediate');
	ok(gone($pid), 'an immediate stop leaves no trainer');
	eval { $session->{run}->finish };

	$node->start;
	$session = session();
	$pid = train_until($session, $long, 'training');
	kill 'KILL', $session->{pid};
	ok(gone($pid), 'a killed backend leaves no trainer');
	eval { $session->{run}->finish };
	$node->poll_query_until('postgres', 'SELECT true');
	is($node->safe_psql('postgres', "SET client_min_messages = warning; $quick"), 't', 'the server trains again after a crash');
	$node->stop;
}

done_testing();
