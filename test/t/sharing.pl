# Sessions share the tables of a model, which are gone with the last of them,
# and do without where there is no room for them.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# So each segment of shared memory is a file in the data directory.
my $node = churn_node('sharing', conf => "dynamic_shared_memory_type = mmap\nmax_parallel_workers_per_gather = 0");
my $directory = $node->data_dir . '/pg_dynshmem';
my $large = '{"rounds": 100, "max_depth": 6, "early_stopping_rounds": 0, "min_child_weight": 1}';

make_customers($node, 1000);
is(train($node, params => $large), 1, 'a model');
is(train($node, params => $large =~ s/100/120/r, promote => 'never'), 2, 'a second version');

# The segments that are there, but for the server's own.
sub segments
{
	return scalar(() = glob "$directory/mmap.*") - $main::none;
}

# Waits until that many are left; a session that ends does so after its client.
sub wait_for_segments
{
	my ($wanted, $what) = @_;
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		last if segments() == $wanted;
		select(undef, undef, undef, 0.1);
	}
	is(segments(), $wanted, $what);
}

sub session
{
	return $node->background_psql('postgres', on_error_stop => 0);
}

our $none = 0;
$node->restart;
$none = segments();

# What a session has for itself; what it gives.
my $own = q{SELECT sum(total_bytes) FROM pg_backend_memory_contexts WHERE name = 'churn model'};
my $margins = q{SELECT md5(string_agg(churn_margin(c)::text, ',' ORDER BY customer_id)) FROM customers c};

my $a = session();
my $expected = $a->query_safe($margins);
like($expected, qr/^[0-9a-f]{32}$/, 'a session scores');
is(segments(), 1, 'and makes tables to share');
cmp_ok($a->query_safe($own), '<', 100_000, 'which it does not hold for itself');
my $b = session();
is($b->query_safe($margins), $expected, 'another gives the same');
is(segments(), 1, 'by the same tables');
$a->quit;
is($b->query_safe($margins), $expected, 'also after the one that made them has gone');
my $c = session();
is($c->query_safe($margins), $expected, 'from whom one that comes later can have them');
is(segments(), 1, 'for they are still there');
is($c->query_safe($margins =~ s/churn_margin\(c\)/churn_margin(c, version => 2)/r) ne $expected, 1, 'another version scores otherwise');
is(segments(), 2, 'by tables of its own');
$c->quit;
wait_for_segments(1, 'which go with the only session that had them');
$b->quit;
wait_for_segments(0, 'nothing is left when nobody scores');
is($node->safe_psql('postgres', $margins), $expected, 'it begins anew');
wait_for_segments(0, 'and ends so');

# Many at once: all but one come too late to list theirs, or find the first's.
$node->pgbench('-n -c 10 -j 2 -t 5', 0, [ qr{actually processed: 50/50} ], [qr/^$/], 'ten sessions begin together',
	{ 'sharing_together' => "SELECT 1 / (($margins) = '$expected')::int;\n" });
wait_for_segments(0, 'and leave nothing');

# Parallel workers.
$a = session();
$a->query_safe("SET $_") for ('max_parallel_workers_per_gather = 2', 'min_parallel_table_scan_size = 0', 'parallel_setup_cost = 0', 'parallel_tuple_cost = 0');
like($a->query_safe("EXPLAIN (COSTS OFF) $margins"), qr/Gather/, 'a parallel plan');
is($a->query_safe($margins), $expected, 'gives the same');
is($a->query_safe('SELECT 1'), 1, 'and ends');
$a->quit;
wait_for_segments(0, 'and leaves nothing');

# A transaction that fails while, or after, it loads; a prepared one.
$a = session();
$a->query_safe('BEGIN; SAVEPOINT s');
is($a->query_safe($margins), $expected, 'loaded in a subtransaction');
$a->query_safe('ROLLBACK TO s; ROLLBACK');
is($a->query_safe($margins), $expected, 'and there when that was rolled back');
is(segments(), 1, 'by the same tables');
$a->query('SELECT churn_margin(c), 1 / (number - number) FROM (SELECT c.*, 1 AS number FROM customers c) c');
like($a->{stderr}, qr/division by zero/, 'an error while it scores');
$a->{stderr} = '';
is($a->query_safe($margins), $expected, 'changes nothing');
$a->quit;
wait_for_segments(0, 'and leaves nothing');

# A crash takes the tables with it, whoever is left.
$a = session();
$b = session();
is($_->query_safe($margins), $expected, 'before a crash') for ($a, $b);
my $pid = $a->query_safe('SELECT pg_backend_pid()');
my $offset = -s $node->logfile;
is(kill('KILL', $pid), 1, "kill -9 of backend $pid");
$_->{run}->finish for ($a, $b);
$node->wait_for_log(qr/all server processes terminated; reinitializing/, $offset);
ok($node->poll_query_until('postgres', 'SELECT true'), 'the server is up again');
is(segments(), 0, 'nothing is left of before');
is($node->safe_psql('postgres', $margins), $expected, 'scores are');

# Without room, a session has tables of its own, and the log says why.
$offset = -s $node->logfile;
$a = session();
$a->query_safe('SELECT 1');
rename $directory, "$directory.away" or die "rename: $!";
is($a->query_safe($margins), $expected, 'scores without room for shared tables');
cmp_ok($a->query_safe($own), '>', 100_000, 'by tables of its own');
like(slurp_file($node->logfile, $offset), qr/LOG:  tables of a model are not shared with other sessions/, 'the log says so');
rename "$directory.away", $directory or die "rename: $!";
is(segments(), 0, 'nothing was made');
is($a->query_safe($margins), $expected, 'the session goes on');
$b = session();
is($b->query_safe($margins), $expected, 'another makes some');
is(segments(), 1, 'where there is room again');
$_->quit for ($a, $b);
wait_for_segments(0, 'and they go with it');

# More versions than are listed: what is displaced is made again.
$node->safe_psql('postgres', <<'SQL');
SET client_min_messages = warning;
CREATE TABLE few AS SELECT * FROM customers LIMIT 300;
DO $$
BEGIN
	FOR i IN 1 .. 66 LOOP
		PERFORM churn_train('few', 'churn', model => 'many', key => 'customer_id', algorithm => 'xgboost',
			options => '{"folds": 0, "promote": "never"}',
			params => jsonb_build_object('rounds', 40, 'max_depth', 6, 'early_stopping_rounds', 0,
				'min_child_weight', 0.1, 'reg_lambda', i));
	END LOOP;
END $$;
SQL
my $all = q{SELECT md5(string_agg(churn_margin(f, 'many', i)::text, ',' ORDER BY i))
	FROM generate_series(1, 66) AS i, LATERAL (SELECT * FROM few ORDER BY customer_id LIMIT 1) AS f};
$a = session();
$b = session();
my $many = $a->query_safe($all);
is(segments(), 66, 'tables of 66 versions');
is($b->query_safe($all), $many, 'score the same in another session');
cmp_ok(segments(), '>', 66, 'which did not find them all');
$_->quit for ($a, $b);
wait_for_segments(0, 'all are gone in the end');

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP:/, 'no panic');
done_testing();
