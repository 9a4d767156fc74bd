/*
 * decimal.h
 *		Decimal text to binary floating point and back, in any locale.
 */
#ifndef CHURN_DECIMAL_H
#define CHURN_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ChurnDecimal
{
	bool		is_integer;		/* no point, no exponent, fits in int64 */
	int64_t		integer;		/* only if is_integer */
	double		number;			/* the text, correctly rounded to float64 */
	float		single;			/* the text, correctly rounded to float32 */
} ChurnDecimal;

/* Bytes that the two writers need at most, with the terminating zero. */
#define CHURN_DECIMAL_SIZE	40

/*
 * Reads the number that text begins with and returns its length in bytes, 0 if
 * there is none.
 */
extern size_t churn_decimal_read(const char *text, size_t length,
								 ChurnDecimal *decimal);

/* Write the shortest text that reads back as the same value; its length. */
extern size_t churn_decimal_write_float(char *buffer, float value);
extern size_t churn_decimal_write_double(char *buffer, double value);

#endif							/* CHURN_DECIMAL_H */
