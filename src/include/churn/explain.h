/*
 * churn/explain.h
 *		Why a score: the contribution of each feature to the margin.
 *
 * Trees: exact SHAP values, path-dependent (Lundberg et al., "From local
 * explanations to global understanding with explainable AI for trees", Nature
 * Machine Intelligence 2, 2020), with ChurnNode.cover as the weights, as
 * XGBoost's pred_contribs.
 * Additive models: exact, effect - its mean over the training rows.
 * Networks: integrated gradients (Sundararajan, Taly and Yan, "Axiomatic
 * attribution for deep networks", ICML 2017) along the straight line from the
 * baseline to the row, integrated exactly.
 * A blend's are the weighted sums of its components'.
 */
#ifndef CHURN_EXPLAIN_H
#define CHURN_EXPLAIN_H

#include "churn/model.h"

typedef struct ChurnExplainer ChurnExplainer;

/*
 * Compiles a checked model, with its trees.  The explainer lives in keep and
 * refers to neither the model nor scratch afterwards.
 */
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
 * expected margin (networks: the baseline's): nfeatures + 1 doubles.  They sum
 * to the margin but for rounding, which is in float for trees: some 1e-6.
 */
extern void churn_explain_row(const ChurnExplainer *explainer,
							  const float *features, void *workspace,
							  double *contributions);

#endif							/* CHURN_EXPLAIN_H */
