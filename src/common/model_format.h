/*
 * model_format.h
 *		Names and numbers of the compiled form; model.c describes it.
 */
#ifndef CHURN_MODEL_FORMAT_H
#define CHURN_MODEL_FORMAT_H

#include "churn/model.h"

/* As in PNG: not text, and line ends that a careless copy would change. */
#define MODEL_MAGIC				"\x89" "churn\r\n"
#define MODEL_MAGIC_LENGTH		8
#define MODEL_FORMAT_VERSION	1

/*
 * Sections, in this order.  Other learners and calibration get kinds of their
 * own; a reader refuses a kind it does not know unless it is optional.
 */
#define MODEL_FEATURES			1
#define MODEL_FOREST			2
#define MODEL_DECISION			3
#define MODEL_REQUIRED			0x0E	/* bit k: kind k must be there */
#define MODEL_SECTION_OPTIONAL	0x80000000u
#define MODEL_SECTION_HEAD		16	/* bytes */

#define MODEL_FOREST_DART		0x01	/* flag of a forest */
#define MODEL_NODE_LEAF			0x8000	/* flag of a node, on disk only */

/* Least bytes on disk, to hold counts against what is left. */
#define MODEL_FEATURE_BYTES		14
#define MODEL_STRING_BYTES		4
#define MODEL_TREE_BYTES		8
#define MODEL_LEAF_BYTES		12

/* Limits of churn_model_check's proof, which takes time by their ratio. */
#define MODEL_MAX_TREE_NODES	(1u << 21)
#define MODEL_WINDOW_NODES		(1u << 16)

#endif							/* CHURN_MODEL_FORMAT_H */
