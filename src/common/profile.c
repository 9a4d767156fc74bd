/*
 * profile.c
 *		Counting rows in the cells of a baseline.
 */
#include "churn/divergence.h"
#include "churn/profile.h"

#include <math.h>
#include <string.h>

/* What profiles begin with. */
#define PROFILE_MAGIC	UINT32_C(0x63685001)

/* A quiet NaN that no arithmetic makes by itself. */
#define UNSEEN_BITS		UINT32_C(0x7FC0C8A7)

float
churn_unseen_value(void)
{
	uint32_t	bits = UNSEEN_BITS;
	float		value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

bool
churn_is_unseen(float value)
{
	uint32_t	bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits == UNSEEN_BITS;
}

/* Bytes of a profile of so many features, counts and sums. */
static size_t
size_of(uint32_t nfeatures, uint32_t ncounts, uint32_t nsums)
{
	return sizeof(ChurnProfile) +
		((size_t) nfeatures + 1) * sizeof(ChurnProfileFeature) +
		(size_t) ncounts * sizeof(uint64_t) + (size_t) nsums * sizeof(double);
}

size_t
churn_profile_size(const ChurnBaseline *baseline)
{
	return size_of(baseline->nfeatures, baseline->ncounts, baseline->nsums);
}

void
churn_profile_init(const ChurnBaseline *baseline, ChurnProfile *profile)
{
	uint32_t	i;

	memset(profile, 0, churn_profile_size(baseline));
	profile->magic = PROFILE_MAGIC;
	profile->nfeatures = baseline->nfeatures;
	profile->ncounts = baseline->ncounts;
	profile->nsums = baseline->nsums;
	profile->mark = baseline->mark;
	for (i = 0; i <= baseline->nfeatures; i++)
	{
		ChurnProfileFeature *feature = churn_profile_feature(profile, i);

		feature->low = NAN;
		feature->high = NAN;
	}
}

/*
 * The cell of a number: how many edges are below it, and one more unless it is
 * below all.  The steps of the bisection depend on the number of edges alone,
 * so that no branch is mispredicted and the processor works on the next feature
 * meanwhile.
 */
static inline uint32_t
find_cell(const ChurnCells *cells, float value)
{
	const float *edge = cells->edges;
	uint32_t	n = cells->nedges;

	if (n == 0)
		return 0;
	while (n > 1)
	{
		uint32_t	half = n / 2;

		edge += half & -(uint32_t) (edge[half - 1] < value);
		n -= half;
	}
	return (uint32_t) (edge - cells->edges) + (*edge < value) +
		(cells->edges[0] <= value);
}

/* Counts a number that is not NaN. */
static inline void
add_number(const ChurnCells *cells, ChurnProfileFeature *feature,
		   uint64_t *counts, double *sums, float value)
{
	uint32_t	cell = find_cell(cells, value);

	counts[cells->first + cell]++;
	sums[cells->first_sum + cell] += (double) value;
	if (!(feature->low <= (double) value))
		feature->low = (double) value;
	if (!(feature->high >= (double) value))
		feature->high = (double) value;
}

/* Counts the code of a category. */
static inline void
add_category(const ChurnCells *cells, ChurnProfileFeature *feature,
			 uint64_t *counts, float value)
{
	if (value >= 0 && value < (float) cells->ncells)
		counts[cells->first + (uint32_t) value]++;
	else if (value == value || churn_is_unseen(value))
		feature->unseen++;
	else
		feature->missing++;
}

void
churn_profile_add(const ChurnBaseline *baseline, ChurnProfile *profile,
				  const float *features, double score)
{
	ChurnProfileFeature *feature = churn_profile_feature(profile, 0);
	uint64_t   *counts = (uint64_t *) (feature + baseline->nfeatures + 1);
	double	   *sums = (double *) (counts + baseline->ncounts);
	const ChurnCells *cells = baseline->features;
	uint32_t	i;

	profile->rows++;
	for (i = 0; i < baseline->nfeatures; i++, cells++, feature++)
	{
		if (cells->kind == CHURN_FEATURE_CATEGORY)
			add_category(cells, feature, counts, features[i]);
		else if (features[i] == features[i])
			add_number(cells, feature, counts, sums, features[i]);
		else
			feature->missing++;
	}
	if (isnan(score))
		feature->missing++;
	else
		add_number(cells, feature, counts, sums, (float) score);
}

bool
churn_profile_merge(ChurnProfile *profile, const ChurnProfile *other,
					ChurnError *error)
{
	ChurnProfileFeature *to = churn_profile_feature(profile, 0);
	const ChurnProfileFeature *from = (const ChurnProfileFeature *) (other + 1);
	uint64_t   *counts;
	double	   *sums;
	const uint64_t *more_counts;
	const double *more_sums;
	uint32_t	i;

	if (profile->mark != other->mark ||
		profile->nfeatures != other->nfeatures ||
		profile->ncounts != other->ncounts || profile->nsums != other->nsums)
		return churn_fail(error, CHURN_ERROR_INVALID,
						  "profiles are of different baselines");
	if (other->rows > UINT64_MAX - profile->rows)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "profiles are of too many rows");
	profile->rows += other->rows;
	for (i = 0; i <= profile->nfeatures; i++, to++, from++)
	{
		to->missing += from->missing;
		to->unseen += from->unseen;
		/* fmin() and fmax() take a NaN for no value */
		to->low = fmin(to->low, from->low);
		to->high = fmax(to->high, from->high);
	}
	counts = (uint64_t *) to;
	more_counts = (const uint64_t *) from;
	for (i = 0; i < profile->ncounts; i++)
		counts[i] += more_counts[i];
	sums = (double *) (counts + profile->ncounts);
	more_sums = (const double *) (more_counts + profile->ncounts);
	for (i = 0; i < profile->nsums; i++)
		sums[i] += more_sums[i];
	return true;
}

/*
 * Adds a count to a sum of which no count may be above most.  False if it is,
 * or if the sum is too large.
 */
static inline bool
add_count(uint64_t *sum, uint64_t count, uint64_t most)
{
	return count <= most && !__builtin_add_overflow(*sum, count, sum);
}

/*
 * Each row is counted once for each feature and for the score.  That they add
 * up also shows that no sum of some of the counts overflows.
 */
bool
churn_profile_valid(const void *bytes, size_t length)
{
	const char *at = bytes;
	ChurnProfile profile;
	ChurnProfileFeature feature;
	uint64_t	count;
	uint64_t	sum = 0;
	uint64_t	expected;
	uint32_t	i;

	if (length < sizeof(profile))
		return false;
	memcpy(&profile, at, sizeof(profile));
	if (profile.magic != PROFILE_MAGIC ||
		profile.nfeatures > CHURN_MAX_FEATURES ||
		length != size_of(profile.nfeatures, profile.ncounts,
						  profile.nsums) ||
		__builtin_mul_overflow(profile.rows, (uint64_t) profile.nfeatures + 1,
							   &expected))
		return false;
	at += sizeof(profile);
	for (i = 0; i <= profile.nfeatures; i++, at += sizeof(feature))
	{
		memcpy(&feature, at, sizeof(feature));
		if (!add_count(&sum, feature.missing, profile.rows) ||
			!add_count(&sum, feature.unseen, profile.rows))
			return false;
	}
	for (i = 0; i < profile.ncounts; i++, at += sizeof(count))
	{
		memcpy(&count, at, sizeof(count));
		if (!add_count(&sum, count, profile.rows))
			return false;
	}
	return sum == expected;
}

bool
churn_profile_fits(const ChurnBaseline *baseline, const ChurnProfile *profile)
{
	const ChurnProfileFeature *feature =
	(const ChurnProfileFeature *) (profile + 1);
	const uint64_t *counts =
	(const uint64_t *) (feature + profile->nfeatures + 1);
	uint32_t	i;
	uint32_t	j;

	if (profile->mark != baseline->mark ||
		profile->nfeatures != baseline->nfeatures ||
		profile->ncounts != baseline->ncounts ||
		profile->nsums != baseline->nsums)
		return false;
	for (i = 0; i <= profile->nfeatures; i++, feature++)
	{
		const ChurnCells *cells = &baseline->features[i];
		uint64_t	rows = feature->missing + feature->unseen;

		for (j = 0; j < cells->ncells; j++)
			rows += counts[cells->first + j];
		if (rows != profile->rows)
			return false;
	}
	return true;
}

/* A value, moved to the end of the cell that it is beyond. */
static double
clamp(const ChurnCells *cells, uint32_t cell, double value)
{
	uint32_t	n = cells->nedges;

	if (n > 0 && cell > 0)
		value = fmax(value, (double) cells->edges[cell > 1 ? cell - 2 : 0]);
	if (n > 0 && cell <= n)
		value = fmin(value, (double) cells->edges[cell > 0 ? cell - 1 : 0]);
	return value;
}

/* Sums are rounded, so that a mean may be a little beyond its cell. */
void
churn_profile_centres(const ChurnBaseline *baseline,
					  const ChurnProfile *profile, uint32_t feature,
					  double *centres)
{
	const ChurnCells *cells = &baseline->features[feature];
	const uint64_t *counts = (const uint64_t *)
	((const ChurnProfileFeature *) (profile + 1) + profile->nfeatures + 1);
	const double *sums = (const double *) (counts + profile->ncounts) +
	cells->first_sum;
	uint32_t	i;

	counts += cells->first;
	for (i = 0; i < cells->ncells; i++)
		centres[i] = counts[i] == 0 ? (double) cells->centres[i] :
			clamp(cells, i, sums[i] / (double) counts[i]);
}

/*
 * Puts the rows of each side of a cell at a point of their own, the lower one
 * first.
 */
double
churn_profile_wasserstein(const ChurnBaseline *baseline,
						  const ChurnProfile *profile, uint32_t feature)
{
	const ChurnCells *cells = &baseline->features[feature];
	const uint64_t *counts = (const uint64_t *)
	((const ChurnProfileFeature *) (profile + 1) + profile->nfeatures + 1) +
	cells->first;
	double		centres[CHURN_MAX_EDGES + 2];
	double		points[2 * (CHURN_MAX_EDGES + 2)];
	uint64_t	p[2 * (CHURN_MAX_EDGES + 2)] = {0};
	uint64_t	q[2 * (CHURN_MAX_EDGES + 2)] = {0};
	uint32_t	i;

	churn_profile_centres(baseline, profile, feature, centres);
	for (i = 0; i < cells->ncells; i++)
	{
		double		centre = (double) cells->centres[i];
		uint32_t	lower = centres[i] < centre ? 1 : 0;

		p[2 * i + lower] = cells->counts[i];
		q[2 * i + 1 - lower] = counts[i];
		points[2 * i + lower] = centre;
		points[2 * i + 1 - lower] = centres[i];
	}
	return churn_divergence_wasserstein(points, p, q,
										2 * (size_t) cells->ncells);
}
