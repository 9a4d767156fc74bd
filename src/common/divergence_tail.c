/*
 * divergence_tail.c
 *		Tails of the distributions that statistics of divergence follow.
 */
#include "churn/divergence.h"

#include <float.h>
#include <math.h>

/* Terms after which a sum is given up; it needs a few times sqrt(a) of them. */
#define MOST_TERMS		100000

/* From here on Stirling's series is exact to the last place or two. */
#define STIRLING_FROM	16

/*
 * ln Gamma(a + 1) less Stirling's approximation of it, (a + 1/2) ln a - a +
 * ln(2 pi) / 2.
 */
static double
stirling_error(double a)
{
	double		s = 1 / (a * a);
	int			sign;

	if (a >= STIRLING_FROM)
		return (1.0 / 12 - s * (1.0 / 360 - s * (1.0 / 1260 -
												 s * (1.0 / 1680 - s / 1188)))) / a;
	return lgamma_r(a + 1, &sign) - (a + 0.5) * log(a) + a -
		0.5 * log(2 * M_PI);
}

/*
 * x^a e^-x / Gamma(a + 1), for a > 0 and x > 0.  Written by the distance of x
 * from a (Loader, "Fast and accurate computation of binomial probabilities",
 * 2000), as the logarithms of power and factorial are large and nearly equal.
 */
static double
poisson_term(double a, double x)
{
	double		off = (x - a) / a;
	double		deviance;

	if (fabs(off) < 0.1)
	{
		/* off - log1p(off) by its series, which loses no places */
		double		power = off * off;
		int			i;

		deviance = 0;
		for (i = 2; fabs(power) > 0 && i < 40; i++, power *= -off)
			deviance += power / i;
	}
	else
		deviance = off - log(x / a);
	return exp(-a * deviance - stirling_error(a)) / sqrt(2 * M_PI * a);
}

/*
 * The regularised upper incomplete gamma function Q(a, x), by the power series
 * of its complement below a + 1 and by Legendre's continued fraction, with
 * Lentz's method, above (Abramowitz and Stegun, 6.5.29 and 6.5.31).
 */
static double
gamma_tail(double a, double x)
{
	double		term;
	double		sum;
	double		b;
	double		c;
	double		d;
	int			i;

	if (x <= 0)
		return 1;
	if (x < a + 1)
	{
		term = sum = 1;
		for (i = 1; i < MOST_TERMS && term > sum * DBL_EPSILON / 4; i++)
		{
			term *= x / (a + i);
			sum += term;
		}
		return fmax(1 - sum * poisson_term(a, x), 0);
	}
	b = x + 1 - a;
	c = 1 / DBL_MIN;
	d = 1 / b;
	sum = d;
	for (i = 1; i < MOST_TERMS; i++)
	{
		double		factor = i * (a - i);

		b += 2;
		d = 1 / (factor * d + b);
		c = b + factor / c;
		sum *= c * d;
		if (fabs(c * d - 1) < DBL_EPSILON)
			break;
	}
	/* x^a e^-x / Gamma(a) is a times the term */
	return sum * a * poisson_term(a, x);
}

double
churn_chi_square_tail(double x, double df)
{
	if (isnan(x) || !(df > 0))
		return NAN;
	return isinf(x) ? (x > 0 ? 0 : 1) : gamma_tail(df / 2, x / 2);
}

/*
 * Of its two series one converges quickly below 1 and the other above
 * (Marsaglia, Tsang and Wang, "Evaluating Kolmogorov's distribution", 2003).
 */
double
churn_kolmogorov_tail(double x)
{
	double		sum = 0;
	int			k;

	if (isnan(x))
		return NAN;
	if (x <= 0.04)
		return 1;				/* to more places than a double has */
	if (x < 1)
	{
		for (k = 1; k < 20; k += 2)
			sum += exp(-k * k * M_PI * M_PI / (8 * x * x));
		return 1 - sqrt(2 * M_PI) / x * sum;
	}
	for (k = 1; k < 20; k++)
		sum += (k % 2 ? 2 : -2) * exp(-2.0 * k * k * x * x);
	return sum;
}

double
churn_normal_tail(double z)
{
	return erfc(z / M_SQRT2) / 2;
}

/*
 * The tail of the noncentral chi-square distribution beyond x, and its
 * derivative by the noncentrality.  It is the mean of the tails of chi-square
 * distributions with df + 2 j degrees of freedom, j of a Poisson distribution
 * with half the noncentrality for its mean (Johnson, Kotz and Balakrishnan,
 * "Continuous univariate distributions 2", 29.3).  The sum begins at the middle
 * of that one, and goes both ways from term to term, as far as it matters.
 */
static double
noncentral_tail(double x, double df, double noncentrality,
				double *derivative)
{
	double		mean = noncentrality / 2;
	double		half = x / 2;
	double		middle = floor(mean);
	double		a = df / 2 + middle;
	double		weight = middle > 0 ? poisson_term(middle, mean) : exp(-mean);
	double		tail = gamma_tail(a, half);
	double		step = poisson_term(a, half);	/* from here to the next tail */
	double		negligible = weight * DBL_EPSILON / 1000;
	double		up = weight;
	double		up_tail = tail;
	double		up_step = step;
	double		sum = 0;
	double		slope = 0;
	double		j;

	for (j = middle; up > negligible; j++)
	{
		sum += up * up_tail;
		slope += up * up_step;
		up *= mean / (j + 1);
		up_tail += up_step;
		up_step *= half / (df / 2 + j + 1);
	}
	for (j = middle; j > 0 && weight > negligible; j--)
	{
		weight *= j / mean;
		step *= (df / 2 + j) / half;
		tail -= step;
		sum += weight * tail;
		slope += weight * step;
	}
	*derivative = slope / 2;
	return sum;
}

/*
 * The tail grows with the noncentrality, from that of the chi-square
 * distribution to more than a half where the noncentrality is x.  Newton's
 * method, kept between bounds, finds where it is 1 - confidence.
 */
double
churn_noncentrality_low(double x, double df, double confidence)
{
	double		wanted = 1 - confidence;
	double		low = 0;
	double		high = x;
	double		at = x - df - 1.6 * sqrt(2 * df + 4 * fabs(x - df));
	int			i;

	if (isnan(x) || !(df > 0) || !(confidence >= 0.5 && confidence <= 1))
		return NAN;
	if (!(churn_chi_square_tail(x, df) < wanted))
		return 0;
	for (i = 0; i < 200; i++)
	{
		double		slope;
		double		off;
		double		before = at;

		if (!(at > low && at < high))
			at = before = (low + high) / 2;
		off = noncentral_tail(x, df, at, &slope) - wanted;
		if (off > 0)
			high = at;
		else
			low = at;
		at -= off / slope;
		if (off == 0 || fabs(at - before) <= 4 * DBL_EPSILON * before ||
			high - low <= 4 * DBL_EPSILON * high)
			return before;
	}
	return low;
}
