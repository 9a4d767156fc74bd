/*
 * bootstrap.c
 *		How far a metric might lie from what other customers would show.
 *
 * The percentile bootstrap (Efron and Tibshirani, "An introduction to the
 * bootstrap", 1993, chapter 13).  Rows are sorted once; a resample is how often
 * each of them was drawn, so that it is sorted as well and takes time in
 * proportion to the rows.
 */
#include "churn/bootstrap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Fewer draws than this are made one by one. */
#define FEW_DRAWS		1024

/*
 * Values that a Poisson count with a mean of at most 1 takes: 13 or more are
 * less probable than 2^-32.
 */
#define POISSON_VALUES	12

/* The next 64 random bits: SplitMix64 (Steele, Lea and Flood, 2014). */
static inline uint64_t
next_random(uint64_t *random)
{
	uint64_t	z = (*random += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

/* A number below n <= 2^32, as even as 32 bits allow. */
static inline size_t
random_below(uint64_t *random, size_t n)
{
	return (size_t) (((next_random(random) >> 32) * (uint64_t) n) >> 32);
}

/* limits[k] = 2^32 P(count <= k), for a Poisson count with that mean. */
static void
poisson_limits(double mean, uint32_t *limits)
{
	double		probability = exp(-mean);
	double		sum = 0;
	int			k;

	for (k = 0; k < POISSON_VALUES; k++)
	{
		sum += probability;
		probability *= mean / (k + 1);
		limits[k] = sum < 1 ? (uint32_t) fmin(sum * 4294967296.0, UINT32_MAX) :
			UINT32_MAX;
	}
}

static inline uint16_t
poisson_count(const uint32_t *limits, uint32_t uniform)
{
	unsigned	count = 0;
	int			k;

	for (k = 0; k < POISSON_VALUES; k++)
		count += uniform >= limits[k];
	return (uint16_t) count;
}

/*
 * How often each of n rows is drawn in n draws.  Independent Poisson counts
 * that add up to N are distributed like those of N draws; so they are made with
 * a mean a little below 1, and the few draws that are missing (about 5 times
 * the root of n) are made one by one.  Counts that add up to more than n, once
 * in millions, are thrown away, which changes nothing since only their sum
 * decided.  This reads memory in order, as n single draws would not.
 */
static void
draw_rows(uint64_t *random, uint16_t *draws, size_t n)
{
	uint32_t	limits[POISSON_VALUES];
	size_t		drawn = 0;
	size_t		i;

	if (n < FEW_DRAWS)
		memset(draws, 0, n * sizeof(uint16_t));
	else
	{
		poisson_limits(1 - 5 / sqrt((double) n), limits);
		do
		{
			drawn = 0;
			for (i = 0; i < n; i += 2)
			{
				uint64_t	bits = next_random(random);

				draws[i] = poisson_count(limits, (uint32_t) bits);
				drawn += draws[i];
				if (i + 1 < n)
				{
					draws[i + 1] = poisson_count(limits,
												 (uint32_t) (bits >> 32));
					drawn += draws[i + 1];
				}
			}
		} while (drawn > n);
	}
	for (; drawn < n; drawn++)
		draws[random_below(random, n)]++;
}

/* The random state that a seed begins with. */
static uint64_t
seed_random(uint64_t seed)
{
	return next_random(&seed);
}

/* Refuses more rows than a random number tells apart. */
static bool
check_rows(uint64_t rows, ChurnError *error)
{
	if (rows <= UINT32_MAX)
		return true;
	return churn_fail(error, CHURN_ERROR_LIMIT,
					  "cannot resample %llu rows, which are more than %u",
					  (unsigned long long) rows, UINT32_MAX);
}

bool
churn_bootstrap_init(ChurnBootstrap *bootstrap, const ChurnScored *rows,
					 size_t n, bool stratified, uint64_t seed,
					 ChurnArena *arena, ChurnError *error)
{
	size_t		i;

	memset(bootstrap, 0, sizeof(*bootstrap));
	bootstrap->rows = rows;
	bootstrap->n = n;
	bootstrap->stratified = stratified;
	bootstrap->random = seed_random(seed);
	for (i = 0; i < n; i++)
	{
		bootstrap->positives += rows[i].positives;
		bootstrap->negatives += rows[i].negatives;
	}
	if (!check_rows(bootstrap->positives + bootstrap->negatives, error))
		return false;
	bootstrap->sample = churn_arena_array(arena, n, sizeof(ChurnScored),
										  error);
	bootstrap->draws = churn_arena_array(arena,
										 bootstrap->positives +
										 bootstrap->negatives,
										 sizeof(uint16_t), error);
	return bootstrap->sample != NULL && bootstrap->draws != NULL;
}

/* The sum of the next count draws. */
static inline uint32_t
take_draws(const uint16_t **draws, uint32_t count)
{
	const uint16_t *end = *draws + count;
	uint32_t	sum = 0;

	while (*draws < end)
		sum += *(*draws)++;
	return sum;
}

void
churn_bootstrap_draw(ChurnBootstrap *bootstrap)
{
	const uint16_t *positive = bootstrap->draws;
	const uint16_t *negative = bootstrap->draws + bootstrap->positives;
	ChurnScored *sample = bootstrap->sample;
	size_t		i;

	if (bootstrap->stratified)
	{
		draw_rows(&bootstrap->random, bootstrap->draws,
				  bootstrap->positives);
		draw_rows(&bootstrap->random,
				  bootstrap->draws + bootstrap->positives,
				  bootstrap->negatives);
	}
	else
		draw_rows(&bootstrap->random, bootstrap->draws,
				  bootstrap->positives + bootstrap->negatives);
	for (i = 0; i < bootstrap->n; i++)
	{
		sample->score = bootstrap->rows[i].score;
		sample->positives = take_draws(&positive,
									   bootstrap->rows[i].positives);
		sample->negatives = take_draws(&negative,
									   bootstrap->rows[i].negatives);
		if (sample->positives > 0 || sample->negatives > 0)
			sample++;
	}
	bootstrap->nsample = (size_t) (sample - bootstrap->sample);
}

/*
 * Of so many rows, how many churn with that probability.  It is compared with
 * 32 random bits, so that it is off by 2^-32 at most.
 */
static uint32_t
draw_churned(uint64_t *random, uint32_t rows, double probability)
{
	uint64_t	limit = (uint64_t) (probability * 4294967296.0);
	uint32_t	churned = 0;
	uint32_t	i;

	for (i = 0; i + 1 < rows; i += 2)
	{
		uint64_t	bits = next_random(random);

		churned += ((bits & UINT32_MAX) < limit) + ((bits >> 32) < limit);
	}
	if (i < rows)
		churned += (next_random(random) >> 32) < limit;
	return churned;
}

void
churn_bootstrap_outcomes(ChurnBootstrap *bootstrap)
{
	size_t		i;

	for (i = 0; i < bootstrap->n; i++)
	{
		const ChurnScored *row = &bootstrap->rows[i];
		ChurnScored *drawn = &bootstrap->sample[i];

		drawn->score = row->score;
		drawn->positives =
			draw_churned(&bootstrap->random, row->positives, row->score) +
			draw_churned(&bootstrap->random, row->negatives, row->score);
		drawn->negatives = row->positives + row->negatives - drawn->positives;
	}
	bootstrap->nsample = bootstrap->n;
}

size_t
churn_bootstrap_resamples(uint64_t rows)
{
	if (rows <= 20000)
		return 1000;
	return rows >= 200000 ? 100 : (size_t) (20000000 / rows);
}

static int
compare_doubles(const void *left, const void *right)
{
	double		a = *(const double *) left;
	double		b = *(const double *) right;

	return (a > b) - (a < b);
}

/* The value below which the share lies, between two values by their distance. */
static double
percentile(const double *sorted, size_t n, double share)
{
	double		place = share * (double) (n - 1);
	size_t		below = (size_t) place;

	if (below + 1 >= n)
		return sorted[n - 1];
	return sorted[below] +
		(place - (double) below) * (sorted[below + 1] - sorted[below]);
}

ChurnInterval
churn_bootstrap_interval(double *values, size_t n, double level)
{
	ChurnInterval interval = {NAN, NAN, 0};
	size_t		i;

	for (i = 0; i < n; i++)
	{
		if (!isnan(values[i]))
			values[interval.used++] = values[i];
	}
	if (interval.used == 0)
		return interval;
	qsort(values, interval.used, sizeof(double), compare_doubles);
	interval.low = percentile(values, interval.used, (1 - level) / 2);
	interval.high = percentile(values, interval.used, (1 + level) / 2);
	return interval;
}

/*
 * Finds the groups of one of the two scores.  The sort carries each row's
 * number along where a count belongs.
 */
static bool
make_side(ChurnPairedSide *side, const ChurnScoredPair *rows, size_t n,
		  bool second, void (*poll) (void), ChurnArena *arena,
		  ChurnError *error)
{
	size_t		i;

	side->sample = churn_arena_array(arena, n, sizeof(ChurnScored), error);
	side->group = churn_arena_array(arena, n, sizeof(uint32_t), error);
	if (side->sample == NULL || side->group == NULL)
		return false;
	for (i = 0; i < n; i++)
	{
		side->sample[i].score = second ? rows[i].second : rows[i].first;
		side->sample[i].positives = (uint32_t) i;
	}
	churn_metrics_sort_poll(side->sample, n, poll);
	side->nsample = 0;
	for (i = 0; i < n; i++)
	{
		double		score = side->sample[i].score;

		if (side->nsample == 0 ||
			side->sample[side->nsample - 1].score != score)
			side->sample[side->nsample++].score = score;
		side->group[side->sample[i].positives] =
			(uint32_t) (side->nsample - 1);
	}
	return true;
}

/* Counts the rows that were drawn; draws is NULL for the rows themselves. */
static void
count_side(ChurnPairedSide *side, const ChurnScoredPair *rows, size_t n,
		   const uint16_t *draws)
{
	size_t		i;

	for (i = 0; i < side->nsample; i++)
		side->sample[i].positives = side->sample[i].negatives = 0;
	for (i = 0; i < n; i++)
	{
		ChurnScored *group = &side->sample[side->group[i]];

		if (rows[i].churned)
			group->positives += draws != NULL ? draws[i] : 1;
		else
			group->negatives += draws != NULL ? draws[i] : 1;
	}
}

bool
churn_paired_init(ChurnPairedBootstrap *bootstrap,
				  const ChurnScoredPair *rows, size_t n, uint64_t seed,
				  void (*poll) (void), ChurnArena *arena, ChurnError *error)
{
	memset(bootstrap, 0, sizeof(*bootstrap));
	bootstrap->rows = rows;
	bootstrap->n = n;
	bootstrap->random = seed_random(seed);
	if (!check_rows(n, error) ||
		!make_side(&bootstrap->first, rows, n, false, poll, arena, error) ||
		!make_side(&bootstrap->second, rows, n, true, poll, arena, error))
		return false;
	bootstrap->draws = churn_arena_array(arena, n, sizeof(uint16_t), error);
	if (bootstrap->draws == NULL)
		return false;
	count_side(&bootstrap->first, rows, n, NULL);
	count_side(&bootstrap->second, rows, n, NULL);
	return true;
}

void
churn_paired_draw(ChurnPairedBootstrap *bootstrap)
{
	draw_rows(&bootstrap->random, bootstrap->draws, bootstrap->n);
	count_side(&bootstrap->first, bootstrap->rows, bootstrap->n,
			   bootstrap->draws);
	count_side(&bootstrap->second, bootstrap->rows, bootstrap->n,
			   bootstrap->draws);
}

double
churn_paired_difference(const ChurnPairedBootstrap *bootstrap,
						ChurnMetricFunction metric)
{
	return metric(bootstrap->first.sample, bootstrap->first.nsample) -
		metric(bootstrap->second.sample, bootstrap->second.nsample);
}

ChurnPaired
churn_paired_result(double first, double second, double *differences,
					size_t n)
{
	ChurnPaired paired;
	size_t		larger = 0;
	size_t		smaller = 0;
	size_t		i;

	paired.first = first;
	paired.second = second;
	paired.difference = first - second;
	for (i = 0; i < n; i++)
	{
		larger += differences[i] > 0;
		smaller += differences[i] < 0;
	}
	paired.interval = churn_bootstrap_interval(differences, n,
											   CHURN_BOOTSTRAP_LEVEL);
	paired.larger = paired.smaller = NAN;
	if (paired.interval.used > 0)
	{
		paired.larger = (double) larger / (double) paired.interval.used;
		paired.smaller = (double) smaller / (double) paired.interval.used;
	}
	return paired;
}
