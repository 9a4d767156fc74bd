/*
 * stream_shared.h
 *		What the launcher, the stream workers and sessions share.
 *
 * It lives in main shared memory and so exists only where churn is in
 * shared_preload_libraries.  One entry stands for a database.
 */
#ifndef CHURN_STREAM_SHARED_H
#define CHURN_STREAM_SHARED_H

#include "access/transam.h"
#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

#define CHURN_STREAM_DATABASES	64	/* with watches, at most */
#define CHURN_STREAM_REQUESTS	16	/* for a rescan, waiting in a database */
#define CHURN_STREAM_BUCKETS	64	/* of a histogram of latencies */

/* What a worker is doing; churn_stream_state_name() has the words. */
typedef enum ChurnStreamState
{
	CHURN_STREAM_STOPPED,		/* no worker */
	CHURN_STREAM_STARTING,
	CHURN_STREAM_CREATING_SLOT, /* waits for transactions that run */
	CHURN_STREAM_CATCHING_UP,	/* behind by more than a batch */
	CHURN_STREAM_STREAMING,
	CHURN_STREAM_RESCANNING,
	CHURN_STREAM_PAUSED			/* all watches are another server's */
} ChurnStreamState;

/* A session's wish that a model's source be rescored as a whole. */
typedef struct ChurnStreamRequest
{
	uint64		id;				/* 0 if the place is free */
	int			model_id;
	int			reasons;		/* a score; 0 for none */
	XLogRecPtr	after;			/* not before the worker has come so far: up
								 * to here the session knows what is watched */
	bool		taken;			/* a worker is at it */
	bool		done;
	bool		failed;			/* if done; churn.errors says why */
	bool		ended;			/* if failed: since the worker ended */
	int64		written;		/* if done: rows of churn.predictions */
} ChurnStreamRequest;

/*
 * A database.  Fields from "database" to "starts" change under the exclusive
 * lock of this memory (see stream_control.h), those from "pid" to "latch" under
 * that and the mutex, the others under the mutex.  Whoever is not the entry's
 * worker holds the lock, shared, from finding an entry to being done with it,
 * since else it may be freed and be another database's.  The lock is taken
 * before the mutex.  The worker alone writes what it reports.
 */
typedef struct ChurnStreamEntry
{
	/* These outlive a database. */
	slock_t		mutex;
	ConditionVariable moved;	/* broadcast when applied, rescans, requests
								 * or pid change */
	uint64		last_request;	/* numbers given */

	/* All from here on is zero in a free entry. */
	Oid			database;		/* InvalidOid if the entry is free */
	bool		probe;			/* somebody should see whether there are
								 * watches: start a worker, soon */
	bool		wanted;			/* a worker began and did not retire: start
								 * another one when it has ended */
	int			held;			/* sessions that need the database without us:
								 * no worker may run */
	TimestampTz not_before;		/* no new worker until then: back-off */
	uint64		starts;			/* another one with each worker that got as
								 * far as to ask for the entry; never one of
								 * before, also if the entry was free
								 * meanwhile */

	pid_t		pid;			/* of the worker; 0 if there is none */
	Latch	   *latch;			/* of the worker; NULL if there is none */

	bool		retired;		/* the worker ends, having nothing to do */
	TimestampTz started_at;		/* when it began, or the last one did */
	int			failures;		/* ends with an error, one after the other */
	ChurnStreamState state;
	FullTransactionId slot_after;	/* a new slot only when no transaction
									 * older than this runs; 0 if none was
									 * dropped for its WAL */
	char		slot[NAMEDATALEN];	/* "" if there is none */
	int			watches;		/* in force */
	int			paused;			/* watches of another system identifier */
	int			rescans;		/* models that are still to be rescanned */
	char		error[256];		/* the last one's message; "" if none */
	TimestampTz error_at;
	XLogRecPtr	applied;		/* all before is rescored and committed */
	TimestampTz applied_at;		/* commit time of the last change applied */
	TimestampTz caught_up_at;	/* when applied was last the end of WAL */
	uint64		changes;		/* decoded from watched tables */
	uint64		scored;			/* scores found */
	uint64		written;		/* predictions written or deleted */
	double		write_seconds;	/* spent on writing them */
	uint64		batches;
	int			last_batch;		/* changes in it */
	double		change_rate;	/* a second, moving average */
	double		score_rate;
	uint64		histogram[CHURN_STREAM_BUCKETS];	/* commit to score, see
													 * churn_stream_bucket() */
	ChurnStreamRequest requests[CHURN_STREAM_REQUESTS];
} ChurnStreamEntry;

/*
 * Settings, and while preloading hooks and the launcher; called by
 * _PG_init().
 */
extern void churn_stream_init(void);

/* Whether there is shared memory, that is, the library was preloaded. */
extern bool churn_stream_available(void);

/*
 * The entry of a database.  If there is none: NULL or, if make, a new one; an
 * error if there is no room.
 */
extern ChurnStreamEntry *churn_stream_entry(Oid database, bool make);

/*
 * Called by a worker first thing, before it connects: takes the entry and
 * arranges that it is given back at exit, when the process has left the
 * database and released its slot.  NULL if the database is held, or another
 * worker has it: then the worker is to end quietly.
 */
extern ChurnStreamEntry *churn_stream_take(Oid database);

/*
 * Called by a worker that ends since there is nothing to watch: its entry is
 * free as soon as it has ended, and it is not started again.
 */
extern void churn_stream_retire(ChurnStreamEntry *entry);

/* Called by a worker that works well: the next failure is the first again. */
extern void churn_stream_healthy(ChurnStreamEntry *entry);

/*
 * Called by a worker before it looks at the watches: whether somebody asked
 * for a look since it last did.
 */
extern bool churn_stream_probed(ChurnStreamEntry *entry);

/* Says what a worker does, and tells those who wait for it. */
extern void churn_stream_set_state(ChurnStreamEntry *entry,
								   ChurnStreamState state);

/* Keeps the message of an error that a worker or its start met. */
extern void churn_stream_set_error(ChurnStreamEntry *entry,
								   const char *message);

/*
 * Wakes the worker of an entry, if one runs.  The caller holds the lock, or is
 * sure that the entry stays.
 */
extern void churn_stream_wake(ChurnStreamEntry *entry);

/*
 * Asks for a worker of a database now, or for a look at its watches if one
 * runs; false if there is no room.  If afresh, also while it backs off.
 */
extern bool churn_stream_probe(Oid database, bool afresh);

/* The same when the transaction commits, for this database, afresh. */
extern void churn_stream_probe_at_commit(void);

/*
 * The end of the WAL that was generated so far, which is flushed now: a worker
 * that has nothing left to do has come so far.
 */
extern XLogRecPtr churn_stream_wal_end(void);

/* Asks for a rescan of a model and waits for it; returns the rows written. */
extern int64 churn_stream_rescan(int model_id, int reasons);

/* Called by a worker: takes the oldest request; false if there is none. */
extern bool churn_stream_next_request(ChurnStreamEntry *entry,
									  ChurnStreamRequest *request);

/* Called by a worker that is done with one: its session may have gone. */
extern void churn_stream_finish_request(ChurnStreamEntry *entry, uint64 id,
										bool failed, int64 written);

/* Waits until the worker, if one runs, has applied all WAL there is now. */
extern void churn_stream_catch_up(void);

/* Name of the slot of a database, in a static buffer: churn_ and its OID. */
extern const char *churn_stream_slot_name(Oid database);

extern const char *churn_stream_state_name(ChurnStreamState state);

/*
 * The bucket of a latency: 0 up to 0.1 ms, each next one a factor of 1.25
 * more; and the upper limit of a bucket in seconds.
 */
extern int	churn_stream_bucket(double seconds);
extern double churn_stream_bucket_limit(int bucket);

/* Settings. */
extern int	churn_naptime;		/* ms */
extern int	churn_batch_delay;	/* ms */
extern int	churn_batch_size;	/* changes */
extern int	churn_batch_memory; /* kB */
extern int	churn_max_wal_lag;	/* MB; -1 for no limit */

#endif							/* CHURN_STREAM_SHARED_H */
