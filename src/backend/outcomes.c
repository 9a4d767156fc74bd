/*
 * outcomes.c
 *		churn_record_outcomes(): who churned in the end, and what their score
 *		was before that.
 *
 * Outcomes come again and again, with more of them known each time.  A row of
 * churn.outcomes is one observation of a customer; what is known already is not
 * written again, and the score that it is measured by is found once, when the
 * observation is first heard of.
 */
#include "postgres.h"

#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "churn/protocol.h"

#include "arguments.h"
#include "compat.h"
#include "outcomes.h"
#include "role.h"
#include "row_store.h"

/* Arguments of churn_record_outcomes(). */
enum
{
	ARG_MODEL,
	ARG_SOURCE,
	ARG_LABEL,
	ARG_KEY,
	ARG_AT,
	ARG_POSITIVE
};

/* With more rows than that, looking up each by itself is the slower way. */
#define FEW_ROWS		1000

/* What was written. */
typedef struct Recorded
{
	int64		rows;			/* outcomes that are new or other than before */
	int64		churned;
	int64		stayed;
	int64		pending;
	int64		unscored;		/* without a score from before */
	int64		learned;		/* whose label the version may have learned
								 * from */
	int64 kept;					/* pending by the source, but confirmed before */
} Recorded;

PG_FUNCTION_INFO_V1(churn_record_outcomes);

/*
 * A row without a time is an observation of now.  It confirms one of the
 * customer that is pending; else it is new only if it says something else than
 * the last one did.
 *
 * The score in force at a time is that of churn.predictions, which is the last
 * one, if it was there by then; else the last one of the log by then.
 *
 * A label in the model's own source that nobody has recorded before may be one
 * that the version has learned from: then its score for the customer says
 * nothing.  Rows of such labels have a place in the split, and those in the test
 * part are fair.
 *
 * $1 is the model, $2 now, $3 whether there can be scores of a challenger, $4
 * the share of test rows unless options say another, $5 the key.
 */
static const char record_sql[] =
"WITH observed AS ("
" SELECT DISTINCT ON (o.key, o.observed_at) o.key, o.observed_at, o.churned, o.place"
" FROM churn_observed o ORDER BY o.key, o.observed_at, o.churned),"
" timed AS ("
" SELECT o.key, o.churned, CASE WHEN o.observed_at IS NOT NULL THEN o.observed_at"
"  WHEN l.status = 'pending' OR o.churned IS NULL OR l.churned = o.churned"
"  THEN coalesce(l.observed_at, $2) ELSE $2 END AS observed_at,"
"  CASE WHEN l.observed_at IS NULL THEN o.place END AS place"
" FROM observed o LEFT JOIN LATERAL ("
"  SELECT x.observed_at, x.status, x.churned FROM churn.outcomes x"
"  WHERE o.observed_at IS NULL AND x.model = $1 AND x.customer_key = o.key"
"  AND (x.observed_at <= $2 OR x.status = 'pending')"
"  ORDER BY x.observed_at DESC LIMIT 1) l ON true),"
" changed AS ("
" SELECT DISTINCT ON (t.key, t.observed_at) t.key, t.observed_at, t.churned, t.place"
" FROM timed t LEFT JOIN churn.outcomes e ON e.model = $1"
"  AND e.customer_key = t.key AND e.observed_at = t.observed_at"
" WHERE e.model IS NULL"
"  OR t.churned IS NOT NULL AND e.churned IS DISTINCT FROM t.churned"
" ORDER BY t.key, t.observed_at, t.churned),"
" known AS ("
" SELECT c.key, c.observed_at, c.churned, c.place, p.score, p.version, p.scored_at"
" FROM changed c LEFT JOIN churn.predictions p ON p.customer_key = c.key"
"  AND p.model = $1 AND p.scored_at <= c.observed_at),"
" logged AS MATERIALIZED ("
" SELECT l.key, l.at, l.shadow, l.score, l.version, l.scored_at"
" FROM (SELECT array_agg(k.key) AS keys, array_agg(k.observed_at) AS times"
"  FROM known k WHERE $3 OR k.score IS NULL) n"
" CROSS JOIN LATERAL churn.scores_at($1, n.keys, n.times, $3) l"
" WHERE n.keys IS NOT NULL),"
" scored AS ("
" SELECT k.key, k.observed_at, k.churned, k.place,"
"  coalesce(k.score, l.score) AS score, coalesce(k.version, l.version) AS version,"
"  coalesce(k.scored_at, l.scored_at) AS scored_at,"
"  s.score AS challenger_score, s.version AS challenger_version"
" FROM known k"
" LEFT JOIN logged l ON l.key = k.key AND l.at = k.observed_at AND NOT l.shadow"
" LEFT JOIN logged s ON s.key = k.key AND s.at = k.observed_at AND s.shadow),"
" versions AS ("
" SELECT v.version, CASE WHEN v.origin <> 'train' THEN 1 WHEN v.key IS DISTINCT FROM $5 THEN 0"
"  ELSE coalesce((v.options ->> 'test_fraction')::double precision, $4) END AS unseen"
" FROM churn.model_versions v WHERE v.model = $1),"
" judged AS ("
" SELECT s.*, s.place IS NULL OR s.place < coalesce(a.unseen, 0) AS fair,"
"  s.place IS NULL OR s.place < coalesce(b.unseen, 0) AS challenger_fair"
" FROM scored s LEFT JOIN versions a ON a.version = s.version"
"  LEFT JOIN versions b ON b.version = s.challenger_version),"
" written AS ("
" INSERT INTO churn.outcomes AS o (model, customer_key, observed_at, churned, status,"
"  score, version, scored_at, challenger_score, challenger_version, recorded_at)"
" SELECT $1, j.key, j.observed_at, j.churned,"
"  CASE WHEN j.churned IS NULL THEN 'pending' ELSE 'confirmed' END,"
"  CASE WHEN j.fair THEN j.score END, CASE WHEN j.fair THEN j.version END,"
"  CASE WHEN j.fair THEN j.scored_at END,"
"  CASE WHEN j.challenger_fair THEN j.challenger_score END,"
"  CASE WHEN j.challenger_fair THEN j.challenger_version END, $2"
" FROM judged j ORDER BY j.key, j.observed_at"
" ON CONFLICT (model, customer_key, observed_at) DO UPDATE SET"
"  churned = excluded.churned, status = excluded.status,"
"  score = coalesce(o.score, excluded.score),"
"  version = coalesce(o.version, excluded.version),"
"  scored_at = coalesce(o.scored_at, excluded.scored_at),"
"  challenger_score = coalesce(o.challenger_score, excluded.challenger_score),"
"  challenger_version = coalesce(o.challenger_version, excluded.challenger_version),"
"  recorded_at = excluded.recorded_at"
" WHERE excluded.churned IS NOT NULL AND o.churned IS DISTINCT FROM excluded.churned"
" RETURNING o.observed_at, o.churned, o.score),"
" marked AS ("
" INSERT INTO churn.measured_days (model, day, pending)"
" SELECT DISTINCT $1, (w.observed_at AT TIME ZONE 'UTC')::date, true"
" FROM written w WHERE w.churned IS NOT NULL ORDER BY 2"
" ON CONFLICT (model, day) DO UPDATE SET pending = true)"
"SELECT count(*), count(*) FILTER (WHERE w.churned),"
" count(*) FILTER (WHERE NOT w.churned), count(*) FILTER (WHERE w.churned IS NULL),"
" count(*) FILTER (WHERE w.score IS NULL),"
" (SELECT count(*) FROM judged j WHERE NOT j.fair AND j.score IS NOT NULL),"
" (SELECT count(*) FROM timed t JOIN churn.outcomes e ON e.model = $1"
"  AND e.customer_key = t.key AND e.observed_at = t.observed_at"
"  WHERE t.churned IS NULL AND e.status = 'confirmed')"
" FROM written w";

/*
 * Reads the arguments; what is not given is the model's.
 */
static void
read_arguments(ChurnRecording *recording, FunctionCallInfo fcinfo)
{
	ChurnModelRow *row;

	if (PG_ARGISNULL(ARG_MODEL))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("model must not be null")));
	row = churn_registry_model(churn_argument_text(fcinfo, ARG_MODEL),
							   GetActiveSnapshot(), false);
	recording->row = row;
	recording->source = churn_argument_text(fcinfo, ARG_SOURCE);
	recording->label = churn_argument_text(fcinfo, ARG_LABEL);
	recording->key = churn_argument_text(fcinfo, ARG_KEY);
	recording->at = churn_argument_text(fcinfo, ARG_AT);
	recording->positive = churn_argument_text(fcinfo, ARG_POSITIVE);
	recording->now = GetCurrentTimestamp();
	if (recording->label == NULL)
		recording->label = row->label;
	if (recording->label == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("model \"%s\" has no label", row->name),
				 errhint("Name the column that says who churned: label => '...'.")));
	if (recording->positive == NULL && row->label != NULL &&
		strcmp(recording->label, row->label) == 0)
		recording->positive = row->positive;
	if (recording->key == NULL)
		recording->key = row->key;
	if (recording->key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("model \"%s\" has no key", row->name),
				 errhint("Name the column that identifies a customer: key => '...'.")));
}

/*
 * Complains of a customer who churned and stayed at the same time.
 */
static void
check_consistent(const ChurnRecording *recording)
{
	SPI_execute("SELECT key FROM churn_observed GROUP BY key, observed_at"
				" HAVING bool_or(churned) AND NOT bool_and(churned)"
				" ORDER BY key LIMIT 1", true, 1);
	if (SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("outcomes of customer \"%s\" contradict each other",
						SPI_getvalue(SPI_tuptable->vals[0],
									 SPI_tuptable->tupdesc, 1)),
				 errdetail("By column \"%s\" the customer both churned and stayed at the same time.",
						   recording->label),
				 errhint("Name the column that says when that was observed: at => '...'.")));
}

/*
 * Whether the model has, or had, a challenger whose scores may be in the log.
 */
static bool
has_challenger(const ChurnRecording *recording)
{
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(recording->row->name)};

	SPI_execute_with_args("SELECT FROM churn.models m WHERE m.name = $1 AND"
						  " (m.challenger IS NOT NULL OR EXISTS (SELECT"
						  " FROM churn.quality q WHERE q.model = $1"
						  " AND q.role = 'challenger'))",
						  1, types, values, NULL, true, 1);
	return SPI_processed > 0;
}

/*
 * A column of the only row that a statement returned, which is a count.
 */
static int64
count_column(int column)
{
	bool		isnull;

	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
									   SPI_tuptable->tupdesc, column,
									   &isnull));
}

/*
 * Writes what is new, in the role that may, which also bounds the setting.  The
 * model is locked last, against being dropped meanwhile.
 */
static Recorded
write_outcomes(const ChurnRecording *recording)
{
	Oid			types[] = {TEXTOID, TIMESTAMPTZOID, BOOLOID, FLOAT8OID, TEXTOID};
	Datum		values[5];
	Recorded	recorded;

	values[0] = CStringGetTextDatum(recording->row->name);
	values[1] = TimestampTzGetDatum(recording->now);
	values[2] = BoolGetDatum(has_challenger(recording));
	values[3] = Float8GetDatum(CHURN_TEST_FRACTION);
	values[4] = CStringGetTextDatum(recording->key);
	/* the planner cannot know how many rows are left after each step */
	if (recording->rows > FEW_ROWS)
		(void) set_config_option("enable_nestloop", "off", PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								 false);
	SPI_execute_with_args(record_sql, lengthof(types), types, values, NULL,
						  false, 0);
	recorded.rows = count_column(1);
	recorded.churned = count_column(2);
	recorded.stayed = count_column(3);
	recorded.pending = count_column(4);
	recorded.learned = count_column(6);
	recorded.unscored = count_column(5) - recorded.learned;
	recorded.kept = count_column(7);
	SPI_execute_with_args("SELECT FROM churn.models WHERE name = $1 FOR KEY SHARE",
						  1, types, values, NULL, false, 0);
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("model \"%s\" has been dropped meanwhile",
						recording->row->name)));
	return recorded;
}

/*
 * Adds a sentence with a count to the detail of a message, unless that is 0.
 */
static void
add_detail(StringInfo detail, const char *sentence, int64 count)
{
	if (count == 0)
		return;
	if (detail->len > 0)
		appendStringInfoString(detail, "  ");
	appendStringInfo(detail, sentence, (long long) count);
}

/*
 * Tells the client what was recorded.
 */
static void
tell_recorded(const ChurnRecording *recording, const Recorded *recorded)
{
	StringInfoData detail;

	if (recorded->rows == 0 && recorded->kept == 0)
		return;
	initStringInfo(&detail);
	add_detail(&detail, "Without a score from before: %lld.", recorded->unscored);
	add_detail(&detail, "In rows that the model may have been trained on, so that their scores do not count: %lld.",
			   recorded->learned);
	add_detail(&detail, "Pending by the source, but confirmed before, and so they stay: %lld.",
			   recorded->kept);
	ereport(NOTICE,
			(errmsg("new outcomes of model \"%s\": %lld churned, %lld stayed, %lld pending",
					recording->row->name, (long long) recorded->churned,
					(long long) recorded->stayed,
					(long long) recorded->pending),
			 detail.len > 0 ? errdetail("%s", detail.data) : 0));
}

/*
 * churn_record_outcomes(model text, source text, label text, key text, at text,
 *						 positive text) -> bigint
 *
 * Records the outcomes in the source, and returns how many are new or other
 * than before.
 */
Datum
churn_record_outcomes(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "churn record outcomes",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ChurnRecording recording = {0};
	Recorded	recorded;
	ChurnRole	saved;

	PreventCommandIfReadOnly("churn_record_outcomes()");
	recording.context = context;
	read_arguments(&recording, fcinfo);
	SPI_connect();
	churn_recording_read(&recording);
	saved = churn_role_become_owner();
	churn_row_store_register("churn_observed", recording.desc, recording.store,
							 recording.rows, recording.context);
	check_consistent(&recording);
	recorded = write_outcomes(&recording);
	churn_role_restore(saved);
	SPI_finish();
	tuplestore_end(recording.store);
	tell_recorded(&recording, &recorded);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	PG_RETURN_INT64(recorded.rows);
}
