/*
 * churn/sum.h
 *		Sums that do not depend on the order of their terms.
 */
#ifndef CHURN_SUM_H
#define CHURN_SUM_H

#include <stdint.h>

#define CHURN_SUM_DIGITS	4

/*
 * A number in base 2^32 with three digits behind the point: digits[0] is its
 * whole part, the others are below 2^32.  All zeros is zero.
 */
typedef struct ChurnSum
{
	uint64_t	digits[CHURN_SUM_DIGITS];
} ChurnSum;

/*
 * Adds a term between 0 and 2^32, cut off behind 96 binary places; adds
 * another sum.  Both are exact, so that parts may be summed in any order.
 */
extern void churn_sum_add(ChurnSum *sum, double term);
extern void churn_sum_merge(ChurnSum *sum, const ChurnSum *other);

/* The sum as a double, to the last place or two. */
extern double churn_sum_value(const ChurnSum *sum);

#endif							/* CHURN_SUM_H */
