/*
 * main.c
 *		The program churn-trainer: learns a model from rows that it is sent.
 *
 * The extension starts it with a socket as descriptor CHURN_TRAINER_FD and
 * speaks churn/protocol.h with it.  Nothing is freed on the way out, and the
 * libraries' destructors do not run, since the process is about to end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel.h"
#include "checks.h"
#include "evaluate.h"
#include "finish.h"
#include "learner.h"
#include "learner_rules.h"
#include "memory.h"
#include "result.h"
#include "rows.h"
#include "select.h"
#include "settings.h"
#include "table.h"

#ifndef CHURN_VERSION
#define CHURN_VERSION "unknown"
#endif

/* True when the extension, or who stands in for it, is at the other end. */
static bool
has_socket(void)
{
	struct stat status;

	return fstat(CHURN_TRAINER_FD, &status) == 0 && S_ISSOCK(status.st_mode);
}

/* Reads CONFIG and says READY. */
static void
read_config(ChurnSettings *settings)
{
	uint8_t    *payload;
	uint32_t	length;

	if (churn_channel_read(&payload, &length) != CHURN_FRAME_CONFIG)
		churn_failure(CHURN_SQLSTATE_PROTOCOL, NULL, NULL,
					  "churn-trainer got no configuration");
	churn_settings_read(settings, payload, length);
	churn_channel_write(CHURN_FRAME_READY, "", 0);
}

/* Reads rows up to END. */
static void
read_rows(ChurnRows *rows)
{
	uint8_t    *payload;
	uint32_t	length;
	char		type;

	churn_progress_phase(CHURN_PHASE_READING);
	while ((type = churn_channel_read(&payload, &length)) != CHURN_FRAME_END)
	{
		if (type != CHURN_FRAME_ROWS)
			churn_failure(CHURN_SQLSTATE_PROTOCOL, NULL, NULL,
						  "churn-trainer got a frame of unknown type %d",
						  type);
		churn_rows_take(rows, payload, length);
		churn_progress_rows(rows->nrows);
	}
	churn_channel_watch();
}

/*
 * Called when a library calls exit(), as OpenMP does when it can not get
 * memory for a thread.  This program itself only ever calls _exit().
 */
static void
ended_by_library(void)
{
	churn_failure(CHURN_SQLSTATE_OUT_OF_MEMORY,
				  "A library could not get memory or start a thread.",
				  "Raise \"churn.training_memory\", or lower "
				  "\"churn.training_threads\".",
				  "churn-trainer ended early");
}

/*
 * Makes the baseline's model beside that of the winner, unless it is the
 * winner or was not among the candidates, and measures it on the test part.
 */
static void
evaluate_baseline(ChurnQuality *quality, ChurnSelection *selection,
				  ChurnTable *table, const ChurnRows *rows)
{
	static ChurnFinished baseline;
	int			i;

	for (i = 0; i < selection->ntrials; i++)
	{
		const ChurnTrial *trial = &selection->trials[i];

		if (trial->candidate.learner != &churn_learner_rules ||
			i == selection->winner || trial->nfolds == 0)
			continue;
		churn_finish(&baseline, selection, trial, table, rows, false);
		churn_evaluate(quality, &baseline, selection, table,
					   trial->candidate.name);
	}
}

/* All of it, from CONFIG to RESULT. */
static void
serve(void)
{
	static ChurnSettings settings;
	static ChurnRows rows;
	static ChurnTable table;
	static ChurnIssues issues;
	static ChurnSelection selection;
	static ChurnFinished finished;
	static ChurnQuality quality;

	atexit(ended_by_library);
	read_config(&settings);
	churn_rules_give(settings.rules);
	churn_rows_init(&rows, &settings);
	read_rows(&rows);
	churn_progress_phase(CHURN_PHASE_PREPARING);
	churn_table_make(&table, &rows);
	churn_result_check(&table);
	churn_checks_keys(&table, &settings, rows.nrows, &issues);
	churn_checks_run(&table, table.start[CHURN_PART_VALIDATION],
					 table.nrows - table.start[CHURN_PART_VALIDATION],
					 &issues);
	churn_issues_tell(&issues);
	churn_select(&selection, &settings, &table);
	churn_progress_phase(CHURN_PHASE_TRAINING);
	churn_evaluate_candidates(&quality, &selection);
	evaluate_baseline(&quality, &selection, &table, &rows);
	churn_finish(&finished, &selection, &selection.trials[selection.winner],
				 &table, &rows, true);
	churn_progress_phase(CHURN_PHASE_EVALUATING);
	churn_evaluate(&quality, &finished, &selection, &table, "");
	churn_progress_phase(CHURN_PHASE_SAVING);
	churn_result_send(&settings, &rows, &table, &selection, &finished,
					  &quality, &issues);
	_exit(0);
}

int
main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
	{
		printf("churn-trainer %s (XGBoost %s)\n", CHURN_VERSION,
			   churn_learner_xgboost.version());
		return 0;
	}
	if (argc > 1 || !has_socket())
	{
		fprintf(stderr,
				"churn-trainer %s trains models for the PostgreSQL extension "
				"\"churn\",\nwhich starts it when someone calls "
				"churn_train().  By hand it does nothing\nbut tell its "
				"version: churn-trainer --version\n", CHURN_VERSION);
		return 1;
	}
	serve();
}
