/*
 * version_cache.c
 *		Versions of models, loaded and held ready.
 *
 * Versions never change, so an entry is good for ever; its key contains the
 * SHA-256 of the bytes it was made from.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "nodes/pg_list.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "compat.h"
#include "encoding.h"
#include "registry.h"
#include "registry_scan.h"
#include "settings.h"
#include "shared_tables.h"

/* Loaded versions that nobody holds are dropped beyond this. */
#define CACHE_BYTES		(64 * 1024 * 1024)

static List *cache = NIL;		/* of ChurnVersion, in TopMemoryContext */
static uint64 uses = 0;			/* counts uses of the cache */

/*
 * Drops loaded versions that nobody holds, the longest unused first, until
 * the cache fits its bound.
 */
static void
trim_cache(void)
{
	for (;;)
	{
		ChurnVersion *oldest = NULL;
		Size		total = 0;
		ListCell   *cell;

		foreach(cell, cache)
		{
			ChurnVersion *version = lfirst(cell);

			total += MemoryContextMemAllocated(version->context, true) +
				version->shared;
			if (version->pins == 0 &&
				(oldest == NULL || version->used < oldest->used))
				oldest = version;
		}
		if (total <= CACHE_BYTES || oldest == NULL)
			return;
		cache = list_delete_ptr(cache, oldest);
		MemoryContextDelete(oldest->context);
	}
}

/*
 * Complains unless the bytes are those that were registered.
 */
static void
check_sha256(const char *name, int version, const uint8 *expected,
			 bytea *compiled, bytea *artifact)
{
	uint8		digest[CHURN_SHA256_LENGTH];

	churn_registry_sha256((uint8 *) VARDATA_ANY(compiled),
						  VARSIZE_ANY_EXHDR(compiled),
						  (uint8 *) VARDATA_ANY(artifact),
						  VARSIZE_ANY_EXHDR(artifact), digest);
	if (memcmp(digest, expected, CHURN_SHA256_LENGTH) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("version %d of model \"%s\" is damaged: its SHA-256 does not match",
						version, name),
				 errhint("Put another version in force with churn_promote(), or train a new one.")));
}

/*
 * Makes a version from its row.  Everything is built in a context of its own
 * that hangs below the caller's until it is complete.
 */
static ChurnVersion *
load_version(Relation versions, HeapTuple tuple, const char *name, int number,
			 const uint8 *sha256)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext,
												  "churn model load",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "churn model",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	ChurnArena	keep_arena = churn_memory_arena(context);
	ChurnArena	scratch_arena = churn_memory_arena(scratch);
	bytea	   *compiled = churn_registry_bytea(versions, tuple, "compiled");
	bytea	   *artifact = churn_registry_bytea(versions, tuple, "artifact");
	char	   *what = psprintf("version %d of model \"%s\"", number, name);
	ChurnTableOwner owner = {.context = context,.sha256 = sha256};
	ChurnVersion *version;
	ChurnError	error;
	uint32		i;

	churn_share_tables(&keep_arena, &owner);
	check_sha256(name, number, sha256, compiled, artifact);
	version = MemoryContextAllocZero(context, sizeof(ChurnVersion));
	version->context = context;
	version->relation = RelationGetRelid(versions);
	version->name = MemoryContextStrdup(context, name);
	version->version = number;
	memcpy(version->sha256, sha256, CHURN_SHA256_LENGTH);
	version->model = churn_model_read((uint8 *) VARDATA_ANY(compiled),
									  VARSIZE_ANY_EXHDR(compiled),
									  &keep_arena, &scratch_arena, &error);
	if (version->model == NULL ||
		!churn_model_from_utf8(version->model, &keep_arena, &error))
		churn_throw(&error, what);
	version->predictor = churn_predictor_make(version->model, &keep_arena,
											  &scratch_arena, &error);
	if (version->predictor == NULL)
		churn_throw(&error, what);
	version->shared = owner.used;
	/* trees go with scratch; only the predictor is needed from now on */
	for (i = 0; i < version->model->ncomponents; i++)
	{
		version->model->components[i].forest = NULL;
		version->model->components[i].additive = NULL;
		version->model->components[i].network = NULL;
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);

	trim_cache();
	old = MemoryContextSwitchTo(TopMemoryContext);
	cache = lappend(cache, version);
	MemoryContextSwitchTo(old);
	MemoryContextSetParent(context, CacheMemoryContext);
	return version;
}

/*
 * Makes the explainer of a version from its row, in a context of its own that
 * becomes the version's when it is complete.
 */
static void
load_explainer(Relation versions, HeapTuple tuple, ChurnVersion *version)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext,
												  "churn explainer load",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "churn explainer",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	ChurnArena	keep_arena = churn_memory_arena(context);
	ChurnArena	scratch_arena = churn_memory_arena(scratch);
	bytea	   *compiled = churn_registry_bytea(versions, tuple, "compiled");
	bytea	   *artifact = churn_registry_bytea(versions, tuple, "artifact");
	char	   *what = psprintf("version %d of model \"%s\"", version->version,
								version->name);
	ChurnExplainer *explainer;
	ChurnModel *model;
	ChurnError	error;

	/* the digest that the version was loaded by, not that of today's row */
	check_sha256(version->name, version->version, version->sha256, compiled,
				 artifact);
	model = churn_model_read((uint8 *) VARDATA_ANY(compiled),
							 VARSIZE_ANY_EXHDR(compiled), &scratch_arena,
							 &scratch_arena, &error);
	if (model == NULL)
		churn_throw(&error, what);
	explainer = churn_explainer_make(model, &keep_arena, &scratch_arena,
									 &error);
	if (explainer == NULL)
		churn_throw(&error, what);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	MemoryContextSetParent(context, version->context);
	version->explainer = explainer;
}

/*
 * The cached version with that key; NULL if there is none.
 */
static ChurnVersion *
find_cached(Oid relation, const char *name, int number, const uint8 *sha256)
{
	ListCell   *cell;

	foreach(cell, cache)
	{
		ChurnVersion *version = lfirst(cell);

		if (version->relation == relation && version->version == number &&
			memcmp(version->sha256, sha256, CHURN_SHA256_LENGTH) == 0 &&
			strcmp(version->name, name) == 0)
			return version;
	}
	return NULL;
}

/*
 * The cached version that was found for a row of churn.models before.  Since
 * numbers of versions are never given twice, it is still the one; only what a
 * rolled back transaction of this session registered does not count, which is
 * what the epoch tells.
 */
ChurnVersion *
churn_version_find(Oid models, int model_id, int number)
{
	ListCell   *cell;

	foreach(cell, cache)
	{
		ChurnVersion *version = lfirst(cell);

		if (version->models == models && version->model_id == model_id &&
			version->version == number && version->epoch == churn_epoch)
			return version;
	}
	return NULL;
}

/*
 * Whether what one snapshot shows can be compared with what another shows by
 * their marks: not if this transaction has written, since a mark tells its
 * writes only from within.  A serializable transaction has to read for
 * itself, because what it read matters to others.
 */
static bool
is_comparable(Snapshot snapshot)
{
	return snapshot->snapshot_type == SNAPSHOT_MVCC &&
		!TransactionIdIsValid(GetTopTransactionIdIfAny()) &&
		!IsolationIsSerializable();
}

/*
 * Remembers that the version is the answer to a question that was asked in
 * that epoch of names.  If a model is named, it is the version's, and the
 * row's relation does not matter.
 */
void
churn_version_remember(ChurnVersion *version, const ChurnQuestion *question,
					   Snapshot snapshot, uint64 name_epoch)
{
	version->asked_epoch = 0;
	if (!is_comparable(snapshot))
		return;
	version->question.model = question->model ? version->name : NULL;
	version->question.version = question->version;
	version->question.relation = question->relation;
	version->asked = churn_snapshot_mark(snapshot);
	version->asked_epoch = name_epoch;
}

/*
 * The version that is known to answer a question under a snapshot, since it
 * did under one that sees the same; NULL if none is.
 */
ChurnVersion *
churn_version_recall(const ChurnQuestion *question, Snapshot snapshot)
{
	ListCell   *cell;

	if (!is_comparable(snapshot))
		return NULL;
	foreach(cell, cache)
	{
		ChurnVersion *version = lfirst(cell);
		const ChurnQuestion *answered = &version->question;

		if (version->asked_epoch != churn_name_epoch ||
			answered->version != question->version ||
			!churn_snapshot_same(&version->asked, snapshot))
			continue;
		if (question->model != NULL ?
			answered->model != NULL &&
			strcmp(answered->model, question->model) == 0 :
			answered->model == NULL &&
			answered->relation == question->relation)
			return version;
	}
	return NULL;
}

/*
 * Ends a scan of model_versions that found nothing.
 */
static void
no_such_version(const char *name, int number)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("model \"%s\" has no version %d", name, number),
			 errhint("The table churn.model_versions lists the versions.")));
}

/*
 * The digest that a row of churn.model_versions claims for its bytes.
 */
static const uint8 *
row_sha256(Relation versions, HeapTuple tuple, const char *name, int number)
{
	bytea	   *sha256 = churn_registry_bytea(versions, tuple, "sha256");

	if (VARSIZE_ANY_EXHDR(sha256) != CHURN_SHA256_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("version %d of model \"%s\" is damaged: its SHA-256 has %d bytes",
						number, name, (int) VARSIZE_ANY_EXHDR(sha256))));
	return (uint8 *) VARDATA_ANY(sha256);
}

/*
 * Finds a version in the cache by its row, or loads it.
 */
ChurnVersion *
churn_version_get(const char *name, int number, Snapshot snapshot)
{
	Relation	versions = churn_registry_open("model_versions");
	SysScanDesc scan;
	HeapTuple	tuple;
	const uint8 *sha256;
	ChurnVersion *version;

	scan = churn_registry_scan(versions, "model_versions_pkey", name,
							   churn_registry_column(versions, "model"), number,
							   churn_registry_column(versions, "version"), snapshot);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		no_such_version(name, number);
	sha256 = row_sha256(versions, tuple, name, number);
	version = find_cached(RelationGetRelid(versions), name, number, sha256);
	if (version == NULL)
		version = load_version(versions, tuple, name, number, sha256);
	systable_endscan(scan);
	table_close(versions, NoLock);
	return version;
}

/*
 * The explainer of a version, made at the first call.  The caller has pinned
 * the version.
 */
ChurnExplainer *
churn_version_explainer(ChurnVersion *version, Snapshot snapshot)
{
	Relation	versions;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (version->explainer != NULL)
		return version->explainer;
	versions = churn_registry_open("model_versions");
	scan = churn_registry_scan(versions, "model_versions_pkey", version->name,
							   churn_registry_column(versions, "model"),
							   version->version,
							   churn_registry_column(versions, "version"),
							   snapshot);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		no_such_version(version->name, version->version);
	load_explainer(versions, tuple, version);
	systable_endscan(scan);
	table_close(versions, NoLock);
	trim_cache();
	return version->explainer;
}

/*
 * Holds a version.
 */
void
churn_version_pin(ChurnVersion *version)
{
	version->pins++;
	version->used = ++uses;
}

/*
 * Lets a version go.
 */
void
churn_version_unpin(ChurnVersion *version)
{
	version->pins--;
}

/*
 * The artifact of a version, checked against its sha256.
 */
bytea *
churn_version_artifact(const char *name, int number, Snapshot snapshot)
{
	Relation	versions = churn_registry_open("model_versions");
	bytea	   *artifact;
	bytea	   *compiled;
	SysScanDesc scan;
	HeapTuple	tuple;

	scan = churn_registry_scan(versions, "model_versions_pkey", name,
							   churn_registry_column(versions, "model"), number,
							   churn_registry_column(versions, "version"), snapshot);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		no_such_version(name, number);
	artifact = churn_registry_bytea(versions, tuple, "artifact");
	compiled = churn_registry_bytea(versions, tuple, "compiled");
	check_sha256(name, number, row_sha256(versions, tuple, name, number),
				 compiled, artifact);
	/* the tuple's memory ends with the scan */
	artifact = (bytea *) DatumGetPointer(datumCopy(PointerGetDatum(artifact),
												   false, -1));
	systable_endscan(scan);
	table_close(versions, NoLock);
	return artifact;
}
