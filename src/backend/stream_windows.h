/*
 * stream_windows.h
 *		How the features and scores of changes are distributed, by hour.
 */
#ifndef CHURN_STREAM_WINDOWS_H
#define CHURN_STREAM_WINDOWS_H

#include "stream_write.h"

/* To be called once, by the worker, when it is connected to its database. */
extern void churn_windows_init(void);

/*
 * Gives the models of a set that was read anew their windows.  What was counted
 * for versions that are no longer in force is to be written.  Within a
 * transaction in which SPI is connected.
 */
extern void churn_windows_adapt(ChurnWatchSet *set);

/*
 * Counts n > 0 scores when the present transaction commits, if they come of
 * changes and not of a rescan.  features is a row a customer, by place in
 * outcomes.
 */
extern void churn_windows_count(ChurnWatchedModel *model,
								const ChurnOutcome *outcomes, int n,
								const float *features);

/*
 * Whether something that was counted is to be written by now; and writes it,
 * within the present transaction, in which SPI is connected.
 */
extern bool churn_windows_due(void);
extern void churn_windows_write(void);

#endif							/* CHURN_STREAM_WINDOWS_H */
