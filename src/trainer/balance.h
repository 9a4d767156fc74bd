/*
 * balance.h
 *		Balancing the classes of the rows that a learner learns from.
 */
#ifndef CHURN_BALANCE_H
#define CHURN_BALANCE_H

#include "random.h"
#include "sample.h"

typedef enum ChurnSampling
{
	CHURN_SAMPLING_NONE,		/* rows as they are */
	CHURN_SAMPLING_CLASS_WEIGHT,	/* rows of the rarer class weigh more */
	CHURN_SAMPLING_OVERSAMPLE,	/* they are repeated, as whole weights */
	CHURN_SAMPLING_SMOTE		/* rows like them are made, by SMOTE-NC */
} ChurnSampling;

/* A balanced sample and the memory that is its own. */
typedef struct ChurnBalance
{
	ChurnSample sample;
	float	   *weights;
	size_t		nweights;
	float	   *made;
	uint8_t    *made_labels;
	size_t		made_size;		/* bytes of made */
} ChurnBalance;

/*
 * Makes of a sample of real rows (nmade is 0) one whose rarer class has ratio
 * times the rows, or the weight, of the other; ratio is above 0 and at most 1.
 * What is balanced that far already stays as it is.  weights may be NULL for
 * all 1.
 *
 * Nothing but rows of weight above 0 is looked at, so that rows which are held
 * out, by weight 0 or by being outside the sample, are neither repeated nor
 * part of a row that is made; their weight stays 0.  To be called anew for
 * each training part, inside each fold.  The same arguments give the same
 * sample.
 */
extern void churn_balance_make(ChurnBalance *balance, const ChurnSample *real,
							   ChurnSampling sampling, double ratio,
							   uint64_t seed);

extern void churn_balance_free(ChurnBalance *balance);

/*
 * Step of churn_balance_make(): makes wanted rows of the class of label with
 * SMOTE-NC, or fewer if they would take too much memory; returns how many.
 */
extern size_t churn_smote_make(ChurnBalance *balance, uint8_t label,
							   size_t wanted, uint64_t seed);

#endif							/* CHURN_BALANCE_H */
