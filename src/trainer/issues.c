/*
 * issues.c
 *		What was found wrong, or strange, in the data.
 */
#include "issues.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "memory.h"

/* Warnings that are sent before the others are only counted. */
#define MAX_TOLD		20

#define MESSAGE_SIZE	512

static const char *const severities[] = {
	[CHURN_SEVERITY_NOTICE] = "notice",
	[CHURN_SEVERITY_WARNING] = "warning"
};

/*
 * A copy of text, of at most size bytes with its end.  It is cut between
 * characters of UTF-8.
 */
static char *
copy_text(const char *text, size_t size)
{
	size_t		length = strlen(text);
	char	   *copy;

	if (length >= size)
	{
		length = size - 1;
		while (length > 0 && ((unsigned char) text[length] & 0xC0) == 0x80)
			length--;
	}
	copy = churn_alloc(length + 1, 1);
	memcpy(copy, text, length);
	return copy;
}

void
churn_issues_add(ChurnIssues *issues, const ChurnIssue *issue,
				 const char *detail, const char *format,...)
{
	char		message[2 * MESSAGE_SIZE];
	ChurnIssue *added;
	va_list		arguments;

	if (issues->n == CHURN_ISSUES_MAX)
		return;
	issues->items = churn_realloc(issues->items, issues->n + 1,
								  sizeof(ChurnIssue));
	added = &issues->items[issues->n++];
	*added = *issue;
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	added->message = copy_text(message, MESSAGE_SIZE);
	added->detail = detail == NULL ? NULL :
		copy_text(detail, 2 * MESSAGE_SIZE);
}

void
churn_issues_tell(const ChurnIssues *issues)
{
	size_t		warnings = 0;
	size_t		i;

	for (i = 0; i < issues->n; i++)
	{
		if (issues->items[i].severity == CHURN_SEVERITY_WARNING &&
			warnings++ < MAX_TOLD)
			churn_warning(issues->items[i].detail, "%s",
						  issues->items[i].message);
	}
	if (warnings > MAX_TOLD)
		churn_warning("The table churn.data_issues lists all of them.",
					  "there are %zu more warnings about the data",
					  warnings - MAX_TOLD);
}

/* Sets a member to a text unless that is NULL. */
static bool
set_text(ChurnValue *object, const char *name, const char *text,
		 ChurnArena *arena, ChurnError *error)
{
	return text == NULL ||
		churn_value_set(object, name, churn_value_string(arena, text, error),
						arena, error);
}

static bool
describe(const ChurnIssue *issue, ChurnValue *object, ChurnArena *arena,
		 ChurnError *error)
{
	return set_text(object, "severity", severities[issue->severity], arena,
					error) &&
		set_text(object, "kind", issue->kind, arena, error) &&
		set_text(object, "feature", issue->feature, arena, error) &&
		set_text(object, "other_feature", issue->other_feature, arena,
				 error) &&
		set_text(object, "statistic", issue->statistic, arena, error) &&
		(isnan(issue->value) ||
		 churn_value_set(object, "value",
						 churn_value_double(arena, issue->value, error),
						 arena, error)) &&
		churn_value_set(object, "rows",
						churn_value_integer(arena, (int64_t) issue->rows,
											error), arena, error) &&
		set_text(object, "message", issue->message, arena, error) &&
		set_text(object, "detail", issue->detail, arena, error);
}

ChurnValue *
churn_issues_value(const ChurnIssues *issues, ChurnArena *arena,
				   ChurnError *error)
{
	ChurnValue *array = churn_value_array(arena, error);
	size_t		i;

	for (i = 0; i < issues->n && array != NULL; i++)
	{
		ChurnValue *object = churn_value_object(arena, error);

		if (object == NULL ||
			!describe(&issues->items[i], object, arena, error) ||
			!churn_value_append(array, object, arena, error))
			return NULL;
	}
	return array;
}
