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
	List	   *transforms;		/* of ChurnTransform; the rules' if there are */
	char	   *rules;			/* JSON for the trainer, or NULL */
	char	   *given_rules;	/* JSON as the caller wrote them */
	char	   *params;			/* JSON, less rules, or NULL */
	char	   *options;		/* JSON, less what is our own, or NULL */
	char	   *as_of;
	ChurnRegistration registration;
	ChurnTracker tracker;
	ChurnVersion *champion;		/* NULL if none can score the source */
	Bitmapset  *champion_columns;	/* of the source, which it reads */
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

/*
 * Takes "rules" out of params: a rule's condition becomes a transform, which
 * is the only kind of feature then.  Returns the rest of params.
 */
extern Jsonb *churn_training_rules(ChurnTraining *training, Jsonb *params);

/* Finds the champion to compare with, if there is one that can be. */
extern void churn_training_champion(ChurnTraining *training);

#endif							/* CHURN_TRAIN_H */
