/*
 * columns.h
 *		Which column of a source plays which part in training.
 */
#ifndef CHURN_COLUMNS_H
#define CHURN_COLUMNS_H

#include "features.h"
#include "source.h"

/* Indexes into the columns of the source; -1 where there is none. */
typedef struct ChurnColumns
{
	int			label;
	int			key;
	int			as_of;
	DateADT		as_of_day;		/* ages count from it if as_of is -1 */
	int			nfeatures;
	int		   *features;
	int			ntransforms;	/* features that are computed, after these */
	ChurnTransform *transforms;
	Oid		   *transform_types;
	Bitmapset  *transform_columns;	/* what they use */
} ChurnColumns;

/*
 * Chooses the columns.  key, exclude (a list of strings) and as_of may be
 * NULL; as_of is a date or the name of a column.  transforms is a list of
 * ChurnTransform; if they are rules, each is a condition, and there are no
 * other features.  Tells the client what was left out.
 */
extern ChurnColumns *churn_columns_choose(const ChurnSource *source,
										  const char *label, const char *key,
										  List *exclude, const char *as_of,
										  List *transforms, bool rules);

/* Reads a date written YYYY-MM-DD; false if it is none. */
extern bool churn_parse_day(const char *text, DateADT *day);

/* The columns of the source that training reads. */
extern Bitmapset *churn_columns_needed(const ChurnColumns *columns);

#endif							/* CHURN_COLUMNS_H */
