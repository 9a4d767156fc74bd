/*
 * json_write.c
 *		Writes JSON that XGBoost reads.
 *
 * That is JSON but for numbers that are not finite, and without the escapes
 * that XGBoost 1.7 does not know, which \b and \f are among.
 */
#include "decimal.h"
#include "document_internal.h"

#include <string.h>

/*
 * Appends a C string without its zero.
 */
static bool
put(ChurnBuffer *buffer, const char *text)
{
	return churn_buffer_append(buffer, text, strlen(text));
}

/*
 * Writes a string with its quotes.
 */
static bool
write_string(ChurnBuffer *buffer, const char *text, size_t length)
{
	static const char hex[] = "0123456789abcdef";
	uint8_t    *out;

	if (length > (SIZE_MAX - 2) / 6)
		return churn_fail(buffer->error, CHURN_ERROR_MEMORY,
						  "out of memory while writing a document");
	out = churn_buffer_reserve(buffer, length * 6 + 2);
	if (out == NULL)
		return false;
	*out++ = '"';
	for (size_t i = 0; i < length; i++)
	{
		uint8_t		c = (uint8_t) text[i];
		const char *escape = NULL;

		if (c == '"' || c == '\\')
			*out++ = '\\';
		else if (c == '\n')
			escape = "\\n";
		else if (c == '\r')
			escape = "\\r";
		else if (c == '\t')
			escape = "\\t";
		else if (c < 0x20)
		{
			memcpy(out, "\\u00", 4);
			out[4] = (uint8_t) hex[c >> 4];
			out[5] = (uint8_t) hex[c & 15];
			out += 6;
			continue;
		}
		if (escape != NULL)
		{
			*out++ = (uint8_t) escape[0];
			c = (uint8_t) escape[1];
		}
		*out++ = c;
	}
	*out++ = '"';
	buffer->length = (size_t) (out - buffer->bytes);
	return true;
}

/*
 * Writes an integer, without the C library for the sake of large arrays.
 */
static bool
write_integer(ChurnBuffer *buffer, int64_t integer)
{
	char		text[24];
	char	   *p = text + sizeof(text);
	uint64_t	rest = (uint64_t) integer;

	if (integer < 0)
		rest = 0 - rest;
	do
	{
		*--p = (char) ('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	if (integer < 0)
		*--p = '-';
	return churn_buffer_append(buffer, p,
							   (size_t) (text + sizeof(text) - p));
}

/*
 * Writes element i of a typed array.
 */
static bool
write_element(ChurnBuffer *buffer, const ChurnValue *value, size_t i)
{
	char		text[CHURN_DECIMAL_SIZE];
	size_t		n;

	switch (value->kind)
	{
		case CHURN_VALUE_FLOATS:
			n = churn_decimal_write_float(text,
										  ((const float *) value->u.typed)[i]);
			return churn_buffer_append(buffer, text, n);
		case CHURN_VALUE_DOUBLES:
			n = churn_decimal_write_double(text,
										   ((const double *) value->u.typed)[i]);
			return churn_buffer_append(buffer, text, n);
		case CHURN_VALUE_BYTES:
			return write_integer(buffer,
								 ((const uint8_t *) value->u.typed)[i]);
		case CHURN_VALUE_INTS:
			return write_integer(buffer,
								 ((const int32_t *) value->u.typed)[i]);
		default:
			return write_integer(buffer,
								 ((const int64_t *) value->u.typed)[i]);
	}
}

static bool write_value(ChurnBuffer *buffer, const ChurnValue *value,
						int depth);

/*
 * Writes an object or an array of either kind.
 */
static bool
write_container(ChurnBuffer *buffer, const ChurnValue *value, int depth)
{
	bool		object = value->kind == CHURN_VALUE_OBJECT;

	if (!put(buffer, object ? "{" : "["))
		return false;
	for (size_t i = 0; i < value->length; i++)
	{
		bool		written;

		if (i > 0 && !put(buffer, ","))
			return false;
		if (object)
		{
			const ChurnMember *member = &value->u.members[i];

			written = write_string(buffer, member->name,
								   strlen(member->name)) &&
				put(buffer, ":") &&
				write_value(buffer, member->value, depth);
		}
		else if (value->kind == CHURN_VALUE_ARRAY)
			written = write_value(buffer, value->u.elements[i], depth);
		else
			written = write_element(buffer, value, i);
		if (!written)
			return false;
	}
	return put(buffer, object ? "}" : "]");
}

/*
 * Writes one value.
 */
static bool
write_value(ChurnBuffer *buffer, const ChurnValue *value, int depth)
{
	char		text[CHURN_DECIMAL_SIZE];
	size_t		n;

	if (++depth > CHURN_DOCUMENT_DEPTH)
		return churn_fail(buffer->error, CHURN_ERROR_LIMIT,
						  "document is nested deeper than %d levels",
						  CHURN_DOCUMENT_DEPTH);
	switch (value->kind)
	{
		case CHURN_VALUE_NULL:
			return put(buffer, "null");
		case CHURN_VALUE_BOOLEAN:
			return put(buffer, value->u.boolean ? "true" : "false");
		case CHURN_VALUE_INTEGER:
			return write_integer(buffer, value->u.integer);
		case CHURN_VALUE_NUMBER:
			n = churn_decimal_write_double(text, value->u.number);
			return churn_buffer_append(buffer, text, n);
		case CHURN_VALUE_STRING:
			return write_string(buffer, value->u.string, value->length);
		default:
			return write_container(buffer, value, depth);
	}
}

/*
 * Writes a document.  The text is terminated, which *length leaves out.
 */
bool
churn_json_write(const ChurnValue *value, ChurnArena *arena, char **text,
				 size_t *length, ChurnError *error)
{
	ChurnBuffer buffer = {.arena = arena,.error = error};

	if (!write_value(&buffer, value, 0) ||
		!churn_buffer_append(&buffer, "", 1))
		return false;
	*text = (char *) buffer.bytes;
	*length = buffer.length - 1;
	return true;
}
