/*
 * explain_wide.h
 *		Shallow trees, explained eight at a time.
 *
 * explain_wide.c makes what explain_wide_row.c reads; the arithmetic is that
 * of explain_trees.c.  Trees of the same depth share a block, one a lane.  In
 * a block each is a complete tree in the order of a heap: the children of node
 * n are 2 n + 1 and 2 n + 2, the nodes of the last level have leaves below.
 * Where a tree is not complete, it is filled up with splits that explain
 * nothing.  Where a row stands at the nodes is looked up by the bins of its
 * features, of which each has a table of masks for all nodes.
 */
#ifndef CHURN_EXPLAIN_WIDE_H
#define CHURN_EXPLAIN_WIDE_H

#include "explain_forest.h"
#include "forest_parts.h"

#define CHURN_WIDE_LANES		8
#define CHURN_WIDE_DEPTH		8	/* at most */
#define CHURN_WIDE_ALIGN		32

/* Tables of masks never take more than this. */
#define CHURN_WIDE_MAX_BYTES	(16.0 * 1024 * 1024)

/* Points of the integral for trees of a depth. */
#define CHURN_WIDE_POINTS(depth)	(((depth) + 1) / 2)

typedef float ChurnWideLanes
			__attribute__((vector_size(CHURN_WIDE_ALIGN), may_alias));

/*
 * Eight trees.  For each node, in vectors: of inner levels the shares of the
 * children; of the last level M, and d for a row that goes left or right; then
 * of both s of each point, and weight * z / A^2 of each point.
 */
typedef struct ChurnWideBlock
{
	uint32_t	depth;
	uint32_t	states;			/* first byte of the masks of its nodes */
	uint32_t	results;		/* first node among those of all blocks */
	const		ChurnWideLanes *nodes;
} ChurnWideBlock;

/* A row of masks has two bytes a node: lanes that go left, that go right. */
typedef struct ChurnWideTable
{
	const ChurnBinner *binner;
	const uint8_t *rows;		/* by bin */
} ChurnWideTable;

typedef struct ChurnWide ChurnWide;

struct ChurnWide
{
	/* explains blocks into results, by node and lane */
	void		(*explain) (const ChurnWide *wide, const uint8_t *states,
							void *workspace, float *results);
	uint32_t	nblocks;
	uint32_t	ntables;
	uint32_t	nresults;		/* nodes of all blocks */
	uint32_t	nfeatures;
	uint32_t	row_bytes;		/* a multiple of CHURN_WIDE_ALIGN */
	const ChurnWideBlock *blocks;
	const ChurnWideTable *tables;
	const uint32_t *items;		/* results sorted by feature: node * 8 + lane */
	const uint32_t *ends;		/* by feature: where its items end */
};

/*
 * Collects trees; copies of trees of at most CHURN_WIDE_DEPTH are added with
 * the share z above each node, and blocks made of them at the end.
 */
typedef struct ChurnWideMaker ChurnWideMaker;

extern ChurnWideMaker *churn_wide_begin(const ChurnForest *source,
										ChurnArena *keep, ChurnArena *scratch,
										ChurnError *error);

/* Whether there is room for ntrees of that depth; if so, it is taken. */
extern bool churn_wide_reserve(ChurnWideMaker *maker, uint32_t depth,
							   uint32_t ntrees);
extern bool churn_wide_add(ChurnWideMaker *maker, uint32_t depth,
						   const ChurnPathTree *tree, const double *shares,
						   ChurnError *error);
extern ChurnWide *churn_wide_end(ChurnWideMaker *maker, bool portable,
								 ChurnError *error);

/* Adds weight * contribution of each feature to sums. */
extern void churn_explain_wide(const ChurnWide *wide, const float *features,
							   double weight, void *workspace, double *sums);

/* Bytes of its workspace. */
extern size_t churn_explain_wide_workspace(const ChurnWide *wide);

/* The fastest code for this processor, or that without AVX2. */
extern void churn_wide_choose(ChurnWide *wide, bool portable);

#endif							/* CHURN_EXPLAIN_WIDE_H */
