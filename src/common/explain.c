/*
 * explain.c
 *		The explanation of a model: its components', weighted and summed.
 */
#include <math.h>
#include <string.h>

#include "arena_counting.h"
#include "explain_parts.h"

struct ChurnExplainer
{
	uint32_t	nfeatures;
	uint32_t	nparts;
	ChurnPart  *parts;
	double		bias;
	size_t		workspace;		/* bytes */
	size_t		size;			/* bytes of all that the explainer holds */
};

/* The effect of a value in an additive model; see churn/model.h. */
static double
effect_of(const ChurnEffect *effect, float value)
{
	uint32_t	low = 0;
	uint32_t	high;

	if (effect->kind == CHURN_EFFECT_NONE)
		return 0;
	if (isnan(value))
		return effect->missing;
	switch (effect->kind)
	{
		case CHURN_EFFECT_LINEAR:
			value = value < effect->low ? effect->low :
				value > effect->high ? effect->high : value;
			return effect->slope * (double) value;
		case CHURN_EFFECT_STEPS:
			high = effect->npoints - 1;
			while (low < high)
			{
				uint32_t	middle = low + (high - low) / 2;

				if (effect->cuts[middle] <= value)
					low = middle + 1;
				else
					high = middle;
			}
			return effect->points[low];
		case CHURN_EFFECT_CATEGORIES:
			if (value >= 0 && value < (float) effect->npoints)
				return effect->points[(uint32_t) value];
			return effect->missing;
		case CHURN_EFFECT_NONE:
			break;
	}
	return 0;
}

/* Explains a row by an additive model; see explain_parts.h. */
static void
explain_additive(const ChurnPart *part, const float *features,
				 void *workspace, double *sums)
{
	const ChurnEffect *effects = part->state;
	uint32_t	i;

	(void) workspace;
	for (i = 0; i < part->nfeatures; i++)
		sums[i] += part->weight *
			(effect_of(&effects[i], features[i]) - effects[i].mean);
}

/* Prepares an additive model by copying it. */
static bool
make_additive(const ChurnAdditive *additive, ChurnArena *keep,
			  ChurnPart *part, ChurnError *error)
{
	ChurnEffect *effects = churn_arena_array(keep, additive->nfeatures,
											 sizeof(ChurnEffect), error);
	uint32_t	i;

	if (effects == NULL)
		return false;
	part->bias = additive->intercept;
	for (i = 0; i < additive->nfeatures; i++)
	{
		const ChurnEffect *effect = &additive->effects[i];
		const size_t npoints = effect->npoints;
		double	   *points = churn_arena_array(keep, npoints, sizeof(double),
											   error);
		float	   *cuts = churn_arena_array(keep, npoints, sizeof(float),
											 error);

		if (points == NULL || cuts == NULL)
			return false;
		effects[i] = *effect;
		effects[i].points = points;
		effects[i].cuts = cuts;
		if (npoints > 0)
			memcpy(points, effect->points, npoints * sizeof(double));
		if (npoints > 0 && effect->kind == CHURN_EFFECT_STEPS)
			memcpy(cuts, effect->cuts, (npoints - 1) * sizeof(float));
		part->bias += effect->mean;
	}
	part->explain = explain_additive;
	part->state = effects;
	part->nfeatures = additive->nfeatures;
	part->workspace = 0;
	return true;
}

/* Prepares one component. */
static bool
make_part(const ChurnModel *model, const ChurnComponent *component,
		  ChurnArena *keep, ChurnArena *scratch, ChurnPart *part,
		  ChurnError *error)
{
	part->weight = component->weight;
	switch (component->kind)
	{
		case CHURN_COMPONENT_FOREST:
			return churn_explain_forest(component->forest, keep, scratch,
										part, error);
		case CHURN_COMPONENT_ADDITIVE:
			return make_additive(component->additive, keep, part, error);
		case CHURN_COMPONENT_NETWORK:
			return churn_explain_network(component->network, model->features,
										 keep, scratch, part, error);
	}
	return churn_fail(error, CHURN_ERROR_UNSUPPORTED,
					  "component of kind %d cannot be explained",
					  (int) component->kind);
}

/* Makes an explainer; see churn/explain.h. */
ChurnExplainer *
churn_explainer_make(const ChurnModel *model, ChurnArena *keep,
					 ChurnArena *scratch, ChurnError *error)
{
	ChurnCountingArena counting = {{churn_counting_alloc, &counting}, keep, 0};
	ChurnExplainer *explainer;
	uint32_t	i;

	explainer = churn_arena_alloc(&counting.arena, sizeof(ChurnExplainer),
								  error);
	if (explainer == NULL)
		return NULL;
	explainer->nfeatures = model->nfeatures;
	explainer->nparts = model->ncomponents;
	explainer->parts = churn_arena_array(&counting.arena, model->ncomponents,
										 sizeof(ChurnPart), error);
	if (explainer->parts == NULL)
		return NULL;
	for (i = 0; i < model->ncomponents; i++)
	{
		ChurnPart  *part = &explainer->parts[i];

		if (!make_part(model, &model->components[i], &counting.arena, scratch,
					   part, error))
			return NULL;
		explainer->bias += part->weight * part->bias +
			model->components[i].offset;
		if (part->workspace > explainer->workspace)
			explainer->workspace = part->workspace;
	}
	explainer->size = counting.size;
	return explainer;
}

/* Bytes of working memory for one row at a time. */
size_t
churn_explainer_workspace(const ChurnExplainer *explainer)
{
	return explainer->workspace;
}

/* Bytes that the explainer holds, the arena's own overhead left out. */
size_t
churn_explainer_size(const ChurnExplainer *explainer)
{
	return explainer->size;
}

/* Explains a row; see churn/explain.h. */
void
churn_explain_row(const ChurnExplainer *explainer, const float *features,
				  void *workspace, double *contributions)
{
	uint32_t	i;

	for (i = 0; i < explainer->nfeatures; i++)
		contributions[i] = 0;
	contributions[explainer->nfeatures] = explainer->bias;
	for (i = 0; i < explainer->nparts; i++)
	{
		const ChurnPart *part = &explainer->parts[i];

		part->explain(part, features, workspace, contributions);
	}
}
