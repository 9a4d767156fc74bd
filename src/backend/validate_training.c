/*
 * validate_training.c
 *		What training has to do with validation: it refuses a source that is
 *		not what the champion was trained on, and notes what the source was
 *		like for churn_validate() to compare with.
 */
#include "postgres.h"

#include "access/table.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "registry_scan.h"
#include "row_stream.h"
#include "train.h"
#include "validate.h"

/*
 * Complains of errors in the columns, or warns of them and has them recorded
 * with the new version.
 */
static void
tell(ChurnTraining *training, List *findings)
{
	ListCell   *cell;
	List	   *errors = NIL;

	if (training->validate == CHURN_VALIDATE_ERROR)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("the source does not suit champion version %d of model \"%s\"",
						training->champion->version,
						training->champion->name),
				 errdetail_internal("%s", churn_findings_text(findings)),
				 errhint("Mend the source or, if it is meant to be so, train with options => '{\"validate\": \"warn\"}'.")));
	foreach(cell, findings)
	{
		const ChurnFinding *finding = lfirst(cell);

		if (finding->severity != CHURN_FINDING_ERROR)
			continue;
		ereport(WARNING,
				(errmsg_internal("%s", finding->message),
				 finding->detail != NULL ?
				 errdetail_internal("%s", finding->detail) : 0));
		errors = lappend(errors, lfirst(cell));
	}
	training->registration.issues = churn_findings_json(errors);
}

/*
 * Compares the columns of the source with those of the champion, which was
 * loaded.  Columns that the caller excludes are not missed, and nothing is
 * where the caller gives rules.
 */
void
churn_training_validate(ChurnTraining *training)
{
	List	   *findings = NIL;

	if (training->validate == CHURN_VALIDATE_OFF || training->rules != NULL)
		return;
	churn_validate_columns(training->champion->model, training->source->desc,
						   training->exclude, NULL, &findings);
	if (churn_findings_errors(findings) > 0)
		tell(training, findings);
}

/*
 * Whether the champion was trained here, with the same key, and no two rows
 * had the same.
 */
static bool
champion_had_unique_keys(const ChurnTraining *training, int champion)
{
	const char *key = training->registration.key;
	Relation	versions = churn_registry_open("model_versions");
	SysScanDesc scan;
	HeapTuple	tuple;
	JsonbValue	buffer;
	bool		unique = false;

	scan = churn_registry_scan(versions, "model_versions_pkey",
							   training->registration.model,
							   churn_registry_column(versions, "model"),
							   champion,
							   churn_registry_column(versions, "version"),
							   GetActiveSnapshot());
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		char	   *former = churn_registry_text(versions, tuple, "key");
		bool		isnull;
		Datum		datum = churn_registry_value(versions, tuple,
												 "expectations", &isnull);

		unique = !isnull && former != NULL && strcmp(former, key) == 0 &&
			getKeyJsonValueFromContainer(&DatumGetJsonbP(datum)->root,
										 "duplicate_keys",
										 strlen("duplicate_keys"),
										 &buffer) == NULL;
	}
	systable_endscan(scan);
	table_close(versions, NoLock);
	return unique;
}

/*
 * What the trainer is to make of keys that several rows have: nothing to speak
 * of, unless the champion learned from rows of unique keys.
 */
const char *
churn_training_duplicate_keys(const ChurnTraining *training)
{
	const ChurnModelRow *present = training->registration.present;

	if (training->validate == CHURN_VALIDATE_OFF || present == NULL ||
		present->champion == 0 || training->registration.key == NULL ||
		!champion_had_unique_keys(training, present->champion))
		return "notice";
	return training->validate == CHURN_VALIDATE_WARN ? "warning" : "error";
}

/*
 * Appends the values of the label, if there are few and it takes the caller to
 * say which one means churned.
 */
static void
append_label_values(StringInfo json, const ChurnLabel *label)
{
	int			i;

	if (label->positive == NULL || label->nvalues > CHURN_LABEL_VALUES)
		return;
	appendStringInfoString(json, ", \"label_values\": [");
	for (i = 0; i < label->nvalues; i++)
	{
		if (i > 0)
			appendStringInfoString(json, ", ");
		churn_escape_json(json, label->values[i]);
	}
	appendStringInfoChar(json, ']');
}

/*
 * What the source was like, as JSON: for churn_validate().
 */
char *
churn_training_expectations(const ChurnTraining *training,
							const ChurnRowStream *stream)
{
	TupleDesc	desc = training->source->desc;
	StringInfoData json;
	DateADT		newest;
	int			named = 0;
	int			i;

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"columns\": {");
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		if (named++ > 0)
			appendStringInfoString(&json, ", ");
		churn_escape_json(&json, NameStr(att->attname));
		appendStringInfoString(&json, ": ");
		churn_escape_json(&json, format_type_be(att->atttypid));
	}
	appendStringInfoChar(&json, '}');
	append_label_values(&json, &training->label);
	if (churn_row_stream_newest(stream, &newest))
		appendStringInfo(&json, ", \"newest_as_of\": \"%s\"",
						 churn_day_text(newest));
	appendStringInfoChar(&json, '}');
	return json.data;
}
