/*
 * keys.h
 *		Floats as numbers that sort quickly.
 */
#ifndef CHURN_KEYS_H
#define CHURN_KEYS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A float as a number whose unsigned order is the order of floats. */
static inline uint32_t
churn_key_of(float value)
{
	uint32_t	bits;

	memcpy(&bits, &value, sizeof(bits));
	return (bits & UINT32_C(0x80000000)) ? ~bits : bits | UINT32_C(0x80000000);
}

static inline float
churn_key_value(uint32_t key)
{
	uint32_t	bits;
	float		value;

	bits = (key & UINT32_C(0x80000000)) ? key ^ UINT32_C(0x80000000) : ~key;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

/*
 * Sorts n keys with the help of as much room again.  Returns where the sorted
 * keys are: in one or the other.
 */
extern uint32_t *churn_keys_sort(uint32_t *keys, uint32_t *room, size_t n);

#endif							/* CHURN_KEYS_H */
