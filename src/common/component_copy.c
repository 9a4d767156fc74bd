/*
 * component_copy.c
 *		Copies of components, for what outlives the model they are part of.
 */
#include <string.h>

#include "component_parts.h"

/* Copies count elements of size bytes; NULL with *error set without memory. */
static void *
copy_array(const void *array, size_t count, size_t size, ChurnArena *arena,
		   ChurnError *error)
{
	void	   *copy = churn_arena_array(arena, count, size, error);

	if (copy != NULL && count > 0)
		memcpy(copy, array, count * size);
	return copy;
}

/* Copies an additive model; see component_parts.h. */
ChurnAdditive *
churn_additive_copy(const ChurnAdditive *additive, ChurnArena *arena,
					ChurnError *error)
{
	ChurnAdditive *copy = copy_array(additive, 1, sizeof(*copy), arena,
									 error);
	uint32_t	i;

	if (copy == NULL)
		return NULL;
	copy->effects = copy_array(additive->effects, additive->nfeatures,
							   sizeof(ChurnEffect), arena, error);
	if (copy->effects == NULL)
		return NULL;
	for (i = 0; i < copy->nfeatures; i++)
	{
		ChurnEffect *effect = &copy->effects[i];
		bool		steps = effect->kind == CHURN_EFFECT_STEPS;

		if (!steps && effect->kind != CHURN_EFFECT_CATEGORIES)
			continue;
		effect->points = copy_array(effect->points, effect->npoints,
									sizeof(double), arena, error);
		if (steps)
			effect->cuts = copy_array(effect->cuts, effect->npoints - 1,
									  sizeof(float), arena, error);
		if (effect->points == NULL || (steps && effect->cuts == NULL))
			return NULL;
	}
	return copy;
}

/* Copies a network; see component_parts.h. */
ChurnNetwork *
churn_network_copy(const ChurnNetwork *network, ChurnArena *arena,
				   ChurnError *error)
{
	ChurnNetwork *copy = copy_array(network, 1, sizeof(*copy), arena, error);
	uint32_t	l;

	if (copy == NULL)
		return NULL;
	copy->inputs = copy_array(network->inputs, network->nfeatures,
							  sizeof(ChurnNetworkInput), arena, error);
	copy->baseline = copy_array(network->baseline, network->ninputs,
								sizeof(float), arena, error);
	if (copy->inputs == NULL || copy->baseline == NULL)
		return NULL;
	for (l = 0; l < copy->nlayers; l++)
	{
		ChurnNetworkLayer *layer = &copy->layers[l];

		layer->weights = copy_array(layer->weights,
									(size_t) layer->ninputs * layer->noutputs,
									sizeof(float), arena, error);
		layer->biases = copy_array(layer->biases, layer->noutputs,
								   sizeof(float), arena, error);
		if (layer->weights == NULL || layer->biases == NULL)
			return NULL;
	}
	return copy;
}
