/*
 * import.c
 *		churn_import() and churn_export(): artifacts, see churn/xgboost.h.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "churn/xgboost.h"

#include "arguments.h"
#include "compat.h"
#include "encoding.h"
#include "register.h"
#include "registry.h"
#include "source.h"
#include "transform.h"

PG_FUNCTION_INFO_V1(churn_export);
PG_FUNCTION_INFO_V1(churn_import);

/* Arguments of churn_import(). */
enum
{
	ARG_MODEL,
	ARG_ARTIFACT,
	ARG_FEATURES,
	ARG_SOURCE,
	ARG_KEY,
	ARG_LABEL,
	ARG_POSITIVE,
	ARG_THRESHOLD,
	ARG_OPTIONS
};

/*
 * churn_export(model text, version int, format text) -> bytea
 *
 * The artifact in the format asked for: a model file as XGBoost's
 * Booster.load_model() reads it, or a document of our own if the version is not
 * a single XGBoost ensemble.  version defaults to the champion.
 */
Datum
churn_export(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "churn export",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ChurnArena	arena = churn_memory_arena(context);
	ChurnArtifactFormat format;
	ChurnArtifact *artifact;
	ChurnError	error;
	bytea	   *stored;
	bytea	   *result;
	char	   *wanted;
	uint8_t    *bytes;
	size_t		length;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	wanted = text_to_cstring(PG_GETARG_TEXT_PP(2));
	if (pg_strcasecmp(wanted, "ubj") == 0)
		format = CHURN_ARTIFACT_UBJSON;
	else if (pg_strcasecmp(wanted, "json") == 0)
		format = CHURN_ARTIFACT_JSON;
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown format \"%s\"", wanted),
				 errhint("Formats are ubj and json.")));
	stored = churn_registry_artifact(text_to_cstring(PG_GETARG_TEXT_PP(0)),
									 PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1),
									 GetActiveSnapshot());
	artifact = churn_artifact_read((uint8 *) VARDATA_ANY(stored),
								   VARSIZE_ANY_EXHDR(stored), &arena, &error);
	if (artifact == NULL)
		churn_throw(&error, "stored artifact");
	if (artifact->format == format)
	{
		bytes = (uint8 *) VARDATA_ANY(stored);
		length = VARSIZE_ANY_EXHDR(stored);
	}
	else if (!churn_artifact_write(artifact, format, &arena, &bytes, &length,
								   &error))
		churn_throw(&error, "could not export");
	MemoryContextSwitchTo(old);
	result = churn_bytea(bytes, length);
	MemoryContextDelete(context);
	PG_RETURN_BYTEA_P(result);
}

/*
 * Complains of a feature as the caller describes it.
 */
static void
bad_feature(const char *name, const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 name != NULL && name[0] != '\0' ?
			 errmsg("feature \"%s\" %s", name, problem) :
			 errmsg("an element of features has no name"),
			 errhint("Each is the name of a column, or an object with \"name\", \"kind\" (number, boolean, category or age) and, for a category, \"categories\", an array of texts.")));
}

/*
 * Checks name, kind and categories of a feature.
 */
static void
check_feature(const char *name, const char *kind, const ChurnValue *categories)
{
	static const char *const kinds[] = {"number", "boolean", "category", "age"};
	bool		known = false;
	size_t		i;

	if (name == NULL || name[0] == '\0')
		bad_feature(name, NULL);
	for (i = 0; i < lengthof(kinds); i++)
		known |= strcmp(kind, kinds[i]) == 0;
	if (!known)
		bad_feature(name, psprintf("is of unknown kind \"%s\"", kind));
	if (strcmp(kind, "category") != 0)
		return;
	if (categories == NULL || categories->kind != CHURN_VALUE_ARRAY)
		bad_feature(name, "has no list of categories");
	for (i = 0; i < categories->length; i++)
	{
		if (categories->u.elements[i]->kind != CHURN_VALUE_STRING)
			bad_feature(name, "has a category that is no text");
	}
}

/*
 * One feature as the caller describes it, an object or just a name, in the
 * form that the booster attribute wants.
 */
static ChurnValue *
described_feature(const ChurnValue *given, ChurnArena *arena,
				  ChurnError *error)
{
	ChurnValue *feature = churn_value_object(arena, error);
	ChurnValue *categories = churn_value_get(given, "categories");
	ChurnValue *text_number = churn_value_get(given, "text_number");
	ChurnValue *transform = churn_value_get(given, "transform");
	ChurnValue *baseline = churn_value_get(given, "baseline");
	const char *name = given->kind == CHURN_VALUE_STRING ?
	given->u.string : churn_value_text(given, "name", NULL);
	const char *kind = churn_value_text(given, "kind",
										categories ? "category" : "number");

	check_feature(name, kind, categories);
	if (transform != NULL && transform->kind != CHURN_VALUE_STRING)
		bad_feature(name, "has a transform that is no text");
	if (!churn_value_set(feature, "name",
						 churn_value_string(arena, name, error),
						 arena, error) ||
		!churn_value_set(feature, "kind",
						 churn_value_string(arena, kind, error),
						 arena, error) ||
		!churn_value_set(feature, "type",
						 churn_value_string(arena,
											churn_value_text(given, "type", ""),
											error),
						 arena, error) ||
		(categories != NULL &&
		 !churn_value_set(feature, "categories", categories, arena, error)) ||
		(text_number != NULL &&
		 !churn_value_set(feature, "text_number", text_number, arena, error)) ||
		(transform != NULL &&
		 !churn_value_set(feature, "transform", transform, arena, error)) ||
		(baseline != NULL &&
		 !churn_value_set(feature, "baseline", baseline, arena, error)))
		churn_throw(error, "features");
	return feature;
}

/*
 * The caller's features in the form that the booster attribute wants.  Their
 * number has to be the booster's.
 */
static ChurnValue *
described_features(const ChurnArtifact *artifact, Jsonb *features,
				   ChurnArena *arena, ChurnError *error)
{
	const char *text = JsonbToCString(NULL, &features->root,
									  VARSIZE(features));
	size_t		length = strlen(text);
	const char *utf8 = churn_to_utf8(text, &length);
	ChurnValue *given = churn_json_read(utf8, length, arena, error);
	ChurnValue *result = churn_value_array(arena, error);
	int64_t		nfeatures = churn_artifact_nfeatures(artifact);
	size_t		i;

	if (given == NULL)
		churn_throw(error, "features");
	if (given->kind != CHURN_VALUE_ARRAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("features must be a JSON array"),
				 errhint("List the booster's columns in order: names, or objects with \"name\", \"kind\" and, for a category, \"categories\".")));
	/* what does not tell its number is for the model's maker to judge */
	if (nfeatures >= 0 && nfeatures != (int64_t) given->length)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("features lists %zu columns, but the model has %ld",
						given->length, (long) nfeatures)));
	for (i = 0; i < given->length; i++)
		if (!churn_value_append(result,
								described_feature(given->u.elements[i],
												  arena, error),
								arena, error))
			churn_throw(error, "features");
	return result;
}

/*
 * Puts the caller's features and threshold into the artifact's description,
 * over what the file may have brought along.
 */
static void
annotate(ChurnArtifact *artifact, Jsonb *features, const double *threshold,
		 ChurnArena *arena)
{
	ChurnValue *description;
	ChurnError	error;

	if (!churn_artifact_description(artifact, &description, arena, &error))
		churn_throw(&error, "artifact");
	if (description == NULL)
		description = churn_value_object(arena, &error);
	if (description == NULL)
		churn_throw(&error, "artifact");
	/* a format that is there already has to be one that we know */
	if (churn_value_get(description, "format") == NULL &&
		!churn_value_set(description, "format",
						 churn_value_integer(arena, 1, &error), arena, &error))
		churn_throw(&error, "artifact");
	if (features != NULL &&
		!churn_value_set(description, "features",
						 described_features(artifact, features, arena, &error),
						 arena, &error))
		churn_throw(&error, "features");
	if (threshold != NULL &&
		!churn_value_set(description, "threshold",
						 churn_value_double(arena, *threshold, &error),
						 arena, &error))
		churn_throw(&error, "threshold");
	if (!churn_artifact_describe(artifact, description, arena, &error))
		churn_throw(&error, "artifact");
}

/*
 * The name of a kind of feature in the registry.
 */
static const char *
kind_name(ChurnFeatureKind kind)
{
	switch (kind)
	{
		case CHURN_FEATURE_NUMBER:
			return "number";
		case CHURN_FEATURE_BOOLEAN:
			return "boolean";
		case CHURN_FEATURE_CATEGORY:
			return "category";
		case CHURN_FEATURE_AGE:
			return "age";
	}
	return "number";
}

/*
 * Trees in all of a model's forests.
 */
static uint32
count_trees(const ChurnModel *model)
{
	uint32		ntrees = 0;
	uint32		i;

	for (i = 0; i < model->ncomponents; i++)
		if (model->components[i].forest != NULL)
			ntrees += model->components[i].forest->ntrees;
	return ntrees;
}

/*
 * The name of what made a model.
 */
static const char *
algorithm_name(const ChurnModel *model)
{
	return model->ncomponents == 1 ? model->components[0].algorithm : "blend";
}

/*
 * The part of the registration that churn_train() has from the trainer.
 */
static const char *
result_json(const ChurnArtifact *artifact, const ChurnModel *model)
{
	StringInfoData json;
	size_t		length;
	uint32		i;
	uint32		j;

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"algorithm\": ");
	churn_escape_json(&json, algorithm_name(model));
	appendStringInfo(&json, ", \"threshold\": %.17g, \"metrics\": []",
					 model->threshold);
	if (artifact->kind == CHURN_ARTIFACT_BOOSTER)
		appendStringInfo(&json, ", \"rounds\": %u", count_trees(model));
	if (artifact->version[0] > 0)
		appendStringInfo(&json,
						 ", \"library_versions\": {\"xgboost\": \"%d.%d.%d\"}",
						 artifact->version[0], artifact->version[1],
						 artifact->version[2]);
	appendStringInfoString(&json, ", \"features\": [");
	for (i = 0; i < model->nfeatures; i++)
	{
		const ChurnFeature *feature = &model->features[i];

		appendStringInfo(&json, "%s{\"name\": ", i ? ", " : "");
		churn_escape_json(&json, feature->name);
		appendStringInfo(&json, ", \"kind\": \"%s\", \"type\": ",
						 kind_name(feature->kind));
		if (feature->type[0] != '\0')
			churn_escape_json(&json, feature->type);
		else
			appendStringInfoString(&json, "null");
		if (feature->transform != NULL)
		{
			appendStringInfoString(&json, ", \"transform\": ");
			churn_escape_json(&json, feature->transform);
		}
		appendStringInfoString(&json, ", \"categories\": [");
		for (j = 0; j < feature->ncategories; j++)
		{
			if (j > 0)
				appendStringInfoString(&json, ", ");
			churn_escape_json(&json, feature->categories[j]);
		}
		appendStringInfoString(&json, "]}");
	}
	appendStringInfoString(&json, "]}");
	/* what becomes text in tables must be text, or no dump could be restored */
	length = json.len;
	return churn_from_utf8(json.data, &length);
}

/*
 * Finds out what the source is.  Its key defaults to the primary key, as for
 * churn_train(); columns that it does not have are an error.
 */
static void
read_source(ChurnRegistration *registration, MemoryContext context)
{
	ChurnSource *source;

	SPI_connect();
	source = churn_source_open(registration->source, context);
	MemoryContextSwitchTo(context);
	if (source->relation != NULL)
		registration->source_relation = pstrdup(source->relation);
	registration->source_query = pstrdup(source->statement);
	if (registration->key != NULL)
		(void) churn_source_column(source, registration->key, "key");
	else if (source->primary_key >= 0)
		registration->key =
			pstrdup(NameStr(TupleDescAttr(source->desc,
										  source->primary_key)->attname));
	if (registration->label != NULL)
		(void) churn_source_column(source, registration->label, "label");
	SPI_finish();
	MemoryContextSwitchTo(context);
}

/*
 * Fills the registration with what the caller says of the model.
 */
static void
fill_registration(FunctionCallInfo fcinfo, ChurnRegistration *registration)
{
	memset(registration, 0, sizeof(*registration));
	registration->model = churn_argument_text(fcinfo, ARG_MODEL);
	registration->origin = "import";
	registration->source = churn_argument_text(fcinfo, ARG_SOURCE);
	registration->key = churn_argument_text(fcinfo, ARG_KEY);
	registration->label = churn_argument_text(fcinfo, ARG_LABEL);
	registration->positive = churn_argument_text(fcinfo, ARG_POSITIVE);
	registration->started_at = GetCurrentTimestamp();
	registration->options = PG_ARGISNULL(ARG_OPTIONS) ? NULL :
		PG_GETARG_JSONB_P(ARG_OPTIONS);
	churn_registration_check(registration);
	if (registration->source != NULL)
		read_source(registration, CurrentMemoryContext);
}

/*
 * Checks what can be checked of transforms without a row.  The rest waits
 * until the first one is scored.
 */
static void
check_transforms(const ChurnRegistration *registration,
				 const ChurnModel *model)
{
	uint32		i;

	for (i = 0; i < model->nfeatures; i++)
	{
		ChurnTransform transform = {model->features[i].name,
		model->features[i].transform, registration->model};
		size_t		length;

		if (transform.text == NULL)
			continue;
		length = strlen(transform.text);
		transform.text = churn_from_utf8(transform.text, &length);
		churn_transform_check_syntax(&transform);
	}
}

/*
 * churn_import(model text, artifact bytea, features jsonb, source text,
 *				key text, label text, positive text, threshold double
 *				precision, options jsonb)
 *		-> (model, version, algorithm, promoted, features, trees)
 *
 * Registers an artifact as a new version.  features describes the columns of
 * its components in order; without it, what churn_export() wrote or a booster's
 * own names and types serve.
 */
Datum
churn_import(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "churn import",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	ChurnArena	arena = churn_memory_arena(context);
	ChurnRegistration registration;
	ChurnArtifact *artifact;
	ChurnModel *model;
	ChurnError	error;
	bytea	   *given;
	double		threshold = 0;
	const char *algorithm;
	size_t		length;
	TupleDesc	desc;
	Datum		values[6];
	bool		nulls[6] = {false};

	PreventCommandIfReadOnly("churn_import()");
	if (PG_ARGISNULL(ARG_MODEL) || PG_ARGISNULL(ARG_ARTIFACT))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("model and artifact must not be null")));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	desc = BlessTupleDesc(desc);
	if (!PG_ARGISNULL(ARG_THRESHOLD))
	{
		threshold = PG_GETARG_FLOAT8(ARG_THRESHOLD);
		if (!(threshold >= 0 && threshold <= 1))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("threshold %g is out of range", threshold),
					 errhint("It is a probability, from 0 to 1.")));
	}

	old = MemoryContextSwitchTo(context);
	fill_registration(fcinfo, &registration);
	given = PG_GETARG_BYTEA_PP(ARG_ARTIFACT);
	artifact = churn_artifact_read((uint8 *) VARDATA_ANY(given),
								   VARSIZE_ANY_EXHDR(given), &arena, &error);
	if (artifact == NULL)
		churn_throw(&error, "artifact");
	if (!PG_ARGISNULL(ARG_FEATURES) || !PG_ARGISNULL(ARG_THRESHOLD))
		annotate(artifact, PG_ARGISNULL(ARG_FEATURES) ? NULL :
				 PG_GETARG_JSONB_P(ARG_FEATURES),
				 PG_ARGISNULL(ARG_THRESHOLD) ? NULL : &threshold, &arena);
	model = churn_artifact_model(artifact, &arena, &error);
	if (model == NULL)
		churn_throw(&error, "artifact");
	check_transforms(&registration, model);
	registration.result = result_json(artifact, model);
	churn_registration_write(&registration, artifact, model, &arena);
	MemoryContextSwitchTo(old);

	values[0] = CStringGetTextDatum(registration.model);
	values[1] = Int32GetDatum(registration.version);
	length = strlen(algorithm_name(model));
	algorithm = churn_from_utf8(algorithm_name(model), &length);
	values[2] = CStringGetTextDatum(algorithm);
	values[3] = BoolGetDatum(registration.promoted);
	values[4] = Int32GetDatum((int32) model->nfeatures);
	values[5] = Int32GetDatum((int32) count_trees(model));
	MemoryContextDelete(context);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}
