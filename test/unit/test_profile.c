/*
 * test_profile.c
 *		Baselines and profiles: cells, counting, merging, damage.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "churn/divergence.h"
#include "churn/profile.h"
#include "unit.h"

#define MANY_ROWS	20000

static ChurnArena *arena;
static ChurnError error;

/* A baseline of a number, a category and a boolean. */
static const char document[] =
"{\"features\": ["
"{\"name\": \"tenure\", \"kind\": \"number\", \"baseline\": {\"rows\": 10,"
" \"missing\": 2, \"mean\": 4.25, \"sd\": 2.5, \"edges\": [1, 2.5, 7],"
" \"counts\": [0, 2, 1, 5, 0], \"centres\": [1, 1, 2.5, 6, 7]}},"
"{\"name\": \"plan\", \"kind\": \"category\", \"baseline\": {\"rows\": 10,"
" \"missing\": 1, \"unseen\": 2, \"counts\": [4, 3]}},"
"{\"name\": \"paid\", \"kind\": \"boolean\", \"baseline\": {\"rows\": 10,"
" \"missing\": 10, \"mean\": null, \"sd\": null, \"edges\": [],"
" \"counts\": [0], \"centres\": [0]}}],"
"\"score\": {\"rows\": 4, \"missing\": 0, \"mean\": 0.5, \"sd\": 0.25,"
" \"edges\": [0.25, 0.75], \"counts\": [0, 1, 3, 0],"
" \"centres\": [0.25, 0.25, 0.5, 0.75]}}";

/* Room for any profile of it, and more. */
typedef union Profile
{
	ChurnProfile head;
	uint8_t		bytes[1024];
} Profile;

static ChurnBaseline *
read_baseline(const char *json)
{
	memset(&error, 0, sizeof(error));
	return churn_baseline_read(json, strlen(json), arena, &error);
}

/* Reads the document with one piece of it replaced. */
static ChurnBaseline *
read_changed(const char *piece, const char *by)
{
	char		changed[2 * sizeof(document)];
	const char *at = strstr(document, piece);

	if (at == NULL)
	{
		printf("Bail out! no \"%s\"\n", piece);
		exit(1);
	}
	snprintf(changed, sizeof(changed), "%.*s%s%s", (int) (at - document),
			 document, by, at + strlen(piece));
	return read_baseline(changed);
}

/* Tests that the document is refused when a piece is replaced. */
static void
refuses(const char *piece, const char *by, ChurnErrorCode code,
		const char *message)
{
	if (!ok(read_changed(piece, by) == NULL && error.code == code &&
			strstr(error.message, message) != NULL, "%s is refused: %s", by,
			message))
		printf("# %d %s\n", error.code, error.message);
}

static void
test_reading(void)
{
	ChurnBaseline *baseline = read_baseline(document);
	const ChurnCells *cells;

	if (!ok(baseline != NULL && baseline->nfeatures == 3 &&
			baseline->ncounts == 5 + 2 + 1 + 4, "a baseline is read"))
	{
		printf("# %s\n", error.message);
		return;
	}
	cells = &baseline->features[0];
	ok(strcmp(cells->name, "tenure") == 0 &&
	   cells->kind == CHURN_FEATURE_NUMBER && cells->nedges == 3 &&
	   cells->ncells == 5 && cells->first == 0 && cells->rows == 10 &&
	   cells->missing == 2 && cells->mean == 4.25 && cells->sd == 2.5 &&
	   cells->edges[1] == 2.5f && cells->counts[3] == 5 &&
	   cells->centres[3] == 6, "a number");
	cells++;
	ok(cells->kind == CHURN_FEATURE_CATEGORY && cells->nedges == 0 &&
	   cells->ncells == 2 && cells->first == 5 && cells->unseen == 2 &&
	   cells->counts[1] == 3 && isnan(cells->mean), "a category");
	cells++;
	ok(cells->kind == CHURN_FEATURE_BOOLEAN && cells->nedges == 0 &&
	   cells->ncells == 1 && cells->first == 7 && isnan(cells->sd),
	   "a feature that is all null");
	cells++;
	ok(cells->name == NULL && cells->ncells == 4 && cells->first == 8,
	   "the score");
}

static void
test_damage(void)
{
	char		deep[200];
	size_t		survived = 0;
	size_t		n;

	refuses("{\"features\"", "[\"features\"", CHURN_ERROR_CORRUPT, "JSON");
	refuses("\"features\": [", "\"features\": 1, \"more\": [",
			CHURN_ERROR_CORRUPT, "no list of features");
	refuses("\"name\": \"tenure\"", "\"name\": 1", CHURN_ERROR_CORRUPT,
			"without a name");
	refuses("\"kind\": \"number\"", "\"kind\": \"text\"", CHURN_ERROR_CORRUPT,
			"unknown kind");
	refuses("\"baseline\": {\"rows\": 10", "\"base\": {\"rows\": 10",
			CHURN_ERROR_UNSUPPORTED, "feature \"tenure\" has no baseline");
	refuses("\"baseline\": {\"rows\": 10", "\"baseline\": [], \"x\": {\"a\": 1",
			CHURN_ERROR_CORRUPT, "is no object");
	refuses("\"score\": {", "\"score\": null, \"x\": {",
			CHURN_ERROR_UNSUPPORTED, "the score has no baseline");
	refuses("\"score\": {", "\"score\": 1, \"x\": {", CHURN_ERROR_CORRUPT,
			"baseline of the score is no object");
	refuses("\"rows\": 10", "\"rows\": 9", CHURN_ERROR_CORRUPT,
			"do not add up");
	refuses("\"rows\": 10", "\"rows\": 1.5", CHURN_ERROR_CORRUPT,
			"whole number of rows");
	refuses("\"missing\": 2", "\"missing\": -1", CHURN_ERROR_CORRUPT,
			"whole number of rows");
	refuses("\"missing\": 2", "\"missing\": 11", CHURN_ERROR_CORRUPT,
			"do not add up");
	refuses("\"unseen\": 2", "\"unseen\": \"2\"", CHURN_ERROR_CORRUPT,
			"whole number of rows");
	refuses("\"counts\": [4, 3]", "\"count\": [4, 3]", CHURN_ERROR_CORRUPT,
			"\"plan\" has no counts");
	refuses("\"counts\": [4, 3]", "\"counts\": 7", CHURN_ERROR_CORRUPT,
			"none of numbers");
	refuses("\"counts\": [4, 3]", "\"counts\": [4, 3.5]", CHURN_ERROR_CORRUPT,
			"none of numbers");
	refuses("\"counts\": [4, 3]", "\"counts\": [-1, 8]", CHURN_ERROR_CORRUPT,
			"out of range");
	refuses("\"counts\": [4, 3]", "\"counts\": [9223372036854775807, "
			"9223372036854775807, 9]", CHURN_ERROR_CORRUPT, "out of range");
	refuses("[0, 2, 1, 5, 0]", "[0, 2, 1, 5]", CHURN_ERROR_CORRUPT,
			"as its edges ask for");
	refuses("[1, 1, 2.5, 6, 7]", "[1, 1, 2.5, 6]", CHURN_ERROR_CORRUPT,
			"as its edges ask for");
	refuses("[1, 2.5, 7]", "[1, 1, 7]", CHURN_ERROR_CORRUPT, "in order");
	refuses("[1, 2.5, 7]", "[1, 7, 2.5]", CHURN_ERROR_CORRUPT, "in order");
	refuses("[1, 2.5, 7]", "[1, 2.5, 1e39]", CHURN_ERROR_CORRUPT, "in order");
	refuses("[1, 2.5, 7]", "[1, NaN, 7]", CHURN_ERROR_CORRUPT, "in order");
	refuses("[1, 2.5, 7]", "[1, null, 7]", CHURN_ERROR_CORRUPT,
			"none of numbers");
	refuses("[1, 2.5, 7]", "{}", CHURN_ERROR_CORRUPT, "none of numbers");
	refuses("\"edges\": [1", "\"edge\": [1", CHURN_ERROR_CORRUPT,
			"no edges and centres");
	refuses("[1, 1, 2.5, 6, 7]", "[2, 1, 2.5, 6, 7]", CHURN_ERROR_CORRUPT,
			"in order");
	refuses("[1, 1, 2.5, 6, 7]", "[1, 2, 2.5, 6, 7]", CHURN_ERROR_CORRUPT,
			"in order");
	refuses("[1, 1, 2.5, 6, 7]", "[1, 1, 2.5, 2, 7]", CHURN_ERROR_CORRUPT,
			"in order");
	refuses("[1, 1, 2.5, 6, 7]", "[1, 1, 2.5, 6, 6]", CHURN_ERROR_CORRUPT,
			"in order");
	refuses("[1, 1, 2.5, 6, 7]", "[1, 1, 2.5, 6, Infinity]",
			CHURN_ERROR_CORRUPT, "in order");
	refuses("\"mean\": 4.25", "\"mean\": \"x\"", CHURN_ERROR_CORRUPT,
			"moment");
	refuses("\"sd\": 2.5", "\"sd\": -1", CHURN_ERROR_CORRUPT, "moment");
	refuses("\"sd\": 2.5", "\"sd\": 1e999", CHURN_ERROR_CORRUPT, "moment");
	memset(deep, '[', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	refuses("\"sd\": 2.5", deep, CHURN_ERROR_CORRUPT, "");
	for (n = 0; n < sizeof(document) - 1; n++)
	{
		char	   *copy = malloc(n + 1);

		memcpy(copy, document, n);
		survived += churn_baseline_read(copy, n, arena, &error) != NULL;
		free(copy);
	}
	ok(survived == 0, "a baseline cut short is refused");
}

/* The edges that JSON gives too many of, the categories likewise. */
static void
test_limits(void)
{
	size_t		room = 1024 * 1024;
	char	   *text = malloc(room);
	size_t		used;
	int			n;
	int			i;

	for (n = CHURN_MAX_EDGES; n <= CHURN_MAX_EDGES + 1; n++)
	{
		used = (size_t) snprintf(text, room, "{\"features\": [], \"score\": "
								 "{\"rows\": 0, \"missing\": 0, \"edges\": [");
		for (i = 0; i < n; i++)
			used += (size_t) sprintf(text + used, "%s%d", i ? "," : "", i);
		used += (size_t) sprintf(text + used, "], \"counts\": [");
		for (i = 0; i < n + 2; i++)
			used += (size_t) sprintf(text + used, "%s0", i ? "," : "");
		used += (size_t) sprintf(text + used, "], \"centres\": [");
		for (i = -1; i < n + 1; i++)
			used += (size_t) sprintf(text + used, "%s%d", i < 0 ? "" : ",",
									 i < 0 ? 0 : i < n ? i : n - 1);
		sprintf(text + used, "]}}");
		if (n == CHURN_MAX_EDGES)
			ok(read_baseline(text) != NULL, "as many edges as there may be");
		else
			ok(read_baseline(text) == NULL &&
			   strstr(error.message, "too many edges") != NULL,
			   "an edge more");
	}
	used = (size_t) sprintf(text, "{\"features\": [{\"name\": \"x\", \"kind\": "
							"\"category\", \"baseline\": {\"rows\": 0, "
							"\"missing\": 0, \"counts\": [0");
	for (i = 0; i < CHURN_MAX_CATEGORIES; i++)
		used += (size_t) sprintf(text + used, ",0");
	sprintf(text + used, "]}}]}");
	ok(read_baseline(text) == NULL &&
	   strstr(error.message, "too many counts") != NULL,
	   "a category more than there may be");
	free(text);
}

/* Counts one row of tenure, plan and paid. */
static void
add(const ChurnBaseline *baseline, Profile *profile, float tenure, float plan,
	float paid, double score)
{
	float		row[3] = {tenure, plan, paid};

	churn_profile_add(baseline, &profile->head, row, score);
}

static bool
counts_are(Profile *profile, const uint64_t *expected)
{
	const ChurnCells all = {.first = 0};

	return memcmp(churn_profile_counts(&profile->head, &all), expected,
				  profile->head.ncounts * sizeof(uint64_t)) == 0;
}

/* Rows of the profile below. */
static void
fill(const ChurnBaseline *baseline, Profile *profile)
{
	churn_profile_init(baseline, &profile->head);
	add(baseline, profile, 0.5f, 0, 1, 0.25);
	add(baseline, profile, -3, 1, NAN, 0.25000001);
	add(baseline, profile, 1, churn_unseen_value(), NAN, 0.75);
	add(baseline, profile, 1.0000001f, NAN, 0, 1);
	add(baseline, profile, 2.5f, 2, NAN, 0);
	add(baseline, profile, churn_unseen_value(), -1, NAN, NAN);
	add(baseline, profile, 7, 1, NAN, 0.5);
	add(baseline, profile, FLT_MAX, 1, NAN, 0.5);
}

static void
test_counting(void)
{
	static const uint64_t expected[12] = {2, 1, 2, 1, 1, 1, 3, 2, 1, 2, 3, 1};
	ChurnBaseline *baseline = read_baseline(document);
	Profile		profile;
	ChurnProfileFeature *feature;
	double		centres[5];
	double	   *sums;

	fill(baseline, &profile);
	ok(churn_profile_size(baseline) == 32 + 4 * 32 + 12 * 8 + 10 * 8,
	   "size of a profile");
	ok(profile.head.rows == 8 && counts_are(&profile, expected),
	   "rows are counted by cell");
	feature = churn_profile_feature(&profile.head, 0);
	sums = churn_profile_sums(&profile.head, &baseline->features[0]);
	ok(feature->missing == 1 && feature->low == -3 &&
	   feature->high == (double) FLT_MAX && sums[0] == -2.5 && sums[1] == 1 &&
	   sums[2] == 2.5 + (double) 1.0000001f && sums[3] == 7 &&
	   sums[4] == (double) FLT_MAX, "a number's summary");
	feature = churn_profile_feature(&profile.head, 1);
	ok(feature->missing == 1 && feature->unseen == 3 && isnan(feature->low),
	   "a category's summary");
	feature = churn_profile_feature(&profile.head, 2);
	sums = churn_profile_sums(&profile.head, &baseline->features[2]);
	ok(feature->missing == 6 && feature->low == 0 && feature->high == 1 &&
	   sums[0] == 1, "summary of a feature without a value at training");
	feature = churn_profile_feature(&profile.head, 3);
	sums = churn_profile_sums(&profile.head, &baseline->features[3]);
	ok(feature->missing == 1 && feature->low == 0 && feature->high == 1 &&
	   sums[0] == 0 && sums[1] == 0.5 && sums[2] == 1.75 && sums[3] == 1,
	   "the score's summary");
	churn_profile_centres(baseline, &profile.head, 0, centres);
	ok(centres[0] == -1.25 && centres[1] == 1 &&
	   centres[2] == (2.5 + (double) 1.0000001f) / 2 && centres[3] == 7 &&
	   centres[4] == (double) FLT_MAX, "where the profile's rows lie");
	/* sums that do not fit are of no consequence beyond their cell */
	churn_profile_sums(&profile.head, baseline->features)[3] = 1e9;
	churn_profile_sums(&profile.head, baseline->features)[2] = -1e9;
	churn_profile_centres(baseline, &profile.head, 0, centres);
	ok(centres[2] == 1 && centres[3] == 7, "means stay in their cells");
	churn_profile_centres(baseline, &profile.head, 2, centres);
	ok(centres[0] == 0.5, "the centre of an only cell");
	churn_profile_init(baseline, &profile.head);
	churn_profile_centres(baseline, &profile.head, 0, centres);
	ok(centres[0] == 1 && centres[3] == 6 && centres[4] == 7 &&
	   isnan(churn_profile_wasserstein(baseline, &profile.head, 0)),
	   "centres without rows");
	ok(isnan(churn_unseen_value()) && churn_is_unseen(churn_unseen_value()) &&
	   !churn_is_unseen(NAN) && !churn_is_unseen(-NAN) &&
	   !churn_is_unseen(0), "an unseen category is a NaN of its own");
}

static void
test_merging(void)
{
	ChurnBaseline *baseline = read_baseline(document);
	ChurnBaseline *other;
	Profile		whole;
	Profile		parts[3];
	Profile		odd;
	int			i;

	for (i = 0; i < 3; i++)
		churn_profile_init(baseline, &parts[i].head);
	churn_profile_init(baseline, &whole.head);
	for (i = 0; i < 300; i++)
	{
		float		tenure = (float) (i % 17) - 4;
		float		plan = i % 5 < 2 ? (float) (i % 5) :
		i % 5 == 2 ? NAN : churn_unseen_value();

		/* the second part stays empty */
		add(baseline, &whole, tenure, plan, 1, i / 300.0);
		add(baseline, &parts[i % 3 ? 0 : 2], tenure, plan, 1, i / 300.0);
	}
	ok(churn_profile_merge(&parts[1].head, &parts[2].head, &error) &&
	   churn_profile_merge(&parts[1].head, &parts[0].head, &error) &&
	   memcmp(&parts[1], &whole, churn_profile_size(baseline)) == 0,
	   "parts make the whole");
	ok(churn_profile_valid(&whole, churn_profile_size(baseline)) &&
	   churn_profile_fits(baseline, &whole.head), "what was merged is valid");

	other = read_changed("\"edges\": [1, 2.5, 7]", "\"edges\": [1, 3, 7]");
	ok(other != NULL && other->mark != baseline->mark &&
	   !churn_profile_fits(other, &whole.head), "edges make another mark");
	churn_profile_init(other, &odd.head);
	ok(!churn_profile_merge(&whole.head, &odd.head, &error) &&
	   error.code == CHURN_ERROR_INVALID &&
	   strstr(error.message, "different baselines") != NULL,
	   "profiles of different baselines are not merged");
	other = read_changed("\"name\": \"tenure\"", "\"name\": \"months\"");
	ok(other != NULL && other->mark != baseline->mark,
	   "names make another mark");
	other = read_changed("\"counts\": [4, 3]", "\"counts\": [4, 2, 1]");
	ok(other != NULL && other->mark != baseline->mark,
	   "categories make another mark");
	other = read_changed("\"counts\": [4, 3]", "\"counts\": [3, 4]");
	ok(other != NULL && other->mark == baseline->mark,
	   "counts make no other mark");
	whole.head.rows = UINT64_MAX - 10;
	ok(!churn_profile_merge(&parts[1].head, &whole.head, &error) &&
	   error.code == CHURN_ERROR_LIMIT, "too many rows are refused");
}

static void
test_bytes(void)
{
	ChurnBaseline *baseline = read_baseline(document);
	size_t		size = churn_profile_size(baseline);
	Profile		profile;
	Profile		damaged;
	uint8_t    *copy = malloc(size + 1);
	size_t		survived = 0;
	size_t		n;

	fill(baseline, &profile);
	ok(churn_profile_valid(&profile, size) &&
	   churn_profile_fits(baseline, &profile.head), "a profile is valid");
	memcpy(copy + 1, &profile, size);
	ok(churn_profile_valid(copy + 1, size), "wherever its bytes are");
	free(copy);
	for (n = 0; n < size; n++)
	{
		copy = malloc(n + 1);
		memcpy(copy, &profile, n);
		survived += churn_profile_valid(copy, n);
		free(copy);
	}
	ok(survived == 0 && !churn_profile_valid(&profile, size + 8),
	   "bytes cut short, or too many, are none");

	/* all but low, high, sums and the mark is known to add up */
	survived = 0;
	for (n = 0; n < size * 8; n++)
	{
		size_t		at = n / 8;
		bool		free_to_be = (at >= 16 && at < 24) || at >= size - 80 ||
		(at >= 32 && at < 32 + 4 * 32 && (at - 32) % 32 >= 16);

		damaged = profile;
		damaged.bytes[at] ^= (uint8_t) (1 << n % 8);
		survived += churn_profile_valid(&damaged, size) != free_to_be;
	}
	ok(survived == 0, "a flipped bit in a count is seen");
	damaged = profile;
	damaged.head.mark++;
	ok(churn_profile_valid(&damaged, size) &&
	   !churn_profile_fits(baseline, &damaged.head), "another mark");
	damaged = profile;
	churn_profile_counts(&damaged.head, &baseline->features[0])[0]--;
	churn_profile_counts(&damaged.head, &baseline->features[1])[0]++;
	ok(churn_profile_valid(&damaged, size) &&
	   !churn_profile_fits(baseline, &damaged.head),
	   "a row counted for another feature");
}

static int
compare(const void *left, const void *right)
{
	float		a = *(const float *) left;
	float		b = *(const float *) right;

	return (a > b) - (a < b);
}

/* A stable stream of numbers 0 .. 1. */
static double
uniform(void)
{
	static uint64_t state = 1;

	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (double) (state >> 11) / 9007199254740992.0;
}

/* Makes cells of n numbers, tests what holds for all of them. */
static ChurnCells
make_cells(float *numbers, size_t n, const char *what)
{
	ChurnCells	cells = {.name = "x",.kind = CHURN_FEATURE_NUMBER};
	ChurnCells	again = cells;
	ChurnValue *value;
	uint64_t	sum = 0;
	uint64_t	most = 0;
	size_t		distinct = 0;
	bool		own;
	char	   *json;
	size_t		length;
	uint32_t	i;

	qsort(numbers, n, sizeof(float), compare);
	for (i = 0; i < n; i++)
		distinct += i == 0 || numbers[i] != numbers[i - 1];
	if (!ok(churn_cells_make(&cells, numbers, n, 7, arena, &error),
			"cells of %s", what))
		return cells;
	for (i = 0; i < cells.ncells; i++)
	{
		own = i == 1 || (i > 1 && i <= cells.nedges &&
						 nextafterf(cells.edges[i - 2], INFINITY) ==
						 cells.edges[i - 1]);
		sum += cells.counts[i];
		if (!own && cells.counts[i] > most)
			most = cells.counts[i];
	}
	ok(sum == n && cells.rows == n + 7 && cells.missing == 7 &&
	   cells.nedges <= CHURN_MAX_EDGES - 1 &&
	   (distinct > CHURN_MAX_DISTINCT ? most * CHURN_QUANTILES <= n : most == 0),
	   "%s: %u edges, at most %llu of %zu rows in a cell of several values",
	   what, cells.nedges, (unsigned long long) most, n);
	ok(n == 0 || (cells.edges[0] == numbers[0] &&
				  cells.edges[cells.nedges - 1] == numbers[n - 1] &&
				  cells.counts[0] == 0 && cells.counts[cells.ncells - 1] == 0),
	   "%s: the outer cells are empty", what);
	value = churn_cells_value(&cells, arena, &error);
	ok(value != NULL &&
	   churn_json_write(value, arena, &json, &length, &error) &&
	   (value = churn_json_read(json, length, arena, &error)) != NULL &&
	   churn_cells_read(value, &again, arena, &error) &&
	   again.nedges == cells.nedges && again.ncells == cells.ncells &&
	   again.rows == cells.rows && again.missing == cells.missing &&
	   (again.mean == cells.mean || (isnan(again.mean) && n == 0)) &&
	   (again.sd == cells.sd || (isnan(again.sd) && n < 2)) &&
	   memcmp(again.edges, cells.edges, cells.nedges * sizeof(float)) == 0 &&
	   memcmp(again.counts, cells.counts,
			  cells.ncells * sizeof(uint64_t)) == 0 &&
	   memcmp(again.centres, cells.centres,
			  cells.ncells * sizeof(float)) == 0, "%s come back from JSON",
	   what);
	return cells;
}

/* One number of each of several distributions. */
static float
draw(int distribution)
{
	double		u = uniform();

	switch (distribution)
	{
		case 0:
			return (float) u;
		case 1:
			return (float) pow(u, -2);	/* with a long tail */
		case 2:
			return (float) floor(1 / u);	/* few values are frequent */
		case 3:
			return u < 0.4 ? 20 : (float) (u * 50);
		case 4:
			return (float) floor(u * 300);
		default:
			return (float) floor(u * 257);
	}
}

static void
test_making(void)
{
	static float numbers[MANY_ROWS];
	static const char *const names[] = {
		"evenly spread numbers", "numbers with a long tail",
		"reciprocals", "numbers one of which is frequent",
		"300 numbers", "257 numbers"
	};
	static const size_t sizes[] = {258, 300, 1000, 7043, MANY_ROWS};
	ChurnCells	cells;
	char		what[100];
	int			i;
	int			j;
	size_t		k;

	for (i = 0; i < 6; i++)
	{
		for (j = 0; j < 5; j++)
		{
			for (k = 0; k < sizes[j]; k++)
				numbers[k] = draw(i);
			snprintf(what, sizeof(what), "%zu %s", sizes[j], names[i]);
			make_cells(numbers, sizes[j], what);
		}
	}

	/* every other value is frequent, which takes the most edges */
	for (k = 0; k < 510 * 20; k++)
		numbers[k] = (float) (k / 40 * 2 + (k % 40 == 0));
	cells = make_cells(numbers, 510 * 20, "numbers of which every other is frequent");
	ok(cells.nedges > 500, "there are many edges");
	for (k = 0; k < 1000; k++)
		numbers[k] = 3;
	cells = make_cells(numbers, 1000, "equal numbers");
	ok(cells.nedges == 1 && cells.mean == 3 && cells.sd == 0 &&
	   cells.counts[1] == 1000, "equal numbers have one cell");
	numbers[0] = -FLT_MAX;
	numbers[1] = FLT_MAX;
	cells = make_cells(numbers, 2, "the largest numbers");
	ok(cells.mean == 0 && cells.nedges == 3 && isfinite(cells.centres[2]),
	   "largest numbers do not overflow");
	numbers[0] = 3;
	cells = make_cells(numbers, 1, "one number");
	ok(cells.mean == 3 && isnan(cells.sd), "one number has no spread");
	cells = make_cells(numbers, 0, "no number");
	ok(cells.ncells == 1 && isnan(cells.mean), "no number has no mean");
	for (k = 0; k < 100; k++)
		numbers[k] = k < 30 ? 0 : 1;
	memset(&cells, 0, sizeof(cells));
	cells.kind = CHURN_FEATURE_BOOLEAN;
	ok(churn_cells_make(&cells, numbers, 100, 0, arena, &error) &&
	   cells.nedges == 2 && cells.counts[1] == 30 && cells.counts[2] == 70,
	   "booleans have two edges");
}

/*
 * What lies between two values is not taken for one of them, and a rank is off
 * by no more than is said, whatever comes.
 */
static void
test_error(void)
{
	static float numbers[MANY_ROWS];
	static float others[MANY_ROWS];
	int			i;
	size_t		k;

	for (i = 0; i < 6; i++)
	{
		ChurnCells	cells[2] = {{.name = "x",.kind = CHURN_FEATURE_NUMBER},
		{.kind = CHURN_FEATURE_NUMBER}};
		ChurnBaseline baseline = {1, cells, 0, 0, 0};
		ChurnProfile *profile;
		size_t		at = 0;
		double		exact = 0;
		double		ours;
		double		p_value;

		for (k = 0; k < MANY_ROWS; k++)
		{
			numbers[k] = draw(i);
			others[k] = draw(i) * (1.0f - 1e-3f);
		}
		qsort(numbers, MANY_ROWS, sizeof(float), compare);
		qsort(others, MANY_ROWS, sizeof(float), compare);
		for (k = 0; k < MANY_ROWS; k++)
		{
			/* both distribution functions behind the k-th of the others */
			while (at < MANY_ROWS && numbers[at] <= others[k])
				at++;
			if (k + 1 == MANY_ROWS || others[k + 1] != others[k])
				exact = fmax(exact, fabs((double) k + 1 - (double) at));
			if (k + 1 < MANY_ROWS)
			{
				size_t		before = at;

				while (before < MANY_ROWS && numbers[before] < others[k + 1])
					before++;
				exact = fmax(exact, fabs((double) k + 1 - (double) before));
			}
		}
		exact /= MANY_ROWS;
		churn_cells_make(&cells[0], numbers, MANY_ROWS, 0, arena, &error);
		churn_cells_make(&cells[1], numbers, 0, 0, arena, &error);
		cells[1].first = cells[1].first_sum = cells[0].ncells;
		baseline.ncounts = baseline.nsums = cells[0].ncells + 1;
		profile = calloc(1, churn_profile_size(&baseline));
		churn_profile_init(&baseline, profile);
		for (k = 0; k < MANY_ROWS; k++)
			churn_profile_add(&baseline, profile, &others[k], NAN);
		ours = churn_divergence_kolmogorov_smirnov(cells[0].counts,
												   churn_profile_counts(profile, cells),
												   cells[0].ncells, &p_value);
		ok(ours <= exact + 1e-12 &&
		   ours >= exact - (i == 5 ? 1e-12 : 1.0 / CHURN_QUANTILES),
		   "distribution %d: a distance of %.5f is told as %.5f", i, exact,
		   ours);
		free(profile);
	}
}

int
main(void)
{
	arena = churn_arena_create();
	test_reading();
	test_damage();
	test_limits();
	test_counting();
	test_merging();
	test_bytes();
	test_making();
	test_error();
	churn_arena_destroy(arena);
	return done();
}
