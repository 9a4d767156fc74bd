/*
 * sample.c
 *		The rows a learner learns from.
 */
#include "sample.h"

#include <string.h>

void
churn_sample_fill(const ChurnSample *sample, size_t first, size_t count,
				  float *values)
{
	size_t		ncolumns = sample->table->ncolumns;
	size_t		real = 0;

	if (first < sample->nreal)
	{
		real = sample->nreal - first;
		if (real > count)
			real = count;
		churn_table_fill(sample->table, sample->first + first, real, values);
	}
	if (count > real)
		memcpy(values + real * ncolumns,
			   sample->made + (first + real - sample->nreal) * ncolumns,
			   (count - real) * ncolumns * sizeof(float));
}

double
churn_sample_weight(const ChurnSample *sample)
{
	size_t		n = churn_sample_rows(sample);
	double		sum = 0;
	size_t		i;

	for (i = 0; i < n; i++)
		sum += sample->weights[i];
	return sum;
}

double
churn_sample_positives(const ChurnSample *sample)
{
	size_t		n = churn_sample_rows(sample);
	double		sum = 0;
	size_t		i;

	for (i = 0; i < n; i++)
		sum += churn_sample_label(sample, i) ? sample->weights[i] : 0;
	return sum;
}
