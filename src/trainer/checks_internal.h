/*
 * checks_internal.h
 *		What the files of checks.c share.
 */
#ifndef CHURN_CHECKS_INTERNAL_H
#define CHURN_CHECKS_INTERNAL_H

#include <math.h>
#include <stdbool.h>

#include "issues.h"
#include "table.h"

/*
 * The first rows of each class, which are a random choice since the table is
 * ordered by the hash of the key.  Shares of the classes do not matter to what
 * is measured: AUC, and rates within a class.
 */
typedef struct ChurnCheckRows
{
	const ChurnTable *table;
	uint32_t   *rows;			/* of the table; who stayed comes first */
	uint8_t    *labels;
	size_t		n;
	size_t		of_class[2];	/* n is their sum */
} ChurnCheckRows;

/* A value as a float, a category as its code from 0, missing as NaN. */
static inline float
churn_check_value(const ChurnTableColumn *column, size_t row)
{
	unsigned	code;

	if (column->width == sizeof(float))
		return ((const float *) column->values)[row];
	code = column->width == 1 ? ((const uint8_t *) column->values)[row] :
		((const uint16_t *) column->values)[row];
	return code == 0 ? NAN : (float) (code - 1);
}

/* Checks a column alone; true if it is suspicious. */
extern bool churn_check_column(const ChurnCheckRows *rows,
							   const ChurnTableColumn *column,
							   ChurnIssues *issues);

/* Checks pairs of the columns that are not marked as suspicious. */
extern void churn_check_pairs(const ChurnCheckRows *rows,
							  const bool *suspicious, ChurnIssues *issues);

/* A value, which is not NaN, of row number row of a ChurnCheckRows. */
typedef struct ChurnRanked
{
	float		value;
	uint8_t		label;
	uint32_t	row;
} ChurnRanked;

extern void churn_check_sort(ChurnRanked *ranked, size_t n);

/*
 * The probability that a row that churned has a larger value than one that
 * stayed, ties counting half.  The values are sorted, of both classes.
 */
extern double churn_check_auc(const ChurnRanked *ranked, size_t n);

#endif							/* CHURN_CHECKS_INTERNAL_H */
