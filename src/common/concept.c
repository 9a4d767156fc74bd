/*
 * concept.c
 *		Whether customers still behave as a model has learned.
 *
 * A test that compares with the reference, the rows that a version was tested
 * on, knows quality there only as well as so many rows show it.  If nothing has
 * changed they are like the rows at hand, so that their part of the variance is
 * that of the rows at hand, scaled by their number.
 */
#include "churn/concept.h"

#include <math.h>
#include <string.h>

#include "churn/divergence.h"

/* Shares are kept so far from 0 and 1 that their logits are finite. */
#define LEAST_SHARE		1e-6

/* Beyond so many standard deviations a tail is 0. */
#define LARGEST_Z		40.0

/* By bisection, which is exact to the last place or two and fast enough. */
double
churn_concept_quantile(double tail)
{
	double		low = -LARGEST_Z;
	double		high = LARGEST_Z;
	int			i;

	for (i = 0; i < 64; i++)
	{
		double		middle = (low + high) / 2;

		if (churn_normal_tail(middle) > tail)
			low = middle;
		else
			high = middle;
	}
	return (low + high) / 2;
}

double
churn_concept_logit(double share)
{
	share = fmin(fmax(share, LEAST_SHARE), 1 - LEAST_SHARE);
	return log(share) - log1p(-share);
}

double
churn_concept_spread(const double *values, size_t n)
{
	double		mean = 0;
	double		squares = 0;
	size_t		used = 0;
	size_t		i;

	/*
	 * Welford, "Note on a method for calculating corrected sums of squares
	 * and products" (Technometrics 4, 1962)
	 */
	for (i = 0; i < n; i++)
	{
		double		off = values[i] - mean;

		if (isnan(values[i]))
			continue;
		mean += off / (double) ++used;
		squares += off * (values[i] - mean);
	}
	return used >= 2 ? sqrt(squares / (double) (used - 1)) : NAN;
}

/* Counts of both classes. */
static void
count_classes(const ChurnScored *rows, size_t n, double *positives,
			  double *negatives)
{
	size_t		i;

	*positives = *negatives = 0;
	for (i = 0; i < n; i++)
	{
		*positives += rows[i].positives;
		*negatives += rows[i].negatives;
	}
}

/*
 * With y = 1 for a row that churned, else 0: the sum of (y - p) (1 - 2p), which
 * is what the squared errors exceed their expectation by, over its standard
 * deviation, the root of the sum of p (1 - p) (1 - 2p)^2.
 */
double
churn_concept_spiegelhalter(const ChurnScored *rows, size_t n)
{
	double		excess = 0;
	double		variance = 0;
	size_t		i;

	for (i = 0; i < n; i++)
	{
		double		p = rows[i].score;
		double		slope = 1 - 2 * p;

		excess += (rows[i].positives * (1 - p) - rows[i].negatives * p) * slope;
		variance += ((double) rows[i].positives + (double) rows[i].negatives) *
			(p * (1 - p) * slope * slope);
	}
	return variance > 0 ? excess / sqrt(variance) : NAN;
}

/* A mean and the sum of squares around it, of values that come with counts. */
typedef struct Moments
{
	double		count;
	double		mean;
	double		squares;
} Moments;

static inline void
add_moments(Moments *moments, double value, double count)
{
	double		off = value - moments->mean;

	if (count == 0)
		return;
	moments->count += count;
	moments->mean += off * (count / moments->count);
	moments->squares += count * off * (value - moments->mean);
}

static inline double
variance_of(const Moments *moments)
{
	return moments->count >= 2 ? moments->squares / (moments->count - 1) : NAN;
}

/*
 * A row's place is the share of rows of the other class that the scores put on
 * the right side of it, ties by half; the AUC is the mean of the places of
 * either class.
 */
ChurnDeLong
churn_concept_delong(const ChurnScored *rows, size_t n)
{
	ChurnDeLong delong;
	Moments		positive = {0, 0, 0};
	Moments		negative = {0, 0, 0};
	double		positives_above = 0;
	double		negatives_above = 0;
	size_t		i = 0;

	count_classes(rows, n, &delong.positives, &delong.negatives);
	while (i < n)
	{
		double		score = rows[i].score;
		double		positives = 0;
		double		negatives = 0;

		for (; i < n && rows[i].score == score; i++)
		{
			positives += rows[i].positives;
			negatives += rows[i].negatives;
		}
		add_moments(&positive, (delong.negatives - negatives_above -
								negatives / 2) / delong.negatives, positives);
		add_moments(&negative, (positives_above + positives / 2) /
					delong.positives, negatives);
		positives_above += positives;
		negatives_above += negatives;
	}
	delong.auc = delong.positives > 0 && delong.negatives > 0 ?
		positive.mean : NAN;
	delong.var_positive = variance_of(&positive);
	delong.var_negative = variance_of(&negative);
	return delong;
}

/* A test that cannot be made. */
static ChurnConceptTest
no_test(void)
{
	ChurnConceptTest test = {NAN, NAN, NAN, false};

	return test;
}

ChurnConceptTest
churn_concept_calibration(const ChurnScored *rows, size_t n,
						  const ChurnReference *reference, double level)
{
	ChurnConceptTest test = no_test();
	double		known = reference->positives + reference->negatives;
	double		positives;
	double		negatives;
	double		scale = 1;

	test.value = churn_concept_spiegelhalter(rows, n);
	if (isnan(test.value))
		return test;
	count_classes(rows, n, &positives, &negatives);
	if (known > 0)
		scale = sqrt(1 + (positives + negatives) / known);
	test.threshold = churn_concept_quantile(level / 2) * scale;
	test.p_value = 2 * churn_normal_tail(fabs(test.value) / scale);
	test.drifted = test.p_value <= level;
	return test;
}

ChurnConceptTest
churn_concept_roc_auc(const ChurnScored *rows, size_t n,
					  const ChurnReference *reference, double level)
{
	ChurnDeLong delong = churn_concept_delong(rows, n);
	ChurnConceptTest test = no_test();
	double		error;

	if (isnan(reference->roc_auc) || isnan(delong.auc) ||
		reference->positives == 0 || reference->negatives == 0)
		return test;
	error = sqrt(delong.var_positive * (1 / delong.positives +
										1 / reference->positives) +
				 delong.var_negative * (1 / delong.negatives +
										1 / reference->negatives));
	if (!(error > 0))
		return test;
	test.value = reference->roc_auc - delong.auc;
	test.threshold = churn_concept_quantile(level) * error;
	test.p_value = churn_normal_tail(test.value / error);
	test.drifted = test.p_value <= level;
	return test;
}

/*
 * On the scale of logits, where PR-AUC is about normal (Boyd, Eng and Page,
 * "Area under the precision-recall curve: point estimates and confidence
 * intervals", ECML PKDD 2013).  The standard error is the larger of that of
 * resamples and of the binomial one of that paper, at the mean of both PR-AUCs:
 * the first is too small with few churned rows, the second in general.
 */
ChurnConceptTest
churn_concept_pr_auc(const ChurnScored *rows, size_t n,
					 const ChurnReference *reference, double spread,
					 double level)
{
	ChurnConceptTest test = no_test();
	double		pr_auc = churn_metrics_pr_auc(rows, n);
	double		baseline = churn_concept_logit(reference->pr_auc);
	double		positives;
	double		negatives;
	double		pooled;
	double		binomial;
	double		error;
	double		least;

	count_classes(rows, n, &positives, &negatives);
	if (isnan(reference->pr_auc) || isnan(pr_auc) || isnan(spread) ||
		reference->positives == 0)
		return test;
	pooled = (positives * pr_auc + reference->positives * reference->pr_auc) /
		(positives + reference->positives);
	pooled = fmin(fmax(pooled, LEAST_SHARE), 1 - LEAST_SHARE);
	binomial = sqrt((1 / positives + 1 / reference->positives) /
					(pooled * (1 - pooled)));
	error = fmax(binomial,
				 spread * sqrt(1 + positives / reference->positives));
	least = baseline - churn_concept_quantile(level) * error;
	test.value = reference->pr_auc - pr_auc;
	test.threshold = reference->pr_auc - 1 / (1 + exp(-least));
	test.p_value = churn_normal_tail((baseline - churn_concept_logit(pr_auc)) /
									 error);
	test.drifted = test.p_value <= level;
	return test;
}
