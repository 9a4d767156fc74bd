/*
 * scorecard.h
 *		Scorecards: points for the bins of a few key features.
 */
#ifndef CHURN_SCORECARD_H
#define CHURN_SCORECARD_H

#include "lesson.h"

/*
 * Learns a scorecard of at most so many features and bins a feature, made in
 * an arena.  Points are rounded to two decimals, for people to read.
 */
extern ChurnAdditive *churn_scorecard_make(const ChurnLesson *lesson,
										   uint32_t features, uint32_t bins,
										   ChurnArena *arena);

#endif							/* CHURN_SCORECARD_H */
