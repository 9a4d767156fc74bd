/*
 * forest_bins.c
 *		From the values of features to the bins that the splits of a forest
 *		tell apart.
 */
#include <stdlib.h>
#include <string.h>

#include "forest_parts.h"

/* With fewer thresholds than this a grid does not pay. */
#define LEAST_FOR_GRID	8

/* A stretch of thresholds up to this long is searched one by one. */
#define LINEAR_SEARCH	6

/* Up to so many known categories, one more is to be expected. */
#define FEW_CATEGORIES	2

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

/*
 * Counts the thresholds at or below the value.  The cell of a value grows with
 * the value, whatever the rounding, so thresholds in lower cells are below it
 * and thresholds in higher cells above it; those in its own cell are compared.
 */
uint32_t
churn_bin_search(const ChurnBinner *binner, float value)
{
	const float *thresholds = binner->thresholds;
	uint32_t	low = 0;
	uint32_t	high = binner->nthresholds;

	if (!(value >= thresholds[0]))
		return 0;
	if (value >= thresholds[high - 1])
		return high;
	if (binner->grid != NULL)
	{
		uint32_t	cell = (uint32_t) ((value - binner->low) * binner->scale);

		low = binner->grid[cell];
		high = binner->grid[cell + 1];
	}
	while (high - low > LINEAR_SEARCH)
	{
		uint32_t	middle = low + (high - low) / 2;

		if (value >= thresholds[middle])
			low = middle + 1;
		else
			high = middle;
	}
	while (low < high && value >= thresholds[low])
		low++;
	return low;
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

	if (binner->nthresholds < LEAST_FOR_GRID ||
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

	thresholds = churn_arena_array(keep, n, sizeof(float), error);
	if (thresholds == NULL)
		return false;
	memcpy(thresholds, sorted, n * sizeof(float));
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

/*
 * Splits the classes of a partition by one set: the codes of a class that are
 * in the set move to a new class, unless all of them are.  Takes time by the
 * set's codes alone, so that many sets on many categories are no trap.
 */
static void
refine(Partition *partition, const uint32_t *words, uint32_t nwords)
{
	uint32_t	ntouched = 0;
	uint32_t	word;
	uint32_t	rest;
	uint32_t	i;

	for (word = 0; word < nwords; word++)
		for (rest = words[word]; rest != 0; rest &= rest - 1)
		{
			uint32_t	code = word * 32 + (uint32_t) __builtin_ctz(rest);
			uint32_t	group = partition->group_of[code];

			if (partition->hits[group]++ == 0)
				partition->touched[ntouched++] = group;
		}
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
		{
			uint32_t	code = word * 32 + (uint32_t) __builtin_ctz(rest);

			partition->group_of[code] =
				partition->heir[partition->group_of[code]];
		}
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
	size_t		n = (size_t) ncodes + 1;

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
 * Gives each set of categories that no node tells apart a bin, in the order of
 * their lowest code.  The code behind the last one stands for all others.
 */
static bool
make_categorical(const ChurnForest *forest, ChurnBinner *binner,
				 Partition *partition, ChurnArena *keep, ChurnArena *scratch,
				 ChurnError *error)
{
	const uint32_t none = UINT32_MAX;
	uint16_t   *code_bins;
	uint32_t   *examples;
	uint32_t	nbins = 0;
	uint32_t	i;

	partition->ngroups = 1;
	memset(partition->group_of, 0, (binner->ncodes + 1) * sizeof(uint32_t));
	partition->size[0] = binner->ncodes + 1;
	for (i = 0; i < binner->nnodes; i++)
	{
		const ChurnNode *node = &forest->nodes[binner->nodes[i]];

		refine(partition, forest->bits + node->bits, node->nwords);
	}
	if (partition->ngroups + 2 > CHURN_MAX_BINS)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "feature %u has %u groups of categories, more "
						  "than %u",
						  binner->feature, partition->ngroups, CHURN_MAX_BINS);

	code_bins = churn_arena_array(keep, binner->ncodes, sizeof(uint16_t),
								  error);
	examples = churn_arena_array(scratch, (size_t) partition->ngroups + 2,
								 sizeof(uint32_t), error);
	if (code_bins == NULL || examples == NULL)
		return false;
	for (i = 0; i < partition->ngroups; i++)
		partition->bin_of[i] = none;
	for (i = 0; i < binner->ncodes; i++)
	{
		uint32_t	group = partition->group_of[i];

		if (partition->bin_of[group] == none)
		{
			partition->bin_of[group] = nbins;
			examples[nbins++] = i;
		}
		code_bins[i] = (uint16_t) partition->bin_of[group];
	}

	binner->code_bins = code_bins;
	binner->examples = examples;
	binner->missing = nbins;
	binner->nbins = nbins + 1;
	binner->ndense = nbins + 1;
	binner->other = partition->bin_of[partition->group_of[binner->ncodes]];
	if (binner->other == none)
	{
		binner->other = nbins + 1;
		examples[nbins + 1] = binner->ncodes;
		binner->nbins = nbins + 2;
		if (nbins <= FEW_CATEGORIES)
			binner->ndense = binner->nbins;
	}
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
