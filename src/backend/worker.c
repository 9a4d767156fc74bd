/*
 * worker.c
 *		The stream worker of a database: decodes changes and rescores.
 *
 * It owns a logical slot, as a walsender does, and loops: decode what was
 * committed; score it and write it along with the position; commit; confirm
 * the slot once that commit is flushed.  A crash anywhere in between is made
 * good from the position.  Whatever fails ends the process, and the launcher
 * starts another, later and later.
 */
#include "postgres.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogutils.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "replication/decode.h"
#include "replication/logical.h"
#include "replication/origin.h"
#include "replication/slot.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/standby.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "debug_point.h"
#include "decoder.h"
#include "role.h"
#include "stream_alerts.h"
#include "stream_apply.h"
#include "stream_caches.h"
#include "stream_errors.h"
#include "stream_position.h"
#include "stream_read.h"
#include "stream_rescan.h"
#include "stream_shared.h"
#include "stream_windows.h"
#include "stream_write.h"

extern PGDLLEXPORT void churn_stream_worker_main(Datum arg);

/* The log behind the slot may grow so far before a position is written. */
#define IDLE_ADVANCE	(UINT64CONST(4) * 1024 * 1024)

/* Milliseconds between looks at what does not come by the stream. */
#define HOUSEKEEPING	1000

/*
 * Milliseconds to wait after a batch that was not full, so that the next one
 * is larger: a batch costs as much as tens of changes where the processor's
 * caches are others' meanwhile.  If more than MANY changes a second come, it is
 * a millisecond more for each GATHER_RATE of them, up to churn.batch_delay.
 */
#define GATHER			2
#define MANY			2000
#define GATHER_RATE		400

/* Bytes of free memory that the process does not give back. */
#define KEPT_MEMORY		(16 * 1024 * 1024)

/* What a round found. */
typedef enum Round
{
	ROUND_IDLE,					/* nothing to do */
	ROUND_BUSY,					/* changes, and now there are no more */
	ROUND_MORE					/* there is more to do at once */
} Round;

typedef struct Worker
{
	ChurnStreamEntry *entry;
	ChurnDecoderSink sink;
	LogicalDecodingContext *ctx;
	XLogRecPtr	position;		/* as written last */
	XLogRecPtr	commit;			/* of the transaction that wrote it */
	XLogRecPtr	confirmed;		/* to the slot */
	XLogRecPtr	snapshot_at;	/* where we logged running transactions last */
	TimestampTz decoded;		/* when changes were decoded last */
	TimestampTz housekept;		/* when it was done last */
	TimestampTz rated;			/* when rates were computed last */
	uint64		rated_changes;
	uint64		rated_scored;
	DateADT		log_day;		/* for which partitions were made */
	int			nap;			/* ms, grows while nothing happens */
	int			gather;			/* ms to wait after the changes decoded last */
	bool		reading;		/* write-ahead log, of which some may be gone */
	ChurnApplied total;
} Worker;

/*
 * Settings that a database or role might have must not get in the way; and
 * statements of ours use indexes, whatever statistics say.
 */
static void
settle(void)
{
	static const char *const settings[][2] = {
		{"role", "none"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_deferrable", "off"},
		{"statement_timeout", "0"},
#if PG_VERSION_NUM >= 170000
		{"transaction_timeout", "0"},
#endif
		{"lock_timeout", "0"},
		{"deadlock_timeout", "100ms"},	/* it is us who give way, not a DROP */
		{"idle_in_transaction_session_timeout", "0"},
		{"search_path", "pg_catalog, pg_temp"},
		{"synchronous_commit", "off"},
		{"session_replication_role", "origin"},
		{"temp_file_limit", "-1"},
		{"row_security", "on"},
		{"datestyle", "ISO, YMD"},
		{"intervalstyle", "postgres"},
		{"timezone", "UTC"},
		{"bytea_output", "hex"},
		{"extra_float_digits", "1"},
		{"jit", "off"},
		{"max_parallel_workers_per_gather", "0"},
		{"plan_cache_mode", "force_generic_plan"},
		{"enable_seqscan", "off"},
		{"enable_hashjoin", "off"},
		{"enable_mergejoin", "off"},
		{"enable_bitmapscan", "off"},
		{"enable_material", "off"},
		{"enable_memoize", "off"}
	};
	size_t		i;

	for (i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET,
						PGC_S_OVERRIDE);
}

/*
 * Memory that a batch has given back is kept for the next, up to some: the
 * kernel would have to clear it each time.
 */
static void
keep_memory(void)
{
#ifdef M_TRIM_THRESHOLD
	(void) mallopt(M_TRIM_THRESHOLD, KEPT_MEMORY);
	(void) mallopt(M_MMAP_THRESHOLD, KEPT_MEMORY);
#endif
}

/*
 * Shows what the worker is doing.
 */
static void
report_state(Worker *worker, ChurnStreamState state)
{
	if (worker->entry->state == state)
		return;					/* nobody else writes it */
	churn_stream_set_state(worker->entry, state);
	pgstat_report_activity(STATE_RUNNING, churn_stream_state_name(state));
}

/*
 * Clears what was written under the old set, if there was one, about models that
 * the new one no longer has since they were dropped meanwhile.
 */
static void
clear_dropped(const ChurnWatchSet *old, const ChurnWatchSet *set)
{
	ListCell   *cell;

	if (!set->exists)
		return;
	foreach(cell, old != NULL ? old->models : NIL)
		churn_predictions_clear(((ChurnWatchedModel *) lfirst(cell))->name);
	churn_rescan_clear();
}

/*
 * Reads what is to be watched, in place of what was.
 */
static void
load_set(Worker *worker)
{
	ChurnWatchSet *old = worker->sink.set;
	ChurnWatchSet *set;
	ListCell   *cell;
	ListCell   *other;

	churn_read_wait(&worker->sink);
	(void) churn_stream_probed(worker->entry);
	churn_work_begin();
	set = churn_watch_set_load(TopMemoryContext, true);
	clear_dropped(old, set);
	churn_windows_adapt(set);
	if (churn_windows_due())
		churn_windows_write();
	churn_work_end();
	foreach(cell, set->models)
	{
		ChurnWatchedModel *model = lfirst(cell);

		foreach(other, old != NULL ? old->models : NIL)
		{
			const ChurnWatchedModel *before = lfirst(other);

			if (strcmp(before->name, model->name) == 0)
				model->reread_until = Max(before->reread_until,
										  before->rereads_until);
		}
	}
	worker->sink.set = set;
	worker->sink.configured = false;
	churn_rescan_adapt(set);
	if (old != NULL)
		churn_watch_set_free(old);
	SpinLockAcquire(&worker->entry->mutex);
	worker->entry->watches = set->nwatches;
	worker->entry->paused = set->npaused;
	SpinLockRelease(&worker->entry->mutex);
}

/*
 * Gives up the slot, and the position with it.
 */
static void
drop_slot(Worker *worker)
{
	ChurnRole	saved;

	if (worker->ctx != NULL)
		FreeDecodingContext(worker->ctx);
	worker->ctx = NULL;
	churn_position_drop();
	if (!worker->sink.set->exists)
		return;
	churn_work_begin();
	saved = churn_role_become_owner();
	SPI_execute("DELETE FROM churn.stream_position", false, 0);
	churn_role_restore(saved);
	churn_work_end();
}

/*
 * Ends the process since there is nothing to watch.
 */
static void
retire(Worker *worker)
{
	churn_stream_retire(worker->entry);
	drop_slot(worker);
	ereport(LOG,
			(errmsg("churn worker of database %u ends: nothing is watched",
					MyDatabaseId)));
	proc_exit(0);
}

/*
 * Waits on the latch, and does what signals ask for.
 */
static void
wait_a_while(int milliseconds)
{
	static uint32 wait_event = 0;

	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 milliseconds, churn_wait_event("ChurnWorkerMain", &wait_event));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

/*
 * Waits as long as all watches are those of another server or database, and
 * holds no log meanwhile.
 */
static void
wait_while_paused(Worker *worker)
{
	bool		dropped = false;

	while (worker->sink.set->nwatches == 0)
	{
		if (worker->sink.set->npaused == 0)
			retire(worker);
		if (!dropped)
			drop_slot(worker);
		dropped = true;
		report_state(worker, CHURN_STREAM_PAUSED);
		wait_a_while(HOUSEKEEPING);
		load_set(worker);
	}
}

/*
 * Takes the slot, and has all models rescanned if it had to be made.
 */
static void
take_slot(Worker *worker)
{
	ChurnStreamEntry *entry = worker->entry;
	const char *why;
	ListCell   *cell;

	SpinLockAcquire(&entry->mutex);
	strlcpy(entry->slot, churn_stream_slot_name(MyDatabaseId),
			sizeof(entry->slot));
	SpinLockRelease(&entry->mutex);
	report_state(worker, CHURN_STREAM_CREATING_SLOT);
	churn_position_take(entry, &worker->position, &why);
	report_state(worker, CHURN_STREAM_CATCHING_UP);
	if (why != NULL)
	{
		ChurnRole	saved;

		/* what was changed while the slot was made is not in the stream */
		load_set(worker);
		if (worker->sink.set->nwatches == 0)
		{
			ReplicationSlotRelease();	/* which drops it */
			return;
		}
		churn_work_begin();
		saved = churn_role_become_owner();
		churn_position_create(worker->position);
		foreach(cell, worker->sink.set->models)
			churn_rescan_request(lfirst(cell), why);
		if (strcmp(why, "the replication slot is new") != 0)
			churn_stream_error_text("slot", NULL, NULL,
									ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
									psprintf("the slot was made anew: %s", why),
									"All customers of the watched models are scored again.",
									NULL);
		churn_role_restore(saved);
		churn_work_end();
		XLogFlush(XactLastCommitEnd);
		ReplicationSlotPersist();
		SpinLockAcquire(&entry->mutex);
		entry->slot_after = InvalidFullTransactionId;
		SpinLockRelease(&entry->mutex);
	}
	foreach(cell, worker->sink.set->models)
	{
		ChurnWatchedModel *model = lfirst(cell);

		model->reread_until = Max(model->reread_until,
								  churn_position_read_until());
	}
	worker->confirmed = worker->position;
	worker->ctx = churn_position_decode(worker->position);
}

/*
 * Gets the slot, if there is something to watch; until then it waits.
 */
static void
be_ready(Worker *worker)
{
	do
	{
		wait_while_paused(worker);
		if (worker->ctx == NULL)
			take_slot(worker);
	} while (worker->ctx == NULL);
}

/*
 * A position at the start of a page stands for that behind the page's header,
 * which is what the server says when the next record will begin there.
 */
static XLogRecPtr
beyond_page_header(XLogRecPtr lsn)
{
	if (lsn % XLOG_BLCKSZ != 0)
		return lsn;
	return lsn + (XLogSegmentOffset(lsn, wal_segment_size) == 0 ?
				  SizeOfXLogLongPHD : SizeOfXLogShortPHD);
}

/*
 * Decodes up to the end of the log that is flushed, but no more than a batch;
 * nor beyond a transaction that changed what is watched.  Returns whether
 * there is more.
 */
static bool
decode_records(Worker *worker)
{
	XLogReaderState *reader = worker->ctx->reader;
	XLogRecPtr	end = GetFlushRecPtr(NULL);

	while (reader->EndRecPtr < end)
	{
		char	   *message = NULL;
		XLogRecord *record;

		worker->reading = true;
		record = XLogReadRecord(reader, &message);
		worker->reading = false;
		if (message != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("could not read the write-ahead log at %X/%X: %s",
							LSN_FORMAT_ARGS(reader->EndRecPtr), message)));
		if (record == NULL)
		{
			/* the end of this record is not flushed yet */
			XLogBeginRead(reader, beyond_page_header(reader->EndRecPtr));
			return false;
		}
		LogicalDecodingProcessRecord(worker->ctx, reader);
		CHECK_FOR_INTERRUPTS();
		if (worker->sink.tape->changes >= (uint64) churn_batch_size ||
			worker->sink.configured || worker->sink.set->stale)
			return true;
	}
	return false;
}

/*
 * Decodes, with the catalogs as they were.
 */
static bool
decode(Worker *worker)
{
	bool		more;

	if (worker->ctx->reader->EndRecPtr >= GetFlushRecPtr(NULL))
		return false;
	churn_caches_switch();
	more = decode_records(worker);
	churn_caches_switch();
	churn_caches_passed(worker->ctx->reader->EndRecPtr);
	return more;
}

/*
 * Computes how long to wait for more changes, from how many there were since
 * the last time there were some.
 */
static void
plan_gathering(Worker *worker)
{
	TimestampTz now = GetCurrentTimestamp();
	uint64		rate = worker->sink.tape->changes * USECS_PER_SEC /
	Max(now - worker->decoded, 1);

	worker->decoded = now;
	worker->gather = Min(GATHER, churn_naptime);
	if (rate > MANY)
		worker->gather = (int) Min(GATHER + (rate - MANY) / GATHER_RATE,
								   (uint64) churn_batch_delay);
}

/*
 * Adds the time from commit to score of the changes on the tape.
 */
static void
note_latencies(Worker *worker)
{
	ChurnStreamEntry *entry = worker->entry;
	const ChurnTape *tape = worker->sink.tape;
	TimestampTz now = GetCurrentTimestamp();
	uint64		counts[CHURN_STREAM_BUCKETS] = {0};
	Size		i;

	for (i = 0; i < tape->ncommits; i++)
	{
		const ChurnTapeCommit *commit = &tape->commits[i];

		counts[churn_stream_bucket((double) (now - commit->committed) /
								   USECS_PER_SEC)] += commit->changes;
	}
	SpinLockAcquire(&entry->mutex);
	for (i = 0; i < CHURN_STREAM_BUCKETS; i++)
		entry->histogram[i] += counts[i];
	entry->applied_at = tape->commits[tape->ncommits - 1].committed;
	entry->last_batch = (int) Min(tape->changes, PG_INT32_MAX);
	entry->batches++;
	SpinLockRelease(&entry->mutex);
}

/*
 * Notes in shared memory how far the worker is.
 */
static void
report_progress(Worker *worker, bool caught_up)
{
	ChurnStreamEntry *entry = worker->entry;
	TimestampTz now = GetCurrentTimestamp();
	XLogRecPtr	end = beyond_page_header(worker->ctx->reader->EndRecPtr);
	int			rescans = churn_rescan_count(worker->sink.set, entry);
	bool		moved;

	SpinLockAcquire(&entry->mutex);
	moved = entry->applied < end || entry->rescans != rescans;
	entry->applied = Max(entry->applied, end);
	entry->rescans = rescans;
	entry->changes = worker->total.changes;
	entry->scored = worker->total.scored;
	entry->written = worker->total.written;
	entry->write_seconds = worker->total.write_seconds;
	if (caught_up)
		entry->caught_up_at = now;
	if (now - worker->rated >= USECS_PER_SEC)
	{
		double		seconds = (double) (now - worker->rated) / USECS_PER_SEC;

		entry->change_rate = entry->change_rate / 2 +
			(worker->total.changes - worker->rated_changes) / seconds / 2;
		entry->score_rate = entry->score_rate / 2 +
			(worker->total.scored - worker->rated_scored) / seconds / 2;
		worker->rated = now;
		worker->rated_changes = worker->total.changes;
		worker->rated_scored = worker->total.scored;
	}
	SpinLockRelease(&entry->mutex);
	if (moved)
		ConditionVariableBroadcast(&entry->moved);
}

/*
 * Scores what was decoded and writes it with the position; without changes,
 * the position alone, if the log has grown enough to be worth it.
 */
static void
apply(Worker *worker)
{
	XLogRecPtr	end = worker->ctx->reader->EndRecPtr;
	bool		changed = worker->sink.tape->changes > 0;
	ChurnRole	saved;

	if (!changed && end < worker->position + IDLE_ADVANCE)
		return;
	churn_debug_point("decode");
	churn_work_begin();
	if (changed)
		churn_apply(&worker->sink, worker->sink.tape, "stream",
					&worker->total);
	if (churn_windows_due())
		churn_windows_write();
	churn_debug_point("upsert");
	saved = churn_role_become_owner();
	churn_position_write(end);
	churn_role_restore(saved);
	churn_debug_point("commit");
	churn_work_end();
	worker->position = end;
	worker->commit = XactLastCommitEnd;
	if (!changed)
		XLogFlush(worker->commit);	/* nobody else may be writing */
	churn_debug_point("confirm");
	if (changed)
		note_latencies(worker);
	churn_tape_clear(worker->sink.tape);
	churn_read_passed(worker->sink.set, end);
	churn_stream_healthy(worker->entry);
}

/*
 * Confirms the slot as far as a position is flushed.  Where the slot holds more
 * log than it needs to, running transactions are logged, as the background
 * writer does now and then, since it is from there that decoding would start.
 */
static void
confirm(Worker *worker)
{
	XLogRecPtr	flushed = GetFlushRecPtr(NULL);

	if (worker->confirmed < worker->position && worker->commit <= flushed)
	{
		LogicalConfirmReceivedLocation(worker->position);
		worker->confirmed = worker->position;
	}
	if (worker->confirmed > MyReplicationSlot->data.restart_lsn + 2 * IDLE_ADVANCE &&
		worker->confirmed > worker->snapshot_at + 2 * IDLE_ADVANCE)
	{
		worker->snapshot_at = LogStandbySnapshot();
		XLogFlush(worker->snapshot_at);
	}
}

/*
 * Looks, now and then, at what the stream does not tell: invalidations while
 * nothing is decoded, counts that are to be written, the log's partitions.
 */
static void
keep_house(Worker *worker)
{
	TimestampTz now = GetCurrentTimestamp();
	DateADT		today;
	ChurnRole	saved;

	if (worker->sink.set->nwatches == 0 ||
		now - worker->housekept < HOUSEKEEPING * INT64CONST(1000))
		return;
	worker->housekept = now;
	SetCurrentStatementStartTimestamp();
	if (churn_windows_due())
	{
		churn_work_begin();
		churn_windows_write();
		churn_work_end();
	}
	today = churn_statement_day();
	if (today == worker->log_day || churn_log_retention == 0)
	{
		/* the start of a transaction takes in invalidations */
		StartTransactionCommand();
		CommitTransactionCommand();
		return;
	}
	churn_work_begin();
	saved = churn_role_become_owner();
	SPI_execute(psprintf("SELECT churn.maintain_log('%d minutes')",
						 churn_log_retention), false, 0);
	churn_role_restore(saved);
	churn_work_end();
	worker->log_day = today;
}

/*
 * Does one round, and says what is to be expected of the next.
 */
static Round
do_round(Worker *worker)
{
	bool		more = decode(worker);
	uint64		changes = worker->sink.tape->changes;
	bool		rescanned;

	if (changes > 0)
		plan_gathering(worker);
	apply(worker);
	confirm(worker);
	if (worker->sink.configured || worker->sink.set->stale ||
		churn_stream_probed(worker->entry))
	{
		load_set(worker);
		be_ready(worker);
	}
	rescanned = !more && churn_rescan_step(&worker->sink, worker->entry,
										   &worker->total);
	report_progress(worker, !more);
	report_state(worker, more ? CHURN_STREAM_CATCHING_UP :
				 rescanned ? CHURN_STREAM_RESCANNING : CHURN_STREAM_STREAMING);
	keep_house(worker);
	if (more || rescanned)
		return ROUND_MORE;
	return changes > 0 ? ROUND_BUSY : ROUND_IDLE;
}

/*
 * Works until told to stop.
 */
static void
work(Worker *worker)
{
	load_set(worker);
	be_ready(worker);
	keep_house(worker);
	for (;;)
	{
		switch (do_round(worker))
		{
			case ROUND_MORE:
				worker->nap = 0;
				break;
			case ROUND_BUSY:
				worker->nap = worker->gather;
				break;
			case ROUND_IDLE:
				worker->nap = Min(worker->nap + 1, churn_naptime);
				break;
		}
		wait_a_while(worker->nap);
	}
}

/*
 * Leaves word of an error, in churn.errors if that is possible, and in shared
 * memory.
 */
static void
leave_word(Worker *worker, ErrorData *error)
{
	churn_stream_set_error(worker->entry, error->message != NULL ?
						   error->message : "unknown error");
	PG_TRY();
	{
		churn_work_begin();
		if (error->message == NULL ||
			!churn_stream_error_repeats(error->message))
			churn_stream_error_row("batch", NULL, NULL, NULL,
								   InvalidXLogRecPtr, error);
		churn_work_end();
	}
	PG_CATCH();
	{
		/* there may be no table any more; the server's log has the error */
		AbortCurrentTransaction();
		FlushErrorState();
	}
	PG_END_TRY();
}

/*
 * Entry point of the process; the argument is the OID of the database.
 */
void
churn_stream_worker_main(Datum arg)
{
	Worker	   *worker;
	MemoryContext context;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	worker = MemoryContextAllocZero(TopMemoryContext, sizeof(Worker));
	worker->entry = churn_stream_take(DatumGetObjectId(arg));
	if (worker->entry == NULL)
		proc_exit(0);
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(arg),
											  InvalidOid, 0);
	settle();
	keep_memory();
	churn_caches_init();
	churn_windows_init();
	/* what this process writes is of no interest to its decoding */
	replorigin_session_origin = DoNotReplicateId;
	worker->sink.context = TopMemoryContext;
	worker->sink.tape = churn_tape_create(TopMemoryContext);
	churn_decoder_sink = &worker->sink;
	context = AllocSetContextCreate(TopMemoryContext, "churn worker",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		work(worker);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		churn_alerts_forget();
		/* without its log the slot is of no use; the next worker makes one */
		if (worker->reading && error->sqlerrcode == ERRCODE_UNDEFINED_FILE)
			churn_position_drop();
		leave_word(worker, error);
		proc_exit(1);
	}
	PG_END_TRY();
}
