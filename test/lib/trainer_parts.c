/*
 * trainer_parts.c
 *		Modules of the trainer as a library that Python can call.
 *
 * trainer_parts.py compiles it.  Only plain numbers and arrays pass.
 */
#include "../unit/trainer_stubs.h"

#include "../../src/trainer/balance.h"
#include "../../src/trainer/calibrate.h"
#include "churn/predictor.h"

/* src/common/forest.c has it, which needs much else. */
extern float churn_sigmoid(float margin);

float
churn_sigmoid(float margin)
{
	return 1 / (1 + expf(-margin));
}

extern int	parts_calibrate(const float *margins, const uint8_t *labels,
							const uint8_t *folds, size_t n, int wanted,
							double *parameters, double *knots,
							double *log_loss, char *why);
extern double parts_logit(int kind, const double *parameters,
						  const double *knots, double margin);
extern size_t parts_balance(const float *numbers, size_t nnumbers,
							const uint16_t *codes, size_t ncodes,
							const uint8_t *labels, const float *weights,
							size_t n, int sampling, double ratio,
							uint64_t seed, float *new_weights, float *made,
							size_t room);

/*
 * Fits; returns the kind.  parameters gets a, b, c and the number of knots,
 * knots their margins and then their logits.
 */
int
parts_calibrate(const float *margins, const uint8_t *labels,
				const uint8_t *folds, size_t n, int wanted,
				double *parameters, double *knots, double *log_loss,
				char *why)
{
	ChurnArena *arena = churn_arena_create();
	ChurnCalibration calibration;
	ChurnCalibrationReport report;

	churn_calibration_fit(margins, labels, folds, n, wanted, arena,
						  &calibration, &report);
	parameters[0] = calibration.a;
	parameters[1] = calibration.b;
	parameters[2] = calibration.c;
	parameters[3] = calibration.nknots;
	if (calibration.nknots > 0)
	{
		memcpy(knots, calibration.margins,
			   calibration.nknots * sizeof(double));
		memcpy(knots + calibration.nknots, calibration.logits,
			   calibration.nknots * sizeof(double));
	}
	memcpy(log_loss, report.log_loss, sizeof(report.log_loss));
	strcpy(why, report.why);
	churn_arena_destroy(arena);
	return (int) calibration.kind;
}

/* The calibrated log-odds of a margin by what parts_calibrate() gave. */
double
parts_logit(int kind, const double *parameters, const double *knots,
			double margin)
{
	uint32_t	nknots = (uint32_t) parameters[3];
	ChurnCalibration calibration = {
		.kind = (ChurnCalibrationKind) kind,
		.a = parameters[0],
		.b = parameters[1],
		.c = parameters[2],
		.nknots = nknots,
		.margins = knots,
		.logits = knots + nknots
	};

	return churn_calibrated_logit(&calibration, margin);
}

/*
 * Balances n rows of nnumbers columns of numbers, column after column, and
 * ncodes of codes from 1.  Returns the number of rows that were made, whose
 * values go to made, row by row, and the weights of all to new_weights; room
 * for rows in made is checked.
 */
size_t
parts_balance(const float *numbers, size_t nnumbers, const uint16_t *codes,
			  size_t ncodes, const uint8_t *labels, const float *weights,
			  size_t n, int sampling, double ratio, uint64_t seed,
			  float *new_weights, float *made, size_t room)
{
	ChurnTable	table;
	ChurnSample sample = {.table = &table,.nreal = n,.weights = weights};
	ChurnBalance balance;
	size_t		nmade;
	size_t		i;

	stub_table(&table, n, nnumbers + ncodes);
	memcpy(table.labels, labels, n);
	for (i = 0; i < nnumbers; i++)
		memcpy(stub_column(&table, "number", CHURN_FEATURE_NUMBER, 0),
			   numbers + i * n, n * sizeof(float));
	for (i = 0; i < ncodes; i++)
		memcpy(stub_column(&table, "category", CHURN_FEATURE_CATEGORY, 0),
			   codes + i * n, n * sizeof(uint16_t));
	churn_balance_make(&balance, &sample, (ChurnSampling) sampling, ratio,
					   seed);
	nmade = balance.sample.nmade;
	if (nmade <= room)
	{
		memcpy(new_weights, balance.weights, (n + nmade) * sizeof(float));
		if (nmade > 0)
			memcpy(made, balance.made,
				   nmade * table.ncolumns * sizeof(float));
	}
	churn_balance_free(&balance);
	stub_free(&table);
	return nmade;
}
