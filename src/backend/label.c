/*
 * label.c
 *		Who churned, by the values of the label column.
 *
 * A boolean says so itself, a number by 1 and 0, a text by one of the words
 * below.  Given the positive value, every other one means that the customer
 * stayed.  What cannot be read is an error, never a guess, and the error shows
 * values seen.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

#include "compat.h"
#include "label.h"

/* Longest part of a value that an error shows, in bytes. */
#define SAMPLE_BYTES	60

static const char *const churned_words[] = {
	"yes", "true", "t", "y", "1", "churned", "churn", "left", NULL
};
static const char *const stayed_words[] = {
	"no", "false", "f", "n", "0", "stayed", "stay", "retained", "no churn",
	"not churned", NULL
};

/*
 * Leaves out blanks on both sides.
 */
static const char *
trim(const char *string, size_t *length)
{
	while (*length > 0 && isspace((unsigned char) *string))
	{
		string++;
		(*length)--;
	}
	while (*length > 0 && isspace((unsigned char) string[*length - 1]))
		(*length)--;
	return string;
}

/*
 * Whether the text is one of the words, in small or capital letters.
 */
static bool
is_word(const char *const *words, const char *string, size_t length)
{
	for (; *words != NULL; words++)
	{
		if (strlen(*words) == length &&
			pg_strncasecmp(*words, string, length) == 0)
			return true;
	}
	return false;
}

/*
 * Remembers a value to name in an error, unless it is known or there are
 * enough of them.  False if there are enough.
 */
static bool
remember(ChurnLabel *label, const char *string, size_t length)
{
	int			i;

	for (i = 0; i < label->nsamples; i++)
	{
		if (strlen(label->samples[i]) == length &&
			memcmp(label->samples[i], string, length) == 0)
			return true;
	}
	if (label->nsamples == CHURN_LABEL_SAMPLES)
		return false;
	label->samples[label->nsamples] =
		MemoryContextAllocZero(label->context, length + 1);
	memcpy(label->samples[label->nsamples++], string, length);
	return true;
}

/*
 * The remembered values, quoted.
 */
static char *
list_samples(const ChurnLabel *label)
{
	StringInfoData list;
	int			i;

	initStringInfo(&list);
	for (i = 0; i < label->nsamples; i++)
		appendStringInfo(&list, "%s\"%s\"", i > 0 ? ", " : "",
						 label->samples[i]);
	if (label->nsamples == CHURN_LABEL_SAMPLES)
		appendStringInfoString(&list, ", ...");
	return list.data;
}

/*
 * Complains that the positive value is none that the label can have.
 */
static void
bad_positive(const ChurnLabel *label)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("positive value \"%s\" is no value of label \"%s\" of type %s",
					label->positive, label->column,
					format_type_be(label->type))));
}

/*
 * Prepares to read labels.
 */
void
churn_label_init(ChurnLabel *label, const char *column, Oid type,
				 const char *positive, MemoryContext context)
{
	const char *trimmed;
	char	   *end;

	memset(label, 0, sizeof(ChurnLabel));
	label->column = column;
	label->type = type;
	label->positive = positive;
	label->context = context;
	churn_reader_init(&label->reader, type);
	if (label->reader.kind != CHURN_COLUMN_BOOLEAN &&
		label->reader.kind != CHURN_COLUMN_NUMBER &&
		label->reader.kind != CHURN_COLUMN_TEXT)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("label \"%s\" is of type %s, which cannot say who churned",
						column, format_type_be(type)),
				 errhint("Use a boolean, a number or a text column, or a query that makes one.")));
	label->positive_boolean = true;
	if (positive == NULL)
		return;

	label->positive_length = strlen(positive);
	trimmed = trim(positive, &label->positive_length);
	label->positive = pnstrdup(trimmed, label->positive_length);
	if (label->positive_length == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("positive value must not be blank"),
				 errdetail("Rows whose label is blank are not trained on.")));
	if (label->reader.kind == CHURN_COLUMN_BOOLEAN &&
		!parse_bool(label->positive, &label->positive_boolean))
		bad_positive(label);
	if (label->reader.kind == CHURN_COLUMN_NUMBER)
	{
		label->positive_number = strtod(label->positive, &end);
		if (end == label->positive || *end != '\0')
			bad_positive(label);
	}
}

/*
 * A number as a double, so that large integers can be told apart.
 */
static double
read_number(const ChurnLabel *label, Datum value)
{
	switch (label->reader.type)
	{
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		case INT8OID:
			return (double) DatumGetInt64(value);
		case FLOAT4OID:
			return DatumGetFloat4(value);
		case FLOAT8OID:
			return DatumGetFloat8(value);
		default:
			return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
													  value));
	}
}

/*
 * Complains of labels that it cannot read.
 */
static void
unknown_labels(const ChurnLabel *label)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("label \"%s\" has values that say neither yes nor no: %s",
					label->column, list_samples(label)),
			 errhint("Name the value that means churned: positive => '...'.")));
}

/*
 * Reads a label that is not NULL.
 */
static ChurnLabelValue
read_value(const ChurnLabel *label, Datum value)
{
	const char *string;
	size_t		length;
	double		number;

	if (label->reader.kind == CHURN_COLUMN_BOOLEAN)
		return DatumGetBool(value) == label->positive_boolean;
	if (label->reader.kind == CHURN_COLUMN_NUMBER)
	{
		number = read_number(label, value);
		if (label->positive != NULL)
			return number == label->positive_number;
		if (number == 0 || number == 1)
			return number == 1;
		return CHURN_LABEL_UNKNOWN;
	}
	string = churn_reader_text(&label->reader, value, &length);
	string = trim(string, &length);
	if (length == 0)
		return CHURN_LABEL_MISSING;
	if (label->positive != NULL)
		return length == label->positive_length &&
			memcmp(string, label->positive, length) == 0;
	if (is_word(stayed_words, string, length))
		return CHURN_LABEL_STAYS;
	if (is_word(churned_words, string, length))
		return CHURN_LABEL_CHURNED;
	return CHURN_LABEL_UNKNOWN;
}

/*
 * What a label says, without counting it.
 */
ChurnLabelValue
churn_label_value(const ChurnLabel *label, Datum value, bool isnull)
{
	return isnull ? CHURN_LABEL_MISSING : read_value(label, value);
}

/*
 * The text of a label, not terminated, without blanks around.
 */
static const char *
label_text(const ChurnLabel *label, Datum value, size_t *length)
{
	const char *string;
	Oid			output;
	bool		varlena;

	if (label->reader.kind == CHURN_COLUMN_TEXT)
		string = churn_reader_text(&label->reader, value, length);
	else
	{
		getTypeOutputInfo(label->type, &output, &varlena);
		string = OidOutputFunctionCall(output, value);
		*length = strlen(string);
	}
	string = trim(string, length);
	if (*length > SAMPLE_BYTES)
		*length = pg_mbcliplen(string, *length, SAMPLE_BYTES);
	return string;
}

/*
 * A label that is not NULL as text.
 */
char *
churn_label_text(const ChurnLabel *label, Datum value)
{
	size_t		length;
	const char *string = label_text(label, value, &length);

	return pnstrdup(string, length);
}

/*
 * Remembers the value that was just read.
 */
static bool
remember_label(ChurnLabel *label, Datum value)
{
	size_t		length;
	const char *string = label_text(label, value, &length);

	return remember(label, string, length);
}

/*
 * Whether a value is among those noted.
 */
bool
churn_label_noted(const ChurnLabel *label, Datum value)
{
	int			n = Min(label->nvalues, CHURN_LABEL_VALUES);
	const char *string;
	size_t		length;
	double		number;
	int			i;

	if (label->reader.kind == CHURN_COLUMN_NUMBER)
	{
		number = read_number(label, value);
		for (i = 0; i < n; i++)
		{
			if (label->numbers[i] == number ||
				(isnan(label->numbers[i]) && isnan(number)))
				return true;
		}
		return false;
	}
	string = label_text(label, value, &length);
	for (i = 0; i < n; i++)
	{
		if (strlen(label->values[i]) == length &&
			memcmp(label->values[i], string, length) == 0)
			return true;
	}
	return false;
}

/*
 * Notes a value that means stayed, or that there are more than can be noted.
 */
void
churn_label_note(ChurnLabel *label, const char *value)
{
	int			n = label->nvalues;

	if (n > CHURN_LABEL_VALUES)
		return;
	label->nvalues++;
	if (n == CHURN_LABEL_VALUES)
		return;
	label->values[n] = MemoryContextStrdup(label->context, value);
	label->numbers[n] = strtod(value, NULL);
}

/*
 * Notes the value that was just read and means stayed, unless it is known.
 */
static void
note_label(ChurnLabel *label, Datum value)
{
	if (label->reader.kind != CHURN_COLUMN_BOOLEAN &&
		label->nvalues <= CHURN_LABEL_VALUES &&
		!churn_label_noted(label, value))
		churn_label_note(label, churn_label_text(label, value));
}

/*
 * Reads and counts one row's label.
 */
ChurnLabelValue
churn_label_read(ChurnLabel *label, Datum value, bool isnull)
{
	ChurnLabelValue result = churn_label_value(label, value, isnull);

	switch (result)
	{
		case CHURN_LABEL_STAYS:
			label->stayed++;
			if (label->positive == NULL)
				break;
			note_label(label, value);
			/* to be named if the positive value never comes */
			if (label->churned == 0)
				(void) remember_label(label, value);
			break;
		case CHURN_LABEL_CHURNED:
			label->churned++;
			break;
		case CHURN_LABEL_MISSING:
			label->missing++;
			break;
		case CHURN_LABEL_UNKNOWN:
			/* with more unknown values than can be named, go no further */
			if (!remember_label(label, value))
				unknown_labels(label);
			break;
	}
	return result;
}

/*
 * Complains of values that could not be read, or if the positive value never
 * occurred.  That there are churned and staying customers is left to the
 * trainer, which has to know how many it needs.
 */
void
churn_label_finish(const ChurnLabel *label)
{
	if (label->positive == NULL)
	{
		if (label->nsamples > 0)
			unknown_labels(label);
	}
	else if (label->churned == 0 && label->stayed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("positive value \"%s\" does not occur in label \"%s\"",
						label->positive, label->column),
				 errdetail("Values seen are %s.", list_samples(label))));
}
