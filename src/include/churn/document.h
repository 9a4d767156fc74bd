/*
 * churn/document.h
 *		A tree of JSON-like values, read from and written to JSON and UBJSON.
 */
#ifndef CHURN_DOCUMENT_H
#define CHURN_DOCUMENT_H

#include "churn/arena.h"

typedef enum ChurnValueKind
{
	CHURN_VALUE_NULL,
	CHURN_VALUE_BOOLEAN,
	CHURN_VALUE_INTEGER,
	CHURN_VALUE_NUMBER,
	CHURN_VALUE_STRING,
	CHURN_VALUE_ARRAY,			/* of any values */
	CHURN_VALUE_OBJECT,			/* members in the order read */
	CHURN_VALUE_FLOATS,			/* UBJSON's typed arrays: f32 */
	CHURN_VALUE_DOUBLES,
	CHURN_VALUE_BYTES,			/* u8 */
	CHURN_VALUE_INTS,			/* i32 */
	CHURN_VALUE_LONGS			/* i64 */
} ChurnValueKind;

typedef struct ChurnValue ChurnValue;

typedef struct ChurnMember
{
	const char *name;			/* terminated */
	ChurnValue *value;
} ChurnMember;

struct ChurnValue
{
	ChurnValueKind kind;
	float		single;			/* of a number: its text rounded to a float32 */
	size_t		length;			/* of a string in bytes, else of elements */
	union
	{
		bool		boolean;
		int64_t		integer;
		double		number;
		const char *string;		/* terminated; length leaves out the zero */
		ChurnValue **elements;
		ChurnMember *members;
		const void *typed;		/* elements of a typed array, aligned */
	}			u;
};

/*
 * Readers of untrusted bytes: depth, sizes and memory are bounded by the
 * input's length.  NULL with *error set on failure.
 */
extern ChurnValue *churn_json_read(const char *text, size_t length,
								   ChurnArena *arena, ChurnError *error);
extern ChurnValue *churn_ubjson_read(const uint8_t *bytes, size_t length,
									 ChurnArena *arena, ChurnError *error);

/*
 * Writers.  A float is written with the digits that bring back the same
 * float32 (or float64, for CHURN_VALUE_NUMBER and DOUBLES).
 */
extern bool churn_json_write(const ChurnValue *value, ChurnArena *arena,
							 char **text, size_t *length, ChurnError *error);
extern bool churn_ubjson_write(const ChurnValue *value, ChurnArena *arena,
							   uint8_t **bytes, size_t *length,
							   ChurnError *error);

/* Member of an object by name; NULL if value is no object or has none. */
extern ChurnValue *churn_value_get(const ChurnValue *value, const char *name);

/* The member's text or number, or the default when it is not there. */
extern const char *churn_value_text(const ChurnValue *object, const char *name,
									const char *otherwise);
extern double churn_value_number(const ChurnValue *object, const char *name,
								 double otherwise);

/* Building. */
extern ChurnValue *churn_value_object(ChurnArena *arena, ChurnError *error);
extern ChurnValue *churn_value_array(ChurnArena *arena, ChurnError *error);
extern ChurnValue *churn_value_string(ChurnArena *arena, const char *text,
									  ChurnError *error);
extern ChurnValue *churn_value_double(ChurnArena *arena, double number,
									  ChurnError *error);
extern ChurnValue *churn_value_integer(ChurnArena *arena, int64_t integer,
									   ChurnError *error);
extern ChurnValue *churn_value_boolean(ChurnArena *arena, bool boolean,
									   ChurnError *error);

/*
 * Sets a member (replacing one of that name) or appends an element.  Both take
 * value == NULL as a failure that *error already tells, so that calls nest.
 */
extern bool churn_value_set(ChurnValue *object, const char *name,
							ChurnValue *value, ChurnArena *arena,
							ChurnError *error);
extern bool churn_value_append(ChurnValue *array, ChurnValue *value,
							   ChurnArena *arena, ChurnError *error);

#endif							/* CHURN_DOCUMENT_H */
