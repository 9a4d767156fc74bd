/*
 * stream_shadow.h
 *		The challenger of a model, which scores in the champion's shadow.
 */
#ifndef CHURN_STREAM_SHADOW_H
#define CHURN_STREAM_SHADOW_H

#include "stream_write.h"

/* A challenger, with room to score. */
typedef struct ChurnChallenger
{
	ChurnVersion *version;		/* pinned as long as the set is */
	float	   *features;		/* room for one row */
	void	   *workspace;		/* of the evaluator */
	bool		failed;			/* told of in churn.errors; not tried again */
} ChurnChallenger;

/*
 * Loads the challenger of a model of the set into model->shadow.  One that
 * cannot be loaded is reported in churn.errors, if that is wanted, and left
 * out; no error comes of it.
 */
extern void churn_shadow_load(ChurnWatchSet *set, ChurnWatchedModel *model,
							  bool reports);

/*
 * Scores by the challenger what the champion has scored, n > 0 customers, if
 * that comes of changes and not of a rescan.  NULL if there is nothing to be
 * written.  Rows that it fails for are reported in churn.errors and have no
 * score; no error comes of it.
 */
extern ChurnShadow *churn_shadow_score(ChurnWatchedModel *model,
									   const ChurnOutcome *outcomes, int n);

#endif							/* CHURN_STREAM_SHADOW_H */
