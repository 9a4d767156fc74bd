/*
 * evaluate.c
 *		How good a model is on rows that it was not trained on.
 *
 * The test part is looked at here for the first time, and only for the model
 * that won and the baseline.
 */
#include "evaluate.h"

#include <math.h>
#include <stddef.h>

#include "churn/metrics.h"
#include "memory.h"

static ChurnMetric *
add_metric(ChurnQuality *quality, const char *dataset, const char *candidate,
		   const char *name, double value, size_t n)
{
	ChurnMetric *metric = &quality->metrics[quality->nmetrics++];

	metric->dataset = dataset;
	metric->candidate = candidate;
	metric->name = name;
	metric->value = value;
	metric->spread = NAN;
	metric->folds = NULL;
	metric->nfolds = 0;
	metric->n = n;
	return metric;
}

/* Measures scored rows by what needs no threshold. */
static void
measure_scores(ChurnQuality *quality, const char *dataset,
			   const char *candidate, const ChurnScored *rows, size_t n)
{
	add_metric(quality, dataset, candidate, "pr_auc",
			   churn_metrics_pr_auc(rows, n), n);
	add_metric(quality, dataset, candidate, "roc_auc",
			   churn_metrics_roc_auc(rows, n), n);
	add_metric(quality, dataset, candidate, "log_loss",
			   churn_metrics_log_loss(rows, n), n);
	add_metric(quality, dataset, candidate, "brier",
			   churn_metrics_brier(rows, n), n);
	add_metric(quality, dataset, candidate, "ece",
			   churn_metrics_ece(rows, n), n);
}

/* Measures the decisions that the threshold makes of scores. */
static void
measure_decisions(ChurnQuality *quality, const char *dataset,
				  const char *candidate, const ChurnScored *rows, size_t n,
				  double threshold)
{
	ChurnConfusion confusion = churn_metrics_confusion(rows, n, threshold);

	add_metric(quality, dataset, candidate, "f1", churn_metrics_f1(confusion),
			   n);
	add_metric(quality, dataset, candidate, "precision",
			   churn_metrics_precision(confusion), n);
	add_metric(quality, dataset, candidate, "recall",
			   churn_metrics_recall(confusion), n);
	add_metric(quality, dataset, candidate, "accuracy",
			   churn_metrics_accuracy(confusion), n);
}

/*
 * The champion's PR-AUC on the test rows; NaN when it did not score all of
 * them, since then the two could not be compared.
 */
static double
measure_champion(const ChurnTable *table)
{
	size_t		n = churn_table_rows(table, CHURN_PART_TEST);
	size_t		first = table->start[CHURN_PART_TEST];
	ChurnScored *rows;
	double		pr_auc;
	size_t		i;

	if (table->champion == NULL || n == 0)
		return NAN;
	for (i = 0; i < n; i++)
	{
		if (isnan(table->champion[first + i]))
			return NAN;
	}
	rows = churn_pages_alloc(n * sizeof(ChurnScored));
	for (i = 0; i < n; i++)
	{
		rows[i] = churn_scored(table->champion[first + i],
							   table->labels[first + i] != 0);
	}
	churn_metrics_sort(rows, n);
	pr_auc = churn_metrics_pr_auc(rows, n);
	churn_pages_free(rows, n * sizeof(ChurnScored));
	return pr_auc;
}

void
churn_evaluate_candidates(ChurnQuality *quality,
						  const ChurnSelection *selection)
{
	const char *dataset = selection->plan.k > 1 ? "cv" : "validation";
	size_t		n = selection->course.folds.n;
	int			i;

	for (i = 0; i < selection->ntrials; i++)
	{
		const ChurnTrial *trial = &selection->trials[i];
		const char *name = trial->candidate.name;
		ChurnMetric *metric;

		if (trial->nfolds == 0)
			continue;
		metric = add_metric(quality, dataset, name, "pr_auc",
							trial->mean.pr_auc, n);
		metric->spread = trial->spread;
		metric->folds = trial->scores;
		metric->offset = offsetof(ChurnFoldScore, pr_auc);
		metric->nfolds = trial->nfolds;
		metric = add_metric(quality, dataset, name, "roc_auc",
							trial->mean.roc_auc, n);
		metric->folds = trial->scores;
		metric->offset = offsetof(ChurnFoldScore, roc_auc);
		metric->nfolds = trial->nfolds;
		metric = add_metric(quality, dataset, name, "log_loss",
							trial->mean.log_loss, n);
		metric->folds = trial->scores;
		metric->offset = offsetof(ChurnFoldScore, log_loss);
		metric->nfolds = trial->nfolds;
	}
}

/* Measures a model on margins that are known. */
static void
measure_margins(ChurnQuality *quality, const char *dataset,
				const char *candidate, const ChurnFinished *finished,
				const float *margins, const uint8_t *labels, size_t n)
{
	ChurnScored *rows = churn_pages_alloc(n * sizeof(ChurnScored));
	size_t		i;

	for (i = 0; i < n; i++)
		rows[i] = churn_scored(churn_calibrate(&finished->calibration,
											   margins[i]), labels[i] != 0);
	churn_metrics_sort(rows, n);
	measure_scores(quality, dataset, candidate, rows, n);
	measure_decisions(quality, dataset, candidate, rows, n,
					  finished->threshold);
	churn_pages_free(rows, n * sizeof(ChurnScored));
}

void
churn_evaluate(ChurnQuality *quality, const ChurnFinished *finished,
			   const ChurnSelection *selection, const ChurnTable *table,
			   const char *candidate)
{
	size_t		held_out = selection->course.folds.n;
	size_t		tested = churn_table_rows(table, CHURN_PART_TEST);

	if (selection->plan.k == 1)
	{
		float	   *margins = churn_pages_alloc(held_out * sizeof(float));
		uint8_t    *labels = churn_pages_alloc(held_out);
		uint8_t    *folds = churn_pages_alloc(held_out);
		size_t		n = churn_selection_margins(selection, finished->trial,
												margins, labels, folds);

		measure_margins(quality, "validation", candidate, finished, margins,
						labels, n);
		churn_pages_free(margins, held_out * sizeof(float));
		churn_pages_free(labels, held_out);
		churn_pages_free(folds, held_out);
	}
	if (tested > 0)
		measure_margins(quality, "test", candidate, finished,
						finished->margins,
						table->labels + table->start[CHURN_PART_TEST], tested);
	quality->champion_pr_auc = measure_champion(table);
}
