/*
 * explain_test.h
 *		What the tests of explanations share.
 */
#ifndef CHURN_EXPLAIN_TEST_H
#define CHURN_EXPLAIN_TEST_H

#include "random_model.h"
#include "unit.h"

#include "churn/explain.h"

#define ROWS		20

/* A model of the given components. */
static inline ChurnModel *
make_model(uint32_t nfeatures, ChurnComponent *components,
		   uint32_t ncomponents, ChurnArena *arena)
{
	ChurnModel *model = test_alloc(arena, 1, sizeof(ChurnModel));
	uint32_t	i;

	model->nfeatures = nfeatures;
	model->features = test_alloc(arena, nfeatures, sizeof(ChurnFeature));
	for (i = 0; i < nfeatures; i++)
		model->features[i].kind = CHURN_FEATURE_NUMBER;
	model->ncomponents = ncomponents;
	model->components = components;
	return model;
}

/* Makes the explainer of a model; the test ends if it cannot. */
static inline ChurnExplainer *
make_explainer(const ChurnModel *model, ChurnArena *arena)
{
	ChurnArena *scratch = churn_arena_create();
	ChurnError	error;
	ChurnExplainer *explainer = churn_explainer_make(model, arena, scratch,
													 &error);

	if (explainer == NULL)
	{
		printf("Bail out! %s\n", error.message);
		exit(1);
	}
	churn_arena_destroy(scratch);
	return explainer;
}

/* Working memory of just the size that the explainer asks for. */
static inline void *
make_workspace(const ChurnExplainer *explainer)
{
	size_t		size = churn_explainer_workspace(explainer);

	return aligned_alloc(32, (size + 31) / 32 * 32 + 32);
}

/* The largest difference of n numbers, in parts of the largest of them. */
static inline double
difference(const double *a, const double *b, uint32_t n)
{
	double		worst = 0;
	double		scale = 1;
	uint32_t	i;

	for (i = 0; i < n; i++)
	{
		if (!(fabs(a[i] - b[i]) <= worst))
			worst = fabs(a[i] - b[i]);
		if (fabs(b[i]) > scale)
			scale = fabs(b[i]);
	}
	return worst / scale;
}

#endif							/* CHURN_EXPLAIN_TEST_H */
