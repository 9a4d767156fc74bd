/*
 * churn/concept.h
 *		Whether customers still behave as a model has learned: tests of what
 *		happened against the scores, and against quality at training.
 *
 * Rows are those of churn/metrics.h, sorted by falling score.
 */
#ifndef CHURN_CONCEPT_H
#define CHURN_CONCEPT_H

#include "churn/metrics.h"

/* The rows that the version was tested on, as far as is known of them. */
typedef struct ChurnReference
{
	double		pr_auc;			/* NaN if not known */
	double		roc_auc;
	double		positives;		/* rows that churned; 0 if not known */
	double		negatives;
} ChurnReference;

typedef struct ChurnConceptTest
{
	double		value;			/* NaN: the test cannot be made */
	double		threshold;		/* drifted if value (or its size) is as large */
	double		p_value;
	bool		drifted;
} ChurnConceptTest;

/*
 * Spiegelhalter's z ("Probabilistic prediction in patient management and
 * clinical trials", Statistics in medicine 5, 1986): standard normal if scores
 * (0..1) are calibrated.  NaN if no score is other than 0, 1/2 and 1.
 */
extern double churn_concept_spiegelhalter(const ChurnScored *rows, size_t n);

/* ROC-AUC and the two parts of its variance, each of one row of a class. */
typedef struct ChurnDeLong
{
	double		auc;			/* NaN unless both classes occur */
	double		positives;
	double		negatives;
	double		var_positive;	/* NaN with fewer than two rows of the class */
	double		var_negative;
} ChurnDeLong;

/*
 * DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more
 * correlated receiver operating characteristic curves" (Biometrics 44, 1988):
 * the variance of the AUC is var_positive / positives + var_negative /
 * negatives.
 */
extern ChurnDeLong churn_concept_delong(const ChurnScored *rows, size_t n);

/*
 * The three tests, at a level (two-sided the first, one-sided the others).  All
 * count the reference's own sampling error in, as if its rows were like those
 * at hand: what it could not have shown itself is no drift.
 */
extern ChurnConceptTest churn_concept_calibration(const ChurnScored *rows,
												  size_t n,
												  const ChurnReference *reference,
												  double level);
extern ChurnConceptTest churn_concept_roc_auc(const ChurnScored *rows,
											  size_t n,
											  const ChurnReference *reference,
											  double level);

/*
 * spread is the standard deviation of the PR-AUC's logit over resamples of the
 * rows, churn_concept_logit() of each.
 */
extern ChurnConceptTest churn_concept_pr_auc(const ChurnScored *rows,
											 size_t n,
											 const ChurnReference *reference,
											 double spread, double level);
extern double churn_concept_logit(double share);

/* The standard deviation of values, NaN among them left out; NaN below two. */
extern double churn_concept_spread(const double *values, size_t n);

/* The z that has an upper tail (churn_normal_tail()). */
extern double churn_concept_quantile(double tail);

#endif							/* CHURN_CONCEPT_H */
