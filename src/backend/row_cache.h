/*
 * row_cache.h
 *		Where rows of a table were seen last, by a hash of their key.
 */
#ifndef CHURN_ROW_CACHE_H
#define CHURN_ROW_CACHE_H

#include "storage/itemptr.h"

/*
 * It only guesses: whoever asks has to see whether the row is there and is the
 * right one.  So nothing has to be kept up to date.
 */
typedef struct ChurnRowCache ChurnRowCache;

extern ChurnRowCache *churn_row_cache_create(MemoryContext context);

/* Where the row may be; false if nothing is known. */
extern bool churn_row_cache_find(const ChurnRowCache *cache, uint64 hash,
								 ItemPointer tid);

/* Notes where it is. */
extern void churn_row_cache_note(ChurnRowCache *cache, uint64 hash,
								 ItemPointer tid);

#endif							/* CHURN_ROW_CACHE_H */
