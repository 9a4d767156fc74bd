/*
 * decoder.c
 *		The output plugin: what changes of watched tables mean for customers.
 *
 * A stream worker loads it into its own process and takes the changes from
 * memory.  Used by hand, as in pg_logical_slot_peek_changes(), it prints one
 * line a change instead.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "replication/logical.h"
#include "replication/origin.h"
#include "replication/output_plugin.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "decoder.h"

extern void _PG_output_plugin_init(OutputPluginCallbacks *callbacks);

ChurnDecoderSink *churn_decoder_sink = NULL;

/* State of a decoding session. */
typedef struct Decoder
{
	MemoryContext change;		/* reset for each change */
	ChurnWatchSet *set;
	ChurnDecoderSink *sink;		/* NULL: print */
	bool		begun;			/* BEGIN has been printed */
	bool		configures;		/* this transaction changed what is watched */
	Oid			rewritten;		/* the table whose rewriting was told last */
} Decoder;

/*
 * Reads what is watched, for a session by hand.
 */
static ChurnWatchSet *
load_set(MemoryContext context)
{
	ChurnWatchSet *set;
	bool		pushed = !ActiveSnapshotSet();

	if (pushed)
		PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	set = churn_watch_set_load(context, false);
	SPI_finish();
	if (pushed)
		PopActiveSnapshot();
	return set;
}

/*
 * Begins a session.  There are no options.
 */
static void
start_up(LogicalDecodingContext *ctx, OutputPluginOptions *options,
		 bool is_init)
{
	MemoryContext old = MemoryContextSwitchTo(ctx->context);
	Decoder    *decoder = palloc0(sizeof(Decoder));

	if (ctx->output_plugin_options != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" is unknown",
						((DefElem *) linitial(ctx->output_plugin_options))->defname),
				 errhint("The output plugin churn has no options.")));
	decoder->change = AllocSetContextCreate(ctx->context, "churn change",
											ALLOCSET_DEFAULT_SIZES);
	decoder->sink = churn_decoder_sink;
	if (decoder->sink == NULL && !is_init)
		decoder->set = load_set(ctx->context);
	ctx->output_plugin_private = decoder;
	options->output_type = OUTPUT_PLUGIN_TEXTUAL_OUTPUT;
	options->receive_rewrites = true;
	MemoryContextSwitchTo(old);
}

/*
 * Ends a session.
 */
static void
shut_down(LogicalDecodingContext *ctx)
{
	Decoder    *decoder = ctx->output_plugin_private;

	if (decoder != NULL && decoder->set != NULL)
		churn_watch_set_free(decoder->set);
}

/*
 * What is watched at present.
 */
static ChurnWatchSet *
watch_set(const Decoder *decoder)
{
	return decoder->sink != NULL ? decoder->sink->set : decoder->set;
}

/*
 * A transaction begins.
 */
static void
begin(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
	Decoder    *decoder = ctx->output_plugin_private;

	decoder->begun = false;
	decoder->configures = false;
	decoder->rewritten = InvalidOid;
}

/*
 * Prints a line, BEGIN before the first of a transaction.
 */
static void
print_line(LogicalDecodingContext *ctx, const char *line)
{
	Decoder    *decoder = ctx->output_plugin_private;

	if (!decoder->begun)
	{
		OutputPluginPrepareWrite(ctx, false);
		appendStringInfoString(ctx->out, "BEGIN");
		OutputPluginWrite(ctx, false);
		decoder->begun = true;
	}
	OutputPluginPrepareWrite(ctx, true);
	appendStringInfoString(ctx->out, line);
	OutputPluginWrite(ctx, true);
}

/*
 * Remembers a transaction until it is no longer seen as running, and forgets
 * those that are not.  The write-ahead log shows a commit before snapshots do.
 */
static void
remember_transaction(ChurnDecoderSink *sink, TransactionId xid)
{
	if (sink->nunfinished == sink->unfinished_room)
	{
		int			left = 0;
		int			i;

		for (i = 0; i < sink->nunfinished; i++)
		{
			if (TransactionIdIsInProgress(sink->unfinished[i]))
				sink->unfinished[left++] = sink->unfinished[i];
		}
		sink->nunfinished = left;
		if (left >= sink->unfinished_room / 2)
		{
			sink->unfinished_room = Max(64, 2 * sink->unfinished_room);
			if (sink->unfinished == NULL)
				sink->unfinished =
					MemoryContextAlloc(sink->context, sizeof(TransactionId) *
									   sink->unfinished_room);
			else
				sink->unfinished =
					repalloc(sink->unfinished, sizeof(TransactionId) *
							 sink->unfinished_room);
		}
	}
	sink->unfinished[sink->nunfinished++] = xid;
}

/*
 * A transaction ends.
 */
static void
commit(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr lsn)
{
	Decoder    *decoder = ctx->output_plugin_private;
	ChurnDecoderSink *sink = decoder->sink;

	if (sink != NULL)
	{
		remember_transaction(sink, txn->xid);
		sink->configured |= decoder->configures;
	}
	else if (decoder->begun)
	{
		OutputPluginPrepareWrite(ctx, true);
		appendStringInfoString(ctx->out, "COMMIT");
		OutputPluginWrite(ctx, true);
	}
}

/*
 * Drops what this extension's workers wrote themselves, before it costs
 * anything.
 */
static bool
filter_by_origin(LogicalDecodingContext *ctx, RepOriginId origin)
{
	return origin == DoNotReplicateId;
}

/*
 * Passes a change on, or prints it.
 */
static void
emit(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
	 ChurnWatchPlace *place, ChurnAction action, char *key, HeapTuple tuple)
{
	static const char *const words[] = {"score", "read", "delete", "rescan"};
	Decoder    *decoder = ctx->output_plugin_private;
	ChurnChange change;

	if (decoder->sink == NULL)
	{
		print_line(ctx, psprintf("%s: %s%s%s of %s",
								 place->watch->model->name, words[action],
								 key != NULL ? " " : "",
								 key != NULL ? key : "",
								 place->watch->relation));
		return;
	}
	change.reading = &place->reading;
	change.action = action;
	change.lsn = txn->end_lsn;
	change.committed = txn->xact_time.commit_time;
	change.key = key;
	change.key_length = key != NULL ? strlen(key) + 1 : 0;
	change.tuple = tuple != NULL ? tuple->t_data : NULL;
	change.tuple_length = tuple != NULL ? tuple->t_len : 0;
	churn_tape_put(decoder->sink->tape, &change);
}

/*
 * The key of a tuple as text; NULL if it is null, or if there is no tuple.
 * Sets *unknown if the tuple does not tell: a long key that an update left
 * alone, or a table that lacks the column.
 */
static char *
tuple_key(ChurnWatchPlace *place, HeapTuple tuple, bool *unknown)
{
	ChurnReading *reading = &place->reading;
	Datum		value;
	bool		isnull;

	*unknown = tuple != NULL && reading->key_column < 0;
	if (tuple == NULL || reading->key_column < 0)
		return NULL;
	value = heap_getattr(tuple, reading->key_column + 1, reading->desc,
						 &isnull);
	*unknown = !isnull &&
		TupleDescAttr(reading->desc, reading->key_column)->attlen == -1 &&
		VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value));
	if (isnull || *unknown)
		return NULL;
	return churn_reading_key(reading, value);
}

/*
 * A tuple that can be kept: values that came out of line within the change are
 * taken in; those that did not come, since they are unchanged or computed when
 * they are read, are left out if the model does not need them.  NULL if it
 * does.
 */
static HeapTuple
complete_tuple(ChurnWatchPlace *place, HeapTuple tuple)
{
	ChurnReading *reading = &place->reading;
	TupleDesc	desc = reading->desc;
	int			i;

	if (place->incomplete)
		return NULL;
	if (!HeapTupleHasExternal(tuple))
		return tuple;
	heap_deform_tuple(tuple, desc, reading->values, reading->nulls);
	for (i = 0; i < desc->natts; i++)
	{
		struct varlena *value;

		if (reading->nulls[i] || TupleDescAttr(desc, i)->attisdropped ||
			TupleDescAttr(desc, i)->attlen != -1)
			continue;
		value = (struct varlena *) DatumGetPointer(reading->values[i]);
		if (!VARATT_IS_EXTERNAL(value))
			continue;
		if (!bms_is_member(i, place->needed))
			reading->nulls[i] = true;
		else if (VARATT_IS_EXTERNAL_ONDISK(value))
			return NULL;
		else
			reading->values[i] = PointerGetDatum(detoast_external_attr(value));
	}
	return heap_form_tuple(desc, reading->values, reading->nulls);
}

/*
 * What a change means for one watch.
 */
static void
take_change(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
			ChurnWatchPlace *place, HeapTuple before, HeapTuple after)
{
	bool		related = place->watch->related;
	bool		unknown;
	char	   *old_key = tuple_key(place, before, &unknown);
	char	   *key = tuple_key(place, after, &unknown);
	HeapTuple	tuple;

	if (old_key != NULL && (key == NULL || strcmp(key, old_key) != 0))
		emit(ctx, txn, place, related ? CHURN_ACTION_READ :
			 CHURN_ACTION_DELETE, old_key, NULL);
	/* has the table lost what made it tell the key? */
	if (old_key == NULL && place->watch->deletes && !place->full &&
		(after == NULL || before != NULL))
		emit(ctx, txn, place, CHURN_ACTION_RESCAN, NULL, NULL);
	if (after == NULL)
		return;
	if (key == NULL)
	{
		if (!related || unknown)
			emit(ctx, txn, place, unknown ? CHURN_ACTION_RESCAN :
				 CHURN_ACTION_SCORE, NULL, NULL);
		return;
	}
	if (related || (tuple = complete_tuple(place, after)) == NULL)
		emit(ctx, txn, place, CHURN_ACTION_READ, key, NULL);
	else
		emit(ctx, txn, place, CHURN_ACTION_SCORE, key, tuple);
}

/*
 * A row was written in the course of rewriting a table, as ALTER TABLE does:
 * all may be other than they were.  Said once.
 */
static void
take_rewrite(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, Oid relid)
{
	Decoder    *decoder = ctx->output_plugin_private;
	Relation	relation;
	ListCell   *cell;

	if (decoder->rewritten == relid)
		return;
	decoder->rewritten = relid;
	relation = RelationIdGetRelation(relid);
	if (!RelationIsValid(relation))
		return;
	foreach(cell, churn_watch_set_find(watch_set(decoder), relation)->places)
		emit(ctx, txn, lfirst(cell), CHURN_ACTION_RESCAN, NULL, NULL);
	RelationClose(relation);
}

/*
 * A row was inserted, updated or deleted.
 */
static void
take_row(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
		 Relation relation, ReorderBufferChange *change)
{
	Decoder    *decoder = ctx->output_plugin_private;
	ChurnWatchedRelation *entry;
	MemoryContext old;
	ListCell   *cell;

	if (OidIsValid(relation->rd_rel->relrewrite))
	{
		take_rewrite(ctx, txn, relation->rd_rel->relrewrite);
		return;
	}
	entry = churn_watch_set_find(watch_set(decoder), relation);
	decoder->configures |= entry->configures;
	if (entry->places == NIL)
		return;
	old = MemoryContextSwitchTo(decoder->change);
	foreach(cell, entry->places)
		take_change(ctx, txn, lfirst(cell), churn_change_old(change),
					churn_change_new(change));
	MemoryContextSwitchTo(old);
	MemoryContextReset(decoder->change);
}

/*
 * Tables were truncated.
 */
static void
take_truncate(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
			  int nrelations, Relation relations[],
			  ReorderBufferChange *change)
{
	Decoder    *decoder = ctx->output_plugin_private;
	MemoryContext old = MemoryContextSwitchTo(decoder->change);
	int			i;

	for (i = 0; i < nrelations; i++)
	{
		ChurnWatchedRelation *entry =
		churn_watch_set_find(watch_set(decoder), relations[i]);
		ListCell   *cell;

		decoder->configures |= entry->configures;
		foreach(cell, entry->places)
			emit(ctx, txn, lfirst(cell), CHURN_ACTION_RESCAN, NULL, NULL);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(decoder->change);
}

/*
 * Tells the server what the plugin does.
 */
void
_PG_output_plugin_init(OutputPluginCallbacks *callbacks)
{
	callbacks->startup_cb = start_up;
	callbacks->begin_cb = begin;
	callbacks->change_cb = take_row;
	callbacks->truncate_cb = take_truncate;
	callbacks->commit_cb = commit;
	callbacks->filter_by_origin_cb = filter_by_origin;
	callbacks->shutdown_cb = shut_down;
}
