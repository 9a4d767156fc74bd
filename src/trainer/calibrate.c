/*
 * calibrate.c
 *		Fitting the map from margins to probabilities.
 *
 * Platt's logistic and the beta calibration are logistic regressions of one
 * and two inputs that the margin makes; both are fitted by Newton's method.
 * The kind is chosen among held-out folds by log loss, a simpler one unless
 * the better one is better by MIN_GAIN.
 */
#include "calibrate.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calibrate_internal.h"
#include "channel.h"
#include "churn/predictor.h"
#include "memory.h"

/* Folds when none are given. */
#define DEFAULT_FOLDS	5

/* No row is held out. */
#define NO_FOLD			255

/* Rows of each class below which there is nothing to fit. */
#define MIN_CLASS_ROWS	10

/* Isotonic calibration needs more rows that churned than this. */
#define MIN_ISOTONIC	1000

/*
 * A less simple kind has to lower the held-out log loss by this share of it.
 * Being off by 0.013 at a rate of a quarter costs as much.
 */
#define MIN_GAIN		0.001

/*
 * Least slope of the calibrated log-odds over the margin, at either end: flat
 * enough for margins that tell nothing, and steep enough that different
 * margins give different probabilities.
 */
#define MIN_SLOPE		0.001

/* Newton's method is done when a step gains less than this share. */
#define TOLERANCE		1e-15
#define MAX_STEPS		100

static const char *const kind_names[] = {"none", "Platt", "beta", "isotonic"};

/* ln(1 + exp(z)). */
static inline double
softplus(double z)
{
	return (z > 0 ? z : 0) + log1p(exp(-fabs(z)));
}

static int
compare_points(const void *left, const void *right)
{
	const ChurnPoint *a = left;
	const ChurnPoint *b = right;

	if (a->margin != b->margin)
		return a->margin < b->margin ? -1 : 1;
	if (a->label != b->label)
		return a->label < b->label ? -1 : 1;
	return (a->fold > b->fold) - (a->fold < b->fold);
}

/* A logistic regression in the making: inputs that the margin makes. */
typedef struct Regression
{
	int			ninputs;
	double		theta[3];
	bool		fixed[3];		/* theta is given */
} Regression;

/* The inputs of a row: the last is 1, for the intercept. */
static inline void
make_inputs(int ninputs, const ChurnPoint *point, double *inputs)
{
	inputs[0] = ninputs == 2 ? point->margin : point->low;
	inputs[1] = point->high;
	inputs[ninputs - 1] = 1;
}

/*
 * Loss, gradient and Hessian (upper half) at theta, over the rows outside the
 * fold.  Targets are Platt's: (N+ + 1) / (N+ + 2) and 1 / (N- + 2), so that
 * classes which a margin separates do not need an infinite slope.
 */
static double
evaluate(const ChurnPoints *points, int fold, const Regression *regression,
		 const double *theta, double *gradient, double (*hessian)[3])
{
	int			n = regression->ninputs;
	double		positives = (double) points->positives[fold];
	double		negatives = (double) points->rows[fold] - positives;
	double		target[2] = {1 / (negatives + 2),
	(positives + 1) / (positives + 2)};
	double		loss = 0;
	size_t		row;
	int			i;
	int			j;

	memset(gradient, 0, 3 * sizeof(double));
	memset(hessian, 0, 9 * sizeof(double));
	for (row = 0; row < points->n; row++)
	{
		const ChurnPoint *point = &points->points[row];
		double		inputs[3];
		double		z = 0;
		double		p;

		if (point->fold == fold)
			continue;
		make_inputs(n, point, inputs);
		for (i = 0; i < n; i++)
			z += theta[i] * inputs[i];
		p = 1 / (1 + exp(-z));
		loss += softplus(z) - target[point->label] * z;
		for (i = 0; i < n; i++)
		{
			gradient[i] += (p - target[point->label]) * inputs[i];
			for (j = i; j < n; j++)
				hessian[i][j] += p * (1 - p) * inputs[i] * inputs[j];
		}
	}
	return loss;
}

/*
 * The step that Newton's method takes in the inputs that are not fixed; a
 * Cholesky factorisation with a ridge that keeps it possible.
 */
static void
newton_step(const Regression *regression, const double *gradient,
			double (*hessian)[3], double *step)
{
	double		factor[3][3];
	int			free_inputs[3];
	int			n = 0;
	int			i;
	int			j;
	int			k;

	for (i = 0; i < regression->ninputs; i++)
	{
		step[i] = 0;
		if (!regression->fixed[i])
			free_inputs[n++] = i;
	}
	for (i = 0; i < n; i++)
	{
		for (j = 0; j <= i; j++)
		{
			double		sum = hessian[free_inputs[j]][free_inputs[i]];

			if (i == j)
				sum = sum * (1 + 1e-12) + 1e-12;
			for (k = 0; k < j; k++)
				sum -= factor[i][k] * factor[j][k];
			factor[i][j] = i == j ? sqrt(sum > 1e-300 ? sum : 1e-300) :
				sum / factor[j][j];
		}
	}
	for (i = 0; i < n; i++)
	{
		double		sum = -gradient[free_inputs[i]];

		for (k = 0; k < i; k++)
			sum -= factor[i][k] * step[free_inputs[k]];
		step[free_inputs[i]] = sum / factor[i][i];
	}
	for (i = n - 1; i >= 0; i--)
	{
		double		sum = step[free_inputs[i]];

		for (k = i + 1; k < n; k++)
			sum -= factor[k][i] * step[free_inputs[k]];
		step[free_inputs[i]] = sum / factor[i][i];
	}
}

/*
 * Newton's method with backtracking (Lin, Lin and Weng, "A note on Platt's
 * probabilistic outputs", Machine Learning 68, 2007), from theta on.
 */
static void
fit_regression(const ChurnPoints *points, int fold, Regression *regression)
{
	int			n = regression->ninputs;
	double		gradient[3];
	double		hessian[3][3];
	double		loss;
	int			steps;
	int			i;

	loss = evaluate(points, fold, regression, regression->theta, gradient,
					hessian);
	for (steps = 0; steps < MAX_STEPS; steps++)
	{
		double		step[3];
		double		theta[3];
		double		slope = 0;
		double		length = 1;
		double		tried;

		newton_step(regression, gradient, hessian, step);
		for (i = 0; i < n; i++)
			slope += gradient[i] * step[i];
		if (-slope <= TOLERANCE * loss)
			break;
		for (;;)
		{
			for (i = 0; i < n; i++)
				theta[i] = regression->theta[i] + length * step[i];
			tried = evaluate(points, fold, regression, theta, gradient,
							 hessian);
			if (tried <= loss + 1e-4 * length * slope || length < 1e-10)
				break;
			length /= 2;
		}
		if (tried >= loss)
			break;
		memcpy(regression->theta, theta, sizeof(theta));
		loss = tried;
	}
}

/*
 * Fits Platt's logistic (two inputs) or the beta calibration (three).  Where a
 * slope comes out below MIN_SLOPE the others are fitted with it held there, as
 * Kull et al. do without it.  Begins at the fit to all rows, if that is given,
 * else at the rows' own rate without slopes.
 */
static void
fit_slopes(const ChurnPoints *points, int fold, const ChurnCalibration *whole,
		   Regression *regression)
{
	int			i;

	if (whole != NULL)
	{
		regression->theta[0] = whole->a;
		regression->theta[1] = whole->b;
		regression->theta[2] = whole->c;
	}
	else
		regression->theta[regression->ninputs - 1] =
			log((double) points->positives[fold] + 1) -
			log((double) (points->rows[fold] - points->positives[fold]) + 1);
	for (;;)
	{
		int			lowest = -1;

		fit_regression(points, fold, regression);
		for (i = 0; i < regression->ninputs - 1; i++)
		{
			if (!regression->fixed[i] && regression->theta[i] < MIN_SLOPE &&
				(lowest < 0 ||
				 regression->theta[i] < regression->theta[lowest]))
				lowest = i;
		}
		if (lowest < 0)
			return;
		regression->fixed[lowest] = true;
		regression->theta[lowest] = MIN_SLOPE;
	}
}

/*
 * Fits a calibration of a kind to the rows outside the fold.  False where that
 * cannot be done.  whole is that of all rows, or NULL.
 */
static bool
fit_kind(const ChurnPoints *points, int fold, ChurnCalibrationKind kind,
		 const ChurnCalibration *whole, ChurnArena *arena,
		 ChurnCalibration *calibration)
{
	Regression	regression = {.ninputs = 0};

	memset(calibration, 0, sizeof(*calibration));
	calibration->kind = kind;
	switch (kind)
	{
		case CHURN_CALIBRATION_NONE:
			break;
		case CHURN_CALIBRATION_PLATT:
			regression.ninputs = 2;
			fit_slopes(points, fold, whole, &regression);
			calibration->a = regression.theta[0];
			calibration->b = regression.theta[1];
			break;
		case CHURN_CALIBRATION_BETA:
			regression.ninputs = 3;
			fit_slopes(points, fold, whole, &regression);
			calibration->a = regression.theta[0];
			calibration->b = regression.theta[1];
			calibration->c = regression.theta[2];
			break;
		case CHURN_CALIBRATION_ISOTONIC:
			return churn_isotonic_fit(points, fold, MIN_SLOPE, arena,
									  calibration);
	}
	return true;
}

/* Log loss of a fold's rows, its sum. */
static double
loss_in_fold(const ChurnPoints *points, int fold,
			 const ChurnCalibration *calibration)
{
	double		loss = 0;
	size_t		row;

	for (row = 0; row < points->n; row++)
	{
		const ChurnPoint *point = &points->points[row];
		double		z;

		if (point->fold != fold)
			continue;
		z = churn_calibrated_logit(calibration, point->margin);
		loss += softplus(z) - (point->label ? z : 0);
	}
	return loss;
}

/* Mean log loss of each fold's rows by a fit to the others; NaN if none is. */
static double
held_out_loss(const ChurnPoints *points, ChurnCalibrationKind kind)
{
	ChurnArena *arena = churn_arena_create();
	ChurnCalibration whole;
	ChurnCalibration calibration;
	double		loss = 0;
	int			fold;

	if (arena == NULL)
		churn_failure_memory();
	if (!fit_kind(points, NO_FOLD, kind, NULL, arena, &whole))
		loss = NAN;
	for (fold = 0; fold < NO_FOLD; fold++)
	{
		if (points->rows[fold] == points->n)
			continue;
		if (fit_kind(points, fold, kind, &whole, arena, &calibration))
			loss += loss_in_fold(points, fold, &calibration);
		else
			loss = NAN;
	}
	churn_arena_destroy(arena);
	return loss / (double) points->n;
}

/* Sorts the rows by margin and counts them by fold. */
static void
make_points(ChurnPoints *points, const float *margins, const uint8_t *labels,
			const uint8_t *folds, size_t n)
{
	size_t		row;
	int			fold;

	memset(points, 0, sizeof(*points));
	points->n = n;
	points->points = churn_pages_alloc(n * sizeof(ChurnPoint));
	for (row = 0; row < n; row++)
	{
		ChurnPoint *point = &points->points[row];

		if (!isfinite(margins[row]))
			churn_failure(CHURN_SQLSTATE_EXTERNAL, NULL, NULL,
						  "a margin to be calibrated is not finite");
		point->margin = margins[row];
		point->low = -softplus(-point->margin);
		point->high = softplus(point->margin);
		point->label = labels[row];
		point->fold = folds != NULL ? folds[row] :
			(uint8_t) (row % DEFAULT_FOLDS);
		points->rows[point->fold]++;
		points->positives[point->fold] += labels[row];
	}
	qsort(points->points, n, sizeof(ChurnPoint), compare_points);

	/* from rows of the fold to rows outside it; NO_FOLD holds no row */
	points->positives[NO_FOLD] = 0;
	for (fold = 0; fold < NO_FOLD; fold++)
		points->positives[NO_FOLD] += points->positives[fold];
	points->rows[NO_FOLD] = n;
	for (fold = 0; fold < NO_FOLD; fold++)
	{
		points->rows[fold] = n - points->rows[fold];
		points->positives[fold] =
			points->positives[NO_FOLD] - points->positives[fold];
	}
}

/* True when every fit has rows of both classes. */
static bool
can_hold_out(const ChurnPoints *points)
{
	int			fold;

	for (fold = 0; fold <= NO_FOLD; fold++)
	{
		size_t		positives = points->positives[fold];

		if (positives < MIN_CLASS_ROWS ||
			points->rows[fold] - positives < MIN_CLASS_ROWS)
			return false;
	}
	return true;
}

/* Chooses the kind by held-out log loss and tells why. */
static ChurnCalibrationKind
choose_kind(const ChurnPoints *points, ChurnCalibrationReport *report)
{
	ChurnCalibrationKind chosen = CHURN_CALIBRATION_NONE;
	size_t		used;
	int			kind;

	for (kind = 0; kind < CHURN_CALIBRATION_KINDS; kind++)
	{
		double	   *loss = report->log_loss;

		if (kind == CHURN_CALIBRATION_ISOTONIC &&
			points->positives[NO_FOLD] <= MIN_ISOTONIC)
			continue;
		loss[kind] = held_out_loss(points, (ChurnCalibrationKind) kind);
		if (loss[kind] < loss[chosen] * (1 - MIN_GAIN))
			chosen = (ChurnCalibrationKind) kind;
	}
	used = (size_t) snprintf(report->why, sizeof(report->why),
							 "%s calibration: held-out log loss",
							 kind_names[chosen]);
	for (kind = 0; kind < CHURN_CALIBRATION_KINDS; kind++)
	{
		if (isnan(report->log_loss[kind]))
			continue;
		used += (size_t) snprintf(report->why + used,
								  sizeof(report->why) - used, "%s %.5f (%s)",
								  kind == 0 ? "" : ",",
								  report->log_loss[kind], kind_names[kind]);
	}
	return chosen;
}

void
churn_calibration_fit(const float *margins, const uint8_t *labels,
					  const uint8_t *folds, size_t n, int wanted,
					  ChurnArena *arena, ChurnCalibration *calibration,
					  ChurnCalibrationReport *report)
{
	ChurnPoints points;
	ChurnCalibrationKind kind = (ChurnCalibrationKind) wanted;
	int			i;

	for (i = 0; i < CHURN_CALIBRATION_KINDS; i++)
		report->log_loss[i] = NAN;
	make_points(&points, margins, labels, folds, n);
	if (!can_hold_out(&points))
	{
		kind = CHURN_CALIBRATION_NONE;
		snprintf(report->why, sizeof(report->why),
				 "no calibration: %zu of %zu rows churned, and %d of each "
				 "class are needed outside each fold",
				 points.positives[NO_FOLD], n, MIN_CLASS_ROWS);
	}
	else if (wanted == CHURN_CALIBRATION_AUTO)
		kind = choose_kind(&points, report);
	else
		snprintf(report->why, sizeof(report->why),
				 "%s calibration, as asked for", kind_names[kind]);
	if (!fit_kind(&points, NO_FOLD, kind, NULL, arena, calibration))
	{
		fit_kind(&points, NO_FOLD, CHURN_CALIBRATION_PLATT, NULL, arena,
				 calibration);
		snprintf(report->why, sizeof(report->why),
				 "Platt calibration: the margins tell too little for an "
				 "isotonic one");
	}
	churn_pages_free(points.points, n * sizeof(ChurnPoint));
}

double
churn_prior_offset(double true_rate, double sampled_rate)
{
	return log(true_rate / (1 - true_rate)) -
		log(sampled_rate / (1 - sampled_rate));
}
