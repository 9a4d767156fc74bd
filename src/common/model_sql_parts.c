/*
 * model_sql_parts.c
 *		The components of models as SQL.
 */
#include <string.h>

#include "model_sql.h"

/* Categories by what they are worth, for churn_sql_in(). */
typedef struct Worth
{
	const double *points;
	double		worth;
} Worth;

static bool
is_worth(const void *context, uint32_t code)
{
	const Worth *worth = context;

	return worth->points[code] == worth->worth;
}

/* Begins an arm of a CASE; the condition is yet to be written. */
static void
put_when(ChurnSql *sql)
{
	churn_sql_text(sql, " WHEN ");
}

/* Ends an arm. */
static void
put_then(ChurnSql *sql, double value)
{
	churn_sql_text(sql, " THEN ");
	churn_sql_double(sql, value);
}

static void
put_else(ChurnSql *sql, double value)
{
	churn_sql_text(sql, " ELSE ");
	churn_sql_double(sql, value);
	churn_sql_text(sql, " END");
}

/* What a number is worth, with which a boolean's is written. */
static double
worth_of(const ChurnEffect *effect, float value)
{
	uint32_t	step = 0;

	if (effect->kind == CHURN_EFFECT_LINEAR)
	{
		if (value < effect->low)
			value = effect->low;
		if (value > effect->high)
			value = effect->high;
		return effect->slope * (double) value;
	}
	while (step < effect->npoints - 1 && effect->cuts[step] <= value)
		step++;
	return effect->points[step];
}

static void
put_boolean(ChurnSql *sql, uint32_t feature, const ChurnEffect *effect)
{
	churn_sql_text(sql, "CASE");
	put_when(sql);
	churn_sql_feature(sql, feature, false);
	put_then(sql, worth_of(effect, 1));
	put_when(sql);
	churn_sql_text(sql, "NOT ");
	churn_sql_feature(sql, feature, false);
	put_then(sql, worth_of(effect, 0));
	put_else(sql, effect->missing);
}

static void
put_linear(ChurnSql *sql, uint32_t feature, const ChurnEffect *effect)
{
	churn_sql_text(sql, "CASE");
	put_when(sql);
	churn_sql_feature(sql, feature, false);
	churn_sql_text(sql, " IS NULL");
	put_then(sql, effect->missing);
	churn_sql_text(sql, " ELSE ");
	churn_sql_double(sql, effect->slope);
	churn_sql_text(sql, " * least(greatest(");
	churn_sql_feature(sql, feature, true);
	churn_sql_text(sql, ", ");
	churn_sql_bound(sql, feature, effect->low, true);
	churn_sql_text(sql, "), ");
	churn_sql_bound(sql, feature, effect->high, true);
	churn_sql_text(sql, ") END");
}

static void
put_steps(ChurnSql *sql, uint32_t feature, const ChurnEffect *effect)
{
	uint32_t	last = effect->npoints - 1;
	uint32_t	i;

	churn_sql_text(sql, "CASE");
	for (i = 0; i <= last; i++)
	{
		put_when(sql);
		churn_sql_feature(sql, feature, false);
		if (last == 0)
			churn_sql_text(sql, " IS NOT NULL");
		else
		{
			churn_sql_text(sql, i < last ? " < " : " >= ");
			churn_sql_bound(sql, feature, effect->cuts[i < last ? i : i - 1],
							false);
		}
		put_then(sql, effect->points[i]);
	}
	put_else(sql, effect->missing);
}

/*
 * Categories of equal worth share an arm; those worth as much as missing ones
 * need none.
 */
static void
put_categories(ChurnSql *sql, uint32_t feature, const ChurnEffect *effect)
{
	Worth		worth = {.points = effect->points};
	bool		any = false;
	uint32_t	c;
	uint32_t	before;

	for (c = 0; c < effect->npoints; c++)
	{
		worth.worth = effect->points[c];
		for (before = 0; before < c; before++)
		{
			if (is_worth(&worth, before))
				break;
		}
		if (before < c || worth.worth == effect->missing)
			continue;
		churn_sql_text(sql, any ? "" : "CASE");
		any = true;
		put_when(sql);
		(void) churn_sql_in(sql, feature, is_worth, &worth);
		put_then(sql, worth.worth);
	}
	if (any)
		put_else(sql, effect->missing);
	else
		churn_sql_double(sql, effect->missing);
}

void
churn_sql_additive(ChurnSql *sql, const ChurnAdditive *additive)
{
	uint32_t	f;

	churn_sql_double(sql, additive->intercept);
	for (f = 0; f < additive->nfeatures; f++)
	{
		const ChurnEffect *effect = &additive->effects[f];

		if (effect->kind == CHURN_EFFECT_NONE)
			continue;
		churn_sql_text(sql, "\n  + ");
		if (effect->kind == CHURN_EFFECT_CATEGORIES)
			put_categories(sql, f, effect);
		else if (sql->model->features[f].kind == CHURN_FEATURE_BOOLEAN)
			put_boolean(sql, f, effect);
		else if (effect->kind == CHURN_EFFECT_LINEAR)
			put_linear(sql, f, effect);
		else
			put_steps(sql, f, effect);
	}
}

/* A categorical node, for churn_sql_in(). */
typedef struct Side
{
	const ChurnForest *forest;
	const ChurnNode *node;
	bool		right;
} Side;

static bool
is_on_side(const void *context, uint32_t code)
{
	const Side *side = context;
	const uint32_t *words = side->forest->bits + side->node->bits;
	bool		right = code / 32 < side->node->nwords &&
	(words[code / 32] >> (code % 32) & 1) != 0;

	return right == side->right;
}

/* The condition for a row to go right at an inner node. */
static void
put_condition(ChurnSql *sql, const ChurnForest *forest, const ChurnNode *node)
{
	const ChurnFeature *feature = &sql->model->features[node->feature];
	bool		missing_left = (node->flags & CHURN_NODE_DEFAULT_LEFT) != 0;
	Side		side = {forest, node, missing_left};
	bool		holds = feature->kind == CHURN_FEATURE_BOOLEAN &&
	node->value > 0 && node->value <= 1;

	if ((node->flags & CHURN_NODE_CATEGORICAL) != 0)
	{
		/* categories that are not known go where missing values go */
		churn_sql_text(sql, missing_left ? "" : "(");
		if (!churn_sql_in(sql, node->feature, is_on_side, &side))
			churn_sql_text(sql, "false");
		churn_sql_text(sql, missing_left ? "" : ") IS NOT TRUE");
		return;
	}
	churn_sql_feature(sql, node->feature, false);
	if (!holds)
	{
		churn_sql_text(sql, feature->kind == CHURN_FEATURE_BOOLEAN ?
					   "::integer >= " : " >= ");
		churn_sql_bound(sql, node->feature, node->value, false);
	}
	if (!missing_left)
	{
		churn_sql_text(sql, " OR ");
		churn_sql_feature(sql, node->feature, false);
		churn_sql_text(sql, " IS NULL");
	}
}

/*
 * What a tree gives, from a node on.  Left children go on with the same CASE,
 * so that a chain is read as one.
 */
static void
put_node(ChurnSql *sql, const ChurnForest *forest, const ChurnNode *nodes,
		 uint32_t at)
{
	bool		inner = nodes[at].left >= 0;

	churn_sql_text(sql, inner ? "CASE" : "");
	for (; nodes[at].left >= 0; at = (uint32_t) nodes[at].left)
	{
		churn_sql_text(sql, "\n ");
		put_when(sql);
		put_condition(sql, forest, &nodes[at]);
		churn_sql_text(sql, " THEN ");
		put_node(sql, forest, nodes, (uint32_t) nodes[at].right);
	}
	churn_sql_text(sql, inner ? "\n  ELSE " : "");
	churn_sql_float(sql, nodes[at].value);
	churn_sql_text(sql, inner ? " END" : "");
}

void
churn_sql_tree(ChurnSql *sql, const ChurnForest *forest)
{
	if (forest->base_margin != 0)
	{
		churn_sql_float(sql, forest->base_margin);
		churn_sql_text(sql, " + ");
	}
	put_node(sql, forest, forest->nodes + forest->trees[0].first, 0);
}
