/*
 * transform_run.c
 *		Derived features: evaluated row by row.
 *
 * Expressions are compiled once for rows of a shape, the statement's or the
 * training's, and both call the same code for each row.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "executor/tuptable.h"

#include "compat.h"
#include "transform.h"

/*
 * Prepares to evaluate transforms on rows of desc.
 */
ChurnTransforms *
churn_transforms_compile(const ChurnTransform *transforms, int n,
						 TupleDesc desc, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	ChurnTransforms *result = palloc0(sizeof(ChurnTransforms));
	int			i;

	result->n = n;
	result->derived = palloc0(sizeof(ChurnDerived) * n);
	result->values = palloc0(sizeof(Datum) * n);
	result->nulls = palloc0(sizeof(bool) * n);
	for (i = 0; i < n; i++)
	{
		ChurnDerived *derived = &result->derived[i];

		derived->transform = &transforms[i];
		derived->expression = churn_transform_parse(&transforms[i], desc);
		derived->state = ExecInitExpr(derived->expression->expr, NULL);
		derived->slot = MakeSingleTupleTableSlot(derived->expression->desc,
												 &TTSOpsVirtual);
	}
	result->econtext = CreateStandaloneExprContext();
	MemoryContextSwitchTo(old);
	return result;
}

/*
 * Error context callback while a row is evaluated.
 */
static void
run_context(void *arg)
{
	const ChurnTransforms *transforms = arg;

	churn_transform_context(transforms->derived[transforms->current].transform);
}

/*
 * Evaluates the transforms on a row that comes as arrays or, if row is not
 * NULL, as arguments.
 */
static inline void
run(ChurnTransforms *transforms, const Datum *values, const bool *nulls,
	const NullableDatum *row)
{
	ExprContext *econtext = transforms->econtext;
	ErrorContextCallback callback;
	int			i;
	int			j;

	callback.callback = run_context;
	callback.arg = transforms;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	ResetExprContext(econtext);
	for (i = 0; i < transforms->n; i++)
	{
		ChurnDerived *derived = &transforms->derived[i];
		const ChurnExpression *expression = derived->expression;
		TupleTableSlot *slot = derived->slot;

		ExecClearTuple(slot);
		for (j = 0; j < expression->ncolumns; j++)
		{
			int			column = expression->columns[j];

			slot->tts_values[j] = row ? row[column].value : values[column];
			slot->tts_isnull[j] = row ? row[column].isnull : nulls[column];
		}
		ExecStoreVirtualTuple(slot);
		econtext->ecxt_scantuple = slot;
		transforms->current = i;
		transforms->values[i] =
			ExecEvalExprSwitchContext(derived->state, econtext,
									  &transforms->nulls[i]);
	}
	error_context_stack = callback.previous;
}

/*
 * Evaluates the transforms on a row that comes as arrays.
 */
void
churn_transforms_run(ChurnTransforms *transforms, const Datum *values,
					 const bool *nulls)
{
	run(transforms, values, nulls, NULL);
}

/*
 * The same for a row that comes as function arguments.
 */
void
churn_transforms_run_arguments(ChurnTransforms *transforms,
							   const NullableDatum *row)
{
	run(transforms, NULL, NULL, row);
}
