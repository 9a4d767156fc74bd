/*
 * quality.c
 *		What churn_measure() computes: quality of scores without outcomes and
 *		with them, and tests for concept drift.
 *
 * Scores and outcomes come as arrays, so that the queries that gather them can
 * be SQL.  What is random depends on them alone.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "churn/bootstrap.h"
#include "churn/cbpe.h"
#include "churn/concept.h"

#include "arguments.h"
#include "compat.h"
#include "registry.h"

/* The resamples depend on it alone, so that results are repeatable. */
#define BOOTSTRAP_SEED	42

/* What is measured, and whether it can be estimated as well. */
typedef struct Metric
{
	const char *name;
	bool		estimated;
} Metric;

static const Metric metrics[] = {
	{"pr_auc", true}, {"roc_auc", true}, {"log_loss", true}, {"brier", true},
	{"ece", false}, {"f1", true}, {"precision", true}, {"recall", true},
	{"accuracy", true}, {"lift_10", false}, {"base_rate", true},
	{"true_positives", true}, {"false_positives", true},
	{"false_negatives", true}, {"true_negatives", true}
};

#define NMETRICS	lengthof(metrics)

/* The tests for concept drift. */
static const char *const test_names[] = {
	"calibration_z", "pr_auc_drop", "roc_auc_drop"
};

#define NTESTS		lengthof(test_names)

/* Rows to be measured. */
typedef struct Rows
{
	ChurnScored *rows;			/* by falling score, equal ones merged */
	size_t		n;
	size_t		count;			/* of rows, not entries */
} Rows;

PG_FUNCTION_INFO_V1(churn_estimated_quality);
PG_FUNCTION_INFO_V1(churn_realised_quality);
PG_FUNCTION_INFO_V1(churn_concept_drift);

/*
 * Lets a long sort be cancelled.
 */
static void
poll_interrupts(void)
{
	CHECK_FOR_INTERRUPTS();
}

/*
 * An array argument of one dimension without nulls; its length in *n.
 */
static ArrayType *
array_argument(FunctionCallInfo fcinfo, int argument, const char *name,
			   size_t *n)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(argument);

	if (ARR_NDIM(array) > 1 || array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be a list without nulls", name)));
	*n = (size_t) ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	return array;
}

/*
 * The rows in the arguments: scores in the first one and, if they are known,
 * outcomes in the second.
 */
static Rows
read_rows(FunctionCallInfo fcinfo, bool outcomes)
{
	Rows		rows;
	size_t		noutcomes = 0;
	ArrayType  *scores = array_argument(fcinfo, 0, "scores", &rows.count);
	ArrayType  *churned = outcomes ?
	array_argument(fcinfo, 1, "churned", &noutcomes) : NULL;
	const float8 *score = (const float8 *) ARR_DATA_PTR(scores);
	const bool *happened = outcomes ?
	(const bool *) ARR_DATA_PTR(churned) : NULL;
	size_t		i;

	if (outcomes && noutcomes != rows.count)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%zu scores cannot have %zu outcomes",
						rows.count, noutcomes)));
	rows.rows = MemoryContextAllocHuge(CurrentMemoryContext,
									   mul_size(sizeof(ChurnScored),
												Max(rows.count, 1)));
	for (i = 0; i < rows.count; i++)
	{
		if (!(score[i] >= 0 && score[i] <= 1))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("score %g is not between 0 and 1", score[i])));
		rows.rows[i] = churn_scored(score[i], outcomes && happened[i]);
	}
	churn_metrics_sort_poll(rows.rows, rows.count, poll_interrupts);
	rows.n = churn_metrics_merge(rows.rows, rows.count);
	return rows;
}

/*
 * Measures rows of known outcome.
 */
static void
measure(const ChurnScored *rows, size_t n, double threshold, double *values)
{
	ChurnConfusion confusion = churn_metrics_confusion(rows, n, threshold);

	*values++ = churn_metrics_pr_auc(rows, n);
	*values++ = churn_metrics_roc_auc(rows, n);
	*values++ = churn_metrics_log_loss(rows, n);
	*values++ = churn_metrics_brier(rows, n);
	*values++ = churn_metrics_ece(rows, n);
	*values++ = churn_metrics_f1(confusion);
	*values++ = churn_metrics_precision(confusion);
	*values++ = churn_metrics_recall(confusion);
	*values++ = churn_metrics_accuracy(confusion);
	*values++ = churn_metrics_lift(rows, n, 0.1);
	*values++ = churn_metrics_base_rate(rows, n);
	*values++ = (double) confusion.tp;
	*values++ = (double) confusion.fp;
	*values++ = (double) confusion.fn;
	*values++ = (double) confusion.tn;
}

/*
 * Estimates the same from the scores alone.
 */
static void
estimate(const ChurnScored *rows, size_t n, double threshold, double *values)
{
	ChurnExpectedConfusion confusion = churn_cbpe_confusion(rows, n,
															threshold);

	*values++ = churn_cbpe_pr_auc(rows, n);
	*values++ = churn_cbpe_roc_auc(rows, n);
	*values++ = churn_cbpe_log_loss(rows, n);
	*values++ = churn_cbpe_brier(rows, n);
	*values++ = NAN;
	*values++ = churn_cbpe_f1(confusion);
	*values++ = churn_cbpe_precision(confusion);
	*values++ = churn_cbpe_recall(confusion);
	*values++ = churn_cbpe_accuracy(confusion);
	*values++ = NAN;
	*values++ = churn_cbpe_base_rate(rows, n);
	*values++ = confusion.tp;
	*values++ = confusion.fp;
	*values++ = confusion.fn;
	*values++ = confusion.tn;
}

/*
 * Prepares to resample rows.
 */
static void
begin_bootstrap(ChurnBootstrap *bootstrap, const Rows *rows)
{
	ChurnArena	arena = churn_memory_arena(CurrentMemoryContext);
	ChurnError	error;

	if (!churn_bootstrap_init(bootstrap, rows->rows, rows->n, false,
							  BOOTSTRAP_SEED, &arena, &error))
		churn_throw(&error, "confidence intervals");
}

/*
 * The interval of each metric: of resamples of the rows or, where their
 * outcomes are not known, of outcomes that they might have.
 */
static void
make_intervals(const Rows *rows, double threshold, bool outcomes,
			   ChurnInterval *intervals)
{
	size_t		resamples = churn_bootstrap_resamples(rows->count);
	double	   *values = palloc(sizeof(double) * NMETRICS * resamples);
	double		measured[NMETRICS];
	ChurnBootstrap bootstrap;
	size_t		i;
	size_t		metric;

	begin_bootstrap(&bootstrap, rows);
	for (i = 0; i < resamples; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (outcomes)
			churn_bootstrap_draw(&bootstrap);
		else
			churn_bootstrap_outcomes(&bootstrap);
		measure(bootstrap.sample, bootstrap.nsample, threshold, measured);
		for (metric = 0; metric < NMETRICS; metric++)
			values[metric * resamples + i] = measured[metric];
	}
	for (metric = 0; metric < NMETRICS; metric++)
		intervals[metric] = churn_bootstrap_interval(&values[metric * resamples],
													 resamples,
													 CHURN_BOOTSTRAP_LEVEL);
}

/*
 * Returns a row a metric.
 */
static void
return_metrics(FunctionCallInfo fcinfo, const double *values,
			   const ChurnInterval *intervals, bool outcomes)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	size_t		i;

	for (i = 0; i < NMETRICS; i++)
	{
		Datum		columns[4];
		bool		nulls[4] = {false};

		if (!outcomes && !metrics[i].estimated)
			continue;
		columns[0] = CStringGetTextDatum(metrics[i].name);
		churn_result_number(values[i], &columns[1], &nulls[1]);
		churn_result_number(intervals[i].low, &columns[2], &nulls[2]);
		churn_result_number(intervals[i].high, &columns[3], &nulls[3]);
		tuplestore_putvalues(result->setResult, result->setDesc, columns,
							 nulls);
	}
}

/*
 * Measures or estimates the rows in the arguments; the last one is the
 * threshold.
 */
static Datum
quality(FunctionCallInfo fcinfo, bool outcomes)
{
	ChurnInterval intervals[NMETRICS];
	double		values[NMETRICS];
	double		threshold = PG_GETARG_FLOAT8(outcomes ? 2 : 1);
	Rows		rows = read_rows(fcinfo, outcomes);

	if (isnan(threshold))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("threshold must not be NaN")));
	InitMaterializedSRF(fcinfo, 0);
	if (rows.count == 0)
		PG_RETURN_VOID();
	if (outcomes)
		measure(rows.rows, rows.n, threshold, values);
	else
		estimate(rows.rows, rows.n, threshold, values);
	make_intervals(&rows, threshold, outcomes, intervals);
	return_metrics(fcinfo, values, intervals, outcomes);
	PG_RETURN_VOID();
}

/*
 * churn.estimated_quality(scores double precision[],
 *						   threshold double precision)
 *		-> TABLE (metric, value, ci_low, ci_high)
 */
Datum
churn_estimated_quality(PG_FUNCTION_ARGS)
{
	return quality(fcinfo, false);
}

/*
 * churn.realised_quality(scores double precision[], churned boolean[],
 *						  threshold double precision)
 *		-> TABLE (metric, value, ci_low, ci_high)
 */
Datum
churn_realised_quality(PG_FUNCTION_ARGS)
{
	return quality(fcinfo, true);
}

/*
 * The standard deviation of the PR-AUC's logit over resamples.
 */
static double
pr_auc_spread(const Rows *rows)
{
	size_t		resamples = churn_bootstrap_resamples(rows->count);
	double	   *values = palloc(sizeof(double) * resamples);
	ChurnBootstrap bootstrap;
	size_t		i;

	begin_bootstrap(&bootstrap, rows);
	for (i = 0; i < resamples; i++)
	{
		double		pr_auc;

		CHECK_FOR_INTERRUPTS();
		churn_bootstrap_draw(&bootstrap);
		pr_auc = churn_metrics_pr_auc(bootstrap.sample, bootstrap.nsample);
		values[i] = isnan(pr_auc) ? NAN : churn_concept_logit(pr_auc);
	}
	return churn_concept_spread(values, resamples);
}

/*
 * Makes all tests at a level; returns how many could be made.
 */
static int
make_tests(const Rows *rows, const ChurnReference *reference, double spread,
		   double level, ChurnConceptTest *tests)
{
	int			made = 0;
	size_t		i;

	tests[0] = churn_concept_calibration(rows->rows, rows->n, reference,
										 level);
	tests[1] = churn_concept_pr_auc(rows->rows, rows->n, reference, spread,
									level);
	tests[2] = churn_concept_roc_auc(rows->rows, rows->n, reference, level);
	for (i = 0; i < NTESTS; i++)
		made += !isnan(tests[i].value);
	return made;
}

/*
 * What is known of the rows that the version was tested on, from the arguments
 * behind alpha: PR-AUC, ROC-AUC, rows, and how many of them churned.
 */
static ChurnReference
read_reference(FunctionCallInfo fcinfo)
{
	ChurnReference reference = {NAN, NAN, 0, 0};

	if (PG_ARGISNULL(5) || PG_ARGISNULL(6))
		return reference;
	reference.positives = (double) PG_GETARG_INT64(6);
	reference.negatives = (double) PG_GETARG_INT64(5) - reference.positives;
	if (reference.positives < 0 || reference.negatives < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%lld of %lld test rows cannot have churned",
						(long long) PG_GETARG_INT64(6),
						(long long) PG_GETARG_INT64(5))));
	if (!PG_ARGISNULL(3))
		reference.pr_auc = PG_GETARG_FLOAT8(3);
	if (!PG_ARGISNULL(4))
		reference.roc_auc = PG_GETARG_FLOAT8(4);
	return reference;
}

/*
 * churn.concept_drift(scores double precision[], churned boolean[],
 *					   alpha double precision, pr_auc double precision,
 *					   roc_auc double precision, test_rows bigint,
 *					   test_positives bigint)
 *		-> TABLE (statistic, value, threshold, p_value, drifted)
 *
 * alpha is the probability of a false alarm of all tests together (Bonferroni).
 */
Datum
churn_concept_drift(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ChurnConceptTest tests[NTESTS];
	ChurnReference reference;
	double		alpha;
	double		spread;
	Rows		rows;
	int			made;
	size_t		i;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_VOID();
	alpha = PG_GETARG_FLOAT8(2);
	if (!(alpha > 0 && alpha < 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("alpha %g is not between 0 and 1", alpha)));
	rows = read_rows(fcinfo, true);
	reference = read_reference(fcinfo);
	spread = isnan(reference.pr_auc) ? NAN : pr_auc_spread(&rows);
	made = make_tests(&rows, &reference, spread, alpha, tests);
	if (made > 1)
		(void) make_tests(&rows, &reference, spread, alpha / made, tests);
	for (i = 0; i < NTESTS; i++)
	{
		Datum		columns[5];
		bool		nulls[5] = {false};

		if (isnan(tests[i].value))
			continue;
		columns[0] = CStringGetTextDatum(test_names[i]);
		columns[1] = Float8GetDatum(tests[i].value);
		columns[2] = Float8GetDatum(tests[i].threshold);
		columns[3] = Float8GetDatum(tests[i].p_value);
		columns[4] = BoolGetDatum(tests[i].drifted);
		tuplestore_putvalues(result->setResult, result->setDesc, columns,
							 nulls);
	}
	PG_RETURN_VOID();
}
