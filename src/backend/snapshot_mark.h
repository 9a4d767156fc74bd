/*
 * snapshot_mark.h
 *		Whether two snapshots see the same.
 */
#ifndef CHURN_SNAPSHOT_MARK_H
#define CHURN_SNAPSHOT_MARK_H

#include "utils/snapshot.h"

#include "settings.h"

/*
 * What tells one snapshot from another.  Every commit that one of two
 * snapshots sees and the other does not changes one of these: it raises xmax
 * or leaves a list of running transactions shorter; what else can change an
 * answer raises the epoch.  What the own transaction wrote is told by curcid
 * as long as the transaction is the same.
 */
typedef struct ChurnSnapshotMark
{
	TransactionId xmin;
	TransactionId xmax;
	uint32		xcnt;
	int32		subxcnt;
	CommandId	curcid;
	uint64		epoch;
} ChurnSnapshotMark;

/*
 * Marks the snapshot.
 */
static inline ChurnSnapshotMark
churn_snapshot_mark(Snapshot snapshot)
{
	ChurnSnapshotMark mark;

	mark.xmin = snapshot->xmin;
	mark.xmax = snapshot->xmax;
	mark.xcnt = snapshot->xcnt;
	mark.subxcnt = snapshot->subxcnt;
	mark.curcid = snapshot->curcid;
	mark.epoch = churn_epoch;
	return mark;
}

/*
 * Whether the snapshot sees what the marked one saw.
 */
static inline bool
churn_snapshot_same(const ChurnSnapshotMark *mark, Snapshot snapshot)
{
	return mark->xmax == snapshot->xmax && mark->curcid == snapshot->curcid &&
		mark->xmin == snapshot->xmin && mark->xcnt == snapshot->xcnt &&
		mark->subxcnt == snapshot->subxcnt && mark->epoch == churn_epoch;
}

#endif							/* CHURN_SNAPSHOT_MARK_H */
