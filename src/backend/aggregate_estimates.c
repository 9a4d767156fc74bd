/*
 * aggregate_estimates.c
 *		Estimates of quality, of scores alone, as SQL aggregates whose states
 *		have a fixed size: churn_estimated_brier, churn_estimated_log_loss,
 *		churn_estimated_f1, churn_estimated_precision, churn_estimated_recall.
 *
 * See churn/cbpe.h.  Sums are exact, as those of aggregates.c.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"

#include "churn/cbpe.h"
#include "churn/sum.h"

#include "aggregate_state.h"
#include "compat.h"

/* Rows at or above the threshold, and others. */
typedef struct ExpectedState
{
	ChurnState	head;
	uint64		called;
	uint64		others;
	ChurnSum	called_scores;
	ChurnSum	other_scores;
} ExpectedState;

PG_FUNCTION_INFO_V1(churn_estimated_log_loss_add);
PG_FUNCTION_INFO_V1(churn_estimated_brier_add);
PG_FUNCTION_INFO_V1(churn_estimated_confusion_add);
PG_FUNCTION_INFO_V1(churn_estimated_confusion_combine);
PG_FUNCTION_INFO_V1(churn_estimated_f1_final);
PG_FUNCTION_INFO_V1(churn_estimated_precision_final);
PG_FUNCTION_INFO_V1(churn_estimated_recall_final);

/*
 * churn.estimated_log_loss_add(state bytea, score double precision)
 */
Datum
churn_estimated_log_loss_add(PG_FUNCTION_ARGS)
{
	double		score = churn_state_probability(fcinfo);

	return churn_state_mean_add(fcinfo, churn_cbpe_log_loss_term(score));
}

/*
 * churn.estimated_brier_add(state bytea, score double precision)
 */
Datum
churn_estimated_brier_add(PG_FUNCTION_ARGS)
{
	double		score = churn_state_probability(fcinfo);

	return churn_state_mean_add(fcinfo, score * (1 - score));
}

/*
 * churn.estimated_confusion_add(state bytea, score double precision,
 *								 threshold double precision)
 */
Datum
churn_estimated_confusion_add(PG_FUNCTION_ARGS)
{
	ExpectedState *state = churn_state_own(fcinfo, CHURN_STATE_EXPECTED,
										   sizeof(ExpectedState));
	double		score = churn_state_probability(fcinfo);
	double		threshold = PG_GETARG_FLOAT8(2);

	if (isnan(threshold))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("threshold must not be NaN")));
	if (score >= threshold)
	{
		state->called++;
		churn_sum_add(&state->called_scores, score);
	}
	else
	{
		state->others++;
		churn_sum_add(&state->other_scores, score);
	}
	PG_RETURN_POINTER(state);
}

/*
 * churn.estimated_confusion_combine(state bytea, other bytea)
 */
Datum
churn_estimated_confusion_combine(PG_FUNCTION_ARGS)
{
	ExpectedState *state = churn_state_own(fcinfo, CHURN_STATE_EXPECTED,
										   sizeof(ExpectedState));
	ExpectedState *other = churn_state_argument(fcinfo, 1,
												CHURN_STATE_EXPECTED,
												sizeof(ExpectedState));

	if (other != NULL)
	{
		state->called += other->called;
		state->others += other->others;
		churn_sum_merge(&state->called_scores, &other->called_scores);
		churn_sum_merge(&state->other_scores, &other->other_scores);
	}
	PG_RETURN_POINTER(state);
}

/*
 * A ratio of the expected counts in the first argument; NULL without rows.
 */
static Datum
expected_final(FunctionCallInfo fcinfo,
			   double (*ratio) (ChurnExpectedConfusion))
{
	ExpectedState *state = churn_state_argument(fcinfo, 0,
												CHURN_STATE_EXPECTED,
												sizeof(ExpectedState));
	ChurnExpectedConfusion confusion;

	/* combining what saw no row makes a state of no rows */
	if (state == NULL || (state->called == 0 && state->others == 0))
		PG_RETURN_NULL();
	confusion.tp = churn_sum_value(&state->called_scores);
	confusion.fp = (double) state->called - confusion.tp;
	confusion.fn = churn_sum_value(&state->other_scores);
	confusion.tn = (double) state->others - confusion.fn;
	PG_RETURN_FLOAT8(ratio(confusion));
}

/*
 * churn.estimated_f1_final(state bytea) -> double precision
 */
Datum
churn_estimated_f1_final(PG_FUNCTION_ARGS)
{
	return expected_final(fcinfo, churn_cbpe_f1);
}

/*
 * churn.estimated_precision_final(state bytea) -> double precision
 */
Datum
churn_estimated_precision_final(PG_FUNCTION_ARGS)
{
	return expected_final(fcinfo, churn_cbpe_precision);
}

/*
 * churn.estimated_recall_final(state bytea) -> double precision
 */
Datum
churn_estimated_recall_final(PG_FUNCTION_ARGS)
{
	return expected_final(fcinfo, churn_cbpe_recall);
}
