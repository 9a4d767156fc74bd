/*
 * describe.c
 *		Telling in JSON what a model is made of.
 */
#include "describe.h"

#include <math.h>

#include "channel.h"

ChurnObject
churn_object_new(ChurnArena *arena)
{
	ChurnError	error;
	ChurnObject object = {churn_value_object(arena, &error), arena};

	if (object.value == NULL)
		churn_failure_memory();
	return object;
}

/* Sets a member; a value that could not be made means no memory. */
void
churn_object_set_value(ChurnObject object, const char *name, ChurnValue *value)
{
	ChurnError	error;

	if (value == NULL ||
		!churn_value_set(object.value, name, value, object.arena, &error))
		churn_failure_memory();
}

void
churn_object_set_text(ChurnObject object, const char *name, const char *text)
{
	ChurnError	error;

	churn_object_set_value(object, name, churn_value_string(object.arena, text, &error));
}

void
churn_object_set_integer(ChurnObject object, const char *name, uint64_t integer)
{
	ChurnError	error;

	churn_object_set_value(object, name,
						   churn_value_integer(object.arena, (int64_t) integer, &error));
}

/* A number, or null for NaN, which JSON does not have. */
void
churn_object_set_number(ChurnObject object, const char *name, double number)
{
	ChurnError	error;
	ChurnValue *value = churn_value_double(object.arena, number, &error);

	if (value != NULL && isnan(number))
		value->kind = CHURN_VALUE_NULL;
	churn_object_set_value(object, name, value);
}

/* Sets a member that is an empty array, and returns that. */
ChurnValue *
churn_object_set_array(ChurnObject object, const char *name)
{
	ChurnError	error;
	ChurnValue *array = churn_value_array(object.arena, &error);

	churn_object_set_value(object, name, array);
	return array;
}

void
churn_array_append(ChurnValue *array, ChurnValue *value, ChurnArena *arena)
{
	ChurnError	error;

	if (value == NULL || !churn_value_append(array, value, arena, &error))
		churn_failure_memory();
}

/* Describes a feature as the attribute "churn" has it, less its baseline. */
ChurnObject
churn_describe_feature(const ChurnTableColumn *column, ChurnArena *arena)
{
	static const char *const kinds[] = {
		[CHURN_FEATURE_NUMBER] = "number",
		[CHURN_FEATURE_BOOLEAN] = "boolean",
		[CHURN_FEATURE_CATEGORY] = "category",
		[CHURN_FEATURE_AGE] = "age"
	};
	ChurnObject feature = churn_object_new(arena);
	ChurnError	error;
	ChurnValue *categories;
	uint32_t	i;

	churn_object_set_text(feature, "name", column->column->settings->name);
	churn_object_set_text(feature, "kind", kinds[column->kind]);
	churn_object_set_text(feature, "type", column->column->settings->type);
	if (column->text_number)
		churn_object_set_value(feature, "text_number",
							   churn_value_boolean(arena, true, &error));
	if (column->column->settings->transform != NULL)
		churn_object_set_text(feature, "transform",
							  column->column->settings->transform);
	if (column->kind == CHURN_FEATURE_CATEGORY)
	{
		categories = churn_object_set_array(feature, "categories");
		for (i = 0; i < column->ncategories; i++)
			churn_array_append(categories,
							   churn_value_string(arena, column->categories[i].bytes,
												  &error), arena);
	}
	return feature;
}

/* Writes an object as terminated text and sets *length. */
char *
churn_object_write(ChurnObject object, size_t *length)
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

ChurnValue *
churn_describe_model(const ChurnSettings *settings, const ChurnTable *table,
					 const ChurnFinished *finished)
{
	ChurnObject object = churn_object_new(settings->arena);
	ChurnError	error;
	ChurnValue *features;
	size_t		i;

	churn_object_set_integer(object, "format", 1);
	features = churn_object_set_array(object, "features");
	for (i = 0; i < table->ncolumns; i++)
	{
		ChurnObject feature = churn_describe_feature(&table->columns[i],
													 settings->arena);

		churn_object_set_value(feature, "baseline",
							   churn_cells_value(&table->columns[i].baseline,
												 settings->arena, &error));
		churn_array_append(features, feature.value, settings->arena);
	}
	if (finished->score_baseline.ncells > 0)
		churn_object_set_value(object, "score_baseline",
							   churn_cells_value(&finished->score_baseline,
												 settings->arena, &error));
	churn_object_set_number(object, "threshold", finished->threshold);
	churn_object_set_value(object, "calibration",
						   churn_calibration_value(&finished->calibration,
												   settings->arena, &error));
	if (settings->as_of != NULL && settings->as_of->kind != CHURN_VALUE_NULL)
		churn_object_set_value(object, "as_of", settings->as_of);
	return object.value;
}
