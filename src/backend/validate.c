/*
 * validate.c
 *		churn_validate(): whether a source is what a version was trained on.
 *
 * A source that the caller names is read with the caller's rights, the model's
 * own as the model's owner and only for members of that role.  What training
 * saw comes from the registry, which is read, and to which findings are
 * written, as its owner.
 */
#include "postgres.h"

#include <float.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "arguments.h"
#include "compat.h"
#include "registry.h"
#include "role.h"
#include "validate.h"

PG_FUNCTION_INFO_V1(churn_validate);

/*
 * A column of the current row of SPI's result; the Datum is SPI's.
 */
static Datum
result_value(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						 column, isnull);
}

/*
 * The same of a text; NULL for NULL.
 */
static char *
result_text(uint64 row, int column)
{
	bool		isnull;
	Datum		value = result_value(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/*
 * The same of a bigint; 0 for NULL.
 */
static int64
result_int64(uint64 row, int column)
{
	bool		isnull;
	Datum		value = result_value(row, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

/*
 * The same of an array of texts, as a list of strings; NIL for NULL.
 */
static List *
result_texts(uint64 row, int column)
{
	bool		isnull;
	Datum		value = result_value(row, column, &isnull);
	List	   *texts = NIL;
	Datum	   *values;
	bool	   *nulls;
	int			n;
	int			i;

	if (isnull)
		return NIL;
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false,
					  TYPALIGN_INT, &values, &nulls, &n);
	for (i = 0; i < n; i++)
	{
		if (!nulls[i])
			texts = lappend(texts, TextDatumGetCString(values[i]));
	}
	return texts;
}

/*
 * The same of an array of numbers; NULL for NULL, and if it has any.
 */
static double *
result_numbers(uint64 row, int column, int *n)
{
	bool		isnull;
	Datum		value = result_value(row, column, &isnull);
	double	   *numbers;
	Datum	   *values;
	bool	   *nulls;
	int			i;

	*n = 0;
	if (isnull)
		return NULL;
	deconstruct_array(DatumGetArrayTypeP(value), FLOAT8OID, sizeof(float8),
					  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &values, &nulls, n);
	numbers = palloc(sizeof(double) * Max(*n, 1));
	for (i = 0; i < *n; i++)
	{
		if (nulls[i])
		{
			*n = 0;
			return NULL;
		}
		numbers[i] = DatumGetFloat8(values[i]);
	}
	return numbers;
}

/*
 * Reads what the registry says of the version, as its owner.
 */
static void
read_version(ChurnValidation *validation)
{
	ChurnExpected *expected = &validation->expected;
	const ChurnVersion *version = validation->version;
	Oid			types[] = {TEXTOID, INT4OID, BOOLOID};
	Datum		values[] = {CStringGetTextDatum(version->name),
		Int32GetDatum(version->version),
	BoolGetDatum(version->model->as_of == CHURN_AS_OF_COLUMN)};
	bool		isnull;
	Datum		day;

	if (SPI_execute_with_args("SELECT key, label, positive, rows, rows_without_label,"
							  " CASE WHEN as_of IS NULL OR $3"
							  "  THEN (started_at AT TIME ZONE 'UTC')::date"
							  "  ELSE as_of::date END,"
							  " expectations IS NOT NULL,"
							  " ARRAY(SELECT jsonb_object_keys(expectations -> 'columns')),"
							  " exclude,"
							  " ARRAY(SELECT jsonb_array_elements_text(expectations -> 'label_values')),"
							  " (expectations ->> 'newest_as_of')::date,"
							  " (expectations ->> 'duplicate_keys')::bigint "
							  "FROM churn.model_versions WHERE model = $1 AND version = $2",
							  lengthof(types), types, values, NULL, true,
							  1) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "version %d of model \"%s\" is gone", version->version,
			 version->name);
	MemoryContextSwitchTo(validation->context);
	expected->key = result_text(0, 1);
	expected->label = result_text(0, 2);
	expected->positive = result_text(0, 3);
	expected->rows = result_int64(0, 4);
	expected->unlabelled = result_int64(0, 5);
	expected->day = DatumGetDateADT(result_value(0, 6, &isnull));
	expected->known = DatumGetBool(result_value(0, 7, &isnull));
	expected->columns = result_texts(0, 8);
	expected->exclude = result_texts(0, 9);
	expected->label_values = result_texts(0, 10);
	day = result_value(0, 11, &isnull);
	expected->has_newest = !isnull;
	if (!isnull)
		expected->newest = DatumGetDateADT(day);
	expected->repeated_keys = result_int64(0, 12);
	/* an imported version may know neither, but its model */
	if (expected->key == NULL)
		expected->key = validation->row->key;
	if (expected->label == NULL)
		expected->label = validation->row->label;
}

/*
 * Reads the baselines of the features, as the owner of the registry.
 */
static void
read_baselines(ChurnValidation *validation)
{
	const ChurnVersion *version = validation->version;
	Oid			types[] = {TEXTOID, INT4OID};
	Datum		values[] = {CStringGetTextDatum(version->name),
	Int32GetDatum(version->version)};
	uint64		row;

	if (SPI_execute_with_args("SELECT position::bigint, (baseline ->> 'rows')::bigint,"
							  " (baseline ->> 'missing')::bigint,"
							  " CASE WHEN kind <> 'category' THEN ARRAY(SELECT e.value::float8"
							  "  FROM jsonb_array_elements_text(baseline -> 'edges')"
							  "  WITH ORDINALITY AS e (value, i) ORDER BY i) END,"
							  " CASE WHEN kind = 'age' THEN ARRAY(SELECT c.value::float8"
							  "  FROM jsonb_array_elements_text(baseline -> 'counts')"
							  "  WITH ORDINALITY AS c (value, i) ORDER BY i) END "
							  "FROM churn.features WHERE model = $1 AND version = $2"
							  " AND baseline IS NOT NULL ORDER BY position",
							  lengthof(types), types, values, NULL, true,
							  0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the baselines of model \"%s\"",
			 version->name);
	MemoryContextSwitchTo(validation->context);
	for (row = 0; row < SPI_processed; row++)
	{
		int64		position = result_int64(row, 1);
		ChurnCheckedFeature *checked;
		int			nedges;
		int			ncounts;

		if (position < 1 || position > version->model->nfeatures)
			continue;
		checked = &validation->features[position - 1];
		checked->rows = result_int64(row, 2);
		checked->missing = result_int64(row, 3);
		checked->edges = result_numbers(row, 4, &nedges);
		checked->counts = result_numbers(row, 5, &ncounts);
		checked->has_range = nedges > 0;
		if (nedges > 0)
		{
			checked->low = (float) checked->edges[0];
			checked->high = (float) checked->edges[nedges - 1];
		}
		if (ncounts == nedges + 2)
			checked->nedges = nedges;
	}
}

/*
 * Ages grow with the days that have passed since training; those that a
 * panel's column gives may be of any day.
 */
static void
age_ranges(ChurnValidation *validation)
{
	const ChurnModel *model = validation->version->model;
	int			passed = churn_statement_day() - validation->expected.day;
	uint32		i;

	for (i = 0; i < model->nfeatures; i++)
	{
		ChurnCheckedFeature *checked = &validation->features[i];

		if (model->features[i].kind != CHURN_FEATURE_AGE)
			continue;
		if (model->as_of == CHURN_AS_OF_COLUMN)
			checked->high = FLT_MAX;
		else
			checked->high += Max(passed, 0);
	}
}

/*
 * Finds the version and what is known of it.
 */
static void
prepare(ChurnValidation *validation, const char *model, int version)
{
	Snapshot	snapshot = GetActiveSnapshot();
	ChurnRole	saved;
	uint32		i;

	validation->row = churn_registry_model(model, snapshot, false);
	validation->version = churn_registry_resolve(validation->row->name,
												 version, InvalidOid, snapshot,
												 validation->context);
	validation->features =
		palloc0(sizeof(ChurnCheckedFeature) *
				Max(validation->version->model->nfeatures, 1));
	for (i = 0; i < validation->version->model->nfeatures; i++)
	{
		validation->features[i].feature =
			&validation->version->model->features[i];
		validation->features[i].least = NAN;
		validation->features[i].greatest = NAN;
	}
	saved = churn_role_become_owner();
	read_version(validation);
	read_baselines(validation);
	churn_role_restore(saved);
	age_ranges(validation);
}

/*
 * Looks at a source, in the role that reads it.
 */
static void
examine(ChurnValidation *validation, const char *text)
{
	validation->source = churn_source_open(text, validation->context);
	MemoryContextSwitchTo(validation->context);
	if (!validation->own)
		validation->own = churn_source_is_own(validation->source,
											  validation->row);
	churn_validate_source(validation);
	churn_validate_rows(validation);
}

/*
 * Reads the source.
 */
static void
read_source(ChurnValidation *validation)
{
	const ChurnModelRow *row = validation->row;
	ChurnRole	saved;

	if (validation->given != NULL)
	{
		examine(validation, validation->given);
		return;
	}
	saved = churn_role_become_reader(row, "rows");
	validation->own = true;
	examine(validation, row->source_relation != NULL ?
			row->source_relation : row->source_query);
	churn_role_restore(saved);
}

/*
 * Writes the findings, the most severe first, and returns the rows.
 */
static void
store(ChurnValidation *validation, ReturnSetInfo *result)
{
	Oid			types[] = {TEXTOID, INT4OID, TEXTOID, TEXTOID};
	Datum		values[] = {CStringGetTextDatum(validation->version->name),
		Int32GetDatum(validation->version->version),
		CStringGetTextDatum(validation->given != NULL ? validation->given :
							validation->row->source),
	CStringGetTextDatum(churn_findings_json(validation->findings))};
	ChurnRole	saved;
	uint64		i;

	if (validation->findings == NIL)
		return;
	saved = churn_role_become_owner();
	if (SPI_execute_with_args("INSERT INTO churn.data_issues (model, version, found_at,"
							  " source, relation, severity, kind, feature, statistic,"
							  " value, rows, examples, message, detail) "
							  "SELECT $1, $2, now.at, 'validate', $3, f.severity, f.kind,"
							  " f.feature, f.statistic, f.value, f.rows, f.examples,"
							  " f.message, f.detail "
							  "FROM (SELECT clock_timestamp() OFFSET 0) AS now (at),"
							  " ROWS FROM (jsonb_to_recordset($4::jsonb) AS"
							  "  (severity text, kind text, feature text, statistic text,"
							  "  value float8, rows bigint, examples text[], message text,"
							  "  detail text)) WITH ORDINALITY AS f (severity, kind, feature,"
							  "  statistic, value, rows, examples, message, detail, i) "
							  "ORDER BY array_position('{error,warning,notice}'::text[], f.severity), f.i "
							  "RETURNING *",
							  lengthof(types), types, values, NULL, false,
							  0) != SPI_OK_INSERT_RETURNING)
		elog(ERROR, "could not write findings on model \"%s\"",
			 validation->version->name);
	churn_role_restore(saved);
	for (i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(result->setResult, SPI_tuptable->vals[i]);
}

/*
 * churn_validate(model text, source text, version int)
 *		-> SETOF churn.data_issues
 *
 * Compares a source with what a version was trained on.  What it finds is
 * stored and returned.
 */
Datum
churn_validate(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "churn validate",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	ChurnValidation validation = {0};
	int			version = churn_argument_version(fcinfo, 2);

	PreventCommandDuringRecovery("churn_validate()");
	PreventCommandIfReadOnly("churn_validate()");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("model must not be null")));
	InitMaterializedSRF(fcinfo, 0);
	old = MemoryContextSwitchTo(context);
	validation.context = context;
	validation.given = churn_argument_text(fcinfo, 1);
	SPI_connect();
	MemoryContextSwitchTo(context);
	prepare(&validation, text_to_cstring(PG_GETARG_TEXT_PP(0)), version);
	read_source(&validation);
	MemoryContextSwitchTo(context);
	churn_validate_judge(&validation);
	store(&validation, (ReturnSetInfo *) fcinfo->resultinfo);
	SPI_finish();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	PG_RETURN_VOID();
}
