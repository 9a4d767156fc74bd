/*
 * learner_xgboost.c
 *		Learning a model with XGBoost.
 *
 * The one file that knows XGBoost's C API, of which it uses what versions 1.7
 * to 3.3 have in common.  Data go to XGBoost in batches of floats made from
 * the table, from which it builds a matrix of bins; no copy of all floats
 * ever exists.
 */
#include "learner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xgboost/c_api.h>

#include "channel.h"
#include "churn/hash.h"
#include "cuts.h"
#include "memory.h"

/* Floats of a batch. */
#define BATCH_FLOATS		(1024 * 1024)

#define CHECKED(call)		check((call), #call)

struct ChurnLearner
{
	BoosterHandle booster;
	int			threads;
	int			rounds;
	float	   *batch;			/* room for batch_rows rows of features */
	size_t		batch_rows;
};

/* An iteration over rows, which XGBoost drives. */
typedef struct Batches
{
	const ChurnLearner *learner;
	const ChurnTable *table;
	const float *values;		/* the rows, or NULL to take the table's */
	DMatrixHandle proxy;
	const char **types;			/* of the features */
	size_t		first;			/* rows first .. end are passed */
	size_t		end;
	size_t		next;			/* first row of the next batch */
	const char *failed;			/* the call that failed, or NULL */
} Batches;

/*
 * Ends on a failed call of the C API; code is its text, which begins with the
 * function's name.  XGBoost's messages begin with the time and place in its
 * source, and end with a stack trace.
 */
static void
check(int result, const char *code)
{
	const char *message = XGBGetLastError();
	const char *place;

	if (result == 0)
		return;
	if (strstr(message, "bad_alloc") != NULL ||
		strstr(message, "bad_array_new_length") != NULL ||
		strstr(message, "bad_malloc") != NULL)
		churn_failure_memory();
	if (message[0] == '[' && (place = strstr(message, ": ")) != NULL)
		message = place + 2;
	churn_failure(CHURN_SQLSTATE_EXTERNAL,
				  churn_format("%.*s", (int) strcspn(message, "\n"), message),
				  NULL, "XGBoost failed in %.*s()",
				  (int) strcspn(code, "("), code);
}

/* Takes XGBoost's own log messages, which nobody would see. */
static void
ignore_message(const char *message)
{
	(void) message;
}

/* Describes an array of floats in the form that XGBoost reads. */
static const char *
array_interface(const float *values, size_t rows, size_t columns)
{
	return churn_format("{\"data\": [%llu, true], \"shape\": [%zu, %zu], "
						"\"typestr\": \"<f4\", \"version\": 3}",
						(unsigned long long) (uintptr_t) values, rows,
						columns);
}

static void
reset_batches(DataIterHandle handle)
{
	Batches    *batches = handle;

	batches->next = batches->first;
}

/*
 * Passes the next batch; returns 0 when there is none.  Any other result means
 * "one more" to XGBoost, so that a failure is kept for later.
 */
static int
next_batch(DataIterHandle handle)
{
	Batches    *batches = handle;
	const ChurnLearner *learner = batches->learner;
	const ChurnTable *table = batches->table;
	const float *values = batches->values;
	size_t		count = batches->end - batches->next;

	if (count == 0 || batches->failed != NULL)
		return 0;
	if (values == NULL)
	{
		if (count > learner->batch_rows)
			count = learner->batch_rows;
		churn_table_fill(table, batches->next, count, learner->batch);
		values = learner->batch;
	}
	batches->next += count;
	if (XGProxyDMatrixSetDataDense(batches->proxy,
								   array_interface(values, count,
												   table->ncolumns)) != 0)
		batches->failed = "XGProxyDMatrixSetDataDense(";
	else if (XGDMatrixSetStrFeatureInfo(batches->proxy, "feature_type",
										batches->types,
										table->ncolumns) != 0)
		batches->failed = "XGDMatrixSetStrFeatureInfo(";
	return batches->failed == NULL;
}

/* The types of the features as XGBoost names them. */
static const char **
feature_types(const ChurnTable *table)
{
	const char **types = churn_alloc(table->ncolumns, sizeof(char *));
	size_t		i;

	for (i = 0; i < table->ncolumns; i++)
		types[i] = table->columns[i].kind == CHURN_FEATURE_CATEGORY ?
			"c" : "float";
	return types;
}

/*
 * Makes a matrix of bins of rows first .. end, of the table or, if values are
 * given, of these.  It takes the bins of reference, if there is one.
 */
static DMatrixHandle
make_binned(const ChurnLearner *learner, const ChurnSettings *settings,
			const ChurnTable *table, const float *values, size_t first,
			size_t end, DMatrixHandle reference)
{
	Batches		batches = {.learner = learner,.table = table};
	DMatrixHandle matrix = NULL;
	char		config[128];
	int			result;

	batches.values = values;
	batches.first = batches.next = first;
	batches.end = end;
	batches.types = feature_types(table);
	CHECKED(XGProxyDMatrixCreate(&batches.proxy));
	snprintf(config, sizeof(config),
			 "{\"missing\": NaN, \"nthread\": %d, \"max_bin\": %d}",
			 settings->threads,
			 (int) churn_setting_param(settings, "max_bin"));
	result = XGQuantileDMatrixCreateFromCallback(&batches, batches.proxy,
												 reference, reset_batches,
												 next_batch, config, &matrix);
	if (batches.failed != NULL)
		check(-1, batches.failed);
	check(result, "XGQuantileDMatrixCreateFromCallback(");
	CHECKED(XGDMatrixFree(batches.proxy));
	free(batches.types);
	return matrix;
}

/* Gives a matrix the labels of a part. */
static void
set_labels(DMatrixHandle matrix, const ChurnTable *table, ChurnPart part)
{
	size_t		n = churn_table_rows(table, part);
	float	   *labels = churn_pages_alloc(n * sizeof(float));
	size_t		i;

	for (i = 0; i < n; i++)
		labels[i] = table->labels[table->start[part] + i];
	CHECKED(XGDMatrixSetInfoFromInterface(matrix, "label",
										  array_interface(labels, n, 1)));
	churn_pages_free(labels, n * sizeof(float));
}

/*
 * Makes the matrix that trees grow on: the training rows in the bins of
 * churn_cuts_make().
 */
static DMatrixHandle
make_train_matrix(const ChurnLearner *learner, const ChurnSettings *settings,
				  const ChurnTable *table)
{
	size_t		nrows;
	float	   *cuts = churn_cuts_make(table,
									   (int) churn_setting_param(settings,
																 "max_bin"),
									   &nrows);
	DMatrixHandle reference = make_binned(learner, settings, table, cuts, 0,
										  nrows, NULL);
	DMatrixHandle matrix = make_binned(learner, settings, table, NULL,
									   table->start[CHURN_PART_TRAIN],
									   table->nrows, reference);

	CHECKED(XGDMatrixFree(reference));
	churn_pages_free(cuts, nrows * table->ncolumns * sizeof(float));
	set_labels(matrix, table, CHURN_PART_TRAIN);
	return matrix;
}

/*
 * Makes the matrix that each round is evaluated on.  It holds plain values:
 * predicting from bins would take as long as growing the tree.
 */
static DMatrixHandle
make_validation_matrix(const ChurnSettings *settings, const ChurnTable *table)
{
	size_t		n = churn_table_rows(table, CHURN_PART_VALIDATION);
	size_t		size = n * table->ncolumns * sizeof(float);
	float	   *values = churn_pages_alloc(size);
	const char **types = feature_types(table);
	DMatrixHandle matrix;
	char		config[64];

	churn_table_fill(table, table->start[CHURN_PART_VALIDATION], n, values);
	snprintf(config, sizeof(config), "{\"missing\": NaN, \"nthread\": %d}",
			 settings->threads);
	CHECKED(XGDMatrixCreateFromDense(array_interface(values, n,
													 table->ncolumns),
									 config, &matrix));
	churn_pages_free(values, size);
	CHECKED(XGDMatrixSetStrFeatureInfo(matrix, "feature_type", types,
									   table->ncolumns));
	free(types);
	set_labels(matrix, table, CHURN_PART_VALIDATION);
	return matrix;
}

/* Sets a booster's parameter. */
static void
set_param(BoosterHandle booster, const char *name, const char *value)
{
	check(XGBoosterSetParam(booster, name, value), "XGBoosterSetParam(");
}

/*
 * Sets all parameters.  The base score is the training rows' churn rate in
 * every version; left alone, 1.7 would start from one half.
 */
static void
set_params(const ChurnLearner *learner, const ChurnSettings *settings,
		   const ChurnTable *table)
{
	BoosterHandle booster = learner->booster;
	const ChurnSetting *setting;

	set_param(booster, "verbosity", "0");
	set_param(booster, "booster", "gbtree");
	set_param(booster, "tree_method", "hist");
	set_param(booster, "objective", "binary:logistic");
	set_param(booster, "eval_metric", "logloss");
	set_param(booster, "nthread", churn_format("%d", settings->threads));
	set_param(booster, "base_score",
			  churn_format("%.9g",
						   (double) table->positives[CHURN_PART_TRAIN] /
						   (double) churn_table_rows(table,
													 CHURN_PART_TRAIN)));
	for (setting = settings->params; setting->name != NULL; setting++)
	{
		if (setting->xgboost)
			set_param(booster, setting->name, churn_setting_text(setting));
	}
	for (setting = settings->options; setting->name != NULL; setting++)
	{
		if (setting->xgboost)
			set_param(booster, setting->name, churn_setting_text(setting));
	}
}

/*
 * Chooses the training rows of a round: those of weight 1.  XGBoost's own way
 * to do so depends, in some versions, on the number of threads.  The random
 * numbers are those of SplitMix64 (Steele, Lea and Flood, "Fast splittable
 * pseudorandom number generators", 2014).
 */
static void
sample_rows(const ChurnSettings *settings, DMatrixHandle train, float *weights,
			size_t n, int round)
{
	const uint64_t gamma = UINT64_C(0x9E3779B97F4A7C15);
	double		share = churn_setting_param(settings, "subsample");
	uint64_t	state = (uint64_t) churn_setting_option(settings, "seed");
	size_t		i;

	state = (state << 32) ^ ((uint64_t) round * gamma);
	for (i = 0; i < n; i++)
	{
		uint64_t	random = state += gamma;

		random = (random ^ (random >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
		random = (random ^ (random >> 27)) * UINT64_C(0x94D049BB133111EB);
		random ^= random >> 31;
		weights[i] = churn_hash_unit(random) < share ? 1.0f : 0.0f;
	}
	CHECKED(XGDMatrixSetInfoFromInterface(train, "weight",
										  array_interface(weights, n, 1)));
}

/* The validation log loss after a round. */
static double
evaluate_round(BoosterHandle booster, int round, DMatrixHandle validation)
{
	const char *name = "validation";
	const char *line;
	const char *value;

	CHECKED(XGBoosterEvalOneIter(booster, round, &validation, &name, 1,
								 &line));
	value = strrchr(line, ':');
	return value != NULL ? strtod(value + 1, NULL) : NAN;
}

/*
 * Boosts until the rounds are done or the validation loss has not improved for
 * early_stopping_rounds rounds.  Returns how many rounds to keep.
 */
static int
boost(const ChurnLearner *learner, const ChurnSettings *settings,
	  DMatrixHandle train, size_t ntrain, DMatrixHandle validation, int *done)
{
	float	   *weights = churn_pages_alloc(ntrain * sizeof(float));
	int			rounds = (int) churn_setting_param(settings, "rounds");
	int			patience = (int) churn_setting_param(settings,
													 "early_stopping_rounds");
	double		best_loss = INFINITY;
	double		loss = NAN;
	int			best = 0;
	int			round;

	for (round = 0; round < rounds; round++)
	{
		if (churn_setting_param(settings, "subsample") < 1)
			sample_rows(settings, train, weights, ntrain, round);
		CHECKED(XGBoosterUpdateOneIter(learner->booster, round, train));
		loss = evaluate_round(learner->booster, round, validation);
		if (loss < best_loss)
		{
			best_loss = loss;
			best = round + 1;
		}
		churn_progress_round((uint32_t) round + 1, (uint32_t) rounds, loss);
		if (patience > 0 && round + 1 - best >= patience)
		{
			round++;
			break;
		}
	}
	churn_pages_free(weights, ntrain * sizeof(float));
	*done = round;
	if (patience == 0 || best == 0)
		best = round;
	if (best < round)
		churn_notice(NULL, "kept %d of %d rounds: validation log loss %.5f "
					 "was lowest there", best, round, best_loss);
	else
		churn_notice(NULL, "trained %d rounds: validation log loss %.5f",
					 round, loss);
	return best;
}

/* Cuts the trees behind the best round, so that the model holds no others. */
static void
keep_rounds(ChurnLearner *learner, int rounds)
{
	BoosterHandle sliced;

	CHECKED(XGBoosterSlice(learner->booster, 0, rounds, 1, &sliced));
	CHECKED(XGBoosterFree(learner->booster));
	learner->booster = sliced;
	set_param(sliced, "verbosity", "0");
	set_param(sliced, "nthread", churn_format("%d", learner->threads));
}

ChurnLearner *
churn_learner_train(const ChurnSettings *settings, ChurnTable *table)
{
	ChurnLearner *learner = churn_alloc(1, sizeof(ChurnLearner));
	DMatrixHandle matrices[2];
	int			done;

	CHECKED(XGBRegisterLogCallback(ignore_message));
	learner->threads = settings->threads;
	learner->batch_rows = BATCH_FLOATS / table->ncolumns;
	learner->batch = churn_pages_alloc(learner->batch_rows *
									   table->ncolumns * sizeof(float));
	matrices[0] = make_train_matrix(learner, settings, table);
	churn_table_drop_train(table);
	matrices[1] = make_validation_matrix(settings, table);

	churn_progress_phase(CHURN_PHASE_TRAINING);
	CHECKED(XGBoosterCreate(matrices, 2, &learner->booster));
	set_params(learner, settings, table);
	learner->rounds = boost(learner, settings, matrices[0],
							churn_table_rows(table, CHURN_PART_TRAIN),
							matrices[1], &done);
	if (learner->rounds < done)
		keep_rounds(learner, learner->rounds);
	CHECKED(XGDMatrixFree(matrices[1]));
	CHECKED(XGDMatrixFree(matrices[0]));
	return learner;
}

int
churn_learner_rounds(const ChurnLearner *learner)
{
	return learner->rounds;
}

void
churn_learner_predict(ChurnLearner *learner, const ChurnTable *table,
					  size_t first, size_t count, float *scores)
{
	static const char config[] =
	"{\"type\": 0, \"training\": false, \"iteration_begin\": 0, "
	"\"iteration_end\": 0, \"strict_shape\": false, \"cache_id\": 0, "
	"\"missing\": NaN}";
	size_t		done = 0;

	while (done < count)
	{
		size_t		some = count - done;
		bst_ulong const *shape;
		bst_ulong	ndims;
		const float *result;

		if (some > learner->batch_rows)
			some = learner->batch_rows;
		churn_table_fill(table, first + done, some, learner->batch);
		CHECKED(XGBoosterPredictFromDense(learner->booster,
										  array_interface(learner->batch,
														  some,
														  table->ncolumns),
										  config, NULL, &shape, &ndims,
										  &result));
		if (ndims != 1 || shape[0] != some)
			churn_failure(CHURN_SQLSTATE_EXTERNAL, NULL, NULL,
						  "XGBoost predicted an unexpected number of values");
		memcpy(scores + done, result, some * sizeof(float));
		done += some;
	}
}

/*
 * XGBoost calls features f0, f1, … as long as they have no names, and tells
 * only of those that it used.
 */
void
churn_learner_importance(ChurnLearner *learner, const ChurnTable *table,
						 double *shares)
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
	CHECKED(XGBoosterSetStrFeatureInfo(learner->booster, "feature_name",
									   NULL, 0));
	CHECKED(XGBoosterFeatureScore(learner->booster,
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

const char *
churn_learner_save(ChurnLearner *learner, const ChurnTable *table,
				   const char *text, uint64_t *length)
{
	const char **names = feature_names(table);
	const char **types = feature_types(table);
	bst_ulong	size;
	const char *bytes;

	CHECKED(XGBoosterSetStrFeatureInfo(learner->booster, "feature_name",
									   names, table->ncolumns));
	CHECKED(XGBoosterSetStrFeatureInfo(learner->booster, "feature_type",
									   types, table->ncolumns));
	CHECKED(XGBoosterSetAttr(learner->booster, "churn", text));
	CHECKED(XGBoosterSaveModelToBuffer(learner->booster,
									   "{\"format\": \"ubj\"}", &size,
									   &bytes));
	*length = size;
	return bytes;
}

const char *
churn_learner_version(void)
{
	static char version[48];
	int			major;
	int			minor;
	int			patch;

	XGBoostVersion(&major, &minor, &patch);
	snprintf(version, sizeof(version), "%d.%d.%d", major, minor, patch);
	return version;
}
