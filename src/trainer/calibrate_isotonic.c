/*
 * calibrate_isotonic.c
 *		Isotonic calibration, made strictly rising.
 *
 * The pool-adjacent-violators algorithm (Ayer et al., 1955) cuts the rows, in
 * the order of their margins, into blocks of rising rates.  Blocks become
 * knots: the mean margin of their rows against the log-odds of their rate,
 * with lines between.
 */
#include "calibrate_internal.h"

#include <math.h>

#include "channel.h"
#include "memory.h"

/*
 * A knot stands for at least so many rows, and for at least one in MAX_BLOCKS
 * of all, which bounds the knots by CHURN_MAX_KNOTS.
 */
#define MIN_BLOCK_ROWS	50
#define MAX_BLOCKS		1000

_Static_assert(MAX_BLOCKS < CHURN_MAX_KNOTS, "knots fit");

typedef struct Block
{
	double		margins;		/* sum */
	double		rows;
	double		positives;
} Block;

static inline void
add_block(Block *block, const Block *added)
{
	block->margins += added->margins;
	block->rows += added->rows;
	block->positives += added->positives;
}

/*
 * Pools adjacent violators among the rows outside the fold.  Rows of one
 * margin are one block from the start.  Returns the number of blocks.
 */
static size_t
pool(const ChurnPoints *points, int fold, Block *blocks)
{
	size_t		n = 0;
	size_t		row = 0;

	while (row < points->n)
	{
		float		margin = points->points[row].margin;
		Block		block = {0, 0, 0};

		for (; row < points->n && points->points[row].margin == margin; row++)
		{
			if (points->points[row].fold == fold)
				continue;
			block.margins += margin;
			block.rows++;
			block.positives += points->points[row].label;
		}
		if (block.rows == 0)
			continue;
		while (n > 0 && blocks[n - 1].positives * block.rows >=
			   block.positives * blocks[n - 1].rows)
			add_block(&block, &blocks[--n]);
		blocks[n++] = block;
	}
	return n;
}

/* Joins blocks to the next until they have so many rows. */
static size_t
join(Block *blocks, size_t n, double min_rows)
{
	size_t		kept = 0;
	size_t		i;

	for (i = 0; i < n; i++)
	{
		if (kept > 0 && blocks[kept - 1].rows < min_rows)
			add_block(&blocks[kept - 1], &blocks[i]);
		else
			blocks[kept++] = blocks[i];
	}
	if (kept > 1 && blocks[kept - 1].rows < min_rows)
	{
		add_block(&blocks[kept - 2], &blocks[kept - 1]);
		kept--;
	}
	return kept;
}

/*
 * The rate of a block.  Only the first can be without churn and only the last
 * without anything else; those get the rate of Laplace's rule of succession,
 * as far as that does not pass half the way to the next block's.
 */
static double
block_rate(const Block *blocks, size_t n, size_t i)
{
	const Block *block = &blocks[i];
	double		shrunk = 1 / (block->rows + 2);
	double		room;

	if (block->positives == 0)
	{
		room = i + 1 < n ? blocks[i + 1].positives / blocks[i + 1].rows : 1;
		return fmin(shrunk, room / 2);
	}
	if (block->positives == block->rows)
	{
		room = i > 0 ? 1 - blocks[i - 1].positives / blocks[i - 1].rows : 1;
		return 1 - fmin(shrunk, room / 2);
	}
	return block->positives / block->rows;
}

bool
churn_isotonic_fit(const ChurnPoints *points, int fold, double min_slope,
				   ChurnArena *arena, ChurnCalibration *calibration)
{
	size_t		size = points->rows[fold] * sizeof(Block);
	Block	   *blocks = churn_pages_alloc(size);
	ChurnError	error;
	double	   *margins;
	double	   *logits;
	size_t		n = pool(points, fold, blocks);
	size_t		i;
	uint32_t	kept = 0;

	n = join(blocks, n, fmax(MIN_BLOCK_ROWS, ceil((double) points->rows[fold] /
												  MAX_BLOCKS)));
	margins = churn_arena_array(arena, n, sizeof(double), &error);
	logits = churn_arena_array(arena, n, sizeof(double), &error);
	if (margins == NULL || logits == NULL)
		churn_failure_memory();
	for (i = 0; i < n; i++)
	{
		double		margin = blocks[i].margins / blocks[i].rows;
		double		rate = block_rate(blocks, n, i);
		double		logit = log(rate) - log1p(-rate);

		if (kept > 0)
		{
			/* means of neighbouring floats may round to the same */
			if (margin <= margins[kept - 1])
				continue;
			logit = fmax(logit, logits[kept - 1] +
						 min_slope * (margin - margins[kept - 1]));
			if (logit <= logits[kept - 1])
				continue;
		}
		margins[kept] = margin;
		logits[kept++] = logit;
	}
	churn_pages_free(blocks, size);
	calibration->kind = CHURN_CALIBRATION_ISOTONIC;
	calibration->margins = margins;
	calibration->logits = logits;
	calibration->nknots = kept;
	return kept > 1;
}
