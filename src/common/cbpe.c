/*
 * cbpe.c
 *		Quality of scores that nobody knows the outcomes of yet.
 *
 * Confidence-based performance estimation as NannyML describes it ("How it
 * works: estimation of performance of the monitored model", confidence-based
 * performance estimation, binary classification).  With p the score of a row:
 *
 *		TP(t) = sum of p over rows with p >= t	FP(t) = sum of 1 - p over them
 *		FN(t) = sum of p over rows with p < t	TN(t) = sum of 1 - p over them
 *
 * Metrics of decisions are ratios of these at the model's threshold; the two
 * areas are those under the curves that they draw while t goes through all
 * scores.  Brier score and log loss are means over rows, whose expected values
 * are p (1 - p) and the entropy of p.
 *
 * Sums are compensated, as in metrics.c.
 */
#include "churn/cbpe.h"

#include <math.h>

#include "compensated.h"

/* The rows of an entry, whatever happened to them. */
static inline double
rows_of(const ChurnScored *row)
{
	return (double) row->positives + (double) row->negatives;
}

/* Expected counts of both classes. */
typedef struct Expected
{
	ChurnCompensated positives;
	ChurnCompensated negatives;
} Expected;

static inline void
expect(Expected *expected, const ChurnScored *row)
{
	add_term(&expected->positives, rows_of(row) * row->score);
	add_term(&expected->negatives, rows_of(row) * (1 - row->score));
}

/*
 * Adds the group of equal scores that begins at entry i to *seen and returns
 * the entry behind it.
 */
static inline size_t
take_group(const ChurnScored *rows, size_t n, size_t i, Expected *seen)
{
	double		score = rows[i].score;

	do
		expect(seen, &rows[i++]);
	while (i < n && rows[i].score == score);
	return i;
}

static Expected
expect_all(const ChurnScored *rows, size_t n)
{
	Expected	all = {{0, 0}, {0, 0}};
	size_t		i;

	for (i = 0; i < n; i++)
		expect(&all, &rows[i]);
	return all;
}

/* Average precision: precision at each threshold, weighted by what recall gains. */
double
churn_cbpe_pr_auc(const ChurnScored *rows, size_t n)
{
	Expected	seen = {{0, 0}, {0, 0}};
	ChurnCompensated area = {0, 0};
	size_t		i = 0;

	while (i < n)
	{
		double		before = total(seen.positives);
		double		positives;

		i = take_group(rows, n, i, &seen);
		positives = total(seen.positives);
		if (positives > before)
			add_term(&area, (positives - before) *
					 (positives / (positives + total(seen.negatives))));
	}
	if (!(total(seen.positives) > 0 && total(seen.negatives) > 0))
		return NAN;
	return total(area) / total(seen.positives);
}

/* By trapezoids, from threshold to threshold. */
double
churn_cbpe_roc_auc(const ChurnScored *rows, size_t n)
{
	Expected	all = expect_all(rows, n);
	Expected	seen = {{0, 0}, {0, 0}};
	ChurnCompensated area = {0, 0};
	size_t		i = 0;

	if (!(total(all.positives) > 0 && total(all.negatives) > 0))
		return NAN;
	while (i < n)
	{
		double		positives = total(seen.positives);
		double		negatives = total(seen.negatives);

		i = take_group(rows, n, i, &seen);
		add_term(&area, (total(seen.negatives) - negatives) *
				 (positives + total(seen.positives)) / 2);
	}
	return total(area) / total(all.positives) / total(all.negatives);
}

double
churn_cbpe_log_loss_term(double score)
{
	double		term = 0;

	if (score > 0)
		term += score * churn_metrics_log_loss_term(score, true);
	if (score < 1)
		term += (1 - score) * churn_metrics_log_loss_term(score, false);
	return term;
}

/* The mean over rows of a term that the score alone decides. */
static double
mean_of(const ChurnScored *rows, size_t n, double (*term) (double))
{
	ChurnCompensated sum = {0, 0};
	double		count = 0;
	size_t		i;

	for (i = 0; i < n; i++)
	{
		add_term(&sum, rows_of(&rows[i]) * term(rows[i].score));
		count += rows_of(&rows[i]);
	}
	return count > 0 ? total(sum) / count : NAN;
}

static double
brier_term(double score)
{
	return score * (1 - score);
}

static double
identity(double score)
{
	return score;
}

double
churn_cbpe_log_loss(const ChurnScored *rows, size_t n)
{
	return mean_of(rows, n, churn_cbpe_log_loss_term);
}

double
churn_cbpe_brier(const ChurnScored *rows, size_t n)
{
	return mean_of(rows, n, brier_term);
}

double
churn_cbpe_base_rate(const ChurnScored *rows, size_t n)
{
	return mean_of(rows, n, identity);
}

ChurnExpectedConfusion
churn_cbpe_confusion(const ChurnScored *rows, size_t n, double threshold)
{
	ChurnExpectedConfusion confusion;
	Expected	called = {{0, 0}, {0, 0}};
	Expected	others = {{0, 0}, {0, 0}};
	size_t		i;

	for (i = 0; i < n; i++)
		expect(rows[i].score >= threshold ? &called : &others, &rows[i]);
	confusion.tp = total(called.positives);
	confusion.fp = total(called.negatives);
	confusion.fn = total(others.positives);
	confusion.tn = total(others.negatives);
	return confusion;
}

/* A ratio of counts, 0 where the divisor is 0. */
static double
ratio(double dividend, double divisor)
{
	return divisor > 0 ? dividend / divisor : 0;
}

double
churn_cbpe_precision(ChurnExpectedConfusion confusion)
{
	return ratio(confusion.tp, confusion.tp + confusion.fp);
}

double
churn_cbpe_recall(ChurnExpectedConfusion confusion)
{
	return ratio(confusion.tp, confusion.tp + confusion.fn);
}

double
churn_cbpe_f1(ChurnExpectedConfusion confusion)
{
	return ratio(2 * confusion.tp,
				 2 * confusion.tp + confusion.fp + confusion.fn);
}

double
churn_cbpe_accuracy(ChurnExpectedConfusion confusion)
{
	return ratio(confusion.tp + confusion.tn, confusion.tp + confusion.fp +
				 confusion.fn + confusion.tn);
}
