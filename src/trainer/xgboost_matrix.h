/*
 * xgboost_matrix.h
 *		Rows in the form that XGBoost learns from, and calls of its C API.
 *
 * To be included by the files of XGBoost's learners alone.
 */
#ifndef CHURN_XGBOOST_MATRIX_H
#define CHURN_XGBOOST_MATRIX_H

#include <xgboost/c_api.h>

#include "sample.h"

/* Calls the C API, and ends on failure. */
#define CHURN_XGBOOST(call)		churn_xgboost_check((call), #call)

/*
 * Ends unless result is 0; code is the text of the call, which begins with the
 * function's name.
 */
extern void churn_xgboost_check(int result, const char *code);

/*
 * The matrix of all rows of a sample in at most max_bin bins a feature, with
 * their labels.  It is kept for the next call with the same rows and bins, and
 * belongs to this module.
 */
extern DMatrixHandle churn_xgboost_matrix(const ChurnSample *sample,
										  int max_bin, int threads);

/* Frees the matrix that is kept. */
extern void churn_xgboost_forget_matrix(void);

/* Describes an array of floats in the form that XGBoost reads. */
extern const char *churn_xgboost_array(const float *values, size_t rows,
									   size_t columns);

/* The types of the features as XGBoost names them; free() the array. */
extern const char **churn_xgboost_types(const ChurnTable *table);

#endif							/* CHURN_XGBOOST_MATRIX_H */
