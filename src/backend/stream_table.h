/*
 * stream_table.h
 *		Writing rows of our own tables, one after the other.
 */
#ifndef CHURN_STREAM_TABLE_H
#define CHURN_STREAM_TABLE_H

#include "access/genam.h"
#include "executor/executor.h"
#include "utils/snapshot.h"

#include "row_cache.h"

/* A table that is being written.  What it is made of is for
 * stream_table.c and stream_table_find.c. */
typedef struct ChurnTableWriter
{
	MemoryContext context;		/* the current one when it was opened */
	Relation	relation;
	EState	   *estate;
	ResultRelInfo *info;
	EPQState	epq;
	TupleTableSlot *row;		/* what is to be written */
	TupleTableSlot *found;		/* what churn_table_find() found */
	Relation	key;			/* the primary key's index */
	IndexScanDesc scan;			/* NULL until something is looked for */
	SnapshotData dirty;
	BlockNumber nblocks;		/* at least so many has the table */
	ScanKeyData keys[2];
	TupleTableSlot **queue;		/* rows that are inserted together; NULL until
								 * there are any */
	int			nqueued;
} ChurnTableWriter;

/* Opens a table of ours by its OID, in the current memory context. */
extern ChurnTableWriter *churn_table_open(Oid relid);
extern void churn_table_close(ChurnTableWriter *writer);

/* The index of a column in slots' values; an error if there is none. */
extern int	churn_table_column(const ChurnTableWriter *writer,
							   const char *name);

/*
 * Looks a row up by the first two columns of the primary key, both of type
 * text, and leaves it in writer->found.  Sees what this transaction wrote.
 */
extern bool churn_table_find(ChurnTableWriter *writer, Datum first,
							 Datum second);

/*
 * The same, beginning at a place where the row was seen; by the index if it is
 * not there, or if another transaction is about it.
 */
extern bool churn_table_find_at(ChurnTableWriter *writer,
								ChurnRowCache *cache,
								const ItemPointerData * place, Datum first,
								Datum second);

/*
 * Has the processor fetch what the function before will look at: first what
 * tells of the page, then, a few rows later, the row and where the next version
 * of it will be.
 */
extern void churn_table_prefetch(const ChurnRowCache *cache,
								 const ItemPointerData * place, bool row);

/* Begins a row: writer->row with all values NULL. */
extern void churn_table_begin_row(ChurnTableWriter *writer);

/*
 * Inserts writer->row; or puts it in place of the row found; or deletes that.
 * The caller has become the owner of the table.  What is inserted later is
 * copied and there, at the latest, when the table is closed: many rows at once
 * cost a fraction of what they cost one by one.
 */
extern void churn_table_insert(ChurnTableWriter *writer);
extern void churn_table_insert_later(ChurnTableWriter *writer);
extern void churn_table_update(ChurnTableWriter *writer);
extern void churn_table_delete(ChurnTableWriter *writer);

#endif							/* CHURN_STREAM_TABLE_H */
