/*
 * learner_rules.c
 *		The baseline that every other model has to beat: rules.
 *
 * Rules that the user gives are tried in order, and the score is that of the
 * first that holds: one tree, a chain.  Without any, a scorecard is learned.
 */
#include "learner_rules.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "additive.h"
#include "channel.h"
#include "keep.h"
#include "liblinear.h"
#include "memory.h"
#include "scorecard.h"

static const ChurnSetting params[] = {
	{"max_features", NULL, CHURN_SETTING_INTEGER, false, 5, 1, 20, NULL},
	{"max_bins", NULL, CHURN_SETTING_INTEGER, false, 5, 2, 16, NULL},
	{.name = NULL}
};

/* Scores, which are between 0 and 1, keep so far away from both. */
#define CERTAIN			1e-6

/* A rule that the user gave. */
typedef struct Rule
{
	uint32_t	feature;		/* boolean, whether it holds */
	float		margin;			/* where it does */
	double		weight;			/* of the rows where it is the first to hold */
	double		positives;		/* of these, those that churned */
} Rule;

/* Either the scorecard or rules. */
struct ChurnFit
{
	ChurnArena *arena;
	ChurnAdditive *additive;
	double	   *shares;			/* of the scorecard's features */
	uint32_t	nfeatures;
	uint32_t	nrules;
	Rule	   *rules;			/* one more, which always holds, at the end */
};

/* The rules of CONFIG, or NULL. */
static const ChurnValue *given = NULL;

void
churn_rules_give(const ChurnValue *rules)
{
	given = rules;
}

static double
logit(double p)
{
	p = fmin(fmax(p, CERTAIN), 1 - CERTAIN);
	return log(p / (1 - p));
}

/* The feature of a column; ends if it is not there. */
static uint32_t
find_feature(const ChurnTable *table, const char *name)
{
	size_t		f;

	for (f = 0; f < table->ncolumns; f++)
	{
		if (name != NULL &&
			strcmp(table->columns[f].column->settings->name, name) == 0 &&
			table->columns[f].kind == CHURN_FEATURE_BOOLEAN)
			return (uint32_t) f;
	}
	churn_failure(CHURN_SQLSTATE_INVALID_PARAMETER,
				  "A rule that holds for all rows, or for none, cannot be "
				  "part of a model.", NULL,
				  "\"%s\" does not tell the rows apart",
				  name != NULL ? name : "");
}

/* The first rule that holds for a row; the last one always does. */
static Rule *
first_rule(const ChurnFit *fit, const float *values)
{
	uint32_t	r;

	for (r = 0; r < fit->nrules; r++)
	{
		if (values[fit->rules[r].feature] >= 0.5f)
			break;
	}
	return &fit->rules[r];
}

/*
 * Takes the rules that were given.  Where none holds, the score is the rate
 * of churn of such rows, or of all rows if there is none.
 */
static void
take_rules(ChurnFit *fit, const ChurnLesson *lesson)
{
	Rule	   *last;
	uint32_t	r;
	size_t		i;

	fit->nrules = (uint32_t) given->length;
	fit->rules = churn_keep(fit->arena, (size_t) fit->nrules + 1,
							sizeof(Rule));
	for (r = 0; r < fit->nrules; r++)
	{
		const ChurnValue *rule = given->u.elements[r];

		fit->rules[r].feature =
			find_feature(lesson->table,
						 churn_value_text(rule, "column", NULL));
		fit->rules[r].margin =
			(float) logit(churn_value_number(rule, "score", NAN));
	}
	for (i = 0; i < lesson->nrows; i++)
	{
		Rule	   *rule = first_rule(fit, lesson->values +
									  i * lesson->nfeatures);

		rule->weight += lesson->weights[i];
		rule->positives += lesson->labels[i] ? lesson->weights[i] : 0;
	}
	last = &fit->rules[fit->nrules];
	last->margin = (float) logit(last->weight > 0 ?
								 last->positives / last->weight :
								 lesson->positives / lesson->weight);
}

static void
predict_rules(ChurnFit *fit, const ChurnTable *table, size_t first,
			  size_t count, float *margins)
{
	float	   *values;
	size_t		i;

	if (fit->additive != NULL)
	{
		churn_additive_predict(fit->additive, table, first, count, margins);
		return;
	}
	values = churn_alloc(fit->nfeatures, sizeof(float));
	for (i = 0; i < count; i++)
	{
		churn_table_fill(table, first + i, 1, values);
		margins[i] = first_rule(fit, values)->margin;
	}
	free(values);
}

/* Calls the checkpoint, if there is one, with the margins of all rows. */
static void
ask_checkpoint(ChurnFit *fit, const ChurnSample *sample,
			   const ChurnFitControl *control)
{
	size_t		n = churn_sample_rows(sample);
	float	   *values;
	float	   *margins;
	size_t		i;

	if (fit->additive != NULL)
	{
		churn_additive_checkpoint(fit->additive, sample, control);
		return;
	}
	if (control->checkpoint == NULL)
		return;
	values = churn_alloc(fit->nfeatures, sizeof(float));
	margins = churn_pages_alloc(n * sizeof(float));
	for (i = 0; i < n; i++)
	{
		churn_sample_fill(sample, i, 1, values);
		margins[i] = first_rule(fit, values)->margin;
	}
	(void) control->checkpoint(control->context, 1, margins);
	churn_pages_free(margins, n * sizeof(float));
	free(values);
}

static ChurnFit *
fit_rules(const ChurnSample *sample, const ChurnSetting *settings,
		  const ChurnFitControl *control)
{
	ChurnFit   *fit = churn_alloc(1, sizeof(ChurnFit));
	ChurnLesson lesson;

	churn_lesson_make(&lesson, sample, 0);
	fit->arena = churn_keep_create();
	fit->nfeatures = lesson.nfeatures;
	if (given != NULL && given->kind == CHURN_VALUE_ARRAY)
		take_rules(fit, &lesson);
	else
	{
		fit->additive =
			churn_scorecard_make(&lesson,
								 (uint32_t) churn_param(settings,
														"max_features"),
								 (uint32_t) churn_param(settings,
														"max_bins"),
								 fit->arena);
		fit->shares = churn_keep(fit->arena, lesson.nfeatures,
								 sizeof(double));
		churn_additive_weigh(fit->additive, &lesson, fit->shares);
	}
	churn_lesson_free(&lesson);
	ask_checkpoint(fit, sample, control);
	if (control->release != NULL)
		churn_table_drop_train(control->release);
	return fit;
}

/*
 * Rules share by how far the margins of the rows that they decide are from the
 * mean margin, by weight.
 */
static void
share_rules(ChurnFit *fit, const ChurnTable *table, double *shares)
{
	double		weight = 0;
	double		mean = 0;
	double		sum = 0;
	uint32_t	i;

	for (i = 0; i < table->ncolumns; i++)
		shares[i] = fit->additive != NULL ? fit->shares[i] : 0;
	if (fit->additive != NULL)
		return;
	for (i = 0; i <= fit->nrules; i++)
	{
		weight += fit->rules[i].weight;
		mean += fit->rules[i].weight * fit->rules[i].margin;
	}
	mean /= weight;
	for (i = 0; i < fit->nrules; i++)
	{
		double		share = fit->rules[i].weight *
		fabs(fit->rules[i].margin - mean);

		shares[fit->rules[i].feature] += share;
		sum += share;
	}
	for (i = 0; i < table->ncolumns; i++)
		shares[i] = sum > 0 ? shares[i] / sum : 0;
}

/*
 * Makes the chain: node 2 r asks whether rule r holds; to its right is the
 * leaf of those for whom it does, to its left the rest of the chain.  What is
 * missing does not hold.  A cover, the weight of the rows there, is never 0.
 */
static ChurnForest *
make_chain(const ChurnFit *fit, ChurnArena *arena)
{
	ChurnForest *forest = churn_keep(arena, 1, sizeof(ChurnForest));
	double		cover = 0;
	uint32_t	r;

	forest->nfeatures = fit->nfeatures;
	forest->ntrees = 1;
	forest->nnodes = 2 * fit->nrules + 1;
	forest->trees = churn_keep(arena, 1, sizeof(ChurnTree));
	forest->trees[0].nnodes = forest->nnodes;
	forest->trees[0].weight = 1;
	forest->nodes = churn_keep(arena, forest->nnodes, sizeof(ChurnNode));
	forest->bits = churn_keep(arena, 1, sizeof(uint32_t));
	for (r = fit->nrules + 1; r-- > 0;)
	{
		const Rule *rule = &fit->rules[r];

		/* the leaf of the last one ends the chain */
		ChurnNode  *leaf = &forest->nodes[r < fit->nrules ? 2 * r + 1 : 2 * r];
		ChurnNode  *node = &forest->nodes[2 * r];

		leaf->left = leaf->right = -1;
		leaf->value = rule->margin;
		leaf->cover = (float) fmax(rule->weight, 1e-3);
		cover += leaf->cover;
		if (r == fit->nrules)
			continue;
		node->left = (int32_t) (2 * r + 2);
		node->right = (int32_t) (2 * r + 1);
		node->feature = rule->feature;
		node->flags = CHURN_NODE_DEFAULT_LEFT;
		node->value = 0.5f;
		node->cover = (float) cover;
	}
	return forest;
}

static void
make_component(ChurnFit *fit, const ChurnTable *table, ChurnArena *arena,
			   ChurnComponent *component, ChurnValue **document)
{
	(void) table;
	memset(component, 0, sizeof(*component));
	component->algorithm = churn_learner_rules.name;
	component->weight = 1;
	if (fit->additive != NULL)
	{
		component->kind = CHURN_COMPONENT_ADDITIVE;
		component->additive = churn_keep_additive(fit->additive, arena);
	}
	else
	{
		component->kind = CHURN_COMPONENT_FOREST;
		component->forest = make_chain(fit, arena);
	}
	*document = NULL;
}

static void
free_rules(ChurnFit *fit)
{
	churn_arena_destroy(fit->arena);
	free(fit);
}

const ChurnLearner churn_learner_rules = {
	.name = "rules",
	.library = "liblinear",
	.version = churn_linear_version,
	.params = params,
	.has_rounds = false,
	.fit = fit_rules,
	.predict = predict_rules,
	.importance = share_rules,
	.component = make_component,
	.free = free_rules
};
