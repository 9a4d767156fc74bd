/*
 * row_store.c
 *		Rows that were read as one role, for statements that run as another.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "utils/memutils.h"
#include "utils/queryenvironment.h"

#include "row_store.h"

/*
 * Makes stored rows a relation; see row_store.h.
 */
void
churn_row_store_register(const char *name, TupleDesc desc,
						 Tuplestorestate *store, double rows,
						 MemoryContext context)
{
	EphemeralNamedRelation relation;

	relation = MemoryContextAllocZero(context,
									  sizeof(EphemeralNamedRelationData));
	relation->md.name = MemoryContextStrdup(context, name);
	relation->md.reliddesc = InvalidOid;
	relation->md.tupdesc = desc;
	relation->md.enrtype = ENR_NAMED_TUPLESTORE;
	relation->md.enrtuples = rows;
	relation->reldata = store;
	if (SPI_register_relation(relation) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register relation %s", name);
}
