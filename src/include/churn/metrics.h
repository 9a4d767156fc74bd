/*
 * churn/metrics.h
 *		Quality of scores against what happened, as scikit-learn defines it.
 */
#ifndef CHURN_METRICS_H
#define CHURN_METRICS_H

#include "churn/arena.h"

/* Rows of one score, counted by what happened; one row is counts 1 and 0. */
typedef struct ChurnScored
{
	double		score;			/* not NaN */
	uint32_t	positives;		/* rows that churned */
	uint32_t	negatives;		/* rows that did not */
} ChurnScored;

typedef struct ChurnConfusion
{
	uint64_t	tp,
				fp,
				fn,
				tn;
} ChurnConfusion;

/* A metric of sorted rows. */
typedef double (*ChurnMetricFunction) (const ChurnScored *rows, size_t n);

/* One row. */
static inline ChurnScored
churn_scored(double score, bool churned)
{
	ChurnScored row = {score, churned ? 1 : 0, churned ? 0 : 1};

	return row;
}

/*
 * Sorts rows by falling score; the functions below want that order.  poll,
 * where it is not NULL, is called every now and then; it need not return.
 */
extern void churn_metrics_sort(ChurnScored *rows, size_t n);
extern void churn_metrics_sort_poll(ChurnScored *rows, size_t n,
									void (*poll) (void));

/* Merges neighbours of equal score in place; returns how many are left. */
extern size_t churn_metrics_merge(ChurnScored *rows, size_t n);

/* average_precision_score, roc_auc_score; NaN unless both classes occur. */
extern double churn_metrics_pr_auc(const ChurnScored *rows, size_t n);
extern double churn_metrics_roc_auc(const ChurnScored *rows, size_t n);

/* log_loss (scores clipped to double's eps), brier_score_loss, of 0..1. */
extern double churn_metrics_log_loss(const ChurnScored *rows, size_t n);
extern double churn_metrics_brier(const ChurnScored *rows, size_t n);

/*
 * Expected calibration error of scores 0..1 over bins of equal width, and
 * over the usual CHURN_ECE_BINS of them.
 */
#define CHURN_ECE_BINS	10
extern double churn_metrics_calibration_error(const ChurnScored *rows,
											  size_t n, unsigned bins);
extern double churn_metrics_ece(const ChurnScored *rows, size_t n);

/* What a row adds to the sum of log loss; the bin of a score, from 0. */
extern double churn_metrics_log_loss_term(double score, bool churned);
extern unsigned churn_metrics_bin(double score, unsigned bins);

/*
 * How many times as often the top fraction (0..1] of the rows churns as all of
 * them; rows of one score at the cut count by their share.  NaN if none does.
 */
extern double churn_metrics_lift(const ChurnScored *rows, size_t n,
								 double fraction);

/* The share of rows that churned. */
extern double churn_metrics_base_rate(const ChurnScored *rows, size_t n);

/*
 * Thresholds, for decisions "churns if score >= threshold": the smallest
 * observed score that maximises F1; the one that costs least, where a missed
 * churner and an offer have their costs; the one that reaches the best top
 * rows, with all that tie with the last of them.  Where no offer pays, or top
 * is 0, it is just above the highest score.  NaN without rows.
 */
extern double churn_metrics_best_f1(const ChurnScored *rows, size_t n,
									double *f1);
extern double churn_metrics_best_cost(const ChurnScored *rows, size_t n,
									  double cost_missed, double cost_offer,
									  double *cost);
extern double churn_metrics_capacity(const ChurnScored *rows, size_t n,
									 uint64_t top);

/* Counts at a threshold, and the ratios (0 where the divisor is 0). */
extern ChurnConfusion churn_metrics_confusion(const ChurnScored *rows,
											  size_t n, double threshold);
extern double churn_metrics_precision(ChurnConfusion confusion);
extern double churn_metrics_recall(ChurnConfusion confusion);
extern double churn_metrics_f1(ChurnConfusion confusion);
extern double churn_metrics_accuracy(ChurnConfusion confusion);

#endif							/* CHURN_METRICS_H */
