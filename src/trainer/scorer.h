/*
 * scorer.h
 *		Scoring with a trained model as the extension will do it.
 */
#ifndef CHURN_SCORER_H
#define CHURN_SCORER_H

#include "learner.h"
#include "table.h"

typedef struct ChurnScorer ChurnScorer;

/*
 * Makes a scorer from a model file, and checks on rows of the table that it
 * predicts what the learner does; if not, that is a FAILURE.
 */
extern ChurnScorer *churn_scorer_make(const char *bytes, uint64_t length,
									  ChurnLearner *learner,
									  const ChurnTable *table);

/* The probability of churn of rows first .. first + count. */
extern void churn_scorer_predict(ChurnScorer *scorer,
								 const ChurnTable *table, size_t first,
								 size_t count, float *scores);

#endif							/* CHURN_SCORER_H */
