/*
 * xgboost_matrix.c
 *		Rows in the form that XGBoost learns from.
 *
 * Data go to XGBoost in batches of floats made from the table, from which it
 * builds a matrix of bins; no copy of all floats ever exists.
 */
#include "xgboost_matrix.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "cuts.h"
#include "memory.h"

/* Floats of a batch. */
#define BATCH_FLOATS		(1024 * 1024)

/* An iteration over rows, which XGBoost drives. */
typedef struct Batches
{
	const ChurnSample *sample;
	const float *values;		/* the rows, or NULL to take the sample's */
	float	   *batch;			/* room for batch_rows rows */
	size_t		batch_rows;
	DMatrixHandle proxy;
	const char **types;			/* of the features */
	size_t		nrows;
	size_t		next;			/* first row of the next batch */
	const char *failed;			/* the call that failed, or NULL */
} Batches;

/* The matrix that is kept, and what it was made of. */
static struct
{
	DMatrixHandle matrix;
	ChurnSample sample;
	int			max_bin;
}			kept;

/*
 * XGBoost's messages begin with the time and place in its source, and end with
 * a stack trace.
 */
void
churn_xgboost_check(int result, const char *code)
{
	const char *message = XGBGetLastError();
	const char *place;

	if (result == 0)
		return;
	if (strstr(message, "bad_alloc") != NULL ||
		strstr(message, "bad_array_new_length") != NULL ||
		strstr(message, "bad_malloc") != NULL)
		churn_failure_memory();
	if (message[0] == '[' && (place = strstr(message, ": ")) != NULL)
		message = place + 2;
	churn_failure(CHURN_SQLSTATE_EXTERNAL,
				  churn_format("%.*s", (int) strcspn(message, "\n"), message),
				  NULL, "XGBoost failed in %.*s()",
				  (int) strcspn(code, "("), code);
}

const char *
churn_xgboost_array(const float *values, size_t rows, size_t columns)
{
	return churn_format("{\"data\": [%llu, true], \"shape\": [%zu, %zu], "
						"\"typestr\": \"<f4\", \"version\": 3}",
						(unsigned long long) (uintptr_t) values, rows,
						columns);
}

static void
reset_batches(DataIterHandle handle)
{
	Batches    *batches = handle;

	batches->next = 0;
}

/*
 * Passes the next batch; returns 0 when there is none.  Any other result means
 * "one more" to XGBoost, so that a failure is kept for later.
 */
static int
next_batch(DataIterHandle handle)
{
	Batches    *batches = handle;
	size_t		ncolumns = batches->sample->table->ncolumns;
	const float *values = batches->values;
	size_t		count = batches->nrows - batches->next;

	if (count == 0 || batches->failed != NULL)
		return 0;
	if (values == NULL)
	{
		if (count > batches->batch_rows)
			count = batches->batch_rows;
		churn_sample_fill(batches->sample, batches->next, count,
						  batches->batch);
		values = batches->batch;
	}
	batches->next += count;
	if (XGProxyDMatrixSetDataDense(batches->proxy,
								   churn_xgboost_array(values, count,
													   ncolumns)) != 0)
		batches->failed = "XGProxyDMatrixSetDataDense(";
	else if (XGDMatrixSetStrFeatureInfo(batches->proxy, "feature_type",
										batches->types,
										ncolumns) != 0)
		batches->failed = "XGDMatrixSetStrFeatureInfo(";
	return batches->failed == NULL;
}

const char **
churn_xgboost_types(const ChurnTable *table)
{
	const char **types = churn_alloc(table->ncolumns, sizeof(char *));
	size_t		i;

	for (i = 0; i < table->ncolumns; i++)
		types[i] = table->columns[i].kind == CHURN_FEATURE_CATEGORY ?
			"c" : "float";
	return types;
}

/*
 * Makes a matrix of bins of the sample's rows or, if values are given, of
 * these.  It takes the bins of reference, if there is one.
 */
static DMatrixHandle
make_binned(const ChurnSample *sample, const float *values, size_t nrows,
			int max_bin, int threads, DMatrixHandle reference)
{
	size_t		ncolumns = sample->table->ncolumns;
	Batches		batches = {.sample = sample,.values = values,.nrows = nrows};
	size_t		batch_bytes;
	DMatrixHandle matrix = NULL;
	char		config[128];
	int			result;

	batches.batch_rows = BATCH_FLOATS / ncolumns;
	batch_bytes = batches.batch_rows * ncolumns * sizeof(float);
	batches.batch = churn_pages_alloc(batch_bytes);
	batches.types = churn_xgboost_types(sample->table);
	CHURN_XGBOOST(XGProxyDMatrixCreate(&batches.proxy));
	snprintf(config, sizeof(config),
			 "{\"missing\": NaN, \"nthread\": %d, \"max_bin\": %d}",
			 threads, max_bin);
	result = XGQuantileDMatrixCreateFromCallback(&batches, batches.proxy,
												 reference, reset_batches,
												 next_batch, config, &matrix);
	if (batches.failed != NULL)
		churn_xgboost_check(-1, batches.failed);
	churn_xgboost_check(result, "XGQuantileDMatrixCreateFromCallback(");
	CHURN_XGBOOST(XGDMatrixFree(batches.proxy));
	free(batches.types);
	churn_pages_free(batches.batch, batch_bytes);
	return matrix;
}

/* Gives a matrix the labels of a sample's rows. */
static void
set_labels(DMatrixHandle matrix, const ChurnSample *sample)
{
	size_t		n = churn_sample_rows(sample);
	float	   *labels = churn_pages_alloc(n * sizeof(float));
	size_t		i;

	for (i = 0; i < n; i++)
		labels[i] = churn_sample_label(sample, i);
	CHURN_XGBOOST(XGDMatrixSetInfoFromInterface(matrix, "label",
												churn_xgboost_array(labels,
																	n, 1)));
	churn_pages_free(labels, n * sizeof(float));
}

/* Whether the matrix that is kept has these rows in these bins. */
static bool
is_kept(const ChurnSample *sample, int max_bin)
{
	return kept.matrix != NULL && kept.max_bin == max_bin &&
		kept.sample.table == sample->table &&
		kept.sample.first == sample->first &&
		kept.sample.nreal == sample->nreal &&
		sample->nmade == 0 && kept.sample.nmade == 0;
}

DMatrixHandle
churn_xgboost_matrix(const ChurnSample *sample, int max_bin, int threads)
{
	size_t		ncuts;
	float	   *cuts;
	DMatrixHandle reference;

	if (is_kept(sample, max_bin))
		return kept.matrix;
	churn_xgboost_forget_matrix();
	cuts = churn_cuts_make(sample, max_bin, &ncuts);
	reference = make_binned(sample, cuts, ncuts, max_bin, threads, NULL);
	kept.matrix = make_binned(sample, NULL, churn_sample_rows(sample),
							  max_bin, threads, reference);
	CHURN_XGBOOST(XGDMatrixFree(reference));
	churn_pages_free(cuts, ncuts * sample->table->ncolumns * sizeof(float));
	set_labels(kept.matrix, sample);
	kept.sample = *sample;
	kept.max_bin = max_bin;
	return kept.matrix;
}

void
churn_xgboost_forget_matrix(void)
{
	if (kept.matrix != NULL)
		CHURN_XGBOOST(XGDMatrixFree(kept.matrix));
	kept.matrix = NULL;
}
