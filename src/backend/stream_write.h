/*
 * stream_write.h
 *		Scores on their way into churn.predictions and churn.prediction_log.
 */
#ifndef CHURN_STREAM_WRITE_H
#define CHURN_STREAM_WRITE_H

#include "stream_watch.h"

/* What was found of a customer. */
typedef struct ChurnOutcome
{
	const char *key;
	bool		gone;			/* there is no such customer any more */
	double		score;
	Datum		reasons;		/* text[]; 0 if there are none */
	XLogRecPtr	lsn;			/* of the change; invalid for a rescan */
	ChurnReading *reading;		/* of the row */
	HeapTupleHeader row;
	uint32		row_length;
} ChurnOutcome;

/* What a challenger found of the same customers, by place in outcomes. */
typedef struct ChurnShadow
{
	const ChurnVersion *version;
	double	   *scores;			/* NaN where it has none */
	float	   *features;		/* a row each, as the challenger sees it */
} ChurnShadow;

/*
 * Writes what is new: predictions and their log, and looks for alerts; and the
 * scores of the challenger into the log, unless shadow is NULL.
 * features is a row a customer, by place in outcomes.  Keys must differ.
 * Within the present transaction, in which SPI is connected.  Returns how many
 * predictions were written or deleted.
 */
extern uint64 churn_outcomes_write(ChurnWatchedModel *model,
								   const ChurnOutcome *outcomes, int n,
								   const float *features,
								   const ChurnShadow *shadow,
								   const char *origin);

/* Settings. */
extern int	churn_log_retention;	/* minutes; 0 writes no log */
extern bool churn_write_unchanged;

/*
 * Deletes what was written of a model that has been dropped meanwhile, if it
 * has.
 */
extern void churn_predictions_clear(const char *model);

#endif							/* CHURN_STREAM_WRITE_H */
