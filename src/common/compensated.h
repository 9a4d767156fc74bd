/*
 * compensated.h
 *		Sums of doubles that keep what each addition loses (after Neumaier, "Rundungsfehleranalyse
 *		einiger Verfahren zur Summation endlicher Summen", 1974).
 */
#ifndef CHURN_COMPENSATED_H
#define CHURN_COMPENSATED_H

#include <math.h>

/* A sum and what its roundings have lost. */
typedef struct ChurnCompensated
{
	double		value;
	double		lost;
} ChurnCompensated;

static inline void
add_term(ChurnCompensated *sum, double term)
{
	double		value = sum->value + term;

	if (fabs(sum->value) >= fabs(term))
		sum->lost += (sum->value - value) + term;
	else
		sum->lost += (term - value) + sum->value;
	sum->value = value;
}

static inline double
total(ChurnCompensated sum)
{
	return sum.value + sum.lost;
}

#endif							/* CHURN_COMPENSATED_H */
