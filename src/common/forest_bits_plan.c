/*
 * forest_bits_plan.c
 *		How the tables of leaf masks will be (see forest_bits.c): the width of
 *		the masks, and which features form a group.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "forest_bits.h"

/* Groups of several binners have at most so many combinations of bins. */
#define LARGEST_PRODUCT		256

/* Estimated nanoseconds, by measurement; only their ratios matter. */
#define COST_TREE			1.2 /* counting zeros and adding a leaf */
#define COST_BLOCK			1.2 /* AND of a block of a table row */
#define COST_FAR_BLOCK		3.0 /* the same in tables beyond NEAR_BYTES */
#define NEAR_BYTES			(1.75 * 1024 * 1024)

/*
 * Puts binners into at most ngroups groups, those of many bins first, each
 * where it adds the fewest table rows.  Returns the bytes of the tables, or
 * infinity if that makes a group of several binners too large.
 */
static double
plan_groups(const ChurnBins *bins, const uint32_t *order, uint32_t ngroups,
			ChurnBitsPlan *plan)
{
	double		rows = 0;
	uint32_t	i;
	uint32_t	g;

	plan->ngroups = 0;
	for (i = 0; i < bins->nbinners; i++)
	{
		const ChurnBinner *binner = &bins->binners[order[i]];
		uint32_t	to = 0;

		for (g = 1; g < plan->ngroups; g++)
			if (plan->products[g] < plan->products[to])
				to = g;
		if (plan->ngroups < ngroups)
		{
			to = plan->ngroups++;
			plan->products[to] = 1;
			plan->sizes[to] = 0;
		}
		if (plan->sizes[to] > 0 &&
			plan->products[to] * (uint64_t) binner->ndense > LARGEST_PRODUCT)
			return INFINITY;
		plan->products[to] *= binner->ndense;
		plan->sizes[to]++;
		plan->group_of[order[i]] = to;
		rows += binner->nbins;
	}
	for (g = 0; g < plan->ngroups; g++)
		if (plan->sizes[g] > 1)
			rows += plan->products[g];
	return rows * (double) plan->row_bytes;
}

/* Returns the number of leaves of the largest tree. */
static uint32_t
most_leaves(const ChurnForest *forest)
{
	uint32_t	most = 1;
	uint32_t	i;

	/* a tree of n nodes has (n + 1) / 2 leaves */
	for (i = 0; i < forest->ntrees; i++)
		if (forest->trees[i].nnodes / 2 + 1 > most)
			most = forest->trees[i].nnodes / 2 + 1;
	return most;
}

static int
compare_falling(const void *a, const void *b)
{
	uint64_t	x = *(const uint64_t *) a;
	uint64_t	y = *(const uint64_t *) b;

	return (x < y) - (x > y);
}

/* Orders the binners by falling number of dense bins. */
static bool
order_binners(const ChurnBins *bins, uint32_t *order, ChurnArena *scratch,
			  ChurnError *error)
{
	const uint32_t n = bins->nbinners;
	uint64_t   *keys = churn_arena_array(scratch, n, sizeof(uint64_t), error);
	uint32_t	i;

	if (keys == NULL)
		return false;
	for (i = 0; i < n; i++)
		keys[i] = (uint64_t) bins->binners[i].ndense << 32 | (n - i);
	qsort(keys, n, sizeof(uint64_t), compare_falling);
	for (i = 0; i < n; i++)
		order[i] = n - (uint32_t) keys[i];
	return true;
}

/*
 * Finds the number of groups that costs least: few, as long as the tables stay
 * small enough to be near.
 */
static void
choose_groups(const ChurnBins *bins, const uint32_t *order, uint32_t ntrees,
			  ChurnBitsPlan *plan)
{
	const double blocks = (double) (plan->row_bytes / CHURN_BITS_BLOCK);
	uint32_t	best = 0;
	uint32_t	ngroups = 0;

	plan->nanoseconds = INFINITY;
	while (ngroups < bins->nbinners)
	{
		double		bytes;
		double		cost;

		ngroups += 1 + ngroups / 8;
		if (ngroups > bins->nbinners)
			ngroups = bins->nbinners;
		bytes = plan_groups(bins, order, ngroups, plan);
		cost = blocks * ngroups *
			(bytes > NEAR_BYTES ? COST_FAR_BLOCK : COST_BLOCK);
		if (bytes > CHURN_BITS_MAX_BYTES || cost >= plan->nanoseconds)
			continue;
		plan->nanoseconds = cost;
		best = ngroups;
	}
	if (best == 0)
		best = bins->nbinners;
	plan->bytes = plan_groups(bins, order, best, plan);
	plan->nanoseconds = COST_TREE * ntrees + blocks * best *
		(plan->bytes > NEAR_BYTES ? COST_FAR_BLOCK : COST_BLOCK);
}

/*
 * Plans the tables, with masks of at least width bits.  CHURN_ERROR_LIMIT says
 * that a tree has too many leaves or that the tables would be too large.
 */
bool
churn_bits_plan(const ChurnForest *forest, const ChurnBins *bins,
				uint32_t width, ChurnArena *scratch, ChurnBitsPlan *plan,
				ChurnError *error)
{
	uint32_t	most = most_leaves(forest);
	uint32_t   *memory;
	size_t		blocks;
	size_t		per_block;

	memset(plan, 0, sizeof(*plan));
	plan->width = 8;
	while (plan->width < 64 && (plan->width < most || plan->width < width))
		plan->width *= 2;
	if (most > plan->width)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "a tree has %u leaves, more than 64", most);
	per_block = CHURN_BITS_BLOCK * 8 / plan->width;
	blocks = (forest->ntrees + per_block - 1) / per_block;
	plan->row_bytes = blocks * CHURN_BITS_BLOCK;
	memory = churn_arena_array(scratch, 4 * (size_t) bins->nbinners,
							   sizeof(uint32_t), error);
	if (memory == NULL)
		return false;
	plan->group_of = memory;
	plan->products = memory + bins->nbinners;
	plan->sizes = memory + 2 * (size_t) bins->nbinners;
	memory += 3 * (size_t) bins->nbinners;
	if (!order_binners(bins, memory, scratch, error))
		return false;
	choose_groups(bins, memory, forest->ntrees, plan);
	if (plan->bytes > CHURN_BITS_MAX_BYTES)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "tables of %.0f bytes exceed the limit of %.0f",
						  plan->bytes, CHURN_BITS_MAX_BYTES);
	return true;
}
