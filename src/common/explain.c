/*
 * explain.c
 *		The explanation of a model: its components', weighted and summed.
 */
#include "arena_counting.h"
#include "component_parts.h"
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

/* Explains a row by an additive model; see explain_parts.h. */
static void
explain_additive(const ChurnPart *part, const float *features,
				 void *workspace, double *sums)
{
	const ChurnAdditive *additive = part->state;
	uint32_t	i;

	(void) workspace;
	for (i = 0; i < part->nfeatures; i++)
	{
		const ChurnEffect *effect = &additive->effects[i];

		sums[i] += part->weight *
			(churn_effect_value(effect, features[i]) - effect->mean);
	}
}

/* Prepares an additive model. */
static bool
make_additive(const ChurnAdditive *additive, ChurnArena *keep,
			  ChurnPart *part, ChurnError *error)
{
	uint32_t	i;

	part->state = churn_additive_copy(additive, keep, error);
	if (part->state == NULL)
		return false;
	part->explain = explain_additive;
	part->nfeatures = additive->nfeatures;
	part->workspace = 0;
	part->bias = additive->intercept;
	for (i = 0; i < additive->nfeatures; i++)
		part->bias += additive->effects[i].mean;
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
			return churn_explain_forest(component->forest, 0, keep, scratch,
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
	ChurnCountingArena counting = {{churn_counting_alloc, &counting, NULL}, keep,
	0};
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
