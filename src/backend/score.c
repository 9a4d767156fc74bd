/*
 * score.c
 *		churn_score(), churn_margin(), churn_predict(): one row, one score.
 *
 * There are two ways in.  A row may come as a composite value, the way it is
 * written, or, from plain tables, as one argument a column, which the planner
 * makes of it (rewrite.c) since copying the row costs more than scoring it.
 * Both give the same result.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "churn/predictor.h"

#include "arguments.h"
#include "call_site.h"
#include "compat.h"
#include "features.h"
#include "registry.h"
#include "score.h"

/* Arguments before the columns in score_columns() and margin_columns(). */
#define COLUMN_ARGUMENTS	3

PG_FUNCTION_INFO_V1(churn_score);
PG_FUNCTION_INFO_V1(churn_margin);
PG_FUNCTION_INFO_V1(churn_predict);
PG_FUNCTION_INFO_V1(churn_score_columns);
PG_FUNCTION_INFO_V1(churn_margin_columns);

/*
 * The risk band of a score, by the model's threshold.
 */
const char *
churn_score_band(double score, double threshold)
{
	if (score >= threshold)
		return "high";
	return score >= threshold / 2 ? "medium" : "low";
}

/*
 * The score of a margin: the probability of churn.
 */
double
churn_score_of_margin(const ChurnVersion *version, float margin)
{
	return churn_calibrate(&version->model->calibration, margin);
}

/*
 * Finds version and columns for a row that comes as one composite argument,
 * and encodes it.  Model and version are the second and third arguments, where
 * the function has them.  What is kept between rows hangs on flinfo.
 */
static inline ChurnCallSite *
encode_composite(FunctionCallInfo fcinfo, FmgrInfo *flinfo)
{
	ChurnCallSite *site = churn_call_site(flinfo);
	HeapTupleHeader header = PG_GETARG_HEAPTUPLEHEADER(0);
	text	   *model = PG_ARGISNULL(1) ? NULL : PG_GETARG_TEXT_PP(1);
	int			version = churn_argument_version(fcinfo, 2);
	Snapshot	snapshot = GetActiveSnapshot();
	Oid			type = HeapTupleHeaderGetTypeId(header);
	int32		typmod = HeapTupleHeaderGetTypMod(header);
	HeapTupleData tuple;

	if (!churn_call_site_ready(site, snapshot, model, version) ||
		(model == NULL && site->shape->type != type))
		churn_call_site_find(site, snapshot, model, version,
							 get_typ_typrelid(type));
	if (site->shape == NULL || site->shape->type != type ||
		site->shape->typmod != typmod)
	{
		site->ready = false;
		churn_call_site_shape(site, type, typmod);
		site->ready = true;
	}

	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, site->shape->desc, site->values, site->nulls);
	churn_row_encode(site->shape->map, site->values, site->nulls,
					 site->features);
	return site;
}

/*
 * The row of a call whose first three arguments are a composite value, model
 * and version, for other functions that look at it.
 */
void
churn_score_encode(FunctionCallInfo fcinfo, FmgrInfo *flinfo,
				   ChurnEncodedRow *row)
{
	const ChurnCallSite *site = encode_composite(fcinfo, flinfo);

	row->generation = site->generation;
	row->version = site->version;
	row->map = site->shape->map;
	row->desc = site->shape->desc;
	row->values = site->values;
	row->nulls = site->nulls;
	row->features = site->features;
	row->workspace = site->workspace;
}

/*
 * The margin of a row that comes as one composite argument.
 */
static float
composite_margin(FunctionCallInfo fcinfo, ChurnCallSite **result)
{
	ChurnCallSite *site = encode_composite(fcinfo, fcinfo->flinfo);

	*result = site;
	return churn_predictor_margin(site->version->predictor, site->features,
								  site->workspace);
}

/*
 * Complains of arguments that rewrite.c cannot have made.
 */
static void
bad_columns(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("columns do not match the relation"),
			 errhint("Call churn_score(t.*) instead; the planner makes the rest.")));
}

/*
 * Checks that the arguments after the first three are of the types of the
 * live columns, in order, for the function can be called by hand.
 */
static void
check_arguments(FunctionCallInfo fcinfo, TupleDesc desc)
{
	const FuncExpr *call = (const FuncExpr *) fcinfo->flinfo->fn_expr;
	ListCell   *cell;
	int			i = -COLUMN_ARGUMENTS;

	if (call == NULL || !IsA(call, FuncExpr) || call->funcvariadic ||
		PG_NARGS() != list_length(call->args) ||
		PG_NARGS() != desc->natts + COLUMN_ARGUMENTS)
		bad_columns();
	foreach(cell, call->args)
	{
		const Node *argument = lfirst(cell);
		Oid			type = IsA(argument, Var) ?
		((const Var *) argument)->vartype : exprType(argument);

		if (i >= 0 && type != TupleDescAttr(desc, i)->atttypid)
			bad_columns();
		i++;
	}
}

/*
 * The margin of a row that comes as one argument a column, after the
 * relation's OID, model and version.
 */
static float
columns_margin(FunctionCallInfo fcinfo, ChurnCallSite **result)
{
	ChurnCallSite *site = churn_call_site(fcinfo->flinfo);
	text	   *model = PG_ARGISNULL(1) ? NULL : PG_GETARG_TEXT_PP(1);
	int			version = churn_argument_version(fcinfo, 2);
	Snapshot	snapshot = GetActiveSnapshot();

	if (unlikely(!churn_call_site_ready(site, snapshot, model, version)))
	{
		if (PG_ARGISNULL(0))
			bad_columns();
		churn_call_site_find(site, snapshot, model, version,
							 PG_GETARG_OID(0));
		site->shape = churn_row_shape_of_arguments(site->version,
												   PG_GETARG_OID(0));
		if (site->shape == NULL)
			bad_columns();
		check_arguments(fcinfo, site->shape->desc);
		site->ready = true;
	}
	churn_row_encode_arguments(site->shape->map,
							   &fcinfo->args[COLUMN_ARGUMENTS],
							   site->features);
	*result = site;
	return churn_predictor_margin(site->version->predictor, site->features,
								  site->workspace);
}

/*
 * churn_score(customer record, model text, version int) -> double precision
 *
 * Probability of churn, 0 to 1; NULL for a NULL row.
 */
Datum
churn_score(PG_FUNCTION_ARGS)
{
	ChurnCallSite *site;
	float		margin;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	margin = composite_margin(fcinfo, &site);
	PG_RETURN_FLOAT8(churn_score_of_margin(site->version, margin));
}

/*
 * churn_margin(customer record, model text, version int) -> real
 *
 * The raw margin in log-odds, before calibration; for XGBoost's ensembles equal
 * to XGBoost's.
 */
Datum
churn_margin(PG_FUNCTION_ARGS)
{
	ChurnCallSite *site;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT4(composite_margin(fcinfo, &site));
}

/*
 * churn.score_columns(relation oid, model text, version int, columns...)
 */
Datum
churn_score_columns(PG_FUNCTION_ARGS)
{
	ChurnCallSite *site;
	float		margin = columns_margin(fcinfo, &site);

	PG_RETURN_FLOAT8(churn_score_of_margin(site->version, margin));
}

/*
 * churn.margin_columns(relation oid, model text, version int, columns...)
 */
Datum
churn_margin_columns(PG_FUNCTION_ARGS)
{
	ChurnCallSite *site;

	PG_RETURN_FLOAT4(columns_margin(fcinfo, &site));
}

/*
 * churn_predict(customer record, model text)
 *		-> (score, churn, band, model, version)
 *
 * The score with what it means; NULL for a NULL row.
 */
Datum
churn_predict(PG_FUNCTION_ARGS)
{
	ChurnCallSite *site;
	TupleDesc	desc;
	double		score;
	double		threshold;
	Datum		values[5];
	bool		nulls[5] = {false, false, false, false, false};

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	desc = BlessTupleDesc(desc);
	score = composite_margin(fcinfo, &site);
	score = churn_score_of_margin(site->version, (float) score);
	threshold = site->version->model->threshold;
	values[0] = Float8GetDatum(score);
	values[1] = BoolGetDatum(score >= threshold);
	values[2] = CStringGetTextDatum(churn_score_band(score, threshold));
	values[3] = CStringGetTextDatum(site->version->name);
	values[4] = Int32GetDatum(site->version->version);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}
