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
static bool
parse_day(const char *text, DateADT *day)
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
		if (!parse_day(as_of, &columns->as_of_day))
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
	if (columns->nfeatures == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no column is left to train on"),
				 errhint("Besides label and key the source needs at least one column that is a number, text, boolean, date or timestamp.")));
	if (columns->nfeatures > CHURN_MAX_FEATURES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%d features exceed the limit of %d",
						columns->nfeatures, CHURN_MAX_FEATURES),
				 errhint("Name columns to leave out: exclude => '{...}'.")));
}

/*
 * Chooses the columns.
 */
ChurnColumns *
churn_columns_choose(const ChurnSource *source, const char *label,
					 const char *key, List *exclude, const char *as_of)
{
	ChurnColumns *columns = palloc0(sizeof(ChurnColumns));
	Bitmapset  *excluded = NULL;
	StringInfoData typed;
	StringInfoData identifying;
	ListCell   *cell;
	int			i;

	columns->label = churn_source_column(source, label, "label");
	choose_key(columns, source, key);
	choose_as_of(columns, source, as_of);
	foreach(cell, exclude)
		excluded = bms_add_member(excluded,
								  churn_source_column(source, lfirst(cell),
													  "excluded"));
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
	check_features(columns, source);
	return columns;
}

/*
 * Whether a column can serve as a feature.  The rule is that of
 * churn_row_map(), which complains where this says no.
 */
static bool
column_fits(const ChurnFeature *feature, TupleDesc desc)
{
	int			column = churn_find_column(desc, feature->name);
	ChurnReader reader;

	if (column < 0)
		return false;
	churn_reader_init(&reader, TupleDescAttr(desc, column)->atttypid);
	return churn_feature_fits(feature, reader.kind);
}

/*
 * Whether a model can score the rows of the source.
 */
bool
churn_columns_fit(const ChurnModel *model, TupleDesc desc)
{
	uint32		i;

	for (i = 0; i < model->nfeatures; i++)
	{
		if (!column_fits(&model->features[i], desc))
			return false;
	}
	if (model->as_of == CHURN_AS_OF_COLUMN)
	{
		int			column = churn_find_column(desc, model->as_of_column);
		ChurnReader reader;

		if (column < 0)
			return false;
		churn_reader_init(&reader, TupleDescAttr(desc, column)->atttypid);
		return reader.kind == CHURN_COLUMN_AGE;
	}
	return true;
}

/*
 * The columns that training, and the model unless it is NULL, read.
 */
Bitmapset *
churn_columns_needed(const ChurnColumns *columns, const ChurnModel *model,
					 TupleDesc desc)
{
	Bitmapset  *needed = bms_make_singleton(columns->label);
	int			i;

	if (columns->key >= 0)
		needed = bms_add_member(needed, columns->key);
	if (columns->as_of >= 0)
		needed = bms_add_member(needed, columns->as_of);
	for (i = 0; i < columns->nfeatures; i++)
		needed = bms_add_member(needed, columns->features[i]);
	if (model == NULL)
		return needed;
	for (i = 0; i < (int) model->nfeatures; i++)
		needed = bms_add_member(needed,
								churn_find_column(desc,
												  model->features[i].name));
	if (model->as_of == CHURN_AS_OF_COLUMN)
		needed = bms_add_member(needed,
								churn_find_column(desc, model->as_of_column));
	return needed;
}
