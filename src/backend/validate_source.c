/*
 * validate_source.c
 *		churn_validate(): the columns of a source against those that a version
 *		was trained on.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "attempt.h"
#include "compat.h"
#include "features.h"
#include "transform.h"
#include "validate.h"

/* A transform that is tried on the columns of a source. */
typedef struct TransformTrial
{
	const ChurnFeature *feature;
	const char *model;
	TupleDesc	desc;
	ChurnReader *reader;
} TransformTrial;

/*
 * Whether a list of strings has a name.
 */
static bool
is_listed(const List *names, const char *name)
{
	ListCell   *cell;

	foreach(cell, names)
	{
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	}
	return false;
}

/*
 * The type that a feature had at training, in a sentence; NULL if unknown.
 */
static char *
former_type(const ChurnFeature *feature)
{
	if (feature->type[0] == '\0')
		return NULL;
	return psprintf("It was of type %s at training.", feature->type);
}

/*
 * Looks at the column of one feature.  True if it can serve.
 */
static bool
check_column(const ChurnFeature *feature, TupleDesc desc, List **findings)
{
	int			column = churn_find_column(desc, feature->name);
	ChurnReader reader;
	ChurnFinding *finding;
	const char *type;

	if (column < 0)
	{
		finding = churn_findings_add(findings, CHURN_FINDING_ERROR,
									 "missing_column", feature->name,
									 "column \"%s\" does not exist",
									 feature->name);
		finding->detail = former_type(feature);
		return false;
	}
	churn_reader_init(&reader, TupleDescAttr(desc, column)->atttypid);
	type = format_type_be(TupleDescAttr(desc, column)->atttypid);
	if (!churn_feature_fits(feature, reader.kind))
	{
		finding = churn_findings_add(findings, CHURN_FINDING_ERROR,
									 "retyped_column", feature->name,
									 "column \"%s\" is of type %s, but the model needs %s",
									 feature->name, type,
									 churn_feature_wants(feature));
		finding->detail = former_type(feature);
		return false;
	}
	if (feature->type[0] != '\0' && strcmp(feature->type, type) != 0)
	{
		finding = churn_findings_add(findings, CHURN_FINDING_WARNING,
									 "retyped_column", feature->name,
									 "column \"%s\" is of type %s, at training it was of type %s",
									 feature->name, type, feature->type);
		finding->detail = pstrdup("The model can read it.");
	}
	return true;
}

/*
 * Looks at the column from which ages count.
 */
static void
check_as_of(const ChurnModel *model, TupleDesc desc, List **findings)
{
	int			column = churn_find_column(desc, model->as_of_column);
	ChurnReader reader;
	Oid			type;

	if (column < 0)
	{
		churn_findings_add(findings, CHURN_FINDING_ERROR, "missing_column",
						   model->as_of_column,
						   "column \"%s\", from which ages count, does not exist",
						   model->as_of_column);
		return;
	}
	type = TupleDescAttr(desc, column)->atttypid;
	churn_reader_init(&reader, type);
	if (reader.kind != CHURN_COLUMN_AGE)
		churn_findings_add(findings, CHURN_FINDING_ERROR, "retyped_column",
						   model->as_of_column,
						   "column \"%s\", from which ages count, is of type %s, not a date or timestamp",
						   model->as_of_column, format_type_be(type));
}

/*
 * Looks for the columns of a model's features; see validate.h.
 */
void
churn_validate_columns(const ChurnModel *model, TupleDesc desc, List *exclude,
					   bool *usable, List **findings)
{
	uint32		i;

	for (i = 0; i < model->nfeatures; i++)
	{
		const ChurnFeature *feature = &model->features[i];
		bool		fits;

		if (feature->transform != NULL || is_listed(exclude, feature->name))
			continue;
		fits = check_column(feature, desc, findings);
		if (usable != NULL)
			usable[i] = fits;
	}
	if (model->as_of == CHURN_AS_OF_COLUMN &&
		!is_listed(exclude, model->as_of_column))
		check_as_of(model, desc, findings);
}

/*
 * Makes a transform of the source's columns, for churn_attempt().
 */
static void
try_transform(void *arg)
{
	TransformTrial *trial = arg;
	ChurnTransform transform = {trial->feature->name,
	trial->feature->transform, trial->model};
	ChurnExpression *expression = churn_transform_parse(&transform,
														trial->desc);

	churn_feature_check_derived(trial->feature, expression->type,
								trial->model);
	churn_reader_init(trial->reader, expression->type);
}

/*
 * Looks whether the transforms can be made of the source's columns.
 */
static void
check_transforms(ChurnValidation *validation)
{
	const ChurnModel *model = validation->version->model;
	uint32		i;

	for (i = 0; i < model->nfeatures; i++)
	{
		ChurnCheckedFeature *checked = &validation->features[i];
		const ChurnFeature *feature = checked->feature;
		TransformTrial trial = {feature, validation->version->name,
		validation->source->desc, &checked->reader};
		ErrorData  *error;
		ChurnFinding *finding;

		if (feature->transform == NULL)
			continue;
		error = churn_attempt(try_transform, &trial);
		checked->usable = error == NULL;
		if (error == NULL)
			continue;
		if (!churn_error_is_misfit(error))
			ReThrowError(error);
		finding = churn_findings_add(&validation->findings,
									 CHURN_FINDING_ERROR, "broken_transform",
									 feature->name,
									 "transform \"%s\" cannot be computed: %s",
									 feature->name, error->message);
		finding->detail = psprintf("The expression is: %s",
								   feature->transform);
	}
}

/*
 * Finds the features in the source.
 */
static void
check_features(ChurnValidation *validation)
{
	const ChurnModel *model = validation->version->model;
	TupleDesc	desc = validation->source->desc;
	bool	   *usable = palloc0(sizeof(bool) * Max(model->nfeatures, 1));
	uint32		i;

	churn_validate_columns(model, desc, NIL, usable, &validation->findings);
	for (i = 0; i < model->nfeatures; i++)
	{
		ChurnCheckedFeature *checked = &validation->features[i];

		checked->usable = usable[i];
		if (usable[i])
		{
			int			column = churn_find_column(desc,
												   checked->feature->name);

			churn_reader_init(&checked->reader,
							  TupleDescAttr(desc, column)->atttypid);
		}
	}
	check_transforms(validation);
}

/*
 * Finds the column from which ages count, which was looked at before.  Without
 * it there are no ages.
 */
static void
find_as_of(ChurnValidation *validation)
{
	const ChurnModel *model = validation->version->model;
	TupleDesc	desc = validation->source->desc;
	ChurnCheckedDays *days = &validation->days;
	int			column;
	uint32		i;

	if (model->as_of != CHURN_AS_OF_COLUMN)
		return;
	column = churn_find_column(desc, model->as_of_column);
	if (column >= 0)
		churn_reader_init(&days->reader, TupleDescAttr(desc, column)->atttypid);
	days->usable = days->reader.kind == CHURN_COLUMN_AGE;
	for (i = 0; i < model->nfeatures; i++)
	{
		if (model->features[i].kind == CHURN_FEATURE_AGE)
			validation->features[i].usable &= days->usable;
	}
}

/*
 * Whether an index makes sure that the source has each value of a column once.
 * One of a table does not hold for those that inherit from it.
 */
static bool
is_unique(const ChurnSource *source, int column)
{
	return bms_is_member(column, source->identifiers) &&
		(get_rel_relkind(source->relid) == RELKIND_PARTITIONED_TABLE ||
		 !has_subclass(source->relid));
}

/*
 * Finds the key.
 */
static void
check_key(ChurnValidation *validation)
{
	const char *name = validation->expected.key;
	const ChurnSource *source = validation->source;
	int			column;

	if (name == NULL)
		return;
	column = churn_find_column(source->desc, name);
	if (column < 0)
	{
		churn_findings_add(&validation->findings, CHURN_FINDING_ERROR,
						   "missing_column", name,
						   "key column \"%s\" does not exist", name);
		return;
	}
	validation->key.usable = true;
	validation->key.unique = is_unique(source, column);
}

/*
 * Prepares to read the label, for churn_attempt().
 */
static void
try_label(void *arg)
{
	ChurnValidation *validation = arg;
	const ChurnExpected *expected = &validation->expected;
	TupleDesc	desc = validation->source->desc;
	int			column = churn_find_column(desc, expected->label);

	churn_label_init(&validation->label.label, expected->label,
					 TupleDescAttr(desc, column)->atttypid,
					 expected->positive, validation->context);
}

/*
 * Finds the label.  Only the model's own source has to have one: customers
 * that are only to be scored need none.
 */
static void
check_label(ChurnValidation *validation)
{
	const ChurnExpected *expected = &validation->expected;
	ChurnFindingSeverity severity = validation->own ? CHURN_FINDING_ERROR :
	CHURN_FINDING_NOTICE;
	ChurnFinding *finding;
	ErrorData  *error;
	ListCell   *cell;

	if (expected->label == NULL)
		return;
	if (churn_find_column(validation->source->desc, expected->label) < 0)
	{
		finding = churn_findings_add(&validation->findings, severity,
									 "missing_label", expected->label,
									 "label column \"%s\" does not exist",
									 expected->label);
		finding->detail = pstrdup("The source cannot be trained on.");
		return;
	}
	error = churn_attempt(try_label, validation);
	if (error == NULL)
	{
		validation->label.usable = true;
		foreach(cell, expected->label_values)
			churn_label_note(&validation->label.label, lfirst(cell));
		return;
	}
	if (!churn_error_is_misfit(error))
		ReThrowError(error);
	finding = churn_findings_add(&validation->findings, severity,
								 "retyped_column", expected->label, "%s",
								 error->message);
	finding->detail = pstrdup("The source cannot be trained on.");
}

/*
 * Adds the columns that training did not see.
 */
static void
check_new_columns(ChurnValidation *validation)
{
	const ChurnExpected *expected = &validation->expected;
	TupleDesc	desc = validation->source->desc;
	int			i;

	if (!expected->known)
		return;
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const char *name = NameStr(att->attname);
		ChurnFinding *finding;

		if (att->attisdropped || is_listed(expected->columns, name) ||
			is_listed(expected->exclude, name))
			continue;
		finding = churn_findings_add(&validation->findings,
									 CHURN_FINDING_NOTICE, "new_column",
									 pstrdup(name),
									 "column \"%s\" of type %s is new", name,
									 format_type_be(att->atttypid));
		finding->detail = pstrdup("The model does not know it; a new version may learn from it.");
	}
}

/*
 * What is wrong with the columns of the source.
 */
void
churn_validate_source(ChurnValidation *validation)
{
	MemoryContext old = MemoryContextSwitchTo(validation->context);

	check_features(validation);
	find_as_of(validation);
	check_key(validation);
	check_label(validation);
	check_new_columns(validation);
	MemoryContextSwitchTo(old);
}
