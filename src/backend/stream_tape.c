/*
 * stream_tape.c
 *		Changes between decoding and scoring.
 *
 * A transaction may have changed more customers than fit into memory, and all
 * of its changes come before any can be written.  What does not fit
 * into churn.batch_memory goes to a temporary file, which outlives the
 * transactions in which changes are decoded.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "compat.h"
#include "stream_shared.h"
#include "stream_tape.h"

/* Bytes of the buffer when it is made; and commits of which there is room. */
#define FIRST_SIZE		65536
#define FIRST_COMMITS	256

/* A change as it is on the tape; its key and tuple follow. */
typedef struct TapeEntry
{
	ChurnReading *reading;
	uint32		key_length;
	uint32		tuple_length;
	ChurnAction action;
} TapeEntry;

/*
 * Makes an empty tape.
 */
ChurnTape *
churn_tape_create(MemoryContext context)
{
	ChurnTape  *tape = MemoryContextAllocZero(context, sizeof(ChurnTape));

	tape->context = context;
	tape->size = FIRST_SIZE;
	tape->buffer = MemoryContextAlloc(context, tape->size);
	tape->commits_room = FIRST_COMMITS;
	tape->commits = MemoryContextAlloc(context, sizeof(ChurnTapeCommit) *
									   FIRST_COMMITS);
	return tape;
}

/*
 * Moves the buffer's changes to the file.
 */
static void
spill(ChurnTape *tape)
{
	if (tape->file == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(tape->context);

		tape->file = BufFileCreateTemp(true);
		MemoryContextSwitchTo(old);
	}
	BufFileWrite(tape->file, tape->buffer, tape->used);
	tape->spilled = tape->changes;
	tape->used = 0;
}

/*
 * Makes room for that many bytes more in the buffer.
 */
static void
make_room(ChurnTape *tape, Size length)
{
	Size		limit = Max((Size) churn_batch_memory * 1024, FIRST_SIZE);

	if (tape->used + length <= tape->size)
		return;
	if (tape->used > 0 && tape->used + length > limit)
		spill(tape);
	while (tape->used + length > tape->size)
	{
		tape->size *= 2;
		tape->buffer = repalloc_huge(tape->buffer, tape->size);
	}
}

/*
 * Notes when and where a change committed.
 */
static void
note_commit(ChurnTape *tape, const ChurnChange *change)
{
	ChurnTapeCommit *commit = tape->ncommits > 0 ?
	&tape->commits[tape->ncommits - 1] : NULL;

	if (commit != NULL && commit->lsn == change->lsn &&
		commit->committed == change->committed)
	{
		commit->changes++;
		return;
	}
	if (tape->ncommits == tape->commits_room)
	{
		tape->commits_room *= 2;
		tape->commits = repalloc_huge(tape->commits, sizeof(ChurnTapeCommit) *
									  tape->commits_room);
	}
	commit = &tape->commits[tape->ncommits++];
	commit->lsn = change->lsn;
	commit->committed = change->committed;
	commit->changes = 1;
}

/*
 * Appends a change.
 */
void
churn_tape_put(ChurnTape *tape, const ChurnChange *change)
{
	Size		key_size = MAXALIGN(change->key_length);
	Size		tuple_size = MAXALIGN(change->tuple_length);
	Size		length = sizeof(TapeEntry) + key_size + tuple_size;
	TapeEntry  *entry;
	char	   *place;

	make_room(tape, length);
	entry = (TapeEntry *) (tape->buffer + tape->used);
	entry->reading = change->reading;
	entry->key_length = change->key_length;
	entry->tuple_length = change->tuple_length;
	entry->action = change->action;
	place = (char *) (entry + 1);
	memcpy(place, change->key, change->key_length);
	if (change->tuple_length > 0)
		memcpy(place + key_size, change->tuple, change->tuple_length);
	tape->used += length;
	tape->changes++;
	note_commit(tape, change);
}

/*
 * Begins to read.
 */
void
churn_tape_rewind(ChurnTape *tape)
{
	tape->read = 0;
	tape->in_file = tape->spilled;
	tape->commit = 0;
	tape->commit_read = 0;
	if (tape->file != NULL && BufFileSeek(tape->file, 0, 0L, SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not rewind the temporary file of changes: %m")));
}

/*
 * Reads bytes of the file.
 */
static void
read_file(ChurnTape *tape, void *place, Size length)
{
	if (BufFileRead(tape->file, place, length) != length)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read the temporary file of changes: %m")));
}

/*
 * Tells of a change what its transaction knows.
 */
static void
read_commit(ChurnTape *tape, ChurnChange *change)
{
	if (tape->commit_read == tape->commits[tape->commit].changes)
	{
		tape->commit++;
		tape->commit_read = 0;
	}
	tape->commit_read++;
	change->lsn = tape->commits[tape->commit].lsn;
	change->committed = tape->commits[tape->commit].committed;
}

/*
 * Reads the next change; false at the end.
 */
bool
churn_tape_next(ChurnTape *tape, ChurnChange *change)
{
	TapeEntry	entry;
	char	   *rest;
	Size		length;

	if (tape->in_file > 0)
	{
		read_file(tape, &entry, sizeof(entry));
		length = MAXALIGN(entry.key_length) + MAXALIGN(entry.tuple_length);
		if (length > tape->scratch_size)
		{
			if (tape->scratch != NULL)
				pfree(tape->scratch);
			tape->scratch = NULL;
			tape->scratch = MemoryContextAllocHuge(tape->context, length);
			tape->scratch_size = length;
		}
		read_file(tape, tape->scratch, length);
		rest = tape->scratch;
		tape->in_file--;
	}
	else if (tape->read < tape->used)
	{
		memcpy(&entry, tape->buffer + tape->read, sizeof(entry));
		rest = tape->buffer + tape->read + sizeof(entry);
		length = MAXALIGN(entry.key_length) + MAXALIGN(entry.tuple_length);
		tape->read += sizeof(entry) + length;
	}
	else
		return false;
	read_commit(tape, change);
	change->reading = entry.reading;
	change->action = entry.action;
	change->key_length = entry.key_length;
	change->tuple_length = entry.tuple_length;
	change->key = rest;
	change->tuple = change->tuple_length > 0 ?
		(HeapTupleHeader) (rest + MAXALIGN(entry.key_length)) : NULL;
	return true;
}

/*
 * Forgets all changes, and gives back what only many of them needed.
 */
void
churn_tape_clear(ChurnTape *tape)
{
	if (tape->file != NULL)
		BufFileClose(tape->file);
	tape->file = NULL;
	tape->spilled = 0;
	tape->in_file = 0;
	tape->used = 0;
	tape->read = 0;
	tape->changes = 0;
	tape->ncommits = 0;
	if (tape->scratch != NULL)
		pfree(tape->scratch);
	tape->scratch = NULL;
	tape->scratch_size = 0;
	if (tape->size > 16 * FIRST_SIZE)
	{
		pfree(tape->buffer);
		tape->buffer = NULL;
		tape->size = FIRST_SIZE;
		tape->buffer = MemoryContextAlloc(tape->context, tape->size);
	}
	if (tape->commits_room > 16 * FIRST_COMMITS)
	{
		tape->commits_room = FIRST_COMMITS;
		tape->commits = repalloc(tape->commits, sizeof(ChurnTapeCommit) *
								 FIRST_COMMITS);
	}
}
