/*
 * model_read.c
 *		Reading the compiled form of a model (see model_write.c) as untrusted
 *		bytes.
 */
#include "model_reader.h"

/* Reads the features, but leaves the dictionaries to make_dictionaries(). */
static bool
read_features(ModelReader *reader, ChurnModel *model, ChurnArena *arena,
			  ChurnError *error)
{
	char	   *room;
	uint32_t	i;
	uint32_t	code;

	model->nfeatures = model_get_count(reader, MODEL_FEATURE_BYTES);
	if (reader->failed)
		return model_truncated(error, "features");
	if (model->nfeatures > CHURN_MAX_FEATURES)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "%u features exceed the limit of %u",
						  model->nfeatures, CHURN_MAX_FEATURES);
	room = churn_arena_alloc(arena, model_remaining(reader) + 1, error);
	model->features = churn_arena_array(arena, model->nfeatures,
										sizeof(ChurnFeature), error);
	if (room == NULL || model->features == NULL)
		return false;

	for (i = 0; i < model->nfeatures; i++)
	{
		ChurnFeature *feature = &model->features[i];
		const char **categories;

		feature->kind = (ChurnFeatureKind) model_get(reader, 1);
		feature->flags = (uint32_t) model_get(reader, 1);
		feature->name = model_get_string(reader, &room);
		feature->type = model_get_string(reader, &room);
		feature->transform = model_get_string(reader, &room);
		feature->ncategories = model_get_count(reader, MODEL_STRING_BYTES);
		if (reader->failed)
			return model_truncated(error, "features");
		if (feature->transform[0] == '\0')
			feature->transform = NULL;
		if (feature->ncategories > CHURN_MAX_CATEGORIES)
			return churn_fail(error, CHURN_ERROR_LIMIT,
							  "%u categories exceed the limit of %u",
							  feature->ncategories, CHURN_MAX_CATEGORIES);
		categories = churn_arena_array(arena, feature->ncategories,
									   sizeof(char *), error);
		if (categories == NULL)
			return false;
		for (code = 0; code < feature->ncategories; code++)
			categories[code] = model_get_string(reader, &room);
		feature->categories = categories;
		if (reader->failed)
			return model_truncated(error, "categories");
	}
	return true;
}

static bool
read_decision(ModelReader *reader, ChurnModel *model, ChurnArena *arena,
			  ChurnError *error)
{
	char	   *room;

	model->threshold = model_get_double(reader);
	model->as_of = (ChurnAsOf) model_get(reader, 1);
	if (reader->failed)
		return model_truncated(error, "decision");
	room = churn_arena_alloc(arena, model_remaining(reader) + 1, error);
	if (room == NULL)
		return false;
	model->as_of_column = model_get_string(reader, &room);
	if (reader->failed)
		return model_truncated(error, "decision");
	if (model->as_of_column[0] == '\0')
		model->as_of_column = NULL;
	return true;
}

static bool
read_calibration(ModelReader *reader, ChurnCalibration *calibration,
				 ChurnArena *arena, ChurnError *error)
{
	calibration->kind = (ChurnCalibrationKind) model_get(reader, 1);
	calibration->a = model_get_double(reader);
	calibration->b = model_get_double(reader);
	calibration->c = model_get_double(reader);
	calibration->nknots = model_get_count(reader, MODEL_KNOT_BYTES);
	if (reader->failed)
		return model_truncated(error, "calibration");
	calibration->margins = churn_model_read_doubles(reader,
													calibration->nknots,
													arena, error);
	calibration->logits = churn_model_read_doubles(reader,
												   calibration->nknots,
												   arena, error);
	return calibration->margins != NULL && calibration->logits != NULL;
}

/* Reads one component: its name and weight to arena, its body to trees. */
static bool
read_component(ModelReader *reader, ChurnComponent *component,
			   ChurnArena *arena, ChurnArena *trees, ChurnError *error)
{
	ModelReader name;
	char	   *room;

	component->kind = (ChurnComponentKind) model_get(reader, 1);
	name = *reader;
	room = churn_arena_alloc(arena, (size_t) model_get_count(&name, 1) + 1,
							 error);
	if (room == NULL)
		return false;
	component->algorithm = model_get_string(reader, &room);
	component->weight = model_get_double(reader);
	component->offset = model_get_double(reader);
	if (reader->failed)
		return model_truncated(error, "components");
	switch (component->kind)
	{
		case CHURN_COMPONENT_FOREST:
			component->forest = churn_model_read_forest(reader, trees, error);
			return component->forest != NULL;
		case CHURN_COMPONENT_ADDITIVE:
			component->additive = churn_model_read_additive(reader, trees,
															error);
			return component->additive != NULL;
		case CHURN_COMPONENT_NETWORK:
			component->network = churn_model_read_network(reader, trees,
														  error);
			return component->network != NULL;
	}
	return churn_fail(error, CHURN_ERROR_UNSUPPORTED,
					  "compiled model has a component of kind %d, which a "
					  "newer version has written", (int) component->kind);
}

static bool
read_components(ModelReader *reader, ChurnModel *model, ChurnArena *arena,
				ChurnArena *trees, ChurnError *error)
{
	uint32_t	i;

	model->ncomponents = model_get_count(reader, MODEL_COMPONENT_BYTES);
	if (reader->failed)
		return model_truncated(error, "components");
	if (model->ncomponents > CHURN_MAX_COMPONENTS)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "%u components exceed the limit of %d",
						  model->ncomponents, CHURN_MAX_COMPONENTS);
	model->components = churn_arena_array(arena, model->ncomponents,
										  sizeof(ChurnComponent), error);
	if (model->components == NULL)
		return false;
	for (i = 0; i < model->ncomponents; i++)
		if (!read_component(reader, &model->components[i], arena, trees,
							error))
			return false;
	return true;
}

/*
 * Reads one section, which must not come twice nor before a lower kind; done
 * collects the kinds.  An unknown kind is passed by if it says it may be.
 */
static bool
read_section(ModelReader *reader, ChurnModel *model, uint32_t *last,
			 uint32_t *done, ChurnArena *arena, ChurnArena *trees,
			 ChurnError *error)
{
	uint32_t	head = (uint32_t) model_get(reader, 4);
	uint32_t	zero = (uint32_t) model_get(reader, 4);
	uint64_t	length = model_get(reader, 8);
	uint32_t	kind = head & ~MODEL_SECTION_OPTIONAL;
	ModelReader section = *reader;

	if (reader->failed || zero != 0 || kind <= *last ||
		length > model_remaining(reader))
		return model_truncated(error, "table of contents");
	section.end = section.at + length;
	reader->at = section.end;
	*last = kind;
	if (kind < 32)
		*done |= UINT32_C(1) << kind;

	switch (kind)
	{
		case MODEL_FEATURES:
			if (!read_features(&section, model, arena, error))
				return false;
			break;
		case MODEL_COMPONENTS:
			if (!read_components(&section, model, arena, trees, error))
				return false;
			break;
		case MODEL_DECISION:
			if (!read_decision(&section, model, arena, error))
				return false;
			break;
		case MODEL_CALIBRATION:
			if (!read_calibration(&section, &model->calibration, arena, error))
				return false;
			break;
		default:
			if (head & MODEL_SECTION_OPTIONAL)
				return true;
			return churn_fail(error, CHURN_ERROR_UNSUPPORTED,
							  "compiled model has section %u, which a newer "
							  "version has written", kind);
	}
	if (model_remaining(&section) != 0)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "section %u of the compiled model is too long",
						  kind);
	return true;
}

/* Makes the dictionaries of all categorical features. */
static bool
make_dictionaries(ChurnModel *model, ChurnArena *arena, ChurnError *error)
{
	uint32_t	i;

	for (i = 0; i < model->nfeatures; i++)
	{
		ChurnFeature *feature = &model->features[i];

		if (feature->kind != CHURN_FEATURE_CATEGORY)
			continue;
		feature->dictionary =
			churn_dictionary_make(feature->categories, feature->ncategories,
								  arena, error);
		if (feature->dictionary == NULL)
		{
			if (error != NULL && error->code == CHURN_ERROR_INVALID)
				error->code = CHURN_ERROR_CORRUPT;
			return false;
		}
	}
	return true;
}

/*
 * Numbers the inputs of networks by the features, up to where they have one;
 * churn_model_check sees to the rest.
 */
static void
number_inputs(ChurnModel *model)
{
	uint32_t	i;
	uint32_t	j;

	for (i = 0; i < model->ncomponents; i++)
	{
		ChurnNetwork *network = model->components[i].network;
		uint32_t	first = 0;

		for (j = 0; network != NULL && j < network->nfeatures &&
			 j < model->nfeatures; j++)
		{
			network->inputs[j].first = first;
			first += churn_network_width(&model->features[j]);
		}
	}
}

/* Reads a compiled form; see churn/model.h. */
ChurnModel *
churn_model_read(const uint8_t *bytes, size_t length, ChurnArena *arena,
				 ChurnArena *trees, ChurnError *error)
{
	ModelReader reader = {bytes, bytes + length, false};
	ChurnModel *model;
	uint32_t	version;
	uint32_t	nsections;
	uint32_t	last = 0;
	uint32_t	done = 0;
	uint32_t	i;

	if (length > CHURN_MAX_MODEL_BYTES)
	{
		churn_fail(error, CHURN_ERROR_LIMIT,
				   "compiled model of %zu bytes exceeds the limit of %u",
				   length, CHURN_MAX_MODEL_BYTES);
		return NULL;
	}
	if (length < MODEL_MAGIC_LENGTH ||
		memcmp(bytes, MODEL_MAGIC, MODEL_MAGIC_LENGTH) != 0)
	{
		churn_fail(error, CHURN_ERROR_CORRUPT, "not a compiled model");
		return NULL;
	}
	reader.at += MODEL_MAGIC_LENGTH;
	version = (uint32_t) model_get(&reader, 4);
	if (!reader.failed && version != MODEL_FORMAT_VERSION)
	{
		churn_fail(error, CHURN_ERROR_UNSUPPORTED,
				   "compiled model has format version %u, this is %d",
				   version, MODEL_FORMAT_VERSION);
		return NULL;
	}
	nsections = model_get_count(&reader, MODEL_SECTION_HEAD);
	model = churn_arena_alloc(arena, sizeof(ChurnModel), error);
	if (model == NULL)
		return NULL;
	for (i = 0; i < nsections; i++)
		if (!read_section(&reader, model, &last, &done, arena, trees,
						  error))
			return NULL;
	if (reader.failed || model_remaining(&reader) != 0 ||
		(done & MODEL_REQUIRED) != MODEL_REQUIRED)
	{
		model_truncated(error, "table of contents");
		return NULL;
	}
	number_inputs(model);
	if (!make_dictionaries(model, arena, error) ||
		!churn_model_check(model, error))
		return NULL;
	return model;
}
