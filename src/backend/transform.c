/*
 * transform.c
 *		Derived features: from text to a checked expression.
 *
 * Names are looked up in pg_catalog alone and literals are read under fixed
 * settings, so that a text means the same in every session.  What may occur
 * in it is decided in transform_check.c.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "compat.h"
#include "features.h"
#include "source.h"
#include "transform.h"

/* Expressions kept parsed; beyond so many, all are forgotten. */
#define CACHED_EXPRESSIONS	128

/* What resolve_column() knows. */
typedef struct ColumnState
{
	const ChurnTransform *transform;
	TupleDesc	desc;			/* of the row */
	int			ncolumns;		/* found so far */
	int		   *columns;
} ColumnState;

/*
 * A parsed expression that does not hang on anything that can change: all in
 * it is built in.  It serves again where the columns are the same.
 */
typedef struct KeptExpression
{
	char	   *text;
	ChurnExpression expression; /* without columns */
} KeptExpression;

static MemoryContext cache_context = NULL;
static KeptExpression cache[CACHED_EXPRESSIONS];
static int	ncached = 0;

/*
 * Says in an error's context which transform it was, with its text unless
 * that is shown anyway, and what helps.
 */
void
churn_transform_context(const ChurnTransform *transform)
{
	int			code = geterrcode();
	bool		shown = getinternalerrposition() > 0;

	if (code == ERRCODE_DIVISION_BY_ZERO)
		errhint("A division by nullif(..., 0) gives NULL instead, which counts as missing.");
	else if (code == ERRCODE_UNDEFINED_FUNCTION && transform->model == NULL)
		errhint("Only PostgreSQL's own functions and operators can be used; arguments may need casts.");
	else if (code == ERRCODE_UNDEFINED_FUNCTION)
		errhint("Columns may be of other types than when the model was trained; cast them in a view or a sub-select, or train a new version.");
	if (transform->model != NULL)
		errcontext("transform \"%s\" of model \"%s\"%s%s", transform->name,
				   transform->model, shown ? "" : ": ",
				   shown ? "" : transform->text);
	else
		errcontext("transform \"%s\"%s%s", transform->name,
				   shown ? "" : ": ", shown ? "" : transform->text);
}

/*
 * Error context callback of churn_transform_parse(): positions count within
 * the expression, not within the client's statement.
 */
static void
parse_context(void *arg)
{
	const ChurnTransform *transform = arg;
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(transform->text);
	}
	churn_transform_context(transform);
}

/*
 * Makes the session's settings those under which all expressions are read.
 * Returns what AtEOXact_GUC() wants to undo it.
 */
static int
fix_settings(void)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"datestyle", "ISO, YMD"},
		{"timezone", "UTC"},
		{"intervalstyle", "postgres"},
		{"extra_float_digits", "1"},
		{"standard_conforming_strings", "on"},
		{"transform_null_equals", "off"},
	};
	int			nestlevel = NewGUCNestLevel();
	size_t		i;

	for (i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								 false);
	return nestlevel;
}

/*
 * Complains of a column that a row lacks.
 */
static void
missing_column(ParseState *pstate, const ColumnState *state, const char *name,
			   int location)
{
	const ChurnTransform *transform = state->transform;

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 transform->model != NULL ?
			 errmsg("row has no column \"%s\", which transform \"%s\" of model \"%s\" needs",
					name, transform->name, transform->model) :
			 errmsg("column \"%s\" of transform \"%s\" does not exist", name,
					transform->name),
			 errhint("%s", transform->model != NULL ?
					 "Pass a row with the columns that the model was trained on, for example \"customers.*\"." :
					 churn_column_hint(state->desc, name)),
			 parser_errposition(pstate, location)));
}

/*
 * Parser hook: makes a column's name a Var that numbers the columns used.
 * Domains are looked through, for what they allow was checked when the value
 * was stored.
 */
static Node *
resolve_column(ParseState *pstate, ColumnRef *ref)
{
	ColumnState *state = pstate->p_ref_hook_state;
	Form_pg_attribute att;
	const char *name;
	int			column;
	int			i;
	int32		typmod;
	Oid			type;
	Var		   *var;

	if (list_length(ref->fields) != 1 || !IsA(linitial(ref->fields), String))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("\"%s\" is not the name of a column",
						NameListToString(ref->fields)),
				 errhint("Name columns alone, without a table before them."),
				 parser_errposition(pstate, ref->location)));
	name = strVal(linitial(ref->fields));
	column = churn_find_column(state->desc, name);
	if (column < 0)
		missing_column(pstate, state, name, ref->location);
	for (i = 0; i < state->ncolumns && state->columns[i] != column; i++)
		;
	if (i == state->ncolumns)
		state->columns[state->ncolumns++] = column;

	att = TupleDescAttr(state->desc, column);
	typmod = att->atttypmod;
	type = getBaseTypeAndTypmod(att->atttypid, &typmod);
	var = makeVar(1, i + 1, type, typmod, att->attcollation, 0);
	var->location = ref->location;
	return (Node *) var;
}

/*
 * The one expression that the text is.
 */
static Node *
parse_raw(const char *text)
{
	List	   *list = raw_parser(text, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *select = linitial_node(SelectStmt,
									   list_make1(linitial_node(RawStmt, list)->stmt));
	ResTarget  *target = select->targetList == NIL ? NULL :
	linitial_node(ResTarget, select->targetList);

	if (list_length(select->targetList) != 1 || target->name != NULL ||
		select->distinctClause != NIL || select->fromClause != NIL ||
		select->whereClause != NULL || select->groupClause != NIL ||
		select->havingClause != NULL || select->windowClause != NIL ||
		select->sortClause != NIL || select->limitOffset != NULL ||
		select->limitCount != NULL || select->lockingClause != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("not a single expression"),
				 errhint("Write what could stand for one column between SELECT and FROM, without a name.")));
	return target->val;
}

/*
 * A descriptor of the columns that an expression uses.
 */
static TupleDesc
used_columns(const ColumnState *state)
{
	TupleDesc	desc = CreateTemplateTupleDesc(state->ncolumns);
	int			i;

	for (i = 0; i < state->ncolumns; i++)
	{
		Form_pg_attribute att = TupleDescAttr(state->desc, state->columns[i]);
		int32		typmod = att->atttypmod;
		Oid			type = getBaseTypeAndTypmod(att->atttypid, &typmod);

		TupleDescInitEntry(desc, i + 1, NameStr(att->attname), type, typmod,
						   0);
		TupleDescInitEntryCollation(desc, i + 1, att->attcollation);
	}
	return desc;
}

/*
 * Parses, checks and plans an expression.  *built_in tells whether it may be
 * kept.
 */
static ChurnExpression *
parse(const ChurnTransform *transform, TupleDesc desc, bool *built_in)
{
	ChurnExpression *result = palloc0(sizeof(ChurnExpression));
	ParseState *pstate = make_parsestate(NULL);
	ColumnState state = {transform, desc, 0, NULL};
	int			nestlevel = fix_settings();
	Node	   *raw = parse_raw(transform->text);
	Node	   *expr;
	List	   *literals;

	state.columns = palloc(sizeof(int) * Max(desc->natts, 1));
	pstate->p_sourcetext = transform->text;
	pstate->p_pre_columnref_hook = resolve_column;
	pstate->p_ref_hook_state = &state;
	literals = churn_transform_check_raw(pstate, raw);
	expr = transformExpr(pstate, raw, EXPR_KIND_SELECT_TARGET);
	if (exprType(expr) == UNKNOWNOID)
		expr = coerce_type(pstate, expr, UNKNOWNOID, TEXTOID, -1,
						   COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1);
	assign_expr_collations(pstate, expr);
	*built_in = churn_transform_check(pstate, expr, literals);
	free_parsestate(pstate);
	result->type = exprType(expr);
	result->expr = expression_planner((Expr *) expr);
	result->ncolumns = state.ncolumns;
	result->columns = state.columns;
	result->desc = used_columns(&state);
	AtEOXact_GUC(false, nestlevel);
	return result;
}

/*
 * Whether the columns that a kept expression uses are in desc as they were;
 * sets *columns to where.
 */
static bool
same_columns(TupleDesc used, TupleDesc desc, int *columns)
{
	int			i;

	for (i = 0; i < used->natts; i++)
	{
		Form_pg_attribute was = TupleDescAttr(used, i);
		Form_pg_attribute is;
		int32		typmod;

		columns[i] = churn_find_column(desc, NameStr(was->attname));
		if (columns[i] < 0)
			return false;
		is = TupleDescAttr(desc, columns[i]);
		typmod = is->atttypmod;
		if (getBaseTypeAndTypmod(is->atttypid, &typmod) != was->atttypid ||
			typmod != was->atttypmod || is->attcollation != was->attcollation)
			return false;
	}
	return true;
}

/*
 * Finds an expression among those kept, and copies it; NULL if it is none.
 */
static ChurnExpression *
find_cached(const ChurnTransform *transform, TupleDesc desc)
{
	int		   *columns = palloc(sizeof(int) * Max(desc->natts, 1));
	int			i;

	for (i = 0; i < ncached; i++)
	{
		ChurnExpression *kept = &cache[i].expression;
		ChurnExpression *result;

		if (strcmp(cache[i].text, transform->text) != 0 ||
			!same_columns(kept->desc, desc, columns))
			continue;
		result = palloc(sizeof(ChurnExpression));
		*result = *kept;
		result->expr = copyObject(kept->expr);
		result->columns = columns;
		result->desc = CreateTupleDescCopy(kept->desc);
		return result;
	}
	pfree(columns);
	return NULL;
}

/*
 * Keeps an expression.
 */
static void
keep(const ChurnTransform *transform, const ChurnExpression *expression)
{
	MemoryContext old;
	KeptExpression *entry;

	if (cache_context == NULL)
		cache_context = AllocSetContextCreate(CacheMemoryContext,
											  "churn transforms",
											  ALLOCSET_DEFAULT_SIZES);
	if (ncached == CACHED_EXPRESSIONS)
	{
		ncached = 0;
		MemoryContextReset(cache_context);
	}
	entry = &cache[ncached];
	old = MemoryContextSwitchTo(cache_context);
	entry->text = pstrdup(transform->text);
	entry->expression = *expression;
	entry->expression.expr = copyObject(expression->expr);
	entry->expression.columns = NULL;
	entry->expression.desc = CreateTupleDescCopy(expression->desc);
	MemoryContextSwitchTo(old);
	ncached++;
}

/*
 * Parses a transform over the columns of desc.
 */
ChurnExpression *
churn_transform_parse(const ChurnTransform *transform, TupleDesc desc)
{
	ChurnExpression *result = find_cached(transform, desc);
	ErrorContextCallback callback;
	bool		built_in;

	if (result != NULL)
		return result;
	callback.callback = parse_context;
	callback.arg = unconstify(ChurnTransform *, transform);
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	result = parse(transform, desc, &built_in);
	error_context_stack = callback.previous;
	if (built_in)
		keep(transform, result);
	return result;
}

/*
 * Complains of a transform that no columns could make right.
 */
void
churn_transform_check_syntax(const ChurnTransform *transform)
{
	ErrorContextCallback callback;
	ParseState *pstate = make_parsestate(NULL);
	int			nestlevel = fix_settings();

	callback.callback = parse_context;
	callback.arg = unconstify(ChurnTransform *, transform);
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	pstate->p_sourcetext = transform->text;
	(void) churn_transform_check_raw(pstate, parse_raw(transform->text));
	error_context_stack = callback.previous;
	free_parsestate(pstate);
	AtEOXact_GUC(false, nestlevel);
}
