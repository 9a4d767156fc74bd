/*
 * row_explainer.c
 *		Why a row has its score, as numbers, texts and phrases.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "row_explainer.h"

/* Characters of a text that a reason shows. */
#define MAX_SHOWN	40

/*
 * Makes an explainer for rows.
 */
ChurnRowExplainer *
churn_row_explainer_make(ChurnVersion *version, const ChurnRowMap *map,
						 TupleDesc desc, Snapshot snapshot)
{
	ChurnRowExplainer *explainer = palloc0(sizeof(ChurnRowExplainer));
	const uint32 nfeatures = version->model->nfeatures;
	uint32		i;

	explainer->model = version->model;
	explainer->explainer = churn_version_explainer(version, snapshot);
	explainer->map = map;
	explainer->outputs = palloc0(sizeof(FmgrInfo) * Max(nfeatures, 1));
	explainer->names = palloc(sizeof(Datum) * Max(nfeatures, 1));
	explainer->contributions = palloc(sizeof(double) * (nfeatures + 1));
	explainer->order = palloc(sizeof(uint32) * Max(nfeatures, 1));
	explainer->workspace =
		palloc(churn_explainer_workspace(explainer->explainer) + 32);
	explainer->workspace = (void *) TYPEALIGN(32, explainer->workspace);
	for (i = 0; i < nfeatures; i++)
	{
		const ChurnField *field = &map->fields[i];
		Oid			output;
		bool		is_varlena;

		explainer->names[i] = CStringGetTextDatum(version->model->features[i].name);
		if (field->column < 0)
			continue;			/* computed: there is no column to show */
		getTypeOutputInfo(TupleDescAttr(desc, field->column)->atttypid,
						  &output, &is_varlena);
		fmgr_info(output, &explainer->outputs[i]);
	}
	return explainer;
}

/*
 * Orders features by the size of their contributions, larger ones first.
 */
static int
compare_features(const void *a, const void *b, void *arg)
{
	const double *contributions = arg;
	const uint32 x = *(const uint32 *) a;
	const uint32 y = *(const uint32 *) b;
	const double p = fabs(contributions[x]);
	const double q = fabs(contributions[y]);

	if (p != q)
		return p > q ? -1 : 1;
	return x < y ? -1 : x > y;
}

/*
 * Explains a row.
 */
void
churn_row_explain(ChurnRowExplainer *explainer, const float *features)
{
	const uint32 nfeatures = explainer->model->nfeatures;
	uint32		i;

	churn_explain_row(explainer->explainer, features, explainer->workspace,
					  explainer->contributions);
	for (i = 0; i < nfeatures; i++)
		explainer->order[i] = i;
	qsort_arg(explainer->order, nfeatures, sizeof(uint32), compare_features,
			  explainer->contributions);
}

/*
 * The value of a feature that no column holds, from its float.
 */
static bool
computed_value(const ChurnFeature *feature, float value, Datum *text)
{
	char	   *shown;

	if (isnan(value))
		return false;
	if (feature->kind == CHURN_FEATURE_CATEGORY)
		shown = unconstify(char *, feature->categories[(uint32) value]);
	else if (feature->kind == CHURN_FEATURE_BOOLEAN)
		shown = value != 0 ? "true" : "false";
	else
		shown = DatumGetCString(DirectFunctionCall1(float4out,
													Float4GetDatum(value)));
	*text = CStringGetTextDatum(shown);
	return true;
}

/*
 * A feature's value as text, as the row has it.
 */
bool
churn_row_value(ChurnRowExplainer *explainer, uint32 feature,
				const Datum *values, const bool *nulls, const float *features,
				Datum *text)
{
	const ChurnField *field = &explainer->map->fields[feature];
	char	   *shown;

	if (field->column < 0)
		return computed_value(&explainer->model->features[feature],
							  features[feature], text);
	if (nulls[field->column])
		return false;
	if (field->reader.type == TEXTOID || field->reader.type == VARCHAROID)
	{
		*text = values[field->column];
		return true;
	}
	shown = OutputFunctionCall(&explainer->outputs[feature],
							   values[field->column]);
	*text = CStringGetTextDatum(shown);
	pfree(shown);
	return true;
}

/*
 * Appends a text of a row or a name, with blanks for control characters, and
 * each single quote doubled if it stands between quotes.
 */
static void
append_plain(StringInfo to, const char *text, size_t length, bool quoted)
{
	size_t		shown = pg_mbcharcliplen(text, length, MAX_SHOWN);
	size_t		i;

	for (i = 0; i < shown; i++)
	{
		unsigned char c = (unsigned char) text[i];

		if (quoted && c == '\'')
			appendStringInfoChar(to, '\'');
		appendStringInfoChar(to, c < ' ' || c == 0x7F ? ' ' : text[i]);
	}
	if (shown < length)
		appendStringInfoString(to, "...");
}

/*
 * Appends a number as people write it: whole ones in full, others with six
 * digits, or cents if they are large.
 */
static void
append_number(StringInfo to, double number)
{
	if (number == rint(number) && fabs(number) < 1e15)
		appendStringInfo(to, "%.0f", number + 0.0);
	else if (fabs(number) >= 1e5 && fabs(number) < 1e15)
		appendStringInfo(to, "%.2f", number);
	else
		appendStringInfo(to, "%.6g", number);
}

/*
 * Appends an age in days, counted from the row's value.
 */
static void
append_age(StringInfo to, float days)
{
	const char *unit = fabsf(days) == 1 ? "day" : "days";

	if (days == 0)
		appendStringInfoString(to, " today");
	else if (days > 0)
		appendStringInfo(to, " %.0f %s ago", days, unit);
	else
		appendStringInfo(to, " in %.0f %s", -days, unit);
}

/*
 * The number in a column of a number type, not rounded to a float; else what
 * the model sees.
 */
static double
number_of(const ChurnField *field, const Datum *values, float value)
{
	if (field->column < 0)
		return value;
	switch (field->reader.type)
	{
		case INT4OID:
			return DatumGetInt32(values[field->column]);
		case INT8OID:
			return (double) DatumGetInt64(values[field->column]);
		case FLOAT8OID:
			return DatumGetFloat8(values[field->column]);
		case NUMERICOID:
			return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
													  values[field->column]));
		default:
			return value;
	}
}

/*
 * Appends a category, also one that training never saw.
 */
static void
append_category(StringInfo to, const ChurnFeature *feature,
				const ChurnField *field, const Datum *values, float value)
{
	const char *text;
	size_t		length;

	if (field->column < 0)
	{
		text = feature->categories[(uint32) value];

		length = strlen(text);
	}
	else
		text = churn_reader_text(&field->reader, values[field->column],
								 &length);

	appendStringInfoString(to, " = '");
	append_plain(to, text, length, true);
	appendStringInfoString(to, isnan(value) ? "' (never seen)" : "'");
}

/*
 * Appends what the row says of a feature: "tenure = 2".
 */
static void
append_fact(StringInfo to, const ChurnRowExplainer *explainer, uint32 i,
			const Datum *values, const bool *nulls, float value)
{
	const ChurnFeature *feature = &explainer->model->features[i];
	const ChurnField *field = &explainer->map->fields[i];
	bool		unseen = isnan(value) && field->column >= 0 &&
	!nulls[field->column] && feature->kind == CHURN_FEATURE_CATEGORY;

	append_plain(to, feature->name, strlen(feature->name), false);
	if (isnan(value) && !unseen)
	{
		appendStringInfoString(to, " is missing");
		return;
	}
	switch (feature->kind)
	{
		case CHURN_FEATURE_CATEGORY:
			append_category(to, feature, field, values, value);
			break;
		case CHURN_FEATURE_NUMBER:
			appendStringInfoString(to, " = ");
			append_number(to, number_of(field, values, value));
			break;
		case CHURN_FEATURE_BOOLEAN:
			appendStringInfoString(to, value != 0 ? " = true" : " = false");
			break;
		case CHURN_FEATURE_AGE:
			append_age(to, value);
			break;
	}
}

/*
 * The reasons for a row's score: the features that moved it most, and which
 * way.
 */
Datum
churn_row_reasons(ChurnRowExplainer *explainer, const Datum *values,
				  const bool *nulls, const float *features, int top)
{
	const uint32 nfeatures = explainer->model->nfeatures;
	uint32		nreasons = Min((uint32) top, nfeatures);
	Datum	   *reasons = palloc(sizeof(Datum) * Max(nreasons, 1));
	StringInfoData phrase;
	uint32		i;

	initStringInfo(&phrase);
	for (i = 0; i < nreasons; i++)
	{
		uint32		feature = explainer->order[i];
		double		contribution = explainer->contributions[feature];

		if (contribution == 0)
			break;				/* and so are all that follow */
		resetStringInfo(&phrase);
		append_fact(&phrase, explainer, feature, values, nulls,
					features[feature]);
		appendStringInfoString(&phrase, contribution > 0 ?
							   " raises the risk" : " lowers the risk");
		reasons[i] = PointerGetDatum(cstring_to_text_with_len(phrase.data,
															  phrase.len));
	}
	return PointerGetDatum(construct_array(reasons, (int) i, TEXTOID, -1,
										   false, TYPALIGN_INT));
}
