/*
 * fuzz_profile.c
 *		Feeds damaged baselines and profiles to their readers.
 *
 * Build and run, from the top of the sources:
 *
 *	clang -std=gnu11 -g -O1 -ffp-contract=off -Isrc/include \
 *		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
 *		-o /tmp/fuzz_profile test/fuzz/fuzz_profile.c src/common/[a-z]*.c -lm
 *	mkdir -p /tmp/baselines
 *	/tmp/fuzz_profile -max_len=4096 -max_total_time=60 /tmp/baselines
 *
 * Rows from churn.baseline() make a good corpus.  Beside what the sanitizers
 * see, it aborts when what was accepted does not count its rows.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "churn/divergence.h"
#include "churn/profile.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* Values that rows are made of; an unseen category is another. */
static const float values[] = {
	NAN, 0, -0.0f, 1, 2, -1, 0.5f, 65535, 65536, 1e30f, -INFINITY, INFINITY
};

#define NVALUES	(sizeof(values) / sizeof(values[0]))

/* Reckons all divergences of a feature; those that are numbers are in range. */
static void
try_divergences(const ChurnBaseline *baseline, ChurnProfile *profile,
				uint32_t feature)
{
	const ChurnCells *cells = &baseline->features[feature];
	const uint64_t *p = cells->counts;
	const uint64_t *q = churn_profile_counts(profile, cells);
	double		p_value;
	double		value;
	uint64_t	df;

	value = churn_divergence_psi(p, q, cells->ncells);
	if (value < 0 || churn_divergence_psi_low(p, q, cells->ncells, 0.95) < 0)
		abort();
	value = churn_divergence_jensen_shannon(p, q, cells->ncells);
	if (value < 0 || value > 1 + 1e-9)
		abort();
	value = churn_divergence_kolmogorov_smirnov(p, q, cells->ncells, &p_value);
	if (value < 0 || value > 1 + 1e-9 || p_value < 0 || p_value > 1)
		abort();
	churn_divergence_chi_square(p, q, cells->ncells, &df, &p_value);
	if (p_value < 0 || p_value > 1)
		abort();
	if (cells->kind != CHURN_FEATURE_CATEGORY &&
		churn_profile_wasserstein(baseline, profile, feature) < -1e-3)
		abort();
}

/* Counts rows of the values above, and merges the profile with itself. */
static void
try_baseline(const ChurnBaseline *baseline)
{
	size_t		size = churn_profile_size(baseline);
	ChurnProfile *profile = malloc(size);
	ChurnProfile *copy = malloc(size);
	float	   *row = malloc((baseline->nfeatures + 1) * sizeof(float));
	ChurnError	error;
	uint32_t	j;

	churn_profile_init(baseline, profile);
	for (size_t i = 0; i <= NVALUES; i++)
	{
		for (j = 0; j < baseline->nfeatures; j++)
			row[j] = (i + j) % (NVALUES + 1) < NVALUES ?
				values[(i + j) % (NVALUES + 1)] : churn_unseen_value();
		churn_profile_add(baseline, profile, row,
						  i < NVALUES ? (double) values[i] : 0.25);
	}
	memcpy(copy, profile, size);
	if (!churn_profile_merge(profile, copy, &error) ||
		!churn_profile_valid(profile, size) ||
		!churn_profile_fits(baseline, profile) ||
		profile->rows != 2 * (NVALUES + 1))
		abort();
	for (j = 0; j <= baseline->nfeatures; j++)
		try_divergences(baseline, profile, j);
	free(row);
	free(copy);
	free(profile);
}

/*
 * One input.
 */
int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	ChurnArena *arena = churn_arena_create();
	ChurnError	error = {CHURN_OK, ""};
	ChurnBaseline *baseline = churn_baseline_read((const char *) bytes, length,
												  arena, &error);

	if (baseline != NULL)
		try_baseline(baseline);
	else if (error.code == CHURN_OK || error.message[0] == '\0')
		abort();
	if (churn_profile_valid(bytes, length))
	{
		ChurnProfile *profile = malloc(length);
		ChurnProfile *copy = malloc(length);

		memcpy(profile, bytes, length);
		memcpy(copy, bytes, length);
		(void) churn_profile_merge(profile, copy, &error);
		free(copy);
		free(profile);
	}
	churn_arena_destroy(arena);
	return 0;
}
