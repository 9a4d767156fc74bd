/*
 * explain_trees.c
 *		Exact path-dependent SHAP values of a row, in time linear in the nodes.
 *
 * Let the path to a leaf of value v split on the features 1 .. k.  For each,
 * z is the product of the shares of the covers on the path's edges that split
 * on it, and o is 1 if the row satisfies all of these splits, else 0.  The
 * game that Lundberg et al. define gives a set S of known features the sum over
 * the leaves of v * prod(o in S) * prod(z not in S).  Shapley's weight of S is
 * the integral of t^|S| (1 - t)^(k - 1 - |S|) over (0, 1), so that
 *
 *	contribution of i = v (o_i - z_i) integral prod(j /= i) (t o_j + (1 - t) z_j)
 *
 * whose integrand is a polynomial of degree k - 1: the points of Gauss and
 * Legendre give it exactly, up to rounding, (k + 1) / 2 of them.  At a point t,
 * a(o, z) = t o + (1 - t) z.
 *
 * All leaves are summed at once.  For a node n that splits on i, let z be the
 * product of the shares of i's splits above (1 if there are none) and A = t +
 * (1 - t) z.  D is the product of the a() of all features on the path from
 * the root, B the sum over the leaves below of v times what D gains on the way
 * there.  Then, hot being the child that the row goes to,
 *
 *	M = share(left) B(left) + share(right) B(right),	d = B(hot) - M
 *	B = M + s d,										s = t / A
 *	contribution of i += sum over the points of weight D z / A^2 d
 *	D(child) = D ((1 - s) share(child) + (s if child is hot))
 *
 * if the row satisfies the splits on i above; otherwise ("dead") s and the
 * contribution are 0.  All terms of products are positive, so nothing cancels,
 * unlike in the algorithm that unwinds paths.
 */
#include <string.h>

#include "explain_forest.h"
#include "explain_wide.h"
#include "forest_parts.h"

/* So many trees are added in float before the sums go on in double. */
#define TREES_A_FLUSH	32

/* The parts of the workspace; all by inner node but the first. */
typedef struct Walk
{
	ChurnLanes *sums;			/* by feature */
	ChurnLanes *down;			/* D; by node, leaves too */
	ChurnLanes *up;				/* B; by node, leaves too */
	uint32_t   *states;
} Walk;

/* Divides the workspace. */
static Walk
make_walk(const ChurnPathForest *forest, uint32_t nfeatures, void *workspace)
{
	const size_t nodes = 2 * (size_t) forest->most + 1;
	Walk		walk;

	walk.sums = workspace;
	walk.down = walk.sums + nfeatures;
	walk.up = walk.down + nodes;
	walk.states = (uint32_t *) (walk.up + nodes);
	return walk;
}

/* Bytes of working memory; blocks and other trees take turns. */
size_t
churn_explain_trees_workspace(const ChurnPathForest *forest,
							  uint32_t nfeatures)
{
	const size_t nodes = 2 * (size_t) forest->most + 1;
	const size_t size = (nfeatures + 2 * nodes) * sizeof(ChurnLanes) +
	forest->most * sizeof(uint32_t);
	const size_t wide = forest->wide == NULL ? 0 :
	churn_explain_wide_workspace(forest->wide);

	return size > wide ? size : wide;
}

/* Whether a value goes right, as in forest.c. */
static inline bool
goes_right(const ChurnPathForest *forest, const ChurnSplit *split,
		   float value)
{
	if (value != value)
		return (split->flags & CHURN_NODE_DEFAULT_LEFT) == 0;
	if ((split->flags & CHURN_NODE_CATEGORICAL) == 0)
		return !(value < split->u.threshold);
	return value >= 0 && value < (float) CHURN_MAX_CATEGORIES &&
		churn_category_in(forest->words + split->u.words, split->nwords,
						  (uint32_t) value);
}

/* Finds where the row stands at each inner node. */
static void
find_states(const ChurnPathForest *forest, const ChurnPathTree *tree,
			const float *features, uint32_t *states)
{
	uint32_t	i;

	for (i = 0; i < tree->ninner; i++)
	{
		const ChurnSplit *split = &tree->splits[i];
		uint32_t	state = CHURN_SPLIT_LEFT +
		goes_right(forest, split, features[split->feature]);

		if (split->above != CHURN_NO_NODE &&
			states[split->above] != split->alive)
			state = CHURN_SPLIT_DEAD;
		states[i] = state;
	}
}

/* Computes D of all nodes, from the root to the leaves. */
static void
walk_down(const ChurnPathTree *tree, uint32_t group, Walk *walk)
{
	uint32_t	i;

	walk->down[0] = (ChurnLanes)
	{
		1, 1, 1, 1
	};
	for (i = 0; i < tree->ninner; i++)
	{
		const ChurnSplit *split = &tree->splits[i];
		const uint32_t state = walk->states[i];
		const		ChurnLanes *curve = tree->curves +
		(state == CHURN_SPLIT_DEAD ? 0 : split->curve + 2 * group);
		const		ChurnLanes bent = walk->down[i] * curve[0];
		const		ChurnLanes straight = walk->down[i] - bent;

		walk->down[split->left] = straight * split->left_share;
		walk->down[split->right] = straight * split->right_share;
		walk->down[state == CHURN_SPLIT_RIGHT ? split->right :
				   split->left] += bent;
	}
}

/* Computes B of all inner nodes, and adds the contributions up. */
static void
walk_up(const ChurnPathTree *tree, uint32_t group, Walk *walk)
{
	uint32_t	i = tree->ninner;

	while (i-- > 0)
	{
		const ChurnSplit *split = &tree->splits[i];
		const uint32_t state = walk->states[i];
		const		ChurnLanes *curve = tree->curves +
		(state == CHURN_SPLIT_DEAD ? 0 : split->curve + 2 * group);
		const		ChurnLanes left = walk->up[split->left];
		const		ChurnLanes right = walk->up[split->right];
		const		ChurnLanes mean = left * split->left_share +
		right * split->right_share;
		const		ChurnLanes hot = state == CHURN_SPLIT_RIGHT ? right : left;
		const		ChurnLanes change = hot - mean;

		walk->up[i] = mean + curve[0] * change;
		walk->sums[split->feature] += walk->down[i] * curve[1] * change;
	}
}

/* Moves the sums of some trees to where all are added in double. */
static void
flush(const ChurnPart *part, Walk *walk, double *sums)
{
	uint32_t	i;
	uint32_t	k;

	for (i = 0; i < part->nfeatures; i++)
	{
		double		sum = 0;

		for (k = 0; k < CHURN_POINTS; k++)
			sum += walk->sums[i][k];
		sums[i] += part->weight * sum;
		walk->sums[i] = (ChurnLanes)
		{
			0
		};
	}
}

/* Explains a row by a forest; see explain_parts.h. */
void
churn_explain_trees(const ChurnPart *part, const float *features,
					void *workspace, double *sums)
{
	const ChurnPathForest *forest = part->state;
	Walk		walk = make_walk(forest, part->nfeatures, workspace);
	uint32_t	t;
	uint32_t	i;
	uint32_t	group;

	if (forest->wide != NULL)
		churn_explain_wide(forest->wide, features, part->weight, workspace,
						   sums);
	if (forest->ntrees == 0)
		return;
	memset(walk.sums, 0, part->nfeatures * sizeof(ChurnLanes));
	for (t = 0; t < forest->ntrees; t++)
	{
		const ChurnPathTree *tree = &forest->trees[t];

		find_states(forest, tree, features, walk.states);
		for (i = 0; i <= tree->ninner; i++)
			walk.up[tree->ninner + i] = (ChurnLanes)
		{
			0
		} +tree->leaves[i];
		for (group = 0; group < tree->ngroups; group++)
		{
			walk_down(tree, group, &walk);
			walk_up(tree, group, &walk);
		}
		if (t % TREES_A_FLUSH == TREES_A_FLUSH - 1)
			flush(part, &walk, sums);
	}
	flush(part, &walk, sums);
}
