/*
 * support.c
 *		Memory, errors and digests for what lies between src/common and the
 *		server.
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "utils/memutils.h"

#include "compat.h"
#include "registry.h"

/*
 * Throws what code below src/common found wrong with the thing named.
 */
void
churn_throw(const ChurnError *error, const char *what)
{
	int			sqlstate = ERRCODE_INTERNAL_ERROR;

	switch (error->code)
	{
		case CHURN_OK:
			break;
		case CHURN_ERROR_MEMORY:
			sqlstate = ERRCODE_OUT_OF_MEMORY;
			break;
		case CHURN_ERROR_CORRUPT:
			sqlstate = ERRCODE_DATA_CORRUPTED;
			break;
		case CHURN_ERROR_UNSUPPORTED:
			sqlstate = ERRCODE_FEATURE_NOT_SUPPORTED;
			break;
		case CHURN_ERROR_LIMIT:
			sqlstate = ERRCODE_PROGRAM_LIMIT_EXCEEDED;
			break;
		case CHURN_ERROR_INVALID:
			sqlstate = ERRCODE_INVALID_PARAMETER_VALUE;
			break;
	}
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg("%s: %s", what, error->message)));
	pg_unreachable();
}

/*
 * What a ChurnArena over a memory context allocates with.  It returns NULL
 * when there is no memory, which src/common turns into its own error.
 */
static void *
arena_alloc(void *context, size_t size)
{
	return MemoryContextAllocExtended((MemoryContext) context, Max(size, 1),
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM |
									  MCXT_ALLOC_ZERO);
}

/*
 * An arena whose memory is the context's.
 */
ChurnArena
churn_memory_arena(MemoryContext context)
{
	ChurnArena	arena = {.alloc = arena_alloc,.context = context};

	return arena;
}

/*
 * SHA-256 of compiled followed by artifact, into CHURN_SHA256_LENGTH bytes.
 */
void
churn_registry_sha256(const uint8 *compiled, size_t ncompiled,
					  const uint8 *artifact, size_t nartifact, uint8 *digest)
{
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);

	if (hash == NULL ||
		pg_cryptohash_init(hash) < 0 ||
		pg_cryptohash_update(hash, compiled, ncompiled) < 0 ||
		pg_cryptohash_update(hash, artifact, nartifact) < 0 ||
		pg_cryptohash_final(hash, digest, CHURN_SHA256_LENGTH) < 0)
		elog(ERROR, "could not compute SHA-256: %s",
			 hash ? pg_cryptohash_error(hash) : "out of memory");
	pg_cryptohash_free(hash);
}
