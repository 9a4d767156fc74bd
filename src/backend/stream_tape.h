/*
 * stream_tape.h
 *		Changes between decoding and scoring, in order; in a temporary file
 *		where they are many.
 */
#ifndef CHURN_STREAM_TAPE_H
#define CHURN_STREAM_TAPE_H

#include "access/htup.h"
#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "storage/fd.h"

#include "stream_watch.h"

/* What a change means for a customer. */
typedef enum ChurnAction
{
	CHURN_ACTION_SCORE,			/* the row as it comes */
	CHURN_ACTION_READ,			/* read the customer again */
	CHURN_ACTION_DELETE,		/* the customer is gone */
	CHURN_ACTION_RESCAN,		/* all customers: the table was truncated */
	CHURN_ACTION_CHECK			/* the customer may be gone: see, no more */
} ChurnAction;

/* A change.  Pointers are good until the next change is read. */
typedef struct ChurnChange
{
	ChurnReading *reading;		/* of the tuple, or of the table it came from */
	ChurnAction action;
	XLogRecPtr	lsn;			/* end of the commit */
	TimestampTz committed;
	uint32		key_length;		/* with its end */
	uint32		tuple_length;	/* 0 if there is none */
	char	   *key;			/* "" if all customers are meant */
	HeapTupleHeader tuple;
} ChurnChange;

/* Changes, one after the other, of the same transaction. */
typedef struct ChurnTapeCommit
{
	XLogRecPtr	lsn;
	TimestampTz committed;
	uint64		changes;
} ChurnTapeCommit;

typedef struct ChurnTape
{
	MemoryContext context;
	char	   *buffer;
	Size		size;
	Size		used;
	Size		read;			/* of the buffer, by churn_tape_next() */
	File		file;			/* what came before the buffer; 0 if nothing
								 * did */
	off_t		file_size;
	uint64		spilled;		/* changes in the file */
	uint64		in_file;		/* of them unread */
	off_t		file_read;		/* up to here it is in the scratch */
	char	   *scratch;		/* a piece of the file */
	Size		scratch_size;
	Size		scratch_used;
	Size		scratch_read;
	uint64		changes;
	ChurnTapeCommit *commits;	/* in order */
	Size		ncommits;
	Size		commits_room;
	Size		commit;			/* of the change that is read next */
	uint64		commit_read;	/* changes of it that have been read */
} ChurnTape;

extern ChurnTape *churn_tape_create(MemoryContext context);
extern void churn_tape_put(ChurnTape *tape, const ChurnChange *change);

/* Begins to read, and reads the next change; false at the end. */
extern void churn_tape_rewind(ChurnTape *tape);
extern bool churn_tape_next(ChurnTape *tape, ChurnChange *change);

/* Forgets all changes. */
extern void churn_tape_clear(ChurnTape *tape);

#endif							/* CHURN_STREAM_TAPE_H */
