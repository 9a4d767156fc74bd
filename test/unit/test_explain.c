/*
 * test_explain.c
 *		Contributions to the margins of forests, against their definition by
 *		all subsets of the features and by sums over the leaves.
 */
#include "explain_test.h"

#include "../../src/common/explain_forest.h"
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
	{"30 leaves, 50 trees", 8, 50, 30, false, true, 5, 20, false},
	{"64 leaves, one feature", 1, 9, 64, false, true, 0, 10, false},
	{"64 leaves, two features", 2, 9, 64, false, true, 5, 10, false},
	{"chains", 10, 5, 30, true, true, 5, 10, false},
	{"20 features", 20, 10, 64, false, true, 4, 250, false},
	{"20 features, dart", 20, 10, 64, false, true, 4, 250, true},
	{"200 leaves", 30, 4, 200, false, true, 9, 100, true},
	{"long chains, many features", 60, 4, 100, true, false, 20, 100, false},
	{"many features", 1600, 12, 64, false, true, 10, 20, false},
	{"many trees", 12, 700, 30, false, true, 4, 60, false},
};

/* The ways to explain a forest; blocks must give the same bits everywhere. */
static const struct
{
	const char *name;
	uint32_t	choice;
	bool		same_bits;		/* as the way before */
}			ways[] = {
	{"one by one", CHURN_EXPLAIN_SINGLY, false},
	{"in blocks", 0, false},
	{"in blocks, portable", CHURN_EXPLAIN_PORTABLE, true},
};

#define NWAYS (sizeof(ways) / sizeof(ways[0]))

/* What the contributions to the margin of a row are by definition. */
static void
explain_by_definition(const ChurnForest *forest, const float *row,
					  double *sums)
{
	const Path	empty = {0};
	const uint32_t n = forest->nfeatures;
	uint32_t	t;
	uint32_t	i;

	if (n <= 10)
	{
		explain_by_subsets(forest, row, sums);
		return;
	}
	memset(sums, 0, (n + 1) * sizeof(double));
	for (t = 0; t < forest->ntrees; t++)
		explain_by_leaves(forest, &forest->trees[t], 0, row, &empty, sums);
	/* the mean is what is left, if the covers add up */
	sums[n] = churn_forest_margin(forest, row);
	for (i = 0; i < n; i++)
		sums[n] -= sums[i];
}

/* Prepares a forest in one way; the test ends if that fails. */
static void
prepare(const ChurnForest *forest, uint32_t choice, ChurnArena *arena,
		ChurnPart *part)
{
	ChurnArena *scratch = churn_arena_create();
	ChurnError	error;

	memset(part, 0, sizeof(*part));
	if (!churn_explain_forest(forest, choice, arena, scratch, part, &error))
	{
		printf("Bail out! %s\n", error.message);
		exit(1);
	}
	part->weight = 1;
	churn_arena_destroy(scratch);
}

/* Explains rows in one way, one after another in memory. */
static void
explain_rows(const ChurnPart *part, const float *rows, double *results)
{
	const uint32_t n = part->nfeatures;
	void	   *workspace = aligned_alloc(32, (part->workspace + 31) / 32 * 32 +
										  32);
	uint32_t	r;

	memset(results, 0, ROWS * (n + 1) * sizeof(double));
	for (r = 0; r < ROWS; r++)
	{
		part->explain(part, rows + r * n, workspace, results + r * (n + 1));
		results[r * (n + 1) + n] = part->bias;
	}
	free(workspace);
}

/* Compares a forest's explanation of some rows with the definitions. */
static void
test_forest(Random *random, const ForestShape *shape, Covers covers)
{
	ChurnArena *arena = churn_arena_create();
	ChurnForest *forest = test_alloc(arena, 1, sizeof(ChurnForest));
	const uint32_t n = shape->nfeatures;
	const size_t nresults = ROWS * (n + 1);
	float	   *rows = test_alloc(arena, ROWS * n, sizeof(float));
	double	   *expected = test_alloc(arena, nresults, sizeof(double));
	double	   *results[NWAYS];
	uint32_t	i;
	uint32_t	r;
	uint32_t	w;

	random_forest(random, shape, forest, arena);
	set_covers(random, forest, covers);
	for (i = 0; i < ROWS * n; i++)
		rows[i] = random_value(random, shape);
	for (r = 0; r < ROWS; r++)
		explain_by_definition(forest, rows + r * n, expected + r * (n + 1));
	for (w = 0; w < NWAYS; w++)
	{
		const bool	adds_up = covers == COVERS_SUM || n <= 10;
		double		worst = 0;
		ChurnPart	part;

		prepare(forest, ways[w].choice, arena, &part);
		results[w] = test_alloc(arena, nresults, sizeof(double));
		explain_rows(&part, rows, results[w]);
		for (r = 0; r < ROWS; r++)
			worst = fmax(worst, difference(results[w] + r * (n + 1),
										   expected + r * (n + 1),
										   adds_up ? n + 1 : n));
		ok(worst <= (n <= 10 ? 2e-6 : 1e-5),
		   "%s, %s%s: contributions are as defined (%.1g)", shape->name,
		   ways[w].name, covers == COVERS_SUM ? "" : ", any covers", worst);
		if (shape->nleaves == 8)
			ok((((const ChurnPathForest *) part.state)->wide != NULL) ==
			   (ways[w].choice != CHURN_EXPLAIN_SINGLY),
			   "%s, %s: that is the way", shape->name, ways[w].name);
		if (ways[w].same_bits)
			ok(memcmp(results[w], results[w - 1],
					  nresults * sizeof(double)) == 0,
			   "%s, %s: the same bits", shape->name, ways[w].name);
	}
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
