/*
 * arena.c
 *		Memory and errors for code that knows nothing of PostgreSQL.
 *
 * The arena over malloc hands out pieces of blocks that double in size up to
 * a limit; a request larger than a quarter of a block gets a block of its own,
 * so that a big array wastes nothing.  Nothing is freed before the whole is.
 */
#include "churn/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_ALIGNMENT		16
#define ARENA_FIRST_BLOCK	((size_t) 8 * 1024)
#define ARENA_LAST_BLOCK	((size_t) 1024 * 1024)

/* A block's header; its memory follows, aligned. */
typedef struct ArenaBlock
{
	struct ArenaBlock *next;
	size_t		padding;
} ArenaBlock;

_Static_assert(sizeof(ArenaBlock) % ARENA_ALIGNMENT == 0 ||
			   sizeof(void *) < 8, "a block's memory must be aligned");

typedef struct MallocArena
{
	ChurnArena	arena;			/* first, so that the two convert */
	ArenaBlock *blocks;			/* all of them, in no order */
	char	   *free;			/* unused part of the current block */
	size_t		nfree;
	size_t		block_size;		/* of the next shared block */
} MallocArena;

static size_t
round_up(size_t size)
{
	return (size + ARENA_ALIGNMENT - 1) & ~(size_t) (ARENA_ALIGNMENT - 1);
}

/*
 * Takes a zeroed block of room for size bytes into the list.  calloc gives
 * fresh pages from the kernel unwritten, which a memset would touch.
 */
static char *
arena_block(MallocArena *arena, size_t size)
{
	const size_t header = round_up(sizeof(ArenaBlock));
	ArenaBlock *block;

	if (size > SIZE_MAX - header)
		return NULL;
	block = calloc(1, header + size);
	if (block == NULL)
		return NULL;
	block->next = arena->blocks;
	arena->blocks = block;
	return (char *) block + header;
}

/*
 * The alloc function of arenas over malloc.
 */
static void *
arena_malloc(void *context, size_t size)
{
	MallocArena *arena = context;
	char	   *result;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = round_up(size);
	if (size == 0)
		size = ARENA_ALIGNMENT;
	if (size > arena->nfree)
	{
		if (size > arena->block_size / 4)
			return arena_block(arena, size);
		result = arena_block(arena, arena->block_size);
		if (result == NULL)
			return NULL;
		arena->free = result;
		arena->nfree = arena->block_size;
		if (arena->block_size < ARENA_LAST_BLOCK)
			arena->block_size *= 2;
	}
	result = arena->free;
	arena->free += size;
	arena->nfree -= size;
	return result;
}

/*
 * Makes an arena over malloc, or returns NULL when there is no memory even for
 * that.
 */
ChurnArena *
churn_arena_create(void)
{
	MallocArena *arena = calloc(1, sizeof(MallocArena));

	if (arena == NULL)
		return NULL;
	arena->arena.alloc = arena_malloc;
	arena->arena.context = arena;
	arena->block_size = ARENA_FIRST_BLOCK;
	return &arena->arena;
}

/*
 * Frees an arena of churn_arena_create() and all that was allocated in it.
 * NULL is let pass, so that clean-up code need not look.
 */
void
churn_arena_destroy(ChurnArena *arena)
{
	MallocArena *self;
	ArenaBlock *block;

	if (arena == NULL)
		return;
	self = arena->context;
	block = self->blocks;
	while (block != NULL)
	{
		ArenaBlock *next = block->next;

		free(block);
		block = next;
	}
	free(self);
}

/*
 * Allocates zeroed memory.  The message names the size, since an absurd one
 * tells of a damaged input and a modest one of a full machine.
 */
void *
churn_arena_alloc(ChurnArena *arena, size_t size, ChurnError *error)
{
	void	   *result = arena->alloc(arena->context, size);

	if (result == NULL)
		churn_fail(error, CHURN_ERROR_MEMORY,
				   "out of memory while allocating %zu bytes", size);
	return result;
}

/*
 * Allocates zeroed memory for an array.
 */
void *
churn_arena_array(ChurnArena *arena, size_t count, size_t size,
				  ChurnError *error)
{
	if (size != 0 && count > SIZE_MAX / size)
	{
		churn_fail(error, CHURN_ERROR_MEMORY,
				   "out of memory while allocating %zu elements of %zu bytes",
				   count, size);
		return NULL;
	}
	return churn_arena_alloc(arena, count * size, error);
}

/*
 * Copies bytes and terminates them.
 */
char *
churn_arena_string(ChurnArena *arena, const char *bytes, size_t length,
				   ChurnError *error)
{
	char	   *result;

	if (length == SIZE_MAX)
	{
		churn_fail(error, CHURN_ERROR_MEMORY,
				   "out of memory while copying %zu bytes", length);
		return NULL;
	}
	result = churn_arena_alloc(arena, length + 1, error);
	if (result != NULL && length > 0)
		memcpy(result, bytes, length);
	return result;
}

/*
 * Returns the length of the well-formed UTF-8 sequence at p, 0 if there is
 * none.
 */
static size_t
utf8_length(const unsigned char *p)
{
	size_t		n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xC2 || p[0] > 0xF4)
		return 0;
	n = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xC0) != 0x80)
			return 0;
	if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ||
		(p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
		return 0;
	return n;
}

/*
 * Messages quote what untrusted files hold.  Control characters and what is no
 * UTF-8, such as a sequence that was cut, become question marks, so that the
 * message is one line that any client can be sent.
 */
static void
make_printable(char *message)
{
	unsigned char *p = (unsigned char *) message;

	while (*p != '\0')
	{
		size_t		n = utf8_length(p);

		if (n == 0 || *p < 0x20 || *p == 0x7F)
		{
			*p = '?';
			n = 1;
		}
		p += n;
	}
}

/*
 * Fills the error, if the caller wants one, and returns false.  A message that
 * is too long is cut.
 */
bool
churn_fail(ChurnError *error, ChurnErrorCode code, const char *format,...)
{
	va_list		arguments;

	if (error == NULL)
		return false;
	error->code = code;
	va_start(arguments, format);
	vsnprintf(error->message, sizeof(error->message), format, arguments);
	va_end(arguments);
	make_printable(error->message);
	return false;
}
