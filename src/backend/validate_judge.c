/*
 * validate_judge.c
 *		churn_validate(): what the counts mean.
 *
 * A share that differs from the one at training is a finding if chance hardly
 * explains it and it is large enough to matter; how large it is decides how
 * severe that is.
 */
#include "postgres.h"

#include <float.h>

#include "common/shortest_dec.h"
#include "utils/memutils.h"

#include "compat.h"
#include "reader.h"
#include "validate.h"

/*
 * A change counts if it is beyond so many standard errors.  For a normal
 * variable that is 1 in 30,000, so that a hundred features stay quiet.
 */
#define MIN_Z			4.0

/* Changes of a share by less than this are not worth a word. */
#define MIN_CHANGE		0.001

/* From this change, or this share of strange values, on it is a warning. */
#define WARNING_CHANGE	0.05
#define WARNING_SHARE	0.01

/* So much of a column is as good as all of it, and an error. */
#define LOST_SHARE		0.9
#define LOST_BEFORE		0.5

/* Of texts that should be numbers, so many make the column useless. */
#define USELESS_SHARE	0.5

/* That so many new values lie beyond those of training by chance. */
#define MAX_CHANCE		0.001

/*
 * A date counts as recent if so many of the rows at training had one as
 * recent, and at least so many times the share of one row: with these seven,
 * chance leaves none of them in one case of 1,000.
 */
#define RECENT_SHARE	0.01
#define RECENT_ROWS		7.0
#define MIN_RECENT_ROWS 20
#define GRACE_DAYS		7

/* Days between the dates of a panel that has only one so far. */
#define PANEL_DAYS		31

/*
 * A share in per cent, with as many digits as tell it from none.
 */
static char *
percent(double share)
{
	return psprintf(share > 0 && share < 0.001 ? "%.3f %%" : "%.1f %%",
					100 * share);
}

/*
 * Whether a share of n rows is larger than one of m rows, and not by chance.
 * Two-proportion z-test with a pooled variance.
 */
static bool
has_grown(double share, double n, double before, double m)
{
	double		pooled = (share * n + before * m) / (n + m);
	double		error = sqrt(pooled * (1 - pooled) * (1 / n + 1 / m));

	return share - before >= MIN_CHANGE && share - before > MIN_Z * error;
}

/*
 * The rows of which a feature's value was counted.
 */
static double
counted_rows(const ChurnValidation *validation,
			 const ChurnCheckedFeature *checked)
{
	return validation->rows -
		(checked->feature->transform != NULL ? validation->failed : 0);
}

/*
 * Adds that values are missing which were not at training.
 */
static void
judge_missing(ChurnValidation *validation, const ChurnCheckedFeature *checked)
{
	double		n = counted_rows(validation, checked);
	double		share = checked->missing_now / n;
	double		before = (double) checked->missing / checked->rows;
	ChurnFindingSeverity severity = CHURN_FINDING_NOTICE;
	ChurnFinding *finding;

	if (!has_grown(share, n, before, checked->rows))
		return;
	if (share >= LOST_SHARE && before < LOST_BEFORE)
		severity = CHURN_FINDING_ERROR;
	else if (share - before >= WARNING_CHANGE)
		severity = CHURN_FINDING_WARNING;
	finding = churn_findings_add(&validation->findings, severity,
								 "missing_values", checked->feature->name,
								 "\"%s\" is missing in %s of %.0f rows, at training in %s",
								 checked->feature->name, percent(share), n,
								 percent(before));
	finding->statistic = "share";
	finding->value = share;
	finding->rows = checked->missing_now;
}

/*
 * Adds texts that the model cannot read.
 */
static void
judge_strange(ChurnValidation *validation, const ChurnCheckedFeature *checked)
{
	const char *name = checked->feature->name;
	double		n = counted_rows(validation, checked);
	double		share = checked->strange / n;
	bool		category = checked->feature->kind == CHURN_FEATURE_CATEGORY;
	ChurnFindingSeverity severity = CHURN_FINDING_NOTICE;
	ChurnFinding *finding;

	if (checked->strange == 0)
		return;
	if (share >= WARNING_SHARE)
		severity = CHURN_FINDING_WARNING;
	if (!category && share >= USELESS_SHARE)
		severity = CHURN_FINDING_ERROR;
	finding = churn_findings_add(&validation->findings, severity,
								 category ? "unseen_category" : "not_a_number",
								 name, category ?
								 "%lld of %.0f rows have categories of \"%s\" that training never saw" :
								 "%lld of %.0f rows have texts in \"%s\" that are no numbers",
								 (long long) checked->strange, n, name);
	finding->detail = psprintf("%s.  They score as missing.",
							   churn_tally_text(checked->texts));
	finding->examples = churn_tally_examples(checked->texts);
	finding->statistic = "share";
	finding->value = share;
	finding->rows = checked->strange;
}

/*
 * Whether it is no chance that k of n values lie beyond all m of training, on
 * one side: of n + m values in any order, that the k largest are all among
 * the n has at most the probability (n / (n + m))^k.
 */
static bool
beyond_chance(double k, double n, double m)
{
	return k > 0 && pow(n / (n + m), k) <= MAX_CHANCE;
}

/*
 * The range that training saw, in words.
 */
static char *
range_text(const ChurnCheckedFeature *checked)
{
	const char *unit = checked->feature->kind == CHURN_FEATURE_AGE ?
	" days" : "";

	if (checked->high == FLT_MAX)
		return psprintf("%s%s and above",
						float_to_shortest_decimal(checked->low), unit);
	return psprintf("%s to %s%s", float_to_shortest_decimal(checked->low),
					float_to_shortest_decimal(checked->high), unit);
}

/*
 * Adds numbers out of the range that training saw: more than chance explains,
 * or farther off than the range is wide.
 */
static void
judge_range(ChurnValidation *validation, const ChurnCheckedFeature *checked)
{
	double		n = counted_rows(validation, checked) - checked->strange -
	checked->missing_now;
	double		m = checked->rows - checked->missing;
	double		width = (double) checked->high - checked->low;
	double		share = (checked->below + checked->above) / n;
	ChurnFinding *finding;

	if (checked->below + checked->above == 0 ||
		(!beyond_chance(checked->below, n, m) &&
		 !beyond_chance(checked->above, n, m) &&
		 checked->least >= checked->low - width &&
		 checked->greatest <= checked->high + width))
		return;
	finding = churn_findings_add(&validation->findings,
								 share >= WARNING_SHARE ?
								 CHURN_FINDING_WARNING : CHURN_FINDING_NOTICE,
								 "out_of_range", checked->feature->name,
								 "%lld of %.0f values of \"%s\" are out of the range that training saw, %s",
								 (long long) (checked->below + checked->above),
								 n, checked->feature->name,
								 range_text(checked));
	finding->detail = psprintf("%lld are below, %lld above; all values go from %s to %s.  The most frequent ones outside: %s.",
							   (long long) checked->below,
							   (long long) checked->above,
							   float_to_shortest_decimal(checked->least),
							   float_to_shortest_decimal(checked->greatest),
							   churn_tally_text(checked->numbers));
	finding->examples = churn_tally_examples(checked->numbers);
	finding->statistic = "share";
	finding->value = share;
	finding->rows = checked->below + checked->above;
}

/*
 * Adds rows on which a transform fails.
 */
static void
judge_failures(ChurnValidation *validation,
			   const ChurnCheckedFeature *checked)
{
	ChurnFinding *finding;

	if (checked->failed == 0)
		return;
	finding = churn_findings_add(&validation->findings, CHURN_FINDING_ERROR,
								 "failing_transform", checked->feature->name,
								 "transform \"%s\" fails on %lld of %lld rows: %s",
								 checked->feature->name,
								 (long long) checked->failed,
								 (long long) validation->rows,
								 checked->failure);
	finding->detail = psprintf("The expression is: %s",
							   checked->feature->transform);
	finding->examples = checked->failed_keys;
	finding->statistic = "share";
	finding->value = (double) checked->failed / validation->rows;
	finding->rows = checked->failed;
}

/*
 * The age under which at training a share of the ages was; infinite if there
 * was none.  Cell i + 1 of a baseline ends with edge i.
 */
static double
age_quantile(const ChurnCheckedFeature *checked, double share)
{
	double		wanted = share * (checked->rows - checked->missing);
	double		sum = checked->counts[0];
	int			i;

	for (i = 0; i < checked->nedges; i++)
	{
		sum += checked->counts[i + 1];
		if (sum >= wanted)
			return checked->edges[i];
	}
	return INFINITY;
}

/*
 * Adds that no date is as recent as some should be.
 */
static void
judge_age(ChurnValidation *validation, const ChurnCheckedFeature *checked)
{
	double		n = counted_rows(validation, checked) - checked->missing_now;
	double		share = Max(RECENT_SHARE, RECENT_ROWS / Max(n, 1));
	double		recent;
	ChurnFinding *finding;

	if (checked->nedges == 0 || validation->days.usable ||
		n < MIN_RECENT_ROWS)
		return;
	recent = age_quantile(checked, share);
	if (!(checked->least > recent + GRACE_DAYS))
		return;
	finding = churn_findings_add(&validation->findings,
								 CHURN_FINDING_WARNING, "stale_data",
								 checked->feature->name,
								 "no value of \"%s\" is newer than %.0f days",
								 checked->feature->name, checked->least);
	finding->detail = psprintf("At training %s of them were no older than %.0f days; beyond that, %d days are granted.",
							   percent(share), recent, GRACE_DAYS);
	finding->statistic = "days";
	finding->value = checked->least;
}

/*
 * Adds that the newest day of a panel is older than it was at training, by
 * more than the time between two of its days.
 */
static void
judge_days(ChurnValidation *validation)
{
	const ChurnExpected *expected = &validation->expected;
	const ChurnCheckedDays *days = &validation->days;
	int			lag = churn_statement_day() - days->newest;
	int			before;
	int			step;
	ChurnFinding *finding;

	if (days->ndays == 0 || !expected->has_newest)
		return;
	before = Max(expected->day - expected->newest, 0);
	step = days->ndays > 1 ? days->newest - days->second : PANEL_DAYS;
	if (lag <= before + step + GRACE_DAYS)
		return;
	finding = churn_findings_add(&validation->findings,
								 CHURN_FINDING_WARNING, "stale_data",
								 validation->version->model->as_of_column,
								 "the newest day in \"%s\" is %s, %d days ago",
								 validation->version->model->as_of_column,
								 churn_day_text(days->newest), lag);
	finding->detail = psprintf("At training it was %d days ago; there are %d days from one to the next, and %d days are granted.",
							   before, step, GRACE_DAYS);
	finding->statistic = "days";
	finding->value = lag;
}

/*
 * Adds keys that are missing or not unique.
 */
static void
judge_key(ChurnValidation *validation)
{
	const ChurnCheckedKey *key = &validation->key;
	const char *name = validation->expected.key;
	ChurnFinding *finding;

	if (key->missing > 0)
	{
		finding = churn_findings_add(&validation->findings,
									 CHURN_FINDING_ERROR, "null_keys", name,
									 "key \"%s\" is null in %lld of %lld rows",
									 name, (long long) key->missing,
									 (long long) validation->rows);
		finding->statistic = "share";
		finding->value = (double) key->missing / validation->rows;
		finding->rows = key->missing;
	}
	if (key->repeated == 0)
		return;
	finding = churn_findings_add(&validation->findings,
								 validation->expected.repeated_keys > 0 ?
								 CHURN_FINDING_WARNING : CHURN_FINDING_ERROR,
								 "duplicate_keys", name,
								 "%lld of %lld rows repeat the key \"%s\" of another",
								 (long long) key->repeated,
								 (long long) validation->rows, name);
	finding->detail = psprintf("Keys that occur more than once: %lld.%s",
							   (long long) key->keys,
							   validation->expected.repeated_keys > 0 ?
							   "  At training there were such, too." : "");
	finding->examples = key->examples;
	finding->statistic = "keys";
	finding->value = key->keys;
	finding->rows = key->repeated;
}

/*
 * Adds labels that tell nothing, or something new.
 */
static void
judge_label_values(ChurnValidation *validation)
{
	const ChurnCheckedLabel *label = &validation->label;
	const char *name = validation->expected.label;
	ChurnFinding *finding = NULL;

	if (label->unknown > 0)
	{
		finding = churn_findings_add(&validation->findings,
									 CHURN_FINDING_ERROR, "unseen_label", name,
									 "%lld of %lld rows have labels that say neither yes nor no",
									 (long long) label->unknown,
									 (long long) validation->rows);
		finding->rows = label->unknown;
	}
	else if (label->unseen > 0)
	{
		finding = churn_findings_add(&validation->findings,
									 CHURN_FINDING_WARNING, "unseen_label",
									 name,
									 "%lld of %lld rows have labels that training never saw",
									 (long long) label->unseen,
									 (long long) validation->rows);
		finding->rows = label->unseen;
	}
	if (finding != NULL)
	{
		finding->detail = psprintf("%s.%s", churn_tally_text(label->values),
								   label->unseen > 0 ?
								   "  They count as customers who stayed." :
								   "");
		finding->examples = churn_tally_examples(label->values);
		finding->statistic = "share";
		finding->value = (double) finding->rows / validation->rows;
	}
	if (label->label.positive != NULL && label->churned == 0 &&
		label->stayed > 0)
	{
		finding = churn_findings_add(&validation->findings,
									 CHURN_FINDING_ERROR, "unseen_label", name,
									 "none of %lld labels has the value that means churned, \"%s\"",
									 (long long) label->stayed,
									 label->label.positive);
		finding->rows = label->stayed;
	}
}

/*
 * Adds that more rows have no label yet than at training.  A source that is
 * not the model's own may have none at all.
 */
static void
judge_late_labels(ChurnValidation *validation)
{
	const ChurnExpected *expected = &validation->expected;
	const ChurnCheckedLabel *label = &validation->label;
	double		n = validation->rows;
	double		share = label->missing / n;
	double		m = (double) expected->rows + expected->unlabelled;
	double		before = expected->unlabelled / Max(m, 1);
	ChurnFindingSeverity severity = CHURN_FINDING_NOTICE;
	ChurnFinding *finding;

	if (label->missing == 0 || m == 0 ||
		(label->missing < validation->rows &&
		 !has_grown(share, n, before, m)))
		return;
	if (validation->own && label->missing == validation->rows)
		severity = CHURN_FINDING_ERROR;
	else if (validation->own && share - before >= WARNING_CHANGE)
		severity = CHURN_FINDING_WARNING;
	finding = churn_findings_add(&validation->findings, severity,
								 "late_label", expected->label,
								 "%s of %.0f rows have no label, at training %s",
								 percent(share), n, percent(before));
	finding->statistic = "share";
	finding->value = share;
	finding->rows = label->missing;
}

/*
 * What is wrong with the rows.
 */
void
churn_validate_judge(ChurnValidation *validation)
{
	MemoryContext old = MemoryContextSwitchTo(validation->context);
	uint32		nfeatures = validation->version->model->nfeatures;
	uint32		i;

	if (validation->rows == 0)
	{
		churn_findings_add(&validation->findings, CHURN_FINDING_ERROR,
						   "empty_source", NULL, "the source has no rows");
		MemoryContextSwitchTo(old);
		return;
	}
	judge_key(validation);
	for (i = 0; i < nfeatures; i++)
	{
		const ChurnCheckedFeature *checked = &validation->features[i];

		if (!checked->usable)
			continue;
		judge_failures(validation, checked);
		if (counted_rows(validation, checked) == 0)
			continue;
		judge_strange(validation, checked);
		if (checked->rows == 0)
			continue;
		judge_missing(validation, checked);
		judge_range(validation, checked);
		judge_age(validation, checked);
	}
	if (validation->days.usable)
		judge_days(validation);
	if (validation->label.usable)
	{
		judge_label_values(validation);
		judge_late_labels(validation);
	}
	MemoryContextSwitchTo(old);
}
