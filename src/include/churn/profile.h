/*
 * churn/profile.h
 *		The distribution of features and scores: at training (the baseline), and
 *		of rows seen later (a profile), counted in the baseline's cells.
 *
 * A baseline cuts each feature into cells; a profile counts rows by cell, and
 * adds up the values in it.  So profiles are of fixed size, counts are merged by
 * addition, exactly, in any order, and all statistics of drift
 * (churn/divergence.h) are functions of counts and means.
 *
 * Numbers, ages, booleans and the score have edges, which rise.  Cell 0 holds
 * what is below the first edge, the least value at training; cell 1 the first
 * edge itself; cell i + 1 what is above edge i - 1, up to and with edge i; and
 * cell nedges + 1 what is above the last edge, the greatest value at training.
 * A value that has a cell of its own has the float before it as an edge as
 * well, so that what lies between two such values is in a cell apart.
 *
 * Error.  In a column of at most CHURN_MAX_DISTINCT different values each has
 * a cell of its own, so that ranks are exact, whatever values come later.  In
 * others a value has a cell of its own if it makes up more than 1 in
 * CHURN_QUANTILES of the baseline's rows, and no other cell holds more than
 * that share of them.  Let F and G be the distribution functions of baseline
 * and profile, p and q their shares in a cell (a, b], d_a = F(a) - G(a) and d_b
 * = d_a + p - q, which are known.  In the cell F - G is at most d_a + p = d_b +
 * q and at least d_a - q = d_b - p, hence |F - G| at most max(|d_a|, |d_b|) +
 * min(p, q).  So
 *
 *	- the Kolmogorov-Smirnov distance, the greatest of the |d|, is never too
 *	  large, and too small by at most the greatest min(p, q) of the cells of
 *	  several values: at most 1 / CHURN_QUANTILES;
 *	- the Wasserstein distance, the integral of |F - G|, is reckoned with the
 *	  cell's rows of either side at their mean.  The integral of F - G over the
 *	  cell is then what it is, and so is that of |F - G| unless F - G changes
 *	  its sign in the cell, for which d_a - q < 0 < d_a + p must hold.  Where it
 *	  does, |F - G| is at most max(p, q), here and there.  So the distance is off
 *	  by at most the sum of (b - a) max(p, q) over the cells of several values
 *	  in which the sign may change; the means at training are rounded to float.
 */
#ifndef CHURN_PROFILE_H
#define CHURN_PROFILE_H

#include "churn/document.h"
#include "churn/model.h"

#define CHURN_QUANTILES		256
#define CHURN_MAX_DISTINCT	257
#define CHURN_MAX_EDGES		514

/* Where the values of a feature, or the scores, are counted. */
typedef struct ChurnCells
{
	const char *name;			/* NULL for the score */
	ChurnFeatureKind kind;		/* the score is a number */
	uint32_t	nedges;			/* 0 for categories, or if no value occurred */
	const float *edges;			/* rising */
	uint32_t	ncells;			/* numbers: nedges + 2, the last above all
								 * edges (nedges 0: 1); categories: their
								 * number */
	uint32_t	first;			/* of its cells in a profile's counts */
	uint32_t	first_sum;		/* in its sums; categories have none */
	/* of the rows at training */
	uint64_t	rows;			/* missing and unseen ones included */
	uint64_t	missing;
	uint64_t	unseen;			/* in a category that only rows behind the
								 * training part have */
	double		mean;			/* NaN for categories or without values */
	double		sd;				/* of n - 1; NaN with less than two values */
	const uint64_t *counts;		/* ncells */
	const float *centres;		/* mean of the values in each cell; NULL for
								 * categories.  An empty cell's is its middle,
								 * or the edge if it is an outer one */
} ChurnCells;

typedef struct ChurnBaseline
{
	uint32_t	nfeatures;
	ChurnCells *features;		/* nfeatures, then that of the score */
	uint32_t	ncounts;		/* of a profile, in all */
	uint32_t	nsums;
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
} ChurnProfileFeature;

/*
 * Flat bytes, so that it is also what is stored, in the machine's own order:
 * the magic number of another order is another one.  Followed by nfeatures + 1
 * ChurnProfileFeature, ncounts counts and nsums sums of values (double).  Aligned
 * to 8 bytes, but for churn_profile_valid().
 */
typedef struct ChurnProfile
{
	uint32_t	magic;
	uint32_t	nfeatures;
	uint32_t	ncounts;
	uint32_t	nsums;
	uint64_t	mark;			/* of its baseline */
	uint64_t	rows;
} ChurnProfile;

/* The parts of a profile; feature nfeatures is the score. */
static inline ChurnProfileFeature *
churn_profile_feature(ChurnProfile *profile, uint32_t feature)
{
	return (ChurnProfileFeature *) (profile + 1) + feature;
}

static inline uint64_t *
churn_profile_counts(ChurnProfile *profile, const ChurnCells *cells)
{
	return (uint64_t *) churn_profile_feature(profile, profile->nfeatures + 1) +
		cells->first;
}

static inline double *
churn_profile_sums(ChurnProfile *profile, const ChurnCells *cells)
{
	return (double *) ((uint64_t *)
					   churn_profile_feature(profile, profile->nfeatures + 1) +
					   profile->ncounts) + cells->first_sum;
}

/*
 * Reads a baseline from the JSON that churn.baseline(model, version) returns:
 * {"features": [{"name", "kind", "baseline": {...}}, ...], "score": {...}}.
 * NULL with *error set if it is malformed, or (CHURN_ERROR_UNSUPPORTED) if a
 * feature or the score has none.  See docs/architecture.md, "Monitoring", for
 * its members.
 */
extern ChurnBaseline *churn_baseline_read(const char *json, size_t length,
										  ChurnArena *arena,
										  ChurnError *error);

/*
 * Reads what one feature's "baseline" holds; kind is set, name is for messages.
 * Turns its arrays into typed ones in place.  first stays 0.
 */
extern bool churn_cells_read(const ChurnValue *baseline, ChurnCells *cells,
							 ChurnArena *arena, ChurnError *error);

/*
 * Brings the arrays of a feature's "baseline" into their types, if it has any;
 * the name is for messages, NULL for the score.
 */
extern bool churn_cells_type(const ChurnValue *baseline, const char *name,
							 ChurnArena *arena, ChurnError *error);

/* The object that churn_cells_read() reads; refers to the cells' arrays. */
extern ChurnValue *churn_cells_value(const ChurnCells *cells,
									 ChurnArena *arena, ChurnError *error);

/*
 * Cuts n sorted numbers into cells and counts them; kind is set.  missing rows
 * more have no value.
 */
extern bool churn_cells_make(ChurnCells *cells, const float *sorted, size_t n,
							 uint64_t missing, ChurnArena *arena,
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

/*
 * Adds another profile; false with *error set if its baseline was another, or
 * if there were too many rows to count.
 */
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
 * Where the profile's rows lie in each cell of a feature that is no category:
 * their mean, or the baseline's centre if there are none.  centres has room for
 * the cells.
 */
extern void churn_profile_centres(const ChurnBaseline *baseline,
								  const ChurnProfile *profile,
								  uint32_t feature, double *centres);

/*
 * First Wasserstein distance of baseline and profile, in units of the feature,
 * which is no category; NaN without rows on one side.
 */
extern double churn_profile_wasserstein(const ChurnBaseline *baseline,
										const ChurnProfile *profile,
										uint32_t feature);

/*
 * The value of a category that training never saw, among encoded features: a
 * NaN like that of a missing one to all who score, but of other bits.
 */
extern float churn_unseen_value(void);
extern bool churn_is_unseen(float value);

#endif							/* CHURN_PROFILE_H */
