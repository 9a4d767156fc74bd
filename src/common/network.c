/*
 * network.c
 *		The margin of a multi-layer perceptron; see churn/model.h.
 *
 * Each output of a layer is a float32 sum that begins with the bias and takes
 * input * weight in the order of the inputs.  Outputs are summed up side by
 * side in vectors, so that the order of each sum, and with it the result, is
 * the same on every processor.
 *
 * Most inputs are zero: all but one of a category's, and whatever max(0, x)
 * cut off.  They are left out.  That changes no bit: weights are finite, so
 * their products are zeros, and adding one changes a sum only from -0 to +0,
 * which never is -0, since the bias enters as bias + 0.  For the same reason
 * products by 1 need no care.
 *
 * No product may be fused with the sum: compile with -ffp-contract=off.
 */
#include <math.h>

#include "network_parts.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define HAVE_AVX2_KERNEL
#endif

#define FORCE_INLINE static inline __attribute__((always_inline))

/* Outputs that are summed up side by side; loaded from wherever floats are. */
#define LANES	8
typedef float NetworkLanes __attribute__((vector_size(4 * LANES), aligned(4)));

/* An input that is not zero. */
typedef struct NetworkActive
{
	uint32_t	input;
	float		value;
} NetworkActive;

/* Sums up four times LANES outputs from the j-th on. */
FORCE_INLINE void
sum_wide(const ChurnNetworkLayer *layer, const NetworkActive *actives,
		 uint32_t nactives, uint32_t j, float *outputs)
{
	const		NetworkLanes *biases = (const NetworkLanes *) (layer->biases + j);
	NetworkLanes *result = (NetworkLanes *) (outputs + j);
	NetworkLanes sum0 = biases[0] + 0.0f;
	NetworkLanes sum1 = biases[1] + 0.0f;
	NetworkLanes sum2 = biases[2] + 0.0f;
	NetworkLanes sum3 = biases[3] + 0.0f;
	uint32_t	i;

	for (i = 0; i < nactives; i++)
	{
		const		NetworkLanes *weights = (const NetworkLanes *)
		(layer->weights +
		 (size_t) actives[i].input * layer->noutputs + j);
		float		value = actives[i].value;

		sum0 += value * weights[0];
		sum1 += value * weights[1];
		sum2 += value * weights[2];
		sum3 += value * weights[3];
	}
	result[0] = sum0;
	result[1] = sum1;
	result[2] = sum2;
	result[3] = sum3;
}

/* The same for LANES outputs. */
FORCE_INLINE void
sum_narrow(const ChurnNetworkLayer *layer, const NetworkActive *actives,
		   uint32_t nactives, uint32_t j, float *outputs)
{
	NetworkLanes sum = *(const NetworkLanes *) (layer->biases + j) + 0.0f;
	uint32_t	i;

	for (i = 0; i < nactives; i++)
		sum += actives[i].value * *(const NetworkLanes *)
			(layer->weights +
			 (size_t) actives[i].input * layer->noutputs + j);
	*(NetworkLanes *) (outputs + j) = sum;
}

/* The outputs of a layer, before max(0, x). */
FORCE_INLINE void
sum_layer(const ChurnNetworkLayer *layer, const NetworkActive *actives,
		  uint32_t nactives, float *outputs)
{
	uint32_t	j = 0;
	uint32_t	i;

	for (; j + 4 * LANES <= layer->noutputs; j += 4 * LANES)
		sum_wide(layer, actives, nactives, j, outputs);
	for (; j + LANES <= layer->noutputs; j += LANES)
		sum_narrow(layer, actives, nactives, j, outputs);
	for (; j < layer->noutputs; j++)
	{
		float		sum = layer->biases[j] + 0.0f;

		for (i = 0; i < nactives; i++)
			sum += actives[i].value *
				layer->weights[(size_t) actives[i].input *
							   layer->noutputs + j];
		outputs[j] = sum;
	}
}

static void
sum_layer_portable(const ChurnNetworkLayer *layer,
				   const NetworkActive *actives, uint32_t nactives,
				   float *outputs)
{
	sum_layer(layer, actives, nactives, outputs);
}

#ifdef HAVE_AVX2_KERNEL
__attribute__((target("avx2"))) static void
sum_layer_avx2(const ChurnNetworkLayer *layer, const NetworkActive *actives,
			   uint32_t nactives, float *outputs)
{
	sum_layer(layer, actives, nactives, outputs);
}
#endif

/*
 * Collects the inputs of a row that are not zero, at most one a feature, in
 * their order.
 */
static uint32_t
collect_inputs(const ChurnNetwork *network,
			   const ChurnFeature *features_of_model, const float *features,
			   NetworkActive *actives)
{
	uint32_t	n = 0;
	uint32_t	i;

	for (i = 0; i < network->nfeatures; i++)
	{
		const ChurnNetworkInput *input = &network->inputs[i];
		float		value = features[i];

		actives[n].input = input->first;
		actives[n].value = 1.0f;
		if (features_of_model[i].kind == CHURN_FEATURE_CATEGORY)
		{
			uint32_t	ncategories = features_of_model[i].ncategories;

			/* false for NaN */
			actives[n].input += value >= 0 && value < (float) ncategories ?
				(uint32_t) value : ncategories;
		}
		else if (isnan(value))
			actives[n].input++;
		else
		{
			if (value < input->low)
				value = input->low;
			if (value > input->high)
				value = input->high;
			actives[n].value = (value - input->mean) * input->scale;
		}
		n += actives[n].value != 0;
	}
	return n;
}

/* Inputs that are not zero at most, of whichever layer. */
static size_t
most_actives(const ChurnNetwork *network)
{
	size_t		most = network->nfeatures;
	uint32_t	l;

	for (l = 1; l < network->nlayers; l++)
		if (network->layers[l].ninputs > most)
			most = network->layers[l].ninputs;
	return most;
}

/* Working memory: the inputs of a layer that are not zero, its outputs. */
size_t
churn_network_workspace(const ChurnNetwork *network)
{
	size_t		widest = 0;
	uint32_t	l;

	for (l = 0; l < network->nlayers; l++)
		if (network->layers[l].noutputs > widest)
			widest = network->layers[l].noutputs;
	return most_actives(network) * sizeof(NetworkActive) +
		widest * sizeof(float);
}

/* The margin of one row, in either way; see network_parts.h. */
float
churn_network_margin_as(const ChurnNetwork *network,
						const ChurnFeature *features_of_model,
						const float *features, void *workspace,
						bool portable)
{
	NetworkActive *actives = workspace;
	float	   *outputs = (float *) (actives + most_actives(network));
	uint32_t	n = collect_inputs(network, features_of_model, features,
								   actives);
	uint32_t	l;
	uint32_t	j;

	(void) portable;
	for (l = 0; l < network->nlayers; l++)
	{
		const ChurnNetworkLayer *layer = &network->layers[l];

#ifdef HAVE_AVX2_KERNEL
		if (!portable)
			sum_layer_avx2(layer, actives, n, outputs);
		else
#endif
			sum_layer_portable(layer, actives, n, outputs);
		if (l + 1 == network->nlayers)
			break;
		n = 0;
		for (j = 0; j < layer->noutputs; j++)
		{
			actives[n].input = j;
			actives[n].value = outputs[j];
			n += outputs[j] > 0;
		}
	}
	return outputs[0];
}

/* The margin of one row; see churn/predictor.h. */
float
churn_network_margin(const ChurnNetwork *network,
					 const ChurnFeature *features_of_model,
					 const float *features, void *workspace)
{
	bool		portable = true;

#ifdef HAVE_AVX2_KERNEL
	portable = !__builtin_cpu_supports("avx2");
#endif
	return churn_network_margin_as(network, features_of_model, features,
								   workspace, portable);
}
