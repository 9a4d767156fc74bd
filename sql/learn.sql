--
-- churn_train(): learners, their comparison, calibration, thresholds, sampling
--
SET client_min_messages = warning;
CREATE TABLE learn_customers AS SELECT * FROM churn_sample_customers(1500, 11);
ALTER TABLE learn_customers ADD PRIMARY KEY (customer_id);

-- everything, compared; a user sees who won, and why
SELECT model, version, promoted, rows, pr_auc > 0.5 AS good, roc_auc > 0.75 AS very_good
	FROM churn_train('learn_customers', 'churn');
SELECT algorithm, count(*) > 0 AS there, bool_and(reason <> '') AS reasons,
	bool_and(folds >= 2) AS folds, bool_and(pr_auc BETWEEN 0.3 AND 1) AS pr_auc,
	bool_and(pr_auc_spread > 0) AS spread, bool_and(roc_auc BETWEEN 0.5 AND 1) AS roc_auc,
	bool_and(log_loss > 0) AS log_loss, bool_and((params IS NULL) = (algorithm = 'blend')) AS params
	FROM churn.leaderboard WHERE model = 'learn_customers' AND algorithm <> 'blend'
	GROUP BY algorithm ORDER BY algorithm;
SELECT count(*) FILTER (WHERE chosen) AS chosen, count(DISTINCT rank) = max(rank) AS ranked,
	count(DISTINCT candidate) = count(*) AS named,
	bool_and(test_pr_auc IS NOT NULL) FILTER (WHERE chosen OR algorithm = 'rules') AS tested,
	count(test_pr_auc) <= 2 AS no_other_is,
	max(pr_auc_behind) FILTER (WHERE chosen) AS behind,
	min(pr_auc_behind) FILTER (WHERE algorithm = 'rules') > 0 AS baseline_lost
	FROM churn.leaderboard WHERE model = 'learn_customers';
SELECT dataset, metric, count(*) > 0 AS there, bool_and(array_length(folds, 1) >= 2) AS by_fold,
	bool_and(abs(value - (SELECT avg(f) FROM unnest(folds) AS f)) < 1e-12) AS mean,
	bool_and(abs(spread - (SELECT stddev(f) FROM unnest(folds) AS f)) < 1e-12) AS spread
	FROM churn.metrics WHERE model = 'learn_customers' AND dataset = 'cv'
	GROUP BY dataset, metric ORDER BY metric;
SELECT algorithm = (SELECT algorithm FROM churn.leaderboard l WHERE l.model = v.model AND chosen) AS algorithm,
	calibration <> '' AS calibration, truncated, validation_rows + train_rows + test_rows + duplicates_dropped = rows AS parts
	FROM churn.model_versions v WHERE model = 'learn_customers';
SELECT round(sum(importance)::numeric, 6) AS importance, bool_and(mean_abs_shap >= 0) AS shap, max(mean_abs_shap) > 0.1 AS some
	FROM churn.features WHERE model = 'learn_customers';
DO $$ BEGIN PERFORM churn_drop_model('learn_customers'); END $$;
SELECT count(*) AS left FROM churn.candidates WHERE model = 'learn_customers';

-- each learner alone, twice: the same bytes
CREATE FUNCTION learn(algorithm text, options jsonb DEFAULT '{}', params jsonb DEFAULT NULL,
					  model text DEFAULT 'learned') RETURNS int LANGUAGE sql AS $$
	SELECT version FROM churn_train('learn_customers', 'churn', model => model,
		algorithm => algorithm, params => params,
		options => '{"folds": 3, "promote": "always"}' || options) $$;
SELECT a AS algorithm, learn(a, params => p) < learn(a, params => p) AS trained
	FROM (VALUES ('rules', NULL::jsonb), ('logistic', NULL), ('random_forest', '{"trees": 20}'),
		  ('xgboost', '{"rounds": 60}'), ('neural_network', '{"rounds": 5}')) AS v (a, p);
SELECT algorithm, count(DISTINCT artifact) AS artifacts, count(DISTINCT compiled) AS compiled
	FROM churn.model_versions WHERE model = 'learned' GROUP BY algorithm ORDER BY algorithm;
SELECT DISTINCT algorithm, array(SELECT jsonb_object_keys(library_versions) ORDER BY 1) AS libraries
	FROM churn.model_versions WHERE model = 'learned' ORDER BY algorithm;
SELECT v.algorithm, count(*) AS rows, bool_and(churn_score(c, 'learned', v.version) BETWEEN 0 AND 1) AS scores,
	count(DISTINCT churn_score(c, 'learned', v.version)) > 5 AS different
	FROM learn_customers c, churn.model_versions v
	WHERE v.model = 'learned' AND v.version % 2 = 0 GROUP BY v.algorithm ORDER BY v.algorithm;
-- and with rows that came in another order
CREATE TABLE learn_shuffled AS SELECT * FROM learn_customers ORDER BY md5(customer_id);
SELECT count(DISTINCT artifact) AS artifacts FROM churn.model_versions v, (SELECT version FROM churn_train('learn_shuffled', 'churn',
	key => 'customer_id', model => 'learned', algorithm => 'logistic', options => '{"folds": 3}')) AS t
	WHERE model = 'learned' AND algorithm = 'logistic';
DROP TABLE learn_shuffled;

-- rules as given: the first that holds decides; of the rest, the churn rate
SELECT learn('rules', model => 'given', params => $$ {"rules": [{"when": "contract = 'Two year'", "score": 0.05},
	{"when": "tenure < 0", "score": 0.5}, {"when": "tenure < 12 AND contract = 'Month-to-month'", "score": 0.7}]} $$) AS version;
SELECT contract = 'Two year' AS long, tenure < 12 AND contract = 'Month-to-month' AS new, count(*) > 0 AS rows,
	min(round(churn_score(c, 'given')::numeric, 4)) = max(round(churn_score(c, 'given')::numeric, 4)) AS one,
	CASE WHEN bool_or(contract = 'Two year' OR (tenure < 12 AND contract = 'Month-to-month')) THEN min(round(churn_score(c, 'given')::numeric, 4)) END AS score,
	CASE WHEN bool_and(contract <> 'Two year' AND (tenure >= 12 OR contract <> 'Month-to-month'))
		THEN abs(avg(churn_score(c, 'given')) - avg((churn = 'Yes')::int)) < 0.05 END AS near
	FROM learn_customers c GROUP BY contract = 'Two year', tenure < 12 AND contract = 'Month-to-month' ORDER BY 1, 2;
SELECT name, kind, transform FROM churn.features WHERE model = 'given' ORDER BY position;

-- a blend
SELECT learn('blend', '{"time_budget": 3}', '{"xgboost": {"rounds": 60}, "random_forest": {"trees": 20}, "neural_network": {"rounds": 3}}') > 0 AS blended;
SELECT algorithm, cardinality(members) > 1 AS members, reason ~ '^(won|asked for)' AS reason
	FROM churn.leaderboard WHERE model = 'learned' AND chosen AND version = (SELECT max(version) FROM churn.model_versions WHERE model = 'learned');
SELECT count(*) AS rows, bool_and(churn_score(c, 'learned') BETWEEN 0 AND 1) AS scores FROM learn_customers c;

-- calibrations rise strictly
SELECT kind, learn('xgboost', jsonb_build_object('calibration', kind), '{"rounds": 30}') > 0 AS trained
	FROM unnest('{none,platt,beta,isotonic}'::text[]) AS kind;
SELECT split_part(v.calibration, ' ', 1) AS kind, count(*) FILTER (WHERE score <= lag) AS falls, count(DISTINCT score) = count(DISTINCT margin) AS as_many
	FROM churn.model_versions v, LATERAL (SELECT margin, score, lag(score) OVER (ORDER BY margin) AS lag
		FROM (SELECT DISTINCT churn_margin(c, 'learned', v.version) AS margin, churn_score(c, 'learned', v.version) AS score FROM learn_customers c) AS s) AS s
	WHERE model = 'learned' AND algorithm = 'xgboost' AND calibration LIKE '%as asked for' GROUP BY 1 ORDER BY 1;

-- thresholds: no offer pays; every offer pays; as many as can be called
SELECT learn('logistic', '{"threshold": "cost", "cost_missed": 0}', model => 'nobody') > 0 AS trained;
SELECT count(*) FILTER (WHERE (churn_predict(c, 'nobody')).churn) AS called FROM learn_customers c WHERE churn = 'No';
SELECT learn('logistic', '{"threshold": "cost", "cost_offer": 0}', model => 'everybody') > 0 AS trained;
SELECT count(*) FILTER (WHERE NOT (churn_predict(c, 'everybody')).churn) < 15 AS nearly_all FROM learn_customers c WHERE churn = 'Yes';
SELECT learn('logistic', '{"threshold": "capacity", "capacity": 150}', model => 'some') > 0 AS trained;
SELECT count(*) FILTER (WHERE (churn_predict(c, 'some')).churn) BETWEEN 120 AND 180 AS about_150 FROM learn_customers c;

-- sampling: the scores stay probabilities
SELECT a, s, learn(a, jsonb_build_object('sampling', s), CASE a WHEN 'xgboost' THEN '{"rounds": 60}'::jsonb END, model => a || s) > 0 AS trained
	FROM unnest('{logistic,xgboost}'::text[]) AS a, unnest('{none,class_weight,oversample,smote}'::text[]) AS s;
SELECT model, abs(avg(churn_score(c, model)) - avg((churn = 'Yes')::int)) < 0.03 AS calibrated
	FROM learn_customers c, (SELECT name AS model FROM churn.models WHERE name ~ '^(logistic|xgboost)') AS m GROUP BY model ORDER BY model COLLATE "C";

-- no test part: nothing to compare, so a champion stays
SELECT version, promoted, pr_auc, f1 FROM churn_train('learn_customers', 'churn', model => 'untested', algorithm => 'logistic', options => '{"test_fraction": 0, "folds": 3}');
SELECT version, promoted FROM churn_train('learn_customers', 'churn', model => 'untested', algorithm => 'logistic', options => '{"test_fraction": 0, "folds": 3}');
SELECT version, test_rows, train_rows + validation_rows AS others FROM churn.model_versions WHERE model = 'untested' ORDER BY version;
SELECT count(*) AS test_metrics FROM churn.metrics WHERE model = 'untested' AND dataset = 'test';

-- several rows a customer stay on one side of every fold: what only tells
-- customers apart does not help
CREATE TABLE learn_months AS SELECT n % 300 AS customer, md5((n % 300)::text) AS hint, n % 7 AS month,
	hashint4(n % 300) % 3 = 0 AS churn FROM generate_series(1, 3000) AS n;
SELECT version FROM churn_train('SELECT customer, left(hint, 2) AS hint, month, churn FROM learn_months', 'churn', key => 'customer',
	model => 'months', algorithm => 'logistic', options => '{"folds": 5}');
SELECT pr_auc < 0.6 AS honest FROM churn.leaderboard WHERE model = 'months';

-- the clock cuts a comparison short, and what was measured counts
SELECT learn('xgboost', '{"folds": 20, "time_budget": 1}', '{"rounds": 1500, "early_stopping_rounds": 0, "learning_rate": 0.01}', 'hurried') > 0 AS trained;
SELECT v.truncated, v.rounds, l.folds BETWEEN 1 AND 19 AS some_folds, l.pr_auc > 0.3 AS measured
	FROM churn.model_versions v JOIN churn.leaderboard l USING (model, version) WHERE model = 'hurried';

-- what is refused
SELECT learn('xgboost', '{"folds": 1}');
SELECT learn('xgboost', '{"folds": 21}');
SELECT learn('xgboost', '{"threshold": "capacity"}');
SELECT learn('xgboost', '{"threshold": "best"}');
SELECT learn('xgboost', '{"sampling": "undersample"}');
SELECT learn('xgboost', '{"calibration": true}');
SELECT learn('xgboost', '{"time_budget": 0}');
SELECT learn('xgboost', '{"validation_fraction": 0.5, "test_fraction": 0.5}');
SELECT learn('logistic', params => '{"max_depth": 3}');
SELECT learn('random_forest', params => '{"rounds": 3}');

DO $$ DECLARE m text; BEGIN FOR m IN SELECT name FROM churn.models LOOP PERFORM churn_drop_model(m); END LOOP; END $$;
DROP FUNCTION learn;
DROP TABLE learn_customers, learn_months;
