/*
 * forest_bins.c
 *		From the values of features to the bins that the splits of a forest
 *		tell apart.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "forest_search.h"

/* Up to so many known categories, one more is to be expected. */
#define FEW_CATEGORIES	2

/* So many splits with one default direction tell that none was missing. */
#define ENOUGH_SPLITS	8

/* No code, or no bin. */
#define NONE	UINT32_MAX

/* A partition of one feature's categories into groups; all in scratch. */
typedef struct Partition
{
	uint32_t	ngroups;
	uint32_t   *group_of;		/* by code */
	uint32_t   *size;			/* by group: codes in it */
	uint32_t   *hits;			/* by group: codes in it and in the set */
	uint32_t   *heir;			/* by group: the group that takes these */
	uint32_t   *touched;		/* groups with hits */
	uint32_t   *bin_of;			/* by group, in the end */
} Partition;

/* Where a split's kind stands among all: by feature, numeric ones first. */
static inline size_t
split_key(const ChurnNode *node)
{
	return (size_t) node->feature * 2 +
		((node->flags & CHURN_NODE_CATEGORICAL) != 0);
}

static int
compare_floats(const void *a, const void *b)
{
	float		x = *(const float *) a;
	float		y = *(const float *) b;

	return (x > y) - (x < y);
}

/*
 * Lays the grid over the thresholds.  grid[c] counts the thresholds in cells
 * below c.  There is none if the range is not finite, where the arithmetic of
 * churn_bin_search would not be either.
 */
static bool
make_grid(ChurnBinner *binner, ChurnArena *keep, ChurnError *error)
{
	float		low = binner->thresholds[0];
	float		span = binner->thresholds[binner->nthresholds - 1] - low;
	float		scale = (CHURN_GRID_CELLS - 1) / span;
	uint16_t   *grid;
	uint32_t	at = 0;
	uint32_t	cell;

	if (binner->nthresholds <= CHURN_SEARCH_STEP ||
		!(span > 0 && span <= 3.4e38f && scale > 0 && scale <= 3.4e38f))
		return true;
	if ((uint32_t) (span * scale) >= CHURN_GRID_CELLS)
		return true;
	grid = churn_arena_array(keep, CHURN_GRID_CELLS + 1, sizeof(uint16_t),
							 error);
	if (grid == NULL)
		return false;
	for (cell = 0; cell <= CHURN_GRID_CELLS; cell++)
	{
		while (at < binner->nthresholds &&
			   (uint32_t) ((binner->thresholds[at] - low) * scale) < cell)
			at++;
		grid[cell] = (uint16_t) at;
	}
	binner->grid = grid;
	binner->low = low;
	binner->scale = scale;
	return true;
}

/* Sorts the thresholds of a binner's nodes and ranks each node's. */
static bool
make_numeric(const ChurnForest *forest, ChurnBinner *binner, uint32_t *ranks,
			 ChurnArena *keep, ChurnArena *scratch, ChurnError *error)
{
	float	   *sorted;
	float	   *thresholds;
	uint32_t	n = 0;
	uint32_t	i;

	sorted = churn_arena_array(scratch, binner->nnodes, sizeof(float), error);
	if (sorted == NULL)
		return false;
	for (i = 0; i < binner->nnodes; i++)
		sorted[i] = forest->nodes[binner->nodes[i]].value;
	qsort(sorted, binner->nnodes, sizeof(float), compare_floats);
	for (i = 0; i < binner->nnodes; i++)
		if (n == 0 || sorted[i] != sorted[n - 1])
			sorted[n++] = sorted[i];
	if (n + 2 > CHURN_MAX_BINS)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "feature %u has %u thresholds, more than %u",
						  binner->feature, n, CHURN_MAX_BINS);

	thresholds = churn_arena_array(keep, (size_t) n + CHURN_SEARCH_STEP,
								   sizeof(float), error);
	if (thresholds == NULL)
		return false;
	memcpy(thresholds, sorted, n * sizeof(float));
	for (i = 0; i < CHURN_SEARCH_STEP; i++)
		thresholds[n + i] = NAN;
	binner->thresholds = thresholds;
	binner->nthresholds = n;
	binner->missing = n + 1;
	binner->nbins = n + 2;
	binner->ndense = n + 2;
	if (!make_grid(binner, keep, error))
		return false;
	for (i = 0; i < binner->nnodes; i++)
	{
		uint32_t	node = binner->nodes[i];

		ranks[node] = churn_bin_search(binner, forest->nodes[node].value) - 1;
	}
	return true;
}

/* Notes that a code is in the set by which a partition is being split. */
static inline void
hit(Partition *partition, uint32_t code, uint32_t *ntouched)
{
	uint32_t	group = partition->group_of[code];

	if (partition->hits[group]++ == 0)
		partition->touched[(*ntouched)++] = group;
}

/* Moves a code of that set to the group that takes these. */
static inline void
move(Partition *partition, uint32_t code)
{
	partition->group_of[code] = partition->heir[partition->group_of[code]];
}

/*
 * Splits the groups of a partition by one set, and by one code more if it is
 * not NONE: the codes of a group that are in the set move to a new group,
 * unless all of them are.  Takes time by the set's codes alone, so that many
 * sets on many categories are no trap.
 */
static void
refine(Partition *partition, const uint32_t *words, uint32_t nwords,
	   uint32_t more)
{
	uint32_t	ntouched = 0;
	uint32_t	word;
	uint32_t	rest;
	uint32_t	i;

	for (word = 0; word < nwords; word++)
		for (rest = words[word]; rest != 0; rest &= rest - 1)
			hit(partition, word * 32 + (uint32_t) __builtin_ctz(rest),
				&ntouched);
	if (more != NONE)
		hit(partition, more, &ntouched);
	for (i = 0; i < ntouched; i++)
	{
		uint32_t	group = partition->touched[i];
		uint32_t	hits = partition->hits[group];

		partition->hits[group] = 0;
		partition->heir[group] = group;
		if (hits < partition->size[group])
		{
			partition->heir[group] = partition->ngroups;
			partition->size[group] -= hits;
			partition->size[partition->ngroups++] = hits;
		}
	}
	for (word = 0; word < nwords; word++)
		for (rest = words[word]; rest != 0; rest &= rest - 1)
			move(partition, word * 32 + (uint32_t) __builtin_ctz(rest));
	if (more != NONE)
		move(partition, more);
}

/* Returns one more than the highest category in any set of the binner. */
static uint32_t
count_codes(const ChurnForest *forest, const ChurnBinner *binner)
{
	uint32_t	ncodes = 0;
	uint32_t	i;

	for (i = 0; i < binner->nnodes; i++)
	{
		const ChurnNode *node = &forest->nodes[binner->nodes[i]];
		uint32_t	nwords = node->nwords;

		while (nwords * 32 > ncodes)
		{
			uint32_t	word = forest->bits[node->bits + --nwords];

			if (word != 0)
			{
				uint32_t	unused = (uint32_t) __builtin_clz(word);

				if (nwords * 32 + 32 - unused > ncodes)
					ncodes = nwords * 32 + 32 - unused;
				break;
			}
		}
	}
	return ncodes;
}

/* Takes the scratch that partitions of up to ncodes categories need. */
static bool
make_partition(Partition *partition, uint32_t ncodes, ChurnArena *scratch,
			   ChurnError *error)
{
	uint32_t   *memory;
	size_t		n = (size_t) ncodes + 2;

	memory = churn_arena_array(scratch, 6 * n, sizeof(uint32_t), error);
	if (memory == NULL)
		return false;
	partition->group_of = memory;
	partition->size = memory + n;
	partition->hits = memory + 2 * n;
	partition->heir = memory + 3 * n;
	partition->touched = memory + 4 * n;
	partition->bin_of = memory + 5 * n;
	return true;
}

/*
 * Splits the categories, and with them ncodes, which stands for all others,
 * and ncodes + 1, which stands for a missing one, into groups that no node
 * tells apart.  Returns whether missing ones are to be expected.
 */
static bool
partition_codes(const ChurnForest *forest, const ChurnBinner *binner,
				Partition *partition)
{
	uint32_t	nright = 0;
	uint32_t	i;

	partition->ngroups = 1;
	memset(partition->group_of, 0, (binner->ncodes + 2) * sizeof(uint32_t));
	partition->size[0] = binner->ncodes + 2;
	for (i = 0; i < binner->nnodes; i++)
	{
		const ChurnNode *node = &forest->nodes[binner->nodes[i]];
		bool		right = (node->flags & CHURN_NODE_DEFAULT_LEFT) == 0;

		nright += right;
		refine(partition, forest->bits + node->bits, node->nwords,
			   right ? binner->ncodes + 1 : NONE);
	}
	return (nright > 0 && nright < binner->nnodes) ||
		binner->nnodes < ENOUGH_SPLITS;
}

/* Gives the group of a code a bin, unless it has one. */
static void
place_code(ChurnBinner *binner, Partition *partition, uint32_t code,
		   uint32_t *examples)
{
	uint32_t	group = partition->group_of[code];

	if (partition->bin_of[group] != NONE)
		return;
	partition->bin_of[group] = binner->nbins;
	examples[binner->nbins++] = code;
}

/*
 * Gives each group of categories that no node tells apart a bin, in the order
 * of their lowest code, but those hardly expected the last ones.
 */
static bool
make_categorical(const ChurnForest *forest, ChurnBinner *binner,
				 Partition *partition, ChurnArena *keep, ChurnArena *scratch,
				 ChurnError *error)
{
	const uint32_t other = binner->ncodes;
	const uint32_t missing = binner->ncodes + 1;
	bool		expect_missing = partition_codes(forest, binner, partition);
	uint16_t   *code_bins;
	uint32_t   *examples;
	uint32_t	i;

	if (partition->ngroups > CHURN_MAX_BINS)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "feature %u has %u groups of categories, more "
						  "than %u",
						  binner->feature, partition->ngroups, CHURN_MAX_BINS);
	code_bins = churn_arena_array(keep, binner->ncodes, sizeof(uint16_t),
								  error);
	examples = churn_arena_array(scratch, partition->ngroups,
								 sizeof(uint32_t), error);
	if (code_bins == NULL || examples == NULL)
		return false;
	for (i = 0; i < partition->ngroups; i++)
		partition->bin_of[i] = NONE;
	for (i = 0; i < binner->ncodes; i++)
	{
		place_code(binner, partition, i, examples);
		code_bins[i] = (uint16_t) partition->bin_of[partition->group_of[i]];
	}
	if (binner->nbins <= FEW_CATEGORIES)
		place_code(binner, partition, other, examples);
	if (expect_missing)
		place_code(binner, partition, missing, examples);
	binner->ndense = binner->nbins;
	place_code(binner, partition, other, examples);
	place_code(binner, partition, missing, examples);

	binner->code_bins = code_bins;
	binner->examples = examples;
	binner->other = partition->bin_of[partition->group_of[other]];
	binner->missing = partition->bin_of[partition->group_of[missing]];
	return true;
}

/*
 * Sorts the inner nodes by feature and kind of split, and makes a binner,
 * without its bins, for each pair that occurs.
 */
static bool
collect(const ChurnForest *forest, ChurnArena *keep, ChurnArena *scratch,
		ChurnBins *bins, ChurnError *error)
{
	size_t		nkeys = (size_t) forest->nfeatures * 2;
	uint32_t   *starts;
	uint32_t   *order;
	size_t		key;
	uint32_t	i;

	starts = churn_arena_array(scratch, nkeys + 1, sizeof(uint32_t), error);
	order = churn_arena_array(scratch, forest->nnodes, sizeof(uint32_t),
							  error);
	if (starts == NULL || order == NULL)
		return false;
	for (i = 0; i < forest->nnodes; i++)
		if (forest->nodes[i].left >= 0)
			starts[split_key(&forest->nodes[i]) + 1]++;
	for (key = 0; key < nkeys; key++)
	{
		if (starts[key + 1] > 0)
			bins->nbinners++;
		starts[key + 1] += starts[key];
	}
	bins->binners = churn_arena_array(keep, bins->nbinners,
									  sizeof(ChurnBinner), error);
	if (bins->binners == NULL)
		return false;

	bins->nbinners = 0;
	for (key = 0; key < nkeys; key++)
	{
		ChurnBinner *binner;

		if (starts[key + 1] == starts[key])
			continue;
		binner = &bins->binners[bins->nbinners++];
		binner->feature = (uint32_t) (key / 2);
		binner->categorical = key % 2 != 0;
		binner->nodes = order + starts[key];
		binner->nnodes = starts[key + 1] - starts[key];
	}
	for (i = 0; i < forest->nnodes; i++)
		if (forest->nodes[i].left >= 0)
			order[starts[split_key(&forest->nodes[i])]++] = i;
	return true;
}

/* Makes the binners of a forest; see forest_parts.h. */
bool
churn_bins_make(const ChurnForest *forest, ChurnArena *keep,
				ChurnArena *scratch, ChurnBins *bins, ChurnError *error)
{
	Partition	partition;
	uint32_t   *ranks;
	uint32_t	ncodes = 0;
	uint32_t	i;

	memset(bins, 0, sizeof(*bins));
	ranks = churn_arena_array(scratch, forest->nnodes, sizeof(uint32_t),
							  error);
	if (ranks == NULL || !collect(forest, keep, scratch, bins, error))
		return false;
	bins->ranks = ranks;
	for (i = 0; i < bins->nbinners; i++)
	{
		ChurnBinner *binner = &bins->binners[i];

		if (binner->categorical)
			binner->ncodes = count_codes(forest, binner);
		if (binner->ncodes > ncodes)
			ncodes = binner->ncodes;
	}
	if (!make_partition(&partition, ncodes, scratch, error))
		return false;
	for (i = 0; i < bins->nbinners; i++)
	{
		ChurnBinner *binner = &bins->binners[i];

		if (binner->categorical ?
			!make_categorical(forest, binner, &partition, keep, scratch,
							  error) :
			!make_numeric(forest, binner, ranks, keep, scratch, error))
			return false;
	}
	return true;
}

/* Sends a bin right or left as the node would send each of its values. */
bool
churn_bin_goes_right(const ChurnForest *forest, const ChurnBins *bins,
					 const ChurnBinner *binner, uint32_t node, uint32_t bin)
{
	const ChurnNode *split = &forest->nodes[node];

	if (bin == binner->missing)
		return (split->flags & CHURN_NODE_DEFAULT_LEFT) == 0;
	if (!binner->categorical)
		return bin > bins->ranks[node];
	return churn_category_in(forest->bits + split->bits, split->nwords,
							 binner->examples[bin]);
}
