/*
 * outcomes_read.c
 *		The outcomes in a source: whose they are, when they were observed, and
 *		what they are.
 *
 * As in evaluate_rows.c, a source that the caller names is read with the
 * caller's rights, and the model's own as its owner.  Rows go into a tuple store,
 * which spills beyond work_mem, since they are written in another role.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "churn/hash.h"
#include "churn/protocol.h"

#include "columns.h"
#include "compat.h"
#include "key.h"
#include "outcomes.h"
#include "role.h"
#include "source.h"

/* What receives the rows. */
typedef struct OutcomeReceiver
{
	DestReceiver pub;			/* must be first */
	ChurnRecording *recording;
	MemoryContext row_context;	/* reset at each row */
	int			label_position;
	int			key_position;
	FmgrInfo	key_output;
	bool		own;			/* the source is the model's own */
	ChurnKey	split_key;		/* the key as the trainer splits by it */
	int			time_position;	/* -1: all rows have the same time */
	Oid			time_type;		/* base type of that column */
	TimestampTz time;			/* that of all rows */
	bool		time_is_null;	/* it is now */
} OutcomeReceiver;

/*
 * The key as text, as churn.predictions has it.
 */
static char *
read_key(OutcomeReceiver *receiver, const TupleTableSlot *slot)
{
	const ChurnRecording *recording = receiver->recording;
	char	   *key;

	if (slot->tts_isnull[receiver->key_position])
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("key \"%s\" of model \"%s\" is null in a row of the source",
						recording->key, recording->row->name)));
	key = OutputFunctionCall(&receiver->key_output,
							 slot->tts_values[receiver->key_position]);
	if (strlen(key) > CHURN_TEXT_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("key of %zu bytes in column \"%s\" exceeds the limit of %d bytes",
						strlen(key), recording->key, CHURN_TEXT_MAX)));
	return key;
}

/*
 * A day's midnight, or a time, in UTC.
 */
static TimestampTz
time_of(const OutcomeReceiver *receiver, Datum value)
{
	DateADT		day;

	if (receiver->time_type != DATEOID)
		return DatumGetTimestampTz(value);
	day = DatumGetDateADT(value);
	if (DATE_NOT_FINITE(day) || !IS_VALID_DATE(day) ||
		day >= TIMESTAMP_END_JULIAN - POSTGRES_EPOCH_JDATE)
		return DT_NOEND;
	return (TimestampTz) day * USECS_PER_DAY;
}

/*
 * When a row was observed.
 */
static TimestampTz
read_time(const OutcomeReceiver *receiver, const TupleTableSlot *slot,
		  const char *key, bool *isnull)
{
	TimestampTz time;

	*isnull = receiver->time_is_null;
	if (receiver->time_position < 0)
		return receiver->time;
	*isnull = slot->tts_isnull[receiver->time_position];
	if (*isnull)
		return 0;
	time = time_of(receiver, slot->tts_values[receiver->time_position]);
	if (TIMESTAMP_NOT_FINITE(time))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
				 errmsg("time of the outcome of customer \"%s\" in column \"%s\" is out of range",
						key, receiver->recording->at),
				 errhint("Where it is not known, it should be null.")));
	return time;
}

/*
 * Where the trainer's split puts a customer, 0 to 1, the test part first: see
 * churn/protocol.h.
 */
static double
place_of(OutcomeReceiver *receiver, const TupleTableSlot *slot)
{
	char		buffer[CHURN_KEY_BUFFER];
	size_t		length;
	const char *text = churn_key_text(&receiver->split_key,
									  slot->tts_values[receiver->key_position],
									  buffer, &length);
	uint64		seed = (uint64) receiver->recording->row->split_seed;

	return churn_hash_unit(churn_hash64(text, length, seed));
}

/*
 * Takes a row from the executor.
 */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	OutcomeReceiver *receiver = (OutcomeReceiver *) self;
	ChurnRecording *recording = receiver->recording;
	MemoryContext old = MemoryContextSwitchTo(receiver->row_context);
	ChurnLabelValue label;
	Datum		values[4] = {0};
	bool		nulls[4] = {false, false, false, true};
	char	   *key;

	slot_getallattrs(slot);
	key = read_key(receiver, slot);
	values[0] = CStringGetTextDatum(key);
	values[1] = TimestampTzGetDatum(read_time(receiver, slot, key, &nulls[1]));
	label = churn_label_read(&recording->labels,
							 slot->tts_values[receiver->label_position],
							 slot->tts_isnull[receiver->label_position]);
	values[2] = BoolGetDatum(label == CHURN_LABEL_CHURNED);
	nulls[2] = label == CHURN_LABEL_MISSING;
	/* a label of unknown age in the model's own source may have been learned */
	if (receiver->own && nulls[1] && !nulls[2])
	{
		values[3] = Float8GetDatum(place_of(receiver, slot));
		nulls[3] = false;
	}
	/* one that is not known ends in an error */
	if (label != CHURN_LABEL_UNKNOWN)
		tuplestore_putvalues(recording->store, recording->desc, values, nulls);
	recording->rows++;
	MemoryContextSwitchTo(old);
	MemoryContextReset(receiver->row_context);
	return true;
}

/*
 * Called before the first row: finds the columns.
 */
static void
start_rows(DestReceiver *self, int operation, TupleDesc desc)
{
	OutcomeReceiver *receiver = (OutcomeReceiver *) self;
	ChurnRecording *recording = receiver->recording;
	MemoryContext old;
	Oid			output;
	bool		is_varlena;

	receiver->label_position = churn_find_column(desc, recording->label);
	receiver->key_position = churn_find_column(desc, recording->key);
	if (receiver->time_position >= 0)
		receiver->time_position = churn_find_column(desc, recording->at);
	getTypeOutputInfo(TupleDescAttr(desc, receiver->key_position)->atttypid,
					  &output, &is_varlena);
	fmgr_info_cxt(output, &receiver->key_output, recording->context);
	old = MemoryContextSwitchTo(recording->context);
	churn_key_init(&receiver->split_key,
				   TupleDescAttr(desc, receiver->key_position));
	MemoryContextSwitchTo(old);
}

/*
 * Finds out when outcomes were observed; returns the index of the column that
 * says so, or -1.
 */
static int
prepare_time(OutcomeReceiver *receiver, const ChurnSource *source)
{
	const char *at = receiver->recording->at;
	DateADT		day;
	int			column;

	receiver->time_position = -1;
	receiver->time_is_null = at == NULL;
	if (at == NULL)
		return -1;
	column = churn_find_column(source->desc, at);
	if (column < 0)
	{
		if (!churn_parse_day(at, &day))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("time of the outcomes is neither a date nor the name of a column: \"%s\"",
							at),
					 errhint("A date is written YYYY-MM-DD.")));
		receiver->time = (TimestampTz) day * USECS_PER_DAY;
		return -1;
	}
	receiver->time_position = column;
	receiver->time_type = getBaseType(TupleDescAttr(source->desc,
													column)->atttypid);
	if (receiver->time_type != DATEOID &&
		receiver->time_type != TIMESTAMPOID &&
		receiver->time_type != TIMESTAMPTZOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\", the time of the outcomes, is of type %s",
						at, format_type_be(receiver->time_type)),
				 errhint("It must be a date or a timestamp.")));
	return column;
}

/*
 * Complains of values of the label that cannot be read.  That the positive one
 * does not occur may be true, but is worth to be told.
 */
static void
finish_labels(const ChurnLabel *labels)
{
	if (labels->positive == NULL || labels->churned > 0 ||
		labels->stayed == 0)
		churn_label_finish(labels);
	else
		ereport(NOTICE,
				(errmsg("nobody of %lld customers has churned: positive value \"%s\" does not occur in label \"%s\"",
						(long long) labels->stayed, labels->positive,
						labels->column)));
}

/*
 * Reads the rows of a source in the role that may.
 */
static void
read_rows(ChurnRecording *recording, const char *text)
{
	ChurnSource *source = churn_source_open(text, recording->context);
	OutcomeReceiver *receiver;
	ChurnSourcePlan *plan;
	Bitmapset  *needed;
	int			label;
	int			time;

	MemoryContextSwitchTo(recording->context);
	receiver = palloc0(sizeof(OutcomeReceiver));
	churn_receiver_init(&receiver->pub, start_rows, receive_row);
	receiver->recording = recording;
	receiver->own = recording->source == NULL ||
		churn_source_is_own(source, recording->row);
	receiver->row_context = AllocSetContextCreate(recording->context,
												  "churn record outcomes row",
												  ALLOCSET_DEFAULT_SIZES);
	label = churn_source_column(source, recording->label, "label");
	churn_label_init(&recording->labels, recording->label,
					 TupleDescAttr(source->desc, label)->atttypid,
					 recording->positive, recording->context);
	needed = bms_make_singleton(label);
	needed = bms_add_member(needed, churn_source_column(source, recording->key,
														"key"));
	time = prepare_time(receiver, source);
	if (time >= 0)
		needed = bms_add_member(needed, time);
	plan = churn_source_plan(source, needed, recording->context);
	churn_source_read(plan, &receiver->pub);
	finish_labels(&recording->labels);
}

/*
 * Reads the source; see outcomes.h.
 */
void
churn_recording_read(ChurnRecording *recording)
{
	const ChurnModelRow *row = recording->row;
	MemoryContext old = MemoryContextSwitchTo(recording->context);

	recording->desc = CreateTemplateTupleDesc(4);
	TupleDescInitEntry(recording->desc, 1, "key", TEXTOID, -1, 0);
	TupleDescInitEntry(recording->desc, 2, "observed_at", TIMESTAMPTZOID, -1, 0);
	TupleDescInitEntry(recording->desc, 3, "churned", BOOLOID, -1, 0);
	TupleDescInitEntry(recording->desc, 4, "place", FLOAT8OID, -1, 0);
	recording->store = tuplestore_begin_heap(false, false, work_mem);
	if (recording->source != NULL)
		read_rows(recording, recording->source);
	else
	{
		ChurnRole	saved = churn_role_become_reader(row, "labelled rows");

		read_rows(recording, row->source_relation != NULL ?
				  row->source_relation : row->source_query);
		churn_role_restore(saved);
	}
	MemoryContextSwitchTo(old);
}
