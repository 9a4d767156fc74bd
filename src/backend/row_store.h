/*
 * row_store.h
 *		Rows that were read as one role, for statements that run as another.
 */
#ifndef CHURN_ROW_STORE_H
#define CHURN_ROW_STORE_H

#include "access/tupdesc.h"
#include "utils/tuplestore.h"

/*
 * Lets stored rows be read as a relation of that name until SPI_finish(); rows
 * is how many the planner is to expect.
 */
extern void churn_row_store_register(const char *name, TupleDesc desc,
									 Tuplestorestate *store, double rows,
									 MemoryContext context);

#endif							/* CHURN_ROW_STORE_H */
