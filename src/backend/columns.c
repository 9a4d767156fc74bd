/*
 * columns.c
 *		Which column of a source plays which part in training.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/datetime.h"

#include "compat.h"
#include "columns.h"

/*
 * Reads a date written YYYY-MM-DD.  No other form is taken, since what one of
 * those means depends on the session's DateStyle.
 */
bool
churn_parse_day(const char *text, DateADT *day)
{
	int			year;
	int			month;
	int			mday;
	int			end = 0;

	if (sscanf(text, "%4d-%2d-%2d%n", &year, &month, &mday, &end) != 3 ||
		end != 10 || text[end] != '\0')
		return false;
	if (year < 1 || month < 1 || month > MONTHS_PER_YEAR || mday < 1 ||
		mday > day_tab[isleap(year)][month - 1])
		return false;
	*day = date2j(year, month, mday) - POSTGRES_EPOCH_JDATE;
	return true;
}

/*
 * Finds from when ages count.
 */
static void
choose_as_of(ChurnColumns *columns, const ChurnSource *source,
			 const char *as_of)
{
	ChurnReader reader;
	Oid			type;

	columns->as_of = -1;
	columns->as_of_day = churn_statement_day();
	if (as_of == NULL)
		return;
	columns->as_of = churn_find_column(source->desc, as_of);
	if (columns->as_of < 0)
	{
		if (!churn_parse_day(as_of, &columns->as_of_day))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"as_of\" is neither a date nor the name of a column: \"%s\"",
							as_of),
					 errhint("A date is written YYYY-MM-DD.")));
		return;
	}
	type = TupleDescAttr(source->desc, columns->as_of)->atttypid;
	churn_reader_init(&reader, type);
	if (reader.kind != CHURN_COLUMN_AGE)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of option \"as_of\" is of type %s",
						as_of, format_type_be(type)),
				 errhint("It must be a date or a timestamp.")));
}

/*
 * Finds the column that identifies a customer.
 */
static void
choose_key(ChurnColumns *columns, const ChurnSource *source, const char *key)
{
	if (key != NULL)
		columns->key = churn_source_column(source, key, "key");
	else
		columns->key = source->primary_key;
	if (columns->key >= 0 && columns->key == columns->label)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" cannot be both key and label",
						NameStr(TupleDescAttr(source->desc,
											  columns->key)->attname))));
	if (columns->key < 0 && source->composite_key)
		ereport(NOTICE,
				(errmsg("the primary key of %s has several columns, so that rows are told apart by all their values",
						source->relation),
				 errhint("If one column identifies a customer, name it: key => '...'.")));
}

/*
 * Appends a column's name, and its type if wanted, to a list.
 */
static void
list_column(StringInfo list, Form_pg_attribute att, bool with_type)
{
	appendStringInfo(list, "%s\"%s\"", list->len > 0 ? ", " : "",
					 NameStr(att->attname));
	if (with_type)
		appendStringInfo(list, " (%s)", format_type_be(att->atttypid));
}

/*
 * Tells the client of columns that were left out without being asked to.
 */
static void
tell_left_out(StringInfo typed, StringInfo identifying)
{
	if (typed->len > 0)
		ereport(NOTICE,
				(errmsg("left out, of types that cannot be features: %s",
						typed->data)));
	if (identifying->len > 0)
		ereport(NOTICE,
				(errmsg("left out, since each value occurs once: %s",
						identifying->data)));
}

/*
 * Complains of a number of features that cannot be trained on.
 */
static void
check_features(const ChurnColumns *columns, const ChurnSource *source)
{
	int			nfeatures = columns->nfeatures + columns->ntransforms;

	if (nfeatures == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no column is left to train on"),
				 errhint("Besides label and key the source needs at least one column that is a number, text, boolean, date or timestamp.")));
	if (nfeatures > CHURN_MAX_FEATURES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%d features exceed the limit of %d", nfeatures,
						CHURN_MAX_FEATURES),
				 errhint("Name columns to leave out: exclude => '{...}'.")));
}

/*
 * Chooses the columns that are features.
 */
static void
choose_features(ChurnColumns *columns, const ChurnSource *source,
				const Bitmapset *excluded)
{
	StringInfoData typed;
	StringInfoData identifying;
	int			i;

	initStringInfo(&typed);
	initStringInfo(&identifying);
	columns->features = palloc(sizeof(int) * Max(source->desc->natts, 1));
	for (i = 0; i < source->desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(source->desc, i);
		ChurnReader reader;

		if (att->attisdropped || i == columns->label || i == columns->key ||
			i == columns->as_of || bms_is_member(i, excluded))
			continue;
		churn_reader_init(&reader, att->atttypid);
		if (reader.kind == CHURN_COLUMN_NONE)
			list_column(&typed, att, true);
		else if (bms_is_member(i, source->identifiers))
			list_column(&identifying, att, false);
		else
			columns->features[columns->nfeatures++] = i;
	}
	tell_left_out(&typed, &identifying);
}

/*
 * Complains of a transform's name that is none, or taken.
 */
static void
check_transform_name(const ChurnTransform *transform,
					 const ChurnSource *source)
{
	if (transform->name[0] == '\0' || strlen(transform->name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("name of transform \"%s\" is empty or too long",
						transform->name),
				 errdetail("A name has 1 to %d bytes.", NAMEDATALEN - 1)));
	if (churn_find_column(source->desc, transform->name) >= 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_COLUMN),
				 errmsg("transform \"%s\" has the name of a column",
						transform->name),
				 errhint("Give it another name; to replace the column, exclude that.")));
}

/*
 * Complains of a transform that uses the label or the key.
 */
static void
check_transform_columns(const ChurnColumns *columns, const ChurnSource *source,
						const ChurnTransform *transform,
						const ChurnExpression *expression)
{
	int			i;

	for (i = 0; i < expression->ncolumns; i++)
	{
		int			column = expression->columns[i];
		bool		label = column == columns->label;

		if (!label && column != columns->key)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("transform \"%s\" must not use the %s, column \"%s\"",
						transform->name, label ? "label" : "key",
						NameStr(TupleDescAttr(source->desc,
											  column)->attname)),
				 errdetail("The expression is: %s", transform->text),
				 label ?
				 errhint("What is to be foretold is not known when customers are scored.") :
				 errhint("A key tells customers apart, and nothing about the next one.")));
	}
}

/*
 * Complains of a type that cannot be a feature's or a condition's.
 */
static void
check_transform_type(const ChurnTransform *transform, Oid type, bool rules)
{
	ChurnReader reader;

	churn_reader_init(&reader, type);
	if (rules && reader.kind != CHURN_COLUMN_BOOLEAN)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("condition of %s is of type %s, not boolean",
						transform->name, format_type_be(type)),
				 errdetail("The condition is: %s", transform->text)));
	if (reader.kind == CHURN_COLUMN_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("transform \"%s\" is of type %s, which cannot be a feature",
						transform->name, format_type_be(type)),
				 errdetail("The expression is: %s", transform->text),
				 errhint("It must be a number, text, boolean, date or timestamp.")));
}

/*
 * Adds the features that are computed.
 */
static void
choose_transforms(ChurnColumns *columns, const ChurnSource *source,
				  List *transforms, bool rules)
{
	int			n = list_length(transforms);
	ListCell   *cell;

	columns->transforms = palloc(sizeof(ChurnTransform) * Max(n, 1));
	columns->transform_types = palloc(sizeof(Oid) * Max(n, 1));
	foreach(cell, transforms)
	{
		const ChurnTransform *transform = lfirst(cell);
		ChurnExpression *expression;
		int			i;

		if (!rules)
			check_transform_name(transform, source);
		expression = churn_transform_parse(transform, source->desc);
		check_transform_columns(columns, source, transform, expression);
		check_transform_type(transform, expression->type, rules);
		for (i = 0; i < expression->ncolumns; i++)
			columns->transform_columns =
				bms_add_member(columns->transform_columns,
							   expression->columns[i]);
		columns->transforms[columns->ntransforms] = *transform;
		columns->transform_types[columns->ntransforms++] = expression->type;
	}
}

/*
 * Chooses the columns.
 */
ChurnColumns *
churn_columns_choose(const ChurnSource *source, const char *label,
					 const char *key, List *exclude, const char *as_of,
					 List *transforms, bool rules)
{
	ChurnColumns *columns = palloc0(sizeof(ChurnColumns));
	Bitmapset  *excluded = NULL;
	ListCell   *cell;

	columns->label = churn_source_column(source, label, "label");
	choose_key(columns, source, key);
	choose_as_of(columns, source, as_of);
	foreach(cell, exclude)
		excluded = bms_add_member(excluded,
								  churn_source_column(source, lfirst(cell),
													  "excluded"));
	if (!rules)
		choose_features(columns, source, excluded);
	choose_transforms(columns, source, transforms, rules);
	check_features(columns, source);
	return columns;
}

/*
 * The columns of the source that training reads.
 */
Bitmapset *
churn_columns_needed(const ChurnColumns *columns)
{
	Bitmapset  *needed = bms_copy(columns->transform_columns);
	int			i;

	needed = bms_add_member(needed, columns->label);
	if (columns->key >= 0)
		needed = bms_add_member(needed, columns->key);
	if (columns->as_of >= 0)
		needed = bms_add_member(needed, columns->as_of);
	for (i = 0; i < columns->nfeatures; i++)
		needed = bms_add_member(needed, columns->features[i]);
	return needed;
}
