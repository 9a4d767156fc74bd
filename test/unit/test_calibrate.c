/*
 * test_calibrate.c
 *		Calibrations are strictly rising, equal to what other programs fit, and
 *		chosen where they are due.
 */
#include "trainer_stubs.h"

#include "../../src/trainer/calibrate.h"
#include "churn/predictor.h"
#include "unit.h"

#define MAX_ROWS	40000

static float margins[MAX_ROWS];
static uint8_t labels[MAX_ROWS];
static uint32_t state;

/* From 0 to below 1, in steps of 1 / 32768; as test/agreement has it. */
static double
draw(void)
{
	state = state * 1103515245 + 12345;
	return (double) (state >> 16 & 0x7FFF) / 32768;
}

/* Probabilities of rows by margin, each a distortion of another kind. */
static double
rate_true(double margin)
{
	return 1 / (1 + exp(-margin));
}

static double
rate_platt(double margin)
{
	return 1 / (1 + exp(-(0.5 * margin - 1)));
}

static double
rate_beta(double margin)
{
	return 1 / (1 + exp(-(margin < 0 ? 0.2 * margin : 2 * margin) + 1));
}

static double
rate_steps(double margin)
{
	return margin < -1 ? 0.02 : margin < 1 ? 0.4 : 0.6;
}

static double
rate_falling(double margin)
{
	return 1 / (1 + exp(margin));
}

static double
rate_separated(double margin)
{
	return margin > 0;
}

static void
make_rows(size_t n, double (*rate) (double margin))
{
	size_t		i;

	state = 1;
	for (i = 0; i < n; i++)
	{
		margins[i] = (float) (8 * draw() - 4);
		labels[i] = draw() < rate(margins[i]);
	}
}

/* Rising at each of many margins, between near ones as well. */
static bool
rises(const ChurnCalibration *calibration)
{
	double		before = churn_calibrated_logit(calibration, -30);
	int			i;

	for (i = -29999; i <= 30000; i++)
	{
		double		now = churn_calibrated_logit(calibration, i / 1000.0);
		double		near = churn_calibrated_logit(calibration,
												  i / 1000.0 + 1e-6);

		if (!(now > before) || !(near > now))
			return false;
		before = now;
	}
	return true;
}

static void
test_choice(void)
{
	static const struct
	{
		const char *name;
		size_t		n;
		double		(*rate) (double margin);
		ChurnCalibrationKind kind;
	}			cases[] = {
		{"right margins", 20000, rate_true, CHURN_CALIBRATION_NONE},
		{"too steep and shifted ones", 20000, rate_platt,
		CHURN_CALIBRATION_PLATT},
		{"one-sided ones", 1500, rate_beta, CHURN_CALIBRATION_BETA},
		{"steps", 40000, rate_steps, CHURN_CALIBRATION_ISOTONIC},
		{"falling ones", 5000, rate_falling, CHURN_CALIBRATION_PLATT},
		{"separated classes", 2000, rate_separated, CHURN_CALIBRATION_PLATT}
	};
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		ChurnArena *arena = churn_arena_create();
		ChurnCalibration calibration;
		ChurnCalibrationReport report;

		make_rows(cases[i].n, cases[i].rate);
		churn_calibration_fit(margins, labels, NULL, cases[i].n,
							  CHURN_CALIBRATION_AUTO, arena, &calibration,
							  &report);
		ok(calibration.kind == cases[i].kind, "%s: %s", cases[i].name,
		   report.why);
		ok(rises(&calibration), "%s: the map rises", cases[i].name);
		churn_arena_destroy(arena);
	}
}

/* Each kind, asked for, on each data: rising, finite, within its limits. */
static void
test_kinds(void)
{
	static double (*const rates[]) (double) = {
		rate_true, rate_platt, rate_beta, rate_steps, rate_falling,
		rate_separated
	};
	size_t		i;
	int			kind;

	for (i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
	{
		make_rows(3000, rates[i]);
		for (kind = 1; kind < CHURN_CALIBRATION_KINDS; kind++)
		{
			ChurnArena *arena = churn_arena_create();
			ChurnCalibration calibration;
			ChurnCalibrationReport report;

			churn_calibration_fit(margins, labels, NULL, 3000, kind, arena,
								  &calibration, &report);
			ok((calibration.kind == (ChurnCalibrationKind) kind ||
				kind == CHURN_CALIBRATION_ISOTONIC) && rises(&calibration),
			   "data %zu: %s rises", i, report.why);
			churn_arena_destroy(arena);
		}
	}
}

static void
test_isotonic(void)
{
	ChurnArena *arena = churn_arena_create();
	ChurnCalibration calibration;
	ChurnCalibrationReport report;
	double		inside;
	uint32_t	i;
	bool		rising = true;

	make_rows(MAX_ROWS, rate_steps);
	churn_calibration_fit(margins, labels, NULL, MAX_ROWS,
						  CHURN_CALIBRATION_ISOTONIC, arena, &calibration,
						  &report);
	for (i = 1; i < calibration.nknots; i++)
		rising &= calibration.margins[i] > calibration.margins[i - 1] &&
			calibration.logits[i] > calibration.logits[i - 1];
	ok(rising && calibration.nknots >= 3 &&
	   calibration.nknots <= CHURN_MAX_KNOTS, "knots rise");
	inside = churn_calibrated_logit(&calibration, 0);
	ok(fabs(1 / (1 + exp(-inside)) - 0.4) < 0.03,
	   "the rate of the middle step is found");
	ok(churn_calibrated_logit(&calibration, -50) ==
	   calibration.logits[0] + (-50 - calibration.margins[0]),
	   "beyond the first knot the slope is 1");

	/* more distinct rates than knots may be */
	make_rows(MAX_ROWS, rate_true);
	for (i = 0; i < MAX_ROWS; i++)
	{
		margins[i] = (float) i;
		labels[i] = (uint8_t) (draw() < (double) i / MAX_ROWS);
	}
	churn_calibration_fit(margins, labels, NULL, MAX_ROWS,
						  CHURN_CALIBRATION_ISOTONIC, arena, &calibration,
						  &report);
	ok(calibration.nknots > 20 && calibration.nknots <= CHURN_MAX_KNOTS,
	   "%u knots", calibration.nknots);

	/* no margin tells anything: one block, so a logistic instead */
	for (i = 0; i < MAX_ROWS; i++)
		margins[i] = 0.5;
	churn_calibration_fit(margins, labels, NULL, MAX_ROWS,
						  CHURN_CALIBRATION_ISOTONIC, arena, &calibration,
						  &report);
	ok(calibration.kind == CHURN_CALIBRATION_PLATT && calibration.a > 0,
	   "equal margins: %s", report.why);
	churn_arena_destroy(arena);
}

static void
test_edges(void)
{
	ChurnArena *arena = churn_arena_create();
	ChurnCalibration first;
	ChurnCalibration second;
	ChurnCalibrationReport report;
	size_t		i;
	uint8_t		folds[1000];

	make_rows(1000, rate_platt);
	for (i = 0; i < 1000; i++)
		labels[i] = i < 9;
	churn_calibration_fit(margins, labels, NULL, 1000,
						  CHURN_CALIBRATION_AUTO, arena, &first, &report);
	ok(first.kind == CHURN_CALIBRATION_NONE, "few positives: %s", report.why);

	/* the order of rows does not matter, given their folds */
	make_rows(1000, rate_platt);
	for (i = 0; i < 1000; i++)
		folds[i] = (uint8_t) (i % 5);
	churn_calibration_fit(margins, labels, folds, 1000,
						  CHURN_CALIBRATION_AUTO, arena, &first, &report);
	for (i = 0; i < 500; i++)
	{
		float		margin = margins[i];
		uint8_t		label = labels[i];
		uint8_t		fold = folds[i];

		margins[i] = margins[999 - i];
		labels[i] = labels[999 - i];
		folds[i] = folds[999 - i];
		margins[999 - i] = margin;
		labels[999 - i] = label;
		folds[999 - i] = fold;
	}
	churn_calibration_fit(margins, labels, folds, 1000,
						  CHURN_CALIBRATION_AUTO, arena, &second, &report);
	ok(memcmp(&first, &second, sizeof(first)) == 0,
	   "rows in another order give the same map");
	ok(fabs(churn_prior_offset(0.2, 0.5) - log(0.25)) < 1e-15 &&
	   churn_prior_offset(0.3, 0.3) == 0, "offset of another prior");
	churn_arena_destroy(arena);
}

int
main(void)
{
	test_choice();
	test_kinds();
	test_isotonic();
	test_edges();
	return done();
}
