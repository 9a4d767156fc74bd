/*
 * memory.c
 *		Memory for bulk data, given back to the system as soon as it is free.
 */
#include "memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "channel.h"

/* Rounds up to whole pages; at least one. */
static size_t
page_size(size_t size)
{
	size_t		page = (size_t) sysconf(_SC_PAGESIZE);

	if (size > SIZE_MAX - page)
		churn_failure_memory();
	return size == 0 ? page : (size + page - 1) / page * page;
}

void *
churn_pages_alloc(size_t size)
{
	void	   *pages = mmap(NULL, page_size(size), PROT_READ | PROT_WRITE,
							 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		churn_failure_memory();
	return pages;
}

void
churn_pages_free(void *pages, size_t size)
{
	if (pages != NULL)
		munmap(pages, page_size(size));
}

void
churn_pages_shrink(void *pages, size_t old_size, size_t new_size)
{
	size_t		old_pages = page_size(old_size);
	size_t		new_pages = page_size(new_size);

	if (new_pages < old_pages)
		munmap((char *) pages + new_pages, old_pages - new_pages);
}

void *
churn_alloc(size_t count, size_t size)
{
	void	   *memory = calloc(count > 0 ? count : 1, size);

	if (memory == NULL)
		churn_failure_memory();
	return memory;
}

void *
churn_realloc(void *memory, size_t count, size_t size)
{
	memory = reallocarray(memory, count > 0 ? count : 1, size);
	if (memory == NULL)
		churn_failure_memory();
	return memory;
}

/*
 * VmHWM is this program's own peak.  getrusage() would count the server's
 * memory as well, from before exec(), and is asked only where there is no
 * /proc.
 */
uint64_t
churn_memory_peak(void)
{
	unsigned long long kilobytes = 0;
	struct rusage usage;
	char		line[128];
	FILE	   *status = fopen("/proc/self/status", "r");

	if (status != NULL)
	{
		while (fgets(line, sizeof(line), status) != NULL)
		{
			if (sscanf(line, "VmHWM: %llu kB", &kilobytes) == 1)
				break;
		}
		fclose(status);
	}
	if (kilobytes == 0 && getrusage(RUSAGE_SELF, &usage) == 0)
		kilobytes = (unsigned long long) usage.ru_maxrss;
	return (uint64_t) kilobytes * 1024;
}
