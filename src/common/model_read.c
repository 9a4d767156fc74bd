/*
 * model_read.c
 *		Reading the compiled form of a model (see model.c) as untrusted bytes.
 *
 * Every count is held against the bytes that are left before anything of that
 * size is allocated, so that memory stays within a small multiple of the
 * input.  What a count cannot tell is checked by churn_model_check.
 */
#include <string.h>

#include "model_format.h"

/* Where the reader stands.  It sticks at the first attempt to read too far. */
typedef struct ModelReader
{
	const uint8_t *at;
	const uint8_t *end;
	bool		failed;
} ModelReader;

static size_t
remaining(const ModelReader *reader)
{
	return (size_t) (reader->end - reader->at);
}

static uint64_t
get(ModelReader *reader, int size)
{
	uint64_t	value = 0;
	int			i;

	if (reader->failed || remaining(reader) < (size_t) size)
	{
		reader->failed = true;
		return 0;
	}
	for (i = 0; i < size; i++)
		value |= (uint64_t) reader->at[i] << 8 * i;
	reader->at += size;
	return value;
}

static float
get_float(ModelReader *reader)
{
	uint32_t	bits = (uint32_t) get(reader, 4);
	float		value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static double
get_double(ModelReader *reader)
{
	uint64_t	bits = get(reader, 8);
	double		value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* Reads a count of things that take at least size bytes each. */
static uint32_t
get_count(ModelReader *reader, size_t size)
{
	uint32_t	count = (uint32_t) get(reader, 4);

	if (count > remaining(reader) / size)
		reader->failed = true;
	return reader->failed ? 0 : count;
}

/*
 * Reads a string to *room, terminates it and moves *room behind it.  A string
 * takes at least one byte less in memory than in the input, so a block as
 * large as the section has room for all of its strings.
 */
static const char *
get_string(ModelReader *reader, char **room)
{
	uint32_t	length = get_count(reader, 1);
	char	   *text = *room;

	if (reader->failed)
		return NULL;
	if (memchr(reader->at, '\0', length) != NULL)
	{
		reader->failed = true;
		return NULL;
	}
	memcpy(text, reader->at, length);
	text[length] = '\0';
	*room += length + 1;
	reader->at += length;
	return text;
}

static bool
truncated(ChurnError *error, const char *section)
{
	return churn_fail(error, CHURN_ERROR_CORRUPT,
					  "compiled model is damaged in its %s", section);
}

/* Reads the features, but leaves the dictionaries to make_dictionaries(). */
static bool
read_features(ModelReader *reader, ChurnModel *model, ChurnArena *arena,
			  ChurnError *error)
{
	char	   *room;
	uint32_t	i;
	uint32_t	code;

	model->nfeatures = get_count(reader, MODEL_FEATURE_BYTES);
	if (reader->failed)
		return truncated(error, "features");
	if (model->nfeatures > CHURN_MAX_FEATURES)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "%u features exceed the limit of %u",
						  model->nfeatures, CHURN_MAX_FEATURES);
	room = churn_arena_alloc(arena, remaining(reader) + 1, error);
	model->features = churn_arena_array(arena, model->nfeatures,
										sizeof(ChurnFeature), error);
	if (room == NULL || model->features == NULL)
		return false;

	for (i = 0; i < model->nfeatures; i++)
	{
		ChurnFeature *feature = &model->features[i];
		const char **categories;

		feature->kind = (ChurnFeatureKind) get(reader, 1);
		feature->flags = (uint32_t) get(reader, 1);
		feature->name = get_string(reader, &room);
		feature->type = get_string(reader, &room);
		feature->ncategories = get_count(reader, MODEL_STRING_BYTES);
		if (reader->failed)
			return truncated(error, "features");
		if (feature->ncategories > CHURN_MAX_CATEGORIES)
			return churn_fail(error, CHURN_ERROR_LIMIT,
							  "%u categories exceed the limit of %u",
							  feature->ncategories, CHURN_MAX_CATEGORIES);
		categories = churn_arena_array(arena, feature->ncategories,
									   sizeof(char *), error);
		if (categories == NULL)
			return false;
		for (code = 0; code < feature->ncategories; code++)
			categories[code] = get_string(reader, &room);
		feature->categories = categories;
		if (reader->failed)
			return truncated(error, "categories");
	}
	return true;
}

static void
read_node(ModelReader *reader, ChurnNode *node)
{
	uint32_t	flags = (uint32_t) get(reader, 2);

	node->flags = flags & ~(uint32_t) MODEL_NODE_LEAF;
	node->feature = (uint32_t) get(reader, 2);
	node->value = get_float(reader);
	node->cover = get_float(reader);
	if (flags & MODEL_NODE_LEAF)
	{
		node->left = -1;
		node->right = -1;
	}
	else
	{
		node->left = (int32_t) get(reader, 4);
		node->right = (int32_t) get(reader, 4);
		if (node->left < 0)
			reader->failed = true;
	}
	if (flags & CHURN_NODE_CATEGORICAL)
	{
		node->bits = (uint32_t) get(reader, 4);
		node->nwords = (uint32_t) get(reader, 4);
	}
}

static bool
read_forest(ModelReader *reader, ChurnForest *forest, ChurnArena *arena,
			ChurnError *error)
{
	uint32_t	flags = (uint32_t) get(reader, 4);
	uint32_t	first = 0;
	uint32_t	i;

	forest->dart = (flags & MODEL_FOREST_DART) != 0;
	forest->base_margin = get_float(reader);
	forest->nfeatures = (uint32_t) get(reader, 4);
	forest->ntrees = get_count(reader, MODEL_TREE_BYTES);
	forest->nnodes = get_count(reader, MODEL_LEAF_BYTES);
	forest->nbits = get_count(reader, 4);
	if (reader->failed || (flags & ~(uint32_t) MODEL_FOREST_DART) != 0 ||
		(uint64_t) forest->ntrees * MODEL_TREE_BYTES +
		(uint64_t) forest->nnodes * MODEL_LEAF_BYTES +
		(uint64_t) forest->nbits * 4 > remaining(reader))
		return truncated(error, "trees");
	if (forest->ntrees > CHURN_MAX_TREES)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "%u trees exceed the limit of %u",
						  forest->ntrees, CHURN_MAX_TREES);

	forest->trees = churn_arena_array(arena, forest->ntrees,
									  sizeof(ChurnTree), error);
	forest->nodes = churn_arena_array(arena, forest->nnodes,
									  sizeof(ChurnNode), error);
	forest->bits = churn_arena_array(arena, forest->nbits,
									 sizeof(uint32_t), error);
	if (forest->trees == NULL || forest->nodes == NULL ||
		forest->bits == NULL)
		return false;

	for (i = 0; i < forest->ntrees; i++)
	{
		forest->trees[i].first = first;
		forest->trees[i].nnodes = (uint32_t) get(reader, 4);
		forest->trees[i].weight = get_float(reader);
		if (forest->trees[i].nnodes > forest->nnodes - first)
			return truncated(error, "trees");
		first += forest->trees[i].nnodes;
	}
	for (i = 0; i < forest->nnodes && !reader->failed; i++)
		read_node(reader, &forest->nodes[i]);
	for (i = 0; i < forest->nbits; i++)
		forest->bits[i] = (uint32_t) get(reader, 4);
	if (reader->failed)
		return truncated(error, "trees");
	return true;
}

static bool
read_decision(ModelReader *reader, ChurnModel *model, ChurnArena *arena,
			  ChurnError *error)
{
	char	   *room;

	model->threshold = get_double(reader);
	model->as_of = (ChurnAsOf) get(reader, 1);
	if (reader->failed)
		return truncated(error, "decision");
	room = churn_arena_alloc(arena, remaining(reader) + 1, error);
	if (room == NULL)
		return false;
	model->as_of_column = get_string(reader, &room);
	if (reader->failed)
		return truncated(error, "decision");
	if (model->as_of_column[0] == '\0')
		model->as_of_column = NULL;
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
	uint32_t	head = (uint32_t) get(reader, 4);
	uint32_t	zero = (uint32_t) get(reader, 4);
	uint64_t	length = get(reader, 8);
	uint32_t	kind = head & ~MODEL_SECTION_OPTIONAL;
	ModelReader section = *reader;

	if (reader->failed || zero != 0 || kind <= *last ||
		length > remaining(reader))
		return truncated(error, "table of contents");
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
		case MODEL_FOREST:
			if (!read_forest(&section, &model->forest, trees, error))
				return false;
			break;
		case MODEL_DECISION:
			if (!read_decision(&section, model, arena, error))
				return false;
			break;
		default:
			if (head & MODEL_SECTION_OPTIONAL)
				return true;
			return churn_fail(error, CHURN_ERROR_UNSUPPORTED,
							  "compiled model has section %u, which a newer "
							  "version has written", kind);
	}
	if (remaining(&section) != 0)
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
	version = (uint32_t) get(&reader, 4);
	if (!reader.failed && version != MODEL_FORMAT_VERSION)
	{
		churn_fail(error, CHURN_ERROR_UNSUPPORTED,
				   "compiled model has format version %u, this is %d",
				   version, MODEL_FORMAT_VERSION);
		return NULL;
	}
	nsections = get_count(&reader, MODEL_SECTION_HEAD);
	model = churn_arena_alloc(arena, sizeof(ChurnModel), error);
	if (model == NULL)
		return NULL;
	for (i = 0; i < nsections; i++)
		if (!read_section(&reader, model, &last, &done, arena, trees,
						  error))
			return NULL;
	if (reader.failed || remaining(&reader) != 0 ||
		(done & MODEL_REQUIRED) != MODEL_REQUIRED)
	{
		truncated(error, "table of contents");
		return NULL;
	}
	if (!make_dictionaries(model, arena, error) ||
		!churn_model_check(model, error))
		return NULL;
	return model;
}
