/*
 * settings.c
 *		What the extension asks for: columns, parameters and options.
 *
 * Parameters and options come from the user and are taken only if the tables
 * below list them; the rest of CONFIG comes from the extension, so that a
 * mistake there is a protocol violation.
 */
#include "settings.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "churn/model.h"
#include "churn/protocol.h"
#include "folds.h"
#include "learner.h"

static const char *const samplings[] = {
	"none", "class_weight", "oversample", "smote", NULL
};
static const char *const calibrations[] = {
	"none", "platt", "beta", "isotonic", "auto", NULL
};
static const char *const thresholds[] = {"f1", "cost", "capacity", NULL};

static ChurnSetting options[] = {
	{"seed", NULL, CHURN_SETTING_INTEGER, false, 42, 0, 2147483647, NULL},
	{"validation_fraction", NULL, CHURN_SETTING_NUMBER, false,
	0.2, 0.01, 0.5, NULL},
	{"test_fraction", NULL, CHURN_SETTING_NUMBER, false,
	CHURN_TEST_FRACTION, 0, 0.5, NULL},
	{"folds", NULL, CHURN_SETTING_INTEGER, false, 5, 0, CHURN_MAX_K, NULL},
	{"time_budget", NULL, CHURN_SETTING_NUMBER, false, 60, 1, 1e6, NULL},
	{"sampling", NULL, CHURN_SETTING_CHOICE, false, 0, 0, 3, samplings},
	{"calibration", NULL, CHURN_SETTING_CHOICE, false, 4, 0, 4, calibrations},
	{"threshold", NULL, CHURN_SETTING_CHOICE, false, 0, 0, 2, thresholds},
	{"cost_missed", NULL, CHURN_SETTING_NUMBER, false, 5, 0, 1e12, NULL},
	{"cost_offer", NULL, CHURN_SETTING_NUMBER, false, 1, 0, 1e12, NULL},
	{"capacity", NULL, CHURN_SETTING_INTEGER, false, 0, 0, 1e12, NULL},
	{.name = NULL}
};

ChurnSetting *
churn_setting_find(ChurnSetting *settings, const char *name)
{
	for (; settings->name != NULL; settings++)
	{
		if (strcmp(settings->name, name) == 0 ||
			(settings->alias != NULL && strcmp(settings->alias, name) == 0))
			return settings;
	}
	return NULL;
}

/* "Valid parameters are …", in a static buffer, for a hint. */
static const char *
list_settings(const ChurnSetting *settings, const char *what)
{
	static char list[1024];
	size_t		used;

	used = (size_t) snprintf(list, sizeof(list), "Valid %ss are", what);
	for (; settings->name != NULL; settings++)
	{
		used += (size_t) snprintf(list + used, sizeof(list) - used,
								  " \"%s\"%s", settings->name,
								  settings[1].name != NULL ? "," : ".");
		if (used >= sizeof(list))
			break;
	}
	return list;
}

/* "Valid values are …" for a setting, for a detail. */
static const char *
describe_values(const ChurnSetting *setting)
{
	if (setting->kind == CHURN_SETTING_CHOICE)
	{
		static char list[256];
		size_t		used = 0;
		int			i;

		for (i = 0; setting->choices[i] != NULL; i++)
			used += (size_t) snprintf(list + used, sizeof(list) - used,
									  "%s\"%s\"", i == 0 ? "" :
									  setting->choices[i + 1] == NULL ?
									  " and " : ", ", setting->choices[i]);
		return churn_format("Valid values are %s.", list);
	}
	return churn_format("Valid values are %s between %.10g and %.10g.",
						setting->kind == CHURN_SETTING_INTEGER ?
						"whole numbers" : "numbers",
						setting->minimum, setting->maximum);
}

/* Reads the value given for a setting; false when it is not allowed. */
static bool
read_setting(ChurnSetting *setting, const ChurnValue *value)
{
	double		number;
	int			i;

	if (setting->kind == CHURN_SETTING_CHOICE)
	{
		if (value->kind != CHURN_VALUE_STRING)
			return false;
		for (i = 0; setting->choices[i] != NULL; i++)
		{
			if (strcmp(setting->choices[i], value->u.string) == 0)
			{
				setting->value = i;
				return true;
			}
		}
		return false;
	}
	if (value->kind == CHURN_VALUE_INTEGER)
		number = (double) value->u.integer;
	else if (value->kind == CHURN_VALUE_NUMBER)
		number = value->u.number;
	else
		return false;
	if (!(number >= setting->minimum && number <= setting->maximum))
		return false;
	if (setting->kind == CHURN_SETTING_INTEGER && number != floor(number))
		return false;
	setting->value = number;
	return true;
}

/*
 * Takes the user's object of parameters or options, what says which, into the
 * table.
 */
static void
read_settings(ChurnSetting *table, const ChurnValue *given, const char *what,
			  ChurnArena *arena)
{
	bool		seen[CHURN_MAX_PARAMS] = {false};
	ChurnError	error;
	size_t		i;

	if (given == NULL || given->kind == CHURN_VALUE_NULL)
		return;
	if (given->kind != CHURN_VALUE_OBJECT)
		churn_failure(CHURN_SQLSTATE_INVALID_PARAMETER, NULL, NULL,
					  "%ss must be given as a JSON object", what);
	for (i = 0; i < given->length; i++)
	{
		const char *name = given->u.members[i].name;
		ChurnSetting *setting = churn_setting_find(table, name);
		char	   *text;
		size_t		length;

		if (setting == NULL)
			churn_failure(CHURN_SQLSTATE_INVALID_PARAMETER, NULL,
						  list_settings(table, what),
						  "unrecognized %s \"%s\"", what, name);
		if (seen[setting - table])
			churn_failure(CHURN_SQLSTATE_INVALID_PARAMETER,
						  setting->alias == NULL ? NULL :
						  churn_format("\"%s\" is another name of \"%s\".",
									   setting->alias, setting->name),
						  NULL, "%s \"%s\" is given more than once", what,
						  setting->name);
		seen[setting - table] = true;
		if (read_setting(setting, given->u.members[i].value))
			continue;
		if (!churn_json_write(given->u.members[i].value, arena, &text,
							  &length, &error))
			churn_failure_memory();
		churn_failure(CHURN_SQLSTATE_INVALID_PARAMETER,
					  describe_values(setting), list_settings(table, what),
					  "invalid value for %s \"%s\": %.100s", what, name, text);
	}
}

static void bad_config(const char *why) __attribute__((noreturn));

/* Ends on a CONFIG that the extension should not have sent. */
static void
bad_config(const char *why)
{
	churn_failure(CHURN_SQLSTATE_PROTOCOL, why,
				  "Check that \"churn.trainer\" names the program that was "
				  "installed with the extension.",
				  "churn-trainer and the extension do not understand "
				  "each other");
}

/* A whole number, given as a number or as text, which holds all 64 bits. */
static uint64_t
read_seed(const ChurnValue *value)
{
	char	   *end;
	uint64_t	seed;

	if (value != NULL && value->kind == CHURN_VALUE_INTEGER)
		return (uint64_t) value->u.integer;
	if (value == NULL || value->kind != CHURN_VALUE_STRING)
		bad_config("\"split_seed\" is missing.");
	errno = 0;
	seed = strtoull(value->u.string, &end, 10);
	if (errno != 0 || end == value->u.string || *end != '\0')
		bad_config("\"split_seed\" is no whole number.");
	return seed;
}

/* Reads the list of columns. */
static void
read_columns(ChurnSettings *settings, const ChurnValue *columns)
{
	static const char *const kinds[] = {"number", "boolean", "age", "text"};
	ChurnError	error;
	size_t		i;
	int			kind;

	if (columns == NULL || columns->kind != CHURN_VALUE_ARRAY)
		bad_config("\"columns\" is missing.");
	if (columns->length > CHURN_MAX_FEATURES)
		churn_failure(CHURN_SQLSTATE_LIMIT, NULL,
					  "Exclude columns that cannot tell about churn.",
					  "cannot train on %zu columns, more than %d",
					  columns->length, CHURN_MAX_FEATURES);
	settings->ncolumns = columns->length;
	settings->columns = churn_arena_array(settings->arena,
										  columns->length + 1,
										  sizeof(ChurnColumnSettings), &error);
	if (settings->columns == NULL)
		churn_failure_memory();
	for (i = 0; i < columns->length; i++)
	{
		const ChurnValue *given = columns->u.elements[i];
		const char *text = churn_value_text(given, "kind", "");

		settings->columns[i].name = churn_value_text(given, "name", NULL);
		settings->columns[i].type = churn_value_text(given, "type", "");
		settings->columns[i].transform = churn_value_text(given, "transform",
														  NULL);
		for (kind = 0; kind < 4 && strcmp(kinds[kind], text) != 0; kind++)
			;
		if (settings->columns[i].name == NULL || kind == 4)
			bad_config("A column has no name or no known kind.");
		settings->columns[i].kind = (ChurnColumnKind) kind;
	}
}

/* Takes the algorithm, or says which there are. */
static const char *
read_algorithm(const ChurnValue *config)
{
	const char *name = churn_value_text(config, "algorithm", "auto");
	char		list[256] = "";
	size_t		used = 0;
	int			i;

	if (strcmp(name, "auto") == 0 || strcmp(name, "blend") == 0 ||
		churn_learner_find(name) != NULL)
		return name;
	for (i = 0; churn_learners[i] != NULL; i++)
		used += (size_t) snprintf(list + used, sizeof(list) - used,
								  "\"%s\", ", churn_learners[i]->name);
	churn_failure(CHURN_SQLSTATE_INVALID_PARAMETER, NULL,
				  churn_format("Available algorithms are %s\"blend\", and "
							   "\"auto\", which chooses among them.", list),
				  "unrecognized algorithm \"%s\"", name);
}

/*
 * Checks the parameters.  Those of one learner are given as they are; where
 * several are tried, by the learner's name.
 */
static void
check_params(const ChurnSettings *settings)
{
	const ChurnLearner *learner = churn_learner_find(settings->algorithm);
	size_t		i;

	if (settings->params == NULL ||
		settings->params->kind == CHURN_VALUE_NULL)
		return;
	if (settings->params->kind != CHURN_VALUE_OBJECT)
		churn_failure(CHURN_SQLSTATE_INVALID_PARAMETER, NULL, NULL,
					  "parameters must be given as a JSON object");
	if (learner != NULL)
	{
		(void) churn_params_make(settings, learner->name, learner->params,
								 NULL);
		return;
	}
	for (i = 0; i < settings->params->length; i++)
	{
		const char *name = settings->params->u.members[i].name;

		learner = churn_learner_find(name);
		if (learner == NULL)
			churn_failure(CHURN_SQLSTATE_INVALID_PARAMETER,
						  "Where the algorithm is chosen, each learner's "
						  "parameters are given under its name.",
						  "For example: params => "
						  "'{\"xgboost\": {\"max_depth\": 3}}'.",
						  "unrecognized learner \"%s\" in the parameters",
						  name);
		(void) churn_params_make(settings, name, learner->params, NULL);
	}
}

/* Checks what the options mean together. */
static void
check_options(const ChurnSettings *settings)
{
	if (churn_option(settings, "validation_fraction") +
		churn_option(settings, "test_fraction") > 0.8)
		churn_failure(CHURN_SQLSTATE_INVALID_PARAMETER,
					  "The options \"validation_fraction\" and "
					  "\"test_fraction\" may add up to at most 0.8.", NULL,
					  "too few rows are left to train on");
	if (churn_option(settings, "folds") == 1)
		churn_failure(CHURN_SQLSTATE_INVALID_PARAMETER,
					  "With 0 folds, models are compared on the validation "
					  "part.", NULL,
					  "invalid value for option \"folds\": 1");
	if (churn_option(settings, "threshold") == CHURN_THRESHOLD_CAPACITY &&
		churn_option(settings, "capacity") < 1)
		churn_failure(CHURN_SQLSTATE_INVALID_PARAMETER, NULL,
					  "Say how many of the source's customers can be "
					  "contacted: options => '{\"threshold\": \"capacity\", "
					  "\"capacity\": 500}'.",
					  "threshold \"capacity\" needs the option "
					  "\"capacity\"");
}

/* A member that must be true or false; absent is false. */
static bool
read_flag(const ChurnValue *config, const char *name)
{
	const ChurnValue *value = churn_value_get(config, name);

	return value != NULL && value->kind == CHURN_VALUE_BOOLEAN &&
		value->u.boolean;
}

void
churn_settings_read(ChurnSettings *settings, const uint8_t *json,
					size_t length)
{
	ChurnError	error = {CHURN_OK, ""};
	ChurnValue *config;
	double		threads;

	memset(settings, 0, sizeof(*settings));
	settings->arena = churn_arena_create();
	if (settings->arena == NULL)
		churn_failure_memory();
	config = churn_json_read((const char *) json, length, settings->arena,
							 &error);
	if (config == NULL && error.code == CHURN_ERROR_MEMORY)
		churn_failure_memory();
	if (config == NULL)
		bad_config(error.message);
	if (churn_value_number(config, "protocol", 0) != CHURN_PROTOCOL_VERSION)
		bad_config("They are of different versions.");

	settings->algorithm = read_algorithm(config);
	read_columns(settings, churn_value_get(config, "columns"));
	settings->split_seed = read_seed(churn_value_get(config, "split_seed"));
	settings->has_key = read_flag(config, "has_key");
	settings->has_champion = read_flag(config, "has_champion");
	settings->duplicate_keys = churn_value_text(config, "duplicate_keys",
												"notice");
	threads = churn_value_number(config, "threads", 1);
	settings->threads = threads >= 1 && threads <= 1024 ? (int) threads : 1;
	settings->as_of = churn_value_get(config, "as_of");

	settings->rules = churn_value_get(config, "rules");
	settings->params = churn_value_get(config, "params");
	read_settings(options, churn_value_get(config, "options"), "option",
				  settings->arena);
	settings->options = options;
	check_options(settings);
	check_params(settings);
}

ChurnSetting *
churn_params_make(const ChurnSettings *settings, const char *learner,
				  const ChurnSetting *defaults, bool *given)
{
	const ChurnValue *values = settings->params;
	ChurnError	error;
	ChurnSetting *params;
	size_t		n = 0;
	size_t		i;

	while (defaults[n].name != NULL)
		n++;
	params = churn_arena_array(settings->arena, n + 1, sizeof(ChurnSetting),
							   &error);
	if (params == NULL)
		churn_failure_memory();
	memcpy(params, defaults, (n + 1) * sizeof(ChurnSetting));
	if (strcmp(settings->algorithm, learner) != 0)
		values = churn_value_get(values, learner);
	read_settings(params, values, "parameter", settings->arena);
	for (i = 0; given != NULL && i < n; i++)
		given[i] = churn_value_get(values, params[i].name) != NULL ||
			(params[i].alias != NULL &&
			 churn_value_get(values, params[i].alias) != NULL);
	return params;
}

double
churn_param(const ChurnSetting *params, const char *name)
{
	while (params->name != NULL && strcmp(params->name, name) != 0)
		params++;
	if (params->name == NULL)
		abort();				/* a mistake in this program */
	return params->value;
}

double
churn_option(const ChurnSettings *settings, const char *name)
{
	return churn_param(settings->options, name);
}

const char *
churn_setting_text(const ChurnSetting *setting)
{
	static char text[32];

	if (setting->kind == CHURN_SETTING_CHOICE)
		return setting->choices[(int) setting->value];
	snprintf(text, sizeof(text),
			 setting->kind == CHURN_SETTING_INTEGER ? "%.0f" : "%.9g",
			 setting->value);
	return text;
}

ChurnValue *
churn_setting_value(const ChurnSetting *setting, ChurnArena *arena,
					ChurnError *error)
{
	if (setting->kind == CHURN_SETTING_CHOICE)
		return churn_value_string(arena, churn_setting_text(setting), error);
	if (setting->kind == CHURN_SETTING_INTEGER)
		return churn_value_integer(arena, (int64_t) setting->value, error);
	return churn_value_double(arena, setting->value, error);
}
