/*
 * reader.c
 *		From one SQL value to a number, a text or a day.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "reader.h"

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
 * A day written YYYY-MM-DD.
 */
char *
churn_day_text(DateADT day)
{
	int			year;
	int			month;
	int			mday;

	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &mday);
	return psprintf("%04d-%02d-%02d", year, month, mday);
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
			return churn_clamp_float(DatumGetFloat4(value));
		case FLOAT8OID:
			return churn_clamp_float(DatumGetFloat8(value));
		case NUMERICOID:
			return churn_clamp_float(numeric_double(value));
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
