# Promotion under concurrency: every statement scores by exactly one version,
# the one in force under its snapshot, and the history has no holes.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = churn_node('promote');
make_customers($node, 2000);
is(train($node), 1, 'first version');
is(train($node, params => '{"rounds": 30, "max_depth": 6}', promote => 'never'), 2, 'second version');
is(train($node, params => '{"rounds": 5, "max_depth": 1}', promote => 'never'), 3, 'third version');

# The versions that one statement scores by, as a list.
my $versions = q{SELECT string_agg(DISTINCT (churn_predict(c)).version::text, ',') FROM customers c};

# The history of a model is whole: one deployment after the other without gap
# or overlap, none empty, the last without an end and of the champion.
sub check_history
{
	my ($what) = @_;
	is($node->safe_psql('postgres', <<'SQL'), '0|0|1', "history is whole: $what");
SELECT count(*) FILTER (WHERE upper(during) IS DISTINCT FROM next_lower),
	count(*) FILTER (WHERE isempty(during)),
	count(*) FILTER (WHERE upper_inf(during) AND version = champion)
FROM (SELECT d.*, m.champion, lead(lower(d.during)) OVER (PARTITION BY d.model_id ORDER BY d.during) AS next_lower
	  FROM churn.deployments d JOIN churn.models m USING (model_id) WHERE m.name = 'm') AS d;
SQL
}

# The versions in the order in which they were in force.
sub history
{
	return $node->safe_psql('postgres',
		q{SELECT string_agg(version::text, ',' ORDER BY during) FROM churn.deployments WHERE model = 'm'});
}

sub promote
{
	my ($version) = @_;
	$node->safe_psql('postgres', "SELECT churn_promote('m', $version)");
}

# Waits until a session waits for a lock.
sub wait_for_lock
{
	my ($pid) = @_;
	ok($node->poll_query_until('postgres',
			"SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $pid"), 'the session waits');
}

my $a = $node->background_psql('postgres', on_error_stop => 0);
my $b = $node->background_psql('postgres', on_error_stop => 0);
my $a_pid = $a->query_safe('SELECT pg_backend_pid()');
my $b_pid = $b->query_safe('SELECT pg_backend_pid()');

#
# Several promotions in one transaction
#
$a->query_safe(q{BEGIN; SELECT churn_promote('m', 2); SELECT churn_promote('m', 3); SELECT churn_promote('m', 2)});
is($a->query_safe($versions), 2, 'the transaction scores by its last promotion');
is($b->query_safe($versions), 1, 'others by the first version, before commit');
$a->query_safe('COMMIT');
is($b->query_safe($versions), 2, 'and by the last, after it');
is(history(), '1,2,3,2', 'all of them are remembered');
check_history('several promotions in one transaction');

#
# Promotions in transactions that cross: the one that began first ends last
#
$b->query_safe('BEGIN; SELECT 1');
$a->query_safe(q{BEGIN; SELECT churn_promote('m', 1)});
$b->query_until(qr/sent\n/, "\\echo sent\nSELECT churn_promote('m', 3);\n\\echo done\n");
wait_for_lock($b_pid);
$a->query_safe('COMMIT');
$b->query_until(qr/done\n/, '');
is($b->query_safe($versions), 3, 'the later one sees its own');
is($a->query_safe($versions), 1, 'others the first, before its commit');
$b->query_safe('COMMIT');
is($a->query_safe($versions), 3, 'the later one wins');
is(history(), '1,2,3,2,1,3', 'both are remembered, in order');
check_history('crossing transactions');

# The one that waited goes on when the other rolls back.
$a->query_safe(q{BEGIN; SELECT churn_promote('m', 1)});
$b->query_until(qr/sent\n/, "\\echo sent\nSELECT churn_promote('m', 2);\n\\echo done\n");
wait_for_lock($b_pid);
$a->query_safe('ROLLBACK');
$b->query_until(qr/done\n/, '');
is($a->query_safe($versions), 2, 'a promotion that was rolled back does not count');
is(history(), '1,2,3,2,1,3,2', 'nor is it remembered');
check_history('a rolled-back promotion');

# In REPEATABLE READ a conflict is an ordinary serialization failure.
$b->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
promote(1);
$b->query("\\set VERBOSITY sqlstate\nSELECT churn_promote('m', 3);");
like($b->{stderr}, qr/ERROR:  40001/, 'a promotion in an outdated snapshot fails to serialize');
$b->{stderr} = '';
$b->query_safe('ROLLBACK');
is($b->query_safe($versions), 1, 'and changes nothing');

#
# Isolation levels
#
my %level;
for my $name ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
{
	$level{$name} = $node->background_psql('postgres');
	$level{$name}->query_safe("PREPARE p AS $versions");
	$level{$name}->query_safe("BEGIN ISOLATION LEVEL $name");
	is($level{$name}->query_safe($versions), 1, "$name begins with the first version");
}
promote(2);
is($level{'READ COMMITTED'}->query_safe($versions), 2, 'READ COMMITTED moves on');
is($level{'READ COMMITTED'}->query_safe('EXECUTE p'), 2, 'also by a prepared statement');
is($level{$_}->query_safe($versions), 1, "$_ keeps its version"), is($level{$_}->query_safe('EXECUTE p'), 1,
	'also by a prepared statement')
  for ('REPEATABLE READ', 'SERIALIZABLE');
for my $name (sort keys %level)
{
	$level{$name}->query_safe('COMMIT');
	is($level{$name}->query_safe('EXECUTE p'), 2, "$name moves on after its transaction");
	$level{$name}->quit;
}

# What it scored by counts among what a serializable transaction read, also if
# the session knew it from before: here each of two reads what the other writes.
$node->safe_psql('postgres', 'CREATE TABLE seen (version int)');
is($a->query_safe($versions), 2, 'a session knows the version');
$a->query_safe('BEGIN ISOLATION LEVEL SERIALIZABLE');
is($a->query_safe($versions), 2, 'and scores by it in a serializable transaction');
$b->query_safe(q{BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM seen; SELECT churn_promote('m', 1); COMMIT});
$a->query("\\set VERBOSITY sqlstate\nINSERT INTO seen VALUES (2); COMMIT;");
like($a->{stderr}, qr/ERROR:  40001/, 'which fails to serialize after a promotion');
$a->{stderr} = '';
promote(2);

#
# A statement keeps its version while it runs
#
my $rows = q{SELECT customer_id, churn_margin(c) AS margin, (churn_predict(c)).version FROM customers c};
promote(1);
$a->query_safe("BEGIN; DECLARE c CURSOR FOR $rows; DECLARE h CURSOR WITH HOLD FOR $rows");
like($a->query_safe('FETCH 5 FROM c'), qr/^(\S+\|1\n){4}\S+\|1$/, 'a cursor begins with version 1');
promote(2);
is($a->query_safe($versions), 2, 'a new statement beside it scores by version 2');
like($a->query_safe('FETCH 1500 FROM c'), qr/^(\S+\|1\n){1499}\S+\|1$/, 'the cursor stays with version 1');
$a->query_safe(q{SELECT churn_promote('m', 3)});
is($a->query_safe($versions), 3, 'its own transaction promotes version 3');
like($a->query_safe('FETCH ALL FROM c'), qr/^(\S+\|1\n){494}\S+\|1$/, 'the cursor still stays with version 1');
$a->query_safe('COMMIT');
like($a->query_safe('FETCH ALL FROM h'), qr/^(\S+\|1\n){1999}\S+\|1$/, 'so does one that outlives the transaction');
$a->query_safe('CLOSE h');

is($node->safe_psql('postgres', <<'SQL'), '1|1|2', 'nor does a loop over a query mix versions when it promotes');
CREATE FUNCTION looping(OUT first int, OUT last int, OUT after int) LANGUAGE plpgsql AS $$
DECLARE
	x record;
BEGIN
	PERFORM churn_promote('m', 1);
	FOR x IN SELECT (churn_predict(c)).version FROM customers c LOOP
		IF first IS NULL THEN
			first := x.version;
			PERFORM churn_promote('m', 2);
		END IF;
		last := x.version;
	END LOOP;
	SELECT (churn_predict(c)).version INTO after FROM customers c LIMIT 1;
END $$;
SELECT * FROM looping();
SQL

# A version that is dropped while a cursor reads with it.
is(train($node, params => '{"rounds": 7}', promote => 'never'), 4, 'fourth version');
$a->query_safe(q{BEGIN; DECLARE c CURSOR FOR SELECT churn_margin(c, version => 4) FROM customers c});
$a->query_safe('FETCH 5 FROM c');
$node->safe_psql('postgres', q{SELECT churn_drop_model('m', 4)});
is($a->query_safe('MOVE ALL FROM c; SELECT 1'), 1, 'a version that is dropped meanwhile serves its cursor to the end');
$a->query_safe('COMMIT');
like(error_of($node, q{SELECT churn_margin(c, version => 4) FROM customers c}), qr/^42704: model "m" has no version 4/,
	'and nobody else');

#
# What a subtransaction promoted is gone with it, also for an expression that
# PL/pgSQL keeps ready for the whole transaction; another session commits in
# between, so that no transaction number tells the two snapshots apart
#
promote(1);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE noise (x int);
CREATE FUNCTION version_of(c customers) RETURNS int STABLE LANGUAGE plpgsql AS
	$$ BEGIN RETURN (churn_predict(c)).version; END $$;
CREATE FUNCTION margin_of(c customers) RETURNS real VOLATILE LANGUAGE plpgsql AS
	$$ BEGIN RETURN churn_margin(c, 'm'); END $$;
SQL
my $one = q{SELECT version_of(c), margin_of(c) = churn_margin(c, 'm', 1) FROM customers c WHERE customer_id = (SELECT min(customer_id) FROM customers)};
$a->query_safe('BEGIN');
is($a->query_safe($one), '1|t', 'version 1 before the savepoint');
$a->query_safe(q{SAVEPOINT s; SELECT churn_promote('m', 2)});
$node->safe_psql('postgres', 'INSERT INTO noise VALUES (1)');
is($a->query_safe($one), '2|f', 'version 2 within it');
$a->query_safe('ROLLBACK TO s');
is($a->query_safe($one), '1|t', 'version 1 after it was rolled back');
$a->query_safe('COMMIT');

#
# Rollback of a promotion goes to what was in force before, not to what was
# rolled back from once
#
promote(2);
promote(1);
promote(3);
is($node->safe_psql('postgres', q{SELECT churn_rollback('m')}), 1, 'rolled back from version 3 to version 1');
promote(2);
is($node->safe_psql('postgres', q{SELECT churn_rollback('m')}), 1, 'rolled back from version 2 to version 1 as well');
is($node->safe_psql('postgres', q{SELECT churn_rollback('m')}), 2, 'once more: to what was in force before that');
check_history('promotions and rollbacks');
$_->quit for ($a, $b);

#
# Scoring while others promote: no statement mixes versions
#
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE expected AS SELECT customer_id, churn_margin(c, version => 1) AS m1, churn_margin(c, version => 2) AS m2 FROM customers c;
ALTER TABLE expected ADD PRIMARY KEY (customer_id);
SELECT churn_promote('m', 1);
SQL
$ENV{PGOPTIONS} = '-c client_min_messages=warning';
my $check = q{SELECT 1 / (count(DISTINCT v) = 1 AND
	bool_and(margin = CASE v WHEN 1 THEN m1 WHEN 2 THEN m2 END))::int
	FROM (SELECT (churn_predict(c)).version AS v, churn_margin(c) AS margin, e.*
		  FROM customers c JOIN expected e USING (customer_id) OFFSET 0) AS x};
$node->pgbench('-n -c 4 -j 2 -T 4 -M prepared', 0,
	[qr/number of failed transactions: 0/, qr/number of transactions actually processed: [1-9]/], [qr/^$/],
	'no statement mixes versions while another session promotes',
	{
		'promote_score@4' => "$check;\n",
		'promote_promote@2' => "\\set v random(1, 2)\nSELECT churn_promote('m', :v);\n",
		'promote_flip@1' => "BEGIN;\nSELECT churn_promote('m', 2);\nSELECT churn_promote('m', 1);\n$check;\nROLLBACK;\n",
		'promote_repeatable@1' => "BEGIN ISOLATION LEVEL REPEATABLE READ;\n$check;\n$check;\nCOMMIT;\n"
	});
check_history('many promotions at once');
$node->safe_psql('postgres', 'ALTER SYSTEM SET min_parallel_table_scan_size = 0; ALTER SYSTEM SET parallel_setup_cost = 0;
	ALTER SYSTEM SET parallel_tuple_cost = 0; SELECT pg_reload_conf()' =~ s/; /;\n/gr);
like($node->safe_psql('postgres', 'EXPLAIN SELECT string_agg(DISTINCT churn_margin(c)::text, \'\') FROM customers c'), qr/Gather/,
	'plans are parallel');
$node->pgbench('-n -c 3 -j 2 -T 3', 0,
	[qr/number of failed transactions: 0/, qr/number of transactions actually processed: [1-9]/], [qr/^$/],
	'nor does one with parallel workers',
	{
		'promote_parallel@2' => "$check;\n",
		'promote_promote2@1' => "\\set v random(1, 2)\nSELECT churn_promote('m', :v);\n"
	});
check_history('many promotions beside parallel scans');

#
# Trainings of one model at the same time
#
$node->pgbench('-n -c 4 -j 2 -t 3', 0, [qr/number of transactions actually processed: 12\/12/], [qr/^$/],
	'four sessions train one model that nobody had',
	{
		'promote_train' => q{SELECT churn_train('customers', 'churn', model => 'crowd', params => '{"rounds": 3}', algorithm => 'xgboost', options => '{"folds": 0}');}
	});
is($node->safe_psql('postgres', q{SELECT count(*), min(version), max(version) FROM churn.model_versions WHERE model = 'crowd'}),
	'12|1|12', 'each has a number of its own');
is($node->safe_psql('postgres', q{SELECT count(*), max(last_version) FROM churn.models WHERE name = 'crowd'}), '1|12',
	'of one model');
is($node->safe_psql('postgres', q{SELECT count(DISTINCT sha256) FROM churn.model_versions WHERE model = 'crowd'}), 1,
	'the same data and seed gave the same bytes to all');
is($node->safe_psql('postgres', q{SELECT count(*) FROM churn.deployments WHERE model = 'crowd'}), 1,
	'and none of them beat the first');

# Rescorings of one model at the same time, with a promotion in between.
$node->pgbench('-n -c 3 -j 2 -t 4', 0, [qr/number of transactions actually processed: 12\/12/], [qr/^$/],
	'three sessions rescore and promote one model',
	{ 'promote_rescore' => "\\set v random(1, 2)\nSELECT churn_promote('m', :v);\nSELECT churn_rescore('m');\n" });
$node->safe_psql('postgres', q{SELECT churn_rescore('m')});
is($node->safe_psql('postgres', q{SELECT count(*) FROM churn.predictions p JOIN customers c ON c.customer_id = p.customer_key
	WHERE p.model = 'm' AND p.score = churn_score(c, 'm') AND p.version = (churn_predict(c, 'm')).version}), 2000,
	'predictions are what the champion says');

$node->stop;
no_panic($node);
done_testing();
