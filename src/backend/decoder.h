/*
 * decoder.h
 *		The output plugin, and what a stream worker gets of it.
 */
#ifndef CHURN_DECODER_H
#define CHURN_DECODER_H

#include "stream_tape.h"
#include "stream_watch.h"

/*
 * Where changes go that a worker decodes: the plugin finds it in
 * churn_decoder_sink, and prints lines where that is NULL.
 */
typedef struct ChurnDecoderSink
{
	ChurnWatchSet *set;
	ChurnTape  *tape;
	bool		configured;		/* set: a transaction changed what is watched */
	TransactionId *unfinished;	/* transactions decoded that may still be seen
								 * as running */
	int			nunfinished;
	int			unfinished_room;
	MemoryContext context;		/* of what is allocated here */
} ChurnDecoderSink;

extern ChurnDecoderSink *churn_decoder_sink;

#endif							/* CHURN_DECODER_H */
