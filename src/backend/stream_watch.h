/*
 * stream_watch.h
 *		What a stream worker watches, and for which models.
 */
#ifndef CHURN_STREAM_WATCH_H
#define CHURN_STREAM_WATCH_H

#include "access/tupdesc.h"
#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "fmgr.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"
#include "utils/date.h"
#include "utils/hsearch.h"
#include "utils/rel.h"

#include "features.h"
#include "registry.h"
#include "row_explainer.h"

/* Why a rescan is due after a promotion. */
#define CHURN_NEW_VERSION	"another version is in force"

/* Why one is due after others than the stream have changed what is watched. */
#define CHURN_NEW_TABLES	"a table was attached, detached, replaced or renamed"

/* A rule of churn.alert_rules. */
typedef struct ChurnAlertRule
{
	int			rule_id;
	char	   *name;
	char	   *condition;
	Datum		cooldown;		/* interval */
	bool		failed;			/* told of in churn.errors; not tried again */
} ChurnAlertRule;

/* A model that has watches.  The worker's own. */
typedef struct ChurnWatchedModel
{
	char	   *name;
	int			model_id;
	Oid			owner;			/* InvalidOid if the role is gone */
	char	   *source_query;
	char	   *source_relation;	/* NULL for a query */
	char	   *key;			/* column of the source */
	int			champion;		/* version in force; 0 if none */
	ChurnVersion *version;		/* that one, pinned; NULL if it is not to be
								 * had */
	float	   *features;		/* room for one row */
	void	   *workspace;		/* of the evaluator */
	int			challenger;		/* version that scores in its shadow; 0 if
								 * none */
	struct ChurnChallenger *shadow; /* that one; NULL if there is none, or it
									 * is not to be had */
	struct ChurnWindow *window; /* counts its scores by the hour; NULL if its
								 * baseline is not known */
	bool		uses_ages;		/* counted from the statement's day */
	List	   *rules;			/* of ChurnAlertRule */
	int			nreasons;		/* that go with each score; 0 for none */
	struct ChurnReading *read;	/* of rows read from the source, or NULL */
	struct _SPI_plan *read_plan;	/* reads customers by key, or NULL */
	/* the model's row of churn.rescans */
	char	   *pending;		/* why a rescan is due, or NULL */
	int64		requests;		/* so many times it was asked for */
	int			scanned_version;	/* 0 if never scanned */
	DateADT		scanned_day;
	char	   *scanned_tables; /* as model->tables was; NULL if unknown */
	char	   *tables;			/* watched, with all below: oid[] as text */
	bool		misses_deletes; /* they are noticed by rescans alone */
	bool		broken;			/* it can not be scored */
	const char *error;			/* the last one on record, or NULL */
	TimestampTz not_before;		/* when a rescan is tried again, if so */
	/* customers that are read again instead of scored from the change */
	XLogRecPtr	reread_until;	/* all, for commits up to this */
	HTAB	   *rereads;		/* ChurnReread by key, or NULL */
	XLogRecPtr	rereads_until;	/* the largest of them */
} ChurnWatchedModel;

/* A customer that was read at a time later than that of the change. */
typedef struct ChurnReread
{
	char		key[64];		/* hash key: the customer's, or its beginning */
	XLogRecPtr	until;
} ChurnReread;

/* A row of churn.watches that is in force. */
typedef struct ChurnWatch
{
	ChurnWatchedModel *model;
	Oid			relid;			/* InvalidOid if the table is gone */
	char	   *relation;
	char	   *key;
	bool		related;
	bool		deletes;
} ChurnWatch;

/* How rows of one shape are read and scored for a model. */
typedef struct ChurnReading
{
	ChurnWatchedModel *model;
	TupleDesc	desc;
	int			key_column;		/* index into desc; -1 if there is none */
	FmgrInfo	key_output;
	bool		outputs;		/* key_output is set */
	ChurnRowMap *map;			/* NULL until needed */
	ChurnRowMap *shadow_map;	/* the challenger's; NULL until needed */
	Datum	   *values;			/* room for a row, and CHURN_ALERT_COLUMNS */
	bool	   *nulls;
	ChurnRowExplainer *explainer;	/* NULL until needed */
	struct ChurnAlertReading *alerts;	/* stream_alerts.c; NULL until needed */
} ChurnReading;

/* A table's part in a watch: whose changes mean what. */
typedef struct ChurnWatchPlace
{
	ChurnWatch *watch;
	ChurnReading reading;
	bool		full;			/* its replica identity is the whole row */
	bool		incomplete;		/* changes never bring all that is needed:
								 * some is computed when it is read */
	Bitmapset  *needed;			/* columns without which a row must be read
								 * again; indexes from 0 */
} ChurnWatchPlace;

/* What is known of a relation that changes came from. */
typedef struct ChurnWatchedRelation
{
	Oid			relid;			/* hash key */
	bool		valid;
	bool		configures;		/* a table of ours that says what to watch */
	List	   *places;			/* of ChurnWatchPlace; NIL if not watched */
} ChurnWatchedRelation;

typedef struct ChurnWatchSet
{
	MemoryContext context;		/* holds all of it */
	MemoryContextCallback forget;
	bool		exists;			/* the extension does */
	bool		stale;			/* it may no longer hold */
	bool		lost;			/* a watched table does not exist */
	int			nwatches;		/* in force */
	int			npaused;		/* made on another server or database */
	List	   *models;			/* of ChurnWatchedModel */
	List	   *watches;		/* of ChurnWatch */
	Oid			configuring[3]; /* churn.watches, models, alert_rules */
	List	   *tables;			/* OIDs of watched tables and all below */
	HTAB	   *relations;		/* ChurnWatchedRelation by relid */
	int			nlayouts;		/* made so far, of which some are outdated */
} ChurnWatchSet;

/*
 * Reads the tables under the active snapshot, into a context below the
 * parent.  Versions are loaded.  One that cannot be, or a table that can no
 * longer be watched, is reported in churn.errors if that is wanted.
 */
extern ChurnWatchSet *churn_watch_set_load(MemoryContext parent, bool reports);
extern void churn_watch_set_free(ChurnWatchSet *set);

/* For stream_watch.c: finds the tables of a new set. */
extern void churn_watch_set_find_tables(ChurnWatchSet *set);

/* What is known of a relation: called for each change, so cheap. */
extern ChurnWatchedRelation *churn_watch_set_find(ChurnWatchSet *set,
												  Relation relation);

/* Prepares a reading of rows of desc, with memory of the current context. */
extern void churn_reading_init(ChurnReading *reading, ChurnWatchedModel *model,
							   TupleDesc desc, const char *key);

/* The text of a row's key in the current memory context; NULL for NULL. */
extern char *churn_reading_key(ChurnReading *reading, Datum value);

/*
 * Finds the columns that the model needs, once; an error if the rows do not
 * suit it.
 */
extern void churn_reading_prepare(ChurnReading *reading);

/*
 * Scores the row in reading->values and nulls, and leaves what the model sees
 * of it in model->features.  Errors are those of the model's transforms.
 */
extern double churn_reading_score(ChurnReading *reading);

/* System identifier and database, as churn.watches has it. */
extern const char *churn_stream_home(void);

#endif							/* CHURN_STREAM_WATCH_H */
