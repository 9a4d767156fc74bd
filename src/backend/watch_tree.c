/*
 * watch_tree.c
 *		Which tables a stream worker watches.
 *
 * Rows come and go with whole tables, too: a partition is attached, a table
 * dropped and made again, another one renamed to its name.  That is no change
 * of a row and not in the stream.  So the tables are compared with those of
 * the last rescan, and if they are others there is another one.
 */
#include "postgres.h"

#include "catalog/pg_inherits.h"
#include "lib/stringinfo.h"
#include "storage/lockdefs.h"

#include "compat.h"
#include "stream_watch.h"

/*
 * The watched tables of a model and all below them, in the order of OIDs.
 */
static List *
tables_of(const ChurnWatchSet *set, const ChurnWatchedModel *model)
{
	List	   *tables = NIL;
	ListCell   *cell;

	foreach(cell, set->watches)
	{
		const ChurnWatch *watch = lfirst(cell);

		if (watch->model == model && OidIsValid(watch->relid))
			tables = list_concat_unique_oid(tables,
											find_all_inheritors(watch->relid,
																NoLock, NULL));
	}
	list_sort(tables, list_oid_cmp);
	return tables;
}

/*
 * Finds the tables of a set and of its models; see stream_watch.h.
 */
void
churn_watch_set_find_tables(ChurnWatchSet *set)
{
	MemoryContext old = MemoryContextSwitchTo(set->context);
	ListCell   *cell;
	ListCell   *other;

	foreach(cell, set->models)
	{
		ChurnWatchedModel *model = lfirst(cell);
		List	   *tables = tables_of(set, model);
		StringInfoData text;

		initStringInfo(&text);
		foreach(other, tables)
			appendStringInfo(&text, "%c%u", text.len == 0 ? '{' : ',',
							 lfirst_oid(other));
		appendStringInfoString(&text, text.len == 0 ? "{}" : "}");
		model->tables = text.data;

		set->tables = list_concat_unique_oid(set->tables, tables);
	}
	set->lost = false;
	foreach(cell, set->watches)
		set->lost |= !OidIsValid(((ChurnWatch *) lfirst(cell))->relid);
	MemoryContextSwitchTo(old);
}
