/*
 * test_components.c
 *		Additive models, networks, blends and calibration in the compiled form:
 *		round trips, damage, and that each check can fail.
 */
#include "random_components.h"
#include "unit.h"

static const ModelShape blend_shape =
{"blend", 8, 2, 2, 1, {5, 3}, CHURN_CALIBRATION_ISOTONIC};

/* Reads a copy of just the length, so that a sanitizer sees reads beyond. */
static ChurnModel *
read_copy(const uint8_t *bytes, size_t length, ChurnArena *arena,
		  ChurnArena *trees, ChurnError *error)
{
	uint8_t    *copy = malloc(length > 0 ? length : 1);
	ChurnModel *model;

	memcpy(copy, bytes, length);
	model = churn_model_read(copy, length, arena, trees, error);
	free(copy);
	return model;
}

/* Margins and scores of some rows by the predictor. */
static void
predict(const ChurnModel *model, double *results, uint32_t count)
{
	const ForestShape values = {"", model->nfeatures, 0, 0, false, false, 5,
	20, false};
	ChurnArena *arena = churn_arena_create();
	ChurnPredictor *predictor = churn_predictor_make(model, arena, arena,
													 NULL);
	void	   *workspace = test_alloc(arena, 1 + (predictor == NULL ? 0 :
												   churn_predictor_workspace(predictor) +
												   32), 1);
	float	   *row = test_alloc(arena, model->nfeatures, sizeof(float));
	Random		random = {3};
	uint32_t	i;
	uint32_t	k;

	if (predictor == NULL)
		abort();
	workspace = (void *) (((uintptr_t) workspace + 31) & ~(uintptr_t) 31);
	for (i = 0; i < count; i++)
	{
		float		margin;

		for (k = 0; k < model->nfeatures; k++)
			row[k] = random_value(&random, &values);
		margin = churn_predictor_margin(predictor, row, workspace);
		results[2 * i] = (double) margin;
		results[2 * i + 1] = churn_calibrate(&model->calibration, margin);
	}
	churn_arena_destroy(arena);
}

#define RESULTS		50

/* Writes a compiled form to a file of the directory that fuzzing begins with. */
static void
keep_form(const uint8_t *bytes, size_t length)
{
	static int	forms = 0;
	const char *directory = getenv("CHURN_TEST_COMPILED");
	char		path[1024];
	FILE	   *file;

	if (directory == NULL)
		return;
	snprintf(path, sizeof(path), "%s/%d.model", directory, forms++);
	file = fopen(path, "wb");
	if (file == NULL || fwrite(bytes, 1, length, file) != length)
		abort();
	fclose(file);
}

/*
 * Written, read and written again; what was read predicts the same, also once
 * all else is gone.
 */
static void
test_round_trip(const ModelShape *shape)
{
	Random		random = {7};
	ChurnArena *arena = churn_arena_create();
	ChurnArena *trees = churn_arena_create();
	ChurnModel *model = random_blend(&random, shape, arena);
	ChurnModel *back;
	ChurnError	error;
	uint8_t    *bytes;
	uint8_t    *again;
	size_t		length;
	size_t		length_again;
	double		before[2 * RESULTS];
	double		after[2 * RESULTS];

	if (!ok(churn_model_write(model, arena, &bytes, &length, &error),
			"%s: the model is written", shape->name))
	{
		printf("# %s\n", error.message);
		return;
	}
	keep_form(bytes, length);
	predict(model, before, RESULTS);
	back = read_copy(bytes, length, arena, trees, &error);
	if (!ok(back != NULL, "%s: and read", shape->name))
	{
		printf("# %s\n", error.message);
		return;
	}
	predict(back, after, RESULTS);
	ok(memcmp(before, after, sizeof(before)) == 0,
	   "%s: margins and scores are the same", shape->name);
	ok(churn_model_write(back, arena, &again, &length_again, &error) &&
	   length == length_again && memcmp(bytes, again, length) == 0,
	   "%s: %zu bytes are written the same", shape->name, length);
	ok(shape->nfeatures <= 3 ||
	   strcmp(back->features[3].transform, "a / nullif(b, 0)") == 0,
	   "%s: the transform is kept", shape->name);
	churn_arena_destroy(trees);
	churn_arena_destroy(arena);
}

/* No prefix of a compiled form may be read, nor one with a byte too many. */
static void
test_truncation(void)
{
	Random		random = {11};
	ChurnArena *arena = churn_arena_create();
	ChurnModel *model = random_blend(&random, &blend_shape, arena);
	ChurnError	error;
	uint8_t    *bytes;
	size_t		length;
	size_t		i;
	size_t		accepted = 0;

	if (!churn_model_write(model, arena, &bytes, &length, &error))
		abort();
	for (i = 0; i < length; i++)
	{
		ChurnArena *own = churn_arena_create();

		accepted += read_copy(bytes, i, own, own, &error) != NULL;
		churn_arena_destroy(own);
	}
	ok(accepted == 0, "none of %zu prefixes is read", length);
	churn_arena_destroy(arena);
}

/*
 * Flips bits and overwrites bytes.  What is still read must pass for a model:
 * it predicts finite margins and is written again.
 */
static void
test_damage(void)
{
	Random		random = {13};
	ChurnArena *arena = churn_arena_create();
	ChurnModel *model = random_blend(&random, &blend_shape, arena);
	ChurnError	error;
	uint8_t    *bytes;
	size_t		length;
	uint32_t	i;
	uint32_t	refused = 0;
	uint32_t	strange = 0;

	if (!churn_model_write(model, arena, &bytes, &length, &error))
		abort();
	for (i = 0; i < 20000; i++)
	{
		ChurnArena *own = churn_arena_create();
		uint8_t    *copy = memcpy(test_alloc(own, length, 1), bytes, length);
		uint32_t	times = 1 + random_below(&random, 3);
		ChurnModel *read;

		while (times-- > 0)
		{
			uint32_t	at = random_below(&random, (uint32_t) length);

			if (random_below(&random, 3) > 0)
				copy[at] ^= (uint8_t) (1 << random_below(&random, 8));
			else
				copy[at] = (uint8_t) -random_below(&random, 2);
		}
		read = read_copy(copy, length, own, own, &error);
		if (read == NULL)
			refused++;
		else
		{
			double		results[2 * RESULTS];
			uint8_t    *again;
			size_t		length_again;
			uint32_t	k;

			predict(read, results, RESULTS);
			for (k = 0; k < 2 * RESULTS; k++)
				strange += !isfinite(results[k]);
			strange += !churn_model_write(read, own, &again, &length_again,
										  &error);
		}
		churn_arena_destroy(own);
	}
	ok(refused > 1000 && refused < 19000 && strange == 0,
	   "of 20000 damaged models %u are refused, %u results are strange",
	   refused, strange);
	churn_arena_destroy(arena);
}

/* An arena that has only so much memory. */
static size_t arena_left;

static void *
limited_alloc(void *context, size_t size)
{
	ChurnArena *arena = context;

	if (size > arena_left)
		return NULL;
	arena_left -= size;
	return arena->alloc(arena->context, size);
}

/* Counts that the input does not justify must not allocate. */
static void
test_memory(void)
{
	Random		random = {17};
	ChurnArena *arena = churn_arena_create();
	ChurnArena	limited = {.alloc = limited_alloc,.context = arena};
	ChurnModel *model = random_blend(&random, &blend_shape, arena);
	ChurnPredictor *predictor;
	ChurnError	error;
	uint8_t    *bytes;
	size_t		length;
	size_t		i;
	size_t		most;
	size_t		out = 0;

	if (!churn_model_write(model, arena, &bytes, &length, &error))
		abort();
	most = 20 * length;
	for (i = 0; i + 4 <= length; i++)
	{
		ChurnArena *own = churn_arena_create();
		uint8_t    *copy = memcpy(test_alloc(own, length, 1), bytes, length);

		memset(copy + i, i % 2 ? 0xFF : 0x7F, 3);
		limited.context = own;
		arena_left = most;
		out += read_copy(copy, length, &limited, &limited, &error) == NULL &&
			error.code == CHURN_ERROR_MEMORY;
		churn_arena_destroy(own);
	}
	ok(out == 0, "inflated counts take no more than %zu bytes", most);

	limited.context = arena;
	for (i = 0; i < most; i += 61)
	{
		arena_left = i;
		error.code = CHURN_OK;
		model = read_copy(bytes, length, &limited, &limited, &error);
		predictor = model == NULL ? NULL :
			churn_predictor_make(model, &limited, &limited, &error);
		out += predictor == NULL && error.code != CHURN_ERROR_MEMORY;
	}
	ok(out == 0, "lack of memory is told as such");
	churn_arena_destroy(arena);
}

/* Applies a change to a good model and expects the check to see it. */
#define refuse(change, expected, why) \
	do { \
		Random		random = {19}; \
		ChurnArena *arena = churn_arena_create(); \
		ChurnModel *model = random_blend(&random, &blend_shape, arena); \
		ChurnComponent *blend = model->components; \
		ChurnEffect *effects = blend[0].additive->effects; \
		ChurnNetwork *network = blend[2].network; \
		ChurnNetworkLayer *layers = network->layers; \
		ChurnCalibration *map = &model->calibration; \
		ChurnError	error = {CHURN_OK, ""}; \
		(void) blend, (void) layers, (void) map; \
		memset(effects, 0, 8 * sizeof(ChurnEffect)); \
		effects[0] = line; \
		effects[1] = steps; \
		effects[2] = categories; \
		if (!churn_model_check(model, NULL)) \
			abort(); \
		change; \
		ok(!churn_model_check(model, &error) && error.code == (expected), \
		   "%s is refused: %s", why, error.message); \
		churn_arena_destroy(arena); \
	} while (0)

#define corrupt(change, why)	refuse(change, CHURN_ERROR_CORRUPT, why)
#define beyond(change, why)		refuse(change, CHURN_ERROR_LIMIT, why)

/* The same for a calibration without knots. */
#define map_only(kind_, a_, b_, c_, why) \
	corrupt((map->kind = kind_, map->a = a_, map->b = b_, map->c = c_, \
			 map->nknots = 0), why)

/* Effects of a number, a boolean and a category of five. */
static const float cuts[] = {-1, 0, 2.5f};
static const float wrong_cuts[] = {-1, 2.5f, 2.5f};
static const float nan_cuts[] = {-1, NAN, 2.5f};
static const double points[] = {-0.5, 0, 0.25, 1, 2};
static const double nan_points[] = {-0.5, 0, NAN, 1, 2};
static const ChurnEffect line = {CHURN_EFFECT_LINEAR, 0.5, 2, -1, 3, 0, NULL,
NULL, 0.25};
static const ChurnEffect steps = {CHURN_EFFECT_STEPS, 0.5, 0, 0, 0, 4, cuts,
points, 0.25};
static const ChurnEffect categories = {CHURN_EFFECT_CATEGORIES, 0.5, 0, 0, 0,
5, NULL, points, 0.25};

static void
test_check_components(void)
{
	corrupt(model->ncomponents = 0, "a model of nothing");
	beyond(model->ncomponents = 17, "too large a blend");
	corrupt(blend[1].algorithm = NULL, "a component without algorithm");
	corrupt(blend[1].algorithm = "", "an algorithm without name");
	corrupt(blend[1].algorithm = "1234567890123456789012345678901234567890"
			"123456789012345678901234", "a long algorithm");
	corrupt(blend[1].weight = 0, "a weight of 0");
	corrupt(blend[1].weight = -1, "a negative weight");
	corrupt(blend[1].weight = INFINITY, "an infinite weight");
	corrupt(blend[1].weight = NAN, "a weight of NaN");
	corrupt(blend[1].offset = NAN, "an offset of NaN");
	corrupt(blend[1].kind = (ChurnComponentKind) 3, "an unknown kind");
	corrupt(blend[1].kind = CHURN_COMPONENT_FOREST, "another kind");
	corrupt(blend[1].network = network, "two kinds at once");
	corrupt(blend[1].additive = NULL, "no body");
	corrupt(blend[0].additive->nfeatures--, "effects of fewer features");
	corrupt(blend[4].forest->nfeatures--, "a forest of fewer features");
	corrupt(network->nfeatures--, "a network of fewer features");
	beyond(blend[1].weight = 1e39, "an overflow by weight");
	beyond(blend[1].offset = -2e38, "an overflow by offset");
	beyond((blend[4].forest->nodes[blend[4].forest->nnodes - 1].value = 3e38f),
		   "a forest that overflows in a blend");
	corrupt((blend[4].forest->nodes[0].flags = 8), "a forest's unknown flag");
	corrupt(model->features[3].transform = "", "an empty transform");
}

static void
test_check_additive(void)
{
	corrupt(effects[0].slope = NAN, "a slope of NaN");
	corrupt(blend[0].additive->intercept = NAN, "an intercept of NaN");
	corrupt(blend[0].additive->intercept = INFINITY, "an infinite intercept");
	beyond(blend[0].additive->intercept = -2e38, "too large an intercept");
	corrupt(effects[0].kind = (ChurnEffectKind) 4, "an unknown effect");
	corrupt(effects[0].low = 4, "an empty range");
	corrupt(effects[0].low = NAN, "a range from NaN");
	corrupt(effects[0].high = INFINITY, "a range without end");
	corrupt(effects[0].missing = NAN, "a missing effect of NaN");
	corrupt(effects[0].mean = INFINITY, "an infinite mean");
	corrupt(effects[3].mean = 1, "a mean of no effect");
	beyond(effects[0].slope = 1e38, "effects that overflow");
	beyond(effects[0].missing = -1e39, "a missing effect that overflows");
	corrupt(effects[1].npoints = 0, "steps without points");
	corrupt(effects[1].npoints = 65537, "too many steps");
	corrupt(effects[1].cuts = wrong_cuts, "cuts that do not rise");
	corrupt(effects[1].cuts = nan_cuts, "a cut of NaN");
	corrupt(effects[1].points = nan_points, "a point of NaN");
	corrupt(effects[1] = categories, "categories of a boolean");
	corrupt(effects[2].npoints = 4, "too few categories");
	corrupt(effects[2].points = nan_points, "a category's NaN");
	corrupt(effects[2] = line, "a line of a category");
	corrupt(effects[2] = steps, "steps of a category");
}

static void
test_check_network(void)
{
	corrupt(network->inputs[3].first++, "an input out of place");
	corrupt(network->ninputs++, "an input too many");
	corrupt(network->inputs[0].low = 100, "an empty range of an input");
	corrupt(network->inputs[0].high = INFINITY, "an input without bound");
	corrupt(network->inputs[0].mean = NAN, "a mean of NaN");
	corrupt(network->inputs[0].scale = INFINITY, "an infinite scale");
	corrupt(((float *) network->baseline)[4] = NAN, "a baseline of NaN");
	beyond(network->nlayers = 0, "a network without layers");
	beyond(network->nlayers = 4, "too many layers");
	corrupt(network->nlayers = 2, "several outputs");
	corrupt(layers[1].ninputs--, "layers that do not chain");
	beyond(layers[0].noutputs = 0, "an empty layer");
	beyond(layers[0].noutputs = 1025, "too wide a layer");
	corrupt(((float *) layers[1].weights)[7] = NAN, "a weight of NaN");
	corrupt(((float *) layers[2].biases)[0] = -INFINITY, "an infinite bias");
	beyond(((float *) layers[0].weights)[1] = 1e38f, "a weight that overflows");
	beyond(((float *) layers[1].biases)[1] = 3e38f, "a bias that overflows");
	beyond(network->inputs[0].scale = 1e38f, "an input that overflows");
	beyond((network->inputs[0].low = -FLT_MAX, network->inputs[0].scale = 0),
		   "a difference that overflows");
}

static void
test_check_calibration(void)
{
	static const double same[] = {-1, 0, 0, 1};
	static const double wild[] = {-1, 0, INFINITY};
	static const double rising[] = {-1, 0, 1, 2};

	beyond(map->nknots = 1025, "too many knots");
	corrupt(map->nknots = 0, "isotonic without knots");
	corrupt((map->nknots = 4, map->margins = same, map->logits = rising),
			"margins that do not rise");
	corrupt((map->nknots = 4, map->logits = same, map->margins = rising),
			"logits that do not rise");
	corrupt((map->nknots = 3, map->logits = wild, map->margins = rising),
			"an infinite logit");
	corrupt((map->nknots = 3, map->margins = wild, map->logits = rising),
			"an infinite margin");
	corrupt(map->kind = CHURN_CALIBRATION_NONE, "knots without use");
	corrupt(map->kind = (ChurnCalibrationKind) 4, "an unknown calibration");
	map_only(CHURN_CALIBRATION_PLATT, 0, 1, 0, "a flat line");
	map_only(CHURN_CALIBRATION_PLATT, -1, 1, 0, "a falling line");
	map_only(CHURN_CALIBRATION_PLATT, NAN, 1, 0, "a slope of NaN");
	map_only(CHURN_CALIBRATION_PLATT, 1, INFINITY, 0, "an infinite shift");
	map_only(CHURN_CALIBRATION_BETA, 0, 0, 1, "a flat beta");
	map_only(CHURN_CALIBRATION_BETA, -1, 2, 1, "beta with a negative a");
	map_only(CHURN_CALIBRATION_BETA, 2, -1, 1, "beta with a negative b");
	map_only(CHURN_CALIBRATION_BETA, 1, 1, NAN, "beta with c of NaN");
}

int
main(void)
{
	uint32_t	i;

	for (i = 0; i < NMODEL_SHAPES; i++)
		test_round_trip(&model_shapes[i]);
	test_truncation();
	test_damage();
	test_memory();
	test_check_components();
	test_check_additive();
	test_check_network();
	test_check_calibration();
	return done();
}
