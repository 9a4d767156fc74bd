/*
 * learner.h
 *		What every learner can do.
 *
 * Whatever goes wrong in a learner is a FAILURE, so that callers need no
 * checks.  The same sample, parameters and control give the same fit, bit by
 * bit.
 */
#ifndef CHURN_LEARNER_H
#define CHURN_LEARNER_H

#include "churn/model.h"
#include "sample.h"
#include "settings.h"

/* What a learner has learned; each learner's file knows its own. */
typedef struct ChurnFit ChurnFit;

/* What a checkpoint tells the learner to do. */
typedef enum ChurnVerdict
{
	CHURN_VERDICT_GO,			/* on */
	CHURN_VERDICT_BEST,			/* on, but this is what the fit is to be,
								 * unless a later checkpoint says so too */
	CHURN_VERDICT_STOP			/* make no more rounds */
} ChurnVerdict;

/*
 * Told of a fit in the making: after how many rounds (trees, epochs), and the
 * margins of all rows of the sample, held out ones as well, in order.  A fit
 * of which no checkpoint said BEST is that of its last round.
 */
typedef ChurnVerdict (*ChurnCheckpoint) (void *context, int rounds,
										 const float *margins);

/* How a fit is to be run. */
typedef struct ChurnFitControl
{
	uint64_t	seed;
	int			threads;
	int			rounds;			/* to make, for learners that have rounds */
	int			every;			/* checkpoint after each so many rounds, and
								 * after the last */
	ChurnCheckpoint checkpoint; /* or NULL.  Without rounds, called once */
	void	   *context;		/* its first argument */
	bool		blind;			/* the checkpoint only counts rounds: it may
								 * get NULL for margins */
	ChurnTable *release;		/* the sample's table, whose training part is
								 * no longer needed once read; or NULL */
} ChurnFitControl;

typedef struct ChurnLearner
{
	const char *name;			/* as in churn_train(algorithm => ...) */
	const char *library;		/* that does the work, or NULL if it is ours */
	const char *(*version) (void);	/* of the library */
	const ChurnSetting *params; /* allowed ones and defaults; NULL name last */
	bool		has_rounds;		/* params has "rounds" and
								 * "early_stopping_rounds" */

	/* Learns from the rows of the sample whose weight is above 0. */
	ChurnFit   *(*fit) (const ChurnSample *sample, const ChurnSetting *params,
						const ChurnFitControl *control);

	/*
	 * Margins of rows first .. first + count of the table by the learner's
	 * own predictor, against which src/common's is checked.
	 */
	void		(*predict) (ChurnFit *fit, const ChurnTable *table,
							size_t first, size_t count, float *margins);

	/*
	 * Each feature's share of what the model makes of the features; they sum
	 * to 1, or are all 0.
	 */
	void		(*importance) (ChurnFit *fit, const ChurnTable *table,
							   double *shares);

	/*
	 * The model: one component of weight 1 and offset 0, made in the arena,
	 * its algorithm the learner's name.  Learners of XGBoost set *document to
	 * the model file, parsed, and leave the forest to be read from there; the
	 * others set *document to NULL.
	 */
	void		(*component) (ChurnFit *fit, const ChurnTable *table,
							  ChurnArena *arena, ChurnComponent *component,
							  ChurnValue **document);

	void		(*free) (ChurnFit *fit);
} ChurnLearner;

extern const ChurnLearner churn_learner_rules;
extern const ChurnLearner churn_learner_logistic;
extern const ChurnLearner churn_learner_random_forest;
extern const ChurnLearner churn_learner_xgboost;
extern const ChurnLearner churn_learner_network;

/* All of them, the simplest first; ends with NULL.  And one by its name. */
extern const ChurnLearner *const churn_learners[];
extern const ChurnLearner *churn_learner_find(const char *name);

/* Value in effect of a parameter that is in the list. */
extern double churn_param(const ChurnSetting *params, const char *name);

#endif							/* CHURN_LEARNER_H */
