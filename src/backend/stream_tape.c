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

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "stream_shared.h"
#include "stream_tape.h"

/* Bytes of the buffer when it is made; and commits of which there is room. */
#define FIRST_SIZE		65536
#define FIRST_COMMITS	256

/* Bytes that are written to the file, or read of it, at once. */
#define PIECE			((Size) 256 * 1024)

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
 * Moves the buffer's changes to the file.  In pieces that are large, since the
 * system writes and reads these at less than half the cost of a page each.
 */
static void
spill(ChurnTape *tape)
{
	Size		done = 0;

	if (tape->file == 0)
		tape->file = OpenTemporaryFile(true);
	while (done < tape->used)
	{
		int			piece = (int) Min(tape->used - done, PIECE);
		int			written;

		CHECK_FOR_INTERRUPTS();
		errno = 0;
		written = (int) FileWrite(tape->file, tape->buffer + done, piece,
								  tape->file_size,
								  WAIT_EVENT_BUFFILE_WRITE);
		if (written != piece)
		{
			if (errno == 0)
				errno = ENOSPC;
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not write to the temporary file of changes: %m")));
		}
		done += piece;
		tape->file_size += piece;
	}
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
	tape->file_read = 0;
	tape->scratch_used = 0;
	tape->scratch_read = 0;
}

/*
 * The next bytes of the file, so many of them, in the scratch; they are not
 * passed yet.
 */
static char *
look_at_file(ChurnTape *tape, Size length)
{
	Size		rest = tape->scratch_used - tape->scratch_read;
	int			got;

	if (rest >= length)
		return tape->scratch + tape->scratch_read;
	if (length > tape->scratch_size)
	{
		tape->scratch_size = Max(length, PIECE);
		tape->scratch = tape->scratch == NULL ?
			MemoryContextAllocHuge(tape->context, tape->scratch_size) :
			repalloc_huge(tape->scratch, tape->scratch_size);
	}
	memmove(tape->scratch, tape->scratch + tape->scratch_read, rest);
	tape->scratch_read = 0;
	tape->scratch_used = rest;
	while (tape->scratch_used < length)
	{
		errno = 0;
		got = (int) FileRead(tape->file, tape->scratch + tape->scratch_used,
							 (int) Min(tape->scratch_size - tape->scratch_used,
									   PIECE),
							 tape->file_read, WAIT_EVENT_BUFFILE_READ);
		if (got <= 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not read the temporary file of changes: %m")));
		tape->scratch_used += got;
		tape->file_read += got;
	}
	return tape->scratch;
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
		memcpy(&entry, look_at_file(tape, sizeof(entry)), sizeof(entry));
		length = sizeof(entry) + MAXALIGN(entry.key_length) +
			MAXALIGN(entry.tuple_length);
		rest = look_at_file(tape, length) + sizeof(entry);
		tape->scratch_read += length;
		tape->in_file--;
	}
	else if (tape->read < tape->used)
	{
		memcpy(&entry, tape->buffer + tape->read, sizeof(entry));
		rest = tape->buffer + tape->read + sizeof(entry);
		tape->read += sizeof(entry) + MAXALIGN(entry.key_length) +
			MAXALIGN(entry.tuple_length);
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
	if (tape->file != 0)
		FileClose(tape->file);
	tape->file = 0;
	tape->file_size = 0;
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
	tape->scratch_used = 0;
	tape->scratch_read = 0;
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
