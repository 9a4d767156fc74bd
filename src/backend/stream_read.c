/*
 * stream_read.c
 *		Reading customers from the source of a model, as its owner.
 *
 * A customer who was read at a time later than that of a change has to be read
 * again for it, so that no score goes back in time; here is remembered who that
 * is.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "tcop/dest.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/snapmgr.h"

#include "attempt.h"
#include "compat.h"
#include "role.h"
#include "stream_position.h"
#include "stream_read.h"

/* What receives the rows of a query. */
typedef struct RowReceiver
{
	DestReceiver pub;			/* must be first */
	ChurnWatchedModel *model;
	MemoryContext context;		/* of the reading */
	MemoryContext row;			/* reset for each row */
	ChurnTape  *tape;
	ChurnReading *reading;
} RowReceiver;

/* Customers that are read in one go. */
typedef struct ReadCustomers
{
	ChurnWatchedModel *model;
	ChurnDecoderSink *sink;
	Datum		keys;
	ChurnTape  *tape;
} ReadCustomers;

/*
 * Begins a transaction; see stream_read.h.
 */
void
churn_work_begin(void)
{
	Oid			schema;
	Oid			predictions;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	SPI_connect();
	schema = get_namespace_oid("churn", true);
	predictions = OidIsValid(schema) ?
		get_relname_relid("predictions", schema) : InvalidOid;
	if (OidIsValid(predictions))
		LockRelationOid(predictions, RowExclusiveLock);
	PushActiveSnapshot(GetTransactionSnapshot());
}

/*
 * Commits it.
 */
void
churn_work_end(void)
{
	PopActiveSnapshot();
	SPI_finish();
	CommitTransactionCommand();
	pgstat_report_stat(false);
}

/*
 * DestReceiver's start: how the rows are read.  The way is kept with the model,
 * as long as the columns are the same.
 */
static void
start_rows(DestReceiver *self, int operation, TupleDesc desc)
{
	RowReceiver *receiver = (RowReceiver *) self;
	ChurnWatchedModel *model = receiver->model;
	MemoryContext old;

	if (model->read == NULL || !equalTupleDescs(model->read->desc, desc))
	{
		old = MemoryContextSwitchTo(receiver->context);
		model->read = palloc0(sizeof(ChurnReading));
		churn_reading_init(model->read, model, CreateTupleDescCopy(desc),
						   model->key);
		MemoryContextSwitchTo(old);
	}
	receiver->reading = model->read;
	if (model->read->key_column < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\", the key of model \"%s\", does not exist in its source",
						model->key, model->name)));
}

/*
 * DestReceiver's row: puts it on the tape.
 */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	RowReceiver *receiver = (RowReceiver *) self;
	ChurnReading *reading = receiver->reading;
	MemoryContext old = MemoryContextSwitchTo(receiver->row);
	ChurnChange change = {0};
	HeapTuple	tuple = ExecCopySlotHeapTuple(slot);

	slot_getallattrs(slot);
	change.reading = reading;
	change.action = CHURN_ACTION_SCORE;
	if (!slot->tts_isnull[reading->key_column])
	{
		change.key = churn_reading_key(reading,
									   slot->tts_values[reading->key_column]);
		change.key_length = strlen(change.key) + 1;
	}
	change.tuple = tuple->t_data;
	change.tuple_length = tuple->t_len;
	churn_tape_put(receiver->tape, &change);
	MemoryContextSwitchTo(old);
	MemoryContextReset(receiver->row);
	return true;
}

/*
 * DestReceiver's end and destruction: nothing is left to do.
 */
static void
end_rows(DestReceiver *self)
{
}

/*
 * Lets the planner choose as for anybody else; the worker's own statements are
 * told to use indexes.
 */
static void
plan_freely(void)
{
	static const char *const names[] = {
		"enable_seqscan", "enable_hashjoin", "enable_mergejoin",
		"enable_bitmapscan"
	};
	size_t		i;

	for (i = 0; i < lengthof(names); i++)
		(void) set_config_option(names[i], "on", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("plan_cache_mode", "auto", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Runs a query as the model's owner; see stream_read.h.
 */
void
churn_read_query(ChurnWatchedModel *model, const char *query,
				 SPIPlanPtr *plan, Datum keys, MemoryContext context,
				 ChurnTape *tape)
{
	RowReceiver receiver = {
		{receive_row, start_rows, end_rows, end_rows, DestNone},
		model, context, NULL, tape, NULL
	};
	SPIExecuteOptions options = {0};
	Oid			types[] = {TEXTARRAYOID};
	SPIPlanPtr	made = plan != NULL ? *plan : NULL;
	ChurnRole	saved;

	if (!OidIsValid(model->owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the owner of model \"%s\" does not exist", model->name),
				 errhint("Train the model anew as another role, under another name.")));
	receiver.row = AllocSetContextCreate(CurrentMemoryContext, "churn row",
										 ALLOCSET_DEFAULT_SIZES);
	saved = churn_role_become(model->owner);
	plan_freely();
	options.dest = &receiver.pub;
	if (made == NULL)
	{
		made = SPI_prepare(query, keys == 0 ? 0 : 1, types);
		if (made == NULL)
			elog(ERROR, "could not prepare the source: %s",
				 SPI_result_code_string(SPI_result));
		if (plan != NULL)
		{
			SPI_keepplan(made);
			*plan = made;
		}
	}
	if (keys != 0)
	{
		options.params = makeParamList(1);
		options.params->params[0].value = keys;
		options.params->params[0].isnull = false;
		options.params->params[0].pflags = PARAM_FLAG_CONST;
		options.params->params[0].ptype = TEXTARRAYOID;
	}
	SPI_execute_plan_extended(made, &options);
	churn_role_restore(saved);
	MemoryContextDelete(receiver.row);
}

/*
 * Waits until all that was decoded is seen by snapshots taken from now on: the
 * write-ahead log shows a commit before snapshots do, and long before where
 * it waits for a synchronous standby.
 */
void
churn_read_wait(ChurnDecoderSink *sink)
{
	int			i;

	for (i = 0; i < sink->nunfinished; i++)
	{
		if (TransactionIdIsInProgress(sink->unfinished[i]))
			XactLockTableWait(sink->unfinished[i], NULL, NULL, XLTW_None);
	}
	sink->nunfinished = 0;
}

/*
 * Notes that a customer was read, at a time when the log went up to lsn.
 */
void
churn_read_note(ChurnDecoderSink *sink, ChurnWatchedModel *model, const char *key,
				XLogRecPtr lsn)
{
	char		name[sizeof(((ChurnReread *) NULL)->key)];
	ChurnReread *reread;

	if (model->rereads == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(name);
		ctl.entrysize = sizeof(ChurnReread);
		ctl.hcxt = sink->set->context;
		model->rereads = hash_create("churn rereads", 256, &ctl,
									 HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	}
	strlcpy(name, key, sizeof(name));
	reread = hash_search(model->rereads, name, HASH_ENTER, NULL);
	reread->until = lsn;
	model->rereads_until = Max(model->rereads_until, lsn);
	churn_position_note_read(lsn);
}

/*
 * Whether a customer was read at a time later than that of a change.
 */
bool
churn_read_was(const ChurnWatchedModel *model, const char *key, XLogRecPtr lsn)
{
	char		name[sizeof(((ChurnReread *) NULL)->key)];
	ChurnReread *reread;

	if (XLogRecPtrIsInvalid(lsn))
		return false;			/* a row that was read just now */
	if (lsn <= model->reread_until)
		return true;
	if (model->rereads == NULL || lsn > model->rereads_until)
		return false;
	strlcpy(name, key, sizeof(name));
	reread = hash_search(model->rereads, name, HASH_FIND, NULL);
	return reread != NULL && lsn <= reread->until;
}

/*
 * Forgets what later changes can not meet.
 */
void
churn_read_passed(ChurnWatchSet *set, XLogRecPtr position)
{
	ListCell   *cell;

	foreach(cell, set->models)
	{
		ChurnWatchedModel *model = lfirst(cell);

		if (model->rereads != NULL && model->rereads_until < position)
		{
			hash_destroy(model->rereads);
			model->rereads = NULL;
		}
	}
}

/*
 * The type of the key of a model's source.
 */
static Oid
key_type(const ChurnWatchedModel *model)
{
	SPIPlanPtr	plan;
	ChurnRole	saved = churn_role_become(model->owner);
	char	   *query = psprintf("SELECT churn_source.%s FROM (%s) AS churn_source",
								 quote_identifier(model->key),
								 model->source_query);
	List	   *sources;
	Oid			type;

	plan = SPI_prepare(query, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "could not prepare the source: %s",
			 SPI_result_code_string(SPI_result));
	sources = SPI_plan_get_plan_sources(plan);
	type = TupleDescAttr(((CachedPlanSource *) linitial(sources))->resultDesc,
						 0)->atttypid;
	SPI_freeplan(plan);
	churn_role_restore(saved);
	return type;
}

/*
 * Reads customers; for churn_attempt().
 */
static void
read_customers(void *arg)
{
	ReadCustomers *read = arg;
	ChurnWatchedModel *model = read->model;
	char	   *query = NULL;

	if (model->read_plan == NULL)
		query = psprintf("SELECT churn_source.* FROM (%s) AS churn_source"
						 " WHERE churn_source.%s = ANY ($1::%s[])",
						 model->source_query, quote_identifier(model->key),
						 format_type_be_qualified(key_type(model)));
	churn_read_query(model, query, &model->read_plan, read->keys,
					 read->sink->set->context, read->tape);
}

/*
 * Reads customers; see stream_read.h.
 */
ErrorData *
churn_read_customers(ChurnDecoderSink *sink, ChurnWatchedModel *model,
					 Datum keys, ChurnTape *tape)
{
	ReadCustomers read = {model, sink, keys, tape};

	return churn_attempt(read_customers, &read);
}
