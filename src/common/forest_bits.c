/*
 * forest_bits.c
 *		Trees of up to 64 leaves, evaluated by tables of leaf masks.
 *
 * The idea is QuickScorer's (Lucchese et al., "QuickScorer: a Fast Algorithm
 * to Rank Documents with Additive Ensembles of Regression Trees", SIGIR 2015):
 * number the leaves of a tree from left to right and let each split that sends
 * the row right strike out the leaves below its left child; the lowest leaf
 * that is left is the row's.  There, the splits are tested one by one.  Here,
 * the strikes of all splits on one feature are combined beforehand for each
 * bin of the feature: a table row holds a mask for each tree.  Features of few
 * bins are combined further into groups, with a table row for each combination
 * of their bins.  What remains to be done for a customer is an AND of a few
 * table rows, and for each tree counting trailing zeros and adding the leaf,
 * in the order of the trees as XGBoost does.
 *
 * A mask has 8, 16, 32 or 64 bits, by the largest tree.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "churn/hash.h"

#include "forest_bits.h"

/* Raise it when the same forest and plan make other tables than before. */
#define TABLES_FORMAT		1

/* Tables smaller than this are not shared among processes. */
#define LEAST_SHARED		((size_t) 64 * 1024)

/* What building needs to know of the nodes; all in scratch. */
typedef struct BitsBuild
{
	const ChurnForest *forest;
	const ChurnBins *bins;
	const ChurnBitsPlan *plan;
	uint32_t   *tree_of;		/* by node */
	uint64_t   *keeps;			/* by node: leaves that a row sent right has */
	uint8_t    *tables;			/* leaves, then table rows; not in scratch */
	size_t		used;			/* bytes of them that are given away */
	bool		filled;			/* by another process */
} BitsBuild;

/*
 * Numbers the leaves of each tree from left to right and notes for each inner
 * node which leaves it leaves when it sends a row right: all but those below
 * its left child.  Children come after their parents, so counting upwards and
 * numbering downwards take one loop each.
 */
static bool
number_leaves(BitsBuild *build, float *leaves, ChurnArena *scratch,
			  ChurnError *error)
{
	const ChurnForest *forest = build->forest;
	uint32_t   *count;
	uint32_t   *start;
	uint32_t	t;
	uint32_t	i;

	count = churn_arena_array(scratch, forest->nnodes, sizeof(uint32_t),
							  error);
	start = churn_arena_array(scratch, forest->nnodes, sizeof(uint32_t),
							  error);
	build->tree_of = churn_arena_array(scratch, forest->nnodes,
									   sizeof(uint32_t), error);
	build->keeps = churn_arena_array(scratch, forest->nnodes, sizeof(uint64_t),
									 error);
	if (count == NULL || start == NULL || build->tree_of == NULL ||
		build->keeps == NULL)
		return false;

	for (t = 0; t < forest->ntrees; t++)
	{
		const ChurnTree *tree = &forest->trees[t];
		uint32_t	first = tree->first;

		for (i = first + tree->nnodes; i-- > first;)
		{
			const ChurnNode *node = &forest->nodes[i];

			count[i] = node->left < 0 ? 1 :
				count[first + (uint32_t) node->left] +
				count[first + (uint32_t) node->right];
		}
		start[first] = 0;
		for (i = first; i < first + tree->nnodes; i++)
		{
			const ChurnNode *node = &forest->nodes[i];
			uint32_t	left = first + (uint32_t) node->left;
			uint64_t	below;

			build->tree_of[i] = t;
			if (node->left < 0)
			{
				leaves[(size_t) t * build->plan->width + start[i]] =
					churn_leaf_value(forest, tree, node);
				continue;
			}
			start[left] = start[i];
			start[first + (uint32_t) node->right] = start[i] + count[left];
			below = (UINT64_C(1) << count[left]) - 1;	/* count[left] < 64 */
			build->keeps[i] = ~(below << start[i]);
		}
	}
	return true;
}

/* Strikes out the leaves of one tree in a table row. */
static void
strike(uint8_t *row, uint32_t tree, uint32_t width, uint64_t keep)
{
	const size_t at = (size_t) tree * (width / 8);
	uint64_t	mask64;
	uint32_t	mask32;
	uint16_t	mask16;

	switch (width)
	{
		case 8:
			row[at] &= (uint8_t) keep;
			break;
		case 16:
			memcpy(&mask16, row + at, 2);
			mask16 &= (uint16_t) keep;
			memcpy(row + at, &mask16, 2);
			break;
		case 32:
			memcpy(&mask32, row + at, 4);
			mask32 &= (uint32_t) keep;
			memcpy(row + at, &mask32, 4);
			break;
		default:
			memcpy(&mask64, row + at, 8);
			mask64 &= keep;
			memcpy(row + at, &mask64, 8);
			break;
	}
}

/* Combines two table rows: to = a AND b. */
static void
and_rows(uint8_t *to, const uint8_t *a, const uint8_t *b, size_t row_bytes)
{
	size_t		i;

	for (i = 0; i < row_bytes; i += sizeof(uint64_t))
	{
		uint64_t	x;
		uint64_t	y;

		memcpy(&x, a + i, sizeof(x));
		memcpy(&y, b + i, sizeof(y));
		x &= y;
		memcpy(to + i, &x, sizeof(x));
	}
}

/* Allocates memory for tables, aligned to blocks. */
static uint8_t *
allocate_tables(size_t size, ChurnArena *arena, ChurnError *error)
{
	uint8_t    *memory;

	memory = churn_arena_alloc(arena, size + CHURN_BITS_BLOCK, error);
	if (memory == NULL)
		return NULL;
	return memory + (CHURN_BITS_BLOCK - (uintptr_t) memory % CHURN_BITS_BLOCK) %
		CHURN_BITS_BLOCK;
}

/* Takes the next table rows of those that the evaluator keeps. */
static uint8_t *
take_rows(BitsBuild *build, size_t nrows)
{
	uint8_t    *rows = build->tables + build->used;

	build->used += nrows * build->plan->row_bytes;
	return rows;
}

/*
 * Fills a binner's own rows, one for each bin.  A numeric split strikes the
 * same leaves in all bins above its threshold, so it is entered in the first
 * of them and each row takes over what the one before it has.
 */
static void
fill_binner_rows(const BitsBuild *build, const ChurnBinner *binner,
				 uint8_t *rows)
{
	const size_t row_bytes = build->plan->row_bytes;
	uint32_t	i;
	uint32_t	bin;

	memset(rows, 0xFF, binner->nbins * row_bytes);
	for (i = 0; i < binner->nnodes; i++)
	{
		uint32_t	node = binner->nodes[i];
		uint32_t	first = 0;
		uint32_t	end = binner->nbins;

		if (!binner->categorical)
		{
			first = build->bins->ranks[node] + 1;
			end = first + 1;
			if (churn_bin_goes_right(build->forest, build->bins, binner, node,
									 binner->missing))
				strike(rows + binner->missing * row_bytes,
					   build->tree_of[node], build->plan->width,
					   build->keeps[node]);
		}
		for (bin = first; bin < end; bin++)
			if (churn_bin_goes_right(build->forest, build->bins, binner, node,
									 bin))
				strike(rows + bin * row_bytes, build->tree_of[node],
					   build->plan->width, build->keeps[node]);
	}
	if (!binner->categorical)
		for (bin = 1; bin <= binner->nthresholds; bin++)
			and_rows(rows + bin * row_bytes, rows + bin * row_bytes,
					 rows + (bin - 1) * row_bytes, row_bytes);
}

/*
 * Makes the rows of a group from its members' own: a member multiplies the
 * combinations there are by its dense bins.
 */
static void
combine_members(BitsBuild *build, ChurnBitsGroup *group,
				ChurnBitsMember *members, uint32_t product)
{
	const size_t row_bytes = build->plan->row_bytes;
	uint8_t    *rows = take_rows(build, product);
	uint32_t	done = 1;
	uint32_t	m;
	uint32_t	bin;
	uint32_t	i;

	group->rows = rows;
	if (!build->filled)
		memset(rows, 0xFF, product * row_bytes);
	for (m = 0; m < group->nmembers; m++)
	{
		const uint32_t ndense = members[m].binner->ndense;

		members[m].stride = done * (uint32_t) row_bytes;
		for (bin = build->filled ? 0 : ndense; bin-- > 0;)
			for (i = 0; i < done; i++)
				and_rows(rows + (bin * (size_t) done + i) * row_bytes,
						 rows + i * row_bytes,
						 members[m].rows + bin * row_bytes, row_bytes);
		done *= ndense;
	}
}

/* Makes the table of offsets of a categorical member; see forest_bits.h. */
static bool
make_offsets(ChurnBitsMember *member, bool alone, ChurnArena *keep,
			 ChurnError *error)
{
	const ChurnBinner *binner = member->binner;
	uint32_t   *offsets;
	uint32_t	i;

	offsets = churn_arena_array(keep, (size_t) binner->ncodes + 2,
								sizeof(uint32_t), error);
	if (offsets == NULL)
		return false;
	for (i = 0; i < binner->ncodes + 2; i++)
	{
		uint32_t	bin = i < binner->ncodes ? binner->code_bins[i] :
		i == binner->ncodes ? binner->other : binner->missing;

		offsets[i] = alone || bin < binner->ndense ? bin * member->stride :
			CHURN_BITS_RARE;
	}
	member->ncodes = binner->ncodes;
	member->offsets = offsets;
	return true;
}

/* Lists the binners that the plan puts in a group, categorical ones first. */
static void
list_members(const BitsBuild *build, uint32_t g, ChurnBitsMember *members,
			 ChurnBitsGroup *group)
{
	const ChurnBins *bins = build->bins;
	uint32_t	pass;
	uint32_t	i;

	for (pass = 0; pass < 2; pass++)
	{
		for (i = 0; i < bins->nbinners; i++)
		{
			const ChurnBinner *binner = &bins->binners[i];
			ChurnBitsMember *member = &members[group->nmembers];

			if (build->plan->group_of[i] != g ||
				binner->categorical != (pass == 0))
				continue;
			member->binner = binner;
			member->feature = binner->feature;
			member->stride = (uint32_t) build->plan->row_bytes;
			group->nmembers++;
		}
		if (pass == 0)
			group->ncategorical = group->nmembers;
	}
	group->members = members;
}

/*
 * Whether the members keep rows of their own: if there are bins that the
 * group's rows leave out, or nothing to combine.
 */
static bool
keeps_own_rows(const ChurnBitsGroup *group)
{
	uint32_t	i;

	for (i = 0; i < group->nmembers; i++)
		if (group->members[i].binner->ndense < group->members[i].binner->nbins)
			return true;
	return group->nmembers == 1;
}

/* Makes the table rows of a group, and its members' offsets. */
static bool
make_group(BitsBuild *build, uint32_t g, ChurnBitsMember *members,
		   ChurnBitsGroup *group, ChurnArena *keep, ChurnArena *scratch,
		   ChurnError *error)
{
	const bool	alone = group->nmembers == 1;
	const bool	own = keeps_own_rows(group);
	uint32_t	i;

	for (i = 0; i < group->nmembers; i++)
	{
		const ChurnBinner *binner = members[i].binner;
		uint8_t    *rows = own ? take_rows(build, binner->nbins) : NULL;

		if (!build->filled)
		{
			if (rows == NULL)
				rows = allocate_tables(binner->nbins * build->plan->row_bytes,
									   scratch, error);
			if (rows == NULL)
				return false;
			fill_binner_rows(build, binner, rows);
		}
		members[i].rows = rows;
	}
	if (alone)
		group->rows = members[0].rows;
	else
		combine_members(build, group, members, build->plan->products[g]);
	for (i = 0; i < group->nmembers; i++)
		if (!own)
			members[i].rows = NULL;
	for (i = 0; i < group->ncategorical; i++)
		if (!make_offsets(&members[i], alone, keep, error))
			return false;
	return true;
}

/* Bytes of the leaves, which come first in the tables. */
static size_t
leaves_size(const BitsBuild *build)
{
	size_t		size = (size_t) build->forest->ntrees * build->plan->width *
	sizeof(float);

	return (size + CHURN_BITS_BLOCK - 1) / CHURN_BITS_BLOCK * CHURN_BITS_BLOCK;
}

/* Bytes of all tables that the evaluator keeps. */
static size_t
tables_size(const BitsBuild *build, const ChurnBitsGroup *groups)
{
	const ChurnBitsPlan *plan = build->plan;
	size_t		rows = plan->ngroups == 0;
	uint32_t	g;
	uint32_t	i;

	for (g = 0; g < plan->ngroups; g++)
	{
		if (groups[g].nmembers > 1)
			rows += plan->products[g];
		if (!keeps_own_rows(&groups[g]))
			continue;
		for (i = 0; i < groups[g].nmembers; i++)
			rows += groups[g].members[i].binner->nbins;
	}
	return leaves_size(build) + rows * plan->row_bytes;
}

/*
 * A hash of all that determines the tables: the forest, and how they are laid
 * out.
 */
static uint64_t
tables_kind(const BitsBuild *build)
{
	const ChurnForest *forest = build->forest;
	const ChurnBitsPlan *plan = build->plan;
	const uint32_t format[] = {TABLES_FORMAT, plan->width, plan->ngroups,
	forest->dart};
	uint64_t	hash = churn_hash64(format, sizeof(format), 0);

	hash = churn_hash64(plan->group_of,
						build->bins->nbinners * sizeof(uint32_t), hash);
	hash = churn_hash64(forest->trees, forest->ntrees * sizeof(ChurnTree),
						hash);
	hash = churn_hash64(forest->bits, forest->nbits * sizeof(uint32_t), hash);
	return churn_hash64(forest->nodes, forest->nnodes * sizeof(ChurnNode),
						hash);
}

/* Moves pointers into the tables to where the tables have moved. */
static void
move_tables(ChurnBitsGroup *groups, uint32_t ngroups,
			ChurnBitsMember *members, uint32_t nmembers, const uint8_t *from,
			const uint8_t *to)
{
	uint32_t	i;

	for (i = 0; i < ngroups; i++)
		groups[i].rows = to + (groups[i].rows - from);
	for (i = 0; i < nmembers; i++)
		if (members[i].rows != NULL)
			members[i].rows = to + (members[i].rows - from);
}

/*
 * Fills the tables, or, where another process has, only finds its way in them.
 * The groups have their members.
 */
static bool
fill_tables(BitsBuild *build, ChurnBitsGroup *groups, ChurnBitsMember *members,
			ChurnArena *keep, ChurnArena *scratch, ChurnError *error)
{
	const ChurnBitsPlan *plan = build->plan;
	uint32_t	g;

	if (!build->filled &&
		!number_leaves(build, (float *) build->tables, scratch, error))
		return false;
	build->used = leaves_size(build);
	for (g = 0; g < plan->ngroups; g++)
	{
		if (!make_group(build, g, members, &groups[g], keep, scratch, error))
			return false;
		members += groups[g].nmembers;
	}
	if (plan->ngroups > 0)
		return true;
	groups[0].rows = take_rows(build, 1);
	if (!build->filled)
		memset(build->tables + leaves_size(build), 0xFF, plan->row_bytes);
	return true;
}

/* Makes the tables, or finds them if another process shares its own. */
static bool
make_tables(BitsBuild *build, ChurnBitsGroup *groups, ChurnBitsMember *members,
			ChurnArena *keep, ChurnArena *scratch, ChurnError *error)
{
	const size_t size = tables_size(build, groups);
	const ChurnTableShare *share = size < LEAST_SHARED ? NULL : keep->share;
	const uint64_t kind = share != NULL ? tables_kind(build) : 0;
	const uint8_t *found = NULL;
	uint8_t    *made = NULL;

	if (share != NULL)
		found = share->find(share->context, size, kind);
	if (share != NULL && found == NULL)
		made = share->make(share->context, size, kind);
	build->filled = found != NULL;
	/* what another process has filled is not written to */
	build->tables = found != NULL ? (uint8_t *) (uintptr_t) found :
		made != NULL ? made : allocate_tables(size, keep, error);
	if (build->tables == NULL ||
		!fill_tables(build, groups, members, keep, scratch, error))
		return false;
	if (made != NULL)
	{
		found = share->list(share->context, made);
		move_tables(groups, build->plan->ngroups > 0 ? build->plan->ngroups : 1,
					members, build->bins->nbinners, made, found);
		build->tables = (uint8_t *) (uintptr_t) found;
	}
	return true;
}

/*
 * Makes the evaluator that the plan describes.  A forest without any split has
 * one group without members, whose only row keeps all leaves.
 */
bool
churn_bits_make(const ChurnForest *forest, const ChurnBins *bins,
				const ChurnBitsPlan *plan, bool portable, ChurnArena *keep,
				ChurnArena *scratch, ChurnEvaluator *evaluator,
				ChurnError *error)
{
	BitsBuild	build = {.forest = forest,.bins = bins,.plan = plan};
	const uint32_t ngroups = plan->ngroups > 0 ? plan->ngroups : 1;
	ChurnBitsState *state;
	ChurnBitsGroup *groups;
	ChurnBitsMember *members;
	uint32_t	nlisted = 0;
	uint32_t	g;

	state = churn_arena_alloc(keep, sizeof(ChurnBitsState), error);
	groups = churn_arena_array(keep, ngroups, sizeof(ChurnBitsGroup), error);
	members = churn_arena_array(keep, bins->nbinners, sizeof(ChurnBitsMember),
								error);
	if (state == NULL || groups == NULL || members == NULL)
		return false;
	for (g = 0; g < plan->ngroups; g++)
	{
		list_members(&build, g, members + nlisted, &groups[g]);
		nlisted += groups[g].nmembers;
	}
	if (!make_tables(&build, groups, members, keep, scratch, error))
		return false;

	state->ntrees = forest->ntrees;
	state->ngroups = ngroups;
	state->row_bytes = plan->row_bytes;
	state->groups = groups;
	state->leaves = (const float *) build.tables;
	state->kernel = churn_bits_kernel(plan->width, portable);
	evaluator->design = CHURN_DESIGN_BITS;
	evaluator->width = plan->width;
	evaluator->state = state;
	evaluator->margin = churn_bits_margin;
	evaluator->workspace = ((size_t) ngroups + bins->nbinners) *
		sizeof(uint8_t *);
	return true;
}
