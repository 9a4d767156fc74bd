/*
 * stream_alerts.h
 *		Alerts: rules that look at a new score and its customer.
 */
#ifndef CHURN_STREAM_ALERTS_H
#define CHURN_STREAM_ALERTS_H

#include "stream_watch.h"

/* What a condition sees beside the customer's columns. */
#define CHURN_ALERT_COLUMNS		4

/* A score that was written. */
typedef struct ChurnAlertScore
{
	const char *key;
	int			version;
	double		score;
	double		previous;
	bool		has_previous;
	const char *band;
	XLogRecPtr	lsn;			/* invalid for a rescan */
	TimestampTz scored_at;
} ChurnAlertScore;

/*
 * Evaluates the rules of the reading's model on the row in reading->values and
 * nulls, and keeps the alerts for churn_alerts_write().  A rule that fails is
 * reported in churn.errors and not tried again before the rules are read anew.
 */
extern void churn_alerts_look(ChurnReading *reading,
							  const ChurnAlertScore *score);

/*
 * Writes the alerts that were kept, less those within a cool-down; within the
 * present transaction, in which SPI is connected, as the registry's owner.
 */
extern void churn_alerts_write(void);

/* Notifies, once a transaction, of the alerts that were written. */
extern void churn_alerts_notify(void);

/* Forgets what was kept, after a rolled back transaction. */
extern void churn_alerts_forget(void);

/* Complains of a condition that rows of desc could not be tested with. */
extern void churn_alert_check(const char *condition, TupleDesc desc);

#endif							/* CHURN_STREAM_ALERTS_H */
