/*
 * test_bootstrap.c
 *		Resamples are as probable as they should be, and intervals as wide.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "churn/bootstrap.h"
#include "churn/sum.h"
#include "unit.h"

#define MAX_ROWS	5000

/* The interval of a metric of sorted rows, by unstratified resamples. */
static bool
resample_metric(const ChurnScored *rows, size_t n,
				ChurnMetricFunction metric, size_t resamples,
				uint64_t seed, ChurnArena *arena,
				ChurnInterval *interval, ChurnError *error)
{
	ChurnBootstrap bootstrap;
	double	   *values;
	size_t		i;

	if (!churn_bootstrap_init(&bootstrap, rows, n, false, seed, arena, error))
		return false;
	if (resamples == 0)
		resamples = churn_bootstrap_resamples(bootstrap.positives +
											  bootstrap.negatives);
	values = churn_arena_array(arena, resamples, sizeof(double), error);
	if (values == NULL)
		return false;
	for (i = 0; i < resamples; i++)
	{
		churn_bootstrap_draw(&bootstrap);
		values[i] = metric(bootstrap.sample, bootstrap.nsample);
	}
	*interval = churn_bootstrap_interval(values, resamples,
										 CHURN_BOOTSTRAP_LEVEL);
	return true;
}

/* Compares two scores of the same rows by a metric. */
static bool
compare_scores(const ChurnScoredPair *rows, size_t n,
			   ChurnMetricFunction metric, size_t resamples,
			   uint64_t seed, ChurnArena *arena, ChurnPaired *paired,
			   ChurnError *error)
{
	ChurnPairedBootstrap bootstrap;
	double	   *differences;
	double		first;
	double		second;
	size_t		i;

	if (resamples == 0)
		resamples = churn_bootstrap_resamples(n);
	if (!churn_paired_init(&bootstrap, rows, n, seed, NULL, arena, error))
		return false;
	differences = churn_arena_array(arena, resamples, sizeof(double), error);
	if (differences == NULL)
		return false;
	first = metric(bootstrap.first.sample, bootstrap.first.nsample);
	second = metric(bootstrap.second.sample, bootstrap.second.nsample);
	for (i = 0; i < resamples; i++)
	{
		churn_paired_draw(&bootstrap);
		differences[i] = churn_paired_difference(&bootstrap, metric);
	}
	*paired = churn_paired_result(first, second, differences, resamples);
	return true;
}

static ChurnScored rows[MAX_ROWS];
static ChurnScoredPair pairs[MAX_ROWS];

static uint32_t state;

static double
uniform(void)
{
	state = state * 1664525 + 1013904223;
	return (state >> 8) / 16777216.0;
}

/* n rows whose scores are probabilities, rounded to so many levels. */
static size_t
make_rows(size_t n, unsigned levels)
{
	size_t		i;

	state = 7;
	for (i = 0; i < n; i++)
	{
		double		score = (floor(uniform() * levels) + 0.5) / levels;

		rows[i] = churn_scored(score, uniform() < score);
	}
	churn_metrics_sort(rows, n);
	return churn_metrics_merge(rows, n);
}

/* Every resample has as many rows; stratified, as many of each class. */
static void
test_resamples(size_t rows_wanted, unsigned levels, bool stratified)
{
	ChurnArena *arena = churn_arena_create();
	size_t		n = make_rows(rows_wanted, levels);
	ChurnBootstrap bootstrap;
	ChurnError	error;
	bool		right = true;
	double		sum = 0;
	double		squares = 0;
	double		expected;
	double		variance;
	int			resamples = 2000;
	int			i;

	ok(churn_bootstrap_init(&bootstrap, rows, n, stratified, 1, arena, &error),
	   "%zu rows, %zu scores%s", rows_wanted, n,
	   stratified ? ", stratified" : "");
	for (i = 0; i < resamples; i++)
	{
		uint64_t	positives = 0;
		uint64_t	negatives = 0;
		size_t		j;

		churn_bootstrap_draw(&bootstrap);
		for (j = 0; j < bootstrap.nsample; j++)
		{
			positives += bootstrap.sample[j].positives;
			negatives += bootstrap.sample[j].negatives;
			right &= j == 0 ||
				bootstrap.sample[j].score < bootstrap.sample[j - 1].score;
		}
		right &= positives + negatives == rows_wanted;
		if (stratified)
			right &= positives == bootstrap.positives;
		sum += (double) positives;
		squares += (double) positives * (double) positives;
	}
	ok(right, "resamples are sorted and as large as the rows");
	expected = (double) bootstrap.positives;
	variance = stratified ? 0 : expected *
		(1 - expected / (double) rows_wanted);
	sum /= resamples;
	squares = squares / resamples - sum * sum;
	ok(fabs(sum - expected) <= 5 * sqrt(variance / resamples),
	   "mean number of positives %.2f, expected %.2f", sum, expected);
	ok(fabs(squares - variance) <= 0.2 * variance + 1e-6,
	   "its variance %.2f, expected %.2f", squares, variance);
	churn_arena_destroy(arena);
}

/* The counts of single rows: mean 1, variance 1 - 1/n, and all are reached. */
static void
test_draws(size_t n)
{
	ChurnArena *arena = churn_arena_create();
	ChurnBootstrap bootstrap;
	ChurnError	error;
	double		squares = 0;
	double		edge = 0;
	int			resamples = 400;
	size_t		i;
	int			j;

	for (i = 0; i < n; i++)
		rows[i] = churn_scored(-(double) i, true);
	churn_bootstrap_init(&bootstrap, rows, n, false, 3, arena, &error);
	for (j = 0; j < resamples; j++)
	{
		churn_bootstrap_draw(&bootstrap);
		for (i = 0; i < n; i++)
			squares += (bootstrap.draws[i] - 1.0) * (bootstrap.draws[i] - 1.0);
		edge += bootstrap.draws[0] + bootstrap.draws[n - 1];
	}
	squares /= (double) n * resamples;
	ok(fabs(squares - (1 - 1.0 / (double) n)) < 0.02,
	   "variance of the draws of one of %zu rows: %.4f", n, squares);
	ok(fabs(edge / resamples - 2) < 5 * sqrt(2.0 / resamples),
	   "the first and the last row are drawn as often as others");
	churn_arena_destroy(arena);
}

/* The interval of a mean is about 2 x 1.96 standard errors wide. */
static void
test_interval(size_t n, unsigned levels)
{
	ChurnArena *arena = churn_arena_create();
	size_t		entries = make_rows(n, levels);
	ChurnInterval interval;
	ChurnInterval again;
	ChurnError	error;
	double		value = churn_metrics_brier(rows, entries);
	double		squares = 0;
	double		width;
	size_t		i;

	for (i = 0; i < entries; i++)
	{
		double		score = rows[i].score;

		squares += rows[i].positives * pow(1 - score, 4) +
			rows[i].negatives * pow(score, 4);
	}
	width = 2 * 1.96 * sqrt((squares / (double) n - value * value) /
							(double) n);
	ok(resample_metric(rows, entries, churn_metrics_brier, 0, 1,
					   arena, &interval, &error) &&
	   interval.used == 1000, "1,000 resamples of %zu rows", n);
	ok(fabs((interval.high - interval.low) / width - 1) < 0.12 &&
	   interval.low < value && value < interval.high,
	   "interval of the Brier score: %.5f wide, by theory %.5f",
	   interval.high - interval.low, width);
	resample_metric(rows, entries, churn_metrics_brier, 0, 1, arena,
					&again, &error);
	ok(again.low == interval.low && again.high == interval.high,
	   "the same seed, the same interval");
	resample_metric(rows, entries, churn_metrics_brier, 0, 2, arena,
					&again, &error);
	ok(again.low != interval.low && again.high != interval.high,
	   "another seed, another interval");
	churn_arena_destroy(arena);
}

static void
test_percentiles(void)
{
	double		values[6] = {5, NAN, 1, 3, 2, 4};
	ChurnInterval interval = churn_bootstrap_interval(values, 6, 0.5);

	ok(interval.used == 5 && interval.low == 2 && interval.high == 4,
	   "quartiles of 1 to 5, NaN left out");
	interval = churn_bootstrap_interval(values, 5, 0.9);
	ok(fabs(interval.low - 1.2) < 1e-12 && fabs(interval.high - 4.8) < 1e-12,
	   "percentiles lie between values");
	values[0] = NAN;
	interval = churn_bootstrap_interval(values, 1, 0.9);
	ok(interval.used == 0 && isnan(interval.low) && isnan(interval.high),
	   "nothing but NaN has no interval");
	ok(churn_bootstrap_resamples(7043) == 1000 &&
	   churn_bootstrap_resamples(50000) == 400 &&
	   churn_bootstrap_resamples(10000000) == 100,
	   "fewer resamples of more rows");
}

static void
test_limits(void)
{
	ChurnArena *arena = churn_arena_create();
	ChurnScored many[2] = {{0.9, UINT32_MAX, 0}, {0.1, 0, 1}};
	ChurnScored alike[2] = {{0.9, 3, 0}, {0.1, 2, 0}};
	ChurnBootstrap bootstrap;
	ChurnInterval interval;
	ChurnError	error;

	ok(!churn_bootstrap_init(&bootstrap, many, 2, false, 1, arena, &error) &&
	   error.code == CHURN_ERROR_LIMIT, "2^32 rows are too many");
	ok(resample_metric(alike, 2, churn_metrics_pr_auc, 50, 1, arena,
					   &interval, &error) &&
	   interval.used == 0 && isnan(interval.low),
	   "one class: no interval");
	ok(resample_metric(alike, 0, churn_metrics_brier, 50, 1, arena,
					   &interval, &error) && interval.used == 0,
	   "no rows: no interval");
	churn_arena_destroy(arena);
}

/*
 * Drawing step by step gives what compare_scores() gave, several metrics
 * on the same resamples, and the sides change places with their scores.
 */
static void
test_paired_steps(ChurnArena *arena, const ChurnPaired *expected)
{
	static ChurnScoredPair turned[MAX_ROWS];
	ChurnPairedBootstrap bootstrap;
	ChurnPaired paired;
	ChurnError	error;
	double		differences[300];
	double		rows_drawn = 0;
	size_t		i;

	for (i = 0; i < MAX_ROWS; i++)
	{
		turned[i].first = pairs[i].second;
		turned[i].second = pairs[i].first;
		turned[i].churned = pairs[i].churned;
	}
	ok(churn_paired_init(&bootstrap, turned, MAX_ROWS, 1, NULL, arena,
						 &error), "steps");
	for (i = 0; i < 300; i++)
	{
		churn_paired_draw(&bootstrap);
		differences[i] = churn_paired_difference(&bootstrap,
												 churn_metrics_roc_auc);
	}
	for (i = 0; i < bootstrap.second.nsample; i++)
		rows_drawn += bootstrap.second.sample[i].positives +
			bootstrap.second.sample[i].negatives;
	ok(rows_drawn == MAX_ROWS, "a resample has as many rows");
	paired = churn_paired_result(expected->second, expected->first,
								 differences, 300);
	ok(paired.difference == -expected->difference &&
	   paired.smaller == expected->larger &&
	   paired.larger == expected->smaller &&
	   fabs(paired.interval.low + expected->interval.high) < 1e-12 &&
	   fabs(paired.interval.high + expected->interval.low) < 1e-12,
	   "the sides change places");
}

/* Two scores of the same rows, the second with noise added. */
static void
test_paired(void)
{
	ChurnArena *arena = churn_arena_create();
	ChurnPaired paired;
	ChurnError	error;
	ChurnInterval alone;
	size_t		i;

	state = 11;
	for (i = 0; i < MAX_ROWS; i++)
	{
		double		score = floor(uniform() * 100) / 100;

		pairs[i].first = score;
		pairs[i].second = fmin(1, fmax(0, score + uniform() * 0.3 - 0.15));
		pairs[i].churned = uniform() < score;
		rows[i] = churn_scored(score, pairs[i].churned);
	}
	ok(compare_scores(pairs, MAX_ROWS, churn_metrics_roc_auc, 300, 1,
					  arena, &paired, &error), "paired comparison");
	churn_metrics_sort(rows, MAX_ROWS);
	ok(paired.first == churn_metrics_roc_auc(rows, MAX_ROWS),
	   "it measures the first score");
	ok(paired.difference == paired.first - paired.second &&
	   paired.interval.low <= paired.difference &&
	   paired.difference <= paired.interval.high, "and the difference");
	resample_metric(rows, MAX_ROWS, churn_metrics_roc_auc, 300, 1,
					arena, &alone, &error);
	ok(paired.interval.high - paired.interval.low <
	   (alone.high - alone.low) / 2,
	   "whose interval is narrower (%.5f) than that of a score (%.5f)",
	   paired.interval.high - paired.interval.low, alone.high - alone.low);
	ok(paired.interval.low > 0 && paired.larger > 0.99 &&
	   paired.smaller < 0.01, "noise makes a score worse for certain");
	test_paired_steps(arena, &paired);

	for (i = 0; i < MAX_ROWS; i++)
		pairs[i].second = pairs[i].first;
	compare_scores(pairs, MAX_ROWS, churn_metrics_pr_auc, 50, 1, arena,
				   &paired, &error);
	ok(paired.difference == 0 && paired.interval.low == 0 &&
	   paired.interval.high == 0 && paired.larger == 0 &&
	   paired.smaller == 0,
	   "equal scores do not differ");
	churn_arena_destroy(arena);
}

/* Sums that are the same in any order, and right. */
static void
test_sum(void)
{
	ChurnSum	forward = {{0}};
	ChurnSum	backward = {{0}};
	ChurnSum	parts[3] = {{{0}}, {{0}}, {{0}}};
	static double terms[MAX_ROWS];
	double		third = 1.0 / 3;
	size_t		i;

	state = 5;
	for (i = 0; i < MAX_ROWS; i++)
		terms[i] = ldexp(uniform(), (int) (i % 60) - 40);
	for (i = 0; i < MAX_ROWS; i++)
	{
		churn_sum_add(&forward, terms[i]);
		churn_sum_add(&backward, terms[MAX_ROWS - 1 - i]);
		churn_sum_add(&parts[i % 3], terms[i]);
	}
	churn_sum_merge(&parts[2], &parts[0]);
	churn_sum_merge(&parts[2], &parts[1]);
	ok(memcmp(&forward, &backward, sizeof(forward)) == 0 &&
	   memcmp(&forward, &parts[2], sizeof(forward)) == 0,
	   "a sum does not depend on the order of its terms");
	memset(&forward, 0, sizeof(forward));
	for (i = 0; i < 1000000; i++)
		churn_sum_add(&forward, third);
	ok(churn_sum_value(&forward) == third * 1000000,
	   "a million thirds: %.17g", churn_sum_value(&forward));
	churn_sum_add(&forward, 36.04365338911715);
	churn_sum_add(&forward, 2.220446049250313e-16);
	ok(fabs(churn_sum_value(&forward) - third * 1000000 -
			36.04365338911715) < 1e-9, "whole parts count");
	memset(&forward, 0, sizeof(forward));
	ok(churn_sum_value(&forward) == 0, "nothing is 0");
	churn_sum_add(&forward, 2.220446049250313e-16);
	ok(fabs(churn_sum_value(&forward) / 2.220446049250313e-16 - 1) < 1e-12,
	   "small terms count");
}

int
main(void)
{
	test_resamples(200, 1000, false);
	test_resamples(200, 7, true);
	test_resamples(5000, 100000, false);
	test_resamples(5000, 50, false);
	test_resamples(5000, 50, true);
	test_draws(100);
	test_draws(1024);
	test_draws(5000);
	test_interval(900, 1000);
	test_interval(5000, 20);
	test_percentiles();
	test_limits();
	test_paired();
	test_sum();
	return done();
}
