/*
 * source.h
 *		What churn_train() and others read: a table, a view or a query.
 */
#ifndef CHURN_SOURCE_H
#define CHURN_SOURCE_H

#include "access/tupdesc.h"
#include "executor/spi.h"
#include "nodes/bitmapset.h"
#include "tcop/dest.h"
#include "utils/rel.h"

#include "registry.h"

typedef struct ChurnSource
{
	const char *text;			/* as given */
	Oid			relid;			/* InvalidOid for a query */
	const char *name;			/* of the relation alone; NULL for a query */
	const char *relation;		/* quoted, with its schema; NULL for a query */
	const char *statement;		/* reads it under any search_path */
	TupleDesc	desc;			/* its columns; some may be dropped */
	int			primary_key;	/* index into desc, -1 if none or several */
	bool		composite_key;	/* the primary key has several columns */
	Bitmapset  *identifiers;	/* indexes of columns unique by themselves */
	SPIPlanPtr	query;			/* of a query */
} ChurnSource;

/* The statement that reads the rows. */
typedef struct ChurnSourcePlan
{
	SPIPlanPtr	plan;
	TupleDesc	desc;			/* of the rows it returns */
	double		rows;			/* the planner's estimate */
} ChurnSourcePlan;

/*
 * Finds out what the source is.  To be called, like the next, with SPI
 * connected; what is returned lives in context.
 */
extern ChurnSource *churn_source_open(const char *text,
									  MemoryContext context);

/*
 * Prepares to read the columns with the given indexes into source->desc.  A
 * query returns all its columns anyway.
 */
extern ChurnSourcePlan *churn_source_plan(const ChurnSource *source,
										  const Bitmapset *columns,
										  MemoryContext context);

/* Runs it, with SPI connected, under one snapshot; the rows go to receiver. */
extern void churn_source_read(const ChurnSourcePlan *plan,
							  DestReceiver *receiver);

/*
 * Prepares a statement of ours that reads from the source, with SPI connected;
 * it may run in parallel.  A source that locks rows is an error.
 */
extern SPIPlanPtr churn_source_prepare(const char *statement, int nargs,
									   Oid *types);

/* Index of a column by name; an error that says what it is for if missing. */
extern int	churn_source_column(const ChurnSource *source, const char *name,
								const char *what);

/* Whether a source is the model's own. */
extern bool churn_source_is_own(const ChurnSource *source,
								const ChurnModelRow *row);

/* The columns of a statement's rows, with SPI connected. */
extern TupleDesc churn_source_columns(const char *statement);

/*
 * Makes the first member of a receiver of rows, which are counted and forgotten:
 * nothing is left to do after the last one.
 */
extern void churn_receiver_init(DestReceiver *receiver,
								void (*start) (DestReceiver *self,
											   int operation, TupleDesc desc),
								bool (*receive) (TupleTableSlot *slot,
												 DestReceiver *self));

/* The schema-qualified name of a relation, quoted where need be. */
extern char *churn_relation_name(Relation relation);

/* A hint that names the columns like the one asked for, or all up to a limit. */
extern char *churn_column_hint(TupleDesc desc, const char *name);

#endif							/* CHURN_SOURCE_H */
