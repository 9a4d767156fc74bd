/*
 * keep.c
 *		Arenas of the trainer, where running out of memory is a FAILURE.
 */
#include "keep.h"

#include <string.h>

#include "channel.h"

ChurnArena *
churn_keep_create(void)
{
	ChurnArena *arena = churn_arena_create();

	if (arena == NULL)
		churn_failure_memory();
	return arena;
}

void *
churn_keep(ChurnArena *arena, size_t count, size_t size)
{
	ChurnError	error;
	void	   *memory = churn_arena_array(arena, count > 0 ? count : 1, size,
										   &error);

	if (memory == NULL)
		churn_failure_memory();
	return memory;
}

void *
churn_keep_copy(ChurnArena *arena, const void *from, size_t count,
				size_t size)
{
	void	   *memory = churn_keep(arena, count, size);

	if (count > 0)
		memcpy(memory, from, count * size);
	return memory;
}
