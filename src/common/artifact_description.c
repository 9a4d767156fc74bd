/*
 * artifact_description.c
 *		The object "churn" of an artifact: features, threshold, calibration,
 *		baselines.
 */
#include "artifact_internal.h"
#include "churn/profile.h"

#include <math.h>
#include <string.h>

static const struct
{
	const char *name;
	ChurnFeatureKind kind;
}			kinds[] = {
	{"number", CHURN_FEATURE_NUMBER},
	{"boolean", CHURN_FEATURE_BOOLEAN},
	{"category", CHURN_FEATURE_CATEGORY},
	{"age", CHURN_FEATURE_AGE},
};

/*
 * Finds a kind of feature by its name.
 */
bool
churn_artifact_kind(const char *name, ChurnFeatureKind *kind)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(name, kinds[i].name) == 0)
		{
			*kind = kinds[i].kind;
			return true;
		}
	return false;
}

/*
 * Gives a feature its categories and their dictionary.
 */
bool
churn_artifact_set_categories(ChurnFeature *feature, const char *const *categories,
							  size_t ncategories, ChurnArena *arena, ChurnError *error)
{
	if (ncategories > CHURN_MAX_CATEGORIES)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "feature \"%.200s\" has %zu categories, more than %d",
						  feature->name, ncategories, CHURN_MAX_CATEGORIES);
	feature->kind = CHURN_FEATURE_CATEGORY;
	feature->categories = categories;
	feature->ncategories = (uint32_t) ncategories;
	feature->dictionary = churn_dictionary_make(categories,
												feature->ncategories,
												arena, error);
	return feature->dictionary != NULL;
}

/*
 * Reads the categories of a feature from its description.
 */
static bool
read_categories(ChurnFeature *feature, const ChurnValue *described,
				ChurnArena *arena, ChurnError *error)
{
	const ChurnValue *list = churn_value_get(described, "categories");
	const char **categories;

	if (list == NULL || list->kind != CHURN_VALUE_ARRAY)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "feature \"%.200s\" has no list of categories",
						  feature->name);
	categories = churn_arena_array(arena, list->length, sizeof(char *),
								   error);
	if (categories == NULL)
		return false;
	for (size_t i = 0; i < list->length; i++)
	{
		const ChurnValue *text = list->u.elements[i];

		if (text->kind != CHURN_VALUE_STRING)
			return churn_fail(error, CHURN_ERROR_CORRUPT,
							  "feature \"%.200s\" has a category that is no text",
							  feature->name);
		categories[i] = text->u.string;
	}
	return churn_artifact_set_categories(feature, categories, list->length, arena, error);
}

/*
 * Proves that a baseline, if there is one, can be read when it is needed.
 */
static bool
check_baseline(const ChurnValue *baseline, const ChurnFeature *feature,
			   ChurnArena *arena, ChurnError *error)
{
	ChurnCells	cells = {.kind = CHURN_FEATURE_NUMBER};

	if (baseline == NULL || baseline->kind == CHURN_VALUE_NULL)
		return true;
	if (feature != NULL)
	{
		cells.name = feature->name;
		cells.kind = feature->kind;
	}
	if (!churn_cells_read(baseline, &cells, arena, error))
		return false;
	if (cells.kind == CHURN_FEATURE_CATEGORY &&
		cells.ncells != feature->ncategories)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "baseline of feature \"%.200s\" has %u counts for %u categories",
						  feature->name, cells.ncells, feature->ncategories);
	return true;
}

/*
 * Reads one feature.
 */
static bool
read_feature(ChurnFeature *feature, const ChurnValue *described,
			 const char *what, ChurnArena *arena, ChurnError *error)
{
	const char *kind = churn_value_text(described, "kind", "");
	const ChurnValue *text_number = churn_value_get(described, "text_number");
	const ChurnValue *transform = churn_value_get(described, "transform");

	feature->name = churn_value_text(described, "name", NULL);
	feature->type = churn_value_text(described, "type", "");
	if (feature->name == NULL || feature->name[0] == '\0')
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "%s has a feature without a name", what);
	if (!churn_artifact_kind(kind, &feature->kind))
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "feature \"%.200s\" is of unknown kind \"%.100s\"",
						  feature->name, kind);
	if (text_number != NULL && text_number->kind == CHURN_VALUE_BOOLEAN &&
		text_number->u.boolean)
		feature->flags |= CHURN_FEATURE_TEXT_NUMBER;
	if (transform != NULL && transform->kind != CHURN_VALUE_NULL)
	{
		if (transform->kind != CHURN_VALUE_STRING || transform->length == 0)
			return churn_fail(error, CHURN_ERROR_CORRUPT,
							  "transform of feature \"%.200s\" is no expression",
							  feature->name);
		feature->transform = transform->u.string;
	}
	if (feature->kind == CHURN_FEATURE_CATEGORY &&
		!read_categories(feature, described, arena, error))
		return false;
	return check_baseline(churn_value_get(described, "baseline"), feature,
						  arena, error);
}

/*
 * Reads a number that must be there.
 */
static bool
read_number(const ChurnValue *object, const char *name, double *number,
			ChurnError *error)
{
	*number = churn_value_number(object, name, NAN);
	return !isnan(*number) ||
		churn_fail(error, CHURN_ERROR_CORRUPT,
				   "calibration has no number \"%s\"", name);
}

/*
 * Types the arrays of the baselines and the knots of the calibration, if it has
 * any.
 */
bool
churn_artifact_type_description(const ChurnValue *object, ChurnArena *arena,
								ChurnError *error)
{
	const ChurnValue *value = churn_value_get(object, "calibration");
	const ChurnValue *features = churn_value_get(object, "features");

	for (size_t i = 0; features != NULL && i < features->length &&
		 features->kind == CHURN_VALUE_ARRAY; i++)
		if (!churn_cells_type(churn_value_get(features->u.elements[i],
											  "baseline"),
							  churn_value_text(features->u.elements[i], "name",
											   ""), arena, error))
			return false;
	return churn_cells_type(churn_value_get(object, "score_baseline"), NULL,
							arena, error) &&
		churn_value_make_typed(value, "margins", CHURN_VALUE_DOUBLES,
							   arena, error) &&
		churn_value_make_typed(value, "logits", CHURN_VALUE_DOUBLES, arena,
							   error);
}

/*
 * Reads the knots of an isotonic calibration.
 */
static bool
read_knots(const ChurnValue *value, ChurnCalibration *calibration,
		   ChurnError *error)
{
	const ChurnValue *margins = churn_value_get(value, "margins");
	const ChurnValue *logits = churn_value_get(value, "logits");

	if (margins == NULL || logits == NULL ||
		margins->length != logits->length)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "calibration has no margins with as many logits");
	if (margins->length > CHURN_MAX_KNOTS)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "calibration has %zu knots, more than %d",
						  margins->length, CHURN_MAX_KNOTS);
	calibration->nknots = (uint32_t) margins->length;
	calibration->margins = margins->u.typed;
	calibration->logits = logits->u.typed;
	return true;
}

/*
 * Reads the calibration, which churn_model_check proves to rise.
 */
static bool
read_calibration(const ChurnValue *value, ChurnCalibration *calibration,
				 ChurnError *error)
{
	const char *method = churn_value_text(value, "method", "none");

	if (strcmp(method, "none") == 0)
		return true;
	if (strcmp(method, "platt") == 0)
	{
		calibration->kind = CHURN_CALIBRATION_PLATT;
		return read_number(value, "a", &calibration->a, error) &&
			read_number(value, "b", &calibration->b, error);
	}
	if (strcmp(method, "beta") == 0)
	{
		calibration->kind = CHURN_CALIBRATION_BETA;
		return read_number(value, "a", &calibration->a, error) &&
			read_number(value, "b", &calibration->b, error) &&
			read_number(value, "c", &calibration->c, error);
	}
	if (strcmp(method, "isotonic") == 0)
	{
		calibration->kind = CHURN_CALIBRATION_ISOTONIC;
		return read_knots(value, calibration, error);
	}
	return churn_fail(error, CHURN_ERROR_UNSUPPORTED,
					  "model is calibrated by unknown method \"%.100s\"",
					  method);
}

/*
 * Reads what the object says of the model as a whole.
 */
static bool
read_settings(ChurnModel *model, const ChurnValue *object, const char *what,
			  ChurnArena *arena, ChurnError *error)
{
	const ChurnValue *as_of = churn_value_get(object, "as_of");

	if (churn_value_number(object, "format", 0) != 1)
		return churn_fail(error, CHURN_ERROR_UNSUPPORTED,
						  "%s is of an unknown format", what);
	if (!check_baseline(churn_value_get(object, "score_baseline"), NULL,
						arena, error) ||
		!churn_artifact_type_description(object, arena, error) ||
		!read_calibration(churn_value_get(object, "calibration"),
						  &model->calibration, error))
		return false;
	model->threshold = churn_value_number(object, "threshold", 0.5);
	if (!(model->threshold >= 0 && model->threshold <= 1))
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "%s has a threshold outside 0 to 1", what);
	if (as_of == NULL || as_of->kind == CHURN_VALUE_NULL)
		return true;
	model->as_of = CHURN_AS_OF_COLUMN;
	model->as_of_column = churn_value_text(as_of, "column", NULL);
	if (model->as_of_column == NULL || model->as_of_column[0] == '\0')
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "%s has as_of without a column", what);
	return true;
}

/*
 * Reads the object; see artifact_internal.h.
 */
bool
churn_artifact_read_description(const ChurnValue *object, const char *what,
								ChurnModel *model, ChurnArena *arena,
								ChurnError *error)
{
	const ChurnValue *features = churn_value_get(object, "features");

	if (features == NULL || features->kind != CHURN_VALUE_ARRAY)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "%s has no list of features", what);
	if (features->length != model->nfeatures)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "%s has %zu features, the model %u", what,
						  features->length, model->nfeatures);
	for (size_t i = 0; i < features->length; i++)
	{
		if (!read_feature(&model->features[i], features->u.elements[i], what,
						  arena, error))
			return false;
	}
	return read_settings(model, object, what, arena, error);
}

/*
 * Refuses a name that two features have, since columns are matched by name.
 */
bool
churn_artifact_check_names(const ChurnModel *model, ChurnError *error)
{
	for (uint32_t i = 1; i < model->nfeatures; i++)
		for (uint32_t j = 0; j < i; j++)
			if (strcmp(model->features[i].name, model->features[j].name) == 0)
				return churn_fail(error, CHURN_ERROR_CORRUPT,
								  "two features are named \"%.200s\"",
								  model->features[i].name);
	return true;
}
