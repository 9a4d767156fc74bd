# A hot standby scores like its primary, follows its promotions, refuses to
# write in plain words, and goes on alone once it is promoted itself.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = churn_node('primary');
make_customers($primary, 5000);
is(train($primary), 1, 'first version');
is(train($primary, params => '{"rounds": 40, "max_depth": 6}', promote => 'never',
	transform => '{"mean": "total_charges / nullif(tenure, 0)", "terms": "contract || payment_method"}'), 2,
	'second version, with transforms');

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby, 'replay');

my $first = fingerprint($primary);
is(fingerprint($standby), $first, 'the standby scores the same');

# Two sessions that have the first version at hand.
my $version = 'SELECT DISTINCT (churn_predict(c)).version FROM customers c';
my $ordinary = $standby->background_psql('postgres');
my $repeatable = $standby->background_psql('postgres');
is($ordinary->query_safe($version), 1, 'a session scores by the first version');
$ordinary->query_safe("PREPARE p AS $version");
is($ordinary->query_safe('EXECUTE p'), 1, 'also by a prepared statement') for 1 .. 6;
$repeatable->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
is($repeatable->query_safe($version), 1, 'a transaction begins with the first version');

# A promotion that is not committed, then is.
my $promoter = $primary->background_psql('postgres');
$promoter->query_safe(q{BEGIN; SELECT churn_promote('m', 2)});
is($promoter->query_safe($version), 2, 'the primary sees its own promotion');
$primary->safe_psql('postgres', 'CREATE TABLE other_work ()');
$primary->wait_for_catchup($standby, 'replay');
is($ordinary->query_safe($version), 1, 'the standby does not, before commit');
$promoter->query_safe('COMMIT');
$primary->wait_for_catchup($standby, 'replay');
is($ordinary->query_safe($version), 2, 'the next statement after replay scores by the second version');
is($ordinary->query_safe('EXECUTE p'), 2, 'so does the prepared statement');
is($repeatable->query_safe($version), 1, 'a REPEATABLE READ transaction stays with its version');
$repeatable->query_safe('COMMIT');
is($repeatable->query_safe($version), 2, 'and follows after it');

# A promotion that is rolled back.
$promoter->query_safe(q{BEGIN; SELECT churn_promote('m', 1); ROLLBACK});
$primary->safe_psql('postgres', 'DROP TABLE other_work');
$primary->wait_for_catchup($standby, 'replay');
is($ordinary->query_safe($version), 2, 'a promotion that was rolled back leaves no trace');
my $second = fingerprint($primary);
isnt($second, $first, 'the versions score differently');
is(fingerprint($standby), $second, 'the standby scores like the primary again');

# A version that is trained now.
is(train($primary, params => '{"rounds": 10, "max_depth": 2}'), 3, 'third version');
$primary->wait_for_catchup($standby, 'replay');
is($ordinary->query_safe($version), 3, 'a new version arrives');
is(fingerprint($standby), fingerprint($primary), 'and scores the same');

# All that reads works; all that writes says that it cannot.
is($standby->safe_psql('postgres', q{SELECT churn_export('m') = artifact FROM churn.model_versions WHERE version = 3}), 't',
	'a standby exports');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM churn_sample_customers(7)'), 7, 'a standby generates customers');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM churn.training_progress'), 0, 'a standby shows progress');
my %refused = (
	'churn_train' => q{SELECT churn_train('customers', 'churn', model => 'm', algorithm => 'xgboost', options => '{"folds": 0}')},
	'churn_rescore' => q{SELECT churn_rescore('m')},
	'churn_import' => q{SELECT churn_import('m', churn_export('m'))},
	'churn_promote' => q{SELECT churn_promote('m', 1)},
	'churn_rollback' => q{SELECT churn_rollback('m')},
	'churn_drop_model' => q{SELECT churn_drop_model('m')});
for my $function (sort keys %refused)
{
	like(error_of($standby, $refused{$function}), qr/^25006: cannot execute .* (in a read-only transaction|during recovery)$/,
		"$function refuses on a standby");
}
is($ordinary->query_safe($version), 3, 'and nothing has changed');

# Parallel workers.
my $parallel = <<'SQL';
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SQL
for my $node ($primary, $standby)
{
	my $name = $node->name;
	like($node->safe_psql('postgres', $parallel . 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)
		SELECT count(*) FROM customers c WHERE churn_score(c) > 0.5'), qr/Workers Launched: [12]/, "workers score on the $name");
	is($node->safe_psql('postgres', $parallel . q{SELECT md5(string_agg(s, ',' ORDER BY s)) FROM
			(SELECT concat_ws(' ', customer_id, churn_margin(c), churn_score(c)) AS s FROM customers c OFFSET 0) x}),
		$node->safe_psql('postgres', q{SET max_parallel_workers_per_gather = 0; SELECT md5(string_agg(s, ',' ORDER BY s)) FROM
			(SELECT concat_ws(' ', customer_id, churn_margin(c), churn_score(c)) AS s FROM customers c OFFSET 0) x}),
		"and find the same on the $name");
}

# The standby takes over.
$_->quit for ($ordinary, $repeatable, $promoter);
$primary->stop('immediate');
$standby->promote;
is($standby->safe_psql('postgres', $version), 3, 'scores after fail-over');
$standby->safe_psql('postgres', q{SELECT churn_promote('m', 2)});
is(fingerprint($standby), $second, 'promotes after fail-over');
is(train($standby, promote => 'never'), 4, 'trains after fail-over');
is($standby->safe_psql('postgres', q{SELECT churn_rescore('m')}), 5000, 'rescores after fail-over');

$standby->stop;
no_panic($_) for ($primary, $standby);
done_testing();
