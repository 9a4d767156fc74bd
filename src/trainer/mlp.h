/*
 * mlp.h
 *		Multi-layer perceptrons in training: several small ones, the members,
 *		side by side, whose mean margin is the network's.
 *
 * All members learn from the same batches and differ by their first weights.
 * Rows come as dense numbers and a list of those flags, the other inputs, that
 * are up.
 */
#ifndef CHURN_MLP_H
#define CHURN_MLP_H

#include <stddef.h>
#include <stdint.h>

typedef struct ChurnMlpShape
{
	uint32_t	nnumbers;
	uint32_t	nflags;			/* inputs that are 0 or their scale */
	uint32_t	most;			/* inputs of a row that may differ from 0: one
								 * a feature */
	uint32_t	members;
	uint32_t	hidden;			/* units a member, first layer */
	uint32_t	hidden2;		/* second layer; 0 if there is none */
	const float *scales;		/* of the flags: what stands for 1 */
} ChurnMlpShape;

/* Rows, or a batch of them. */
typedef struct ChurnMlpRows
{
	size_t		nrows;
	float	   *numbers;		/* nnumbers a row */
	uint32_t   *flags;			/* most a row, of which the first count */
	uint32_t   *counts;
	float	   *labels;			/* 0 or 1; not needed to predict */
	float	   *weights;
} ChurnMlpRows;

/*
 * Where the coefficients are in their one array: weights of the numbers and
 * flags [input * (members * hidden) + unit], biases; if there is a second
 * layer, each member's weights [hidden * hidden2], and biases; the outputs'
 * weights [members * units] and biases [members].
 */
typedef struct ChurnMlpPlaces
{
	size_t		numbers;
	size_t		flags;
	size_t		biases;
	size_t		second;
	size_t		biases2;
	size_t		outputs;
	size_t		constants;
	size_t		total;
} ChurnMlpPlaces;

typedef struct ChurnMlp ChurnMlp;

/*
 * A network with random first weights, which starts from the margin given.
 * Batches have at most batch rows.
 */
extern ChurnMlp *churn_mlp_create(const ChurnMlpShape *shape, size_t batch,
								  float margin, uint64_t *random);
extern void churn_mlp_free(ChurnMlp *mlp);
extern const ChurnMlpPlaces *churn_mlp_places(const ChurnMlp *mlp);

/* The coefficients as they are, smoothed over the last steps. */
extern const float *churn_mlp_coefficients(const ChurnMlp *mlp);

/* Takes a step on a batch. */
extern void churn_mlp_step(ChurnMlp *mlp, const ChurnMlpRows *batch,
						   double learning_rate, double weight_decay);

/* Margins of a batch of rows by coefficients of the same shape. */
extern void churn_mlp_predict(ChurnMlp *mlp, const float *coefficients,
							  const ChurnMlpRows *batch, float *margins);

/* Room for rows of a shape. */
extern void churn_mlp_rows_create(ChurnMlpRows *rows,
								  const ChurnMlpShape *shape, size_t nrows);
extern void churn_mlp_rows_free(ChurnMlpRows *rows);

/* Makes row number to of a batch a copy of row number from of rows. */
extern void churn_mlp_rows_copy(ChurnMlpRows *batch, size_t to,
								const ChurnMlpRows *rows, size_t from,
								const ChurnMlpShape *shape);

#endif							/* CHURN_MLP_H */
