/*
 * baseline.c
 *		How features and scores are distributed, for later comparisons.
 *
 * Columns are measured while the table holds all labelled rows: before training
 * rows that equal a test row are dropped, as those are the commonest customers,
 * and before the memory of the training part is given back.  Numbers are
 * sorted, so that nothing depends on the order of the rows.
 */
#include "baseline.h"

#include <math.h>

#include "channel.h"
#include "keep.h"
#include "keys.h"
#include "memory.h"

/* Cuts n keys, in no order, into cells. */
static void
measure_keys(ChurnCells *cells, uint32_t *keys, uint32_t *room, size_t n,
			 size_t missing, ChurnArena *arena)
{
	ChurnError	error;
	uint32_t   *sorted = churn_keys_sort(keys, room, n);
	float	   *numbers = (float *) (sorted == keys ? room : keys);
	size_t		i;

	for (i = 0; i < n; i++)
		numbers[i] = churn_key_value(sorted[i]);
	if (!churn_cells_make(cells, numbers, n, missing, arena, &error))
		churn_failure_memory();
}

/* Measures a column of numbers; room is for two of each row. */
static void
measure_numbers(const ChurnTable *table, ChurnTableColumn *column,
				uint32_t *room, ChurnArena *arena)
{
	const float *values = column->values;
	size_t		n = 0;
	size_t		row;

	for (row = 0; row < table->nrows; row++)
	{
		if (!isnan(values[row]))
			room[n++] = churn_key_of(values[row]);
	}
	measure_keys(&column->baseline, room, room + table->nrows, n,
				 table->nrows - n, arena);
}

/* Counts the rows of each text of a column. */
static void
count_texts(const ChurnTable *table, ChurnTableColumn *column,
			ChurnArena *arena)
{
	uint32_t	n = column->column->texts->count;
	uint64_t   *counts = churn_keep(arena, (size_t) n + 1, sizeof(uint64_t));
	size_t		row;

	if (column->width == 1)
	{
		for (row = 0; row < table->nrows; row++)
			counts[((const uint8_t *) column->values)[row]]++;
	}
	else
	{
		for (row = 0; row < table->nrows; row++)
			counts[((const uint16_t *) column->values)[row]]++;
	}
	column->baseline.rows = table->nrows;
	column->baseline.missing = counts[0];
	column->baseline.ncells = n;
	column->baseline.counts = counts + 1;
}

void
churn_baseline_measure(ChurnTable *table, ChurnArena *arena)
{
	size_t		bytes = 2 * table->nrows * sizeof(uint32_t);
	uint32_t   *room = churn_pages_alloc(bytes);
	size_t		i;

	for (i = 0; i < table->ncolumns; i++)
	{
		ChurnTableColumn *column = &table->columns[i];

		column->baseline.kind = column->kind;
		column->baseline.mean = column->baseline.sd = NAN;
		if (column->kind == CHURN_FEATURE_CATEGORY)
			count_texts(table, column, arena);
		else
			measure_numbers(table, column, room, arena);
	}
	churn_pages_free(room, bytes);
}

void
churn_baseline_recode(ChurnTableColumn *column, const uint16_t *new_codes,
					  ChurnArena *arena)
{
	ChurnCells *cells = &column->baseline;
	uint64_t   *counts = churn_keep(arena, column->ncategories,
									sizeof(uint64_t));
	uint32_t	i;

	for (i = 0; i < cells->ncells; i++)
	{
		if (new_codes[i + 1] == 0)
			cells->unseen += cells->counts[i];
		else
			counts[new_codes[i + 1] - 1] += cells->counts[i];
	}
	cells->ncells = column->ncategories;
	cells->counts = counts;
}

void
churn_baseline_scores(ChurnCells *cells, const float *margins, size_t n,
					  const ChurnCalibration *calibration, ChurnArena *arena)
{
	size_t		bytes = 2 * n * sizeof(uint32_t);
	uint32_t   *room = churn_pages_alloc(bytes);
	size_t		i;

	for (i = 0; i < n; i++)
		room[i] = churn_key_of((float) churn_calibrate(calibration,
													   margins[i]));
	memset(cells, 0, sizeof(*cells));
	cells->kind = CHURN_FEATURE_NUMBER;
	measure_keys(cells, room, room + n, n, 0, arena);
	churn_pages_free(room, bytes);
}
