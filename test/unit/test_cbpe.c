/*
 * test_cbpe.c
 *		Estimates of quality against their definitions, row by row, and tests of
 *		concept drift against the sums that they are made of.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "churn/bootstrap.h"
#include "churn/cbpe.h"
#include "churn/concept.h"
#include "churn/divergence.h"
#include "unit.h"

#define MAX_ROWS	3000

static double scores[MAX_ROWS];
static bool churned[MAX_ROWS];
static ChurnScored rows[MAX_ROWS];
static size_t nrows;
static size_t n;				/* entries of rows */

static uint32_t state;

static double
uniform(void)
{
	state = state * 1664525 + 1013904223;
	return (state >> 8) / 16777216.0;
}

/* Rows of calibrated scores, rounded to so many levels; 0: not at all. */
static void
make_rows(size_t wanted, unsigned levels, uint32_t seed)
{
	size_t		i;

	state = seed;
	nrows = n = wanted;
	for (i = 0; i < wanted; i++)
	{
		double		raw = uniform();

		scores[i] = levels == 0 ? raw * raw :
			floor(raw * levels) / (levels - 1 > 0 ? levels - 1 : 1);
		scores[i] = fmin(scores[i], 1);
		churned[i] = uniform() < scores[i];
		rows[i] = churn_scored(scores[i], churned[i]);
	}
	churn_metrics_sort(rows, n);
}

static bool
near(double a, double b)
{
	return fabs(a - b) <= 1e-11 * fmax(1, fabs(b)) || (isnan(a) && isnan(b));
}

/* Expected counts at a threshold, by their definition. */
static ChurnExpectedConfusion
count(double threshold)
{
	ChurnExpectedConfusion counts = {0, 0, 0, 0};
	size_t		i;

	for (i = 0; i < nrows; i++)
	{
		if (scores[i] >= threshold)
		{
			counts.tp += scores[i];
			counts.fp += 1 - scores[i];
		}
		else
		{
			counts.fn += scores[i];
			counts.tn += 1 - scores[i];
		}
	}
	return counts;
}

/* The two areas, by going through all scores as thresholds. */
static void
areas(double *pr_auc, double *roc_auc)
{
	ChurnExpectedConfusion all = count(0);
	double		recall = 0;
	double		fallout = 0;
	double		threshold = 2;

	*pr_auc = *roc_auc = 0;
	for (;;)
	{
		double		next = -1;
		ChurnExpectedConfusion here;
		size_t		i;

		for (i = 0; i < nrows; i++)
		{
			if (scores[i] < threshold && scores[i] > next)
				next = scores[i];
		}
		if (next < 0)
			break;
		threshold = next;
		here = count(threshold);
		*pr_auc += (here.tp / all.tp - recall) * here.tp / (here.tp + here.fp);
		*roc_auc += (here.fp / all.fp - fallout) * (recall + here.tp / all.tp) / 2;
		recall = here.tp / all.tp;
		fallout = here.fp / all.fp;
	}
}

static void
test_estimates(size_t wanted, unsigned levels)
{
	ChurnExpectedConfusion ours;
	ChurnExpectedConfusion theirs;
	double		pr_auc;
	double		roc_auc;
	double		brier = 0;
	double		loss = 0;
	double		sum = 0;
	size_t		merged;
	size_t		i;

	make_rows(wanted, levels, 11);
	areas(&pr_auc, &roc_auc);
	ok(near(churn_cbpe_pr_auc(rows, n), pr_auc), "%zu rows, %u levels: PR-AUC %g",
	   wanted, levels, pr_auc);
	ok(near(churn_cbpe_roc_auc(rows, n), roc_auc), "ROC-AUC %g", roc_auc);
	for (i = 0; i < nrows; i++)
	{
		double		p = scores[i];

		sum += p;
		brier += p * (1 - p);
		loss -= (p > 0 ? p * log(p) : 0) + (p < 1 ? (1 - p) * log(1 - p) : 0);
	}
	ok(near(churn_cbpe_base_rate(rows, n), sum / nrows), "base rate");
	ok(near(churn_cbpe_brier(rows, n), brier / nrows), "Brier score");
	ok(fabs(churn_cbpe_log_loss(rows, n) - loss / nrows) < 1e-9, "log loss");
	ours = churn_cbpe_confusion(rows, n, 0.4);
	theirs = count(0.4);
	ok(near(ours.tp, theirs.tp) && near(ours.fp, theirs.fp) &&
	   near(ours.fn, theirs.fn) && near(ours.tn, theirs.tn), "confusion matrix");
	ok(near(churn_cbpe_f1(ours),
			2 * theirs.tp / (2 * theirs.tp + theirs.fp + theirs.fn)) &&
	   near(churn_cbpe_precision(ours), theirs.tp > 0 ?
			theirs.tp / (theirs.tp + theirs.fp) : 0) &&
	   near(churn_cbpe_recall(ours), theirs.tp / (theirs.tp + theirs.fn)) &&
	   near(churn_cbpe_accuracy(ours), (theirs.tp + theirs.tn) / nrows), "its ratios");

	/* entries that hold several rows */
	merged = churn_metrics_merge(rows, n);
	ok(merged <= n && near(churn_cbpe_pr_auc(rows, merged), pr_auc) &&
	   near(churn_cbpe_roc_auc(rows, merged), roc_auc) &&
	   near(churn_cbpe_brier(rows, merged), brier / nrows), "merged rows are the same");
}

/* Nothing to rank, and nothing at all. */
static void
test_edges(void)
{
	ChurnScored certain[] = {{1, 1, 0}, {1, 0, 3}};
	ChurnScored nobody[] = {{0, 2, 2}};
	ChurnScored both[] = {{1, 0, 2}, {0, 5, 0}};
	ChurnExpectedConfusion none = churn_cbpe_confusion(certain, 0, 0.5);

	ok(isnan(churn_cbpe_pr_auc(certain, 2)) && isnan(churn_cbpe_roc_auc(certain, 2)) &&
	   isnan(churn_cbpe_pr_auc(nobody, 1)) && isnan(churn_cbpe_roc_auc(nobody, 1)),
	   "with one class to be expected, nothing can be ranked");
	ok(churn_cbpe_pr_auc(both, 2) == 1 && churn_cbpe_roc_auc(both, 2) == 1 &&
	   churn_cbpe_brier(both, 2) == 0 && churn_cbpe_log_loss(both, 2) < 1e-14,
	   "certain scores promise all");
	ok(isnan(churn_cbpe_brier(certain, 0)) && isnan(churn_cbpe_log_loss(certain, 0)) &&
	   isnan(churn_cbpe_base_rate(certain, 0)) && isnan(churn_cbpe_pr_auc(certain, 0)) &&
	   isnan(churn_cbpe_roc_auc(certain, 0)), "without rows there is nothing");
	ok(churn_cbpe_f1(none) == 0 && churn_cbpe_precision(none) == 0 &&
	   churn_cbpe_recall(none) == 0 && churn_cbpe_accuracy(none) == 0, "no ratio either");
}

/* Drawn outcomes are as many as expected, and vary as they should. */
static void
test_outcomes(size_t wanted, unsigned levels, bool merge)
{
	ChurnArena *arena = churn_arena_create();
	ChurnBootstrap bootstrap;
	ChurnError	error;
	double		sum = 0;
	double		squares = 0;
	double		mean = 0;
	double		variance = 0;
	double		brier = 0;
	bool		whole = true;
	int			resamples = 4000;
	int			i;
	size_t		j;

	make_rows(wanted, levels, 5);
	if (merge)
		n = churn_metrics_merge(rows, n);
	for (j = 0; j < nrows; j++)
	{
		mean += scores[j];
		variance += scores[j] * (1 - scores[j]);
	}
	ok(churn_bootstrap_init(&bootstrap, rows, n, false, 3, arena, &error),
	   "%zu rows in %zu entries", nrows, n);
	for (i = 0; i < resamples; i++)
	{
		double		positives = 0;

		churn_bootstrap_outcomes(&bootstrap);
		whole &= bootstrap.nsample == n;
		for (j = 0; j < n; j++)
		{
			whole &= bootstrap.sample[j].score == rows[j].score &&
				bootstrap.sample[j].positives + bootstrap.sample[j].negatives ==
				rows[j].positives + rows[j].negatives;
			if (rows[j].score == 0 || rows[j].score == 1)
				whole &= (rows[j].score == 0 ? bootstrap.sample[j].positives :
						  bootstrap.sample[j].negatives) == 0;
			positives += bootstrap.sample[j].positives;
		}
		sum += positives;
		squares += (positives - mean) * (positives - mean);
		brier += churn_metrics_brier(bootstrap.sample, bootstrap.nsample);
	}
	ok(whole, "the rows stay, and certain ones do what is certain");
	ok(fabs(sum / resamples - mean) < 5 * sqrt(variance / resamples),
	   "%g churn, %g should", sum / resamples, mean);
	ok(fabs(squares / resamples / variance - 1) < 0.12,
	   "their variance is %g, should be %g", squares / resamples, variance);
	ok(fabs(brier / resamples - churn_cbpe_brier(rows, n)) < 0.002,
	   "the mean Brier score is the estimate");
	churn_arena_destroy(arena);
}

static void
test_spiegelhalter(void)
{
	double		excess = 0;
	double		variance = 0;
	size_t		i;
	ChurnScored half[] = {{1, 1, 0}, {0.5, 3, 9}, {0, 0, 2}};

	make_rows(1000, 13, 2);
	for (i = 0; i < nrows; i++)
	{
		double		p = scores[i];

		excess += (churned[i] - p) * (1 - 2 * p);
		variance += p * (1 - p) * (1 - 2 * p) * (1 - 2 * p);
	}
	ok(near(churn_concept_spiegelhalter(rows, n), excess / sqrt(variance)),
	   "Spiegelhalter's z is %g", excess / sqrt(variance));
	n = churn_metrics_merge(rows, n);
	ok(near(churn_concept_spiegelhalter(rows, n), excess / sqrt(variance)),
	   "also of merged rows");
	ok(isnan(churn_concept_spiegelhalter(half, 3)), "undefined where nothing can tell");
}

/* Places of all rows, by comparing each pair. */
static void
test_delong(unsigned levels)
{
	ChurnDeLong ours;
	double		places[MAX_ROWS];
	double		sums[2] = {0, 0};
	double		squares[2] = {0, 0};
	double		counts[2] = {0, 0};
	size_t		i;
	size_t		j;

	make_rows(700, levels, 21);
	for (i = 0; i < nrows; i++)
		counts[churned[i]]++;
	for (i = 0; i < nrows; i++)
	{
		places[i] = 0;
		for (j = 0; j < nrows; j++)
		{
			double		up = churned[i] ? scores[i] - scores[j] : scores[j] - scores[i];

			if (churned[i] != churned[j])
				places[i] += up > 0 ? 1 : up == 0 ? 0.5 : 0;
		}
		places[i] /= counts[!churned[i]];
		sums[churned[i]] += places[i];
	}
	for (i = 0; i < nrows; i++)
	{
		double		off = places[i] - sums[churned[i]] / counts[churned[i]];

		squares[churned[i]] += off * off;
	}
	n = churn_metrics_merge(rows, n);
	ours = churn_concept_delong(rows, n);
	ok(ours.positives == counts[1] && ours.negatives == counts[0] &&
	   near(ours.auc, sums[1] / counts[1]) &&
	   near(ours.auc, churn_metrics_roc_auc(rows, n)) &&
	   near(ours.var_positive, squares[1] / (counts[1] - 1)) &&
	   near(ours.var_negative, squares[0] / (counts[0] - 1)),
	   "DeLong's variances with %u levels", levels);
}

static void
test_distribution(void)
{
	double		worst = 0;
	int			i;

	for (i = -60; i <= 60; i++)
	{
		double		z = i / 8.0;

		worst = fmax(worst, fabs(churn_concept_quantile(churn_normal_tail(z)) - z) *
					 exp(-z * z / 2));
	}
	ok(worst < 1e-13, "quantiles are the tails' inverse (%g)", worst);
	ok(fabs(churn_normal_tail(1.959963984540054) - 0.025) < 1e-15 &&
	   fabs(churn_normal_tail(0) - 0.5) < 1e-15, "tails of the normal distribution");
	ok(churn_concept_logit(0.5) == 0 && isfinite(churn_concept_logit(0)) &&
	   isfinite(churn_concept_logit(1)) &&
	   churn_concept_logit(0.25) == -churn_concept_logit(0.75), "logits");
	{
		double		values[] = {1, NAN, 3, 5, NAN};

		ok(churn_concept_spread(values, 5) == 2 && isnan(churn_concept_spread(values, 2)),
		   "a spread leaves out what is not defined");
	}
}

/* Verdicts agree with p-values and thresholds, and which tests can be made. */
static void
test_verdicts(void)
{
	ChurnReference reference = {0.7, 0.83, 400, 1000};
	ChurnReference nothing = {NAN, NAN, 0, 0};
	ChurnReference sharp = {0.999, 0.999, 40000, 100000};
	ChurnConceptTest test;
	ChurnConceptTest bare;

	make_rows(2000, 0, 8);
	test = churn_concept_calibration(rows, n, &reference, 0.01);
	bare = churn_concept_calibration(rows, n, &nothing, 0.01);
	ok(test.value == bare.value && test.threshold > bare.threshold &&
	   test.p_value > bare.p_value && !bare.drifted,
	   "what the reference cannot tell makes calibration less certain");
	ok(near(bare.threshold, churn_concept_quantile(0.005)) &&
	   near(test.threshold / bare.threshold, sqrt(1 + 2000.0 / 1400)), "by so much");
	ok(isnan(churn_concept_roc_auc(rows, n, &nothing, 0.01).value) &&
	   isnan(churn_concept_pr_auc(rows, n, &nothing, 0.1, 0.01).value),
	   "without a reference there is no drop");
	test = churn_concept_roc_auc(rows, n, &sharp, 0.01);
	ok(test.drifted && test.p_value < 1e-6 && test.value >= test.threshold &&
	   near(test.value, 0.999 - churn_metrics_roc_auc(rows, n)), "a drop of ROC-AUC");
	test = churn_concept_pr_auc(rows, n, &sharp, 0.1, 0.01);
	ok(test.drifted && test.p_value < 1e-6 && test.value >= test.threshold &&
	   near(test.value, 0.999 - churn_metrics_pr_auc(rows, n)), "a drop of PR-AUC");
	reference.roc_auc = churn_metrics_roc_auc(rows, n);
	reference.pr_auc = churn_metrics_pr_auc(rows, n);
	test = churn_concept_roc_auc(rows, n, &reference, 0.01);
	ok(!test.drifted && near(test.p_value, 0.5) && test.threshold > 0, "no drop of ROC-AUC");
	test = churn_concept_pr_auc(rows, n, &reference, 0.1, 0.01);
	ok(!test.drifted && near(test.p_value, 0.5) && test.threshold > 0, "no drop of PR-AUC");
	/* just at the threshold */
	reference.roc_auc += churn_concept_roc_auc(rows, n, &reference, 0.01).threshold;
	test = churn_concept_roc_auc(rows, n, &reference, 0.01);
	ok(fabs(test.p_value - 0.01) < 1e-9, "the threshold is where p is the level");
}

int
main(void)
{
	test_estimates(1, 0);
	test_estimates(2, 3);
	test_estimates(500, 2);
	test_estimates(700, 9);
	test_estimates(900, 0);
	test_edges();
	test_outcomes(300, 0, false);
	test_outcomes(2500, 6, true);
	test_spiegelhalter();
	test_delong(0);
	test_delong(4);
	test_distribution();
	test_verdicts();
	return done();
}
