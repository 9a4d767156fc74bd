/*
 * registry_scan.c
 *		Reading rows of the registry's tables by index, under a snapshot.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "registry.h"
#include "registry_scan.h"
#include "settings.h"

/*
 * Complains that the extension is not there, or not whole.
 */
static void
no_relation(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("relation \"churn.%s\" does not exist", name),
			 errhint("Run CREATE EXTENSION churn in this database.")));
}

/*
 * A relation or index of schema "churn".  Their OIDs are remembered, since
 * statements that score one row look them up every time.
 */
Oid
churn_registry_relation(const char *name)
{
	static struct
	{
		const char *name;
		Oid			relation;
		uint64		epoch;
	}			known[] = {{"models"}, {"models_name_key"}, {"model_versions"},
	{"model_versions_pkey"}};
	Oid			schema;
	Oid			relation = InvalidOid;
	uint64		epoch = churn_name_epoch;
	int			i;

	for (i = 0; i < lengthof(known); i++)
	{
		if (strcmp(known[i].name, name) == 0)
			break;
	}
	if (i < lengthof(known) && known[i].epoch == epoch)
		return known[i].relation;

	schema = get_namespace_oid("churn", true);
	if (OidIsValid(schema))
		relation = get_relname_relid(name, schema);
	if (!OidIsValid(relation))
		no_relation(name);
	if (i < lengthof(known))
	{
		known[i].relation = relation;
		known[i].epoch = epoch;
	}
	return relation;
}

/*
 * Opens a table of schema "churn", with a lock that keeps it; it may have been
 * dropped between the look-up and the lock.
 */
Relation
churn_registry_open(const char *name)
{
	Relation	relation = try_table_open(churn_registry_relation(name),
										  AccessShareLock);

	if (relation == NULL)
		no_relation(name);
	return relation;
}

/*
 * Begins an index scan for text = name in the index's first column and, when
 * version is not 0, int = version in its second.
 */
SysScanDesc
churn_registry_scan(Relation relation, const char *index, const char *name,
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
AttrNumber
churn_registry_column(Relation relation, const char *name)
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
Datum
churn_registry_value(Relation relation, HeapTuple tuple, const char *name,
					 bool *isnull)
{
	return heap_getattr(tuple, churn_registry_column(relation, name),
						RelationGetDescr(relation), isnull);
}

/*
 * A text column as a string in the current memory context; NULL for NULL.
 */
char *
churn_registry_text(Relation relation, HeapTuple tuple, const char *name)
{
	bool		isnull;
	Datum		value = churn_registry_value(relation, tuple, name, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/*
 * A bytea column of the tuple, detoasted; it must not be NULL.
 */
bytea *
churn_registry_bytea(Relation relation, HeapTuple tuple, const char *name)
{
	bool		isnull;
	Datum		value = churn_registry_value(relation, tuple, name, &isnull);

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("column \"%s\" of a row of \"churn.%s\" is null",
						name, RelationGetRelationName(relation))));
	return DatumGetByteaPP(value);
}
