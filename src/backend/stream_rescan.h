/*
 * stream_rescan.h
 *		Scoring all customers of a model, in the background.
 */
#ifndef CHURN_STREAM_RESCAN_H
#define CHURN_STREAM_RESCAN_H

#include "decoder.h"
#include "stream_apply.h"
#include "stream_shared.h"

/*
 * Notes, in memory and in churn.rescans, that all customers of a model have to
 * be scored; within the present transaction, in which SPI is connected.
 */
extern void churn_rescan_request(ChurnWatchedModel *model, const char *reason);

/* Deletes from churn.rescans what is of models without watches. */
extern void churn_rescan_clear(void);

/*
 * As churn_rescan_request(), since the model cannot be scored; until a rescan
 * succeeds its changes are not scored.
 */
extern void churn_rescan_break(ChurnWatchedModel *model,
							   const ErrorData *error);

/*
 * Does a part of the rescans that are due, if any, in a transaction of its
 * own, and returns whether there was something to do.
 */
extern bool churn_rescan_step(ChurnDecoderSink *sink, ChurnStreamEntry *entry,
							  ChurnApplied *applied);

/* How many models have to be rescanned. */
extern int	churn_rescan_count(const ChurnWatchSet *set,
							   const ChurnStreamEntry *entry);

/* The set was read anew: what is under way goes on with it, if it can. */
extern void churn_rescan_adapt(ChurnWatchSet *set);

#endif							/* CHURN_STREAM_RESCAN_H */
