/*
 * call_site.c
 *		What a call in a query keeps between rows, to score them.
 *
 * A statement that scores one row is as common as one that scores a table, and
 * comes here as often as it scores.  So a call site has no memory context of
 * its own, and uses its allocations again.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "churn/predictor.h"

#include "call_site.h"
#include "compat.h"

/*
 * Lets the shape go, if there is one.
 */
static void
release_shape(ChurnCallSite *site)
{
	ChurnRowShape *shape = site->shape;

	site->shape = NULL;
	if (shape != NULL)
		churn_row_shape_release(shape);
}

/*
 * Lets go of what is pinned.  Also the reset callback of the memory context
 * that the call site lives in.
 */
static void
release(void *arg)
{
	ChurnCallSite *site = arg;

	site->ready = false;
	site->generation++;
	release_shape(site);
	if (site->version != NULL)
		churn_version_unpin(site->version);
	site->version = NULL;
}

/*
 * The call site, made at its first row.
 */
ChurnCallSite *
churn_call_site(FmgrInfo *flinfo)
{
	ChurnCallSite *site = flinfo->fn_extra;

	if (site == NULL)
	{
		site = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(ChurnCallSite));
		site->holder = flinfo->fn_mcxt;
		site->release.func = release;
		site->release.arg = site;
		MemoryContextRegisterResetCallback(site->holder, &site->release);
		flinfo->fn_extra = site;
	}
	return site;
}

/*
 * An allocation of at least that size, in place of the one there is if that
 * is too small.  What was in it does not matter.
 */
static void *
make_room(MemoryContext holder, void *room, Size *size, Size wanted)
{
	void	   *larger;

	if (*size >= wanted)
		return room;
	larger = MemoryContextAlloc(holder, wanted);
	*size = wanted;
	if (room != NULL)
		pfree(room);
	return larger;
}

/*
 * Finds the version anew, and makes room to score with it.
 */
void
churn_call_site_find(ChurnCallSite *site, Snapshot snapshot, text *model,
					 int version, Oid relation)
{
	ChurnQuestion question = {NULL, version, relation};
	Size		features;
	Size		workspace;

	release(site);
	if (site->wanted_model != NULL)
		pfree(site->wanted_model);
	site->wanted_model = NULL;
	if (model != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(site->holder);

		site->wanted_model = text_to_cstring(model);
		MemoryContextSwitchTo(old);
	}
	question.model = site->wanted_model;
	site->wanted_version = version;
	site->mark = churn_snapshot_mark(snapshot);
	site->version = churn_registry_find(question, snapshot);
	churn_version_pin(site->version);

	workspace = churn_predictor_workspace(site->version->predictor);
	workspace = MAXALIGN(workspace + 32);
	features = sizeof(float) * site->version->model->nfeatures;
	site->room = make_room(site->holder, site->room, &site->room_size,
						   workspace + features);
	site->workspace = (void *) TYPEALIGN(32, site->room);
	site->features = (float *) ((char *) site->room + workspace);
}

/*
 * Finds the shape of composite rows of a type, and makes room for their
 * columns.
 */
void
churn_call_site_shape(ChurnCallSite *site, Oid type, int32 typmod)
{
	Size		natts;

	site->generation++;
	release_shape(site);
	site->shape = churn_row_shape(site->version, type, typmod);
	natts = site->shape->desc->natts;
	site->values = make_room(site->holder, site->values, &site->columns_size,
							 (sizeof(Datum) + sizeof(bool)) * Max(natts, 1));
	site->nulls = (bool *) (site->values + natts);
}
