/*
 * stream_position.c
 *		The replication slot of a stream worker, and how far it has come.
 *
 * How far it has come is a row of churn.stream_position, written in the
 * transaction that writes the predictions; the slot follows later.  So
 * the row is the truth, and the slot only keeps the write-ahead log.  It counts
 * for nothing where the slot is not the one it was written for: then there may
 * be a gap between the two, and all customers have to be scored.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlogutils.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "replication/decode.h"
#include "replication/slot.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"
#include "utils/snapmgr.h"
#include "utils/varlena.h"

#include "compat.h"
#include "role.h"
#include "stream_position.h"
#include "stream_watch.h"

/* What is on record of the slot. */
typedef struct Position
{
	bool		found;
	XLogRecPtr	created;
	XLogRecPtr	lsn;
	XLogRecPtr	read;
} Position;

/* The log went up to there when customers were read last. */
static XLogRecPtr read_until = InvalidXLogRecPtr;

/*
 * The name of this database's slot.
 */
static Datum
slot_name(void)
{
	const char *name = churn_stream_slot_name(MyDatabaseId);

	return DirectFunctionCall1(namein, CStringGetDatum(name));
}

/*
 * Reads the row of churn.stream_position of this database.
 */
static Position
read_position(void)
{
	Oid			types[] = {NAMEOID, TEXTOID};
	Datum		values[2];
	Position	position = {0};
	ChurnRole	saved;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	saved = churn_role_become_owner();
	values[0] = slot_name();
	values[1] = CStringGetTextDatum(churn_stream_home());
	SPI_execute_with_args("SELECT created_lsn, lsn, read_lsn FROM churn.stream_position"
						  " WHERE slot = $1 AND home = $2",
						  2, types, values, NULL, true, 1);
	if (SPI_processed > 0)
	{
		HeapTuple	row = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;

		position.found = true;
		position.created = DatumGetLSN(SPI_getbinval(row, desc, 1, &isnull));
		position.lsn = DatumGetLSN(SPI_getbinval(row, desc, 2, &isnull));
		position.read = DatumGetLSN(SPI_getbinval(row, desc, 3, &isnull));
	}
	churn_role_restore(saved);
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	return position;
}

static const char *const foreign_slot = "the replication slot is somebody else's";

/*
 * What is wrong with the slot, for a position; NULL if nothing is.
 */
static const char *
find_fault(const ReplicationSlot *slot, const Position *position)
{
	ReplicationSlotPersistentData data;

	if (slot == NULL)
		return position->found ? "the replication slot is gone" :
			"the replication slot is new";
	SpinLockAcquire(&unconstify(ReplicationSlot *, slot)->mutex);
	data = slot->data;
	SpinLockRelease(&unconstify(ReplicationSlot *, slot)->mutex);
	if (churn_slot_is_invalid(&data))
		return "the server invalidated the replication slot";
	if (data.database != MyDatabaseId ||
		strcmp(NameStr(data.plugin), "churn") != 0)
		return foreign_slot;
	if (!position->found)
		return "the position is unknown";
	if (data.confirmed_flush > position->lsn ||
		data.confirmed_flush < position->created)
		return "the replication slot is not the one of the position";
	return NULL;
}

/*
 * Lets this session use the output plugin, where the server wants it listed.
 * The library was preloaded by the administrator, so this grants nothing.
 */
static void
allow_plugin(void)
{
	const char *list = GetConfigOption("output_plugin_libraries", true, false);
	List	   *names;
	ListCell   *cell;

	if (list == NULL)
		return;
	if (SplitIdentifierString(pstrdup(list), ',', &names))
	{
		foreach(cell, names)
		{
			if (strcmp(lfirst(cell), "churn") == 0)
				return;
		}
	}
	SetConfigOption("output_plugin_libraries",
					list[0] != '\0' ? psprintf("%s, churn", list) : "churn",
					PGC_SUSET, PGC_S_SESSION);
}

/*
 * Waits until no transaction runs that is older than the slot that was
 * dropped since it held too much WAL: a new one would hold as much.  By its
 * lock, so that pg_blocking_pids() tells whom we wait for.
 */
static void
wait_for_old_transactions(ChurnStreamEntry *entry)
{
	FullTransactionId after;

	SpinLockAcquire(&entry->mutex);
	after = entry->slot_after;
	SpinLockRelease(&entry->mutex);
	while (FullTransactionIdIsValid(after))
	{
		TransactionId oldest = GetOldestActiveTransactionId();

		if (!TransactionIdPrecedes(oldest, XidFromFullTransactionId(after)))
			break;
		StartTransactionCommand();
		XactLockTableWait(oldest, NULL, NULL, XLTW_None);
		CommitTransactionCommand();
	}
}

/*
 * Makes the slot, which waits for transactions that run; returns where it
 * begins.  It vanishes with an error until churn_position_create().  Inside a
 * transaction, since a decoding context that is made outside of one hides the
 * process's snapshots from VACUUM.
 */
static XLogRecPtr
create_slot(void)
{
	LogicalDecodingContext *ctx;

	StartTransactionCommand();
	CheckLogicalDecodingRequirements();
	allow_plugin();
	churn_slot_create(churn_stream_slot_name(MyDatabaseId));
	ctx = CreateInitDecodingContext("churn", NIL, false, InvalidXLogRecPtr,
									XL_ROUTINE(.page_read = read_local_xlog_page,
											   .segment_open = wal_segment_open,
											   .segment_close = wal_segment_close),
									NULL, NULL, NULL);
	DecodingContextFindStartpoint(ctx);
	FreeDecodingContext(ctx);
	CommitTransactionCommand();
	return MyReplicationSlot->data.confirmed_flush;
}

/*
 * Takes the slot; see stream_position.h.
 */
void
churn_position_take(ChurnStreamEntry *entry, XLogRecPtr *lsn,
					const char **why)
{
	const char *name = churn_stream_slot_name(MyDatabaseId);
	Position	position = read_position();
	ReplicationSlot *slot = SearchNamedReplicationSlot(name, true);

	*why = find_fault(slot, &position);
	if (*why == NULL)
	{
		allow_plugin();
		churn_slot_acquire(name);
		*lsn = position.lsn;
		read_until = position.read;
		return;
	}
	if (*why == foreign_slot)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("replication slot \"%s\" is somebody else's", name),
				 errhint("Live rescoring needs that name in this database: drop the slot.")));
	if (slot != NULL)
		ReplicationSlotDrop(name, false);
	wait_for_old_transactions(entry);
	*lsn = create_slot();
}

/*
 * Notes that customers were read; see stream_position.h.
 */
void
churn_position_note_read(XLogRecPtr lsn)
{
	read_until = Max(read_until, lsn);
}

/*
 * How far the log went when customers were read last, also by a process before
 * this one.
 */
XLogRecPtr
churn_position_read_until(void)
{
	return read_until;
}

/*
 * Notes that all that committed before lsn is rescored.
 */
void
churn_position_write(XLogRecPtr lsn)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[] = {NAMEOID, LSNOID, LSNOID};
	Datum		values[3];

	if (plan == NULL)
	{
		plan = SPI_prepare("UPDATE churn.stream_position"
						   " SET lsn = greatest(lsn, $2), read_lsn = $3"
						   " WHERE slot = $1", 3, types);
		SPI_keepplan(plan);
	}
	values[0] = slot_name();
	values[1] = LSNGetDatum(lsn);
	values[2] = LSNGetDatum(read_until);
	SPI_execute_plan(plan, values, NULL, false, 0);
	if (SPI_processed != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the row of churn.stream_position is gone"),
				 errhint("The worker makes a new one and scores all customers.")));
}

/*
 * Notes where a new slot begins.
 */
void
churn_position_create(XLogRecPtr lsn)
{
	Oid			types[] = {NAMEOID, TEXTOID, LSNOID};
	Datum		values[3];

	values[0] = slot_name();
	values[1] = CStringGetTextDatum(churn_stream_home());
	values[2] = LSNGetDatum(lsn);
	SPI_execute("DELETE FROM churn.stream_position", false, 0);
	SPI_execute_with_args("INSERT INTO churn.stream_position"
						  " (slot, home, created_lsn, lsn) VALUES ($1, $2, $3, $3)",
						  3, types, values, NULL, false, 0);
}

/*
 * Drops the slot, if it is ours.
 */
void
churn_position_drop(void)
{
	const char *name = churn_stream_slot_name(MyDatabaseId);
	ReplicationSlot *slot;

	if (MyReplicationSlot != NULL)
		ReplicationSlotRelease();
	slot = SearchNamedReplicationSlot(name, true);
	if (slot != NULL && slot->data.database == MyDatabaseId &&
		strcmp(NameStr(slot->data.plugin), "churn") == 0)
		ReplicationSlotDrop(name, false);
}

/*
 * Reads a page of the write-ahead log for decoding, if what is wanted of it is
 * flushed.  Core's own function waits for that, and a record whose beginning is
 * flushed and whose end is not would hold up everything until the WAL writer
 * comes by.
 */
static int
read_page(XLogReaderState *reader, XLogRecPtr page, int wanted,
		  XLogRecPtr record, char *buffer)
{
	if (page + wanted > GetFlushRecPtr(NULL))
		return -1;
	return read_local_xlog_page(reader, page, wanted, record, buffer);
}

/*
 * Begins to decode.  The slot starts earlier than position, and what was
 * committed before that is skipped.
 */
LogicalDecodingContext *
churn_position_decode(XLogRecPtr position)
{
	MemoryContext old;
	LogicalDecodingContext *ctx;

	StartTransactionCommand();
	old = MemoryContextSwitchTo(TopMemoryContext);
	ctx = CreateDecodingContext(position, NIL, false,
								XL_ROUTINE(.page_read = read_page,
										   .segment_open = wal_segment_open,
										   .segment_close = wal_segment_close),
								NULL, NULL, NULL);
	MemoryContextSwitchTo(old);
	CommitTransactionCommand();
	XLogBeginRead(ctx->reader, MyReplicationSlot->data.restart_lsn);
	return ctx;
}
