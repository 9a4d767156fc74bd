/*
 * churn/xgboost.h
 *		Reading and annotating XGBoost's own model files, without XGBoost.
 *
 * What XGBoost does not know of a model travels in the booster attribute
 * "churn", a JSON object:
 *
 *	{"format": 1,
 *	 "features": [{"name": "contract", "kind": "category", "type": "text",
 *				   "categories": ["Month-to-month", "One year"]},
 *				  {"name": "total_charges", "kind": "number", "type": "text",
 *				   "text_number": true}, ...],
 *	 "threshold": 0.5,
 *	 "calibration": {"method": "none"},
 *	 "as_of": {"column": "period"}}			optional
 *
 * kind is number, boolean, category or age.  Features are in the order of the
 * booster's columns; a category's code is its position in categories.
 */
#ifndef CHURN_XGBOOST_H
#define CHURN_XGBOOST_H

#include "churn/document.h"
#include "churn/model.h"

typedef enum ChurnArtifactFormat
{
	CHURN_ARTIFACT_JSON,
	CHURN_ARTIFACT_UBJSON
} ChurnArtifactFormat;

typedef struct ChurnArtifact
{
	ChurnArtifactFormat format; /* of the bytes it was read from */
	ChurnValue *document;
	int			version[3];		/* of the XGBoost that wrote it */
} ChurnArtifact;

/*
 * Reads a model file of XGBoost 1.6 or later, telling JSON from UBJSON by its
 * first bytes.  Checks only that it is a booster's document.
 */
extern ChurnArtifact *churn_artifact_read(const uint8_t *bytes, size_t length,
										  ChurnArena *arena,
										  ChurnError *error);

/* Writes the document in either format; XGBoost loads the result. */
extern bool churn_artifact_write(const ChurnArtifact *artifact,
								 ChurnArtifactFormat format, ChurnArena *arena,
								 uint8_t **bytes, size_t *length,
								 ChurnError *error);

/* The booster attribute's text, or NULL; and setting it. */
extern const char *churn_artifact_attribute(const ChurnArtifact *artifact,
											const char *name);
extern bool churn_artifact_set_attribute(ChurnArtifact *artifact,
										 const char *name, const char *text,
										 ChurnArena *arena,
										 ChurnError *error);

/*
 * Makes the model: trees, base score, objective, and features from the
 * attribute "churn" or, without one, from the booster's own feature names and
 * types (a categorical feature without categories is an error that names it).
 * Anything but a gbtree or dart of single-output binary:logistic or
 * binary:logitraw is CHURN_ERROR_UNSUPPORTED, with a message that says what
 * was found.  Respects the best_iteration attribute as Python's predict of a
 * loaded model does (see xgboost_model.c).  The result passes
 * churn_model_check.
 */
extern ChurnModel *churn_artifact_model(const ChurnArtifact *artifact,
										ChurnArena *arena, ChurnError *error);

#endif							/* CHURN_XGBOOST_H */
