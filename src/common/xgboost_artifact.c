/*
 * xgboost_artifact.c
 *		XGBoost's model files as documents: their arrays and versions.
 *
 * Whichever format a file came in, the arrays of its trees are kept in the
 * types that XGBoost writes to UBJSON.  XGBoost loads a tree whose arrays are
 * all typed or all plain; the typed form is a tenth of the memory, and rounds
 * a JSON number straight to float32, as XGBoost does.  The weights of dart are
 * the exception: 1.7 wants them as a plain array in UBJSON too.
 */
#include "artifact_internal.h"

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

	if (!churn_value_make_typed(outer, "weight_drop", CHURN_VALUE_FLOATS, arena, error))
		return false;
	if (trees == NULL || trees->kind != CHURN_VALUE_ARRAY)
		return true;			/* for the model's maker to judge */
	for (size_t i = 0; i < trees->length; i++)
	{
		for (size_t j = 0; j < sizeof(tree_arrays) / sizeof(tree_arrays[0]);
			 j++)
		{
			if (!churn_value_make_typed(trees->u.elements[i], tree_arrays[j].name,
										tree_arrays[j].kind, arena, error))
				return false;
		}
	}
	return true;
}

/*
 * Reads the version of the XGBoost that wrote the file.
 */
static bool
read_version(const ChurnValue *document, int *version, ChurnError *error)
{
	const ChurnValue *array = churn_value_get(document, "version");

	if (!churn_xgboost_is_array(array) || array->length != 3)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "not a model file of XGBoost: it has no version");
	for (size_t i = 0; i < 3; i++)
	{
		int64_t		number;

		if (!churn_xgboost_element(array, i, &number) ||
			number < 0 || number > INT16_MAX)
			return churn_fail(error, CHURN_ERROR_CORRUPT,
							  "not a model file of XGBoost: it has no version");
		version[i] = (int) number;
	}
	if (version[0] < 1 ||
		(version[0] == 1 && version[1] < 6))
		return churn_fail(error, CHURN_ERROR_UNSUPPORTED,
						  "model file is of XGBoost %d.%d.%d, older than 1.6",
						  version[0], version[1],
						  version[2]);
	if (version[0] > 3)
		return churn_fail(error, CHURN_ERROR_UNSUPPORTED,
						  "model file is of XGBoost %d.%d.%d, newer than any known here",
						  version[0], version[1],
						  version[2]);
	return true;
}

/*
 * Makes sure that the document is a booster's, and prepares it; see
 * xgboost_internal.h.
 */
bool
churn_xgboost_prepare(const ChurnValue *document, int *version,
					  ChurnArena *arena, ChurnError *error)
{
	const ChurnValue *learner = churn_value_get(document, "learner");
	const ChurnValue *booster = churn_value_get(learner, "gradient_booster");

	if (booster == NULL || booster->kind != CHURN_VALUE_OBJECT)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "not a model file of XGBoost: it has no gradient booster");
	return read_version(document, version, error) &&
		make_arrays_typed(document, arena, error);
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
bool
churn_xgboost_write_ubjson(const ChurnValue *document, ChurnArena *arena,
						   uint8_t **bytes, size_t *length,
						   ChurnError *error)
{
	ChurnValue *outer = churn_value_get(churn_value_get(document, "learner"),
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
	written = churn_ubjson_write(document, arena, bytes, length, error);
	if (plain != NULL)
		written &= churn_value_set(outer, "weight_drop", weights, arena,
								   error);
	return written;
}
