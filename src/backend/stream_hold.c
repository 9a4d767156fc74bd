/*
 * stream_hold.c
 *		Keeps stream workers out of a database for a while.
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "stream_control.h"

/* The entry that this process holds; NULL if none. */
static ChurnStreamEntry *held_entry = NULL;

/*
 * Exit callback: a process that ends in the midst holds nothing any more.
 */
static void
let_go(int code, Datum arg)
{
	churn_stream_unhold(false);
}

/*
 * Keeps workers out of a database; see stream_control.h.
 */
bool
churn_stream_hold(Oid database)
{
	static bool registered = false;

	if (!churn_stream_available() || held_entry != NULL)
		return false;
	if (!registered)
	{
		before_shmem_exit(let_go, (Datum) 0);
		registered = true;
	}
	churn_stream_lock(LW_EXCLUSIVE);
	held_entry = churn_stream_find_or_make(database);
	if (held_entry != NULL)
		held_entry->held++;
	churn_stream_unlock();
	return held_entry != NULL;
}

/*
 * Tells the worker of the database held to end; whether none runs any more.
 * It cannot end, and its number be another process's, while we have the lock.
 */
static bool
worker_is_gone(bool tell)
{
	bool		gone;

	churn_stream_lock(LW_SHARED);
	gone = held_entry->pid == 0;
	if (!gone && tell)
		(void) kill(held_entry->pid, SIGTERM);
	churn_stream_unlock();
	return gone;
}

/*
 * Ends the worker of the database held and waits until it has, for so long at
 * most; returns whether it has.  Then it has left the database, and released
 * its slot.
 */
bool
churn_stream_stop(int milliseconds)
{
	static uint32 wait_event = 0;
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												  milliseconds);
	bool		tell = true;

	if (held_entry == NULL)
		return true;
	ConditionVariablePrepareToSleep(&held_entry->moved);
	while (!worker_is_gone(tell))
	{
		long		rest = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
														   end);

		tell = false;
		if (rest <= 0)
			break;
		ConditionVariableTimedSleep(&held_entry->moved, rest,
									churn_wait_event("ChurnWorkerStop",
													 &wait_event));
	}
	ConditionVariableCancelSleep();
	return worker_is_gone(false);
}

/*
 * Lets workers in again.  Where one was wanted, the launcher starts one; the
 * entry of a database that is gone is free.
 */
void
churn_stream_unhold(bool gone)
{
	ChurnStreamEntry *entry = held_entry;
	bool		start = false;

	if (entry == NULL)
		return;
	held_entry = NULL;
	churn_stream_lock(LW_EXCLUSIVE);
	entry->held--;
	if (gone)
	{
		entry->probe = false;
		entry->wanted = false;
	}
	else if (entry->wanted || entry->probe)
	{
		entry->probe = true;
		entry->not_before = 0;
		churn_stream_healthy(entry);
		start = true;
	}
	churn_stream_free_unneeded(entry);
	churn_stream_unlock();
	if (start)
		churn_stream_wake_launcher();
}
