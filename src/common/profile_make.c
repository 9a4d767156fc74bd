/*
 * profile_make.c
 *		Cutting sorted numbers into the cells of a baseline.
 */
#include "churn/profile.h"

#include <float.h>
#include <math.h>

/* Numbers from i on that are equal. */
static size_t
run_length(const float *sorted, size_t n, size_t i)
{
	size_t		end = i + 1;

	while (end < n && sorted[end] == sorted[i])
		end++;
	return end - i;
}

/* Whether there are more than CHURN_MAX_DISTINCT different numbers. */
static bool
are_many(const float *sorted, size_t n)
{
	uint32_t	found = 0;
	size_t		i;

	for (i = 0; i < n; i += run_length(sorted, n, i))
	{
		if (found++ == CHURN_MAX_DISTINCT)
			return true;
	}
	return false;
}

/* Edges as they are found. */
typedef struct EdgeList
{
	float		edges[CHURN_MAX_EDGES];
	uint32_t	n;
} EdgeList;

/* Adds an edge that is above the last one. */
static void
add_edge(EdgeList *list, float edge)
{
	if (list->n == 0 || edge > list->edges[list->n - 1])
		list->edges[list->n++] = edge;
}

/*
 * Gives a value a cell of its own: the float before it ends the cell of what
 * comes before.  There is nothing between false and true.
 */
static void
add_own(EdgeList *list, ChurnFeatureKind kind, float value)
{
	if (list->n > 0 && kind != CHURN_FEATURE_BOOLEAN)
		add_edge(list, nextafterf(value, -INFINITY));
	add_edge(list, value);
}

/*
 * Finds the edges.  Of many different values those get cells of their own that
 * are more than the most a cell may hold.  The others fill a cell until the
 * next value would be too much.
 *
 * A cell that such a value ends has, together with that value, more than most
 * rows, and each row is counted so at most twice; an own cell, which has two
 * edges, has more than most itself.  As n / (most + 1) is below
 * CHURN_QUANTILES, there are fewer than twice as many of these edges, and with
 * the first and the last no more than CHURN_MAX_EDGES.
 */
static void
find_edges(EdgeList *list, ChurnFeatureKind kind, const float *sorted,
		   size_t n)
{
	bool		many = are_many(sorted, n);
	size_t		most = many ? n / CHURN_QUANTILES : 0;
	size_t		filled = 0;		/* rows since the last edge */
	size_t		run;
	size_t		i;

	list->n = 0;
	for (i = 0; i < n; i += run)
	{
		run = run_length(sorted, n, i);
		if (i == 0 || run > most)
		{
			add_own(list, kind, sorted[i]);
			filled = 0;
			continue;
		}
		if (filled + run > most)
		{
			add_edge(list, sorted[i - 1]);
			filled = 0;
		}
		filled += run;
	}
	if (n > 0)
		add_edge(list, sorted[n - 1]);
}

/* Sets mean and standard deviation. */
static void
measure_moments(ChurnCells *cells, const float *sorted, size_t n)
{
	double		sum = 0;
	double		squares = 0;
	size_t		i;

	cells->mean = NAN;
	cells->sd = NAN;
	if (n == 0)
		return;
	for (i = 0; i < n; i++)
		sum += (double) sorted[i];
	cells->mean = sum / (double) n;
	if (n == 1)
		return;
	for (i = 0; i < n; i++)
	{
		double		off = (double) sorted[i] - cells->mean;

		squares += off * off;
	}
	cells->sd = sqrt(squares / (double) (n - 1));
}

/* The middle of an empty cell. */
static float
middle(const float *edges, uint32_t nedges, uint32_t cell)
{
	if (nedges == 0)
		return 0;
	if (cell <= 1)
		return edges[0];
	if (cell > nedges)
		return edges[nedges - 1];
	return (float) (((double) edges[cell - 2] + (double) edges[cell - 1]) / 2);
}

/* Counts the numbers in each cell, and averages them. */
static void
fill_cells(const ChurnCells *cells, const float *sorted, size_t n,
		   uint64_t *counts, float *centres)
{
	size_t		i = 0;
	uint32_t	cell;

	for (cell = 0; cell < cells->ncells; cell++)
	{
		size_t		begin = i;
		double		sum = 0;

		/* the first edge and the last are the least and the greatest */
		while (cell > 0 && i < n && sorted[i] <= cells->edges[cell - 1])
			sum += (double) sorted[i++];
		counts[cell] = i - begin;
		centres[cell] = i == begin ?
			middle(cells->edges, cells->nedges, cell) :
			(float) (sum / (double) (i - begin));
	}
}

bool
churn_cells_make(ChurnCells *cells, const float *sorted, size_t n,
				 uint64_t missing, ChurnArena *arena, ChurnError *error)
{
	EdgeList	list;
	float	   *edges;
	uint64_t   *counts;
	float	   *centres;
	uint32_t	i;

	find_edges(&list, cells->kind, sorted, n);
	cells->nedges = list.n;
	cells->ncells = list.n > 0 ? list.n + 2 : 1;
	cells->rows = n + missing;
	cells->missing = missing;
	cells->unseen = 0;
	measure_moments(cells, sorted, n);
	edges = churn_arena_array(arena, (size_t) list.n + 1, sizeof(float),
							  error);
	counts = churn_arena_array(arena, cells->ncells, sizeof(uint64_t), error);
	centres = churn_arena_array(arena, cells->ncells, sizeof(float), error);
	if (edges == NULL || counts == NULL || centres == NULL)
		return false;
	for (i = 0; i < list.n; i++)
		edges[i] = list.edges[i];
	cells->edges = edges;
	fill_cells(cells, sorted, n, counts, centres);
	cells->counts = counts;
	cells->centres = centres;
	return true;
}
