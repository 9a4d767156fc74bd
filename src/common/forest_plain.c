/*
 * forest_plain.c
 *		Any forest, evaluated by walking its trees node by node.
 *
 * The design for what the others do not cover: features of more thresholds
 * than bins can count, and forests so small that turning features into bins
 * would cost more than walking them.
 */
#include <string.h>

#include "forest_parts.h"

#define PLAIN_DEFAULT_LEFT	0x8000
#define PLAIN_CATEGORICAL	0x4000
#define PLAIN_FEATURE		0x3FFF

_Static_assert(CHURN_MAX_FEATURES <= PLAIN_FEATURE,
			   "a feature's number must leave room for the flags");

/* A node; its right child follows the left one.  A leaf is its own child. */
typedef struct PlainNode
{
	uint32_t	left;
	uint16_t	feature;		/* and the flags */
	uint16_t	nwords;
	union
	{
		float		threshold;
		float		leaf;
		uint32_t	words;		/* categorical: where its bitset begins */
	}			u;
} PlainNode;

typedef struct PlainState
{
	uint32_t	ntrees;
	const uint32_t *roots;
	const PlainNode *nodes;
	const uint32_t *words;
} PlainState;

static inline bool
goes_right(const PlainState *state, const PlainNode *node, float value)
{
	if (value != value)
		return (node->feature & PLAIN_DEFAULT_LEFT) == 0;
	if ((node->feature & PLAIN_CATEGORICAL) == 0)
		return !(value < node->u.threshold);
	return value >= 0 && value < (float) CHURN_MAX_CATEGORIES &&
		churn_category_in(state->words + node->u.words, node->nwords,
						  (uint32_t) value);
}

static float
plain_margin(const ChurnEvaluator *evaluator, const float *features,
			 void *workspace)
{
	const PlainState *state = evaluator->state;
	float		margin = evaluator->base_margin;
	uint32_t	t;

	(void) workspace;
	for (t = 0; t < state->ntrees; t++)
	{
		uint32_t	at = state->roots[t];
		const PlainNode *node = &state->nodes[at];

		while (node->left != at)
		{
			float		value = features[node->feature & PLAIN_FEATURE];

			at = node->left + goes_right(state, node, value);
			node = &state->nodes[at];
		}
		margin += node->u.leaf;
	}
	return margin;
}

/*
 * Copies the nodes tree by tree in breadth-first order, so that siblings are
 * neighbours.  The queue of nodes yet to be copied is the copy itself: origin
 * tells what each place was made from.
 */
static void
copy_tree(const ChurnForest *forest, const ChurnTree *tree, PlainNode *nodes,
		  uint32_t *origin)
{
	uint32_t	next = tree->first + 1;
	uint32_t	at;

	origin[tree->first] = tree->first;
	for (at = tree->first; at < tree->first + tree->nnodes; at++)
	{
		const ChurnNode *from = &forest->nodes[origin[at]];
		PlainNode  *to = &nodes[at];

		if (from->left < 0)
		{
			to->left = at;
			to->u.leaf = churn_leaf_value(forest, tree, from);
			continue;
		}
		to->left = next;
		to->feature = (uint16_t) from->feature;
		if (from->flags & CHURN_NODE_DEFAULT_LEFT)
			to->feature |= PLAIN_DEFAULT_LEFT;
		if (from->flags & CHURN_NODE_CATEGORICAL)
		{
			to->feature |= PLAIN_CATEGORICAL;
			to->nwords = (uint16_t) from->nwords;
			to->u.words = from->bits;
		}
		else
			to->u.threshold = from->value;
		origin[next++] = tree->first + (uint32_t) from->left;
		origin[next++] = tree->first + (uint32_t) from->right;
	}
}

/* Makes an evaluator of this design, which fits any forest. */
bool
churn_plain_make(const ChurnForest *forest, ChurnArena *keep,
				 ChurnArena *scratch, ChurnEvaluator *evaluator,
				 ChurnError *error)
{
	PlainState *state;
	PlainNode  *nodes;
	uint32_t   *roots;
	uint32_t   *words;
	uint32_t   *origin;
	uint32_t	t;

	state = churn_arena_alloc(keep, sizeof(PlainState), error);
	nodes = churn_arena_array(keep, forest->nnodes, sizeof(PlainNode), error);
	roots = churn_arena_array(keep, forest->ntrees, sizeof(uint32_t), error);
	words = churn_arena_array(keep, forest->nbits, sizeof(uint32_t), error);
	origin = churn_arena_array(scratch, forest->nnodes, sizeof(uint32_t),
							   error);
	if (state == NULL || nodes == NULL || roots == NULL || words == NULL ||
		origin == NULL)
		return false;
	if (forest->nbits > 0)
		memcpy(words, forest->bits, forest->nbits * sizeof(uint32_t));
	for (t = 0; t < forest->ntrees; t++)
	{
		roots[t] = forest->trees[t].first;
		copy_tree(forest, &forest->trees[t], nodes, origin);
	}
	state->ntrees = forest->ntrees;
	state->roots = roots;
	state->nodes = nodes;
	state->words = words;
	evaluator->design = CHURN_DESIGN_PLAIN;
	evaluator->state = state;
	evaluator->margin = plain_margin;
	return true;
}
