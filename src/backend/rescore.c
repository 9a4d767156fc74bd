/*
 * rescore.c
 *		churn_rescore(): the score of every row of a model's source.
 *
 * The source is read as the model's owner and predictions are written as the
 * registry's, so the two cannot be one statement: rows come through a
 * DestReceiver, are scored, and every so many of them are written at once.
 * Only what changed is written.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "churn/hash.h"

#include "compat.h"
#include "features.h"
#include "registry.h"
#include "score.h"

#define BATCH_ROWS			10000
#define ADVISORY_CLASS		0x6368726e	/* "chrn" */

typedef struct Rescore
{
	DestReceiver pub;			/* must be first */
	MemoryContext context;		/* lives as long as the call */
	MemoryContext batch;		/* keys of the batch */
	ChurnModelRow *row;
	ChurnVersion *version;
	ChurnRowMap *map;
	float	   *features;
	void	   *workspace;
	int			key_column;
	FmgrInfo	key_output;
	SPIPlanPtr	write;
	int			n;				/* rows in the batch */
	Datum	   *keys;			/* text */
	Datum	   *scores;			/* double precision */
	uint64	   *hashes;			/* of all keys so far */
	size_t		nhashes;
	size_t		room;
	uint64		written;
} Rescore;

PG_FUNCTION_INFO_V1(churn_rescore);

/*
 * Plans within this scope look rows of churn.predictions up by key: estimates
 * made while the table is empty must not lead to scanning it for each batch.
 */
static void
prefer_index(void)
{
	static const char *const off[] = {"enable_hashjoin", "enable_mergejoin",
	"enable_seqscan", "enable_bitmapscan", "jit"};
	size_t		i;

	for (i = 0; i < lengthof(off); i++)
		(void) set_config_option(off[i], "off", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
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
 * Sorts hashes and complains of two equal ones, which mean that a key is not
 * unique: which of its scores should be kept?
 */
static void
check_unique(Rescore *rescore, uint64 *hashes, size_t n)
{
	size_t		i;

	qsort(hashes, n, sizeof(uint64), compare_hashes);
	for (i = 1; i < n; i++)
		if (hashes[i] == hashes[i - 1])
			ereport(ERROR,
					(errcode(ERRCODE_CARDINALITY_VIOLATION),
					 errmsg("key \"%s\" of model \"%s\" is not unique in its source",
							rescore->row->key, rescore->row->name),
					 errhint("Train the model with a key that identifies a row.")));
}

/*
 * Complains of a column that the source does not have.
 */
static void
no_key_column(const Rescore *rescore)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\", the key of model \"%s\", does not exist in its source",
					rescore->row->key, rescore->row->name)));
}

/*
 * DestReceiver's start: finds the columns of the source.
 */
static void
start_rows(DestReceiver *self, int operation, TupleDesc desc)
{
	Rescore    *rescore = (Rescore *) self;
	Oid			output;
	bool		is_varlena;
	int			i;

	rescore->map = churn_row_map(rescore->version->model,
								 rescore->version->name, desc,
								 rescore->context);
	rescore->key_column = -1;
	for (i = 0; i < desc->natts; i++)
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname),
				   rescore->row->key) == 0)
			rescore->key_column = i;
	if (rescore->key_column < 0)
		no_key_column(rescore);
	getTypeOutputInfo(TupleDescAttr(desc, rescore->key_column)->atttypid,
					  &output, &is_varlena);
	fmgr_info_cxt(output, &rescore->key_output, rescore->context);
}

/*
 * Writes the batch: rows whose score or version is new.
 */
static void
write_batch(Rescore *rescore)
{
	MemoryContext old;
	Datum		values[6];
	ChurnRole	saved;
	uint64	   *hashes;

	if (rescore->n == 0)
		return;
	old = MemoryContextSwitchTo(rescore->batch);
	hashes = palloc(sizeof(uint64) * rescore->n);
	memcpy(hashes, rescore->hashes + rescore->nhashes - rescore->n,
		   sizeof(uint64) * rescore->n);
	check_unique(rescore, hashes, rescore->n);
	values[0] = PointerGetDatum(construct_array(rescore->keys, rescore->n,
												TEXTOID, -1, false,
												TYPALIGN_INT));
	values[1] = PointerGetDatum(construct_array(rescore->scores, rescore->n,
												FLOAT8OID, sizeof(float8),
												FLOAT8PASSBYVAL,
												TYPALIGN_DOUBLE));
	values[2] = CStringGetTextDatum(rescore->version->name);
	values[3] = Int32GetDatum(rescore->version->version);
	values[4] = Float8GetDatum(rescore->version->model->threshold);
	SPI_connect();
	saved = churn_role_become_owner();
	prefer_index();
	if (SPI_execute_plan(rescore->write, values, NULL, false, 0) !=
		SPI_OK_INSERT)
		elog(ERROR, "could not write predictions");
	rescore->written += SPI_processed;
	churn_role_restore(saved);
	SPI_finish();
	MemoryContextSwitchTo(old);
	MemoryContextReset(rescore->batch);
	rescore->n = 0;
}

/*
 * Remembers the hash of a key.
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
 * DestReceiver's row: scores it into the batch.
 */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	Rescore    *rescore = (Rescore *) self;
	MemoryContext old;
	char	   *key;
	float		margin;

	slot_getallattrs(slot);
	if (slot->tts_isnull[rescore->key_column])
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("key \"%s\" of model \"%s\" is null in a row of its source",
						rescore->row->key, rescore->row->name)));
	old = MemoryContextSwitchTo(rescore->batch);
	churn_row_encode(rescore->map, slot->tts_values, slot->tts_isnull,
					 rescore->features);
	margin = churn_evaluator_margin(rescore->version->evaluator,
									rescore->features, rescore->workspace);
	key = OutputFunctionCall(&rescore->key_output,
							 slot->tts_values[rescore->key_column]);
	remember_key(rescore, key, strlen(key));
	rescore->keys[rescore->n] = CStringGetTextDatum(key);
	rescore->scores[rescore->n] =
		Float8GetDatum(churn_score_of_margin(rescore->version, margin));
	rescore->n++;
	MemoryContextSwitchTo(old);
	if (rescore->n == BATCH_ROWS)
		write_batch(rescore);
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
 * The plan that writes a batch.
 */
static SPIPlanPtr
prepare_write(void)
{
	Oid			types[] = {TEXTARRAYOID, FLOAT8ARRAYOID, TEXTOID, INT4OID,
	FLOAT8OID};
	SPIPlanPtr	plan;

	plan = SPI_prepare_cursor(
							  "INSERT INTO churn.predictions AS p"
							  " (customer_key, model, version, score, band, scored_at, origin) "
							  "SELECT g.key, $3, $4, g.score,"
							  " CASE WHEN g.score >= $5 THEN 'high'"
							  " WHEN g.score >= $5 / 2 THEN 'medium' ELSE 'low' END,"
							  " pg_catalog.statement_timestamp(), 'batch' "
							  "FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2))"
							  " AS g (key, score) "
							  "LEFT JOIN churn.predictions o"
							  " ON o.customer_key = g.key AND o.model = $3 "
							  "WHERE o.score IS NULL OR o.score <> g.score OR o.version <> $4 "
							  "ON CONFLICT (customer_key, model) DO UPDATE SET"
							  " version = excluded.version, score = excluded.score,"
							  " previous_score = CASE WHEN p.score = excluded.score"
							  " THEN p.previous_score ELSE p.score END,"
							  " band = excluded.band, reasons = NULL,"
							  " scored_at = excluded.scored_at, lsn = NULL,"
							  " origin = excluded.origin",
							  lengthof(types), types,
							  CURSOR_OPT_GENERIC_PLAN);
	if (plan == NULL)
		elog(ERROR, "could not prepare: %s",
			 SPI_result_code_string(SPI_result));
	return plan;
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
 * Deletes the predictions of customers who are no longer in the source.  The
 * hashes are sorted by now.
 */
static void
delete_stale(Rescore *rescore)
{
	Oid			types[] = {TEXTOID, TEXTARRAYOID};
	Datum		values[2];
	ArrayBuildState *stale = initArrayResult(TEXTOID, rescore->context, true);
	Portal		portal;
	uint64		i;

	values[0] = CStringGetTextDatum(rescore->row->name);
	SPI_execute_with_args("SELECT count(*) FROM churn.predictions"
						  " WHERE model = $1", 1, types, values, NULL, false, 0);
	if (SPI_processed == 1)
	{
		bool		isnull;
		int64		present = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
														  SPI_tuptable->tupdesc,
														  1, &isnull));

		if (present == (int64) rescore->nhashes)
			return;
	}
	portal = SPI_cursor_open_with_args(NULL,
									   "SELECT customer_key FROM churn.predictions"
									   " WHERE model = $1",
									   1, types, values, NULL, false, 0);
	for (;;)
	{
		SPI_cursor_fetch(portal, true, BATCH_ROWS);
		if (SPI_processed == 0)
			break;
		for (i = 0; i < SPI_processed; i++)
		{
			char	   *key = SPI_getvalue(SPI_tuptable->vals[i],
										   SPI_tuptable->tupdesc, 1);
			uint64		hash = churn_hash64(key, strlen(key), 0);

			if (bsearch(&hash, rescore->hashes, rescore->nhashes,
						sizeof(uint64), compare_hashes) == NULL)
				accumArrayResult(stale, CStringGetTextDatum(key), false,
								 TEXTOID, rescore->context);
		}
		SPI_freetuptable(SPI_tuptable);
		CHECK_FOR_INTERRUPTS();
	}
	SPI_cursor_close(portal);
	values[1] = makeArrayResult(stale, rescore->context);
	SPI_execute_with_args("DELETE FROM churn.predictions"
						  " WHERE model = $1 AND customer_key = ANY ($2)",
						  2, types, values, NULL, false, 0);
	rescore->written += SPI_processed;
}

/*
 * Lets one rescoring of a model run at a time.
 */
static void
lock_predictions(const char *model)
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
make_rescore(const char *model, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	Rescore    *rescore = palloc0(sizeof(Rescore));

	rescore->context = context;
	rescore->batch = AllocSetContextCreate(context, "churn rescore batch",
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
		(void *) TYPEALIGN(32,
						   palloc(churn_evaluator_workspace(rescore->version->evaluator) + 32));
	rescore->keys = palloc(sizeof(Datum) * BATCH_ROWS);
	rescore->scores = palloc(sizeof(Datum) * BATCH_ROWS);
	rescore->room = BATCH_ROWS;
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
 * churn_rescore(model text) -> bigint
 *
 * Scores every row of the model's source with the champion, writes into
 * churn.predictions what is new or changed, deletes what is gone, and returns
 * the number of rows it wrote or deleted.
 */
Datum
churn_rescore(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "churn rescore",
												  ALLOCSET_DEFAULT_SIZES);
	char	   *model = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Rescore    *rescore;
	ChurnRole	saved;
	uint64		written;

	PreventCommandIfReadOnly("churn_rescore()");
	rescore = make_rescore(model, context);
	SPI_connect();
	lock_predictions(model);
	saved = churn_role_become_owner();
	rescore->write = prepare_write();
	churn_role_restore(saved);
	read_source(rescore);
	write_batch(rescore);
	check_unique(rescore, rescore->hashes, rescore->nhashes);
	saved = churn_role_become_owner();
	delete_stale(rescore);
	churn_role_restore(saved);
	SPI_finish();
	written = rescore->written;
	MemoryContextDelete(context);
	PG_RETURN_INT64((int64) written);
}
