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
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "attempt.h"
#include "compat.h"
#include "role.h"
#include "stream_alerts.h"
#include "stream_apply.h"
#include "stream_errors.h"
#include "stream_read.h"
#include "stream_rescan.h"
#include "stream_shadow.h"
#include "stream_shared.h"
#include "stream_windows.h"
#include "stream_write.h"

/* Bytes of a customer's key: what an index surely takes. */
#define LONGEST_KEY		1024

/* The most customers of a chunk, and those of whom there is room at first. */
#define MOST_IN_CHUNK	16000
#define FIRST_CUSTOMERS	2048

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
	chunk->customers = customers_create(chunk->context,
										(uint32) Min(chunk->changes,
													 FIRST_CUSTOMERS), NULL);
}

/*
 * The memory that a customer of a model takes in a chunk, without the row.
 */
static Size
customer_bytes(const ChurnWatchedModel *model)
{
	Size		nfeatures = model->version != NULL ?
	model->version->model->nfeatures : 0;

	if (model->shadow != NULL)
		nfeatures += model->shadow->version->model->nfeatures;
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

/*
 * Reads customers onto the tape; NULL, or what went wrong.
 */
static ErrorData *
try_to_read(Chunk *chunk, Pending **reads, int nreads, ChurnTape *tape)
{
	Datum		array;
	Datum	   *keys = palloc(sizeof(Datum) * Max(nreads, 1));
	int			i;

	for (i = 0; i < nreads; i++)
	{
		keys[i] = CStringGetTextDatum(reads[i]->key);
		reads[i]->action = CHURN_ACTION_DELETE;
	}
	array = nreads == 0 ? PointerGetDatum(construct_empty_array(TEXTOID)) :
		PointerGetDatum(construct_array(keys, nreads, TEXTOID, -1, false,
										TYPALIGN_INT));
	return churn_read_customers(chunk->sink, chunk->model, array, tape);
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
	churn_read_wait(chunk->sink);
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
		churn_read_note(chunk->sink, chunk->model, reads[i]->key, lsn);
		if (reads[i]->action == CHURN_ACTION_DELETE)
			(void) add_outcome(chunk, reads[i]);
	}
}

/*
 * Has the challenger score the same rows, counts and writes what was found of
 * the model at hand, and takes the time.
 */
static void
write_outcomes(Chunk *chunk)
{
	ChurnShadow *shadow = churn_shadow_score(chunk->model, chunk->outcomes,
											 chunk->noutcomes);
	instr_time	began;
	instr_time	took;

	churn_windows_count(chunk->model, chunk->outcomes, chunk->noutcomes,
						chunk->features);
	INSTR_TIME_SET_CURRENT(began);
	chunk->applied->written += churn_outcomes_write(chunk->model,
													chunk->outcomes,
													chunk->noutcomes,
													chunk->features, shadow,
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
						 churn_read_was(model, pending->key, pending->lsn)))
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
