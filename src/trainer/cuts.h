/*
 * cuts.h
 *		Where the values of features are cut into bins.
 */
#ifndef CHURN_CUTS_H
#define CHURN_CUTS_H

#include "sample.h"

/*
 * Rows that hold, in each column of numbers, the lowest value of each of at
 * most max_bin bins and, in each column of categories, every code; NaN fills
 * the shorter columns.  Each value occurs once, so that a quantile sketch of
 * the rows keeps them all.  Free with churn_pages_free().
 */
extern float *churn_cuts_make(const ChurnSample *sample, int max_bin,
							  size_t *nrows);

#endif							/* CHURN_CUTS_H */
