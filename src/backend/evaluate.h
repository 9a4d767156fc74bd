/*
 * evaluate.h
 *		One call of churn_evaluate() or churn_compare().
 */
#ifndef CHURN_EVALUATE_H
#define CHURN_EVALUATE_H

#include "churn/bootstrap.h"

#include "registry.h"

/* Resamples depend on it alone, so that results are repeatable. */
#define CHURN_EVALUATION_SEED	42

/* Which rows of the source are measured. */
typedef enum ChurnEvaluatedPart
{
	CHURN_EVALUATE_DEFAULT,
	CHURN_EVALUATE_ALL,
	CHURN_EVALUATE_TEST
} ChurnEvaluatedPart;

/* What churn.model_versions says of the version. */
typedef struct ChurnVersionRecord
{
	char	   *origin;
	char	   *key;			/* NULL if there is none, as is each below */
	char	   *label;
	char	   *positive;
	double		test_fraction;
} ChurnVersionRecord;

/* One call, and all that it knows by and by. */
typedef struct ChurnEvaluation
{
	MemoryContext context;
	char	   *source;			/* NULL: the model's own */
	char	   *label;			/* NULL: the version's */
	char	   *positive;
	ChurnEvaluatedPart part;
	ChurnModelRow *row;
	ChurnVersion *version;
	ChurnVersionRecord record;
	ChurnVersion *rival;		/* scores the same rows; NULL if none does */

	/* what churn_evaluation_read() sets */
	bool		own;			/* the source is the model's own */
	bool		has_test_part;	/* rows of the version's test can be told */
	ChurnScored *rows;			/* in no order; NULL with a rival */
	ChurnScoredPair *pairs;		/* in no order, the rival's score second; NULL
								 * without one */
	uint64		nrows;			/* entries of either */
	uint64		room;
	uint64		measured;		/* labelled rows of the part */
	uint64		left_out;		/* labelled rows of other parts */
	uint64		unlabelled;
} ChurnEvaluation;

/* Reads what churn.model_versions says of a version. */
extern void churn_evaluation_record(const char *model, int version,
									ChurnVersionRecord *record);

/* Whether the test part of a version's data can be told by its key. */
extern bool churn_evaluation_has_test_part(const ChurnVersionRecord *record);

/* The part of that name; NULL is the default, anything unknown an error. */
extern ChurnEvaluatedPart churn_evaluation_part(const char *name);

/* Complains of a number of resamples that there cannot be. */
extern void churn_evaluation_check_resamples(int resamples, bool none_allowed);

/* Complains if there is nothing to measure. */
extern void churn_evaluation_check_rows(const ChurnEvaluation *evaluation);

/*
 * Reads the source and scores its labelled rows; decides about the part if it
 * is the default.
 */
extern void churn_evaluation_read(ChurnEvaluation *evaluation);

/* Sorts the rows and merges those of equal score, until cancelled. */
extern void churn_evaluation_merge(ChurnEvaluation *evaluation);

#endif							/* CHURN_EVALUATE_H */
