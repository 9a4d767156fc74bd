/*
 * test_dictionary.c
 *		Dictionaries of categories.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "churn/model.h"
#include "unit.h"

/*
 * Looks a text up in a copy without terminator at the end of an allocation, so
 * that a sanitizer sees any read beyond it.
 */
static int32_t
find_exactly(const ChurnDictionary *dictionary, const char *text)
{
	size_t		length = strlen(text);
	char	   *copy = malloc(length > 0 ? length : 1);
	int32_t		code;

	memcpy(copy, text, length);
	code = churn_dictionary_find(dictionary, copy, length);
	free(copy);
	return code;
}

/* Every text must be found under its code, and changed ones not at all. */
static void
test_texts(const char *name, const char *const *texts, uint32_t n)
{
	ChurnArena *arena = churn_arena_create();
	ChurnError	error;
	ChurnDictionary *dictionary = churn_dictionary_make(texts, n, arena,
														&error);
	uint32_t	found = 0;
	uint32_t	invented = 0;
	uint32_t	i;

	if (!ok(dictionary != NULL, "%s: a dictionary of %u texts is made", name,
			n))
		return;
	for (i = 0; i < n; i++)
	{
		char		other[300];

		if (find_exactly(dictionary, texts[i]) == (int32_t) i)
			found++;
		snprintf(other, sizeof(other), "%s~", texts[i]);
		if (find_exactly(dictionary, other) >= 0)
			invented++;
		snprintf(other, sizeof(other), "%s", texts[i]);
		if (other[0] == '\0')
			continue;
		other[strlen(other) / 2] ^= 0x40;
		if (find_exactly(dictionary, other) >= 0)
			invented++;
	}
	ok(found == n, "%s: %u of %u texts are found", name, found, n);
	ok(invented == 0, "%s: %u unknown texts are found", name, invented);
	churn_arena_destroy(arena);
}

/* Many texts that share length, beginning and end. */
static void
test_many(uint32_t n, const char *format)
{
	char	  **texts = calloc(n, sizeof(char *));
	uint32_t	i;

	for (i = 0; i < n; i++)
	{
		texts[i] = malloc(80);
		snprintf(texts[i], 80, format, i);
	}
	test_texts(format, (const char *const *) texts, n);
	for (i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

static void
test_errors(void)
{
	ChurnArena *arena = churn_arena_create();
	const char *const twice[] = {"Yes", "No", "Yes"};
	const char *const twice_long[] = {"Bank transfer (automatic)", "No",
	"Bank transfer (automatic)"};
	const char *const empty_twice[] = {"", "No", ""};
	ChurnError	error;

	ok(churn_dictionary_make(twice, 3, arena, &error) == NULL &&
	   error.code == CHURN_ERROR_INVALID &&
	   strcmp(error.message, "category \"Yes\" occurs twice") == 0,
	   "duplicates are refused: %s", error.message);
	ok(churn_dictionary_make(twice_long, 3, arena, &error) == NULL,
	   "long duplicates are refused");
	ok(churn_dictionary_make(empty_twice, 3, arena, &error) == NULL,
	   "empty duplicates are refused");
	ok(churn_dictionary_make(twice, CHURN_MAX_CATEGORIES + 1, arena, &error)
	   == NULL && error.code == CHURN_ERROR_LIMIT,
	   "too many are refused: %s", error.message);
	churn_arena_destroy(arena);
}

int
main(void)
{
	const char *const telco[] = {"Month-to-month", "One year", "Two year",
		"", "DSL", "Fiber optic", "No", "Yes", "No internet service",
		"No phone service", "Electronic check", "Mailed check",
		"Bank transfer (automatic)", "Credit card (automatic)", "Male",
	"Female"};
	const char *const short_ones[] = {"a", "aa", "aaa", "aaaa", "aaaaa",
		"aaaaaa", "aaaaaaa", "aaaaaaaa", "aaaaaaaaa", "aab", "aba", "baa",
	"ab", "ba", "\xc3\xa4", "\xff\xff"};

	test_texts("nothing", NULL, 0);
	test_texts("Telco", telco, sizeof(telco) / sizeof(telco[0]));
	test_texts("short", short_ones,
			   sizeof(short_ones) / sizeof(short_ones[0]));
	test_many(65, "%u");
	test_many(1000, "%07u");
	test_many(CHURN_MAX_CATEGORIES, "customer %u");
	test_many(CHURN_MAX_CATEGORIES, "the same start %08u and the same end");
	test_errors();
	return done();
}
