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
 * Reads the version of the XGBoost that wrote a document, which must be one we
 * know, and brings the arrays of its trees into their types.
 */
extern bool churn_xgboost_prepare(const ChurnValue *document, int *version,
								  ChurnArena *arena, ChurnError *error);

/* Writes UBJSON that every XGBoost reads. */
extern bool churn_xgboost_write_ubjson(const ChurnValue *document,
									   ChurnArena *arena, uint8_t **bytes,
									   size_t *length, ChurnError *error);

/* Number of features that a booster says it is made for, as it stands. */
extern bool churn_xgboost_shape(const ChurnValue *document,
								uint32_t *nfeatures, ChurnError *error);

/*
 * Fills model->features, as many as model->nfeatures, by what the booster says
 * of them.
 */
extern bool churn_xgboost_features(const ChurnArtifact *artifact,
								   ChurnModel *model, ChurnArena *arena,
								   ChurnError *error);

/*
 * Makes the forest of a booster's document, feature count and base margin
 * included, but not checked.  Anything but a gbtree or dart of single-output
 * binary:logistic or binary:logitraw is CHURN_ERROR_UNSUPPORTED, with a message
 * that says what was found.
 */
extern ChurnForest *churn_xgboost_read_forest(const ChurnValue *document,
											  ChurnArena *arena,
											  ChurnError *error);

/* Fills the forest, but for nfeatures and base_margin. */
extern bool churn_xgboost_forest(const ChurnValue *document,
								 ChurnForest *forest, ChurnArena *arena,
								 ChurnError *error);

#endif							/* CHURN_XGBOOST_INTERNAL_H */
