/*
 * column.c
 *		The values of one column while rows arrive.
 */
#include "column.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "churn/number.h"
#include "memory.h"

/* Rows from which on nearly all different texts tell an identifier. */
#define IDENTIFIER_ROWS		50

static const char reason_identifier[] = "nearly all of its values differ";
static const char reason_categories[] = "it has more than 4096 values";

_Static_assert(CHURN_TEXTS_MAX == 4096, "the text above names the limit");

void
churn_column_init(ChurnColumn *column, const ChurnColumnSettings *settings)
{
	memset(column, 0, sizeof(*column));
	column->settings = settings;
	if (settings->kind == CHURN_COLUMN_TEXT)
	{
		column->state = CHURN_COLUMN_CODES;
		column->texts = churn_texts_create();
	}
	else
		column->state = CHURN_COLUMN_FLOATS;
}

/* Gives a block memory for its rows at its width. */
static void
alloc_block(ChurnBlock *block)
{
	block->values = churn_pages_alloc((size_t) block->rows * block->width);
}

static void
free_block(ChurnBlock *block)
{
	churn_pages_free(block->values, (size_t) block->rows * block->width);
	block->values = NULL;
}

void
churn_column_extend(ChurnColumn *column, uint32_t rows)
{
	ChurnBlock *block;

	if (column->state == CHURN_COLUMN_LEFT_OUT)
		return;
	column->blocks = churn_realloc(column->blocks, column->nblocks + 1,
								   sizeof(ChurnBlock));
	block = &column->blocks[column->nblocks++];
	column->last = block;
	block->rows = rows;
	if (column->state != CHURN_COLUMN_CODES)
		block->width = sizeof(float);
	else
		block->width = column->texts->count <= UINT8_MAX ? 1 : 2;
	alloc_block(block);
}

void
churn_column_leave_out(ChurnColumn *column, const char *reason)
{
	size_t		i;

	for (i = 0; i < column->nblocks; i++)
		free_block(&column->blocks[i]);
	free(column->blocks);
	churn_texts_destroy(column->texts);
	column->blocks = NULL;
	column->nblocks = 0;
	column->last = NULL;
	column->texts = NULL;
	column->state = CHURN_COLUMN_LEFT_OUT;
	column->reason = reason;
}

/* The code at a row of a block of codes. */
static inline uint32_t
get_code(const ChurnBlock *block, uint32_t row)
{
	return block->width == 1 ? ((const uint8_t *) block->values)[row] :
		((const uint16_t *) block->values)[row];
}

/* Makes the codes of a block two bytes wide. */
static void
widen_block(ChurnBlock *block)
{
	ChurnBlock	wide = {.rows = block->rows,.width = 2};
	uint32_t	row;

	alloc_block(&wide);
	for (row = 0; row < block->rows; row++)
		((uint16_t *) wide.values)[row] = ((uint8_t *) block->values)[row];
	free_block(block);
	*block = wide;
}

/*
 * Makes a block of codes one of the numbers that the texts hold, and counts
 * the blank ones among the first rows.
 */
static void
parse_block(ChurnColumn *column, ChurnBlock *block, uint32_t rows)
{
	ChurnBlock	parsed = {.rows = block->rows,.width = sizeof(float)};
	float	   *values;
	uint32_t	row;

	alloc_block(&parsed);
	values = parsed.values;
	for (row = 0; row < rows; row++)
	{
		uint32_t	code = get_code(block, row);

		values[row] = code == 0 ? NAN : column->texts->texts[code - 1].number;
		if (code != 0 && isnan(values[row]))
			column->blank++;
	}
	free_block(block);
	*block = parsed;
}

/* Turns codes into numbers; the last block holds so many rows. */
static void
parse_column(ChurnColumn *column, uint32_t last_rows)
{
	size_t		i;

	for (i = 0; i < column->nblocks; i++)
	{
		ChurnBlock *block = &column->blocks[i];

		parse_block(column, block,
					block == column->last ? last_rows : block->rows);
	}
	churn_texts_destroy(column->texts);
	column->texts = NULL;
	column->state = CHURN_COLUMN_PARSED;
}

/* Stores a text of a column whose texts were all numbers so far. */
static void
put_parsed(ChurnColumn *column, uint32_t row, const char *bytes,
		   uint32_t length)
{
	float		number;

	if (!churn_number_parse(bytes, length, &number))
	{
		churn_column_leave_out(column, reason_categories);
		return;
	}
	if (isnan(number))
		column->blank++;
	((float *) column->last->values)[row] = number + 0.0f;
}

void
churn_column_put_text(ChurnColumn *column, uint32_t row, const char *bytes,
					  uint32_t length)
{
	int32_t		number;

	if (column->state == CHURN_COLUMN_LEFT_OUT)
		return;
	column->filled++;
	if (column->state == CHURN_COLUMN_CODES)
	{
		number = churn_texts_number(column->texts, bytes, length);
		if (number >= 0)
		{
			if (column->last->width == 1 && number >= UINT8_MAX)
				widen_block(column->last);
			if (column->last->width == 1)
				((uint8_t *) column->last->values)[row] =
					(uint8_t) (number + 1);
			else
				((uint16_t *) column->last->values)[row] =
					(uint16_t) (number + 1);
			return;
		}
		if (!column->texts->numbers)
		{
			churn_column_leave_out(column,
								   2 * column->texts->count > column->filled ?
								   reason_identifier : reason_categories);
			return;
		}
		parse_column(column, row);
	}
	put_parsed(column, row, bytes, length);
}

/* NULL is code 0, which fresh pages hold, or NaN. */
void
churn_column_put_null(ChurnColumn *column, uint32_t row)
{
	if (column->state == CHURN_COLUMN_PARSED)
		((float *) column->last->values)[row] = NAN;
}

void
churn_column_put_number(ChurnColumn *column, uint32_t row, float number)
{
	if (isnan(number))
		number = NAN;
	else
	{
		column->filled++;
		if (isinf(number))
			number = number > 0 ? FLT_MAX : -FLT_MAX;
		number += 0.0f;			/* makes -0 the same as 0 */
	}
	((float *) column->last->values)[row] = number;
}

bool
churn_column_resolve(ChurnColumn *column)
{
	if (column->state == CHURN_COLUMN_PARSED)
		return true;
	if (column->state != CHURN_COLUMN_CODES)
		return false;
	if (column->texts->count > 0 && column->texts->numbers)
	{
		/* Rows beyond the last one are read as NULL and do no harm. */
		parse_column(column, column->last->rows);
		return true;
	}
	if (column->filled >= IDENTIFIER_ROWS &&
		2 * (uint64_t) column->texts->count > column->filled)
		churn_column_leave_out(column, reason_identifier);
	return false;
}

/* Copies rows of a block behind one another, widening codes where needed. */
static void
copy_block(const ChurnBlock *block, size_t rows, void *values, uint8_t width)
{
	size_t		row;

	if (block->width == width)
		memcpy(values, block->values, rows * width);
	else
	{
		for (row = 0; row < rows; row++)
			((uint16_t *) values)[row] = ((uint8_t *) block->values)[row];
	}
}

void *
churn_column_flatten(ChurnColumn *column, size_t rows, uint8_t *width)
{
	uint8_t    *values;
	size_t		done = 0;
	size_t		i;

	if (column->state == CHURN_COLUMN_CODES)
		*width = column->texts->count <= UINT8_MAX ? 1 : 2;
	else
		*width = sizeof(float);
	values = churn_pages_alloc(rows * *width);
	for (i = 0; i < column->nblocks; i++)
	{
		ChurnBlock *block = &column->blocks[i];
		size_t		count = rows - done;

		if (count > block->rows)
			count = block->rows;
		copy_block(block, count, values + done * *width, *width);
		done += count;
		free_block(block);
	}
	free(column->blocks);
	column->blocks = NULL;
	column->nblocks = 0;
	return values;
}
