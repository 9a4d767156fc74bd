/*
 * aggregate_state.h
 *		States of the aggregates: values of type bytea, changed in place.
 *
 * The empty value is the state before the first row.  A state has the type of
 * any other value, so that it can travel: between parallel workers, and between
 * the nodes of a cluster.
 */
#ifndef CHURN_AGGREGATE_STATE_H
#define CHURN_AGGREGATE_STATE_H

#include "fmgr.h"

/* What every state begins with; its size is a multiple of 8. */
typedef struct ChurnState
{
	int32		vl_len_;		/* of the varlena; do not touch directly */
	uint32		kind;			/* ChurnStateKind */
} ChurnState;

/* Unlikely to begin bytes that are no state of ours. */
typedef enum ChurnStateKind
{
	CHURN_STATE_RANKING = 0x63685201,
	CHURN_STATE_MEAN = 0x63685202,
	CHURN_STATE_BINS = 0x63685203,
	CHURN_STATE_CONFUSION = 0x63685204,
	CHURN_STATE_PROFILE = 0x63685205,
	CHURN_STATE_EXPECTED = 0x63685206
} ChurnStateKind;

/*
 * The state in an argument, of at least size bytes; NULL if it is empty.  The
 * state in the first argument may be changed.  Bytes that are no such state,
 * and a call by hand, are errors.
 */
extern void *churn_state_argument(FunctionCallInfo fcinfo, int argument,
								  ChurnStateKind kind, Size size);

/* Complains of bytes that no aggregate of ours has made. */
extern void churn_state_malformed(void);

/* A zeroed state of so many bytes. */
extern void *churn_state_make(ChurnStateKind kind, Size size);

/* The state in the first argument, made if it is empty. */
extern void *churn_state_own(FunctionCallInfo fcinfo, ChurnStateKind kind,
							 Size size);

/* The score in the second argument; one that is no probability is an error. */
extern double churn_state_probability(FunctionCallInfo fcinfo);

/* Adds a term to the mean of the first argument, and returns that. */
extern Datum churn_state_mean_add(FunctionCallInfo fcinfo, double term);

#endif							/* CHURN_AGGREGATE_STATE_H */
