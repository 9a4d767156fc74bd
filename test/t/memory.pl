# What training and scoring take of the server's memory: no more for many rows
# than for few, nothing that stays, no temporary file.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

plan skip_all => 'needs /proc with RssAnon' unless slurp_file("/proc/$$/status") =~ /^RssAnon:/m;

my $MiB = 1024;    # the unit of /proc is the KiB
my $rows = 300_000;
my $features = 19;

# Few shared buffers, since a process is charged for those that it touches.
my $node = churn_node('memory', conf => <<'EOC');
shared_buffers = '4MB'
log_temp_files = 0
max_parallel_workers_per_gather = 0
EOC
make_customers($node, $rows);
make_customers($node, 20_000, table => 'few');

# A member of /proc/PID/status, in KiB; 0 if it is gone.
sub status
{
	my ($pid, $member) = @_;
	open(my $file, '<', "/proc/$pid/status") or return 0;
	local $/;
	my $text = <$file> // '';
	return $text =~ /^$member:\s+(\d+) kB/m ? $1 : 0;
}

# Runs a statement in a session and watches its backend meanwhile.  Returns the
# growth of its private memory and of its peak, and what the statement said.
sub watch
{
	my ($session, $pid, $sql) = @_;
	my $anon = status($pid, 'RssAnon');
	my $peak = status($pid, 'VmHWM');
	my $most = $anon;
	my $samples = 0;

	$session->{timeout}->start;
	$session->{stdin} .= "$sql;\n\\echo finished\n";
	until ($session->{stdout} =~ /finished\n/ || $session->{timeout}->is_expired)
	{
		my $now = status($pid, 'RssAnon');
		$most = $now if $now > $most;
		$samples++;
		$session->{run}->pump_nb;
		usleep(2000);
	}
	die "statement timed out: $sql" if $session->{timeout}->is_expired;
	my $out = $session->{stdout} =~ s/\n?finished\n//r;
	$session->{stdout} = '';
	die "$sql: $session->{stderr}" if $session->{stderr} =~ /ERROR/;
	$session->{stderr} = '';
	return ($most - $anon, status($pid, 'VmHWM') - $peak, $samples, $out);
}

# Bytes that the session's memory contexts hold, those of a name alone if one
# is given.
sub contexts
{
	my ($session, $name) = @_;
	return $session->query_safe('SELECT coalesce(sum(total_bytes), 0) FROM pg_backend_memory_contexts'
		  . ($name ? " WHERE name LIKE '$name'" : ''));
}

my $session = $node->background_psql('postgres');
my $pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_safe('SET client_min_messages = warning');
# what every backend takes once: caches, PL/pgSQL, the library, the buffers
$session->query_safe(q{SELECT version FROM churn_train('few', 'churn', model => 'small', params => '{"rounds": 3}', algorithm => 'xgboost', options => '{"folds": 0}')});
$session->query_safe('SELECT count(*) FROM customers');

#
# Training on many rows
#
my ($private, $peak, $samples, $out) = watch($session, $pid,
	q{SELECT rows FROM churn_train('customers', 'churn', model => 'm', params => '{"rounds": 30}', algorithm => 'xgboost', options => '{"folds": 0}')});
is($out, $rows, "trained on $rows rows");
cmp_ok($samples, '>', 100, "its memory was looked at $samples times");
cmp_ok($private, '<=', 32 * $MiB, "the backend's private memory grew by $private KiB");
cmp_ok($peak, '<=', 32 * $MiB, "the backend's peak grew by $peak KiB");
my ($trainer, $limit) = split /\|/, $node->safe_psql('postgres', <<"SQL");
SELECT trainer_peak_memory, 6::bigint * $rows * $features + 150 * 1024 * 1024
FROM churn.model_versions WHERE model = 'm' AND version = 1;
SQL
cmp_ok($trainer, '>', 10 * 1024 * 1024, "the trainer says what it took: $trainer bytes");
cmp_ok($trainer, '<=', $limit, "which is at most 6 bytes a value and 150 MiB: $limit");
is(contexts($session, 'churn train%'), 0, 'nothing of the training stays');

# The same as a query, with the champion scoring along.
($private, $peak, $samples, $out) = watch($session, $pid,
	q{SELECT rows FROM churn_train('SELECT * FROM customers', 'churn', key => 'customer_id', model => 'm', params => '{"rounds": 5}', algorithm => 'xgboost', options => '{"folds": 0}')});
is($out, $rows, 'trained on a query, compared with the champion');
cmp_ok($private, '<=', 32 * $MiB, "the backend's private memory grew by $private KiB");

# Scoring all of them into churn.predictions.
($private, $peak, $samples, $out) = watch($session, $pid, q{SELECT churn_rescore('m')});
is($out, $rows, "rescored $rows rows");
cmp_ok($private, '<=', 32 * $MiB, "the backend's private memory grew by $private KiB");
($private, $peak, $samples, $out) = watch($session, $pid, q{SELECT churn_rescore('m')});
is($out, 0, 'rescored them again');
cmp_ok($private, '<=', 32 * $MiB, "the backend's private memory grew by $private KiB");

# Generating, and scoring row by row.
($private, $peak, $samples, $out) = watch($session, $pid,
	q{SELECT count(churn_score(c, 'm')) FROM (SELECT * FROM customers OFFSET 0) c});
is($out, $rows, "scored $rows composite rows");
cmp_ok($private, '<=', 4 * $MiB, "the backend's private memory grew by $private KiB");
($private, $peak, $samples, $out) = watch($session, $pid, q{SELECT count(churn_score(c, 'm')) FROM customers c});
is($out, $rows, "scored $rows rows of a table");
cmp_ok($private, '<=', 4 * $MiB, "the backend's private memory grew by $private KiB");

# What a training that fails leaves.
my $before = contexts($session);
my $descriptors = () = glob "/proc/$pid/fd/*";
for my $i (1 .. 5)
{
	$session->query_safe(<<'SQL');
DO $$ BEGIN PERFORM churn_train('SELECT *, 1 / (tenure - tenure) AS x FROM few', 'churn', model => 'failing', algorithm => 'xgboost', options => '{"folds": 0}');
EXCEPTION WHEN division_by_zero THEN NULL; END $$;
DO $$ BEGIN PERFORM churn_train('few', 'churn', model => 'failing', params => '{"no such": 1}', algorithm => 'xgboost', options => '{"folds": 0}');
EXCEPTION WHEN invalid_parameter_value THEN NULL; END $$
SQL
}
cmp_ok(contexts($session) - $before, '<', 256 * 1024, 'failed trainings leave no memory behind');
my $descriptors_now = () = glob "/proc/$pid/fd/*";
cmp_ok($descriptors_now, '<=', $descriptors + 2, 'nor open files');

#
# A model in memory: 200 trees of depth 6
#
is(train($node, table => 'few', model => 'large',
		params => '{"rounds": 200, "max_depth": 6, "early_stopping_rounds": 0, "min_child_weight": 1}'), 1, 'a large model');
is($node->safe_psql('postgres', q{SELECT rounds FROM churn.model_versions WHERE model = 'large'}), 200, 'of 200 trees');
my $other = $node->background_psql('postgres');
$other->query_safe('SELECT count(*) FROM churn_sample_customers(1)');
is(contexts($other, 'churn model%'), 0, 'a backend without a score has no model');
my $score = q{SELECT churn_score(c, 'large') IS NOT NULL FROM few c WHERE customer_id = (SELECT min(customer_id) FROM few)};
is($other->query_safe($score), 't', 'a first score');
my $model = contexts($other, 'churn model%');
cmp_ok($model, '>', 0, 'it has one with the first score');
cmp_ok($model, '<=', 2.5 * 1024 * 1024, "which takes $model bytes");

# Many statements, and many that fail, take no more.
$other->query_safe(<<'SQL');
CREATE FUNCTION pg_temp.many(n int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	id text := (SELECT min(customer_id) FROM few);
BEGIN
	FOR i IN 1 .. n LOOP
		PERFORM churn_score(c, 'large') FROM few c WHERE customer_id = id;
		EXECUTE format('SELECT churn_score(c, %L) FROM (SELECT * FROM few WHERE customer_id = %L OFFSET 0) c', 'large', id);
		BEGIN
			EXECUTE 'SELECT churn_score(c, ''large'') FROM (SELECT 1 AS nothing) c';
		EXCEPTION WHEN undefined_column THEN NULL;
		END;
	END LOOP;
END $$
SQL
$other->query_safe('SELECT pg_temp.many(300)');
$before = contexts($other);
$other->query_safe('SELECT pg_temp.many(3000)');
cmp_ok(contexts($other) - $before, '<', 256 * 1024, 'thousands of statements take no more memory');
is(contexts($other, 'churn model%'), $model, 'nor is the model there twice');

# Nor does one statement that looks a version up again and again.
$before = contexts($other);
$other->query_safe(q{SELECT count(*) FROM few c, LATERAL (SELECT churn_score(c, 'large'), churn_score(c, 'small')) s});
cmp_ok(contexts($other) - $before, '<', 512 * 1024, 'nor does scoring by two models at once');

#
# Temporary files: none, in any of this
#
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_ls_tmpdir()}), 0, 'no temporary file is left');
my $log = slurp_file($node->logfile);
my @files = grep { /churn_train/ } $log =~ /temporary file: .*\n.*STATEMENT: .*/g;
is(scalar @files, 0, 'training made none');

$_->quit for ($session, $other);
$node->stop;
no_panic($node);
done_testing();
