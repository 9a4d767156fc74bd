/*
 * churn/arena.h
 *		Memory and errors for code that knows nothing of PostgreSQL.
 *
 * src/common allocates only through a ChurnArena and never frees: whoever
 * made the arena frees all of it at once.  In the extension an arena is a
 * memory context, in the trainer and the tests a list of malloc blocks.
 */
#ifndef CHURN_ARENA_H
#define CHURN_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ChurnArena
{
	/* returns zeroed, 16-byte aligned memory, or NULL when there is none */
	void	   *(*alloc) (void *context, size_t size);
	void	   *context;
} ChurnArena;

typedef enum ChurnErrorCode
{
	CHURN_OK = 0,
	CHURN_ERROR_MEMORY,			/* out of memory */
	CHURN_ERROR_CORRUPT,		/* the bytes are damaged */
	CHURN_ERROR_UNSUPPORTED,	/* well formed, but nothing we can score */
	CHURN_ERROR_LIMIT,			/* beyond a stated limit */
	CHURN_ERROR_INVALID			/* an argument is out of range */
} ChurnErrorCode;

typedef struct ChurnError
{
	ChurnErrorCode code;
	char		message[512];	/* lower case, one line, no period */
} ChurnError;

/*
 * Returns size zeroed bytes, or NULL after filling *error.
 */
extern void *churn_arena_alloc(ChurnArena *arena, size_t size,
							   ChurnError *error);

/*
 * Returns count * size zeroed bytes; an overflow of the product counts as out
 * of memory.
 */
extern void *churn_arena_array(ChurnArena *arena, size_t count, size_t size,
							   ChurnError *error);

/* Returns a terminated copy of length bytes, or NULL after filling *error. */
extern char *churn_arena_string(ChurnArena *arena, const char *bytes,
								size_t length, ChurnError *error);

/* An arena over malloc, for the trainer and the tests. */
extern ChurnArena *churn_arena_create(void);
extern void churn_arena_destroy(ChurnArena *arena);

/* Fills *error and returns false, so that callers write "return churn_fail()". */
extern bool churn_fail(ChurnError *error, ChurnErrorCode code,
					   const char *format,...)
			__attribute__((format(printf, 3, 4)));

#endif							/* CHURN_ARENA_H */
