/*
 * findings.h
 *		What churn_validate() finds: rows of churn.data_issues to be.
 */
#ifndef CHURN_FINDINGS_H
#define CHURN_FINDINGS_H

#include <math.h>

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

/* So many examples go with a finding. */
#define CHURN_FINDING_EXAMPLES	5

typedef enum ChurnFindingSeverity
{
	CHURN_FINDING_NOTICE,
	CHURN_FINDING_WARNING,
	CHURN_FINDING_ERROR
} ChurnFindingSeverity;

typedef struct ChurnFinding
{
	ChurnFindingSeverity severity;
	const char *kind;
	const char *feature;		/* column or transform; NULL if none */
	const char *statistic;		/* what value is; NULL if there is none */
	double		value;
	int64		rows;			/* that it concerns; -1 if none are */
	List	   *examples;		/* of strings */
	char	   *message;
	char	   *detail;			/* NULL if there is none */
} ChurnFinding;

/*
 * Adds a finding to a list, in the current memory context; the message is in
 * the manner of an error's.  Returned so that its other fields can be set.
 */
extern ChurnFinding *churn_findings_add(List **findings,
										ChurnFindingSeverity severity,
										const char *kind, const char *feature,
										const char *format,...)
			pg_attribute_printf(5, 6);

/* How many are errors. */
extern int	churn_findings_errors(const List *findings);

/* The errors among them, one a line, or the first of many. */
extern char *churn_findings_text(const List *findings);

/* The list as JSON, an array of objects. */
extern char *churn_findings_json(const List *findings);

/*
 * Texts that occurred, and how often.  Each is cut to some 60 bytes, and of
 * more than a thousand different ones the rest is not told apart.
 */
typedef struct ChurnTally ChurnTally;

extern ChurnTally *churn_tally_make(MemoryContext context);
extern void churn_tally_add(ChurnTally *tally, const char *text,
							size_t length);

/*
 * The most frequent texts as examples (a list of strings), and the same with
 * their counts in words, as in: "Gold" 12 times, "Silver" once.
 */
extern List *churn_tally_examples(const ChurnTally *tally);
extern char *churn_tally_text(const ChurnTally *tally);

#endif							/* CHURN_FINDINGS_H */
