/*
 * calibrate.h
 *		Fitting the map from margins to probabilities.
 */
#ifndef CHURN_CALIBRATE_H
#define CHURN_CALIBRATE_H

#include <stddef.h>
#include <stdint.h>

#include "churn/model.h"

/* In place of a ChurnCalibrationKind: whichever is best out of fold. */
#define CHURN_CALIBRATION_AUTO	(-1)
#define CHURN_CALIBRATION_KINDS 4

typedef struct ChurnCalibrationReport
{
	/* of held-out rows, by kind; NaN where a kind was not tried */
	double		log_loss[CHURN_CALIBRATION_KINDS];
	char		why[256];		/* the choice in words */
} ChurnCalibrationReport;

/*
 * Fits a calibration of a kind, or of the best kind, to n rows: their margins,
 * each by a model that has not learned from the row, labels, 0 or 1, and the
 * fold each belongs to, below 255.  Without folds, NULL, rows go to five in
 * turn.  Knots are allocated in the arena.
 *
 * The rows have to come as they are in the source, not sampled: then whatever
 * sampling did to the margins is undone by the fit, and churn_prior_offset()
 * is not needed.
 *
 * The map is strictly rising whatever the margins are.  Rows of fewer than ten
 * of either class are not calibrated, a kind of CHURN_CALIBRATION_NONE.
 */
extern void churn_calibration_fit(const float *margins, const uint8_t *labels,
								  const uint8_t *folds, size_t n, int wanted,
								  ChurnArena *arena,
								  ChurnCalibration *calibration,
								  ChurnCalibrationReport *report);

/*
 * What is to be added to the margin of a model that learned from rows of which
 * a share of sampled_rate churned, so that it holds where a share of true_rate
 * does: logit(true_rate) - logit(sampled_rate).  Exact if sampling changed the
 * shares of the classes and not what the rows of a class are like (Elkan, "The
 * Foundations of Cost-Sensitive Learning", IJCAI 2001, theorem 2; Saerens,
 * Latinne and Decaestecker, Neural Computation 14, 2002, equation 2.4).  Both
 * are above 0 and below 1.
 */
extern double churn_prior_offset(double true_rate, double sampled_rate);

#endif							/* CHURN_CALIBRATE_H */
