/*
 * unit.h
 *		The least that a test program in C needs to speak TAP.
 *
 * A program calls ok() any number of times and ends with "return done();".
 */
#ifndef CHURN_UNIT_H
#define CHURN_UNIT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int	unit_tests = 0;
static int	unit_failures = 0;

/* Reports one test; the rest are a printf format and its arguments. */
#define ok(condition, ...) \
	unit_ok((condition), __FILE__, __LINE__, __VA_ARGS__)

static bool unit_ok(bool condition, const char *file, int line,
					const char *format,...)
			__attribute__((format(printf, 4, 5)));

static inline bool
unit_ok(bool condition, const char *file, int line, const char *format,...)
{
	va_list		arguments;

	printf("%sok %d - ", condition ? "" : "not ", ++unit_tests);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
	if (!condition)
	{
		unit_failures++;
		printf("# failed at %s line %d\n", file, line);
	}
	fflush(stdout);
	return condition;
}

/* Prints the plan; returns the exit status. */
static inline int
done(void)
{
	printf("1..%d\n", unit_tests);
	return unit_failures == 0 ? 0 : 1;
}

#endif							/* CHURN_UNIT_H */
