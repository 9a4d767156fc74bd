/*
 * forest_bits_row.c
 *		Evaluating one row by the tables of leaf masks (see forest_bits.c).
 */
#include <string.h>

#include "forest_bits.h"
#include "forest_search.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define HAVE_AVX2_KERNELS
#include <immintrin.h>
#endif

/* Kernels are inlined where the width of masks is a constant. */
#define FORCE_INLINE static inline __attribute__((always_inline))

/* Blocks of masks that a kernel combines at once. */
#define STEP_BLOCKS		2
#define STEP_BYTES		(STEP_BLOCKS * CHURN_BITS_BLOCK)

/* Returns the number of the lowest leaf in the mask of the i-th tree. */
FORCE_INLINE size_t
lowest_leaf(const uint8_t *masks, uint32_t i, const uint32_t width)
{
	uint64_t	mask64;
	uint32_t	mask32;
	uint16_t	mask16;

	switch (width)
	{
		case 8:
			return (size_t) __builtin_ctz(masks[i]);
		case 16:
			memcpy(&mask16, masks + i * 2, 2);
			return (size_t) __builtin_ctz(mask16);
		case 32:
			memcpy(&mask32, masks + i * 4, 4);
			return (size_t) __builtin_ctz(mask32);
		default:
			memcpy(&mask64, masks + i * 8, 8);
			return (size_t) __builtin_ctzll(mask64);
	}
}

/*
 * Adds the leaves of n trees.  The sum is a chain of float additions in the
 * order of the trees; splitting it would change the result.
 */
FORCE_INLINE float
add_leaves(float margin, const uint8_t *masks, const float *leaves, uint32_t n,
		   const uint32_t width)
{
	uint32_t	i = 0;

#define ADD_LEAF(k) \
	margin += leaves[(i + (k)) * width + \
					 lowest_leaf(masks, i + (k), width)]
	for (; i + 16 <= n; i += 16)
	{
		ADD_LEAF(0);
		ADD_LEAF(1);
		ADD_LEAF(2);
		ADD_LEAF(3);
		ADD_LEAF(4);
		ADD_LEAF(5);
		ADD_LEAF(6);
		ADD_LEAF(7);
		ADD_LEAF(8);
		ADD_LEAF(9);
		ADD_LEAF(10);
		ADD_LEAF(11);
		ADD_LEAF(12);
		ADD_LEAF(13);
		ADD_LEAF(14);
		ADD_LEAF(15);
	}
	for (; i < n; i++)
		ADD_LEAF(0);
#undef ADD_LEAF
	return margin;
}

/*
 * The compiler's vectors of 16 bytes, which every 64-bit processor has or
 * which become ordinary words.
 */
typedef uint64_t Vector __attribute__((vector_size(16), may_alias));

/* Leaves the AND of the next n blocks of the table rows in "to". */
FORCE_INLINE void
and_portable(const uint8_t *const *rows, uint32_t nrows, size_t offset,
			 uint8_t *to, const uint32_t n)
{
	uint32_t	row;
	uint32_t	i;

	for (i = 0; i < n; i++)
	{
		const		Vector *from = (const Vector *) (rows[0] + offset);
		Vector	   *block = (Vector *) to;
		Vector		a = from[0];
		Vector		b = from[1];
		Vector		c = from[2];
		Vector		d = from[3];

		for (row = 1; row < nrows; row++)
		{
			from = (const Vector *) (rows[row] + offset);
			a &= from[0];
			b &= from[1];
			c &= from[2];
			d &= from[3];
		}
		block[0] = a;
		block[1] = b;
		block[2] = c;
		block[3] = d;
		to += CHURN_BITS_BLOCK;
		offset += CHURN_BITS_BLOCK;
	}
}

#ifdef HAVE_AVX2_KERNELS
#define AVX2_TARGET __attribute__((target("avx2,bmi")))

/* The masks of a step; those of one block are in a and b. */
typedef struct VectorStep
{
	__m256i		a;
	__m256i		b;
	__m256i		c;
	__m256i		d;
} VectorStep;

/*
 * ANDs the next n blocks of the table rows, of which there are no more than a
 * step has.  Vectors of 64 bytes gain nothing here: while they are in use, the
 * processor has fewer units that add floats.
 */
AVX2_TARGET FORCE_INLINE void
and_step(const uint8_t *const *rows, uint32_t nrows, size_t offset,
		 const uint32_t n, VectorStep *step)
{
	const		__m256i *from = (const __m256i *) (rows[0] + offset);
	__m256i		a = _mm256_load_si256(from);
	__m256i		b = _mm256_load_si256(from + 1);
	__m256i		c = a;
	__m256i		d = a;
	uint32_t	row;

	if (n > 1)
	{
		c = _mm256_load_si256(from + 2);
		d = _mm256_load_si256(from + 3);
	}
	for (row = 1; row < nrows; row++)
	{
		from = (const __m256i *) (rows[row] + offset);
		a = _mm256_and_si256(a, _mm256_load_si256(from));
		b = _mm256_and_si256(b, _mm256_load_si256(from + 1));
		if (n > 1)
		{
			c = _mm256_and_si256(c, _mm256_load_si256(from + 2));
			d = _mm256_and_si256(d, _mm256_load_si256(from + 3));
		}
	}
	step->a = a;
	step->b = b;
	step->c = c;
	step->d = d;
}

/* Stores n blocks. */
AVX2_TARGET FORCE_INLINE void
store_step(const VectorStep *step, const uint32_t n, uint8_t *to)
{
	__m256i    *at = (__m256i *) to;

	_mm256_store_si256(at, step->a);
	_mm256_store_si256(at + 1, step->b);
	if (n > 1)
	{
		_mm256_store_si256(at + 2, step->c);
		_mm256_store_si256(at + 3, step->d);
	}
}

/* The same for processors with AVX2. */
AVX2_TARGET FORCE_INLINE void
and_avx2(const uint8_t *const *rows, uint32_t nrows, size_t offset,
		 uint8_t *to, const uint32_t n)
{
	VectorStep	step;

	and_step(rows, nrows, offset, n, &step);
	store_step(&step, n, to);
}
#endif

/*
 * Makes the kernel for masks of a width.  It combines the masks of one step
 * before it adds the leaves of the step before, so that the processor, which
 * looks ahead only so far, has work to do while it waits for the sum.
 */
#define MAKE_KERNEL(target, kind, width) \
target static float \
kind##_##width(const ChurnBitsState *state, const uint8_t *const *rows, \
			   uint32_t nrows, float margin) \
{ \
	const uint32_t per_block = CHURN_BITS_BLOCK * 8 / width; \
	const uint32_t per_step = STEP_BLOCKS * per_block; \
	_Alignas(CHURN_BITS_BLOCK) uint8_t masks[2][STEP_BYTES]; \
	const float *leaves = state->leaves; \
	uint32_t	left = state->ntrees; \
	uint32_t	next = 0; \
	size_t		offset = 0; \
\
	if (left > per_block) \
		and_##kind(rows, nrows, 0, masks[0], STEP_BLOCKS); \
	else if (left > 0) \
		and_##kind(rows, nrows, 0, masks[0], 1); \
	while (left > per_step) \
	{ \
		offset += STEP_BYTES; \
		next ^= 1; \
		if (left - per_step > per_block) \
			and_##kind(rows, nrows, offset, masks[next], STEP_BLOCKS); \
		else \
			and_##kind(rows, nrows, offset, masks[next], 1); \
		margin = add_leaves(margin, masks[next ^ 1], leaves, per_step, width); \
		leaves += per_step * width; \
		left -= per_step; \
	} \
	return add_leaves(margin, masks[next], leaves, left, width); \
}

MAKE_KERNEL(, portable, 8)
MAKE_KERNEL(, portable, 16)
MAKE_KERNEL(, portable, 32)
MAKE_KERNEL(, portable, 64)
#ifdef HAVE_AVX2_KERNELS
MAKE_KERNEL(AVX2_TARGET, avx2, 8)
MAKE_KERNEL(AVX2_TARGET, avx2, 16)
MAKE_KERNEL(AVX2_TARGET, avx2, 32)

/*
 * Adds the leaves of four trees with masks of 64 bits, straight from a vector,
 * which is cheaper than by way of memory.
 */
AVX2_TARGET FORCE_INLINE float
add_vector(float margin, __m256i masks, const float *leaves)
{
	const		__m128i low = _mm256_castsi256_si128(masks);
	const		__m128i high = _mm256_extracti128_si256(masks, 1);
	const uint64_t a = (uint64_t) _mm_cvtsi128_si64(low);
	const uint64_t b = (uint64_t) _mm_extract_epi64(low, 1);
	const uint64_t c = (uint64_t) _mm_cvtsi128_si64(high);
	const uint64_t d = (uint64_t) _mm_extract_epi64(high, 1);

	margin += leaves[__builtin_ctzll(a)];
	margin += leaves[64 + __builtin_ctzll(b)];
	margin += leaves[128 + __builtin_ctzll(c)];
	margin += leaves[192 + __builtin_ctzll(d)];
	return margin;
}

/* The kernel for masks of 64 bits, made as MAKE_KERNEL makes the others. */
AVX2_TARGET static float
avx2_64(const ChurnBitsState *state, const uint8_t *const *rows,
		uint32_t nrows, float margin)
{
	const float *leaves = state->leaves;
	uint32_t	left = state->ntrees;
	_Alignas(CHURN_BITS_BLOCK) uint8_t rest[STEP_BYTES];
	VectorStep	next;
	size_t		offset = 0;

	if (left == 0)
		return margin;
	if (left > 8)
		and_step(rows, nrows, 0, 2, &next);
	else
		and_step(rows, nrows, 0, 1, &next);
	while (left > 16)
	{
		const VectorStep step = next;

		offset += STEP_BYTES;
		if (left > 24)
			and_step(rows, nrows, offset, 2, &next);
		else
			and_step(rows, nrows, offset, 1, &next);
		margin = add_vector(margin, step.a, leaves);
		margin = add_vector(margin, step.b, leaves + 4 * 64);
		margin = add_vector(margin, step.c, leaves + 8 * 64);
		margin = add_vector(margin, step.d, leaves + 12 * 64);
		leaves += 16 * 64;
		left -= 16;
	}
	store_step(&next, 2, rest);
	return add_leaves(margin, rest, leaves, left, 64);
}
#endif

/* Chooses the kernel for masks of that width; see forest_bits.h. */
ChurnBitsKernel
churn_bits_kernel(uint32_t width, bool portable)
{
#ifdef HAVE_AVX2_KERNELS
	if (!portable && __builtin_cpu_supports("avx2") &&
		__builtin_cpu_supports("bmi"))
		return width == 8 ? avx2_8 : width == 16 ? avx2_16 :
			width == 32 ? avx2_32 : avx2_64;
#else
	(void) portable;
#endif
	return width == 8 ? portable_8 : width == 16 ? portable_16 :
		width == 32 ? portable_32 : portable_64;
}

/* Each member's own table row, where a group has none for them all. */
static __attribute__((noinline))
uint32_t
find_rare_rows(const ChurnBitsState *state, const ChurnBitsGroup *group,
			   const float *features, const uint8_t **rows)
{
	uint32_t	m;

	for (m = 0; m < group->nmembers; m++)
	{
		const ChurnBitsMember *member = &group->members[m];

		rows[m] = member->rows + state->row_bytes *
			churn_bin(member->binner, features[member->feature]);
	}
	return group->nmembers;
}

/*
 * Finds the row's table rows.  A group has one for every combination of dense
 * bins; where a member is in a rare one, each member has its own.
 */
static inline uint32_t
find_rows(const ChurnBitsState *state, const float *features,
		  const uint8_t **rows)
{
	uint32_t	nrows = 0;
	uint32_t	g;
	uint32_t	m;

	for (g = 0; g < state->ngroups; g++)
	{
		const ChurnBitsGroup *group = &state->groups[g];
		const ChurnBitsMember *member = group->members;
		uint32_t	offset = 0;
		uint32_t	rare = 0;

		for (m = 0; m < group->ncategorical; m++, member++)
		{
			float		value = features[member->feature];
			uint32_t	place = churn_code_place(value, member->ncodes);
			uint32_t	moves = member->offsets[place];

			offset += moves;
			rare |= moves;
		}
		for (; m < group->nmembers; m++, member++)
		{
			float		value = features[member->feature];
			uint32_t	bin = churn_bin_search(member->binner, value);

			if (value != value)
				bin = member->binner->missing;
			offset += bin * member->stride;
		}
		if (__builtin_expect(rare < CHURN_BITS_RARE, true))
			rows[nrows++] = group->rows + offset;
		else
			nrows += find_rare_rows(state, group, features, rows + nrows);
	}
	return nrows;
}

/* The margin of one row; see churn/forest.h. */
float
churn_bits_margin(const ChurnEvaluator *evaluator, const float *features,
				  void *workspace)
{
	const ChurnBitsState *state = evaluator->state;
	const uint8_t **rows = workspace;
	uint32_t	nrows = find_rows(state, features, rows);

	return state->kernel(state, rows, nrows, evaluator->base_margin);
}
