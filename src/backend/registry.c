/*
 * registry.c
 *		Models of the registry: which version to score with, and the cache of
 *		loaded versions.
 *
 * The champion is looked up under the statement's own snapshot each time, by
 * an index scan of churn.models, so that a promotion is seen exactly when its
 * transaction is.  What is cached are only versions, which never change; the
 * key contains the SHA-256 of their bytes.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "encoding.h"
#include "registry.h"
#include "settings.h"

/* Loaded versions that nobody holds are dropped beyond this. */
#define CACHE_BYTES		(64 * 1024 * 1024)

static List *cache = NIL;		/* of ChurnVersion, in TopMemoryContext */
static uint64 uses = 0;			/* counts uses of the cache */

/*
 * Throws what code below src/common found wrong with the thing named.
 */
void
churn_throw(const ChurnError *error, const char *what)
{
	int			sqlstate = ERRCODE_INTERNAL_ERROR;

	switch (error->code)
	{
		case CHURN_OK:
			break;
		case CHURN_ERROR_MEMORY:
			sqlstate = ERRCODE_OUT_OF_MEMORY;
			break;
		case CHURN_ERROR_CORRUPT:
			sqlstate = ERRCODE_DATA_CORRUPTED;
			break;
		case CHURN_ERROR_UNSUPPORTED:
			sqlstate = ERRCODE_FEATURE_NOT_SUPPORTED;
			break;
		case CHURN_ERROR_LIMIT:
			sqlstate = ERRCODE_PROGRAM_LIMIT_EXCEEDED;
			break;
		case CHURN_ERROR_INVALID:
			sqlstate = ERRCODE_INVALID_PARAMETER_VALUE;
			break;
	}
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg("%s: %s", what, error->message)));
	pg_unreachable();
}

/*
 * What a ChurnArena over a memory context allocates with.  It returns NULL
 * when there is no memory, which src/common turns into its own error.
 */
static void *
arena_alloc(void *context, size_t size)
{
	return MemoryContextAllocExtended((MemoryContext) context, Max(size, 1),
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM |
									  MCXT_ALLOC_ZERO);
}

/*
 * An arena whose memory is the context's.
 */
ChurnArena
churn_memory_arena(MemoryContext context)
{
	ChurnArena	arena;

	arena.alloc = arena_alloc;
	arena.context = context;
	return arena;
}

/*
 * SHA-256 of compiled followed by artifact, into CHURN_SHA256_LENGTH bytes.
 */
void
churn_registry_sha256(const uint8 *compiled, size_t ncompiled,
					  const uint8 *artifact, size_t nartifact, uint8 *digest)
{
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);

	if (hash == NULL ||
		pg_cryptohash_init(hash) < 0 ||
		pg_cryptohash_update(hash, compiled, ncompiled) < 0 ||
		pg_cryptohash_update(hash, artifact, nartifact) < 0 ||
		pg_cryptohash_final(hash, digest, CHURN_SHA256_LENGTH) < 0)
		elog(ERROR, "could not compute SHA-256: %s",
			 hash ? pg_cryptohash_error(hash) : "out of memory");
	pg_cryptohash_free(hash);
}

/*
 * A relation or index of schema "churn".
 */
Oid
churn_registry_relation(const char *name)
{
	Oid			schema = get_namespace_oid("churn", true);
	Oid			relation = InvalidOid;

	if (OidIsValid(schema))
		relation = get_relname_relid(name, schema);
	if (!OidIsValid(relation))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"churn.%s\" does not exist", name),
				 errhint("Run CREATE EXTENSION churn in this database.")));
	return relation;
}

/*
 * Becomes a role for stored SQL: nothing it runs can change the session, and
 * names without a schema mean PostgreSQL's own.
 */
ChurnRole
churn_role_become(Oid role)
{
	ChurnRole	saved;

	GetUserIdAndSecContext(&saved.user, &saved.context);
	SetUserIdAndSecContext(role,
						   saved.context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	saved.nestlevel = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	return saved;
}

/*
 * Becomes the owner of the registry, to write it.
 */
ChurnRole
churn_role_become_owner(void)
{
	Relation	models = table_open(churn_registry_relation("models"),
									AccessShareLock);
	Oid			owner = models->rd_rel->relowner;

	table_close(models, NoLock);
	return churn_role_become(owner);
}

/*
 * Undoes churn_role_become().
 */
void
churn_role_restore(ChurnRole saved)
{
	AtEOXact_GUC(false, saved.nestlevel);
	SetUserIdAndSecContext(saved.user, saved.context);
}

/*
 * Begins an index scan for text = name in the index's first column and, when
 * version is not 0, int = version in its second.
 */
static SysScanDesc
begin_scan(Relation relation, const char *index, const char *name,
		   int name_column, int version, int version_column,
		   Snapshot snapshot)
{
	ScanKeyData keys[2];

	ScanKeyEntryInitialize(&keys[0], 0, name_column, BTEqualStrategyNumber,
						   TEXTOID, DEFAULT_COLLATION_OID, F_TEXTEQ,
						   CStringGetTextDatum(name));
	if (version != 0)
		ScanKeyInit(&keys[1], version_column, BTEqualStrategyNumber,
					F_INT4EQ, Int32GetDatum(version));
	return systable_beginscan(relation, churn_registry_relation(index), true,
							  snapshot, version != 0 ? 2 : 1, keys);
}

/*
 * A column of a registry tuple by name, so that the order of columns in the
 * install script is free.
 */
static AttrNumber
column_number(Relation relation, const char *name)
{
	AttrNumber	number = get_attnum(RelationGetRelid(relation), name);

	if (number == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"churn.%s\" does not exist",
						name, RelationGetRelationName(relation)),
				 errhint("Run ALTER EXTENSION churn UPDATE in this database.")));
	return number;
}

/*
 * The value of a column, or NULL's flag.
 */
static Datum
column_value(Relation relation, HeapTuple tuple, const char *name,
			 bool *isnull)
{
	return heap_getattr(tuple, column_number(relation, name),
						RelationGetDescr(relation), isnull);
}

/*
 * A text column as a string in the current memory context; NULL for NULL.
 */
static char *
column_text(Relation relation, HeapTuple tuple, const char *name)
{
	bool		isnull;
	Datum		value = column_value(relation, tuple, name, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/*
 * Reads a tuple of churn.models.
 */
static ChurnModelRow *
read_model(Relation models, HeapTuple tuple)
{
	ChurnModelRow *row = palloc0(sizeof(ChurnModelRow));
	bool		isnull;
	Datum		value;

	row->name = column_text(models, tuple, "name");
	row->source = column_text(models, tuple, "source");
	row->source_relation = column_text(models, tuple, "source_relation");
	row->source_query = column_text(models, tuple, "source_query");
	row->key = column_text(models, tuple, "key");
	row->label = column_text(models, tuple, "label");
	row->positive = column_text(models, tuple, "positive");
	value = column_value(models, tuple, "owner", &isnull);
	row->owner = isnull ? NULL : pstrdup(NameStr(*DatumGetName(value)));
	value = column_value(models, tuple, "champion", &isnull);
	row->champion = isnull ? 0 : DatumGetInt32(value);
	value = column_value(models, tuple, "split_seed", &isnull);
	row->split_seed = isnull ? 0 : DatumGetInt64(value);
	return row;
}

/*
 * Complains that there is no model of that name.
 */
static void
no_such_model(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("model \"%s\" does not exist", name),
			 errhint("The table churn.models lists the models.")));
}

/*
 * Reads churn.models by name.
 */
ChurnModelRow *
churn_registry_model(const char *name, Snapshot snapshot, bool missing_ok)
{
	Relation	models = table_open(churn_registry_relation("models"),
									AccessShareLock);
	ChurnModelRow *row = NULL;
	SysScanDesc scan;
	HeapTuple	tuple;

	scan = begin_scan(models, "models_name_key", name,
					  column_number(models, "name"), 0, 0, snapshot);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		row = read_model(models, tuple);
	systable_endscan(scan);
	table_close(models, NoLock);
	if (row == NULL && !missing_ok)
		no_such_model(name);
	return row;
}

/*
 * The schema-qualified name under which churn.models knows a relation; NULL
 * if it is gone.
 */
static char *
relation_name(Oid relation)
{
	char	   *name = get_rel_name(relation);
	char	   *schema;

	if (name == NULL)
		return NULL;
	schema = get_namespace_name(get_rel_namespace(relation));
	return schema ? quote_qualified_identifier(schema, name) : NULL;
}

/*
 * The table that a table is a partition or a child of; InvalidOid if none.
 */
static Oid
parent_relation(Oid relation)
{
	Relation	inherits = table_open(InheritsRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			parent = InvalidOid;

	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relation));
	scan = systable_beginscan(inherits, InheritsRelidSeqnoIndexId, true, NULL,
							  1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		parent = ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent;
	systable_endscan(scan);
	table_close(inherits, AccessShareLock);
	return parent;
}

/*
 * Of the given models, the one whose source is the relation or a table above
 * it; NULL if there is none.  Two models of one table are an error.
 */
static ChurnModelRow *
model_of_relation(List *models, Oid relation)
{
	ChurnModelRow *found = NULL;
	ListCell   *cell;

	for (; OidIsValid(relation); relation = parent_relation(relation))
	{
		char	   *name = relation_name(relation);

		foreach(cell, models)
		{
			ChurnModelRow *row = lfirst(cell);

			if (name == NULL || row->source_relation == NULL ||
				strcmp(row->source_relation, name) != 0)
				continue;
			if (found != NULL)
				ereport(ERROR,
						(errcode(ERRCODE_AMBIGUOUS_PARAMETER),
						 errmsg("several models are trained on %s", name),
						 errdetail("Two of them are \"%s\" and \"%s\".",
								   found->name, row->name),
						 errhint("Name one: model => '%s', or set churn.default_model.",
								 found->name)));
			found = row;
		}
		if (found != NULL)
			return found;
	}
	return NULL;
}

/*
 * Complains that no model was named and none suggests itself.
 */
static void
which_model(List *models)
{
	StringInfoData names;
	ListCell   *cell;

	if (models == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no model in this database"),
				 errhint("Train one with churn_train().")));
	initStringInfo(&names);
	foreach(cell, models)
		appendStringInfo(&names, "%s%s", names.len ? ", " : "",
						 ((ChurnModelRow *) lfirst(cell))->name);
	ereport(ERROR,
			(errcode(ERRCODE_AMBIGUOUS_PARAMETER),
			 errmsg("no model is named, and the row's own table has none"),
			 errdetail("Models are: %s.", names.data),
			 errhint("Name one with model => '...', or set churn.default_model.")));
}

/*
 * The model to use when none is named: churn.default_model, the model of the
 * row's table, or the only one.
 */
static ChurnModelRow *
default_model(Oid relation, Snapshot snapshot)
{
	Relation	models;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *rows = NIL;
	ChurnModelRow *found;

	if (churn_default_model != NULL && churn_default_model[0] != '\0')
		return churn_registry_model(churn_default_model, snapshot, false);

	models = table_open(churn_registry_relation("models"), AccessShareLock);
	scan = systable_beginscan(models, churn_registry_relation("models_name_key"),
							  true, snapshot, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		rows = lappend(rows, read_model(models, tuple));
	systable_endscan(scan);
	table_close(models, NoLock);

	found = model_of_relation(rows, relation);
	if (found == NULL && list_length(rows) == 1)
		found = linitial(rows);
	if (found == NULL)
		which_model(rows);
	return found;
}

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

			total += MemoryContextMemAllocated(version->context, true);
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
 * A bytea column of the tuple, detoasted; it must not be NULL.
 */
static bytea *
column_bytea(Relation relation, HeapTuple tuple, const char *name)
{
	bool		isnull;
	Datum		value = column_value(relation, tuple, name, &isnull);

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("column \"%s\" of a row of \"churn.%s\" is null",
						name, RelationGetRelationName(relation))));
	return DatumGetByteaPP(value);
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
	bytea	   *compiled = column_bytea(versions, tuple, "compiled");
	bytea	   *artifact = column_bytea(versions, tuple, "artifact");
	char	   *what = psprintf("version %d of model \"%s\"", number, name);
	ChurnVersion *version;
	ChurnError	error;

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
	version->evaluator = churn_evaluator_make(&version->model->forest,
											  &keep_arena, &scratch_arena,
											  &error);
	if (version->evaluator == NULL)
		churn_throw(&error, what);
	/* the nodes go with scratch; only the evaluator is needed from now on */
	memset(&version->model->forest, 0, sizeof(ChurnForest));
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
	bytea	   *sha256 = column_bytea(versions, tuple, "sha256");

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
static ChurnVersion *
get_version(const char *name, int number, Snapshot snapshot)
{
	Relation	versions = table_open(churn_registry_relation("model_versions"),
									  AccessShareLock);
	SysScanDesc scan;
	HeapTuple	tuple;
	const uint8 *sha256;
	ChurnVersion *version;

	scan = begin_scan(versions, "model_versions_pkey", name,
					  column_number(versions, "model"), number,
					  column_number(versions, "version"), snapshot);
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
 * Reset callback of the holder of a pin.
 */
static void
unpin(void *arg)
{
	((ChurnVersion *) arg)->pins--;
}

/*
 * The version number asked for, or the champion's.
 */
static int
version_number(const ChurnModelRow *row, int version)
{
	if (version != 0)
		return version;
	if (row->champion == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("model \"%s\" has no version in force", row->name),
				 errhint("Put one in force with churn_promote(), or pass version => to use one that is not.")));
	return row->champion;
}

/*
 * Finds the version to score with, loads it if need be, and pins it until
 * holder is reset.
 */
ChurnVersion *
churn_registry_resolve(const char *model, int version, Oid relation,
					   Snapshot snapshot, MemoryContext holder)
{
	MemoryContextCallback *callback;
	MemoryContext lookup = AllocSetContextCreate(CurrentMemoryContext,
												 "churn model look-up",
												 ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(lookup);
	ChurnModelRow *row;
	ChurnVersion *found;

	row = model != NULL ?
		churn_registry_model(model, snapshot, false) :
		default_model(relation, snapshot);
	found = get_version(row->name, version_number(row, version), snapshot);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(lookup);

	callback = MemoryContextAlloc(holder, sizeof(MemoryContextCallback));
	callback->func = unpin;
	callback->arg = found;
	MemoryContextRegisterResetCallback(holder, callback);
	found->pins++;
	found->used = ++uses;
	return found;
}

/*
 * The version's artifact, checked against its sha256.
 */
bytea *
churn_registry_artifact(const char *model, int version, Snapshot snapshot)
{
	ChurnModelRow *row = churn_registry_model(model, snapshot, false);
	int			number = version_number(row, version);
	Relation	versions = table_open(churn_registry_relation("model_versions"),
									  AccessShareLock);
	bytea	   *artifact;
	bytea	   *compiled;
	SysScanDesc scan;
	HeapTuple	tuple;

	scan = begin_scan(versions, "model_versions_pkey", model,
					  column_number(versions, "model"), number,
					  column_number(versions, "version"), snapshot);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		no_such_version(model, number);
	artifact = column_bytea(versions, tuple, "artifact");
	compiled = column_bytea(versions, tuple, "compiled");
	check_sha256(model, number, row_sha256(versions, tuple, model, number),
				 compiled, artifact);
	/* the tuple's memory ends with the scan */
	artifact = (bytea *) DatumGetPointer(datumCopy(PointerGetDatum(artifact),
												   false, -1));
	systable_endscan(scan);
	table_close(versions, NoLock);
	return artifact;
}
