/*
 * metrics.c
 *		Quality of scores against what happened, as scikit-learn defines it.
 *
 * All functions take rows sorted by falling score and walk over them group by
 * group, a group being the rows of one score: equal scores cannot be told
 * apart, so that no measure may depend on their order.  Counts are integers;
 * the divisions come last.
 */
#include "churn/metrics.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Below so many rows insertion is the faster sort. */
#define SMALL_SORT		24

/* Counts of both classes among rows up to some place. */
typedef struct Tally
{
	uint64_t	positives;
	uint64_t	negatives;
} Tally;

/*
 * The score as a number whose unsigned order is the falling order of scores.
 * Negative floats order the other way round than their bits do; both zeros
 * become one.
 */
static inline uint32_t
sort_key(const ChurnScored *row)
{
	float		score = row->score + 0.0f;
	uint32_t	bits;

	memcpy(&bits, &score, sizeof(bits));
	return (bits & UINT32_C(0x80000000)) ? bits : bits ^ UINT32_C(0x7FFFFFFF);
}

static void
insertion_sort(ChurnScored *rows, size_t n)
{
	size_t		i;
	size_t		j;

	for (i = 1; i < n; i++)
	{
		ChurnScored row = rows[i];
		uint32_t	key = sort_key(&row);

		for (j = i; j > 0 && sort_key(&rows[j - 1]) > key; j--)
			rows[j] = rows[j - 1];
		rows[j] = row;
	}
}

/*
 * Sorts in place by the key's byte at shift, then each bucket by the next
 * lower byte: "American flag sort" (McIlroy, Bostic and McIlroy, "Engineering
 * radix sort", 1993).  It needs no memory, and no order of the input makes it
 * slow.
 */
static void
radix_sort(ChurnScored *rows, size_t n, int shift)
{
	size_t		start[257];
	size_t		next[256];
	size_t		i;
	int			bucket;

	memset(start, 0, sizeof(start));
	for (i = 0; i < n; i++)
		start[((sort_key(&rows[i]) >> shift) & 0xFF) + 1]++;
	for (bucket = 0; bucket < 256; bucket++)
	{
		start[bucket + 1] += start[bucket];
		next[bucket] = start[bucket];
	}
	for (bucket = 0; bucket < 256; bucket++)
	{
		while (next[bucket] < start[bucket + 1])
		{
			ChurnScored row = rows[next[bucket]];
			int			target = (sort_key(&row) >> shift) & 0xFF;

			while (target != bucket)
			{
				ChurnScored other = rows[next[target]];

				rows[next[target]++] = row;
				row = other;
				target = (sort_key(&row) >> shift) & 0xFF;
			}
			rows[next[bucket]++] = row;
		}
	}
	if (shift == 0)
		return;
	for (bucket = 0; bucket < 256; bucket++)
	{
		size_t		size = start[bucket + 1] - start[bucket];

		if (size > SMALL_SORT)
			radix_sort(rows + start[bucket], size, shift - 8);
		else if (size > 1)
			insertion_sort(rows + start[bucket], size);
	}
}

void
churn_metrics_sort(ChurnScored *rows, size_t n)
{
	if (n > SMALL_SORT)
		radix_sort(rows, n, 24);
	else
		insertion_sort(rows, n);
}

/*
 * Adds the group of equal scores that begins at row i to *tally and returns
 * the row behind it.
 */
static size_t
take_group(const ChurnScored *rows, size_t n, size_t i, Tally *tally)
{
	float		score = rows[i].score;

	do
	{
		if (rows[i].churned)
			tally->positives++;
		else
			tally->negatives++;
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
		all.positives += rows[i].churned != 0;
	all.negatives = n - all.positives;
	return all;
}

/*
 * Average precision: the sum over thresholds of the precision there, weighted
 * by what the threshold adds to recall, with no interpolation.
 */
double
churn_metrics_pr_auc(const ChurnScored *rows, size_t n)
{
	Tally		all = tally_all(rows, n);
	Tally		seen = {0, 0};
	double		sum = 0;
	size_t		i = 0;

	if (all.positives == 0 || all.negatives == 0)
		return NAN;
	while (i < n)
	{
		uint64_t	before = seen.positives;

		i = take_group(rows, n, i, &seen);
		sum += (double) (seen.positives - before) *
			((double) seen.positives / (double) i);
	}
	return sum / (double) all.positives;
}

/*
 * The share of pairs of a positive and a negative row that the scores put in
 * order, ties counting one half: the area under the ROC curve by trapezoids.
 */
double
churn_metrics_roc_auc(const ChurnScored *rows, size_t n)
{
	Tally		all = tally_all(rows, n);
	Tally		seen = {0, 0};
	double		twice = 0;
	size_t		i = 0;

	if (all.positives == 0 || all.negatives == 0)
		return NAN;
	while (i < n)
	{
		Tally		before = seen;

		i = take_group(rows, n, i, &seen);
		twice += (double) (seen.positives - before.positives) *
			(double) (2 * (all.negatives - seen.negatives) +
					  (seen.negatives - before.negatives));
	}
	return twice / 2 / (double) all.positives / (double) all.negatives;
}

/* Mean negative log-likelihood, in nats. */
double
churn_metrics_log_loss(const ChurnScored *rows, size_t n)
{
	double		sum = 0;
	size_t		i;

	for (i = 0; i < n; i++)
	{
		float		score = rows[i].score;

		if (score < FLT_EPSILON)
			score = FLT_EPSILON;
		if (score > 1.0f - FLT_EPSILON)
			score = 1.0f - FLT_EPSILON;
		sum -= rows[i].churned ? log(score) : log1p(-(double) score);
	}
	return n > 0 ? sum / (double) n : NAN;
}

/* Mean squared difference of score and outcome. */
double
churn_metrics_brier(const ChurnScored *rows, size_t n)
{
	double		sum = 0;
	size_t		i;

	for (i = 0; i < n; i++)
	{
		double		miss = (double) rows[i].score - (rows[i].churned != 0);

		sum += miss * miss;
	}
	return n > 0 ? sum / (double) n : NAN;
}

/*
 * F1 at a threshold is 2 tp / (predicted + positives), where predicted counts
 * the rows at or above it.  Compares these fractions by their cross products,
 * exactly, so that equal F1 are seen as equal.
 */
double
churn_metrics_best_f1(const ChurnScored *rows, size_t n, double *f1)
{
	Tally		all = tally_all(rows, n);
	Tally		seen = {0, 0};
	double		threshold = NAN;
	uint64_t	best_tp = 0;
	uint64_t	best_sum = 1;
	size_t		i = 0;

	while (i < n)
	{
		float		score = rows[i].score;
		uint64_t	sum;

		i = take_group(rows, n, i, &seen);
		sum = (uint64_t) i + all.positives;
		if (seen.positives * best_sum >= best_tp * sum)
		{
			best_tp = seen.positives;
			best_sum = sum;
			threshold = score;
		}
	}
	if (f1 != NULL)
		*f1 = 2 * (double) best_tp / (double) best_sum;
	return threshold;
}

ChurnConfusion
churn_metrics_confusion(const ChurnScored *rows, size_t n, double threshold)
{
	ChurnConfusion confusion = {0, 0, 0, 0};
	size_t		i;

	for (i = 0; i < n; i++)
	{
		if ((double) rows[i].score >= threshold)
		{
			if (rows[i].churned)
				confusion.tp++;
			else
				confusion.fp++;
		}
		else if (rows[i].churned)
			confusion.fn++;
		else
			confusion.tn++;
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
