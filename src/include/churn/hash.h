/*
 * churn/hash.h
 *		A stable 64-bit hash: the same on every machine and in every release.
 */
#ifndef CHURN_HASH_H
#define CHURN_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Not for hash tables that an enemy can fill; see hash.c for the source. */
extern uint64_t churn_hash64(const void *bytes, size_t length, uint64_t seed);

/* The hash as a number in [0, 1), for thresholds such as the split's. */
extern double churn_hash_unit(uint64_t hash);

#endif							/* CHURN_HASH_H */
