/*
 * stream_rescan.c
 *		Scoring all customers of a model, in the background.
 *
 * A rescan is done in steps, each a transaction of its own, with decoded
 * changes in between.  A table is read by ranges of blocks; what moves from one
 * range to another meanwhile is a change, and comes by the stream, unless the
 * table is rewritten: then it is read from the start again.  A view or
 * a query is read in one step.  At the end, unless it is certain that there are
 * none, predictions of customers that are gone are looked for, by key.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "attempt.h"
#include "compat.h"
#include "role.h"
#include "source.h"
#include "stream_errors.h"
#include "stream_position.h"
#include "stream_read.h"
#include "stream_rescan.h"

/* Blocks of a table that are read in a step. */
#define STEP_BLOCKS		64

/* Predictions that are looked at in a step. */
#define STEP_KEYS		2000

/* Milliseconds before a model that could not be scored is tried again. */
#define RETRY_DELAY		5000

#define BROKEN			"it could not be scored"
#define NEW_DAY			"another day has begun"

/* The rescan that is under way; there is one at a time. */
typedef struct Rescan
{
	MemoryContext context;		/* NULL: there is none */
	char	   *name;
	ChurnWatchedModel *model;
	int			version;
	int64		requests;		/* the model's when it began */
	char	   *watched;		/* so were the model's tables */
	char	   *reason;
	uint64		request;		/* a session's, or 0 */
	int			nreasons;		/* that it wants with each score */
	List	   *tables;			/* OIDs of those being read; NIL for a query */
	bool		query;			/* the source is to be read as a whole */
	BlockNumber block;			/* of each table, next to be read */
	BlockNumber nblocks;		/* of the largest when that was looked at */
	Oid			filenodes;		/* a hash of theirs then */
	bool		purges;			/* look for customers that are gone */
	char	   *last_key;		/* the last that was looked at; NULL before */
	DateADT		day;
	TimestampTz started;
	ChurnApplied applied;
} Rescan;

static Rescan rescan;

/*
 * Writes a column of churn.rescans for a model.
 */
static void
update_rescans(const ChurnWatchedModel *model, const char *pending,
			   const char *error)
{
	Oid			types[] = {TEXTOID, TEXTOID, TEXTOID};
	Datum		values[3];
	char		nulls[3] = {' ', ' ', ' '};
	ChurnRole	saved = churn_role_become_owner();

	values[0] = CStringGetTextDatum(model->name);
	values[1] = CStringGetTextDatum(pending);
	nulls[2] = error == NULL ? 'n' : ' ';
	values[2] = error == NULL ? (Datum) 0 : CStringGetTextDatum(error);
	SPI_execute_with_args("INSERT INTO churn.rescans AS r (model, pending, error)"
						  " VALUES ($1, $2, $3) ON CONFLICT (model) DO UPDATE"
						  " SET pending = $2, requests = r.requests + 1,"
						  " error = coalesce($3, r.error)",
						  3, types, values, nulls, false, 0);
	churn_role_restore(saved);
}

/*
 * Notes that all customers of a model have to be scored.
 */
void
churn_rescan_request(ChurnWatchedModel *model, const char *reason)
{
	/* one that is under way may have passed the place already */
	update_rescans(model, reason, NULL);
	model->requests++;
	model->pending = MemoryContextStrdup(GetMemoryChunkContext(model), reason);
}

/*
 * Forgets models without watches, whose rows may have come again while they
 * were dropped.
 */
void
churn_rescan_clear(void)
{
	ChurnRole	saved = churn_role_become_owner();

	SPI_execute("DELETE FROM churn.rescans r WHERE NOT EXISTS"
				" (SELECT FROM churn.watches w WHERE w.model = r.model)",
				false, 0);
	churn_role_restore(saved);
}

/*
 * As churn_rescan_request(), since the model cannot be scored.
 */
void
churn_rescan_break(ChurnWatchedModel *model, const ErrorData *error)
{
	if (model->error == NULL || strcmp(model->error, error->message) != 0)
	{
		churn_stream_error_row("model", model->name, model->source_relation,
							   NULL, InvalidXLogRecPtr, error);
		model->error = MemoryContextStrdup(GetMemoryChunkContext(model),
										   error->message);
	}
	if (!model->broken)
	{
		update_rescans(model, BROKEN, error->message);
		model->requests++;
	}
	model->broken = true;
	if (model->pending == NULL)
		model->pending = MemoryContextStrdup(GetMemoryChunkContext(model),
											 BROKEN);
	model->not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RETRY_DELAY);
}

/*
 * Ends the rescan that is under way.
 */
static void
forget_rescan(void)
{
	if (rescan.context != NULL)
		MemoryContextDelete(rescan.context);
	memset(&rescan, 0, sizeof(rescan));
}

/*
 * Answers the session that asked for the rescan, if one did.
 */
static void
answer(ChurnStreamEntry *entry, uint64 request, bool failed, int64 written)
{
	if (request != 0)
		churn_stream_finish_request(entry, request, failed, written);
}

/*
 * Whether a model is to be rescanned, and why.
 */
static const char *
why_due(const ChurnWatchedModel *model)
{
	if (model->champion == 0)
		return NULL;
	if (model->pending != NULL)
		return model->pending;
	if (model->broken)
		return BROKEN;
	if ((model->uses_ages || model->misses_deletes) &&
		model->scanned_day != churn_statement_day())
		return NEW_DAY;
	return NULL;
}

/*
 * How many models have to be rescanned.
 */
int
churn_rescan_count(const ChurnWatchSet *set, const ChurnStreamEntry *entry)
{
	ListCell   *cell;
	int			count = 0;

	foreach(cell, set->models)
		count += why_due(lfirst(cell)) != NULL ||
		(rescan.context != NULL && rescan.model == lfirst(cell));
	return count;
}

/*
 * The set was read anew.
 */
void
churn_rescan_adapt(ChurnWatchSet *set)
{
	ListCell   *cell;

	if (rescan.context == NULL)
		return;
	rescan.model = NULL;
	foreach(cell, set->models)
	{
		ChurnWatchedModel *model = lfirst(cell);

		if (strcmp(model->name, rescan.name) == 0 &&
			model->version != NULL && model->version->version == rescan.version)
		{
			rescan.model = model;
			if (model->requests == rescan.requests &&
				strcmp(model->tables, rescan.watched) == 0)
				model->pending = NULL;	/* it is under way */
		}
	}
}

/*
 * The OID of a relation by its qualified name; InvalidOid if it is gone.
 */
static Oid
find_relation(const char *name)
{
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(name)};
	Datum		value;
	bool		isnull;

	SPI_execute_with_args("SELECT pg_catalog.to_regclass($1)::oid", 1, types,
						  values, NULL, true, 1);
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
						  &isnull);
	return isnull ? InvalidOid : DatumGetObjectId(value);
}

/*
 * Lists the tables to be read: the source with all below it.  A view or a
 * query has none, and is read as a whole.
 */
static void
list_tables(void)
{
	const ChurnWatchedModel *model = rescan.model;
	Oid			relid;
	char		kind;
	List	   *all;
	ListCell   *cell;
	MemoryContext old;

	rescan.query = true;
	if (model->source_relation == NULL)
		return;
	relid = find_relation(model->source_relation);
	if (!OidIsValid(relid))
		return;					/* reading the source says what is wrong */
	kind = get_rel_relkind(relid);
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		return;
	rescan.query = false;
	all = find_all_inheritors(relid, AccessShareLock, NULL);
	old = MemoryContextSwitchTo(rescan.context);
	foreach(cell, all)
	{
		if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_FOREIGN_TABLE)
			rescan.query = true;
		if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_RELATION)
			rescan.tables = lappend_oid(rescan.tables, lfirst_oid(cell));
	}
	MemoryContextSwitchTo(old);
	if (rescan.query)
		rescan.tables = NIL;
}

/*
 * Whether there is any prediction of the model.
 */
static bool
has_predictions(const char *model)
{
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(model)};

	SPI_execute_with_args("SELECT FROM churn.predictions WHERE model = $1 LIMIT 1",
						  1, types, values, NULL, true, 1);
	return SPI_processed > 0;
}

/*
 * Begins the rescan of a model.  Where the reason is a new version or day, the
 * stream has missed nothing but deletes that do not tell the key, and no other
 * prediction can be left over.
 */
static void
begin_rescan(ChurnWatchedModel *model, const char *reason, uint64 request)
{
	MemoryContext old;

	rescan.context = AllocSetContextCreate(TopMemoryContext, "churn rescan",
										   ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(rescan.context);
	rescan.name = pstrdup(model->name);
	rescan.reason = pstrdup(reason);
	rescan.watched = pstrdup(model->tables);
	MemoryContextSwitchTo(old);
	rescan.model = model;
	rescan.version = model->version->version;
	rescan.requests = model->requests;
	rescan.request = request;
	rescan.started = GetCurrentTimestamp();
	rescan.day = churn_statement_day();
	rescan.purges = (model->misses_deletes ||
					 (strcmp(reason, CHURN_NEW_VERSION) != 0 &&
					  strcmp(reason, NEW_DAY) != 0)) &&
		has_predictions(model->name);
	model->pending = NULL;
	list_tables();
}

/*
 * Begins the next rescan that is due; false if there is none.
 */
static bool
begin_next(ChurnWatchSet *set, ChurnStreamEntry *entry)
{
	ChurnStreamRequest request;
	ListCell   *cell;

	while (churn_stream_next_request(entry, &request))
	{
		foreach(cell, set->models)
		{
			ChurnWatchedModel *model = lfirst(cell);

			if (model->model_id != request.model_id || model->version == NULL)
				continue;
			begin_rescan(model, "churn_rescore()", request.id);
			rescan.nreasons = request.reasons;
			return true;
		}
		answer(entry, request.id, true, 0);
	}
	foreach(cell, set->models)
	{
		ChurnWatchedModel *model = lfirst(cell);
		const char *reason = why_due(model);

		if (reason == NULL || (model->not_before != 0 &&
							   GetCurrentTimestamp() < model->not_before))
			continue;
		if (model->version == NULL)
		{
			set->stale = true;	/* try to load it again */
			return false;
		}
		begin_rescan(model, reason, 0);
		return true;
	}
	return false;
}

/*
 * Finds out how large the largest of the tables is.  Rows of a table that was
 * rewritten are in other blocks: then all is read from the start again.
 */
static void
measure_tables(void)
{
	BlockNumber nblocks = 0;
	Oid			filenodes = 0;
	ListCell   *cell;

	foreach(cell, rescan.tables)
	{
		Relation	table = try_relation_open(lfirst_oid(cell),
											  AccessShareLock);

		if (table == NULL)
			continue;
		filenodes = filenodes * 31 + table->rd_rel->relfilenode;
		nblocks = Max(nblocks, RelationGetNumberOfBlocks(table));
		relation_close(table, NoLock);
	}
	if (filenodes != rescan.filenodes || rescan.nblocks == 0)
	{
		rescan.block = 0;
		rescan.nblocks = nblocks;
	}
	rescan.filenodes = filenodes;
}

/*
 * Puts a part of the source on the tape: some blocks of a table, or all of a
 * query.
 */
static void
read_part(ChurnTape *tape, MemoryContext context)
{
	BlockNumber step = Max(STEP_BLOCKS / Max(list_length(rescan.tables), 1),
						   1);
	char	   *query;

	if (rescan.query)
	{
		churn_read_query(rescan.model, rescan.model->source_query, NULL, 0,
						 context, tape);
		rescan.query = false;
		return;
	}
	measure_tables();
	/* through the source, whose owner need not have rights on each of them */
	query = psprintf("SELECT * FROM %s"
					 " WHERE ctid >= '(%u,0)' AND ctid < '(%u,0)'",
					 rescan.model->source_relation,
					 rescan.block, rescan.block + step);
	churn_read_query(rescan.model, query, NULL, 0, context, tape);
	rescan.block += step;
	if (rescan.block >= rescan.nblocks)
		rescan.tables = NIL;
}

/*
 * Puts customers that have a prediction on the tape, to be read again.
 */
static void
read_predicted(ChurnTape *tape)
{
	Oid			types[] = {TEXTOID, TEXTOID, INT4OID};
	Datum		values[3];
	char		nulls[3] = {' ', ' ', ' '};
	ChurnReading reading = {.model = rescan.model};
	ChurnChange change = {.action = CHURN_ACTION_CHECK};
	ChurnReading *lasting = MemoryContextAlloc(tape->context,
											   sizeof(ChurnReading));
	uint64		i;

	*lasting = reading;
	values[0] = CStringGetTextDatum(rescan.name);
	nulls[1] = rescan.last_key == NULL ? 'n' : ' ';
	values[1] = rescan.last_key == NULL ? (Datum) 0 :
		CStringGetTextDatum(rescan.last_key);
	values[2] = Int32GetDatum(STEP_KEYS);
	SPI_execute_with_args("SELECT customer_key FROM churn.predictions"
						  " WHERE model = $1 AND customer_key > coalesce($2, '')"
						  " ORDER BY customer_key LIMIT $3",
						  3, types, values, nulls, true, 0);
	for (i = 0; i < SPI_processed; i++)
	{
		change.reading = lasting;
		change.key = SPI_getvalue(SPI_tuptable->vals[i],
								  SPI_tuptable->tupdesc, 1);
		change.key_length = strlen(change.key) + 1;
		churn_tape_put(tape, &change);
		if (i + 1 == SPI_processed)
			rescan.last_key = MemoryContextStrdup(rescan.context, change.key);
	}
	if (SPI_processed < STEP_KEYS)
		rescan.purges = false;
}

/*
 * Notes that a rescan is done.
 */
static void
end_rescan(ChurnStreamEntry *entry)
{
	Oid			types[] = {TEXTOID, INT4OID, DATEOID, TIMESTAMPTZOID, TEXTOID,
	INT8OID, INT8OID, INT8OID, TEXTOID};
	Datum		values[9];
	ChurnRole	saved = churn_role_become_owner();

	values[0] = CStringGetTextDatum(rescan.name);
	values[1] = Int32GetDatum(rescan.version);
	values[2] = DateADTGetDatum(rescan.day);
	values[3] = TimestampTzGetDatum(rescan.started);
	values[4] = CStringGetTextDatum(rescan.reason);
	values[5] = Int64GetDatum(rescan.applied.scored);
	values[6] = Int64GetDatum(rescan.applied.written);
	values[7] = Int64GetDatum(rescan.requests);
	values[8] = CStringGetTextDatum(rescan.watched);
	SPI_execute_with_args("INSERT INTO churn.rescans AS r (model, version, day,"
						  " started_at, finished_at, reason, rows, written, requests, tables)"
						  " VALUES ($1, $2, $3, $4, pg_catalog.clock_timestamp(), $5, $6, $7, $8, $9::oid[])"
						  " ON CONFLICT (model) DO UPDATE SET version = $2, day = $3,"
						  " started_at = $4, finished_at = pg_catalog.clock_timestamp(),"
						  " reason = $5, rows = $6, written = $7, error = NULL, tables = $9::oid[],"
						  " pending = CASE WHEN r.requests = $8 THEN NULL ELSE r.pending END",
						  lengthof(types), types, values, NULL, false, 0);
	churn_role_restore(saved);
	rescan.model->error = NULL;
	rescan.model->scanned_version = rescan.version;
	rescan.model->scanned_day = rescan.day;
}

/*
 * Writes how far customers were read; the position stays where it is.
 */
static void
write_position(void)
{
	ChurnRole	saved = churn_role_become_owner();

	churn_position_write(InvalidXLogRecPtr);
	churn_role_restore(saved);
}

/* What a step works with. */
typedef struct Step
{
	ChurnDecoderSink *sink;
	ChurnTape  *tape;
} Step;

/*
 * Reads what a step is to score; for churn_attempt().
 */
static void
read_step(void *arg)
{
	Step	   *step = arg;

	if (rescan.query || rescan.tables != NIL)
		read_part(step->tape, step->sink->set->context);
	else if (rescan.purges)
	{
		ChurnRole	saved = churn_role_become_owner();

		read_predicted(step->tape);
		churn_role_restore(saved);
	}
}

/*
 * Reads and scores a part.  Returns false if the model cannot be scored.
 */
static bool
run_step(ChurnDecoderSink *sink)
{
	Step		step = {sink, churn_tape_create(CurrentMemoryContext)};
	int			nreasons = rescan.model->nreasons;
	XLogRecPtr	lsn;
	ErrorData  *error;

	churn_read_wait(sink);
	error = churn_attempt(read_step, &step);
	if (error != NULL)
	{
		churn_tape_clear(step.tape);
		churn_rescan_break(rescan.model, error);
		return false;
	}
	/* the snapshot was taken before this, so it sees no later commit */
	lsn = GetXLogInsertRecPtr();
	rescan.model->reread_until = Max(rescan.model->reread_until, lsn);
	churn_position_note_read(lsn);
	rescan.model->broken = false;
	rescan.model->nreasons = Max(nreasons, rescan.nreasons);
	churn_apply(sink, step.tape, "batch", &rescan.applied);
	rescan.model->nreasons = nreasons;
	churn_tape_clear(step.tape);
	return !rescan.model->broken;
}

/*
 * Whether a rescan is under way, due or asked for, by a look that costs
 * nothing.  A request that comes this moment is seen the next time.
 */
static bool
anything_to_do(const ChurnDecoderSink *sink, const ChurnStreamEntry *entry)
{
	int			i;

	for (i = 0; i < CHURN_STREAM_REQUESTS; i++)
	{
		if (entry->requests[i].id != 0 && !entry->requests[i].taken)
			return true;
	}
	return rescan.context != NULL ||
		churn_rescan_count(sink->set, entry) > 0;
}

/*
 * Does a part of the rescans that are due; see stream_rescan.h.
 */
bool
churn_rescan_step(ChurnDecoderSink *sink, ChurnStreamEntry *entry,
				  ChurnApplied *applied)
{
	ChurnApplied before = rescan.applied;
	uint64		request;
	bool		going = true;
	bool		ended = false;
	int64		written;

	if (!anything_to_do(sink, entry))
		return false;
	churn_work_begin();
	if (rescan.context != NULL && rescan.model == NULL)
	{
		request = rescan.request;
		forget_rescan();
		answer(entry, request, true, 0);
	}
	if (rescan.context == NULL)
		going = begin_next(sink->set, entry);
	if (going)
	{
		going = run_step(sink);
		ended = !going || (!rescan.query && rescan.tables == NIL &&
						   !rescan.purges);
		if (ended && going)
			end_rescan(entry);
		write_position();
		applied->scored += rescan.applied.scored - before.scored;
		applied->written += rescan.applied.written - before.written;
		applied->write_seconds += rescan.applied.write_seconds -
			before.write_seconds;
	}
	churn_work_end();
	if (ended)
	{
		request = rescan.request;
		written = rescan.applied.written;
		forget_rescan();
		answer(entry, request, !going, written);
	}
	return going || ended;
}
