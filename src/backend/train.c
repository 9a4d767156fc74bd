/*
 * train.c
 *		churn_train(): trains a new version of a model.
 *
 * The rows go to the program churn-trainer, which does the work and sends back
 * a model file; here it is decided what is read and with whose rights, and the
 * result is checked, compiled and registered.
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "churn/xgboost.h"

#include "compat.h"
#include "encoding.h"
#include "train.h"

PG_FUNCTION_INFO_V1(churn_train);

/* Columns of its result. */
#define RESULT_COLUMNS	12

/*
 * Decides what is trained on what, and whether the caller may.
 */
static void
choose(ChurnTraining *training)
{
	ChurnRegistration *registration = &training->registration;
	ChurnColumns *columns;
	Form_pg_attribute label;

	training->source = churn_source_open(training->source_text,
										 training->context);
	MemoryContextSwitchTo(training->context);
	if (registration->model == NULL)
	{
		if (training->source->name == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a model trained on a query needs a name"),
					 errhint("Name it: model => '...'.")));
		registration->model = pstrdup(training->source->name);
	}
	if (training->source->relation != NULL)
		registration->source_relation = pstrdup(training->source->relation);
	registration->source_query = pstrdup(training->source->statement);
	churn_registration_check(registration);
	columns = churn_columns_choose(training->source, training->label_name,
								   training->key_name, training->exclude,
								   training->as_of, training->transforms,
								   training->rules != NULL);
	training->columns = columns;
	if (columns->key >= 0)
		registration->key =
			pstrdup(NameStr(TupleDescAttr(training->source->desc,
										  columns->key)->attname));
	label = TupleDescAttr(training->source->desc, columns->label);
	churn_label_init(&training->label, training->label_name, label->atttypid,
					 training->positive, training->context);
	churn_training_champion(training);
}

/*
 * Appends a column to the configuration; transform is NULL unless an
 * expression computes it.
 */
static void
append_column(StringInfo json, const char *name, Oid type,
			  const char *transform)
{
	ChurnReader reader;

	churn_reader_init(&reader, type);
	appendStringInfoString(json, json->data[json->len - 1] == '[' ?
						   "{\"name\": " : ", {\"name\": ");
	churn_escape_json(json, name);
	appendStringInfo(json, ", \"kind\": \"%s\", \"type\": ",
					 churn_column_kind_name(reader.kind));
	churn_escape_json(json, format_type_be(type));
	if (transform != NULL)
	{
		appendStringInfoString(json, ", \"transform\": ");
		churn_escape_json(json, transform);
	}
	appendStringInfoChar(json, '}');
}

/*
 * Sends the configuration, and waits until the trainer accepts it.
 */
static void
send_config(ChurnTraining *training, ChurnChannel *channel, double estimate)
{
	const ChurnColumns *columns = training->columns;
	TupleDesc	desc = training->source->desc;
	StringInfoData json;
	char	   *frame;
	size_t		length;
	int			i;

	initStringInfo(&json);
	appendStringInfoSpaces(&json, CHURN_FRAME_HEADER);
	appendStringInfo(&json, "{\"protocol\": %d, \"algorithm\": ",
					 CHURN_PROTOCOL_VERSION);
	churn_escape_json(&json, training->algorithm ? training->algorithm :
					  "auto");
	appendStringInfoString(&json, ", \"columns\": [");
	for (i = 0; i < columns->nfeatures; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, columns->features[i]);

		append_column(&json, NameStr(att->attname), att->atttypid, NULL);
	}
	for (i = 0; i < columns->ntransforms; i++)
		append_column(&json, columns->transforms[i].name,
					  columns->transform_types[i],
					  columns->transforms[i].text);
	appendStringInfo(&json, "], \"duplicate_keys\": \"%s\"",
					 churn_training_duplicate_keys(training));
	appendStringInfo(&json,
					 ", \"params\": %s, \"options\": %s, \"split_seed\": \""
					 INT64_FORMAT "\", \"has_key\": %s, "
					 "\"has_champion\": %s, \"threads\": %d, "
					 "\"estimated_rows\": %.0f",
					 training->params ? training->params : "{}",
					 training->options ? training->options : "{}",
					 training->registration.split_seed,
					 columns->key >= 0 ? "true" : "false",
					 training->champion != NULL ? "true" : "false",
					 churn_trainer_threads(), estimate);
	if (columns->as_of >= 0)
	{
		appendStringInfoString(&json, ", \"as_of\": {\"column\": ");
		churn_escape_json(&json,
						  NameStr(TupleDescAttr(desc,
												columns->as_of)->attname));
		appendStringInfoChar(&json, '}');
	}
	if (training->rules != NULL)
		appendStringInfo(&json, ", \"rules\": %s", training->rules);
	appendStringInfoChar(&json, '}');
	length = json.len;
	frame = unconstify(char *, churn_to_utf8(json.data, &length));
	length -= CHURN_FRAME_HEADER;
	if (length > CHURN_FRAME_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("columns, params and options take %zu bytes as JSON, more than the limit of %d",
						length, CHURN_FRAME_MAX)));
	churn_channel_send(channel, CHURN_FRAME_CONFIG, frame, length);
	pfree(frame);
	churn_channel_await_ready(channel);
}

/*
 * Tells the client that all rows are read.
 */
static void
tell_rows(const ChurnTraining *training, int64 rows)
{
	if (training->label.missing > 0)
		ereport(NOTICE,
				(errmsg("%lld rows read, %lld more have no label and are left out",
						(long long) rows,
						(long long) training->label.missing)));
	else
		ereport(NOTICE,
				(errmsg("%lld rows read", (long long) rows)));
}

/*
 * Streams the rows to the trainer, under the statement's snapshot and with
 * the caller's rights.
 */
static void
stream_rows(ChurnTraining *training, ChurnChannel *channel,
			const ChurnSourcePlan *plan)
{
	ChurnRowStream *stream;

	churn_tracker_phase(&training->tracker, CHURN_PHASE_READING);
	stream = churn_row_stream_make(channel, training->source, plan,
								   training->columns, &training->label,
								   training->champion, training->context);
	churn_source_read(plan, churn_row_stream_receiver(stream));
	MemoryContextSwitchTo(training->context);
	churn_label_finish(&training->label);
	tell_rows(training, churn_row_stream_finish(stream));
	training->registration.rows_without_label = training->label.missing;
	training->registration.expectations =
		churn_training_expectations(training, stream);
}

/*
 * Trains: from the choice of columns to the trainer's result.
 */
static ChurnChannel *
run_trainer(ChurnTraining *training)
{
	ChurnSourcePlan *plan;
	ChurnChannel *channel;
	Bitmapset  *needed;

	SPI_connect();
	choose(training);
	churn_tracker_start(&training->tracker, training->source->relid,
						training->registration.started_at);
	needed = bms_union(churn_columns_needed(training->columns),
					   training->champion_columns);
	plan = churn_source_plan(training->source, needed, training->context);
	training->tracker.rows_total = (int64) Min(plan->rows, 1e15);
	channel = churn_channel_open(training->context, &training->tracker);
	send_config(training, channel, plan->rows);
	stream_rows(training, channel, plan);
	SPI_finish();
	MemoryContextSwitchTo(training->context);
	churn_channel_finish(channel);
	churn_trainer_stop(channel->trainer);
	churn_tracker_phase(&training->tracker, CHURN_PHASE_SAVING);
	return channel;
}

/*
 * Whether the model has a feature that is the age of a date.
 */
static bool
uses_ages(const ChurnModel *model)
{
	uint32		i;

	for (i = 0; i < model->nfeatures; i++)
	{
		if (model->features[i].kind == CHURN_FEATURE_AGE)
			return true;
	}
	return false;
}

/*
 * From when the model's ages count, as it is recorded with the version; NULL
 * without ages.
 */
static char *
as_of_text(const ChurnTraining *training, const ChurnModel *model)
{
	const ChurnColumns *columns = training->columns;

	if (!uses_ages(model))
		return NULL;
	if (columns->as_of >= 0)
		return pstrdup(training->as_of);
	return churn_day_text(columns->as_of_day);
}

/*
 * Adds to the trainer's result what the registry calls by its own names.
 */
static char *
complete_result(ChurnTraining *training)
{
	ChurnArena *arena = &training->arena;
	ChurnValue *result = training->result;
	ChurnValue *params = churn_value_get(result, "params");
	ChurnError	error;
	size_t		length;
	char	   *json;

	if (training->given_rules != NULL && params != NULL &&
		!churn_value_set(params, "rules",
						 churn_json_read(training->given_rules,
										 strlen(training->given_rules),
										 arena, &error),
						 arena, &error))
		churn_throw(&error, "rules");
	if (!churn_value_set(result, "data_fingerprint",
						 churn_value_string(arena,
											churn_value_text(result,
															 "fingerprint",
															 ""),
											&error),
						 arena, &error) ||
		(training->champion != NULL &&
		 !churn_value_set(result, "champion_version",
						  churn_value_integer(arena,
											  training->champion->version,
											  &error),
						  arena, &error)) ||
		!churn_json_write(result, arena, &json, &length, &error))
		churn_throw(&error, "result of churn-trainer");
	return json;
}

/*
 * Checks and compiles the trainer's model and registers it.
 */
static void
register_result(ChurnTraining *training, const ChurnChannel *channel)
{
	ChurnRegistration *registration = &training->registration;
	ChurnArtifact *artifact;
	ChurnModel *model;
	ChurnError	error;

	training->result = churn_json_read(channel->result,
									   strlen(channel->result),
									   &training->arena, &error);
	if (training->result == NULL)
		churn_throw(&error, "result of churn-trainer");
	artifact = churn_artifact_read(channel->artifact,
								   channel->artifact_length,
								   &training->arena, &error);
	if (artifact == NULL)
		churn_throw(&error, "model of churn-trainer");
	model = churn_artifact_model(artifact, &training->arena, &error);
	if (model == NULL)
		churn_throw(&error, "model of churn-trainer");
	registration->as_of = as_of_text(training, model);
	registration->result = complete_result(training);
	churn_registration_write(registration, artifact, model,
							 &training->arena);
	if (registration->promoted)
		ereport(NOTICE,
				(errmsg("version %d of model \"%s\" is in force: %s",
						registration->version, registration->model,
						registration->reason)));
	else
		ereport(NOTICE,
				(errmsg("version %d of model \"%s\" is not in force: %s",
						registration->version, registration->model,
						registration->reason),
				 errhint("churn_promote() puts it in force.")));
}

/*
 * A metric of the test part as a column of the result.
 */
static void
metric_column(const ChurnValue *result, const char *name, Datum *value,
			  bool *isnull)
{
	ChurnValue *metrics = churn_value_get(result, "metrics");
	size_t		i;

	*isnull = true;
	if (metrics == NULL || metrics->kind != CHURN_VALUE_ARRAY)
		return;
	for (i = 0; i < metrics->length; i++)
	{
		const ChurnValue *metric = metrics->u.elements[i];
		double		number = churn_value_number(metric, "value", NAN);

		if (strcmp(churn_value_text(metric, "dataset", ""), "test") != 0 ||
			strcmp(churn_value_text(metric, "candidate", ""), "") != 0 ||
			strcmp(churn_value_text(metric, "metric", ""), name) != 0 ||
			isnan(number))
			continue;
		*value = Float8GetDatum(number);
		*isnull = false;
	}
}

/*
 * The row that churn_train() returns.
 */
static Datum
result_row(const ChurnTraining *training, TupleDesc desc)
{
	static const char *const metrics[] = {"pr_auc", "roc_auc", "f1",
	"precision", "recall"};
	const ChurnRegistration *registration = &training->registration;
	const ChurnValue *result = training->result;
	double		threshold = churn_value_number(result, "threshold", NAN);
	double		rows = churn_value_number(result, "rows", 0);
	Datum		values[RESULT_COLUMNS] = {0};
	bool		nulls[RESULT_COLUMNS] = {false};
	size_t		i;

	values[0] = CStringGetTextDatum(registration->model);
	values[1] = Int32GetDatum(registration->version);
	values[2] = CStringGetTextDatum(churn_value_text(result, "algorithm", ""));
	values[3] = BoolGetDatum(registration->promoted);
	for (i = 0; i < lengthof(metrics); i++)
		metric_column(result, metrics[i], &values[4 + i], &nulls[4 + i]);
	values[9] = Float8GetDatum(threshold);
	nulls[9] = isnan(threshold);
	values[10] = Int64GetDatum((int64) rows);
	values[11] = Float8GetDatum((GetCurrentTimestamp() -
								 registration->started_at) / 1e6);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/*
 * churn_train(source text, label text, key text, model text, algorithm text,
 *			   positive text, exclude text[], transform jsonb, params jsonb,
 *			   options jsonb)
 *		-> (model, version, algorithm, promoted, pr_auc, roc_auc, f1,
 *			precision, recall, threshold, rows, seconds)
 *
 * Trains a new version of a model on a table, view or query.
 */
Datum
churn_train(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "churn train",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ChurnTraining *training = palloc0(sizeof(ChurnTraining));
	ChurnChannel *channel;
	TupleDesc	desc;
	Datum		row;

	PreventCommandDuringRecovery("churn_train()");
	PreventCommandIfReadOnly("churn_train()");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	desc = BlessTupleDesc(desc);
	training->context = context;
	training->arena = churn_memory_arena(context);
	training->registration.started_at = GetCurrentTimestamp();
	(void) churn_registry_relation("models");
	churn_training_arguments(training, fcinfo);
	channel = run_trainer(training);
	register_result(training, channel);
	MemoryContextSwitchTo(old);
	row = result_row(training, desc);
	churn_tracker_end();
	MemoryContextDelete(context);
	PG_RETURN_DATUM(row);
}
