/*
 * stack.h
 *		Weights by which the margins of models are added up.
 */
#ifndef CHURN_STACK_H
#define CHURN_STACK_H

#include "trial.h"

typedef struct ChurnStack
{
	double		intercept;
	double		weights[CHURN_MAX_MEMBERS]; /* none below 0 */
} ChurnStack;

/*
 * Fits the weights of n models to the rows of a repetition's folds, less the
 * fold without, if that is not negative; inputs[i] are the margins of model i
 * by row.  The log loss of the sum is least among weights that are 0 or more.
 */
extern void churn_stack_fit(ChurnStack *stack, const ChurnCourse *course,
							int repeat, int without,
							const float *const *inputs, int n);

#endif							/* CHURN_STACK_H */
