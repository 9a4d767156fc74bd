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
	const char *transform;		/* SQL that computes it, or NULL */
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
	const char *algorithm;		/* the one that will be used */
	ChurnColumnSettings *columns;
	size_t		ncolumns;
	uint64_t	split_seed;
	bool		has_key;
	bool		has_champion;
	int			threads;
	ChurnValue *as_of;			/* goes into the model as it is, or NULL */
	ChurnSetting *params;		/* end with a NULL name */
	ChurnSetting *options;
} ChurnSettings;

/* Reads CONFIG; anything wrong with it is a FAILURE. */
extern void churn_settings_read(ChurnSettings *settings, const uint8_t *json,
								size_t length);

/* The value in effect of a parameter or option that settings.c lists. */
extern double churn_setting_param(const ChurnSettings *settings,
								  const char *name);
extern double churn_setting_option(const ChurnSettings *settings,
								   const char *name);

/* A setting's value in effect as text, in a static buffer, and as JSON. */
extern const char *churn_setting_text(const ChurnSetting *setting);
extern ChurnValue *churn_setting_value(const ChurnSetting *setting,
									   ChurnArena *arena, ChurnError *error);

#endif							/* CHURN_SETTINGS_H */
