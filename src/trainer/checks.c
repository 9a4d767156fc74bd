/*
 * checks.c
 *		Checks of the data before a model learns from it.
 */
#include "checks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "checks_internal.h"
#include "memory.h"

/* Rows of each class by which columns are judged, and values in all. */
#define MAX_CLASS_ROWS	10000
#define MIN_CLASS_ROWS	1000
#define MAX_VALUES		2000000

/* With fewer rows of a class than this, what is measured is mostly noise. */
#define RARE_ROWS		50

/* Rows that are equal. */
typedef struct Twins
{
	uint64_t	hash;
	uint32_t	rows;			/* 0 is a free slot */
	uint32_t	churned;
} Twins;

static int
compare_ranked(const void *left, const void *right)
{
	const ChurnRanked *a = left;
	const ChurnRanked *b = right;

	if (a->value != b->value)
		return a->value < b->value ? -1 : 1;
	return (a->row > b->row) - (a->row < b->row);
}

void
churn_check_sort(ChurnRanked *ranked, size_t n)
{
	qsort(ranked, n, sizeof(ChurnRanked), compare_ranked);
}

double
churn_check_auc(const ChurnRanked *ranked, size_t n)
{
	double		stayed_below = 0;
	double		positives = 0;
	double		pairs = 0;
	size_t		i = 0;

	while (i < n)
	{
		size_t		first = i;
		double		churned = 0;
		double		stayed;

		for (; i < n && ranked[i].value == ranked[first].value; i++)
			churned += ranked[i].label;
		stayed = (double) (i - first) - churned;
		pairs += churned * (stayed_below + stayed / 2);
		stayed_below += stayed;
		positives += churned;
	}
	return pairs / (positives * stayed_below);
}

/* Takes the first rows of each class. */
static void
take_rows(ChurnCheckRows *rows, const ChurnTable *table, size_t first,
		  size_t count)
{
	size_t		limit = MAX_VALUES / (table->ncolumns + 1);
	uint8_t		label;
	size_t		row;

	if (limit > MAX_CLASS_ROWS)
		limit = MAX_CLASS_ROWS;
	if (limit < MIN_CLASS_ROWS)
		limit = MIN_CLASS_ROWS;
	rows->table = table;
	rows->n = 0;
	rows->rows = churn_alloc(2 * limit, sizeof(uint32_t));
	rows->labels = churn_alloc(2 * limit, 1);
	for (label = 0; label < 2; label++)
	{
		rows->of_class[label] = 0;
		for (row = first; row < first + count &&
			 rows->of_class[label] < limit; row++)
		{
			if (table->labels[row] != label)
				continue;
			rows->rows[rows->n] = (uint32_t) row;
			rows->labels[rows->n++] = label;
			rows->of_class[label]++;
		}
	}
}

/* Warns of a class of few rows. */
static void
check_classes(const ChurnTable *table, size_t first, size_t count,
			  ChurnIssues *issues)
{
	size_t		positives = 0;
	size_t		row;
	bool		churned;
	ChurnIssue	issue = {
		.severity = CHURN_SEVERITY_WARNING,
		.kind = "rare_class",
		.statistic = "share"
	};

	for (row = first; row < first + count; row++)
		positives += table->labels[row];
	churned = positives <= count - positives;
	issue.rows = churned ? positives : count - positives;
	issue.value = (double) issue.rows / (double) count;
	if (issue.rows >= RARE_ROWS)
		return;
	churn_issues_add(issues, &issue,
					 churn_format("Below %d of each the measured quality, the "
								  "threshold and the choice among models "
								  "depend on chance.", RARE_ROWS),
					 "only %llu of %zu training rows %s",
					 (unsigned long long) issue.rows, count,
					 churned ? "churned" : "did not churn");
}

/*
 * Finds the rows whose features equal those of others.  Hashes stand for rows;
 * that two different ones meet is a matter of one in a million at a million
 * rows.
 */
static void
check_duplicates(const ChurnTable *table, size_t first, size_t count,
				 ChurnIssues *issues)
{
	uint64_t   *hashes = churn_table_hash_rows(table, first, count);
	size_t		nslots = 16;
	Twins	   *twins;
	size_t		groups = 0;
	size_t		repeated = 0;
	size_t		conflicts = 0;
	size_t		conflicting = 0;
	size_t		i;
	ChurnIssue	issue = {.value = NAN};

	while (nslots < 2 * count)
		nslots *= 2;
	twins = churn_pages_alloc(nslots * sizeof(Twins));
	for (i = 0; i < count; i++)
	{
		size_t		slot = (hashes[i] ^ hashes[i] >> 32) & (nslots - 1);

		while (twins[slot].rows != 0 && twins[slot].hash != hashes[i])
			slot = (slot + 1) & (nslots - 1);
		twins[slot].hash = hashes[i];
		twins[slot].rows++;
		twins[slot].churned += table->labels[first + i];
	}
	for (i = 0; i < nslots; i++)
	{
		if (twins[i].rows < 2)
			continue;
		groups++;
		repeated += twins[i].rows - 1;
		if (twins[i].churned > 0 && twins[i].churned < twins[i].rows)
		{
			conflicts++;
			conflicting += twins[i].rows;
		}
	}
	churn_pages_free(twins, nslots * sizeof(Twins));
	churn_pages_free(hashes, count * sizeof(uint64_t));

	issue.kind = "duplicates";
	issue.rows = repeated;
	issue.statistic = "groups";
	issue.value = (double) groups;
	if (repeated > 0)
		churn_issues_add(issues, &issue, NULL,
						 "%zu of %zu training rows repeat another in all "
						 "features, in %zu groups of equal rows", repeated,
						 count, groups);
	issue.kind = "conflicting_labels";
	issue.rows = conflicting;
	issue.value = (double) conflicts;
	if (conflicts > 0)
		churn_issues_add(issues, &issue, NULL,
						 "of %zu training rows, in %zu groups that are equal "
						 "in all features, some churned and some did not",
						 conflicting, conflicts);
}

void
churn_checks_keys(const ChurnTable *table, const ChurnSettings *settings,
				  uint64_t rows, ChurnIssues *issues)
{
	ChurnIssue	issue = {
		.severity = CHURN_SEVERITY_NOTICE,
		.kind = "duplicate_keys",
		.value = NAN,
		.rows = table->repeated_keys
	};

	if (table->repeated_keys == 0 || settings->as_of != NULL)
		return;
	if (strcmp(settings->duplicate_keys, "error") == 0)
		churn_failure(CHURN_SQLSTATE_DATA,
					  "When the champion was trained, no two rows had the "
					  "same key.",
					  "Mend the source or, if it is meant to be so, train "
					  "with options => '{\"validate\": \"warn\"}'.",
					  "%zu of %llu rows repeat the key of another",
					  table->repeated_keys, (unsigned long long) rows);
	if (strcmp(settings->duplicate_keys, "warning") == 0)
		issue.severity = CHURN_SEVERITY_WARNING;
	churn_issues_add(issues, &issue, NULL,
					 "%zu of %llu rows repeat the key of another",
					 table->repeated_keys, (unsigned long long) rows);
}

void
churn_checks_run(const ChurnTable *table, size_t first, size_t count,
				 ChurnIssues *issues)
{
	ChurnCheckRows rows;
	bool	   *suspicious = churn_alloc(table->ncolumns, sizeof(bool));
	size_t		i;

	check_classes(table, first, count, issues);
	take_rows(&rows, table, first, count);
	for (i = 0; i < table->ncolumns; i++)
		suspicious[i] = churn_check_column(&rows, &table->columns[i], issues);
	churn_check_pairs(&rows, suspicious, issues);
	check_duplicates(table, first, count, issues);
	free(rows.rows);
	free(rows.labels);
	free(suspicious);
}
