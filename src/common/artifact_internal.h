/*
 * artifact_internal.h
 *		What the files that read and make artifacts share.
 */
#ifndef CHURN_ARTIFACT_INTERNAL_H
#define CHURN_ARTIFACT_INTERNAL_H

#include "xgboost_internal.h"

/*
 * Turns the member of an object, if it is there, into a typed array of the
 * given kind, in place.
 */
extern bool churn_value_make_typed(const ChurnValue *object, const char *name,
								   ChurnValueKind kind, ChurnArena *arena,
								   ChurnError *error);

/* Brings the arrays of the object "churn" into their types. */
extern bool churn_artifact_type_description(const ChurnValue *object,
											ChurnArena *arena,
											ChurnError *error);

/* Brings the arrays of a component of our own into their types. */
extern bool churn_artifact_type_component(const ChurnValue *component,
										  ChurnArena *arena,
										  ChurnError *error);

/*
 * Makes component "index" of a document of our own; the model's features are
 * there.  What it points to may be the document's own arrays.
 */
extern bool churn_artifact_component(const ChurnValue *value, uint32_t index,
									 const ChurnModel *model,
									 ChurnComponent *component,
									 ChurnArena *arena, ChurnError *error);

/* Makes the forest of a component of kind tree. */
extern ChurnForest *churn_artifact_tree(const ChurnValue *nodes,
										uint32_t nfeatures, ChurnArena *arena,
										ChurnError *error);

/*
 * Fills the features, which have to be model->nfeatures, threshold, calibration
 * and as_of from the object "churn"; what names the object in messages.
 */
extern bool churn_artifact_read_description(const ChurnValue *object,
											const char *what,
											ChurnModel *model,
											ChurnArena *arena,
											ChurnError *error);

/* A kind of feature by its name; false if there is none of that name. */
extern bool churn_artifact_kind(const char *name, ChurnFeatureKind *kind);

/* Gives a feature its categories and their dictionary. */
extern bool churn_artifact_set_categories(ChurnFeature *feature,
										  const char *const *categories,
										  size_t ncategories,
										  ChurnArena *arena,
										  ChurnError *error);

/* Refuses a name that two features have: columns are matched by name. */
extern bool churn_artifact_check_names(const ChurnModel *model,
									   ChurnError *error);

#endif							/* CHURN_ARTIFACT_INTERNAL_H */
