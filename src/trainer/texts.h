/*
 * texts.h
 *		The different texts of a column, numbered as they come.
 */
#ifndef CHURN_TEXTS_H
#define CHURN_TEXTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A text column with more different values than this is left out. */
#define CHURN_TEXTS_MAX		4096

typedef struct ChurnText
{
	const char *bytes;			/* terminated */
	uint32_t	length;
	uint32_t	hash;
	float		number;			/* NaN if blank or no number */
} ChurnText;

typedef struct ChurnTexts
{
	ChurnText  *texts;
	uint32_t	count;
	bool		numbers;		/* all are numbers or blank */
	uint32_t	capacity;
	uint32_t   *slots;			/* number of a text + 1, or 0 for free */
	uint32_t	mask;			/* of slots; their count less one */
} ChurnTexts;

extern ChurnTexts *churn_texts_create(void);
extern void churn_texts_destroy(ChurnTexts *texts);

/*
 * The number of a text, which is new if it was not there; -1 if it is new and
 * there are CHURN_TEXTS_MAX already.
 */
extern int32_t churn_texts_number(ChurnTexts *texts, const char *bytes,
								  uint32_t length);

/* Bytewise order, a prefix first, as qsort() wants it for ChurnText. */
extern int	churn_texts_compare(const void *left, const void *right);

#endif							/* CHURN_TEXTS_H */
