/*
 * texts.c
 *		The different texts of a column, numbered as they come.
 *
 * A hash table with open addressing, at most half full.  A look-up costs one
 * hash and one comparison, since it runs for every text of every row.
 */
#include "texts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "churn/hash.h"
#include "churn/number.h"
#include "memory.h"

#define FIRST_CAPACITY	16

/* Makes the slots anew for twice the capacity. */
static void
make_slots(ChurnTexts *texts)
{
	uint32_t	nslots = 2 * texts->capacity;
	uint32_t	i;

	free(texts->slots);
	texts->slots = churn_alloc(nslots, sizeof(uint32_t));
	texts->mask = nslots - 1;
	for (i = 0; i < texts->count; i++)
	{
		uint32_t	slot = texts->texts[i].hash & texts->mask;

		while (texts->slots[slot] != 0)
			slot = (slot + 1) & texts->mask;
		texts->slots[slot] = i + 1;
	}
}

ChurnTexts *
churn_texts_create(void)
{
	ChurnTexts *texts = churn_alloc(1, sizeof(ChurnTexts));

	texts->numbers = true;
	texts->capacity = FIRST_CAPACITY;
	texts->texts = churn_alloc(texts->capacity, sizeof(ChurnText));
	make_slots(texts);
	return texts;
}

void
churn_texts_destroy(ChurnTexts *texts)
{
	uint32_t	i;

	if (texts == NULL)
		return;
	for (i = 0; i < texts->count; i++)
		free((char *) texts->texts[i].bytes);
	free(texts->texts);
	free(texts->slots);
	free(texts);
}

/* Adds a text that is not there, at the free slot found for it. */
static int32_t
add_text(ChurnTexts *texts, const char *bytes, uint32_t length,
		 uint32_t hash, uint32_t slot)
{
	ChurnText  *text;
	char	   *copy;

	if (texts->count == CHURN_TEXTS_MAX)
		return -1;
	copy = churn_alloc((size_t) length + 1, 1);
	memcpy(copy, bytes, length);
	texts->slots[slot] = texts->count + 1;
	text = &texts->texts[texts->count++];
	text->bytes = copy;
	text->length = length;
	text->hash = hash;
	if (!churn_number_parse(bytes, length, &text->number))
	{
		texts->numbers = false;
		text->number = NAN;
	}
	if (texts->count == texts->capacity)
	{
		texts->capacity *= 2;
		texts->texts = churn_realloc(texts->texts, texts->capacity,
									 sizeof(ChurnText));
		make_slots(texts);
	}
	return (int32_t) texts->count - 1;
}

int32_t
churn_texts_number(ChurnTexts *texts, const char *bytes, uint32_t length)
{
	uint32_t	hash = (uint32_t) churn_hash64(bytes, length, 0);
	uint32_t	slot = hash & texts->mask;

	while (texts->slots[slot] != 0)
	{
		const ChurnText *text = &texts->texts[texts->slots[slot] - 1];

		if (text->hash == hash && text->length == length &&
			memcmp(text->bytes, bytes, length) == 0)
			return (int32_t) texts->slots[slot] - 1;
		slot = (slot + 1) & texts->mask;
	}
	return add_text(texts, bytes, length, hash, slot);
}

int
churn_texts_compare(const void *left, const void *right)
{
	const ChurnText *a = left;
	const ChurnText *b = right;
	uint32_t	shorter = a->length < b->length ? a->length : b->length;
	int			order = memcmp(a->bytes, b->bytes, shorter);

	if (order != 0)
		return order;
	return (a->length > b->length) - (a->length < b->length);
}
