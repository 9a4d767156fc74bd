/*
 * churn/xgboost.h
 *		Artifacts: models as files that travel, read and written without
 *		XGBoost.
 *
 * An artifact is one of two documents, each in JSON or UBJSON.  A model of one
 * XGBoost ensemble is XGBoost's own model file.  What XGBoost does not know of
 * it travels in the booster attribute "churn", the text of a JSON object:
 *
 *	{"format": 1,
 *	 "features": [{"name": "contract", "kind": "category", "type": "text",
 *				   "categories": ["Month-to-month", "One year"]},
 *				  {"name": "total_charges", "kind": "number", "type": "text",
 *				   "text_number": true},
 *				  {"name": "rate", "kind": "number",
 *				   "transform": "monthly_charges / nullif(tenure, 0)",
 *				   "baseline": {...}}, ...],	optional
 *	 "threshold": 0.5,
 *	 "calibration": {"method": "none"},
 *	 "algorithm": "random_forest",			optional, else "xgboost"
 *	 "as_of": {"column": "period"},			optional
 *	 "score_baseline": {...}}				optional
 *
 * kind is number, boolean, category or age.  Features are in the order of the
 * booster's columns; a category's code is its position in categories.
 * Baselines are those of churn/profile.h, with the members of ChurnCells by
 * their names: "rows", "missing", "counts", for numbers "mean", "sd", "edges"
 * and "centres", for categories "unseen".
 * Calibrations are those of churn/model.h:
 *
 *	{"method": "platt", "a": 0.9, "b": -0.1}
 *	{"method": "beta", "a": 1.1, "b": 0.8, "c": 0.2}
 *	{"method": "isotonic", "margins": [-2, 1.5], "logits": [-2.5, 2]}
 *
 * Any other model is a document of our own:
 *
 *	{"churn": {the same object, without "algorithm"},
 *	 "components": [{"algorithm": "logistic", "weight": 1, "offset": 0,
 *					 "kind": "additive", what the kind has}, ...]}
 *
 * What the kinds of components have, numbers as in churn/model.h:
 *
 *	forest		"xgboost": an XGBoost model file's whole document
 *	tree		"nodes": [{"left": 1, "right": 2, "feature": 0, "value": 12.5,
 *				"default_left": true, "cover": 80}, {"value": -1.5, "cover":
 *				50}, {"value": 0.5, "cover": 30}]: inner nodes and leaves of
 *				one tree, whose margin is its leaf's value; in place of "value"
 *				an inner node may have "categories", the codes that go right;
 *				"default_left" and "cover" may lack
 *	additive	"intercept": number, "effects": one a feature of {"kind":
 *				"none"}, {"kind": "linear", "slope", "low", "high"}, {"kind":
 *				"steps", "cuts": [], "points": []}, {"kind": "categories",
 *				"points": []}, all but none with "missing", each with "mean"
 *				unless that is 0
 *	network		"inputs": {"low": [], "high": [], "mean": [], "scale": []}, one
 *				number a feature, of no meaning for categories; "baseline":
 *				[]; "layers": [{"weights": [], "biases": []}, ...]
 *
 * All survive both formats bit by bit: cuts, trees, networks, edges and centres
 * are float32, counts int64, everything else float64.
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

typedef enum ChurnArtifactKind
{
	CHURN_ARTIFACT_BOOSTER,		/* XGBoost's model file */
	CHURN_ARTIFACT_COMPONENTS	/* our own document */
} ChurnArtifactKind;

typedef struct ChurnArtifact
{
	ChurnArtifactFormat format; /* of the bytes it was read from */
	ChurnArtifactKind kind;
	ChurnValue *document;
	int			version[3];		/* of the XGBoost that wrote it, or its first
								 * forest; zeros if there is none */
} ChurnArtifact;

/*
 * Reads an artifact, telling JSON from UBJSON by its first bytes and the kinds
 * by the member "components".  Boosters are of XGBoost 1.6 or later.  Checks
 * only that it is such a document.
 */
extern ChurnArtifact *churn_artifact_read(const uint8_t *bytes, size_t length,
										  ChurnArena *arena,
										  ChurnError *error);

/* Writes the document in either format; XGBoost loads a booster's. */
extern bool churn_artifact_write(const ChurnArtifact *artifact,
								 ChurnArtifactFormat format, ChurnArena *arena,
								 uint8_t **bytes, size_t *length,
								 ChurnError *error);

/* A booster's attribute as text, or NULL; and setting it. */
extern const char *churn_artifact_attribute(const ChurnArtifact *artifact,
											const char *name);
extern bool churn_artifact_set_attribute(ChurnArtifact *artifact,
										 const char *name, const char *text,
										 ChurnArena *arena,
										 ChurnError *error);

/*
 * The object "churn" of either kind of artifact: *object is NULL if there is
 * none.  False with *error set if it is no object.  Setting it replaces it.
 */
extern bool churn_artifact_description(const ChurnArtifact *artifact,
									   ChurnValue **object, ChurnArena *arena,
									   ChurnError *error);
extern bool churn_artifact_describe(ChurnArtifact *artifact,
									ChurnValue *object, ChurnArena *arena,
									ChurnError *error);

/* Number of features that the components are made for; -1 if not told. */
extern int64_t churn_artifact_nfeatures(const ChurnArtifact *artifact);

/*
 * Makes the model.  Of a booster: trees, base score, objective, and features
 * from the attribute "churn" or, without one, from the booster's own feature
 * names and types (a categorical feature without categories is an error that
 * names it).  Anything but a gbtree or dart of single-output binary:logistic
 * or binary:logitraw is CHURN_ERROR_UNSUPPORTED, with a message that says what
 * was found.  Respects the best_iteration attribute as Python's predict of a
 * loaded model does (see xgboost_model.c).  The result passes
 * churn_model_check, and may refer to the artifact's document.
 */
extern ChurnModel *churn_artifact_model(const ChurnArtifact *artifact,
										ChurnArena *arena, ChurnError *error);

/*
 * Makes an artifact of a description (the object "churn") and components.
 * Element i of documents, where it is not NULL, is the document of the booster
 * that component i is; documents itself may be NULL.  A forest without one
 * must be a single tree with a base margin of 0; one booster of weight 1 and
 * offset 0 becomes XGBoost's own model file.  The artifact refers to what is
 * given.
 */
extern ChurnArtifact *churn_artifact_make(const ChurnValue *description,
										  const ChurnComponent *components,
										  ChurnValue *const *documents,
										  uint32_t ncomponents,
										  ChurnArena *arena,
										  ChurnError *error);

/* The value of a description's member "calibration". */
extern ChurnValue *churn_calibration_value(const ChurnCalibration *calibration,
										   ChurnArena *arena,
										   ChurnError *error);

#endif							/* CHURN_XGBOOST_H */
