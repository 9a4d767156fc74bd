/*
 * test_forest.c
 *		Every design of the forest evaluator against the reference, bit by bit.
 */
#include "random_model.h"
#include "unit.h"

#include "../../src/common/forest_parts.h"

#define ROWS	1500

/* The designs to force; those that do not fit a forest are skipped. */
static const struct
{
	const char *name;
	ChurnDesignChoice choice;
}			designs[] = {
	{"auto", {CHURN_DESIGN_AUTO, 0, false}},
	{"auto, portable", {CHURN_DESIGN_AUTO, 0, true}},
	{"plain", {CHURN_DESIGN_PLAIN, 0, false}},
	{"deep", {CHURN_DESIGN_DEEP, 0, false}},
	{"8 bits", {CHURN_DESIGN_BITS, 8, false}},
	{"8 bits, portable", {CHURN_DESIGN_BITS, 8, true}},
	{"16 bits", {CHURN_DESIGN_BITS, 16, false}},
	{"16 bits, portable", {CHURN_DESIGN_BITS, 16, true}},
	{"32 bits", {CHURN_DESIGN_BITS, 32, false}},
	{"32 bits, portable", {CHURN_DESIGN_BITS, 32, true}},
	{"64 bits", {CHURN_DESIGN_BITS, 64, false}},
	{"64 bits, portable", {CHURN_DESIGN_BITS, 64, true}},
};

#define NDESIGNS (sizeof(designs) / sizeof(designs[0]))

/* Name, features, trees, leaves, chain, vary, categories, thresholds, dart. */
static const ForestShape shapes[] = {
	{"no tree", 3, 0, 1, false, false, 0, 10, false},
	{"one leaf", 3, 1, 1, false, false, 0, 10, false},
	{"leaves only", 3, 70, 1, false, false, 0, 10, true},
	{"one stump", 1, 1, 2, false, false, 0, 10, false},
	{"stumps", 5, 65, 2, false, false, 3, 30, false},
	{"depth 3", 19, 100, 8, false, true, 4, 60, false},
	{"depth 3, dart", 19, 100, 8, false, true, 4, 60, true},
	{"16 leaves", 12, 33, 16, false, true, 5, 60, false},
	{"32 leaves", 12, 31, 32, false, true, 40, 60, false},
	{"64 leaves", 19, 200, 64, false, true, 4, 250, false},
	{"64 leaves, many bins", 19, 24, 64, false, true, 3, 5000, false},
	{"64 leaves, 9 trees", 8, 9, 64, false, true, 3, 50, false},
	{"64 leaves, 16 trees", 8, 16, 64, false, true, 3, 50, false},
	{"64 leaves, 25 trees", 8, 25, 64, false, true, 3, 50, false},
	{"64 leaves, numeric", 7, 50, 64, false, false, 0, 250, false},
	{"64 leaves, chains", 19, 40, 64, true, false, 6, 250, true},
	{"binary categories", 30, 40, 40, false, true, 2, 50, false},
	{"65 leaves", 10, 20, 65, false, false, 5, 60, false},
	{"400 leaves", 10, 30, 400, false, true, 9, 100, false},
	{"400 leaves, dart", 10, 30, 400, false, true, 9, 100, true},
	{"4096 leaves", 15, 9, 4096, false, true, 20, 3000, false},
	{"long chains", 15, 9, 3000, true, true, 20, 100, false},
	{"many categories", 6, 20, 50, false, true, 1000, 100, false},
	{"many categories, deep", 6, 20, 500, false, true, 3000, 100, false},
	{"63 categories", 6, 60, 200, false, true, 63, 100, false},
	{"many features", 1600, 12, 64, false, true, 10, 20, false},
	{"too many thresholds", 1, 2, 80000, false, false, 0, 1000000, false},
	{"3 trees", 400, 3, 10, false, false, 5, 20, false},
};

/* An evaluator's working memory, of just the size it asks for. */
static void *
make_workspace(const ChurnEvaluator *evaluator)
{
	size_t		size = churn_evaluator_workspace(evaluator);

	return aligned_alloc(32, (size + 31) / 32 * 32);
}

static bool
same_bits(float a, float b)
{
	return memcmp(&a, &b, sizeof(a)) == 0;
}

/* Compares an evaluator with the expected margins of the rows. */
static uint32_t
count_differences(const ChurnEvaluator *evaluator, const ForestShape *shape,
				  const float *rows, const float *expected)
{
	void	   *workspace = make_workspace(evaluator);
	uint32_t	differences = 0;
	uint32_t	i;

	for (i = 0; i < ROWS; i++)
	{
		const float *row = rows + i * shape->nfeatures;

		if (!same_bits(churn_evaluator_margin(evaluator, row, workspace),
					   expected[i]))
			differences++;
	}
	free(workspace);
	return differences;
}

/* Grows with the value, slowly near 0 and fast elsewhere. */
static float
stretch(float value)
{
	return value * value * value * value * value;
}

/*
 * Makes a model of the kind that has many thresholds close together and splits
 * a feature always with the same default direction, as XGBoost does where no
 * value was missing in training.
 */
static void
make_uneven(ChurnForest *forest, float *rows, size_t nvalues)
{
	size_t		i;

	for (i = 0; i < forest->nnodes; i++)
	{
		ChurnNode  *node = &forest->nodes[i];

		if (node->left < 0)
			continue;
		node->flags &= ~(uint32_t) CHURN_NODE_DEFAULT_LEFT;
		if (node->feature % 2 != 0)
			node->flags |= CHURN_NODE_DEFAULT_LEFT;
		node->value = stretch(node->value);
	}

	/* most values stay what they are, for the sake of categories */
	for (i = 0; i < nvalues; i++)
		if (rows[i] != floorf(rows[i]))
			rows[i] = stretch(rows[i]);
}

static void
test_shape(const ForestShape *shape, bool uneven, uint32_t seed,
		   uint32_t *used)
{
	Random		random = {UINT64_C(88172645463325252) + seed};
	ChurnArena *arena = churn_arena_create();
	ChurnModel *model = random_model(&random, shape, arena);
	ChurnForest *forest = model->components[0].forest;
	float	   *rows = test_alloc(arena, ROWS * shape->nfeatures,
								  sizeof(float));
	float	   *expected = test_alloc(arena, ROWS, sizeof(float));
	ChurnError	error;
	uint32_t	i;
	size_t		d;

	ok(churn_model_check(model, &error), "%s: the model is valid",
	   shape->name);
	for (i = 0; i < ROWS * shape->nfeatures; i++)
		rows[i] = random_value(&random, shape);
	if (uneven)
		make_uneven(forest, rows,
					(size_t) ROWS * shape->nfeatures);
	for (i = 0; i < shape->nfeatures; i++)
		rows[i] = NAN;			/* the first row lacks everything */
	for (i = 0; i < ROWS; i++)
		expected[i] = churn_forest_margin(forest,
										  rows + i * shape->nfeatures);

	for (d = 0; d < NDESIGNS; d++)
	{
		ChurnArena *keep = churn_arena_create();
		ChurnArena *scratch = churn_arena_create();
		ChurnEvaluator *evaluator;

		evaluator = churn_evaluator_make_as(forest, &designs[d].choice,
											keep, scratch, &error);
		churn_arena_destroy(scratch);
		if (evaluator == NULL)
			ok(designs[d].choice.design != CHURN_DESIGN_AUTO &&
			   error.code == CHURN_ERROR_LIMIT, "%s: %s does not fit: %s",
			   shape->name, designs[d].name, error.message);
		else
		{
			uint32_t	differences = count_differences(evaluator, shape, rows,
														expected);

			used[d]++;
			ok(differences == 0, "%s: %s is exact (%u of %d rows differ; "
			   "design %d, width %u, %zu bytes)", shape->name,
			   designs[d].name, differences, ROWS, (int) evaluator->design,
			   evaluator->width, churn_evaluator_size(evaluator));
		}
		churn_arena_destroy(keep);
	}
	churn_arena_destroy(arena);
}

/* The tree  x0 < 2.5 ? (x1 in {1, 33} ? -1 : 4) : 8, missing x1 goes right. */
static void
test_by_hand(void)
{
	ChurnTree	tree = {0, 5, 1};
	uint32_t	bits[2] = {2, 2};
	ChurnNode	nodes[5] = {
		{1, 2, 0, CHURN_NODE_DEFAULT_LEFT, 2.5f, 3, 0, 0},
		{3, 4, 1, CHURN_NODE_CATEGORICAL, 0, 2, 0, 2},
		{-1, -1, 0, 0, 8, 1, 0, 0},
		{-1, -1, 0, 0, 4, 1, 0, 0},
		{-1, -1, 0, 0, -1, 1, 0, 0},
	};
	ChurnForest forest = {0.5f, false, 2, 1, 5, 2, &tree, nodes, bits};
	const float cases[][3] = {
		{2.5f, 0, 8.5f}, {2.4999998f, 0, 4.5f}, {NAN, 0, 4.5f},
		{0, 1, -0.5f}, {0, 1.99f, -0.5f}, {0, 33, -0.5f}, {0, 2, 4.5f},
		{0, NAN, -0.5f}, {0, -1, 4.5f}, {0, -0.0f, 4.5f}, {0, 65, 4.5f},
		{0, 16777216, 4.5f}, {0, INFINITY, 4.5f}, {INFINITY, 1, 8.5f},
		{-INFINITY, 1, -0.5f},
	};
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ok(churn_forest_margin(&forest, cases[i]) == cases[i][2],
		   "x0 = %g, x1 = %g gives %g", cases[i][0], cases[i][1], cases[i][2]);
}

static void
test_sigmoid(void)
{
	ok(churn_sigmoid(0) == 0.5f, "sigmoid of 0");
	ok(churn_sigmoid(INFINITY) == 1.0f, "sigmoid of infinity");
	ok(churn_sigmoid(-INFINITY) == churn_sigmoid(-88.7f) &&
	   churn_sigmoid(-INFINITY) > 0, "sigmoid never reaches 0");
	ok(isnan(churn_sigmoid(NAN)), "sigmoid of NaN");
	ok(churn_sigmoid(1.0f) == 1.0f / (expf(-1.0f) + 1.0f), "sigmoid of 1");
}

int
main(void)
{
	uint32_t	used[NDESIGNS] = {0};
	uint32_t	i;

	test_by_hand();
	test_sigmoid();
	for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
	{
		test_shape(&shapes[i], false, i, used);
		if (shapes[i].nleaves <= 65)
			test_shape(&shapes[i], true, i + 1000, used);
	}
	for (i = 0; i < NDESIGNS; i++)
		ok(used[i] > 0, "%s was used %u times", designs[i].name, used[i]);
	return done();
}
