/*
 * xgboost_forest.c
 *		The trees of a model of XGBoost.
 *
 * XGBoost keeps leaves and inner nodes in parallel arrays, deleted nodes among
 * them: its pruner marks nodes and does not move the others.  The nodes are
 * therefore followed from the root and numbered as they are reached, which
 * also proves that they form a tree.
 */
#include "xgboost_internal.h"

#include <math.h>
#include <string.h>

/* One tree's arrays, all of n elements but the categories'. */
typedef struct TreeArrays
{
	size_t		n;
	const int32_t *lefts;
	const int32_t *rights;
	const int32_t *indices;
	const float *conditions;
	const float *hessians;
	const uint8_t *default_left;
	const uint8_t *split_type;	/* NULL: all are numerical */
	size_t		ncategorical;	/* nodes with categories */
	const int32_t *nodes;		/* which */
	const int64_t *segments;	/* where theirs begin in categories */
	const int64_t *sizes;		/* and how many they are */
	size_t		ncategories;
	const int32_t *categories;
} TreeArrays;

/* A set of categories whose bits are yet to be written. */
typedef struct CategorySet
{
	const int32_t *categories;
	size_t		n;
	uint32_t	bits;			/* where they go in forest->bits */
} CategorySet;

/* A forest that is being made. */
typedef struct ForestMaker
{
	ChurnForest *forest;
	ChurnArena *arena;
	ChurnError *error;
	size_t		tree;			/* the present one, for messages */
	CategorySet *sets;
	size_t		nsets;
} ForestMaker;

/*
 * Fails with a problem of the present tree.
 */
static bool
fail_tree(ForestMaker *maker, const char *problem)
{
	return churn_fail(maker->error, CHURN_ERROR_CORRUPT, "tree %zu %s",
					  maker->tree, problem);
}

/*
 * Returns the elements of a typed array of a tree, and its length.
 */
static bool
get_array(ForestMaker *maker, const ChurnValue *tree, const char *name,
		  ChurnValueKind kind, const void **elements, size_t *length)
{
	const ChurnValue *value = churn_value_get(tree, name);

	if (value == NULL || value->kind != kind)
		return churn_fail(maker->error, CHURN_ERROR_CORRUPT,
						  "tree %zu has no array \"%s\"", maker->tree, name);
	*elements = value->u.typed;
	*length = value->length;
	return true;
}

/*
 * The same, where the length must be n.
 */
static bool
get_nodes(ForestMaker *maker, const ChurnValue *tree, const char *name,
		  ChurnValueKind kind, const void **elements, size_t n)
{
	size_t		length = 0;

	if (!get_array(maker, tree, name, kind, elements, &length))
		return false;
	if (length != n)
		return churn_fail(maker->error, CHURN_ERROR_CORRUPT,
						  "array \"%s\" of tree %zu has %zu elements, not %zu",
						  name, maker->tree, length, n);
	return true;
}

/*
 * Finds a tree's arrays of categories, if it has any.
 */
static bool
get_categories(ForestMaker *maker, const ChurnValue *tree, TreeArrays *arrays)
{
	const void *p = NULL;

	if (churn_value_get(tree, "split_type") == NULL)
		return true;
	if (!get_nodes(maker, tree, "split_type", CHURN_VALUE_BYTES, &p,
				   arrays->n))
		return false;
	arrays->split_type = p;
	if (!get_array(maker, tree, "categories_nodes", CHURN_VALUE_INTS, &p,
				   &arrays->ncategorical))
		return false;
	arrays->nodes = p;
	if (!get_nodes(maker, tree, "categories_segments", CHURN_VALUE_LONGS, &p,
				   arrays->ncategorical))
		return false;
	arrays->segments = p;
	if (!get_nodes(maker, tree, "categories_sizes", CHURN_VALUE_LONGS, &p,
				   arrays->ncategorical))
		return false;
	arrays->sizes = p;
	if (!get_array(maker, tree, "categories", CHURN_VALUE_INTS, &p,
				   &arrays->ncategories))
		return false;
	arrays->categories = p;
	for (size_t i = 1; i < arrays->ncategorical; i++)
		if (arrays->nodes[i] <= arrays->nodes[i - 1])
			return fail_tree(maker, "has categories out of order");
	return true;
}

/*
 * Finds a tree's arrays.
 */
static bool
get_arrays(ForestMaker *maker, const ChurnValue *tree, TreeArrays *arrays)
{
	const void *p = NULL;
	int64_t		size_leaf_vector;

	memset(arrays, 0, sizeof(*arrays));
	if (!churn_xgboost_parameter(churn_value_get(tree, "tree_param"),
								 "size_leaf_vector", 1, &size_leaf_vector,
								 maker->error))
		return false;
	if (size_leaf_vector > 1)
		return churn_fail(maker->error, CHURN_ERROR_UNSUPPORTED,
						  "leaves of tree %zu are vectors of %lld values",
						  maker->tree, (long long) size_leaf_vector);
	if (!get_array(maker, tree, "left_children", CHURN_VALUE_INTS, &p,
				   &arrays->n))
		return false;
	arrays->lefts = p;
	if (arrays->n == 0 || arrays->n > INT32_MAX)
		return fail_tree(maker, "has no nodes");
	if (!get_nodes(maker, tree, "right_children", CHURN_VALUE_INTS, &p,
				   arrays->n))
		return false;
	arrays->rights = p;
	if (!get_nodes(maker, tree, "split_indices", CHURN_VALUE_INTS, &p,
				   arrays->n))
		return false;
	arrays->indices = p;
	if (!get_nodes(maker, tree, "split_conditions", CHURN_VALUE_FLOATS, &p,
				   arrays->n))
		return false;
	arrays->conditions = p;
	if (!get_nodes(maker, tree, "sum_hessian", CHURN_VALUE_FLOATS, &p,
				   arrays->n))
		return false;
	arrays->hessians = p;
	if (!get_nodes(maker, tree, "default_left", CHURN_VALUE_BYTES, &p,
				   arrays->n))
		return false;
	arrays->default_left = p;
	return get_categories(maker, tree, arrays);
}

/*
 * Returns where a node stands in the list of those with categories, SIZE_MAX
 * if it is not there.
 */
static size_t
find_categorical(const TreeArrays *arrays, int32_t node)
{
	size_t		low = 0;
	size_t		high = arrays->ncategorical;

	while (low < high)
	{
		size_t		middle = low + (high - low) / 2;

		if (arrays->nodes[middle] < node)
			low = middle + 1;
		else
			high = middle;
	}
	return low < arrays->ncategorical && arrays->nodes[low] == node ?
		low : SIZE_MAX;
}

/*
 * Gives the set of categories that go right at a node its place.  All sets
 * together are limited like the compiled form before memory is taken for them,
 * since one category of a high code costs many words.
 */
static bool
make_set(ForestMaker *maker, const TreeArrays *arrays, int32_t old,
		 ChurnNode *node)
{
	size_t		at = find_categorical(arrays, old);
	const int32_t *categories;
	size_t		n;
	int32_t		most = 0;
	uint32_t	nwords;
	ChurnForest *forest = maker->forest;

	if (at == SIZE_MAX || arrays->segments[at] < 0 || arrays->sizes[at] <= 0 ||
		(uint64_t) arrays->segments[at] > arrays->ncategories ||
		(uint64_t) arrays->sizes[at] > arrays->ncategories -
		(uint64_t) arrays->segments[at])
		return fail_tree(maker, "has a split without categories");
	categories = arrays->categories + arrays->segments[at];
	n = (size_t) arrays->sizes[at];
	for (size_t i = 0; i < n; i++)
	{
		if (categories[i] < 0)
			return fail_tree(maker, "has a category below zero");
		if (categories[i] > most)
			most = categories[i];
	}
	if (most >= CHURN_MAX_CATEGORIES)
		return churn_fail(maker->error, CHURN_ERROR_LIMIT,
						  "tree %zu splits on category %d, beyond the limit of %d",
						  maker->tree, most, CHURN_MAX_CATEGORIES - 1);
	nwords = (uint32_t) most / 32 + 1;
	if (nwords > CHURN_MAX_MODEL_BYTES / sizeof(uint32_t) - forest->nbits)
		return churn_fail(maker->error, CHURN_ERROR_LIMIT,
						  "sets of categories exceed the limit of %u bytes",
						  CHURN_MAX_MODEL_BYTES);
	node->flags |= CHURN_NODE_CATEGORICAL;
	node->bits = forest->nbits;
	node->nwords = nwords;
	forest->nbits += nwords;
	maker->sets[maker->nsets].categories = categories;
	maker->sets[maker->nsets].n = n;
	maker->sets[maker->nsets].bits = node->bits;
	maker->nsets++;
	return true;
}

/*
 * Writes the bits of all sets.
 */
static bool
make_bits(ForestMaker *maker)
{
	ChurnForest *forest = maker->forest;

	forest->bits = churn_arena_array(maker->arena, forest->nbits,
									 sizeof(uint32_t), maker->error);
	if (forest->bits == NULL)
		return false;
	for (size_t i = 0; i < maker->nsets; i++)
	{
		const CategorySet *set = &maker->sets[i];

		for (size_t j = 0; j < set->n; j++)
			forest->bits[set->bits + (uint32_t) set->categories[j] / 32] |=
				UINT32_C(1) << set->categories[j] % 32;
	}
	return true;
}

/*
 * Makes one node from its place in XGBoost's arrays; its children stay to be
 * numbered.
 */
static bool
make_node(ForestMaker *maker, const TreeArrays *arrays, int32_t old,
		  ChurnNode *node)
{
	bool		leaf = arrays->lefts[old] == -1;

	node->left = -1;
	node->right = -1;
	node->cover = arrays->hessians[old];
	if (!leaf && arrays->default_left[old] == 1)
		node->flags |= CHURN_NODE_DEFAULT_LEFT;
	if (!leaf)
	{
		if (arrays->indices[old] < 0 ||
			(uint32_t) arrays->indices[old] >= maker->forest->nfeatures)
			return fail_tree(maker, "splits on a feature that is not there");
		node->feature = (uint32_t) arrays->indices[old];
		if (arrays->split_type != NULL && arrays->split_type[old] == 1)
			return make_set(maker, arrays, old, node);
	}
	node->value = arrays->conditions[old];
	return true;
}

/*
 * Makes a tree's nodes, level by level: olds[i] is where XGBoost has the node
 * that becomes the i-th.
 */
static bool
make_tree(ForestMaker *maker, const TreeArrays *arrays, ChurnTree *tree)
{
	ChurnForest *forest = maker->forest;
	ChurnNode  *nodes = forest->nodes + forest->nnodes;
	int32_t    *olds = churn_arena_array(maker->arena, arrays->n,
										 sizeof(int32_t), maker->error);
	uint8_t    *reached = churn_arena_array(maker->arena, arrays->n, 1,
											maker->error);
	uint32_t	n = 1;

	if (olds == NULL || reached == NULL)
		return false;
	reached[0] = 1;
	for (uint32_t i = 0; i < n; i++)
	{
		int32_t		children[2] = {arrays->lefts[olds[i]],
		arrays->rights[olds[i]]};

		if (!make_node(maker, arrays, olds[i], &nodes[i]))
			return false;
		if (children[0] == -1)
			continue;
		nodes[i].left = (int32_t) n;
		nodes[i].right = (int32_t) n + 1;
		for (int j = 0; j < 2; j++)
		{
			if (children[j] < 0 || (size_t) children[j] >= arrays->n ||
				reached[children[j]])
				return fail_tree(maker, "is no tree");
			reached[children[j]] = 1;
			olds[n++] = children[j];
		}
	}
	tree->first = forest->nnodes;
	tree->nnodes = n;
	forest->nnodes += n;
	return true;
}

/*
 * Finds the trees in order of their ids, which is the order of summation.
 */
static const ChurnValue **
sort_trees(const ChurnValue *trees, ForestMaker *maker)
{
	const ChurnValue **sorted = churn_arena_array(maker->arena, trees->length,
												  sizeof(ChurnValue *),
												  maker->error);

	for (size_t i = 0; sorted != NULL && i < trees->length; i++)
	{
		const ChurnValue *tree = trees->u.elements[i];
		int64_t		id;

		if (!churn_xgboost_parameter(tree, "id", -1, &id, maker->error))
			return NULL;
		if (id < 0 || (uint64_t) id >= trees->length || sorted[id] != NULL)
		{
			churn_fail(maker->error, CHURN_ERROR_CORRUPT,
					   "trees are not numbered from 0 to %zu",
					   trees->length - 1);
			return NULL;
		}
		sorted[id] = tree;
	}
	return sorted;
}

/*
 * Checks that every tree adds to the one output.
 */
static bool
check_groups(const ChurnValue *model, size_t ntrees, ChurnError *error)
{
	const ChurnValue *groups = churn_value_get(model, "tree_info");
	int64_t		declared;

	if (!churn_xgboost_parameter(churn_value_get(model,
												 "gbtree_model_param"),
								 "num_trees", -1, &declared, error))
		return false;
	if (!churn_xgboost_is_array(groups) || groups->length != ntrees ||
		declared != (int64_t) ntrees)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "model does not have the number of trees it declares");
	for (size_t i = 0; i < ntrees; i++)
	{
		int64_t		group;

		if (!churn_xgboost_element(groups, i, &group) || group != 0)
			return churn_fail(error, CHURN_ERROR_UNSUPPORTED,
							  "tree %zu belongs to an output other than the first",
							  i);
	}
	return true;
}

/*
 * Gives the trees the weights that dart left them with.  3.1 and later write
 * dart as a gbtree with weights.
 */
static bool
set_weights(const ChurnValue *document, ForestMaker *maker)
{
	ChurnForest *forest = maker->forest;
	const ChurnValue *outer = churn_value_get(churn_value_get(document,
															  "learner"),
											  "gradient_booster");
	const ChurnValue *weights = churn_value_get(outer, "weight_drop");

	for (uint32_t i = 0; i < forest->ntrees; i++)
		forest->trees[i].weight = 1;
	if (weights == NULL || weights->length == 0)
		return strcmp(churn_value_text(outer, "name", ""), "dart") != 0 ||
			forest->ntrees == 0 ||
			churn_fail(maker->error, CHURN_ERROR_CORRUPT,
					   "dart has no weights of its trees");
	if (weights->kind != CHURN_VALUE_FLOATS ||
		weights->length != forest->ntrees)
		return churn_fail(maker->error, CHURN_ERROR_CORRUPT,
						  "%u trees have %zu weights", forest->ntrees,
						  weights->length);
	for (uint32_t i = 0; i < forest->ntrees; i++)
	{
		float		weight = ((const float *) weights->u.typed)[i];

		if (!isfinite(weight))
			return churn_fail(maker->error, CHURN_ERROR_CORRUPT,
							  "tree %u has no finite weight", i);
		forest->trees[i].weight = weight;
		if (weight != 1)
			forest->dart = true;
	}
	return true;
}

/*
 * Makes the forest.
 */
bool
churn_xgboost_forest(const ChurnValue *document, ChurnForest *forest,
					 ChurnArena *arena, ChurnError *error)
{
	const ChurnValue *model = churn_value_get(churn_xgboost_booster(document),
											  "model");
	const ChurnValue *trees = churn_value_get(model, "trees");
	const ChurnValue **sorted;
	ForestMaker maker = {.forest = forest,.arena = arena,.error = error};
	TreeArrays *arrays;
	size_t		nnodes = 0;
	size_t		nsets = 0;

	if (trees == NULL || trees->kind != CHURN_VALUE_ARRAY)
		return churn_fail(error, CHURN_ERROR_CORRUPT, "model has no trees");
	if (trees->length > CHURN_MAX_TREES)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "model has %zu trees, more than %d",
						  trees->length, CHURN_MAX_TREES);
	if (!check_groups(model, trees->length, error))
		return false;
	sorted = sort_trees(trees, &maker);
	arrays = churn_arena_array(arena, trees->length, sizeof(TreeArrays),
							   error);
	forest->trees = churn_arena_array(arena, trees->length, sizeof(ChurnTree),
									  error);
	if (sorted == NULL || arrays == NULL || forest->trees == NULL)
		return false;
	forest->ntrees = (uint32_t) trees->length;
	for (maker.tree = 0; maker.tree < trees->length; maker.tree++)
	{
		if (!get_arrays(&maker, sorted[maker.tree], &arrays[maker.tree]))
			return false;
		nnodes += arrays[maker.tree].n;
		nsets += arrays[maker.tree].ncategorical;
	}
	/* each node and set took bytes of the file, so that these are bounded */
	forest->nodes = churn_arena_array(arena, nnodes, sizeof(ChurnNode), error);
	maker.sets = churn_arena_array(arena, nsets, sizeof(CategorySet), error);
	if (forest->nodes == NULL || maker.sets == NULL)
		return false;
	for (maker.tree = 0; maker.tree < trees->length; maker.tree++)
	{
		if (!make_tree(&maker, &arrays[maker.tree],
					   &forest->trees[maker.tree]))
			return false;
	}
	return make_bits(&maker) && set_weights(document, &maker);
}
