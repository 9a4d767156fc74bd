/*
 * validate.h
 *		One call of churn_validate().
 */
#ifndef CHURN_VALIDATE_H
#define CHURN_VALIDATE_H

#include "utils/timestamp.h"

#include "findings.h"
#include "label.h"
#include "registry.h"
#include "source.h"

/* A feature of the version: what training saw of it, and the source's rows. */
typedef struct ChurnCheckedFeature
{
	const ChurnFeature *feature;
	bool		usable;			/* the source has what it needs */
	ChurnReader reader;

	/* the baseline */
	int64		rows;			/* 0 if there is none */
	int64		missing;
	bool		has_range;
	float		low;
	float		high;
	int			nedges;			/* of an age, else 0 */
	double	   *edges;
	double	   *counts;			/* nedges + 2; see churn/profile.h */

	/* the rows */
	int64		missing_now;
	int64		strange;		/* unseen categories; texts that are no number */
	int64		below;			/* numbers out of the range */
	int64		above;
	float		least;			/* of all its numbers; NaN if there is none */
	float		greatest;
	ChurnTally *texts;			/* the strange ones */
	ChurnTally *numbers;		/* those out of the range */
	int64		failed;			/* rows on which its transform fails */
	char	   *failure;		/* the first error */
	List	   *failed_keys;	/* some of these rows' */
} ChurnCheckedFeature;

/* What the registry says of the version. */
typedef struct ChurnExpected
{
	char	   *key;			/* NULL if there is none, as is each below */
	char	   *label;
	char	   *positive;
	int64		rows;			/* trained on; 0 if unknown */
	int64		unlabelled;
	DateADT		day;			/* from which its ages counted, if there is no
								 * column; else when it was trained */
	bool		known;			/* what follows was noted at training */
	List	   *columns;		/* of the source; strings */
	List	   *exclude;		/* strings */
	List	   *label_values;	/* strings */
	bool		has_newest;
	DateADT		newest;			/* as_of */
	int64		repeated_keys;	/* rows */
} ChurnExpected;

/* What is counted of keys. */
typedef struct ChurnCheckedKey
{
	bool		usable;
	bool		unique;			/* an index says so */
	struct Tuplesortstate *sort;	/* NULL unless they are to be sorted */
	int64		missing;
	int64		repeated;		/* rows beyond the first of a key */
	int64		keys;			/* that are repeated */
	List	   *examples;		/* of them; strings */
} ChurnCheckedKey;

/* What is counted of labels. */
typedef struct ChurnCheckedLabel
{
	bool		usable;
	ChurnLabel	label;
	int64		missing;
	int64		churned;
	int64		stayed;
	int64		unknown;		/* say neither yes nor no */
	int64		unseen;			/* mean stayed, and training saw none of them */
	ChurnTally *values;			/* unknown and unseen ones */
} ChurnCheckedLabel;

/* The days from which ages count, where a column has them. */
typedef struct ChurnCheckedDays
{
	bool		usable;
	ChurnReader reader;
	int			ndays;			/* different ones, at most 2 are counted */
	DateADT		newest;
	DateADT		second;
} ChurnCheckedDays;

/* One call, and all that it knows by and by. */
typedef struct ChurnValidation
{
	MemoryContext context;
	char	   *given;			/* source; NULL: the model's own */
	bool		own;
	ChurnModelRow *row;
	ChurnVersion *version;
	ChurnExpected expected;
	ChurnSource *source;
	ChurnCheckedFeature *features;	/* as the model has them */
	ChurnCheckedKey key;
	ChurnCheckedLabel label;
	ChurnCheckedDays days;
	int64		rows;
	int64		failed;			/* of which a transform fails; their
								 * transforms are not counted */
	List	   *findings;
} ChurnValidation;

/*
 * Looks for the columns of a model's features and for its as_of column in the
 * columns of a source, and adds what is wrong to findings.  usable, unless it
 * is NULL, says of each feature whether it can be read.  Features that are in
 * exclude (a list of strings) are not looked for, nor are transforms.
 */
extern void churn_validate_columns(const ChurnModel *model, TupleDesc desc,
								   List *exclude, bool *usable,
								   List **findings);

/* What is wrong with the columns of the source, in the role that reads it. */
extern void churn_validate_source(ChurnValidation *validation);

/*
 * Counts keys that occur more than once: before the first row, for each row
 * while there is a sort, and after the last row.
 */
extern void churn_validate_keys_begin(ChurnCheckedKey *key);
extern void churn_validate_key(ChurnCheckedKey *key, const char *text);
extern void churn_validate_keys_end(ChurnCheckedKey *key);

/* Reads the rows and counts, in the role that reads the source. */
extern void churn_validate_rows(ChurnValidation *validation);

/* What is wrong with the rows, by what was counted. */
extern void churn_validate_judge(ChurnValidation *validation);

#endif							/* CHURN_VALIDATE_H */
