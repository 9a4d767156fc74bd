/*
 * liblinear.h
 *		Logistic regression by LIBLINEAR.
 */
#ifndef CHURN_LIBLINEAR_H
#define CHURN_LIBLINEAR_H

#include <stddef.h>
#include <stdint.h>

/* Rows as lists of the inputs that are not 0. */
typedef struct ChurnLinear ChurnLinear;

/* Room for rows with so many inputs, each not 0 in at most most of them. */
extern ChurnLinear *churn_linear_create(size_t rows, uint32_t ninputs,
										uint32_t most);
extern void churn_linear_free(ChurnLinear *linear);

/* Begins the next row; put() gives it an input from 0 .. ninputs - 1. */
extern void churn_linear_row(ChurnLinear *linear, uint8_t label,
							 float weight);
extern void churn_linear_put(ChurnLinear *linear, uint32_t input,
							 double value);

/*
 * Finds the coefficients, one an input, and the intercept that minimise
 *		sum of coefficients² / 2 + cost * sum of weight * log loss.
 * LIBLINEAR cannot weigh rows one by one.  Weights are kept exactly if those
 * of a class's rows are whole multiples of the smallest of them; if not, they
 * are rounded to a quarter of it, so that the sum of neighbours is kept.
 */
extern void churn_linear_solve(const ChurnLinear *linear, double cost,
							   double *coefficients, double *intercept);

/* LIBLINEAR's version, as text. */
extern const char *churn_linear_version(void);

#endif							/* CHURN_LIBLINEAR_H */
