/*
 * table.c
 *		The data as a learner sees it: features by column, rows in order.
 */
#include "table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "baseline.h"
#include "channel.h"
#include "memory.h"

/* Fewer rows than this cannot be split into three parts that mean much. */
#define MIN_ROWS		40

/* Rows that churned, and rows that stayed, which each part must hold. */
#define MIN_CLASS_ROWS	2

/* Rows to fill column by column at a time, so that they stay in cache. */
#define FILL_ROWS		128

static const char *const part_names[] = {"test", "validation", "training"};

/* Ends when there are too few rows, or rows of one class only. */
static void
check_rows(const ChurnRows *rows)
{
	unsigned long long n = rows->nrows;

	if (n < MIN_ROWS)
		churn_failure(CHURN_SQLSTATE_INVALID_PARAMETER,
					  churn_format("There are %llu rows with a label; at "
								   "least %d are needed.", n, MIN_ROWS),
					  NULL, "too few rows to train on");
	if (rows->positives == 0 || rows->positives == n)
		churn_failure(CHURN_SQLSTATE_INVALID_PARAMETER,
					  churn_format(rows->positives == 0 ?
								   "None of the %llu rows churned." :
								   "All of the %llu rows churned.", n),
					  "Check the label column and which of its values means "
					  "churned.",
					  "cannot train on rows of one class only");
}

/*
 * Counts the rows that churned in each part; ends if one has too few.  Only
 * the test part may be empty, if the options say so.
 */
static void
check_parts(ChurnTable *table, const ChurnSettings *settings)
{
	bool		wants_test = churn_option(settings, "test_fraction") > 0;
	int			part;
	size_t		row;
	char		counts[256];
	int			used = 0;

	for (part = 0; part < CHURN_NPARTS; part++)
	{
		table->positives[part] = 0;
		for (row = table->start[part]; row < table->start[part + 1]; row++)
			table->positives[part] += table->labels[row];
		used += snprintf(counts + used, sizeof(counts) - (size_t) used,
						 "%s%zu of %zu %s rows", part == 0 ? "" : ", ",
						 table->positives[part],
						 churn_table_rows(table, (ChurnPart) part),
						 part_names[part]);
	}
	for (part = 0; part < CHURN_NPARTS; part++)
	{
		size_t		n = churn_table_rows(table, (ChurnPart) part);
		size_t		positives = table->positives[part];

		if (part == CHURN_PART_TEST && !wants_test)
			continue;
		if (positives >= MIN_CLASS_ROWS && n - positives >= MIN_CLASS_ROWS)
			continue;
		churn_failure(CHURN_SQLSTATE_INVALID_PARAMETER,
					  churn_format("Churned are %s; at least %d that churned "
								   "and %d that stayed are needed in each.",
								   counts, MIN_CLASS_ROWS, MIN_CLASS_ROWS),
					  "Train on more rows, or change the options "
					  "\"test_fraction\" and \"validation_fraction\".",
					  "the %s part has too few rows of one class",
					  part_names[part]);
	}
}

/* Brings a column's values, n of width bytes, into the table's order. */
static void *
gather(void *values, const uint32_t *rows, size_t n, uint8_t width)
{
	void	   *ordered = churn_pages_alloc(n * width);
	size_t		i;

	if (width == 1)
	{
		for (i = 0; i < n; i++)
			((uint8_t *) ordered)[i] = ((uint8_t *) values)[rows[i]];
	}
	else if (width == 2)
	{
		for (i = 0; i < n; i++)
			((uint16_t *) ordered)[i] = ((uint16_t *) values)[rows[i]];
	}
	else
	{
		for (i = 0; i < n; i++)
			((float *) ordered)[i] = ((float *) values)[rows[i]];
	}
	churn_pages_free(values, n * width);
	return ordered;
}

/* Makes a column that is not left out one of the table's. */
static void
add_column(ChurnTable *table, ChurnColumn *column, bool text_number,
		   const ChurnOrder *order)
{
	static const ChurnFeatureKind kinds[] = {
		[CHURN_COLUMN_NUMBER] = CHURN_FEATURE_NUMBER,
		[CHURN_COLUMN_BOOLEAN] = CHURN_FEATURE_BOOLEAN,
		[CHURN_COLUMN_AGE] = CHURN_FEATURE_AGE,
		[CHURN_COLUMN_TEXT] = CHURN_FEATURE_CATEGORY
	};
	ChurnTableColumn *added = &table->columns[table->ncolumns++];

	memset(added, 0, sizeof(*added));
	added->column = column;
	added->text_number = text_number;
	added->kind = text_number ? CHURN_FEATURE_NUMBER :
		kinds[column->settings->kind];
	added->values = churn_column_flatten(column, order->nrows, &added->width);
	added->values = gather(added->values, order->rows, order->nrows,
						   added->width);
}

void
churn_table_make(ChurnTable *table, ChurnRows *rows)
{
	ChurnOrder	order;
	bool		text_number;
	size_t		i;

	check_rows(rows);
	memset(table, 0, sizeof(*table));
	churn_order_make(&order, rows);
	table->nrows = table->capacity = order.nrows;
	memcpy(table->start, order.start, sizeof(table->start));
	table->labels = order.labels;
	table->joined = order.joined;
	table->repeated_keys = order.repeated;
	table->champion = order.champion;
	check_parts(table, rows->settings);

	table->columns = churn_alloc(rows->settings->ncolumns,
								 sizeof(ChurnTableColumn));
	for (i = 0; i < rows->settings->ncolumns; i++)
	{
		text_number = churn_column_resolve(&rows->columns[i]);
		if (rows->columns[i].state != CHURN_COLUMN_LEFT_OUT)
			add_column(table, &rows->columns[i], text_number, &order);
	}
	churn_pages_free(order.rows, order.nrows * sizeof(uint32_t));

	churn_baseline_measure(table, rows->settings->arena);
	churn_table_drop_duplicates(table);
	check_parts(table, rows->settings);
	/* rules that hold for all, or for none, are the user's choice */
	if (rows->settings->rules == NULL)
		churn_table_choose_columns(table, rows->settings->arena);
	churn_table_report_columns(table, rows);
	if (table->ncolumns == 0)
		churn_failure(CHURN_SQLSTATE_INVALID_PARAMETER, NULL,
					  "Use a source with columns that tell customers apart.",
					  "no column is left to train on");
}

/* Writes rows of a column as floats, step floats apart. */
static void
fill_column(const ChurnTableColumn *column, size_t first, size_t count,
			float *values, size_t step)
{
	size_t		i;
	unsigned	code;

	if (column->width == sizeof(float))
	{
		const float *numbers = (const float *) column->values + first;

		for (i = 0; i < count; i++)
			values[i * step] = numbers[i];
	}
	else
	{
		for (i = 0; i < count; i++)
		{
			code = column->width == 1 ?
				((const uint8_t *) column->values)[first + i] :
				((const uint16_t *) column->values)[first + i];
			values[i * step] = code == 0 ? NAN : (float) (code - 1);
		}
	}
}

void
churn_table_fill(const ChurnTable *table, size_t first, size_t count,
				 float *values)
{
	size_t		done;
	size_t		i;

	for (done = 0; done < count; done += FILL_ROWS)
	{
		size_t		some = count - done < FILL_ROWS ? count - done : FILL_ROWS;

		for (i = 0; i < table->ncolumns; i++)
			fill_column(&table->columns[i], first + done, some,
						values + done * table->ncolumns + i, table->ncolumns);
	}
}

void
churn_table_drop_train(ChurnTable *table)
{
	size_t		keep = table->start[CHURN_PART_TRAIN];
	size_t		i;

	for (i = 0; i < table->ncolumns; i++)
	{
		ChurnTableColumn *column = &table->columns[i];

		churn_pages_shrink(column->values, table->capacity * column->width,
						   keep * column->width);
	}
	table->capacity = keep;
}
