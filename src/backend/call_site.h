/*
 * call_site.h
 *		What a call in a query keeps between rows, to score them.
 */
#ifndef CHURN_CALL_SITE_H
#define CHURN_CALL_SITE_H

#include "fmgr.h"
#include "utils/snapshot.h"

#include "registry.h"
#include "row_shape.h"
#include "snapshot_mark.h"

/*
 * It lives in fn_extra, and is good for one statement: PL/pgSQL keeps its
 * expressions, and so fn_extra, for a whole transaction, in which a champion
 * may change.
 */
typedef struct ChurnCallSite
{
	MemoryContext holder;		/* in which it lives */
	MemoryContextCallback release;	/* of version and shape */
	bool		ready;			/* the rest was found, for mark and wanted_* */
	uint64		generation;		/* grows when version or shape are let go */
	ChurnSnapshotMark mark;
	char	   *wanted_model;	/* NULL if none was named */
	int			wanted_version; /* 0 for the champion */
	ChurnVersion *version;		/* pinned; NULL if there is none */
	ChurnRowShape *shape;		/* pinned; NULL if there is none */
	void	   *room;			/* the allocation of what follows */
	Size		room_size;
	float	   *features;		/* one row's */
	void	   *workspace;		/* of the evaluator */
	Datum	   *values;			/* of composite rows, as long as shape->desc */
	bool	   *nulls;
	Size		columns_size;	/* the allocation of values and nulls */
} ChurnCallSite;

/* The call's own, made at its first row. */
extern ChurnCallSite *churn_call_site(FmgrInfo *flinfo);

/* Finds the version anew.  There is no shape then, and it is not ready. */
extern void churn_call_site_find(ChurnCallSite *site, Snapshot snapshot,
								 text *model, int version, Oid relation);

/* Finds the shape of composite rows, and makes room for their columns. */
extern void churn_call_site_shape(ChurnCallSite *site, Oid type,
								  int32 typmod);

/*
 * Whether what the call site found still holds for the active snapshot and
 * these arguments.
 */
static inline bool
churn_call_site_ready(const ChurnCallSite *site, Snapshot snapshot,
					  text *model, int version)
{
	if (!site->ready || !churn_snapshot_same(&site->mark, snapshot) ||
		site->wanted_version != version)
		return false;
	if (model == NULL)
		return site->wanted_model == NULL;
	return site->wanted_model != NULL &&
		strlen(site->wanted_model) == VARSIZE_ANY_EXHDR(model) &&
		memcmp(site->wanted_model, VARDATA_ANY(model),
			   VARSIZE_ANY_EXHDR(model)) == 0;
}

#endif							/* CHURN_CALL_SITE_H */
