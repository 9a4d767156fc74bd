/*
 * test_checks.c
 *		Checks of the data warn of what leaks, and of nothing else.
 */
#include "trainer_stubs.h"

#include "../../src/trainer/checks.h"
#include "unit.h"

#define ROWS	4000

static ChurnTable table;
static ChurnIssues issues;
static uint32_t state;

static double
draw(void)
{
	state = state * 1103515245 + 12345;
	return (double) (state >> 16 & 0x7FFF) / 32768;
}

/* Rows of which a share churned, without columns. */
static void
start(size_t n, double rate)
{
	size_t		row;

	stub_free(&table);
	stub_table(&table, n, 50);
	state = 11;
	for (row = 0; row < n; row++)
		table.labels[row] = draw() < rate;
}

static void
free_issues(void)
{
	size_t		i;

	for (i = 0; i < issues.n; i++)
	{
		free(issues.items[i].message);
		free(issues.items[i].detail);
	}
	free(issues.items);
	memset(&issues, 0, sizeof(issues));
}

/* Checks all rows. */
static void
run(void)
{
	free_issues();
	churn_checks_run(&table, 0, table.nrows, &issues);
}

/* The issue of that kind and columns, or NULL. */
static const ChurnIssue *
find(const char *kind, const char *feature, const char *other)
{
	size_t		i;

	for (i = 0; i < issues.n; i++)
	{
		const ChurnIssue *issue = &issues.items[i];

		if (strcmp(issue->kind, kind) == 0 &&
			(feature == NULL || strcmp(issue->feature, feature) == 0) &&
			(other == NULL || strcmp(issue->other_feature, other) == 0))
			return issue;
	}
	return NULL;
}

static size_t
count_warnings(void)
{
	size_t		n = 0;
	size_t		i;

	for (i = 0; i < issues.n; i++)
		n += issues.items[i].severity == CHURN_SEVERITY_WARNING;
	return n;
}

/* Columns as honest data has them: nothing to warn of. */
static void
add_honest(void)
{
	float	   *tenure = stub_column(&table, "tenure", CHURN_FEATURE_NUMBER, 0);
	float	   *minutes = stub_column(&table, "minutes", CHURN_FEATURE_NUMBER,
									  0);
	float	   *charge = stub_column(&table, "charge", CHURN_FEATURE_NUMBER,
									 0);
	float	   *begin = stub_column(&table, "begin", CHURN_FEATURE_AGE, 0);
	float	   *mail = stub_column(&table, "mail", CHURN_FEATURE_NUMBER, 0);
	uint16_t   *plan = stub_column(&table, "plan", CHURN_FEATURE_CATEGORY, 3);
	uint16_t   *city = stub_column(&table, "city", CHURN_FEATURE_CATEGORY,
								   1500);
	size_t		row;

	for (row = 0; row < table.nrows; row++)
	{
		bool		churned = table.labels[row];

		tenure[row] = (float) floor(72 * draw() * (churned ? draw() : 1));
		minutes[row] = (float) (100 + 300 * draw() + 60 * churned);
		charge[row] = rintf(minutes[row] * 17) / 100;
		begin[row] = 30.4F * tenure[row] + (float) floor(30 * draw());
		mail[row] = draw() < 0.8 ? 0 : (float) floor(40 * draw());
		plan[row] = (uint16_t) (1 + (draw() < (churned ? 0.9 : 0.5)));
		city[row] = (uint16_t) (1 + 1500 * draw());
		if (draw() < (churned ? 0.3 : 0.1))
			minutes[row] = NAN;
	}
}

static void
test_honest(void)
{
	start(ROWS, 0.25);
	add_honest();
	run();
	ok(count_warnings() == 0, "honest columns draw no warning%s%s",
	   issues.n > 0 ? ": " : "", issues.n > 0 ? issues.items[0].message : "");
	churn_issues_tell(&issues);
	ok(stub_warning_count == 0, "and none is sent");
}

static void
test_columns(void)
{
	float	   *score;
	float	   *falling;
	float	   *status;
	float	   *end;
	float	   *renewal;
	uint16_t   *reason;
	uint16_t   *state_of;
	const ChurnIssue *issue;
	size_t		row;

	start(ROWS, 0.25);
	add_honest();
	score = stub_column(&table, "score", CHURN_FEATURE_NUMBER, 0);
	falling = stub_column(&table, "falling", CHURN_FEATURE_NUMBER, 0);
	status = stub_column(&table, "status", CHURN_FEATURE_NUMBER, 0);
	end = stub_column(&table, "end", CHURN_FEATURE_AGE, 0);
	renewal = stub_column(&table, "renewal", CHURN_FEATURE_AGE, 0);
	reason = stub_column(&table, "reason", CHURN_FEATURE_CATEGORY, 5);
	state_of = stub_column(&table, "state", CHURN_FEATURE_CATEGORY, 4);
	/* a blank reason is no reason */
	strcpy((char *) table.columns[12].categories[4].bytes, "  ");
	for (row = 0; row < table.nrows; row++)
	{
		bool		churned = table.labels[row];

		score[row] = (float) (draw() + (churned ? 0.95 : 0));
		falling[row] = -score[row];
		status[row] = churned ? 3 : (float) (1 + 4 * (draw() < 0.5));
		end[row] = churned ? (float) (90 * draw()) : NAN;
		renewal[row] = churned ? NAN : (float) (90 * draw());
		reason[row] = churned && draw() < 0.3 ?
			(uint16_t) (1 + 4 * draw()) : 5;
		state_of[row] = churned ? 4 : (uint16_t) (1 + 3 * draw());
	}
	run();
	issue = find("separates", "score", NULL);
	ok(issue != NULL && issue->value > 0.97 && issue->value < 1 &&
	   strcmp(issue->statistic, "auc") == 0 &&
	   strstr(issue->message, "column \"score\" alone tells") != NULL &&
	   strstr(issue->detail, "Its AUC is 0.9") != NULL, "a telling number: %s",
	   issue != NULL ? issue->detail : "");
	ok(find("separates", "falling", NULL) != NULL, "and a falling one");
	ok(find("separates", "status", NULL) != NULL,
	   "a number that tells at one value in the middle");
	ok(find("separates", "state", NULL) != NULL, "a category that tells");
	issue = find("filled_for_one_class", "end", NULL);
	ok(issue != NULL && issue->value == 1 &&
	   strstr(issue->message, "only for customers who churned") != NULL,
	   "a date filled for one class");
	ok(find("missing_for_one_class", "renewal", NULL) == NULL &&
	   find("filled_for_one_class", "renewal", NULL) != NULL,
	   "or for the other");
	issue = find("filled_for_one_class", "reason", NULL);
	ok(issue != NULL && fabs(issue->value - 0.3) < 0.05,
	   "a text that is blank for one class and mostly for the other");
	ok(count_warnings() == 7, "and nothing else: %zu", count_warnings());
	churn_issues_tell(&issues);
	ok(stub_warning_count == 7, "each is sent");
}

/* Months since the contract began against months of service. */
static void
test_pair(void)
{
	float	   *began;
	float	   *months;
	float	   *noise;
	const ChurnIssue *issue;
	size_t		row;

	start(ROWS, 0.25);
	add_honest();
	began = stub_column(&table, "began", CHURN_FEATURE_AGE, 0);
	months = stub_column(&table, "months", CHURN_FEATURE_NUMBER, 0);
	noise = stub_column(&table, "noise", CHURN_FEATURE_NUMBER, 0);
	for (row = 0; row < table.nrows; row++)
	{
		double		since = table.labels[row] ? 1 + floor(4 * draw()) : 0;

		months[row] = (float) floor(70 * draw());
		began[row] = (float) floor(30.44 * (months[row] + since) + 2 * draw());
		noise[row] = (float) draw();
		/* a few stayers came back: the line has to bear with them */
		if (!table.labels[row] && draw() < 0.05)
			began[row] += 400;
		if (draw() < 0.05)
			months[row] = NAN;
	}
	run();
	issue = find("pair_separates", "began", "months");
	ok(issue != NULL && issue->value > 0.9, "a pair that tells: %s",
	   issue != NULL ? issue->detail : "");
	ok(count_warnings() == 1, "and nothing else");

	/* the same lags for both classes tell nothing */
	for (row = 0; row < table.nrows; row++)
		table.labels[row] = draw() < 0.25;
	run();
	ok(count_warnings() == 0, "unless it does");
}

static void
test_rows(void)
{
	float	   *few;
	const ChurnIssue *issue;
	size_t		row;

	start(400, 0.1);
	few = stub_column(&table, "few", CHURN_FEATURE_NUMBER, 0);
	for (row = 0; row < table.nrows; row++)
		few[row] = (float) (row < 20 ? row / 4 : row);
	for (row = 0; row < 20; row++)
		table.labels[row] = row == 1 || row == 5;
	run();
	issue = find("rare_class", NULL, NULL);
	ok(issue != NULL && issue->severity == CHURN_SEVERITY_WARNING &&
	   issue->rows > 20 && issue->rows < 50 && fabs(issue->value - 0.1) < 0.05,
	   "a rare class: %s", issue != NULL ? issue->message : "");
	issue = find("duplicates", NULL, NULL);
	ok(issue != NULL && issue->severity == CHURN_SEVERITY_NOTICE &&
	   issue->rows == 15 && issue->value == 5, "equal rows: %s",
	   issue != NULL ? issue->message : "");
	issue = find("conflicting_labels", NULL, NULL);
	ok(issue != NULL && issue->rows == 8 && issue->value == 2,
	   "that contradict each other: %s",
	   issue != NULL ? issue->message : "");

	/* almost nobody churned: nothing is said of columns */
	for (row = 0; row < table.nrows; row++)
		table.labels[row] = row < 5;
	run();
	ok(find("separates", NULL, NULL) == NULL, "five rows prove nothing");
}

/* What goes into RESULT. */
static void
test_document(void)
{
	ChurnArena *arena = churn_arena_create();
	ChurnError	error;
	ChurnValue *array;
	char	   *text;
	size_t		length;

	array = churn_issues_value(&issues, arena, &error);
	ok(array != NULL && array->kind == CHURN_VALUE_ARRAY &&
	   array->length == issues.n &&
	   strcmp(churn_value_text(array->u.elements[0], "kind", ""),
			  issues.items[0].kind) == 0 &&
	   churn_json_write(array, arena, &text, &length, &error),
	   "issues as a document");
	churn_arena_destroy(arena);
}

int
main(void)
{
	stub_table(&table, 1, 1);
	test_honest();
	test_columns();
	test_pair();
	test_rows();
	test_document();
	free_issues();
	stub_free(&table);
	return done();
}
