/*
 * fuzz_model.c
 *		Feeds damaged compiled forms to their reader.
 *
 * Build and run, from the top of the sources:
 *
 *	clang -std=gnu11 -g -O1 -ffp-contract=off -Isrc/include \
 *		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
 *		-o /tmp/fuzz_model test/fuzz/fuzz_model.c src/common/[a-z]*.c -lm
 *	mkdir -p /tmp/compiled
 *	CHURN_TEST_COMPILED=/tmp/compiled test/unit/build/test_components
 *	/tmp/fuzz_model -max_len=65536 -max_total_time=60 /tmp/compiled
 *
 * Beside what the sanitizers see, it aborts when a form that was accepted is
 * not written as it was read, or predicts what is no number.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "churn/predictor.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/*
 * Predicts a row of each of a few values.
 */
static void
try_predictor(const ChurnModel *model, ChurnArena *arena)
{
	static const float values[] = {NAN, 0, -1, 1, 1e30f, -INFINITY};
	ChurnError	error;
	ChurnPredictor *predictor = churn_predictor_make(model, arena, arena,
													 &error);
	float	   *row = churn_arena_array(arena, model->nfeatures + 1,
										sizeof(float), &error);
	void	   *workspace;

	if (predictor == NULL || row == NULL)
		abort();
	workspace = aligned_alloc(32, (churn_predictor_workspace(predictor) + 63) &
							  ~(size_t) 31);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
	{
		float		margin;

		for (uint32_t j = 0; j < model->nfeatures; j++)
			row[j] = values[i];
		margin = churn_predictor_margin(predictor, row, workspace);
		/* the leaves of a lone forest may overflow, as in XGBoost */
		if (!isfinite(margin) && (model->ncomponents > 1 ||
								  model->components[0].forest == NULL))
			abort();
	}
	free(workspace);
}

/*
 * One input.
 */
int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	ChurnArena *arena = churn_arena_create();
	ChurnError	error = {CHURN_OK, ""};
	ChurnModel *model = churn_model_read(bytes, length, arena, arena, &error);
	ChurnModel *again;
	uint8_t    *forms[2];
	size_t		lengths[2];

	if (model == NULL)
	{
		if (error.code == CHURN_OK || error.message[0] == '\0')
			abort();
		churn_arena_destroy(arena);
		return 0;
	}
	try_predictor(model, arena);
	if (!churn_model_write(model, arena, &forms[0], &lengths[0], &error))
		abort();
	again = churn_model_read(forms[0], lengths[0], arena, arena, &error);
	if (again == NULL ||
		!churn_model_write(again, arena, &forms[1], &lengths[1], &error) ||
		lengths[0] != lengths[1] ||
		memcmp(forms[0], forms[1], lengths[0]) != 0)
		abort();
	churn_arena_destroy(arena);
	return 0;
}
