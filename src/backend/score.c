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
#include "access/relation.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "churn/predictor.h"

#include "compat.h"
#include "features.h"
#include "registry.h"
#include "score.h"
#include "settings.h"

/*
 * What tells one statement's snapshot from another's.  Every commit that one
 * of two snapshots sees and the other does not changes one of these: it
 * raises xmax or leaves a list of running transactions shorter; what else can
 * change an answer raises the epoch.
 */
typedef struct SnapshotMark
{
	TransactionId xmin;
	TransactionId xmax;
	uint32		xcnt;
	int32		subxcnt;
	CommandId	curcid;
	uint64		epoch;
} SnapshotMark;

/*
 * What a call site keeps between rows, in fn_extra.  It is good for one
 * statement: PL/pgSQL keeps its expressions, and so fn_extra, for a whole
 * transaction, in which a champion may change.
 */
typedef struct ScoreState
{
	MemoryContext context;		/* reset when the rest is found anew */
	bool		ready;
	uint64		generation;		/* grows when any of the rest is found anew */
	SnapshotMark mark;
	char	   *wanted_model;	/* arguments that the rest was found for */
	int			wanted_version;
	ChurnVersion *version;
	ChurnRowMap *map;
	Oid			row_type;		/* of composite values */
	int32		row_typmod;
	TupleDesc	desc;			/* copy, NULL for rows in arguments */
	Datum	   *values;
	bool	   *nulls;
	float	   *features;
	void	   *workspace;
} ScoreState;

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
 * Marks the snapshot.
 */
static inline SnapshotMark
mark_of(Snapshot snapshot)
{
	SnapshotMark mark;

	mark.xmin = snapshot->xmin;
	mark.xmax = snapshot->xmax;
	mark.xcnt = snapshot->xcnt;
	mark.subxcnt = snapshot->subxcnt;
	mark.curcid = snapshot->curcid;
	mark.epoch = churn_epoch;
	return mark;
}

/*
 * Whether what the call site found still holds for the active snapshot and
 * these arguments.
 */
static inline bool
still_good(const ScoreState *state, Snapshot snapshot, text *model,
		   int version)
{
	if (!state->ready ||
		state->mark.xmax != snapshot->xmax ||
		state->mark.curcid != snapshot->curcid ||
		state->mark.xmin != snapshot->xmin ||
		state->mark.xcnt != snapshot->xcnt ||
		state->mark.subxcnt != snapshot->subxcnt ||
		state->mark.epoch != churn_epoch ||
		state->wanted_version != version)
		return false;
	if (model == NULL)
		return state->wanted_model == NULL;
	return state->wanted_model != NULL &&
		strlen(state->wanted_model) == VARSIZE_ANY_EXHDR(model) &&
		memcmp(state->wanted_model, VARDATA_ANY(model),
			   VARSIZE_ANY_EXHDR(model)) == 0;
}

/*
 * Finds the version for a call site anew, and makes room to score with it.
 */
static void
find_version(ScoreState *state, Snapshot snapshot, text *model, int version,
			 Oid relation)
{
	MemoryContext old;
	uint32		nfeatures;

	state->ready = false;
	state->generation++;
	MemoryContextReset(state->context);
	old = MemoryContextSwitchTo(state->context);
	state->map = NULL;
	state->desc = NULL;
	state->row_type = InvalidOid;
	state->wanted_model = model ? text_to_cstring(model) : NULL;
	state->wanted_version = version;
	state->mark = mark_of(snapshot);
	state->version = churn_registry_resolve(state->wanted_model, version,
											relation, snapshot,
											state->context);
	nfeatures = state->version->model->nfeatures;
	state->features = palloc(sizeof(float) * Max(nfeatures, 1));
	state->workspace =
		palloc(churn_predictor_workspace(state->version->predictor) + 32);
	state->workspace = (void *) TYPEALIGN(32, state->workspace);
	MemoryContextSwitchTo(old);
}

/*
 * The state of the call site, made at its first call.
 */
static ScoreState *
get_state(FmgrInfo *flinfo)
{
	ScoreState *state = flinfo->fn_extra;

	if (state == NULL)
	{
		state = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(ScoreState));
		state->context = AllocSetContextCreate(flinfo->fn_mcxt,
											   "churn score",
											   ALLOCSET_SMALL_SIZES);
		flinfo->fn_extra = state;
	}
	return state;
}

/*
 * The version argument, 0 for NULL.
 */
static int
version_argument(FunctionCallInfo fcinfo, int argument)
{
	int			version;

	if (PG_NARGS() <= argument || PG_ARGISNULL(argument))
		return 0;
	version = PG_GETARG_INT32(argument);
	if (version < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("version %d is out of range", version),
				 errhint("Versions count from 1.")));
	return version;
}

/*
 * Prepares for composite rows of another type than the last one's.
 */
static void
find_row_type(ScoreState *state, Oid type, int32 typmod)
{
	TupleDesc	desc = lookup_rowtype_tupdesc(type, typmod);
	MemoryContext old = MemoryContextSwitchTo(state->context);

	state->generation++;
	state->desc = CreateTupleDescCopy(desc);
	ReleaseTupleDesc(desc);
	state->values = palloc(sizeof(Datum) * Max(state->desc->natts, 1));
	state->nulls = palloc(sizeof(bool) * Max(state->desc->natts, 1));
	state->map = churn_row_map(state->version->model, state->version->name,
							   state->desc, state->context);
	state->row_type = type;
	state->row_typmod = typmod;
	MemoryContextSwitchTo(old);
}

/*
 * Finds version and columns for a row that comes as a composite value, and
 * encodes it.
 */
static ScoreState *
encode_composite(FmgrInfo *flinfo, HeapTupleHeader header, text *model,
				 int version)
{
	ScoreState *state = get_state(flinfo);
	Snapshot	snapshot = GetActiveSnapshot();
	Oid			type = HeapTupleHeaderGetTypeId(header);
	int32		typmod = HeapTupleHeaderGetTypMod(header);
	HeapTupleData tuple;

	if (!still_good(state, snapshot, model, version) ||
		(model == NULL && state->row_type != type))
		find_version(state, snapshot, model, version,
					 get_typ_typrelid(type));
	if (state->row_type != type || state->row_typmod != typmod)
	{
		state->ready = false;
		find_row_type(state, type, typmod);
		state->ready = true;
	}

	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, state->desc, state->values, state->nulls);
	churn_row_encode(state->map, state->values, state->nulls,
					 state->features);
	return state;
}

/*
 * The row of a call whose first three arguments are a composite value, model
 * and version, for other functions that look at it.
 */
void
churn_score_encode(FunctionCallInfo fcinfo, FmgrInfo *flinfo,
				   ChurnEncodedRow *row)
{
	text	   *model = PG_ARGISNULL(1) ? NULL : PG_GETARG_TEXT_PP(1);
	ScoreState *state = encode_composite(flinfo,
										 PG_GETARG_HEAPTUPLEHEADER(0), model,
										 version_argument(fcinfo, 2));

	row->generation = state->generation;
	row->version = state->version;
	row->map = state->map;
	row->desc = state->desc;
	row->values = state->values;
	row->nulls = state->nulls;
	row->features = state->features;
}

/*
 * The margin of a row that comes as one composite argument.  Model and
 * version are the second and third arguments, where the function has them.
 */
static float
composite_margin(FunctionCallInfo fcinfo, ScoreState **result)
{
	text	   *model = PG_ARGISNULL(1) ? NULL : PG_GETARG_TEXT_PP(1);
	ScoreState *state = encode_composite(fcinfo->flinfo,
										 PG_GETARG_HEAPTUPLEHEADER(0), model,
										 version_argument(fcinfo, 2));

	*result = state;
	return churn_predictor_margin(state->version->predictor, state->features,
								  state->workspace);
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
 * Maps the columns of a relation to the arguments after the first three:
 * its live columns, in order.  The types are checked, for the function can be
 * called by hand.
 */
static void
map_arguments(ScoreState *state, FunctionCallInfo fcinfo, Oid relid)
{
	Relation	relation = try_relation_open(relid, AccessShareLock);
	TupleDesc	desc;
	MemoryContext old = MemoryContextSwitchTo(state->context);
	int			argument = COLUMN_ARGUMENTS;
	int		   *positions;
	int			i;

	if (relation == NULL || get_fn_expr_variadic(fcinfo->flinfo))
		bad_columns();
	desc = RelationGetDescr(relation);
	positions = palloc(sizeof(int) * Max(desc->natts, 1));
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		if (argument >= PG_NARGS() ||
			get_fn_expr_argtype(fcinfo->flinfo, argument) != att->atttypid)
			bad_columns();
		positions[i] = argument++ - COLUMN_ARGUMENTS;
	}
	if (argument != PG_NARGS())
		bad_columns();

	state->map = churn_row_map(state->version->model, state->version->name,
							   desc, state->context);
	for (i = 0; i < (int) state->version->model->nfeatures; i++)
	{
		ChurnField *field = &state->map->fields[i];

		field->column = positions[field->column];
	}
	if (state->map->as_of_column >= 0)
		state->map->as_of_column = positions[state->map->as_of_column];
	relation_close(relation, NoLock);
	MemoryContextSwitchTo(old);
}

/*
 * The margin of a row that comes as one argument a column, after the
 * relation's OID, model and version.
 */
static float
columns_margin(FunctionCallInfo fcinfo, ScoreState **result)
{
	ScoreState *state = get_state(fcinfo->flinfo);
	text	   *model = PG_ARGISNULL(1) ? NULL : PG_GETARG_TEXT_PP(1);
	int			version = version_argument(fcinfo, 2);
	Snapshot	snapshot = GetActiveSnapshot();

	if (unlikely(!still_good(state, snapshot, model, version)))
	{
		if (PG_ARGISNULL(0))
			bad_columns();
		find_version(state, snapshot, model, version, PG_GETARG_OID(0));
		map_arguments(state, fcinfo, PG_GETARG_OID(0));
		state->ready = true;
	}
	churn_row_encode_arguments(state->map, &fcinfo->args[COLUMN_ARGUMENTS],
							   state->features);
	*result = state;
	return churn_predictor_margin(state->version->predictor, state->features,
								  state->workspace);
}

/*
 * churn_score(customer record, model text, version int) -> double precision
 *
 * Probability of churn, 0 to 1; NULL for a NULL row.
 */
Datum
churn_score(PG_FUNCTION_ARGS)
{
	ScoreState *state;
	float		margin;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	margin = composite_margin(fcinfo, &state);
	PG_RETURN_FLOAT8(churn_score_of_margin(state->version, margin));
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
	ScoreState *state;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT4(composite_margin(fcinfo, &state));
}

/*
 * churn.score_columns(relation oid, model text, version int, columns...)
 */
Datum
churn_score_columns(PG_FUNCTION_ARGS)
{
	ScoreState *state;
	float		margin = columns_margin(fcinfo, &state);

	PG_RETURN_FLOAT8(churn_score_of_margin(state->version, margin));
}

/*
 * churn.margin_columns(relation oid, model text, version int, columns...)
 */
Datum
churn_margin_columns(PG_FUNCTION_ARGS)
{
	ScoreState *state;

	PG_RETURN_FLOAT4(columns_margin(fcinfo, &state));
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
	ScoreState *state;
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
	score = composite_margin(fcinfo, &state);
	score = churn_score_of_margin(state->version, (float) score);
	threshold = state->version->model->threshold;
	values[0] = Float8GetDatum(score);
	values[1] = BoolGetDatum(score >= threshold);
	values[2] = CStringGetTextDatum(churn_score_band(score, threshold));
	values[3] = CStringGetTextDatum(state->version->name);
	values[4] = Int32GetDatum(state->version->version);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}
