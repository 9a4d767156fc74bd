/*
 * balance.c
 *		Balancing the classes of the rows that a learner learns from.
 *
 * Where a row is weighed, sampling multiplies its weight.  Margins learned
 * from a balanced sample are those of a higher rate of churn; calibration on
 * rows as they are puts that right.
 */
#include "balance.h"

#include <string.h>

#include "memory.h"

/* Rows of a class that are learned from, and their weight. */
typedef struct Class
{
	size_t		rows;
	double		weight;
} Class;

static void
count_classes(const ChurnBalance *balance, Class *classes)
{
	const ChurnSample *sample = &balance->sample;
	size_t		row;

	memset(classes, 0, 2 * sizeof(Class));
	for (row = 0; row < sample->nreal; row++)
	{
		Class	   *class = &classes[churn_sample_label(sample, row)];

		if (balance->weights[row] <= 0)
			continue;
		class->rows++;
		class->weight += balance->weights[row];
	}
}

/*
 * Multiplies the weights of the classes so that their sums have the ratio and
 * the sum of both stays: n / (2 n_class) if all weights are 1 and ratio is 1.
 */
static void
weigh_classes(ChurnBalance *balance, const Class *classes, uint8_t rarer,
			  double ratio)
{
	double		total = classes[0].weight + classes[1].weight;
	double		factors[2];
	size_t		row;

	factors[rarer] = total * ratio / (1 + ratio) / classes[rarer].weight;
	factors[!rarer] = total / (1 + ratio) / classes[!rarer].weight;
	for (row = 0; row < balance->sample.nreal; row++)
	{
		uint8_t		label = churn_sample_label(&balance->sample, row);

		balance->weights[row] = (float) (balance->weights[row] *
										 factors[label]);
	}
}

/*
 * Repeats rows of the rarer class until there are so many more: each equally
 * often, and a random choice of them once more.
 */
static void
repeat_rows(ChurnBalance *balance, const Class *classes, uint8_t rarer,
			size_t more, uint64_t seed)
{
	size_t		n = classes[rarer].rows;
	size_t		some = more % n;
	size_t		picked = 0;
	size_t		i = 0;
	size_t		row;

	for (row = 0; row < balance->sample.nreal; row++)
	{
		size_t		times = 1 + more / n;

		if (balance->weights[row] <= 0 ||
			churn_sample_label(&balance->sample, row) != rarer)
			continue;
		if (churn_random_pick(&seed, i++, n, some, picked))
		{
			picked++;
			times++;
		}
		balance->weights[row] *= (float) times;
	}
}

/*
 * Adds rows made by SMOTE-NC.  They weigh what a row of their class does on
 * average, and more if there was no room for as many as were wanted.
 */
static void
add_made(ChurnBalance *balance, const Class *classes, uint8_t rarer,
		 size_t more, uint64_t seed)
{
	size_t		nreal = balance->sample.nreal;
	size_t		nmade = churn_smote_make(balance, rarer, more, seed);
	float	   *weights = churn_pages_alloc((nreal + nmade) * sizeof(float));
	double		weight = classes[rarer].weight / (double) classes[rarer].rows *
	((double) more / (double) nmade);
	size_t		i;

	memcpy(weights, balance->weights, nreal * sizeof(float));
	for (i = 0; i < nmade; i++)
		weights[nreal + i] = (float) weight;
	churn_pages_free(balance->weights, nreal * sizeof(float));
	balance->weights = weights;
	balance->nweights = nreal + nmade;
	balance->sample.weights = weights;
	balance->sample.nmade = nmade;
	balance->sample.made = balance->made;
	balance->sample.made_labels = balance->made_labels;
}

void
churn_balance_make(ChurnBalance *balance, const ChurnSample *real,
				   ChurnSampling sampling, double ratio, uint64_t seed)
{
	Class		classes[2];
	uint8_t		rarer;
	double		wanted;
	size_t		more;
	size_t		row;

	memset(balance, 0, sizeof(*balance));
	balance->sample = *real;
	balance->nweights = real->nreal;
	balance->weights = churn_pages_alloc(real->nreal * sizeof(float));
	for (row = 0; row < real->nreal; row++)
		balance->weights[row] = real->weights == NULL ? 1 : real->weights[row];
	balance->sample.weights = balance->weights;

	count_classes(balance, classes);
	rarer = classes[1].rows <= classes[0].rows;
	if (classes[rarer].rows == 0)
		return;
	if (sampling == CHURN_SAMPLING_CLASS_WEIGHT)
	{
		rarer = classes[1].weight <= classes[0].weight;
		if (classes[rarer].weight < ratio * classes[!rarer].weight)
			weigh_classes(balance, classes, rarer, ratio);
		return;
	}
	wanted = ratio * (double) classes[!rarer].rows + 0.5;
	if (wanted < (double) classes[rarer].rows + 1)
		return;
	more = (size_t) wanted - classes[rarer].rows;
	if (sampling == CHURN_SAMPLING_OVERSAMPLE)
		repeat_rows(balance, classes, rarer, more, seed);
	else if (sampling == CHURN_SAMPLING_SMOTE)
		add_made(balance, classes, rarer, more, seed);
}

void
churn_balance_free(ChurnBalance *balance)
{
	churn_pages_free(balance->weights, balance->nweights * sizeof(float));
	churn_pages_free(balance->made, balance->made_size);
	churn_pages_free(balance->made_labels, balance->sample.nmade);
	memset(balance, 0, sizeof(*balance));
}
