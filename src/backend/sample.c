/*
 * sample.c
 *		churn_sample_customers(): generated customers that look like real ones.
 *
 * The columns are Telco's.  A row is drawn column by column, each from its
 * distribution given the columns drawn before it (sample_tables.h), so that
 * not only the columns but also what they say of each other, and of who
 * leaves, is like in the real data.
 *
 * A row depends on the seed and its number only: the same call returns the
 * same rows, and a larger n the same rows and more.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "compat.h"
#include "sample_tables.h"

/*
 * Identifiers are four digits, a hyphen, five letters.  Multiplying by a
 * number that has no factor in common with theirs (2, 5, 13) visits each of
 * them once, and fits 64 bits.
 */
#define ID_DIGITS			4
#define ID_LETTERS			5
#define ID_LENGTH			(ID_DIGITS + 1 + ID_LETTERS)
#define ID_COUNT_DIGITS		UINT64CONST(10000)
#define ID_COUNT_LETTERS	UINT64CONST(11881376)
#define ID_COUNT			(ID_COUNT_DIGITS * ID_COUNT_LETTERS)
#define ID_STEP				UINT64CONST(73939133)

typedef enum SampleColumn
{
	COLUMN_CUSTOMER_ID,
	COLUMN_GENDER,
	COLUMN_SENIOR_CITIZEN,
	COLUMN_PARTNER,
	COLUMN_DEPENDENTS,
	COLUMN_TENURE,
	COLUMN_PHONE_SERVICE,
	COLUMN_MULTIPLE_LINES,
	COLUMN_INTERNET_SERVICE,
	COLUMN_ONLINE_SECURITY,		/* the first of six services */
	COLUMN_CONTRACT = COLUMN_ONLINE_SECURITY + 6,
	COLUMN_PAPERLESS_BILLING,
	COLUMN_PAYMENT_METHOD,
	COLUMN_MONTHLY_CHARGES,
	COLUMN_TOTAL_CHARGES,
	COLUMN_CHURN,
	SAMPLE_COLUMNS
} SampleColumn;

typedef enum SampleContract
{
	CONTRACT_MONTHLY,
	CONTRACT_ONE_YEAR,
	CONTRACT_TWO_YEAR
} SampleContract;

typedef enum SampleInternet
{
	INTERNET_DSL,
	INTERNET_FIBER,
	INTERNET_NONE
} SampleInternet;

/* The texts of the columns, made once a call. */
typedef struct SampleTexts
{
	Datum		yesno[2];
	Datum		gender[2];
	Datum		no_phone;
	Datum		no_internet;
	Datum		internet[3];
	Datum		contract[3];
	Datum		payment[4];
} SampleTexts;

typedef struct SampleState
{
	TupleDesc	tupdesc;
	uint64		seed;			/* well mixed */
	SampleTexts texts;
} SampleState;

/* A customer: the terms of the models, and what they do not tell. */
typedef struct SampleCustomer
{
	uint64		random;			/* state of the generator */
	SampleContract contract;
	SampleInternet internet;
	int			months;
	bool		male;
	int			payment;
	double		monthly;
	double		total;
	bool		churned;
	float		terms[SAMPLE_TERMS];
} SampleCustomer;

PG_FUNCTION_INFO_V1(churn_sample_customers);

/*
 * Mixes 64 bits well: the finalizer of splitmix64 (Steele, Lea and Flood,
 * "Fast splittable pseudorandom number generators", 2014).
 */
static uint64
mix_bits(uint64 bits)
{
	bits = (bits ^ (bits >> 30)) * UINT64CONST(0xbf58476d1ce4e5b9);
	bits = (bits ^ (bits >> 27)) * UINT64CONST(0x94d049bb133111eb);
	return bits ^ (bits >> 31);
}

/*
 * Returns the next 64 random bits of the customer (splitmix64).
 */
static uint64
draw_bits(SampleCustomer *customer)
{
	customer->random += UINT64CONST(0x9e3779b97f4a7c15);
	return mix_bits(customer->random);
}

/*
 * Returns a random number in [0, 1).
 */
static double
draw_unit(SampleCustomer *customer)
{
	return (double) (draw_bits(customer) >> 11) / 9007199254740992.0;
}

/*
 * Returns a random number of mean 0 and variance 1, nearly normal: the sum of
 * four uniform ones, which no mathematical library can change.
 */
static double
draw_normal(SampleCustomer *customer)
{
	uint64		bits = draw_bits(customer);
	double		sum = 0;

	for (int i = 0; i < 4; i++, bits >>= 16)
		sum += (double) (bits & 0xffff) + 0.5;
	return (sum / 65536.0 - 2.0) * 1.7320508075688772;
}

/*
 * Returns the log-odds of a model for what is known of the customer.  Terms
 * that are not known yet are 0, and so are their coefficients.
 */
static double
model_margin(const SampleCustomer *customer, SampleModel model)
{
	const float *coefficients = sample_models[model];
	const float *terms = customer->terms;
	float		sums[4] = {0, 0, 0, 0};

	StaticAssertStmt(SAMPLE_TERMS % 4 == 0, "terms are summed by fours");
	for (int i = 0; i < SAMPLE_TERMS; i += 4)
	{
		for (int j = 0; j < 4; j++)
			sums[j] += coefficients[i + j] * terms[i + j];
	}
	return (double) (sums[0] + sums[1]) + (double) (sums[2] + sums[3]);
}

/*
 * Draws yes or no from a model and sets a term to it.
 */
static bool
draw_term(SampleCustomer *customer, SampleModel model, SampleTerm term)
{
	double		odds = exp(-model_margin(customer, model));
	bool		yes = draw_unit(customer) * (1.0 + odds) < 1.0;

	customer->terms[term] = yes ? 1.0f : 0.0f;
	return yes;
}

/*
 * Draws contract, internet service and months of tenure, on which all else
 * depends, and sets their terms.
 */
static void
draw_contract(SampleCustomer *customer)
{
	float	   *terms = customer->terms;
	double		share = draw_unit(customer);
	double		position;
	int			cell = 0;
	int			step;
	const unsigned char *quantiles;

	while (cell < 8 && share >= sample_cells[cell])
		share -= sample_cells[cell++];
	customer->contract = (SampleContract) (cell / 3);
	customer->internet = (SampleInternet) (cell % 3);

	quantiles = sample_tenure[cell];
	position = draw_unit(customer) * SAMPLE_QUANTILES;
	step = (int) position;
	customer->months = (int) rint(quantiles[step] + (position - step) *
								  (quantiles[step + 1] - quantiles[step]));
	if (draw_unit(customer) < sample_new[customer->contract])
		customer->months = 0;

	terms[TERM_ONE] = 1;
	terms[TERM_ONE_YEAR] = customer->contract == CONTRACT_ONE_YEAR;
	terms[TERM_TWO_YEAR] = customer->contract == CONTRACT_TWO_YEAR;
	terms[TERM_FIBER] = customer->internet == INTERNET_FIBER;
	terms[TERM_NO_INTERNET] = customer->internet == INTERNET_NONE;
	terms[TERM_TENURE] = (float) (customer->months / 72.0);
	terms[TERM_LOG_TENURE] = (float) (log(1.0 + customer->months) / log(73.0));
	terms[TERM_FIRST_MONTH] = customer->months <= 1;
	for (int years = 2; years <= 5; years++)
		terms[TERM_AFTER_2_YEARS + years - 2] = customer->months > 12 * years;
	terms[TERM_ONE_YEAR_TENURE] = terms[TERM_ONE_YEAR] * terms[TERM_TENURE];
	terms[TERM_TWO_YEAR_TENURE] = terms[TERM_TWO_YEAR] * terms[TERM_TENURE];
	terms[TERM_FIBER_TENURE] = terms[TERM_FIBER] * terms[TERM_TENURE];
	terms[TERM_FIBER_ONE_YEAR] = terms[TERM_FIBER] * terms[TERM_ONE_YEAR];
	terms[TERM_FIBER_TWO_YEAR] = terms[TERM_FIBER] * terms[TERM_TWO_YEAR];
}

/*
 * Draws the payment method: a multinomial logistic model, electronic check
 * having log-odds 0.
 */
static void
draw_payment(SampleCustomer *customer)
{
	double		weights[4] = {1.0};
	double		total = 1.0;
	double		share;
	int			choice = 0;

	for (int i = 1; i < 4; i++)
	{
		SampleModel model = (SampleModel) (MODEL_MAILED_CHECK + i - 1);

		weights[i] = exp(model_margin(customer, model));
		total += weights[i];
	}
	share = draw_unit(customer) * total;
	while (choice < 3 && share >= weights[choice])
		share -= weights[choice++];
	customer->payment = choice;
	if (choice > 0)
		customer->terms[TERM_MAILED_CHECK + choice - 1] = 1;
}

/*
 * Sets the charges: the price list plus a discount or surcharge, and what the
 * months of tenure came to, prices having changed a little on the way.
 */
static void
set_charges(SampleCustomer *customer)
{
	const float *terms = customer->terms;
	double		price = 0;
	double		months = customer->months;

	if (customer->internet == INTERNET_DSL)
		price += sample_price_dsl;
	else if (customer->internet == INTERNET_FIBER)
		price += sample_price_fiber;
	price += sample_price_phone * terms[TERM_PHONE];
	price += sample_price_multiple_lines * terms[TERM_MULTIPLE_LINES];
	for (int i = 0; i < 6; i++)
		price += sample_price_addons[i] * terms[TERM_ONLINE_SECURITY + i];
	price += draw_normal(customer) * sample_price_spread[customer->internet];
	customer->monthly = rint(price * 20.0) / 20.0;

	if (months > 1)
		months += draw_normal(customer) * sample_total_spread * sqrt(months);
	customer->total = rint(customer->monthly * months * 20.0) / 20.0;
}

/*
 * Draws the customer of a row, numbered from 0.
 */
static void
draw_customer(SampleCustomer *customer, uint64 seed, uint64 row)
{
	memset(customer, 0, sizeof(*customer));
	customer->random = mix_bits(seed ^ mix_bits(row + 1));

	draw_contract(customer);
	customer->male = draw_unit(customer) < sample_male;
	draw_term(customer, MODEL_SENIOR, TERM_SENIOR);
	draw_term(customer, MODEL_PARTNER, TERM_PARTNER);
	draw_term(customer, MODEL_DEPENDENTS, TERM_DEPENDENTS);

	/* only DSL is sold without a phone */
	if (customer->internet == INTERNET_DSL)
		draw_term(customer, MODEL_PHONE, TERM_PHONE);
	else
		customer->terms[TERM_PHONE] = 1;
	if (customer->terms[TERM_PHONE] > 0)
		draw_term(customer, MODEL_MULTIPLE_LINES, TERM_MULTIPLE_LINES);

	if (customer->internet != INTERNET_NONE)
	{
		for (int i = 0; i < 6; i++)
			draw_term(customer, (SampleModel) (MODEL_ONLINE_SECURITY + i),
					  (SampleTerm) (TERM_ONLINE_SECURITY + i));
	}
	draw_term(customer, MODEL_PAPERLESS, TERM_PAPERLESS);
	draw_payment(customer);
	set_charges(customer);

	/* nobody leaves in the month they come */
	if (customer->months > 0)
	{
		double		odds = exp(-model_margin(customer, MODEL_CHURN));

		customer->churned = draw_unit(customer) * (1.0 + odds) < 1.0;
	}
}

/*
 * Writes the identifier of a row as text such as 7590-VHVEG.  The steps from
 * row to number are each one to one: what looks random is all different.
 */
static void
write_id(char *id, uint64 seed, uint64 row)
{
	uint64		number = (seed % ID_COUNT + row * ID_STEP) % ID_COUNT;

	/* let the letters and the digits change places, and step once more */
	number = number % ID_COUNT_LETTERS * ID_COUNT_DIGITS +
		number / ID_COUNT_LETTERS;
	number = number * ID_STEP % ID_COUNT;

	for (int i = ID_LENGTH - 1; i > ID_DIGITS; i--, number /= 26)
		id[i] = (char) ('A' + number % 26);
	id[ID_DIGITS] = '-';
	for (int i = ID_DIGITS - 1; i >= 0; i--, number /= 10)
		id[i] = (char) ('0' + number % 10);
}

/*
 * Makes the texts of the columns in the current memory context.
 */
static void
make_texts(SampleTexts *texts)
{
	texts->yesno[0] = CStringGetTextDatum("No");
	texts->yesno[1] = CStringGetTextDatum("Yes");
	texts->gender[0] = CStringGetTextDatum("Female");
	texts->gender[1] = CStringGetTextDatum("Male");
	texts->no_phone = CStringGetTextDatum("No phone service");
	texts->no_internet = CStringGetTextDatum("No internet service");
	texts->internet[INTERNET_DSL] = CStringGetTextDatum("DSL");
	texts->internet[INTERNET_FIBER] = CStringGetTextDatum("Fiber optic");
	texts->internet[INTERNET_NONE] = texts->yesno[0];
	texts->contract[CONTRACT_MONTHLY] = CStringGetTextDatum("Month-to-month");
	texts->contract[CONTRACT_ONE_YEAR] = CStringGetTextDatum("One year");
	texts->contract[CONTRACT_TWO_YEAR] = CStringGetTextDatum("Two year");
	texts->payment[0] = CStringGetTextDatum("Electronic check");
	texts->payment[1] = CStringGetTextDatum("Mailed check");
	texts->payment[2] = CStringGetTextDatum("Bank transfer (automatic)");
	texts->payment[3] = CStringGetTextDatum("Credit card (automatic)");
}

/*
 * Forms the row of a number.  New customers have been charged nothing yet,
 * which Telco shows as a blank and we as a null.
 */
static HeapTuple
form_customer(const SampleState *state, uint64 row)
{
	const SampleTexts *texts = &state->texts;
	SampleCustomer customer;
	Datum		values[SAMPLE_COLUMNS];
	bool		nulls[SAMPLE_COLUMNS] = {false};
	union
	{
		struct varlena header;
		char		bytes[VARHDRSZ + ID_LENGTH];
	}			id;

	draw_customer(&customer, state->seed, row);
#define YESNO(term)	texts->yesno[customer.terms[term] > 0]

	SET_VARSIZE(&id, VARHDRSZ + ID_LENGTH);
	write_id(id.bytes + VARHDRSZ, state->seed, row);
	values[COLUMN_CUSTOMER_ID] = PointerGetDatum(&id);
	values[COLUMN_GENDER] = texts->gender[customer.male];
	values[COLUMN_SENIOR_CITIZEN] =
		Int32GetDatum(customer.terms[TERM_SENIOR] > 0);
	values[COLUMN_PARTNER] = YESNO(TERM_PARTNER);
	values[COLUMN_DEPENDENTS] = YESNO(TERM_DEPENDENTS);
	values[COLUMN_TENURE] = Int32GetDatum(customer.months);
	values[COLUMN_PHONE_SERVICE] = YESNO(TERM_PHONE);
	values[COLUMN_MULTIPLE_LINES] = customer.terms[TERM_PHONE] > 0 ?
		YESNO(TERM_MULTIPLE_LINES) : texts->no_phone;
	values[COLUMN_INTERNET_SERVICE] = texts->internet[customer.internet];
	for (int i = 0; i < 6; i++)
		values[COLUMN_ONLINE_SECURITY + i] =
			customer.internet == INTERNET_NONE ? texts->no_internet :
			YESNO(TERM_ONLINE_SECURITY + i);
	values[COLUMN_CONTRACT] = texts->contract[customer.contract];
	values[COLUMN_PAPERLESS_BILLING] = YESNO(TERM_PAPERLESS);
	values[COLUMN_PAYMENT_METHOD] = texts->payment[customer.payment];
	values[COLUMN_MONTHLY_CHARGES] = Float8GetDatum(customer.monthly);
	values[COLUMN_TOTAL_CHARGES] = Float8GetDatum(customer.total);
	nulls[COLUMN_TOTAL_CHARGES] = customer.months == 0;
	values[COLUMN_CHURN] = texts->yesno[customer.churned];
#undef YESNO

	return heap_form_tuple(state->tupdesc, values, nulls);
}

/*
 * Checks the arguments and prepares what all rows share.
 */
static SampleState *
start_sample(FunctionCallInfo fcinfo)
{
	int64		n = PG_GETARG_INT64(0);
	SampleState *state = palloc(sizeof(SampleState));

	if (n < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of customers must not be negative"),
				 errdetail("The argument \"n\" is %lld.", (long long) n),
				 errhint("Name the number of rows to generate, as in "
						 "churn_sample_customers(10000).")));
	if ((uint64) n > ID_COUNT)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot generate more than %lld customers",
						(long long) ID_COUNT),
				 errdetail("The argument \"n\" is %lld, and there are no more "
						   "different customer identifiers.", (long long) n),
				 errhint("Generate several sets with different seeds.")));

	if (get_call_result_type(fcinfo, NULL, &state->tupdesc) !=
		TYPEFUNC_COMPOSITE ||
		state->tupdesc->natts != SAMPLE_COLUMNS)
		elog(ERROR, "churn_sample_customers does not return what its "
			 "declaration says");
	state->tupdesc = BlessTupleDesc(state->tupdesc);
	state->seed = mix_bits((uint64) PG_GETARG_INT64(1) +
						   UINT64CONST(0x9e3779b97f4a7c15));
	make_texts(&state->texts);
	return state;
}

/*
 * churn_sample_customers(n bigint, seed bigint)
 *
 * Returns n rows, one a call, so that their number does not matter to the
 * memory used here.
 */
Datum
churn_sample_customers(PG_FUNCTION_ARGS)
{
	FuncCallContext *funcctx;
	HeapTuple	tuple;

	CHECK_FOR_INTERRUPTS();

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext oldcontext;

		funcctx = SRF_FIRSTCALL_INIT();
		oldcontext = MemoryContextSwitchTo(funcctx->multi_call_memory_ctx);
		funcctx->user_fctx = start_sample(fcinfo);
		funcctx->max_calls = (uint64) PG_GETARG_INT64(0);
		MemoryContextSwitchTo(oldcontext);
	}

	funcctx = SRF_PERCALL_SETUP();
	if (funcctx->call_cntr >= funcctx->max_calls)
		SRF_RETURN_DONE(funcctx);
	tuple = form_customer((SampleState *) funcctx->user_fctx,
						  funcctx->call_cntr);
	SRF_RETURN_NEXT(funcctx, HeapTupleGetDatum(tuple));
}
