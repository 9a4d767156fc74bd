/*
 * row_shape.c
 *		The columns of a row type as a version of a model wants them, found
 *		once and kept with the version where they can be.
 */
#include "postgres.h"

#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "compat.h"
#include "row_shape.h"
#include "settings.h"

/* Shapes that nobody holds are dropped when a version has so many. */
#define MOST_SHAPES		16

/*
 * A descriptor of the live columns of another.
 */
static TupleDesc
live_columns(TupleDesc desc)
{
	TupleDesc	result;
	int			live = 0;
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped)
			live++;
	}
	result = CreateTemplateTupleDesc(live);
	live = 0;
	for (i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped)
			TupleDescCopyEntry(result, ++live, desc, i + 1);
	}
	return result;
}

/*
 * Drops the shapes that nobody holds and that the new one supersedes, since
 * the type has altered or a day has begun, or all of them if there are too
 * many.
 */
static void
drop_shapes(ChurnVersion *version, const ChurnRowShape *superseding)
{
	ChurnRowShape **link = &version->shapes;
	ChurnRowShape *shape;
	int			count = 0;
	bool		all;

	for (shape = version->shapes; shape != NULL; shape = shape->next)
		count++;
	all = count >= MOST_SHAPES;
	while ((shape = *link) != NULL)
	{
		bool		superseded = shape->type == superseding->type &&
		shape->typmod == superseding->typmod &&
		shape->arguments == superseding->arguments;

		if (shape->pins == 0 && (all || superseded))
		{
			*link = shape->next;
			MemoryContextDelete(shape->context);
		}
		else
			link = &shape->next;
	}
}

/*
 * Makes a shape, in a context that hangs below the caller's until it is
 * complete.  The identifier was read before the descriptor is: should the type
 * alter in between, the shape is found outdated the next time.
 */
static ChurnRowShape *
make_shape(ChurnVersion *version, Oid type, int32 typmod, uint64 identifier,
		   bool arguments)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "churn row shape",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ChurnRowShape *shape = palloc0(sizeof(ChurnRowShape));
	TupleDesc	desc = lookup_rowtype_tupdesc(type, typmod);

	shape->context = context;
	shape->type = type;
	shape->typmod = typmod;
	shape->identifier = identifier;
	shape->arguments = arguments;
	shape->day = churn_statement_day();
	shape->desc = arguments ? live_columns(desc) : CreateTupleDescCopy(desc);
	ReleaseTupleDesc(desc);
	shape->map = churn_row_map(version->model, version->name, shape->desc,
							   context);
	shape->kept = shape->map->transforms == NULL;
	MemoryContextSwitchTo(old);
	return shape;
}

/*
 * Finds or makes a shape for a row type as it is now.
 */
static ChurnRowShape *
find_shape(ChurnVersion *version, Oid type, int32 typmod, bool arguments)
{
	uint64		identifier = assign_record_type_identifier(type, typmod);
	DateADT		today = churn_statement_day();
	ChurnRowShape *shape;

	for (shape = version->shapes; shape != NULL; shape = shape->next)
	{
		if (shape->type == type && shape->typmod == typmod &&
			shape->identifier == identifier && shape->day == today &&
			shape->arguments == arguments)
			return shape;
	}
	shape = make_shape(version, type, typmod, identifier, arguments);
	MemoryContextSetParent(shape->context, version->context);
	if (shape->kept)
	{
		drop_shapes(version, shape);
		shape->next = version->shapes;
		version->shapes = shape;
	}
	return shape;
}

/*
 * Finds or makes a shape; see row_shape.h.
 */
ChurnRowShape *
churn_row_shape(ChurnVersion *version, Oid type, int32 typmod)
{
	ChurnRowShape *shape = find_shape(version, type, typmod, false);

	shape->pins++;
	return shape;
}

/*
 * Finds or makes a shape for arguments; see row_shape.h.  As long as no
 * relation was altered, the one found for the relation before is right.
 */
ChurnRowShape *
churn_row_shape_of_arguments(ChurnVersion *version, Oid relation)
{
	uint64		name_epoch = churn_name_epoch;
	DateADT		today = churn_statement_day();
	ChurnRowShape *shape;

	for (shape = version->shapes; shape != NULL; shape = shape->next)
	{
		if (shape->relation == relation && shape->name_epoch == name_epoch &&
			shape->arguments && shape->day == today)
			break;
	}
	if (shape == NULL)
	{
		Oid			type = get_rel_type_id(relation);

		if (!OidIsValid(type))
			return NULL;
		shape = find_shape(version, type, -1, true);
		shape->relation = relation;
		shape->name_epoch = name_epoch;
	}
	shape->pins++;
	return shape;
}

/*
 * Lets a shape go; see row_shape.h.
 */
void
churn_row_shape_release(ChurnRowShape *shape)
{
	shape->pins--;
	if (!shape->kept)
		MemoryContextDelete(shape->context);
}
