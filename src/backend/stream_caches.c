/*
 * stream_caches.c
 *		What a stream worker knows of relations, now and in the past.
 *
 * Changes are decoded with the catalogs as they were, statements run with the
 * catalogs as they are, and both fill the same caches of the process.  They
 * agree unless a relation was altered after what is being decoded.  So from
 * the message that one was altered until decoding has passed that place, it is
 * thrown out of the cache at each change from one to the other: or else a
 * row would be taken apart as if it had the columns of another time.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xlog.h"
#include "utils/inval.h"
#include "utils/relcache.h"

#include "stream_caches.h"

/* With more relations altered at a time, the caches are emptied. */
#define MOST_ALTERED	64

static Oid	altered[MOST_ALTERED];
static int	naltered = 0;
static bool all_altered = false;
static XLogRecPtr altered_at = InvalidXLogRecPtr;	/* or before */
static bool switching = false;

/*
 * A relation was altered, now or at the place that is being decoded; or any
 * may have been.  The layout of catalogs does not change.
 */
static void
note_altered(Datum arg, Oid relid)
{
	int			i;

	if (switching || (OidIsValid(relid) && relid < FirstNormalObjectId))
		return;
	altered_at = GetXLogInsertRecPtr();
	if (all_altered)
		return;
	for (i = 0; i < naltered; i++)
	{
		if (altered[i] == relid)
			return;
	}
	if (!OidIsValid(relid) || naltered == MOST_ALTERED)
		all_altered = true;
	else
		altered[naltered++] = relid;
}

/*
 * Begins to listen.  What was altered before the process began is not known.
 */
void
churn_caches_init(void)
{
	CacheRegisterRelcacheCallback(note_altered, (Datum) 0);
	all_altered = true;
	altered_at = GetXLogInsertRecPtr();
}

/*
 * Forgets the relations that differ between now and then; see stream_caches.h.
 */
void
churn_caches_switch(void)
{
	int			i;

	switching = true;
	if (all_altered)
		InvalidateSystemCaches();
	else
	{
		for (i = 0; i < naltered; i++)
			RelationCacheInvalidateEntry(altered[i]);
	}
	switching = false;
}

/*
 * Forgets what has been passed; see stream_caches.h.
 */
void
churn_caches_passed(XLogRecPtr position)
{
	if (position < altered_at)
		return;
	naltered = 0;
	all_altered = false;
}

/*
 * See stream_caches.h.
 */
bool
churn_caches_switching(void)
{
	return switching;
}
