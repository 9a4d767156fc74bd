/*
 * artifact_tree.c
 *		A single tree in our own documents, for rules that users give.
 */
#include "artifact_internal.h"

#include <math.h>

/*
 * Reads an integer of 0 to limit - 1 that must be there.
 */
static bool
read_index(const ChurnValue *node, const char *name, size_t limit,
		   uint32_t *index, ChurnError *error)
{
	const ChurnValue *value = churn_value_get(node, name);

	if (value == NULL || value->kind != CHURN_VALUE_INTEGER ||
		value->u.integer < 0 || (uint64_t) value->u.integer >= limit)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "\"%s\" of a node is no index below %zu", name,
						  limit);
	*index = (uint32_t) value->u.integer;
	return true;
}

/*
 * Gives a node the place of its set of categories, and counts the words.  They
 * are limited before memory is taken for them, since one category of a high
 * code costs many.
 */
static bool
place_set(const ChurnValue *categories, ChurnForest *forest, ChurnNode *node,
		  ChurnError *error)
{
	const int32_t *codes = categories->u.typed;
	int32_t		most = 0;

	if (categories->kind != CHURN_VALUE_INTS)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "\"categories\" of a node are no list of codes");
	for (size_t i = 0; i < categories->length; i++)
	{
		if (codes[i] < 0 || codes[i] >= CHURN_MAX_CATEGORIES)
			return churn_fail(error, CHURN_ERROR_CORRUPT,
							  "\"categories\" of a node are no codes below %d",
							  CHURN_MAX_CATEGORIES);
		if (codes[i] > most)
			most = codes[i];
	}
	node->flags |= CHURN_NODE_CATEGORICAL;
	node->bits = forest->nbits;
	node->nwords = (uint32_t) most / 32 + 1;
	if (node->nwords > CHURN_MAX_MODEL_BYTES / sizeof(uint32_t) -
		forest->nbits)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "sets of categories exceed the limit of %u bytes",
						  CHURN_MAX_MODEL_BYTES);
	forest->nbits += node->nwords;
	return true;
}

/*
 * Reads one node.  Its children need only be nodes; churn_model_check proves
 * the tree.
 */
static bool
read_node(const ChurnValue *value, size_t nnodes, ChurnForest *forest,
		  ChurnNode *node, ChurnError *error)
{
	const ChurnValue *default_left = churn_value_get(value, "default_left");
	const ChurnValue *categories = churn_value_get(value, "categories");
	double		number = churn_value_number(value, "value", NAN);
	bool		leaf = churn_value_get(value, "left") == NULL;
	uint32_t	left = 0;
	uint32_t	right = 0;

	node->left = -1;
	node->right = -1;
	node->cover = (float) churn_value_number(value, "cover", 0);
	if ((leaf || categories == NULL) && isnan(number))
		return churn_fail(error, CHURN_ERROR_CORRUPT, "a node has no value");
	if (leaf || categories == NULL)
		node->value = (float) number;
	if (leaf)
		return true;
	if (!read_index(value, "left", nnodes, &left, error) ||
		!read_index(value, "right", nnodes, &right, error) ||
		!read_index(value, "feature", forest->nfeatures, &node->feature,
					error))
		return false;
	node->left = (int32_t) left;
	node->right = (int32_t) right;
	if (default_left != NULL && default_left->kind == CHURN_VALUE_BOOLEAN &&
		default_left->u.boolean)
		node->flags |= CHURN_NODE_DEFAULT_LEFT;
	return categories == NULL || place_set(categories, forest, node, error);
}

/*
 * Writes the bits of a node's categories.
 */
static void
set_bits(const ChurnValue *categories, ChurnForest *forest,
		 const ChurnNode *node)
{
	const int32_t *codes = categories->u.typed;

	for (size_t i = 0; i < categories->length; i++)
		forest->bits[node->bits + (uint32_t) codes[i] / 32] |=
			UINT32_C(1) << codes[i] % 32;
}

/*
 * Makes a forest of the one tree; NULL with *error set on failure.
 */
ChurnForest *
churn_artifact_tree(const ChurnValue *nodes, uint32_t nfeatures,
					ChurnArena *arena, ChurnError *error)
{
	ChurnForest *forest = churn_arena_alloc(arena, sizeof(ChurnForest),
											error);

	if (forest == NULL)
		return NULL;
	if (nodes == NULL || nodes->kind != CHURN_VALUE_ARRAY ||
		nodes->length == 0 || nodes->length > INT32_MAX)
	{
		churn_fail(error, CHURN_ERROR_CORRUPT, "a tree has no list of nodes");
		return NULL;
	}
	forest->nfeatures = nfeatures;
	forest->ntrees = 1;
	forest->nnodes = (uint32_t) nodes->length;
	forest->trees = churn_arena_alloc(arena, sizeof(ChurnTree), error);
	forest->nodes = churn_arena_array(arena, nodes->length, sizeof(ChurnNode),
									  error);
	if (forest->trees == NULL || forest->nodes == NULL)
		return NULL;
	forest->trees[0].nnodes = forest->nnodes;
	forest->trees[0].weight = 1;
	for (uint32_t i = 0; i < forest->nnodes; i++)
		if (!read_node(nodes->u.elements[i], nodes->length, forest,
					   &forest->nodes[i], error))
			return NULL;
	forest->bits = churn_arena_array(arena, forest->nbits, sizeof(uint32_t),
									 error);
	if (forest->bits == NULL)
		return NULL;
	for (uint32_t i = 0; i < forest->nnodes; i++)
		if (forest->nodes[i].flags & CHURN_NODE_CATEGORICAL)
			set_bits(churn_value_get(nodes->u.elements[i], "categories"),
					 forest, &forest->nodes[i]);
	return forest;
}
