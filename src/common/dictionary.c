/*
 * dictionary.c
 *		From a category's text to its code.
 *
 * Scoring looks up every text column of every row here, so the table is made
 * for short texts: a slot holds the length and eight bytes of the text, which
 * decide the matter alone for texts of up to eight bytes; longer ones are
 * compared in full.  Small dictionaries are given a seed under which no two
 * texts share a home slot, so that a look-up is one probe.
 */
#include <string.h>

#include "churn/model.h"

/* Dictionaries up to this size look for a seed without collisions. */
#define SMALL_DICTIONARY	64
#define SEED_TRIALS			64

typedef struct DictionarySlot
{
	uint64_t	head;			/* what text_head() makes of the text */
	uint32_t	length;			/* of the text in bytes */
	int32_t		code;			/* -1 in an empty slot */
} DictionarySlot;

struct ChurnDictionary
{
	uint64_t	seed;
	uint32_t	shift;			/* 64 - log2(number of slots) */
	uint32_t	mask;			/* number of slots - 1 */
	const char *const *categories;	/* code -> text, the caller's array */
	DictionarySlot *slots;
};

static inline uint64_t
load64(const char *bytes)
{
	uint64_t	value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

static inline uint32_t
load32(const char *bytes)
{
	uint32_t	value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

/*
 * Returns eight bytes of the text that, with the length, tell any two texts
 * of up to eight bytes apart.  Loads overlap rather than read beyond the text.
 */
static inline uint64_t
text_head(const char *text, size_t length)
{
	const unsigned char *bytes = (const unsigned char *) text;

	if (length >= 8)
		return load64(text);
	if (length >= 4)
		return load32(text) | (uint64_t) load32(text + length - 4) << 32;
	if (length > 0)
		return bytes[0] | (uint64_t) bytes[length / 2] << 8 |
			(uint64_t) bytes[length - 1] << 16;
	return 0;
}

/* One multiplication and a fold: every input bit reaches the high bits. */
static inline uint64_t
mix(uint64_t value)
{
	value *= UINT64_C(0x9E3779B97F4A7C15);
	return value ^ value >> 32;
}

/*
 * Hashes all of the text, the head first.  The result's high bits choose the
 * home slot.
 */
static inline uint64_t
text_hash(uint64_t head, const char *text, size_t length, uint64_t seed)
{
	uint64_t	hash = mix(head ^ seed ^ (uint64_t) length << 56);

	if (length > 8)
	{
		size_t		offset;

		for (offset = 8; offset + 8 < length; offset += 8)
			hash = mix(hash ^ load64(text + offset));
		hash = mix(hash ^ load64(text + length - 8));
	}
	return hash * UINT64_C(0xD6E8FEB86659FD93);
}

static inline bool
slot_matches(const ChurnDictionary *dictionary, const DictionarySlot *slot,
			 uint64_t head, const char *text, size_t length)
{
	return slot->head == head && slot->length == length &&
		(length <= 8 ||
		 memcmp(dictionary->categories[slot->code], text, length) == 0);
}

/*
 * Fills the slots under the dictionary's seed.  Returns the number of texts
 * that did not find their home slot free, or -1 if two texts are the same,
 * with the second one's code in *duplicate.
 */
static int64_t
fill_slots(ChurnDictionary *dictionary, uint32_t ncategories,
		   uint32_t *duplicate)
{
	int64_t		displaced = 0;
	uint32_t	code;

	for (code = 0; code <= dictionary->mask; code++)
		dictionary->slots[code].code = -1;

	for (code = 0; code < ncategories; code++)
	{
		const char *text = dictionary->categories[code];
		size_t		length = strlen(text);
		uint64_t	head = text_head(text, length);
		uint64_t	hash = text_hash(head, text, length, dictionary->seed);
		uint32_t	at = (uint32_t) (hash >> dictionary->shift);
		DictionarySlot *slot = &dictionary->slots[at];

		if (slot->code >= 0)
			displaced++;
		while (slot->code >= 0)
		{
			if (slot_matches(dictionary, slot, head, text, length))
			{
				*duplicate = code;
				return -1;
			}
			at = (at + 1) & dictionary->mask;
			slot = &dictionary->slots[at];
		}
		slot->head = head;
		slot->length = (uint32_t) length;
		slot->code = (int32_t) code;
	}
	return displaced;
}

/*
 * Makes the dictionary of the given texts, which must stay where they are for
 * as long as it is used.  The table is at most half full.  Two equal texts are
 * CHURN_ERROR_INVALID, too many CHURN_ERROR_LIMIT.
 */
ChurnDictionary *
churn_dictionary_make(const char *const *categories, uint32_t ncategories,
					  ChurnArena *arena, ChurnError *error)
{
	ChurnDictionary *dictionary;
	uint32_t	bits = 1;
	uint32_t	duplicate = 0;
	uint32_t	trial;
	uint64_t	best_seed = 0;
	int64_t		best = INT64_MAX;

	if (ncategories > CHURN_MAX_CATEGORIES)
	{
		churn_fail(error, CHURN_ERROR_LIMIT,
				   "%u categories exceed the limit of %u",
				   ncategories, CHURN_MAX_CATEGORIES);
		return NULL;
	}
	while ((UINT32_C(1) << bits) < 2 * ncategories)
		bits++;

	dictionary = churn_arena_alloc(arena, sizeof(ChurnDictionary), error);
	if (dictionary == NULL)
		return NULL;
	dictionary->categories = categories;
	dictionary->shift = 64 - bits;
	dictionary->mask = (UINT32_C(1) << bits) - 1;
	dictionary->slots = churn_arena_array(arena, (size_t) 1 << bits,
										  sizeof(DictionarySlot), error);
	if (dictionary->slots == NULL)
		return NULL;

	for (trial = 0; trial < SEED_TRIALS && best > 0; trial++)
	{
		int64_t		displaced;

		dictionary->seed = mix(trial + 1);
		displaced = fill_slots(dictionary, ncategories, &duplicate);
		if (displaced < 0)
		{
			churn_fail(error, CHURN_ERROR_INVALID,
					   "category \"%.200s\" occurs twice",
					   categories[duplicate]);
			return NULL;
		}
		if (displaced < best)
		{
			best = displaced;
			best_seed = dictionary->seed;
		}
		if (ncategories > SMALL_DICTIONARY)
			break;
	}
	if (dictionary->seed != best_seed)
	{
		dictionary->seed = best_seed;
		(void) fill_slots(dictionary, ncategories, &duplicate);
	}
	return dictionary;
}

/*
 * Returns the code of the text, or -1 when it is none of the dictionary's.
 * Nothing beyond text[length) is read; the text need not be terminated.
 */
int32_t
churn_dictionary_find(const ChurnDictionary *dictionary, const char *text,
					  size_t length)
{
	uint64_t	head = text_head(text, length);
	uint64_t	hash = text_hash(head, text, length, dictionary->seed);
	uint32_t	at = (uint32_t) (hash >> dictionary->shift);

	for (;;)
	{
		const DictionarySlot *slot = &dictionary->slots[at];

		if (slot->code < 0 ||
			slot_matches(dictionary, slot, head, text, length))
			return slot->code;
		at = (at + 1) & dictionary->mask;
	}
}
