/*
 * document.c
 *		Values of documents: looking up, building, and what readers share.
 */
#include "document_internal.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SLAB		16
#define LAST_SLAB		512

/* Strings shorter than a quarter of this share a piece of memory. */
#define TEXT_POOL		4096

/* Up to so many members of an object are compared pairwise for duplicates. */
#define FEW_MEMBERS		16

/*
 * Containers hold as many slots as the next power of two, so that their
 * capacity need not be stored and appending costs constant time on average.
 */
static size_t
capacity_for(size_t length)
{
	size_t		capacity = 4;

	while (capacity < length && capacity <= SIZE_MAX / 2)
		capacity *= 2;
	return capacity;
}

/*
 * Makes one value outside any reader.
 */
static ChurnValue *
make_value(ChurnArena *arena, ChurnValueKind kind, ChurnError *error)
{
	ChurnValue *value = churn_arena_alloc(arena, sizeof(ChurnValue), error);

	if (value != NULL)
		value->kind = kind;
	return value;
}

/*
 * Finds a member by name, from the first on.  Objects have few members.
 */
ChurnValue *
churn_value_get(const ChurnValue *value, const char *name)
{
	if (value == NULL || value->kind != CHURN_VALUE_OBJECT)
		return NULL;
	for (size_t i = 0; i < value->length; i++)
	{
		if (strcmp(value->u.members[i].name, name) == 0)
			return value->u.members[i].value;
	}
	return NULL;
}

/*
 * Returns the text of a member that is a string, else the default.
 */
const char *
churn_value_text(const ChurnValue *object, const char *name,
				 const char *otherwise)
{
	const ChurnValue *value = churn_value_get(object, name);

	if (value == NULL || value->kind != CHURN_VALUE_STRING)
		return otherwise;
	return value->u.string;
}

/*
 * Returns a member that is a number of either kind, else the default.
 */
double
churn_value_number(const ChurnValue *object, const char *name,
				   double otherwise)
{
	const ChurnValue *value = churn_value_get(object, name);

	if (value == NULL)
		return otherwise;
	if (value->kind == CHURN_VALUE_INTEGER)
		return (double) value->u.integer;
	if (value->kind == CHURN_VALUE_NUMBER)
		return value->u.number;
	return otherwise;
}

/*
 * Makes an object without members.
 */
ChurnValue *
churn_value_object(ChurnArena *arena, ChurnError *error)
{
	return make_value(arena, CHURN_VALUE_OBJECT, error);
}

/*
 * Makes an array without elements.
 */
ChurnValue *
churn_value_array(ChurnArena *arena, ChurnError *error)
{
	return make_value(arena, CHURN_VALUE_ARRAY, error);
}

/*
 * Makes a string of a copy of text.
 */
ChurnValue *
churn_value_string(ChurnArena *arena, const char *text, ChurnError *error)
{
	ChurnValue *value = make_value(arena, CHURN_VALUE_STRING, error);

	if (value == NULL)
		return NULL;
	value->length = strlen(text);
	value->u.string = churn_arena_string(arena, text, value->length, error);
	return value->u.string == NULL ? NULL : value;
}

/*
 * Makes a number.
 */
ChurnValue *
churn_value_double(ChurnArena *arena, double number, ChurnError *error)
{
	ChurnValue *value = make_value(arena, CHURN_VALUE_NUMBER, error);

	if (value == NULL)
		return NULL;
	value->u.number = number;
	value->single = (float) number;
	return value;
}

/*
 * Makes an integer.
 */
ChurnValue *
churn_value_integer(ChurnArena *arena, int64_t integer, ChurnError *error)
{
	ChurnValue *value = make_value(arena, CHURN_VALUE_INTEGER, error);

	if (value != NULL)
		value->u.integer = integer;
	return value;
}

/*
 * Makes a boolean.
 */
ChurnValue *
churn_value_boolean(ChurnArena *arena, bool boolean, ChurnError *error)
{
	ChurnValue *value = make_value(arena, CHURN_VALUE_BOOLEAN, error);

	if (value != NULL)
		value->u.boolean = boolean;
	return value;
}

/*
 * Returns slots for one element more than length: the present ones, if they
 * have room, else a copy of twice the size.
 */
static void *
grow(void *slots, size_t length, size_t size, ChurnArena *arena,
	 ChurnError *error)
{
	void	   *result;

	if (length > 0 && length < capacity_for(length))
		return slots;
	result = churn_arena_array(arena, capacity_for(length + 1), size, error);
	if (result != NULL && length > 0)
		memcpy(result, slots, length * size);
	return result;
}

/*
 * Sets a member of an object.  The name is copied.
 */
bool
churn_value_set(ChurnValue *object, const char *name, ChurnValue *value,
				ChurnArena *arena, ChurnError *error)
{
	ChurnMember *members;
	char	   *copy;

	if (object == NULL || value == NULL)
		return false;
	if (object->kind != CHURN_VALUE_OBJECT)
		return churn_fail(error, CHURN_ERROR_INVALID,
						  "cannot set member \"%s\" of what is no object",
						  name);
	for (size_t i = 0; i < object->length; i++)
	{
		if (strcmp(object->u.members[i].name, name) == 0)
		{
			object->u.members[i].value = value;
			return true;
		}
	}
	members = grow(object->u.members, object->length, sizeof(ChurnMember),
				   arena, error);
	if (members == NULL)
		return false;
	copy = churn_arena_string(arena, name, strlen(name), error);
	if (copy == NULL)
		return false;
	object->u.members = members;
	members[object->length].name = copy;
	members[object->length].value = value;
	object->length++;
	return true;
}

/*
 * Appends an element to an array.
 */
bool
churn_value_append(ChurnValue *array, ChurnValue *value, ChurnArena *arena,
				   ChurnError *error)
{
	ChurnValue **elements;

	if (array == NULL || value == NULL)
		return false;
	if (array->kind != CHURN_VALUE_ARRAY)
		return churn_fail(error, CHURN_ERROR_INVALID,
						  "cannot append to what is no array");
	elements = grow(array->u.elements, array->length, sizeof(ChurnValue *),
					arena, error);
	if (elements == NULL)
		return false;
	array->u.elements = elements;
	elements[array->length++] = value;
	return true;
}

/*
 * Starts reading a document.
 */
void
churn_input_init(ChurnReader *reader, ChurnArena *arena, ChurnError *error)
{
	memset(reader, 0, sizeof(*reader));
	reader->arena = arena;
	reader->error = error;
	reader->slab_size = FIRST_SLAB;
}

/*
 * Takes a value from the slab.
 */
ChurnValue *
churn_input_value(ChurnReader *reader, ChurnValueKind kind)
{
	ChurnValue *value;

	if (reader->nslab == 0)
	{
		reader->slab = churn_arena_array(reader->arena, reader->slab_size,
										 sizeof(ChurnValue), reader->error);
		if (reader->slab == NULL)
			return NULL;
		reader->nslab = reader->slab_size;
		if (reader->slab_size < LAST_SLAB)
			reader->slab_size *= 2;
	}
	value = reader->slab++;
	reader->nslab--;
	value->kind = kind;
	return value;
}

/*
 * Returns room for a string, which the caller fills.
 */
char *
churn_input_text(ChurnReader *reader, size_t length)
{
	char	   *text;

	if (length >= TEXT_POOL / 4)
		return churn_arena_alloc(reader->arena, length + 1, reader->error);
	if (length + 1 > reader->npool)
	{
		reader->pool = churn_arena_alloc(reader->arena, TEXT_POOL,
										 reader->error);
		reader->npool = reader->pool == NULL ? 0 : TEXT_POOL;
		if (reader->pool == NULL)
			return NULL;
	}
	text = reader->pool;
	reader->pool += length + 1;
	reader->npool -= length + 1;
	return text;
}

/*
 * Returns the document's null.
 */
ChurnValue *
churn_input_null(ChurnReader *reader)
{
	if (reader->null == NULL)
		reader->null = churn_input_value(reader, CHURN_VALUE_NULL);
	return reader->null;
}

/*
 * Returns the document's true or false.
 */
ChurnValue *
churn_input_boolean(ChurnReader *reader, bool boolean)
{
	ChurnValue **shared = &reader->booleans[boolean];

	if (*shared == NULL)
	{
		*shared = churn_input_value(reader, CHURN_VALUE_BOOLEAN);
		if (*shared != NULL)
			(*shared)->u.boolean = boolean;
	}
	return *shared;
}

/*
 * Returns an integer, a shared one if it is small: trees in JSON are mostly
 * small integers of two bytes of text.
 */
ChurnValue *
churn_input_integer(ChurnReader *reader, int64_t integer)
{
	ChurnValue *value;

	if (integer >= CHURN_SHARED_FIRST && integer <= CHURN_SHARED_LAST)
	{
		if (reader->shared == NULL)
			reader->shared = churn_arena_array(reader->arena,
											   CHURN_SHARED_LAST -
											   CHURN_SHARED_FIRST + 1,
											   sizeof(ChurnValue),
											   reader->error);
		if (reader->shared == NULL)
			return NULL;
		value = &reader->shared[integer - CHURN_SHARED_FIRST];
		value->kind = CHURN_VALUE_INTEGER;
	}
	else
		value = churn_input_value(reader, CHURN_VALUE_INTEGER);
	if (value != NULL)
		value->u.integer = integer;
	return value;
}

/*
 * Pushes a pointer; NULL stands for a failure that the error already tells.
 */
bool
churn_input_push(ChurnReader *reader, const void *pointer)
{
	if (pointer == NULL)
		return false;
	if (reader->nstack == reader->stack_size)
	{
		size_t		size = reader->stack_size > 0 ? reader->stack_size * 2 : 64;
		void	  **stack = churn_arena_array(reader->arena, size,
											  sizeof(void *), reader->error);

		if (stack == NULL)
			return false;
		if (reader->nstack > 0)
			memcpy(stack, reader->stack, reader->nstack * sizeof(void *));
		reader->stack = stack;
		reader->stack_size = size;
	}
	reader->stack[reader->nstack++] = (void *) pointer;
	return true;
}

/*
 * Makes an array of the elements on the stack.
 */
ChurnValue *
churn_input_array(ChurnReader *reader, size_t base)
{
	size_t		length = reader->nstack - base;
	ChurnValue *value = churn_input_value(reader, CHURN_VALUE_ARRAY);

	if (value == NULL || length == 0)
		return value;
	value->u.elements = churn_arena_array(reader->arena, capacity_for(length),
										  sizeof(ChurnValue *), reader->error);
	if (value->u.elements == NULL)
		return NULL;
	memcpy(value->u.elements, reader->stack + base,
		   length * sizeof(ChurnValue *));
	value->length = length;
	reader->nstack = base;
	return value;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/*
 * Returns a name that two members of an object have, or NULL.  Sets *failed
 * when memory is out.
 */
static const char *
duplicate_name(ChurnReader *reader, const ChurnValue *object, bool *failed)
{
	const char **names;

	*failed = false;
	if (object->length <= FEW_MEMBERS)
	{
		for (size_t i = 1; i < object->length; i++)
			for (size_t j = 0; j < i; j++)
				if (strcmp(object->u.members[i].name,
						   object->u.members[j].name) == 0)
					return object->u.members[i].name;
		return NULL;
	}
	names = churn_arena_array(reader->arena, object->length,
							  sizeof(const char *), reader->error);
	if (names == NULL)
	{
		*failed = true;
		return NULL;
	}
	for (size_t i = 0; i < object->length; i++)
		names[i] = object->u.members[i].name;
	qsort(names, object->length, sizeof(const char *), compare_names);
	for (size_t i = 1; i < object->length; i++)
		if (strcmp(names[i - 1], names[i]) == 0)
			return names[i];
	return NULL;
}

/*
 * Makes an object of the names and values on the stack.  Two members of one
 * name are refused: XGBoost takes the last from JSON but the first from
 * UBJSON, so that such a document means nothing certain.
 */
ChurnValue *
churn_input_object(ChurnReader *reader, size_t base)
{
	size_t		length = (reader->nstack - base) / 2;
	ChurnValue *value = churn_input_value(reader, CHURN_VALUE_OBJECT);
	const char *name;
	bool		failed;

	if (value == NULL || length == 0)
		return value;
	value->u.members = churn_arena_array(reader->arena, capacity_for(length),
										 sizeof(ChurnMember), reader->error);
	if (value->u.members == NULL)
		return NULL;
	for (size_t i = 0; i < length; i++)
	{
		value->u.members[i].name = reader->stack[base + 2 * i];
		value->u.members[i].value = reader->stack[base + 2 * i + 1];
	}
	value->length = length;
	reader->nstack = base;
	name = duplicate_name(reader, value, &failed);
	if (name != NULL)
		churn_fail(reader->error, CHURN_ERROR_CORRUPT,
				   "object has two members named \"%.100s\"", name);
	return name != NULL || failed ? NULL : value;
}

/*
 * Makes room, doubling the bytes when they are full.
 */
uint8_t *
churn_buffer_reserve(ChurnBuffer *buffer, size_t n)
{
	if (n > buffer->size - buffer->length)
	{
		size_t		size = buffer->size == 0 ? 1024 : buffer->size;
		uint8_t    *bytes;

		while (size - buffer->length < n)
		{
			if (size > SIZE_MAX / 2)
			{
				churn_fail(buffer->error, CHURN_ERROR_MEMORY,
						   "out of memory while writing a document");
				return NULL;
			}
			size *= 2;
		}
		bytes = churn_arena_alloc(buffer->arena, size, buffer->error);
		if (bytes == NULL)
			return NULL;
		if (buffer->length > 0)
			memcpy(bytes, buffer->bytes, buffer->length);
		buffer->bytes = bytes;
		buffer->size = size;
	}
	return buffer->bytes + buffer->length;
}

/*
 * Appends n bytes.
 */
bool
churn_buffer_append(ChurnBuffer *buffer, const void *bytes, size_t n)
{
	uint8_t    *room = churn_buffer_reserve(buffer, n);

	if (room == NULL)
		return false;
	if (n > 0)
		memcpy(room, bytes, n);
	buffer->length += n;
	return true;
}
