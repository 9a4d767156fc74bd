/*
 * drift_measure.c
 *		How far today's rows are from those of training: the figures of a check,
 *		and the verdicts.
 *
 * Everything is a function of counts, see churn/divergence.h.  For the
 * population stability index and the Jensen-Shannon distance the many cells of
 * a number are put together to ten groups at most, whose bounds are those of
 * training alone: a cell belongs to the tenth of training's values in which its
 * middle rank lies.  Of categories, those that fewer than five rows of training
 * have, or of today's are expected to have, are put together with those that
 * training never saw: neither the chi-square distribution nor the bound of the
 * index can be trusted with so few, and which of many rare categories training
 * happened to see is chance.  Missing values are a cell of their own.
 *
 * A feature has drifted if two things come together: the difference is not due
 * to chance (the p-value, with the false discovery rate controlled over the
 * features), and it is large enough to matter (the index is above the limit
 * even at its lower confidence bound).  So neither many rows alone nor few rows
 * alone raise an alarm.
 */
#include "postgres.h"

#include <math.h>

#include "churn/divergence.h"

#include "compat.h"
#include "drift.h"

/* Groups of a number's cells. */
#define GROUPS			10

/* Rows that a category must have to be looked at by itself. */
#define LEAST_ROWS		5

/* Confidence of the lower bound of the population stability index. */
#define CONFIDENCE		0.95

/* Counts of training and of today, of cells that are not empty in both. */
typedef struct Table
{
	uint64	   *training;
	uint64	   *today;
	size_t		n;
} Table;

/* What is known of a feature, or of the score. */
typedef struct FeatureDrift
{
	const ChurnCells *cells;
	uint64	   *counts;			/* today's */
	const ChurnProfileFeature *today;
	double		psi;
	double		psi_low;
	double		jensen_shannon;
	double		distance;		/* Kolmogorov-Smirnov, or chi-square */
	double		distance_p;
	double		wasserstein;
	uint64		rare[2];		/* rows in rare and unseen categories, of
								 * training and of today */
	double		null_low;		/* bounds of the index of missing or not, and */
	double		rare_low;		/* of rare or not */
} FeatureDrift;

/*
 * Adds a cell, if it is not empty.
 */
static void
add_cell(Table *table, uint64 training, uint64 today)
{
	if (training == 0 && today == 0)
		return;
	table->training[table->n] = training;
	table->today[table->n++] = today;
}

/*
 * The group of a number's cell, by the rank of its middle among training's n
 * values, of which so many are in the cells below.
 */
static size_t
group_of(uint64 below, uint64 count, uint64 n)
{
	if (n == 0)
		return 0;
	return Min((size_t) (GROUPS * (2 * below + count) / (2 * n)), GROUPS - 1);
}

/*
 * Puts the cells of a number into groups.
 */
static void
group_numbers(const FeatureDrift *drift, Table *table)
{
	const ChurnCells *cells = drift->cells;
	uint64		training[GROUPS] = {0};
	uint64		today[GROUPS] = {0};
	uint64		n = cells->rows - cells->missing;
	uint64		below = 0;
	uint32		i;

	for (i = 0; i < cells->ncells; i++)
	{
		size_t		group = group_of(below, cells->counts[i], n);

		training[group] += cells->counts[i];
		today[group] += drift->counts[i];
		below += cells->counts[i];
	}
	for (i = 0; i < GROUPS; i++)
		add_cell(table, training[i], today[i]);
}

/*
 * Takes categories one by one, but rare ones together.
 */
static void
group_categories(FeatureDrift *drift, uint64 rows, Table *table)
{
	const ChurnCells *cells = drift->cells;
	double		least = LEAST_ROWS *
	(double) cells->rows / (double) Min(rows, cells->rows);
	uint32		i;

	drift->rare[0] = cells->unseen;
	drift->rare[1] = drift->today->unseen;
	for (i = 0; i < cells->ncells; i++)
	{
		if ((double) cells->counts[i] < least)
		{
			drift->rare[0] += cells->counts[i];
			drift->rare[1] += drift->counts[i];
		}
		else
			add_cell(table, cells->counts[i], drift->counts[i]);
	}
	add_cell(table, drift->rare[0], drift->rare[1]);
}

/*
 * Compares how many rows are of a kind (missing, rare) and how many are not:
 * the p-value, and the lower bound of the index.
 */
static double
compare_shares(uint64 training, uint64 training_rows, uint64 today,
			   uint64 rows, double *low)
{
	uint64		p[2] = {training, training_rows - training};
	uint64		q[2] = {today, rows - today};
	uint64		df;
	double		p_value;

	*low = churn_divergence_psi_low(p, q, 2, CONFIDENCE);
	churn_divergence_chi_square(p, q, 2, &df, &p_value);
	return p_value;
}

/*
 * The lesser p-value of two tests, doubled since there are two; that of one
 * where the other is not defined.
 */
static double
either(double a, double b)
{
	if (isnan(a))
		return b;
	if (isnan(b))
		return a;
	return Min(1, 2 * Min(a, b));
}

/*
 * Measures a feature; sets the p-values of feature, missing and rare rows, which
 * are not adjusted yet.
 */
static void
measure_feature(const ChurnBaseline *baseline, ChurnProfile *profile,
				uint32 feature, FeatureDrift *drift, double *p_value,
				double *null_p, double *rare_p)
{
	const ChurnCells *cells = &baseline->features[feature];
	bool		category = cells->kind == CHURN_FEATURE_CATEGORY;
	size_t		room = (category ? cells->ncells : GROUPS) + 2;
	Table		table = {palloc(sizeof(uint64) * room),
	palloc(sizeof(uint64) * room), 0};
	uint64		df;

	drift->cells = cells;
	drift->counts = churn_profile_counts(profile, cells);
	drift->today = churn_profile_feature(profile, feature);
	if (category)
		group_categories(drift, profile->rows, &table);
	else
		group_numbers(drift, &table);
	add_cell(&table, cells->missing, drift->today->missing);
	drift->psi = churn_divergence_psi(table.training, table.today, table.n);
	drift->psi_low = churn_divergence_psi_low(table.training, table.today,
											  table.n, CONFIDENCE);
	drift->jensen_shannon = churn_divergence_jensen_shannon(table.training,
															table.today,
															table.n);
	*null_p = compare_shares(cells->missing, cells->rows, drift->today->missing,
							 profile->rows, &drift->null_low);
	*rare_p = compare_shares(drift->rare[0], cells->rows, drift->rare[1],
							 profile->rows, &drift->rare_low);
	if (category)
	{
		drift->distance = churn_divergence_chi_square(table.training,
													  table.today, table.n,
													  &df, &drift->distance_p);
		*p_value = drift->distance_p;
	}
	else
	{
		drift->distance =
			churn_divergence_kolmogorov_smirnov(cells->counts, drift->counts,
												cells->ncells,
												&drift->distance_p);
		/* in standard deviations of training, where there are any */
		drift->wasserstein = cells->sd > 0 ?
			churn_profile_wasserstein(baseline, profile, feature) / cells->sd :
			NAN;
		*p_value = either(drift->distance_p, *null_p);
	}
	pfree(table.training);
	pfree(table.today);
}

/*
 * Whether a difference is both real and large enough.
 */
static bool
is_drift(double adjusted, double low, const ChurnDriftPolicy *policy)
{
	return adjusted <= policy->alpha && low >= policy->psi;
}

/*
 * Writes the next figure.
 */
static ChurnDriftFigure *
put(ChurnDriftFigure *figure, int feature, const char *statistic, double value,
	double threshold, double p_value, int drifted)
{
	figure->feature = feature;
	figure->statistic = statistic;
	figure->value = value;
	figure->threshold = threshold;
	figure->p_value = p_value;
	figure->drifted = drifted;
	return figure + 1;
}

/*
 * Writes the figures of a feature.  The p-values given are adjusted.
 */
static ChurnDriftFigure *
put_feature(ChurnDriftFigure *figure, int feature, const FeatureDrift *drift,
			uint64 rows, double p_value, double null_p, double rare_p,
			const ChurnDriftPolicy *policy)
{
	const ChurnCells *cells = drift->cells;
	bool		category = cells->kind == CHURN_FEATURE_CATEGORY;
	double		null_share = (double) drift->today->missing / (double) rows;
	double		unseen_share = (double) drift->today->unseen / (double) rows;

	figure = put(figure, feature, "psi", drift->psi, policy->psi, p_value,
				 is_drift(p_value, drift->psi_low, policy));
	figure = put(figure, feature, "psi_low", drift->psi_low, policy->psi, NAN,
				 -1);
	figure = put(figure, feature, "jensen_shannon", drift->jensen_shannon, NAN,
				 NAN, -1);
	figure = put(figure, feature,
				 category ? "chi_square" : "kolmogorov_smirnov",
				 drift->distance, NAN, drift->distance_p, -1);
	if (!category)
		figure = put(figure, feature, "wasserstein", drift->wasserstein, NAN,
					 NAN, -1);
	null_share -= (double) cells->missing / (double) cells->rows;
	figure = put(figure, feature, "null_share", null_share, NAN, null_p,
				 is_drift(null_p, drift->null_low, policy));
	if (category)
		figure = put(figure, feature, "unseen_share", unseen_share, NAN, rare_p,
					 (double) drift->rare[1] / (double) rows >
					 (double) drift->rare[0] / (double) cells->rows &&
					 is_drift(rare_p, drift->rare_low, policy));
	return figure;
}

/*
 * Measures a profile against its baseline, and judges; see drift.h.
 */
int
churn_drift_measure(const ChurnBaseline *baseline, ChurnProfile *profile,
					const ChurnDriftPolicy *policy, ChurnDriftFigure *figures)
{
	uint32		n = baseline->nfeatures + 1;
	FeatureDrift *drifts = palloc0(sizeof(FeatureDrift) * n);
	double	   *p_values = palloc(sizeof(double) * n * 3);
	double	   *null_p = p_values + n;
	double	   *rare_p = null_p + n;
	ChurnDriftFigure *figure = figures;
	double		least = NAN;
	int			drifted = 0;
	uint32		i;

	for (i = 0; i < n; i++)
		measure_feature(baseline, profile, i, &drifts[i], &p_values[i],
						&null_p[i], &rare_p[i]);
	churn_divergence_adjust(p_values, n);
	churn_divergence_adjust(null_p, n);
	churn_divergence_adjust(rare_p, n);
	for (i = 0; i < n; i++)
	{
		figure = put_feature(figure, i < n - 1 ? (int) i : CHURN_DRIFT_SCORE,
							 &drifts[i], profile->rows, p_values[i], null_p[i],
							 rare_p[i], policy);
		drifted += is_drift(p_values[i], drifts[i].psi_low, policy);
		least = fmin(least, p_values[i]);
	}
	figure = put(figure, CHURN_DRIFT_MODEL, "drifted_features", drifted, 1,
				 least, drifted > 0);
	pfree(drifts);
	pfree(p_values);
	return (int) (figure - figures);
}
