/*
 * maintain.c
 *		churn_maintain(): looks after all models that have a policy.
 *
 * The procedure takes one step after another.  A row of churn.maintenance_log
 * that says what is being done is committed before the step, and what the step
 * does is committed along with what became of it: so a step is done or not,
 * whatever ends the server in between, and the next call goes on from there.
 *
 * What there is to do, and how, is SQL, which runs as the registry's owner in a
 * security-restricted operation (churn--1.0.sql, "Maintenance").  This is what
 * SQL could not do: release the lock whatever happens, commit between steps,
 * leave the caller's search_path and rights alone, and go on after an error.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"

#include "attempt.h"
#include "compat.h"
#include "debug_point.h"
#include "registry.h"
#include "role.h"

/* Key of the advisory lock that a call holds: "churn" in ASCII. */
#define MAINTENANCE_LOCK	INT64CONST(0x636875726E)

/* Arguments of churn_train(), which are the last ones of churn.train_as(). */
#define TRAIN_ARGUMENTS		10

/* The steps of a model, or those that concern no model, in one run. */
typedef struct Chain
{
	char	   *model;			/* NULL for the steps that concern none */
	int64		run_id;
} Chain;

/* A step of a chain. */
typedef struct Step
{
	int64		step_id;
	char	   *name;
} Step;

PG_FUNCTION_INFO_V1(churn_maintain);
PG_FUNCTION_INFO_V1(churn_train_as);

/*
 * Executes a statement as the registry's owner, with SPI connected.
 */
static void
execute(const char *statement, int nargs, Oid *types, Datum *values,
		const char *nulls)
{
	ChurnRole	saved = churn_role_become_owner();
	int			code = SPI_execute_with_args(statement, nargs, types, values,
											 nulls, false, 0);

	if (code < 0)
		elog(ERROR, "could not execute \"%s\": %s", statement,
			 SPI_result_code_string(code));
	churn_role_restore(saved);
}

/*
 * A column of a row that was returned, as a string; NULL for NULL.
 */
static char *
result_text(uint64 row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						column);
}

/*
 * A column of a row that was returned, as a number.
 */
static int64
result_number(uint64 row, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row],
									  SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

/*
 * Finds out what is to be done: a list of chains.
 */
static List *
begin_run(const char *model, bool force)
{
	Oid			types[] = {TEXTOID, BOOLOID, NAMEOID};
	char		nulls[] = {model == NULL ? 'n' : ' ', ' ', ' '};
	const char *user = GetUserNameFromId(GetUserId(), false);
	Datum		values[3];
	List	   *chains = NIL;
	uint64		i;

	values[0] = model == NULL ? (Datum) 0 : CStringGetTextDatum(model);
	values[1] = BoolGetDatum(force);
	values[2] = DirectFunctionCall1(namein, CStringGetDatum(user));
	execute("SELECT b.model, b.run_id FROM churn.maintain_begin($1, $2, $3) b",
			lengthof(types), types, values, nulls);
	for (i = 0; i < SPI_processed; i++)
	{
		Chain	   *chain = palloc(sizeof(Chain));

		chain->model = result_text(i, 1);
		chain->run_id = result_number(i, 2);
		chains = lappend(chains, chain);
	}
	SPI_freetuptable(SPI_tuptable);
	return chains;
}

/*
 * Writes down the next step of a chain; false if there is none.
 */
static bool
next_step(const Chain *chain, Step *step)
{
	Oid			types[] = {INT8OID, TEXTOID};
	char		nulls[] = {' ', chain->model == NULL ? 'n' : ' '};
	Datum		values[2];

	values[0] = Int64GetDatum(chain->run_id);
	values[1] = chain->model == NULL ? (Datum) 0 :
		CStringGetTextDatum(chain->model);
	execute("SELECT n.step_id, n.step FROM churn.maintain_next($1, $2) n",
			lengthof(types), types, values, nulls);
	step->step_id = result_number(0, 1);
	step->name = result_text(0, 2);
	SPI_freetuptable(SPI_tuptable);
	return step->name != NULL;
}

/*
 * Does a step; for churn_attempt().
 */
static void
do_step(void *arg)
{
	const Step *step = arg;
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(step->step_id)};

	execute("SELECT churn.maintain_step($1)", 1, types, values, NULL);
	churn_debug_point(psprintf("maintain %s end", step->name));
}

/*
 * Writes down that a step failed, and why.
 */
static void
record_failure(const Step *step, const ErrorData *error)
{
	Oid			types[] = {INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	char		nulls[] = {' ', ' ', ' ', ' ', ' '};
	Datum		values[5] = {0};

	values[0] = Int64GetDatum(step->step_id);
	values[1] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
	values[2] = CStringGetTextDatum(error->message);
	if (error->detail != NULL)
		values[3] = CStringGetTextDatum(error->detail);
	else
		nulls[3] = 'n';
	if (error->hint != NULL)
		values[4] = CStringGetTextDatum(error->hint);
	else
		nulls[4] = 'n';
	execute("SELECT churn.maintain_failed($1, $2, $3, $4, $5)",
			lengthof(types), types, values, nulls);
}

/*
 * Takes all steps that are due, each in its own transaction.
 */
static void
run(const char *model, bool force)
{
	List	   *chains = begin_run(model, force);
	ListCell   *cell;

	SPI_commit();
	foreach(cell, chains)
	{
		Step		step;

		while (next_step(lfirst(cell), &step))
		{
			ErrorData  *error;

			SPI_commit();
			churn_debug_point(psprintf("maintain %s", step.name));
			error = churn_attempt(do_step, &step);
			if (error != NULL)
				record_failure(&step, error);
			SPI_commit();
		}
	}
}

/*
 * Complains unless the procedure may commit.
 */
static void
check_context(FunctionCallInfo fcinfo)
{
	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("churn_maintain() cannot run inside a transaction block"),
				 errdetail("Each of its steps is a transaction of its own."),
				 errhint("CALL it by itself.")));
	PreventCommandDuringRecovery("churn_maintain()");
	PreventCommandIfReadOnly("churn_maintain()");
}

/*
 * churn_maintain(model text, force boolean)
 *
 * Does what the policies call for, one call at a time in a database.
 */
Datum
churn_maintain(PG_FUNCTION_ARGS)
{
	Datum		key = Int64GetDatum(MAINTENANCE_LOCK);
	char	   *model;
	bool		force = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);

	check_context(fcinfo);
	(void) churn_registry_relation("maintenance_log");
	if (!DatumGetBool(DirectFunctionCall1(pg_try_advisory_lock_int8, key)))
	{
		ereport(NOTICE,
				(errmsg("churn_maintain() is running in this database already"),
				 errdetail("Nothing was done.")));
		PG_RETURN_VOID();
	}
	PG_TRY();
	{
		SPI_connect_ext(SPI_OPT_NONATOMIC);
		model = PG_ARGISNULL(0) ? NULL :
			text_to_cstring(PG_GETARG_TEXT_PP(0));
		run(model, force);
		SPI_finish();
	}
	PG_CATCH();
	{
		(void) DirectFunctionCall1(pg_advisory_unlock_int8, key);
		PG_RE_THROW();
	}
	PG_END_TRY();
	(void) DirectFunctionCall1(pg_advisory_unlock_int8, key);
	PG_RETURN_VOID();
}

/*
 * churn.train_as(role name, trainer regprocedure, source text, ...) -> int
 *
 * Calls churn_train() with the arguments that follow as the role, which needs
 * the right to; returns the version.  For the registry's owner alone: the
 * stored source of a model is not to be read with other rights than its
 * owner's.
 */
Datum
churn_train_as(PG_FUNCTION_ARGS)
{
	Oid			types[TRAIN_ARGUMENTS] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID,
	TEXTOID, TEXTOID, TEXTARRAYOID, JSONBOID, JSONBOID, JSONBOID};
	Datum		values[TRAIN_ARGUMENTS];
	char		nulls[TRAIN_ARGUMENTS];
	ChurnRole	saved;
	Datum		version;
	char	   *schema;
	Oid			role;
	bool		isnull;
	int			code;
	int			i;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		elog(ERROR, "role and trainer must not be null");
	role = get_role_oid(NameStr(*PG_GETARG_NAME(0)), false);
	schema = get_namespace_name(get_func_namespace(PG_GETARG_OID(1)));
	if (schema == NULL)
		elog(ERROR, "function %u is gone", PG_GETARG_OID(1));
	for (i = 0; i < TRAIN_ARGUMENTS; i++)
	{
		values[i] = fcinfo->args[i + 2].value;
		nulls[i] = fcinfo->args[i + 2].isnull ? 'n' : ' ';
	}
	SPI_connect();
	saved = churn_role_become(role);
	code = SPI_execute_with_args(psprintf("SELECT t.version FROM %s.churn_train($1, $2,"
										  " $3, $4, $5, $6, $7, $8, $9, $10) t",
										  quote_identifier(schema)),
								 TRAIN_ARGUMENTS, types, values, nulls, false,
								 0);
	if (code != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not call churn_train(): %s",
			 SPI_result_code_string(code));
	version = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
							&isnull);
	churn_role_restore(saved);
	SPI_finish();
	PG_RETURN_DATUM(version);
}
