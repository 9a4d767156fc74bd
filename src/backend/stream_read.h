/*
 * stream_read.h
 *		Reading customers from the source of a model, as its owner.
 */
#ifndef CHURN_STREAM_READ_H
#define CHURN_STREAM_READ_H

#include "decoder.h"
#include "stream_tape.h"
#include "stream_watch.h"

/*
 * A transaction of the stream worker in which SPI is connected.  It locks
 * churn.predictions before anything else, as churn_drop_model() does, so that
 * the two do not wait for each other.
 */
extern void churn_work_begin(void);
extern void churn_work_end(void);

/*
 * Waits until all that was decoded is seen by snapshots taken from now on.
 */
extern void churn_read_wait(ChurnDecoderSink *sink);

/* Forgets which customers were read again for changes up to a position. */
extern void churn_read_passed(ChurnWatchSet *set, XLogRecPtr position);

/*
 * Runs a query as the model's owner with at most one parameter, a text array
 * of keys (0 for none), and puts the rows on the tape to be scored.  The query
 * is prepared unless *plan is not NULL, and kept there if plan is not NULL.
 */
extern void churn_read_query(ChurnWatchedModel *model, const char *query,
							 struct _SPI_plan **plan, Datum keys,
							 MemoryContext context, ChurnTape *tape);

/*
 * Reads customers by key, a text array, and puts their rows on the tape to be
 * scored.  NULL, or what went wrong.
 */
extern ErrorData *churn_read_customers(ChurnDecoderSink *sink,
									   ChurnWatchedModel *model, Datum keys,
									   ChurnTape *tape);

/* Notes that a customer was read, when the log went up to lsn. */
extern void churn_read_note(ChurnDecoderSink *sink, ChurnWatchedModel *model,
							const char *key, XLogRecPtr lsn);

/* Whether a customer was read at a time later than that of a change. */
extern bool churn_read_was(const ChurnWatchedModel *model, const char *key,
						   XLogRecPtr lsn);

#endif							/* CHURN_STREAM_READ_H */
