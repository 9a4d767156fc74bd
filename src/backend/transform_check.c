/*
 * transform_check.c
 *		What an expression of a model may be made of.
 *
 * Columns, constants, and functions, operators and casts that PostgreSQL
 * brings along and that are immutable.  Everything else is refused by name:
 * what reads more than the row, what may give another result at another time,
 * and what a user can define, for the one who evaluates a transform is often
 * not the one who wrote it.  "Built in" is what initdb makes, whose OIDs are
 * below FirstNormalObjectId; extensions' objects are not.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "compat.h"
#include "transform.h"

typedef struct CheckState
{
	ParseState *pstate;
	List	   *literals;		/* of A_Const: the strings as written */
	bool		built_in;		/* no type met so far is a user's */
} CheckState;

/*
 * Complains of something that has no place in an expression over one row.
 */
static void
refuse(CheckState *state, const char *what, int location)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot use %s in an expression of a model", what),
			 errhint("It may have columns of the row, constants, immutable built-in functions and operators, casts, CASE, COALESCE, NULLIF, GREATEST, LEAST and ARRAY."),
			 parser_errposition(state->pstate, location)));
}

/*
 * Complains of something that a user made.
 */
static void
not_built_in(CheckState *state, const char *what, const char *name,
			 int location)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("%s \"%s\" is not a built-in %s", what, name, what),
			 errdetail("The expression is stored with the model and evaluated for whoever scores with it, so that only what PostgreSQL itself brings along is safe."),
			 errhint("Compute what needs it in a view."),
			 parser_errposition(state->pstate, location)));
}

/*
 * Complains of something whose result may change.
 */
static void
not_immutable(CheckState *state, const char *what, const char *name,
			  int location)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("%s \"%s\" is not immutable", what, name),
			 errdetail("It may give another result for the same row at another time, or under other settings."),
			 errhint("Compute what needs it in a view.  Ages need no expression: dates and timestamps count back from options.as_of by themselves."),
			 parser_errposition(state->pstate, location)));
}

/*
 * Checks a function by itself, or what a cast or an operator calls.
 */
static void
check_function(CheckState *state, Oid function, const char *what,
			   const char *name, int location)
{
	if (function >= FirstNormalObjectId)
		not_built_in(state, what, name ? name : format_procedure(function),
					 location);
	if (func_volatile(function) != PROVOLATILE_IMMUTABLE)
		not_immutable(state, what, name ? name : format_procedure(function),
					  location);
}

/*
 * Checks an operator and what it calls.
 */
static void
check_operator(CheckState *state, Oid operator, int location)
{
	const char *name = format_operator(operator);

	if (operator >= FirstNormalObjectId)
		not_built_in(state, "operator", name, location);
	check_function(state, get_opcode(operator), "operator", name, location);
}

/*
 * Checks the cast that leads from one type to another, if that has an entry
 * in pg_cast.
 */
static void
check_cast(CheckState *state, Oid source, Oid target, int location)
{
	HeapTuple	tuple = SearchSysCache2(CASTSOURCETARGET,
										ObjectIdGetDatum(source),
										ObjectIdGetDatum(target));
	Oid			cast;

	if (!HeapTupleIsValid(tuple))
		return;
	cast = ((Form_pg_cast) GETSTRUCT(tuple))->oid;
	ReleaseSysCache(tuple);
	if (cast >= FirstNormalObjectId)
		not_built_in(state, "cast",
					 psprintf("%s AS %s", format_type_be(source),
							  format_type_be(target)), location);
}

/*
 * Checks a cast by way of text: neither type's functions may depend on
 * settings, as those of dates do.
 */
static void
check_text_cast(CheckState *state, CoerceViaIO *cast)
{
	Oid			source = exprType((Node *) cast->arg);
	const char *name = psprintf("%s AS %s", format_type_be(source),
								format_type_be(cast->resulttype));
	int			location = exprLocation((Node *) cast);
	Oid			function;
	Oid			parameter;
	bool		varlena;

	check_cast(state, source, cast->resulttype, location);
	getTypeOutputInfo(source, &function, &varlena);
	check_function(state, function, "cast", name, location);
	getTypeInputInfo(cast->resulttype, &function, &parameter);
	check_function(state, function, "cast", name, location);
}

/*
 * Checks a type.  Enums are data rather than code, so they may be a user's;
 * but then the expression is not kept, since labels may change.
 */
static void
check_type(CheckState *state, Oid type, int location)
{
	Oid			element;

	if (type < FirstNormalObjectId)
		return;
	element = get_element_type(type);
	state->built_in = false;
	if (!type_is_enum(OidIsValid(element) ? element : type))
		not_built_in(state, "type", format_type_be(type), location);
}

static void
check_collation(CheckState *state, Oid collation, int location)
{
	if (collation >= FirstNormalObjectId)
		not_built_in(state, "collation", get_collation_name(collation),
					 location);
}

/*
 * Whether a literal of a date or time means the time at which it is read.
 */
static bool
means_now(CheckState *state, int location)
{
	static const char *const words[] = {"now", "today", "tomorrow",
	"yesterday"};
	ListCell   *cell;

	foreach(cell, state->literals)
	{
		A_Const    *literal = lfirst(cell);
		char	   *text;
		size_t		i;

		if (literal->location != location)
			continue;
		text = asc_tolower(strVal(&literal->val), strlen(strVal(&literal->val)));

		for (i = 0; i < lengthof(words); i++)
		{
			if (strstr(text, words[i]) != NULL)
				return true;
		}
	}
	return false;
}

/*
 * Checks a constant.  Reading one is immutable for most types; dates and
 * times are read under fixed settings, which makes it so for them.  Others,
 * such as regclass, are looked up anew each time.
 */
static void
check_constant(CheckState *state, const Const *constant)
{
	Oid			type = constant->consttype;
	Oid			inner = get_element_type(type);
	Oid			function;
	Oid			parameter;

	if (!OidIsValid(inner))
		inner = get_range_subtype(type);
	if (OidIsValid(inner))
		type = inner;
	switch (type)
	{
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			if (means_now(state, constant->location))
				refuse(state, "constants that mean the present",
					   constant->location);
			return;
		case INTERVALOID:
			return;
	}
	if (type_is_enum(type))
		return;
	getTypeInputInfo(type, &function, &parameter);
	if (func_volatile(function) != PROVOLATILE_IMMUTABLE)
		refuse(state, psprintf("constants of type %s", format_type_be(type)),
			   constant->location);
}

/*
 * Checks how GREATEST and LEAST compare values of a type.
 */
static void
check_comparison(CheckState *state, Oid type, int location)
{
	Oid			function = lookup_type_cache(type,
											 TYPECACHE_CMP_PROC)->cmp_proc;

	if (!OidIsValid(function))
		refuse(state, psprintf("GREATEST and LEAST of type %s",
							   format_type_be(type)), location);
	check_function(state, function, "function", NULL, location);
}

/*
 * Checks a function call, written as one or made for a cast.
 */
static void
check_call(CheckState *state, FuncExpr *call)
{
	int			location = exprLocation((Node *) call);

	if ((call->funcformat == COERCE_EXPLICIT_CAST ||
		 call->funcformat == COERCE_IMPLICIT_CAST) && call->args != NIL)
		check_cast(state, exprType(linitial(call->args)),
				   call->funcresulttype, location);
	check_function(state, call->funcid, "function", NULL, location);
	if (call->funcretset)
		refuse(state, psprintf("set-returning function \"%s\"",
							   format_procedure(call->funcid)), location);
}

/*
 * Complains of CURRENT_DATE and its like.
 */
static void
refuse_value_function(CheckState *state, const SQLValueFunction *function)
{
	static const char *const names[] = {
		[SVFOP_CURRENT_DATE] = "current_date",
		[SVFOP_CURRENT_TIME] = "current_time",
		[SVFOP_CURRENT_TIME_N] = "current_time",
		[SVFOP_CURRENT_TIMESTAMP] = "current_timestamp",
		[SVFOP_CURRENT_TIMESTAMP_N] = "current_timestamp",
		[SVFOP_LOCALTIME] = "localtime",
		[SVFOP_LOCALTIME_N] = "localtime",
		[SVFOP_LOCALTIMESTAMP] = "localtimestamp",
		[SVFOP_LOCALTIMESTAMP_N] = "localtimestamp",
		[SVFOP_CURRENT_ROLE] = "current_role",
		[SVFOP_CURRENT_USER] = "current_user",
		[SVFOP_USER] = "user",
		[SVFOP_SESSION_USER] = "session_user",
		[SVFOP_CURRENT_CATALOG] = "current_catalog",
		[SVFOP_CURRENT_SCHEMA] = "current_schema",
	};

	not_immutable(state, "function", names[function->op], function->location);
}

/*
 * Checks what one node calls; whatever is not listed is refused.
 */
static void
check_node(CheckState *state, Node *node)
{
	int			location = exprLocation(node);
	ListCell   *cell;

	switch (nodeTag(node))
	{
		case T_Const:
			check_constant(state, (Const *) node);
			break;
		case T_FuncExpr:
			check_call(state, (FuncExpr *) node);
			break;
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			check_operator(state, ((OpExpr *) node)->opno, location);
			break;
		case T_ScalarArrayOpExpr:
			check_operator(state, ((ScalarArrayOpExpr *) node)->opno,
						   location);
			break;
		case T_RowCompareExpr:
			foreach(cell, ((RowCompareExpr *) node)->opnos)
				check_operator(state, lfirst_oid(cell), location);
			break;
		case T_MinMaxExpr:
			check_comparison(state, ((MinMaxExpr *) node)->minmaxtype,
							 location);
			break;
		case T_RelabelType:
			check_cast(state, exprType((Node *) ((RelabelType *) node)->arg),
					   ((RelabelType *) node)->resulttype, location);
			break;
		case T_CoerceViaIO:
			check_text_cast(state, (CoerceViaIO *) node);
			break;
		case T_CollateExpr:
			check_collation(state, ((CollateExpr *) node)->collOid, location);
			break;
		case T_Var:
		case T_BoolExpr:
		case T_ArrayCoerceExpr:
		case T_ArrayExpr:
		case T_CaseExpr:
		case T_CaseTestExpr:
		case T_CoalesceExpr:
		case T_NullTest:
		case T_BooleanTest:
		case T_NamedArgExpr:
		case T_SubscriptingRef:
			break;
		case T_Aggref:
			refuse(state, psprintf("aggregate function \"%s\"",
								   format_procedure(((Aggref *) node)->aggfnoid)),
				   location);
			break;
		case T_SQLValueFunction:
			refuse_value_function(state, (SQLValueFunction *) node);
			break;
		default:
			refuse(state, "rows, domains, XML or JSON constructors",
				   location);
	}
}

/*
 * Walks over an analyzed expression.
 */
static bool
check_walker(Node *node, CheckState *state)
{
	if (node == NULL)
		return false;
	if (!IsA(node, List) && !IsA(node, CaseWhen))
	{
		int			location = exprLocation(node);

		check_type(state, exprType(node), location);
		check_collation(state, exprInputCollation(node), location);
		check_node(state, node);
	}
	return expression_tree_walker(node, check_walker, state);
}

/*
 * Checks an analyzed expression.
 */
bool
churn_transform_check(ParseState *pstate, Node *expr, List *literals)
{
	CheckState	state = {pstate, literals, true};

	(void) check_walker(expr, &state);
	return state.built_in;
}

/*
 * Walks over a raw expression: what would need more than the row is refused
 * before the parser looks for tables, and literals are noted.
 */
static bool
raw_walker(Node *node, CheckState *state)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
		refuse(state, "sub-selects", ((SubLink *) node)->location);
	if (IsA(node, ParamRef))
		refuse(state, "parameters", ((ParamRef *) node)->location);
	if (IsA(node, FuncCall) && ((FuncCall *) node)->over != NULL)
		refuse(state, "window functions", ((FuncCall *) node)->location);
	if (IsA(node, A_Const) && !((A_Const *) node)->isnull &&
		IsA(&((A_Const *) node)->val, String))
		state->literals = lappend(state->literals, node);
	return raw_expression_tree_walker(node, raw_walker, state);
}

/*
 * Checks a raw expression, and returns its literals.
 */
List *
churn_transform_check_raw(ParseState *pstate, Node *raw)
{
	CheckState	state = {pstate, NIL, true};

	(void) raw_walker(raw, &state);
	return state.literals;
}
