/*
 * watch.c
 *		churn_watch(), churn_unwatch(), churn_add_alert_rule(), and whether a
 *		version can score what is watched.
 *
 * They only write rows.  The worker learns of them from the stream, like of any
 * change; for the first watch of a database the launcher is told at commit.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "replication/slot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "compat.h"
#include "features.h"
#include "registry.h"
#include "rescore.h"
#include "role.h"
#include "source.h"
#include "stream_alerts.h"
#include "stream_shared.h"
#include "stream_watch.h"
#include "watch_table.h"

#define LONGEST_COOLDOWN	36500	/* days */

PG_FUNCTION_INFO_V1(churn_watch);
PG_FUNCTION_INFO_V1(churn_unwatch);
PG_FUNCTION_INFO_V1(churn_add_alert_rule);
PG_FUNCTION_INFO_V1(churn_require_fit);

/*
 * Whether this is a template database.
 */
static bool
is_template(void)
{
	HeapTuple	tuple = SearchSysCache1(DATABASEOID,
										ObjectIdGetDatum(MyDatabaseId));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for database %u", MyDatabaseId);
	result = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
	ReleaseSysCache(tuple);
	return result;
}

/*
 * Complains unless the server can stream.
 */
static void
check_server(void)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("tables cannot be watched on a standby"),
				 errhint("Call churn_watch() on the primary server.")));
	if (!churn_stream_available())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("churn is not in shared_preload_libraries"),
				 errhint("Add it there and restart the server: live rescoring needs a background worker.")));
	if (wal_level < WAL_LEVEL_LOGICAL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("live rescoring needs wal_level = logical"),
				 errhint("Set it in postgresql.conf and restart the server.")));
	if (max_replication_slots == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("live rescoring needs a replication slot, but max_replication_slots is 0"),
				 errhint("Raise it in postgresql.conf and restart the server.")));
	if (is_template())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("tables of a template database cannot be watched"),
				 errhint("A worker in it would be in the way of CREATE DATABASE.")));
}

/*
 * Complains of a model whose customers could not be told apart or read.
 */
static void
check_model_source(const ChurnModelRow *model)
{
	if (model->key == NULL || model->source_query == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("model \"%s\" has no %s", model->name,
						model->source_query == NULL ? "source" : "key"),
				 errhint("Train or import a version with source and key given.")));
}

/*
 * Opens the relation to be watched, by the name given or the model's source.
 */
static Relation
open_watched(const ChurnModelRow *model, const char *name)
{
	const char *wanted = name != NULL ? name : model->source_relation;
	List	   *names;
	Oid			relid;
	Relation	relation;
	char		kind;

	if (wanted == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the source of model \"%s\" is a query", model->name),
				 errhint("Name each table that it depends on, and its column that identifies the customer: churn_watch(model, table, key => column)")));
	names = textToQualifiedNameList(cstring_to_text(wanted));
	/* decoding passes by row security and privileges of columns */
	relid = RangeVarGetRelidExtended(makeRangeVarFromNameList(names),
									 ShareUpdateExclusiveLock, 0,
									 RangeVarCallbackOwnsRelation, NULL);
	relation = relation_open(relid, NoLock);
	kind = relation->rd_rel->relkind;
	if (kind == RELKIND_VIEW || kind == RELKIND_MATVIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a view, which has no changes of its own",
						RelationGetRelationName(relation)),
				 errhint("Name each table that it depends on, and its column that identifies the customer: churn_watch(model, table, key => column)")));
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table",
						RelationGetRelationName(relation))));
	return relation;
}

/*
 * Writes the watch.
 */
static void
write_watch(const ChurnModelRow *model, const char *relation, const char *key,
			bool related, bool deletes, int reasons)
{
	Oid			types[] = {TEXTOID, TEXTOID, TEXTOID, BOOLOID, BOOLOID, INT4OID,
	NAMEOID, TEXTOID};
	Datum		values[8];
	const char *user = GetUserNameFromId(GetUserId(), false);
	ChurnRole	saved = churn_role_become_owner();

	values[0] = CStringGetTextDatum(model->name);
	values[1] = CStringGetTextDatum(relation);
	values[2] = CStringGetTextDatum(key);
	values[3] = BoolGetDatum(related);
	values[4] = BoolGetDatum(deletes);
	values[5] = Int32GetDatum(reasons);
	values[6] = DirectFunctionCall1(namein, CStringGetDatum(user));
	values[7] = CStringGetTextDatum(churn_stream_home());
	SPI_connect();
	/* from now on the worker alone writes predictions */
	churn_rescore_lock(model->name);
	SPI_execute_with_args("INSERT INTO churn.watches (model, relation, key, related,"
						  " deletes, reasons, watched_by, home)"
						  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
						  " ON CONFLICT (model, relation) DO UPDATE SET key = $3,"
						  " related = $4, deletes = $5, reasons = $6, watched_by = $7,"
						  " home = $8, created_at = pg_catalog.clock_timestamp()",
						  lengthof(types), types, values, NULL, false, 0);
	SPI_execute_with_args("INSERT INTO churn.rescans AS r (model, pending)"
						  " VALUES ($1, 'churn_watch()') ON CONFLICT (model)"
						  " DO UPDATE SET pending = 'churn_watch()',"
						  " requests = r.requests + 1",
						  1, types, values, NULL, false, 0);
	SPI_finish();
	churn_role_restore(saved);
}

/*
 * Complains of a cool-down that cannot be counted back from now.
 */
static void
check_cooldown(const Interval *cooldown)
{
	double		days = cooldown->month * (double) DAYS_PER_MONTH +
	cooldown->day + cooldown->time / (double) USECS_PER_DAY;

	if (days < 0 || days > LONGEST_COOLDOWN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cooldown must be between 0 and %d days",
						LONGEST_COOLDOWN)));
	/* so must be what it is made of */
	(void) DirectFunctionCall2(timestamptz_mi_interval,
							   TimestampTzGetDatum(GetCurrentTimestamp()),
							   IntervalPGetDatum(cooldown));
}

/*
 * Whether equal keys of two columns have the same text.
 */
static bool
same_texts(Form_pg_attribute one, Form_pg_attribute other)
{
	Oid			a = getBaseType(one->atttypid);
	Oid			b = getBaseType(other->atttypid);

#define IS_INTEGER(type) \
	((type) == INT2OID || (type) == INT4OID || (type) == INT8OID)
#define IS_TEXT(type) ((type) == TEXTOID || (type) == VARCHAROID)
	if (IS_INTEGER(a) || IS_TEXT(a))
		return IS_INTEGER(a) ? IS_INTEGER(b) : IS_TEXT(b);
	return a == b && one->atttypmod == other->atttypmod;
}

/*
 * The type of a column, for a message.
 */
static char *
type_name(Form_pg_attribute column)
{
	return format_type_with_typemod(column->atttypid, column->atttypmod);
}

/*
 * Complains of a related table whose keys would not be found in the model's
 * source, since they have other texts there.
 */
static void
check_related_key(const ChurnModelRow *model, Relation relation,
				  const char *key)
{
	TupleDesc	desc = RelationGetDescr(relation);
	Form_pg_attribute ours = TupleDescAttr(desc, churn_find_column(desc, key));
	ChurnRole	saved;
	Form_pg_attribute theirs;
	TupleDesc	source;
	int			column;

	SPI_connect();
	saved = churn_role_become(get_role_oid(model->owner, false));
	source = churn_source_columns(model->source_query);
	column = churn_find_column(source, model->key);
	theirs = column >= 0 ? TupleDescAttr(source, column) : ours;
	if (!same_texts(ours, theirs))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("key column \"%s\" of %s is of type %s, but the key of model \"%s\" of type %s",
						key, churn_relation_name(relation), type_name(ours),
						model->name, type_name(theirs)),
				 errhint("Give both columns the same type.")));
	churn_role_restore(saved);
	SPI_finish();
}

/*
 * churn_watch(model text, relation text, key text, allow_deletes boolean,
 *			   reasons int)
 */
Datum
churn_watch(PG_FUNCTION_ARGS)
{
	ChurnModelRow *model;
	Relation	relation;
	char	   *name;
	const char *key;
	const char *qualified;
	bool		deletes = PG_ARGISNULL(3) || PG_GETARG_BOOL(3);
	int			reasons = PG_ARGISNULL(4) ? 0 : PG_GETARG_INT32(4);
	bool		related;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("model must not be null")));
	if (reasons < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("reasons is %d, but must be at least 0", reasons)));
	check_server();
	model = churn_registry_model(text_to_cstring(PG_GETARG_TEXT_PP(0)),
								 GetActiveSnapshot(), false);
	churn_role_check_owner(model);
	check_model_source(model);
	name = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	relation = open_watched(model, name);
	qualified = churn_relation_name(relation);
	related = model->source_relation == NULL ||
		strcmp(model->source_relation, qualified) != 0;
	key = PG_ARGISNULL(2) ? model->key :
		text_to_cstring(PG_GETARG_TEXT_PP(2));
	if (!related && strcmp(key, model->key) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the key of model \"%s\" is \"%s\", not \"%s\"",
						model->name, model->key, key),
				 errhint("Leave out key to watch the model's own source.")));
	churn_watch_table_check(relation, key, deletes);
	if (related)
		check_related_key(model, relation, key);
	write_watch(model, qualified, key, related, deletes, reasons);
	relation_close(relation, NoLock);
	churn_stream_probe_at_commit();
	PG_RETURN_VOID();
}

/*
 * The name of a table as churn.watches has it, for a name as one would write
 * it; the same again if there is no such table.
 */
static Datum
recorded_name(text *given)
{
	RangeVar   *name = makeRangeVarFromNameList(textToQualifiedNameList(given));
	Oid			relid = RangeVarGetRelid(name, NoLock, true);
	char	   *schema;

	if (!OidIsValid(relid))
		return PointerGetDatum(given);
	schema = get_namespace_name(get_rel_namespace(relid));
	return CStringGetTextDatum(churn_qualified_name(schema,
													get_rel_name(relid)));
}

/*
 * churn_unwatch(model text, relation text) -> int
 */
Datum
churn_unwatch(PG_FUNCTION_ARGS)
{
	Oid			types[] = {TEXTOID, TEXTOID};
	Datum		values[2];
	char		nulls[2] = {' ', ' '};
	ChurnModelRow *model;
	ChurnRole	saved;
	int			count;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("model must not be null")));
	model = churn_registry_model(text_to_cstring(PG_GETARG_TEXT_PP(0)),
								 GetActiveSnapshot(), false);
	churn_role_check_owner(model);
	values[0] = CStringGetTextDatum(model->name);
	nulls[1] = PG_ARGISNULL(1) ? 'n' : ' ';
	values[1] = PG_ARGISNULL(1) ? (Datum) 0 :
		recorded_name(PG_GETARG_TEXT_PP(1));
	SPI_connect();
	saved = churn_role_become_owner();
	SPI_execute_with_args("DELETE FROM churn.watches WHERE model = $1"
						  " AND ($2 IS NULL OR relation = $2)",
						  2, types, values, nulls, false, 0);
	count = (int) SPI_processed;
	SPI_execute_with_args("DELETE FROM churn.rescans r WHERE model = $1 AND NOT EXISTS"
						  " (SELECT FROM churn.watches w WHERE w.model = r.model)",
						  1, types, values, NULL, false, 0);
	churn_role_restore(saved);
	SPI_finish();
	if (count == 0)
		ereport(NOTICE,
				(errmsg("model \"%s\" has no such watch", model->name),
				 errhint("The table churn.watches lists them.")));
	PG_RETURN_INT32(count);
}

/*
 * churn_add_alert_rule(model text, condition text, cooldown interval,
 *						name text) -> int
 */
Datum
churn_add_alert_rule(PG_FUNCTION_ARGS)
{
	Oid			types[] = {TEXTOID, TEXTOID, INTERVALOID, TEXTOID, NAMEOID};
	Datum		values[5];
	ChurnModelRow *model;
	ChurnRole	saved;
	Interval   *cooldown;
	char	   *condition;
	char	   *name;
	const char *user = GetUserNameFromId(GetUserId(), false);
	Datum		rule_id;
	bool		isnull;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("model and condition must not be null")));
	cooldown = PG_ARGISNULL(2) ? palloc0(sizeof(Interval)) :
		PG_GETARG_INTERVAL_P(2);
	check_cooldown(cooldown);
	model = churn_registry_model(text_to_cstring(PG_GETARG_TEXT_PP(0)),
								 GetActiveSnapshot(), false);
	churn_role_check_owner(model);
	check_model_source(model);
	condition = text_to_cstring(PG_GETARG_TEXT_PP(1));
	name = PG_ARGISNULL(3) ? condition : text_to_cstring(PG_GETARG_TEXT_PP(3));
	SPI_connect();
	saved = churn_role_become(get_role_oid(model->owner, false));
	churn_alert_check(condition, churn_source_columns(model->source_query));
	churn_role_restore(saved);
	saved = churn_role_become_owner();
	values[0] = CStringGetTextDatum(model->name);
	values[1] = CStringGetTextDatum(condition);
	values[2] = IntervalPGetDatum(cooldown);
	values[3] = CStringGetTextDatum(name);
	values[4] = DirectFunctionCall1(namein, CStringGetDatum(user));
	SPI_execute_with_args("INSERT INTO churn.alert_rules"
						  " (model, condition, cooldown, name, created_by)"
						  " VALUES ($1, $2, $3, $4, $5)"
						  " ON CONFLICT (model, name) DO NOTHING RETURNING rule_id",
						  lengthof(types), types, values, NULL, false, 0);
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("model \"%s\" already has an alert rule \"%s\"",
						model->name, name),
				 errhint("Choose another name, or drop that rule by churn_drop_alert_rule() first.")));
	rule_id = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
							&isnull);
	churn_role_restore(saved);
	SPI_finish();
	PG_RETURN_DATUM(rule_id);
}

/*
 * churn_require_fit(model_name text, wanted int): complains unless the version
 * can score rows of the model's source.
 */
Datum
churn_require_fit(PG_FUNCTION_ARGS)
{
	ChurnModelRow *model;
	ChurnVersion *version;
	ChurnRole	saved;

	model = churn_registry_model(text_to_cstring(PG_GETARG_TEXT_PP(0)),
								 GetActiveSnapshot(), false);
	if (model->source_query == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("model \"%s\" has no source", model->name),
				 errhint("Train or import a version with source and key given.")));
	version = churn_registry_resolve(model->name, PG_GETARG_INT32(1),
									 InvalidOid, GetActiveSnapshot(),
									 CurrentMemoryContext);
	SPI_connect();
	saved = churn_role_become(get_role_oid(model->owner, false));
	(void) churn_row_map(version->model, version->name,
						 churn_source_columns(model->source_query),
						 CurrentMemoryContext);
	churn_role_restore(saved);
	SPI_finish();
	PG_RETURN_VOID();
}
