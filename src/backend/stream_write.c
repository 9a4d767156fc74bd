/*
 * stream_write.c
 *		Scores on their way into churn.predictions and churn.prediction_log.
 *
 * Each step is one statement for the whole batch, prepared once.  What the
 * predictions are now is read first, so that what is unchanged costs no write
 * and the rest is updated in place by its tuple identifier: the worker is the
 * only writer.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "score.h"
#include "stream_alerts.h"
#include "stream_write.h"

int			churn_log_retention = 0;
bool		churn_write_unchanged = false;

#define SAVED_PLANS		5

/* What is written of a customer. */
typedef struct Written
{
	int			place;			/* in outcomes */
	bool		present;		/* there was a prediction */
	double		previous;
	int			version;
	const char *reasons;		/* as text; NULL if none, or not read */
	ItemPointerData tid;
} Written;

/* Columns of arrays for statements. */
typedef struct Columns
{
	int			n;
	Datum	   *tids;
	Datum	   *keys;
	Datum	   *scores;
	Datum	   *previous;
	bool	   *no_previous;
	Datum	   *bands;
	Datum	   *reasons;
	bool	   *no_reasons;
	Datum	   *lsns;
	bool	   *no_lsns;
} Columns;

/*
 * Prepares a statement once.
 */
static SPIPlanPtr
prepared(SPIPlanPtr *plan, const char *statement, int nargs, Oid *types)
{
	if (*plan == NULL)
	{
		SPIPlanPtr	made = SPI_prepare(statement, nargs, types);

		if (made == NULL)
			elog(ERROR, "could not prepare \"%s\": %s", statement,
				 SPI_result_code_string(SPI_result));
		SPI_keepplan(made);
		*plan = made;
	}
	return *plan;
}

/*
 * An array of values, some of which may be NULL.
 */
static Datum
make_array(Datum *values, bool *nulls, int n, Oid type)
{
	int			dims[1] = {n};
	int			bounds[1] = {1};
	int			length = type == TEXTOID ? -1 : type == TIDOID ?
	(int) sizeof(ItemPointerData) : 8;
	bool		by_value = type == FLOAT8OID || type == LSNOID;
	char		align = type == TEXTOID ? TYPALIGN_INT : type == TIDOID ?
	TYPALIGN_SHORT : TYPALIGN_DOUBLE;

	return PointerGetDatum(construct_md_array(values, nulls, 1, dims, bounds,
											  type, length, by_value, align));
}

/*
 * Reads what the predictions of the customers are now; reasons only where they
 * are written.
 */
static void
read_present(const ChurnWatchedModel *model, const ChurnOutcome *outcomes,
			 int n, Written *written)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[] = {TEXTARRAYOID, TEXTOID, BOOLOID};
	Datum	   *keys = palloc(sizeof(Datum) * n);
	Datum		values[3];
	uint64		i;
	int			j;

	for (j = 0; j < n; j++)
		keys[j] = CStringGetTextDatum(outcomes[j].key);
	values[0] = make_array(keys, NULL, n, TEXTOID);
	values[1] = CStringGetTextDatum(model->name);
	values[2] = BoolGetDatum(model->nreasons > 0);
	SPI_execute_plan(prepared(&plan,
							  "SELECT u.i, p.score, p.version, p.ctid,"
							  " CASE WHEN $3 THEN p.reasons::text END "
							  "FROM unnest($1) WITH ORDINALITY AS u (k, i)"
							  " JOIN churn.predictions p"
							  " ON p.customer_key = u.k AND p.model = $2",
							  lengthof(types), types), values, NULL, false, 0);
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		Written    *one = &written[DatumGetInt64(SPI_getbinval(row, desc, 1,
															   &isnull)) - 1];

		one->present = true;
		one->previous = DatumGetFloat8(SPI_getbinval(row, desc, 2, &isnull));
		one->version = DatumGetInt32(SPI_getbinval(row, desc, 3, &isnull));
		one->tid = *(ItemPointer) DatumGetPointer(SPI_getbinval(row, desc, 4,
																&isnull));
		one->reasons = SPI_getvalue(row, desc, 5);
	}
	SPI_freetuptable(SPI_tuptable);
}

/*
 * Makes room for columns.
 */
static Columns
make_columns(int n)
{
	Columns		columns;

	columns.n = 0;
	columns.tids = palloc(sizeof(Datum) * n);
	columns.keys = palloc(sizeof(Datum) * n);
	columns.scores = palloc(sizeof(Datum) * n);
	columns.previous = palloc(sizeof(Datum) * n);
	columns.no_previous = palloc(sizeof(bool) * n);
	columns.bands = palloc(sizeof(Datum) * n);
	columns.reasons = palloc(sizeof(Datum) * n);
	columns.no_reasons = palloc(sizeof(bool) * n);
	columns.lsns = palloc(sizeof(Datum) * n);
	columns.no_lsns = palloc(sizeof(bool) * n);
	return columns;
}

/*
 * Adds a customer to columns.
 */
static void
add_row(Columns *columns, const ChurnOutcome *outcome, Written *written,
		double threshold)
{
	static Datum bands[3];		/* by first letter of the band, made once */
	const char *band = churn_score_band(outcome->score, threshold);
	int			letter = band[0] == 'h' ? 0 : band[0] == 'm' ? 1 : 2;
	int			n = columns->n++;

	if (bands[letter] == 0)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		bands[letter] = CStringGetTextDatum(band);
		MemoryContextSwitchTo(old);
	}
	columns->tids[n] = PointerGetDatum(&written->tid);
	columns->keys[n] = CStringGetTextDatum(outcome->key);
	columns->scores[n] = Float8GetDatum(outcome->score);
	columns->previous[n] = Float8GetDatum(written->previous);
	columns->no_previous[n] = !written->present;
	columns->bands[n] = bands[letter];
	columns->no_reasons[n] = outcome->reasons == NULL;
	columns->reasons[n] = outcome->reasons == NULL ? (Datum) 0 :
		CStringGetTextDatum(outcome->reasons);
	columns->lsns[n] = LSNGetDatum(outcome->lsn);
	columns->no_lsns[n] = XLogRecPtrIsInvalid(outcome->lsn);
}

/*
 * The parameters that all statements begin with: model, version, time, origin.
 */
static void
set_common(Datum *values, const ChurnWatchedModel *model, TimestampTz now,
		   const char *origin)
{
	values[0] = CStringGetTextDatum(model->name);
	values[1] = Int32GetDatum(model->version->version);
	values[2] = TimestampTzGetDatum(now);
	values[3] = CStringGetTextDatum(origin);
}

#define COMMON_TYPES	TEXTOID, INT4OID, TIMESTAMPTZOID, TEXTOID

/*
 * Inserts predictions of customers that had none.
 */
static void
insert_rows(Columns *columns, Datum *common)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[] = {COMMON_TYPES, TEXTARRAYOID, FLOAT8ARRAYOID,
	TEXTARRAYOID, TEXTARRAYOID, PG_LSNARRAYOID};
	Datum		values[9];

	if (columns->n == 0)
		return;
	memcpy(values, common, 4 * sizeof(Datum));
	values[4] = make_array(columns->keys, NULL, columns->n, TEXTOID);
	values[5] = make_array(columns->scores, NULL, columns->n, FLOAT8OID);
	values[6] = make_array(columns->bands, NULL, columns->n, TEXTOID);
	values[7] = make_array(columns->reasons, columns->no_reasons, columns->n,
						   TEXTOID);
	values[8] = make_array(columns->lsns, columns->no_lsns, columns->n,
						   LSNOID);
	SPI_execute_plan(prepared(&plan,
							  "INSERT INTO churn.predictions (customer_key, model, version,"
							  " score, band, reasons, scored_at, lsn, origin) "
							  "SELECT u.k, $1, $2, u.s, u.b, u.r::text[], $3, u.l, $4 "
							  "FROM unnest($5, $6, $7, $8, $9)"
							  " AS u (k, s, b, r, l)",
							  lengthof(types), types), values, NULL, false, 0);
}

/*
 * Updates predictions that are other than they were.
 */
static void
update_rows(Columns *columns, Datum *common)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[] = {COMMON_TYPES, TEXTARRAYOID, FLOAT8ARRAYOID,
	TEXTARRAYOID, TEXTARRAYOID, PG_LSNARRAYOID, TIDARRAYOID};
	Datum		values[10];

	if (columns->n == 0)
		return;
	memcpy(values, common, 4 * sizeof(Datum));
	values[4] = make_array(columns->keys, NULL, columns->n, TEXTOID);
	values[5] = make_array(columns->scores, NULL, columns->n, FLOAT8OID);
	values[6] = make_array(columns->bands, NULL, columns->n, TEXTOID);
	values[7] = make_array(columns->reasons, columns->no_reasons, columns->n,
						   TEXTOID);
	values[8] = make_array(columns->lsns, columns->no_lsns, columns->n,
						   LSNOID);
	values[9] = make_array(columns->tids, NULL, columns->n, TIDOID);
	SPI_execute_plan(prepared(&plan,
							  "UPDATE churn.predictions p SET version = $2,"
							  " score = u.s, previous_score = CASE WHEN p.score = u.s"
							  " THEN p.previous_score ELSE p.score END, band = u.b,"
							  " reasons = u.r::text[], scored_at = $3, lsn = u.l, origin = $4 "
							  "FROM unnest($5, $6, $7, $8, $9, $10)"
							  " AS u (k, s, b, r, l, t) "
							  "WHERE p.ctid = u.t AND p.customer_key = u.k AND p.model = $1",
							  lengthof(types), types), values, NULL, false, 0);
	if (SPI_processed != (uint64) columns->n)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("predictions of model \"%s\" were changed by somebody else",
						TextDatumGetCString(common[0])),
				 errhint("While a model is watched, the worker alone writes its rows of churn.predictions.")));
}

/*
 * Writes the log.  The features of all customers are one array, of which each
 * takes its part.
 */
static void
log_rows(Columns *columns, const float *features, int nfeatures,
		 Datum *common)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[] = {COMMON_TYPES, TEXTARRAYOID, FLOAT8ARRAYOID,
	TEXTARRAYOID, FLOAT8ARRAYOID, PG_LSNARRAYOID, FLOAT4ARRAYOID, INT4OID};
	Size		length = sizeof(float) * nfeatures * columns->n;
	ArrayType  *all;
	Datum		values[11];

	if (columns->n == 0 || churn_log_retention == 0)
		return;
	all = palloc0(ARR_OVERHEAD_NONULLS(1) + length);
	SET_VARSIZE(all, ARR_OVERHEAD_NONULLS(1) + length);
	all->ndim = 1;
	all->elemtype = FLOAT4OID;
	ARR_DIMS(all)[0] = nfeatures * columns->n;
	ARR_LBOUND(all)[0] = 1;
	memcpy(ARR_DATA_PTR(all), features, length);
	memcpy(values, common, 4 * sizeof(Datum));
	values[4] = make_array(columns->keys, NULL, columns->n, TEXTOID);
	values[5] = make_array(columns->scores, NULL, columns->n, FLOAT8OID);
	values[6] = make_array(columns->bands, NULL, columns->n, TEXTOID);
	values[7] = make_array(columns->previous, columns->no_previous,
						   columns->n, FLOAT8OID);
	values[8] = make_array(columns->lsns, columns->no_lsns, columns->n,
						   LSNOID);
	values[9] = PointerGetDatum(all);
	values[10] = Int32GetDatum(nfeatures);
	SPI_execute_plan(prepared(&plan,
							  "INSERT INTO churn.prediction_log (customer_key, model, version,"
							  " score, previous_score, band, features, scored_at, lsn, origin) "
							  "SELECT u.k, $1, $2, u.s, u.p, u.b,"
							  " $10[((u.i - 1) * $11 + 1)::int : (u.i * $11)::int], $3, u.l, $4 "
							  "FROM unnest($5, $6, $7, $8, $9)"
							  " WITH ORDINALITY AS u (k, s, b, p, l, i)",
							  lengthof(types), types), values, NULL, false, 0);
}

/*
 * Deletes the predictions of customers that are gone; returns how many.
 */
static uint64
delete_rows(const ChurnWatchedModel *model, Datum *keys, int n)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[] = {TEXTOID, TEXTARRAYOID};
	Datum		values[2];

	if (n == 0)
		return 0;
	values[0] = CStringGetTextDatum(model->name);
	values[1] = make_array(keys, NULL, n, TEXTOID);
	SPI_execute_plan(prepared(&plan,
							  "DELETE FROM churn.predictions"
							  " WHERE customer_key = ANY ($2) AND model = $1",
							  lengthof(types), types), values, NULL, false, 0);
	return SPI_processed;
}

/*
 * Evaluates the alert rules for a score that was written.
 */
static void
look_for_alerts(const ChurnWatchedModel *model, const ChurnOutcome *outcome,
				const Written *written, TimestampTz now)
{
	ChurnReading *reading = outcome->reading;
	ChurnAlertScore score;
	HeapTupleData tuple;

	tuple.t_len = outcome->row_length;
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = outcome->row;
	heap_deform_tuple(&tuple, reading->desc, reading->values, reading->nulls);
	score.key = outcome->key;
	score.version = model->version->version;
	score.score = outcome->score;
	score.previous = written->previous;
	score.has_previous = written->present;
	score.band = churn_score_band(outcome->score,
								  model->version->model->threshold);
	score.lsn = outcome->lsn;
	score.scored_at = now;
	churn_alerts_look(reading, &score);
}

/*
 * Writes what is new; see stream_write.h.
 */
uint64
churn_outcomes_write(ChurnWatchedModel *model, const ChurnOutcome *outcomes,
					 int n, const float *features, const char *origin)
{
	TimestampTz now = GetCurrentTimestamp();
	int			nfeatures = model->version != NULL ?
	(int) model->version->model->nfeatures : 0;
	Written    *written = palloc0(sizeof(Written) * Max(n, 1));
	Columns		fresh = make_columns(Max(n, 1));
	Columns		changed = make_columns(Max(n, 1));
	Columns		logged = make_columns(Max(n, 1));
	float	   *log_features = palloc(sizeof(float) * Max(nfeatures * n, 1));
	Datum	   *gone = palloc(sizeof(Datum) * Max(n, 1));
	int			ngone = 0;
	Datum		common[4];
	int			i;

	if (model->version != NULL)
		read_present(model, outcomes, n, written);
	for (i = 0; i < n; i++)
	{
		const ChurnOutcome *outcome = &outcomes[i];
		Written    *one = &written[i];
		double		threshold;
		bool		differs;
		bool		explained;	/* otherwise than before */

		if (outcome->gone)
		{
			gone[ngone++] = CStringGetTextDatum(outcome->key);
			continue;
		}
		threshold = model->version->model->threshold;
		differs = !one->present || one->previous != outcome->score ||
			one->version != model->version->version;
		explained = outcome->reasons != NULL &&
			(one->reasons == NULL || strcmp(one->reasons, outcome->reasons) != 0);
		if (!differs && !explained && !churn_write_unchanged)
			continue;
		add_row(one->present ? &changed : &fresh, outcome, one, threshold);
		if (!differs)
			continue;
		memcpy(log_features + (Size) logged.n * nfeatures,
			   features + (Size) i * nfeatures, sizeof(float) * nfeatures);
		add_row(&logged, outcome, one, threshold);
		if (model->rules != NIL && outcome->row != NULL &&
			!(one->present && one->previous == outcome->score))
			look_for_alerts(model, outcome, one, now);
	}
	if (fresh.n + changed.n > 0)
	{
		set_common(common, model, now, origin);
		insert_rows(&fresh, common);
		update_rows(&changed, common);
		log_rows(&logged, log_features, nfeatures, common);
	}
	return fresh.n + changed.n + delete_rows(model, gone, ngone);
}
