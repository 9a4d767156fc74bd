/*
 * result.c
 *		What the extension gets: the model file and what is known of it.
 */
#include "result.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "channel.h"
#include "churn/document.h"
#include "memory.h"

/* Bytes of a RESULT frame that categories may take. */
#define MAX_CATEGORY_BYTES	(CHURN_FRAME_MAX / 4 * 3)

/* A JSON object being made, and what making it needs. */
typedef struct Object
{
	ChurnValue *value;
	ChurnArena *arena;
} Object;

static Object
new_object(ChurnArena *arena)
{
	ChurnError	error;
	Object		object = {churn_value_object(arena, &error), arena};

	if (object.value == NULL)
		churn_failure_memory();
	return object;
}

/* Sets a member; a value that could not be made means no memory. */
static void
set_value(Object object, const char *name, ChurnValue *value)
{
	ChurnError	error;

	if (value == NULL ||
		!churn_value_set(object.value, name, value, object.arena, &error))
		churn_failure_memory();
}

static void
set_text(Object object, const char *name, const char *text)
{
	ChurnError	error;

	set_value(object, name, churn_value_string(object.arena, text, &error));
}

static void
set_integer(Object object, const char *name, uint64_t integer)
{
	ChurnError	error;

	set_value(object, name,
			  churn_value_integer(object.arena, (int64_t) integer, &error));
}

/* A number, or null for NaN, which JSON does not have. */
static void
set_number(Object object, const char *name, double number)
{
	ChurnError	error;
	ChurnValue *value = churn_value_double(object.arena, number, &error);

	if (value != NULL && isnan(number))
		value->kind = CHURN_VALUE_NULL;
	set_value(object, name, value);
}

/* Sets a member that is an empty array, and returns that. */
static ChurnValue *
set_array(Object object, const char *name)
{
	ChurnError	error;
	ChurnValue *array = churn_value_array(object.arena, &error);

	set_value(object, name, array);
	return array;
}

static void
append(ChurnValue *array, ChurnValue *value, ChurnArena *arena)
{
	ChurnError	error;

	if (value == NULL || !churn_value_append(array, value, arena, &error))
		churn_failure_memory();
}

/* Describes a feature as the attribute "churn" has it. */
static Object
describe_feature(const ChurnTableColumn *column, ChurnArena *arena)
{
	static const char *const kinds[] = {
		[CHURN_FEATURE_NUMBER] = "number",
		[CHURN_FEATURE_BOOLEAN] = "boolean",
		[CHURN_FEATURE_CATEGORY] = "category",
		[CHURN_FEATURE_AGE] = "age"
	};
	Object		feature = new_object(arena);
	ChurnError	error;
	ChurnValue *categories;
	uint32_t	i;

	set_text(feature, "name", column->column->settings->name);
	set_text(feature, "kind", kinds[column->kind]);
	set_text(feature, "type", column->column->settings->type);
	if (column->column->settings->transform != NULL)
		set_text(feature, "transform", column->column->settings->transform);
	if (column->text_number)
		set_value(feature, "text_number",
				  churn_value_boolean(arena, true, &error));
	if (column->kind == CHURN_FEATURE_CATEGORY)
	{
		categories = set_array(feature, "categories");
		for (i = 0; i < column->ncategories; i++)
			append(categories,
				   churn_value_string(arena, column->categories[i].bytes,
									  &error), arena);
	}
	return feature;
}

/* Writes an object as terminated text and sets *length. */
static char *
write_object(Object object, size_t *length)
{
	ChurnError	error;
	char	   *text;

	if (!churn_json_write(object.value, object.arena, &text, length, &error))
	{
		if (error.code == CHURN_ERROR_MEMORY)
			churn_failure_memory();
		churn_failure(CHURN_SQLSTATE_EXTERNAL, NULL, NULL,
					  "could not describe the model: %s", error.message);
	}
	return text;
}

/* The text of the model's attribute "churn"; see churn/xgboost.h. */
static char *
make_attribute(const ChurnSettings *settings, const ChurnTable *table,
			   double threshold)
{
	Object		attribute = new_object(settings->arena);
	Object		calibration = new_object(settings->arena);
	ChurnValue *features;
	size_t		length;
	size_t		i;

	set_integer(attribute, "format", 1);
	features = set_array(attribute, "features");
	for (i = 0; i < table->ncolumns; i++)
		append(features,
			   describe_feature(&table->columns[i], settings->arena).value,
			   settings->arena);
	set_number(attribute, "threshold", threshold);
	set_text(calibration, "method", "none");
	set_value(attribute, "calibration", calibration.value);
	if (settings->as_of != NULL && settings->as_of->kind != CHURN_VALUE_NULL)
		set_value(attribute, "as_of", settings->as_of);
	return write_object(attribute, &length);
}

const char *
churn_result_artifact(const ChurnSettings *settings, const ChurnTable *table,
					  ChurnLearner *learner, double threshold,
					  uint64_t *length)
{
	return churn_learner_save(learner, table,
							  make_attribute(settings, table, threshold),
							  length);
}

/* Sends the model file in pieces. */
static void
send_artifact(const char *bytes, uint64_t length)
{
	while (length > 0)
	{
		uint32_t	some = length > CHURN_FRAME_MAX ? CHURN_FRAME_MAX :
		(uint32_t) length;

		churn_channel_write(CHURN_FRAME_ARTIFACT, bytes, some);
		bytes += some;
		length -= some;
	}
}

/* The rows and the positives among them, in all and in each part. */
static void
set_counts(Object result, const ChurnRows *rows, const ChurnTable *table)
{
	set_integer(result, "rows", rows->nrows);
	set_integer(result, "train_rows",
				churn_table_rows(table, CHURN_PART_TRAIN));
	set_integer(result, "validation_rows",
				churn_table_rows(table, CHURN_PART_VALIDATION));
	set_integer(result, "test_rows",
				churn_table_rows(table, CHURN_PART_TEST));
	set_integer(result, "positives", rows->positives);
	set_integer(result, "train_positives",
				table->positives[CHURN_PART_TRAIN]);
	set_integer(result, "validation_positives",
				table->positives[CHURN_PART_VALIDATION]);
	set_integer(result, "test_positives", table->positives[CHURN_PART_TEST]);
	set_integer(result, "duplicates_dropped", table->duplicates);
}

/* The metrics, each with its data set and the rows it was measured on. */
static void
set_metrics(Object result, const ChurnQuality *quality)
{
	ChurnValue *metrics = set_array(result, "metrics");
	size_t		i;

	for (i = 0; i < quality->nmetrics; i++)
	{
		Object		metric = new_object(result.arena);

		set_text(metric, "dataset", quality->metrics[i].dataset);
		set_text(metric, "metric", quality->metrics[i].name);
		set_number(metric, "value", quality->metrics[i].value);
		set_integer(metric, "n", quality->metrics[i].n);
		append(metrics, metric.value, result.arena);
	}
	set_number(result, "champion_pr_auc", quality->champion_pr_auc);
}

/* The features with their importance. */
static void
set_features(Object result, ChurnLearner *learner, const ChurnTable *table)
{
	double	   *shares = churn_alloc(table->ncolumns, sizeof(double));
	ChurnValue *features = set_array(result, "features");
	size_t		i;

	churn_learner_importance(learner, table, shares);
	for (i = 0; i < table->ncolumns; i++)
	{
		Object		feature = describe_feature(&table->columns[i],
											   result.arena);

		set_number(feature, "importance", shares[i]);
		append(features, feature.value, result.arena);
	}
}

/* A table of settings as an object of values in effect. */
static void
set_settings(Object result, const char *name, const ChurnSetting *settings)
{
	Object		object = new_object(result.arena);
	ChurnError	error;

	for (; settings->name != NULL; settings++)
		set_value(object, settings->name,
				  churn_setting_value(settings, result.arena, &error));
	set_value(result, name, object.value);
}

void
churn_result_check(const ChurnTable *table)
{
	size_t		bytes = 0;
	size_t		i;
	uint32_t	j;

	for (i = 0; i < table->ncolumns; i++)
	{
		for (j = 0; j < table->columns[i].ncategories; j++)
			bytes += table->columns[i].categories[j].length + 3;
	}
	if (bytes > MAX_CATEGORY_BYTES)
		churn_failure(CHURN_SQLSTATE_LIMIT, NULL,
					  "Exclude text columns with many or long values.",
					  "the categories of the text columns take %zu bytes, "
					  "more than %d", bytes, MAX_CATEGORY_BYTES);
}

void
churn_result_send(const ChurnSettings *settings, const ChurnRows *rows,
				  const ChurnTable *table, ChurnLearner *learner,
				  const ChurnQuality *quality)
{
	Object		result = new_object(settings->arena);
	Object		versions = new_object(settings->arena);
	const char *bytes;
	char	   *text;
	char		fingerprint[33];
	uint64_t	bytes_length;
	size_t		length;

	set_text(result, "algorithm", settings->algorithm);
	set_counts(result, rows, table);
	set_number(result, "threshold", quality->threshold);
	set_integer(result, "rounds", (uint64_t) churn_learner_rounds(learner));
	set_metrics(result, quality);
	snprintf(fingerprint, sizeof(fingerprint), "%016llx%016llx",
			 (unsigned long long) rows->fingerprint[0],
			 (unsigned long long) rows->fingerprint[1]);
	set_text(result, "fingerprint", fingerprint);
	set_features(result, learner, table);
	set_settings(result, "params", settings->params);
	set_settings(result, "options", settings->options);
	set_text(result, "seed",
			 churn_format("%.0f", churn_setting_option(settings, "seed")));
	set_text(versions, settings->algorithm, churn_learner_version());
	set_value(result, "library_versions", versions.value);

	bytes = churn_result_artifact(settings, table, learner,
								  quality->threshold, &bytes_length);
	send_artifact(bytes, bytes_length);
	set_integer(result, "peak_memory_bytes", churn_memory_peak());
	text = write_object(result, &length);
	if (length > CHURN_FRAME_MAX)
		churn_failure(CHURN_SQLSTATE_LIMIT, NULL,
					  "Exclude text columns with many or long values.",
					  "the description of the model takes %zu bytes, "
					  "more than %d", length, CHURN_FRAME_MAX);
	churn_channel_write(CHURN_FRAME_RESULT, text, (uint32_t) length);
}
