/*
 * learner.h
 *		Learning a model from a table.
 */
#ifndef CHURN_LEARNER_H
#define CHURN_LEARNER_H

#include "settings.h"
#include "table.h"

typedef struct ChurnLearner ChurnLearner;

/*
 * Trains on the training part, stops early by the validation part, and gives
 * back the training part's memory.  Whatever goes wrong is a FAILURE, here
 * and below.
 */
extern ChurnLearner *churn_learner_train(const ChurnSettings *settings,
										 ChurnTable *table);

/* Rounds of boosting that the model is made of. */
extern int	churn_learner_rounds(const ChurnLearner *learner);

/* The probability of churn of rows first .. first + count. */
extern void churn_learner_predict(ChurnLearner *learner,
								  const ChurnTable *table, size_t first,
								  size_t count, float *scores);

/* Each feature's share of the gain of all splits; 0 for one not used. */
extern void churn_learner_importance(ChurnLearner *learner,
									 const ChurnTable *table, double *shares);

/*
 * The model as the bytes of a file, with text as its attribute "churn".  The
 * bytes stay until the process ends.
 */
extern const char *churn_learner_save(ChurnLearner *learner,
									  const ChurnTable *table,
									  const char *text, uint64_t *length);

/* The version of the library, "1.7.4", in a static buffer. */
extern const char *churn_learner_version(void);

#endif							/* CHURN_LEARNER_H */
