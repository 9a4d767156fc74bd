/*
 * churn/explain.h
 *		Why a score: the contribution of each feature to the margin.
 *
 * Trees: exact SHAP values, path-dependent (Lundberg et al., "From local
 * explanations to global understanding with explainable AI for trees", Nature
 * Machine Intelligence 2, 2020), with ChurnNode.cover as the weights.
 * Additive models: exact, effect - its mean over the training rows.
 * Networks: integrated gradients (Sundararajan, Taly and Yan, ICML 2017) from
 * the mean input.  A blend's are the weighted sums of its components'.
 */
#ifndef CHURN_EXPLAIN_H
#define CHURN_EXPLAIN_H

#include "churn/model.h"

typedef struct ChurnExplainer ChurnExplainer;

/* Compiles a checked model; keep and scratch as for churn_predictor_make. */
extern ChurnExplainer *churn_explainer_make(const ChurnModel *model,
											ChurnArena *keep,
											ChurnArena *scratch,
											ChurnError *error);

/* Bytes of working memory that churn_explain_row needs (32-aligned). */
extern size_t churn_explainer_workspace(const ChurnExplainer *explainer);

/* Bytes the explainer holds. */
extern size_t churn_explainer_size(const ChurnExplainer *explainer);

/*
 * Writes nfeatures contributions in log-odds, then the bias, which is the
 * expected margin: nfeatures + 1 doubles.  They sum to the margin.
 */
extern void churn_explain_row(const ChurnExplainer *explainer,
							  const float *features, void *workspace,
							  double *contributions);

#endif							/* CHURN_EXPLAIN_H */
