/*
 * drift_read.c
 *		The rows of churn_drift(): counted in one pass over the source, or taken
 *		from what the stream worker counted.
 *
 * A source that the caller names is read with the caller's rights, the model's
 * own as the model's owner, as by churn_evaluate().  The aggregate is called by
 * both, and so anyone may call it; it tells nothing of rows that the caller
 * does not hold.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/params.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"

#include "compat.h"
#include "drift.h"
#include "features.h"
#include "register.h"
#include "role.h"
#include "source.h"

/* So many columns are passed one by one; a call has 100 arguments at most. */
#define MOST_COLUMNS	90

/*
 * The columns of the source that the model needs, and at least one.  A row map
 * of the whole source complains of columns that are missing.
 */
static Bitmapset *
needed_columns(const ChurnDrift *drift, const ChurnSource *source)
{
	const ChurnVersion *version = drift->version;
	ChurnRowMap *map = churn_row_map(version->model, version->name,
									 source->desc, drift->context);
	Bitmapset  *needed = churn_row_map_columns(map);
	int			i;

	for (i = 0; bms_is_empty(needed) && i < source->desc->natts; i++)
	{
		if (!TupleDescAttr(source->desc, i)->attisdropped)
			needed = bms_add_member(needed, i);
	}
	return needed;
}

/*
 * The name of a column of the source, quoted.
 */
static const char *
quoted_name(const ChurnSource *source, int column)
{
	return quote_identifier(NameStr(TupleDescAttr(source->desc,
												  column)->attname));
}

/*
 * Describes columns for the aggregate: name, type modifier and collation of
 * each.
 */
static Datum
describe_columns(const ChurnSource *source, const Bitmapset *columns)
{
	Datum	   *texts = palloc(sizeof(Datum) * 3 * bms_num_members(columns));
	int			n = 0;
	int			column = -1;

	while ((column = bms_next_member(columns, column)) >= 0)
	{
		Form_pg_attribute att = TupleDescAttr(source->desc, column);

		texts[n++] = CStringGetTextDatum(NameStr(att->attname));
		texts[n++] = CStringGetTextDatum(psprintf("%d", att->atttypmod));
		texts[n++] = CStringGetTextDatum(psprintf("%u", att->attcollation));
	}
	return PointerGetDatum(construct_array(texts, n, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

/*
 * Appends what the statement reads from: the source or, where the row is
 * passed whole, the columns of it that are needed.
 */
static void
append_from(StringInfo query, const ChurnSource *source,
			const Bitmapset *columns, bool whole)
{
	int			column = -1;
	const char *separator = "";

	if (source->relation != NULL && !whole)
	{
		appendStringInfo(query, " FROM %s AS q", source->relation);
		return;
	}
	if (source->relation == NULL)
	{
		appendStringInfo(query, " FROM (%s) AS q", source->statement);
		return;
	}
	appendStringInfoString(query, " FROM (SELECT ");
	while ((column = bms_next_member(columns, column)) >= 0)
	{
		appendStringInfo(query, "%s%s", separator,
						 quoted_name(source, column));
		separator = ", ";
	}
	appendStringInfo(query, " FROM %s) AS q", source->relation);
}

/*
 * The statement that counts the rows of each segment, or all of them.
 */
static char *
counting_statement(const ChurnDrift *drift, const ChurnSource *source,
				   const Bitmapset *columns, bool whole)
{
	StringInfoData query;
	Bitmapset  *read = bms_copy(columns);
	int			segment = -1;
	int			column = -1;

	initStringInfo(&query);
	if (drift->segment != NULL)
	{
		segment = churn_source_column(source, drift->segment, "segment");
		read = bms_add_member(read, segment);
		appendStringInfo(&query, "SELECT q.%s::pg_catalog.text",
						 quoted_name(source, segment));
	}
	else
		appendStringInfoString(&query, "SELECT NULL::pg_catalog.text");
	appendStringInfo(&query, ", %s.churn_profile($1, $2, $3, $4",
					 drift->functions);
	if (whole)
		appendStringInfoString(&query, ", q.*");
	else
		while ((column = bms_next_member(columns, column)) >= 0)
			appendStringInfo(&query, ", q.%s", quoted_name(source, column));
	appendStringInfoChar(&query, ')');
	append_from(&query, source, read, whole);
	if (segment >= 0)
		appendStringInfo(&query, " GROUP BY q.%s ORDER BY 1",
						 quoted_name(source, segment));
	return query.data;
}

/*
 * Options of a statement with parameters, whose rows go into a tuple store; see
 * drift.h.
 */
SPIExecuteOptions
churn_drift_options(const ChurnDrift *drift, int n, const Oid *types,
					const Datum *values, const bool *nulls,
					Tuplestorestate *store)
{
	SPIExecuteOptions options;
	int			i;

	memset(&options, 0, sizeof(options));
	options.params = makeParamList(n);
	for (i = 0; i < n; i++)
	{
		ParamExternData *param = &options.params->params[i];

		param->value = values[i];
		param->isnull = nulls[i];
		param->pflags = PARAM_FLAG_CONST;
		param->ptype = types[i];
	}
	options.dest = CreateDestReceiver(DestTuplestore);
	SetTuplestoreDestReceiverParams(options.dest, store, drift->context, false,
									NULL, NULL);
	return options;
}

/*
 * Complains if the statement calls another function than our aggregate: that
 * takes columns of any type, and one of its name that somebody else made for
 * just these types would go before it.
 */
static void
check_aggregate(SPIPlanPtr plan)
{
	Oid			types[] = {TEXTOID, TEXTARRAYOID, TEXTOID, INT4OID, ANYOID};
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));
	Query	   *query = linitial_node(Query, source->query_list);
	Aggref	   *call = (Aggref *) lsecond_node(TargetEntry,
											   query->targetList)->expr;
	char	   *schema;
	List	   *name;

	if (IsA(call, Aggref))
	{
		schema = get_namespace_name(get_func_namespace(call->aggfnoid));
		name = list_make2(makeString(schema), makeString("churn_profile"));
		if (call->aggfnoid == LookupFuncName(name, lengthof(types), types, true))
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("another function takes the place of aggregate churn_profile"),
			 errhint("Drop the other functions of that name in the extension's schema.")));
}

/*
 * Counts the rows, in the role that reads them.
 */
static void
count_rows(ChurnDrift *drift, const char *text)
{
	Oid			types[] = {TEXTOID, TEXTARRAYOID, TEXTOID, INT4OID};
	Datum		values[lengthof(types)] = {0};
	bool		nulls[lengthof(types)] = {false};
	ChurnSource *source = churn_source_open(text, drift->context);
	SPIExecuteOptions options;
	Bitmapset  *columns;
	SPIPlanPtr	plan;
	bool		whole;
	int			code;

	MemoryContextSwitchTo(drift->context);
	columns = needed_columns(drift, source);
	whole = bms_num_members(columns) > MOST_COLUMNS;
	plan = churn_source_prepare(counting_statement(drift, source, columns,
												   whole),
								lengthof(types), types);
	check_aggregate(plan);
	values[0] = CStringGetTextDatum(drift->baseline_json);
	nulls[1] = whole;
	if (!whole)
		values[1] = describe_columns(source, columns);
	values[2] = CStringGetTextDatum(drift->version->name);
	values[3] = Int32GetDatum(drift->version->version);
	options = churn_drift_options(drift, lengthof(types), types, values, nulls,
								  drift->profiles);
	options.read_only = true;
	code = SPI_execute_plan_extended(plan, &options);
	if (code < 0)
		elog(ERROR, "could not read the source: %s",
			 SPI_result_code_string(code));
	options.dest->rDestroy(options.dest);
}

/*
 * Adds a window of the stream worker's to the profile, unless it was counted
 * by another baseline.  Returns whether it was.
 */
static bool
add_window(const ChurnDrift *drift, ChurnProfile *profile, HeapTuple tuple,
		   TupleDesc desc)
{
	bool		isnull;
	ChurnProfile *window =
	churn_drift_profile(drift, SPI_getbinval(tuple, desc, 3, &isnull));
	ChurnError	error;

	if (window == NULL)
		return false;
	if (!churn_profile_merge(profile, window, &error))
		churn_throw(&error, "profile");
	pfree(window);
	return true;
}

/*
 * Puts the windows of the stream together that ended in the interval, or have
 * not ended yet.
 */
static ChurnProfile *
merge_windows(ChurnDrift *drift)
{
	Oid			types[] = {TEXTOID, INT4OID, TIMESTAMPTZOID, INTERVALOID};
	Datum		values[] = {CStringGetTextDatum(drift->version->name),
		Int32GetDatum(drift->version->version),
		TimestampTzGetDatum(drift->checked_at),
	IntervalPGetDatum(drift->stream)};
	ChurnProfile *profile = palloc(churn_profile_size(drift->baseline));
	bool		isnull;
	uint64		i;

	churn_profile_init(drift->baseline, profile);
	SPI_execute_with_args("SELECT window_start, window_end, profile"
						  " FROM churn.profiles"
						  " WHERE model = $1 AND version = $2"
						  " AND window_end > $3 - $4 ORDER BY window_start",
						  lengthof(types), types, values, NULL, true, 0);
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		first = profile->rows == 0;

		CHECK_FOR_INTERRUPTS();
		if (!add_window(drift, profile, tuple, desc))
			continue;
		if (first)
			drift->from = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 1,
															&isnull));
		drift->to = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 2,
													  &isnull));
	}
	return profile;
}

/*
 * Takes what the stream worker counted.  That is of the model's own source,
 * and so only for those who may read it.
 */
static void
read_stream(ChurnDrift *drift)
{
	ChurnProfile *profile;
	ChurnRole	saved;
	Datum		values[2] = {0};
	bool		nulls[2] = {true, false};

	churn_role_check_reader(drift->row);
	saved = churn_role_become_owner();
	profile = merge_windows(drift);
	churn_role_restore(saved);
	MemoryContextSwitchTo(drift->context);
	if (profile->rows == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the stream worker has counted no rows for version %d of model \"%s\" in that time",
						drift->version->version, drift->version->name),
				 errhint("It counts customers whose rows change while churn_watch() is in force; leave out stream => to check the source.")));
	values[1] = PointerGetDatum(churn_bytea((uint8 *) profile,
											churn_profile_size(drift->baseline)));
	tuplestore_putvalues(drift->profiles, drift->desc, values, nulls);
	drift->read = "(stream)";
}

/*
 * Counts the rows of the source, or takes what the stream worker counted; see
 * drift.h.
 */
void
churn_drift_read(ChurnDrift *drift)
{
	const ChurnModelRow *row = drift->row;

	drift->from = drift->to = drift->checked_at;
	drift->desc = CreateTemplateTupleDesc(2);
	TupleDescInitEntry(drift->desc, CHURN_DRIFT_SEGMENT, "segment_value",
					   TEXTOID, -1, 0);
	TupleDescInitEntry(drift->desc, CHURN_DRIFT_PROFILE, "profile", BYTEAOID,
					   -1, 0);
	drift->profiles = tuplestore_begin_heap(false, false, work_mem);
	if (drift->stream != NULL)
		read_stream(drift);
	else if (drift->source != NULL)
	{
		count_rows(drift, drift->source);
		drift->read = drift->source;
	}
	else
	{
		ChurnRole	saved = churn_role_become_reader(row, "rows");

		count_rows(drift, row->source_relation != NULL ?
				   row->source_relation : row->source_query);
		churn_role_restore(saved);
		drift->read = row->source != NULL ? row->source : row->source_query;
	}
	MemoryContextSwitchTo(drift->context);
}
