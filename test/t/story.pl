# Weeks of a model in fast motion: quiet ones, a price rise, customers who begin
# to behave in another way, quiet again, labels that a mistake has shuffled.  What
# happened in a week is made a week older at its end, so that all else is as it
# would be.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $CUSTOMERS = 4000;

my ($libraries) = run_command([ 'pg_config', '--pkglibdir' ]);
plan skip_all => 'no pg_cron' if !-e "$libraries/pg_cron.so";

my $node = stream_node('story', conf => <<'EOC');
shared_preload_libraries = 'churn,pg_cron'
cron.database_name = 'postgres'
EOC
$node->append_conf('postgresql.conf', "cron.host = '" . $node->host . "'");
$node->restart;

make_customers($node, $CUSTOMERS);
train($node, params => '{"rounds": 60, "max_depth": 3}');
$node->safe_psql('postgres', <<'SQL');
SET client_min_messages = warning;
CREATE EXTENSION pg_cron;
CREATE TABLE billing (customer_id text, left_us boolean, seen timestamptz);
SELECT churn_watch('m');
SELECT churn_set_policy('m', 'retrain_and_promote');

-- a number from 0 to 1 that hangs on the text alone
CREATE FUNCTION fate(text) RETURNS float8 IMMUTABLE LANGUAGE sql AS
	$$ SELECT ('x' || substr(md5($1), 1, 8))::bit(32)::bigint / 4294967296.0 $$;

-- how customers behave: at first as the first version learned, later otherwise
CREATE FUNCTION risk(c customers, law text) RETURNS float8 LANGUAGE sql AS $$
	SELECT CASE law WHEN 'old' THEN churn_score(c, 'm', 1)
		ELSE CASE WHEN c.tenure > 30 THEN 0.5 ELSE 0.05 END
			+ CASE WHEN c.monthly_charges > 90 THEN 0.3 ELSE 0 END END
$$;

-- a fifth of the customers is others a week later, at the prices of the day
CREATE TABLE fresh AS SELECT 0::bigint AS n, c.* FROM customers c LIMIT 0;
CREATE FUNCTION change_customers(week int, prices float8) RETURNS void LANGUAGE sql AS $$
	TRUNCATE fresh;
	INSERT INTO fresh SELECT row_number() OVER (), s.* FROM churn_sample_customers((SELECT count(*) FROM customers), 100 + week) s;
	UPDATE customers c SET (gender, senior_citizen, partner, dependents, tenure, phone_service, multiple_lines, internet_service,
			online_security, online_backup, device_protection, tech_support, streaming_tv, streaming_movies, contract,
			paperless_billing, payment_method, monthly_charges, total_charges) =
		(f.gender, f.senior_citizen, f.partner, f.dependents, f.tenure, f.phone_service, f.multiple_lines, f.internet_service,
			f.online_security, f.online_backup, f.device_protection, f.tech_support, f.streaming_tv, f.streaming_movies, f.contract,
			f.paperless_billing, f.payment_method, f.monthly_charges * prices, f.total_charges)
		FROM (SELECT customer_id, row_number() OVER (ORDER BY customer_id) AS n FROM customers) k JOIN fresh f USING (n)
		WHERE k.customer_id = c.customer_id AND fate(c.customer_id || 'changes' || week) < 0.2;
$$;

-- makes all that happened a week older
CREATE FUNCTION age() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	week interval := '7 days';
	t record;
	d date;
BEGIN
	FOR d IN SELECT DISTINCT ((scored_at - week) AT TIME ZONE 'UTC')::date FROM churn.prediction_log LOOP
		IF to_regclass('churn.prediction_log_' || to_char(d, 'YYYYMMDD')) IS NULL THEN
			EXECUTE format('CREATE TABLE churn.%I PARTITION OF churn.prediction_log FOR VALUES FROM (%L) TO (%L)',
				'prediction_log_' || to_char(d, 'YYYYMMDD'), d || ' 00:00:00+00', (d + 1) || ' 00:00:00+00');
		END IF;
	END LOOP;
	UPDATE churn.prediction_log SET scored_at = scored_at - week;
	UPDATE churn.predictions SET scored_at = scored_at - week;
	UPDATE churn.model_versions SET started_at = started_at - week, finished_at = finished_at - week;
	UPDATE churn.drift SET checked_at = checked_at - week, checked_window = tstzrange(lower(checked_window) - week, upper(checked_window) - week,
		CASE WHEN lower_inc(checked_window) THEN '[' ELSE '(' END || CASE WHEN upper_inc(checked_window) THEN ']' ELSE ')' END);
	UPDATE churn.alerts SET raised_at = raised_at - week, taken_at = taken_at - week;
	UPDATE churn.maintenance_log SET started_at = started_at - week, finished_at = finished_at - week;
	UPDATE billing SET seen = seen - week;
	-- of those whose time is in their key, the oldest come first
	FOR t IN SELECT deployment_id AS id FROM churn.deployments ORDER BY 1 LOOP
		UPDATE churn.deployments SET during = tstzrange(lower(during) - week, upper(during) - week) WHERE deployment_id = t.id;
	END LOOP;
	FOR t IN SELECT DISTINCT observed_at FROM churn.outcomes ORDER BY 1 LOOP
		UPDATE churn.outcomes SET observed_at = observed_at - week, scored_at = scored_at - week, recorded_at = recorded_at - week
			WHERE observed_at = t.observed_at;
	END LOOP;
	FOR t IN SELECT DISTINCT day FROM churn.measured_days ORDER BY 1 LOOP
		UPDATE churn.measured_days SET day = day - 7, estimated_at = estimated_at - week WHERE day = t.day;
	END LOOP;
	FOR t IN SELECT DISTINCT day FROM churn.quality ORDER BY 1 LOOP
		UPDATE churn.quality SET day = day - 7 WHERE day = t.day;
	END LOOP;
	FOR t IN SELECT DISTINCT window_start FROM churn.profiles ORDER BY 1 LOOP
		UPDATE churn.profiles SET window_start = window_start - week, window_end = window_end - week, updated_at = updated_at - week
			WHERE window_start = t.window_start;
	END LOOP;
END
$$;
SQL
caught_up($node, 'all customers are scored');

# pg_cron knows seconds since 1.5; before that, weeks of which nothing is expected do without
my $version = $node->safe_psql('postgres', q{SELECT extversion FROM pg_extension WHERE extname = 'pg_cron'});
my $often = $version >= 1.5 ? '1 second' : '* * * * *';
my $week = 0;

# A week: customers change and are scored, their fates become known, and models
# are looked after.  Returns what came of it.
sub live_a_week
{
	my (%options) = @_;
	my $prices = $options{prices} // 1;
	my $law = $options{law} // 'old';
	my $shuffled = $options{shuffled} ? 'true' : 'false';
	my $call = 'CALL churn_maintain()';

	$node->safe_psql('postgres', 'SELECT age()') if $week > 0;
	$week++;
	$node->safe_psql('postgres', <<"SQL");
BEGIN;
@{[ $options{rise} ? "UPDATE customers SET monthly_charges = monthly_charges * $options{rise};" : '' ]}
SELECT change_customers($week, $prices);
COMMIT;
SQL
	caught_up($node, "week $week: all customers are scored");
	$node->safe_psql('postgres', <<"SQL");
SET client_min_messages = warning;
BEGIN;
CREATE TEMP TABLE fates ON COMMIT DROP AS
	SELECT customer_id, fate(customer_id || CASE WHEN $shuffled THEN 'whatever' ELSE 'fate' END || $week)
		< CASE WHEN $shuffled THEN 0.3 ELSE risk(c, '$law') END AS left_us FROM customers c;
INSERT INTO billing SELECT customer_id, left_us, clock_timestamp() FROM fates;
UPDATE customers c SET churn = CASE WHEN f.left_us THEN 'Yes' ELSE 'No' END FROM fates f WHERE f.customer_id = c.customer_id;
COMMIT;
SELECT churn_record_outcomes('m', format('SELECT * FROM billing WHERE seen > %L', now() - interval '1 day'), 'left_us', 'customer_id', 'seen');
SQL
	if ($options{cron} || $often eq '1 second')
	{
		$node->safe_psql('postgres', "SELECT cron.schedule('churn', '$often', '$call')");
		$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM churn.maintenance_log WHERE step = 'partitions' AND state = 'done'
			AND started_at > now() - interval '1 day'});
		$node->safe_psql('postgres', q{SELECT cron.unschedule('churn')});
		$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM cron.job_run_details WHERE status NOT IN ('succeeded', 'failed')});
	}
	else
	{
		$node->safe_psql('postgres', $call);
	}
	is($node->safe_psql('postgres', q{SELECT step, message FROM churn.maintenance_log WHERE state IN ('failed', 'running')}), '',
		"week $week: nothing fails");
	return $node->safe_psql('postgres', <<'SQL');
SELECT string_agg(CASE WHEN step IN ('drift', 'measure') THEN step || CASE WHEN (detail ->> 'drifted')::boolean THEN ' alarm' ELSE ' quiet' END
	ELSE step || ' ' || state END, ', ' ORDER BY step_id)
FROM churn.maintenance_log WHERE started_at > now() - interval '1 day' AND step IN ('drift', 'measure', 'retrain', 'promote');
SQL
}

# The kinds of alerts that were raised since.
sub alerts
{
	return $node->safe_psql('postgres', q{SELECT string_agg(kind, ', ' ORDER BY alert_id) FROM churn_take_alerts(kind => NULL)});
}

my $quiet = 'drift quiet, measure quiet, retrain skipped';

is(live_a_week(), $quiet, 'a quiet week');
is(alerts(), '', 'tells nobody');
is(live_a_week(), $quiet, 'another one');
is(alerts(), '', 'tells nobody');

# prices rise: the data are others, but customers behave as ever, and the first
# version has learned how: a new one is no better
is(live_a_week(prices => 1.3, rise => 1.3, cron => 1), 'drift alarm, measure quiet, retrain done, promote skipped', 'the week of the price rise');
is(alerts(), 'drift, maintenance', 'tells of drift');
is($node->safe_psql('postgres', q{SELECT detail -> 'features' ? 'monthly_charges' FROM churn.maintenance_log WHERE step = 'drift' ORDER BY step_id DESC LIMIT 1}),
	't', 'of the prices');
is($node->safe_psql('postgres', 'SELECT champion, last_version FROM churn.models'), '1|2', 'the first version stays');

# it may go on in the shadow, and will be measured as the champion is
$node->safe_psql('postgres', q{SELECT churn_set_challenger('m', 2)});

# customers begin to behave in another way
is(live_a_week(prices => 1.3, law => 'new', cron => 1), 'drift alarm, measure alarm, retrain done, promote done',
	'the week in which customers behave in another way');
is(alerts(), 'drift, quality, maintenance', 'tells of both');
is($node->safe_psql('postgres', 'SELECT champion, last_version FROM churn.models'), '3|3', 'the challenger takes over');
is($node->safe_psql('postgres', q{SELECT (detail -> 'pr_auc' ->> 'ci_low')::float8 > 0 FROM churn.maintenance_log WHERE step = 'compare' ORDER BY step_id DESC LIMIT 1}),
	't', 'it is better on unseen rows, by more than chance');
caught_up($node, 'the stream follows');
check_predictions($node, 'and all customers have the new version\'s scores');

# a new quiet
is(live_a_week(prices => 1.3, law => 'new', cron => 1), $quiet, 'a quiet week with the new version');
is(alerts(), '', 'tells nobody');

# a mistake shuffles the labels
is(live_a_week(prices => 1.3, law => 'new', shuffled => 1), 'drift quiet, measure alarm, retrain done, promote skipped',
	'the week of shuffled labels');
is(alerts(), 'quality, maintenance', 'tells of quality');
is($node->safe_psql('postgres', 'SELECT champion, last_version FROM churn.models'), '3|4', 'what learned from them does not take over');

# what the view of health says of it
my $health = $node->safe_psql('postgres', <<'SQL');
SELECT row_number() OVER (ORDER BY day) AS week, version, outcomes, data_drift, coalesce(concept_drift, false) AS concept_drift,
	abs(pr_auc - estimated_pr_auc) < 0.08 AS as_estimated
FROM churn.model_health WHERE model = 'm' ORDER BY day;
SQL
is($health, <<"EOT" =~ s/\n\z//r, 'the view of health tells it');
1|1|$CUSTOMERS|f|f|t
2|1|$CUSTOMERS|f|f|t
3|1|$CUSTOMERS|t|f|t
4|3|$CUSTOMERS|t|t|f
5|3|$CUSTOMERS|f|f|t
6|3|$CUSTOMERS|f|t|f
EOT
is($node->safe_psql('postgres', q{SELECT count(*) FILTER (WHERE challenger = 2 AND challenger_outcomes > 0 AND abs(challenger_pr_auc - pr_auc) < 0.05),
	count(challenger) FROM (SELECT * FROM churn.model_health ORDER BY day LIMIT 4) h}), '1|1', 'and how the challenger in the shadow did');
is($node->safe_psql('postgres', 'SELECT version FROM churn.deployments ORDER BY deployment_id'), "1\n3", 'and the deployments, too');
is($node->safe_psql('postgres', q{SELECT DISTINCT status FROM cron.job_run_details}), 'succeeded', 'pg_cron is content');

no_panic($node);
$node->stop;
done_testing();
