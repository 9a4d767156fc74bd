/*
 * duplicates.c
 *		Training rows that equal a test row in all features.
 *
 * They would let a model be tested on what it was shown.  Where a large share
 * of the training rows equals some test row, the features tell few customers
 * apart and equality says nothing; dropping would remove the commonest
 * customers from training, so all are kept then.
 */
#include "table.h"

#include <string.h>

#include "channel.h"
#include "memory.h"

/* Beyond this share of the training rows none are dropped. */
#define MAX_SHARE	0.2

/* A hash table of the test rows. */
typedef struct TestRows
{
	uint64_t   *slots;			/* half its hash, and row + 1; 0 is free */
	size_t		mask;			/* count of slots less one */
	size_t		size;			/* of slots, in bytes */
} TestRows;

/* Takes a value into a row's hash; a step of MurmurHash3's 64-bit mixer. */
static inline uint64_t
mix(uint64_t hash, uint32_t value)
{
	hash = (hash ^ value) * UINT64_C(0xFF51AFD7ED558CCD);
	return hash ^ (hash >> 33);
}

/* The bits of a column's value, by which values are compared. */
static inline uint32_t
value_bits(const ChurnTableColumn *column, size_t row)
{
	switch (column->width)
	{
		case 1:
			return ((const uint8_t *) column->values)[row];
		case 2:
			return ((const uint16_t *) column->values)[row];
		default:
			return ((const uint32_t *) column->values)[row];
	}
}

uint64_t *
churn_table_hash_rows(const ChurnTable *table, size_t first, size_t count)
{
	uint64_t   *hashes = churn_pages_alloc(count * sizeof(uint64_t));
	size_t		i;
	size_t		row;

	for (i = 0; i < table->ncolumns; i++)
	{
		for (row = 0; row < count; row++)
			hashes[row] = mix(hashes[row],
							  value_bits(&table->columns[i], first + row));
	}
	return hashes;
}

static bool
rows_equal(const ChurnTable *table, size_t left, size_t right)
{
	size_t		i;

	for (i = 0; i < table->ncolumns; i++)
	{
		if (value_bits(&table->columns[i], left) !=
			value_bits(&table->columns[i], right))
			return false;
	}
	return true;
}

/*
 * The slot of the test row that equals a row of that hash, or the free slot
 * where it would be.
 */
static size_t
find_slot(const ChurnTable *table, const TestRows *tests, size_t row,
		  uint64_t hash)
{
	size_t		slot = hash & tests->mask;

	while (tests->slots[slot] != 0 &&
		   (tests->slots[slot] >> 32 != hash >> 32 ||
			!rows_equal(table, (uint32_t) tests->slots[slot] - 1, row)))
		slot = (slot + 1) & tests->mask;
	return slot;
}

/* Puts the test rows into a table; of equal ones the first. */
static void
make_test_rows(const ChurnTable *table, TestRows *tests)
{
	size_t		n = churn_table_rows(table, CHURN_PART_TEST);
	uint64_t   *hashes = churn_table_hash_rows(table, 0, n);
	size_t		nslots = 16;
	size_t		row;

	while (nslots < 2 * n)
		nslots *= 2;
	tests->mask = nslots - 1;
	tests->size = nslots * sizeof(uint64_t);
	tests->slots = churn_pages_alloc(tests->size);
	for (row = 0; row < n; row++)
	{
		size_t		slot = find_slot(table, tests, row, hashes[row]);

		if (tests->slots[slot] == 0)
			tests->slots[slot] = (hashes[row] >> 32 << 32) | (row + 1);
	}
	churn_pages_free(hashes, n * sizeof(uint64_t));
}

/*
 * Moves the rows to learn from that are not marked to the front.  Those of the
 * validation part stay before those of the training part.
 */
static void
remove_rows(ChurnTable *table, const uint8_t *marked)
{
	size_t		first = table->start[CHURN_PART_VALIDATION];
	size_t		count = table->nrows - first;
	size_t		train = table->start[CHURN_PART_TRAIN] - first;
	size_t		kept;
	bool		join = false;	/* to a row of the same key that stays */
	size_t		row;
	size_t		i;

	for (i = 0; i < table->ncolumns; i++)
	{
		uint8_t    *values = table->columns[i].values;
		uint8_t		width = table->columns[i].width;

		kept = first;
		for (row = 0; row < count; row++)
		{
			if (!marked[row])
				memcpy(values + kept++ * width,
					   values + (first + row) * width, width);
		}
	}
	kept = first;
	for (row = 0; row < count; row++)
	{
		if (row == train)
			table->start[CHURN_PART_TRAIN] = kept;
		if (table->joined != NULL && !table->joined[first + row])
			join = false;
		if (marked[row])
			continue;
		if (table->joined != NULL)
			table->joined[kept] = join;
		join = true;
		table->labels[kept++] = table->labels[first + row];
	}
	table->nrows = kept;
	table->start[CHURN_NPARTS] = kept;
}

/* Tells what was done about equal rows, out of n training rows. */
static void
report(const ChurnTable *table, size_t equal, size_t n)
{
	if (table->duplicates > 0)
		churn_notice(NULL, "%zu training rows are dropped because they equal "
					 "a test row in all features", equal);
	else if (equal > 0)
		churn_notice("The columns tell few rows apart, so that equal rows "
					 "are no sign of repeated ones.",
					 "%zu of %zu training rows equal a test row in all "
					 "features and are kept", equal, n);
}

void
churn_table_drop_duplicates(ChurnTable *table)
{
	size_t		first = table->start[CHURN_PART_VALIDATION];
	size_t		n = table->nrows - first;
	TestRows	tests;
	uint64_t   *hashes;
	uint8_t    *marked;
	size_t		equal = 0;
	size_t		row;

	if (table->ncolumns == 0 || first == 0)
		return;
	make_test_rows(table, &tests);
	hashes = churn_table_hash_rows(table, first, n);
	marked = churn_pages_alloc(n);
	for (row = 0; row < n; row++)
	{
		size_t		slot = find_slot(table, &tests, first + row, hashes[row]);

		marked[row] = tests.slots[slot] != 0;
		equal += marked[row];
	}
	if (equal > 0 && (double) equal <= MAX_SHARE * (double) n)
	{
		remove_rows(table, marked);
		table->duplicates = equal;
	}
	report(table, equal, n);
	churn_pages_free(hashes, n * sizeof(uint64_t));
	churn_pages_free(marked, n);
	churn_pages_free(tests.slots, tests.size);
}
