/*
 * validate_rows.c
 *		churn_validate(): the rows of a source, read once and counted.
 *
 * Values are read as for scoring.  What is kept is counts and a few examples.
 */
#include "postgres.h"

#include "common/shortest_dec.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "churn/dictionary.h"
#include "churn/number.h"

#include "attempt.h"
#include "compat.h"
#include "features.h"
#include "transform.h"
#include "validate.h"

/* What receives the rows. */
typedef struct ValidationReceiver
{
	DestReceiver pub;			/* must be first */
	ChurnValidation *validation;
	MemoryContext row_context;	/* reset at each row */
	int		   *positions;		/* of each feature in the row; -1: not read */
	int			key_position;	/* -1 if there is none, as is each below */
	int			label_position;
	int			days_position;
	DateADT		today;			/* from which ages count if it is -1 */
	FmgrInfo	key_output;
	ChurnTransforms *transforms;	/* NULL if there are none */
	uint32	   *derived;		/* the feature of each */
	Datum	   *values;			/* of the row at hand */
	bool	   *nulls;
} ValidationReceiver;

/*
 * Counts a number, and remembers it if it is out of the range.
 */
static void
count_number(ChurnValidation *validation, ChurnCheckedFeature *checked,
			 float number)
{
	char text[	32];

	if (isnan(number))
	{
		checked->missing_now++;
		return;
	}
	if (!(number >= checked->least))
		checked->least = number;
	if (!(number <= checked->greatest))
		checked->greatest = number;
	if (!checked->has_range ||
		(number >= checked->low && number <= checked->high))
		return;
	if (number < checked->low)
		checked->below++;
	else
		checked->above++;
	if (checked->numbers == NULL)
		checked->numbers = churn_tally_make(validation->context);
	churn_tally_add(checked->numbers, text,
					float_to_shortest_decimal_buf(number, text));
}

/*
 * Counts a text that cannot be read.
 */
static void
count_strange(ChurnValidation *validation, ChurnCheckedFeature *checked,
			  const char *text, size_t length)
{
	checked->strange++;
	if (checked->texts == NULL)
		checked->texts = churn_tally_make(validation->context);
	churn_tally_add(checked->texts, text, length);
}

/*
 * Counts a value of a feature.
 */
static void
count_value(ChurnValidation *validation, ChurnCheckedFeature *checked,
			Datum value, bool isnull, DateADT as_of, bool has_as_of)
{
	const ChurnReader *reader = &checked->reader;
	const char *text;
	size_t		length;
	float		number;

	if (isnull || (reader->kind == CHURN_COLUMN_AGE && !has_as_of))
	{
		checked->missing_now++;
		return;
	}
	if (reader->kind != CHURN_COLUMN_TEXT)
	{
		count_number(validation, checked,
					 churn_reader_float(reader, value, as_of));
		return;
	}
	text = churn_reader_text(reader, value, &length);

	if (checked->feature->kind == CHURN_FEATURE_CATEGORY)
	{
		if (churn_dictionary_look_up(checked->feature->dictionary, text,
									 length) < 0)
			count_strange(validation, checked, text, length);
	}
	else if (churn_number_parse(text, length, &number))
		count_number(validation, checked, number);
	else
		count_strange(validation, checked, text, length);
}

/*
 * The day from which the ages of a row count; false if it has none.
 */
static bool
row_day(ValidationReceiver *receiver, DateADT *day)
{
	ChurnCheckedDays *days = &receiver->validation->days;
	int			position = receiver->days_position;

	if (position < 0)
	{
		*day = receiver->today;
		return true;
	}
	if (receiver->nulls[position] ||
		!churn_reader_day(&days->reader, receiver->values[position], day))
		return false;
	if (days->ndays == 0 || *day > days->newest)
	{
		days->second = days->newest;
		days->newest = *day;
		days->ndays = Min(days->ndays + 1, 2);
	}
	else if (*day != days->newest && (days->ndays < 2 || *day > days->second))
	{
		days->second = *day;
		days->ndays = 2;
	}
	return true;
}

/*
 * The key of the row at hand as text, with its day in a panel.
 */
static char *
row_key(ValidationReceiver *receiver, DateADT day, bool has_day)
{
	char	   *key;

	if (receiver->nulls[receiver->key_position])
		return NULL;
	key = OutputFunctionCall(&receiver->key_output,
							 receiver->values[receiver->key_position]);
	if (receiver->days_position < 0 || !has_day)
		return key;
	return psprintf("%s, %s", key, churn_day_text(day));
}

/*
 * Counts the key.
 */
static void
count_key(ValidationReceiver *receiver, DateADT day, bool has_day)
{
	if (receiver->nulls[receiver->key_position])
		receiver->validation->key.missing++;
	else if (receiver->validation->key.sort != NULL)
		churn_validate_key(&receiver->validation->key,
						   row_key(receiver, day, has_day));
}

/*
 * Counts the label.
 */
static void
count_label(ValidationReceiver *receiver)
{
	ChurnValidation *validation = receiver->validation;
	ChurnCheckedLabel *checked = &validation->label;
	Datum		value = receiver->values[receiver->label_position];
	char	   *text;

	switch (churn_label_value(&checked->label, value,
							  receiver->nulls[receiver->label_position]))
	{
		case CHURN_LABEL_MISSING:
			checked->missing++;
			return;
		case CHURN_LABEL_CHURNED:
			checked->churned++;
			return;
		case CHURN_LABEL_STAYS:
			checked->stayed++;
			/* all of them are noted, or none */
			if (checked->label.nvalues == 0 ||
				checked->label.nvalues > CHURN_LABEL_VALUES ||
				churn_label_noted(&checked->label, value))
				return;
			checked->unseen++;
			break;
		case CHURN_LABEL_UNKNOWN:
			checked->unknown++;
			break;
	}
	if (checked->values == NULL)
		checked->values = churn_tally_make(validation->context);
	text = churn_label_text(&checked->label, value);

	churn_tally_add(checked->values, text, strlen(text));
}

/*
 * Computes the transforms of the row at hand, for churn_attempt().
 */
static void
run_transforms(void *arg)
{
	ValidationReceiver *receiver = arg;

	churn_transforms_run(receiver->transforms, receiver->values,
						 receiver->nulls);
}

/*
 * Notes that a transform failed.  An error that is not about the values is
 * thrown again.
 */
static void
note_failure(ValidationReceiver *receiver, ErrorData *error, const char *key)
{
	ChurnValidation *validation = receiver->validation;
	int			current = receiver->transforms->current;
	ChurnCheckedFeature *checked =
	&validation->features[receiver->derived[current]];
	MemoryContext old;

	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_DATA_EXCEPTION &&
		ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_PROGRAM_LIMIT_EXCEEDED)
		ReThrowError(error);
	old = MemoryContextSwitchTo(validation->context);
	validation->failed++;
	if (checked->failed++ == 0)
		checked->failure = pstrdup(error->message);
	if (key != NULL &&
		list_length(checked->failed_keys) < CHURN_FINDING_EXAMPLES)
		checked->failed_keys = lappend(checked->failed_keys, pstrdup(key));
	MemoryContextSwitchTo(old);
}

/*
 * Computes the transforms and counts their values.
 */
static void
count_transforms(ValidationReceiver *receiver, DateADT day, bool has_day)
{
	ChurnTransforms *transforms = receiver->transforms;
	ErrorData  *error = churn_attempt(run_transforms, receiver);
	int			i;

	if (error != NULL)
	{
		note_failure(receiver, error, receiver->key_position < 0 ? NULL :
					 row_key(receiver, day, has_day));
		return;
	}
	for (i = 0; i < transforms->n; i++)
		count_value(receiver->validation,
					&receiver->validation->features[receiver->derived[i]],
					transforms->values[i], transforms->nulls[i], day,
					has_day);
}

/*
 * Takes a row from the executor.
 */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	ValidationReceiver *receiver = (ValidationReceiver *) self;
	ChurnValidation *validation = receiver->validation;
	MemoryContext old = MemoryContextSwitchTo(receiver->row_context);
	uint32		nfeatures = validation->version->model->nfeatures;
	DateADT		day;
	bool		has_day;
	uint32		i;

	slot_getallattrs(slot);
	receiver->values = slot->tts_values;
	receiver->nulls = slot->tts_isnull;
	validation->rows++;
	has_day = row_day(receiver, &day);
	for (i = 0; i < nfeatures; i++)
	{
		int			position = receiver->positions[i];

		if (position >= 0)
			count_value(validation, &validation->features[i],
						slot->tts_values[position],
						slot->tts_isnull[position], day, has_day);
	}
	if (receiver->key_position >= 0)
		count_key(receiver, day, has_day);
	if (receiver->label_position >= 0)
		count_label(receiver);
	if (receiver->transforms != NULL)
		count_transforms(receiver, day, has_day);
	MemoryContextSwitchTo(old);
	MemoryContextReset(receiver->row_context);
	return true;
}

/*
 * Prepares to compute the transforms that the source has the columns for.
 */
static void
prepare_transforms(ValidationReceiver *receiver, TupleDesc desc)
{
	ChurnValidation *validation = receiver->validation;
	const ChurnModel *model = validation->version->model;
	ChurnTransform *transforms;
	int			n = 0;
	uint32		i;

	transforms = palloc(sizeof(ChurnTransform) * Max(model->nfeatures, 1));
	receiver->derived = palloc(sizeof(uint32) * Max(model->nfeatures, 1));
	for (i = 0; i < model->nfeatures; i++)
	{
		const ChurnFeature *feature = &model->features[i];

		if (feature->transform == NULL || !validation->features[i].usable)
			continue;
		transforms[n].name = feature->name;
		transforms[n].text = feature->transform;
		transforms[n].model = validation->version->name;
		receiver->derived[n++] = i;
	}
	if (n > 0)
		receiver->transforms = churn_transforms_compile(transforms, n, desc,
														validation->context);
}

/*
 * Called before the first row: finds the columns.
 */
static void
start_rows(DestReceiver *self, int operation, TupleDesc desc)
{
	ValidationReceiver *receiver = (ValidationReceiver *) self;
	ChurnValidation *validation = receiver->validation;
	const ChurnModel *model = validation->version->model;
	MemoryContext old = MemoryContextSwitchTo(validation->context);
	Oid			output;
	bool		varlena;
	uint32		i;

	receiver->positions = palloc(sizeof(int) * Max(model->nfeatures, 1));
	for (i = 0; i < model->nfeatures; i++)
		receiver->positions[i] = validation->features[i].usable &&
			model->features[i].transform == NULL ?
			churn_find_column(desc, model->features[i].name) : -1;
	receiver->key_position = validation->key.usable ?
		churn_find_column(desc, validation->expected.key) : -1;
	receiver->label_position = validation->label.usable ?
		churn_find_column(desc, validation->expected.label) : -1;
	receiver->days_position = validation->days.usable ?
		churn_find_column(desc, model->as_of_column) : -1;
	if (receiver->key_position >= 0)
	{
		getTypeOutputInfo(TupleDescAttr(desc,
										receiver->key_position)->atttypid,
						  &output, &varlena);
		fmgr_info_cxt(output, &receiver->key_output, validation->context);
	}
	prepare_transforms(receiver, desc);
	MemoryContextSwitchTo(old);
}

/*
 * Prepares to receive rows.
 */
static ValidationReceiver *
make_receiver(ChurnValidation *validation)
{
	ValidationReceiver *receiver = palloc0(sizeof(ValidationReceiver));

	churn_receiver_init(&receiver->pub, start_rows, receive_row);
	receiver->validation = validation;
	receiver->today = churn_statement_day();
	receiver->row_context = AllocSetContextCreate(validation->context,
												  "churn validate row",
												  ALLOCSET_DEFAULT_SIZES);
	return receiver;
}

/*
 * Whether a feature of the model is computed.
 */
static bool
has_transforms(const ChurnModel *model)
{
	uint32		i;

	for (i = 0; i < model->nfeatures; i++)
	{
		if (model->features[i].transform != NULL)
			return true;
	}
	return false;
}

/*
 * The columns of the source that are read.
 */
static Bitmapset *
needed_columns(const ChurnValidation *validation)
{
	const ChurnModel *model = validation->version->model;
	TupleDesc	desc = validation->source->desc;
	Bitmapset  *needed = NULL;
	uint32		i;
	int			j;

	for (i = 0; i < model->nfeatures; i++)
	{
		const ChurnFeature *feature = &model->features[i];

		if (!validation->features[i].usable)
			continue;
		if (feature->transform != NULL)
		{
			ChurnTransform transform = {feature->name, feature->transform,
			validation->version->name};
			ChurnExpression *expression = churn_transform_parse(&transform,
																desc);

			for (j = 0; j < expression->ncolumns; j++)
				needed = bms_add_member(needed, expression->columns[j]);
		}
		else
			needed = bms_add_member(needed,
									churn_find_column(desc, feature->name));
	}
	if (validation->key.usable)
		needed = bms_add_member(needed,
								churn_find_column(desc,
												  validation->expected.key));
	if (validation->label.usable)
		needed = bms_add_member(needed,
								churn_find_column(desc,
												  validation->expected.label));
	if (validation->days.usable)
		needed = bms_add_member(needed,
								churn_find_column(desc, model->as_of_column));
	return needed;
}

/*
 * Reads the rows and counts.  A transform that fails is caught in a
 * subtransaction, which a parallel plan does not allow.
 */
void
churn_validate_rows(ChurnValidation *validation)
{
	MemoryContext old = MemoryContextSwitchTo(validation->context);
	ValidationReceiver *receiver = make_receiver(validation);
	int			nestlevel = NewGUCNestLevel();
	ChurnSourcePlan *plan;

	if (has_transforms(validation->version->model))
		(void) set_config_option("max_parallel_workers_per_gather", "0",
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
								 true, 0, false);
	churn_validate_keys_begin(&validation->key);
	plan = churn_source_plan(validation->source, needed_columns(validation),
							 validation->context);
	churn_source_read(plan, &receiver->pub);
	AtEOXact_GUC(false, nestlevel);
	MemoryContextSwitchTo(validation->context);
	churn_validate_keys_end(&validation->key);
	MemoryContextSwitchTo(old);
}
