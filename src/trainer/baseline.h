/*
 * baseline.h
 *		How features and scores are distributed, for later comparisons.
 */
#ifndef CHURN_BASELINE_H
#define CHURN_BASELINE_H

#include "churn/predictor.h"
#include "table.h"

/*
 * Measures all columns over all rows of the table.  Categories have the codes
 * of their texts yet, 1 .. count.
 */
extern void churn_baseline_measure(ChurnTable *table, ChurnArena *arena);

/*
 * Brings the counts of a column of categories into the codes that these texts
 * have got, 1 .. ncategories; a text that has code 0 was not seen in training.
 */
extern void churn_baseline_recode(ChurnTableColumn *column,
								  const uint16_t *new_codes,
								  ChurnArena *arena);

/* Measures the scores of n margins. */
extern void churn_baseline_scores(ChurnCells *cells, const float *margins,
								  size_t n,
								  const ChurnCalibration *calibration,
								  ChurnArena *arena);

#endif							/* CHURN_BASELINE_H */
