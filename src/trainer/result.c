/*
 * result.c
 *		What the extension gets: the model file and what is known of it.
 */
#include "result.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "channel.h"
#include "describe.h"
#include "memory.h"

/* Bytes of a RESULT frame that categories may take. */
#define MAX_CATEGORY_BYTES	(CHURN_FRAME_MAX / 4 * 3)

/* Sends the model file in pieces. */
static void
send_artifact(const char *bytes, uint64_t length)
{
	while (length > 0)
	{
		uint32_t	some = length > CHURN_FRAME_MAX ? CHURN_FRAME_MAX :
		(uint32_t) length;

		churn_channel_write(CHURN_FRAME_ARTIFACT, bytes, some);
		bytes += some;
		length -= some;
	}
}

/* The rows and the positives among them, in all and in each part. */
static void
set_counts(ChurnObject result, const ChurnRows *rows, const ChurnTable *table)
{
	churn_object_set_integer(result, "rows", rows->nrows);
	churn_object_set_integer(result, "train_rows",
							 churn_table_rows(table, CHURN_PART_TRAIN));
	churn_object_set_integer(result, "validation_rows",
							 churn_table_rows(table, CHURN_PART_VALIDATION));
	churn_object_set_integer(result, "test_rows",
							 churn_table_rows(table, CHURN_PART_TEST));
	churn_object_set_integer(result, "positives", rows->positives);
	churn_object_set_integer(result, "train_positives",
							 table->positives[CHURN_PART_TRAIN]);
	churn_object_set_integer(result, "validation_positives",
							 table->positives[CHURN_PART_VALIDATION]);
	churn_object_set_integer(result, "test_positives", table->positives[CHURN_PART_TEST]);
	churn_object_set_integer(result, "duplicates_dropped", table->duplicates);
}

/* The scores of a metric, fold by fold. */
static void
set_folds(ChurnObject object, const ChurnMetric *metric)
{
	ChurnValue *folds = churn_object_set_array(object, "folds");
	ChurnError	error;
	int			i;

	for (i = 0; i < metric->nfolds; i++)
	{
		const char *score = (const char *) &metric->folds[i] + metric->offset;

		churn_array_append(folds, churn_value_double(object.arena,
													 *(const double *) score,
													 &error), object.arena);
	}
}

/* The metrics, each with its data set and the rows it was measured on. */
static void
set_metrics(ChurnObject result, const ChurnQuality *quality)
{
	ChurnValue *metrics = churn_object_set_array(result, "metrics");
	size_t		i;

	for (i = 0; i < quality->nmetrics; i++)
	{
		const ChurnMetric *metric = &quality->metrics[i];
		ChurnObject object = churn_object_new(result.arena);

		churn_object_set_text(object, "dataset", metric->dataset);
		churn_object_set_text(object, "candidate", metric->candidate);
		churn_object_set_text(object, "metric", metric->name);
		churn_object_set_number(object, "value", metric->value);
		churn_object_set_number(object, "spread", metric->spread);
		churn_object_set_integer(object, "n", metric->n);
		if (metric->nfolds > 0)
			set_folds(object, metric);
		churn_array_append(metrics, object.value, result.arena);
	}
	churn_object_set_number(result, "champion_pr_auc",
							quality->champion_pr_auc);
}

/* The features with their importance. */
static void
set_features(ChurnObject result, const ChurnFinished *finished,
			 const ChurnTable *table)
{
	ChurnValue *features = churn_object_set_array(result, "features");
	size_t		i;

	for (i = 0; i < table->ncolumns; i++)
	{
		ChurnObject feature = churn_describe_feature(&table->columns[i],
													 result.arena);

		churn_object_set_number(feature, "importance",
								finished->importance[i]);
		churn_object_set_number(feature, "mean_abs_shap", finished->shap[i]);
		churn_array_append(features, feature.value, result.arena);
	}
}

/* A table of settings as an object of values in effect. */
static void
set_settings(ChurnObject result, const char *name, const ChurnSetting *settings)
{
	ChurnObject object = churn_object_new(result.arena);
	ChurnError	error;

	for (; settings->name != NULL; settings++)
		churn_object_set_value(object, settings->name,
							   churn_setting_value(settings, result.arena, &error));
	churn_object_set_value(result, name, object.value);
}

/* The names of a blend's members. */
static void
set_members(ChurnObject object, const ChurnSelection *selection,
			const ChurnTrial *trial)
{
	ChurnValue *members = churn_object_set_array(object, "members");
	ChurnError	error;
	int			i;

	for (i = 0; i < trial->nmembers; i++)
	{
		const ChurnTrial *member = &selection->trials[trial->members[i]];

		churn_array_append(members,
						   churn_value_string(object.arena,
											  member->candidate.name, &error),
						   object.arena);
	}
}

/* The candidates from the best to the worst. */
static void
set_candidates(ChurnObject result, const ChurnSelection *selection)
{
	ChurnValue *candidates = churn_object_set_array(result, "candidates");
	ChurnError	error;
	int			i;

	for (i = 0; i < selection->ntrials; i++)
	{
		int			number = selection->order[i];
		const ChurnTrial *trial = &selection->trials[number];
		const ChurnLearner *learner = trial->candidate.learner;
		ChurnObject object = churn_object_new(result.arena);

		churn_object_set_text(object, "candidate", trial->candidate.name);
		churn_object_set_text(object, "algorithm",
							  learner != NULL ? learner->name : "blend");
		churn_object_set_integer(object, "rank", (uint64_t) i + 1);
		churn_object_set_value(object, "chosen",
							   churn_value_boolean(result.arena,
												   number == selection->winner,
												   &error));
		churn_object_set_text(object, "reason", trial->reason);
		if (learner != NULL)
			set_settings(object, "params", trial->candidate.params);
		else
			set_members(object, selection, trial);
		if (learner != NULL && learner->has_rounds)
			churn_object_set_integer(object, "rounds",
									 (uint64_t) trial->rounds);
		churn_object_set_number(object, "seconds", trial->seconds);
		churn_array_append(candidates, object.value, result.arena);
	}
}

/* The parameters in effect: the learner's, or each member's by its name. */
static void
set_params(ChurnObject result, const ChurnSelection *selection)
{
	const ChurnTrial *winner = &selection->trials[selection->winner];
	ChurnObject members;
	int			i;

	if (winner->nmembers == 0)
	{
		set_settings(result, "params", winner->candidate.params);
		return;
	}
	members = churn_object_new(result.arena);
	for (i = 0; i < winner->nmembers; i++)
	{
		const ChurnCandidate *member =
		&selection->trials[winner->members[i]].candidate;

		set_settings(members, member->learner->name, member->params);
	}
	churn_object_set_value(result, "params", members.value);
}

/* The versions of the libraries that the model was made with. */
static void
set_versions(ChurnObject result, const ChurnFinished *finished)
{
	ChurnObject versions = churn_object_new(result.arena);
	int			i;

	for (i = 0; i < finished->ncomponents; i++)
	{
		const ChurnLearner *learner = finished->learners[i];

		if (learner->library != NULL)
			churn_object_set_text(versions, learner->library,
								  learner->version());
	}
	churn_object_set_value(result, "library_versions", versions.value);
}

void
churn_result_check(const ChurnTable *table)
{
	size_t		bytes = 0;
	size_t		i;
	uint32_t	j;

	for (i = 0; i < table->ncolumns; i++)
	{
		for (j = 0; j < table->columns[i].ncategories; j++)
			bytes += table->columns[i].categories[j].length + 3;
	}
	if (bytes > MAX_CATEGORY_BYTES)
		churn_failure(CHURN_SQLSTATE_LIMIT, NULL,
					  "Exclude text columns with many or long values.",
					  "the categories of the text columns take %zu bytes, "
					  "more than %d", bytes, MAX_CATEGORY_BYTES);
}

void
churn_result_send(const ChurnSettings *settings, const ChurnRows *rows,
				  const ChurnTable *table, const ChurnSelection *selection,
				  const ChurnFinished *finished, const ChurnQuality *quality,
				  const ChurnIssues *issues)
{
	ChurnObject result = churn_object_new(settings->arena);
	const ChurnTrial *winner = &selection->trials[selection->winner];
	ChurnError	error;
	char	   *text;
	char		fingerprint[33];
	size_t		length;

	churn_object_set_text(result, "algorithm", winner->nmembers > 0 ? "blend" :
						  winner->candidate.learner->name);
	set_counts(result, rows, table);
	churn_object_set_number(result, "threshold", finished->threshold);
	if (finished->rounds > 0)
		churn_object_set_integer(result, "rounds",
								 (uint64_t) finished->rounds);
	set_metrics(result, quality);
	snprintf(fingerprint, sizeof(fingerprint), "%016llx%016llx",
			 (unsigned long long) rows->fingerprint[0],
			 (unsigned long long) rows->fingerprint[1]);
	churn_object_set_text(result, "fingerprint", fingerprint);
	set_features(result, finished, table);
	set_params(result, selection);
	set_settings(result, "options", settings->options);
	set_candidates(result, selection);
	churn_object_set_value(result, "truncated",
						   churn_value_boolean(settings->arena,
											   selection->truncated, &error));
	churn_object_set_text(result, "calibration", finished->report.why);
	churn_object_set_value(result, "issues",
						   churn_issues_value(issues, settings->arena, &error));
	churn_object_set_text(result, "seed",
						  churn_format("%.0f",
									   churn_option(settings, "seed")));
	set_versions(result, finished);

	send_artifact((const char *) finished->bytes, finished->length);
	churn_object_set_integer(result, "peak_memory_bytes",
							 churn_memory_peak());
	text = churn_object_write(result, &length);
	if (length > CHURN_FRAME_MAX)
		churn_failure(CHURN_SQLSTATE_LIMIT, NULL,
					  "Exclude text columns with many or long values.",
					  "the description of the model takes %zu bytes, "
					  "more than %d", length, CHURN_FRAME_MAX);
	churn_channel_write(CHURN_FRAME_RESULT, text, (uint32_t) length);
}
