/*
 * features.c
 *		From SQL values to the feature vector of a model.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "churn/dictionary.h"
#include "churn/number.h"
#include "churn/profile.h"

#include "compat.h"
#include "features.h"

/*
 * Whether values of a column can serve as values of a feature.
 */
bool
churn_feature_fits(const ChurnFeature *feature, ChurnColumnKind kind)
{
	switch (feature->kind)
	{
		case CHURN_FEATURE_NUMBER:
			if (feature->flags & CHURN_FEATURE_TEXT_NUMBER)
				return kind == CHURN_COLUMN_TEXT || kind == CHURN_COLUMN_NUMBER;
			return kind == CHURN_COLUMN_NUMBER || kind == CHURN_COLUMN_BOOLEAN;
		case CHURN_FEATURE_BOOLEAN:
			return kind == CHURN_COLUMN_BOOLEAN;
		case CHURN_FEATURE_CATEGORY:
			return kind == CHURN_COLUMN_TEXT;
		case CHURN_FEATURE_AGE:
			return kind == CHURN_COLUMN_AGE;
	}
	return false;
}

/*
 * The words for what a feature wants, for messages.
 */
const char *
churn_feature_wants(const ChurnFeature *feature)
{
	switch (feature->kind)
	{
		case CHURN_FEATURE_NUMBER:
			return (feature->flags & CHURN_FEATURE_TEXT_NUMBER) ?
				"a number, or text that holds numbers" : "a number";
		case CHURN_FEATURE_BOOLEAN:
			return "a boolean";
		case CHURN_FEATURE_CATEGORY:
			return "text or an enum";
		case CHURN_FEATURE_AGE:
			return "a date or timestamp";
	}
	return "something else";
}

/* Columns of fields that have none. */
#define MISSING		(-1)
#define DERIVED		(-2)

/*
 * Complains of all the columns that a row lacks at once.
 */
static void
missing_columns(const ChurnRowMap *map, const char *model_name)
{
	const ChurnModel *model = map->model;
	StringInfoData names;
	const char *first = NULL;
	int			missing = 0;
	uint32		i;

	initStringInfo(&names);
	for (i = 0; i < model->nfeatures; i++)
	{
		if (map->fields[i].column != MISSING)
			continue;
		if (first == NULL)
			first = model->features[i].name;
		appendStringInfo(&names, "%s%s", missing++ ? ", " : "",
						 quote_identifier(model->features[i].name));
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("row has no column \"%s\", which model \"%s\" needs",
					first, model_name),
			 missing > 1 ? errdetail("Missing are: %s.", names.data) : 0,
			 errhint("Pass a row with the columns that the model was trained on, for example \"customers.*\".")));
}

/*
 * Finds a live column by name; -1 if there is none.
 */
int
churn_find_column(TupleDesc desc, const char *name)
{
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && strcmp(NameStr(att->attname), name) == 0)
			return i;
	}
	return -1;
}

/*
 * Which of encode_value()'s ways suits a column.
 */
static ChurnReadHow
how_to_read(const ChurnFeature *feature, const ChurnReader *reader)
{
	if (feature->kind == CHURN_FEATURE_CATEGORY)
		return reader->type == TEXTOID || reader->type == VARCHAROID ?
			CHURN_READ_TEXT : CHURN_READ_ANY;
	if (reader->type == FLOAT8OID)
		return CHURN_READ_FLOAT8;
	if (reader->type == INT4OID)
		return CHURN_READ_INT4;
	return CHURN_READ_ANY;
}

/*
 * Whether a type is one of whole numbers, by its name.
 */
static bool
is_whole(const char *type)
{
	return strcmp(type, "smallint") == 0 || strcmp(type, "integer") == 0 ||
		strcmp(type, "bigint") == 0;
}

/*
 * Complains unless a transform gives what it gave at training.  Kinds must
 * fit, as those of columns; and what was a whole number must be one still,
 * since a division of whole numbers is another than that of others.
 */
void
churn_feature_check_derived(const ChurnFeature *feature, Oid type,
							const char *model_name)
{
	const char *now = format_type_be(type);
	ChurnReader reader;

	churn_reader_init(&reader, type);
	if (churn_feature_fits(feature, reader.kind) &&
		(feature->kind != CHURN_FEATURE_NUMBER || feature->type[0] == '\0' ||
		 is_whole(feature->type) == is_whole(now)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("transform \"%s\" of model \"%s\" is of type %s, but the model needs %s",
					feature->name, model_name, now,
					feature->type[0] != '\0' ? feature->type :
					churn_feature_wants(feature)),
			 errdetail("The expression is: %s", feature->transform),
			 errhint("Cast the columns that it uses to the types they had when the model was trained, in a view or a sub-select.")));
}

/*
 * Compiles the transforms of a model, if it has any.
 */
static void
map_transforms(ChurnRowMap *map, const char *model_name, TupleDesc desc,
			   MemoryContext context)
{
	const ChurnModel *model = map->model;
	ChurnTransform *transforms;
	int			n = 0;
	uint32		i;

	for (i = 0; i < model->nfeatures; i++)
		n += model->features[i].transform != NULL;
	if (n == 0)
		return;
	transforms = palloc(sizeof(ChurnTransform) * n);
	map->derived = palloc(sizeof(uint32) * n);
	n = 0;
	for (i = 0; i < model->nfeatures; i++)
	{
		if (model->features[i].transform == NULL)
			continue;
		transforms[n].name = model->features[i].name;
		transforms[n].text = model->features[i].transform;
		transforms[n].model = model_name;
		map->derived[n++] = i;
	}
	map->transforms = churn_transforms_compile(transforms, n, desc, context);
	while (n-- > 0)
	{
		const ChurnFeature *feature = &model->features[map->derived[n]];
		ChurnField *field = &map->fields[map->derived[n]];
		Oid			type = map->transforms->derived[n].expression->type;

		churn_reader_init(&field->reader, type);
		churn_feature_check_derived(feature, type, model_name);
		field->dictionary = feature->dictionary;
		field->how = how_to_read(feature, &field->reader);
	}
}

/*
 * Finds the column of a feature that is a column.
 */
static void
map_column(ChurnField *field, const ChurnFeature *feature,
		   const char *model_name, TupleDesc desc)
{
	int			column = churn_find_column(desc, feature->name);
	Oid			type;

	field->column = column;
	if (column < 0)
		return;
	type = TupleDescAttr(desc, column)->atttypid;
	churn_reader_init(&field->reader, type);
	if (!churn_feature_fits(feature, field->reader.kind))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" is of type %s, but model \"%s\" needs %s",
						feature->name, format_type_be(type), model_name,
						churn_feature_wants(feature)),
				 feature->type[0] != '\0' ?
				 errdetail("It was of type %s when the model was trained.",
						   feature->type) : 0,
				 errhint("Cast the column in a view or a sub-select, or train a new version.")));
	field->dictionary = feature->dictionary;
	field->how = how_to_read(feature, &field->reader);
}

/*
 * Finds the column from which ages count.
 */
static void
map_as_of(ChurnRowMap *map, const char *model_name, TupleDesc desc)
{
	const ChurnModel *model = map->model;
	int			column = churn_find_column(desc, model->as_of_column);
	Oid			type;

	if (column < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("row has no column \"%s\", from which model \"%s\" counts ages",
						model->as_of_column, model_name)));
	type = TupleDescAttr(desc, column)->atttypid;
	churn_reader_init(&map->as_of_reader, type);
	if (map->as_of_reader.kind != CHURN_COLUMN_AGE)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\", from which model \"%s\" counts ages, is of type %s",
						model->as_of_column, model_name, format_type_be(type)),
				 errhint("It must be a date or a timestamp.")));
	map->as_of_column = column;
}

/*
 * Finds the columns that the model wants by name.
 */
ChurnRowMap *
churn_row_map(const ChurnModel *model, const char *model_name, TupleDesc desc,
			  MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	ChurnRowMap *map = palloc0(sizeof(ChurnRowMap));
	bool		missing = false;
	uint32		i;

	map->model = model;
	map->fields = palloc0(sizeof(ChurnField) * Max(model->nfeatures, 1));
	map->as_of_column = -1;
	map->as_of_day = churn_statement_day();
	for (i = 0; i < model->nfeatures; i++)
	{
		if (model->features[i].transform != NULL)
			map->fields[i].column = DERIVED;
		else
			map_column(&map->fields[i], &model->features[i], model_name, desc);
		missing |= map->fields[i].column == MISSING;
	}
	if (missing)
		missing_columns(map, model_name);
	map_transforms(map, model_name, desc, context);
	if (model->as_of == CHURN_AS_OF_COLUMN)
		map_as_of(map, model_name, desc);
	MemoryContextSwitchTo(old);
	return map;
}

/*
 * The columns of desc that the map reads.
 */
Bitmapset *
churn_row_map_columns(const ChurnRowMap *map)
{
	Bitmapset  *columns = NULL;
	uint32		i;
	int			j;
	int			k;

	for (i = 0; i < map->model->nfeatures; i++)
	{
		if (map->fields[i].column >= 0)
			columns = bms_add_member(columns, map->fields[i].column);
	}
	if (map->as_of_column >= 0)
		columns = bms_add_member(columns, map->as_of_column);
	for (j = 0; map->transforms != NULL && j < map->transforms->n; j++)
	{
		ChurnExpression *expression = map->transforms->derived[j].expression;

		for (k = 0; k < expression->ncolumns; k++)
			columns = bms_add_member(columns, expression->columns[k]);
	}
	return columns;
}

/*
 * A text as the code of its category; if training never saw it, a NaN that only
 * profiles tell from that of a missing value.
 */
static inline float
category_code(const ChurnField *field, const char *text, size_t length)
{
	int32		code = churn_dictionary_look_up(field->dictionary, text,
												length);

	return unlikely(code < 0) ? churn_unseen_value() : (float) code;
}

/*
 * A value by the general way.
 */
static float
encode_any(const ChurnField *field, Datum value, DateADT as_of,
		   bool has_as_of)
{
	const ChurnReader *reader = &field->reader;
	const char *text;
	size_t		length;
	float		number;

	if (reader->kind != CHURN_COLUMN_TEXT)
	{
		if (reader->kind == CHURN_COLUMN_AGE && !has_as_of)
			return NAN;
		return churn_reader_float(reader, value, as_of);
	}
	text = churn_reader_text(reader, value, &length);

	if (field->dictionary != NULL)
		return category_code(field, text, length);
	/* a text that is no number is missing */
	if (!churn_number_parse(text, length, &number))
		return NAN;
	return number;
}

/*
 * A value as a feature.  The common cases are short cuts of encode_any().
 */
static inline float
encode_value(const ChurnField *field, Datum value, DateADT as_of,
			 bool has_as_of)
{
	if (field->how == CHURN_READ_TEXT)
	{
		struct varlena *text = (struct varlena *) DatumGetPointer(value);

		if (likely(VARATT_IS_SHORT(text) && !VARATT_IS_EXTERNAL(text)))
			return category_code(field, VARDATA_SHORT(text),
								 VARSIZE_SHORT(text) - VARHDRSZ_SHORT);
	}
	else if (field->how == CHURN_READ_FLOAT8)
		return churn_clamp_float(DatumGetFloat8(value));
	else if (field->how == CHURN_READ_INT4)
		return (float) DatumGetInt32(value);
	return encode_any(field, value, as_of, has_as_of);
}

/*
 * The day from which the ages of a row count: its own column's, where the
 * model has one (false if that is null or infinite), else the statement's.
 */
static inline bool
row_as_of(const ChurnRowMap *map, Datum value, bool isnull, DateADT *as_of)
{
	if (isnull)
		return false;
	return churn_reader_day(&map->as_of_reader, value, as_of);
}

/*
 * Encodes a row of a model that has transforms: the columns one by one, from
 * arrays or, if row is not NULL, from arguments, then what is derived.
 */
static void
encode_derived(const ChurnRowMap *map, const Datum *values, const bool *nulls,
			   const NullableDatum *row, DateADT as_of, bool has_as_of,
			   float *features)
{
	ChurnTransforms *transforms = map->transforms;
	uint32		i;
	int			j;

	for (i = 0; i < map->model->nfeatures; i++)
	{
		const ChurnField *field = &map->fields[i];
		int			column = field->column;

		if (column < 0)
			continue;
		if (row != NULL ? row[column].isnull : nulls[column])
			features[i] = NAN;
		else
			features[i] = encode_value(field, row != NULL ?
									   row[column].value : values[column],
									   as_of, has_as_of);
	}
	if (row != NULL)
		churn_transforms_run_arguments(transforms, row);
	else
		churn_transforms_run(transforms, values, nulls);
	for (j = 0; j < transforms->n; j++)
	{
		i = map->derived[j];
		features[i] = transforms->nulls[j] ? NAN :
			encode_value(&map->fields[i], transforms->values[j], as_of,
						 has_as_of);
	}
}

/*
 * Encodes one row into model->nfeatures floats.
 */
void
churn_row_encode(const ChurnRowMap *map, const Datum *values,
				 const bool *nulls, float *features)
{
	DateADT		as_of = map->as_of_day;
	bool		has_as_of = true;
	uint32		nfeatures = map->model->nfeatures;
	uint32		i;

	if (map->as_of_column >= 0)
		has_as_of = row_as_of(map, values[map->as_of_column],
							  nulls[map->as_of_column], &as_of);
	if (unlikely(map->transforms != NULL))
	{
		encode_derived(map, values, nulls, NULL, as_of, has_as_of, features);
		return;
	}
	for (i = 0; i < nfeatures; i++)
	{
		const ChurnField *field = &map->fields[i];

		features[i] = nulls[field->column] ? NAN :
			encode_value(field, values[field->column], as_of, has_as_of);
	}
}

/*
 * The same for a row that comes as function arguments.
 */
void
churn_row_encode_arguments(const ChurnRowMap *map, const NullableDatum *row,
						   float *features)
{
	DateADT		as_of = map->as_of_day;
	bool		has_as_of = true;
	uint32		nfeatures = map->model->nfeatures;
	uint32		i;

	if (map->as_of_column >= 0)
		has_as_of = row_as_of(map, row[map->as_of_column].value,
							  row[map->as_of_column].isnull, &as_of);
	if (unlikely(map->transforms != NULL))
	{
		encode_derived(map, NULL, NULL, row, as_of, has_as_of, features);
		return;
	}
	for (i = 0; i < nfeatures; i++)
	{
		const ChurnField *field = &map->fields[i];
		const NullableDatum *column = &row[field->column];

		features[i] = column->isnull ? NAN :
			encode_value(field, column->value, as_of, has_as_of);
	}
}
