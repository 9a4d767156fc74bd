/*
 * features.c
 *		From SQL values to the feature vector of a model.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "churn/dictionary.h"
#include "churn/number.h"

#include "compat.h"
#include "features.h"

/*
 * Tells how to read a column of the given type.  Domains are looked through,
 * so that a domain over text is text.
 */
void
churn_reader_init(ChurnReader *reader, Oid type)
{
	/* no look-up for the types that most columns have */
	Oid			base = type == TEXTOID || type == INT4OID ||
	type == FLOAT8OID || type == NUMERICOID || type == BOOLOID ?
	type : getBaseType(type);

	reader->type = base;
	reader->is_enum = false;
	switch (base)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
			reader->kind = CHURN_COLUMN_NUMBER;
			break;
		case BOOLOID:
			reader->kind = CHURN_COLUMN_BOOLEAN;
			break;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case NAMEOID:
		case CHAROID:
			reader->kind = CHURN_COLUMN_TEXT;
			break;
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			reader->kind = CHURN_COLUMN_AGE;
			break;
		default:
			reader->is_enum = type_is_enum(base);
			reader->kind = reader->is_enum ? CHURN_COLUMN_TEXT :
				CHURN_COLUMN_NONE;
			break;
	}
}

/*
 * The name of a kind in the trainer's configuration; NULL for none.
 */
const char *
churn_column_kind_name(ChurnColumnKind kind)
{
	switch (kind)
	{
		case CHURN_COLUMN_NUMBER:
			return "number";
		case CHURN_COLUMN_BOOLEAN:
			return "boolean";
		case CHURN_COLUMN_TEXT:
			return "text";
		case CHURN_COLUMN_AGE:
			return "age";
		case CHURN_COLUMN_NONE:
			break;
	}
	return NULL;
}

/*
 * Rounds a double to the float that training and scoring both see: NaN stays
 * (it is missing), what a float cannot hold becomes the largest float.
 */
static inline float
clamp_float(double x)
{
	if (x > FLT_MAX)
		return FLT_MAX;
	if (x < -FLT_MAX)
		return -FLT_MAX;
	return (float) x;
}

/*
 * A numeric as a double, correctly rounded.  numeric_float8() goes by way of
 * text, so the common short numbers are read from their digits here: a value
 * of at most 15 decimal digits is an integer below 10^15 divided by a power
 * of ten no larger than 10^22, both exact in a double, and one division
 * rounds once (Clinger, "How to read floating point numbers accurately",
 * 1990).  The layout of a numeric on disk is stable: see numeric.c.
 */
static double
numeric_double(Datum value)
{
	static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7,
		1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
	1e20};
	struct varlena *numeric = PG_DETOAST_DATUM_PACKED(value);
	const char *data = VARDATA_ANY(numeric);
	Size		size = VARSIZE_ANY_EXHDR(numeric);
	uint16		header;

	memcpy(&header, data, sizeof(header));
	/* the short format has the two highest bits set to 10 */
	if ((header & 0xC000) == 0x8000)
	{
		int			weight = (header & 0x0040 ? ~0x003F : 0) | (header & 0x003F);
		int			ndigits = (size - sizeof(uint16)) / sizeof(int16);
		int			exponent = 4 * (ndigits - 1 - weight);

		if (ndigits == 0)
			return 0.0;
		/* four digits of base 10,000 are at most 16 decimal digits */
		if (ndigits <= 4 && exponent >= 0 && exponent <= 20)
		{
			int64		sum = 0;
			int			i;

			for (i = 0; i < ndigits; i++)
			{
				int16		digit;

				memcpy(&digit, data + sizeof(uint16) + i * sizeof(int16),
					   sizeof(digit));
				sum = sum * 10000 + digit;
			}
			if (sum <= INT64CONST(9007199254740992))
			{
				double		result = (double) sum / powers[exponent];

				return (header & 0x2000) ? -result : result;
			}
		}
	}
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
											  value));
}

/*
 * The UTC date of a date or time; false if it is infinite.
 */
bool
churn_reader_day(const ChurnReader *reader, Datum value, DateADT *day)
{
	Timestamp	when;

	if (reader->type == DATEOID)
	{
		*day = DatumGetDateADT(value);
		return !DATE_NOT_FINITE(*day);
	}
	/* both kinds of timestamp count from 2000-01-01, with a zone in UTC */
	when = DatumGetTimestamp(value);
	if (TIMESTAMP_NOT_FINITE(when))
		return false;
	*day = (DateADT) (when / USECS_PER_DAY);
	if (when % USECS_PER_DAY < 0)
		(*day)--;
	return true;
}

/*
 * The UTC date of the current statement, the same in parallel workers.
 */
DateADT
churn_statement_day(void)
{
	static const ChurnReader reader = {.kind = CHURN_COLUMN_AGE,
	.type = TIMESTAMPTZOID};
	DateADT		day = 0;

	(void) churn_reader_day(&reader,
							TimestampTzGetDatum(GetCurrentStatementStartTimestamp()),
							&day);
	return day;
}

/*
 * A value of a number, boolean or age column as a float.
 */
float
churn_reader_float(const ChurnReader *reader, Datum value, DateADT as_of)
{
	DateADT		day;

	switch (reader->type)
	{
		case INT2OID:
			return (float) DatumGetInt16(value);
		case INT4OID:
			return (float) DatumGetInt32(value);
		case INT8OID:
			return (float) DatumGetInt64(value);
		case FLOAT4OID:
			return clamp_float(DatumGetFloat4(value));
		case FLOAT8OID:
			return clamp_float(DatumGetFloat8(value));
		case NUMERICOID:
			return clamp_float(numeric_double(value));
		case BOOLOID:
			return DatumGetBool(value) ? 1.0f : 0.0f;
		default:
			if (!churn_reader_day(reader, value, &day))
				return NAN;
			return (float) ((double) as_of - (double) day);
	}
}

/*
 * The label of an enum value, in the current memory context.
 */
static const char *
enum_text(Datum value, size_t *length)
{
	HeapTuple	tuple;
	char	   *label;

	tuple = SearchSysCache1(ENUMOID, value);
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid internal value for enum: %u",
						DatumGetObjectId(value))));
	label = pstrdup(NameStr(((Form_pg_enum) GETSTRUCT(tuple))->enumlabel));
	ReleaseSysCache(tuple);
	*length = strlen(label);
	return label;
}

/*
 * The text of a text column, not terminated.  Compressed or out-of-line
 * values are detoasted into the current memory context; the others are not
 * copied.
 */
const char *
churn_reader_text(const ChurnReader *reader, Datum value, size_t *length)
{
	struct varlena *text;
	const char *data;

	if (reader->is_enum)
		return enum_text(value, length);
	if (reader->type == NAMEOID)
	{
		data = NameStr(*DatumGetName(value));
		*length = strlen(data);
		return data;
	}
	if (reader->type == CHAROID)
	{
		char	   *copy = palloc(1);

		*copy = DatumGetChar(value);
		*length = (*copy == '\0') ? 0 : 1;
		return copy;
	}
	text = PG_DETOAST_DATUM_PACKED(value);

	data = VARDATA_ANY(text);
	*length = VARSIZE_ANY_EXHDR(text);
	if (reader->type == BPCHAROID)
		*length = bpchartruelen(unconstify(char *, data), *length);
	return data;
}

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
 * The words for what a feature wants, for errors.
 */
static const char *
wanted(const ChurnFeature *feature)
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
		if (map->fields[i].column >= 0)
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
		const ChurnFeature *feature = &model->features[i];
		ChurnField *field = &map->fields[i];
		int			column = churn_find_column(desc, feature->name);
		Oid			type;

		field->column = column;
		if (column < 0)
		{
			missing = true;
			continue;
		}
		type = TupleDescAttr(desc, column)->atttypid;
		churn_reader_init(&field->reader, type);
		if (!churn_feature_fits(feature, field->reader.kind))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" is of type %s, but model \"%s\" needs %s",
							feature->name, format_type_be(type), model_name,
							wanted(feature)),
					 feature->type[0] != '\0' ?
					 errdetail("It was of type %s when the model was trained.",
							   feature->type) : 0,
					 errhint("Cast the column in a view or a sub-select, or train a new version.")));
		field->dictionary = feature->dictionary;
		field->how = how_to_read(feature, &field->reader);
	}
	if (missing)
		missing_columns(map, model_name);
	if (model->as_of == CHURN_AS_OF_COLUMN)
	{
		int			column = churn_find_column(desc, model->as_of_column);

		if (column < 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("row has no column \"%s\", from which model \"%s\" counts ages",
							model->as_of_column, model_name)));
		churn_reader_init(&map->as_of_reader,
						  TupleDescAttr(desc, column)->atttypid);
		if (map->as_of_reader.kind != CHURN_COLUMN_AGE)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\", from which model \"%s\" counts ages, is of type %s",
							model->as_of_column, model_name,
							format_type_be(TupleDescAttr(desc, column)->atttypid)),
					 errhint("It must be a date or a timestamp.")));
		map->as_of_column = column;
	}
	MemoryContextSwitchTo(old);
	return map;
}

/*
 * A text as the code of its category; NaN if training never saw it.
 */
static inline float
category_code(const ChurnField *field, const char *text, size_t length)
{
	int32		code = churn_dictionary_look_up(field->dictionary, text,
												length);

	return code < 0 ? NAN : (float) code;
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
	/* a text that is no number is missing, as an unseen category is */
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
		return clamp_float(DatumGetFloat8(value));
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
	for (i = 0; i < nfeatures; i++)
	{
		const ChurnField *field = &map->fields[i];
		const NullableDatum *column = &row[field->column];

		features[i] = column->isnull ? NAN :
			encode_value(field, column->value, as_of, has_as_of);
	}
}
