/*
 * test_number.c
 *		Texts are read as the numbers that Python and numpy read in them.
 */
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "churn/number.h"
#include "unit.h"

static const struct
{
	const char *text;
	float		value;
}			numbers[] = {
	{"0", 0.0f},
	{"-0", 0.0f},
	{"1", 1.0f},
	{"+1.5", 1.5f},
	{"-2.", -2.0f},
	{".5", 0.5f},
	{"29.85", 29.85f},
	{"1889.5", 1889.5f},
	{"  108.15\t\n", 108.15f},
	{"1e3", 1000.0f},
	{"1E-3", 0.001f},
	{"1e+03", 1000.0f},
	{"007", 7.0f},
	{"0.1", 0.1f},
	{"16777217", 16777216.0f},	/* a tie, to even */
	{"16777219", 16777220.0f},
	{"9007199254740993", 9007199254740992.0f},
	{"123456789012345678901234567890", 1.2345678901234568e29f},
	{"0.000000000000000000000000000001", 1e-30f},
	{"3.4028234663852886e38", FLT_MAX},
	{"1e39", FLT_MAX},
	{"-1e39", -FLT_MAX},
	{"1e999999999999", FLT_MAX},
	{"1e-999999999999", 0.0f},
	{"0e999999999999", 0.0f},
	{"1.17549435e-38", FLT_MIN},
	{"1e-45", 1.40129846e-45f},
};

static const char *const others[] = {
	"a", "1a", "a1", "1 2", "1,5", "1,000", ".", "+", "-", "--1", "1e", "1e+",
	"e5", "1.2.3", "nan", "NaN", "inf", "-Infinity", "0x10", "1_000", "1e5.5",
	"$5", "5%", "\302\2405"
};

/* Digits beyond those that are passed on still decide a tie. */
static void
test_long_digits(void)
{
	char		text[1025];
	float		value = 0;

	/* 2^24 + 1 lies halfway between two floats, if nothing follows. */
	snprintf(text, sizeof(text), "16777217.");
	memset(text + 9, '0', sizeof(text) - 10);
	text[sizeof(text) - 1] = '\0';
	ok(churn_number_parse(text, sizeof(text) - 1, &value) &&
	   value == 16777216.0f, "a long row of zeros changes nothing");

	memset(text, '1', sizeof(text) - 1);
	ok(churn_number_parse(text, sizeof(text) - 1, &value) &&
	   value == FLT_MAX, "1024 digits are read");
	memset(text, '0', sizeof(text) - 1);
	text[1] = '.';
	text[sizeof(text) - 2] = '1';
	ok(churn_number_parse(text, sizeof(text) - 1, &value) && value == 0,
	   "1022 digits behind the point are read");

	/*
	 * The double halfway between 1 and the next one is 1 + 2^-53; its 53
	 * decimals, and a digit far behind them.
	 */
	snprintf(text, sizeof(text), "%s",
			 "1.00000000000000011102230246251565404236316680908203125");
	ok(churn_number_parse(text, strlen(text), &value) && value == 1.0f,
	   "a tie of doubles is read");
}

/* Random numbers, printed with more or fewer digits, against strtod(). */
static void
test_random(void)
{
	unsigned	state = 12345;
	int			failures = 0;
	int			i;

	for (i = 0; i < 200000; i++)
	{
		char		text[64];
		double		number;
		float		value = 0;
		int			length;

		state = state * 1103515245 + 12345;
		number = (double) state / 65536.0 - 32768.0;
		state = state * 1103515245 + 12345;
		number *= pow(10, (int) (state >> 16) % 60 - 30);
		length = snprintf(text, sizeof(text), "%.*g",
						  1 + (int) (state >> 8) % 20, number);
		if (!churn_number_parse(text, (size_t) length, &value) ||
			value != (float) strtod(text, NULL))
		{
			if (failures++ == 0)
				printf("# \"%s\" gave %.9g\n", text, (double) value);
		}
	}
	ok(failures == 0, "200000 random numbers are read as strtod() does");
}

int
main(void)
{
	float		value;
	size_t		i;

	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
	{
		value = -1;
		ok(churn_number_parse(numbers[i].text, strlen(numbers[i].text),
							  &value) && value == numbers[i].value,
		   "number %zu is %.9g", i, (double) numbers[i].value);
	}
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
	{
		value = -1;
		ok(!churn_number_parse(others[i], strlen(others[i]), &value) &&
		   value == -1, "\"%s\" is no number", others[i]);
	}
	ok(churn_number_parse("", 0, &value) && isnan(value), "empty is missing");
	ok(churn_number_parse(" \t ", 3, &value) && isnan(value),
	   "blank is missing");
	ok(churn_number_parse("12345", 2, &value) && value == 12,
	   "the length counts, not a terminator");
	test_long_digits();
	test_random();

	ok(churn_number_to_float(1e300) == FLT_MAX &&
	   churn_number_to_float(-INFINITY) == -FLT_MAX &&
	   isnan(churn_number_to_float(NAN)) &&
	   churn_number_to_float(0.1) == 0.1f, "doubles become finite floats");
	if (setlocale(LC_ALL, "de_DE.UTF-8") != NULL)
		ok(churn_number_parse("12345678901234567890.5", 22, &value) &&
		   value == 12345678901234567890.5f, "another locale changes nothing");
	return done();
}
