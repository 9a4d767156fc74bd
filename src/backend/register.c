/*
 * register.c
 *		Writing a new version into the registry.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "churn/hash.h"

#include "compat.h"
#include "register.h"
#include "role.h"

/*
 * A bytea with a copy of the bytes.
 */
bytea *
churn_bytea(const uint8 *bytes, size_t length)
{
	bytea	   *result;

	if (length > MaxAllocSize - VARHDRSZ)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a model of %zu bytes is too large", length),
				 errdetail("At most %u bytes fit.", CHURN_MAX_MODEL_BYTES)));
	result = palloc(length + VARHDRSZ);
	SET_VARSIZE(result, length + VARHDRSZ);
	memcpy(VARDATA(result), bytes, length);
	return result;
}

/*
 * Appends text as a JSON string.
 */
void
churn_escape_json(StringInfo json, const char *text)
{
	escape_json(json, text);
}

/*
 * Appends a member of a JSON object whose value is a string, or null.
 */
static void
append_text(StringInfo json, const char *name, const char *value)
{
	appendStringInfo(json, "%s\"%s\": ", json->len > 1 ? ", " : "", name);
	if (value == NULL)
		appendStringInfoString(json, "null");
	else
		escape_json(json, value);
}

/*
 * Appends a member of a JSON object whose value is JSON already, or null.
 */
static void
append_json(StringInfo json, const char *name, const char *value)
{
	appendStringInfo(json, "%s\"%s\": %s", json->len > 1 ? ", " : "", name,
					 value ? value : "null");
}

/*
 * A text member of a jsonb object; NULL if it is not there or no string.
 */
char *
churn_jsonb_text(Jsonb *object, const char *name)
{
	JsonbValue	buffer;
	JsonbValue *value;

	if (object == NULL || !JB_ROOT_IS_OBJECT(object))
		return NULL;
	value = getKeyJsonValueFromContainer(&object->root, name, strlen(name),
										 &buffer);
	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/*
 * Reads the option "promote".
 */
static const char *
promote_option(Jsonb *options)
{
	JsonbValue	buffer;
	char	   *given;

	if (options == NULL)
		return "auto";
	if (!JB_ROOT_IS_OBJECT(options))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options must be a JSON object"),
				 errhint("For example: options => '{\"promote\": \"never\"}'.")));
	if (getKeyJsonValueFromContainer(&options->root, "promote",
									 strlen("promote"), &buffer) == NULL)
		return "auto";
	given = churn_jsonb_text(options, "promote");
	if (given == NULL ||
		(strcmp(given, "auto") != 0 && strcmp(given, "always") != 0 &&
		 strcmp(given, "never") != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"promote\" must be \"auto\", \"always\" or \"never\"")));
	return given;
}

/*
 * Checks what can be checked before any work.
 */
void
churn_registration_check(ChurnRegistration *registration)
{
	char	   *name = registration->model;
	ChurnModelRow *present;

	registration->snapshot =
		DatumGetCString(DirectFunctionCall1(pg_snapshot_out,
											DirectFunctionCall1(pg_current_snapshot, 0)));
	registration->lsn = GetXLogInsertRecPtr();
	if (name[0] == '\0' || strlen(name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("model name \"%s\" is empty or too long", name),
				 errdetail("A name has 1 to %d bytes.", NAMEDATALEN - 1)));
	registration->promote = promote_option(registration->options);
	present = churn_registry_model(name, GetActiveSnapshot(), true);
	registration->present = present;
	if (present == NULL)
	{
		/* of the name, so that a model trained anew is split the same way */
		registration->split_seed = (int64)
			(churn_hash64(name, strlen(name), 0) >> 1);
		return;
	}
	registration->split_seed = present->split_seed;
	if (!has_privs_of_role(GetUserId(), get_role_oid(present->owner, false)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of model \"%s\"", name),
				 errdetail("It belongs to role \"%s\".", present->owner)));
}

/*
 * The baselines that an artifact brings along, as JSON: {"features": [one a
 * feature or null, ...], "score": ...}.
 */
static char *
baselines_json(const ChurnArtifact *artifact, ChurnArena *arena)
{
	ChurnValue *null = palloc0(sizeof(ChurnValue));
	ChurnValue *score;
	ChurnValue *features;
	ChurnValue *baselines;
	ChurnValue *result;
	ChurnError	error;
	char	   *json;
	size_t		length;
	size_t		i;

	if (!churn_artifact_description(artifact, &result, arena, &error))
		churn_throw(&error, "artifact");
	features = churn_value_get(result, "features");
	score = churn_value_get(result, "score_baseline");
	baselines = churn_value_array(arena, &error);
	result = churn_value_object(arena, &error);
	null->kind = CHURN_VALUE_NULL;
	for (i = 0; features != NULL && i < features->length; i++)
	{
		ChurnValue *baseline = churn_value_get(features->u.elements[i],
											   "baseline");

		if (!churn_value_append(baselines, baseline != NULL ? baseline : null,
								arena, &error))
			churn_throw(&error, "baselines");
	}
	if (!churn_value_set(result, "features", baselines, arena, &error) ||
		!churn_value_set(result, "score", score != NULL ? score : null, arena,
						 &error) ||
		!churn_json_write(result, arena, &json, &length, &error))
		churn_throw(&error, "baselines");
	return json;
}

/*
 * What churn.register_version() wants to know, as JSON.
 */
static char *
registration_json(const ChurnRegistration *registration,
				  const char *baselines)
{
	StringInfoData json;
	char		number[32];
	char	   *user = GetUserNameFromId(GetUserId(), false);

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	append_text(&json, "model", registration->model);
	append_text(&json, "origin", registration->origin);
	append_text(&json, "extension_version", CHURN_VERSION);
	append_text(&json, "owner", user);
	append_text(&json, "trained_by", user);
	append_text(&json, "source", registration->source);
	append_text(&json, "source_relation", registration->source_relation);
	append_text(&json, "source_query", registration->source_query);
	append_text(&json, "key", registration->key);
	append_text(&json, "label", registration->label);
	append_text(&json, "positive", registration->positive);
	append_json(&json, "exclude", registration->exclude);
	append_json(&json, "transform", registration->transform);
	append_text(&json, "as_of", registration->as_of);
	append_json(&json, "options", registration->options == NULL ? NULL :
				JsonbToCString(NULL, &registration->options->root,
							   VARSIZE(registration->options)));
	append_text(&json, "promote", registration->promote);
	append_json(&json, "expectations", registration->expectations);
	append_json(&json, "issues", registration->issues);
	snprintf(number, sizeof(number), INT64_FORMAT, registration->split_seed);
	append_json(&json, "split_seed", number);
	snprintf(number, sizeof(number), INT64_FORMAT,
			 registration->rows_without_label);
	append_json(&json, "rows_without_label",
				strcmp(registration->origin, "train") == 0 ? number : NULL);
	snprintf(number, sizeof(number), "%X/%X", LSN_FORMAT_ARGS(registration->lsn));
	append_text(&json, "snapshot_lsn", number);
	append_text(&json, "snapshot", registration->snapshot);
	append_text(&json, "started_at",
				timestamptz_to_str(registration->started_at));
	append_json(&json, "result", registration->result);
	append_json(&json, "baselines", baselines);
	appendStringInfoChar(&json, '}');
	return json.data;
}

/*
 * Calls churn.register_version() and reads its answer.
 */
static void
call_register(ChurnRegistration *registration, const char *info,
			  bytea *artifact, bytea *compiled, bytea *sha256,
			  MemoryContext result_context)
{
	Oid			types[] = {TEXTOID, BYTEAOID, BYTEAOID, BYTEAOID};
	Datum		values[] = {CStringGetTextDatum(info),
		PointerGetDatum(artifact), PointerGetDatum(compiled),
	PointerGetDatum(sha256)};
	MemoryContext old;
	HeapTuple	tuple;
	TupleDesc	desc;
	bool		isnull;
	char	   *reason;

	if (SPI_execute_with_args("SELECT version, promoted, reason "
							  "FROM churn.register_version("
							  "$1::pg_catalog.jsonb, $2, $3, $4)",
							  lengthof(types), types, values, NULL, false,
							  1) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "churn.register_version() gave no row");
	tuple = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	registration->version =
		DatumGetInt32(SPI_getbinval(tuple, desc, 1, &isnull));
	registration->promoted =
		DatumGetBool(SPI_getbinval(tuple, desc, 2, &isnull));
	reason = SPI_getvalue(tuple, desc, 3);
	old = MemoryContextSwitchTo(result_context);
	registration->reason = pstrdup(reason ? reason : "");
	MemoryContextSwitchTo(old);
}

/*
 * Writes artifact and model as the model's next version.
 */
void
churn_registration_write(ChurnRegistration *registration,
						 const ChurnArtifact *artifact,
						 const ChurnModel *model, ChurnArena *arena)
{
	uint8		digest[CHURN_SHA256_LENGTH];
	ChurnError	error;
	uint8_t    *compiled;
	uint8_t    *bytes;
	size_t		ncompiled;
	size_t		nbytes;
	char	   *info = registration_json(registration,
										 baselines_json(artifact, arena));
	ChurnRole	saved;

	if (!churn_model_write(model, arena, &compiled, &ncompiled, &error) ||
		!churn_artifact_write(artifact, CHURN_ARTIFACT_UBJSON, arena, &bytes,
							  &nbytes, &error))
		churn_throw(&error, "model");
	if (ncompiled + nbytes > CHURN_MAX_MODEL_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the model takes %zu bytes, more than the limit of %u",
						ncompiled + nbytes, CHURN_MAX_MODEL_BYTES),
				 errhint("Train with fewer rounds or a smaller max_depth.")));
	churn_registry_sha256(compiled, ncompiled, bytes, nbytes, digest);

	SPI_connect();
	saved = churn_role_become_owner();
	call_register(registration, info, churn_bytea(bytes, nbytes),
				  churn_bytea(compiled, ncompiled),
				  churn_bytea(digest, sizeof(digest)),
				  (MemoryContext) arena->context);
	churn_role_restore(saved);
	SPI_finish();
}
