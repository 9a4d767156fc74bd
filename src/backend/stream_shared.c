/*
 * stream_shared.c
 *		The memory that the launcher, the stream workers and sessions share.
 *
 * A database has an entry as long as somebody asks for its worker, has it, or
 * keeps it out.  The lock of the memory says which entries there are and who
 * may run; an entry's mutex keeps what its worker reports of one piece.
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "stream_control.h"

#define MEMORY_NAME		"churn stream"

/* After its n-th failure in turn a worker waits for 2^(n-1) s, at most: */
#define BACK_OFF_LIMIT	60

#define FIRST_BUCKET	1e-4	/* seconds */
#define BUCKET_FACTOR	1.25

static shmem_request_hook_type next_request_hook = NULL;
static shmem_startup_hook_type next_startup_hook = NULL;
static ChurnStreamShared *shared = NULL;
static LWLock *lock = NULL;

/*
 * Asks for the memory, before it is made.
 */
static void
request_memory(void)
{
	if (next_request_hook != NULL)
		next_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(ChurnStreamShared)));
	RequestNamedLWLockTranche(MEMORY_NAME, 1);
}

/*
 * Makes the memory; again after a crash of the server, for all is new then.
 */
static void
make_memory(void)
{
	bool		found;
	int			i;

	if (next_startup_hook != NULL)
		next_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct(MEMORY_NAME, sizeof(ChurnStreamShared), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(ChurnStreamShared));
		for (i = 0; i < CHURN_STREAM_DATABASES; i++)
		{
			SpinLockInit(&shared->entries[i].mutex);
			ConditionVariableInit(&shared->entries[i].moved);
		}
	}
	lock = &GetNamedLWLockTranche(MEMORY_NAME)->lock;
	LWLockRelease(AddinShmemInitLock);
}

/*
 * Has the memory made with the server's own; see stream_control.h.
 */
void
churn_stream_request_memory(void)
{
	next_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	next_startup_hook = shmem_startup_hook;
	shmem_startup_hook = make_memory;
}

/*
 * Whether there is shared memory, that is, the library was preloaded.
 */
bool
churn_stream_available(void)
{
	return shared != NULL && IsUnderPostmaster;
}

/*
 * The memory; see stream_control.h.
 */
ChurnStreamShared *
churn_stream_memory(void)
{
	return shared;
}

/*
 * Locks the memory.
 */
void
churn_stream_lock(LWLockMode mode)
{
	LWLockAcquire(lock, mode);
}

/*
 * Unlocks the memory.
 */
void
churn_stream_unlock(void)
{
	LWLockRelease(lock);
}

/*
 * The entry of a database, locked; NULL if there is none.
 */
ChurnStreamEntry *
churn_stream_find(Oid database)
{
	int			i;

	for (i = 0; i < CHURN_STREAM_DATABASES; i++)
	{
		if (shared->entries[i].database == database)
			return &shared->entries[i];
	}
	return NULL;
}

/*
 * The same; makes one if there is none, NULL if there is no room.
 */
ChurnStreamEntry *
churn_stream_find_or_make(Oid database)
{
	ChurnStreamEntry *entry = churn_stream_find(database);

	if (entry == NULL)
	{
		entry = churn_stream_find(InvalidOid);
		if (entry != NULL)
		{
			entry->database = database;
			entry->starts = ++churn_stream_memory()->starts;
		}
	}
	return entry;
}

/*
 * Frees an entry, locked, that has no worker and that nobody holds.  Who waits
 * for it will see that it is not the database's any more.
 */
void
churn_stream_free(ChurnStreamEntry *entry)
{
	Size kept = offsetof(ChurnStreamEntry, database);

	Assert(entry->pid == 0 && entry->held == 0);
	SpinLockAcquire(&entry->mutex);
	memset((char *) entry + kept, 0, sizeof(ChurnStreamEntry) - kept);
	SpinLockRelease(&entry->mutex);
	ConditionVariableBroadcast(&entry->moved);
}

/*
 * Frees an entry, locked, if nobody needs it; returns whether it is free.
 */
bool
churn_stream_free_unneeded(ChurnStreamEntry *entry)
{
	if (entry->pid != 0 || entry->held > 0 || entry->probe || entry->wanted)
		return false;
	churn_stream_free(entry);
	return true;
}

/*
 * Whether another database could get an entry.
 */
bool
churn_stream_has_room(Oid database)
{
	bool		room;

	churn_stream_lock(LW_SHARED);
	room = churn_stream_find(database) != NULL ||
		churn_stream_find(InvalidOid) != NULL;
	churn_stream_unlock();
	return room;
}

/*
 * The error that there is no room for another database.
 */
void
churn_stream_report_no_room(int level)
{
	ereport(level,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("too many databases have watches"),
			 errdetail("At most %d databases of a server can.",
					   CHURN_STREAM_DATABASES),
			 errhint("Call churn_unwatch() in a database that needs none.")));
}

/*
 * The entry of a database; see stream_shared.h.
 */
ChurnStreamEntry *
churn_stream_entry(Oid database, bool make)
{
	ChurnStreamEntry *entry;

	if (!churn_stream_available())
		return NULL;
	churn_stream_lock(make ? LW_EXCLUSIVE : LW_SHARED);
	entry = make ? churn_stream_find_or_make(database) :
		churn_stream_find(database);
	churn_stream_unlock();
	if (entry == NULL && make)
		churn_stream_report_no_room(ERROR);
	return entry;
}

/*
 * Counts an end with an error, locked: the next worker waits twice as long.
 */
void
churn_stream_count_failure(ChurnStreamEntry *entry)
{
	int			seconds;

	SpinLockAcquire(&entry->mutex);
	seconds = Min(1 << Min(entry->failures, 6), BACK_OFF_LIMIT);
	entry->failures++;
	SpinLockRelease(&entry->mutex);
	entry->not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													seconds * 1000);
}

/*
 * Exit callback of a worker: gives the entry back.  An end that was asked for
 * is no failure: the database is held, or there is nothing to watch.  This
 * runs when all callbacks of the server's that release the slot and leave the
 * database have run, and before its process is no more.
 */
static void
give_back(int code, Datum arg)
{
	ChurnStreamEntry *entry = (ChurnStreamEntry *) DatumGetPointer(arg);

	churn_stream_lock(LW_EXCLUSIVE);
	if (entry->pid != MyProcPid)
	{
		churn_stream_unlock();
		return;
	}
	churn_stream_fail_requests(entry);
	SpinLockAcquire(&entry->mutex);
	entry->pid = 0;
	entry->latch = NULL;
	entry->state = CHURN_STREAM_STOPPED;
	SpinLockRelease(&entry->mutex);
	if (entry->retired)
		entry->wanted = false;
	else if (entry->held == 0)
		churn_stream_count_failure(entry);
	churn_stream_free_unneeded(entry);
	churn_stream_unlock();
	ConditionVariableBroadcast(&entry->moved);
	churn_stream_wake_launcher();
}

/*
 * Takes the entry for a worker; see stream_shared.h.  The callback is one of
 * the late ones, registered before those of the connection to a database, so
 * that it runs after them.
 */
ChurnStreamEntry *
churn_stream_take(Oid database)
{
	ChurnStreamEntry *entry = churn_stream_entry(database, true);
	bool		mine;
	TimestampTz now = GetCurrentTimestamp();

	churn_stream_lock(LW_EXCLUSIVE);
	/* it may have been freed meanwhile, and needs to be there to be counted */
	entry = churn_stream_find_or_make(database);
	mine = entry != NULL && entry->held == 0 && entry->pid == 0;
	if (entry != NULL)
		entry->starts = ++churn_stream_memory()->starts;
	if (mine)
	{
		entry->probe = false;
		entry->wanted = true;
		SpinLockAcquire(&entry->mutex);
		entry->pid = MyProcPid;
		entry->latch = MyLatch;
		entry->retired = false;
		entry->started_at = now;
		entry->state = CHURN_STREAM_STARTING;
		entry->applied = InvalidXLogRecPtr;
		entry->watches = 0;
		entry->paused = 0;
		entry->rescans = 0;
		SpinLockRelease(&entry->mutex);
		on_shmem_exit(give_back, PointerGetDatum(entry));
	}
	churn_stream_unlock();
	if (!mine)
		return NULL;
	ConditionVariableBroadcast(&entry->moved);
	return entry;
}

/*
 * The worker ends since there is nothing to watch; see stream_shared.h.
 */
void
churn_stream_retire(ChurnStreamEntry *entry)
{
	SpinLockAcquire(&entry->mutex);
	entry->retired = true;
	SpinLockRelease(&entry->mutex);
}

/*
 * The worker works well: its next failure is the first again.
 */
void
churn_stream_healthy(ChurnStreamEntry *entry)
{
	SpinLockAcquire(&entry->mutex);
	entry->failures = 0;
	SpinLockRelease(&entry->mutex);
}

/*
 * Whether somebody asked for a look at the watches since the last call.
 */
bool
churn_stream_probed(ChurnStreamEntry *entry)
{
	bool		probed;

	churn_stream_lock(LW_EXCLUSIVE);
	probed = entry->probe;
	entry->probe = false;
	churn_stream_unlock();
	return probed;
}

/*
 * Says what a worker does, and tells those who wait for it: the launcher, how
 * many workers are starting.
 */
void
churn_stream_set_state(ChurnStreamEntry *entry, ChurnStreamState state)
{
	ChurnStreamState before;

	SpinLockAcquire(&entry->mutex);
	before = entry->state;
	entry->state = state;
	SpinLockRelease(&entry->mutex);
	if (before == state)
		return;
	ConditionVariableBroadcast(&entry->moved);
	if (before == CHURN_STREAM_STARTING)
		churn_stream_wake_launcher();
}

/*
 * Keeps the message of an error, cut to whole characters.
 */
void
churn_stream_set_error(ChurnStreamEntry *entry, const char *message)
{
	TimestampTz now = GetCurrentTimestamp();
	char kept[	sizeof(entry->error)];

	strlcpy(kept, message, sizeof(kept));
	kept[		pg_mbcliplen(message, strlen(message), sizeof(kept) - 1)] = '\0';

	SpinLockAcquire(&entry->mutex);
	memcpy(entry->error, kept, sizeof(kept));
	entry->error_at = now;
	SpinLockRelease(&entry->mutex);
}

/*
 * Wakes the worker of an entry, if one runs.  A latch belongs to a place for
 * processes that stays; another process in it is woken in vain, no more.
 */
void
churn_stream_wake(ChurnStreamEntry *entry)
{
	Latch	   *latch;

	SpinLockAcquire(&entry->mutex);
	latch = entry->latch;
	SpinLockRelease(&entry->mutex);
	if (latch != NULL)
		SetLatch(latch);
}

/*
 * Wakes the launcher, if one runs.
 */
void
churn_stream_wake_launcher(void)
{
	Latch	   *latch;

	churn_stream_lock(LW_SHARED);
	latch = shared->launcher;
	churn_stream_unlock();
	if (latch != NULL)
		SetLatch(latch);
}

/*
 * Asks for a worker of a database, or a look at its watches; see
 * stream_shared.h.
 */
bool
churn_stream_probe(Oid database, bool afresh)
{
	ChurnStreamEntry *entry;

	if (!churn_stream_available())
		return false;
	churn_stream_lock(LW_EXCLUSIVE);
	entry = churn_stream_find_or_make(database);
	if (entry != NULL)
	{
		entry->probe = true;
		if (afresh)
		{
			entry->not_before = 0;
			churn_stream_healthy(entry);
		}
		churn_stream_wake(entry);
	}
	churn_stream_unlock();
	churn_stream_wake_launcher();
	return entry != NULL;
}

/*
 * Name of the slot of a database, in a static buffer.
 */
const char *
churn_stream_slot_name(Oid database)
{
	static char name[NAMEDATALEN];

	snprintf(name, sizeof(name), "churn_%u", database);
	return name;
}

/*
 * What a worker does, in words.
 */
const char *
churn_stream_state_name(ChurnStreamState state)
{
	switch (state)
	{
		case CHURN_STREAM_STOPPED:
			return "stopped";
		case CHURN_STREAM_STARTING:
			return "starting";
		case CHURN_STREAM_CREATING_SLOT:
			return "creating slot";
		case CHURN_STREAM_CATCHING_UP:
			return "catching up";
		case CHURN_STREAM_STREAMING:
			return "streaming";
		case CHURN_STREAM_RESCANNING:
			return "rescanning";
		case CHURN_STREAM_PAUSED:
			return "paused";
	}
	return "unknown";
}

/*
 * The bucket of a latency; see stream_shared.h.
 */
int
churn_stream_bucket(double seconds)
{
	int			bucket;

	if (!(seconds > FIRST_BUCKET))
		return 0;
	if (seconds >= churn_stream_bucket_limit(CHURN_STREAM_BUCKETS - 1))
		return CHURN_STREAM_BUCKETS - 1;
	bucket = (int) ceil(log(seconds / FIRST_BUCKET) / log(BUCKET_FACTOR));
	/* what rounding may have shifted */
	while (bucket > 0 && seconds <= churn_stream_bucket_limit(bucket - 1))
		bucket--;
	while (bucket < CHURN_STREAM_BUCKETS - 1 &&
		   seconds > churn_stream_bucket_limit(bucket))
		bucket++;
	return bucket;
}

/*
 * The upper limit of a bucket in seconds.
 */
double
churn_stream_bucket_limit(int bucket)
{
	return FIRST_BUCKET * pow(BUCKET_FACTOR, bucket);
}
