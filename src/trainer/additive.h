/*
 * additive.h
 *		Additive models in the making: logistic regressions and scorecards.
 */
#ifndef CHURN_TRAINER_ADDITIVE_H
#define CHURN_TRAINER_ADDITIVE_H

#include "learner.h"
#include "lesson.h"

/* A model of so many effects of kind NONE, made in an arena. */
extern ChurnAdditive *churn_additive_create(ChurnArena *arena,
											uint32_t nfeatures);

/*
 * Sets the mean of each effect over the rows of a lesson, and each feature's
 * share: the mean distance of its effect from that mean, as a part of the sum
 * over all features.
 */
extern void churn_additive_weigh(ChurnAdditive *additive,
								 const ChurnLesson *lesson, double *shares);

/* Margins of rows first .. first + count of a table. */
extern void churn_additive_predict(const ChurnAdditive *additive,
								   const ChurnTable *table, size_t first,
								   size_t count, float *margins);

/* Calls the checkpoint, if there is one, with the margins of all rows. */
extern void churn_additive_checkpoint(const ChurnAdditive *additive,
									  const ChurnSample *sample,
									  const ChurnFitControl *control);

/* A copy made in an arena. */
extern ChurnAdditive *churn_keep_additive(const ChurnAdditive *additive,
										  ChurnArena *arena);

#endif							/* CHURN_TRAINER_ADDITIVE_H */
