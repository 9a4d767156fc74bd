/*
 * churn/forest.h
 *		The fast, exact evaluator of tree ensembles.
 */
#ifndef CHURN_FOREST_H
#define CHURN_FOREST_H

#include "churn/model.h"

typedef struct ChurnEvaluator ChurnEvaluator;

/*
 * Compiles a checked forest for evaluation.  The evaluator lives in keep and
 * refers to neither the forest nor scratch afterwards.  Chooses among the
 * designs by the forest's shape and the processor; all give the same bits.
 */
extern ChurnEvaluator *churn_evaluator_make(const ChurnForest *forest,
											ChurnArena *keep,
											ChurnArena *scratch,
											ChurnError *error);

/* Bytes of working memory that churn_evaluator_margin needs (32-aligned). */
extern size_t churn_evaluator_workspace(const ChurnEvaluator *evaluator);

/* Bytes the evaluator holds, those it shares with other processes left out. */
extern size_t churn_evaluator_size(const ChurnEvaluator *evaluator);

/*
 * The margin (log-odds) of one row: features holds nfeatures floats in the
 * order of the model, NaN for missing, categories as their code.  Equal bit
 * for bit to XGBoost's CPU predictor.
 */
extern float churn_evaluator_margin(const ChurnEvaluator *evaluator,
									const float *features, void *workspace);

/* The same, straight from the nodes; slow; the reference for tests. */
extern float churn_forest_margin(const ChurnForest *forest,
								 const float *features);

/* XGBoost's sigmoid in its own float32 arithmetic. */
extern float churn_sigmoid(float margin);

#endif							/* CHURN_FOREST_H */
