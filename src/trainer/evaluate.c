/*
 * evaluate.c
 *		How good a model is on rows that it was not trained on.
 *
 * The threshold is chosen on the validation part, which early stopping has
 * seen already; the test part is only measured.
 */
#include "evaluate.h"

#include <math.h>

#include "churn/metrics.h"
#include "memory.h"

/* Scores the rows of a part and sorts them for the metrics. */
static ChurnScored *
score_part(ChurnScorer *scorer, const ChurnTable *table, ChurnPart part)
{
	size_t		n = churn_table_rows(table, part);
	size_t		first = table->start[part];
	ChurnScored *rows = churn_pages_alloc(n * sizeof(ChurnScored));
	float	   *scores = churn_pages_alloc(n * sizeof(float));
	size_t		i;

	churn_scorer_predict(scorer, table, first, n, scores);
	for (i = 0; i < n; i++)
		rows[i] = churn_scored(scores[i], table->labels[first + i]);
	churn_pages_free(scores, n * sizeof(float));
	churn_metrics_sort(rows, n);
	return rows;
}

static void
add_metric(ChurnQuality *quality, const char *dataset, const char *name,
		   double value, size_t n)
{
	ChurnMetric *metric = &quality->metrics[quality->nmetrics++];

	metric->dataset = dataset;
	metric->name = name;
	metric->value = value;
	metric->n = n;
}

/* Measures scored rows by what needs no threshold. */
static void
measure_scores(ChurnQuality *quality, const char *dataset,
			   const ChurnScored *rows, size_t n)
{
	add_metric(quality, dataset, "pr_auc", churn_metrics_pr_auc(rows, n), n);
	add_metric(quality, dataset, "roc_auc", churn_metrics_roc_auc(rows, n),
			   n);
	add_metric(quality, dataset, "log_loss", churn_metrics_log_loss(rows, n),
			   n);
	add_metric(quality, dataset, "brier", churn_metrics_brier(rows, n), n);
}

/* Measures the decisions that the threshold makes of scores. */
static void
measure_decisions(ChurnQuality *quality, const char *dataset,
				  const ChurnScored *rows, size_t n)
{
	ChurnConfusion confusion = churn_metrics_confusion(rows, n,
													   quality->threshold);

	add_metric(quality, dataset, "f1", churn_metrics_f1(confusion), n);
	add_metric(quality, dataset, "precision",
			   churn_metrics_precision(confusion), n);
	add_metric(quality, dataset, "recall", churn_metrics_recall(confusion),
			   n);
	add_metric(quality, dataset, "accuracy",
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

	if (table->champion == NULL)
		return NAN;
	for (i = 0; i < n; i++)
	{
		if (isnan(table->champion[first + i]))
			return NAN;
	}
	rows = churn_pages_alloc(n * sizeof(ChurnScored));
	for (i = 0; i < n; i++)
		rows[i] = churn_scored(table->champion[first + i],
							   table->labels[first + i]);
	churn_metrics_sort(rows, n);
	pr_auc = churn_metrics_pr_auc(rows, n);
	churn_pages_free(rows, n * sizeof(ChurnScored));
	return pr_auc;
}

void
churn_evaluate(ChurnScorer *scorer, const ChurnTable *table,
			   ChurnQuality *quality)
{
	size_t		n = churn_table_rows(table, CHURN_PART_VALIDATION);
	ChurnScored *rows = score_part(scorer, table, CHURN_PART_VALIDATION);

	quality->nmetrics = 0;
	quality->threshold = churn_metrics_best_f1(rows, n, NULL);
	measure_scores(quality, "validation", rows, n);
	churn_pages_free(rows, n * sizeof(ChurnScored));

	n = churn_table_rows(table, CHURN_PART_TEST);
	rows = score_part(scorer, table, CHURN_PART_TEST);
	measure_scores(quality, "test", rows, n);
	measure_decisions(quality, "test", rows, n);
	churn_pages_free(rows, n * sizeof(ChurnScored));
	quality->champion_pr_auc = measure_champion(table);
}
