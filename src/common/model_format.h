/*
 * model_format.h
 *		Names and numbers of the compiled form; model_write.c describes it.
 */
#ifndef CHURN_MODEL_FORMAT_H
#define CHURN_MODEL_FORMAT_H

#include "churn/model.h"

/* As in PNG: not text, and line ends that a careless copy would change. */
#define MODEL_MAGIC				"\x89" "churn\r\n"
#define MODEL_MAGIC_LENGTH		8
#define MODEL_FORMAT_VERSION	2

/*
 * Sections, in this order.  A reader refuses a kind it does not know unless it
 * is optional.
 */
#define MODEL_FEATURES			1
#define MODEL_COMPONENTS		2
#define MODEL_DECISION			3
#define MODEL_CALIBRATION		4
#define MODEL_NSECTIONS			4
#define MODEL_REQUIRED			0x1E	/* bit k: kind k must be there */
#define MODEL_SECTION_OPTIONAL	0x80000000u
#define MODEL_SECTION_HEAD		16	/* bytes */

#define MODEL_FOREST_DART		0x01	/* flag of a forest */
#define MODEL_NODE_LEAF			0x8000	/* flag of a node, on disk only */

/* Least bytes on disk, to hold counts against what is left. */
#define MODEL_FEATURE_BYTES		18
#define MODEL_STRING_BYTES		4
#define MODEL_COMPONENT_BYTES	21
#define MODEL_TREE_BYTES		8
#define MODEL_LEAF_BYTES		12
#define MODEL_EFFECT_BYTES		9
#define MODEL_STEP_BYTES		8
#define MODEL_INPUT_BYTES		16
#define MODEL_KNOT_BYTES		16

/* Limits of churn_model_check's proof, which takes time by their ratio. */
#define MODEL_MAX_TREE_NODES	(1u << 21)
#define MODEL_WINDOW_NODES		(1u << 16)

/*
 * Bound of what additive models, networks and blends may sum up to: well
 * within float32, however the sum is rounded.
 */
#define MODEL_MAX_MARGIN		1e38

/* model_check_forest.c, model_check_parts.c: parts of churn_model_check. */
extern bool churn_model_check_forest(const ChurnForest *forest,
									 ChurnError *error);
extern bool churn_model_check_additive(const ChurnAdditive *additive,
									   const ChurnFeature *features,
									   ChurnError *error);
extern bool churn_model_check_network(const ChurnNetwork *network,
									  const ChurnFeature *features,
									  ChurnError *error);

/*
 * The largest absolute margin that a checked component can have, or more;
 * infinite if that is not known.
 */
extern double churn_model_bound(const ChurnComponent *component);

#endif							/* CHURN_MODEL_FORMAT_H */
