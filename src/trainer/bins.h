/*
 * bins.h
 *		A feature cut into few bins, as scorecards want it.
 *
 * Each feature is first cut finely into groups: numbers by quantiles, at
 * values of few digits, categories one a group.  Neighbouring groups are then
 * merged into the bins that tell best what a model does not know yet.
 */
#ifndef CHURN_BINS_H
#define CHURN_BINS_H

#include "lesson.h"

/* Most groups of a number. */
#define CHURN_MAX_GROUPS	64

/* The groups of a feature. */
typedef struct ChurnGroups
{
	uint32_t	ngroups;		/* the group of missing values comes after */
	float	   *cuts;			/* of a number; ngroups - 1 */
	uint16_t   *rows;			/* each row's group */
} ChurnGroups;

/* The bins made of them. */
typedef struct ChurnBinning
{
	uint32_t	nbins;			/* that of missing values comes after */
	uint16_t   *groups;			/* each group's bin, and that of missing */
	double		gain;			/* by how much twice the log likelihood should
								 * grow, less what that many bins would gain
								 * from noise */
} ChurnBinning;

extern void churn_groups_make(ChurnGroups *groups, const ChurnLesson *lesson,
							  uint32_t feature);
extern void churn_groups_free(ChurnGroups *groups);

/*
 * Merges groups into at most most bins.  Gradients and hessians are those of
 * the log loss by the margin of each row, times its weight.
 */
extern void churn_binning_make(ChurnBinning *binning,
							   const ChurnGroups *groups,
							   const ChurnLesson *lesson, uint32_t feature,
							   const float *gradients, const float *hessians,
							   uint32_t most);
extern void churn_binning_free(ChurnBinning *binning);

#endif							/* CHURN_BINS_H */
