/*
 * bins.c
 *		A feature cut into few bins, as scorecards want it.
 */
#include "bins.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

/* The least share of the rows, by weight, that a bin of a number holds. */
#define MIN_SHARE		0.03

/*
 * Added to a hessian, so that a group of few rows counts for less than what
 * happened in it.
 */
#define PRIOR			1.0
#define ORDER_PRIOR		5.0

/* What the rows of a group, or of several, add up to. */
typedef struct Sums
{
	uint32_t	group;
	double		weight;
	double		gradient;
	double		hessian;
} Sums;

static int
compare_floats(const void *left, const void *right)
{
	float		a = *(const float *) left;
	float		b = *(const float *) right;

	return (a > b) - (a < b);
}

/*
 * The shortest decimal number above low and not above high, which are two
 * neighbouring values: what people would call the border between them.
 */
static float
short_number(float low, float high)
{
	double		unit = pow(10, ceil(log10(fmax(fabs((double) low),
											   fabs((double) high)))));
	int			digits;

	for (digits = 0; digits < 9; digits++, unit /= 10)
	{
		/* a power of ten below 1 is not exact, its inverse is */
		float		number = (float)
		(unit >= 1 ? floor(high / unit) * unit :
		 floor(high * rint(1 / unit)) / rint(1 / unit));

		if (number > low && number <= high)
			return number;
	}
	return high;
}

/* Cuts a number at quantiles; returns how many cuts there are. */
static uint32_t
cut_number(const ChurnLesson *lesson, uint32_t feature, float *cuts)
{
	float	   *values = churn_alloc(lesson->nrows, sizeof(float));
	size_t		n = 0;
	size_t		next = 1;
	uint32_t	ncuts = 0;
	size_t		i;

	for (i = 0; i < lesson->nrows; i++)
	{
		float		value = lesson->values[i * lesson->nfeatures + feature];

		if (!isnan(value))
			values[n++] = value;
	}
	qsort(values, n, sizeof(float), compare_floats);
	for (i = 1; i < n; i++)
	{
		if (values[i] == values[i - 1] || i * CHURN_MAX_GROUPS < next * n)
			continue;
		cuts[ncuts++] = short_number(values[i - 1], values[i]);
		next = i * CHURN_MAX_GROUPS / n + 1;
	}
	free(values);
	return ncuts;
}

void
churn_groups_make(ChurnGroups *groups, const ChurnLesson *lesson,
				  uint32_t feature)
{
	const ChurnFeatureSummary *summary = &lesson->features[feature];
	bool		category = summary->kind == CHURN_FEATURE_CATEGORY;
	size_t		i;

	groups->cuts = churn_alloc(CHURN_MAX_GROUPS, sizeof(float));
	groups->rows = churn_alloc(lesson->nrows, sizeof(uint16_t));
	groups->ngroups = category ? summary->ncategories :
		cut_number(lesson, feature, groups->cuts) + 1;
	for (i = 0; i < lesson->nrows; i++)
	{
		float		value = lesson->values[i * lesson->nfeatures + feature];
		uint32_t	group = 0;

		if (isnan(value))
			group = groups->ngroups;
		else if (category)
			group = (uint32_t) value;
		else
		{
			while (group < groups->ngroups - 1 && groups->cuts[group] <= value)
				group++;
		}
		groups->rows[i] = (uint16_t) group;
	}
}

void
churn_groups_free(ChurnGroups *groups)
{
	free(groups->cuts);
	free(groups->rows);
}

/* Highest churn, by what is not known yet, last; ties by number. */
static int
compare_sums(const void *left, const void *right)
{
	const Sums *a = left;
	const Sums *b = right;
	double		x = -a->gradient / (a->hessian + ORDER_PRIOR);
	double		y = -b->gradient / (b->hessian + ORDER_PRIOR);

	if (x != y)
		return (x > y) - (x < y);
	return (a->group > b->group) - (a->group < b->group);
}

/* Adds up the rows of each group. */
static void
add_up(const ChurnGroups *groups, const ChurnLesson *lesson,
	   const float *gradients, const float *hessians, Sums *sums)
{
	size_t		i;
	uint32_t	g;

	for (g = 0; g <= groups->ngroups; g++)
		sums[g].group = g;
	for (i = 0; i < lesson->nrows; i++)
	{
		Sums	   *sum = &sums[groups->rows[i]];

		sum->weight += lesson->weights[i];
		sum->gradient += gradients[i];
		sum->hessian += hessians[i];
	}
}

/*
 * Puts groups together, in the order they are in, until no more than
 * CHURN_MAX_GROUPS are left: pieces[g] becomes the piece that holds group g of
 * sums.  Returns how many there are.
 */
static uint32_t
make_pieces(const Sums *sums, uint32_t ngroups, double weight,
			uint32_t *pieces)
{
	uint32_t	n = 0;
	double		sum = 0;
	uint32_t	g;

	for (g = 0; g < ngroups; g++)
	{
		/* a piece ends once it has its share of the weight */
		if (ngroups <= CHURN_MAX_GROUPS ||
			sum * CHURN_MAX_GROUPS >= weight * n)
			n++;
		pieces[g] = n - 1;
		sum += sums[g].weight;
	}
	return n;
}

/* What pieces first .. end, as one bin, would gain; minus infinity if small. */
static double
gain_of(const Sums *totals, uint32_t first, uint32_t end, double least)
{
	double		gradient = totals[end].gradient - totals[first].gradient;
	double		hessian = totals[end].hessian - totals[first].hessian;

	if (totals[end].weight - totals[first].weight < least)
		return -INFINITY;
	return gradient * gradient / (hessian + PRIOR);
}

/*
 * Finds the best bins of n pieces, whose running totals are given, by dynamic
 * programming over where the last bin begins.  Writes each piece's bin, and
 * returns what the bins gain; one more must be worth price.
 */
static double
find_bins(const Sums *totals, uint32_t n, double least, uint32_t most,
		  double price, uint16_t *bins, uint32_t *nbins)
{
	double	   *best = churn_alloc((size_t) (most + 1) * (n + 1),
								   sizeof(double));
	uint32_t   *begins = churn_alloc((size_t) (most + 1) * (n + 1),
									 sizeof(uint32_t));
	double		highest = gain_of(totals, 0, n, 0);
	uint32_t	b;
	uint32_t	end;
	uint32_t	i;

	*nbins = 1;
	for (end = 0; end <= n; end++)
		best[(n + 1) + end] = end > 0 ? gain_of(totals, 0, end, least) :
			-INFINITY;
	for (b = 2; b <= most; b++)
	{
		for (end = 0; end <= n; end++)
		{
			double	   *found = &best[b * (n + 1) + end];

			*found = -INFINITY;
			for (i = 1; i < end; i++)
			{
				double		gain = best[(b - 1) * (n + 1) + i] +
				gain_of(totals, i, end, least);

				if (gain > *found)
				{
					*found = gain;
					begins[b * (n + 1) + end] = i;
				}
			}
		}
		if (best[b * (n + 1) + n] - price * (b - 1) > highest)
		{
			highest = best[b * (n + 1) + n] - price * (b - 1);
			*nbins = b;
		}
	}
	for (b = *nbins, end = n; b > 0; b--)
	{
		uint32_t	first = b > 1 ? begins[b * (n + 1) + end] : 0;

		for (i = first; i < end; i++)
			bins[i] = (uint16_t) (b - 1);
		end = first;
	}
	free(best);
	free(begins);
	return highest;
}

/*
 * Another bin must gain the logarithm of the rows (Schwarz, "Estimating the
 * dimension of a model", 1978).  Categories were put in order by what they
 * gain, so that noise alone would gain about one for each.
 */
void
churn_binning_make(ChurnBinning *binning, const ChurnGroups *groups,
				   const ChurnLesson *lesson, uint32_t feature,
				   const float *gradients, const float *hessians,
				   uint32_t most)
{
	bool		category =
	lesson->features[feature].kind == CHURN_FEATURE_CATEGORY;
	double		price = log(fmax(lesson->weight, 2));
	uint32_t	ngroups = groups->ngroups;
	Sums	   *sums = churn_alloc(ngroups + 1, sizeof(Sums));
	Sums	   *totals = churn_alloc(ngroups + 1, sizeof(Sums));
	uint32_t   *pieces = churn_alloc(ngroups, sizeof(uint32_t));
	uint16_t   *bins = churn_alloc(ngroups, sizeof(uint16_t));
	uint32_t	seen = 0;
	uint32_t	npieces;
	uint32_t	g;

	add_up(groups, lesson, gradients, hessians, sums);
	if (category)
		qsort(sums, ngroups, sizeof(Sums), compare_sums);
	npieces = make_pieces(sums, ngroups, lesson->weight, pieces);
	for (g = 0; g < ngroups; g++)
	{
		Sums	   *total = &totals[pieces[g] + 1];

		if (g == 0 || pieces[g] != pieces[g - 1])
			*total = totals[pieces[g]];
		total->weight += sums[g].weight;
		total->gradient += sums[g].gradient;
		total->hessian += sums[g].hessian;
		seen += sums[g].weight > 0;
	}
	binning->gain = find_bins(totals, npieces, MIN_SHARE * lesson->weight,
							  most, price, bins, &binning->nbins);
	if (category && seen > 1)
		binning->gain -= seen - 1;
	/* that missing values differ may be all there is to know */
	if (sums[ngroups].weight > 0)
		binning->gain += sums[ngroups].gradient * sums[ngroups].gradient /
			(sums[ngroups].hessian + PRIOR) - price;
	binning->groups = churn_alloc(ngroups + 1, sizeof(uint16_t));
	for (g = 0; g < ngroups; g++)
		binning->groups[sums[g].group] = bins[pieces[g]];
	binning->groups[ngroups] = (uint16_t) binning->nbins;
	free(bins);
	free(pieces);
	free(totals);
	free(sums);
}

void
churn_binning_free(ChurnBinning *binning)
{
	free(binning->groups);
}
