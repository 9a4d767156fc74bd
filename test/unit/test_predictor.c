/*
 * test_predictor.c
 *		Additive models, networks and blends against plain loops over what
 *		churn/model.h says, and calibration against its formulas.
 */
#include "../../src/common/network_parts.h"
#include "churn/forest.h"
#include "random_components.h"
#include "unit.h"

#define ROWS	2000

static bool
same_bits(float a, float b)
{
	return memcmp(&a, &b, sizeof(float)) == 0;
}

/* What a feature adds, from the definition, with a linear search. */
static double
plain_effect(const ChurnEffect *effect, float value)
{
	uint32_t	i;
	uint32_t	step = 0;

	if (effect->kind == CHURN_EFFECT_NONE)
		return 0;
	if (isnan(value))
		return effect->missing;
	if (effect->kind == CHURN_EFFECT_LINEAR)
		return effect->slope *
			(double) fminf(fmaxf(value, effect->low), effect->high);
	if (effect->kind == CHURN_EFFECT_CATEGORIES)
	{
		for (i = 0; i < effect->npoints; i++)
			if (truncf(value) == (float) i && value >= 0)
				return effect->points[i];
		return effect->missing;
	}
	for (i = 0; i + 1 < effect->npoints; i++)
		step += effect->cuts[i] <= value;
	return effect->points[step];
}

static float
plain_additive(const ChurnAdditive *additive, const float *row)
{
	double		margin = additive->intercept;
	uint32_t	i;

	for (i = 0; i < additive->nfeatures; i++)
		margin += plain_effect(&additive->effects[i], row[i]);
	return (float) margin;
}

/* All inputs of a row, zeros as well. */
static void
plain_inputs(const ChurnModel *model, const ChurnNetwork *network,
			 const float *row, float *inputs)
{
	uint32_t	i;

	memset(inputs, 0, network->ninputs * sizeof(float));
	for (i = 0; i < model->nfeatures; i++)
	{
		const ChurnNetworkInput *input = &network->inputs[i];
		uint32_t	n = model->features[i].ncategories;

		if (model->features[i].kind == CHURN_FEATURE_CATEGORY)
			inputs[input->first + (row[i] >= 0 && row[i] < (float) n ?
								   (uint32_t) row[i] : n)] = 1;
		else if (isnan(row[i]))
			inputs[input->first + 1] = 1;
		else
			inputs[input->first] =
				(fminf(fmaxf(row[i], input->low), input->high) - input->mean) *
				input->scale;
	}
}

/* Every product of every layer, in order. */
static float
plain_network(const ChurnModel *model, const ChurnNetwork *network,
			  const float *row)
{
	static float values[CHURN_MAX_LAYERS + 1][4096];
	uint32_t	l;
	uint32_t	i;
	uint32_t	j;

	plain_inputs(model, network, row, values[0]);
	for (l = 0; l < network->nlayers; l++)
	{
		const ChurnNetworkLayer *layer = &network->layers[l];

		for (j = 0; j < layer->noutputs; j++)
		{
			volatile float sum = layer->biases[j];

			for (i = 0; i < layer->ninputs; i++)
			{
				volatile float product = values[l][i] *
				layer->weights[i * layer->noutputs + j];

				sum = sum + product;
			}
			values[l + 1][j] = l + 1 < network->nlayers && sum < 0 ? 0 : sum;
		}
	}
	return values[network->nlayers][0];
}

static float
plain_component(const ChurnModel *model, const ChurnComponent *component,
				const float *row)
{
	if (component->kind == CHURN_COMPONENT_FOREST)
		return churn_forest_margin(component->forest, row);
	if (component->kind == CHURN_COMPONENT_ADDITIVE)
		return plain_additive(component->additive, row);
	return plain_network(model, component->network, row);
}

static float
plain_margin(const ChurnModel *model, const float *row)
{
	double		margin = 0;
	uint32_t	i;

	if (model->ncomponents == 1 && model->components[0].weight == 1 &&
		model->components[0].offset == 0)
		return plain_component(model, &model->components[0], row);
	for (i = 0; i < model->ncomponents; i++)
		margin += model->components[i].weight *
			(double) plain_component(model, &model->components[i], row) +
			model->components[i].offset;
	return (float) margin;
}

/* Working memory of just the size that is asked for, at the end of a block. */
static void *
make_workspace(size_t size)
{
	void	   *workspace = NULL;

	if (posix_memalign(&workspace, 32, size > 0 ? size : 1) != 0)
		abort();
	return workspace;
}

/* A predictor of a model that is gone agrees with the plain loops. */
static void
test_shape(const ModelShape *shape, uint64_t seed)
{
	const ForestShape values = {"", shape->nfeatures, 0, 0, false, false, 5,
	20, false};
	Random		random = {seed};
	ChurnArena *arena = churn_arena_create();
	ChurnArena *keep = churn_arena_create();
	ChurnArena *scratch = churn_arena_create();
	ChurnModel *model = random_blend(&random, shape, scratch);
	float	   *rows = random_floats(&random, ROWS * shape->nfeatures, arena);
	float	   *expected = test_alloc(arena, ROWS, sizeof(float));
	ChurnError	error = {CHURN_OK, ""};
	ChurnPredictor *predictor;
	void	   *workspace;
	uint32_t	differ = 0;
	uint32_t	distinct = 0;
	uint32_t	i;

	for (i = 0; i < ROWS * shape->nfeatures; i++)
		rows[i] = random_value(&random, &values);
	if (!ok(churn_model_check(model, &error), "%s passes the check %s",
			shape->name, error.message))
		return;
	for (i = 0; i < ROWS; i++)
		expected[i] = plain_margin(model, rows + i * shape->nfeatures);
	predictor = churn_predictor_make(model, keep, scratch, &error);
	churn_arena_destroy(scratch);
	workspace = make_workspace(churn_predictor_workspace(predictor));
	for (i = 0; i < ROWS; i++)
	{
		float		margin = churn_predictor_margin(predictor, rows +
													i * shape->nfeatures,
													workspace);

		differ += margin != expected[i] || !isfinite(margin);
		distinct += i > 0 && expected[i] != expected[i - 1];
	}
	ok(differ == 0 && (distinct > ROWS / 4 || shape->nfeatures == 0),
	   "%s: %u of %u margins differ, %u changes, %zu bytes", shape->name,
	   differ, ROWS, distinct, churn_predictor_size(predictor));
	free(workspace);
	churn_arena_destroy(keep);
	churn_arena_destroy(arena);
}

/* The network gives the same bits with and without wide vectors. */
static void
test_vectors(void)
{
	const uint32_t widths[] = {1, 7, 8, 9, 31, 32, 33, 40, 64, 100};
	const ForestShape values = {"", 9, 0, 0, false, false, 5, 20, false};
	Random		random = {29};
	uint32_t	differ = 0;
	uint32_t	w;
	uint32_t	i;
	uint32_t	k;

	for (w = 0; w < sizeof(widths) / sizeof(widths[0]); w++)
	{
		ModelShape	shape = {"", 9, 0, 1, 0, {widths[w], widths[9 - w]},
		CHURN_CALIBRATION_NONE};
		ChurnArena *arena = churn_arena_create();
		ChurnModel *model = random_blend(&random, &shape, arena);
		ChurnNetwork *network = model->components[0].network;
		void	   *workspace = make_workspace(churn_network_workspace(network));
		float		row[9];

		for (i = 0; i < ROWS; i++)
		{
			float		plain;

			for (k = 0; k < 9; k++)
				row[k] = random_value(&random, &values);
			plain = churn_network_margin_as(network, model->features, row,
											workspace, true);
			differ += !same_bits(plain,
								 churn_network_margin(network, model->features,
													  row, workspace));
			differ += plain != plain_network(model, network, row);
		}
		free(workspace);
		churn_arena_destroy(arena);
	}
	ok(differ == 0, "%u margins of networks depend on the processor", differ);
}

/* One forest is what its evaluator makes of it, bit by bit. */
static void
test_forest(void)
{
	const ForestShape shape = {"", 8, 60, 20, false, true, 9, 50, false};
	Random		random = {31};
	ChurnArena *arena = churn_arena_create();
	ChurnModel *model = random_model(&random, &shape, arena);
	ChurnPredictor *predictor = churn_predictor_make(model, arena, arena,
													 NULL);
	void	   *workspace = make_workspace(churn_predictor_workspace(predictor));
	uint32_t	differ = 0;
	uint32_t	i;
	uint32_t	k;

	for (i = 0; i < ROWS; i++)
	{
		float		row[8];

		for (k = 0; k < 8; k++)
			row[k] = random_value(&random, &shape);
		differ += !same_bits(churn_predictor_margin(predictor, row, workspace),
							 churn_forest_margin(model->components[0].forest,
												 row));
	}
	ok(differ == 0, "one forest: %u margins differ", differ);
	free(workspace);
	churn_arena_destroy(arena);
}

/* A weight alone makes a blend of one. */
static void
test_weighted(void)
{
	ChurnEffect effect = {.kind = CHURN_EFFECT_LINEAR,.missing = 5,
	.slope = 3,.low = -10,.high = 10};
	ChurnAdditive additive = {0.5, 1, &effect};
	ChurnComponent component = {CHURN_COMPONENT_ADDITIVE, "logistic", 0.25,
	-1, NULL, &additive, NULL};
	ChurnFeature feature = {.name = "x",.type = ""};
	ChurnModel	model = {.nfeatures = 1,.features = &feature,
	.ncomponents = 1,.components = &component};
	const float rows[] = {2, 1e30f, -INFINITY, NAN};
	const float expected[] = {0.625f, 6.625f, -8.375f, 0.375f};
	ChurnArena *arena = churn_arena_create();
	ChurnPredictor *predictor = churn_predictor_make(&model, arena, arena,
													 NULL);
	uint32_t	i;

	for (i = 0; i < 4; i++)
		ok(churn_predictor_margin(predictor, &rows[i], NULL) == expected[i],
		   "a weighted line at %g", (double) rows[i]);
	churn_arena_destroy(arena);
}

/* z of a calibration by the formulas, where they do not overflow. */
static double
plain_logit(const ChurnCalibration *calibration, double margin)
{
	double		p = 1 / (1 + exp(-margin));
	uint32_t	i;

	switch (calibration->kind)
	{
		case CHURN_CALIBRATION_PLATT:
			return calibration->a * margin + calibration->b;
		case CHURN_CALIBRATION_BETA:
			return calibration->a * log(p) - calibration->b * log1p(-p) +
				calibration->c;
		default:
			break;
	}
	for (i = 0; i < calibration->nknots; i++)
		if (margin < calibration->margins[i])
			break;
	if (i == 0)
		return calibration->logits[0] + margin - calibration->margins[0];
	if (i == calibration->nknots)
		return calibration->logits[i - 1] + margin -
			calibration->margins[i - 1];
	return calibration->logits[i - 1] + (margin - calibration->margins[i - 1]) *
		(calibration->logits[i] - calibration->logits[i - 1]) /
		(calibration->margins[i] - calibration->margins[i - 1]);
}

/* Values, order and the far ends of one calibration. */
static void
test_calibration(ChurnCalibrationKind kind, uint64_t seed)
{
	static const char *const names[] = {"none", "platt", "beta", "isotonic"};
	Random		random = {seed};
	ChurnArena *arena = churn_arena_create();
	ChurnCalibration calibration = {CHURN_CALIBRATION_NONE, 0, 0, 0, 0, NULL,
	NULL};
	const float far[] = {-INFINITY, -1e30f, -1e5f, 1e5f, 1e30f, INFINITY};
	double		last = -1;
	double		worst = 0;
	uint32_t	falls = 0;
	uint32_t	i;

	random_calibration(&random, kind, &calibration, arena);
	for (i = 0; i < 4001; i++)
	{
		float		margin = (float) i / 200 - 10;
		double		score = churn_calibrate(&calibration, margin);
		double		expected = kind == CHURN_CALIBRATION_NONE ?
		(double) churn_sigmoid(margin) :
		1 / (1 + exp(-plain_logit(&calibration, (double) margin)));

		worst = fmax(worst, fabs(score - expected));
		falls += score <= last;
		last = score;
	}
	ok(worst <= 1e-14, "%s: scores differ from the formula by %g",
	   names[kind], worst);
	ok(falls == 0, "%s: strictly rising", names[kind]);
	falls = 0;
	for (i = 0; i < 6; i++)
	{
		double		score = churn_calibrate(&calibration, far[i]);

		falls += !(i < 3 ? score >= 0 && score < 0.1 : score > 0.9 &&
				   score <= 1);
	}
	ok(falls == 0, "%s: the far ends are scores", names[kind]);
	ok(isnan(churn_calibrate(&calibration, NAN)), "%s: NaN stays", names[kind]);
	churn_arena_destroy(arena);
}

/* Where formulas as they are written down would break. */
static void
test_calibration_edges(void)
{
	const double margins[] = {-1, 0, 1};
	const double logits[] = {-3, 0, 0.5};
	const double wide[] = {-(double) FLT_MAX, (double) FLT_MAX};
	ChurnCalibration beta = {CHURN_CALIBRATION_BETA, 0, 2, 0.5, 0, NULL, NULL};
	ChurnCalibration isotonic = {CHURN_CALIBRATION_ISOTONIC, 0, 0, 0, 3,
	margins, logits};
	ChurnCalibration broad = {CHURN_CALIBRATION_ISOTONIC, 0, 0, 0, 2, wide,
	wide};

	ok(churn_calibrate(&beta, INFINITY) == 1 &&
	   fabs(churn_calibrate(&beta, -INFINITY) - 1 / (1 + exp(-0.5))) < 1e-15,
	   "beta without its first term");
	beta.a = 2;
	beta.b = 0;
	ok(churn_calibrate(&beta, -INFINITY) == 0 &&
	   fabs(churn_calibrate(&beta, INFINITY) - 1 / (1 + exp(-0.5))) < 1e-15,
	   "beta without its second term");
	ok(churn_calibrate(&isotonic, 0) == 0.5 &&
	   churn_calibrate(&isotonic, -1) == 1 / (1 + exp(3)) &&
	   churn_calibrate(&isotonic, 1) == 1 / (1 + exp(-0.5)) &&
	   churn_calibrate(&isotonic, 3) == 1 / (1 + exp(-2.5)) &&
	   churn_calibrate(&isotonic, -2) == 1 / (1 + exp(4)) &&
	   churn_calibrate(&isotonic, 0.5f) == 1 / (1 + exp(-0.25)),
	   "isotonic at, between and beyond its knots");
	ok(churn_calibrate(&broad, 0) == 0.5 &&
	   churn_calibrate(&broad, -FLT_MAX) == 0 &&
	   churn_calibrate(&broad, FLT_MAX) == 1, "knots as far as they go");
}

int
main(void)
{
	uint32_t	i;

	for (i = 0; i < NMODEL_SHAPES; i++)
		test_shape(&model_shapes[i], 37 + i);
	test_vectors();
	test_forest();
	test_weighted();
	for (i = 0; i < 20; i++)
		test_calibration((ChurnCalibrationKind) (i % 4), 41 + i);
	test_calibration_edges();
	return done();
}
