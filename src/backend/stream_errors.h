/*
 * stream_errors.h
 *		Rows of churn.errors.
 */
#ifndef CHURN_STREAM_ERRORS_H
#define CHURN_STREAM_ERRORS_H

#include "access/xlogdefs.h"

/*
 * Writes a row of churn.errors within the present transaction, in which SPI is
 * connected.  What does not apply is NULL or InvalidXLogRecPtr.
 */
extern void churn_stream_error_row(const char *kind, const char *model,
								   const char *relation, const char *key,
								   XLogRecPtr lsn, const ErrorData *error);

/*
 * Whether a model has such a row since it is watched: what lasts is told once.
 */
extern bool churn_stream_error_is_known(const char *kind, const char *model,
										const char *relation,
										const char *message);

/* A row for what is no error of a statement. */
extern void churn_stream_error_text(const char *kind, const char *model,
									const char *relation, int sqlstate,
									const char *message, const char *detail,
									const char *hint);

/*
 * Whether the last row says that a batch failed with that message: a worker
 * that is started again and again need not say so each time.
 */
extern bool churn_stream_error_repeats(const char *message);

#endif							/* CHURN_STREAM_ERRORS_H */
