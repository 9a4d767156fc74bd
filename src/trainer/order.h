/*
 * order.h
 *		The order of rows, which does not depend on how they arrived.
 */
#ifndef CHURN_ORDER_H
#define CHURN_ORDER_H

#include "rows.h"

/*
 * The parts of the data, in the order of their rows: since rows are split by
 * thresholds on the hash by which they are ordered, each part is a range.
 */
typedef enum ChurnPart
{
	CHURN_PART_TEST,
	CHURN_PART_VALIDATION,
	CHURN_PART_TRAIN,
	CHURN_NPARTS
} ChurnPart;

typedef struct ChurnOrder
{
	uint32_t   *rows;			/* number of each row as it arrived */
	uint8_t    *labels;			/* in the new order, as is all below */
	uint8_t    *joined;			/* 1: of the same key as the row before; NULL
								 * if no two rows are */
	size_t		repeated;		/* how many are 1 in joined */
	float	   *champion;		/* NULL unless the champion's scores came */
	size_t		nrows;
	size_t		start[CHURN_NPARTS + 1];	/* of each part */
} ChurnOrder;

/* Orders and splits the rows, and frees their marks. */
extern void churn_order_make(ChurnOrder *order, ChurnRows *rows);

#endif							/* CHURN_ORDER_H */
