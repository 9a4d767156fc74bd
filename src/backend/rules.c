/*
 * rules.c
 *		Rules that the user gives: params => '{"rules": [{"when": ..., "score": ...}]}'.
 *
 * To the trainer a rule is a boolean column and the score of the customers
 * for whom it is true; the column is a transform like any other.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "compat.h"
#include "train.h"

#define MAX_RULES	64

/*
 * Complains of a rule, or of the list if number is 0.
 */
pg_noreturn static void
bad_rule(int number, const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 number > 0 ?
			 errmsg("rule %d %s", number, problem) :
			 errmsg("parameter \"rules\" %s", problem),
			 errhint("For example: params => '{\"rules\": [{\"when\": \"contract = ''Month-to-month''\", \"score\": 0.4}]}'.")));
}

/*
 * Reads the condition of a rule.
 */
static char *
read_condition(const JsonbValue *rule, int number)
{
	JsonbValue	buffer;
	JsonbValue *value = getKeyJsonValueFromContainer(rule->val.binary.data,
													 "when", strlen("when"),
													 &buffer);

	if (value == NULL || value->type != jbvString)
		bad_rule(number, "has no condition \"when\" that is a string");
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/*
 * Reads the score of a rule, as the JSON number that it is.
 */
static char *
read_score(const JsonbValue *rule, int number)
{
	JsonbValue	buffer;
	JsonbValue *value = getKeyJsonValueFromContainer(rule->val.binary.data,
													 "score", strlen("score"),
													 &buffer);
	Datum		numeric;
	double		score;

	if (value == NULL || value->type != jbvNumeric)
		bad_rule(number, "has no number \"score\"");
	numeric = NumericGetDatum(value->val.numeric);
	score = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
											   numeric));
	if (!(score > 0 && score < 1))
		bad_rule(number, "has a score that is not between 0 and 1");
	return DatumGetCString(DirectFunctionCall1(numeric_out, numeric));
}

/*
 * Takes "rules" out of params.
 */
Jsonb *
churn_training_rules(ChurnTraining *training, Jsonb *params)
{
	JsonbValue	buffer;
	JsonbValue *list = getKeyJsonValueFromContainer(&params->root, "rules",
													strlen("rules"), &buffer);
	StringInfoData json;
	int			n;
	int			i;

	if (list == NULL)
		return params;
	if (training->algorithm == NULL ||
		strcmp(training->algorithm, "rules") != 0)
		bad_rule(0, "is for algorithm \"rules\" alone");
	if (training->transforms != NIL)
		bad_rule(0, "cannot be combined with transforms");
	if (list->type != jbvBinary ||
		!JsonContainerIsArray(list->val.binary.data))
		bad_rule(0, "must be an array of objects");
	n = JsonContainerSize(list->val.binary.data);
	if (n < 1 || n > MAX_RULES)
		bad_rule(0, psprintf("must have 1 to %d rules, not %d", MAX_RULES,
							 n));
	initStringInfo(&json);
	for (i = 1; i <= n; i++)
	{
		JsonbValue *rule = getIthJsonbValueFromContainer(list->val.binary.data,
														 i - 1);
		ChurnTransform *transform = palloc0(sizeof(ChurnTransform));

		if (rule->type != jbvBinary ||
			!JsonContainerIsObject(rule->val.binary.data))
			bad_rule(i, "is no object");
		transform->name = psprintf("rule %d", i);
		transform->text = read_condition(rule, i);
		training->transforms = lappend(training->transforms, transform);
		appendStringInfo(&json, "%s{\"column\": \"%s\", \"score\": %s}",
						 i > 1 ? ", " : "[", transform->name,
						 read_score(rule, i));
		if (JsonContainerSize(rule->val.binary.data) != 2)
			bad_rule(i, "has members besides \"when\" and \"score\"");
	}
	appendStringInfoChar(&json, ']');
	training->rules = json.data;
	training->given_rules = JsonbToCString(NULL, list->val.binary.data,
										   list->val.binary.len);
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_delete,
											  JsonbPGetDatum(params),
											  CStringGetTextDatum("rules")));
}
