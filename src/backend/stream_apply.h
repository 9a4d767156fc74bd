/*
 * stream_apply.h
 *		From changes to scores.
 */
#ifndef CHURN_STREAM_APPLY_H
#define CHURN_STREAM_APPLY_H

#include "decoder.h"
#include "stream_tape.h"
#include "stream_watch.h"

/* What was done, added up. */
typedef struct ChurnApplied
{
	uint64		changes;
	uint64		scored;
	uint64		written;
	double		write_seconds;	/* spent on predictions and log */
} ChurnApplied;

/*
 * A transaction of the stream worker in which SPI is connected.  It locks
 * churn.predictions before anything else, as churn_drop_model() does, so that
 * the two do not wait for each other.
 */
extern void churn_work_begin(void);
extern void churn_work_end(void);

/*
 * Scores what is on the tape and writes it, as the registry's owner, within the
 * present transaction, in which SPI is connected.  Many changes of one
 * customer cost one score.  A customer that cannot be scored is reported in
 * churn.errors; so is a model, which then waits for a rescan.
 */
extern void churn_apply(ChurnDecoderSink *sink, ChurnTape *tape,
						const char *origin, ChurnApplied *applied);

/*
 * Waits until all that was decoded is seen by snapshots taken from now on.
 */
extern void churn_apply_wait(ChurnDecoderSink *sink);

/* Forgets which customers were read again for changes up to a position. */
extern void churn_apply_passed(ChurnWatchSet *set, XLogRecPtr position);

/*
 * Runs a query as the model's owner with at most one parameter, a text array
 * of keys (0 for none), and puts the rows on the tape to be scored.  The query
 * is prepared unless *plan is not NULL, and kept there if plan is not NULL.
 */
extern void churn_apply_query(ChurnWatchedModel *model, const char *query,
							  struct _SPI_plan **plan, Datum keys,
							  MemoryContext context, ChurnTape *tape);

#endif							/* CHURN_STREAM_APPLY_H */
