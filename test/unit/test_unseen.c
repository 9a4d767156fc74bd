/*
 * test_unseen.c
 *		To all who score or explain, the value of a category that training never
 *		saw is a missing one, bit by bit.
 */
#include "churn/explain.h"
#include "churn/profile.h"
#include "random_components.h"
#include "unit.h"

#define ROWS	500
#define MAX_FEATURES	32

static const ForestShape forests[] = {
	{"stumps", 5, 65, 2, false, false, 3, 30, false},
	{"forest of depth 3, dart", 19, 100, 8, false, true, 4, 60, true},
	{"forest of 64 leaves", 19, 200, 64, false, true, 4, 250, false},
	{"forest of 400 leaves", 10, 30, 400, false, true, 9, 100, false},
	{"forest of many categories", 6, 20, 50, false, true, 1000, 100, false},
	{"deep forest of many categories", 6, 20, 500, false, true, 3000, 100, false}
};

/* Room for workspace of any alignment that is asked for. */
static void *
make_room(size_t size)
{
	return aligned_alloc(32, (size + 63) / 32 * 32);
}

/* Scores and explains rows with NaN of either kind. */
static void
test_model(const ChurnModel *model, Random *random, const char *name,
		   uint32_t ncategories, ChurnArena *arena)
{
	const ForestShape values = {"", model->nfeatures, 0, 0, false, false,
	ncategories, 60, false};
	ChurnPredictor *predictor = churn_predictor_make(model, arena, arena,
													 NULL);
	ChurnExplainer *explainer = churn_explainer_make(model, arena, arena,
													 NULL);
	void	   *workspaces[2] = {
		make_room(churn_predictor_workspace(predictor)),
		make_room(churn_explainer_workspace(explainer))
	};
	uint32_t	differ = 0;
	uint32_t	replaced = 0;
	uint32_t	i;
	uint32_t	j;

	for (i = 0; i < ROWS; i++)
	{
		float		rows[2][MAX_FEATURES];
		float		margins[2];
		double		contributions[2][MAX_FEATURES + 1];

		for (j = 0; j < model->nfeatures; j++)
		{
			rows[0][j] = rows[1][j] = random_value(random, &values);
			if (!isnan(rows[0][j]))
				continue;
			rows[1][j] = churn_unseen_value();
			replaced++;
		}
		for (j = 0; j < 2; j++)
		{
			margins[j] = churn_predictor_margin(predictor, rows[j],
												workspaces[0]);
			churn_explain_row(explainer, rows[j], workspaces[1],
							  contributions[j]);
		}
		differ += memcmp(&margins[0], &margins[1], sizeof(float)) != 0 ||
			memcmp(contributions[0], contributions[1],
				   (model->nfeatures + 1) * sizeof(double)) != 0;
	}
	ok(differ == 0 && replaced > ROWS / 10,
	   "%s: %u of %u rows differ, with %u unseen values", name, differ, ROWS,
	   replaced);
	free(workspaces[0]);
	free(workspaces[1]);
}

int
main(void)
{
	uint32_t	i;

	for (i = 0; i < sizeof(forests) / sizeof(forests[0]); i++)
	{
		Random		random = {101 + i};
		ChurnArena *arena = churn_arena_create();

		test_model(random_model(&random, &forests[i], arena), &random,
				   forests[i].name, forests[i].ncategories, arena);
		churn_arena_destroy(arena);
	}
	for (i = 0; i < NMODEL_SHAPES; i++)
	{
		Random		random = {201 + i};
		ChurnArena *arena = churn_arena_create();
		ChurnModel *model = random_blend(&random, &model_shapes[i], arena);

		if (model->nfeatures > 0 && model->nfeatures <= MAX_FEATURES)
			test_model(model, &random, model_shapes[i].name, 5, arena);
		churn_arena_destroy(arena);
	}
	return done();
}
