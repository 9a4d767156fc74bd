/*
 * score.h
 *		What a margin means, and rows for those who look at more than it.
 */
#ifndef CHURN_SCORE_H
#define CHURN_SCORE_H

#include "fmgr.h"

#include "features.h"
#include "registry.h"

/* The probability of churn, 0 to 1, that a margin of the version stands for. */
extern double churn_score_of_margin(const ChurnVersion *version,
									float margin);

/* "high" at or above the threshold, "medium" at or above half of it, "low". */
extern const char *churn_score_band(double score, double threshold);

/* A row of a call, encoded for the version that the call is to use. */
typedef struct ChurnEncodedRow
{
	uint64		generation;		/* as long as it is the same, so are version,
								 * map and desc */
	ChurnVersion *version;		/* pinned by the call */
	const ChurnRowMap *map;
	TupleDesc	desc;
	const Datum *values;		/* the columns of desc */
	const bool *nulls;
	const float *features;
	void	   *workspace;		/* of the evaluator */
} ChurnEncodedRow;

/*
 * Finds version and row map for a call whose first arguments are customer (a
 * row that is not NULL), model and version, and encodes the row.  What is kept
 * between rows hangs on flinfo, whose fn_extra the caller leaves alone.
 */
extern void churn_score_encode(FunctionCallInfo fcinfo, FmgrInfo *flinfo,
							   ChurnEncodedRow *row);

#endif							/* CHURN_SCORE_H */
