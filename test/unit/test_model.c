/*
 * test_model.c
 *		The compiled form of models: round trips, damage, and the checks.
 */
#include "random_model.h"
#include "unit.h"

static const ForestShape plain_shape =
{"", 12, 40, 30, false, true, 7, 50, false};
static const ForestShape small_shape =
{"", 5, 4, 4, false, false, 4, 50, true};

static bool
same_text(const char *a, const char *b)
{
	return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

static bool
same_feature(const ChurnFeature *a, const ChurnFeature *b)
{
	uint32_t	i;

	if (!same_text(a->name, b->name) || !same_text(a->type, b->type) ||
		a->kind != b->kind || a->flags != b->flags ||
		a->ncategories != b->ncategories ||
		(a->dictionary == NULL) != (b->dictionary == NULL))
		return false;
	for (i = 0; i < a->ncategories; i++)
		if (!same_text(a->categories[i], b->categories[i]) ||
			churn_dictionary_find(b->dictionary, a->categories[i],
								  strlen(a->categories[i])) != (int32_t) i)
			return false;
	return true;
}

static bool
same_node(const ChurnNode *a, const ChurnNode *b)
{
	if (a->left != b->left || memcmp(&a->value, &b->value, sizeof(float)) != 0)
		return false;
	if (a->left < 0)
		return a->cover == b->cover;
	return a->right == b->right && a->feature == b->feature &&
		a->flags == b->flags && a->cover == b->cover && a->bits == b->bits &&
		a->nwords == b->nwords;
}

static bool
same_forest(const ChurnForest *a, const ChurnForest *b)
{
	uint32_t	i;

	if (a->base_margin != b->base_margin || a->dart != b->dart ||
		a->ntrees != b->ntrees || a->nnodes != b->nnodes ||
		a->nbits != b->nbits || a->nfeatures != b->nfeatures)
		return false;
	for (i = 0; i < a->ntrees; i++)
		if (memcmp(&a->trees[i], &b->trees[i], sizeof(ChurnTree)) != 0)
			return false;
	for (i = 0; i < a->nnodes; i++)
		if (!same_node(&a->nodes[i], &b->nodes[i]))
			return false;
	return memcmp(a->bits, b->bits, a->nbits * sizeof(uint32_t)) == 0;
}

static bool
same_model(const ChurnModel *a, const ChurnModel *b)
{
	uint32_t	i;

	if (a->nfeatures != b->nfeatures || a->threshold != b->threshold ||
		a->as_of != b->as_of || !same_text(a->as_of_column, b->as_of_column) ||
		a->ncomponents != 1 || b->ncomponents != 1)
		return false;
	for (i = 0; i < a->nfeatures; i++)
		if (!same_feature(&a->features[i], &b->features[i]))
			return false;
	return same_text(a->components[0].algorithm, b->components[0].algorithm) &&
		same_forest(a->components[0].forest, b->components[0].forest);
}

/* Reads a copy of just the length, so that a sanitizer sees reads beyond. */
static ChurnModel *
read_copy(const uint8_t *bytes, size_t length, ChurnArena *arena,
		  ChurnError *error)
{
	uint8_t    *copy = malloc(length > 0 ? length : 1);
	ChurnModel *model;

	memcpy(copy, bytes, length);
	model = churn_model_read(copy, length, arena, arena, error);
	free(copy);
	return model;
}

static void
test_round_trip(const char *name, const ForestShape *shape, bool as_of)
{
	Random		random = {7};
	ChurnArena *arena = churn_arena_create();
	ChurnModel *model = random_model(&random, shape, arena);
	ChurnModel *back;
	ChurnError	error;
	uint8_t    *bytes;
	uint8_t    *again;
	size_t		length;
	size_t		length_again;

	if (as_of)
	{
		model->as_of = CHURN_AS_OF_COLUMN;
		model->as_of_column = "p\xc3\xa9riode";
	}
	if (!ok(churn_model_write(model, arena, &bytes, &length, &error),
			"%s: the model is written", name))
	{
		printf("# %s\n", error.message);
		return;
	}
	printf("# %u nodes take %zu bytes\n", model->components[0].forest->nnodes,
		   length);
	back = read_copy(bytes, length, arena, &error);
	ok(back != NULL && same_model(model, back), "%s: and read the same", name);
	ok(back != NULL &&
	   churn_model_write(back, arena, &again, &length_again, &error) &&
	   length == length_again && memcmp(bytes, again, length) == 0,
	   "%s: and written the same", name);
	churn_arena_destroy(arena);
}

/* No prefix of a compiled form may be read, nor one with a byte too many. */
static void
test_truncation(void)
{
	Random		random = {11};
	ChurnArena *arena = churn_arena_create();
	ChurnModel *model = random_model(&random, &small_shape, arena);
	ChurnError	error;
	uint8_t    *bytes;
	size_t		length;
	size_t		i;
	size_t		accepted = 0;

	if (!churn_model_write(model, arena, &bytes, &length, &error))
		abort();
	for (i = 0; i < length; i++)
	{
		ChurnArena *own = churn_arena_create();

		if (read_copy(bytes, i, own, &error) != NULL)
			accepted++;
		churn_arena_destroy(own);
	}
	ok(accepted == 0, "none of %zu prefixes is read", length);
	bytes = memcpy(test_alloc(arena, length + 1, 1), bytes, length);
	ok(read_copy(bytes, length + 1, arena, &error) == NULL,
	   "a byte too many is not read: %s", error.message);
	churn_arena_destroy(arena);
}

/*
 * Flips bits and overwrites bytes.  What is still read must pass for a model:
 * it is evaluated and written again.
 */
static void
test_damage(void)
{
	Random		random = {13};
	ChurnArena *arena = churn_arena_create();
	ChurnModel *model = random_model(&random, &small_shape, arena);
	float		row[5];
	ChurnError	error;
	uint8_t    *bytes;
	size_t		length;
	uint32_t	i;
	uint32_t	refused = 0;
	uint32_t	strange = 0;

	if (!churn_model_write(model, arena, &bytes, &length, &error))
		abort();
	for (i = 0; i < 20000; i++)
	{
		ChurnArena *own = churn_arena_create();
		uint8_t    *copy = memcpy(test_alloc(own, length, 1), bytes, length);
		uint32_t	times = 1 + random_below(&random, 3);
		ChurnModel *read;

		while (times-- > 0)
		{
			uint32_t	at = random_below(&random, (uint32_t) length);

			if (random_below(&random, 3) > 0)
				copy[at] ^= (uint8_t) (1 << random_below(&random, 8));
			else
				copy[at] = (uint8_t) -random_below(&random, 2);
		}
		read = read_copy(copy, length, own, &error);
		if (read == NULL)
			refused++;
		else if (read->nfeatures != 5)
			strange++;
		else
		{
			uint8_t    *again;
			size_t		length_again;
			uint32_t	k;

			for (k = 0; k < 5; k++)
				row[k] = random_value(&random, &small_shape);
			(void) churn_forest_margin(read->components[0].forest, row);
			if (!churn_model_write(read, own, &again, &length_again, &error))
				strange++;
		}
		churn_arena_destroy(own);
	}
	ok(refused > 0 && strange == 0,
	   "of 20000 damaged models %u are refused, %u are strange", refused,
	   strange);
	churn_arena_destroy(arena);
}

/* An arena that has only so much memory. */
static size_t arena_left;

static void *
limited_alloc(void *context, size_t size)
{
	ChurnArena *arena = context;

	if (size > arena_left)
		return NULL;
	arena_left -= size;
	return arena->alloc(arena->context, size);
}

/* Counts that the input does not justify must not allocate. */
static void
test_memory(void)
{
	Random		random = {17};
	ChurnArena *arena = churn_arena_create();
	ChurnArena	limited = {.alloc = limited_alloc,.context = arena};
	ChurnModel *model = random_model(&random, &plain_shape, arena);
	ChurnError	error;
	uint8_t    *bytes;
	size_t		length;
	size_t		i;
	size_t		most;
	size_t		out = 0;

	if (!churn_model_write(model, arena, &bytes, &length, &error))
		abort();
	most = 20 * length;
	for (i = 0; i + 4 <= length; i += i < 2000 ? 1 : 7)
	{
		ChurnArena *own = churn_arena_create();
		uint8_t    *copy = memcpy(test_alloc(own, length, 1), bytes, length);

		memset(copy + i, i % 2 ? 0xFF : 0x7F, 3);
		limited.context = own;
		arena_left = most;
		if (read_copy(copy, length, &limited, &error) == NULL &&
			error.code == CHURN_ERROR_MEMORY)
			out++;
		churn_arena_destroy(own);
	}
	ok(out == 0, "inflated counts take no more than %zu bytes", most);

	limited.context = arena;
	for (arena_left = 0; arena_left < most; arena_left += length / 7)
	{
		size_t		given = arena_left;

		if (read_copy(bytes, length, &limited, &error) == NULL &&
			error.code != CHURN_ERROR_MEMORY)
			out++;
		arena_left = given;
	}
	ok(out == 0, "lack of memory is told as such");
	churn_arena_destroy(arena);
}

/* Applies a change to a good model and expects the check to see it. */
#define refuse(change, why) \
	do { \
		Random		random = {19}; \
		ChurnArena *arena = churn_arena_create(); \
		ChurnModel *model = random_model(&random, &plain_shape, arena); \
		ChurnForest *forest = model->components[0].forest; \
		ChurnNode  *root = &forest->nodes[forest->trees[1].first]; \
		ChurnError	error = {CHURN_OK, ""}; \
		while (root->left < 0) \
			root = &forest->nodes[forest->trees[root - forest->nodes].first]; \
		change; \
		ok(!churn_model_check(model, &error) && error.code != CHURN_OK, \
		   "%s is refused: %s", why, error.message); \
		churn_arena_destroy(arena); \
	} while (0)

static void
test_check(void)
{
	refuse(root->left = 0, "a child that is its parent");
	refuse(root->left = root->right, "two children in one");
	refuse(root->right = 1 << 30, "a child beyond the tree");
	refuse(root->right = -1, "half a leaf");
	refuse(root->left = -1, "a leaf with orphans");
	refuse(root->left = -2, "a negative child");
	refuse(root->feature = 12, "a feature beyond the last");
	refuse(root->flags = 4, "an unknown flag");
	refuse((root->flags = 0, root->value = NAN), "a threshold of NaN");
	refuse(root->cover = INFINITY, "an infinite cover");
	refuse((root->flags = CHURN_NODE_CATEGORICAL,
			root->bits = forest->nbits, root->nwords = 1),
		   "a bitset beyond the end");
	refuse((root->flags = CHURN_NODE_CATEGORICAL,
			root->bits = UINT32_MAX, root->nwords = 2),
		   "a bitset that wraps around");
	refuse((root->flags = CHURN_NODE_CATEGORICAL, root->bits = 0,
			root->nwords = forest->nbits), "a bitset of others");
	refuse(forest->nodes[forest->nnodes - 1].value = NAN, "a leaf of NaN");
	refuse(forest->base_margin = NAN, "a base margin of NaN");
	refuse(forest->trees[3].weight = 0.5f, "a weight without dart");
	refuse((forest->dart = true, forest->trees[3].weight = NAN),
		   "a weight of NaN");
	refuse(forest->trees[3].first++, "a tree that starts too late");
	refuse(forest->trees[3].nnodes = 0, "an empty tree");
	refuse(forest->ntrees--, "nodes without a tree");
	refuse(forest->nnodes--, "a tree without its last node");
	refuse(forest->nfeatures--, "a forest for fewer features");
	refuse(model->features[2].dictionary = NULL, "a lack of dictionary");
	refuse(model->features[3].name = "", "a feature without name");
	refuse(model->features[3].kind = (ChurnFeatureKind) 9, "an unknown kind");
	refuse(model->threshold = NAN, "a threshold of NaN");
	refuse(model->as_of = CHURN_AS_OF_COLUMN, "an age without its column");
}

/* A chain of a million nodes must neither recurse nor take for ever. */
static void
test_long_chain(void)
{
	ForestShape shape = {"", 3, 1, 500000, true, false, 0, 50, false};
	Random		random = {23};
	ChurnArena *arena = churn_arena_create();
	ChurnModel *model = random_model(&random, &shape, arena);
	ChurnError	error;
	uint8_t    *bytes;
	size_t		length;

	ok(churn_model_write(model, arena, &bytes, &length, &error) &&
	   churn_model_read(bytes, length, arena, arena, &error) != NULL,
	   "a chain of %u nodes is written and read",
	   model->components[0].forest->nnodes);
	churn_arena_destroy(arena);
}

int
main(void)
{
	const ForestShape none = {"", 0, 0, 1, false, false, 0, 1, false};
	const ForestShape many = {"", 1600, 10, 64, false, true, 60, 99, false};

	test_round_trip("plain", &plain_shape, false);
	test_round_trip("dart", &small_shape, true);
	test_round_trip("nothing", &none, false);
	test_round_trip("1,600 features", &many, false);
	test_truncation();
	test_damage();
	test_memory();
	test_check();
	test_long_chain();
	return done();
}
