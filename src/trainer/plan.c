/*
 * plan.c
 *		What is tried, and how thoroughly.
 *
 * Candidates are compared in stages ("successive halving", Jamieson and
 * Talwalkar, AISTATS 2016): all on some folds, the best of each learner on all
 * folds, and these again in a second cross-validation.  The plan is cut down
 * until what it should take, by a table of costs measured once, fits the time
 * budget with room to spare: one cross-validation, fewer folds for all, fewer
 * rows, fewer candidates.
 */
#include "plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"

/*
 * The share of the budget that a plan may take by the table of costs.  On a
 * machine that is slower by the rest, the clock does not cut it short.
 */
#define PLANNED_SHARE	0.5

/* Fewer rows than this do not tell candidates apart. */
#define LEAST_ROWS		5000

/* More rows than this make no difference to which candidate is best. */
#define MOST_ROWS		50000

/* Parameters that a variation may change. */
#define MAX_CHANGES		8

/* Parameters in which a candidate differs from its learner's defaults. */
typedef struct Variation
{
	const ChurnLearner *learner;
	struct
	{
		const char *name;
		double		value;
	}			changes[MAX_CHANGES];
} Variation;

/* All splits on categories are one against the rest. */
#define ONE_HOT			{"max_cat_to_onehot", 4096}

/*
 * The candidates, those first that are most likely to win: when there is no
 * time for all, the last are left out.  Shallow trees win where effects add
 * up, deep ones where they interact; the more regularised ones where much is
 * noise.  Splits into sets of categories pay only where categories are many,
 * rows are too, and they mean something.
 */
static const Variation variations[] = {
	{&churn_learner_rules, {{NULL, 0}}},
	{&churn_learner_logistic, {{NULL, 0}}},
	{&churn_learner_xgboost, {{"max_depth", 1}, {"min_child_weight", 1},
	{"colsample_bytree", 1}, {"reg_lambda", 50}, {"rounds", 1500}, ONE_HOT}},
	{&churn_learner_xgboost, {{"max_depth", 6}, {"min_child_weight", 2},
	{"subsample", 1}, {"colsample_bytree", 1}, {"colsample_bynode", 0.75},
	ONE_HOT}},
	{&churn_learner_random_forest, {{NULL, 0}}},
	{&churn_learner_network, {{NULL, 0}}},
	{&churn_learner_xgboost, {{"max_depth", 3}, {"min_child_weight", 1},
	{"subsample", 0.6}, {"colsample_bytree", 0.6}, ONE_HOT}},
	{&churn_learner_xgboost, {{"max_depth", 4}, {"min_child_weight", 5},
	{"colsample_bytree", 1}, ONE_HOT}},
	{&churn_learner_random_forest, {{"max_depth", 12},
	{"colsample_bynode", 0.4}}},
	{&churn_learner_xgboost, {{"max_depth", 2}, {"min_child_weight", 10},
	{"subsample", 0.6}, {"colsample_bytree", 0.4}, {"reg_lambda", 10},
	ONE_HOT}},
	{&churn_learner_xgboost, {{"max_depth", 8}, {"min_child_weight", 2},
	{"subsample", 1}, {"colsample_bytree", 1}, {"colsample_bynode", 0.5},
	ONE_HOT}},
	{&churn_learner_xgboost, {{"max_depth", 1}, {"min_child_weight", 1},
	{"subsample", 0.6}, {"colsample_bytree", 0.6}, {"rounds", 1500},
	ONE_HOT}},
	{&churn_learner_xgboost, {{"max_depth", 2}, {"min_child_weight", 20},
	{"subsample", 0.6}, {"colsample_bytree", 0.6}, {"reg_lambda", 50}}},
};

#define NVARIATIONS	(sizeof(variations) / sizeof(variations[0]))

int
churn_plan_survivors(const ChurnLearner *learner)
{
	return learner == &churn_learner_xgboost ? 3 : 1;
}

/*
 * Seconds that a fit should take, as measured on one core of a server of 2020
 * or so: what is spent on each row and column, and what on each round.
 */
static double
fit_seconds(const ChurnCandidate *candidate, double rows, double columns)
{
	const ChurnSetting *params = candidate->params;
	const ChurnLearner *learner = candidate->learner;
	double		cells = rows * columns;

	if (learner == &churn_learner_xgboost)
	{
		double		depth = churn_param(params, "max_depth");
		double		rounds = churn_param(params, "rounds");
		double		usual = (depth > 1 ? 15 : 40) /
		churn_param(params, "learning_rate");

		if (churn_param(params, "early_stopping_rounds") > 0 && rounds > usual)
			rounds = usual;
		return rounds * (0.0001 + cells * (0.7 + 1.1 * depth) * 1e-9);
	}
	if (learner == &churn_learner_random_forest)
		return churn_param(params, "trees") *
			(0.0005 + cells * churn_param(params, "max_depth") * 3.5e-9);
	if (rows > 200000)
		cells = 200000 * columns;
	if (learner == &churn_learner_network)
		return cells * 15e-6;
	return cells * 1e-6 + 0.01;
}

/* Adds a candidate unless an equal one is there. */
static void
add_candidate(ChurnPlan *plan, const ChurnSettings *settings,
			  const Variation *variation, int number)
{
	ChurnCandidate *candidate = &plan->candidates[plan->ncandidates];
	const ChurnLearner *learner = variation->learner;
	bool		given[CHURN_MAX_PARAMS];
	int			i;

	candidate->learner = learner;
	candidate->params = churn_params_make(settings, learner->name,
										  learner->params, given);
	for (i = 0; i < MAX_CHANGES && variation->changes[i].name != NULL; i++)
	{
		ChurnSetting *setting = churn_setting_find(candidate->params,
												   variation->changes[i].name);

		if (setting == NULL)
			abort();			/* a mistake in the table */
		if (!given[setting - candidate->params])
			setting->value = variation->changes[i].value;
	}
	snprintf(candidate->name, sizeof(candidate->name),
			 number > 0 ? "%s %d" : "%s", learner->name, number);
	plan->ncandidates++;
}

/* Whether the user gave any parameter of a learner. */
static bool
params_given(const ChurnSettings *settings, const ChurnLearner *learner)
{
	bool		given[CHURN_MAX_PARAMS] = {false};
	int			i;

	(void) churn_params_make(settings, learner->name, learner->params, given);
	for (i = 0; i < CHURN_MAX_PARAMS; i++)
	{
		if (given[i])
			return true;
	}
	return false;
}

/*
 * The candidates of a learner: its variations or, where the user gave it
 * parameters or nothing is to be searched, it alone.
 */
static void
add_learner(ChurnPlan *plan, const ChurnSettings *settings,
			const ChurnLearner *learner, size_t nvariations)
{
	Variation	plain = {.learner = learner};
	bool		fixed = !plan->search || params_given(settings, learner);
	int			number = 0;
	int			count = 0;
	size_t		i;

	for (i = 0; i < nvariations; i++)
		count += variations[i].learner == learner;
	if (fixed || count <= 1)
	{
		add_candidate(plan, settings, &plain, 0);
		return;
	}
	for (i = 0; i < nvariations; i++)
	{
		if (variations[i].learner == learner)
			add_candidate(plan, settings, &variations[i], ++number);
	}
}

/* Lists the candidates of the first so many variations. */
static void
list_candidates(ChurnPlan *plan, const ChurnSettings *settings,
				size_t nvariations)
{
	const ChurnLearner *only = churn_learner_find(settings->algorithm);
	int			i;

	plan->ncandidates = 0;
	for (i = 0; churn_learners[i] != NULL; i++)
	{
		if (only == NULL || only == churn_learners[i])
			add_learner(plan, settings, churn_learners[i], nvariations);
	}
}

/* Adds up what a plan should take. */
static double
plan_seconds(ChurnPlan *plan, const ChurnTable *table)
{
	double		columns = (double) table->ncolumns;
	double		all = (double) (table->nrows -
								table->start[CHURN_PART_VALIDATION]);
	double		sum = 0;
	double		longest = 0;
	int			survivors = 0;
	double		survive = 0;
	int			i;

	for (i = 0; i < plan->ncandidates; i++)
	{
		ChurnCandidate *candidate = &plan->candidates[i];
		double		final = fit_seconds(candidate, all, columns);

		candidate->seconds = fit_seconds(candidate, (double) plan->rows,
										 columns);
		sum += candidate->seconds * plan->first_folds;
		survive += candidate->seconds;
		survivors++;
		if (final > longest)
			longest = final;
	}
	/* of the survivors it is not known which they are */
	if (survivors > 7)
		survive *= 7.0 / survivors;
	sum += survive * (plan->k - plan->first_folds);
	sum += survive * plan->k * (plan->repeats - 1);
	return sum + longest;
}

void
churn_plan_make(ChurnPlan *plan, const ChurnSettings *settings,
				const ChurnTable *table)
{
	size_t		all = table->nrows - table->start[CHURN_PART_VALIDATION];
	double		budget = PLANNED_SHARE * churn_option(settings, "time_budget");
	size_t		nvariations = NVARIATIONS;
	int			folds = (int) churn_option(settings, "folds");

	memset(plan, 0, sizeof(*plan));
	plan->k = folds == 0 ? 1 : folds;
	plan->search = folds > 0 || churn_learner_find(settings->algorithm) == NULL;
	plan->rows = all > MOST_ROWS && plan->search ? MOST_ROWS : all;
	if (folds == 0)
		plan->rows = all;
	list_candidates(plan, settings, nvariations);
	plan->search = plan->search && plan->ncandidates > 1;
	plan->repeats = folds > 0 && plan->search ? 2 : 1;
	plan->first_folds = plan->k;
	while ((plan->seconds = plan_seconds(plan, table)) > budget)
	{
		if (plan->repeats > 1)
			plan->repeats--;
		else if (plan->search && plan->first_folds > 2)
			plan->first_folds = 2;
		else if (folds > 0 && plan->rows > LEAST_ROWS)
			plan->rows = plan->rows * 3 / 4 > LEAST_ROWS ?
				plan->rows * 3 / 4 : LEAST_ROWS;
		else if (plan->search && nvariations > 6)
			list_candidates(plan, settings, --nvariations);
		else
			break;
	}
}
