/*
 * row_cache.c
 *		Where rows of a table were seen last, by a hash of their key.
 *
 * A stream worker looks up the prediction of each customer that changes, and
 * of a large table's index each descent misses the processor's caches several
 * times.  This is one miss instead, for 16 bytes a customer.  The buffers of
 * the blocks, four bytes a page, are there to prefetch from, and to be pinned.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "row_cache.h"

/* Entries at first, and at most: 64 MiB. */
#define FIRST_SIZE		1024
#define LARGEST_SIZE	(4 * 1024 * 1024)

/* Blocks whose buffers are noted at first, and at most: 4 MiB. */
#define FIRST_BLOCKS	256
#define MOST_BLOCKS		(1024 * 1024)

/* Places where an entry may be, one behind the other. */
#define PLACES			4

typedef struct RowEntry
{
	uint64		hash;			/* 0 if it is free */
	ItemPointerData tid;
} RowEntry;

struct ChurnRowCache
{
	MemoryContext context;
	Size		size;			/* a power of two */
	Size		used;
	RowEntry   *entries;		/* size + PLACES of them */
	Buffer	   *buffers;		/* by block */
	BlockNumber nblocks;
};

/*
 * Makes room for that many entries, all free.
 */
static RowEntry *
make_entries(MemoryContext context, Size size)
{
	return MemoryContextAllocExtended(context,
									  (size + PLACES) * sizeof(RowEntry),
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

/*
 * Makes an empty cache.
 */
ChurnRowCache *
churn_row_cache_create(MemoryContext context)
{
	ChurnRowCache *cache = MemoryContextAllocZero(context,
												  sizeof(ChurnRowCache));

	cache->context = context;
	cache->size = FIRST_SIZE;
	cache->entries = make_entries(context, cache->size);
	return cache;
}

/*
 * Prefetches an entry; see row_cache.h.
 */
void
churn_row_cache_prefetch(const ChurnRowCache *cache, uint64 hash)
{
	__builtin_prefetch(&cache->entries[hash & (cache->size - 1)]);
}

/*
 * The entry of a hash, or NULL.
 */
static RowEntry *
find_entry(const ChurnRowCache *cache, uint64 hash)
{
	RowEntry   *entry = &cache->entries[hash & (cache->size - 1)];
	int			i;

	for (i = 0; i < PLACES; i++, entry++)
	{
		if (entry->hash == hash)
			return entry;
	}
	return NULL;
}

/*
 * Where the row may be; see row_cache.h.
 */
bool
churn_row_cache_find(const ChurnRowCache *cache, uint64 hash, ItemPointer tid)
{
	const RowEntry *entry = hash == 0 ? NULL : find_entry(cache, hash);

	if (entry == NULL)
		return false;
	*tid = entry->tid;
	return true;
}

/*
 * Puts an entry at a free place or, without one, in that of another.
 */
static void
put_entry(ChurnRowCache *cache, uint64 hash, const ItemPointerData * tid)
{
	RowEntry   *entry = &cache->entries[hash & (cache->size - 1)];
	int			i;

	for (i = 0; i < PLACES - 1 && entry->hash != 0; i++)
		entry++;
	cache->used += entry->hash == 0;
	entry->hash = hash;
	entry->tid = *tid;
}

/*
 * Doubles the cache.
 */
static void
enlarge(ChurnRowCache *cache)
{
	RowEntry   *before = cache->entries;
	Size		n = cache->size + PLACES;
	Size		i;

	cache->entries = make_entries(cache->context, cache->size * 2);
	cache->size *= 2;
	cache->used = 0;
	for (i = 0; i < n; i++)
	{
		if (before[i].hash != 0)
			put_entry(cache, before[i].hash, &before[i].tid);
	}
	pfree(before);
}

/*
 * Notes where a row is.
 */
void
churn_row_cache_note(ChurnRowCache *cache, uint64 hash, ItemPointer tid)
{
	RowEntry   *entry;

	if (hash == 0)
		return;
	entry = find_entry(cache, hash);
	if (entry != NULL)
	{
		entry->tid = *tid;
		return;
	}
	if (cache->used > cache->size / 2 && cache->size < LARGEST_SIZE)
		enlarge(cache);
	put_entry(cache, hash, tid);
}

/*
 * The buffer where a block was seen last; see row_cache.h.
 */
Buffer
churn_row_cache_buffer(const ChurnRowCache *cache, BlockNumber block)
{
	return block < cache->nblocks ? cache->buffers[block] : InvalidBuffer;
}

/*
 * Notes the buffer of a block, unless the table is very large.
 */
void
churn_row_cache_note_buffer(ChurnRowCache *cache, BlockNumber block,
							Buffer buffer)
{
	if (block >= MOST_BLOCKS)
		return;
	if (block >= cache->nblocks)
	{
		BlockNumber before = cache->nblocks;
		BlockNumber n = Max(before, FIRST_BLOCKS);

		while (block >= n)
			n *= 2;
		cache->buffers = before == 0 ?
			MemoryContextAlloc(cache->context, sizeof(Buffer) * n) :
			repalloc(cache->buffers, sizeof(Buffer) * n);
		memset(cache->buffers + before, 0, sizeof(Buffer) * (n - before));
		cache->nblocks = n;
	}
	cache->buffers[block] = buffer;
}
