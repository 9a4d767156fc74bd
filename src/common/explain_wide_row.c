/*
 * explain_wide_row.c
 *		A row explained by blocks of eight trees; see explain_wide.h.
 *
 * The same code is compiled for the baseline and for AVX2.  All vectors have
 * eight lanes and nothing is fused, so that the results are the same bits.
 */
#include <string.h>

#include "explain_wide.h"
#include "forest_search.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define HAVE_AVX2_KERNEL
#endif

#define FORCE_INLINE static inline __attribute__((always_inline))

typedef int32_t WideMasks
			__attribute__((vector_size(CHURN_WIDE_ALIGN), may_alias));

/* Most nodes of a tree, and vectors of all points at them. */
#define MOST_NODES		((1u << CHURN_WIDE_DEPTH) - 1)
#define MOST_VECTORS	(MOST_NODES * CHURN_WIDE_POINTS(CHURN_WIDE_DEPTH))

/* What one block leaves between its passes; by node and point. */
typedef struct WideWork
{
	ChurnWideLanes up[MOST_VECTORS];	/* B */
	ChurnWideLanes down[MOST_VECTORS];	/* D */
	ChurnWideLanes change[MOST_VECTORS];	/* weight * z / A^2 d */
} WideWork;

/* All lanes of a byte's bits set, or none. */
#define MASKS_OF(byte) \
	((((WideMasks) {0} + (int32_t) (byte)) & lane_bits) == lane_bits)

/* Lanes of a where the mask is set, 0 elsewhere. */
#define WHERE(mask, a)	((ChurnWideLanes) ((WideMasks) (a) & (mask)))

static const WideMasks lane_bits = {1, 2, 4, 8, 16, 32, 64, 128};

/* B and changes of all nodes of a block, from the leaves to the root. */
FORCE_INLINE void
walk_up(const ChurnWideBlock *block, const uint8_t *states,
		const uint32_t npoints, WideWork *work)
{
	const uint32_t ninner = (1u << (block->depth - 1)) - 1;
	const		ChurnWideLanes *node;
	uint32_t	n = 2 * ninner + 1;
	uint32_t	p;

	node = block->nodes + ninner * (2 + 2 * npoints) +
		(ninner + 1) * (3 + 2 * npoints);
	while (n-- > ninner)
	{
		const		WideMasks left = MASKS_OF(states[2 * n]);
		const		WideMasks right = MASKS_OF(states[2 * n + 1]);
		ChurnWideLanes change;

		node -= 3 + 2 * npoints;
		change = (ChurnWideLanes) ((WideMasks) WHERE(left, node[1]) |
								   (WideMasks) WHERE(right, node[2]));
#pragma GCC unroll 4
		for (p = 0; p < npoints; p++)
		{
			work->up[n * npoints + p] = node[0] + node[3 + p] * change;
			work->change[n * npoints + p] = node[3 + npoints + p] * change;
		}
	}
	for (n = ninner; n-- > 0;)
	{
		const		WideMasks left = MASKS_OF(states[2 * n]);
		const		WideMasks right = MASKS_OF(states[2 * n + 1]);
		const		WideMasks alive = left | right;
		const		ChurnWideLanes *below = work->up + (2 * n + 1) * npoints;

		node -= 2 + 2 * npoints;
#pragma GCC unroll 4
		for (p = 0; p < npoints; p++)
		{
			const		ChurnWideLanes mean = below[p] * node[0] +
			below[npoints + p] * node[1];
			const		ChurnWideLanes hot = (ChurnWideLanes)
			((WideMasks) WHERE(left, below[p]) |
			 (WideMasks) WHERE(right, below[npoints + p]));
			const		ChurnWideLanes change = hot - WHERE(alive, mean);

			work->up[n * npoints + p] = mean + node[2 + p] * change;
			work->change[n * npoints + p] = node[2 + npoints + p] * change;
		}
	}
}

/* D of all nodes of a block, from the root to the leaves, and the results. */
FORCE_INLINE void
walk_down(const ChurnWideBlock *block, const uint8_t *states,
		  const uint32_t npoints, WideWork *work, ChurnWideLanes * results)
{
	const uint32_t ninner = (1u << (block->depth - 1)) - 1;
	const		ChurnWideLanes *node = block->nodes;
	uint32_t	n;
	uint32_t	p;

	for (p = 0; p < npoints; p++)
		work->down[p] = (ChurnWideLanes)
	{
		0
	} +1.0f;
	for (n = 0; n < ninner; n++)
	{
		const		WideMasks left = MASKS_OF(states[2 * n]);
		const		WideMasks right = MASKS_OF(states[2 * n + 1]);
		const		WideMasks alive = left | right;
		ChurnWideLanes *below = work->down + (2 * n + 1) * npoints;
		ChurnWideLanes sum = {0};

#pragma GCC unroll 4
		for (p = 0; p < npoints; p++)
		{
			const		ChurnWideLanes down = work->down[n * npoints + p];
			const		ChurnWideLanes bent = WHERE(alive, down * node[2 + p]);
			const		ChurnWideLanes straight = down - bent;

			below[p] = straight * node[0] + WHERE(left, bent);
			below[npoints + p] = straight * node[1] + WHERE(right, bent);
			sum += down * work->change[n * npoints + p];
		}
		results[n] = sum;
		node += 2 + 2 * npoints;
	}
	for (; n < 2 * ninner + 1; n++)
	{
		ChurnWideLanes sum = {0};

#pragma GCC unroll 4
		for (p = 0; p < npoints; p++)
			sum += work->down[n * npoints + p] *
				work->change[n * npoints + p];
		results[n] = sum;
	}
}

/* Explains a block, with the number of points known to the compiler. */
FORCE_INLINE void
explain_block(const ChurnWideBlock *block, const uint8_t *states,
			  const uint32_t npoints, WideWork *work,
			  ChurnWideLanes * results)
{
	walk_up(block, states, npoints, work);
	walk_down(block, states, npoints, work, results);
}

FORCE_INLINE void
explain_blocks(const ChurnWide *wide, const uint8_t *states, void *workspace,
			   float *results)
{
	uint32_t	i;

	for (i = 0; i < wide->nblocks; i++)
	{
		const ChurnWideBlock *block = &wide->blocks[i];
		const uint8_t *mine = states + block->states;
		ChurnWideLanes *out = (ChurnWideLanes *) results + block->results;

		switch (CHURN_WIDE_POINTS(block->depth))
		{
			case 1:
				explain_block(block, mine, 1, workspace, out);
				break;
			case 2:
				explain_block(block, mine, 2, workspace, out);
				break;
			case 3:
				explain_block(block, mine, 3, workspace, out);
				break;
			default:
				explain_block(block, mine, 4, workspace, out);
				break;
		}
	}
}

static void
explain_portable(const ChurnWide *wide, const uint8_t *states,
				 void *workspace, float *results)
{
	explain_blocks(wide, states, workspace, results);
}

#ifdef HAVE_AVX2_KERNEL
static __attribute__((target("avx2")))
void
explain_avx2(const ChurnWide *wide, const uint8_t *states, void *workspace,
			 float *results)
{
	explain_blocks(wide, states, workspace, results);
}
#endif

/* Chooses the code for this processor; see explain_wide.h. */
void
churn_wide_choose(ChurnWide *wide, bool portable)
{
	wide->explain = explain_portable;
#ifdef HAVE_AVX2_KERNEL
	if (!portable && __builtin_cpu_supports("avx2"))
		wide->explain = explain_avx2;
#else
	(void) portable;
#endif
}

/* Bytes of the workspace: of a block, states, results. */
size_t
churn_explain_wide_workspace(const ChurnWide *wide)
{
	return sizeof(WideWork) + wide->row_bytes +
		(size_t) wide->nresults * sizeof(ChurnWideLanes);
}

/* ANDs the masks of the bins that the row's features are in. */
static void
find_states(const ChurnWide *wide, const float *features, uint8_t *states)
{
	uint32_t	t;
	uint32_t	i;

	memset(states, 0xFF, wide->row_bytes);
	for (t = 0; t < wide->ntables; t++)
	{
		const ChurnWideTable *table = &wide->tables[t];
		const uint32_t bin = churn_bin(table->binner,
									   features[table->binner->feature]);
		const		WideMasks *row = (const WideMasks *)
		(table->rows + (size_t) bin * wide->row_bytes);
		WideMasks  *all = (WideMasks *) states;

		for (i = 0; i < wide->row_bytes / sizeof(WideMasks); i++)
			all[i] &= row[i];
	}
}

/* Explains a row; see explain_wide.h. */
void
churn_explain_wide(const ChurnWide *wide, const float *features,
				   double weight, void *workspace, double *sums)
{
	uint8_t    *states = (uint8_t *) workspace + sizeof(WideWork);
	float	   *results = (float *) (states + wide->row_bytes);
	uint32_t	item = 0;
	uint32_t	f;

	find_states(wide, features, states);
	wide->explain(wide, states, workspace, results);
	for (f = 0; f < wide->nfeatures; f++)
	{
		const uint32_t end = wide->ends[f];
		double		sum[4] = {0};

		for (; item + 4 <= end; item += 4)
		{
			sum[0] += results[wide->items[item]];
			sum[1] += results[wide->items[item + 1]];
			sum[2] += results[wide->items[item + 2]];
			sum[3] += results[wide->items[item + 3]];
		}
		for (; item < end; item++)
			sum[0] += results[wide->items[item]];
		sums[f] += weight * ((sum[0] + sum[1]) + (sum[2] + sum[3]));
	}
}
