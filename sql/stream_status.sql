--
-- Live rescoring where nothing is watched: nothing to see, and clear errors
--
SET client_min_messages = warning;
SELECT count(*) FROM churn.stream_status;
SELECT churn_wait();
SELECT churn_wait('-1 s');
SELECT churn_wait('1 month -31 days');
SELECT churn_wait(NULL) IS NULL AS nothing;

-- settings, which only the server's file changes
SHOW churn.naptime;
SHOW churn.batch_delay;
SHOW churn.batch_size;
SHOW churn.batch_memory;
SHOW churn.max_wal_lag;
SHOW churn.log_retention;
SHOW churn.write_unchanged;
SET churn.max_wal_lag = '1GB';

-- what the columns mean is in the catalog
SELECT count(*) FROM pg_attribute
	WHERE attrelid = 'churn.stream_status'::regclass AND attnum > 0 AND col_description(attrelid, attnum) IS NULL;

-- waiting is granted, not given
CREATE ROLE regress_churn_waiter;
SET ROLE regress_churn_waiter;
SELECT churn_wait();
SELECT * FROM churn.stream_status;
RESET ROLE;
DROP ROLE regress_churn_waiter;
