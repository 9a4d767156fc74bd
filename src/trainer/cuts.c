/*
 * cuts.c
 *		Where the values of features are cut into bins.
 *
 * XGBoost finds bins by a quantile sketch, which costs more than all else
 * before the first round.  Sorting the rows' values column by column
 * is several times as fast and exact.  A value that occurs often gets a bin of
 * its own, and the other bins share out the remaining rows evenly.
 */
#include "cuts.h"

#include <math.h>

#include "keys.h"
#include "memory.h"

/*
 * Most bins of a column.  Two of 256 stay free for what is below the lowest
 * threshold and what is missing, so that a byte holds the bin of a value.
 */
#define MAX_BINS		254

/* Rows from i on that have the same key. */
static size_t
run_length(const uint32_t *keys, size_t n, size_t i)
{
	size_t		end = i + 1;

	while (end < n && keys[end] == keys[i])
		end++;
	return end - i;
}

/* Writes the different values among sorted keys, at most max of them. */
static size_t
take_distinct(const uint32_t *keys, size_t n, size_t max, uint32_t *cuts)
{
	size_t		ncuts = 0;
	size_t		i;

	for (i = 0; i < n; i += run_length(keys, n, i))
	{
		if (ncuts == max)
			return max + 1;
		cuts[ncuts++] = keys[i];
	}
	return ncuts;
}

/*
 * Cuts sorted keys into at most max bins of about the same number of rows, and
 * writes the lowest key of each.  A bin ends before a value when it would come
 * closer to its share without than with half of that value's rows.
 */
static size_t
take_quantiles(const uint32_t *keys, size_t n, size_t max, uint32_t *cuts)
{
	size_t		ncuts = 1;
	size_t		start = 0;
	size_t		run;
	size_t		i;

	cuts[0] = keys[0];
	for (i = 0; i < n; i += run)
	{
		double		share = (double) (n - start) / (double) (max - ncuts + 1);

		run = run_length(keys, n, i);
		if (i > start && ncuts < max &&
			(double) (i - start) + (double) run / 2 > share)
		{
			cuts[ncuts++] = keys[i];
			start = i;
		}
	}
	return ncuts;
}

/*
 * Cuts a column of numbers.  The made rows of a sample lie between its real
 * ones, so that they need no cuts of their own.
 */
static size_t
cut_numbers(const ChurnSample *sample, const ChurnTableColumn *column,
			size_t max, uint32_t *cuts, uint32_t *room)
{
	const float *values = (const float *) column->values + sample->first;
	size_t		n = sample->nreal;
	size_t		filled = 0;
	uint32_t   *keys;
	size_t		ncuts;
	size_t		i;

	for (i = 0; i < n; i++)
	{
		if (!isnan(values[i]))
			room[filled++] = churn_key_of(values[i]);
	}
	if (filled == 0)
		return 0;
	keys = churn_keys_sort(room, room + n, filled);
	ncuts = take_distinct(keys, filled, max, cuts);
	if (ncuts > max)
		ncuts = take_quantiles(keys, filled, max, cuts);
	return ncuts;
}

float *
churn_cuts_make(const ChurnSample *sample, int max_bin, size_t *nrows)
{
	const ChurnTable *table = sample->table;
	size_t		n = sample->nreal;
	size_t		max = max_bin < MAX_BINS ? (size_t) max_bin : MAX_BINS;
	size_t		nbytes = 2 * n * sizeof(uint32_t);
	uint32_t   *room = churn_pages_alloc(nbytes);
	uint32_t	cuts[MAX_BINS];
	float	   *rows;
	size_t		ncuts;
	size_t		i;
	size_t		j;

	*nrows = max;
	for (i = 0; i < table->ncolumns; i++)
	{
		if (table->columns[i].ncategories > *nrows)
			*nrows = table->columns[i].ncategories;
	}
	rows = churn_pages_alloc(*nrows * table->ncolumns * sizeof(float));
	for (i = 0; i < table->ncolumns; i++)
	{
		const ChurnTableColumn *column = &table->columns[i];
		bool		category = column->kind == CHURN_FEATURE_CATEGORY;

		ncuts = category ? column->ncategories :
			cut_numbers(sample, column, max, cuts, room);
		for (j = 0; j < *nrows; j++)
			rows[j * table->ncolumns + i] = j >= ncuts ? NAN :
				category ? (float) j : churn_key_value(cuts[j]);
	}
	churn_pages_free(room, nbytes);
	return rows;
}
