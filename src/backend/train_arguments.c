/*
 * train_arguments.c
 *		The arguments of churn_train().
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#include "arguments.h"
#include "compat.h"
#include "train.h"

/* Arguments of churn_train(). */
enum
{
	ARG_SOURCE,
	ARG_LABEL,
	ARG_KEY,
	ARG_MODEL,
	ARG_ALGORITHM,
	ARG_POSITIVE,
	ARG_EXCLUDE,
	ARG_TRANSFORM,
	ARG_PARAMS,
	ARG_OPTIONS
};

/*
 * An argument that must be a JSON object; NULL for NULL.
 */
static Jsonb *
object_argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	Jsonb	   *object;

	if (PG_ARGISNULL(argument))
		return NULL;
	object = PG_GETARG_JSONB_P(argument);
	if (!JB_ROOT_IS_OBJECT(object))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be a JSON object", name)));
	return object;
}

/*
 * A jsonb as JSON text.
 */
static char *
object_text(Jsonb *object)
{
	return JsonbToCString(NULL, &object->root, VARSIZE(object));
}

/*
 * The names in an array of text.
 */
static List *
name_list(ArrayType *array)
{
	Datum	   *values;
	bool	   *nulls;
	int			count;
	List	   *names = NIL;
	int			i;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &values,
					  &nulls, &count);
	for (i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("exclude must not contain nulls")));
		names = lappend(names, TextDatumGetCString(values[i]));
	}
	return names;
}

/*
 * The names as a JSON array.
 */
static char *
name_list_json(List *names)
{
	StringInfoData json;
	ListCell   *cell;

	initStringInfo(&json);
	appendStringInfoChar(&json, '[');
	foreach(cell, names)
	{
		if (json.len > 1)
			appendStringInfoString(&json, ", ");
		churn_escape_json(&json, lfirst(cell));
	}
	appendStringInfoChar(&json, ']');
	return json.data;
}

/*
 * The transforms in an object of expressions by name.
 */
static List *
transform_list(Jsonb *object)
{
	JsonbIterator *iterator = JsonbIteratorInit(&object->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	ChurnTransform *transform = NULL;
	List	   *transforms = NIL;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			transform = palloc0(sizeof(ChurnTransform));
			transform->name = pnstrdup(value.val.string.val,
									   value.val.string.len);
		}
		if (token != WJB_VALUE)
			continue;
		if (value.type != jbvString)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("transform \"%s\" is not a string",
							transform->name),
					 errhint("It is an SQL expression, as in transform => '{\"charge_per_month\": \"total_charges / nullif(tenure, 0)\"}'.")));
		transform->text = pnstrdup(value.val.string.val,
								   value.val.string.len);
		transforms = lappend(transforms, transform);
	}
	return transforms;
}

/*
 * Reads the option "validate".
 */
static void
read_validate(ChurnTraining *training, Jsonb *options)
{
	static const char *const choices[] = {"error", "warn", "off"};
	JsonbValue	buffer;
	char	   *given = churn_jsonb_text(options, "validate");
	size_t		i;

	if (getKeyJsonValueFromContainer(&options->root, "validate",
									 strlen("validate"), &buffer) == NULL)
		return;
	for (i = 0; given != NULL && i < lengthof(choices); i++)
	{
		if (strcmp(given, choices[i]) == 0)
		{
			training->validate = (ChurnValidateOption) i;
			return;
		}
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"validate\" must be \"error\", \"warn\" or \"off\"")));
}

/*
 * Takes the extension's own options out of the caller's; the rest is for the
 * trainer, which knows what there is.
 */
static void
read_options(ChurnTraining *training, Jsonb *options)
{
	static const char *const own[] = {"promote", "as_of", "validate"};
	JsonbValue	buffer;
	JsonbValue *as_of;
	Datum		rest = JsonbPGetDatum(options);
	size_t		i;

	as_of = getKeyJsonValueFromContainer(&options->root, "as_of",
										 strlen("as_of"), &buffer);
	if (as_of != NULL && as_of->type == jbvString)
		training->as_of = pnstrdup(as_of->val.string.val,
								   as_of->val.string.len);
	else if (as_of != NULL && as_of->type != jbvNull)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"as_of\" must be a string"),
				 errhint("It is a date written YYYY-MM-DD, or the name of a column.")));
	read_validate(training, options);
	for (i = 0; i < lengthof(own); i++)
		rest = DirectFunctionCall2(jsonb_delete, rest,
								   CStringGetTextDatum(own[i]));
	training->options = object_text(DatumGetJsonbP(rest));
}

/*
 * Reads the arguments of churn_train().
 */
void
churn_training_arguments(ChurnTraining *training, FunctionCallInfo fcinfo)
{
	ChurnRegistration *registration = &training->registration;
	Jsonb	   *transform = object_argument(fcinfo, ARG_TRANSFORM, "transform");
	Jsonb	   *params = object_argument(fcinfo, ARG_PARAMS, "params");

	if (PG_ARGISNULL(ARG_SOURCE) || PG_ARGISNULL(ARG_LABEL))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("source and label must not be null")));
	training->source_text = churn_argument_text(fcinfo, ARG_SOURCE);
	training->label_name = churn_argument_text(fcinfo, ARG_LABEL);
	training->key_name = churn_argument_text(fcinfo, ARG_KEY);
	training->positive = churn_argument_text(fcinfo, ARG_POSITIVE);
	training->algorithm = churn_argument_text(fcinfo, ARG_ALGORITHM);
	if (!PG_ARGISNULL(ARG_EXCLUDE))
	{
		training->exclude = name_list(PG_GETARG_ARRAYTYPE_P(ARG_EXCLUDE));
		registration->exclude = name_list_json(training->exclude);
	}
	if (transform != NULL && JB_ROOT_COUNT(transform) > 0)
	{
		training->transforms = transform_list(transform);
		registration->transform = object_text(transform);
	}
	if (params != NULL)
		training->params = object_text(churn_training_rules(training, params));
	registration->model = churn_argument_text(fcinfo, ARG_MODEL);
	registration->options = object_argument(fcinfo, ARG_OPTIONS, "options");
	if (registration->options != NULL)
		read_options(training, registration->options);
	registration->origin = "train";
	registration->source = training->source_text;
	registration->label = training->label_name;
	registration->positive = training->positive;
}
