/*
 * blend.c
 *		Averaging the best different learners.
 *
 * Each member's margins are brought to one scale by Platt's map, which is
 * linear in the margin, and then averaged.  So a blend is a weighted sum of
 * margins, and its explanations are the same sum of its members'.
 */
#include "select.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "calibrate.h"
#include "memory.h"

/* A member may be behind the best by this much PR-AUC, not more. */
#define MAX_BEHIND		0.03

/* Platt's map of a trial's margins, for a member of a blend. */
static void
scale_member(ChurnSelection *selection, int member, double *slope,
			 double *offset)
{
	size_t		n = selection->course.folds.n;
	float	   *margins = churn_pages_alloc(n * sizeof(float));
	uint8_t    *labels = churn_pages_alloc(n);
	uint8_t    *folds = churn_pages_alloc(n);
	ChurnCalibrationReport report;
	ChurnCalibration map;
	size_t		rows = churn_selection_margins(selection,
											   &selection->trials[member],
											   margins, labels, folds);

	churn_calibration_fit(margins, labels, folds, rows,
						  CHURN_CALIBRATION_PLATT,
						  selection->course.settings->arena, &map, &report);
	*slope = map.kind == CHURN_CALIBRATION_PLATT ? map.a : 1;
	*offset = map.kind == CHURN_CALIBRATION_PLATT ? map.b : 0;
	churn_pages_free(margins, n * sizeof(float));
	churn_pages_free(labels, n);
	churn_pages_free(folds, n);
}

/* The best trial of each learner but the baseline, of all k folds. */
static int
find_members(ChurnSelection *selection, int *members)
{
	double		best = 0;
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
				 trial->mean.pr_auc > selection->trials[found].mean.pr_auc))
				found = i;
		}
		if (found < 0 || n == CHURN_MAX_MEMBERS)
			continue;
		members[n++] = found;
		if (selection->trials[found].mean.pr_auc > best)
			best = selection->trials[found].mean.pr_auc;
	}
	for (i = 0; i < n;)
	{
		if (selection->trials[members[i]].mean.pr_auc < best - MAX_BEHIND)
			members[i] = members[--n];
		else
			i++;
	}
	return n;
}

/* Computes the margins of a blend from its members' and measures them. */
static void
measure_blend(const ChurnSelection *selection, ChurnTrial *blend)
{
	const ChurnFolds *folds = &selection->course.folds;
	int			repeat;
	int			number;
	int			i;
	size_t		row;

	for (repeat = 0; repeat * folds->k < blend->nfolds; repeat++)
	{
		float	   *margins = repeat == 0 ? blend->margins :
			blend->again[repeat];

		for (row = 0; row < folds->n; row++)
		{
			double		sum = 0;

			for (i = 0; i < blend->nmembers; i++)
				sum += blend->weights[i] *
					churn_trial_margins(&selection->trials[blend->members[i]],
										&selection->course, repeat)[row] +
					blend->offsets[i];
			margins[row] = (float) sum;
		}
		for (number = repeat * folds->k;
			 number < (repeat + 1) * folds->k && number < blend->nfolds;
			 number++)
			blend->scores[number] = churn_trial_measure(&selection->course,
														number, margins);
	}
	churn_trial_summarize(blend);
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

void
churn_blend_add(ChurnSelection *selection)
{
	const ChurnFolds *folds = &selection->course.folds;
	ChurnTrial *blend = &selection->trials[selection->ntrials];
	double		slopes[CHURN_MAX_MEMBERS];
	double		offsets[CHURN_MAX_MEMBERS];
	int			members[CHURN_MAX_MEMBERS];
	int			n = find_members(selection, members);
	int			nfolds = CHURN_MAX_FOLDS;
	double		best_loss = INFINITY;
	unsigned	best = 0;
	unsigned	subset;
	int			i;

	if (n < 2)
		return;
	for (i = 0; i < n; i++)
	{
		scale_member(selection, members[i], &slopes[i], &offsets[i]);
		if (selection->trials[members[i]].nfolds < nfolds)
			nfolds = selection->trials[members[i]].nfolds;
	}
	prepare_blend(blend, folds, nfolds);
	/* every subset of two and more, and then the best of them again */
	for (subset = 1; subset <= 1u << n; subset++)
	{
		unsigned	use = subset == 1u << n ? best : subset;
		double		share = 1.0 / __builtin_popcount(use);

		if (__builtin_popcount(use) < 2)
			continue;
		blend->nmembers = 0;
		for (i = 0; i < n; i++)
		{
			if ((use & 1u << i) == 0)
				continue;
			blend->members[blend->nmembers] = members[i];
			blend->weights[blend->nmembers] = slopes[i] * share;
			blend->offsets[blend->nmembers++] = offsets[i] * share;
		}
		measure_blend(selection, blend);
		if (blend->mean.log_loss < best_loss)
		{
			best_loss = blend->mean.log_loss;
			best = use;
		}
	}
	selection->ntrials++;
}
