/*
 * calibrate_internal.h
 *		What calibrate.c and calibrate_isotonic.c share.
 */
#ifndef CHURN_CALIBRATE_INTERNAL_H
#define CHURN_CALIBRATE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "churn/model.h"

typedef struct ChurnPoint
{
	double		low;			/* ln of the logistic function of the margin */
	double		high;			/* -ln of 1 less that */
	float		margin;
	uint8_t		label;
	uint8_t		fold;
} ChurnPoint;

/* Rows in the order of their margins. */
typedef struct ChurnPoints
{
	ChurnPoint *points;
	size_t		n;
	size_t		rows[256];		/* outside each fold; 255 is none of them */
	size_t		positives[256]; /* of these */
} ChurnPoints;

/*
 * Fits an isotonic calibration of at least min_slope to the rows outside the
 * fold.  False when the margins do not rise with churn at all.
 */
extern bool churn_isotonic_fit(const ChurnPoints *points, int fold,
							   double min_slope, ChurnArena *arena,
							   ChurnCalibration *calibration);

#endif							/* CHURN_CALIBRATE_INTERNAL_H */
