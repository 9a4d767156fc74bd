# Outcomes that are recorded while quality is measured, and the other way
# round: each is counted, and none twice.  Labels that come later are tied to
# scores of the stream and of the challenger in its shadow.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = stream_node('outcomes');
make_customers($node, 1200);
is(train($node), 1, 'the champion');
is(train($node, params => '{"rounds": 30, "max_depth": 6}', promote => 'never'), 2, 'the challenger');
$node->safe_psql('postgres', q{SELECT churn_set_challenger('m', 2); SELECT churn_watch('m')});
caught_up($node, 'all customers are scored');
my $change = q{UPDATE customers SET contract = CASE contract WHEN 'Two year' THEN 'Month-to-month' ELSE 'Two year' END};
$node->safe_psql('postgres', $change);
caught_up($node, 'all customers are scored by both, since they have changed');

# what is known of the first n customers now; returns how many outcomes are new
my $record = q{SELECT churn_record_outcomes('m', 'SELECT customer_id, churn FROM customers ORDER BY customer_id LIMIT %d', at => '%s')};
my $tomorrow = $node->safe_psql('postgres', q{SELECT (now() AT TIME ZONE 'UTC')::date + 1});
my $measured = qq{SELECT max(n) FROM churn.quality WHERE day = '$tomorrow' AND basis = 'realised' AND role = 'champion'};

#
# The scores of before
#
is($node->safe_psql('postgres', sprintf($record, 100, $tomorrow)), 100, 'outcomes of a hundred customers');
$node->safe_psql('postgres', $change);
caught_up($node, 'all customers are scored again');
is($node->safe_psql('postgres', sprintf($record, 100, $tomorrow)), 0, 'the same again are not new');
is($node->safe_psql('postgres', <<'SQL'), '100|100|100', 'they keep the scores of when they were recorded first');
SELECT count(*), count(*) FILTER (WHERE o.score = l.score AND o.version = 1), count(*) FILTER (WHERE o.challenger_score = s.score AND o.challenger_version = 2)
FROM churn.outcomes o
JOIN LATERAL (SELECT score FROM churn.prediction_log g WHERE g.customer_key = o.customer_key AND origin <> 'shadow' AND g.scored_at <= o.recorded_at
	ORDER BY g.scored_at DESC LIMIT 1) l ON true
JOIN LATERAL (SELECT score FROM churn.prediction_log g WHERE g.customer_key = o.customer_key AND origin = 'shadow' AND g.scored_at <= o.recorded_at
	ORDER BY g.scored_at DESC LIMIT 1) s ON true
SQL
# at a time between the two: those of the log, where the predictions are later
my $between = $node->safe_psql('postgres', q{SELECT max(recorded_at) FROM churn.outcomes});
$node->safe_psql('postgres', "CREATE TABLE late AS SELECT customer_id, churn, timestamptz '$between' AS at FROM customers ORDER BY customer_id DESC LIMIT 50");
is($node->safe_psql('postgres', q{SELECT churn_record_outcomes('m', 'late', at => 'at')}), 50, 'outcomes that were observed then');
is($node->safe_psql('postgres', <<'SQL'), '50|50|0', 'have the scores of then, not those of now');
SELECT count(o.score), count(o.challenger_score), count(*) FILTER (WHERE o.score = p.score AND p.scored_at > o.observed_at)
FROM churn.outcomes o JOIN churn.predictions p USING (customer_key) JOIN late l ON l.customer_id = customer_key AND l.at = o.observed_at
SQL

#
# Several at once
#
my $a = $node->background_psql('postgres', on_error_stop => 0);
my $b = $node->background_psql('postgres', on_error_stop => 0);
$_->query_safe('SET client_min_messages = warning') for $a, $b;
my $a_pid = $a->query_safe('SELECT pg_backend_pid()');
my $b_pid = $b->query_safe('SELECT pg_backend_pid()');

sub wait_for_lock
{
	my ($pid) = @_;
	ok($node->poll_query_until('postgres',
			"SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $pid"), 'the session waits');
}

# two record the same: the second finds them recorded
$a->query_safe('BEGIN; ' . sprintf($record, 200, $tomorrow));
$b->query_until(qr/sent\n/, "\\echo sent\n" . sprintf($record, 300, $tomorrow) . ";\n\\echo done\n");
wait_for_lock($b_pid);
$a->query_safe('COMMIT');
my $out = $b->query_until(qr/done\n/, '');
like($out, qr/^100$/m, 'of two that record the same customers, the later one adds what is missing');
is($node->safe_psql('postgres', "SELECT count(*) FROM churn.outcomes WHERE observed_at = '$tomorrow'"), 300, 'and none is there twice');

# measuring waits for outcomes that are being recorded, and counts them
$a->query_safe('BEGIN; ' . sprintf($record, 400, $tomorrow));
$b->query_until(qr/sent\n/, "\\echo sent\nSELECT count(*) FROM churn_measure('m');\n\\echo done\n");
wait_for_lock($b_pid);
$a->query_safe('COMMIT');
$b->query_until(qr/done\n/, '');
is($node->safe_psql('postgres', $measured), 400, 'all are counted');

# outcomes that are recorded while a day is measured make it due again
$a->query_safe(q{BEGIN; SELECT count(*) FROM churn_measure('m')});
is($a->query_safe(sprintf($record, 500, $tomorrow)), 100, 'more outcomes');
$a->query_safe('COMMIT');
$a->query_safe(q{BEGIN; SELECT count(*) FROM churn_measure('m')});
$b->query_until(qr/sent\n/, "\\echo sent\n" . sprintf($record, 600, $tomorrow) . ";\n\\echo done\n");
wait_for_lock($b_pid);
$a->query_safe('COMMIT');
$b->query_until(qr/done\n/, '');
is($node->safe_psql('postgres', $measured), 500, 'what came meanwhile is not counted yet');
$node->safe_psql('postgres', q{SELECT count(*) FROM churn_measure('m')});
is($node->safe_psql('postgres', $measured), 600, 'but it is the next time');

# one at a time
$a->query_safe(q{BEGIN; SELECT count(*) FROM churn_measure('m')});
$b->query_until(qr/sent\n/, "\\echo sent\nSELECT count(*) FROM churn_measure('m');\n\\echo done\n");
wait_for_lock($b_pid);
$a->query_safe('ROLLBACK');
$b->query_until(qr/done\n/, '');

#
# The health of the model, of what the stream and its shadow scored
#
is($node->safe_psql('postgres', <<"SQL"), '1|600|2|600|t|t', 'health tells how both did');
SELECT version, outcomes, challenger, challenger_outcomes, pr_auc > 0.2, challenger_pr_auc > 0.2 FROM churn.model_health WHERE model = 'm' AND day = '$tomorrow'
SQL
is($node->safe_psql('postgres', <<'SQL'), '1200|t', 'and what the scores of today promise');
SELECT max(predictions), bool_and(estimated_pr_auc BETWEEN 0.1 AND 1) FROM churn.model_health WHERE model = 'm' AND predictions > 0
SQL

# dropped while outcomes are recorded: all or nothing
$a->query_safe(q{BEGIN; SELECT churn_drop_model('m')});
$b->query_until(qr/sent\n/, "\\echo sent\n" . sprintf($record, 700, $tomorrow) . ";\n\\echo done\n");
wait_for_lock($b_pid);
$a->query_safe('COMMIT');
$b->query_until(qr/done\n/, '');
like($b->{stderr}, qr/has been dropped meanwhile/, 'outcomes of a model that is dropped are refused');
is($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM churn.outcomes) + (SELECT count(*) FROM churn.quality)'), 0, 'and nothing is left');

$a->quit;
$b->quit;
no_panic($node);
$node->stop;
done_testing();
