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

static const char *const grow_policies[] = {"depthwise", "lossguide", NULL};

/*
 * Defaults: depth 4 with sampled rows and columns was the best compromise on
 * the Telco and the MLC churn data, and early stopping picks the rounds.
 */
static ChurnSetting params[] = {
	{"rounds", NULL, CHURN_SETTING_INTEGER, false, 1000, 1, 10000, NULL},
	{"early_stopping_rounds", NULL, CHURN_SETTING_INTEGER, false,
	50, 0, 10000, NULL},
	{"learning_rate", "eta", CHURN_SETTING_NUMBER, true, 0.05, 1e-4, 1, NULL},
	{"max_depth", NULL, CHURN_SETTING_INTEGER, true, 4, 1, 16, NULL},
	{"min_child_weight", NULL, CHURN_SETTING_NUMBER, true, 5, 0, 1e9, NULL},
	{"subsample", NULL, CHURN_SETTING_NUMBER, false, 0.8, 0.01, 1, NULL},
	{"colsample_bytree", NULL, CHURN_SETTING_NUMBER, true, 0.8, 0.01, 1, NULL},
	{"colsample_bylevel", NULL, CHURN_SETTING_NUMBER, true, 1, 0.01, 1, NULL},
	{"reg_lambda", "lambda", CHURN_SETTING_NUMBER, true, 1, 0, 1e9, NULL},
	{"reg_alpha", "alpha", CHURN_SETTING_NUMBER, true, 0, 0, 1e9, NULL},
	{"gamma", NULL, CHURN_SETTING_NUMBER, true, 0, 0, 1e9, NULL},
	{"max_bin", NULL, CHURN_SETTING_INTEGER, true, 256, 2, 256, NULL},
	{"max_leaves", NULL, CHURN_SETTING_INTEGER, true, 0, 0, 65536, NULL},
	{"grow_policy", NULL, CHURN_SETTING_CHOICE, true, 0, 0, 1, grow_policies},
	{"scale_pos_weight", NULL, CHURN_SETTING_NUMBER, true, 1, 1e-6, 1e6, NULL},
	{"max_cat_to_onehot", NULL, CHURN_SETTING_INTEGER, true, 4, 1, 4096, NULL},
	{"max_delta_step", NULL, CHURN_SETTING_NUMBER, true, 0, 0, 1e9, NULL},
	{.name = NULL}
};

static ChurnSetting options[] = {
	{"seed", NULL, CHURN_SETTING_INTEGER, true, 42, 0, 2147483647, NULL},
	{"validation_fraction", NULL, CHURN_SETTING_NUMBER, false,
	0.2, 0.01, 0.5, NULL},
	{"test_fraction", NULL, CHURN_SETTING_NUMBER, false, 0.2, 0.01, 0.5, NULL},
	{.name = NULL}
};

/* The setting of that name or alias, or NULL. */
static ChurnSetting *
find_setting(ChurnSetting *settings, const char *name)
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
		return churn_format("Valid values are \"%s\" and \"%s\".",
							setting->choices[0], setting->choices[1]);
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
	bool		seen[64] = {false};
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
		ChurnSetting *setting = find_setting(table, name);
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

	if (strcmp(name, "auto") != 0 && strcmp(name, "xgboost") != 0)
		churn_failure(CHURN_SQLSTATE_INVALID_PARAMETER, NULL,
					  "Available algorithms are \"xgboost\" and \"auto\", "
					  "which chooses among them.",
					  "unrecognized algorithm \"%s\"", name);
	return "xgboost";
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
	threads = churn_value_number(config, "threads", 1);
	settings->threads = threads >= 1 && threads <= 1024 ? (int) threads : 1;
	settings->as_of = churn_value_get(config, "as_of");

	read_settings(params, churn_value_get(config, "params"), "parameter",
				  settings->arena);
	read_settings(options, churn_value_get(config, "options"), "option",
				  settings->arena);
	settings->params = params;
	settings->options = options;
	if (churn_setting_option(settings, "validation_fraction") +
		churn_setting_option(settings, "test_fraction") > 0.8)
		churn_failure(CHURN_SQLSTATE_INVALID_PARAMETER,
					  "The options \"validation_fraction\" and "
					  "\"test_fraction\" may add up to at most 0.8.", NULL,
					  "too few rows are left to train on");
}

double
churn_setting_param(const ChurnSettings *settings, const char *name)
{
	return find_setting(settings->params, name)->value;
}

double
churn_setting_option(const ChurnSettings *settings, const char *name)
{
	return find_setting(settings->options, name)->value;
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
