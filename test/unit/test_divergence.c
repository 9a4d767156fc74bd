/*
 * test_divergence.c
 *		Divergences of counts equal those of SciPy 1.10, and edge cases.
 */
#include <math.h>
#include <stdlib.h>

#include "churn/divergence.h"
#include "unit.h"

#define MAX_CELLS	8

enum
{
	PSI,
	JENSEN_SHANNON,
	KOLMOGOROV_SMIRNOV,
	KOLMOGOROV_SMIRNOV_P,
	CHI_SQUARE,
	CHI_SQUARE_P,
	WASSERSTEIN,				/* on the centres i * i / 4 */
	PSI_LOW,					/* at a confidence of 0.95 */
	NSTATISTICS
};

static const char *const names[NSTATISTICS] = {
	"PSI", "Jensen-Shannon", "Kolmogorov-Smirnov", "its p-value",
	"chi-square", "its p-value", "Wasserstein", "lower bound of PSI"
};

/* Counts, and what SciPy makes of them, or NumPy where it has no such function. */
static const struct
{
	size_t		n;
	uint64_t	p[MAX_CELLS];
	uint64_t	q[MAX_CELLS];
	uint64_t	df;
	double		values[NSTATISTICS];
}			known[] = {

	{4, {10, 20, 30, 40}, {12, 18, 33, 37}, 3, {
		0.010951793087256731, 0.04442550377922543,
		0.030000000000000027, 0.9999999999853427,
		0.5468215994531784, 0.9084908633713743,
		0.04250000000000003, 0
	}},
	{4, {1000, 0, 500, 3}, {900, 50, 0, 0}, 3, {
		2.507183794172636, 0.459922662635747,
		0.3346640053226879, 4.7297530221598265e-57,
		456.8120987941015, 1.0896062325804117e-98,
		0.32400112056588576, 2.292567988351596
	}},
	{3, {5, 0, 5}, {1, 0, 0}, 1, {
		0.11552453009332421, 0.5579230452841438,
		0.5, 0.9769142934475811,
		0.9166666666666666, 0.3383517215622166,
		0.5, 0
	}},
	{8, {7, 7, 7, 7, 7, 7, 7, 7}, {1, 2, 3, 4, 5, 6, 7, 8}, 7, {
		0.32114570454485747, 0.2349477665179875,
		0.2222222222222222, 0.22932397942235883,
		6.113997884831217, 0.5265033580141232,
		2.0416666666666665, 0
	}},
	{3, {100000, 200000, 300000}, {101000, 199000, 305000}, 2, {
		9.31378868589621e-05, 0.0040983045882360515,
		0.004132231404958664, 6.809778569489408e-05,
		28.057299196954748, 8.080437785838861e-07,
		0.0031680440771349808, 4.151302571903178e-05
	}}
};

static bool
near(double got, double expected)
{
	return fabs(got - expected) <= 1e-10 * fmax(fabs(expected), 1e-290);
}

static void
test_known(void)
{
	static const double centres[MAX_CELLS] = {
		0, 0.25, 1, 2.25, 4, 6.25, 9, 12.25
	};
	size_t		i;
	int			j;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
	{
		const uint64_t *p = known[i].p;
		const uint64_t *q = known[i].q;
		size_t		n = known[i].n;
		double		values[NSTATISTICS];
		uint64_t	df;

		values[PSI] = churn_divergence_psi(p, q, n);
		values[JENSEN_SHANNON] = churn_divergence_jensen_shannon(p, q, n);
		values[KOLMOGOROV_SMIRNOV] =
			churn_divergence_kolmogorov_smirnov(p, q, n,
												&values[KOLMOGOROV_SMIRNOV_P]);
		values[CHI_SQUARE] =
			churn_divergence_chi_square(p, q, n, &df, &values[CHI_SQUARE_P]);
		values[WASSERSTEIN] = churn_divergence_wasserstein(centres, p, q, n);
		values[PSI_LOW] = churn_divergence_psi_low(p, q, n, 0.95);
		for (j = 0; j < NSTATISTICS; j++)
			if (!ok(near(values[j], known[i].values[j]), "counts %zu: %s", i,
					names[j]))
				printf("# %.17g, not %.17g\n", values[j], known[i].values[j]);
		ok(df == known[i].df, "counts %zu: degrees of freedom", i);
	}
}

/* Without rows on one side nothing is defined; equal shares are at 0. */
static void
test_edges(void)
{
	static const uint64_t none[3] = {0, 0, 0};
	static const uint64_t some[3] = {2, 0, 4};
	static const uint64_t thrice[3] = {6, 0, 12};
	static const uint64_t one[3] = {0, 5, 0};
	static const double centres[3] = {1, 2, 3};
	double		p_value;
	uint64_t	df;
	int			turn;

	for (turn = 0; turn < 2; turn++)
	{
		const uint64_t *p = turn ? none : some;
		const uint64_t *q = turn ? some : none;

		ok(isnan(churn_divergence_psi(p, q, 3)) &&
		   isnan(churn_divergence_jensen_shannon(p, q, 3)) &&
		   isnan(churn_divergence_kolmogorov_smirnov(p, q, 3, &p_value)) &&
		   isnan(p_value) &&
		   isnan(churn_divergence_chi_square(p, q, 3, &df, &p_value)) &&
		   isnan(p_value) &&
		   isnan(churn_divergence_wasserstein(centres, p, q, 3)) &&
		   isnan(churn_divergence_psi_low(p, q, 3, 0.95)),
		   "an empty side, %s", turn ? "p" : "q");
	}
	ok(churn_divergence_psi(some, thrice, 3) == 0 &&
	   churn_divergence_jensen_shannon(some, thrice, 3) == 0 &&
	   churn_divergence_kolmogorov_smirnov(some, thrice, 3, &p_value) == 0 &&
	   p_value == 1 &&
	   churn_divergence_chi_square(some, thrice, 3, &df, &p_value) == 0 &&
	   p_value == 1 && df == 1 &&
	   churn_divergence_wasserstein(centres, some, thrice, 3) == 0 &&
	   churn_divergence_psi_low(some, thrice, 3, 0.95) == 0,
	   "equal shares");
	ok(churn_divergence_psi(one, one, 3) == 0 &&
	   isnan(churn_divergence_chi_square(one, one, 3, &df, &p_value)) &&
	   isnan(p_value) && df == 0 &&
	   churn_divergence_psi_low(one, one, 3, 0.95) == 0, "a single cell");
	ok(near(churn_divergence_jensen_shannon(some, one, 3), 1) &&
	   near(churn_divergence_wasserstein(centres, some, one, 3), 1),
	   "nothing in common");
}

/* Values of scipy.stats.chi2.sf, scipy.special.kolmogorov, scipy.stats.norm.sf. */
static void
test_tails(void)
{
	ok(near(churn_chi_square_tail(3.841458820694124, 1), 0.05) &&
	   near(churn_chi_square_tail(0.01, 20), 1) &&
	   near(churn_chi_square_tail(300, 257), 0.033688702250360095) &&
	   near(churn_chi_square_tail(66000, 65535), 0.09970784924015072) &&
	   churn_chi_square_tail(0, 3) == 1 && churn_chi_square_tail(-1, 3) == 1 &&
	   churn_chi_square_tail(INFINITY, 3) == 0 &&
	   isnan(churn_chi_square_tail(NAN, 3)) &&
	   isnan(churn_chi_square_tail(1, 0)), "the chi-square distribution's");
	ok(churn_kolmogorov_tail(0) == 1 && churn_kolmogorov_tail(-1) == 1 &&
	   near(churn_kolmogorov_tail(0.5), 0.9639452436648751) &&
	   near(churn_kolmogorov_tail(1.3580986393225505), 0.05) &&
	   near(churn_kolmogorov_tail(10), 2.767793053473475e-87) &&
	   churn_kolmogorov_tail(INFINITY) == 0 &&
	   isnan(churn_kolmogorov_tail(NAN)), "Kolmogorov's");
	ok(near(churn_normal_tail(1.6448536269514729), 0.05) &&
	   near(churn_normal_tail(0), 0.5) &&
	   near(churn_normal_tail(-3), 0.9986501019683699) &&
	   isnan(churn_normal_tail(NAN)), "the normal distribution's");
}

/*
 * With 1 degree of freedom the square of a normal variable is beyond x.
 */
static void
test_noncentrality(void)
{
	double		root;
	double		low;
	double		x;
	bool		right = true;

	for (x = 6; x < 1e6; x *= 3)
	{
		low = churn_noncentrality_low(x, 1, 0.975);
		root = sqrt(low);
		right &= fabs(churn_normal_tail(sqrt(x) - root) +
					  churn_normal_tail(sqrt(x) + root) - 0.025) < 1e-12;
	}
	ok(right, "noncentrality with one degree of freedom");
	ok(churn_noncentrality_low(5, 5, 0.95) == 0 &&
	   churn_noncentrality_low(1000, 5, 1) == 0 &&
	   churn_noncentrality_low(0, 5, 0.95) == 0 &&
	   isnan(churn_noncentrality_low(NAN, 5, 0.95)) &&
	   isnan(churn_noncentrality_low(9, 0, 0.95)) &&
	   isnan(churn_noncentrality_low(9, 1, 0.4)) &&
	   isnan(churn_noncentrality_low(9, 1, NAN)), "noncentrality at its ends");
	right = true;
	for (x = 0.5, low = INFINITY; x < 1; x += 0.01)
	{
		double		next = churn_noncentrality_low(900, 300, x);

		right &= next < low && next > 0;
		low = next;
	}
	ok(right, "surer bounds are lower");
}

/* Benjamini and Hochberg's own example has 15 p-values (1995, section 4.1). */
static void
test_adjust(void)
{
	double		p_values[15] = {
		0.0201, 0.0001, 0.0004, 0.0019, 0.0095, 0.0278, 0.0298, 0.0344, 0.0459,
		0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000
	};
	double		tied[5] = {0.01, NAN, 0.01, 0.5, 0};
	double		none[2] = {NAN, NAN};
	int			below = 0;
	int			i;

	churn_divergence_adjust(p_values, 15);
	for (i = 0; i < 15; i++)
		below += p_values[i] <= 0.05;
	ok(below == 4 && near(p_values[1], 0.0015) && near(p_values[2], 0.003) &&
	   near(p_values[3], 0.0095) && near(p_values[4], 0.035625) &&
	   near(p_values[0], 0.0603) && near(p_values[6], 0.06385714285714286) &&
	   near(p_values[5], 0.06385714285714286) && p_values[14] == 1,
	   "p-values of the paper are adjusted");
	churn_divergence_adjust(tied, 5);
	ok(near(tied[0], 0.04 / 3) && isnan(tied[1]) && near(tied[2], 0.04 / 3) &&
	   near(tied[3], 0.5) && tied[4] == 0 && !signbit(tied[4]),
	   "ties, NaN and 0 are adjusted");
	churn_divergence_adjust(none, 2);
	churn_divergence_adjust(NULL, 0);
	ok(isnan(none[0]) && isnan(none[1]), "nothing to adjust");
}

int
main(void)
{
	test_known();
	test_edges();
	test_tails();
	test_noncentrality();
	test_adjust();
	return done();
}
