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
 * Scores what is on the tape and writes it, as the registry's owner, within the
 * present transaction, in which SPI is connected.  Many changes of one
 * customer cost one score.  A customer that cannot be scored is reported in
 * churn.errors; so is a model, which then waits for a rescan.
 */
extern void churn_apply(ChurnDecoderSink *sink, ChurnTape *tape,
						const char *origin, ChurnApplied *applied);

#endif							/* CHURN_STREAM_APPLY_H */
