/*
 * network_parts.h
 *		What tests see of the network's evaluation.
 */
#ifndef CHURN_NETWORK_PARTS_H
#define CHURN_NETWORK_PARTS_H

#include "churn/predictor.h"

/* churn_network_margin, with no instructions beyond the baseline if portable. */
extern float churn_network_margin_as(const ChurnNetwork *network,
									 const ChurnFeature *features_of_model,
									 const float *features, void *workspace,
									 bool portable);

#endif							/* CHURN_NETWORK_PARTS_H */
