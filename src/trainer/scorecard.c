/*
 * scorecard.c
 *		Scorecards: points for the bins of a few key features.
 *
 * Features are chosen one after another: the one whose bins tell most about
 * what those before it left unexplained, so that features which tell the same
 * are not chosen together.  After each choice the points of all are found anew
 * by logistic regression.
 */
#include "scorecard.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "additive.h"
#include "bins.h"
#include "keep.h"
#include "liblinear.h"
#include "memory.h"

/* The cost of the regression's losses against points that are not 0. */
#define COST			1.0

/* A feature that was chosen. */
typedef struct ScorecardItem
{
	uint32_t	feature;
	uint32_t	input;			/* of its first bin, in the regression */
	ChurnBinning binning;
} ScorecardItem;

typedef struct Scorecard
{
	const ChurnLesson *lesson;
	ChurnGroups *groups;		/* of all features */
	ScorecardItem *items;
	uint32_t	nitems;
	uint32_t	ninputs;
	double	   *points;			/* one an input */
	double		intercept;
	float	   *gradients;		/* by row */
	float	   *hessians;
} Scorecard;

/* The input that is 1 in a row, of those of an item. */
static uint32_t
input_of(const Scorecard *scorecard, const ScorecardItem *item, size_t row)
{
	const ChurnGroups *groups = &scorecard->groups[item->feature];

	return item->input + item->binning.groups[groups->rows[row]];
}

/* Finds gradient and hessian of the log loss of each row. */
static void
find_gradients(Scorecard *scorecard)
{
	const ChurnLesson *lesson = scorecard->lesson;
	size_t		i;
	uint32_t	k;

	for (i = 0; i < lesson->nrows; i++)
	{
		double		margin = scorecard->intercept;
		double		p;

		for (k = 0; k < scorecard->nitems; k++)
			margin += scorecard->points[input_of(scorecard,
												 &scorecard->items[k], i)];
		p = 1 / (1 + exp(-margin));
		scorecard->gradients[i] = (float) (lesson->weights[i] *
										   (p - lesson->labels[i]));
		scorecard->hessians[i] = (float) (lesson->weights[i] * p * (1 - p));
	}
}

static bool
is_chosen(const Scorecard *scorecard, uint32_t feature)
{
	uint32_t	k;

	for (k = 0; k < scorecard->nitems; k++)
	{
		if (scorecard->items[k].feature == feature)
			return true;
	}
	return false;
}

/* Adds the feature that tells most; false when none tells more than noise. */
static bool
choose_feature(Scorecard *scorecard, uint32_t bins)
{
	ScorecardItem *item = &scorecard->items[scorecard->nitems];
	bool		found = false;
	uint32_t	f;

	for (f = 0; f < scorecard->lesson->nfeatures; f++)
	{
		ChurnBinning binning;

		if (is_chosen(scorecard, f))
			continue;
		churn_binning_make(&binning, &scorecard->groups[f], scorecard->lesson,
						   f, scorecard->gradients, scorecard->hessians, bins);
		if (binning.gain <= (found ? item->binning.gain : 0))
		{
			churn_binning_free(&binning);
			continue;
		}
		if (found)
			churn_binning_free(&item->binning);
		found = true;
		item->feature = f;
		item->binning = binning;
	}
	if (!found)
		return false;
	item->input = scorecard->ninputs;
	scorecard->ninputs += item->binning.nbins + 1;
	scorecard->nitems++;
	return true;
}

/* Finds the points of all bins of the features chosen so far. */
static void
find_points(Scorecard *scorecard)
{
	const ChurnLesson *lesson = scorecard->lesson;
	ChurnLinear *linear = churn_linear_create(lesson->nrows,
											  scorecard->ninputs,
											  scorecard->nitems);
	size_t		i;
	uint32_t	k;

	for (i = 0; i < lesson->nrows; i++)
	{
		churn_linear_row(linear, lesson->labels[i], lesson->weights[i]);
		for (k = 0; k < scorecard->nitems; k++)
			churn_linear_put(linear, input_of(scorecard,
											  &scorecard->items[k], i), 1);
	}
	scorecard->points = churn_realloc(scorecard->points, scorecard->ninputs,
									  sizeof(double));
	churn_linear_solve(linear, COST, scorecard->points,
					   &scorecard->intercept);
	churn_linear_free(linear);
}

static double
round_points(double points)
{
	return rint(points * 100) / 100 + 0.0;
}

/*
 * Makes a category's effect.  One that none of the rows had counts as missing,
 * as one that is not even in the dictionary does.
 */
static void
make_categories(const Scorecard *scorecard, const ScorecardItem *item,
				const double *points, ChurnArena *arena, ChurnEffect *effect)
{
	const ChurnFeatureSummary *summary =
	&scorecard->lesson->features[item->feature];
	double	   *values = churn_keep(arena, summary->ncategories,
									sizeof(double));
	uint32_t	c;

	for (c = 0; c < summary->ncategories; c++)
		values[c] = summary->categories[c] > 0 ?
			points[item->binning.groups[c]] : effect->missing;
	effect->kind = CHURN_EFFECT_CATEGORIES;
	effect->npoints = summary->ncategories;
	effect->points = values;
}

/* Makes a number's effect: cuts where one group's bin ends. */
static void
make_steps(const Scorecard *scorecard, const ScorecardItem *item,
		   const double *points, ChurnArena *arena, ChurnEffect *effect)
{
	const ChurnGroups *groups = &scorecard->groups[item->feature];
	uint32_t	nbins = item->binning.nbins;
	float	   *cuts = churn_keep(arena, nbins, sizeof(float));
	uint32_t	ncuts = 0;
	uint32_t	g;

	for (g = 1; g < groups->ngroups; g++)
	{
		if (item->binning.groups[g] != item->binning.groups[g - 1])
			cuts[ncuts++] = groups->cuts[g - 1];
	}
	effect->kind = CHURN_EFFECT_STEPS;
	effect->npoints = nbins;
	effect->cuts = cuts;
	effect->points = churn_keep_copy(arena, points, nbins, sizeof(double));
}

/* Makes the model of the points, rounded. */
static ChurnAdditive *
make_model(Scorecard *scorecard, ChurnArena *arena)
{
	const ChurnLesson *lesson = scorecard->lesson;
	ChurnAdditive *additive = churn_additive_create(arena, lesson->nfeatures);
	uint32_t	i;
	uint32_t	k;

	for (i = 0; i < scorecard->ninputs; i++)
		scorecard->points[i] = round_points(scorecard->points[i]);
	additive->intercept = round_points(scorecard->intercept);
	for (k = 0; k < scorecard->nitems; k++)
	{
		const ScorecardItem *item = &scorecard->items[k];
		ChurnEffect *effect = &additive->effects[item->feature];
		const double *points = scorecard->points + item->input;

		effect->missing = points[item->binning.nbins];
		if (lesson->features[item->feature].kind == CHURN_FEATURE_CATEGORY)
			make_categories(scorecard, item, points, arena, effect);
		else
			make_steps(scorecard, item, points, arena, effect);
	}
	return additive;
}

ChurnAdditive *
churn_scorecard_make(const ChurnLesson *lesson, uint32_t features,
					 uint32_t bins, ChurnArena *arena)
{
	Scorecard	scorecard = {.lesson = lesson};
	double		rate = lesson->positives / lesson->weight;
	ChurnAdditive *additive;
	uint32_t	i;

	scorecard.groups = churn_alloc(lesson->nfeatures, sizeof(ChurnGroups));
	for (i = 0; i < lesson->nfeatures; i++)
		churn_groups_make(&scorecard.groups[i], lesson, i);
	scorecard.items = churn_alloc(features, sizeof(ScorecardItem));
	scorecard.gradients = churn_alloc(lesson->nrows, sizeof(float));
	scorecard.hessians = churn_alloc(lesson->nrows, sizeof(float));
	scorecard.intercept = log(rate / (1 - rate));
	while (scorecard.nitems < features)
	{
		find_gradients(&scorecard);
		if (!choose_feature(&scorecard, bins))
			break;
		find_points(&scorecard);
	}
	additive = make_model(&scorecard, arena);

	for (i = 0; i < scorecard.nitems; i++)
		churn_binning_free(&scorecard.items[i].binning);
	for (i = 0; i < lesson->nfeatures; i++)
		churn_groups_free(&scorecard.groups[i]);
	free(scorecard.points);
	free(scorecard.hessians);
	free(scorecard.gradients);
	free(scorecard.items);
	free(scorecard.groups);
	return additive;
}
