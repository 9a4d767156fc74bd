/*
 * row_shape.h
 *		The columns of a row type as a version of a model wants them.
 */
#ifndef CHURN_ROW_SHAPE_H
#define CHURN_ROW_SHAPE_H

#include "access/tupdesc.h"
#include "fmgr.h"

#include "features.h"
#include "registry.h"

/*
 * It is kept with the version, since a statement that scores one row would
 * spend more time on finding the columns than on the score.  Only if the model
 * has transforms, whose compiled expressions hold the row that is being
 * evaluated, it belongs to whoever asked for it.
 */
typedef struct ChurnRowShape
{
	struct ChurnRowShape *next; /* of the same version */
	MemoryContext context;		/* holds all of it; below the version's */
	Oid			relation;		/* whose type it is, if it was asked by that */
	uint64		name_epoch;		/* churn_name_epoch when it was */
	Oid			type;			/* of the row */
	int32		typmod;
	uint64		identifier;		/* the row type's, which alters with it */
	DateADT		day;			/* from which ages count, if not from a column */
	bool		arguments;		/* rows come as arguments, live columns only */
	TupleDesc	desc;			/* a copy; of live columns, if so */
	ChurnRowMap *map;			/* from positions in desc */
	bool kept;					/* with the version, for others as well */
	int			pins;			/* if so */
} ChurnRowShape;

/*
 * Finds the version's shape for a row type, made if there is none, and pins
 * it.  The version must be pinned longer than the shape is held.
 */
extern ChurnRowShape *churn_row_shape(ChurnVersion *version, Oid type,
									  int32 typmod);

/*
 * The same for rows of a relation that come as a list of their live columns;
 * NULL if it is no relation with rows.
 */
extern ChurnRowShape *churn_row_shape_of_arguments(ChurnVersion *version,
												   Oid relation);

/* Lets a shape go.  Nothing in it may be used any more. */
extern void churn_row_shape_release(ChurnRowShape *shape);

#endif							/* CHURN_ROW_SHAPE_H */
