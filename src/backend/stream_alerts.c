/*
 * stream_alerts.c
 *		Alerts: rules that look at a new score and its customer.
 *
 * A condition is compiled like a transform, over the customer's columns and
 * four more: so it calls nothing but PostgreSQL's own immutable functions on
 * the values of the row, and no rights are at stake.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/async.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"

#include "attempt.h"
#include "compat.h"
#include "stream_alerts.h"
#include "stream_errors.h"
#include "transform.h"

/* The rules of a model, compiled for rows of one shape. */
typedef struct ChurnAlertReading
{
	int			n;
	ChurnTransforms **rules;	/* by rule; NULL if it failed */
} ChurnAlertReading;

/* An alert that is to be written. */
typedef struct Kept
{
	ChurnAlertRule *rule;
	const char *model;
	ChurnAlertScore score;
} Kept;

/* Alerts that a rule raised in this transaction. */
typedef struct Count
{
	int			rule_id;
	int			alerts;
} Count;

static MemoryContext kept_context = NULL;
static List *raised = NIL;		/* to be written */
static List *counts = NIL;		/* to be notified of */

/* What evaluate() and compile() work on. */
typedef struct Attempt
{
	ChurnReading *reading;
	ChurnAlertReading *alerts;
	int			number;
	bool		holds;
} Attempt;

/*
 * The columns that a condition sees: those of the row, less those that are
 * named like one of ours, and ours.
 */
static TupleDesc
condition_columns(TupleDesc desc)
{
	static const struct
	{
		const char *name;
		Oid			type;
	}			ours[CHURN_ALERT_COLUMNS] = {
		{"score", FLOAT8OID}, {"previous_score", FLOAT8OID},
		{"band", TEXTOID}, {"version", INT4OID}
	};
	TupleDesc	result = CreateTemplateTupleDesc(desc->natts +
												 CHURN_ALERT_COLUMNS);
	int			i;
	int			j;

	for (i = 0; i < desc->natts; i++)
	{
		TupleDescCopyEntry(result, i + 1, desc, i + 1);
		for (j = 0; j < CHURN_ALERT_COLUMNS; j++)
		{
			if (strcmp(NameStr(TupleDescAttr(result, i)->attname),
					   ours[j].name) == 0)
				TupleDescAttr(result, i)->attisdropped = true;
		}
	}
	for (j = 0; j < CHURN_ALERT_COLUMNS; j++)
		TupleDescInitEntry(result, desc->natts + 1 + j, ours[j].name,
						   ours[j].type, -1, 0);
	return result;
}

/*
 * Compiles a condition.
 */
static ChurnTransforms *
compile_condition(const char *name, const char *condition, TupleDesc desc,
				  MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	ChurnTransform *transform = palloc0(sizeof(ChurnTransform));
	ChurnTransforms *result;
	Oid			type;

	transform->name = pstrdup(name);
	transform->text = pstrdup(condition);
	result = churn_transforms_compile(transform, 1, condition_columns(desc),
									  context);
	MemoryContextSwitchTo(old);
	type = result->derived[0].expression->type;
	if (type != BOOLOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("condition of alert rule \"%s\" is of type %s, not boolean",
						name, format_type_be(type)),
				 errhint("Write a comparison, for example: score >= 0.8 AND previous_score < 0.8")));
	return result;
}

/*
 * Complains of a condition that rows of desc could not be tested with.
 */
void
churn_alert_check(const char *condition, TupleDesc desc)
{
	(void) compile_condition("condition", condition, desc,
							 CurrentMemoryContext);
}

/*
 * Compiles a rule; for churn_attempt().
 */
static void
compile(void *arg)
{
	Attempt    *attempt = arg;
	ChurnReading *reading = attempt->reading;
	ChurnAlertRule *rule = list_nth(reading->model->rules, attempt->number);

	attempt->alerts->rules[attempt->number] =
		compile_condition(rule->name, rule->condition, reading->desc,
						  GetMemoryChunkContext(reading->values));
}

/*
 * Evaluates a rule; for churn_attempt().  NULL does not raise an alert.
 */
static void
evaluate(void *arg)
{
	Attempt    *attempt = arg;
	ChurnReading *reading = attempt->reading;
	ChurnTransforms *rule = attempt->alerts->rules[attempt->number];

	churn_transforms_run(rule, reading->values, reading->nulls);
	attempt->holds = !rule->nulls[0] && DatumGetBool(rule->values[0]);
}

/*
 * Reports a rule that failed.
 */
static void
report(const ChurnReading *reading, ChurnAlertRule *rule,
	   const ChurnAlertScore *score, ErrorData *error)
{
	rule->failed = true;
	error->detail = psprintf("Alert rule \"%s\": %s%s%s", rule->name,
							 rule->condition,
							 error->detail != NULL ? "\n" : "",
							 error->detail != NULL ? error->detail : "");
	churn_stream_error_row("alert", reading->model->name, NULL, score->key,
						   score->lsn, error);
}

/*
 * Compiles all rules for rows of the reading's shape.
 */
static void
compile_rules(ChurnReading *reading, const ChurnAlertScore *score)
{
	MemoryContext context = GetMemoryChunkContext(reading->values);
	ChurnAlertReading *alerts = MemoryContextAllocZero(context,
													   sizeof(ChurnAlertReading));
	Attempt		attempt = {reading, alerts, 0, false};

	alerts->n = list_length(reading->model->rules);
	alerts->rules = MemoryContextAllocZero(context, sizeof(ChurnTransforms *) *
										   Max(alerts->n, 1));
	for (; attempt.number < alerts->n; attempt.number++)
	{
		ErrorData  *error = churn_attempt(compile, &attempt);

		if (error != NULL)
			report(reading, list_nth(reading->model->rules, attempt.number),
				   score, error);
	}
	reading->alerts = alerts;
}

/*
 * Keeps an alert.
 */
static void
keep(ChurnAlertRule *rule, const char *model, const ChurnAlertScore *score)
{
	MemoryContext old;
	Kept	   *alert;

	if (kept_context == NULL)
		kept_context = AllocSetContextCreate(TopMemoryContext, "churn alerts",
											 ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(kept_context);
	alert = palloc(sizeof(Kept));
	alert->rule = rule;
	alert->model = model;
	alert->score = *score;
	alert->score.key = pstrdup(score->key);
	raised = lappend(raised, alert);
	MemoryContextSwitchTo(old);
}

/*
 * Evaluates the rules on a row; see stream_alerts.h.
 */
void
churn_alerts_look(ChurnReading *reading, const ChurnAlertScore *score)
{
	int			natts = reading->desc->natts;
	Attempt		attempt = {reading};

	if (reading->alerts == NULL)
		compile_rules(reading, score);
	attempt.alerts = reading->alerts;
	reading->values[natts] = Float8GetDatum(score->score);
	reading->values[natts + 1] = Float8GetDatum(score->previous);
	reading->nulls[natts + 1] = !score->has_previous;
	reading->values[natts + 2] = CStringGetTextDatum(score->band);
	reading->values[natts + 3] = Int32GetDatum(score->version);
	for (; attempt.number < attempt.alerts->n; attempt.number++)
	{
		ChurnAlertRule *rule = list_nth(reading->model->rules, attempt.number);
		ErrorData  *error;

		if (rule->failed || attempt.alerts->rules[attempt.number] == NULL)
			continue;
		error = churn_attempt(evaluate, &attempt);
		if (error != NULL)
			report(reading, rule, score, error);
		else if (attempt.holds)
			keep(rule, reading->model->name, score);
	}
}

/*
 * Writes one alert unless the customer raised it a short time ago; returns
 * whether it was written.
 */
static bool
write_alert(const Kept *alert)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[] = {INT4OID, TEXTOID, TEXTOID, TEXTOID, INT4OID,
	FLOAT8OID, FLOAT8OID, TEXTOID, TIMESTAMPTZOID, LSNOID, INTERVALOID};
	const ChurnAlertScore *score = &alert->score;
	Datum		values[11];
	char		nulls[11];

	if (plan == NULL)
	{
		plan = SPI_prepare("INSERT INTO churn.alerts (rule_id, rule, model,"
						   " customer_key, version, score, previous_score, band,"
						   " raised_at, lsn) "
						   "SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 "
						   "WHERE NOT EXISTS (SELECT FROM churn.alerts a"
						   " WHERE a.customer_key = $4 AND a.rule_id = $1"
						   " AND a.raised_at > $9 - $11)",
						   lengthof(types), types);
		SPI_keepplan(plan);
	}
	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int32GetDatum(alert->rule->rule_id);
	values[1] = CStringGetTextDatum(alert->rule->name);
	values[2] = CStringGetTextDatum(alert->model);
	values[3] = CStringGetTextDatum(score->key);
	values[4] = Int32GetDatum(score->version);
	values[5] = Float8GetDatum(score->score);
	values[6] = Float8GetDatum(score->previous);
	nulls[6] = score->has_previous ? ' ' : 'n';
	values[7] = CStringGetTextDatum(score->band);
	values[8] = TimestampTzGetDatum(score->scored_at);
	values[9] = LSNGetDatum(score->lsn);
	nulls[9] = XLogRecPtrIsInvalid(score->lsn) ? 'n' : ' ';
	values[10] = alert->rule->cooldown;
	SPI_execute_plan(plan, values, nulls, false, 0);
	return SPI_processed > 0;
}

/*
 * Counts an alert of a rule.
 */
static void
count_alert(int rule_id)
{
	MemoryContext old;
	Count	   *count;
	ListCell   *cell;

	foreach(cell, counts)
	{
		count = lfirst(cell);
		if (count->rule_id == rule_id)
		{
			count->alerts++;
			return;
		}
	}
	old = MemoryContextSwitchTo(kept_context);
	count = palloc(sizeof(Count));
	count->rule_id = rule_id;
	count->alerts = 1;
	counts = lappend(counts, count);
	MemoryContextSwitchTo(old);
}

/*
 * Writes the alerts that were
 */
void
churn_alerts_write(void)
{
	ListCell   *cell;

	foreach(cell, raised)
	{
		const Kept *alert = lfirst(cell);

		if (write_alert(alert))
			count_alert(alert->rule->rule_id);
	}
	raised = NIL;
}

/*
 * Notifies of what was written; see stream_alerts.h.
 */
void
churn_alerts_notify(void)
{
	ListCell   *cell;

	foreach(cell, counts)
	{
		const Count *count = lfirst(cell);

		Async_Notify("churn_alerts",
					 psprintf("{\"rule_id\": %d, \"count\": %d}",
							  count->rule_id, count->alerts));
	}
	churn_alerts_forget();
}

/*
 * Forgets what was kept.
 */
void
churn_alerts_forget(void)
{
	raised = NIL;
	counts = NIL;
	if (kept_context != NULL)
		MemoryContextReset(kept_context);
}
