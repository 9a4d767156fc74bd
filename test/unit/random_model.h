/*
 * random_model.h
 *		Random forests and rows for tests, as nasty as they come.
 */
#ifndef CHURN_RANDOM_MODEL_H
#define CHURN_RANDOM_MODEL_H

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "churn/forest.h"

/* xorshift64*, Vigna 2016; seeded, so that failures repeat. */
typedef struct Random
{
	uint64_t	state;
} Random;

static inline uint32_t
random_below(Random *random, uint32_t limit)
{
	random->state ^= random->state >> 12;
	random->state ^= random->state << 25;
	random->state ^= random->state >> 27;
	return (uint32_t) ((random->state * UINT64_C(2685821657736338717)) >> 32) %
		limit;
}

static inline float
random_float(Random *random)
{
	return (float) random_below(random, 1u << 24) / (1 << 23) - 1.0f;
}

/* How the trees of a random forest look. */
typedef struct ForestShape
{
	const char *name;
	uint32_t	nfeatures;
	uint32_t	ntrees;
	uint32_t	nleaves;		/* a tree, at most */
	bool		chain;			/* always split the leaf made last */
	bool		vary;			/* fewer leaves in some trees */
	uint32_t	ncategories;	/* 0: numeric splits only */
	uint32_t	nthresholds;	/* distinct ones a feature, about */
	bool		dart;
} ForestShape;

static inline void *
test_alloc(ChurnArena *arena, size_t count, size_t size)
{
	void	   *memory = churn_arena_array(arena, count, size, NULL);

	if (memory == NULL)
		abort();
	return memory;
}

/* A threshold from a small pool, so that features meet them exactly. */
static inline float
random_threshold(Random *random, uint32_t nthresholds)
{
	const float odd[] = {0.0f, -0.0f, FLT_MIN, 1e-45f, -1e-45f, FLT_MAX,
	-FLT_MAX, INFINITY, -INFINITY, 16777216.0f};

	if (random_below(random, 200) == 0)
		return odd[random_below(random, sizeof(odd) / sizeof(odd[0]))];
	return (float) random_below(random, nthresholds) * 0.37f - 11.0f;
}

/* A feature's value: near thresholds, categories, and the strange ones. */
static inline float
random_value(Random *random, const ForestShape *shape)
{
	const float odd[] = {NAN, INFINITY, -INFINITY, 0.0f, -0.0f, -1.0f, -0.5f,
		16777216.0f, 16777217.0f, 4294967296.0f, 1e30f, -1e30f, 65535.0f,
	65536.0f, FLT_MIN, 1e-45f, 0.5f, 1.9999999f, FLT_MAX, -FLT_MAX};
	float		value;

	switch (random_below(random, 8))
	{
		case 0:
			return odd[random_below(random, sizeof(odd) / sizeof(odd[0]))];
		case 1:
			return NAN;
		case 2:
		case 3:
		case 4:
			return (float) random_below(random, shape->ncategories + 2);
		case 5:
			value = random_threshold(random, shape->nthresholds);
			return nextafterf(value, random_below(random, 2) ? 1e30f : -1e30f);
		default:
			return random_threshold(random, shape->nthresholds);
	}
}

static inline void
random_split(Random *random, const ForestShape *shape, ChurnForest *forest,
			 ChurnNode *node)
{
	uint32_t	i;

	node->feature = random_below(random, shape->nfeatures);
	node->flags = random_below(random, 2) ? CHURN_NODE_DEFAULT_LEFT : 0;
	node->value = random_threshold(random, shape->nthresholds);

	/* two thirds of the features categorical, some of them numeric as well */
	if (shape->ncategories == 0 || node->feature % 3 == 0 ||
		random_below(random, 20) == 0)
		return;
	node->flags |= CHURN_NODE_CATEGORICAL;
	node->value = 0;
	node->bits = forest->nbits;
	node->nwords = (shape->ncategories + 31) / 32;
	if (random_below(random, 10) == 0)
		node->nwords = random_below(random, node->nwords + 1);
	forest->nbits += node->nwords;
	for (i = random_below(random, 6); node->nwords > 0 && i > 0; i--)
	{
		uint32_t	code = random_below(random, shape->ncategories);

		if (code / 32 < node->nwords)
			forest->bits[node->bits + code / 32] |= UINT32_C(1) << code % 32;
	}
}

/* Grows a tree by splitting leaves; children get larger numbers. */
static inline void
random_tree(Random *random, const ForestShape *shape, ChurnForest *forest,
			uint32_t t)
{
	ChurnTree  *tree = &forest->trees[t];
	ChurnNode  *nodes = forest->nodes + forest->nnodes;
	uint32_t	nleaves = shape->nleaves;
	uint32_t	i;

	if (shape->vary && random_below(random, 2) == 0)
		nleaves = 1 + random_below(random, nleaves);
	tree->first = forest->nnodes;
	tree->nnodes = 1;
	tree->weight = shape->dart ? random_float(random) : 1.0f;
	nodes[0].left = -1;
	nodes[0].right = -1;
	while (tree->nnodes < 2 * nleaves - 1)
	{
		uint32_t	at = random_below(random, tree->nnodes);

		if (shape->chain)
			at = tree->nnodes - 1 -
				(tree->nnodes > 1 ? random_below(random, 2) : 0);
		if (nodes[at].left >= 0)
			continue;
		nodes[at].left = (int32_t) tree->nnodes++;
		nodes[at].right = (int32_t) tree->nnodes++;
		if (random_below(random, 2))
		{
			nodes[at].left++;
			nodes[at].right--;
		}
		nodes[nodes[at].left].left = nodes[nodes[at].left].right = -1;
		nodes[nodes[at].right].left = nodes[nodes[at].right].right = -1;
		random_split(random, shape, forest, &nodes[at]);
	}
	for (i = 0; i < tree->nnodes; i++)
	{
		nodes[i].cover = fabsf(random_float(random)) * 100;
		if (nodes[i].left < 0)
			nodes[i].value = random_below(random, 50) == 0 ? -0.0f :
				random_float(random);
	}
	forest->nnodes += tree->nnodes;
}

static inline void
random_forest(Random *random, const ForestShape *shape, ChurnForest *forest,
			  ChurnArena *arena)
{
	size_t		most = (size_t) shape->ntrees * 2 * shape->nleaves;
	size_t		words = (shape->ncategories + 31) / 32;
	uint32_t	t;

	memset(forest, 0, sizeof(*forest));
	forest->base_margin = random_below(random, 4) == 0 ? -0.0f :
		random_float(random);
	forest->dart = shape->dart;
	forest->nfeatures = shape->nfeatures;
	forest->ntrees = shape->ntrees;
	forest->trees = test_alloc(arena, shape->ntrees, sizeof(ChurnTree));
	forest->nodes = test_alloc(arena, most, sizeof(ChurnNode));
	forest->bits = test_alloc(arena, most * words, sizeof(uint32_t));
	for (t = 0; t < shape->ntrees; t++)
		random_tree(random, shape, forest, t);
}

/* A model around a random forest, with a name and a type for each feature. */
static inline ChurnModel *
random_model(Random *random, const ForestShape *shape, ChurnArena *arena)
{
	ChurnModel *model = test_alloc(arena, 1, sizeof(ChurnModel));
	uint32_t	i;
	uint32_t	code;

	model->ncomponents = 1;
	model->components = test_alloc(arena, 1, sizeof(ChurnComponent));
	model->components[0].algorithm = "xgboost";
	model->components[0].weight = 1;
	model->components[0].forest = test_alloc(arena, 1, sizeof(ChurnForest));
	random_forest(random, shape, model->components[0].forest, arena);
	model->nfeatures = shape->nfeatures;
	model->features = test_alloc(arena, shape->nfeatures,
								 sizeof(ChurnFeature));
	model->threshold = 0.3125;
	for (i = 0; i < shape->nfeatures; i++)
	{
		ChurnFeature *feature = &model->features[i];
		const char **categories;
		char		text[32];

		feature->kind = (ChurnFeatureKind) (i % 4);
		feature->type = i % 5 == 0 ? "" : "double precision";
		snprintf(text, sizeof(text), "column %u", i);
		feature->name = churn_arena_string(arena, text, strlen(text), NULL);
		if (feature->kind == CHURN_FEATURE_NUMBER)
			feature->flags = CHURN_FEATURE_TEXT_NUMBER;
		if (feature->kind != CHURN_FEATURE_CATEGORY)
			continue;
		feature->ncategories = shape->ncategories;
		categories = test_alloc(arena, shape->ncategories, sizeof(char *));
		for (code = 0; code < shape->ncategories; code++)
		{
			snprintf(text, sizeof(text), "%.*s%u",
					 (int) random_below(random, 9), "category ", code);
			categories[code] = churn_arena_string(arena, text, strlen(text),
												  NULL);
		}
		feature->categories = categories;
		feature->dictionary = churn_dictionary_make(categories,
													shape->ncategories, arena,
													NULL);
	}
	return model;
}

#endif							/* CHURN_RANDOM_MODEL_H */
