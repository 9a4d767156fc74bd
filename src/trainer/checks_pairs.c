/*
 * checks_pairs.c
 *		Checks of pairs of numbers and dates against the label.
 *
 * Two columns may each be harmless and together tell who churned: the date a
 * contract began and the months that it lasted lie on a line for whoever is
 * still a customer, and off it for those who left, by the time since then.  So
 * a line is fitted to each class, robustly; where one class lies on it, the
 * distance of all rows from it is ranked.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "checks_internal.h"
#include "memory.h"

/* Columns, and rows of each class, that are looked at. */
#define MAX_COLUMNS		40
#define MAX_ROWS		5000

/* Rows of each class by which most pairs are dismissed. */
#define FIRST_ROWS		500

/* Rows of each class that have both values, and different values, needed. */
#define MIN_ROWS		20
#define MIN_VALUES		8

/*
 * A class lies on a line when this share of its rows is no further from it
 * than MAX_RESIDUAL of the range in which four fifths of its values are.  Days
 * against months differ by a thousandth.  On few rows the line is less sure.
 */
#define SHARE			0.8
#define MAX_RESIDUAL	0.01
#define FIRST_RESIDUAL	0.05

/*
 * An AUC of the distance beyond this is suspicious: less than that of a column
 * alone, since columns that are made of each other are so for either class,
 * which gives 0.5.
 */
#define MAX_AUC			0.9

/* Pairs that are reported. */
#define MAX_PAIRS		10

/* A column's values over the rows, and the rows of each class by value. */
typedef struct Series
{
	const char *name;
	float	   *values;			/* NaN is missing */
	uint32_t   *order[2];		/* rows of a class that have a value */
	size_t		count[2];
} Series;

typedef struct Line
{
	double		intercept;
	double		slope;
	double		residual;		/* SHARE of the rows are no further off */
	double		range;			/* of four fifths of the values */
} Line;

/* Room for one class, and for all rows. */
typedef struct Room
{
	double	   *x;
	double	   *y;
	double	   *scratch;
	ChurnRanked *ranked;
} Room;

/* A pair that was found. */
typedef struct Found
{
	const Series *x;
	const Series *y;
	Line		line;
	int			label;			/* of the class on the line */
	double		auc;
	size_t		rows;
} Found;

/*
 * The value that a share of n values lies below, which is one of them; their
 * order is changed (Hoare, "Algorithm 65: Find", CACM 4, 1961).
 */
static double
quantile(double *values, size_t n, double share)
{
	ptrdiff_t	k = (ptrdiff_t) (share * (double) (n - 1));
	ptrdiff_t	low = 0;
	ptrdiff_t	high = (ptrdiff_t) n - 1;

	while (low < high)
	{
		double		pivot = values[k];
		ptrdiff_t	i = low;
		ptrdiff_t	j = high;

		while (i <= j)
		{
			while (values[i] < pivot)
				i++;
			while (pivot < values[j])
				j--;
			if (i <= j)
			{
				double		value = values[i];

				values[i++] = values[j];
				values[j--] = value;
			}
		}
		if (j < k)
			low = i;
		if (k < i)
			high = j;
	}
	return values[k];
}

/* The range in which four fifths of the values are. */
static double
range_of(const double *values, size_t n, double *scratch)
{
	memcpy(scratch, values, n * sizeof(double));
	return quantile(scratch, n, 0.9) - quantile(scratch, n, 0.1);
}

/* The rows of a class that are looked at, first .. first + the result. */
static size_t
class_rows(const ChurnCheckRows *rows, int label, size_t *first)
{
	*first = label ? rows->of_class[0] : 0;
	return rows->of_class[label] < MAX_ROWS ? rows->of_class[label] : MAX_ROWS;
}

/*
 * Reads a column.  False when it has too few values to lie on a line.
 */
static bool
make_series(const ChurnCheckRows *rows, const ChurnTableColumn *column,
			const Room *room, Series *series)
{
	ChurnRanked *ranked = room->ranked;
	int			label;
	size_t		i;

	series->name = column->column->settings->name;
	series->values = churn_alloc(rows->n, sizeof(float));
	for (label = 0; label < 2; label++)
	{
		size_t		first;
		size_t		n = class_rows(rows, label, &first);
		size_t		distinct = 0;
		size_t		count = 0;

		for (i = first; i < first + n; i++)
		{
			float		value = churn_check_value(column, rows->rows[i]);

			series->values[i] = value;
			if (isnan(value))
				continue;
			ranked[count].value = value;
			ranked[count++].row = (uint32_t) i;
		}
		churn_check_sort(ranked, count);
		series->order[label] = churn_alloc(count, sizeof(uint32_t));
		series->count[label] = count;
		for (i = 0; i < count; i++)
		{
			series->order[label][i] = ranked[i].row;
			distinct += i == 0 || ranked[i].value != ranked[i - 1].value;
		}
		if (distinct < MIN_VALUES || count < MIN_ROWS)
			return false;
	}
	return true;
}

static void
free_series(Series *series)
{
	free(series->values);
	free(series->order[0]);
	free(series->order[1]);
	memset(series, 0, sizeof(*series));
}

/*
 * Reads the values of the rows of a class that have both, by rising x; of the
 * first so many rows only.
 */
static size_t
collect(const ChurnCheckRows *rows, const Series *x, const Series *y,
		int label, size_t limit, Room *room)
{
	size_t		first;
	size_t		n = 0;
	size_t		i;

	class_rows(rows, label, &first);
	for (i = 0; i < x->count[label]; i++)
	{
		uint32_t	row = x->order[label][i];

		if (row >= first + limit || isnan(y->values[row]))
			continue;
		room->x[n] = x->values[row];
		room->y[n++] = y->values[row];
	}
	return n;
}

/* Sets the residual of a line on n rows, and its intercept if that is NaN. */
static void
measure_line(const Room *room, size_t n, Line *line)
{
	size_t		i;

	if (isnan(line->intercept))
	{
		for (i = 0; i < n; i++)
			room->scratch[i] = room->y[i] - line->slope * room->x[i];
		line->intercept = quantile(room->scratch, n, 0.5);
	}
	for (i = 0; i < n; i++)
		room->scratch[i] = fabs(room->y[i] - line->intercept -
								line->slope * room->x[i]);
	line->residual = quantile(room->scratch, n, SHARE);
}

/* The line of least squares through the rows near to a line. */
static void
refine_line(const Room *room, size_t n, Line *line)
{
	double		limit = 3 * line->residual;
	double		rows = 0;
	double		x = 0;
	double		y = 0;
	double		xx = 0;
	double		xy = 0;
	Line		refined = *line;
	size_t		i;
	int			pass;

	/* means first, so that large values lose nothing */
	for (pass = 0; pass < 2; pass++)
	{
		for (i = 0; i < n; i++)
		{
			if (fabs(room->y[i] - line->intercept -
					 line->slope * room->x[i]) > limit)
				continue;
			if (pass == 0)
			{
				rows++;
				x += room->x[i];
				y += room->y[i];
			}
			else
			{
				xx += (room->x[i] - x) * (room->x[i] - x);
				xy += (room->x[i] - x) * (room->y[i] - y);
			}
		}
		if (pass == 0)
		{
			x /= rows;
			y /= rows;
		}
	}
	if (xx <= 0)
		return;
	refined.slope = xy / xx;
	refined.intercept = y - refined.slope * x;
	measure_line(room, n, &refined);
	if (refined.residual < line->residual)
		*line = refined;
}

/*
 * Fits a line to n rows by rising x: its slope is the median of those between
 * each row of the lower half and one of the upper, so that a quarter of the
 * rows may lie elsewhere.  False unless SHARE of the rows are no further off
 * than a part of the range, and the line itself makes most of that range.
 */
static bool
fit_line(Room *room, size_t n, double max_residual, Line *line)
{
	size_t		half = n / 2;
	size_t		slopes = 0;
	size_t		i;
	double		range_x;

	if (n < MIN_ROWS)
		return false;
	for (i = 0; i + half < n; i++)
	{
		double		run = room->x[i + half] - room->x[i];

		if (run > 0)
			room->scratch[slopes++] = (room->y[i + half] - room->y[i]) / run;
	}
	if (slopes < MIN_ROWS / 2)
		return false;
	line->slope = quantile(room->scratch, slopes, 0.5);
	line->intercept = NAN;
	measure_line(room, n, line);
	line->range = range_of(room->y, n, room->scratch);
	range_x = range_of(room->x, n, room->scratch);
	if (fabs(line->slope) * range_x < line->range / 2 || line->range <= 0)
		return false;
	refine_line(room, n, line);
	return line->residual <= max_residual * line->range;
}

/* Ranks all rows by their distance from a line through one class. */
static bool
rank_distances(const ChurnCheckRows *rows, const Room *room, Found *found)
{
	size_t		count[2] = {0, 0};
	int			label;
	size_t		i;

	found->rows = 0;
	for (label = 0; label < 2; label++)
	{
		size_t		first;
		size_t		n = class_rows(rows, label, &first);

		for (i = first; i < first + n; i++)
		{
			double		off = (double) found->y->values[i] -
			found->line.intercept -
			found->line.slope * found->x->values[i];

			if (isnan(off))
				continue;
			room->ranked[found->rows].value = (float) fabs(off);
			room->ranked[found->rows].label = (uint8_t) label;
			room->ranked[found->rows++].row = (uint32_t) i;
			count[label]++;
		}
	}
	if (count[0] < MIN_ROWS || count[1] < MIN_ROWS)
		return false;
	churn_check_sort(room->ranked, found->rows);
	found->auc = churn_check_auc(room->ranked, found->rows);
	if (found->label == 1)
		found->auc = 1 - found->auc;
	return found->auc > MAX_AUC;
}

/* Looks for a line through either class of a pair; true if it is telling. */
static bool
check_pair(const ChurnCheckRows *rows, const Series *x, const Series *y,
		   Room *room, Found *found)
{
	bool		any = false;
	int			label;

	for (label = 0; label < 2; label++)
	{
		Found		tried = {.x = x,.y = y,.label = label};
		size_t		n = collect(rows, x, y, label, FIRST_ROWS, room);

		if (!fit_line(room, n, FIRST_RESIDUAL, &tried.line))
			continue;
		n = collect(rows, x, y, label, MAX_ROWS, room);
		if (fit_line(room, n, MAX_RESIDUAL, &tried.line) &&
			rank_distances(rows, room, &tried) &&
			(!any || tried.auc > found->auc))
		{
			*found = tried;
			any = true;
		}
	}
	return any;
}

static void
report(const Found *found, ChurnIssues *issues)
{
	const char *on = found->label ? "churned" : "did not churn";
	ChurnIssue	issue = {
		.severity = CHURN_SEVERITY_WARNING,
		.kind = "pair_separates",
		.feature = found->x->name,
		.other_feature = found->y->name,
		.statistic = "auc",
		.value = found->auc,
		.rows = found->rows
	};

	churn_issues_add(issues, &issue,
					 churn_format("For customers who %s \"%s\" is %.6g + "
								  "%.6g * \"%s\" to within %.3g; for the "
								  "others it is not, and the distance from "
								  "that line has an AUC of %.4f.  Such a pair "
								  "tells when customers left: exclude one "
								  "column, or count both up to the same date.",
								  on, found->y->name, found->line.intercept,
								  found->line.slope, found->x->name,
								  found->line.residual, found->auc),
					 "columns \"%s\" and \"%s\" together tell who "
					 "churned", found->x->name, found->y->name);
}

static int
compare_found(const void *left, const void *right)
{
	const Found *a = left;
	const Found *b = right;

	if (a->auc != b->auc)
		return a->auc > b->auc ? -1 : 1;
	return a->x != b->x ? (a->x > b->x) - (a->x < b->x) :
		(a->y > b->y) - (a->y < b->y);
}

/*
 * Reads the columns that can be of a pair, dates before numbers; returns how
 * many.
 */
static size_t
make_all_series(const ChurnCheckRows *rows, const bool *suspicious,
				const Room *room, Series *series)
{
	static const ChurnFeatureKind kinds[] = {CHURN_FEATURE_AGE,
	CHURN_FEATURE_NUMBER};
	size_t		n = 0;
	size_t		i;
	int			pass;

	for (pass = 0; pass < 2; pass++)
	{
		for (i = 0; i < rows->table->ncolumns && n < MAX_COLUMNS; i++)
		{
			if (rows->table->columns[i].kind != kinds[pass] || suspicious[i])
				continue;
			if (make_series(rows, &rows->table->columns[i], room, &series[n]))
				n++;
			else
				free_series(&series[n]);
		}
	}
	return n;
}

void
churn_check_pairs(const ChurnCheckRows *rows, const bool *suspicious,
				  ChurnIssues *issues)
{
	Series		series[MAX_COLUMNS + 1];
	Found	   *found = churn_alloc(MAX_COLUMNS * MAX_COLUMNS / 2,
									sizeof(Found));
	Room		room = {
		.x = churn_alloc(MAX_ROWS, sizeof(double)),
		.y = churn_alloc(MAX_ROWS, sizeof(double)),
		.scratch = churn_alloc(MAX_ROWS, sizeof(double)),
		.ranked = churn_alloc(2 * MAX_ROWS, sizeof(ChurnRanked))
	};
	size_t		nfound = 0;
	size_t		n;
	size_t		i;
	size_t		j;

	memset(series, 0, sizeof(series));
	n = make_all_series(rows, suspicious, &room, series);
	for (i = 0; i < n; i++)
	{
		for (j = i + 1; j < n; j++)
			nfound += check_pair(rows, &series[i], &series[j], &room,
								 &found[nfound]);
	}
	qsort(found, nfound, sizeof(Found), compare_found);
	for (i = 0; i < nfound && i < MAX_PAIRS; i++)
		report(&found[i], issues);
	for (i = 0; i < n; i++)
		free_series(&series[i]);
	free(found);
	free(room.x);
	free(room.y);
	free(room.scratch);
	free(room.ranked);
}
