/*
 * churn/bootstrap.h
 *		How far a metric might lie from what other customers would show.
 */
#ifndef CHURN_BOOTSTRAP_H
#define CHURN_BOOTSTRAP_H

#include "churn/metrics.h"

/*
 * Resamples of rows: as many rows, drawn with replacement.  Stratified, as
 * many of each class; else the share that churned varies as well.
 */
typedef struct ChurnBootstrap
{
	ChurnScored *sample;		/* the resample drawn last, sorted */
	size_t		nsample;
	const ChurnScored *rows;	/* all other fields are the bootstrap's own */
	size_t		n;
	uint64_t	positives;
	uint64_t	negatives;
	bool		stratified;
	uint16_t   *draws;			/* of each row: positives, then negatives */
	uint64_t	random;
} ChurnBootstrap;

/* Where the middle of the resampled values lies. */
typedef struct ChurnInterval
{
	double		low;			/* NaN if the metric is never defined */
	double		high;
	size_t		used;			/* resamples in which it is defined */
} ChurnInterval;

#define CHURN_BOOTSTRAP_LEVEL	0.95

/*
 * Prepares to resample sorted rows, which must stay; merged ones (see
 * churn_metrics_merge) are faster.  Memory: 2 bytes a row, 16 an entry.  False
 * with *error set if memory is out or there are 2^32 rows or more.
 */
extern bool churn_bootstrap_init(ChurnBootstrap *bootstrap,
								 const ChurnScored *rows, size_t n,
								 bool stratified, uint64_t seed,
								 ChurnArena *arena, ChurnError *error);

/* Draws the next resample; what is drawn depends on rows and seed alone. */
extern void churn_bootstrap_draw(ChurnBootstrap *bootstrap);

/*
 * The parametric bootstrap: keeps the rows and draws what happened to them, each
 * churning with the probability that is its score (0..1), whatever happened in
 * truth.
 */
extern void churn_bootstrap_outcomes(ChurnBootstrap *bootstrap);

/*
 * Resamples that are worth their time: 1,000 up to 20,000 rows, beyond that
 * 20 million rows in all, but at least 100 resamples.
 */
extern size_t churn_bootstrap_resamples(uint64_t rows);

/*
 * The percentile interval that holds the share level of the values, which are
 * sorted; NaN among them are left out.
 */
extern ChurnInterval churn_bootstrap_interval(double *values, size_t n,
											  double level);

/* A row with the scores of two models. */
typedef struct ChurnScoredPair
{
	double		first;
	double		second;
	uint8_t		churned;		/* 0 or 1 */
} ChurnScoredPair;

typedef struct ChurnPaired
{
	double		first;			/* the metric of each score, on all rows */
	double		second;
	double		difference;		/* first - second */
	ChurnInterval interval;		/* of the difference */
	double		larger;			/* share of resamples where first > second */
	double		smaller;		/* where first < second */
} ChurnPaired;

/* One of two scores: a group for each value, and which one a row is in. */
typedef struct ChurnPairedSide
{
	ChurnScored *sample;		/* sorted; counts are of the rows drawn */
	size_t		nsample;
	uint32_t   *group;
} ChurnPairedSide;

/*
 * Resamples of rows with two scores: both are measured on the same rows, so
 * that what is common to both cancels out.
 */
typedef struct ChurnPairedBootstrap
{
	ChurnPairedSide first;		/* of the resample drawn last */
	ChurnPairedSide second;
	const ChurnScoredPair *rows;	/* all other fields are its own */
	size_t		n;
	uint16_t   *draws;
	uint64_t	random;
} ChurnPairedBootstrap;

/*
 * Prepares to resample rows, in any order, which must stay; until the first
 * draw the samples are the rows themselves.  poll as in
 * churn_metrics_sort_poll().  Memory: 42 bytes a row.
 */
extern bool churn_paired_init(ChurnPairedBootstrap *bootstrap,
							  const ChurnScoredPair *rows, size_t n,
							  uint64_t seed, void (*poll) (void),
							  ChurnArena *arena, ChurnError *error);

/* Draws the next resample; what is drawn depends on n and seed alone. */
extern void churn_paired_draw(ChurnPairedBootstrap *bootstrap);

/* first - second of a metric on the resample drawn last. */
extern double churn_paired_difference(const ChurnPairedBootstrap *bootstrap,
									  ChurnMetricFunction metric);

/* What n differences, which are sorted, say of a metric of all rows. */
extern ChurnPaired churn_paired_result(double first, double second,
									   double *differences, size_t n);

#endif							/* CHURN_BOOTSTRAP_H */
