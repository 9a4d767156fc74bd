/*
 * sum.c
 *		Sums that do not depend on the order of their terms.
 *
 * Sums of doubles do, in their last places; an aggregate would then answer
 * differently whenever the scan begins elsewhere or workers share the rows
 * anew.  Fixed-point numbers add exactly.
 */
#include "churn/sum.h"

#define BASE			4294967296.0	/* 2^32 */
#define DIGIT_MASK		UINT64_C(0xFFFFFFFF)

/* Moves what digits hold beyond 32 bits to the next higher one. */
static inline void
carry(ChurnSum *sum)
{
	int			i;

	for (i = CHURN_SUM_DIGITS - 1; i > 0; i--)
	{
		sum->digits[i - 1] += sum->digits[i] >> 32;
		sum->digits[i] &= DIGIT_MASK;
	}
}

/* Scaling by the base and taking off the whole part round nothing. */
void
churn_sum_add(ChurnSum *sum, double term)
{
	int			i;

	for (i = 0; i < CHURN_SUM_DIGITS; i++)
	{
		uint64_t	digit = (uint64_t) term;

		sum->digits[i] += digit;
		term = (term - (double) digit) * BASE;
	}
	carry(sum);
}

void
churn_sum_merge(ChurnSum *sum, const ChurnSum *other)
{
	int			i;

	for (i = 0; i < CHURN_SUM_DIGITS; i++)
		sum->digits[i] += other->digits[i];
	carry(sum);
}

double
churn_sum_value(const ChurnSum *sum)
{
	double		value = 0;
	int			i;

	for (i = CHURN_SUM_DIGITS - 1; i > 0; i--)
		value = (value + (double) sum->digits[i]) / BASE;
	return value + (double) sum->digits[0];
}
