/*
 * utility_hook.c
 *		Lets commands that need a database for themselves through.
 *
 * DROP DATABASE, even WITH (FORCE), fails where a logical slot is in use;
 * renaming and moving a database, and copying it by CREATE DATABASE, where
 * anybody is connected.  A stream worker must not be what they fail for: it
 * ends before, and comes back afterwards if the database is still there.
 *
 * Only for callers who have the right to do so is the worker ended; all else
 * is for the command itself to find out.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/syscache.h"

#include "compat.h"
#include "stream_control.h"

/* A worker is given so long to end, in milliseconds; then the command fails. */
#define STOP_TIMEOUT	10000

/* What a command is about to do. */
typedef struct ExclusiveUse
{
	const char *name;			/* of the database; NULL for none */
	bool		drops;
	bool		copies;			/* and leaves it in use by its own sessions */
	bool		creates;		/* a name, which takes CREATEDB */
} ExclusiveUse;

static ProcessUtility_hook_type next_hook = NULL;

/*
 * The value of an option of a command, or NULL if it is not given.
 */
static const char *
option_value(List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return NULL;
}

/*
 * Which database a statement needs for itself.
 */
static ExclusiveUse
exclusive_use(Node *statement)
{
	ExclusiveUse use = {NULL, false, false, false};

	if (IsA(statement, DropdbStmt))
	{
		use.name = castNode(DropdbStmt, statement)->dbname;
		use.drops = true;
	}
	else if (IsA(statement, RenameStmt))
	{
		RenameStmt *rename = castNode(RenameStmt, statement);

		if (rename->renameType == OBJECT_DATABASE)
			use.name = rename->subname;
		use.creates = true;
	}
	else if (IsA(statement, AlterDatabaseStmt))
	{
		AlterDatabaseStmt *alter = castNode(AlterDatabaseStmt, statement);

		if (option_value(alter->options, "tablespace") != NULL)
			use.name = alter->dbname;
	}
	else if (IsA(statement, CreatedbStmt))
	{
		use.name = option_value(castNode(CreatedbStmt, statement)->options,
								"template");
		if (use.name == NULL)
			use.name = "template1";
		use.copies = true;
		use.creates = true;
	}
	return use;
}

/*
 * Whether the current role may create databases.
 */
static bool
may_create(void)
{
	HeapTuple	tuple;
	bool		may = false;

	if (superuser())
		return true;
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (HeapTupleIsValid(tuple))
	{
		may = ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
		ReleaseSysCache(tuple);
	}
	return may;
}

/*
 * Whether a database is there for everybody to copy.
 */
static bool
is_template(Oid database)
{
	HeapTuple	tuple = SearchSysCache1(DATABASEOID,
										ObjectIdGetDatum(database));
	bool		result = false;

	if (HeapTupleIsValid(tuple))
	{
		result = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
		ReleaseSysCache(tuple);
	}
	return result;
}

/*
 * The database that a command needs for itself, if the command could get that
 * far; else InvalidOid.
 */
static Oid
database_to_hold(const ExclusiveUse *use)
{
	Oid			database = get_database_oid(use->name, true);

	if (!OidIsValid(database) ||
		(database == MyDatabaseId && !use->copies) ||
		(use->creates && !may_create()) ||
		(!churn_database_ownercheck(database, GetUserId()) &&
		 !(use->copies && is_template(database))))
		return InvalidOid;
	return database;
}

/*
 * Runs a command by the next hook, or the server itself.
 */
static void
run_command(PlannedStmt *statement, const char *text, bool read_only_tree,
			ProcessUtilityContext context, ParamListInfo params,
			QueryEnvironment *environment, DestReceiver *receiver,
			QueryCompletion *completion)
{
	if (next_hook != NULL)
		next_hook(statement, text, read_only_tree, context, params,
				  environment, receiver, completion);
	else
		standard_ProcessUtility(statement, text, read_only_tree, context,
								params, environment, receiver, completion);
}

/*
 * Ends the worker of a database that the command needs for itself, runs the
 * command, and lets the worker come back.
 */
static void
process_utility(PlannedStmt *statement, const char *text, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *environment, DestReceiver *receiver,
				QueryCompletion *completion)
{
	ExclusiveUse use = exclusive_use(statement->utilityStmt);
	Oid			database = InvalidOid;
	volatile bool gone = false;

	/* in a transaction block they fail */
	if (use.name != NULL && churn_stream_available() &&
		!RecoveryInProgress() &&
		!IsInTransactionBlock(context == PROCESS_UTILITY_TOPLEVEL))
		database = database_to_hold(&use);
	if (!OidIsValid(database) || !churn_stream_hold(database))
	{
		run_command(statement, text, read_only_tree, context, params,
					environment, receiver, completion);
		return;
	}
	PG_TRY();
	{
		(void) churn_stream_stop(STOP_TIMEOUT);
		run_command(statement, text, read_only_tree, context, params,
					environment, receiver, completion);
		gone = use.drops;
	}
	PG_FINALLY();
	{
		churn_stream_unhold(gone);
	}
	PG_END_TRY();
}

/*
 * Puts the hook before those that are there.
 */
void
churn_utility_hook_install(void)
{
	next_hook = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}
