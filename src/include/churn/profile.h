/*
 * churn/profile.h
 *		The distribution of features and scores: at training (the baseline), and
 *		of rows seen later (a profile), counted in the baseline's cells.
 *
 * A baseline cuts each feature into cells; a profile counts rows by cell.  So
 * profiles are of fixed size, are merged by addition, exactly, in any order,
 * and all statistics of drift (churn/divergence.h) are functions of counts.
 *
 * Numbers, ages, booleans and the score have at most CHURN_MAX_EDGES edges,
 * which are values that occurred, the least and the greatest among them.  Cell
 * 0 holds what is below the first edge, cell 1 the first edge itself, cell
 * i + 1 what is above edge i - 1, up to and with edge i, and cell nedges + 1
 * what is above the last edge.  A column of at most CHURN_MAX_EDGES different
 * values has a cell for each, and nothing is lost.  Of others, a cell holds
 * about a CHURN_MAX_EDGES-th of the baseline's rows, unless one value alone is
 * more frequent: a rank read off at an edge is exact, and one between two edges
 * is off by no more than that share.
 */
#ifndef CHURN_PROFILE_H
#define CHURN_PROFILE_H

#include "churn/model.h"

#define CHURN_MAX_EDGES		256

/* Where a value is counted that is in no cell. */
typedef struct ChurnCells
{
	ChurnFeatureKind kind;		/* the score is a number */
	uint32_t	nedges;			/* 0 for categories, or if no value occurred */
	const float *edges;			/* rising */
	uint32_t	ncells;			/* numbers: nedges + 2, the last above all
								 * edges (nedges 0: 1); categories: their
								 * number */
	uint32_t	first;			/* of its cells in a profile's counts */
	/* of the rows at training */
	uint64_t	rows;
	uint64_t	missing;
	double		mean;			/* NaN for categories or without values */
	double		sd;				/* of n - 1; NaN with less than two values */
	const uint64_t *counts;		/* ncells */
	const float *centres;		/* mean of the values in each cell; NULL for
								 * categories.  An empty cell's is its edge */
} ChurnCells;

typedef struct ChurnBaseline
{
	uint32_t	nfeatures;
	ChurnCells *features;		/* nfeatures, then that of the score */
	uint32_t	ncounts;		/* of a profile, in all */
	uint64_t	mark;			/* hash of the layout: profiles of equal marks
								 * may be merged */
} ChurnBaseline;

/* What a profile knows of one feature beside its cells. */
typedef struct ChurnProfileFeature
{
	uint64_t	missing;		/* NULL, blank text, NaN */
	uint64_t	unseen;			/* categories that training never saw */
	double		low;			/* least and greatest value; NaN if none */
	double		high;
	double		below;			/* sums of the values below the first edge and */
	double		above;			/* above the last one */
} ChurnProfileFeature;

/*
 * Flat bytes, so that it is also what is stored.  Followed by nfeatures + 1
 * ChurnProfileFeature and ncounts counts.
 */
typedef struct ChurnProfile
{
	uint32_t	magic;
	uint32_t	nfeatures;
	uint32_t	ncounts;
	uint32_t	unused;
	uint64_t	mark;			/* of its baseline */
	uint64_t	rows;
} ChurnProfile;

/*
 * Reads a baseline from the JSON that churn.baseline(model, version) returns:
 * {"features": [{"name", "kind", "baseline": {...}}, ...], "score": {...}}.
 * NULL with *error set if it is malformed.  See docs/architecture.md,
 * "Monitoring", for its members.
 */
extern ChurnBaseline *churn_baseline_read(const char *json, size_t length,
										  ChurnArena *arena,
										  ChurnError *error);

/* Bytes of a profile; makes an empty one of so many bytes. */
extern size_t churn_profile_size(const ChurnBaseline *baseline);
extern void churn_profile_init(const ChurnBaseline *baseline,
							   ChurnProfile *profile);

/*
 * Counts a row: nfeatures values as they are encoded for scoring, and its
 * score; a score of NaN is counted as missing.
 */
extern void churn_profile_add(const ChurnBaseline *baseline,
							  ChurnProfile *profile, const float *features,
							  double score);

/* Adds another profile; false with *error set if its baseline was another. */
extern bool churn_profile_merge(ChurnProfile *profile,
								const ChurnProfile *other,
								ChurnError *error);

/*
 * Whether bytes are a whole profile; whether it is one of the baseline.  Both
 * are to be asked before bytes that were stored are used.
 */
extern bool churn_profile_valid(const void *bytes, size_t length);
extern bool churn_profile_fits(const ChurnBaseline *baseline,
							   const ChurnProfile *profile);

/*
 * The value of a category that training never saw, among encoded features: a
 * NaN like that of a missing one to all who score, but of other bits.
 */
extern float churn_unseen_value(void);
extern bool churn_is_unseen(float value);

#endif							/* CHURN_PROFILE_H */
