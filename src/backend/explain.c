/*
 * explain.c
 *		churn_explain() and churn_reasons(): why a row has its score.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "compat.h"
#include "row_explainer.h"
#include "score.h"

/* How the bias is called among the features. */
#define BIAS_NAME	"(bias)"

/* What a call site keeps between rows, in fn_extra. */
typedef struct ExplainState
{
	FmgrInfo	scoring;		/* on it hangs what scoring keeps */
	MemoryContext context;		/* reset when the explainer is made anew */
	uint64		generation;		/* of the row it was made for; 0 if none */
	ChurnRowExplainer *explainer;
} ExplainState;

PG_FUNCTION_INFO_V1(churn_explain);
PG_FUNCTION_INFO_V1(churn_reasons);

/*
 * Explains the row of a call, whose first arguments are customer, model and
 * version.
 */
static ChurnRowExplainer *
explain_call(FunctionCallInfo fcinfo, ChurnEncodedRow *row)
{
	FmgrInfo   *flinfo = fcinfo->flinfo;
	ExplainState *state = flinfo->fn_extra;

	if (state == NULL)
	{
		state = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(ExplainState));
		fmgr_info_copy(&state->scoring, flinfo, flinfo->fn_mcxt);
		state->context = AllocSetContextCreate(flinfo->fn_mcxt,
											   "churn explain",
											   ALLOCSET_SMALL_SIZES);
		flinfo->fn_extra = state;
	}
	churn_score_encode(fcinfo, &state->scoring, row);
	if (state->generation != row->generation)
	{
		MemoryContext old;

		state->generation = 0;
		MemoryContextReset(state->context);
		old = MemoryContextSwitchTo(state->context);
		state->explainer = churn_row_explainer_make(row->version, row->map,
													row->desc,
													GetActiveSnapshot());
		MemoryContextSwitchTo(old);
		state->generation = row->generation;
	}
	churn_row_explain(state->explainer, row->features);
	return state->explainer;
}

/*
 * churn_explain(customer record, model text, version int)
 *		-> TABLE (feature text, value text, contribution double precision)
 *
 * What each feature contributes to the margin, largest first, and then the
 * bias.  No rows for a NULL row.
 */
Datum
churn_explain(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ChurnRowExplainer *explainer;
	ChurnEncodedRow row;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};
	uint32		nfeatures;
	uint32		i;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	explainer = explain_call(fcinfo, &row);
	nfeatures = explainer->model->nfeatures;
	for (i = 0; i < nfeatures; i++)
	{
		uint32		feature = explainer->order[i];

		values[0] = explainer->names[feature];
		nulls[1] = !churn_row_value(explainer, feature, row.values, row.nulls,
									row.features, &values[1]);
		values[2] = Float8GetDatum(explainer->contributions[feature]);
		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 nulls);
	}
	values[0] = CStringGetTextDatum(BIAS_NAME);
	nulls[1] = true;
	values[2] = Float8GetDatum(explainer->contributions[nfeatures]);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	return (Datum) 0;
}

/*
 * churn_reasons(customer record, model text, version int, top int) -> text[]
 *
 * The features that move the row's score most, as phrases; all of them if top
 * is NULL.  NULL for a NULL row.
 */
Datum
churn_reasons(PG_FUNCTION_ARGS)
{
	int			top = PG_ARGISNULL(3) ? PG_INT32_MAX : PG_GETARG_INT32(3);
	ChurnRowExplainer *explainer;
	ChurnEncodedRow row;

	if (top < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("top is %d, but must be at least 1", top)));
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	explainer = explain_call(fcinfo, &row);
	PG_RETURN_DATUM(churn_row_reasons(explainer, row.values, row.nulls,
									  row.features, top));
}
