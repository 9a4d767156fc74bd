--
-- Policies: what churn_maintain() is told of a model
--
SET client_min_messages = warning;
\set SHOW_CONTEXT never
-- the score is the logistic function of x
\set artifact '{"churn": {"format": 1, "features": [{"name": "x", "kind": "number"}], "threshold": 0.5}, "components": [{"algorithm": "logistic", "weight": 1, "offset": 0, "kind": "additive", "intercept": 0, "effects": [{"kind": "linear", "slope": 1, "low": -10, "high": 10, "missing": 0, "mean": 0}]}]}'
CREATE TABLE policy_customers (id int PRIMARY KEY, x real, plan text, gone boolean);
SELECT promoted FROM churn_import('policy', convert_to(:'artifact', 'UTF8'), source => 'policy_customers', key => 'id', label => 'gone');

SELECT churn_set_policy('policy');
SELECT model, action, schedule, drift_alpha, drift_psi, drift_segment, quality_metric, quality_drop, max_age, min_rows,
	algorithm, retention, enabled, set_by = current_user AS mine, set_at > now() - interval '1 hour' AS now FROM churn.policies;
-- a later call replaces all of it
SELECT churn_set_policy('policy', 'retrain_and_promote', '6 hours', 0.1, 0, 'plan', 'roc_auc', 0, '90 days', 0, 'auto', '6 hours', false);
SELECT model, action, schedule, drift_alpha, drift_psi, drift_segment, quality_metric, quality_drop, max_age, min_rows,
	algorithm, retention, enabled FROM churn.policies;
SELECT churn_set_policy('policy', action => 'retrain');
SELECT model, action, schedule, drift_segment, max_age, enabled FROM churn.policies;
SELECT churn_drop_policy('policy');
SELECT count(*) FROM churn.policies;

-- values that cannot be
SELECT churn_set_policy(NULL);
SELECT churn_set_policy('nobody');
SELECT churn_set_policy('policy', 'promote');
SELECT churn_set_policy('policy', NULL);
SELECT churn_set_policy('policy', schedule => '0');
SELECT churn_set_policy('policy', schedule => NULL);
SELECT churn_set_policy('policy', schedule => '1000 years');
SELECT churn_set_policy('policy', drift_alpha => 0);
SELECT churn_set_policy('policy', drift_alpha => 1);
SELECT churn_set_policy('policy', drift_alpha => 'NaN');
SELECT churn_set_policy('policy', drift_psi => -0.1);
SELECT churn_set_policy('policy', drift_psi => 'NaN');
SELECT churn_set_policy('policy', drift_segment => 'plans');
SELECT churn_set_policy('policy', quality_metric => 'accuracy');
SELECT churn_set_policy('policy', quality_drop => -1);
SELECT churn_set_policy('policy', max_age => '-1 day');
SELECT churn_set_policy('policy', min_rows => -1);
SELECT churn_set_policy('policy', algorithm => 'xgboost');
SELECT churn_set_policy('policy', retention => '1 hour');
SELECT churn_set_policy('policy', enabled => NULL);
SELECT count(*) FROM churn.policies;
SELECT churn_drop_policy(NULL);
SELECT churn_drop_policy('nobody');
SELECT churn_drop_policy('policy');

-- a model without a source cannot be looked after, one without a label not be trained
SELECT promoted FROM churn_import('policy_no_source', convert_to(:'artifact', 'UTF8'));
SELECT promoted FROM churn_import('policy_no_label', convert_to(:'artifact', 'UTF8'), source => 'policy_customers', key => 'id');
SELECT churn_set_policy('policy_no_source');
SELECT churn_set_policy('policy_no_label', 'retrain');
SELECT churn_set_policy('policy_no_label');

-- the model's owner and its members set policies; the source is looked at as the owner
CREATE ROLE regress_churn_owner;
CREATE ROLE regress_churn_member IN ROLE regress_churn_owner;
CREATE ROLE regress_churn_other;
GRANT EXECUTE ON FUNCTION churn_import, churn_set_policy, churn_drop_policy TO regress_churn_owner, regress_churn_other;
GRANT SELECT ON policy_customers TO regress_churn_owner;
SET ROLE regress_churn_owner;
SELECT promoted FROM churn_import('policy_owned', convert_to(:'artifact', 'UTF8'), source => 'policy_customers', key => 'id', label => 'gone');
SELECT churn_set_policy('policy_owned');
SET ROLE regress_churn_member;
SELECT churn_set_policy('policy_owned', 'retrain', drift_segment => 'plan');
SET ROLE regress_churn_other;
SELECT churn_set_policy('policy_owned', 'retrain');
SELECT churn_drop_policy('policy_owned');
RESET ROLE;
SELECT action, drift_segment, set_by FROM churn.policies WHERE model = 'policy_owned';
REVOKE SELECT ON policy_customers FROM regress_churn_owner;
SET ROLE regress_churn_member;
SELECT churn_drop_policy('policy_owned');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION churn_import, churn_set_policy, churn_drop_policy FROM regress_churn_owner, regress_churn_other;
SET ROLE regress_churn_member;
SELECT churn_set_policy('policy_owned');
SELECT churn_drop_policy('policy_owned');
RESET ROLE;

-- a policy goes with its model
SELECT model FROM churn.policies;
SELECT churn_drop_model(name) FROM churn.models ORDER BY name;
SELECT count(*) FROM churn.policies;
DROP TABLE policy_customers;
DROP ROLE regress_churn_member;
DROP ROLE regress_churn_owner, regress_churn_other;
