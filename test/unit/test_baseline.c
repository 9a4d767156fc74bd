/*
 * test_baseline.c
 *		Baselines of the trainer's columns and scores.
 */
#include <float.h>

#include "trainer_stubs.h"

#include "../../src/trainer/baseline.h"
#include "../../src/trainer/keys.h"
#include "unit.h"

#define ROWS	4000

static ChurnArena *arena;

/* A stable stream of numbers. */
static uint32_t
next_random(void)
{
	static uint64_t state = 7;

	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t) (state >> 33);
}

static int
compare(const void *left, const void *right)
{
	float		a = *(const float *) left;
	float		b = *(const float *) right;

	return (a > b) - (a < b);
}

static void
test_keys(void)
{
	static const float special[] = {
		-FLT_MAX, -1, -FLT_MIN, -1e-45f, 0, 1e-45f, 1, 16777216, FLT_MAX
	};
	static float numbers[ROWS];
	static uint32_t keys[2 * ROWS];
	uint32_t   *sorted;
	int			kind;
	int			i;
	bool		right;

	for (kind = 0; kind < 3; kind++)
	{
		for (i = 0; i < ROWS; i++)
		{
			uint32_t	random = next_random();

			/* any, small whole ones, and few */
			numbers[i] = kind == 0 ? special[random % 9] * (float) (random % 997) :
				kind == 1 ? (float) (random % 73) : (float) (random % 2);
			if (isinf(numbers[i]))
				numbers[i] = 0;
			numbers[i] += 0.0f;
			keys[i] = churn_key_of(numbers[i]);
		}
		sorted = churn_keys_sort(keys, keys + ROWS, ROWS);
		qsort(numbers, ROWS, sizeof(float), compare);
		right = true;
		for (i = 0; i < ROWS; i++)
			right &= churn_key_value(sorted[i]) == numbers[i];
		ok(right, "keys of kind %d are sorted", kind);
	}
	ok(churn_keys_sort(keys, keys + ROWS, 0) == keys, "no keys are sorted");
}

/* What a row holds; which it is does not depend on its place. */
static void
set_row(ChurnTable *table, size_t row, size_t number, const int *codes)
{
	((float *) table->columns[0].values)[row] = number % 10 == 0 ? NAN :
		(float) (number * 7919 % 3001) / 8;
	/* missing, two common texts, one of the last rows alone */
	((uint16_t *) table->columns[1].values)[row] = (uint16_t)
		(number % 8 == 0 ? 0 : number >= ROWS - 5 ? codes[2] :
		 codes[number % 3 == 0]);
	((float *) table->columns[2].values)[row] = (float) (number % 4 == 0);
}

/*
 * Makes a table whose first 1000 rows are the test part and have the last
 * numbers.  The rows of each part are in an order that depends on step, and so
 * are the numbers of the texts.
 */
static void
make_table(ChurnTable *table, size_t step)
{
	static const char *const texts[] = {"basic", "pro", "rare"};
	ChurnTableColumn *column;
	int			codes[3];
	size_t		row;
	int			i;

	stub_table(table, ROWS, 3);
	table->start[CHURN_PART_VALIDATION] = 1000;
	table->start[CHURN_PART_TRAIN] = 1000;
	stub_column(table, "tenure", CHURN_FEATURE_NUMBER, 0);
	stub_column(table, "plan", CHURN_FEATURE_CATEGORY, 0);
	stub_column(table, "paid", CHURN_FEATURE_BOOLEAN, 0);
	column = &table->columns[1];
	free(column->categories);
	column->categories = NULL;
	column->column->texts = churn_texts_create();
	for (i = 0; i < 3; i++)
	{
		int			which = (i + (int) step) % 3;

		codes[which] = 1 + churn_texts_number(column->column->texts,
											  texts[which],
											  (uint32_t) strlen(texts[which]));
	}
	for (row = 0; row < ROWS; row++)
	{
		size_t		number = row < 1000 ? 3000 + row * step % 1000 :
		(row - 1000) * step % 3000;

		set_row(table, row, number, codes);
	}
	churn_baseline_measure(table, arena);
}

/* Frees what make_table() made beside what stub_free() knows. */
static void
free_table(ChurnTable *table)
{
	churn_texts_destroy(table->columns[1].column->texts);
	table->columns[1].ncategories = 0;	/* their texts were the column's */
	stub_free(table);
}

static bool
same_cells(const ChurnCells *a, const ChurnCells *b)
{
	return a->kind == b->kind && a->rows == b->rows &&
		a->missing == b->missing && a->unseen == b->unseen &&
		a->nedges == b->nedges && a->ncells == b->ncells &&
		memcmp(&a->mean, &b->mean, sizeof(double)) == 0 &&
		memcmp(&a->sd, &b->sd, sizeof(double)) == 0 &&
		memcmp(a->counts, b->counts, a->ncells * sizeof(uint64_t)) == 0 &&
		(a->nedges == 0 ||
		 (memcmp(a->edges, b->edges, a->nedges * sizeof(float)) == 0 &&
		  memcmp(a->centres, b->centres, a->ncells * sizeof(float)) == 0));
}

static void
test_columns(void)
{
	ChurnTable	table;
	ChurnTable	other;
	const ChurnCells *cells;
	double		sum = 0;
	size_t		number;
	uint64_t	n = 0;
	uint32_t	i;

	make_table(&table, 1);
	cells = &table.columns[0].baseline;
	for (number = 0; number < ROWS; number++)
		if (number % 10 != 0)
			sum += (double) (number * 7919 % 3001) / 8;
	for (i = 0; i < cells->ncells; i++)
		n += cells->counts[i];
	ok(cells->rows == ROWS && cells->missing == ROWS / 10 &&
	   n == ROWS - ROWS / 10 && cells->nedges > 200 &&
	   fabs(cells->mean - sum / (double) n) < 1e-9, "a number over all rows");
	cells = &table.columns[2].baseline;
	ok(cells->kind == CHURN_FEATURE_BOOLEAN && cells->nedges == 2 &&
	   cells->counts[1] == 3 * ROWS / 4 && cells->counts[2] == ROWS / 4 &&
	   cells->mean == 0.25, "a boolean over all rows");

	churn_table_choose_columns(&table, arena);
	cells = &table.columns[1].baseline;
	ok(table.ncolumns == 3 && table.columns[1].ncategories == 2 &&
	   cells->ncells == 2 && cells->rows == ROWS &&
	   cells->missing == ROWS / 8 && cells->unseen == 5 &&
	   cells->counts[0] + cells->counts[1] + cells->unseen ==
	   ROWS - ROWS / 8 && cells->counts[0] > cells->counts[1] &&
	   isnan(cells->mean), "a category by code, and what training never sees");
	make_table(&other, 7);
	churn_table_choose_columns(&other, arena);
	ok(same_cells(&table.columns[0].baseline, &other.columns[0].baseline) &&
	   same_cells(cells, &other.columns[1].baseline) &&
	   same_cells(&table.columns[2].baseline, &other.columns[2].baseline),
	   "the order of rows and texts does not matter");
	free_table(&table);
	free_table(&other);
}

/* A column without any value, which rules may use. */
static void
test_empty(void)
{
	ChurnTable	table;
	float	   *values;
	size_t		row;

	stub_table(&table, 50, 1);
	values = stub_column(&table, "paid", CHURN_FEATURE_BOOLEAN, 0);
	for (row = 0; row < 50; row++)
		values[row] = NAN;
	churn_baseline_measure(&table, arena);
	ok(table.columns[0].baseline.missing == 50 &&
	   table.columns[0].baseline.nedges == 0 &&
	   table.columns[0].baseline.ncells == 1 &&
	   table.columns[0].baseline.counts[0] == 0, "a column without values");
	stub_free(&table);
}

static void
test_scores(void)
{
	static const float margins[] = {3, -1, 0, -1, 0.5f};
	ChurnCalibration platt = {.kind = CHURN_CALIBRATION_PLATT,.a = 2,.b = 1};
	ChurnCells	cells;
	float		least = (float) churn_calibrate(&platt, -1);

	churn_baseline_scores(&cells, margins, 5, &platt, arena);
	ok(cells.name == NULL && cells.kind == CHURN_FEATURE_NUMBER &&
	   cells.rows == 5 && cells.missing == 0 && cells.nedges == 7 &&
	   cells.edges[0] == least && cells.counts[1] == 2 &&
	   cells.edges[6] == (float) churn_calibrate(&platt, 3) &&
	   cells.mean > 0 && cells.mean < 1, "scores are measured as calibrated");
}

int
main(void)
{
	arena = churn_arena_create();
	test_keys();
	test_columns();
	test_empty();
	test_scores();
	churn_arena_destroy(arena);
	return done();
}
