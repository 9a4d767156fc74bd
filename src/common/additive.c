/*
 * additive.c
 *		The margin of an additive model; see churn/model.h.
 */
#include <math.h>

#include "churn/predictor.h"
#include "component_parts.h"

/* Number of cuts at or below the value, which is not NaN. */
static uint32_t
find_step(const ChurnEffect *effect, float value)
{
	uint32_t	low = 0;
	uint32_t	high = effect->npoints - 1;

	while (low < high)
	{
		uint32_t	middle = (low + high) / 2;

		if (effect->cuts[middle] <= value)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* What a feature adds to the margin; see component_parts.h. */
double
churn_effect_value(const ChurnEffect *effect, float value)
{
	switch (effect->kind)
	{
		case CHURN_EFFECT_NONE:
			break;
		case CHURN_EFFECT_LINEAR:
			if (isnan(value))
				return effect->missing;
			if (value < effect->low)
				value = effect->low;
			if (value > effect->high)
				value = effect->high;
			return effect->slope * (double) value;
		case CHURN_EFFECT_STEPS:
			if (isnan(value))
				return effect->missing;
			return effect->points[find_step(effect, value)];
		case CHURN_EFFECT_CATEGORIES:
			if (value >= 0 && value < (float) effect->npoints)
				return effect->points[(uint32_t) value];
			return effect->missing;
	}
	return 0;
}

/* The margin of one row; see churn/predictor.h. */
float
churn_additive_margin(const ChurnAdditive *additive,
					  const ChurnFeature *features_of_model,
					  const float *features)
{
	double		margin = additive->intercept;
	uint32_t	i;

	(void) features_of_model;	/* the effects know their features' kinds */
	for (i = 0; i < additive->nfeatures; i++)
		margin += churn_effect_value(&additive->effects[i], features[i]);
	return (float) margin;
}
