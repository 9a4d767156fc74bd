/*
 * churn/protocol.h
 *		What the extension and churn-trainer say to each other.
 *
 * One stream socket, descriptor CHURN_TRAINER_FD in the trainer.  A frame is
 * one byte of type, four bytes of payload length, the payload; numbers are in
 * the machine's own order, unaligned.  The extension sends CONFIG, waits for
 * READY, sends ROWS frames and END, and reads until RESULT; the trainer may
 * send PROGRESS and NOTICE at any time and ends with RESULT or FAILURE.  End
 * of input at any other point makes the trainer exit.
 */
#ifndef CHURN_PROTOCOL_H
#define CHURN_PROTOCOL_H

#include <stdint.h>

#define CHURN_PROTOCOL_VERSION	1
#define CHURN_TRAINER_FD		0
#define CHURN_FRAME_HEADER		5
#define CHURN_FRAME_MAX			(1024 * 1024)

/* extension -> trainer */
#define CHURN_FRAME_CONFIG		'C' /* JSON object, see below */
#define CHURN_FRAME_ROWS		'R' /* whole rows, see below */
#define CHURN_FRAME_END			'E' /* empty: no more rows */

/* trainer -> extension */
#define CHURN_FRAME_READY		'K' /* empty: CONFIG is accepted */
#define CHURN_FRAME_PROGRESS	'P' /* ChurnProgress */
#define CHURN_FRAME_NOTICE		'N' /* JSON: level, message, detail, hint */
#define CHURN_FRAME_FAILURE		'F' /* JSON: sqlstate, message, detail, hint */
#define CHURN_FRAME_ARTIFACT	'A' /* next piece of the model file (UBJSON) */
#define CHURN_FRAME_RESULT		'M' /* JSON object, see below; the last frame */

/*
 * CONFIG:
 *	{"protocol": 1, "algorithm": "auto",
 *	 "columns": [{"name": "tenure", "kind": "number", "type": "integer"},
 *				 {"name": "rate", "kind": "number", "type": "numeric",
 *				  "transform": "SQL expression"}, …],
 *	 "params": {…as given…}, "options": {…as given…},
 *	 "rules": [{"column": "rule 1", "score": 0.7}, …],		only if given
 *	 "split_seed": "123", "has_key": true, "has_champion": false,
 *	 "duplicate_keys": "notice", "threads": 1, "estimated_rows": 7043,
 *	 "as_of": {"column": "period"},				as_of only when it is a column
 *	 "rules": [{"column": "rule 1", "score": 0.7}, …]}	the user's, if given
 *
 * kind of a column is number, boolean, age (all sent as a float) or text
 * (which the trainer makes a category, a number or nothing).  A column that a
 * transform computes has the expression as "transform", which goes into the
 * model as it is.  Rules come with their columns, all boolean, and no others;
 * a rule holds where its column is true.  The extension
 * passes params and options as the user gave them, less the options that are
 * its own (promote, as_of, validate); the trainer knows the names, types and ranges and
 * answers an unknown one with FAILURE 22023.
 *
 * duplicate_keys says what it is that several rows have the same key: "error"
 * (FAILURE 22000), "warning" or "notice" (an issue of that severity).
 *
 * A row in ROWS:
 *	uint8 label (0 stays, 1 churned)
 *	float champion's score, NaN if it has none		only if has_champion
 *	uint16 length, bytes of the key					only if has_key
 *	per column: float (NaN is NULL), or for text uint16 length and bytes,
 *	where length CHURN_TEXT_NULL and CHURN_TEXT_LONG have no bytes
 *
 * RESULT:
 *	{"algorithm": "xgboost", "rows": 7043, "train_rows": …,
 *	 "validation_rows": …, "test_rows": …, "positives": …,
 *	 "train_positives": …, "validation_positives": …, "test_positives": …,
 *	 "duplicates_dropped": …, "threshold": 0.31, "rounds": 141,
 *	 "metrics": [{"dataset": "test", "candidate": "", "metric": "pr_auc",
 *				  "value": 0.66, "spread": null, "n": 1409,
 *				  "folds": [0.65, …]}, …],		folds only of dataset "cv"
 *	 "candidates": [{"candidate": "xgboost 2", "algorithm": "xgboost",
 *					 "rank": 1, "chosen": true, "reason": "won: …",
 *					 "params": {…}, "rounds": 180, "seconds": 1.2},
 *					{"candidate": "blend", …, "members": […]}, …],
 *	 "truncated": false, "calibration": "why this one", "issues": […],
 *	 "champion_pr_auc": 0.65 or null, "fingerprint": "32 hex digits",
 *	 "features": [{"name": …, "kind": …, "type": …, "text_number": …,
 *				   "categories": […], "transform": …,
 *				   "importance": gain share, "mean_abs_shap": log-odds}, …],
 *	 "params": {…in effect…}, "seed": "42",
 *	 "library_versions": {"xgboost": "1.7.4"},
 *	 "issues": [{"severity": "warning", "kind": "pair_separates",
 *				 "feature": "begin", "other_feature": "tenure",
 *				 "statistic": "auc", "value": 0.99, "rows": 4218,
 *				 "message": …, "detail": …}, …],	as trainer/checks.h lists them
 *	 "peak_memory_bytes": …}
 */
#define CHURN_TEXT_NULL		0xFFFF
#define CHURN_TEXT_LONG		0xFFFE	/* longer than CHURN_TEXT_MAX bytes */
#define CHURN_TEXT_MAX		1024

/*
 * A row belongs to the test part if churn_hash_unit() of churn_hash64() of its
 * key, with the split seed, is below the option test_fraction, whose default
 * is this.
 */
#define CHURN_TEST_FRACTION	0.25

typedef enum ChurnPhase
{
	CHURN_PHASE_STARTING = 0,
	CHURN_PHASE_READING,		/* rows are streamed */
	CHURN_PHASE_PREPARING,		/* sorting, splitting, binning */
	CHURN_PHASE_COMPARING,		/* candidates by cross-validation; a round is
								 * a fit */
	CHURN_PHASE_TRAINING,		/* the model itself */
	CHURN_PHASE_EVALUATING,		/* threshold, test metrics */
	CHURN_PHASE_SAVING			/* model file and registry */
} ChurnPhase;

typedef struct ChurnProgress
{
	uint32_t	phase;			/* ChurnPhase */
	uint32_t	round;			/* rounds finished */
	uint32_t	rounds;			/* at most so many */
	uint32_t	unused;
	uint64_t	rows;			/* rows received */
	double		metric;			/* last validation log loss, NaN if none */
} ChurnProgress;

#endif							/* CHURN_PROTOCOL_H */
