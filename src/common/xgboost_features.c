/*
 * xgboost_features.c
 *		The features of a booster that lacks the attribute "churn": names and
 *		types since XGBoost 1.4, the texts of categories, when pandas had them,
 *		since 3.1 (in the model as "cats").
 *
 * Texts of categories that are not ASCII cannot be trusted: Python's xgboost
 * 3.3 counts their characters where the format counts bytes, so that texts
 * begin in the wrong places and the last ones are cut off.  Such a file always
 * holds the first byte that is not ASCII, since as many bytes are kept as there
 * are characters.
 */
#include "artifact_internal.h"

#include <stdio.h>
#include <string.h>

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
	return churn_artifact_set_categories(feature, categories, n, arena, error);
}

/*
 * Makes the features from what the booster itself says.
 */
bool
churn_xgboost_features(const ChurnArtifact *artifact, ChurnModel *model,
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
