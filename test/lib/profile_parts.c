/*
 * profile_parts.c
 *		Baselines and profiles as a library that Python can call.
 *
 * profile_parts.py compiles it.  Only plain numbers and arrays pass; the
 * divergences are called as they are.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "churn/profile.h"

extern ChurnBaseline *parts_baseline(const char *json, size_t length,
									 char *message);
extern char *parts_make(const float *sorted, size_t n, uint64_t missing,
						int kind);
extern uint32_t parts_ncells(const ChurnBaseline *baseline, uint32_t feature,
							 uint32_t *nedges);
extern void parts_cells(const ChurnBaseline *baseline, uint32_t feature,
						uint64_t *counts, float *edges, uint64_t *missing,
						uint64_t *unseen, double *moments);
extern ChurnProfile *parts_profile(const ChurnBaseline *baseline,
								   const float *rows, const double *scores,
								   size_t n);
extern int	parts_merge(ChurnProfile *profile, const ChurnProfile *other);
extern void parts_counts(const ChurnBaseline *baseline, ChurnProfile *profile,
						 uint32_t feature, uint64_t *counts,
						 uint64_t *missing, uint64_t *unseen);
extern double parts_wasserstein(const ChurnBaseline *baseline,
								const ChurnProfile *profile,
								uint32_t feature);

/* All that is read stays until the process ends. */
static ChurnArena *
arena(void)
{
	static ChurnArena *made = NULL;

	if (made == NULL)
		made = churn_arena_create();
	return made;
}

/* Reads a baseline; NULL and a message of at most 512 bytes if it cannot be. */
ChurnBaseline *
parts_baseline(const char *json, size_t length, char *message)
{
	ChurnError	error = {CHURN_OK, ""};
	ChurnBaseline *baseline = churn_baseline_read(json, length, arena(),
												  &error);

	strcpy(message, error.message);
	return baseline;
}

/* The "baseline" of sorted numbers as JSON. */
char *
parts_make(const float *sorted, size_t n, uint64_t missing, int kind)
{
	ChurnCells	cells = {.kind = (ChurnFeatureKind) kind};
	ChurnError	error;
	char	   *text;
	size_t		length;

	if (!churn_cells_make(&cells, sorted, n, missing, arena(), &error) ||
		!churn_json_write(churn_cells_value(&cells, arena(), &error), arena(),
						  &text, &length, &error))
		abort();
	return text;
}

uint32_t
parts_ncells(const ChurnBaseline *baseline, uint32_t feature,
			 uint32_t *nedges)
{
	*nedges = baseline->features[feature].nedges;
	return baseline->features[feature].ncells;
}

/* The baseline's side of a feature; moments are mean and sd. */
void
parts_cells(const ChurnBaseline *baseline, uint32_t feature, uint64_t *counts,
			float *edges, uint64_t *missing, uint64_t *unseen,
			double *moments)
{
	const ChurnCells *cells = &baseline->features[feature];

	memcpy(counts, cells->counts, cells->ncells * sizeof(uint64_t));
	if (cells->nedges > 0)
		memcpy(edges, cells->edges, cells->nedges * sizeof(float));
	*missing = cells->missing;
	*unseen = cells->unseen;
	moments[0] = cells->mean;
	moments[1] = cells->sd;
}

/*
 * Counts n rows.  A value of minus infinity is a category that training never
 * saw.
 */
ChurnProfile *
parts_profile(const ChurnBaseline *baseline, const float *rows,
			  const double *scores, size_t n)
{
	size_t		size = churn_profile_size(baseline);
	ChurnProfile *profile = malloc(size);
	float	   *row = malloc((baseline->nfeatures + 1) * sizeof(float));

	if (profile == NULL || row == NULL)
		abort();
	churn_profile_init(baseline, profile);
	for (size_t i = 0; i < n; i++)
	{
		for (uint32_t j = 0; j < baseline->nfeatures; j++)
		{
			float		value = rows[i * baseline->nfeatures + j];

			row[j] = isinf(value) ? churn_unseen_value() : value;
		}
		churn_profile_add(baseline, profile, row, scores[i]);
	}
	free(row);
	if (!churn_profile_valid(profile, size) ||
		!churn_profile_fits(baseline, profile))
		abort();
	return profile;
}

int
parts_merge(ChurnProfile *profile, const ChurnProfile *other)
{
	ChurnError	error;

	return churn_profile_merge(profile, other, &error);
}

/* The profile's side of a feature. */
void
parts_counts(const ChurnBaseline *baseline, ChurnProfile *profile,
			 uint32_t feature, uint64_t *counts, uint64_t *missing,
			 uint64_t *unseen)
{
	const ChurnCells *cells = &baseline->features[feature];

	memcpy(counts, churn_profile_counts(profile, cells),
		   cells->ncells * sizeof(uint64_t));
	*missing = churn_profile_feature(profile, feature)->missing;
	*unseen = churn_profile_feature(profile, feature)->unseen;
}

double
parts_wasserstein(const ChurnBaseline *baseline, const ChurnProfile *profile,
				  uint32_t feature)
{
	return churn_profile_wasserstein(baseline, profile, feature);
}
