/*
 * choose_winner.c
 *		Who won among the candidates, and why the others lost.
 *
 * The best mean PR-AUC wins, unless a simpler candidate is as good as equal on
 * the same folds: behind by no more than one standard error of the paired
 * differences, nor by more than MARGIN.
 */
#include "select.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"

/* PR-AUC that a simpler candidate may be behind. */
#define MARGIN		0.002

/* How the candidates differ on the folds that both were measured on. */
typedef struct Difference
{
	double		mean;			/* of PR-AUC, positive if the first is better */
	double		error;			/* standard error; NaN of one fold */
} Difference;

/*
 * How hard a candidate is to follow: by its learner, in the order of the list,
 * and by the depth of trees.  A blend is harder than each.
 */
static int
complexity(const ChurnTrial *trial)
{
	const ChurnLearner *learner = trial->candidate.learner;
	int			i;

	for (i = 0; churn_learners[i] != NULL && churn_learners[i] != learner; i++)
		;
	i *= 100;
	if (learner == &churn_learner_xgboost)
		i += (int) churn_param(trial->candidate.params, "max_depth");
	return i;
}

/* The paired difference of two trials. */
static Difference
compare(const ChurnTrial *one, const ChurnTrial *other)
{
	int			n = one->nfolds < other->nfolds ? one->nfolds : other->nfolds;
	Difference	difference = {0, NAN};
	double		squares = 0;
	int			i;

	for (i = 0; i < n; i++)
		difference.mean += (one->scores[i].pr_auc - other->scores[i].pr_auc) / n;
	for (i = 0; i < n; i++)
	{
		double		d = one->scores[i].pr_auc - other->scores[i].pr_auc;

		squares += (d - difference.mean) * (d - difference.mean);
	}
	if (n > 1)
		difference.error = sqrt(squares / (n - 1) / n);
	return difference;
}

/* Orders numbers of trials: more folds first, then by PR-AUC. */
static void
rank_trials(ChurnSelection *selection)
{
	int		   *order = selection->order;
	int			i;
	int			j;

	for (i = 0; i < selection->ntrials; i++)
	{
		const ChurnTrial *trial = &selection->trials[i];
		int			full = trial->nfolds < selection->plan.k;

		for (j = i; j > 0; j--)
		{
			const ChurnTrial *other = &selection->trials[order[j - 1]];
			int			other_full = other->nfolds < selection->plan.k;

			if (full > other_full ||
				(full == other_full &&
				 trial->mean.pr_auc <= other->mean.pr_auc))
				break;
			order[j] = order[j - 1];
		}
		order[j] = i;
	}
}

/* Whether a trial is as good as equal to the best. */
static bool
as_good(const ChurnTrial *best, const ChurnTrial *trial)
{
	Difference	difference = compare(best, trial);
	double		allowed = MARGIN;

	if (isnan(difference.error) || difference.error < allowed)
		allowed = isnan(difference.error) ? 0 : difference.error;
	return difference.mean <= allowed;
}

/* The simplest of the trials that are as good as the best. */
static int
find_winner(const ChurnSelection *selection)
{
	int			best = selection->order[0];
	int			winner = best;
	int			i;

	if (strcmp(selection->course.settings->algorithm, "blend") == 0)
	{
		const ChurnTrial *last = &selection->trials[selection->ntrials - 1];

		if (last->nmembers == 0)
			churn_failure(CHURN_SQLSTATE_INVALID_PARAMETER,
						  "The others are too far behind the best one, or the "
						  "time budget was too small.",
						  "Use \"auto\", which takes the best single learner.",
						  "there are no two learners worth blending");
		return selection->ntrials - 1;
	}
	for (i = 0; i < selection->ntrials; i++)
	{
		const ChurnTrial *trial = &selection->trials[i];

		if (trial->nfolds < selection->plan.k || trial->nfolds == 0 ||
			complexity(trial) >= complexity(&selection->trials[winner]))
			continue;
		if (as_good(&selection->trials[best], trial))
			winner = i;
	}
	return winner;
}

static void give_reason(ChurnTrial *trial, const char *format,...)
			__attribute__((format(printf, 2, 3)));

static void
give_reason(ChurnTrial *trial, const char *format,...)
{
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(trial->reason, sizeof(trial->reason), format, arguments);
	va_end(arguments);
}

/* Says why the winner won. */
static void
explain_winner(ChurnSelection *selection)
{
	ChurnTrial *winner = &selection->trials[selection->winner];
	ChurnTrial *best = &selection->trials[selection->order[0]];
	Difference	difference = compare(best, winner);

	if (selection->ntrials == 1)
		give_reason(winner, "the only candidate");
	else if (winner == best)
		give_reason(winner, "won: highest mean PR-AUC");
	else if (strcmp(selection->course.settings->algorithm, "blend") == 0)
		give_reason(winner, "asked for, although behind %s by %.4f PR-AUC",
					best->candidate.name, difference.mean);
	else
		give_reason(winner, "won: simpler than %s and behind it by %.4f PR-AUC, which is "
					"within the standard error of %.4f and within %.3f",
					best->candidate.name, difference.mean, difference.error,
					MARGIN);
}

/* Says why a candidate lost. */
static void
explain_loser(const ChurnSelection *selection, ChurnTrial *trial)
{
	const ChurnTrial *winner = &selection->trials[selection->winner];
	Difference	difference = compare(winner, trial);

	if (trial->nfolds == 0)
		give_reason(trial, "not tried: the time budget was used up");
	else if (trial->nfolds < selection->plan.k && selection->truncated)
		give_reason(trial, "not finished: the time budget was used up after %d "
					"of its folds", trial->nfolds);
	else if (trial->nfolds < selection->plan.k)
		give_reason(trial, "dropped after %d folds, on which the best %d of "
					"its learner were better", trial->nfolds,
					churn_plan_survivors(trial->candidate.learner));
	else if (difference.mean < 0)
		give_reason(trial, "lost: ahead of %s by %.4f PR-AUC (standard error %.4f), "
					"too little to give up the simpler model",
					winner->candidate.name, -difference.mean, difference.error);
	else
		give_reason(trial, "lost: behind %s by %.4f PR-AUC (standard error %.4f)",
					winner->candidate.name, difference.mean, difference.error);
}

/* Tells the user how it went. */
static void
report(const ChurnSelection *selection)
{
	const ChurnTrial *winner = &selection->trials[selection->winner];

	if (winner->nfolds > 1)
		churn_notice(NULL, "%s: mean PR-AUC %.4f, ROC-AUC %.4f over %d folds; "
					 "%s", winner->candidate.name, winner->mean.pr_auc,
					 winner->mean.roc_auc, winner->nfolds, winner->reason);
	else if (winner->candidate.learner != NULL &&
			 winner->candidate.learner->has_rounds)
		churn_notice(NULL, "kept %d rounds: validation log loss %.5f",
					 winner->rounds, winner->mean.log_loss);
}

void
churn_selection_judge(ChurnSelection *selection)
{
	int			i;

	rank_trials(selection);
	selection->winner = find_winner(selection);
	for (i = 0; i < selection->ntrials; i++)
	{
		if (i == selection->winner)
			explain_winner(selection);
		else
			explain_loser(selection, &selection->trials[i]);
	}
	report(selection);
}
