/*
 * debug_point.h
 *		Places at which a test can stop the stream worker or churn_maintain().
 */
#ifndef CHURN_DEBUG_POINT_H
#define CHURN_DEBUG_POINT_H

extern char *churn_debug_point_name;	/* setting churn.debug_point */

extern void churn_debug_point_stop(const char *name);

/*
 * Stops at the point that the setting names, until that is another.  Only
 * tests set it.
 */
static inline void
churn_debug_point(const char *name)
{
	if (unlikely(churn_debug_point_name != NULL &&
				 strcmp(churn_debug_point_name, name) == 0))
		churn_debug_point_stop(name);
}

#endif							/* CHURN_DEBUG_POINT_H */
