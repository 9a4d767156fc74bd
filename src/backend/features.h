/*
 * features.h
 *		From SQL values to the feature vector of a model.
 */
#ifndef CHURN_FEATURES_H
#define CHURN_FEATURES_H

#include "access/tupdesc.h"
#include "nodes/bitmapset.h"

#include "churn/model.h"

#include "reader.h"
#include "transform.h"

/* Short cuts for the commonest columns. */
typedef enum ChurnReadHow
{
	CHURN_READ_ANY = 0,
	CHURN_READ_TEXT,			/* text or varchar, as a category */
	CHURN_READ_FLOAT8,
	CHURN_READ_INT4
} ChurnReadHow;

/* Where a feature of a model is found in a row, and how it is read. */
typedef struct ChurnField
{
	int			column;			/* index into the row's values; below 0 if a
								 * transform computes it */
	ChurnReadHow how;
	const ChurnDictionary *dictionary;	/* of a category, else NULL */
	ChurnReader reader;
} ChurnField;

typedef struct ChurnRowMap
{
	const ChurnModel *model;
	int			as_of_column;	/* index into values, or -1 */
	DateADT		as_of_day;		/* of the statement, where there is none */
	ChurnReader as_of_reader;
	ChurnField *fields;			/* by feature */
	ChurnTransforms *transforms;	/* NULL if there are none */
	uint32	   *derived;		/* the feature of each transform */
} ChurnRowMap;

/* Index of a live column by name; -1 if there is none. */
extern int	churn_find_column(TupleDesc desc, const char *name);

/* Whether values of a column of that kind can serve as the feature. */
extern bool churn_feature_fits(const ChurnFeature *feature,
							   ChurnColumnKind kind);

/* The words for what a feature wants, for messages. */
extern const char *churn_feature_wants(const ChurnFeature *feature);

/* Complains unless a transform gives what it gave at training. */
extern void churn_feature_check_derived(const ChurnFeature *feature, Oid type,
										const char *model_name);

/*
 * Finds the columns that the model wants by name in desc (dropped ones do not
 * count).  A missing column, or one whose type cannot serve the feature's
 * kind, is an error that names it.
 */
extern ChurnRowMap *churn_row_map(const ChurnModel *model,
								  const char *model_name, TupleDesc desc,
								  MemoryContext context);

/* The columns of desc that the map reads. */
extern Bitmapset *churn_row_map_columns(const ChurnRowMap *map);

/* Encodes one row into model->nfeatures floats. */
extern void churn_row_encode(const ChurnRowMap *map, const Datum *values,
							 const bool *nulls, float *features);

/* The same for a row that comes as function arguments. */
extern void churn_row_encode_arguments(const ChurnRowMap *map,
									   const NullableDatum *row,
									   float *features);

#endif							/* CHURN_FEATURES_H */
