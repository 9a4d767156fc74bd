/*
 * liblinear.c
 *		Logistic regression by LIBLINEAR.
 *
 * The one file that knows LIBLINEAR's API.  Its solver L2R_LR is a trust
 * region Newton method on the primal problem (Lin, Weng and Keerthi, JMLR 9,
 * 2008), which draws no random numbers.
 */
#include "liblinear.h"

#include <linear.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "memory.h"

/*
 * LIBLINEAR's intercept is the coefficient of one more input, of this value,
 * and is regularised as all are: by (intercept / BIAS)² / 2, which is next to
 * nothing.
 */
#define BIAS			100

/*
 * Iterations end when the gradient is this part of what it was, times the
 * rarer class's share: coefficients are then exact to six digits and more.
 */
#define TOLERANCE		1e-7

/* Most rows, repeated ones counted, that LIBLINEAR is given of a class. */
#define MAX_ROWS		4e6

struct ChurnLinear
{
	size_t		nrows;
	size_t		capacity;
	uint32_t	ninputs;
	size_t		nnodes;
	size_t		node_capacity;
	struct feature_node *nodes; /* of all rows, each list ended by index -1 */
	size_t	   *starts;			/* where each row's begin */
	uint8_t    *labels;
	float	   *weights;
};

ChurnLinear *
churn_linear_create(size_t rows, uint32_t ninputs, uint32_t most)
{
	ChurnLinear *linear = churn_alloc(1, sizeof(ChurnLinear));

	linear->capacity = rows;
	linear->ninputs = ninputs;
	/* in each row, the intercept's input and the end of the list as well */
	linear->node_capacity = rows * ((size_t) most + 2);
	linear->nodes = churn_pages_alloc(linear->node_capacity *
									  sizeof(struct feature_node));
	linear->starts = churn_alloc(rows, sizeof(size_t));
	linear->labels = churn_alloc(rows, 1);
	linear->weights = churn_alloc(rows, sizeof(float));
	return linear;
}

void
churn_linear_free(ChurnLinear *linear)
{
	churn_pages_free(linear->nodes, linear->node_capacity *
					 sizeof(struct feature_node));
	free(linear->starts);
	free(linear->labels);
	free(linear->weights);
	free(linear);
}

void
churn_linear_row(ChurnLinear *linear, uint8_t label, float weight)
{
	size_t		row = linear->nrows++;

	linear->starts[row] = linear->nnodes;
	linear->nodes[linear->nnodes].index = (int) linear->ninputs + 1;
	linear->nodes[linear->nnodes].value = BIAS;
	linear->nodes[linear->nnodes + 1].index = -1;
	linear->nnodes += 2;
	linear->labels[row] = label;
	linear->weights[row] = weight;
}

void
churn_linear_put(ChurnLinear *linear, uint32_t input, double value)
{
	struct feature_node *end = &linear->nodes[linear->nnodes];

	if (value == 0)
		return;
	end[-1].index = (int) input + 1;
	end[-1].value = value;
	end[0].index = -1;
	linear->nnodes++;
}

/* Takes LIBLINEAR's messages, which nobody would see. */
static void
ignore_message(const char *message)
{
	(void) message;
}

/*
 * The weight of a row of a class that is listed once; 0 if the class has no
 * rows.  A row of twice that weight is listed twice.
 */
static double
find_unit(const ChurnLinear *linear, uint8_t label)
{
	double		smallest = INFINITY;
	double		sum = 0;
	double		unit;
	size_t		i;

	for (i = 0; i < linear->nrows; i++)
	{
		if (linear->labels[i] != label)
			continue;
		smallest = fmin(smallest, linear->weights[i]);
		sum += linear->weights[i];
	}
	if (sum == 0)
		return 0;
	unit = smallest;
	for (i = 0; i < linear->nrows; i++)
	{
		double		times = linear->weights[i] / smallest;

		if (linear->labels[i] == label &&
			fabs(times - rint(times)) > 1e-4 * times)
			unit = smallest / 4;
	}
	return fmax(unit, sum / MAX_ROWS);
}

/*
 * Lists the rows for LIBLINEAR, each as often as its weight has units.  What
 * rounding leaves over or takes too much goes to the next row of the class.
 * Returns how many there are; with rows NULL they are only counted.
 */
static size_t
list_rows(const ChurnLinear *linear, const double units[2],
		  struct feature_node **rows, double *labels)
{
	double		left[2] = {0, 0};
	size_t		n = 0;
	size_t		i;

	for (i = 0; i < linear->nrows; i++)
	{
		uint8_t		label = linear->labels[i];
		double		times = linear->weights[i] / units[label] + left[label];
		double		whole = rint(times);

		left[label] = times - whole;
		for (; whole > 0; whole--, n++)
		{
			if (rows == NULL)
				continue;
			rows[n] = &linear->nodes[linear->starts[i]];
			labels[n] = label ? 1 : -1;
		}
	}
	return n;
}

/* Runs LIBLINEAR. */
static struct model *
run(const struct problem *problem, double cost, const double units[2])
{
	int			classes[2] = {-1, 1};
	double		weights[2] = {units[0], units[1]};
	struct parameter parameter = {0};
	const char *wrong;

	parameter.solver_type = L2R_LR;
	parameter.eps = TOLERANCE;
	parameter.C = cost;
	parameter.nr_weight = 2;
	parameter.weight_label = classes;
	parameter.weight = weights;
	parameter.p = 0.1;
#if LIBLINEAR_VERSION >= 240
	parameter.regularize_bias = 1;
#endif
	set_print_string_function(ignore_message);
	wrong = check_parameter(problem, &parameter);
	if (wrong != NULL)
		churn_failure(CHURN_SQLSTATE_EXTERNAL, NULL, NULL,
					  "LIBLINEAR refused to train: %s", wrong);
	return train(problem, &parameter);
}

void
churn_linear_solve(const ChurnLinear *linear, double cost,
				   double *coefficients, double *intercept)
{
	struct problem problem = {0};
	double		units[2] = {find_unit(linear, 0), find_unit(linear, 1)};
	struct model *model;
	size_t		nrows;
	uint32_t	i;

	if (units[0] == 0 || units[1] == 0)
		churn_failure(CHURN_SQLSTATE_INVALID_PARAMETER, NULL, NULL,
					  "cannot train on rows of one class only");
	nrows = list_rows(linear, units, NULL, NULL);
	problem.l = (int) nrows;
	problem.n = (int) linear->ninputs + 1;
	problem.bias = BIAS;
	problem.x = churn_alloc(nrows, sizeof(struct feature_node *));
	problem.y = churn_alloc(nrows, sizeof(double));
	list_rows(linear, units, problem.x, problem.y);
	model = run(&problem, cost, units);
	if (model == NULL || model->nr_class != 2 || model->label[0] != 1)
		churn_failure(CHURN_SQLSTATE_EXTERNAL, NULL, NULL,
					  "LIBLINEAR made an unexpected model");
	for (i = 0; i < linear->ninputs; i++)
		coefficients[i] = model->w[i];
	*intercept = model->w[linear->ninputs] * BIAS;
	free_and_destroy_model(&model);
	free(problem.x);
	free(problem.y);
}

const char *
churn_linear_version(void)
{
	return churn_format("%d.%d", LIBLINEAR_VERSION / 100,
						LIBLINEAR_VERSION % 100 / 10);
}
