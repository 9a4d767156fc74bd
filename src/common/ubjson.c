/*
 * ubjson.c
 *		Reads UBJSON as XGBoost writes it.
 *
 * Numbers are big-endian.  XGBoost writes lengths as int64 ('L'); the reader
 * takes any integer type, as the specification (draft 12) allows.  A typed
 * array is read in one piece, after its length is checked against the bytes
 * that are left, except arrays of int8 and int16, which become plain arrays:
 * only category texts of XGBoost 3.1 and later come that way, and XGBoost
 * loads them as plain arrays too.
 */
#include "document_internal.h"

#include <string.h>

typedef struct UbjsonReader
{
	ChurnReader reader;
	const uint8_t *start;
	const uint8_t *p;
	const uint8_t *end;
} UbjsonReader;

static ChurnValue *read_value(UbjsonReader *ubjson, uint8_t marker,
							  int depth);

/*
 * Fails with what is wrong before the present byte.
 */
static bool
fail_here(UbjsonReader *ubjson, const char *problem)
{
	return churn_fail(ubjson->reader.error, CHURN_ERROR_CORRUPT,
					  "invalid UBJSON: %s at byte %zu", problem,
					  (size_t) (ubjson->p - ubjson->start));
}

static size_t
bytes_left(const UbjsonReader *ubjson)
{
	return (size_t) (ubjson->end - ubjson->p);
}

/*
 * Takes one byte.
 */
static bool
take_byte(UbjsonReader *ubjson, uint8_t *byte)
{
	*byte = 0;
	if (ubjson->p == ubjson->end)
		return fail_here(ubjson, "unexpected end");
	*byte = *ubjson->p++;
	return true;
}

/*
 * Returns n bytes as an unsigned integer.
 */
static uint64_t
big_endian(const uint8_t *p, size_t n)
{
	uint64_t	result = 0;

	for (size_t i = 0; i < n; i++)
		result = result << 8 | p[i];
	return result;
}

/*
 * Returns the size of a number by its marker, 0 for what is no number.
 */
static size_t
number_size(uint8_t marker)
{
	switch (marker)
	{
		case 'i':
		case 'U':
		case 'C':
			return 1;
		case 'I':
			return 2;
		case 'l':
		case 'd':
			return 4;
		case 'L':
		case 'D':
			return 8;
		default:
			return 0;
	}
}

/*
 * Decodes an integer of a type by its bytes.
 */
static int64_t
decode_integer(uint8_t marker, const uint8_t *p)
{
	switch (marker)
	{
		case 'i':
		case 'C':
			return (int8_t) p[0];
		case 'U':
			return p[0];
		case 'I':
			return (int16_t) big_endian(p, 2);
		case 'l':
			return (int32_t) big_endian(p, 4);
		default:
			return (int64_t) big_endian(p, 8);
	}
}

static float
decode_float(const uint8_t *p)
{
	uint32_t	bits = (uint32_t) big_endian(p, 4);
	float		result;

	memcpy(&result, &bits, sizeof(result));
	return result;
}

static double
decode_double(const uint8_t *p)
{
	uint64_t	bits = big_endian(p, 8);
	double		result;

	memcpy(&result, &bits, sizeof(result));
	return result;
}

/*
 * Takes a length: an integer of any type, not negative, and of no more than
 * most.
 */
static bool
take_length(UbjsonReader *ubjson, size_t *length)
{
	uint8_t		marker;
	size_t		size;
	int64_t		value;

	if (!take_byte(ubjson, &marker))
		return false;
	size = number_size(marker);
	if (size == 0 || marker == 'd' || marker == 'D' || marker == 'C')
		return fail_here(ubjson, "length is no integer");
	if (bytes_left(ubjson) < size)
		return fail_here(ubjson, "unexpected end");
	value = decode_integer(marker, ubjson->p);
	ubjson->p += size;
	if (value < 0 || (uint64_t) value > bytes_left(ubjson))
		return fail_here(ubjson, "length goes beyond the end");
	*length = (size_t) value;
	return true;
}

/*
 * Reads a string: its length and bytes.
 */
static char *
read_string(UbjsonReader *ubjson, size_t *length)
{
	char	   *text;

	if (!take_length(ubjson, length))
		return NULL;
	if (memchr(ubjson->p, 0, *length) != NULL)
	{
		fail_here(ubjson, "string with a zero byte");
		return NULL;
	}
	text = churn_input_text(&ubjson->reader, *length);
	if (text == NULL)
		return NULL;
	memcpy(text, ubjson->p, *length);
	ubjson->p += *length;
	return text;
}

/*
 * Returns the kind of typed array that holds numbers of a type.
 */
static ChurnValueKind
typed_kind(uint8_t marker)
{
	switch (marker)
	{
		case 'd':
			return CHURN_VALUE_FLOATS;
		case 'D':
			return CHURN_VALUE_DOUBLES;
		case 'U':
			return CHURN_VALUE_BYTES;
		case 'l':
			return CHURN_VALUE_INTS;
		case 'L':
			return CHURN_VALUE_LONGS;
		default:
			return CHURN_VALUE_ARRAY;
	}
}

/*
 * Decodes the elements of a typed array into the machine's order.
 */
static void
decode_elements(ChurnValueKind kind, const uint8_t *p, size_t n, void *out)
{
	switch (kind)
	{
		case CHURN_VALUE_FLOATS:
			for (size_t i = 0; i < n; i++)
				((float *) out)[i] = decode_float(p + i * 4);
			break;
		case CHURN_VALUE_DOUBLES:
			for (size_t i = 0; i < n; i++)
				((double *) out)[i] = decode_double(p + i * 8);
			break;
		case CHURN_VALUE_INTS:
			for (size_t i = 0; i < n; i++)
				((int32_t *) out)[i] = (int32_t) big_endian(p + i * 4, 4);
			break;
		case CHURN_VALUE_LONGS:
			for (size_t i = 0; i < n; i++)
				((int64_t *) out)[i] = (int64_t) big_endian(p + i * 8, 8);
			break;
		default:
			memcpy(out, p, n);
			break;
	}
}

/*
 * Reads a typed array after its '$'.
 */
static ChurnValue *
read_typed_array(UbjsonReader *ubjson)
{
	ChurnReader *reader = &ubjson->reader;
	size_t		base = reader->nstack;
	uint8_t		marker;
	uint8_t		count;
	size_t		length;
	size_t		size;
	ChurnValueKind kind;
	ChurnValue *value;
	void	   *elements;

	if (!take_byte(ubjson, &marker) || !take_byte(ubjson, &count))
		return NULL;
	size = number_size(marker);
	if (size == 0 || marker == 'C' || count != '#')
	{
		fail_here(ubjson, "typed array of an unknown type");
		return NULL;
	}
	if (!take_length(ubjson, &length))
		return NULL;
	if (length > bytes_left(ubjson) / size)
	{
		fail_here(ubjson, "length goes beyond the end");
		return NULL;
	}
	kind = typed_kind(marker);
	if (kind == CHURN_VALUE_ARRAY)
	{
		for (size_t i = 0; i < length; i++, ubjson->p += size)
			if (!churn_input_push(reader,
								  churn_input_integer(reader,
													  decode_integer(marker,
																	 ubjson->p))))
				return NULL;
		return churn_input_array(reader, base);
	}
	value = churn_input_value(reader, kind);
	if (value == NULL)
		return NULL;
	elements = churn_arena_array(reader->arena, length, size, reader->error);
	if (elements == NULL)
		return NULL;
	if (length > 0)
		decode_elements(kind, ubjson->p, length, elements);
	ubjson->p += length * size;
	value->length = length;
	value->u.typed = elements;
	return value;
}

/*
 * Reads an array after its bracket: typed, with a count, or until the closing
 * bracket.
 */
static ChurnValue *
read_array(UbjsonReader *ubjson, int depth)
{
	size_t		base = ubjson->reader.nstack;
	size_t		length = SIZE_MAX;
	uint8_t		marker = 0;

	if (ubjson->p < ubjson->end && *ubjson->p == '$')
	{
		ubjson->p++;
		return read_typed_array(ubjson);
	}
	if (ubjson->p < ubjson->end && *ubjson->p == '#')
	{
		ubjson->p++;
		if (!take_length(ubjson, &length))
			return NULL;
	}
	for (size_t i = 0; i < length; i++)
	{
		if (!take_byte(ubjson, &marker))
			return NULL;
		if (marker == ']' && length == SIZE_MAX)
			break;
		if (!churn_input_push(&ubjson->reader,
							  read_value(ubjson, marker, depth)))
			return NULL;
	}
	return churn_input_array(&ubjson->reader, base);
}

/*
 * Reads an object after its brace.
 */
static ChurnValue *
read_object(UbjsonReader *ubjson, int depth)
{
	size_t		base = ubjson->reader.nstack;
	size_t		length;
	uint8_t		marker;

	for (;;)
	{
		if (ubjson->p < ubjson->end && *ubjson->p == '}')
		{
			ubjson->p++;
			return churn_input_object(&ubjson->reader, base);
		}
		if (!churn_input_push(&ubjson->reader,
							  read_string(ubjson, &length)) ||
			!take_byte(ubjson, &marker) ||
			!churn_input_push(&ubjson->reader,
							  read_value(ubjson, marker, depth)))
			return NULL;
	}
}

/*
 * Reads a single number.
 */
static ChurnValue *
read_number(UbjsonReader *ubjson, uint8_t marker)
{
	const uint8_t *p = ubjson->p;
	size_t		size = number_size(marker);
	ChurnValue *value;

	if (size == 0)
	{
		fail_here(ubjson, "unknown type");
		return NULL;
	}
	if (bytes_left(ubjson) < size)
	{
		fail_here(ubjson, "unexpected end");
		return NULL;
	}
	ubjson->p += size;
	if (marker != 'd' && marker != 'D')
		return churn_input_integer(&ubjson->reader,
								   decode_integer(marker, p));
	value = churn_input_value(&ubjson->reader, CHURN_VALUE_NUMBER);
	if (value == NULL)
		return NULL;
	value->u.number = marker == 'd' ? (double) decode_float(p) :
		decode_double(p);
	value->single = (float) value->u.number;
	return value;
}

/*
 * Reads one value after its marker.
 */
static ChurnValue *
read_value(UbjsonReader *ubjson, uint8_t marker, int depth)
{
	ChurnValue *value;

	if (++depth > CHURN_DOCUMENT_DEPTH)
	{
		churn_fail(ubjson->reader.error, CHURN_ERROR_LIMIT,
				   "document is nested deeper than %d levels",
				   CHURN_DOCUMENT_DEPTH);
		return NULL;
	}
	switch (marker)
	{
		case '{':
			return read_object(ubjson, depth);
		case '[':
			return read_array(ubjson, depth);
		case 'S':
			value = churn_input_value(&ubjson->reader, CHURN_VALUE_STRING);
			if (value == NULL)
				return NULL;
			value->u.string = read_string(ubjson, &value->length);
			return value->u.string == NULL ? NULL : value;
		case 'Z':
			return churn_input_null(&ubjson->reader);
		case 'T':
		case 'F':
			return churn_input_boolean(&ubjson->reader, marker == 'T');
		default:
			return read_number(ubjson, marker);
	}
}

/*
 * Reads a document, which must be all there is.
 */
ChurnValue *
churn_ubjson_read(const uint8_t *bytes, size_t length, ChurnArena *arena,
				  ChurnError *error)
{
	UbjsonReader ubjson;
	uint8_t		marker;
	ChurnValue *value;

	churn_input_init(&ubjson.reader, arena, error);
	ubjson.start = ubjson.p = bytes;
	ubjson.end = bytes + length;
	if (!take_byte(&ubjson, &marker))
		return NULL;
	value = read_value(&ubjson, marker, 0);
	if (value == NULL)
		return NULL;
	if (ubjson.p != ubjson.end)
	{
		fail_here(&ubjson, "more than one value");
		return NULL;
	}
	return value;
}
