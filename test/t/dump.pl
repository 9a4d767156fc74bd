# pg_dump and pg_restore carry models, history and predictions: the copy scores
# the same and goes on numbering where the original stopped.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = churn_node('dump');
my $dumps = $node->basedir . '/dumps';
mkdir $dumps or die;

make_customers($node, 2000);
$node->safe_psql('postgres', q{CREATE ROLE regress_churn_owner; GRANT SELECT ON customers TO regress_churn_owner;
	GRANT EXECUTE ON FUNCTION churn_train, churn_import, churn_export TO regress_churn_owner;
	GRANT USAGE ON SCHEMA churn TO regress_churn_owner; GRANT SELECT ON churn.predictions TO regress_churn_owner});
train($node, params => '{"rounds": 30, "max_depth": 5}');
train($node, params => '{"rounds": 10}', promote => 'never');
train($node, params => '{"rounds": 20}');
$node->safe_psql('postgres', <<'SQL');
SET client_min_messages = warning;
SELECT churn_drop_model('m', 2);
SELECT churn_rollback('m');
SELECT churn_train('SELECT customer_id, contract, tenure, churn AS "gone?" FROM customers', 'gone?', key => 'customer_id',
	model => 'query "quoted"', params => '{"rounds": 5}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT churn_import('imported', churn_export('m', 3), source => 'customers');
CREATE TABLE gone_customers AS TABLE customers;
SELECT churn_train('gone_customers', 'churn', model => 'gone', params => '{"rounds": 5}', algorithm => 'xgboost', options => '{"folds": 0}');
SELECT churn_drop_model('gone');
SET ROLE regress_churn_owner;
SELECT churn_train('customers', 'churn', model => 'owned', params => '{"rounds": 5}', algorithm => 'xgboost', options => '{"folds": 0}',
	transform => '{"per_month": "total_charges / nullif(tenure, 0)", "terms": "contract || payment_method"}');
RESET ROLE;
SELECT churn_rescore(name) FROM churn.models WHERE key IS NOT NULL ORDER BY name;
SELECT count(*) FROM churn_drift('m');
SELECT churn_set_policy('m', 'retrain', '6 hours', max_age => '90 days');
INSERT INTO churn.maintenance_log (run_id, model, step, state) VALUES (1, 'm', 'validate', 'running');
SELECT churn.raise_alert('m', 'maintenance', 'told');
SQL

# All that there is to know of the registry, and of who may what.
my @facts = (
	[ 'tables', join(' UNION ALL ', map { "SELECT '$_', md5(string_agg(t::text, E'\n' ORDER BY t::text)), count(*) FROM churn.$_ t" }
			qw(models model_versions features metrics deployments predictions data_issues drift policies maintenance_log alerts)) ],
	[ 'sequences', q{SELECT last_value, is_called FROM churn.models_model_id_seq UNION ALL
		SELECT last_value, is_called FROM churn.deployments_deployment_id_seq UNION ALL
		SELECT last_value, is_called FROM churn.data_issues_issue_id_seq UNION ALL
		SELECT last_value, is_called FROM churn.maintenance_log_step_id_seq UNION ALL
		SELECT last_value, is_called FROM churn.drift_check_id_seq UNION ALL
		SELECT last_value, is_called FROM churn.alerts_alert_id_seq} ],
	[ 'privileges', q{SELECT p.oid::regprocedure, p.proacl FROM pg_proc p WHERE p.proname ~ '^churn_' ORDER BY 1} ],
	[ 'privileges on tables', q{SELECT oid::regclass, relacl FROM pg_class WHERE relnamespace = 'churn'::regnamespace ORDER BY 1} ],
	[ 'members of the extension', q{SELECT pg_describe_object(classid, objid, objsubid) FROM pg_depend
		WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
			AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'churn') ORDER BY 1} ]);
my %expected = map { $_->[0] => $node->safe_psql('postgres', $_->[1]) } @facts;
my @models = split /\n/, $node->safe_psql('postgres', 'SELECT name FROM churn.models ORDER BY name');
is("@models", 'imported m owned query "quoted"', 'models to carry');
my %scores = map { $_ => fingerprint($node, model => $_) } @models;
isnt($scores{m}, $scores{imported}, 'their scores differ');
like($expected{tables}, qr/^predictions\|[0-9a-f]{32}\|8000$/m, 'predictions to carry');

# A copy must hold and do the same.
sub check_copy
{
	my ($database, $how) = @_;

	is($node->safe_psql($database, $_->[1]), $expected{ $_->[0] }, "$how: $_->[0]") for @facts;
	is(fingerprint($node, database => $database, model => $_), $scores{$_}, "$how: scores of $_") for @models;
	is($node->safe_psql($database, "SELECT churn_rescore(name) FROM churn.models WHERE name <> 'imported' ORDER BY name"),
		"0\n0\n0", "$how: nothing to rescore");
	is($node->safe_psql($database, q{SELECT version, why FROM churn.deployments WHERE model = 'm' AND upper_inf(during)}),
		$node->safe_psql('postgres', q{SELECT version, why FROM churn.deployments WHERE model = 'm' AND upper_inf(during)}),
		"$how: the rollback is in force");
	is(train($node, database => $database, promote => 'never'), 4, "$how: version numbers go on");
	is(train($node, database => $database, model => 'afresh'), 1, "$how: a new model");
	cmp_ok($node->safe_psql($database, q{SELECT model_id FROM churn.models WHERE name = 'afresh'}), '>',
		$node->safe_psql('postgres', 'SELECT last_value FROM churn.models_model_id_seq'), "$how: model numbers go on");
	$node->safe_psql($database, q{SELECT churn_promote('m', 4)});
	is($node->safe_psql($database, q{SELECT count(*) FROM churn.deployments a JOIN churn.deployments b USING (model_id)
		WHERE a.model = 'm' AND upper(a.during) = lower(b.during) AND upper_inf(b.during) AND b.version = 4}), 1,
		"$how: promotion goes on from the deployment in force");
	is($node->safe_psql($database, q{SELECT churn_rollback('m')}), 1, "$how: and can be undone");
}

# plain
$node->command_ok([ 'pg_dump', '-f', "$dumps/plain.sql", '-d', $node->connstr('postgres') ], 'pg_dump, plain');
$node->safe_psql('postgres', 'CREATE DATABASE plain TEMPLATE template0');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('plain'), '-f', "$dumps/plain.sql" ],
	'psql restores it');
check_copy('plain', 'plain');

# custom; and again, over what is there
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dumps/custom", '-d', $node->connstr('postgres') ], 'pg_dump, custom');
$node->safe_psql('postgres', 'CREATE DATABASE custom TEMPLATE template0');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('custom'), "$dumps/custom" ],
	'pg_restore');
check_copy('custom', 'custom');
$node->command_ok([ 'pg_restore', '--exit-on-error', '--clean', '--if-exists', '-d', $node->connstr('custom'), "$dumps/custom" ],
	'pg_restore --clean over it');
check_copy('custom', 'clean');

# several jobs load the tables in any order
$node->safe_psql('postgres', 'CREATE DATABASE parallel TEMPLATE template0');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-j', '4', '-d', $node->connstr('parallel'), "$dumps/custom" ],
	'pg_restore by four jobs')
	and check_copy('parallel', 'parallel');

# the schema alone makes an empty registry that works
$node->command_ok([ 'pg_dump', '-s', '-f', "$dumps/schema.sql", '-d', $node->connstr('postgres') ], 'pg_dump --schema-only');
$node->safe_psql('postgres', 'CREATE DATABASE empty TEMPLATE template0');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('empty'), '-f', "$dumps/schema.sql" ],
	'psql restores it');
$node->safe_psql('empty', 'INSERT INTO customers SELECT * FROM churn_sample_customers(2000, 1)');
is(train($node, database => 'empty', params => '{"rounds": 30, "max_depth": 5}'), 1, 'a first version there');
is(fingerprint($node, database => 'empty'), $scores{m}, 'the same data and seed give the same scores');

# the original is as it was
is($node->safe_psql('postgres', $facts[0][1]), $expected{tables}, 'dumping changes nothing');
$node->stop;
no_panic($node);
done_testing();
