/*
 * model_write.c
 *		The compiled form of a model: what it looks like, and writing it.
 *
 * Layout, all numbers little-endian, floats by their IEEE 754 bits:
 *
 *	8 bytes		magic
 *	uint32		format version
 *	uint32		number of sections
 *	sections, by rising kind, without gaps, to the end of the bytes:
 *		uint32		kind, with MODEL_SECTION_OPTIONAL when a reader that does
 *					not know the kind may pass it by
 *		uint32		zero
 *		uint64		length of what follows
 *
 * MODEL_FEATURES:
 *	uint32 count, then per feature uint8 kind, uint8 flags, string name,
 *	string type, string transform (empty: none), uint32 number of categories,
 *	string per category
 * MODEL_COMPONENTS:
 *	uint32 count, then per component uint8 kind, string algorithm, double
 *	weight, double offset, and its body:
 *	forest		uint32 flags (MODEL_FOREST_DART), float base margin, uint32
 *				number of features, trees, nodes, words of bitsets; per tree
 *				uint32 nodes, float weight; per node uint16 flags, uint16
 *				feature, float value, float cover, and int32 left, int32 right
 *				unless it is a leaf (MODEL_NODE_LEAF), and uint32 bits, uint32
 *				nwords if it is categorical; the words
 *	additive	double intercept, uint32 number of effects; per effect uint8
 *				kind, double mean and, unless it is none, double missing;
 *				linear: double slope, float low, float high; steps: uint32
 *				number of points, floats of cuts (one less), doubles of
 *				points; categories: uint32 number and doubles of points
 *	network		uint32 number of features; per feature float low, high, mean,
 *				scale; uint32 number of inputs, floats of the baseline; uint32
 *				number of layers; per layer uint32 inputs, uint32 outputs,
 *				floats of weights, floats of biases
 * MODEL_DECISION:
 *	double threshold, uint8 as_of, string column
 * MODEL_CALIBRATION:
 *	uint8 kind, double a, b, c, uint32 number of knots, doubles of their
 *	margins, doubles of their logits
 *
 * A string is uint32 length and bytes without a zero among them.
 */
#include <string.h>

#include "model_format.h"

/* Where the writer stands; with bytes == NULL it only counts. */
typedef struct ModelWriter
{
	uint8_t    *bytes;
	uint64_t	length;
} ModelWriter;

static void
put(ModelWriter *writer, uint64_t value, int size)
{
	int			i;

	if (writer->bytes != NULL)
		for (i = 0; i < size; i++)
			writer->bytes[writer->length + i] = (uint8_t) (value >> 8 * i);
	writer->length += size;
}

static void
put_float(ModelWriter *writer, float value)
{
	uint32_t	bits;

	memcpy(&bits, &value, sizeof(bits));
	put(writer, bits, 4);
}

static void
put_double(ModelWriter *writer, double value)
{
	uint64_t	bits;

	memcpy(&bits, &value, sizeof(bits));
	put(writer, bits, 8);
}

static void
put_string(ModelWriter *writer, const char *text)
{
	size_t		length = text == NULL ? 0 : strlen(text);

	put(writer, length, 4);
	if (writer->bytes != NULL && length > 0)
		memcpy(writer->bytes + writer->length, text, length);
	writer->length += length;
}

/* Writes a section's head, its length yet unknown; returns where it starts. */
static uint64_t
begin_section(ModelWriter *writer, uint32_t kind)
{
	put(writer, kind, 4);
	put(writer, 0, 4);
	put(writer, 0, 8);
	return writer->length;
}

/* Puts the length into the head of the section that began at start. */
static void
end_section(ModelWriter *writer, uint64_t start)
{
	uint64_t	end = writer->length;

	writer->length = start - 8;
	put(writer, end - start, 8);
	writer->length = end;
}

static void
put_features(ModelWriter *writer, const ChurnModel *model)
{
	uint64_t	start = begin_section(writer, MODEL_FEATURES);
	uint32_t	i;
	uint32_t	code;

	put(writer, model->nfeatures, 4);
	for (i = 0; i < model->nfeatures; i++)
	{
		const ChurnFeature *feature = &model->features[i];

		put(writer, feature->kind, 1);
		put(writer, feature->flags, 1);
		put_string(writer, feature->name);
		put_string(writer, feature->type);
		put_string(writer, feature->transform);
		put(writer, feature->ncategories, 4);
		for (code = 0; code < feature->ncategories; code++)
			put_string(writer, feature->categories[code]);
	}
	end_section(writer, start);
}

static void
put_forest(ModelWriter *writer, const ChurnForest *forest)
{
	uint32_t	i;

	put(writer, forest->dart ? MODEL_FOREST_DART : 0, 4);
	put_float(writer, forest->base_margin);
	put(writer, forest->nfeatures, 4);
	put(writer, forest->ntrees, 4);
	put(writer, forest->nnodes, 4);
	put(writer, forest->nbits, 4);
	for (i = 0; i < forest->ntrees; i++)
	{
		put(writer, forest->trees[i].nnodes, 4);
		put_float(writer, forest->trees[i].weight);
	}
	for (i = 0; i < forest->nnodes; i++)
	{
		const ChurnNode *node = &forest->nodes[i];
		bool		leaf = node->left < 0;

		put(writer, node->flags | (leaf ? MODEL_NODE_LEAF : 0), 2);
		put(writer, leaf ? 0 : node->feature, 2);
		put_float(writer, node->value);
		put_float(writer, node->cover);
		if (!leaf)
		{
			put(writer, (uint32_t) node->left, 4);
			put(writer, (uint32_t) node->right, 4);
		}
		if (node->flags & CHURN_NODE_CATEGORICAL)
		{
			put(writer, node->bits, 4);
			put(writer, node->nwords, 4);
		}
	}
	for (i = 0; i < forest->nbits; i++)
		put(writer, forest->bits[i], 4);
}

static void
put_floats(ModelWriter *writer, const float *values, uint64_t count)
{
	uint64_t	i;

	for (i = 0; i < count; i++)
		put_float(writer, values[i]);
}

static void
put_doubles(ModelWriter *writer, const double *values, uint64_t count)
{
	uint64_t	i;

	for (i = 0; i < count; i++)
		put_double(writer, values[i]);
}

static void
put_additive(ModelWriter *writer, const ChurnAdditive *additive)
{
	uint32_t	i;

	put_double(writer, additive->intercept);
	put(writer, additive->nfeatures, 4);
	for (i = 0; i < additive->nfeatures; i++)
	{
		const ChurnEffect *effect = &additive->effects[i];

		put(writer, effect->kind, 1);
		put_double(writer, effect->mean);
		if (effect->kind != CHURN_EFFECT_NONE)
			put_double(writer, effect->missing);
		if (effect->kind == CHURN_EFFECT_LINEAR)
		{
			put_double(writer, effect->slope);
			put_float(writer, effect->low);
			put_float(writer, effect->high);
		}
		if (effect->kind != CHURN_EFFECT_STEPS &&
			effect->kind != CHURN_EFFECT_CATEGORIES)
			continue;
		put(writer, effect->npoints, 4);
		if (effect->kind == CHURN_EFFECT_STEPS)
			put_floats(writer, effect->cuts, effect->npoints - 1);
		put_doubles(writer, effect->points, effect->npoints);
	}
}

static void
put_network(ModelWriter *writer, const ChurnNetwork *network)
{
	uint32_t	i;

	put(writer, network->nfeatures, 4);
	for (i = 0; i < network->nfeatures; i++)
	{
		put_float(writer, network->inputs[i].low);
		put_float(writer, network->inputs[i].high);
		put_float(writer, network->inputs[i].mean);
		put_float(writer, network->inputs[i].scale);
	}
	put(writer, network->ninputs, 4);
	put_floats(writer, network->baseline, network->ninputs);
	put(writer, network->nlayers, 4);
	for (i = 0; i < network->nlayers; i++)
	{
		const ChurnNetworkLayer *layer = &network->layers[i];

		put(writer, layer->ninputs, 4);
		put(writer, layer->noutputs, 4);
		put_floats(writer, layer->weights,
				   (uint64_t) layer->ninputs * layer->noutputs);
		put_floats(writer, layer->biases, layer->noutputs);
	}
}

static void
put_components(ModelWriter *writer, const ChurnModel *model)
{
	uint64_t	start = begin_section(writer, MODEL_COMPONENTS);
	uint32_t	i;

	put(writer, model->ncomponents, 4);
	for (i = 0; i < model->ncomponents; i++)
	{
		const ChurnComponent *component = &model->components[i];

		put(writer, component->kind, 1);
		put_string(writer, component->algorithm);
		put_double(writer, component->weight);
		put_double(writer, component->offset);
		switch (component->kind)
		{
			case CHURN_COMPONENT_FOREST:
				put_forest(writer, component->forest);
				break;
			case CHURN_COMPONENT_ADDITIVE:
				put_additive(writer, component->additive);
				break;
			case CHURN_COMPONENT_NETWORK:
				put_network(writer, component->network);
				break;
		}
	}
	end_section(writer, start);
}

static void
put_decision(ModelWriter *writer, const ChurnModel *model)
{
	uint64_t	start = begin_section(writer, MODEL_DECISION);

	put_double(writer, model->threshold);
	put(writer, model->as_of, 1);
	put_string(writer, model->as_of_column);
	end_section(writer, start);
}

static void
put_calibration(ModelWriter *writer, const ChurnCalibration *calibration)
{
	uint64_t	start = begin_section(writer, MODEL_CALIBRATION);

	put(writer, calibration->kind, 1);
	put_double(writer, calibration->a);
	put_double(writer, calibration->b);
	put_double(writer, calibration->c);
	put(writer, calibration->nknots, 4);
	put_doubles(writer, calibration->margins, calibration->nknots);
	put_doubles(writer, calibration->logits, calibration->nknots);
	end_section(writer, start);
}

static void
put_model(ModelWriter *writer, const ChurnModel *model)
{
	size_t		i;

	writer->length = 0;
	for (i = 0; i < MODEL_MAGIC_LENGTH; i++)
		put(writer, (uint8_t) MODEL_MAGIC[i], 1);
	put(writer, MODEL_FORMAT_VERSION, 4);
	put(writer, MODEL_NSECTIONS, 4);
	put_features(writer, model);
	put_components(writer, model);
	put_decision(writer, model);
	put_calibration(writer, &model->calibration);
}

/*
 * Writes the compiled form, which is a function of the model alone.  The model
 * is checked first, so that what is written can be read.
 */
bool
churn_model_write(const ChurnModel *model, ChurnArena *arena,
				  uint8_t **bytes, size_t *length, ChurnError *error)
{
	ModelWriter writer = {NULL, 0};
	uint64_t	needed;

	if (!churn_model_check(model, error))
		return false;
	put_model(&writer, model);
	needed = writer.length;
	if (needed > CHURN_MAX_MODEL_BYTES)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "compiled model of %llu bytes exceeds the "
						  "limit of %u",
						  (unsigned long long) needed, CHURN_MAX_MODEL_BYTES);
	writer.bytes = churn_arena_alloc(arena, (size_t) needed, error);
	if (writer.bytes == NULL)
		return false;
	put_model(&writer, model);
	*bytes = writer.bytes;
	*length = (size_t) needed;
	return true;
}
