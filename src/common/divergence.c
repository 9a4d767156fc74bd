/*
 * divergence.c
 *		How far two distributions are apart, from counts by cell.
 */
#include "churn/divergence.h"

#include <math.h>

/* What stands for an empty cell where a logarithm is taken of its share. */
#define HALF_A_ROW	0.5

/* Rows of all cells. */
static double
total(const uint64_t *counts, size_t n)
{
	double		sum = 0;
	size_t		i;

	for (i = 0; i < n; i++)
		sum += (double) counts[i];
	return sum;
}

/* A count from which a logarithm can be taken. */
static inline double
filled(uint64_t count)
{
	return count > 0 ? (double) count : HALF_A_ROW;
}

double
churn_divergence_psi(const uint64_t *p, const uint64_t *q, size_t n)
{
	double		p_total = 0;
	double		q_total = 0;
	double		sum = 0;
	size_t		i;

	if (total(p, n) == 0 || total(q, n) == 0)
		return NAN;
	for (i = 0; i < n; i++)
	{
		if (p[i] == 0 && q[i] == 0)
			continue;
		p_total += filled(p[i]);
		q_total += filled(q[i]);
	}
	for (i = 0; i < n; i++)
	{
		double		p_share = filled(p[i]) / p_total;
		double		q_share = filled(q[i]) / q_total;

		if (p[i] > 0 || q[i] > 0)
			sum += (q_share - p_share) * log(q_share / p_share);
	}
	return sum;
}

/* x ln(x / y), 0 for 0. */
static inline double
relative_entropy(double x, double y)
{
	return x > 0 ? x * log(x / y) : 0;
}

double
churn_divergence_jensen_shannon(const uint64_t *p, const uint64_t *q,
								size_t n)
{
	double		p_total = total(p, n);
	double		q_total = total(q, n);
	double		sum = 0;
	size_t		i;

	if (p_total == 0 || q_total == 0)
		return NAN;
	for (i = 0; i < n; i++)
	{
		double		p_share = (double) p[i] / p_total;
		double		q_share = (double) q[i] / q_total;
		double		middle = (p_share + q_share) / 2;

		sum += relative_entropy(p_share, middle) +
			relative_entropy(q_share, middle);
	}
	/* rounding may leave a little less than nothing */
	return sum > 0 ? sqrt(sum / (2 * log(2))) : 0;
}

double
churn_divergence_kolmogorov_smirnov(const uint64_t *p, const uint64_t *q,
									size_t n, double *p_value)
{
	double		p_total = total(p, n);
	double		q_total = total(q, n);
	double		p_sum = 0;
	double		q_sum = 0;
	double		greatest = 0;
	size_t		i;

	*p_value = NAN;
	if (p_total == 0 || q_total == 0)
		return NAN;
	for (i = 0; i < n; i++)
	{
		p_sum += (double) p[i];
		q_sum += (double) q[i];
		greatest = fmax(greatest, fabs(p_sum / p_total - q_sum / q_total));
	}
	*p_value = churn_kolmogorov_tail(sqrt(p_total * q_total /
										  (p_total + q_total)) * greatest);
	return greatest;
}

double
churn_divergence_chi_square(const uint64_t *p, const uint64_t *q, size_t n,
							uint64_t *df, double *p_value)
{
	double		p_total = total(p, n);
	double		q_total = total(q, n);
	double		sum = 0;
	uint64_t	cells = 0;
	size_t		i;

	*df = 0;
	*p_value = NAN;
	if (p_total == 0 || q_total == 0)
		return NAN;
	for (i = 0; i < n; i++)
	{
		double		both = (double) p[i] + (double) q[i];
		double		p_expected = both * (p_total / (p_total + q_total));
		double		q_expected = both * (q_total / (p_total + q_total));
		double		off = (double) p[i] - p_expected;

		if (both == 0)
			continue;
		/* what p has too much, q lacks */
		sum += off * off / p_expected + off * off / q_expected;
		cells++;
	}
	if (cells < 2)
		return NAN;
	*df = cells - 1;
	*p_value = churn_chi_square_tail(sum, (double) *df);
	return sum;
}

double
churn_divergence_wasserstein(const double *centres, const uint64_t *p,
							 const uint64_t *q, size_t n)
{
	double		p_total = total(p, n);
	double		q_total = total(q, n);
	double		p_sum = 0;
	double		q_sum = 0;
	double		sum = 0;
	size_t		i;

	if (p_total == 0 || q_total == 0)
		return NAN;
	for (i = 0; i + 1 < n; i++)
	{
		p_sum += (double) p[i];
		q_sum += (double) q[i];
		sum += fabs(p_sum / p_total - q_sum / q_total) *
			(centres[i + 1] - centres[i]);
	}
	return sum;
}

double
churn_divergence_psi_low(const uint64_t *p, const uint64_t *q, size_t n,
						 double confidence)
{
	double		p_total = total(p, n);
	double		q_total = total(q, n);
	double		effective = p_total * q_total / (p_total + q_total);
	uint64_t	cells = 0;
	size_t		i;

	if (p_total == 0 || q_total == 0)
		return NAN;
	for (i = 0; i < n; i++)
		cells += p[i] > 0 || q[i] > 0;
	if (cells < 2)
		return 0;
	return churn_noncentrality_low(effective * churn_divergence_psi(p, q, n),
								   (double) (cells - 1),
								   confidence) / effective;
}

/*
 * From the greatest p-value down, each becomes the least so far of p-value
 * times number of tests over rank.  What is done is kept with its sign turned,
 * so that no memory is needed; the p-values of a check are few.
 */
void
churn_divergence_adjust(double *p_values, size_t n)
{
	double		least = 1;
	size_t		count = 0;
	size_t		rank;
	size_t		i;

	for (i = 0; i < n; i++)
		count += !isnan(p_values[i]);
	for (rank = count; rank > 0; rank--)
	{
		size_t		greatest = n;

		for (i = 0; i < n; i++)
			if (!isnan(p_values[i]) && !signbit(p_values[i]) &&
				(greatest == n || p_values[i] > p_values[greatest]))
				greatest = i;
		least = fmin(least, p_values[greatest] * (double) count /
					 (double) rank);
		p_values[greatest] = -least;
	}
	for (i = 0; i < n; i++)
		p_values[i] = fabs(p_values[i]);
}
