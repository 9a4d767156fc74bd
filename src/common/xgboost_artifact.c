/*
 * xgboost_artifact.c
 *		XGBoost's model files as documents: reading, writing, attributes.
 *
 * Whichever format a file came in, the arrays of its trees are kept in the
 * types that XGBoost writes to UBJSON.  XGBoost loads a tree whose arrays are
 * all typed or all plain; the typed form is a tenth of the memory, and rounds
 * a JSON number straight to float32, as XGBoost does.  The weights of dart are
 * the exception: 1.7 wants them as a plain array in UBJSON too.
 */
#include "xgboost_internal.h"

#include <ctype.h>
#include <string.h>

static const struct
{
	const char *name;
	ChurnValueKind kind;
}			tree_arrays[] = {
	{"base_weights", CHURN_VALUE_FLOATS},
	{"categories", CHURN_VALUE_INTS},
	{"categories_nodes", CHURN_VALUE_INTS},
	{"categories_segments", CHURN_VALUE_LONGS},
	{"categories_sizes", CHURN_VALUE_LONGS},
	{"default_left", CHURN_VALUE_BYTES},
	{"left_children", CHURN_VALUE_INTS},
	{"loss_changes", CHURN_VALUE_FLOATS},
	{"parents", CHURN_VALUE_INTS},
	{"right_children", CHURN_VALUE_INTS},
	{"split_conditions", CHURN_VALUE_FLOATS},
	{"split_indices", CHURN_VALUE_INTS},
	{"split_type", CHURN_VALUE_BYTES},
	{"sum_hessian", CHURN_VALUE_FLOATS},
};

/*
 * Finds the part of the document with the trees.
 */
ChurnValue *
churn_xgboost_booster(const ChurnValue *document)
{
	ChurnValue *booster = churn_value_get(churn_value_get(document, "learner"),
										  "gradient_booster");
	ChurnValue *inner = churn_value_get(booster, "gbtree");

	return inner != NULL ? inner : booster;
}

bool
churn_xgboost_is_array(const ChurnValue *value)
{
	return value != NULL && (value->kind == CHURN_VALUE_ARRAY ||
							 value->kind >= CHURN_VALUE_FLOATS);
}

/*
 * Reads an integer out of an array; a boolean counts as 0 or 1.
 */
bool
churn_xgboost_element(const ChurnValue *array, size_t i, int64_t *integer)
{
	const ChurnValue *element;

	switch (array->kind)
	{
		case CHURN_VALUE_BYTES:
			*integer = ((const uint8_t *) array->u.typed)[i];
			return true;
		case CHURN_VALUE_INTS:
			*integer = ((const int32_t *) array->u.typed)[i];
			return true;
		case CHURN_VALUE_LONGS:
			*integer = ((const int64_t *) array->u.typed)[i];
			return true;
		case CHURN_VALUE_ARRAY:
			element = array->u.elements[i];
			if (element->kind == CHURN_VALUE_BOOLEAN)
				*integer = element->u.boolean;
			else if (element->kind == CHURN_VALUE_INTEGER)
				*integer = element->u.integer;
			else
				return false;
			return true;
		default:
			return false;
	}
}

/*
 * Reads element i as a float32.
 */
static bool
float_element(const ChurnValue *array, size_t i, float *result)
{
	int64_t		integer;

	if (array->kind == CHURN_VALUE_DOUBLES)
		*result = (float) ((const double *) array->u.typed)[i];
	else if (array->kind == CHURN_VALUE_ARRAY &&
			 array->u.elements[i]->kind == CHURN_VALUE_NUMBER)
		*result = array->u.elements[i]->single;
	else if (churn_xgboost_element(array, i, &integer))
		*result = (float) integer;
	else
		return false;
	return true;
}

/*
 * Stores element i of from as element i of the typed array elements.
 */
static bool
convert_element(const ChurnValue *from, size_t i, ChurnValueKind kind,
				void *elements)
{
	int64_t		integer;

	if (kind == CHURN_VALUE_FLOATS)
		return float_element(from, i, (float *) elements + i);
	if (!churn_xgboost_element(from, i, &integer))
		return false;
	if (kind == CHURN_VALUE_BYTES)
	{
		((uint8_t *) elements)[i] = (uint8_t) integer;
		return integer >= 0 && integer <= UINT8_MAX;
	}
	if (kind == CHURN_VALUE_INTS)
	{
		((int32_t *) elements)[i] = (int32_t) integer;
		return integer >= INT32_MIN && integer <= INT32_MAX;
	}
	((int64_t *) elements)[i] = integer;
	return true;
}

/*
 * Turns a member, if it is there, into a typed array of the given kind.
 */
static bool
make_typed(const ChurnValue *object, const char *name, ChurnValueKind kind,
		   ChurnArena *arena, ChurnError *error)
{
	ChurnValue *value = churn_value_get(object, name);
	ChurnValue	typed = {.kind = kind};
	size_t		size = 4;
	char	   *elements;

	if (value == NULL || value->kind == kind)
		return true;
	if (!churn_xgboost_is_array(value))
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "\"%s\" is no array", name);
	if (kind == CHURN_VALUE_BYTES)
		size = 1;
	else if (kind == CHURN_VALUE_LONGS)
		size = 8;
	elements = churn_arena_array(arena, value->length, size, error);
	if (elements == NULL)
		return false;
	for (size_t i = 0; i < value->length; i++)
	{
		if (!convert_element(value, i, kind, elements))
			return churn_fail(error, CHURN_ERROR_CORRUPT,
							  "element %zu of \"%s\" has a wrong type",
							  i, name);
	}
	typed.length = value->length;
	typed.u.typed = elements;
	*value = typed;
	return true;
}

/*
 * Brings the arrays of the trees into their types.
 */
static bool
make_arrays_typed(const ChurnValue *document, ChurnArena *arena,
				  ChurnError *error)
{
	const ChurnValue *outer = churn_value_get(churn_value_get(document,
															  "learner"),
											  "gradient_booster");
	const ChurnValue *model = churn_value_get(churn_xgboost_booster(document),
											  "model");
	const ChurnValue *trees = churn_value_get(model, "trees");

	if (!make_typed(outer, "weight_drop", CHURN_VALUE_FLOATS, arena, error))
		return false;
	if (trees == NULL || trees->kind != CHURN_VALUE_ARRAY)
		return true;			/* for the model's maker to judge */
	for (size_t i = 0; i < trees->length; i++)
	{
		for (size_t j = 0; j < sizeof(tree_arrays) / sizeof(tree_arrays[0]);
			 j++)
		{
			if (!make_typed(trees->u.elements[i], tree_arrays[j].name,
							tree_arrays[j].kind, arena, error))
				return false;
		}
	}
	return true;
}

/*
 * Tells the format by the first bytes and reads the document.
 */
static ChurnValue *
read_document(ChurnArtifact *artifact, const uint8_t *bytes, size_t length,
			  ChurnArena *arena, ChurnError *error)
{
	size_t		i = 1;

	if (length >= 4 && memcmp(bytes, "binf", 4) == 0)
	{
		churn_fail(error, CHURN_ERROR_UNSUPPORTED,
				   "model file is in XGBoost's old binary format, not JSON or UBJSON");
		return NULL;
	}
	if (length < 2 || bytes[0] != '{')
	{
		churn_fail(error, CHURN_ERROR_CORRUPT,
				   "not a model file of XGBoost: neither JSON nor UBJSON");
		return NULL;
	}
	while (i < length && isspace(bytes[i]))
		i++;
	if (i < length && (bytes[i] == '"' || bytes[i] == '}'))
	{
		artifact->format = CHURN_ARTIFACT_JSON;
		return churn_json_read((const char *) bytes, length, arena, error);
	}
	artifact->format = CHURN_ARTIFACT_UBJSON;
	return churn_ubjson_read(bytes, length, arena, error);
}

/*
 * Reads the version of the XGBoost that wrote the file.
 */
static bool
read_version(ChurnArtifact *artifact, ChurnError *error)
{
	const ChurnValue *version = churn_value_get(artifact->document,
												"version");

	if (!churn_xgboost_is_array(version) || version->length != 3)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "not a model file of XGBoost: it has no version");
	for (size_t i = 0; i < 3; i++)
	{
		int64_t		number;

		if (!churn_xgboost_element(version, i, &number) ||
			number < 0 || number > INT16_MAX)
			return churn_fail(error, CHURN_ERROR_CORRUPT,
							  "not a model file of XGBoost: it has no version");
		artifact->version[i] = (int) number;
	}
	if (artifact->version[0] < 1 ||
		(artifact->version[0] == 1 && artifact->version[1] < 6))
		return churn_fail(error, CHURN_ERROR_UNSUPPORTED,
						  "model file is of XGBoost %d.%d.%d, older than 1.6",
						  artifact->version[0], artifact->version[1],
						  artifact->version[2]);
	if (artifact->version[0] > 3)
		return churn_fail(error, CHURN_ERROR_UNSUPPORTED,
						  "model file is of XGBoost %d.%d.%d, newer than any known here",
						  artifact->version[0], artifact->version[1],
						  artifact->version[2]);
	return true;
}

/*
 * Reads a model file.
 */
ChurnArtifact *
churn_artifact_read(const uint8_t *bytes, size_t length, ChurnArena *arena,
					ChurnError *error)
{
	ChurnArtifact *artifact;
	const ChurnValue *learner;
	const ChurnValue *booster;

	if (length > CHURN_MAX_MODEL_BYTES)
	{
		churn_fail(error, CHURN_ERROR_LIMIT,
				   "model file of %zu bytes exceeds the limit of %u",
				   length, CHURN_MAX_MODEL_BYTES);
		return NULL;
	}
	artifact = churn_arena_alloc(arena, sizeof(ChurnArtifact), error);
	if (artifact == NULL)
		return NULL;
	artifact->document = read_document(artifact, bytes, length, arena, error);
	if (artifact->document == NULL)
		return NULL;
	learner = churn_value_get(artifact->document, "learner");
	booster = churn_value_get(learner, "gradient_booster");
	if (booster == NULL || booster->kind != CHURN_VALUE_OBJECT)
	{
		churn_fail(error, CHURN_ERROR_CORRUPT,
				   "not a model file of XGBoost: it has no gradient booster");
		return NULL;
	}
	if (!read_version(artifact, error) ||
		!make_arrays_typed(artifact->document, arena, error))
		return NULL;
	return artifact;
}

/*
 * Makes a plain array of a typed array of floats.
 */
static ChurnValue *
make_plain(const ChurnValue *floats, ChurnArena *arena, ChurnError *error)
{
	ChurnValue *result = churn_value_array(arena, error);

	for (size_t i = 0; result != NULL && i < floats->length; i++)
	{
		double		number = (double) ((const float *) floats->u.typed)[i];

		if (!churn_value_append(result,
								churn_value_double(arena, number, error),
								arena, error))
			return NULL;
	}
	return result;
}

/*
 * Writes UBJSON, with the weights of dart as a plain array meanwhile.
 */
static bool
write_ubjson(const ChurnArtifact *artifact, ChurnArena *arena,
			 uint8_t **bytes, size_t *length, ChurnError *error)
{
	ChurnValue *outer = churn_value_get(churn_value_get(artifact->document,
														"learner"),
										"gradient_booster");
	ChurnValue *weights = churn_value_get(outer, "weight_drop");
	ChurnValue *plain = NULL;
	bool		written;

	if (weights != NULL && weights->kind == CHURN_VALUE_FLOATS)
	{
		plain = make_plain(weights, arena, error);
		if (!churn_value_set(outer, "weight_drop", plain, arena, error))
			return false;
	}
	written = churn_ubjson_write(artifact->document, arena, bytes, length,
								 error);
	if (plain != NULL)
		written &= churn_value_set(outer, "weight_drop", weights, arena,
								   error);
	return written;
}

/*
 * Writes a model file.
 */
bool
churn_artifact_write(const ChurnArtifact *artifact,
					 ChurnArtifactFormat format, ChurnArena *arena,
					 uint8_t **bytes, size_t *length, ChurnError *error)
{
	char	   *text;

	if (format == CHURN_ARTIFACT_UBJSON)
		return write_ubjson(artifact, arena, bytes, length, error);
	if (!churn_json_write(artifact->document, arena, &text, length, error))
		return false;
	*bytes = (uint8_t *) text;
	return true;
}

/*
 * Returns a booster attribute.
 */
const char *
churn_artifact_attribute(const ChurnArtifact *artifact, const char *name)
{
	const ChurnValue *learner = churn_value_get(artifact->document,
												"learner");

	return churn_value_text(churn_value_get(learner, "attributes"), name,
							NULL);
}

/*
 * Sets a booster attribute, which Python finds as Booster.attr(name).
 */
bool
churn_artifact_set_attribute(ChurnArtifact *artifact, const char *name,
							 const char *text, ChurnArena *arena,
							 ChurnError *error)
{
	ChurnValue *learner = churn_value_get(artifact->document, "learner");
	ChurnValue *attributes = churn_value_get(learner, "attributes");

	if (attributes == NULL || attributes->kind != CHURN_VALUE_OBJECT)
	{
		attributes = churn_value_object(arena, error);
		if (!churn_value_set(learner, "attributes", attributes, arena, error))
			return false;
	}
	return churn_value_set(attributes, name,
						   churn_value_string(arena, text, error), arena,
						   error);
}
