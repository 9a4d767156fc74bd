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
#include "row_stream.h"
#include "source.h"

/* What training does about a source that is not as the champion's was. */
typedef enum ChurnValidateOption
{
	CHURN_VALIDATE_ERROR,
	CHURN_VALIDATE_WARN,
	CHURN_VALIDATE_OFF
} ChurnValidateOption;

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
	ChurnValidateOption validate;
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

/*
 * Finds the champion to compare with, if there is one that can be; complains
 * of a source that does not suit it.
 */
extern void churn_training_champion(ChurnTraining *training);
extern void churn_training_validate(ChurnTraining *training);

/* The "duplicate_keys" of CONFIG; see churn/protocol.h. */
extern const char *churn_training_duplicate_keys(const ChurnTraining *training);

/* What the source was like, as JSON, for churn_validate(). */
extern char *churn_training_expectations(const ChurnTraining *training,
										 const ChurnRowStream *stream);

#endif							/* CHURN_TRAIN_H */
