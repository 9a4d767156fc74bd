/*
 * aggregates.c
 *		Metrics as SQL aggregates whose states have a fixed size: churn_brier,
 *		churn_log_loss, churn_ece, churn_f1, churn_precision, churn_recall.
 *
 * Counts and sums are exact, so that results depend neither on the order of the
 * rows nor on how parallel workers share them.  The aggregates' functions are
 * strict: a row with a null argument is ignored.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"

#include "churn/metrics.h"
#include "churn/sum.h"

#include "aggregate_state.h"
#include "compat.h"

/* A mean over rows. */
typedef struct MeanState
{
	ChurnState	head;
	uint64		rows;
	ChurnSum	sum;
} MeanState;

/* What each bin of scores holds. */
typedef struct BinState
{
	ChurnState	head;
	uint64		rows;
	uint64		churned[CHURN_ECE_BINS];
	ChurnSum	scores[CHURN_ECE_BINS];
} BinState;

/* Decisions at a threshold. */
typedef struct ConfusionState
{
	ChurnState	head;
	ChurnConfusion counts;
} ConfusionState;

PG_FUNCTION_INFO_V1(churn_log_loss_add);
PG_FUNCTION_INFO_V1(churn_brier_add);
PG_FUNCTION_INFO_V1(churn_mean_combine);
PG_FUNCTION_INFO_V1(churn_mean_final);
PG_FUNCTION_INFO_V1(churn_ece_add);
PG_FUNCTION_INFO_V1(churn_ece_combine);
PG_FUNCTION_INFO_V1(churn_ece_final);
PG_FUNCTION_INFO_V1(churn_confusion_add);
PG_FUNCTION_INFO_V1(churn_confusion_combine);
PG_FUNCTION_INFO_V1(churn_f1_final);
PG_FUNCTION_INFO_V1(churn_precision_final);
PG_FUNCTION_INFO_V1(churn_recall_final);

/*
 * Complains of bytes that no aggregate of ours has made.
 */
void
churn_state_malformed(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("state of the aggregate is malformed")));
}

/*
 * The state in an argument.  It is trusted no further than any other bytea: an
 * aggregate can be made of our functions with any initial value.
 */
void *
churn_state_argument(FunctionCallInfo fcinfo, int argument,
					 ChurnStateKind kind, Size size)
{
	struct varlena *bytes;

	if (!AggCheckCallContext(fcinfo, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("support function of an aggregate cannot be called by hand")));
	bytes = (struct varlena *) DatumGetPointer(PG_GETARG_DATUM(argument));
	if (VARSIZE_ANY_EXHDR(bytes) == 0)
		return NULL;
	/* what came from another process need not be aligned, and may be packed */
	if (!VARATT_IS_4B_U(bytes) ||
		(uintptr_t) bytes != MAXALIGN((uintptr_t) bytes))
		bytes = PG_DETOAST_DATUM_COPY(PointerGetDatum(bytes));
	if (VARSIZE(bytes) < size || ((ChurnState *) bytes)->kind != (uint32) kind)
		churn_state_malformed();
	return bytes;
}

/*
 * Makes a state in the current memory context, from which the executor copies
 * it into the aggregate's.
 */
void *
churn_state_make(ChurnStateKind kind, Size size)
{
	ChurnState *state = palloc0(size);

	SET_VARSIZE(state, size);
	state->kind = kind;
	return state;
}

/*
 * The state in the first argument; see aggregate_state.h.
 */
void *
churn_state_own(FunctionCallInfo fcinfo, ChurnStateKind kind, Size size)
{
	void	   *state = churn_state_argument(fcinfo, 0, kind, size);

	return state != NULL ? state : churn_state_make(kind, size);
}

/*
 * The score in the second argument, which must be a probability.
 */
double
churn_state_probability(FunctionCallInfo fcinfo)
{
	double		score = PG_GETARG_FLOAT8(1);

	if (!(score >= 0 && score <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("score %g is not between 0 and 1", score),
				 errhint("This metric is one of probabilities, such as churn_score() returns.")));
	return score;
}

/*
 * Adds a term to a mean.
 */
Datum
churn_state_mean_add(FunctionCallInfo fcinfo, double term)
{
	MeanState  *state = churn_state_own(fcinfo, CHURN_STATE_MEAN,
										sizeof(MeanState));

	state->rows++;
	churn_sum_add(&state->sum, term);
	PG_RETURN_POINTER(state);
}

/*
 * churn.log_loss_add(state bytea, score double precision, churned boolean)
 */
Datum
churn_log_loss_add(PG_FUNCTION_ARGS)
{
	double		score = churn_state_probability(fcinfo);
	bool		churned = PG_GETARG_BOOL(2);

	return churn_state_mean_add(fcinfo,
								churn_metrics_log_loss_term(score, churned));
}

/*
 * churn.brier_add(state bytea, score double precision, churned boolean)
 */
Datum
churn_brier_add(PG_FUNCTION_ARGS)
{
	double		score = churn_state_probability(fcinfo);
	double		miss = PG_GETARG_BOOL(2) ? 1 - score : score;

	return churn_state_mean_add(fcinfo, miss * miss);
}

/*
 * churn.mean_combine(state bytea, other bytea)
 */
Datum
churn_mean_combine(PG_FUNCTION_ARGS)
{
	MeanState  *state = churn_state_own(fcinfo, CHURN_STATE_MEAN,
										sizeof(MeanState));
	MeanState  *other = churn_state_argument(fcinfo, 1, CHURN_STATE_MEAN,
											 sizeof(MeanState));

	if (other != NULL)
	{
		state->rows += other->rows;
		churn_sum_merge(&state->sum, &other->sum);
	}
	PG_RETURN_POINTER(state);
}

/*
 * churn.mean_final(state bytea) -> double precision
 */
Datum
churn_mean_final(PG_FUNCTION_ARGS)
{
	MeanState  *state = churn_state_argument(fcinfo, 0, CHURN_STATE_MEAN,
											 sizeof(MeanState));

	if (state == NULL || state->rows == 0)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(churn_sum_value(&state->sum) / (double) state->rows);
}

/*
 * churn.ece_add(state bytea, score double precision, churned boolean)
 */
Datum
churn_ece_add(PG_FUNCTION_ARGS)
{
	double		score = churn_state_probability(fcinfo);
	BinState   *state = churn_state_own(fcinfo, CHURN_STATE_BINS,
										sizeof(BinState));
	unsigned	bin = churn_metrics_bin(score, CHURN_ECE_BINS);

	state->rows++;
	state->churned[bin] += PG_GETARG_BOOL(2);
	churn_sum_add(&state->scores[bin], score);
	PG_RETURN_POINTER(state);
}

/*
 * churn.ece_combine(state bytea, other bytea)
 */
Datum
churn_ece_combine(PG_FUNCTION_ARGS)
{
	BinState   *state = churn_state_own(fcinfo, CHURN_STATE_BINS,
										sizeof(BinState));
	BinState   *other = churn_state_argument(fcinfo, 1, CHURN_STATE_BINS,
											 sizeof(BinState));
	int			bin;

	if (other == NULL)
		PG_RETURN_POINTER(state);
	state->rows += other->rows;
	for (bin = 0; bin < CHURN_ECE_BINS; bin++)
	{
		state->churned[bin] += other->churned[bin];
		churn_sum_merge(&state->scores[bin], &other->scores[bin]);
	}
	PG_RETURN_POINTER(state);
}

/*
 * churn.ece_final(state bytea) -> double precision
 *
 * See churn_metrics_calibration_error().
 */
Datum
churn_ece_final(PG_FUNCTION_ARGS)
{
	BinState   *state = churn_state_argument(fcinfo, 0, CHURN_STATE_BINS,
											 sizeof(BinState));
	double		error = 0;
	int			bin;

	if (state == NULL || state->rows == 0)
		PG_RETURN_NULL();
	for (bin = 0; bin < CHURN_ECE_BINS; bin++)
		error += fabs(churn_sum_value(&state->scores[bin]) -
					  (double) state->churned[bin]);
	PG_RETURN_FLOAT8(error / (double) state->rows);
}

/*
 * churn.confusion_add(state bytea, score double precision, churned boolean,
 *					   threshold double precision)
 */
Datum
churn_confusion_add(PG_FUNCTION_ARGS)
{
	ConfusionState *state = churn_state_own(fcinfo, CHURN_STATE_CONFUSION,
											sizeof(ConfusionState));
	double		score = PG_GETARG_FLOAT8(1);
	bool		churned = PG_GETARG_BOOL(2);
	double		threshold = PG_GETARG_FLOAT8(3);

	if (isnan(score) || isnan(threshold))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be NaN",
						isnan(score) ? "score" : "threshold")));
	if (score >= threshold)
	{
		if (churned)
			state->counts.tp++;
		else
			state->counts.fp++;
	}
	else if (churned)
		state->counts.fn++;
	else
		state->counts.tn++;
	PG_RETURN_POINTER(state);
}

/*
 * churn.confusion_combine(state bytea, other bytea)
 */
Datum
churn_confusion_combine(PG_FUNCTION_ARGS)
{
	ConfusionState *state = churn_state_own(fcinfo, CHURN_STATE_CONFUSION,
											sizeof(ConfusionState));
	ConfusionState *other = churn_state_argument(fcinfo, 1,
												 CHURN_STATE_CONFUSION,
												 sizeof(ConfusionState));

	if (other != NULL)
	{
		state->counts.tp += other->counts.tp;
		state->counts.fp += other->counts.fp;
		state->counts.fn += other->counts.fn;
		state->counts.tn += other->counts.tn;
	}
	PG_RETURN_POINTER(state);
}

/*
 * A ratio of the counts in the first argument; NULL without rows.
 */
static Datum
confusion_final(FunctionCallInfo fcinfo, double (*ratio) (ChurnConfusion))
{
	ConfusionState *state = churn_state_argument(fcinfo, 0,
												 CHURN_STATE_CONFUSION,
												 sizeof(ConfusionState));

	/* combining what saw no row makes a state of no rows */
	if (state == NULL || (state->counts.tp == 0 && state->counts.fp == 0 &&
						  state->counts.fn == 0 && state->counts.tn == 0))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(ratio(state->counts));
}

/*
 * churn.f1_final(state bytea) -> double precision
 */
Datum
churn_f1_final(PG_FUNCTION_ARGS)
{
	return confusion_final(fcinfo, churn_metrics_f1);
}

/*
 * churn.precision_final(state bytea) -> double precision
 */
Datum
churn_precision_final(PG_FUNCTION_ARGS)
{
	return confusion_final(fcinfo, churn_metrics_precision);
}

/*
 * churn.recall_final(state bytea) -> double precision
 */
Datum
churn_recall_final(PG_FUNCTION_ARGS)
{
	return confusion_final(fcinfo, churn_metrics_recall);
}
