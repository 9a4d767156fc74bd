/*
 * stream_windows.c
 *		How the features and scores of changes are distributed, by hour.
 *
 * For each watched model there is a window: a profile over the cells of the
 * champion's baseline, in which the scores of changes are counted.  A profile
 * is up to 8 kB a feature, far too much to be written with each batch.  So what was
 * counted is added to churn.profiles when the hour ends, when another version
 * is in force, when the worker is told to stop, and otherwise once a minute; a
 * crash loses what was counted since.
 *
 * Nothing is counted twice.  The rows of a transaction are kept until it
 * commits, and are then counted; what is written is emptied at the same place.
 * So a transaction that is rolled back, whose changes come again, leaves no
 * trace.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "churn/profile.h"

#include "compat.h"
#include "encoding.h"
#include "role.h"
#include "stream_caches.h"
#include "stream_windows.h"

/* Microseconds between two writes of a window. */
#define WRITE_INTERVAL	(INT64CONST(60) * 1000 * 1000)

/*
 * Bytes of rows that are kept until their transaction commits.  More are
 * counted at once: should it be rolled back, what its windows hold is lost, as
 * in a crash.
 */
#define MOST_KEPT		((Size) 4 * 1024 * 1024)

/* The hour of a version in force, as far as it is not written. */
typedef struct ChurnWindow
{
	MemoryContext context;		/* holds all of it */
	char	   *model;
	int			model_id;
	int			version;
	ChurnBaseline *baseline;	/* NULL: the version has none */
	ChurnProfile *profile;
	TimestampTz hour;			/* when it began */
	TimestampTz written_at;		/* 0: never */
	bool		leaving;		/* the version is not in force any more */
	/* in the present transaction: */
	bool		written;		/* to be emptied when it commits */
	bool		counted;		/* has rows of it that may be taken back */
} ChurnWindow;

/* Rows that are to be counted when the present transaction commits. */
typedef struct KeptRows
{
	ChurnWindow *window;
	int			n;
	double	   *scores;
	float	   *features;
} KeptRows;

static List *windows = NIL;		/* of ChurnWindow, in TopMemoryContext */
static MemoryContext kept_context = NULL;
static List *kept = NIL;		/* of KeptRows */
static Size kept_bytes = 0;

/*
 * The beginning of the hour that a time belongs to, in UTC.
 */
static TimestampTz
hour_of(TimestampTz time)
{
	return time - time % USECS_PER_HOUR;
}

/*
 * The present transaction has committed: empties what it wrote, and counts its
 * rows.
 */
static void
after_commit(void)
{
	TimestampTz hour = hour_of(GetCurrentTimestamp());
	ListCell   *cell;

	foreach(cell, windows)
	{
		ChurnWindow *window = lfirst(cell);

		if (window->written && window->leaving)
		{
			windows = foreach_delete_current(windows, cell);
			MemoryContextDelete(window->context);
			continue;
		}
		if (window->written)
			churn_profile_init(window->baseline, window->profile);
		window->written = false;
		window->counted = false;
		if (window->baseline != NULL && window->profile->rows == 0)
			window->hour = hour;
	}
	foreach(cell, kept)
	{
		const KeptRows *rows = lfirst(cell);

		churn_profile_add_rows(rows->window->baseline, rows->window->profile,
							   rows->features, rows->scores, rows->n);
	}
}

/*
 * The present transaction was rolled back: its changes will come again.
 */
static void
after_abort(void)
{
	ListCell   *cell;

	foreach(cell, windows)
	{
		ChurnWindow *window = lfirst(cell);

		if (window->counted)
			churn_profile_init(window->baseline, window->profile);
		window->written = false;
		window->counted = false;
	}
}

/*
 * The present transaction has ended.
 */
static void
end_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT)
		after_commit();
	else if (event == XACT_EVENT_ABORT)
		after_abort();
	else
		return;
	kept = NIL;

	kept_bytes = 0;
	MemoryContextReset(kept_context);
}

/*
 * Whether a window is to be written by now.
 */
static bool
is_due(const ChurnWindow *window, TimestampTz now)
{
	if (window->written)
		return false;
	if (window->leaving)
		return true;
	return window->baseline != NULL && window->profile->rows > 0 &&
		(window->hour != hour_of(now) ||
		 now - window->written_at >= WRITE_INTERVAL ||
		 now < window->written_at);
}

/*
 * Whether anything is to be written by now.
 */
bool
churn_windows_due(void)
{
	TimestampTz now = GetCurrentTimestamp();
	ListCell   *cell;

	foreach(cell, windows)
	{
		if (is_due(lfirst(cell), now))
			return true;
	}
	return false;
}

/*
 * Whether the version still exists.  If so, it cannot be dropped until the
 * present transaction ends, and one that is just being dropped counts as gone:
 * nobody has to wait.
 */
static bool
version_exists(const ChurnWindow *window)
{
	Oid			types[] = {TEXTOID, INT4OID, INT4OID};
	Datum		values[3];

	values[0] = CStringGetTextDatum(window->model);
	values[1] = Int32GetDatum(window->model_id);
	values[2] = Int32GetDatum(window->version);
	SPI_execute_with_args("SELECT FROM churn.models m"
						  " JOIN churn.model_versions v ON v.model = m.name"
						  " WHERE m.name = $1 AND m.model_id = $2 AND v.version = $3"
						  " FOR KEY SHARE OF v SKIP LOCKED",
						  lengthof(types), types, values, NULL, false, 1);
	return SPI_processed > 0;
}

/*
 * A copy of the window's profile, as a bytea, to which what is stored of the
 * hour has been added.  Stored bytes that are none of the baseline's are not.
 */
static bytea *
add_stored(const ChurnWindow *window)
{
	Oid			types[] = {TEXTOID, INT4OID, TIMESTAMPTZOID};
	Datum		values[3];
	Size		size = churn_profile_size(window->baseline);
	ChurnProfile *sum = palloc(size);
	bytea	   *result = palloc(VARHDRSZ + size);
	ChurnError	error;

	memcpy(sum, window->profile, size);
	values[0] = CStringGetTextDatum(window->model);
	values[1] = Int32GetDatum(window->version);
	values[2] = TimestampTzGetDatum(window->hour);
	SPI_execute_with_args("SELECT profile FROM churn.profiles"
						  " WHERE model = $1 AND version = $2 AND window_start = $3",
						  lengthof(types), types, values, NULL, false, 1);
	if (SPI_processed > 0)
	{
		bool		isnull;
		Datum		value = SPI_getbinval(SPI_tuptable->vals[0],
										  SPI_tuptable->tupdesc, 1, &isnull);
		bytea	   *stored = DatumGetByteaPP(value);
		Size		length = VARSIZE_ANY_EXHDR(stored);
		ChurnProfile *aligned = palloc(Max(length, 1));

		memcpy(aligned, VARDATA_ANY(stored), length);
		if (churn_profile_valid(aligned, length) &&
			churn_profile_fits(window->baseline, aligned))
			(void) churn_profile_merge(sum, aligned, &error);
	}
	SET_VARSIZE(result, VARHDRSZ + size);
	memcpy(VARDATA(result), sum, size);
	return result;
}

/*
 * Adds what a window has counted to churn.profiles.
 */
static void
write_window(ChurnWindow *window, TimestampTz now)
{
	Oid			types[] = {TEXTOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID,
	INT8OID, TIMESTAMPTZOID, BYTEAOID};
	Datum		values[7];
	ChurnProfile head;
	bytea	   *bytes;

	window->written = true;
	window->written_at = now;
	if (window->baseline == NULL || window->profile->rows == 0 ||
		!version_exists(window))
		return;
	bytes = add_stored(window);
	memcpy(&head, VARDATA(bytes), sizeof(head));
	values[0] = CStringGetTextDatum(window->model);
	values[1] = Int32GetDatum(window->version);
	values[2] = TimestampTzGetDatum(window->hour);
	values[3] = TimestampTzGetDatum(window->hour + USECS_PER_HOUR);
	values[4] = Int64GetDatum((int64) head.rows);
	values[5] = TimestampTzGetDatum(now);
	values[6] = PointerGetDatum(bytes);
	SPI_execute_with_args("INSERT INTO churn.profiles (model, version, window_start,"
						  " window_end, rows, updated_at, profile)"
						  " VALUES ($1, $2, $3, $4, $5, $6, $7)"
						  " ON CONFLICT (model, version, window_start) DO UPDATE"
						  " SET rows = $5, updated_at = $6, profile = $7",
						  lengthof(types), types, values, NULL, false, 0);
}

/*
 * Writes what is due; see stream_windows.h.
 */
void
churn_windows_write(void)
{
	TimestampTz now = GetCurrentTimestamp();
	ChurnRole	saved = churn_role_become_owner();
	ListCell   *cell;

	foreach(cell, windows)
	{
		if (is_due(lfirst(cell), now))
			write_window(lfirst(cell), now);
	}
	churn_role_restore(saved);
}

/*
 * The baseline of a version as JSON; NULL if it has none.
 */
static char *
read_baseline(const char *model, int version)
{
	Oid			types[] = {TEXTOID, INT4OID};
	Datum		values[2];

	values[0] = CStringGetTextDatum(model);
	values[1] = Int32GetDatum(version);
	SPI_execute_with_args("SELECT churn.baseline($1, $2)", 2, types, values,
						  NULL, true, 1);
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

/*
 * A copy of a baseline that has what counting needs, which are the edges.
 */
static ChurnBaseline *
copy_edges(const ChurnBaseline *baseline, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	ChurnBaseline *copy = palloc(sizeof(ChurnBaseline));
	uint32		i;

	*copy = *baseline;
	copy->features = palloc0(sizeof(ChurnCells) * (baseline->nfeatures + 1));
	for (i = 0; i <= baseline->nfeatures; i++)
	{
		const ChurnCells *cells = &baseline->features[i];
		Size		size = sizeof(float) * cells->nedges;

		copy->features[i] = *cells;
		copy->features[i].name = NULL;
		copy->features[i].counts = NULL;
		copy->features[i].centres = NULL;
		if (size > 0)
			copy->features[i].edges = memcpy(palloc(size), cells->edges, size);
	}
	MemoryContextSwitchTo(old);
	return copy;
}

/*
 * Reads the baseline of a window; it is left without where that is damaged.
 */
static void
set_baseline(ChurnWindow *window, const char *json, uint32 nfeatures)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext,
												  "churn baseline",
												  ALLOCSET_DEFAULT_SIZES);
	ChurnArena	arena = churn_memory_arena(scratch);
	ChurnBaseline *baseline;
	ChurnError	error;
	size_t		length = strlen(json);
	const char *utf8 = churn_to_utf8(json, &length);

	baseline = churn_baseline_read(utf8, length, &arena, &error);
	if (baseline != NULL && baseline->nfeatures != nfeatures)
	{
		churn_fail(&error, CHURN_ERROR_CORRUPT, "it is one of %u features",
				   baseline->nfeatures);
		baseline = NULL;
	}
	if (baseline == NULL)
		ereport(LOG,
				(errmsg("churn worker of database %u does not count scores of version %d of model \"%s\": baseline: %s",
						MyDatabaseId, window->version, window->model,
						error.message)));
	else
	{
		window->baseline = copy_edges(baseline, window->context);
		window->profile =
			MemoryContextAlloc(window->context, churn_profile_size(baseline));
		churn_profile_init(window->baseline, window->profile);
	}
	MemoryContextDelete(scratch);
}

/*
 * Makes the window of a model's champion.  It stays empty where the version
 * has no baseline, as one from elsewhere.
 */
static ChurnWindow *
make_window(const ChurnWatchedModel *model)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "churn window",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old;
	ChurnWindow *window = MemoryContextAllocZero(context, sizeof(ChurnWindow));
	char	   *json = read_baseline(model->name, model->version->version);

	window->context = context;
	window->model = MemoryContextStrdup(context, model->name);
	window->model_id = model->model_id;
	window->version = model->version->version;
	window->hour = hour_of(GetCurrentTimestamp());
	if (json != NULL)
		set_baseline(window, json, model->version->model->nfeatures);
	old = MemoryContextSwitchTo(TopMemoryContext);
	windows = lappend(windows, window);
	MemoryContextSwitchTo(old);
	return window;
}

/*
 * Gives the models of a set their windows; see stream_windows.h.
 */
void
churn_windows_adapt(ChurnWatchSet *set)
{
	ChurnRole	saved;
	ListCell   *cell;
	ListCell   *other;

	foreach(cell, windows)
	{
		ChurnWindow *window = lfirst(cell);

		window->leaving = true;
		if (!set->exists)
			window->written = true; /* what for? */
	}
	if (!set->exists)
		return;
	saved = churn_role_become_owner();
	foreach(cell, set->models)
	{
		ChurnWatchedModel *model = lfirst(cell);
		ChurnWindow *found = NULL;

		if (model->version == NULL)
			continue;
		foreach(other, windows)
		{
			ChurnWindow *window = lfirst(other);

			if (window->model_id == model->model_id &&
				window->version == model->version->version)
				found = window;
		}
		if (found == NULL)
			found = make_window(model);
		found->leaving = false;
		model->window = found->baseline != NULL ? found : NULL;
	}
	churn_role_restore(saved);
}

/*
 * Counts rows when the present transaction commits; see stream_windows.h.
 */
void
churn_windows_count(ChurnWatchedModel *model, const ChurnOutcome *outcomes,
					int n, const float *features)
{
	ChurnWindow *window = model->window;
	Size		row;
	KeptRows   *rows;
	MemoryContext old;
	int			i;

	if (window == NULL || XLogRecPtrIsInvalid(outcomes[0].lsn))
		return;
	row = sizeof(float) * window->baseline->nfeatures;
	old = MemoryContextSwitchTo(kept_context);
	rows = palloc0(sizeof(KeptRows));
	rows->window = window;
	rows->scores = palloc(sizeof(double) * n);
	rows->features = palloc(Max(row * n, 1));
	for (i = 0; i < n; i++)
	{
		if (outcomes[i].gone)
			continue;
		rows->scores[rows->n] = outcomes[i].score;
		memcpy((char *) rows->features + row * rows->n,
			   (const char *) features + row * i, row);
		rows->n++;
	}
	if (kept_bytes + (row + sizeof(double)) * n > MOST_KEPT)
	{
		churn_profile_add_rows(window->baseline, window->profile,
							   rows->features, rows->scores, rows->n);
		window->counted |= rows->n > 0;
		pfree(rows->features);
		pfree(rows->scores);
		pfree(rows);
	}
	else
	{
		kept = lappend(kept, rows);

		kept_bytes += (row + sizeof(double)) * n;
	}
	MemoryContextSwitchTo(old);
}

/*
 * Locks, without waiting, what is written when the worker stops: it must not
 * wait then, since nothing could end that any more.
 */
static bool
lock_without_waiting(void)
{
	static const struct
	{
		const char *name;
		LOCKMODE	mode;
	}			tables[] = {
		{"predictions", RowExclusiveLock},	/* before all else */
		{"models", AccessShareLock},
		{"model_versions", RowShareLock},
		{"profiles", ShareRowExclusiveLock} /* nobody is about to change a row */
	};
	Oid			schema = get_namespace_oid("churn", true);
	size_t		i;

	for (i = 0; i < lengthof(tables); i++)
	{
		Oid			relid = OidIsValid(schema) ?
		get_relname_relid(tables[i].name, schema) : InvalidOid;

		if (!OidIsValid(relid) ||
			!ConditionalLockRelationOid(relid, tables[i].mode))
			return false;
	}
	return true;
}

/*
 * Writes what was counted when the process ends, unless it crashes.  It may
 * have been in the middle of anything, decoding included.
 */
static void
write_at_exit(int code, Datum arg)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		any = false;
	ChurnRole	saved;
	ListCell   *cell;

	if (HistoricSnapshotActive())
		TeardownHistoricSnapshot(true);
	AbortOutOfAnyTransaction();
	foreach(cell, windows)
	{
		const ChurnWindow *window = lfirst(cell);

		any |= window->baseline != NULL && window->profile->rows > 0;
	}
	if (!any)
		return;
	churn_caches_switch();
	StartTransactionCommand();
	if (lock_without_waiting())
	{
		SPI_connect();
		PushActiveSnapshot(GetTransactionSnapshot());
		saved = churn_role_become_owner();
		foreach(cell, windows)
			write_window(lfirst(cell), now);
		churn_role_restore(saved);
		PopActiveSnapshot();
		SPI_finish();
	}
	CommitTransactionCommand();
}

/*
 * Begins to count; see stream_windows.h.
 */
void
churn_windows_init(void)
{
	kept_context = AllocSetContextCreate(TopMemoryContext, "churn kept rows",
										 ALLOCSET_DEFAULT_SIZES);
	RegisterXactCallback(end_transaction, NULL);
	before_shmem_exit(write_at_exit, (Datum) 0);
}
