/*
 * label.h
 *		Who churned, by the values of the label column.
 */
#ifndef CHURN_LABEL_H
#define CHURN_LABEL_H

#include "features.h"

/* So many values of a label are kept to be named in an error. */
#define CHURN_LABEL_SAMPLES 5

/* So many different values other than the positive one are noted. */
#define CHURN_LABEL_VALUES	16

typedef struct ChurnLabel
{
	const char *column;
	Oid			type;
	ChurnReader reader;
	const char *positive;		/* NULL: recognise the value */
	size_t		positive_length;	/* without blanks around */
	double		positive_number;
	bool		positive_boolean;
	MemoryContext context;		/* of samples */
	int			nsamples;		/* values that are not positive, or unknown */
	char	   *samples[CHURN_LABEL_SAMPLES];
	int			nvalues;		/* values that mean stayed, where positive is
								 * given; more than CHURN_LABEL_VALUES: not
								 * all are there */
	char	   *values[CHURN_LABEL_VALUES];
	double		numbers[CHURN_LABEL_VALUES];	/* the same of a number */
	int64		missing;		/* rows whose label is null or blank */
	int64		churned;
	int64		stayed;
} ChurnLabel;

typedef enum ChurnLabelValue
{
	CHURN_LABEL_STAYS = 0,
	CHURN_LABEL_CHURNED = 1,
	CHURN_LABEL_MISSING,		/* null or blank: the row says nothing */
	CHURN_LABEL_UNKNOWN			/* an error comes in the end */
} ChurnLabelValue;

/*
 * Prepares to read labels of a type; a type that cannot say yes or no, or a
 * positive value that the type cannot have, is an error.
 */
extern void churn_label_init(ChurnLabel *label, const char *column, Oid type,
							 const char *positive, MemoryContext context);

/* What a label says, without counting it. */
extern ChurnLabelValue churn_label_value(const ChurnLabel *label, Datum value,
										 bool isnull);

/*
 * A label that is not NULL as text, cut to what an error would show, in the
 * current memory context.
 */
extern char *churn_label_text(const ChurnLabel *label, Datum value);

/*
 * Notes a value of text that means stayed; whether a value is among those
 * noted.
 */
extern void churn_label_note(ChurnLabel *label, const char *value);
extern bool churn_label_noted(const ChurnLabel *label, Datum value);

/* Reads and counts one row's label. */
extern ChurnLabelValue churn_label_read(ChurnLabel *label, Datum value,
										bool isnull);

/* Complains of values it could not read, or if positive never occurred. */
extern void churn_label_finish(const ChurnLabel *label);

#endif							/* CHURN_LABEL_H */
