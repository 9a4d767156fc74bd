/*
 * decimal.c
 *		Decimal text to binary floating point and back, in any locale.
 *
 * XGBoost reads a number of a model file straight to float32, correctly
 * rounded.  Going through float64 rounds twice and can end one float32 away,
 * so that both roundings are made here from the text itself.  The C library's
 * conversions are correctly rounded, but look for the decimal point of the
 * locale; they are therefore given integers with an exponent, which have none,
 * and what they write is read without regard to the point they put.
 */
#include "decimal.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Significant digits beyond which only whether there are more matters: no
 * midpoint between two float64 values has more than 767.
 */
#define MAX_DIGITS		800

/* Exponents are cut to this, where all values have become zero or infinite. */
#define MAX_EXPONENT	99999
#define HUGE_EXPONENT	INT64_C(1000000000000)

/* A decimal number taken apart: digits * 10^exponent. */
typedef struct Parts
{
	bool		negative;
	bool		fraction;		/* has a point or an exponent */
	const char *digits;			/* first significant one; has a point within */
	const char *end;			/* of the digits */
	size_t		ndigits;		/* significant ones */
	uint64_t	mantissa;		/* the first 19 of them */
	int64_t		exponent;		/* of ten, for all digits taken as an integer */
} Parts;

static const double powers[] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * Takes a run of digits into parts, leaving out zeros before the first
 * significant digit.
 */
static const char *
take_digits(const char *p, const char *end, Parts *parts)
{
	for (; p < end && is_digit(*p); p++)
	{
		if (parts->ndigits == 0 && *p == '0')
			continue;
		if (parts->ndigits == 0)
			parts->digits = p;
		if (parts->ndigits < 19)
			parts->mantissa = parts->mantissa * 10 + (uint64_t) (*p - '0');
		parts->ndigits++;
		parts->end = p + 1;
	}
	return p;
}

/*
 * Takes an exponent into parts if one begins at p, and returns what follows;
 * NULL if it has no digits.
 */
static const char *
take_exponent(const char *p, const char *end, Parts *parts)
{
	bool		negative = false;
	int64_t		exponent = 0;

	if (p == end || (*p != 'e' && *p != 'E'))
		return p;
	parts->fraction = true;
	p++;
	if (p < end && (*p == '-' || *p == '+'))
		negative = *p++ == '-';
	if (p == end || !is_digit(*p))
		return NULL;
	for (; p < end && is_digit(*p); p++)
	{
		if (exponent < HUGE_EXPONENT)
			exponent = exponent * 10 + (*p - '0');
	}
	parts->exponent += negative ? -exponent : exponent;
	return p;
}

/*
 * Takes a number apart and returns its end, or NULL if there is none.
 */
static const char *
take_number(const char *p, const char *end, Parts *parts)
{
	const char *start;

	memset(parts, 0, sizeof(*parts));
	if (p < end && *p == '-')
	{
		parts->negative = true;
		p++;
	}
	start = p;
	p = take_digits(p, end, parts);
	if (p == start)
		return NULL;
	if (p < end && *p == '.')
	{
		parts->fraction = true;
		start = ++p;
		p = take_digits(p, end, parts);
		parts->exponent = -(int64_t) (p - start);
	}
	return take_exponent(p, end, parts);
}

/*
 * Converts the digits through the C library, as an integer with an exponent.
 */
static void
convert_slowly(const Parts *parts, ChurnDecimal *decimal)
{
	char		buffer[MAX_DIGITS + 32];
	size_t		n = 0;
	size_t		left = parts->ndigits;
	int64_t		exponent = parts->exponent;
	bool		more = false;
	const char *p;

	for (p = parts->digits; p < parts->end; p++)
	{
		if (!is_digit(*p))
			continue;
		if (n == MAX_DIGITS)
		{
			if (*p != '0')
				more = true;
			continue;
		}
		buffer[n++] = *p;
		left--;
	}
	exponent += (int64_t) left;
	if (more)
	{
		/* tells the rounding that the rest is above zero */
		buffer[n++] = '1';
		exponent--;
	}
	if (exponent > MAX_EXPONENT)
		exponent = MAX_EXPONENT;
	if (exponent < -MAX_EXPONENT)
		exponent = -MAX_EXPONENT;
	snprintf(buffer + n, sizeof(buffer) - n, "e%d", (int) exponent);
	decimal->number = strtod(buffer, NULL);
	decimal->single = strtof(buffer, NULL);
}

/*
 * Whether rounding a correctly rounded float64 once more, to float32, gives
 * what rounding the text would have given.  It does unless the float64 is
 * itself the midpoint of two float32 values: every midpoint is a float64, so
 * the first rounding cannot cross one, but can land on one.
 */
static bool
is_safely_rounded(double number)
{
	uint64_t	bits;

	if (number == 0)
		return true;
	if (number < 4 * (double) FLT_MIN || number > (double) FLT_MAX / 4)
		return false;
	memcpy(&bits, &number, sizeof(bits));
	return (bits & UINT64_C(0x1FFFFFFF)) != UINT64_C(0x10000000);
}

/*
 * Converts the digits, by one exactly rounded operation where both operands
 * are exact (W. D. Clinger, "How to read floating point numbers accurately",
 * 1990), which is nearly always so.
 */
static void
convert(const Parts *parts, ChurnDecimal *decimal)
{
	int64_t		exponent = parts->exponent;

	if (parts->ndigits == 0)
	{
		decimal->number = 0;
		decimal->single = 0;
		return;
	}
	if (FLT_EVAL_METHOD == 0 && parts->ndigits <= 15 &&
		exponent >= -22 && exponent <= 22)
	{
		double		number = (double) parts->mantissa;

		if (exponent < 0)
			number /= powers[-exponent];
		else
			number *= powers[exponent];
		if (is_safely_rounded(number))
		{
			decimal->number = number;
			decimal->single = (float) number;
			return;
		}
	}
	convert_slowly(parts, decimal);
}

/*
 * Reads NaN, Infinity and -Infinity, as XGBoost writes them.
 */
static size_t
read_special(const char *text, size_t length, ChurnDecimal *decimal)
{
	static const struct
	{
		const char *name;
		double		value;
	}			specials[] = {
		{"NaN", (double) NAN},
		{"Infinity", (double) INFINITY},
		{"-Infinity", -(double) INFINITY},
	};

	for (size_t i = 0; i < sizeof(specials) / sizeof(specials[0]); i++)
	{
		size_t		n = strlen(specials[i].name);

		if (length >= n && memcmp(text, specials[i].name, n) == 0)
		{
			decimal->number = specials[i].value;
			decimal->single = (float) specials[i].value;
			return n;
		}
	}
	return 0;
}

/*
 * Reads a number in JSON's notation, with leading zeros and a bare point
 * allowed as XGBoost allows them.
 */
size_t
churn_decimal_read(const char *text, size_t length, ChurnDecimal *decimal)
{
	Parts		parts;
	const char *end;

	memset(decimal, 0, sizeof(*decimal));
	if (length == 0)
		return 0;
	end = take_number(text, text + length, &parts);
	if (end == NULL)
		return read_special(text, length, decimal);
	convert(&parts, decimal);
	if (parts.negative)
	{
		decimal->number = -decimal->number;
		decimal->single = -decimal->single;
	}
	if (!parts.fraction && parts.ndigits <= 19)
	{
		if (parts.mantissa <= (uint64_t) INT64_MAX)
		{
			decimal->is_integer = true;
			decimal->integer = (int64_t) parts.mantissa;
			if (parts.negative)
				decimal->integer = -decimal->integer;
		}
		else if (parts.negative &&
				 parts.mantissa == (uint64_t) INT64_MAX + 1)
		{
			decimal->is_integer = true;
			decimal->integer = INT64_MIN;
		}
	}
	return (size_t) (end - text);
}

/*
 * Writes value with so many significant digits, drops zeros at their end, and
 * returns the number of digits; the decimal exponent of the first goes to
 * *exponent.  Whatever bytes the locale has for a decimal point are skipped.
 */
static int
take_apart(double value, int precision, char *digits, int *exponent)
{
	char		text[64];
	const char *p = text;
	int			n = 0;

	snprintf(text, sizeof(text), "%.*e", precision - 1, fabs(value));
	while (*p != 'e' && *p != 'E' && *p != '\0')
	{
		if (is_digit(*p) && n < precision)
			digits[n++] = *p;
		p++;
	}
	*exponent = *p == '\0' ? 0 : (int) strtol(p + 1, NULL, 10);
	while (n > 1 && digits[n - 1] == '0')
		n--;
	return n;
}

/*
 * Writes digits and exponent in scientific notation, as XGBoost does: 5E-1.
 */
static size_t
write_scientific(char *buffer, bool negative, const char *digits, int n,
				 int exponent)
{
	char	   *p = buffer;

	if (negative)
		*p++ = '-';
	*p++ = digits[0];
	if (n > 1)
	{
		*p++ = '.';
		memcpy(p, digits + 1, (size_t) n - 1);
		p += n - 1;
	}
	p += snprintf(p, 8, "E%d", exponent);
	return (size_t) (p - buffer);
}

/*
 * Writes digits and exponent in plain notation, always with a point, so that
 * it reads back as a number and not as an integer.
 */
static size_t
write_plain(char *buffer, bool negative, const char *digits, int n,
			int exponent)
{
	char	   *p = buffer;

	if (negative)
		*p++ = '-';
	if (exponent < 0)
	{
		*p++ = '0';
		*p++ = '.';
		for (int i = -1; i > exponent; i--)
			*p++ = '0';
		memcpy(p, digits, (size_t) n);
		p += n;
	}
	else
	{
		for (int i = 0; i <= exponent; i++)
			*p++ = i < n ? digits[i] : '0';
		*p++ = '.';
		if (n <= exponent + 1)
			*p++ = '0';
		for (int i = exponent + 1; i < n; i++)
			*p++ = digits[i];
	}
	*p = '\0';
	return (size_t) (p - buffer);
}

/*
 * Writes what is not finite.
 */
static size_t
write_special(char *buffer, double value)
{
	strcpy(buffer, isnan(value) ? "NaN" :
		   value < 0 ? "-Infinity" : "Infinity");
	return strlen(buffer);
}

/*
 * Writes a float32 as XGBoost writes it, up to the choice between equally
 * short texts.  Six digits always survive the conversion, so that fewer come
 * out as zeros at the end; values below FLT_MIN have less precision.
 */
size_t
churn_decimal_write_float(char *buffer, float value)
{
	if (!isfinite(value))
		return write_special(buffer, (double) value);
	for (int precision = fabsf(value) < FLT_MIN ? 1 : FLT_DIG;; precision++)
	{
		char		digits[24];
		int			exponent;
		int			n = take_apart((double) value, precision, digits,
								   &exponent);
		size_t		length = write_scientific(buffer, signbit(value) != 0,
											  digits, n, exponent);
		ChurnDecimal decimal;

		if (precision >= FLT_DECIMAL_DIG)
			return length;
		churn_decimal_read(buffer, length, &decimal);
		if (decimal.single == value)
			return length;
	}
}

/*
 * Writes a float64, in plain notation unless it is very large or small.
 */
size_t
churn_decimal_write_double(char *buffer, double value)
{
	if (!isfinite(value))
		return write_special(buffer, value);
	for (int precision = fabs(value) < DBL_MIN ? 1 : DBL_DIG;; precision++)
	{
		char		digits[24];
		int			exponent;
		int			n = take_apart(value, precision, digits, &exponent);
		bool		plain = exponent >= -5 && exponent < 16;
		size_t		length;
		ChurnDecimal decimal;

		length = (plain ? write_plain : write_scientific)
			(buffer, signbit(value) != 0, digits, n, exponent);
		if (precision >= DBL_DECIMAL_DIG)
			return length;
		churn_decimal_read(buffer, length, &decimal);
		if (decimal.number == value)
			return length;
	}
}
