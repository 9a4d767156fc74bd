/*
 * calibration.c
 *		From a margin to the probability that it stands for; the maps are in
 *		churn/model.h.
 */
#include <math.h>

#include "churn/forest.h"
#include "churn/predictor.h"

/* ln(1 + exp(x)), also where exp(x) overflows or is lost beside 1. */
static double
softplus(double x)
{
	return fmax(x, 0) + log1p(exp(-fabs(x)));
}

/*
 * The line through the knots at a margin.  It ends at the upper knot's logit
 * however the interpolation is rounded, so that it never falls.
 */
static double
interpolate(const ChurnCalibration *calibration, double margin)
{
	const double *margins = calibration->margins;
	const double *logits = calibration->logits;
	uint32_t	low = 0;
	uint32_t	high = calibration->nknots;
	double		share;

	/* margins[low - 1] <= margin < margins[low] */
	while (low < high)
	{
		uint32_t	middle = (low + high) / 2;

		if (margins[middle] <= margin)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return logits[0] + (margin - margins[0]);
	if (low == calibration->nknots)
		return logits[low - 1] + (margin - margins[low - 1]);
	share = (margin - margins[low - 1]) / (margins[low] - margins[low - 1]);
	return fmin(logits[low - 1] + share * (logits[low] - logits[low - 1]),
				logits[low]);
}

/*
 * The log-odds z.  With p the logistic function of the margin, ln(p) is
 * -softplus(-margin) and ln(1 - p) is -softplus(margin).  A factor of zero
 * leaves its term out, which might be infinite.
 */
double
churn_calibrated_logit(const ChurnCalibration *calibration, double margin)
{
	double		logit;

	switch (calibration->kind)
	{
		case CHURN_CALIBRATION_PLATT:
			return calibration->a * margin + calibration->b;
		case CHURN_CALIBRATION_BETA:
			logit = calibration->c;
			if (calibration->a > 0)
				logit -= calibration->a * softplus(-margin);
			if (calibration->b > 0)
				logit += calibration->b * softplus(margin);
			return logit;
		case CHURN_CALIBRATION_ISOTONIC:
			return interpolate(calibration, margin);
		case CHURN_CALIBRATION_NONE:
			break;
	}
	return margin;
}

/*
 * The probability of churn; see churn/predictor.h.  NaN, which a forest whose
 * leaves overflow can give, stays NaN.
 */
double
churn_calibrate(const ChurnCalibration *calibration, float margin)
{
	if (calibration->kind == CHURN_CALIBRATION_NONE)
		return (double) churn_sigmoid(margin);
	if (isnan(margin))
		return (double) margin;
	return 1.0 / (1.0 + exp(-churn_calibrated_logit(calibration, (double) margin)));
}
