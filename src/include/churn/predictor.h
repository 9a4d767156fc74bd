/*
 * churn/predictor.h
 *		From a row's features to margin and score, for any model.
 */
#ifndef CHURN_PREDICTOR_H
#define CHURN_PREDICTOR_H

#include "churn/model.h"

typedef struct ChurnPredictor ChurnPredictor;

/*
 * Compiles a checked model for prediction.  The predictor lives in keep and
 * refers to neither the model's trees nor scratch afterwards.
 */
extern ChurnPredictor *churn_predictor_make(const ChurnModel *model,
											ChurnArena *keep,
											ChurnArena *scratch,
											ChurnError *error);

/* Bytes of working memory that churn_predictor_margin needs (32-aligned). */
extern size_t churn_predictor_workspace(const ChurnPredictor *predictor);

/* Bytes the predictor holds. */
extern size_t churn_predictor_size(const ChurnPredictor *predictor);

/*
 * The margin (log-odds before calibration) of one row: nfeatures floats in the
 * order of the model, NaN for missing, categories as their code.
 */
extern float churn_predictor_margin(const ChurnPredictor *predictor,
									const float *features, void *workspace);

/* The calibrated probability of churn that a margin stands for. */
extern double churn_calibrate(const ChurnCalibration *calibration,
							  float margin);

/* The log-odds of that probability, before it is rounded. */
extern double churn_calibrated_logit(const ChurnCalibration *calibration,
									 double margin);

/*
 * The margin of one additive model or network; the arrays of features of the
 * model and of values as above.  A network needs churn_network_workspace()
 * bytes of working memory, aligned like floats.
 */
extern float churn_additive_margin(const ChurnAdditive *additive,
								   const ChurnFeature *features_of_model,
								   const float *features);
extern float churn_network_margin(const ChurnNetwork *network,
								  const ChurnFeature *features_of_model,
								  const float *features, void *workspace);
extern size_t churn_network_workspace(const ChurnNetwork *network);

#endif							/* CHURN_PREDICTOR_H */
