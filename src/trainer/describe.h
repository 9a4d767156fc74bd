/*
 * describe.h
 *		Telling in JSON what a model is made of.
 *
 * A value that could not be made for lack of memory ends the process, so that
 * callers need no checks.
 */
#ifndef CHURN_DESCRIBE_H
#define CHURN_DESCRIBE_H

#include "churn/document.h"
#include "finish.h"

/* A JSON object being made, and what making it needs. */
typedef struct ChurnObject
{
	ChurnValue *value;
	ChurnArena *arena;
} ChurnObject;

extern ChurnObject churn_object_new(ChurnArena *arena);

/* Setting members; a number that is NaN becomes null. */
extern void churn_object_set_value(ChurnObject object, const char *name,
								   ChurnValue *value);
extern void churn_object_set_text(ChurnObject object, const char *name,
								  const char *text);
extern void churn_object_set_integer(ChurnObject object, const char *name,
									 uint64_t integer);
extern void churn_object_set_number(ChurnObject object, const char *name,
									double number);

/* Sets a member that is an empty array, and returns that. */
extern ChurnValue *churn_object_set_array(ChurnObject object,
										  const char *name);
extern void churn_array_append(ChurnValue *array, ChurnValue *value,
							   ChurnArena *arena);

/* Writes an object as terminated text and sets *length. */
extern char *churn_object_write(ChurnObject object, size_t *length);

/* A feature as an artifact has it, but for its baseline. */
extern ChurnObject churn_describe_feature(const ChurnTableColumn *column,
										  ChurnArena *arena);

/* The object "churn" of the artifact of a model; see churn/xgboost.h. */
extern ChurnValue *churn_describe_model(const ChurnSettings *settings,
										const ChurnTable *table,
										const ChurnFinished *finished);

#endif							/* CHURN_DESCRIBE_H */
