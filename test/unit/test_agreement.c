/*
 * test_agreement.c
 *		Margins of imported models against XGBoost's own, bit for bit.
 *
 * Takes a directory that test/lib/random_models.py filled.  Beside each model
 * it writes what our writers make of it, as NNN.written.json and
 * NNN.written.ubj, for test/lib/check_written.py to load in Python.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "churn/forest.h"
#include "churn/xgboost.h"
#include "unit.h"

/* Kept by both formats and by XGBoost; check_written.py has it too. */
#define NASTY_TEXT	"quote \" back\\slash \\u00e9 line\nand\ttab \303\251"

typedef struct Case
{
	const char *directory;
	char		model[128];
	char		data[128];
	char		margin[128];
	size_t		rows;
	size_t		features;
	const float *values;
	const float *margins;
} Case;

/*
 * Reads a whole file into the arena; the test ends if it cannot.
 */
static uint8_t *
read_file(const char *directory, const char *name, ChurnArena *arena,
		  size_t *length)
{
	char		path[4096];
	FILE	   *file;
	uint8_t    *bytes;
	long		size;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "rb");
	if (file == NULL || fseek(file, 0, SEEK_END) != 0 ||
		(size = ftell(file)) < 0 || fseek(file, 0, SEEK_SET) != 0 ||
		(bytes = churn_arena_alloc(arena, (size_t) size + 1, NULL)) == NULL ||
		fread(bytes, 1, (size_t) size, file) != (size_t) size)
	{
		printf("Bail out! could not read %s: %s\n", path, strerror(errno));
		exit(1);
	}
	fclose(file);
	*length = (size_t) size;
	return bytes;
}

/*
 * Writes bytes beside the model, as NNN.written.ending.
 */
static bool
write_file(const Case *test, const char *ending, const uint8_t *bytes,
		   size_t length)
{
	char		path[4096];
	FILE	   *file;
	bool		written;

	snprintf(path, sizeof(path), "%s/%.3s.written.%s", test->directory,
			 test->model, ending);
	file = fopen(path, "wb");
	if (file == NULL)
		return false;
	written = fwrite(bytes, 1, length, file) == length;
	return fclose(file) == 0 && written;
}

/*
 * Describes all features as numbers in the attribute "churn", for models that
 * do not say what their categories are: rows hold codes anyway.
 */
static bool
describe_as_numbers(ChurnArtifact *artifact, size_t features,
					ChurnArena *arena, ChurnError *error)
{
	ChurnValue *attribute = churn_value_object(arena, error);
	ChurnValue *list = churn_value_array(arena, error);
	char	   *text;
	size_t		length;

	for (size_t i = 0; i < features; i++)
	{
		ChurnValue *feature = churn_value_object(arena, error);
		char		name[32];

		snprintf(name, sizeof(name), "column %zu", i);
		if (!churn_value_set(feature, "name",
							 churn_value_string(arena, name, error),
							 arena, error) ||
			!churn_value_set(feature, "kind",
							 churn_value_string(arena, "number", error),
							 arena, error) ||
			!churn_value_append(list, feature, arena, error))
			return false;
	}
	return churn_value_set(attribute, "format",
						   churn_value_integer(arena, 1, error),
						   arena, error) &&
		churn_value_set(attribute, "features", list, arena, error) &&
		churn_json_write(attribute, arena, &text, &length, error) &&
		churn_artifact_set_attribute(artifact, "churn", text, arena, error);
}

/*
 * Makes the model, described as numbers if it must be.
 */
static ChurnModel *
import(ChurnArtifact *artifact, size_t features, ChurnArena *arena,
	   ChurnError *error)
{
	ChurnModel *model = churn_artifact_model(artifact, arena, error);

	if (model == NULL && error->code == CHURN_ERROR_UNSUPPORTED &&
		strstr(error->message, "categories of feature") != NULL &&
		describe_as_numbers(artifact, features, arena, error))
		model = churn_artifact_model(artifact, arena, error);
	return model;
}

/*
 * Counts rows whose margin differs from XGBoost's in any bit.
 */
static size_t
differences(const Case *test, const ChurnForest *forest,
			const ChurnEvaluator *evaluator, void *workspace)
{
	size_t		differences = 0;

	for (size_t i = 0; i < test->rows; i++)
	{
		const float *row = test->values + i * test->features;
		float		margin;

		if (evaluator != NULL)
			margin = churn_evaluator_margin(evaluator, row, workspace);
		else
			margin = churn_forest_margin(forest, row);
		if (memcmp(&margin, &test->margins[i], sizeof(margin)) == 0)
			continue;
		if (differences++ == 0)
			printf("# row %zu: %a instead of %a\n", i, (double) margin,
				   (double) test->margins[i]);
	}
	return differences;
}

/*
 * Compares the evaluator.
 */
static void
test_evaluator(const Case *test, const ChurnModel *model, ChurnArena *arena,
			   ChurnError *error)
{
	ChurnEvaluator *evaluator = churn_evaluator_make(model->components[0].forest, arena,
													 arena, error);
	void	   *workspace = NULL;

	if (evaluator != NULL)
		workspace = aligned_alloc(32, (churn_evaluator_workspace(evaluator) +
									   63) & ~(size_t) 31);
	ok(evaluator != NULL && workspace != NULL &&
	   differences(test, NULL, evaluator, workspace) == 0,
	   "%s: the evaluator agrees", test->model);
	free(workspace);
}

/*
 * Tests that the categories that the file carries are found by their texts.
 */
static void
test_categories(const Case *test, const ChurnModel *model)
{
	size_t		wrong = 0;
	size_t		found = 0;

	for (uint32_t i = 0; i < model->nfeatures; i++)
	{
		const ChurnFeature *feature = &model->features[i];

		for (uint32_t code = 0; code < feature->ncategories; code++)
		{
			char		text[32];

			snprintf(text, sizeof(text), "c%u", code);
			found++;
			if (churn_dictionary_find(feature->dictionary, text,
									  strlen(text)) != (int32_t) code)
				wrong++;
		}
	}
	if (found > 0)
		ok(wrong == 0, "%s: %zu categories have their codes", test->model,
		   found);
}

/*
 * Tests that a written artifact is the same model.
 */
static void
test_written(const Case *test, ChurnArtifact *artifact,
			 ChurnArtifactFormat format, ChurnArena *arena, ChurnError *error)
{
	const char *ending = format == CHURN_ARTIFACT_JSON ? "json" : "ubj";
	ChurnArtifact *again = NULL;
	ChurnModel *model = NULL;
	const char *text = NULL;
	uint8_t    *bytes;
	size_t		length;

	if (churn_artifact_set_attribute(artifact, "nasty", NASTY_TEXT, arena,
									 error) &&
		churn_artifact_write(artifact, format, arena, &bytes, &length, error))
	{
		write_file(test, ending, bytes, length);
		again = churn_artifact_read(bytes, length, arena, error);
	}
	if (again != NULL)
	{
		text = churn_artifact_attribute(again, "nasty");
		model = churn_artifact_model(again, arena, error);
	}
	ok(model != NULL && again->format == format && text != NULL &&
	   strcmp(text, NASTY_TEXT) == 0 &&
	   differences(test, model->components[0].forest, NULL, NULL) == 0,
	   "%s: agrees when written as %s", test->model, ending);
	if (model == NULL)
		printf("# %s\n", error->message);
}

/*
 * Runs one case.
 */
static void
run_case(Case *test)
{
	ChurnArena *arena = churn_arena_create();
	ChurnError	error = {CHURN_OK, ""};
	ChurnArtifact *artifact;
	ChurnModel *model = NULL;
	uint8_t    *bytes;
	size_t		length;

	if (arena == NULL)
		abort();
	test->values = (const float *) read_file(test->directory, test->data,
											 arena, &length);
	test->margins = (const float *) read_file(test->directory, test->margin,
											  arena, &length);
	bytes = read_file(test->directory, test->model, arena, &length);
	artifact = churn_artifact_read(bytes, length, arena, &error);
	if (artifact != NULL)
		model = import(artifact, test->features, arena, &error);
	if (!ok(model != NULL && model->nfeatures == test->features,
			"%s: is imported", test->model))
		printf("# %s\n", error.message);
	else
	{
		ok(differences(test, model->components[0].forest, NULL, NULL) == 0,
		   "%s: the reference agrees (%u trees)", test->model,
		   model->components[0].forest->ntrees);
		test_evaluator(test, model, arena, &error);
		test_categories(test, model);
		test_written(test, artifact, CHURN_ARTIFACT_JSON, arena, &error);
		test_written(test, artifact, CHURN_ARTIFACT_UBJSON, arena, &error);
	}
	churn_arena_destroy(arena);
}

int
main(int argc, char **argv)
{
	char		path[4096];
	FILE	   *manifest;
	Case		test;

	if (argc < 2)
	{
		printf("1..0 # SKIP needs a directory of test/lib/random_models.py\n");
		return 0;
	}
	snprintf(path, sizeof(path), "%s/manifest", argv[1]);
	manifest = fopen(path, "r");
	if (manifest == NULL)
	{
		printf("Bail out! could not open %s: %s\n", path, strerror(errno));
		return 1;
	}
	memset(&test, 0, sizeof(test));
	test.directory = argv[1];
	while (fscanf(manifest, "%127s %127s %127s %zu %zu", test.model,
				  test.data, test.margin, &test.rows, &test.features) == 5)
		run_case(&test);
	fclose(manifest);
	return done();
}
