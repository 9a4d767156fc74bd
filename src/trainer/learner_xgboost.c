/*
 * learner_xgboost.c
 *		The learners of XGBoost: boosted trees and random forests.
 *
 * With xgboost_matrix.c the files that know XGBoost's C API, of which they use
 * what versions 1.7 to 3.3 have in common.
 */
#include "learner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "churn/xgboost.h"
#include "memory.h"
#include "random.h"
#include "xgboost_matrix.h"

/* Floats of a batch of rows to predict. */
#define BATCH_FLOATS		(1024 * 1024)

struct ChurnFit
{
	const ChurnLearner *learner;
	BoosterHandle booster;
};

static const char *const grow_policies[] = {"depthwise", "lossguide", NULL};

/*
 * Defaults: depth 4 with sampled rows and columns was the best compromise on
 * the Telco and the MLC churn data, and early stopping picks the rounds.
 */
static const ChurnSetting xgboost_params[] = {
	{"rounds", NULL, CHURN_SETTING_INTEGER, false, 1000, 1, 10000, NULL},
	{"early_stopping_rounds", NULL, CHURN_SETTING_INTEGER, false,
	50, 0, 10000, NULL},
	{"learning_rate", "eta", CHURN_SETTING_NUMBER, true, 0.05, 1e-4, 1, NULL},
	{"max_depth", NULL, CHURN_SETTING_INTEGER, true, 4, 1, 16, NULL},
	{"min_child_weight", NULL, CHURN_SETTING_NUMBER, true, 5, 0, 1e9, NULL},
	{"subsample", NULL, CHURN_SETTING_NUMBER, false, 0.8, 0.01, 1, NULL},
	{"colsample_bytree", NULL, CHURN_SETTING_NUMBER, true, 0.8, 0.01, 1, NULL},
	{"colsample_bylevel", NULL, CHURN_SETTING_NUMBER, true, 1, 0.01, 1, NULL},
	{"colsample_bynode", NULL, CHURN_SETTING_NUMBER, true, 1, 0.01, 1, NULL},
	{"reg_lambda", "lambda", CHURN_SETTING_NUMBER, true, 1, 0, 1e9, NULL},
	{"reg_alpha", "alpha", CHURN_SETTING_NUMBER, true, 0, 0, 1e9, NULL},
	{"gamma", NULL, CHURN_SETTING_NUMBER, true, 0, 0, 1e9, NULL},
	{"max_bin", NULL, CHURN_SETTING_INTEGER, true, 256, 2, 256, NULL},
	{"max_leaves", NULL, CHURN_SETTING_INTEGER, true, 0, 0, 65536, NULL},
	{"grow_policy", NULL, CHURN_SETTING_CHOICE, true, 0, 0, 1, grow_policies},
	{"scale_pos_weight", NULL, CHURN_SETTING_NUMBER, true, 1, 1e-6, 1e6, NULL},
	{"max_cat_to_onehot", NULL, CHURN_SETTING_INTEGER, true, 4, 1, 4096, NULL},
	{"max_delta_step", NULL, CHURN_SETTING_NUMBER, true, 0, 0, 1e9, NULL},
	{.name = NULL}
};

/*
 * Many deep trees on samples of rows and columns, averaged: one round of
 * "trees" trees.  XGBoost draws the rows.  Defaults are for effects that add
 * up; plan.c has a variation for others.
 */
static const ChurnSetting forest_params[] = {
	{"trees", "num_parallel_tree", CHURN_SETTING_INTEGER, false,
	150, 1, 2000, NULL},
	{"max_depth", NULL, CHURN_SETTING_INTEGER, true, 8, 1, 16, NULL},
	{"min_child_weight", NULL, CHURN_SETTING_NUMBER, true, 1, 0, 1e9, NULL},
	{"subsample", NULL, CHURN_SETTING_NUMBER, true, 0.63, 0.01, 1, NULL},
	{"colsample_bynode", NULL, CHURN_SETTING_NUMBER, true, 0.2, 0.01, 1, NULL},
	{"reg_lambda", "lambda", CHURN_SETTING_NUMBER, true, 0, 0, 1e9, NULL},
	{"reg_alpha", "alpha", CHURN_SETTING_NUMBER, true, 0, 0, 1e9, NULL},
	{"gamma", NULL, CHURN_SETTING_NUMBER, true, 0, 0, 1e9, NULL},
	{"max_bin", NULL, CHURN_SETTING_INTEGER, true, 256, 2, 256, NULL},
	{"scale_pos_weight", NULL, CHURN_SETTING_NUMBER, true, 1, 1e-6, 1e6, NULL},
	{"max_cat_to_onehot", NULL, CHURN_SETTING_INTEGER, true,
	4096, 1, 4096, NULL},
	{.name = NULL}
};

/* Takes XGBoost's own log messages, which nobody would see. */
static void
ignore_message(const char *message)
{
	(void) message;
}

/* Sets a booster's parameter. */
static void
set_param(BoosterHandle booster, const char *name, const char *value)
{
	churn_xgboost_check(XGBoosterSetParam(booster, name, value),
						"XGBoosterSetParam(");
}

/*
 * Sets all parameters.  The base score is the churn rate of the rows in every
 * version; left alone, 1.7 would start from one half.
 */
static void
set_params(BoosterHandle booster, const ChurnSample *sample,
		   const ChurnSetting *params, const ChurnFitControl *control)
{
	double		rate = churn_sample_positives(sample) /
	churn_sample_weight(sample);

	set_param(booster, "verbosity", "0");
	set_param(booster, "booster", "gbtree");
	set_param(booster, "tree_method", "hist");
	set_param(booster, "objective", "binary:logistic");
	set_param(booster, "eval_metric", "logloss");
	set_param(booster, "nthread", churn_format("%d", control->threads));
	set_param(booster, "seed",
			  churn_format("%llu", (unsigned long long) control->seed));
	set_param(booster, "base_score", churn_format("%.9g", rate));
	for (; params->name != NULL; params++)
	{
		if (params->xgboost)
			set_param(booster, params->name, churn_setting_text(params));
	}
}

/*
 * Gives the rows of a round their weights, which are those of the sample for
 * the rows that are drawn, else 0.  XGBoost's own way to draw rows depends, in
 * some versions, on the number of threads.
 */
static void
set_weights(DMatrixHandle matrix, const ChurnSample *sample, double share,
			uint64_t seed, int round, float *weights)
{
	size_t		n = churn_sample_rows(sample);
	uint64_t	state = (seed << 32) ^ (uint64_t) round *
	UINT64_C(0x9E3779B97F4A7C15);
	size_t		i;

	for (i = 0; i < n; i++)
		weights[i] = churn_random_unit(&state) < share ?
			sample->weights[i] : 0.0f;
	CHURN_XGBOOST(XGDMatrixSetInfoFromInterface(matrix, "weight",
												churn_xgboost_array(weights,
																	n, 1)));
}

/* Shows the margins of all rows to whoever wants to see them. */
static ChurnVerdict
show_margins(BoosterHandle booster, DMatrixHandle matrix, size_t n, int rounds,
			 const ChurnFitControl *control)
{
	static const char config[] =
	"{\"type\": 1, \"training\": false, \"iteration_begin\": 0, "
	"\"iteration_end\": 0, \"strict_shape\": false}";
	bst_ulong const *shape;
	bst_ulong	ndims;
	const float *margins;

	if (control->checkpoint == NULL)
		return CHURN_VERDICT_GO;
	if (control->blind)
		return control->checkpoint(control->context, rounds, NULL);
	CHURN_XGBOOST(XGBoosterPredictFromDMatrix(booster, matrix, config, &shape,
											  &ndims, &margins));
	if (ndims != 1 || shape[0] != n)
		churn_failure(CHURN_SQLSTATE_EXTERNAL, NULL, NULL,
					  "XGBoost predicted an unexpected number of values");
	return control->checkpoint(control->context, rounds, margins);
}

/*
 * Boosts until the rounds are done or a checkpoint stops it.  Returns how many
 * rounds to keep, and sets *done to those there are.
 */
static int
boost(BoosterHandle booster, DMatrixHandle matrix, const ChurnSample *sample,
	  const ChurnSetting *params, const ChurnFitControl *control, int *done)
{
	size_t		n = churn_sample_rows(sample);
	float	   *weights = churn_pages_alloc(n * sizeof(float));
	double		share = churn_param(params, "subsample");
	int			best = 0;
	int			round;

	for (round = 1; round <= control->rounds; round++)
	{
		ChurnVerdict verdict = CHURN_VERDICT_GO;

		if (round == 1 || share < 1)
			set_weights(matrix, sample, share, control->seed, round - 1,
						weights);
		CHURN_XGBOOST(XGBoosterUpdateOneIter(booster, round - 1, matrix));
		if (round % control->every == 0 || round == control->rounds)
			verdict = show_margins(booster, matrix, n, round, control);
		if (verdict == CHURN_VERDICT_BEST)
			best = round;
		*done = round;
		if (verdict == CHURN_VERDICT_STOP)
			break;
	}
	churn_pages_free(weights, n * sizeof(float));
	return best > 0 ? best : *done;
}

/* Cuts the trees behind the best round, so that the model holds no others. */
static void
keep_rounds(ChurnFit *fit, int rounds, int threads)
{
	BoosterHandle sliced;

	CHURN_XGBOOST(XGBoosterSlice(fit->booster, 0, rounds, 1, &sliced));
	CHURN_XGBOOST(XGBoosterFree(fit->booster));
	fit->booster = sliced;
	set_param(sliced, "verbosity", "0");
	set_param(sliced, "nthread", churn_format("%d", threads));
}

/* Starts a fit of either learner on the matrix of a sample. */
static ChurnFit *
begin_fit(const ChurnLearner *learner, const ChurnSample *sample,
		  const ChurnSetting *params, const ChurnFitControl *control,
		  DMatrixHandle *matrix)
{
	ChurnFit   *fit = churn_alloc(1, sizeof(ChurnFit));

	CHURN_XGBOOST(XGBRegisterLogCallback(ignore_message));
	*matrix = churn_xgboost_matrix(sample,
								   (int) churn_param(params, "max_bin"),
								   control->threads);
	if (control->release != NULL)
		churn_table_drop_train(control->release);
	fit->learner = learner;
	CHURN_XGBOOST(XGBoosterCreate(matrix, 1, &fit->booster));
	set_params(fit->booster, sample, params, control);
	return fit;
}

static ChurnFit *
xgboost_fit(const ChurnSample *sample, const ChurnSetting *params,
			const ChurnFitControl *control)
{
	DMatrixHandle matrix;
	ChurnFit   *fit = begin_fit(&churn_learner_xgboost, sample, params,
								control, &matrix);
	int			done;
	int			keep = boost(fit->booster, matrix, sample, params, control,
							 &done);

	if (keep < done)
		keep_rounds(fit, keep, control->threads);
	if (control->release != NULL)
		churn_xgboost_forget_matrix();
	return fit;
}

/*
 * Grows all trees in one round, in one thread, since how XGBoost draws rows
 * may depend on their number.
 */
static ChurnFit *
forest_fit(const ChurnSample *sample, const ChurnSetting *params,
		   const ChurnFitControl *control)
{
	ChurnFitControl single = *control;
	DMatrixHandle matrix;
	ChurnFit   *fit;
	size_t		n = churn_sample_rows(sample);
	float	   *weights = churn_pages_alloc(n * sizeof(float));

	single.threads = 1;
	fit = begin_fit(&churn_learner_random_forest, sample, params, &single,
					&matrix);
	set_weights(matrix, sample, 1.0, control->seed, 0, weights);
	churn_pages_free(weights, n * sizeof(float));
	set_param(fit->booster, "learning_rate", "1");
	set_param(fit->booster, "num_parallel_tree",
			  churn_format("%.0f", churn_param(params, "trees")));
	CHURN_XGBOOST(XGBoosterUpdateOneIter(fit->booster, 0, matrix));
	(void) show_margins(fit->booster, matrix, n, 1, control);
	if (control->release != NULL)
		churn_xgboost_forget_matrix();
	return fit;
}

static void
predict(ChurnFit *fit, const ChurnTable *table, size_t first, size_t count,
		float *margins)
{
	static const char config[] =
	"{\"type\": 1, \"training\": false, \"iteration_begin\": 0, "
	"\"iteration_end\": 0, \"strict_shape\": false, \"cache_id\": 0, "
	"\"missing\": NaN}";
	size_t		batch_rows = BATCH_FLOATS / table->ncolumns;
	size_t		batch_bytes;
	float	   *batch;
	size_t		done;

	if (batch_rows > count)
		batch_rows = count;
	batch_bytes = batch_rows * table->ncolumns * sizeof(float);
	batch = churn_pages_alloc(batch_bytes);
	for (done = 0; done < count; done += batch_rows)
	{
		size_t		some = count - done;
		bst_ulong const *shape;
		bst_ulong	ndims;
		const float *result;

		if (some > batch_rows)
			some = batch_rows;
		churn_table_fill(table, first + done, some, batch);
		CHURN_XGBOOST(XGBoosterPredictFromDense(fit->booster,
												churn_xgboost_array(batch, some,
																	table->ncolumns),
												config, NULL, &shape, &ndims,
												&result));
		if (ndims != 1 || shape[0] != some)
			churn_failure(CHURN_SQLSTATE_EXTERNAL, NULL, NULL,
						  "XGBoost predicted an unexpected number of values");
		memcpy(margins + done, result, some * sizeof(float));
	}
	churn_pages_free(batch, batch_bytes);
}

/*
 * XGBoost calls features f0, f1, … as long as they have no names, and tells
 * only of those that it used.
 */
static void
importance(ChurnFit *fit, const ChurnTable *table, double *shares)
{
	bst_ulong	n;
	bst_ulong	ndims;
	const char **names;
	bst_ulong const *shape;
	const float *scores;
	double		sum = 0;
	size_t		i;

	for (i = 0; i < table->ncolumns; i++)
		shares[i] = 0;
	CHURN_XGBOOST(XGBoosterSetStrFeatureInfo(fit->booster, "feature_name",
											 NULL, 0));
	CHURN_XGBOOST(XGBoosterFeatureScore(fit->booster,
										"{\"importance_type\": \"total_gain\"}",
										&n, &names, &ndims, &shape, &scores));
	for (i = 0; i < n; i++)
	{
		unsigned long feature = strtoul(names[i] + 1, NULL, 10);

		if (names[i][0] != 'f' || feature >= table->ncolumns)
			churn_failure(CHURN_SQLSTATE_EXTERNAL, NULL, NULL,
						  "XGBoost told the gain of an unknown feature \"%s\"",
						  names[i]);
		shares[feature] = scores[i];
		sum += scores[i];
	}
	for (i = 0; i < table->ncolumns && sum > 0; i++)
		shares[i] /= sum;
}

/*
 * The features' names as Python's xgboost accepts them: it refuses brackets
 * and "<", which become "_", unless that would be the name of another.
 */
static const char **
feature_names(const ChurnTable *table)
{
	const char **names = churn_alloc(table->ncolumns, sizeof(char *));
	size_t		i;
	size_t		other;

	for (i = 0; i < table->ncolumns; i++)
		names[i] = table->columns[i].column->settings->name;
	for (i = 0; i < table->ncolumns; i++)
	{
		char	   *name;
		char	   *p;

		if (strpbrk(names[i], "[]<") == NULL)
			continue;
		name = churn_alloc(strlen(names[i]) + 32, 1);
		strcpy(name, names[i]);
		for (p = name; (p = strpbrk(p, "[]<")) != NULL; p++)
			*p = '_';
		for (other = 0; other < table->ncolumns; other++)
		{
			if (other != i && strcmp(names[other], name) == 0)
				sprintf(name + strlen(name), "_%zu", i);
		}
		names[i] = name;
	}
	return names;
}

/* Ends when XGBoost's own model file can not be read. */
static void
unreadable(const ChurnError *error)
{
	if (error->code == CHURN_ERROR_MEMORY)
		churn_failure_memory();
	if (error->code == CHURN_ERROR_LIMIT)
		churn_failure(CHURN_SQLSTATE_LIMIT, NULL,
					  "Train with fewer rounds or a smaller \"max_depth\".",
					  "the trained model is too large: %s", error->message);
	churn_failure(CHURN_SQLSTATE_EXTERNAL, NULL, NULL,
				  "could not read the model of XGBoost %s: %s",
				  churn_learner_xgboost.version(), error->message);
}

/* The model is XGBoost's own file; the forest is read from it later. */
static void
component(ChurnFit *fit, const ChurnTable *table, ChurnArena *arena,
		  ChurnComponent *component, ChurnValue **document)
{
	const char **names = feature_names(table);
	const char **types = churn_xgboost_types(table);
	ChurnError	error = {CHURN_OK, ""};
	ChurnArtifact *artifact;
	bst_ulong	size;
	const char *bytes;

	CHURN_XGBOOST(XGBoosterSetStrFeatureInfo(fit->booster, "feature_name",
											 names, table->ncolumns));
	CHURN_XGBOOST(XGBoosterSetStrFeatureInfo(fit->booster, "feature_type",
											 types, table->ncolumns));
	CHURN_XGBOOST(XGBoosterSaveModelToBuffer(fit->booster,
											 "{\"format\": \"ubj\"}",
											 &size, &bytes));
	artifact = churn_artifact_read((const uint8_t *) bytes, size, arena,
								   &error);
	if (artifact == NULL)
		unreadable(&error);
	memset(component, 0, sizeof(*component));
	component->kind = CHURN_COMPONENT_FOREST;
	component->algorithm = fit->learner->name;
	component->weight = 1;
	*document = artifact->document;
}

static void
free_fit(ChurnFit *fit)
{
	CHURN_XGBOOST(XGBoosterFree(fit->booster));
	free(fit);
}

static const char *
library_version(void)
{
	static char version[48];
	int			major;
	int			minor;
	int			patch;

	XGBoostVersion(&major, &minor, &patch);
	snprintf(version, sizeof(version), "%d.%d.%d", major, minor, patch);
	return version;
}

const ChurnLearner churn_learner_xgboost = {
	.name = "xgboost",
	.library = "xgboost",
	.version = library_version,
	.params = xgboost_params,
	.has_rounds = true,
	.fit = xgboost_fit,
	.predict = predict,
	.importance = importance,
	.component = component,
	.free = free_fit
};

const ChurnLearner churn_learner_random_forest = {
	.name = "random_forest",
	.library = "xgboost",
	.version = library_version,
	.params = forest_params,
	.has_rounds = false,
	.fit = forest_fit,
	.predict = predict,
	.importance = importance,
	.component = component,
	.free = free_fit
};
