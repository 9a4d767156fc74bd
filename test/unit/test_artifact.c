/*
 * test_artifact.c
 *		Documents of our own: made, written and read in both formats, refused
 *		where they are wrong, and harmless where they are damaged.
 */
#include "churn/xgboost.h"
#include "random_components.h"
#include "unit.h"

/* A small booster, as a component and on its own. */
#define BOOSTER_OF(attributes) \
	"{\"version\":[1,7,4],\"learner\":{\"attributes\":{" attributes "}," \
	"\"gradient_booster\":{\"name\":\"gbtree\",\"model\":{" \
	"\"gbtree_model_param\":{\"num_trees\":\"1\"},\"tree_info\":[0]," \
	"\"trees\":[{\"id\":0,\"left_children\":[1,-1,-1]," \
	"\"right_children\":[2,-1,-1],\"split_indices\":[0,0,0]," \
	"\"split_conditions\":[1.5,-0.5,0.25],\"default_left\":[1,0,0]," \
	"\"sum_hessian\":[4,2,2]}]}}," \
	"\"learner_model_param\":{\"base_score\":\"5E-1\"," \
	"\"num_feature\":\"3\"}," \
	"\"objective\":{\"name\":\"binary:logistic\"}}}"
#define BOOSTER		BOOSTER_OF("")

#define DESCRIPTION \
	"{\"format\":1,\"threshold\":0.3,\"calibration\":{\"method\":" \
	"\"isotonic\",\"margins\":[-1,0.5],\"logits\":[-2,1.25]}," \
	"\"features\":[{\"name\":\"n\",\"kind\":\"number\"}," \
	"{\"name\":\"c\",\"kind\":\"category\",\"categories\":[\"a\",\"b\"]}," \
	"{\"name\":\"t\",\"kind\":\"number\",\"transform\":\"n / 2\"}]}"

#define ADDITIVE \
	"{\"algorithm\":\"logistic\",\"weight\":0.5,\"offset\":-0.25," \
	"\"kind\":\"additive\",\"intercept\":0.1,\"effects\":[" \
	"{\"kind\":\"linear\",\"slope\":0.7,\"low\":-1,\"high\":2.5," \
	"\"missing\":0.2,\"mean\":0.01},{\"kind\":\"categories\"," \
	"\"points\":[1,-0.3],\"missing\":0},{\"kind\":\"steps\"," \
	"\"cuts\":[0,1.1],\"points\":[0.1,0,0.3],\"missing\":-1}]}"

#define NETWORK \
	"{\"algorithm\":\"neural_network\",\"weight\":0.25,\"offset\":0," \
	"\"kind\":\"network\",\"inputs\":{\"low\":[0,0,0],\"high\":[1,0,2]," \
	"\"mean\":[0.5,0,0.1],\"scale\":[2,0,1]}," \
	"\"baseline\":[0,0.1,0.2,0.3,0.4,0.5,0.6]," \
	"\"layers\":[{\"weights\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14]," \
	"\"biases\":[0.1,-0.1]},{\"weights\":[0.3,-0.7],\"biases\":[0.2]}]}"

#define TREE \
	"{\"algorithm\":\"rules\",\"weight\":0.25,\"offset\":0," \
	"\"kind\":\"tree\",\"nodes\":[{\"left\":1,\"right\":2,\"feature\":0," \
	"\"value\":0.3,\"default_left\":true,\"cover\":9},{\"value\":0.5}," \
	"{\"left\":3,\"right\":4,\"feature\":1,\"categories\":[1]}," \
	"{\"value\":-0.5,\"cover\":3},{\"value\":0.7}]}"

#define FOREST \
	"{\"algorithm\":\"random_forest\",\"weight\":0.3,\"offset\":0.1," \
	"\"kind\":\"forest\",\"xgboost\":" BOOSTER "}"

static const char blend[] =
"{\"churn\":" DESCRIPTION ",\"components\":[" ADDITIVE "," NETWORK "," TREE
"," FOREST "]}";

/* Rows of the features n, c and t. */
static const float rows[][3] = {
	{0, 0, 0}, {1, 1, 1.1f}, {2, NAN, 3}, {NAN, 7, NAN}, {1.5f, 1, 0.5f},
};

#define NROWS	(sizeof(rows) / sizeof(rows[0]))

/* The text with the first occurrence of from replaced, in static memory. */
static const char *
replaced(const char *text, const char *from, const char *to)
{
	static char result[16384];
	const char *at = strstr(text, from);

	if (at == NULL || strlen(text) + strlen(to) >= sizeof(result))
		abort();
	snprintf(result, sizeof(result), "%.*s%s%s", (int) (at - text), text, to,
			 at + strlen(from));
	return result;
}

/* Reads an artifact from memory of just its size. */
static ChurnArtifact *
read_copy(const uint8_t *bytes, size_t length, ChurnArena *arena,
		  ChurnError *error)
{
	uint8_t    *copy = malloc(length > 0 ? length : 1);
	ChurnArtifact *artifact;

	memcpy(copy, bytes, length);
	artifact = churn_artifact_read(copy, length, arena, error);
	free(copy);
	return artifact;
}

/* The model of a text, NULL with *error set. */
static ChurnModel *
model_of(const char *text, ChurnArena *arena, ChurnError *error)
{
	ChurnArtifact *artifact = read_copy((const uint8_t *) text, strlen(text),
										arena, error);

	return artifact == NULL ? NULL :
		churn_artifact_model(artifact, arena, error);
}

/* The compiled form of the artifact's model, which tells whether two differ. */
static bool
compile(const ChurnArtifact *artifact, uint8_t **bytes, size_t *length,
		ChurnArena *arena, ChurnError *error)
{
	ChurnModel *model = churn_artifact_model(artifact, arena, error);

	return model != NULL &&
		churn_model_write(model, arena, bytes, length, error);
}

/*
 * Writes the artifact in a format and reads it again; the same model must come
 * of it, and the same bytes when it is written once more.
 */
static void
test_format(const ChurnArtifact *artifact, ChurnArtifactFormat format,
			const char *name, ChurnArena *arena)
{
	ChurnError	error = {CHURN_OK, ""};
	uint8_t    *compiled[2] = {NULL, NULL};
	uint8_t    *bytes[2];
	size_t		compiled_length[2];
	size_t		length[2];
	ChurnArtifact *again = NULL;

	if (churn_artifact_write(artifact, format, arena, &bytes[0], &length[0],
							 &error))
		again = read_copy(bytes[0], length[0], arena, &error);
	if (!ok(again != NULL && again->format == format &&
			again->kind == artifact->kind,
			"%s: written as %s and read", name,
			format == CHURN_ARTIFACT_JSON ? "JSON" : "UBJSON") ||
		!ok(compile(artifact, &compiled[0], &compiled_length[0], arena,
					&error) &&
			compile(again, &compiled[1], &compiled_length[1], arena, &error) &&
			compiled_length[0] == compiled_length[1] &&
			memcmp(compiled[0], compiled[1], compiled_length[0]) == 0,
			"%s: the model is the same", name) ||
		!ok(churn_artifact_write(again, format, arena, &bytes[1], &length[1],
								 &error) &&
			length[0] == length[1] &&
			memcmp(bytes[0], bytes[1], length[0]) == 0,
			"%s: so are the bytes", name))
		printf("# %s\n", error.message);
}

/* The features of a model as the description's list. */
static ChurnValue *
describe_features(const ChurnModel *model, ChurnArena *arena)
{
	static const char *const kinds[] = {"number", "boolean", "category", "age"};
	ChurnValue *list = churn_value_array(arena, NULL);
	uint32_t	i;
	uint32_t	k;

	for (i = 0; i < model->nfeatures; i++)
	{
		const ChurnFeature *feature = &model->features[i];
		ChurnValue *value = churn_value_object(arena, NULL);
		ChurnValue *texts = churn_value_array(arena, NULL);

		churn_value_set(value, "name",
						churn_value_string(arena, feature->name, NULL), arena,
						NULL);
		churn_value_set(value, "kind",
						churn_value_string(arena, kinds[feature->kind], NULL),
						arena, NULL);
		churn_value_set(value, "type",
						churn_value_string(arena, feature->type, NULL), arena,
						NULL);
		if (feature->flags & CHURN_FEATURE_TEXT_NUMBER)
			churn_value_set(value, "text_number",
							churn_value_boolean(arena, true, NULL), arena,
							NULL);
		if (feature->transform != NULL)
			churn_value_set(value, "transform",
							churn_value_string(arena, feature->transform,
											   NULL), arena, NULL);
		for (k = 0; k < feature->ncategories; k++)
			churn_value_append(texts,
							   churn_value_string(arena,
												  feature->categories[k],
												  NULL), arena, NULL);
		churn_value_set(value, "categories", texts, arena, NULL);
		churn_value_append(list, value, arena, NULL);
	}
	return list;
}

/* What a trainer does: pieces of a model become an artifact, and back. */
static void
test_make(const ModelShape *shape)
{
	Random		random = {43};
	ChurnArena *arena = churn_arena_create();
	ChurnModel *model = random_blend(&random, shape, arena);
	ChurnValue *description = churn_value_object(arena, NULL);
	ChurnError	error = {CHURN_OK, ""};
	uint8_t    *compiled[2] = {NULL, NULL};
	size_t		length[2];
	ChurnArtifact *artifact;

	churn_value_set(description, "features", describe_features(model, arena),
					arena, NULL);
	churn_value_set(description, "threshold",
					churn_value_double(arena, model->threshold, NULL), arena,
					NULL);
	churn_value_set(description, "calibration",
					churn_calibration_value(&model->calibration, arena, NULL),
					arena, NULL);
	artifact = churn_artifact_make(description, model->components, NULL,
								   model->ncomponents, arena, &error);
	if (!ok(artifact != NULL && artifact->kind == CHURN_ARTIFACT_COMPONENTS &&
			churn_model_write(model, arena, &compiled[0], &length[0],
							  &error) &&
			compile(artifact, &compiled[1], &length[1], arena, &error) &&
			length[0] == length[1] &&
			memcmp(compiled[0], compiled[1], length[0]) == 0,
			"%s: the artifact holds the model", shape->name))
		printf("# %s\n", error.message);
	if (artifact != NULL)
	{
		test_format(artifact, CHURN_ARTIFACT_JSON, shape->name, arena);
		test_format(artifact, CHURN_ARTIFACT_UBJSON, shape->name, arena);
	}
	churn_arena_destroy(arena);
}

/* Artifacts with boosters in them. */
static void
test_make_boosters(void)
{
	ChurnArena *arena = churn_arena_create();
	ChurnError	error = {CHURN_OK, ""};
	ChurnValue *description = churn_json_read(DESCRIPTION,
											  strlen(DESCRIPTION), arena,
											  &error);
	ChurnArtifact *booster = read_copy((const uint8_t *) BOOSTER,
									   strlen(BOOSTER), arena, &error);
	ChurnComponent components[2] = {
		{CHURN_COMPONENT_FOREST, "random_forest", 1, 0, NULL, NULL, NULL},
		{CHURN_COMPONENT_FOREST, "xgboost", 0.5, 0.25, NULL, NULL, NULL},
	};
	ChurnValue *documents[2] = {booster->document, booster->document};
	ChurnForest forest = {.nfeatures = 3,.ntrees = 2};
	ChurnArtifact *artifact;
	ChurnModel *model;

	artifact = churn_artifact_make(description, components, documents, 2,
								   arena, &error);
	ok(artifact != NULL && artifact->kind == CHURN_ARTIFACT_COMPONENTS &&
	   artifact->version[1] == 7, "two boosters are a document of our own");
	test_format(artifact, CHURN_ARTIFACT_JSON, "two boosters", arena);
	test_format(artifact, CHURN_ARTIFACT_UBJSON, "two boosters", arena);
	model = churn_artifact_model(artifact, arena, &error);
	ok(model != NULL && model->ncomponents == 2 &&
	   strcmp(model->components[0].algorithm, "random_forest") == 0 &&
	   model->components[1].weight == 0.5, "that names its learners");

	artifact = churn_artifact_make(description, components, documents, 1,
								   arena, &error);
	ok(artifact != NULL && artifact->kind == CHURN_ARTIFACT_BOOSTER &&
	   artifact->document == documents[0], "one booster is XGBoost's file");
	test_format(artifact, CHURN_ARTIFACT_JSON, "one booster", arena);
	test_format(artifact, CHURN_ARTIFACT_UBJSON, "one booster", arena);
	model = churn_artifact_model(artifact, arena, &error);
	ok(model != NULL && model->ncomponents == 1 &&
	   strcmp(model->components[0].algorithm, "random_forest") == 0 &&
	   model->components[0].weight == 1 && model->components[0].offset == 0 &&
	   model->calibration.nknots == 2 && model->threshold == 0.3,
	   "that names its learner and keeps its calibration");
	artifact = churn_artifact_make(description, components + 1, documents, 1,
								   arena, &error);
	ok(artifact != NULL && artifact->kind == CHURN_ARTIFACT_COMPONENTS,
	   "a weighted booster is not");

	components[0].forest = &forest;
	ok(churn_artifact_make(description, components, NULL, 1, arena,
						   &error) == NULL &&
	   error.code == CHURN_ERROR_INVALID, "trees without a booster: %s",
	   error.message);
	ok(churn_artifact_make(churn_value_array(arena, NULL), components,
						   documents, 1, arena, &error) == NULL &&
	   error.code == CHURN_ERROR_INVALID, "no description: %s", error.message);
	churn_arena_destroy(arena);
}

/* The numbers of a document are where they belong. */
static void
test_read(void)
{
	ChurnArena *arena = churn_arena_create();
	ChurnError	error = {CHURN_OK, ""};
	ChurnArtifact *artifact = read_copy((const uint8_t *) blend,
										strlen(blend), arena, &error);
	ChurnModel *model = artifact == NULL ? NULL :
	churn_artifact_model(artifact, arena, &error);
	ChurnPredictor *predictor;
	float		workspace[64];
	float		hidden[2];
	uint32_t	i;

	if (!ok(model != NULL, "the document is read %s", error.message))
		return;
	ok(artifact->kind == CHURN_ARTIFACT_COMPONENTS &&
	   artifact->version[0] == 1 && artifact->version[1] == 7 &&
	   churn_artifact_nfeatures(artifact) == 3 && model->ncomponents == 4 &&
	   strcmp(model->features[2].transform, "n / 2") == 0 &&
	   model->features[0].transform == NULL, "it is what it is");
	predictor = churn_predictor_make(model, arena, arena, &error);
	for (i = 0; i < NROWS; i++)
	{
		static const float trees[] = {0.5f, 0.7f, 0.7f, 0.5f, 0.7f};
		static const float boosters[] = {-0.5f, -0.5f, 0.25f, -0.5f, 0.25f};
		const double numbers[] = {0, 0.7, 0.7 * 2, 0.2, 0.7 * 1.5};
		const double codes[] = {1, -0.3, 0, 0, -0.3};
		const double steps[] = {0, 0.3, 0.3, -1, 0};
		float		additive = (float) (0.1 + numbers[i] + codes[i] + steps[i]);
		float		network = churn_network_margin(model->components[1].network,
												   model->features, rows[i],
												   workspace);
		double		expected = 0.5 * (double) additive - 0.25;

		expected += 0.25 * (double) network;
		expected += 0.25 * (double) trees[i];
		expected += 0.3 * (double) boosters[i] + 0.1;
		ok(churn_additive_margin(model->components[0].additive, NULL,
								 rows[i]) == additive &&
		   churn_predictor_margin(predictor, rows[i], workspace) ==
		   (float) expected, "row %u: margin %g", i, expected);
	}
	hidden[0] = ((0.1f + -1.0f * 1.0f) + 5.0f) + -0.1f * 11.0f;
	hidden[1] = ((-0.1f + -1.0f * 2.0f) + 6.0f) + -0.1f * 12.0f;
	ok(churn_network_margin(model->components[1].network, model->features,
							rows[0], workspace) ==
	   (0.2f + hidden[0] * 0.3f) + hidden[1] * -0.7f,
	   "the network by hand");
	churn_arena_destroy(arena);
}

typedef struct Refusal
{
	const char *from;
	const char *to;
	ChurnErrorCode code;
	const char *message;
} Refusal;

static const Refusal refusals[] = {
	{"{\"churn\":", "{\"chur\":", CHURN_ERROR_CORRUPT, "no list of features"},
	{"{\"churn\":", "{\"churn\":1,\"c\":", CHURN_ERROR_CORRUPT,
	"\"churn\" is no JSON object"},
	{"\"components\":[", "\"components\":{},\"c\":[", CHURN_ERROR_CORRUPT,
	"no list of any"},
	{"\"components\":[", "\"components\":[],\"c\":[", CHURN_ERROR_CORRUPT,
	"no list of any"},
	{"\"components\":[", "\"components\":[1,1,1,1,1,1,1,1,1,1,1,1,1,",
	CHURN_ERROR_LIMIT, "17 components, more than 16"},
	{"\"components\":[", "\"components\":[1,", CHURN_ERROR_CORRUPT,
	"\"weight\" of a component is no number"},
	{"\"format\":1", "\"format\":2", CHURN_ERROR_UNSUPPORTED, "unknown format"},
	{"\"isotonic\"", "\"spline\"", CHURN_ERROR_UNSUPPORTED,
	"unknown method \"spline\""},
	{"\"isotonic\"", "\"platt\"", CHURN_ERROR_CORRUPT, "no number \"a\""},
	{"\"isotonic\"", "\"platt\",\"a\":1", CHURN_ERROR_CORRUPT,
	"no number \"b\""},
	{"\"isotonic\"", "\"platt\",\"a\":-1,\"b\":1", CHURN_ERROR_CORRUPT,
	"does not rise"},
	{"\"isotonic\"", "\"beta\",\"a\":1,\"b\":1", CHURN_ERROR_CORRUPT,
	"no number \"c\""},
	{"[-1,0.5]", "[-1]", CHURN_ERROR_CORRUPT, "as many logits"},
	{"[-1,0.5]", "[-1,\"x\"]", CHURN_ERROR_CORRUPT, "a wrong type"},
	{"[-1,0.5]", "[-1,-1]", CHURN_ERROR_CORRUPT, "knot 1"},
	{"\"n / 2\"", "\"\"", CHURN_ERROR_CORRUPT, "no expression"},
	{"\"n / 2\"", "7", CHURN_ERROR_CORRUPT, "no expression"},
	{"\"name\":\"t\"", "\"name\":\"n\"", CHURN_ERROR_CORRUPT,
	"two features are named"},
	{"\"logistic\"", "1", CHURN_ERROR_CORRUPT, "name its algorithm"},
	{"\"weight\":0.5", "\"weight\":-0.5", CHURN_ERROR_CORRUPT,
	"invalid weight"},
	{"\"weight\":0.5", "\"w\":0.5", CHURN_ERROR_CORRUPT,
	"\"weight\" of a component is no number"},
	{"\"offset\":-0.25", "\"o\":1", CHURN_ERROR_CORRUPT, "\"offset\""},
	{"\"additive\"", "\"addition\"", CHURN_ERROR_UNSUPPORTED,
	"component 0 is of unknown kind \"addition\""},
	{"\"additive\"", "\"forest\"", CHURN_ERROR_UNSUPPORTED, "unknown kind"},
	{"\"intercept\":0.1", "\"intercept\":\"0\"", CHURN_ERROR_CORRUPT,
	"\"intercept\""},
	{"\"effects\":[", "\"effects\":1,\"e\":[", CHURN_ERROR_CORRUPT,
	"\"effects\""},
	{"\"effects\":[", "\"effects\":[{\"kind\":\"none\"},", CHURN_ERROR_CORRUPT,
	"component 0 is made for 4 features"},
	{"\"linear\"", "\"line\"", CHURN_ERROR_UNSUPPORTED,
	"effect is of unknown kind \"line\""},
	{"\"slope\"", "\"s\"", CHURN_ERROR_CORRUPT, "\"slope\""},
	{"\"low\":-1", "\"l\":-1", CHURN_ERROR_CORRUPT, "\"low\""},
	{"\"high\":2.5", "\"high\":null", CHURN_ERROR_CORRUPT, "\"high\""},
	{"\"missing\":0.2", "\"m\":0", CHURN_ERROR_CORRUPT, "\"missing\""},
	{"[1,-0.3]", "[1]", CHURN_ERROR_CORRUPT, "other categories"},
	{"[1,-0.3]", "1", CHURN_ERROR_CORRUPT, "\"points\" is no array"},
	{"\"points\":[1", "\"p\":[1", CHURN_ERROR_CORRUPT, "\"points\""},
	{"[0.1,0,0.3]", "[]", CHURN_ERROR_CORRUPT, "\"points\""},
	{"[0.1,0,0.3]", "[0]", CHURN_ERROR_CORRUPT, "\"cuts\" of a component has"},
	{"[0,1.1]", "[0,0]", CHURN_ERROR_CORRUPT, "cuts that do not rise"},
	{"\"cuts\":[0,1.1],", "", CHURN_ERROR_CORRUPT, "\"cuts\""},
	{"\"inputs\"", "\"i\"", CHURN_ERROR_CORRUPT, "\"low\""},
	{"\"high\":[1,0,2]", "\"high\":[1,2]", CHURN_ERROR_CORRUPT, "\"high\""},
	{"[0,0.1,0.2,", "[0,", CHURN_ERROR_CORRUPT, "\"baseline\""},
	{"\"layers\":[", "\"layers\":1,\"l\":[", CHURN_ERROR_CORRUPT,
	"\"layers\""},
	{"\"layers\":[", "\"layers\":[],\"l\":[", CHURN_ERROR_LIMIT, "0 layers"},
	{"\"layers\":[", "\"layers\":[1,1,1,", CHURN_ERROR_CORRUPT, "\"layers\""},
	{"\"biases\":[0.1,-0.1]", "\"b\":1", CHURN_ERROR_CORRUPT, "\"biases\""},
	{"[0.1,-0.1]", "[0.1]", CHURN_ERROR_CORRUPT, "\"weights\""},
	{"[0.3,-0.7]", "[0.3,1e39]", CHURN_ERROR_CORRUPT, "not finite"},
	{"\"nodes\"", "\"n\"", CHURN_ERROR_CORRUPT, "no list of nodes"},
	{"\"nodes\":[", "\"nodes\":[],\"n\":[", CHURN_ERROR_CORRUPT,
	"no list of nodes"},
	{"\"left\":1", "\"left\":5", CHURN_ERROR_CORRUPT, "no index below 5"},
	{"\"left\":1", "\"left\":0", CHURN_ERROR_CORRUPT, "no valid child"},
	{"\"left\":1", "\"left\":2", CHURN_ERROR_CORRUPT, "two parents"},
	{"\"right\":2", "\"right\":-1", CHURN_ERROR_CORRUPT, "\"right\""},
	{"\"feature\":0", "\"feature\":3", CHURN_ERROR_CORRUPT, "below 3"},
	{"\"value\":0.3,", "", CHURN_ERROR_CORRUPT, "no value"},
	{"{\"value\":0.5}", "{}", CHURN_ERROR_CORRUPT, "no value"},
	{"\"cover\":9", "\"cover\":1e39", CHURN_ERROR_CORRUPT, "cover"},
	{"\"categories\":[1]", "\"categories\":[65536]", CHURN_ERROR_CORRUPT,
	"no codes below 65536"},
	{"\"categories\":[1]", "\"categories\":[-1]", CHURN_ERROR_CORRUPT,
	"no codes below"},
	{"\"categories\":[1]", "\"categories\":1", CHURN_ERROR_CORRUPT,
	"\"categories\" is no array"},
	{"\"forest\"", "\"trees\"", CHURN_ERROR_UNSUPPORTED, "unknown kind"},
	{"\"version\":[1,7,4]", "\"version\":[0,9,0]", CHURN_ERROR_UNSUPPORTED,
	"older than 1.6"},
	{"\"num_feature\":\"3\"", "\"num_feature\":\"4\"", CHURN_ERROR_CORRUPT,
	"component 3 is made for 4 features, not 3"},
	{"binary:logistic", "rank:pairwise", CHURN_ERROR_UNSUPPORTED,
	"rank:pairwise"},
};

static void
test_refusals(void)
{
	size_t		i;

	for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
	{
		ChurnArena *arena = churn_arena_create();
		ChurnError	error = {CHURN_OK, ""};
		const char *text = replaced(blend, refusals[i].from, refusals[i].to);

		if (!ok(model_of(text, arena, &error) == NULL &&
				error.code == refusals[i].code &&
				strstr(error.message, refusals[i].message) != NULL,
				"%s: %s", refusals[i].to, refusals[i].message))
			printf("# %s\n", error.message);
		churn_arena_destroy(arena);
	}
}

/*
 * Damaged documents do no harm: what is still a model predicts finite margins,
 * and can be compiled.
 */
static void
test_damage(void)
{
	Random		random = {47};
	ChurnArena *arena = churn_arena_create();
	ChurnError	error;
	ChurnArtifact *artifact = read_copy((const uint8_t *) blend,
										strlen(blend), arena, &error);
	uint8_t    *forms[2];
	size_t		lengths[2];
	uint32_t	read = 0;
	uint32_t	strange = 0;
	uint32_t	i;

	if (artifact == NULL ||
		!churn_artifact_write(artifact, CHURN_ARTIFACT_JSON, arena, &forms[0],
							  &lengths[0], &error) ||
		!churn_artifact_write(artifact, CHURN_ARTIFACT_UBJSON, arena,
							  &forms[1], &lengths[1], &error))
		abort();
	for (i = 0; i < 20000; i++)
	{
		ChurnArena *own = churn_arena_create();
		size_t		length = lengths[i % 2];
		uint8_t    *copy = memcpy(test_alloc(own, length, 1), forms[i % 2],
								  length);
		uint32_t	times = 1 + random_below(&random, 3);
		uint8_t    *compiled;
		float		margin;

		while (times-- > 0)
		{
			uint32_t	at = random_below(&random, (uint32_t) length);

			copy[at] = random_below(&random, 2) ?
				copy[random_below(&random, (uint32_t) length)] :
				(uint8_t) (copy[at] ^ 1 << random_below(&random, 8));
		}
		artifact = read_copy(copy, length, own, &error);
		if (artifact != NULL && compile(artifact, &compiled, &length, own,
										&error))
		{
			ChurnModel *model = churn_model_read(compiled, length, own, own,
												 &error);
			ChurnPredictor *predictor = model == NULL ? NULL :
			churn_predictor_make(model, own, own, &error);
			float		row[CHURN_MAX_FEATURES] = {1, NAN, 7};
			float		workspace[4096];

			read++;
			if (predictor == NULL ||
				churn_predictor_workspace(predictor) > sizeof(workspace))
				strange++;
			else
			{
				margin = churn_predictor_margin(predictor, row, workspace);
				strange += !isfinite(margin) ||
					!isfinite(churn_calibrate(&model->calibration, margin));
			}
		}
		churn_arena_destroy(own);
	}
	ok(read > 1000 && read < 19000 && strange == 0,
	   "of 20000 damaged documents %u are read, %u are strange", read,
	   strange);
	churn_arena_destroy(arena);
}

int
main(void)
{
	uint32_t	i;

	test_read();
	for (i = 0; i < NMODEL_SHAPES; i++)
		test_make(&model_shapes[i]);
	test_make_boosters();
	test_refusals();
	test_damage();
	return done();
}
