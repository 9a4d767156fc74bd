/*
 * predict.c
 *		The peer of scoring: XGBoost's own batch prediction, through its C API.
 *
 *		predict MODEL MATRIX ROWS COLUMNS THREADS
 *
 * MODEL is a file as Booster.save_model() writes it, MATRIX holds ROWS x
 * COLUMNS floats, row by row.  Both are read into memory first.  Then each line
 * of input makes one prediction of all rows, and is answered by a line of
 * output: the seconds of the call alone, and the sum of the predictions.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <xgboost/c_api.h>

#define CHECKED(call) \
	do { \
		if ((call) != 0) \
			fail(XGBGetLastError()); \
	} while (0)

/* How to predict: the score, with all trees. */
#define CONFIG \
	"{\"type\": 0, \"training\": false, \"iteration_begin\": 0, " \
	"\"iteration_end\": 0, \"strict_shape\": false, \"cache_id\": 0, " \
	"\"missing\": NaN}"

static void fail(const char *message) __attribute__((noreturn));

/* Ends with a message. */
static void
fail(const char *message)
{
	fprintf(stderr, "predict: %s\n", message);
	exit(1);
}

/* A monotonic clock, in seconds. */
static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec * 1e-9;
}

/* Reads so many floats from a file. */
static float *
read_matrix(const char *path, size_t count)
{
	float	   *matrix = malloc(count * sizeof(float));
	FILE	   *file = fopen(path, "rb");

	if (matrix == NULL || file == NULL ||
		fread(matrix, sizeof(float), count, file) != count)
		fail("could not read the matrix");
	fclose(file);
	return matrix;
}

int
main(int argc, char **argv)
{
	BoosterHandle booster;
	char		interface[256];
	char		line[64];
	size_t		rows;
	size_t		columns;
	float	   *matrix;

	if (argc != 6)
		fail("wrong number of arguments");
	rows = strtoul(argv[3], NULL, 10);
	columns = strtoul(argv[4], NULL, 10);
	matrix = read_matrix(argv[2], rows * columns);
	CHECKED(XGBoosterCreate(NULL, 0, &booster));
	CHECKED(XGBoosterLoadModel(booster, argv[1]));
	CHECKED(XGBoosterSetParam(booster, "nthread", argv[5]));
	snprintf(interface, sizeof(interface),
			 "{\"data\": [%" PRIuPTR ", true], \"shape\": [%zu, %zu], "
			 "\"typestr\": \"<f4\", \"version\": 3}",
			 (uintptr_t) matrix, rows, columns);

	while (fgets(line, sizeof(line), stdin) != NULL)
	{
		bst_ulong const *shape;
		bst_ulong	ndims;
		const float *result;
		double		start = seconds();
		double		took;
		double		sum = 0;
		size_t		i;

		CHECKED(XGBoosterPredictFromDense(booster, interface, CONFIG, NULL,
										  &shape, &ndims, &result));
		took = seconds() - start;
		if (ndims != 1 || shape[0] != rows)
			fail("an unexpected number of predictions");
		for (i = 0; i < rows; i++)
			sum += (double) result[i];
		printf("%.9f %.17g\n", took, sum);
		fflush(stdout);
	}
	CHECKED(XGBoosterFree(booster));
	free(matrix);
	return 0;
}
