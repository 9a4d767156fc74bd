/*
 * launcher.c
 *		The background worker that starts the stream workers.
 *
 * It runs in no database, and only once the server takes writes: on a standby
 * from its promotion on.  A database is looked into by starting its worker,
 * which retires if there is nothing to watch.  That is done for each database
 * once, and again whenever somebody asks.  A worker that ends for another
 * reason is started again, the later the more often it fails.
 *
 * What the launcher remembers of a database is only what it started there; all
 * else is in shared memory, so that it may end and start at any time.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "stream_control.h"

/* Times in milliseconds. */
#define LOOK_INTERVAL		60000	/* between looks for new databases */
#define LIMIT_INTERVAL		5000	/* between looks at what slots hold */
#define START_TIMEOUT		10000	/* a worker counts as starting, at most */
#define RESTART_SECONDS		5

/* Workers that start at a time, at most. */
#define STARTS_AT_A_TIME	2

/* Without a place for a worker the next attempt comes after, in seconds: */
#define NO_PLACE_LIMIT		60

/* A database as the launcher knows it. */
typedef struct LaunchedDatabase
{
	Oid			database;		/* key */
	bool		found;			/* in the catalog, by the last look */
	bool		probed;			/* a worker was started since we began */
	BackgroundWorkerHandle *handle; /* of that worker; NULL once it ended */
	TimestampTz started_at;
	uint64		starts;			/* the entry's number before it started */
} LaunchedDatabase;

extern PGDLLEXPORT void churn_stream_launcher_main(Datum argument);

static HTAB *databases = NULL;

/* No place for a worker: attempts in turn, and when the next is due. */
static int	no_place = 0;
static TimestampTz no_place_until = 0;

/*
 * Exit callback: nobody is to wake us any more.
 */
static void
leave(int code, Datum arg)
{
	churn_stream_lock(LW_EXCLUSIVE);
	if (churn_stream_memory()->launcher == MyLatch)
		churn_stream_memory()->launcher = NULL;
	churn_stream_unlock();
}

/*
 * Whether a worker may look into a database: one can connect to it, and it is
 * not there to be copied.
 */
static bool
is_eligible(Form_pg_database form)
{
	return form->datallowconn && !form->datistemplate &&
		form->datconnlimit != DATCONNLIMIT_INVALID_DB;
}

/*
 * Reads pg_database: databases that came are known from now on.
 */
static void
find_databases(void)
{
	HASH_SEQ_STATUS status;
	LaunchedDatabase *known;
	Relation	relation;
	TableScanDesc scan;
	HeapTuple	tuple;

	hash_seq_init(&status, databases);
	while ((known = hash_seq_search(&status)) != NULL)
		known->found = false;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);
		bool		old;

		if (!is_eligible(form))
			continue;
		known = hash_search(databases, &form->oid, HASH_ENTER, &old);
		if (!old)
		{
			known->probed = false;
			known->handle = NULL;
			known->started_at = 0;
			known->starts = 0;
		}
		known->found = true;
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();
}

/*
 * Copies which databases have entries.
 */
static void
list_entries(Oid *list)
{
	int			i;

	churn_stream_lock(LW_SHARED);
	for (i = 0; i < CHURN_STREAM_DATABASES; i++)
		list[i] = churn_stream_memory()->entries[i].database;
	churn_stream_unlock();
}

/*
 * Forgets databases that went, or are not for us any more, and frees entries
 * that nobody needs.  A worker that still runs there is left alone, and so is
 * an entry made after that list was: its database may be too new to have been
 * found.
 */
static void
forget_databases(const Oid *list)
{
	HASH_SEQ_STATUS status;
	LaunchedDatabase *known;
	int			i;

	churn_stream_lock(LW_EXCLUSIVE);
	for (i = 0; i < CHURN_STREAM_DATABASES; i++)
	{
		ChurnStreamEntry *entry = &churn_stream_memory()->entries[i];

		if (entry->database == InvalidOid || entry->database != list[i])
			continue;
		known = hash_search(databases, &entry->database, HASH_FIND, NULL);
		if (known == NULL || !known->found)
		{
			entry->probe = false;
			entry->wanted = false;
		}
		(void) churn_stream_free_unneeded(entry);
	}
	churn_stream_unlock();

	hash_seq_init(&status, databases);
	while ((known = hash_seq_search(&status)) != NULL)
	{
		if (known->found)
			continue;
		if (known->handle != NULL)
			pfree(known->handle);
		hash_search(databases, &known->database, HASH_REMOVE, NULL);
	}
}

/*
 * Notes that a worker we started has ended: its place is free.  If it never
 * asked for its entry, that is a failure which it could not count itself.
 */
static void
settle(LaunchedDatabase *known)
{
	ChurnStreamEntry *entry;
	pid_t		pid;

	if (known->handle == NULL ||
		GetBackgroundWorkerPid(known->handle, &pid) != BGWH_STOPPED)
		return;
	pfree(known->handle);
	known->handle = NULL;
	no_place_until = 0;
	churn_stream_lock(LW_EXCLUSIVE);
	entry = churn_stream_find(known->database);
	if (entry != NULL && entry->pid == 0 && entry->starts == known->starts)
	{
		churn_stream_count_failure(entry);
		churn_stream_set_error(entry, "the stream worker could not be started");
	}
	churn_stream_unlock();
}

/*
 * Whether a worker we started is not yet at work.
 */
static bool
is_starting(const LaunchedDatabase *known, TimestampTz now)
{
	ChurnStreamEntry *entry;
	bool		starting = false;

	if (known->handle == NULL ||
		TimestampDifferenceExceeds(known->started_at, now, START_TIMEOUT))
		return false;
	churn_stream_lock(LW_SHARED);
	entry = churn_stream_find(known->database);
	if (entry != NULL)
	{
		SpinLockAcquire(&entry->mutex);
		starting = entry->starts == known->starts ||
			entry->state == CHURN_STREAM_STARTING;
		SpinLockRelease(&entry->mutex);
	}
	churn_stream_unlock();
	return starting;
}

/*
 * When the database's worker is to be started; DT_NOEND if it is not.
 */
static TimestampTz
due(const LaunchedDatabase *known, TimestampTz now)
{
	ChurnStreamEntry *entry;
	TimestampTz time = DT_NOEND;

	if (known->handle != NULL)
		return DT_NOEND;
	churn_stream_lock(LW_SHARED);
	entry = churn_stream_find(known->database);
	if (entry == NULL)
		time = known->probed ? DT_NOEND : now;
	else if (entry->held == 0 && entry->pid == 0 &&
			 (entry->probe || entry->wanted || !known->probed))
		time = Max(entry->not_before, now);
	churn_stream_unlock();
	return time;
}

/*
 * Makes sure that the database has an entry; false if there is no room, or it
 * is held, or a worker has come.
 */
static bool
prepare_entry(LaunchedDatabase *known)
{
	ChurnStreamEntry *entry;
	bool		ready;

	churn_stream_lock(LW_EXCLUSIVE);
	entry = churn_stream_find_or_make(known->database);
	ready = entry != NULL && entry->held == 0 && entry->pid == 0;
	if (ready)
	{
		entry->wanted = true;
		known->starts = entry->starts;
	}
	churn_stream_unlock();
	if (entry == NULL)
	{
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("could not look for watches in database %u",
						known->database),
				 errdetail("%d other databases have watches, which is the limit.",
						   CHURN_STREAM_DATABASES),
				 errhint("Call churn_unwatch() in a database that needs none, then churn_wait() in this one.")));
		known->probed = true;
	}
	return ready;
}

/*
 * There is no place for a worker: says so once, and returns when to try again.
 * While others start, theirs may come free in a moment.
 */
static TimestampTz
no_place_before(TimestampTz now, int starting)
{
	int			seconds = Min(1 << Min(no_place, 6), NO_PLACE_LIMIT);

	if (starting > 0)
		return TimestampTzPlusMilliseconds(now, 1000);
	if (no_place++ == 0)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no place for a churn worker"),
				 errdetail("All background worker slots are in use."),
				 errhint("Consider increasing max_worker_processes by one for each database with watches, and one more.")));
	no_place_until = TimestampTzPlusMilliseconds(now, seconds * 1000);
	return no_place_until;
}

/*
 * Starts the worker of a database; false if there is no place for it.
 */
static bool
start_worker(LaunchedDatabase *known, TimestampTz now)
{
	BackgroundWorker worker;

	if (!prepare_entry(known))
		return true;
	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "churn");
	snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name),
			 "churn_stream_worker_main");
	snprintf(worker.bgw_name, BGW_MAXLEN, "churn worker for database %u",
			 known->database);
	snprintf(worker.bgw_type, BGW_MAXLEN, "churn worker");
	worker.bgw_main_arg = ObjectIdGetDatum(known->database);
	worker.bgw_notify_pid = MyProcPid;
	if (!RegisterDynamicBackgroundWorker(&worker, &known->handle))
	{
		known->handle = NULL;
		return false;
	}
	known->probed = true;
	known->started_at = now;
	return true;
}

/*
 * Starts all workers that are due, a few at a time; returns when there is more
 * to do.
 */
static TimestampTz
start_workers(TimestampTz now)
{
	HASH_SEQ_STATUS status;
	LaunchedDatabase *known;
	TimestampTz next = DT_NOEND;
	int			starting = 0;

	hash_seq_init(&status, databases);
	while ((known = hash_seq_search(&status)) != NULL)
	{
		settle(known);
		if (is_starting(known, now))
			starting++;
	}
	if (no_place > 0 && now < no_place_until)
		return no_place_until;

	hash_seq_init(&status, databases);
	while ((known = hash_seq_search(&status)) != NULL)
	{
		TimestampTz time = due(known, now);

		if (time > now)
		{
			next = Min(next, time);
			continue;
		}
		if (starting >= STARTS_AT_A_TIME)
		{
			/* one that is through wakes us; this is for one that hangs */
			hash_seq_term(&status);
			return TimestampTzPlusMilliseconds(now, 1000);
		}
		if (!start_worker(known, now))
		{
			hash_seq_term(&status);
			return no_place_before(now, starting);
		}
		if (known->handle != NULL)
			starting++;
	}
	no_place = 0;
	return next;
}

/*
 * Waits until that time, or until somebody wakes us; returns whether one did.
 * Reads the settings again if that was why.
 */
static bool
sleep_until(TimestampTz time)
{
	static uint32 wait_event = 0;
	long		rest = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
													   time);
	int			events;

	events = WaitLatch(MyLatch,
					   WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					   Min(rest, LOOK_INTERVAL),
					   churn_wait_event("ChurnLauncher", &wait_event));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	return (events & WL_LATCH_SET) != 0;
}

/*
 * Makes what the launcher remembers.
 */
static void
make_databases(void)
{
	HASHCTL		control;

	memset(&control, 0, sizeof(control));
	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(LaunchedDatabase);
	databases = hash_create("churn databases", 64, &control,
							HASH_ELEM | HASH_BLOBS);
}

/*
 * Entry point of the launcher.
 */
void
churn_stream_launcher_main(Datum argument)
{
	MemoryContext context;
	Oid			entries[CHURN_STREAM_DATABASES];
	TimestampTz next_look = 0;
	TimestampTz next_limit;
	bool		look = true;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	if (!churn_stream_available())
		ereport(FATAL,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("churn is not preloaded")));
	before_shmem_exit(leave, (Datum) 0);
	churn_stream_lock(LW_EXCLUSIVE);
	churn_stream_memory()->launcher = MyLatch;
	churn_stream_unlock();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	make_databases();
	context = AllocSetContextCreate(TopMemoryContext, "churn launcher",
									ALLOCSET_SMALL_SIZES);
	next_limit = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
											 LIMIT_INTERVAL);

	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		TimestampTz next;

		if (look || now >= next_look)
		{
			list_entries(entries);
			find_databases();
			forget_databases(entries);
			next_look = TimestampTzPlusMilliseconds(now, LOOK_INTERVAL);
		}
		if (now >= next_limit)
		{
			churn_launcher_limit_wal();
			next_limit = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													 LIMIT_INTERVAL);
		}
		/* a transaction leaves another context; handles need one that stays */
		MemoryContextSwitchTo(context);
		next = start_workers(now);
		look = sleep_until(Min(next, Min(next_look, next_limit)));
	}
}

/*
 * Registers the launcher with the postmaster, while that preloads.
 */
void
churn_launcher_register(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = RESTART_SECONDS;
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "churn");
	snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name),
			 "churn_stream_launcher_main");
	snprintf(worker.bgw_name, BGW_MAXLEN, "churn launcher");
	snprintf(worker.bgw_type, BGW_MAXLEN, "churn launcher");
	RegisterBackgroundWorker(&worker);
}
