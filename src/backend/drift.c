/*
 * drift.c
 *		churn_drift(): how far today's rows are from those that a version was
 *		trained on.
 *
 * One pass over the rows counts them in the cells of the version's baseline
 * (drift_profile.c), and the figures are functions of these counts
 * (drift_measure.c).  They become rows of churn.drift, which are returned.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "arguments.h"
#include "compat.h"
#include "drift.h"
#include "encoding.h"
#include "role.h"
#include "row_store.h"

/* Thresholds of a model without a policy. */
#define DEFAULT_ALPHA	0.05
#define DEFAULT_PSI		0.01

/* Arguments of churn_drift(). */
enum
{
	ARG_MODEL,
	ARG_SOURCE,
	ARG_VERSION,
	ARG_SEGMENT,
	ARG_STREAM
};

/* Columns of the figures on their way into churn.drift. */
#define FIGURE_COLUMNS	9

PG_FUNCTION_INFO_V1(churn_drift);

/*
 * Reads a baseline from JSON in the database's encoding.
 */
ChurnBaseline *
churn_drift_baseline(char *json, const char *what, MemoryContext context)
{
	size_t		length = strlen(json);
	const char *utf8 = churn_to_utf8(json, &length);
	ChurnArena	arena = churn_memory_arena(context);
	ChurnBaseline *baseline;
	ChurnError	error;

	baseline = churn_baseline_read(utf8, length, &arena, &error);
	if (baseline == NULL)
		churn_throw(&error, what);
	return baseline;
}

/*
 * Whether the baseline has just the features of the model.
 */
bool
churn_drift_baseline_fits(const ChurnBaseline *baseline,
						  const ChurnModel *model)
{
	uint32		i;

	if (baseline->nfeatures != model->nfeatures)
		return false;
	for (i = 0; i < model->nfeatures; i++)
	{
		const ChurnCells *cells = &baseline->features[i];
		const ChurnFeature *feature = &model->features[i];

		if (cells->kind != feature->kind ||
			(cells->kind == CHURN_FEATURE_CATEGORY &&
			 cells->ncells != feature->ncategories))
			return false;
	}
	return true;
}

/*
 * A copy of a stored profile, for use; see drift.h.
 */
ChurnProfile *
churn_drift_profile(const ChurnDrift *drift, Datum bytes)
{
	bytea	   *stored = DatumGetByteaPP(bytes);
	Size		length = VARSIZE_ANY_EXHDR(stored);
	ChurnProfile *profile;

	if (!churn_profile_valid(VARDATA_ANY(stored), length))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("profile of version %d of model \"%s\" is malformed",
						drift->version->version, drift->version->name)));
	profile = palloc(length);
	memcpy(profile, VARDATA_ANY(stored), length);
	if (churn_profile_fits(drift->baseline, profile))
		return profile;
	pfree(profile);
	return NULL;
}

/*
 * How far back the stream is looked at; NULL for the source.
 */
static Interval *
stream_argument(FunctionCallInfo fcinfo)
{
	Interval	zero = {0};
	Interval   *stream;

	if (PG_ARGISNULL(ARG_STREAM))
		return NULL;
	stream = PG_GETARG_INTERVAL_P(ARG_STREAM);
	if (!DatumGetBool(DirectFunctionCall2(interval_gt,
										  IntervalPGetDatum(stream),
										  IntervalPGetDatum(&zero))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("stream must be above 0"),
				 errhint("It says how far back rows of the stream count, such as '24 hours'.")));
	if (!PG_ARGISNULL(ARG_SOURCE) || !PG_ARGISNULL(ARG_SEGMENT))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s cannot be given along with stream",
						PG_ARGISNULL(ARG_SOURCE) ? "segment" : "source"),
				 errdetail("The stream worker counts the rows of the model's own source, all together.")));
	return stream;
}

/*
 * Reads the version's baseline, as the registry's owner.
 */
static void
read_baseline(ChurnDrift *drift)
{
	Oid			types[] = {TEXTOID, INT4OID};
	Datum		values[] = {CStringGetTextDatum(drift->version->name),
	Int32GetDatum(drift->version->version)};
	char	   *json = NULL;

	if (SPI_execute_with_args("SELECT churn.baseline($1, $2)::pg_catalog.text",
							  lengthof(types), types, values, NULL, true,
							  1) == SPI_OK_SELECT && SPI_processed == 1)
		json = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (json == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %d of model \"%s\" has no baseline",
						drift->version->version, drift->version->name),
				 errdetail("What a version was trained on is known of those that churn_train() made."),
				 errhint("Train a version here, or import one that churn_export() wrote.")));
	drift->baseline_json = MemoryContextStrdup(drift->context, json);
	drift->baseline =
		churn_drift_baseline(drift->baseline_json,
							 psprintf("version %d of model \"%s\"",
									  drift->version->version,
									  drift->version->name),
							 drift->context);
	if (!churn_drift_baseline_fits(drift->baseline, drift->version->model))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the baseline of version %d of model \"%s\" is not one of its features",
						drift->version->version, drift->version->name)));
}

/*
 * Reads the thresholds of the model's policy, as the registry's owner.
 */
static void
read_policy(ChurnDrift *drift)
{
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(drift->row->name)};
	bool		isnull;

	drift->policy.alpha = DEFAULT_ALPHA;
	drift->policy.psi = DEFAULT_PSI;
	SPI_execute_with_args("SELECT drift_alpha, drift_psi FROM churn.policies"
						  " WHERE model = $1",
						  lengthof(types), types, values, NULL, true, 1);
	if (SPI_processed == 0)
		return;
	drift->policy.alpha =
		DatumGetFloat8(SPI_getbinval(SPI_tuptable->vals[0],
									 SPI_tuptable->tupdesc, 1, &isnull));
	drift->policy.psi =
		DatumGetFloat8(SPI_getbinval(SPI_tuptable->vals[0],
									 SPI_tuptable->tupdesc, 2, &isnull));
}

/*
 * The name of a feature in churn.drift.
 */
static const char *
feature_name(const ChurnDrift *drift, int feature)
{
	switch (feature)
	{
		case CHURN_DRIFT_SCORE:
			return "(score)";
		case CHURN_DRIFT_MODEL:
			return "(model)";
		default:
			return drift->version->model->features[feature].name;
	}
}

/*
 * Measures a profile and stores its figures, as a check of the number given.
 */
static void
store_check(const ChurnDrift *drift, int64 check, Datum segment,
			bool no_segment, ChurnProfile *profile, Tuplestorestate *store,
			TupleDesc desc)
{
	ChurnDriftFigure *figures =
	palloc(sizeof(ChurnDriftFigure) *
		   CHURN_DRIFT_FIGURES(drift->baseline));
	int			n = churn_drift_measure(drift->baseline, profile,
										&drift->policy, figures);
	int			i;

	for (i = 0; i < n; i++)
	{
		const ChurnDriftFigure *figure = &figures[i];
		Datum		values[FIGURE_COLUMNS] = {0};
		bool		nulls[FIGURE_COLUMNS] = {false};

		values[0] = Int64GetDatum(check);
		values[1] = segment;
		nulls[1] = no_segment;
		values[2] = Int64GetDatum((int64) profile->rows);
		values[3] = CStringGetTextDatum(feature_name(drift, figure->feature));
		values[4] = CStringGetTextDatum(figure->statistic);
		churn_result_number(figure->value, &values[5], &nulls[5]);
		churn_result_number(figure->threshold, &values[6], &nulls[6]);
		churn_result_number(figure->p_value, &values[7], &nulls[7]);
		values[8] = BoolGetDatum(figure->drifted > 0);
		nulls[8] = figure->drifted < 0;
		tuplestore_putvalues(store, desc, values, nulls);
	}
}

/*
 * Complains of nothing to check, and of too much.
 */
static void
check_rows(int64 checks)
{
	if (checks == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the source has no rows to check")));
	if (checks > CHURN_MAX_SEGMENTS)
		churn_drift_too_many_segments();
}

/*
 * Measures all profiles and stores their figures, each as a check of its own.
 */
static void
store_checks(const ChurnDrift *drift, Tuplestorestate *store, TupleDesc desc)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(drift->desc,
													&TTSOpsMinimalTuple);
	MemoryContext check_context =
	AllocSetContextCreate(drift->context, "churn drift check",
						  ALLOCSET_DEFAULT_SIZES);
	Oid			sequence = churn_registry_relation("drift_check_id_seq");
	int64		checks = 0;

	while (tuplestore_gettupleslot(drift->profiles, true, false, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(check_context);

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		if (!slot->tts_isnull[CHURN_DRIFT_PROFILE - 1])
		{
			ChurnProfile *profile =
			churn_drift_profile(drift,
								slot->tts_values[CHURN_DRIFT_PROFILE - 1]);

			if (profile == NULL)
				elog(ERROR, "profile is not one of the baseline");
			check_rows(++checks);
			store_check(drift, nextval_internal(sequence, false),
						slot->tts_values[CHURN_DRIFT_SEGMENT - 1],
						slot->tts_isnull[CHURN_DRIFT_SEGMENT - 1],
						profile, store, desc);
		}
		MemoryContextSwitchTo(old);
		MemoryContextReset(check_context);
	}
	ExecDropSingleTupleTableSlot(slot);
	check_rows(checks);
}

/*
 * A descriptor of the figures on their way into churn.drift.
 */
static TupleDesc
figures_desc(void)
{
	TupleDesc	desc = CreateTemplateTupleDesc(FIGURE_COLUMNS);

	TupleDescInitEntry(desc, 1, "check_id", INT8OID, -1, 0);
	TupleDescInitEntry(desc, 2, "segment_value", TEXTOID, -1, 0);
	TupleDescInitEntry(desc, 3, "rows", INT8OID, -1, 0);
	TupleDescInitEntry(desc, 4, "feature", TEXTOID, -1, 0);
	TupleDescInitEntry(desc, 5, "statistic", TEXTOID, -1, 0);
	TupleDescInitEntry(desc, 6, "value", FLOAT8OID, -1, 0);
	TupleDescInitEntry(desc, 7, "threshold", FLOAT8OID, -1, 0);
	TupleDescInitEntry(desc, 8, "p_value", FLOAT8OID, -1, 0);
	TupleDescInitEntry(desc, 9, "drifted", BOOLOID, -1, 0);
	return desc;
}

/*
 * Writes the figures into churn.drift, as the registry's owner, and what was
 * written into the result.
 */
static void
write_figures(const ChurnDrift *drift, Tuplestorestate *result)
{
	Oid			types[] = {TEXTOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID,
	TIMESTAMPTZOID, TEXTOID, TEXTOID};
	Datum		values[lengthof(types)] = {0};
	bool		nulls[lengthof(types)] = {false};
	SPIExecuteOptions options;
	int			code;

	values[0] = CStringGetTextDatum(drift->version->name);
	values[1] = Int32GetDatum(drift->version->version);
	values[2] = TimestampTzGetDatum(drift->checked_at);
	values[3] = TimestampTzGetDatum(drift->from);
	values[4] = TimestampTzGetDatum(drift->to);
	values[5] = CStringGetTextDatum(drift->read);
	nulls[6] = drift->segment == NULL;
	if (drift->segment != NULL)
		values[6] = CStringGetTextDatum(drift->segment);
	options = churn_drift_options(drift, lengthof(types), types, values, nulls,
								  result);
	code = SPI_execute_extended("INSERT INTO churn.drift"
								" (check_id, model, version, checked_at, checked_window, source,"
								" segment, segment_value, rows, feature, statistic, value,"
								" threshold, p_value, drifted) "
								"SELECT check_id, $1, $2, $3,"
								" pg_catalog.tstzrange($4, $5, '[]'), $6, $7, segment_value,"
								" rows, feature, statistic, value, threshold, p_value, drifted"
								" FROM churn_figures RETURNING *", &options);
	if (code != SPI_OK_INSERT_RETURNING)
		elog(ERROR, "could not write churn.drift: %s",
			 SPI_result_code_string(code));
	options.dest->rDestroy(options.dest);
}

/*
 * Reads the arguments.
 */
static ChurnDrift *
read_arguments(FunctionCallInfo fcinfo, MemoryContext context)
{
	ChurnDrift *drift = palloc0(sizeof(ChurnDrift));
	Oid			schema = get_func_namespace(fcinfo->flinfo->fn_oid);

	if (PG_ARGISNULL(ARG_MODEL))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("model must not be null")));
	drift->context = context;
	drift->checked_at = GetCurrentTimestamp();
	/* the aggregate is where the function is */
	drift->functions =
		pstrdup(quote_identifier(get_namespace_name(schema)));
	drift->source = churn_argument_text(fcinfo, ARG_SOURCE);
	drift->segment = churn_argument_text(fcinfo, ARG_SEGMENT);
	drift->stream = stream_argument(fcinfo);
	drift->row = churn_registry_model(churn_argument_text(fcinfo, ARG_MODEL),
									  GetActiveSnapshot(), false);
	drift->version = churn_registry_resolve(drift->row->name,
											churn_argument_version(fcinfo, ARG_VERSION),
											InvalidOid, GetActiveSnapshot(),
											context);
	return drift;
}

/*
 * churn_drift(model text, source text, version int, segment text,
 *			   stream interval) -> SETOF churn.drift
 *
 * Compares rows with those that a version was trained on; see
 * docs/reference.md.
 */
Datum
churn_drift(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "churn drift",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ChurnDrift *drift;
	Tuplestorestate *store;
	TupleDesc	desc;
	ChurnRole	saved;

	PreventCommandIfReadOnly("churn_drift()");
	InitMaterializedSRF(fcinfo, 0);
	old = MemoryContextSwitchTo(context);
	drift = read_arguments(fcinfo, context);
	SPI_connect();
	saved = churn_role_become_owner();
	read_baseline(drift);
	read_policy(drift);
	churn_role_restore(saved);
	MemoryContextSwitchTo(context);
	churn_drift_read(drift);

	saved = churn_role_become_owner();
	desc = figures_desc();
	store = tuplestore_begin_heap(true, false, work_mem);
	store_checks(drift, store, desc);
	churn_row_store_register("churn_figures", desc, store,
							 CHURN_DRIFT_FIGURES(drift->baseline), drift->context);
	write_figures(drift, result->setResult);
	churn_role_restore(saved);
	SPI_finish();
	tuplestore_end(store);
	tuplestore_end(drift->profiles);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	PG_RETURN_VOID();
}
