/*
 * issues.h
 *		What was found wrong, or strange, in the data.
 */
#ifndef CHURN_ISSUES_H
#define CHURN_ISSUES_H

#include "churn/document.h"

typedef enum ChurnSeverity
{
	CHURN_SEVERITY_NOTICE,		/* is recorded */
	CHURN_SEVERITY_WARNING		/* and told to the user */
} ChurnSeverity;

typedef struct ChurnIssue
{
	ChurnSeverity severity;
	const char *kind;			/* "separates", … */
	const char *feature;		/* column, or NULL */
	const char *other_feature;	/* the other one of a pair, or NULL */
	const char *statistic;		/* what value is, or NULL */
	double		value;			/* NaN if there is none */
	uint64_t	rows;			/* rows it concerns */
	char	   *message;		/* set by churn_issues_add() */
	char	   *detail;
} ChurnIssue;

typedef struct ChurnIssues
{
	ChurnIssue *items;
	size_t		n;
} ChurnIssues;

/*
 * Adds a copy of an issue with a message and a detail, which may be NULL.  Of
 * more than CHURN_ISSUES_MAX the rest is left away.
 */
#define CHURN_ISSUES_MAX	200

extern void churn_issues_add(ChurnIssues *issues, const ChurnIssue *issue,
							 const char *detail, const char *format,...)
			__attribute__((format(printf, 4, 5)));

/* Sends each warning, or the first few and how many there are more. */
extern void churn_issues_tell(const ChurnIssues *issues);

/*
 * The issues as an array for RESULT's "issues"; see churn/protocol.h.  NULL
 * with *error set when memory is out.
 */
extern ChurnValue *churn_issues_value(const ChurnIssues *issues,
									  ChurnArena *arena, ChurnError *error);

#endif							/* CHURN_ISSUES_H */
