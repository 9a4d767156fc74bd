/*
 * stream_request.c
 *		Sessions ask a stream worker for rescans, and wait for them.
 *
 * A request takes one of the places of the database's entry.  The session
 * frees it, however it ends; the worker answers only if the place is still the
 * request's, which its number tells.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"

#include "compat.h"
#include "stream_control.h"

/* A place in an entry, and the request that this session put there. */
typedef struct Place
{
	ChurnStreamEntry *entry;
	ChurnStreamRequest *request;
	uint64		id;
} Place;

/*
 * Frees the place, unless it is another's by now.
 */
static void
free_place(int code, Datum arg)
{
	Place	   *place = (Place *) DatumGetPointer(arg);

	SpinLockAcquire(&place->entry->mutex);
	if (place->request->id == place->id)
		memset(place->request, 0, sizeof(ChurnStreamRequest));
	SpinLockRelease(&place->entry->mutex);
}

/*
 * Puts a request into a free place and wakes the worker.
 */
static void
put_request(int model_id, int reasons, Place *place)
{
	XLogRecPtr	after = churn_stream_wal_end();
	ChurnStreamEntry *entry;
	bool		running = false;
	int			i;

	place->request = NULL;
	churn_stream_lock(LW_SHARED);
	entry = churn_stream_find(MyDatabaseId);
	if (entry != NULL && entry->pid != 0)
	{
		running = true;
		SpinLockAcquire(&entry->mutex);
		for (i = 0; i < CHURN_STREAM_REQUESTS && place->request == NULL; i++)
		{
			ChurnStreamRequest *request = &entry->requests[i];

			if (request->id != 0)
				continue;
			request->id = ++entry->last_request;
			request->model_id = model_id;
			request->reasons = reasons;
			request->after = after;
			place->entry = entry;
			place->request = request;
			place->id = request->id;
		}
		SpinLockRelease(&entry->mutex);
		churn_stream_wake(entry);
	}
	churn_stream_unlock();
	if (!running)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no stream worker runs in this database"),
				 errdetail("Predictions of a watched model are written by it alone."),
				 errhint("See churn.stream_status and the server's log; the launcher starts a worker as soon as it can.")));
	if (place->request == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many rescans are waiting"),
				 errdetail("At most %d sessions of a database can wait for one.",
						   CHURN_STREAM_REQUESTS),
				 errhint("Try again when some are done.")));
}

/*
 * Whether the request is done; copies it, or if its place is lost one that has
 * failed.
 */
static bool
request_is_done(const Place *place, ChurnStreamRequest *copy)
{
	SpinLockAcquire(&place->entry->mutex);
	*copy = *place->request;
	SpinLockRelease(&place->entry->mutex);
	if (copy->id != place->id)
	{
		/* the entry was freed: its worker has ended */
		copy->done = true;
		copy->failed = true;
		copy->ended = true;
	}
	return copy->done;
}

/*
 * Waits until the request is done, for as long as that takes.
 */
static void
wait_for_request(const Place *place, ChurnStreamRequest *copy)
{
	static uint32 wait_event = 0;

	ConditionVariablePrepareToSleep(&place->entry->moved);
	while (!request_is_done(place, copy))
		ConditionVariableSleep(&place->entry->moved,
							   churn_wait_event("ChurnRescan", &wait_event));
	ConditionVariableCancelSleep();
}

/*
 * Asks for a rescan of a model and waits for it; returns the rows written.
 */
int64
churn_stream_rescan(int model_id, int reasons)
{
	Place		place;
	ChurnStreamRequest request;

	if (!churn_stream_available())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("churn is not preloaded"),
				 errhint("Add churn to shared_preload_libraries and restart the server.")));
	put_request(model_id, reasons, &place);
	PG_ENSURE_ERROR_CLEANUP(free_place, PointerGetDatum(&place));
	{
		wait_for_request(&place, &request);
	}
	PG_END_ENSURE_ERROR_CLEANUP(free_place, PointerGetDatum(&place));
	free_place(0, PointerGetDatum(&place));
	if (request.failed && request.ended)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the stream worker ended before the rescan was done"),
				 errhint("Try again; churn.stream_status and the server's log say why it ended.")));
	if (request.failed)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("the stream worker could not rescan the model"),
				 errhint("churn.errors says why.")));
	return request.written;
}

/*
 * Takes the oldest request for the worker that it knows enough for; false if
 * there is none.
 */
bool
churn_stream_next_request(ChurnStreamEntry *entry, ChurnStreamRequest *request)
{
	ChurnStreamRequest *oldest = NULL;
	int			i;

	SpinLockAcquire(&entry->mutex);
	for (i = 0; i < CHURN_STREAM_REQUESTS; i++)
	{
		ChurnStreamRequest *other = &entry->requests[i];

		if (other->id != 0 && !other->taken && !other->done &&
			other->after <= entry->applied &&
			(oldest == NULL || other->id < oldest->id))
			oldest = other;
	}
	if (oldest != NULL)
	{
		oldest->taken = true;
		*request = *oldest;
	}
	SpinLockRelease(&entry->mutex);
	return oldest != NULL;
}

/*
 * Answers a request that the worker took, if its session still waits.
 */
void
churn_stream_finish_request(ChurnStreamEntry *entry, uint64 id, bool failed,
							int64 written)
{
	int			i;

	SpinLockAcquire(&entry->mutex);
	for (i = 0; i < CHURN_STREAM_REQUESTS; i++)
	{
		ChurnStreamRequest *request = &entry->requests[i];

		if (request->id != id)
			continue;
		request->done = true;
		request->failed = failed;
		request->written = written;
	}
	SpinLockRelease(&entry->mutex);
	ConditionVariableBroadcast(&entry->moved);
}

/*
 * Fails all requests, since the worker ends; see stream_control.h.
 */
void
churn_stream_fail_requests(ChurnStreamEntry *entry)
{
	int			i;

	SpinLockAcquire(&entry->mutex);
	for (i = 0; i < CHURN_STREAM_REQUESTS; i++)
	{
		ChurnStreamRequest *request = &entry->requests[i];

		if (request->id == 0 || request->done)
			continue;
		request->done = true;
		request->failed = true;
		request->ended = true;
	}
	SpinLockRelease(&entry->mutex);
}
