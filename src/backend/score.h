/*
 * score.h
 *		What a margin means.
 */
#ifndef CHURN_SCORE_H
#define CHURN_SCORE_H

#include "registry.h"

/* The probability of churn, 0 to 1, that a margin of the version stands for. */
extern double churn_score_of_margin(const ChurnVersion *version,
									float margin);

/* "high" at or above the threshold, "medium" at or above half of it, "low". */
extern const char *churn_score_band(double score, double threshold);

#endif							/* CHURN_SCORE_H */
