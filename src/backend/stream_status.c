/*
 * stream_status.c
 *		What SQL says of the stream worker of its database, and waits for it.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "stream_control.h"

#define STREAM_COLUMNS	23

/* A wait is so long at most, in seconds: 30 years. */
#define LONGEST_WAIT	1e9

/* What churn_wait() may find. */
typedef enum WaitState
{
	WAIT_APPLIED,
	WAIT_PENDING,
	WAIT_NO_WATCH,
	WAIT_PAUSED
} WaitState;

PG_FUNCTION_INFO_V1(churn_stream);
PG_FUNCTION_INFO_V1(churn_wait);

/*
 * Copies the entry of this database; false if there is none.
 */
static bool
copy_entry(ChurnStreamEntry *copy)
{
	ChurnStreamEntry *entry;

	if (!churn_stream_available())
		return false;
	churn_stream_lock(LW_SHARED);
	entry = churn_stream_find(MyDatabaseId);
	if (entry != NULL)
	{
		SpinLockAcquire(&entry->mutex);
		*copy = *entry;
		SpinLockRelease(&entry->mutex);
	}
	churn_stream_unlock();
	return entry != NULL;
}

/*
 * A quantile of the latencies in milliseconds, as if those of a bucket were
 * spread evenly over it; null without latencies.
 */
static Datum
latency(const ChurnStreamEntry *entry, double quantile, bool *isnull)
{
	uint64		total = 0;
	double		rank;
	double		below = 0;
	int			i;

	for (i = 0; i < CHURN_STREAM_BUCKETS; i++)
		total += entry->histogram[i];
	*isnull = total == 0;
	if (total == 0)
		return (Datum) 0;
	rank = quantile * total;
	for (i = 0; i < CHURN_STREAM_BUCKETS - 1; i++)
	{
		if (entry->histogram[i] > 0 && below + entry->histogram[i] >= rank)
			break;
		below += entry->histogram[i];
	}
	if (entry->histogram[i] > 0)
	{
		double		low = i == 0 ? 0 : churn_stream_bucket_limit(i - 1);
		double		high = churn_stream_bucket_limit(i);

		rank = Max(rank - below, 0) / entry->histogram[i];
		return Float8GetDatum(1000 * (low + (high - low) * Min(rank, 1)));
	}
	return Float8GetDatum(1000 * churn_stream_bucket_limit(i));
}

/*
 * A time as a column, null if it is not known.
 */
static Datum
known_time(TimestampTz time, bool *isnull)
{
	*isnull = time == 0;
	return TimestampTzGetDatum(time);
}

/*
 * A text as a column, null if it is empty.
 */
static Datum
known_text(const char *text, bool *isnull)
{
	*isnull = text[0] == '\0';

	return *isnull ? (Datum) 0 : CStringGetTextDatum(text);
}

/*
 * churn.stream(): what is known of the worker of this database; a row if there
 * is something.
 */
Datum
churn_stream(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ChurnStreamEntry entry;
	Datum		values[STREAM_COLUMNS] = {0};
	bool		nulls[STREAM_COLUMNS] = {false};

	InitMaterializedSRF(fcinfo, 0);
	if (!copy_entry(&entry))
		return (Datum) 0;
	nulls[0] = entry.pid == 0;
	values[0] = Int32GetDatum(entry.pid);
	values[1] = CStringGetTextDatum(churn_stream_state_name(entry.state));
	nulls[2] = entry.slot[0] == '\0';
	values[2] = DirectFunctionCall1(namein, CStringGetDatum(entry.slot));
	values[3] = Int32GetDatum(entry.watches);
	values[4] = Int32GetDatum(entry.paused);
	nulls[5] = XLogRecPtrIsInvalid(entry.applied);
	values[5] = LSNGetDatum(entry.applied);
	values[6] = known_time(entry.applied_at, &nulls[6]);
	values[7] = known_time(entry.caught_up_at, &nulls[7]);
	values[8] = Int64GetDatum(entry.changes);
	values[9] = Int64GetDatum(entry.scored);
	values[10] = Int64GetDatum(entry.written);
	values[11] = Int64GetDatum(entry.batches);
	values[12] = Int32GetDatum(entry.last_batch);
	values[13] = Float8GetDatum(entry.change_rate);
	values[14] = Float8GetDatum(entry.score_rate);
	values[15] = latency(&entry, 0.5, &nulls[15]);
	values[16] = latency(&entry, 0.95, &nulls[16]);
	values[17] = latency(&entry, 0.99, &nulls[17]);
	values[18] = Int32GetDatum(entry.rescans);
	values[22] = Float8GetDatum(entry.write_seconds);
	values[19] = known_text(entry.error, &nulls[19]);
	values[20] = known_time(entry.error_at, &nulls[20]);
	values[21] = known_time(entry.started_at, &nulls[21]);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	return (Datum) 0;
}

/*
 * The end of the WAL that was generated so far, flushed.  At a page's end the
 * insert position is behind the next page's header, which is not there yet: WAL
 * up to there could not be flushed.
 */
XLogRecPtr
churn_stream_wal_end(void)
{
	XLogRecPtr	end = GetXLogInsertRecPtr();

	if (XLogSegmentOffset(end, wal_segment_size) == SizeOfXLogLongPHD)
		end -= SizeOfXLogLongPHD;
	else if (end % XLOG_BLCKSZ == SizeOfXLogShortPHD)
		end -= SizeOfXLogShortPHD;
	XLogFlush(end);
	return end;
}

/*
 * An error if nobody can stream in this server.
 */
static void
require_streaming(void)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot wait for the stream worker during recovery"),
				 errdetail("Customers are rescored on the primary."),
				 errhint("Call churn_wait() there.")));
	if (!churn_stream_available())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("churn is not preloaded"),
				 errhint("Add churn to shared_preload_libraries and restart the server.")));
}

/*
 * When a wait of that length from now on ends; an error if it is negative.
 */
static TimestampTz
end_of_wait(const Interval *length)
{
	double		seconds = length->month * (double) (DAYS_PER_MONTH * SECS_PER_DAY) +
	length->day * (double) SECS_PER_DAY +
	length->time / (double) USECS_PER_SEC;

	if (seconds < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("timeout must not be negative")));
	return GetCurrentTimestamp() +
		(int64) (Min(seconds, LONGEST_WAIT) * USECS_PER_SEC);
}

/*
 * How far the entry is.  The worker alone empties "rescans", after it has seen
 * what is watched as of "applied".
 */
static WaitState
wait_state(ChurnStreamEntry *entry, XLogRecPtr target)
{
	WaitState	state = WAIT_PENDING;

	churn_stream_lock(LW_SHARED);
	SpinLockAcquire(&entry->mutex);
	if (entry->database != MyDatabaseId)
		state = WAIT_NO_WATCH;
	else if (entry->state == CHURN_STREAM_PAUSED)
		state = WAIT_PAUSED;
	else if (entry->applied >= target && entry->rescans == 0)
		state = WAIT_APPLIED;
	SpinLockRelease(&entry->mutex);
	churn_stream_unlock();
	return state;
}

/*
 * Waits until the entry is that far, or the time is over; returns the last
 * state.
 */
static WaitState
wait_until(ChurnStreamEntry *entry, XLogRecPtr target, TimestampTz end)
{
	static uint32 wait_event = 0;
	WaitState	state;

	ConditionVariablePrepareToSleep(&entry->moved);
	while ((state = wait_state(entry, target)) == WAIT_PENDING)
	{
		long		rest = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
														   end);

		if (rest <= 0)
			break;
		ConditionVariableTimedSleep(&entry->moved, rest,
									churn_wait_event("ChurnWait", &wait_event));
	}
	ConditionVariableCancelSleep();
	return state;
}

/*
 * The entry of this database with a worker on its way.  Whether there are
 * watches is the worker's to find out: it frees the entry if not.
 */
static ChurnStreamEntry *
entry_at_work(void)
{
	ChurnStreamEntry *entry;

	churn_stream_lock(LW_EXCLUSIVE);
	entry = churn_stream_find_or_make(MyDatabaseId);
	if (entry != NULL)
	{
		if (entry->pid == 0)
			entry->probe = true;
		churn_stream_wake(entry);
	}
	churn_stream_unlock();
	if (entry == NULL)
		churn_stream_report_no_room(ERROR);
	churn_stream_wake_launcher();
	return entry;
}

/*
 * Waits until the worker of this database, if one runs, has applied all WAL
 * there is now; so it writes nothing more that it does not know to be watched
 * no longer.
 */
void
churn_stream_catch_up(void)
{
	static uint32 wait_event = 0;
	ChurnStreamEntry *entry;
	XLogRecPtr	target;
	bool		behind = true;

	if (RecoveryInProgress() || !churn_stream_available())
		return;
	entry = churn_stream_entry(MyDatabaseId, false);
	if (entry == NULL)
		return;
	target = churn_stream_wal_end();
	ConditionVariablePrepareToSleep(&entry->moved);
	for (;;)
	{
		SpinLockAcquire(&entry->mutex);
		behind = entry->database == MyDatabaseId && entry->pid != 0 &&
			entry->applied < target;
		SpinLockRelease(&entry->mutex);
		if (!behind)
			break;
		ConditionVariableSleep(&entry->moved,
							   churn_wait_event("ChurnWait", &wait_event));
	}
	ConditionVariableCancelSleep();
}

/*
 * churn_wait(timeout): waits until all WAL there is now has been rescored;
 * false if that takes longer.
 */
Datum
churn_wait(PG_FUNCTION_ARGS)
{
	TimestampTz end = end_of_wait(PG_GETARG_INTERVAL_P(0));
	XLogRecPtr	target;
	WaitState	state;

	require_streaming();
	target = churn_stream_wal_end();
	state = wait_until(entry_at_work(), target, end);
	if (state == WAIT_NO_WATCH)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("nothing is watched in this database"),
				 errhint("Call churn_watch() first.")));
	if (state == WAIT_PAUSED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the watches of this database are paused"),
				 errdetail("They were made in another server, of which this one is a copy."),
				 errhint("Call churn_watch() again to have this server follow them, too.")));
	PG_RETURN_BOOL(state == WAIT_APPLIED);
}
