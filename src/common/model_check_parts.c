/*
 * model_check_parts.c
 *		The proofs about additive models and networks, and bounds of margins,
 *		that churn_model_check makes.
 *
 * Bounds are sums of absolute values in double, so that a margin below them
 * cannot overflow in whatever order and precision it is summed up.
 */
#include <float.h>
#include <math.h>

#include "model_format.h"

/* The larger of two absolute values; NaN if either is. */
static double
larger(double a, double b)
{
	a = fabs(a);
	b = fabs(b);
	return a > b || isnan(a) ? a : b;
}

/* The largest absolute value that an effect takes; NaN if one is NaN. */
static double
effect_bound(const ChurnEffect *effect)
{
	double		bound = 0;
	uint32_t	i;

	if (effect->kind == CHURN_EFFECT_NONE)
		return 0;
	if (effect->kind == CHURN_EFFECT_LINEAR)
		bound = fabs(effect->slope) * larger((double) effect->low,
											 (double) effect->high);
	else
		for (i = 0; i < effect->npoints; i++)
			bound = larger(bound, effect->points[i]);
	return larger(bound, effect->missing);
}

/* What is wrong with the shape of an effect; NULL if nothing is. */
static const char *
effect_problem(const ChurnEffect *effect, const ChurnFeature *feature)
{
	bool		category = feature->kind == CHURN_FEATURE_CATEGORY;
	uint32_t	i;

	if ((unsigned int) effect->kind > CHURN_EFFECT_CATEGORIES)
		return "is of unknown kind";
	if (effect->kind == CHURN_EFFECT_NONE)
		return effect->mean == 0 ? NULL : "has a mean, but no values";
	if (category != (effect->kind == CHURN_EFFECT_CATEGORIES))
		return "does not suit the feature's kind";
	if (category)
		return effect->npoints == feature->ncategories ? NULL :
			"has other categories than the feature";
	if (effect->kind == CHURN_EFFECT_LINEAR)
		return isfinite(effect->low) && isfinite(effect->high) &&
			effect->low <= effect->high ? NULL : "has no range";
	if (effect->npoints == 0 || effect->npoints > CHURN_MAX_CATEGORIES)
		return "has no steps, or too many";
	for (i = 0; i + 1 < effect->npoints; i++)
		if (!isfinite(effect->cuts[i]) ||
			(i > 0 && effect->cuts[i] <= effect->cuts[i - 1]))
			return "has cuts that do not rise";
	return NULL;
}

/* Checks the effect of one feature. */
static bool
check_effect(const ChurnEffect *effect, const ChurnFeature *feature,
			 ChurnError *error)
{
	const char *problem = effect_problem(effect, feature);

	if (problem == NULL && (!isfinite(effect->mean) ||
							!isfinite(effect_bound(effect))))
		problem = "is not finite";
	if (problem != NULL)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "effect of feature \"%.200s\" %s", feature->name,
						  problem);
	return true;
}

/* The largest absolute margin of an additive model, or more. */
static double
additive_bound(const ChurnAdditive *additive)
{
	double		bound = fabs(additive->intercept);
	uint32_t	i;

	for (i = 0; i < additive->nfeatures; i++)
		bound += effect_bound(&additive->effects[i]);
	return bound;
}

/* Checks an additive model that has an effect for each feature. */
bool
churn_model_check_additive(const ChurnAdditive *additive,
						   const ChurnFeature *features, ChurnError *error)
{
	uint32_t	i;

	if (!isfinite(additive->intercept))
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "intercept of the additive model is not finite");
	for (i = 0; i < additive->nfeatures; i++)
		if (!check_effect(&additive->effects[i], &features[i], error))
			return false;
	if (!(additive_bound(additive) <= MODEL_MAX_MARGIN))
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "margins of the additive model may exceed %g",
						  MODEL_MAX_MARGIN);
	return true;
}

/* The inputs that features make: numbering, clipping, standardisation. */
static bool
check_inputs(const ChurnNetwork *network, const ChurnFeature *features,
			 ChurnError *error)
{
	uint64_t	first = 0;
	uint32_t	i;

	for (i = 0; i < network->nfeatures; i++)
	{
		const ChurnNetworkInput *input = &network->inputs[i];

		if (input->first != first)
			return churn_fail(error, CHURN_ERROR_CORRUPT,
							  "inputs of feature \"%.200s\" are out of place",
							  features[i].name);
		first += churn_network_width(&features[i]);
		if (!isfinite(input->low) || !isfinite(input->high) ||
			!isfinite(input->mean) || !isfinite(input->scale))
			return churn_fail(error, CHURN_ERROR_CORRUPT,
							  "inputs of feature \"%.200s\" are not finite",
							  features[i].name);
		if (input->low > input->high)
			return churn_fail(error, CHURN_ERROR_CORRUPT,
							  "inputs of feature \"%.200s\" have no range",
							  features[i].name);
	}
	if (first != network->ninputs)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "network has %u inputs, where its features make %llu",
						  network->ninputs, (unsigned long long) first);
	for (i = 0; i < network->ninputs; i++)
		if (!isfinite(network->baseline[i]))
			return churn_fail(error, CHURN_ERROR_CORRUPT,
							  "baseline of input %u is not finite", i);
	return true;
}

/* Shapes of the layers, which must chain, and their numbers. */
static bool
check_layers(const ChurnNetwork *network, ChurnError *error)
{
	uint32_t	ninputs = network->ninputs;
	uint32_t	l;

	if (network->nlayers == 0 || network->nlayers > CHURN_MAX_LAYERS)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "network has %u layers, not 1 to %d",
						  network->nlayers, CHURN_MAX_LAYERS);
	for (l = 0; l < network->nlayers; l++)
	{
		const ChurnNetworkLayer *layer = &network->layers[l];
		uint64_t	i;

		if (layer->ninputs != ninputs)
			return churn_fail(error, CHURN_ERROR_CORRUPT,
							  "layer %u has %u inputs, not %u", l,
							  layer->ninputs, ninputs);
		ninputs = layer->noutputs;
		if (ninputs == 0 || ninputs > CHURN_MAX_LAYER_OUTPUTS)
			return churn_fail(error, CHURN_ERROR_LIMIT,
							  "layer %u has %u outputs, not 1 to %d", l,
							  ninputs, CHURN_MAX_LAYER_OUTPUTS);
		for (i = 0; i < (uint64_t) layer->ninputs * layer->noutputs; i++)
			if (!isfinite(layer->weights[i]))
				return churn_fail(error, CHURN_ERROR_CORRUPT,
								  "a weight of layer %u is not finite", l);
		for (i = 0; i < layer->noutputs; i++)
			if (!isfinite(layer->biases[i]))
				return churn_fail(error, CHURN_ERROR_CORRUPT,
								  "a bias of layer %u is not finite", l);
	}
	if (ninputs != 1)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "network has %u outputs, not one", ninputs);
	return true;
}

/*
 * The largest absolute value of a network's input; infinite if the difference
 * to the mean alone overflows.
 */
static double
input_bound(const ChurnNetworkInput *input)
{
	double		distance = larger((double) input->low - input->mean,
								  (double) input->high - input->mean);

	if (distance > MODEL_MAX_MARGIN)
		return INFINITY;
	return distance * fabs(input->scale);
}

/* Adds the absolute products of n inputs of that size to the bounds. */
static void
add_bounds(const ChurnNetworkLayer *layer, uint32_t first, uint32_t n,
		   double size, double *bounds)
{
	uint32_t	i;
	uint32_t	j;

	for (i = first; i < first + n; i++)
		for (j = 0; j < layer->noutputs; j++)
			bounds[j] += size * fabs(layer->weights[(size_t) i *
													layer->noutputs + j]);
}

/*
 * The largest absolute margin of a network, or more; infinite where some sum
 * on the way may exceed MODEL_MAX_MARGIN.
 */
static double
network_bound(const ChurnNetwork *network)
{
	double		bounds[2][CHURN_MAX_LAYER_OUTPUTS];
	uint32_t	l;
	uint32_t	i;

	for (l = 0; l < network->nlayers; l++)
	{
		const ChurnNetworkLayer *layer = &network->layers[l];
		double	   *sums = bounds[l % 2];

		for (i = 0; i < layer->noutputs; i++)
			sums[i] = fabs(layer->biases[i]);
		if (l > 0)
			for (i = 0; i < layer->ninputs; i++)
				add_bounds(layer, i, 1, bounds[1 - l % 2][i], sums);
		else
			for (i = 0; i < network->nfeatures; i++)
			{
				const ChurnNetworkInput *input = &network->inputs[i];
				uint32_t	end = i + 1 < network->nfeatures ?
				network->inputs[i + 1].first : network->ninputs;
				double		bound = input_bound(input);

				if (bound > MODEL_MAX_MARGIN)
					return INFINITY;
				add_bounds(layer, input->first, end - input->first,
						   bound > 1 ? bound : 1, sums);
			}
		for (i = 0; i < layer->noutputs; i++)
			if (!(sums[i] <= MODEL_MAX_MARGIN))
				return INFINITY;
	}
	return bounds[(network->nlayers - 1) % 2][0];
}

/* Checks a network that has an entry for each feature. */
bool
churn_model_check_network(const ChurnNetwork *network,
						  const ChurnFeature *features, ChurnError *error)
{
	if (!check_inputs(network, features, error) ||
		!check_layers(network, error))
		return false;
	if (!(network_bound(network) <= MODEL_MAX_MARGIN))
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "sums of the network may exceed %g",
						  MODEL_MAX_MARGIN);
	return true;
}

/* The largest absolute margin of a forest, or more. */
static double
forest_bound(const ChurnForest *forest)
{
	double		bound = fabs(forest->base_margin);
	uint32_t	t;
	uint32_t	i;

	for (t = 0; t < forest->ntrees; t++)
	{
		const ChurnTree *tree = &forest->trees[t];
		double		most = 0;

		for (i = tree->first; i < tree->first + tree->nnodes; i++)
			if (forest->nodes[i].left < 0)
				most = larger(most, forest->nodes[i].value);
		bound += most * fabs(tree->weight);
	}
	return bound;
}

/* The largest absolute margin of a component, or more. */
double
churn_model_bound(const ChurnComponent *component)
{
	switch (component->kind)
	{
		case CHURN_COMPONENT_FOREST:
			return forest_bound(component->forest);
		case CHURN_COMPONENT_ADDITIVE:
			return additive_bound(component->additive);
		case CHURN_COMPONENT_NETWORK:
			return network_bound(component->network);
	}
	return INFINITY;
}
