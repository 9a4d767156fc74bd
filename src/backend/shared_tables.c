/*
 * shared_tables.c
 *		Tables of models that sessions share.
 *
 * The tables of an evaluator are by far the largest part of a loaded model.
 * Were each session to have its own, a hundred sessions that look customers up
 * would displace each other's from the processor's caches all the time.
 *
 * Each version's tables are a segment of dynamic shared memory, which the
 * session that needs them first fills and which lives as long as any session
 * is attached to it: nothing outlives the last one, or a crash.  Segments are
 * found by a list in main shared memory.  It is small enough for what the
 * server holds in reserve, so the library needs no preloading.
 *
 * A segment's key has the SHA-256 of the version's bytes, which are checked
 * before, so that sessions that find it would have filled it alike.  After it
 * is listed nobody writes to it.
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/dsm.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "compat.h"
#include "shared_tables.h"

#define LIST_NAME		"churn tables"
#define LIST_LENGTH		64
#define SEGMENT_MAGIC	UINT64CONST(0x6368757274626c31)

/* What tells tables apart.  It has no padding, and is compared as bytes. */
typedef struct TableKey
{
	uint8		sha256[CHURN_SHA256_LENGTH];
	uint64		kind;			/* hash of what determines the table */
	uint64		size;
	uint64		number;			/* among those of the version */
} TableKey;

/* What a segment begins with; the table follows at TABLE_OFFSET. */
typedef struct SegmentHeader
{
	uint64		magic;
	TableKey	key;
} SegmentHeader;

#define TABLE_OFFSET	128

StaticAssertDecl(sizeof(SegmentHeader) <= TABLE_OFFSET,
				 "the header must fit before the table");

/* The list, in main shared memory; all but the lock is protected by it. */
typedef struct TableList
{
	LWLock		lock;
	uint32		next;			/* entry to use next if none is free */
	struct
	{
		TableKey	key;
		dsm_handle	handle;		/* DSM_HANDLE_INVALID in a free entry */
	}			entries[LIST_LENGTH];
} TableList;

/* A segment that this session is attached to. */
typedef struct AttachedTable
{
	slist_node	node;
	TableKey	key;
	dsm_segment *segment;
	int			users;			/* loaded versions, hardly ever several */
} AttachedTable;

/* That a loaded version uses a segment; in its memory context. */
typedef struct TableUser
{
	MemoryContextCallback callback;
	AttachedTable *attached;
} TableUser;

static TableList *list = NULL;
static slist_head attached_tables = SLIST_STATIC_INIT(attached_tables);

/*
 * Finds the list, which the first session makes.
 */
static void
find_list(void)
{
	bool		found;

	if (list != NULL)
		return;
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	list = ShmemInitStruct(LIST_NAME, sizeof(TableList), &found);
	if (!found)
	{
		int			i;

		LWLockInitialize(&list->lock, LWLockNewTrancheId());
		list->next = 0;
		for (i = 0; i < LIST_LENGTH; i++)
			list->entries[i].handle = DSM_HANDLE_INVALID;
	}
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(list->lock.tranche, LIST_NAME);
}

/*
 * The place in the list of tables with that key; -1 if there is none.  The
 * caller holds the lock.
 */
static int
find_entry(const TableKey *key)
{
	int			i;

	for (i = 0; i < LIST_LENGTH; i++)
	{
		if (list->entries[i].handle != DSM_HANDLE_INVALID &&
			memcmp(&list->entries[i].key, key, sizeof(TableKey)) == 0)
			return i;
	}
	return -1;
}

/*
 * Attaches to the segment of an entry; NULL if the last session that had it
 * is gone.  The caller holds the lock, and CurrentResourceOwner the segment.
 */
static dsm_segment *
attach_entry(int entry, const TableKey *key)
{
	dsm_segment *segment = dsm_attach(list->entries[entry].handle);
	const SegmentHeader *header;

	if (segment == NULL)
		return NULL;
	header = dsm_segment_address(segment);
	if (dsm_segment_map_length(segment) >= TABLE_OFFSET + key->size &&
		header->magic == SEGMENT_MAGIC &&
		memcmp(&header->key, key, sizeof(TableKey)) == 0)
		return segment;
	dsm_detach(segment);		/* another's, by a handle that came again */
	return NULL;
}

/*
 * Creates a segment; NULL if there is no room for it.  Sessions can do without
 * sharing, so what is an error to others is a line in the server's log here.
 * A resource owner of its own takes back what a failed attempt leaves.
 */
static dsm_segment *
create_segment(Size size)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner outer = CurrentResourceOwner;
	ResourceOwner owner = ResourceOwnerCreate(outer, "churn tables");
	dsm_segment *volatile segment = NULL;

	CurrentResourceOwner = owner;
	PG_TRY();
	{
		segment = dsm_create(size, DSM_CREATE_NULL_IF_MAXSEGMENTS);
		if (segment != NULL)
			dsm_pin_mapping(segment);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		ereport(LOG,
				(errmsg("tables of a model are not shared with other sessions"),
				 errdetail_internal("%s", error->message)));
		FreeErrorData(error);
		segment = NULL;
	}
	PG_END_TRY();
	CurrentResourceOwner = outer;
	ResourceOwnerRelease(owner, RESOURCE_RELEASE_BEFORE_LOCKS, false, false);
	ResourceOwnerRelease(owner, RESOURCE_RELEASE_LOCKS, false, false);
	ResourceOwnerRelease(owner, RESOURCE_RELEASE_AFTER_LOCKS, false, false);
	ResourceOwnerDelete(owner);
	if (segment != NULL)
		dsm_unpin_mapping(segment); /* now it is the outer one's */
	return segment;
}

/*
 * Attaches to the tables with that key, which another session has filled;
 * NULL if there are none.
 */
static dsm_segment *
find_segment(const TableKey *key)
{
	dsm_segment *segment = NULL;
	int			entry;

	LWLockAcquire(&list->lock, LW_SHARED);
	entry = find_entry(key);
	if (entry >= 0)
		segment = attach_entry(entry, key);
	LWLockRelease(&list->lock);
	return segment;
}

/*
 * Lists a segment with a table that is made, unless another session was faster:
 * then attaches to that one's in its place.
 */
static dsm_segment *
list_segment(const TableKey *key, dsm_segment *segment)
{
	dsm_segment *other = NULL;
	int			entry;

	LWLockAcquire(&list->lock, LW_EXCLUSIVE);
	entry = find_entry(key);
	if (entry >= 0)
		other = attach_entry(entry, key);
	else
	{
		for (entry = 0; entry < LIST_LENGTH; entry++)
		{
			if (list->entries[entry].handle == DSM_HANDLE_INVALID)
				break;
		}
		/* sessions that have the one displaced keep it, new ones make it anew */
		if (entry == LIST_LENGTH)
			entry = list->next++ % LIST_LENGTH;
	}
	if (other == NULL)
	{
		list->entries[entry].key = *key;
		list->entries[entry].handle = dsm_segment_handle(segment);
	}
	LWLockRelease(&list->lock);
	if (other == NULL)
		return segment;
	dsm_detach(segment);
	return other;
}

/*
 * The segment with that key, if this session is attached to it.
 */
static AttachedTable *
find_attached(const TableKey *key)
{
	slist_iter	iter;

	slist_foreach(iter, &attached_tables)
	{
		AttachedTable *attached = slist_container(AttachedTable, node,
												  iter.cur);

		if (memcmp(&attached->key, key, sizeof(TableKey)) == 0)
			return attached;
	}
	return NULL;
}

/*
 * Notes that this session is attached to a segment, and keeps it so beyond the
 * statement.
 */
static AttachedTable *
add_attached(const TableKey *key, dsm_segment *segment)
{
	AttachedTable *attached = MemoryContextAllocZero(TopMemoryContext,
													 sizeof(AttachedTable));

	attached->key = *key;
	attached->segment = segment;
	dsm_pin_mapping(segment);
	slist_push_head(&attached_tables, &attached->node);
	return attached;
}

/*
 * Reset callback of a loaded version's memory context.
 */
static void
release_table(void *arg)
{
	AttachedTable *attached = ((TableUser *) arg)->attached;

	if (--attached->users > 0)
		return;
	slist_delete(&attached_tables, &attached->node);
	dsm_detach(attached->segment);
	pfree(attached);
}

/*
 * Has the version use a segment for as long as it is loaded, and returns the
 * table in it.
 */
static const void *
use_table(ChurnTableOwner *owner, AttachedTable *attached)
{
	TableUser  *user = MemoryContextAlloc(owner->context, sizeof(TableUser));

	user->attached = attached;
	user->callback.func = release_table;
	user->callback.arg = user;
	MemoryContextRegisterResetCallback(owner->context, &user->callback);
	attached->users++;
	owner->used += attached->key.size;
	return (char *) dsm_segment_address(attached->segment) + TABLE_OFFSET;
}

/*
 * The key of the table that the owner asked for last.
 */
static void
make_key(const ChurnTableOwner *owner, TableKey *key)
{
	memcpy(key->sha256, owner->sha256, CHURN_SHA256_LENGTH);
	key->kind = owner->kind;
	key->size = owner->size;
	key->number = owner->ntables;
}

/*
 * Finds a table that this or another session has; see arena.h.
 */
static const void *
find_table(void *context, size_t size, uint64_t kind)
{
	ChurnTableOwner *owner = context;
	AttachedTable *attached;
	dsm_segment *segment;
	TableKey	key;

	owner->ntables++;
	owner->kind = kind;
	owner->size = size;
	make_key(owner, &key);
	attached = find_attached(&key);
	if (attached != NULL)
		return use_table(owner, attached);
	find_list();
	segment = find_segment(&key);
	if (segment == NULL)
		return NULL;
	return use_table(owner, add_attached(&key, segment));
}

/*
 * Makes room for a table that was not found; see arena.h.
 */
static void *
make_table(void *context, size_t size, uint64_t kind)
{
	ChurnTableOwner *owner = context;
	SegmentHeader *header;

	owner->segment = create_segment(TABLE_OFFSET + size);
	if (owner->segment == NULL)
		return NULL;
	header = dsm_segment_address(owner->segment);
	header->magic = SEGMENT_MAGIC;
	make_key(owner, &header->key);
	return (char *) header + TABLE_OFFSET;
}

/*
 * Lists the table that was made in that room; see arena.h.
 */
static const void *
list_table(void *context, void *table)
{
	ChurnTableOwner *owner = context;
	TableKey	key;

	make_key(owner, &key);
	return use_table(owner, add_attached(&key,
										 list_segment(&key, owner->segment)));
}

/*
 * Lets an arena share tables; see shared_tables.h.  A stand-alone server has
 * nobody to share them with, and no dynamic shared memory.
 */
void
churn_share_tables(ChurnArena *arena, ChurnTableOwner *owner)
{
	if (!IsUnderPostmaster)
		return;
	owner->ntables = 0;
	owner->used = 0;
	owner->segment = NULL;
	owner->share.context = owner;
	owner->share.find = find_table;
	owner->share.make = make_table;
	owner->share.list = list_table;
	arena->share = &owner->share;
}
