/*
 * shared_tables.h
 *		Tables of models that sessions share.
 */
#ifndef CHURN_SHARED_TABLES_H
#define CHURN_SHARED_TABLES_H

#include "utils/palloc.h"

#include "churn/arena.h"

#include "registry.h"

struct dsm_segment;

/* A version that is being loaded, and what its arena needs of it. */
typedef struct ChurnTableOwner
{
	ChurnTableShare share;
	MemoryContext context;		/* tables stay mapped as long as it lives */
	const uint8 *sha256;		/* of the version, checked */
	uint32		ntables;		/* that were asked for so far */
	Size		used;			/* bytes of those that are shared */
	uint64		kind;			/* of the one being made */
	Size		size;
	struct dsm_segment *segment;	/* in which; CurrentResourceOwner's */
} ChurnTableOwner;

/*
 * Lets an arena share tables, as long as the owner is there.  The owner's
 * context and sha256 are set.
 */
extern void churn_share_tables(ChurnArena *arena, ChurnTableOwner *owner);

#endif							/* CHURN_SHARED_TABLES_H */
