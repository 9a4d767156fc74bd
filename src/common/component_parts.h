/*
 * component_parts.h
 *		What prediction and explanation share of additive models and networks.
 */
#ifndef CHURN_COMPONENT_PARTS_H
#define CHURN_COMPONENT_PARTS_H

#include "churn/model.h"

/* Copies with all that they point to; NULL with *error set without memory. */
extern ChurnAdditive *churn_additive_copy(const ChurnAdditive *additive,
										  ChurnArena *arena,
										  ChurnError *error);
extern ChurnNetwork *churn_network_copy(const ChurnNetwork *network,
										ChurnArena *arena, ChurnError *error);

/*
 * What a feature adds to the margin.  A category that is none of the
 * feature's, negative or too large, counts as missing, like NaN.
 */
extern double churn_effect_value(const ChurnEffect *effect, float value);

#endif							/* CHURN_COMPONENT_PARTS_H */
