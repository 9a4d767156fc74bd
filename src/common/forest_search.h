/*
 * forest_search.h
 *		From a feature's value to its bin, without branches that depend on it.
 */
#ifndef CHURN_FOREST_SEARCH_H
#define CHURN_FOREST_SEARCH_H

#include "forest_parts.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/*
 * Counts the thresholds at or below value among the next CHURN_SEARCH_STEP.
 * They are sorted, so those that count come first.
 */
static inline uint32_t
churn_search_step(const float *thresholds, float value)
{
#ifdef __SSE2__
	const		__m128 values = _mm_set1_ps(value);
	int			low = _mm_movemask_ps(_mm_cmple_ps(_mm_loadu_ps(thresholds),
												   values));
	int			high = _mm_movemask_ps(_mm_cmple_ps(_mm_loadu_ps(thresholds + 4),
													values));

	return (uint32_t) __builtin_ctz(~(uint32_t) (low | high << 4));
#else
	uint32_t	count = 0;
	uint32_t	i;

	for (i = 0; i < CHURN_SEARCH_STEP; i++)
		count += value >= thresholds[i];
	return count;
#endif
}

/*
 * Counts the thresholds at or below the value; any number if it is NaN.  The
 * cell of a value grows with the value, whatever the rounding, so thresholds
 * in lower cells are below it and thresholds in higher cells above it; those
 * in its own cell are compared, by halves as long as there are many.
 */
static inline uint32_t
churn_bin_search(const ChurnBinner *binner, float value)
{
	const float *thresholds = binner->thresholds;
	uint32_t	low = 0;
	uint32_t	high = binner->nthresholds;

	if (binner->grid != NULL)
	{
		const float last = CHURN_GRID_CELLS - 1;
		float		place = (value - binner->low) * binner->scale;
		uint32_t	cell;

		place = place < last ? place : last;
		place = place > 0 ? place : 0;
		cell = (uint32_t) (int32_t) place;
		low = binner->grid[cell];
		high = binner->grid[cell + 1];
	}
	while (high - low > CHURN_SEARCH_STEP)
	{
		uint32_t	middle = low + (high - low) / 2;

		if (value >= thresholds[middle])
			low = middle + 1;
		else
			high = middle;
	}
	return low + churn_search_step(thresholds + low, value);
}

/*
 * Returns the place of a category: its code, or ncodes for any other value, or
 * ncodes + 1 if it is missing.
 */
static inline uint32_t
churn_code_place(float value, uint32_t ncodes)
{
	const float limit = (float) ncodes;
	float		known = value < limit ? value : limit;

	known = known >= 0 ? known : limit;
	return (uint32_t) (int32_t) known + (uint32_t) (value != value);
}

/* Returns the bin of a feature's value. */
static inline uint32_t
churn_bin(const ChurnBinner *binner, float value)
{
	if (value != value)
		return binner->missing;
	if (!binner->categorical)
		return churn_bin_search(binner, value);
	if (value >= 0 && value < (float) binner->ncodes)
		return binner->code_bins[(uint32_t) value];
	return binner->other;
}

#endif							/* CHURN_FOREST_SEARCH_H */
