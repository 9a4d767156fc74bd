/*
 * model_read_parts.c
 *		The bodies of components in the compiled form, as untrusted bytes.
 */
#include "model_reader.h"

/* Reads count floats, which the caller has held against what is left. */
static const float *
read_floats(ModelReader *reader, uint64_t count, ChurnArena *arena,
			ChurnError *error)
{
	float	   *values = churn_arena_array(arena, (size_t) count,
										   sizeof(float), error);
	uint64_t	i;

	for (i = 0; values != NULL && i < count; i++)
		values[i] = model_get_float(reader);
	return values;
}

const double *
churn_model_read_doubles(ModelReader *reader, uint64_t count,
						 ChurnArena *arena, ChurnError *error)
{
	double	   *values = churn_arena_array(arena, (size_t) count,
										   sizeof(double), error);
	uint64_t	i;

	for (i = 0; values != NULL && i < count; i++)
		values[i] = model_get_double(reader);
	return values;
}

static void
read_node(ModelReader *reader, ChurnNode *node)
{
	uint32_t	flags = (uint32_t) model_get(reader, 2);

	node->flags = flags & ~(uint32_t) MODEL_NODE_LEAF;
	node->feature = (uint32_t) model_get(reader, 2);
	node->value = model_get_float(reader);
	node->cover = model_get_float(reader);
	if (flags & MODEL_NODE_LEAF)
	{
		node->left = -1;
		node->right = -1;
	}
	else
	{
		node->left = (int32_t) model_get(reader, 4);
		node->right = (int32_t) model_get(reader, 4);
		if (node->left < 0)
			reader->failed = true;
	}
	if (flags & CHURN_NODE_CATEGORICAL)
	{
		node->bits = (uint32_t) model_get(reader, 4);
		node->nwords = (uint32_t) model_get(reader, 4);
	}
}

/* Reads the trees, once the forest's own numbers and arrays are there. */
static bool
read_forest(ModelReader *reader, ChurnForest *forest, ChurnArena *arena,
			ChurnError *error)
{
	uint32_t	flags = (uint32_t) model_get(reader, 4);
	uint32_t	first = 0;
	uint32_t	i;

	forest->dart = (flags & MODEL_FOREST_DART) != 0;
	forest->base_margin = model_get_float(reader);
	forest->nfeatures = (uint32_t) model_get(reader, 4);
	forest->ntrees = model_get_count(reader, MODEL_TREE_BYTES);
	forest->nnodes = model_get_count(reader, MODEL_LEAF_BYTES);
	forest->nbits = model_get_count(reader, 4);
	if (reader->failed || (flags & ~(uint32_t) MODEL_FOREST_DART) != 0 ||
		(uint64_t) forest->ntrees * MODEL_TREE_BYTES +
		(uint64_t) forest->nnodes * MODEL_LEAF_BYTES +
		(uint64_t) forest->nbits * 4 > model_remaining(reader))
		return model_truncated(error, "trees");
	if (forest->ntrees > CHURN_MAX_TREES)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "%u trees exceed the limit of %u",
						  forest->ntrees, CHURN_MAX_TREES);

	forest->trees = churn_arena_array(arena, forest->ntrees,
									  sizeof(ChurnTree), error);
	forest->nodes = churn_arena_array(arena, forest->nnodes,
									  sizeof(ChurnNode), error);
	forest->bits = churn_arena_array(arena, forest->nbits,
									 sizeof(uint32_t), error);
	if (forest->trees == NULL || forest->nodes == NULL ||
		forest->bits == NULL)
		return false;

	for (i = 0; i < forest->ntrees; i++)
	{
		forest->trees[i].first = first;
		forest->trees[i].nnodes = (uint32_t) model_get(reader, 4);
		forest->trees[i].weight = model_get_float(reader);
		if (forest->trees[i].nnodes > forest->nnodes - first)
			return model_truncated(error, "trees");
		first += forest->trees[i].nnodes;
	}
	for (i = 0; i < forest->nnodes && !reader->failed; i++)
		read_node(reader, &forest->nodes[i]);
	for (i = 0; i < forest->nbits; i++)
		forest->bits[i] = (uint32_t) model_get(reader, 4);
	if (reader->failed)
		return model_truncated(error, "trees");
	return true;
}

/* Reads a forest; NULL with *error set on failure. */
ChurnForest *
churn_model_read_forest(ModelReader *reader, ChurnArena *arena,
						ChurnError *error)
{
	ChurnForest *forest = churn_arena_alloc(arena, sizeof(ChurnForest),
											error);

	if (forest == NULL || !read_forest(reader, forest, arena, error))
		return NULL;
	return forest;
}

/* Reads the points of an effect, and the cuts between them if it has steps. */
static bool
read_points(ModelReader *reader, ChurnEffect *effect, ChurnArena *arena,
			ChurnError *error)
{
	effect->npoints = model_get_count(reader, MODEL_STEP_BYTES);
	if (effect->kind == CHURN_EFFECT_STEPS)
	{
		if (effect->npoints == 0)
			return model_truncated(error, "effects");
		effect->cuts = read_floats(reader, effect->npoints - 1, arena, error);
		if (effect->cuts == NULL)
			return false;
	}
	if (effect->npoints > model_remaining(reader) / sizeof(double))
		return model_truncated(error, "effects");
	effect->points = churn_model_read_doubles(reader, effect->npoints, arena,
											  error);
	return effect->points != NULL;
}

/* Reads an additive model; NULL with *error set on failure. */
ChurnAdditive *
churn_model_read_additive(ModelReader *reader, ChurnArena *arena,
						  ChurnError *error)
{
	ChurnAdditive *additive = churn_arena_alloc(arena, sizeof(ChurnAdditive),
												error);
	uint32_t	i;

	if (additive == NULL)
		return NULL;
	additive->intercept = model_get_double(reader);
	additive->nfeatures = model_get_count(reader, MODEL_EFFECT_BYTES);
	additive->effects = churn_arena_array(arena, additive->nfeatures,
										  sizeof(ChurnEffect), error);
	if (additive->effects == NULL)
		return NULL;
	for (i = 0; i < additive->nfeatures && !reader->failed; i++)
	{
		ChurnEffect *effect = &additive->effects[i];

		effect->kind = (ChurnEffectKind) model_get(reader, 1);
		effect->mean = model_get_double(reader);
		if (effect->kind != CHURN_EFFECT_NONE)
			effect->missing = model_get_double(reader);
		if (effect->kind == CHURN_EFFECT_LINEAR)
		{
			effect->slope = model_get_double(reader);
			effect->low = model_get_float(reader);
			effect->high = model_get_float(reader);
		}
		if ((effect->kind == CHURN_EFFECT_STEPS ||
			 effect->kind == CHURN_EFFECT_CATEGORIES) &&
			!read_points(reader, effect, arena, error))
			return NULL;
	}
	if (reader->failed)
	{
		model_truncated(error, "effects");
		return NULL;
	}
	return additive;
}

static bool
read_layer(ModelReader *reader, ChurnNetworkLayer *layer, ChurnArena *arena,
		   ChurnError *error)
{
	uint64_t	nweights;

	layer->ninputs = (uint32_t) model_get(reader, 4);
	layer->noutputs = (uint32_t) model_get(reader, 4);
	nweights = (uint64_t) layer->ninputs * layer->noutputs;
	if (reader->failed || nweights > model_remaining(reader) / 4 ||
		layer->noutputs > model_remaining(reader) / 4 - nweights)
		return model_truncated(error, "network");
	layer->weights = read_floats(reader, nweights, arena, error);
	layer->biases = read_floats(reader, layer->noutputs, arena, error);
	return layer->weights != NULL && layer->biases != NULL;
}

/*
 * Reads a network, apart from where the inputs of each feature begin, which
 * the features tell.  NULL with *error set on failure.
 */
ChurnNetwork *
churn_model_read_network(ModelReader *reader, ChurnArena *arena,
						 ChurnError *error)
{
	ChurnNetwork *network = churn_arena_alloc(arena, sizeof(ChurnNetwork),
											  error);
	uint32_t	i;

	if (network == NULL)
		return NULL;
	network->nfeatures = model_get_count(reader, MODEL_INPUT_BYTES);
	network->inputs = churn_arena_array(arena, network->nfeatures,
										sizeof(ChurnNetworkInput), error);
	if (network->inputs == NULL)
		return NULL;
	for (i = 0; i < network->nfeatures; i++)
	{
		network->inputs[i].low = model_get_float(reader);
		network->inputs[i].high = model_get_float(reader);
		network->inputs[i].mean = model_get_float(reader);
		network->inputs[i].scale = model_get_float(reader);
	}
	network->ninputs = model_get_count(reader, sizeof(float));
	network->baseline = read_floats(reader, network->ninputs, arena, error);
	network->nlayers = (uint32_t) model_get(reader, 4);
	if (network->baseline == NULL)
		return NULL;
	if (reader->failed || network->nlayers > CHURN_MAX_LAYERS)
	{
		model_truncated(error, "network");
		return NULL;
	}
	for (i = 0; i < network->nlayers; i++)
		if (!read_layer(reader, &network->layers[i], arena, error))
			return NULL;
	return network;
}
