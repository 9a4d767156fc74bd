/*
 * registry.h
 *		Models of the registry, looked up and held ready for scoring.
 */
#ifndef CHURN_REGISTRY_H
#define CHURN_REGISTRY_H

#include "access/htup.h"
#include "utils/palloc.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#include "churn/arena.h"
#include "churn/explain.h"
#include "churn/model.h"
#include "churn/predictor.h"

#include "compat.h"
#include "snapshot_mark.h"

#define CHURN_SHA256_LENGTH 32

/* Which version to score with: what churn_registry_find() is asked. */
typedef struct ChurnQuestion
{
	const char *model;			/* NULL if none is named */
	int			version;		/* 0 for the champion */
	Oid			relation;		/* of the row */
} ChurnQuestion;

/*
 * A version in this backend's cache.  Versions are immutable, so an entry
 * never changes; it lives at least as long as someone holds a pin.
 */
typedef struct ChurnVersion
{
	MemoryContext context;		/* holds all of it */
	Size		shared;			/* bytes of tables beyond that */
	Oid			relation;		/* churn.model_versions it was read from */
	const char *name;			/* of the model */
	int			version;
	uint8		sha256[CHURN_SHA256_LENGTH];
	ChurnModel *model;			/* but for what components point to: NULLs */
	ChurnPredictor *predictor;
	ChurnExplainer *explainer;	/* NULL until churn_version_explainer() */
	/* champion of which row it was when last looked up, and in what epoch */
	Oid			models;			/* churn.models */
	int			model_id;
	uint64		epoch;
	/* the question that it was the answer to, and when; see registry.c */
	ChurnQuestion question;
	ChurnSnapshotMark asked;
	uint64		asked_epoch;	/* churn_name_epoch; 0 if there is none */
	struct ChurnRowShape *shapes;	/* see row_shape.h */
	int			pins;
	uint64		used;			/* larger is more recent */
} ChurnVersion;

/*
 * Finds the version to score with under the snapshot, and loads it if need be.
 * It is to be pinned before anything else is looked up.
 *
 * No model: churn.default_model, else the model trained on the relation (or a
 * table it is a partition or child of), else the only model, else an error
 * that lists the choices.  No version: the champion, an error if there is
 * none.
 */
extern ChurnVersion *churn_registry_find(ChurnQuestion question,
										 Snapshot snapshot);

/* The same, pinned until the memory context "holder" is reset or deleted. */
extern ChurnVersion *churn_registry_resolve(const char *model, int version,
											Oid relation, Snapshot snapshot,
											MemoryContext holder);

/* Holds a version, and lets it go. */
extern void churn_version_pin(ChurnVersion *version);
extern void churn_version_unpin(ChurnVersion *version);

/*
 * The explainer of a version, made of its bytes at the first call, which are
 * looked up under the snapshot.  It lives as long as the version.
 */
extern ChurnExplainer *churn_version_explainer(ChurnVersion *version,
											   Snapshot snapshot);

/* What else the registry knows of a model; NULLs where the row has them. */
typedef struct ChurnModelRow
{
	char	   *name;
	char	   *source;
	char	   *source_relation;
	char	   *source_query;
	char	   *key;
	char	   *label;
	char	   *positive;
	char	   *owner;
	int			model_id;
	int			champion;		/* 0 if none */
	int64		split_seed;
} ChurnModelRow;

/*
 * Reads churn.models by name, in the current memory context.  NULL if there is
 * no such model and missing_ok; an error otherwise.
 */
extern ChurnModelRow *churn_registry_model(const char *name,
										   Snapshot snapshot,
										   bool missing_ok);

/*
 * The version's artifact, checked against its sha256; version == 0 is the
 * champion.
 */
extern bytea *churn_registry_artifact(const char *model, int version,
									  Snapshot snapshot);

/* Throws *error as an ereport of the errcode that fits; what names the thing. */
pg_noreturn extern void churn_throw(const ChurnError *error, const char *what);

/* An arena whose memory is the context's. */
extern ChurnArena churn_memory_arena(MemoryContext context);

/* SHA-256 of compiled followed by artifact. */
extern void churn_registry_sha256(const uint8 *compiled, size_t ncompiled,
								  const uint8 *artifact, size_t nartifact,
								  uint8 *digest);

/*
 * Name of a relation with its schema as the registry has it: quoted where it
 * must be, whatever quote_all_identifiers says.
 */
extern char *churn_qualified_name(const char *schema, const char *name);

/* Schema "churn" and relations in it, or an error that says how to get it. */
extern Oid	churn_registry_relation(const char *name);

/* For registry.c alone: what else version_cache.c does. */
extern ChurnVersion *churn_version_get(const char *name, int number,
									   Snapshot snapshot);
extern ChurnVersion *churn_version_find(Oid models, int model_id, int number);
extern ChurnVersion *churn_version_recall(const ChurnQuestion *question,
										  Snapshot snapshot);
extern void churn_version_remember(ChurnVersion *version,
								   const ChurnQuestion *question,
								   Snapshot snapshot, uint64 name_epoch);
extern bytea *churn_version_artifact(const char *name, int number,
									 Snapshot snapshot);

#endif							/* CHURN_REGISTRY_H */
