/*
 * churn/divergence.h
 *		How far two distributions are apart, from counts by cell.
 *
 * p are the baseline's counts and q those of today, n cells of each; neither
 * need sum to 1.  NaN comes back where a statistic is not defined (no rows on
 * one side).
 */
#ifndef CHURN_DIVERGENCE_H
#define CHURN_DIVERGENCE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Population stability index, sum of (q - p) ln(q / p) over the shares of the
 * cells that are not empty on both sides, in which a count of 0 is taken for
 * one of 0.5, also when they are added up.
 */
extern double churn_divergence_psi(const uint64_t *p, const uint64_t *q,
								   size_t n);

/* Jensen-Shannon distance, base 2, 0 to 1: scipy.spatial.distance.jensenshannon. */
extern double churn_divergence_jensen_shannon(const uint64_t *p,
											  const uint64_t *q, size_t n);

/*
 * Kolmogorov-Smirnov: greatest distance of the two distribution functions at
 * the cells' ends, and the asymptotic two-sided p-value,
 * scipy.special.kolmogorov(sqrt(nm / (n + m)) d).
 */
extern double churn_divergence_kolmogorov_smirnov(const uint64_t *p,
												  const uint64_t *q, size_t n,
												  double *p_value);

/*
 * Pearson's chi-square of the 2 x n table without cells that are empty on both
 * sides, as scipy.stats.chi2_contingency(correction=False); *df is its degrees
 * of freedom.  NaN with fewer than two cells.
 */
extern double churn_divergence_chi_square(const uint64_t *p, const uint64_t *q,
										  size_t n, uint64_t *df,
										  double *p_value);

/*
 * First Wasserstein distance of two discrete distributions on the rising
 * centres: scipy.stats.wasserstein_distance.
 */
extern double churn_divergence_wasserstein(const double *centres,
										   const uint64_t *p,
										   const uint64_t *q, size_t n);

/*
 * Lower confidence bound, one-sided, of the population's PSI: n_eff PSI of two
 * samples is about noncentral chi-square with cells - 1 degrees of freedom and
 * a noncentrality of n_eff times the population's, n_eff = nm / (n + m), cells
 * those that are not empty on both sides.  confidence is 0.5..1; at least 0.
 */
extern double churn_divergence_psi_low(const uint64_t *p, const uint64_t *q,
									   size_t n, double confidence);

/*
 * Benjamini and Hochberg (1995): p-values adjusted for the false discovery
 * rate, scipy.stats.false_discovery_control.  NaN stays and does not count.
 */
extern void churn_divergence_adjust(double *p_values, size_t n);

/* Upper tails: chi-square with df, Kolmogorov's distribution, normal. */
extern double churn_chi_square_tail(double x, double df);
extern double churn_kolmogorov_tail(double x);
extern double churn_normal_tail(double z);

/*
 * The noncentrality at which a noncentral chi-square of df degrees of freedom
 * is beyond x with probability 1 - confidence, or 0 if it is more likely without
 * any.  confidence is 0.5..1.
 */
extern double churn_noncentrality_low(double x, double df, double confidence);

#endif							/* CHURN_DIVERGENCE_H */
