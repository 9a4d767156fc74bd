/*
 * channel.c
 *		Talking with the extension: frames, progress, notices, failure.
 *
 * Nothing here allocates memory, so that running out of it can be told.
 */
#define _GNU_SOURCE				/* POLLRDHUP */

#include "channel.h"
#include "clock.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* At most one progress frame in so many seconds, phases apart. */
#define PROGRESS_INTERVAL	0.2

/* Longest text of a message, detail or hint, and of all of them as JSON. */
#define TEXT_SIZE			2048
#define REPORT_SIZE			(6 * 3 * TEXT_SIZE + 256)

/* Enough for poll() and _exit(). */
#define WATCHER_STACK		(64 * 1024)

static uint8_t input[CHURN_FRAME_HEADER + CHURN_FRAME_MAX];
static size_t input_start = 0;	/* first byte not yet handed out */
static size_t input_end = 0;	/* behind the last byte read */

static ChurnProgress progress = {.metric = NAN};
static double progress_sent = 0;

/* Ends the process without running the libraries' destructors. */
static void
leave(void)
{
	_exit(1);
}

/* Reads until at least wanted bytes lie at input_start. */
static void
read_input(size_t wanted)
{
	ssize_t		got;

	if (sizeof(input) - input_start < wanted)
	{
		memmove(input, input + input_start, input_end - input_start);
		input_end -= input_start;
		input_start = 0;
	}
	while (input_end - input_start < wanted)
	{
		got = read(CHURN_TRAINER_FD, input + input_end,
				   sizeof(input) - input_end);
		if (got > 0)
			input_end += (size_t) got;
		else if (got == 0 || errno != EINTR)
			leave();
	}
}

char
churn_channel_read(uint8_t **payload, uint32_t *length)
{
	char		type;

	if (input_start == input_end)
		input_start = input_end = 0;
	read_input(CHURN_FRAME_HEADER);
	type = (char) input[input_start];
	memcpy(length, input + input_start + 1, sizeof(*length));
	if (*length > CHURN_FRAME_MAX)
		churn_failure(CHURN_SQLSTATE_PROTOCOL, NULL, NULL,
					  "frame of %u bytes sent to churn-trainer is too long",
					  *length);
	read_input(CHURN_FRAME_HEADER + (size_t) *length);
	*payload = input + input_start + CHURN_FRAME_HEADER;
	input_start += CHURN_FRAME_HEADER + (size_t) *length;
	return type;
}

/*
 * Sends bytes.  False when that would have to wait and may not; a frame that
 * was begun is always finished.  A reader that is gone ends the process.
 */
static bool
send_bytes(const uint8_t *bytes, size_t length, bool more, bool wait)
{
	size_t		done = 0;
	int			flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);

	while (done < length)
	{
		ssize_t		sent = send(CHURN_TRAINER_FD, bytes + done, length - done,
								flags | (wait ? 0 : MSG_DONTWAIT));

		if (sent >= 0)
		{
			done += (size_t) sent;
			wait = true;
		}
		else if ((errno == EAGAIN || errno == EWOULDBLOCK) && !wait)
			return false;
		else if (errno != EINTR)
			leave();
	}
	return true;
}

void
churn_channel_write(char type, const void *payload, uint32_t length)
{
	uint8_t		header[CHURN_FRAME_HEADER];

	header[0] = (uint8_t) type;
	memcpy(header + 1, &length, sizeof(length));
	send_bytes(header, sizeof(header), length > 0, true);
	send_bytes(payload, length, false, true);
}

/* Waits for the end of input, which makes the work pointless. */
static void *
watch_input(void *argument)
{
	struct pollfd watched = {.fd = CHURN_TRAINER_FD,.events = POLLRDHUP};

	(void) argument;
	for (;;)
	{
		if (poll(&watched, 1, -1) > 0 &&
			(watched.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)))
			leave();
	}
	return NULL;
}

void
churn_channel_watch(void)
{
	pthread_attr_t attributes;
	pthread_t	watcher;

	/*
	 * Without the thread the process still ends at the next frame it sends,
	 * so that a failure here is none of the user's concern.
	 */
	if (pthread_attr_init(&attributes) != 0)
		return;
	pthread_attr_setstacksize(&attributes, WATCHER_STACK);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	(void) pthread_create(&watcher, &attributes, watch_input, NULL);
	pthread_attr_destroy(&attributes);
}

/* Sends the progress as it stands, if one may be sent now. */
static void
send_progress(bool at_once)
{
	uint8_t		frame[CHURN_FRAME_HEADER + sizeof(progress)];
	uint32_t	length = sizeof(progress);
	double		time = churn_now();

	if (!at_once && time - progress_sent < PROGRESS_INTERVAL)
		return;
	frame[0] = CHURN_FRAME_PROGRESS;
	memcpy(frame + 1, &length, sizeof(length));
	memcpy(frame + CHURN_FRAME_HEADER, &progress, sizeof(progress));
	if (send_bytes(frame, sizeof(frame), false, false))
		progress_sent = time;
}

void
churn_progress_phase(ChurnPhase phase)
{
	progress.phase = phase;
	send_progress(true);
}

void
churn_progress_rows(uint64_t rows)
{
	progress.rows = rows;
	send_progress(false);
}

void
churn_progress_round(uint32_t round, uint32_t rounds, double metric)
{
	progress.round = round;
	progress.rounds = rounds;
	progress.metric = metric;
	send_progress(false);
}

/*
 * Appends text as a JSON string to the report, which holds used bytes, and
 * returns how many it holds then.  Text is cut, between characters of UTF-8,
 * where it would exceed TEXT_SIZE.
 */
static size_t
append_string(char *report, size_t used, const char *text)
{
	size_t		length = strlen(text);
	size_t		i;

	if (length > TEXT_SIZE)
	{
		length = TEXT_SIZE;
		while (length > 0 && ((unsigned char) text[length] & 0xC0) == 0x80)
			length--;
	}
	report[used++] = '"';
	for (i = 0; i < length; i++)
	{
		unsigned char c = (unsigned char) text[i];

		if (c == '"' || c == '\\')
		{
			report[used++] = '\\';
			report[used++] = (char) c;
		}
		else if (c < 0x20)
			used += (size_t) snprintf(report + used, 7, "\\u%04x", c);
		else
			report[used++] = (char) c;
	}
	report[used++] = '"';
	return used;
}

/* Appends a member with its comma or opening brace; NULL leaves it away. */
static size_t
append_member(char *report, size_t used, const char *name, const char *text)
{
	if (text == NULL)
		return used;
	report[used] = used == 0 ? '{' : ',';
	used = append_string(report, used + 1, name);
	report[used++] = ':';
	return append_string(report, used, text);
}

/* Sends a NOTICE or FAILURE whose first member is name: value. */
static void
send_report(char type, const char *name, const char *value,
			const char *message, const char *detail, const char *hint)
{
	static char report[REPORT_SIZE];
	size_t		used = 0;

	used = append_member(report, used, name, value);
	used = append_member(report, used, "message", message);
	used = append_member(report, used, "detail", detail);
	used = append_member(report, used, "hint", hint);
	report[used++] = '}';
	churn_channel_write(type, report, (uint32_t) used);
}

void
churn_notice(const char *detail, const char *format,...)
{
	char		message[TEXT_SIZE];
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	send_report(CHURN_FRAME_NOTICE, "level", "notice", message, detail, NULL);
}

void
churn_warning(const char *detail, const char *format,...)
{
	char		message[TEXT_SIZE];
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	send_report(CHURN_FRAME_NOTICE, "level", "warning", message, detail,
				NULL);
}

void
churn_failure(const char *sqlstate, const char *detail, const char *hint,
			  const char *format,...)
{
	char		message[TEXT_SIZE];
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	send_report(CHURN_FRAME_FAILURE, "sqlstate", sqlstate, message, detail,
				hint);
	_exit(1);
}

void
churn_failure_memory(void)
{
	churn_failure(CHURN_SQLSTATE_OUT_OF_MEMORY, NULL,
				  "Raise \"churn.training_memory\", or train on fewer rows "
				  "or columns.",
				  "training needs more memory than "
				  "\"churn.training_memory\" allows");
}

const char *
churn_format(const char *format,...)
{
	static char buffers[4][TEXT_SIZE];
	static unsigned next = 0;
	char	   *buffer = buffers[next++ % 4];
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(buffer, TEXT_SIZE, format, arguments);
	va_end(arguments);
	return buffer;
}
