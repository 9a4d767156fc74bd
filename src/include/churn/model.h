/*
 * churn/model.h
 *		A model as the extension scores it, and its compiled form on disk.
 *
 * A ChurnModel is made from an XGBoost artifact (churn/xgboost.h) or from its
 * own compiled form.  The compiled form is little-endian, versioned, and
 * checked as untrusted input when it is read.
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

typedef enum ChurnAsOf
{
	CHURN_AS_OF_STATEMENT = 0,	/* ages count from the statement's date */
	CHURN_AS_OF_COLUMN = 1		/* ages count from the date in as_of_column */
} ChurnAsOf;

typedef struct ChurnModel
{
	uint32_t	nfeatures;
	ChurnFeature *features;
	ChurnForest forest;
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
 * The model does not refer to bytes afterwards.  The forest's trees, nodes and
 * bits are allocated in trees, all else in arena, so that the trees can go
 * once an evaluator is made of them; the two may be the same.
 */
extern ChurnModel *churn_model_read(const uint8_t *bytes, size_t length,
									ChurnArena *arena, ChurnArena *trees,
									ChurnError *error);

/*
 * The checks of churn_model_read on a model made by other means: feature
 * indexes, children, bitsets, finite leaves, each node reached exactly once.
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
