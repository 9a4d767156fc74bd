# DROP EXTENSION and CREATE EXTENSION under sessions that have scored: nobody
# ever scores by a model that is gone, and nobody crashes.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = churn_node('drop_extension');
make_customers($node, 1000);
make_customers($node, 1000, table => 'others', seed => 2);
my $seen = q{SELECT md5(string_agg(churn_margin(c, 'm')::text, ',' ORDER BY customer_id)) FROM customers c};

# Functions of the library, whoever they belong to.
my $functions = q{SELECT count(*) FROM pg_proc WHERE probin ~ 'churn'};
my $functions_at_first = $node->safe_psql('postgres', $functions);

# Models of one name and version, different in each generation.
is(train($node, params => '{"rounds": 10}'), 1, 'a model');
my $first = $node->safe_psql('postgres', $seen);

# Two sessions that have it at hand in every way.
my @sessions = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 2;
for my $session (@sessions)
{
	$session->query_safe("PREPARE p AS $seen");
	$session->query_safe('SET plan_cache_mode = force_generic_plan');
	$session->query_safe(<<'SQL');
CREATE FUNCTION pg_temp.seen() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT md5(string_agg(churn_margin(c, 'm')::text, ',' ORDER BY customer_id)) FROM customers c);
END $$
SQL
	is($session->query_safe($seen), $first, 'a session scores');
	is($session->query_safe('EXECUTE p'), $first, 'by a prepared statement');
	is($session->query_safe('SELECT pg_temp.seen()'), $first, 'by a function');
}

# What a statement's error is, by its SQLSTATE; 'none' if it has none.
sub state_of
{
	my ($session, $sql) = @_;
	$session->query_safe('\\set VERBOSITY sqlstate');
	$session->query($sql);
	my $state = $session->{stderr} =~ /ERROR:  (\w{5})/ ? $1 : 'none';
	$session->{stderr} = '';
	return $state;
}

# All ways fail alike while the extension or its model is not there.
sub check_fails
{
	my ($expected, $what) = @_;
	for my $i (0, 1)
	{
		is(state_of($sessions[$i], $_), $expected, "session $i: $what")
		  for ($seen, 'EXECUTE p', 'SELECT pg_temp.seen()');
	}
}

# All ways find the same.
sub check_scores
{
	my ($expected, $what) = @_;
	for my $i (0, 1)
	{
		is($sessions[$i]->query_safe($_), $expected, "session $i: $what")
		  for ($seen, 'EXECUTE p', 'SELECT pg_temp.seen()');
	}
}

# Dropped, by the first session.
$sessions[0]->query_safe('DROP EXTENSION churn');
check_fails('42883', 'no extension');

# Created anew, without a model: the one that both have in memory is no more.
$sessions[0]->query_safe('CREATE EXTENSION churn');
check_fails('42704', 'no model');

# Another model of the same name and version.
is(train($node, table => 'others', params => '{"rounds": 15}'), 1, 'version 1 again');
my $second = $node->safe_psql('postgres', $seen);
isnt($second, $first, 'which scores differently');
check_scores($second, 'the new model');

# Dropped and created by the other session in one transaction, which the first
# one sees at commit; and rolled back, which nobody sees.
$sessions[1]->query_safe('BEGIN; DROP EXTENSION churn; CREATE EXTENSION churn');
is(state_of($sessions[1], 'SAVEPOINT s; EXECUTE p; ROLLBACK TO s;'), '42704', 'no model within the transaction');
$sessions[1]->query_safe('ROLLBACK TO s; ROLLBACK');
check_scores($second, 'after a rollback');
$sessions[1]->query_safe('BEGIN; DROP EXTENSION churn; CREATE EXTENSION churn');
$sessions[1]->query_safe(q{SET client_min_messages = warning});
is($sessions[1]->query_safe(q{SELECT version FROM churn_train('others', 'churn', model => 'm', params => '{"rounds": 20}', algorithm => 'xgboost', options => '{"folds": 0}')}), 1,
	'a model is trained in that transaction');
my $third = $sessions[1]->query_safe($seen);
isnt($third, $second, 'it scores differently again');
is($sessions[1]->query_safe('EXECUTE p'), $third, 'also by the prepared statement');
$sessions[1]->query_safe('COMMIT');
check_scores($third, 'after commit');

# In another schema.
$sessions[0]->query_safe('SET client_min_messages = warning');
$sessions[0]->query_safe('DROP EXTENSION churn; CREATE SCHEMA elsewhere; CREATE EXTENSION churn SCHEMA elsewhere');
$sessions[0]->query_safe(q{SELECT elsewhere.churn_train('others', 'churn', model => 'm', params => '{"rounds": 20}', algorithm => 'xgboost', options => '{"folds": 0}')});
is($sessions[0]->query_safe(q{SET search_path = public, elsewhere; EXECUTE p}), $third, 'in another schema: the same data, the same model');
is($sessions[1]->query_safe(q{SELECT md5(string_agg(elsewhere.churn_margin(c, 'm')::text, ',' ORDER BY customer_id)) FROM customers c}),
	$third, 'in another schema, by its name');
$sessions[0]->query_safe('RESET search_path');

# Views that score hold the extension; CASCADE takes them along.
$sessions[0]->query_safe('DROP EXTENSION churn; DROP SCHEMA elsewhere; CREATE EXTENSION churn');
$sessions[0]->query_safe('CREATE VIEW scored AS SELECT customer_id, churn_score(c) FROM customers c');
is(state_of($sessions[0], 'DROP EXTENSION churn'), '2BP01', 'a view holds the extension');
$sessions[0]->query_safe('DROP EXTENSION churn CASCADE; CREATE EXTENSION churn');
is(state_of($sessions[1], 'TABLE scored'), '42P01', 'CASCADE drops the view');
is($node->safe_psql('postgres', $functions), $functions_at_first, 'each function is there once');

# Others score without pause while the extension comes and goes.
my @scorers = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 3;
my @asked = (
	$seen,
	'EXECUTE p',
	q{SELECT count(*) FROM (SELECT churn_predict(c, 'm') FROM customers c OFFSET 0) x},
	q{SELECT count(churn_score(c)) FROM customers c});
for my $scorer (@scorers)
{
	$scorer->query_safe('\\set VERBOSITY sqlstate');
	$scorer->query_safe("PREPARE p AS $seen");
	$scorer->{stdin} .= join('', map { "$_;\n" } map { @asked } 1 .. 100) . "\\echo finished\n";
	$scorer->{run}->pump_nb;
}
for my $round (1 .. 8)
{
	$node->safe_psql('postgres', 'DROP EXTENSION churn');
	$node->safe_psql('postgres', 'CREATE EXTENSION churn');
	train($node, table => 'others', params => "{\"rounds\": $round}");
	$_->{run}->pump_nb for @scorers;
}
my %states;
my $answers = 0;
for my $scorer (@scorers)
{
	$scorer->query_until(qr/finished\n/, '');
	$states{$1}++ while $scorer->{stderr} =~ /ERROR:  (\w{5})/g;
	unlike($scorer->{stderr}, qr/server closed|terminat|FATAL|PANIC/, 'a scoring session survives it all');
	$scorer->{stderr} = '';
	is($scorer->query_safe($seen), $node->safe_psql('postgres', $seen), 'and scores by the last model');
	$scorer->quit;
}
# no function, no table, no schema, no model, deadlock of DROP with a reader
delete @states{qw(42883 42P01 3F000 42704 40P01)};
is(join(', ', %states), '', 'errors are those of things that are not there');

$_->quit for @sessions;
$node->stop;
no_panic($node);
done_testing();
