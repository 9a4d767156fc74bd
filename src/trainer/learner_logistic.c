/*
 * learner_logistic.c
 *		Logistic regression with L2 regularisation.
 *
 * Numbers are standardised and missing ones take the mean, with an indicator
 * of its own; categories have an indicator each.  All coefficients are
 * regularised alike, the intercept is not.  The standardisation is taken out
 * of the coefficients again, so that the model works on plain values.
 */
#include "learner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "additive.h"
#include "keep.h"
#include "liblinear.h"
#include "memory.h"

static const ChurnSetting params[] = {
	{"cost", "C", CHURN_SETTING_NUMBER, false, 1, 1e-6, 1e6, NULL},
	{.name = NULL}
};

/* The inputs a feature makes; none where the rows would all have the same. */
typedef struct LogisticInput
{
	int64_t		number;			/* the standardised number, or -1 */
	int64_t		missing;		/* indicator of missing values, or -1 */
	int64_t		categories;		/* indicator of category 0, or -1 */
} LogisticInput;

struct ChurnFit
{
	ChurnArena *arena;
	ChurnAdditive *additive;
	double	   *shares;
};

/* Numbers the inputs of all features; returns how many there are. */
static uint32_t
number_inputs(const ChurnLesson *lesson, LogisticInput *inputs)
{
	uint32_t	n = 0;
	uint32_t	f;

	for (f = 0; f < lesson->nfeatures; f++)
	{
		const ChurnFeatureSummary *summary = &lesson->features[f];
		LogisticInput *input = &inputs[f];

		input->number = input->missing = input->categories = -1;
		if (summary->kind == CHURN_FEATURE_CATEGORY)
		{
			input->categories = n;
			n += summary->ncategories;
		}
		else if (summary->deviation > 0)
			input->number = n++;
		if (summary->missing > 0 && summary->missing < lesson->weight)
			input->missing = n++;
	}
	return n;
}

/* Makes LIBLINEAR's rows of those of the lesson. */
static ChurnLinear *
make_rows(const ChurnLesson *lesson, const LogisticInput *inputs,
		  uint32_t ninputs)
{
	ChurnLinear *linear = churn_linear_create(lesson->nrows, ninputs,
											  lesson->nfeatures);
	size_t		i;
	uint32_t	f;

	for (i = 0; i < lesson->nrows; i++)
	{
		const float *values = lesson->values + i * lesson->nfeatures;

		churn_linear_row(linear, lesson->labels[i], lesson->weights[i]);
		for (f = 0; f < lesson->nfeatures; f++)
		{
			const ChurnFeatureSummary *summary = &lesson->features[f];

			if (isnan(values[f]))
			{
				if (inputs[f].missing >= 0)
					churn_linear_put(linear, (uint32_t) inputs[f].missing, 1);
			}
			else if (inputs[f].categories >= 0)
				churn_linear_put(linear, (uint32_t) inputs[f].categories +
								 (uint32_t) values[f], 1);
			else if (inputs[f].number >= 0)
				churn_linear_put(linear, (uint32_t) inputs[f].number,
								 (values[f] - summary->mean) /
								 summary->deviation);
		}
	}
	return linear;
}

/*
 * Makes a feature's effect of its coefficients.  What standardising took from
 * a number goes into the intercept; a missing value then counts as the mean.
 */
static void
make_effect(const ChurnFeatureSummary *summary, const LogisticInput *input,
			const double *coefficients, ChurnFit *fit, ChurnEffect *effect)
{
	if (input->missing >= 0)
		effect->missing = coefficients[input->missing];
	if (input->categories >= 0)
	{
		effect->kind = CHURN_EFFECT_CATEGORIES;
		effect->npoints = summary->ncategories;
		effect->points = churn_keep_copy(fit->arena,
										 coefficients + input->categories,
										 summary->ncategories, sizeof(double));
		return;
	}
	if (input->number < 0 && input->missing < 0)
		return;
	effect->kind = CHURN_EFFECT_LINEAR;
	effect->low = summary->low;
	effect->high = summary->high;
	if (input->number >= 0)
	{
		effect->slope = coefficients[input->number] / summary->deviation;
		effect->missing += effect->slope * summary->mean;
		fit->additive->intercept -= effect->slope * summary->mean;
	}
}

static ChurnFit *
fit_logistic(const ChurnSample *sample, const ChurnSetting *settings,
			 const ChurnFitControl *control)
{
	ChurnFit   *fit = churn_alloc(1, sizeof(ChurnFit));
	ChurnLesson lesson;
	LogisticInput *inputs;
	ChurnLinear *linear;
	double	   *coefficients;
	uint32_t	ninputs;
	uint32_t	f;

	churn_lesson_make(&lesson, sample, 0);
	inputs = churn_alloc(lesson.nfeatures, sizeof(LogisticInput));
	ninputs = number_inputs(&lesson, inputs);
	linear = make_rows(&lesson, inputs, ninputs);
	coefficients = churn_alloc(ninputs, sizeof(double));

	fit->arena = churn_keep_create();
	fit->additive = churn_additive_create(fit->arena, lesson.nfeatures);
	fit->shares = churn_keep(fit->arena, lesson.nfeatures, sizeof(double));
	churn_linear_solve(linear, churn_param(settings, "cost"), coefficients,
					   &fit->additive->intercept);
	for (f = 0; f < lesson.nfeatures; f++)
		make_effect(&lesson.features[f], &inputs[f], coefficients, fit,
					&fit->additive->effects[f]);
	churn_additive_weigh(fit->additive, &lesson, fit->shares);

	free(coefficients);
	churn_linear_free(linear);
	free(inputs);
	churn_lesson_free(&lesson);
	churn_additive_checkpoint(fit->additive, sample, control);
	if (control->release != NULL)
		churn_table_drop_train(control->release);
	return fit;
}

static void
predict_logistic(ChurnFit *fit, const ChurnTable *table, size_t first,
				 size_t count, float *margins)
{
	churn_additive_predict(fit->additive, table, first, count, margins);
}

static void
share_logistic(ChurnFit *fit, const ChurnTable *table, double *shares)
{
	size_t		f;

	for (f = 0; f < table->ncolumns; f++)
		shares[f] = fit->shares[f];
}

static void
make_component(ChurnFit *fit, const ChurnTable *table, ChurnArena *arena,
			   ChurnComponent *component, ChurnValue **document)
{
	(void) table;
	memset(component, 0, sizeof(*component));
	component->kind = CHURN_COMPONENT_ADDITIVE;
	component->algorithm = churn_learner_logistic.name;
	component->weight = 1;
	component->additive = churn_keep_additive(fit->additive, arena);
	*document = NULL;
}

static void
free_logistic(ChurnFit *fit)
{
	churn_arena_destroy(fit->arena);
	free(fit);
}

const ChurnLearner churn_learner_logistic = {
	.name = "logistic",
	.library = "liblinear",
	.version = churn_linear_version,
	.params = params,
	.has_rounds = false,
	.fit = fit_logistic,
	.predict = predict_logistic,
	.importance = share_logistic,
	.component = make_component,
	.free = free_logistic
};
