/*
 * trial.h
 *		A candidate model under cross-validation.
 */
#ifndef CHURN_TRIAL_H
#define CHURN_TRIAL_H

#include "folds.h"
#include "learner.h"
#include "settings.h"

/* What could become the model: a learner with parameters. */
typedef struct ChurnCandidate
{
	char		name[40];		/* "xgboost 2", unlike all others */
	const ChurnLearner *learner;	/* NULL: a blend of other candidates */
	ChurnSetting *params;		/* in effect; NULL for a blend */
	double		seconds;		/* what a fit on the folds' rows should take */
} ChurnCandidate;

/* How good the held out rows of a fold were predicted. */
typedef struct ChurnFoldScore
{
	double		pr_auc;
	double		roc_auc;
	double		log_loss;		/* of the margins as they are */
} ChurnFoldScore;

#define CHURN_MAX_MEMBERS	4	/* of a blend */
#define CHURN_MAX_REPEATS	4	/* of a cross-validation */

typedef struct ChurnTrial
{
	ChurnCandidate candidate;
	int			nfolds;			/* folds measured: repeat * k + fold of these */
	int			npoints;		/* checkpoints that all measured folds have */
	int			room;			/* checkpoints at most */
	int			every;			/* rounds from one to the next */
	ChurnFoldScore *curves[CHURN_MAX_FOLDS];	/* of a fold, by checkpoint */
	float	   *margins;		/* [checkpoint * folds->n + row], of the first
								 * repetition's held out rows; of a lone fold
								 * the best checkpoint's alone */
	size_t		margins_size;	/* bytes */
	float	   *again[CHURN_MAX_REPEATS];	/* by row, of the repetitions
											 * after the first, or NULL */
	ChurnFoldScore scores[CHURN_MAX_FOLDS]; /* at the chosen checkpoint */
	ChurnFoldScore mean;
	double		spread;			/* standard deviation of PR-AUC over folds */
	int			point;			/* the chosen checkpoint */
	int			rounds;			/* that it stands for */
	int			nmembers;		/* of a blend */
	int			members[CHURN_MAX_MEMBERS]; /* numbers of trials */
	double		weights[CHURN_MAX_MEMBERS]; /* weight * margin + offset */
	double		offsets[CHURN_MAX_MEMBERS];
	double		seconds;		/* spent on it */
	char		reason[240];	/* why it won or lost */
} ChurnTrial;

/* All that trials share. */
typedef struct ChurnCourse
{
	const ChurnSettings *settings;
	const ChurnTable *table;
	ChurnFolds	folds;
} ChurnCourse;

/*
 * Holds a fold of the first repetition out, and measures on it at every
 * checkpoint.  If keep is not NULL, *keep is set to the fit.
 */
extern void churn_trial_fold(ChurnTrial *trial, const ChurnCourse *course,
							 int number, ChurnFit **keep);

/*
 * Holds a fold of a later repetition out, and measures on it after the number
 * of rounds that was chosen.
 */
extern void churn_trial_repeat(ChurnTrial *trial, const ChurnCourse *course,
							   int number);

/*
 * Chooses the checkpoint of least mean log loss over the measured folds, and
 * sets what depends on it.
 */
extern void churn_trial_judge(ChurnTrial *trial);

/*
 * Measures margins of a fold's held out rows; margins is by folds' rows.  The
 * log loss is that of the margins and the offset.
 */
extern ChurnFoldScore churn_trial_measure(const ChurnCourse *course,
										  int number, const float *margins,
										  double offset);

/* The margins of a repetition at the chosen checkpoint, by row. */
extern const float *churn_trial_margins(const ChurnTrial *trial,
										const ChurnCourse *course, int repeat);

/* Mean and standard deviation of fold scores of PR-AUC. */
extern void churn_trial_summarize(ChurnTrial *trial);

/*
 * Fits a candidate on rows first .. first + n of the table for good, for so
 * many rounds.
 */
extern ChurnFit *churn_trial_refit(const ChurnTrial *trial,
								   const ChurnSettings *settings,
								   const ChurnTable *table, size_t first,
								   size_t n, int rounds,
								   ChurnTable *release);

#endif							/* CHURN_TRIAL_H */
