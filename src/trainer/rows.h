/*
 * rows.h
 *		Rows as they arrive, stored by column.
 */
#ifndef CHURN_ROWS_H
#define CHURN_ROWS_H

#include "column.h"
#include "settings.h"

/*
 * What tells a row from others: the hash of its key, by which it is split and
 * ordered, and the hash of its values, whose last bit is the label.
 */
typedef struct ChurnMark
{
	uint64_t	key;
	uint64_t	content;
} ChurnMark;

typedef struct ChurnMarkBlock
{
	ChurnMark  *marks;
	float	   *champion;		/* NULL unless settings->has_champion */
	uint32_t	rows;			/* room for so many */
} ChurnMarkBlock;

typedef struct ChurnRows
{
	const ChurnSettings *settings;
	ChurnColumn *columns;
	uint64_t	nrows;
	uint64_t	positives;
	uint64_t	fingerprint[2]; /* sums over rows, in any order */
	ChurnMarkBlock *blocks;
	size_t		nblocks;
	uint32_t	fill;			/* rows in the last block */
} ChurnRows;

extern void churn_rows_init(ChurnRows *rows, const ChurnSettings *settings);

/* Takes the rows of a ROWS frame, whose bytes it may change. */
extern void churn_rows_take(ChurnRows *rows, uint8_t *payload,
							uint32_t length);

/* Frees a block of marks, once they have been taken over. */
extern void churn_rows_free_block(ChurnMarkBlock *block);

#endif							/* CHURN_ROWS_H */
