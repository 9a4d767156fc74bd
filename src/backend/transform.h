/*
 * transform.h
 *		Derived features: SQL expressions stored with a model.
 *
 * An expression sees the columns of one row and nothing else: immutable
 * functions and operators that PostgreSQL brings along, on the row's own
 * values.  So it gives the same at training and at scoring, for every role
 * and under every search_path, and no rights are at stake when one role
 * evaluates what another wrote.
 */
#ifndef CHURN_TRANSFORM_H
#define CHURN_TRANSFORM_H

#include "access/tupdesc.h"
#include "nodes/execnodes.h"
#include "nodes/primnodes.h"
#include "parser/parse_node.h"

typedef struct ChurnTransform
{
	const char *name;			/* of the feature */
	const char *text;			/* the expression */
	const char *model;			/* NULL while the model is being trained */
} ChurnTransform;

/* An expression that has been checked, for rows of one shape. */
typedef struct ChurnExpression
{
	Expr	   *expr;			/* planned; Var i + 1 is columns[i] */
	Oid			type;
	int			ncolumns;
	int		   *columns;		/* indexes into the columns of the row */
	TupleDesc	desc;			/* of these columns */
} ChurnExpression;

/* The transforms of a row, ready to be evaluated. */
typedef struct ChurnDerived
{
	const ChurnTransform *transform;
	ChurnExpression *expression;
	ExprState  *state;
	TupleTableSlot *slot;		/* holds the columns of the expression */
} ChurnDerived;

typedef struct ChurnTransforms
{
	int			n;
	ChurnDerived *derived;
	ExprContext *econtext;
	int			current;		/* the one being evaluated, for errors */
	Datum	   *values;			/* of the last row */
	bool	   *nulls;
} ChurnTransforms;

/*
 * Parses a transform over the columns of desc, in the current memory context.
 * Whatever is wrong with it, or could make its value depend on more than the
 * row, is an error.
 */
extern ChurnExpression *churn_transform_parse(const ChurnTransform *transform,
											  TupleDesc desc);

/* Complains of a transform that is wrong whatever the columns are. */
extern void churn_transform_check_syntax(const ChurnTransform *transform);

/* Prepares to evaluate transforms on rows of desc. */
extern ChurnTransforms *churn_transforms_compile(const ChurnTransform *transforms,
												 int n, TupleDesc desc,
												 MemoryContext context);

/*
 * Evaluates the transforms on a row, into values and nulls, which are good
 * until the next row.  The row comes as arrays or, the second, as function
 * arguments.
 */
extern void churn_transforms_run(ChurnTransforms *transforms,
								 const Datum *values, const bool *nulls);
extern void churn_transforms_run_arguments(ChurnTransforms *transforms,
										   const NullableDatum *row);

/* For errors while a transform is parsed or evaluated. */
extern void churn_transform_context(const ChurnTransform *transform);

/*
 * What transform_check.c refuses: of a raw expression, whose literals it
 * returns (a list of A_Const), and of an analyzed one.  The latter returns
 * whether all types are built in.
 */
extern List *churn_transform_check_raw(ParseState *pstate, Node *raw);
extern bool churn_transform_check(ParseState *pstate, Node *expr,
								  List *literals);

#endif							/* CHURN_TRANSFORM_H */
