/*
 * select.h
 *		Choosing a model among candidates.
 */
#ifndef CHURN_SELECT_H
#define CHURN_SELECT_H

#include "plan.h"
#include "trial.h"

typedef struct ChurnSelection
{
	ChurnPlan	plan;
	ChurnCourse course;
	ChurnTrial	trials[CHURN_MAX_CANDIDATES + 1];	/* the last may be a blend */
	int			ntrials;
	int			order[CHURN_MAX_CANDIDATES + 1];	/* from best to worst */
	int			winner;
	bool		truncated;		/* the clock cut it short */
	ChurnFit   *fit;			/* of the winner, if it needs no other */
} ChurnSelection;

/* Runs the plan and chooses. */
extern void churn_select(ChurnSelection *selection,
						 const ChurnSettings *settings,
						 const ChurnTable *table);

/* Adds a blend of the best different learners, if there are two; blend.c. */
extern void churn_blend_add(ChurnSelection *selection);

/* Ranks the trials, names the winner and says why; choose_winner.c. */
extern void churn_selection_judge(ChurnSelection *selection);

/* Rows of the first repetition that a trial has margins of, and these. */
extern size_t churn_selection_margins(const ChurnSelection *selection,
									  const ChurnTrial *trial, float *margins,
									  uint8_t *labels, uint8_t *folds);

#endif							/* CHURN_SELECT_H */
