/*
 * xgboost_internal.h
 *		What the files that read XGBoost's documents share.
 */
#ifndef CHURN_XGBOOST_INTERNAL_H
#define CHURN_XGBOOST_INTERNAL_H

#include "churn/xgboost.h"

/*
 * Returns the object that holds the booster's trees: "gbtree" within a dart,
 * "gradient_booster" itself otherwise.  NULL if the document has none.
 */
extern ChurnValue *churn_xgboost_booster(const ChurnValue *document);

/*
 * Element i of an array of any kind as an integer; false if it is none.  The
 * caller has checked i against the length.
 */
extern bool churn_xgboost_element(const ChurnValue *array, size_t i,
								  int64_t *integer);

/* Whether value is an array, plain or typed. */
extern bool churn_xgboost_is_array(const ChurnValue *value);

/*
 * A number that a member holds as text, as XGBoost writes parameters, or as an
 * integer; otherwise if there is no such member.  False with *error set if it
 * holds something else.
 */
extern bool churn_xgboost_parameter(const ChurnValue *object,
									const char *name, int64_t otherwise,
									int64_t *result, ChurnError *error);

/*
 * Fills model->features, threshold and as_of; model->nfeatures is set.
 */
extern bool churn_xgboost_features(const ChurnArtifact *artifact,
								   ChurnModel *model, ChurnArena *arena,
								   ChurnError *error);

/* Fills model->forest, but for base_margin. */
extern bool churn_xgboost_forest(const ChurnValue *document,
								 ChurnForest *forest, ChurnArena *arena,
								 ChurnError *error);

#endif							/* CHURN_XGBOOST_INTERNAL_H */
