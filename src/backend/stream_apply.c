/*
 * stream_apply.c
 *		From changes to scores.
 *
 * Changes are taken from the tape in chunks.  Within a chunk the last change of
 * a customer counts.  Its row is scored as it came, unless the customer was
 * read at a later time already, by a rescan or since another change did not
 * hold the whole row: then it is read again, so that no score goes back in
 * time.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
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
#include "stream_alerts.h"
#include "stream_apply.h"
#include "stream_errors.h"
#include "stream_position.h"
#include "stream_rescan.h"
#include "stream_shared.h"
#include "stream_write.h"

/* Bytes of a customer's key: what an index surely takes. */
#define LONGEST_KEY		1024

/* The most customers of a chunk. */
#define MOST_IN_CHUNK	50000

/* A customer of a model, among those of a chunk. */
typedef struct CustomerKey
{
	ChurnWatchedModel *model;
	const char *key;
} CustomerKey;

typedef struct Customer
{
	CustomerKey id;				/* hash key */
	uint32		hash;
	char		status;
	int			place;			/* in the chunk's list */
} Customer;

/* The last change of a customer. */
typedef struct Pending
{
	ChurnWatchedModel *model;
	ChurnAction action;
	bool		checked;		/* it only matters whether it is gone */
	ChurnReading *reading;
	const char *key;
	HeapTupleHeader row;
	uint32		row_length;
	XLogRecPtr	lsn;
} Pending;

#define SH_PREFIX		customers
#define SH_ELEMENT_TYPE	Customer
#define SH_KEY_TYPE		CustomerKey
#define SH_KEY			id
#define SH_HASH_KEY(table, id) \
	(hash_bytes((const unsigned char *) (id).key, strlen((id).key)) ^ \
	 (uint32) (id).model->model_id)
#define SH_EQUAL(table, a, b) \
	((a).model == (b).model && strcmp((a).key, (b).key) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(table, a) ((a)->hash)
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct Chunk
{
	MemoryContext context;		/* reset after each chunk */
	ChurnDecoderSink *sink;
	const char *origin;
	ChurnApplied *applied;
	customers_hash *customers;
	Pending    *list;
	int			n;
	int			room;
	uint64		changes;		/* on the tape */
	Size		bytes;			/* that its customers take, about */
	/* of the model at hand */
	ChurnWatchedModel *model;
	ChurnOutcome *outcomes;
	float	   *features;
	int			noutcomes;
	bool		scoring;		/* an error is the row's, not the model's */
} Chunk;

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

/*
 * Begins a transaction; see stream_apply.h.
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
 * Runs a query as the model's owner; see stream_apply.h.
 */
void
churn_apply_query(ChurnWatchedModel *model, const char *query,
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
churn_apply_wait(ChurnDecoderSink *sink)
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
static void
note_reread(ChurnDecoderSink *sink, ChurnWatchedModel *model, const char *key,
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
static bool
was_reread(const ChurnWatchedModel *model, const char *key, XLogRecPtr lsn)
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
churn_apply_passed(ChurnWatchSet *set, XLogRecPtr position)
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
 * Makes a chunk's list and hash table.
 */
static void
start_chunk(Chunk *chunk)
{
	chunk->room = Max(Max(Min(churn_batch_size, MOST_IN_CHUNK), 16),
					  (int) Min(chunk->changes, MOST_IN_CHUNK));
	chunk->list = palloc(sizeof(Pending) * chunk->room);
	chunk->n = 0;
	chunk->bytes = 0;
	chunk->customers = customers_create(chunk->context, 256, NULL);
}

/*
 * The memory that a customer of a model takes in a chunk, without the row.
 */
static Size
customer_bytes(const ChurnWatchedModel *model)
{
	Size		nfeatures = model->version != NULL ?
	model->version->model->nfeatures : 0;

	return nfeatures * sizeof(float) + sizeof(Pending) + sizeof(Customer) +
		sizeof(ChurnOutcome) + 64;
}

/*
 * Adds a change to the chunk, in place of an earlier one of the customer.
 */
static void
add_change(Chunk *chunk, const ChurnChange *change)
{
	ChurnWatchedModel *model = change->reading->model;
	CustomerKey id = {model, change->key};
	Customer   *customer;
	Pending    *pending;
	bool		found;

	customer = customers_insert(chunk->customers, id, &found);
	if (!found)
	{
		customer->id.key = MemoryContextStrdup(chunk->context, change->key);
		customer->place = chunk->n++;
	}
	pending = &chunk->list[customer->place];
	pending->model = model;
	pending->action = change->action;
	pending->checked = change->action == CHURN_ACTION_CHECK;
	pending->reading = change->reading;
	pending->key = customer->id.key;
	pending->lsn = change->lsn;
	pending->row_length = change->tuple_length;
	pending->row = NULL;
	chunk->bytes += customer_bytes(model) + change->tuple_length;
	if (change->tuple_length > 0)
	{
		pending->row = MemoryContextAlloc(chunk->context,
										  change->tuple_length);
		memcpy(pending->row, change->tuple, change->tuple_length);
	}
}

/*
 * Adds an outcome of the model at hand; its features are those of the last
 * score.
 */
static ChurnOutcome *
add_outcome(Chunk *chunk, const Pending *pending)
{
	ChurnOutcome *outcome = &chunk->outcomes[chunk->noutcomes++];

	outcome->key = pending->key;
	outcome->gone = pending->action == CHURN_ACTION_DELETE;
	outcome->score = 0;
	outcome->reasons = 0;
	outcome->lsn = pending->lsn;
	outcome->reading = pending->reading;
	outcome->row = pending->row;
	outcome->row_length = pending->row_length;
	return outcome;
}

/*
 * The reasons of the score found last, as an array of texts.
 */
static Datum
find_reasons(ChurnReading *reading)
{
	ChurnWatchedModel *model = reading->model;

	if (reading->explainer == NULL)
	{
		MemoryContext old =
		MemoryContextSwitchTo(GetMemoryChunkContext(reading->values));

		reading->explainer = churn_row_explainer_make(model->version,
													  reading->map,
													  reading->desc,
													  GetActiveSnapshot());
		MemoryContextSwitchTo(old);
	}
	churn_row_explain(reading->explainer, model->features);
	return churn_row_reasons(reading->explainer, reading->values,
							 reading->nulls, model->features,
							 model->nreasons);
}

/*
 * Scores a row and adds the outcome.
 */
static void
score_row(Chunk *chunk, const Pending *pending)
{
	ChurnReading *reading = pending->reading;
	ChurnWatchedModel *model = chunk->model;
	int			nfeatures = model->version->model->nfeatures;
	HeapTupleData tuple;
	ChurnOutcome *outcome;
	double		score;
	Datum		reasons = 0;

	tuple.t_len = pending->row_length;
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = pending->row;
	heap_deform_tuple(&tuple, reading->desc, reading->values, reading->nulls);
	chunk->scoring = false;
	churn_reading_prepare(reading);
	chunk->scoring = true;
	score = churn_reading_score(reading);
	if (model->nreasons > 0)
		reasons = find_reasons(reading);
	outcome = add_outcome(chunk, pending);
	outcome->score = score;
	outcome->reasons = reasons;
	memcpy(chunk->features + (Size) (chunk->noutcomes - 1) * nfeatures,
		   model->features, sizeof(float) * nfeatures);
	chunk->applied->scored++;
}

/* Rows that are scored in one go. */
typedef struct ScoreRows
{
	Chunk	   *chunk;
	Pending   **rows;
	int			n;
} ScoreRows;

/*
 * Scores rows; for churn_attempt().
 */
static void
score_rows(void *arg)
{
	ScoreRows  *rows = arg;
	int			i;

	for (i = 0; i < rows->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		score_row(rows->chunk, rows->rows[i]);
	}
}

/*
 * Scores all the rows of the model at hand; if that fails, one by one, so that
 * those that can be scored are.
 */
static void
score_all(Chunk *chunk, Pending **list, int n)
{
	ScoreRows	rows = {chunk, list, n};
	int			before = chunk->noutcomes;
	uint64		scored = chunk->applied->scored;
	ErrorData  *error;
	int			i;

	if (n == 0 || (error = churn_attempt(score_rows, &rows)) == NULL)
		return;
	chunk->noutcomes = before;
	chunk->applied->scored = scored;
	rows.n = 1;
	for (i = 0; i < n && chunk->scoring; i++)
	{
		rows.rows = &list[i];
		error = churn_attempt(score_rows, &rows);
		if (error != NULL && chunk->scoring)
			churn_stream_error_row("row", chunk->model->name,
								   chunk->model->source_relation,
								   list[i]->key, list[i]->lsn, error);
	}
	if (!chunk->scoring)
	{
		chunk->noutcomes = before;
		churn_rescan_break(chunk->model, error);
	}
}

/* Customers that are read in one go. */
typedef struct ReadCustomers
{
	Chunk	   *chunk;
	Datum		keys;
	ChurnTape  *tape;
} ReadCustomers;

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
	ChurnWatchedModel *model = read->chunk->model;
	char	   *query = NULL;

	if (model->read_plan == NULL)
		query = psprintf("SELECT churn_source.* FROM (%s) AS churn_source"
						 " WHERE churn_source.%s = ANY ($1::%s[])",
						 model->source_query, quote_identifier(model->key),
						 format_type_be_qualified(key_type(model)));
	churn_apply_query(model, query, &model->read_plan, read->keys,
					  read->chunk->sink->set->context, read->tape);
}

/*
 * Reads customers onto the tape; NULL, or what went wrong.
 */
static ErrorData *
try_to_read(Chunk *chunk, Pending **reads, int nreads, ChurnTape *tape)
{
	ReadCustomers read = {chunk, 0, tape};
	Datum	   *keys = palloc(sizeof(Datum) * Max(nreads, 1));
	int			i;

	for (i = 0; i < nreads; i++)
	{
		keys[i] = CStringGetTextDatum(reads[i]->key);
		reads[i]->action = CHURN_ACTION_DELETE;
	}
	read.keys = nreads == 0 ? PointerGetDatum(construct_empty_array(TEXTOID)) :
		PointerGetDatum(construct_array(keys, nreads, TEXTOID, -1, false,
										TYPALIGN_INT));
	return churn_attempt(read_customers, &read);
}

/*
 * Reads customers onto the tape, one by one if they cannot be read together;
 * returns false if not even none of them can be: then it is the model's fault.
 */
static bool
read_onto_tape(Chunk *chunk, Pending **reads, int nreads, ChurnTape *tape)
{
	ErrorData  *first = try_to_read(chunk, reads, nreads, tape);
	int			i;

	if (first == NULL)
		return true;
	churn_tape_clear(tape);
	if (try_to_read(chunk, reads, 0, tape) != NULL)
	{
		churn_rescan_break(chunk->model, first);
		return false;
	}
	for (i = 0; i < nreads; i++)
	{
		ErrorData  *error = try_to_read(chunk, &reads[i], 1, tape);

		CHECK_FOR_INTERRUPTS();
		if (error == NULL)
			continue;
		reads[i]->action = CHURN_ACTION_READ;	/* neither row nor gone */
		churn_stream_error_row("row", chunk->model->name,
							   chunk->model->source_relation, reads[i]->key,
							   reads[i]->lsn, error);
	}
	return true;
}

/*
 * Reads customers again, and adds their rows to the list of those to be scored;
 * those that are not found are gone, and of some no more is asked.
 */
static void
read_again(Chunk *chunk, Pending **reads, int nreads, Pending **scores,
		   int *nscores)
{
	ChurnTape  *tape;
	ChurnChange change;
	XLogRecPtr	lsn;
	int			i;

	if (nreads == 0)
		return;
	churn_apply_wait(chunk->sink);
	tape = churn_tape_create(chunk->context);
	if (!read_onto_tape(chunk, reads, nreads, tape))
	{
		churn_tape_clear(tape);
		return;
	}
	/* snapshots were taken before this, so they see no later commit */
	lsn = GetXLogInsertRecPtr();
	churn_tape_rewind(tape);
	while (churn_tape_next(tape, &change))
	{
		CustomerKey id = {chunk->model, change.key};
		Customer   *customer = change.key_length == 0 ? NULL :
		customers_lookup(chunk->customers, id);
		Pending    *pending;

		if (customer == NULL)
			continue;			/* the key has another text than asked for */
		pending = &chunk->list[customer->place];
		if (pending->action == CHURN_ACTION_SCORE)
			continue;			/* the source has the key twice */
		pending->action = CHURN_ACTION_SCORE;
		pending->reading = change.reading;
		pending->row_length = change.tuple_length;
		pending->row = MemoryContextAlloc(chunk->context, change.tuple_length);
		memcpy(pending->row, change.tuple, change.tuple_length);
		if (!pending->checked)
			scores[(*nscores)++] = pending;
	}
	churn_tape_clear(tape);
	for (i = 0; i < nreads; i++)
	{
		note_reread(chunk->sink, chunk->model, reads[i]->key, lsn);
		if (reads[i]->action == CHURN_ACTION_DELETE)
			(void) add_outcome(chunk, reads[i]);
	}
}

/*
 * Writes what was found of the model at hand, and takes the time.
 */
static void
write_outcomes(Chunk *chunk)
{
	instr_time	began;
	instr_time	took;

	INSTR_TIME_SET_CURRENT(began);
	chunk->applied->written += churn_outcomes_write(chunk->model,
													chunk->outcomes,
													chunk->noutcomes,
													chunk->features,
													chunk->origin);
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, began);
	chunk->applied->write_seconds += INSTR_TIME_GET_DOUBLE(took);
}

/*
 * Scores and writes the changes of one model.  Without a version, or while it
 * cannot be scored, only customers that are gone count.
 */
static void
apply_model(Chunk *chunk, ChurnWatchedModel *model)
{
	Pending   **scores = palloc(sizeof(Pending *) * chunk->n);
	Pending   **reads = palloc(sizeof(Pending *) * chunk->n);
	int			nscores = 0;
	int			nreads = 0;
	int			nfeatures = model->version != NULL ?
	(int) model->version->model->nfeatures : 0;
	int			i;

	chunk->model = model;
	chunk->outcomes = palloc(sizeof(ChurnOutcome) * chunk->n);
	chunk->features = palloc(sizeof(float) * Max(nfeatures * chunk->n, 1));
	chunk->noutcomes = 0;
	for (i = 0; i < chunk->n; i++)
	{
		Pending    *pending = &chunk->list[i];
		bool		scorable = model->version != NULL && !model->broken;

		if (pending->model != model)
			continue;
		if (scorable && (pending->action == CHURN_ACTION_READ ||
						 pending->checked ||
						 was_reread(model, pending->key, pending->lsn)))
			reads[nreads++] = pending;
		else if (pending->action == CHURN_ACTION_DELETE)
			(void) add_outcome(chunk, pending);
		else if (scorable)
			scores[nscores++] = pending;
	}
	read_again(chunk, reads, nreads, scores, &nscores);
	if (!model->broken)
		score_all(chunk, scores, nscores);
	if (chunk->noutcomes > 0)
		write_outcomes(chunk);
}

/*
 * Scores and writes a chunk, and begins another.
 */
static void
end_chunk(Chunk *chunk)
{
	MemoryContext old = MemoryContextSwitchTo(chunk->context);
	ListCell   *cell;
	int			i;

	foreach(cell, chunk->sink->set->models)
	{
		for (i = 0; i < chunk->n; i++)
		{
			if (chunk->list[i].model == lfirst(cell))
				break;
		}
		if (i < chunk->n)
			apply_model(chunk, lfirst(cell));
	}
	churn_alerts_write();
	/* the next chunk may meet the same customers */
	CommandCounterIncrement();
	MemoryContextReset(chunk->context);
	start_chunk(chunk);
	MemoryContextSwitchTo(old);
}

/*
 * Reports a row that has no key, or one beyond what predictions can hold.
 */
static void
report_key(const ChurnChange *change)
{
	ErrorData	error = {0};
	const ChurnWatchedModel *model = change->reading->model;

	if (change->key_length == 0)
	{
		error.sqlerrcode = ERRCODE_NULL_VALUE_NOT_ALLOWED;
		error.message = psprintf("key \"%s\" of model \"%s\" is null in a row of its source",
								 model->key, model->name);
		error.hint = "Make the column NOT NULL.";
	}
	else
	{
		error.sqlerrcode = ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		error.message = psprintf("key \"%s\" of model \"%s\" is of %u bytes in a row of its source",
								 model->key, model->name,
								 change->key_length - 1);
		error.detail = psprintf("At most %d are possible.", LONGEST_KEY);
	}
	churn_stream_error_row("row", model->name, model->source_relation, NULL,
						   change->lsn, &error);
}

/*
 * Requests a rescan of a model, once however many changes call for it.
 */
static void
request_rescan(List **requested, ChurnWatchedModel *model)
{
	if (list_member_ptr(*requested, model))
		return;
	*requested = lappend(*requested, model);
	churn_rescan_request(model, "a table was truncated or rewritten, or changes do not tell the key");
}

/*
 * Scores what is on the tape and writes it; see stream_apply.h.
 */
void
churn_apply(ChurnDecoderSink *sink, ChurnTape *tape, const char *origin,
			ChurnApplied *applied)
{
	Chunk		chunk = {.sink = sink,.origin = origin,.applied = applied,
	.changes = tape->changes};
	MemoryContext old;
	ChurnChange change;
	List	   *rescans = NIL;
	ChurnRole	saved = churn_role_become_owner();

	chunk.context = AllocSetContextCreate(CurrentMemoryContext, "churn chunk",
										  ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(chunk.context);
	start_chunk(&chunk);
	MemoryContextSwitchTo(old);
	churn_tape_rewind(tape);
	while (churn_tape_next(tape, &change))
	{
		CHECK_FOR_INTERRUPTS();
		applied->changes++;
		if (change.action == CHURN_ACTION_RESCAN)
			request_rescan(&rescans, change.reading->model);
		else if (change.key_length == 0 || change.key_length > LONGEST_KEY + 1)
			report_key(&change);
		else
			add_change(&chunk, &change);
		if (chunk.n == chunk.room ||
			chunk.bytes > (Size) churn_batch_memory * 1024)
			end_chunk(&chunk);
	}
	if (chunk.n > 0)
		end_chunk(&chunk);
	churn_alerts_notify();
	MemoryContextDelete(chunk.context);
	churn_role_restore(saved);
}
