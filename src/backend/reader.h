/*
 * reader.h
 *		From one SQL value to a number, a text or a day.
 */
#ifndef CHURN_READER_H
#define CHURN_READER_H

#include <float.h>

#include "utils/date.h"

/* What a column's type makes it; text becomes a category or a number. */
typedef enum ChurnColumnKind
{
	CHURN_COLUMN_NONE = 0,		/* arrays, json, bytea, ...: no feature */
	CHURN_COLUMN_NUMBER,
	CHURN_COLUMN_BOOLEAN,
	CHURN_COLUMN_TEXT,
	CHURN_COLUMN_AGE
} ChurnColumnKind;

/* How to read one column. */
typedef struct ChurnReader
{
	ChurnColumnKind kind;
	Oid			type;			/* base type, domains looked through */
	bool		is_enum;
} ChurnReader;

extern void churn_reader_init(ChurnReader *reader, Oid type);

/* The name that a kind has in JSON: number, boolean, text, age; NULL if none. */
extern const char *churn_column_kind_name(ChurnColumnKind kind);

/*
 * A value of a number, boolean or age column as a float; infinities are
 * clamped to +-FLT_MAX, NaN and infinite dates are NaN.  as_of is a day
 * number (PostgreSQL's DateADT); only ages look at it.
 */
extern float churn_reader_float(const ChurnReader *reader, Datum value,
								DateADT as_of);

/*
 * The text of a text column, not terminated; char(n) without its padding.  May
 * detoast into the current memory context.
 */
extern const char *churn_reader_text(const ChurnReader *reader, Datum value,
									 size_t *length);

/* The UTC date of a date, timestamp or timestamptz; false if infinite. */
extern bool churn_reader_day(const ChurnReader *reader, Datum value,
							 DateADT *day);

/* The UTC date of the current statement. */
extern DateADT churn_statement_day(void);

/* A day written YYYY-MM-DD, whatever the session's DateStyle. */
extern char *churn_day_text(DateADT day);

/*
 * Rounds a double to the float that training and scoring both see: NaN stays
 * (it is missing), what a float cannot hold becomes the largest float.
 */
static inline float
churn_clamp_float(double x)
{
	if (x > FLT_MAX)
		return FLT_MAX;
	if (x < -FLT_MAX)
		return -FLT_MAX;
	return (float) x;
}

#endif							/* CHURN_READER_H */
