/*
 * checks.h
 *		Checks of the data before a model learns from it.
 */
#ifndef CHURN_CHECKS_H
#define CHURN_CHECKS_H

#include "issues.h"
#include "table.h"

/*
 * Looks for keys that several of the rows have which arrived, rows in all.  As
 * the settings say, that is a FAILURE or an issue of kind "duplicate_keys".  In
 * a panel, whose rows have days of their own, it is nothing.
 */
extern void churn_checks_keys(const ChurnTable *table,
							  const ChurnSettings *settings, uint64_t rows,
							  ChurnIssues *issues);

/*
 * Looks for leaks and other faults in rows first .. first + count of the
 * table, those that are trained on, and adds what it finds.  Kinds of issues:
 *	"separates"				a column alone tells almost perfectly who churned
 *	"filled_for_one_class"	a column is filled (almost) only for one class
 *	"missing_for_one_class" a column is missing (almost) only for one class
 *	"pair_separates"		two numbers or dates, which lie on a line for one
 *							class and not for the other, do so together
 *	"rare_class"			there are few rows of a class
 *	"duplicates"			rows equal others in all features
 *	"conflicting_labels"	some of those churned and some did not
 *
 * The work is bounded: columns are judged by at most 10,000 rows of each
 * class, fewer of more than 200 columns but 1,000, pairs by 5,000 and among at
 * most 40 columns.
 */
extern void churn_checks_run(const ChurnTable *table, size_t first,
							 size_t count, ChurnIssues *issues);

#endif							/* CHURN_CHECKS_H */
