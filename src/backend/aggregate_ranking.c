/*
 * aggregate_ranking.c
 *		Metrics as SQL aggregates that need all scores: churn_pr_auc,
 *		churn_roc_auc, churn_lift, churn_estimated_pr_auc,
 *		churn_estimated_roc_auc.
 *
 * The state is the list of scores with their counts.  When it is full, equal
 * scores are merged before it is made larger, so it holds at most a few times
 * as many entries as there are different scores.  The order of the entries
 * means nothing: a final function may sort and merge them in place and rows can
 * still be added, as happens in window frames.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "churn/cbpe.h"

#include "aggregate_state.h"
#include "compat.h"

/* Entries of a state that has just been made. */
#define FIRST_ENTRIES	8

typedef struct RankState
{
	ChurnState	head;
	uint64		n;				/* entries in use */
	double		fraction;		/* of churn_lift, else 0 */
	ChurnScored entries[FLEXIBLE_ARRAY_MEMBER];
} RankState;

/* A value is smaller than 1 GB. */
#define MAX_ENTRIES \
	((MaxAllocSize - offsetof(RankState, entries)) / sizeof(ChurnScored))

/* Beyond so many, merging would no longer be worth its time. */
#define FULL_ENTRIES	(MAX_ENTRIES - MAX_ENTRIES / 16)

PG_FUNCTION_INFO_V1(churn_rank_add);
PG_FUNCTION_INFO_V1(churn_lift_add);
PG_FUNCTION_INFO_V1(churn_rank_combine);
PG_FUNCTION_INFO_V1(churn_pr_auc_final);
PG_FUNCTION_INFO_V1(churn_roc_auc_final);
PG_FUNCTION_INFO_V1(churn_lift_final);
PG_FUNCTION_INFO_V1(churn_estimated_rank_add);
PG_FUNCTION_INFO_V1(churn_estimated_pr_auc_final);
PG_FUNCTION_INFO_V1(churn_estimated_roc_auc_final);

/*
 * Lets a long sort be cancelled.
 */
static void
poll_interrupts(void)
{
	CHECK_FOR_INTERRUPTS();
}

/*
 * The entries that a state has room for.
 */
static inline uint64
capacity(const RankState *state)
{
	return (VARSIZE(state) - offsetof(RankState, entries)) /
		sizeof(ChurnScored);
}

/*
 * The state in an argument; NULL if it is empty.
 */
static RankState *
rank_argument(FunctionCallInfo fcinfo, int argument)
{
	RankState  *state = churn_state_argument(fcinfo, argument,
											 CHURN_STATE_RANKING,
											 offsetof(RankState, entries));

	if (state != NULL && state->n > capacity(state))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("state of the aggregate is malformed")));
	return state;
}

/*
 * A state of n entries, with those of another one unless that is NULL.
 */
static RankState *
make_rank(uint64 n, const RankState *from)
{
	RankState  *state = churn_state_make(CHURN_STATE_RANKING,
										 offsetof(RankState, entries) +
										 n * sizeof(ChurnScored));

	if (from != NULL)
	{
		state->n = from->n;
		state->fraction = from->fraction;
		memcpy(state->entries, from->entries, from->n * sizeof(ChurnScored));
	}
	return state;
}

/*
 * Sorts a state and merges its equal scores.
 */
static void
sort_rank(RankState *state)
{
	churn_metrics_sort_poll(state->entries, state->n, poll_interrupts);
	state->n = churn_metrics_merge(state->entries, state->n);
}

/*
 * The state with room for so many more entries, which is another one if this
 * has to grow.  It grows only if merging leaves it more than half full, so that
 * the sorting costs little in the long run.
 */
static RankState *
make_room(RankState *state, uint64 more)
{
	uint64		wanted;

	if (state == NULL)
		return make_rank(Max(more, FIRST_ENTRIES), NULL);
	if (state->n + more <= capacity(state))
		return state;
	sort_rank(state);
	if (state->n + more <= capacity(state) / 2)
		return state;
	wanted = Max(state->n + more, 2 * capacity(state));
	if (wanted > MAX_ENTRIES)
		wanted = MAX_ENTRIES;
	if (state->n + more > FULL_ENTRIES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("more than %zu different scores cannot be ranked",
						FULL_ENTRIES),
				 errhint("Aggregate a sample of the rows, or round the scores.")));
	if (wanted == capacity(state))
		return state;
	return make_rank(wanted, state);
}

/*
 * Adds the row in the arguments.
 */
static RankState *
add_row(FunctionCallInfo fcinfo)
{
	RankState  *state = make_room(rank_argument(fcinfo, 0), 1);
	double		score = PG_GETARG_FLOAT8(1);

	if (isnan(score))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("score must not be NaN")));
	state->entries[state->n++] = churn_scored(score, PG_GETARG_BOOL(2));
	return state;
}

/*
 * churn.estimated_rank_add(state bytea, score double precision)
 *
 * The outcome, which is not known, is not looked at either.
 */
Datum
churn_estimated_rank_add(PG_FUNCTION_ARGS)
{
	RankState  *state = make_room(rank_argument(fcinfo, 0), 1);

	state->entries[state->n++] = churn_scored(churn_state_probability(fcinfo),
											  false);
	PG_RETURN_POINTER(state);
}

/*
 * Complains of fractions that differ.
 */
static void
check_fraction(double fraction, double other)
{
	if (fraction != other)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("fraction must be the same in all rows, not %g and %g",
						Min(fraction, other), Max(fraction, other))));
}

/*
 * churn.rank_add(state bytea, score double precision, churned boolean)
 */
Datum
churn_rank_add(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(add_row(fcinfo));
}

/*
 * churn.lift_add(state bytea, score double precision, churned boolean,
 *				  fraction double precision)
 */
Datum
churn_lift_add(PG_FUNCTION_ARGS)
{
	double		fraction = PG_GETARG_FLOAT8(3);
	RankState  *state;

	if (!(fraction > 0 && fraction <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("fraction %g is not above 0 and up to 1", fraction)));
	state = add_row(fcinfo);
	if (state->fraction == 0)
		state->fraction = fraction;
	check_fraction(state->fraction, fraction);
	PG_RETURN_POINTER(state);
}

/*
 * churn.rank_combine(state bytea, other bytea)
 */
Datum
churn_rank_combine(PG_FUNCTION_ARGS)
{
	RankState  *state = rank_argument(fcinfo, 0);
	RankState  *other = rank_argument(fcinfo, 1);

	if (other == NULL)
		return PG_GETARG_DATUM(0);
	if (state == NULL)
		PG_RETURN_POINTER(other);
	check_fraction(state->fraction, other->fraction);
	state = make_room(state, other->n);
	memcpy(&state->entries[state->n], other->entries,
		   other->n * sizeof(ChurnScored));
	state->n += other->n;
	PG_RETURN_POINTER(state);
}

/*
 * The sorted state in the first argument, or NULL.
 */
static RankState *
sorted_argument(FunctionCallInfo fcinfo)
{
	RankState  *state = rank_argument(fcinfo, 0);

	if (state != NULL)
		sort_rank(state);
	return state;
}

/*
 * A metric as the result; NULL where it is not defined.
 */
static Datum
metric_result(FunctionCallInfo fcinfo, double value)
{
	if (isnan(value))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(value);
}

/*
 * churn.pr_auc_final(state bytea) -> double precision
 */
Datum
churn_pr_auc_final(PG_FUNCTION_ARGS)
{
	RankState  *state = sorted_argument(fcinfo);

	if (state == NULL)
		PG_RETURN_NULL();
	return metric_result(fcinfo,
						 churn_metrics_pr_auc(state->entries, state->n));
}

/*
 * churn.roc_auc_final(state bytea) -> double precision
 */
Datum
churn_roc_auc_final(PG_FUNCTION_ARGS)
{
	RankState  *state = sorted_argument(fcinfo);

	if (state == NULL)
		PG_RETURN_NULL();
	return metric_result(fcinfo,
						 churn_metrics_roc_auc(state->entries, state->n));
}

/*
 * churn.lift_final(state bytea) -> double precision
 */
Datum
churn_lift_final(PG_FUNCTION_ARGS)
{
	RankState  *state = sorted_argument(fcinfo);

	if (state == NULL)
		PG_RETURN_NULL();
	return metric_result(fcinfo,
						 churn_metrics_lift(state->entries, state->n,
											state->fraction));
}

/*
 * churn.estimated_pr_auc_final(state bytea) -> double precision
 */
Datum
churn_estimated_pr_auc_final(PG_FUNCTION_ARGS)
{
	RankState  *state = sorted_argument(fcinfo);

	if (state == NULL)
		PG_RETURN_NULL();
	return metric_result(fcinfo,
						 churn_cbpe_pr_auc(state->entries, state->n));
}

/*
 * churn.estimated_roc_auc_final(state bytea) -> double precision
 */
Datum
churn_estimated_roc_auc_final(PG_FUNCTION_ARGS)
{
	RankState  *state = sorted_argument(fcinfo);

	if (state == NULL)
		PG_RETURN_NULL();
	return metric_result(fcinfo,
						 churn_cbpe_roc_auc(state->entries, state->n));
}
