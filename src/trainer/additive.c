/*
 * additive.c
 *		Additive models in the making: logistic regressions and scorecards.
 */
#include "additive.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../common/component_parts.h"
#include "channel.h"
#include "keep.h"
#include "memory.h"

/* Floats of a batch of rows. */
#define BATCH_FLOATS	(256 * 1024)

ChurnAdditive *
churn_additive_create(ChurnArena *arena, uint32_t nfeatures)
{
	ChurnAdditive *additive = churn_keep(arena, 1, sizeof(ChurnAdditive));

	additive->nfeatures = nfeatures;
	additive->effects = churn_keep(arena, nfeatures, sizeof(ChurnEffect));
	return additive;
}

/* What a value of its feature adds to the margin, as model.h defines it. */
static double
effect_of(const ChurnEffect *effect, float value)
{
	uint32_t	step = 0;

	if (effect->kind == CHURN_EFFECT_NONE)
		return 0;
	if (isnan(value))
		return effect->missing;
	switch (effect->kind)
	{
		case CHURN_EFFECT_LINEAR:
			if (value < effect->low)
				value = effect->low;
			if (value > effect->high)
				value = effect->high;
			return effect->slope * (double) value;
		case CHURN_EFFECT_STEPS:
			while (step < effect->npoints - 1 && effect->cuts[step] <= value)
				step++;
			return effect->points[step];
		case CHURN_EFFECT_CATEGORIES:
			return effect->points[(uint32_t) value];
		case CHURN_EFFECT_NONE:
			break;
	}
	return 0;
}

void
churn_additive_weigh(ChurnAdditive *additive, const ChurnLesson *lesson,
					 double *shares)
{
	double		total = 0;
	uint32_t	f;
	size_t		i;

	for (f = 0; f < additive->nfeatures; f++)
	{
		ChurnEffect *effect = &additive->effects[f];
		const float *values = lesson->values + f;
		double		sum = 0;

		for (i = 0; i < lesson->nrows; i++)
			sum += (double) lesson->weights[i] *
				effect_of(effect, values[i * lesson->nfeatures]);
		effect->mean = sum / lesson->weight;
		shares[f] = 0;
		for (i = 0; i < lesson->nrows; i++)
			shares[f] += (double) lesson->weights[i] *
				fabs(effect_of(effect, values[i * lesson->nfeatures]) -
					 effect->mean);
		total += shares[f];
	}
	for (f = 0; f < additive->nfeatures; f++)
		shares[f] = total > 0 ? shares[f] / total : 0;
}

/* The margin of a row. */
static float
margin_of(const ChurnAdditive *additive, const float *values)
{
	double		sum = additive->intercept;
	uint32_t	f;

	for (f = 0; f < additive->nfeatures; f++)
		sum += effect_of(&additive->effects[f], values[f]);
	return (float) sum;
}

/*
 * Margins of rows first .. first + count of a sample, or, without one, of a
 * table.
 */
static void
predict_rows(const ChurnAdditive *additive, const ChurnSample *sample,
			 const ChurnTable *table, size_t first, size_t count,
			 float *margins)
{
	size_t		batch_rows = BATCH_FLOATS / additive->nfeatures;
	float	   *batch = churn_alloc(batch_rows * additive->nfeatures,
									sizeof(float));
	size_t		done;
	size_t		i;

	for (done = 0; done < count; done += batch_rows)
	{
		size_t		some = count - done < batch_rows ? count - done :
		batch_rows;

		if (sample != NULL)
			churn_sample_fill(sample, first + done, some, batch);
		else
			churn_table_fill(table, first + done, some, batch);
		for (i = 0; i < some; i++)
			margins[done + i] = margin_of(additive,
										  batch + i * additive->nfeatures);
	}
	free(batch);
}

void
churn_additive_predict(const ChurnAdditive *additive, const ChurnTable *table,
					   size_t first, size_t count, float *margins)
{
	predict_rows(additive, NULL, table, first, count, margins);
}

void
churn_additive_checkpoint(const ChurnAdditive *additive,
						  const ChurnSample *sample,
						  const ChurnFitControl *control)
{
	size_t		n = churn_sample_rows(sample);
	float	   *margins;

	if (control->checkpoint == NULL)
		return;
	margins = churn_pages_alloc(n * sizeof(float));
	predict_rows(additive, sample, NULL, 0, n, margins);
	(void) control->checkpoint(control->context, 1, margins);
	churn_pages_free(margins, n * sizeof(float));
}

ChurnAdditive *
churn_keep_additive(const ChurnAdditive *additive, ChurnArena *arena)
{
	ChurnError	error;
	ChurnAdditive *copy = churn_additive_copy(additive, arena, &error);

	if (copy == NULL)
		churn_failure_memory();
	return copy;
}
