/*
 * trainer_channel.c
 *		The conversation with churn-trainer, in frames.
 *
 * Neither side may ever wait for the other while the other waits for it: so
 * the socket does not block, and whenever sending would have to wait, what the
 * trainer has to say is read too.  The trainer is not trusted: lengths,
 * order and contents of its frames are checked.
 */
#include "postgres.h"

#include <sys/socket.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "churn/document.h"
#include "churn/model.h"

#include "compat.h"
#include "encoding.h"
#include "registry.h"
#include "trainer_channel.h"

#define INPUT_SIZE	(CHURN_FRAME_HEADER + CHURN_FRAME_MAX)

/* Rows are sent in larger pieces than the kernel's default buffer holds. */
#define SEND_BUFFER	(1024 * 1024)

/*
 * Starts the trainer and makes the channel to it.
 */
ChurnChannel *
churn_channel_open(MemoryContext context, ChurnTracker *tracker)
{
	ChurnChannel *channel = MemoryContextAllocZero(context,
												   sizeof(ChurnChannel));
	int			size = SEND_BUFFER;

	channel->context = context;
	channel->tracker = tracker;
	channel->input = MemoryContextAlloc(context, INPUT_SIZE);
	channel->trainer = churn_trainer_start(context);
	/* the system may grant less, which only costs time */
	(void) setsockopt(channel->trainer->fd, SOL_SOCKET, SO_SNDBUF, &size,
					  sizeof(size));
	return channel;
}

/*
 * Reports a frame that the protocol does not allow here.
 */
static void
protocol_violation(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
			 errmsg("churn-trainer broke the protocol: %s", what),
			 errhint("Check that churn-trainer is of the same version as the extension.")));
}

/*
 * Reads a frame's JSON object.  Its text is terminated here, verified, and
 * turned into the database's encoding.
 */
static ChurnValue *
read_object(ChurnChannel *channel, const char *payload, Size length,
			char **string)
{
	ChurnArena	arena = churn_memory_arena(CurrentMemoryContext);
	ChurnError	error;
	ChurnValue *value;

	if (GetDatabaseEncoding() != PG_SQL_ASCII &&
		!pg_verify_mbstr(PG_UTF8, payload, (int) length, true))
		protocol_violation("text is not UTF-8");
	if (memchr(payload, '\0', length) != NULL)
		protocol_violation("text contains a zero byte");
	payload = churn_from_utf8(payload, &length);
	*string = MemoryContextAlloc(channel->context, length + 1);
	memcpy(*string, payload, length);
	(*string)[length] = '\0';
	value = churn_json_read(*string, length, &arena, &error);
	if (value == NULL)
		protocol_violation(error.message);
	if (value->kind != CHURN_VALUE_OBJECT)
		protocol_violation("an object is expected");
	return value;
}

/*
 * The error code of a failure's five characters; a code that would mean
 * success, or none at all, becomes the general one.
 */
static int
failure_code(const char *sqlstate)
{
	if (strlen(sqlstate) != 5 ||
		strspn(sqlstate, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 5 ||
		(sqlstate[0] == '0' && sqlstate[1] <= '2'))
		return ERRCODE_EXTERNAL_ROUTINE_EXCEPTION;
	return MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2], sqlstate[3],
						 sqlstate[4]);
}

/*
 * Passes on a NOTICE frame as a notice or warning, a FAILURE frame as an
 * error.
 */
static void
pass_on(ChurnChannel *channel, bool failed, const char *payload, Size length)
{
	char	   *string;
	ChurnValue *value = read_object(channel, payload, length, &string);
	const char *message = churn_value_text(value, "message", "no message");
	const char *detail = churn_value_text(value, "detail", NULL);
	const char *hint = churn_value_text(value, "hint", NULL);
	const char *level = churn_value_text(value, "level", "notice");

	if (failed)
		ereport(ERROR,
				(errcode(failure_code(churn_value_text(value, "sqlstate", ""))),
				 errmsg_internal("%s", message),
				 detail != NULL ? errdetail_internal("%s", detail) : 0,
				 hint != NULL ? errhint("%s", hint) : 0));
	ereport(pg_strcasecmp(level, "warning") == 0 ? WARNING : NOTICE,
			(errmsg_internal("%s", message),
			 detail != NULL ? errdetail_internal("%s", detail) : 0,
			 hint != NULL ? errhint("%s", hint) : 0));
	pfree(string);
}

/*
 * Appends a piece of the model file.  Its limit is checked before memory is
 * taken.
 */
static void
append_artifact(ChurnChannel *channel, const char *payload, Size length)
{
	Size		wanted = channel->artifact_length + length;

	if (wanted > CHURN_MAX_MODEL_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("model of at least %zu bytes exceeds the limit of %u bytes",
						wanted, CHURN_MAX_MODEL_BYTES),
				 errhint("Train with fewer \"rounds\" or a smaller \"max_depth\".")));
	if (wanted > channel->artifact_room)
	{
		Size		room = Max(wanted, 2 * channel->artifact_room);

		room = Min(room, CHURN_MAX_MODEL_BYTES);
		if (channel->artifact == NULL)
			channel->artifact = MemoryContextAlloc(channel->context, room);
		else
			channel->artifact = repalloc(channel->artifact, room);
		channel->artifact_room = room;
	}
	memcpy(channel->artifact + channel->artifact_length, payload, length);
	channel->artifact_length = wanted;
}

/*
 * Handles one frame of the trainer's.
 */
static void
handle_frame(ChurnChannel *channel, char type, const char *payload,
			 Size length)
{
	int			error;

	if (channel->finished)
		protocol_violation("a frame follows the result");
	switch (type)
	{
		case CHURN_FRAME_READY:
			if (channel->ready)
				protocol_violation("it is ready twice");
			channel->ready = true;
			break;
		case CHURN_FRAME_PROGRESS:
			if (length != sizeof(ChurnProgress))
				protocol_violation("a progress frame has the wrong length");
			churn_tracker_report(channel->tracker, payload);
			break;
		case CHURN_FRAME_NOTICE:
			pass_on(channel, false, payload, length);
			break;
		case CHURN_FRAME_FAILURE:
			pass_on(channel, true, payload, length);
			break;
		case CHURN_FRAME_ARTIFACT:
			if (!channel->ended)
				protocol_violation("a model precedes the end of the rows");
			append_artifact(channel, payload, length);
			break;
		case CHURN_FRAME_RESULT:
			if (!channel->ended || channel->artifact_length == 0)
				protocol_violation("a result precedes the model");
			(void) read_object(channel, payload, length, &channel->result);
			channel->finished = true;
			break;
		case CHURN_FRAME_EXEC_FAILED:
			if (channel->ready || length != sizeof(error))
				protocol_violation("a frame of unknown type");
			memcpy(&error, payload, sizeof(error));
			churn_trainer_exec_failed(channel->trainer, error);
			break;
		default:
			protocol_violation("a frame of unknown type");
	}
}

/*
 * Handles the whole frames at hand and moves the rest to the front.  What a
 * frame leaves behind is freed with a context of its own.
 */
static void
handle_input(ChurnChannel *channel)
{
	Size		done = 0;

	while (channel->input_used - done >= CHURN_FRAME_HEADER)
	{
		const char *frame = channel->input + done;
		MemoryContext scratch;
		MemoryContext old;
		uint32		length;

		memcpy(&length, frame + 1, sizeof(length));
		if (length > CHURN_FRAME_MAX)
			protocol_violation("a frame is too long");
		if (channel->input_used - done < CHURN_FRAME_HEADER + (Size) length)
			break;
		scratch = AllocSetContextCreate(channel->context, "churn frame",
										ALLOCSET_SMALL_SIZES);
		old = MemoryContextSwitchTo(scratch);
		handle_frame(channel, frame[0], frame + CHURN_FRAME_HEADER, length);
		MemoryContextSwitchTo(old);
		MemoryContextDelete(scratch);
		done += CHURN_FRAME_HEADER + length;
	}
	if (done > 0 && done < channel->input_used)
		memmove(channel->input, channel->input + done,
				channel->input_used - done);
	channel->input_used -= done;
}

/*
 * Reads what the trainer has sent, and handles it.  False if there is nothing
 * at present; an error if the trainer is gone.
 */
static bool
receive(ChurnChannel *channel)
{
	ssize_t		got = recv(channel->trainer->fd,
						   channel->input + channel->input_used,
						   INPUT_SIZE - channel->input_used, 0);

	if (got > 0)
	{
		channel->input_used += got;
		handle_input(channel);
		return true;
	}
	if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return false;
	churn_trainer_died(channel->trainer);
}

/*
 * Waits until the socket is ready for one of the events, or this backend is
 * wanted for something else.
 */
static void
wait_for(ChurnChannel *channel, int events)
{
	(void) WaitLatchOrSocket(MyLatch,
							 WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | events,
							 channel->trainer->fd, -1L,
							 churn_trainer_wait_event());
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/*
 * Sends a frame.
 */
void
churn_channel_send(ChurnChannel *channel, char type, char *frame, Size length)
{
	uint32		payload = (uint32) length;
	Size		total = CHURN_FRAME_HEADER + length;
	Size		done = 0;

	Assert(length <= CHURN_FRAME_MAX);
	frame[0] = type;
	memcpy(frame + 1, &payload, sizeof(payload));
	CHECK_FOR_INTERRUPTS();
	while (done < total)
	{
		ssize_t		sent = send(channel->trainer->fd, frame + done,
								total - done, MSG_NOSIGNAL);

		if (sent >= 0)
		{
			done += sent;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN && errno != EWOULDBLOCK)
		{
			/* its last words, which say why, may still be there */
			while (receive(channel))
				CHECK_FOR_INTERRUPTS();
			churn_trainer_died(channel->trainer);
		}
		if (!receive(channel))
			wait_for(channel, WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE);
	}
	/* a failure or notice should not wait until the buffers are full */
	(void) receive(channel);
}

/*
 * Waits until the trainer accepts the configuration.
 */
void
churn_channel_await_ready(ChurnChannel *channel)
{
	while (!channel->ready)
	{
		if (!receive(channel))
			wait_for(channel, WL_SOCKET_READABLE);
	}
}

/*
 * Sends END and waits for the result.
 */
void
churn_channel_finish(ChurnChannel *channel)
{
	char		frame[CHURN_FRAME_HEADER];

	channel->ended = true;
	churn_channel_send(channel, CHURN_FRAME_END, frame, 0);
	while (!channel->finished)
	{
		if (!receive(channel))
			wait_for(channel, WL_SOCKET_READABLE);
	}
}
