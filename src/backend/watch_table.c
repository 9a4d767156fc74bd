/*
 * watch_table.c
 *		What a table needs to be watched, when that begins and later.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/defrem.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/relcache.h"

#include "attempt.h"
#include "features.h"
#include "source.h"
#include "stream_errors.h"
#include "watch_table.h"

/*
 * Whether deletes and key changes of a table tell the old key.
 */
static bool
tells_old_key(Relation relation, int column)
{
	Bitmapset  *identity;
	bool		tells;

	if (relation->rd_rel->relreplident == REPLICA_IDENTITY_FULL)
		return true;
	identity = RelationGetIndexAttrBitmap(relation,
										  INDEX_ATTR_BITMAP_IDENTITY_KEY);
	tells = bms_is_member(column + 1 - FirstLowInvalidHeapAttributeNumber,
						  identity);
	bms_free(identity);
	return tells;
}

/*
 * The commands that give a table a replica identity with the key: its primary
 * key or, where that is on other columns, a unique index on the key and these.
 */
static char *
identity_commands(Relation table, const char *key)
{
	TupleDesc	desc = RelationGetDescr(table);
	const char *name = churn_relation_name(table);
	Bitmapset  *primary = RelationGetIndexAttrBitmap(table,
													 INDEX_ATTR_BITMAP_PRIMARY_KEY);
	StringInfoData columns;
	const char *index;
	int			i = -1;

	initStringInfo(&columns);
	appendStringInfoString(&columns, quote_identifier(key));
	if (primary == NULL)
		return psprintf("ALTER TABLE %s ADD PRIMARY KEY (%s);", name,
						columns.data);
	if (bms_is_member(churn_find_column(desc, key) + 1 -
					  FirstLowInvalidHeapAttributeNumber, primary))
		return psprintf("ALTER TABLE %s REPLICA IDENTITY DEFAULT;", name);
	while ((i = bms_next_member(primary, i)) >= 0)
	{
		int			column = i + FirstLowInvalidHeapAttributeNumber - 1;
		Form_pg_attribute attribute = TupleDescAttr(desc, column);

		appendStringInfo(&columns, ", %s",
						 quote_identifier(NameStr(attribute->attname)));
	}
	index = quote_identifier(makeObjectName(RelationGetRelationName(table),
											NULL, "churn_key"));
	return psprintf("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL;"
					" CREATE UNIQUE INDEX %s ON %s (%s);"
					" ALTER TABLE %s REPLICA IDENTITY USING INDEX %s;",
					name, quote_identifier(key), index, name, columns.data,
					name, index);
}

/*
 * Complains of a table without the key, or whose deletes would not tell it.
 */
static void
check_table(Relation table, const char *key, bool deletes)
{
	TupleDesc	desc = RelationGetDescr(table);
	int			column = churn_find_column(desc, key);

	if (column < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("key column \"%s\" of %s does not exist", key,
						churn_relation_name(table)),
				 errhint("%s", churn_column_hint(desc, key))));
	if (table->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a foreign table, whose changes are not in the write-ahead log",
						RelationGetRelationName(table)),
				 errhint("Detach it, or score its customers with churn_rescore().")));
	if (table->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is temporary or unlogged, so its changes are not in the write-ahead log",
						RelationGetRelationName(table)),
				 errhint("ALTER TABLE ... SET LOGGED")));
	if (deletes && table->rd_rel->relkind == RELKIND_RELATION &&
		!tells_old_key(table, column))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("deletes from \"%s\" would not tell the key \"%s\"",
						RelationGetRelationName(table), key),
				 errdetail("The column is not in the table's replica identity."),
				 errhint("%s Or call churn_watch() with allow_deletes => false: then only rescans notice deletes.",
						 identity_commands(table, key))));
}

/*
 * Complains of a table that is to be watched, and of those below it; see
 * watch_table.h.
 */
void
churn_watch_table_check(Relation relation, const char *key, bool deletes)
{
	List	   *tables = find_all_inheritors(RelationGetRelid(relation),
											 AccessShareLock, NULL);
	ListCell   *cell;

	foreach(cell, tables)
	{
		Relation	table = relation_open(lfirst_oid(cell), NoLock);

		check_table(table, key, deletes);
		relation_close(table, NoLock);
	}
}

/*
 * The same for a watch in force; for churn_attempt().  Tables that somebody has
 * locked are left for the next time: the worker waits for nobody.
 */
static void
look_at_tables(void *arg)
{
	const ChurnWatch *watch = arg;
	List	   *tables;
	ListCell   *cell;

	if (!OidIsValid(watch->relid) ||
		!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(watch->relid)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("watched table %s does not exist", watch->relation),
				 errhint("Call churn_unwatch(); or give a table that name, and its changes are rescored again.")));
	tables = find_all_inheritors(watch->relid, NoLock, NULL);
	foreach(cell, tables)
	{
		Oid			relid = lfirst_oid(cell);
		Relation	table;

		if (!ConditionalLockRelationOid(relid, AccessShareLock))
			continue;
		table = try_relation_open(relid, NoLock);
		if (table == NULL)
			continue;
		check_table(table, watch->key, watch->deletes);
		relation_close(table, AccessShareLock);
	}
}

/*
 * Reports what is wrong with the tables of watches; see watch_table.h.
 */
void
churn_watch_tables_report(const ChurnWatchSet *set)
{
	ListCell   *cell;

	foreach(cell, set->watches)
	{
		ChurnWatch *watch = lfirst(cell);
		ErrorData  *error = churn_attempt(look_at_tables, watch);

		if (error != NULL &&
			!churn_stream_error_is_known("watch", watch->model->name,
										 watch->relation, error->message))
			churn_stream_error_row("watch", watch->model->name,
								   watch->relation, NULL, InvalidXLogRecPtr,
								   error);
	}
}
