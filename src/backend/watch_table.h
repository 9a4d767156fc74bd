/*
 * watch_table.h
 *		What a table needs to be watched, when that begins and later.
 */
#ifndef CHURN_WATCH_TABLE_H
#define CHURN_WATCH_TABLE_H

#include "utils/rel.h"

#include "stream_watch.h"

/*
 * Complains of a table, or one below it, that lacks the key or, if that counts,
 * whose deletes would not tell it.
 */
extern void churn_watch_table_check(Relation relation, const char *key,
									bool deletes);

/*
 * Writes what has become wrong with tables that are watched into churn.errors,
 * once.  SPI is connected.
 */
extern void churn_watch_tables_report(const ChurnWatchSet *set);

#endif							/* CHURN_WATCH_TABLE_H */
