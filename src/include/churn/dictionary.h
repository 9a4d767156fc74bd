/*
 * churn/dictionary.h
 *		From a category's text to its code.
 *
 * Scoring looks up every text column of every row here, so the table is made
 * for short texts: a slot holds the length and the first and last eight bytes
 * of the text, which decide the matter alone for texts of up to sixteen bytes;
 * what longer ones have in between is compared.
 */
#ifndef CHURN_DICTIONARY_H
#define CHURN_DICTIONARY_H

#include <string.h>

#include "churn/model.h"

typedef struct ChurnDictionarySlot
{
	uint64_t	head;
	uint64_t	tail;
	uint32_t	length;			/* of the text in bytes */
	int32_t		code;			/* -1 in an empty slot */
} ChurnDictionarySlot;

struct ChurnDictionary
{
	uint64_t	seed;
	uint32_t	shift;			/* 64 - log2(number of slots) */
	uint32_t	mask;			/* number of slots - 1 */
	const char *const *categories;	/* code -> text, the caller's array */
	ChurnDictionarySlot *slots;
};

/* What a look-up compares; made of a text without reading beyond its end. */
typedef struct ChurnDictionaryKey
{
	uint64_t	head;
	uint64_t	tail;
} ChurnDictionaryKey;

static inline ChurnDictionaryKey
churn_dictionary_key(const char *text, size_t length)
{
	ChurnDictionaryKey key = {0, 0};

	if (length >= 8)
	{
		memcpy(&key.head, text, 8);
		memcpy(&key.tail, text + length - 8, 8);
	}
	else if (length >= 4)
	{
		uint32_t	first;
		uint32_t	last;

		memcpy(&first, text, 4);
		memcpy(&last, text + length - 4, 4);
		key.head = first | (uint64_t) last << 32;
	}
	else if (length > 0)
	{
		const unsigned char *bytes = (const unsigned char *) text;

		key.head = bytes[0] | (uint64_t) bytes[length / 2] << 8 |
			(uint64_t) bytes[length - 1] << 16;
	}
	return key;
}

/*
 * The home slot's number.  All of the text counts, so that texts that begin
 * and end alike do not crowd one slot.
 */
static inline uint32_t
churn_dictionary_home(const ChurnDictionary *dictionary,
					  ChurnDictionaryKey key, const char *text,
					  size_t length)
{
	uint64_t	hash = key.head ^ dictionary->seed ^ (uint64_t) length << 56;
	size_t		offset;

	hash *= UINT64_C(0x9E3779B97F4A7C15);
	for (offset = 8; offset + 8 < length; offset += 8)
	{
		uint64_t	middle;

		memcpy(&middle, text + offset, 8);
		hash = (hash ^ hash >> 32 ^ middle) * UINT64_C(0x9E3779B97F4A7C15);
	}
	hash = (hash ^ hash >> 32 ^ key.tail) * UINT64_C(0xD6E8FEB86659FD93);
	return (uint32_t) (hash >> dictionary->shift);
}

static inline bool
churn_dictionary_matches(const ChurnDictionary *dictionary,
						 const ChurnDictionarySlot *slot,
						 ChurnDictionaryKey key, const char *text,
						 size_t length)
{
	return slot->head == key.head && slot->tail == key.tail &&
		slot->length == length &&
		(length <= 16 ||
		 memcmp(dictionary->categories[slot->code] + 8, text + 8,
				length - 16) == 0);
}

/*
 * Returns the code of the text, or -1 when it is none of the dictionary's.
 * Nothing beyond text[length) is read; the text need not be terminated.
 */
static inline int32_t
churn_dictionary_look_up(const ChurnDictionary *dictionary, const char *text,
						 size_t length)
{
	ChurnDictionaryKey key = churn_dictionary_key(text, length);
	uint32_t	at = churn_dictionary_home(dictionary, key, text, length);

	for (;;)
	{
		const ChurnDictionarySlot *slot = &dictionary->slots[at];

		if (slot->code < 0 ||
			churn_dictionary_matches(dictionary, slot, key, text, length))
			return slot->code;
		at = (at + 1) & dictionary->mask;
	}
}

#endif							/* CHURN_DICTIONARY_H */
