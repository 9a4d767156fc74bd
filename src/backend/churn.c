/*
 * churn.c
 *		Module initialisation: settings.
 */
#include "postgres.h"

#include <limits.h>

#include "fmgr.h"
#include "utils/guc.h"

#include "compat.h"
#include "settings.h"

PG_MODULE_MAGIC;

char	   *churn_default_model = NULL;
char	   *churn_trainer = NULL;
int			churn_training_memory = 0;
int			churn_training_threads = 0;
int			churn_training_nice = 0;

extern void _PG_init(void);

/*
 * Declares the settings.  The library needs no preloading; without it the
 * settings exist from the first call of one of its functions on.
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
							   NULL, NULL, NULL);
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
	MarkGUCPrefixReserved("churn");
}
