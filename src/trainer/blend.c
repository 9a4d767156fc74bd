/*
 * blend.c
 *		A blend of the best different learners.
 *
 * The margins of the members are weighted and added ("stacking", Wolpert,
 * Neural Networks 5, 1992), with weights that are not negative (Breiman,
 * "Stacked regressions", Machine Learning 24, 1996): a logistic regression on
 * the margins of held out rows.  So a blend is a weighted sum of margins, and
 * its explanations are the same sum of its members'.
 */
#include "select.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "memory.h"
#include "stack.h"

/* The best trial of each learner but the baseline, of all k folds. */
static int
find_members(const ChurnSelection *selection, int *members)
{
	int			n = 0;
	int			learner;
	int			i;

	for (learner = 0; churn_learners[learner] != NULL; learner++)
	{
		int			found = -1;

		for (i = 0; i < selection->ntrials; i++)
		{
			const ChurnTrial *trial = &selection->trials[i];

			if (trial->candidate.learner != churn_learners[learner] ||
				trial->candidate.learner == &churn_learner_rules ||
				trial->nfolds < selection->plan.k)
				continue;
			if (found < 0 || trial->nfolds > selection->trials[found].nfolds ||
				(trial->nfolds == selection->trials[found].nfolds &&
				 trial->mean.log_loss <
				 selection->trials[found].mean.log_loss))
				found = i;
		}
		if (found >= 0 && n < CHURN_MAX_MEMBERS)
			members[n++] = found;
	}
	return n;
}

/* Makes room for a blend's margins. */
static void
prepare_blend(ChurnTrial *blend, const ChurnFolds *folds, int nfolds)
{
	int			repeat;

	memset(blend, 0, sizeof(*blend));
	snprintf(blend->candidate.name, sizeof(blend->candidate.name), "blend");
	blend->nfolds = nfolds;
	blend->margins_size = folds->n * sizeof(float);
	blend->margins = churn_pages_alloc(blend->margins_size);
	for (repeat = 1; repeat * folds->k < nfolds; repeat++)
		blend->again[repeat] = churn_pages_alloc(folds->n * sizeof(float));
}

/*
 * Finds the blend's margins of the rows of one fold, by weights that the other
 * folds' rows call for, and measures them.
 */
static void
measure_fold(const ChurnSelection *selection, ChurnTrial *blend,
			 const int *members, int n, int number)
{
	const ChurnFolds *folds = &selection->course.folds;
	int			repeat = number / folds->k;
	float	   *margins = repeat == 0 ? blend->margins : blend->again[repeat];
	const float *inputs[CHURN_MAX_MEMBERS];
	ChurnStack	stack;
	size_t		row;
	int			i;

	for (i = 0; i < n; i++)
		inputs[i] = churn_trial_margins(&selection->trials[members[i]],
										&selection->course, repeat);
	churn_stack_fit(&stack, &selection->course, repeat, number % folds->k,
					inputs, n);
	for (row = 0; row < folds->n; row++)
	{
		double		sum = stack.intercept;

		if (churn_fold_of(folds, repeat, row) != number % folds->k)
			continue;
		for (i = 0; i < n; i++)
			sum += stack.weights[i] * inputs[i][row];
		margins[row] = (float) sum;
	}
	blend->scores[number] = churn_trial_measure(&selection->course, number,
												margins, 0);
}

void
churn_blend_add(ChurnSelection *selection)
{
	const ChurnFolds *folds = &selection->course.folds;
	ChurnTrial *blend = &selection->trials[selection->ntrials];
	const float *inputs[CHURN_MAX_MEMBERS];
	int			members[CHURN_MAX_MEMBERS];
	int			n = find_members(selection, members);
	int			nfolds = CHURN_MAX_FOLDS;
	ChurnStack	stack;
	int			i;

	if (n < 2)
		return;
	for (i = 0; i < n; i++)
	{
		const ChurnTrial *member = &selection->trials[members[i]];

		inputs[i] = churn_trial_margins(member, &selection->course, 0);
		if (member->nfolds < nfolds)
			nfolds = member->nfolds;
	}
	prepare_blend(blend, folds, nfolds);
	for (i = 0; i < nfolds; i++)
		measure_fold(selection, blend, members, n, i);
	churn_trial_summarize(blend);
	churn_stack_fit(&stack, &selection->course, 0, -1, inputs, n);
	for (i = 0; i < n; i++)
	{
		if (stack.weights[i] <= 0)
			continue;
		blend->members[blend->nmembers] = members[i];
		blend->weights[blend->nmembers] = stack.weights[i];
		blend->offsets[blend->nmembers] = blend->nmembers == 0 ?
			stack.intercept : 0;
		blend->nmembers++;
	}
	if (blend->nmembers >= 2)
		selection->ntrials++;
}
