/*
 * fuzz_artifact.c
 *		Feeds damaged artifacts, XGBoost's and our own, to all that reads them.
 *
 * Build and run, from the top of the sources:
 *
 *	clang -std=gnu11 -g -O1 -ffp-contract=off -Isrc/include \
 *		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
 *		-o /tmp/fuzz_artifact test/fuzz/fuzz_artifact.c src/common/[a-z]*.c -lm
 *	test/lib/random_models.py /tmp/corpus --models 12 --rows 1
 *	test/lib/random_components.py /tmp/corpus --models 12
 *	rm /tmp/corpus/manifest /tmp/corpus/[0-9]*.data /tmp/corpus/[0-9]*.margin
 *	/tmp/fuzz_artifact -max_len=65536 -max_total_time=60 /tmp/corpus
 *
 * Beside what the sanitizers see, it aborts when a model that was accepted
 * does not survive writing and reading, in either format and in the compiled
 * form, when the evaluator of a forest disagrees with the reference, or when a
 * score falls while the margin rises.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "churn/forest.h"
#include "churn/predictor.h"
#include "churn/xgboost.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* Values of features that are tried, one a row. */
static const float values[] = {NAN, 0, -1, 0.5f, 1e30f, 13};

#define NROWS	(sizeof(values) / sizeof(values[0]))

/*
 * Margins of the rows by the predictor, which for forests has to agree with
 * the reference.
 */
static void
get_margins(const ChurnModel *model, float *row, float *margins,
			ChurnArena *arena)
{
	const ChurnComponent *first = model->components;
	ChurnError	error;
	ChurnPredictor *predictor = churn_predictor_make(model, arena, arena,
													 &error);
	void	   *workspace;

	if (predictor == NULL)
		abort();
	workspace = aligned_alloc(32, (churn_predictor_workspace(predictor) + 63) &
							  ~(size_t) 31);
	for (size_t i = 0; i < NROWS; i++)
	{
		for (uint32_t j = 0; j < model->nfeatures; j++)
			row[j] = values[(i + j / 3) % NROWS];
		margins[i] = churn_predictor_margin(predictor, row, workspace);
		if (model->ncomponents > 1 || first->forest == NULL ||
			first->weight != 1 || first->offset != 0)
		{
			if (!isfinite(margins[i]))
				abort();
		}
		else if (churn_forest_margin(first->forest, row) != margins[i] &&
				 !isnan(margins[i]))
			abort();
	}
	free(workspace);
}

/*
 * Aborts if a model, which must be there, has other margins.
 */
static void
expect_margins(const ChurnModel *model, float *row, const float *margins,
			   ChurnArena *arena)
{
	float		again[NROWS];

	if (model == NULL)
		abort();
	get_margins(model, row, again, arena);
	for (size_t i = 0; i < NROWS; i++)
		if (again[i] != margins[i] && !isnan(margins[i]))
			abort();
}

/*
 * Writes the artifact in a format and expects the same model of it.
 */
static void
try_format(const ChurnArtifact *artifact, ChurnArtifactFormat format,
		   float *row, const float *margins, ChurnArena *arena)
{
	ChurnError	error;
	uint8_t    *bytes;
	size_t		length;
	ChurnArtifact *again;

	if (!churn_artifact_write(artifact, format, arena, &bytes, &length, &error))
		abort();
	again = churn_artifact_read(bytes, length, arena, &error);
	if (again == NULL || again->format != format ||
		again->kind != artifact->kind)
		abort();
	expect_margins(churn_artifact_model(again, arena, &error), row, margins,
				   arena);
}

/*
 * Scores are probabilities and never fall.
 */
static void
try_calibration(const ChurnCalibration *calibration)
{
	double		last = 0;

	for (float margin = -50; margin <= 50; margin += 0.25f)
	{
		double		score = churn_calibrate(calibration, margin);

		if (!(score >= last && score <= 1))
			abort();
		last = score;
	}
}

/*
 * One input.
 */
int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	ChurnArena *arena = churn_arena_create();
	ChurnError	error = {CHURN_OK, ""};
	ChurnArtifact *artifact = churn_artifact_read(bytes, length, arena,
												  &error);
	ChurnModel *model = NULL;
	float		margins[NROWS];
	float	   *row;
	uint8_t    *compiled;
	size_t		compiled_length;

	if (artifact != NULL)
		model = churn_artifact_model(artifact, arena, &error);
	if (model == NULL)
	{
		if (error.code == CHURN_OK || error.message[0] == '\0')
			abort();
		churn_arena_destroy(arena);
		return 0;
	}
	row = churn_arena_array(arena, model->nfeatures + 1, sizeof(float), NULL);
	get_margins(model, row, margins, arena);
	try_calibration(&model->calibration);
	try_format(artifact, CHURN_ARTIFACT_JSON, row, margins, arena);
	try_format(artifact, CHURN_ARTIFACT_UBJSON, row, margins, arena);
	if (!churn_model_write(model, arena, &compiled, &compiled_length, &error))
		abort();
	expect_margins(churn_model_read(compiled, compiled_length, arena, arena,
									&error), row, margins, arena);
	churn_arena_destroy(arena);
	return 0;
}
