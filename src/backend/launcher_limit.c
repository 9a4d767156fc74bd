/*
 * launcher_limit.c
 *		Drops slots that hold more WAL than churn.max_wal_lag allows.
 *
 * A worker that cannot keep up, or cannot run at all, must not fill the disk.
 * The next worker makes a new slot and rescans what is watched.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "replication/slot.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "stream_control.h"

/* A worker is given so long to end, in milliseconds. */
#define STOP_TIMEOUT	10000

/* Warnings that nothing helps are repeated after so long, in milliseconds. */
#define WARN_INTERVAL	600000

/* A slot of ours. */
typedef struct ChurnSlot
{
	Oid			database;
	char		name[NAMEDATALEN];
	pid_t		active_pid;
	XLogRecPtr	restart_lsn;
} ChurnSlot;

/*
 * Reads the slot at a place of the server's array; false if it is none of
 * ours, or holds nothing.
 */
static bool
read_slot(int index, ChurnSlot *copy)
{
	ReplicationSlot *slot = &ReplicationSlotCtl->replication_slots[index];
	bool		ours = false;

	LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
	if (slot->in_use)
	{
		SpinLockAcquire(&slot->mutex);
		copy->database = slot->data.database;
		copy->active_pid = slot->active_pid;
		copy->restart_lsn = slot->data.restart_lsn;
		strlcpy(copy->name, NameStr(slot->data.name), NAMEDATALEN);
		ours = slot->data.database != InvalidOid &&
			slot->data.persistency != RS_TEMPORARY &&
			strcmp(NameStr(slot->data.plugin), "churn") == 0;
		SpinLockRelease(&slot->mutex);
	}
	LWLockRelease(ReplicationSlotControlLock);
	return ours && !XLogRecPtrIsInvalid(copy->restart_lsn) &&
		strcmp(copy->name, churn_stream_slot_name(copy->database)) == 0;
}

/*
 * How many bytes of WAL a slot holds beyond what it may; 0 if not so.
 */
static uint64
bytes_beyond(const ChurnSlot *slot)
{
	uint64		limit = (uint64) churn_max_wal_lag * 1024 * 1024;
	XLogRecPtr	now = GetXLogInsertRecPtr();

	if (now <= slot->restart_lsn || now - slot->restart_lsn <= limit)
		return 0;
	return now - slot->restart_lsn - limit;
}

/*
 * Drops a slot that nobody uses; whether it is gone.  What goes wrong is
 * logged, and tried again at the next look.
 */
static bool
drop_slot(const char *name)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool dropped = false;

	StartTransactionCommand();
	PG_TRY();
	{
		/* one that was still being made went with its worker */
		if (SearchNamedReplicationSlot(name, true) != NULL)
			ReplicationSlotDrop(name, true);
		dropped = true;
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		EmitErrorReport();
		AbortCurrentTransaction();
		if (MyReplicationSlot != NULL)
			ReplicationSlotRelease();
		FlushErrorState();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return dropped;
}

/*
 * Whether the process that uses a slot, if any, is its database's worker.
 */
static bool
is_ours_to_drop(const ChurnSlot *slot)
{
	ChurnStreamEntry *entry;
	bool		ours;

	if (slot->active_pid == 0)
		return true;
	churn_stream_lock(LW_SHARED);
	entry = churn_stream_find(slot->database);
	ours = entry != NULL && entry->pid == slot->active_pid;
	churn_stream_unlock();
	return ours;
}

/*
 * Says that a slot had to be dropped, and keeps for the next worker that it
 * needs a new one: not before the transactions of now have ended, which would
 * hold it back, too, and have it dropped again.
 */
static void
note_drop(const ChurnSlot *slot, uint64 beyond)
{
	ChurnStreamEntry *entry;

	churn_stream_lock(LW_EXCLUSIVE);
	entry = churn_stream_find(slot->database);
	if (entry != NULL)
	{
		FullTransactionId next = ReadNextFullTransactionId();

		SpinLockAcquire(&entry->mutex);
		entry->slot_after = next;
		entry->slot[0] = '\0';
		SpinLockRelease(&entry->mutex);
		entry->probe = true;
	}
	churn_stream_unlock();
	ereport(WARNING,
			(errmsg("dropped replication slot \"%s\", which held too much WAL",
					slot->name),
			 errdetail("It held %llu MB more than the %d MB that churn.max_wal_lag allows.",
					   (unsigned long long) (beyond / (1024 * 1024)),
					   churn_max_wal_lag),
			 errhint("The watched tables will be rescanned. Look for long transactions, or increase churn.max_wal_lag.")));
}

/*
 * Says that a slot holds too much WAL and cannot be dropped; not at each look.
 */
static void
warn_of_slot(const ChurnSlot *slot)
{
	static TimestampTz warned = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (!TimestampDifferenceExceeds(warned, now, WARN_INTERVAL))
		return;
	warned = now;
	ereport(WARNING,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("replication slot \"%s\" holds too much WAL, but is in use",
					slot->name),
			 errdetail("Process %d uses it.", (int) slot->active_pid),
			 errhint("End that process.")));
}

/*
 * Ends the worker of a slot that holds too much, and drops the slot.  While
 * that lasts the database is held, so that no worker comes between.
 */
static void
drop_from_worker(const ChurnSlot *slot, uint64 beyond)
{
	if (!is_ours_to_drop(slot))
	{
		warn_of_slot(slot);
		return;
	}
	(void) churn_stream_hold(slot->database);
	if (!churn_stream_stop(STOP_TIMEOUT))
		warn_of_slot(slot);
	else if (drop_slot(slot->name))
		note_drop(slot, beyond);
	churn_stream_unhold(false);
}

/*
 * Looks at all slots of ours; called by the launcher every few seconds.
 */
void
churn_launcher_limit_wal(void)
{
	int			i;

	if (churn_max_wal_lag < 0)
		return;
	for (i = 0; i < max_replication_slots; i++)
	{
		ChurnSlot	slot;
		uint64		beyond;

		CHECK_FOR_INTERRUPTS();
		if (!read_slot(i, &slot))
			continue;
		beyond = bytes_beyond(&slot);
		if (beyond > 0)
			drop_from_worker(&slot, beyond);
	}
}
