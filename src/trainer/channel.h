/*
 * channel.h
 *		Talking with the extension: frames, progress, notices, failure.
 */
#ifndef CHURN_CHANNEL_H
#define CHURN_CHANNEL_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "churn/protocol.h"

/* Codes of failures, as PostgreSQL names them. */
#define CHURN_SQLSTATE_DATA					"22000"
#define CHURN_SQLSTATE_INVALID_PARAMETER	"22023"
#define CHURN_SQLSTATE_PROTOCOL				"08P01"
#define CHURN_SQLSTATE_EXTERNAL				"38000"
#define CHURN_SQLSTATE_OUT_OF_MEMORY		"53200"
#define CHURN_SQLSTATE_LIMIT				"54000"

/*
 * Reads the next frame and returns its type.  The payload belongs to the
 * caller, who may write to it, until the next call.  Ends the process when
 * input ends, since nobody is left to train for, and fails on a malformed
 * frame.
 */
extern char churn_channel_read(uint8_t **payload, uint32_t *length);

/* Writes a frame, waiting as long as the extension does not read. */
extern void churn_channel_write(char type, const void *payload,
								uint32_t length);

/*
 * Starts to watch for the end of input, which from now on ends the process at
 * once, whatever it is doing.  To be called when no more frames can come.
 */
extern void churn_channel_watch(void);

/*
 * Progress.  A phase is told at once, rows and rounds a few times a second.
 * A frame is left away rather than waited for.
 */
extern void churn_progress_phase(ChurnPhase phase);
extern void churn_progress_rows(uint64_t rows);
extern void churn_progress_round(uint32_t round, uint32_t rounds,
								 double metric);

/* Sends a NOTICE of that level; detail may be NULL. */
extern void churn_notice(const char *detail, const char *format,...)
			__attribute__((format(printf, 2, 3)));
extern void churn_warning(const char *detail, const char *format,...)
			__attribute__((format(printf, 2, 3)));

/* Sends a FAILURE and ends the process; detail and hint may be NULL. */
extern void churn_failure(const char *sqlstate, const char *detail,
						  const char *hint, const char *format,...)
			__attribute__((noreturn, format(printf, 4, 5)));
extern void churn_failure_memory(void) __attribute__((noreturn));

/*
 * Formats a detail or hint into one of a few static buffers, which a later
 * call reuses.
 */
extern const char *churn_format(const char *format,...)
			__attribute__((format(printf, 1, 2)));

#endif							/* CHURN_CHANNEL_H */
