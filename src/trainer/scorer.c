/*
 * scorer.c
 *		Scoring with a trained model as the extension will do it.
 *
 * Metrics are measured with the extension's own evaluator, which is many
 * times as fast as XGBoost's predictor and is what users will meet.  That both
 * agree is checked each time.
 */
#include "scorer.h"

#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "churn/forest.h"
#include "churn/xgboost.h"
#include "memory.h"

/* Floats of a batch of rows. */
#define BATCH_FLOATS	(256 * 1024)

/* Rows on which both predictors must agree. */
#define CHECKED_ROWS	1000

struct ChurnScorer
{
	ChurnEvaluator *evaluator;
	void	   *workspace;
	float	   *batch;
	size_t		batch_rows;
};

static void unreadable(const ChurnError *error) __attribute__((noreturn));

/* Ends when the model could not be made into a scorer. */
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

/* Compares the scores of some rows with those of the learner, bit by bit. */
static void
check_scores(ChurnScorer *scorer, ChurnLearner *learner,
			 const ChurnTable *table)
{
	size_t		n = table->start[CHURN_PART_TRAIN];
	float	   *ours;
	float	   *theirs;

	if (n > CHECKED_ROWS)
		n = CHECKED_ROWS;
	ours = churn_alloc(n, sizeof(float));
	theirs = churn_alloc(n, sizeof(float));
	churn_scorer_predict(scorer, table, 0, n, ours);
	churn_learner_predict(learner, table, 0, n, theirs);
	if (memcmp(ours, theirs, n * sizeof(float)) != 0)
		churn_failure(CHURN_SQLSTATE_EXTERNAL, NULL,
					  "Train with another version of the library, and please "
					  "report this.",
					  "XGBoost %s does not predict what its model file says",
					  churn_learner_version());
	free(ours);
	free(theirs);
}

ChurnScorer *
churn_scorer_make(const char *bytes, uint64_t length, ChurnLearner *learner,
				  const ChurnTable *table)
{
	ChurnScorer *scorer = churn_alloc(1, sizeof(ChurnScorer));
	ChurnArena *keep = create_arena();
	ChurnArena *scratch = create_arena();
	ChurnError	error = {CHURN_OK, ""};
	ChurnArtifact *artifact;
	ChurnModel *model;

	artifact = churn_artifact_read((const uint8_t *) bytes, length, scratch,
								   &error);
	if (artifact == NULL)
		unreadable(&error);
	model = churn_artifact_model(artifact, scratch, &error);
	if (model == NULL)
		unreadable(&error);
	scorer->evaluator = churn_evaluator_make(model->components[0].forest, keep,
											 scratch, &error);
	if (scorer->evaluator == NULL)
		unreadable(&error);
	churn_arena_destroy(scratch);

	scorer->workspace =
		churn_pages_alloc(churn_evaluator_workspace(scorer->evaluator));
	scorer->batch_rows = BATCH_FLOATS / table->ncolumns;
	scorer->batch = churn_pages_alloc(scorer->batch_rows * table->ncolumns *
									  sizeof(float));
	check_scores(scorer, learner, table);
	return scorer;
}

void
churn_scorer_predict(ChurnScorer *scorer, const ChurnTable *table,
					 size_t first, size_t count, float *scores)
{
	size_t		done;
	size_t		row;

	for (done = 0; done < count; done += scorer->batch_rows)
	{
		size_t		some = count - done;

		if (some > scorer->batch_rows)
			some = scorer->batch_rows;
		churn_table_fill(table, first + done, some, scorer->batch);
		for (row = 0; row < some; row++)
			scores[done + row] =
				churn_sigmoid(churn_evaluator_margin(scorer->evaluator,
													 scorer->batch +
													 row * table->ncolumns,
													 scorer->workspace));
	}
}
