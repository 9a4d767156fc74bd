/*
 * churn/model.h
 *		A model as the extension scores it, and its compiled form on disk.
 *
 * A ChurnModel is made from an artifact (churn/xgboost.h) or from its own
 * compiled form.  The compiled form is little-endian, versioned, and checked
 * as untrusted input when it is read.
 */
#ifndef CHURN_MODEL_H
#define CHURN_MODEL_H

#include "churn/arena.h"

typedef enum ChurnFeatureKind
{
	CHURN_FEATURE_NUMBER = 0,	/* any number; NaN is missing */
	CHURN_FEATURE_BOOLEAN = 1,	/* 0 or 1; NaN is missing */
	CHURN_FEATURE_CATEGORY = 2, /* code of a category; NaN is missing/unseen */
	CHURN_FEATURE_AGE = 3		/* whole UTC days from the value to as_of */
} ChurnFeatureKind;

/* The column is text whose values are numbers or blanks. */
#define CHURN_FEATURE_TEXT_NUMBER	0x01

typedef struct ChurnDictionary ChurnDictionary;

typedef struct ChurnFeature
{
	const char *name;			/* column name */
	const char *type;			/* SQL type at training, "" when unknown */
	ChurnFeatureKind kind;
	uint32_t	flags;
	uint32_t	ncategories;
	const char *const *categories;	/* code -> text, ncategories of them */
	const ChurnDictionary *dictionary;	/* text -> code; NULL unless category */
	const char *transform;		/* SQL expression over the row's columns that
								 * computes it; NULL for a column */
} ChurnFeature;

/*
 * A node of a tree.  Children are indexes within the tree, larger than their
 * parent's; no two nodes share words of bits.  A leaf has left == -1 and its
 * value in "value"; an inner node has its threshold there, or, if
 * categorical, a bitset of the categories that go right in
 * forest->bits[bits .. bits + nwords), bit c of word c / 32.
 */
#define CHURN_NODE_DEFAULT_LEFT		0x01
#define CHURN_NODE_CATEGORICAL		0x02

typedef struct ChurnNode
{
	int32_t		left;
	int32_t		right;
	uint32_t	feature;
	uint32_t	flags;
	float		value;
	float		cover;			/* sum of hessians, for SHAP */
	uint32_t	bits;
	uint32_t	nwords;
} ChurnNode;

typedef struct ChurnTree
{
	uint32_t	first;			/* of forest->nodes; the root */
	uint32_t	nnodes;
	float		weight;			/* dart's weight of the tree, else 1 */
} ChurnTree;

typedef struct ChurnForest
{
	float		base_margin;	/* -logf(1 / base_score - 1) */
	bool		dart;			/* leaves are weighted by tree, see forest.c */
	uint32_t	nfeatures;
	uint32_t	ntrees;
	uint32_t	nnodes;
	uint32_t	nbits;
	ChurnTree  *trees;
	ChurnNode  *nodes;
	uint32_t   *bits;
} ChurnForest;

/*
 * An additive model: a logistic regression or a scorecard.  Its margin is
 * (float) (intercept + the effect of each feature, in order), in double.
 */
typedef enum ChurnEffectKind
{
	CHURN_EFFECT_NONE = 0,		/* always 0, also of a missing value */
	CHURN_EFFECT_LINEAR = 1,	/* slope * value, the value clipped first */
	CHURN_EFFECT_STEPS = 2,		/* points[number of cuts <= value] */
	CHURN_EFFECT_CATEGORIES = 3 /* points[code] */
} ChurnEffectKind;

typedef struct ChurnEffect
{
	ChurnEffectKind kind;
	double		missing;		/* of a missing value or unseen category */
	double		slope;			/* linear */
	float		low;			/* linear: values are clipped to low..high */
	float		high;
	uint32_t	npoints;		/* steps: cuts + 1; categories: their number */
	const float *cuts;			/* steps: npoints - 1, rising */
	const double *points;
	double		mean;			/* over the training rows, for SHAP */
} ChurnEffect;

typedef struct ChurnAdditive
{
	double		intercept;
	uint32_t	nfeatures;
	ChurnEffect *effects;
} ChurnAdditive;

/*
 * A multi-layer perceptron: hidden layers with max(0, x), one linear output,
 * which is the margin; float arithmetic, each sum in the order of the inputs,
 * after the bias.  A number (boolean, age) makes two inputs: (clipped value -
 * mean) * scale, or 0 if missing, and 1 if missing, else 0.  A category makes
 * ncategories + 1, one of which is 1: that of its code, or the last if missing
 * or unseen.
 */
typedef struct ChurnNetworkInput
{
	uint32_t	first;			/* input of the feature; the others follow */
	float		low;			/* numbers are clipped to low..high */
	float		high;
	float		mean;
	float		scale;
} ChurnNetworkInput;

typedef struct ChurnNetworkLayer
{
	uint32_t	ninputs;
	uint32_t	noutputs;
	const float *weights;		/* [input * noutputs + output] */
	const float *biases;
} ChurnNetworkLayer;

#define CHURN_MAX_LAYERS		3	/* two hidden ones and the output */
#define CHURN_MAX_LAYER_OUTPUTS	1024

typedef struct ChurnNetwork
{
	uint32_t	nfeatures;
	ChurnNetworkInput *inputs;	/* one a feature */
	uint32_t	ninputs;
	const float *baseline;		/* mean of each input over the training rows,
								 * where integrated gradients begin */
	uint32_t	nlayers;
	ChurnNetworkLayer layers[CHURN_MAX_LAYERS];
} ChurnNetwork;

/* Inputs of a network that a feature makes. */
static inline uint32_t
churn_network_width(const ChurnFeature *feature)
{
	return feature->kind == CHURN_FEATURE_CATEGORY ?
		feature->ncategories + 1 : 2;
}

/*
 * A model is made of one component or, as a blend, of several, over the same
 * features.  The margin of one component of weight 1 and offset 0 is the
 * component's own; else it is (float) of the sum, in double and in order, of
 * weight * (component's margin) + offset.
 */
typedef enum ChurnComponentKind
{
	CHURN_COMPONENT_FOREST = 0,
	CHURN_COMPONENT_ADDITIVE = 1,
	CHURN_COMPONENT_NETWORK = 2
} ChurnComponentKind;

typedef struct ChurnComponent
{
	ChurnComponentKind kind;
	const char *algorithm;		/* learner that made it, "xgboost"; at most
								 * CHURN_MAX_ALGORITHM bytes */
	double		weight;			/* above 0 */
	double		offset;
	ChurnForest *forest;		/* that of kind is set, the others NULL */
	ChurnAdditive *additive;
	ChurnNetwork *network;
} ChurnComponent;

/*
 * The map from margins to probabilities, strictly rising.  Each but NONE is
 * 1 / (1 + exp(-z)), in double, of
 *	PLATT		z = a * margin + b, a > 0
 *	BETA		z = a * ln(p) - b * ln(1 - p) + c, where p is the logistic
 *				function of the margin, a and b >= 0 and not both 0
 *				(Kull, Silva Filho and Flach, AISTATS 2017)
 *	ISOTONIC	z linear between knots (margins[i], logits[i]), both strictly
 *				rising, and of slope 1 beyond the first and the last
 * NONE is XGBoost's own churn_sigmoid().
 */
typedef enum ChurnCalibrationKind
{
	CHURN_CALIBRATION_NONE = 0,
	CHURN_CALIBRATION_PLATT = 1,
	CHURN_CALIBRATION_BETA = 2,
	CHURN_CALIBRATION_ISOTONIC = 3
} ChurnCalibrationKind;

typedef struct ChurnCalibration
{
	ChurnCalibrationKind kind;
	double		a;
	double		b;
	double		c;
	uint32_t	nknots;
	const double *margins;
	const double *logits;
} ChurnCalibration;

#define CHURN_MAX_KNOTS			1024
#define CHURN_MAX_COMPONENTS	16
#define CHURN_MAX_ALGORITHM		63

typedef enum ChurnAsOf
{
	CHURN_AS_OF_STATEMENT = 0,	/* ages count from the statement's date */
	CHURN_AS_OF_COLUMN = 1		/* ages count from the date in as_of_column */
} ChurnAsOf;

typedef struct ChurnModel
{
	uint32_t	nfeatures;
	ChurnFeature *features;
	uint32_t	ncomponents;	/* at least one */
	ChurnComponent *components;
	ChurnCalibration calibration;
	double		threshold;		/* a score at or above it is called churn */
	ChurnAsOf	as_of;
	const char *as_of_column;	/* NULL unless CHURN_AS_OF_COLUMN */
} ChurnModel;

/* Limits that every reader enforces. */
#define CHURN_MAX_FEATURES		1600
#define CHURN_MAX_TREES			100000
#define CHURN_MAX_CATEGORIES	65536	/* a feature */
#define CHURN_MAX_MODEL_BYTES	(256u * 1024 * 1024)

/*
 * Writes the compiled form of model into memory of arena.  False, with *error
 * set, when it would exceed CHURN_MAX_MODEL_BYTES or memory is out.
 */
extern bool churn_model_write(const ChurnModel *model, ChurnArena *arena,
							  uint8_t **bytes, size_t *length,
							  ChurnError *error);

/*
 * Reads a compiled form; every count, offset and index is checked, trees are
 * proved to be trees, names to be UTF-8-agnostic terminated strings.  Makes
 * the dictionaries.  NULL with *error set (CORRUPT, MEMORY, LIMIT) on failure.
 * The model does not refer to bytes afterwards.  What the components point to
 * (forest, additive, network) is allocated in trees, all else in arena, so that
 * it can go once a predictor is made of it; the two may be the same.
 */
extern ChurnModel *churn_model_read(const uint8_t *bytes, size_t length,
									ChurnArena *arena, ChurnArena *trees,
									ChurnError *error);

/*
 * The checks of churn_model_read on a model made by other means.  Forests:
 * feature indexes, children, bitsets, finite leaves, each node reached exactly
 * once.  Others: finite numbers, rising cuts and knots, shapes that fit the
 * features.  Margins of additive models, networks and blends are proved to be
 * finite, by bounds on all of their sums.
 */
extern bool churn_model_check(const ChurnModel *model, ChurnError *error);

/* Text -> code of a category; -1 when training never saw it. */
extern ChurnDictionary *churn_dictionary_make(const char *const *categories,
											  uint32_t ncategories,
											  ChurnArena *arena,
											  ChurnError *error);
extern int32_t churn_dictionary_find(const ChurnDictionary *dictionary,
									 const char *text, size_t length);

#endif							/* CHURN_MODEL_H */
