/*
 * stream_control.h
 *		What starts, stops and limits stream workers: the inner side of
 *		stream_shared.h.
 */
#ifndef CHURN_STREAM_CONTROL_H
#define CHURN_STREAM_CONTROL_H

#include "stream_shared.h"

/* What main shared memory holds. */
typedef struct ChurnStreamShared
{
	Latch	   *launcher;		/* NULL while none runs; under the lock */
	uint64		starts;			/* given to entries; under the lock */
	ChurnStreamEntry entries[CHURN_STREAM_DATABASES];
} ChurnStreamShared;

/* Has the memory made with the server's own; called while preloading. */
extern void churn_stream_request_memory(void);

/*
 * The memory, and its lock: below, "locked" means that the caller holds it,
 * exclusively where something changes.
 */
extern ChurnStreamShared *churn_stream_memory(void);
extern void churn_stream_lock(LWLockMode mode);
extern void churn_stream_unlock(void);

/* The entry of a database, locked; NULL if there is none. */
extern ChurnStreamEntry *churn_stream_find(Oid database);

/* The same; makes one if there is none, NULL if there is no room. */
extern ChurnStreamEntry *churn_stream_find_or_make(Oid database);

/* Whether a database has an entry or could get one; and the report if not. */
extern bool churn_stream_has_room(Oid database);
extern void churn_stream_report_no_room(int level);

/* Frees an entry, locked, if nobody needs it; returns whether it is free. */
extern bool churn_stream_free_unneeded(ChurnStreamEntry *entry);

/* Frees an entry, locked, that has no worker and that nobody holds. */
extern void churn_stream_free(ChurnStreamEntry *entry);

/* Counts an end with an error; the next start waits longer.  Locked. */
extern void churn_stream_count_failure(ChurnStreamEntry *entry);

/* Wakes the launcher, if one runs. */
extern void churn_stream_wake_launcher(void);

/*
 * Keeps workers out of a database until churn_stream_unhold(), or the end of
 * the process; false if that is not needed or cannot be.  A process holds one
 * database at a time.
 */
extern bool churn_stream_hold(Oid database);

/* Ends the worker of the database held; whether it is gone in that time. */
extern bool churn_stream_stop(int milliseconds);

/* Lets workers in again, where there was one; or forgets a database gone. */
extern void churn_stream_unhold(bool gone);

/* Fails all requests for rescans, locked, since the worker ends. */
extern void churn_stream_fail_requests(ChurnStreamEntry *entry);

/* The launcher: registers it; ends workers that hold too much WAL. */
extern void churn_launcher_register(void);
extern void churn_launcher_limit_wal(void);

/* Lets commands that need a database for themselves through. */
extern void churn_utility_hook_install(void);

#endif							/* CHURN_STREAM_CONTROL_H */
