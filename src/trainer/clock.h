/*
 * clock.h
 *		How long things take.
 */
#ifndef CHURN_CLOCK_H
#define CHURN_CLOCK_H

#include <time.h>

/* Seconds of a clock that never jumps. */
static inline double
churn_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

#endif							/* CHURN_CLOCK_H */
