/*
 * plan.h
 *		What is tried, and how thoroughly: fixed before anything is.
 *
 * A plan follows from the settings and the size of the data alone, so that the
 * same call always does the same, however fast the machine is.
 */
#ifndef CHURN_PLAN_H
#define CHURN_PLAN_H

#include "trial.h"

#define CHURN_MAX_CANDIDATES	32

typedef struct ChurnPlan
{
	ChurnCandidate candidates[CHURN_MAX_CANDIDATES];
	int			ncandidates;
	bool		search;			/* false: one candidate, nothing to choose */
	size_t		rows;			/* that candidates are compared on: the first
								 * so many behind the test part */
	int			k;				/* folds; 1 if the validation part is held out */
	int			first_folds;	/* that all candidates are tried on */
	int			repeats;		/* cross-validations of the last ones left */
	double		seconds;		/* that this should take */
} ChurnPlan;

/* Candidates of a learner that stay for all k folds. */
extern int	churn_plan_survivors(const ChurnLearner *learner);

extern void churn_plan_make(ChurnPlan *plan, const ChurnSettings *settings,
							const ChurnTable *table);

#endif							/* CHURN_PLAN_H */
