/*
 * test_metrics.c
 *		Metrics equal those of scikit-learn 1.2, on tied scores too.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "churn/metrics.h"
#include "unit.h"

#define MAX_ROWS	20000
#define SCALE		1000

/*
 * Rows made by make_rows() and what scikit-learn measures on them.  F1 is the
 * best of precision_recall_curve(); precision and recall are at 0.5.
 */
static const struct
{
	size_t		n;
	unsigned	levels;			/* different scores */
	unsigned	rate;			/* of churn, in thousandths */
	double		pr_auc;
	double		roc_auc;
	double		log_loss;
	double		brier;
	double		best_f1;
	double		threshold;
	double		precision;
	double		recall;
	double		f1;
}			known[] = {

	{10, 4, 500, 0.92500000000000004, 0.94000000000000006,
		0.42109993229172799, 0.13750000000000001, 0.88888888888888895, 0.5,
	1, 0.80000000000000004, 0.88888888888888895},
	{100, 7, 300, 0.28298536911121902, 0.56332236842105265,
		0.98954102001581845, 0.26163265886963644, 0.39999999999999997,
		0.285714298, 0.21212121212121213, 0.29166666666666669,
	0.24561403508771931},
	{1000, 1000, 250, 0.32837028167782606, 0.58326032804880623,
		0.93039282847787119, 0.30850443444857956, 0.43292682926829268,
		0.273999989, 0.30038759689922478, 0.61023622047244097,
	0.40259740259740256},
	{20000, 32000, 150, 0.19587603676429571, 0.60734216451677148,
		0.90844147135467535, 0.30244822659182474, 0.29096181730304499,
		0.519906223, 0.18751899503596395, 0.63066439522998297,
	0.28908324223020465},
	{5000, 3, 700, 0.73624657813625927, 0.71463534467543333,
		2.3086929964318204, 0.27813332952260988, 0.75154983309489742,
		0.333333343, 0.8224127372933252, 0.45587236931432451,
	0.58659095872461231},
};

static ChurnScored rows[MAX_ROWS];

/* Rows whose scores have something to do with their class. */
static void
make_rows(size_t n, unsigned levels, unsigned rate)
{
	uint32_t	state = 12345;
	size_t		i;

	for (i = 0; i < n; i++)
	{
		uint32_t	level;
		uint32_t	draw;

		state = state * 1103515245 + 12345;
		level = (state >> 16) % levels;
		state = state * 1103515245 + 12345;
		draw = (state >> 16) % SCALE;
		rows[i].score = (float) level / (float) levels;
		rows[i].churned = (double) draw <
			rate * (0.5 + (double) level / levels);
	}
}

static bool
near(double left, double right)
{
	return fabs(left - right) < 1e-9;
}

static void
test_known(void)
{
	size_t		i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
	{
		size_t		n = known[i].n;
		ChurnConfusion confusion;
		double		f1;

		make_rows(n, known[i].levels, known[i].rate);
		churn_metrics_sort(rows, n);
		ok(near(churn_metrics_pr_auc(rows, n), known[i].pr_auc),
		   "average precision of %zu rows", n);
		ok(near(churn_metrics_roc_auc(rows, n), known[i].roc_auc),
		   "area under the ROC curve of %zu rows", n);
		ok(near(churn_metrics_log_loss(rows, n), known[i].log_loss),
		   "log loss of %zu rows", n);
		ok(near(churn_metrics_brier(rows, n), known[i].brier),
		   "Brier score of %zu rows", n);
		ok(near(churn_metrics_best_f1(rows, n, &f1), known[i].threshold) &&
		   near(f1, known[i].best_f1), "best F1 of %zu rows", n);
		confusion = churn_metrics_confusion(rows, n, 0.5);
		ok(near(churn_metrics_precision(confusion), known[i].precision),
		   "precision of %zu rows", n);
		ok(near(churn_metrics_recall(confusion), known[i].recall),
		   "recall of %zu rows", n);
		ok(near(churn_metrics_f1(confusion), known[i].f1),
		   "F1 of %zu rows", n);
		ok(confusion.tp + confusion.fp + confusion.fn + confusion.tn == n,
		   "the confusion matrix counts %zu rows", n);
	}
}

/* The sort against odd scores, and whether rows stay what they were. */
static void
test_sort(void)
{
	static const float odd[] = {0.5f, -1.0f, 2.0f, 0.0f, -0.0f, 1e-40f,
	-2.0f, 1.0f, INFINITY, -INFINITY, 1e30f};
	size_t		n = sizeof(odd) / sizeof(odd[0]);
	uint64_t	sum = 0;
	size_t		i;

	for (i = 0; i < MAX_ROWS; i++)
	{
		rows[i].score = odd[i % n];
		rows[i].churned = (i / n) % 2;
		sum += rows[i].churned;
	}
	churn_metrics_sort(rows, MAX_ROWS);
	for (i = 1; i < MAX_ROWS; i++)
	{
		if (rows[i].score > rows[i - 1].score)
			break;
	}
	ok(i == MAX_ROWS, "rows are sorted by falling score");
	for (i = 0; i < MAX_ROWS; i++)
		sum -= rows[i].churned;
	ok(sum == 0, "sorting loses no row");
	churn_metrics_sort(rows, 0);
	churn_metrics_sort(rows, 1);
	ok(true, "no rows and one row are sorted");
}

/* What there is no answer to. */
static void
test_degenerate(void)
{
	ChurnScored alike[3] = {{0.75f, 1}, {0.5f, 1}, {0.25f, 1}};
	ChurnConfusion empty = {0, 0, 0, 5};
	double		f1;

	ok(isnan(churn_metrics_pr_auc(alike, 3)) &&
	   isnan(churn_metrics_roc_auc(alike, 3)), "one class has no curve");
	ok(churn_metrics_best_f1(alike, 3, &f1) == 0.25 && f1 == 1,
	   "all positive: the lowest score is the threshold");
	alike[0].churned = alike[1].churned = alike[2].churned = 0;
	ok(churn_metrics_best_f1(alike, 3, &f1) == 0.25 && f1 == 0,
	   "none positive: F1 is 0");
	ok(isnan(churn_metrics_pr_auc(alike, 0)) &&
	   isnan(churn_metrics_log_loss(alike, 0)) &&
	   isnan(churn_metrics_brier(alike, 0)) &&
	   isnan(churn_metrics_best_f1(alike, 0, NULL)),
	   "no rows have no quality");
	ok(churn_metrics_precision(empty) == 0 &&
	   churn_metrics_recall(empty) == 0 && churn_metrics_f1(empty) == 0,
	   "a ratio of nothing is 0");
	alike[0].score = 1;
	alike[2].score = 0;
	alike[2].churned = 1;
	ok(isfinite(churn_metrics_log_loss(alike, 3)),
	   "scores of 0 and 1 have a finite log loss");
}

int
main(void)
{
	test_known();
	test_sort();
	test_degenerate();
	return done();
}
