/*
 * worker.c
 *		Stand-in of the stream worker: it only looks whether there are watches.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "stream_shared.h"

extern PGDLLEXPORT void churn_stream_worker_main(Datum argument);

/*
 * The first column of a statement's only row.
 */
static bool
ask(const char *statement)
{
	bool		isnull;

	if (SPI_execute(statement, true, 1) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not ask for watches");
	return DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0],
									  SPI_tuptable->tupdesc, 1, &isnull)) &&
		!isnull;
}

/*
 * Whether there is something to watch.
 */
static bool
has_watches(void)
{
	bool		found;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	found = ask("SELECT pg_catalog.to_regclass('churn.watches') IS NOT NULL") &&
		ask("SELECT EXISTS (SELECT FROM churn.watches)");
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	return found;
}

/*
 * Entry point of a stream worker.
 */
void
churn_stream_worker_main(Datum argument)
{
	Oid			database = DatumGetObjectId(argument);
	ChurnStreamEntry *entry = churn_stream_take(database);
	uint32		wait_event = 0;

	if (entry == NULL)
		return;
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	for (;;)
	{
		(void) churn_stream_probed(entry);
		if (!has_watches())
		{
			churn_stream_retire(entry);
			return;
		}
		churn_stream_set_state(entry, CHURN_STREAM_STREAMING);
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 100,
						 churn_wait_event("ChurnWorker", &wait_event));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}
