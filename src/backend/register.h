/*
 * register.h
 *		Writing a new version into the registry: churn_train(), churn_import().
 */
#ifndef CHURN_REGISTER_H
#define CHURN_REGISTER_H

#include "lib/stringinfo.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "churn/xgboost.h"
#include "registry.h"

/* All strings may be NULL unless it says otherwise. */
typedef struct ChurnRegistration
{
	/* in */
	char	   *model;			/* not NULL */
	const char *origin;			/* not NULL: "train" or "import" */
	char	   *source;			/* as given */
	char	   *source_relation;	/* qualified name, if it is a relation */
	char	   *source_query;	/* reads it under any search_path */
	char	   *key;
	char	   *label;
	char	   *positive;
	char	   *exclude;		/* JSON array of names */
	char	   *transform;		/* JSON object of expressions by name */
	char	   *as_of;
	Jsonb	   *options;		/* as given */
	char	   *expectations;	/* JSON object; see validate_training.c */
	char	   *issues;			/* JSON array of findings before training */
	int64		rows_without_label;
	TimestampTz started_at;
	const char *result;			/* JSON: the trainer's RESULT */

	/* filled by churn_registration_check() */
	ChurnModelRow *present;		/* the model as it was; NULL if new */
	const char *promote;		/* auto, always or never */
	char	   *snapshot;		/* of the statement, as pg_snapshot's text */
	XLogRecPtr	lsn;			/* of the write-ahead log at that time */
	int64		split_seed;

	/* filled by churn_registration_write() */
	int			version;
	bool		promoted;
	char	   *reason;			/* for promotion or for none, in words */
} ChurnRegistration;

/*
 * Checks what can be checked before any work: the model's name, the caller's
 * rights on a model that exists, and options (an object; its "promote").
 */
extern void churn_registration_check(ChurnRegistration *registration);

/*
 * Writes artifact and model as the model's next version, as the owner of the
 * registry, and promotes it where that is due.
 */
extern void churn_registration_write(ChurnRegistration *registration,
									 const ChurnArtifact *artifact,
									 const ChurnModel *model,
									 ChurnArena *arena);

/* A bytea with a copy of the bytes. */
extern bytea *churn_bytea(const uint8 *bytes, size_t length);

/* Appends text as a JSON string. */
extern void churn_escape_json(StringInfo json, const char *text);

/* A text member of a jsonb object; NULL if it is not there or no string. */
extern char *churn_jsonb_text(Jsonb *object, const char *name);

#endif							/* CHURN_REGISTER_H */
