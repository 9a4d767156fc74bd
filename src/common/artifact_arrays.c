/*
 * artifact_arrays.c
 *		Arrays of documents, whatever types they came in.
 */
#include "artifact_internal.h"

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
 * Reads element i as a float64.
 */
static bool
double_element(const ChurnValue *array, size_t i, double *result)
{
	int64_t		integer;

	if (array->kind == CHURN_VALUE_FLOATS)
		*result = (double) ((const float *) array->u.typed)[i];
	else if (array->kind == CHURN_VALUE_ARRAY &&
			 array->u.elements[i]->kind == CHURN_VALUE_NUMBER)
		*result = array->u.elements[i]->u.number;
	else if (churn_xgboost_element(array, i, &integer))
		*result = (double) integer;
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
	if (kind == CHURN_VALUE_DOUBLES)
		return double_element(from, i, (double *) elements + i);
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
bool
churn_value_make_typed(const ChurnValue *object, const char *name,
					   ChurnValueKind kind, ChurnArena *arena,
					   ChurnError *error)
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
	else if (kind == CHURN_VALUE_LONGS || kind == CHURN_VALUE_DOUBLES)
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
