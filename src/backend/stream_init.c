/*
 * stream_init.c
 *		Settings of streaming, and what it needs from the start of the server.
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"

#include "debug_point.h"
#include "stream_control.h"
#include "stream_write.h"

int			churn_naptime = 5;
int			churn_batch_delay = 30;
int			churn_batch_size = 2000;
int			churn_batch_memory = 32 * 1024;
int			churn_max_wal_lag = 4096;

/*
 * Declares the settings, and where the library is preloaded by the server has
 * it make shared memory and start the launcher.
 */
void
churn_stream_init(void)
{
	DefineCustomIntVariable("churn.naptime",
							"Time that a stream worker waits for new changes.",
							NULL,
							&churn_naptime,
							5, 1, 10000,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("churn.batch_delay",
							"Time that a stream worker gathers changes at most while many come.",
							"Larger batches leave more of the processors to the writers.",
							&churn_batch_delay,
							30, 0, 1000,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("churn.batch_size",
							"Changes that a stream worker scores and writes at once.",
							NULL,
							&churn_batch_size,
							2000, 1, 1000000,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("churn.batch_memory",
							"Memory for the changes that a stream worker collects.",
							"What is more goes to temporary files.",
							&churn_batch_memory,
							32 * 1024, 1024, INT_MAX / 2,
							PGC_SIGHUP, GUC_UNIT_KB,
							NULL, NULL, NULL);
	DefineCustomIntVariable("churn.max_wal_lag",
							"WAL that the slot of a stream worker may hold.",
							"Beyond it the slot is dropped, and watched tables are rescanned later. -1 means no limit.",
							&churn_max_wal_lag,
							4096, -1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MB,
							NULL, NULL, NULL);
	DefineCustomIntVariable("churn.log_retention",
							"Time for which churn.prediction_log keeps scores.",
							"0 means that live rescoring writes no log.",
							&churn_log_retention,
							90 * 24 * 60, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MIN,
							NULL, NULL, NULL);
	DefineCustomBoolVariable("churn.write_unchanged",
							 "Writes predictions whose score is what it was.",
							 "Then scored_at and lsn tell the last change of the customer.",
							 &churn_write_unchanged,
							 false,
							 PGC_SIGHUP, 0,
							 NULL, NULL, NULL);
	DefineCustomStringVariable("churn.debug_point",
							   "Place where the stream worker or churn_maintain() stops, for tests.",
							   NULL,
							   &churn_debug_point_name,
							   "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY |
							   GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE,
							   NULL, NULL, NULL);
	if (!process_shared_preload_libraries_in_progress)
		return;
	churn_stream_request_memory();
	churn_launcher_register();
	churn_utility_hook_install();
}
