/*
 * test_explain.c
 *		Contributions to the margins of forests, against their definition by
 *		all subsets of the features and by sums over the leaves.
 */
#include "explain_test.h"

#include "../../src/common/forest_parts.h"

#define MAX_SUBSETS	1024

/* How the covers of a test's trees are. */
typedef enum Covers
{
	COVERS_SUM,					/* children's add up to the parent's */
	COVERS_RANDOM,				/* as random_tree() leaves them, some zero */
} Covers;

/* Gives the nodes of all trees covers. */
static void
set_covers(Random *random, ChurnForest *forest, Covers covers)
{
	uint32_t	t;
	uint32_t	i;

	for (t = 0; t < forest->ntrees; t++)
	{
		ChurnNode  *nodes = forest->nodes + forest->trees[t].first;

		if (covers == COVERS_SUM)
			nodes[0].cover = 1000;
		for (i = 0; i < forest->trees[t].nnodes; i++)
		{
			ChurnNode  *node = &nodes[i];

			if (covers == COVERS_RANDOM && random_below(random, 10) == 0)
				node->cover = 0;
			if (covers == COVERS_RANDOM || node->left < 0)
				continue;
			nodes[node->left].cover = node->cover *
				(float) (1 + random_below(random, 99)) / 100;
			nodes[node->right].cover = node->cover - nodes[node->left].cover;
		}
	}
}

/* The shares of the cover that the children have; half without cover. */
static void
shares_of(const ChurnNode *nodes, const ChurnNode *node, double *left,
		  double *right)
{
	double		a = nodes[node->left].cover;
	double		b = nodes[node->right].cover;

	*left = node->cover > 0 && a + b > 0 ? a / node->cover : 0.5;
	*right = node->cover > 0 && a + b > 0 ? b / node->cover : 0.5;
}

/* Whether the row goes right at a node. */
static bool
goes_right(const ChurnForest *forest, const ChurnNode *node,
		   const float *row)
{
	float		value = row[node->feature];

	if (isnan(value))
		return (node->flags & CHURN_NODE_DEFAULT_LEFT) == 0;
	if ((node->flags & CHURN_NODE_CATEGORICAL) == 0)
		return !(value < node->value);
	return value >= 0 && value < 16777216.0f &&
		churn_category_in(forest->bits + node->bits, node->nwords,
						  (uint32_t) value);
}

/*
 * The expectation of a tree when only the features in the set are known: it
 * follows the row at those, and takes the mean by cover at the others.
 */
static double
expectation(const ChurnForest *forest, const ChurnTree *tree, int32_t at,
			const float *row, uint32_t set)
{
	const ChurnNode *nodes = forest->nodes + tree->first;
	const ChurnNode *node = &nodes[at];
	double		left;
	double		right;

	if (node->left < 0)
		return churn_leaf_value(forest, tree, node);
	if (set >> node->feature & 1)
		return expectation(forest, tree, goes_right(forest, node, row) ?
						   node->right : node->left, row, set);
	shares_of(nodes, node, &left, &right);
	return left * expectation(forest, tree, node->left, row, set) +
		right * expectation(forest, tree, node->right, row, set);
}

/* Shapley values by their definition: all subsets of up to 10 features. */
static void
explain_by_subsets(const ChurnForest *forest, const float *row, double *sums)
{
	static double values[MAX_SUBSETS];
	const uint32_t n = forest->nfeatures;
	uint32_t	set;
	uint32_t	i;
	uint32_t	t;

	memset(sums, 0, (n + 1) * sizeof(double));
	for (set = 0; set < UINT32_C(1) << n; set++)
	{
		values[set] = forest->base_margin;
		for (t = 0; t < forest->ntrees; t++)
			values[set] += expectation(forest, &forest->trees[t], 0, row, set);
	}
	sums[n] = values[0];
	for (i = 0; i < n; i++)
		for (set = 0; set < UINT32_C(1) << n; set++)
		{
			uint32_t	size = (uint32_t) __builtin_popcount(set);

			if (set >> i & 1)
				continue;
			sums[i] += (values[set | 1u << i] - values[set]) *
				tgamma(size + 1) * tgamma(n - size) / tgamma(n + 1);
		}
}

/* The distinct features on the path to a leaf. */
typedef struct Path
{
	uint32_t	n;
	uint32_t	features[64];
	double		zeros[64];
	double		ones[64];
} Path;

/*
 * The contributions of one leaf to all features on its path, by the sizes of
 * the subsets of the others: the coefficients of prod (o x + z).
 */
static void
explain_leaf(const Path *path, double value, double *sums)
{
	uint32_t	i;
	uint32_t	j;
	uint32_t	k;

	for (i = 0; i < path->n; i++)
	{
		double		sizes[65] = {1};
		double		sum = 0;
		uint32_t	m = 0;

		for (j = 0; j < path->n; j++)
		{
			if (j == i)
				continue;
			m++;
			for (k = m; k > 0; k--)
				sizes[k] = sizes[k] * path->zeros[j] +
					sizes[k - 1] * path->ones[j];
			sizes[0] *= path->zeros[j];
		}
		for (k = 0; k <= m; k++)
			sum += sizes[k] * tgamma(k + 1) * tgamma(path->n - k) /
				tgamma(path->n + 1);
		sums[path->features[i]] += value * sum *
			(path->ones[i] - path->zeros[i]);
	}
}

/* Goes on along an edge of the path. */
static Path
longer_path(const Path *path, uint32_t feature, double share, bool followed)
{
	Path		longer = *path;
	uint32_t	i;

	for (i = 0; i < path->n && path->features[i] != feature; i++)
		;
	if (i == path->n)
	{
		longer.n++;
		longer.features[i] = feature;
		longer.zeros[i] = 1;
		longer.ones[i] = 1;
	}
	longer.zeros[i] *= share;
	longer.ones[i] *= followed;
	return longer;
}

/* Adds the contributions of all leaves below a node. */
static void
explain_by_leaves(const ChurnForest *forest, const ChurnTree *tree,
				  int32_t at, const float *row, const Path *path,
				  double *sums)
{
	const ChurnNode *nodes = forest->nodes + tree->first;
	const ChurnNode *node = &nodes[at];
	double		left;
	double		right;
	Path		longer;
	bool		goes;

	if (node->left < 0)
	{
		explain_leaf(path, churn_leaf_value(forest, tree, node), sums);
		return;
	}
	shares_of(nodes, node, &left, &right);
	goes = goes_right(forest, node, row);
	longer = longer_path(path, node->feature, left, !goes);
	explain_by_leaves(forest, tree, node->left, row, &longer, sums);
	longer = longer_path(path, node->feature, right, goes);
	explain_by_leaves(forest, tree, node->right, row, &longer, sums);
}

/* Name, features, trees, leaves, chain, vary, categories, thresholds, dart. */
static const ForestShape shapes[] = {
	{"no tree", 3, 0, 1, false, false, 0, 10, false},
	{"leaves only", 3, 7, 1, false, false, 0, 10, false},
	{"stumps", 5, 20, 2, false, false, 3, 30, false},
	{"8 leaves", 8, 20, 8, false, true, 0, 10, false},
	{"8 leaves, categories", 9, 20, 8, false, true, 5, 10, false},
	{"16 leaves, dart", 9, 10, 16, false, true, 5, 10, true},
	{"64 leaves", 10, 9, 64, false, true, 40, 10, false},
	{"64 leaves, one feature", 1, 9, 64, false, true, 0, 10, false},
	{"64 leaves, two features", 2, 9, 64, false, true, 5, 10, false},
	{"chains", 10, 5, 30, true, true, 5, 10, false},
	{"20 features", 20, 40, 64, false, true, 4, 250, false},
	{"20 features, dart", 20, 40, 64, false, true, 4, 250, true},
	{"500 leaves", 30, 9, 500, false, true, 9, 100, true},
	{"long chains, many features", 60, 4, 100, true, false, 20, 100, false},
	{"many features", 1600, 12, 64, false, true, 10, 20, false},
	{"many trees", 12, 700, 30, false, true, 4, 60, false},
};

/* Compares a forest's explanation of some rows with the definitions. */
static void
test_forest(Random *random, const ForestShape *shape, Covers covers)
{
	ChurnArena *arena = churn_arena_create();
	ChurnForest *forest = test_alloc(arena, 1, sizeof(ChurnForest));
	ChurnComponent component = {CHURN_COMPONENT_FOREST, "test", 1, 0,
	forest, NULL, NULL};
	ChurnExplainer *explainer;
	void	   *workspace;
	float	   *row = test_alloc(arena, shape->nfeatures, sizeof(float));
	double	   *got = test_alloc(arena, shape->nfeatures + 1, sizeof(double));
	double	   *expected = test_alloc(arena, shape->nfeatures + 1,
									  sizeof(double));
	double		worst = 0;
	double		worst_sum = 0;
	uint32_t	r;
	uint32_t	i;
	uint32_t	t;

	random_forest(random, shape, forest, arena);
	set_covers(random, forest, covers);
	explainer = make_explainer(make_model(shape->nfeatures, &component, 1,
										  arena), arena);
	workspace = make_workspace(explainer);
	for (r = 0; r < ROWS; r++)
	{
		const Path	empty = {0};
		double		sum = 0;
		double		gap;

		for (i = 0; i < shape->nfeatures; i++)
			row[i] = random_value(random, shape);
		churn_explain_row(explainer, row, workspace, got);
		memset(expected, 0, (shape->nfeatures + 1) * sizeof(double));
		if (shape->nfeatures <= 10)
			explain_by_subsets(forest, row, expected);
		else
		{
			for (t = 0; t < forest->ntrees; t++)
				explain_by_leaves(forest, &forest->trees[t], 0, row, &empty,
								  expected);
			expected[shape->nfeatures] = got[shape->nfeatures];
		}
		gap = difference(got, expected, shape->nfeatures + 1);
		worst = gap > worst ? gap : worst;
		for (i = 0; i <= shape->nfeatures; i++)
			sum += got[i];
		gap = fabs(sum - (double) churn_forest_margin(forest, row));
		worst_sum = gap > worst_sum ? gap : worst_sum;
	}
	ok(worst <= 2e-6, "%s: contributions are as defined (%.1g)",
	   shape->name, worst);
	if (covers == COVERS_SUM)
		ok(worst_sum <= 2e-5, "%s: they sum to the margin (%.1g)",
		   shape->name, worst_sum);
	free(workspace);
	churn_arena_destroy(arena);
}

int
main(void)
{
	Random		random = {20240611};
	uint32_t	i;

	for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
	{
		test_forest(&random, &shapes[i], COVERS_SUM);
		test_forest(&random, &shapes[i], COVERS_RANDOM);
	}
	return done();
}
