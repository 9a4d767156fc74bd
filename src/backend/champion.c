/*
 * champion.c
 *		The champion that a new version is compared with.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "attempt.h"
#include "compat.h"
#include "features.h"
#include "train.h"

/*
 * Loads the champion.
 */
static void
load(void *arg)
{
	ChurnTraining *training = arg;
	ChurnModelRow *present = training->registration.present;

	training->champion = churn_registry_resolve(present->name,
												present->champion, InvalidOid,
												GetActiveSnapshot(),
												training->context);
}

/*
 * Finds the columns that it reads, which fails where the source has not what
 * it needs.
 */
static void
find_columns(void *arg)
{
	ChurnTraining *training = arg;
	ChurnVersion *champion = training->champion;
	ChurnRowMap *map = churn_row_map(champion->model, champion->name,
									 training->source->desc,
									 training->context);

	training->champion_columns = churn_row_map_columns(map);
}

/*
 * Tells the client that there is no comparison, and why.
 */
static void
no_comparison(ChurnTraining *training, const char *why)
{
	training->champion = NULL;
	ereport(NOTICE,
			(errmsg("the new version cannot be compared with champion version %d",
					training->registration.present->champion),
			 errdetail_internal("%s", why)));
}

/*
 * Whether a transform of the champion may fail on some row of the source, and
 * the comparison is not needed.
 */
static bool
is_needless(const ChurnTraining *training)
{
	const ChurnModel *model = training->champion->model;
	uint32		i;

	if (strcmp(training->registration.promote, "always") != 0)
		return false;
	for (i = 0; i < model->nfeatures; i++)
	{
		if (model->features[i].transform != NULL)
			return true;
	}
	return false;
}

/*
 * Finds the champion that the new version is to be compared with.  One that
 * is damaged, or does not suit the source, must not keep its model from being
 * trained anew; with "promote": "always", neither must one whose transforms
 * fail on the new rows.  What the source lacks is
 * an error first, unless the caller lets it pass.
 */
void
churn_training_champion(ChurnTraining *training)
{
	ChurnModelRow *present = training->registration.present;
	ErrorData  *error;

	if (present == NULL || present->champion == 0)
		return;
	MemoryContextSwitchTo(training->context);
	error = churn_attempt(load, training);
	if (error != NULL)
	{
		if (error->sqlerrcode != ERRCODE_DATA_CORRUPTED)
			ReThrowError(error);
		no_comparison(training, error->message);
		return;
	}
	churn_training_validate(training);
	if (is_needless(training))
	{
		training->champion = NULL;
		return;
	}
	error = churn_attempt(find_columns, training);
	if (error == NULL)
		return;
	if (!churn_error_is_misfit(error))
		ReThrowError(error);
	no_comparison(training, "The source lacks columns of that version, or has them with other types.");
}
