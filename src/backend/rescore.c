/*
 * rescore.c
 *		churn_rescore(): the score of every row of a model's source.
 *
 * The source is read as the model's owner and predictions are written as the
 * registry's, so the two cannot be one statement: rows come through a
 * DestReceiver, and key and score go into a tuple store, which spills beyond
 * work_mem.  Set-based statements then read that as a relation named
 * churn_scored, and write only what changed.
 *
 * Predictions of a model that is watched are written by the stream worker
 * alone, lest a score go back in time: it is asked to, and waited for.
 */
#include "postgres.h"

#include "access/tupdesc.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "churn/hash.h"

#include "compat.h"
#include "features.h"
#include "registry.h"
#include "rescore.h"
#include "role.h"
#include "row_store.h"
#include "row_explainer.h"
#include "score.h"
#include "stream_shared.h"
#include "stream_watch.h"

#define ADVISORY_CLASS		0x6368726e	/* "chrn" */

typedef struct Rescore
{
	DestReceiver pub;			/* must be first */
	MemoryContext context;		/* lives as long as the call */
	MemoryContext row_context;	/* reset for each row */
	ChurnModelRow *row;
	ChurnVersion *version;
	ChurnRowMap *map;
	float	   *features;
	void	   *workspace;
	int			nreasons;		/* a customer; 0 for none */
	ChurnRowExplainer *explainer;	/* NULL without reasons */
	int			key_column;
	FmgrInfo	key_output;
	TupleDesc	desc;			/* of what is stored: key, score, reasons */
	Tuplestorestate *store;
	uint64	   *hashes;			/* of all keys so far */
	size_t		nhashes;
	size_t		room;
} Rescore;

PG_FUNCTION_INFO_V1(churn_rescore);

/*
 * DestReceiver's start: finds the columns of the source.
 */
static void
start_rows(DestReceiver *self, int operation, TupleDesc desc)
{
	Rescore    *rescore = (Rescore *) self;
	Oid			output;
	bool		is_varlena;

	rescore->map = churn_row_map(rescore->version->model,
								 rescore->version->name, desc,
								 rescore->context);
	if (rescore->nreasons > 0)
	{
		MemoryContext old = MemoryContextSwitchTo(rescore->context);

		rescore->explainer = churn_row_explainer_make(rescore->version,
													  rescore->map, desc,
													  GetActiveSnapshot());
		MemoryContextSwitchTo(old);
	}
	rescore->key_column = churn_find_column(desc, rescore->row->key);
	if (rescore->key_column < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\", the key of model \"%s\", does not exist in its source",
						rescore->row->key, rescore->row->name)));
	getTypeOutputInfo(TupleDescAttr(desc, rescore->key_column)->atttypid,
					  &output, &is_varlena);
	fmgr_info_cxt(output, &rescore->key_output, rescore->context);
}

/*
 * Remembers the hash of a key, by which duplicates are found.
 */
static void
remember_key(Rescore *rescore, const char *key, size_t length)
{
	if (rescore->nhashes == rescore->room)
	{
		rescore->room *= 2;
		rescore->hashes = repalloc_huge(rescore->hashes,
										mul_size(rescore->room,
												 sizeof(uint64)));
	}
	rescore->hashes[rescore->nhashes++] = churn_hash64(key, length, 0);
}

/*
 * DestReceiver's row: stores its key and score.
 */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	Rescore    *rescore = (Rescore *) self;
	MemoryContext old;
	char	   *key;
	float		margin;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	slot_getallattrs(slot);
	if (slot->tts_isnull[rescore->key_column])
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("key \"%s\" of model \"%s\" is null in a row of its source",
						rescore->row->key, rescore->row->name)));
	old = MemoryContextSwitchTo(rescore->row_context);
	churn_row_encode(rescore->map, slot->tts_values, slot->tts_isnull,
					 rescore->features);
	margin = churn_predictor_margin(rescore->version->predictor,
									rescore->features, rescore->workspace);
	key = OutputFunctionCall(&rescore->key_output,
							 slot->tts_values[rescore->key_column]);
	remember_key(rescore, key, strlen(key));
	values[0] = CStringGetTextDatum(key);
	values[1] = Float8GetDatum(churn_score_of_margin(rescore->version,
													 margin));
	nulls[2] = rescore->explainer == NULL;
	if (rescore->explainer != NULL)
	{
		churn_row_explain(rescore->explainer, rescore->features);
		values[2] = churn_row_reasons(rescore->explainer, slot->tts_values,
									  slot->tts_isnull, rescore->features,
									  rescore->nreasons);
	}
	tuplestore_putvalues(rescore->store, rescore->desc, values, nulls);
	MemoryContextSwitchTo(old);
	MemoryContextReset(rescore->row_context);
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
 * Reads the source as the model's owner; the rows arrive in receive_row().
 */
static void
read_source(Rescore *rescore)
{
	Oid			owner = get_role_oid(rescore->row->owner, false);
	SPIExecuteOptions options = {0};
	ChurnRole	saved;

	saved = churn_role_become(owner);
	options.read_only = true;
	options.dest = &rescore->pub;
	SPI_execute_extended(rescore->row->source_query, &options);
	churn_role_restore(saved);
}

/*
 * Orders hashes.
 */
static int
compare_hashes(const void *a, const void *b)
{
	uint64		x = *(const uint64 *) a;
	uint64		y = *(const uint64 *) b;

	return (x > y) - (x < y);
}

/*
 * Complains of a key that occurs twice: which of its scores should be kept?
 * Two equal hashes only raise the suspicion.
 */
static void
check_unique(Rescore *rescore)
{
	size_t		i;

	qsort(rescore->hashes, rescore->nhashes, sizeof(uint64), compare_hashes);
	for (i = 1; i < rescore->nhashes; i++)
		if (rescore->hashes[i] == rescore->hashes[i - 1])
			break;
	if (i >= rescore->nhashes)
		return;
	SPI_execute("SELECT key FROM churn_scored GROUP BY key"
				" HAVING count(*) > 1 LIMIT 1", true, 1);
	if (SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("key \"%s\" of model \"%s\" is not unique in its source",
						rescore->row->key, rescore->row->name),
				 errdetail("Value \"%s\" occurs more than once.",
						   SPI_getvalue(SPI_tuptable->vals[0],
										SPI_tuptable->tupdesc, 1)),
				 errhint("Train the model with a key that identifies a row.")));
}

/*
 * Writes what is new or changed into churn.predictions and deletes what is
 * gone.  Returns the number of rows written or deleted.
 */
static uint64
write_predictions(Rescore *rescore)
{
	Oid			types[] = {TEXTOID, INT4OID, FLOAT8OID};
	Datum		values[3];
	uint64		written;
	int64		present;
	bool		isnull;

	values[0] = CStringGetTextDatum(rescore->version->name);
	values[1] = Int32GetDatum(rescore->version->version);
	values[2] = Float8GetDatum(rescore->version->model->threshold);
	SPI_execute_with_args(
						  "INSERT INTO churn.predictions AS p"
						  " (customer_key, model, version, score, band, reasons, scored_at, origin) "
						  "SELECT s.key, $1, $2, s.score,"
						  " CASE WHEN s.score >= $3 THEN 'high'"
						  " WHEN s.score >= $3 / 2 THEN 'medium' ELSE 'low' END,"
						  " s.reasons, statement_timestamp(), 'batch' "
						  "FROM churn_scored s LEFT JOIN churn.predictions o"
						  " ON o.customer_key = s.key AND o.model = $1 "
						  "WHERE o.score IS NULL OR o.score <> s.score OR o.version <> $2"
						  " OR s.reasons IS NOT NULL AND s.reasons IS DISTINCT FROM o.reasons "
						  "ON CONFLICT (customer_key, model) DO UPDATE SET"
						  " version = excluded.version, score = excluded.score,"
						  " previous_score = CASE WHEN p.score = excluded.score"
						  " THEN p.previous_score ELSE p.score END,"
						  " band = excluded.band, reasons = excluded.reasons,"
						  " scored_at = excluded.scored_at, lsn = NULL,"
						  " origin = excluded.origin",
						  lengthof(types), types, values, NULL, false, 0);
	written = SPI_processed;

	SPI_execute_with_args("SELECT count(*) FROM churn.predictions"
						  " WHERE model = $1",
						  1, types, values, NULL, false, 0);
	present = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
										  SPI_tuptable->tupdesc, 1, &isnull));
	if (present == (int64) rescore->nhashes)
		return written;
	SPI_execute_with_args("DELETE FROM churn.predictions p WHERE model = $1"
						  " AND NOT EXISTS (SELECT FROM churn_scored s"
						  " WHERE s.key = p.customer_key)",
						  1, types, values, NULL, false, 0);
	return written + SPI_processed;
}

/*
 * Lets one rescoring of a model run at a time; see rescore.h.
 */
void
churn_rescore_lock(const char *model)
{
	Oid			types[] = {INT4OID, INT4OID};
	Datum		values[] = {Int32GetDatum(ADVISORY_CLASS),
	Int32GetDatum((int32) churn_hash64(model, strlen(model), 0))};

	SPI_execute_with_args("SELECT pg_catalog.pg_advisory_xact_lock($1, $2)",
						  2, types, values, NULL, false, 0);
}

/*
 * Makes the state of a call, in its own context.
 */
static Rescore *
make_rescore(const char *model, int nreasons, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	Rescore    *rescore = palloc0(sizeof(Rescore));

	rescore->context = context;
	rescore->nreasons = nreasons;
	rescore->row_context = AllocSetContextCreate(context, "churn rescore row",
												 ALLOCSET_DEFAULT_SIZES);
	rescore->row = churn_registry_model(model, GetActiveSnapshot(), false);
	if (rescore->row->key == NULL || rescore->row->source_query == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("model \"%s\" has no %s", model,
						rescore->row->source_query ? "key" : "source"),
				 errhint("Train or import a version with source and key given.")));
	rescore->version = churn_registry_resolve(model, 0, InvalidOid,
											  GetActiveSnapshot(), context);
	rescore->features =
		palloc(sizeof(float) * Max(rescore->version->model->nfeatures, 1));
	rescore->workspace =
		palloc(churn_predictor_workspace(rescore->version->predictor) + 32);
	rescore->workspace = (void *) TYPEALIGN(32, rescore->workspace);
	rescore->desc = CreateTemplateTupleDesc(3);
	TupleDescInitEntry(rescore->desc, 1, "key", TEXTOID, -1, 0);
	TupleDescInitEntry(rescore->desc, 2, "score", FLOAT8OID, -1, 0);
	TupleDescInitEntry(rescore->desc, 3, "reasons", TEXTARRAYOID, -1, 0);
	rescore->room = 1024;
	rescore->hashes = palloc(sizeof(uint64) * rescore->room);
	rescore->pub.receiveSlot = receive_row;
	rescore->pub.rStartup = start_rows;
	rescore->pub.rShutdown = end_rows;
	rescore->pub.rDestroy = end_rows;
	rescore->pub.mydest = DestNone;
	MemoryContextSwitchTo(old);
	return rescore;
}

/*
 * Whether a stream worker writes the predictions of a model, as of now rather
 * than of the transaction's snapshot.
 */
static bool
is_watched(const char *model)
{
	Oid			types[] = {TEXTOID, TEXTOID};
	Datum		values[] = {CStringGetTextDatum(model),
	CStringGetTextDatum(churn_stream_home())};
	SPIPlanPtr	plan;
	Snapshot	snapshot;
	ChurnRole	saved;

	if (!churn_stream_available())
		return false;
	saved = churn_role_become_owner();
	plan = SPI_prepare("SELECT FROM churn.watches WHERE model = $1 AND home = $2",
					   lengthof(types), types);
	if (plan == NULL)
		elog(ERROR, "could not prepare the look at the watches: %s",
			 SPI_result_code_string(SPI_result));
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	SPI_execute_snapshot(plan, values, NULL, snapshot, InvalidSnapshot, true,
						 false, 1);
	UnregisterSnapshot(snapshot);
	churn_role_restore(saved);
	return SPI_processed > 0;
}

/*
 * Has the stream worker rescore a model; returns the rows it wrote.  It sees
 * nothing that this transaction did, and might wait for its locks.
 */
static int64
rescore_by_worker(const Rescore *rescore)
{
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("watched model \"%s\" cannot be rescored in a transaction that has changed something",
						rescore->row->name),
				 errdetail("The stream worker does it, which sees committed changes only."),
				 errhint("Call churn_rescore() in a transaction of its own.")));
	return churn_stream_rescan(rescore->row->model_id, rescore->nreasons);
}

/*
 * Rescores a model in this session; returns the rows written.
 */
static int64
rescore_here(Rescore *rescore)
{
	MemoryContext old = MemoryContextSwitchTo(rescore->context);
	ChurnRole	saved;
	uint64		written;

	rescore->store = tuplestore_begin_heap(false, false, work_mem);
	MemoryContextSwitchTo(old);
	/* a worker may not have seen yet that the model is watched no longer */
	churn_stream_catch_up();
	read_source(rescore);
	saved = churn_role_become_owner();
	churn_row_store_register("churn_scored", rescore->desc, rescore->store,
							 rescore->nhashes, rescore->context);
	check_unique(rescore);
	written = write_predictions(rescore);
	churn_role_restore(saved);
	return (int64) written;
}

/*
 * churn_rescore(model text, reasons int) -> bigint
 *
 * Scores every row of the model's source with the champion, writes into
 * churn.predictions what is new or changed, deletes what is gone, and returns
 * the number of rows it wrote or deleted.  So many reasons are written with
 * each score.
 */
Datum
churn_rescore(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "churn rescore",
												  ALLOCSET_DEFAULT_SIZES);
	char	   *model = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int			nreasons = PG_GETARG_INT32(1);
	Rescore    *rescore;
	int64		written;

	PreventCommandIfReadOnly("churn_rescore()");
	if (nreasons < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("reasons is %d, but must be at least 0", nreasons)));
	rescore = make_rescore(model, nreasons, context);
	SPI_connect();
	churn_rescore_lock(model);
	written = is_watched(model) ? rescore_by_worker(rescore) :
		rescore_here(rescore);
	SPI_finish();
	if (rescore->store != NULL)
		tuplestore_end(rescore->store);
	MemoryContextDelete(context);
	PG_RETURN_INT64(written);
}
