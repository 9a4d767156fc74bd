/*
 * test_document.c
 *		JSON and UBJSON: values, limits, damage, and being out of memory.
 */
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/common/decimal.h"
#include "churn/document.h"
#include "unit.h"

static ChurnArena *arena;
static ChurnError error;

/* An arena that has so many bytes and no more. */
typedef struct Budget
{
	size_t		bytes;
	size_t		most;			/* largest single request */
} Budget;

static void *
budget_alloc(void *context, size_t size)
{
	Budget	   *budget = context;

	if (size > budget->bytes)
		return NULL;
	budget->bytes -= size;
	if (size > budget->most)
		budget->most = size;
	return arena->alloc(arena->context, size);
}

static ChurnValue *
json(const char *text)
{
	memset(&error, 0, sizeof(error));
	return churn_json_read(text, strlen(text), arena, &error);
}

/*
 * Reads text and tests that it is written as expected.
 */
static void
rewrites(const char *text, const char *expected)
{
	ChurnValue *value = json(text);
	char	   *written = NULL;
	size_t		length = 0;

	if (value != NULL)
		churn_json_write(value, arena, &written, &length, &error);
	if (!ok(written != NULL && strcmp(written, expected) == 0 &&
			strlen(written) == length, "%s becomes %s", text, expected))
		printf("# %s %s\n", written == NULL ? "" : written, error.message);
}

/*
 * Tests that text is refused with a message.
 */
static void
refuses(const char *text, ChurnErrorCode code, const char *message)
{
	if (!ok(json(text) == NULL && error.code == code &&
			strstr(error.message, message) != NULL,
			"%.60s is refused: %s", text, message))
		printf("# %s\n", error.message);
}

static void
test_json(void)
{
	char		deep[512];

	rewrites(" {\"a\" : [1, -2,true ,false,null],\n\"b\":{}}\t",
			 "{\"a\":[1,-2,true,false,null],\"b\":{}}");
	rewrites("[]", "[]");
	rewrites("[[],[{}]]", "[[],[{}]]");
	rewrites("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
			 "\"\\\"\\\\/\\u0008\\u000c\\n\\r\\t\"");
	rewrites("\"\\u00e9\\u20AC\\ud83d\\ude00\"",
			 "\"\303\251\342\202\254\360\237\230\200\"");
	rewrites("\"a\001b\"", "\"a\\u0001b\"");
	rewrites("\"C:\\users \\u12 \\u0000 \\ud800x\"",
			 "\"C:\\\\users \\\\u12 \\\\u0000 \\\\ud800x\"");
	rewrites("[9223372036854775807,-9223372036854775808,-0,007]",
			 "[9223372036854775807,-9223372036854775808,0,7]");
	rewrites("[9223372036854775808,1.,1e2,-0.0,0.1,1E-7,1e300]",
			 "[9.223372036854776E18,1.0,100.0,-0.0,0.1,1E-7,1E300]");
	rewrites("[NaN,Infinity,-Infinity,1e999]",
			 "[NaN,Infinity,-Infinity,Infinity]");
	rewrites("[0.30000000000000004,123456789012345.6,5e-324]",
			 "[0.30000000000000004,123456789012345.6,5E-324]");
	refuses("", CHURN_ERROR_CORRUPT, "a value at byte 0");
	refuses("[1,]", CHURN_ERROR_CORRUPT, "a value at byte 3");
	refuses("[1 2]", CHURN_ERROR_CORRUPT, "\",\" or \"]\" at byte 3");
	refuses("{\"a\":1,}", CHURN_ERROR_CORRUPT, "a member's name");
	refuses("{\"a\" 1}", CHURN_ERROR_CORRUPT, "\":\"");
	refuses("{\"a\":1", CHURN_ERROR_CORRUPT, "\",\" or \"}\"");
	refuses("\"abc", CHURN_ERROR_CORRUPT, "the end of a string");
	refuses("\"abc\\", CHURN_ERROR_CORRUPT, "the end of a string");
	refuses("\"\\x\"", CHURN_ERROR_CORRUPT, "an escape");
	refuses("1 1", CHURN_ERROR_CORRUPT, "the end");
	refuses("1e", CHURN_ERROR_CORRUPT, "a value");
	refuses("-", CHURN_ERROR_CORRUPT, "a value");
	refuses("tru", CHURN_ERROR_CORRUPT, "a value");
	refuses("{\"a\":1,\"b\":2,\"a\":3}", CHURN_ERROR_CORRUPT,
			"two members named \"a\"");
	memset(deep, '[', 101);
	deep[101] = '\0';
	refuses(deep, CHURN_ERROR_LIMIT, "100 levels");
	memset(deep + 100, ']', 100);
	deep[200] = '\0';
	ok(json(deep) != NULL, "100 levels are read");
	ok(churn_json_read("\"a\0b\"", 5, arena, &error) == NULL,
	   "a zero byte in a string is refused");
}

/*
 * Objects with many members are checked for duplicates in another way.
 */
static void
test_many_members(void)
{
	char		text[2000] = "{";

	for (int i = 0; i < 100; i++)
		sprintf(text + strlen(text), "\"m%d\":%d,", i, i);
	strcpy(text + strlen(text) - 1, "}");
	ok(churn_value_number(json(text), "m77", -1) == 77, "100 members");
	strcpy(text + strlen(text) - 1, ",\"m50\":0}");
	refuses(text, CHURN_ERROR_CORRUPT, "two members named \"m50\"");
}

/*
 * Compares with the C library, which rounds correctly, where the locale's
 * decimal point is ours.
 */
static void
test_rounding(void)
{
	static const char *const texts[] = {
		"1.00000017881393432617187499", "1.000000178813934326171875",
		"1.00000017881393432617187501", "1.17549435E-38", "7.1E-46",
		"7.006492321624085E-46", "7.006492321624086E-46", "3.4028235677973366E38",
		"3.4028235677973365E38", "123456789012345678901234567890E-20",
		"0.000000000000000000000000000000000000000000012345", "9007199254740993",
		"2.2250738585072011e-308", "8.98846567431158e307", "1e-400", "-1e400",
		"179769313486231580793728971405303415079934132710037826936173778980444"
	};
	unsigned int seed = 1;
	size_t		wrong = 0;
	size_t		n;
	char		text[2100];
	ChurnDecimal decimal;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		n = churn_decimal_read(texts[i], strlen(texts[i]), &decimal);
		ok(n == strlen(texts[i]) && decimal.single == strtof(texts[i], NULL) &&
		   decimal.number == strtod(texts[i], NULL), "%.30s", texts[i]);
	}
	for (int i = 0; i < 200000; i++)
	{
		seed = seed * 1664525 + 1013904223;
		n = (size_t) sprintf(text, "%u.%u", seed >> (seed % 32), seed);
		seed = seed * 1664525 + 1013904223;
		sprintf(text + n, "%ue%d", seed, (int) (seed >> 16) % 80 - 50);
		churn_decimal_read(text, strlen(text), &decimal);
		if (decimal.single != strtof(text, NULL) ||
			decimal.number != strtod(text, NULL))
			wrong++;
	}
	ok(wrong == 0, "200,000 random numbers");

	/* a midpoint of float32 but for the very last of 2,000 digits */
	strcpy(text, "1.000000178813934326171875");
	memset(text + strlen(text), '0', 2000);
	text[2000] = '1';
	text[2001] = '\0';
	churn_decimal_read(text, 2001, &decimal);
	ok(decimal.single == strtof(text, NULL) &&
	   decimal.number == strtod(text, NULL), "2,000 digits");
}

/*
 * Every float32 of a sample comes back from its text.
 */
static void
test_writing(void)
{
	size_t		wrong = 0;
	char		text[CHURN_DECIMAL_SIZE];
	ChurnDecimal decimal;

	for (uint64_t i = 0; i < UINT64_C(0xFF800000); i += 86243)
	{
		uint32_t	bits = (uint32_t) i;
		uint64_t	bits64 = i << 32 | (i * 2654435761u & 0xFFFFFFFF);
		float		single;
		double		number;
		size_t		length;

		memcpy(&single, &bits, sizeof(single));
		length = churn_decimal_write_float(text, single);
		if (length != strlen(text) || length >= CHURN_DECIMAL_SIZE ||
			churn_decimal_read(text, length, &decimal) != length ||
			(decimal.single != single && !isnan(single)) || decimal.is_integer)
			wrong++;
		memcpy(&number, &bits64, sizeof(number));
		length = churn_decimal_write_double(text, number);
		if (length != strlen(text) || length >= CHURN_DECIMAL_SIZE ||
			churn_decimal_read(text, length, &decimal) != length ||
			(decimal.number != number && !isnan(number)) || decimal.is_integer)
			wrong++;
	}
	ok(wrong == 0, "floats come back from their texts");
	churn_decimal_write_float(text, 0.1f);
	ok(strcmp(text, "1E-1") == 0, "0.1f is 1E-1");
	churn_decimal_write_float(text, -1e-45f);
	ok(strcmp(text, "-1E-45") == 0, "the smallest float is 1E-45");
}

/*
 * The decimal point of the locale does not matter.
 */
static void
test_locale(void)
{
	static const char *const names[] = {
		"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "ps_AF.UTF-8", "de_DE"
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		if (setlocale(LC_NUMERIC, names[i]) == NULL)
			continue;
		rewrites("[1.25,1.00000017881393432617187499]",
				 "[1.25,1.0000001788139343]");
		setlocale(LC_NUMERIC, "C");
		return;
	}
	ok(true, "# SKIP no locale with a decimal comma");
}

static void
test_building(void)
{
	ChurnValue *object = churn_value_object(arena, &error);
	ChurnValue *array = churn_value_array(arena, &error);
	char	   *text;
	size_t		length;

	for (int i = 0; i < 9; i++)
		churn_value_append(array, churn_value_integer(arena, i, &error), arena,
						   &error);
	ok(churn_value_set(object, "a", array, arena, &error) &&
	   churn_value_set(object, "b", churn_value_double(arena, 0.5, &error),
					   arena, &error) &&
	   churn_value_set(object, "c", churn_value_boolean(arena, true, &error),
					   arena, &error) &&
	   churn_value_set(object, "b", churn_value_string(arena, "x", &error),
					   arena, &error) &&
	   churn_json_write(object, arena, &text, &length, &error) &&
	   strcmp(text, "{\"a\":[0,1,2,3,4,5,6,7,8],\"b\":\"x\",\"c\":true}") == 0,
	   "an object is built");
	ok(strcmp(churn_value_text(object, "b", "?"), "x") == 0 &&
	   strcmp(churn_value_text(object, "c", "?"), "?") == 0 &&
	   strcmp(churn_value_text(NULL, "c", "?"), "?") == 0 &&
	   churn_value_number(object, "b", 7) == 7 &&
	   churn_value_get(array, "a") == NULL, "members are found");
	ok(!churn_value_set(object, "d", NULL, arena, &error) &&
	   !churn_value_append(NULL, object, arena, &error) &&
	   !churn_value_append(object, array, arena, &error) &&
	   !churn_value_set(array, "d", object, arena, &error),
	   "what cannot be built is refused");
	object = json("{\"a\":[1,2,3,4,5]}");
	array = churn_value_get(object, "a");
	for (int i = 0; i < 20; i++)
		churn_value_append(array, churn_value_integer(arena, i, &error), arena,
						   &error);
	ok(array->length == 25 && array->u.elements[24]->u.integer == 19 &&
	   array->u.elements[4]->u.integer == 5, "what was read can grow");
}

/* A document with a value of each kind. */
static const uint8_t ubjson[] =
"{i\1nZi\1tTU\1fFI\0\1ii\200L\0\0\0\0\0\0\0\1UU\377l\0\0\0\1II\200\0"
"i\1ll\377\377\377\376i\1LL\200\0\0\0\0\0\0\0i\1dd\77\0\0\0i\1D"
"D\77\340\0\0\0\0\0\0i\1SSL\0\0\0\0\0\0\0\2ab"
"i\1a[$d#i\2\77\200\0\0\200\0\0\0i\1b[$U#i\3\0\177\377"
"i\1c[$l#i\1\377\377\377\377i\1e[$L#i\1\0\0\0\0\0\0\1\0"
"i\1g[$i#i\2a\303i\1h[#i\2ZT"
"i\1j[TF]i\1k[$D#i\1\77\340\0\0\0\0\0\0i\1m[$I#i\1\1\0i\1o{}}";

static void
test_ubjson(void)
{
	size_t		size = sizeof(ubjson) - 1;
	ChurnValue *value = churn_ubjson_read(ubjson, size, arena, &error);
	char	   *text = NULL;
	uint8_t    *bytes;
	size_t		length;
	size_t		again;
	size_t		survived = 0;
	uint8_t    *copy;

	ok(value != NULL && churn_json_write(value, arena, &text, &length, &error) &&
	   strcmp(text, "{\"n\":null,\"t\":true,\"f\":false,\"i\":-128,\"U\":255,"
			  "\"I\":-32768,\"l\":-2,\"L\":-9223372036854775808,\"d\":0.5,"
			  "\"D\":0.5,\"S\":\"ab\",\"a\":[1E0,-0E0],\"b\":[0,127,255],"
			  "\"c\":[-1],\"e\":[256],\"g\":[97,-61],\"h\":[null,true],"
			  "\"j\":[true,false],\"k\":[0.5],\"m\":[256],\"o\":{}}") == 0,
	   "UBJSON is read");
	if (text != NULL && unit_failures > 0)
		printf("# %s\n", text);
	ok(churn_ubjson_write(value, arena, &bytes, &length, &error) &&
	   (value = churn_ubjson_read(bytes, length, arena, &error)) != NULL &&
	   churn_json_write(value, arena, &text, &again, &error) &&
	   strstr(text, "\"D\":0.5,\"S\":\"ab\",\"a\":[1E0,-0E0]") != NULL,
	   "UBJSON is written");

	/* exactly as long as the piece, so that sanitizers see any step beyond */
	for (size_t n = 0; n < size; n++)
	{
		copy = malloc(n == 0 ? 1 : n);
		memcpy(copy, ubjson, n);
		if (churn_ubjson_read(copy, n, arena, &error) != NULL)
			survived++;
		free(copy);
	}
	ok(survived == 0, "UBJSON cut short is refused");
	copy = malloc(size);
	for (size_t bit = 0; bit < size * 8; bit++)
	{
		memcpy(copy, ubjson, size);
		copy[bit / 8] ^= (uint8_t) (1 << bit % 8);
		value = churn_ubjson_read(copy, size, arena, &error);
		if (value != NULL)
			churn_ubjson_write(value, arena, &bytes, &length, &error);
	}
	free(copy);
	ok(true, "UBJSON with flipped bits does no harm");
}

/*
 * Lengths beyond the input are refused before memory is taken for them.
 */
static void
test_lengths(void)
{
	/* rows of 16 bytes, zeros at the end */
	static const char texts[][16] = {
		"[$d#L\0\0\0\1", "[$L#L\177\377\377\377\377\377\377\377",
		"[#L\0\0\0\20", "SL\0\0\0\20",
		"[$U#L\377\377\377\377\377\377\377\377", "{L\0\0\0\20"
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		uint8_t		bytes[64] = {0};
		Budget		budget = {1 << 20, 0};
		ChurnArena	small = {.alloc = budget_alloc,.context = &budget};

		memcpy(bytes, texts[i], sizeof(texts[i]));
		error.code = CHURN_OK;
		ok(churn_ubjson_read(bytes, sizeof(bytes), &small, &error) == NULL &&
		   error.code == CHURN_ERROR_CORRUPT && budget.most < 65536,
		   "a length beyond the end is refused (%zu)", i);
	}
}

/*
 * Whenever memory ends, an error tells so.
 */
static void
test_memory(void)
{
	const char *text = "{\"a\":[1,2.5,\"x\",{\"b\":[true,null,300]}],\"c\":{}}";
	size_t		wrong = 0;
	size_t		bytes;
	bool		done_once = false;

	for (bytes = 0; bytes < 100000 && !done_once; bytes += 16)
	{
		Budget		budget = {bytes, 0};
		ChurnArena	small = {.alloc = budget_alloc,.context = &budget};
		ChurnValue *value;
		uint8_t    *out;
		char	   *json_out;
		size_t		length;

		error.code = CHURN_OK;
		value = churn_json_read(text, strlen(text), &small, &error);
		done_once = value != NULL &&
			churn_ubjson_write(value, &small, &out, &length, &error) &&
			churn_json_write(value, &small, &json_out, &length, &error) &&
			churn_value_set(value, "d", churn_value_string(&small, "y", &error),
							&small, &error);
		if (!done_once && error.code != CHURN_ERROR_MEMORY)
			wrong++;
	}
	ok(wrong == 0 && done_once, "out of memory is an error");
}

/*
 * Messages are one line of UTF-8, whatever they quote.
 */
static void
test_messages(void)
{
	char		text[600];

	churn_fail(&error, CHURN_ERROR_CORRUPT, "a\n\001\377\303\251\303(\355\240\200");
	ok(strcmp(error.message, "a???\303\251?(???") == 0,
	   "what cannot be printed is replaced");
	memset(text, 'x', sizeof(text));
	memcpy(text + 510, "\303\251\0", 3);
	churn_fail(&error, CHURN_ERROR_CORRUPT, "%s", text);
	ok(strlen(error.message) == 511 && error.message[510] == '?',
	   "a long message is cut");
}

int
main(void)
{
	arena = churn_arena_create();
	if (arena == NULL)
		return 1;
	test_json();
	test_many_members();
	test_rounding();
	test_writing();
	test_locale();
	test_building();
	test_ubjson();
	test_lengths();
	test_memory();
	test_messages();
	ok(churn_arena_array(arena, SIZE_MAX / 2, 3, &error) == NULL &&
	   error.code == CHURN_ERROR_MEMORY &&
	   churn_arena_alloc(arena, SIZE_MAX - 8, &error) == NULL,
	   "sizes that overflow are refused");
	churn_arena_destroy(arena);
	return done();
}
