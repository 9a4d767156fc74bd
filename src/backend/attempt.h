/*
 * attempt.h
 *		Doing something that may fail, and going on.
 */
#ifndef CHURN_ATTEMPT_H
#define CHURN_ATTEMPT_H

/*
 * Calls a function that may fail at any depth, in a subtransaction.  NULL if
 * all went well; else the error, in the current memory context, whose traces
 * are gone.  Cancellation and termination are not caught.
 */
extern ErrorData *churn_attempt(void (*action) (void *), void *arg);

#endif							/* CHURN_ATTEMPT_H */
