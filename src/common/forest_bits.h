/*
 * forest_bits.h
 *		Tables of leaf masks, made by forest_bits.c and read by
 *		forest_bits_row.c.
 */
#ifndef CHURN_FOREST_BITS_H
#define CHURN_FOREST_BITS_H

#include "forest_parts.h"

/* Rows are padded to whole blocks, and start at addresses divisible by it. */
#define CHURN_BITS_BLOCK		64

/*
 * One feature's part in a group: by which it moves the offset of the row in
 * the group's table.
 */
typedef struct ChurnBitsMember
{
	uint32_t	feature;
	uint32_t	stride;			/* bytes that a bin moves the row by */
	uint32_t	ncodes;			/* categorical: of the binner */
	const uint32_t *offsets;	/* the same by churn_code_place; else NULL */
	const ChurnBinner *binner;
	const uint8_t *rows;		/* its own rows by bin, for rare bins */
} ChurnBitsMember;

/* Instead of an offset: the bin is not in the group's table. */
#define CHURN_BITS_RARE			UINT32_C(0x80000000)

typedef struct ChurnBitsGroup
{
	uint32_t	ncategorical;	/* members[0 .. ncategorical) */
	uint32_t	nmembers;
	const ChurnBitsMember *members;
	const uint8_t *rows;		/* by combination of dense bins */
} ChurnBitsGroup;

typedef struct ChurnBitsState ChurnBitsState;

typedef float (*ChurnBitsKernel) (const ChurnBitsState *state,
								  const uint8_t *const *rows, uint32_t nrows,
								  float margin);

struct ChurnBitsState
{
	uint32_t	ntrees;
	uint32_t	ngroups;
	size_t		row_bytes;
	const ChurnBitsGroup *groups;
	const float *leaves;		/* width of them for each tree */
	ChurnBitsKernel kernel;
};

/* The fastest kernel for masks of that width, or the one without AVX2. */
extern ChurnBitsKernel churn_bits_kernel(uint32_t width, bool portable);

/* The margin function of evaluators with a ChurnBitsState. */
extern float churn_bits_margin(const ChurnEvaluator *evaluator,
							   const float *features, void *workspace);

#endif							/* CHURN_FOREST_BITS_H */
