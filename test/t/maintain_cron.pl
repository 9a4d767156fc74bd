# churn_maintain() scheduled by pg_cron: by connections like a client's, and by
# background workers.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($libraries) = run_command([ 'pg_config', '--pkglibdir' ]);
plan skip_all => 'no pg_cron' if !-e "$libraries/pg_cron.so";

# Makes a server with pg_cron, a model that its owner looks after, and one of
# a superuser's.
sub cron_node
{
	my ($name, $conf) = @_;
	my $node = stream_node($name, conf => <<"EOC");
shared_preload_libraries = 'churn,pg_cron'
cron.database_name = 'postgres'
cron.timezone = 'UTC'
$conf
EOC

	$node->append_conf('postgresql.conf', "cron.host = '" . $node->host . "'");
	$node->restart;
	make_customers($node, 1000);
	train($node);
	$node->safe_psql('postgres', <<'SQL');
SET client_min_messages = warning;
CREATE EXTENSION pg_cron;
SELECT churn_set_policy('m');
CREATE ROLE analyst LOGIN;
GRANT USAGE ON SCHEMA cron TO analyst;
GRANT SELECT ON customers TO analyst;
GRANT EXECUTE ON FUNCTION churn_train, churn_set_policy TO analyst;
GRANT EXECUTE ON PROCEDURE churn_maintain TO analyst;
SET ROLE analyst;
SELECT version FROM churn_train('customers', 'churn', model => 'own', params => '{"rounds": 5}',
	algorithm => 'xgboost', options => '{"folds": 0}');
SELECT churn_set_policy('own', action => 'retrain', max_age => '1 microsecond');
SQL
	return $node;
}

my @nodes = (
	cron_node('maintain_cron_client', ''),
	cron_node('maintain_cron_worker', 'cron.use_background_workers = on'));

# seconds since 1.5; else the next full minute is waited for
my $version = $nodes[0]->safe_psql('postgres', q{SELECT extversion FROM pg_extension WHERE extname = 'pg_cron'});
my $often = $version >= 1.5 ? '1 second' : '* * * * *';

# a superuser has all models looked after, an owner those of its own
$nodes[0]->safe_psql('postgres', "SELECT cron.schedule('churn', '$often', 'CALL churn_maintain()')");
$nodes[1]->safe_psql('postgres', "SET ROLE analyst; SELECT cron.schedule('churn', '$often', 'CALL churn_maintain()')");

for my $node (@nodes)
{
	my $name = $node->name;
	my $all = $node == $nodes[0];
	my $role = $all ? 'postgres' : 'analyst';

	ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM churn.maintenance_log WHERE step = 'partitions' AND state = 'done'}),
		"$name: pg_cron has models looked after");
	$node->safe_psql('postgres', "SET ROLE $role; SELECT cron.unschedule('churn')");
	$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM cron.job_run_details WHERE status IN ('starting', 'running')});
	is($node->safe_psql('postgres', q{SELECT DISTINCT status FROM cron.job_run_details}), 'succeeded', "$name: all jobs succeed")
	  || diag($node->safe_psql('postgres', 'TABLE cron.job_run_details'));
	is($node->safe_psql('postgres', q{SELECT step, state, message FROM churn.maintenance_log WHERE state IN ('failed', 'running')}),
		'', "$name: so do all steps");
	is($node->safe_psql('postgres', q{SELECT step, state FROM churn.maintenance_log WHERE model = 'm'
			AND run_id = (SELECT min(run_id) FROM churn.maintenance_log WHERE model = 'm') ORDER BY step_id}),
		$all ? "validate|done\ndrift|done\nmeasure|done\nretrain|skipped\nalert|skipped" : '',
		$all ? "$name: one model has nothing to tell" : "$name: no model of another is looked after");
	is($node->safe_psql('postgres', q{SELECT step, state FROM churn.maintenance_log WHERE model = 'own'
			AND run_id = (SELECT min(run_id) FROM churn.maintenance_log WHERE model = 'own') ORDER BY step_id}),
		"validate|done\ndrift|done\nmeasure|done\nretrain|done\ncompare|done\npromote|skipped\nalert|done",
		"$name: a model that is old is trained again");
	is($node->safe_psql('postgres', q{SELECT version, trained_by FROM churn.model_versions WHERE model = 'own' AND version <= 2 ORDER BY version}),
		"1|analyst\n2|analyst", "$name: as its owner");
	is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}), 0, "$name: no lock is left");
	no_panic($node);
	$node->stop;
}
done_testing();
