/*
 * model_check_forest.c
 *		The proofs about a forest that churn_model_check makes.
 */
#include <math.h>
#include <string.h>

#include "model_format.h"

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
bool
churn_model_check_forest(const ChurnForest *forest, ChurnError *error)
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
