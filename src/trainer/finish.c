/*
 * finish.c
 *		Making the model of what the selection chose.
 */
#include "finish.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "baseline.h"
#include "channel.h"
#include "churn/explain.h"
#include "churn/metrics.h"
#include "describe.h"
#include "memory.h"

/* Floats of a batch of rows. */
#define BATCH_FLOATS	(256 * 1024)

/* Rows on which the learner's own predictor and ours must agree. */
#define CHECKED_ROWS	1000

/* How far they may differ where sums are not made in the same order. */
#define TOLERANCE		1e-5

/* Rows by which contributions are averaged. */
#define EXPLAINED_ROWS	500

static void unreadable(const ChurnError *error) __attribute__((noreturn));

/* Ends when the model that was made could not be read again. */
static void
unreadable(const ChurnError *error)
{
	if (error->code == CHURN_ERROR_MEMORY)
		churn_failure_memory();
	if (error->code == CHURN_ERROR_LIMIT)
		churn_failure(CHURN_SQLSTATE_LIMIT, NULL,
					  "Train with fewer rounds or a smaller \"max_depth\".",
					  "the trained model is too large: %s", error->message);
	churn_failure(CHURN_SQLSTATE_EXTERNAL, NULL, NULL,
				  "could not read the trained model: %s", error->message);
}

static ChurnArena *
create_arena(void)
{
	ChurnArena *arena = churn_arena_create();

	if (arena == NULL)
		churn_failure_memory();
	return arena;
}

/*
 * Fits a trial on the rows that its model is to learn from: all but the test
 * part's or, if the validation part chose it, the training part's.
 */
static ChurnFit *
refit(ChurnSelection *selection, const ChurnTrial *trial,
	  const ChurnTable *table, ChurnTable *release)
{
	bool		held_out = selection->plan.k == 1;
	size_t		first = table->start[held_out ? CHURN_PART_TRAIN :
									 CHURN_PART_VALIDATION];

	return churn_trial_refit(trial, selection->course.settings, table, first,
							 table->nrows - first, trial->rounds, release);
}

/* Fits all that the trial is made of and takes their components. */
static void
fit_members(ChurnFinished *finished, ChurnSelection *selection,
			ChurnTable *table, bool release)
{
	const ChurnTrial *trial = finished->trial;
	ChurnArena *arena = selection->course.settings->arena;
	int			n = trial->nmembers > 0 ? trial->nmembers : 1;
	int			i;

	finished->ncomponents = n;
	for (i = 0; i < n; i++)
	{
		const ChurnTrial *member = trial->nmembers > 0 ?
		&selection->trials[trial->members[i]] : trial;
		const ChurnLearner *learner = member->candidate.learner;

		finished->learners[i] = learner;
		if (selection->fit != NULL && trial->nmembers == 0)
		{
			finished->fits[i] = selection->fit;
			if (release)
				churn_table_drop_train(table);
		}
		else
			finished->fits[i] = refit(selection, member, table,
									  release && i == n - 1 ? table : NULL);
		if (finished->rounds == 0 && learner->has_rounds)
			finished->rounds = member->rounds;
		learner->component(finished->fits[i], table, arena,
						   &finished->components[i], &finished->documents[i]);
		if (trial->nmembers > 0)
		{
			finished->components[i].weight = trial->weights[i];
			finished->components[i].offset = trial->offsets[i];
		}
	}
}

/*
 * Chooses the threshold among margins, as the option "threshold" says.  A
 * capacity counts customers of the whole source, of which n rows are here.
 */
static double
choose_threshold(const ChurnSettings *settings, const float *margins,
				 const uint8_t *labels, size_t n, size_t source_rows)
{
	ChurnScored *rows = churn_pages_alloc(n * sizeof(ChurnScored));
	double		share = (double) n / (double) source_rows;
	double		threshold;
	size_t		i;

	for (i = 0; i < n; i++)
		rows[i] = churn_scored(margins[i], labels[i] != 0);
	churn_metrics_sort(rows, n);
	switch ((ChurnThreshold) churn_option(settings, "threshold"))
	{
		case CHURN_THRESHOLD_COST:
			threshold =
				churn_metrics_best_cost(rows, n,
										churn_option(settings, "cost_missed"),
										churn_option(settings, "cost_offer"),
										NULL);
			break;
		case CHURN_THRESHOLD_CAPACITY:
			threshold =
				churn_metrics_capacity(rows, n, (uint64_t)
									   ceil(churn_option(settings, "capacity") *
											share));
			break;
		default:
			threshold = churn_metrics_best_f1(rows, n, NULL);
	}
	churn_pages_free(rows, n * sizeof(ChurnScored));
	return threshold;
}

/*
 * Calibrates the model and chooses its threshold by held out rows.  Where there
 * is no test part, their margins are kept: rows that the model has learned from
 * would have scores of another distribution.
 */
static void
calibrate(ChurnFinished *finished, const ChurnSelection *selection,
		  const ChurnTable *table, const ChurnRows *source)
{
	static const int wanted[] = {
		CHURN_CALIBRATION_NONE, CHURN_CALIBRATION_PLATT,
		CHURN_CALIBRATION_BETA, CHURN_CALIBRATION_ISOTONIC,
		CHURN_CALIBRATION_AUTO
	};
	const ChurnSettings *settings = selection->course.settings;
	size_t		n = selection->course.folds.n;
	float	   *margins = churn_pages_alloc(n * sizeof(float));
	uint8_t    *labels = churn_pages_alloc(n);
	uint8_t    *folds = churn_pages_alloc(n);
	size_t		rows = churn_selection_margins(selection, finished->trial,
											   margins, labels, folds);
	double		threshold = choose_threshold(settings, margins, labels, rows,
											 source->nrows);
	int			kind = wanted[(int) churn_option(settings, "calibration")];

	if (kind == CHURN_CALIBRATION_AUTO && settings->rules != NULL)
		kind = CHURN_CALIBRATION_NONE;	/* scores are as the user gave them */
	churn_calibration_fit(margins, labels, folds, rows, kind, settings->arena,
						  &finished->calibration,
						  &finished->report);
	finished->threshold = churn_calibrate(&finished->calibration,
										  (float) threshold);
	if (churn_table_rows(table, CHURN_PART_TEST) == 0)
	{
		finished->margins = margins;
		finished->nmargins = rows;
	}
	else
		churn_pages_free(margins, n * sizeof(float));
	churn_pages_free(labels, n);
	churn_pages_free(folds, n);
}

/* Makes the artifact as a document. */
static ChurnArtifact *
make_document(const ChurnFinished *finished, const ChurnSettings *settings,
			  const ChurnTable *table)
{
	ChurnError	error = {CHURN_OK, ""};
	ChurnArtifact *artifact;

	artifact = churn_artifact_make(churn_describe_model(settings, table,
														finished),
								   finished->components, finished->documents,
								   (uint32_t) finished->ncomponents,
								   settings->arena, &error);
	if (artifact == NULL)
		unreadable(&error);
	return artifact;
}

/* Makes model and predictor of an artifact. */
static void
make_predictor(ChurnFinished *finished, const ChurnArtifact *artifact,
			   ChurnArena *arena)
{
	ChurnArena *scratch = create_arena();
	ChurnError	error = {CHURN_OK, ""};

	finished->model = churn_artifact_model(artifact, arena, &error);
	if (finished->model == NULL)
		unreadable(&error);
	finished->predictor = churn_predictor_make(finished->model, arena, scratch,
											   &error);
	if (finished->predictor == NULL)
		unreadable(&error);
	finished->workspace =
		churn_pages_alloc(churn_predictor_workspace(finished->predictor));
	churn_arena_destroy(scratch);
}

/* Margins of rows first .. first + count. */
static void
get_margins(const ChurnFinished *finished, const ChurnTable *table,
			size_t first, size_t count, float *margins)
{
	size_t		batch_rows = BATCH_FLOATS / table->ncolumns;
	size_t		bytes = batch_rows * table->ncolumns * sizeof(float);
	float	   *batch = churn_pages_alloc(bytes);
	size_t		done;
	size_t		row;

	for (done = 0; done < count; done += batch_rows)
	{
		size_t		some = count - done;

		if (some > batch_rows)
			some = batch_rows;
		churn_table_fill(table, first + done, some, batch);
		for (row = 0; row < some; row++)
			margins[done + row] =
				churn_predictor_margin(finished->predictor,
									   batch + row * table->ncolumns,
									   finished->workspace);
	}
	churn_pages_free(batch, bytes);
}

/*
 * Measures the scores of the test part, which go into the artifact, with a
 * predictor of the artifact as it is without them.
 */
static void
measure_scores(ChurnFinished *finished, const ChurnSettings *settings,
			   const ChurnTable *table)
{
	size_t		n = churn_table_rows(table, CHURN_PART_TEST);
	ChurnArena *arena = create_arena();

	if (n > 0)
	{
		make_predictor(finished, make_document(finished, settings, table),
					   arena);
		finished->nmargins = n;
		finished->margins = churn_pages_alloc(n * sizeof(float));
		get_margins(finished, table, table->start[CHURN_PART_TEST], n,
					finished->margins);
		churn_pages_free(finished->workspace,
						 churn_predictor_workspace(finished->predictor));
	}
	churn_baseline_scores(&finished->score_baseline, finished->margins,
						  finished->nmargins, &finished->calibration,
						  settings->arena);
	churn_arena_destroy(arena);
}

/* Writes the artifact, and reads it as the extension will. */
static void
make_artifact(ChurnFinished *finished, const ChurnSettings *settings,
			  const ChurnTable *table)
{
	ChurnArena *arena = settings->arena;
	ChurnArtifact *artifact = make_document(finished, settings, table);
	ChurnError	error = {CHURN_OK, ""};
	uint8_t    *bytes;

	if (!churn_artifact_write(artifact, CHURN_ARTIFACT_UBJSON, arena, &bytes,
							  &finished->length, &error))
		unreadable(&error);
	finished->bytes = bytes;
	artifact = churn_artifact_read(bytes, finished->length, arena, &error);
	if (artifact == NULL)
		unreadable(&error);
	make_predictor(finished, artifact, arena);
}

/*
 * Compares the margins of some rows with those of the learners' own
 * predictors: bit by bit for a model of XGBoost, else to within rounding.
 */
static void
check_margins(const ChurnFinished *finished, const ChurnTable *table)
{
	size_t		n = table->start[CHURN_PART_TRAIN];
	bool		exact;
	float	   *ours;
	float	   *theirs;
	double	   *sums;
	size_t		row;
	int			i;

	if (n > CHECKED_ROWS)
		n = CHECKED_ROWS;
	ours = churn_alloc(n, sizeof(float));
	theirs = churn_alloc(n, sizeof(float));
	sums = churn_alloc(n, sizeof(double));
	memset(sums, 0, n * sizeof(double));
	get_margins(finished, table, 0, n, ours);
	for (i = 0; i < finished->ncomponents; i++)
	{
		finished->learners[i]->predict(finished->fits[i], table, 0, n, theirs);
		for (row = 0; row < n; row++)
			sums[row] += finished->components[i].weight * theirs[row] +
				finished->components[i].offset;
	}
	exact = finished->ncomponents == 1 && finished->documents[0] != NULL;
	for (row = 0; row < n; row++)
	{
		double		wide = fabs(sums[row]) > 1 ? fabs(sums[row]) : 1;

		if (exact ? ours[row] == theirs[row] :
			fabs(ours[row] - sums[row]) <= TOLERANCE * wide)
			continue;
		churn_failure(CHURN_SQLSTATE_EXTERNAL,
					  churn_format("A margin is %.9g there and %.9g here.",
								   sums[row], (double) ours[row]),
					  "Train with another version of the library, and please "
					  "report this.",
					  "learner \"%s\" does not predict what its model says",
					  finished->trial->candidate.name);
	}
	free(ours);
	free(theirs);
	free(sums);
}

/*
 * What each feature is worth: its share of the gain, weighted as the members
 * are, and its mean absolute contribution to the margins of some rows.
 */
static void
measure_importance(ChurnFinished *finished, const ChurnTable *table)
{
	size_t		ncolumns = table->ncolumns;
	size_t		n = table->start[CHURN_PART_TRAIN];
	double	   *shares = churn_alloc(ncolumns, sizeof(double));
	double	   *contributions = churn_alloc(ncolumns + 1, sizeof(double));
	float	   *row = churn_alloc(ncolumns, sizeof(float));
	ChurnArena *arena = create_arena();
	ChurnArena *scratch = create_arena();
	ChurnError	error = {CHURN_OK, ""};
	ChurnExplainer *explainer;
	void	   *workspace;
	double		sum = 0;
	size_t		i;
	size_t		j;
	int			member;

	finished->importance = churn_alloc(ncolumns, sizeof(double));
	finished->shap = churn_alloc(ncolumns, sizeof(double));
	memset(finished->importance, 0, ncolumns * sizeof(double));
	memset(finished->shap, 0, ncolumns * sizeof(double));
	for (member = 0; member < finished->ncomponents; member++)
	{
		finished->learners[member]->importance(finished->fits[member], table,
											   shares);
		for (j = 0; j < ncolumns; j++)
		{
			shares[j] *= finished->components[member].weight;
			finished->importance[j] += shares[j];
			sum += shares[j];
		}
	}
	for (j = 0; j < ncolumns && sum > 0; j++)
		finished->importance[j] /= sum;

	explainer = churn_explainer_make(finished->model, arena, scratch, &error);
	if (explainer == NULL)
		unreadable(&error);
	workspace = churn_pages_alloc(churn_explainer_workspace(explainer));
	if (n > EXPLAINED_ROWS)
		n = EXPLAINED_ROWS;
	for (i = 0; i < n; i++)
	{
		churn_table_fill(table, i, 1, row);
		churn_explain_row(explainer, row, workspace, contributions);
		for (j = 0; j < ncolumns; j++)
			finished->shap[j] += fabs(contributions[j]) / (double) n;
	}
	churn_pages_free(workspace, churn_explainer_workspace(explainer));
	churn_arena_destroy(scratch);
	churn_arena_destroy(arena);
	free(shares);
	free(contributions);
	free(row);
}

void
churn_finish(ChurnFinished *finished, ChurnSelection *selection,
			 const ChurnTrial *trial, ChurnTable *table,
			 const ChurnRows *rows, bool release)
{
	memset(finished, 0, sizeof(*finished));
	finished->trial = trial;
	calibrate(finished, selection, table, rows);
	fit_members(finished, selection, table, release);
	measure_scores(finished, selection->course.settings, table);
	make_artifact(finished, selection->course.settings, table);
	check_margins(finished, table);
	measure_importance(finished, table);
}
