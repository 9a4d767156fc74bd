/*
 * test_xgboost.c
 *		Model files of XGBoost: what is read, what is refused, and damage.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "churn/forest.h"
#include "churn/xgboost.h"
#include "unit.h"

static ChurnArena *arena;
static ChurnError error;

/*
 * A dart of two trees as XGBoost 1.7.4 writes it: the first with two deleted
 * nodes, the second with a split by category and one by number.
 */
static const char small_model[] =
"{\"learner\":{\"attributes\":{\"best_iteration\":\"0\","
"\"note\":\"x\"},\"feature_names\":[\"a\",\"plan\"],"
"\"feature_types\":[\"float\",\"c\"],"
"\"gradient_booster\":{\"gbtree\":{\"model\":{\"gbtree_model_param\":{\"num_parallel_tree\":\"1\","
"\"num_trees\":\"2\",\"size_leaf_vector\":\"0\"},\"tree_info\":[0,0],"
"\"trees\":[{\"base_weights\":[0E0,0E0,0E0,0E0,0E0],"
"\"categories\":[],\"categories_nodes\":[],"
"\"categories_segments\":[],\"categories_sizes\":[],"
"\"default_left\":[1,0,0,1,1],\"id\":0,\"left_children\":[1,-1,-1,-1,"
"-1],\"loss_changes\":[0E0,0E0,0E0,0E0,0E0],\"parents\":[2147483647,"
"0,0,1,1],\"right_children\":[2,-1,-1,-1,-1],"
"\"split_conditions\":[4.2044523E-1,-4.8501298E-1,7.692307E-1,0E0,"
"0E0],\"split_indices\":[0,0,0,2147483647,2147483647],"
"\"split_type\":[0,0,0,0,0],\"sum_hessian\":[6.3E1,4.6E1,1.7E1,0E0,"
"0E0],\"tree_param\":{\"num_deleted\":\"2\",\"num_feature\":\"2\","
"\"num_nodes\":\"5\",\"size_leaf_vector\":\"0\"}},"
"{\"base_weights\":[0E0,0E0,0E0,0E0,0E0],\"categories\":[0,13,39],"
"\"categories_nodes\":[0],\"categories_segments\":[0],"
"\"categories_sizes\":[3],\"default_left\":[0,0,1,0,0],\"id\":1,"
"\"left_children\":[1,-1,3,-1,-1],\"loss_changes\":[0E0,0E0,0E0,0E0,"
"0E0],\"parents\":[2147483647,0,0,2,2],\"right_children\":[2,-1,4,-1,"
"-1],\"split_conditions\":[0E0,-1.2455513E-1,-1E-1,1.4373641E0,"
"1E-45],\"split_indices\":[1,0,0,0,0],\"split_type\":[1,0,0,0,0],"
"\"sum_hessian\":[6.3E1,4E1,2.3E1,2E1,3E0],"
"\"tree_param\":{\"num_deleted\":\"0\",\"num_feature\":\"2\","
"\"num_nodes\":\"5\",\"size_leaf_vector\":\"0\"}}]},"
"\"name\":\"gbtree\"},\"name\":\"dart\",\"weight_drop\":[6.666667E-1,"
"1.2345679E0]},\"learner_model_param\":{\"base_score\":\"3E-1\","
"\"boost_from_average\":\"0\",\"num_class\":\"0\","
"\"num_feature\":\"2\",\"num_target\":\"1\"},"
"\"objective\":{\"name\":\"binary:logistic\","
"\"reg_loss_param\":{\"scale_pos_weight\":\"1\"}}},\"version\":[1,7,"
"4]}";

/* Rows and the margins that XGBoost 1.7.4 predicts for them. */
static const float rows[][2] = {
	{0, 3}, {1, 13}, {NAN, 0}, {0.5f, 39}, {-1, 1000}, {2, NAN}, {-0.2f, 13},
	{NAN, 1}
};
static const float margins[] = {
	-1.32441163f, -0.334477365f, 0.603883624f, -0.334477365f,
	-1.32441163f, -0.334477365f, 0.603883624f, -1.32441163f
};

/* What the attribute "churn" says of it in most tests. */
static const char description[] =
"{\"format\":1,\"features\":[{\"name\":\"usage\",\"kind\":\"number\","
"\"type\":\"text\",\"text_number\":true},{\"name\":\"plan\",\"kind\":"
"\"category\",\"type\":\"text\",\"categories\":[\"basic\",\"gr\303\266\303\237er\","
"\"\"]}],\"threshold\":0.31,\"calibration\":{\"method\":\"none\"},"
"\"as_of\":{\"column\":\"period\"}}";

/*
 * Returns text with the first occurrence of from replaced.  The test ends if
 * there is none, since it would then test nothing.
 */
static char *
replaced(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	char	   *result = churn_arena_alloc(arena, strlen(text) + strlen(to) + 1,
										   NULL);

	if (at == NULL || result == NULL)
	{
		printf("Bail out! no %s in the model\n", from);
		exit(1);
	}
	memcpy(result, text, (size_t) (at - text));
	strcpy(result + (at - text), to);
	strcat(result, at + strlen(from));
	return result;
}

static ChurnArtifact *
artifact_of(const char *text)
{
	memset(&error, 0, sizeof(error));
	return churn_artifact_read((const uint8_t *) text, strlen(text), arena,
							   &error);
}

/*
 * Makes the model of a JSON text, described by an attribute unless that is
 * NULL.
 */
static ChurnModel *
model_of(const char *text, const char *attribute)
{
	ChurnArtifact *artifact = artifact_of(text);

	if (artifact == NULL ||
		(attribute != NULL &&
		 !churn_artifact_set_attribute(artifact, "churn", attribute, arena,
									   &error)))
		return NULL;
	return churn_artifact_model(artifact, arena, &error);
}

/* The one forest of a model. */
static const ChurnForest *
forest_of(const ChurnModel *model)
{
	return model->components[0].forest;
}

static bool
has_margins(const ChurnModel *model)
{
	if (model == NULL)
		return false;
	for (size_t i = 0; i < sizeof(margins) / sizeof(margins[0]); i++)
		if (churn_forest_margin(forest_of(model), rows[i]) != margins[i])
			return false;
	return true;
}

static void
test_model(void)
{
	ChurnModel *model = model_of(small_model, description);
	ChurnArtifact *artifact = artifact_of(small_model);

	if (!ok(model != NULL, "the model is made"))
	{
		printf("# %s\n", error.message);
		return;
	}
	ok(has_margins(model), "margins are those of XGBoost");
	ok(forest_of(model)->ntrees == 2 && forest_of(model)->nnodes == 8 &&
	   forest_of(model)->dart &&
	   forest_of(model)->trees[1].weight == 1.2345679f,
	   "deleted nodes are left out, weights are read");
	ok(model->nfeatures == 2 &&
	   strcmp(model->features[0].name, "usage") == 0 &&
	   model->features[0].kind == CHURN_FEATURE_NUMBER &&
	   model->features[0].flags == CHURN_FEATURE_TEXT_NUMBER &&
	   strcmp(model->features[1].type, "text") == 0 &&
	   model->features[1].ncategories == 3 &&
	   churn_dictionary_find(model->features[1].dictionary,
							 "gr\303\266\303\237er", 8) == 1,
	   "features are those of the attribute");
	ok(model->threshold == 0.31 && model->as_of == CHURN_AS_OF_COLUMN &&
	   strcmp(model->as_of_column, "period") == 0,
	   "threshold and date are those of the attribute");
	ok(artifact->version[0] == 1 && artifact->version[1] == 7 &&
	   artifact->version[2] == 4 &&
	   artifact->format == CHURN_ARTIFACT_JSON, "version and format are known");
	ok(strcmp(churn_artifact_attribute(artifact, "note"), "x") == 0 &&
	   churn_artifact_attribute(artifact, "churn") == NULL,
	   "attributes are found");
}

/*
 * Variants of the file that must make the same model.
 */
static void
test_variants(void)
{
	ChurnModel *model;
	const char *text;

	text = replaced(small_model, "\"base_score\":\"3E-1\"",
					"\"base_score\":\"[3E-1]\"");
	ok(has_margins(model_of(text, description)), "base score in brackets");
	text = replaced(small_model, "\"gradient_booster\":{\"gbtree\":{\"model\"",
					"\"gradient_booster\":{\"model\"");
	text = replaced(text, "\"name\":\"gbtree\"},\"name\":\"dart\"",
					"\"name\":\"gbtree\"");
	ok(has_margins(model_of(text, description)), "dart as 3.1 writes it");
	text = replaced(small_model, "\"id\":0", "\"id\":2");
	text = replaced(text, "\"id\":1", "\"id\":0");
	text = replaced(text, "\"id\":2", "\"id\":1");
	text = replaced(text, "[6.666667E-1,1.2345679E0]",
					"[1.2345679E0,6.666667E-1]");
	model = model_of(text, description);
	ok(model != NULL && forest_of(model)->trees[0].weight == 1.2345679f &&
	   (forest_of(model)->nodes[0].flags & CHURN_NODE_CATEGORICAL) != 0,
	   "trees come in order of their ids");
	text = replaced(small_model, "[1,0,0,1,1]", "[true,false,false,true,true]");
	ok(has_margins(model_of(text, description)), "directions as booleans");
	text = replaced(small_model, "\"split_conditions\":[0E0,",
					"\"split_conditions\":[NaN,");
	ok(has_margins(model_of(text, description)),
	   "no threshold at a split by category");
	text = replaced(small_model, "binary:logistic", "binary:logitraw");
	model = model_of(text, description);
	ok(model != NULL && forest_of(model)->base_margin == 0.3f,
	   "base score of logitraw is a margin");
	text = replaced(small_model, "[6.666667E-1,1.2345679E0]", "[1E0,1.0]");
	model = model_of(text, description);
	ok(model != NULL && !forest_of(model)->dart, "weights of one are none");
	model = model_of(small_model,
					 replaced(replaced(description, "\"category\"",
									   "\"number\""), ",\"as_of\"",
							  ",\"unknown\""));
	ok(has_margins(model) && model->features[1].kind == CHURN_FEATURE_NUMBER &&
	   model->as_of == CHURN_AS_OF_STATEMENT,
	   "a number can be split by category");
}

/*
 * Features that the booster itself describes.
 */
static void
test_booster_features(void)
{
	const char *cats = "\"gbtree_model_param\"";
	const char *text;
	ChurnModel *model;

	text = replaced(small_model, cats,
					"\"cats\":{\"enc\":[{\"offsets\":[],\"values\":[]},"
					"{\"offsets\":[0,2,2,5],\"values\":[97,98,99,100,101]}],"
					"\"feature_segments\":[0,0,3],\"sorted_idx\":[0,1,2]},"
					"\"gbtree_model_param\"");
	model = model_of(text, NULL);
	ok(has_margins(model) && model->features[1].ncategories == 3 &&
	   strcmp(model->features[1].categories[0], "ab") == 0 &&
	   strcmp(model->features[1].categories[1], "") == 0 &&
	   strcmp(model->features[1].categories[2], "cde") == 0 &&
	   strcmp(model->features[0].name, "a") == 0 && model->threshold == 0.5,
	   "categories of 3.1 are read");
	ok(model_of(replaced(text, "100,101", "-61,-87"), NULL) == NULL &&
	   error.code == CHURN_ERROR_UNSUPPORTED &&
	   strstr(error.message, "\"plan\" are not ASCII") != NULL,
	   "categories that are not ASCII are refused");
	ok(model_of(replaced(text, "[0,2,2,5]", "[0,2,1,5]"), NULL) == NULL &&
	   model_of(replaced(text, "[0,2,2,5]", "[0,2,2,6]"), NULL) == NULL &&
	   model_of(replaced(text, "[0,2,2,5]", "[-1,2,2,5]"), NULL) == NULL &&
	   model_of(replaced(text, "[0,2,2,5]", "[0,2,2,5e0]"), NULL) == NULL &&
	   error.code == CHURN_ERROR_CORRUPT, "damaged offsets are refused");
	text = replaced(text, "{\"offsets\":[0,2,2,5],", "{\"type\":15,");
	model = model_of(text, NULL);
	ok(model != NULL && model->features[1].ncategories == 5 &&
	   strcmp(model->features[1].categories[4], "101") == 0,
	   "categories that are integers are read");
	text = replaced(small_model, "[\"a\",\"plan\"]", "[]");
	text = replaced(text, "[\"float\",\"c\"]", "[\"i\",\"int\"]");
	model = model_of(text, NULL);
	ok(has_margins(model) && strcmp(model->features[1].name, "f1") == 0 &&
	   model->features[0].kind == CHURN_FEATURE_BOOLEAN &&
	   model->features[1].kind == CHURN_FEATURE_NUMBER,
	   "features without names are numbered");
}

/* A change of the file, and how it is refused. */
typedef struct Refusal
{
	const char *from;
	const char *to;
	ChurnErrorCode code;
	const char *message;
} Refusal;

static const Refusal refusals[] = {
	{"\"name\":\"dart\"", "\"name\":\"gblinear\"", CHURN_ERROR_UNSUPPORTED,
	"booster of the model is \"gblinear\""},
	{"binary:logistic", "reg:squarederror", CHURN_ERROR_UNSUPPORTED,
	"objective of the model is \"reg:squarederror\""},
	{"\"num_class\":\"0\"", "\"num_class\":\"3\"", CHURN_ERROR_UNSUPPORTED,
	"model has 3 classes"},
	{"\"num_target\":\"1\"", "\"num_target\":\"2\"", CHURN_ERROR_UNSUPPORTED,
	"model has 2 targets"},
	{"\"3E-1\"", "\"[3E-1,4E-1]\"", CHURN_ERROR_UNSUPPORTED,
	"model has 2 base scores"},
	{"\"num_nodes\":\"5\",\"size_leaf_vector\":\"0\"",
		"\"num_nodes\":\"5\",\"size_leaf_vector\":\"2\"", CHURN_ERROR_UNSUPPORTED,
	"leaves of tree 0 are vectors of 2 values"},
	{"\"tree_info\":[0,0]", "\"tree_info\":[0,1]", CHURN_ERROR_UNSUPPORTED,
	"tree 1 belongs to an output"},
	{"[1,7,4]", "[1,5,2]", CHURN_ERROR_UNSUPPORTED, "1.5.2, older than 1.6"},
	{"[1,7,4]", "[4,0,0]", CHURN_ERROR_UNSUPPORTED, "4.0.0, newer than"},
	{"[1,7,4]", "[1,7]", CHURN_ERROR_CORRUPT, "it has no version"},
	{"\"learner\"", "\"Model\"", CHURN_ERROR_CORRUPT, "no gradient booster"},
	{"\"3E-1\"", "\"0E0\"", CHURN_ERROR_CORRUPT, "not between 0 and 1"},
	{"\"3E-1\"", "\"NaN\"", CHURN_ERROR_CORRUPT, "not between 0 and 1"},
	{"\"3E-1\"", "\"half\"", CHURN_ERROR_CORRUPT, "base score \"half\""},
	{"\"num_feature\":\"2\",\"num_target\"",
		"\"num_feature\":\"1601\",\"num_target\"", CHURN_ERROR_LIMIT,
	"1601 features, more than 1600"},
	{"\"num_feature\":\"2\",\"num_target\"",
		"\"num_feature\":\"two\",\"num_target\"", CHURN_ERROR_CORRUPT,
	"parameter \"num_feature\" is no integer"},
	{"\"num_feature\":\"2\",\"num_target\"",
		"\"num_feature\":\"1\",\"num_target\"", CHURN_ERROR_CORRUPT,
	"tree 1 splits on a feature that is not there"},
	{"\"num_trees\":\"2\"", "\"num_trees\":\"3\"", CHURN_ERROR_CORRUPT,
	"number of trees it declares"},
	{"\"tree_info\":[0,0]", "\"tree_info\":[0]", CHURN_ERROR_CORRUPT,
	"number of trees it declares"},
	{"\"id\":1", "\"id\":0", CHURN_ERROR_CORRUPT,
	"trees are not numbered from 0 to 1"},
	{"\"id\":1", "\"id\":2", CHURN_ERROR_CORRUPT,
	"trees are not numbered from 0 to 1"},
	{"[1,-1,-1,-1,-1]", "[1,-1,-1,-1]", CHURN_ERROR_CORRUPT,
	"array \"right_children\" of tree 0 has 5 elements, not 4"},
	{"[1,-1,-1,-1,-1]", "[0,-1,-1,-1,-1]", CHURN_ERROR_CORRUPT,
	"tree 0 is no tree"},
	{"[1,-1,-1,-1,-1]", "[2,-1,-1,-1,-1]", CHURN_ERROR_CORRUPT,
	"tree 0 is no tree"},
	{"[1,-1,-1,-1,-1]", "[5,-1,-1,-1,-1]", CHURN_ERROR_CORRUPT,
	"tree 0 is no tree"},
	{"[1,-1,-1,-1,-1]", "[-2,-1,-1,-1,-1]", CHURN_ERROR_CORRUPT,
	"tree 0 is no tree"},
	{"[1,-1,-1,-1,-1]", "[1,0.5,-1,-1,-1]", CHURN_ERROR_CORRUPT,
	"element 1 of \"left_children\" has a wrong type"},
	{"[1,-1,-1,-1,-1]", "[1,2147483648,-1,-1,-1]", CHURN_ERROR_CORRUPT,
	"element 1 of \"left_children\" has a wrong type"},
	{"[1,-1,-1,-1,-1]", "{}", CHURN_ERROR_CORRUPT,
	"\"left_children\" is no array"},
	{"\"left_children\"", "\"left\"", CHURN_ERROR_CORRUPT,
	"tree 0 has no array \"left_children\""},
	{"4.2044523E-1", "NaN", CHURN_ERROR_CORRUPT, "no threshold"},
	{"7.692307E-1", "Infinity", CHURN_ERROR_CORRUPT, "no finite value"},
	{"\"categories_sizes\":[3]", "\"categories_sizes\":[4]",
	CHURN_ERROR_CORRUPT, "tree 1 has a split without categories"},
	{"\"categories_sizes\":[3]", "\"categories_sizes\":[9223372036854775807]",
	CHURN_ERROR_CORRUPT, "tree 1 has a split without categories"},
	{"\"categories_segments\":[0],", "\"categories_segments\":[-1],",
	CHURN_ERROR_CORRUPT, "tree 1 has a split without categories"},
	{"\"categories_nodes\":[0]", "\"categories_nodes\":[1]",
	CHURN_ERROR_CORRUPT, "tree 1 has a split without categories"},
	{"[0,13,39]", "[0,-13,39]", CHURN_ERROR_CORRUPT, "a category below zero"},
	{"[0,13,39]", "[0,13,65536]", CHURN_ERROR_LIMIT, "category 65536, beyond"},
	{"[6.666667E-1,", "[", CHURN_ERROR_CORRUPT, "2 trees have 1 weights"},
	{"[6.666667E-1,1.2345679E0]", "[]", CHURN_ERROR_CORRUPT,
	"dart has no weights"},
	{"6.666667E-1", "NaN", CHURN_ERROR_CORRUPT, "tree 0 has no finite weight"},
};

static void
refuses(const char *text, const char *attribute, ChurnErrorCode code,
		const char *message, const char *name)
{
	if (!ok(model_of(text, attribute) == NULL && error.code == code &&
			strstr(error.message, message) != NULL, "%.60s: %s", name, message))
		printf("# %s\n", error.message);
}

static void
test_refusals(void)
{
	static const Refusal described[] = {
		{"\"format\":1", "\"format\":2", CHURN_ERROR_UNSUPPORTED,
		"an unknown format"},
		{"\"none\"", "\"magic\"", CHURN_ERROR_UNSUPPORTED,
		"unknown method \"magic\""},
		{"0.31", "1.31", CHURN_ERROR_CORRUPT, "threshold outside 0 to 1"},
		{"0.31", "NaN", CHURN_ERROR_CORRUPT, "threshold outside 0 to 1"},
		{"\"column\"", "\"c\"", CHURN_ERROR_CORRUPT, "as_of without a column"},
		{"\"features\"", "\"f\"", CHURN_ERROR_CORRUPT, "no list of features"},
		{"[{\"name\"", "[{},{\"name\"", CHURN_ERROR_CORRUPT,
		"has 3 features, the model 2"},
		{"\"usage\"", "\"plan\"", CHURN_ERROR_CORRUPT,
		"two features are named \"plan\""},
		{"\"usage\"", "\"\"", CHURN_ERROR_CORRUPT, "feature without a name"},
		{"\"number\"", "\"numbers\"", CHURN_ERROR_CORRUPT,
		"\"usage\" is of unknown kind \"numbers\""},
		{"\"categories\"", "\"c\"", CHURN_ERROR_CORRUPT,
		"\"plan\" has no list of categories"},
		{"\"\"]", "1]", CHURN_ERROR_CORRUPT, "a category that is no text"},
		{"\"\"]", "\"basic\"]", CHURN_ERROR_INVALID, "occurs twice"},
		{"{\"format\"", "\"format\"", CHURN_ERROR_CORRUPT, "invalid JSON"},
	};

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		refuses(replaced(small_model, refusals[i].from, refusals[i].to),
				description, refusals[i].code, refusals[i].message,
				refusals[i].to);
	for (size_t i = 0; i < sizeof(described) / sizeof(described[0]); i++)
		refuses(small_model,
				replaced(description, described[i].from, described[i].to),
				described[i].code, described[i].message, described[i].to);
	refuses(small_model, NULL, CHURN_ERROR_UNSUPPORTED,
			"categories of feature \"plan\"", "no description");
	refuses("binf", NULL, CHURN_ERROR_UNSUPPORTED, "old binary format", "binf");
	refuses("", NULL, CHURN_ERROR_CORRUPT, "neither JSON nor UBJSON", "empty");
	refuses("{}", NULL, CHURN_ERROR_CORRUPT, "no gradient booster", "{}");
	refuses("[1]", NULL, CHURN_ERROR_CORRUPT, "neither JSON nor UBJSON", "[1]");
}

/*
 * Files of either format become the other and make the same model; damaged
 * ones do no harm.  Each piece has a block of memory of its own, so that
 * sanitizers see any step beyond.
 */
static void
test_written(ChurnArtifactFormat format)
{
	const char *name = format == CHURN_ARTIFACT_JSON ? "JSON" : "UBJSON";
	ChurnArtifact *artifact = artifact_of(small_model);
	uint8_t    *bytes = NULL;
	uint8_t    *copy;
	size_t		length = 0;
	size_t		survived = 0;

	churn_artifact_set_attribute(artifact, "churn", description, arena, &error);
	ok(churn_artifact_write(artifact, format, arena, &bytes, &length, &error) &&
	   (artifact = churn_artifact_read(bytes, length, arena, &error)) != NULL &&
	   artifact->format == format &&
	   has_margins(churn_artifact_model(artifact, arena, &error)) &&
	   strcmp(churn_artifact_attribute(artifact, "churn"), description) == 0,
	   "the model survives as %s", name);
	copy = malloc(length);
	for (size_t n = 0; n < length; n++)
	{
		ChurnArena *own = churn_arena_create();
		uint8_t    *piece = malloc(n == 0 ? 1 : n);

		memcpy(piece, bytes, n);
		if (churn_artifact_read(piece, n, own, &error) != NULL)
			survived++;
		free(piece);
		churn_arena_destroy(own);
	}
	ok(survived == 0, "%s cut short anywhere is refused", name);
	survived = 0;
	for (size_t bit = 0; bit < length * 8; bit++)
	{
		ChurnArena *own = churn_arena_create();
		ChurnArtifact *damaged;
		ChurnModel *model = NULL;

		memcpy(copy, bytes, length);
		copy[bit / 8] ^= (uint8_t) (1 << bit % 8);
		damaged = churn_artifact_read(copy, length, own, &error);
		if (damaged != NULL)
			model = churn_artifact_model(damaged, own, &error);
		if (model != NULL)
		{
			survived++;
			for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
				if (model->nfeatures == 2 &&
					isnan(churn_forest_margin(forest_of(model), rows[i])))
					printf("# bit %zu makes a margin NaN\n", bit);
		}
		churn_arena_destroy(own);
	}
	free(copy);
	ok(true, "%s with flipped bits does no harm (%zu of %zu make models)", name,
	   survived, length * 8);
}

/* An arena that has so many bytes and no more. */
static void *
budget_alloc(void *context, size_t size)
{
	size_t	   *budget = context;

	if (size > *budget)
		return NULL;
	*budget -= size;
	return arena->alloc(arena->context, size);
}

/*
 * Whenever memory ends, an error tells so.
 */
static void
test_memory(void)
{
	bool		made = false;
	size_t		wrong = 0;

	for (size_t bytes = 0; bytes < 1000000 && !made; bytes += 160)
	{
		size_t		budget = bytes;
		ChurnArena	small = {.alloc = budget_alloc,.context = &budget};
		ChurnArtifact *artifact;
		uint8_t    *out;
		size_t		length;

		memset(&error, 0, sizeof(error));
		artifact = churn_artifact_read((const uint8_t *) small_model,
									   strlen(small_model), &small, &error);
		made = artifact != NULL &&
			churn_artifact_set_attribute(artifact, "churn", description,
										 &small, &error) &&
			churn_artifact_model(artifact, &small, &error) != NULL &&
			churn_artifact_write(artifact, CHURN_ARTIFACT_UBJSON, &small,
								 &out, &length, &error);
		if (!made && error.code != CHURN_ERROR_MEMORY)
			wrong++;
	}
	ok(made && wrong == 0, "out of memory is an error");
}

/*
 * A small file whose sets of categories would be large is refused before the
 * memory is taken.
 */
static void
test_blow_up(void)
{
	const size_t n = 32769 * 2 + 1;
	char	   *text = malloc(n * 60);
	char	   *p = text;
	uint8_t		sign;

	/* a comb of 32769 splits by one category each of 2048 words: 256 MiB */
	p += sprintf(p, "%.*s", (int) (strstr(small_model, "{\"base_weights\"") -
								   small_model), small_model);
	for (int array = 0; array < 10; array++)
	{
		static const char *const names[] = {
			"left_children", "right_children", "split_indices",
			"split_conditions", "sum_hessian", "default_left", "split_type",
			"categories_nodes", "categories_segments", "categories_sizes"
		};

		p += sprintf(p, "%s\"%s\":[", array == 0 ? "{\"id\":0," : ",",
					 names[array]);
		for (size_t i = 0; i < n; i++)
		{
			sign = i % 2 == 0 && i < n - 1;
			if (array < 2)
				p += sprintf(p, "%ld,", sign ? (long) i + 1 + array : -1L);
			else if (array == 6)
				p += sprintf(p, "%d,", sign);
			else if (array < 7)
				p += sprintf(p, "0,");
			else if (sign)
				p += sprintf(p, "%zu,", array == 7 ? i : array == 8 ? 0 : 1);
		}
		p[-1] = ']';
	}
	sprintf(p, ",\"categories\":[65535]}%s", strstr(small_model, "]},\"name\""));
	p = replaced(text, "\"tree_info\":[0,0]", "\"tree_info\":[0]");
	p = replaced(p, "\"num_trees\":\"2\"", "\"num_trees\":\"1\"");
	refuses(p, description, CHURN_ERROR_LIMIT, "sets of categories exceed",
			"many large sets");
	free(text);
}

int
main(void)
{
	arena = churn_arena_create();
	if (arena == NULL)
		return 1;
	test_model();
	test_variants();
	test_booster_features();
	test_refusals();
	test_written(CHURN_ARTIFACT_JSON);
	test_written(CHURN_ARTIFACT_UBJSON);
	test_memory();
	test_blow_up();
	churn_arena_destroy(arena);
	return done();
}
