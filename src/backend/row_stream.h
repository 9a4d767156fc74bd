/*
 * row_stream.h
 *		Rows of the source, on their way to churn-trainer.
 */
#ifndef CHURN_ROW_STREAM_H
#define CHURN_ROW_STREAM_H

#include "tcop/dest.h"

#include "columns.h"
#include "label.h"
#include "registry.h"
#include "trainer_channel.h"

typedef struct ChurnRowStream ChurnRowStream;

/*
 * Makes a receiver of the rows of a plan.  champion may be NULL; else it
 * must fit the source (champion.c).
 */
extern ChurnRowStream *churn_row_stream_make(ChurnChannel *channel,
											 const ChurnSource *source,
											 const ChurnSourcePlan *plan,
											 const ChurnColumns *columns,
											 ChurnLabel *label,
											 const ChurnVersion *champion,
											 MemoryContext context);

/* What the executor hands the rows to. */
extern DestReceiver *churn_row_stream_receiver(ChurnRowStream *stream);

/*
 * Sends what is left, and complains of null keys.  Returns the number of rows
 * sent.
 */
extern int64 churn_row_stream_finish(ChurnRowStream *stream);

/*
 * The newest day from which ages were counted, where a column has them; false
 * if there is none.
 */
extern bool churn_row_stream_newest(const ChurnRowStream *stream,
									DateADT *day);

#endif							/* CHURN_ROW_STREAM_H */
