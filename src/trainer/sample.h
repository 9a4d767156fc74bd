/*
 * sample.h
 *		The rows a learner learns from: a range of the table, with weights, and
 *		rows that were made to balance the classes.
 */
#ifndef CHURN_SAMPLE_H
#define CHURN_SAMPLE_H

#include "table.h"

typedef struct ChurnSample
{
	const ChurnTable *table;
	size_t		first;			/* rows first .. first + nreal of the table */
	size_t		nreal;
	size_t		nmade;			/* synthetic rows, which come after them */
	const float *made;			/* their values, as churn_table_fill() does */
	const uint8_t *made_labels;
	const float *weights;		/* of all nreal + nmade rows; a row of weight
								 * 0 is held out: not learned from */
} ChurnSample;

/* Rows of the sample, real and made. */
static inline size_t
churn_sample_rows(const ChurnSample *sample)
{
	return sample->nreal + sample->nmade;
}

/* The label of a row of the sample, 0 or 1. */
static inline uint8_t
churn_sample_label(const ChurnSample *sample, size_t row)
{
	return row < sample->nreal ?
		sample->table->labels[sample->first + row] :
		sample->made_labels[row - sample->nreal];
}

/* Writes rows first .. first + count of the sample as floats, row by row. */
extern void churn_sample_fill(const ChurnSample *sample, size_t first,
							  size_t count, float *values);

/* Sums of weights of the rows, and of those that churned. */
extern double churn_sample_weight(const ChurnSample *sample);
extern double churn_sample_positives(const ChurnSample *sample);

#endif							/* CHURN_SAMPLE_H */
