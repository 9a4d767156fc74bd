/*
 * train.h
 *		One call of churn_train().
 */
#ifndef CHURN_TRAIN_H
#define CHURN_TRAIN_H

#include "fmgr.h"

#include "churn/document.h"

#include "columns.h"
#include "label.h"
#include "progress.h"
#include "register.h"
#include "source.h"

/* One call of churn_train(), and all that it knows by and by. */
typedef struct ChurnTraining
{
	MemoryContext context;
	ChurnArena	arena;			/* over context */
	char	   *source_text;
	char	   *label_name;
	char	   *key_name;
	char	   *positive;
	char	   *algorithm;
	List	   *exclude;		/* of strings */
	char	   *params;			/* JSON, or NULL */
	char	   *options;		/* JSON, less what is our own, or NULL */
	char	   *as_of;
	ChurnRegistration registration;
	ChurnTracker tracker;
	ChurnVersion *champion;		/* NULL if none can score the source */
	ChurnSource *source;
	ChurnColumns *columns;
	ChurnLabel	label;
	ChurnValue *result;			/* what the trainer says of the model */
} ChurnTraining;

/*
 * Reads the arguments of churn_train().  What needs the source to be checked
 * comes later.
 */
extern void churn_training_arguments(ChurnTraining *training,
									 FunctionCallInfo fcinfo);

#endif							/* CHURN_TRAIN_H */
