/*
 * evaluate_version.c
 *		What churn_evaluate() and churn_compare() are asked, and what they must
 *		know of a version beside its model.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/snapmgr.h"

#include "churn/protocol.h"

#include "evaluate.h"
#include "registry_scan.h"

/* Resamples that can be asked for. */
#define MIN_RESAMPLES	100
#define MAX_RESAMPLES	100000

/*
 * The part of the rows asked for.
 */
ChurnEvaluatedPart
churn_evaluation_part(const char *name)
{
	if (name == NULL)
		return CHURN_EVALUATE_DEFAULT;
	if (strcmp(name, "all") == 0)
		return CHURN_EVALUATE_ALL;
	if (strcmp(name, "test") == 0)
		return CHURN_EVALUATE_TEST;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown part \"%s\"", name),
			 errhint("Parts are all and test.")));
}

/*
 * Complains of a number of resamples that there cannot be.
 */
void
churn_evaluation_check_resamples(int resamples, bool none_allowed)
{
	if ((resamples == 0 && none_allowed) ||
		(resamples >= MIN_RESAMPLES && resamples <= MAX_RESAMPLES))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 none_allowed ?
			 errmsg("resamples must be 0 or between %d and %d, not %d",
					MIN_RESAMPLES, MAX_RESAMPLES, resamples) :
			 errmsg("resamples must be between %d and %d, not %d",
					MIN_RESAMPLES, MAX_RESAMPLES, resamples)));
}

/*
 * The share of the rows that the version was tested on, by its options as they
 * were given.
 */
static double
test_fraction(Relation versions, HeapTuple tuple)
{
	JsonbValue	buffer;
	JsonbValue *value;
	Datum		datum;
	bool		isnull;

	datum = churn_registry_value(versions, tuple, "options", &isnull);
	if (isnull)
		return CHURN_TEST_FRACTION;
	value = getKeyJsonValueFromContainer(&DatumGetJsonbP(datum)->root,
										 "test_fraction",
										 strlen("test_fraction"), &buffer);
	if (value == NULL || value->type != jbvNumeric)
		return CHURN_TEST_FRACTION;
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8,
											  NumericGetDatum(value->val.numeric)));
}

/*
 * Reads what the registry says of a version.
 */
void
churn_evaluation_record(const char *model, int version,
						ChurnVersionRecord *record)
{
	Relation	versions = churn_registry_open("model_versions");
	SysScanDesc scan;
	HeapTuple	tuple;

	scan = churn_registry_scan(versions, "model_versions_pkey",
							   model,
							   churn_registry_column(versions, "model"),
							   version,
							   churn_registry_column(versions, "version"),
							   GetActiveSnapshot());
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "version %d of model \"%s\" is gone",
			 version, model);
	record->origin = churn_registry_text(versions, tuple, "origin");
	record->key = churn_registry_text(versions, tuple, "key");
	record->label = churn_registry_text(versions, tuple, "label");
	record->positive = churn_registry_text(versions, tuple, "positive");
	record->test_fraction = test_fraction(versions, tuple);
	systable_endscan(scan);
	table_close(versions, NoLock);
}

/*
 * Whether the test part of a version's data can be told by its key.
 */
bool
churn_evaluation_has_test_part(const ChurnVersionRecord *record)
{
	return record->key != NULL && record->test_fraction > 0 &&
		strcmp(record->origin, "train") == 0;
}

/*
 * Complains if there is nothing to measure.
 */
void
churn_evaluation_check_rows(const ChurnEvaluation *evaluation)
{
	if (evaluation->measured > 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 evaluation->part == CHURN_EVALUATE_TEST ?
			 errmsg("the source has no labelled test rows") :
			 errmsg("the source has no labelled rows"),
			 errdetail("Labelled rows of other parts: %llu; rows without a label: %llu.",
					   (unsigned long long) evaluation->left_out,
					   (unsigned long long) evaluation->unlabelled)));
}
