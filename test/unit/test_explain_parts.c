/*
 * test_explain_parts.c
 *		Contributions to the margins of additive models against sums done by
 *		hand, of networks against the numeric integral, and of blends.
 */
#include "explain_test.h"

/* Effects of every kind, against sums done by hand. */
static void
test_additive(void)
{
	static const float cuts[] = {1, 2, 5};
	static const double steps[] = {-1, 0.5, 2, 4};
	static const double codes[] = {0.25, -0.75};
	ChurnEffect effects[] = {
		{CHURN_EFFECT_NONE, 9, 9, 0, 0, 0, NULL, NULL, 0},
		{CHURN_EFFECT_LINEAR, 0.125, 2, -1, 3, 0, NULL, NULL, 0.5},
		{CHURN_EFFECT_STEPS, -3, 0, 0, 0, 4, cuts, steps, 1},
		{CHURN_EFFECT_CATEGORIES, 7, 0, 0, 0, 2, NULL, codes, -2},
	};
	ChurnAdditive additive = {-0.5, 4, effects};
	ChurnComponent component = {CHURN_COMPONENT_ADDITIVE, "logistic", 1, 0,
	NULL, &additive, NULL};
	static const struct
	{
		float		row[4];
		double		expected[5];
	}			cases[] = {
		{{1, 2, 2, 1}, {0, 3.5, 1, 1.25, -1}},
		{{NAN, 10, 0.5f, 0}, {0, 5.5, -2, 2.25, -1}},
		{{3, -10, 1, NAN}, {0, -2.5, -0.5, 9, -1}},
		{{3, NAN, NAN, 2}, {0, -0.375, -4, 9, -1}},
		{{3, 0, 5, -1}, {0, -0.5, 3, 9, -1}},
	};
	ChurnArena *arena = churn_arena_create();
	ChurnExplainer *explainer =
	make_explainer(make_model(4, &component, 1, arena), arena);
	void	   *workspace = make_workspace(explainer);
	double		got[5];
	uint32_t	i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		churn_explain_row(explainer, cases[i].row, workspace, got);
		ok(difference(got, cases[i].expected, 5) == 0,
		   "additive model, row %u", i);
	}
	free(workspace);
	churn_arena_destroy(arena);
}

/* A random network over two numbers, a category of 3 and a boolean. */
static ChurnNetwork *
random_network(Random *random, uint32_t nlayers, uint32_t first,
			   uint32_t second, ChurnArena *arena)
{
	static const uint32_t firsts[] = {0, 2, 4, 8};
	const uint32_t widths[] = {10, nlayers > 1 ? first : 1,
	nlayers > 2 ? second : 1, 1};
	ChurnNetwork *network = test_alloc(arena, 1, sizeof(ChurnNetwork));
	float	   *baseline = test_alloc(arena, 10, sizeof(float));
	uint32_t	l;
	uint32_t	i;

	network->nfeatures = 4;
	network->inputs = test_alloc(arena, 4, sizeof(ChurnNetworkInput));
	for (i = 0; i < 4; i++)
		network->inputs[i] = (ChurnNetworkInput)
	{
		firsts[i], -3, 5, 0.5f, 0.7f
	};
	network->ninputs = 10;
	for (i = 0; i < 10; i++)
		baseline[i] = fabsf(random_float(random)) / 3;
	network->baseline = baseline;
	network->nlayers = nlayers;
	for (l = 0; l < nlayers; l++)
	{
		ChurnNetworkLayer *layer = &network->layers[l];
		float	   *weights;
		float	   *biases;

		layer->ninputs = widths[l];
		layer->noutputs = widths[l + 1];
		weights = test_alloc(arena, layer->ninputs * layer->noutputs,
							 sizeof(float));
		biases = test_alloc(arena, layer->noutputs, sizeof(float));
		for (i = 0; i < layer->ninputs * layer->noutputs; i++)
			weights[i] = random_float(random);
		for (i = 0; i < layer->noutputs; i++)
			biases[i] = random_float(random) / 2;
		layer->weights = weights;
		layer->biases = biases;
	}
	return network;
}

/* A network's margin, and its gradient by all inputs, in double. */
static double
network_gradient(const ChurnNetwork *network, const double *inputs,
				 double *gradient)
{
	double		values[CHURN_MAX_LAYERS + 1][64];
	double		back[64] = {1};
	uint32_t	l;
	uint32_t	i;
	uint32_t	k;

	memcpy(values[0], inputs, network->ninputs * sizeof(double));
	for (l = 0; l < network->nlayers; l++)
	{
		const ChurnNetworkLayer *layer = &network->layers[l];

		for (k = 0; k < layer->noutputs; k++)
		{
			double		sum = layer->biases[k];

			for (i = 0; i < layer->ninputs; i++)
				sum += values[l][i] * layer->weights[i * layer->noutputs + k];
			values[l + 1][k] = l + 1 < network->nlayers && sum < 0 ? 0 : sum;
		}
	}
	for (l = network->nlayers; l-- > 0;)
	{
		const ChurnNetworkLayer *layer = &network->layers[l];
		double		next[64] = {0};

		for (i = 0; i < layer->ninputs; i++)
			for (k = 0; k < layer->noutputs; k++)
				if (l + 1 == network->nlayers || values[l + 1][k] > 0)
					next[i] += layer->weights[i * layer->noutputs + k] *
						back[k];
		memcpy(back, next, sizeof(back));
	}
	memcpy(gradient, back, network->ninputs * sizeof(double));
	return values[network->nlayers][0];
}

/* The inputs of a row, as churn/model.h describes them. */
static void
network_inputs(const ChurnNetwork *network, const float *row, double *inputs)
{
	uint32_t	i;

	memset(inputs, 0, 10 * sizeof(double));
	for (i = 0; i < 4; i++)
	{
		const ChurnNetworkInput *input = &network->inputs[i];

		if (i == 2)
			inputs[input->first +
				   (row[i] >= 0 && row[i] < 3 ? (int) row[i] : 3)] = 1;
		else if (isnan(row[i]))
			inputs[input->first + 1] = 1;
		else
			inputs[input->first] = (fminf(fmaxf(row[i], -3), 5) - 0.5f) * 0.7f;
	}
}

/* Compares a network's explanation with the integral in many small steps. */
static void
test_network(Random *random, uint32_t nlayers, uint32_t first,
			 uint32_t second)
{
	enum
	{
		STEPS = 4000
	};
	ChurnArena *arena = churn_arena_create();
	ChurnNetwork *network = random_network(random, nlayers, first, second,
										   arena);
	ChurnComponent component = {CHURN_COMPONENT_NETWORK, "neural_network", 1,
	0, NULL, NULL, network};
	ChurnModel *model = make_model(4, &component, 1, arena);
	ChurnExplainer *explainer;
	void	   *workspace;
	double		worst = 0;
	double		worst_sum = 0;
	uint32_t	r;
	uint32_t	i;
	uint32_t	s;

	model->features[2].kind = CHURN_FEATURE_CATEGORY;
	model->features[2].ncategories = 3;
	model->features[3].kind = CHURN_FEATURE_BOOLEAN;
	explainer = make_explainer(model, arena);
	workspace = make_workspace(explainer);
	for (r = 0; r < ROWS; r++)
	{
		float		row[4];
		double		got[5];
		double		expected[5] = {0};
		double		end[10];
		double		at[10];
		double		gradient[10];
		double		sum = 0;
		double		gap;

		for (i = 0; i < 4; i++)
			row[i] = random_below(random, 5) == 0 ? NAN :
				i == 2 ? (float) random_below(random, 4) :
				i == 3 ? (float) random_below(random, 2) :
				8 * random_float(random);
		network_inputs(network, row, end);
		for (s = 0; s < STEPS; s++)
		{
			for (i = 0; i < 10; i++)
				at[i] = network->baseline[i] + (s + 0.5) / STEPS *
					(end[i] - network->baseline[i]);
			network_gradient(network, at, gradient);
			for (i = 0; i < 10; i++)
				expected[i < 4 ? i / 2 : i < 8 ? 2 : 3] += gradient[i] *
					(end[i] - network->baseline[i]) / STEPS;
		}
		for (i = 0; i < 10; i++)
			at[i] = network->baseline[i];
		expected[4] = network_gradient(network, at, gradient);
		churn_explain_row(explainer, row, workspace, got);
		gap = difference(got, expected, 5);
		worst = gap > worst ? gap : worst;
		for (i = 0; i < 5; i++)
			sum += got[i];
		gap = fabs(sum - network_gradient(network, end, gradient));
		worst_sum = gap > worst_sum ? gap : worst_sum;
	}
	ok(worst <= 5e-3,
	   "network of %u x %u x %u: as the integral in small steps (%.1g)",
	   nlayers - 1, first, second, worst);
	ok(worst_sum <= 1e-12, "network of %u x %u x %u: they sum to the margin"
	   " (%.1g)", nlayers - 1, first, second, worst_sum);
	free(workspace);
	churn_arena_destroy(arena);
}

/* A blend's contributions are its components', weighted. */
static void
test_blend(Random *random)
{
	static const ForestShape shape =
	{"blend", 4, 10, 8, false, false, 3, 10, false};
	ChurnArena *arena = churn_arena_create();
	ChurnForest *forest = test_alloc(arena, 1, sizeof(ChurnForest));
	ChurnEffect *effects = test_alloc(arena, 4, sizeof(ChurnEffect));
	ChurnAdditive additive = {0.75, 4, effects};
	ChurnComponent components[] = {
		{CHURN_COMPONENT_FOREST, "xgboost", 0.25, 0.5, forest, NULL, NULL},
		{CHURN_COMPONENT_ADDITIVE, "logistic", 2, -1, NULL, &additive, NULL},
	};
	ChurnComponent plain[2];
	float		row[4];
	double		got[5];
	double		expected[5] = {0};
	double		part[5];
	ChurnExplainer *explainer;
	void	   *workspace;
	uint32_t	i;
	uint32_t	k;

	random_forest(random, &shape, forest, arena);
	for (i = 0; i < 4; i++)
		effects[i] = (ChurnEffect)
	{
		CHURN_EFFECT_LINEAR, 0, i + 1.0, -9, 9, 0,
			NULL, NULL, 0.5
	};
	for (i = 0; i < 4; i++)
		row[i] = (float) i - 1.5f;
	memcpy(plain, components, sizeof(plain));
	for (k = 0; k < 2; k++)
	{
		plain[k].weight = 1;
		plain[k].offset = 0;
		explainer = make_explainer(make_model(4, &plain[k], 1, arena), arena);
		workspace = make_workspace(explainer);
		churn_explain_row(explainer, row, workspace, part);
		for (i = 0; i < 5; i++)
			expected[i] += components[k].weight * part[i];
		expected[4] += components[k].offset;
		free(workspace);
	}
	explainer = make_explainer(make_model(4, components, 2, arena), arena);
	workspace = make_workspace(explainer);
	churn_explain_row(explainer, row, workspace, got);
	ok(difference(got, expected, 5) <= 1e-12,
	   "a blend's contributions are the weighted sums of its components'");
	free(workspace);
	churn_arena_destroy(arena);
}

int
main(void)
{
	Random		random = {20240612};

	test_additive();
	test_network(&random, 1, 0, 0);
	test_network(&random, 2, 1, 0);
	test_network(&random, 2, 40, 0);
	test_network(&random, 3, 1, 1);
	test_network(&random, 3, 30, 20);
	test_network(&random, 3, 7, 60);
	test_blend(&random);
	return done();
}
