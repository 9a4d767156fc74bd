/*
 * table.h
 *		The data as a learner sees it: features by column, rows in order.
 */
#ifndef CHURN_TABLE_H
#define CHURN_TABLE_H

#include "churn/profile.h"
#include "order.h"
#include "rows.h"

typedef struct ChurnTableColumn
{
	ChurnColumn *column;
	ChurnFeatureKind kind;
	bool		text_number;
	uint8_t		width;			/* 4: floats; 1, 2: codes from 1, 0 missing */
	void	   *values;			/* of all rows, in the table's order */
	uint32_t	ncategories;
	ChurnText  *categories;		/* in bytewise order */
	ChurnCells	baseline;		/* of all labelled rows */
} ChurnTableColumn;

typedef struct ChurnTable
{
	ChurnTableColumn *columns;
	size_t		ncolumns;
	size_t		nrows;
	size_t		capacity;		/* rows that values have room for */
	size_t		start[CHURN_NPARTS + 1];	/* first row of each part */
	size_t		positives[CHURN_NPARTS];
	uint8_t    *labels;
	uint8_t    *joined;			/* see ChurnOrder; or NULL */
	size_t		repeated_keys;	/* rows that arrived with another one's key */
	float	   *champion;		/* scores, or NULL */
	size_t		duplicates;		/* training rows that were dropped */
} ChurnTable;

/*
 * Makes the table from the rows that arrived, which are gone afterwards.  Data
 * that cannot be trained on is a FAILURE, what was done to it a NOTICE.
 */
extern void churn_table_make(ChurnTable *table, ChurnRows *rows);

/*
 * Writes rows first .. first + count as floats, row after row, NaN for
 * missing and categories as their code from 0.
 */
extern void churn_table_fill(const ChurnTable *table, size_t first,
							 size_t count, float *values);

/* Gives back the memory of the training part, the last. */
extern void churn_table_drop_train(ChurnTable *table);

/*
 * Hashes of the features of rows first .. first + count, to be freed with
 * churn_pages_free(): rows of different hashes differ.
 */
extern uint64_t *churn_table_hash_rows(const ChurnTable *table, size_t first,
									   size_t count);

/* Rows of a part. */
static inline size_t
churn_table_rows(const ChurnTable *table, ChurnPart part)
{
	return table->start[part + 1] - table->start[part];
}

/*
 * Steps of churn_table_make(): drops training rows that equal a test row;
 * gives categories their codes; reports on columns.
 */
extern void churn_table_drop_duplicates(ChurnTable *table);
extern void churn_table_choose_columns(ChurnTable *table, ChurnArena *arena);
extern void churn_table_report_columns(const ChurnTable *table,
									   const ChurnRows *rows);

#endif							/* CHURN_TABLE_H */
