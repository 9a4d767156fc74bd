/*
 * result.h
 *		What the extension gets: the model file and what is known of it.
 */
#ifndef CHURN_RESULT_H
#define CHURN_RESULT_H

#include "evaluate.h"
#include "finish.h"
#include "issues.h"

/*
 * Ends, before training, when the categories are more than a RESULT frame can
 * hold.
 */
extern void churn_result_check(const ChurnTable *table);

/* Sends the model and the RESULT. */
extern void churn_result_send(const ChurnSettings *settings,
							  const ChurnRows *rows, const ChurnTable *table,
							  const ChurnSelection *selection,
							  const ChurnFinished *finished,
							  const ChurnQuality *quality,
							  const ChurnIssues *issues);

#endif							/* CHURN_RESULT_H */
