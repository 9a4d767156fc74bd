/*
 * learners.c
 *		The list of learners.
 */
#include "learner.h"

#include <string.h>

const ChurnLearner *const churn_learners[] = {
	&churn_learner_rules,
	&churn_learner_logistic,
	&churn_learner_random_forest,
	&churn_learner_xgboost,
	&churn_learner_network,
	NULL
};

const ChurnLearner *
churn_learner_find(const char *name)
{
	int			i;

	for (i = 0; churn_learners[i] != NULL; i++)
	{
		if (strcmp(churn_learners[i]->name, name) == 0)
			return churn_learners[i];
	}
	return NULL;
}
