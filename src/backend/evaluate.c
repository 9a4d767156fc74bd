/*
 * evaluate.c
 *		churn_evaluate(): how good a version is on labelled rows, and how sure
 *		that is.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "arguments.h"
#include "compat.h"
#include "evaluate.h"

/* Arguments of churn_evaluate(). */
enum
{
	ARG_MODEL,
	ARG_SOURCE,
	ARG_VERSION,
	ARG_LABEL,
	ARG_POSITIVE,
	ARG_PART,
	ARG_RESAMPLES
};

/* What is measured, in the order of the result. */
static const char *const metric_names[] = {
	"pr_auc", "roc_auc", "log_loss", "brier", "ece", "f1", "precision",
	"recall", "accuracy", "lift_10", "base_rate"
};

#define NMETRICS	lengthof(metric_names)

PG_FUNCTION_INFO_V1(churn_evaluate);

/*
 * Measures rows sorted by falling score.
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
}

/*
 * The number of resamples asked for; -1 leaves it to the number of rows.
 */
static int
resamples_argument(FunctionCallInfo fcinfo)
{
	int			resamples;

	if (PG_ARGISNULL(ARG_RESAMPLES))
		return -1;
	resamples = PG_GETARG_INT32(ARG_RESAMPLES);
	churn_evaluation_check_resamples(resamples, true);
	return resamples;
}

/*
 * Tells the client which rows were measured.
 */
static void
tell_rows(const ChurnEvaluation *evaluation)
{
	const char *name = evaluation->row->name;
	int			number = evaluation->version->version;
	char	   *unlabelled = "";

	if (evaluation->unlabelled > 0)
		unlabelled = psprintf("  Rows without a label: %llu.",
							  (unsigned long long) evaluation->unlabelled);
	if (evaluation->part == CHURN_EVALUATE_TEST)
		ereport(NOTICE,
				(errmsg("version %d of model \"%s\" is measured on %llu test rows, which it was not trained on",
						number, name,
						(unsigned long long) evaluation->measured),
				 errdetail("%llu labelled rows are in other parts.%s",
						   (unsigned long long) evaluation->left_out,
						   unlabelled)));
	else
		ereport(NOTICE,
				(errmsg("version %d of model \"%s\" is measured on %llu labelled rows",
						number, name,
						(unsigned long long) evaluation->measured),
				 errdetail("Rows that it was trained on flatter it.%s",
						   unlabelled),
				 evaluation->own && evaluation->has_test_part ?
				 errhint("part => 'test' takes the rows that it was not trained on.") : 0));
}

/*
 * The intervals of all metrics; NULL if there are to be none.
 */
static ChurnInterval *
make_intervals(const ChurnEvaluation *evaluation, int resamples,
			   double threshold)
{
	ChurnArena	arena = churn_memory_arena(evaluation->context);
	ChurnBootstrap bootstrap;
	ChurnInterval *intervals;
	ChurnError	error;
	double		measured[NMETRICS];
	double	   *values;
	int			i;
	int			metric;

	if (resamples < 0)
		resamples = (int) churn_bootstrap_resamples(evaluation->measured);
	if (resamples == 0)
		return NULL;
	if (!churn_bootstrap_init(&bootstrap, evaluation->rows, evaluation->nrows,
							  false, CHURN_EVALUATION_SEED, &arena, &error))
		churn_throw(&error, "confidence intervals");
	values = palloc(sizeof(double) * NMETRICS * resamples);
	for (i = 0; i < resamples; i++)
	{
		CHECK_FOR_INTERRUPTS();
		churn_bootstrap_draw(&bootstrap);
		measure(bootstrap.sample, bootstrap.nsample, threshold, measured);
		for (metric = 0; metric < NMETRICS; metric++)
			values[metric * resamples + i] = measured[metric];
	}
	intervals = palloc(sizeof(ChurnInterval) * NMETRICS);
	for (metric = 0; metric < NMETRICS; metric++)
		intervals[metric] =
			churn_bootstrap_interval(&values[metric * resamples], resamples,
									 CHURN_BOOTSTRAP_LEVEL);
	return intervals;
}

/*
 * Returns a row a metric.
 */
static void
return_metrics(FunctionCallInfo fcinfo, const ChurnEvaluation *evaluation,
			   const double *values, const ChurnInterval *intervals)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int			i;

	for (i = 0; i < NMETRICS; i++)
	{
		Datum		columns[5];
		bool		nulls[5] = {false};

		columns[0] = CStringGetTextDatum(metric_names[i]);
		churn_result_number(values[i], &columns[1], &nulls[1]);
		churn_result_number(intervals != NULL ? intervals[i].low : NAN, &columns[2],
							&nulls[2]);
		churn_result_number(intervals != NULL ? intervals[i].high : NAN, &columns[3],
							&nulls[3]);
		columns[4] = Int64GetDatum((int64) evaluation->measured);
		tuplestore_putvalues(result->setResult, result->setDesc, columns,
							 nulls);
	}
}

/*
 * churn_evaluate(model text, source text, version int, label text,
 *				  positive text, part text, resamples int)
 *		-> TABLE (metric, value, ci_low, ci_high, n)
 *
 * Scores the labelled rows of the source and measures the scores.
 */
Datum
churn_evaluate(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "churn evaluate",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	ChurnEvaluation evaluation = {0};
	double		values[NMETRICS];
	ChurnInterval *intervals;
	double		threshold;
	int			resamples;
	int			version;

	if (PG_ARGISNULL(ARG_MODEL))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("model must not be null")));
	InitMaterializedSRF(fcinfo, 0);
	old = MemoryContextSwitchTo(context);
	evaluation.context = context;
	evaluation.source = churn_argument_text(fcinfo, ARG_SOURCE);
	evaluation.label = churn_argument_text(fcinfo, ARG_LABEL);
	evaluation.positive = churn_argument_text(fcinfo, ARG_POSITIVE);
	evaluation.part = churn_evaluation_part(churn_argument_text(fcinfo, ARG_PART));
	resamples = resamples_argument(fcinfo);
	evaluation.row = churn_registry_model(churn_argument_text(fcinfo, ARG_MODEL),
										  GetActiveSnapshot(), false);
	version = churn_argument_version(fcinfo, ARG_VERSION);
	evaluation.version = churn_registry_resolve(evaluation.row->name, version,
												InvalidOid, GetActiveSnapshot(),
												context);
	churn_evaluation_record(evaluation.row->name, evaluation.version->version,
							&evaluation.record);
	churn_evaluation_read(&evaluation);
	churn_evaluation_check_rows(&evaluation);
	tell_rows(&evaluation);

	threshold = evaluation.version->model->threshold;
	churn_evaluation_merge(&evaluation);
	measure(evaluation.rows, evaluation.nrows, threshold, values);
	intervals = make_intervals(&evaluation, resamples, threshold);
	return_metrics(fcinfo, &evaluation, values, intervals);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	PG_RETURN_VOID();
}
