/*
 * rescore.h
 *		Who writes the predictions of a model as a whole.
 */
#ifndef CHURN_RESCORE_H
#define CHURN_RESCORE_H

/*
 * Waits for churn_rescore() of a model in other sessions, and keeps others out
 * until the end of the transaction.  SPI must be connected.
 */
extern void churn_rescore_lock(const char *model);

#endif							/* CHURN_RESCORE_H */
