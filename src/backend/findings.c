/*
 * findings.c
 *		What churn_validate() finds: rows of churn.data_issues to be.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/hsearch.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "findings.h"

/* Bytes of a text that is counted, with its end. */
#define TEXT_BYTES		64

/* Errors that the detail of an error lists. */
#define MAX_LINES		10

/* Different texts that are told apart. */
#define MAX_TEXTS		1000

/* A text, and how often it occurred. */
typedef struct Text
{
	char text[	TEXT_BYTES];	/* key of the hash table */
	int64		count;
} Text;

struct ChurnTally
{
	HTAB	   *texts;
	bool		all;			/* false: some texts were not told apart */
};

static const char *const severity_names[] = {"notice", "warning", "error"};

/*
 * Adds a finding to a list.
 */
ChurnFinding *
churn_findings_add(List **findings, ChurnFindingSeverity severity,
				   const char *kind, const char *feature,
				   const char *format,...)
{
	ChurnFinding *finding = palloc0(sizeof(ChurnFinding));
	StringInfoData message;

	initStringInfo(&message);
	for (;;)
	{
		va_list		arguments;
		int			needed;

		va_start(arguments, format);
		needed = appendStringInfoVA(&message, format, arguments);
		va_end(arguments);
		if (needed == 0)
			break;
		enlargeStringInfo(&message, needed);
	}
	finding->severity = severity;
	finding->kind = kind;
	finding->feature = feature;
	finding->value = NAN;
	finding->rows = -1;
	finding->message = message.data;
	*findings = lappend(*findings, finding);
	return finding;
}

/*
 * How many are errors.
 */
int
churn_findings_errors(const List *findings)
{
	ListCell   *cell;
	int			errors = 0;

	foreach(cell, findings)
	{
		const ChurnFinding *finding = lfirst(cell);

		errors += finding->severity == CHURN_FINDING_ERROR;
	}
	return errors;
}

/*
 * The errors among them, one a line, or the first of many.
 */
char *
churn_findings_text(const List *findings)
{
	int			more = churn_findings_errors(findings) - MAX_LINES;
	int			lines = 0;
	StringInfoData text;
	ListCell   *cell;

	initStringInfo(&text);
	foreach(cell, findings)
	{
		const ChurnFinding *finding = lfirst(cell);

		if (finding->severity != CHURN_FINDING_ERROR || lines++ >= MAX_LINES)
			continue;
		if (text.len > 0)
			appendStringInfoChar(&text, '\n');
		appendStringInfoString(&text, finding->message);
	}
	if (more > 0)
		appendStringInfo(&text, "\nand %d more", more);
	return text.data;
}

/*
 * Appends a member whose value is a string, unless that is NULL.
 */
static void
append_text(StringInfo json, const char *name, const char *value)
{
	if (value == NULL)
		return;
	appendStringInfo(json, ", \"%s\": ", name);
	escape_json(json, value);
}

/*
 * Appends a finding as a JSON object.
 */
static void
append_finding(StringInfo json, const ChurnFinding *finding)
{
	ListCell   *cell;

	appendStringInfo(json, "{\"severity\": \"%s\"",
					 severity_names[finding->severity]);
	append_text(json, "kind", finding->kind);
	append_text(json, "feature", finding->feature);
	append_text(json, "statistic", finding->statistic);
	if (!isnan(finding->value))
		appendStringInfo(json, ", \"value\": %.17g", finding->value);
	if (finding->rows >= 0)
		appendStringInfo(json, ", \"rows\": " INT64_FORMAT, finding->rows);
	if (finding->examples != NIL)
	{
		appendStringInfoString(json, ", \"examples\": [");
		foreach(cell, finding->examples)
		{
			if (foreach_current_index(cell) > 0)
				appendStringInfoString(json, ", ");
			escape_json(json, lfirst(cell));
		}
		appendStringInfoChar(json, ']');
	}
	append_text(json, "message", finding->message);
	append_text(json, "detail", finding->detail);
	appendStringInfoChar(json, '}');
}

/*
 * The list as JSON.
 */
char *
churn_findings_json(const List *findings)
{
	StringInfoData json;
	ListCell   *cell;

	initStringInfo(&json);
	appendStringInfoChar(&json, '[');
	foreach(cell, findings)
	{
		if (foreach_current_index(cell) > 0)
			appendStringInfoString(&json, ", ");
		append_finding(&json, lfirst(cell));
	}
	appendStringInfoChar(&json, ']');
	return json.data;
}

/*
 * Makes an empty tally.
 */
ChurnTally *
churn_tally_make(MemoryContext context)
{
	ChurnTally *tally = MemoryContextAllocZero(context, sizeof(ChurnTally));
	HASHCTL		control = {0};

	control.keysize = TEXT_BYTES;
	control.entrysize = sizeof(Text);
	control.hcxt = context;
	tally->texts = hash_create("churn tally", 16, &control,
							   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	tally->all = true;
	return tally;
}

/*
 * Counts a text.
 */
void
churn_tally_add(ChurnTally *tally, const char *text, size_t length)
{
	char		key[TEXT_BYTES];
	bool		room = hash_get_num_entries(tally->texts) < MAX_TEXTS;
	bool		found;
	Text	   *entry;

	if (length >= TEXT_BYTES)
		length = pg_mbcliplen(text, length, TEXT_BYTES - 1);
	memcpy(key, text, length);
	key[length] = '\0';
	entry = hash_search(tally->texts, key, room ? HASH_ENTER : HASH_FIND,
						&found);
	if (entry == NULL)
	{
		tally->all = false;
		return;
	}
	entry->count = found ? entry->count + 1 : 1;
}

/*
 * The more frequent text comes first, of equally frequent ones the lesser.
 */
static int
compare_texts(const ListCell *left, const ListCell *right)
{
	const Text *a = lfirst(left);
	const Text *b = lfirst(right);

	if (a->count != b->count)
		return a->count < b->count ? 1 : -1;
	return strcmp(a->text, b->text);
}

/*
 * The texts, the most frequent first.
 */
static List *
sorted_texts(const ChurnTally *tally)
{
	HASH_SEQ_STATUS scan;
	List	   *texts = NIL;
	Text	   *text;

	hash_seq_init(&scan, tally->texts);
	while ((text = hash_seq_search(&scan)) !=NULL)
		texts = lappend(texts, text);
	list_sort(texts, compare_texts);
	return texts;
}

/*
 * The most frequent texts.
 */
List *
churn_tally_examples(const ChurnTally *tally)
{
	List	   *examples = NIL;
	ListCell   *cell;

	foreach(cell, sorted_texts(tally))
	{
		const Text *text = lfirst(cell);

		if (list_length(examples) == CHURN_FINDING_EXAMPLES)
			break;
		examples = lappend(examples, pstrdup(text->text));
	}
	return examples;
}

/*
 * The most frequent texts with their counts, in words.
 */
char *
churn_tally_text(const ChurnTally *tally)
{
	List	   *texts = sorted_texts(tally);
	StringInfoData list;
	ListCell   *cell;

	initStringInfo(&list);
	foreach(cell, texts)
	{
		const Text *text = lfirst(cell);
		int			i = foreach_current_index(cell);

		if (i == CHURN_FINDING_EXAMPLES)
		{
			appendStringInfo(&list, ", and %s%d more",
							 tally->all ? "" : "at least ",
							 list_length(texts) - i);
			break;
		}
		appendStringInfo(&list, "%s\"%s\" ", i > 0 ? ", " : "", text->text);
		if (text->count == 1)
			appendStringInfoString(&list, "once");
		else
			appendStringInfo(&list, INT64_FORMAT " times", text->count);
	}
	return list.data;
}
