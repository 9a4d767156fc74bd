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
	const struct ChurnTableShare *share;	/* NULL: nothing is shared */
} ChurnArena;

/*
 * How large tables, which are the same in all processes that load a model, are
 * shared among them.  A table's kind is a hash of what determines it.  Tables
 * are aligned to 64 bytes and live as long as the arena.
 */
typedef struct ChurnTableShare
{
	void	   *context;

	/* the table that another process has listed, or NULL */
	const void *(*find) (void *context, size_t size, uint64_t kind);

	/* memory in which to make it for others as well, or NULL */
	void	   *(*make) (void *context, size_t size, uint64_t kind);

	/* lists what was made; returns it, or another's, if that was faster */
	const void *(*list) (void *context, void *table);
} ChurnTableShare;

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
