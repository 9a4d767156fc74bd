/*
 * stack.c
 *		Weights by which the margins of models are added up.
 *
 * A logistic regression of a few inputs, by Newton's method with a little
 * ridge, since the margins of good models are nearly the same.  Inputs whose
 * weight comes out negative, or next to nothing, leave, the least one first.
 */
#include "stack.h"

#include <math.h>
#include <string.h>

#define MAX_TERMS		(CHURN_MAX_MEMBERS + 1)
#define MAX_STEPS		50
#define RIDGE			1e-3	/* on each weight, of the sum over rows */
#define LEAST_WEIGHT	0.03	/* less is not worth another model */

/* The regression while it is solved; term 0 is the intercept. */
typedef struct Newton
{
	int			nterms;
	int			model[MAX_TERMS];	/* of each term but the first */
	double		beta[MAX_TERMS];
	double		gradient[MAX_TERMS];
	double		hessian[MAX_TERMS][MAX_TERMS];
} Newton;

/*
 * Solves hessian * step = gradient by Cholesky's decomposition.  The matrix is
 * positive definite by its ridge.
 */
static void
solve(Newton *newton, double *step)
{
	double		(*a)[MAX_TERMS] = newton->hessian;
	int			n = newton->nterms;
	int			i;
	int			j;
	int			k;

	for (i = 0; i < n; i++)
	{
		for (j = 0; j <= i; j++)
		{
			double		sum = a[i][j];

			for (k = 0; k < j; k++)
				sum -= a[i][k] * a[j][k];
			a[i][j] = i == j ? sqrt(sum) : sum / a[j][j];
		}
	}
	for (i = 0; i < n; i++)
	{
		step[i] = newton->gradient[i];
		for (k = 0; k < i; k++)
			step[i] -= a[i][k] * step[k];
		step[i] /= a[i][i];
	}
	for (i = n - 1; i >= 0; i--)
	{
		for (k = i + 1; k < n; k++)
			step[i] -= a[k][i] * step[k];
		step[i] /= a[i][i];
	}
}

/* Sums gradient and Hessian of the log loss over the rows. */
static void
accumulate(Newton *newton, const ChurnCourse *course, int repeat, int without,
		   const float *const *inputs)
{
	const ChurnFolds *folds = &course->folds;
	const uint8_t *labels = course->table->labels + folds->first;
	double		x[MAX_TERMS] = {1};
	size_t		row;
	int			i;
	int			j;

	memset(newton->gradient, 0, sizeof(newton->gradient));
	memset(newton->hessian, 0, sizeof(newton->hessian));
	for (row = 0; row < folds->n; row++)
	{
		int			fold = churn_fold_of(folds, repeat, row);
		double		z = 0;
		double		p;

		/* with one fold, the rows that are not held out have no margin */
		if (fold == without || fold >= folds->k)
			continue;
		for (i = 1; i < newton->nterms; i++)
			x[i] = inputs[newton->model[i]][row];
		for (i = 0; i < newton->nterms; i++)
			z += newton->beta[i] * x[i];
		p = 1 / (1 + exp(-z));
		for (i = 0; i < newton->nterms; i++)
		{
			newton->gradient[i] += (p - labels[row]) * x[i];
			for (j = 0; j <= i; j++)
				newton->hessian[i][j] += p * (1 - p) * x[i] * x[j];
		}
	}
	for (i = 0; i < newton->nterms; i++)
	{
		newton->gradient[i] += i > 0 ? RIDGE * newton->beta[i] : 0;
		newton->hessian[i][i] += RIDGE;
	}
}

/* Finds the weights of the terms that there are. */
static void
find_weights(Newton *newton, const ChurnCourse *course, int repeat,
			 int without, const float *const *inputs)
{
	double		step[MAX_TERMS];
	double		largest;
	int			steps;
	int			i;

	for (i = 0; i < newton->nterms; i++)
		newton->beta[i] = i == 0 ? 0 : 1.0 / (newton->nterms - 1);
	for (steps = 0; steps < MAX_STEPS; steps++)
	{
		accumulate(newton, course, repeat, without, inputs);
		solve(newton, step);
		largest = 0;
		for (i = 0; i < newton->nterms; i++)
			largest = fmax(largest, fabs(step[i]));
		/* margins far out make a Newton step too long at first */
		for (i = 0; i < newton->nterms; i++)
			newton->beta[i] -= largest > 1 ? step[i] / largest : step[i];
		if (largest < 1e-9)
			break;
	}
}

void
churn_stack_fit(ChurnStack *stack, const ChurnCourse *course, int repeat,
				int without, const float *const *inputs, int n)
{
	Newton		newton = {.nterms = n + 1};
	int			least;
	int			i;

	if (course->folds.k == 1)
		without = -1;
	for (i = 0; i < n; i++)
		newton.model[i + 1] = i;
	for (;;)
	{
		find_weights(&newton, course, repeat, without, inputs);
		least = 1;
		for (i = 2; i < newton.nterms; i++)
		{
			if (newton.beta[i] < newton.beta[least])
				least = i;
		}
		if (newton.beta[least] >= LEAST_WEIGHT || newton.nterms == 2)
			break;
		newton.nterms--;
		for (i = least; i < newton.nterms; i++)
			newton.model[i] = newton.model[i + 1];
	}
	memset(stack, 0, sizeof(*stack));
	stack->intercept = newton.beta[0];
	for (i = 1; i < newton.nterms; i++)
		stack->weights[newton.model[i]] = fmax(newton.beta[i], 0);
}
