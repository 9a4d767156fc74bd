/*
 * debug_point.c
 *		Places at which a test can stop the stream worker or churn_maintain().
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "debug_point.h"

char	   *churn_debug_point_name = NULL;

/*
 * Stops at a point until the setting names another.
 */
void
churn_debug_point_stop(const char *name)
{
	static uint32 wait_event = 0;

	ereport(LOG,
			(errmsg("%s stops at debug point \"%s\"",
					MyBgworkerEntry != NULL ? "churn worker" : "session",
					name)));
	while (churn_debug_point_name != NULL &&
		   strcmp(churn_debug_point_name, name) == 0)
	{
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 100,
						 churn_wait_event("ChurnDebugPoint", &wait_event));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
	}
}
