/*
 * explain_parts.h
 *		What the parts of the explainer share.
 *
 * explain.c adds up the components of a model and explains additive ones;
 * explain_forest.c prepares forests for explain_trees.c, which explains rows;
 * explain_network.c explains networks.
 */
#ifndef CHURN_EXPLAIN_PARTS_H
#define CHURN_EXPLAIN_PARTS_H

#include "churn/explain.h"

typedef struct ChurnPart ChurnPart;

/* One component, ready to explain. */
struct ChurnPart
{
	/* adds weight * contribution of each feature to sums[0 .. nfeatures) */
	void		(*explain) (const ChurnPart *part, const float *features,
							void *workspace, double *sums);
	const void *state;			/* of the kind of component */
	uint32_t	nfeatures;
	double		weight;
	double		bias;			/* expected margin, unweighted */
	size_t		workspace;		/* bytes, 32-aligned */
};

/* How tests force a way to explain forests; 0 means free choice. */
#define CHURN_EXPLAIN_SINGLY	0x01	/* no blocks of trees */
#define CHURN_EXPLAIN_PORTABLE	0x02	/* no instructions beyond the baseline */

/* Each fills all of part but its weight; false with *error set on failure. */
extern bool churn_explain_forest(const ChurnForest *forest, uint32_t choice,
								 ChurnArena *keep, ChurnArena *scratch,
								 ChurnPart *part, ChurnError *error);
extern bool churn_explain_network(const ChurnNetwork *network,
								  const ChurnFeature *features,
								  ChurnArena *keep, ChurnArena *scratch,
								  ChurnPart *part, ChurnError *error);

/* The n points and weights that integrate degree 2 n - 1 over (0, 1). */
extern void churn_gauss_points(uint32_t n, double *points, double *weights);

#endif							/* CHURN_EXPLAIN_PARTS_H */
