/*
 * artifact_make.c
 *		Makes an artifact of a model's pieces, for whoever trained them.
 */
#include "artifact_internal.h"

#include <string.h>

/* An artifact that is being made.  Setters do nothing after a failure. */
typedef struct ArtifactMaker
{
	ChurnArena *arena;
	ChurnError *error;
	bool		failed;
} ArtifactMaker;

/*
 * Sets a member; value == NULL is a failure that is already told.
 */
static void
set_value(ArtifactMaker *maker, ChurnValue *object, const char *name,
		  ChurnValue *value)
{
	if (!maker->failed &&
		!churn_value_set(object, name, value, maker->arena, maker->error))
		maker->failed = true;
}

static void
set_number(ArtifactMaker *maker, ChurnValue *object, const char *name,
		   double number)
{
	if (!maker->failed)
		set_value(maker, object, name,
				  churn_value_double(maker->arena, number, maker->error));
}

static void
set_integer(ArtifactMaker *maker, ChurnValue *object, const char *name,
			int64_t integer)
{
	if (!maker->failed)
		set_value(maker, object, name,
				  churn_value_integer(maker->arena, integer, maker->error));
}

static void
set_text(ArtifactMaker *maker, ChurnValue *object, const char *name,
		 const char *text)
{
	if (!maker->failed)
		set_value(maker, object, name,
				  churn_value_string(maker->arena, text, maker->error));
}

/*
 * Sets a member to a typed array, which refers to the elements.
 */
static void
set_typed(ArtifactMaker *maker, ChurnValue *object, const char *name,
		  ChurnValueKind kind, const void *elements, size_t length)
{
	ChurnValue *value;

	if (maker->failed)
		return;
	value = churn_arena_alloc(maker->arena, sizeof(ChurnValue), maker->error);
	if (value != NULL)
	{
		value->kind = kind;
		value->length = length;
		value->u.typed = elements;
	}
	set_value(maker, object, name, value);
}

/*
 * Makes an object or an array; NULL after a failure.
 */
static ChurnValue *
make_container(ArtifactMaker *maker,
			   ChurnValue *(*make) (ChurnArena *, ChurnError *))
{
	ChurnValue *value = NULL;

	if (!maker->failed)
		value = make(maker->arena, maker->error);
	if (value == NULL)
		maker->failed = true;
	return value;
}

/*
 * Appends a new object to a list.
 */
static ChurnValue *
append_object(ArtifactMaker *maker, ChurnValue *list)
{
	ChurnValue *object = make_container(maker, churn_value_object);

	if (!maker->failed &&
		!churn_value_append(list, object, maker->arena, maker->error))
		maker->failed = true;
	return object;
}

/*
 * Sets a member to a new list.
 */
static ChurnValue *
set_list(ArtifactMaker *maker, ChurnValue *object, const char *name)
{
	ChurnValue *list = make_container(maker, churn_value_array);

	set_value(maker, object, name, list);
	return list;
}

/*
 * Sets the body of an additive model.
 */
static void
set_additive(ArtifactMaker *maker, ChurnValue *object,
			 const ChurnAdditive *additive)
{
	static const char *const kinds[] = {"none", "linear", "steps",
	"categories"};
	ChurnValue *effects;

	set_number(maker, object, "intercept", additive->intercept);
	effects = set_list(maker, object, "effects");
	for (uint32_t i = 0; i < additive->nfeatures && !maker->failed; i++)
	{
		const ChurnEffect *effect = &additive->effects[i];
		ChurnValue *value = append_object(maker, effects);

		set_text(maker, value, "kind", kinds[effect->kind]);
		if (effect->kind == CHURN_EFFECT_NONE)
			continue;
		set_number(maker, value, "missing", effect->missing);
		set_number(maker, value, "mean", effect->mean);
		if (effect->kind == CHURN_EFFECT_LINEAR)
		{
			set_number(maker, value, "slope", effect->slope);
			set_number(maker, value, "low", (double) effect->low);
			set_number(maker, value, "high", (double) effect->high);
			continue;
		}
		if (effect->kind == CHURN_EFFECT_STEPS)
			set_typed(maker, value, "cuts", CHURN_VALUE_FLOATS, effect->cuts,
					  effect->npoints - 1);
		set_typed(maker, value, "points", CHURN_VALUE_DOUBLES, effect->points,
				  effect->npoints);
	}
}

/*
 * Sets one of the arrays of a network's inputs: the float that stands at that
 * offset in each.
 */
static void
set_inputs(ArtifactMaker *maker, ChurnValue *object, const char *name,
		   const ChurnNetwork *network, size_t offset)
{
	float	   *values = NULL;

	if (!maker->failed)
		values = churn_arena_array(maker->arena, network->nfeatures,
								   sizeof(float), maker->error);
	if (values == NULL)
	{
		maker->failed = true;
		return;
	}
	for (uint32_t i = 0; i < network->nfeatures; i++)
		memcpy(&values[i], (const char *) &network->inputs[i] + offset,
			   sizeof(float));
	set_typed(maker, object, name, CHURN_VALUE_FLOATS, values,
			  network->nfeatures);
}

/*
 * Sets the body of a network.
 */
static void
set_network(ArtifactMaker *maker, ChurnValue *object,
			const ChurnNetwork *network)
{
	ChurnValue *inputs = make_container(maker, churn_value_object);
	ChurnValue *layers;

	set_value(maker, object, "inputs", inputs);
	set_inputs(maker, inputs, "low", network,
			   offsetof(ChurnNetworkInput, low));
	set_inputs(maker, inputs, "high", network,
			   offsetof(ChurnNetworkInput, high));
	set_inputs(maker, inputs, "mean", network,
			   offsetof(ChurnNetworkInput, mean));
	set_inputs(maker, inputs, "scale", network,
			   offsetof(ChurnNetworkInput, scale));
	set_typed(maker, object, "baseline", CHURN_VALUE_FLOATS,
			  network->baseline, network->ninputs);
	layers = set_list(maker, object, "layers");
	for (uint32_t i = 0; i < network->nlayers && !maker->failed; i++)
	{
		const ChurnNetworkLayer *layer = &network->layers[i];
		ChurnValue *value = append_object(maker, layers);

		set_typed(maker, value, "weights", CHURN_VALUE_FLOATS, layer->weights,
				  (size_t) layer->ninputs * layer->noutputs);
		set_typed(maker, value, "biases", CHURN_VALUE_FLOATS, layer->biases,
				  layer->noutputs);
	}
}

/*
 * Sets "categories" of a node to the codes in its set.
 */
static void
set_categories(ArtifactMaker *maker, ChurnValue *object,
			   const ChurnForest *forest, const ChurnNode *node)
{
	int32_t    *codes = NULL;
	size_t		n = 0;

	if (!maker->failed)
		codes = churn_arena_array(maker->arena, (size_t) node->nwords * 32,
								  sizeof(int32_t), maker->error);
	if (codes == NULL)
	{
		maker->failed = true;
		return;
	}
	for (uint32_t code = 0; code < node->nwords * 32; code++)
		if (forest->bits[node->bits + code / 32] >> code % 32 & 1)
			codes[n++] = (int32_t) code;
	set_typed(maker, object, "categories", CHURN_VALUE_INTS, codes, n);
}

/*
 * Sets the nodes of a forest of one tree that adds nothing to it.
 */
static void
set_tree(ArtifactMaker *maker, ChurnValue *object, const ChurnForest *forest)
{
	ChurnValue *nodes;

	if (forest->ntrees != 1 || forest->base_margin != 0 || forest->dart)
	{
		churn_fail(maker->error, CHURN_ERROR_INVALID,
				   "a forest without a booster's document is no plain tree");
		maker->failed = true;
		return;
	}
	nodes = set_list(maker, object, "nodes");
	for (uint32_t i = 0; i < forest->nnodes && !maker->failed; i++)
	{
		const ChurnNode *node = &forest->nodes[i];
		ChurnValue *value = append_object(maker, nodes);

		if (node->left >= 0)
		{
			set_integer(maker, value, "left", node->left);
			set_integer(maker, value, "right", node->right);
			set_integer(maker, value, "feature", node->feature);
			if (node->flags & CHURN_NODE_DEFAULT_LEFT)
				set_value(maker, value, "default_left",
						  churn_value_boolean(maker->arena, true,
											  maker->error));
		}
		if (node->flags & CHURN_NODE_CATEGORICAL)
			set_categories(maker, value, forest, node);
		else
			set_number(maker, value, "value", (double) node->value);
		set_number(maker, value, "cover", (double) node->cover);
	}
}

/*
 * Makes an element of "components".
 */
static void
append_component(ArtifactMaker *maker, ChurnValue *components,
				 const ChurnComponent *component, ChurnValue *document)
{
	ChurnValue *object = append_object(maker, components);

	set_text(maker, object, "algorithm", component->algorithm);
	set_number(maker, object, "weight", component->weight);
	set_number(maker, object, "offset", component->offset);
	if (component->kind == CHURN_COMPONENT_ADDITIVE)
	{
		set_text(maker, object, "kind", "additive");
		set_additive(maker, object, component->additive);
	}
	else if (component->kind == CHURN_COMPONENT_NETWORK)
	{
		set_text(maker, object, "kind", "network");
		set_network(maker, object, component->network);
	}
	else if (document != NULL)
	{
		set_text(maker, object, "kind", "forest");
		set_value(maker, object, "xgboost", document);
	}
	else
	{
		set_text(maker, object, "kind", "tree");
		set_tree(maker, object, component->forest);
	}
}

/*
 * Copies the description, less its algorithm, so that members can be set.
 */
static ChurnValue *
copy_description(ArtifactMaker *maker, const ChurnValue *description)
{
	ChurnValue *copy = make_container(maker, churn_value_object);

	if (description->kind != CHURN_VALUE_OBJECT)
	{
		churn_fail(maker->error, CHURN_ERROR_INVALID,
				   "description of the model is no object");
		maker->failed = true;
	}
	else
		for (size_t i = 0; i < description->length; i++)
			if (strcmp(description->u.members[i].name, "algorithm") != 0)
				set_value(maker, copy, description->u.members[i].name,
						  description->u.members[i].value);
	if (!maker->failed &&
		!churn_artifact_type_description(copy, maker->arena, maker->error))
		maker->failed = true;
	if (churn_value_get(copy, "format") == NULL)
		set_integer(maker, copy, "format", 1);
	return copy;
}

/*
 * Makes the artifact; see churn/xgboost.h.
 */
ChurnArtifact *
churn_artifact_make(const ChurnValue *description,
					const ChurnComponent *components,
					ChurnValue *const *documents, uint32_t ncomponents,
					ChurnArena *arena, ChurnError *error)
{
	ArtifactMaker maker = {arena, error, false};
	ChurnArtifact *artifact = churn_arena_alloc(arena, sizeof(ChurnArtifact),
												error);
	ChurnValue *object;
	ChurnValue *list;

	if (artifact == NULL)
		return NULL;
	artifact->format = CHURN_ARTIFACT_UBJSON;
	object = copy_description(&maker, description);
	for (uint32_t i = ncomponents; i > 0 && !maker.failed; i--)
		if (documents != NULL && documents[i - 1] != NULL &&
			!churn_xgboost_prepare(documents[i - 1], artifact->version, arena,
								   error))
			maker.failed = true;
	if (ncomponents == 1 && documents != NULL && documents[0] != NULL &&
		components[0].weight == 1 && components[0].offset == 0)
	{
		artifact->kind = CHURN_ARTIFACT_BOOSTER;
		artifact->document = documents[0];
		if (strcmp(components[0].algorithm, "xgboost") != 0)
			set_text(&maker, object, "algorithm", components[0].algorithm);
		if (maker.failed ||
			!churn_artifact_describe(artifact, object, arena, error))
			return NULL;
		return artifact;
	}
	artifact->kind = CHURN_ARTIFACT_COMPONENTS;
	artifact->document = make_container(&maker, churn_value_object);
	set_value(&maker, artifact->document, "churn", object);
	list = set_list(&maker, artifact->document, "components");
	for (uint32_t i = 0; i < ncomponents && !maker.failed; i++)
		append_component(&maker, list, &components[i],
						 documents == NULL ? NULL : documents[i]);
	return maker.failed ? NULL : artifact;
}

/*
 * Makes the description's member "calibration", which refers to the knots.
 */
ChurnValue *
churn_calibration_value(const ChurnCalibration *calibration,
						ChurnArena *arena, ChurnError *error)
{
	static const char *const methods[] = {"none", "platt", "beta", "isotonic"};
	ArtifactMaker maker = {arena, error, false};
	ChurnValue *object = make_container(&maker, churn_value_object);

	set_text(&maker, object, "method", methods[calibration->kind]);
	if (calibration->kind == CHURN_CALIBRATION_PLATT ||
		calibration->kind == CHURN_CALIBRATION_BETA)
	{
		set_number(&maker, object, "a", calibration->a);
		set_number(&maker, object, "b", calibration->b);
	}
	if (calibration->kind == CHURN_CALIBRATION_BETA)
		set_number(&maker, object, "c", calibration->c);
	if (calibration->kind == CHURN_CALIBRATION_ISOTONIC)
	{
		set_typed(&maker, object, "margins", CHURN_VALUE_DOUBLES,
				  calibration->margins, calibration->nknots);
		set_typed(&maker, object, "logits", CHURN_VALUE_DOUBLES,
				  calibration->logits, calibration->nknots);
	}
	return maker.failed ? NULL : object;
}
