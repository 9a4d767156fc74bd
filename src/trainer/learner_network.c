/*
 * learner_network.c
 *		Multi-layer perceptrons.
 *
 * Numbers are clipped and standardised, categories and missing values have an
 * indicator each.  Several small networks are trained side by side, and their
 * mean margin is what the model gives: still one network, in which they share
 * the inputs and the output only.
 */
#include "learner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "keep.h"
#include "lesson.h"
#include "memory.h"
#include "mlp.h"
#include "random.h"

/*
 * Numbers are clipped to so many standard deviations around the mean, so that
 * one outlier cannot drown all else.
 */
#define SPREAD			4.0

/*
 * Flags are scaled so that Adam, whose steps are of one size whatever the
 * gradient, does not learn a rare category by heart: a step then changes the
 * margin less the more categories there are.
 */
#define CATEGORY_SCALE	2.0		/* divided by the number of categories */
#define MISSING_SCALE	0.5

/* Rows of a batch that is only predicted. */
#define PREDICT_ROWS	256

/*
 * Most rows that importance is found from, and values times features, since
 * all of them are predicted once for each feature.
 */
#define SHARE_ROWS		512
#define SHARE_WORK		65536

static const ChurnSetting params[] = {
	{"rounds", "epochs", CHURN_SETTING_INTEGER, false, 100, 1, 10000, NULL},
	{"early_stopping_rounds", NULL, CHURN_SETTING_INTEGER, false,
	10, 0, 10000, NULL},
	{"members", NULL, CHURN_SETTING_INTEGER, false, 8, 1, 64, NULL},
	{"hidden", NULL, CHURN_SETTING_INTEGER, false, 16, 1, 512, NULL},
	{"hidden2", NULL, CHURN_SETTING_INTEGER, false, 8, 0, 512, NULL},
	{"learning_rate", NULL, CHURN_SETTING_NUMBER, false,
	0.01, 1e-6, 1, NULL},
	{"weight_decay", NULL, CHURN_SETTING_NUMBER, false, 0.1, 0, 100, NULL},
	{"batch_size", NULL, CHURN_SETTING_INTEGER, false, 128, 1, 8192, NULL},
	{.name = NULL}
};

struct ChurnFit
{
	ChurnArena *arena;
	ChurnMlp   *mlp;
	ChurnMlpShape shape;
	uint32_t	nfeatures;
	ChurnFeatureSummary *features;
	uint32_t   *numbers;		/* a feature's place among the numbers */
	uint32_t   *flags;			/* and that of its first flag */
	float	   *scales;			/* of the flags */
	float	   *baseline;		/* a flag's share of the rows, by weight */
	float	   *coefficients;	/* what the fit is to be */
	float	   *values;			/* PREDICT_ROWS rows of features */
	ChurnMlpRows batch;			/* the same, as the network's inputs */
	size_t		nshown;			/* rows that importance is found from */
	float	   *shown;
};

/* Numbers the inputs, and keeps what is known of the features. */
static void
number_inputs(ChurnFit *fit, const ChurnLesson *lesson)
{
	uint32_t	f;

	fit->nfeatures = fit->shape.most = lesson->nfeatures;
	fit->features = churn_keep_copy(fit->arena, lesson->features,
									lesson->nfeatures,
									sizeof(ChurnFeatureSummary));
	fit->numbers = churn_keep(fit->arena, lesson->nfeatures,
							  sizeof(uint32_t));
	fit->flags = churn_keep(fit->arena, lesson->nfeatures, sizeof(uint32_t));
	for (f = 0; f < lesson->nfeatures; f++)
	{
		fit->flags[f] = fit->shape.nflags;
		if (fit->features[f].kind != CHURN_FEATURE_CATEGORY)
			fit->numbers[f] = fit->shape.nnumbers++;
		/* the last flag is that of a missing value */
		fit->shape.nflags += fit->features[f].ncategories + 1;
	}
}

/* Sets scale and baseline of each flag. */
static void
describe_flags(ChurnFit *fit, const ChurnLesson *lesson)
{
	uint32_t	f;
	uint32_t	c;

	fit->shape.scales = fit->scales = churn_keep(fit->arena,
												 fit->shape.nflags,
												 sizeof(float));
	fit->baseline = churn_keep(fit->arena, fit->shape.nflags, sizeof(float));
	for (f = 0; f < lesson->nfeatures; f++)
	{
		const ChurnFeatureSummary *summary = &lesson->features[f];
		float	   *scales = fit->scales + fit->flags[f];
		float	   *baseline = fit->baseline + fit->flags[f];
		uint32_t	seen = 0;

		for (c = 0; c < summary->ncategories; c++)
		{
			baseline[c] = (float) (summary->categories[c] / lesson->weight);
			seen += summary->categories[c] > 0;
		}
		for (c = 0; c < summary->ncategories; c++)
			scales[c] = (float) fmin(1, CATEGORY_SCALE / seen);
		baseline[c] = (float) (summary->missing / lesson->weight);
		scales[c] = MISSING_SCALE;
	}
}

/*
 * Keeps the first rows of the lesson, as many as all features times rows may
 * be predicted for.
 */
static void
keep_shown(ChurnFit *fit, const ChurnLesson *lesson)
{
	fit->nshown = SHARE_WORK / lesson->nfeatures;
	if (fit->nshown > SHARE_ROWS)
		fit->nshown = SHARE_ROWS;
	if (fit->nshown > lesson->nrows)
		fit->nshown = lesson->nrows;
	fit->shown = churn_keep_copy(fit->arena, lesson->values,
								 fit->nshown * lesson->nfeatures,
								 sizeof(float));
}

/* What a number is multiplied by once its mean is taken off. */
static float
scale_of(const ChurnFeatureSummary *summary)
{
	return summary->deviation > 0 ? (float) (1 / summary->deviation) : 0;
}

/* Turns a row of features into inputs. */
static void
encode_row(const ChurnFit *fit, const float *values, ChurnMlpRows *rows,
		   size_t row)
{
	float	   *numbers = rows->numbers + row * fit->shape.nnumbers;
	uint32_t   *flags = rows->flags + row * fit->shape.most;
	uint32_t	n = 0;
	uint32_t	f;

	for (f = 0; f < fit->nfeatures; f++)
	{
		const ChurnFeatureSummary *summary = &fit->features[f];

		if (isnan(values[f]))
			flags[n++] = fit->flags[f] + summary->ncategories;
		else if (summary->kind == CHURN_FEATURE_CATEGORY)
			flags[n++] = fit->flags[f] + (uint32_t) values[f];
		if (summary->kind != CHURN_FEATURE_CATEGORY)
			numbers[fit->numbers[f]] = isnan(values[f]) ? 0 :
				(churn_summary_clip(summary, values[f]) -
				 (float) summary->mean) * scale_of(summary);
	}
	rows->counts[row] = n;
}

/* All rows of the lesson as inputs, with weights whose mean is 1. */
static void
encode_lesson(const ChurnFit *fit, const ChurnLesson *lesson,
			  ChurnMlpRows *rows)
{
	double		mean = lesson->weight / (double) lesson->nrows;
	size_t		i;

	churn_mlp_rows_create(rows, &fit->shape, lesson->nrows);
	for (i = 0; i < lesson->nrows; i++)
	{
		encode_row(fit, lesson->values + i * lesson->nfeatures, rows, i);
		rows->labels[i] = lesson->labels[i];
		rows->weights[i] = (float) (lesson->weights[i] / mean);
	}
}

/* Puts rows in random order (Fisher and Yates). */
static void
shuffle(uint32_t *order, size_t n, uint64_t *random)
{
	size_t		i;

	for (i = n - 1; i > 0; i--)
	{
		size_t		other = churn_random_below(random, i + 1);
		uint32_t	row = order[i];

		order[i] = order[other];
		order[other] = row;
	}
}

/* Goes once through all rows, in batches of about the same size. */
static void
run_epoch(ChurnFit *fit, const ChurnMlpRows *rows, const ChurnSetting *settings,
		  const uint32_t *order, ChurnMlpRows *batch, size_t size)
{
	size_t		nbatches = (rows->nrows + size - 1) / size;
	size_t		done = 0;
	size_t		b;

	for (b = 0; b < nbatches; b++)
	{
		size_t		end = rows->nrows * (b + 1) / nbatches;

		batch->nrows = end - done;
		for (; done < end; done++)
			churn_mlp_rows_copy(batch, batch->nrows - (end - done), rows,
								order[done], &fit->shape);
		churn_mlp_step(fit->mlp, batch, churn_param(settings, "learning_rate"),
					   churn_param(settings, "weight_decay"));
	}
}

/* Margins of rows of features, at most PREDICT_ROWS. */
static void
predict_values(ChurnFit *fit, const float *coefficients, size_t count,
			   float *margins)
{
	size_t		i;

	for (i = 0; i < count; i++)
		encode_row(fit, fit->values + i * fit->nfeatures, &fit->batch, i);
	fit->batch.nrows = count;
	churn_mlp_predict(fit->mlp, coefficients, &fit->batch, margins);
}

/* Asks the checkpoint, with the margins of all rows of the sample. */
static ChurnVerdict
ask_checkpoint(ChurnFit *fit, const ChurnSample *sample, int round,
			   float *margins, const ChurnFitControl *control)
{
	size_t		n = churn_sample_rows(sample);
	size_t		done;

	for (done = 0; done < n; done += PREDICT_ROWS)
	{
		size_t		some = n - done < PREDICT_ROWS ? n - done : PREDICT_ROWS;

		churn_sample_fill(sample, done, some, fit->values);
		predict_values(fit, churn_mlp_coefficients(fit->mlp), some,
					   margins + done);
	}
	return control->checkpoint(control->context, round, margins);
}

/* Trains until the rounds are done or the checkpoint says to stop. */
static void
run_rounds(ChurnFit *fit, const ChurnSample *sample, const ChurnMlpRows *rows,
		   const ChurnSetting *settings, const ChurnFitControl *control,
		   uint64_t *random)
{
	size_t		size = (size_t) churn_param(settings, "batch_size");
	size_t		nmargins = control->checkpoint == NULL ? 0 :
	churn_sample_rows(sample);
	size_t		nbytes = churn_mlp_places(fit->mlp)->total * sizeof(float);
	float	   *margins = churn_pages_alloc(nmargins * sizeof(float));
	uint32_t   *order = churn_alloc(rows->nrows, sizeof(uint32_t));
	ChurnVerdict verdict = CHURN_VERDICT_GO;
	ChurnMlpRows batch;
	bool		best = false;
	size_t		i;
	int			round;

	churn_mlp_rows_create(&batch, &fit->shape, size);
	for (i = 0; i < rows->nrows; i++)
		order[i] = (uint32_t) i;
	for (round = 1; round <= control->rounds &&
		 verdict != CHURN_VERDICT_STOP; round++)
	{
		shuffle(order, rows->nrows, random);
		run_epoch(fit, rows, settings, order, &batch, size);
		if (control->checkpoint == NULL ||
			(round % control->every != 0 && round < control->rounds))
			continue;
		verdict = ask_checkpoint(fit, sample, round, margins, control);
		if (verdict != CHURN_VERDICT_BEST)
			continue;
		memcpy(fit->coefficients, churn_mlp_coefficients(fit->mlp), nbytes);
		best = true;
	}
	if (!best)
		memcpy(fit->coefficients, churn_mlp_coefficients(fit->mlp), nbytes);
	churn_mlp_rows_free(&batch);
	free(order);
	churn_pages_free(margins, nmargins * sizeof(float));
}

static ChurnFit *
fit_network(const ChurnSample *sample, const ChurnSetting *settings,
			const ChurnFitControl *control)
{
	ChurnFit   *fit = churn_alloc(1, sizeof(ChurnFit));
	size_t		batch_size = (size_t) churn_param(settings, "batch_size");
	uint64_t	random = control->seed;
	ChurnLesson lesson;
	ChurnMlpRows rows;
	double		rate;

	churn_lesson_make(&lesson, sample, SPREAD);
	fit->arena = churn_keep_create();
	number_inputs(fit, &lesson);
	describe_flags(fit, &lesson);
	keep_shown(fit, &lesson);
	fit->shape.members = (uint32_t) churn_param(settings, "members");
	fit->shape.hidden = (uint32_t) churn_param(settings, "hidden");
	fit->shape.hidden2 = (uint32_t) churn_param(settings, "hidden2");
	encode_lesson(fit, &lesson, &rows);
	rate = lesson.positives / lesson.weight;
	fit->mlp = churn_mlp_create(&fit->shape, batch_size > PREDICT_ROWS ?
								batch_size : PREDICT_ROWS,
								(float) log(rate / (1 - rate)), &random);
	fit->coefficients = churn_keep(fit->arena,
								   churn_mlp_places(fit->mlp)->total,
								   sizeof(float));
	fit->values = churn_keep(fit->arena,
							 (size_t) PREDICT_ROWS * fit->nfeatures,
							 sizeof(float));
	churn_mlp_rows_create(&fit->batch, &fit->shape, PREDICT_ROWS);
	churn_lesson_free(&lesson);
	run_rounds(fit, sample, &rows, settings, control, &random);
	churn_mlp_rows_free(&rows);
	if (control->release != NULL)
		churn_table_drop_train(control->release);
	return fit;
}

static void
predict_network(ChurnFit *fit, const ChurnTable *table, size_t first,
				size_t count, float *margins)
{
	size_t		done;

	for (done = 0; done < count; done += PREDICT_ROWS)
	{
		size_t		some = count - done < PREDICT_ROWS ? count - done :
		PREDICT_ROWS;

		churn_table_fill(table, first + done, some, fit->values);
		predict_values(fit, fit->coefficients, some, margins + done);
	}
}

/* Margins of the rows that are shown, one feature's values moved by a row. */
static void
predict_shown(ChurnFit *fit, uint32_t feature, float *margins)
{
	size_t		done;
	size_t		i;

	for (done = 0; done < fit->nshown; done += PREDICT_ROWS)
	{
		size_t		some = fit->nshown - done < PREDICT_ROWS ?
		fit->nshown - done : PREDICT_ROWS;

		memcpy(fit->values, fit->shown + done * fit->nfeatures,
			   some * fit->nfeatures * sizeof(float));
		for (i = 0; feature < fit->nfeatures && i < some; i++)
			fit->values[i * fit->nfeatures + feature] =
				fit->shown[(done + i + 1) % fit->nshown * fit->nfeatures +
						   feature];
		predict_values(fit, fit->coefficients, some, margins + done);
	}
}

/*
 * A feature's share is how far the margin moves, in the mean over some rows,
 * when the feature takes another row's value.
 */
static void
share_network(ChurnFit *fit, const ChurnTable *table, double *shares)
{
	float	   *plain = churn_alloc(fit->nshown, sizeof(float));
	float	   *moved = churn_alloc(fit->nshown, sizeof(float));
	double		sum = 0;
	size_t		i;
	uint32_t	f;

	predict_shown(fit, fit->nfeatures, plain);
	for (f = 0; f < table->ncolumns; f++)
	{
		predict_shown(fit, f, moved);
		shares[f] = 0;
		for (i = 0; i < fit->nshown; i++)
			shares[f] += fabs((double) moved[i] - plain[i]);
		sum += shares[f];
	}
	for (f = 0; f < table->ncolumns; f++)
		shares[f] = sum > 0 ? shares[f] / sum : 0;
	free(plain);
	free(moved);
}

/* The first layer: weights of numbers and flags by feature, flags scaled. */
static void
make_first_layer(const ChurnFit *fit, ChurnArena *arena,
				 ChurnNetwork *network)
{
	const ChurnMlpPlaces *places = churn_mlp_places(fit->mlp);
	ChurnNetworkLayer *layer = &network->layers[0];
	uint32_t	units = fit->shape.members * fit->shape.hidden;
	float	   *weights = churn_keep(arena, (size_t) network->ninputs * units,
									 sizeof(float));
	float	   *baseline = churn_keep(arena, network->ninputs, sizeof(float));
	uint32_t	input = 0;
	uint32_t	f;
	uint32_t	c;
	uint32_t	u;

	layer->ninputs = network->ninputs;
	layer->noutputs = units;
	layer->weights = weights;
	layer->biases = churn_keep_copy(arena, fit->coefficients + places->biases,
									units, sizeof(float));
	network->baseline = baseline;
	for (f = 0; f < fit->nfeatures; f++)
	{
		const ChurnFeatureSummary *summary = &fit->features[f];
		bool		number = summary->kind != CHURN_FEATURE_CATEGORY;

		network->inputs[f].first = input;
		if (number)
		{
			network->inputs[f].low = summary->low;
			network->inputs[f].high = summary->high;
			network->inputs[f].mean = (float) summary->mean;
			network->inputs[f].scale = scale_of(summary);
			memcpy(weights + (size_t) input * units, fit->coefficients +
				   places->numbers + (size_t) fit->numbers[f] * units,
				   units * sizeof(float));
			input++;
		}
		for (c = 0; c <= summary->ncategories; c++, input++)
		{
			uint32_t	flag = fit->flags[f] + c;
			const float *from = fit->coefficients + places->flags +
			(size_t) flag * units;

			baseline[input] = fit->baseline[flag];
			for (u = 0; u < units; u++)
				weights[(size_t) input * units + u] = fit->scales[flag] *
					from[u];
		}
	}
}

/* The second layer: the members' weights, and 0 between members. */
static void
make_second_layer(const ChurnFit *fit, ChurnArena *arena,
				  ChurnNetworkLayer *layer)
{
	const ChurnMlpPlaces *places = churn_mlp_places(fit->mlp);
	uint32_t	hidden = fit->shape.hidden;
	uint32_t	hidden2 = fit->shape.hidden2;
	float	   *weights;
	uint32_t	k;
	uint32_t	i;

	layer->ninputs = fit->shape.members * hidden;
	layer->noutputs = fit->shape.members * hidden2;
	weights = churn_keep(arena, (size_t) layer->ninputs * layer->noutputs,
						 sizeof(float));
	for (k = 0; k < fit->shape.members; k++)
	{
		for (i = 0; i < hidden; i++)
			memcpy(weights + ((size_t) k * hidden + i) * layer->noutputs +
				   k * hidden2, fit->coefficients + places->second +
				   ((size_t) k * hidden + i) * hidden2,
				   hidden2 * sizeof(float));
	}
	layer->weights = weights;
	layer->biases = churn_keep_copy(arena, fit->coefficients + places->biases2,
									layer->noutputs, sizeof(float));
}

/* The output: the mean of the members'. */
static void
make_output_layer(const ChurnFit *fit, ChurnArena *arena,
				  ChurnNetworkLayer *layer)
{
	const ChurnMlpPlaces *places = churn_mlp_places(fit->mlp);
	uint32_t	members = fit->shape.members;
	float	   *weights;
	float	   *bias = churn_keep(arena, 1, sizeof(float));
	double		sum = 0;
	uint32_t	i;

	layer->ninputs = (uint32_t) (places->constants - places->outputs);
	layer->noutputs = 1;
	weights = churn_keep(arena, layer->ninputs, sizeof(float));
	for (i = 0; i < layer->ninputs; i++)
		weights[i] = fit->coefficients[places->outputs + i] / (float) members;
	for (i = 0; i < members; i++)
		sum += fit->coefficients[places->constants + i];
	*bias = (float) (sum / members);
	layer->weights = weights;
	layer->biases = bias;
}

static void
make_component(ChurnFit *fit, const ChurnTable *table, ChurnArena *arena,
			   ChurnComponent *component, ChurnValue **document)
{
	ChurnNetwork *network = churn_keep(arena, 1, sizeof(ChurnNetwork));

	(void) table;
	network->nfeatures = fit->nfeatures;
	network->inputs = churn_keep(arena, fit->nfeatures,
								 sizeof(ChurnNetworkInput));
	network->ninputs = fit->shape.nnumbers + fit->shape.nflags;
	make_first_layer(fit, arena, network);
	network->nlayers = 1;
	if (fit->shape.hidden2 > 0)
		make_second_layer(fit, arena, &network->layers[network->nlayers++]);
	make_output_layer(fit, arena, &network->layers[network->nlayers++]);
	memset(component, 0, sizeof(*component));
	component->kind = CHURN_COMPONENT_NETWORK;
	component->algorithm = churn_learner_network.name;
	component->weight = 1;
	component->network = network;
	*document = NULL;
}

static void
free_network(ChurnFit *fit)
{
	churn_mlp_rows_free(&fit->batch);
	churn_mlp_free(fit->mlp);
	churn_arena_destroy(fit->arena);
	free(fit);
}

const ChurnLearner churn_learner_network = {
	.name = "neural_network",
	.params = params,
	.has_rounds = true,
	.fit = fit_network,
	.predict = predict_network,
	.importance = share_network,
	.component = make_component,
	.free = free_network
};
