/*
 * forest.c
 *		The forest evaluator against XGBoost's own predictor, on one thread.
 *
 * Trains ensembles on synthetic customers shaped like Telco's (16 categorical
 * and 3 numeric features), checks that every margin is the same bit for bit,
 * and prints the time of a row and its ratio to XGBoost's batch prediction of
 * a dense matrix, the median of alternating runs.
 *
 * Build and run:
 *	cc -O2 -ffp-contract=off -Isrc/include -o forest bench/forest.c \
 *		src/common/[a-z]*.c -lxgboost -lm && ./forest [rows]
 */
#define _POSIX_C_SOURCE 200809L

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xgboost/c_api.h>

#include "../src/common/forest_parts.h"
#include "churn/xgboost.h"

#define CATEGORICAL		16
#define FEATURES		19
#define RUNS			7

static const int cardinalities[CATEGORICAL] =
{2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 4};

/* What is timed against XGBoost. */
static const struct
{
	const char *name;
	ChurnDesignChoice choice;
}			designs[] = {
	{"automatic", {CHURN_DESIGN_AUTO, 0, false}},
	{"leaf masks", {CHURN_DESIGN_BITS, 8, false}},
	{"leaf masks, portable", {CHURN_DESIGN_BITS, 8, true}},
	{"deep", {CHURN_DESIGN_DEEP, 0, false}},
	{"plain", {CHURN_DESIGN_PLAIN, 0, false}},
};

#define NDESIGNS (sizeof(designs) / sizeof(designs[0]))

static uint64_t random_state = 42;

static uint32_t
random_below(uint32_t limit)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (uint32_t) ((random_state * UINT64_C(2685821657736338717)) >> 32) %
		limit;
}

/* This thread's own time, so that a busy machine disturbs less. */
static double
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

/* Ends the program when a call of XGBoost's failed. */
static void
check(int result)
{
	if (result != 0)
	{
		fprintf(stderr, "xgboost: %s\n", XGBGetLastError());
		exit(1);
	}
}

static void
fail(const ChurnError *error)
{
	fprintf(stderr, "%s\n", error->message);
	exit(1);
}

/* Makes customers, and whether they churn by a few of the features. */
static void
make_rows(float *rows, float *labels, uint32_t n)
{
	uint32_t	i;
	uint32_t	k;

	for (i = 0; i < n; i++)
	{
		float	   *row = rows + (size_t) i * FEATURES;
		float		tenure = (float) random_below(73);
		float		monthly = 18.25f + (float) random_below(2010) * 0.05f;
		float		risk;

		for (k = 0; k < CATEGORICAL; k++)
			row[k] = (float) random_below((uint32_t) cardinalities[k]);

		/* a fifth has no internet, hence none of the services on it */
		if (random_below(5) == 0)
			for (k = 5; k < 13; k++)
				row[k] = 2;
		row[16] = tenure;
		row[17] = monthly;
		row[18] = tenure * monthly * (0.9f + (float) random_below(200) / 1e3f);
		risk = -0.5f - tenure / 25 + monthly / 60 - row[10] * 0.7f +
			(row[15] == 2 ? 0.8f : 0) + (row[5] == row[6] ? 0.5f : 0) -
			row[0] * row[7] * 0.3f;
		labels[i] = (float) random_below(1 << 20) / (1 << 20) <
			1 / (1 + expf(-risk));
		if (random_below(100) == 0)
			row[random_below(FEATURES)] = NAN;
	}
}

static DMatrixHandle
make_matrix(const float *rows, const float *labels, uint32_t n)
{
	const char *types[FEATURES];
	const char *config = "{\"missing\": NaN, \"nthread\": 2}";
	char		interface[200];
	DMatrixHandle matrix;
	int			k;

	for (k = 0; k < FEATURES; k++)
		types[k] = k < CATEGORICAL ? "c" : "float";
	snprintf(interface, sizeof(interface),
			 "{\"data\": [%zu, true], \"shape\": [%u, %d], "
			 "\"typestr\": \"<f4\", \"version\": 3}",
			 (size_t) rows, n, FEATURES);
	check(XGDMatrixCreateFromDense(interface, config, &matrix));
	if (labels != NULL)
		check(XGDMatrixSetFloatInfo(matrix, "label", labels, n));
	check(XGDMatrixSetStrFeatureInfo(matrix, "feature_type", types, FEATURES));
	return matrix;
}

/* The attribute that tells our reader the categories. */
static void
describe_features(BoosterHandle booster)
{
	char		text[4096];
	size_t		at;
	int			k;
	int			code;

	at = (size_t) snprintf(text, sizeof(text), "{\"format\": 1, "
						   "\"threshold\": 0.5, \"features\": [");
	for (k = 0; k < FEATURES; k++)
	{
		at += (size_t) snprintf(text + at, sizeof(text) - at,
								"%s{\"name\": \"f%d\", \"type\": \"text\", "
								"\"kind\": \"%s\"", k > 0 ? ", " : "", k,
								k < CATEGORICAL ? "category" : "number");
		for (code = 0; k < CATEGORICAL && code < cardinalities[k]; code++)
			at += (size_t) snprintf(text + at, sizeof(text) - at,
									"%s\"%d\"%s",
									code > 0 ? ", " : ", \"categories\": [",
									code,
									code == cardinalities[k] - 1 ? "]" : "");
		at += (size_t) snprintf(text + at, sizeof(text) - at, "}");
	}
	snprintf(text + at, sizeof(text) - at, "]}");
	check(XGBoosterSetAttr(booster, "churn", text));
}

static BoosterHandle
train(const float *rows, const float *labels, uint32_t n, int rounds,
	  int depth)
{
	DMatrixHandle matrix = make_matrix(rows, labels, n);
	BoosterHandle booster;
	char		text[20];
	int			i;

	check(XGBoosterCreate(&matrix, 1, &booster));
	snprintf(text, sizeof(text), "%d", depth);
	check(XGBoosterSetParam(booster, "max_depth", text));
	check(XGBoosterSetParam(booster, "objective", "binary:logistic"));
	check(XGBoosterSetParam(booster, "tree_method", "hist"));
	check(XGBoosterSetParam(booster, "eta", "0.1"));
	check(XGBoosterSetParam(booster, "nthread", "2"));
	for (i = 0; i < rounds; i++)
		check(XGBoosterUpdateOneIter(booster, i, matrix));
	check(XGBoosterSetParam(booster, "nthread", "1"));
	describe_features(booster);
	check(XGDMatrixFree(matrix));
	return booster;
}

/* Reads XGBoost's model into our own. */
static ChurnModel *
read_model(BoosterHandle booster, ChurnArena *arena)
{
	ChurnError	error;
	ChurnArtifact *artifact;
	ChurnModel *model = NULL;
	const char *bytes;
	bst_ulong	length;

	check(XGBoosterSaveModelToBuffer(booster, "{\"format\": \"ubj\"}", &length,
									 &bytes));
	artifact = churn_artifact_read((const uint8_t *) bytes, length, arena,
								   &error);
	if (artifact != NULL)
		model = churn_artifact_model(artifact, arena, &error);
	if (model == NULL)
		fail(&error);
	return model;
}

/* Nanoseconds a row of XGBoost's prediction of the whole batch. */
static double
time_xgboost(BoosterHandle booster, const float *rows, uint32_t n,
			 float *margins)
{
	const char *config = "{\"type\": 1, \"training\": false, "
	"\"iteration_begin\": 0, \"iteration_end\": 0, "
	"\"strict_shape\": false, \"missing\": NaN, \"cache_id\": 0}";
	char		interface[200];
	const bst_ulong *shape;
	bst_ulong	dimensions;
	const float *result;
	double		start;

	snprintf(interface, sizeof(interface),
			 "{\"data\": [%zu, true], \"shape\": [%u, %d], "
			 "\"typestr\": \"<f4\", \"version\": 3}",
			 (size_t) rows, n, FEATURES);
	start = now();
	check(XGBoosterPredictFromDense(booster, interface, config, NULL, &shape,
									&dimensions, &result));
	start = now() - start;
	memcpy(margins, result, n * sizeof(float));
	return start / n;
}

static double
time_ours(const ChurnEvaluator *evaluator, const float *rows, uint32_t n,
		  float *margins)
{
	size_t		size = churn_evaluator_workspace(evaluator);
	void	   *workspace = aligned_alloc(32, (size + 32) / 32 * 32);
	double		start = now();
	uint32_t	i;

	for (i = 0; i < n; i++)
		margins[i] = churn_evaluator_margin(evaluator,
											rows + (size_t) i * FEATURES,
											workspace);
	start = now() - start;
	free(workspace);
	return start / n;
}

static int
compare(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static double
median(double *values)
{
	qsort(values, RUNS, sizeof(double), compare);
	return values[RUNS / 2];
}

/* Measures one design; returns the number of margins that differ. */
static uint32_t
measure(const char *name, const ChurnDesignChoice *choice,
		BoosterHandle booster, const ChurnModel *model, const float *rows,
		uint32_t n)
{
	ChurnArena *keep = churn_arena_create();
	ChurnArena *scratch = churn_arena_create();
	float	   *theirs = calloc(n, sizeof(float));
	float	   *ours = calloc(n, sizeof(float));
	double		their_times[RUNS];
	double		our_times[RUNS];
	double		ratios[RUNS];
	double		made = now();
	uint32_t	differences = 0;
	uint32_t	i;
	ChurnError	error;
	ChurnEvaluator *evaluator;

	evaluator = churn_evaluator_make_as(model->components[0].forest, choice, keep,
										scratch,
										&error);
	made = now() - made;
	if (evaluator == NULL)
		printf("  %-21s %s\n", name, error.message);
	else
	{
		for (i = 0; i < RUNS; i++)
		{
			their_times[i] = time_xgboost(booster, rows, n, theirs);
			our_times[i] = time_ours(evaluator, rows, n, ours);
			ratios[i] = their_times[i] / our_times[i];
		}
		for (i = 0; i < n; i++)
			if (memcmp(&theirs[i], &ours[i], sizeof(float)) != 0)
				differences++;
		printf("  %-21s %8.0f %8.0f %7.1f %9.0f %8.2f   %u of %u\n", name,
			   median(our_times), median(their_times), median(ratios),
			   (double) churn_evaluator_size(evaluator) / 1024, made / 1e6,
			   differences, n);
	}
	free(theirs);
	free(ours);
	churn_arena_destroy(keep);
	churn_arena_destroy(scratch);
	return differences;
}

int
main(int argc, char **argv)
{
	static const int sizes[][2] = {{200, 6}, {100, 3}, {200, 8}, {50, 12}};
	uint32_t	n = argc > 1 ? (uint32_t) atoi(argv[1]) : 40000;
	float	   *rows = calloc(n, FEATURES * sizeof(float));
	float	   *labels = calloc(n, sizeof(float));
	uint32_t	differences = 0;
	size_t		i;
	size_t		d;

	if (n == 0 || rows == NULL || labels == NULL)
		return 1;
	make_rows(rows, labels, n);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		ChurnArena *arena = churn_arena_create();
		BoosterHandle booster = train(rows, labels, n, sizes[i][0],
									  sizes[i][1]);
		ChurnModel *model = read_model(booster, arena);

		printf("%d trees of depth %d, %u rows\n", sizes[i][0], sizes[i][1], n);
		printf("  %-21s %8s %8s %7s %9s %8s   %s\n", "design", "ns/row",
			   "XGBoost", "ratio", "KiB", "make ms", "margins differ");
		for (d = 0; d < NDESIGNS; d++)
			differences += measure(designs[d].name, &designs[d].choice,
								   booster, model, rows, n);
		check(XGBoosterFree(booster));
		churn_arena_destroy(arena);
	}
	free(rows);
	free(labels);
	return differences == 0 ? 0 : 1;
}
