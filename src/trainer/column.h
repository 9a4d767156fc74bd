/*
 * column.h
 *		The values of one column while rows arrive.
 *
 * Values lie in blocks, one after another, that never move: a growing column
 * takes no more memory than its values.  Texts are kept as codes, one byte
 * each as long as there are few, and code 0 is NULL.
 */
#ifndef CHURN_COLUMN_H
#define CHURN_COLUMN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "settings.h"
#include "texts.h"

typedef struct ChurnBlock
{
	void	   *values;
	uint32_t	rows;			/* room for so many */
	uint8_t		width;			/* bytes of a value: 1, 2 (codes), 4 (float) */
} ChurnBlock;

typedef enum ChurnColumnState
{
	CHURN_COLUMN_FLOATS,		/* sent as floats */
	CHURN_COLUMN_CODES,			/* texts as codes */
	CHURN_COLUMN_PARSED,		/* so many texts, but all numbers: floats */
	CHURN_COLUMN_LEFT_OUT		/* no values are kept */
} ChurnColumnState;

typedef struct ChurnColumn
{
	const ChurnColumnSettings *settings;
	ChurnColumnState state;
	const char *reason;			/* it is left out for */
	ChurnTexts *texts;			/* only if CHURN_COLUMN_CODES */
	uint64_t	filled;			/* values that are not NULL */
	uint64_t	blank;			/* of these, when parsed, blank ones */
	ChurnBlock *blocks;
	size_t		nblocks;
	ChurnBlock *last;			/* the block that is being filled */
} ChurnColumn;

extern void churn_column_init(ChurnColumn *column,
							  const ChurnColumnSettings *settings);

/* Adds a block with room for so many more rows. */
extern void churn_column_extend(ChurnColumn *column, uint32_t rows);

/*
 * Stores a text as value number row of the last block.  May find that the
 * column is to be left out.
 */
extern void churn_column_put_text(ChurnColumn *column, uint32_t row,
								  const char *bytes, uint32_t length);
extern void churn_column_put_null(ChurnColumn *column, uint32_t row);
extern void churn_column_leave_out(ChurnColumn *column, const char *reason);

/* Stores a number; infinity becomes the largest float, NaN is missing. */
extern void churn_column_put_number(ChurnColumn *column, uint32_t row,
									float number);

/*
 * When all rows are there: tells numbers from categories, and leaves out texts
 * that are nearly all different.  Returns true when texts turn out to be
 * numbers.
 */
extern bool churn_column_resolve(ChurnColumn *column);

/*
 * Moves all rows' values, in the order they came, into one array of pages,
 * and sets *width to the bytes of one.
 */
extern void *churn_column_flatten(ChurnColumn *column, size_t rows,
								  uint8_t *width);

#endif							/* CHURN_COLUMN_H */
