/*
 * trial.c
 *		A candidate model under cross-validation.
 *
 * The rows of all folds are one sample, in which a held out row has weight 0:
 * so a learner prepares its data once for all folds, and shows at each
 * checkpoint the margins of held out rows along with all others.
 */
#include "trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "balance.h"
#include "calibrate.h"
#include "channel.h"
#include "churn/metrics.h"
#include "clock.h"
#include "memory.h"

/* Checkpoints of a fit at most; more rounds make them lie farther apart. */
#define MAX_POINTS		100

/* Rounds that a fold goes on beyond its best, as a share of these. */
#define PATIENT_SHARE	0.3

/* What a checkpoint of a fold's fit needs. */
typedef struct Watch
{
	ChurnTrial *trial;
	const ChurnCourse *course;
	int			number;			/* of the fold, among all repetitions */
	int			patience;		/* rounds without a better loss; 0: no end */
	double		share;			/* nor less than this share of the best */
	int			point;			/* next checkpoint */
	int			best_rounds;
	int			best_point;
	double		best_loss;
	double		offset;			/* that undoes what sampling did to margins */
	bool		tell;			/* of progress */
	int			rounds;			/* at most */
} Watch;

/* Log loss of a margin, ln(1 + exp(-margin)) if it churned. */
static double
margin_loss(double margin, int churned)
{
	double		z = churned ? -margin : margin;

	return z > 0 ? z + log1p(exp(-z)) : log1p(exp(z));
}

ChurnFoldScore
churn_trial_measure(const ChurnCourse *course, int number,
					const float *margins, double offset)
{
	const ChurnFolds *folds = &course->folds;
	const uint8_t *labels = course->table->labels + folds->first;
	ChurnScored *rows = churn_pages_alloc(folds->n * sizeof(ChurnScored));
	ChurnFoldScore score;
	double		loss = 0;
	size_t		n = 0;
	size_t		row;

	for (row = 0; row < folds->n; row++)
	{
		if (churn_fold_of(folds, number / folds->k, row) != number % folds->k)
			continue;
		rows[n++] = churn_scored(margins[row], labels[row] != 0);
		loss += margin_loss(margins[row] + offset, labels[row]);
	}
	churn_metrics_sort(rows, n);
	score.pr_auc = churn_metrics_pr_auc(rows, n);
	score.roc_auc = churn_metrics_roc_auc(rows, n);
	score.log_loss = loss / (double) n;
	churn_pages_free(rows, folds->n * sizeof(ChurnScored));
	return score;
}

/* Mean log loss of a fold's held out rows, with an offset. */
static double
fold_loss(const ChurnCourse *course, int number, const float *margins,
		  double offset)
{
	const ChurnFolds *folds = &course->folds;
	const uint8_t *labels = course->table->labels + folds->first;
	double		loss = 0;
	size_t		n = 0;
	size_t		row;

	for (row = 0; row < folds->n; row++)
	{
		if (churn_fold_of(folds, number / folds->k, row) != number % folds->k)
			continue;
		loss += margin_loss(margins[row] + offset, labels[row]);
		n++;
	}
	return loss / (double) n;
}

/* Keeps the held out rows' margins of a checkpoint. */
static void
keep_margins(ChurnTrial *trial, const ChurnCourse *course, int number,
			 int point, const float *margins)
{
	const ChurnFolds *folds = &course->folds;
	size_t		row;

	for (row = 0; row < folds->n; row++)
	{
		if (churn_fold_of(folds, 0, row) == number)
			trial->margins[(size_t) point * folds->n + row] = margins[row];
	}
}

/*
 * Called at each checkpoint of a fold's fit.  Of a lone fold, whose best
 * checkpoint is known as soon as it comes, only that one's margins are kept,
 * and only the log loss is measured until the end.
 */
static ChurnVerdict
watch_fit(void *context, int rounds, const float *margins)
{
	Watch	   *watch = context;
	ChurnTrial *trial = watch->trial;
	const ChurnCourse *course = watch->course;
	bool		lone = course->folds.k == 1;
	ChurnFoldScore *score = &trial->curves[watch->number][watch->point];
	bool		best;

	if (lone)
		score->log_loss = fold_loss(course, watch->number, margins,
									watch->offset);
	else
		*score = churn_trial_measure(course, watch->number, margins,
									 watch->offset);
	best = score->log_loss < watch->best_loss || watch->patience == 0;
	if (best)
	{
		watch->best_loss = score->log_loss;
		watch->best_rounds = rounds;
		watch->best_point = watch->point;
	}
	if (!lone)
		keep_margins(trial, course, watch->number, watch->point, margins);
	else if (best)
		keep_margins(trial, course, watch->number, 0, margins);
	watch->point++;
	if (watch->tell)
		churn_progress_round((uint32_t) rounds, (uint32_t) watch->rounds,
							 score->log_loss);
	if (best)
		return CHURN_VERDICT_BEST;
	if (rounds - watch->best_rounds >= watch->patience &&
		rounds - watch->best_rounds >= watch->share * watch->best_rounds)
		return CHURN_VERDICT_STOP;
	return CHURN_VERDICT_GO;
}

/* Called at each checkpoint of a fit whose rounds are all wanted. */
static ChurnVerdict
watch_rounds(void *context, int rounds, const float *margins)
{
	Watch	   *watch = context;

	(void) margins;
	if (watch->tell)
		churn_progress_round((uint32_t) rounds, (uint32_t) watch->rounds, NAN);
	return CHURN_VERDICT_GO;
}

/*
 * Makes room for what will be measured.  A lone fold stops at its own best
 * round, so each is looked at, unless all of them are wanted: then only the
 * last is.
 */
static void
prepare(ChurnTrial *trial, const ChurnCourse *course, int rounds,
		int patience)
{
	bool		lone = course->folds.k == 1;
	int			points;

	if (trial->margins != NULL)
		return;
	if (lone)
		trial->every = patience > 0 ? 1 : rounds;
	else
		trial->every = (rounds + MAX_POINTS - 1) / MAX_POINTS;
	points = (rounds + trial->every - 1) / trial->every;
	trial->npoints = points;
	trial->room = points;
	trial->margins_size = (size_t) (lone ? 1 : points) * course->folds.n *
		sizeof(float);
	trial->margins = churn_pages_alloc(trial->margins_size);
}

/* The share of a sample's weight that churned. */
static double
sample_rate(const ChurnSample *sample)
{
	return churn_sample_positives(sample) / churn_sample_weight(sample);
}

/*
 * Fits a candidate on a sample, balanced as the option "sampling" says; rows
 * of weight 0 have no part in that.  Sets *offset, unless that is NULL, before
 * the fit begins, to what is to be added to its margins since the sample has
 * another share of churners than the rows it was made of.
 */
static ChurnFit *
fit_balanced(const ChurnTrial *trial, const ChurnSettings *settings,
			 const ChurnSample *sample, const ChurnFitControl *control,
			 double *offset)
{
	const ChurnCandidate *candidate = &trial->candidate;
	ChurnSampling sampling =
	(ChurnSampling) churn_option(settings, "sampling");
	ChurnBalance balance;
	ChurnFit   *fit;

	if (sampling == CHURN_SAMPLING_NONE)
		return candidate->learner->fit(sample, candidate->params, control);
	churn_balance_make(&balance, sample, sampling, 1.0, control->seed);
	if (offset != NULL)
		*offset = churn_prior_offset(sample_rate(sample),
									 sample_rate(&balance.sample));
	fit = candidate->learner->fit(&balance.sample, candidate->params,
								  control);
	churn_balance_free(&balance);
	return fit;
}

/*
 * Fits a candidate on the rows of the folds, less those of one that is held
 * out.
 */
static ChurnFit *
fit_without(const ChurnTrial *trial, const ChurnCourse *course,
			const ChurnFitControl *control)
{
	Watch	   *watch = control->context;
	const ChurnFolds *folds = &course->folds;
	ChurnSample sample = {.table = course->table,.first = folds->first,
	.nreal = folds->n};
	float	   *weights = churn_pages_alloc(folds->n * sizeof(float));
	ChurnFit   *fit;
	size_t		row;

	for (row = 0; row < folds->n; row++)
		weights[row] = churn_fold_of(folds, watch->number / folds->k, row) !=
			watch->number % folds->k;
	sample.weights = weights;
	fit = fit_balanced(trial, course->settings, &sample, control,
					   &watch->offset);
	churn_pages_free(weights, folds->n * sizeof(float));
	return fit;
}

/*
 * Fits a candidate on the n rows of the table from first on, all of weight 1,
 * balanced as the settings say; see fit_balanced() for offset.
 */
static ChurnFit *
fit_rows(const ChurnTrial *trial, const ChurnSettings *settings,
		 const ChurnTable *table, size_t first, size_t n,
		 const ChurnFitControl *control, double *offset)
{
	ChurnSample sample = {.table = table,.first = first,.nreal = n};
	float	   *weights = churn_pages_alloc(n * sizeof(float));
	ChurnFit   *fit;
	size_t		row;

	for (row = 0; row < n; row++)
		weights[row] = 1;
	sample.weights = weights;
	fit = fit_balanced(trial, settings, &sample, control, offset);
	churn_pages_free(weights, n * sizeof(float));
	return fit;
}

/*
 * Fits a candidate whose rounds are all wanted on the training part alone,
 * which is a good deal faster than to carry the validation part along, and
 * predicts that afterwards.
 */
static ChurnFit *
fit_apart(ChurnTrial *trial, const ChurnCourse *course, Watch *watch,
		  const ChurnFitControl *control)
{
	const ChurnFolds *folds = &course->folds;
	const ChurnTable *table = course->table;
	size_t		train = table->start[CHURN_PART_TRAIN];
	ChurnFitControl blind = *control;
	ChurnFit   *fit;

	blind.checkpoint = watch_rounds;
	blind.every = (control->rounds + MAX_POINTS - 1) / MAX_POINTS;
	blind.blind = true;
	fit = fit_rows(trial, course->settings, table, train,
				   churn_table_rows(table, CHURN_PART_TRAIN), &blind,
				   &watch->offset);
	trial->candidate.learner->predict(fit, table, folds->first,
									  train - folds->first, trial->margins);
	watch->point = 1;
	return fit;
}

void
churn_trial_fold(ChurnTrial *trial, const ChurnCourse *course, int number,
				 ChurnFit **keep)
{
	const ChurnLearner *learner = trial->candidate.learner;
	const ChurnSetting *params = trial->candidate.params;
	int			rounds = learner->has_rounds ?
	(int) churn_param(params, "rounds") : 1;
	Watch		watch = {.trial = trial,.course = course,.number = number,
	.best_loss = INFINITY,.tell = keep != NULL,.rounds = rounds};
	ChurnFitControl control = {.threads = course->settings->threads,
	.rounds = rounds,.checkpoint = watch_fit,.context = &watch};
	double		began = churn_now();
	ChurnFit   *fit;

	if (learner->has_rounds)
		watch.patience = (int) churn_param(params, "early_stopping_rounds");
	prepare(trial, course, rounds, watch.patience);
	/* other folds may have their best later, and all have to get there */
	if (course->folds.k > 1)
		watch.share = PATIENT_SHARE;
	control.seed = (uint64_t) churn_option(course->settings, "seed");
	control.every = trial->every;
	trial->curves[number] = churn_alloc((size_t) trial->room,
										sizeof(ChurnFoldScore));
	if (course->folds.k == 1 && watch.patience == 0)
		fit = fit_apart(trial, course, &watch, &control);
	else
		fit = fit_without(trial, course, &control);
	if (watch.point < trial->npoints)
		trial->npoints = watch.point;
	if (course->folds.k == 1)
		trial->curves[number][watch.best_point] =
			churn_trial_measure(course, number, trial->margins, watch.offset);
	trial->nfolds = number + 1;
	trial->seconds += churn_now() - began;
	if (keep != NULL)
		*keep = fit;
	else
		learner->free(fit);
}

/* Called at the end of a repeated fold's fit. */
static ChurnVerdict
watch_end(void *context, int rounds, const float *margins)
{
	Watch	   *watch = context;
	ChurnTrial *trial = watch->trial;
	const ChurnFolds *folds = &watch->course->folds;
	int			repeat = watch->number / folds->k;
	size_t		row;

	(void) rounds;
	trial->scores[watch->number] = churn_trial_measure(watch->course,
													   watch->number, margins,
													   watch->offset);
	for (row = 0; row < folds->n; row++)
	{
		if (churn_fold_of(folds, repeat, row) == watch->number % folds->k)
			trial->again[repeat][row] = margins[row];
	}
	return CHURN_VERDICT_GO;
}

void
churn_trial_repeat(ChurnTrial *trial, const ChurnCourse *course, int number)
{
	Watch		watch = {.trial = trial,.course = course,.number = number};
	ChurnFitControl control = {.threads = course->settings->threads,
		.rounds = trial->rounds,.every = trial->rounds + 1,
	.checkpoint = watch_end,.context = &watch};
	int			repeat = number / course->folds.k;
	double		began = churn_now();

	if (trial->again[repeat] == NULL)
		trial->again[repeat] = churn_pages_alloc(course->folds.n *
												 sizeof(float));
	control.seed = (uint64_t) churn_option(course->settings, "seed") +
		(uint64_t) repeat;
	trial->candidate.learner->free(fit_without(trial, course, &control));
	trial->nfolds = number + 1;
	trial->seconds += churn_now() - began;
	churn_trial_summarize(trial);
}

void
churn_trial_summarize(ChurnTrial *trial)
{
	double		n = trial->nfolds;
	double		squares = 0;
	int			fold;

	memset(&trial->mean, 0, sizeof(trial->mean));
	for (fold = 0; fold < trial->nfolds; fold++)
	{
		trial->mean.pr_auc += trial->scores[fold].pr_auc / n;
		trial->mean.roc_auc += trial->scores[fold].roc_auc / n;
		trial->mean.log_loss += trial->scores[fold].log_loss / n;
	}
	for (fold = 0; fold < trial->nfolds; fold++)
		squares += (trial->scores[fold].pr_auc - trial->mean.pr_auc) *
			(trial->scores[fold].pr_auc - trial->mean.pr_auc);
	trial->spread = n > 1 ? sqrt(squares / (n - 1)) : NAN;
}

void
churn_trial_judge(ChurnTrial *trial)
{
	const ChurnCandidate *candidate = &trial->candidate;
	bool		chooses = candidate->learner->has_rounds &&
	churn_param(candidate->params, "early_stopping_rounds") > 0;
	double		best = INFINITY;
	int			point;
	int			fold;

	trial->point = trial->npoints - 1;
	for (point = 0; chooses && point < trial->npoints; point++)
	{
		double		sum = 0;

		for (fold = 0; fold < trial->nfolds; fold++)
			sum += trial->curves[fold][point].log_loss;
		if (sum < best)
		{
			best = sum;
			trial->point = point;
		}
	}
	trial->rounds = (trial->point + 1) * trial->every;
	if (candidate->learner->has_rounds &&
		trial->rounds > churn_param(candidate->params, "rounds"))
		trial->rounds = (int) churn_param(candidate->params, "rounds");
	for (fold = 0; fold < trial->nfolds; fold++)
		trial->scores[fold] = trial->curves[fold][trial->point];
	churn_trial_summarize(trial);
}

const float *
churn_trial_margins(const ChurnTrial *trial, const ChurnCourse *course,
					int repeat)
{
	if (repeat > 0)
		return trial->again[repeat];
	if (course->folds.k == 1)
		return trial->margins;
	return trial->margins + (size_t) trial->point * course->folds.n;
}

ChurnFit *
churn_trial_refit(const ChurnTrial *trial, const ChurnSettings *settings,
				  const ChurnTable *table, size_t first, size_t n,
				  int rounds, ChurnTable *release)
{
	ChurnFitControl control = {.threads = settings->threads,.rounds = rounds,
	.every = rounds + 1,.release = release};

	control.seed = (uint64_t) churn_option(settings, "seed");
	return fit_rows(trial, settings, table, first, n, &control, NULL);
}
