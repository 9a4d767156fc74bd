/*
 * metrics_threshold.c
 *		Decisions: from which score on a customer is said to churn.
 *
 * Rows are sorted by falling score.  A threshold takes all rows of a score or
 * none, so candidates are the observed scores.
 */
#include "churn/metrics.h"

#include <math.h>

/* Counts of both classes among all rows. */
static void
count_all(const ChurnScored *rows, size_t n, uint64_t *positives,
		  uint64_t *negatives)
{
	size_t		i;

	*positives = *negatives = 0;
	for (i = 0; i < n; i++)
	{
		*positives += rows[i].positives;
		*negatives += rows[i].negatives;
	}
}

/* Whether entry i is the last one of its score. */
static inline bool
ends_group(const ChurnScored *rows, size_t n, size_t i)
{
	return i + 1 == n || rows[i + 1].score != rows[i].score;
}

/* The threshold that takes no row. */
static double
above_all(const ChurnScored *rows, size_t n)
{
	return n > 0 ? nextafter(rows[0].score, INFINITY) : NAN;
}

/*
 * F1 at a threshold is 2 tp / (predicted + positives), where predicted counts
 * the rows at or above it.  Compares these fractions by their cross products,
 * exactly (up to 2^31 rows), so that equal F1 are seen as equal.
 */
double
churn_metrics_best_f1(const ChurnScored *rows, size_t n, double *f1)
{
	uint64_t	positives;
	uint64_t	negatives;
	uint64_t	tp = 0;
	uint64_t	predicted = 0;
	uint64_t	best_tp = 0;
	uint64_t	best_sum = 1;
	double		threshold = NAN;
	size_t		i;

	count_all(rows, n, &positives, &negatives);
	for (i = 0; i < n; i++)
	{
		tp += rows[i].positives;
		predicted += (uint64_t) rows[i].positives + rows[i].negatives;
		if (ends_group(rows, n, i) &&
			tp * best_sum >= best_tp * (predicted + positives))
		{
			best_tp = tp;
			best_sum = predicted + positives;
			threshold = rows[i].score;
		}
	}
	if (f1 != NULL)
		*f1 = 2 * (double) best_tp / (double) best_sum;
	return threshold;
}

/*
 * The total cost of a threshold is that of the offers, made to whoever is at
 * or above it, and that of the churners below it.  Of thresholds of equal cost
 * the lowest is taken, which loses the fewest customers.
 */
double
churn_metrics_best_cost(const ChurnScored *rows, size_t n,
						double cost_missed, double cost_offer, double *cost)
{
	uint64_t	positives;
	uint64_t	negatives;
	uint64_t	tp = 0;
	uint64_t	offers = 0;
	double		threshold = above_all(rows, n);
	double		best;
	size_t		i;

	count_all(rows, n, &positives, &negatives);
	best = cost_missed * (double) positives;
	for (i = 0; i < n; i++)
	{
		double		here;

		tp += rows[i].positives;
		offers += (uint64_t) rows[i].positives + rows[i].negatives;
		if (!ends_group(rows, n, i))
			continue;
		here = cost_missed * (double) (positives - tp) +
			cost_offer * (double) offers;
		if (here <= best)
		{
			best = here;
			threshold = rows[i].score;
		}
	}
	if (cost != NULL)
		*cost = best;
	return threshold;
}

/*
 * The score of row number top from above, or the lowest where there are not as
 * many: at least top rows are at or above it, and more only if they tie.
 */
double
churn_metrics_capacity(const ChurnScored *rows, size_t n, uint64_t top)
{
	uint64_t	seen = 0;
	size_t		i;

	if (top == 0)
		return above_all(rows, n);
	for (i = 0; i < n; i++)
	{
		seen += (uint64_t) rows[i].positives + rows[i].negatives;
		if (seen >= top)
			return rows[i].score;
	}
	return n > 0 ? rows[n - 1].score : NAN;
}

ChurnConfusion
churn_metrics_confusion(const ChurnScored *rows, size_t n, double threshold)
{
	ChurnConfusion confusion = {0, 0, 0, 0};
	size_t		i;

	for (i = 0; i < n; i++)
	{
		if (rows[i].score >= threshold)
		{
			confusion.tp += rows[i].positives;
			confusion.fp += rows[i].negatives;
		}
		else
		{
			confusion.fn += rows[i].positives;
			confusion.tn += rows[i].negatives;
		}
	}
	return confusion;
}

/* A ratio of counts, 0 where the divisor is 0. */
static double
ratio(uint64_t dividend, uint64_t divisor)
{
	return divisor > 0 ? (double) dividend / (double) divisor : 0;
}

double
churn_metrics_precision(ChurnConfusion confusion)
{
	return ratio(confusion.tp, confusion.tp + confusion.fp);
}

double
churn_metrics_recall(ChurnConfusion confusion)
{
	return ratio(confusion.tp, confusion.tp + confusion.fn);
}

double
churn_metrics_f1(ChurnConfusion confusion)
{
	return ratio(2 * confusion.tp,
				 2 * confusion.tp + confusion.fp + confusion.fn);
}

double
churn_metrics_accuracy(ChurnConfusion confusion)
{
	return ratio(confusion.tp + confusion.tn, confusion.tp + confusion.fp +
				 confusion.fn + confusion.tn);
}
