/*
 * folds.h
 *		Which rows are held out when.
 */
#ifndef CHURN_FOLDS_H
#define CHURN_FOLDS_H

#include "table.h"

/* Folds of one cross-validation, and of its repetitions together, at most. */
#define CHURN_MAX_K			20
#define CHURN_MAX_FOLDS		100

/*
 * Rows first .. first + n of the table are dealt into k folds, repeats times
 * anew.  With k == 1, only the rows of fold 0 are ever held out, and the
 * others have number 1.
 */
typedef struct ChurnFolds
{
	int			k;
	int			repeats;
	size_t		first;
	size_t		n;
	uint8_t    *fold;			/* [repeat * n + row - first] */
} ChurnFolds;

/*
 * Deals rows out so that each fold has the same number of either class, give
 * or take one, and rows of one key stay together.  By seed alone.
 */
extern void churn_folds_make(ChurnFolds *folds, const ChurnTable *table,
							 size_t first, size_t n, int k, int repeats,
							 uint64_t seed);

/* Holds out the validation part: k == 1 and all rows but the test part's. */
extern void churn_folds_hold_out(ChurnFolds *folds, const ChurnTable *table);

/* The fold of a row, counted from first, in a repetition. */
static inline int
churn_fold_of(const ChurnFolds *folds, int repeat, size_t row)
{
	return folds->fold[(size_t) repeat * folds->n + row];
}

#endif							/* CHURN_FOLDS_H */
