/*
 * explain_points.c
 *		Points and weights of Gauss and Legendre's quadrature on (0, 1).
 */
#include <math.h>

#include "explain_parts.h"

#define MAX_STEPS	100

/*
 * Legendre's polynomial of degree n at x, and its derivative, by the
 * recurrence (k + 1) P(k + 1) = (2 k + 1) x P(k) - k P(k - 1).
 */
static double
legendre(uint32_t n, double x, double *derivative)
{
	double		before = 1;
	double		value = x;
	uint32_t	k;

	for (k = 1; k < n; k++)
	{
		double		next = ((2 * k + 1) * x * value - k * before) / (k + 1);

		before = value;
		value = next;
	}
	*derivative = n * (x * value - before) / (x * x - 1);
	return value;
}

/*
 * Writes the n points, rising, and weights of the rule that integrates
 * polynomials of degree below 2 n exactly over (0, 1).  The points are roots
 * of Legendre's polynomial, by Newton's method from Tricomi's estimate.
 */
void
churn_gauss_points(uint32_t n, double *points, double *weights)
{
	uint32_t	i;

	for (i = 0; i < n; i++)
	{
		double		x = -cos(M_PI * (i + 0.75) / (n + 0.5));
		double		derivative = 1;
		double		step = 1;
		uint32_t	steps;

		for (steps = 0; steps < MAX_STEPS && fabs(step) > 1e-15; steps++)
		{
			step = legendre(n, x, &derivative) / derivative;
			x -= step;
		}
		(void) legendre(n, x, &derivative);
		points[i] = (1 + x) / 2;
		weights[i] = 1 / ((1 - x * x) * derivative * derivative);
	}
}
