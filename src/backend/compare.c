/*
 * compare.c
 *		churn_compare(): whether one version is better than another, on rows
 *		that neither has seen, and how sure that is.
 *
 * Both versions score each row in one pass, and both are measured on the same
 * resamples of the rows (the paired bootstrap), so that what is hard about the
 * rows themselves cancels out.
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

/* Arguments of churn_compare(). */
enum
{
	ARG_MODEL,
	ARG_CHALLENGER,
	ARG_CHAMPION,
	ARG_SOURCE,
	ARG_RESAMPLES,
	ARG_PART
};

/* What is measured, in the order of the result. */
static const struct
{
	const char *name;
	ChurnMetricFunction function;
	bool		larger_is_better;
}			compared[] =

{
	{"pr_auc", churn_metrics_pr_auc, true},
	{"roc_auc", churn_metrics_roc_auc, true},
	{"log_loss", churn_metrics_log_loss, false},
	{"brier", churn_metrics_brier, false}
};

#define NCOMPARED		lengthof(compared)
#define RESULT_COLUMNS	8

/* Two versions of a model. */
typedef struct Comparison
{
	ChurnEvaluation evaluation; /* of the challenger, the champion its rival */
	ChurnVersionRecord champion;
	int			imported;		/* version that was, 0 if neither */
} Comparison;

PG_FUNCTION_INFO_V1(churn_compare);

/*
 * Lets a long computation be cancelled.
 */
static void
poll_interrupts(void)
{
	CHECK_FOR_INTERRUPTS();
}

/*
 * Finds the two versions.
 */
static void
find_versions(Comparison *comparison, const char *model, int challenger,
			  int champion)
{
	ChurnEvaluation *evaluation = &comparison->evaluation;
	Snapshot	snapshot = GetActiveSnapshot();

	evaluation->row = churn_registry_model(model, snapshot, false);
	evaluation->version = churn_registry_resolve(evaluation->row->name,
												 challenger, InvalidOid,
												 snapshot,
												 evaluation->context);
	evaluation->rival = churn_registry_resolve(evaluation->row->name,
											   champion, InvalidOid, snapshot,
											   evaluation->context);
	if (evaluation->version->version == evaluation->rival->version)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("version %d of model \"%s\" cannot be compared with itself",
						evaluation->version->version, evaluation->row->name),
				 champion == 0 ?
				 errdetail("It is the champion.") : 0));
	churn_evaluation_record(evaluation->row->name,
							evaluation->version->version,
							&evaluation->record);
	churn_evaluation_record(evaluation->row->name, evaluation->rival->version,
							&comparison->champion);
}

/*
 * Makes the challenger's record tell of the rows that are in the test parts of
 * both.  Parts are decided by thresholds on the hash of a key, so the smaller
 * test part lies within the larger.  Of an imported version nobody knows what
 * it was trained on; then the other's test part has to do.
 */
static void
share_test_part(Comparison *comparison)
{
	ChurnVersionRecord *record = &comparison->evaluation.record;
	const ChurnVersionRecord *champion = &comparison->champion;

	if (record->label == NULL)
	{
		record->label = champion->label;
		record->positive = champion->positive;
	}
	if (strcmp(champion->origin, "train") != 0)
	{
		comparison->imported = comparison->evaluation.rival->version;
		return;
	}
	if (strcmp(record->origin, "train") != 0)
	{
		comparison->imported = comparison->evaluation.version->version;
		record->origin = champion->origin;
		record->key = champion->key;
		record->test_fraction = champion->test_fraction;
		return;
	}
	if (champion->key == NULL || record->key == NULL ||
		strcmp(champion->key, record->key) != 0)
		record->key = NULL;
	record->test_fraction = Min(record->test_fraction,
								champion->test_fraction);
}

/*
 * Decides on the rows: those that both versions were tested on or, of a source
 * that the caller names, all if these cannot be told.
 */
static void
choose_part(Comparison *comparison, const char *name)
{
	ChurnEvaluation *evaluation = &comparison->evaluation;

	evaluation->part = churn_evaluation_part(name);
	if (evaluation->part == CHURN_EVALUATE_ALL)
		return;
	if (churn_evaluation_has_test_part(&evaluation->record))
		evaluation->part = CHURN_EVALUATE_TEST;
	else if (evaluation->part == CHURN_EVALUATE_DEFAULT &&
			 evaluation->source != NULL)
		evaluation->part = CHURN_EVALUATE_ALL;
	else
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("versions %d and %d of model \"%s\" have no test rows in common that can be told",
						evaluation->version->version,
						evaluation->rival->version, evaluation->row->name),
				 errdetail("They were imported, or trained without a key, with different keys, or without a test part."),
				 errhint("Compare on rows that neither was trained on: part => 'all', source => '...'.")));
}

/*
 * Tells the client which rows are compared.
 */
static void
tell_rows(const Comparison *comparison)
{
	const ChurnEvaluation *evaluation = &comparison->evaluation;
	char	   *unlabelled = "";

	if (evaluation->unlabelled > 0)
		unlabelled = psprintf("  Rows without a label: %llu.",
							  (unsigned long long) evaluation->unlabelled);
	if (evaluation->part == CHURN_EVALUATE_TEST)
		ereport(NOTICE,
				(errmsg("versions %d and %d of model \"%s\" are compared on %llu test rows",
						evaluation->version->version,
						evaluation->rival->version, evaluation->row->name,
						(unsigned long long) evaluation->measured),
				 comparison->imported > 0 ?
				 errdetail("Version %d was imported, and may have been trained on them.  %llu labelled rows are in other parts.%s",
						   comparison->imported,
						   (unsigned long long) evaluation->left_out,
						   unlabelled) :
				 errdetail("Neither was trained on them.  %llu labelled rows are in other parts.%s",
						   (unsigned long long) evaluation->left_out,
						   unlabelled)));
	else
		ereport(NOTICE,
				(errmsg("versions %d and %d of model \"%s\" are compared on %llu labelled rows",
						evaluation->version->version,
						evaluation->rival->version, evaluation->row->name,
						(unsigned long long) evaluation->measured),
				 errdetail("Rows that only one of them was trained on flatter it.%s",
						   unlabelled)));
}

/*
 * An order of rows for qsort, which can be cancelled.
 */
static int
compare_pairs(const void *left, const void *right)
{
	const ChurnScoredPair *a = left;
	const ChurnScoredPair *b = right;

	CHECK_FOR_INTERRUPTS();
	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	if (a->second != b->second)
		return a->second < b->second ? -1 : 1;
	return (int) a->churned - (int) b->churned;
}

/*
 * Compares the versions by all metrics, on the same resamples.  The rows are
 * sorted, so that it means nothing in which order they came.
 */
static void
compare(ChurnEvaluation *evaluation, int resamples, ChurnPaired *result)
{
	ChurnArena	arena = churn_memory_arena(evaluation->context);
	ChurnPairedBootstrap bootstrap;
	ChurnError	error;
	double		first[NCOMPARED];
	double		second[NCOMPARED];
	double	   *differences;
	size_t		metric;
	int			i;

	qsort(evaluation->pairs, evaluation->nrows, sizeof(ChurnScoredPair),
		  compare_pairs);
	if (!churn_paired_init(&bootstrap, evaluation->pairs, evaluation->nrows,
						   CHURN_EVALUATION_SEED, poll_interrupts, &arena,
						   &error))
		churn_throw(&error, "paired bootstrap");
	for (metric = 0; metric < NCOMPARED; metric++)
	{
		first[metric] = compared[metric].function(bootstrap.first.sample,
												  bootstrap.first.nsample);
		second[metric] = compared[metric].function(bootstrap.second.sample,
												   bootstrap.second.nsample);
	}
	differences = palloc(sizeof(double) * NCOMPARED * resamples);
	for (i = 0; i < resamples; i++)
	{
		CHECK_FOR_INTERRUPTS();
		churn_paired_draw(&bootstrap);
		for (metric = 0; metric < NCOMPARED; metric++)
			differences[metric * resamples + i] =
				churn_paired_difference(&bootstrap, compared[metric].function);
	}
	for (metric = 0; metric < NCOMPARED; metric++)
		result[metric] = churn_paired_result(first[metric], second[metric],
											 &differences[metric * resamples],
											 resamples);
}

/*
 * How probable a difference like this is where the challenger is no better:
 * the share of resamples in which it is not, one added to both counts, so that
 * it is never 0 (Davison and Hinkley, "Bootstrap methods and their
 * application", 1997, section 4.2).  NaN where nothing could be measured.
 */
static double
p_value(const ChurnPaired *paired, bool larger_is_better)
{
	double		used = (double) paired->interval.used;
	double		better = larger_is_better ? paired->larger : paired->smaller;

	if (used == 0)
		return NAN;
	return (1 + rint(used * (1 - better))) / (1 + used);
}

/*
 * Returns a row a metric.
 */
static void
return_metrics(FunctionCallInfo fcinfo, const ChurnEvaluation *evaluation,
			   const ChurnPaired *result)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	size_t		i;

	for (i = 0; i < NCOMPARED; i++)
	{
		const ChurnPaired *paired = &result[i];
		Datum		columns[RESULT_COLUMNS];
		bool		nulls[RESULT_COLUMNS] = {false};

		columns[0] = CStringGetTextDatum(compared[i].name);
		churn_result_number(paired->second, &columns[1], &nulls[1]);
		churn_result_number(paired->first, &columns[2], &nulls[2]);
		churn_result_number(paired->difference, &columns[3], &nulls[3]);
		churn_result_number(paired->interval.low, &columns[4], &nulls[4]);
		churn_result_number(paired->interval.high, &columns[5], &nulls[5]);
		churn_result_number(p_value(paired, compared[i].larger_is_better), &columns[6],
							&nulls[6]);
		columns[7] = Int64GetDatum((int64) evaluation->measured);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, columns,
							 nulls);
	}
}

/*
 * churn_compare(model text, challenger int, champion int, source text,
 *				 resamples int, part text)
 *		-> TABLE (metric, champion, challenger, difference, ci_low, ci_high,
 *				  p_value, n)
 *
 * Scores the labelled rows of the source by two versions and compares them.
 */
Datum
churn_compare(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "churn compare",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	Comparison	comparison = {{0}};
	ChurnEvaluation *evaluation = &comparison.evaluation;
	ChurnPaired result[NCOMPARED];
	int			resamples = 0;

	if (PG_ARGISNULL(ARG_MODEL) || PG_ARGISNULL(ARG_CHALLENGER))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("model and challenger must not be null")));
	if (!PG_ARGISNULL(ARG_RESAMPLES))
	{
		resamples = PG_GETARG_INT32(ARG_RESAMPLES);
		churn_evaluation_check_resamples(resamples, false);
	}
	InitMaterializedSRF(fcinfo, 0);
	old = MemoryContextSwitchTo(context);
	evaluation->context = context;
	evaluation->source = churn_argument_text(fcinfo, ARG_SOURCE);
	find_versions(&comparison, churn_argument_text(fcinfo, ARG_MODEL),
				  churn_argument_version(fcinfo, ARG_CHALLENGER),
				  churn_argument_version(fcinfo, ARG_CHAMPION));
	share_test_part(&comparison);
	choose_part(&comparison, churn_argument_text(fcinfo, ARG_PART));
	churn_evaluation_read(evaluation);
	churn_evaluation_check_rows(evaluation);
	tell_rows(&comparison);
	if (resamples == 0)
		resamples = (int) churn_bootstrap_resamples(evaluation->measured);
	compare(evaluation, resamples, result);
	return_metrics(fcinfo, evaluation, result);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	PG_RETURN_VOID();
}
