/*
 * policy.c
 *		churn_set_policy(), churn_drop_policy().
 *
 * A policy has churn_maintain() train as the model's owner, so that only who
 * may act as that role may set it.  What the values may be is checked by
 * churn.write_policy().
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "registry.h"
#include "role.h"
#include "source.h"

/* Arguments of churn_set_policy(), and what the row has beside. */
enum
{
	ARG_MODEL,
	ARG_ACTION,
	ARG_SCHEDULE,
	ARG_DRIFT_ALPHA,
	ARG_DRIFT_PSI,
	ARG_DRIFT_SEGMENT,
	ARG_QUALITY_METRIC,
	ARG_QUALITY_DROP,
	ARG_MAX_AGE,
	ARG_MIN_ROWS,
	ARG_ALGORITHM,
	ARG_RETENTION,
	ARG_ENABLED,
	ARG_SET_BY
};

PG_FUNCTION_INFO_V1(churn_set_policy);
PG_FUNCTION_INFO_V1(churn_drop_policy);

/*
 * The model of the first argument, which must be the caller's.
 */
static ChurnModelRow *
own_model(FunctionCallInfo fcinfo)
{
	ChurnModelRow *model;

	if (PG_ARGISNULL(ARG_MODEL))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("model must not be null")));
	model = churn_registry_model(text_to_cstring(PG_GETARG_TEXT_PP(ARG_MODEL)),
								 GetActiveSnapshot(), false);
	churn_role_check_owner(model);
	return model;
}

/*
 * Complains of a model that cannot be looked after: everything reads the
 * source, and training needs a label.
 */
static void
check_source(const ChurnModelRow *model, const char *action)
{
	bool		trains = action != NULL && strcmp(action, "alert") != 0;

	if (model->source_query != NULL && (model->label != NULL || !trains))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("model \"%s\" has no %s", model->name,
					model->source_query == NULL ? "source" : "label"),
			 errhint("Train or import a version with source and label given.")));
}

/*
 * Complains unless the source has the column.
 */
static void
check_segment(const ChurnModelRow *model, const char *column)
{
	ChurnSource *source;
	ChurnRole	saved;

	SPI_connect();
	saved = churn_role_become(get_role_oid(model->owner, false));
	source = churn_source_open(model->source_relation != NULL ?
							   model->source_relation : model->source_query,
							   CurrentMemoryContext);
	(void) churn_source_column(source, column, "segment");
	churn_role_restore(saved);
	SPI_finish();
}

/*
 * Calls churn.write_policy() with the caller's arguments.
 */
static void
write_policy(FunctionCallInfo fcinfo, const ChurnModelRow *model)
{
	Oid			types[] = {TEXTOID, TEXTOID, INTERVALOID, FLOAT8OID, FLOAT8OID,
		TEXTOID, TEXTOID, FLOAT8OID, INTERVALOID, INT8OID, TEXTOID, INTERVALOID,
	BOOLOID, NAMEOID};
	Datum		values[ARG_SET_BY + 1];
	char		nulls[ARG_SET_BY + 1];
	const char *user = GetUserNameFromId(GetUserId(), false);
	ChurnRole	saved = churn_role_become_owner();
	int			i;

	for (i = 0; i < ARG_SET_BY; i++)
	{
		values[i] = fcinfo->args[i].value;
		nulls[i] = fcinfo->args[i].isnull ? 'n' : ' ';
	}
	values[ARG_MODEL] = CStringGetTextDatum(model->name);
	values[ARG_SET_BY] = DirectFunctionCall1(namein, CStringGetDatum(user));
	nulls[ARG_SET_BY] = ' ';
	SPI_connect();
	SPI_execute_with_args("SELECT churn.write_policy(ROW($1, $2, $3, $4, $5, $6, $7,"
						  " $8, $9, $10, $11, $12, $13, $14,"
						  " pg_catalog.clock_timestamp())::churn.policies)",
						  lengthof(types), types, values, nulls, false, 0);
	SPI_finish();
	churn_role_restore(saved);
}

/*
 * churn_set_policy(model text, action text, schedule interval,
 *					drift_alpha float8, drift_psi float8, drift_segment text,
 *					quality_metric text, quality_drop float8, max_age interval,
 *					min_rows bigint, algorithm text, retention interval,
 *					enabled boolean)
 */
Datum
churn_set_policy(PG_FUNCTION_ARGS)
{
	ChurnModelRow *model = own_model(fcinfo);

	check_source(model, PG_ARGISNULL(ARG_ACTION) ? NULL :
				 text_to_cstring(PG_GETARG_TEXT_PP(ARG_ACTION)));
	if (!PG_ARGISNULL(ARG_DRIFT_SEGMENT))
		check_segment(model,
					  text_to_cstring(PG_GETARG_TEXT_PP(ARG_DRIFT_SEGMENT)));
	write_policy(fcinfo, model);
	PG_RETURN_VOID();
}

/*
 * churn_drop_policy(model text)
 */
Datum
churn_drop_policy(PG_FUNCTION_ARGS)
{
	Oid			types[] = {TEXTOID};
	ChurnModelRow *model = own_model(fcinfo);
	Datum		values[] = {CStringGetTextDatum(model->name)};
	ChurnRole	saved = churn_role_become_owner();

	SPI_connect();
	SPI_execute_with_args("DELETE FROM churn.policies WHERE model = $1",
						  1, types, values, NULL, false, 0);
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("model \"%s\" has no policy", model->name),
				 errhint("The table churn.policies lists the policies.")));
	SPI_finish();
	churn_role_restore(saved);
	PG_RETURN_VOID();
}
