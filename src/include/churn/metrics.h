/*
 * churn/metrics.h
 *		Quality of scores against what happened, as scikit-learn defines it.
 */
#ifndef CHURN_METRICS_H
#define CHURN_METRICS_H

#include "churn/arena.h"

typedef struct ChurnScored
{
	float		score;			/* 0..1 */
	uint8_t		churned;		/* 0 or 1 */
} ChurnScored;

typedef struct ChurnConfusion
{
	uint64_t	tp,
				fp,
				fn,
				tn;
} ChurnConfusion;

/* Sorts rows by falling score; the functions below want that order. */
extern void churn_metrics_sort(ChurnScored *rows, size_t n);

/* average_precision_score, roc_auc_score; NaN unless both classes occur. */
extern double churn_metrics_pr_auc(const ChurnScored *rows, size_t n);
extern double churn_metrics_roc_auc(const ChurnScored *rows, size_t n);

/* log_loss (scores clipped to float32's eps), brier_score_loss. */
extern double churn_metrics_log_loss(const ChurnScored *rows, size_t n);
extern double churn_metrics_brier(const ChurnScored *rows, size_t n);

/* The smallest observed score that maximises F1 when scores >= it churn. */
extern double churn_metrics_best_f1(const ChurnScored *rows, size_t n,
									double *f1);

/* Counts at a threshold, and the ratios (0 where the divisor is 0). */
extern ChurnConfusion churn_metrics_confusion(const ChurnScored *rows,
											  size_t n, double threshold);
extern double churn_metrics_precision(ChurnConfusion confusion);
extern double churn_metrics_recall(ChurnConfusion confusion);
extern double churn_metrics_f1(ChurnConfusion confusion);

#endif							/* CHURN_METRICS_H */
