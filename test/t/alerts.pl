# Alerts as a sales system meets them: notifications with numbers only, and
# several takers at once, each of whom gets its own.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = stream_node('alerts');

make_customers($node, 1000);
train($node);
my $rule = $node->safe_psql('postgres', q{SELECT churn_add_alert_rule('m', 'score >= 0 AND tenure >= 0', name => 'all')});
$node->safe_psql('postgres', q{CREATE ROLE listener LOGIN; REVOKE ALL ON SCHEMA public FROM PUBLIC});

# Any role may listen, so that a notification must tell nothing of customers.
my $in = '';
my ($out, $err) = ('', '');
my $listener = IPC::Run::start(
	[ 'psql', '-XAtq', '-d', $node->connstr('postgres') . ' user=listener' ],
	'<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
$in .= "LISTEN churn_alerts;\n\\echo listening\n";
$listener->pump until $out =~ /listening/;
$node->safe_psql('postgres', q{SELECT churn_watch('m')});
caught_up($node, 'all customers are scored');
$in .= "\\echo heard\nSELECT 1;\n\\echo done\n";
$listener->pump until $out =~ /done/;
my @payloads = $out =~ /with payload "(.*?)" received/g;
my $count = 0;
for my $payload (@payloads)
{
	like($payload, qr/^\{"rule_id": $rule, "count": \d+\}$/, 'a notification has rule and count');
	$count += $1 if $payload =~ /"count": (\d+)/;
}
is($count, 1000, 'they count all alerts');
$in .= "\\q\n";
$listener->finish;

# Takers do not wait for each other, and nobody gets what another has.
my ($in1, $out1) = ("BEGIN;\nSELECT string_agg(alert_id::text, ',') FROM churn_take_alerts(300);\n\\echo taken\n", '');
my $taker = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
	'<', \$in1, '>', \$out1, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
$taker->pump until $out1 =~ /taken/;
my @theirs = split /,/, ($out1 =~ /^([\d,]+)$/m)[0];
my @ours = split /,/, $node->safe_psql('postgres', q{SELECT string_agg(alert_id::text, ',') FROM churn_take_alerts(300)});
is(scalar(@theirs), 300, 'one takes 300');
is(scalar(@ours), 300, 'another takes 300 while the first has not committed');
my %seen = map { $_ => 1 } @theirs;
is(scalar(grep { $seen{$_} } @ours), 0, 'others');

# the first one crashes: its alerts come again
$taker->kill_kill;
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_locks WHERE relation = 'churn.alerts'::regclass}),
	'the first one is gone');
my @rest = split /,/, $node->safe_psql('postgres', q{SELECT string_agg(alert_id::text, ',') FROM churn_take_alerts(10000)});
is(scalar(@rest), 700, 'what it had and the others are handed out');
is($node->safe_psql('postgres', 'SELECT count(*) FROM churn_take_alerts()'), 0, 'and nothing is left');
is($node->safe_psql('postgres', 'SELECT count(*) FROM churn.alerts WHERE taken_by IS NULL'), 0, 'all are taken');

$node->stop;
no_panic($node);

done_testing();
