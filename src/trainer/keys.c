/*
 * keys.c
 *		Floats as numbers that sort quickly.
 */
#include "keys.h"

#define RADIX_BITS		11
#define RADIX_SIZE		(1 << RADIX_BITS)
#define RADIX_PASSES	3

/* The digit of a key that a pass sorts by. */
static inline uint32_t
digit_of(uint32_t key, int pass)
{
	return (key >> (pass * RADIX_BITS)) % RADIX_SIZE;
}

/* Turns the counts of digits into the places where their keys begin. */
static void
add_up(size_t *counts)
{
	size_t		before = 0;
	int			digit;

	for (digit = 0; digit < RADIX_SIZE; digit++)
	{
		size_t		count = counts[digit];

		counts[digit] = before;
		before += count;
	}
}

/*
 * From the lowest digit up.  A digit in which all keys are alike, as the low
 * ones of small whole numbers are, needs no pass.
 */
uint32_t *
churn_keys_sort(uint32_t *keys, uint32_t *room, size_t n)
{
	static size_t counts[RADIX_PASSES][RADIX_SIZE];
	size_t		i;
	int			pass;

	memset(counts, 0, sizeof(counts));
	for (i = 0; i < n; i++)
	{
		for (pass = 0; pass < RADIX_PASSES; pass++)
			counts[pass][digit_of(keys[i], pass)]++;
	}
	for (pass = 0; pass < RADIX_PASSES; pass++)
	{
		uint32_t   *swap;

		if (n == 0 || counts[pass][digit_of(keys[0], pass)] == n)
			continue;
		add_up(counts[pass]);
		for (i = 0; i < n; i++)
			room[counts[pass][digit_of(keys[i], pass)]++] = keys[i];
		swap = keys;
		keys = room;
		room = swap;
	}
	return keys;
}
