/*
 * explain_wide.c
 *		Makes blocks of eight trees, and the masks that their rows look up.
 */
#include <string.h>

#include "explain_wide.h"

/* A tree of a block. */
typedef struct WideTree
{
	uint32_t	depth;
	const ChurnPathTree *tree;
	const double *shares;		/* by split: z above it */
} WideTree;

/* A split that is in a block, for the tables of masks. */
typedef struct WideSplit
{
	const ChurnSplit *split;
	uint32_t	above;			/* split of the same feature, or none */
	uint32_t	byte;			/* of the row: lanes that go left there */
	uint8_t		bit;			/* of the tree's lane */
	bool		right;			/* for a bin: where it goes */
	bool		dead;			/* for a bin: whether it failed above */
} WideSplit;

struct ChurnWideMaker
{
	const ChurnForest *source;
	ChurnArena *keep;
	ChurnArena *scratch;
	ChurnBins	bins;
	uint32_t	nbins;			/* of all binners */
	size_t		reserved;		/* bytes of a row */
	uint32_t	ntrees;
	WideTree   *trees;
	uint32_t	nsplits;		/* of all trees */
	/* from churn_wide_end() on: */
	ChurnWide  *wide;
	ChurnWideBlock *blocks;
	WideSplit  *splits;
	uint32_t   *slots;			/* by split: its result */
	double		points[CHURN_WIDE_POINTS(CHURN_WIDE_DEPTH)];
	double		weights[CHURN_WIDE_POINTS(CHURN_WIDE_DEPTH)];
};

/* Nodes of a complete tree. */
static uint32_t
complete_nodes(uint32_t depth)
{
	return (UINT32_C(1) << depth) - 1;
}

/* Memory of keep that vectors can be loaded from. */
static void *
alloc_aligned(ChurnArena *keep, size_t size, ChurnError *error)
{
	uintptr_t	memory = (uintptr_t) churn_arena_alloc(keep, size +
													   CHURN_WIDE_ALIGN,
													   error);

	if (memory == 0)
		return NULL;
	return (void *) ((memory + CHURN_WIDE_ALIGN - 1) / CHURN_WIDE_ALIGN *
					 CHURN_WIDE_ALIGN);
}

/* Begins; NULL with CHURN_ERROR_LIMIT if features have too many bins. */
ChurnWideMaker *
churn_wide_begin(const ChurnForest *source, ChurnArena *keep,
				 ChurnArena *scratch, ChurnError *error)
{
	ChurnWideMaker *maker = churn_arena_alloc(scratch,
											  sizeof(ChurnWideMaker), error);
	uint32_t	i;

	if (maker == NULL)
		return NULL;
	maker->source = source;
	maker->keep = keep;
	maker->scratch = scratch;
	maker->trees = churn_arena_array(scratch, source->ntrees,
									 sizeof(WideTree), error);
	if (maker->trees == NULL ||
		!churn_bins_make(source, keep, scratch, &maker->bins, error))
		return NULL;
	for (i = 0; i < maker->bins.nbinners; i++)
		maker->nbins += maker->bins.binners[i].nbins;
	return maker;
}

/* Takes room for trees, if the tables stay within their bound. */
bool
churn_wide_reserve(ChurnWideMaker *maker, uint32_t depth, uint32_t ntrees)
{
	const size_t nblocks = (ntrees + CHURN_WIDE_LANES - 1) / CHURN_WIDE_LANES;
	const size_t bytes = maker->reserved +
	nblocks * 2 * complete_nodes(depth);

	if ((double) bytes * maker->nbins > CHURN_WIDE_MAX_BYTES)
		return false;
	maker->reserved = bytes;
	return true;
}

/* Adds a tree; the copy and the shares are copied, what is below them not. */
bool
churn_wide_add(ChurnWideMaker *maker, uint32_t depth,
			   const ChurnPathTree *tree, const double *shares,
			   ChurnError *error)
{
	ChurnPathTree *copy = churn_arena_alloc(maker->scratch,
											sizeof(ChurnPathTree), error);
	double	   *copied = churn_arena_array(maker->scratch, tree->ninner,
										   sizeof(double), error);
	WideTree   *added = &maker->trees[maker->ntrees];

	if (copy == NULL || copied == NULL)
		return false;
	*copy = *tree;
	memcpy(copied, shares, tree->ninner * sizeof(double));
	added->depth = depth;
	added->tree = copy;
	added->shares = copied;
	maker->ntrees++;
	maker->nsplits += tree->ninner;
	return true;
}

/* Where a tree is put, one lane of a block. */
typedef struct Place
{
	ChurnWideMaker *maker;
	const WideTree *tree;
	const ChurnWideBlock *block;
	float	   *nodes;			/* of the block */
	uint32_t	lane;
	uint32_t	first;			/* of the maker's splits */
} Place;

/* The vectors of a node, at the tree's lane. */
static float *
node_lane(const Place *place, uint32_t node)
{
	const uint32_t depth = place->block->depth;
	const uint32_t npoints = CHURN_WIDE_POINTS(depth);
	const uint32_t ninner = complete_nodes(depth - 1);
	const uint32_t inner = node < ninner ? node : ninner;

	return place->nodes + place->lane + (size_t) CHURN_WIDE_LANES *
		(inner * (2 + 2 * npoints) + (node - inner) * (3 + 2 * npoints));
}

/* Fills the nodes from a leaf's place on down: all lead to its value. */
static void
place_leaf(const Place *place, uint32_t node, float value)
{
	const uint32_t ninner = complete_nodes(place->block->depth - 1);
	float	   *lane;

	if (node >= complete_nodes(place->block->depth))
		return;
	lane = node_lane(place, node);
	if (node >= ninner)
	{
		lane[0] = value;
		return;
	}
	lane[0] = 1;
	place_leaf(place, 2 * node + 1, value);
	place_leaf(place, 2 * node + 2, value);
}

/* Writes s and weight * z / A^2 of all points. */
static void
place_curve(const Place *place, double z, float *lane)
{
	const uint32_t npoints = CHURN_WIDE_POINTS(place->block->depth);
	uint32_t	p;

	for (p = 0; p < npoints; p++)
	{
		double		t = place->maker->points[p];
		double		a = t + (1 - t) * z;

		lane[p * CHURN_WIDE_LANES] = (float) (t / a);
		lane[(npoints + p) * CHURN_WIDE_LANES] =
			(float) (place->maker->weights[p] * z / (a * a));
	}
}

/* Puts what is below a node of the copied tree into the block. */
static void
place_node(const Place *place, uint32_t node, uint32_t from)
{
	ChurnWideMaker *maker = place->maker;
	const ChurnPathTree *tree = place->tree->tree;
	const ChurnSplit *split;
	WideSplit  *wide;
	float	   *lane;

	if (from >= tree->ninner)
	{
		place_leaf(place, node, tree->leaves[from - tree->ninner]);
		return;
	}
	split = &tree->splits[from];
	wide = &maker->splits[place->first + from];
	wide->split = split;
	wide->above = split->above == CHURN_NO_NODE ? CHURN_NO_NODE :
		place->first + split->above;
	wide->byte = place->block->states + 2 * node;
	wide->bit = (uint8_t) (1u << place->lane);
	maker->slots[place->first + from] =
		(place->block->results + node) * CHURN_WIDE_LANES + place->lane;

	lane = node_lane(place, node);
	if (node < complete_nodes(place->block->depth - 1))
	{
		lane[0] = split->left_share;
		lane[CHURN_WIDE_LANES] = split->right_share;
		place_curve(place, place->tree->shares[from],
					lane + 2 * CHURN_WIDE_LANES);
		place_node(place, 2 * node + 1, split->left);
		place_node(place, 2 * node + 2, split->right);
	}
	else
	{
		const float left = tree->leaves[split->left - tree->ninner];
		const float right = tree->leaves[split->right - tree->ninner];
		const float mean = left * split->left_share +
		right * split->right_share;

		lane[0] = mean;
		lane[CHURN_WIDE_LANES] = left - mean;
		lane[2 * CHURN_WIDE_LANES] = right - mean;
		place_curve(place, place->tree->shares[from],
					lane + 3 * CHURN_WIDE_LANES);
	}
}

/* Makes a block of the next trees, which all have the depth of the first. */
static bool
make_block(ChurnWideMaker *maker, const WideTree *trees, uint32_t ntrees,
		   uint32_t *nsplits, ChurnError *error)
{
	ChurnWide  *wide = maker->wide;
	ChurnWideBlock *block = &maker->blocks[wide->nblocks++];
	const uint32_t depth = trees[0].depth;
	const uint32_t npoints = CHURN_WIDE_POINTS(depth);
	const uint32_t ninner = complete_nodes(depth - 1);
	Place		place = {maker, NULL, block, NULL, 0, 0};
	uint32_t	i;

	place.nodes = alloc_aligned(maker->keep, sizeof(ChurnWideLanes) *
								(ninner * (2 + 2 * npoints) +
								 (ninner + 1) * (3 + 2 * npoints)), error);
	if (place.nodes == NULL)
		return false;
	block->depth = depth;
	block->nodes = (const ChurnWideLanes *) place.nodes;
	block->states = wide->row_bytes;
	block->results = wide->nresults;
	wide->row_bytes += 2 * complete_nodes(depth);
	wide->nresults += complete_nodes(depth);
	churn_gauss_points(npoints, maker->points, maker->weights);
	for (i = 0; i < ntrees; i++)
	{
		place.tree = &trees[i];
		place.lane = i;
		place.first = *nsplits;
		*nsplits += trees[i].tree->ninner;
		place_node(&place, 0, 0);
	}
	return true;
}

/* Makes the blocks, of the shallowest trees first. */
static bool
make_blocks(ChurnWideMaker *maker, ChurnError *error)
{
	WideTree   *sorted = churn_arena_array(maker->scratch, maker->ntrees,
										   sizeof(WideTree), error);
	uint32_t	nsplits = 0;
	uint32_t	depth;
	uint32_t	i;

	maker->blocks = churn_arena_array(maker->keep,
									  maker->ntrees / CHURN_WIDE_LANES +
									  CHURN_WIDE_DEPTH,
									  sizeof(ChurnWideBlock), error);
	if (sorted == NULL || maker->blocks == NULL)
		return false;
	maker->wide->blocks = maker->blocks;
	for (depth = 1; depth <= CHURN_WIDE_DEPTH; depth++)
	{
		uint32_t	n = 0;

		for (i = 0; i < maker->ntrees; i++)
			if (maker->trees[i].depth == depth)
				sorted[n++] = maker->trees[i];
		for (i = 0; i < n; i += CHURN_WIDE_LANES)
			if (!make_block(maker, sorted + i, n - i < CHURN_WIDE_LANES ?
							n - i : CHURN_WIDE_LANES, &nsplits, error))
				return false;
	}
	return true;
}

/* Sorts results by feature, and the splits along with them, in order. */
static uint32_t *
sort_results(ChurnWideMaker *maker, ChurnError *error)
{
	ChurnWide  *wide = maker->wide;
	uint32_t   *ends = churn_arena_array(maker->keep, wide->nfeatures + 1,
										 sizeof(uint32_t), error);
	uint32_t   *items = churn_arena_array(maker->keep, maker->nsplits,
										  sizeof(uint32_t), error);
	uint32_t   *order = churn_arena_array(maker->scratch, maker->nsplits,
										  sizeof(uint32_t), error);
	uint32_t	i;

	if (ends == NULL || items == NULL || order == NULL)
		return NULL;
	/* ends[f + 1] counts, then ends[f] is where f's items begin, then end */
	for (i = 0; i < maker->nsplits; i++)
		ends[maker->splits[i].split->feature + 1]++;
	for (i = 0; i < wide->nfeatures; i++)
		ends[i + 1] += ends[i];
	for (i = 0; i < maker->nsplits; i++)
	{
		uint32_t	at = ends[maker->splits[i].split->feature]++;

		order[at] = i;
		items[at] = maker->slots[i];
	}
	wide->items = items;
	wide->ends = ends;
	return order;
}

/*
 * Clears from a row of masks the lanes of trees whose split a bin fails or has
 * failed above, by this binner's kind of splits.  Those of a path come in its
 * order.
 */
static void
write_row(ChurnWideMaker *maker, const ChurnBinner *binner, uint32_t bin,
		  const uint32_t *order, uint32_t count, uint8_t *row)
{
	uint32_t	i;

	for (i = 0; i < count; i++)
	{
		WideSplit  *wide = &maker->splits[order[i]];
		const ChurnSplit *split = wide->split;
		const bool	known = binner->categorical ==
		((split->flags & CHURN_NODE_CATEGORICAL) != 0);

		wide->dead = false;
		if (wide->above != CHURN_NO_NODE)
		{
			const WideSplit *above = &maker->splits[wide->above];

			wide->dead = above->dead ||
				(binner->categorical ==
				 ((above->split->flags & CHURN_NODE_CATEGORICAL) != 0) &&
				 above->right != (split->alive == CHURN_SPLIT_RIGHT));
		}
		wide->right = known &&
			churn_bin_goes_right(maker->source, &maker->bins, binner,
								 split->source, bin);
		if (wide->dead || (known && wide->right))
			row[wide->byte] &= (uint8_t) ~wide->bit;
		if (wide->dead || (known && !wide->right))
			row[wide->byte + 1] &= (uint8_t) ~wide->bit;
	}
}

/* Makes the tables of masks. */
static bool
make_tables(ChurnWideMaker *maker, const uint32_t *order, ChurnError *error)
{
	ChurnWide  *wide = maker->wide;
	ChurnWideTable *tables;
	uint8_t    *rows;
	uint32_t	i;
	uint32_t	bin;

	wide->row_bytes = (wide->row_bytes + CHURN_WIDE_ALIGN - 1) /
		CHURN_WIDE_ALIGN * CHURN_WIDE_ALIGN;
	tables = churn_arena_array(maker->keep, maker->bins.nbinners,
							   sizeof(ChurnWideTable), error);
	rows = alloc_aligned(maker->keep, (size_t) maker->nbins * wide->row_bytes,
						 error);
	if (tables == NULL || rows == NULL)
		return false;
	memset(rows, 0xFF, (size_t) maker->nbins * wide->row_bytes);
	for (i = 0; i < maker->bins.nbinners; i++)
	{
		const ChurnBinner *binner = &maker->bins.binners[i];
		const uint32_t f = binner->feature;
		const uint32_t begin = f > 0 ? wide->ends[f - 1] : 0;

		tables[i].binner = binner;
		tables[i].rows = rows;
		for (bin = 0; bin < binner->nbins; bin++)
		{
			write_row(maker, binner, bin, order + begin,
					  wide->ends[f] - begin, rows);
			rows += wide->row_bytes;
		}
	}
	wide->ntables = maker->bins.nbinners;
	wide->tables = tables;
	return true;
}

/* Makes blocks and tables of all trees that were added. */
ChurnWide *
churn_wide_end(ChurnWideMaker *maker, bool portable, ChurnError *error)
{
	const uint32_t *order;

	maker->wide = churn_arena_alloc(maker->keep, sizeof(ChurnWide), error);
	maker->splits = churn_arena_array(maker->scratch, maker->nsplits,
									  sizeof(WideSplit), error);
	maker->slots = churn_arena_array(maker->scratch, maker->nsplits,
									 sizeof(uint32_t), error);
	if (maker->wide == NULL || maker->splits == NULL || maker->slots == NULL)
		return NULL;
	maker->wide->nfeatures = maker->source->nfeatures;
	if (!make_blocks(maker, error))
		return NULL;
	order = sort_results(maker, error);
	if (order == NULL || !make_tables(maker, order, error))
		return NULL;
	churn_wide_choose(maker->wide, portable);
	return maker->wide;
}
