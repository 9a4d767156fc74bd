/*
 * evaluate.h
 *		How good a model is on rows that it was not trained on.
 */
#ifndef CHURN_EVALUATE_H
#define CHURN_EVALUATE_H

#include "scorer.h"
#include "table.h"

typedef struct ChurnMetric
{
	const char *dataset;
	const char *name;
	double		value;
	size_t		n;				/* rows it was measured on */
} ChurnMetric;

#define CHURN_MAX_METRICS	16

typedef struct ChurnQuality
{
	double		threshold;		/* maximum F1 on the validation part */
	ChurnMetric metrics[CHURN_MAX_METRICS];
	size_t		nmetrics;
	double		champion_pr_auc;	/* on the test part; NaN if not known */
} ChurnQuality;

extern void churn_evaluate(ChurnScorer *scorer, const ChurnTable *table,
						   ChurnQuality *quality);

#endif							/* CHURN_EVALUATE_H */
