/*
 * explain_forest.c
 *		Prepares a forest for the explanation of rows.
 */
#include <math.h>
#include <string.h>

#include "explain_forest.h"
#include "explain_wide.h"
#include "forest_parts.h"

/* A tree goes into a block if it fills at least this part of it. */
#define LEAST_FILL	0.1

/* What the path to the present node says of a feature. */
typedef struct PathFeature
{
	uint32_t	node;			/* inner node that split on it last, or none */
	uint32_t	state;			/* the side on which the path left that */
	double		share;			/* product of the shares of its splits */
} PathFeature;

/* One edge of the path, with what it replaced. */
typedef struct PathStep
{
	uint32_t	feature;
	PathFeature before;
} PathStep;

/* A node yet to be visited. */
typedef struct Visit
{
	uint32_t	node;			/* of the tree as it is in the model */
	uint32_t	parent;			/* inner node as numbered here, or none */
	uint32_t	depth;			/* edges of the path above the parent */
	ChurnSplitState side;		/* of the parent */
} Visit;

/* The work on a forest; all but the result is in scratch. */
typedef struct Maker
{
	const ChurnForest *source;
	ChurnArena *keep;
	ChurnArena *scratch;
	ChurnPathForest *forest;
	uint32_t   *depths;			/* by tree; 0 if it does not go into a block */
	uint32_t	nwide;			/* trees in blocks */
	PathFeature *features;
	PathStep   *path;
	Visit	   *stack;
	double	   *shares;			/* by inner node: z above it */
	double	   *means;			/* by node of the tree */
	double	   *points;			/* of nrule points */
	double	   *weights;
	uint32_t	nrule;
	uint32_t	depth;			/* edges on the path */
	uint32_t	distinct;		/* features on the path */
	uint32_t	most_distinct;
} Maker;

/* The shares of a node's cover that its children have; half without cover. */
static void
cover_shares(const ChurnNode *nodes, const ChurnNode *node, float *left,
			 float *right)
{
	*left = nodes[node->left].cover / node->cover;
	*right = nodes[node->right].cover / node->cover;
	if (!(*left >= 0) || !(*right >= 0) || isinf(*left) || isinf(*right) ||
		(*left == 0 && *right == 0))
		*left = *right = 0.5f;
}

/* The mean of a tree's leaves by cover; children come after their parents. */
static double
tree_mean(const Maker *maker, const ChurnTree *tree)
{
	const ChurnNode *nodes = maker->source->nodes + tree->first;
	uint32_t	i = tree->nnodes;
	float		left;
	float		right;

	while (i-- > 0)
	{
		const ChurnNode *node = &nodes[i];

		if (node->left < 0)
		{
			maker->means[i] = churn_leaf_value(maker->source, tree, node);
			continue;
		}
		cover_shares(nodes, node, &left, &right);
		maker->means[i] = left * maker->means[node->left] +
			right * maker->means[node->right];
	}
	return maker->means[0];
}

/* Shortens the path to so many edges. */
static void
rewind_path(Maker *maker, uint32_t depth)
{
	while (maker->depth > depth)
	{
		const PathStep *step = &maker->path[--maker->depth];

		maker->features[step->feature] = step->before;
		maker->distinct -= step->before.node == CHURN_NO_NODE;
	}
}

/* Lengthens the path by the edge from a node on one of its sides. */
static void
extend_path(Maker *maker, const ChurnSplit *splits, uint32_t node,
			ChurnSplitState side)
{
	const ChurnSplit *split = &splits[node];
	PathStep   *step = &maker->path[maker->depth++];
	PathFeature *feature = &maker->features[split->feature];

	step->feature = split->feature;
	step->before = *feature;
	maker->distinct += feature->node == CHURN_NO_NODE;
	if (maker->distinct > maker->most_distinct)
		maker->most_distinct = maker->distinct;
	feature->node = node;
	feature->state = side;
	feature->share = maker->shares[node] *
		(side == CHURN_SPLIT_LEFT ? split->left_share : split->right_share);
}

/* Copies an inner node, whose path is the present one. */
static void
copy_split(Maker *maker, const ChurnTree *tree, const ChurnNode *node,
		   ChurnSplit *splits, uint32_t number)
{
	const ChurnNode *nodes = maker->source->nodes + tree->first;
	const PathFeature *above = &maker->features[node->feature];
	ChurnSplit *split = &splits[number];

	cover_shares(nodes, node, &split->left_share, &split->right_share);
	split->feature = node->feature;
	split->source = tree->first + (uint32_t) (node - nodes);
	split->flags = node->flags;
	if (node->flags & CHURN_NODE_CATEGORICAL)
	{
		split->u.words = node->bits;
		split->nwords = node->nwords;
	}
	else
		split->u.threshold = node->value;
	split->above = above->node;
	split->alive = above->state;
	maker->shares[number] = above->node == CHURN_NO_NODE ? 1 : above->share;
}

/* Writes what explain_trees.c needs at all points, for a share z above. */
static void
write_curve(const Maker *maker, double z, ChurnLanes * curve)
{
	uint32_t	i;

	for (i = 0; i < maker->nrule; i++)
	{
		double		t = maker->points[i];
		double		a = t + (1 - t) * z;
		ChurnLanes *lanes = curve + i / CHURN_POINTS * 2;

		lanes[0][i % CHURN_POINTS] = (float) (t / a);
		lanes[1][i % CHURN_POINTS] =
			(float) (maker->weights[i] * z / (a * a));
	}
}

/*
 * Makes the curves of a copied tree.  Nodes whose feature is new to the path
 * share one.
 */
static bool
make_curves(Maker *maker, ChurnPathTree *copy, ChurnSplit *splits,
			ChurnArena *keep, ChurnError *error)
{
	const uint32_t size = 2 * copy->ngroups;
	size_t		ncurves = 2;
	ChurnLanes *curves;
	uint32_t	i;

	for (i = 0; i < copy->ninner; i++)
		ncurves += splits[i].above != CHURN_NO_NODE;
	curves = churn_arena_array(keep, ncurves * size, sizeof(ChurnLanes),
							   error);
	if (curves == NULL)
		return false;
	if (maker->nrule != copy->ngroups * CHURN_POINTS)
	{
		maker->nrule = copy->ngroups * CHURN_POINTS;
		churn_gauss_points(maker->nrule, maker->points, maker->weights);
	}
	write_curve(maker, 1, curves + size);
	ncurves = 2;
	for (i = 0; i < copy->ninner; i++)
	{
		splits[i].curve = size;
		if (splits[i].above == CHURN_NO_NODE)
			continue;
		splits[i].curve = (uint32_t) (ncurves++ * size);
		write_curve(maker, maker->shares[i], curves + splits[i].curve);
	}
	copy->curves = curves;
	return true;
}

/*
 * Copies a tree in preorder, so that all nodes of a path come in its order.
 * Fills maker->shares, and makes curves of them if the copy is to be kept.
 */
static bool
copy_tree(Maker *maker, const ChurnTree *tree, ChurnPathTree *copy,
		  ChurnArena *keep, ChurnError *error)
{
	const ChurnNode *nodes = maker->source->nodes + tree->first;
	ChurnSplit *splits;
	float	   *leaves;
	uint32_t	nvisits = 1;
	uint32_t	ninner = 0;
	uint32_t	nleaves = 0;

	copy->ninner = tree->nnodes / 2;
	splits = churn_arena_array(keep, copy->ninner, sizeof(ChurnSplit), error);
	leaves = churn_arena_array(keep, (size_t) copy->ninner + 1,
							   sizeof(float), error);
	if (splits == NULL || leaves == NULL)
		return false;
	maker->most_distinct = 0;
	maker->stack[0] = (Visit)
	{
		0, CHURN_NO_NODE, 0, CHURN_SPLIT_DEAD
	};
	while (nvisits > 0)
	{
		const Visit visit = maker->stack[--nvisits];
		const ChurnNode *node = &nodes[visit.node];
		uint32_t	number = node->left < 0 ? copy->ninner + nleaves : ninner;

		rewind_path(maker, visit.depth);
		if (visit.parent != CHURN_NO_NODE)
		{
			*(visit.side == CHURN_SPLIT_LEFT ? &splits[visit.parent].left :
			  &splits[visit.parent].right) = number;
			extend_path(maker, splits, visit.parent, visit.side);
		}
		if (node->left < 0)
		{
			leaves[nleaves++] = churn_leaf_value(maker->source, tree, node);
			continue;
		}
		copy_split(maker, tree, node, splits, ninner++);
		maker->stack[nvisits++] = (Visit)
		{
			(uint32_t) node->right, number,
				maker->depth, CHURN_SPLIT_RIGHT
		};
		maker->stack[nvisits++] = (Visit)
		{
			(uint32_t) node->left, number,
				maker->depth, CHURN_SPLIT_LEFT
		};
	}
	rewind_path(maker, 0);
	copy->splits = splits;
	copy->leaves = leaves;
	copy->ngroups = (maker->most_distinct + 2 * CHURN_POINTS - 1) /
		(2 * CHURN_POINTS);
	return keep != maker->keep || make_curves(maker, copy, splits, keep, error);
}

/* Takes the scratch that work on trees of so many nodes needs. */
static bool
make_maker(Maker *maker, const ChurnForest *source, uint32_t most,
		   ChurnArena *keep, ChurnArena *scratch, ChurnError *error)
{
	const size_t most_points = source->nfeatures / 2 + CHURN_POINTS;
	uint32_t	i;

	memset(maker, 0, sizeof(*maker));
	maker->keep = keep;
	maker->scratch = scratch;
	maker->source = source;
	maker->features = churn_arena_array(scratch, source->nfeatures,
										sizeof(PathFeature), error);
	maker->path = churn_arena_array(scratch, most, sizeof(PathStep), error);
	maker->stack = churn_arena_array(scratch, (size_t) most + 2,
									 sizeof(Visit), error);
	maker->shares = churn_arena_array(scratch, most, sizeof(double), error);
	maker->means = churn_arena_array(scratch, most, sizeof(double), error);
	maker->points = churn_arena_array(scratch, most_points, sizeof(double),
									  error);
	maker->weights = churn_arena_array(scratch, most_points, sizeof(double),
									   error);
	if (maker->features == NULL || maker->path == NULL ||
		maker->stack == NULL || maker->shares == NULL ||
		maker->means == NULL || maker->points == NULL ||
		maker->weights == NULL)
		return false;
	for (i = 0; i < source->nfeatures; i++)
		maker->features[i].node = CHURN_NO_NODE;
	return true;
}

/* The depth of a tree; children come after their parents. */
static uint32_t
tree_depth(const ChurnForest *source, const ChurnTree *tree, uint32_t *levels)
{
	const ChurnNode *nodes = source->nodes + tree->first;
	uint32_t	depth = 0;
	uint32_t	i;

	levels[0] = 0;
	for (i = 0; i < tree->nnodes; i++)
	{
		if (levels[i] > depth)
			depth = levels[i];
		if (nodes[i].left < 0)
			continue;
		levels[nodes[i].left] = levels[i] + 1;
		levels[nodes[i].right] = levels[i] + 1;
	}
	return depth;
}

/*
 * Chooses the trees that go into blocks: shallow ones that do not leave most
 * of a block empty, as long as the tables of masks have room.
 */
static bool
choose_trees(Maker *maker, ChurnWideMaker *wide, uint32_t most,
			 ChurnError *error)
{
	const ChurnForest *source = maker->source;
	uint32_t	counts[CHURN_WIDE_DEPTH + 1] = {0};
	uint32_t   *levels = churn_arena_array(maker->scratch, most,
										   sizeof(uint32_t), error);
	uint32_t	depth;
	uint32_t	t;

	maker->depths = churn_arena_array(maker->scratch, source->ntrees,
									  sizeof(uint32_t), error);
	if (levels == NULL || maker->depths == NULL)
		return false;
	for (t = 0; t < source->ntrees && wide != NULL; t++)
	{
		const ChurnTree *tree = &source->trees[t];

		depth = tree_depth(source, tree, levels);
		if (depth > CHURN_WIDE_DEPTH ||
			(double) (tree->nnodes / 2) <
			LEAST_FILL * (double) (UINT32_C(1) << depth))
			continue;
		maker->depths[t] = depth;
		counts[depth]++;
	}
	for (depth = 1; depth <= CHURN_WIDE_DEPTH; depth++)
	{
		if (counts[depth] > 0 &&
			churn_wide_reserve(wide, depth, counts[depth]))
			continue;
		for (t = 0; t < source->ntrees; t++)
			if (maker->depths[t] == depth)
				maker->depths[t] = 0;
	}
	return true;
}

/* Copies all trees, into blocks or one by one. */
static bool
copy_trees(Maker *maker, ChurnWideMaker *wide, ChurnPart *part,
		   ChurnError *error)
{
	const ChurnForest *source = maker->source;
	ChurnPathForest *forest = maker->forest;
	uint32_t	t;

	for (t = 0; t < source->ntrees; t++)
	{
		const ChurnTree *tree = &source->trees[t];
		const uint32_t depth = maker->depths[t];
		ChurnPathTree *copy = &forest->trees[forest->ntrees];

		part->bias += tree_mean(maker, tree);
		if (tree->nnodes == 1)
			continue;			/* explains nothing */
		if (!copy_tree(maker, tree, copy,
					   depth > 0 ? maker->scratch : maker->keep, error))
			return false;
		if (depth > 0)
		{
			if (!churn_wide_add(wide, depth, copy, maker->shares, error))
				return false;
			maker->nwide++;
			continue;
		}
		if (copy->ninner > forest->most)
			forest->most = copy->ninner;
		forest->ntrees++;
	}
	return true;
}

/* Prepares a forest; see explain_parts.h. */
bool
churn_explain_forest(const ChurnForest *source, uint32_t choice,
					 ChurnArena *keep, ChurnArena *scratch, ChurnPart *part,
					 ChurnError *error)
{
	ChurnPathForest *forest;
	ChurnWideMaker *wide = NULL;
	ChurnError	local = {CHURN_OK, ""};
	uint32_t   *words;
	uint32_t	most = 0;
	Maker		maker;
	uint32_t	i;

	for (i = 0; i < source->ntrees; i++)
		if (source->trees[i].nnodes > most)
			most = source->trees[i].nnodes;
	forest = churn_arena_alloc(keep, sizeof(ChurnPathForest), error);
	words = churn_arena_array(keep, source->nbits, sizeof(uint32_t), error);
	if (forest == NULL || words == NULL ||
		!make_maker(&maker, source, most, keep, scratch, error))
		return false;
	if (source->nbits > 0)
		memcpy(words, source->bits, source->nbits * sizeof(uint32_t));
	forest->words = words;
	forest->trees = churn_arena_array(keep, source->ntrees,
									  sizeof(ChurnPathTree), error);
	maker.forest = forest;
	if (forest->trees == NULL)
		return false;

	/* too many bins for blocks is no failure */
	if ((choice & CHURN_EXPLAIN_SINGLY) == 0)
		wide = churn_wide_begin(source, keep, scratch, &local);
	if (local.code != CHURN_OK && local.code != CHURN_ERROR_LIMIT)
		return churn_fail(error, local.code, "%s", local.message);
	part->bias = source->base_margin;
	if (!choose_trees(&maker, wide, most, error) ||
		!copy_trees(&maker, wide, part, error))
		return false;
	if (maker.nwide > 0)
	{
		forest->wide = churn_wide_end(wide, (choice & CHURN_EXPLAIN_PORTABLE) != 0,
									  error);
		if (forest->wide == NULL)
			return false;
	}
	part->explain = churn_explain_trees;
	part->state = forest;
	part->nfeatures = source->nfeatures;
	part->workspace = churn_explain_trees_workspace(forest, part->nfeatures);
	return true;
}
