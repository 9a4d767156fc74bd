/*
 * explain_network.c
 *		Integrated gradients of a network, exactly.
 *
 * On the straight line from the baseline (position 0) to the row (position 1)
 * each unit of the first hidden layer grows linearly, so that it changes at
 * most once between off and on.  Between two such changes the units of the
 * second layer grow linearly too.  The integral of the output's gradient is
 * therefore a sum of the lengths during which units are on, and needs no
 * numeric integration.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "component_parts.h"
#include "explain_parts.h"

typedef struct NetworkState
{
	const ChurnNetwork *network;	/* a copy */
	const bool *categorical;	/* by feature */
	const uint32_t *widths;		/* by feature: its inputs */
	const double *start;		/* first layer's sums at the baseline */
} NetworkState;

/* A unit of the first layer that changes on the way. */
typedef struct Change
{
	double		position;
	uint32_t	unit;
} Change;

/* The parts of the workspace. */
typedef struct Line
{
	double	   *steps;			/* by input: row - baseline */
	double	   *rise;			/* by first unit: its sum's growth */
	double	   *gains;			/* by first unit: integral of d margin / d
								 * unit */
	double	   *value;			/* by second unit: its sum at position 0 */
	double	   *slope;			/* by second unit: growth in this stretch */
	double	   *on;				/* by second unit: length it was on so far */
	Change	   *changes;
} Line;

/* Units of a hidden layer, 0 if there is no such layer. */
static uint32_t
hidden_units(const ChurnNetwork *network, uint32_t layer)
{
	return layer + 1 < network->nlayers ? network->layers[layer].noutputs : 0;
}

/* Bytes of the workspace, of which make_line makes parts. */
static size_t
line_bytes(const ChurnNetwork *network)
{
	return network->ninputs * sizeof(double) +
		hidden_units(network, 0) * (2 * sizeof(double) + sizeof(Change)) +
		hidden_units(network, 1) * 3 * sizeof(double);
}

static Line
make_line(const ChurnNetwork *network, void *workspace)
{
	const uint32_t first = hidden_units(network, 0);
	const uint32_t second = hidden_units(network, 1);
	Line		line;

	line.steps = workspace;
	line.rise = line.steps + network->ninputs;
	line.gains = line.rise + first;
	line.value = line.gains + first;
	line.slope = line.value + second;
	line.on = line.slope + second;
	line.changes = (Change *) (line.on + second);
	return line;
}

/* Computes the inputs of a feature, less the baseline. */
static void
input_steps(const NetworkState *state, uint32_t feature, float value,
			double *steps)
{
	const ChurnNetworkInput *input = &state->network->inputs[feature];
	const float *baseline = state->network->baseline + input->first;
	uint32_t	i;

	steps += input->first;
	if (state->categorical[feature])
	{
		const uint32_t last = state->widths[feature] - 1;

		for (i = 0; i <= last; i++)
			steps[i] = -(double) baseline[i];
		i = value >= 0 && value < (float) last ? (uint32_t) value : last;
		steps[i] += 1;
		return;
	}
	steps[0] = -(double) baseline[0];
	steps[1] = -(double) baseline[1];
	if (isnan(value))
		steps[1] += 1;
	else
	{
		value = value < input->low ? input->low :
			value > input->high ? input->high : value;
		steps[0] += (double) ((value - input->mean) * input->scale);
	}
}

static int
compare_changes(const void *a, const void *b)
{
	const Change *x = a;
	const Change *y = b;

	if (x->position != y->position)
		return x->position < y->position ? -1 : 1;
	return (x->unit > y->unit) - (x->unit < y->unit);
}

/* The part of a stretch during which a linear function is above 0. */
static double
share_on(double begin, double end)
{
	if (begin > 0 && end > 0)
		return 1;
	if (begin <= 0 && end <= 0)
		return 0;
	return (begin > 0 ? begin : end) / fabs(begin - end);
}

/* The gains of the only hidden layer's units. */
static void
explain_one_layer(const NetworkState *state, Line *line)
{
	const ChurnNetworkLayer *output = &state->network->layers[1];
	uint32_t	j;

	for (j = 0; j < output->ninputs; j++)
		line->gains[j] = output->weights[j] *
			share_on(state->start[j], state->start[j] + line->rise[j]);
}

/*
 * Adds a first unit that is on to the second layer's sums; sign is -1 to take
 * it away again.
 */
static void
switch_unit(const NetworkState *state, Line *line, uint32_t unit, double sign)
{
	const ChurnNetworkLayer *layer = &state->network->layers[1];
	const float *weights = layer->weights + (size_t) unit * layer->noutputs;
	uint32_t	k;

	for (k = 0; k < layer->noutputs; k++)
	{
		line->value[k] += sign * weights[k] * state->start[unit];
		line->slope[k] += sign * weights[k] * line->rise[unit];
	}
}

/* Counts the stretch between two positions for the second units on in it. */
static void
pass_stretch(const NetworkState *state, Line *line, double begin, double end)
{
	const uint32_t n = state->network->layers[1].noutputs;
	uint32_t	k;

	for (k = 0; k < n; k++)
		line->on[k] += (end - begin) *
			share_on(line->value[k] + begin * line->slope[k],
					 line->value[k] + end * line->slope[k]);
}

/* The integral so far of d margin / d unit, were the first unit always on. */
static double
gain_so_far(const NetworkState *state, const Line *line, uint32_t unit)
{
	const ChurnNetworkLayer *layer = &state->network->layers[1];
	const float *weights = layer->weights + (size_t) unit * layer->noutputs;
	const float *output = state->network->layers[2].weights;
	double		sum = 0;
	uint32_t	k;

	for (k = 0; k < layer->noutputs; k++)
		sum += (double) output[k] * weights[k] * line->on[k];
	return sum;
}

/*
 * The gains of the first of two hidden layers' units.  Walks along the line
 * from change to change; a unit that goes off gained what was gained until
 * then, one that goes on what is gained afterwards.
 */
static void
explain_two_layers(const NetworkState *state, Line *line)
{
	const ChurnNetworkLayer *layer = &state->network->layers[1];
	uint32_t	nchanges = 0;
	double		position = 0;
	uint32_t	i;

	for (i = 0; i < layer->noutputs; i++)
	{
		line->value[i] = layer->biases[i];
		line->slope[i] = 0;
		line->on[i] = 0;
	}
	for (i = 0; i < layer->ninputs; i++)
	{
		const double start = state->start[i];
		const double end = start + line->rise[i];

		if (start > 0 || (start == 0 && end > 0))
			switch_unit(state, line, i, 1);
		if ((start > 0 && end < 0) || (start < 0 && end > 0))
			line->changes[nchanges++] =
				(Change)
		{
			-state->start[i] / line->rise[i], i
		};
	}
	qsort(line->changes, nchanges, sizeof(Change), compare_changes);
	memset(line->gains, 0, layer->ninputs * sizeof(double));
	for (i = 0; i < nchanges; i++)
	{
		const Change *change = &line->changes[i];
		const bool	on = state->start[change->unit] > 0;
		double		gain;

		pass_stretch(state, line, position, change->position);
		position = change->position;
		gain = gain_so_far(state, line, change->unit);
		line->gains[change->unit] = on ? gain : -gain;
		switch_unit(state, line, change->unit, on ? -1 : 1);
	}
	pass_stretch(state, line, position, 1);
	for (i = 0; i < layer->ninputs; i++)
	{
		const double end = state->start[i] + line->rise[i];

		if (end > 0 || (end == 0 && state->start[i] > 0))
			line->gains[i] += gain_so_far(state, line, i);
	}
}

/* Computes how the first layer's sums grow along the line. */
static void
first_layer_rise(const ChurnNetwork *network, Line *line)
{
	const ChurnNetworkLayer *layer = &network->layers[0];
	uint32_t	i;
	uint32_t	j;

	memset(line->rise, 0, layer->noutputs * sizeof(double));
	for (i = 0; i < layer->ninputs; i++)
	{
		const float *weights = layer->weights + (size_t) i * layer->noutputs;

		if (line->steps[i] == 0)
			continue;
		for (j = 0; j < layer->noutputs; j++)
			line->rise[j] += line->steps[i] * weights[j];
	}
}

/* Explains a row by a network; see explain_parts.h. */
static void
explain_network(const ChurnPart *part, const float *features, void *workspace,
				double *sums)
{
	const NetworkState *state = part->state;
	const ChurnNetwork *network = state->network;
	const ChurnNetworkLayer *layer = &network->layers[0];
	Line		line = make_line(network, workspace);
	uint32_t	f;
	uint32_t	i;
	uint32_t	j;

	for (f = 0; f < network->nfeatures; f++)
		input_steps(state, f, features[f], line.steps);
	if (network->nlayers > 1)
		first_layer_rise(network, &line);
	if (network->nlayers == 2)
		explain_one_layer(state, &line);
	else if (network->nlayers == 3)
		explain_two_layers(state, &line);

	for (f = 0; f < network->nfeatures; f++)
	{
		const uint32_t first = network->inputs[f].first;
		double		sum = 0;

		for (i = first; i < first + state->widths[f]; i++)
		{
			const float *weights = layer->weights +
			(size_t) i * layer->noutputs;
			double		gradient = 0;

			if (line.steps[i] == 0)
				continue;
			if (network->nlayers == 1)
				gradient = weights[0];
			else
				for (j = 0; j < layer->noutputs; j++)
					gradient += weights[j] * line.gains[j];
			sum += line.steps[i] * gradient;
		}
		sums[f] += part->weight * sum;
	}
}

/* A layer's sums for its inputs, in double. */
static void
layer_sums(const ChurnNetworkLayer *layer, const double *inputs,
		   double *outputs)
{
	uint32_t	i;
	uint32_t	k;

	for (k = 0; k < layer->noutputs; k++)
		outputs[k] = layer->biases[k];
	for (i = 0; i < layer->ninputs; i++)
		for (k = 0; k < layer->noutputs; k++)
			outputs[k] += inputs[i] *
				layer->weights[(size_t) i * layer->noutputs + k];
}

/* The network's margin at the baseline; keeps the first layer's sums. */
static bool
find_start(NetworkState *state, ChurnArena *keep, ChurnArena *scratch,
		   double *margin, ChurnError *error)
{
	const ChurnNetwork *network = state->network;
	double	   *values = churn_arena_array(scratch, network->ninputs,
										   sizeof(double), error);
	uint32_t	l;
	uint32_t	i;

	if (values == NULL)
		return false;
	for (i = 0; i < network->ninputs; i++)
		values[i] = network->baseline[i];
	for (l = 0; l < network->nlayers; l++)
	{
		const uint32_t n = network->layers[l].noutputs;
		double	   *sums = churn_arena_array(l == 0 ? keep : scratch, n,
											 sizeof(double), error);
		double	   *outputs = churn_arena_array(scratch, n, sizeof(double),
												error);

		if (sums == NULL || outputs == NULL)
			return false;
		layer_sums(&network->layers[l], values, sums);
		for (i = 0; i < n; i++)
			outputs[i] = sums[i] > 0 ? sums[i] : 0;
		if (l == 0)
			state->start = sums;
		*margin = sums[0];
		values = outputs;
	}
	return true;
}

/* Prepares a network; see explain_parts.h. */
bool
churn_explain_network(const ChurnNetwork *network,
					  const ChurnFeature *features, ChurnArena *keep,
					  ChurnArena *scratch, ChurnPart *part,
					  ChurnError *error)
{
	NetworkState *state = churn_arena_alloc(keep, sizeof(NetworkState),
											error);
	uint32_t   *widths = churn_arena_array(keep, network->nfeatures,
										   sizeof(uint32_t), error);
	bool	   *categorical = churn_arena_array(keep, network->nfeatures,
												sizeof(bool), error);
	uint32_t	i;

	if (state == NULL || widths == NULL || categorical == NULL)
		return false;
	for (i = 0; i < network->nfeatures; i++)
	{
		categorical[i] = features[i].kind == CHURN_FEATURE_CATEGORY;
		widths[i] = churn_network_width(&features[i]);
	}
	state->categorical = categorical;
	state->widths = widths;
	state->network = churn_network_copy(network, keep, error);
	if (state->network == NULL ||
		!find_start(state, keep, scratch, &part->bias, error))
		return false;
	part->explain = explain_network;
	part->state = state;
	part->nfeatures = network->nfeatures;
	part->workspace = line_bytes(network);
	return true;
}
