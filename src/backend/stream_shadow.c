/*
 * stream_shadow.c
 *		The challenger of a model, which scores in the champion's shadow.
 *
 * It scores the rows that the champion has scored, if they come of changes, and
 * its scores go nowhere but into the log, with those of the champion.  Whatever
 * is wrong with it is its own affair: everything here happens in
 * subtransactions, and ends with a row in churn.errors at most.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "attempt.h"
#include "compat.h"
#include "score.h"
#include "stream_errors.h"
#include "stream_shadow.h"

/* What load() works on. */
typedef struct Loading
{
	ChurnWatchSet *set;
	ChurnWatchedModel *model;
} Loading;

/* What score_some() works on. */
typedef struct Scoring
{
	ChurnChallenger *challenger;
	const ChurnOutcome *outcomes;
	int			first;			/* those to be scored */
	int			last;			/* and not this one any more */
	bool		preparing;		/* an error is the version's, not the row's */
	ChurnShadow *shadow;
} Scoring;

/*
 * Reports what went wrong with a challenger; of a row, or as such, which is
 * said once.
 */
static void
report(const ChurnWatchedModel *model, const ChurnOutcome *outcome,
	   ErrorData *error)
{
	error->message = psprintf("challenger, version %d: %s", model->challenger,
							  error->message != NULL ? error->message :
							  "unknown error");
	if (outcome != NULL)
		churn_stream_error_row("row", model->name, model->source_relation,
							   outcome->key, outcome->lsn, error);
	else if (!churn_stream_error_is_known("model", model->name,
										  model->source_relation,
										  error->message))
		churn_stream_error_row("model", model->name, model->source_relation,
							   NULL, InvalidXLogRecPtr, error);
}

/*
 * Loads a challenger; for churn_attempt().
 */
static void
load(void *arg)
{
	Loading    *loading = arg;
	ChurnWatchedModel *model = loading->model;
	MemoryContext context = loading->set->context;
	ChurnChallenger *challenger = MemoryContextAllocZero(context,
														 sizeof(ChurnChallenger));
	const ChurnModel *compiled;

	challenger->version = churn_registry_resolve(model->name,
												 model->challenger, InvalidOid,
												 GetActiveSnapshot(), context);
	compiled = challenger->version->model;
	challenger->features = MemoryContextAlloc(context, sizeof(float) *
											  Max(compiled->nfeatures, 1));
	challenger->workspace =
		MemoryContextAlloc(context, 32 +
						   churn_predictor_workspace(challenger->version->predictor));
	challenger->workspace = (void *) TYPEALIGN(32, challenger->workspace);
	model->shadow = challenger;
}

/*
 * Loads the challenger of a model; see stream_shadow.h.
 */
void
churn_shadow_load(ChurnWatchSet *set, ChurnWatchedModel *model, bool reports)
{
	Loading		loading = {set, model};
	ErrorData  *error = churn_attempt(load, &loading);

	if (error != NULL && reports)
		report(model, NULL, error);
}

/*
 * Scores a row.
 */
static void
score_row(Scoring *scoring, int place)
{
	const ChurnOutcome *outcome = &scoring->outcomes[place];
	ChurnReading *reading = outcome->reading;
	ChurnChallenger *challenger = scoring->challenger;
	ChurnVersion *version = challenger->version;
	Size		nfeatures = version->model->nfeatures;
	HeapTupleData tuple;
	float		margin;

	tuple.t_len = outcome->row_length;
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = outcome->row;
	heap_deform_tuple(&tuple, reading->desc, reading->values, reading->nulls);
	scoring->preparing = true;
	if (reading->shadow_map == NULL)
		reading->shadow_map = churn_row_map(version->model, version->name,
											reading->desc,
											GetMemoryChunkContext(reading->values));
	scoring->preparing = false;
	reading->shadow_map->as_of_day = churn_statement_day();
	churn_row_encode(reading->shadow_map, reading->values, reading->nulls,
					 challenger->features);
	margin = churn_predictor_margin(version->predictor, challenger->features,
									challenger->workspace);
	memcpy(scoring->shadow->features + place * nfeatures,
		   challenger->features, sizeof(float) * nfeatures);
	scoring->shadow->scores[place] = churn_score_of_margin(version, margin);
}

/*
 * Scores rows; for churn_attempt().
 */
static void
score_some(void *arg)
{
	Scoring    *scoring = arg;
	int			i;

	for (i = scoring->first; i < scoring->last; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!scoring->outcomes[i].gone)
			score_row(scoring, i);
	}
}

/*
 * Scores the rows one by one, since together they failed.
 */
static void
score_one_by_one(ChurnWatchedModel *model, Scoring *scoring, int n)
{
	ErrorData  *error;
	int			i;

	for (i = 0; i < n; i++)
	{
		scoring->first = i;
		scoring->last = i + 1;
		error = churn_attempt(score_some, scoring);
		if (error == NULL)
			continue;
		scoring->shadow->scores[i] = NAN;
		model->shadow->failed = scoring->preparing;
		report(model, scoring->preparing ? NULL : &scoring->outcomes[i],
			   error);
		if (scoring->preparing)
			return;
	}
}

/*
 * Scores rows by the challenger; see stream_shadow.h.
 */
ChurnShadow *
churn_shadow_score(ChurnWatchedModel *model, const ChurnOutcome *outcomes,
				   int n)
{
	Scoring		scoring = {model->shadow, outcomes, 0, n};
	ChurnShadow *shadow;
	int			i;

	/* what comes of a rescan is none of its business */
	if (model->shadow == NULL || model->shadow->failed ||
		churn_log_retention == 0 || XLogRecPtrIsInvalid(outcomes[0].lsn))
		return NULL;
	shadow = palloc(sizeof(ChurnShadow));
	shadow->version = model->shadow->version;
	shadow->scores = palloc(sizeof(double) * n);
	shadow->features = palloc(sizeof(float) * n *
							  Max(shadow->version->model->nfeatures, 1));
	for (i = 0; i < n; i++)
		shadow->scores[i] = NAN;
	scoring.shadow = shadow;
	if (churn_attempt(score_some, &scoring) != NULL)
		score_one_by_one(model, &scoring, n);
	return shadow;
}
