/*
 * row_stream.c
 *		Rows of the source, on their way to churn-trainer.
 *
 * The executor hands each row to the receiver below, which writes it straight
 * into the frame to be sent: nothing is kept, so that memory does not grow
 * with the number of rows.
 */
#include "postgres.h"

#include <math.h>

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "utils/memutils.h"

#include "compat.h"
#include "encoding.h"
#include "key.h"
#include "row_stream.h"
#include "source.h"

/* A frame is sent once it is so large, so that the trainer works meanwhile. */
#define SEND_SIZE	(64 * 1024)

/* A column to send, and where the plan's rows have it. */
typedef struct StreamColumn
{
	int			position;
	ChurnReader reader;
} StreamColumn;

struct ChurnRowStream
{
	DestReceiver receiver;		/* first, so that the two convert */
	ChurnChannel *channel;
	TupleDesc	desc;
	MemoryContext row_context;	/* reset at each row */

	int			label_position;
	ChurnLabel *label;

	int			key_position;	/* -1 if there is none */
	ChurnKey	key;
	int64		null_keys;

	int			as_of_position; /* -1 if as_of_day serves all rows */
	ChurnReader as_of_reader;
	DateADT		as_of_day;
	bool		has_newest;		/* of the days in as_of_position */
	DateADT		newest;

	int			ncolumns;
	StreamColumn *columns;
	ChurnTransforms *transforms;	/* NULL if there are none */
	ChurnReader *transform_readers;

	const ChurnVersion *champion;	/* NULL if there is none */
	ChurnRowMap *champion_map;
	float	   *champion_features;
	void	   *champion_workspace;

	char	   *frame;			/* header and payload */
	Size		used;			/* of the payload */
	Size		row_size;		/* at most */
	int64		rows;			/* written so far */
};

/*
 * Sends the frame begun, if there is one, and begins another.
 */
static void
send_frame(ChurnRowStream *stream)
{
	if (stream->used == 0)
		return;
	churn_channel_send(stream->channel, CHURN_FRAME_ROWS, stream->frame,
					   stream->used);
	stream->used = 0;
	churn_tracker_rows(stream->channel->tracker, stream->rows);
}

/*
 * Writes a length of two bytes and the text; returns where the next goes.
 */
static inline char *
put_text(char *p, const char *string, uint16 length)
{
	memcpy(p, &length, sizeof(length));
	memcpy(p + sizeof(length), string, length);
	return p + sizeof(length) + length;
}

/*
 * Writes the mark of a text that has no bytes.
 */
static inline char *
put_mark(char *p, uint16 mark)
{
	memcpy(p, &mark, sizeof(mark));
	return p + sizeof(mark);
}

static inline char *
put_float(char *p, float number)
{
	memcpy(p, &number, sizeof(number));
	return p + sizeof(number);
}

/*
 * Whether a text is so long, compressed or stored elsewhere, that it need not
 * be fetched to know it is too long.  char(n) may shrink, so it is fetched.
 */
static inline bool
is_long(const ChurnReader *reader, Datum value)
{
	return (reader->type == TEXTOID || reader->type == VARCHAROID) &&
		VARATT_IS_EXTENDED(DatumGetPointer(value)) &&
		!VARATT_IS_SHORT(DatumGetPointer(value)) &&
		toast_raw_datum_size(value) - VARHDRSZ > CHURN_TEXT_MAX;
}

/*
 * Writes a feature's value.
 */
static inline char *
put_value(char *p, const ChurnReader *reader, Datum value, bool isnull,
		  DateADT as_of, bool has_as_of)
{
	const char *string;
	size_t		length;

	if (reader->kind != CHURN_COLUMN_TEXT)
	{
		if (isnull || (reader->kind == CHURN_COLUMN_AGE && !has_as_of))
			return put_float(p, NAN);
		return put_float(p, churn_reader_float(reader, value, as_of));
	}
	if (isnull)
		return put_mark(p, CHURN_TEXT_NULL);
	if (is_long(reader, value))
		return put_mark(p, CHURN_TEXT_LONG);
	string = churn_reader_text(reader, value, &length);
	string = churn_to_utf8(string, &length);
	if (length > CHURN_TEXT_MAX)
		return put_mark(p, CHURN_TEXT_LONG);
	return put_text(p, string, (uint16) length);
}

/*
 * Writes the key as text.
 */
static char *
put_key(ChurnRowStream *stream, char *p, Datum value)
{
	char		buffer[CHURN_KEY_BUFFER];
	size_t		length;
	const char *string = churn_key_text(&stream->key, value, buffer, &length);

	return put_text(p, string, (uint16) length);
}

/*
 * Error context callback while the champion scores a row.
 */
static void
champion_context(void *arg)
{
	const ChurnRowStream *stream = arg;

	if (stream->champion_map->transforms != NULL &&
		ERRCODE_TO_CATEGORY(geterrcode()) == ERRCODE_DATA_EXCEPTION)
		errhint("To train without comparing with the champion, pass options => '{\"promote\": \"always\"}'.");
	errcontext("champion version %d of model \"%s\", which the new version is compared with",
			   stream->champion->version, stream->champion->name);
}

/*
 * Writes the champion's score of the row.
 */
static char *
put_champion(ChurnRowStream *stream, char *p, const TupleTableSlot *slot)
{
	ErrorContextCallback callback;
	float		margin;

	callback.callback = champion_context;
	callback.arg = stream;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	churn_row_encode(stream->champion_map, slot->tts_values,
					 slot->tts_isnull, stream->champion_features);
	error_context_stack = callback.previous;
	margin = churn_predictor_margin(stream->champion->predictor,
									stream->champion_features,
									stream->champion_workspace);
	return put_float(p, (float)
					 churn_calibrate(&stream->champion->model->calibration,
									 margin));
}

/*
 * Writes the values of the features that are computed.
 */
static char *
put_transforms(ChurnRowStream *stream, char *p, const TupleTableSlot *slot,
			   DateADT as_of, bool has_as_of)
{
	ChurnTransforms *transforms = stream->transforms;
	int			i;

	churn_transforms_run(transforms, slot->tts_values, slot->tts_isnull);
	for (i = 0; i < transforms->n; i++)
		p = put_value(p, &stream->transform_readers[i], transforms->values[i],
					  transforms->nulls[i], as_of, has_as_of);
	return p;
}

/*
 * Writes a labelled row with a key, where there has to be one, into the frame.
 */
static void
write_row(ChurnRowStream *stream, const TupleTableSlot *slot, bool churned)
{
	char	   *start;
	char	   *p;
	DateADT		as_of = stream->as_of_day;
	bool		has_as_of = true;
	int			i;

	if (stream->used + stream->row_size > CHURN_FRAME_MAX)
		send_frame(stream);
	start = p = stream->frame + CHURN_FRAME_HEADER + stream->used;
	*p++ = churned;
	if (stream->champion != NULL)
		p = put_champion(stream, p, slot);
	if (stream->key_position >= 0)
		p = put_key(stream, p, slot->tts_values[stream->key_position]);
	if (stream->as_of_position >= 0)
		has_as_of = !slot->tts_isnull[stream->as_of_position] &&
			churn_reader_day(&stream->as_of_reader,
							 slot->tts_values[stream->as_of_position],
							 &as_of);
	if (stream->as_of_position >= 0 && has_as_of &&
		(!stream->has_newest || as_of > stream->newest))
	{
		stream->newest = as_of;
		stream->has_newest = true;
	}
	for (i = 0; i < stream->ncolumns; i++)
	{
		const StreamColumn *column = &stream->columns[i];

		p = put_value(p, &column->reader, slot->tts_values[column->position],
					  slot->tts_isnull[column->position], as_of, has_as_of);
	}
	if (stream->transforms != NULL)
		p = put_transforms(stream, p, slot, as_of, has_as_of);
	if (p - start > CHURN_FRAME_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("row of %zu bytes exceeds the limit of %d bytes",
						(Size) (p - start), CHURN_FRAME_MAX),
				 errhint("Name columns to leave out: exclude => '{...}'.")));
	stream->used += p - start;
	stream->rows++;
	if (stream->used >= SEND_SIZE)
		send_frame(stream);
}

/*
 * Takes a row from the executor.
 */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	ChurnRowStream *stream = (ChurnRowStream *) self;
	MemoryContext old = MemoryContextSwitchTo(stream->row_context);
	ChurnLabelValue label;

	slot_getallattrs(slot);
	label = churn_label_read(stream->label,
							 slot->tts_values[stream->label_position],
							 slot->tts_isnull[stream->label_position]);
	if (label == CHURN_LABEL_CHURNED || label == CHURN_LABEL_STAYS)
	{
		if (stream->key_position >= 0 &&
			slot->tts_isnull[stream->key_position])
			stream->null_keys++;
		else
			write_row(stream, slot, label == CHURN_LABEL_CHURNED);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(stream->row_context);
	return true;
}

/*
 * Called before the first row.  The plan cannot have changed since it was
 * prepared, as its tables are locked; rows are read by position, so look.
 */
static void
start_rows(DestReceiver *self, int operation, TupleDesc desc)
{
	ChurnRowStream *stream = (ChurnRowStream *) self;
	int			i;

	if (desc->natts != stream->desc->natts)
		elog(ERROR, "source returns %d columns, not %d", desc->natts,
			 stream->desc->natts);
	for (i = 0; i < desc->natts; i++)
	{
		if (TupleDescAttr(desc, i)->atttypid !=
			TupleDescAttr(stream->desc, i)->atttypid)
			elog(ERROR, "type of column %d of the source changed", i + 1);
	}
}

/*
 * Where the plan's rows have a column of the source.
 */
static int
position_of(const ChurnRowStream *stream, const ChurnSource *source,
			int column)
{
	if (column < 0)
		return -1;
	return churn_find_column(stream->desc,
							 NameStr(TupleDescAttr(source->desc,
												   column)->attname));
}

/*
 * Prepares to score rows with the champion.
 */
static void
prepare_champion(ChurnRowStream *stream, const ChurnVersion *champion,
				 const ChurnColumns *columns)
{
	Size		workspace = churn_predictor_workspace(champion->predictor);

	stream->champion = champion;
	stream->champion_map = churn_row_map(champion->model, champion->name,
										 stream->desc, CurrentMemoryContext);
	stream->champion_map->as_of_day = columns->as_of_day;
	stream->champion_features =
		palloc0(sizeof(float) * Max(champion->model->nfeatures, 1));
	stream->champion_workspace =
		(void *) TYPEALIGN(32, (uintptr_t) palloc(workspace + 32));
}

/*
 * The bytes that a feature's value takes at most.
 */
static Size
value_size(const ChurnReader *reader)
{
	return reader->kind == CHURN_COLUMN_TEXT ?
		sizeof(uint16) + CHURN_TEXT_MAX : sizeof(float);
}

/*
 * Prepares to write the features that are computed.
 */
static void
prepare_transforms(ChurnRowStream *stream, const ChurnColumns *columns)
{
	int			n = columns->ntransforms;
	int			i;

	if (n == 0)
		return;
	stream->transforms = churn_transforms_compile(columns->transforms, n,
												  stream->desc,
												  CurrentMemoryContext);
	stream->transform_readers = palloc(sizeof(ChurnReader) * n);
	for (i = 0; i < n; i++)
	{
		churn_reader_init(&stream->transform_readers[i],
						  columns->transform_types[i]);
		stream->row_size += value_size(&stream->transform_readers[i]);
	}
}

/*
 * Makes a receiver of the rows of a plan.
 */
ChurnRowStream *
churn_row_stream_make(ChurnChannel *channel, const ChurnSource *source,
					  const ChurnSourcePlan *plan,
					  const ChurnColumns *columns, ChurnLabel *label,
					  const ChurnVersion *champion, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	ChurnRowStream *stream = palloc0(sizeof(ChurnRowStream));
	int			i;

	churn_receiver_init(&stream->receiver, start_rows, receive_row);
	stream->channel = channel;
	stream->desc = plan->desc;
	stream->row_context = AllocSetContextCreate(context, "churn row",
												ALLOCSET_DEFAULT_SIZES);
	stream->label = label;
	stream->label_position = position_of(stream, source, columns->label);
	stream->key_position = position_of(stream, source, columns->key);
	if (columns->key >= 0)
		churn_key_init(&stream->key,
					   TupleDescAttr(source->desc, columns->key));
	stream->as_of_position = position_of(stream, source, columns->as_of);
	stream->as_of_day = columns->as_of_day;
	if (columns->as_of >= 0)
		churn_reader_init(&stream->as_of_reader,
						  TupleDescAttr(source->desc,
										columns->as_of)->atttypid);
	stream->ncolumns = columns->nfeatures;
	stream->columns = palloc(sizeof(StreamColumn) * columns->nfeatures);
	stream->row_size = 1 + sizeof(float) + sizeof(uint16) + CHURN_TEXT_MAX;
	for (i = 0; i < columns->nfeatures; i++)
	{
		StreamColumn *column = &stream->columns[i];

		column->position = position_of(stream, source, columns->features[i]);
		churn_reader_init(&column->reader,
						  TupleDescAttr(source->desc,
										columns->features[i])->atttypid);
		stream->row_size += value_size(&column->reader);
	}
	prepare_transforms(stream, columns);
	if (champion != NULL)
		prepare_champion(stream, champion, columns);
	stream->frame = palloc(CHURN_FRAME_HEADER +
						   Max(stream->row_size, CHURN_FRAME_MAX));
	MemoryContextSwitchTo(old);
	return stream;
}

/*
 * What the executor hands the rows to.
 */
DestReceiver *
churn_row_stream_receiver(ChurnRowStream *stream)
{
	return &stream->receiver;
}

/*
 * Sends what is left, and complains of null keys.
 */
int64
churn_row_stream_finish(ChurnRowStream *stream)
{
	if (stream->null_keys > 0)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("key column \"%s\" is null in %lld labelled rows",
						stream->key.name, (long long) stream->null_keys),
				 errhint("Leave these rows out by a query, or name another column: key => '...'.")));
	send_frame(stream);
	churn_tracker_rows(stream->channel->tracker, stream->rows);
	return stream->rows;
}

/*
 * The newest day from which ages were counted.
 */
bool
churn_row_stream_newest(const ChurnRowStream *stream, DateADT *day)
{
	*day = stream->newest;
	return stream->has_newest;
}
