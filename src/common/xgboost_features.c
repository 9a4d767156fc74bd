/*
 * xgboost_features.c
 *		The features of a model of XGBoost: names, kinds and categories.
 *
 * They come from the booster attribute "churn" that this extension writes.
 * Without one they come from the booster itself: names and types since XGBoost
 * 1.4, the texts of categories, when pandas had them, since 3.1 (in the model
 * as "cats").
 *
 * Texts of categories that are not ASCII cannot be trusted: Python's xgboost
 * 3.3 counts their characters where the format counts bytes, so that texts
 * begin in the wrong places and the last ones are cut off.  Such a file always
 * holds the first byte that is not ASCII, since as many bytes are kept as there
 * are characters.
 */
#include "xgboost_internal.h"

#include <math.h>
#include <stdio.h>
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

static bool
fail_attribute(ChurnError *error, const char *problem)
{
	return churn_fail(error, CHURN_ERROR_CORRUPT,
					  "booster attribute \"churn\" %s", problem);
}

/*
 * Gives a feature its categories and their dictionary.
 */
static bool
set_categories(ChurnFeature *feature, const char *const *categories,
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
 * Reads the categories of a feature from the attribute.
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
	return set_categories(feature, categories, list->length, arena, error);
}

/*
 * Reads one feature from the attribute.
 */
static bool
read_feature(ChurnFeature *feature, const ChurnValue *described,
			 ChurnArena *arena, ChurnError *error)
{
	const char *kind = churn_value_text(described, "kind", "");
	const ChurnValue *text_number = churn_value_get(described, "text_number");
	size_t		i;

	feature->name = churn_value_text(described, "name", NULL);
	feature->type = churn_value_text(described, "type", "");
	if (feature->name == NULL || feature->name[0] == '\0')
		return fail_attribute(error, "has a feature without a name");
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kind, kinds[i].name) == 0)
			break;
	if (i == sizeof(kinds) / sizeof(kinds[0]))
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "feature \"%.200s\" is of unknown kind \"%.100s\"",
						  feature->name, kind);
	feature->kind = kinds[i].kind;
	if (text_number != NULL && text_number->kind == CHURN_VALUE_BOOLEAN &&
		text_number->u.boolean)
		feature->flags |= CHURN_FEATURE_TEXT_NUMBER;
	if (feature->kind == CHURN_FEATURE_CATEGORY)
		return read_categories(feature, described, arena, error);
	return true;
}

/*
 * Reads what the attribute says of the model as a whole.
 */
static bool
read_settings(ChurnModel *model, const ChurnValue *attribute,
			  ChurnError *error)
{
	const ChurnValue *calibration = churn_value_get(attribute, "calibration");
	const ChurnValue *as_of = churn_value_get(attribute, "as_of");
	const char *method = churn_value_text(calibration, "method", "none");

	if (churn_value_number(attribute, "format", 0) != 1)
		return churn_fail(error, CHURN_ERROR_UNSUPPORTED,
						  "booster attribute \"churn\" is of an unknown format");
	if (strcmp(method, "none") != 0)
		return churn_fail(error, CHURN_ERROR_UNSUPPORTED,
						  "model is calibrated by unknown method \"%.100s\"",
						  method);
	model->threshold = churn_value_number(attribute, "threshold", 0.5);
	if (!(model->threshold >= 0 && model->threshold <= 1))
		return fail_attribute(error, "has a threshold outside 0 to 1");
	if (as_of == NULL || as_of->kind == CHURN_VALUE_NULL)
		return true;
	model->as_of = CHURN_AS_OF_COLUMN;
	model->as_of_column = churn_value_text(as_of, "column", NULL);
	if (model->as_of_column == NULL || model->as_of_column[0] == '\0')
		return fail_attribute(error, "has as_of without a column");
	return true;
}

/*
 * Reads the features from the attribute's text.
 */
static bool
read_attribute(ChurnModel *model, const char *text, ChurnArena *arena,
			   ChurnError *error)
{
	const ChurnValue *attribute = churn_json_read(text, strlen(text), arena,
												  error);
	const ChurnValue *features = churn_value_get(attribute, "features");

	if (attribute == NULL)
		return false;
	if (features == NULL || features->kind != CHURN_VALUE_ARRAY)
		return fail_attribute(error, "has no list of features");
	if (features->length != model->nfeatures)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "booster attribute \"churn\" has %zu features, the booster %u",
						  features->length, model->nfeatures);
	for (size_t i = 0; i < features->length; i++)
	{
		if (!read_feature(&model->features[i], features->u.elements[i],
						  arena, error))
			return false;
	}
	return read_settings(model, attribute, error);
}

/*
 * Returns the list of names or types, NULL if the booster has none.  False if
 * it has a list that cannot be.
 */
static bool
text_list(const ChurnArtifact *artifact, const char *name, size_t nfeatures,
		  const ChurnValue **list, ChurnError *error)
{
	const ChurnValue *learner = churn_value_get(artifact->document,
												"learner");
	const ChurnValue *value = churn_value_get(learner, name);

	*list = NULL;
	if (value == NULL || (churn_xgboost_is_array(value) && value->length == 0))
		return true;
	if (value->kind != CHURN_VALUE_ARRAY || value->length != nfeatures)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "booster's %s are no list of %zu", name, nfeatures);
	for (size_t i = 0; i < value->length; i++)
		if (value->u.elements[i]->kind != CHURN_VALUE_STRING)
			return churn_fail(error, CHURN_ERROR_CORRUPT,
							  "booster's %s are not texts", name);
	*list = value;
	return true;
}

/*
 * Copies n bytes of an array of integers, which may be signed or unsigned.
 */
static char *
copy_text(const char *name, const ChurnValue *bytes, size_t from, size_t n,
		  ChurnArena *arena, ChurnError *error)
{
	char	   *text = churn_arena_alloc(arena, n + 1, error);

	if (text == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++)
	{
		int64_t		byte;

		if (!churn_xgboost_element(bytes, from + i, &byte) || byte == 0)
		{
			churn_fail(error, CHURN_ERROR_CORRUPT,
					   "a category's text is damaged");
			return NULL;
		}
		if (byte < 0 || byte > 127)
		{
			churn_fail(error, CHURN_ERROR_UNSUPPORTED,
					   "categories of feature \"%.200s\" are not ASCII, which XGBoost garbles",
					   name);
			return NULL;
		}
		text[i] = (char) byte;
	}
	return text;
}

/*
 * Makes category i of a feature a text: a slice of "values" if there are
 * "offsets", else a number.
 */
static char *
category_text(const char *name, const ChurnValue *offsets,
			  const ChurnValue *values, size_t i, ChurnArena *arena,
			  ChurnError *error)
{
	int64_t		from;
	int64_t		to;
	char		text[32];

	if (offsets == NULL)
	{
		if (!churn_xgboost_element(values, i, &from))
		{
			churn_fail(error, CHURN_ERROR_UNSUPPORTED,
					   "categories are neither texts nor integers");
			return NULL;
		}
		snprintf(text, sizeof(text), "%lld", (long long) from);
		return churn_arena_string(arena, text, strlen(text), error);
	}
	if (!churn_xgboost_element(offsets, i, &from) ||
		!churn_xgboost_element(offsets, i + 1, &to) ||
		from < 0 || to < from || (uint64_t) to > values->length)
	{
		churn_fail(error, CHURN_ERROR_CORRUPT, "a category's text is damaged");
		return NULL;
	}
	return copy_text(name, values, (size_t) from, (size_t) (to - from), arena,
					 error);
}

/*
 * Reads the categories that the booster has for a feature.  True without any
 * if it has none.
 */
static bool
booster_categories(const ChurnValue *encoded, ChurnFeature *feature,
				   ChurnArena *arena, ChurnError *error)
{
	const ChurnValue *offsets = churn_value_get(encoded, "offsets");
	const ChurnValue *values = churn_value_get(encoded, "values");
	const char **categories;
	size_t		n;

	if (!churn_xgboost_is_array(values) ||
		(offsets != NULL && !churn_xgboost_is_array(offsets)))
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "categories of feature \"%.200s\" are damaged",
						  feature->name);
	n = offsets == NULL ? values->length :
		offsets->length > 0 ? offsets->length - 1 : 0;
	if (n == 0)
		return true;
	if (n > CHURN_MAX_CATEGORIES)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "feature \"%.200s\" has %zu categories, more than %d",
						  feature->name, n, CHURN_MAX_CATEGORIES);
	categories = churn_arena_array(arena, n, sizeof(char *), error);
	if (categories == NULL)
		return false;
	for (size_t i = 0; i < n; i++)
	{
		categories[i] = category_text(feature->name, offsets, values, i, arena,
									  error);
		if (categories[i] == NULL)
			return false;
	}
	return set_categories(feature, categories, n, arena, error);
}

/*
 * Makes the features from what the booster itself says.
 */
static bool
booster_features(const ChurnArtifact *artifact, ChurnModel *model,
				 ChurnArena *arena, ChurnError *error)
{
	const ChurnValue *booster = churn_xgboost_booster(artifact->document);
	const ChurnValue *inner = churn_value_get(booster, "model");
	const ChurnValue *encoded = churn_value_get(churn_value_get(inner, "cats"),
												"enc");
	const ChurnValue *names;
	const ChurnValue *types;

	if (!text_list(artifact, "feature_names", model->nfeatures, &names,
				   error) ||
		!text_list(artifact, "feature_types", model->nfeatures, &types,
				   error))
		return false;
	if (encoded != NULL && (encoded->kind != CHURN_VALUE_ARRAY ||
							encoded->length != model->nfeatures))
		encoded = NULL;			/* empty when trained on a matrix */
	for (uint32_t i = 0; i < model->nfeatures; i++)
	{
		ChurnFeature *feature = &model->features[i];
		const char *type = "";
		char		name[16];

		snprintf(name, sizeof(name), "f%u", i);
		feature->name = names != NULL ? names->u.elements[i]->u.string :
			churn_arena_string(arena, name, strlen(name), error);
		feature->type = "";
		if (types != NULL)
			type = types->u.elements[i]->u.string;
		if (feature->name == NULL)
			return false;
		if (strcmp(type, "i") == 0)
			feature->kind = CHURN_FEATURE_BOOLEAN;
		if (strcmp(type, "c") != 0)
			continue;
		if (encoded != NULL &&
			!booster_categories(encoded->u.elements[i], feature, arena,
								error))
			return false;
		if (feature->kind != CHURN_FEATURE_CATEGORY)
			return churn_fail(error, CHURN_ERROR_UNSUPPORTED,
							  "model does not say what the categories of feature \"%.200s\" are",
							  feature->name);
	}
	return true;
}

/*
 * Makes the features.  A name that two of them have is refused, since columns
 * are matched by name.
 */
bool
churn_xgboost_features(const ChurnArtifact *artifact, ChurnModel *model,
					   ChurnArena *arena, ChurnError *error)
{
	const char *text = churn_artifact_attribute(artifact, "churn");

	model->threshold = 0.5;
	model->features = churn_arena_array(arena, model->nfeatures,
										sizeof(ChurnFeature), error);
	if (model->features == NULL)
		return false;
	if (text != NULL ? !read_attribute(model, text, arena, error) :
		!booster_features(artifact, model, arena, error))
		return false;
	for (uint32_t i = 1; i < model->nfeatures; i++)
		for (uint32_t j = 0; j < i; j++)
			if (strcmp(model->features[i].name, model->features[j].name) == 0)
				return churn_fail(error, CHURN_ERROR_CORRUPT,
								  "two features are named \"%.200s\"",
								  model->features[i].name);
	return true;
}
