/*
 * arena_counting.h
 *		An arena that passes requests on and adds up their sizes.
 */
#ifndef CHURN_ARENA_COUNTING_H
#define CHURN_ARENA_COUNTING_H

#include "churn/arena.h"

/* Made as {{churn_counting_alloc, &itself, share}, target, 0}; stays in place. */
typedef struct ChurnCountingArena
{
	ChurnArena	arena;
	ChurnArena *target;
	size_t		size;
} ChurnCountingArena;

static inline void *
churn_counting_alloc(void *context, size_t size)
{
	ChurnCountingArena *counting = context;

	counting->size += size;
	return counting->target->alloc(counting->target->context, size);
}

#endif							/* CHURN_ARENA_COUNTING_H */
