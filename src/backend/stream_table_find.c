/*
 * stream_table_find.c
 *		Finding rows of our own tables that are being written.
 *
 * By the primary key's index; or at a place where they were seen last, which
 * spares the descents into the index.  Of a large table neither its pages nor
 * what the server knows of its buffers is in the processor's caches, and
 * waiting for them was most of the time that a row took.  So what comes next
 * is prefetched, from the buffer where the page was seen last.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/stratnum.h"
#include "storage/buf_internals.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "stream_table.h"

/* Bytes that a page should have left when one of its rows is looked up. */
#define ROOM_FOR_VERSIONS	512

/*
 * Begins to look for rows.  Everything that is committed or our own is seen,
 * and what others are about, who drop a model or score one by hand.
 */
static void
begin_scan(ChurnTableWriter *writer)
{
	MemoryContext old = MemoryContextSwitchTo(writer->context);
	int			i;

	(void) RelationGetIndexList(writer->relation);
	if (!OidIsValid(writer->relation->rd_pkindex))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("table churn.%s has no primary key",
						RelationGetRelationName(writer->relation)),
				 errhint("Drop and create the extension churn.")));
	writer->key = index_open(writer->relation->rd_pkindex, AccessShareLock);
	InitDirtySnapshot(writer->dirty);
	writer->scan = churn_index_beginscan(writer->relation, writer->key,
										 &writer->dirty, 2);
	for (i = 0; i < 2; i++)
		ScanKeyEntryInitialize(&writer->keys[i], 0, i + 1,
							   BTEqualStrategyNumber, InvalidOid,
							   writer->key->rd_indcollation[i], F_TEXTEQ, 0);
	MemoryContextSwitchTo(old);
}

/*
 * Looks a row up; see stream_table.h.
 */
bool
churn_table_find(ChurnTableWriter *writer, Datum first, Datum second)
{
	MemoryContext old;
	TransactionId other;
	bool		found;

	if (writer->scan == NULL)
		begin_scan(writer);
	writer->keys[0].sk_argument = first;
	writer->keys[1].sk_argument = second;
	/* what the index allocates when it meets dead entries stays until the end */
	old = MemoryContextSwitchTo(writer->context);
	for (;;)
	{
		index_rescan(writer->scan, writer->keys, 2, NULL, 0);
		found = index_getnext_slot(writer->scan, ForwardScanDirection,
								   writer->found);
		other = TransactionIdIsValid(writer->dirty.xmin) ?
			writer->dirty.xmin : writer->dirty.xmax;
		if (!found || !TransactionIdIsValid(other))
			break;
		/* another transaction deletes it, or has inserted it */
		XactLockTableWait(other, NULL, NULL, XLTW_None);
	}
	MemoryContextSwitchTo(old);
	return found;
}

/*
 * Whether a column of the row that was found holds a text.
 */
static bool
holds_text(ChurnTableWriter *writer, int place, Datum text)
{
	AttrNumber	column = writer->key->rd_index->indkey.values[place];
	bool		isnull;
	Datum		value = slot_getattr(writer->found, column, &isnull);

	return !isnull &&
		VARSIZE_ANY_EXHDR(DatumGetPointer(value)) ==
		VARSIZE_ANY_EXHDR(DatumGetPointer(text)) &&
		memcmp(VARDATA_ANY(DatumGetPointer(value)),
			   VARDATA_ANY(DatumGetPointer(text)),
			   VARSIZE_ANY_EXHDR(DatumGetPointer(text))) == 0;
}

/*
 * Whether the table has the block: VACUUM may have cut the end off since a row
 * was seen there.  It cannot as long as the table is open here.
 */
static bool
has_block(ChurnTableWriter *writer, BlockNumber block)
{
	if (block >= writer->nblocks)
		writer->nblocks = RelationGetNumberOfBlocks(writer->relation);
	return block < writer->nblocks;
}

/*
 * Whether the buffer counts as used as much as one can be.
 */
static bool
is_much_used(Buffer buffer)
{
	BufferDesc *descriptor = GetBufferDescriptor(buffer - 1);

	return BUF_STATE_GET_USAGECOUNT(pg_atomic_read_u32(&descriptor->state)) ==
		BM_MAX_USAGE_COUNT;
}

/*
 * Pins the buffer of a block.  Where it was seen last needs no look into the
 * server's table of buffers; but that does not count as a use, so that pages
 * would be replaced as if nobody needed them.
 */
static Buffer
read_block(ChurnTableWriter *writer, ChurnRowCache *cache, BlockNumber block)
{
	Buffer		buffer = churn_row_cache_buffer(cache, block);

	if (BufferIsValid(buffer) && is_much_used(buffer) &&
		ReadRecentBuffer(churn_relation_locator(writer->relation),
						 MAIN_FORKNUM, block, buffer))
		return buffer;
	buffer = ReadBuffer(writer->relation, block);
	churn_row_cache_note_buffer(cache, block, buffer);
	return buffer;
}

/*
 * Fetches the row at a place, if there is one that the scan would see: heap_fetch()
 * on a buffer that is pinned already.  Before, the page is cleared of old
 * versions if there is hardly room for a new one, or was none, which would have to go to
 * another page, and into all indexes: core does that only where it comes by an
 * index.  The room is seen without a lock, which will do, as it does there.
 */
static bool
fetch_row(ChurnTableWriter *writer, ChurnRowCache *cache,
		  const ItemPointerData * place)
{
	HeapTuple	tuple =
	&((BufferHeapTupleTableSlot *) writer->found)->base.tupdata;
	OffsetNumber offset = ItemPointerGetOffsetNumber(place);
	Buffer		buffer;
	Page		page;
	bool		seen = false;

	ExecClearTuple(writer->found);	/* its pin would forbid to clear the page */
	buffer = read_block(writer, cache, ItemPointerGetBlockNumber(place));
	page = BufferGetPage(buffer);
	if (PageIsFull(page) || PageGetExactFreeSpace(page) < ROOM_FOR_VERSIONS)
		heap_page_prune_opt(writer->relation, buffer);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (offset <= PageGetMaxOffsetNumber(page) &&
		ItemIdIsNormal(PageGetItemId(page, offset)))
	{
		ItemId		item = PageGetItemId(page, offset);

		tuple->t_self = *place;
		tuple->t_tableOid = RelationGetRelid(writer->relation);
		tuple->t_data = (HeapTupleHeader) PageGetItem(page, item);
		tuple->t_len = ItemIdGetLength(item);
		seen = HeapTupleSatisfiesVisibility(tuple, &writer->dirty, buffer);
	}
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	if (seen)
		ExecStorePinnedBufferHeapTuple(tuple, writer->found, buffer);
	else
		ReleaseBuffer(buffer);
	return seen;
}

/*
 * Prefetches what finding a row and updating it will look at; see
 * stream_table.h.  The page may be another's by now, or be changing: nothing is
 * believed of it.
 */
void
churn_table_prefetch(const ChurnRowCache *cache, const ItemPointerData * place,
					 bool row)
{
	Buffer		buffer =
	churn_row_cache_buffer(cache, ItemPointerGetBlockNumber(place));
	Page		page;
	ItemId		item;

	if (!BufferIsValid(buffer))
		return;
	page = BufferGetPage(buffer);
	item = PageGetItemId(page, ItemPointerGetOffsetNumber(place));
	if (!row)
	{
		__builtin_prefetch(GetBufferDescriptor(buffer - 1), 1);
		__builtin_prefetch(page, 1);
		__builtin_prefetch(item, 1);
	}
	else
	{
		const char *tuple = (const char *) page + ItemIdGetOffset(item);
		const char *end = (const char *) page + ((PageHeader) page)->pd_upper;

		__builtin_prefetch(tuple, 1);
		__builtin_prefetch(tuple + 64, 1);
		/* where the new version will be */
		__builtin_prefetch(end - 64, 1);
		__builtin_prefetch(end - 128, 1);
	}
}

/*
 * Looks a row up at a place; see stream_table.h.
 */
bool
churn_table_find_at(ChurnTableWriter *writer, ChurnRowCache *cache,
					const ItemPointerData * place, Datum first, Datum second)
{
	if (writer->scan == NULL)
		begin_scan(writer);
	if (writer->relation->rd_tableam == GetHeapamTableAmRoutine() &&
		has_block(writer, ItemPointerGetBlockNumber(place)) &&
		fetch_row(writer, cache, place) &&
		!TransactionIdIsValid(writer->dirty.xmin) &&
		!TransactionIdIsValid(writer->dirty.xmax) &&
		holds_text(writer, 0, first) && holds_text(writer, 1, second))
		return true;
	return churn_table_find(writer, first, second);
}
