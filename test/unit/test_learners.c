/*
 * test_learners.c
 *		The learners of ours: what they learn, that nothing of a row that is
 *		held out gets into it, and that src/common makes the same of it.
 */
#include "trainer_stubs.h"

#include "../../src/trainer/learner.h"
#include "../../src/trainer/learner_rules.h"
#include "churn/predictor.h"
#include "churn/document.h"
#include "unit.h"

#define ROWS	1200
#define FIRST	100				/* of the sample in the table */
#define REAL	1000

static const ChurnLearner *const learners[] = {
	&churn_learner_rules, &churn_learner_logistic, &churn_learner_network
};

#define NLEARNERS	(sizeof(learners) / sizeof(learners[0]))

static ChurnTable table;
static float weights[ROWS];
static uint32_t state;

double
churn_param(const ChurnSetting *params, const char *name)
{
	for (; strcmp(params->name, name) != 0; params++)
		;
	return params->value;
}

/* No test releases its table. */
void
churn_table_drop_train(ChurnTable *released)
{
	(void) released;
	abort();
}

static double
draw(void)
{
	state = state * 1103515245 + 12345;
	return (state >> 8 & 0xFFFF) / 65536.0;
}

static double
logistic(double z)
{
	return 1 / (1 + exp(-z));
}

/*
 * Rows of a number, tenure, its copy, a category of four, of which the last
 * never occurs, and two that tell together but not alone.  A fifth of the
 * tenures are missing.  Rows that are held out have other values if foreign is
 * not 0.
 */
static void
make_table(float foreign)
{
	float	   *tenure;
	float	   *copy;
	float	   *a;
	float	   *b;
	uint16_t   *contract;
	size_t		row;

	stub_free(&table);
	stub_table(&table, ROWS, 5);
	tenure = stub_column(&table, "tenure", CHURN_FEATURE_NUMBER, 0);
	copy = stub_column(&table, "copy", CHURN_FEATURE_NUMBER, 0);
	contract = stub_column(&table, "contract", CHURN_FEATURE_CATEGORY, 4);
	a = stub_column(&table, "a", CHURN_FEATURE_NUMBER, 0);
	b = stub_column(&table, "b", CHURN_FEATURE_BOOLEAN, 0);
	state = 11;
	for (row = 0; row < ROWS; row++)
	{
		bool		used = row >= FIRST && row < FIRST + REAL &&
		row % 5 != 0;
		double		z;

		if (row >= FIRST && row < FIRST + REAL)
			weights[row - FIRST] = used;
		tenure[row] = draw() < 0.2 ? NAN : (float) (int) (draw() * 73);
		copy[row] = tenure[row] * 2;
		contract[row] = (uint16_t) (draw() * 4);
		a[row] = (float) (draw() * 2 - 1);
		b[row] = draw() < 0.5;
		z = (isnan(tenure[row]) ? 0 : tenure[row] < 12 ? 1.5 : -1) +
			(contract[row] == 1 ? 2 : 0) + (b[row] > 0 ? 4 : -4) * a[row];
		table.labels[row] = draw() < logistic(z);
		if (used || foreign == 0)
			continue;
		tenure[row] += foreign;
		a[row] = foreign;
		contract[row] = 4;
		table.labels[row] = !table.labels[row];
	}
}

/* A sample of the middle of the table. */
static ChurnSample
make_sample(void)
{
	ChurnSample sample = {.table = &table,.first = FIRST,.nreal = REAL};

	sample.weights = weights;
	return sample;
}

/* What a checkpoint that follows the log loss of held out rows remembers. */
typedef struct Follower
{
	const ChurnSample *sample;
	int			calls;
	int			stop_after;
	int			best_after;		/* the round to call the best */
	double		first;			/* log loss after the first round */
	double		last;
	float	   *best;			/* margins of that round */
} Follower;

static ChurnVerdict
follow(void *context, int rounds, const float *margins)
{
	Follower   *follower = context;
	size_t		n = 0;
	size_t		i;

	follower->calls++;
	follower->last = 0;
	for (i = 0; i < follower->sample->nreal; i++)
	{
		if (weights[i] > 0)
			continue;
		n++;
		follower->last += log1p(exp(churn_sample_label(follower->sample, i) ?
									-margins[i] : margins[i]));
	}
	follower->last /= (double) n;
	if (follower->calls == 1)
		follower->first = follower->last;
	if (rounds == follower->best_after)
	{
		memcpy(follower->best, margins, REAL * sizeof(float));
		return CHURN_VERDICT_BEST;
	}
	return rounds == follower->stop_after ? CHURN_VERDICT_STOP :
		CHURN_VERDICT_GO;
}

/* A fit of few rounds, and all rows' margins by the learner. */
static ChurnFit *
fit_sample(const ChurnLearner *learner, const ChurnSample *sample,
		   float *margins)
{
	ChurnFitControl control = {.seed = 5,.threads = 1,.rounds = 15,
	.every = 1};
	ChurnFit   *fit = learner->fit(sample, learner->params, &control);

	learner->predict(fit, &table, 0, ROWS, margins);
	return fit;
}

/* The features of the model, as much of them as predictors look at. */
static ChurnFeature *
make_features(ChurnArena *arena)
{
	ChurnError	error;
	ChurnFeature *features = churn_arena_array(arena, table.ncolumns,
											   sizeof(ChurnFeature), &error);
	size_t		i;

	for (i = 0; i < table.ncolumns; i++)
	{
		features[i].name = table.columns[i].column->settings->name;
		features[i].type = "";
		features[i].kind = table.columns[i].kind;
		features[i].ncategories = table.columns[i].ncategories;
	}
	return features;
}

/* src/common's margin of each row, from the component that a fit makes. */
static void
predict_component(const ChurnLearner *learner, ChurnFit *fit, float *margins)
{
	ChurnArena *arena = churn_arena_create();
	ChurnModel *model;
	ChurnPredictor *predictor;
	ChurnValue *document;
	ChurnError	error;
	void	   *workspace;
	float		values[8];
	size_t		row;

	model = churn_arena_alloc(arena, sizeof(ChurnModel), &error);
	model->nfeatures = (uint32_t) table.ncolumns;
	model->features = make_features(arena);
	model->ncomponents = 1;
	model->components = churn_arena_alloc(arena, sizeof(ChurnComponent),
										  &error);
	learner->component(fit, &table, arena, model->components, &document);
	ok(document == NULL && model->components[0].weight == 1 &&
	   model->components[0].offset == 0 &&
	   strcmp(model->components[0].algorithm, learner->name) == 0,
	   "%s: makes a component", learner->name);
	predictor = churn_predictor_make(model, arena, arena, &error);
	if (!ok(predictor != NULL, "%s: can be predicted with", learner->name))
	{
		printf("# %s\n", error.message);
		exit(1);
	}
	workspace = aligned_alloc(32, (churn_predictor_workspace(predictor) + 63) /
							  32 * 32);
	for (row = 0; row < ROWS; row++)
	{
		churn_table_fill(&table, row, 1, values);
		margins[row] = churn_predictor_margin(predictor, values, workspace);
	}
	free(workspace);
	churn_arena_destroy(arena);
}

/* What holds for each learner. */
static void
test_learner(const ChurnLearner *learner)
{
	ChurnSample sample = make_sample();
	static float first[ROWS];
	static float second[ROWS];
	double		shares[8];
	double		sum = 0;
	double		off = 0;
	ChurnFit   *fit;
	size_t		i;

	fit = fit_sample(learner, &sample, first);
	predict_component(learner, fit, second);
	for (i = 0; i < ROWS; i++)
		off = fmax(off, fabs((double) first[i] - second[i]) /
				   fmax(1, fabs((double) first[i])));
	ok(off <= (learner == &churn_learner_network ? 1e-6 : 0),
	   "%s: margins are src/common's within %g", learner->name, off);
	learner->importance(fit, &table, shares);
	for (i = 0; i < table.ncolumns; i++)
		sum += shares[i];
	ok(fabs(sum - 1) < 1e-9, "%s: shares sum to %.12g", learner->name, sum);
	learner->free(fit);

	fit = fit_sample(learner, &sample, second);
	ok(memcmp(first, second, sizeof(first)) == 0,
	   "%s: a second fit is the same", learner->name);
	learner->free(fit);

	make_table(1000);
	fit = fit_sample(learner, &sample, second);
	make_table(0);
	learner->predict(fit, &table, 0, ROWS, second);
	ok(memcmp(first, second, sizeof(first)) == 0,
	   "%s: rows that are held out do not matter", learner->name);
	learner->free(fit);
}

/*
 * The gradient of what logistic regression minimises is 0: each coefficient
 * is what its input has in common with the residuals.
 */
static void
test_optimum(void)
{
	ChurnSample sample = make_sample();
	static float margins[ROWS];
	ChurnFit   *fit = fit_sample(&churn_learner_logistic, &sample, margins);
	ChurnArena *arena = churn_arena_create();
	ChurnComponent component;
	ChurnValue *document;
	double		residuals[8] = {0};
	const ChurnEffect *tenure;
	const ChurnEffect *contract;
	size_t		row;

	churn_learner_logistic.component(fit, &table, arena, &component,
									 &document);
	tenure = &component.additive->effects[0];
	contract = &component.additive->effects[2];
	for (row = FIRST; row < FIRST + REAL; row++)
	{
		double		residual = table.labels[row] - logistic(margins[row]);
		float		value = ((float *) table.columns[0].values)[row];
		uint16_t	code = ((uint16_t *) table.columns[2].values)[row];

		if (weights[row - FIRST] == 0)
			continue;
		residuals[0] += residual;
		residuals[code == 0 ? 5 : code] += residual;
		residuals[6] += isnan(value) ? residual : 0;
	}
	ok(fabs(residuals[0]) < 1e-3, "logistic: residuals sum to %g",
	   residuals[0]);
	ok(fabs(residuals[1] - contract->points[0]) < 1e-4 &&
	   fabs(residuals[2] - contract->points[1]) < 1e-4 &&
	   fabs(residuals[5] - contract->missing) < 1e-4,
	   "logistic: points of categories are at the optimum");
	ok(tenure->low == 0 && tenure->high == 72 && tenure->slope < 0,
	   "logistic: a number is clipped to its range");
	ok(fabs(residuals[6]) < 5, "logistic: residuals of missing values sum to %g",
	   residuals[6]);
	churn_arena_destroy(arena);
	churn_learner_logistic.free(fit);
}

/* Weights count as repeated rows do, whole ones exactly. */
static void
test_weights(void)
{
	ChurnSample sample = make_sample();
	static float first[ROWS];
	static float second[ROWS];
	static float made[REAL * 5];
	static uint8_t labels[REAL];
	static float repeated[2 * REAL];
	ChurnFit   *fit;
	double		off = 0;
	size_t		i;

	for (i = 0; i < REAL; i++)
	{
		repeated[i] = weights[i];
		weights[i] *= 1 + (i % 3 == 0);
		if (repeated[i] == 0 || i % 3 != 0)
			continue;
		repeated[REAL + sample.nmade] = 1;
		labels[sample.nmade] = churn_sample_label(&sample, i);
		churn_table_fill(&table, FIRST + i, 1, made + 5 * sample.nmade++);
	}
	sample.nmade = 0;
	fit = fit_sample(&churn_learner_logistic, &sample, first);
	churn_learner_logistic.free(fit);
	for (i = 0; repeated[REAL + i] > 0; i++)
		sample.nmade++;
	sample.weights = repeated;
	sample.made = made;
	sample.made_labels = labels;
	fit = fit_sample(&churn_learner_logistic, &sample, second);
	churn_learner_logistic.free(fit);
	for (i = 0; i < ROWS; i++)
		off = fmax(off, fabs((double) first[i] - second[i]));
	ok(off < 1e-4, "logistic: a row of weight 2 counts as two, within %g",
	   off);

	/* rows of one and a third */
	for (i = 0; i < sample.nmade; i++)
		repeated[REAL + i] = 4.0f / 3;
	fit = fit_sample(&churn_learner_logistic, &sample, first);
	churn_learner_logistic.free(fit);
	off = 0;
	for (i = 0; i < ROWS; i++)
		off = fmax(off, fabs((double) first[i] - second[i]));
	ok(off > 1e-3 && off < 0.3, "logistic: odd weights make a difference of %g",
	   off);
	make_table(0);
}

/* The network learns what effects that add up cannot. */
static void
test_network(void)
{
	ChurnSample sample = make_sample();
	static float best[REAL];
	static float margins[ROWS];
	Follower	follower = {.sample = &sample,.stop_after = 60,
	.best_after = 40,.best = best};
	Follower	plain = {.sample = &sample};
	ChurnFitControl control = {.seed = 5,.threads = 1,.rounds = 200,
	.every = 1,.checkpoint = follow,.context = &plain};
	ChurnFit   *fit;
	double		off = 0;
	size_t		i;

	fit = churn_learner_logistic.fit(&sample, churn_learner_logistic.params,
									 &control);
	churn_learner_logistic.free(fit);
	control.context = &follower;
	fit = churn_learner_network.fit(&sample, churn_learner_network.params,
									&control);
	ok(plain.calls == 1 && follower.calls == 60,
	   "network: checkpoints after each round, until one says stop");
	ok(follower.last < follower.first - 0.05 &&
	   follower.last < plain.last - 0.05,
	   "network: log loss falls from %.3f to %.3f, below logistic's %.3f",
	   follower.first, follower.last, plain.last);
	churn_learner_network.predict(fit, &table, FIRST, REAL, margins);
	for (i = 0; i < REAL; i++)
		off = fmax(off, fabs((double) margins[i] - best[i]));
	ok(off == 0, "network: the best round is kept");
	churn_learner_network.free(fit);
}

/* One hidden layer, one member, one unit. */
static void
test_small_network(void)
{
	ChurnSample sample = make_sample();
	ChurnSetting params[16];
	static float first[ROWS];
	static float second[ROWS];
	ChurnFitControl control = {.seed = 5,.threads = 1,.rounds = 3,
	.every = 1};
	ChurnFit   *fit;
	double		off = 0;
	size_t		i;

	for (i = 0; churn_learner_network.params[i].name != NULL; i++)
	{
		params[i] = churn_learner_network.params[i];
		if (strcmp(params[i].name, "hidden2") == 0)
			params[i].value = 0;
		if (strcmp(params[i].name, "hidden") == 0 ||
			strcmp(params[i].name, "members") == 0)
			params[i].value = 1;
	}
	params[i].name = NULL;
	fit = churn_learner_network.fit(&sample, params, &control);
	churn_learner_network.predict(fit, &table, 0, ROWS, first);
	predict_component(&churn_learner_network, fit, second);
	for (i = 0; i < ROWS; i++)
		off = fmax(off, fabs((double) first[i] - second[i]));
	ok(off <= 1e-6, "network: of one unit, margins within %g", off);
	churn_learner_network.free(fit);
}

/* A scorecard is short, and its numbers are. */
static void
test_scorecard(void)
{
	ChurnSample sample = make_sample();
	static float margins[ROWS];
	ChurnFit   *fit = fit_sample(&churn_learner_rules, &sample, margins);
	ChurnArena *arena = churn_arena_create();
	ChurnComponent component;
	ChurnValue *document;
	const ChurnEffect *tenure;
	const ChurnEffect *contract;
	bool		short_points = true;
	uint32_t	i;
	uint32_t	f;

	churn_learner_rules.component(fit, &table, arena, &component, &document);
	tenure = &component.additive->effects[0];
	contract = &component.additive->effects[2];
	ok(tenure->kind == CHURN_EFFECT_STEPS && tenure->npoints == 2 &&
	   tenure->cuts[0] == 12, "scorecard: tenure is cut at 12");
	ok(component.additive->effects[1].kind == CHURN_EFFECT_NONE,
	   "scorecard: a copy of a feature is left out");
	ok(contract->kind == CHURN_EFFECT_CATEGORIES && contract->npoints == 4 &&
	   contract->points[0] > contract->points[1] &&
	   contract->points[3] == contract->missing,
	   "scorecard: a category that was not seen counts as missing");
	for (f = 0; f < component.additive->nfeatures; f++)
	{
		const ChurnEffect *effect = &component.additive->effects[f];

		for (i = 0; i < effect->npoints; i++)
		{
			char		text[32];

			snprintf(text, sizeof(text), "%.2f", effect->points[i]);
			short_points = short_points && strtod(text, NULL) ==
				effect->points[i];
		}
	}
	ok(short_points, "scorecard: points have two decimals");
	churn_arena_destroy(arena);
	churn_learner_rules.free(fit);
}

/* Rules that are given are followed in order. */
static void
test_given(void)
{
	static const char json[] =
	"[{\"column\": \"b\", \"score\": 0.7}, "
	"{\"column\": \"late\", \"score\": 0.4}]";
	ChurnArena *arena = churn_arena_create();
	ChurnError	error;
	ChurnSample sample;
	static float margins[ROWS];
	static float ours[ROWS];
	float	   *b;
	float	   *late;
	double		rate[2] = {0, 0};
	bool		right = true;
	ChurnFit   *fit;
	size_t		row;

	stub_free(&table);
	stub_table(&table, ROWS, 3);
	stub_column(&table, "other", CHURN_FEATURE_NUMBER, 0);
	b = stub_column(&table, "b", CHURN_FEATURE_BOOLEAN, 0);
	late = stub_column(&table, "late", CHURN_FEATURE_BOOLEAN, 0);
	for (row = 0; row < ROWS; row++)
	{
		b[row] = draw() < 0.3 ? NAN : draw() < 0.5;
		late[row] = draw() < 0.3 ? NAN : draw() < 0.5;
		table.labels[row] = draw() < 0.2;
		if (row < FIRST || row >= FIRST + REAL || weights[row - FIRST] == 0 ||
			b[row] == 1 || late[row] == 1)
			continue;
		rate[0]++;
		rate[1] += table.labels[row];
	}
	churn_rules_give(churn_json_read(json, strlen(json), arena, &error));
	sample = make_sample();
	fit = fit_sample(&churn_learner_rules, &sample, margins);
	predict_component(&churn_learner_rules, fit, ours);
	for (row = 0; row < ROWS; row++)
	{
		double		score = b[row] == 1 ? 0.7 : late[row] == 1 ? 0.4 :
		rate[1] / rate[0];

		right = right && fabs(logistic(ours[row]) - score) < 1e-7;
	}
	ok(memcmp(margins, ours, sizeof(ours)) == 0 && right,
	   "given rules: the first that holds gives the score");
	churn_learner_rules.free(fit);
	churn_rules_give(NULL);
	churn_arena_destroy(arena);
}

int
main(void)
{
	size_t		i;

	make_table(0);
	for (i = 0; i < NLEARNERS; i++)
		test_learner(learners[i]);
	test_optimum();
	test_weights();
	test_network();
	test_small_network();
	test_scorecard();
	test_given();
	stub_free(&table);
	return done();
}
