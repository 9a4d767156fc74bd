/*
 * test_hash.c
 *		The hash gives the published values of XXH64.
 */
#include <stdint.h>
#include <string.h>

#include "churn/hash.h"
#include "unit.h"

#define SEED	UINT64_C(2654435761)

/*
 * Values of the sanity check in the reference implementation's program
 * xxhsum, on bytes made as it makes them.
 */
static const struct
{
	size_t		length;
	uint64_t	seed;
	uint64_t	hash;
}			known[] = {
	{0, 0, UINT64_C(0xEF46DB3751D8E999)},
	{0, SEED, UINT64_C(0xAC75FDA2929B17EF)},
	{1, 0, UINT64_C(0xE934A84ADB052768)},
	{1, SEED, UINT64_C(0x5014607643A9B4C3)},
	{14, 0, UINT64_C(0x8282DCC4994E35C8)},
	{14, SEED, UINT64_C(0xC3BD6BF63DEB6DF0)},
	{222, 0, UINT64_C(0xB641AE8CB691C174)},
	{222, SEED, UINT64_C(0x20CB8AB7AE10C14A)},
};

static const struct
{
	const char *text;
	uint64_t	hash;
}			texts[] = {
	{"a", UINT64_C(0xD24EC4F1A98C6E5B)},
	{"abc", UINT64_C(0x44BC2CF5AD770999)},
};

int
main(void)
{
	uint8_t		bytes[256];
	uint8_t		moved[257];
	uint64_t	generator = SEED;
	size_t		i;
	uint64_t	counts[10] = {0};

	for (i = 0; i < sizeof(bytes); i++)
	{
		bytes[i] = (uint8_t) (generator >> 56);
		generator *= UINT64_C(11400714785074694797);
	}
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		ok(churn_hash64(bytes, known[i].length, known[i].seed) ==
		   known[i].hash, "%zu bytes with seed %llu", known[i].length,
		   (unsigned long long) known[i].seed);
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		ok(churn_hash64(texts[i].text, strlen(texts[i].text), 0) ==
		   texts[i].hash, "text \"%s\"", texts[i].text);

	memcpy(moved + 1, bytes, sizeof(bytes));
	ok(churn_hash64(moved + 1, 222, 0) == known[6].hash,
	   "alignment does not matter");

	ok(churn_hash_unit(0) == 0, "the smallest hash is 0");
	ok(churn_hash_unit(UINT64_MAX) < 1, "the largest hash is below 1");
	ok(churn_hash_unit(UINT64_C(1) << 63) == 0.5, "half the range is 0.5");
	for (i = 0; i < 100000; i++)
	{
		uint64_t	number = i;

		counts[(int) (10 * churn_hash_unit(churn_hash64(&number,
														sizeof(number),
														1)))]++;
	}
	for (i = 0; i < 10; i++)
	{
		if (counts[i] < 9600 || counts[i] > 10400)
			break;
	}
	ok(i == 10, "hashes of counting numbers are spread evenly");
	return done();
}
