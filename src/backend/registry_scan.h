/*
 * registry_scan.h
 *		Reading rows of the registry's tables by index, under a snapshot.
 *
 * No SQL is run, so this works in parallel workers, on standbys, and for
 * callers without rights on the tables.
 */
#ifndef CHURN_REGISTRY_SCAN_H
#define CHURN_REGISTRY_SCAN_H

#include "access/genam.h"
#include "utils/rel.h"

/*
 * Opens a table of schema "churn" under AccessShareLock, or complains that
 * there is none.
 */
extern Relation churn_registry_open(const char *name);

/*
 * Begins a scan for text = name in the index's first column and, when version
 * is not 0, int = version in its second.  The columns are attribute numbers.
 */
extern SysScanDesc churn_registry_scan(Relation relation, const char *index,
									   const char *name, int name_column,
									   int version, int version_column,
									   Snapshot snapshot);

/* A column of the relation, by name, so that their order is free. */
extern AttrNumber churn_registry_column(Relation relation, const char *name);
extern Datum churn_registry_value(Relation relation, HeapTuple tuple,
								  const char *name, bool *isnull);

/* A text as a string (NULL for NULL); a bytea, detoasted (NULL: an error). */
extern char *churn_registry_text(Relation relation, HeapTuple tuple,
								 const char *name);
extern bytea *churn_registry_bytea(Relation relation, HeapTuple tuple,
								   const char *name);

#endif							/* CHURN_REGISTRY_SCAN_H */
