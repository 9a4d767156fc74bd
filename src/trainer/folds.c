/*
 * folds.c
 *		Which rows are held out when.
 */
#include "folds.h"

#include <string.h>

#include "memory.h"
#include "random.h"

/* Shuffles numbers (Fisher and Yates; Durstenfeld, CACM 7, 1964). */
static void
shuffle(uint32_t *numbers, size_t n, uint64_t *state)
{
	size_t		i;

	for (i = n; i > 1; i--)
	{
		size_t		other = churn_random_below(state, i);
		uint32_t	swapped = numbers[i - 1];

		numbers[i - 1] = numbers[other];
		numbers[other] = swapped;
	}
}

/* Length of the run of rows of one key that starts at a row. */
static size_t
same_key(const ChurnTable *table, size_t row, size_t end)
{
	size_t		next = row + 1;

	while (next < end && table->joined != NULL && table->joined[next])
		next++;
	return next - row;
}

/*
 * Deals out the customers of whom some row, or none, churned.  The dealing
 * goes on where that of the other class ended.
 */
static int
deal(ChurnFolds *folds, const ChurnTable *table, uint8_t *fold, bool churned,
	 int next, uint64_t *state)
{
	size_t		end = folds->first + folds->n;
	uint32_t   *starts = churn_pages_alloc(folds->n * sizeof(uint32_t));
	size_t		n = 0;
	size_t		row;
	size_t		i;

	for (row = folds->first; row < end; row += same_key(table, row, end))
	{
		size_t		count = same_key(table, row, end);
		bool		any = false;

		for (i = 0; i < count; i++)
			any |= table->labels[row + i] != 0;
		if (any == churned)
			starts[n++] = (uint32_t) (row - folds->first);
	}
	shuffle(starts, n, state);
	for (i = 0; i < n; i++)
	{
		memset(fold + starts[i], next,
			   same_key(table, folds->first + starts[i], end));
		next = (next + 1) % folds->k;
	}
	churn_pages_free(starts, folds->n * sizeof(uint32_t));
	return next;
}

void
churn_folds_make(ChurnFolds *folds, const ChurnTable *table, size_t first,
				 size_t n, int k, int repeats, uint64_t seed)
{
	uint64_t	state = seed;
	int			repeat;

	folds->k = k;
	folds->repeats = repeats;
	folds->first = first;
	folds->n = n;
	folds->fold = churn_pages_alloc(n * (size_t) repeats);
	for (repeat = 0; repeat < repeats; repeat++)
	{
		uint8_t    *fold = folds->fold + (size_t) repeat * n;
		int			next = deal(folds, table, fold, true, 0, &state);

		deal(folds, table, fold, false, next, &state);
	}
}

void
churn_folds_hold_out(ChurnFolds *folds, const ChurnTable *table)
{
	size_t		validation = churn_table_rows(table, CHURN_PART_VALIDATION);

	folds->k = 1;
	folds->repeats = 1;
	folds->first = table->start[CHURN_PART_VALIDATION];
	folds->n = table->nrows - folds->first;
	folds->fold = churn_pages_alloc(folds->n);
	memset(folds->fold + validation, 1, folds->n - validation);
}
