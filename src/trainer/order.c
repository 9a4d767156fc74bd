/*
 * order.c
 *		The order of rows, which does not depend on how they arrived.
 *
 * Rows are ordered by the hash of their key and then by that of their values
 * with the label, so that only rows that equal each other in everything may
 * change places.
 */
#include "order.h"

#include <string.h>

#include "churn/hash.h"
#include "memory.h"

/* Below so many rows insertion is the faster sort. */
#define SMALL_SORT		24

/* Bytes of a mark, the key's first, each from the highest on. */
#define MARK_BYTES		16

typedef struct Place
{
	ChurnMark	mark;
	uint32_t	row;			/* number of the row as it arrived */
	float		champion;
} Place;

/* Byte number level of a mark. */
static inline unsigned
mark_byte(const Place *place, int level)
{
	if (level < 8)
		return (place->mark.key >> (56 - 8 * level)) & 0xFF;
	return (place->mark.content >> (56 - 8 * (level - 8))) & 0xFF;
}

static inline bool
mark_less(const Place *left, const Place *right)
{
	if (left->mark.key != right->mark.key)
		return left->mark.key < right->mark.key;
	return left->mark.content < right->mark.content;
}

static void
insertion_sort(Place *places, size_t n)
{
	size_t		i;
	size_t		j;

	for (i = 1; i < n; i++)
	{
		Place		place = places[i];

		for (j = i; j > 0 && mark_less(&place, &places[j - 1]); j--)
			places[j] = places[j - 1];
		places[j] = place;
	}
}

/*
 * Sorts in place by one byte of the marks and each bucket by the next; see
 * radix_sort() in metrics.c.
 */
static void
radix_sort(Place *places, size_t n, int level)
{
	size_t		start[257];
	size_t		next[256];
	size_t		i;
	unsigned	bucket;

	memset(start, 0, sizeof(start));
	for (i = 0; i < n; i++)
		start[mark_byte(&places[i], level) + 1]++;
	for (bucket = 0; bucket < 256; bucket++)
	{
		start[bucket + 1] += start[bucket];
		next[bucket] = start[bucket];
	}
	for (bucket = 0; bucket < 256; bucket++)
	{
		while (next[bucket] < start[bucket + 1])
		{
			Place		place = places[next[bucket]];
			unsigned	target = mark_byte(&place, level);

			while (target != bucket)
			{
				Place		other = places[next[target]];

				places[next[target]++] = place;
				place = other;
				target = mark_byte(&place, level);
			}
			places[next[bucket]++] = place;
		}
	}
	if (level == MARK_BYTES - 1)
		return;
	for (bucket = 0; bucket < 256; bucket++)
	{
		size_t		size = start[bucket + 1] - start[bucket];

		if (size > SMALL_SORT)
			radix_sort(places + start[bucket], size, level + 1);
		else if (size > 1)
			insertion_sort(places + start[bucket], size);
	}
}

/* Moves the marks of all rows into one array. */
static Place *
collect_places(ChurnRows *rows)
{
	Place	   *places = churn_pages_alloc(rows->nrows * sizeof(Place));
	size_t		done = 0;
	size_t		i;
	uint32_t	row;

	for (i = 0; i < rows->nblocks; i++)
	{
		ChurnMarkBlock *block = &rows->blocks[i];

		for (row = 0; row < block->rows && done < rows->nrows; row++)
		{
			places[done].mark = block->marks[row];
			places[done].row = (uint32_t) done;
			places[done].champion =
				block->champion != NULL ? block->champion[row] : 0;
			done++;
		}
		churn_rows_free_block(block);
	}
	return places;
}

/* Finds the rows of the same key as the one before. */
static void
find_joined(ChurnOrder *order, const Place *places)
{
	size_t		i;

	order->joined = churn_pages_alloc(order->nrows);
	for (i = 1; i < order->nrows; i++)
	{
		order->joined[i] = places[i].mark.key == places[i - 1].mark.key;
		order->repeated += order->joined[i];
	}
	if (order->repeated > 0)
		return;
	churn_pages_free(order->joined, order->nrows);
	order->joined = NULL;
}

void
churn_order_make(ChurnOrder *order, ChurnRows *rows)
{
	double		test = churn_option(rows->settings, "test_fraction");
	double		behind_validation = test +
	churn_option(rows->settings, "validation_fraction");
	size_t		n = rows->nrows;
	Place	   *places = collect_places(rows);
	size_t		i;

	radix_sort(places, n, 0);
	memset(order, 0, sizeof(*order));
	order->nrows = n;
	order->rows = churn_pages_alloc(n * sizeof(uint32_t));
	order->labels = churn_pages_alloc(n);
	if (rows->settings->has_champion)
		order->champion = churn_pages_alloc(n * sizeof(float));
	for (i = 0; i < n; i++)
	{
		double		unit = churn_hash_unit(places[i].mark.key);

		order->rows[i] = places[i].row;
		order->labels[i] = (uint8_t) (places[i].mark.content & 1);
		if (order->champion != NULL)
			order->champion[i] = places[i].champion;
		if (unit < test)
			order->start[CHURN_PART_VALIDATION] = i + 1;
		if (unit < behind_validation)
			order->start[CHURN_PART_TRAIN] = i + 1;
	}
	order->start[CHURN_NPARTS] = n;
	if (rows->settings->has_key)
		find_joined(order, places);
	churn_pages_free(places, n * sizeof(Place));
}
