/*
 * validate_keys.c
 *		churn_validate(): keys that several rows have.
 *
 * Keys go through a sort, which spills beyond work_mem, unless an index says
 * that they are unique.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/tuplesort.h"

#include "compat.h"
#include "validate.h"

/* Longest part of a key that is shown, in bytes. */
#define EXAMPLE_BYTES	60

/*
 * Prepares to count keys, if that is needed.
 */
void
churn_validate_keys_begin(ChurnCheckedKey *key)
{
	if (key->usable && !key->unique)
		key->sort = tuplesort_begin_datum(TEXTOID, TextLessOperator,
										  C_COLLATION_OID, false, work_mem,
										  NULL, TUPLESORT_NONE);
}

/*
 * Takes the key of a row.
 */
void
churn_validate_key(ChurnCheckedKey *key, const char *text)
{
	tuplesort_putdatum(key->sort, CStringGetTextDatum(text), false);
}

/*
 * Notes a key that occurs more than once, among the most frequent ones.
 */
static void
note_repeated(ChurnCheckedKey *key, Datum value, int64 count,
			  int64 *most)
{
	int			place = 0;
	char	   *example;
	int			i;

	key->keys++;
	key->repeated += count - 1;
	while (place < list_length(key->examples) && most[place] >= count)
		place++;
	if (place == CHURN_FINDING_EXAMPLES)
		return;
	example = TextDatumGetCString(value);
	example[pg_mbcliplen(example, strlen(example), EXAMPLE_BYTES)] = '\0';
	key->examples = list_insert_nth(key->examples, place, example);
	key->examples = list_truncate(key->examples, CHURN_FINDING_EXAMPLES);
	for (i = CHURN_FINDING_EXAMPLES - 1; i > place; i--)
		most[i] = most[i - 1];
	most[place] = count;
}

/*
 * Counts the keys that occur more than once.
 */
void
churn_validate_keys_end(ChurnCheckedKey *key)
{
	int64		most[CHURN_FINDING_EXAMPLES] = {0};
	Datum		value;
	Datum		last = 0;
	int64		count = 0;
	bool		isnull;

	if (key->sort == NULL)
		return;
	tuplesort_performsort(key->sort);
	while (churn_tuplesort_getdatum(key->sort, &value, &isnull))
	{
		CHECK_FOR_INTERRUPTS();
		if (count > 0 && datumIsEqual(last, value, false, -1))
		{
			count++;
			pfree(DatumGetPointer(value));
			continue;
		}
		if (count > 1)
			note_repeated(key, last, count, most);
		if (count > 0)
			pfree(DatumGetPointer(last));
		last = value;
		count = 1;
	}
	if (count > 1)
		note_repeated(key, last, count, most);
	tuplesort_end(key->sort);
	key->sort = NULL;
}
