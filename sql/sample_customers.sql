-- churn_sample_customers(): generated customers that look like real ones

-- columns and types are those of the Telco set
SELECT * FROM churn_sample_customers() \gdesc

-- the same call returns the same rows, and another seed others
SELECT customer_id, tenure, contract, monthly_charges, total_charges, churn
FROM churn_sample_customers(3);

SELECT count(*) FROM churn_sample_customers();

SELECT count(*) FROM (
    SELECT * FROM churn_sample_customers(2000, 7)
    EXCEPT
    SELECT * FROM churn_sample_customers(3000, 7)) d;

SELECT count(*) FROM (
    SELECT customer_id FROM churn_sample_customers(2000, 7)
    INTERSECT
    SELECT customer_id FROM churn_sample_customers(2000, -7)) d;

-- bounds
SELECT count(*) FROM churn_sample_customers(0);
SELECT count(*) FROM churn_sample_customers(NULL);
SELECT count(*) FROM churn_sample_customers(1, NULL);
SELECT count(*) FROM churn_sample_customers(1, 9223372036854775807);
SELECT count(*) FROM churn_sample_customers(1, -9223372036854775808);
SELECT count(*) FROM churn_sample_customers(-1);
SELECT count(*) FROM churn_sample_customers(9223372036854775807);

-- rows come one by one: a select list that needs few makes few
SELECT (churn_sample_customers(100000000000)).customer_id LIMIT 2;

-- it may be called anew for each row of another table
SELECT seed, count(*), count(DISTINCT customer_id)
FROM generate_series(1, 3) seed, churn_sample_customers(100 * seed, seed)
GROUP BY seed ORDER BY seed;

CREATE TEMP TABLE sample AS SELECT * FROM churn_sample_customers(50000);

-- identifiers are unique and all of one form
SELECT count(DISTINCT customer_id) AS customers,
       count(*) FILTER (WHERE customer_id !~ '^\d{4}-[A-Z]{5}$') AS bad
FROM sample;

-- what cannot be, is not
SELECT count(*) FILTER (WHERE (phone_service = 'No')
                        <> (multiple_lines = 'No phone service')) AS phone,
       count(*) FILTER (WHERE phone_service = 'No'
                        AND internet_service <> 'DSL') AS no_service,
       count(*) FILTER (WHERE (internet_service = 'No') <>
                        ANY (ARRAY[online_security = 'No internet service',
                                   online_backup = 'No internet service',
                                   device_protection = 'No internet service',
                                   tech_support = 'No internet service',
                                   streaming_tv = 'No internet service',
                                   streaming_movies = 'No internet service'])
                       ) AS internet,
       count(*) FILTER (WHERE (tenure = 0) <> (total_charges IS NULL)) AS new,
       count(*) FILTER (WHERE tenure = 0 AND churn = 'Yes') AS left_at_once,
       count(*) FILTER (WHERE tenure NOT BETWEEN 0 AND 72) AS tenure,
       count(*) FILTER (WHERE tenure = 1
                        AND total_charges <> monthly_charges) AS first_month,
       count(*) FILTER (WHERE monthly_charges NOT BETWEEN 15 AND 125) AS monthly,
       count(*) FILTER (WHERE abs(total_charges - tenure * monthly_charges)
                        > monthly_charges * sqrt(tenure)) AS total
FROM sample;

-- totals follow tenure and monthly charges
SELECT round(corr(total_charges, tenure * monthly_charges)::numeric, 2) AS r,
       round(avg(total_charges / (tenure * monthly_charges))::numeric, 2) AS ratio
FROM sample WHERE tenure > 0;

-- The share of every value is within two points of the real one (column,
-- value, share among the 7,043 customers of the Telco set).
CREATE TEMP TABLE real_share (name text, value text, share float8);
INSERT INTO real_share VALUES
    ('gender', 'Female', .4952), ('gender', 'Male', .5048),
    ('senior_citizen', '0', .8379), ('senior_citizen', '1', .1621),
    ('partner', 'No', .5170), ('partner', 'Yes', .4830),
    ('dependents', 'No', .7004), ('dependents', 'Yes', .2996),
    ('phone_service', 'No', .0968), ('phone_service', 'Yes', .9032),
    ('multiple_lines', 'No', .4813), ('multiple_lines', 'Yes', .4218),
    ('multiple_lines', 'No phone service', .0968),
    ('internet_service', 'DSL', .3437),
    ('internet_service', 'Fiber optic', .4396),
    ('internet_service', 'No', .2167),
    ('online_security', 'No', .4967), ('online_security', 'Yes', .2867),
    ('online_security', 'No internet service', .2167),
    ('online_backup', 'No', .4384), ('online_backup', 'Yes', .3449),
    ('online_backup', 'No internet service', .2167),
    ('device_protection', 'No', .4394), ('device_protection', 'Yes', .3439),
    ('device_protection', 'No internet service', .2167),
    ('tech_support', 'No', .4931), ('tech_support', 'Yes', .2902),
    ('tech_support', 'No internet service', .2167),
    ('streaming_tv', 'No', .3990), ('streaming_tv', 'Yes', .3844),
    ('streaming_tv', 'No internet service', .2167),
    ('streaming_movies', 'No', .3954), ('streaming_movies', 'Yes', .3879),
    ('streaming_movies', 'No internet service', .2167),
    ('contract', 'Month-to-month', .5502), ('contract', 'One year', .2091),
    ('contract', 'Two year', .2407),
    ('paperless_billing', 'No', .4078), ('paperless_billing', 'Yes', .5922),
    ('payment_method', 'Electronic check', .3358),
    ('payment_method', 'Mailed check', .2289),
    ('payment_method', 'Bank transfer (automatic)', .2192),
    ('payment_method', 'Credit card (automatic)', .2161),
    ('churn', 'No', .7346), ('churn', 'Yes', .2654);

WITH generated AS (
    SELECT name, value, count(*) / 50000.0 AS share
    FROM sample s, jsonb_each_text(to_jsonb(s)) AS e(name, value)
    WHERE name NOT IN ('customer_id', 'tenure', 'monthly_charges',
                       'total_charges')
    GROUP BY name, value)
SELECT name, value, r.share AS real, round(g.share, 4) AS generated
FROM real_share r FULL JOIN generated g USING (name, value)
WHERE (abs(r.share - g.share) < .02) IS NOT TRUE
ORDER BY name, value;

-- quartiles of the numbers: tenure within two months, charges within 5 %
WITH generated AS (
    SELECT percentile_disc(ARRAY[.25, .5, .75])
               WITHIN GROUP (ORDER BY tenure) AS tenure,
           percentile_disc(ARRAY[.25, .5, .75])
               WITHIN GROUP (ORDER BY monthly_charges) AS monthly,
           percentile_disc(ARRAY[.25, .5, .75])
               WITHIN GROUP (ORDER BY total_charges) AS total
    FROM sample)
SELECT quartile,
       abs(tenure[quartile] - (ARRAY[9, 29, 55])[quartile]) <= 2 AS tenure,
       abs(monthly[quartile] / (ARRAY[35.5, 70.35, 89.85])[quartile] - 1)
           <= .05 AS monthly,
       abs(total[quartile] / (ARRAY[401.4, 1397.5, 3794.7])[quartile] - 1)
           <= .05 AS total
FROM generated, generate_series(1, 3) quartile ORDER BY quartile;

-- who leaves: churn rates within two points of the real ones
WITH customers AS (
    SELECT contract, internet_service AS internet, churn,
           width_bucket(tenure, ARRAY[0, 7, 13, 25, 37, 49, 61]) AS band
    FROM sample),
rates AS (
    SELECT 'contract ' || contract AS part,
           avg((churn = 'Yes')::int) AS rate
    FROM customers GROUP BY contract
    UNION ALL
    SELECT 'internet ' || internet, avg((churn = 'Yes')::int)
    FROM customers GROUP BY internet
    UNION ALL
    SELECT 'tenure band ' || band, avg((churn = 'Yes')::int)
    FROM customers GROUP BY band)
SELECT part, abs(rate - real) < .02 AS near
FROM rates FULL JOIN (VALUES
    ('contract Month-to-month', .4271), ('contract One year', .1127),
    ('contract Two year', .0283), ('internet DSL', .1896),
    ('internet Fiber optic', .4189), ('internet No', .0740),
    ('tenure band 1', .5294), ('tenure band 2', .3589),
    ('tenure band 3', .2871), ('tenure band 4', .2163),
    ('tenure band 5', .1903), ('tenure band 6', .1442),
    ('tenure band 7', .0661)) AS telco(part, real) USING (part)
ORDER BY part;

DROP TABLE sample, real_share;
