/*
 * source.c
 *		What churn_train() reads: a table, a view or a query.
 *
 * Either is read by an ordinary query with the rights of the caller, so that
 * privileges, row security and search_path mean what they mean elsewhere.  A
 * query is prepared as it stands, a relation by the list of columns needed:
 * a role that may read only some columns can train on these.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "lib/stringinfo.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "nodes/plannodes.h"
#include "parser/analyze.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/ruleutils.h"
#include "utils/varlena.h"

#include "compat.h"
#include "features.h"
#include "source.h"

/* A hint names at most so many columns. */
#define HINT_COLUMNS	30

/* Names that differ by no more than so many letters are alike. */
#define ALIKE			3

/*
 * Skips blanks and comments.
 */
static const char *
skip_blanks(const char *string)
{
	for (;;)
	{
		const char *end;

		while (isspace((unsigned char) *string))
			string++;
		if (string[0] == '-' && string[1] == '-')
			string += strcspn(string, "\n");
		else if (string[0] == '/' && string[1] == '*' &&
				 (end = strstr(string + 2, "*/")) != NULL)
			string = end + 2;
		else
			return string;
	}
}

/*
 * Whether the text looks like a query: an opening parenthesis, or one of the
 * words that begin one and then something other than the rest of a name.
 */
static bool
is_query(const char *string)
{
	static const char *const words[] = {"select", "values", "with", "table"};
	size_t		i;

	string = skip_blanks(string);
	if (*string == '(')
		return true;
	for (i = 0; i < lengthof(words); i++)
	{
		size_t		length = strlen(words[i]);
		const char *rest;

		if (pg_strncasecmp(string, words[i], length) != 0)
			continue;
		rest = skip_blanks(string + length);
		if (rest == string + length)
			return strchr("('\"*+-", *rest) != NULL && *rest != '\0';
		return *rest != '\0' && *rest != '.';
	}
	return false;
}

/*
 * Whether two names differ only in case or by a few letters.
 */
static bool
names_alike(const char *name, const char *other)
{
	int			length = (int) strlen(name);
	int			allowed = Min(ALIKE, (length - 1) / 2);

	if (pg_strcasecmp(name, other) == 0)
		return true;
	return length < NAMEDATALEN &&
		varstr_levenshtein_less_equal(name, length, other, strlen(other),
									  1, 1, 1, allowed, true) <= allowed;
}

/*
 * A hint that names the columns like the one asked for or, without such, all
 * of them up to a limit.
 */
char *
churn_column_hint(TupleDesc desc, const char *name)
{
	StringInfoData hint;
	bool		alike = true;
	int			named = 0;
	int			i;

	initStringInfo(&hint);
	for (;;)
	{
		for (i = 0; i < desc->natts; i++)
		{
			Form_pg_attribute att = TupleDescAttr(desc, i);

			if (att->attisdropped ||
				(alike && !names_alike(name, NameStr(att->attname))))
				continue;
			if (named == HINT_COLUMNS)
			{
				appendStringInfoString(&hint, ", ...");
				break;
			}
			appendStringInfo(&hint, "%s\"%s\"",
							 named++ > 0 ? (alike ? " or " : ", ") :
							 alike ? "Perhaps you meant " : "Columns are ",
							 NameStr(att->attname));
		}
		if (named > 0 || !alike)
			break;
		alike = false;
	}
	appendStringInfoChar(&hint, '.');
	return named > 0 ? hint.data : "It has no columns.";
}

/*
 * Index of a live column by name, or an error.
 */
int
churn_source_column(const ChurnSource *source, const char *name,
					const char *what)
{
	int			found = churn_find_column(source->desc, name);

	if (found < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 source->relation != NULL ?
				 errmsg("%s column \"%s\" of %s does not exist",
						what, name, source->relation) :
				 errmsg("%s column \"%s\" of the query does not exist",
						what, name),
				 errhint("%s", churn_column_hint(source->desc, name))));
	return found;
}

/*
 * Notes what the unique indexes of a table say about its columns.  Partial
 * indexes and those on expressions say nothing of a whole column.
 */
static void
read_indexes(ChurnSource *source, Relation relation)
{
	List	   *indexes = RelationGetIndexList(relation);
	ListCell   *cell;

	foreach(cell, indexes)
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);
		Form_pg_index form = index->rd_index;
		int			column = form->indkey.values[0] - 1;

		if (form->indisprimary && form->indnkeyatts > 1)
			source->composite_key = true;
		if (form->indisunique && form->indisvalid &&
			form->indnkeyatts == 1 && column >= 0 &&
			heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL))
		{
			source->identifiers = bms_add_member(source->identifiers, column);
			if (form->indisprimary)
				source->primary_key = column;
		}
		index_close(index, AccessShareLock);
	}
	list_free(indexes);
}

/*
 * Opens a relation by its parsed name.
 */
static void
open_relation(ChurnSource *source, List *names)
{
	RangeVar   *name = makeRangeVarFromNameList(names);
	Oid			relid = RangeVarGetRelid(name, AccessShareLock, true);
	Relation	relation;
	char		kind;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s\" does not exist",
						NameListToString(names)),
				 errhint("The source is a table, a view or a query; capital letters need double quotes in it, as in 'my_schema.\"MyTable\"'.")));
	relation = relation_open(relid, NoLock);
	kind = relation->rd_rel->relkind;
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE &&
		kind != RELKIND_VIEW && kind != RELKIND_MATVIEW &&
		kind != RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table or view",
						RelationGetRelationName(relation))));
	source->relid = relid;
	source->name = pstrdup(RelationGetRelationName(relation));
	source->relation = churn_relation_name(relation);
	source->statement = psprintf("SELECT * FROM %s", source->relation);
	source->desc = CreateTupleDescCopy(RelationGetDescr(relation));
	read_indexes(source, relation);
	/* the lock stays, so that the columns do */
	relation_close(relation, NoLock);
}

/*
 * The schema-qualified name of a relation; see source.h.
 */
char *
churn_relation_name(Relation relation)
{
	return churn_qualified_name(get_namespace_name(RelationGetNamespace(relation)),
								RelationGetRelationName(relation));
}

/*
 * Complains of a source that does more than read.
 */
static void
not_read_only(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("source must not change or lock rows"),
			 errhint("Leave out INSERT, UPDATE, DELETE, MERGE and FOR UPDATE.")));
}

/*
 * Complains unless a prepared statement only reads.  A function that it calls
 * can still write; that is the caller's own doing.
 */
static void
check_query(SPIPlanPtr plan)
{
	List	   *sources = SPI_plan_get_plan_sources(plan);
	CachedPlanSource *source;
	Query	   *query;

	if (list_length(sources) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("source must be one query, not %d",
						list_length(sources))));
	source = linitial(sources);
	query = list_length(source->query_list) == 1 ?
		linitial_node(Query, source->query_list) : NULL;
	if (query == NULL || query->commandType != CMD_SELECT ||
		source->resultDesc == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("source must be a query that returns rows"),
				 errhint("Give the name of a table or view, or one SELECT, VALUES or WITH query.")));
	if (query->hasModifyingCTE)
		not_read_only();
}

/*
 * Prepares a statement, in SPI's memory, which lives until SPI_finish().
 */
static SPIPlanPtr
prepare(const char *string, int nargs, Oid *types, int options)
{
	SPIPlanPtr	plan = SPI_prepare_cursor(string, nargs, types,
										  CURSOR_OPT_PARALLEL_OK | options);

	if (plan == NULL)
		elog(ERROR, "could not prepare the source: %s",
			 SPI_result_code_string(SPI_result));
	return plan;
}

/*
 * Plans a prepared statement, once and for all, and complains if it locks
 * rows.  Returns the planner's estimate of the rows, 0 if there is none.
 */
static double
check_plan(SPIPlanPtr plan)
{
	CachedPlan *cached = SPI_plan_get_cached_plan(plan);
	PlannedStmt *planned;
	double		rows;

	if (cached == NULL)
		return 0;
	planned = linitial_node(PlannedStmt, cached->stmt_list);
	/* FOR UPDATE may be anywhere, in a sub-select or a view */
	if (planned->rowMarks != NIL)
		not_read_only();
	rows = planned->planTree->plan_rows;
	ReleaseCachedPlan(cached, NULL);
	return rows;
}

/*
 * Prepares a statement over the source; see source.h.
 */
SPIPlanPtr
churn_source_prepare(const char *statement, int nargs, Oid *types)
{
	SPIPlanPtr	plan = prepare(statement, nargs, types,
							   CURSOR_OPT_GENERIC_PLAN);

	check_plan(plan);
	return plan;
}

/*
 * The statement that reads a query later, whoever runs it under whatever
 * search_path: the query with every name qualified.
 */
static char *
qualified_query(CachedPlanSource *plan, const char *string)
{
	RawStmt    *raw = copyObject(plan->raw_parse_tree); /* it is scribbled on */
	Query	   *query = parse_analyze_fixedparams(raw, string, NULL, 0, NULL);
	int			nestlevel = NewGUCNestLevel();
	char	   *result;

	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	result = pg_get_querydef(query, false);
	AtEOXact_GUC(false, nestlevel);
	return result;
}

/*
 * Opens a query.
 */
static void
open_query(ChurnSource *source)
{
	CachedPlanSource *plan;
	int			i;

	source->query = prepare(source->text, 0, NULL, 0);
	check_query(source->query);
	plan = linitial(SPI_plan_get_plan_sources(source->query));
	source->statement = qualified_query(plan, source->text);
	source->desc = CreateTupleDescCopy(plan->resultDesc);
	for (i = 0; i < source->desc->natts; i++)
	{
		const char *name = NameStr(TupleDescAttr(source->desc, i)->attname);

		if (churn_find_column(source->desc, name) != i)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("the query returns several columns named \"%s\"",
							name),
					 errhint("Give each a name of its own with AS.")));
	}
}

/*
 * Finds out what the source is.
 */
ChurnSource *
churn_source_open(const char *string, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	ChurnSource *source = palloc0(sizeof(ChurnSource));
	List	   *names;
	List	   *strings = NIL;
	ListCell   *cell;

	source->text = pstrdup(string);
	source->primary_key = -1;
	if (is_query(string))
		open_query(source);
	else
	{
		if (!SplitIdentifierString(pstrdup(string), '.', &names) || names == NIL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("source is neither the name of a table or view nor a query"),
					 errdetail("The source given is \"%s\".", string),
					 errhint("Give the name of a table or view, or one SELECT, VALUES or WITH query.")));
		foreach(cell, names)
			strings = lappend(strings, makeString(lfirst(cell)));
		open_relation(source, strings);
	}
	MemoryContextSwitchTo(old);
	return source;
}

/*
 * Whether a source is the model's own.
 */
bool
churn_source_is_own(const ChurnSource *source, const ChurnModelRow *row)
{
	if (source->relation != NULL)
		return row->source_relation != NULL &&
			strcmp(source->relation, row->source_relation) == 0;
	return row->source_query != NULL &&
		strcmp(source->statement, row->source_query) == 0;
}

/*
 * The statement that reads the given columns of a relation.
 */
static char *
relation_query(const ChurnSource *source, const Bitmapset *columns)
{
	StringInfoData query;
	int			column = -1;

	initStringInfo(&query);
	appendStringInfoString(&query, "SELECT");
	while ((column = bms_next_member(columns, column)) >= 0)
		appendStringInfo(&query, "%s %s", query.len > 6 ? "," : "",
						 quote_identifier(NameStr(TupleDescAttr(source->desc,
																column)->attname)));
	appendStringInfo(&query, " FROM %s", source->relation);
	return query.data;
}

/*
 * Prepares to read columns.
 */
ChurnSourcePlan *
churn_source_plan(const ChurnSource *source, const Bitmapset *columns,
				  MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	ChurnSourcePlan *result = palloc0(sizeof(ChurnSourcePlan));
	CachedPlanSource *plan_source;

	result->plan = source->query != NULL ? source->query :
		prepare(relation_query(source, columns), 0, NULL, 0);
	plan_source = linitial(SPI_plan_get_plan_sources(result->plan));
	result->desc = CreateTupleDescCopy(plan_source->resultDesc);
	result->rows = check_plan(result->plan);
	MemoryContextSwitchTo(old);
	return result;
}

/*
 * The columns of a statement's rows; see source.h.
 */
TupleDesc
churn_source_columns(const char *statement)
{
	SPIPlanPtr	plan = SPI_prepare(statement, 0, NULL);
	CachedPlanSource *source;

	if (plan == NULL)
		elog(ERROR, "could not prepare the source: %s",
			 SPI_result_code_string(SPI_result));
	source = linitial(SPI_plan_get_plan_sources(plan));
	return CreateTupleDescCopy(source->resultDesc);
}

/*
 * Reads the rows; see source.h.
 */
void
churn_source_read(const ChurnSourcePlan *plan, DestReceiver *receiver)
{
	SPIExecuteOptions options;
	int			code;

	memset(&options, 0, sizeof(options));
	options.read_only = true;
	options.dest = receiver;
	code = SPI_execute_plan_extended(plan->plan, &options);
	if (code < 0)
		elog(ERROR, "could not read the source: %s",
			 SPI_result_code_string(code));
}

/*
 * Nothing to do after the last row, nor to free.
 */
static void
do_nothing(DestReceiver *self)
{
}

/*
 * Makes a receiver; see source.h.
 */
void
churn_receiver_init(DestReceiver *receiver,
					void (*start) (DestReceiver *self, int operation,
								   TupleDesc desc),
					bool (*receive) (TupleTableSlot *slot, DestReceiver *self))
{
	receiver->receiveSlot = receive;
	receiver->rStartup = start;
	receiver->rShutdown = do_nothing;
	receiver->rDestroy = do_nothing;
	receiver->mydest = DestNone;
}
