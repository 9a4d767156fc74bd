/*
 * random.h
 *		Random numbers that are the same everywhere: SplitMix64 (Steele, Lea and
 *		Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
 */
#ifndef CHURN_RANDOM_H
#define CHURN_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "churn/hash.h"

static inline uint64_t
churn_random_next(uint64_t *state)
{
	uint64_t	bits = *state += UINT64_C(0x9E3779B97F4A7C15);

	bits = (bits ^ (bits >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	bits = (bits ^ (bits >> 27)) * UINT64_C(0x94D049BB133111EB);
	return bits ^ (bits >> 31);
}

/* From 0 to below 1. */
static inline double
churn_random_unit(uint64_t *state)
{
	return churn_hash_unit(churn_random_next(state));
}

/* From 0 to below n. */
static inline size_t
churn_random_below(uint64_t *state, size_t n)
{
	return (size_t) (churn_random_unit(state) * (double) n);
}

/*
 * Whether item number i of n is among some picked at random, of which so many
 * have been picked among the items before (Knuth, TAOCP 2, 3.4.2, algorithm S).
 */
static inline bool
churn_random_pick(uint64_t *state, size_t i, size_t n, size_t some,
				  size_t picked)
{
	return churn_random_unit(state) * (double) (n - i) <
		(double) (some - picked);
}

#endif							/* CHURN_RANDOM_H */
