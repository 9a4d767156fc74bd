/*
 * outcomes.h
 *		One call of churn_record_outcomes().
 */
#ifndef CHURN_OUTCOMES_H
#define CHURN_OUTCOMES_H

#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "label.h"
#include "registry.h"

typedef struct ChurnRecording
{
	MemoryContext context;		/* lives as long as the call */
	ChurnModelRow *row;
	char	   *source;			/* NULL: the model's own */
	const char *label;			/* name of the column */
	const char *key;
	char	   *at;				/* column or date; NULL: now */
	char	   *positive;
	TimestampTz now;

	/* what churn_recording_read() sets */
	TupleDesc	desc;			/* key, observed_at (null: now), churned
								 * (null: pending), place */
	Tuplestorestate *store;
	uint64		rows;
	ChurnLabel	labels;
} ChurnRecording;

/*
 * Reads the source, with SPI connected: as the caller or, without one, the
 * model's own as its owner.
 */
extern void churn_recording_read(ChurnRecording *recording);

#endif							/* CHURN_OUTCOMES_H */
