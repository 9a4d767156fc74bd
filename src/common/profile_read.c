/*
 * profile_read.c
 *		Baselines as documents: reading and making them.
 *
 * They come from artifacts and tables, where anyone may have written them, so
 * all is checked: numbers of elements, sums, and the order of edges and
 * centres.
 */
#include "artifact_internal.h"
#include "churn/hash.h"
#include "churn/profile.h"

#include <math.h>
#include <string.h>

/*
 * Fails for a feature's baseline, or the score's.
 */
static bool
fail_baseline(const char *name, const char *problem, ChurnError *error)
{
	if (name == NULL)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "baseline of the score %s", problem);
	return churn_fail(error, CHURN_ERROR_CORRUPT,
					  "baseline of feature \"%.200s\" %s", name, problem);
}

/*
 * Brings the arrays of a baseline into their types.
 */
bool
churn_cells_type(const ChurnValue *baseline, const char *name,
				 ChurnArena *arena, ChurnError *error)
{
	ChurnError	problem;

	if (churn_value_make_typed(baseline, "edges", CHURN_VALUE_FLOATS, arena,
							   &problem) &&
		churn_value_make_typed(baseline, "counts", CHURN_VALUE_LONGS, arena,
							   &problem) &&
		churn_value_make_typed(baseline, "centres", CHURN_VALUE_FLOATS, arena,
							   &problem))
		return true;
	if (problem.code == CHURN_ERROR_MEMORY)
	{
		*error = problem;
		return false;
	}
	return fail_baseline(name, "has an array that is none of numbers", error);
}

/*
 * Reads a member that counts rows; 0 if it may lack and does.
 */
static bool
read_rows(const ChurnValue *baseline, const char *member, bool optional,
		  uint64_t *rows)
{
	const ChurnValue *value = churn_value_get(baseline, member);

	*rows = 0;
	if (value == NULL)
		return optional;
	if (value->kind != CHURN_VALUE_INTEGER || value->u.integer < 0)
		return false;
	*rows = (uint64_t) value->u.integer;
	return true;
}

/*
 * Reads a moment: a finite number, or null or nothing for NaN.
 */
static bool
read_moment(const ChurnValue *baseline, const char *member, double *moment)
{
	const ChurnValue *value = churn_value_get(baseline, member);

	*moment = NAN;
	if (value == NULL || value->kind == CHURN_VALUE_NULL)
		return true;
	*moment = churn_value_number(baseline, member, NAN);
	return isfinite(*moment);
}

/*
 * Reads the counts, which have to add up to the rows that have a value.
 */
static bool
read_counts(const ChurnValue *baseline, ChurnCells *cells, ChurnArena *arena,
			ChurnError *error)
{
	const ChurnValue *value = churn_value_get(baseline, "counts");
	uint64_t	sum = 0;
	uint64_t   *counts;

	if (value == NULL)
		return fail_baseline(cells->name, "has no counts", error);
	if (value->length > CHURN_MAX_CATEGORIES)
		return fail_baseline(cells->name, "has too many counts", error);
	cells->ncells = (uint32_t) value->length;
	counts = churn_arena_array(arena, value->length, sizeof(uint64_t), error);
	if (counts == NULL)
		return false;
	for (size_t i = 0; i < value->length; i++)
	{
		int64_t		count = ((const int64_t *) value->u.typed)[i];

		if (count < 0 ||
			__builtin_add_overflow(sum, (uint64_t) count, &sum))
			return fail_baseline(cells->name, "has a count out of range",
								 error);
		counts[i] = (uint64_t) count;
	}
	cells->counts = counts;
	if (cells->missing > cells->rows ||
		cells->unseen > cells->rows - cells->missing ||
		sum != cells->rows - cells->missing - cells->unseen)
		return fail_baseline(cells->name,
							 "has counts that do not add up to its rows",
							 error);
	return true;
}

/*
 * Checks that edges rise, and that each centre is in its cell: at or above the
 * edge before it and at or below that which ends it.
 */
static bool
are_in_order(const ChurnCells *cells)
{
	uint32_t	n = cells->nedges;

	for (uint32_t i = 0; i < n; i++)
		if (!isfinite(cells->edges[i]) ||
			(i > 0 && !(cells->edges[i] > cells->edges[i - 1])))
			return false;
	for (uint32_t i = 0; i < cells->ncells; i++)
	{
		float		centre = cells->centres[i];

		if (!isfinite(centre) ||
			(n > 0 && i > 0 && centre < cells->edges[i > 1 ? i - 2 : 0]) ||
			(n > 0 && i <= n && centre > cells->edges[i > 0 ? i - 1 : 0]))
			return false;
	}
	return true;
}

/*
 * Reads what numbers have beside counts.
 */
static bool
read_numbers(const ChurnValue *baseline, ChurnCells *cells, ChurnError *error)
{
	const ChurnValue *edges = churn_value_get(baseline, "edges");
	const ChurnValue *centres = churn_value_get(baseline, "centres");

	if (edges == NULL || centres == NULL)
		return fail_baseline(cells->name, "has no edges and centres", error);
	if (edges->length > CHURN_MAX_EDGES)
		return fail_baseline(cells->name, "has too many edges", error);
	cells->nedges = (uint32_t) edges->length;
	cells->edges = edges->u.typed;
	cells->centres = centres->u.typed;
	if (cells->ncells != (cells->nedges > 0 ? cells->nedges + 2 : 1) ||
		centres->length != cells->ncells)
		return fail_baseline(cells->name,
							 "has not as many counts and centres as its edges ask for",
							 error);
	if (!are_in_order(cells))
		return fail_baseline(cells->name,
							 "has edges or centres that are not in order",
							 error);
	if (!read_moment(baseline, "mean", &cells->mean) ||
		!read_moment(baseline, "sd", &cells->sd) || cells->sd < 0)
		return fail_baseline(cells->name, "has a moment that is no number",
							 error);
	return true;
}

/*
 * Reads one feature's baseline; see churn/profile.h.
 */
bool
churn_cells_read(const ChurnValue *baseline, ChurnCells *cells,
				 ChurnArena *arena, ChurnError *error)
{
	cells->mean = NAN;
	cells->sd = NAN;
	if (baseline == NULL || baseline->kind != CHURN_VALUE_OBJECT)
		return fail_baseline(cells->name, "is no object", error);
	if (!churn_cells_type(baseline, cells->name, arena, error))
		return false;
	if (!read_rows(baseline, "rows", false, &cells->rows) ||
		!read_rows(baseline, "missing", false, &cells->missing) ||
		!read_rows(baseline, "unseen", true, &cells->unseen))
		return fail_baseline(cells->name,
							 "has no whole number of rows or missing ones",
							 error);
	if (!read_counts(baseline, cells, arena, error))
		return false;
	return cells->kind == CHURN_FEATURE_CATEGORY ||
		read_numbers(baseline, cells, error);
}

/*
 * Reads an element of "features".
 */
static bool
read_feature(const ChurnValue *value, ChurnCells *cells, ChurnArena *arena,
			 ChurnError *error)
{
	const ChurnValue *baseline = churn_value_get(value, "baseline");

	cells->name = churn_value_text(value, "name", NULL);
	if (cells->name == NULL)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "baseline has a feature without a name");
	if (!churn_artifact_kind(churn_value_text(value, "kind", ""),
							 &cells->kind))
		return fail_baseline(cells->name, "is of an unknown kind", error);
	if (baseline == NULL || baseline->kind == CHURN_VALUE_NULL)
		return churn_fail(error, CHURN_ERROR_UNSUPPORTED,
						  "feature \"%.200s\" has no baseline", cells->name);
	return churn_cells_read(baseline, cells, arena, error);
}

/*
 * Takes a feature into the mark of the layout.
 */
static uint64_t
mark_cells(uint64_t mark, const ChurnCells *cells)
{
	uint32_t	numbers[3] = {cells->kind, cells->nedges, cells->ncells};

	if (cells->name != NULL)
		mark = churn_hash64(cells->name, strlen(cells->name), mark);
	mark = churn_hash64(numbers, sizeof(numbers), mark);
	if (cells->nedges > 0)
		mark = churn_hash64(cells->edges, cells->nedges * sizeof(float), mark);
	return mark;
}

/*
 * Reads the features and the score of a baseline's document.
 */
static bool
read_document(const ChurnValue *document, ChurnBaseline *baseline,
			  ChurnArena *arena, ChurnError *error)
{
	const ChurnValue *features = churn_value_get(document, "features");
	const ChurnValue *score = churn_value_get(document, "score");
	ChurnCells *cells;

	if (features == NULL || features->kind != CHURN_VALUE_ARRAY)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "baseline has no list of features");
	if (features->length > CHURN_MAX_FEATURES)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "baseline has %zu features, more than %d",
						  features->length, CHURN_MAX_FEATURES);
	baseline->nfeatures = (uint32_t) features->length;
	baseline->features = churn_arena_array(arena, features->length + 1,
										   sizeof(ChurnCells), error);
	if (baseline->features == NULL)
		return false;
	for (size_t i = 0; i < features->length; i++)
		if (!read_feature(features->u.elements[i], &baseline->features[i],
						  arena, error))
			return false;
	if (score == NULL || score->kind == CHURN_VALUE_NULL)
		return churn_fail(error, CHURN_ERROR_UNSUPPORTED,
						  "the score has no baseline");
	cells = &baseline->features[features->length];
	cells->kind = CHURN_FEATURE_NUMBER;
	return churn_cells_read(score, cells, arena, error);
}

/*
 * Reads a baseline; see churn/profile.h.
 */
ChurnBaseline *
churn_baseline_read(const char *json, size_t length, ChurnArena *arena,
					ChurnError *error)
{
	ChurnBaseline *baseline = churn_arena_alloc(arena, sizeof(ChurnBaseline),
												error);
	ChurnValue *document;

	if (baseline == NULL)
		return NULL;
	document = churn_json_read(json, length, arena, error);
	if (document == NULL || !read_document(document, baseline, arena, error))
		return NULL;
	for (uint32_t i = 0; i <= baseline->nfeatures; i++)
	{
		ChurnCells *cells = &baseline->features[i];

		cells->first = baseline->ncounts;
		baseline->ncounts += cells->ncells;
		if (cells->kind != CHURN_FEATURE_CATEGORY)
		{
			cells->first_sum = baseline->nsums;
			baseline->nsums += cells->ncells;
		}
		baseline->mark = mark_cells(baseline->mark, cells);
	}
	return baseline;
}

/*
 * Makes a number, or null for NaN.
 */
static ChurnValue *
moment_value(double moment, ChurnArena *arena, ChurnError *error)
{
	ChurnValue *value = churn_value_double(arena, moment, error);

	if (value != NULL && isnan(moment))
		value->kind = CHURN_VALUE_NULL;
	return value;
}

/*
 * Makes a typed array of what there is.
 */
static ChurnValue *
typed_value(ChurnValueKind kind, const void *elements, size_t length,
			ChurnArena *arena, ChurnError *error)
{
	ChurnValue *value = churn_arena_alloc(arena, sizeof(ChurnValue), error);

	if (value == NULL)
		return NULL;
	value->kind = kind;
	value->length = length;
	value->u.typed = elements;
	return value;
}

/*
 * Makes a baseline's object; see churn/profile.h.
 */
ChurnValue *
churn_cells_value(const ChurnCells *cells, ChurnArena *arena,
				  ChurnError *error)
{
	bool		category = cells->kind == CHURN_FEATURE_CATEGORY;
	ChurnValue *object = churn_value_object(arena, error);

	if (!churn_value_set(object, "rows",
						 churn_value_integer(arena, (int64_t) cells->rows,
											 error), arena, error) ||
		!churn_value_set(object, "missing",
						 churn_value_integer(arena, (int64_t) cells->missing,
											 error), arena, error) ||
		(category &&
		 !churn_value_set(object, "unseen",
						  churn_value_integer(arena, (int64_t) cells->unseen,
											  error), arena, error)) ||
		(!category &&
		 (!churn_value_set(object, "mean",
						   moment_value(cells->mean, arena, error),
						   arena, error) ||
		  !churn_value_set(object, "sd",
						   moment_value(cells->sd, arena, error),
						   arena, error) ||
		  !churn_value_set(object, "edges",
						   typed_value(CHURN_VALUE_FLOATS, cells->edges,
									   cells->nedges, arena, error),
						   arena, error))) ||
		!churn_value_set(object, "counts",
						 typed_value(CHURN_VALUE_LONGS, cells->counts,
									 cells->ncells, arena, error),
						 arena, error) ||
		(!category &&
		 !churn_value_set(object, "centres",
						  typed_value(CHURN_VALUE_FLOATS, cells->centres,
									  cells->ncells, arena, error),
						  arena, error)))
		return NULL;
	return object;
}
