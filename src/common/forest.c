/*
 * forest.c
 *		The margin of a tree ensemble: the reference, and the choice among the
 *		fast designs.
 *
 * The margin is what XGBoost's CPU predictor returns with output_margin, bit
 * for bit: a float32 sum that begins with the base margin and takes the leaves
 * in the order of the trees.  Dart's leaves are multiplied by their tree's
 * weight first, each product rounded to float32 (there, a tree's prediction is
 * made from zero and then scaled, hence the 0 + in churn_leaf_value, which
 * only matters to the sign of zero).  A missing value, which is NaN, follows
 * the default direction; a value below the threshold goes left; a category in
 * the node's set goes right and every other, also one that is negative or too
 * large, left.
 *
 * No product may be fused with the sum: compile with -ffp-contract=off.
 */
#include <math.h>
#include <string.h>

#include "arena_counting.h"
#include "forest_parts.h"

/* Estimated nanoseconds by measurement; their ratios decide. */
#define COST_PLAIN_STEP		4.0
#define COST_NUMERIC		6.0
#define COST_CATEGORICAL	2.5

/* Where a row goes at an inner node. */
static int32_t
next_node(const ChurnForest *forest, const ChurnNode *node, float value)
{
	bool		left;

	if (isnan(value))
		left = (node->flags & CHURN_NODE_DEFAULT_LEFT) != 0;
	else if ((node->flags & CHURN_NODE_CATEGORICAL) == 0)
		left = value < node->value;
	else if (value < 0 || value >= 16777216.0f)
		left = true;
	else
		left = !churn_category_in(forest->bits + node->bits, node->nwords,
								  (uint32_t) value);
	return left ? node->left : node->right;
}

/* The margin of one row straight from the nodes; the reference for tests. */
float
churn_forest_margin(const ChurnForest *forest, const float *features)
{
	float		margin = forest->base_margin;
	uint32_t	t;

	for (t = 0; t < forest->ntrees; t++)
	{
		const ChurnTree *tree = &forest->trees[t];
		const ChurnNode *nodes = forest->nodes + tree->first;
		int32_t		at = 0;

		while (nodes[at].left >= 0)
			at = next_node(forest, &nodes[at], features[nodes[at].feature]);
		margin += churn_leaf_value(forest, tree, &nodes[at]);
	}
	return margin;
}

/*
 * The probability that a margin stands for, in the float32 arithmetic of
 * XGBoost's Sigmoid(): the exponent is capped where expf would overflow, and
 * the epsilon, lost beside 1, is kept as there.
 */
float
churn_sigmoid(float margin)
{
	float		exponent = -margin;

	if (exponent > 88.7f)
		exponent = 88.7f;
	return 1.0f / (expf(exponent) + 1.0f + 1e-16f);
}

/* Returns the depth of each tree; children come after their parents. */
static uint32_t *
tree_depths(const ChurnForest *forest, ChurnArena *scratch, ChurnError *error)
{
	uint32_t   *depths;
	uint32_t   *levels;
	uint32_t	t;
	uint32_t	i;

	depths = churn_arena_array(scratch, forest->ntrees, sizeof(uint32_t),
							   error);
	levels = churn_arena_array(scratch, forest->nnodes, sizeof(uint32_t),
							   error);
	if (depths == NULL || levels == NULL)
		return NULL;
	for (t = 0; t < forest->ntrees; t++)
	{
		uint32_t	first = forest->trees[t].first;

		for (i = first; i < first + forest->trees[t].nnodes; i++)
		{
			const ChurnNode *node = &forest->nodes[i];

			if (levels[i] > depths[t])
				depths[t] = levels[i];
			if (node->left < 0)
				continue;
			levels[first + (uint32_t) node->left] = levels[i] + 1;
			levels[first + (uint32_t) node->right] = levels[i] + 1;
		}
	}
	return depths;
}

/*
 * Whether walking the nodes as they are is cheaper than even finding the bins:
 * few trees, many features.
 */
static bool
plain_is_best(const ChurnForest *forest, const ChurnBins *bins,
			  const uint32_t *depths)
{
	double		bin_cost = 0;
	double		plain_cost = 0;
	uint32_t	i;

	for (i = 0; i < bins->nbinners; i++)
		bin_cost += bins->binners[i].categorical ? COST_CATEGORICAL :
			COST_NUMERIC;
	for (i = 0; i < forest->ntrees; i++)
		plain_cost += COST_PLAIN_STEP * (depths[i] < 16 ? depths[i] : 16);
	return plain_cost < bin_cost;
}

/*
 * Makes an evaluator that looks at bins: the tables of leaf masks, or, where
 * they do not fit or would be slower, the walk.  CHURN_ERROR_LIMIT says that
 * neither fits or pays.
 */
static bool
make_binned(const ChurnForest *forest, const ChurnDesignChoice *choice,
			ChurnArena *keep, ChurnArena *scratch, ChurnEvaluator *evaluator,
			ChurnError *error)
{
	const bool	automatic = choice->design == CHURN_DESIGN_AUTO;
	uint32_t   *depths = tree_depths(forest, scratch, error);
	ChurnBins	bins;
	ChurnBitsPlan plan;

	if (depths == NULL ||
		!churn_bins_make(forest, keep, scratch, &bins, error))
		return false;
	if (automatic && plain_is_best(forest, &bins, depths))
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "bins do not pay for so small a forest");
	if (choice->design != CHURN_DESIGN_DEEP)
	{
		if (churn_bits_plan(forest, &bins, choice->width, scratch, &plan,
							error))
		{
			if (!automatic ||
				plan.nanoseconds <= churn_deep_cost(forest, depths))
				return churn_bits_make(forest, &bins, &plan, choice->portable,
									   keep, scratch, evaluator, error);
		}
		else if (!automatic || error->code != CHURN_ERROR_LIMIT)
			return false;
	}
	return churn_deep_make(forest, &bins, depths, keep, scratch, evaluator,
						   error);
}

/* Makes an evaluator in a forced design; see forest_parts.h. */
ChurnEvaluator *
churn_evaluator_make_as(const ChurnForest *forest,
						const ChurnDesignChoice *choice, ChurnArena *keep,
						ChurnArena *scratch, ChurnError *error)
{
	ChurnCountingArena counting = {{churn_counting_alloc, &counting,
	keep->share}, keep, 0};
	ChurnError	local;
	ChurnEvaluator *evaluator;

	evaluator = churn_arena_alloc(&counting.arena, sizeof(ChurnEvaluator),
								  error);
	if (evaluator == NULL)
		return NULL;
	evaluator->base_margin = forest->base_margin;
	if (choice->design == CHURN_DESIGN_PLAIN ||
		!make_binned(forest, choice, &counting.arena, scratch, evaluator,
					 &local))
	{
		if (choice->design != CHURN_DESIGN_PLAIN &&
			(choice->design != CHURN_DESIGN_AUTO ||
			 local.code != CHURN_ERROR_LIMIT))
		{
			churn_fail(error, local.code, "%s", local.message);
			return NULL;
		}
		if (!churn_plain_make(forest, &counting.arena, scratch, evaluator,
							  error))
			return NULL;
	}
	evaluator->size = counting.size;
	return evaluator;
}

/* Makes an evaluator; see churn/forest.h. */
ChurnEvaluator *
churn_evaluator_make(const ChurnForest *forest, ChurnArena *keep,
					 ChurnArena *scratch, ChurnError *error)
{
	const ChurnDesignChoice choice = {CHURN_DESIGN_AUTO, 0, false};

	return churn_evaluator_make_as(forest, &choice, keep, scratch, error);
}

/* Bytes of working memory for one row at a time. */
size_t
churn_evaluator_workspace(const ChurnEvaluator *evaluator)
{
	return evaluator->workspace;
}

/* Bytes that the evaluator holds, the arena's own overhead left out. */
size_t
churn_evaluator_size(const ChurnEvaluator *evaluator)
{
	return evaluator->size;
}

/* The margin of one row; see churn/forest.h. */
float
churn_evaluator_margin(const ChurnEvaluator *evaluator, const float *features,
					   void *workspace)
{
	return evaluator->margin(evaluator, features, workspace);
}
