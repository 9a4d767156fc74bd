/*
 * drift_profile.c
 *		The aggregate churn_profile(): how many rows fall into each of the cells
 *		that a version's baseline has.
 *
 * A row is encoded once, as for churn_score(), scored, and counted with its
 * score.  Its columns come as one argument each, since a whole row costs twice
 * as much, or as one row if they are more than a function can take.  The
 * state's size is that of a profile and never changes, so it is changed in
 * place.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "churn/predictor.h"
#include "churn/profile.h"

#include "aggregate_state.h"
#include "call_site.h"
#include "compat.h"
#include "drift.h"
#include "register.h"
#include "score.h"

/* Arguments of churn.drift_add(). */
enum
{
	ARG_STATE,
	ARG_BASELINE,
	ARG_DESCRIBED,
	ARG_MODEL,
	ARG_VERSION,
	ARG_COLUMNS
};

/* A profile as it grows. */
typedef struct ProfileState
{
	ChurnState	head;
	ChurnProfile profile;		/* and what follows it */
} ProfileState;

/* What a call keeps between rows. */
typedef struct ProfileSite
{
	FmgrInfo	scoring;		/* on which what scores hangs */
	MemoryContext context;		/* of what follows */
	const void *given;			/* the argument that the baseline is of */
	ChurnBaseline *baseline;
	Size		size;			/* of a state */
	uint64		generation;		/* of the call site that the map is for */
	ChurnRowMap *map;			/* of columns that come as arguments; NULL
								 * before the first row */
	uint64		checked;		/* generation whose version has the baseline;
								 * 0 for none */
	int			groups;			/* states that were begun here */
} ProfileSite;

PG_FUNCTION_INFO_V1(churn_drift_add);
PG_FUNCTION_INFO_V1(churn_drift_combine);
PG_FUNCTION_INFO_V1(churn_drift_final);

/*
 * Complains of arguments that churn_drift() cannot have written.
 */
static void
bad_arguments(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", what),
			 errhint("churn_profile() is there for churn_drift(), which makes its arguments.")));
}

/*
 * Complains of a column by which there would be too many checks.
 */
void
churn_drift_too_many_segments(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("segment has more than %d values", CHURN_MAX_SEGMENTS),
			 errdetail("There would be a check for each of them."),
			 errhint("Segment by a column of fewer values, or by one of a view or query that puts values together.")));
}

/*
 * Reads the baseline in the second argument.
 */
static void
read_baseline(ProfileSite *site, FunctionCallInfo fcinfo)
{
	MemoryContext old;

	MemoryContextReset(site->context);
	site->map = NULL;
	site->checked = 0;
	site->given = NULL;
	old = MemoryContextSwitchTo(site->context);
	site->baseline =
		churn_drift_baseline(text_to_cstring(PG_GETARG_TEXT_PP(ARG_BASELINE)),
							 "churn_profile()", site->context);
	MemoryContextSwitchTo(old);
	site->size = offsetof(ProfileState, profile) +
		churn_profile_size(site->baseline);
	site->given = DatumGetPointer(PG_GETARG_DATUM(ARG_BASELINE));
}

/*
 * What the call keeps, made at its first row.
 */
static ProfileSite *
profile_site(FunctionCallInfo fcinfo)
{
	ProfileSite *site = fcinfo->flinfo->fn_extra;
	MemoryContext holder = fcinfo->flinfo->fn_mcxt;

	if (site == NULL)
	{
		site = MemoryContextAllocZero(holder, sizeof(ProfileSite));
		fmgr_info_copy(&site->scoring, fcinfo->flinfo, holder);
		site->scoring.fn_extra = NULL;
		site->context = AllocSetContextCreate(holder, "churn profile",
											  ALLOCSET_DEFAULT_SIZES);
		fcinfo->flinfo->fn_extra = site;
	}
	if (PG_ARGISNULL(ARG_STATE) || PG_ARGISNULL(ARG_BASELINE) ||
		PG_ARGISNULL(ARG_MODEL) || PG_ARGISNULL(ARG_VERSION))
		bad_arguments("baseline, model and version must not be null");
	if (site->given != DatumGetPointer(PG_GETARG_DATUM(ARG_BASELINE)))
		read_baseline(site, fcinfo);
	return site;
}

/*
 * A descriptor of the columns that come as arguments.  They are described by
 * three texts each: name, type modifier, collation.
 */
static TupleDesc
describe_columns(FunctionCallInfo fcinfo)
{
	int			ncolumns = PG_NARGS() - ARG_COLUMNS;
	TupleDesc	desc = CreateTemplateTupleDesc(Max(ncolumns, 0));
	Datum	   *texts;
	bool	   *nulls;
	int			n;
	int			i;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(ARG_DESCRIBED), TEXTOID, -1, false,
					  TYPALIGN_INT, &texts, &nulls, &n);
	if (n != ncolumns * 3 || get_fn_expr_variadic(fcinfo->flinfo))
		bad_arguments("the columns are not those described");
	for (i = 0; i < n; i++)
	{
		if (nulls[i])
			bad_arguments("the columns are not those described");
	}
	for (i = 0; i < ncolumns; i++)
	{
		const Datum *column = &texts[i * 3];
		Oid			type = get_fn_expr_argtype(fcinfo->flinfo,
											   ARG_COLUMNS + i);

		TupleDescInitEntry(desc, i + 1, TextDatumGetCString(column[0]), type,
						   pg_strtoint32(TextDatumGetCString(column[1])), 0);
		TupleDescInitEntryCollation(desc, i + 1,
									atooid(TextDatumGetCString(column[2])));
	}
	return desc;
}

/*
 * Finds the version for a row that comes as arguments, and its columns.
 */
static void
find_columns(ProfileSite *site, ChurnCallSite *scoring, Snapshot snapshot,
			 FunctionCallInfo fcinfo)
{
	MemoryContext old = MemoryContextSwitchTo(site->context);

	if (!churn_call_site_ready(scoring, snapshot,
							   PG_GETARG_TEXT_PP(ARG_MODEL),
							   PG_GETARG_INT32(ARG_VERSION)))
		churn_call_site_find(scoring, snapshot, PG_GETARG_TEXT_PP(ARG_MODEL),
							 PG_GETARG_INT32(ARG_VERSION), InvalidOid);
	site->map = churn_row_map(scoring->version->model, scoring->version->name,
							  describe_columns(fcinfo), site->context);
	site->generation = scoring->generation;
	scoring->ready = true;
	MemoryContextSwitchTo(old);
}

/*
 * Encodes and scores a row that comes as one argument a column.
 */
static void
encode_columns(ProfileSite *site, FunctionCallInfo fcinfo,
			   ChurnEncodedRow *row)
{
	ChurnCallSite *scoring = churn_call_site(&site->scoring);
	Snapshot	snapshot = GetActiveSnapshot();

	if (unlikely(site->map == NULL || site->generation != scoring->generation ||
				 !churn_call_site_ready(scoring, snapshot,
										PG_GETARG_TEXT_PP(ARG_MODEL),
										PG_GETARG_INT32(ARG_VERSION))))
		find_columns(site, scoring, snapshot, fcinfo);
	churn_row_encode_arguments(site->map, &fcinfo->args[ARG_COLUMNS],
							   scoring->features);
	row->generation = scoring->generation;
	row->version = scoring->version;
	row->features = scoring->features;
	row->workspace = scoring->workspace;
}

/*
 * The same for a row that comes as one composite argument.
 */
static void
encode_composite(ProfileSite *site, FunctionCallInfo fcinfo,
				 ChurnEncodedRow *row)
{
	LOCAL_FCINFO(call, 3);

	if (PG_NARGS() != ARG_COLUMNS + 1 || PG_ARGISNULL(ARG_COLUMNS) ||
		!type_is_rowtype(get_fn_expr_argtype(fcinfo->flinfo, ARG_COLUMNS)))
		bad_arguments("without a description of columns there must be one row");
	InitFunctionCallInfoData(*call, &site->scoring, 3, InvalidOid, NULL, NULL);
	call->args[0] = fcinfo->args[ARG_COLUMNS];
	call->args[1] = fcinfo->args[ARG_MODEL];
	call->args[2] = fcinfo->args[ARG_VERSION];
	churn_score_encode(call, &site->scoring, row);
}

/*
 * Complains unless the baseline is one of the row's version, before values are
 * counted by it.
 */
static void
check_baseline(ProfileSite *site, const ChurnEncodedRow *row)
{
	if (!churn_drift_baseline_fits(site->baseline, row->version->model))
		bad_arguments("the baseline is not one of the version");
	site->checked = row->generation;
}

/*
 * The state in an argument; NULL if it is empty.  That a profile is whole does
 * not mean that it is one of the baseline.
 */
static ProfileState *
state_argument(FunctionCallInfo fcinfo, int argument)
{
	ProfileState *state = churn_state_argument(fcinfo, argument,
											   CHURN_STATE_PROFILE,
											   sizeof(ProfileState));

	if (state != NULL &&
		!churn_profile_valid(&state->profile, VARSIZE(state) -
							 offsetof(ProfileState, profile)))
		churn_state_malformed();
	return state;
}

/*
 * A state of no rows.  Each group of a query begins with one.
 */
static ProfileState *
begin_state(ProfileSite *site)
{
	ProfileState *state;

	if (site->groups++ >= CHURN_MAX_SEGMENTS)
		churn_drift_too_many_segments();
	state = churn_state_make(CHURN_STATE_PROFILE, site->size);
	churn_profile_init(site->baseline, &state->profile);
	return state;
}

/*
 * Whether a state can take more rows by the baseline.  That its counts add up is
 * looked at when it is done.
 */
static inline bool
is_of_baseline(const ProfileSite *site, const ProfileState *state)
{
	const ChurnProfile *profile = &state->profile;

	return VARSIZE(state) == site->size &&
		profile->mark == site->baseline->mark &&
		profile->nfeatures == site->baseline->nfeatures &&
		profile->ncounts == site->baseline->ncounts;
}

/*
 * churn.drift_add(state bytea, baseline text, described text[],
 *				   model text, version int, columns...) -> bytea
 *
 * Counts a row.  If described is NULL there is one column, which is the row.
 */
Datum
churn_drift_add(PG_FUNCTION_ARGS)
{
	ProfileSite *site = profile_site(fcinfo);
	ProfileState *state = churn_state_argument(fcinfo, ARG_STATE,
											   CHURN_STATE_PROFILE,
											   sizeof(ProfileState));
	ChurnEncodedRow row;
	float		margin;

	if (unlikely(state == NULL))
		state = begin_state(site);
	else if (unlikely(!is_of_baseline(site, state)))
		churn_state_malformed();
	if (likely(!PG_ARGISNULL(ARG_DESCRIBED)))
		encode_columns(site, fcinfo, &row);
	else
		encode_composite(site, fcinfo, &row);
	if (unlikely(site->checked != row.generation))
		check_baseline(site, &row);
	margin = churn_predictor_margin(row.version->predictor, row.features,
									row.workspace);
	churn_profile_add(site->baseline, &state->profile, row.features,
					  churn_score_of_margin(row.version, margin));
	PG_RETURN_POINTER(state);
}

/*
 * churn.drift_combine(state bytea, other bytea) -> bytea
 */
Datum
churn_drift_combine(PG_FUNCTION_ARGS)
{
	ProfileState *state = state_argument(fcinfo, 0);
	ProfileState *other = state_argument(fcinfo, 1);
	ChurnError	error;

	if (state == NULL)
		PG_RETURN_DATUM(PG_GETARG_DATUM(1));
	if (other != NULL &&
		!churn_profile_merge(&state->profile, &other->profile, &error))
		churn_throw(&error, "profile");
	PG_RETURN_POINTER(state);
}

/*
 * churn.drift_final(state bytea) -> bytea
 *
 * The profile alone, as it is stored; NULL without rows.
 */
Datum
churn_drift_final(PG_FUNCTION_ARGS)
{
	ProfileState *state = state_argument(fcinfo, 0);

	if (state == NULL)
		PG_RETURN_NULL();
	PG_RETURN_BYTEA_P(churn_bytea((uint8 *) &state->profile, VARSIZE(state) -
								  offsetof(ProfileState, profile)));
}
