# What the TAP tests of churn share.
package ChurnTest;

use strict;
use warnings;

use Exporter 'import';
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

	return $node->safe_psql($options{database} // 'postgres', <<"SQL");
SET client_min_messages = warning;
SELECT version FROM churn_train('$table', 'churn', model => '$model',
	params => '$params', transform => '$transform', algorithm => 'xgboost',
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

1;
