/*
 * compat.h
 *		Differences between the server's major versions, 15 to 18.
 *
 * Each shim has the newest version's shape.
 */
#ifndef CHURN_COMPAT_H
#define CHURN_COMPAT_H

#include "access/tupdesc.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_database.h"
#include "nodes/primnodes.h"
#include "utils/acl.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM < 150000
#error "churn needs PostgreSQL 15 or later"
#endif

/* PostgreSQL 16 moved these out of postgres.h. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* It stands before the declaration since 18, the other one behind it. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/*
 * A Var that means the row as the table has it: not NULLed by an outer join
 * (16 marks that in the Var itself), nor the OLD or NEW of RETURNING (18).
 */
static inline bool
churn_var_is_ordinary(const Var *var)
{
#if PG_VERSION_NUM >= 160000
	if (var->varnullingrels != NULL)
		return false;
#endif
#if PG_VERSION_NUM >= 180000
	if (var->varreturningtype != VAR_RETURNING_DEFAULT)
		return false;
#endif
	return true;
}

/* 18 has generated columns that are computed when they are read. */
static inline bool
churn_column_is_virtual(Form_pg_attribute att)
{
#if PG_VERSION_NUM >= 180000
	return att->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL;
#else
	return false;
#endif
}

/* PostgreSQL 16 renamed it: a position in the array is no backend's number. */
#if PG_VERSION_NUM < 160000
#define pgstat_get_local_beentry_by_index(index) \
	pgstat_fetch_stat_local_beentry(index)
#endif

/* 17: tuples of decoded changes are plain HeapTuples. */
#if PG_VERSION_NUM >= 170000
#define churn_change_new(change) ((change)->data.tp.newtuple)
#define churn_change_old(change) ((change)->data.tp.oldtuple)
#else
#define churn_change_new(change) \
	((change)->data.tp.newtuple ? &(change)->data.tp.newtuple->tuple : NULL)
#define churn_change_old(change) \
	((change)->data.tp.oldtuple ? &(change)->data.tp.oldtuple->tuple : NULL)
#endif

/*
 * Replication slots: 17 asks whether the slot is one of failover or synced, 18
 * whether an invalidated slot is an error; 16 gives reasons of invalidation.
 */
#if PG_VERSION_NUM >= 170000
#define churn_slot_create(name) \
	ReplicationSlotCreate(name, true, RS_EPHEMERAL, false, false, false)
#else
#define churn_slot_create(name) \
	ReplicationSlotCreate(name, true, RS_EPHEMERAL, false)
#endif
#if PG_VERSION_NUM >= 180000
#define churn_slot_acquire(name) ReplicationSlotAcquire(name, false, true)
#else
#define churn_slot_acquire(name) ReplicationSlotAcquire(name, false)
#endif
#if PG_VERSION_NUM >= 160000
#define churn_slot_is_invalid(data) ((data)->invalidated != RS_INVAL_NONE)
#else
#define churn_slot_is_invalid(data) \
	(!XLogRecPtrIsInvalid((data)->invalidated_at))
#endif

/* 16 has one function for the owners of all kinds of objects. */
#if PG_VERSION_NUM < 160000
#define churn_database_ownercheck(database, role) \
	pg_database_ownercheck(database, role)
#else
#define churn_database_ownercheck(database, role) \
	object_ownercheck(DatabaseRelationId, database, role)
#endif

/* A database that DROP DATABASE left half dropped; 15.4 marks it. */
#ifndef DATCONNLIMIT_INVALID_DB
#define DATCONNLIMIT_INVALID_DB (-2)
#endif

/*
 * The wait event of a name, which pg_stat_activity shows from 17 on.  It is
 * asked for once a process and kept where the caller says.
 */
static inline uint32
churn_wait_event(const char *name, uint32 *kept)
{
	if (*kept == 0)
	{
#if PG_VERSION_NUM >= 170000
		*kept = WaitEventExtensionNew(name);
#else
		*kept = PG_WAIT_EXTENSION;
#endif
	}
	return *kept;
}

/*
 * 16 wants to know the result relations and whether only summarizing indexes
 * are meant, 18 where to count index scans.
 */
#if PG_VERSION_NUM >= 160000
#define churn_eval_plan_qual_init(epq, estate) \
	EvalPlanQualInit(epq, estate, NULL, NIL, -1, NIL)
#else
#define churn_eval_plan_qual_init(epq, estate) \
	EvalPlanQualInit(epq, estate, NULL, NIL, -1)
#endif
#if PG_VERSION_NUM >= 160000
#define churn_insert_index_tuples(info, slot, estate) \
	ExecInsertIndexTuples(info, slot, estate, false, false, NULL, NIL, false)
#else
#define churn_insert_index_tuples(info, slot, estate) \
	ExecInsertIndexTuples(info, slot, estate, false, false, NULL, NIL)
#endif
#if PG_VERSION_NUM >= 180000
#define churn_index_beginscan(table, index, snapshot, nkeys) \
	index_beginscan(table, index, snapshot, NULL, nkeys, 0)
#else
#define churn_index_beginscan(table, index, snapshot, nkeys) \
	index_beginscan(table, index, snapshot, nkeys, 0)
#endif

/* 16 calls it a locator. */
#if PG_VERSION_NUM >= 160000
#define churn_relation_locator(relation) ((relation)->rd_locator)
#else
#define churn_relation_locator(relation) ((relation)->rd_node)
#endif

/* 16 asks whether to copy a datum that is sorted, which before it always did. */
#if PG_VERSION_NUM >= 160000
#define churn_tuplesort_getdatum(state, value, isnull) \
	tuplesort_getdatum(state, true, true, value, isnull, NULL)
#else
#define churn_tuplesort_getdatum(state, value, isnull) \
	tuplesort_getdatum(state, true, value, isnull, NULL)
#endif

#endif							/* CHURN_COMPAT_H */
