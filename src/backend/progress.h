/*
 * progress.h
 *		How far a running churn_train() is, for everyone to see.
 */
#ifndef CHURN_PROGRESS_H
#define CHURN_PROGRESS_H

#include "datatype/timestamp.h"

#include "churn/protocol.h"

/* One running churn_train(); other backends see a copy of it. */
typedef struct ChurnTracker
{
	Oid			relid;			/* table or view, InvalidOid for a query */
	TimestampTz started;
	TimestampTz phase_started;
	TimestampTz noticed;		/* when the client was last told */
	ChurnPhase	phase;
	int64		rows;			/* sent so far */
	int64		rows_total;		/* estimate, 0 if there is none */
	int			round;
	int			rounds;
	double		metric;			/* NaN if there is none */
} ChurnTracker;

extern void churn_tracker_start(ChurnTracker *tracker, Oid relid,
								TimestampTz started);
extern void churn_tracker_phase(ChurnTracker *tracker, ChurnPhase phase);
extern void churn_tracker_rows(ChurnTracker *tracker, int64 rows);

/* Takes what the trainer reports; bytes need no alignment. */
extern void churn_tracker_report(ChurnTracker *tracker, const char *bytes);
extern void churn_tracker_end(void);

#endif							/* CHURN_PROGRESS_H */
