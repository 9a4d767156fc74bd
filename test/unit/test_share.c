/*
 * test_share.c
 *		Evaluators whose tables are shared among processes: as exact as
 *		others, and nothing is written to what another has filled.
 */
#include "random_model.h"
#include "unit.h"

#include "../../src/common/forest_parts.h"

#define ROWS		300
#define COPIES		4

/* What one process would find of another's. */
typedef struct Store
{
	struct
	{
		size_t		size;
		uint64_t	kind;
		uint8_t    *bytes;		/* shared */
		uint8_t    *before;		/* the same, as they were */
	}			copies[COPIES];
	uint32_t	ncopies;
	uint32_t	found;
	uint32_t	asked;
	bool		full;			/* takes no more copies */
	bool		late;			/* another lists the same one first */
} Store;

/* An arena that counts, over one of malloc's. */
typedef struct Counter
{
	ChurnArena *target;
	size_t		size;
} Counter;

static void *
counting(void *context, size_t size)
{
	Counter    *counter = context;

	counter->size += size;
	return counter->target->alloc(counter->target->context, size);
}

static const void *
find(void *context, size_t size, uint64_t kind)
{
	Store	   *store = context;
	uint32_t	i;

	store->asked++;
	for (i = 0; i < store->ncopies && !store->late; i++)
		if (store->copies[i].size == size && store->copies[i].kind == kind)
		{
			store->found++;
			return store->copies[i].bytes;
		}
	return NULL;
}

static void *
make(void *context, size_t size, uint64_t kind)
{
	Store	   *store = context;
	uint32_t	i = store->ncopies;

	if (store->full || i == COPIES)
		return NULL;
	store->copies[i].size = size;
	store->copies[i].kind = kind;
	store->copies[i].bytes = aligned_alloc(64, (size + 63) / 64 * 64);
	memset(store->copies[i].bytes, 0, (size + 63) / 64 * 64);
	return store->copies[i].bytes;
}

static const void *
list(void *context, void *table)
{
	Store	   *store = context;
	uint32_t	i = store->ncopies;

	if (store->late)
	{
		/* the same bytes, and nobody may look at the own ones any more */
		bool		same = memcmp(table, store->copies[0].bytes,
								  store->copies[0].size) == 0;

		free(table);
		return same ? store->copies[0].bytes : NULL;
	}
	store->copies[i].before = malloc(store->copies[i].size);
	memcpy(store->copies[i].before, table, store->copies[i].size);
	store->ncopies++;
	return table;
}

/*
 * Makes an evaluator as a process of its own would; returns how many rows it
 * has wrong, and in *size the bytes that it has for itself.
 */
static uint32_t
count_differences(const ChurnForest *forest, Store *store, const float *rows,
				  size_t *size)
{
	Counter		counter = {churn_arena_create(), 0};
	const ChurnTableShare share = {store, find, make, list};
	ChurnArena	keep = {counting, &counter, &share};
	ChurnArena *scratch = churn_arena_create();
	ChurnError	error;
	ChurnEvaluator *evaluator;
	void	   *workspace;
	uint32_t	differences = 0;
	uint32_t	i;

	evaluator = churn_evaluator_make(forest, &keep, scratch, &error);
	churn_arena_destroy(scratch);
	workspace = aligned_alloc(32, (churn_evaluator_workspace(evaluator) + 31) /
							  32 * 32);
	for (i = 0; i < ROWS; i++)
	{
		const float *row = rows + (size_t) i * forest->nfeatures;
		float		a = churn_evaluator_margin(evaluator, row, workspace);
		float		b = churn_forest_margin(forest, row);

		if (memcmp(&a, &b, sizeof(a)) != 0)
			differences++;
	}
	free(workspace);
	churn_arena_destroy(counter.target);
	*size = counter.size;
	return differences;
}

/* The first inner node or leaf, whichever is wanted. */
static ChurnNode *
some_node(ChurnForest *forest, bool leaf)
{
	uint32_t	i;

	for (i = 0; i < forest->nnodes; i++)
		if ((forest->nodes[i].left < 0) == leaf)
			return &forest->nodes[i];
	return NULL;
}

static void
test_shape(const ForestShape *shape, uint32_t seed)
{
	Random		random = {UINT64_C(2463534242) + seed};
	ChurnArena *arena = churn_arena_create();
	ChurnForest *forest = random_model(&random, shape, arena)->components[0].forest;
	float	   *rows = test_alloc(arena, ROWS * shape->nfeatures,
								  sizeof(float));
	Store		store = {.full = true};
	size_t		alone;
	size_t		first;
	size_t		second;
	uint32_t	i;

	for (i = 0; i < ROWS * shape->nfeatures; i++)
		rows[i] = random_value(&random, shape);

	ok(count_differences(forest, &store, rows, &alone) == 0,
	   "%s: exact where nothing can be shared", shape->name);
	ok(store.asked == 1 && store.found == 0, "%s: it was tried", shape->name);
	store.full = false;
	ok(count_differences(forest, &store, rows, &first) == 0,
	   "%s: exact as the first process", shape->name);
	ok(store.ncopies == 1 && store.found == 0, "%s: which shares its tables",
	   shape->name);
	ok(count_differences(forest, &store, rows, &second) == 0,
	   "%s: exact as the second", shape->name);
	ok(store.ncopies == 1 && store.found == 1, "%s: which finds them",
	   shape->name);
	ok(first == second && first + 64 * 1024 <= alone,
	   "%s: both have %zu bytes for themselves instead of %zu", shape->name,
	   first, alone);

	store.late = true;
	ok(count_differences(forest, &store, rows, &second) == 0,
	   "%s: exact as one that made them as well, but too late", shape->name);
	ok(store.ncopies == 1 && store.found == 1 && first == second,
	   "%s: which uses the first one's", shape->name);
	store.late = false;

	/* the same shape, but not the same trees */
	some_node(forest, true)->value += 0.25f;
	ok(count_differences(forest, &store, rows, &second) == 0,
	   "%s: exact with another leaf", shape->name);
	ok(store.ncopies == 2 && store.found == 1,
	   "%s: for which it has tables of its own", shape->name);
	some_node(forest, false)->flags ^= CHURN_NODE_DEFAULT_LEFT;
	ok(count_differences(forest, &store, rows, &second) == 0,
	   "%s: exact with another split", shape->name);
	ok(store.ncopies == 3 && store.found == 1,
	   "%s: and tables of its own again", shape->name);

	for (i = 0; i < store.ncopies; i++)
	{
		ok(memcmp(store.copies[i].bytes, store.copies[i].before,
				  store.copies[i].size) == 0,
		   "%s: copy %u is as it was", shape->name, i);
		free(store.copies[i].bytes);
		free(store.copies[i].before);
	}
	churn_arena_destroy(arena);
}

int
main(void)
{
	const ChurnForest *forest;

	/* as in test_forest.c: tables for masks of each width, some with dart */
	static const ForestShape shapes[] = {
		{"depth 3", 19, 900, 8, false, true, 4, 60, true},
		{"16 leaves", 12, 300, 16, false, true, 5, 60, false},
		{"32 leaves", 12, 200, 32, false, true, 40, 60, false},
		{"64 leaves", 19, 200, 64, false, true, 4, 250, false},
		{"64 leaves, numeric", 7, 50, 64, false, false, 0, 250, true},
		{"binary categories", 30, 200, 40, false, true, 2, 50, false},
	};

	/* tables too small to be worth it, and no tables at all */
	static const ForestShape others[] = {
		{"stumps", 5, 65, 2, false, false, 3, 30, false},
		{"no tree", 3, 0, 1, false, false, 0, 10, false},
		{"400 leaves", 10, 30, 400, false, true, 9, 100, false},
	};
	uint32_t	i;

	for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		test_shape(&shapes[i], i);
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
	{
		Random		random = {i + 1};
		ChurnArena *arena = churn_arena_create();
		Store		store = {.full = false};
		float	   *rows = test_alloc(arena, ROWS * others[i].nfeatures,
									  sizeof(float));
		size_t		size;

		forest = random_model(&random, &others[i], arena)->components[0].forest;
		ok(count_differences(forest,
							 &store, rows, &size) == 0 && store.asked == 0,
		   "%s: nothing to share", others[i].name);
		churn_arena_destroy(arena);
	}
	return done();
}
