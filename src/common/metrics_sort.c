/*
 * metrics_sort.c
 *		Rows in the order that metrics want them, by falling score.
 */
#include "churn/metrics.h"

#include <string.h>

/* Below so many rows insertion is the faster sort. */
#define SMALL_SORT		24

/* Rows between two calls of poll. */
#define POLL_ROWS		65536

/*
 * The score as a number whose unsigned order is the falling order of scores.
 * Negative doubles order the other way round than their bits do; both zeros
 * become one.
 */
static inline uint64_t
sort_key(const ChurnScored *row)
{
	double		score = row->score + 0.0;
	uint64_t	bits;

	memcpy(&bits, &score, sizeof(bits));
	return (bits & UINT64_C(0x8000000000000000)) ? bits :
		bits ^ UINT64_C(0x7FFFFFFFFFFFFFFF);
}

static void
insertion_sort(ChurnScored *rows, size_t n)
{
	size_t		i;
	size_t		j;

	for (i = 1; i < n; i++)
	{
		ChurnScored row = rows[i];
		uint64_t	key = sort_key(&row);

		for (j = i; j > 0 && sort_key(&rows[j - 1]) > key; j--)
			rows[j] = rows[j - 1];
		rows[j] = row;
	}
}

/*
 * Counts the rows of each value of the key's byte at shift: start[b] becomes
 * the number of rows before those of byte b.  False if they are all alike.
 */
static bool
count_bytes(const ChurnScored *rows, size_t n, int shift, size_t *start)
{
	size_t		i;
	int			bucket;
	bool		differ = true;

	memset(start, 0, 257 * sizeof(size_t));
	for (i = 0; i < n; i++)
		start[((sort_key(&rows[i]) >> shift) & 0xFF) + 1]++;
	for (bucket = 0; bucket < 256; bucket++)
	{
		if (start[bucket + 1] == n)
			differ = false;
		start[bucket + 1] += start[bucket];
	}
	return differ;
}

/*
 * Moves each row into the bucket of its byte, within the array.
 */
static void
permute(ChurnScored *rows, int shift, const size_t *start,
		void (*poll) (void))
{
	size_t		next[256];
	size_t		moved = 0;
	int			bucket;

	memcpy(next, start, sizeof(next));
	for (bucket = 0; bucket < 256; bucket++)
	{
		while (next[bucket] < start[bucket + 1])
		{
			ChurnScored row = rows[next[bucket]];
			int			target = (sort_key(&row) >> shift) & 0xFF;

			while (target != bucket)
			{
				ChurnScored other = rows[next[target]];

				rows[next[target]++] = row;
				row = other;
				target = (sort_key(&row) >> shift) & 0xFF;
				moved++;
			}
			rows[next[bucket]++] = row;
			if (++moved >= POLL_ROWS && poll != NULL)
			{
				poll();
				moved = 0;
			}
		}
	}
}

/*
 * Sorts in place by the key's byte at shift, then each bucket by the next
 * lower byte: "American flag sort" (McIlroy, Bostic and McIlroy, "Engineering
 * radix sort", 1993).  It needs no memory, and no order of the input makes it
 * slow.
 */
static void
radix_sort(ChurnScored *rows, size_t n, int shift, void (*poll) (void))
{
	size_t		start[257];
	int			bucket;

	while (!count_bytes(rows, n, shift, start))
	{
		if (shift == 0)
			return;
		shift -= 8;
	}
	permute(rows, shift, start, poll);
	if (shift == 0)
		return;
	for (bucket = 0; bucket < 256; bucket++)
	{
		size_t		size = start[bucket + 1] - start[bucket];

		if (size > POLL_ROWS && poll != NULL)
			poll();
		if (size > SMALL_SORT)
			radix_sort(rows + start[bucket], size, shift - 8, poll);
		else if (size > 1)
			insertion_sort(rows + start[bucket], size);
	}
}

void
churn_metrics_sort_poll(ChurnScored *rows, size_t n, void (*poll) (void))
{
	if (n > SMALL_SORT)
		radix_sort(rows, n, 56, poll);
	else
		insertion_sort(rows, n);
}

void
churn_metrics_sort(ChurnScored *rows, size_t n)
{
	churn_metrics_sort_poll(rows, n, NULL);
}

/* Whether the rows of b can be counted among those of a. */
static inline bool
can_merge(const ChurnScored *a, const ChurnScored *b)
{
	return a->score == b->score &&
		b->positives <= UINT32_MAX - a->positives &&
		b->negatives <= UINT32_MAX - a->negatives;
}

/*
 * More rows of one score than a count can hold stay in several entries, which
 * all metrics take together.
 */
size_t
churn_metrics_merge(ChurnScored *rows, size_t n)
{
	size_t		kept = 0;
	size_t		i;

	for (i = 0; i < n; i++)
	{
		if (kept > 0 && can_merge(&rows[kept - 1], &rows[i]))
		{
			rows[kept - 1].positives += rows[i].positives;
			rows[kept - 1].negatives += rows[i].negatives;
		}
		else
			rows[kept++] = rows[i];
	}
	return kept;
}
