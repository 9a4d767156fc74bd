/*
 * artifact_model.c
 *		Makes a model that can be scored from an artifact of either kind.
 */
#include "artifact_internal.h"

#include <string.h>

/*
 * Number of features of the components, by the first that tells; -1 if none
 * does.  A tree does not.
 */
int64_t
churn_artifact_nfeatures(const ChurnArtifact *artifact)
{
	const ChurnValue *components = churn_value_get(artifact->document,
												   "components");
	uint32_t	nfeatures;

	if (artifact->kind == CHURN_ARTIFACT_BOOSTER)
		return churn_xgboost_shape(artifact->document, &nfeatures, NULL) ?
			(int64_t) nfeatures : -1;
	for (size_t i = 0; i < components->length; i++)
	{
		const ChurnValue *component = components->u.elements[i];
		const ChurnValue *booster = churn_value_get(component, "xgboost");
		const ChurnValue *effects = churn_value_get(component, "effects");
		const ChurnValue *inputs = churn_value_get(component, "inputs");
		const ChurnValue *list = effects != NULL ? effects :
		churn_value_get(inputs, "mean");

		if (booster != NULL &&
			churn_xgboost_shape(booster, &nfeatures, NULL))
			return (int64_t) nfeatures;
		if (churn_xgboost_is_array(list))
			return (int64_t) list->length;
	}
	return -1;
}

/*
 * Makes room for features.
 */
static bool
make_features(ChurnModel *model, size_t nfeatures, ChurnArena *arena,
			  ChurnError *error)
{
	if (nfeatures > CHURN_MAX_FEATURES)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "model has %zu features, more than %d",
						  nfeatures, CHURN_MAX_FEATURES);
	model->nfeatures = (uint32_t) nfeatures;
	model->threshold = 0.5;
	model->features = churn_arena_array(arena, nfeatures,
										sizeof(ChurnFeature), error);
	return model->features != NULL;
}

/*
 * Makes the model of a booster.
 */
static bool
make_booster(const ChurnArtifact *artifact, ChurnModel *model,
			 ChurnArena *arena, ChurnError *error)
{
	ChurnComponent *component = model->components;
	ChurnValue *object;

	component->kind = CHURN_COMPONENT_FOREST;
	component->weight = 1;
	component->forest = churn_xgboost_read_forest(artifact->document, arena,
												  error);
	if (component->forest == NULL ||
		!churn_artifact_description(artifact, &object, arena, error) ||
		!make_features(model, component->forest->nfeatures, arena, error))
		return false;
	component->algorithm = churn_value_text(object, "algorithm", "xgboost");
	if (object == NULL)
		return churn_xgboost_features(artifact, model, arena, error);
	return churn_artifact_read_description(object,
										   "booster attribute \"churn\"",
										   model, arena, error);
}

/*
 * Makes the model of a document of our own.
 */
static bool
make_components(const ChurnArtifact *artifact, ChurnModel *model,
				ChurnArena *arena, ChurnError *error)
{
	const ChurnValue *components = churn_value_get(artifact->document,
												   "components");
	const ChurnValue *features;
	ChurnValue *object;

	if (!churn_artifact_description(artifact, &object, arena, error))
		return false;
	features = churn_value_get(object, "features");
	if (!churn_xgboost_is_array(features))
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "member \"churn\" has no list of features");
	if (!make_features(model, features->length, arena, error) ||
		!churn_artifact_read_description(object, "member \"churn\"", model,
										 arena, error))
		return false;
	for (uint32_t i = 0; i < model->ncomponents; i++)
		if (!churn_artifact_component(components->u.elements[i], i, model,
									  &model->components[i], arena, error))
			return false;
	return true;
}

/*
 * Makes the model; see churn/xgboost.h.
 */
ChurnModel *
churn_artifact_model(const ChurnArtifact *artifact, ChurnArena *arena,
					 ChurnError *error)
{
	bool		booster = artifact->kind == CHURN_ARTIFACT_BOOSTER;
	ChurnModel *model = churn_arena_alloc(arena, sizeof(ChurnModel), error);

	if (model == NULL)
		return NULL;
	model->ncomponents = booster ? 1 : (uint32_t)
		churn_value_get(artifact->document, "components")->length;
	model->components = churn_arena_array(arena, model->ncomponents,
										  sizeof(ChurnComponent), error);
	if (model->components == NULL ||
		(booster ? !make_booster(artifact, model, arena, error) :
		 !make_components(artifact, model, arena, error)) ||
		!churn_artifact_check_names(model, error) ||
		!churn_model_check(model, error))
		return NULL;
	return model;
}
