/*
 * churn.c
 *		Module initialisation: settings, and what makes remembered things old.
 */
#include "postgres.h"

#include <limits.h>

#include "access/xact.h"
#include "fmgr.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#include "compat.h"
#include "settings.h"
#include "stream_shared.h"

PG_MODULE_MAGIC;

char	   *churn_default_model = NULL;
uint64		churn_epoch = 0;
uint64		churn_name_epoch = 1;
char	   *churn_trainer = NULL;
int			churn_training_memory = 0;
int			churn_training_threads = 0;
int			churn_training_nice = 0;

extern void _PG_init(void);

/*
 * A transaction that is rolled back, or leaves this session prepared, may
 * have registered versions whose numbers will be given again.
 */
static void
end_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		churn_epoch++;
}

/*
 * Another default model: what call sites found no longer holds.
 */
static void
assign_default_model(const char *value, void *extra)
{
	churn_epoch++;
}

/*
 * A rolled back subtransaction may have promoted.  Its commands' snapshots can
 * look the same as those after it, since neither lists the transaction's own
 * subtransactions.
 */
static void
end_subtransaction(SubXactEvent event, SubTransactionId subxact,
				   SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		churn_epoch++;
}

/*
 * A relation was altered, made or dropped.
 */
static void
alter_relation(Datum arg, Oid relation)
{
	churn_name_epoch++;
}

/*
 * A schema was altered, made or dropped.
 */
static void
alter_schema(Datum arg, int cache, uint32 hash)
{
	churn_name_epoch++;
}

/*
 * Declares the settings.  Only streaming needs the library preloaded; without
 * it the settings exist from the first call of one of its functions on.
 */
void
_PG_init(void)
{
	DefineCustomStringVariable("churn.default_model",
							   "Model that scores rows when none is named.",
							   NULL,
							   &churn_default_model,
							   "",
							   PGC_USERSET, 0,
							   NULL, assign_default_model, NULL);
	DefineCustomStringVariable("churn.trainer",
							   "Path of the program churn-trainer.",
							   "Empty means the one installed beside the library.",
							   &churn_trainer,
							   "",
							   PGC_SUSET, GUC_SUPERUSER_ONLY,
							   NULL, NULL, NULL);
	DefineCustomIntVariable("churn.training_memory",
							"Memory that a training process may use.",
							"0 means no limit.",
							&churn_training_memory,
							4 * 1024 * 1024, 0, INT_MAX,
							PGC_SUSET, GUC_UNIT_KB,
							NULL, NULL, NULL);
	DefineCustomIntVariable("churn.training_threads",
							"Threads of a training process.",
							"0 means one for each processor.",
							&churn_training_threads,
							1, 0, 256,
							PGC_USERSET, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("churn.training_nice",
							"Niceness that is added to a training process.",
							NULL,
							&churn_training_nice,
							5, 0, 19,
							PGC_USERSET, 0,
							NULL, NULL, NULL);
	churn_stream_init();
	MarkGUCPrefixReserved("churn");
	RegisterXactCallback(end_transaction, NULL);
	RegisterSubXactCallback(end_subtransaction, NULL);
	CacheRegisterRelcacheCallback(alter_relation, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, alter_schema, (Datum) 0);
}
