/*
 * churn/cbpe.h
 *		Quality of scores that nobody knows the outcomes of yet.
 *
 * Confidence-based performance estimation: a customer of score p churns with
 * probability p, if scores are calibrated, and so counts as p of a churned row
 * and 1 - p of a stayed one.  What is computed is the metric of these expected
 * counts.  Rows are those of churn/metrics.h, sorted by falling score, of 0..1;
 * what happened to them is not looked at, only how many there are.
 */
#ifndef CHURN_CBPE_H
#define CHURN_CBPE_H

#include "churn/metrics.h"

/* Expected counts at a threshold; they add up to the rows. */
typedef struct ChurnExpectedConfusion
{
	double		tp,
				fp,
				fn,
				tn;
} ChurnExpectedConfusion;

/* NaN unless some rows may have churned and some may have stayed. */
extern double churn_cbpe_pr_auc(const ChurnScored *rows, size_t n);
extern double churn_cbpe_roc_auc(const ChurnScored *rows, size_t n);

/* Expected values, exactly; NaN without rows. */
extern double churn_cbpe_log_loss(const ChurnScored *rows, size_t n);
extern double churn_cbpe_brier(const ChurnScored *rows, size_t n);
extern double churn_cbpe_base_rate(const ChurnScored *rows, size_t n);

/* What a row of that score is expected to add to the sum of log loss. */
extern double churn_cbpe_log_loss_term(double score);

/* Counts at a threshold, and the ratios (0 where the divisor is 0). */
extern ChurnExpectedConfusion churn_cbpe_confusion(const ChurnScored *rows,
												   size_t n, double threshold);
extern double churn_cbpe_precision(ChurnExpectedConfusion confusion);
extern double churn_cbpe_recall(ChurnExpectedConfusion confusion);
extern double churn_cbpe_f1(ChurnExpectedConfusion confusion);
extern double churn_cbpe_accuracy(ChurnExpectedConfusion confusion);

#endif							/* CHURN_CBPE_H */
