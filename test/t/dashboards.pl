# What dashboards read: the queries for postgres_exporter, scraped for real, by
# a role that has the documented privileges only; and Grafana's dashboard, whose
# metrics have to be among them and whose SQL has to run.
use strict;
use warnings;

use ChurnTest;
use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'no prometheus-postgres-exporter: install Debian\'s package of that name'
  if !grep { -x "$_/prometheus-postgres-exporter" } split /:/, $ENV{PATH};

my ($share) = run_command([ 'pg_config', '--sharedir' ]);
my $queries = "$share/churn/postgres_exporter.yml";

# The namespaces of the query file: {name => {query, labels, values}}.
sub read_queries
{
	my (%namespaces, $namespace, $in_query, $column);

	for (split /\n/, slurp_file($queries))
	{
		if (/^(\w+):/) { $namespace = $namespaces{$1} = { query => '', labels => [], values => [] }; }
		elsif (/^  query: \|/) { $in_query = 1; }
		elsif (/^  (metrics|cache_seconds):/) { $in_query = 0; }
		elsif ($in_query) { $namespace->{query} .= "$_\n"; }
		elsif (/^    - (\w+):/) { $column = $1; }
		elsif (/^        usage: (\w+)/)
		{
			push @{ $namespace->{ $1 eq 'LABEL' ? 'labels' : 'values' } }, $column;
		}
	}
	return \%namespaces;
}

# The block of SQL in operations.md that creates a role.
sub documented_grants
{
	my ($role) = @_;

	for my $block (slurp_file('docs/operations.md') =~ /^```sql no-run\n(.*?)^```/msg)
	{
		return $block if $block =~ /CREATE ROLE $role\b/;
	}
	die "operations.md does not create role $role";
}

# The rows of a query by a role, as hashes; null is undef.
sub rows_of
{
	my ($node, $role, $sql) = @_;
	my ($status, $out, $err) = $node->psql('postgres',
		"SELECT json_agg(to_jsonb(q)) FROM ($sql) q",
		extra_params => [ '-U', $role ]);

	die "$err\n$sql" if $status != 0;
	return decode_json($out || '[]');
}

# What a server scrapes: {metric => {labels => value}}, the labels in order, and
# less the one that names the server.
sub scrape
{
	my ($port) = @_;
	my $response = HTTP::Tiny->new->get("http://127.0.0.1:$port/metrics");
	my %metrics;

	return undef if !$response->{success};
	for (split /\n/, $response->{content})
	{
		next if !/^(churn_\w+)(?:\{(.*)\})? (\S+)$/;
		my ($metric, $labels, $value) = ($1, $2 // '', $3);
		my %labels = $labels =~ /(\w+)="((?:[^"\\]|\\.)*)"/g;
		delete $labels{server};
		$metrics{$metric}{ join ',', map { "$_=$labels{$_}" } sort keys %labels } = $value;
	}
	return \%metrics;
}

# Whether a value scraped is the one of SQL; clocks go on between the two.
sub agree
{
	my ($column, $scraped, $expected) = @_;

	return $scraped eq 'NaN' if !defined $expected;
	return abs($scraped - $expected) < 120 if $column =~ /(age|oldest_open|duration|lag)_seconds$/;
	return $scraped >= 0 if $column =~ /_bytes$|^latency/;
	return abs($scraped - $expected) <= 1e-9 * abs($expected);
}

# Grafana's macros, as its data source for PostgreSQL expands them.
sub expand
{
	my ($sql, $models) = @_;
	my ($from, $to) = map { "'$_'" } '2000-01-01T00:00:00Z', '2999-01-01T00:00:00Z';

	$sql =~ s/\$__timeFilter\(([^)]*)\)/$1 BETWEEN $from AND $to/g;
	$sql =~ s/\$__timeFrom\(([^)]*)\)/$from/g;
	$sql =~ s/\$__timeTo\(([^)]*)\)/$to/g;
	$sql =~ s/\$\{model:sqlstring\}/$models/g;
	return $sql;
}

# All hashes in a structure that have a key.
sub having
{
	my ($key, $value) = @_;

	return map { having($key, $_) } @$value if ref $value eq 'ARRAY';
	return () if ref $value ne 'HASH';
	return ((exists $value->{$key} ? $value : ()), map { having($key, $_) } values %$value);
}

#
# A server where there is something to see
#
my $node = stream_node('dashboards');
make_customers($node, 2000);
train($node);
watch($node);
caught_up($node, 'customers are scored');
$node->safe_psql('postgres', <<'SQL');
SET client_min_messages = error;
SELECT churn_set_policy('m', drift_psi => 0.001);
CREATE TABLE outcomes AS SELECT customer_id, churn FROM customers;
SQL
# what has happened since: prices, contracts that nobody knows, churn, a row
# that cannot be scored
$node->safe_psql('postgres', <<'SQL');
SET client_min_messages = error;
UPDATE customers SET monthly_charges = monthly_charges + 40,
	contract = CASE WHEN tenure < 9 THEN 'Weekly' ELSE contract END;
SELECT churn_record_outcomes('m', 'outcomes', 'churn', 'customer_id');
SELECT churn_measure('m');
INSERT INTO churn.errors (kind, model, message) VALUES ('row', 'm', 'this row could not be scored');
SELECT churn_set_challenger('m', (SELECT version FROM churn_train('customers', 'churn', model => 'm', algorithm => 'rules',
	options => '{"folds": 0, "promote": "never"}')));
CALL churn_maintain('m', true);
SQL
caught_up($node, 'and scored again');
$node->safe_psql('postgres', documented_grants($_)) for qw(prometheus grafana);

#
# The exporter
#
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $errors = '';
local $ENV{DATA_SOURCE_NAME} = sprintf('user=prometheus host=%s port=%d dbname=postgres sslmode=disable',
	$node->host, $node->port);
my $exporter = IPC::Run::start(
	[ 'prometheus-postgres-exporter', "--extend.query-path=$queries",
		"--web.listen-address=127.0.0.1:$port",
		'--disable-default-metrics', '--disable-settings-metrics' ],
	\undef, '>', \my $output, '2>', \$errors);

END
{
	$exporter->kill_kill if $exporter;
}

my $metrics;
for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
{
	$exporter->pump_nb;
	last if $metrics = scrape($port);
	select undef, undef, undef, 0.1;
}
ok($metrics, 'the exporter answers') or BAIL_OUT($errors);

my $namespaces = read_queries();
cmp_ok(scalar keys %$namespaces, '>=', 10, 'there are queries');
for my $name (sort keys %$namespaces)
{
	my $namespace = $namespaces->{$name};
	my $rows = eval { rows_of($node, 'prometheus', $namespace->{query}) } // [];
	my @wrong;

	is($@, '', "$name may be asked");
	for my $row (@$rows)
	{
		my $labels = join ',', map { "$_=" . ($row->{$_} // '') } sort @{ $namespace->{labels} };
		for my $column (@{ $namespace->{values} })
		{
			my $scraped = $metrics->{"${name}_$column"}{$labels};
			push @wrong, "${name}_$column\{$labels} is " . ($scraped // 'missing') . ', not ' . ($row->{$column} // 'null')
			  if !defined $scraped || !agree($column, $scraped, $row->{$column});
		}
	}
	cmp_ok(scalar @$rows, '>', 0, "$name has rows");
	is(join("\n", @wrong), '', "$name: metrics are what its query says");
	for my $column (@{ $namespace->{values} })
	{
		push @wrong, $column if keys %{ $metrics->{"${name}_$column"} // {} } != @$rows;
	}
	is("@wrong", '', "$name: and no others");
}

#
# Some of them by other SQL
#
sub metric
{
	my ($name, $labels) = @_;
	return $metrics->{$name}{$labels};
}

sub superuser
{
	return $node->safe_psql('postgres', shift);
}

for my $band (qw(high medium low))
{
	is(metric('churn_predictions_customers', "band=$band,model=m"),
		superuser("SELECT count(*) FROM churn_predict_bands WHERE band = '$band'"),
		"customers of band $band")
	  if superuser(q{CREATE OR REPLACE VIEW churn_predict_bands AS SELECT (churn_predict(c, 'm')).band FROM customers c});
}
is(metric('churn_model_champion', 'model=m'), 1, 'the champion');
is(metric('churn_model_challenger', 'model=m'), superuser(q{SELECT challenger FROM churn.models}), 'the challenger');
is(metric('churn_drift_drifted', 'feature=monthly_charges,model=m'), 1, 'higher prices are drift');
is(metric('churn_drift_drifted', 'feature=gender,model=m'), 0, 'the same sexes are none');
cmp_ok(metric('churn_drift_unseen_share', 'feature=contract,model=m'), '>', 0.05, 'nor had training seen such contracts');
is(metric('churn_drift_check_drifted', 'model=m'), 1, 'so the model\'s data have drifted');
is(metric('churn_data_issues_last_day', 'model=m,severity=warning'),
	superuser(q{SELECT count(*) FROM churn.data_issues WHERE source = 'validate' AND severity = 'warning'}), 'warnings of churn_validate()');
is(metric('churn_stream_running', ''), 1, 'the worker runs');
cmp_ok(metric('churn_stream_changes_total', ''), '>=', 2000, 'and has seen the changes');
is(metric('churn_errors_last_hour', 'kind=row,model=m'), 1, 'one error');
is(metric('churn_alerts_open', 'kind=customer,model=m'), superuser(q{SELECT count(*) FROM churn.alerts WHERE kind = 'customer'}), 'alerts of customers');
is(metric('churn_maintenance_failed', 'model=m,step=drift'), 0, 'maintenance looked for drift');
is(metric('churn_realised_outcomes', 'model=m'), superuser(q{SELECT count(*) FROM churn.outcomes WHERE score IS NOT NULL AND status = 'confirmed'}), 'outcomes');

#
# What the exporter may not see
#
for my $sql ('SELECT customer_key FROM churn.predictions', 'TABLE churn.at_risk', 'TABLE churn.alerts',
	'SELECT examples FROM churn.data_issues', 'SELECT message FROM churn.errors', 'TABLE churn.prediction_log',
	'SELECT artifact FROM churn.model_versions', 'TABLE customers')
{
	my ($status, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-U', 'prometheus' ]);
	like($err, qr/permission denied/, "the exporter's role may not: $sql");
}

#
# Grafana's dashboard
#
my $dashboard = decode_json(slurp_file("$share/churn/grafana.json"));
my %variables = map { $_->{name} => $_ } @{ $dashboard->{templating}{list} };
is(join(',', sort keys %variables), 'model,postgres,prometheus', 'its variables');

my (%ids, @fields);
for my $panel (@{ $dashboard->{panels} })
{
	my $where = $panel->{gridPos};

	push @fields, $panel->{title} if $ids{ $panel->{id} }++ || $where->{x} + $where->{w} > 24 || $panel->{title} eq '';
	for my $field ($panel, @{ $panel->{targets} // [] })
	{
		my $source = $field->{datasource};
		push @fields, "$panel->{title}: data source" if $panel->{type} ne 'row'
		  && (!$source || $source->{uid} ne ($source->{type} eq 'postgres' ? '${postgres}' : '${prometheus}'));
	}
}
is("@fields", '', 'panels have a place, a name and data sources by variables');

my @expressions = map { $_->{expr} } having('expr', $dashboard);
cmp_ok(scalar @expressions, '>=', 20, 'it shows metrics');
my %names = map { $_ => 1 } map { /\b(?:churn|pg)_\w+/g } @expressions;
is(join(' ', grep { !$metrics->{$_} } sort keys %names), '', 'all of them are exported');

my $models = rows_of($node, 'grafana', $variables{model}{query});
is(join(',', map { $_->{name} } @$models), 'm', 'models to choose from');
my @statements = map { $_->{rawSql} } having('rawSql', $dashboard);
cmp_ok(scalar @statements, '>=', 8, 'it reads tables and views');
for my $sql (@statements)
{
	my ($from) = $sql =~ /FROM (\S+)/;
	my $rows = eval { rows_of($node, 'grafana', expand($sql, "'m'")) };

	is($@, '', "SQL over $from runs");
	cmp_ok(scalar @{ $rows // [] }, '>', 0, 'and shows something');
}

$exporter->pump_nb;
unlike($errors, qr/Error running query|queryNamespaceMappings|unexpected|duplicate/i,
	'the exporter has nothing to complain about');
$exporter->kill_kill;
undef $exporter;
$node->stop;
no_panic($node);
done_testing();
