/*
 * settings.h
 *		What the extension asks for: columns, parameters and options.
 */
#ifndef CHURN_SETTINGS_H
#define CHURN_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "churn/document.h"

/* How a column's values are sent. */
typedef enum ChurnColumnKind
{
	CHURN_COLUMN_NUMBER,
	CHURN_COLUMN_BOOLEAN,
	CHURN_COLUMN_AGE,
	CHURN_COLUMN_TEXT
} ChurnColumnKind;

typedef struct ChurnColumnSettings
{
	const char *name;
	const char *type;			/* its SQL type, for the model */
	const char *transform;		/* SQL expression that computes it, or NULL */
	ChurnColumnKind kind;
} ChurnColumnSettings;

typedef enum ChurnSettingKind
{
	CHURN_SETTING_INTEGER,
	CHURN_SETTING_NUMBER,
	CHURN_SETTING_CHOICE		/* value is the position among choices */
} ChurnSettingKind;

/* A parameter or option: what is allowed, and its value in effect. */
typedef struct ChurnSetting
{
	const char *name;
	const char *alias;			/* another name it goes by, or NULL */
	ChurnSettingKind kind;
	bool		xgboost;		/* passed to XGBoost under its name */
	double		value;			/* the default until the user gives another */
	double		minimum;		/* smallest and largest allowed */
	double		maximum;
	const char *const *choices; /* ends with NULL */
} ChurnSetting;

typedef struct ChurnSettings
{
	ChurnArena *arena;			/* lives as long as the process */
	const char *algorithm;		/* as asked for: a learner, "auto", "blend" */
	ChurnColumnSettings *columns;
	size_t		ncolumns;
	uint64_t	split_seed;
	bool		has_key;
	bool		has_champion;
	const char *duplicate_keys; /* what they are: "error", "warning" or
								 * "notice" */
	int			threads;
	ChurnValue *as_of;			/* goes into the model as it is, or NULL */
	ChurnValue *rules;			/* given by the user, or NULL */
	ChurnValue *params;			/* as given, or NULL */
	ChurnSetting *options;		/* end with a NULL name */
} ChurnSettings;

/* What the option "threshold" says. */
typedef enum ChurnThreshold
{
	CHURN_THRESHOLD_F1,
	CHURN_THRESHOLD_COST,
	CHURN_THRESHOLD_CAPACITY
} ChurnThreshold;

/* Reads CONFIG; anything wrong with it is a FAILURE. */
extern void churn_settings_read(ChurnSettings *settings, const uint8_t *json,
								size_t length);

/*
 * The parameters of a learner: those in defaults, with the values that the
 * user gave.  given[i], unless NULL, is set where the user gave number i.
 */
extern ChurnSetting *churn_params_make(const ChurnSettings *settings,
									   const char *learner,
									   const ChurnSetting *defaults,
									   bool *given);

/* The setting of that name or alias in a list, or NULL. */
extern ChurnSetting *churn_setting_find(ChurnSetting *list, const char *name);

/* The value in effect of an option, by its name. */
extern double churn_option(const ChurnSettings *settings, const char *name);

/* Parameters of one learner at most. */
#define CHURN_MAX_PARAMS	32

/* A setting's value in effect as text, in a static buffer, and as JSON. */
extern const char *churn_setting_text(const ChurnSetting *setting);
extern ChurnValue *churn_setting_value(const ChurnSetting *setting,
									   ChurnArena *arena, ChurnError *error);

#endif							/* CHURN_SETTINGS_H */
