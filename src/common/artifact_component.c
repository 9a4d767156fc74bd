/*
 * artifact_component.c
 *		Components of our own documents, made ready to be scored.
 *
 * What is read here may still be wrong in ways that churn_model_check finds:
 * numbers that are not finite, cuts that do not rise, layers that do not chain.
 */
#include "artifact_internal.h"

#include <math.h>
#include <string.h>

/*
 * Fails with a problem of a member.
 */
static bool
fail_member(ChurnError *error, const char *name, const char *problem)
{
	return churn_fail(error, CHURN_ERROR_CORRUPT,
					  "member \"%s\" of a component %s", name, problem);
}

/*
 * Reads a number that must be there.
 */
static bool
read_number(const ChurnValue *object, const char *name, double *number,
			ChurnError *error)
{
	*number = churn_value_number(object, name, NAN);
	return !isnan(*number) || fail_member(error, name, "is no number");
}

/*
 * Reads a number that must be there and becomes a float32.
 */
static bool
read_float(const ChurnValue *object, const char *name, float *number,
		   ChurnError *error)
{
	double		wide;

	if (!read_number(object, name, &wide, error))
		return false;
	*number = (float) wide;
	return true;
}

/*
 * Finds an array that churn_artifact_type_component() has typed, of any
 * length.
 */
static bool
find_array(const ChurnValue *object, const char *name, ChurnValueKind kind,
		   const void **elements, size_t *length, ChurnError *error)
{
	const ChurnValue *value = churn_value_get(object, name);

	if (value == NULL || value->kind != kind)
		return fail_member(error, name, "is no array of numbers");
	*elements = value->u.typed;
	*length = value->length;
	return true;
}

/*
 * The same, of n floats.
 */
static bool
find_floats(const ChurnValue *object, const char *name, size_t n,
			const float **floats, ChurnError *error)
{
	const void *elements = NULL;
	size_t		length = 0;

	if (!find_array(object, name, CHURN_VALUE_FLOATS, &elements, &length,
					error))
		return false;
	*floats = elements;
	return length == n || fail_member(error, name, "has a wrong length");
}

/*
 * Types the arrays of each element of a list.
 */
static bool
type_list(const ChurnValue *component, const char *list, const char *name,
		  ChurnValueKind kind, ChurnArena *arena, ChurnError *error)
{
	const ChurnValue *elements = churn_value_get(component, list);

	if (elements == NULL || elements->kind != CHURN_VALUE_ARRAY)
		return true;			/* for the component's maker to judge */
	for (size_t i = 0; i < elements->length; i++)
		if (!churn_value_make_typed(elements->u.elements[i], name, kind,
									arena, error))
			return false;
	return true;
}

/*
 * Types the arrays of a component, so that a number of JSON is rounded once
 * and for all; see artifact_internal.h.
 */
bool
churn_artifact_type_component(const ChurnValue *component, ChurnArena *arena,
							  ChurnError *error)
{
	static const char *const floats[] = {"low", "high", "mean", "scale"};
	const ChurnValue *inputs = churn_value_get(component, "inputs");

	for (size_t i = 0; i < sizeof(floats) / sizeof(floats[0]); i++)
		if (!churn_value_make_typed(inputs, floats[i], CHURN_VALUE_FLOATS,
									arena, error))
			return false;
	return churn_value_make_typed(component, "baseline", CHURN_VALUE_FLOATS,
								  arena, error) &&
		type_list(component, "effects", "cuts", CHURN_VALUE_FLOATS, arena,
				  error) &&
		type_list(component, "effects", "points", CHURN_VALUE_DOUBLES, arena,
				  error) &&
		type_list(component, "layers", "weights", CHURN_VALUE_FLOATS, arena,
				  error) &&
		type_list(component, "layers", "biases", CHURN_VALUE_FLOATS, arena,
				  error) &&
		type_list(component, "nodes", "categories", CHURN_VALUE_INTS, arena,
				  error);
}

/*
 * Reads the points of an effect, and the cuts between them if it has steps.
 */
static bool
read_points(const ChurnValue *value, ChurnEffect *effect, ChurnError *error)
{
	const void *points = NULL;
	size_t		npoints = 0;

	if (!find_array(value, "points", CHURN_VALUE_DOUBLES, &points, &npoints,
					error))
		return false;
	if (npoints > CHURN_MAX_CATEGORIES)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "effect has %zu points, more than %d", npoints,
						  CHURN_MAX_CATEGORIES);
	effect->points = points;
	effect->npoints = (uint32_t) npoints;
	if (effect->kind == CHURN_EFFECT_CATEGORIES)
		return true;
	if (npoints == 0)
		return fail_member(error, "points", "has a wrong length");
	return find_floats(value, "cuts", npoints - 1, &effect->cuts, error);
}

/*
 * Reads one effect.
 */
static bool
read_effect(const ChurnValue *value, ChurnEffect *effect, ChurnError *error)
{
	const char *kind = churn_value_text(value, "kind", "");

	effect->mean = churn_value_number(value, "mean", 0);
	if (strcmp(kind, "none") == 0)
		return true;
	if (!read_number(value, "missing", &effect->missing, error))
		return false;
	if (strcmp(kind, "linear") == 0)
	{
		effect->kind = CHURN_EFFECT_LINEAR;
		return read_number(value, "slope", &effect->slope, error) &&
			read_float(value, "low", &effect->low, error) &&
			read_float(value, "high", &effect->high, error);
	}
	if (strcmp(kind, "steps") == 0)
		effect->kind = CHURN_EFFECT_STEPS;
	else if (strcmp(kind, "categories") == 0)
		effect->kind = CHURN_EFFECT_CATEGORIES;
	else
		return churn_fail(error, CHURN_ERROR_UNSUPPORTED,
						  "effect is of unknown kind \"%.100s\"", kind);
	return read_points(value, effect, error);
}

/*
 * Reads an additive model; NULL with *error set on failure.
 */
static ChurnAdditive *
read_additive(const ChurnValue *value, ChurnArena *arena, ChurnError *error)
{
	const ChurnValue *effects = churn_value_get(value, "effects");
	ChurnAdditive *additive = churn_arena_alloc(arena, sizeof(ChurnAdditive),
												error);

	if (additive == NULL ||
		!read_number(value, "intercept", &additive->intercept, error))
		return NULL;
	if (effects == NULL || effects->kind != CHURN_VALUE_ARRAY ||
		effects->length > CHURN_MAX_FEATURES)
	{
		fail_member(error, "effects", "is no list of as many as features");
		return NULL;
	}
	additive->nfeatures = (uint32_t) effects->length;
	additive->effects = churn_arena_array(arena, effects->length,
										  sizeof(ChurnEffect), error);
	if (additive->effects == NULL)
		return NULL;
	for (size_t i = 0; i < effects->length; i++)
		if (!read_effect(effects->u.elements[i], &additive->effects[i], error))
			return NULL;
	return additive;
}

/*
 * Reads how features become inputs, and numbers the inputs.
 */
static bool
read_inputs(const ChurnValue *value, const ChurnModel *model,
			ChurnNetwork *network, ChurnArena *arena, ChurnError *error)
{
	const ChurnValue *inputs = churn_value_get(value, "inputs");
	const float *low;
	const float *high;
	const float *mean;
	const float *scale;

	network->nfeatures = model->nfeatures;
	network->inputs = churn_arena_array(arena, model->nfeatures,
										sizeof(ChurnNetworkInput), error);
	if (network->inputs == NULL ||
		!find_floats(inputs, "low", model->nfeatures, &low, error) ||
		!find_floats(inputs, "high", model->nfeatures, &high, error) ||
		!find_floats(inputs, "mean", model->nfeatures, &mean, error) ||
		!find_floats(inputs, "scale", model->nfeatures, &scale, error))
		return false;
	for (uint32_t i = 0; i < model->nfeatures; i++)
	{
		network->inputs[i].first = network->ninputs;
		network->inputs[i].low = low[i];
		network->inputs[i].high = high[i];
		network->inputs[i].mean = mean[i];
		network->inputs[i].scale = scale[i];
		network->ninputs += churn_network_width(&model->features[i]);
	}
	return find_floats(value, "baseline", network->ninputs,
					   &network->baseline, error);
}

/*
 * Reads a network; NULL with *error set on failure.
 */
static ChurnNetwork *
read_network(const ChurnValue *value, const ChurnModel *model,
			 ChurnArena *arena, ChurnError *error)
{
	const ChurnValue *layers = churn_value_get(value, "layers");
	ChurnNetwork *network = churn_arena_alloc(arena, sizeof(ChurnNetwork),
											  error);
	size_t		ninputs;

	if (network == NULL || !read_inputs(value, model, network, arena, error))
		return NULL;
	if (layers == NULL || layers->kind != CHURN_VALUE_ARRAY ||
		layers->length > CHURN_MAX_LAYERS)
	{
		fail_member(error, "layers", "is no list of a few");
		return NULL;
	}
	ninputs = network->ninputs;
	network->nlayers = (uint32_t) layers->length;
	for (size_t i = 0; i < layers->length; i++)
	{
		ChurnNetworkLayer *layer = &network->layers[i];
		const void *biases = NULL;
		size_t		noutputs = 0;

		if (!find_array(layers->u.elements[i], "biases", CHURN_VALUE_FLOATS,
						&biases, &noutputs, error))
			return NULL;
		if (noutputs > CHURN_MAX_LAYER_OUTPUTS)
		{
			fail_member(error, "biases", "has a wrong length");
			return NULL;
		}
		layer->biases = biases;
		layer->ninputs = (uint32_t) ninputs;
		layer->noutputs = (uint32_t) noutputs;
		if (!find_floats(layers->u.elements[i], "weights",
						 ninputs * noutputs, &layer->weights, error))
			return NULL;
		ninputs = noutputs;
	}
	return network;
}

/*
 * Makes one component; see artifact_internal.h.
 */
bool
churn_artifact_component(const ChurnValue *value, uint32_t index,
						 const ChurnModel *model, ChurnComponent *component,
						 ChurnArena *arena, ChurnError *error)
{
	const char *kind = churn_value_text(value, "kind", "");
	const ChurnValue *booster = churn_value_get(value, "xgboost");

	component->algorithm = churn_value_text(value, "algorithm", NULL);
	if (!read_number(value, "weight", &component->weight, error) ||
		!read_number(value, "offset", &component->offset, error))
		return false;
	if (strcmp(kind, "additive") == 0)
	{
		component->kind = CHURN_COMPONENT_ADDITIVE;
		component->additive = read_additive(value, arena, error);
		return component->additive != NULL;
	}
	if (strcmp(kind, "network") == 0)
	{
		component->kind = CHURN_COMPONENT_NETWORK;
		component->network = read_network(value, model, arena, error);
		return component->network != NULL;
	}
	component->kind = CHURN_COMPONENT_FOREST;
	if (strcmp(kind, "tree") == 0)
		component->forest = churn_artifact_tree(churn_value_get(value,
																"nodes"),
												model->nfeatures, arena,
												error);
	else if (strcmp(kind, "forest") == 0 && booster != NULL)
		component->forest = churn_xgboost_read_forest(booster, arena, error);
	else
		return churn_fail(error, CHURN_ERROR_UNSUPPORTED,
						  "component %u is of unknown kind \"%.100s\"", index,
						  kind);
	return component->forest != NULL;
}
