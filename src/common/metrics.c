/*
 * metrics.c
 *		Quality of scores against what happened, as scikit-learn defines it.
 *
 * All functions take rows sorted by falling score and walk over them group by
 * group, a group being the rows of one score: equal scores cannot be told
 * apart, so that no measure may depend on their order.  Counts are integers;
 * the divisions come last.  Long sums are compensated (Neumaier, "Rundungs-
 * fehleranalyse einiger Verfahren zur Summation endlicher Summen", 1974).
 */
#include "churn/metrics.h"

#include <float.h>
#include <math.h>

#include "compensated.h"

/* Counts of both classes among rows up to some place. */
typedef struct Tally
{
	uint64_t	positives;
	uint64_t	negatives;
} Tally;

static inline uint64_t
rows_of(Tally tally)
{
	return tally.positives + tally.negatives;
}

/*
 * Adds the group of equal scores that begins at entry i to *tally and returns
 * the entry behind it.
 */
static inline size_t
take_group(const ChurnScored *rows, size_t n, size_t i, Tally *tally)
{
	double		score = rows[i].score;

	do
	{
		tally->positives += rows[i].positives;
		tally->negatives += rows[i].negatives;
		i++;
	} while (i < n && rows[i].score == score);
	return i;
}

/* Counts of both classes among all rows. */
static Tally
tally_all(const ChurnScored *rows, size_t n)
{
	Tally		all = {0, 0};
	size_t		i;

	for (i = 0; i < n; i++)
	{
		all.positives += rows[i].positives;
		all.negatives += rows[i].negatives;
	}
	return all;
}

/*
 * Average precision: the sum over thresholds of the precision there, weighted
 * by what the threshold adds to recall, with no interpolation.
 */
double
churn_metrics_pr_auc(const ChurnScored *rows, size_t n)
{
	Tally		seen = {0, 0};
	ChurnCompensated sum = {0, 0};
	size_t		i = 0;

	while (i < n)
	{
		uint64_t	before = seen.positives;

		i = take_group(rows, n, i, &seen);
		if (seen.positives > before)
			add_term(&sum, (double) (seen.positives - before) *
					 ((double) seen.positives / (double) rows_of(seen)));
	}
	if (seen.positives == 0 || seen.negatives == 0)
		return NAN;
	return total(sum) / (double) seen.positives;
}

/*
 * The share of pairs of a positive and a negative row that the scores put in
 * order, ties counting one half: the area under the ROC curve by trapezoids.
 * Twice the number of pairs fits an integer up to 2^32 rows.
 */
double
churn_metrics_roc_auc(const ChurnScored *rows, size_t n)
{
	Tally		all = tally_all(rows, n);
	Tally		seen = {0, 0};
	bool		exact = rows_of(all) <= UINT32_MAX;
	uint64_t	twice = 0;
	double		rounded = 0;
	size_t		i = 0;

	if (all.positives == 0 || all.negatives == 0)
		return NAN;
	while (i < n)
	{
		Tally		before = seen;
		uint64_t	positives;
		uint64_t	below;

		i = take_group(rows, n, i, &seen);
		positives = seen.positives - before.positives;
		below = 2 * (all.negatives - seen.negatives) +
			(seen.negatives - before.negatives);
		if (exact)
			twice += positives * below;
		else
			rounded += (double) positives * (double) below;
	}
	if (exact)
		rounded = (double) twice;
	return rounded / 2 / (double) all.positives / (double) all.negatives;
}

/*
 * The negative logarithm of the probability that the score gave to what
 * happened, in nats.
 */
double
churn_metrics_log_loss_term(double score, bool churned)
{
	if (score < DBL_EPSILON)
		score = DBL_EPSILON;
	if (score > 1 - DBL_EPSILON)
		score = 1 - DBL_EPSILON;
	return churned ? -log(score) : -log1p(-score);
}

/* Mean negative log-likelihood, in nats. */
double
churn_metrics_log_loss(const ChurnScored *rows, size_t n)
{
	Tally		all = tally_all(rows, n);
	ChurnCompensated sum = {0, 0};
	size_t		i;

	for (i = 0; i < n; i++)
	{
		if (rows[i].positives > 0)
			add_term(&sum, rows[i].positives *
					 churn_metrics_log_loss_term(rows[i].score, true));
		if (rows[i].negatives > 0)
			add_term(&sum, rows[i].negatives *
					 churn_metrics_log_loss_term(rows[i].score, false));
	}
	return rows_of(all) > 0 ? total(sum) / (double) rows_of(all) : NAN;
}

/* Mean squared difference of score and outcome. */
double
churn_metrics_brier(const ChurnScored *rows, size_t n)
{
	Tally		all = tally_all(rows, n);
	ChurnCompensated sum = {0, 0};
	size_t		i;

	for (i = 0; i < n; i++)
	{
		double		score = rows[i].score;

		add_term(&sum, rows[i].positives * ((1 - score) * (1 - score)));
		add_term(&sum, rows[i].negatives * (score * score));
	}
	return rows_of(all) > 0 ? total(sum) / (double) rows_of(all) : NAN;
}

/*
 * Bins are closed on the right, as in Guo et al., "On calibration of modern
 * neural networks" (ICML 2017): bin b holds b / bins < score <= (b + 1) / bins,
 * and the first one 0 as well.
 */
unsigned
churn_metrics_bin(double score, unsigned bins)
{
	unsigned	bin = (unsigned) (score * bins);

	if (bin >= bins)
		bin = bins - 1;
	while (bin > 0 && score <= (double) bin / bins)
		bin--;
	while (bin + 1 < bins && score > (double) (bin + 1) / bins)
		bin++;
	return bin;
}

/*
 * Expected calibration error: the mean over bins of |mean score - share that
 * churned|, each weighted by its rows (Guo et al., equation 5).  A bin of n
 * rows weighs n, so what counts is |sum of scores - number that churned|.
 */
double
churn_metrics_calibration_error(const ChurnScored *rows, size_t n,
								unsigned bins)
{
	Tally		all = tally_all(rows, n);
	ChurnCompensated error = {0, 0};
	size_t		i = 0;

	if (rows_of(all) == 0)
		return NAN;
	while (i < n)
	{
		unsigned	bin = churn_metrics_bin(rows[i].score, bins);
		double		edge = (double) bin / bins;
		uint64_t	churned = 0;
		ChurnCompensated scores = {0, 0};

		/* rows are sorted, so a bin's follow each other */
		for (; i < n && (bin == 0 || rows[i].score > edge); i++)
		{
			add_term(&scores, rows[i].score *
					 ((double) rows[i].positives + (double) rows[i].negatives));
			churned += rows[i].positives;
		}
		add_term(&error, fabs(total(scores) - (double) churned));
	}
	return total(error) / (double) rows_of(all);
}

double
churn_metrics_ece(const ChurnScored *rows, size_t n)
{
	return churn_metrics_calibration_error(rows, n, CHURN_ECE_BINS);
}

/*
 * The cut need not fall between rows: of the group that it goes through as
 * many rows count as are left to take, and of its churned rows the same share.
 * That is the mean over all orders of the tied rows.
 */
double
churn_metrics_lift(const ChurnScored *rows, size_t n, double fraction)
{
	Tally		all = tally_all(rows, n);
	Tally		seen = {0, 0};
	double		top = fraction * (double) rows_of(all);
	double		churned = (double) all.positives;
	size_t		i = 0;

	if (all.positives == 0)
		return NAN;
	while (i < n)
	{
		Tally		before = seen;

		i = take_group(rows, n, i, &seen);
		if ((double) rows_of(seen) >= top)
		{
			churned = (double) before.positives +
				(double) (seen.positives - before.positives) *
				(top - (double) rows_of(before)) /
				(double) (rows_of(seen) - rows_of(before));
			break;
		}
	}
	return churned * (double) rows_of(all) /
		(top * (double) all.positives);
}

double
churn_metrics_base_rate(const ChurnScored *rows, size_t n)
{
	Tally		all = tally_all(rows, n);

	return rows_of(all) > 0 ?
		(double) all.positives / (double) rows_of(all) : NAN;
}
