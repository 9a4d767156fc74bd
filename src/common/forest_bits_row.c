/*
 * forest_bits_row.c
 *		Evaluating one row by the tables of leaf masks (see forest_bits.c).
 */
#include <string.h>

#include "forest_bits.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define HAVE_AVX2_KERNELS
#include <immintrin.h>
#endif

/* Kernels are inlined where the width of masks is a constant. */
#define FORCE_INLINE static inline __attribute__((always_inline))

/* Returns the number of the lowest leaf in the mask of the i-th tree. */
FORCE_INLINE uint32_t
lowest_leaf(const uint8_t *masks, uint32_t i, const uint32_t width)
{
	uint64_t	mask64;
	uint32_t	mask32;
	uint16_t	mask16;

	switch (width)
	{
		case 8:
			return (uint32_t) __builtin_ctz(masks[i]);
		case 16:
			memcpy(&mask16, masks + i * 2, 2);
			return (uint32_t) __builtin_ctz(mask16);
		case 32:
			memcpy(&mask32, masks + i * 4, 4);
			return (uint32_t) __builtin_ctz(mask32);
		default:
			memcpy(&mask64, masks + i * 8, 8);
			return (uint32_t) __builtin_ctzll(mask64);
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
	uint32_t	i;

	for (i = 0; i < n; i++)
	{
		margin += leaves[i * width + lowest_leaf(masks, i, width)];
	}
	return margin;
}

/* The same for a block of masks, eight trees at a time. */
FORCE_INLINE float
add_block(float margin, const uint8_t *masks, const float *leaves, uint32_t n,
		  const uint32_t width)
{
	uint32_t	i;

	for (i = 0; i + 8 <= n; i += 8)
	{
		const uint8_t *at = masks + i * (width / 8);
		const float *from = leaves + i * width;

#define ADD_LEAF(k) \
		margin = add_leaves(margin, at + (k) * (width / 8), \
							from + (k) * width, 1, width)
		ADD_LEAF(0);
		ADD_LEAF(1);
		ADD_LEAF(2);
		ADD_LEAF(3);
		ADD_LEAF(4);
		ADD_LEAF(5);
		ADD_LEAF(6);
		ADD_LEAF(7);
#undef ADD_LEAF
	}
	return add_leaves(margin, masks + i * (width / 8), leaves + i * width,
					  n - i, width);
}

/* Number of trees in the block that begins with tree first. */
static inline uint32_t
trees_in_block(const ChurnBitsState *state, uint32_t first,
			   const uint32_t width)
{
	const uint32_t all = CHURN_BITS_BLOCK * 8 / width;
	uint32_t	left = state->ntrees - first;

	return left < all ? left : all;
}

/*
 * The kernel for any processor, by the compiler's vectors of 16 bytes, which
 * every 64-bit processor has or which become ordinary words.
 */
typedef uint64_t Vector __attribute__((vector_size(16)));

FORCE_INLINE float
portable_kernel(const ChurnBitsState *state, const uint8_t *const *rows,
				uint32_t nrows, float margin, const uint32_t width)
{
	const uint32_t per_block = CHURN_BITS_BLOCK * 8 / width;
	Vector		block[CHURN_BITS_BLOCK / sizeof(Vector)];
	Vector		other[CHURN_BITS_BLOCK / sizeof(Vector)];
	size_t		offset = 0;
	uint32_t	tree;

	for (tree = 0; tree < state->ntrees; tree += per_block)
	{
		uint32_t	row;

		memcpy(block, rows[0] + offset, CHURN_BITS_BLOCK);
		for (row = 1; row < nrows; row++)
		{
			memcpy(other, rows[row] + offset, CHURN_BITS_BLOCK);
			block[0] &= other[0];
			block[1] &= other[1];
			block[2] &= other[2];
			block[3] &= other[3];
		}
		margin = add_block(margin, (const uint8_t *) block,
						   state->leaves + (size_t) tree * width,
						   trees_in_block(state, tree, width), width);
		offset += CHURN_BITS_BLOCK;
	}
	return margin;
}

#ifdef HAVE_AVX2_KERNELS
#define AVX2_TARGET __attribute__((target("avx2,bmi")))
#define AVX2_INLINE AVX2_TARGET FORCE_INLINE

/* The kernel for processors with AVX2 and BMI1. */
AVX2_INLINE float
avx2_kernel(const ChurnBitsState *state, const uint8_t *const *rows,
			uint32_t nrows, float margin, const uint32_t width)
{
	const uint32_t per_block = CHURN_BITS_BLOCK * 8 / width;
	_Alignas(CHURN_BITS_BLOCK) uint8_t block[CHURN_BITS_BLOCK];
	size_t		offset = 0;
	uint32_t	tree;

	for (tree = 0; tree < state->ntrees; tree += per_block)
	{
		const		__m256i *from = (const __m256i *) (rows[0] + offset);
		__m256i		low = _mm256_load_si256(from);
		__m256i		high = _mm256_load_si256(from + 1);
		uint32_t	row;

		for (row = 1; row < nrows; row++)
		{
			from = (const __m256i *) (rows[row] + offset);
			low = _mm256_and_si256(low, _mm256_load_si256(from));
			high = _mm256_and_si256(high, _mm256_load_si256(from + 1));
		}
		_mm256_store_si256((__m256i *) block, low);
		_mm256_store_si256((__m256i *) block + 1, high);
		margin = add_block(margin, block,
						   state->leaves + (size_t) tree * width,
						   trees_in_block(state, tree, width), width);
		offset += CHURN_BITS_BLOCK;
	}
	return margin;
}
#endif

/* The kernels by width of the masks. */
#define MAKE_KERNEL(target, kind, width) \
target static float \
kind##_##width(const ChurnBitsState *state, const uint8_t *const *rows, \
			   uint32_t nrows, float margin) \
{ \
	return kind##_kernel(state, rows, nrows, margin, width); \
}

MAKE_KERNEL(, portable, 8)
MAKE_KERNEL(, portable, 16)
MAKE_KERNEL(, portable, 32)
MAKE_KERNEL(, portable, 64)
#ifdef HAVE_AVX2_KERNELS
MAKE_KERNEL(AVX2_TARGET, avx2, 8)
MAKE_KERNEL(AVX2_TARGET, avx2, 16)
MAKE_KERNEL(AVX2_TARGET, avx2, 32)
MAKE_KERNEL(AVX2_TARGET, avx2, 64)
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

/*
 * Finds the row's table rows.  A group has one for every combination of dense
 * bins; where a member is in a rare one, each member has its own.
 */
static uint32_t
find_rows(const ChurnBitsState *state, const float *features,
		  const uint8_t **rows)
{
	uint32_t	nrows = 0;
	uint32_t	g;
	uint32_t	m;

	for (g = 0; g < state->ngroups; g++)
	{
		const ChurnBitsGroup *group = &state->groups[g];
		uint32_t	at = 0;
		bool		rare = false;

		for (m = 0; m < group->nmembers; m++)
		{
			const ChurnBitsMember *member = &group->members[m];
			const ChurnBinner *binner = member->binner;
			uint32_t	bin = churn_bin(binner, features[binner->feature]);

			rare |= bin >= binner->ndense;
			at += bin * member->stride;
		}
		if (!rare || group->nmembers == 1)
		{
			rows[nrows++] = group->rows + at * state->row_bytes;
			continue;
		}
		for (m = 0; m < group->nmembers; m++)
		{
			const ChurnBitsMember *member = &group->members[m];
			const ChurnBinner *binner = member->binner;

			rows[nrows++] = member->rows + state->row_bytes *
				churn_bin(binner, features[binner->feature]);
		}
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
