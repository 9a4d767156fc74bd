/*
 * choose.c
 *		Which columns become features, and which codes categories have.
 *
 * Only the training rows decide, as they alone will when the model scores: a
 * category that they do not hold is missing in the other rows, and a column
 * in which they are all alike tells nothing.
 */
#include "table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "baseline.h"
#include "channel.h"
#include "memory.h"

/* Names of columns that a report lists before it counts the others. */
#define LISTED_COLUMNS	20

static const char reason_constant[] = "all of its values are the same";

/* Counts the training rows of each code, 0 .. ntexts. */
static uint32_t *
count_codes(const ChurnTable *table, const ChurnTableColumn *column,
			uint32_t ntexts)
{
	uint32_t   *counts = churn_alloc((size_t) ntexts + 1, sizeof(uint32_t));
	size_t		row;

	for (row = table->start[CHURN_PART_TRAIN]; row < table->nrows; row++)
		counts[column->width == 1 ? ((uint8_t *) column->values)[row] :
			   ((uint16_t *) column->values)[row]]++;
	return counts;
}

/* Replaces all codes of a column. */
static void
recode(const ChurnTable *table, ChurnTableColumn *column,
	   const uint16_t *new_codes)
{
	size_t		row;

	if (column->width == 1)
	{
		uint8_t    *codes = column->values;

		for (row = 0; row < table->nrows; row++)
			codes[row] = (uint8_t) new_codes[codes[row]];
	}
	else
	{
		uint16_t   *codes = column->values;

		for (row = 0; row < table->nrows; row++)
			codes[row] = new_codes[codes[row]];
	}
}

/*
 * Gives the categories that training rows hold codes in bytewise order and all
 * others code 0, missing.  False when the training rows are all alike.
 */
static bool
choose_categories(const ChurnTable *table, ChurnTableColumn *column,
				  ChurnArena *arena)
{
	const ChurnTexts *texts = column->column->texts;
	uint32_t   *counts = count_codes(table, column, texts->count);
	uint16_t   *new_codes;
	uint32_t	n = 0;
	uint32_t	i;

	column->categories = churn_alloc(texts->count, sizeof(ChurnText));
	for (i = 0; i < texts->count; i++)
	{
		if (counts[i + 1] == 0)
			continue;
		column->categories[n] = texts->texts[i];
		column->categories[n++].hash = i;	/* the old code, for now */
	}
	column->ncategories = n;
	if (n + (counts[0] > 0) < 2 || n == 0)
	{
		free(counts);
		return false;
	}
	qsort(column->categories, n, sizeof(ChurnText), churn_texts_compare);
	new_codes = churn_alloc((size_t) texts->count + 1, sizeof(uint16_t));
	for (i = 0; i < n; i++)
		new_codes[column->categories[i].hash + 1] = (uint16_t) (i + 1);
	recode(table, column, new_codes);
	churn_baseline_recode(column, new_codes, arena);
	free(new_codes);
	free(counts);
	return true;
}

/* True when the training rows differ in a column of numbers. */
static bool
numbers_differ(const ChurnTable *table, const ChurnTableColumn *column)
{
	const uint32_t *bits = column->values;
	size_t		first = table->start[CHURN_PART_TRAIN];
	size_t		row;

	for (row = first + 1; row < table->nrows; row++)
	{
		if (bits[row] != bits[first])
			return true;
	}
	return false;
}

void
churn_table_choose_columns(ChurnTable *table, ChurnArena *arena)
{
	size_t		kept = 0;
	size_t		i;

	for (i = 0; i < table->ncolumns; i++)
	{
		ChurnTableColumn *column = &table->columns[i];

		if (column->kind == CHURN_FEATURE_CATEGORY ?
			choose_categories(table, column, arena) :
			numbers_differ(table, column))
		{
			table->columns[kept++] = *column;
			continue;
		}
		churn_pages_free(column->values, table->capacity * column->width);
		free(column->categories);
		churn_column_leave_out(column->column, reason_constant);
	}
	table->ncolumns = kept;
}

/* Appends a quoted name to a list, or counts it if the list is long enough. */
static void
list_name(char *list, size_t size, const char *name, size_t position)
{
	size_t		used = strlen(list);

	if (position < LISTED_COLUMNS)
		snprintf(list + used, size - used, "%s\"%s\"",
				 position == 0 ? "" : ", ", name);
	else if (position == LISTED_COLUMNS)
		snprintf(list + used, size - used, " and others");
}

/* Tells of the columns that are left out for a reason. */
static void
report_reason(const ChurnRows *rows, const char *reason)
{
	char		list[1800] = "";
	size_t		n = 0;
	size_t		i;

	for (i = 0; i < rows->settings->ncolumns; i++)
	{
		if (rows->columns[i].reason == reason)
			list_name(list, sizeof(list), rows->columns[i].settings->name,
					  n++);
	}
	if (n == 1)
		churn_notice(NULL, "column %s is left out: %s", list, reason);
	else
		churn_notice(churn_format("They are %s.", list),
					 "%zu columns are left out, each because %s", n, reason);
}

/* Tells of the texts that are used as numbers. */
static void
report_numbers(const ChurnTable *table)
{
	char		list[1800] = "";
	unsigned long long blank = 0;
	size_t		n = 0;
	size_t		i;

	for (i = 0; i < table->ncolumns; i++)
	{
		if (!table->columns[i].text_number)
			continue;
		list_name(list, sizeof(list), table->columns[i].column->settings->name,
				  n++);
		blank += table->columns[i].column->blank;
	}
	if (n == 0)
		return;
	if (n > 1)
		churn_notice(churn_format("They are %s.  Blank values count as "
								  "missing.", list),
					 "%zu text columns hold numbers and are used as numbers",
					 n);
	else
		churn_notice(blank == 0 ? NULL :
					 churn_format("Blank values, of which there are %llu, "
								  "count as missing.", blank),
					 "text column %s holds numbers and is used as a number",
					 list);
}

void
churn_table_report_columns(const ChurnTable *table, const ChurnRows *rows)
{
	size_t		i;
	size_t		before;

	report_numbers(table);
	for (i = 0; i < rows->settings->ncolumns; i++)
	{
		const char *reason = rows->columns[i].reason;

		for (before = 0; before < i; before++)
		{
			if (rows->columns[before].reason == reason)
				break;
		}
		if (reason != NULL && before == i)
			report_reason(rows, reason);
	}
}
