/*
 * evaluate.h
 *		How good a model is on rows that it was not trained on.
 */
#ifndef CHURN_EVALUATE_H
#define CHURN_EVALUATE_H

#include "finish.h"

typedef struct ChurnMetric
{
	const char *dataset;		/* "cv", "validation" or "test" */
	const char *candidate;		/* "" for the model itself */
	const char *name;
	double		value;
	double		spread;			/* over folds; NaN if there are none */
	const ChurnFoldScore *folds;	/* with nfolds values at offset; or NULL */
	size_t		offset;
	int			nfolds;
	size_t		n;				/* rows it was measured on */
} ChurnMetric;

#define CHURN_MAX_METRICS	(3 * CHURN_MAX_CANDIDATES + 32)

typedef struct ChurnQuality
{
	ChurnMetric metrics[CHURN_MAX_METRICS];
	size_t		nmetrics;
	double		champion_pr_auc;	/* on the test part; NaN if not known */
} ChurnQuality;

/* Measures the candidates by what their folds told. */
extern void churn_evaluate_candidates(ChurnQuality *quality,
									  const ChurnSelection *selection);

/*
 * Measures a model by its held out rows, if there were no folds, and by the
 * test part; candidate is "" for the model that won.
 */
extern void churn_evaluate(ChurnQuality *quality,
						   const ChurnFinished *finished,
						   const ChurnSelection *selection,
						   const ChurnTable *table, const char *candidate);

#endif							/* CHURN_EVALUATE_H */
