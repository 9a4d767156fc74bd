/*
 * arguments.h
 *		Arguments and results of functions that SQL calls.
 */
#ifndef CHURN_ARGUMENTS_H
#define CHURN_ARGUMENTS_H

#include "fmgr.h"

/* A text argument as a C string; NULL for NULL. */
extern char *churn_argument_text(FunctionCallInfo fcinfo, int argument);

/*
 * A version that is asked for; 0, for the champion, where it is NULL or not
 * passed.  Anything below 1 is an error.
 */
extern int	churn_argument_version(FunctionCallInfo fcinfo, int argument);

/* A number as a column of a result; NULL for NaN. */
extern void churn_result_number(double number, Datum *value, bool *isnull);

#endif							/* CHURN_ARGUMENTS_H */
