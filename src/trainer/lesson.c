/*
 * lesson.c
 *		The rows that a learner of ours learns from, and what is known of their
 *		features.
 */
#include "lesson.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

/*
 * How many rows of weight above 0 there are among rows first .. end of a
 * sample.
 */
static size_t
count_rows(const ChurnSample *sample, size_t first, size_t end)
{
	size_t		n = 0;
	size_t		i;

	for (i = first; i < end; i++)
		n += sample->weights[i] > 0;
	return n;
}

/*
 * Copies the first most rows of weight above 0 among rows first .. end of a
 * sample; neighbours are filled in one go.
 */
static void
take_rows(ChurnLesson *lesson, const ChurnSample *sample, size_t first,
		  size_t end, size_t most)
{
	size_t		last = lesson->nrows + most;
	size_t		i = first;

	while (i < end && lesson->nrows < last)
	{
		size_t		from = i;

		while (i < end && sample->weights[i] > 0 &&
			   lesson->nrows + (i - from) < last)
		{
			lesson->labels[lesson->nrows + (i - from)] =
				churn_sample_label(sample, i);
			lesson->weights[lesson->nrows + (i - from)] = sample->weights[i];
			i++;
		}
		if (i == from)
		{
			i++;
			continue;
		}
		churn_sample_fill(sample, from, i - from,
						  lesson->values + lesson->nrows * lesson->nfeatures);
		lesson->nrows += i - from;
	}
}

/* Weighs the categories of a feature. */
static void
summarise_category(const ChurnLesson *lesson, uint32_t feature,
				   ChurnFeatureSummary *summary)
{
	size_t		i;

	for (i = 0; i < lesson->nrows; i++)
	{
		float		value = lesson->values[i * lesson->nfeatures + feature];

		if (isnan(value))
			summary->missing += lesson->weights[i];
		else
			summary->categories[(uint32_t) value] += lesson->weights[i];
	}
}

/* The mean and standard deviation of a number, clipped as it is so far. */
static void
find_moments(const ChurnLesson *lesson, uint32_t feature,
			 ChurnFeatureSummary *summary)
{
	double		weight = lesson->weight - summary->missing;
	double		sum = 0;
	double		squares = 0;
	size_t		i;

	summary->mean = summary->deviation = 0;
	if (!(weight > 0) || !(summary->low < summary->high))
	{
		summary->mean = summary->low;
		return;
	}
	for (i = 0; i < lesson->nrows; i++)
	{
		float		value = lesson->values[i * lesson->nfeatures + feature];

		if (!isnan(value))
			sum += (double) lesson->weights[i] *
				churn_summary_clip(summary, value);
	}
	summary->mean = sum / weight;
	for (i = 0; i < lesson->nrows; i++)
	{
		float		value = lesson->values[i * lesson->nfeatures + feature];
		double		distance;

		if (isnan(value))
			continue;
		distance = churn_summary_clip(summary, value) - summary->mean;
		squares += lesson->weights[i] * distance * distance;
	}
	summary->deviation = sqrt(squares / weight);
}

/*
 * Finds range, mean and deviation of a number.  Those of a range that spread
 * makes narrower are found anew, since what is clipped away had a part in
 * them.
 */
static void
summarise_number(const ChurnLesson *lesson, uint32_t feature, double spread,
				 ChurnFeatureSummary *summary)
{
	bool		any = false;
	size_t		i;

	for (i = 0; i < lesson->nrows; i++)
	{
		float		value = lesson->values[i * lesson->nfeatures + feature];

		if (isnan(value))
		{
			summary->missing += lesson->weights[i];
			continue;
		}
		if (!any || value < summary->low)
			summary->low = value;
		if (!any || value > summary->high)
			summary->high = value;
		any = true;
	}
	find_moments(lesson, feature, summary);
	if (spread > 0)
	{
		float		low = (float) (summary->mean -
								   spread * summary->deviation);
		float		high = (float) (summary->mean +
									spread * summary->deviation);

		if (low > summary->low || high < summary->high)
		{
			summary->low = fmaxf(low, summary->low);
			summary->high = fminf(high, summary->high);
			find_moments(lesson, feature, summary);
		}
	}
}

/* Summarises all features. */
static void
summarise(ChurnLesson *lesson, double spread)
{
	uint32_t	i;

	lesson->features = churn_alloc(lesson->nfeatures,
								   sizeof(ChurnFeatureSummary));
	for (i = 0; i < lesson->nfeatures; i++)
	{
		const ChurnTableColumn *column = &lesson->table->columns[i];
		ChurnFeatureSummary *summary = &lesson->features[i];

		summary->kind = column->kind;
		if (column->kind == CHURN_FEATURE_CATEGORY)
		{
			summary->ncategories = column->ncategories;
			summary->categories = churn_alloc(column->ncategories,
											  sizeof(double));
			summarise_category(lesson, i, summary);
		}
		else
			summarise_number(lesson, i, spread, summary);
	}
}

void
churn_lesson_make(ChurnLesson *lesson, const ChurnSample *sample,
				  double spread)
{
	size_t		n = churn_sample_rows(sample);
	size_t		nreal = count_rows(sample, 0, sample->nreal);
	size_t		nmade = count_rows(sample, sample->nreal, n);
	size_t		most = CHURN_LESSON_FLOATS / sample->table->ncolumns;
	size_t		i;

	memset(lesson, 0, sizeof(*lesson));
	lesson->table = sample->table;
	lesson->nfeatures = (uint32_t) sample->table->ncolumns;
	if (most > CHURN_LESSON_ROWS)
		most = CHURN_LESSON_ROWS;
	if (nreal + nmade > most)
	{
		/* made rows balance the classes, so they keep their share */
		nmade = (size_t) ((double) nmade / (double) (nreal + nmade) *
						  (double) most);
		nreal = most - nmade;
	}
	lesson->values = churn_pages_alloc((nreal + nmade) * lesson->nfeatures *
									   sizeof(float));
	lesson->labels = churn_alloc(nreal + nmade, 1);
	lesson->weights = churn_alloc(nreal + nmade, sizeof(float));
	take_rows(lesson, sample, 0, sample->nreal, nreal);
	take_rows(lesson, sample, sample->nreal, n, nmade);
	for (i = 0; i < lesson->nrows; i++)
	{
		lesson->weight += lesson->weights[i];
		lesson->positives += lesson->labels[i] ? lesson->weights[i] : 0;
	}
	summarise(lesson, spread);
}

void
churn_lesson_free(ChurnLesson *lesson)
{
	uint32_t	i;

	for (i = 0; i < lesson->nfeatures; i++)
		free(lesson->features[i].categories);
	free(lesson->features);
	free(lesson->weights);
	free(lesson->labels);
	churn_pages_free(lesson->values, lesson->nrows * lesson->nfeatures *
					 sizeof(float));
	memset(lesson, 0, sizeof(*lesson));
}
