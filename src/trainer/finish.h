/*
 * finish.h
 *		Making the model of what the selection chose.
 */
#ifndef CHURN_FINISH_H
#define CHURN_FINISH_H

#include "calibrate.h"
#include "churn/predictor.h"
#include "churn/xgboost.h"
#include "select.h"

/* A model that is done, and how it came about. */
typedef struct ChurnFinished
{
	const ChurnTrial *trial;	/* it was chosen as */
	ChurnFit   *fits[CHURN_MAX_MEMBERS];
	const ChurnLearner *learners[CHURN_MAX_MEMBERS];
	ChurnComponent components[CHURN_MAX_MEMBERS];
	ChurnValue *documents[CHURN_MAX_MEMBERS];
	int			ncomponents;
	int			rounds;			/* of its first learner that has rounds, or 0 */
	ChurnCalibration calibration;
	ChurnCalibrationReport report;
	float	   *margins;		/* of the test part, or of held out rows if
								 * there is none */
	size_t		nmargins;
	ChurnCells	score_baseline; /* of their scores */
	double		threshold;		/* of calibrated scores */
	const uint8_t *bytes;		/* of the artifact */
	size_t		length;
	ChurnModel *model;			/* as the extension will read it */
	ChurnPredictor *predictor;
	void	   *workspace;
	double	   *importance;		/* share of gain, by feature */
	double	   *shap;			/* mean absolute contribution, by feature */
} ChurnFinished;

/*
 * Makes the model of a trial: fits it on all rows but the test part's, unless
 * there is a fit already; calibrates it and chooses its threshold by the
 * margins of held out rows.  With release, the training part's rows are given
 * back as soon as nobody needs them.
 */
extern void churn_finish(ChurnFinished *finished, ChurnSelection *selection,
						 const ChurnTrial *trial, ChurnTable *table,
						 const ChurnRows *rows, bool release);

#endif							/* CHURN_FINISH_H */
