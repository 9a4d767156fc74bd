/*
 * test_balance.c
 *		Sampling balances the classes, and nothing of a row that is held out
 *		gets into what is learned from.
 */
#include "trainer_stubs.h"

#include "../../src/trainer/balance.h"
#include "unit.h"

#define ROWS	1000
#define FIRST	100				/* of the sample in the table */
#define REAL	800

static ChurnTable table;
static float weights[REAL];
static uint32_t state;

static unsigned
draw(unsigned below)
{
	state = state * 1103515245 + 12345;
	return (state >> 16 & 0x7FFF) % below;
}

/* Learned from: inside the sample and not held out. */
static bool
is_used(size_t row)
{
	return row >= FIRST && row < FIRST + REAL && weights[row - FIRST] > 0;
}

/*
 * Rows whose values tell where they come from: of rows that churned and are
 * learned from, numbers are 10 to 20 and categories c0 to c2; of other rows
 * that are learned from, -20 to -10 and c3; of those held out, foreign and
 * c4.
 */
static void
make_table(float foreign)
{
	float	   *tenure;
	float	   *charge;
	float	   *senior;
	uint16_t   *contract;
	size_t		row;

	stub_free(&table);
	stub_table(&table, ROWS, 4);
	tenure = stub_column(&table, "tenure", CHURN_FEATURE_NUMBER, 0);
	charge = stub_column(&table, "charge", CHURN_FEATURE_NUMBER, 0);
	contract = stub_column(&table, "contract", CHURN_FEATURE_CATEGORY, 5);
	senior = stub_column(&table, "senior", CHURN_FEATURE_NUMBER, 0);
	state = 7;
	for (row = 0; row < REAL; row++)
		weights[row] = draw(4) > 0;
	for (row = 0; row < ROWS; row++)
	{
		float		sign;

		table.labels[row] = draw(5) == 0;
		sign = table.labels[row] ? 1 : -1;
		tenure[row] = sign * (float) (10 + draw(11));
		charge[row] = sign * (10 + (float) draw(1000) / 100);
		contract[row] = table.labels[row] ? (uint16_t) draw(4) : 4;
		senior[row] = (float) draw(2);
		if (draw(10) == 0)
			charge[row] = NAN;
		if (!is_used(row))
		{
			tenure[row] = charge[row] = senior[row] = foreign;
			contract[row] = 5;
		}
	}
}

static void
balance_table(ChurnBalance *balance, ChurnSampling sampling, double ratio,
			  uint64_t seed)
{
	ChurnSample sample = {
		.table = &table,
		.first = FIRST,
		.nreal = REAL,
		.weights = weights
	};

	churn_balance_make(balance, &sample, sampling, ratio, seed);
}

/* Weight of a class, of real and made rows. */
static double
class_weight(const ChurnBalance *balance, uint8_t label)
{
	double		sum = 0;
	size_t		row;

	for (row = 0; row < churn_sample_rows(&balance->sample); row++)
	{
		if (churn_sample_label(&balance->sample, row) == label)
			sum += balance->sample.weights[row];
	}
	return sum;
}

static bool
held_out_stays(const ChurnBalance *balance)
{
	size_t		row;

	for (row = 0; row < REAL; row++)
	{
		if ((weights[row] == 0) != (balance->sample.weights[row] == 0))
			return false;
	}
	return true;
}

static void
test_weights(void)
{
	ChurnBalance balance;
	double		before[2];
	size_t		row;
	bool		whole = true;

	make_table(1e6);
	balance_table(&balance, CHURN_SAMPLING_NONE, 1, 1);
	before[0] = class_weight(&balance, 0);
	before[1] = class_weight(&balance, 1);
	ok(before[1] > 50 && before[1] < before[0] / 2, "rows as they are");
	churn_balance_free(&balance);

	balance_table(&balance, CHURN_SAMPLING_CLASS_WEIGHT, 1, 1);
	for (row = 0; weights[row] == 0 || table.labels[FIRST + row] == 0;)
		row++;
	ok(fabs(balance.sample.weights[row] - (before[0] + before[1]) / 2 /
			before[1]) < 1e-5, "a class weighs n / (2 n_class) a row");
	ok(fabs(class_weight(&balance, 0) - class_weight(&balance, 1)) < 0.01 &&
	   held_out_stays(&balance), "classes weigh the same");
	churn_balance_free(&balance);

	balance_table(&balance, CHURN_SAMPLING_CLASS_WEIGHT, 0.5, 1);
	ok(fabs(class_weight(&balance, 0) / 2 - class_weight(&balance, 1)) < 0.01,
	   "or half as much");
	churn_balance_free(&balance);

	balance_table(&balance, CHURN_SAMPLING_OVERSAMPLE, 1, 1);
	for (row = 0; row < REAL; row++)
		whole &= balance.sample.weights[row] ==
			floorf(balance.sample.weights[row]);
	ok(whole && class_weight(&balance, 1) == before[0] &&
	   class_weight(&balance, 0) == before[0] && held_out_stays(&balance),
	   "rows are repeated until there are as many");
	churn_balance_free(&balance);

	balance_table(&balance, CHURN_SAMPLING_OVERSAMPLE, 0.05, 1);
	ok(class_weight(&balance, 1) == before[1], "enough rows stay as they are");
	churn_balance_free(&balance);
}

/* Made rows lie within the values of the rows they may be made of. */
static bool
made_is_native(const ChurnBalance *balance)
{
	size_t		i;

	for (i = 0; i < balance->sample.nmade; i++)
	{
		const float *made = balance->sample.made + 4 * i;

		if (made[0] < 10 || made[0] > 20 || made[0] != floorf(made[0]) ||
			made[1] < 10 || made[1] > 20 || made[2] > 2 ||
			(made[3] != 0 && made[3] != 1) ||
			balance->sample.made_labels[i] != 1)
			return false;
	}
	return true;
}

static void
test_smote(void)
{
	ChurnBalance balance;
	ChurnBalance other;
	size_t		size;
	size_t		i;
	size_t		between = 0;

	make_table(1e6);
	balance_table(&balance, CHURN_SAMPLING_SMOTE, 1, 1);
	size = balance.sample.nmade * 4 * sizeof(float);
	ok(balance.sample.nmade > 100 &&
	   class_weight(&balance, 0) == class_weight(&balance, 1),
	   "%zu rows are made", balance.sample.nmade);
	ok(held_out_stays(&balance), "rows held out stay so");
	ok(made_is_native(&balance),
	   "made rows have values of training rows that churned, and their label");
	for (i = 0; i < balance.sample.nmade; i++)
	{
		float		charge = balance.sample.made[4 * i + 1] * 100;

		between += fabsf(charge - rintf(charge)) > 0.01F;
	}
	ok(between > balance.sample.nmade / 2, "numbers lie between two rows");

	make_table(-1e30F);
	balance_table(&other, CHURN_SAMPLING_SMOTE, 1, 1);
	ok(other.sample.nmade == balance.sample.nmade &&
	   memcmp(other.sample.made, balance.sample.made, size) == 0,
	   "whatever held-out rows are, the made ones are the same");
	churn_balance_free(&other);

	balance_table(&other, CHURN_SAMPLING_SMOTE, 1, 2);
	ok(memcmp(other.sample.made, balance.sample.made, size) != 0 &&
	   made_is_native(&other), "another seed makes others");
	churn_balance_free(&other);
	churn_balance_free(&balance);
}

static void
test_few(void)
{
	ChurnBalance balance;
	size_t		row;
	size_t		kept = 0;
	bool		same = true;

	/* one row of the rarer class has no neighbour: it is repeated */
	make_table(1e6);
	for (row = 0; row < REAL; row++)
	{
		if (is_used(FIRST + row) && table.labels[FIRST + row] && kept++ > 0)
			weights[row] = 0;
	}
	balance_table(&balance, CHURN_SAMPLING_SMOTE, 1, 1);
	for (row = 1; row < balance.sample.nmade; row++)
		same &= memcmp(balance.sample.made, balance.sample.made + 4 * row,
					   4 * sizeof(float)) == 0;
	ok(same && balance.sample.nmade > 100, "a single row is repeated");
	churn_balance_free(&balance);

	/* none at all */
	for (row = 0; row < REAL; row++)
		weights[row] = table.labels[FIRST + row] == 0;
	balance_table(&balance, CHURN_SAMPLING_SMOTE, 1, 1);
	ok(balance.sample.nmade == 0 && class_weight(&balance, 1) == 0,
	   "without the class nothing is made");
	churn_balance_free(&balance);
}

/* More rows than neighbours are searched among. */
static void
test_many(void)
{
	enum
	{
		MANY = 30000
	};
	ChurnSample sample = {.table = &table,.nreal = MANY};
	ChurnBalance balance;
	float	   *values;
	size_t		row;
	bool		inside = true;

	stub_free(&table);
	stub_table(&table, MANY, 1);
	values = stub_column(&table, "x", CHURN_FEATURE_NUMBER, 0);
	for (row = 0; row < MANY; row++)
	{
		table.labels[row] = row % 3 == 0;
		values[row] = (float) row;
	}
	churn_balance_make(&balance, &sample, CHURN_SAMPLING_SMOTE, 1, 1);
	for (row = 0; row < balance.sample.nmade; row++)
		inside &= balance.made[row] >= 0 && balance.made[row] < MANY;
	ok(inside && balance.sample.nmade == MANY / 3, "10,000 rows of a class");
	churn_balance_free(&balance);
}

int
main(void)
{
	stub_table(&table, 1, 1);
	test_weights();
	test_smote();
	test_few();
	test_many();
	stub_free(&table);
	return done();
}
