/*
 * select.c
 *		Choosing a model among candidates: running the plan.
 */
#include "select.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "clock.h"
#include "memory.h"

/* What running a plan needs beside the selection. */
typedef struct Run
{
	ChurnSelection *selection;
	double		deadline;		/* by the monotonic clock */
	int			done;			/* fits */
	int			planned;
} Run;

/*
 * Takes a trial through folds up to end, unless time is out.  One fold of the
 * first trial is always run, so that there is a model.
 */
static void
run_folds(Run *run, ChurnTrial *trial, int end)
{
	ChurnSelection *selection = run->selection;
	bool		keep = !selection->plan.search && selection->plan.k == 1;

	while (trial->nfolds < end)
	{
		if (churn_now() > run->deadline && selection->trials[0].nfolds > 0)
		{
			selection->truncated = true;
			break;
		}
		churn_trial_fold(trial, &selection->course, trial->nfolds,
						 keep ? &selection->fit : NULL);
		run->done++;
		if (!keep)
			churn_progress_round((uint32_t) run->done,
								 (uint32_t) run->planned, NAN);
	}
	if (trial->nfolds > 0)
		churn_trial_judge(trial);
}

/* Orders trials by falling mean PR-AUC; those of more folds come first. */
static int
compare_trials(const void *a, const void *b)
{
	const ChurnTrial *left = *(const ChurnTrial *const *) a;
	const ChurnTrial *right = *(const ChurnTrial *const *) b;

	if (left->nfolds != right->nfolds)
		return left->nfolds > right->nfolds ? -1 : 1;
	if (left->mean.pr_auc != right->mean.pr_auc)
		return left->mean.pr_auc > right->mean.pr_auc ? -1 : 1;
	return left < right ? -1 : left > right;
}

/* Lists the trials of a learner, the best first; returns how many. */
static int
rank_learner(ChurnSelection *selection, const ChurnLearner *learner,
			 ChurnTrial **ranked)
{
	int			n = 0;
	int			i;

	for (i = 0; i < selection->ntrials; i++)
	{
		if (selection->trials[i].candidate.learner == learner &&
			selection->trials[i].nfolds > 0)
			ranked[n++] = &selection->trials[i];
	}
	qsort(ranked, (size_t) n, sizeof(ChurnTrial *), compare_trials);
	return n;
}

/* Runs all k folds for the best of each learner. */
static void
run_survivors(Run *run)
{
	ChurnSelection *selection = run->selection;
	ChurnTrial *ranked[CHURN_MAX_CANDIDATES];
	int			learner;
	int			i;
	int			n;

	for (learner = 0; churn_learners[learner] != NULL; learner++)
	{
		n = rank_learner(selection, churn_learners[learner], ranked);
		for (i = 0; i < n; i++)
		{
			if (i < churn_plan_survivors(churn_learners[learner]))
				run_folds(run, ranked[i], selection->plan.k);
		}
	}
}

/*
 * Repeats the cross-validation with other folds for the best of each learner
 * and the second of XGBoost's, with the number of rounds now known.
 */
static void
run_repeats(Run *run)
{
	ChurnSelection *selection = run->selection;
	const ChurnPlan *plan = &selection->plan;
	ChurnTrial *ranked[CHURN_MAX_CANDIDATES];
	int			learner;
	int			number;
	int			i;
	int			n;

	for (learner = 0; churn_learners[learner] != NULL; learner++)
	{
		n = rank_learner(selection, churn_learners[learner], ranked);
		for (i = 0; i < n && i < churn_plan_survivors(churn_learners[learner]); i++)
		{
			ChurnTrial *trial = ranked[i];

			if (trial->nfolds < plan->k)
				continue;
			for (number = plan->k; number < plan->k * plan->repeats; number++)
			{
				if (churn_now() > run->deadline)
				{
					selection->truncated = true;
					return;
				}
				churn_trial_repeat(trial, &selection->course, number);
				run->done++;
				churn_progress_round((uint32_t) run->done,
									 (uint32_t) run->planned, NAN);
			}
		}
	}
}

/* Counts the fits of a plan. */
static int
count_fits(const ChurnPlan *plan)
{
	int			of_learner;
	int			survivors = 0;
	int			i;
	int			j;

	for (i = 0; churn_learners[i] != NULL; i++)
	{
		of_learner = 0;
		for (j = 0; j < plan->ncandidates; j++)
			of_learner += plan->candidates[j].learner == churn_learners[i];
		survivors += of_learner < churn_plan_survivors(churn_learners[i]) ?
			of_learner : churn_plan_survivors(churn_learners[i]);
	}
	return plan->ncandidates * plan->first_folds +
		survivors * (plan->k * plan->repeats - plan->first_folds);
}

/* Says what is going to be done. */
static void
announce(const ChurnPlan *plan)
{
	if (!plan->search)
		return;
	if (plan->k == 1)
		churn_notice(NULL, "comparing %d candidates on the validation part",
					 plan->ncandidates);
	else
		churn_notice(NULL, "comparing %d candidates by %d-fold "
					 "cross-validation on %zu rows", plan->ncandidates,
					 plan->k, plan->rows);
}

void
churn_select(ChurnSelection *selection, const ChurnSettings *settings,
			 const ChurnTable *table)
{
	ChurnPlan  *plan = &selection->plan;
	ChurnCourse *course = &selection->course;
	Run			run = {.selection = selection};
	int			i;

	churn_plan_make(plan, settings, table);
	course->settings = settings;
	course->table = table;
	if (plan->k == 1)
		churn_folds_hold_out(&course->folds, table);
	else
		churn_folds_make(&course->folds, table,
						 table->start[CHURN_PART_VALIDATION], plan->rows,
						 plan->k, plan->repeats, settings->split_seed);
	announce(plan);
	churn_progress_phase(plan->search || plan->k > 1 ? CHURN_PHASE_COMPARING :
						 CHURN_PHASE_TRAINING);
	run.deadline = churn_now() + churn_option(settings, "time_budget");
	run.planned = count_fits(plan);
	selection->ntrials = plan->ncandidates;
	for (i = 0; i < plan->ncandidates; i++)
	{
		selection->trials[i].candidate = plan->candidates[i];
		run_folds(&run, &selection->trials[i], plan->first_folds);
	}
	run_survivors(&run);
	if (plan->repeats > 1)
		run_repeats(&run);
	if (churn_learner_find(settings->algorithm) == NULL)
		churn_blend_add(selection);
	churn_selection_judge(selection);
	if (selection->truncated)
		churn_notice("Another run may choose another model.",
					 "the search was cut short by \"time_budget\"");
}

size_t
churn_selection_margins(const ChurnSelection *selection,
						const ChurnTrial *trial, float *margins,
						uint8_t *labels, uint8_t *folds)
{
	const ChurnFolds *of = &selection->course.folds;
	const uint8_t *all_labels = selection->course.table->labels + of->first;
	const float *all = churn_trial_margins(trial, &selection->course, 0);
	int			last = trial->nfolds < of->k ? trial->nfolds : of->k;
	size_t		n = 0;
	size_t		row;

	for (row = 0; row < of->n; row++)
	{
		int			fold = churn_fold_of(of, 0, row);

		if (fold >= last)
			continue;
		margins[n] = all[row];
		labels[n] = all_labels[row];
		/* with one fold, rows are dealt out for the calibration's own sake */
		folds[n] = (uint8_t) (of->k > 1 ? fold : (int) (n % 5));
		n++;
	}
	return n;
}
