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

/*
 * Whether an error says that columns do not suit what was to be done with
 * them: they are missing, of other types, or an expression cannot be made of
 * them.
 */
extern bool churn_error_is_misfit(const ErrorData *error);

#endif							/* CHURN_ATTEMPT_H */
