/*
 * dictionary.c
 *		Making the tables that churn/dictionary.h looks up in.
 *
 * Small dictionaries are given a seed under which no two texts share a home
 * slot, so that a look-up is one probe.
 */
#include "churn/dictionary.h"

/* Dictionaries up to this size look for a seed without collisions. */
#define SMALL_DICTIONARY	64
#define SEED_TRIALS			64

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
		ChurnDictionaryKey key = churn_dictionary_key(text, length);
		uint32_t	at = churn_dictionary_home(dictionary, key, text,
											   length);
		ChurnDictionarySlot *slot = &dictionary->slots[at];

		if (slot->code >= 0)
			displaced++;
		while (slot->code >= 0)
		{
			if (churn_dictionary_matches(dictionary, slot, key, text,
										 length))
			{
				*duplicate = code;
				return -1;
			}
			at = (at + 1) & dictionary->mask;
			slot = &dictionary->slots[at];
		}
		slot->head = key.head;
		slot->tail = key.tail;
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
										  sizeof(ChurnDictionarySlot), error);
	if (dictionary->slots == NULL)
		return NULL;

	for (trial = 0; trial < SEED_TRIALS && best > 0; trial++)
	{
		int64_t		displaced;

		dictionary->seed = (uint64_t) (trial + 1) *
			UINT64_C(0x9E3779B97F4A7C15);
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
 * The look-up as a function, for callers who do one now and then.
 */
int32_t
churn_dictionary_find(const ChurnDictionary *dictionary, const char *text,
					  size_t length)
{
	return churn_dictionary_look_up(dictionary, text, length);
}
