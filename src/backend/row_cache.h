/*
 * row_cache.h
 *		Where rows of a table were seen last, by a hash of their key; and the
 *		buffers of its blocks.
 */
#ifndef CHURN_ROW_CACHE_H
#define CHURN_ROW_CACHE_H

#include "storage/buf.h"
#include "storage/itemptr.h"

/*
 * It only guesses: whoever asks has to see whether the row is there and is the
 * right one.  So nothing has to be kept up to date.
 */
typedef struct ChurnRowCache ChurnRowCache;

extern ChurnRowCache *churn_row_cache_create(MemoryContext context);

/* Has the processor fetch what the next function will look at. */
extern void churn_row_cache_prefetch(const ChurnRowCache *cache, uint64 hash);

/* Where the row may be; false if nothing is known. */
extern bool churn_row_cache_find(const ChurnRowCache *cache, uint64 hash,
								 ItemPointer tid);

/* Notes where it is. */
extern void churn_row_cache_note(ChurnRowCache *cache, uint64 hash,
								 ItemPointer tid);

/* The buffer where a block was seen last, or InvalidBuffer; and notes it. */
extern Buffer churn_row_cache_buffer(const ChurnRowCache *cache,
									 BlockNumber block);
extern void churn_row_cache_note_buffer(ChurnRowCache *cache,
										BlockNumber block, Buffer buffer);

#endif							/* CHURN_ROW_CACHE_H */
