/*
 * smote.c
 *		SMOTE-NC: rows made between rows of one class and their neighbours
 *		(Chawla, Bowyer, Hall and Kegelmeyer, "SMOTE: Synthetic Minority
 *		Over-sampling Technique", JAIR 16, 2002, section 6.1).
 *
 * The distance of two rows is Euclidean over numbers as they are, plus, for
 * each nominal column in which they differ, the square of the median of the
 * numbers' standard deviations in the class.  A made row lies
 * at a random place on the line from a row to one of its NEIGHBOURS nearest;
 * in nominal columns it has what most of the nearest have, or the row's own
 * value, and then the lowest code, among equally many.
 *
 * What the paper leaves open:
 *	- Categories, booleans and numbers of two values are nominal.
 *	- A missing value is equal to a missing one, and as far from a value as two
 *	  categories are from each other; in a nominal column it is one more
 *	  category; a made number is the row's own, missing or not, where either of
 *	  the two is missing.
 *	- A column of whole numbers gets whole numbers: otherwise a fraction would
 *	  tell that a row is made, and with it the class.
 *	- Each row serves equally often, and a random choice of them once more.
 *	- Without any number two categories are 1 apart.
 *
 * The search compares all pairs, so that of more than MAX_POOL rows a random
 * choice of so many serves; made rows take at most MAX_BYTES.
 */
#include "balance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

#define NEIGHBOURS	5
#define MAX_POOL	8192
#define MAX_BYTES	((size_t) 256 * 1024 * 1024)

/* Rows whose distances are computed together. */
#define LANES		4

typedef float Lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t Mask __attribute__((vector_size(LANES * sizeof(float))));


typedef struct PoolColumn
{
	float	   *values;			/* of the pool's rows, in their order */
	bool		nominal;
	bool		whole;			/* all are whole numbers */
} PoolColumn;

/* The rows of the rarer class, by column. */
typedef struct Pool
{
	PoolColumn *columns;
	size_t		ncolumns;
	size_t		nrows;
	size_t		room;			/* nrows up to a multiple of LANES */
	float	   *values;			/* of all columns */
	float		penalty;		/* of a difference, squared */
	float	   *distances;		/* of one row to all, squared */
	uint32_t	nearest[NEIGHBOURS];	/* of that row */
	size_t		nnearest;
} Pool;

static void *
pool_array(size_t count, size_t size)
{
	if (size != 0 && count > SIZE_MAX / size)
		churn_pages_alloc(SIZE_MAX);
	return churn_pages_alloc(count * size);
}

static bool
in_class(const ChurnBalance *balance, size_t row, uint8_t label)
{
	return balance->weights[row] > 0 &&
		churn_sample_label(&balance->sample, row) == label;
}

/* Gathers the values of the class, or of a random choice of its rows. */
static void
gather_pool(const ChurnBalance *balance, uint8_t label, uint64_t *seed,
			Pool *pool)
{
	const ChurnSample *sample = &balance->sample;
	size_t		n = 0;
	size_t		i = 0;
	size_t		picked = 0;
	size_t		row;
	size_t		column;
	float	   *values;

	for (row = 0; row < sample->nreal; row++)
		n += in_class(balance, row, label);
	pool->ncolumns = sample->table->ncolumns;
	pool->nrows = n < MAX_POOL ? n : MAX_POOL;
	pool->room = (pool->nrows + LANES - 1) / LANES * LANES;
	pool->values = pool_array(pool->room * pool->ncolumns, sizeof(float));
	pool->columns = churn_alloc(pool->ncolumns, sizeof(PoolColumn));
	for (column = 0; column < pool->ncolumns; column++)
		pool->columns[column].values = pool->values + column * pool->room;
	values = churn_alloc(pool->ncolumns, sizeof(float));
	for (row = 0; row < sample->nreal; row++)
	{
		if (!in_class(balance, row, label) ||
			!churn_random_pick(seed, i++, n, pool->nrows, picked))
			continue;
		churn_table_fill(sample->table, sample->first + row, 1, values);
		for (column = 0; column < pool->ncolumns; column++)
			pool->columns[column].values[picked] = values[column];
		picked++;
	}
	free(values);
}

static int
compare_doubles(const void *left, const void *right)
{
	double		a = *(const double *) left;
	double		b = *(const double *) right;

	return (a > b) - (a < b);
}

/*
 * Finds out what a column is, and the standard deviation of its numbers, or
 * NaN if it is nominal.
 */
static double
describe_column(Pool *pool, PoolColumn *column, ChurnFeatureKind kind)
{
	float		known[2] = {NAN, NAN};
	size_t		n = 0;
	double		sum = 0;
	double		squares = 0;
	size_t		row;

	column->nominal = kind == CHURN_FEATURE_CATEGORY ||
		kind == CHURN_FEATURE_BOOLEAN;
	column->whole = true;
	if (!column->nominal)
	{
		column->nominal = true;
		for (row = 0; row < pool->nrows; row++)
		{
			float		value = column->values[row];

			if (isnan(value))
				continue;
			n++;
			sum += value;
			column->whole &= value == floorf(value);
			if (isnan(known[0]))
				known[0] = value;
			else if (value != known[0] && isnan(known[1]))
				known[1] = value;
			else if (value != known[0] && value != known[1])
				column->nominal = false;
		}
	}
	if (column->nominal)
		return NAN;
	for (row = 0; row < pool->nrows; row++)
	{
		double		off = column->values[row] - sum / (double) n;

		if (!isnan(off))
			squares += off * off;
	}
	return sqrt(squares / (double) n);
}

/* Describes all columns and sets the penalty. */
static void
describe_pool(Pool *pool, const ChurnTable *table)
{
	double	   *deviations = churn_alloc(pool->ncolumns, sizeof(double));
	double		median = 1;
	size_t		n = 0;
	size_t		i;

	for (i = 0; i < pool->ncolumns; i++)
	{
		double		deviation = describe_column(pool, &pool->columns[i],
												table->columns[i].kind);

		if (!isnan(deviation))
			deviations[n++] = deviation;
	}
	if (n > 0)
	{
		qsort(deviations, n, sizeof(double), compare_doubles);
		median = (deviations[(n - 1) / 2] + deviations[n / 2]) / 2;
	}
	pool->penalty = (float) (median * median);
	free(deviations);
}

/*
 * Adds a column's part of the distances, squared, of a row to all others.
 * LANES at a time by the compiler's vectors, the same numbers on all machines.
 */
static void
add_distances(const Pool *pool, const PoolColumn *column, size_t row)
{
	Lanes	   *values = (Lanes *) column->values;
	Lanes	   *distances = (Lanes *) pool->distances;
	float		value = column->values[row];
	Lanes		own = {value, value, value, value};
	Lanes		penalty = {pool->penalty, pool->penalty, pool->penalty,
	pool->penalty};
	size_t		n = pool->room / LANES;
	size_t		i;

	if (isnan(value))
	{
		for (i = 0; i < n; i++)
			distances[i] += (Lanes) ((values[i] == values[i]) & (Mask) penalty);
	}
	else if (column->nominal)
	{
		for (i = 0; i < n; i++)
			distances[i] += (Lanes) ((values[i] != own) & (Mask) penalty);
	}
	else
	{
		for (i = 0; i < n; i++)
		{
			Lanes		off = values[i] - own;
			Mask		filled = values[i] == values[i];

			distances[i] += (Lanes) ((filled & (Mask) (off * off)) |
									 (~filled & (Mask) penalty));
		}
	}
}

/* Finds the nearest rows of a row, nearest first, of equal ones the first. */
static void
find_nearest(Pool *pool, size_t row)
{
	uint32_t   *nearest = pool->nearest;
	float		distances[NEIGHBOURS];
	size_t		n = 0;
	size_t		i;
	size_t		place;

	memset(pool->distances, 0, pool->room * sizeof(float));
	for (i = 0; i < pool->ncolumns; i++)
		add_distances(pool, &pool->columns[i], row);
	for (i = 0; i < pool->nrows; i++)
	{
		float		distance = pool->distances[i];

		if (i == row || (n == pool->nnearest && distance >= distances[n - 1]))
			continue;
		place = n < pool->nnearest ? n++ : n - 1;
		for (; place > 0 && distances[place - 1] > distance; place--)
		{
			distances[place] = distances[place - 1];
			nearest[place] = nearest[place - 1];
		}
		distances[place] = distance;
		nearest[place] = (uint32_t) i;
	}
}

/* Two values of a nominal column are the same, or both missing. */
static inline bool
same_value(float left, float right)
{
	return left == right || (isnan(left) && isnan(right));
}

/* What most of the nearest rows have in a nominal column. */
static float
most_common(const Pool *pool, const PoolColumn *column, size_t row)
{
	const uint32_t *nearest = pool->nearest;
	float		best = column->values[row];
	size_t		most = 0;
	size_t		i;
	size_t		j;

	for (j = 0; j < pool->nnearest; j++)
		most += same_value(column->values[nearest[j]], best);
	for (i = 0; i < pool->nnearest; i++)
	{
		float		value = column->values[nearest[i]];
		size_t		votes = 0;

		for (j = 0; j < pool->nnearest; j++)
			votes += same_value(column->values[nearest[j]], value);
		if (votes > most ||
			(votes == most && !same_value(best, column->values[row]) &&
			 (isnan(best) || value < best)))
		{
			most = votes;
			best = value;
		}
	}
	return best;
}

/* Makes a row of the pool's row and one of its nearest, which are found. */
static void
make_row(const Pool *pool, size_t row, uint64_t *seed, float *made)
{
	const uint32_t *nearest = pool->nearest;
	size_t		other = row;
	double		gap = 0;
	size_t		i;

	if (pool->nnearest > 0)
	{
		other = nearest[churn_random_below(seed, pool->nnearest)];
		gap = churn_random_unit(seed);
	}
	for (i = 0; i < pool->ncolumns; i++)
	{
		const PoolColumn *column = &pool->columns[i];
		double		from = column->values[row];
		double		to = column->values[other];

		if (column->nominal)
			made[i] = most_common(pool, column, row);
		else if (isnan(from) || isnan(to))
			made[i] = column->values[row];
		else if (column->whole)
			made[i] = (float) rint(from + gap * (to - from));
		else
			made[i] = (float) (from + gap * (to - from));
	}
}

size_t
churn_smote_make(ChurnBalance *balance, uint8_t label, size_t wanted,
				 uint64_t seed)
{
	size_t		ncolumns = balance->sample.table->ncolumns;
	Pool		pool;
	size_t		some;
	size_t		picked = 0;
	size_t		done = 0;
	size_t		row;
	size_t		times;

	if (wanted > MAX_BYTES / sizeof(float) / ncolumns)
		wanted = MAX_BYTES / sizeof(float) / ncolumns;
	memset(&pool, 0, sizeof(pool));
	gather_pool(balance, label, &seed, &pool);
	describe_pool(&pool, balance->sample.table);
	pool.nnearest = pool.nrows - 1 < NEIGHBOURS ? pool.nrows - 1 :
		NEIGHBOURS;
	pool.distances = pool_array(pool.room, sizeof(float));
	balance->made_size = wanted * ncolumns * sizeof(float);
	balance->made = churn_pages_alloc(balance->made_size);
	balance->made_labels = churn_pages_alloc(wanted);
	memset(balance->made_labels, label, wanted);

	some = wanted % pool.nrows;
	for (row = 0; row < pool.nrows; row++)
	{
		times = wanted / pool.nrows;
		if (churn_random_pick(&seed, row, pool.nrows, some, picked))
		{
			picked++;
			times++;
		}
		if (times > 0)
			find_nearest(&pool, row);
		for (; times > 0; times--)
			make_row(&pool, row, &seed, balance->made + done++ * ncolumns);
	}
	churn_pages_free(pool.values, pool.room * pool.ncolumns * sizeof(float));
	churn_pages_free(pool.distances, pool.room * sizeof(float));
	free(pool.columns);
	return wanted;
}
