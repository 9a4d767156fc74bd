/*
 * row_explainer.h
 *		Why a row has its score, as numbers, texts and phrases.
 */
#ifndef CHURN_ROW_EXPLAINER_H
#define CHURN_ROW_EXPLAINER_H

#include "fmgr.h"
#include "utils/snapshot.h"

#include "features.h"
#include "registry.h"

/* Explains rows of one shape by one version. */
typedef struct ChurnRowExplainer
{
	const ChurnModel *model;
	const ChurnExplainer *explainer;
	const ChurnRowMap *map;
	FmgrInfo   *outputs;		/* by feature: of its column's type */
	Datum	   *names;			/* by feature, as text */
	void	   *workspace;
	/* of the row explained last: */
	double	   *contributions;	/* by feature, then the bias */
	uint32	   *order;			/* features, largest contribution first */
} ChurnRowExplainer;

/*
 * Makes one in the current memory context.  It is good as long as the version
 * is pinned and the map lives; desc describes the rows that the map reads.
 */
extern ChurnRowExplainer *churn_row_explainer_make(ChurnVersion *version,
												   const ChurnRowMap *map,
												   TupleDesc desc,
												   Snapshot snapshot);

/* Explains a row: fills contributions and order. */
extern void churn_row_explain(ChurnRowExplainer *explainer,
							  const float *features);

/* A feature's value as text; false if the row has none. */
extern bool churn_row_value(ChurnRowExplainer *explainer, uint32 feature,
							const Datum *values, const bool *nulls,
							const float *features, Datum *text);

/*
 * The first top reasons for the score of the row explained last, as an array
 * of texts such as "tenure = 2 raises the risk".
 */
extern Datum churn_row_reasons(ChurnRowExplainer *explainer,
							   const Datum *values, const bool *nulls,
							   const float *features, int top);

#endif							/* CHURN_ROW_EXPLAINER_H */
