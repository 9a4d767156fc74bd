/*
 * keep.h
 *		Arenas of the trainer, where running out of memory is a FAILURE.
 */
#ifndef CHURN_KEEP_H
#define CHURN_KEEP_H

#include "churn/arena.h"

/* An arena; churn_arena_destroy() frees it. */
extern ChurnArena *churn_keep_create(void);

/* count * size zeroed bytes of an arena. */
extern void *churn_keep(ChurnArena *arena, size_t count, size_t size);

/* A copy of count * size bytes in an arena. */
extern void *churn_keep_copy(ChurnArena *arena, const void *from,
							 size_t count, size_t size);

#endif							/* CHURN_KEEP_H */
