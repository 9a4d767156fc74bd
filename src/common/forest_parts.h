/*
 * forest_parts.h
 *		What the designs of the forest evaluator share.
 *
 * forest.c chooses a design and holds the reference; forest_bins.c makes the
 * bins of features and forest_search.h finds them; forest_bits.c evaluates
 * bins by tables of leaf masks; forest_deep.c walks nodes that compare bins;
 * forest_plain.c walks nodes that compare the features themselves.
 */
#ifndef CHURN_FOREST_PARTS_H
#define CHURN_FOREST_PARTS_H

#include "churn/forest.h"

typedef enum ChurnDesign
{
	CHURN_DESIGN_AUTO,
	CHURN_DESIGN_PLAIN,
	CHURN_DESIGN_DEEP,
	CHURN_DESIGN_BITS
} ChurnDesign;

/* How tests force a design; all zero means free choice. */
typedef struct ChurnDesignChoice
{
	ChurnDesign design;
	uint32_t	width;			/* BITS: least bits of a mask, 8 to 64 */
	bool		portable;		/* no instructions beyond the baseline */
} ChurnDesignChoice;

struct ChurnEvaluator
{
	float		base_margin;
	float		(*margin) (const ChurnEvaluator *evaluator,
						   const float *features, void *workspace);
	const void *state;			/* of the design */
	size_t		workspace;		/* bytes */
	size_t		size;			/* bytes of all that the evaluator holds */
	ChurnDesign design;
	uint32_t	width;			/* BITS: bits of a mask */
};

/*
 * A binner maps a feature's value to a bin such that all splits of one kind
 * (numeric or categorical) on that feature send all values of a bin the same
 * way.  A feature with splits of both kinds has two binners.
 *
 * Numeric: bin b < missing holds the values with b thresholds at or below.
 * Categorical: one bin for each set of categories that no split tells apart.
 * Other categories (beyond all bitsets, negative, too large) go left
 * everywhere, missing ones by default; they have bins of their own unless
 * known categories go the same ways.  Such a bin comes last, and is not among
 * the dense ones, for which tables are combined, if it is hardly expected.
 * Another category is where few are known, since XGBoost splits a feature of
 * two categories by naming always the same one; a missing one is where the
 * splits differ in their default direction, or are too few to tell, since
 * without missing values in training all have the same.
 */
typedef struct ChurnBinner
{
	uint32_t	feature;
	bool		categorical;
	uint32_t	nbins;
	uint32_t	ndense;			/* bins before those hardly expected */
	uint32_t	missing;		/* bin of NaN */

	uint32_t	nthresholds;
	const float *thresholds;	/* rising, distinct, then NaN to fill a step */
	const uint16_t *grid;		/* NULL with few thresholds */
	float		low;			/* cell = (value - low) * scale */
	float		scale;

	uint32_t	ncodes;
	const uint16_t *code_bins;	/* bin of each code < ncodes */
	uint32_t	other;			/* bin of every other code */

	/* for building; in scratch */
	const uint32_t *examples;	/* categorical: a code in each bin */
	const uint32_t *nodes;		/* forest->nodes[] that split so */
	uint32_t	nnodes;
} ChurnBinner;

typedef struct ChurnBins
{
	uint32_t	nbinners;
	ChurnBinner *binners;
	const uint32_t *ranks;		/* by node: its threshold's place; scratch */
} ChurnBins;

/* The most bins a feature may have for designs with bins. */
#define CHURN_MAX_BINS		65000

/* Cells of the grid that narrows the search among thresholds. */
#define CHURN_GRID_CELLS	1024

/* Thresholds that the search compares at once. */
#define CHURN_SEARCH_STEP	8

/*
 * Makes the binners of a forest.  Fails with CHURN_ERROR_LIMIT when a feature
 * needs more than CHURN_MAX_BINS.
 */
extern bool churn_bins_make(const ChurnForest *forest, ChurnArena *keep,
							ChurnArena *scratch, ChurnBins *bins,
							ChurnError *error);

/* Whether values of the bin go right at the node, which the binner serves. */
extern bool churn_bin_goes_right(const ChurnForest *forest,
								 const ChurnBins *bins,
								 const ChurnBinner *binner, uint32_t node,
								 uint32_t bin);

/* The leaf as it enters the sum; see forest.c. */
static inline float
churn_leaf_value(const ChurnForest *forest, const ChurnTree *tree,
				 const ChurnNode *leaf)
{
	return forest->dart ? (0.0f + leaf->value) * tree->weight : leaf->value;
}

/* Whether a category is in a categorical node's set, which sends it right. */
static inline bool
churn_category_in(const uint32_t *words, uint32_t nwords, uint32_t code)
{
	return code / 32 < nwords && (words[code / 32] >> code % 32 & 1) != 0;
}

/* How the tables of leaf masks would be, before they are made. */
typedef struct ChurnBitsPlan
{
	double		nanoseconds;	/* a row, estimated */
	double		bytes;			/* of the tables */
	uint32_t	width;			/* bits of a mask: 8, 16, 32 or 64 */
	size_t		row_bytes;		/* masks of all trees, padded */
	uint32_t	ngroups;
	uint32_t   *group_of;		/* by binner */
	uint32_t   *products;		/* by group: combinations of dense bins */
	uint32_t   *sizes;			/* by group: binners in it */
} ChurnBitsPlan;

/* Tables of leaf masks never take more than this. */
#define CHURN_BITS_MAX_BYTES	(16.0 * 1024 * 1024)

extern bool churn_bits_plan(const ChurnForest *forest, const ChurnBins *bins,
							uint32_t width, ChurnArena *scratch,
							ChurnBitsPlan *plan, ChurnError *error);
extern bool churn_bits_make(const ChurnForest *forest, const ChurnBins *bins,
							const ChurnBitsPlan *plan, bool portable,
							ChurnArena *keep, ChurnArena *scratch,
							ChurnEvaluator *evaluator, ChurnError *error);

/* Estimated nanoseconds a row of the deep design. */
extern double churn_deep_cost(const ChurnForest *forest,
							  const uint32_t *depths);
extern bool churn_deep_make(const ChurnForest *forest, const ChurnBins *bins,
							const uint32_t *depths, ChurnArena *keep,
							ChurnArena *scratch, ChurnEvaluator *evaluator,
							ChurnError *error);
extern bool churn_plain_make(const ChurnForest *forest, ChurnArena *keep,
							 ChurnArena *scratch, ChurnEvaluator *evaluator,
							 ChurnError *error);

/*
 * churn_evaluator_make with a forced design; CHURN_ERROR_LIMIT when the forest
 * does not fit it.
 */
extern ChurnEvaluator *churn_evaluator_make_as(const ChurnForest *forest,
											   const ChurnDesignChoice *choice,
											   ChurnArena *keep,
											   ChurnArena *scratch,
											   ChurnError *error);

#endif							/* CHURN_FOREST_PARTS_H */
