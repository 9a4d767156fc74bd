/*
 * trainer_channel.h
 *		The conversation with churn-trainer, in frames.
 */
#ifndef CHURN_TRAINER_CHANNEL_H
#define CHURN_TRAINER_CHANNEL_H

#include "lib/stringinfo.h"

#include "churn/protocol.h"

#include "progress.h"
#include "trainer_process.h"

typedef struct ChurnChannel
{
	ChurnTrainer *trainer;
	ChurnTracker *tracker;
	MemoryContext context;		/* what the trainer sends is kept here */
	char	   *input;			/* room for one frame */
	Size		input_used;
	bool		ready;			/* CONFIG is accepted */
	bool		ended;			/* END is sent */
	bool		finished;		/* RESULT is here */
	uint8	   *artifact;		/* the model file */
	Size		artifact_length;
	Size		artifact_room;
	char	   *result;			/* JSON, terminated */
} ChurnChannel;

extern ChurnChannel *churn_channel_open(MemoryContext context,
										ChurnTracker *tracker);

/*
 * Sends a frame.  The payload begins CHURN_FRAME_HEADER bytes into frame; the
 * header is filled in here.  Cancel and the trainer's own messages are
 * handled meanwhile; its failure is thrown as an error.
 */
extern void churn_channel_send(ChurnChannel *channel, char type, char *frame,
							   Size length);

/* Waits until CONFIG is accepted; sends END and waits for the result. */
extern void churn_channel_await_ready(ChurnChannel *channel);
extern void churn_channel_finish(ChurnChannel *channel);

#endif							/* CHURN_TRAINER_CHANNEL_H */
