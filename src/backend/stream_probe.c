/*
 * stream_probe.c
 *		Asks for a stream worker when a transaction commits.
 *
 * What is rolled back never happened, be it the transaction or one of its
 * subtransactions.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"

#include "compat.h"
#include "stream_control.h"

/*
 * Nest level of the outermost subtransaction that asked for it and has not
 * been rolled back; 0 if none did.
 */
static int	probe_level = 0;

/*
 * End of the transaction.  After the commit nothing may fail; that there is
 * room was seen before, and what came between is only a warning.
 */
static void
end_transaction(XactEvent event, void *arg)
{
	if (probe_level == 0)
		return;
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			probe_level = 0;
			if (!churn_stream_probe(MyDatabaseId, true))
				churn_stream_report_no_room(WARNING);
			break;
		case XACT_EVENT_PRE_PREPARE:
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot PREPARE a transaction that has changed what is watched"),
					 errhint("Commit it without PREPARE TRANSACTION.")));
			break;
		case XACT_EVENT_ABORT:
			probe_level = 0;
			break;
		default:
			break;
	}
}

/*
 * End of a subtransaction, which is the current one still: what it asked for
 * is forgotten or its parent's.
 */
static void
end_subtransaction(SubXactEvent event, SubTransactionId subxact,
				   SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (probe_level < level)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		probe_level = 0;
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		probe_level = level - 1;
}

/*
 * Asks, when the transaction commits, for a worker of this database.  An error
 * if there is no room for another database.
 */
void
churn_stream_probe_at_commit(void)
{
	static bool registered = false;
	int			level = GetCurrentTransactionNestLevel();

	if (!churn_stream_available())
		return;
	if (!churn_stream_has_room(MyDatabaseId))
		churn_stream_report_no_room(ERROR);
	if (!registered)
	{
		RegisterXactCallback(end_transaction, NULL);
		RegisterSubXactCallback(end_subtransaction, NULL);
		registered = true;
	}
	if (probe_level == 0 || probe_level > level)
		probe_level = level;
}
