/*
 * sql_text.c
 *		churn_sql(): models as SQL, for people to read.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "churn/model_sql.h"
#include "churn/xgboost.h"

#include "compat.h"
#include "encoding.h"
#include "registry.h"

PG_FUNCTION_INFO_V1(churn_sql);

/*
 * churn_sql(model text, version int) -> text
 *
 * The score of a version of rules or of a logistic regression as an
 * expression over the columns of its source.  version defaults to the
 * champion.
 */
Datum
churn_sql(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "churn sql",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ChurnArena	arena = churn_memory_arena(context);
	ChurnArtifact *artifact;
	ChurnModel *model;
	ChurnError	error;
	bytea	   *stored;
	char	   *sql;
	const char *converted;
	size_t		length;
	text	   *result;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	stored = churn_registry_artifact(text_to_cstring(PG_GETARG_TEXT_PP(0)),
									 PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1),
									 GetActiveSnapshot());
	artifact = churn_artifact_read((uint8 *) VARDATA_ANY(stored),
								   VARSIZE_ANY_EXHDR(stored), &arena, &error);
	if (artifact == NULL ||
		(model = churn_artifact_model(artifact, &arena, &error)) == NULL)
		churn_throw(&error, "stored artifact");
	if (!churn_model_sql(model, &arena, &sql, &error))
	{
		if (error.code == CHURN_ERROR_UNSUPPORTED)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("%s", error.message),
					 errhint("Models of algorithms \"rules\" and \"logistic\" can be written as SQL.")));
		churn_throw(&error, "SQL of the model");
	}
	length = strlen(sql);
	converted = churn_from_utf8(sql, &length);
	MemoryContextSwitchTo(old);
	result = cstring_to_text_with_len(converted, (int) length);
	MemoryContextDelete(context);
	PG_RETURN_TEXT_P(result);
}
