/*
 * profile.c
 *		Counting rows in the cells of a baseline.
 */
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

/* Bytes of a profile of so many features and counts. */
static size_t
size_of(uint32_t nfeatures, uint32_t ncounts)
{
	return sizeof(ChurnProfile) +
		((size_t) nfeatures + 1) * sizeof(ChurnProfileFeature) +
		(size_t) ncounts * sizeof(uint64_t);
}

size_t
churn_profile_size(const ChurnBaseline *baseline)
{
	return size_of(baseline->nfeatures, baseline->ncounts);
}

void
churn_profile_init(const ChurnBaseline *baseline, ChurnProfile *profile)
{
	uint32_t	i;

	memset(profile, 0, churn_profile_size(baseline));
	profile->magic = PROFILE_MAGIC;
	profile->nfeatures = baseline->nfeatures;
	profile->ncounts = baseline->ncounts;
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
		   uint64_t *counts, float value)
{
	uint32_t	cell = find_cell(cells, value);

	counts[cell]++;
	if (!(feature->low <= (double) value))
		feature->low = (double) value;
	if (!(feature->high >= (double) value))
		feature->high = (double) value;
	if (cell == cells->ncells - 1)
		feature->above += (double) value;
	else if (cell == 0)
		feature->below += (double) value;
}

/* Counts a value of a feature of either kind. */
static inline void
add_value(const ChurnCells *cells, ChurnProfileFeature *feature,
		  uint64_t *counts, float value)
{
	if (value != value)
	{
		if (churn_is_unseen(value))
			feature->unseen++;
		else
			feature->missing++;
	}
	else if (cells->kind != CHURN_FEATURE_CATEGORY)
		add_number(cells, feature, counts, value);
	else if (value >= 0 && value < (float) cells->ncells)
		counts[(uint32_t) value]++;
	else
		feature->unseen++;
}

void
churn_profile_add(const ChurnBaseline *baseline, ChurnProfile *profile,
				  const float *features, double score)
{
	ChurnProfileFeature *feature = churn_profile_feature(profile, 0);
	uint64_t   *counts = (uint64_t *) (feature + baseline->nfeatures + 1);
	const ChurnCells *cells = baseline->features;
	uint32_t	i;

	profile->rows++;
	for (i = 0; i < baseline->nfeatures; i++, cells++, feature++)
		add_value(cells, feature, counts + cells->first, features[i]);
	if (isnan(score))
		feature->missing++;
	else
		add_number(cells, feature, counts + cells->first, (float) score);
}

bool
churn_profile_merge(ChurnProfile *profile, const ChurnProfile *other,
					ChurnError *error)
{
	ChurnProfileFeature *to = churn_profile_feature(profile, 0);
	const ChurnProfileFeature *from = (const ChurnProfileFeature *) (other + 1);
	uint64_t   *counts;
	const uint64_t *more;
	uint32_t	i;

	if (profile->mark != other->mark ||
		profile->nfeatures != other->nfeatures ||
		profile->ncounts != other->ncounts)
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
		to->below += from->below;
		to->above += from->above;
	}
	counts = (uint64_t *) to;
	more = (const uint64_t *) from;
	for (i = 0; i < profile->ncounts; i++)
		counts[i] += more[i];
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
	if (profile.magic != PROFILE_MAGIC || profile.unused != 0 ||
		profile.nfeatures > CHURN_MAX_FEATURES ||
		length != size_of(profile.nfeatures, profile.ncounts) ||
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
		profile->ncounts != baseline->ncounts)
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

void
churn_profile_centres(const ChurnBaseline *baseline,
					  const ChurnProfile *profile, uint32_t feature,
					  double *centres)
{
	const ChurnCells *cells = &baseline->features[feature];
	const ChurnProfileFeature *of =
	(const ChurnProfileFeature *) (profile + 1) + feature;
	const uint64_t *counts = (const uint64_t *)
	((const ChurnProfileFeature *) (profile + 1) + profile->nfeatures + 1) +
	cells->first;
	uint32_t	last = cells->ncells - 1;
	uint32_t	i;

	for (i = 0; i <= last; i++)
		centres[i] = (double) cells->centres[i];
	if (counts[last] > 0)
		centres[last] = of->above / (double) counts[last];
	if (last > 0 && counts[0] > 0)
		centres[0] = of->below / (double) counts[0];
}
