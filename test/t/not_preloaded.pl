# A server that does not preload the library: it scores, and what needs the
# worker says what to do.  The same without wal_level = logical.
use strict;
use warnings;

use ChurnTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = churn_node('not_preloaded', conf => "wal_level = replica\n");

make_customers($node, 500);
is(train($node), 1, 'a model is trained');

#
# Not preloaded
#
is($node->safe_psql('postgres', 'SELECT count(*) FROM churn.stream_status'), 0, 'no status');
like(error_of($node, q{SELECT churn_watch('m')}), qr/^55000: churn is not in shared_preload_libraries/,
	'nothing can be watched');
like(error_of($node, 'SELECT churn_wait()'), qr/^55000: churn is not preloaded/, 'nor waited for');
like(error_of($node, q{SELECT churn_wait('-1 s')}), qr/^22023: timeout must not be negative/, 'a negative wait');
is($node->safe_psql('postgres', 'SELECT count(*) FROM churn.watches'), 0, 'no watch is left behind');
is($node->safe_psql('postgres', q{SELECT churn_rescore('m')}), 500, 'churn_rescore() works in the session');
is($node->safe_psql('postgres', q{SELECT churn_add_alert_rule('m', 'score > 0.9') IS NOT NULL}), 't',
	'alert rules can be prepared');

# a watch from a time when it was
$node->safe_psql('postgres', q{INSERT INTO churn.watches (model, relation, key, related, deletes, reasons, watched_by, home)
	SELECT 'm', 'public.customers', 'customer_id', false, true, 0, current_user,
		system_identifier || '/' || (SELECT oid FROM pg_database WHERE datname = current_database())
	FROM pg_control_system()});
$node->safe_psql('postgres', q{UPDATE customers SET tenure = 72, contract = 'Two year'});
cmp_ok($node->safe_psql('postgres', q{SELECT churn_rescore('m')}), '>', 0, 'also of a model that was watched');
is($node->safe_psql('postgres', q{SELECT churn_unwatch('m')}), 1, 'the watch can be ended');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'churn%'}), 0,
	'no process of ours runs');

#
# Preloaded, without wal_level = logical, then without room for a slot
#
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'churn'");
$node->restart;
like(error_of($node, q{SELECT churn_watch('m')}), qr/^55000: live rescoring needs wal_level = logical/,
	'nothing can be watched without logical decoding');
is($node->safe_psql('postgres', 'SELECT count(*) FROM churn.watches'), 0, 'and nothing is half done');
$node->append_conf('postgresql.conf', "wal_level = logical\nmax_replication_slots = 0");
$node->restart;
like(error_of($node, q{SELECT churn_watch('m')}), qr/^55000: live rescoring needs a replication slot/,
	'nor without slots');
$node->append_conf('postgresql.conf', 'max_replication_slots = 2');
$node->restart;
$node->safe_psql('postgres', q{SELECT churn_watch('m')});
caught_up($node, 'with all of them it can');
$node->stop;
no_panic($node);

done_testing();
