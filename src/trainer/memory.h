/*
 * memory.h
 *		Memory for bulk data, given back to the system as soon as it is free.
 *
 * Running out of memory is a FAILURE, so that callers need no checks.
 */
#ifndef CHURN_MEMORY_H
#define CHURN_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* Whole pages, zeroed; kept away from malloc, which would hold on to them. */
extern void *churn_pages_alloc(size_t size);
extern void churn_pages_free(void *pages, size_t size);

/* Gives back the end of an allocation; what stays does not move. */
extern void churn_pages_shrink(void *pages, size_t old_size,
							   size_t new_size);

/* malloc() and realloc() of count * size bytes for small things. */
extern void *churn_alloc(size_t count, size_t size);
extern void *churn_realloc(void *memory, size_t count, size_t size);

/* The most memory that was ever resident in this process, in bytes. */
extern uint64_t churn_memory_peak(void);

#endif							/* CHURN_MEMORY_H */
