/*
 * forest_bits.c
 *		Trees of up to 64 leaves, evaluated by tables of leaf masks.
 *
 * The idea is QuickScorer's (Lucchese et al., "QuickScorer: a Fast Algorithm
 * to Rank Documents with Additive Ensembles of Regression Trees", SIGIR 2015):
 * number the leaves of a tree from left to right and let each split that sends
 * the row right strike out the leaves below its left child; the lowest leaf
 * that is left is the row's.  There, the splits are tested one by one.  Here,
 * the strikes of all splits on one feature are combined beforehand for each
 * bin of the feature: a table row holds a mask for each tree.  Features of few
 * bins are combined further into groups, with a table row for each combination
 * of their bins.  What remains to be done for a customer is an AND of a few
 * table rows, and for each tree counting trailing zeros and adding the leaf,
 * in the order of the trees as XGBoost does.
 *
 * A mask has 8, 16, 32 or 64 bits, by the largest tree.
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

/* What building needs to know of the nodes; all in scratch. */
typedef struct BitsBuild
{
	const ChurnForest *forest;
	const ChurnBins *bins;
	const ChurnBitsPlan *plan;
	uint32_t   *tree_of;		/* by node */
	uint64_t   *keeps;			/* by node: leaves that a row sent right has */
} BitsBuild;

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

/*
 * Numbers the leaves of each tree from left to right and notes for each inner
 * node which leaves it leaves when it sends a row right: all but those below
 * its left child.  Children come after their parents, so counting upwards and
 * numbering downwards take one loop each.
 */
static bool
number_leaves(BitsBuild *build, float *leaves, ChurnArena *scratch,
			  ChurnError *error)
{
	const ChurnForest *forest = build->forest;
	uint32_t   *count;
	uint32_t   *start;
	uint32_t	t;
	uint32_t	i;

	count = churn_arena_array(scratch, forest->nnodes, sizeof(uint32_t),
							  error);
	start = churn_arena_array(scratch, forest->nnodes, sizeof(uint32_t),
							  error);
	build->tree_of = churn_arena_array(scratch, forest->nnodes,
									   sizeof(uint32_t), error);
	build->keeps = churn_arena_array(scratch, forest->nnodes, sizeof(uint64_t),
									 error);
	if (count == NULL || start == NULL || build->tree_of == NULL ||
		build->keeps == NULL)
		return false;

	for (t = 0; t < forest->ntrees; t++)
	{
		const ChurnTree *tree = &forest->trees[t];
		uint32_t	first = tree->first;

		for (i = first + tree->nnodes; i-- > first;)
		{
			const ChurnNode *node = &forest->nodes[i];

			count[i] = node->left < 0 ? 1 :
				count[first + (uint32_t) node->left] +
				count[first + (uint32_t) node->right];
		}
		start[first] = 0;
		for (i = first; i < first + tree->nnodes; i++)
		{
			const ChurnNode *node = &forest->nodes[i];
			uint32_t	left = first + (uint32_t) node->left;
			uint64_t	below;

			build->tree_of[i] = t;
			if (node->left < 0)
			{
				leaves[(size_t) t * build->plan->width + start[i]] =
					churn_leaf_value(forest, tree, node);
				continue;
			}
			start[left] = start[i];
			start[first + (uint32_t) node->right] = start[i] + count[left];
			below = (UINT64_C(1) << count[left]) - 1;	/* count[left] < 64 */
			build->keeps[i] = ~(below << start[i]);
		}
	}
	return true;
}

/* Strikes out the leaves of one tree in a table row. */
static void
strike(uint8_t *row, uint32_t tree, uint32_t width, uint64_t keep)
{
	const size_t at = (size_t) tree * (width / 8);
	uint64_t	mask64;
	uint32_t	mask32;
	uint16_t	mask16;

	switch (width)
	{
		case 8:
			row[at] &= (uint8_t) keep;
			break;
		case 16:
			memcpy(&mask16, row + at, 2);
			mask16 &= (uint16_t) keep;
			memcpy(row + at, &mask16, 2);
			break;
		case 32:
			memcpy(&mask32, row + at, 4);
			mask32 &= (uint32_t) keep;
			memcpy(row + at, &mask32, 4);
			break;
		default:
			memcpy(&mask64, row + at, 8);
			mask64 &= keep;
			memcpy(row + at, &mask64, 8);
			break;
	}
}

/* Combines two table rows: to = a AND b. */
static void
and_rows(uint8_t *to, const uint8_t *a, const uint8_t *b, size_t row_bytes)
{
	size_t		i;

	for (i = 0; i < row_bytes; i += sizeof(uint64_t))
	{
		uint64_t	x;
		uint64_t	y;

		memcpy(&x, a + i, sizeof(x));
		memcpy(&y, b + i, sizeof(y));
		x &= y;
		memcpy(to + i, &x, sizeof(x));
	}
}

/* Allocates table rows, aligned to blocks, with no leaf struck out. */
static uint8_t *
make_rows(size_t nrows, size_t row_bytes, ChurnArena *arena, ChurnError *error)
{
	size_t		size = nrows * row_bytes;
	uint8_t    *memory;

	memory = churn_arena_alloc(arena, size + CHURN_BITS_BLOCK, error);
	if (memory == NULL)
		return NULL;
	memory += (CHURN_BITS_BLOCK - (uintptr_t) memory % CHURN_BITS_BLOCK) %
		CHURN_BITS_BLOCK;
	memset(memory, 0xFF, size);
	return memory;
}

/*
 * Makes a binner's own rows, one for each bin.  A numeric split strikes the
 * same leaves in all bins above its threshold, so it is entered in the first
 * of them and each row takes over what the one before it has.
 */
static uint8_t *
make_binner_rows(const BitsBuild *build, const ChurnBinner *binner,
				 ChurnArena *arena, ChurnError *error)
{
	const size_t row_bytes = build->plan->row_bytes;
	uint8_t    *rows = make_rows(binner->nbins, row_bytes, arena, error);
	uint32_t	i;
	uint32_t	bin;

	if (rows == NULL)
		return NULL;
	for (i = 0; i < binner->nnodes; i++)
	{
		uint32_t	node = binner->nodes[i];
		uint32_t	first = 0;
		uint32_t	end = binner->nbins;

		if (!binner->categorical)
		{
			first = build->bins->ranks[node] + 1;
			end = first + 1;
			if (churn_bin_goes_right(build->forest, build->bins, binner, node,
									 binner->missing))
				strike(rows + binner->missing * row_bytes,
					   build->tree_of[node], build->plan->width,
					   build->keeps[node]);
		}
		for (bin = first; bin < end; bin++)
			if (churn_bin_goes_right(build->forest, build->bins, binner, node,
									 bin))
				strike(rows + bin * row_bytes, build->tree_of[node],
					   build->plan->width, build->keeps[node]);
	}
	if (!binner->categorical)
		for (bin = 1; bin <= binner->nthresholds; bin++)
			and_rows(rows + bin * row_bytes, rows + bin * row_bytes,
					 rows + (bin - 1) * row_bytes, row_bytes);
	return rows;
}

/*
 * Makes the rows of a group from its members' own: a member multiplies the
 * combinations there are by its dense bins.
 */
static bool
combine_members(ChurnBitsGroup *group, ChurnBitsMember *members,
				uint32_t product, size_t row_bytes, ChurnArena *keep,
				ChurnError *error)
{
	uint8_t    *rows = make_rows(product, row_bytes, keep, error);
	uint32_t	done = 1;
	uint32_t	m;
	uint32_t	bin;
	uint32_t	i;

	if (rows == NULL)
		return false;
	for (m = 0; m < group->nmembers; m++)
	{
		const ChurnBinner *binner = members[m].binner;

		members[m].stride = done * (uint32_t) row_bytes;
		for (bin = binner->ndense; bin-- > 0;)
			for (i = 0; i < done; i++)
				and_rows(rows + (bin * (size_t) done + i) * row_bytes,
						 rows + i * row_bytes,
						 members[m].rows + bin * row_bytes, row_bytes);
		done *= binner->ndense;
	}
	group->rows = rows;
	return true;
}

/* Makes the table of offsets of a categorical member; see forest_bits.h. */
static bool
make_offsets(ChurnBitsMember *member, bool alone, ChurnArena *keep,
			 ChurnError *error)
{
	const ChurnBinner *binner = member->binner;
	uint32_t   *offsets;
	uint32_t	i;

	offsets = churn_arena_array(keep, (size_t) binner->ncodes + 2,
								sizeof(uint32_t), error);
	if (offsets == NULL)
		return false;
	for (i = 0; i < binner->ncodes + 2; i++)
	{
		uint32_t	bin = i < binner->ncodes ? binner->code_bins[i] :
		i == binner->ncodes ? binner->other : binner->missing;

		offsets[i] = alone || bin < binner->ndense ? bin * member->stride :
			CHURN_BITS_RARE;
	}
	member->ncodes = binner->ncodes;
	member->offsets = offsets;
	return true;
}

/* Lists the binners that the plan puts in a group, categorical ones first. */
static void
list_members(const BitsBuild *build, uint32_t g, ChurnBitsMember *members,
			 ChurnBitsGroup *group)
{
	const ChurnBins *bins = build->bins;
	uint32_t	pass;
	uint32_t	i;

	for (pass = 0; pass < 2; pass++)
	{
		for (i = 0; i < bins->nbinners; i++)
		{
			const ChurnBinner *binner = &bins->binners[i];
			ChurnBitsMember *member = &members[group->nmembers];

			if (build->plan->group_of[i] != g ||
				binner->categorical != (pass == 0))
				continue;
			member->binner = binner;
			member->feature = binner->feature;
			member->stride = (uint32_t) build->plan->row_bytes;
			group->nmembers++;
		}
		if (pass == 0)
			group->ncategorical = group->nmembers;
	}
	group->members = members;
}

/* Makes a group of the binners that the plan puts there. */
static bool
make_group(const BitsBuild *build, uint32_t g, ChurnBitsMember *members,
		   ChurnBitsGroup *group, ChurnArena *keep, ChurnArena *scratch,
		   ChurnError *error)
{
	bool		rare = false;
	bool		alone;
	uint32_t	i;

	list_members(build, g, members, group);
	alone = group->nmembers == 1;
	for (i = 0; i < group->nmembers; i++)
		rare |= members[i].binner->ndense < members[i].binner->nbins;
	for (i = 0; i < group->nmembers; i++)
	{
		members[i].rows = make_binner_rows(build, members[i].binner,
										   rare || alone ? keep : scratch,
										   error);
		if (members[i].rows == NULL)
			return false;
	}
	if (alone)
		group->rows = members[0].rows;
	else if (!combine_members(group, members, build->plan->products[g],
							  build->plan->row_bytes, keep, error))
		return false;
	for (i = 0; i < group->ncategorical; i++)
		if (!make_offsets(&members[i], alone, keep, error))
			return false;
	return true;
}

/*
 * Makes the evaluator that the plan describes.  A forest without any split has
 * one group without members, whose only row keeps all leaves.
 */
bool
churn_bits_make(const ChurnForest *forest, const ChurnBins *bins,
				const ChurnBitsPlan *plan, bool portable, ChurnArena *keep,
				ChurnArena *scratch, ChurnEvaluator *evaluator,
				ChurnError *error)
{
	BitsBuild	build = {forest, bins, plan, NULL, NULL};
	uint32_t	ngroups = plan->ngroups > 0 ? plan->ngroups : 1;
	ChurnBitsState *state;
	ChurnBitsGroup *groups;
	ChurnBitsMember *members;
	float	   *leaves;
	uint32_t	g;

	state = churn_arena_alloc(keep, sizeof(ChurnBitsState), error);
	groups = churn_arena_array(keep, ngroups, sizeof(ChurnBitsGroup), error);
	members = churn_arena_array(keep, bins->nbinners, sizeof(ChurnBitsMember),
								error);
	leaves = churn_arena_array(keep, (size_t) forest->ntrees * plan->width,
							   sizeof(float), error);
	if (state == NULL || groups == NULL || members == NULL || leaves == NULL ||
		!number_leaves(&build, leaves, scratch, error))
		return false;
	for (g = 0; g < plan->ngroups; g++)
	{
		if (!make_group(&build, g, members, &groups[g], keep, scratch, error))
			return false;
		members += groups[g].nmembers;
	}
	if (plan->ngroups == 0)
	{
		groups[0].rows = make_rows(1, plan->row_bytes, keep, error);
		if (groups[0].rows == NULL)
			return false;
	}

	state->ntrees = forest->ntrees;
	state->ngroups = ngroups;
	state->row_bytes = plan->row_bytes;
	state->groups = groups;
	state->leaves = leaves;
	state->kernel = churn_bits_kernel(plan->width, portable);
	evaluator->design = CHURN_DESIGN_BITS;
	evaluator->width = plan->width;
	evaluator->state = state;
	evaluator->margin = churn_bits_margin;
	evaluator->workspace = ((size_t) ngroups + bins->nbinners) *
		sizeof(uint8_t *);
	return true;
}
