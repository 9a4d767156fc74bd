/*
 * model_reader.h
 *		Where a reader of the compiled form stands, and the numbers it reads.
 *
 * Every count is held against the bytes that are left before anything of that
 * size is allocated, so that memory stays within a small multiple of the
 * input.  What a count cannot tell is checked by churn_model_check.
 */
#ifndef CHURN_MODEL_READER_H
#define CHURN_MODEL_READER_H

#include <string.h>

#include "model_format.h"

/* It sticks at the first attempt to read too far. */
typedef struct ModelReader
{
	const uint8_t *at;
	const uint8_t *end;
	bool		failed;
} ModelReader;

static inline size_t
model_remaining(const ModelReader *reader)
{
	return (size_t) (reader->end - reader->at);
}

static inline uint64_t
model_get(ModelReader *reader, int size)
{
	uint64_t	value = 0;
	int			i;

	if (reader->failed || model_remaining(reader) < (size_t) size)
	{
		reader->failed = true;
		return 0;
	}
	for (i = 0; i < size; i++)
		value |= (uint64_t) reader->at[i] << 8 * i;
	reader->at += size;
	return value;
}

static inline float
model_get_float(ModelReader *reader)
{
	uint32_t	bits = (uint32_t) model_get(reader, 4);
	float		value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static inline double
model_get_double(ModelReader *reader)
{
	uint64_t	bits = model_get(reader, 8);
	double		value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* Reads a count of things that take at least size bytes each. */
static inline uint32_t
model_get_count(ModelReader *reader, size_t size)
{
	uint32_t	count = (uint32_t) model_get(reader, 4);

	if (count > model_remaining(reader) / size)
		reader->failed = true;
	return reader->failed ? 0 : count;
}

/*
 * Reads a string to *room, terminates it and moves *room behind it.  A string
 * takes at least one byte less in memory than in the input, so a block as
 * large as the section has room for all of its strings.
 */
static inline const char *
model_get_string(ModelReader *reader, char **room)
{
	uint32_t	length = model_get_count(reader, 1);
	char	   *text = *room;

	if (reader->failed)
		return NULL;
	if (memchr(reader->at, '\0', length) != NULL)
	{
		reader->failed = true;
		return NULL;
	}
	memcpy(text, reader->at, length);
	text[length] = '\0';
	*room += length + 1;
	reader->at += length;
	return text;
}

static inline bool
model_truncated(ChurnError *error, const char *section)
{
	return churn_fail(error, CHURN_ERROR_CORRUPT,
					  "compiled model is damaged in its %s", section);
}

/* model_read_parts.c: the bodies of components; arrays go to arena. */
extern ChurnForest *churn_model_read_forest(ModelReader *reader,
											ChurnArena *arena,
											ChurnError *error);
extern ChurnAdditive *churn_model_read_additive(ModelReader *reader,
												ChurnArena *arena,
												ChurnError *error);
extern ChurnNetwork *churn_model_read_network(ModelReader *reader,
											  ChurnArena *arena,
											  ChurnError *error);

/* Reads count doubles, which the caller has held against what is left. */
extern const double *churn_model_read_doubles(ModelReader *reader,
											  uint64_t count,
											  ChurnArena *arena,
											  ChurnError *error);

#endif							/* CHURN_MODEL_READER_H */
