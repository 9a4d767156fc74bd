/*
 * stream_watch.c
 *		What a stream worker watches, and for which models.
 *
 * The set is read as a whole and replaced as a whole.  That it no longer
 * holds, the worker learns from the stream itself: changes of churn.watches,
 * churn.models and churn.alert_rules are decoded like any other, so that a
 * promotion counts for exactly the changes that were committed after it.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "attempt.h"
#include "compat.h"
#include "role.h"
#include "score.h"
#include "stream_alerts.h"
#include "stream_caches.h"
#include "stream_errors.h"
#include "stream_rescan.h"
#include "stream_shadow.h"
#include "stream_watch.h"
#include "watch_table.h"

/* A set is read anew when so many layouts were made for it. */
#define MOST_LAYOUTS	1000

/* The set that invalidations are for: a process has one. */
static ChurnWatchSet *current_set = NULL;
static bool registered = false;

/*
 * System identifier and database, as churn.watches has it.
 */
const char *
churn_stream_home(void)
{
	static char home[64];

	snprintf(home, sizeof(home), UINT64_FORMAT "/%u", GetSystemIdentifier(),
			 MyDatabaseId);
	return home;
}

/*
 * A relation was altered, or all may have been: what is known of it must be
 * found anew, and so must the set if the relation is one of its tables.
 */
static void
relation_altered(Datum arg, Oid relid)
{
	ChurnWatchSet *set = current_set;
	ChurnWatchedRelation *entry;
	HASH_SEQ_STATUS status;
	size_t		i;

	if (set == NULL || churn_caches_switching())
		return;
	if (!OidIsValid(relid))
	{
		set->stale = true;
		hash_seq_init(&status, set->relations);
		while ((entry = hash_seq_search(&status)) != NULL)
			entry->valid = false;
		return;
	}
	for (i = 0; i < lengthof(set->configuring); i++)
		set->stale |= set->configuring[i] == relid;
	/* any might be the one that is missing */
	set->stale |= set->lost || list_member_oid(set->tables, relid);
	entry = hash_search(set->relations, &relid, HASH_FIND, NULL);
	if (entry != NULL)
		entry->valid = false;
}

/*
 * The model of that name in the set, or a new one, filled from the row of an
 * SPI result whose columns are those of read_watches().
 */
static ChurnWatchedModel *
find_model(ChurnWatchSet *set, HeapTuple row, TupleDesc desc)
{
	char	   *name = SPI_getvalue(row, desc, 1);
	ChurnWatchedModel *model;
	ListCell   *cell;
	char	   *owner;
	char	   *value;

	foreach(cell, set->models)
	{
		model = lfirst(cell);
		if (strcmp(model->name, name) == 0)
			return model;
	}
	model = palloc0(sizeof(ChurnWatchedModel));
	model->name = name;
	model->champion = (value = SPI_getvalue(row, desc, 8)) ? atoi(value) : 0;
	model->challenger = (value = SPI_getvalue(row, desc, 21)) ?
		atoi(value) : 0;
	owner = SPI_getvalue(row, desc, 9);
	model->owner = get_role_oid(owner, true);
	model->source_query = SPI_getvalue(row, desc, 10);
	model->source_relation = SPI_getvalue(row, desc, 11);
	model->key = SPI_getvalue(row, desc, 12);
	model->model_id = atoi(SPI_getvalue(row, desc, 13));
	model->pending = SPI_getvalue(row, desc, 14);
	model->scanned_version = (value = SPI_getvalue(row, desc, 15)) ?
		atoi(value) : 0;
	model->error = SPI_getvalue(row, desc, 17);
	model->broken = model->error != NULL;
	model->requests = atoll(SPI_getvalue(row, desc, 19));
	value = SPI_getvalue(row, desc, 16);
	model->scanned_day = value != NULL ?
		DatumGetDateADT(DirectFunctionCall1(date_in, CStringGetDatum(value))) : 0;
	model->scanned_tables = SPI_getvalue(row, desc, 20);
	set->models = lappend(set->models, model);
	return model;
}

/*
 * Reads churn.watches and what belongs to it.
 */
static void
read_watches(ChurnWatchSet *set)
{
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(churn_stream_home())};
	MemoryContext old;
	uint64		i;

	SPI_execute_with_args(
						  "SELECT w.model, w.relation, w.key, w.related, w.deletes,"
						  " w.home = $1,"
						  " CASE WHEN pg_catalog.pg_has_role(a.oid, c.relowner, 'USAGE')"
						  " THEN c.oid END, m.champion,"
						  " m.owner, m.source_query, m.source_relation, m.key, m.model_id,"
						  " coalesce(r.pending, CASE WHEN r.model IS NULL THEN 'watched' END),"
						  " r.version, r.day, r.error, w.reasons,"
						  " coalesce(r.requests, 0), r.tables, m.challenger "
						  "FROM churn.watches w JOIN churn.models m ON m.name = w.model"
						  " LEFT JOIN churn.rescans r ON r.model = w.model "
						  " LEFT JOIN pg_catalog.pg_class c"
						  " ON c.oid = pg_catalog.to_regclass(w.relation)"
						  " LEFT JOIN pg_catalog.pg_roles a ON a.rolname = w.watched_by "
						  "ORDER BY w.model, w.relation",
						  1, types, values, NULL, true, 0);
	old = MemoryContextSwitchTo(set->context);
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		ChurnWatch *watch;
		char	   *relid;

		if (SPI_getvalue(row, desc, 6)[0] != 't')
		{
			set->npaused++;
			continue;
		}
		watch = palloc0(sizeof(ChurnWatch));
		watch->model = find_model(set, row, desc);
		watch->model->nreasons = Max(watch->model->nreasons,
									 atoi(SPI_getvalue(row, desc, 18)));
		watch->relation = SPI_getvalue(row, desc, 2);
		watch->key = SPI_getvalue(row, desc, 3);
		watch->related = SPI_getvalue(row, desc, 4)[0] == 't';
		watch->deletes = SPI_getvalue(row, desc, 5)[0] == 't';
		watch->model->misses_deletes |= !watch->deletes;
		relid = SPI_getvalue(row, desc, 7);
		watch->relid = relid != NULL ? atooid(relid) : InvalidOid;
		set->watches = lappend(set->watches, watch);
		set->nwatches++;
	}
	MemoryContextSwitchTo(old);
}

/*
 * Reads the alert rules of a model.
 */
static void
read_rules(ChurnWatchSet *set, ChurnWatchedModel *model)
{
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(model->name)};
	MemoryContext old;
	uint64		i;

	SPI_execute_with_args("SELECT rule_id, name, condition, cooldown"
						  " FROM churn.alert_rules WHERE model = $1 ORDER BY rule_id",
						  1, types, values, NULL, true, 0);
	old = MemoryContextSwitchTo(set->context);
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		ChurnAlertRule *rule = palloc0(sizeof(ChurnAlertRule));
		bool		isnull;

		rule->rule_id = atoi(SPI_getvalue(row, desc, 1));
		rule->name = SPI_getvalue(row, desc, 2);
		rule->condition = SPI_getvalue(row, desc, 3);
		rule->cooldown = datumCopy(SPI_getbinval(row, desc, 4, &isnull),
								   false, sizeof(Interval));
		model->rules = lappend(model->rules, rule);
	}
	MemoryContextSwitchTo(old);
}

/*
 * Loads the champion of a model and makes room to score with it.
 */
static void
load_version(void *arg)
{
	ChurnWatchedModel *model = arg;
	ChurnWatchSet *set = current_set;
	ChurnVersion *version;
	MemoryContext old;
	const ChurnModel *compiled;
	uint32		i;

	version = churn_registry_resolve(model->name, model->champion, InvalidOid,
									 GetActiveSnapshot(), set->context);
	compiled = version->model;
	old = MemoryContextSwitchTo(set->context);
	model->features = palloc(sizeof(float) * Max(compiled->nfeatures, 1));
	model->workspace = palloc(churn_predictor_workspace(version->predictor) + 32);
	model->workspace = (void *) TYPEALIGN(32, model->workspace);
	MemoryContextSwitchTo(old);
	for (i = 0; i < compiled->nfeatures; i++)
		model->uses_ages |= compiled->as_of != CHURN_AS_OF_COLUMN &&
			compiled->features[i].kind == CHURN_FEATURE_AGE;
	model->version = version;
}

/*
 * Finds out which of a model's changes could be scored, and whether all of
 * its customers have to be.
 */
static void
complete_model(ChurnWatchSet *set, ChurnWatchedModel *model, bool reports)
{
	ErrorData  *error;

	read_rules(set, model);
	if (model->champion == 0)
		return;
	error = churn_attempt(load_version, model);
	if (error != NULL)
	{
		/* changes go by unscored until it can be loaded */
		if (reports)
			churn_rescan_break(model, error);
	}
	else if (model->pending == NULL &&
			 model->scanned_version != model->champion)
		model->pending = MemoryContextStrdup(set->context,
											 CHURN_NEW_VERSION);
	if (model->scanned_tables != NULL &&
		strcmp(model->scanned_tables, model->tables) != 0)
		model->pending = MemoryContextStrdup(set->context, CHURN_NEW_TABLES);
	if (model->challenger != 0 && model->version != NULL)
		churn_shadow_load(set, model, reports);
}

/*
 * The set's memory goes, maybe with that of a failed query.
 */
static void
forget_set(void *arg)
{
	if (current_set == arg)
		current_set = NULL;
}

/*
 * The table of known relations.
 */
static HTAB *
create_relations(MemoryContext context)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(ChurnWatchedRelation);
	ctl.hcxt = context;
	return hash_create("churn watched relations", 64, &ctl,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * Reads the set; see stream_watch.h.  SPI must be connected.
 */
ChurnWatchSet *
churn_watch_set_load(MemoryContext parent, bool reports)
{
	static const char *const tables[] = {"watches", "models", "alert_rules"};
	MemoryContext context = AllocSetContextCreate(parent, "churn watch set",
												  ALLOCSET_DEFAULT_SIZES);
	ChurnWatchSet *set = MemoryContextAllocZero(context,
												sizeof(ChurnWatchSet));
	Oid			schema = get_namespace_oid("churn", true);
	ListCell   *cell;
	ChurnRole	saved;
	size_t		i;

	set->context = context;
	set->relations = create_relations(context);
	if (!registered)
		CacheRegisterRelcacheCallback(relation_altered, (Datum) 0);
	registered = true;
	set->forget.func = forget_set;
	set->forget.arg = set;
	MemoryContextRegisterResetCallback(context, &set->forget);
	current_set = set;
	if (!OidIsValid(schema) ||
		!OidIsValid(get_relname_relid("stream_position", schema)))
		return set;
	for (i = 0; i < lengthof(tables); i++)
		set->configuring[i] = get_relname_relid(tables[i], schema);
	set->exists = true;
	set->lost = true;			/* what comes while we read counts */
	saved = churn_role_become_owner();
	read_watches(set);
	churn_watch_set_find_tables(set);
	foreach(cell, set->models)
		complete_model(set, lfirst(cell), reports);
	if (reports)
		churn_watch_tables_report(set);
	churn_role_restore(saved);
	return set;
}

/*
 * Frees a set.
 */
void
churn_watch_set_free(ChurnWatchSet *set)
{
	ListCell   *cell;

	foreach(cell, set->models)
	{
		ChurnWatchedModel *model = lfirst(cell);

		if (model->read_plan != NULL)
			SPI_freeplan(model->read_plan);
	}
	MemoryContextDelete(set->context);
}

/*
 * Prepares a reading of rows of desc; see stream_watch.h.
 */
void
churn_reading_init(ChurnReading *reading, ChurnWatchedModel *model,
				   TupleDesc desc, const char *key)
{
	reading->model = model;
	reading->desc = desc;
	reading->key_column = churn_find_column(desc, key);
	reading->values = palloc0(sizeof(Datum) *
							  (desc->natts + CHURN_ALERT_COLUMNS));
	reading->nulls = palloc0(sizeof(bool) *
							 (desc->natts + CHURN_ALERT_COLUMNS));
}

/*
 * The text of a key.  Its output function is looked up at the first.
 */
char *
churn_reading_key(ChurnReading *reading, Datum value)
{
	if (!reading->outputs)
	{
		Oid			type = TupleDescAttr(reading->desc,
										 reading->key_column)->atttypid;
		Oid			output;
		bool		is_varlena;

		getTypeOutputInfo(type, &output, &is_varlena);
		fmgr_info_cxt(output, &reading->key_output,
					  GetMemoryChunkContext(reading->values));
		reading->outputs = true;
	}
	return OutputFunctionCall(&reading->key_output, value);
}

/*
 * Finds the columns that the model needs; see stream_watch.h.
 */
void
churn_reading_prepare(ChurnReading *reading)
{
	ChurnVersion *version = reading->model->version;

	if (reading->map == NULL)
		reading->map = churn_row_map(version->model, version->name,
									 reading->desc,
									 GetMemoryChunkContext(reading->values));
}

/*
 * Scores the row in values and nulls; see stream_watch.h.
 */
double
churn_reading_score(ChurnReading *reading)
{
	ChurnWatchedModel *model = reading->model;
	ChurnVersion *version = model->version;

	reading->map->as_of_day = churn_statement_day();
	churn_row_encode(reading->map, reading->values, reading->nulls,
					 model->features);
	return churn_score_of_margin(version,
								 churn_predictor_margin(version->predictor,
														model->features,
														model->workspace));
}

/*
 * Adds the columns of a table that a version reads, by their names.  With
 * transforms, which may read any, that is all of them.
 */
static Bitmapset *
add_needed(Bitmapset *needed, const ChurnModel *compiled, TupleDesc desc)
{
	bool		all = false;
	uint32		i;
	int			column;

	for (i = 0; i < compiled->nfeatures; i++)
	{
		all |= compiled->features[i].transform != NULL;
		column = churn_find_column(desc, compiled->features[i].name);
		if (column >= 0)
			needed = bms_add_member(needed, column);
	}
	if (compiled->as_of == CHURN_AS_OF_COLUMN)
	{
		column = churn_find_column(desc, compiled->as_of_column);
		if (column >= 0)
			needed = bms_add_member(needed, column);
	}
	return all ? bms_add_range(needed, 0, desc->natts - 1) : needed;
}

/*
 * The columns of a table that are read for a model: by its champion and its
 * challenger.  Alert rules may read any.
 */
static Bitmapset *
needed_columns(const ChurnWatchedModel *model, TupleDesc desc)
{
	Bitmapset  *needed = NULL;

	if (model->version != NULL)
		needed = add_needed(needed, model->version->model, desc);
	if (model->shadow != NULL)
		needed = add_needed(needed, model->shadow->version->model, desc);
	return model->rules == NIL ? needed :
		bms_add_range(needed, 0, desc->natts - 1);
}

/*
 * Whether some of the columns are not in the table: generated ones that are
 * computed when they are read.
 */
static bool
lacks_needed(TupleDesc desc, const Bitmapset *needed)
{
	int			column = -1;

	while ((column = bms_next_member(needed, column)) >= 0)
	{
		if (churn_column_is_virtual(TupleDescAttr(desc, column)))
			return true;
	}
	return false;
}

/*
 * The tables that a table is a partition or a child of, under the snapshot
 * that catalogs are read with at present.
 */
static List *
parents_of(Oid relid)
{
	Relation	inherits = table_open(InheritsRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *parents = NIL;

	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(inherits, InheritsRelidSeqnoIndexId, true, NULL,
							  1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		parents = lappend_oid(parents,
							  ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent);
	systable_endscan(scan);
	table_close(inherits, AccessShareLock);
	return parents;
}

/*
 * Adds the places of the watches of one relation, which is the table itself or
 * one above it, and of those above.
 */
static void
add_places(ChurnWatchSet *set, ChurnWatchedRelation *entry, Oid watched,
		   Relation relation)
{
	TupleDesc	desc = RelationGetDescr(relation);
	List	   *parents;
	ListCell   *cell;
	ListCell   *other;

	foreach(cell, set->watches)
	{
		ChurnWatch *watch = lfirst(cell);
		ChurnWatchPlace *place;

		if (watch->relid != watched)
			continue;
		foreach(other, entry->places)
		{
			if (((ChurnWatchPlace *) lfirst(other))->watch == watch)
				break;			/* a child by more than one way */
		}
		if (other != NULL)
			continue;
		place = palloc0(sizeof(ChurnWatchPlace));
		place->watch = watch;
		place->full =
			relation->rd_rel->relreplident == REPLICA_IDENTITY_FULL;
		churn_reading_init(&place->reading, watch->model,
						   CreateTupleDescCopyConstr(desc), watch->key);
		if (!watch->related)
		{
			place->needed = needed_columns(watch->model, desc);
			place->incomplete = lacks_needed(desc, place->needed);
		}
		entry->places = lappend(entry->places, place);
	}
	parents = parents_of(watched);
	foreach(cell, parents)
		add_places(set, entry, lfirst_oid(cell), relation);
	list_free(parents);
}

/*
 * What is known of a relation; see stream_watch.h.  Outdated places stay until
 * the set is read anew, since changes that wait point to them.
 */
ChurnWatchedRelation *
churn_watch_set_find(ChurnWatchSet *set, Relation relation)
{
	Oid			relid = RelationGetRelid(relation);
	ChurnWatchedRelation *entry;
	MemoryContext old;
	bool		found;
	size_t		i;

	entry = hash_search(set->relations, &relid, HASH_ENTER, &found);
	if (found && entry->valid)
		return entry;
	entry->valid = true;		/* unless it is altered meanwhile */
	entry->configures = false;
	entry->places = NIL;
	for (i = 0; i < lengthof(set->configuring); i++)
		entry->configures |= set->configuring[i] == relid;
	old = MemoryContextSwitchTo(set->context);
	add_places(set, entry, relid, relation);
	MemoryContextSwitchTo(old);
	if (entry->places != NIL && ++set->nlayouts > MOST_LAYOUTS)
		set->stale = true;
	return entry;
}
