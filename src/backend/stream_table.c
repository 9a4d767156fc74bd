/*
 * stream_table.c
 *		Writing rows of our own tables, one after the other.
 *
 * The way core's logical replication applies changes: rows are found by index
 * and written by the executor's functions for single rows, which mind
 * constraints, triggers and indexes.  Statements over arrays, for the same rows,
 * took twice the time: of a batch of a few rows most goes into starting them.
 * Rows that nobody looks up meanwhile are inserted together.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "commands/trigger.h"
#include "nodes/makefuncs.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "features.h"
#include "stream_table.h"

/* Rows that are inserted together: a page of the log takes some 40. */
#define ROWS_AT_ONCE	128

/*
 * Opens a table.
 */
ChurnTableWriter *
churn_table_open(Oid relid)
{
	ChurnTableWriter *writer = palloc0(sizeof(ChurnTableWriter));

	writer->context = CurrentMemoryContext;
	writer->relation = table_open(relid, RowExclusiveLock);
	writer->estate = CreateExecutorState();
	writer->estate->es_snapshot = GetActiveSnapshot();
	writer->estate->es_output_cid = GetCurrentCommandId(true);
	writer->info = makeNode(ResultRelInfo);
	InitResultRelInfo(writer->info, writer->relation, 0, NULL, 0);
	ExecOpenIndices(writer->info, false);
	churn_eval_plan_qual_init(&writer->epq, writer->estate);
	AfterTriggerBeginQuery();
	writer->row = MakeSingleTupleTableSlot(RelationGetDescr(writer->relation),
										   &TTSOpsVirtual);
	writer->found = table_slot_create(writer->relation, NULL);
	return writer;
}

/*
 * Inserts the rows that wait for it.
 */
static void
insert_queue(ChurnTableWriter *writer)
{
	int			i;

	if (writer->nqueued == 0)
		return;
	table_multi_insert(writer->relation, writer->queue, writer->nqueued,
					   writer->estate->es_output_cid, 0, NULL);
	for (i = 0; i < writer->nqueued; i++)
	{
		if (writer->info->ri_NumIndices > 0)
			churn_insert_index_tuples(writer->info, writer->queue[i],
									  writer->estate);
		ResetPerTupleExprContext(writer->estate);
		ExecClearTuple(writer->queue[i]);
	}
	writer->nqueued = 0;
}

/*
 * Closes it; what was written stays locked until the transaction ends.
 */
void
churn_table_close(ChurnTableWriter *writer)
{
	int			i;

	if (writer->queue != NULL)
	{
		insert_queue(writer);
		for (i = 0; i < ROWS_AT_ONCE && writer->queue[i] != NULL; i++)
			ExecDropSingleTupleTableSlot(writer->queue[i]);
	}
	if (writer->scan != NULL)
	{
		index_endscan(writer->scan);
		index_close(writer->key, AccessShareLock);
	}
	ExecDropSingleTupleTableSlot(writer->found);
	ExecDropSingleTupleTableSlot(writer->row);
	AfterTriggerEndQuery(writer->estate);
	EvalPlanQualEnd(&writer->epq);
	ExecCloseIndices(writer->info);
	ExecResetTupleTable(writer->estate->es_tupleTable, false);
	FreeExecutorState(writer->estate);
	table_close(writer->relation, NoLock);
}

/*
 * The index of a column in slots' values.
 */
int
churn_table_column(const ChurnTableWriter *writer, const char *name)
{
	int			column = churn_find_column(RelationGetDescr(writer->relation),
										   name);

	if (column < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of table churn.%s does not exist", name,
						RelationGetRelationName(writer->relation)),
				 errhint("Drop and create the extension churn.")));
	return column;
}

/*
 * Begins a row.
 */
void
churn_table_begin_row(ChurnTableWriter *writer)
{
	TupleTableSlot *row = writer->row;

	ExecClearTuple(row);
	memset(row->tts_isnull, true,
		   sizeof(bool) * row->tts_tupleDescriptor->natts);
	ExecStoreVirtualTuple(row);
	ResetPerTupleExprContext(writer->estate);
}

/*
 * Inserts the row.
 */
void
churn_table_insert(ChurnTableWriter *writer)
{
	ExecSimpleRelationInsert(writer->info, writer->estate, writer->row);
}

/*
 * Inserts the row along with others; see stream_table.h.  Triggers, which see
 * the rows before, and generated columns want them one by one.
 */
void
churn_table_insert_later(ChurnTableWriter *writer)
{
	Relation	relation = writer->relation;
	TupleConstr *constr = RelationGetDescr(relation)->constr;

	if (writer->info->ri_TrigDesc != NULL ||
		(constr != NULL && constr->has_generated_stored))
	{
		churn_table_insert(writer);
		return;
	}
	if (constr != NULL)
		ExecConstraints(writer->info, writer->row, writer->estate);
	if (relation->rd_rel->relispartition)
		ExecPartitionCheck(writer->info, writer->row, writer->estate, true);
	if (writer->queue == NULL)
		writer->queue = MemoryContextAllocZero(writer->context,
											   sizeof(TupleTableSlot *) * ROWS_AT_ONCE);
	if (writer->queue[writer->nqueued] == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(writer->context);

		writer->queue[writer->nqueued] = table_slot_create(relation, NULL);
		MemoryContextSwitchTo(old);
	}
	ExecCopySlot(writer->queue[writer->nqueued++], writer->row);
	if (writer->nqueued == ROWS_AT_ONCE)
		insert_queue(writer);
}

/*
 * Puts the row in place of the one found.
 */
void
churn_table_update(ChurnTableWriter *writer)
{
	ExecSimpleRelationUpdate(writer->info, writer->estate, &writer->epq,
							 writer->found, writer->row);
}

/*
 * Deletes the row found.
 */
void
churn_table_delete(ChurnTableWriter *writer)
{
	ExecSimpleRelationDelete(writer->info, writer->estate, &writer->epq,
							 writer->found);
}
