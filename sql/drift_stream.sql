--
-- churn_drift(stream => ...): what the stream worker counted
--
SET client_min_messages = warning;
CREATE TABLE drift_customers AS SELECT * FROM churn_sample_customers(1500, 31);
ALTER TABLE drift_customers ADD PRIMARY KEY (customer_id);
SELECT model, version FROM churn_train('drift_customers', 'churn', algorithm => 'rules', options => '{"folds": 0}');
SELECT model, version FROM churn_train('drift_customers', 'churn', model => 'drift_other', exclude => '{gender}', algorithm => 'rules', options => '{"folds": 0}');
CREATE TABLE drift_changed AS SELECT c.*, (row_number() OVER (ORDER BY customer_id) - 1) / 300 AS hours FROM churn_sample_customers(900, 32) c;
UPDATE drift_changed SET contract = 'Two year' WHERE hours < 2 AND contract = 'One year';
SET client_min_messages = notice;

SELECT churn_drift('drift_customers', stream => '1 day');

-- an hour that has not ended, the one before, and one two days ago, as the worker writes them
CREATE FUNCTION drift_window(name text, source text, hours int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('INSERT INTO churn.profiles (model, version, window_start, window_end, rows, updated_at, profile)
		SELECT %L, 1, now() - ($2 + 0.5) * interval ''1 hour'', now() - ($2 - 0.5) * interval ''1 hour'',
			count(*), now(), churn_profile(churn.baseline($1, 1)::text, NULL, $1, 1, c) FROM drift_changed c WHERE hours = least($2, 2)', name)
		USING source, hours;
END $$;
SELECT drift_window('drift_customers', 'drift_customers', hours) FROM unnest('{0,1,48}'::int[]) AS hours;

CREATE FUNCTION drift_differ(stream interval, source text) RETURNS TABLE (figures bigint, differ bigint, rows bigint) LANGUAGE sql AS $$
	SELECT count(*), count(*) FILTER (WHERE (s.value, s.p_value, s.drifted, s.threshold) IS DISTINCT FROM (d.value, d.p_value, d.drifted, d.threshold)
			OR s.rows <> d.rows), max(s.rows)
	FROM churn_drift('drift_customers', stream => $1) AS s FULL JOIN churn_drift('drift_customers', $2) AS d USING (feature, statistic) $$;
SELECT * FROM drift_differ('1 day', 'SELECT * FROM drift_changed WHERE hours < 2');
SELECT * FROM drift_differ('1 second', 'SELECT * FROM drift_changed WHERE hours = 0');
SELECT * FROM drift_differ('3 days', 'drift_changed');
SELECT source, segment, d.rows, drifted, lower(checked_window) = (SELECT min(window_start) FROM churn.profiles p WHERE window_end > now() - interval '1 day') AS from_then,
	upper(checked_window) = (SELECT max(window_end) FROM churn.profiles) AS to_then
	FROM churn_drift('drift_customers', stream => '1 day') AS d WHERE feature = 'contract' AND statistic = 'psi';

-- a window that another baseline counted is left out, and so are other models'
SELECT drift_window('drift_customers', 'drift_other', 3);
SELECT * FROM drift_differ('1 day', 'SELECT * FROM drift_changed WHERE hours < 2');
SELECT churn_drift('drift_other', stream => '1 day');
UPDATE churn.profiles SET profile = substr(profile, 2) WHERE model = 'drift_customers';
SELECT churn_drift('drift_customers', stream => '1 day');

SELECT churn_drop_model(name) FROM churn.models ORDER BY name;
DROP FUNCTION drift_window, drift_differ;
DROP TABLE drift_customers, drift_changed;
