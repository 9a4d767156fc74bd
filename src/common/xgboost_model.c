/*
 * xgboost_model.c
 *		Makes a forest that can be scored from a model file of XGBoost.
 *
 * The forest is what Python's Booster.load_model() makes of the file and
 * Booster.predict(DMatrix) evaluates:
 *
 * - All trees count.  Early stopping only leaves an attribute
 *   "best_iteration"; load_model() copies it to a property, and predict()
 *   ends at it only when its caller passes that as iteration_range.  (The
 *   wrappers for scikit-learn do pass it.  Whoever wants their result saves
 *   booster[: booster.best_iteration + 1].)
 * - binary:logistic takes the base score as a probability, whose log-odds are
 *   computed in float32; binary:logitraw takes it as log-odds as it stands.
 * - The base score is a text: a float, or since 3.1 an array of one float.
 */
#include "decimal.h"
#include "xgboost_internal.h"

#include <math.h>
#include <string.h>

/*
 * Reads a parameter, which XGBoost writes as text.
 */
bool
churn_xgboost_parameter(const ChurnValue *object, const char *name,
						int64_t otherwise, int64_t *result,
						ChurnError *error)
{
	const ChurnValue *value = churn_value_get(object, name);
	ChurnDecimal decimal;

	*result = otherwise;
	if (value == NULL)
		return true;
	if (value->kind == CHURN_VALUE_INTEGER)
	{
		*result = value->u.integer;
		return true;
	}
	if (value->kind != CHURN_VALUE_STRING || value->length == 0 ||
		churn_decimal_read(value->u.string, value->length,
						   &decimal) != value->length ||
		!decimal.is_integer)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "parameter \"%s\" is no integer", name);
	*result = decimal.integer;
	return true;
}

/*
 * Reads the base score of either notation.
 */
static bool
read_base_score(const ChurnValue *parameters, float *base_score,
				ChurnArena *arena, ChurnError *error)
{
	const char *text = churn_value_text(parameters, "base_score", "");
	const ChurnValue *value = churn_json_read(text, strlen(text), arena,
											  error);

	if (value == NULL && error != NULL && error->code == CHURN_ERROR_MEMORY)
		return false;
	if (value != NULL && value->kind == CHURN_VALUE_ARRAY)
	{
		if (value->length != 1)
			return churn_fail(error, CHURN_ERROR_UNSUPPORTED,
							  "model has %zu base scores, not one",
							  value->length);
		value = value->u.elements[0];
	}
	if (value != NULL && value->kind == CHURN_VALUE_NUMBER)
		*base_score = value->single;
	else if (value != NULL && value->kind == CHURN_VALUE_INTEGER)
		*base_score = (float) value->u.integer;
	else
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "base score \"%.100s\" is no number", text);
	return true;
}

/*
 * Sets the margin that every row starts from.
 */
static bool
set_base_margin(const ChurnValue *learner, ChurnForest *forest,
				ChurnArena *arena, ChurnError *error)
{
	const ChurnValue *parameters = churn_value_get(learner,
												   "learner_model_param");
	const char *objective = churn_value_text(churn_value_get(learner,
															 "objective"),
											 "name", "");
	bool		logistic = strcmp(objective, "binary:logistic") == 0;
	float		base_score = 0;

	if (!logistic && strcmp(objective, "binary:logitraw") != 0)
		return churn_fail(error, CHURN_ERROR_UNSUPPORTED,
						  "objective of the model is \"%.100s\", not binary:logistic or binary:logitraw",
						  objective);
	if (!read_base_score(parameters, &base_score, arena, error))
		return false;
	if (logistic && !(base_score > 0 && base_score < 1))
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "base score is not between 0 and 1");
	if (!isfinite(base_score))
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "base score is not finite");
	forest->base_margin = logistic ? -logf(1.0f / base_score - 1.0f) :
		base_score;
	return true;
}

/*
 * Checks that the learner has one output, and reads its number of features.
 */
bool
churn_xgboost_shape(const ChurnValue *document, uint32_t *nfeatures,
					ChurnError *error)
{
	const ChurnValue *learner = churn_value_get(document, "learner");
	const ChurnValue *parameters = churn_value_get(learner,
												   "learner_model_param");
	int64_t		num_class;
	int64_t		num_target;
	int64_t		num_feature;

	if (!churn_xgboost_parameter(parameters, "num_class", 0, &num_class,
								 error) ||
		!churn_xgboost_parameter(parameters, "num_target", 1, &num_target,
								 error) ||
		!churn_xgboost_parameter(parameters, "num_feature", -1, &num_feature,
								 error))
		return false;
	if (num_class > 1)
		return churn_fail(error, CHURN_ERROR_UNSUPPORTED,
						  "model has %lld classes instead of one output",
						  (long long) num_class);
	if (num_target > 1)
		return churn_fail(error, CHURN_ERROR_UNSUPPORTED,
						  "model has %lld targets instead of one output",
						  (long long) num_target);
	if (num_class < 0 || num_target < 0 || num_feature < 0)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "model does not say how many features it has");
	if (num_feature > CHURN_MAX_FEATURES)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "model has %lld features, more than %d",
						  (long long) num_feature, CHURN_MAX_FEATURES);
	*nfeatures = (uint32_t) num_feature;
	return true;
}

/*
 * Makes the forest of a booster's document; see xgboost_internal.h.
 */
ChurnForest *
churn_xgboost_read_forest(const ChurnValue *document, ChurnArena *arena,
						  ChurnError *error)
{
	const ChurnValue *learner = churn_value_get(document, "learner");
	const char *booster = churn_value_text(churn_value_get(learner,
														   "gradient_booster"),
										   "name", "");
	ChurnForest *forest;

	if (strcmp(booster, "gbtree") != 0 && strcmp(booster, "dart") != 0)
	{
		churn_fail(error, CHURN_ERROR_UNSUPPORTED,
				   "booster of the model is \"%.100s\", not gbtree or dart",
				   booster);
		return NULL;
	}
	forest = churn_arena_alloc(arena, sizeof(ChurnForest), error);
	if (forest == NULL)
		return NULL;
	/* shape first: multi:softprob is better told by its classes */
	if (!churn_xgboost_shape(document, &forest->nfeatures, error) ||
		!set_base_margin(learner, forest, arena, error) ||
		!churn_xgboost_forest(document, forest, arena, error))
		return NULL;
	return forest;
}
