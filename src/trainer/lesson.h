/*
 * lesson.h
 *		The rows that a learner of ours learns from, and what is known of their
 *		features.
 */
#ifndef CHURN_LESSON_H
#define CHURN_LESSON_H

#include "sample.h"

/* What is known of a feature, from the rows of a lesson, by weight. */
typedef struct ChurnFeatureSummary
{
	ChurnFeatureKind kind;
	double		missing;		/* weight of rows where it is missing */
	double		mean;			/* of the clipped numbers that are there */
	double		deviation;		/* their standard deviation */
	float		low;			/* numbers are clipped to low..high */
	float		high;
	uint32_t	ncategories;
	double	   *categories;		/* weight of the rows of each */
} ChurnFeatureSummary;

/*
 * Rows whose weight is above 0, at most CHURN_LESSON_ROWS of them and at most
 * CHURN_LESSON_FLOATS values, which bounds memory and time.  The rows of a
 * table are in the order of a hash, so that the first ones are a random
 * sample.
 */
typedef struct ChurnLesson
{
	const ChurnTable *table;
	size_t		nrows;
	uint32_t	nfeatures;
	float	   *values;			/* row by row, as churn_table_fill() does */
	uint8_t    *labels;
	float	   *weights;
	double		weight;			/* their sum */
	double		positives;		/* that of the rows that churned */
	ChurnFeatureSummary *features;
} ChurnLesson;

#define CHURN_LESSON_ROWS		200000
#define CHURN_LESSON_FLOATS		(16 * 1024 * 1024)

/*
 * Takes the rows out of a sample.  Numbers are clipped to the range they have,
 * and, with spread above 0, to so many standard deviations around the mean.
 */
extern void churn_lesson_make(ChurnLesson *lesson, const ChurnSample *sample,
							  double spread);
extern void churn_lesson_free(ChurnLesson *lesson);

/* A number as the summary clips it; NaN stays. */
static inline float
churn_summary_clip(const ChurnFeatureSummary *summary, float value)
{
	return value < summary->low ? summary->low :
		value > summary->high ? summary->high : value;
}

#endif							/* CHURN_LESSON_H */
