/*
 * registry.c
 *		Models of the registry, and which version to score with.
 *
 * The champion is looked up under the statement's own snapshot each time, by
 * an index scan of churn.models, so that a promotion is seen exactly when its
 * transaction is.  What is cached are only versions (version_cache.c).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_inherits.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "compat.h"
#include "registry.h"
#include "registry_scan.h"
#include "settings.h"

/* Numbers of columns of churn.models. */
typedef struct ChoiceColumns
{
	uint64		epoch;			/* churn_name_epoch that they were read in */
	Oid			relation;
	AttrNumber	name;
	AttrNumber	source_relation;
	AttrNumber	champion;
	AttrNumber	model_id;
} ChoiceColumns;

/*
 * Reads a tuple of churn.models.
 */
static ChurnModelRow *
read_model(Relation models, HeapTuple tuple)
{
	ChurnModelRow *row = palloc0(sizeof(ChurnModelRow));
	bool		isnull;
	Datum		value;

	row->name = churn_registry_text(models, tuple, "name");
	row->source = churn_registry_text(models, tuple, "source");
	row->source_relation = churn_registry_text(models, tuple, "source_relation");
	row->source_query = churn_registry_text(models, tuple, "source_query");
	row->key = churn_registry_text(models, tuple, "key");
	row->label = churn_registry_text(models, tuple, "label");
	row->positive = churn_registry_text(models, tuple, "positive");
	value = churn_registry_value(models, tuple, "owner", &isnull);
	row->owner = isnull ? NULL : pstrdup(NameStr(*DatumGetName(value)));
	value = churn_registry_value(models, tuple, "model_id", &isnull);
	row->model_id = isnull ? 0 : DatumGetInt32(value);
	value = churn_registry_value(models, tuple, "champion", &isnull);
	row->champion = isnull ? 0 : DatumGetInt32(value);
	value = churn_registry_value(models, tuple, "split_seed", &isnull);
	row->split_seed = isnull ? 0 : DatumGetInt64(value);
	return row;
}

/*
 * The numbers of the columns of churn.models that tell which version to score
 * with, remembered as long as the table is the same.
 */
static const ChoiceColumns *
choice_columns(Relation models)
{
	static ChoiceColumns known;

	if (known.epoch != churn_name_epoch ||
		known.relation != RelationGetRelid(models))
	{
		known.epoch = 0;
		known.relation = RelationGetRelid(models);
		known.name = churn_registry_column(models, "name");
		known.source_relation = churn_registry_column(models,
													  "source_relation");
		known.champion = churn_registry_column(models, "champion");
		known.model_id = churn_registry_column(models, "model_id");
		known.epoch = churn_name_epoch;
	}
	return &known;
}

/*
 * Reads of a tuple of churn.models just what tells which version to score
 * with.
 */
static ChurnModelRow *
read_choice(Relation models, HeapTuple tuple)
{
	const ChoiceColumns *columns = choice_columns(models);
	TupleDesc	desc = RelationGetDescr(models);
	ChurnModelRow *row = palloc0(sizeof(ChurnModelRow));
	bool		isnull;
	Datum		value;

	value = heap_getattr(tuple, columns->name, desc, &isnull);
	row->name = isnull ? pstrdup("") : TextDatumGetCString(value);
	value = heap_getattr(tuple, columns->source_relation, desc, &isnull);
	row->source_relation = isnull ? NULL : TextDatumGetCString(value);
	value = heap_getattr(tuple, columns->champion, desc, &isnull);
	row->champion = isnull ? 0 : DatumGetInt32(value);
	value = heap_getattr(tuple, columns->model_id, desc, &isnull);
	row->model_id = isnull ? 0 : DatumGetInt32(value);
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
	Relation	models = churn_registry_open("models");
	ChurnModelRow *row = NULL;
	SysScanDesc scan;
	HeapTuple	tuple;

	scan = churn_registry_scan(models, "models_name_key", name,
							   churn_registry_column(models, "name"), 0, 0, snapshot);
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
 * Name of a relation as the registry has it; see registry.h.
 */
char *
churn_qualified_name(const char *schema, const char *name)
{
	char	   *qualified;
	int			level;

	if (!quote_all_identifiers)
		return quote_qualified_identifier(schema, name);
	level = NewGUCNestLevel();
	(void) set_config_option("quote_all_identifiers", "off", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	qualified = quote_qualified_identifier(schema, name);
	AtEOXact_GUC(true, level);
	return qualified;
}

/*
 * The schema-qualified name under which churn.models knows a relation; NULL
 * if it is gone.  The last one is remembered; a caller must not keep it.
 */
static const char *
relation_name(Oid relation)
{
	static Oid	known = InvalidOid;
	static uint64 known_epoch = 0;
	static char *known_name = NULL;
	uint64		epoch = churn_name_epoch;
	char	   *name;
	char	   *schema;

	if (known == relation && known_epoch == epoch)
		return known_name;
	known = InvalidOid;
	name = get_rel_name(relation);
	if (name == NULL)
		return NULL;
	schema = get_namespace_name(get_rel_namespace(relation));
	if (schema == NULL)
		return NULL;
	if (known_name != NULL)
		pfree(known_name);
	known_name = NULL;
	known_name = MemoryContextStrdup(TopMemoryContext,
									 churn_qualified_name(schema, name));
	known_epoch = epoch;
	known = relation;
	return known_name;
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
		const char *name = relation_name(relation);

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
 * The model to use when none is named at all: that of the row's table, or the
 * only one.
 */
static ChurnModelRow *
default_model(Relation models, Oid relation, Snapshot snapshot)
{
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *rows = NIL;
	ChurnModelRow *found;

	scan = systable_beginscan(models, churn_registry_relation("models_name_key"),
							  true, snapshot, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		rows = lappend(rows, read_choice(models, tuple));
	systable_endscan(scan);

	found = model_of_relation(rows, relation);
	if (found == NULL && list_length(rows) == 1)
		found = linitial(rows);
	if (found == NULL)
		which_model(rows);
	return found;
}

/*
 * The model of that name.
 */
static ChurnModelRow *
named_model(Relation models, const char *name, Snapshot snapshot)
{
	SysScanDesc scan;
	HeapTuple	tuple;
	ChurnModelRow *row;

	scan = churn_registry_scan(models, "models_name_key", name,
							   choice_columns(models)->name, 0, 0, snapshot);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		no_such_model(name);
	row = read_choice(models, tuple);
	systable_endscan(scan);
	return row;
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
 * Asks churn.models which version to score with, and loads it if need be.
 */
static ChurnVersion *
look_up(const ChurnQuestion *question, Snapshot snapshot)
{
	MemoryContext lookup = AllocSetContextCreate(CurrentMemoryContext,
												 "churn model look-up",
												 ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(lookup);
	Relation	models = churn_registry_open("models");
	ChurnModelRow *row;
	ChurnVersion *found = NULL;
	int			number;

	row = question->model != NULL ?
		named_model(models, question->model, snapshot) :
		default_model(models, question->relation, snapshot);
	number = version_number(row, question->version);
	/* a number is given once, so a champion needs no second look */
	if (question->version == 0)
		found = churn_version_find(RelationGetRelid(models), row->model_id,
								   number);
	if (found == NULL)
	{
		found = churn_version_get(row->name, number, snapshot);
		found->models = RelationGetRelid(models);
		found->model_id = row->model_id;
		found->epoch = churn_epoch;
	}
	table_close(models, NoLock);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(lookup);
	return found;
}

/*
 * Finds the version to score with; see registry.h.  Most statements are told
 * by their snapshot that nothing was committed since the question was last
 * answered, and need not look.
 */
ChurnVersion *
churn_registry_find(ChurnQuestion question, Snapshot snapshot)
{
	uint64		name_epoch = churn_name_epoch;
	ChurnVersion *version;

	if (question.model == NULL && churn_default_model != NULL &&
		churn_default_model[0] != '\0')
		question.model = churn_default_model;
	version = churn_version_recall(&question, snapshot);
	if (version == NULL)
	{
		version = look_up(&question, snapshot);
		churn_version_remember(version, &question, snapshot, name_epoch);
	}
	return version;
}

/*
 * Reset callback of the holder of a pin.
 */
static void
unpin(void *arg)
{
	churn_version_unpin(arg);
}

/*
 * Finds the version to score with, pinned; see registry.h.
 */
ChurnVersion *
churn_registry_resolve(const char *model, int version, Oid relation,
					   Snapshot snapshot, MemoryContext holder)
{
	const ChurnQuestion question = {model, version, relation};
	MemoryContextCallback *callback;

	callback = MemoryContextAlloc(holder, sizeof(MemoryContextCallback));
	callback->func = unpin;
	callback->arg = churn_registry_find(question, snapshot);
	churn_version_pin(callback->arg);
	MemoryContextRegisterResetCallback(holder, callback);
	return callback->arg;
}

/*
 * The version's artifact, checked against its sha256.
 */
bytea *
churn_registry_artifact(const char *model, int version, Snapshot snapshot)
{
	ChurnModelRow *row = churn_registry_model(model, snapshot, false);

	return churn_version_artifact(model, version_number(row, version),
								  snapshot);
}
