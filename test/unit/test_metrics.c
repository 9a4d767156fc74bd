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

/* What is measured, in the order of the values below. */
enum
{
	PR_AUC,
	ROC_AUC,
	LOG_LOSS,
	BRIER,
	ECE,						/* of 10 bins */
	ECE_7,						/* of 7 */
	LIFT_10,					/* of the top 10 % */
	LIFT_37,
	BEST_F1,
	BEST_F1_AT,					/* its threshold */
	BEST_COST_AT,				/* a missed churner costs 5, an offer 1 */
	BEST_COST,
	CAPACITY_AT,				/* the top fifth of the rows */
	PRECISION,					/* at 0.5, as are those below */
	RECALL,
	F1,
	ACCURACY,
	NMETRICS
};

static const char *const names[NMETRICS] = {
	"average precision", "area under the ROC curve", "log loss",
	"Brier score", "calibration error", "calibration error of 7 bins",
	"lift of the top 10 %", "lift of the top 37 %", "best F1",
	"threshold of the best F1", "threshold of the least cost", "least cost",
	"threshold of the top fifth", "precision", "recall", "F1", "accuracy"
};

/*
 * Rows made by make_rows() and what scikit-learn measures on them, or NumPy
 * where it has no such metric.
 */
static const struct
{
	size_t		n;
	unsigned	levels;			/* different scores */
	unsigned	rate;			/* of churn, in thousandths */
	double		values[NMETRICS];
}			known[] = {

	{10, 4, 500, {
			0.92500000000000004, 0.94000000000000006, 0.42109990844986855,
			0.13750000000000001, 0.15000000000000002, 0.15000000000000002,
			2, 2, 0.88888888888888895,
			0.5, 0.25, 8,
			0.75, 1, 0.80000000000000004,
			0.88888888888888895, 0.90000000000000002
	}},
	{100, 7, 300, {
			0.28298536911121902, 0.56332236842105265, 1.3915663568067358,
			0.26163265306122446, 0.21999999999999997, 0.21999999999999997,
			1.3888888888888891, 0.99849849849849859, 0.39999999999999997,
			0.2857142857142857, 0.2857142857142857, 96,
			0.7142857142857143, 0.21212121212121213, 0.29166666666666669,
			0.24561403508771931, 0.56999999999999995
	}},
	{1000, 1000, 250, {
			0.32837028167782606, 0.58326032804880623, 0.93039284590193649,
			0.30850443500000002, 0.27956100000000006, 0.28169100000000002,
			1.4698162729658792, 1.2023834858480527, 0.43292682926829268,
			0.27400000000000002, 0.26000000000000001, 935,
			0.81699999999999995, 0.30038759689922478, 0.61023622047244097,
			0.40259740259740256, 0.54000000000000004
	}},
	{20000, 32000, 150, {
			0.19587603676429571, 0.60734216451677148, 0.90844150441461136,
			0.30244822663779297, 0.351296346875, 0.35016034062500001,
			1.4821124361158433, 1.3389198397716287, 0.29096181730304499,
			0.51990625000000001, 0.82990624999999996, 14303,
			0.79374999999999996, 0.18751899503596395, 0.63066439522998297,
			0.28908324223020465, 0.54479999999999995
	}},
	{5000, 3, 700, {
			0.73624657813625927, 0.71463534467543333, 4.6484806025604168,
			0.2781333333333334, 0.25733333333333341, 0.25733333333333341,
			1.3958125208644352, 1.3508138708592676, 0.75154983309489742,
			0.33333333333333331, 0, 5000,
			0.66666666666666663, 0.8224127372933252, 0.45587236931432451,
			0.58659095872461231, 0.62139999999999995
	}}
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
		rows[i] = churn_scored((double) level / (double) levels,
							   (double) draw <
							   rate * (0.5 + (double) level / levels));
	}
}

static bool
near(double left, double right)
{
	return fabs(left - right) <= 1e-12 * fmax(1, fabs(right));
}

/* Measures n entries that stand for as many rows as count says. */
static void
measure(size_t n, size_t count, double *values)
{
	ChurnConfusion confusion = churn_metrics_confusion(rows, n, 0.5);

	values[PR_AUC] = churn_metrics_pr_auc(rows, n);
	values[ROC_AUC] = churn_metrics_roc_auc(rows, n);
	values[LOG_LOSS] = churn_metrics_log_loss(rows, n);
	values[BRIER] = churn_metrics_brier(rows, n);
	values[ECE] = churn_metrics_ece(rows, n);
	values[ECE_7] = churn_metrics_calibration_error(rows, n, 7);
	values[LIFT_10] = churn_metrics_lift(rows, n, 0.1);
	values[LIFT_37] = churn_metrics_lift(rows, n, 0.37);
	values[BEST_F1_AT] = churn_metrics_best_f1(rows, n, &values[BEST_F1]);
	values[BEST_COST_AT] = churn_metrics_best_cost(rows, n, 5, 1,
												   &values[BEST_COST]);
	values[CAPACITY_AT] = churn_metrics_capacity(rows, n, count / 5);
	values[PRECISION] = churn_metrics_precision(confusion);
	values[RECALL] = churn_metrics_recall(confusion);
	values[F1] = churn_metrics_f1(confusion);
	values[ACCURACY] = churn_metrics_accuracy(confusion);
}

/* The metrics of rows, and of rows whose equal scores are merged. */
static void
test_known(void)
{
	double		values[NMETRICS];
	size_t		i;
	int			metric;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
	{
		size_t		n = known[i].n;
		size_t		merged;

		make_rows(n, known[i].levels, known[i].rate);
		churn_metrics_sort(rows, n);
		measure(n, n, values);
		for (metric = 0; metric < NMETRICS; metric++)
			ok(near(values[metric], known[i].values[metric]),
			   "%s of %zu rows: %.17g", names[metric], n, values[metric]);
		merged = churn_metrics_merge(rows, n);
		ok(merged <= known[i].levels, "%zu rows merge into %zu", n, merged);
		measure(merged, n, values);
		for (metric = 0; metric < NMETRICS; metric++)
			ok(near(values[metric], known[i].values[metric]),
			   "%s of %zu rows, merged", names[metric], n);
	}
}

static size_t polled;

static void
poll(void)
{
	polled++;
}

/* A sort long enough that somebody may want to stop it. */
static void
test_long_sort(void)
{
	size_t		n = 300000;
	ChurnScored *many = malloc(n * sizeof(ChurnScored));
	uint32_t	state = 1;
	size_t		i;

	for (i = 0; i < n; i++)
	{
		state = state * 1103515245 + 12345;
		many[i] = churn_scored((state >> 8) / 16777216.0, i % 3 == 0);
	}
	polled = 0;
	churn_metrics_sort_poll(many, n, poll);
	ok(polled >= 4, "a long sort polls (%zu times)", polled);
	for (i = 1; i < n; i++)
	{
		if (many[i].score > many[i - 1].score)
			break;
	}
	ok(i == n, "and sorts");
	free(many);
}

/* The sort against odd scores, and whether rows stay what they were. */
static void
test_sort(void)
{
	static const double odd[] = {0.5, -1.0, 2.0, 0.0, -0.0, 1e-310,
		-2.0, 1.0, INFINITY, -INFINITY, 1e300, 0.5 + 1e-16 * 2,
	0.50000001};
	size_t		n = sizeof(odd) / sizeof(odd[0]);
	uint64_t	sum = 0;
	size_t		i;

	for (i = 0; i < MAX_ROWS; i++)
	{
		rows[i] = churn_scored(odd[i % n], (i / n) % 2);
		sum += rows[i].positives;
	}
	polled = 0;
	churn_metrics_sort_poll(rows, MAX_ROWS, poll);
	for (i = 1; i < MAX_ROWS; i++)
	{
		if (rows[i].score > rows[i - 1].score)
			break;
	}
	ok(i == MAX_ROWS, "rows are sorted by falling score");
	for (i = 0; i < MAX_ROWS; i++)
		sum -= rows[i].positives;
	ok(sum == 0, "sorting loses no row");
	ok(polled == 0, "a short sort does not poll");
	churn_metrics_sort(rows, 0);
	churn_metrics_sort(rows, 1);
	ok(true, "no rows and one row are sorted");
}

/* Merged counts do not overflow. */
static void
test_counts(void)
{
	ChurnScored many[3] = {{0.5, UINT32_MAX - 1, 5}, {0.5, 1, 1}, {0.5, 1, 1}};

	ok(churn_metrics_merge(many, 3) == 2 &&
	   many[0].positives == UINT32_MAX && many[0].negatives == 6 &&
	   many[1].positives == 1 && many[1].negatives == 1,
	   "what a count cannot hold stays apart");
	ok(near(churn_metrics_base_rate(many, 2), 4294967296.0 / 4294967303.0),
	   "and is counted");
	many[0] = (ChurnScored)
	{
		0.9, 3000000000u, 1000000000u
	};
	many[1] = (ChurnScored)
	{
		0.1, 1000000000u, 3000000000u
	};
	ok(near(churn_metrics_roc_auc(many, 2), 0.75),
	   "the area under the ROC curve of 8,000,000,000 rows");
	ok(near(churn_metrics_pr_auc(many, 2), 0.75 * 0.75 + 0.25 * 0.5),
	   "average precision of 8,000,000,000 rows");
}

/* Bins are closed on the right; the edges are the doubles nearest to them. */
static void
test_bins(void)
{
	bool		right = true;
	unsigned	bins;
	unsigned	bin;

	for (bins = 1; bins <= 50; bins++)
	{
		for (bin = 0; bin < bins; bin++)
		{
			double		edge = (double) (bin + 1) / bins;

			right &= churn_metrics_bin(edge, bins) == bin;
			if (bin + 1 < bins)
				right &= churn_metrics_bin(nextafter(edge, 2), bins) ==
					bin + 1;
		}
		right &= churn_metrics_bin(0, bins) == 0;
	}
	ok(right, "edges of bins belong to the bin below");
}

/* What there is no answer to. */
static void
test_degenerate(void)
{
	ChurnScored alike[3] = {{0.75, 1, 0}, {0.5, 1, 0}, {0.25, 1, 0}};
	ChurnConfusion empty = {0, 0, 0, 5};
	double		value;

	ok(isnan(churn_metrics_pr_auc(alike, 3)) &&
	   isnan(churn_metrics_roc_auc(alike, 3)), "one class has no curve");
	ok(churn_metrics_best_f1(alike, 3, &value) == 0.25 && value == 1,
	   "all positive: the lowest score is the threshold");
	ok(near(churn_metrics_lift(alike, 3, 0.1), 1), "all positive: no lift");
	ok(churn_metrics_best_cost(alike, 3, 1, 10, &value) ==
	   nextafter(0.75, 1) && value == 3,
	   "offers that do not pay: the threshold is above all scores");
	ok(churn_metrics_best_cost(alike, 3, 1, 1, &value) == 0.25 && value == 3,
	   "equal costs: the lowest threshold");
	ok(churn_metrics_capacity(alike, 3, 0) == nextafter(0.75, 1) &&
	   churn_metrics_capacity(alike, 3, 1) == 0.75 &&
	   churn_metrics_capacity(alike, 3, 2) == 0.5 &&
	   churn_metrics_capacity(alike, 3, 4) == 0.25,
	   "capacity of none, one, two and more than there are");
	alike[0].positives = alike[1].positives = alike[2].positives = 0;
	alike[0].negatives = alike[1].negatives = alike[2].negatives = 1;
	ok(churn_metrics_best_f1(alike, 3, &value) == 0.25 && value == 0,
	   "none positive: F1 is 0");
	ok(isnan(churn_metrics_lift(alike, 3, 0.5)), "none positive: no lift");
	ok(churn_metrics_base_rate(alike, 3) == 0, "none positive: base rate 0");
	ok(isnan(churn_metrics_pr_auc(alike, 0)) &&
	   isnan(churn_metrics_log_loss(alike, 0)) &&
	   isnan(churn_metrics_brier(alike, 0)) &&
	   isnan(churn_metrics_ece(alike, 0)) &&
	   isnan(churn_metrics_lift(alike, 0, 0.5)) &&
	   isnan(churn_metrics_base_rate(alike, 0)) &&
	   isnan(churn_metrics_best_f1(alike, 0, NULL)) &&
	   isnan(churn_metrics_best_cost(alike, 0, 1, 1, NULL)) &&
	   isnan(churn_metrics_capacity(alike, 0, 1)),
	   "no rows have no quality");
	ok(churn_metrics_precision(empty) == 0 &&
	   churn_metrics_recall(empty) == 0 && churn_metrics_f1(empty) == 0,
	   "a ratio of nothing is 0");
	alike[0].score = 1;
	alike[2] = churn_scored(0, true);
	ok(isfinite(churn_metrics_log_loss(alike, 3)),
	   "scores of 0 and 1 have a finite log loss");
}

int
main(void)
{
	test_known();
	test_sort();
	test_long_sort();
	test_counts();
	test_bins();
	test_degenerate();
	return done();
}
