/*
 * evaluate.h
 *		One call of churn_evaluate().
 */
#ifndef CHURN_EVALUATE_H
#define CHURN_EVALUATE_H

#include "churn/metrics.h"

#include "registry.h"

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

	/* what churn_evaluation_read() sets */
	bool		own;			/* the source is the model's own */
	bool		has_test_part;	/* rows of the version's test can be told */
	ChurnScored *rows;			/* in no order */
	uint64		nrows;			/* entries of it */
	uint64		room;
	uint64		measured;		/* labelled rows of the part */
	uint64		left_out;		/* labelled rows of other parts */
	uint64		unlabelled;
} ChurnEvaluation;

/*
 * Reads the source and scores its labelled rows; decides about the part if it
 * is the default.
 */
extern void churn_evaluation_read(ChurnEvaluation *evaluation);

/* Sorts the rows and merges those of equal score, until cancelled. */
extern void churn_evaluation_merge(ChurnEvaluation *evaluation);

#endif							/* CHURN_EVALUATE_H */
