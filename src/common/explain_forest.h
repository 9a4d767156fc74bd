/*
 * explain_forest.h
 *		Forests as their explanation walks them; explain_trees.c says how.
 */
#ifndef CHURN_EXPLAIN_FOREST_H
#define CHURN_EXPLAIN_FOREST_H

#include "explain_parts.h"

/* Points of the integral that are computed together. */
#define CHURN_POINTS	4

/* One number at each; where memory allows, not where vectors want to be. */
typedef float ChurnLanes
			__attribute__((vector_size(4 * CHURN_POINTS), aligned(4)));

/* Where a row stands at a node; see explain_trees.c. */
typedef enum ChurnSplitState
{
	CHURN_SPLIT_DEAD = 0,		/* the row failed the feature's splits above */
	CHURN_SPLIT_LEFT = 1,
	CHURN_SPLIT_RIGHT = 2
} ChurnSplitState;

#define CHURN_NO_NODE	UINT32_MAX

/* An inner node.  Children are below ninner, leaves from there on. */
typedef struct ChurnSplit
{
	uint32_t	left;
	uint32_t	right;
	float		left_share;		/* of the node's cover */
	float		right_share;
	uint32_t	curve;			/* of tree->curves: s and weight * z / A^2 of
								 * each group of points */
	uint32_t	above;			/* next node above of the same feature */
	uint32_t	alive;			/* the row's state there, unless dead here */
	uint32_t	feature;
	uint32_t	source;			/* of the model's nodes */
	uint32_t	flags;
	uint32_t	nwords;
	union
	{
		float		threshold;
		uint32_t	words;		/* categorical: where its bitset begins */
	}			u;
} ChurnSplit;

typedef struct ChurnPathTree
{
	const ChurnSplit *splits;	/* in preorder */
	const float *leaves;
	const		ChurnLanes *curves; /* those of dead nodes, all 0, come first */
	uint32_t	ninner;
	uint32_t	ngroups;		/* of points */
} ChurnPathTree;

struct ChurnWide;

typedef struct ChurnPathForest
{
	uint32_t	ntrees;
	ChurnPathTree *trees;
	uint32_t	most;			/* inner nodes of any tree */
	const uint32_t *words;		/* bitsets */
	const struct ChurnWide *wide;	/* the other trees, or NULL */
} ChurnPathForest;

/* What a part of the kind forest does; explain_trees.c. */
extern void churn_explain_trees(const ChurnPart *part, const float *features,
								void *workspace, double *sums);

/* Bytes of its workspace. */
extern size_t churn_explain_trees_workspace(const ChurnPathForest *forest,
											uint32_t nfeatures);

#endif							/* CHURN_EXPLAIN_FOREST_H */
