/*
 * stream_write.c
 *		Scores on their way into churn.predictions and churn.prediction_log.
 *
 * The prediction of a customer is looked up first, so that what is unchanged
 * costs no write.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "port/pg_bswap.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"

#include "churn/hash.h"

#include "compat.h"
#include "reader.h"
#include "role.h"
#include "row_cache.h"
#include "score.h"
#include "stream_alerts.h"
#include "stream_table.h"
#include "stream_write.h"

int			churn_log_retention = 0;
bool		churn_write_unchanged = false;

/* Customers ahead of the one at hand for whom memory is prefetched. */
#define PAGES_AHEAD		16
#define ROWS_AHEAD		8

/* Where predictions were seen last. */
static ChurnRowCache *row_cache = NULL;

/* Columns that both tables have. */
typedef struct ScoreColumns
{
	int			customer_key;
	int			model;
	int			version;
	int			score;
	int			previous_score;
	int			band;
	int			scored_at;
	int			lsn;
	int			origin;
} ScoreColumns;

/* Where the prediction of a customer may be, and what became of it. */
typedef struct Place
{
	const ChurnOutcome *outcome;
	uint64		hash;			/* of the customer */
	uint64		order;
	ItemPointerData tid;		/* invalid: nothing is known */
	bool		written;		/* with a score or version other than before */
	bool		present;		/* there was a prediction before */
	double		previous;
} Place;

/* A batch being written. */
typedef struct Writing
{
	ChurnWatchedModel *model;
	ChurnTableWriter *predictions;
	ChurnTableWriter *log;		/* NULL if there is none */
	ScoreColumns columns;
	int			reasons;		/* column of predictions */
	ScoreColumns log_columns;
	int			features;		/* column of the log */
	MemoryContext row;			/* reset for each customer */
	Datum		name;			/* of the model */
	Datum		origin;
	Datum		shadow;			/* the origin of a challenger's score */
	Datum		bands[3];
	TimestampTz now;
	uint64		count;			/* predictions written or deleted */
} Writing;

/*
 * Finds the columns that both tables have.
 */
static ScoreColumns
find_columns(const ChurnTableWriter *table)
{
	ScoreColumns columns;

	columns.customer_key = churn_table_column(table, "customer_key");
	columns.model = churn_table_column(table, "model");
	columns.version = churn_table_column(table, "version");
	columns.score = churn_table_column(table, "score");
	columns.previous_score = churn_table_column(table, "previous_score");
	columns.band = churn_table_column(table, "band");
	columns.scored_at = churn_table_column(table, "scored_at");
	columns.lsn = churn_table_column(table, "lsn");
	columns.origin = churn_table_column(table, "origin");
	return columns;
}

/*
 * The OID of a table of ours.
 */
static Oid
find_table(const char *name)
{
	Oid			relid = get_relname_relid(name, get_namespace_oid("churn",
																  false));

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table churn.%s does not exist", name),
				 errhint("The worker makes partitions of the log when it starts.")));
	return relid;
}

/*
 * The partition of the log that a time belongs to: churn.maintain_log() names
 * them by the day in UTC.
 */
static Oid
find_partition(TimestampTz time)
{
	int			year;
	int			month;
	int			day;
	Timestamp	midnight = time - time % USECS_PER_DAY;

	if (midnight > time)
		midnight -= USECS_PER_DAY;
	j2date((int) (midnight / USECS_PER_DAY) + POSTGRES_EPOCH_JDATE, &year,
		   &month, &day);
	return find_table(psprintf("prediction_log_%04d%02d%02d", year, month,
							   day));
}

/*
 * Sets a value of the row that is being made.
 */
static inline void
set_value(ChurnTableWriter *table, int column, Datum value)
{
	table->row->tts_values[column] = value;
	table->row->tts_isnull[column] = false;
}

/*
 * Makes a row of either table with a version's score of a customer, all but
 * what only one of the tables has.
 */
static void
make_row(Writing *writing, ChurnTableWriter *table,
		 const ScoreColumns *columns, const ChurnVersion *version,
		 double score, const ChurnOutcome *outcome, Datum key)
{
	const char *band = churn_score_band(score, version->model->threshold);

	churn_table_begin_row(table);
	set_value(table, columns->customer_key, key);
	set_value(table, columns->model, writing->name);
	set_value(table, columns->version, Int32GetDatum(version->version));
	set_value(table, columns->score, Float8GetDatum(score));
	set_value(table, columns->band,
			  writing->bands[band[0] == 'h' ? 0 : band[0] == 'm' ? 1 : 2]);
	set_value(table, columns->scored_at, TimestampTzGetDatum(writing->now));
	if (!XLogRecPtrIsInvalid(outcome->lsn))
		set_value(table, columns->lsn, LSNGetDatum(outcome->lsn));
	set_value(table, columns->origin, writing->origin);
}

/*
 * Makes a row of the log, of a version's score and what it saw.
 */
static void
make_log_row(Writing *writing, const ChurnVersion *version, double score,
			 const ChurnOutcome *outcome, Datum key, const float *features)
{
	int			n = (int) version->model->nfeatures;
	Size		length = ARR_OVERHEAD_NONULLS(1) + sizeof(float) * n;
	ArrayType  *array = palloc0(length);

	SET_VARSIZE(array, length);
	array->ndim = 1;
	array->elemtype = FLOAT4OID;
	ARR_DIMS(array)[0] = n;
	ARR_LBOUND(array)[0] = 1;
	memcpy(ARR_DATA_PTR(array), features, sizeof(float) * n);
	make_row(writing, writing->log, &writing->log_columns, version, score,
			 outcome, key);
	if (n > 0)
		set_value(writing->log, writing->features, PointerGetDatum(array));
}

/*
 * Writes a row of the log.
 */
static void
log_row(Writing *writing, const Place *place, Datum key,
		const float *features)
{
	make_log_row(writing, writing->model->version, place->outcome->score,
				 place->outcome, key, features);
	if (place->present)
		set_value(writing->log, writing->log_columns.previous_score,
				  Float8GetDatum(place->previous));
	churn_table_insert_later(writing->log);
}

/*
 * Writes a row of the log for what the challenger found, if it has.
 */
static void
log_shadow(Writing *writing, const ChurnOutcome *outcome, Datum key,
		   const ChurnShadow *shadow, int place)
{
	Size		nfeatures = shadow->version->model->nfeatures;

	if (isnan(shadow->scores[place]))
		return;
	make_log_row(writing, shadow->version, shadow->scores[place], outcome,
				 key, shadow->features + place * nfeatures);
	set_value(writing->log, writing->log_columns.origin, writing->shadow);
	churn_table_insert_later(writing->log);
}

/*
 * Whether reasons were found that are other than those there are.
 */
static bool
explains_anew(const Writing *writing, const ChurnOutcome *outcome)
{
	bool		isnull;
	Datum		before;

	if (outcome->reasons == 0)
		return false;
	before = slot_getattr(writing->predictions->found, writing->reasons + 1,
						  &isnull);
	return isnull || !datumIsEqual(PointerGetDatum(PG_DETOAST_DATUM(before)),
								   outcome->reasons, false, -1);
}

/*
 * Notes where a prediction is, unless that is known, or a trigger has kept it
 * from being written.
 */
static void
note_place(const Place *place, ItemPointer tid)
{
	if (ItemPointerIsValid(tid) &&
		ItemPointerCompare((ItemPointer) &place->tid, tid) != 0)
		churn_row_cache_note(row_cache, place->hash, tid);
}

/*
 * Writes the prediction of a customer, if it is other than before, and notes
 * what is to be logged.
 */
static void
write_score(Writing *writing, Place *place, Datum key, bool present)
{
	const ChurnOutcome *outcome = place->outcome;
	ChurnTableWriter *table = writing->predictions;
	const ScoreColumns *columns = &writing->columns;
	Datum		previous = 0;
	bool		isnull = true;
	bool		scores_anew = true;

	place->present = present;
	if (present)
	{
		place->previous =
			DatumGetFloat8(slot_getattr(table->found, columns->score + 1,
										&isnull));
		scores_anew = place->previous != outcome->score ||
			DatumGetInt32(slot_getattr(table->found, columns->version + 1,
									   &isnull)) !=
			writing->model->version->version;
		if (!scores_anew && !explains_anew(writing, outcome) &&
			!churn_write_unchanged)
		{
			note_place(place, &table->found->tts_tid);
			return;
		}
		previous = slot_getattr(table->found, columns->previous_score + 1,
								&isnull);
		if (place->previous != outcome->score)
		{
			previous = Float8GetDatum(place->previous);
			isnull = false;
		}
	}
	make_row(writing, table, columns, writing->model->version, outcome->score,
			 outcome, key);
	if (!isnull)
		set_value(table, columns->previous_score, previous);
	if (outcome->reasons != 0)
		set_value(table, writing->reasons, outcome->reasons);
	if (present)
		churn_table_update(table);
	else
		churn_table_insert(table);
	note_place(place, &table->row->tts_tid);
	writing->count++;
	place->written = scores_anew;
}

/*
 * Evaluates the alert rules for a score that was written.
 */
static void
look_for_alerts(const Writing *writing, const Place *place)
{
	const ChurnOutcome *outcome = place->outcome;
	ChurnReading *reading = outcome->reading;
	const ChurnVersion *version = writing->model->version;
	ChurnAlertScore score;
	HeapTupleData tuple;

	tuple.t_len = outcome->row_length;
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = outcome->row;
	heap_deform_tuple(&tuple, reading->desc, reading->values, reading->nulls);
	score.key = outcome->key;
	score.version = version->version;
	score.score = outcome->score;
	score.previous = place->previous;
	score.has_previous = place->present;
	score.band = churn_score_band(outcome->score, version->model->threshold);
	score.lsn = outcome->lsn;
	score.scored_at = writing->now;
	churn_alerts_look(reading, &score);
}

/*
 * Opens the tables.
 */
static void
begin_writing(Writing *writing, ChurnWatchedModel *model, const char *origin)
{
	static const char *const bands[] = {"high", "medium", "low"};
	int			i;

	memset(writing, 0, sizeof(*writing));
	writing->model = model;
	writing->now = GetCurrentTimestamp();
	writing->name = CStringGetTextDatum(model->name);
	writing->origin = CStringGetTextDatum(origin);
	writing->shadow = CStringGetTextDatum("shadow");
	for (i = 0; i < 3; i++)
		writing->bands[i] = CStringGetTextDatum(bands[i]);
	writing->row = AllocSetContextCreate(CurrentMemoryContext,
										 "churn prediction",
										 ALLOCSET_DEFAULT_SIZES);
	writing->predictions = churn_table_open(find_table("predictions"));
	writing->columns = find_columns(writing->predictions);
	writing->reasons = churn_table_column(writing->predictions, "reasons");
	if (model->version == NULL || churn_log_retention == 0)
		return;
	writing->log = churn_table_open(find_partition(writing->now));
	writing->log_columns = find_columns(writing->log);
	writing->features = churn_table_column(writing->log, "features");
}

/*
 * Compares two places in the order of writing, and of logging.
 */
static int
compare_places(const void *a, const void *b)
{
	const Place *left = a;
	const Place *right = b;

	if (left->order != right->order)
		return left->order < right->order ? -1 : 1;
	return strcmp(left->outcome->key, right->outcome->key);
}

/*
 * The order of writing: that of the table, whose pages are then met once each;
 * then customers of whom it is not known where their prediction is, or who
 * have none, in that of the index.
 */
static Place *
find_places(const ChurnWatchedModel *model, const ChurnOutcome *outcomes,
			int n)
{
	Place	   *places = palloc(sizeof(Place) * Max(n, 1));
	int			i;

	for (i = 0; i < n; i++)
	{
		Place	   *place = &places[i];

		place->outcome = &outcomes[i];
		place->written = false;
		place->present = false;
		place->previous = 0;
		place->hash = churn_hash64(outcomes[i].key, strlen(outcomes[i].key),
								   (uint64) model->model_id);
		churn_row_cache_prefetch(row_cache, place->hash);
	}
	for (i = 0; i < n; i++)
	{
		Place	   *place = &places[i];

		if (!churn_row_cache_find(row_cache, place->hash, &place->tid))
			ItemPointerSetInvalid(&place->tid);
		place->order = !ItemPointerIsValid(&place->tid) ? UINT64_MAX :
			(uint64) ItemPointerGetBlockNumber(&place->tid) << 16 |
			ItemPointerGetOffsetNumber(&place->tid);
	}
	qsort(places, n, sizeof(Place), compare_places);
	return places;
}

/*
 * Prefetches what will be looked at for the places that come next.
 */
static void
prefetch(const Place *places, int n, int i)
{
	const Place *page = &places[Min(i + PAGES_AHEAD, n - 1)];
	const Place *row = &places[Min(i + ROWS_AHEAD, n - 1)];

	__builtin_prefetch(page->outcome);
	__builtin_prefetch(row->outcome->key);
	churn_row_cache_prefetch(row_cache, page->hash);
	if (ItemPointerIsValid(&page->tid))
		churn_table_prefetch(row_cache, &page->tid, false);
	if (ItemPointerIsValid(&row->tid))
		churn_table_prefetch(row_cache, &row->tid, true);
}

/*
 * Looks for the prediction of a customer.
 */
static bool
find_prediction(Writing *writing, const Place *place, Datum key)
{
	ChurnTableWriter *table = writing->predictions;

	return ItemPointerIsValid(&place->tid) ?
		churn_table_find_at(table, row_cache, &place->tid, key,
							writing->name) :
		churn_table_find(table, key, writing->name);
}

/*
 * The first bytes of a key as a number that compares as they do.
 */
static uint64
key_order(const char *key)
{
	uint64		order = 0;

	strncpy((char *) &order, key, sizeof(order));
	return pg_ntoh64(order);
}

/*
 * Writes the log in the order of its keys' bytes: then its index grows at its
 * end, or nearly, and its pages are full.
 */
static void
write_log(Writing *writing, Place *places, const ChurnOutcome *outcomes,
		  int n, const float *features, const ChurnShadow *shadow)
{
	Size		nfeatures = writing->model->version->model->nfeatures;
	int			i;

	for (i = 0; i < n; i++)
		places[i].order = key_order(places[i].outcome->key);
	qsort(places, n, sizeof(Place), compare_places);
	for (i = 0; i < n; i++)
	{
		const Place *place = &places[i];
		int			row = place->outcome - outcomes;
		Datum		key;

		if (!place->written && shadow == NULL)
			continue;
		key = CStringGetTextDatum(place->outcome->key);
		if (place->written)
			log_row(writing, place, key, features + row * nfeatures);
		if (shadow != NULL)
			log_shadow(writing, place->outcome, key, shadow, row);
		MemoryContextReset(writing->row);
	}
	churn_table_close(writing->log);
}

/*
 * Writes what is new; see stream_write.h.
 */
uint64
churn_outcomes_write(ChurnWatchedModel *model, const ChurnOutcome *outcomes,
					 int n, const float *features, const ChurnShadow *shadow,
					 const char *origin)
{
	Writing		writing;
	MemoryContext old;
	Place	   *places;
	int			i;

	if (row_cache == NULL)
		row_cache = churn_row_cache_create(TopMemoryContext);
	places = find_places(model, outcomes, n);
	begin_writing(&writing, model, origin);
	old = MemoryContextSwitchTo(writing.row);
	for (i = 0; i < n; i++)
	{
		Place	   *place = &places[i];
		const ChurnOutcome *outcome = place->outcome;
		Datum		key = CStringGetTextDatum(outcome->key);
		bool		present;

		prefetch(places, n, i);
		present = find_prediction(&writing, place, key);
		if (!outcome->gone)
			write_score(&writing, place, key, present);
		else if (present)
		{
			churn_table_delete(writing.predictions);
			writing.count++;
		}
		MemoryContextReset(writing.row);
	}
	if (writing.log != NULL)
		write_log(&writing, places, outcomes, n, features, shadow);
	MemoryContextSwitchTo(old);
	churn_table_close(writing.predictions);
	for (i = 0; i < n && model->rules != NIL; i++)
	{
		const Place *place = &places[i];

		if (place->written && place->outcome->row != NULL &&
			(!place->present || place->previous != place->outcome->score))
			look_for_alerts(&writing, place);
	}
	return writing.count;
}

/*
 * Deletes what was written of a model that has been dropped; see
 * stream_write.h.
 */
void
churn_predictions_clear(const char *model)
{
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(model)};
	ChurnRole	saved = churn_role_become_owner();

	SPI_execute_with_args("SELECT FROM churn.models WHERE name = $1",
						  1, types, values, NULL, true, 1);
	if (SPI_processed == 0)
		SPI_execute_with_args("DELETE FROM churn.predictions WHERE model = $1",
							  1, types, values, NULL, false, 0);
	churn_role_restore(saved);
}
