/*
 * ubjson_write.c
 *		Writes UBJSON that XGBoost reads.
 *
 * XGBoost takes lengths only as int64 ('L'), floats only as float32 ('d'), and
 * typed arrays only of 'd', 'U', 'l' and 'L'.
 */
#include "document_internal.h"

#include <string.h>

/*
 * Writes a marker and the n low bytes of bits.
 */
static bool
put_number(ChurnBuffer *buffer, char marker, uint64_t bits, size_t n)
{
	uint8_t    *out = churn_buffer_reserve(buffer, n + 1);

	if (out == NULL)
		return false;
	*out++ = (uint8_t) marker;
	for (size_t i = n; i > 0; i--)
		*out++ = (uint8_t) (bits >> (i - 1) * 8);
	buffer->length += n + 1;
	return true;
}

static bool
put_marker(ChurnBuffer *buffer, char marker)
{
	return put_number(buffer, marker, 0, 0);
}

/*
 * Writes an integer in the smallest type that holds it.
 */
static bool
write_integer(ChurnBuffer *buffer, int64_t integer)
{
	uint64_t	bits = (uint64_t) integer;

	if (integer >= INT8_MIN && integer <= INT8_MAX)
		return put_number(buffer, 'i', bits, 1);
	if (integer >= INT16_MIN && integer <= INT16_MAX)
		return put_number(buffer, 'I', bits, 2);
	if (integer >= INT32_MIN && integer <= INT32_MAX)
		return put_number(buffer, 'l', bits, 4);
	return put_number(buffer, 'L', bits, 8);
}

/*
 * Writes a number: as float32, which alone XGBoost reads, if that loses
 * nothing.
 */
static bool
write_number(ChurnBuffer *buffer, double number)
{
	float		single = (float) number;
	uint32_t	bits32;
	uint64_t	bits64;

	if ((double) single == number || number != number)
	{
		memcpy(&bits32, &single, sizeof(bits32));
		return put_number(buffer, 'd', bits32, 4);
	}
	memcpy(&bits64, &number, sizeof(bits64));
	return put_number(buffer, 'D', bits64, 8);
}

/*
 * Writes a text with its length.
 */
static bool
write_text(ChurnBuffer *buffer, const char *text, size_t length)
{
	return put_number(buffer, 'L', length, 8) &&
		churn_buffer_append(buffer, text, length);
}

/*
 * Writes a typed array.
 */
static bool
write_typed_array(ChurnBuffer *buffer, const ChurnValue *value)
{
	char		marker;
	size_t		size;
	uint8_t    *out;

	switch (value->kind)
	{
		case CHURN_VALUE_FLOATS:
			marker = 'd';
			size = 4;
			break;
		case CHURN_VALUE_DOUBLES:
			marker = 'D';
			size = 8;
			break;
		case CHURN_VALUE_BYTES:
			marker = 'U';
			size = 1;
			break;
		case CHURN_VALUE_INTS:
			marker = 'l';
			size = 4;
			break;
		default:
			marker = 'L';
			size = 8;
			break;
	}
	if (!put_marker(buffer, '[') || !put_marker(buffer, '$') ||
		!put_marker(buffer, marker) || !put_marker(buffer, '#') ||
		!put_number(buffer, 'L', value->length, 8))
		return false;
	out = churn_buffer_reserve(buffer, value->length * size);
	if (out == NULL)
		return false;
	if (size == 1 && value->length > 0)
		memcpy(out, value->u.typed, value->length);
	for (size_t i = 0; size > 1 && i < value->length; i++)
	{
		uint32_t	bits32;
		uint64_t	bits;

		if (size == 4)
		{
			memcpy(&bits32, (const char *) value->u.typed + i * 4, 4);
			bits = bits32;
		}
		else
			memcpy(&bits, (const char *) value->u.typed + i * 8, 8);
		for (size_t j = size; j > 0; j--)
			*out++ = (uint8_t) (bits >> (j - 1) * 8);
	}
	buffer->length += value->length * size;
	return true;
}

static bool write_value(ChurnBuffer *buffer, const ChurnValue *value,
						int depth);

/*
 * Writes an array of any values, with its count.
 */
static bool
write_array(ChurnBuffer *buffer, const ChurnValue *value, int depth)
{
	if (!put_marker(buffer, '[') || !put_marker(buffer, '#') ||
		!put_number(buffer, 'L', value->length, 8))
		return false;
	for (size_t i = 0; i < value->length; i++)
		if (!write_value(buffer, value->u.elements[i], depth))
			return false;
	return true;
}

/*
 * Writes an object.
 */
static bool
write_object(ChurnBuffer *buffer, const ChurnValue *value, int depth)
{
	if (!put_marker(buffer, '{'))
		return false;
	for (size_t i = 0; i < value->length; i++)
	{
		const ChurnMember *member = &value->u.members[i];

		if (!write_text(buffer, member->name, strlen(member->name)) ||
			!write_value(buffer, member->value, depth))
			return false;
	}
	return put_marker(buffer, '}');
}

/*
 * Writes one value.
 */
static bool
write_value(ChurnBuffer *buffer, const ChurnValue *value, int depth)
{
	if (++depth > CHURN_DOCUMENT_DEPTH)
		return churn_fail(buffer->error, CHURN_ERROR_LIMIT,
						  "document is nested deeper than %d levels",
						  CHURN_DOCUMENT_DEPTH);
	switch (value->kind)
	{
		case CHURN_VALUE_NULL:
			return put_marker(buffer, 'Z');
		case CHURN_VALUE_BOOLEAN:
			return put_marker(buffer, value->u.boolean ? 'T' : 'F');
		case CHURN_VALUE_INTEGER:
			return write_integer(buffer, value->u.integer);
		case CHURN_VALUE_NUMBER:
			return write_number(buffer, value->u.number);
		case CHURN_VALUE_STRING:
			return put_marker(buffer, 'S') &&
				write_text(buffer, value->u.string, value->length);
		case CHURN_VALUE_ARRAY:
			return write_array(buffer, value, depth);
		case CHURN_VALUE_OBJECT:
			return write_object(buffer, value, depth);
		default:
			return write_typed_array(buffer, value);
	}
}

/*
 * Writes a document.
 */
bool
churn_ubjson_write(const ChurnValue *value, ChurnArena *arena,
				   uint8_t **bytes, size_t *length, ChurnError *error)
{
	ChurnBuffer buffer = {.arena = arena,.error = error};

	if (!write_value(&buffer, value, 0))
		return false;
	*bytes = buffer.bytes;
	*length = buffer.length;
	return true;
}
