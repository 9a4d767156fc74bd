# More changes than churn.batch_memory holds, and rows that are large: they go by
# way of a temporary file.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = stream_node('stream_large', conf => <<'EOC');
churn.batch_memory = 1MB
churn.batch_size = 100000
logical_decoding_work_mem = 64kB
log_temp_files = 0
synchronous_commit = off
EOC

# Runs SQL while the worker stands still; waits, and looks at the predictions
# and at whether a temporary file of at least so many bytes was used.
sub rescored
{
	my ($name, $sql, $least) = @_;
	my $pid = worker_pid($node);
	my $from = -s $node->logfile;

	kill 'STOP', $pid;
	$node->safe_psql('postgres', $sql);
	kill 'CONT', $pid;
	caught_up($node, "$name: the stream goes on");
	check_predictions($node, "$name: predictions");
	my @sizes = slurp_file($node->logfile, $from) =~ /temporary file: path "[^"]*", size (\d+)/g;
	ok(scalar(grep { $_ >= $least } @sizes), "$name: a temporary file") || diag("sizes: @sizes");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_ls_tmpdir()'), '0', "$name: it is gone");
}

make_customers($node, 20000);
$node->safe_psql('postgres', q{ALTER TABLE customers ADD notes text; ALTER TABLE customers ALTER notes SET STORAGE EXTERNAL});
$node->safe_psql('postgres', q{UPDATE customers SET notes = repeat('n', abs(hashtext(customer_id)) % 20)});
train($node, transform => '{"words": "length(notes)"}');
$node->safe_psql('postgres', q{SELECT churn_watch('m')});
caught_up($node, 'the table is scored');

# a row has its key, its columns, and what the tape says of it
rescored('one transaction', 'UPDATE customers SET tenure = (tenure + 5) % 73', 20000 * 150);

# each transaction has its own position
$node->safe_psql('postgres', q{UPDATE customers SET tenure = 70; SELECT churn_wait('1min')});
rescored('many transactions', <<'SQL', 1000000);
DO $$ DECLARE c record; BEGIN
	FOR c IN SELECT customer_id FROM customers LIMIT 9000 LOOP
		UPDATE customers SET tenure = 1, monthly_charges = 110 WHERE customer_id = c.customer_id;
		COMMIT;
	END LOOP;
END $$
SQL
is($node->safe_psql('postgres', q{SELECT count(*) = count(DISTINCT p.lsn) AND count(*) > 8000
	FROM churn.predictions p JOIN customers c ON c.customer_id = p.customer_key
	WHERE c.monthly_charges = 110 AND p.lsn > (SELECT max(lsn) FROM churn.predictions JOIN customers ON customer_id = customer_key
	WHERE monthly_charges <> 110)}), 't', 'each transaction has its position');

# rows that are larger than what is read of the file at once, among small ones
rescored('large rows', <<'SQL', 20 * 700000);
UPDATE customers SET notes = CASE WHEN abs(hashtext(customer_id)) % 1000 = 7 THEN repeat('n', 700000) ELSE 'n' END,
	tenure = (tenure + 3) % 73 WHERE abs(hashtext(customer_id)) % 50 = 7
SQL
is($node->safe_psql('postgres', 'SELECT count(*) FROM churn.errors'), '0', 'no errors');
no_panic($node);
$node->stop;
done_testing();
