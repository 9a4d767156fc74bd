# Databases in other encodings than UTF-8: columns and categories with other
# than ASCII letters train, score, show, and travel to other encodings.
#
# All strings here are bytes of UTF-8, which is what psql speaks, too.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = churn_node('encoding');

# What each encoding can write: a column's name and three categories.  Who
# lives in the first leaves nearly always, in the second never, the third half
# and half.
my @latin = ('größe', 'Zürich', 'Ålesund', 'Málaga');
my @kanji = ('都市', '東京', '大阪', '名古屋');
my %encoding = (utf8 => 'UTF8', utf8_kanji => 'UTF8', latin1 => 'LATIN1', win1252 => 'WIN1252', euc_jp => 'EUC_JP',
	sql_ascii => 'SQL_ASCII');
my %letters = map { $_ => [ /kanji|euc/ ? @kanji : @latin ] } keys %encoding;

# Runs SQL in a database and returns what psql printed.
sub run_sql
{
	my ($database, $sql) = @_;
	local $ENV{PGCLIENTENCODING} = $database eq 'sql_ascii' ? 'SQL_ASCII' : 'UTF8';
	return $node->safe_psql($database, $sql);
}

# The error of a statement, as error_of() gives it.
sub error_in
{
	my ($database, $sql) = @_;
	local $ENV{PGCLIENTENCODING} = $database eq 'sql_ascii' ? 'SQL_ASCII' : 'UTF8';
	return error_of($node, $sql, $database);
}

# The margin of each category and of one that never occurred, with another
# column that tells nothing.
sub margins
{
	my ($database, $model) = @_;
	my ($column, @categories) = @{ $letters{$database} };
	my $values = join ', ', map { "('$_')" } @categories, 'Unseen';
	return run_sql($database, qq{SELECT "$column", churn_margin(c, '$model')
		FROM (SELECT x AS "$column", 5 AS noise FROM (VALUES $values) v (x)) AS c});
}

my %export;
for my $database (sort keys %letters)
{
	my ($column, $gone, $stays, $half) = @{ $letters{$database} };
	my $second = $database =~ /kanji|euc/ ? '解約' : 'né';

	$node->safe_psql('postgres',
		"CREATE DATABASE $database ENCODING '$encoding{$database}' LOCALE 'C' TEMPLATE template0");
	is(run_sql($database, <<"SQL"), '1|t', "$database: a model is trained");
SET client_min_messages = warning;
CREATE EXTENSION churn;
CREATE TABLE "$column" (id int PRIMARY KEY, "$column" text, noise int, "$second" boolean);
INSERT INTO "$column" SELECT i, (ARRAY['$gone', '$stays', '$half'])[1 + i % 3], i * 7919 % 101,
	CASE i % 3 WHEN 0 THEN i % 30 <> 0 WHEN 1 THEN i % 31 = 0 ELSE i::bigint * 104729 % 97 % 2 = 0 END
	FROM generate_series(1, 3000) i;
SELECT version, roc_auc > 0.8 FROM churn_train('"$column"', '$second', model => '$column', params => '{"rounds": 20, "learning_rate": 0.3}', algorithm => 'xgboost', options => '{"folds": 0}');
SQL
	is(run_sql($database, q{SELECT name, array_to_string(categories, ',') FROM churn.features WHERE kind = 'category'}),
		"$column|" . join(',', sort $gone, $stays, $half),
		"$database: column and categories as they were, these in the order of UTF-8");
	is(run_sql($database, q{SELECT name, label, source FROM churn.models}), qq{$column|$second|"$column"},
		"$database: so are model, label and source");

	my %margin = map { split /\|/ } split /\n/, margins($database, $column);
	cmp_ok($margin{$gone}, '>', 1, "$database: those of the first leave");
	cmp_ok($margin{$stays}, '<', -1, "$database: those of the second stay");
	cmp_ok(abs($margin{$half}), '<', 0.7, "$database: of the third, who knows");
	is(run_sql($database, qq{SELECT count(*) FROM "$column" c JOIN (SELECT * FROM "$column" OFFSET 0) d USING (id)
		WHERE churn_margin(c, '$column') = churn_margin(d, '$column')}), 3000, "$database: both ways to pass a row agree");
	is(run_sql($database, qq{SELECT churn_rescore('$column')}), 3000, "$database: rescored");
	is(run_sql($database, qq{SELECT feature, value, drifted FROM churn_drift('$column') WHERE feature = '$column' AND statistic = 'psi'}),
		"$column|0|f", "$database: no drift of what it was trained on");
	is(run_sql($database, qq{SELECT segment, rows FROM churn_drift('$column', segment => '$column')
		WHERE feature = '$column' AND statistic = 'unseen_share' AND value = 0 AND segment_value = '$gone'}), "$column|1000",
		"$database: nor of a segment's categories");
	is(run_sql($database, qq{SELECT version FROM churn_import('copy', churn_export('$column', format => 'json'))}), 1,
		"$database: imports what it exported");
	is(margins($database, 'copy'), margins($database, $column), "$database: which scores the same");
	is(run_sql($database, <<"SQL"), '1', "$database: a model with a transform");
SET client_min_messages = warning;
SELECT version FROM churn_train('"$column"', '$second', model => 'derived', params => '{"rounds": 20, "learning_rate": 0.3}',
	exclude => '{$column}', transform => jsonb_build_object('$half', '"$column" = ''$gone'''), algorithm => 'xgboost', options => '{"folds": 0}');
SQL
	is(run_sql($database, q{SELECT name, transform FROM churn.features WHERE transform IS NOT NULL}),
		qq{$half|"$column" = '$gone'}, "$database: stored as it was given");
	%margin = map { split /\|/ } split /\n/, margins($database, 'derived');
	ok($margin{$gone} > 1 && $margin{$stays} < 0 && $margin{$stays} eq $margin{Unseen}, "$database: and it computes its feature");
	like(error_in($database, qq{SELECT churn_score(c, '$column') FROM (SELECT 1 AS noise) c}),
		qr/^42703: row has no column "\Q$column\E"/, "$database: an error names the column");
	like(error_in($database, qq{SELECT churn_score(c, '$gone') FROM "$column" c}),
		qr/^42704: model "\Q$gone\E" does not exist/, "$database: an error names the model");
	$export{$database} = run_sql($database, qq{SELECT encode(churn_export('$column', format => 'json'), 'hex')});
}

# A model file is in UTF-8 wherever it comes from, as all JSON is, so that
# Python reads it, and so does a database of another encoding.
for my $database (sort keys %export)
{
	my $json = pack('H*', $export{$database});
	is(scalar(grep { index($json, $_) >= 0 } @{ $letters{$database} }), 4, "the model file of $database names all in UTF-8");
}
for my $pair ([ 'latin1', 'utf8' ], [ 'utf8', 'latin1' ], [ 'utf8', 'win1252' ], [ 'euc_jp', 'utf8_kanji' ], [ 'utf8_kanji', 'euc_jp' ])
{
	my ($from, $to) = @$pair;
	is(error_in($to, "SELECT churn_import('from_$from', decode('$export{$from}', 'hex'))"), '', "$to imports the model of $from");
	is(eval { margins($to, "from_$from") } // $@, margins($from, $letters{$from}[0]), 'and scores the same by it');
}

# What an encoding cannot write is a clear error.
like(error_in('latin1', "SELECT churn_import('kanji', decode('$export{utf8_kanji}', 'hex'))"),
	qr/^22P05: /, 'LATIN1 has no letters for the categories of a model, and says so');

$node->stop;
no_panic($node);
done_testing();
