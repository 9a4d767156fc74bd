/*
 * model_check.c
 *		The proofs about a model that all else relies on.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "model_format.h"

static bool
check_feature(const ChurnFeature *feature, uint32_t index, ChurnError *error)
{
	if (feature->name == NULL || feature->name[0] == '\0' ||
		feature->type == NULL)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "feature %u has no name", index);
	if ((unsigned int) feature->kind > CHURN_FEATURE_AGE ||
		(feature->flags & ~(uint32_t) CHURN_FEATURE_TEXT_NUMBER) != 0)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "feature \"%.200s\" is of unknown kind",
						  feature->name);
	if (feature->ncategories > CHURN_MAX_CATEGORIES)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "feature \"%.200s\" has %u categories, more than %u",
						  feature->name, feature->ncategories,
						  CHURN_MAX_CATEGORIES);
	if ((feature->kind == CHURN_FEATURE_CATEGORY) !=
		(feature->dictionary != NULL) ||
		(feature->kind != CHURN_FEATURE_CATEGORY && feature->ncategories > 0))
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "feature \"%.200s\" has the wrong categories",
						  feature->name);
	if (feature->transform != NULL && feature->transform[0] == '\0')
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "feature \"%.200s\" has an empty transform",
						  feature->name);
	return true;
}

/*
 * Checks the knots of an isotonic calibration.  They stay within float32's
 * range, so that no difference of two overflows.
 */
static bool
check_knots(const ChurnCalibration *calibration, ChurnError *error)
{
	uint32_t	i;

	if (calibration->nknots == 0)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "calibration has no knots");
	for (i = 0; i < calibration->nknots; i++)
	{
		if (!(fabs(calibration->margins[i]) <= FLT_MAX) ||
			!(fabs(calibration->logits[i]) <= FLT_MAX))
			return churn_fail(error, CHURN_ERROR_CORRUPT,
							  "knot %u of the calibration is not finite", i);
		if (i > 0 &&
			(calibration->margins[i] <= calibration->margins[i - 1] ||
			 calibration->logits[i] <= calibration->logits[i - 1]))
			return churn_fail(error, CHURN_ERROR_CORRUPT,
							  "knot %u of the calibration does not rise", i);
	}
	return true;
}

/* Checks that the calibration is a strictly rising map. */
static bool
check_calibration(const ChurnCalibration *calibration, ChurnError *error)
{
	bool		rises = true;

	if (calibration->nknots > CHURN_MAX_KNOTS)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "calibration has %u knots, more than %d",
						  calibration->nknots, CHURN_MAX_KNOTS);
	if (!isfinite(calibration->a) || !isfinite(calibration->b) ||
		!isfinite(calibration->c))
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "calibration is not finite");
	if (calibration->kind != CHURN_CALIBRATION_ISOTONIC &&
		calibration->nknots > 0)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "calibration has knots without use");
	switch (calibration->kind)
	{
		case CHURN_CALIBRATION_NONE:
			break;
		case CHURN_CALIBRATION_PLATT:
			rises = calibration->a > 0;
			break;
		case CHURN_CALIBRATION_BETA:
			rises = calibration->a >= 0 && calibration->b >= 0 &&
				(calibration->a > 0 || calibration->b > 0);
			break;
		case CHURN_CALIBRATION_ISOTONIC:
			return check_knots(calibration, error);
		default:
			return churn_fail(error, CHURN_ERROR_CORRUPT,
							  "calibration is of unknown kind");
	}
	if (!rises)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "calibration does not rise");
	return true;
}

/* Checks a component that is made for the model's features. */
static bool
check_component(const ChurnModel *model, const ChurnComponent *component,
				uint32_t index, ChurnError *error)
{
	uint32_t	nfeatures;

	if (component->algorithm == NULL || component->algorithm[0] == '\0' ||
		strlen(component->algorithm) > CHURN_MAX_ALGORITHM)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "component %u does not name its algorithm", index);
	if (!isfinite(component->weight) || !(component->weight > 0) ||
		!isfinite(component->offset))
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "component %u has an invalid weight or offset",
						  index);
	if ((unsigned int) component->kind > CHURN_COMPONENT_NETWORK ||
		(component->kind == CHURN_COMPONENT_FOREST) !=
		(component->forest != NULL) ||
		(component->kind == CHURN_COMPONENT_ADDITIVE) !=
		(component->additive != NULL) ||
		(component->kind == CHURN_COMPONENT_NETWORK) !=
		(component->network != NULL))
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "component %u is of unknown kind", index);
	if (component->kind == CHURN_COMPONENT_FOREST)
		nfeatures = component->forest->nfeatures;
	else if (component->kind == CHURN_COMPONENT_ADDITIVE)
		nfeatures = component->additive->nfeatures;
	else
		nfeatures = component->network->nfeatures;
	if (nfeatures != model->nfeatures)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "component %u is made for %u features, not %u",
						  index, nfeatures, model->nfeatures);
	if (component->kind == CHURN_COMPONENT_FOREST)
		return churn_model_check_forest(component->forest, error);
	if (component->kind == CHURN_COMPONENT_ADDITIVE)
		return churn_model_check_additive(component->additive,
										  model->features, error);
	return churn_model_check_network(component->network, model->features,
									 error);
}

/*
 * Checks the components.  Where margins are weighted, their sum must stay
 * finite; a component on its own sees to that itself, apart from forests,
 * which are XGBoost's and may do whatever they do there.
 */
static bool
check_components(const ChurnModel *model, ChurnError *error)
{
	double		bound = 0;
	uint32_t	i;

	if (model->ncomponents == 0)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "model has no components");
	if (model->ncomponents > CHURN_MAX_COMPONENTS)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "%u components exceed the limit of %d",
						  model->ncomponents, CHURN_MAX_COMPONENTS);
	for (i = 0; i < model->ncomponents; i++)
	{
		const ChurnComponent *component = &model->components[i];

		if (!check_component(model, component, i, error))
			return false;
		bound += component->weight * churn_model_bound(component) +
			fabs(component->offset);
	}
	if ((model->ncomponents > 1 || model->components[0].weight != 1 ||
		 model->components[0].offset != 0) && !(bound <= MODEL_MAX_MARGIN))
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "weighted margins may exceed %g", MODEL_MAX_MARGIN);
	return true;
}

/*
 * Checks all that evaluation relies on.  A model that passes can be evaluated,
 * explained and written without further bounds checks.
 */
bool
churn_model_check(const ChurnModel *model, ChurnError *error)
{
	uint32_t	i;

	if (model->nfeatures > CHURN_MAX_FEATURES)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "%u features exceed the limit of %u",
						  model->nfeatures, CHURN_MAX_FEATURES);
	for (i = 0; i < model->nfeatures; i++)
		if (!check_feature(&model->features[i], i, error))
			return false;
	if (!isfinite(model->threshold))
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "threshold is not finite");
	if ((unsigned int) model->as_of > CHURN_AS_OF_COLUMN ||
		(model->as_of == CHURN_AS_OF_COLUMN) != (model->as_of_column != NULL))
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "ages have no date to count from");
	return check_calibration(&model->calibration, error) &&
		check_components(model, error);
}
