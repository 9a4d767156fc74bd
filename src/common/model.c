/*
 * model.c
 *		The compiled form of a model: writing it and the proofs about a model.
 *		model_read.c reads it.
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
 *	string type, uint32 number of categories, string per category
 * MODEL_FOREST:
 *	uint32 flags (MODEL_FOREST_DART), float base margin, uint32 number of
 *	features, trees, nodes, words of bitsets; per tree uint32 nodes, float
 *	weight; per node uint16 flags, uint16 feature, float value, float cover,
 *	and int32 left, int32 right unless it is a leaf (MODEL_NODE_LEAF), and
 *	uint32 bits, uint32 nwords if it is categorical; the words
 * MODEL_DECISION:
 *	double threshold, uint8 as_of, string column
 *
 * A string is uint32 length and bytes without a zero among them.
 */
#include <float.h>
#include <math.h>
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
		put(writer, feature->ncategories, 4);
		for (code = 0; code < feature->ncategories; code++)
			put_string(writer, feature->categories[code]);
	}
	end_section(writer, start);
}

static void
put_forest(ModelWriter *writer, const ChurnForest *forest)
{
	uint64_t	start = begin_section(writer, MODEL_FOREST);
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
put_model(ModelWriter *writer, const ChurnModel *model)
{
	size_t		i;

	writer->length = 0;
	for (i = 0; i < MODEL_MAGIC_LENGTH; i++)
		put(writer, (uint8_t) MODEL_MAGIC[i], 1);
	put(writer, MODEL_FORMAT_VERSION, 4);
	put(writer, 3, 4);			/* sections */
	put_features(writer, model);
	put_forest(writer, &model->forest);
	put_decision(writer, model);
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

/* A node's own fields, apart from where it stands in its tree. */
static bool
check_node(const ChurnForest *forest, const ChurnNode *node, uint32_t index,
		   ChurnError *error)
{
	if (node->flags & ~(uint32_t) (CHURN_NODE_DEFAULT_LEFT |
								   CHURN_NODE_CATEGORICAL))
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "node %u has unknown flags", index);
	if (!isfinite(node->cover))
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "node %u has no finite cover", index);
	if (node->left < 0)
	{
		if (node->left != -1 || (node->flags & CHURN_NODE_CATEGORICAL))
			return churn_fail(error, CHURN_ERROR_CORRUPT,
							  "node %u is neither leaf nor split", index);
		if (!isfinite(node->value))
			return churn_fail(error, CHURN_ERROR_CORRUPT,
							  "leaf %u has no finite value", index);
		return true;
	}
	if (node->feature >= forest->nfeatures)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "node %u splits on feature %u of %u",
						  index, node->feature, forest->nfeatures);
	if ((node->flags & CHURN_NODE_CATEGORICAL) == 0)
	{
		if (isnan(node->value))
			return churn_fail(error, CHURN_ERROR_CORRUPT,
							  "node %u has no threshold", index);
		return true;
	}
	if (node->bits > forest->nbits ||
		node->nwords > forest->nbits - node->bits)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "node %u has categories out of bounds", index);
	if (node->nwords > CHURN_MAX_CATEGORIES / 32)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "node %u splits on more than %u categories",
						  index, CHURN_MAX_CATEGORIES);
	return true;
}

/*
 * Proves that the nodes of one tree are a tree.  Children have larger indexes
 * than their parent, so nothing can run in circles; each node but the root is
 * the child of exactly one other.  The latter is shown with a bitmap for a
 * window of the nodes at a time, which needs neither memory nor recursion.
 */
static bool
check_shape(const ChurnNode *nodes, uint32_t nnodes, uint32_t tree,
			ChurnError *error)
{
	uint8_t		seen[MODEL_WINDOW_NODES / 8];
	uint32_t	start;
	uint32_t	i;
	uint64_t	children = 0;

	for (start = 0; start < nnodes; start += MODEL_WINDOW_NODES)
	{
		memset(seen, 0, sizeof(seen));
		for (i = 0; i < nnodes; i++)
		{
			int32_t		pair[2];
			int			k;

			if (nodes[i].left < 0)
				continue;
			pair[0] = nodes[i].left;
			pair[1] = nodes[i].right;
			for (k = 0; k < 2; k++)
			{
				uint32_t	at = (uint32_t) pair[k] - start;

				if (pair[k] <= (int64_t) i || pair[k] >= (int64_t) nnodes)
					return churn_fail(error, CHURN_ERROR_CORRUPT,
									  "node %u of tree %u has no valid child",
									  i, tree);
				if (at >= MODEL_WINDOW_NODES)
					continue;
				if (seen[at / 8] & (1 << at % 8))
					return churn_fail(error, CHURN_ERROR_CORRUPT,
									  "node %u of tree %u has two parents",
									  (uint32_t) pair[k], tree);
				seen[at / 8] |= (uint8_t) (1 << at % 8);
				children++;
			}
		}
	}
	if (children != (uint64_t) nnodes - 1)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "tree %u has nodes that its root does not reach",
						  tree);
	return true;
}

/*
 * Checks the forest.  Bitsets may not overlap, so that the work a forest makes
 * for an evaluator is bounded by its size.
 */
static bool
check_forest(const ChurnForest *forest, ChurnError *error)
{
	uint64_t	first = 0;
	uint64_t	words = 0;
	uint32_t	i;

	if (forest->ntrees > CHURN_MAX_TREES)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "%u trees exceed the limit of %u",
						  forest->ntrees, CHURN_MAX_TREES);
	if (!isfinite(forest->base_margin))
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "base margin is not finite");
	for (i = 0; i < forest->nnodes; i++)
	{
		if (!check_node(forest, &forest->nodes[i], i, error))
			return false;
		if (forest->nodes[i].flags & CHURN_NODE_CATEGORICAL)
			words += forest->nodes[i].nwords;
	}
	if (words > forest->nbits)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "nodes share their categories");
	for (i = 0; i < forest->ntrees; i++)
	{
		const ChurnTree *tree = &forest->trees[i];

		if (tree->nnodes == 0 || tree->first != first ||
			tree->nnodes > forest->nnodes - first)
			return churn_fail(error, CHURN_ERROR_CORRUPT,
							  "tree %u has nodes out of bounds", i);
		if (tree->nnodes > MODEL_MAX_TREE_NODES)
			return churn_fail(error, CHURN_ERROR_LIMIT,
							  "tree %u of %u nodes exceeds the limit of %u",
							  i, tree->nnodes, MODEL_MAX_TREE_NODES);
		if (!isfinite(tree->weight) || (!forest->dart && tree->weight != 1))
			return churn_fail(error, CHURN_ERROR_CORRUPT,
							  "tree %u has an invalid weight", i);
		if (!check_shape(forest->nodes + first, tree->nnodes, i, error))
			return false;
		first += tree->nnodes;
	}
	if (first != forest->nnodes)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "nodes belong to no tree");
	return true;
}

static bool
check_feature(const ChurnFeature *feature, uint32_t index, ChurnError *error)
{
	if (feature->name == NULL || feature->name[0] == '\0' ||
		feature->type == NULL)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "feature %u has no name", index);
	if ((unsigned int) feature->kind > CHURN_FEATURE_AGE ||
		(feature->flags & ~(uint32_t) CHURN_FEATURE_TEXT_NUMBER) != 0)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "feature \"%.200s\" is of unknown kind",
						  feature->name);
	if (feature->ncategories > CHURN_MAX_CATEGORIES)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "feature \"%.200s\" has %u categories, more than %u",
						  feature->name, feature->ncategories,
						  CHURN_MAX_CATEGORIES);
	if ((feature->kind == CHURN_FEATURE_CATEGORY) !=
		(feature->dictionary != NULL) ||
		(feature->kind != CHURN_FEATURE_CATEGORY && feature->ncategories > 0))
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "feature \"%.200s\" has the wrong categories",
						  feature->name);
	return true;
}

/*
 * Checks all that evaluation relies on.  A model that passes can be evaluated,
 * explained and written without further bounds checks.
 */
bool
churn_model_check(const ChurnModel *model, ChurnError *error)
{
	uint32_t	i;

	if (model->nfeatures > CHURN_MAX_FEATURES)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "%u features exceed the limit of %u",
						  model->nfeatures, CHURN_MAX_FEATURES);
	if (model->forest.nfeatures != model->nfeatures)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "the forest is made for %u features, not %u",
						  model->forest.nfeatures, model->nfeatures);
	for (i = 0; i < model->nfeatures; i++)
		if (!check_feature(&model->features[i], i, error))
			return false;
	if (!isfinite(model->threshold))
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "threshold is not finite");
	if ((unsigned int) model->as_of > CHURN_AS_OF_COLUMN ||
		(model->as_of == CHURN_AS_OF_COLUMN) != (model->as_of_column != NULL))
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "ages have no date to count from");
	return check_forest(&model->forest, error);
}
