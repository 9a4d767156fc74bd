/*
 * trainer_stubs.h
 *		What modules of src/trainer need of the others, for tests of theirs.
 *
 * Warnings are kept for the test to look at, notices are dropped, a failure
 * ends the program.  Tables are made by hand.
 */
#ifndef CHURN_TRAINER_STUBS_H
#define CHURN_TRAINER_STUBS_H

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/trainer/channel.h"
#include "../../src/trainer/table.h"

static char stub_warnings[64 * 1024];
static int	stub_warning_count = 0;

void
churn_failure(const char *sqlstate, const char *detail, const char *hint,
			  const char *format,...)
{
	va_list		arguments;

	(void) detail;
	(void) hint;
	printf("Bail out! %s: ", sqlstate);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
	exit(1);
}

void
churn_failure_memory(void)
{
	churn_failure(CHURN_SQLSTATE_OUT_OF_MEMORY, NULL, NULL, "out of memory");
}

void
churn_notice(const char *detail, const char *format,...)
{
	(void) detail;
	(void) format;
}

void
churn_warning(const char *detail, const char *format,...)
{
	size_t		used = strlen(stub_warnings);
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(stub_warnings + used, sizeof(stub_warnings) - used, format,
			  arguments);
	va_end(arguments);
	used = strlen(stub_warnings);
	snprintf(stub_warnings + used, sizeof(stub_warnings) - used, " (%s)\n",
			 detail == NULL ? "" : detail);
	stub_warning_count++;
}

const char *
churn_format(const char *format,...)
{
	static char buffers[4][2048];
	static unsigned next = 0;
	char	   *buffer = buffers[next++ % 4];
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(buffer, sizeof(buffers[0]), format, arguments);
	va_end(arguments);
	return buffer;
}

/* As table.c does it, value by value. */
void
churn_table_fill(const ChurnTable *table, size_t first, size_t count,
				 float *values)
{
	size_t		row;
	size_t		i;

	for (row = first; row < first + count; row++)
	{
		for (i = 0; i < table->ncolumns; i++)
		{
			const ChurnTableColumn *column = &table->columns[i];
			unsigned	code;

			if (column->width == sizeof(float))
			{
				*values++ = ((const float *) column->values)[row];
				continue;
			}
			code = column->width == 1 ?
				((const uint8_t *) column->values)[row] :
				((const uint16_t *) column->values)[row];
			*values++ = code == 0 ? NAN : (float) code - 1;
		}
	}
}

/* Makes a table of n rows with room for so many columns. */
static inline void
stub_table(ChurnTable *table, size_t n, size_t room)
{
	memset(table, 0, sizeof(*table));
	table->nrows = table->capacity = table->start[CHURN_NPARTS] = n;
	table->labels = calloc(n, 1);
	table->columns = calloc(room, sizeof(ChurnTableColumn));
}

/* Adds a column of numbers, or of codes if it has categories; its values. */
static inline void *
stub_column(ChurnTable *table, const char *name, ChurnFeatureKind kind,
			uint32_t ncategories)
{
	ChurnTableColumn *column = &table->columns[table->ncolumns++];
	ChurnColumnSettings *settings = calloc(1, sizeof(*settings));
	uint32_t	i;

	settings->name = name;
	column->column = calloc(1, sizeof(ChurnColumn));
	column->column->settings = settings;
	column->kind = kind;
	column->width = kind == CHURN_FEATURE_CATEGORY ? 2 : 4;
	column->values = calloc(table->nrows, column->width);
	column->ncategories = ncategories;
	column->categories = calloc(ncategories + 1, sizeof(ChurnText));
	for (i = 0; i < ncategories; i++)
	{
		char	   *text = calloc(1, 16);

		snprintf(text, 16, "c%u", i);
		column->categories[i].bytes = text;
		column->categories[i].length = (uint32_t) strlen(text);
	}
	return column->values;
}

static inline void
stub_free(ChurnTable *table)
{
	size_t		i;
	uint32_t	j;

	for (i = 0; i < table->ncolumns; i++)
	{
		ChurnTableColumn *column = &table->columns[i];

		for (j = 0; j < column->ncategories; j++)
			free((void *) column->categories[j].bytes);
		free(column->categories);
		free(column->values);
		free((void *) column->column->settings);
		free(column->column);
	}
	free(table->columns);
	free(table->labels);
}

#endif							/* CHURN_TRAINER_STUBS_H */
