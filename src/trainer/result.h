/*
 * result.h
 *		What the extension gets: the model file and what is known of it.
 */
#ifndef CHURN_RESULT_H
#define CHURN_RESULT_H

#include "evaluate.h"
#include "learner.h"
#include "rows.h"
#include "settings.h"
#include "table.h"

/*
 * Ends, before training, when the categories are more than a RESULT frame can
 * hold.
 */
extern void churn_result_check(const ChurnTable *table);

/*
 * The model file with what the extension must know of it.  The threshold may
 * be unknown yet, when it is only to be scored with.
 */
extern const char *churn_result_artifact(const ChurnSettings *settings,
										 const ChurnTable *table,
										 ChurnLearner *learner,
										 double threshold, uint64_t *length);

/* Sends the model and the RESULT. */
extern void churn_result_send(const ChurnSettings *settings,
							  const ChurnRows *rows, const ChurnTable *table,
							  ChurnLearner *learner,
							  const ChurnQuality *quality);

#endif							/* CHURN_RESULT_H */
