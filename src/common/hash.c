/*
 * hash.c
 *		A stable 64-bit hash: the same on every machine and in every release.
 *
 * This is XXH64 of Yann Collet's "xxHash fast digest algorithm" (the
 * specification, version 0.2.0), written anew from that text.  Input is read
 * as little-endian numbers whatever the machine, as the specification asks.
 */
#include "churn/hash.h"

#include <string.h>

#define PRIME1	UINT64_C(0x9E3779B185EBCA87)
#define PRIME2	UINT64_C(0xC2B2AE3D27D4EB4F)
#define PRIME3	UINT64_C(0x165667B19E3779F9)
#define PRIME4	UINT64_C(0x85EBCA77C2B2AE63)
#define PRIME5	UINT64_C(0x27D4EB2F165667C5)

static inline uint64_t
rotate_left(uint64_t x, int bits)
{
	return (x << bits) | (x >> (64 - bits));
}

/* Eight unaligned bytes as a little-endian number. */
static inline uint64_t
read64(const uint8_t *p)
{
	uint64_t	x;

	memcpy(&x, p, sizeof(x));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	x = __builtin_bswap64(x);
#endif
	return x;
}

/* Four unaligned bytes as a little-endian number. */
static inline uint32_t
read32(const uint8_t *p)
{
	uint32_t	x;

	memcpy(&x, p, sizeof(x));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	x = __builtin_bswap32(x);
#endif
	return x;
}

/* Takes one lane of input into an accumulator. */
static inline uint64_t
mix_lane(uint64_t accumulator, uint64_t lane)
{
	return rotate_left(accumulator + lane * PRIME2, 31) * PRIME1;
}

/* Merges an accumulator into the converged hash. */
static inline uint64_t
merge(uint64_t hash, uint64_t accumulator)
{
	return (hash ^ mix_lane(0, accumulator)) * PRIME1 + PRIME4;
}

/* Takes whole stripes of 32 bytes from *bytes and converges them. */
static uint64_t
hash_stripes(const uint8_t **bytes, const uint8_t *end, uint64_t seed)
{
	const uint8_t *p = *bytes;
	uint64_t	a = seed + PRIME1 + PRIME2;
	uint64_t	b = seed + PRIME2;
	uint64_t	c = seed;
	uint64_t	d = seed - PRIME1;
	uint64_t	hash;

	do
	{
		a = mix_lane(a, read64(p));
		b = mix_lane(b, read64(p + 8));
		c = mix_lane(c, read64(p + 16));
		d = mix_lane(d, read64(p + 24));
		p += 32;
	} while (end - p >= 32);
	*bytes = p;
	hash = rotate_left(a, 1) + rotate_left(b, 7) + rotate_left(c, 12) +
		rotate_left(d, 18);
	hash = merge(hash, a);
	hash = merge(hash, b);
	hash = merge(hash, c);
	return merge(hash, d);
}

uint64_t
churn_hash64(const void *bytes, size_t length, uint64_t seed)
{
	const uint8_t *p = bytes;
	const uint8_t *end = p + length;
	uint64_t	hash;

	if (length >= 32)
		hash = hash_stripes(&p, end, seed);
	else
		hash = seed + PRIME5;
	hash += (uint64_t) length;

	for (; end - p >= 8; p += 8)
		hash = rotate_left(hash ^ mix_lane(0, read64(p)), 27) * PRIME1 +
			PRIME4;
	if (end - p >= 4)
	{
		hash = rotate_left(hash ^ read32(p) * PRIME1, 23) * PRIME2 + PRIME3;
		p += 4;
	}
	for (; p < end; p++)
		hash = rotate_left(hash ^ *p * PRIME5, 11) * PRIME1;

	hash ^= hash >> 33;
	hash *= PRIME2;
	hash ^= hash >> 29;
	hash *= PRIME3;
	return hash ^ (hash >> 32);
}

/*
 * The top 53 bits over 2^53: every value is exact, 1 is never reached, and
 * each hash counts the same.
 */
double
churn_hash_unit(uint64_t hash)
{
	return (double) (hash >> 11) * (1.0 / 9007199254740992.0);
}
