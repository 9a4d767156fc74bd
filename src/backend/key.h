/*
 * key.h
 *		Keys of customers as text, by whose hash rows are split.
 */
#ifndef CHURN_KEY_H
#define CHURN_KEY_H

#include "access/tupdesc.h"
#include "fmgr.h"

/* The longest text of an integer, a date or a time, with its end. */
#define CHURN_KEY_BUFFER	256

/* How to read keys of one column. */
typedef struct ChurnKey
{
	const char *name;			/* of the column */
	Oid			type;			/* base type */
	FmgrInfo	output;
} ChurnKey;

/* Prepares to read keys, with memory of the current context. */
extern void churn_key_init(ChurnKey *key, Form_pg_attribute column);

/*
 * The text of a key that is not NULL, in UTF-8, not terminated, at most
 * CHURN_TEXT_MAX bytes; longer ones are an error.  It is in buffer, in the
 * value, or in the current memory context.
 */
extern const char *churn_key_text(ChurnKey *key, Datum value, char *buffer,
								  size_t *length);

#endif							/* CHURN_KEY_H */
