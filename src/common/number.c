/*
 * number.c
 *		Text that holds a number, read the same way in training and scoring.
 *
 * The result is the nearest double, rounded to the nearest float, which is
 * what float(text) and numpy.float32() give in Python.  Most numbers take
 * the short way of Clinger, "How to read floating point numbers accurately"
 * (PLDI 1990): digits below 2^53 and a power of ten up to 10^22 are both
 * exact doubles, so one multiplication or division rounds once.
 */
#include "churn/number.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Digits passed to strtod(); no double needs more than 767 of them. */
#define MAX_DIGITS		800

/* Beyond this an exponent says zero or infinity, whatever the digits. */
#define MAX_EXPONENT	100000

typedef struct Decimal
{
	const char *digits;			/* where digits and the point begin */
	const char *end;			/* behind the last of them */
	bool		negative;
	int			ndigits;		/* significant ones, without leading zeros */
	long		exponent;		/* of the last digit */
	uint64_t	head;			/* the digits' value, if ndigits <= 19 */
} Decimal;

static const double powers_of_ten[] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
};

/* White space of the C locale. */
static inline bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * Reads "e", a sign and digits at *text into *exponent, and moves *text behind
 * them.  False when no digits follow.
 */
static bool
read_exponent(const char **text, const char *end, long *exponent)
{
	const char *p = *text + 1;
	bool		negative = false;
	long		value = 0;

	if (p < end && (*p == '+' || *p == '-'))
		negative = *p++ == '-';
	if (p == end || !is_digit(*p))
		return false;
	for (; p < end && is_digit(*p); p++)
	{
		if (value < MAX_EXPONENT)
			value = value * 10 + (*p - '0');
	}
	*exponent += negative ? -value : value;
	*text = p;
	return true;
}

/*
 * Takes the text between p and end, which has no white space around it, apart
 * into its digits and exponent.  False when it is no decimal number.
 */
static bool
read_decimal(const char *p, const char *end, Decimal *decimal)
{
	bool		point = false;
	bool		any = false;

	decimal->negative = false;
	decimal->ndigits = 0;
	decimal->exponent = 0;
	decimal->head = 0;
	if (*p == '+' || *p == '-')
		decimal->negative = *p++ == '-';
	decimal->digits = p;
	for (; p < end; p++)
	{
		if (*p == '.' && !point)
		{
			point = true;
			continue;
		}
		if (!is_digit(*p))
			break;
		any = true;
		if (decimal->ndigits > 0 || *p != '0')
		{
			if (++decimal->ndigits <= 19)
				decimal->head = decimal->head * 10 + (uint64_t) (*p - '0');
		}
		if (point)
			decimal->exponent--;
	}
	decimal->end = p;
	if (!any)
		return false;
	if (p < end && (*p == 'e' || *p == 'E') &&
		!read_exponent(&p, end, &decimal->exponent))
		return false;
	return p == end;
}

/*
 * The long way: hands digits and exponent to strtod() without a point, so
 * that the locale's decimal separator plays no part.  Digits behind the
 * MAX_DIGITS-th only tell whether the number lies above a tie, which one more
 * non-zero digit tells as well.
 */
static double
decimal_by_strtod(const Decimal *decimal)
{
	char		buffer[MAX_DIGITS + 32];
	int			used = 0;
	int			seen = 0;
	bool		rest = false;
	long		exponent = decimal->exponent;
	const char *p;

	for (p = decimal->digits; p < decimal->end; p++)
	{
		if (*p == '.' || (seen == 0 && *p == '0'))
			continue;
		seen++;
		if (used < MAX_DIGITS)
			buffer[used++] = *p;
		else if (*p != '0')
			rest = true;
	}
	exponent += seen - used;
	if (rest)
	{
		buffer[used++] = '1';
		exponent--;
	}
	snprintf(buffer + used, sizeof(buffer) - (size_t) used, "e%ld", exponent);
	return strtod(buffer, NULL);
}

bool
churn_number_parse(const char *text, size_t length, float *value)
{
	const char *end = text + length;
	Decimal		decimal;
	double		number;

	while (text < end && is_space(*text))
		text++;
	while (text < end && is_space(end[-1]))
		end--;
	if (text == end)
	{
		*value = NAN;
		return true;
	}
	if (!read_decimal(text, end, &decimal))
		return false;

	if (decimal.ndigits == 0)
		number = 0;
	else if (decimal.ndigits <= 19 && decimal.head <= (UINT64_C(1) << 53) &&
			 decimal.exponent >= -22 && decimal.exponent <= 22)
	{
		number = (double) decimal.head;
		if (decimal.exponent < 0)
			number /= powers_of_ten[-decimal.exponent];
		else
			number *= powers_of_ten[decimal.exponent];
	}
	else
		number = decimal_by_strtod(&decimal);
	*value = churn_number_to_float(decimal.negative ? -number : number);
	return true;
}

float
churn_number_to_float(double number)
{
	float		value = (float) number;

	if (isinf(value))
		return value > 0 ? FLT_MAX : -FLT_MAX;
	return value;
}
