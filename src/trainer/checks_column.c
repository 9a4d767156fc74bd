/*
 * checks_column.c
 *		Checks of one column against the label.
 */
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "checks_internal.h"
#include "churn/metrics.h"
#include "memory.h"

/*
 * An AUC beyond this is suspicious.  The best single columns of honest churn
 * data, tenure, contract, days since the last visit, reach 0.7 to 0.9; what
 * is known only afterwards, reasons, final bills, end dates, gets 0.99.
 */
#define MAX_AUC			0.97

/* So much must remain when two standard errors are taken off. */
#define SURE_AUC		0.95

/*
 * A column is filled for one class only if it is filled for at least
 * MIN_SHARE of that class and at most MAX_ODDS of that share of the other,
 * and at least MIN_ROWS rows of the other would be filled were both alike.
 */
#define MIN_SHARE		0.05
#define MAX_ODDS		0.02
#define MIN_ROWS		20

/* Fewer rows of a class than this say nothing. */
#define MIN_CLASS_ROWS	10

/*
 * Numbers are cut into so many levels if they have more values than that, and
 * the rate of a level is learned from other rows, in so many folds, and pulled
 * to the mean by so many rows.
 */
#define MAX_LEVELS		64
#define FOLDS			5
#define PRIOR_ROWS		10

/* A column over the rows by which it is judged. */
typedef struct Judged
{
	const ChurnCheckRows *rows;
	const ChurnTableColumn *column;
	ChurnRanked *ranked;		/* of rows that are filled, by value */
	size_t		nranked;
	size_t		filled[2];		/* by class */
	uint16_t   *levels;			/* of all rows, 0 is missing */
	size_t		nlevels;
} Judged;

/* Whether each category is blank, and so no more than missing. */
static bool *
blank_categories(const ChurnTableColumn *column)
{
	bool	   *blank = churn_alloc(column->ncategories, sizeof(bool));
	uint32_t	i;

	for (i = 0; i < column->ncategories; i++)
	{
		const ChurnText *text = &column->categories[i];

		blank[i] = strspn(text->bytes, " \t\r\n") == text->length;
	}
	return blank;
}

/* Collects the rows that are filled. */
static void
collect(Judged *judged)
{
	const ChurnCheckRows *rows = judged->rows;
	bool	   *blank = blank_categories(judged->column);
	size_t		i;

	for (i = 0; i < rows->n; i++)
	{
		float		value = churn_check_value(judged->column, rows->rows[i]);
		ChurnRanked *ranked = &judged->ranked[judged->nranked];

		if (isnan(value) || (judged->column->kind == CHURN_FEATURE_CATEGORY &&
							 blank[(uint32_t) value]))
			continue;
		ranked->value = value;
		ranked->label = rows->labels[i];
		ranked->row = (uint32_t) i;
		judged->nranked++;
		judged->filled[rows->labels[i]]++;
	}
	free(blank);
}

/*
 * Gives each row a level: its category, its value if there are few, else the
 * part of the sorted values that it is in.
 */
static void
make_levels(Judged *judged)
{
	size_t		distinct = 0;
	size_t		i;
	size_t		first = 0;
	uint16_t	level = 0;

	for (i = 0; i < judged->nranked; i++)
		distinct += i == 0 || judged->ranked[i].value !=
			judged->ranked[i - 1].value;
	for (i = 0; i < judged->nranked; i++)
	{
		const ChurnRanked *ranked = &judged->ranked[i];

		if (i > 0 && ranked->value != ranked[-1].value)
			first = i;
		if (judged->column->kind == CHURN_FEATURE_CATEGORY)
			level = (uint16_t) (ranked->value + 1);
		else if (distinct > MAX_LEVELS)
			level = (uint16_t) (first * MAX_LEVELS / judged->nranked + 1);
		else if (i == first)
			level++;
		judged->levels[ranked->row] = level;
		if (level >= judged->nlevels)
			judged->nlevels = (size_t) level + 1;
	}
}

/*
 * AUC of the column as a number, in whichever direction and with missing
 * values at whichever end is better.
 */
static double
ordered_auc(const Judged *judged)
{
	const size_t *of_class = judged->rows->of_class;
	double		filled[2] = {(double) judged->filled[0],
	(double) judged->filled[1]};
	double		missing[2] = {(double) of_class[0] - filled[0],
	(double) of_class[1] - filled[1]};
	double		all = (double) of_class[0] * (double) of_class[1];
	double		pairs = missing[0] * missing[1] / 2;
	double		low;
	double		high;

	if (filled[0] > 0 && filled[1] > 0)
		pairs += churn_check_auc(judged->ranked, judged->nranked) *
			filled[0] * filled[1];
	low = (pairs + filled[1] * missing[0]) / all;
	high = (pairs + filled[0] * missing[1]) / all;
	return fmax(fmax(low, 1 - low), fmax(high, 1 - high));
}

/*
 * AUC of the rate of churn of each row's level, learned from the rows of other
 * folds, so that levels of few rows do not look telling.
 */
static double
level_auc(const Judged *judged)
{
	const ChurnCheckRows *rows = judged->rows;
	size_t		size = judged->nlevels;
	double	   *counts = churn_alloc((FOLDS + 1) * size * 2, sizeof(double));
	ChurnScored *scored = churn_alloc(rows->n, sizeof(ChurnScored));
	double		prior = (double) rows->of_class[1] / (double) rows->n;
	double		auc;
	size_t		i;

	for (i = 0; i < rows->n; i++)
	{
		double	   *fold = counts + (i % FOLDS) * size * 2;
		double	   *all = counts + FOLDS * size * 2;

		fold[2 * judged->levels[i]]++;
		fold[2 * judged->levels[i] + 1] += rows->labels[i];
		all[2 * judged->levels[i]]++;
		all[2 * judged->levels[i] + 1] += rows->labels[i];
	}
	for (i = 0; i < rows->n; i++)
	{
		double	   *fold = counts + (i % FOLDS) * size * 2;
		double	   *all = counts + FOLDS * size * 2;
		size_t		level = judged->levels[i];

		scored[i] = churn_scored((all[2 * level + 1] - fold[2 * level + 1] +
								  PRIOR_ROWS * prior) /
								 (all[2 * level] - fold[2 * level] +
								  PRIOR_ROWS), rows->labels[i] != 0);
	}
	churn_metrics_sort(scored, rows->n);
	auc = churn_metrics_roc_auc(scored, rows->n);
	free(counts);
	free(scored);
	return auc;
}

/*
 * Standard error of an AUC (Hanley and McNeil, Radiology 143, 1982).
 */
static double
auc_error(double auc, const size_t *of_class)
{
	double		q1 = auc / (2 - auc);
	double		q2 = 2 * auc * auc / (1 + auc);
	double		n0 = (double) of_class[0];
	double		n1 = (double) of_class[1];

	return sqrt((auc * (1 - auc) + (n1 - 1) * (q1 - auc * auc) +
				 (n0 - 1) * (q2 - auc * auc)) / (n0 * n1));
}

static const char *
class_name(int label)
{
	return label ? "churned" : "did not churn";
}

/*
 * Warns of a column that is filled, or missing, nearly only for one class.
 * has is how many rows of each class are.
 */
static bool
check_one_class(const Judged *judged, const size_t *has, bool filled,
				ChurnIssues *issues)
{
	const size_t *n = judged->rows->of_class;
	const char *name = judged->column->column->settings->name;
	double		share[2] = {(double) has[0] / (double) n[0],
	(double) has[1] / (double) n[1]};
	int			more = share[1] > share[0];
	ChurnIssue	issue = {
		.severity = CHURN_SEVERITY_WARNING,
		.kind = filled ? "filled_for_one_class" : "missing_for_one_class",
		.feature = name,
		.statistic = "share",
		.value = share[more],
		.rows = has[more]
	};

	if (share[more] < MIN_SHARE || share[!more] > MAX_ODDS * share[more] ||
		share[more] * (double) n[!more] < MIN_ROWS || has[more] < MIN_ROWS)
		return false;
	churn_issues_add(issues, &issue,
					 churn_format("It is %s in %zu of %zu rows that %s, and "
								  "in %zu of %zu that %s.  Exclude it if it "
								  "is written when customers leave.",
								  filled ? "filled" : "missing", has[more],
								  n[more], class_name(more), has[!more],
								  n[!more], class_name(!more)),
					 "column \"%s\" is %s%s only for customers who %s", name,
					 filled ? "filled" : "missing",
					 has[!more] == 0 ? "" : " almost", class_name(more));
	return true;
}

/* Warns of a column whose values tell almost perfectly who churned. */
static bool
check_separates(const Judged *judged, ChurnIssues *issues)
{
	const char *name = judged->column->column->settings->name;
	double		auc = level_auc(judged);
	ChurnIssue	issue = {
		.severity = CHURN_SEVERITY_WARNING,
		.kind = "separates",
		.feature = name,
		.statistic = "auc",
		.rows = judged->rows->n
	};

	if (judged->column->kind != CHURN_FEATURE_CATEGORY)
		auc = fmax(auc, ordered_auc(judged));
	issue.value = auc;
	if (auc <= MAX_AUC ||
		auc - 2 * auc_error(auc, judged->rows->of_class) < SURE_AUC)
		return false;
	churn_issues_add(issues, &issue,
					 churn_format("Its AUC is %.4f on %zu training rows.  "
								  "Exclude it unless it is known before a "
								  "customer churns.", auc, judged->rows->n),
					 judged->column->kind == CHURN_FEATURE_AGE ?
					 "the date in column \"%s\" alone tells almost perfectly "
					 "who churned" :
					 "column \"%s\" alone tells almost perfectly who churned",
					 name);
	return true;
}

bool
churn_check_column(const ChurnCheckRows *rows, const ChurnTableColumn *column,
				   ChurnIssues *issues)
{
	Judged		judged = {.rows = rows,.column = column,.nlevels = 1};
	size_t		missing[2];
	bool		suspicious;

	if (rows->of_class[0] < MIN_CLASS_ROWS ||
		rows->of_class[1] < MIN_CLASS_ROWS)
		return false;
	judged.ranked = churn_alloc(rows->n, sizeof(ChurnRanked));
	judged.levels = churn_alloc(rows->n, sizeof(uint16_t));
	collect(&judged);
	if (column->kind != CHURN_FEATURE_CATEGORY)
		churn_check_sort(judged.ranked, judged.nranked);
	make_levels(&judged);
	missing[0] = rows->of_class[0] - judged.filled[0];
	missing[1] = rows->of_class[1] - judged.filled[1];
	suspicious = check_one_class(&judged, judged.filled, true, issues) ||
		check_one_class(&judged, missing, false, issues) ||
		check_separates(&judged, issues);
	free(judged.ranked);
	free(judged.levels);
	return suspicious;
}
