/*
 * mlp.c
 *		Multi-layer perceptrons in training.
 *
 * Products of matrices are left to BLAS.  Flags, of which few are up in a
 * row, are no matrix: their weights are just added.  BLAS is
 * used with one thread, so that sums are always made in the same order.
 */
#include "mlp.h"

#include <cblas.h>
#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "random.h"

/*
 * Constants of Adam as its authors recommend them (Kingma and Ba, "Adam: a
 * method for stochastic optimization", ICLR 2015).
 */
#define BETA1			0.9
#define BETA2			0.999
#define EPSILON			1e-8

/*
 * Coefficients are smoothed exponentially over about 1 / (1 - SMOOTHING)
 * steps, fewer at the beginning.
 */
#define SMOOTHING		0.99

struct ChurnMlp
{
	ChurnMlpShape shape;
	ChurnMlpPlaces places;
	size_t		batch;			/* most rows of a batch */
	uint64_t	steps;			/* taken so far */
	float	   *coefficients;
	float	   *gradient;
	float	   *first;			/* Adam's mean of the gradient */
	float	   *second;			/* and of its square */
	float	   *smooth;			/* coefficients, smoothed */
	float	   *units;			/* first layer's, by row */
	float	   *units2;
	float	   *outputs;		/* members' margins, by row */
	float	   *slopes;			/* of the loss, by unit of the first layer */
	float	   *slopes2;
	float	   *ones;			/* batch times 1 */
};

/* Fills count weights evenly from -bound to bound. */
static void
draw(float *weights, size_t count, double bound, uint64_t *random)
{
	size_t		i;

	for (i = 0; i < count; i++)
		weights[i] = (float) ((2 * churn_random_unit(random) - 1) * bound);
}

/*
 * Draws first weights whose variance is 2 / inputs (He et al., "Delving deep
 * into rectifiers", ICCV 2015), where the inputs that may differ from 0 in
 * one row count.
 */
static void
draw_weights(ChurnMlp *mlp, float margin, uint64_t *random)
{
	const ChurnMlpShape *shape = &mlp->shape;
	const ChurnMlpPlaces *places = &mlp->places;
	float	   *coefficients = mlp->coefficients;
	uint32_t	last = shape->hidden2 > 0 ? shape->hidden2 : shape->hidden;
	uint32_t	i;

	draw(coefficients + places->numbers, places->biases - places->numbers,
		 sqrt(6.0 / shape->most), random);
	draw(coefficients + places->second, places->biases2 - places->second,
		 sqrt(6.0 / shape->hidden), random);
	draw(coefficients + places->outputs, places->constants - places->outputs,
		 sqrt(6.0 / last), random);
	for (i = 0; i < shape->members; i++)
		coefficients[places->constants + i] = margin;
}

/* Lays out the coefficients. */
static void
lay_out(const ChurnMlpShape *shape, ChurnMlpPlaces *places)
{
	size_t		units = (size_t) shape->members * shape->hidden;
	size_t		units2 = (size_t) shape->members * shape->hidden2;

	places->numbers = 0;
	places->flags = shape->nnumbers * units;
	places->biases = places->flags + shape->nflags * units;
	places->second = places->biases + units;
	places->biases2 = places->second + units * shape->hidden2;
	places->outputs = places->biases2 + units2;
	places->constants = places->outputs + (units2 > 0 ? units2 : units);
	places->total = places->constants + shape->members;
}

/*
 * Holds OpenBLAS, if that is the BLAS here, to one thread; the reference
 * implementation has no others.
 */
static void
use_one_thread(void)
{
	void		(*set_threads) (int);

	*(void **) &set_threads = dlsym(RTLD_DEFAULT,
									"openblas_set_num_threads");
	if (set_threads != NULL)
		set_threads(1);
}

ChurnMlp *
churn_mlp_create(const ChurnMlpShape *shape, size_t batch, float margin,
				 uint64_t *random)
{
	ChurnMlp   *mlp = churn_alloc(1, sizeof(ChurnMlp));
	size_t		units = (size_t) shape->members * shape->hidden;
	size_t		units2 = (size_t) shape->members * shape->hidden2;
	size_t		i;

	use_one_thread();
	mlp->shape = *shape;
	mlp->batch = batch;
	lay_out(shape, &mlp->places);
	mlp->coefficients = churn_alloc(mlp->places.total, sizeof(float));
	mlp->gradient = churn_alloc(mlp->places.total, sizeof(float));
	mlp->first = churn_alloc(mlp->places.total, sizeof(float));
	mlp->second = churn_alloc(mlp->places.total, sizeof(float));
	mlp->smooth = churn_alloc(mlp->places.total, sizeof(float));
	mlp->units = churn_alloc(batch * units, sizeof(float));
	mlp->units2 = churn_alloc(batch * units2, sizeof(float));
	mlp->outputs = churn_alloc(batch * shape->members, sizeof(float));
	mlp->slopes = churn_alloc(batch * units, sizeof(float));
	mlp->slopes2 = churn_alloc(batch * units2, sizeof(float));
	mlp->ones = churn_alloc(batch, sizeof(float));
	for (i = 0; i < batch; i++)
		mlp->ones[i] = 1;
	draw_weights(mlp, margin, random);
	memcpy(mlp->smooth, mlp->coefficients,
		   mlp->places.total * sizeof(float));
	return mlp;
}

void
churn_mlp_free(ChurnMlp *mlp)
{
	free(mlp->coefficients);
	free(mlp->gradient);
	free(mlp->first);
	free(mlp->second);
	free(mlp->smooth);
	free(mlp->units);
	free(mlp->units2);
	free(mlp->outputs);
	free(mlp->slopes);
	free(mlp->slopes2);
	free(mlp->ones);
	free(mlp);
}

const ChurnMlpPlaces *
churn_mlp_places(const ChurnMlp *mlp)
{
	return &mlp->places;
}

const float *
churn_mlp_coefficients(const ChurnMlp *mlp)
{
	return mlp->smooth;
}

/* Adds n floats, times scale, to others. */
static inline void
add_scaled(float *restrict sums, float scale, const float *restrict values,
		   size_t n)
{
	size_t		i;

	for (i = 0; i < n; i++)
		sums[i] += scale * values[i];
}

/* Sets what is below 0 to 0. */
static inline void
rectify(float *values, size_t n)
{
	size_t		i;

	for (i = 0; i < n; i++)
		values[i] = values[i] > 0 ? values[i] : 0;
}

/* Sets slopes to 0 whose unit is 0. */
static inline void
gate(float *restrict slopes, const float *restrict units, size_t n)
{
	size_t		i;

	for (i = 0; i < n; i++)
		slopes[i] = units[i] > 0 ? slopes[i] : 0;
}

/* Computes units and outputs of a batch. */
static void
forward(ChurnMlp *mlp, const float *coefficients, const ChurnMlpRows *batch)
{
	const ChurnMlpShape *shape = &mlp->shape;
	const ChurnMlpPlaces *places = &mlp->places;
	int			rows = (int) batch->nrows;
	int			units = (int) (shape->members * shape->hidden);
	int			units2 = (int) (shape->members * shape->hidden2);
	int			width = (int) (units2 > 0 ? shape->hidden2 : shape->hidden);
	int			last = units2 > 0 ? units2 : units;
	const float *top = units2 > 0 ? mlp->units2 : mlp->units;
	uint32_t	k;
	int			i;

	for (i = 0; i < rows; i++)
	{
		const uint32_t *flags = batch->flags + (size_t) i * shape->most;
		float	   *row = mlp->units + (size_t) i * units;

		memcpy(row, coefficients + places->biases, units * sizeof(float));
		for (k = 0; k < batch->counts[i]; k++)
			add_scaled(row, shape->scales[flags[k]], coefficients +
					   places->flags + (size_t) flags[k] * units, units);
	}
	if (shape->nnumbers > 0)
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, units,
					(int) shape->nnumbers, 1, batch->numbers,
					(int) shape->nnumbers, coefficients + places->numbers,
					units, 1, mlp->units, units);
	rectify(mlp->units, (size_t) rows * units);
	if (units2 > 0)
	{
		for (i = 0; i < rows; i++)
			memcpy(mlp->units2 + (size_t) i * units2,
				   coefficients + places->biases2, units2 * sizeof(float));
		for (k = 0; k < shape->members; k++)
			cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows,
						width, (int) shape->hidden, 1,
						mlp->units + k * shape->hidden, units,
						coefficients + places->second +
						(size_t) k * shape->hidden * shape->hidden2, width, 1,
						mlp->units2 + k * shape->hidden2, units2);
		rectify(mlp->units2, (size_t) rows * units2);
	}
	for (i = 0; i < rows; i++)
		memcpy(mlp->outputs + (size_t) i * shape->members,
			   coefficients + places->constants,
			   shape->members * sizeof(float));
	for (k = 0; k < shape->members; k++)
		cblas_sgemv(CblasRowMajor, CblasNoTrans, rows, width, 1,
					top + k * width, last,
					coefficients + places->outputs + k * width, 1, 1,
					mlp->outputs + k, (int) shape->members);
}

/*
 * Turns the outputs into the slopes of the members' mean log loss over the
 * batch.
 */
static void
find_slopes(ChurnMlp *mlp, const ChurnMlpRows *batch)
{
	uint32_t	members = mlp->shape.members;
	size_t		i;
	uint32_t	k;

	for (i = 0; i < batch->nrows; i++)
	{
		float		weight = batch->weights[i] / (float) batch->nrows;

		for (k = 0; k < members; k++)
		{
			float	   *output = &mlp->outputs[i * members + k];

			*output = weight * (1 / (1 + expf(-*output)) - batch->labels[i]);
		}
	}
}

/* Adds the gradient of one layer's members; below has no slopes if NULL. */
static void
backward_layer(const ChurnMlp *mlp, int rows, int inputs, int outputs,
			   const float *below, const float *slopes, const float *weights,
			   float *gradient, float *slopes_below)
{
	int			members = (int) mlp->shape.members;
	int			k;

	for (k = 0; k < members; k++)
	{
		size_t		place = (size_t) k * inputs * outputs;

		cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, inputs, outputs,
					rows, 1, below + k * inputs, members * inputs,
					slopes + k * outputs, members * outputs, 0,
					gradient + place, outputs);
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, inputs,
					outputs, 1, slopes + k * outputs, members * outputs,
					weights + place, outputs, 0, slopes_below + k * inputs,
					members * inputs);
	}
}

/* Sums of each column of rows * columns slopes. */
static void
sum_columns(const ChurnMlp *mlp, const float *slopes, int rows, int columns,
			float *sums)
{
	cblas_sgemv(CblasRowMajor, CblasTrans, rows, columns, 1, slopes, columns,
				mlp->ones, 1, 0, sums, 1);
}

/* Computes the gradient of a batch, whose forward pass is done. */
static void
backward(ChurnMlp *mlp, const ChurnMlpRows *batch)
{
	const ChurnMlpShape *shape = &mlp->shape;
	const ChurnMlpPlaces *places = &mlp->places;
	float	   *gradient = mlp->gradient;
	int			rows = (int) batch->nrows;
	int			units = (int) (shape->members * shape->hidden);
	int			units2 = (int) (shape->members * shape->hidden2);
	int			i;
	uint32_t	k;

	find_slopes(mlp, batch);
	sum_columns(mlp, mlp->outputs, rows, (int) shape->members,
				gradient + places->constants);
	if (units2 > 0)
	{
		backward_layer(mlp, rows, (int) shape->hidden2, 1, mlp->units2,
					   mlp->outputs, mlp->coefficients + places->outputs,
					   gradient + places->outputs, mlp->slopes2);
		gate(mlp->slopes2, mlp->units2, (size_t) rows * units2);
		sum_columns(mlp, mlp->slopes2, rows, units2,
					gradient + places->biases2);
		backward_layer(mlp, rows, (int) shape->hidden, (int) shape->hidden2,
					   mlp->units, mlp->slopes2,
					   mlp->coefficients + places->second,
					   gradient + places->second, mlp->slopes);
	}
	else
		backward_layer(mlp, rows, (int) shape->hidden, 1, mlp->units,
					   mlp->outputs, mlp->coefficients + places->outputs,
					   gradient + places->outputs, mlp->slopes);
	gate(mlp->slopes, mlp->units, (size_t) rows * units);
	sum_columns(mlp, mlp->slopes, rows, units, gradient + places->biases);
	if (shape->nnumbers > 0)
		cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans,
					(int) shape->nnumbers, units, rows, 1, batch->numbers,
					(int) shape->nnumbers, mlp->slopes, units, 0,
					gradient + places->numbers, units);
	memset(gradient + places->flags, 0,
		   (places->biases - places->flags) * sizeof(float));
	for (i = 0; i < rows; i++)
	{
		const uint32_t *flags = batch->flags + (size_t) i * shape->most;

		for (k = 0; k < batch->counts[i]; k++)
			add_scaled(gradient + places->flags + (size_t) flags[k] * units,
					   shape->scales[flags[k]],
					   mlp->slopes + (size_t) i * units, units);
	}
}

/*
 * Moves coefficients first .. end by Adam's rule; decay, which pulls them
 * towards 0, is apart from it (Loshchilov and Hutter, "Decoupled weight decay
 * regularization", ICLR 2019).
 */
static void
move(ChurnMlp *mlp, size_t first, size_t end, double rate, double decay)
{
	double		correction1 = 1 - pow(BETA1, (double) mlp->steps);
	double		correction2 = 1 - pow(BETA2, (double) mlp->steps);
	double		early = ((double) mlp->steps + 1) / ((double) mlp->steps + 10);
	const float step = (float) (rate * sqrt(correction2) / correction1);
	const float epsilon = (float) (EPSILON * sqrt(correction2));
	const float keep = (float) (1 - rate * decay);
	const float fresh = (float) (1 - (early < SMOOTHING ? early : SMOOTHING));
	const float *restrict gradient = mlp->gradient;
	float	   *restrict mean = mlp->first;
	float	   *restrict square = mlp->second;
	float	   *restrict coefficients = mlp->coefficients;
	float	   *restrict smooth = mlp->smooth;
	size_t		i;

	for (i = first; i < end; i++)
	{
		float		g = gradient[i];

		mean[i] += (float) (1 - BETA1) * (g - mean[i]);
		square[i] += (float) (1 - BETA2) * (g * g - square[i]);
		coefficients[i] = keep * coefficients[i] -
			step * mean[i] / (sqrtf(square[i]) + epsilon);
		smooth[i] += fresh * (coefficients[i] - smooth[i]);
	}
}

void
churn_mlp_step(ChurnMlp *mlp, const ChurnMlpRows *batch, double learning_rate,
			   double weight_decay)
{
	const ChurnMlpPlaces *places = &mlp->places;

	forward(mlp, mlp->coefficients, batch);
	backward(mlp, batch);
	mlp->steps++;
	/* all weights decay, biases do not */
	move(mlp, places->numbers, places->biases, learning_rate, weight_decay);
	move(mlp, places->biases, places->second, learning_rate, 0);
	move(mlp, places->second, places->biases2, learning_rate, weight_decay);
	move(mlp, places->biases2, places->outputs, learning_rate, 0);
	move(mlp, places->outputs, places->constants, learning_rate,
		 weight_decay);
	move(mlp, places->constants, places->total, learning_rate, 0);
}

void
churn_mlp_predict(ChurnMlp *mlp, const float *coefficients,
				  const ChurnMlpRows *batch, float *margins)
{
	uint32_t	members = mlp->shape.members;
	size_t		i;
	uint32_t	k;

	forward(mlp, coefficients, batch);
	for (i = 0; i < batch->nrows; i++)
	{
		float		sum = 0;

		for (k = 0; k < members; k++)
			sum += mlp->outputs[i * members + k];
		margins[i] = sum / (float) members;
	}
}

void
churn_mlp_rows_create(ChurnMlpRows *rows, const ChurnMlpShape *shape,
					  size_t nrows)
{
	rows->nrows = nrows;
	rows->numbers = churn_alloc(nrows * shape->nnumbers, sizeof(float));
	rows->flags = churn_alloc(nrows * shape->most, sizeof(uint32_t));
	rows->counts = churn_alloc(nrows, sizeof(uint32_t));
	rows->labels = churn_alloc(nrows, sizeof(float));
	rows->weights = churn_alloc(nrows, sizeof(float));
}

void
churn_mlp_rows_free(ChurnMlpRows *rows)
{
	free(rows->numbers);
	free(rows->flags);
	free(rows->counts);
	free(rows->labels);
	free(rows->weights);
}

void
churn_mlp_rows_copy(ChurnMlpRows *batch, size_t to, const ChurnMlpRows *rows,
					size_t from, const ChurnMlpShape *shape)
{
	memcpy(batch->numbers + to * shape->nnumbers,
		   rows->numbers + from * shape->nnumbers,
		   shape->nnumbers * sizeof(float));
	memcpy(batch->flags + to * shape->most, rows->flags + from * shape->most,
		   rows->counts[from] * sizeof(uint32_t));
	batch->counts[to] = rows->counts[from];
	batch->labels[to] = rows->labels[from];
	batch->weights[to] = rows->weights[from];
}
