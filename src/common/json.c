/*
 * json.c
 *		Reads JSON as XGBoost writes it, which is JSON and a little more.
 *
 * XGBoost's files may hold NaN and Infinity, raw control characters in
 * strings, numbers with leading zeros, and "\u" that begins no escape: its
 * writer does not double a backslash before a u, and its reader keeps "\u" as
 * it stands.  The reader here takes all that.
 */
#include "decimal.h"
#include "document_internal.h"

#include <string.h>

typedef struct JsonReader
{
	ChurnReader reader;
	const char *start;
	const char *p;
	const char *end;
} JsonReader;

static ChurnValue *read_value(JsonReader *json, int depth);

/*
 * Fails with what was expected at the present byte.
 */
static bool
fail_here(JsonReader *json, const char *expected)
{
	return churn_fail(json->reader.error, CHURN_ERROR_CORRUPT,
					  "invalid JSON: expected %s at byte %zu", expected,
					  (size_t) (json->p - json->start));
}

static void
skip_spaces(JsonReader *json)
{
	while (json->p < json->end &&
		   (*json->p == ' ' || *json->p == '\n' ||
			*json->p == '\r' || *json->p == '\t'))
		json->p++;
}

/*
 * Skips spaces and says whether c is next, without taking it.
 */
static bool
is_next(JsonReader *json, char c)
{
	skip_spaces(json);
	return json->p < json->end && *json->p == c;
}

/*
 * Takes c, which must be next.
 */
static bool
take(JsonReader *json, char c, const char *expected)
{
	if (!is_next(json, c))
		return fail_here(json, expected);
	json->p++;
	return true;
}

/*
 * Takes a word such as "true".
 */
static bool
take_word(JsonReader *json, const char *word)
{
	size_t		n = strlen(word);

	if ((size_t) (json->end - json->p) < n ||
		memcmp(json->p, word, n) != 0)
		return fail_here(json, "a value");
	json->p += n;
	return true;
}

/*
 * Returns the value of four hexadecimal digits, or -1.
 */
static int
hex4(const char *p, const char *end)
{
	int			value = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++)
	{
		char		c = p[i];

		if (c >= '0' && c <= '9')
			value = value * 16 + (c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value * 16 + (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			value = value * 16 + (c - 'A' + 10);
		else
			return -1;
	}
	return value;
}

/*
 * Writes a code point as UTF-8 and returns what follows.
 */
static char *
put_utf8(char *out, uint32_t code)
{
	if (code < 0x80)
		*out++ = (char) code;
	else if (code < 0x800)
	{
		*out++ = (char) (0xC0 | code >> 6);
		*out++ = (char) (0x80 | (code & 0x3F));
	}
	else if (code < 0x10000)
	{
		*out++ = (char) (0xE0 | code >> 12);
		*out++ = (char) (0x80 | (code >> 6 & 0x3F));
		*out++ = (char) (0x80 | (code & 0x3F));
	}
	else
	{
		*out++ = (char) (0xF0 | code >> 18);
		*out++ = (char) (0x80 | (code >> 12 & 0x3F));
		*out++ = (char) (0x80 | (code >> 6 & 0x3F));
		*out++ = (char) (0x80 | (code & 0x3F));
	}
	return out;
}

/*
 * Decodes what follows "\u", at p, into *out.  What is no escape of a code
 * point, zero included, stays as it stands.  Returns what follows.
 */
static const char *
decode_unicode(const char *p, const char *end, char **out)
{
	int			code = hex4(p, end);

	if (code >= 0xD800 && code < 0xDC00 && end - p >= 10 &&
		p[4] == '\\' && p[5] == 'u')
	{
		int			low = hex4(p + 6, end);

		if (low >= 0xDC00 && low < 0xE000)
		{
			*out = put_utf8(*out, 0x10000 + ((uint32_t) (code - 0xD800) << 10) +
							(uint32_t) (low - 0xDC00));
			return p + 10;
		}
	}
	if (code <= 0 || (code >= 0xD800 && code < 0xE000))
	{
		*(*out)++ = '\\';
		*(*out)++ = 'u';
		return p;
	}
	*out = put_utf8(*out, (uint32_t) code);
	return p + 4;
}

/*
 * Finds the quote that ends the string whose first byte is at json->p.
 */
static const char *
find_quote(JsonReader *json)
{
	const char *p = json->p;

	while (p < json->end && *p != '"')
	{
		if (*p == '\0')
		{
			json->p = p;
			fail_here(json, "no zero byte");
			return NULL;
		}
		if (*p == '\\')
			p++;
		p++;
	}
	if (p >= json->end)
	{
		json->p = json->end;
		fail_here(json, "the end of a string");
		return NULL;
	}
	return p;
}

/*
 * Reads a string, whose opening quote is next.  No escape is shorter than what
 * it stands for, so that the text between the quotes bounds the result.
 */
static char *
read_string(JsonReader *json, size_t *length)
{
	const char *end;
	char	   *text;
	char	   *out;

	json->p++;
	end = find_quote(json);
	if (end == NULL)
		return NULL;
	text = churn_input_text(&json->reader, (size_t) (end - json->p));
	if (text == NULL)
		return NULL;
	out = text;
	while (json->p < end)
	{
		char		c = *json->p++;

		if (c != '\\')
		{
			*out++ = c;
			continue;
		}
		c = *json->p++;
		switch (c)
		{
			case 'b':
				*out++ = '\b';
				break;
			case 'f':
				*out++ = '\f';
				break;
			case 'n':
				*out++ = '\n';
				break;
			case 'r':
				*out++ = '\r';
				break;
			case 't':
				*out++ = '\t';
				break;
			case 'u':
				json->p = decode_unicode(json->p, end, &out);
				break;
			case '"':
			case '\\':
			case '/':
				*out++ = c;
				break;
			default:
				json->p--;
				fail_here(json, "an escape");
				return NULL;
		}
	}
	*out = '\0';
	*length = (size_t) (out - text);
	json->p = end + 1;
	return text;
}

/*
 * Reads a number.
 */
static ChurnValue *
read_number(JsonReader *json)
{
	ChurnDecimal decimal;
	size_t		n = churn_decimal_read(json->p,
									   (size_t) (json->end - json->p),
									   &decimal);
	ChurnValue *value;

	if (n == 0)
	{
		fail_here(json, "a value");
		return NULL;
	}
	json->p += n;
	if (decimal.is_integer)
		return churn_input_integer(&json->reader, decimal.integer);
	value = churn_input_value(&json->reader, CHURN_VALUE_NUMBER);
	if (value != NULL)
	{
		value->u.number = decimal.number;
		value->single = decimal.single;
	}
	return value;
}

/*
 * Reads an array, whose bracket is next.
 */
static ChurnValue *
read_array(JsonReader *json, int depth)
{
	size_t		base = json->reader.nstack;

	json->p++;
	if (is_next(json, ']'))
	{
		json->p++;
		return churn_input_array(&json->reader, base);
	}
	for (;;)
	{
		if (!churn_input_push(&json->reader, read_value(json, depth)))
			return NULL;
		if (!is_next(json, ','))
			break;
		json->p++;
	}
	if (!take(json, ']', "\",\" or \"]\""))
		return NULL;
	return churn_input_array(&json->reader, base);
}

/*
 * Reads an object, whose brace is next.
 */
static ChurnValue *
read_object(JsonReader *json, int depth)
{
	size_t		base = json->reader.nstack;
	size_t		length;

	json->p++;
	if (is_next(json, '}'))
	{
		json->p++;
		return churn_input_object(&json->reader, base);
	}
	for (;;)
	{
		if (!is_next(json, '"'))
		{
			fail_here(json, "a member's name");
			return NULL;
		}
		if (!churn_input_push(&json->reader, read_string(json, &length)) ||
			!take(json, ':', "\":\"") ||
			!churn_input_push(&json->reader, read_value(json, depth)))
			return NULL;
		if (!is_next(json, ','))
			break;
		json->p++;
	}
	if (!take(json, '}', "\",\" or \"}\""))
		return NULL;
	return churn_input_object(&json->reader, base);
}

/*
 * Reads one value.
 */
static ChurnValue *
read_value(JsonReader *json, int depth)
{
	ChurnValue *value;

	if (++depth > CHURN_DOCUMENT_DEPTH)
	{
		churn_fail(json->reader.error, CHURN_ERROR_LIMIT,
				   "document is nested deeper than %d levels",
				   CHURN_DOCUMENT_DEPTH);
		return NULL;
	}
	skip_spaces(json);
	if (json->p == json->end)
	{
		fail_here(json, "a value");
		return NULL;
	}
	switch (*json->p)
	{
		case '{':
			return read_object(json, depth);
		case '[':
			return read_array(json, depth);
		case '"':
			value = churn_input_value(&json->reader, CHURN_VALUE_STRING);
			if (value == NULL)
				return NULL;
			value->u.string = read_string(json, &value->length);
			return value->u.string == NULL ? NULL : value;
		case 't':
			return take_word(json, "true") ?
				churn_input_boolean(&json->reader, true) : NULL;
		case 'f':
			return take_word(json, "false") ?
				churn_input_boolean(&json->reader, false) : NULL;
		case 'n':
			return take_word(json, "null") ?
				churn_input_null(&json->reader) : NULL;
		default:
			return read_number(json);
	}
}

/*
 * Reads a document, which must be all there is.
 */
ChurnValue *
churn_json_read(const char *text, size_t length, ChurnArena *arena,
				ChurnError *error)
{
	JsonReader	json;
	ChurnValue *value;

	churn_input_init(&json.reader, arena, error);
	json.start = json.p = text;
	json.end = text + length;
	value = read_value(&json, 0);
	if (value == NULL)
		return NULL;
	skip_spaces(&json);
	if (json.p != json.end)
	{
		fail_here(&json, "the end");
		return NULL;
	}
	return value;
}
