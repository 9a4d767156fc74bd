# Where predictions and their log are on disk: updates stay on their pages,
# whatever moves the rows leads nobody astray, and the log's index is dense.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = stream_node('stream_pages', conf => "autovacuum = off\nshared_buffers = 16MB");

# Runs statements, each a transaction of its own, waits, and looks at the
# predictions.
sub rescored
{
	my ($name, @statements) = @_;

	$node->safe_psql('postgres', $_) foreach @statements;
	caught_up($node, "$name: the stream goes on");
	check_predictions($node, "$name: predictions");
}

# The size of the predictions and that of their index, in blocks.
sub blocks
{
	return split /\|/, $node->safe_psql('postgres', <<'SQL');
SELECT pg_relation_size('churn.predictions') / 8192, pg_relation_size('churn.predictions_pkey') / 8192
SQL
}

make_customers($node, 2000);
train($node);
$node->safe_psql('postgres', q{SELECT churn_watch('m')});
caught_up($node, 'the table is scored');
# what the first change of a row adds, previous score and position, included
rescored('all', 'UPDATE customers SET tenure = tenure + 1',
	'VACUUM churn.predictions', 'UPDATE customers SET monthly_charges = monthly_charges + 1');
$node->safe_psql('postgres', 'VACUUM FULL churn.predictions');
my ($pages, $index) = blocks();

#
# Updates that stay on their pages
#
foreach my $round (1 .. 60)
{
	$node->safe_psql('postgres', <<"SQL");
UPDATE customers SET tenure = ($round * 7 + hashtext(customer_id)) & 63
	WHERE abs(hashtext(customer_id)) % 12 = $round % 12
SQL
	$node->safe_psql('postgres', q{SELECT churn_wait('1min')});
}
rescored('after many changes', 'SELECT 1');
my ($pages_after, $index_after) = blocks();
cmp_ok($pages_after, '<=', $pages * 1.25, "five changes of each customer need hardly more than $pages pages");
cmp_ok($index_after, '<=', $index * 1.1, "and leave the index of $index pages alone");

#
# The log's index, which grows at its end, whatever order the predictions are in
#
$node->safe_psql('postgres', <<'SQL');
CREATE INDEX shuffled ON churn.predictions (hashtext(customer_key));
CLUSTER churn.predictions USING shuffled;
DROP INDEX churn.shuffled;
TRUNCATE churn.prediction_log;
SQL
rescored('shuffled', map { "UPDATE customers SET tenure = (tenure + 7 * $_) & 63" } 1 .. 8);
my $log_index = <<'SQL';
SELECT sum(pg_relation_size(indexrelid)) / 8192 FROM pg_index JOIN pg_inherits ON inhrelid = indrelid
	WHERE inhparent = 'churn.prediction_log'::regclass
SQL
my $grown = $node->safe_psql('postgres', $log_index);
$node->safe_psql('postgres', 'REINDEX TABLE churn.prediction_log');
my $built = $node->safe_psql('postgres', $log_index);
cmp_ok($built, '>=', 50, "the index of the log, built at once, has $built pages");
cmp_ok($grown, '<=', $built * 1.1, "and had hardly more as it grew: $grown");

#
# Rows that are elsewhere
#
rescored('the table is written anew', 'VACUUM FULL churn.predictions', 'UPDATE customers SET tenure = 11');
rescored('in another order', 'CLUSTER churn.predictions USING predictions_pkey', 'UPDATE customers SET tenure = 12');
rescored('its end is cut off', q{DELETE FROM customers WHERE customer_id > (SELECT percentile_disc(0.5)
	WITHIN GROUP (ORDER BY customer_id) FROM customers)},
	q{SELECT churn_wait('1min')}, 'VACUUM (TRUNCATE) churn.predictions', 'UPDATE customers SET tenure = 13');
rescored('others take the places', q{INSERT INTO customers SELECT * FROM churn_sample_customers(3000, 7) s
	WHERE s.customer_id NOT IN (SELECT customer_id FROM customers)}, 'UPDATE customers SET tenure = 14');
rescored('pages leave the buffers', 'CREATE EXTENSION IF NOT EXISTS pg_prewarm', 'CREATE TABLE large AS SELECT repeat(i::text, 100) FROM generate_series(1, 60000) i',
	q{SELECT pg_prewarm('large')}, 'UPDATE customers SET tenure = 15');
rescored('one at a time', map { "UPDATE customers SET tenure = $_ WHERE customer_id = (SELECT customer_id FROM customers ORDER BY customer_id OFFSET $_ * 9 LIMIT 1)" } 1 .. 40);
is($node->safe_psql('postgres', 'SELECT count(*) FROM churn.errors'), '0', 'no errors');
no_panic($node);
$node->stop;
done_testing();
