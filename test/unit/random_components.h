/*
 * random_components.h
 *		Random additive models, networks, trees and blends for tests.
 */
#ifndef CHURN_RANDOM_COMPONENTS_H
#define CHURN_RANDOM_COMPONENTS_H

#include "churn/predictor.h"
#include "random_model.h"

/* What a random model is made of. */
typedef struct ModelShape
{
	const char *name;
	uint32_t	nfeatures;
	uint32_t	nadditive;		/* components of each kind */
	uint32_t	nnetworks;
	uint32_t	nforests;
	uint32_t	hidden[2];		/* outputs of hidden layers; 0: no layer */
	ChurnCalibrationKind calibration;
} ModelShape;

static inline double
random_double(Random *random)
{
	return (double) random_float(random) +
		(double) random_float(random) / (1 << 25);
}

static inline float *
random_floats(Random *random, size_t count, ChurnArena *arena)
{
	float	   *floats = test_alloc(arena, count, sizeof(float));
	size_t		i;

	for (i = 0; i < count; i++)
		floats[i] = random_below(random, 20) == 0 ? -0.0f :
			random_float(random);
	return floats;
}

static inline double *
random_doubles(Random *random, size_t count, ChurnArena *arena)
{
	double	   *doubles = test_alloc(arena, count, sizeof(double));
	size_t		i;

	for (i = 0; i < count; i++)
		doubles[i] = random_double(random);
	return doubles;
}

/* An effect that suits the feature. */
static inline void
random_effect(Random *random, const ChurnFeature *feature,
			  ChurnEffect *effect, ChurnArena *arena)
{
	float	   *cuts;
	uint32_t	i;

	if (random_below(random, 8) == 0)
		return;
	effect->missing = random_double(random);
	effect->mean = random_double(random);
	if (feature->kind == CHURN_FEATURE_CATEGORY)
	{
		effect->kind = CHURN_EFFECT_CATEGORIES;
		effect->npoints = feature->ncategories;
	}
	else if (random_below(random, 2))
	{
		effect->kind = CHURN_EFFECT_LINEAR;
		effect->slope = random_double(random);
		effect->low = random_threshold(random, 5);
		if (!isfinite(effect->low) || fabsf(effect->low) > 1e30f)
			effect->low = -3;
		effect->high = effect->low + (float) random_below(random, 20);
		return;
	}
	else
	{
		effect->kind = CHURN_EFFECT_STEPS;
		effect->npoints = 1 + random_below(random, 9);
		cuts = test_alloc(arena, effect->npoints - 1, sizeof(float));
		for (i = 0; i + 1 < effect->npoints; i++)
			cuts[i] = (float) i * 0.37f - 2.0f;
		effect->cuts = cuts;
	}
	effect->points = random_doubles(random, effect->npoints, arena);
}

static inline ChurnAdditive *
random_additive(Random *random, const ChurnModel *model, ChurnArena *arena)
{
	ChurnAdditive *additive = test_alloc(arena, 1, sizeof(ChurnAdditive));
	uint32_t	i;

	additive->intercept = random_double(random);
	additive->nfeatures = model->nfeatures;
	additive->effects = test_alloc(arena, model->nfeatures,
								   sizeof(ChurnEffect));
	for (i = 0; i < model->nfeatures; i++)
		random_effect(random, &model->features[i], &additive->effects[i],
					  arena);
	return additive;
}

static inline ChurnNetwork *
random_network(Random *random, const ChurnModel *model,
			   const uint32_t *hidden, ChurnArena *arena)
{
	ChurnNetwork *network = test_alloc(arena, 1, sizeof(ChurnNetwork));
	uint32_t	ninputs;
	uint32_t	i;

	network->nfeatures = model->nfeatures;
	network->inputs = test_alloc(arena, model->nfeatures,
								 sizeof(ChurnNetworkInput));
	for (i = 0; i < model->nfeatures; i++)
	{
		ChurnNetworkInput *input = &network->inputs[i];

		input->first = network->ninputs;
		network->ninputs += churn_network_width(&model->features[i]);
		if (model->features[i].kind == CHURN_FEATURE_CATEGORY)
			continue;
		input->low = random_float(random) * 10;
		input->high = input->low + (float) random_below(random, 20);
		input->mean = random_below(random, 4) ? random_float(random) * 5 :
			input->low;
		input->scale = random_float(random);
	}
	network->baseline = random_floats(random, network->ninputs, arena);
	ninputs = network->ninputs;
	for (i = 0; i < CHURN_MAX_LAYERS; i++)
	{
		ChurnNetworkLayer *layer = &network->layers[network->nlayers];

		layer->noutputs = i < 2 ? hidden[i] : 1;
		if (layer->noutputs == 0)
			continue;
		layer->ninputs = ninputs;
		layer->weights = random_floats(random,
									   (size_t) ninputs * layer->noutputs,
									   arena);
		layer->biases = random_floats(random, layer->noutputs, arena);
		ninputs = layer->noutputs;
		network->nlayers++;
	}
	return network;
}

/* A tree or a few, as our own documents or XGBoost's may hold them. */
static inline ChurnForest *
random_trees(Random *random, const ChurnModel *model, uint32_t ntrees,
			 ChurnArena *arena)
{
	ForestShape shape = {"", model->nfeatures, ntrees, 6, false, true, 5, 40,
	false};
	ChurnForest *forest = test_alloc(arena, 1, sizeof(ChurnForest));

	random_forest(random, &shape, forest, arena);
	return forest;
}

static inline void
random_calibration(Random *random, ChurnCalibrationKind kind,
				   ChurnCalibration *calibration, ChurnArena *arena)
{
	double	   *margins;
	double	   *logits;
	uint32_t	i;

	calibration->kind = kind;
	if (kind == CHURN_CALIBRATION_PLATT || kind == CHURN_CALIBRATION_BETA)
	{
		calibration->a = 1.25 + random_double(random);
		calibration->b = 1.25 + random_double(random);
	}
	if (kind == CHURN_CALIBRATION_BETA)
		calibration->c = random_double(random);
	if (kind != CHURN_CALIBRATION_ISOTONIC)
		return;
	calibration->nknots = 1 + random_below(random, 9);
	margins = random_doubles(random, calibration->nknots, arena);
	logits = random_doubles(random, calibration->nknots, arena);
	for (i = 1; i < calibration->nknots; i++)
	{
		margins[i] = margins[i - 1] + 1.001 + margins[i];
		logits[i] = logits[i - 1] + 1.001 + logits[i];
	}
	calibration->margins = margins;
	calibration->logits = logits;
}

/* A model of components over the features of random_model(). */
static inline ChurnModel *
random_blend(Random *random, const ModelShape *shape, ChurnArena *arena)
{
	const ForestShape features = {"", shape->nfeatures, 1, 1, false, false, 5,
	10, false};
	ChurnModel *model = random_model(random, &features, arena);
	uint32_t	i;

	model->ncomponents = shape->nadditive + shape->nnetworks + shape->nforests;
	model->components = test_alloc(arena, model->ncomponents,
								   sizeof(ChurnComponent));
	for (i = 0; i < model->ncomponents; i++)
	{
		ChurnComponent *component = &model->components[i];

		component->weight = 1;
		if (model->ncomponents > 1)
		{
			component->weight = 1.5 + random_double(random);
			component->offset = random_double(random);
		}
		if (i < shape->nadditive)
		{
			component->kind = CHURN_COMPONENT_ADDITIVE;
			component->algorithm = "logistic";
			component->additive = random_additive(random, model, arena);
		}
		else if (i < shape->nadditive + shape->nnetworks)
		{
			component->kind = CHURN_COMPONENT_NETWORK;
			component->algorithm = "neural_network";
			component->network = random_network(random, model, shape->hidden,
												arena);
		}
		else
		{
			component->kind = CHURN_COMPONENT_FOREST;
			component->algorithm = "rules";
			component->forest = random_trees(random, model, 1, arena);
			component->forest->base_margin = 0;
		}
	}
	random_calibration(random, shape->calibration, &model->calibration,
					   arena);
	if (shape->nfeatures > 3)
		model->features[3].transform = "a / nullif(b, 0)";
	return model;
}

/* The shapes that tests of components go through. */
static const ModelShape model_shapes[] = {
	{"additive", 12, 1, 0, 0, {0, 0}, CHURN_CALIBRATION_PLATT},
	{"network of one layer", 12, 0, 1, 0, {0, 0}, CHURN_CALIBRATION_BETA},
	{"network of two layers", 12, 0, 1, 0, {13, 0}, CHURN_CALIBRATION_NONE},
	{"network of three layers", 12, 0, 1, 0, {77, 35},
	CHURN_CALIBRATION_ISOTONIC},
	{"tree", 12, 0, 0, 1, {0, 0}, CHURN_CALIBRATION_PLATT},
	{"blend", 12, 2, 2, 2, {16, 3}, CHURN_CALIBRATION_ISOTONIC},
	{"full blend", 5, 6, 5, 5, {3, 0}, CHURN_CALIBRATION_BETA},
	{"additive of nothing", 0, 1, 0, 0, {0, 0}, CHURN_CALIBRATION_NONE},
	{"network of nothing", 0, 0, 1, 0, {4, 0}, CHURN_CALIBRATION_NONE},
};

#define NMODEL_SHAPES	(sizeof(model_shapes) / sizeof(model_shapes[0]))

#endif							/* CHURN_RANDOM_COMPONENTS_H */
