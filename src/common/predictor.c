/*
 * predictor.c
 *		The margin of any model: that of its one component, or a blend's.
 */
#include <string.h>

#include "arena_counting.h"
#include "churn/forest.h"
#include "churn/predictor.h"
#include "component_parts.h"

/* A component, ready to be evaluated; that of its kind is set. */
typedef struct PredictorPart
{
	double		weight;
	double		offset;
	const ChurnEvaluator *forest;
	const ChurnAdditive *additive;
	const ChurnNetwork *network;
} PredictorPart;

struct ChurnPredictor
{
	const ChurnEvaluator *forest;	/* if that is all of the model */
	bool		weighted;		/* else the first part is all */
	uint32_t	nparts;
	PredictorPart *parts;
	const ChurnFeature *features;	/* kinds and sizes only, for networks */
	size_t		workspace;
	size_t		size;
};

/* Copies what the evaluation of a network looks up of the features. */
static const ChurnFeature *
copy_features(const ChurnModel *model, ChurnArena *arena, ChurnError *error)
{
	ChurnFeature *features = churn_arena_array(arena, model->nfeatures,
											   sizeof(ChurnFeature), error);
	uint32_t	i;

	for (i = 0; features != NULL && i < model->nfeatures; i++)
	{
		features[i].kind = model->features[i].kind;
		features[i].ncategories = model->features[i].ncategories;
	}
	return features;
}

/* Makes a component ready.  The parts share one working memory. */
static bool
make_part(ChurnPredictor *predictor, PredictorPart *part,
		  const ChurnModel *model, const ChurnComponent *component,
		  ChurnArena *keep, ChurnArena *scratch, ChurnError *error)
{
	size_t		workspace = 0;

	part->weight = component->weight;
	part->offset = component->offset;
	switch (component->kind)
	{
		case CHURN_COMPONENT_FOREST:
			part->forest = churn_evaluator_make(component->forest, keep,
												scratch, error);
			if (part->forest == NULL)
				return false;
			workspace = churn_evaluator_workspace(part->forest);
			break;
		case CHURN_COMPONENT_ADDITIVE:
			part->additive = churn_additive_copy(component->additive, keep, error);
			if (part->additive == NULL)
				return false;
			break;
		case CHURN_COMPONENT_NETWORK:
			part->network = churn_network_copy(component->network, keep, error);
			if (predictor->features == NULL)
				predictor->features = copy_features(model, keep, error);
			if (part->network == NULL || predictor->features == NULL)
				return false;
			workspace = churn_network_workspace(part->network);
			break;
	}
	if (workspace > predictor->workspace)
		predictor->workspace = workspace;
	return true;
}

/* Makes a predictor; see churn/predictor.h. */
ChurnPredictor *
churn_predictor_make(const ChurnModel *model, ChurnArena *keep,
					 ChurnArena *scratch, ChurnError *error)
{
	ChurnCountingArena counting = {{churn_counting_alloc, &counting,
	keep->share}, keep, 0};
	ChurnPredictor *predictor;
	uint32_t	i;

	predictor = churn_arena_alloc(&counting.arena, sizeof(ChurnPredictor),
								  error);
	if (predictor == NULL)
		return NULL;
	predictor->nparts = model->ncomponents;
	predictor->parts = churn_arena_array(&counting.arena, model->ncomponents,
										 sizeof(PredictorPart), error);
	if (predictor->parts == NULL)
		return NULL;
	for (i = 0; i < model->ncomponents; i++)
		if (!make_part(predictor, &predictor->parts[i], model,
					   &model->components[i], &counting.arena, scratch,
					   error))
			return NULL;
	predictor->weighted = predictor->nparts > 1 ||
		predictor->parts[0].weight != 1 || predictor->parts[0].offset != 0;
	if (!predictor->weighted)
		predictor->forest = predictor->parts[0].forest;
	predictor->size = counting.size;
	return predictor;
}

/* Bytes of working memory for one row at a time. */
size_t
churn_predictor_workspace(const ChurnPredictor *predictor)
{
	return predictor->workspace;
}

/* Bytes that the predictor holds, the arena's own overhead left out. */
size_t
churn_predictor_size(const ChurnPredictor *predictor)
{
	return predictor->size;
}

static float
part_margin(const ChurnPredictor *predictor, const PredictorPart *part,
			const float *features, void *workspace)
{
	if (part->forest != NULL)
		return churn_evaluator_margin(part->forest, features, workspace);
	if (part->additive != NULL)
		return churn_additive_margin(part->additive, predictor->features,
									 features);
	return churn_network_margin(part->network, predictor->features, features,
								workspace);
}

/* The margin of one row; see churn/predictor.h. */
float
churn_predictor_margin(const ChurnPredictor *predictor,
					   const float *features, void *workspace)
{
	double		margin = 0;
	uint32_t	i;

	if (predictor->forest != NULL)
		return churn_evaluator_margin(predictor->forest, features, workspace);
	if (!predictor->weighted)
		return part_margin(predictor, &predictor->parts[0], features,
						   workspace);
	for (i = 0; i < predictor->nparts; i++)
	{
		const PredictorPart *part = &predictor->parts[i];

		margin += part->weight * (double) part_margin(predictor, part,
													  features, workspace) +
			part->offset;
	}
	return (float) margin;
}
