/*
 * document_internal.h
 *		What the readers and writers of documents share.
 */
#ifndef CHURN_DOCUMENT_INTERNAL_H
#define CHURN_DOCUMENT_INTERNAL_H

#include "churn/document.h"

/* Values nested deeper than this are refused, which bounds the recursion. */
#define CHURN_DOCUMENT_DEPTH	100

/* Integers that one value each stands for in a whole document. */
#define CHURN_SHARED_FIRST		(-128)
#define CHURN_SHARED_LAST		255

/*
 * A document that is being read.  Values come from slabs, since one of them is
 * small; those that a document repeats most are made once and shared, as
 * nobody changes a scalar.  Members and elements gather on a stack until their
 * container ends and their number is known.
 */
typedef struct ChurnReader
{
	ChurnArena *arena;
	ChurnError *error;
	ChurnValue *slab;
	size_t		nslab;			/* values left in slab */
	size_t		slab_size;		/* of the next one */
	char	   *pool;			/* room for the next strings */
	size_t		npool;
	ChurnValue *shared;			/* integers FIRST..LAST, or NULL so far */
	ChurnValue *null;
	ChurnValue *booleans[2];
	void	  **stack;
	size_t		nstack;
	size_t		stack_size;
} ChurnReader;

extern void churn_input_init(ChurnReader *reader, ChurnArena *arena,
							 ChurnError *error);
extern ChurnValue *churn_input_value(ChurnReader *reader,
									 ChurnValueKind kind);

/* Returns length + 1 zeroed bytes, unaligned. */
extern char *churn_input_text(ChurnReader *reader, size_t length);
extern ChurnValue *churn_input_null(ChurnReader *reader);
extern ChurnValue *churn_input_boolean(ChurnReader *reader, bool boolean);
extern ChurnValue *churn_input_integer(ChurnReader *reader, int64_t integer);

/* Push an element, or a member's name and then its value. */
extern bool churn_input_push(ChurnReader *reader, const void *pointer);

/* Make a container of what was pushed since the stack's height was base. */
extern ChurnValue *churn_input_array(ChurnReader *reader, size_t base);
extern ChurnValue *churn_input_object(ChurnReader *reader, size_t base);

/* Bytes that are being written. */
typedef struct ChurnBuffer
{
	ChurnArena *arena;
	ChurnError *error;
	uint8_t    *bytes;
	size_t		length;
	size_t		size;
} ChurnBuffer;

/* Makes room for n more bytes and returns where they go; NULL on failure. */
extern uint8_t *churn_buffer_reserve(ChurnBuffer *buffer, size_t n);
extern bool churn_buffer_append(ChurnBuffer *buffer, const void *bytes,
								size_t n);

#endif							/* CHURN_DOCUMENT_INTERNAL_H */
