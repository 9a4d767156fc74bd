/*
 * drift.h
 *		Today's rows against those that a version was trained on.
 */
#ifndef CHURN_DRIFT_H
#define CHURN_DRIFT_H

#include "executor/spi.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "churn/profile.h"

#include "registry.h"

/* Values that a column may have by which rows are checked apart. */
#define CHURN_MAX_SEGMENTS	1000

/* What a verdict needs. */
typedef struct ChurnDriftPolicy
{
	double		alpha;			/* false discovery rate */
	double		psi;			/* least population stability index */
} ChurnDriftPolicy;

/* One call of churn_drift(), and all that it knows by and by. */
typedef struct ChurnDrift
{
	MemoryContext context;
	char	   *source;			/* as given; NULL: the model's own */
	char	   *segment;		/* column, or NULL */
	Interval   *stream;			/* NULL: the source */
	char	   *functions;		/* schema of the extension's functions, quoted */
	ChurnModelRow *row;
	ChurnVersion *version;
	char	   *baseline_json;	/* in the database's encoding */
	ChurnBaseline *baseline;
	ChurnDriftPolicy policy;
	TimestampTz checked_at;
	/* what reading the rows sets */
	TimestampTz from;			/* when the rows were there */
	TimestampTz to;
	const char *read;			/* what churn.drift.source says */
	TupleDesc	desc;			/* of profiles: segment's value, profile */
	Tuplestorestate *profiles;
} ChurnDrift;

/* Columns of profiles. */
#define CHURN_DRIFT_SEGMENT	1
#define CHURN_DRIFT_PROFILE	2

/* Features that are none. */
#define CHURN_DRIFT_SCORE	(-1)
#define CHURN_DRIFT_MODEL	(-2)

/* A figure of a check. */
typedef struct ChurnDriftFigure
{
	int			feature;		/* or one of the above */
	const char *statistic;
	double		value;			/* NaN where it is not defined */
	double		threshold;		/* NaN if there is none */
	double		p_value;		/* likewise */
	int			drifted;		/* -1: not judged */
} ChurnDriftFigure;

/* Figures of a check at most. */
#define CHURN_DRIFT_FIGURES(baseline)	(((baseline)->nfeatures + 1) * 7 + 1)

/*
 * Reads a baseline from JSON in the database's encoding, into memory of the
 * context.  what is the thing that errors name.
 */
extern ChurnBaseline *churn_drift_baseline(char *json, const char *what,
										   MemoryContext context);

/* Whether the baseline has just the features of the model. */
extern bool churn_drift_baseline_fits(const ChurnBaseline *baseline,
									  const ChurnModel *model);

/*
 * A copy of a stored profile, for use.  NULL if it was counted by another
 * baseline; bytes that are no profile are an error.
 */
extern ChurnProfile *churn_drift_profile(const ChurnDrift *drift,
										 Datum bytes);

/*
 * Counts the rows of the source, or those that the stream worker counted, into
 * drift->profiles.  SPI must be connected.
 */
extern void churn_drift_read(ChurnDrift *drift);

/*
 * Options of an SPI statement that has n parameters and puts its rows into a
 * tuple store.
 */
extern SPIExecuteOptions churn_drift_options(const ChurnDrift *drift, int n,
											 const Oid *types,
											 const Datum *values,
											 const bool *nulls,
											 Tuplestorestate *store);

/*
 * Measures a profile of at least one row against its baseline, and judges.
 * figures has room for CHURN_DRIFT_FIGURES(); returns how many there are.
 */
extern int	churn_drift_measure(const ChurnBaseline *baseline,
								ChurnProfile *profile,
								const ChurnDriftPolicy *policy,
								ChurnDriftFigure *figures);

/* Complains of more than CHURN_MAX_SEGMENTS. */
extern void churn_drift_too_many_segments(void);

#endif							/* CHURN_DRIFT_H */
