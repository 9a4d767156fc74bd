/*
 * rewrite.c
 *		Planner support: from a row to its columns.
 *
 * churn_score(c.*) as written makes the executor copy each row into a
 * composite value, which costs more than to score it.  Where c is a plain
 * table, the planner is told to call churn.score_columns(relation, model,
 * version, c.column1, c.column2, ...) instead.  All columns are passed, not
 * those of today's model, so that a cached plan serves any later model.
 *
 * It declines, and the call stays as written, wherever the two might differ:
 * a row of an outer join's nullable side may be NULL as a whole, which a list
 * of NULL columns cannot say.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "compat.h"

/* Arguments that are no columns: relation, model, version. */
#define FIXED_ARGUMENTS		3

PG_FUNCTION_INFO_V1(churn_score_support);

/*
 * Whether the relation lies on the nullable side of an outer join somewhere
 * in the tree.
 */
static bool
is_nullable(Node *node, int varno, bool nullable)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblRef))
		return nullable && ((RangeTblRef *) node)->rtindex == varno;
	if (IsA(node, FromExpr))
	{
		ListCell   *cell;

		foreach(cell, ((FromExpr *) node)->fromlist)
		{
			if (is_nullable(lfirst(cell), varno, nullable))
				return true;
		}
		return false;
	}
	if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;
		bool		left = nullable || join->jointype == JOIN_RIGHT ||
		join->jointype == JOIN_FULL;
		bool		right = nullable || join->jointype == JOIN_LEFT ||
		join->jointype == JOIN_FULL;

		return is_nullable(join->larg, varno, left) ||
			is_nullable(join->rarg, varno, right);
	}
	return true;				/* an unknown node: better decline */
}

/*
 * Whether a whole-row Var is one of a plain table that always has a row.
 */
static bool
is_plain_row(PlannerInfo *root, Var *var)
{
	RangeTblEntry *rte;

	if (var->varattno != InvalidAttrNumber || var->varlevelsup != 0 ||
		var->varno < 1 || var->varno > list_length(root->parse->rtable))
		return false;
	if (!churn_var_is_ordinary(var))
		return false;
	rte = rt_fetch(var->varno, root->parse->rtable);
	if (rte->rtekind != RTE_RELATION ||
		(rte->relkind != RELKIND_RELATION &&
		 rte->relkind != RELKIND_PARTITIONED_TABLE &&
		 rte->relkind != RELKIND_MATVIEW &&
		 rte->relkind != RELKIND_FOREIGN_TABLE))
		return false;
	return get_rel_type_id(rte->relid) == var->vartype &&
		!is_nullable((Node *) root->parse->jointree, var->varno, false);
}

/*
 * The columns of a relation as Vars; NIL where they cannot stand for the row.
 */
static List *
columns_of_table(Var *var, Oid relid)
{
	Relation	relation = table_open(relid, NoLock);
	TupleDesc	desc = RelationGetDescr(relation);
	List	   *columns = NIL;
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		if (churn_column_is_virtual(att))
		{
			columns = NIL;
			break;
		}
		columns = lappend(columns,
						  makeVar(var->varno, i + 1, att->atttypid,
								  att->atttypmod, att->attcollation, 0));
	}
	table_close(relation, NoLock);
	return columns;
}

/*
 * The columns of a row expression of a table's or view's type, which is what
 * a view's whole row has become by now; NIL where they cannot stand for it.
 */
static List *
columns_of_row(RowExpr *row, Oid relid)
{
	TupleDesc	desc = lookup_rowtype_tupdesc(row->row_typeid, -1);
	List	   *columns = NIL;
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Node	   *value;

		if (att->attisdropped)
			continue;
		if (i >= list_length(row->args))
			value = (Node *) makeNullConst(att->atttypid, att->atttypmod,
										   att->attcollation);
		else
			value = list_nth(row->args, i);
		if (exprType(value) != att->atttypid)
		{
			columns = NIL;
			break;
		}
		columns = lappend(columns, value);
	}
	ReleaseTupleDesc(desc);
	return columns;
}

/*
 * The function that takes columns and returns what call returns; InvalidOid
 * if the extension is not complete.  The caller needs no rights on schema
 * "churn" for it, as it would for a look-up by the parser's means.
 */
static Oid
columns_function(FuncExpr *call)
{
	Oid			types[] = {OIDOID, TEXTOID, INT4OID, ANYOID};
	const char *name = call->funcresulttype == FLOAT8OID ? "score_columns" :
	"margin_columns";
	Oid			schema = get_namespace_oid("churn", true);

	if (!OidIsValid(schema))
		return InvalidOid;
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum(name),
						   PointerGetDatum(buildoidvector(types,
														  lengthof(types))),
						   ObjectIdGetDatum(schema));
}

/*
 * Makes the call that takes columns; NULL where it has to stay as it is.
 */
static Node *
rewrite_call(PlannerInfo *root, FuncExpr *call)
{
	Node	   *row;
	List	   *columns = NIL;
	List	   *arguments;
	Oid			relid = InvalidOid;
	Oid			function;
	FuncExpr   *result;

	if (root == NULL || list_length(call->args) != 3)
		return NULL;
	row = linitial(call->args);
	if (IsA(row, Var) && is_plain_row(root, (Var *) row))
	{
		relid = rt_fetch(((Var *) row)->varno, root->parse->rtable)->relid;
		columns = columns_of_table((Var *) row, relid);
	}
	else if (IsA(row, RowExpr) && ((RowExpr *) row)->row_typeid != RECORDOID)
	{
		relid = get_typ_typrelid(((RowExpr *) row)->row_typeid);
		if (OidIsValid(relid))
			columns = columns_of_row((RowExpr *) row, relid);
	}
	if (columns == NIL ||
		list_length(columns) > FUNC_MAX_ARGS - FIXED_ARGUMENTS)
		return NULL;
	function = columns_function(call);
	if (!OidIsValid(function))
		return NULL;

	arguments = list_make3(makeConst(OIDOID, -1, InvalidOid, sizeof(Oid),
									 ObjectIdGetDatum(relid), false, true),
						   lsecond(call->args), lthird(call->args));
	result = makeFuncExpr(function, call->funcresulttype,
						  list_concat(arguments, columns), call->funccollid,
						  call->inputcollid, COERCE_EXPLICIT_CALL);
	result->location = call->location;
	return (Node *) result;
}

/*
 * churn.score_support(internal) -> internal
 */
Datum
churn_score_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	Node	   *result = NULL;

	if (IsA(request, SupportRequestSimplify))
	{
		SupportRequestSimplify *simplify = (SupportRequestSimplify *) request;

		result = rewrite_call(simplify->root, simplify->fcall);
	}
	PG_RETURN_POINTER(result);
}
