/*
 * forest_deep.c
 *		Trees of any shape, evaluated by walking eight of them at a time.
 *
 * Walking a tree is a chain of loads, each waiting for the one before it, with
 * branches that cannot be foreseen.  Here a step has no branch, and eight
 * trees are walked side by side so that their loads overlap.  A step compares
 * a slot with the node's threshold:
 *
 *		next = left + (slots[node.slot] > node.threshold)
 *
 * Slots are small integers that stand for the row: a numeric feature has its
 * bin in two of them, one where missing is below every threshold and one where
 * it is above.  A categorical feature has a slot for each distinct split on
 * it, which says whether the row goes right; these are copied from a table row
 * for the feature's bin.  A leaf is its own left child and compares slot 0,
 * which is 0, with 0.  So nothing but the loop's length depends on the shape.
 *
 * Features with too many distinct categorical splits keep their bin in a slot
 * instead, and their nodes, marked by the threshold SET, look it up in a
 * bitset of their own; forests that have them take a branch at each step.
 */
#include <stdlib.h>
#include <string.h>

#include "forest_search.h"

#define LANES			8
#define SET				0xFFFF	/* threshold of nodes that have a bitset */
#define MAX_SPLITS		256		/* slots for the splits on one feature */
#define MAX_SLOTS		65535
#define MAX_SET_WORDS	(4u * 1024 * 1024)

/* Walks are checked for having ended every so many steps. */
#define STEPS			8

/* Estimated nanoseconds of a step of one lane, by measurement. */
#define COST_STEP		0.9

/* A node; its right child follows the left one. */
typedef struct DeepNode
{
	uint16_t	slot;
	uint16_t	threshold;
	uint32_t	left;
} DeepNode;

/* A leaf's value, or where the bitset of a node begins. */
typedef union DeepPayload
{
	float		leaf;
	uint32_t	words;
} DeepPayload;

/* How a feature's bin enters the slots. */
typedef struct DeepSource
{
	const ChurnBinner *binner;
	uint16_t	slot;			/* the first of its slots */
	uint16_t	nslots;			/* categorical: 0 for the bin itself */
	const uint16_t *table;		/* by bin: the slots */
} DeepSource;

/* Trees that are walked together. */
typedef struct DeepGroup
{
	uint32_t	roots[LANES];
	uint32_t	depth;			/* of the deepest */
} DeepGroup;

typedef struct DeepState
{
	uint32_t	ntrees;
	uint32_t	nsources;
	const DeepSource *sources;
	const DeepGroup *groups;
	const DeepNode *nodes;
	const DeepPayload *payloads;
	const uint32_t *words;		/* NULL if no node has a bitset */
} DeepState;

/* What building needs; all in scratch. */
typedef struct DeepBuild
{
	const ChurnForest *forest;
	const ChurnBins *bins;
	uint16_t   *slots;			/* by forest's node */
	uint32_t   *sets;			/* by forest's node: bitset + 1, or 0 */
	uint32_t   *origin;			/* by own node: the forest's */
	uint32_t	nslots;
	uint64_t	nwords;
} DeepBuild;

/* Fills the slots from the features. */
static void
fill_slots(const DeepState *state, const float *features, uint16_t *slots)
{
	uint32_t	i;

	slots[0] = 0;
	for (i = 0; i < state->nsources; i++)
	{
		const DeepSource *source = &state->sources[i];
		const ChurnBinner *binner = source->binner;
		uint32_t	bin = churn_bin(binner, features[binner->feature]);

		if (!binner->categorical)
		{
			bool		missing = bin == binner->missing;

			slots[source->slot] = missing ? 0 : (uint16_t) (bin + 1);
			slots[source->slot + 1] = (uint16_t) (bin + 1);
		}
		else if (source->nslots == 0)
			slots[source->slot] = (uint16_t) bin;
		else
			memcpy(slots + source->slot,
				   source->table + (size_t) bin * source->nslots,
				   source->nslots * sizeof(uint16_t));
	}
}

/* Walks are inlined where it is known whether there are bitsets. */
#define FORCE_INLINE static inline __attribute__((always_inline))

/* Takes one step in one tree. */
FORCE_INLINE uint32_t
step(const DeepState *state, const uint16_t *slots, uint32_t at,
	 const bool sets)
{
	DeepNode	node = state->nodes[at];
	uint32_t	value = slots[node.slot];

	if (sets && node.threshold == SET)
		return node.left +
			(state->words[state->payloads[at].words + value / 32] >>
			 value % 32 & 1);
	return node.left + (value > node.threshold);
}

/* Walks the trees of a group to their leaves. */
FORCE_INLINE void
walk(const DeepState *state, const DeepGroup *group, const uint16_t *slots,
	 uint32_t *at, const bool sets)
{
	uint32_t	a = group->roots[0];
	uint32_t	b = group->roots[1];
	uint32_t	c = group->roots[2];
	uint32_t	d = group->roots[3];
	uint32_t	e = group->roots[4];
	uint32_t	f = group->roots[5];
	uint32_t	g = group->roots[6];
	uint32_t	h = group->roots[7];
	uint32_t	left;

	for (left = group->depth; left > 0; left--)
	{
		uint32_t	before = 0;

		if (left % STEPS == 0)
			before = a + b + c + d + e + f + g + h;
		a = step(state, slots, a, sets);
		b = step(state, slots, b, sets);
		c = step(state, slots, c, sets);
		d = step(state, slots, d, sets);
		e = step(state, slots, e, sets);
		f = step(state, slots, f, sets);
		g = step(state, slots, g, sets);
		h = step(state, slots, h, sets);

		/* a step only leads to larger numbers, unless it stays */
		if (left % STEPS == 0 && before == a + b + c + d + e + f + g + h)
			break;
	}
	at[0] = a;
	at[1] = b;
	at[2] = c;
	at[3] = d;
	at[4] = e;
	at[5] = f;
	at[6] = g;
	at[7] = h;
}

FORCE_INLINE float
deep_margin(const ChurnEvaluator *evaluator, const float *features,
			uint16_t *slots, const bool sets)
{
	const DeepState *state = evaluator->state;
	float		margin = evaluator->base_margin;
	uint32_t	first;
	uint32_t	i;

	fill_slots(state, features, slots);
	for (first = 0; first < state->ntrees; first += LANES)
	{
		uint32_t	n = state->ntrees - first;
		uint32_t	at[LANES];

		walk(state, &state->groups[first / LANES], slots, at, sets);
		for (i = 0; i < LANES && i < n; i++)
			margin += state->payloads[at[i]].leaf;
	}
	return margin;
}

static float
deep_margin_numbers(const ChurnEvaluator *evaluator, const float *features,
					void *workspace)
{
	return deep_margin(evaluator, features, workspace, false);
}

static float
deep_margin_sets(const ChurnEvaluator *evaluator, const float *features,
				 void *workspace)
{
	return deep_margin(evaluator, features, workspace, true);
}

/* Gives a numeric feature its two slots and its nodes the right one. */
static void
place_numeric(DeepBuild *build, const ChurnBinner *binner, DeepSource *source)
{
	uint32_t	i;

	source->slot = (uint16_t) build->nslots;
	build->nslots += 2;
	for (i = 0; i < binner->nnodes; i++)
	{
		uint32_t	node = binner->nodes[i];
		bool		left = (build->forest->nodes[node].flags &
							CHURN_NODE_DEFAULT_LEFT) != 0;

		build->slots[node] = (uint16_t) (source->slot + (left ? 0 : 1));
	}
}

static int
compare_masks(const void *a, const void *b)
{
	uint64_t	x = *(const uint64_t *) a;
	uint64_t	y = *(const uint64_t *) b;

	return (x > y) - (x < y);
}

/*
 * Gives a categorical feature of at most 64 bins a slot for each distinct
 * split on it.  Sets *placed to false if there are too many of them.
 */
static bool
place_splits(DeepBuild *build, const ChurnBinner *binner, DeepSource *source,
			 ChurnArena *keep, ChurnArena *scratch, bool *placed,
			 ChurnError *error)
{
	uint64_t   *masks;			/* by node: the bins that go right */
	uint64_t   *distinct;
	uint16_t   *table;
	uint32_t	n = 0;
	uint32_t	i;
	uint32_t	bin;

	masks = churn_arena_array(scratch, binner->nnodes, sizeof(uint64_t),
							  error);
	distinct = churn_arena_array(scratch, binner->nnodes, sizeof(uint64_t),
								 error);
	if (masks == NULL || distinct == NULL)
		return false;
	for (i = 0; i < binner->nnodes; i++)
	{
		for (bin = 0; bin < binner->nbins; bin++)
			if (churn_bin_goes_right(build->forest, build->bins, binner,
									 binner->nodes[i], bin))
				masks[i] |= UINT64_C(1) << bin;
		distinct[i] = masks[i];
	}
	qsort(distinct, binner->nnodes, sizeof(uint64_t), compare_masks);
	for (i = 0; i < binner->nnodes; i++)
		if (n == 0 || distinct[i] != distinct[n - 1])
			distinct[n++] = distinct[i];
	*placed = n <= MAX_SPLITS && build->nslots + n <= MAX_SLOTS;
	if (!*placed)
		return true;

	table = churn_arena_array(keep, (size_t) n * binner->nbins,
							  sizeof(uint16_t), error);
	if (table == NULL)
		return false;
	for (bin = 0; bin < binner->nbins; bin++)
		for (i = 0; i < n; i++)
			table[(size_t) bin * n + i] = distinct[i] >> bin & 1;
	for (i = 0; i < binner->nnodes; i++)
	{
		const uint64_t *found = bsearch(&masks[i], distinct, n,
										sizeof(uint64_t), compare_masks);

		build->slots[binner->nodes[i]] =
			(uint16_t) (build->nslots + (uint32_t) (found - distinct));
	}
	source->slot = (uint16_t) build->nslots;
	source->nslots = (uint16_t) n;
	source->table = table;
	build->nslots += n;
	return true;
}

/* Gives a categorical feature a slot for its bin, and its nodes bitsets. */
static void
place_sets(DeepBuild *build, const ChurnBinner *binner, DeepSource *source)
{
	uint32_t	i;

	source->slot = (uint16_t) build->nslots++;
	for (i = 0; i < binner->nnodes; i++)
	{
		uint32_t	node = binner->nodes[i];

		build->slots[node] = source->slot;
		if (build->nwords <= MAX_SET_WORDS)
			build->sets[node] = (uint32_t) build->nwords + 1;
		build->nwords += (binner->nbins + 31) / 32;
	}
}

/* Gives all features their slots. */
static bool
place_features(DeepBuild *build, DeepSource *sources, ChurnArena *keep,
			   ChurnArena *scratch, ChurnError *error)
{
	uint32_t	i;

	build->nslots = 1;
	for (i = 0; i < build->bins->nbinners; i++)
	{
		const ChurnBinner *binner = &build->bins->binners[i];
		bool		placed = false;

		sources[i].binner = binner;
		if (!binner->categorical)
		{
			place_numeric(build, binner, &sources[i]);
			continue;
		}
		if (binner->nbins <= 64 &&
			!place_splits(build, binner, &sources[i], keep, scratch, &placed,
						  error))
			return false;
		if (!placed)
			place_sets(build, binner, &sources[i]);
	}
	if (build->nslots > MAX_SLOTS || build->nwords > MAX_SET_WORDS)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "too many categorical splits");
	return true;
}

/* Fills the bitsets of nodes that have one. */
static bool
make_sets(const DeepBuild *build, DeepState *state, ChurnArena *keep,
		  ChurnError *error)
{
	uint32_t   *words;
	uint32_t	b;
	uint32_t	i;
	uint32_t	bin;

	if (build->nwords == 0)
		return true;
	words = churn_arena_array(keep, build->nwords, sizeof(uint32_t), error);
	if (words == NULL)
		return false;
	for (b = 0; b < build->bins->nbinners; b++)
	{
		const ChurnBinner *binner = &build->bins->binners[b];

		for (i = 0; i < binner->nnodes; i++)
		{
			uint32_t	node = binner->nodes[i];

			if (build->sets[node] == 0)
				continue;
			for (bin = 0; bin < binner->nbins; bin++)
				if (churn_bin_goes_right(build->forest, build->bins, binner,
										 node, bin))
					words[build->sets[node] - 1 + bin / 32] |=
						UINT32_C(1) << bin % 32;
		}
	}
	state->words = words;
	return true;
}

/*
 * Copies a tree in breadth-first order, so that siblings are neighbours and
 * the nodes near the root, which most rows visit, lie together.
 */
static void
copy_tree(DeepBuild *build, const ChurnTree *tree, DeepNode *nodes,
		  DeepPayload *payloads)
{
	const ChurnForest *forest = build->forest;
	uint32_t	next = tree->first + 1;
	uint32_t	at;

	build->origin[tree->first] = tree->first;
	for (at = tree->first; at < tree->first + tree->nnodes; at++)
	{
		uint32_t	origin = build->origin[at];
		const ChurnNode *from = &forest->nodes[origin];

		if (from->left < 0)
		{
			nodes[at].left = at;
			payloads[at].leaf = churn_leaf_value(forest, tree, from);
			continue;
		}
		nodes[at].left = next;
		nodes[at].slot = build->slots[origin];
		if (build->sets[origin] != 0)
		{
			nodes[at].threshold = SET;
			payloads[at].words = build->sets[origin] - 1;
		}
		else if ((from->flags & CHURN_NODE_CATEGORICAL) == 0)
			nodes[at].threshold = (uint16_t) (build->bins->ranks[origin] + 1);
		build->origin[next++] = tree->first + (uint32_t) from->left;
		build->origin[next++] = tree->first + (uint32_t) from->right;
	}
}

/* Estimates the time of a row; depths are by tree. */
double
churn_deep_cost(const ChurnForest *forest, const uint32_t *depths)
{
	double		steps = 0;
	uint32_t	t;
	uint32_t	deepest = 0;

	for (t = 0; t < forest->ntrees; t++)
	{
		if (depths[t] > deepest)
			deepest = depths[t];
		if (t % LANES == LANES - 1 || t == forest->ntrees - 1)
		{
			steps += (double) LANES * deepest;
			deepest = 0;
		}
	}
	return COST_STEP * steps;
}

/*
 * Makes an evaluator of this design.  CHURN_ERROR_LIMIT says that the bitsets
 * of categorical splits would take too much memory.
 */
bool
churn_deep_make(const ChurnForest *forest, const ChurnBins *bins,
				const uint32_t *depths, ChurnArena *keep, ChurnArena *scratch,
				ChurnEvaluator *evaluator, ChurnError *error)
{
	DeepBuild	build = {forest, bins, NULL, NULL, NULL, 0, 0};
	DeepState  *state;
	DeepSource *sources;
	DeepGroup  *groups;
	DeepNode   *nodes;
	DeepPayload *payloads;
	uint32_t	t;

	build.slots = churn_arena_array(scratch, forest->nnodes, sizeof(uint16_t),
									error);
	build.sets = churn_arena_array(scratch, forest->nnodes, sizeof(uint32_t),
								   error);
	build.origin = churn_arena_array(scratch, forest->nnodes, sizeof(uint32_t),
									 error);
	state = churn_arena_alloc(keep, sizeof(DeepState), error);
	sources = churn_arena_array(keep, bins->nbinners, sizeof(DeepSource),
								error);
	groups = churn_arena_array(keep, forest->ntrees / LANES + 1,
							   sizeof(DeepGroup), error);
	nodes = churn_arena_array(keep, forest->nnodes, sizeof(DeepNode), error);
	payloads = churn_arena_array(keep, forest->nnodes, sizeof(DeepPayload),
								 error);
	if (build.slots == NULL || build.sets == NULL || build.origin == NULL ||
		state == NULL || sources == NULL || groups == NULL || nodes == NULL ||
		payloads == NULL ||
		!place_features(&build, sources, keep, scratch, error) ||
		!make_sets(&build, state, keep, error))
		return false;

	for (t = 0; t < forest->ntrees; t++)
	{
		DeepGroup  *group = &groups[t / LANES];

		copy_tree(&build, &forest->trees[t], nodes, payloads);
		group->roots[t % LANES] = forest->trees[t].first;
		if (depths[t] > group->depth)
			group->depth = depths[t];
	}
	/* the last group's empty lanes walk the first tree, for nothing */
	state->ntrees = forest->ntrees;
	state->nsources = bins->nbinners;
	state->sources = sources;
	state->groups = groups;
	state->nodes = nodes;
	state->payloads = payloads;
	evaluator->design = CHURN_DESIGN_DEEP;
	evaluator->state = state;
	evaluator->margin = state->words == NULL ? deep_margin_numbers :
		deep_margin_sets;
	evaluator->workspace = build.nslots * sizeof(uint16_t);
	return true;
}
