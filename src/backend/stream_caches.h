/*
 * stream_caches.h
 *		What a stream worker knows of relations, now and in the past.
 */
#ifndef CHURN_STREAM_CACHES_H
#define CHURN_STREAM_CACHES_H

#include "access/xlogdefs.h"

extern void churn_caches_init(void);

/*
 * To be called between decoding and anything else, in both directions, outside
 * of transactions.
 */
extern void churn_caches_switch(void);

/* All commits before position are decoded. */
extern void churn_caches_passed(XLogRecPtr position);

/* Whether an invalidation comes of churn_caches_switch() itself. */
extern bool churn_caches_switching(void);

#endif							/* CHURN_STREAM_CACHES_H */
